"""Tests for `anychat.client.media.probes`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.probes import PATIENCE, Probes
from anychat.media.signals import Probe, ProbeResult


class ProbeTests(SynchronousTestCase):
    """Trains that come in."""

    def setUp(self):
        self.clock = Clock()
        self.results = []
        self.probes = Probes(self.clock, self.results.append)

    def train(self, number, numbers, interval=0.01, packets=6):
        """Some packets of a train come."""
        for each in numbers:
            self.probes.receive(Probe(number, each, packets), 1164)
            self.clock.advance(interval)

    def test_whole(self):
        """A train that comes whole is answered at once."""
        self.train(7, range(6))
        (result,) = self.results
        self.assertEqual((result.train, result.packets, result.octets), (7, 6, 5820))
        self.assertApproximates(result.span, 0.05, 1e-6)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_withoutItsEnd(self):
        """One without its last packet is answered after a while."""
        self.train(7, (0, 1, 3))
        self.assertEqual(self.results, [])
        self.clock.advance(PATIENCE)
        self.assertEqual(self.results[0].packets, 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nextTrain(self):
        """Each train counts for itself; the first packet is where it begins."""
        self.train(7, (0, 1))
        self.train(8, (5,))
        self.assertEqual(self.results, [ProbeResult(8, 1, 0, 0.0)])
        self.clock.advance(PATIENCE)
        self.assertEqual(len(self.results), 1)

    def test_stopped(self):
        """Nothing is left of it."""
        self.train(7, (0, 1))
        self.probes.stop()
        self.probes.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
