"""The client SDK against a server in memory."""

from twisted.internet import error

from anychat.codes import ResultCode, SelfStatus
from anychat.errors import Refused
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    Heartbeat,
    LeaveRoom,
    LoginResult,
    Logout,
    SendText,
)
from test.client.client_case import ANN, BOB, OK, VIDEO, ClientTestCase
from test.client.fakes import FakeMedia, granted


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

    def test_wrongPort(self):
        """A port that is none is refused."""
        for port in (0, 65536, "x", 1.5):
            outcome = self.client.connect("localhost", port)
            self.assertEqual(self.code(outcome), ResultCode.FUNCOPTERROR)

    def test_applicationCode(self):
        """A code that is none of AnyChat's reaches the program as it is."""
        self.server.login_code = ResultCode(4_000_000_001)
        self.client.connect("localhost")
        outcome = self.client.login("ann")
        self.server.flush()
        self.assertEqual(self.code(outcome), 4_000_000_001)


class MediaTests(ClientTestCase):
    """The media plane: when it is made, told and stopped."""

    def test_lazy(self):
        """Without media calls there is no media plane."""
        self.enter(ANN)
        self.assertEqual(self.media, [])

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
