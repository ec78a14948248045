"""Tests of `anychat.protocols.business_client`, mostly against the core's end."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    AppMessageEx,
    EventsLost,
    OnRecvUserFilterData,
    OnUserLoginAction,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import PeerError, Refused, Unavailable
from anychat.protocols import business_commands as commands
from anychat.protocols.business_boxes import encode_event, number_event
from anychat.protocols.business_client import BusinessLink
from test.business_wire import pack, unpack
from test.protocols.business_dialogue import (
    EPOCH,
    RecordingOwner,
    RecordingServer,
    introduction,
    make_channel,
    make_link,
    make_terms,
)
from test.protocols.dialogue import client_options, counting_bytes
from test.protocols.pipe import Pipe


class PairTestCase(SynchronousTestCase):
    """Both ends, joined in memory."""

    def join(
        self, password="", given=None, *, tls=False, about=None, address=None, **terms
    ):
        """Connect them."""
        self.clock = Clock()
        self.core, self.server = RecordingOwner(), RecordingServer()
        address = address or "127.0.0.1"
        self.channel = make_channel(
            self.core,
            make_terms(self.clock, password, tls=tls, **terms),
            address=address,
        )
        self.link = make_link(
            self.server,
            self.clock,
            password=password if given is None else given,
            tls=client_options() if tls else None,
            about=about,
        )
        self.pipe = Pipe(self.link, self.channel, address)
        self.pipe.flush()

    def advance(self, seconds):
        """Let time pass at both ends."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.pipe.flush()

    def tell(self, number, event):
        """The core tells something."""
        self.channel.send(number_event(encode_event(event), number))

    def assertOver(self, kind, code=None):
        """Both ends are gone for this reason, and leave nothing behind."""
        self.pipe.flush()
        self.assertEqual(self.server.kinds()[-1], "lost")
        self.assertEqual(self.core.kinds()[-1], "lost")
        self.assertIsInstance(self.server.reason, kind)
        if code is not None:
            self.assertEqual(self.server.reason.code, code)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class GreetingTests(PairTestCase):
    """Connecting."""

    def test_begins(self):
        """Both ends know each other."""
        self.join(about=introduction(epoch=EPOCH, handled=5))
        (begun,) = self.server.events
        _, hello, lost = begun
        self.assertEqual(lost, 0)
        self.assertEqual(
            (hello.version, hello.heartbeat, hello.timeout, hello.epoch),
            (1, 5.0, 20.0, EPOCH),
        )
        self.assertEqual((self.channel.epoch, self.channel.handled), (EPOCH, 5))
        self.assertEqual(self.channel.verdicts, {"VerifyUser"})
        self.assertTrue(self.link.begun)

    def test_lost(self):
        """How many events are gone is told."""
        self.join()
        core = self.core
        core.lost = 7
        self.channel = make_channel(core, make_terms(self.clock))
        self.link = make_link(self.server, self.clock)
        Pipe(self.link, self.channel).flush()
        self.assertEqual(self.server.events[-1][2], 7)

    def test_password(self):
        """The right password lets in."""
        self.join("pw")
        self.assertEqual(self.server.kinds(), ["begun"])

    def test_overTls(self):
        """TLS by its first byte, the proof bound to it, from anywhere."""
        self.join("pw", tls=True, address="192.0.2.1")
        self.assertEqual(self.server.kinds(), ["secured", "begun"])
        self.assertTrue(self.channel.secure)
        self.tell(1, EventsLost(3))
        self.pipe.flush()
        self.assertEqual(self.server.events[-1], ("event", 1, EventsLost(3)))
        self.channel.close(ResultCode.SERVER_RESTART)
        self.assertOver(Refused, 212)

    def test_plainOverTls(self):
        """A core that offers TLS takes plain links from loopback too."""
        self.join("pw", tls=True)
        self.link = make_link(self.server, self.clock, password="pw")
        channel = make_channel(self.core, make_terms(self.clock, "pw", tls=True))
        Pipe(self.link, channel).flush()
        self.assertTrue(channel.begun)

    def test_foreignCertificate(self):
        """The owner may find the certificate wrong; nothing was said then."""
        self.clock = Clock()
        self.core, self.server = RecordingOwner(), RecordingServer()
        self.server.refuse = Refused(ResultCode.CERTVERIFYFAIL)
        self.channel = make_channel(self.core, make_terms(self.clock, tls=True))
        self.link = make_link(self.server, self.clock, tls=client_options())
        self.pipe = Pipe(self.link, self.channel)
        self.assertOver(Refused, ResultCode.CERTVERIFYFAIL)
        self.assertEqual(self.channel.name, "")

    def test_lateHandshake(self):
        """A handshake that is through when the link was given up is of no use."""
        self.join(tls=True)
        self.link.abort()
        self.link.handshakeCompleted()
        self.assertEqual(self.server.kinds(), ["secured", "begun"])
        self.assertOver(ConnectionLost)

    def test_wrongPassword(self):
        """A wrong one is told to both sides."""
        self.join("pw", "wrong")
        self.assertEqual(self.core.fault.code, 102)
        self.assertOver(Refused, 102)

    def test_noPassword(self):
        """Where one is wanted and none given nothing is tried."""
        self.join("pw", "")
        self.assertIn("SDKAuthPass", str(self.server.reason))
        self.assertOver(Refused, 102)

    def test_passwordOfNoUse(self):
        """A core without a password takes a business server that has one."""
        self.join("", "pw")
        self.assertEqual(self.server.kinds(), ["begun"])

    def test_beyondLoopback(self):
        """From elsewhere: TLS, and a password at the core."""
        self.join("pw", address="192.0.2.1")
        self.assertIn("TLS", str(self.server.reason))
        self.assertOver(Refused, 74)
        self.join("", tls=True, address="192.0.2.1")
        self.assertIn("SDKAuthPass", str(self.server.reason))
        self.assertOver(Refused, 102)

    def test_turnedAway(self):
        """The core's reason is ours."""
        self.clock = Clock()
        self.core, self.server = RecordingOwner(), RecordingServer()
        self.core.turn_away = Refused(ResultCode.NOENOUGHRESOURCE, "names")
        self.channel = make_channel(self.core, make_terms(self.clock))
        self.link = make_link(self.server, self.clock)
        self.pipe = Pipe(self.link, self.channel)
        self.assertOver(Refused, 23)

    def test_unfitIntroduction(self):
        """A name that cannot be is refused before anything is sent."""
        self.join(about=introduction(name="a\nb"))
        self.assertEqual(self.channel.name, "")
        self.assertOver(Refused, 21)

    def test_slowKey(self):
        """The key may take its time; a link that is gone is left alone."""
        self.clock = Clock()
        self.core, self.server = RecordingOwner(), RecordingServer()
        key = Deferred()
        self.channel = make_channel(self.core, make_terms(self.clock, "pw"))
        self.link = BusinessLink(
            self.server,
            introduction(),
            password="pw",
            seconds=self.clock.seconds,
            call_later=self.clock.callLater,
            random_bytes=counting_bytes(),
            derive=lambda password, salt: key,
        )
        self.pipe = Pipe(self.link, self.channel)
        self.pipe.flush()
        self.advance(10)
        self.assertOver(Unavailable, 100)
        key.callback(b"k" * 32)


class CoreTestCase(SynchronousTestCase):
    """A link whose core is written by hand."""

    def setUp(self):
        """A link that has connected."""
        self.open()

    def open(self):
        """Make the link anew."""
        self.clock = Clock()
        self.server = RecordingServer()
        self.link = make_link(self.server, self.clock)
        self.transport = StringTransport()
        self.transport.protocol = self.link
        self.link.makeConnection(self.transport)

    def say(self, *boxes):
        """The core sends."""
        for box in boxes:
            self.link.dataReceived(pack(box))

    def said(self):
        """The boxes that the business server sent since the last call."""
        boxes, _ = unpack(self.transport.value())
        self.transport.clear()
        return boxes

    def hello(self, **others):
        """The core's answer to the hello."""
        said = {
            "_answer": "1",
            "version": 1,
            "nonce": b"n" * 16,
            "salt": b"s" * 16,
            "proof_required": False,
            "server_version": "6",
            "build_time": "now",
            "heartbeat": 5000,
            "timeout": 20000,
            "answer_timeout": 4500,
            "epoch": EPOCH,
        }
        self.say({**said, **others})

    def begin(self):
        """A link that has begun."""
        self.open()
        self.hello()
        self.say({"_answer": "2", "lost": 0})
        self.assertTrue(self.link.begun)
        self.said()

    def assertEnds(self, kind, code):
        """The link has given up for this reason."""
        self.assertTrue(self.link.closed)
        self.link.connectionLost(Failure(ConnectionDone()))
        self.assertIsInstance(self.server.reason, kind)
        self.assertEqual(self.server.reason.code, code)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CoreTests(CoreTestCase):
    """What a core may do wrong."""

    def test_hello(self):
        """Nothing but the hello is said at first."""
        (box,) = self.said()
        self.assertEqual(
            box,
            {
                "_command": b"Hello",
                "_ask": b"1",
                "version": b"1",
                "name": b"main",
                "agent": b"test/1",
                "nonce": b"\1" * 16,
                "verdicts": b"VerifyUser",
                "events": b"*",
                "epoch": b"",
                "handled": b"0",
            },
        )

    def test_laterVersion(self):
        """A version that was not offered is none."""
        self.hello(version=2)
        self.assertEnds(PeerError, 32)

    def test_unfitHello(self):
        """An answer that lacks something is none."""
        for wrong in (
            {"version": 0},
            {"nonce": b"x"},
            {"heartbeat": 0},
            {"server_version": b"\xff"},
            {"epoch": b""},
        ):
            self.open()
            self.hello(**wrong)
            self.assertEnds(PeerError, 7)

    def test_refusals(self):
        """A refusal with whatever code ends the link with that."""
        for tag, text, code in (
            ("1", "107 CONNECT_OLDVERSION: client version too old", 107),
            ("1", "nothing", 5),
        ):
            self.open()
            self.say(
                {"_error": tag, "_error_code": "REFUSED", "_error_description": text}
            )
            self.assertEnds(Refused, code)

    def test_unfitBegin(self):
        """So for the answer to `Begin`."""
        self.hello()
        self.say({"_answer": "2"})
        self.assertEnds(PeerError, 7)

    def test_answersWhatWasNotAsked(self):
        """An answer to nothing ends the link."""
        self.say({"_answer": "2"})
        self.assertEnds(PeerError, 7)

    def test_garbage(self):
        """Neither AMP nor a box."""
        for data in (b"HTTP/1.1 400 Bad Request\r\n", b"\0\0", b"\x15\x03\x01\0\2\2"):
            self.open()
            self.link.dataReceived(data)
            self.assertEnds(PeerError, 7)

    def test_tooSlow(self):
        """A core that does not answer is given up, at either step."""
        self.clock.advance(10)
        self.assertEnds(Unavailable, 100)
        self.open()
        self.clock.advance(9)
        self.hello()
        self.clock.advance(1)
        self.assertEnds(Unavailable, 100)

    def test_nothingBeforeBegin(self):
        """Events and questions before the answer to `Begin` are not looked at."""
        self.hello()
        self.say(
            {"_command": "EventsLost", "count": 1, "number": 1},
            {"_command": "VerifyUser", "_ask": "1", "name": "b", "password": "x"},
        )
        self.assertEqual(self.server.events, [])
        self.assertEqual(self.said()[-1]["_error"], b"1")

    def test_silence(self):
        """A core that falls silent is given up."""
        self.begin()
        for _ in range(19):
            self.clock.advance(1)
        self.assertFalse(self.link.closed)
        self.clock.advance(1)
        self.assertEnds(PeerError, 100)

    def test_heartbeats(self):
        """Ours go out, the core's are answered."""
        self.begin()
        self.say({"_command": "Heartbeat", "_ask": "a"})
        self.assertEqual(self.said(), [{"_answer": b"a"}])
        self.clock.advance(5)
        self.assertEqual(self.said(), [{"_command": b"Heartbeat", "_ask": b"3"}])

    def test_linkClose(self):
        """The core's last word is the reason."""
        self.begin()
        self.say({"_command": "LinkClose", "code": 212})
        self.assertEnds(Refused, 212)

    def test_verdictsTaken(self):
        """Who answers is handed on."""
        self.begin()
        self.say({"_command": "VerdictsTaken", "verdicts": "A,B", "name": "other"})
        self.assertEqual(
            self.server.events[-1], ("verdicts", frozenset({"A", "B"}), "other")
        )

    def test_unfitEvents(self):
        """An event that cannot be read ends the link: it must not be lost quietly."""
        for box in (
            {"_command": "EventsLost", "count": 1},
            {"_command": "EventsLost", "number": 1},
            {"_command": "EventsLost", "count": "x", "number": 1},
            {"_command": "EventsLost", "count": 1, "number": 0},
            {"_command": "OnUserLoginAction", "number": 1},
            {"_command": "Later", "number": "x"},
        ):
            self.begin()
            self.say(box)
            self.assertEnds(PeerError, 7)

    def test_numbersRise(self):
        """A number that is not higher than the last one is a fault."""
        for number in (5, 4):
            self.begin()
            self.say({"_command": "EventsLost", "count": 1, "number": 5})
            self.say({"_command": "EventsLost", "count": 1, "number": number})
            self.assertEnds(PeerError, 7)
            self.assertEqual(len(self.server.events), 3)

    def test_laterEvents(self):
        """An event of a later version is handed on by its number."""
        self.begin()
        self.say({"_command": "OnLater", "what": "x", "number": 3})
        self.assertEqual(self.server.events[-1], ("event", 3, None))

    def test_laterCommands(self):
        """Other commands of later versions are refused, or ignored."""
        self.begin()
        self.say({"_command": "Later"}, {"_command": "Later", "_ask": "x"})
        (box,) = self.said()
        self.assertEqual(box["_error_code"], b"REFUSED")
        self.assertTrue(box["_error_description"].startswith(b"20 "))
        self.assertEqual(self.link.ignored, 1)
        self.assertFalse(self.link.closed)

    def test_unfitQuestion(self):
        """A question that lacks something is refused."""
        self.begin()
        self.say({"_command": "VerifyUser", "_ask": "x", "name": "bob"})
        self.assertTrue(self.said()[0]["_error_description"].startswith(b"21 "))
        self.assertEqual(self.server.kinds(), ["begun"])

    def test_ownersFault(self):
        """A fault in the owner is logged and ends the link."""
        self.begin()
        self.server.fault = ValueError("x")
        self.say({"_command": "EventsLost", "count": 1, "number": 5})
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEnds(PeerError, 5)

    def test_nothingAfterTheEnd(self):
        """Nothing is said or heard when the link is over."""
        self.begin()
        self.link.close()
        self.say({"_command": "EventsLost", "count": 1, "number": 5})
        self.link.acknowledge(5)
        self.assertEqual(self.said(), [])
        self.assertEqual(self.server.kinds(), ["begun"])
        self.assertTrue(self.transport.disconnecting)
        self.clock.advance(5)
        self.assertTrue(self.transport.disconnected)
        self.link.connectionLost(Failure(ConnectionLost()))
        self.assertIsInstance(self.server.reason, ConnectionLost)

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["_command", "_ask", "_answer", "_error", "number", "count", "k"]
                ),
                st.sampled_from(
                    [b"EventsLost", b"VerifyUser", b"Heartbeat", b"LinkClose", b"1"]
                )
                | st.binary(max_size=9),
                min_size=1,
            ),
            max_size=6,
        ),
        st.booleans(),
    )
    def test_fuzz(self, boxes, begun):
        """Whatever boxes come, nothing is raised and nothing is left behind."""
        if begun:
            self.begin()
        else:
            self.open()
        self.say(*boxes)
        self.link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.server.kinds()[-1], "lost")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EventTests(PairTestCase):
    """Events, questions and acknowledgements between both ends."""

    def setUp(self):
        """Two ends that have begun."""
        self.join()

    def test_inOrder(self):
        """Events and questions are handed on in the order of the core."""
        login = OnUserLoginAction(7, "bob", 3, "192.0.2.1")
        verdicts = []
        self.tell(1, login)
        self.channel.ask(VerifyUser("bob", "secret")).addCallback(verdicts.append)
        self.tell(2, EventsLost(2))
        self.pipe.flush()
        self.assertEqual(
            self.server.events[1:],
            [
                ("event", 1, login),
                ("question", VerifyUser("bob", "secret")),
                ("event", 2, EventsLost(2)),
            ],
        )
        self.assertEqual(verdicts, [self.server.verdict])

    def test_bigEvents(self):
        """The biggest events come through, many at once."""
        events = [OnRecvUserFilterData(n, bytes([n]) * 60_000) for n in range(20)]
        for number, event in enumerate(events, 1):
            self.tell(number, event)
        self.pipe.flush()
        self.assertEqual([event[2] for event in self.server.events[1:]], events)

    def test_acknowledge(self):
        """What is done with is told."""
        self.tell(1, AppMessageEx(10, ResultCode.SUCCESS, 0))
        self.pipe.flush()
        self.link.acknowledge(1)
        self.pipe.flush()
        self.assertEqual(self.core.events[-1], ("acknowledged", 1))

    def ask(self, question=None):
        """Put a question; what comes of it, in a list."""
        verdicts = []
        question = question or VerifyUser("bob", "secret")
        self.channel.ask(question).addCallback(verdicts.append)
        self.pipe.flush()
        return verdicts

    def test_laterVerdict(self):
        """A verdict may come later."""
        self.server.verdict = Deferred()
        verdicts = self.ask(PrepareEnterRoom(7, 1, "Room 1", ""))
        self.assertEqual(verdicts, [])
        self.server.verdict.callback(Verdict(ResultCode.ROOM_PASSERR))
        self.pipe.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.ROOM_PASSERR)])

    def test_noVerdict(self):
        """Whatever fails is logged and answered with 206; the link stays."""
        for wrong in (
            ValueError("x"),
            fail(ValueError("x")),
            Verdict(ResultCode.SUCCESS, 2**40, 0, ""),
            Verdict(ResultCode.SUCCESS, 7, 0, "\ud800"),
            None,
        ):
            self.server.verdict = wrong
            self.assertEqual(self.ask(), [Verdict(ResultCode.SERVERSDK_FAIL)])
            self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertFalse(self.link.closed)

    def test_refusedQuestion(self):
        """What an owner refuses with a text is 206, and the core's owner reads it."""
        self.server.verdict = Refused(ResultCode.SERVERSDK_FAIL, "it raised KeyError")
        self.assertEqual(self.ask(), [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertIn("it raised KeyError", self.core.fault.reason)

    def test_verdictAfterTheEnd(self):
        """A verdict that comes after the link has gone is dropped."""
        self.server.verdict = Deferred()
        verdicts = self.ask()
        self.pipe.cut()
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.server.verdict.callback(Verdict(ResultCode.SUCCESS, 7))
        self.assertOver(ConnectionLost)

    def test_heartbeatsKeepIt(self):
        """Two idle ends stay together."""
        self.advance(120)
        self.assertTrue(self.channel.begun and self.link.begun)
        self.assertFalse(self.channel.closed or self.link.closed)

    def test_networkDies(self):
        """Each end notices by itself that nothing comes any more."""
        self.pipe.server.reads = self.pipe.client.reads = False
        self.advance(20)
        self.assertTrue(self.channel.closed and self.link.closed)


class CallTests(PairTestCase):
    """Calls between both ends."""

    def setUp(self):
        """Two ends that have begun."""
        self.join()

    def call(self, command, **values):
        """What comes of a call, in a list."""
        result = []
        self.link.call(command, **values).addBoth(result.append)
        self.pipe.flush()
        return result

    def assertRefused(self, result, kind, code):
        """It was refused like this."""
        (failure,) = result
        self.assertIsInstance(failure.value, kind)
        self.assertEqual(failure.value.code, code)

    def test_answer(self):
        """An answer comes back by name."""
        self.core.answer = Answer(ResultCode.SUCCESS, (7, -2, 8))
        self.assertEqual(
            self.call(commands.GetOnlineUsers, room_id=-1),
            [{"ids": (-2, 7, 8), "more": False}],
        )
        self.assertEqual(self.call(commands.SendBufToUser, user_id=7, data=b"x"), [{}])

    def test_fullPage(self):
        """The biggest answer there is comes through."""
        ids = tuple(range(-(2**31), -(2**31) + 5001))
        self.core.answer = Answer(ResultCode.SUCCESS, ids)
        (answer,) = self.call(commands.GetRoomIdList)
        self.assertEqual((answer["ids"], answer["more"]), (ids[:-1], True))

    def test_refused(self):
        """The core's code, and what it says."""
        self.core.answer = Answer(ResultCode.INVALID_USERID)
        self.assertRefused(
            self.call(commands.TransBuffer, user_id=7, data=b"x"), Refused, 205
        )
        self.assertRefused(
            self.call(commands.ObjectGetIdList, object_type=5), Refused, 20
        )

    def test_unfit(self):
        """What does not fit is refused here, and nothing is sent."""
        for values in (
            {"user_id": 7, "data": b"x" * 60_001},
            {"user_id": 7, "data": b"x" * 100_000},
            {"user_id": 7},
            {"user_id": "7", "data": b"x"},
            {"user_id": 7, "data": b""},
        ):
            result = self.call(commands.SendBufToUser, **values)
            self.assertRefused(result, Refused, 21)
        self.assertEqual(self.core.calls(), [])
        self.assertFalse(self.link.closed)

    def test_beforeBegin(self):
        """A link that has not begun, or is gone, says so."""
        self.pipe.cut()
        self.assertRefused(self.call(commands.GetRoomIdList), Unavailable, 101)

    def test_goesWhileOpen(self):
        """Calls that wait when the link goes are told."""
        self.pipe.server.reads = False
        results = [self.call(commands.GetRoomIdList) for _ in range(3)]
        self.pipe.cut()
        for result in results:
            self.assertRefused(result, Unavailable, 101)
        self.assertOver(ConnectionLost)

    def test_noAnswer(self):
        """A core that lives and does not answer: the call ends, the link stays."""
        link = self.link
        self.pipe.server.reads = False
        result = self.call(commands.GetRoomIdList)
        for _ in range(10):
            self.clock.advance(1)
            link.last_heard = self.clock.seconds()
        self.assertRefused(result, Unavailable, 100)
        self.pipe.server.reads = True
        self.pipe.flush()
        self.assertEqual(link.late, 1)
        self.assertFalse(link.closed)

    def test_cancel(self):
        """A call can be given up; its answer is ignored."""
        self.pipe.server.reads = False
        call = self.link.call(commands.GetRoomIdList)
        call.addErrback(lambda failure: None)
        call.cancel()
        self.pipe.server.reads = True
        self.pipe.flush()
        self.assertEqual(self.link.late, 1)

    def test_unfitAnswer(self):
        """An answer that is none fails the call."""
        self.pipe.server.reads = False
        result = self.call(commands.GetRoomIdList)
        self.link.dataReceived(pack({"_answer": "3", "ids": b"\0", "more": True}))
        self.assertRefused(result, Refused, 21)

    def test_tooMany(self):
        """So many calls may wait at once."""
        self.patch(BusinessLink, "OPEN_CALLS", 2)
        self.pipe.server.reads = False
        waiting = [self.call(commands.GetRoomIdList) for _ in range(2)]
        self.assertRefused(self.call(commands.GetRoomIdList), Refused, 23)
        self.pipe.server.reads = True
        self.pipe.flush()
        self.assertEqual([len(result) for result in waiting], [1, 1])

    def test_coreDoesNotRead(self):
        """Nor may too many bytes wait."""
        self.patch(BusinessLink, "SEND_BUDGET", 100_000)
        self.pipe.server.reads = False
        results = [
            self.call(commands.SendBufToUser, user_id=7, data=bytes(60_000))
            for _ in range(5)
        ]
        self.assertEqual([len(result) for result in results], [0, 0, 0, 1, 1])
        self.assertRefused(results[-1], Refused, 23)
        self.pipe.server.reads = True
        self.pipe.flush()
        self.assertEqual(self.call(commands.GetRoomIdList)[0]["ids"], ())
