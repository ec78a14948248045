"""``anychat-business`` as a process: its terminal, its signals, its end."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.business.sample.run import RUNNING
from test.interrupts import interrupted, take_interrupts

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "from anychat.business.sample.command import main; main()"
TWISTD = "from twisted.scripts.twistd import run; run()"

INTERRUPTED = interrupted("anychat.business.sample.command")


class ProcessTestCase(SynchronousTestCase):
    """A configuration that names a core server which is not there."""

    def setUp(self):
        take_interrupts(self)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.config = self.directory / "my.ini"
        self.pid_path = self.directory / "my.pid"
        # Held, but not listened on, so that nobody else is given it meanwhile.
        reserved = socket.socket()
        self.addCleanup(reserved.close)
        reserved.bind(("127.0.0.1", 0))
        self.port = reserved.getsockname()[1]
        self.config.write_text(f"[Base Settings]\nServerPort={self.port}\n")

    def log(self):
        """The log."""
        return (self.directory / "my.log").read_text()


class ForegroundTests(ProcessTestCase):
    """In the foreground."""

    def spawn(self, stdin=subprocess.PIPE, script='exec "$@"'):
        """Start it."""
        process = subprocess.Popen(
            [
                *("sh", "-c", script, "sh"),
                *(sys.executable, "-c", PROGRAM, "--config", str(self.config)),
            ],
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def until(self, process, words):
        """What it prints up to a line with these words."""
        lines = []
        for line in process.stdout:
            lines.append(line)
            if words in line:
                return "".join(lines)
        self.fail("".join(lines))

    def test_life(self):
        """q ends it; that there is no core server is told, and no reason to end."""
        process = self.spawn()
        shown = self.until(process, "Cannot connect to anychatcoreserver")
        for words in (
            RUNNING,
            f"Users in {self.directory}/my.db: 0",
            "Ready to connect",
        ):
            self.assertIn(words, shown)
        self.assertNotIn("Traceback", shown)
        process.communicate("hello\nq\n", timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertIn("Cannot connect to anychatcoreserver", self.log())
        self.assertEqual(
            {path.name for path in self.directory.iterdir()}, {"my.ini", "my.log"}
        )

    def test_signals(self):
        """Every signal that asks for the end is an end as q is."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Without standard input, as under systemd.
            process = self.spawn(subprocess.DEVNULL)
            self.until(process, RUNNING)
            process.send_signal(number)
            out, _ = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, number)
            self.assertNotIn("Traceback", out)

    def test_interruptedEarly(self):
        """Ctrl-C while the program is still loading: the end, without a word."""
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGINT, ""))

    def test_closedDescriptors(self):
        """Closed standard descriptors stop nothing, and nothing takes their place."""
        process = self.spawn(script='exec "$@" <&- 2>&-')
        self.until(process, RUNNING)
        for descriptor in (0, 2):
            self.assertEqual(
                os.readlink(f"/proc/{process.pid}/fd/{descriptor}"), os.devnull
            )
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0)

    def test_noOutput(self):
        """Where nothing can be printed it runs all the same."""
        for redirection in (">&-", ">/dev/full", "| true"):
            process = self.spawn(script=f'"$@" {redirection}')
            process.communicate("q\n", timeout=30)
            self.assertEqual(process.returncode, 0, redirection)
            self.assertIn("Invoke Release", self.log())
            (self.directory / "my.log").unlink()


class BackgroundTests(ProcessTestCase):
    """Under twistd, in the background."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.kill)

    def kill(self):
        """End what a failing test has left running."""
        if self.pid_path.exists():
            os.kill(int(self.pid_path.read_text()), signal.SIGKILL)

    def call(self):
        """Run the command whose server goes into the background."""
        return subprocess.run(
            [sys.executable, "-c", TWISTD, "anychat-business", "--config=my.ini"],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_life(self):
        """It starts, keeps a second one away, and ends when told."""
        done = self.call()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        pid = int(self.pid_path.read_text())

        second = self.call()
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(f"PID {pid}", second.stdout + second.stderr)
        self.assertNotIn("Traceback", second.stdout + second.stderr)

        ended = os.pidfd_open(pid)
        self.addCleanup(os.close, ended)
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(select.select([ended], [], [], 30)[0])
        self.assertIn("\tInvoke Release\n", self.log())
        self.assertNotIn("Traceback", self.log())
        self.assertEqual(
            {path.name for path in self.directory.iterdir()}, {"my.ini", "my.log"}
        )
