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

from collections.abc import Callable, Mapping
from struct import Struct

from anychat.codes import StreamKind
from anychat.errors import LocalError, PeerError
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import Drop, Drops, ForwarderCounters
from anychat.media.demux import Kind, classify
from anychat.media.path import UPWARD, Address, Path, Send
from anychat.media.ring import (
    ARRIVALS,
    COPIES,
    RING_SIZES,
    Copy,
    Datagram,
    Filled,
    Missing,
    Ring,
)
from anychat.media.rtp import MAX_DATAGRAM, SRTP_TAG, header_length, marking_of
from anychat.media.source_limit import LIMIT, Allowance, SourceLimit
from anychat.media.stream import (
    FLOWING,
    GATED,
    SKIPPING,
    SLOT,
    Destination,
    PacketArrival,
    Stream,
)

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
        self._limit = limit
        self._now = 0.0
        self._streams: dict[int, Stream] = {}
        self._allowances: dict[SessionId, Allowance] = {}
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
        allowance = Allowance(self._limit)
        if publisher is not None:
            allowance = self._allowances.setdefault(publisher, allowance)
            allowance.streams += 1
        self._streams[ssrc] = Stream(ssrc, kind, source, publisher, allowance)

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
            stream.destinations[leg] = Destination(leg, gated)
        self.move_destination(ssrc, leg, path)

    def move_destination(self, ssrc: Ssrc, leg: SessionId, path: Path | None) -> None:
        """Send the leg its copies there from now on.

        :raise LocalError: no such stream, or the leg does not have it.
        """
        stream, destination = self._destination(ssrc, leg)
        if path == destination.path:
            return
        send = None
        if path is not None:
            send = self._upward(ssrc, leg) if path == UPWARD else self._sender(path)
        stream.move(destination, path, send)

    def spare_destination(self, ssrc: Ssrc, leg: SessionId, sparing: bool) -> None:
        """From the next frame on, leave discardable frames out for a leg, or not.

        :raise LocalError: no such stream, or the leg does not have it.
        """
        stream, destination = self._destination(ssrc, leg)
        destination.sparing = sparing
        stream.rebuild()

    def remove_destination(self, ssrc: Ssrc, leg: SessionId) -> None:
        """Forward the stream to the leg no longer, if it is."""
        stream = self._streams.get(ssrc)
        if stream is None or stream.destinations.pop(leg, None) is None:
            return
        stream.rebuild()
        if not stream.destinations:
            stream.forget_packets()

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
            stream.seen[index & SLOT] = 1
        else:
            placed = stream.place(sequence, now)
            if isinstance(placed, Drop):
                self._drop(placed, stream)
                return
            index, event = placed
            if event is not None:
                self._arrived(event)
        starts = marking is not None and marking.start
        if (stream.over and not starts) or not stream.allowance.take(size, now):
            stream.over = stream.video
            self._drop(Drop.LIMITED, stream)
            return
        stream.over = False
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
                stream.start_frame(marking)
        if not stream.destinations:
            return
        stream.keep(index, data, now)
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
        if stream is None or destination is None or destination.state != FLOWING:
            return 0
        send, path = destination.send, destination.path
        assert send is not None and path is not None
        sent = size = 0
        for sequence in sequences:
            data = stream.kept(sequence, now)
            if data is None:
                continue
            try:
                send(data, path.remote)
            except OSError as error:
                self._drop(_failure(error), destination)
                break
            sent += 1
            size += len(data)
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
        return sum(held.state == GATED for held in stream.held_back)

    def is_gated(self, ssrc: Ssrc, leg: SessionId) -> bool:
        """Whether a leg that has an address waits for a key frame of the stream."""
        stream = self._streams.get(ssrc)
        destination = stream.destinations.get(leg) if stream else None
        return destination is not None and destination.state == GATED

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
        return stream.arrivals(start, end) if stream else []

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
            tuple(stream.counters() for stream in self._streams.values()),
        )

    # Inside.

    def _stream(self, ssrc: Ssrc) -> Stream:
        stream = self._streams.get(ssrc)
        if stream is None:
            raise LocalError(f"no stream {ssrc:#010x}")
        return stream

    def _destination(self, ssrc: Ssrc, leg: SessionId) -> tuple[Stream, Destination]:
        stream = self._stream(ssrc)
        destination = stream.destinations.get(leg)
        if destination is None:
            raise LocalError(f"leg {leg} does not receive stream {ssrc:#010x}")
        return stream, destination

    def _drop(self, reason: Drop, whose: Stream | Destination) -> None:
        """Count a datagram of a stream, or a copy for a destination."""
        whose.drops.add(reason)
        self._drops.add(reason)

    def _drop_stranger(self, stream: Stream) -> None:
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
        self, stream: Stream, data: bytes, source: Address | None
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

    def _upward(self, ssrc: Ssrc, leg: SessionId) -> Send:
        """How to send to Python: the same as to an address."""

        def send(data: bytes, _: Address) -> None:
            if not self._copies.push(Copy(ssrc, leg, data, self._now)):
                raise BlockingIOError

        return send

    def _arrived(self, event: Missing | Filled) -> None:
        if not self._arrivals.push(event):
            self._drops.add(Drop.ARRIVAL_FULL)

    def _count_skipped(self, stream: Stream) -> None:
        for held in stream.held_back:
            if held.state == SKIPPING:
                self._drop(Drop.SKIPPED, held)

    def _copy_failed(
        self,
        stream: Stream,
        destination: Destination,
        size: int,
        before: float | None,
        error: OSError,
    ) -> None:
        """Take back the count of a copy that could not be sent.

        :param before: when the packet before this one was sent.
        """
        self._forwarded -= 1
        self._forwarded_bytes -= size
        stream.uncount(destination, size, before)
        reason = _failure(error)
        self._drop(reason, destination)
        if reason is Drop.CONGESTED and stream.video:
            stream.hold_back(destination)


def _failure(error: OSError) -> Drop:
    """Which drop a refused send is."""
    if isinstance(error, BlockingIOError):
        return Drop.CONGESTED
    return Drop.UNREACHABLE
