"""Blocked addresses: patterns, limits, and what they take in."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import UserInfoControl
from anychat.core.blocking import MAX_BLOCKED, MAX_PATTERNS, is_blocked
from anychat.core.effects import ShowBlocked
from anychat.core.hall import Hall
from test.core.driver import DEMO, Driver


class BlockingTests(SynchronousTestCase):
    """Block and unblock, codes 4 and 5."""

    def setUp(self):
        self.core = Driver()

    def tearDown(self):
        """A snapshot has them."""
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)

    def say(self, code, text):
        """Block or unblock; the shown patterns, or the code."""
        effects, answer = self.core.call(UserInfoControl(0, code, 0, 0, text))
        if answer.code:
            self.assertEqual(effects, [])
            return int(answer.code)
        for effect in effects:
            self.assertIsInstance(effect, ShowBlocked)
            self.assertIs(effect.blocked, code == 4)
        return [effect.pattern for effect in effects]

    def blocked(self, *addresses):
        """Which of these may not connect."""
        return [
            address for address in addresses if is_blocked(self.core.state, address)
        ]

    def test_patterns(self):
        """What each pattern takes in."""
        for pattern, inside, outside in (
            ("192.0.2.7", ["192.0.2.7"], ["192.0.2.70", "192.0.2.1"]),
            ("192.0.2.*", ["192.0.2.7", "192.0.2.255"], ["192.0.20.1", "10.0.0.1"]),
            ("*.7", ["192.0.2.7"], ["192.0.2.17"]),
            ("192.*.7", ["192.0.2.7", "192.1.7"], ["192.7", "192.0.2.17"]),
            ("2001:db8:*", ["2001:db8::1", "2001:db8:1::"], ["2001:db9::1"]),
            ("2001:DB8:0::1", ["2001:db8::1", "2001:db8::1%eth0"], ["2001:db8::2"]),
            ("::ffff:192.0.2.7", ["192.0.2.7"], ["192.0.2.8"]),
            ("*", ["192.0.2.7", "::1"], []),
            ("1**1", ["11", "1.1"], ["1"]),
        ):
            self.say(4, pattern)
            self.assertEqual(self.blocked(*inside, *outside), inside, pattern)
            self.say(5, pattern)
            self.assertEqual(self.blocked(*inside), [], pattern)

    def test_once(self):
        """Blocking twice is no news, however it is spelt."""
        self.assertEqual(self.say(4, " 2001:DB8::0 "), ["2001:db8::"])
        self.assertEqual(self.say(4, "2001:db8::"), [])

    def test_unblockMany(self):
        """A pattern unblocks all that it takes in; 9 if that is nothing."""
        for text in ("192.0.2.7", "192.0.2.*", "10.0.0.1"):
            self.say(4, text)
        self.assertEqual(self.say(5, "172.*"), 9)
        self.assertEqual(self.say(5, "10.0.0.2"), 9)
        self.assertEqual(self.say(5, "192.*"), ["192.0.2.7", "192.0.2.*"])
        self.assertEqual(self.say(5, "*"), ["10.0.0.1"])
        self.assertEqual(self.say(5, "*"), 9)

    def test_wrong(self):
        """21 for what is neither an address nor a pattern."""
        for text in (
            *("x", "192.0.2", "192.0.2.256", "192.0.2.1/24", "[::1]", "1:2", " "),
            *("*x", "a" * 65, "1" * 65, "fe80::1%eth0", "192.0.2.7\n8", "é*"),
        ):
            self.assertEqual(self.say(4, text), 21, text)
            self.assertEqual(self.say(5, text), 21, text)

    def test_limits(self):
        """23 for one too many, of all and of patterns."""
        for number in range(MAX_PATTERNS):
            self.say(4, f"10.{number}.*")
        self.assertEqual(self.say(4, "192.*"), 23)
        for number in range(MAX_BLOCKED - MAX_PATTERNS):
            self.say(4, f"2001:db8::{number:x}")
        self.assertEqual(self.say(4, "192.0.2.7"), 23)
        self.say(5, "10.0.*")
        self.assertEqual(self.say(4, "192.*"), ["192.*"])

    @settings(deadline=None, max_examples=300)
    @given(st.text("12.*", max_size=12), st.text("12.", max_size=12))
    def test_matching(self, pattern, address):
        """A pattern takes in what the obvious definition says."""

        def match(pattern, text):
            if not pattern:
                return not text
            if pattern[0] == "*":
                return match(pattern[1:], text) or bool(
                    text and match(pattern, text[1:])
                )
            return bool(text) and text[0] == pattern[0] and match(pattern[1:], text[1:])

        pattern = f"*{pattern}"
        self.core = Driver()
        self.say(4, pattern)
        self.assertEqual(bool(self.blocked(address)), match(pattern, address))

    def test_longSearch(self):
        """No pattern makes the search long."""
        self.say(4, "*" + "1*" * 31)
        self.assertEqual(self.blocked("1" * 30), [])
        self.assertEqual(self.blocked("1" * 31), ["1" * 31])
