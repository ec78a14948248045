"""Report blocks say what RFC 3550 says they say."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.gaps import GapTracker
from anychat.media.reception import ReceptionStatistics
from anychat.media.rtcp import ReceiverReport, build, ntp_from_unix, parse
from test.media.samples import SENDER_COMPOUND


class ReceptionStatisticsTests(SynchronousTestCase):
    """`ReceptionStatistics` over a tracker."""

    def setUp(self):
        """Statistics of a stream of 8 kHz."""
        self.gaps = GapTracker()
        self.statistics = ReceptionStatistics(77, 8000, self.gaps)

    def feed(self, *sequences):
        """Packets come."""
        for sequence in sequences:
            self.gaps.received(sequence, 0.0)

    def test_nothingYet(self):
        """A block before the first packet is all zeros and can be sent."""
        block = self.statistics.report(1.0)
        self.assertEqual((block.ssrc, block.highest, block.lost), (77, 0, 0))
        self.assertEqual(self.statistics.fraction_lost(), 0.0)
        self.assertEqual(
            parse(build([ReceiverReport(1, (block,))])), [ReceiverReport(1, (block,))]
        )

    def test_loss(self):
        """Loss is of the interval, the count of the whole."""
        self.feed(0, 1, 2, 7)
        self.assertEqual(self.statistics.fraction_lost(), 0.5)
        block = self.statistics.report(1.0)
        self.assertEqual((block.fraction_lost, block.lost), (128, 4))
        self.feed(8, 9)
        block = self.statistics.report(2.0)
        self.assertEqual((block.fraction_lost, block.lost), (0, 4))
        self.assertEqual(block.highest, 9)

    def test_repairsCountLater(self):
        """A repair lowers the count; the interval is never below zero."""
        self.feed(0, 3)
        self.statistics.report(1.0)
        self.feed(1, 2)
        block = self.statistics.report(2.0)
        self.assertEqual((block.fraction_lost, block.lost), (0, 0))

    def test_duplicatesHideNothing(self):
        """Duplicates do not make up for losses."""
        self.feed(0, 0, 0, 3)
        self.assertEqual(self.statistics.report(1.0).lost, 2)

    def test_allLost(self):
        """A fraction of nearly one still fits in its byte."""
        self.feed(0)
        self.statistics.report(1.0)
        self.feed(3000)
        block = self.statistics.report(1.0)
        self.assertEqual(block.fraction_lost, 255)

    def test_highestIsExtended(self):
        """The turns are in the upper sixteen bits."""
        self.feed(65535, 0)
        self.assertEqual(self.statistics.report(1.0).highest, 65536)

    def test_steadyStreamHasNoJitter(self):
        """Packets as far apart as their timestamps, across the wrap."""
        timestamp = (1 << 32) - 320
        for number in range(10):
            self.statistics.arrived(
                timestamp + 160 * number & 0xFFFFFFFF, 0.02 * number
            )
        self.assertAlmostEqual(self.statistics.jitter, 0.0, places=6)

    def test_jitter(self):
        """One packet 16 ms late gives a sixteenth of it, and back again."""
        self.statistics.arrived(0, 0.0)
        self.statistics.arrived(160, 0.036)
        self.assertAlmostEqual(self.statistics.jitter, 0.001)
        self.assertEqual(self.statistics.report(0.1).jitter, 8)
        self.statistics.arrived(320, 0.04)
        self.assertAlmostEqual(self.statistics.jitter, 0.001 + (0.016 - 0.001) / 16)

    def test_lastSenderReport(self):
        """LSR is the middle of its NTP time, DLSR the time since, in 65536ths."""
        report = replace(SENDER_COMPOUND[0], ntp=ntp_from_unix(1000.5))
        self.statistics.sender_reported(report, 10.0)
        block = self.statistics.report(11.5)
        self.assertEqual(block.last_report, report.ntp >> 16 & 0xFFFFFFFF)
        self.assertEqual(block.delay, 3 * 32768)
