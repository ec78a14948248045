"""RTCP compound packets (RFC 3550 section 6, RFC 4585), before SRTCP.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|  count  |  packet type  |   length in words, less 1     |
    |                   SSRC of the sender                          |
    |                          ...                                  |

Read: sender report (200), receiver report (201), source description (202, its
CNAME), BYE (203), application-defined (204), generic NACK (205/1), congestion
control feedback (205/11, RFC 8888), picture loss indication (206/1).
Everything else is skipped by its length.  A compound may be reduced in size
(RFC 5506): it need not begin with a report.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import Struct

from anychat.errors import LocalError, PeerError
from anychat.media.rtp import MAX_DATAGRAM, SRTP_TAG
from anychat.media.sequence import distance

#: Longest compound packet: SRTCP adds a tag and its index.
MAX_COMPOUND = MAX_DATAGRAM - SRTP_TAG - 4
#: Most packets in a compound.
MAX_PACKETS = 32
#: Most sequence numbers that one generic NACK may ask for.
MAX_NACKED = 512
#: Most report blocks in a report: what five bits count.
MAX_REPORTS = 31
#: Most streams, and most packets of each, that one congestion control feedback
#: may tell of.
MAX_ARRIVAL_BLOCKS = 32
MAX_ARRIVALS = 512
#: How long before its time a feedback can place an arrival, in 1024ths of a
#: second; what came earlier is said to have come then.
LONGEST_OFFSET = 0x1FFD

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
BYE = 203
APPLICATION = 204
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

_GENERIC_NACK = 1
_CONGESTION = 11
_PICTURE_LOSS = 1
_CNAME = 1
#: Seconds from 1900 to 1970.
_NTP_EPOCH = 2_208_988_800

_SENDER_INFO = Struct(">QIII")
_REPORT = Struct(">IIIIII")
_PAIR = Struct(">HH")
_ARRIVALS = Struct(">IHH")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one stream arrives (RFC 3550 section 6.4.1)."""

    ssrc: int
    """The stream reported on."""
    fraction_lost: int
    """Lost since the last report, in 256ths, 0 to 255."""
    lost: int
    """Lost in all; negative where there were duplicates; 24 bits."""
    highest: int
    """Highest sequence number, extended to 32 bits."""
    jitter: int
    """Interarrival jitter in the stream's clock."""
    last_report: int = 0
    """Middle 32 bits of the NTP time of the last SR; 0: none came."""
    delay: int = 0
    """Time since that SR, in 65536ths of a second."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR: ties the stream's clock to the sender's wall clock."""

    ssrc: int
    ntp: int
    """64-bit NTP time; see `ntp_from_unix`."""
    timestamp: int
    """The RTP time of that same moment."""
    packets: int
    octets: int
    """Payload bytes sent."""
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """One chunk of an SDES; only the CNAME is read."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The sources leave."""

    ssrcs: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 section 6.2.1): send these again."""

    ssrc: int
    """Who asks."""
    media_ssrc: int
    """The stream asked about."""
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pli:
    """Picture loss indication (RFC 4585 section 6.3.1): send a key frame."""

    ssrc: int
    """Who asks."""
    media_ssrc: int
    """The stream asked about."""


@dataclass(frozen=True, slots=True)
class StreamArrivals:
    """Which packets of a stream came, and when."""

    ssrc: int
    first: int
    """Sequence number of the first packet told of."""
    offsets: tuple[int | None, ...]
    """Of each from there on: how long before the feedback's time it came, in
    1024ths of a second; None: it did not come."""


@dataclass(frozen=True, slots=True)
class CongestionFeedback:
    """When the packets of some streams arrived (RFC 8888 section 3.1)."""

    ssrc: int
    """Whose feedback it is."""
    blocks: tuple[StreamArrivals, ...]
    timestamp: int
    """Its time by the clock of whom it comes from, in 65536ths of a second,
    32 bits of it."""


@dataclass(frozen=True, slots=True)
class Application:
    """What only our own programs know (RFC 3550 section 6.7); see `signals`."""

    ssrc: int
    subtype: int
    name: bytes
    """Four ASCII characters."""
    data: bytes
    """Whole words."""


RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Bye
    | Nack
    | Pli
    | CongestionFeedback
    | Application
)


def parse(data: bytes) -> list[RtcpPacket]:
    """Take a compound packet apart, after SRTCP.

    :raise PeerError: malformed or over a limit; nothing of it is to be used.
    """
    end = len(data)
    if end > MAX_COMPOUND:
        raise PeerError("RTCP compound too long")
    if not end:
        raise PeerError("RTCP compound empty")
    packets: list[RtcpPacket] = []
    position = count = 0
    while position < end:
        count += 1
        if count > MAX_PACKETS:
            raise PeerError("RTCP packets too many")
        if end - position < 4:
            raise PeerError("RTCP header truncated")
        first, kind = data[position], data[position + 1]
        if first >> 6 != 2:
            raise PeerError("RTCP version")
        words = data[position + 2] << 8 | data[position + 3]
        following = position + 4 + 4 * words
        if following > end:
            raise PeerError("RTCP packet truncated")
        body = data[position + 4 : following]
        if first & 0x20:
            body = _without_padding(body, following == end)
        read = _READERS.get(kind)
        if read is not None:
            packets += read(first & 0x1F, body)
        position = following
    return packets


def _without_padding(body: bytes, last: bool) -> bytes:
    """RFC 3550 section 6.4.1: only the last packet is padded, by whole words."""
    padding = body[-1] if body else 0
    if not last or not 0 < padding <= len(body) or padding % 4:
        raise PeerError("RTCP padding")
    return body[:-padding]


def _read_reports(count: int, body: bytes, start: int) -> tuple[ReportBlock, ...]:
    if len(body) < start + count * _REPORT.size:
        raise PeerError("RTCP report block truncated")
    blocks = []
    for position in range(start, start + count * _REPORT.size, _REPORT.size):
        ssrc, loss, highest, jitter, last, delay = _REPORT.unpack_from(body, position)
        lost = loss & 0xFFFFFF
        lost -= (lost & 0x800000) << 1
        block = ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last, delay)
        blocks.append(block)
    return tuple(blocks)


def _read_sender_report(count: int, body: bytes) -> list[RtcpPacket]:
    if len(body) < 24:
        raise PeerError("RTCP sender report truncated")
    ntp, timestamp, packets, octets = _SENDER_INFO.unpack_from(body, 4)
    reports = _read_reports(count, body, 24)
    return [SenderReport(_ssrc(body), ntp, timestamp, packets, octets, reports)]


def _read_receiver_report(count: int, body: bytes) -> list[RtcpPacket]:
    if len(body) < 4:
        raise PeerError("RTCP receiver report truncated")
    return [ReceiverReport(_ssrc(body), _read_reports(count, body, 4))]


def _read_source_description(count: int, body: bytes) -> list[RtcpPacket]:
    """Chunks of an SSRC and items, the items ended by a zero byte and the
    chunk padded to a word (RFC 3550 section 6.5)."""
    chunks: list[RtcpPacket] = []
    position, end = 0, len(body)
    for _ in range(count):
        if end - position < 4:
            raise PeerError("RTCP description truncated")
        ssrc = _ssrc(body, position)
        position += 4
        cname: bytes | None = None
        while True:
            if position >= end:
                raise PeerError("RTCP description truncated")
            item = body[position]
            if item == 0:
                break
            if end - position < 2 or end - position - 2 < body[position + 1]:
                raise PeerError("RTCP description item truncated")
            start = position + 2
            position = start + body[position + 1]
            if item == _CNAME and cname is None:
                cname = body[start:position]
        position = (position + 4) & ~3
        if cname is not None:
            chunks.append(SourceDescription(ssrc, _text(cname)))
    return chunks


def _read_bye(count: int, body: bytes) -> list[RtcpPacket]:
    end = 4 * count
    if len(body) < end:
        raise PeerError("RTCP bye truncated")
    ssrcs = tuple(_ssrc(body, position) for position in range(0, end, 4))
    reason = ""
    if len(body) > end:
        length = body[end]
        if len(body) < end + 1 + length:
            raise PeerError("RTCP bye reason truncated")
        reason = _text(body[end + 1 : end + 1 + length])
    return [Bye(ssrcs, reason)]


def _read_transport_feedback(form: int, body: bytes) -> list[RtcpPacket]:
    if len(body) < 8:
        raise PeerError("RTCP feedback truncated")
    if form == _CONGESTION:
        return [_read_congestion(body)]
    if form != _GENERIC_NACK:
        return []
    if len(body) < 12:
        raise PeerError("RTCP NACK truncated")
    # A dict keeps the order and asks for nothing twice.
    sequences: dict[int, None] = {}
    for first, following in _PAIR.iter_unpack(body[8:]):
        sequences[first] = None
        bit = 1
        while following:
            if following & 1:
                sequences[(first + bit) & 0xFFFF] = None
            following >>= 1
            bit += 1
        if len(sequences) > MAX_NACKED:
            raise PeerError("RTCP NACK asks for too much")
    return [Nack(_ssrc(body), _ssrc(body, 4), tuple(sequences))]


def _read_congestion(body: bytes) -> CongestionFeedback:
    end = len(body) - 4
    position = 4
    blocks: list[StreamArrivals] = []
    while position < end:
        if len(blocks) == MAX_ARRIVAL_BLOCKS:
            raise PeerError("RTCP feedback tells of too many streams")
        if end - position < 8:
            raise PeerError("RTCP feedback truncated")
        ssrc, first, count = _ARRIVALS.unpack_from(body, position)
        position += 8
        if count > MAX_ARRIVALS:
            raise PeerError("RTCP feedback tells of too many packets")
        if end - position < 2 * count:
            raise PeerError("RTCP feedback truncated")
        offsets = tuple(
            # ECN is not used; what it says does not matter.
            min(each & 0x1FFF, LONGEST_OFFSET) if each & 0x8000 else None
            for each in struct.unpack_from(f">{count}H", body, position)
        )
        position += 2 * count + 3 & ~3
        blocks.append(StreamArrivals(ssrc, first, offsets))
    if position != end:
        raise PeerError("RTCP feedback truncated")
    return CongestionFeedback(_ssrc(body), tuple(blocks), _ssrc(body, end))


def _read_application(subtype: int, body: bytes) -> list[RtcpPacket]:
    if len(body) < 8:
        raise PeerError("RTCP application packet truncated")
    return [Application(_ssrc(body), subtype, body[4:8], body[8:])]


def _read_payload_feedback(form: int, body: bytes) -> list[RtcpPacket]:
    if len(body) < 8:
        raise PeerError("RTCP feedback truncated")
    if form != _PICTURE_LOSS:
        return []
    return [Pli(_ssrc(body), _ssrc(body, 4))]


#: Packet type -> reader of (count or format, body after the header's first word).
_READERS: dict[int, Callable[[int, bytes], list[RtcpPacket]]] = {
    SENDER_REPORT: _read_sender_report,
    RECEIVER_REPORT: _read_receiver_report,
    SOURCE_DESCRIPTION: _read_source_description,
    BYE: _read_bye,
    APPLICATION: _read_application,
    TRANSPORT_FEEDBACK: _read_transport_feedback,
    PAYLOAD_FEEDBACK: _read_payload_feedback,
}


def _ssrc(body: bytes, position: int = 0) -> int:
    return int.from_bytes(body[position : position + 4], "big")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise PeerError("RTCP text is not UTF-8") from None


def build(packets: Iterable[RtcpPacket]) -> bytes:
    """Bytes of a compound packet, in the given order.

    :raise LocalError: a field out of its range, or the whole too long.
    """
    try:
        data = b"".join(_build(packet) for packet in packets)
    except (ValueError, OverflowError, struct.error) as error:
        raise LocalError(f"RTCP packet: {error}") from error
    if not 0 < len(data) <= MAX_COMPOUND:
        raise LocalError(f"RTCP compound of {len(data)} bytes")
    return data


def _build(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            info = _SENDER_INFO.pack(
                packet.ntp,
                packet.timestamp,
                # Both counts wrap (RFC 3550 section 6.4.1).
                packet.packets & 0xFFFFFFFF,
                packet.octets & 0xFFFFFFFF,
            )
            reports = _build_reports(packet.reports)
            body = _word(packet.ssrc) + info + reports
            return _packet(SENDER_REPORT, len(packet.reports), body)
        case ReceiverReport():
            body = _word(packet.ssrc) + _build_reports(packet.reports)
            return _packet(RECEIVER_REPORT, len(packet.reports), body)
        case SourceDescription():
            name = packet.cname.encode()
            item = bytes((_CNAME, len(name))) + name
            # The items end with at least one zero byte.
            return _packet(SOURCE_DESCRIPTION, 1, _word(packet.ssrc) + item + b"\0")
        case Bye():
            body = b"".join(_word(ssrc) for ssrc in packet.ssrcs)
            if packet.reason:
                reason = packet.reason.encode()
                body += bytes((len(reason),)) + reason
            return _packet(BYE, len(packet.ssrcs), body)
        case Nack():
            body = _word(packet.ssrc) + _word(packet.media_ssrc)
            body += b"".join(_build_nack(packet.sequences))
            return _packet(TRANSPORT_FEEDBACK, _GENERIC_NACK, body)
        case Pli():
            body = _word(packet.ssrc) + _word(packet.media_ssrc)
            return _packet(PAYLOAD_FEEDBACK, _PICTURE_LOSS, body)
        case CongestionFeedback():
            if len(packet.blocks) > MAX_ARRIVAL_BLOCKS:
                raise ValueError(f"feedback on {len(packet.blocks)} streams")
            body = _word(packet.ssrc) + b"".join(map(_build_arrivals, packet.blocks))
            body += _word(packet.timestamp)
            return _packet(TRANSPORT_FEEDBACK, _CONGESTION, body)
        case Application():
            if len(packet.name) != 4 or len(packet.data) % 4:
                raise ValueError("application packet of no whole words")
            body = _word(packet.ssrc) + packet.name + packet.data
            return _packet(APPLICATION, packet.subtype, body)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    """Put the first word before a body, filled up to whole words."""
    if count > 31:
        raise ValueError(f"{count} items in one packet")
    body += bytes(-len(body) % 4)
    return bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2, "big") + body


def _word(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _build_reports(reports: Sequence[ReportBlock]) -> bytes:
    return b"".join(
        _REPORT.pack(
            block.ssrc,
            block.fraction_lost << 24
            | max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF,
            block.highest,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in reports
    )


def _build_nack(sequences: Sequence[int]) -> Iterable[bytes]:
    """Pairs of a sequence number and a mask of the 16 after it."""
    if not 0 < len(sequences) <= MAX_NACKED:
        raise ValueError(f"NACK of {len(sequences)} packets")
    start, mask = sequences[0], 0
    for sequence in sequences[1:]:
        ahead = distance(start, sequence)
        if 0 < ahead <= 16:
            mask |= 1 << ahead - 1
        elif ahead:
            yield _PAIR.pack(start, mask)
            start, mask = sequence, 0
    yield _PAIR.pack(start, mask)


def _build_arrivals(block: StreamArrivals) -> bytes:
    count = len(block.offsets)
    if count > MAX_ARRIVALS:
        raise ValueError(f"feedback on {count} packets")
    words = [0 if each is None else 0x8000 | each for each in block.offsets]
    if any(each is not None and not 0 <= each < 0x2000 for each in block.offsets):
        raise ValueError("an arrival too long ago")
    data = struct.pack(f">{count}H", *words)
    return _ARRIVALS.pack(block.ssrc, block.first, count) + data + bytes(-2 * count % 4)


def ntp_from_unix(when: float) -> int:
    """64-bit NTP time of seconds since 1970 (RFC 3550 section 4)."""
    seconds = int(when // 1)
    fraction = int((when - seconds) * (1 << 32))
    return (seconds + _NTP_EPOCH & 0xFFFFFFFF) << 32 | fraction


def unix_from_ntp(ntp: int) -> float:
    """Seconds since 1970 of a 64-bit NTP time.

    NTP's seconds wrap in 2036: times with a clear first bit lie after that
    (RFC 4330 section 3), so that 1968 to 2104 can be told apart.
    """
    seconds = ntp >> 32
    if seconds < 1 << 31:
        seconds += 1 << 32
    return seconds - _NTP_EPOCH + (ntp & 0xFFFFFFFF) / (1 << 32)


def middle(ntp: int) -> int:
    """The middle 32 bits of a 64-bit NTP time: what LSR carries."""
    return ntp >> 16 & 0xFFFFFFFF


def round_trip(arrival: int, block: ReportBlock) -> float | None:
    """Seconds to the reporter and back (RFC 3550 section 6.4.1).

    :param arrival: `middle` of the NTP time when the report came.
    :return: None if the reporter has no SR yet, or the figures make no sense
        (the clock was set, or they are made up).
    """
    if not block.last_report:
        return None
    spent = arrival - block.last_report - block.delay & 0xFFFFFFFF
    return spent / 65536 if spent < 1 << 31 else None
