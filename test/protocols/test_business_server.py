"""Tests of `anychat.protocols.business_server`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    EventsLost,
    GetOnlineUsers,
    GetRoomIdList,
    PrepareEnterRoom,
    SendBufToUser,
    TransBufferToUser,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import PeerError, Refused
from anychat.protocols.boxes import BoxReader, encode_box
from anychat.protocols.business_boxes import CALLS, encode_event, number_event
from anychat.protocols.business_server import EARLY, Stage
from anychat.protocols.proof import make_proof
from test.business_wire import pack, unpack
from test.protocols.business_dialogue import (
    EPOCH,
    RecordingOwner,
    make_channel,
    make_terms,
)
from test.protocols.dialogue import SALT, key_of

NONCE = b"c" * 16


def hello(**others):
    """The first box."""
    said = {
        "version": 1,
        "name": "main",
        "agent": "test/1",
        "nonce": NONCE,
        "verdicts": "VerifyUser,PrepareEnterRoom",
        "events": "*",
        "epoch": b"",
        "handled": 0,
    }
    return asked("Hello", "h", **{**said, **others})


def asked(command, tag, **values):
    """A command that wants an answer."""
    return pack({"_command": command, "_ask": tag, **values})


def answered(tag, **values):
    """An answer."""
    return pack({"_answer": tag, **values})


class ChannelTestCase(SynchronousTestCase):
    """A channel on a transport in memory."""

    def setUp(self):
        """A channel that was just accepted."""
        self.open()

    def open(self, password="", address="127.0.0.1", **terms):
        """Make the channel anew."""
        self.clock = Clock()
        self.owner = RecordingOwner()
        self.channel = make_channel(
            self.owner, make_terms(self.clock, password, **terms), address=address
        )
        self.transport = StringTransport()
        self.transport.protocol = self.channel
        self.channel.makeConnection(self.transport)

    def begin(self, **terms):
        """A channel that has begun."""
        self.open(**terms)
        self.say(hello(), asked("Begin", "b", proof=b""))
        self.said()
        self.assertTrue(self.channel.begun)

    def say(self, *boxes):
        """The business server sends."""
        self.channel.dataReceived(b"".join(boxes))

    def said(self):
        """The boxes that the core sent since the last call."""
        boxes, rest = unpack(self.transport.value())
        self.assertEqual(rest, b"")
        self.transport.clear()
        return boxes

    def assertRefused(self, code):
        """The last command was refused with this code."""
        (box,) = self.said()
        self.assertEqual(box["_error_code"], b"REFUSED")
        self.assertEqual(int(box["_error_description"].split()[0]), code)

    def assertEnds(self, code):
        """The channel was closed for this, and nothing is left of it."""
        self.assertTrue(self.channel.closed)
        self.assertEqual(int(self.owner.fault.code), code)
        self.assertTrue(self.transport.disconnecting)
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.owner.kinds()[-1], "lost")
        self.assertEqual(self.owner.kinds().count("fault"), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class GreetingTests(ChannelTestCase):
    """Up to `Begin`."""

    def test_hello(self):
        """The core says what it is, and remembers what it was told."""
        self.say(hello(verdicts="VerifyUser", events="A, B", handled=3, epoch=EPOCH))
        (box,) = self.said()
        self.assertEqual(
            box,
            {
                "_answer": b"h",
                "version": b"1",
                "nonce": b"\1" * 16,
                "salt": SALT,
                "proof_required": b"False",
                "server_version": b"6.0.0.1",
                "build_time": b"2026-11-20 08:00:00",
                "heartbeat": b"5000",
                "timeout": b"20000",
                "answer_timeout": b"5000",
                "epoch": EPOCH,
            },
        )
        channel = self.channel
        self.assertEqual(
            (channel.name, channel.agent, channel.epoch, channel.handled),
            ("main", "test/1", EPOCH, 3),
        )
        self.assertEqual(channel.verdicts, {"VerifyUser"})
        self.assertTrue(channel.wants("A"))
        self.assertFalse(channel.wants("C"))
        self.assertEqual(self.owner.events, [])

    def test_begin(self):
        """The owner is asked first, then told that it may send."""
        self.owner.lost = 12
        self.say(hello())
        self.said()
        self.assertFalse(self.channel.begun)
        self.say(asked("Begin", "b", proof=b""))
        self.assertEqual(self.said(), [{"_answer": b"b", "lost": b"12"}])
        self.assertEqual(self.owner.events, [("begun", "main"), ("ready",)])
        self.assertTrue(self.channel.begun)
        self.assertTrue(self.channel.wants("whatever"))

    def test_atOnce(self):
        """Where no proof is asked everything may come in one go."""
        self.say(
            hello(),
            asked("Begin", "b", proof=b""),
            asked("SendBufToUser", "c", user_id=7, data=b"x" * EARLY),
        )
        self.assertEqual([box["_answer"] for box in self.said()], [b"h", b"b", b"c"])

    def test_laterVersion(self):
        """Whoever speaks a later version too is answered with this one."""
        self.say(hello(version=9))
        self.assertEqual(self.said()[0]["version"], b"1")
        self.assertEqual(self.channel.version, 1)

    def test_version0(self):
        """Nobody speaks version 0."""
        self.say(hello(version=0))
        self.assertRefused(107)
        self.assertEnds(107)

    def test_proof(self):
        """The right proof lets in."""
        self.open("pw")
        self.say(hello())
        (box,) = self.said()
        self.assertEqual(box["proof_required"], b"True")
        proof = make_proof(key_of("pw"), NONCE, box["nonce"], b"")
        self.say(asked("Begin", "b", proof=proof))
        self.assertEqual(self.said()[0]["lost"], b"0")
        self.assertTrue(self.channel.begun)

    def test_wrongProof(self):
        """Wrong, missing and foreign proofs are refused, and never the owner's."""
        for proof in (b"", b"p" * 32, make_proof(key_of("pw"), NONCE, NONCE, b"")):
            self.open("pw")
            self.say(hello())
            self.said()
            self.say(asked("Begin", "b", proof=proof))
            self.assertRefused(102)
            self.assertEnds(102)
            self.assertNotIn("begun", self.owner.kinds())

    def test_turnedAway(self):
        """The owner's refusal reaches the business server."""
        self.owner.turn_away = Refused(ResultCode.NOENOUGHRESOURCE, "too many names")
        self.say(hello())
        self.said()
        self.say(asked("Begin", "b", proof=b""))
        self.assertRefused(23)
        self.assertEnds(23)

    def test_ownersFault(self):
        """A fault of ours is in our log, and no word of it on the wire."""
        self.owner.turn_away = ValueError("secret")
        self.say(hello())
        self.said()
        self.say(asked("Begin", "b", proof=b""))
        self.assertEqual(self.transport.value(), b"")
        self.assertEnds(5)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_unfitHello(self):
        """A hello that lacks something or says too much is told what is wrong."""
        for wrong, word in (
            ({"name": ""}, b"name"),
            ({"name": "x" * 65}, b"name"),
            ({"name": "a\nb"}, b"name"),
            ({"nonce": b"short"}, b"nonce"),
            ({"epoch": b"x" * 9}, b"epoch"),
            ({"handled": -1}, b"handled"),
            ({"events": b"\xff"}, b"events"),
            ({"version": b"one"}, b"version"),
        ):
            self.open()
            self.say(hello(**wrong))
            self.assertIn(b"FUNCOPTERROR", self.transport.value())
            self.assertIn(word, self.transport.value())
            self.assertEnds(21)

    def test_plainFromElsewhere(self):
        """Beyond loopback a plain link is refused, password or not."""
        for password in ("", "pw"):
            self.open(password, "192.0.2.1")
            self.say(hello())
            self.assertRefused(74)
            self.assertEnds(74)

    def test_otherThanGreetings(self):
        """Before `Begin` nothing else is taken."""
        for first, boxes in (
            (b"", asked("Begin", "b", proof=b"")),
            (b"", asked("Heartbeat", "1")),
            (b"", answered("1")),
            (b"", pack({"_command": "Hello"})),
            (hello(), hello()),
            (hello(), pack({"_command": "Begin", "proof": b""})),
            (hello(), asked("SendBufToUser", "1", user_id=1, data=b"x")),
            (hello(), pack({"_command": "Acknowledge", "number": 1})),
        ):
            self.open()
            if first:
                self.say(first)
                self.said()
            self.say(boxes)
            self.assertEqual(self.transport.value(), b"", boxes)
            self.assertEnds(7)

    def test_foreign(self):
        """Neither TLS nor AMP is closed without a word; so is TLS, if not offered."""
        for data in (b"GET / HTTP/1.1\r\n", b"\xacAnyChat", b"\x16\x03\x01", b"\xff"):
            self.open()
            self.say(data)
            self.assertEqual(self.transport.value(), b"")
            self.assertEnds(7)

    def test_tooManyBytes(self):
        """Before `Begin` so many bytes are taken, in boxes or not."""
        for portion in (
            b"\0\1a\xff\xff",
            encode_box([(b"a", bytes(EARLY))]),
            hello(agent="x" * 100, later=b"x" * (EARLY - 100)),
        ):
            self.open()
            self.say(portion)
            self.assertEqual(self.transport.value(), b"")
            self.assertEnds(7)

    def test_tooManyBytesAltogether(self):
        """All that comes before `Begin` counts, not each box for itself."""
        self.open()
        self.say(hello(), b"\0\1b\x0f\xa0")
        self.said()
        self.say(bytes(EARLY - len(hello()) - 5))
        self.assertFalse(self.channel.closed)
        self.say(b"x")
        self.assertIn("before Begin", self.owner.fault.reason)
        self.assertEqual(self.transport.value(), b"")
        self.assertEnds(7)

    def test_nothing(self):
        """No bytes at all say nothing."""
        self.say(b"")
        self.assertEqual(self.channel.stage, Stage.OPEN)

    def test_closedByTheOwner(self):
        """An owner may close a channel when it begins."""
        self.owner.channel_begun = lambda channel: channel.close(ResultCode.SIGTERM)
        self.say(hello())
        self.said()
        self.say(asked("Begin", "b", proof=b""))
        self.assertEqual(self.transport.value(), b"")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.owner.kinds(), ["over"])

    def test_tooSlow(self):
        """Who has not begun in time is closed, however much of it came."""
        for said in ((), (hello(),), (hello()[:-1],), (b"\0",)):
            self.open(begin_time=10.0)
            self.clock.advance(5)
            if said:
                self.say(*said)
            self.clock.advance(4.9)
            self.assertFalse(self.channel.closed)
            self.clock.advance(0.1)
            self.assertEnds(100)

    def test_nothingAfterTheEnd(self):
        """What comes when the channel is over is not looked at."""
        self.say(b"GET /")
        self.say(hello())
        self.assertEqual(self.owner.kinds(), ["over", "fault"])

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.binary(min_size=1, max_size=200), max_size=4))
    def test_garbage(self, portions):
        """Whatever comes first, nobody is let in and nothing is raised."""
        self.open()
        for portion in portions:
            self.say(b"\0" + portion)
        self.assertNotIn("begun", self.owner.kinds())
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class QuestionTests(ChannelTestCase):
    """Questions and their verdicts."""

    def setUp(self):
        """A channel that has begun."""
        self.begin()

    def ask(self, question=None):
        """Put a question; what comes of it, in a list."""
        result = []
        question = question or VerifyUser("bob", "secret")
        self.channel.ask(question).addCallback(result.append)
        return result

    def test_verdict(self):
        """A verdict comes back."""
        result = self.ask()
        (box,) = self.said()
        self.assertEqual(box["_command"], b"VerifyUser")
        self.assertEqual((box["name"], box["password"]), (b"bob", b"secret"))
        self.assertEqual(result, [])
        tag = box["_ask"].decode()
        self.say(answered(tag, code=0, user_id=7, level=3, nickname="Bob"))
        self.assertEqual(result, [Verdict(ResultCode.SUCCESS, 7, 3, "Bob")])

    def test_anyOrder(self):
        """Verdicts find their questions in whatever order they come."""
        results = [self.ask() for _ in range(20)]
        tags = [box["_ask"].decode() for box in self.said()]
        self.assertEqual(len(set(tags)), 20)
        for place in reversed(range(20)):
            self.say(answered(tags[place], code=0, user_id=place + 1))
        self.assertEqual([result[0].user_id for result in results], list(range(1, 21)))

    def test_ordered(self):
        """A question goes out after everything that was sent before."""
        event = number_event(encode_event(EventsLost(1)), 1)
        self.channel.send(event)
        self.ask()
        self.channel.send(event)
        self.assertEqual(
            [box["_command"] for box in self.said()],
            [b"EventsLost", b"VerifyUser", b"EventsLost"],
        )

    def test_codeOfTheApplication(self):
        """A code that is none of AnyChat's comes through."""
        result = self.ask(PrepareEnterRoom(7, 1, "Room 1", ""))
        self.say(answered("1", code=123456))
        self.assertEqual(result[0].code, 123456)

    def test_refusal(self):
        """A refusal with a number is a verdict; one without is 206, and told."""
        for text, code, told in (
            (b"200 CERTIFY_FAIL: wrong", 200, False),
            (b"206 SERVERSDK_FAIL: verify_user raised KeyError", 206, True),
            (b"206", 206, True),
            (b"something else", 206, True),
        ):
            result = self.ask()
            tag = self.said()[0]["_ask"]
            self.say(
                pack(
                    {
                        "_error": tag,
                        "_error_code": b"REFUSED",
                        "_error_description": text,
                    }
                )
            )
            self.assertEqual(result[0].code, code)
            self.assertEqual(self.owner.kinds()[-1] == "fault", told)
            if told:
                self.assertFalse(self.owner.fault.reason.endswith(": "))
        for kind in (b"UNKNOWN", b"UNHANDLED", b"OTHER"):
            result = self.ask()
            tag = self.said()[0]["_ask"]
            self.say(pack({"_error": tag, "_error_code": kind}))
            self.assertEqual(result[0].code, 206)
            self.assertEqual(self.owner.events[-1][0], "fault")
        self.assertFalse(self.channel.closed)

    def test_nonsense(self):
        """An answer that is none is 206 and told, and the channel goes on."""
        for nonsense in (
            {},
            {"code": b"yes"},
            {"code": -1},
            {"code": 0, "user_id": b"seven"},
            {"code": 0, "nickname": b"\xff"},
            {"code": 0, "nickname": b"x" * 65000},
        ):
            result = self.ask()
            tag = self.said()[0]["_ask"].decode()
            self.say(answered(tag, **nonsense))
            self.assertEqual(result, [Verdict(ResultCode.SERVERSDK_FAIL)])
            self.assertEqual(self.owner.events[-1], ("fault", 21, False))
            self.assertIn("VerifyUser", self.owner.fault.reason)
        self.assertFalse(self.channel.closed)

    def test_twice(self):
        """A second answer is counted and ignored."""
        result = self.ask()
        self.say(answered("1", code=0, user_id=7), answered("1", code=200))
        self.assertEqual([verdict.code for verdict in result], [0])
        self.assertEqual(self.channel.late, 1)
        self.assertFalse(self.channel.closed)

    def test_late(self):
        """A question that is given up is 207, and its answer ignored."""
        result = []
        question = self.channel.ask(VerifyUser("bob", "x"))
        question.addCallback(result.append)
        question.cancel()
        self.assertEqual(result, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        self.say(answered("1", code=0, user_id=7))
        self.assertEqual((len(result), self.channel.late), (1, 1))

    def test_neverAsked(self):
        """An answer to what was never asked ends the channel."""
        for tag in ("2", "0", "", "x", "01\n", "f" * 40, "-1"):
            self.begin()
            self.ask()
            self.say(answered(tag, code=0))
            self.assertEqual(self.owner.fault.code, 7, tag)
            self.assertTrue(self.channel.closed)

    def test_drops(self):
        """Every open question is 206 at once when the channel goes."""
        results = [self.ask() for _ in range(3)]
        self.channel.connectionLost(Failure(ConnectionLost()))
        for result in results:
            self.assertEqual(result, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.ask(), [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.owner.kinds()[-1], "lost")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_beforeBegin(self):
        """Nothing is asked before the business server has begun."""
        self.open()
        self.assertEqual(self.ask(), [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.transport.value(), b"")

    def test_doesNotFit(self):
        """A question that fits no box is answered, not raised."""
        result = self.ask(VerifyUser("x" * 70_000, "x"))
        self.assertEqual(result, [Verdict(ResultCode.FUNCOPTERROR)])
        self.assertEqual(self.said(), [])

    def test_overBeforeVerdicts(self):
        """The owner hears that it is over before questions are given up."""
        self.ask()
        asked = self.channel.ask(VerifyUser("ann", "x"))
        asked.addCallback(lambda _: self.owner.events.append(("verdict",)))
        self.channel.close(ResultCode.CONNECT_OFFLINE)
        self.assertEqual(self.owner.kinds()[-2:], ["over", "verdict"])


class CallTests(ChannelTestCase):
    """What a business server has the core do."""

    def setUp(self):
        """A channel that has begun."""
        self.begin()

    def test_call(self):
        """A call reaches the owner, and its answer the business server."""
        self.say(asked("SendBufToUser", "x", user_id=7, data=b"data"))
        self.assertEqual(self.owner.calls(), [SendBufToUser(7, b"data")])
        self.assertEqual(self.said(), [{"_answer": b"x"}])
        self.say(asked("TransBuffer", "y", user_id=7, data=b"data"))
        self.assertEqual(self.owner.calls()[1:], [TransBufferToUser(7, b"data")])
        self.assertEqual(self.channel.calls, 2)

    def test_withoutAnswer(self):
        """A call without a tag is carried out and not answered, nor refused."""
        self.say(pack({"_command": "SendBufToUser", "user_id": 7, "data": b"x"}))
        self.owner.answer = Answer(ResultCode.INVALID_USERID)
        self.say(pack({"_command": "SendBufToUser", "user_id": 8, "data": b"x"}))
        self.say(pack({"_command": "SendBufToUser"}))
        self.assertEqual(len(self.owner.calls()), 2)
        self.assertEqual(self.said(), [])
        self.assertEqual(self.channel.ignored, 2)

    def test_refused(self):
        """The owner's code is what the business server gets."""
        self.owner.answer = Answer(ResultCode.INVALID_USERID)
        self.say(asked("SendBufToUser", "x", user_id=7, data=b"data"))
        self.assertRefused(205)

    def test_ownersFault(self):
        """A fault of ours is logged and answered with 5; the channel goes on."""
        self.owner.answer = ValueError("secret")
        self.say(asked("SendBufToUser", "x", user_id=7, data=b"data"))
        self.assertNotIn(b"secret", self.transport.value())
        self.assertRefused(5)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertFalse(self.channel.closed)

    def test_pages(self):
        """More ids than fit come in portions, ascending, none twice."""
        self.owner.answer = Answer(ResultCode.SUCCESS, tuple(range(11_999, -2, -1)))
        found, after = [], {}
        for more in (b"True", b"True", b"False"):
            self.say(asked("GetOnlineUsers", "x", room_id=-1, **after))
            (box,) = self.said()
            self.assertEqual(box["more"], more)
            found += ids_of(box)
            after = {"after": found[-1]}
        self.assertEqual(found, list(range(-1, 12_000)))
        self.assertEqual(self.owner.calls(), [GetOnlineUsers(-1)] * 3)

    def test_noIds(self):
        """An empty list is one."""
        self.say(asked("GetRoomIdList", "x"))
        self.assertEqual(self.owner.calls(), [GetRoomIdList()])
        self.assertEqual(self.said(), [{"_answer": b"x", "ids": b"", "more": b"False"}])

    def test_unfit(self):
        """Values that do not fit are refused, and the text names them."""
        for values, word in (
            ({"user_id": 7}, b"data is missing"),
            ({"user_id": 7, "data": b"x" * 60_001}, b"data has not"),
            ({"user_id": 2**31, "data": b"x"}, b"user_id is not from"),
            ({"user_id": b"seven", "data": b"x"}, b"user_id is not a decimal"),
        ):
            self.say(asked("SendBufToUser", "x", **values))
            self.assertIn(word, self.transport.value())
            self.assertRefused(21)
        self.assertEqual(self.owner.calls(), [])

    def test_notBuiltYet(self):
        """Calls of features to come answer 20, whatever they carry."""
        ready = {
            b"SendBufToUser",
            b"SendBufToRoom",
            b"TransBuffer",
            b"GetOnlineUsers",
            b"GetRoomIdList",
            b"TransBufferEx",
            b"TransFile",
            b"FetchFile",
            b"VideoCallControl",
            b"SetUserInfo",
            b"GetUserInfo",
            b"UserInfoControl",
            b"QueryInfoFromServer",
            b"SetSDKOption",
        }
        for name in set(CALLS) - ready:
            self.say(asked(name, "x"))
            self.assertRefused(20)
        self.assertEqual(self.owner.calls(), [])

    def test_unknown(self):
        """What nobody knows answers 20 too, or is ignored; the channel stays."""
        for name in (b"Nonsense", b"StartTLS", b"Hello", b"Begin", b"\xff" * 255, b""):
            self.say(asked(name, "x"))
            self.assertRefused(20)
            self.say(pack({"_command": name}))
            self.assertEqual(self.said(), [])
        self.assertFalse(self.channel.closed)
        self.assertEqual(self.channel.ignored, 6)

    def test_neitherCommandNorAnswer(self):
        """A box that is neither ends the channel."""
        self.say(pack({"user_id": 7}))
        self.assertEnds(7)

    def test_longTag(self):
        """A tag has so many bytes."""
        self.say(asked("Heartbeat", "x" * 64))
        self.assertEqual(self.said(), [{"_answer": b"x" * 64}])
        self.say(asked("Heartbeat", "x" * 65))
        self.assertEnds(7)

    def test_rate(self):
        """Who calls too fast is not read for a while, and not closed."""
        self.begin(call_rate=10.0, call_burst=20.0)
        self.say(*[pack({"_command": "GetRoomIdList"})] * 30)
        self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(len(self.owner.calls()), 30)
        self.clock.advance(0.9)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.2)
        self.assertEqual(self.transport.producerState, "producing")
        self.assertFalse(self.channel.closed)

    def test_restGrows(self):
        """What TLS had read already makes the rest longer."""
        self.begin(call_rate=10.0, call_burst=20.0)
        call = pack({"_command": "GetRoomIdList"})
        self.say(*[call] * 30)
        self.say(*[call] * 10)
        self.clock.advance(1.9)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.2)
        self.assertEqual(self.transport.producerState, "producing")

    def test_restIsNoSilence(self):
        """The time in which nothing is read counts for nobody's silence."""
        self.begin(call_rate=1.0, call_burst=2.0, timeout=10.0, heartbeat=3.0)
        self.say(*[pack({"_command": "GetRoomIdList"})] * 32)
        for _ in range(29):
            self.clock.advance(1)
        self.assertFalse(self.channel.closed)
        for _ in range(12):
            self.clock.advance(1)
        self.assertTrue(self.channel.closed)

    def test_endWhileResting(self):
        """A channel that ends while it rests leaves nothing behind."""
        self.begin(call_rate=1.0, call_burst=2.0)
        self.say(*[pack({"_command": "GetRoomIdList"})] * 32)
        self.channel.close(ResultCode.CONNECT_OFFLINE)
        self.assertEqual(self.transport.producerState, "producing")
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["_command", "_ask", "_answer", "_error", "user_id", "data", "k"]
                ),
                st.sampled_from(
                    [b"SendBufToUser", b"Acknowledge", b"Heartbeat", b"GetRoomIdList"]
                )
                | st.binary(max_size=9),
                min_size=1,
            ),
            max_size=6,
        )
    )
    def test_garbage(self, boxes):
        """Whatever boxes come, nothing is raised, and it can be read."""
        self.begin()
        for box in boxes:
            self.say(pack(box))
        reader = BoxReader()
        list(reader.receive(self.transport.value()))
        self.assertEqual(reader.waiting, 0)
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StreamTests(ChannelTestCase):
    """Acknowledgements, heartbeats, limits, and the end."""

    def setUp(self):
        """A channel that has begun."""
        self.begin()

    def test_acknowledge(self):
        """A number reaches the owner."""
        self.say(pack({"_command": "Acknowledge", "number": 5}))
        self.assertEqual(self.owner.events[-1], ("acknowledged", 5))
        self.assertEqual(self.said(), [])

    def test_unfitAcknowledge(self):
        """Without a number nothing could go on: the channel ends."""
        for box in ({}, {"number": b"x"}, {"number": -1}):
            self.begin()
            self.say(pack({"_command": "Acknowledge", **box}))
            self.assertEnds(7)

    def test_acknowledgesWhatWasNotSent(self):
        """The owner may find a number wrong."""
        self.owner.unknown_number = PeerError("acknowledged event 9 of 3")
        self.say(pack({"_command": "Acknowledge", "number": 9}))
        self.assertEqual(self.said()[-1]["_command"], b"LinkClose")
        self.assertEnds(7)

    def test_heartbeats(self):
        """Each side asks, each answers."""
        self.clock.advance(5)
        (box,) = self.said()
        self.assertEqual(box, {"_command": b"Heartbeat", "_ask": b"1"})
        self.say(answered("1"), asked("Heartbeat", "z"))
        self.assertEqual(self.said(), [{"_answer": b"z"}])
        self.clock.advance(5)
        self.assertEqual(self.said()[0]["_ask"], b"2")

    def test_silence(self):
        """Who says nothing for the time-out is closed, not later."""
        self.clock.advance(1)
        self.say(asked("Heartbeat", "z"))
        for _ in range(19):
            self.clock.advance(1)
        self.assertFalse(self.channel.closed)
        self.clock.advance(1)
        self.assertEqual(self.said()[-1], {"_command": b"LinkClose", "code": b"100"})
        self.assertEnds(100)

    def test_aliveWithoutHeartbeats(self):
        """Whatever comes shows that the business server lives."""
        for number in range(60):
            self.clock.advance(1)
            if not number % 10:
                self.say(pack({"_command": "Acknowledge", "number": 0}))
        self.assertFalse(self.channel.closed)

    def test_verdictsTaken(self):
        """Who answers is told."""
        self.channel.verdicts_taken(frozenset({"VerifyUser"}), "other")
        self.assertEqual(
            self.said(),
            [
                {
                    "_command": b"VerdictsTaken",
                    "verdicts": b"VerifyUser",
                    "name": b"other",
                }
            ],
        )

    def test_close(self):
        """The last word is why; then nothing is written or read any more."""
        self.channel.close(ResultCode.SERVER_RESTART)
        self.assertEqual(self.said(), [{"_command": b"LinkClose", "code": b"212"}])
        self.assertTrue(self.transport.disconnecting)
        self.channel.send(b"more")
        self.say(asked("GetRoomIdList", "x"))
        self.assertEqual((self.transport.value(), self.owner.calls()), (b"", []))
        self.channel.close(ResultCode.SIGTERM)
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.owner.kinds(), ["begun", "ready", "over", "lost"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closeIsCut(self):
        """A closing connection that does not empty itself is cut."""
        self.channel.close(ResultCode.SERVER_RESTART)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(5)
        self.assertTrue(self.transport.disconnected)

    def test_abortAfterTheEnd(self):
        """To cut what is gone does nothing."""
        self.channel.connectionLost(Failure(ConnectionLost()))
        self.channel.abort()
        self.channel.close(ResultCode.SERVER_RESTART)
        self.assertFalse(self.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_doesNotRead(self):
        """Who does not read is closed when too much waits for it."""
        self.begin(send_budget=1000)
        result = []
        self.channel.ask(VerifyUser("bob", "x")).addCallback(result.append)
        self.channel.send(bytes(5000))
        self.assertFalse(self.channel.closed)  # the transport has not said so
        self.channel.pauseProducing()
        self.channel.send(bytes(1000))
        self.assertEqual(self.channel.unsent, 1000)
        self.assertFalse(self.channel.closed)
        self.channel.send(b"x")
        self.assertEqual(result, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEnds(23)

    def test_catchesUp(self):
        """Who reads again owes nothing."""
        self.begin(send_budget=1000)
        for _ in range(3):
            self.channel.pauseProducing()
            self.channel.send(bytes(900))
            self.channel.resumeProducing()
        self.assertEqual(self.channel.unsent, 0)
        self.assertFalse(self.channel.closed)

    def test_boxTooLong(self):
        """After `Begin` boxes may be long, but not endless."""
        self.say(asked("Nonsense", "x", a=bytes(65000), b=bytes(65000)))
        self.assertRefused(20)
        self.say(asked("Nonsense", "x", a=bytes(65000), b=bytes(65000), c=bytes(2000)))
        self.assertEnds(7)

    def test_secretsStayInside(self):
        """Neither key nor password is in a repr."""
        self.open("pw")
        terms = make_terms(self.clock, "pw")
        self.assertNotIn(repr(key_of("pw")), repr(terms))

    def test_stages(self):
        """The stages in their order."""
        self.open()
        stages = [self.channel.stage]
        for box in (hello(), asked("Begin", "b", proof=b"")):
            self.say(box[:1])
            stages.append(self.channel.stage)
            self.say(box[1:])
        stages.append(self.channel.stage)
        self.assertEqual(stages, [Stage.OPEN, Stage.HELLO, Stage.BEGIN, Stage.READY])


def ids_of(box):
    """The list in an answer."""
    value, found = box["ids"], []
    while value:
        size = int.from_bytes(value[:2], "big")
        found.append(int(value[2 : 2 + size]))
        value = value[2 + size :]
    return found
