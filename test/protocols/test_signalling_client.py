"""Tests of `anychat.protocols.signalling_client`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import Capability, DeviceType, ResultCode
from anychat.errors import LocalError, PeerError, Refused
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    EnterRoom,
    Heartbeat,
    HeartbeatReply,
    LinkClose,
    Login,
    LoginResult,
    Logout,
    OnlineUser,
    Result,
    Resume,
    Resumed,
    ServerHello,
)
from anychat.protocols.framing import MAGIC, encode_frame
from anychat.protocols.proof import make_proof
from anychat.protocols.reliable import ReliableChannel
from anychat.protocols.signalling import ClientLink
from test.protocols.dialogue import (
    SALT,
    RecordingClient,
    counting_bytes,
    frame,
    key_of,
    parse,
)
from test.protocols.samples import SAMPLES


def server_hello(proof_required=False):
    """Bytes of a server's hello."""
    return frame(
        ServerHello(
            1,
            Capability.RESUME,
            b"n" * 16,
            SALT,
            proof_required,
            "6.0",
            "",
            "Linux",
            1,
            0,
            5000,
            20000,
        )
    )


CONNECT = frame(Connect(ResultCode.SUCCESS))
GRANTED = LoginResult(ResultCode.SUCCESS, -2, 0, "guest", b"t" * 16, 30)
RESUMED = Resumed(ResultCode.SUCCESS, 0, False, b"u" * 16)


class ClientLinkTestCase(SynchronousTestCase):
    """A link on a transport in memory."""

    def setUp(self):
        """A plain link without SDKAuthPass."""
        self.open()

    def open(self, **arguments):
        """Make the link anew and connect it."""
        self.clock = Clock()
        self.owner = RecordingClient()
        self.link = ClientLink(
            self.owner,
            agent="test",
            random_bytes=counting_bytes(),
            seconds=self.clock.seconds,
            **arguments,
        )
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def ready(self):
        """Bring the link to where it may log in."""
        self.link.dataReceived(server_hello() + CONNECT)
        self.transport.clear()

    def sign_in(self):
        """Bring the link to where it has a session."""
        self.ready()
        self.link.send(Login("guest", ""), 1)
        self.link.dataReceived(frame(GRANTED, 1))
        self.transport.clear()
        self.owner.events.clear()

    def sent(self):
        """What was sent since the last call."""
        data = self.transport.value()
        self.transport.clear()
        return parse(data)

    def end(self):
        """Let the connection end, and give the reason that the owner saw."""
        self.link.connectionLost(Failure(ConnectionLost()))
        return self.owner.reason


class ClientDialogueTests(ClientLinkTestCase):
    """Hello, proof, login, session, as the client sees it."""

    def test_greets(self):
        """Magic and hello go out as soon as there is a connection."""
        data = self.transport.value()
        self.assertTrue(data.startswith(MAGIC))
        ((_, _, _, message),) = parse(data[len(MAGIC) :])
        self.assertEqual(
            message,
            ClientHello(
                1,
                Capability.MEDIA | Capability.RESUME,
                b"\x01" * 16,
                DeviceType.LINUX,
                "test",
            ),
        )

    def test_ready(self):
        """Hello and Connect 0 are reported."""
        self.link.dataReceived(server_hello() + CONNECT)
        self.assertEqual(self.owner.events, ["hello", "ready"])
        self.assertEqual(self.link.hello.server_version, "6.0")

    def test_refusedConnect(self):
        """A Connect that says no ends the link with its code."""
        self.link.dataReceived(
            server_hello() + frame(Connect(ResultCode.CONNECT_AUTHFAIL))
        )
        reason = self.end()
        self.assertIsInstance(reason, Refused)
        self.assertEqual(reason.code, ResultCode.CONNECT_AUTHFAIL)

    def test_refusedBeforeTheHello(self):
        """A server may say no at once."""
        self.link.dataReceived(frame(Connect(ResultCode.CERTHIGHSECURITY)))
        self.assertEqual(self.end().code, ResultCode.CERTHIGHSECURITY)

    def test_proof(self):
        """A proof is made of password, nonces and binding when it is asked for."""
        self.open(password="pw", derive=lambda password, salt: key_of(password))
        self.transport.clear()
        self.link.dataReceived(server_hello(proof_required=True))
        ((_, _, _, message),) = self.sent()
        expected = make_proof(key_of("pw"), b"\x01" * 16, b"n" * 16, b"")
        self.assertEqual(message, ClientProof(expected))

    def test_proofTakesTime(self):
        """The key may be made elsewhere; a link that is gone by then is left."""
        deriving = Deferred()
        self.open(password="pw", derive=lambda password, salt: deriving)
        self.transport.clear()
        self.link.dataReceived(server_hello(proof_required=True))
        self.assertEqual(self.sent(), [])
        self.end()
        deriving.callback(key_of("pw"))
        self.assertEqual(self.sent(), [])

    def test_ownerGivesUp(self):
        """What the owner raises at the hello is why the link ended."""
        self.owner.refuse = Refused(ResultCode.VERSIONNOTMATCH)
        self.link.dataReceived(server_hello())
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.end().code, ResultCode.VERSIONNOTMATCH)

    def test_login(self):
        """A granted login begins a session with fresh numbers."""
        self.ready()
        self.link.send(Login("guest", ""), 1)
        ((request, seq, _, message),) = self.sent()
        self.assertEqual((request, seq, message), (1, 0, Login("guest", "")))
        self.link.dataReceived(frame(GRANTED, 1))
        self.assertEqual(self.owner.events[-1], (1, GRANTED))
        self.link.send(EnterRoom(1), 2)
        ((request, seq, ack, message),) = self.sent()
        self.assertEqual((request, seq, ack, message), (2, 1, 0, EnterRoom(1)))

    def test_sessionMessages(self):
        """Session frames are taken once and acknowledged by the next frame."""
        self.sign_in()
        data = frame(Result(ResultCode.SUCCESS), 2, seq=1)
        self.link.dataReceived(data + data + frame(OnlineUser(1, 1), seq=2))
        self.assertEqual(
            self.owner.events,
            [(2, Result(ResultCode.SUCCESS)), (0, OnlineUser(1, 1))],
        )
        self.link.heartbeat()
        ((_, _, ack, message),) = self.sent()
        self.assertEqual((ack, message), (2, Heartbeat(0)))

    def test_heartbeatStamp(self):
        """The stamp is the clock in milliseconds, modulo 2^32."""
        self.sign_in()
        self.clock.advance(2**32 / 1000 + 5)
        self.link.heartbeat()
        self.assertEqual(self.sent()[0][3], Heartbeat(5000))
        self.link.dataReceived(frame(HeartbeatReply(5000)))
        self.assertEqual(self.owner.events, [(0, HeartbeatReply(5000))])
        self.assertEqual(self.link.last_heard, self.clock.seconds())

    def test_laterNotification(self):
        """A notification of a later version is skipped, but counted."""
        self.sign_in()
        self.link.dataReceived(encode_frame(60000, b"?", seq=1))
        self.assertEqual(self.owner.events, [])
        self.assertEqual(self.link.channel.taken, 1)

    def test_linkClose(self):
        """The server's reason for closing reaches the owner twice."""
        self.sign_in()
        message = LinkClose(ResultCode.LOGIN_NEWLOGIN)
        self.link.dataReceived(frame(message))
        self.assertEqual(self.owner.events, [(0, message)])
        self.assertEqual(self.end().code, ResultCode.LOGIN_NEWLOGIN)

    def test_lostByItself(self):
        """Without a reason of ours the connection's own is reported."""
        self.assertIsInstance(self.end(), ConnectionLost)

    def test_closed(self):
        """After close or abort nothing is sent or taken."""
        for end in (ClientLink.close, ClientLink.abort):
            self.open()
            self.sign_in()
            end(self.link)
            self.link.heartbeat()
            self.link.dataReceived(frame(OnlineUser(1, 1), seq=1))
            self.assertEqual((self.sent(), self.owner.events), ([], []))
            self.assertTrue(self.transport.disconnecting)

    def test_closedWhenGone(self):
        """To close a link whose transport is gone leaves that alone."""
        self.open()
        self.transport.unregisterProducer()
        self.link.connectionLost(Failure(ConnectionLost()))
        self.link.close()
        self.assertFalse(self.transport.disconnecting)


class ClientResumeTests(ClientLinkTestCase):
    """A session goes on over a new link."""

    def setUp(self):
        """A session with two frames of the client unacknowledged."""
        self.open()
        self.sign_in()
        self.link.dataReceived(frame(OnlineUser(1, 1), seq=1))
        self.link.send(EnterRoom(1), 2)
        self.link.send(Logout(), 3)
        self.channel = self.link.channel
        self.open()
        self.ready()
        self.link.resume(self.channel, b"t" * 16, 4)

    def test_asks(self):
        """The token and the last number taken go to the server."""
        ((request, seq, _, message),) = self.sent()
        self.assertEqual((request, seq, message), (4, 0, Resume(1, b"t" * 16)))

    def test_replays(self):
        """What the server missed goes out again before anything else."""
        self.sent()
        message = Resumed(ResultCode.SUCCESS, 1, False, b"u" * 16)
        self.link.dataReceived(frame(message, 4, ack=1))
        ((request, seq, ack, replayed),) = self.sent()
        self.assertEqual((request, seq, ack, replayed), (3, 2, 1, Logout()))
        self.assertEqual(self.owner.events[-1], (4, message))
        self.assertIs(self.link.channel, self.channel)

    def test_resync(self):
        """On resync both directions begin at 1, and nothing is replayed."""
        self.sent()
        message = Resumed(ResultCode.SUCCESS, 0, True, b"u" * 16)
        self.link.dataReceived(frame(message, 4))
        self.link.dataReceived(frame(OnlineUser(1, 1), seq=1))
        self.assertEqual(self.owner.events[-1], (0, OnlineUser(1, 1)))
        self.assertEqual(self.sent(), [])
        self.link.send(EnterRoom(1), 2)
        ((_, seq, ack, _),) = self.sent()
        self.assertEqual((seq, ack), (1, 1))

    def test_refused(self):
        """An unknown session leaves the link ready for a login."""
        self.sent()
        message = Resumed(ResultCode.SESSIONNOTEXIST)
        self.link.dataReceived(frame(message, 4))
        self.assertEqual(self.owner.events[-1], (4, message))
        self.link.send(Login("guest", ""), 5)
        self.link.dataReceived(frame(GRANTED, 5))
        self.assertIsNot(self.link.channel, self.channel)

    def test_cannotReplay(self):
        """If this side has dropped what the server missed, a login is due."""
        channel = ReliableChannel(maximum=1)
        channel.number(33, b"")
        self.open()
        self.ready()
        self.link.resume(channel, b"t" * 16)
        self.link.dataReceived(frame(RESUMED))
        self.assertEqual(self.end().code, ResultCode.SESSIONNOTEXIST)

    def test_noHeartbeatMeanwhile(self):
        """The first frame after Resume says that the new token has come."""
        self.sent()
        self.link.heartbeat()
        self.assertEqual(self.sent(), [])
        message = Resumed(ResultCode.SUCCESS, 2, False, b"u" * 16)
        self.link.dataReceived(frame(message, 4))
        self.link.heartbeat()
        self.assertEqual([m for *_, m in self.sent()], [Heartbeat(0)])


class ClientTroubleTests(ClientLinkTestCase):
    """A server that breaks the protocol is left, and the caller held back."""

    def assertBroken(self, data):
        """These bytes end the link with a PeerError."""
        self.link.dataReceived(data)
        self.assertTrue(self.transport.disconnecting)
        self.assertIsInstance(self.end(), PeerError)

    def test_messageBeforeTheHello(self):
        """The hello comes first."""
        self.assertBroken(frame(GRANTED, 1))

    def test_connectBeforeTheHello(self):
        """A yes without a hello is none."""
        self.assertBroken(CONNECT)

    def test_twoHellos(self):
        """One hello is enough."""
        self.assertBroken(server_hello() + server_hello())

    def test_helloLater(self):
        """Hello and Connect do not come again."""
        self.ready()
        self.assertBroken(CONNECT)

    def test_sessionMessageBeforeTheLogin(self):
        """There are no session messages without a session."""
        self.ready()
        self.assertBroken(frame(OnlineUser(1, 1), seq=1))

    def test_gap(self):
        """A missing number is a fault."""
        self.sign_in()
        self.assertBroken(frame(OnlineUser(1, 1), seq=2))

    def test_falseAcknowledgement(self):
        """What was not sent cannot be acknowledged."""
        self.sign_in()
        self.assertBroken(frame(HeartbeatReply(0), ack=1))

    def test_clientsMessage(self):
        """A server does not log in."""
        self.sign_in()
        self.assertBroken(frame(Login("guest", "")))

    def test_resumedUnasked(self):
        """Nothing is resumed that was not asked for."""
        self.ready()
        self.assertBroken(frame(RESUMED))

    def test_passwordOnAPlainLink(self):
        """A password is not sent where anybody could read it."""
        self.ready()
        for message in (Login("alice", "secret"), EnterRoom(1, "secret")):
            error = self.assertRaises(Refused, self.link.send, message, 1)
            self.assertEqual(error.code, ResultCode.CERTHIGHSECURITY)
        self.assertEqual(self.transport.value(), b"")

    def test_sessionMessageWithoutASession(self):
        """The caller's own mistake is told the caller."""
        self.ready()
        self.assertRaises(LocalError, self.link.send, Logout(), 1)

    @settings(deadline=None, max_examples=200)
    @given(
        st.booleans(),
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.sampled_from([server_hello(), server_hello(True), CONNECT]),
                st.builds(
                    lambda sample, seq: frame(sample, 1, seq),
                    st.sampled_from(SAMPLES),
                    st.integers(0, 3),
                ),
            ),
            max_size=8,
        ),
    )
    def test_anything(self, signed_in, pieces):
        """Whatever a server sends, the link works or ends with a reason."""
        self.open(derive=lambda password, salt: bytes(32))
        if signed_in:
            self.sign_in()
        for piece in pieces:
            self.link.dataReceived(piece)
        if self.transport.disconnecting:
            self.assertIsInstance(self.end(), Refused | PeerError)
