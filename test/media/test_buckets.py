"""Token buckets hold their rates and their size."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.buckets import Limit, PrefixBuckets, TokenBucket


class TokenBucketTests(SynchronousTestCase):
    """`TokenBucket`."""

    def test_burstThenRate(self):
        """The burst goes through, then what the rate brings."""
        bucket = TokenBucket(Limit(rate=10, burst=3))
        self.assertEqual([bucket.take(100.0) for _ in range(4)], [1, 1, 1, 0])
        self.assertEqual(bucket.take(100.05), 0)
        self.assertEqual(bucket.take(100.11), 1)
        self.assertEqual(bucket.take(500.0, 9), 3)

    def test_partOfIt(self):
        """What is there is given, not more."""
        bucket = TokenBucket(Limit(rate=1, burst=5))
        self.assertEqual(bucket.take(1.0, 3), 3)
        self.assertEqual(bucket.take(1.0, 3), 2)


class PrefixBucketsTests(SynchronousTestCase):
    """`PrefixBuckets`."""

    def test_networksKeepApart(self):
        """One network's flood leaves another its share."""
        buckets = PrefixBuckets(Limit(1, 2), Limit(100, 100))
        taken = [buckets.take(f"192.0.2.{host}", 1.0) for host in range(4)]
        self.assertEqual(taken, [True, True, False, False])
        self.assertTrue(buckets.take("192.0.3.1", 1.0))

    def test_ipv6Networks(self):
        """A /64 is one network, however its hosts are spelled."""
        buckets = PrefixBuckets(Limit(1, 2), Limit(100, 100))
        hosts = ("2001:db8::1", "2001:db8:0:0:5::1", "2001:db8::ffff:1")
        self.assertEqual(
            [buckets.take(host, 1.0) for host in hosts], [True, True, False]
        )
        self.assertTrue(buckets.take("2001:db8:0:1::1", 1.0))
        self.assertTrue(buckets.take("fe80::1%eth0", 1.0))

    def test_allTogether(self):
        """Many networks share one limit, and a network over its own limit
        takes nothing of it."""
        buckets = PrefixBuckets(Limit(1, 1), Limit(1, 3))
        for _ in range(5):
            buckets.take("192.0.2.1", 1.0)
        taken = [buckets.take(f"10.0.{net}.1", 1.0) for net in range(4)]
        self.assertEqual(taken, [True, True, False, False])

    def test_bounded(self):
        """Forged sources of every network do not fill the memory."""
        buckets = PrefixBuckets(Limit(1, 1), Limit(1e9, 1e9), maximum=10)
        for net in range(100):
            buckets.take(f"10.0.{net}.1", 1.0)
        self.assertEqual(len(buckets), 10)
        # The one that was quiet longest was forgotten.
        self.assertFalse(buckets.take("10.0.99.1", 1.0))
        self.assertTrue(buckets.take("10.0.0.1", 1.0))
