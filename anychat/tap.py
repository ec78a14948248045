"""``twistd anychat``: its options, and the server as one service.

twistd's own twistd.log and twistd.pid do not appear: AnyChatCoreServer.log and
AnyChatCoreServer.pid stand beside the configuration instead, unless options of
twistd (``--logfile``, ``--logger``, ``--syslog``, ``--pidfile``) ask for others.
"""

import fcntl
import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, ClassVar, NoReturn

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, LogPublisher
from twisted.python import usage

from anychat import banner
from anychat.config import FILE_NAME, Config, load
from anychat.errors import ConfigError
from anychat.log import ConsoleObserver, FileObserver, Log, LogFile
from anychat.terminal import end_with_terminal, leave_interrupt_to_reactor

#: Seconds that the parts of the server have to end.
STOP_PATIENCE = 10

#: What `anychat.wiring.build` is: it makes the graph of the server and opens
#: nothing yet.  The service's start may raise CannotListenError or ConfigError.
Build = Callable[[Config, Any, Log], IService]


class StartFailed(Exception):
    """The server could not start; the log says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        """Exit code of the process."""


class CoreServer(Service):
    """The whole server, with what its process owes: pid file and last words."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        log: Log,
        build: Build,
        pid_path: Path | None,
    ) -> None:
        """
        :param pid_path: None: whoever runs the process has a pid file already.
        :raises ConfigError: the graph cannot be made of that configuration.
        """
        self._config = config
        self._reactor = reactor
        self._log = log
        self._pid_path = pid_path
        self._pid_file: IO[str] | None = None
        """Locked while the server runs: by that a second one knows it is alive,
        which the number alone, soon given to another process, does not tell."""
        self._graph = build(config, reactor, log)

    def privilegedStartService(self) -> None:
        """Do what wants the rights that twistd may give up."""
        super().privilegedStartService()
        self._graph.privilegedStartService()

    def startService(self) -> None:
        """Start all parts.

        :raises StartFailed: one of them could not.
        """
        super().startService()
        try:
            self._graph.startService()
        except CannotListenError as error:
            self._give_up(1, *banner.listen_failed(error, self._config))
        except ConfigError as error:
            self._give_up(2, *str(error).splitlines())
        except Exception as error:
            self._log.failure("The server cannot start")
            self._give_up(1, f"The server cannot start: {error}")
        # A full garbage collection would stop the reactor for 16 ms, to look at some
        # 80,000 objects that stay anyway.
        gc.freeze()
        self._write_pid()

    def _give_up(self, code: int, *lines: str) -> NoReturn:
        for line in (*lines, banner.exited(code)):
            self._log(line)
        raise StartFailed(code, lines[0])

    def _write_pid(self) -> None:
        # Written once the ports are ours: a second server, which fails on
        # them, leaves the first one's file alone.
        if self._pid_path is not None:
            try:
                self._pid_file = self._locked_pid_file(self._pid_path)
            except BlockingIOError:
                self._log(
                    f"Warning:{self._pid_path} not written: it is that of another "
                    "server, which runs; give each a directory of its own"
                )
            except OSError as error:
                self._log(f"Warning:{self._pid_path} not written: {error.strerror}")

    @staticmethod
    def _locked_pid_file(path: Path) -> IO[str]:
        # Opened for appending, so that another server's file is not cut.
        with ExitStack() as unless_written:
            file = unless_written.enter_context(path.open("a", encoding="ascii"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            unless_written.pop_all()
        return file

    def _remove_pid(self) -> None:
        if self._pid_path is not None and self._pid_file is not None:
            with suppress(OSError, ValueError):
                if int(self._pid_path.read_text(encoding="ascii")) == os.getpid():
                    self._pid_path.unlink()
            self._pid_file.close()
            self._pid_file = None

    def stopService(self) -> Deferred[None]:
        """Stop all parts, which have `STOP_PATIENCE` seconds for it."""
        super().stopService()
        gc.unfreeze()
        stopped: Deferred[Any] = maybeDeferred(self._graph.stopService)
        stopped.addTimeout(
            STOP_PATIENCE,
            self._reactor,
            lambda value, seconds: self._log(f"Gave up stopping after {seconds} s"),
        )
        stopped.addErrback(lambda failure: self._log.failure("Unclean stop", failure))

        def last_words(_: object) -> None:
            self._remove_pid()
            self._log(banner.exited(0))

        return stopped.addCallback(last_words)


class TwistdServer(CoreServer):
    """The server as a part of twistd's application."""

    def __init__(
        self, twistd: Any, config: Config, reactor: Any, log: Log, build: Build
    ) -> None:
        """
        :param twistd: the options of twistd.
        """
        super().__init__(
            config, reactor, log, build, None if twistd["pidfile"] else config.pid_path
        )
        self._twistd = twistd

    def setServiceParent(self, parent: Any) -> None:
        """Become the application's part and give it the log's observer."""
        super().setServiceParent(parent)
        observer = observer_for(self._twistd, self._config)
        if observer is not None:
            parent.setComponent(ILogObserver, observer)

    def startService(self) -> None:
        """Start all parts; end the process if one of them cannot."""
        if self._twistd["nodaemon"]:
            end_with_terminal(self._reactor)
        leave_interrupt_to_reactor()
        try:
            super().startService()
        except StartFailed as failed:
            # Any exception but SystemExit would show the operator a traceback
            # for a busy port; so what twistd does after one is done here.
            status = self._twistd.get("statusPipe")
            if status is not None:
                os.write(status, f"1 {failed}".encode()[:100])
            if self._twistd["pidfile"]:
                with suppress(OSError):
                    os.unlink(self._twistd["pidfile"])
            raise SystemExit(failed.code) from None


def observer_for(twistd: Any, config: Config) -> ILogObserver | None:
    """The log's observer under these options of twistd; None: twistd's own."""
    foreground = twistd["nodaemon"] or twistd["debug"]
    name = twistd["logfile"]
    if twistd["syslog"] or (name == "-" and not foreground):
        return None
    observers: list[ILogObserver] = []
    if name != "-":
        observers.append(FileObserver(LogFile(Path(name or config.log_path))))
    if foreground:
        observers.append(ConsoleObserver())
    return LogPublisher(*observers)


def refuse(error: ConfigError) -> NoReturn:
    """End the process over a configuration that cannot be used."""
    print(error, file=sys.stderr)
    raise SystemExit(2)


class Options(usage.Options):
    """Command line of ``twistd anychat``."""

    synopsis = "Usage: twistd [options] anychat [--config=FILE]"
    optParameters: ClassVar = [
        ["config", "c", FILE_NAME, "The configuration; missing: all defaults."]
    ]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.ini")})

    settings: Config
    """The configuration, once the command line has been parsed."""

    def postOptions(self) -> None:
        """Read the configuration; take twistd's default pid file away."""
        try:
            self.settings = load(self["config"])
        except ConfigError as error:
            refuse(error)
        twistd: Any = self.parent
        if twistd["pidfile"] == "twistd.pid":
            twistd["pidfile"] = ""
        if twistd["logfile"] not in (None, "-"):
            # twistd changes the directory before the log is opened.
            twistd["logfile"] = os.path.abspath(twistd["logfile"])


def whole_server() -> Build:
    """What makes the server's graph.

    Loaded when it is wanted: twistd installs the reactor that it is asked for
    first, and a wrong configuration is told without loading the server.
    """
    from anychat.wiring import build

    return build


def global_reactor() -> Any:
    """The reactor of this process, installed if there is none yet.

    Its clock becomes the monotonic one: a step of the wall clock must neither
    stop its timers nor look like a silence of all clients.
    """
    from twisted.internet import reactor

    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    return reactor


def makeService(
    options: Options, reactor: Any = None, build: Build | None = None
) -> TwistdServer:
    """Make the service of ``twistd anychat``.

    :param reactor: default: the global one.
    :param build: default: that of the whole server.
    """
    try:
        return TwistdServer(
            options.parent,
            options.settings,
            reactor or global_reactor(),
            Log(),
            build or whole_server(),
        )
    except ConfigError as error:
        refuse(error)
