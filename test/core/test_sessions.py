"""The life of a session: held, resumed, logged out, timed out."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind, VideoCallStage
from anychat.core.commands import Tick
from anychat.core.effects import (
    CloseRoute,
    EndSession,
    JoinRoute,
    LeaveRoute,
    Reply,
    Send,
)
from anychat.messages import (
    Logout,
    Member,
    OnlineUser,
    OpenStreamInfo,
    PublishedStream,
    Result,
    Resync,
    RoomMembers,
    SendText,
    StreamEnded,
    Subscription,
    TextMessage,
    TransferTasks,
    UserAtRoom,
    VideoCallStatus,
)
from test.core.driver import H264, Driver, sent

NO_CALL = VideoCallStatus(VideoCallStage.NONE, 0, 0, 0, False)


class LogoutTests(SynchronousTestCase):
    """LOGOUT."""

    def test_logout(self):
        """The answer comes first, the end of the session with code 0 last."""
        core = Driver()
        alice, bob = core.together("alice", "bob")
        self.assertEqual(
            core.ask(alice, Logout(), request=5),
            [
                Reply(alice, 5, Result(ResultCode.SUCCESS)),
                Send((bob,), UserAtRoom(False, Member(1, 0, "alice"))),
                EndSession(alice, ResultCode.SUCCESS),
            ],
        )
        self.assertEqual(list(core.state.sessions), [bob])
        self.assertNotIn(1, core.state.users)


class HoldTests(SynchronousTestCase):
    """A session without a link."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob = self.core.together("alice", "bob")

    def test_othersAreNotTold(self):
        """Losing a link has no effect; the hold time starts."""
        self.assertEqual(self.core.lose(self.alice), [])
        self.assertEqual(self.core.hall.next_timeout(), 130.0)

    def test_heldSessionIsStillSentTo(self):
        """What is sent during the hold goes to the session's buffer."""
        self.core.lose(self.alice)
        effects = self.core.ask(self.bob, SendText(-1, False, "hello"))
        self.assertEqual(
            sent(effects, self.alice), [TextMessage(2, -1, False, "hello")]
        )

    def test_losingTwiceChangesNothing(self):
        """The hold time counts from the first loss."""
        self.core.lose(self.alice)
        self.core.now += 10
        self.core.lose(self.alice)
        self.assertEqual(self.core.hall.next_timeout(), 130.0)

    def test_resumed(self):
        """A resumed session is active again, under its new link and address."""
        self.core.lose(self.alice)
        self.assertEqual(self.core.resume(self.alice), [])
        self.assertIsNone(self.core.hall.next_timeout())
        session = self.core.state.sessions[self.alice]
        self.assertEqual(session.address, "198.51.100.9")
        self.assertEqual(self.core.wait(100), [])
        self.assertIn(self.alice, self.core.state.sessions)

    def test_resumedBeforeTheLossWasSeen(self):
        """A client may notice the loss of its link before the server does."""
        self.core.resume(self.alice)
        self.assertEqual(self.core.state.sessions[self.alice].address, "198.51.100.9")

    def test_timeout(self):
        """After the hold time the session ends with 101, its user leaves."""
        self.core.lose(self.alice)
        self.assertEqual(self.core.wait(29.9), [])
        self.assertEqual(
            self.core.wait(0.1),
            [
                Send((self.bob,), UserAtRoom(False, Member(1, 0, "alice"))),
                EndSession(self.alice, ResultCode.CONNECT_ABORT),
            ],
        )
        self.assertEqual(list(self.core.state.sessions), [self.bob])

    def test_timeoutEndsStreams(self):
        """With the session go its publications and its subscriptions."""
        opened = self.core.publish(self.alice)[0]
        granted = self.core.publish(self.bob)[0]
        self.core.watch(self.bob, self.alice)
        self.core.watch(self.alice, self.bob)
        self.core.lose(self.alice)
        self.assertEqual(
            self.core.wait(30),
            [
                CloseRoute(opened.ssrc),
                Send((self.bob,), StreamEnded(1, StreamKind.VIDEO, 0, opened.ssrc)),
                LeaveRoute(self.alice, granted.ssrc),
                Send((self.bob,), UserAtRoom(False, Member(1, 0, "alice"))),
                EndSession(self.alice, ResultCode.CONNECT_ABORT),
            ],
        )

    def test_oneItemForEachTick(self):
        """A tick ends one session, the one that is due first; none too early."""
        self.core.lose(self.alice)
        self.core.now += 5
        self.core.lose(self.bob)
        self.assertEqual(self.core.run(Tick()), [])
        self.core.now += 30
        self.assertEqual(self.core.run(Tick())[-1].session, self.alice)
        self.assertEqual(self.core.hall.next_timeout(), 135.0)
        self.assertEqual(self.core.run(Tick())[-1].session, self.bob)
        self.assertIsNone(self.core.hall.next_timeout())
        self.assertEqual(self.core.run(Tick()), [])

    def test_unknownSession(self):
        """Links of sessions that are over are of no interest."""
        self.assertEqual(self.core.lose(999), [])
        self.assertEqual(self.core.resume(999, resync=True), [])


class ResyncTests(SynchronousTestCase):
    """RESYNC: the whole state for a client that missed something."""

    def test_outsideRooms(self):
        """In no room the state is the user's id."""
        core = Driver()
        alice = core.login("alice")
        self.assertEqual(
            core.resume(alice, resync=True),
            [
                Send((alice,), Resync(1, 0)),
                Send((alice,), NO_CALL),
                Send((alice,), TransferTasks(())),
            ],
        )

    def test_inRoom(self):
        """Room, members and streams follow; open ones are granted again."""
        core = Driver()
        alice, bob = core.together("alice", "bob")
        mine = core.publish(alice, StreamKind.AUDIO, 3)[0]
        theirs = core.publish(bob)[0]
        core.watch(alice, bob)
        core.watch(alice, bob, stream_index=4)
        core.lose(alice)
        member = Member(2, 0, "bob", (OpenStreamInfo(StreamKind.VIDEO, 0),))
        self.assertEqual(
            core.resume(alice, resync=True),
            [
                Send(
                    (alice,),
                    Resync(
                        1,
                        1,
                        "Room 1",
                        (PublishedStream(StreamKind.AUDIO, 3, mine.ssrc),),
                        (
                            Subscription(2, StreamKind.VIDEO, 0),
                            Subscription(2, StreamKind.VIDEO, 4),
                        ),
                    ),
                ),
                Send((alice,), RoomMembers(1, (member,))),
                Send((alice,), OnlineUser(2, 1)),
                JoinRoute(alice, theirs.ssrc, 2, StreamKind.VIDEO, 0, H264),
                Send((alice,), NO_CALL),
                Send((alice,), TransferTasks(())),
            ],
        )
