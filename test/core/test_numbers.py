"""`FreeNumbers` against the plain definition of what it gives."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.core.numbers import FreeNumbers


class FreeNumbersTests(SynchronousTestCase):
    """`anychat.core.numbers`."""

    @settings(deadline=None)
    @given(st.lists(st.integers(8, 30), max_size=60))
    def test_lowest(self, numbers):
        """It is the lowest that is not taken, whatever was taken before."""
        free = FreeNumbers(10)
        taken = set()
        for number in numbers:
            if number in taken:
                taken.remove(number)
                free.release(number)
            else:
                taken.add(number)
                free.take(number)
            lowest = next(n for n in range(10, 100) if n not in taken)
            self.assertEqual(free.lowest, lowest)

    def test_bounded(self):
        """Taking and releasing one number after the other costs no memory."""
        free = FreeNumbers(1)
        free.take(1)
        for number in range(2, 10_000):
            free.take(number)
            free.release(number)
        self.assertEqual(free.lowest, 2)
        self.assertLess(len(free._gaps), 100)
