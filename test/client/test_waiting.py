"""Pauses end in time or early, and nobody takes a result away."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.waiting import Pause, beside


class PauseTests(SynchronousTestCase):
    """Sleeping."""

    def setUp(self):
        self.clock = Clock()
        self.pause = Pause(self.clock)

    def test_sleepsToTheEnd(self):
        """It lasts as long as it is to last, and can begin anew."""
        for _ in range(2):
            sleep = self.pause.sleep(2.0)
            self.clock.advance(1.9)
            self.assertNoResult(sleep)
            self.clock.advance(0.2)
            self.assertIsNone(self.successResultOf(sleep))

    def test_woken(self):
        """It ends at once, and leaves no timer."""
        sleep = self.pause.sleep(2.0)
        self.pause.wake()
        self.assertIsNone(self.successResultOf(sleep))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_wokenAwake(self):
        """Where nobody sleeps there is nothing to end."""
        self.pause.wake()
        sleep = self.pause.sleep(1.0)
        self.assertNoResult(sleep)


class BesideTests(SynchronousTestCase):
    """More than one who waits."""

    def test_bothAreTold(self):
        """The second one and whoever comes later have the same result."""
        first = Deferred()
        second = beside(first)
        second.addCallback(lambda _: None)
        first.callback(3)
        self.assertIsNone(self.successResultOf(second))
        self.assertEqual(self.successResultOf(first), 3)
