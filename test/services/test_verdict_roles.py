"""Tests of `anychat.services.verdict_roles`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.services.verdict_roles import Taken, VerdictRoles


class VerdictRolesTests(SynchronousTestCase):
    """The newest that asks for a verdict gives it."""

    def test_alone(self):
        """Nobody holds a role until somebody comes."""
        roles = VerdictRoles()
        self.assertIsNone(roles.holder("V"))
        self.assertEqual(roles.join("a", ["V"]), [])
        self.assertEqual((roles.holder("V"), roles.holder("P")), ("a", None))
        self.assertEqual(roles.leave("a"), [])
        self.assertIsNone(roles.holder("V"))
        self.assertEqual(len(roles), 0)

    def test_newest(self):
        """Whoever comes takes what it names, and gives it back by going."""
        roles = VerdictRoles()
        roles.join("a", ["V", "P"])
        self.assertEqual(roles.join("b", ["V"]), [Taken("a", "b", ("V",))])
        self.assertEqual((roles.holder("V"), roles.holder("P")), ("b", "a"))
        self.assertEqual(roles.join("c", []), [])
        self.assertEqual(roles.leave("b"), [Taken("a", "a", ("V",))])
        self.assertEqual(roles.holder("V"), "a")

    def test_bothAtOnce(self):
        """One is told once of all that another one takes."""
        roles = VerdictRoles()
        roles.join("a", ["V", "P"])
        self.assertEqual(roles.join("b", ["P", "V"]), [Taken("a", "b", ("V", "P"))])

    def test_olderLeaves(self):
        """That one without a role goes is news to nobody."""
        roles = VerdictRoles()
        roles.join("a", ["V"])
        roles.join("b", ["V"])
        self.assertEqual(roles.leave("a"), [])
        self.assertEqual(roles.leave("a"), [])

    def test_instead(self):
        """One that takes another one's place tells the others nothing between."""
        roles = VerdictRoles()
        roles.join("a", ["V"])
        roles.join("b", ["V"])
        self.assertEqual(roles.join("c", ["V"], instead="b"), [Taken("a", "c", ("V",))])
        self.assertEqual(len(roles), 2)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(st.integers(0, 4), st.sets(st.sampled_from("VPX"))), max_size=30
        )
    )
    def test_beliefs(self, steps):
        """Everybody knows who gives the verdicts that it would give."""
        roles, order, beliefs = VerdictRoles(), {}, {}
        for member, wants in steps:
            if member in order:
                del order[member], beliefs[member]
                news = roles.leave(member)
            else:
                news = roles.join(member, wants)
                order[member] = wants
                beliefs[member] = dict.fromkeys(wants, member)
            for taken in news:
                for verdict in taken.verdicts:
                    self.assertNotEqual(beliefs[taken.member][verdict], taken.holder)
                    beliefs[taken.member][verdict] = taken.holder
            for verdict in "VPX":
                asking = [m for m, wants in order.items() if verdict in wants]
                holder = asking[-1] if asking else None
                self.assertEqual(roles.holder(verdict), holder)
                for one in asking:
                    self.assertEqual(beliefs[one][verdict], holder)
