"""Tests of `anychat.services.admission` and `anychat.notices`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.notices import Notices
from anychat.services.admission import Admission, is_loopback, origin, plain_address
from anychat.services.listening import raise_file_limit


class AdmissionTests(SynchronousTestCase):
    """Connections are counted by where they come from, and all together."""

    def test_bounds(self):
        """An address has its share, and all of them together theirs."""
        admission = Admission(per_address=2, overall=3)
        self.assertTrue(admission.enter("192.0.2.1"))
        self.assertTrue(admission.enter("192.0.2.1"))
        self.assertFalse(admission.enter("192.0.2.1"))
        self.assertTrue(admission.enter("192.0.2.2"))
        self.assertFalse(admission.enter("192.0.2.3"))
        admission.leave("192.0.2.1")
        self.assertTrue(admission.enter("192.0.2.3"))
        self.assertEqual(len(admission), 3)

    def test_kept(self):
        """One that is gone and still costs takes a place, be there one or not."""
        admission = Admission(per_address=1, overall=9)
        self.assertTrue(admission.enter("192.0.2.1"))
        admission.keep("192.0.2.1")
        admission.leave("192.0.2.1")
        self.assertFalse(admission.enter("192.0.2.1"))
        self.assertTrue(admission.enter("192.0.2.2"))
        admission.leave("192.0.2.1")
        self.assertTrue(admission.enter("192.0.2.1"))

    def test_nothingStays(self):
        """Addresses that left are not remembered."""
        admission = Admission(per_address=2, overall=1000)
        for number in range(500):
            address = f"10.0.{number // 250}.{number % 250}"
            admission.enter(address)
            admission.leave(address)
        self.assertEqual((len(admission), admission._counts), (0, {}))

    def test_origin(self):
        """IPv6 addresses count by their /64, with or without a zone."""
        self.assertEqual(origin("192.0.2.1"), "192.0.2.1")
        self.assertEqual(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::")
        self.assertEqual(origin("fe80::1%eth0"), "fe80::")

    def test_plainAddress(self):
        """What a dual-stack socket says of IPv4 is IPv4."""
        self.assertEqual(plain_address("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(plain_address("2001:db8::1"), "2001:db8::1")
        self.assertEqual(plain_address("192.0.2.1"), "192.0.2.1")

    def test_loopback(self):
        """What is no loopback address is none."""
        for address in ("127.0.0.1", "127.9.9.9", "::1"):
            self.assertTrue(is_loopback(address), address)
        for address in ("192.0.2.1", "::", "2001:db8::1", "", "localhost"):
            self.assertFalse(is_loopback(address), address)

    def test_fileLimit(self):
        """The limit is raised as far as it goes, again and again."""
        self.assertEqual(raise_file_limit(), raise_file_limit())


class NoticesTests(SynchronousTestCase):
    """Strangers cannot fill the log."""

    def test_oneLineForEachCause(self):
        """Within the interval a cause has one line; the rest is counted."""
        clock, log = Clock(), []
        notices = Notices(log.append, clock.seconds, interval=10)
        for _ in range(1000):
            notices.say("a", "first")
        notices.say("b", "other")
        clock.advance(10)
        notices.say("a", "second")
        clock.advance(10)
        notices.say("a", "third")
        self.assertEqual(log, ["first", "other", "second (999 more before)", "third"])
