"""A client and a server in memory, for tests."""

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.codes import ResultCode, StreamKind
from anychat.errors import Refused
from anychat.messages import (
    Heartbeat,
    Member,
    Result,
)
from test.client.fakes import FakeMedia, RecordingEvents
from test.client.server import FakeServer

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
OK = Result(ResultCode.SUCCESS)
ANN = Member(5, 0, "ann")
BOB = Member(6, 0, "bob")


class ClientTestCase(SynchronousTestCase):
    """A client and its server."""

    plain = True
    auto_reconnect = True
    media_at_login = False

    def setUp(self):
        """Make both; nothing is connected yet."""
        self.clock = Clock()
        self.server = FakeServer(self.clock)
        self.media = []
        self.log_path = self.mktemp()
        self.client = self.make_client()
        self.events = self.client.events

    def make_client(self, **options):
        """A client of the server."""
        return Client(
            self.clock,
            RecordingEvents(),
            plain=self.plain,
            log_path=self.log_path,
            auto_reconnect=self.auto_reconnect,
            media_at_login=self.media_at_login,
            random_bytes=bytes,
            uniform=lambda low, high: high,
            endpoint=self.server.endpoint,
            derive=lambda password, salt: password.encode(),
            media=self.make_media,
            **options,
        )

    def make_media(self, *arguments):
        """A media plane."""
        self.media.append(FakeMedia(*arguments))
        return self.media[-1]

    @property
    def plane(self):
        """The latest media plane."""
        return self.media[-1]

    def tearDown(self):
        """Nothing may be left running."""
        self.client.close()
        self.server.flush()
        # Of calls whose outcome a test does not look at.
        self.flushLoggedErrors(Refused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def lines(self):
        """The client's log without its stamps."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, encoding="utf-8") as file:
            return [line.rstrip("\n").partition("\t")[2] for line in file]

    def code(self, outcome, kind=Refused):
        """The code that a call failed with."""
        return self.failureResultOf(outcome, kind).value.code

    def log_in(self):
        """Connect and log in."""
        self.client.connect("localhost")
        outcome = self.client.login("me")
        self.server.flush()
        self.successResultOf(outcome)
        self.server.side.take()

    def enter(self, *members):
        """Be in room 1 with these members."""
        self.log_in()
        outcome = self.client.enter_room(1)
        self.server.flush()
        self.server.let_in(*members)
        self.successResultOf(outcome)
        self.events.take()

    def serve(self, reply, expected=None):
        """Answer the oldest request that the server has."""
        self.server.flush()
        request, message = self.server.side.received.pop(0)
        while isinstance(message, Heartbeat):
            request, message = self.server.side.received.pop(0)
        if expected is not None:
            self.assertEqual(message, expected)
        self.server.side.send(reply, request)
        self.server.flush()
        return message

    def tell(self, message):
        """A notification."""
        self.server.side.send(message)
        self.server.flush()

    def requests(self):
        """What the client asked since the last look."""
        self.server.flush()
        return [message for _, message in self.server.side.take()]

    def lose(self, seconds=0.0):
        """The link breaks, and the client waits for its next attempt."""
        self.server.cut()
        if seconds:
            self.clock.advance(seconds)

    def come_back(self):
        """The next attempt to reconnect, and what follows."""
        self.clock.advance(1.0)
        self.server.flush()
