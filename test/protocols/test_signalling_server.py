"""Tests of `anychat.protocols.signalling_server`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import Capability, DeviceType, ResultCode
from anychat.errors import LocalError, PeerError
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    Heartbeat,
    HeartbeatReply,
    LinkClose,
    Login,
    LoginResult,
    Logout,
    MediaPacket,
    MediaPath,
    Resume,
    ServerHello,
)
from anychat.protocols.formats import REGISTRY, encode
from anychat.protocols.framing import encode_frame
from anychat.protocols.proof import make_proof
from anychat.protocols.signalling import Stage
from anychat.protocols.signalling_server import WAITING
from test.protocols.dialogue import (
    SALT,
    RecordingOwner,
    RecordingSession,
    frame,
    hello,
    key_of,
    make_link,
    make_terms,
    messages_in,
    parse,
)
from test.protocols.samples import SAMPLES


class LinkTestCase(SynchronousTestCase):
    """A link on a transport in memory."""

    def setUp(self):
        """A link that was just accepted."""
        self.open()

    def open(self, password="", secure=True, **terms):
        """Make the link anew."""
        self.clock = Clock()
        self.owner = RecordingOwner()
        self.link = make_link(
            self.owner, make_terms(self.clock, password, **terms), secure=secure
        )
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def said(self):
        """What the server said since the last call."""
        data = self.transport.value()
        self.transport.clear()
        return messages_in(data)

    def reach(self, stage):
        """Bring a new link to a stage."""
        self.open(password="pw" if stage is Stage.PROOF else "", secure=False)
        if stage is Stage.HELLO:
            return
        self.link.dataReceived(hello())
        if stage in (Stage.LOGIN, Stage.SESSION, Stage.CLOSED):
            self.link.dataReceived(frame(Login("guest", ""), 1))
        if stage in (Stage.SESSION, Stage.CLOSED):
            self.link.begin(RecordingSession())
        if stage is Stage.CLOSED:
            self.link.close(None)
        self.assertIs(self.link.stage, stage)
        self.said()


class DialogueTests(LinkTestCase):
    """Hello, proof, login: in that order and no other."""

    def test_hello(self):
        """A client's hello is answered with everything the server tells."""
        self.clock.advance(93)
        self.link.dataReceived(hello())
        greeting, connect = self.said()
        self.assertEqual(
            greeting,
            ServerHello(
                version=1,
                capabilities=Capability.MEDIA | Capability.RESUME,
                nonce=b"\x01" * 16,
                salt=SALT,
                proof_required=False,
                server_version="6.0.0.1",
                build_time="2026-11-20 08:00:00",
                operating_system="Linux 6.1",
                uptime=93,
                licence_mode=0,
                check_time=5000,
                timeout=20000,
            ),
        )
        self.assertEqual(connect, Connect(ResultCode.SUCCESS))
        self.assertIs(self.link.device, DeviceType.LINUX)

    def test_noMediaOnAPlainLink(self):
        """A plain link does not promise media, for it may carry no key."""
        self.open(secure=False)
        self.link.dataReceived(hello())
        self.assertEqual(self.said()[0].capabilities, Capability.RESUME)

    def test_laterVersion(self):
        """A client that speaks more is answered with what is spoken here."""
        self.link.dataReceived(hello(version=9))
        self.assertEqual(self.said()[0].version, 1)

    def test_versionZero(self):
        """A client that speaks nothing we know is told so."""
        self.link.dataReceived(hello(version=0))
        self.assertEqual(self.said(), [Connect(ResultCode.CONNECT_OLDVERSION)])
        self.assertTrue(self.transport.disconnecting)

    def test_ownerTurnsAway(self):
        """The owner may refuse a client; it learns why and nothing else."""
        self.owner.turn_away = PeerError("no", ResultCode.CONNECT_IPFORBID)
        self.link.dataReceived(hello())
        self.assertEqual(self.said(), [Connect(ResultCode.CONNECT_IPFORBID)])
        self.assertTrue(self.transport.disconnecting)

    def test_login(self):
        """A login goes to the owner, whose refusal goes back."""
        self.link.dataReceived(hello() + frame(Login("guest", ""), 5))
        self.assertEqual(self.owner.events[-1], ("login", 5, Login("guest", "")))
        self.said()
        self.link.refuse(5, ResultCode.VISITOR_DENY)
        ((request, _, _, message),) = parse(self.transport.value())
        self.assertEqual((request, message), (5, LoginResult(ResultCode.VISITOR_DENY)))
        self.assertEqual((self.link.failures, self.link.stage), (1, Stage.READY))

    def test_loginAfterARefusedOne(self):
        """A user may mistype a password."""
        self.link.dataReceived(hello() + frame(Login("alice", "a"), 1))
        self.link.refuse(1, ResultCode.CERTIFY_FAIL)
        self.link.dataReceived(frame(Login("alice", "b"), 2))
        self.assertEqual(self.owner.kinds(), ["hello", "login", "login"])

    def test_resume(self):
        """A resumption goes to the owner."""
        message = Resume(3, b"t" * 16)
        self.link.dataReceived(hello() + frame(message, 4))
        self.assertEqual(self.owner.events[-1], ("resume", 4, message))

    def test_passwordOnAPlainLink(self):
        """A password that anybody could read is refused, and so is the link."""
        self.open(secure=False)
        self.link.dataReceived(hello() + frame(Login("alice", "secret"), 1))
        self.assertEqual(self.said()[-1], LinkClose(ResultCode.PROTOCOLFAIL))
        self.assertEqual(self.owner.kinds(), ["hello", "fault"])

    def test_heartbeat(self):
        """A heartbeat comes back with its stamp and its request number."""
        for stage in (Stage.READY, Stage.LOGIN, Stage.SESSION):
            self.reach(stage)
            self.clock.advance(3)
            self.link.dataReceived(frame(Heartbeat(777), 8))
            ((request, seq, _, message),) = parse(self.transport.value())
            self.assertEqual(
                (request, seq, message), (8, 0, HeartbeatReply(777)), stage
            )
            self.assertEqual(self.link.last_heard, 3)

    def test_sessionFramesGoToTheSession(self):
        """Once there is a session its frames and all acks go there."""
        self.reach(Stage.SESSION)
        session = self.link.session
        self.link.dataReceived(
            frame(Logout(), 2, seq=1, ack=4) + frame(Heartbeat(1), ack=5)
        )
        self.assertEqual([f.seq for f in session.frames], [1])
        self.assertEqual(session.acks, [4, 5])
        ((_, _, ack, _),) = parse(self.transport.value())
        self.assertEqual(ack, 1)

    def test_everyStageAndMessage(self):
        """The table is total: a message is taken at its stages, else refused."""
        taken = {
            (Stage.HELLO, ClientHello),
            (Stage.READY, Login),
            (Stage.READY, Resume),
            (Stage.READY, Heartbeat),
            (Stage.LOGIN, Heartbeat),
            (Stage.SESSION, Heartbeat),
            (Stage.SESSION, MediaPacket),
            (Stage.SESSION, MediaPath),
        }
        samples = {type(sample): sample for sample in SAMPLES}
        samples[Login] = Login("guest", "")
        for stage in Stage:
            for row in REGISTRY:
                if stage is Stage.PROOF and row.kind is ClientProof:
                    continue  # see ProofTests
                self.reach(stage)
                self.owner.events.clear()
                _, body = encode(samples[row.kind])
                self.link.dataReceived(encode_frame(row.number, body, request=9))
                good = (
                    (stage, row.kind) in taken
                    or stage is Stage.CLOSED
                    or (stage is Stage.SESSION and row.number >= 32)
                )
                self.assertEqual(
                    "fault" not in self.owner.kinds(), good, (stage, row.kind)
                )
                if stage is Stage.CLOSED:
                    self.assertEqual(self.owner.events, [])
                    self.assertEqual(self.said(), [])
                elif not good:
                    code = (
                        ResultCode.CONNECT_AUTHFAIL
                        if stage is Stage.PROOF
                        else ResultCode.PROTOCOLFAIL
                    )
                    early = stage in (Stage.HELLO, Stage.PROOF)
                    self.assertEqual(
                        self.said(), [Connect(code) if early else LinkClose(code)]
                    )
                    self.assertTrue(self.transport.disconnecting)


class ProofTests(LinkTestCase):
    """With SDKAuthPass set, nothing goes without the right proof."""

    def setUp(self):
        """A link of a server with a password."""
        self.open(password="pw")

    def prove(self, password="pw", server_nonce=b"\x01" * 16, binding=b""):
        """Say hello and send a proof, on a plain link."""
        self.open(password="pw", secure=False)
        self.link.dataReceived(hello())
        (greeting,) = self.said()
        self.assertTrue(greeting.proof_required)
        proof = make_proof(key_of(password), b"c" * 16, server_nonce, binding)
        self.link.dataReceived(frame(ClientProof(proof)))
        return self.said()

    def test_right(self):
        """The right proof opens the link."""
        self.assertEqual(self.prove(), [Connect(ResultCode.SUCCESS)])
        self.assertIs(self.link.stage, Stage.READY)

    def test_wrong(self):
        """A wrong one closes it with 102."""
        refused = [Connect(ResultCode.CONNECT_AUTHFAIL)]
        self.assertEqual(self.prove(password="other"), refused)
        self.assertEqual(self.prove(server_nonce=b"\x02" * 16), refused)
        self.assertEqual(self.prove(binding=bytes(32)), refused)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.owner.events[-1], ("fault", ResultCode.CONNECT_AUTHFAIL))

    def test_missing(self):
        """Anything else in its place is not looked at, and closes with 102."""
        token = b"t" * 16
        for instead in (
            frame(Login("guest", ""), 1),
            frame(Resume(0, token), 1),
            frame(Heartbeat(1)),
            frame(Logout(), 1, seq=1),
            hello(),
            encode_frame(60000, b"?"),
        ):
            self.open(password="pw")
            self.link.dataReceived(hello() + instead)
            self.assert_refused()

    def test_malformed(self):
        """A proof that is none, or a broken frame, closes with 102 too."""
        number, body = encode(ClientProof(bytes(32)))
        for instead in (
            encode_frame(number, body[:-1]),
            encode_frame(number, body + b"?"),
            encode_frame(number, b""),
            (65537).to_bytes(4, "big"),
        ):
            self.open(password="pw")
            self.link.dataReceived(hello() + instead)
            self.assert_refused()

    def assert_refused(self):
        """The link was closed with 102, and its owner told."""
        greeting, answer = self.said()
        self.assertTrue(greeting.proof_required)
        self.assertEqual(answer, Connect(ResultCode.CONNECT_AUTHFAIL))
        self.assertEqual(self.owner.kinds(), ["hello", "fault"])
        self.assertEqual(self.owner.events[-1], ("fault", ResultCode.CONNECT_AUTHFAIL))
        self.assertTrue(self.transport.disconnecting)

    def test_notAskedFor(self):
        """Without SDKAuthPass a proof is out of place."""
        self.open()
        self.link.dataReceived(hello() + frame(ClientProof(bytes(32))))
        self.assertEqual(self.owner.kinds(), ["hello", "fault"])

    def test_onlyOneTry(self):
        """A closed link takes no second proof."""
        self.prove(password="other")
        proof = make_proof(key_of("pw"), b"c" * 16, b"\x01" * 16, b"")
        self.link.dataReceived(frame(ClientProof(proof)))
        self.assertEqual(self.said(), [])
        self.assertIs(self.link.stage, Stage.CLOSED)


class TroubleTests(LinkTestCase):
    """Bad input and bad peers cost their link and nothing else."""

    def test_oversizedFrame(self):
        """A frame over the maximum closes the link with 7."""
        self.link.dataReceived((65537).to_bytes(4, "big"))
        self.assertEqual(self.said(), [Connect(ResultCode.PROTOCOLFAIL)])
        self.assertTrue(self.transport.disconnecting)

    def test_malformedMessage(self):
        """A body that is no message closes the link with 7."""
        self.link.dataReceived(encode_frame(1, b"garbage"))
        self.assertEqual(self.said(), [Connect(ResultCode.PROTOCOLFAIL)])

    def test_ownerFails(self):
        """Our own fault closes the link with an opaque code, and is logged."""

        def fail(link, hello):
            raise LocalError("secret inside")

        self.owner.link_hello = fail
        self.link.dataReceived(hello())
        self.assertEqual(self.said(), [Connect(ResultCode.EXCEPTION)])
        self.assertEqual(len(self.flushLoggedErrors(LocalError)), 1)

    def test_nothingAfterClose(self):
        """What comes or is written after the close goes nowhere."""
        self.reach(Stage.SESSION)
        session = self.link.session
        self.link.close(ResultCode.KICKOUT)
        self.assertEqual(self.said(), [LinkClose(ResultCode.KICKOUT)])
        self.link.dataReceived(frame(Logout(), 1, seq=1))
        self.link.write(b"more")
        self.link.close(ResultCode.KICKOUT)
        self.assertEqual((session.frames, self.transport.value()), ([], b""))

    def test_keepsNothingAfterClose(self):
        """TLS goes on delivering until it has ended; none of it is collected."""
        for end in (lambda link: link.close(None), lambda link: link.abort()):
            self.reach(Stage.SESSION)
            end(self.link)
            for _ in range(100):
                self.link.dataReceived(bytes(60_000))
            self.assertEqual(self.link._reader.pending, 0)

    def test_framesAfterTheOneThatCloses(self):
        """A link that one frame closed does not take the next of the same read."""
        self.reach(Stage.SESSION)
        session = self.link.session
        session.receive = lambda frame: self.link.close(None)
        self.link.dataReceived(frame(Logout(), 1, seq=1) + frame(Heartbeat(1)))
        self.assertEqual(self.transport.value(), b"")

    def test_closeWaitsForNoProducer(self):
        """The link is no producer any more when it closes, or it never would."""
        self.assertIs(self.transport.producer, self.link)
        self.link.close(None)
        self.assertIsNone(self.transport.producer)

    def test_lost(self):
        """The end of the connection is reported once."""
        self.link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.owner.events, [("lost",)])
        self.assertIs(self.link.stage, Stage.CLOSED)

    def test_peerThatDoesNotRead(self):
        """Over the budget the link is cut, and its owner told."""
        self.open(send_budget=1000)
        self.link.dataReceived(hello())
        self.said()
        self.link.write(bytes(5000))
        self.assertFalse(self.link.closed)
        self.link.pauseProducing()
        self.link.write(bytes(600))
        self.link.write(bytes(400 - WAITING))
        self.assertFalse(self.link.closed)
        self.link.write(b"x")
        self.assertTrue(self.link.closed)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.owner.events[-1], ("fault", ResultCode.NOENOUGHRESOURCE))
        self.assertEqual(len(self.transport.value()), 6000 - WAITING)

    def test_slowPeerThatCatchesUp(self):
        """One that reads everything in the end may go on."""
        self.open(send_budget=1000)
        for _ in range(5):
            self.link.pauseProducing()
            self.link.write(bytes(900))
            self.link.resumeProducing()
        self.assertFalse(self.link.closed)

    def test_unsent(self):
        """The owner knows what waits for a peer that does not read."""
        for end in (
            lambda link: link.resumeProducing(),
            lambda link: link.cut("too much"),
            lambda link: link.connectionLost(Failure(ConnectionLost())),
        ):
            self.reach(Stage.SESSION)
            self.link.write(bytes(5000))
            self.assertEqual((self.owner.unsent, self.link.unsent), (0, 0))
            self.link.pauseProducing()
            for size in (100, 200):
                self.link.write(bytes(size))
            waiting = 300 + 2 * WAITING
            self.assertEqual((self.owner.unsent, self.link.unsent), (waiting, waiting))
            end(self.link)
            self.assertEqual((self.owner.unsent, self.link.unsent), (0, 0))

    def test_unsentByOneWrite(self):
        """The write that makes too much wait counts like those after it."""
        write = self.transport.write

        def pause(data):
            write(data)
            self.link.pauseProducing()

        self.transport.write = pause
        self.link.write(bytes(1 << 20))
        self.assertEqual(self.owner.unsent, (1 << 20) + WAITING)

    def test_unsentWhileClosing(self):
        """What a closing link still has to send counts until it is gone."""
        self.reach(Stage.SESSION)
        self.link.pauseProducing()
        self.link.write(bytes(1000))
        self.link.close(None)
        self.assertEqual(self.owner.unsent, 1000 + WAITING)
        self.link.cut("too much")
        self.assertEqual(self.owner.unsent, 0)
        self.assertNotIn("fault", self.owner.kinds())

    def test_rateInTheLongRun(self):
        """A client that keeps to the rate is never paused, and has no timer."""
        self.open(message_rate=10.0, message_burst=20.0)
        self.link.dataReceived(hello() + 18 * frame(Heartbeat(1)))
        for _ in range(200):
            self.clock.advance(0.1)
            self.link.dataReceived(frame(Heartbeat(1)))
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.owner.kinds(), ["hello"])

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.sampled_from([hello(), frame(Login("guest", ""), 1)]),
                st.builds(
                    lambda sample, seq: frame(sample, 1, seq),
                    st.sampled_from(SAMPLES),
                    st.integers(0, 3),
                ),
            ),
            max_size=8,
        )
    )
    def test_anything(self, pieces):
        """Whatever comes, the link speaks frames, or is closed with a code."""
        self.open(secure=False)
        for piece in pieces:
            self.link.dataReceived(piece)
            if self.link.stage is Stage.LOGIN:
                self.link.begin(RecordingSession())
        said = self.said()
        self.assertEqual(
            self.transport.disconnecting,
            bool(said) and getattr(said[-1], "code", 0) != 0,
        )


class RateTests(LinkTestCase):
    """A client that sends too fast has to wait, and loses nothing."""

    def flood(self, count=40):
        """Hello and so many heartbeats in one read: 20 may come at once."""
        self.open(message_rate=10.0, message_burst=20.0)
        self.link.dataReceived(hello())
        self.said()
        self.link.dataReceived(count * frame(Heartbeat(1)))

    def test_everythingReadIsTaken(self):
        """What was read is answered; nothing more is read until it is repaid."""
        self.flood()
        self.assertEqual(self.said(), [HeartbeatReply(1)] * 40)
        self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(self.owner.kinds(), ["hello", "paused"])
        self.clock.advance(2.0)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.11)
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.link.closed)

    def test_again(self):
        """Who goes on too fast waits for every message from then on."""
        self.flood()
        for _ in range(5):
            self.clock.advance(2.1)
            self.assertEqual(self.transport.producerState, "producing")
            self.link.dataReceived(21 * frame(Heartbeat(1)))
            self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(len(self.said()), 40 + 5 * 21)

    def test_moreWhilePaused(self):
        """What TLS had read already is taken too, and makes the wait longer."""
        self.flood()
        self.link.dataReceived(10 * frame(Heartbeat(1)))
        self.assertEqual(len(self.said()), 50)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.owner.kinds(), ["hello", "paused"])
        self.clock.advance(3.0)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(0.11)
        self.assertEqual(self.transport.producerState, "producing")

    def test_isNoSilence(self):
        """The wait is not the client's silence: that begins after it."""
        self.flood()
        self.assertAlmostEqual(self.link.last_heard, 2.1)

    def test_close(self):
        """A link that is closed meanwhile reads again: TLS needs the last word."""
        self.flood()
        self.said()
        self.link.close(ResultCode.KICKOUT)
        self.assertEqual(self.said(), [LinkClose(ResultCode.KICKOUT)])
        self.assertEqual(self.transport.producerState, "producing")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort(self):
        """So is one that is cut."""
        self.flood()
        self.link.abort()
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost(self):
        """A connection that is lost meanwhile leaves no timer."""
        self.flood()
        self.link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fault(self):
        """A flood with a fault in it is closed for the fault, not paused."""
        self.open(message_rate=10.0, message_burst=20.0)
        self.link.dataReceived(hello() + 40 * frame(Heartbeat(1)) + b"\0\0\0\0")
        self.assertEqual(self.owner.kinds(), ["hello", "fault"])
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.clock.getDelayedCalls(), [])
