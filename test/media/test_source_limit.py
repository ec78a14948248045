"""What a publisher may bring."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.source_limit import Allowance, SourceLimit


class AllowanceTests(SynchronousTestCase):
    """`Allowance`."""

    def taken(self, allowance, size, now):
        """How many packets of that size are taken at once, of a thousand."""
        return sum(allowance.take(size, now) for _ in range(1000))

    def test_packets(self):
        """A second's worth at once, and what time brings after that."""
        allowance = Allowance(SourceLimit(packets=100, bytes=0))
        self.assertEqual(self.taken(allowance, 1200, 50.0), 100)
        self.assertEqual(self.taken(allowance, 1200, 50.5), 50)
        self.assertEqual(self.taken(allowance, 1200, 99.0), 100)

    def test_bytes(self):
        """A big packet that is refused leaves room for a small one."""
        allowance = Allowance(SourceLimit(packets=0, bytes=1000))
        self.assertTrue(allowance.take(900, 50.0))
        self.assertFalse(allowance.take(101, 50.0))
        self.assertTrue(allowance.take(100, 50.0))

    def test_backwards(self):
        """A clock that goes back brings nothing, and takes nothing."""
        allowance = Allowance(SourceLimit(packets=2, bytes=0))
        self.assertTrue(allowance.take(1, 50.0))
        self.assertTrue(allowance.take(1, 40.0))
        self.assertFalse(allowance.take(1, 50.0))

    def test_unlimited(self):
        """0 is no limit."""
        allowance = Allowance(SourceLimit(0, 0))
        self.assertEqual(self.taken(allowance, 1_000_000, 0.0), 1000)
