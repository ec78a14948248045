"""RTP packets (RFC 3550) with the one header extension we use.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |                             SSRC                              |
    |             CSRC, CC times (accepted and skipped)             |
    |      0xBE     |     0xDE      |          length = 1           |  X = 1
    | ID=1  | L = 0 |S|E|I|D|0 0 0 0|       0       |       0       |
    |                            payload                            |

The extension (RFC 8285, one-byte form) carries the frame marking of RFC 9626,
short form: the relay, which cannot read the payload, sees where frames start
and end, and which decode without others.  What we send always has the length
above; what we take may have any valid form.

The functions over whole packets are for the ends.  `fixed_header`,
`header_length` and `marking_of` are for the relay: they read the clear header
alone, also of an SRTP packet, and check every bound.
"""

from dataclasses import dataclass
from struct import Struct

from anychat.errors import LocalError, PeerError

#: Longest UDP payload we send or take, after SRTP.
MAX_DATAGRAM = 1200
#: The fixed part of the header.
FIXED_HEADER = 12
#: What the frame marking adds to it.
MARKING_EXTENSION = 8
#: The authentication tag that SRTP appends (RFC 7714 section 14.1).
SRTP_TAG = 16
#: Longest payload of one packet; the same with and without a frame marking.
MAX_PAYLOAD = MAX_DATAGRAM - FIXED_HEADER - MARKING_EXTENSION - SRTP_TAG

_HEADER = Struct(">BBHII")
#: "One-byte" extension elements, one word of them, element 1 of one byte.
_MARKING_PREFIX = b"\xbe\xde\x00\x01\x10"
_ONE_BYTE_PROFILE = b"\xbe\xde"
_MARKING_ID = 1
#: Payload types that RTCP's packet types would be taken for (RFC 5761 section 4).
_RTCP_TYPES = range(64, 96)


@dataclass(frozen=True, slots=True)
class FrameMarking:
    """Where a packet stands in its video frame (RFC 9626, short form)."""

    start: bool = False
    """First packet of a frame."""
    end: bool = False
    """Last packet of a frame."""
    independent: bool = False
    """The frame decodes without any other: a key frame."""
    discardable: bool = False
    """No other frame needs this one."""


#: Every marking there is, by the upper four bits of its byte.
MARKINGS = tuple(
    FrameMarking(bool(bits & 8), bool(bits & 4), bool(bits & 2), bool(bits & 1))
    for bits in range(16)
)
_MARKING_BITS = {marking: bits << 4 for bits, marking in enumerate(MARKINGS)}


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet before SRTP; CSRCs, other extensions and padding left out."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes
    marking: FrameMarking | None = None

    def build(self) -> bytes:
        """Bytes of the packet.

        :raise LocalError: a field is out of its range, or the payload too long.
        """
        if self.payload_type in _RTCP_TYPES or not 0 <= self.payload_type < 128:
            raise LocalError(f"RTP payload type {self.payload_type}")
        if len(self.payload) > MAX_PAYLOAD:
            raise LocalError(f"RTP payload of {len(self.payload)} bytes")
        second = self.payload_type | (0x80 if self.marker else 0)
        marking = self.marking
        if not (
            0 <= self.sequence < 1 << 16
            and 0 <= self.timestamp < 1 << 32
            and 0 <= self.ssrc < 1 << 32
        ):
            raise LocalError("RTP header field out of range")
        if marking is None:
            header = _HEADER.pack(
                0x80, second, self.sequence, self.timestamp, self.ssrc
            )
            return header + self.payload
        header = _HEADER.pack(0x90, second, self.sequence, self.timestamp, self.ssrc)
        element = bytes((_MARKING_BITS[marking], 0, 0))
        return header + _MARKING_PREFIX + element + self.payload


def fixed_header(data: bytes) -> tuple[int, int, int, int, int]:
    """First byte, second byte, sequence number, timestamp and SSRC.

    :raise PeerError: shorter than 12 bytes, or not version 2.
    """
    if len(data) < FIXED_HEADER:
        raise PeerError("RTP header truncated")
    fields: tuple[int, int, int, int, int] = _HEADER.unpack_from(data)
    if fields[0] >> 6 != 2:
        raise PeerError("RTP version")
    return fields


def header_length(data: bytes) -> int:
    """Length of the whole header: fixed part, CSRCs and extension.

    :raise PeerError: not version 2, or the header is longer than the data.
    """
    size = len(data)
    if size < FIXED_HEADER:
        raise PeerError("RTP header truncated")
    first = data[0]
    if first >> 6 != 2:
        raise PeerError("RTP version")
    length = FIXED_HEADER + 4 * (first & 0x0F)
    if first & 0x10:
        if size < length + 4:
            raise PeerError("RTP extension truncated")
        length += 4 + 4 * (data[length + 2] << 8 | data[length + 3])
    if size < length:
        raise PeerError("RTP header truncated")
    return length


def marking_of(data: bytes) -> FrameMarking | None:
    """The frame marking in a clear header, if it has one.

    :raise PeerError: the header or its extension is malformed.
    """
    if len(data) < FIXED_HEADER:
        raise PeerError("RTP header truncated")
    first = data[0]
    if first == 0x90 and len(data) >= 20 and data[12:17] == _MARKING_PREFIX:
        return MARKINGS[data[17] >> 4]
    return _find_marking(data, header_length(data))


def _find_marking(data: bytes, end: int) -> FrameMarking | None:
    """Walk the extension elements of a header of ``end`` checked bytes."""
    first = data[0]
    if not first & 0x10:
        return None
    position = FIXED_HEADER + 4 * (first & 0x0F)
    if data[position : position + 2] != _ONE_BYTE_PROFILE:
        return None
    position += 4
    while position < end:
        element = data[position]
        position += 1
        if element == 0:
            continue
        identifier, size = element >> 4, (element & 0x0F) + 1
        if identifier in (0, 15):
            # RFC 8285 section 4.2: what follows is not to be read.
            return None
        if position + size > end:
            raise PeerError("RTP extension element truncated")
        if identifier == _MARKING_ID:
            return MARKINGS[data[position] >> 4]
        position += size
    return None


def parse(data: bytes) -> RtpPacket:
    """Take a packet apart, after SRTP.

    :raise PeerError: the packet is malformed or longer than `MAX_DATAGRAM`.
    """
    if len(data) > MAX_DATAGRAM:
        raise PeerError("RTP packet too long")
    start = header_length(data)
    first, second, sequence, timestamp, ssrc = fixed_header(data)
    payload_type = second & 0x7F
    if payload_type in _RTCP_TYPES:
        raise PeerError("RTP payload type reserved for RTCP")
    marking = _find_marking(data, start)
    end = len(data)
    if first & 0x20:
        padding = data[-1] if end > start else 0
        if not 0 < padding <= end - start:
            raise PeerError("RTP padding")
        end -= padding
    return RtpPacket(
        payload_type,
        sequence,
        timestamp,
        ssrc,
        bool(second & 0x80),
        bytes(data[start:end]),
        marking,
    )
