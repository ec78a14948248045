"""The core's end against implementations that are not this project's.

`test.business_wire` was written from docs/business.md alone; Twisted's AMP is
what many a business server will be written with.
"""

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    AppMessageEx,
    EventsLost,
    OnlineUsers,
    OnRecvUserTextMsg,
    OnUserLoginAction,
    PrepareEnterRoom,
    Presence,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.protocols import business_commands as commands
from anychat.protocols.business_boxes import encode_event, number_event
from anychat.protocols.business_commands import Refusal
from anychat.protocols.proof import make_proof
from test.business_wire import Dialogue, RefusedError
from test.protocols.business_dialogue import (
    RecordingOwner,
    make_channel,
    make_terms,
)
from test.protocols.dialogue import key_of
from test.protocols.pipe import Pipe


class Raw(Protocol):
    """A `Dialogue` on a transport in memory."""

    def __init__(self, **dialogue):
        self.dialogue = Dialogue(**dialogue)

    def connectionMade(self):
        """Say hello."""
        self.flush()

    def dataReceived(self, data):
        """Hear, and say what came of it."""
        self.dialogue.receive(data)
        self.flush()

    def flush(self):
        """Say what there is to say."""
        waiting, self.dialogue.to_send = self.dialogue.to_send, b""
        self.transport.write(waiting)


class WireTestCase(SynchronousTestCase):
    """A core's end and somebody else's."""

    def join(self, server, password="", **terms):
        """Connect them."""
        self.clock = Clock()
        self.core = RecordingOwner()
        self.channel = make_channel(
            self.core, make_terms(self.clock, password, **terms)
        )
        self.pipe = Pipe(server, self.channel)
        self.pipe.flush()

    def tell(self, number, event):
        """The core tells something."""
        self.channel.send(number_event(encode_event(event), number))
        self.pipe.flush()

    def ask(self, question):
        """Put a question; what comes of it, in a list."""
        verdicts = []
        self.channel.ask(question).addCallback(verdicts.append)
        self.pipe.flush()
        return verdicts


class RawTests(WireTestCase):
    """A business server written from the page."""

    def meet(self, password="", given=None, **others):
        """Connect one."""
        given = password if given is None else given
        self.raw = Raw(password=given, **others)
        self.dialogue = self.raw.dialogue
        self.join(self.raw, password)

    def flush(self):
        """What the business server has to say goes out, and what comes back."""
        self.raw.flush()
        self.pipe.flush()

    def test_begins(self):
        """It gets in, with the proof of the page."""
        self.meet("pw")
        self.assertTrue(self.channel.begun and self.dialogue.begun)
        self.assertEqual(self.dialogue.core["server_version"], "6.0.0.1")

    def test_wrongPassword(self):
        """It learns why it does not."""
        self.meet("pw", "wrong")
        (refused,) = [
            answer
            for answer in self.dialogue.answers.values()
            if isinstance(answer, RefusedError)
        ]
        self.assertEqual(refused.code, 102)

    def test_events(self):
        """It understands what it is told."""
        self.meet()
        self.tell(1, AppMessageEx(10, ResultCode.SUCCESS, 0))
        self.tell(2, OnlineUsers((Presence(-2, "gäst", 0, "::1", 3),), True))
        self.tell(5, EventsLost(3))
        self.tell(6, OnUserLoginAction(7, "bob", 3, "192.0.2.1"))
        self.tell(7, OnRecvUserTextMsg(3, 7, -1, False, "hi"))
        user = {"user_id": -2, "name": "gäst", "level": 0, "ip": "::1", "room_id": 3}
        self.assertEqual(
            self.dialogue.events,
            [
                (
                    "AppMessageEx",
                    {"message": 10, "error": 0, "server_id": 0, "number": 1},
                ),
                ("OnlineUsers", {"users": [user], "final": True, "number": 2}),
                ("EventsLost", {"count": 3, "number": 5}),
                (
                    "OnUserLoginAction",
                    {
                        "user_id": 7,
                        "name": "bob",
                        "level": 3,
                        "ip": "192.0.2.1",
                        "number": 6,
                    },
                ),
                (
                    "OnRecvUserTextMsg",
                    {
                        "room_id": 3,
                        "source_id": 7,
                        "target_id": -1,
                        "secret": False,
                        "text": "hi",
                        "number": 7,
                    },
                ),
            ],
        )
        self.dialogue.acknowledge()
        self.flush()
        self.assertEqual(self.core.events[-1], ("acknowledged", 7))

    def test_questions(self):
        """It decides."""
        self.meet()
        first = self.ask(VerifyUser("bob", "secret"))
        second = self.ask(PrepareEnterRoom(7, 1, "Room 1", "x"))
        third = self.ask(VerifyUser("eve", "secret"))
        (tag, name, values), (other, _, room), (refused, _, _) = self.dialogue.questions
        self.assertEqual(
            (name, values), ("VerifyUser", {"name": "bob", "password": "secret"})
        )
        self.assertEqual(room["room_name"], "Room 1")
        self.dialogue.answer(other, code=301)
        self.dialogue.refuse(refused, "200 no")
        self.dialogue.answer(tag, code=0, user_id=7, level=3, nickname="Bob")
        self.flush()
        self.assertEqual(first, [Verdict(ResultCode.SUCCESS, 7, 3, "Bob")])
        self.assertEqual(second, [Verdict(ResultCode.ROOM_PASSERR)])
        self.assertEqual(third, [Verdict(ResultCode.CERTIFY_FAIL)])

    def test_calls(self):
        """It acts."""
        self.meet()
        self.core.answer = Answer(ResultCode.SUCCESS, (7, -2))
        users = self.dialogue.call("GetOnlineUsers", room_id=-1)
        data = self.dialogue.call("SendBufToUser", user_id=7, data=b"x" * 60_000)
        later = self.dialogue.call("GetUserInfo", user_id=7, info_id=1)
        self.flush()
        answers = self.dialogue.answers
        self.assertEqual(answers[users], {"ids": [-2, 7], "more": False})
        self.assertEqual(answers[data], {})
        self.assertEqual(answers[later].code, 20)

    def test_heartbeats(self):
        """It answers the core's heartbeats, which is enough to live."""
        self.meet()
        for _ in range(60):
            self.clock.advance(1)
            self.pipe.flush()
        self.assertFalse(self.channel.closed)

    def test_lastWord(self):
        """It learns why the core ends."""
        self.meet()
        self.channel.verdicts_taken(frozenset({"VerifyUser"}), "other")
        self.channel.close(ResultCode.SERVER_RESTART)
        self.pipe.flush()
        self.assertEqual(
            self.dialogue.told,
            [
                ("VerdictsTaken", {"verdicts": b"VerifyUser", "name": "other"}),
                ("LinkClose", {"code": 212}),
            ],
        )


class TwistedServer(amp.AMP):
    """A business server of Twisted's AMP and our declarations."""

    def __init__(self):
        super().__init__()
        self.told = []

    @commands.VerifyUser.responder
    def verify(self, name, password):
        """Refuse, let in, or fail."""
        if name == "eve":
            raise Refusal("202 ACCOUNT_LOCK: later")
        return {"code": 0, "user_id": 7, "level": None, "nickname": name.title()}

    @commands.EventsLost.responder
    def lost(self, count, number):
        """Write down what is told."""
        self.told.append((count, number))
        return {}

    @commands.Heartbeat.responder
    def alive(self):
        """Answer."""
        return {}


class TwistedTests(WireTestCase):
    """A business server written with Twisted's AMP."""

    def setUp(self):
        """One that has begun."""
        self.server = TwistedServer()
        self.join(self.server, "pw")
        nonce = b"c" * 16
        core = self.call(
            commands.Hello,
            version=1,
            name="twisted",
            agent="amp",
            nonce=nonce,
            verdicts={"VerifyUser"},
            events={"*"},
            epoch=b"",
            handled=0,
        )
        proof = make_proof(key_of("pw"), nonce, core["nonce"], b"")
        self.assertEqual(self.call(commands.Begin, proof=proof), {"lost": 0})

    def call(self, command, **values):
        """What came of a command."""
        result = []
        self.server.callRemote(command, **values).addBoth(result.append)
        self.pipe.flush()
        return result[0]

    def test_questions(self):
        """Its answers, refusals included."""
        self.assertEqual(
            self.ask(VerifyUser("bob", "x")), [Verdict(ResultCode.SUCCESS, 7, 0, "Bob")]
        )
        self.assertEqual(
            self.ask(VerifyUser("eve", "x")), [Verdict(ResultCode.ACCOUNT_LOCK)]
        )

    def test_unknownQuestion(self):
        """What it does not know it answers with UNHANDLED: 206, and it stays."""
        verdicts = self.ask(PrepareEnterRoom(7, 1, "Room 1", ""))
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.core.events[-1][0], "fault")
        self.assertTrue(self.channel.begun)

    def test_events(self):
        """It hears."""
        self.tell(1, EventsLost(5))
        self.assertEqual(self.server.told, [(5, 1)])

    def test_calls(self):
        """It calls, and its errors are ours."""
        self.core.answer = Answer(ResultCode.SUCCESS, (7, -2))
        self.assertEqual(
            self.call(commands.GetOnlineUsers, room_id=-1),
            {"ids": (-2, 7), "more": False},
        )
        self.core.answer = Answer(ResultCode.ROOM_INVALID)
        failure = self.call(commands.SendBufToRoom, room_id=9, data=b"x")
        self.assertEqual(failure.check(Refusal), Refusal)
        self.assertEqual(failure.value.code, 303)

    def test_heartbeats(self):
        """It answers the core's heartbeats."""
        for _ in range(60):
            self.clock.advance(1)
            self.pipe.flush()
        self.assertTrue(self.channel.begun)

    def test_startTls(self):
        """AMP's own way to begin TLS is refused."""
        failure = self.call(amp.StartTLS)
        self.assertIsNotNone(failure.check(amp.UnknownRemoteError))
        self.assertTrue(self.channel.begun)
