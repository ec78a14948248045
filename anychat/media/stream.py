"""The state of one stream in the portable forwarder, and of its destinations.

The window by which duplicates are told, what is kept to be sent again, when the
latest packets came, and which destinations are held back.  What is to be done
with it is in `routes`, which alone alters it; the bounds here are those of any
forwarder.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import (
    DestinationCounters,
    Drop,
    Drops,
    StreamCounters,
)
from anychat.media.path import Address, Path, Send
from anychat.media.ring import Filled, Missing
from anychat.media.rtp import FrameMarking
from anychat.media.sequence import extend
from anychat.media.source_limit import Allowance

#: How far behind the latest packet one is still taken, and known for a duplicate.
WINDOW = 1024
#: An index's place among them.
SLOT = WINDOW - 1
#: Indexes may not jump this far; half the sequence numbers.
MAX_JUMP = 1 << 15

#: Of how many packets of a stream the arrival is known; powers of two.
ARRIVALS_KEPT: Mapping[StreamKind, int] = {
    StreamKind.VIDEO: 1024,
    StreamKind.AUDIO: 128,
}

#: What is kept of each stream to be sent again.
CACHE_PACKETS = 512
CACHE_BYTES = 500_000
CACHE_TIME = 1.0


class PacketArrival(NamedTuple):
    """A packet that came; see `Forwarder.arrivals`."""

    position: int
    """Its sequence number, with the turns counted."""
    when: float
    """To a sixteenth of a millisecond."""
    size: int
    """Of the datagram, bytes."""
    late: bool
    """A later one had come before it."""
    discardable: bool
    """No other frame needs the one that it is of."""


#: How a destination stands.
UNBOUND, GATED, SKIPPING, FLOWING = range(4)


class Destination:
    """One receiver of one stream.

    Copies are not counted one by one: while it is flowing, its count is what
    the stream has sent since ``base``, and the last copy was the last packet
    of the stream.
    """

    __slots__ = (
        "base_bytes",
        "base_packets",
        "bytes",
        "drops",
        "last_sent",
        "leg",
        "packets",
        "path",
        "retransmitted",
        "send",
        "sparing",
        "state",
        "wants_gate",
    )

    def __init__(self, leg: SessionId, wants_gate: bool):
        self.leg = leg
        self.wants_gate = wants_gate
        self.path: Path | None = None
        self.send: Send | None = None
        self.state = UNBOUND
        self.sparing = False
        self.packets = self.bytes = self.base_packets = self.base_bytes = 0
        self.last_sent: float | None = None
        self.retransmitted = 0
        self.drops = Drops()


#: What the forwarding loop walks: how to send, where to, and whom.
Target = tuple[Send, Address, Destination]


class Stream:
    """One publication."""

    __slots__ = (
        "allowance",
        "bytes",
        "cache",
        "came",
        "destinations",
        "drops",
        "first",
        "held_back",
        "highest",
        "kept_bytes",
        "key_frames",
        "kind",
        "last_seen",
        "missing",
        "order",
        "over",
        "packets",
        "publisher",
        "reports",
        "seen",
        "sent_bytes",
        "sent_packets",
        "source",
        "sparing",
        "ssrc",
        "targets",
        "video",
    )

    def __init__(
        self,
        ssrc: Ssrc,
        kind: StreamKind,
        source: Address | None,
        publisher: SessionId | None,
        allowance: Allowance,
    ):
        self.publisher = publisher
        self.allowance = allowance
        self.over = False
        """The rest of the frame goes: there was too much."""
        self.ssrc = ssrc
        self.kind = kind
        self.video = kind is StreamKind.VIDEO
        self.source = source
        self.highest = -1
        """Index of the latest packet; -1 before the first one."""
        self.first = 0
        self.came: list[PacketArrival | None] = [None] * ARRIVALS_KEPT[kind]
        """By the lower bits of an index."""
        self.sparing = False
        """Whether some destination is spared."""
        self.seen = bytearray(WINDOW)
        """By the lower bits of an index: whether that packet came."""
        self.destinations: dict[SessionId, Destination] = {}
        self.targets: tuple[Target, ...] = ()
        """The destinations that are flowing."""
        self.held_back: tuple[Destination, ...] = ()
        """Those that have an address but are gated or skipping."""
        self.cache: dict[int, tuple[float, int, bytes]] = {}
        self.order: deque[tuple[float, int, bytes]] = deque()
        """What is in the cache, oldest first."""
        self.kept_bytes = 0
        """How long all of that is."""
        self.sent_packets = self.sent_bytes = 0
        """What a destination that was flowing all the time was sent."""
        self.packets = self.bytes = self.missing = 0
        self.key_frames = self.reports = 0
        self.drops = Drops()
        self.last_seen: float | None = None

    # Its destinations.

    def move(
        self, destination: Destination, path: Path | None, send: Send | None
    ) -> None:
        """Send a destination its copies there, and in this way, from now on."""
        destination.path = path
        destination.send = send
        if path is None:
            self._set_state(destination, UNBOUND)
        elif destination.state == UNBOUND:
            self._set_state(destination, GATED if destination.wants_gate else FLOWING)
        self.rebuild()

    def hold_back(self, destination: Destination) -> None:
        """Send it nothing until the next frame starts."""
        self._set_state(destination, SKIPPING)
        self.rebuild()

    def start_frame(self, marking: FrameMarking) -> None:
        """Let flow what waited for this frame, and hold back those that are
        spared a discardable one."""
        for destination in self.destinations.values():
            state = destination.state
            if marking.discardable and destination.sparing and state != GATED:
                if state == FLOWING:
                    self._set_state(destination, SKIPPING)
            elif state == SKIPPING or (state == GATED and marking.independent):
                self._set_state(destination, FLOWING)
        self.rebuild()

    def uncount(
        self, destination: Destination, size: int, before: float | None
    ) -> None:
        """Take back the count of the last packet's copy: it could not be sent.

        :param before: when the packet before this one was sent.
        """
        packets = self.sent_packets - destination.base_packets - 1
        destination.packets += packets
        destination.bytes += self.sent_bytes - destination.base_bytes - size
        if packets:
            destination.last_sent = before
        destination.base_packets = self.sent_packets
        destination.base_bytes = self.sent_bytes

    def rebuild(self) -> None:
        """Make the tuples that the forwarding loop walks."""
        destinations = self.destinations.values()
        self.targets = tuple(
            (destination.send, destination.path.remote, destination)
            for destination in destinations
            if destination.state == FLOWING
            and destination.send is not None
            and destination.path is not None
        )
        self.sparing = any(
            destination.sparing and destination.path is not None
            for destination in destinations
        )
        self.held_back = tuple(
            destination
            for destination in destinations
            if destination.state in (GATED, SKIPPING)
        )

    def _set_state(self, destination: Destination, state: int) -> None:
        """Change how a destination stands, and bring its count up to date."""
        destination.packets, destination.bytes, destination.last_sent = self._sent_to(
            destination
        )
        destination.state = state
        destination.base_packets = self.sent_packets
        destination.base_bytes = self.sent_bytes

    def _sent_to(self, destination: Destination) -> tuple[int, int, float | None]:
        """Packets and bytes that a destination was sent, and when the last one was."""
        packets, size = destination.packets, destination.bytes
        since = self.sent_packets - destination.base_packets
        if destination.state != FLOWING or not since:
            return packets, size, destination.last_sent
        size += self.sent_bytes - destination.base_bytes
        return packets + since, size, self.last_seen

    # Its packets.

    def place(
        self, sequence: int, now: float
    ) -> tuple[int, Missing | Filled | None] | Drop:
        """Index of a packet that is not the one after the latest, and what that
        tells; or why it is dropped."""
        seen = self.seen
        highest = self.highest
        if highest < 0:
            # The ROC of a publication starts at 0.
            seen[sequence & SLOT] = 1
            self.highest = self.first = sequence
            return sequence, None
        index = extend(sequence, highest)
        ahead = index - highest
        if ahead > 0:
            if ahead >= MAX_JUMP:
                return Drop.LATE
            if ahead >= WINDOW:
                seen[:] = bytes(WINDOW)
            else:
                for skipped in range(highest + 1, index):
                    seen[skipped & SLOT] = 0
            seen[index & SLOT] = 1
            self.highest = index
            self.missing += ahead - 1
            return index, Missing(self.ssrc, (highest + 1) & 0xFFFF, ahead - 1, now)
        if ahead <= -WINDOW:
            return Drop.LATE
        if seen[index & SLOT]:
            return Drop.DUPLICATE
        seen[index & SLOT] = 1
        # What came before the first packet was never missed.
        if index <= self.first:
            return index, None
        self.missing -= 1
        return index, Filled(self.ssrc, sequence, now)

    def arrivals(self, start: int, end: int | None) -> list[PacketArrival]:
        """When the latest packets came; see `routes.Forwarder.arrivals`."""
        came, highest = self.came, self.highest
        kept = len(came)
        found = []
        after = highest + 1 if end is None else min(end, highest + 1)
        for index in range(max(start, highest + 1 - kept, 0), after):
            arrival = came[index & kept - 1]
            if arrival is not None and arrival.position == index:
                found.append(arrival)
        return found

    def keep(self, index: int, data: bytes, now: float) -> None:
        """Put a packet into the cache, and the too old ones out."""
        cache, order = self.cache, self.order
        entry = (now, index, data)
        cache[index] = entry
        order.append(entry)
        self.kept_bytes += len(data)
        oldest = now - CACHE_TIME
        while (
            order[0][0] < oldest
            or len(order) > CACHE_PACKETS
            or self.kept_bytes > CACHE_BYTES
        ):
            _, gone, old = order.popleft()
            del cache[gone]
            self.kept_bytes -= len(old)

    def kept(self, sequence: int, now: float) -> bytes | None:
        """A packet that is still in the cache."""
        entry = self.cache.get(extend(sequence, self.highest))
        if entry is None or entry[0] < now - CACHE_TIME:
            return None
        return entry[2]

    def forget_packets(self) -> None:
        """Nobody is left to send them to again."""
        self.cache.clear()
        self.order.clear()
        self.kept_bytes = 0

    # What was counted.

    def counters(self) -> StreamCounters:
        """A snapshot."""
        return StreamCounters(
            ssrc=self.ssrc,
            kind=self.kind,
            packets=self.packets,
            bytes=self.bytes,
            missing=self.missing,
            drops=self.drops.snapshot(),
            key_frames=self.key_frames,
            reports=self.reports,
            last_seen=self.last_seen,
            destinations=tuple(
                self._destination_counters(destination)
                for destination in self.destinations.values()
            ),
        )

    def _destination_counters(self, destination: Destination) -> DestinationCounters:
        packets, size, last_sent = self._sent_to(destination)
        return DestinationCounters(
            leg=destination.leg,
            packets=packets,
            bytes=size,
            last_sent=last_sent,
            retransmitted=destination.retransmitted,
            drops=destination.drops.snapshot(),
            gated=destination.state == GATED,
            bound=destination.path is not None,
        )
