"""How ``anychat-load`` begins, and who reads what it writes."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from test.interrupts import interrupted, take_interrupts

INTERRUPTED = interrupted("anychat.load.command")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = (sys.executable, "-m", "anychat.load.command")


class CommandTests(SynchronousTestCase):
    """The console script, in a process of its own."""

    def setUp(self):
        take_interrupts(self)

    def run_program(self, *arguments, **streams):
        """A run that is over."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.run(
            arguments, text=True, check=False, timeout=60, cwd=ROOT, **streams
        )

    def test_interruptedEarly(self):
        """Ctrl-C while the program is still loading: the end, without a word."""
        done = self.run_program(sys.executable, "-c", INTERRUPTED)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGINT, ""))

    def test_nobodyReads(self):
        """A pipe that was closed keeps nothing from ending."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = self.run_program(
                *PROGRAM, self.nowhere(), "--insecure", stdout=writing, stderr=writing
            )
        finally:
            os.close(writing)
        self.assertEqual(done.returncode, 3)

    def test_closedStreams(self):
        """Closed standard streams take what is printed, and nothing breaks."""
        for closed in (">&-", "<&- >&-", ">&- 2>&-"):
            done = self.run_program(
                *("sh", "-c", f'exec "$0" "$@" {closed}'),
                *(*PROGRAM, self.nowhere(), "--insecure"),
            )
            self.assertEqual(done.returncode, 3)
            self.assertNotIn("Traceback", done.stderr)

    def nowhere(self):
        """Where nobody listens."""
        probe = socket.socket()
        self.addCleanup(probe.close)
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
