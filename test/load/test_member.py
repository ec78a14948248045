"""One user of the load, against a link that says what the test wants."""

import socket
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind
from anychat.errors import Refused
from anychat.load.layout import Seat
from anychat.load.member import Member
from anychat.load.pattern import steady
from anychat.media import rtcp, stun
from anychat.media.srtp import SrtcpSender
from anychat.messages import (
    EnterRoomResult,
    Login,
    LoginResult,
    Logout,
    MediaSetup,
    OpenStream,
    Result,
    StreamGranted,
    StreamOpened,
    UserSpeakControl,
)

SETUP = MediaSetup((), 8907, "user", 1, 2, b"k" * 20, b"r" * 16, b"s" * 12)


class Connection:
    """Stands for the connection and its link; keeps what was sent."""

    def __init__(self):
        self.address = self.local_address = "127.0.0.1"
        self.link = self
        self.sent = []
        self.closed = False

    def send(self, message, request=0):
        """As a link."""
        self.sent.append((message, request))

    def close(self):
        """As a connection."""
        self.closed = True


class Dialler:
    """Gives that connection."""

    def __init__(self):
        self.connection = Connection()

    def dial(self, host, port, owner):
        """Begin to connect."""
        return self.connection


def granted(user_id: int) -> StreamGranted:
    """A grant of that user's audio."""
    form = steady(200, 50).format
    return StreamGranted(
        user_id, StreamKind.AUDIO, 0, 77, form, 0, 0, b"k" * 16, b"s" * 12
    )


class MemberTests(SynchronousTestCase):
    """What a member asks, and how it takes the answers."""

    def setUp(self):
        """A member that has not dialled yet."""
        dialler = Dialler()
        self.connection = dialler.connection
        self.losses = []
        self.member = Member(
            dialler,
            Seat(0, 0, 0, True),
            "load-0",
            lambda member, error: self.losses.append(error),
        )
        self.addCleanup(self.member.leave)

    def begin(self, coroutine) -> "Deferred[object]":
        """Start something that waits."""
        return Deferred.fromCoroutine(coroutine)

    def hear(self, message, request: int = 0) -> None:
        """The server says that."""
        self.member.connection_message(self.connection, request, message)

    def sign_in(self, setup: MediaSetup = SETUP) -> None:
        """Sign in well."""
        signing = self.begin(self.member.sign_in("h", 1, "pw"))
        self.member.connection_ready(self.connection)
        self.hear(LoginResult(ResultCode.SUCCESS, user_id=-5))
        self.hear(setup)
        self.successResultOf(signing)

    def test_signIn(self):
        """Hello, login, and the media's set-up; then it is signed in."""
        signing = self.begin(self.member.sign_in("h", 1, "pw"))
        self.assertEqual(self.connection.sent, [])
        self.member.connection_ready(self.connection)
        ((message, _),) = self.connection.sent
        self.assertEqual(message, Login("load-0", "pw", "127.0.0.1"))
        self.hear(LoginResult(ResultCode.SUCCESS, user_id=-5))
        self.assertNoResult(signing)
        self.hear(SETUP)
        self.successResultOf(signing)
        self.assertEqual(self.member.user_id, -5)

    def test_loginRefused(self):
        """The code of a refused login is what fails."""
        signing = self.begin(self.member.sign_in("h", 1, ""))
        self.member.connection_ready(self.connection)
        self.hear(LoginResult(ResultCode.FORBIDDEN))
        failure = self.failureResultOf(signing, Refused)
        self.assertEqual(failure.value.code, ResultCode.FORBIDDEN)

    def test_requests(self):
        """Requests are numbered, and answered by their number."""
        self.sign_in()
        entering = self.begin(self.member.enter("room"))
        self.hear(EnterRoomResult(ResultCode.SUCCESS, 3), 9)
        self.assertNoResult(entering)
        self.hear(EnterRoomResult(ResultCode.SUCCESS, 3), 1)
        self.successResultOf(entering)
        form = steady(200, 50).format
        opening = self.begin(self.member.publish(StreamKind.AUDIO, form))
        request = OpenStream(StreamKind.AUDIO, 0, form)
        self.assertEqual(self.connection.sent[-1], (request, 2))
        self.hear(StreamOpened(ResultCode.SUCCESS, ssrc=99), 2)
        self.assertEqual(self.successResultOf(opening), 99)

    def test_requestRefused(self):
        """A plain no to a request fails with its code."""
        self.sign_in()
        entering = self.begin(self.member.enter("room"))
        self.hear(Result(ResultCode.ROOM_FULLUSER), 1)
        failure = self.failureResultOf(entering, Refused)
        self.assertEqual(failure.value.code, ResultCode.ROOM_FULLUSER)

    def test_watch(self):
        """Every subscription is granted before it is done; a grant may be early."""
        self.sign_in()
        watching = self.begin(self.member.watch([7, 8], StreamKind.AUDIO))
        self.assertEqual(self.connection.sent[-1], (UserSpeakControl(7, True), 1))
        self.hear(granted(7))
        self.hear(Result(ResultCode.SUCCESS), 1)
        self.assertEqual(self.connection.sent[-1], (UserSpeakControl(8, True), 2))
        self.hear(Result(ResultCode.SUCCESS), 2)
        self.assertNoResult(watching)
        self.hear(granted(8))
        self.successResultOf(watching)

    def test_linkLost(self):
        """What waits fails when the link is lost, and so does what comes after."""
        self.sign_in()
        entering = self.begin(self.member.enter("room"))
        error = Refused(ResultCode.KICKOUT)
        self.member.connection_lost(self.connection, error)
        self.assertIs(self.failureResultOf(entering).value, error)
        self.assertEqual(self.losses, [error])
        again = self.begin(self.member.enter("room"))
        self.assertIs(self.failureResultOf(again).value, error)

    def test_bind(self):
        """It is bound when the server says so, and not when its check was
        answered."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        self.sign_in(replace(SETUP, port=server.getsockname()[1]))
        own = self.member.open_socket()
        bound = self.member.bind(bytes, 1.0, True)
        self.member.drain(bytes, 1.0)
        address = own.getsockname()

        def said(kind):
            data, source = server.recvfrom(2048)
            self.assertEqual(source, address)
            message = stun.parse(data)
            self.assertIs(message.kind, kind)
            return message

        def say(data, now):
            self.member.received(data, now)
            self.member.drain(lambda size: b"2" * size, now)

        key = SETUP.stun_key
        first = said(stun.MessageClass.REQUEST)
        say(stun.success(first, address, key), 1.1)
        say(stun.request(b"c" * 12, SETUP.username, key), 1.1)
        said(stun.MessageClass.SUCCESS)
        second = said(stun.MessageClass.REQUEST)
        self.assertNoResult(bound)
        say(stun.success(second, address, key, bound=True), 1.2)
        self.assertAlmostEqual(self.successResultOf(bound), 0.1)
        for second in range(2, 20):
            self.member.binding.handle_timeout(float(second))
            self.member.drain(lambda size: b"3" * size, float(second))
        self.assertEqual(self.member.paths_lost, 1)

    def test_leave(self):
        """It logs out before it closes."""
        self.sign_in()
        self.member.leave()
        self.assertEqual(self.connection.sent[-1], (Logout(), 1))
        self.assertTrue(self.connection.closed)

    def test_feedback(self):
        """The server's requests for key frames and packets are authenticated."""
        self.sign_in()
        self.member.open_socket()
        asked = []
        self.member.on_key_frame = lambda: asked.append(True)
        pli, nack = rtcp.Pli(2, 99), rtcp.Nack(2, 99, (1, 2, 5))
        sender = SrtcpSender(SETUP.rtcp_key, SETUP.rtcp_salt_key, SETUP.server_ssrc)
        for packet in (pli, nack):
            self.member.received(sender.protect(rtcp.build([packet])), 0.0)
        forger = SrtcpSender(b"x" * 16, SETUP.rtcp_salt_key, SETUP.server_ssrc)
        self.member.received(forger.protect(rtcp.build([pli])), 0.0)
        self.assertEqual(len(asked), 1)
        self.assertEqual(self.member.key_frames_asked, 1)
        self.assertEqual(self.member.packets_asked, 3)
