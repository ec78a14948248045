"""Tests of `anychat.transfers.pace`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.chunks import CHUNK, WINDOW
from anychat.transfers.pace import FIRST, LEAST, QUEUE, SMALLEST, Cap, Meter, Window


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


class Way:
    """A way of so many bytes a second, whose queue a file shares with media.

    :param delay: seconds there and back when nothing queues.
    """

    def __init__(self, rate, delay):
        self.rate = rate
        self.delay = delay
        self.window = Window()
        self.now = self.free_at = 0.0
        self.sent = self.taken = 0
        self.under_way = []
        self.queues = []

    def run(self, seconds):
        """Send as much as the window lets; bytes a second that arrive."""
        before, until = self.taken, self.now + seconds
        self.queues = []
        while self.now < until:
            window = self.window
            size = window.chunk
            while self.sent + size - self.taken <= window.size or not self.under_way:
                self.queues.append(max(0.0, self.free_at - self.now))
                self.free_at = max(self.free_at, self.now) + size / self.rate
                self.sent += size
                window.sent(self.sent, self.now)
                self.under_way.append((self.free_at + self.delay, self.sent))
            self.now, self.taken = self.under_way.pop(0)
            window.taken(self.taken, self.now)
        return (self.taken - before) / seconds


class WindowTests(SynchronousTestCase):
    """Room for media on a way that files share."""

    def test_thin(self):
        """On a thin way the queue stays short, and the way is filled all the same."""
        for rate, delay in (
            (25_000, 0.02),
            (125_000, 0.02),
            (125_000, 0.2),
            (1_250_000, 0.05),
        ):
            way = Way(rate, delay)
            way.run(10.0)
            reached = way.run(30.0)
            self.assertGreater(reached, 0.8 * rate, (rate, delay))
            # The smallest window is a queue too, on the thinnest of ways.
            self.assertLess(
                sorted(way.queues)[len(way.queues) * 95 // 100],
                max(3 * QUEUE, LEAST / rate + QUEUE),
                (rate, delay),
            )

    def test_fast(self):
        """On a fast way the whole window is used within a second."""
        way = Way(1e9, 0.001)
        way.run(0.1)
        self.assertEqual((way.window.size, way.window.chunk), (WINDOW, CHUNK))

    def test_becomesThin(self):
        """A way that becomes thin is given room within seconds, and back."""
        way = Way(10_000_000, 0.02)
        way.run(5.0)
        way.rate = 125_000
        way.run(20.0)
        self.assertLess(max(way.queues[-50:]), 4 * QUEUE)
        way.rate = 10_000_000
        way.run(20.0)
        self.assertGreater(way.run(5.0), 5_000_000)

    def test_beginning(self):
        """Nobody is flooded before anything is known of the way."""
        window = Window()
        self.assertEqual((window.size, window.chunk), (FIRST, SMALLEST))
        window.taken(0, 1.0)
        self.assertEqual(window.size, FIRST)

    def test_longerWay(self):
        """After a while a way that has become longer is taken for what it is."""
        way = Way(1e8, 0.01)
        way.run(5.0)
        way.delay = 0.2
        way.run(70.0)
        self.assertGreater(way.window.size, WINDOW // 2)

    def test_restart(self):
        """On another link everything is measured anew."""
        way = Way(1e8, 0.01)
        way.run(1.0)
        way.window.restart()
        way.delay = 0.3
        way.under_way.clear()
        way.sent = way.taken
        way.run(5.0)
        self.assertEqual(way.window.size, WINDOW)
