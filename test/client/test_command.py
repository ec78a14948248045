"""How ``anychat-client`` begins."""

import json
import signal
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from test.interrupts import interrupted, take_interrupts

INTERRUPTED = interrupted("anychat.client.command")

#: Says when the reactor begins to stop.
STOPPING = """
from twisted.internet import reactor
from anychat.client.command import main
reactor.addSystemEventTrigger("before", "shutdown", print, "stopping")
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

    def interrupted(self, number, stdout=subprocess.PIPE):
        """A run that is ended as soon as it has begun: code, and what it printed."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            program = subprocess.Popen(
                [
                    *(sys.executable, "-c", STOPPING, "join", "--json"),
                    f"127.0.0.1:{server.getsockname()[1]}",
                    *("--user", "me", "--room", "1", "--insecure"),
                    *("--log", "/dev/null"),
                ],
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
            )
            peer, _ = server.accept()
            with peer:
                # Its hello: the reactor runs.
                self.assertTrue(peer.recv(1))
                program.send_signal(number)
                return program.communicate(), program.returncode

    def test_unwritable(self):
        """A full disk where a result belongs: exit code 1, and a line that says so."""
        with open("/dev/full", "w") as full:
            (_, error), code = self.interrupted(signal.SIGINT, full)
        self.assertEqual(code, 1)
        self.assertIn(
            "anychat-client: standard output cannot be written: No space left on "
            "device\n",
            error,
        )

    def test_signals(self):
        """Ctrl-C, SIGTERM and a closed terminal: the job ends, then the reactor."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            (out, error), code = self.interrupted(number)
            self.assertEqual((code, error), (0, ""))
            summary, stopping = out.splitlines()[-2:]
            self.assertEqual(json.loads(summary)["event"], "summary")
            self.assertEqual(stopping, "stopping")
