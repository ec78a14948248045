"""Publications: what may be opened, and who is told in which order."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind
from anychat.core.commands import SessionMessage
from anychat.core.effects import (
    CloseRoute,
    JoinRoute,
    LeaveRoute,
    OpenRoute,
    Reply,
    Send,
)
from anychat.core.streams import is_sane
from anychat.errors import LocalError
from anychat.messages import (
    CameraState,
    CloseStream,
    LeaveRoom,
    Member,
    MicStateChange,
    OpenStream,
    OpenStreamInfo,
    Result,
    StreamEnded,
    StreamOpened,
    UserAtRoom,
)
from test.core.driver import H264, OPUS, Driver

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO


class OpenTests(SynchronousTestCase):
    """OpenStream."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob, self.carol = self.core.together("alice", "bob", "carol")

    def test_camera(self):
        """The route is opened, then the room gets CAMERASTATE."""
        opened, told = self.core.ask(self.alice, OpenStream(VIDEO, 3, H264), request=8)
        self.assertEqual(opened, OpenRoute(self.alice, 8, opened.ssrc, VIDEO, H264))
        self.assertEqual(told, Send((self.bob, self.carol), CameraState(1, 3, True)))

    def test_microphone(self):
        """For audio the room gets MICSTATECHANGE."""
        opened, told = self.core.publish(self.alice, AUDIO)
        self.assertEqual((opened.kind, opened.format), (AUDIO, OPUS))
        self.assertEqual(told.message, MicStateChange(1, 0, True))

    def test_waitingSubscriptionsAreGranted(self):
        """Who subscribed before gets the stream when it is opened."""
        self.core.watch(self.bob, self.alice)
        self.core.watch(self.carol, self.alice)
        opened, _, *joins = self.core.publish(self.alice)
        self.assertEqual(
            joins,
            [
                JoinRoute(watcher, opened.ssrc, 1, VIDEO, 0, H264)
                for watcher in (self.bob, self.carol)
            ],
        )

    def test_openedAnew(self):
        """An open stream is replaced: a new SSRC, and all watchers moved to it."""
        old = self.core.publish(self.alice)[0]
        self.core.watch(self.bob, self.alice)
        wide = replace(H264, width=640, height=480)
        effects = self.core.ask(self.alice, OpenStream(VIDEO, 0, wide))
        new = effects[2]
        self.assertNotEqual(old.ssrc, new.ssrc)
        self.assertEqual(
            effects,
            [
                CloseRoute(old.ssrc),
                Send((self.bob,), StreamEnded(1, VIDEO, 0, old.ssrc)),
                OpenRoute(self.alice, 7, new.ssrc, VIDEO, wide),
                JoinRoute(self.bob, new.ssrc, 1, VIDEO, 0, wide),
            ],
        )

    def test_entrantsAreToldOfOpenStreams(self):
        """Who comes later sees in the list of members what is open."""
        self.core.publish(self.alice, AUDIO)
        self.core.publish(self.alice, VIDEO, 5)
        self.core.publish(self.alice, VIDEO)
        members = self.core.enter(self.core.login("dave"))[1].message.members
        self.assertEqual(
            members[0],
            Member(
                1,
                0,
                "alice",
                (
                    OpenStreamInfo(VIDEO, 0),
                    OpenStreamInfo(VIDEO, 5),
                    OpenStreamInfo(AUDIO, 0),
                ),
            ),
        )

    def test_refused(self):
        """In a room, over a secure link, with a sane index and format."""
        outsider = self.core.login("dave")
        plain = self.core.login("erin", secure=False)
        self.core.enter(plain)
        cases = [
            (outsider, OpenStream(VIDEO, 0, H264), ResultCode.ROOM_NOTIN),
            (plain, OpenStream(VIDEO, 0, H264), ResultCode.FUNCNOTALLOW),
            (self.alice, OpenStream(VIDEO, 16, H264), ResultCode.FUNCOPTERROR),
            (self.alice, OpenStream(VIDEO, -1, H264), ResultCode.FUNCOPTERROR),
            (self.alice, OpenStream(VIDEO, 0, OPUS), ResultCode.FUNCOPTERROR),
        ]
        for session, message, code in cases:
            self.assertEqual(self.core.answer(session, message), StreamOpened(code))

    def test_atMostSixteen(self):
        """The seventeenth stream gets 23; replacing one of sixteen is fine."""
        for index in range(8):
            self.core.publish(self.alice, VIDEO, index)
            self.core.publish(self.alice, AUDIO, index)
        self.assertEqual(
            self.core.code(self.alice, OpenStream(VIDEO, 8, H264)),
            ResultCode.NOENOUGHRESOURCE,
        )
        self.assertIsInstance(self.core.publish(self.alice, VIDEO, 7)[1], OpenRoute)

    def test_withoutRequestNumber(self):
        """Nobody could be told the key: nothing is opened."""
        self.assertEqual(
            self.core.ask(self.alice, OpenStream(VIDEO, 0, H264), request=0), []
        )
        self.assertEqual(self.core.publish(self.alice)[0].kind, VIDEO)

    def test_ssrcMustBeGiven(self):
        """A missing SSRC is the shell's bug."""
        command = SessionMessage(self.alice, 1, OpenStream(VIDEO, 0, H264))
        self.assertRaises(LocalError, self.core.run, command)


class CloseTests(SynchronousTestCase):
    """CloseStream, and what leaving a room does to streams."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob, self.carol = self.core.together("alice", "bob", "carol")
        self.ssrc = self.core.publish(self.alice)[0].ssrc
        self.core.watch(self.bob, self.alice)

    def test_close(self):
        """Route, receivers, room, answer: in this order."""
        self.assertEqual(
            self.core.ask(self.alice, CloseStream(VIDEO, 0)),
            [
                CloseRoute(self.ssrc),
                Send((self.bob,), StreamEnded(1, VIDEO, 0, self.ssrc)),
                Send((self.bob, self.carol), CameraState(1, 0, False)),
                Reply(self.alice, 7, Result(ResultCode.SUCCESS)),
            ],
        )

    def test_closedAlready(self):
        """To close what is not open is no error."""
        self.assertEqual(
            self.core.code(self.alice, CloseStream(AUDIO, 0)), ResultCode.SUCCESS
        )

    def test_refused(self):
        """Not outside rooms, and no index that there is not."""
        self.assertEqual(
            self.core.code(self.alice, CloseStream(VIDEO, 16)),
            ResultCode.FUNCOPTERROR,
        )
        self.assertEqual(
            self.core.code(self.core.login("dave"), CloseStream(VIDEO, 0)),
            ResultCode.ROOM_NOTIN,
        )

    def test_publisherLeaves(self):
        """Leaving closes the streams; coming back does not open them."""
        self.assertEqual(
            self.core.ask(self.alice, LeaveRoom(1))[1:],
            [
                CloseRoute(self.ssrc),
                Send((self.bob,), StreamEnded(1, VIDEO, 0, self.ssrc)),
                Send((self.bob, self.carol), UserAtRoom(False, Member(1, 0, "alice"))),
            ],
        )
        self.core.enter(self.alice)
        opened = self.core.publish(self.alice)
        self.assertEqual(len(opened), 2, "subscriptions ended with the membership")

    def test_watcherLeaves(self):
        """Leaving ends the subscriptions."""
        effects = self.core.ask(self.bob, LeaveRoom(1))
        self.assertEqual(effects[1], LeaveRoute(self.bob, self.ssrc))
        self.core.enter(self.bob)
        self.assertEqual(len(self.core.ask(self.alice, CloseStream(VIDEO, 0))), 3)


class FormatTests(SynchronousTestCase):
    """`is_sane`."""

    def test_good(self):
        """What real encoders give is accepted."""
        good = [
            (VIDEO, H264),
            (VIDEO, replace(H264, payload_type=97)),
            (VIDEO, replace(H264, bitrate=0)),
            (VIDEO, replace(H264, width=3840, height=2160, fps=60)),
            (AUDIO, OPUS),
            (AUDIO, replace(OPUS, channels=2)),
            (
                AUDIO,
                replace(OPUS, payload_type=112, clock_rate=44100, config=b"\x12\x10"),
            ),
            (AUDIO, replace(OPUS, payload_type=113, clock_rate=16000)),
            (AUDIO, replace(OPUS, payload_type=0, clock_rate=8000)),
        ]
        for kind, form in good:
            self.assertTrue(is_sane(kind, form), form)

    def test_bad(self):
        """What no encoder gives is refused, one thing at a time."""
        bad = [
            (AUDIO, H264),
            (VIDEO, OPUS),
            (VIDEO, replace(H264, payload_type=95)),
            (VIDEO, replace(H264, clock_rate=48000)),
            (VIDEO, replace(H264, bitrate=-1)),
            (VIDEO, replace(H264, bitrate=10**9)),
            (VIDEO, replace(H264, width=0)),
            (VIDEO, replace(H264, height=8193)),
            (VIDEO, replace(H264, fps=0)),
            (VIDEO, replace(H264, fps=121)),
            (VIDEO, replace(H264, channels=1)),
            (VIDEO, replace(H264, config=bytes(1025))),
            (AUDIO, replace(OPUS, clock_rate=16000)),
            (AUDIO, replace(OPUS, payload_type=112, clock_rate=90000)),
            (AUDIO, replace(OPUS, channels=0)),
            (AUDIO, replace(OPUS, channels=9)),
            (AUDIO, replace(OPUS, width=1)),
        ]
        for kind, form in bad:
            self.assertFalse(is_sane(kind, form), form)
