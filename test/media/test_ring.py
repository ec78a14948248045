"""Queues that refuse what they have no room for."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.ring import Ring


class RingTests(SynchronousTestCase):
    """`Ring`."""

    def test_order(self):
        """What was pushed first is taken first, at most so many at once."""
        ring = Ring(3)
        self.assertTrue(all(ring.push(item) for item in "abc"))
        self.assertEqual(ring.take(2), ["a", "b"])
        self.assertEqual(ring.take(2), ["c"])
        self.assertEqual(ring.take(2), [])

    def test_full(self):
        """Nothing goes into a full one, and something when there is room."""
        ring = Ring(1)
        self.assertTrue(ring.push(1))
        self.assertFalse(ring.push(2))
        self.assertEqual(ring.take(9), [1])
        self.assertTrue(ring.push(3))
