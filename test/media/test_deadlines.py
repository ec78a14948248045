"""Deadlines come in order, moved and cleared ones not at all."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """`Deadlines`."""

    def test_order(self):
        """What is due is taken, nearest first; the rest stays."""
        deadlines = Deadlines()
        for key, when in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
            deadlines.set(key, when)
        self.assertEqual(deadlines.next(), 1.0)
        self.assertEqual(deadlines.due(2.0), ["a", "b"])
        self.assertEqual(deadlines.next(), 3.0)
        self.assertEqual(deadlines.due(2.9), [])
        self.assertEqual(len(deadlines), 1)

    def test_movedAndCleared(self):
        """A key has one deadline: the last that was set."""
        deadlines = Deadlines()
        deadlines.set("a", 1.0)
        deadlines.set("a", 5.0)
        deadlines.set("b", 2.0)
        deadlines.clear("b")
        deadlines.clear("unknown")
        self.assertEqual(deadlines.due(4.0), [])
        self.assertEqual(deadlines.due(5.0), ["a"])
        self.assertIsNone(deadlines.next())

    def test_hasten(self):
        """An earlier deadline stands, a later one is moved forward."""
        deadlines = Deadlines()
        deadlines.hasten("a", 5.0)
        deadlines.hasten("a", 6.0)
        self.assertEqual(deadlines.next(), 5.0)
        deadlines.hasten("a", 4.0)
        self.assertEqual(deadlines.next(), 4.0)

    def test_setAgainWhenDue(self):
        """A deadline may be set anew at the time it came, once."""
        deadlines = Deadlines()
        deadlines.set("a", 1.0)
        self.assertEqual(deadlines.due(1.0), ["a"])
        deadlines.set("a", 1.0)
        self.assertEqual(deadlines.due(1.0), ["a"])
        self.assertEqual(deadlines.due(1.0), [])

    def test_movingLeavesNoHeap(self):
        """A deadline that is moved for ever does not fill the memory."""
        deadlines = Deadlines()
        for step in range(10_000):
            deadlines.set("a", float(step))
        self.assertLess(len(deadlines._heap), 100)
        self.assertEqual(deadlines.due(1e9), ["a"])

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("set", "hasten", "clear", "due")),
                st.integers(0, 5),
                st.integers(0, 9),
            )
        )
    )
    def test_likeADictionary(self, steps):
        """Any sequence of calls does what a plain dictionary would."""
        deadlines, plain = Deadlines(), {}
        for step, key, when in steps:
            if step == "set":
                deadlines.set(key, float(when))
                plain[key] = float(when)
            elif step == "hasten":
                deadlines.hasten(key, float(when))
                plain[key] = min(plain.get(key, 99.0), float(when))
            elif step == "clear":
                deadlines.clear(key)
                plain.pop(key, None)
            else:
                due = {each for each, time in plain.items() if time <= when}
                self.assertEqual(set(deadlines.due(float(when))), due)
                for each in due:
                    del plain[each]
            self.assertEqual(deadlines.next(), min(plain.values(), default=None))
