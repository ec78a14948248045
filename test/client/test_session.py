"""A session outlives its connections."""

from twisted.internet import error

from anychat.codes import ResultCode, SelfStatus
from anychat.messages import (
    EnterRoom,
    EnterRoomResult,
    LinkClose,
    Login,
    OpenStream,
    QueryOnlineUsers,
    Resume,
    SendText,
    StreamOpened,
    TextMessage,
    UserAtRoom,
    UserCameraControl,
    UserList,
    UserSpeakControl,
)
from test.client.client_case import ANN, AUDIO, OK, VIDEO, ClientTestCase
from test.client.fakes import granted


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
