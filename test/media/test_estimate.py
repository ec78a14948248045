"""Tests for `anychat.media.estimate`: what a way takes, on simulated links."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.estimate import (
    HEADROOM,
    LEAST,
    BandwidthEstimate,
    Condition,
    Sample,
)
from test.media.links import Link, Sender

ROUND_TRIP = 0.040


class EstimateTests(SynchronousTestCase):
    """`BandwidthEstimate`."""

    def setUp(self):
        self.estimate = BandwidthEstimate()
        self.cuts = []

    def drive(self, sender, seconds, rate=None):
        """Send at a rate, or at what the estimate says; the rates it said."""
        said = []
        end = sender.now + seconds
        while sender.now < end:
            samples = sender.step(rate or min(1e6, self.estimate.rate or 1e6))
            if samples and self.estimate.report(samples, sender.now, ROUND_TRIP):
                self.cuts.append(sender.now)
            said.append(self.estimate.rate)
        return said

    def test_wideLink(self):
        """Where everything fits nothing is known, and nothing is cut."""
        said = self.drive(Sender(Link(10e6)), 30, 1e6)
        self.assertEqual(set(said), {None})
        self.assertIs(self.estimate.condition, Condition.CALM)
        self.assertApproximates(self.estimate.delivered, 1e6, 2e5)

    def test_narrowLink(self):
        """A narrow link is found out within a second and a half, and the rate
        stays near it, whatever its queue."""
        for queue in (10_000, 50_000, 250_000):
            self.setUp()
            link = Link(5e6, queue)
            sender = Sender(link)
            self.drive(sender, 3, 1e6)
            link.rate = 4e5
            limited = sender.now
            self.drive(sender, 10)
            self.assertLess(self.cuts[0] - limited, 1.5)
            said = self.drive(sender, 30)
            self.assertLess(max(said), 1.35 * link.rate)
            self.assertGreater(sum(said) / len(said), 0.4 * link.rate)
            self.assertLess(self.estimate.queue, 0.6)

    def test_recovers(self):
        """When the link is wide again the rate grows back."""
        link = Link(3e5)
        sender = Sender(link)
        self.drive(sender, 10)
        link.rate = 5e6
        said = self.drive(sender, 30)
        self.assertGreater(said[-1], 1e6)

    def test_grownByWhatGetsThrough(self):
        """Who sends little learns of little more than that."""
        link = Link(3e5)
        sender = Sender(link)
        self.drive(sender, 5, 1e6)
        link.rate = 5e6
        self.drive(sender, 60, 2e5)
        self.assertLess(self.estimate.rate, HEADROOM * 2.5e5)

    def test_clocksThatDrift(self):
        """A receiver's clock may run a little fast without looking like a queue."""
        sender = Sender(Link(10e6))
        for _ in range(15 * 300):
            samples = [
                each._replace(came=each.came + (each.sent - 100) * 2e-4)
                for each in sender.step(5e5)
            ]
            if samples:
                self.assertFalse(self.estimate.report(samples, sender.now, ROUND_TRIP))

    def test_clockThatIsSet(self):
        """A clock that is set, or a way that is longer from one moment to the next,
        costs some seconds, and no queue that stands is taken for one."""
        for step in (0.3, 5.0, -0.3):
            self.setUp()
            sender = Sender(Link(10e6))
            self.drive(sender, 20)
            sender._offset += step
            self.drive(sender, 15)
            self.assertIs(self.estimate.condition, Condition.CALM)
            self.assertGreater(self.estimate.rate or 1e6, 7e5)
        link = Link(4e5, 250_000)
        sender = Sender(link)
        self.setUp()
        self.drive(sender, 60, 5e5)
        self.assertGreater(self.estimate.queue, 2.0)

    def test_someLoss(self):
        """A few per cent of loss cut nothing; a lot does."""
        random = Random(1)
        for share, cut in ((0.03, False), (0.25, True)):
            self.setUp()
            sender = Sender(Link(10e6))
            for _ in range(300):
                samples = [
                    each._replace(came=None) if random.random() < share else each
                    for each in sender.step(1e6)
                ]
                if samples and self.estimate.report(samples, sender.now, ROUND_TRIP):
                    self.cuts.append(sender.now)
            self.assertEqual(bool(self.cuts), cut)

    def test_oneCutForOneQueue(self):
        """What is told of the same queue again cuts nothing more."""
        sender = Sender(Link(3e5, 100_000))
        self.drive(sender, 3, 1e6)
        for earlier, later in pairwise(self.cuts):
            self.assertGreaterEqual(later - earlier, ROUND_TRIP + 0.2)

    def test_proved(self):
        """A probe raises an estimate that there is, and never lowers one."""
        self.estimate.proved(1e6)
        self.assertIsNone(self.estimate.rate)
        self.drive(Sender(Link(3e5)), 5, 1e6)
        self.estimate.proved(2e6)
        self.estimate.proved(1e6)
        self.assertEqual(self.estimate.rate, 2e6)

    def test_nothing(self):
        """No packets, no opinion."""
        self.assertFalse(self.estimate.report([], 1.0, 0.0))
        self.assertIsNone(self.estimate.rate)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.floats(0, 5),
                st.lists(
                    st.tuples(
                        st.floats(-1e6, 1e6),
                        st.none() | st.floats(-1e6, 1e6),
                        st.integers(28, 1200),
                    ),
                    max_size=8,
                ),
            ),
            max_size=40,
        )
    )
    def test_anything(self, reports):
        """Whatever is reported, the figures stay within their bounds."""
        estimate = BandwidthEstimate()
        now = 0.0
        for wait, samples in reports:
            now += wait
            estimate.report([Sample(*each) for each in samples], now, 0.1)
            self.assertTrue(estimate.rate is None or estimate.rate >= LEAST)
            self.assertTrue(0 <= estimate.loss <= 1)
            self.assertGreaterEqual(estimate.queue, 0)
            self.assertGreaterEqual(estimate.delivered, 0)
