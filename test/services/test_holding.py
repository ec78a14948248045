"""Tests of `anychat.services.holding`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.services.holding import Holding


class Held:
    """A session that keeps what it is told to, until it lets go."""

    def __init__(self, kept=0):
        self.kept = kept
        self.gone = False

    def keep(self, size):
        """Something is sent to it."""
        self.kept += size

    def let_go(self):
        """Keep nothing any more."""
        self.kept = 0
        self.gone = True


class HoldingTests(SynchronousTestCase):
    """Held sessions keep so much together, and no more."""

    def setUp(self):
        """A bound of 100 bytes."""
        self.holding = Holding(100)

    def hold(self, *sizes):
        """Sessions that lose their links with so much kept, one by one."""
        sessions = [Held(size) for size in sizes]
        for session in sessions:
            self.holding.hold(session)
        return sessions

    def send(self, session, size):
        """A held session is sent something."""
        session.keep(size)
        self.holding.changed(session)

    def test_withinTheBound(self):
        """Up to the bound all keep what they have."""
        sessions = self.hold(40, 60)
        self.assertEqual([s.kept for s in sessions], [40, 60])
        self.assertEqual((self.holding.total, self.holding.dropped), (100, 0))

    def test_longestHeldFirst(self):
        """Beyond it the one held longest lets go, however little it is sent."""
        first, second, third = self.hold(10, 50, 40)
        self.send(first, 1)
        self.assertEqual([s.gone for s in (first, second, third)], [True, False, False])
        self.assertEqual((self.holding.total, self.holding.dropped), (90, 1))

    def test_asManyAsItTakes(self):
        """One big newcomer may cost several."""
        sessions = self.hold(10, 10, 10, 95)
        self.assertEqual([s.gone for s in sessions], [True, True, True, False])
        self.assertEqual((self.holding.total, self.holding.dropped), (95, 3))

    def test_alone(self):
        """One that is too big for the bound lets go itself."""
        (session,) = self.hold(101)
        self.assertTrue(session.gone)
        self.assertEqual(self.holding.total, 0)

    def test_keepsNothingAfterwards(self):
        """Who has let go keeps nothing more, so that others may."""
        first, second = self.hold(60, 60)
        self.send(first, 5)
        self.assertEqual((first.kept, second.kept), (0, 60))
        self.assertEqual((self.holding.total, self.holding.dropped), (60, 1))

    def test_released(self):
        """A session that has a link again does not count, and may come back."""
        first, second = self.hold(60, 30)
        self.holding.release(first)
        self.assertEqual(self.holding.total, 30)
        self.holding.hold(first)
        self.send(second, 20)
        # The first one is held since later than the second one now.
        self.assertEqual((first.gone, second.gone), (False, True))

    def test_strangers(self):
        """Releasing one that was never held changes nothing."""
        self.hold(60)
        self.holding.release(Held(50))
        self.assertEqual(self.holding.total, 60)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(st.sampled_from("hssr"), st.integers(0, 5), st.integers(0, 70)),
            max_size=40,
        )
    )
    def test_total(self, steps):
        """The total is what those that are held keep, and within the bound."""
        holding = self.holding = Holding(100)
        sessions = [Held() for _ in range(6)]
        held = []
        for kind, index, size in steps:
            session = sessions[index]
            if kind == "h" and session not in held:
                held.append(session)
                holding.hold(session)
            elif kind == "s":
                session.keep(size)
                if session in held:
                    holding.changed(session)
            elif kind == "r" and session in held:
                held.remove(session)
                holding.release(session)
                session.gone = False
            self.assertEqual(holding.total, sum(s.kept for s in held))
            self.assertLessEqual(holding.total, 100)
            lasting = [s.gone for s in held]
            self.assertEqual(lasting, sorted(lasting, reverse=True))
