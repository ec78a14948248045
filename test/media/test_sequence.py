"""Sequence numbers wrap, indexes do not."""

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.sequence import INDEX_LIMIT, distance, extend

numbers = strategies.integers(0, 0xFFFF)


class SequenceTests(SynchronousTestCase):
    """16-bit serial arithmetic."""

    def test_distanceGoesTheShortWay(self):
        """Across the wrap the distance is as small as anywhere else."""
        self.assertEqual(distance(1, 3), 2)
        self.assertEqual(distance(65535, 1), 2)
        self.assertEqual(distance(1, 65535), -2)
        self.assertEqual(distance(0, 32767), 32767)
        self.assertEqual(distance(0, 32768), -32768)

    @settings(deadline=None)
    @given(numbers, strategies.integers(-32768, 32767))
    def test_distanceUndoesAddition(self, start, steps):
        """Going ``distance`` steps arrives."""
        end = (start + steps) & 0xFFFF
        self.assertEqual(distance(start, end), steps)

    def test_extendFollowsTheTurns(self):
        """The index next to the reference is meant, before or after the wrap."""
        self.assertEqual(extend(0, 65535), 65536)
        self.assertEqual(extend(65535, 65536), 65535)
        self.assertEqual(extend(9, 5 << 16), 5 << 16 | 9)
        self.assertEqual(extend(65530, 5 << 16), 4 << 16 | 65530)

    def test_extendStaysInTheFirstTurn(self):
        """Before the first turn there is none."""
        self.assertEqual(extend(65535, 0), 65535)
        self.assertEqual(extend(40000, 7), 40000)

    @settings(deadline=None)
    @given(
        strategies.integers(32768, INDEX_LIMIT - 32769),
        strategies.integers(-32768, 32767),
    )
    def test_extendFindsTheIndex(self, reference, steps):
        """Any index within half a turn of the reference is found again."""
        index = reference + steps
        self.assertEqual(extend(index & 0xFFFF, reference), index)
