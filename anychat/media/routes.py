"""The forwarder: one stream's datagrams to all who receive it, byte for byte.

This is the portable forwarder, and the specification of any other: what it
takes and gives, and in which order, is held by ``test/media/test_routes.py``,
which runs against every forwarder there is.

**In.**  `Forwarder.receive` takes a datagram from the socket.

==============  =========================================================
RTP             the SSRC names the stream; the source must be its bound
                one; header, sequence number and length must be sound;
                then it goes to every destination that is not held back
RTCP, SSRC of   a sender report goes to every destination, held back or
an open stream  not, if it comes from the bound source; else dropped
other RTCP,     up to Python, through a bounded ring for each kind, so that
STUN, control,  a flood of one does not starve the others; a kind without a
DTLS            ring is dropped
==============  =========================================================

**Order and duplicates.**  The 48-bit index of a packet (`sequence`) is
followed from the clear headers.  A packet that was seen is dropped, and one
that is `WINDOW` or more behind the latest, since nobody could tell; anything
else is forwarded as it comes, late ones too.  An index moves ahead by less
than 2**15 at once: SRTP's receivers could not follow more (RFC 3711 section
3.3.1), so a publisher that was not heard for that long must publish anew.
Jumps go up as `Missing`, what came later after all as `Filled`.

**Held back.**  A gated destination gets nothing until a packet that starts an
independent frame (RFC 9626).  A video destination whose send buffer was full
gets nothing until the next frame starts.  One without an address gets nothing,
and is gated again when it has one.

**Spared.**  A video destination may be spared: the frames that no other frame
needs (RFC 9626, discardable) are left out for it, each as a whole.

**Upward.**  The copies for a destination whose path is `UPWARD` are put into
the ring of media, which is to it what the send buffer is to the others.

**By another way.**  `Forwarder.admit` takes a publisher's packet that no socket
brought, as over the publisher's TCP link: whoever calls knows whose it is, so no
source is asked for.  All else is as above.

**Too much.**  A publisher may bring so many packets and bytes in a second
(`SourceLimit`), all its streams together, and a second's worth of them at once.
What is more is dropped, of video to the end of the frame; the position follows
all the same.  A forwarder that takes datagrams by the batch may see to one
stream of a batch after the other: which of a publisher's streams gets what is
left is then not decided by the order of arrival.

**Again.**  The latest packets of each stream are kept: `CACHE_PACKETS`,
`CACHE_BYTES` and `CACHE_TIME` bound them.  `Forwarder.retransmit` sends the
stored bytes.

What it knows are streams, legs and paths; never rooms or users.  Nobody but
the publisher can do harm through a stream, since its source is bound; but
whoever can spoof that address can upset its sequence numbers: authentication
is the receivers' (see docs/wire/media.md).
"""

from collections import deque
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Generic, NamedTuple, TypeVar

from anychat.codes import StreamKind
from anychat.errors import LocalError, PeerError
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import (
    DestinationCounters,
    Drop,
    Drops,
    ForwarderCounters,
    StreamCounters,
)
from anychat.media.demux import Kind, classify
from anychat.media.path import UPWARD, Address, Path, Send
from anychat.media.rtp import (
    MAX_DATAGRAM,
    SRTP_TAG,
    FrameMarking,
    header_length,
    marking_of,
)
from anychat.media.sequence import extend

#: How far behind the latest packet one is still taken, and known for a duplicate.
WINDOW = 1024
_SLOT = WINDOW - 1
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

#: Datagrams of a kind, and `Missing` and `Filled`, that may wait for Python.
RING_SIZES: Mapping[Kind, int] = {Kind.STUN: 256, Kind.RTCP: 1024, Kind.CONTROL: 512}
ARRIVALS = 1024
#: Copies for destinations that are `UPWARD`.
COPIES = 4096

_RING_FULL = {
    Kind.STUN: Drop.STUN_FULL,
    Kind.RTCP: Drop.RTCP_FULL,
    Kind.CONTROL: Drop.CONTROL_FULL,
    Kind.DTLS: Drop.DTLS_FULL,
}

_SENDER_REPORT = 200
#: SRTP without CSRCs, extension and payload.
_SHORTEST_RTP = 12 + SRTP_TAG
#: SRTCP's clear 8 bytes, tag and index.
_SHORTEST_RTCP = 8 + SRTP_TAG + 4

_RTP_FIELDS = Struct("!2xH4xI").unpack_from
_RTCP_SSRC = Struct("!4xI").unpack_from

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


class Copy(NamedTuple):
    """A packet or sender report for a destination that is `UPWARD`."""

    ssrc: Ssrc
    leg: SessionId
    data: bytes
    now: float


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


#: How a destination stands.
_UNBOUND, _GATED, _SKIPPING, _FLOWING = range(4)


class _Destination:
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
        self.state = _UNBOUND
        self.sparing = False
        self.packets = self.bytes = self.base_packets = self.base_bytes = 0
        self.last_sent: float | None = None
        self.retransmitted = 0
        self.drops = Drops()


#: What the forwarding loop walks: how to send, where to, and whom.
_Target = tuple[Send, Address, _Destination]


class _Allowance:
    """What a publisher may still bring."""

    __slots__ = ("bytes", "counted", "packets", "streams")

    def __init__(self) -> None:
        # Cut down to the limit when it is first asked.
        self.packets = self.bytes = UNLIMITED
        self.counted = 0.0
        """When it was last brought up to date."""
        self.streams = 0
        """How many share it."""


class _Stream:
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
        allowance: _Allowance,
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
        self.destinations: dict[SessionId, _Destination] = {}
        self.targets: tuple[_Target, ...] = ()
        """The destinations that are flowing."""
        self.held_back: tuple[_Destination, ...] = ()
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


class Forwarder:
    """Streams, their destinations, and what happens to a datagram.

    :param sender: gives the callable that sends over a path; asked when a
        destination gets its path, so that nothing is decided for each copy.
    :param rings: the kinds of datagram that somebody will `take`, and how many
        may wait.
    :param limit: what each publisher may bring.
    """

    def __init__(
        self,
        sender: Callable[[Path], Send],
        rings: Mapping[Kind, int] = RING_SIZES,
        limit: SourceLimit = LIMIT,
    ):
        self._sender = sender
        self._most_packets = limit.packets or UNLIMITED
        self._most_bytes = limit.bytes or UNLIMITED
        self._now = 0.0
        self._streams: dict[int, _Stream] = {}
        self._allowances: dict[SessionId, _Allowance] = {}
        self._rings: dict[Kind, Ring[Datagram]] = {
            kind: Ring(maximum) for kind, maximum in rings.items()
        }
        self._arrivals: Ring[Missing | Filled] = Ring(ARRIVALS)
        self._copies: Ring[Copy] = Ring(COPIES)
        self._queues = (
            self._arrivals.items,
            *(ring.items for ring in self._rings.values()),
        )
        self._drops = Drops()
        self._received = self._received_bytes = 0
        self._forwarded = self._forwarded_bytes = self._retransmitted = 0

    # Routes.

    def open_stream(
        self,
        ssrc: Ssrc,
        kind: StreamKind,
        source: Address | None = None,
        publisher: SessionId | None = None,
    ) -> None:
        """Begin a stream that has no destinations yet.

        :param source: the only address it may come from; None: none so far.
        :param publisher: whose it is, and whose limit it counts against; None:
            it has a limit of its own.
        :raise LocalError: a stream with that SSRC is open.
        """
        if ssrc in self._streams:
            raise LocalError(f"stream {ssrc:#010x} opened twice")
        allowance = _Allowance()
        if publisher is not None:
            allowance = self._allowances.setdefault(publisher, allowance)
            allowance.streams += 1
        self._streams[ssrc] = _Stream(ssrc, kind, source, publisher, allowance)

    def move_source(self, ssrc: Ssrc, source: Address | None) -> None:
        """From now on the stream comes from there; the old address is refused.

        :raise LocalError: no such stream.
        """
        self._stream(ssrc).source = source

    def close_stream(self, ssrc: Ssrc) -> None:
        """Forget the stream and its destinations, if it is open."""
        stream = self._streams.pop(ssrc, None)
        if stream is not None and stream.publisher is not None:
            stream.allowance.streams -= 1
            if not stream.allowance.streams:
                del self._allowances[stream.publisher]

    def add_destination(
        self, ssrc: Ssrc, leg: SessionId, path: Path | None, gated: bool
    ) -> None:
        """Forward the stream to a leg; one that has it already is only moved.

        :param path: where it is; None: not known yet; `UPWARD`: in Python.
        :param gated: start at a key frame, now and whenever it had no address.
        :raise LocalError: no such stream.
        """
        stream = self._stream(ssrc)
        if leg not in stream.destinations:
            stream.destinations[leg] = _Destination(leg, gated)
        self.move_destination(ssrc, leg, path)

    def move_destination(self, ssrc: Ssrc, leg: SessionId, path: Path | None) -> None:
        """Send the leg its copies there from now on.

        :raise LocalError: no such stream, or the leg does not have it.
        """
        stream = self._stream(ssrc)
        destination = stream.destinations.get(leg)
        if destination is None:
            raise LocalError(f"leg {leg} does not receive stream {ssrc:#010x}")
        if path == destination.path:
            return
        destination.path = path
        if path is None:
            destination.send = None
            self._set_state(stream, destination, _UNBOUND)
        else:
            if path == UPWARD:
                destination.send = self._upward(ssrc, leg)
            else:
                destination.send = self._sender(path)
            if destination.state == _UNBOUND:
                state = _GATED if destination.wants_gate else _FLOWING
                self._set_state(stream, destination, state)
        self._rebuild(stream)

    def spare_destination(self, ssrc: Ssrc, leg: SessionId, sparing: bool) -> None:
        """From the next frame on, leave discardable frames out for a leg, or not.

        :raise LocalError: no such stream, or the leg does not have it.
        """
        stream = self._stream(ssrc)
        destination = stream.destinations.get(leg)
        if destination is None:
            raise LocalError(f"leg {leg} does not receive stream {ssrc:#010x}")
        destination.sparing = sparing
        self._rebuild(stream)

    def remove_destination(self, ssrc: Ssrc, leg: SessionId) -> None:
        """Forward the stream to the leg no longer, if it is."""
        stream = self._streams.get(ssrc)
        if stream is None or stream.destinations.pop(leg, None) is None:
            return
        self._rebuild(stream)
        if not stream.destinations:
            stream.cache.clear()
            stream.order.clear()
            stream.kept_bytes = 0

    # Datagrams.

    def receive(
        self, data: bytes, source: Address | None, now: float, local: bytes = b""
    ) -> None:
        """Take one datagram; whatever it holds, this only forwards or counts.

        :param source: where it comes from; None is left to `admit`.
        :param local: our end of its path, kept for what goes up to Python.
        """
        size = len(data)
        self._now = now
        self._received += 1
        self._received_bytes += size
        kind = classify(data)
        if kind is not Kind.RTP:
            self._receive_other(kind, data, source, now, local)
            return
        if not _SHORTEST_RTP <= size <= MAX_DATAGRAM:
            self._drops.add(
                Drop.OVERSIZED if size > MAX_DATAGRAM else Drop.MALFORMED_RTP
            )
            return
        sequence, ssrc = _RTP_FIELDS(data)
        stream = self._streams.get(ssrc)
        if stream is None:
            self._drops.add(Drop.UNKNOWN_SSRC)
            return
        if source is not None and source != stream.source:
            self._drop_stranger(stream)
            return
        marking = None
        if data[0] != 0x80:
            try:
                length = header_length(data)
                if stream.video:
                    marking = marking_of(data)
            except PeerError:
                self._drop(Drop.MALFORMED_RTP, stream)
                return
            if size < length + SRTP_TAG:
                self._drop(Drop.MALFORMED_RTP, stream)
                return

        # Nearly always it is the packet after the latest one.
        index = stream.highest + 1
        if index & 0xFFFF == sequence and index:
            stream.highest = index
            stream.seen[index & _SLOT] = 1
        else:
            index = self._place(stream, sequence, now)
            if index < 0:
                return
        if not self._allows(stream, size, marking is not None and marking.start):
            self._drop(Drop.LIMITED, stream)
            return
        before = stream.last_seen
        stream.packets += 1
        stream.bytes += size
        stream.last_seen = now
        came = stream.came
        came[index & len(came) - 1] = PacketArrival(
            index,
            now,
            size,
            index < stream.highest,
            marking is not None and marking.discardable,
        )

        if marking is not None and marking.start:
            if marking.independent:
                stream.key_frames += 1
            if stream.held_back or stream.sparing:
                self._start_frame(stream, marking)
        if not stream.destinations:
            return
        self._keep(stream, index, data, now)
        if stream.held_back:
            self._count_skipped(stream)
        targets = stream.targets
        count = len(targets)
        stream.sent_packets += 1
        stream.sent_bytes += size
        self._forwarded += count
        self._forwarded_bytes += count * size
        for send, address, destination in targets:
            try:
                send(data, address)
            except OSError as error:
                self._copy_failed(stream, destination, size, before, error)

    def admit(self, data: bytes, now: float) -> None:
        """Take a packet that is known to be its publisher's: RTP, or a sender
        report."""
        self.receive(data, None, now)

    def take(self, kind: Kind, most: int) -> list[Datagram]:
        """What came of a kind that has a ring, oldest first."""
        return self._rings[kind].take(most)

    def take_arrivals(self, most: int) -> list[Missing | Filled]:
        """Uplink losses and repairs, oldest first."""
        return self._arrivals.take(most)

    def take_copies(self, most: int) -> list[Copy]:
        """What is for destinations that are `UPWARD`, oldest first."""
        return self._copies.take(most)

    def waiting(self) -> bool:
        """Whether there is anything left to `take`, copies left out."""
        return any(self._queues)

    def retransmit(
        self, ssrc: Ssrc, leg: SessionId, sequences: list[int], now: float
    ) -> int:
        """Send a destination the kept ones of these packets once more.

        Nothing is sent to a leg that is held back or does not have the stream.

        :return: how many were sent, or given to another thread to send.
        """
        self._now = now
        stream = self._streams.get(ssrc)
        destination = stream.destinations.get(leg) if stream else None
        if stream is None or destination is None or destination.state != _FLOWING:
            return 0
        send, path = destination.send, destination.path
        assert send is not None and path is not None
        sent = size = 0
        for sequence in sequences:
            entry = stream.cache.get(extend(sequence, stream.highest))
            if entry is None or entry[0] < now - CACHE_TIME:
                continue
            try:
                send(entry[2], path.remote)
            except OSError as error:
                self._drop(_failure(error), destination)
                break
            sent += 1
            size += len(entry[2])
        destination.retransmitted += sent
        self._retransmitted += sent
        self._forwarded += sent
        self._forwarded_bytes += size
        return sent

    # What signalling and feedback ask.

    def position(self, ssrc: Ssrc) -> tuple[int, int]:
        """ROC and sequence number of the latest packet; (0, 0) before the first.

        :raise LocalError: no such stream.
        """
        highest = max(self._stream(ssrc).highest, 0)
        return highest >> 16, highest & 0xFFFF

    def gated(self, ssrc: Ssrc) -> int:
        """How many destinations with an address wait for a key frame."""
        stream = self._streams.get(ssrc)
        if stream is None:
            return 0
        return sum(held.state == _GATED for held in stream.held_back)

    def is_gated(self, ssrc: Ssrc, leg: SessionId) -> bool:
        """Whether a leg that has an address waits for a key frame of the stream."""
        stream = self._streams.get(ssrc)
        destination = stream.destinations.get(leg) if stream else None
        return destination is not None and destination.state == _GATED

    def arrivals(
        self, ssrc: Ssrc, start: int, now: float, end: int | None = None
    ) -> list[PacketArrival]:
        """When the latest packets came, in the order of their indexes.

        :param start: the first index that is of interest; at most
            `ARRIVALS_KEPT` indexes up to the latest one are looked at.
        :param now: the present, by which the times are told.
        :param end: the index after the last one of interest; None: the latest is.
        """
        stream = self._streams.get(ssrc)
        if stream is None:
            return []
        came, highest = stream.came, stream.highest
        kept = len(came)
        found = []
        after = highest + 1 if end is None else min(end, highest + 1)
        for index in range(max(start, highest + 1 - kept, 0), after):
            arrival = came[index & kept - 1]
            if arrival is not None and arrival.position == index:
                found.append(arrival)
        return found

    def key_frames(self, ssrc: Ssrc) -> int:
        """How many key frames have started so far; 0 for no such stream."""
        stream = self._streams.get(ssrc)
        return stream.key_frames if stream else 0

    def counters(self) -> ForwarderCounters:
        """A snapshot of everything counted."""
        return ForwarderCounters(
            self._received,
            self._received_bytes,
            self._forwarded,
            self._forwarded_bytes,
            self._retransmitted,
            0,
            self._drops.snapshot(),
            tuple(_stream_counters(stream) for stream in self._streams.values()),
        )

    # Inside.

    def _stream(self, ssrc: Ssrc) -> _Stream:
        stream = self._streams.get(ssrc)
        if stream is None:
            raise LocalError(f"no stream {ssrc:#010x}")
        return stream

    def _drop(self, reason: Drop, whose: _Stream | _Destination) -> None:
        """Count a datagram of a stream, or a copy for a destination."""
        whose.drops.add(reason)
        self._drops.add(reason)

    def _drop_stranger(self, stream: _Stream) -> None:
        """Count a datagram that is not from the stream's source."""
        self._drop(Drop.UNBOUND if stream.source is None else Drop.WRONG_SOURCE, stream)

    def _receive_other(
        self, kind: Kind, data: bytes, source: Address | None, now: float, local: bytes
    ) -> None:
        """Everything but RTP: sender reports go on, the rest goes up."""
        if kind is Kind.OTHER:
            self._drops.add(Drop.NOISE if len(data) > 1 else Drop.EMPTY)
            return
        if len(data) > MAX_DATAGRAM:
            self._drops.add(Drop.OVERSIZED)
            return
        if kind is Kind.RTCP:
            if len(data) < _SHORTEST_RTCP:
                self._drops.add(Drop.MALFORMED_RTCP)
                return
            stream = self._streams.get(_RTCP_SSRC(data)[0])
            if stream is not None:
                self._forward_report(stream, data, source)
                return
        ring = self._rings.get(kind)
        if ring is None or source is None:
            self._drops.add(Drop.UNWANTED)
        elif not ring.push(Datagram(data, Path(source, local), now)):
            self._drops.add(_RING_FULL[kind])

    def _forward_report(
        self, stream: _Stream, data: bytes, source: Address | None
    ) -> None:
        """Pass a sender report on to all destinations that have an address."""
        if source is not None and source != stream.source:
            self._drop_stranger(stream)
            return
        if data[1] != _SENDER_REPORT:
            self._drop(Drop.NOT_A_REPORT, stream)
            return
        stream.reports += 1
        for destination in stream.destinations.values():
            if destination.send is None or destination.path is None:
                continue
            try:
                destination.send(data, destination.path.remote)
            except OSError as error:
                self._drop(_failure(error), destination)
            else:
                self._forwarded += 1
                self._forwarded_bytes += len(data)

    def _place(self, stream: _Stream, sequence: int, now: float) -> int:
        """Index of a packet that is not the one after the latest.

        :return: -1 when it is dropped.
        """
        seen = stream.seen
        highest = stream.highest
        if highest < 0:
            # The ROC of a publication starts at 0.
            seen[sequence & _SLOT] = 1
            stream.highest = stream.first = sequence
            return sequence
        index = extend(sequence, highest)
        ahead = index - highest
        if ahead > 0:
            if ahead >= MAX_JUMP:
                self._drop(Drop.LATE, stream)
                return -1
            if ahead >= WINDOW:
                seen[:] = bytes(WINDOW)
            else:
                for skipped in range(highest + 1, index):
                    seen[skipped & _SLOT] = 0
            seen[index & _SLOT] = 1
            stream.highest = index
            stream.missing += ahead - 1
            self._arrived(Missing(stream.ssrc, (highest + 1) & 0xFFFF, ahead - 1, now))
            return index
        if ahead <= -WINDOW:
            self._drop(Drop.LATE, stream)
            return -1
        if seen[index & _SLOT]:
            self._drop(Drop.DUPLICATE, stream)
            return -1
        seen[index & _SLOT] = 1
        # What came before the first packet was never missed.
        if index > stream.first:
            stream.missing -= 1
            self._arrived(Filled(stream.ssrc, sequence, now))
        return index

    def _allows(self, stream: _Stream, size: int, starts: bool) -> bool:
        """Whether a packet is within the limits of its publisher."""
        if stream.over and not starts:
            return False
        allowance = stream.allowance
        most_packets, most_bytes = self._most_packets, self._most_bytes
        now = self._now
        elapsed = now - allowance.counted
        if elapsed > 0:
            allowance.counted = now
            allowance.packets += elapsed * most_packets
            allowance.bytes += elapsed * most_bytes
        if allowance.packets > most_packets:
            allowance.packets = most_packets
        if allowance.bytes > most_bytes:
            allowance.bytes = most_bytes
        if allowance.packets < 1 or allowance.bytes < size:
            stream.over = stream.video
            return False
        allowance.packets -= 1
        allowance.bytes -= size
        stream.over = False
        return True

    def _upward(self, ssrc: Ssrc, leg: SessionId) -> Send:
        """How to send to Python: the same as to an address."""

        def send(data: bytes, _: Address) -> None:
            if not self._copies.push(Copy(ssrc, leg, data, self._now)):
                raise BlockingIOError

        return send

    def _arrived(self, event: Missing | Filled) -> None:
        if not self._arrivals.push(event):
            self._drops.add(Drop.ARRIVAL_FULL)

    def _keep(self, stream: _Stream, index: int, data: bytes, now: float) -> None:
        """Put a packet into the cache, and the too old ones out."""
        cache, order = stream.cache, stream.order
        entry = (now, index, data)
        cache[index] = entry
        order.append(entry)
        stream.kept_bytes += len(data)
        oldest = now - CACHE_TIME
        while (
            order[0][0] < oldest
            or len(order) > CACHE_PACKETS
            or stream.kept_bytes > CACHE_BYTES
        ):
            _, gone, old = order.popleft()
            del cache[gone]
            stream.kept_bytes -= len(old)

    def _start_frame(self, stream: _Stream, marking: FrameMarking) -> None:
        """Let flow what waited for this frame, and hold back those that are
        spared a discardable one."""
        for destination in stream.destinations.values():
            state = destination.state
            if marking.discardable and destination.sparing and state != _GATED:
                if state == _FLOWING:
                    self._set_state(stream, destination, _SKIPPING)
            elif state == _SKIPPING or (state == _GATED and marking.independent):
                self._set_state(stream, destination, _FLOWING)
        self._rebuild(stream)

    def _count_skipped(self, stream: _Stream) -> None:
        for held in stream.held_back:
            if held.state == _SKIPPING:
                self._drop(Drop.SKIPPED, held)

    def _copy_failed(
        self,
        stream: _Stream,
        destination: _Destination,
        size: int,
        before: float | None,
        error: OSError,
    ) -> None:
        """Take back the count of a copy that could not be sent.

        :param before: when the packet before this one was sent.
        """
        self._forwarded -= 1
        self._forwarded_bytes -= size
        packets = stream.sent_packets - destination.base_packets - 1
        destination.packets += packets
        destination.bytes += stream.sent_bytes - destination.base_bytes - size
        if packets:
            destination.last_sent = before
        destination.base_packets = stream.sent_packets
        destination.base_bytes = stream.sent_bytes
        reason = _failure(error)
        self._drop(reason, destination)
        if reason is Drop.CONGESTED and stream.video:
            self._set_state(stream, destination, _SKIPPING)
            self._rebuild(stream)

    def _set_state(
        self, stream: _Stream, destination: _Destination, state: int
    ) -> None:
        """Change how a destination stands, and bring its count up to date."""
        destination.packets, destination.bytes, destination.last_sent = _sent_to(
            stream, destination
        )
        destination.state = state
        destination.base_packets = stream.sent_packets
        destination.base_bytes = stream.sent_bytes

    def _rebuild(self, stream: _Stream) -> None:
        """Make the tuples that the forwarding loop walks."""
        destinations = stream.destinations.values()
        stream.targets = tuple(
            (destination.send, destination.path.remote, destination)
            for destination in destinations
            if destination.state == _FLOWING
            and destination.send is not None
            and destination.path is not None
        )
        stream.sparing = any(
            destination.sparing and destination.path is not None
            for destination in destinations
        )
        stream.held_back = tuple(
            destination
            for destination in destinations
            if destination.state in (_GATED, _SKIPPING)
        )


def _failure(error: OSError) -> Drop:
    """Which drop a refused send is."""
    if isinstance(error, BlockingIOError):
        return Drop.CONGESTED
    return Drop.UNREACHABLE


def _sent_to(
    stream: _Stream, destination: _Destination
) -> tuple[int, int, float | None]:
    """Packets and bytes that a destination was sent, and when the last one was."""
    packets, size = destination.packets, destination.bytes
    since = stream.sent_packets - destination.base_packets
    if destination.state != _FLOWING or not since:
        return packets, size, destination.last_sent
    size += stream.sent_bytes - destination.base_bytes
    return packets + since, size, stream.last_seen


def _stream_counters(stream: _Stream) -> StreamCounters:
    return StreamCounters(
        ssrc=stream.ssrc,
        kind=stream.kind,
        packets=stream.packets,
        bytes=stream.bytes,
        missing=stream.missing,
        drops=stream.drops.snapshot(),
        key_frames=stream.key_frames,
        reports=stream.reports,
        last_seen=stream.last_seen,
        destinations=tuple(
            _destination_counters(stream, destination)
            for destination in stream.destinations.values()
        ),
    )


def _destination_counters(
    stream: _Stream, destination: _Destination
) -> DestinationCounters:
    packets, size, last_sent = _sent_to(stream, destination)
    return DestinationCounters(
        leg=destination.leg,
        packets=packets,
        bytes=size,
        last_sent=last_sent,
        retransmitted=destination.retransmitted,
        drops=destination.drops.snapshot(),
        gated=destination.state == _GATED,
        bound=destination.path is not None,
    )
