"""Tests for `anychat.client.media.statistics`."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.statistics import (
    SPAN,
    RateMeter,
    ReceptionStatistics,
    together,
)


class RateMeterTests(SynchronousTestCase):
    """Rates over the last seconds."""

    def test_rate(self):
        """Evenly spaced events show their rate, soon and for as long."""
        meter = RateMeter()
        for number in range(150):
            meter.add(number / 15)
            if number > 15:
                self.assertLess(abs(meter.per_second(number / 15) - 15), 1.1)

    def test_sizes(self):
        """Sizes are added up."""
        meter = RateMeter()
        meter.add(0.0, 1000)
        meter.add(1.0, 3000)
        self.assertEqual(meter.per_second(1.0), 4000)

    def test_silence(self):
        """What is long ago does not count."""
        meter = RateMeter()
        self.assertEqual(meter.per_second(0.0), 0.0)
        meter.add(0.0)
        self.assertEqual(meter.per_second(SPAN), 0.0)


class TogetherTests(SynchronousTestCase):
    """The figures of one video that came as two streams."""

    def test_together(self):
        """Counts and rates add up; the rest is the busier one's, and the first
        picture that of the first stream."""
        first = ReceptionStatistics(
            *range(1, 13), 250.0, 1.0, 2.0, 3.0, fps=0.0, bitrate=0.0, loss=0.5
        )
        second = replace(
            first, first_frame_ms=90.0, jitter_ms=7.0, fps=15.0, bitrate=9e4, loss=0.1
        )
        both = together([first, second])
        self.assertEqual((both.frames_decoded, both.key_frame_requests), (2, 24))
        self.assertEqual((both.fps, both.bitrate, both.loss), (15.0, 9e4, 0.1))
        self.assertEqual((both.first_frame_ms, both.jitter_ms), (250.0, 7.0))
