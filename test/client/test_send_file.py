"""``anychat-client send-file``, with a server that the test plays."""

import errno
import io
import json
from pathlib import Path

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.client.join import CANNOT_CONNECT, FINE, REFUSED
from anychat.client.options import parse
from anychat.client.output import Output
from anychat.client.send_file import SendFile
from anychat.codes import ResultCode
from anychat.messages import (
    BeginTransfer,
    EndTransfer,
    Logout,
    Result,
    TransferBegun,
    TransferEnded,
    TransferGrant,
)
from test.client.server import FakeServer
from test.transfers.bench import at_once

OK = ResultCode.SUCCESS


class Terminal(io.StringIO):
    """A place for progress bars."""

    def isatty(self):
        """It shows them."""
        return True


class SendFileTests(SynchronousTestCase):
    """The command."""

    def setUp(self):
        self.clock = Clock()
        self.server = FakeServer(self.clock)
        self.complaints = []
        self.printed = io.StringIO()
        self.terminal = Terminal()
        self.codes = []

    def file(self, content=b"abc", name="a.txt"):
        """A file."""
        directory = Path(self.mktemp())
        directory.mkdir()
        (directory / name).write_bytes(content)
        return str(directory / name)

    def make(self, reactor, **options):
        """The client of a run."""
        return Client(
            reactor,
            endpoint=self.server.endpoint,
            in_thread=at_once,
            random_bytes=bytes,
            uniform=lambda low, high: low,
            **options,
        )

    def run_command(self, *arguments, json=True):
        """Begin a run."""
        options = parse(
            [
                *("send-file", "localhost", "--user", "me", "--plain"),
                *(["--json"] if json else []),
                *arguments,
            ],
            {},
        )
        output = Output(self.printed, options.json, self.clock.seconds)
        job = SendFile(
            self.clock,
            options,
            output,
            self.complaints.append,
            self.make,
            self.terminal,
        )
        job.done.addCallback(self.codes.append)
        job.start()
        self.server.flush()
        return job

    def requests(self):
        """What the client has asked since the last call."""
        self.server.flush()
        return [
            item
            for item in self.server.side.take()
            if isinstance(item[1], BeginTransfer | EndTransfer | Logout)
        ]

    def say(self, message, request=0):
        """Have the server say something."""
        self.server.side.send(message, request)
        self.server.flush()

    def objects(self):
        """What was printed."""
        return [json.loads(line) for line in self.printed.getvalue().splitlines()]

    def log_out(self):
        """Let the client go."""
        ((request, message),) = self.requests()
        self.assertIsInstance(message, Logout)
        self.say(Result(OK), request)

    def test_sent(self):
        """A file is sent, and the program ends."""
        path = self.file()
        self.run_command(path, "--to", "5")
        ((request, asked),) = self.requests()
        self.assertEqual((asked.target, asked.file_name), (5, "a.txt"))
        self.say(TransferBegun(OK, 9), request)
        self.say(TransferGrant(9, 0, 3, True))
        self.clock.advance(1.0)
        self.say(TransferEnded(9, OK))
        self.log_out()
        self.assertEqual(self.codes, [FINE])
        progress, sent, summary = self.objects()
        self.assertEqual((progress["event"], progress["progress"]), ("progress", 0))
        self.assertEqual(
            (sent["event"], sent["file"], sent["transferred"]), ("file_sent", path, 3)
        )
        self.assertEqual((summary["files"], summary["bytes"]), (1, 3))
        self.assertEqual((self.complaints, self.clock.getDelayedCalls()), ([], []))

    def test_people(self):
        """People see a bar for each file, and what came of it."""
        self.run_command(self.file(), self.file(name="b.txt"), "--to", "server", json=0)
        for number, (request, asked) in enumerate(self.requests(), 1):
            self.assertEqual(asked.target, 0)
            self.say(TransferBegun(OK, number), request)
        self.clock.advance(0.2)
        self.assertIn("a.txt", self.terminal.getvalue())
        self.assertIn("b.txt", self.terminal.getvalue())
        self.say(TransferEnded(1, OK))
        self.say(TransferEnded(2, ResultCode.TRANSFILE_FAILED))
        self.log_out()
        self.assertEqual(self.codes, [REFUSED])
        self.assertIn("3/3", self.terminal.getvalue())
        self.assertEqual(self.printed.getvalue(), "1 file, 3 bytes in 0.2 s\n")
        (complaint,) = self.complaints
        self.assertIn("b.txt: 715 TRANSFILE_FAILED", complaint)

    def test_ex(self):
        """With a GUID it is TransFileEx."""
        self.run_command(self.file(), "--to", "5", "--guid", "g", "--text", "note")
        ((_, asked),) = self.requests()
        self.assertEqual((asked.guid, asked.text, int(asked.kind)), ("g", "note", 3))
        self.clock.advance(100.0)

    def test_noFile(self):
        """What is not there is said, and nothing is asked."""
        self.run_command("/nowhere/x", "--to", "5")
        self.log_out()
        self.assertEqual(self.codes, [REFUSED])
        self.assertIn("/nowhere/x: 711", self.complaints[0])

    def test_refused(self):
        """The server's no is said with its number."""
        self.run_command(self.file(), "--to", "99")
        ((request, _),) = self.requests()
        self.say(TransferBegun(ResultCode.INVALID_USERID), request)
        self.log_out()
        self.assertEqual(self.codes, [REFUSED])
        self.assertIn("205 INVALID_USERID", self.complaints[0])

    def test_noServer(self):
        """Without a server it is exit code 3."""
        self.server.refusal = error.ConnectionRefusedError()
        self.run_command(self.file(), "--to", "5")
        self.assertEqual(self.codes, [CANNOT_CONNECT])
        self.assertEqual(len(self.complaints), 1)

    def test_interrupted(self):
        """Ctrl-C gives up what has not arrived."""
        job = self.run_command(self.file(), "--to", "5")
        ((request, _),) = self.requests()
        self.say(TransferBegun(OK, 9), request)
        job.finish(FINE)
        self.server.flush()
        self.assertEqual(self.codes, [REFUSED])
        self.assertEqual(self.objects()[-1]["code"], REFUSED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_terminalGone(self):
        """Bars that cannot be shown any more stop nothing."""
        self.run_command(self.file(), "--to", "5", json=0)
        ((request, _),) = self.requests()
        self.say(TransferBegun(OK, 9), request)

        def gone(*_):
            raise OSError(errno.EIO, "the terminal is gone")

        self.terminal.write = self.terminal.flush = gone
        self.clock.advance(0.2)
        self.say(TransferEnded(9, OK))
        self.log_out()
        self.assertEqual(self.codes, [FINE])

    def test_interruptedEarly(self):
        """Ctrl-C before there is a connection ends it too."""
        self.server.reachable = False
        self.run_command(self.file(), "--to", "5").finish(FINE)
        self.assertEqual(self.codes, [CANNOT_CONNECT])

    def test_usage(self):
        """What cannot be is refused as usage."""
        for arguments in (
            ("a",),
            ("--to", "5"),
            ("a", "--to", "x"),
            ("a", "b", "--to", "5", "--guid", "g"),
            ("a", "--to", "5", "--text", "t"),
            ("a", "--to", "5", "--guid", "g" * 65),
            ("a", "--to", "5", "--limit", "fast"),
            ("a", "--to", "5", "--password", "x"),
        ):
            with self.assertRaises(SystemExit):
                self.run_command(*arguments)
