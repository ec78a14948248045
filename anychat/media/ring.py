"""What a forwarder puts aside for Python, and how much of it.

Each kind has a ring of its own, so that a flood of one does not starve the
others; what finds its ring full is dropped and counted.
"""

from collections import deque
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from anychat.ids import SessionId, Ssrc
from anychat.media.demux import Kind
from anychat.media.path import Path

#: Datagrams of a kind, and `Missing` and `Filled`, that may wait for Python.
RING_SIZES: Mapping[Kind, int] = {Kind.STUN: 256, Kind.RTCP: 1024, Kind.CONTROL: 512}
ARRIVALS = 1024
#: Copies for destinations that are `UPWARD`.
COPIES = 4096

_Item = TypeVar("_Item")


class Datagram(NamedTuple):
    """Something for Python to read."""

    data: bytes
    path: Path
    """Where it came from, and to which of our addresses."""
    now: float


class Missing(NamedTuple):
    """Sequence numbers of a stream were jumped over."""

    ssrc: Ssrc
    sequence: int
    """The first of them."""
    number: int
    now: float


class Filled(NamedTuple):
    """A packet that had been jumped over came after all."""

    ssrc: Ssrc
    sequence: int
    now: float


class Copy(NamedTuple):
    """A packet or sender report for a destination that is `UPWARD`."""

    ssrc: Ssrc
    leg: SessionId
    data: bytes
    now: float


class Ring(Generic[_Item]):
    """A queue that refuses what it has no room for."""

    __slots__ = ("items", "maximum")

    def __init__(self, maximum: int):
        self.items: deque[_Item] = deque()
        self.maximum = maximum

    def push(self, item: _Item) -> bool:
        """Add at the end; False when full."""
        if len(self.items) >= self.maximum:
            return False
        self.items.append(item)
        return True

    def take(self, most: int) -> list[_Item]:
        """Remove up to that many from the front."""
        items = self.items
        return [items.popleft() for _ in range(min(most, len(items)))]
