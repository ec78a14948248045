"""How much a publisher may bring, and what is left of it.

So many packets and bytes in a second (`SourceLimit`), all its streams together,
and a second's worth of them at once.
"""

from typing import NamedTuple


class SourceLimit(NamedTuple):
    """What a publisher may bring, so that it floods no room; 0: anything.

    All its streams share it.  Within one batch of datagrams they may have their
    turns in another order than that of arrival.
    """

    packets: int = 5_000
    """A second."""
    bytes: int = 6_250_000
    """A second: 50 Mbit/s."""


#: Far above what members send.
LIMIT = SourceLimit()
#: In the place of a limit that is 0: no machine is that fast.
UNLIMITED = 1e15


class Allowance:
    """What a publisher may still bring.

    :param limit: what it may in a second.
    """

    __slots__ = (
        "_bytes",
        "_counted",
        "_most_bytes",
        "_most_packets",
        "_packets",
        "streams",
    )

    def __init__(self, limit: SourceLimit) -> None:
        self._most_packets = limit.packets or UNLIMITED
        self._most_bytes = limit.bytes or UNLIMITED
        # Cut down to the limit when it is first asked.
        self._packets = self._bytes = UNLIMITED
        self._counted = 0.0
        """When it was last brought up to date."""
        self.streams = 0
        """How many share it."""

    def take(self, size: int, now: float) -> bool:
        """Whether a packet of that size is within the limit; then it counts."""
        most_packets, most_bytes = self._most_packets, self._most_bytes
        elapsed = now - self._counted
        if elapsed > 0:
            self._counted = now
            self._packets += elapsed * most_packets
            self._bytes += elapsed * most_bytes
        if self._packets > most_packets:
            self._packets = most_packets
        if self._bytes > most_bytes:
            self._bytes = most_bytes
        if self._packets < 1 or self._bytes < size:
            return False
        self._packets -= 1
        self._bytes -= size
        return True
