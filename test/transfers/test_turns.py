"""Tests of `anychat.transfers.turns`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.turns import Turns


class TurnsTests(SynchronousTestCase):
    """Who is next."""

    def setUp(self):
        self.turns = Turns()

    def test_inTurn(self):
        """One of each, and of each the oldest."""
        for number in range(3):
            self.turns.add("a", number)
        self.turns.add("b", 9)
        self.assertEqual([self.turns.next() for _ in range(4)], [0, 9, 1, 2])
        self.assertRaises(KeyError, self.turns.next)

    def test_others(self):
        """Whether anybody else waits."""
        self.assertFalse(self.turns.others("a"))
        self.turns.add("a", 1)
        self.assertFalse(self.turns.others("a"))
        self.assertTrue(self.turns.others("b"))
        self.turns.add("b", 1)
        self.assertTrue(self.turns.others("a"))

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 5))))
    def test_anything(self, steps):
        """It holds what was added and not taken away, and nothing else."""
        turns, kept = Turns(), set()
        for add, key, thing in steps:
            if add:
                turns.add(key, (key, thing))
                kept.add((key, thing))
            else:
                turns.discard(key, (key, thing))
                kept.discard((key, thing))
            self.assertEqual(len(turns), len(kept))
        self.assertEqual({turns.next() for _ in range(len(turns))}, kept)
