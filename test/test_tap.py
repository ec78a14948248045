"""``twistd anychat``: options, log, pid file, and failing to start."""

import gc
import io
import os
import signal
from contextlib import redirect_stderr
from pathlib import Path

from twisted.application.service import (
    Application,
    IService,
    IServiceMaker,
    Service,
)
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from anychat import banner, tap
from anychat.config import Config, load
from anychat.errors import ConfigError
from anychat.log import Log

ROOT = Path(__file__).resolve().parent.parent


class Graph(Service):
    """What stands for the server's graph."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.stopped: Deferred[None] = succeed(None)

    def startService(self) -> None:
        """Start, or fail as told."""
        if self.error is not None:
            raise self.error
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop when told."""
        super().stopService()
        return self.stopped


class TapCase(SynchronousTestCase):
    """Tests with a configuration in a directory of its own."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "AnyChatCoreServer.ini"
        self.path.write_text("[Base Settings]\nTCPListenPort=18906\n")
        self.pid_path = self.directory / "AnyChatCoreServer.pid"
        self.clock = Clock()
        self.events = []
        self.log = Log(self.events.append)
        self.graph = Graph()

    def build(self, config: Config, reactor, log: Log) -> Graph:
        """What makes the graph."""
        self.built = config, reactor, log
        return self.graph

    def texts(self) -> list[str]:
        """What was logged."""
        return [event["text"] for event in self.events]


class CoreServerTests(TapCase):
    """The server as a service."""

    def server(self, pid_path: Path | None = None) -> tap.CoreServer:
        """A server that is not started."""
        config = load(self.path)
        return tap.CoreServer(config, self.clock, self.log, self.build, pid_path)

    def test_garbage(self):
        """What is there from the start on is not looked at again while it runs."""
        server = self.server()
        server.startService()
        self.assertGreater(gc.get_freeze_count(), 10_000)
        self.successResultOf(server.stopService())
        self.assertEqual(gc.get_freeze_count(), 0)

    def test_startAndStop(self):
        """The graph starts and stops with the server, which says good-bye."""
        server = self.server()
        self.assertEqual(self.built, (load(self.path), self.clock, self.log))
        self.assertFalse(self.graph.running)
        server.startService()
        self.assertTrue(self.graph.running)
        self.successResultOf(server.stopService())
        self.assertFalse(self.graph.running)
        self.assertEqual(self.texts(), [banner.exited(0)])

    def test_pidFile(self):
        """The pid file is there as long as the server runs."""
        server = self.server(self.pid_path)
        self.assertFalse(self.pid_path.exists())
        server.startService()
        self.assertEqual(int(self.pid_path.read_text()), os.getpid())
        server.stopService()
        self.assertFalse(self.pid_path.exists())

    def test_pidFileOfAnother(self):
        """A pid file that is not ours any more is left alone."""
        server = self.server(self.pid_path)
        server.startService()
        self.pid_path.write_text("1\n")
        server.stopService()
        self.assertEqual(self.pid_path.read_text(), "1\n")

    def test_pidFileOfALivingServer(self):
        """A second server in the directory says so, and leaves the file alone."""
        first, second = self.server(self.pid_path), self.server(self.pid_path)
        first.startService()
        second.startService()
        self.assertEqual(
            self.texts(),
            [
                f"Warning:{self.pid_path} not written: it is that of another "
                "server, which runs; give each a directory of its own"
            ],
        )
        second.stopService()
        self.assertEqual(int(self.pid_path.read_text()), os.getpid())
        first.stopService()
        self.assertFalse(self.pid_path.exists())

    def test_pidFileOfADeadServer(self):
        """A file that was left behind is replaced, whoever has its number now."""
        self.pid_path.write_text("1\n and more")
        server = self.server(self.pid_path)
        server.startService()
        self.assertEqual(self.pid_path.read_text(), f"{os.getpid()}\n")
        server.stopService()

    def test_pidFileCannotBeWritten(self):
        """A server without pid file is better than none."""
        server = self.server(self.directory / "gone" / "x.pid")
        server.startService()
        self.assertTrue(self.graph.running)
        self.assertIn("not written", self.texts()[0])
        server.stopService()

    def failing(self, error: Exception) -> tap.StartFailed:
        """Start a server whose graph fails."""
        self.graph.error = error
        self.pid_path.write_text("1\n")
        server = self.server(self.pid_path)
        failed = self.assertRaises(tap.StartFailed, server.startService)
        # It is that of the server which has the ports.
        self.assertEqual(self.pid_path.read_text(), "1\n")
        return failed

    def test_portInUse(self):
        """A busy port gives the manual's line, the reason, and exit code 1."""
        reason = OSError(98, "Address already in use")
        for port, line in (
            (18906, "Start TCP Server Failed, Maybe port(18906) in use?"),
            (8907, "Start UDP Server Failed, Maybe port(8907) in use?"),
        ):
            self.events.clear()
            failed = self.failing(CannotListenError("::", port, reason))
            self.assertEqual((failed.code, str(failed)), (1, line))
            self.assertEqual(
                self.texts(),
                [
                    line,
                    f"[::]:{port}: [Errno 98] Address already in use",
                    banner.exited(1),
                ],
            )

    def test_oneNumberForBothPorts(self):
        """Where TCP and UDP share a number, the line blames neither alone."""
        self.path.write_text("[Base Settings]\nUDPServicePort=8906\n")
        failed = self.failing(CannotListenError("", 8906, OSError(13, "no")))
        self.assertEqual(
            str(failed), "Start TCP/UDP Server Failed, Maybe port(8906) in use?"
        )

    def test_unusableFile(self):
        """A file that turns out to be unusable at the start gives exit code 2."""
        failed = self.failing(ConfigError("own.pem: no certificate"))
        self.assertEqual(failed.code, 2)
        self.assertEqual(self.texts(), ["own.pem: no certificate", banner.exited(2)])

    def test_bug(self):
        """Whatever else goes wrong is in the log with its traceback."""
        failed = self.failing(ZeroDivisionError("oops"))
        self.assertEqual(failed.code, 1)
        self.assertIn("log_failure", self.events[0])
        self.assertEqual(self.texts()[-1], banner.exited(1))

    def test_stopTakesTooLong(self):
        """A part that does not end keeps the process for a while only."""
        self.graph.stopped = Deferred()
        server = self.server(self.pid_path)
        server.startService()
        stopped = server.stopService()
        self.assertNoResult(stopped)
        self.clock.advance(tap.STOP_PATIENCE)
        self.successResultOf(stopped)
        self.assertEqual(
            self.texts(), ["Gave up stopping after 10 s", banner.exited(0)]
        )
        self.assertFalse(self.pid_path.exists())

    def test_stopFails(self):
        """A part that fails to end is in the log with its traceback."""
        self.graph.stopped = fail(ZeroDivisionError("oops"))
        server = self.server(self.pid_path)
        server.startService()
        self.successResultOf(server.stopService())
        self.assertEqual(self.texts(), ["Unclean stop", banner.exited(0)])
        self.assertIn("log_failure", self.events[0])


class TwistdTests(TapCase):
    """The plugin under the options of twistd."""

    def options(self, *arguments: str) -> ServerOptions:
        """Parse a command line of twistd."""
        options = ServerOptions()
        options.parseOptions([*arguments, "anychat", f"--config={self.path}"])
        return options

    def service(self, options: ServerOptions) -> tap.TwistdServer:
        """The service that twistd would make."""
        return tap.makeService(options.subOptions, self.clock, self.build)

    def test_plugin(self):
        """Twisted finds the plugin; where it is told of there are literals alone."""
        [plugin] = [
            plugin
            for plugin in getPlugins(IServiceMaker)
            if plugin.tapname == "anychat"
        ]
        self.assertIs(plugin.options, tap.Options)
        self.assertIs(plugin.makeService, tap.makeService)
        source = ROOT / "twisted" / "plugins" / "anychat_plugin.py"
        self.assertLessEqual(len(source.read_text().splitlines()), 12)

    def test_ownFiles(self):
        """Neither twistd.log nor twistd.pid appears, but the server's own files."""
        options = self.options()
        self.assertEqual(options["pidfile"], "")
        application = Application("anychat")
        service = self.service(options)
        service.setServiceParent(application)
        observer = application.getComponent(ILogObserver)
        Log(observer)("hello")
        self.assertIn(
            "\thello\n", (self.directory / "AnyChatCoreServer.log").read_text()
        )
        IService(application).startService()
        self.assertTrue(self.pid_path.exists())
        IService(application).stopService()
        self.assertFalse(self.pid_path.exists())

    def test_askedForFiles(self):
        """A log and a pid file that were asked for take the place of ours."""
        options = self.options(
            f"--logfile={self.directory}/my.log", f"--pidfile={self.directory}/my.pid"
        )
        self.assertEqual(options["pidfile"], f"{self.directory}/my.pid")
        application = Application("anychat")
        self.service(options).setServiceParent(application)
        Log(application.getComponent(ILogObserver))("hello")
        self.assertIn("\thello\n", (self.directory / "my.log").read_text())
        IService(application).startService()
        self.assertFalse(self.pid_path.exists())
        IService(application).stopService()

    def test_logfileBeforeTheDirectoryChanges(self):
        """A log file's name holds where twistd was started, as its pid file's."""
        self.assertEqual(
            self.options("-l", "my.log")["logfile"], os.path.abspath("my.log")
        )
        self.assertEqual(self.options("-n", "-l", "-")["logfile"], "-")

    def test_observers(self):
        """Daemons write the file, the foreground the terminal too, as asked."""
        config = load(self.path)
        for arguments, observers in (
            ([], ["FileObserver"]),
            (["--nodaemon"], ["FileObserver", "ConsoleObserver"]),
            (["--nodaemon", "--logfile=-"], ["ConsoleObserver"]),
            (["--logfile=-"], None),
            (["--syslog"], None),
        ):
            observer = tap.observer_for(self.options(*arguments), config)
            if observers is None:
                # twistd's own, or its refusal to start.
                self.assertIs(observer, None)
            else:
                names = [type(one).__name__ for one in observer._observers]
                self.assertEqual(names, observers)

    def test_wrongConfiguration(self):
        """A wrong value ends twistd with code 2 and tells the place."""
        self.path.write_text("[Base Settings]\nTCPListenPort=0\n")
        with redirect_stderr(io.StringIO()) as printed:
            ended = self.assertRaises(SystemExit, self.options)
        self.assertEqual(ended.code, 2)
        self.assertIn("line 2: [Base Settings] TCPListenPort='0'", printed.getvalue())

    def test_unusableConfiguration(self):
        """The same where only the graph finds out."""

        def build(config, reactor, log):
            raise ConfigError("no such certificate")

        options = self.options()
        with redirect_stderr(io.StringIO()) as printed:
            ended = self.assertRaises(
                SystemExit, tap.makeService, options.subOptions, self.clock, build
            )
        self.assertEqual(ended.code, 2)
        self.assertEqual(printed.getvalue(), "no such certificate\n")

    def test_unknownOption(self):
        """What is no option is refused in twistd's own way."""
        self.assertRaises(UsageError, ServerOptions().parseOptions, ["anychat", "--x"])

    def test_interrupt(self):
        """Ctrl-C, which ``anychatcoreserver`` gave to the system, is the reactor's."""
        handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGINT, handler)
        service = self.service(self.options())
        service.startService()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        service.stopService()

    def test_failingUnderTwistd(self):
        """A failed start tells a waiting parent, and leaves no pid file of twistd."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        options = self.options(f"--pidfile={self.directory}/my.pid")
        (self.directory / "my.pid").write_text("1")
        options["statusPipe"] = write
        self.graph.error = CannotListenError("", 18906, OSError(98, "in use"))
        service = self.service(options)
        ended = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(ended.code, 1)
        self.assertEqual(
            os.read(read, 1000), b"1 Start TCP Server Failed, Maybe port(18906) in use?"
        )
        self.assertFalse((self.directory / "my.pid").exists())
