"""``anychatcoreserver``: the command line, the terminal, the process's life."""

import io
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import anychat
from anychat import banner
from anychat.config import load
from anychat.coreserver import main
from test.interrupts import interrupted, take_interrupts

ROOT = Path(__file__).resolve().parent.parent


class CommandLineTests(SynchronousTestCase):
    """Options that start nothing."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "my.ini"
        handler = signal.getsignal(signal.SIGINT)
        self.addCleanup(signal.signal, signal.SIGINT, handler)

    def call(self, *arguments: str) -> tuple[object, str, str]:
        """Run the command; its exit code and what it printed where."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
            except SystemExit as ended:
                code = ended.code
        return code or 0, out.getvalue(), err.getvalue()

    def test_checkFine(self):
        """A file that can be used gives 0, its warnings, and nothing started."""
        self.path.write_text("[Base Settings]\nColour=1\nServerID=1\n")
        code, out, err = self.call("--config", str(self.path), "--check-config")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(
            out.splitlines(),
            [
                "Warning:my.ini, line 2: [Base Settings] Colour is not known, ignored",
                f"{self.path}: can be used",
            ],
        )
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_checkCertificate(self):
        """Configured files that are no certificate and key are found out."""
        for name in ("my.crt", "my.key"):
            (self.directory / name).write_text("nothing of the kind\n")
        self.path.write_text(
            "[TLS Settings]\nCertificateFile=my.crt\nPrivateKeyFile=my.key\n"
        )
        code, out, err = self.call("--config", str(self.path), "--check-config")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("my.crt: no certificate", err)

    def test_checkMissing(self):
        """A missing file is nothing that could be used, as a mistyped name shows."""
        code, out, err = self.call("--config", str(self.path), "--check-config")
        self.assertEqual((code, out), (2, ""))
        self.assertEqual(err, f"{self.path}: no such file\n")

    def test_wrongConfiguration(self):
        """A wrong value ends each way of starting with 2, and on standard error."""
        self.path.write_text("[Base Settings]\nServerID=x\n")
        for option in ((), ("--check-config",), ("-d",)):
            code, out, err = self.call("--config", str(self.path), *option)
            self.assertEqual((code, out), (2, ""), option)
            self.assertEqual(
                err,
                f"{self.path}, line 2: [Base Settings] ServerID='x': allowed is "
                "a whole number from 0 to 2147483647\n",
            )
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_usage(self):
        """A wrong command line ends with 2."""
        self.assertEqual(self.call("--no-such-option")[0], 2)
        self.assertEqual(self.call("surplus")[0], 2)

    def test_version(self):
        """The version is that of the package."""
        self.assertEqual(self.call("--version"), (0, f"{anychat.__version__}\n", ""))


#: A process that is `anychatcoreserver` but for the graph: one TCP port.
PROGRAM = """
import sys
from twisted.application.service import Service
from twisted.internet.protocol import Factory
from anychat import banner
from anychat.coreserver import main

class Graph(Service):
    def __init__(self, config, reactor, log):
        self.config, self.reactor, self.log = config, reactor, log

    def startService(self):
        for line in banner.opening(self.config):
            self.log(line)
        port = self.config.base.tcp_listen_port
        self.port = self.reactor.listenTCP(port, Factory(), interface="127.0.0.1")
        self.log(banner.started("TCP", port))
        for line in banner.missing(self.config):
            self.log(line)

    def stopService(self):
        return self.port.stopListening()

main(sys.argv[1:], build=Graph)
"""


INTERRUPTED = interrupted("anychat.coreserver")


class ProcessTests(SynchronousTestCase):
    """A real process with a real port."""

    def setUp(self):
        take_interrupts(self)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "AnyChatCoreServer.ini"
        self.pid_path = self.directory / "AnyChatCoreServer.pid"
        # Held, but not listened on, so that nobody else is given it meanwhile.
        self.reserved = socket.socket()
        self.addCleanup(self.reserved.close)
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.number = self.reserved.getsockname()[1]
        self.path.write_text(f"[Base Settings]\nTCPListenPort={self.number}\n")

    def spawn(self, stdin: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a server in the foreground."""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--config", str(self.path)],
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def running(self, process: subprocess.Popen[str]) -> list[str]:
        """What the server prints until it runs."""
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1] == banner.RUNNING:
                break
        return lines

    def texts(self) -> list[str]:
        """The texts in the log, their stamps held to the format."""
        texts = []
        log = self.directory / "AnyChatCoreServer.log"
        for line in log.read_text().splitlines():
            self.assertRegex(line, r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\(\d+\)\]\t")
            texts.append(line.partition("\t")[2])
        return texts

    def test_life(self):
        """The product's lines from start to end, at the terminal and in the log."""
        process = self.spawn()
        first, *stamped, last = self.running(process)
        self.assertEqual(first, banner.NORMAL_MODE)
        self.assertEqual(last, banner.RUNNING)
        expected = [
            *banner.opening(load(self.path)),
            f"Start TCP Server Successed(port={self.number})!",
        ]
        self.assertEqual([line.partition("\t")[2] for line in stamped], expected)
        self.assertRegex(stamped[0], r"^\d\d:\d\d:\d\d\(\d+\)\t-----Init Service----$")
        self.assertEqual(self.texts(), expected)
        self.assertEqual(int(self.pid_path.read_text()), process.pid)
        out, _ = process.communicate("hello\nq\n", timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(out, r"\)\tAnyChatCoreServer has exited with error code:0\n$")
        self.assertEqual(
            self.texts(), [*expected, "AnyChatCoreServer has exited with error code:0"]
        )
        self.assertFalse(self.pid_path.exists())

    def test_signals(self):
        """Every signal that asks for the end is an end as q is."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Without standard input, as under systemd.
            process = self.spawn(subprocess.DEVNULL)
            self.running(process)
            process.send_signal(number)
            out, _ = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, number)
            self.assertIn("has exited with error code:0", out)

    def test_interruptedEarly(self):
        """Ctrl-C while the program is still loading: the end, without a word."""
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGINT, ""))

    def test_closedDescriptors(self):
        """Closed standard descriptors stop nothing, and nothing takes their place."""
        process = subprocess.Popen(
            [
                *("sh", "-c", 'exec "$@" <&- 2>&-', "sh"),
                *(sys.executable, "-c", PROGRAM, "--config", str(self.path)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(self.running(process)[-1], banner.RUNNING)
        for descriptor in (0, 2):
            self.assertEqual(
                os.readlink(f"/proc/{process.pid}/fd/{descriptor}"), os.devnull
            )
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)

    def test_portInUse(self):
        """A busy port ends the process with 1 and the manual's line."""
        self.reserved.listen()
        self.pid_path.write_text("1\n")
        process = self.spawn()
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1)
        line = f"Start TCP Server Failed, Maybe port({self.number}) in use?"
        self.assertIn(f"\t{line}\n", out)
        self.assertNotIn("Traceback", out)
        self.assertIn(line, self.texts())
        self.assertEqual(self.texts()[-1], banner.exited(1))
        self.assertEqual(self.pid_path.read_text(), "1\n")

    def test_logCannotBeWritten(self):
        """A server whose log cannot be written serves all the same."""
        (self.directory / "AnyChatCoreServer.log").symlink_to("/dev/full")
        process = self.spawn()
        self.assertEqual(self.running(process)[-1], banner.RUNNING)
        process.communicate("q\n", timeout=30)
        self.assertEqual(process.returncode, 0)


class DaemonTests(SynchronousTestCase):
    """The whole server in the background."""

    def setUp(self):
        take_interrupts(self)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "AnyChatCoreServer.ini"
        self.pid_path = self.directory / "AnyChatCoreServer.pid"
        ports = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as free:
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        self.tcp, self.udp = ports
        self.path.write_text(
            f"[Base Settings]\nTCPListenPort={self.tcp}\nUDPServicePort={self.udp}\n"
            "[Network Settings]\nListenAddress=127.0.0.1\n"
            "[Http Settings]\nListenPort=0\n"
        )
        self.addCleanup(self.kill)

    def kill(self) -> None:
        """End what a failing test has left running."""
        if self.pid_path.exists():
            os.kill(int(self.pid_path.read_text()), signal.SIGKILL)

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command whose server goes into the background."""
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def log(self) -> str:
        """The server's log."""
        return (self.directory / "AnyChatCoreServer.log").read_text()

    def assertLives(self, program: str, *arguments: str) -> None:
        """The server starts, keeps others off its ports, and ends when told."""
        done = self.call(program, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(banner.started("TCP", self.tcp), self.log())
        self.assertIn(banner.started("UDP", self.udp), self.log())
        pid = int(self.pid_path.read_text())

        second = self.call(program, *arguments)
        self.assertEqual(second.returncode, 1)
        self.assertIn(banner.failed("TCP", self.tcp), second.stderr)
        self.assertNotIn("Traceback", self.log() + second.stderr)
        self.assertEqual(int(self.pid_path.read_text()), pid)

        ended = os.pidfd_open(pid)
        self.addCleanup(os.close, ended)
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(select.select([ended], [], [], 30)[0])
        self.assertTrue(self.log().endswith(f"\t{banner.exited(0)}\n"))
        self.assertEqual(
            {path.name for path in self.directory.iterdir()},
            {
                "AnyChatCoreServer.crt",
                "AnyChatCoreServer.ini",
                "AnyChatCoreServer.key",
                "AnyChatCoreServer.log",
            },
        )

    def test_option(self):
        """``anychatcoreserver -d``, as the manual has it."""
        self.assertLives("from anychat.coreserver import main; main()", "-d")

    def test_twistd(self):
        """``twistd anychat``, without twistd's own log and pid file."""
        self.assertLives(
            "from twisted.scripts.twistd import run; run()",
            "anychat",
            "--config=AnyChatCoreServer.ini",
        )

    def test_twistdInTheForeground(self):
        """Closing the terminal of ``twistd -n anychat`` is an end in good order."""
        program = "from twisted.scripts.twistd import run; run()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "-n", "anychat"],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        for line in process.stdout:
            if banner.started("UDP", self.udp) in line:
                break
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(self.log().endswith(f"\t{banner.exited(0)}\n"))
        self.assertFalse(self.pid_path.exists())
