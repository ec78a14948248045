"""Tests of `anychat.protocols.reliable`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.protocols.framing import FrameReader
from anychat.protocols.reliable import (
    KEEPING,
    Account,
    ReliableChannel,
    Repeat,
    ReplyCache,
)


def frame_of(data):
    """The only frame in these bytes."""
    (frame,) = FrameReader().receive(data)
    return frame


class NumberTests(SynchronousTestCase):
    """Frames are numbered, acknowledged and kept until then."""

    def test_numbersFromOne(self):
        """The first frame of a session is number 1."""
        channel = ReliableChannel()
        frames = [frame_of(channel.number(40, b"x", 9)) for _ in range(3)]
        self.assertEqual([f.seq for f in frames], [1, 2, 3])
        self.assertEqual({f.request for f in frames}, {9})

    def test_framesAcknowledge(self):
        """Each frame says what was taken last."""
        channel = ReliableChannel()
        self.assertEqual(frame_of(channel.number(40, b"")).ack, 0)
        channel.take(1)
        self.assertEqual(frame_of(channel.number(40, b"")).ack, 1)

    def test_acknowledgedFramesAreForgotten(self):
        """What the peer took is not kept."""
        channel = ReliableChannel()
        for _ in range(3):
            channel.number(40, b"12345")
        self.assertTrue(channel.acknowledge(2))
        self.assertEqual(channel.held, 5 + KEEPING)
        self.assertFalse(channel.acknowledge(2))
        self.assertTrue(channel.acknowledge(3))
        self.assertEqual(channel.held, 0)

    def test_oldAcknowledgementIsNoNews(self):
        """A frame that was sent before another may arrive after it."""
        channel = ReliableChannel()
        channel.number(40, b"")
        channel.number(40, b"")
        channel.acknowledge(2)
        self.assertFalse(channel.acknowledge(1))
        self.assertEqual(channel.resume(2), [])

    def test_acknowledgementOfNothing(self):
        """What was never sent cannot be acknowledged."""
        channel = ReliableChannel()
        self.assertRaises(PeerError, channel.acknowledge, 1)
        channel.number(40, b"")
        self.assertRaises(PeerError, channel.acknowledge, 2)
        channel.acknowledge(1)
        self.assertRaises(PeerError, channel.acknowledge, 2)

    def test_takesOnce(self):
        """A number that was taken is refused the second time."""
        channel = ReliableChannel()
        self.assertTrue(channel.take(1))
        self.assertFalse(channel.take(1))
        self.assertTrue(channel.take(2))
        self.assertFalse(channel.take(1))
        self.assertEqual(channel.taken, 2)

    def test_gap(self):
        """A missing frame is a fault: TCP loses none."""
        channel = ReliableChannel()
        self.assertRaises(PeerError, channel.take, 2)
        self.assertEqual(channel.taken, 0)

    def test_numbersWrap(self):
        """After 2^32-1 comes 0, and replay works across it."""
        channel, peer = ReliableChannel(), ReliableChannel()
        channel.sent = channel._acked = peer.taken = 2**32 - 2
        frames = [frame_of(channel.number(40, b"%d" % n)) for n in range(4)]
        self.assertEqual([f.seq for f in frames], [2**32 - 1, 0, 1, 2])
        self.assertTrue(all(peer.take(f.seq) for f in frames[:2]))
        replayed = [frame_of(data) for data in channel.resume(peer.taken)]
        self.assertEqual([(f.seq, f.body) for f in replayed], [(1, b"2"), (2, b"3")])
        self.assertRaises(PeerError, channel.acknowledge, 3)


class ResumeTests(SynchronousTestCase):
    """A new link gets what the old one lost, or learns that it cannot."""

    def test_replays(self):
        """Frames after the last one taken come again, with fresh acks."""
        channel = ReliableChannel()
        for n in range(4):
            channel.number(40 + n, b"%d" % n, n)
        channel.take(1)
        frames = [frame_of(data) for data in channel.resume(2)]
        self.assertEqual(
            [(f.type, f.seq, f.request, f.ack, f.body) for f in frames],
            [(42, 3, 2, 1, b"2"), (43, 4, 3, 1, b"3")],
        )

    def test_nothingMissed(self):
        """A peer that took everything gets nothing."""
        channel = ReliableChannel()
        channel.number(40, b"")
        self.assertEqual(channel.resume(1), [])

    def test_dropsTheOldest(self):
        """What is kept is bounded though the peer never acknowledges."""
        channel = ReliableChannel(maximum=10 * (100 + KEEPING))
        for _ in range(1000):
            channel.number(40, bytes(100))
        self.assertLessEqual(channel.held, 10 * (100 + KEEPING))
        self.assertEqual(channel.dropped, 990)
        self.assertIsNone(channel.resume(989))
        self.assertEqual(len(channel.resume(990)), 10)

    def test_smallFramesCount(self):
        """Empty bodies do not make the buffer endless."""
        channel = ReliableChannel(maximum=1000 * KEEPING)
        for _ in range(5000):
            channel.number(40, b"")
        self.assertEqual(channel.dropped, 4000)

    def test_acknowledgingWhatWasDropped(self):
        """A late acknowledgement of dropped frames forgets no others."""
        channel = ReliableChannel(maximum=2 * KEEPING)
        for _ in range(5):
            channel.number(40, b"")
        self.assertTrue(channel.acknowledge(2))
        self.assertEqual(channel.held, 2 * KEEPING)
        self.assertEqual(len(channel.resume(3)), 2)

    def test_peerThatForgot(self):
        """A peer that took less than it acknowledged cannot go on."""
        channel = ReliableChannel()
        for _ in range(3):
            channel.number(40, b"")
        channel.acknowledge(2)
        self.assertIsNone(channel.resume(1))

    def test_peerThatLies(self):
        """A peer that took what was never sent broke the protocol."""
        self.assertRaises(PeerError, ReliableChannel().resume, 7)

    def test_keepsLess(self):
        """A channel that may keep less drops its oldest frames at once."""
        channel = ReliableChannel()
        for _ in range(5):
            channel.number(40, b"")
        channel.keep(2 * KEEPING)
        self.assertEqual((channel.held, channel.dropped), (2 * KEEPING, 3))
        self.assertIsNone(channel.resume(2))
        self.assertEqual(len(channel.resume(3)), 2)

    def test_keepsNothing(self):
        """One that may keep nothing has a gap for whoever missed a frame."""
        channel = ReliableChannel()
        channel.number(40, b"")
        channel.keep(0)
        channel.number(40, b"")
        self.assertEqual((channel.held, channel.dropped), (0, 2))
        self.assertIsNone(channel.resume(1))
        self.assertEqual(channel.resume(2), [])
        channel.keep(1000)
        channel.number(40, b"")
        self.assertEqual(len(channel.resume(2)), 1)

    def test_restart(self):
        """After a restart both directions begin at 1, with nothing kept."""
        channel = ReliableChannel()
        channel.number(40, b"old")
        channel.take(1)
        channel.restart()
        frame = frame_of(channel.number(40, b"new"))
        self.assertEqual((frame.seq, frame.ack), (1, 0))
        self.assertTrue(channel.take(1))
        self.assertEqual(channel.held, len(b"new") + KEEPING)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("SSSRRL"),
                st.booleans(),
                st.integers(0, 400),
                st.integers(0, 5),
            ),
            max_size=60,
        )
    )
    def test_everythingArrivesOnceInOrder(self, steps):
        """Over links that break anywhere, nothing is lost, doubled or moved.

        Both sides send; a break loses what is under way in both directions.
        Only a restart loses frames, and then both sides know.
        """
        ends = [ReliableChannel(maximum=3000), ReliableChannel(maximum=3000)]
        under_way = [[], []]
        sent, received = [[], []], [[], []]

        def deliver(to, count):
            for _ in range(min(count, len(under_way[to]))):
                frame = frame_of(under_way[to].pop(0))
                ends[to].acknowledge(frame.ack)
                if ends[to].take(frame.seq):
                    received[to].append(frame.body)

        for number, (kind, second, size, count) in enumerate(steps):
            side = int(second)
            if kind == "S":
                body = number.to_bytes(2, "big") + bytes(size)
                sent[side].append(body)
                under_way[1 - side].append(ends[side].number(40, body))
            elif kind == "R":
                deliver(side, count)
            else:
                replays = [
                    ends[0].resume(ends[1].taken),
                    ends[1].resume(ends[0].taken),
                ]
                if None in replays:
                    for end in ends:
                        end.restart()
                    sent, received = [[], []], [[], []]
                    replays = [[], []]
                under_way = [list(replays[1]), list(replays[0])]
            self.assertLessEqual(max(end.held for end in ends), 3000)
        for side in (0, 1):
            deliver(side, len(under_way[side]))
            self.assertEqual(received[side], sent[1 - side])


class AccountTests(SynchronousTestCase):
    """What channels and caches keep together is known at any time."""

    def test_nobodyElse(self):
        """A channel without an account shares none."""
        first, second = ReliableChannel(), ReliableChannel()
        first.number(40, b"x")
        self.assertEqual((first.held, second.held), (1 + KEEPING, 0))

    def test_cleared(self):
        """A session that is over has nothing in it any more."""
        account = Account()
        channel = ReliableChannel(account=account)
        cache = ReplyCache(account=account)
        for request in (1, 2):
            cache.admit(request)
        cache.answer(1, channel.sent, 40, b"reply")
        channel.number(40, b"reply", 1)
        self.assertEqual(account.kept, 2 * (5 + KEEPING) + KEEPING)
        channel.restart()
        cache.clear()
        self.assertEqual((account.kept, cache.held, len(cache)), (0, 0, 0))

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 1), st.integers(0, 90)),
            max_size=60,
        )
    )
    def test_sum(self, steps):
        """Whatever happens to them, it is the sum of what each keeps."""
        account = Account()
        channels = [ReliableChannel(3 * KEEPING, account) for _ in range(2)]
        caches = [ReplyCache(4, 150, account) for _ in range(2)]
        requests = 0
        for kind, which, size in steps:
            channel, cache = channels[which], caches[which]
            if kind < 2:
                channel.number(40, bytes(size))
            elif kind < 4:
                requests += 1
                cache.admit(requests)
            elif kind == 4:
                cache.answer(requests - size // 30, channel.sent, 40, bytes(size))
            elif kind == 5:
                channel.acknowledge(channel.sent - min(size // 30, channel.sent))
                cache.acknowledge(channel.sent)
            elif kind == 6:
                channel.restart()
                cache.restart()
            elif kind == 7:
                channel.keep(size * 5)
                cache.let_go()
            else:
                cache.clear()
            kept = sum(end.held for end in (*channels, *caches))
            self.assertEqual(account.kept, kept)


class ReplyCacheTests(SynchronousTestCase):
    """No request is carried out twice."""

    def test_newThenPendingThenAnswered(self):
        """A request is new once; then it is under way, then there is a reply."""
        cache = ReplyCache()
        self.assertIs(cache.admit(1), Repeat.NEW)
        self.assertIs(cache.admit(1), Repeat.PENDING)
        cache.answer(1, 10, 32, b"reply")
        self.assertIs(cache.admit(1), Repeat.ANSWERED)
        self.assertEqual(cache.reply(1), (32, b"reply"))

    def test_acknowledgedRepliesAreForgotten(self):
        """A reply that arrived is not kept, and its request not new again."""
        cache = ReplyCache()
        for request in (1, 2, 3):
            cache.admit(request)
        cache.answer(1, 10, 32, b"")
        cache.answer(3, 11, 32, b"")
        cache.acknowledge(10)
        self.assertIs(cache.admit(1), Repeat.FORGOTTEN)
        self.assertIs(cache.admit(2), Repeat.PENDING)
        self.assertIs(cache.admit(3), Repeat.ANSWERED)
        self.assertEqual(len(cache), 2)

    def test_tooManyRequests(self):
        """Of too many the oldest goes, and is known to be gone."""
        cache = ReplyCache(entries=3)
        for request in range(1, 6):
            cache.admit(request)
        self.assertEqual(len(cache), 3)
        self.assertIs(cache.admit(2), Repeat.FORGOTTEN)
        self.assertIs(cache.admit(3), Repeat.PENDING)

    def test_tooManyBytes(self):
        """Long replies push out old ones before the count does."""
        cache = ReplyCache(maximum=100)
        for request in (1, 2, 3):
            cache.admit(request)
            cache.answer(request, request, 32, bytes(60))
        self.assertEqual(len(cache), 1)
        self.assertIs(cache.admit(3), Repeat.ANSWERED)

    def test_answerToAForgottenRequest(self):
        """A late reply to a request that was pushed out is not kept."""
        cache = ReplyCache(entries=1)
        cache.admit(1)
        cache.admit(2)
        cache.answer(1, 5, 32, b"late")
        self.assertIs(cache.admit(1), Repeat.FORGOTTEN)

    def test_letGo(self):
        """Replies can be given up; what was answered is not new for that."""
        cache = ReplyCache()
        for request in (1, 2, 3):
            cache.admit(request)
        cache.answer(1, 10, 32, b"reply")
        cache.answer(3, 11, 32, b"reply")
        self.assertEqual(cache.held, 10 + 3 * KEEPING)
        cache.let_go()
        self.assertEqual(cache.held, KEEPING)
        self.assertIs(cache.admit(1), Repeat.FORGOTTEN)
        self.assertIs(cache.admit(2), Repeat.PENDING)
        self.assertIs(cache.admit(3), Repeat.FORGOTTEN)
        self.assertIs(cache.admit(4), Repeat.NEW)

    def test_restartKeepsReplies(self):
        """After RESYNC old acknowledgements mean nothing for old replies."""
        cache = ReplyCache()
        cache.admit(1)
        cache.answer(1, 500, 32, b"reply")
        cache.restart()
        cache.acknowledge(500)
        self.assertIs(cache.admit(1), Repeat.ANSWERED)
        cache.answer(1, 2, 32, b"reply")
        cache.acknowledge(2)
        self.assertIs(cache.admit(1), Repeat.FORGOTTEN)
