"""`Client.video_calls`: calling, being called, and knowing which call there is."""

from anychat.client.video_calls import VideoCall
from anychat.codes import (
    ResultCode,
    StreamKind,
    VideoCallEvent,
    VideoCallStage,
)
from anychat.messages import (
    Logout,
    Result,
    Resync,
    VideoCallControl,
    VideoCallNotice,
    VideoCallStatus,
)
from test.client.client_case import OK, ClientTestCase

REQUEST, REPLY, START, FINISH = VideoCallEvent
CALLING, CALLED, TALKING = list(VideoCallStage)[1:]
CODE = ResultCode
SUCCESS = CODE.SUCCESS


class VideoCallsCase(ClientTestCase):
    """A client that is logged in."""

    def setUp(self):
        """Log in."""
        super().setUp()
        self.log_in()
        self.calls = self.client.video_calls
        self.events.take()

    def notice(self, event, user_id=5, error=0, *, flags=3, param=0, text=""):
        """The server tells something; what the program hears of it."""
        self.tell(
            VideoCallNotice(event, user_id, ResultCode(error), flags, param, text)
        )
        return self.events.take()

    def event(self, event, user_id=5, error=0, *, flags=3, param=0, text=""):
        """What the program is to hear."""
        told = (event, user_id, ResultCode(error), flags, param, text)
        return [("on_video_call_event", *told)]

    def talk(self):
        """In a call with user 5, who rang."""
        self.notice(REQUEST)
        self.notice(START, param=9)


class CallingTests(VideoCallsCase):
    """What a program does, and what becomes of it."""

    def test_request(self):
        """It fires with the answer; the events bring the call about."""
        outcome = self.calls.request(5, 0x23, -1, "hi")
        self.serve(OK, VideoCallControl(REQUEST, 5, SUCCESS, 0x23, -1, "hi"))
        self.successResultOf(outcome)
        self.assertEqual(self.calls.current, VideoCall(5, CALLING, True, 0x23))
        self.assertEqual(
            self.notice(REPLY, flags=0x23, param=-1),
            self.event(REPLY, flags=0x23, param=-1),
        )
        self.assertEqual(self.calls.current, VideoCall(5, CALLING, True, 0x23))
        self.notice(START, flags=0x23, param=10005)
        self.assertEqual(self.calls.current, VideoCall(5, TALKING, True, 0x23, 10005))
        self.assertIn("Message OnVideoCallEvent(3, 5, 0, 0x23, 10005)", self.lines())

    def test_refused(self):
        """It fails with the server's code, and the event says it too."""
        outcome = self.calls.request(5)
        self.serve(Result(CODE.VIDEOCALL_BUSY))
        self.assertEqual(self.code(outcome), CODE.VIDEOCALL_BUSY)
        busy = CODE.VIDEOCALL_BUSY
        self.assertEqual(self.notice(REPLY, 5, busy), self.event(REPLY, 5, busy))
        self.assertIsNone(self.calls.current)

    def test_accept(self):
        """Whoever rings is answered with the flags of his call."""
        self.notice(REQUEST, flags=0x40)
        self.assertEqual(self.calls.current, VideoCall(5, CALLED, False, 0x40))
        self.calls.accept(text="yes")
        self.serve(OK, VideoCallControl(REPLY, 5, SUCCESS, 0x40, 0, "yes"))
        self.assertEqual(self.calls.current.stage, CALLED)
        self.notice(START, flags=0x40, param=9)
        self.assertEqual(self.calls.current.room_id, 9)

    def test_reject(self):
        """A refusal ends it at once: the server says nothing more."""
        self.notice(REQUEST)
        self.calls.reject()
        self.serve(OK, VideoCallControl(REPLY, 5, CODE.VIDEOCALL_REJECT, 3, 0, ""))
        self.assertIsNone(self.calls.current)

    def test_cancel(self):
        """So does giving up; where that is refused, the call goes on."""
        self.notice(REPLY)
        outcome = self.calls.cancel()
        self.serve(Result(CODE(4711)))
        self.assertEqual(self.code(outcome), 4711)
        self.assertEqual(self.calls.current.stage, CALLING)
        self.calls.cancel()
        self.serve(OK, VideoCallControl(REPLY, 5, CODE.VIDEOCALL_CANCEL, 3, 0, ""))
        self.assertIsNone(self.calls.current)

    def test_cancelEarly(self):
        """What a business server still thinks about can be given up, too."""
        outcome = self.calls.request(5)
        self.calls.cancel()
        self.server.flush()
        (first, asked), (second, given_up) = self.server.side.take()
        self.assertEqual(asked.event, REQUEST)
        self.assertEqual(
            given_up, VideoCallControl(REPLY, 5, CODE.VIDEOCALL_CANCEL, 0, 0, "")
        )
        self.server.side.send(OK, second)
        self.server.side.send(Result(CODE.VIDEOCALL_CANCEL), first)
        self.server.flush()
        self.assertEqual(self.code(outcome), CODE.VIDEOCALL_CANCEL)
        self.assertIsNone(self.calls.current)
        self.assertEqual(self.code(self.calls.cancel()), CODE.VIDEOCALL_NOTINCALL)

    def test_finish(self):
        """FINISH is over when the server says so."""
        self.talk()
        self.calls.finish(4711, text="bye")
        self.serve(OK, VideoCallControl(FINISH, 5, CODE(4711), 3, 0, "bye"))
        self.assertEqual(self.calls.current.stage, TALKING)
        self.notice(FINISH, error=4711)
        self.assertIsNone(self.calls.current)

    def test_idle(self):
        """Without a call there is nothing to say; 21 for what is no value."""
        for act in (
            self.calls.accept,
            self.calls.reject,
            self.calls.cancel,
            self.calls.finish,
        ):
            self.assertEqual(self.code(act()), CODE.VIDEOCALL_NOTINCALL)
        for event, error in (9, 0), (REPLY, -1):
            outcome = self.calls.control(event, 5, error)
            self.assertEqual(self.code(outcome), CODE.FUNCOPTERROR)
        self.assertEqual(self.requests(), [])

    def test_others(self):
        """What concerns other users, or goes on, leaves the call alone."""
        self.notice(REPLY)
        for user_id, error in (6, 100103), (5, 440):
            self.notice(REPLY, user_id, error)
            self.assertEqual(self.calls.current.stage, CALLING)
        self.notice(REPLY, 5, 100104)
        self.assertIsNone(self.calls.current)

    def test_directions(self):
        """The flags say who may send what."""
        audio, video = StreamKind.AUDIO, StreamKind.VIDEO
        caller = VideoCall(5, TALKING, True, 0x10 | 0x80, 9)
        callee = VideoCall(4, TALKING, False, 0x10 | 0x80, 9)
        for kind, sends, receives in (audio, False, True), (video, True, False):
            self.assertIs(caller.may_send(kind), sends)
            self.assertIs(caller.may_receive(kind), receives)
            self.assertIs(callee.may_send(kind), receives)
            self.assertIs(callee.may_receive(kind), sends)


class LostTests(VideoCallsCase):
    """Lost links and sessions."""

    def resync(self, *status):
        """The server says that something was missed; what the program hears."""
        self.tell(Resync(7, 0))
        self.tell(VideoCallStatus(*status))
        return self.events.take()

    def test_held(self):
        """A lost link that comes back changes nothing."""
        self.talk()
        self.lose()
        self.come_back()
        self.assertEqual(self.calls.current.stage, TALKING)
        names = {name for name, *_ in self.events.take()}
        self.assertEqual(names, {"on_session_keep"})

    def lose_session(self):
        """The server does not hold the session; what is heard of the call."""
        self.server.resume_code = CODE.SESSIONNOTEXIST
        self.lose()
        self.come_back()
        self.assertIsNone(self.calls.current)
        events = self.events.take()
        return [event for event in events if event[0] == "on_video_call_event"]

    def test_sessionLost(self):
        """With the session the call is over: 100106."""
        self.talk()
        self.assertEqual(self.lose_session(), self.event(FINISH, 5, 100106, param=9))

    def test_sessionLostRinging(self):
        """So is the ringing."""
        self.notice(REQUEST)
        self.assertEqual(self.lose_session(), self.event(REPLY, 5, 100106))

    def test_logout(self):
        """A logout needs no event."""
        self.talk()
        self.client.logout()
        self.serve(OK, Logout())
        self.assertIsNone(self.calls.current)
        names = [name for name, *_ in self.events.take()]
        self.assertNotIn("on_video_call_event", names)

    def test_resyncSame(self):
        """RESYNC with the call that is known: nothing."""
        self.assertEqual(self.resync(VideoCallStage.NONE, 0, 0, 0, False), [])
        self.talk()
        self.assertEqual(self.resync(TALKING, 5, 3, 9, False), [])

    def test_resyncOver(self):
        """A call that ended meanwhile."""
        self.talk()
        self.assertEqual(
            self.resync(VideoCallStage.NONE, 0, 0, 0, False),
            self.event(FINISH, 5, 100106, param=9),
        )
        self.assertIsNone(self.calls.current)

    def test_resyncStarted(self):
        """A call that was answered meanwhile."""
        self.notice(REPLY)
        self.assertEqual(
            self.resync(TALKING, 5, 3, 9, True), self.event(START, param=9)
        )
        self.assertEqual(self.calls.current, VideoCall(5, TALKING, True, 3, 9))

    def test_resyncAnother(self):
        """One that ended, and another one that came."""
        self.notice(REQUEST)
        self.assertEqual(
            self.resync(CALLED, 6, 1, 0, False),
            self.event(REPLY, 5, 100106) + self.event(REQUEST, 6, flags=1),
        )
        self.assertEqual(
            self.resync(TALKING, 8, 1, 9, True),
            self.event(REPLY, 6, 100106, flags=1)
            + self.event(REPLY, 8, flags=1)
            + self.event(START, 8, flags=1, param=9),
        )
