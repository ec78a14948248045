"""Times by the million, in buckets: counted exactly, told apart to 3 %.

A bucket is named by a time's highest bit and the five bits after it, so its
width is at most 1/32 of what it holds.  ``_wire.h`` has the same in C.
"""

import math
from collections.abc import Sequence

_FINE = 5
#: Enough for nanoseconds up to 2**47, a day and a half.
BUCKETS = (48 - _FINE) << _FINE


def bucket_of(nanoseconds: int) -> int:
    """The bucket of a time; what is negative is 0, what is too long the last."""
    if nanoseconds < 1 << _FINE:
        return max(nanoseconds, 0)
    shift = nanoseconds.bit_length() - _FINE - 1
    return min((shift << _FINE) + (nanoseconds >> shift), BUCKETS - 1)


def middle_of(bucket: int) -> float:
    """The time in the middle of a bucket, nanoseconds."""
    if bucket < 1 << _FINE:
        return float(bucket)
    shift = (bucket >> _FINE) - 1
    low = ((bucket & (1 << _FINE) - 1) | 1 << _FINE) << shift
    return low + ((1 << shift) - 1) / 2


def percentile(counts: Sequence[int], fraction: float) -> float | None:
    """The time, in seconds, that this fraction of all does not exceed.

    None without any.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = max(1, math.ceil(total * fraction))
    seen = 0
    for bucket, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return middle_of(bucket) / 1e9
    raise AssertionError("counts sum up to their total")
