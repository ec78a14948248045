"""Subscriptions: asked for, granted, waiting, ended."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind
from anychat.core.effects import JoinRoute, LeaveRoute, Reply, Send
from anychat.messages import (
    CloseStream,
    LeaveRoom,
    Result,
    StreamEnded,
    UserCameraControl,
    UserSpeakControl,
)
from test.core.driver import DEMO, H264, OPUS, Driver

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
DONE = Result(ResultCode.SUCCESS)


class SubscribeTests(SynchronousTestCase):
    """UserCameraControl and UserSpeakControl."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob = self.core.together("alice", "bob")

    def test_openStream(self):
        """The answer comes first, then the route."""
        ssrc = self.core.publish(self.alice)[0].ssrc
        self.assertEqual(
            self.core.watch(self.bob, self.alice),
            [
                Reply(self.bob, 7, DONE),
                JoinRoute(self.bob, ssrc, 1, VIDEO, 0, H264),
            ],
        )

    def test_audio(self):
        """UserSpeakControl does the same for audio, by index."""
        ssrc = self.core.publish(self.alice, AUDIO, 2)[0].ssrc
        self.core.publish(self.alice, VIDEO, 2)
        self.assertEqual(
            self.core.ask(self.bob, UserSpeakControl(1, True, 2))[1],
            JoinRoute(self.bob, ssrc, 1, AUDIO, 2, OPUS),
        )
        self.assertEqual(
            self.core.ask(self.bob, UserSpeakControl(1, False, 2))[0],
            LeaveRoute(self.bob, ssrc),
        )

    def test_closedStream(self):
        """A subscription waits for the stream and survives its being closed."""
        self.assertEqual(
            self.core.watch(self.bob, self.alice), [Reply(self.bob, 7, DONE)]
        )
        for _ in range(2):
            self.assertIsInstance(self.core.publish(self.alice)[-1], JoinRoute)
            self.core.ask(self.alice, CloseStream(VIDEO, 0))

    def test_twice(self):
        """Asking again changes nothing and grants again."""
        self.core.publish(self.alice)
        first = self.core.watch(self.bob, self.alice)
        before = len(self.core.journal)
        self.assertEqual(self.core.watch(self.bob, self.alice), first)
        self.assertEqual(len(self.core.journal), before)

    def test_unsubscribe(self):
        """Route, StreamEnded, answer; what is opened later is not granted."""
        ssrc = self.core.publish(self.alice)[0].ssrc
        self.core.watch(self.bob, self.alice)
        self.assertEqual(
            self.core.watch(self.bob, self.alice, open=False),
            [
                LeaveRoute(self.bob, ssrc),
                Send((self.bob,), StreamEnded(1, VIDEO, 0, ssrc)),
                Reply(self.bob, 7, DONE),
            ],
        )
        self.core.ask(self.alice, CloseStream(VIDEO, 0))
        self.assertEqual(len(self.core.publish(self.alice)), 2)

    def test_unsubscribeWaiting(self):
        """A subscription that was not granted ends without StreamEnded."""
        self.core.watch(self.bob, self.alice)
        self.assertEqual(
            self.core.watch(self.bob, self.alice, open=False),
            [Reply(self.bob, 7, DONE)],
        )
        self.assertEqual(len(self.core.publish(self.alice)), 2)

    def test_unsubscribeFromNothing(self):
        """To end what is over is no error, also when the user is gone."""
        self.core.watch(self.bob, self.alice)
        self.core.ask(self.alice, LeaveRoom(1))
        for user_id in (1, 99):
            self.assertEqual(
                self.core.answer(self.bob, UserCameraControl(user_id, False)), DONE
            )

    def test_refused(self):
        """Only others in the same room, over a secure link, by a real index."""
        elsewhere = self.core.login("carol")
        self.core.enter(elsewhere, 2)
        outsider = self.core.login("dave")
        plain = self.core.login("erin", secure=False)
        self.core.enter(plain)
        cases = [
            (outsider, UserCameraControl(1, True), ResultCode.ROOM_NOTIN),
            (outsider, UserSpeakControl(1, False), ResultCode.ROOM_NOTIN),
            (plain, UserCameraControl(1, True), ResultCode.FUNCNOTALLOW),
            (self.bob, UserCameraControl(99, True), ResultCode.INVALID_USERID),
            (self.bob, UserCameraControl(-1, True), ResultCode.INVALID_USERID),
            (self.bob, UserCameraControl(2, True), ResultCode.FUNCOPTERROR),
            (self.bob, UserCameraControl(3, True), ResultCode.DATANOTEXIST),
            (self.bob, UserSpeakControl(4, True), ResultCode.DATANOTEXIST),
            (self.bob, UserCameraControl(1, True, 16), ResultCode.FUNCOPTERROR),
            (self.bob, UserSpeakControl(1, False, 16), ResultCode.FUNCOPTERROR),
        ]
        for session, message, code in cases:
            self.assertEqual(self.core.code(session, message), code, message)

    def test_bounded(self):
        """One session holds a bounded number of subscriptions."""
        core = Driver(replace(DEMO, max_users_per_room=1000))
        watcher, *others = core.together(*(f"{number}" for number in range(130)))
        streams = [
            control(core.user(other), True, index)
            for other in others
            for index in range(16)
            for control in (UserCameraControl, UserSpeakControl)
        ]
        granted, beyond = streams[:4096], streams[4096:]
        for stream in granted:
            self.assertEqual(core.code(watcher, stream), ResultCode.SUCCESS)
        for stream in beyond:
            self.assertEqual(core.code(watcher, stream), ResultCode.NOENOUGHRESOURCE)
        self.assertEqual(core.code(watcher, granted[0]), ResultCode.SUCCESS)
