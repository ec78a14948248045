"""A client that is logged in, and what it sends and receives."""

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.codes import ResultCode, TransferKind
from anychat.errors import Refused
from anychat.messages import (
    TransferBegun,
    TransferGrant,
    TransferOffered,
    TransferPortion,
)
from test.client.fakes import RecordingEvents
from test.client.server import FakeServer
from test.transfers.bench import at_once, chunks_of

BUFFER, FILE, FILE_EX = TransferKind
OK = ResultCode.SUCCESS


class TransfersCase(SynchronousTestCase):
    """A client that is logged in."""

    def setUp(self):
        self.clock = Clock()
        self.server = FakeServer(self.clock)
        self.events = RecordingEvents()
        self.client = Client(
            self.clock,
            self.events,
            plain=True,
            log_path=None,
            random_bytes=bytes,
            uniform=lambda low, high: low,
            endpoint=self.server.endpoint,
            in_thread=at_once,
        )
        self.client.connect("localhost").addErrback(lambda _: None)
        self.client.login("me").addErrback(lambda _: None)
        self.server.flush()
        self.server.side.take()
        self.transfers = self.client.transfers
        self.transfers.directory = Path(self.mktemp())
        self.transfers.make_window = lambda: None
        self.addCleanup(self.finish)

    def finish(self):
        """Close the client; nothing may be left over."""
        self.client.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.transfers.tasks, ())

    def came(self):
        """What the client has said since the last call."""
        self.server.flush()
        return [message for _, message in self.server.side.take()]

    def say(self, message, request=0):
        """Have the server say something."""
        self.server.side.send(message, request)
        self.server.flush()

    def answer(self, *messages):
        """Answer the requests that came, in their order."""
        self.server.flush()
        requests = [item for item in self.server.side.take() if item[0]]
        for (request, _), message in zip(requests, messages, strict=True):
            self.server.side.send(message, request)
        self.server.flush()
        return [message for _, message in requests]

    def told(self, name):
        """Arguments of the events of that name."""
        return [item[1:] for item in self.events.seen if item[0] == name]

    def file(self, content, name="a.txt"):
        """A file with that content."""
        path = Path(self.mktemp())
        path.mkdir()
        (path / name).write_bytes(content)
        return path / name


class SendingCase(TransfersCase):
    """It sends."""

    def begin(self, content=b"x" * 1000, **more):
        """Send a file; the task, which the server has granted."""
        task = self.transfers.trans_file(5, self.file(content), **more)
        self.outcome = task.done()
        self.addCleanup(self.outcome.addErrback, lambda failure: None)
        (self.asked,) = self.answer(TransferBegun(OK, 9))
        return task

    def grant(self, offset, limit, restart=False):
        """Let the client send; offsets of what comes."""
        self.say(TransferGrant(9, offset, limit, restart))
        return [message.offset for message in self.came()]

    def assertFails(self, task, code):
        """The task has failed with that code."""
        failure = self.failureResultOf(task.done(), Refused)
        self.assertEqual(int(failure.value.code), code)
        self.assertEqual((int(task.code), task.query(3)), (code, 4))


class ReceivingCase(TransfersCase):
    """Others send to it."""

    def offer(self, task_id=4, kind=FILE, *, length, name="a.txt", guid="g", source=5):
        """Somebody sends something."""
        self.say(
            TransferOffered(task_id, source, kind, guid, name, length, 1, 2, 3, "note")
        )

    def send(self, content, task_id=4, start=0):
        """The chunks of it."""
        for chunk in chunks_of(content, start=start):
            self.server.side.send(
                TransferPortion(task_id, chunk.offset, chunk.digest, chunk.data)
            )
        self.server.flush()

    def arrive(self, content, **more):
        """All of it; what the client says."""
        self.offer(length=len(content), **more)
        self.send(content, more.get("task_id", 4))
        return self.came()
