"""Tests of `anychat.transfers.pace`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.pace import Cap, Meter


class CapTests(SynchronousTestCase):
    """The bit-rate cap."""

    def test_none(self):
        """Without one nobody waits."""
        cap = Cap()
        cap.sent(1 << 30, 0.0)
        self.assertEqual(cap.wait(0.0), 0.0)

    def test_rate(self):
        """What goes out in a time is what the rate allows."""
        cap, now, sent = Cap(800_000), 0.0, 0
        while now < 10.0:
            cap.sent(50_000, now)
            sent += 50_000
            now += cap.wait(now)
        self.assertEqual(sent, 1_000_000)

    def test_pause(self):
        """A pause is not made up for."""
        cap = Cap(8000)
        cap.sent(1000, 0.0)
        self.assertEqual(cap.wait(0.25), 0.75)
        cap.sent(1000, 100.0)
        self.assertEqual(cap.wait(100.0), 1.0)


class MeterTests(SynchronousTestCase):
    """The bit rate that is reached."""

    def test_steady(self):
        """A steady rate is what it is."""
        meter = Meter()
        for tenth in range(100):
            meter.at(tenth * 1000, tenth / 10)
        self.assertEqual(meter.bitrate(100_000, 10.0), 80_000)

    def test_nothingYet(self):
        """Without a past there is no rate."""
        meter = Meter()
        self.assertEqual(meter.bitrate(0, 0.0), 0)
        meter.at(5, 1.0)
        self.assertEqual(meter.bitrate(5, 1.0), 0)

    def test_standsStill(self):
        """What stands still comes down to nothing."""
        meter = Meter()
        for second in range(5):
            meter.at(second * 1000, float(second))
        self.assertEqual(meter.bitrate(4000, 60.0), 0)

    def test_again(self):
        """After a new beginning the past does not count."""
        meter = Meter()
        meter.at(0, 0.0)
        meter.at(1000, 1.0)
        meter.clear()
        self.assertEqual(meter.bitrate(0, 2.0), 0)
