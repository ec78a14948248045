"""Token buckets: how much of something may happen, with time as an argument."""

from collections import OrderedDict
from ipaddress import ip_address
from typing import NamedTuple


class Limit(NamedTuple):
    """A rate with some slack."""

    rate: float
    """Tokens a second."""
    burst: float
    """Most tokens at once."""


class TokenBucket:
    """Starts full."""

    __slots__ = ("_limit", "_tokens", "_when")

    def __init__(self, limit: Limit):
        self._limit = limit
        self._tokens = limit.burst
        self._when = 0.0

    def take(self, now: float, number: int = 1) -> int:
        """Take up to that many tokens; returns how many there were."""
        rate, burst = self._limit
        tokens = min(burst, self._tokens + (now - self._when) * rate)
        self._when = now
        taken = min(number, int(tokens))
        self._tokens = tokens - taken
        return taken


class PrefixBuckets:
    """A bucket for each network a datagram claims to come from, and one for all.

    Sources may be forged, so the table is bounded: the network that was quiet
    longest is forgotten, and the bucket for all holds what that lets through.
    """

    def __init__(self, each: Limit, all_together: Limit, maximum: int = 4096):
        self._each = each
        self._all = TokenBucket(all_together)
        self._maximum = maximum
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def take(self, host: str, now: float) -> bool:
        """Whether one more is allowed for the network of this address."""
        prefix = _prefix(host)
        bucket = self._buckets.get(prefix)
        if bucket is None:
            if len(self._buckets) >= self._maximum:
                self._buckets.popitem(last=False)
            bucket = self._buckets[prefix] = TokenBucket(self._each)
        else:
            self._buckets.move_to_end(prefix)
        # Its own first, so that one network does not use up everybody's.
        return bucket.take(now) == 1 and self._all.take(now) == 1

    def __len__(self) -> int:
        return len(self._buckets)


def _prefix(host: str) -> bytes:
    """/24 of an IPv4 address, /64 of an IPv6 one."""
    address = ip_address(host.partition("%")[0])
    return address.packed[: 3 if address.version == 4 else 8]
