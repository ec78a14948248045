"""How ``anychat-client`` begins."""

import signal
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from test.interrupts import take_interrupts

#: Presses ctrl-C as soon as Twisted is imported.
INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *rest):
        if name == "twisted":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from anychat.client.command import main
main()
"""


class CommandTests(SynchronousTestCase):
    """The console script, in a process of its own."""

    def setUp(self):
        take_interrupts(self)

    def run_program(self, *arguments):
        """A run that is over."""
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    def test_interruptedEarly(self):
        """Ctrl-C while the program is still loading: the end, without a word."""
        done = self.run_program(sys.executable, "-c", INTERRUPTED)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGINT, ""))

    def test_closedStreams(self):
        """Closed standard streams take what is printed, and nothing breaks."""
        for closed in (">&-", "<&- >&-", ">&- 2>&-"):
            done = self.run_program(
                *("sh", "-c", f'exec "$0" -m anychat.client.command "$@" {closed}'),
                *(sys.executable, "join", "127.0.0.1:1", "--json", "--insecure"),
                *("--user", "me", "--room", "1", "--log", "/dev/null"),
            )
            self.assertEqual(done.returncode, 3)
            self.assertEqual(done.stdout, "")
            self.assertNotIn("Traceback", done.stderr)
