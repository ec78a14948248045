"""Counting the packets of a trace."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.quality import WINDOW, ArrivalCount


class CountTests(SynchronousTestCase):
    """`ArrivalCount`."""

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.integers(1, 300), max_size=400))
    def test_eachOnce(self, numbers):
        """Within the window, every number counts once."""
        count, seen = ArrivalCount(), set()
        for number in numbers:
            self.assertEqual(count.add(number), number not in seen)
            seen.add(number)
        self.assertEqual(count.received, len(seen))
        self.assertEqual(count.highest, max(seen, default=0))

    def test_old(self):
        """What is too far behind is not counted: nobody can tell."""
        count = ArrivalCount()
        self.assertTrue(count.add(WINDOW + 5))
        self.assertFalse(count.add(5))
        self.assertTrue(count.add(6))
        self.assertFalse(count.add(6))
        self.assertFalse(count.add(0))

    def test_jump(self):
        """A jump beyond the window forgets what was before."""
        count = ArrivalCount()
        count.add(1)
        self.assertTrue(count.add(1 << 31))
        self.assertTrue(count.add((1 << 31) - 1))
        self.assertEqual(count.received, 3)

    def test_jitter(self):
        """An even stream has none, an uneven one tends to its unevenness."""
        count = ArrivalCount()
        for _ in range(100):
            count.arrived(0.030)
        self.assertEqual(count.jitter, 0.0)
        for number in range(400):
            count.arrived(0.030 + 0.010 * (number % 2))
        self.assertAlmostEqual(count.jitter, 0.010, places=3)
