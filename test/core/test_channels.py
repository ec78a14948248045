"""Texts and transparent buffers."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.core.effects import Reply, Send
from anychat.messages import (
    Result,
    SendText,
    TextMessage,
    TransBuffer,
    TransBufferData,
)
from test.core.driver import Driver


class ChannelTests(SynchronousTestCase):
    """`anychat.core.channels`."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob, self.carol = self.core.together("alice", "bob", "carol")
        self.dave = self.core.login("dave")

    def test_textToRoom(self):
        """A text to -1 goes to all in the room but its author."""
        self.assertEqual(
            self.core.ask(self.alice, SendText(-1, False, "hello")),
            [
                Send((self.bob, self.carol), TextMessage(1, -1, False, "hello")),
                Reply(self.alice, 7, Result(ResultCode.SUCCESS)),
            ],
        )

    def test_textToUser(self):
        """A text goes to any user, also secretly, wherever that one is."""
        for secret in (False, True):
            self.assertEqual(
                self.core.ask(self.alice, SendText(4, secret, "psst")),
                [
                    Send((self.dave,), TextMessage(1, 4, secret, "psst")),
                    Reply(self.alice, 7, Result(ResultCode.SUCCESS)),
                ],
            )

    def test_aloneInARoom(self):
        """A text to nobody else is fine."""
        self.core.enter(self.dave, 2)
        self.assertEqual(
            self.core.code(self.dave, SendText(-1, False, "?")), ResultCode.SUCCESS
        )

    def test_textRefused(self):
        """No secrets to a room, no room texts from outside, no unknown users."""
        cases = [
            (self.alice, SendText(-1, True, "x"), ResultCode.FUNCOPTERROR),
            (self.dave, SendText(-1, False, "x"), ResultCode.ROOM_NOTIN),
            (self.alice, SendText(99, False, "x"), ResultCode.INVALID_USERID),
            (self.alice, SendText(0, False, "x"), ResultCode.INVALID_USERID),
            (self.alice, SendText(-2, True, "x"), ResultCode.INVALID_USERID),
        ]
        for session, message, code in cases:
            self.assertEqual(self.core.code(session, message), code)

    def test_bufferToRoomAndUser(self):
        """Buffers go where texts go."""
        self.assertEqual(
            self.core.ask(self.alice, TransBuffer(-1, b"abc")),
            [
                Send((self.bob, self.carol), TransBufferData(1, b"abc")),
                Reply(self.alice, 7, Result(ResultCode.SUCCESS)),
            ],
        )
        self.assertEqual(
            self.core.ask(self.dave, TransBuffer(1, bytes(1000)), request=0),
            [Send((self.alice,), TransBufferData(4, bytes(1000)))],
        )

    def test_toOneself(self):
        """What one sends to oneself arrives, as with anybody else."""
        for message, arrives in (
            (SendText(1, True, "note"), TextMessage(1, 1, True, "note")),
            (TransBuffer(1, b"note"), TransBufferData(1, b"note")),
        ):
            self.assertEqual(
                self.core.ask(self.alice, message),
                [
                    Send((self.alice,), arrives),
                    Reply(self.alice, 7, Result(ResultCode.SUCCESS)),
                ],
            )

    def test_bufferRefused(self):
        """1 to 1000 bytes, not from outside to a room, no business server."""
        cases = [
            (self.alice, TransBuffer(-1, b""), ResultCode.FUNCOPTERROR),
            (self.alice, TransBuffer(2, bytes(1001)), ResultCode.FUNCOPTERROR),
            (self.dave, TransBuffer(-1, b"x"), ResultCode.ROOM_NOTIN),
            (self.alice, TransBuffer(99, b"x"), ResultCode.INVALID_USERID),
            (self.alice, TransBuffer(0, b"x"), ResultCode.SERVERSDK_FAIL),
        ]
        for session, message, code in cases:
            self.assertEqual(self.core.code(session, message), code)

    def test_neverChanges(self):
        """What is passed on leaves no trace in the journal."""
        before = len(self.core.journal)
        self.core.ask(self.alice, SendText(-1, False, "hello"))
        self.core.ask(self.alice, TransBuffer(2, b"hello"))
        self.assertEqual(len(self.core.journal), before)
