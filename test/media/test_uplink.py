"""Tests for `anychat.media.uplink`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media.routes import Forwarder
from anychat.media.rtcp import MAX_COMPOUND, CongestionFeedback, StreamArrivals, build
from anychat.media.uplink import (
    IDLE_INTERVAL,
    INTERVAL,
    MOST_TOLD,
    SILENCE,
    UplinkReports,
    in_datagrams,
)
from test.media.test_routes import rtp

ALICE = SessionId(1)
FULL, SMALL = Ssrc(1), Ssrc(2)
SOURCE = ("192.0.2.1", 5000)
SIZE = len(rtp(0))


class UplinkTests(SynchronousTestCase):
    """`UplinkReports` over the portable forwarder."""

    def setUp(self):
        self.forwarder = Forwarder(lambda path: lambda data, address: None)
        self.watched = True
        self.reports = UplinkReports(self.forwarder, lambda ssrc: self.watched)
        self.now = 100.0
        for ssrc in (FULL, SMALL):
            self.forwarder.open_stream(ssrc, StreamKind.VIDEO, SOURCE)
            self.reports.open(ALICE, ssrc)
        self.reports.wake(ALICE, self.now)

    def arrive(self, *sequences, ssrc=FULL):
        """Packets come, a millisecond apart."""
        for sequence in sequences:
            self.now += 0.001
            self.forwarder.receive(rtp(sequence, ssrc=ssrc), SOURCE, self.now)

    def look(self):
        """Wait for the next turn; what is told, and whether something turned."""
        self.now = max(self.now, self.reports.next_timeout())
        ((leg, blocks, turned),) = self.reports.due(self.now)
        self.assertEqual(leg, ALICE)
        return blocks, turned

    def test_told(self):
        """Each packet is told of once, with how long ago it came."""
        self.arrive(65534, 0)
        ((block,), turned) = self.look()
        self.assertTrue(turned)
        self.assertEqual((block.ssrc, block.first), (FULL, 65534))
        ago = [offset and offset / 1024 for offset in block.offsets]
        self.assertIsNone(ago[1])
        self.assertApproximates(ago[0], INTERVAL - 0.001, 0.001)
        self.assertApproximates(ago[2], INTERVAL - 0.002, 0.001)
        self.arrive(1)
        ((block,), _) = self.look()
        self.assertEqual((block.first, len(block.offsets)), (1, 1))

    def test_overtaken(self):
        """What came just now is left for the next time, with what it may have
        overtaken."""
        self.arrive(0)
        self.now = self.reports.next_timeout() - 0.01
        self.arrive(3)
        ((block,), _) = self.look()
        self.assertEqual((block.first, len(block.offsets)), (0, 1))
        self.arrive(1, 2)
        ((block,), _) = self.look()
        self.assertEqual((block.first, None in block.offsets), (1, False))

    def test_rates(self):
        """Rates are those of the last second."""
        for step in range(10):
            self.arrive(*range(10 * step, 10 * step + 10))
            self.look()
        self.assertApproximates(self.reports.rate(FULL), 50 * SIZE * 8, SIZE * 80)
        self.assertEqual(self.reports.rate(SMALL), 0)

    def test_silence(self):
        """A video ceases when another one of the publisher goes on without it;
        when all of them rest, none has ceased before the second is over."""
        self.arrive(0, 1)
        self.arrive(0, 1, ssrc=SMALL)
        self.assertTrue(self.look()[1])
        turns = []
        for step in range(2, 8):
            self.arrive(step, ssrc=SMALL)
            turns.append(self.look()[1])
        self.assertEqual(turns.count(True), 1)
        self.assertEqual(self.reports.rate(FULL), 0)
        self.assertLess(turns.index(True) * INTERVAL, SILENCE + 2 * INTERVAL)
        self.arrive(2)
        self.assertTrue(self.look()[1])
        self.assertGreater(self.reports.rate(FULL), 0)

    def test_rests(self):
        """When nothing comes in it looks less often; when nobody watches, never."""
        self.look()
        self.assertApproximates(
            self.reports.next_timeout() - self.now, IDLE_INTERVAL, 1e-6
        )
        self.watched = False
        self.assertEqual(self.look(), ([], False))
        self.assertIsNone(self.reports.next_timeout())
        self.arrive(*range(50))
        self.watched = True
        self.now += 10
        self.reports.wake(ALICE, self.now)
        self.arrive(50)
        ((block,), _) = self.look()
        self.assertEqual(block.first, 0)
        # What came long ago is no rate.
        self.assertApproximates(self.reports.rate(FULL), SIZE * 8 / INTERVAL, 1.0)

    def test_closed(self):
        """With the last video everything is forgotten."""
        self.arrive(1)
        self.look()
        for ssrc in (FULL, SMALL):
            self.reports.close(ALICE, ssrc)
        self.assertIsNone(self.reports.next_timeout())
        self.assertEqual(self.reports.rate(FULL), 0)

    def test_tooMany(self):
        """Of very many packets the latest are told of, in datagrams that fit."""
        self.arrive(*range(MOST_TOLD + 300))
        ((block,), _) = self.look()
        self.assertEqual(len(block.offsets), MOST_TOLD)
        blocks = [
            StreamArrivals(ssrc, 0, (1,) * (30 * ssrc % MOST_TOLD + 1))
            for ssrc in range(40)
        ]
        told = []
        for some in in_datagrams(blocks):
            self.assertLessEqual(
                len(build([CongestionFeedback(1, some, 2)])), MAX_COMPOUND
            )
            told += some
        self.assertEqual(told, blocks)
