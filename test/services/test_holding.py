"""Tests of `anychat.services.holding`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.services.holding import Holding


class Keeping:
    """A session that keeps what it is told to, until it lets go."""

    def __init__(self, account):
        self.account = account
        self.kept = 0
        self.gone = 0

    def keep(self, size):
        """Something is sent to it."""
        self.kept += size
        self.account.kept += size

    def let_go(self):
        """Keep nothing any more."""
        self.keep(-self.kept)
        self.gone += 1


class Waiting:
    """A link whose client does not read, until it is cut."""

    def __init__(self, holding):
        self.holding = holding
        self.unsent = 0
        self.gone = False

    def wait(self, size):
        """Something is written to it."""
        self.unsent += size
        self.holding.waits(self, size)

    def catch_up(self):
        """Its client reads everything."""
        self.wait(-self.unsent)

    def cut(self, reason):
        """It is ended."""
        self.gone = True
        self.catch_up()


class HoldingTestCase(SynchronousTestCase):
    """A bound of 100 bytes."""

    def setUp(self):
        """Nothing is kept."""
        self.sessions = {}
        self.holding = Holding(100, self.sessions.values())

    def begin(self, *sizes):
        """Sessions with links that keep so much, one by one."""
        sessions = [Keeping(self.holding) for _ in sizes]
        for session, size in zip(sessions, sizes, strict=True):
            self.sessions[id(session)] = session
            session.keep(size)
        return sessions

    def hold(self, *sizes):
        """Sessions that lose their links with so much kept, one by one."""
        sessions = self.begin(*sizes)
        for session in sessions:
            self.holding.hold(session)
        self.check()
        return sessions

    def check(self):
        """What whoever keeps something does after it."""
        if self.holding.total > self.holding.mark:
            self.holding.relieve()

    def send(self, session, size, *, held=True):
        """A session is sent something."""
        session.keep(size)
        if held:
            self.holding.sent(session)
        self.check()

    def links(self, *sizes):
        """Links on which so much waits."""
        links = [Waiting(self.holding) for _ in sizes]
        for link, size in zip(links, sizes, strict=True):
            link.wait(size)
        return links


class HeldTests(HoldingTestCase):
    """Sessions without a link are the first to lose what they keep."""

    def test_withinTheBound(self):
        """Up to the bound all keep what they have."""
        sessions = self.hold(40, 60)
        self.assertEqual([s.kept for s in sessions], [40, 60])
        self.assertEqual((self.holding.total, self.holding.dropped), (100, 0))

    def test_longestHeldFirst(self):
        """Beyond it the one held longest lets go, however little it is sent."""
        first, second, third = self.hold(10, 50, 40)
        self.send(first, 1)
        self.assertEqual([s.gone for s in (first, second, third)], [1, 0, 0])
        self.assertEqual((self.holding.total, self.holding.dropped), (90, 1))

    def test_asManyAsItTakes(self):
        """One big newcomer may cost several."""
        sessions = self.hold(10, 10, 10, 95)
        self.assertEqual([s.gone for s in sessions], [1, 1, 1, 0])
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
        """A session that has a link again is not the first any more."""
        first, second = self.hold(60, 30)
        self.holding.release(first)
        self.assertEqual(self.holding.total, 90)
        self.holding.hold(first)
        self.send(second, 20)
        # The first one is held since later than the second one now.
        self.assertEqual((first.gone, second.gone), (0, 1))

    def test_strangers(self):
        """Releasing one that was never held changes nothing."""
        (first,) = self.hold(60)
        (other,) = self.begin(10)
        self.holding.release(other)
        self.send(first, 40)
        self.assertEqual((first.gone, other.gone), (1, 0))

    def test_beforeThoseWithLinks(self):
        """What those with links have counts, and costs the held ones first."""
        big, small = self.begin(50, 5)
        (link,) = self.links(30)
        (held,) = self.hold(10)
        self.send(small, 6, held=False)
        self.assertEqual([s.gone for s in (big, small, held)], [0, 0, 1])
        self.assertFalse(link.gone)
        self.assertEqual(self.holding.total, 91)


class LiveTests(HoldingTestCase):
    """Those with links give memory back if the held ones have not enough."""

    def test_mostUnsentFirst(self):
        """The links on which most waits are cut, until an eighth is free."""
        links = self.links(20, 45, 5, 30)
        self.assertEqual(self.holding.cut, 0)
        links[2].wait(1)
        self.assertEqual([link.gone for link in links], [False, True, False, False])
        self.assertEqual((self.holding.unsent, self.holding.cut), (56, 1))

    def test_asManyLinksAsItTakes(self):
        """The one that asks for too much may be the one that goes."""
        links = self.links(8, 81, 79)
        self.assertEqual([link.gone for link in links], [False, True, False])
        links[2].wait(14)
        self.assertEqual([link.gone for link in links], [False, True, True])
        self.assertEqual((self.holding.unsent, self.holding.cut), (8, 2))

    def test_caughtUp(self):
        """A link whose client has read everything is left alone."""
        first, second = self.links(60, 30)
        first.catch_up()
        second.wait(60)
        self.assertEqual(self.holding.total, 90)
        second.wait(20)
        self.assertEqual((first.gone, second.gone), (False, True))

    def test_mostKeptFirst(self):
        """Where more is kept than unsent, those who keep most let go of it."""
        (link,) = self.links(10)
        sessions = self.begin(20, 41, 30)
        self.check()
        self.assertEqual([s.gone for s in sessions], [0, 1, 0])
        self.assertFalse(link.gone)
        self.assertEqual((self.holding.total, self.holding.dropped), (60, 1))

    def test_keptAndUnsent(self):
        """Where the greater part is not enough, the other one follows."""
        sessions = self.begin(30, 18)
        links = self.links(26, 27)
        self.assertEqual([link.gone for link in links], [False, True])
        self.assertEqual([s.gone for s in sessions], [0, 0])
        self.holding = Holding(20, self.sessions.values())
        self.sessions.clear()
        sessions = self.begin(25, 0)
        (link,) = self.links(19)
        self.assertEqual([s.gone for s in sessions], [1, 0])
        self.assertTrue(link.gone)
        self.assertEqual(self.holding.total, 0)

    def test_goesOn(self):
        """One with a link keeps again what it is sent afterwards."""
        (session,) = self.begin(101)
        self.check()
        self.send(session, 50, held=False)
        self.assertEqual((session.gone, session.kept), (1, 50))

    def test_nothingToBeHad(self):
        """What nobody can give back is not sought again for every byte."""
        (session,) = self.begin(0)
        self.holding.kept += 110  # requests that are being carried out
        self.check()
        self.assertEqual((session.gone, self.holding.mark), (0, 122))
        self.send(session, 12, held=False)
        self.assertEqual(session.gone, 0)
        self.send(session, 1, held=False)
        self.assertEqual(session.gone, 1)
        self.holding.kept -= 110
        self.send(session, 130, held=False)
        self.assertEqual((session.gone, self.holding.mark), (2, 100))

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("hsssrwwc"), st.integers(0, 5), st.integers(0, 70)
            ),
            max_size=40,
        )
    )
    def test_total(self, steps):
        """The total is what all have, within the bound; the held go in order."""
        self.setUp()
        sessions = self.begin(*[0] * 6)
        links = self.links(*[0] * 6)
        held = []
        for kind, index, size in steps:
            session, link = sessions[index], links[index]
            if kind == "h" and session not in held:
                held.append(session)
                session.gone = 0
                self.holding.hold(session)
            elif kind == "s":
                self.send(session, size, held=session in held)
            elif kind == "r" and session in held:
                held.remove(session)
                self.holding.release(session)
            elif kind == "w":
                link.wait(size)
            elif kind == "c":
                link.catch_up()
            kept = sum(s.kept for s in sessions)
            unsent = sum(link.unsent for link in links)
            self.assertEqual((self.holding.kept, self.holding.unsent), (kept, unsent))
            self.assertLessEqual(self.holding.total, 100)
            lasting = [bool(s.gone) for s in held]
            self.assertEqual(lasting, sorted(lasting, reverse=True))
