"""Times in buckets."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.load.histogram import BUCKETS, bucket_of, middle_of, percentile


class HistogramTests(SynchronousTestCase):
    """Buckets and percentiles."""

    @settings(deadline=None)
    @given(st.integers(0, (1 << 47) - 1))
    def test_precision(self, nanoseconds):
        """The middle of a time's bucket is within 1.6 % of it."""
        middle = middle_of(bucket_of(nanoseconds))
        self.assertLessEqual(abs(middle - nanoseconds), nanoseconds / 64)

    @settings(deadline=None)
    @given(st.integers(-(1 << 60), 1 << 60), st.integers(-(1 << 60), 1 << 60))
    def test_order(self, one, other):
        """A longer time is in no earlier bucket, and there is one for every time."""
        low, high = sorted((one, other))
        self.assertLessEqual(0, bucket_of(low))
        self.assertLessEqual(bucket_of(low), bucket_of(high))
        self.assertLess(bucket_of(high), BUCKETS)

    def test_percentiles(self):
        """The p-th percentile is the least that p of all do not exceed."""
        counts = [0] * BUCKETS
        for nanoseconds in range(1, 31):
            counts[bucket_of(nanoseconds)] += 1
        self.assertEqual(percentile(counts, 0.5), 15e-9)
        self.assertEqual(percentile(counts, 0.9), 27e-9)
        self.assertEqual(percentile(counts, 1.0), 30e-9)
        self.assertEqual(percentile(counts, 0.0), 1e-9)

    def test_empty(self):
        """Of nothing there is no percentile."""
        self.assertIsNone(percentile([0] * BUCKETS, 0.5))
