"""Tests for `anychat.client.media.reports`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.layers import VideoReception
from anychat.client.media.reports import INTERVAL, SOON, Reports
from anychat.media.rtcp import (
    MAX_ARRIVALS,
    CongestionFeedback,
    ReceiverReport,
    ReportBlock,
    StreamArrivals,
    build,
)


class FakeReception:
    """Something to report on."""

    def __init__(self, ssrc):
        self.ssrc = ssrc
        self.aligned = 0
        self.round_trip = 0.0

    def align(self):
        """Count it."""
        self.aligned += 1

    def reports(self):
        """One block."""
        return [ReportBlock(self.ssrc, 0, 0, 1, 0)]


class FakeVideo(FakeReception, VideoReception):
    """A video that is in trouble or not."""

    troubled = False
    round_trip = 0.0
    packets = 3

    def arrivals(self, now):
        """Some packets."""
        self.asked = now
        return [StreamArrivals(self.ssrc, 0, (1,) * self.packets)]


class ReportTests(SynchronousTestCase):
    """What goes out, and when."""

    def setUp(self):
        self.clock = Clock()
        self.sent = []
        self.receptions = [FakeReception(1), FakeVideo(2)]
        self.reports = Reports(
            self.clock,
            lambda: self.receptions,
            lambda *packets: self.sent.append((self.clock.seconds(), packets)),
            "cname",
        )
        self.reports.ssrc = 9
        self.reports.round_trip = lambda: 0.04
        self.reports.start()
        self.reports.start()
        self.addCleanup(self.reports.stop)

    def wait(self, seconds):
        """Let time pass in small steps."""
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)

    def feedbacks(self):
        """When feedback went out."""
        return [
            when
            for when, packets in self.sent
            if isinstance(packets[0], CongestionFeedback)
        ]

    def test_reports(self):
        """A report on everything each second, and the round trip for all."""
        self.wait(2.05)
        reports = [
            packets[0]
            for _, packets in self.sent
            if isinstance(packets[0], ReceiverReport)
        ]
        self.assertEqual(len(reports), 2)
        self.assertEqual([block.ssrc for block in reports[0].reports], [1, 2])
        self.assertEqual(self.receptions[0].round_trip, 0.04)
        self.assertEqual(self.receptions[1].aligned, 2)

    def test_calm(self):
        """Where nothing is wrong feedback goes once a second."""
        self.wait(5.05)
        self.assertEqual(len(self.feedbacks()), 5)
        (packet,) = self.sent[0][1]
        self.assertEqual((packet.ssrc, packet.blocks[0].ssrc), (9, 2))

    def test_trouble(self):
        """Where something is wrong it goes soon."""
        self.wait(INTERVAL / 2)
        self.receptions[1].troubled = True
        self.wait(1.0)
        whens = self.feedbacks()
        self.assertGreaterEqual(len(whens), int(1.0 / SOON))

    def test_notAdaptive(self):
        """Who wants no adaptation gives none."""
        self.reports.adaptive = False
        self.receptions[1].troubled = True
        self.wait(3)
        self.assertEqual(self.feedbacks(), [])

    def test_soundOnly(self):
        """Sound alone needs none."""
        del self.receptions[1]
        self.wait(3)
        self.assertEqual(self.feedbacks(), [])

    def test_manyVideos(self):
        """It is cut into datagrams."""
        self.receptions[:] = [FakeVideo(ssrc) for ssrc in range(1, 60)]
        for video in self.receptions[:3]:
            video.packets = 300
        self.wait(1.05)
        told = []
        for _, packets in self.sent:
            if isinstance(packets[0], CongestionFeedback):
                build(packets)
                told += [block.ssrc for block in packets[0].blocks]
                for block in packets[0].blocks:
                    self.assertLessEqual(len(block.offsets), MAX_ARRIVALS)
        self.assertEqual(told, list(range(1, 60)))

    def test_stopped(self):
        """Nothing is left over."""
        self.reports.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
