"""Tests for `anychat.client.media.statistics`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.statistics import SPAN, RateMeter


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
