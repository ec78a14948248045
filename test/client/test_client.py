"""The client SDK against a server in memory."""

import os
from pathlib import Path

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.codes import ResultCode, RoomState, SelfStatus, StreamKind, UserState
from anychat.errors import Refused
from anychat.messages import (
    CameraState,
    CloseStream,
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    Heartbeat,
    LeaveRoom,
    LinkClose,
    Login,
    LoginResult,
    Logout,
    Member,
    MicStateChange,
    OnlineUser,
    OpenStream,
    OpenStreamInfo,
    PublishedStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    Result,
    Resume,
    Resync,
    RoomMembers,
    SDKFilterData,
    SendSDKFilterData,
    SendText,
    StateValue,
    StreamOpened,
    Subscription,
    TextMessage,
    TransBuffer,
    TransBufferData,
    UserAtRoom,
    UserCameraControl,
    UserList,
    UserSpeakControl,
)
from test.client.fakes import FakeMedia, RecordingEvents, granted
from test.client.server import PARAMETERS, FakeServer
from test.client.test_join import InlinePool

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


class ConnectTests(ClientTestCase):
    """Connecting."""

    def test_connect(self):
        """A connect gives the server's hello, an event and the product's lines."""
        outcome = self.client.connect("localhost", 1234)
        self.assertNoResult(outcome)
        self.server.flush()
        self.assertEqual(self.successResultOf(outcome), self.server.hello)
        self.assertEqual(self.server.dialled, ("localhost", 1234))
        self.assertEqual(self.events.take(), [("on_connect", ResultCode.SUCCESS)])
        self.assertEqual(self.client.status, SelfStatus.CONNECTED)
        self.assertEqual(
            self.lines(),
            [
                "Message OnConnect(1, 0)",
                "Server version: V5.2(Build Time:today, Server OS:Linux)",
                "Server running time: 0 days, 0 hours, 1 minutes, license mode:0",
            ],
        )

    def assertNotConnected(self, code):
        """A connect fails with that code, in every place."""
        outcome = self.client.connect("localhost")
        login = self.client.login("me")
        self.server.flush()
        self.clock.advance(10)
        self.server.flush()
        self.assertEqual(self.code(outcome), code)
        self.assertEqual(self.code(login), code)
        self.assertEqual(self.events.take(), [("on_connect", code)])
        self.assertEqual(self.lines(), [f"Message OnConnect(0, {code.value})"])
        self.assertEqual(self.client.status, SelfStatus.LINK_CLOSED)

    def test_noSuchName(self):
        """A name that does not resolve is 103."""
        self.server.refusal = error.DNSLookupError()
        self.assertNotConnected(ResultCode.CONNECT_DNSERROR)

    def test_nobodyListens(self):
        """A closed port is 108."""
        self.server.refusal = error.ConnectionRefusedError()
        self.assertNotConnected(ResultCode.CONNECT_SOCKETERR)

    def test_noAnswer(self):
        """A host that does not answer is 100, after ten seconds."""
        self.server.reachable = False
        self.assertNotConnected(ResultCode.CONNECT_TIMEOUT)

    def test_silentServer(self):
        """A server that takes the connection and says nothing is 100."""
        self.server.answers = False
        self.assertNotConnected(ResultCode.CONNECT_TIMEOUT)
        self.assertTrue(self.server.side.lost)

    def test_refused(self):
        """A server's no is its code."""
        self.server.connect_code = ResultCode.CONNECT_HOTSERVER
        self.assertNotConnected(ResultCode.CONNECT_HOTSERVER)

    def test_broken(self):
        """A connection that ends during the hello is 101."""
        self.server.answers = False
        outcome = self.client.connect("localhost")
        self.lose()
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_ABORT)

    def test_garbage(self):
        """A server that speaks something else is 7, and says so."""
        self.server.answers = False
        outcome = self.client.connect("localhost")
        self.server.side.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.server.flush()
        failure = self.failureResultOf(outcome, Refused)
        self.assertEqual(failure.value.code, ResultCode.PROTOCOLFAIL)
        self.assertIn("no AnyChat server", str(failure.value))
        self.assertTrue(self.server.side.lost)

    def test_newerServer(self):
        """A server that insists on another version is refused."""
        self.server.hello = type(self.server.hello)(
            **{
                **{
                    name: getattr(self.server.hello, name)
                    for name in self.server.hello.__slots__
                },
                "version": 9,
            }
        )
        self.assertNotConnected(ResultCode.VERSIONNOTMATCH)

    def test_plainStaysHome(self):
        """A plain connection never leaves this machine."""
        self.server.address = "192.0.2.1"
        self.assertNotConnected(ResultCode.CERTHIGHSECURITY)
        self.assertEqual(self.server.sides, [])

    def test_twice(self):
        """A second connect is refused and harms nothing."""
        self.client.connect("localhost")
        self.assertEqual(
            self.code(self.client.connect("localhost")), ResultCode.SESSIONEXIST
        )
        self.server.flush()
        self.assertEqual(self.client.status, SelfStatus.CONNECTED)

    def test_againAfterFailure(self):
        """A failed connect may be followed by another one."""
        self.server.refusal = error.ConnectionRefusedError()
        self.code(self.client.connect("localhost"))
        self.server.refusal = None
        self.client.connect("localhost")
        self.server.flush()
        self.assertEqual(self.client.status, SelfStatus.CONNECTED)

    def test_neverConnected(self):
        """Calls without a connect fail at once."""
        self.assertEqual(self.code(self.client.login("me")), ResultCode.NOTINIT)
        self.assertEqual(self.code(self.client.enter_room(1)), ResultCode.NOTINIT)
        self.assertEqual(self.client.status, SelfStatus.UNKNOWN)

    def test_silence(self):
        """A server that falls silent is given up after its own timeout."""
        self.client.connect("localhost")
        self.server.flush()
        self.server.answers = False
        for _ in range(5):
            self.clock.advance(5)
            self.server.flush()
        self.assertIn(("on_link_close", ResultCode.CONNECT_TIMEOUT), self.events.seen)

    def test_heartbeats(self):
        """Heartbeats keep an idle link and measure its round trip."""
        self.client.connect("localhost")
        self.server.flush()
        for _ in range(20):
            self.clock.advance(5)
            self.server.flush()
        self.assertEqual(self.client.status, SelfStatus.CONNECTED)
        self.assertEqual(self.client.round_trip, 0.0)

    def test_madHeartbeats(self):
        """A server cannot make the client send heartbeats in a loop."""
        hello = self.server.hello
        values = {name: getattr(hello, name) for name in hello.__slots__}
        self.server.hello = type(hello)(**{**values, "check_time": 0, "timeout": 0})
        self.client.connect("localhost")
        self.server.flush()
        for _ in range(10):
            self.clock.advance(0.1)
            self.server.flush()
        beats = [m for _, m in self.server.side.received if isinstance(m, Heartbeat)]
        self.assertLessEqual(len(beats), 1)


class ProofTests(ClientTestCase):
    """SDKAuthPass."""

    def ask(self):
        """The server wants a proof."""
        hello = self.server.hello
        values = {name: getattr(hello, name) for name in hello.__slots__}
        self.server.hello = type(hello)(**{**values, "proof_required": True})

    def test_proof(self):
        """A client that has the password proves it."""
        self.client = self.make_client(auth_pass="secret")
        self.ask()
        outcome = self.client.connect("localhost")
        self.server.flush()
        self.successResultOf(outcome)

    def test_none(self):
        """One that has none fails with 102 before saying anything else."""
        self.ask()
        outcome = self.client.connect("localhost")
        self.server.flush()
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_AUTHFAIL)


class LoginTests(ClientTestCase):
    """Logging in and out."""

    def test_queued(self):
        """Calls in one breath are carried out one after the other."""
        self.client.connect("localhost")
        login = self.client.login("me")
        enter = self.client.enter_room(1)
        text = self.client.send_text("hello")
        self.server.flush()
        self.assertEqual(self.successResultOf(login).user_id, 7)
        self.server.side.received[:2] = []
        self.assertNoResult(enter)
        self.server.let_in(ANN)
        self.assertEqual(self.successResultOf(enter).members, {5: ANN})
        self.serve(OK, SendText(-1, False, "hello"))
        self.assertIsNone(self.successResultOf(text))
        self.assertEqual(
            self.events.take(),
            [
                ("on_connect", ResultCode.SUCCESS),
                ("on_login_system", 7, ResultCode.SUCCESS),
                ("on_enter_room", 1, ResultCode.SUCCESS),
                ("on_online_user", 2, 1),
            ],
        )
        self.assertEqual(
            self.lines()[3:],
            [
                "Message OnLoginSystem(7, 0, me)",
                "Message OnEnterRoom(1, 0, 0)",
                "Message OnReceiveOnlineUser(2, 1)",
            ],
        )
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_refused(self):
        """A refused login fails what waits for it; the next one may work."""
        self.server.login_code = ResultCode.CERTIFY_FAIL
        self.client.connect("localhost")
        login = self.client.login("me")
        enter = self.client.enter_room(1)
        self.server.flush()
        self.assertEqual(self.code(login), ResultCode.CERTIFY_FAIL)
        self.assertEqual(self.code(enter), ResultCode.NOTLOGIN)
        self.assertEqual(
            self.events.take()[1:], [("on_login_system", 0, ResultCode.CERTIFY_FAIL)]
        )
        self.assertIn("Message OnLoginSystem(0, 200, me)", self.lines())
        self.server.login_code = ResultCode.SUCCESS
        again = self.client.login("me")
        self.server.flush()
        self.successResultOf(again)

    def test_passwordOnPlain(self):
        """A password never goes over a plain link."""
        self.client.connect("localhost")
        login = self.client.login("me", "secret")
        self.server.flush()
        self.assertEqual(self.code(login), ResultCode.CERTHIGHSECURITY)
        self.assertEqual(len(self.requests()), 1)

    def test_badName(self):
        """A name that cannot be sent is refused here, the client goes on."""
        self.client.connect("localhost")
        login = self.client.login("me" * 300)
        self.server.flush()
        self.assertEqual(self.code(login), ResultCode.FUNCOPTERROR)
        again = self.client.login("me")
        self.server.flush()
        self.successResultOf(again)

    def test_twice(self):
        """Who is logged in cannot log in."""
        self.log_in()
        self.assertEqual(self.code(self.client.login("me")), ResultCode.ALREADY_LOGIN)

    def test_noAnswer(self):
        """A login that is not answered fails and ends the link."""
        self.server.login_code = None
        self.client.connect("localhost")
        login = self.client.login("me")
        for _ in range(6):
            self.server.flush()
            self.clock.advance(5)
        self.assertEqual(self.code(login), ResultCode.CONNECT_TIMEOUT)
        self.assertIn(("on_link_close", ResultCode.CONNECT_TIMEOUT), self.events.seen)

    def test_lostWhileLoggingIn(self):
        """A link that is lost before the login is over stays lost."""
        self.server.login_code = None
        self.client.connect("localhost")
        login = self.client.login("me")
        self.server.flush()
        self.lose()
        self.assertEqual(self.code(login), ResultCode.CONNECT_ABORT)
        self.assertEqual(
            self.events.take()[1:],
            [
                ("on_login_system", 0, ResultCode.CONNECT_ABORT),
                ("on_link_close", ResultCode.CONNECT_ABORT),
            ],
        )

    def test_logout(self):
        """A logout ends the session, quietly."""
        self.enter(ANN)
        outcome = self.client.logout()
        self.serve(OK, Logout())
        self.assertIsNone(self.successResultOf(outcome))
        self.assertEqual(self.client.status, SelfStatus.LOGGED_OUT)
        self.assertEqual(self.client.user_id, 0)
        self.assertEqual(self.events.take(), [])
        self.assertTrue(self.server.side.lost)
        self.assertEqual(self.code(self.client.enter_room(1)), ResultCode.NOTLOGIN)

    def test_close(self):
        """A close fails what waits, and the client can be used again."""
        self.log_in()
        enter = self.client.enter_room(1)
        self.server.flush()
        text = self.client.send_text("hello")
        self.successResultOf(self.client.close())
        self.assertEqual(self.code(enter), ResultCode.CANCEL)
        self.assertEqual(self.code(text), ResultCode.CANCEL)
        self.server.flush()
        self.assertTrue(self.server.side.lost)
        self.log_in()

    def test_unexpectedLogin(self):
        """A second LoginResult breaks the protocol."""
        self.log_in()
        self.tell(LoginResult(ResultCode.CERTIFY_FAIL))
        self.assertTrue(self.server.side.lost)
        self.assertIn(
            ("on_session_keep", False, ResultCode.PROTOCOLFAIL), self.events.seen
        )

    def test_hiddenSecrets(self):
        """Neither password nor token is in the log."""
        self.server.login_code = ResultCode.SUCCESS
        self.client = self.make_client(auth_pass="hush")
        self.client.connect("localhost")
        self.client.login("me", "topsecret").addErrback(lambda _: None)
        self.server.flush()
        with open(self.log_path) as file:
            text = file.read()
        self.assertNotIn("topsecret", text)
        self.assertNotIn("hush", text)


class RoomTests(ClientTestCase):
    """Rooms, texts, buffers, queries."""

    def test_byName(self):
        """A room can be entered by name."""
        self.log_in()
        outcome = self.client.enter_room("lounge")
        self.serve(
            EnterRoomResult(ResultCode.SUCCESS, 77, "lounge"),
            EnterRoomByName("lounge", ""),
        )
        self.server.tell_room(room_id=77)
        room = self.successResultOf(outcome)
        self.assertEqual((room.room_id, room.name), (77, "lounge"))

    def test_refused(self):
        """A refused entry is told, and calls that need a room are refused."""
        self.log_in()
        self.events.take()
        outcome = self.client.enter_room(9)
        watch = self.client.watch(5)
        self.serve(EnterRoomResult(ResultCode.ROOM_PASSERR, 9), EnterRoom(9, ""))
        self.assertEqual(self.code(outcome), ResultCode.ROOM_PASSERR)
        self.assertEqual(self.code(watch), ResultCode.ROOM_NOTIN)
        self.assertEqual(
            self.events.take(), [("on_enter_room", 9, ResultCode.ROOM_PASSERR)]
        )
        self.assertIn("Message OnEnterRoom(9, 301, 0)", self.lines())
        self.assertEqual(self.code(self.client.publish("test:")), ResultCode.ROOM_NOTIN)

    def test_second(self):
        """A second room is refused by the server; the first stays."""
        self.enter(ANN)
        outcome = self.client.enter_room(2)
        self.serve(EnterRoomResult(ResultCode.ROOM_ALREADIN, 2), EnterRoom(2, ""))
        self.assertEqual(self.code(outcome), ResultCode.ROOM_ALREADIN)
        self.assertEqual(self.client.room_id, 1)

    def test_leaveAndEnter(self):
        """Leave and enter again in one breath."""
        self.enter(ANN)
        left = self.client.leave_room()
        entered = self.client.enter_room(2)
        self.serve(OK, LeaveRoom(1))
        self.assertIsNone(self.successResultOf(left))
        self.assertEqual(self.events.take(), [("on_leave_room", 1)])
        self.server.let_in(BOB, room_id=2)
        self.assertEqual(self.successResultOf(entered).room_id, 2)
        self.assertEqual(self.client.members, {6: BOB})

    def test_leaveNowhere(self):
        """Who is in no room cannot leave one."""
        self.log_in()
        self.assertEqual(self.code(self.client.leave_room()), ResultCode.ROOM_NOTIN)

    def test_neverOnline(self):
        """An entry without its ONLINEUSER fails in time and blocks nothing."""
        self.log_in()
        outcome = self.client.enter_room(1)
        self.serve(EnterRoomResult(ResultCode.SUCCESS, 1, "one"))
        for _ in range(6):
            self.clock.advance(5)
            self.server.flush()
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_TIMEOUT)
        text = self.client.send_text("hello")
        self.serve(OK, SendText(-1, False, "hello"))
        self.successResultOf(text)

    def test_notifications(self):
        """What happens in the room is told and known."""
        self.enter(ANN)
        for message, event in (
            (UserAtRoom(True, BOB), ("on_user_at_room", BOB, True)),
            (CameraState(6, 0, True), ("on_camera_state", 6, 0, True)),
            (MicStateChange(6, 1, True), ("on_mic_state_change", 6, 1, True)),
            (TextMessage(6, -1, False, "hi"), ("on_text_message", 6, -1, False, "hi")),
            (TransBufferData(6, b"x"), ("on_trans_buffer", 6, b"x")),
            (SDKFilterData(b"x"), ("on_sdk_filter_data", b"x")),
            (UserAtRoom(False, ANN), ("on_user_at_room", ANN, False)),
            (PARAMETERS, ("on_server_config_update", PARAMETERS)),
        ):
            self.tell(message)
            self.assertEqual(self.events.take(), [event])
        self.assertEqual(
            self.client.members[6].streams,
            (OpenStreamInfo(VIDEO, 0), OpenStreamInfo(AUDIO, 1)),
        )
        self.assertEqual(list(self.client.members), [6])

    def test_strangers(self):
        """News of users who are not in the room are not passed on."""
        self.enter(ANN)
        self.tell(CameraState(99, 0, True))
        self.tell(UserAtRoom(False, BOB))
        self.tell(RoomMembers(1, (BOB,)))
        self.tell(OnlineUser(2, 1))
        self.assertEqual(self.events.take(), [])
        self.assertEqual(list(self.client.members), [5])

    def test_eventRaises(self):
        """A fault in the program's event is logged and changes nothing."""
        self.enter(ANN)
        self.events.on_text_message = lambda *_: 1 / 0
        self.tell(TextMessage(5, -1, False, "hi"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_notForClients(self):
        """An answer that answers nothing ends the link."""
        self.enter(ANN)
        self.tell(StreamOpened(ResultCode.SUCCESS, 1, b"k" * 16, b"s" * 12))
        self.assertTrue(self.server.side.lost)

    def test_text(self):
        """Texts go to the room or a user; a refusal reaches the caller."""
        self.enter(ANN)
        outcome = self.client.send_text("psst", 5, secret=True)
        self.serve(Result(ResultCode.INVALID_USERID), SendText(5, True, "psst"))
        self.assertEqual(self.code(outcome), ResultCode.INVALID_USERID)

    def test_textTooLong(self):
        """A text that does not fit is refused here, the link goes on."""
        self.enter(ANN)
        outcome = self.client.send_text("x" * 100_000)
        refused = self.failureResultOf(outcome, Refused).value
        self.assertEqual(refused.code, ResultCode.FUNCOPTERROR)
        self.assertTrue(str(refused).startswith("21 FUNCOPTERROR: "), refused)
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_wrongArguments(self):
        """What the server could not read is refused here, the session goes on."""
        self.enter(ANN)
        self.requests()
        for outcome in (
            self.client.user_state(99),
            self.client.user_state(UserState.LEVEL, "me"),
            self.client.room_state(1, 0),
            self.client.room_users(1 << 31),
            self.client.send_text("hi", secret=2),
            self.client.send_text(b"hi"),
            self.client.trans_buffer(b"x", 1.5),
            self.client.watch(5, stream_index=16),
            self.client.watch(5, stream_index=0.5),
            self.client.watch(5, video=False, audio=False),
            self.client.publish(None),
            self.client.publish(object(), 16),
            self.client.publish(object(), 0.5),
        ):
            self.server.flush()
            self.assertEqual(self.code(outcome), ResultCode.FUNCOPTERROR)
        self.assertEqual(self.requests(), [])
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_noSource(self):
        """What cannot be published is refused, as everything else is."""
        self.clock.getThreadPool = InlinePool
        self.clock.callFromThread = lambda call, *arguments: call(*arguments)
        self.enter()
        for source, code in (
            ("nofile", ResultCode.DEVICEOPENFAIL),
            (Path("nofile"), ResultCode.DEVICEOPENFAIL),
            ("/tmp", ResultCode.DEVICEOPENFAIL),
            ("", ResultCode.FUNCOPTERROR),
            ("test:size=big", ResultCode.FUNCOPTERROR),
        ):
            self.assertEqual(self.code(self.client.publish(source)), code)

    def test_queryAtTheEnd(self):
        """A query that the end of the session cuts off says why it ended."""
        self.log_in()
        outcome = self.client.online_users()
        self.server.side.send(LinkClose(ResultCode.KICKOUT))
        self.server.side.transport.loseConnection()
        self.server.flush()
        self.assertEqual(self.code(outcome), ResultCode.KICKOUT)

    def test_wrongPort(self):
        """A port that is none is refused."""
        for port in (0, 65536, "x", 1.5):
            outcome = self.client.connect("localhost", port)
            self.assertEqual(self.code(outcome), ResultCode.FUNCOPTERROR)

    def test_buffer(self):
        """Buffers of up to 1000 bytes."""
        self.enter(ANN)
        outcome = self.client.trans_buffer(b"x" * 1000, 5)
        self.serve(OK, TransBuffer(5, b"x" * 1000))
        self.successResultOf(outcome)
        self.assertEqual(
            self.code(self.client.trans_buffer(b"x" * 1001)), ResultCode.FUNCOPTERROR
        )

    def test_filterData(self):
        """Filter data of up to 60,000 bytes, which nobody may be there for."""
        self.log_in()
        outcome = self.client.send_filter_data(b"x" * 60_000)
        self.serve(OK, SendSDKFilterData(b"x" * 60_000))
        self.successResultOf(outcome)
        outcome = self.client.send_filter_data(b"x")
        self.serve(Result(ResultCode.SERVERSDK_FAIL), SendSDKFilterData(b"x"))
        self.assertEqual(self.code(outcome), ResultCode.SERVERSDK_FAIL)
        self.assertEqual(
            self.code(self.client.send_filter_data(b"x" * 60_001)),
            ResultCode.FUNCOPTERROR,
        )

    def test_applicationCode(self):
        """A code that is none of AnyChat's reaches the program as it is."""
        self.server.login_code = ResultCode(4_000_000_001)
        self.client.connect("localhost")
        outcome = self.client.login("ann")
        self.server.flush()
        self.assertEqual(self.code(outcome), 4_000_000_001)

    def test_queries(self):
        """Each query asks what it says."""
        self.log_in()
        users = UserList(ResultCode.SUCCESS, 2, (5, 7))
        state = StateValue(ResultCode.SUCCESS, 1, "one")
        for outcome, request, reply in (
            (self.client.online_users(), QueryOnlineUsers(), users),
            (self.client.room_users(1), QueryRoomUsers(1), users),
            (
                self.client.room_state(1, RoomState.NAME),
                QueryRoomState(1, RoomState.NAME),
                state,
            ),
            (
                self.client.user_state(UserState.LEVEL),
                QueryUserState(-1, UserState.LEVEL),
                state,
            ),
        ):
            self.serve(reply, request)
            self.assertEqual(self.successResultOf(outcome), reply)

    def test_queryRefused(self):
        """A query's refusal, and an answer of the wrong kind."""
        self.log_in()
        outcome = self.client.room_users(9)
        self.serve(UserList(ResultCode.ROOM_INVALID))
        self.assertEqual(self.code(outcome), ResultCode.ROOM_INVALID)
        outcome = self.client.room_users(9)
        self.serve(OK)
        self.assertEqual(self.code(outcome), ResultCode.PROTOCOLFAIL)

    def test_noAnswer(self):
        """A call that the server ignores fails after half a minute."""
        self.log_in()
        outcome = self.client.online_users()
        for _ in range(6):
            self.server.flush()
            self.clock.advance(5)
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_TIMEOUT)
        self.serve(UserList(ResultCode.SUCCESS))
        self.assertEqual(self.client.status, SelfStatus.LOGGED_IN)

    def test_cancel(self):
        """A call can be cancelled."""
        self.log_in()
        outcome = self.client.online_users()
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)
        self.serve(UserList(ResultCode.SUCCESS))

    def test_paced(self):
        """A flood of calls neither swamps the server's replies nor its rate."""
        self.enter(ANN)
        outcomes = [self.client.send_text(str(n)) for n in range(1000)]
        self.server.flush()
        self.assertEqual(len(self.server.side.received), 128)
        served, seconds = 0, 0.0
        while served < 1000:
            if self.server.side.received:
                self.serve(OK, SendText(-1, False, str(served)))
                served += 1
            else:
                self.clock.advance(0.1)
                self.server.flush()
                seconds += 0.1
        for outcome in outcomes:
            self.successResultOf(outcome)
        self.assertGreater(seconds, 0.3)


class LostLinkTests(ClientTestCase):
    """Reconnecting and resuming."""

    def test_resume(self):
        """A lost link is restored; requests that were under way are answered."""
        self.enter(ANN)
        outcome = self.client.send_text("hello")
        self.lose()
        self.assertEqual(
            self.events.take(), [("on_session_keep", False, ResultCode.CONNECT_ABORT)]
        )
        waiting = self.client.send_text("world")
        # The first attempt comes after at most a second.
        self.come_back()
        self.assertEqual(
            self.events.take(), [("on_session_keep", True, ResultCode.SUCCESS)]
        )
        self.assertEqual(
            self.requests()[1:],
            [
                Resume(5, (1).to_bytes(16, "big")),
                SendText(-1, False, "world"),
            ],
        )
        self.assertNoResult(outcome)
        self.assertNoResult(waiting)

    def test_replay(self):
        """What was lost on the way is sent again, in both directions."""
        self.enter(ANN)
        outcome = self.client.send_text("hello")
        self.server.pumps[-1].clientIO.stream.clear()
        self.server.side.send(TextMessage(5, -1, False, "hi"))
        self.server.side.transport.stream.clear()
        self.lose()
        self.events.take()
        self.come_back()
        self.assertEqual(
            self.events.take(),
            [
                ("on_session_keep", True, ResultCode.SUCCESS),
                ("on_text_message", 5, -1, False, "hi"),
            ],
        )
        request = [m for m in self.requests() if isinstance(m, SendText)]
        self.assertEqual(request, [SendText(-1, False, "hello")])
        self.assertNoResult(outcome)

    def test_tokenChanges(self):
        """Every resumption uses the latest token."""
        self.enter(ANN)
        for token in (1, 2, 3):
            self.lose(10.0)
            self.server.flush()
            resumed = [m for m in self.requests() if isinstance(m, Resume)]
            self.assertEqual([m.token for m in resumed], [token.to_bytes(16, "big")])

    def test_backoff(self):
        """Attempts come after growing pauses, up to ten seconds, for ever."""
        self.enter(ANN)
        self.server.refusal = error.ConnectionRefusedError()
        self.lose()
        pauses = []
        for _ in range(7):
            (call,) = self.clock.getDelayedCalls()
            pauses.append(call.getTime() - self.clock.seconds())
            self.clock.advance(pauses[-1])
        self.assertEqual(pauses, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0])

    def test_noReconnect(self):
        """Switched off, a lost link is the end."""
        self.client._session._auto_reconnect = False
        self.enter(ANN)
        text = self.client.send_text("hello")
        self.lose()
        self.assertEqual(
            self.events.take(), [("on_link_close", ResultCode.CONNECT_ABORT)]
        )
        self.assertEqual(self.code(text), ResultCode.CONNECT_ABORT)
        self.assertEqual(self.client.status, SelfStatus.LINK_CLOSED)
        self.assertEqual(self.code(self.client.login("me")), ResultCode.CONNECT_ABORT)

    def test_loggedInElsewhere(self):
        """Who is logged in elsewhere does not come back."""
        for code in (ResultCode.LOGIN_NEWLOGIN, ResultCode.KICKOUT):
            self.client.close()
            self.enter(ANN)
            self.server.side.send(LinkClose(code))
            self.server.side.transport.loseConnection()
            self.server.flush()
            self.assertEqual(self.events.take(), [("on_link_close", code)])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertIn(f"Message OnLinkClose({code.value})", self.lines())

    def test_refusedOnTheWayBack(self):
        """A final no while reconnecting ends it, with both events."""
        self.enter(ANN)
        self.server.connect_code = ResultCode.CONNECT_IPFORBID
        self.lose()
        self.events.take()
        self.come_back()
        self.assertEqual(
            self.events.take(),
            [
                ("on_session_keep", True, ResultCode.CONNECT_IPFORBID),
                ("on_link_close", ResultCode.CONNECT_IPFORBID),
            ],
        )

    def test_busyOnTheWayBack(self):
        """A passing no is tried again."""
        self.enter(ANN)
        self.server.connect_code = ResultCode.CONNECT_HOTSERVER
        self.lose()
        self.come_back()
        self.server.connect_code = ResultCode.SUCCESS
        self.clock.advance(2.0)
        self.server.flush()
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_silentResume(self):
        """A server that never answers a resumption is left for another try."""
        self.enter(ANN)
        self.server.resume_code = None
        self.lose()
        self.come_back()
        for _ in range(6):
            self.clock.advance(5)
            self.server.flush()
        self.assertTrue(self.server.sides[1].lost)
        self.server.resume_code = ResultCode.SUCCESS
        self.clock.advance(2)
        self.server.flush()
        self.assertEqual(len(self.server.sides), 3)

    def test_garbageWhileLive(self):
        """After nonsense from the server the client logs in anew."""
        self.enter(ANN)
        self.server.side.transport.write(b"\xff" * 64)
        self.server.flush()
        self.come_back()
        self.assertIsInstance(self.requests()[1], Login)

    def test_closeWhileHeld(self):
        """A close while the link is lost ends the attempts."""
        self.enter(ANN)
        self.lose()
        self.client.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_callExpiresWhileHeld(self):
        """A call does not wait for ever for the link to come back."""
        self.enter(ANN)
        self.server.refusal = error.ConnectionRefusedError()
        self.lose()
        outcome = self.client.online_users()
        self.clock.pump([1.0] * 31)
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_TIMEOUT)


class NewSessionTests(ClientTestCase):
    """After the server no longer holds the session."""

    def lose_session(self):
        """The link is lost, and with it the session."""
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.lose()
        self.events.take()
        self.come_back()

    def publish(self, first):
        """Answer the two requests of a publication."""
        for ssrc in (first, first + 1):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))

    def test_everythingAgain(self):
        """The client logs in, enters, publishes and watches again by itself."""
        self.enter(ANN)
        published = self.client.publish(object())
        self.publish(100)
        self.successResultOf(published)
        watched = self.client.watch(5, audio=False)
        self.serve(OK, UserCameraControl(5, True, 0))
        self.successResultOf(watched)
        self.tell(granted(5, VIDEO, 9))
        self.server.user_id = -9
        self.lose_session()
        self.assertEqual(
            self.events.take(),
            [
                ("on_stream_ended", 5, VIDEO, 0),
                ("on_session_keep", True, ResultCode.SESSIONNOTEXIST),
                ("on_login_system", -9, ResultCode.SUCCESS),
            ],
        )
        self.assertEqual((self.plane.sending, self.plane.receiving), ([], []))
        self.assertEqual(self.plane.configured, 2)
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(ANN)
        self.assertEqual(
            self.events.take(),
            [("on_enter_room", 1, ResultCode.SUCCESS), ("on_online_user", 2, 1)],
        )
        (open_video, watch_again) = self.server.side.received
        self.assertIsInstance(open_video[1], OpenStream)
        self.assertEqual(watch_again[1], UserCameraControl(5, True, 0))
        self.serve(StreamOpened(ResultCode.SUCCESS, 200, b"n" * 16, b"t" * 12))
        self.serve(OK)
        self.serve(StreamOpened(ResultCode.SUCCESS, 201, b"n" * 16, b"t" * 12))
        self.assertEqual(len(self.media), 1)
        self.assertEqual(self.plane.sending, [(VIDEO, 200), (AUDIO, 201)])
        self.assertEqual(self.client.user_id, -9)

    def test_holdTimePassed(self):
        """After the hold time the client does not even try to resume."""
        self.enter(ANN)
        self.server.refusal = error.ConnectionRefusedError()
        self.lose()
        self.clock.pump([1.0] * 40)
        self.server.refusal = None
        self.clock.pump([1.0] * 10)
        self.server.flush()
        kinds = [type(message) for message in self.requests()]
        self.assertNotIn(Resume, kinds)
        self.assertIn(EnterRoom, kinds)

    def test_textIsNotRepeated(self):
        """A text of unknown fate fails; it is not said twice."""
        self.enter(ANN)
        text = self.client.send_text("hello")
        self.server.flush()
        self.lose_session()
        self.assertEqual(self.code(text), ResultCode.CONNECT_ABORT)
        self.assertNotIn(SendText(-1, False, "hello"), self.requests())

    def test_queryIsRepeated(self):
        """A query may be asked again, after the way home."""
        self.enter(ANN)
        outcome = self.client.online_users()
        self.server.flush()
        self.lose_session()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(ANN)
        self.serve(UserList(ResultCode.SUCCESS, 1, (7,)), QueryOnlineUsers())
        self.successResultOf(outcome)

    def test_whileEntering(self):
        """An entry that was under way is made by the next session."""
        self.log_in()
        outcome = self.client.enter_room(1)
        self.server.flush()
        self.lose_session()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(ANN)
        self.successResultOf(outcome)

    def test_whileLeaving(self):
        """Who was leaving is out, and does not go back in."""
        self.enter(ANN)
        outcome = self.client.leave_room()
        self.server.flush()
        self.lose_session()
        self.assertIsNone(self.successResultOf(outcome))
        self.assertNotIn(EnterRoom(1, ""), self.requests())

    def test_roomGone(self):
        """A room that cannot be entered any more is told and left at that."""
        self.enter(ANN)
        published = self.client.publish(object())
        self.publish(100)
        self.successResultOf(published)
        self.lose_session()
        self.events.take()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.serve(EnterRoomResult(ResultCode.ROOM_INVALID, 1))
        self.assertEqual(
            self.events.take(), [("on_enter_room", 1, ResultCode.ROOM_INVALID)]
        )
        self.assertEqual(self.client.publications, ())
        self.assertEqual(self.client.status, SelfStatus.LOGGED_IN)

    def test_loginRefused(self):
        """A refusal of the new login is the end of it."""
        self.enter(ANN)
        self.server.login_code = ResultCode.CERTIFY_FAIL
        self.lose_session()
        self.assertEqual(
            self.events.take(),
            [
                ("on_session_keep", True, ResultCode.SESSIONNOTEXIST),
                ("on_session_keep", True, ResultCode.CERTIFY_FAIL),
                ("on_link_close", ResultCode.CERTIFY_FAIL),
            ],
        )

    def test_businessServerAway(self):
        """A business server that is not back yet is waited for."""
        self.waited_for(ResultCode.SERVERSDK_FAIL)

    def test_licenceAway(self):
        """And so is a licence, which is taken up without a restart."""
        self.waited_for(ResultCode.CERTVERIFYFAILED)

    def test_licenceFails(self):
        """The same where its checks have failed for too long."""
        self.waited_for(ResultCode.CERTFAILSECOND)

    def waited_for(self, refusal):
        """A new login that is refused so is tried again."""
        self.enter(ANN)
        self.server.login_code = refusal
        self.lose_session()
        self.server.login_code = ResultCode.SUCCESS
        self.clock.advance(2.0)
        self.server.flush()
        self.assertIn(EnterRoom(1, ""), self.requests())

    def test_lateUser(self):
        """A watched user who comes back later than oneself is watched again."""
        self.enter(ANN)
        watched = self.client.watch(5)
        self.serve(OK)
        self.serve(OK)
        self.successResultOf(watched)
        self.lose_session()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in()
        self.assertEqual(self.requests(), [])
        self.tell(UserAtRoom(True, ANN))
        self.assertEqual(
            self.requests(),
            [UserCameraControl(5, True, 0), UserSpeakControl(5, True, 0)],
        )


class ResyncTests(ClientTestCase):
    """Notifications were lost; the server sends its whole state."""

    def resync(self, *messages):
        """Come back, and be told this."""
        self.server.resync = True
        self.lose()
        self.events.take()
        self.come_back()
        self.events.take()
        for message in messages:
            self.server.side.send(message)
        self.server.flush()

    def test_differences(self):
        """What was missed is told in the words of the notifications."""
        self.enter(ANN)
        cindy = Member(8, 0, "cindy", (OpenStreamInfo(VIDEO, 0),))
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (cindy,)), OnlineUser(2, 1))
        self.assertEqual(
            self.events.take(),
            [("on_user_at_room", ANN, False), ("on_user_at_room", cindy, True)],
        )
        self.assertEqual(self.client.members, {8: cindy})

    def test_callsWait(self):
        """Calls wait until the picture is whole."""
        self.enter(ANN)
        self.resync(Resync(7, 1, "one"))
        self.client.send_text("hello")
        self.assertNotIn(SendText(-1, False, "hello"), self.requests())
        self.server.side.send(RoomMembers(1, (ANN,)))
        self.tell(OnlineUser(2, 1))
        self.assertIn(SendText(-1, False, "hello"), self.requests())

    def test_requestsAgain(self):
        """Requests without an answer are sent again under their numbers."""
        self.enter(ANN)
        outcome = self.client.send_text("hello")
        self.server.flush()
        ((number, _),) = self.server.side.take()
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (ANN,)), OnlineUser(2, 1))
        self.assertIn((number, SendText(-1, False, "hello")), self.server.side.received)
        self.server.side.send(OK, number)
        self.server.flush()
        self.successResultOf(outcome)

    def test_streamsRepaired(self):
        """What the server lost is opened and asked for again."""
        self.enter(ANN)
        published = self.client.publish(object())
        for ssrc in (100, 101):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))
        self.successResultOf(published)
        watched = self.client.watch(5)
        self.serve(OK)
        self.serve(OK)
        self.successResultOf(watched)
        self.resync(
            Resync(
                7,
                1,
                "one",
                (PublishedStream(VIDEO, 0, 100),),
                (Subscription(5, AUDIO, 0),),
            ),
            RoomMembers(1, (ANN,)),
            OnlineUser(2, 1),
        )
        asked = self.requests()[2:]
        self.assertEqual(len(asked), 2)
        self.assertEqual((asked[0].kind, asked[0].stream_index), (AUDIO, 0))
        self.assertEqual(asked[1], UserCameraControl(5, True, 0))
        self.assertEqual(self.plane.sending, [(VIDEO, 100)])

    def test_outOfTheRoom(self):
        """A server that has the client in no room lets it in again."""
        self.enter(ANN)
        self.resync(Resync(7, 0))
        self.assertEqual(self.events.take(), [("on_leave_room", 1)])
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(ANN)
        self.assertEqual(
            self.events.take(),
            [("on_enter_room", 1, ResultCode.SUCCESS), ("on_online_user", 2, 1)],
        )

    def test_enteredMeanwhile(self):
        """An entry that was granted while notifications were lost."""
        self.log_in()
        outcome = self.client.enter_room(1)
        self.server.flush()
        ((number, _),) = self.server.side.take()
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (ANN,)), OnlineUser(2, 1))
        self.assertEqual(
            self.events.take(),
            [("on_enter_room", 1, ResultCode.SUCCESS), ("on_online_user", 2, 1)],
        )
        self.successResultOf(outcome)
        self.server.side.send(EnterRoomResult(ResultCode.SUCCESS, 1, "one"), number)
        self.server.flush()
        self.assertEqual(self.events.take(), [])
        self.assertEqual(self.client.members, {5: ANN})

    def test_otherRoom(self):
        """A server that has the client in another room is believed."""
        self.enter(ANN)
        self.resync(Resync(7, 2, "two"), RoomMembers(2, (BOB,)), OnlineUser(2, 2))
        self.assertEqual(
            self.events.take(),
            [
                ("on_leave_room", 1),
                ("on_enter_room", 2, ResultCode.SUCCESS),
                ("on_online_user", 2, 2),
            ],
        )
        self.assertEqual(self.client.members, {6: BOB})

    def test_twoRooms(self):
        """A server that mixes rooms up breaks the protocol."""
        self.enter(ANN)
        self.resync(Resync(7, 1, "one"), OnlineUser(2, 2))
        self.assertTrue(self.server.side.lost)


class Source:
    """Something to publish that ends."""

    on_end = None


class MediaTests(ClientTestCase):
    """The media plane: when it is made, told and stopped."""

    def test_lazy(self):
        """Without media calls there is no media plane."""
        self.enter(ANN)
        self.assertEqual(self.media, [])

    def test_publish(self):
        """A publication opens the UDP path and says which codec it is."""
        self.enter(ANN)
        self.client.publish(object())
        self.assertEqual(self.plane.setup.port, 8907)
        self.assertEqual(self.plane.host, "127.0.0.1")
        self.assertEqual(self.plane.parameters, PARAMETERS)
        self.assertIn(
            "The server's audio codec is AMR-WB(11), which cannot be encoded here: "
            "publishing Opus at 15850 bps",
            self.lines(),
        )
        self.client.unpublish()

    def test_sourceEnds(self):
        """A source at its end is closed and told."""
        self.enter(ANN)
        source = Source()
        published = self.client.publish(source)
        for ssrc in (100, 101):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))
        self.successResultOf(published)
        source.on_end()
        self.assertEqual(self.events.take(), [("on_publish_end", 0)])
        self.assertEqual(
            self.requests(), [CloseStream(VIDEO, 0), CloseStream(AUDIO, 0)]
        )

    def test_noUdp(self):
        """Where UDP cannot be opened at all, that is a warning too."""

        def configure(setup, host):
            raise OSError("no ports left")

        self.enter(ANN)
        media = FakeMedia()
        media.configure = configure
        self.client._plane._make = lambda *_: media
        self.client.watch(5).addErrback(lambda _: None)
        self.assertEqual(
            self.events.take(), [("on_sdk_warning", ResultCode.WARNING_UDPFAIL)]
        )

    def test_watchUnknown(self):
        """Only members of the room can be watched."""
        self.enter(ANN)
        self.assertEqual(self.code(self.client.watch(99)), ResultCode.INVALID_USERID)

    def test_udp(self):
        """The UDP path's fate is logged in the product's words."""
        self.enter(ANN)
        self.client.watch(5)
        self.plane.on_udp(False, None)
        self.plane.on_udp(True, 0.0312)
        self.assertEqual(
            self.lines()[-2:],
            [
                "Warning: The UDP communication with the server abnormal!",
                "Connection to streaming media server successfully!(udp delay:31ms)",
            ],
        )
        self.assertEqual(
            self.events.take(), [("on_sdk_warning", ResultCode.WARNING_UDPFAIL)]
        )

    def test_oldPlane(self):
        """A plane that was stopped is not listened to any more."""
        self.enter(ANN)
        self.client.watch(5).addErrback(lambda _: None)
        plane = self.plane
        self.client.close()
        plane.on_udp(False, None)
        self.assertEqual(self.events.take(), [])

    def test_leave(self):
        """Leaving the room ends publications and watches, the plane stays."""
        self.enter(ANN)
        watched = self.client.watch(5)
        self.serve(OK)
        self.serve(OK)
        self.successResultOf(watched)
        self.tell(granted(5, VIDEO, 9))
        self.client.leave_room()
        self.serve(OK, LeaveRoom(1))
        self.assertEqual(self.plane.receiving, [])
        self.assertFalse(self.plane.stopped)

    def test_missingLibraries(self):
        """Without PyAV media calls fail, with 783; the others work."""

        def missing(*_):
            raise Refused(ResultCode.WARNING_MEDIACOREFAIL)

        self.client._plane._make = missing
        self.enter(ANN)
        self.assertEqual(
            self.code(self.client.watch(5)), ResultCode.WARNING_MEDIACOREFAIL
        )
        self.assertEqual(
            self.code(self.client.publish("test:")), ResultCode.WARNING_MEDIACOREFAIL
        )


class EarlyMediaTests(ClientTestCase):
    """With ``media_at_login``, as AnyChat does it."""

    media_at_login = True

    def test_early(self):
        """The UDP path is opened with the login."""
        self.log_in()
        self.assertEqual(self.plane.setup.port, 8907)

    def test_missingLibraries(self):
        """Without PyAV there is a warning, and signalling works."""

        def missing(*_):
            raise Refused(ResultCode.WARNING_MEDIACOREFAIL)

        self.client._plane._make = missing
        self.enter(ANN)
        self.assertIn(
            "Warning: 783 WARNING_MEDIACOREFAIL: warning: MediaCore library missing",
            self.lines(),
        )
