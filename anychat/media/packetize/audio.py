"""Audio in RTP payloads.

========  ==================================================================
Opus      the packet as it is (RFC 7587)
PCMU/A    the samples as they are (RFC 3551)
AAC       mpeg4-generic, mode AAC-hbr (RFC 3640): AU headers of 13 bits size
          and 3 bits index before the access units
AMR-WB    octet-aligned, one channel, no interleaving, no CRC (RFC 4867)
========  ==================================================================

AAC::

    AU-headers-length in bits, u16 | (size 13 | index or index delta 3) ... | AUs

AMR-WB::

    CMR 4 | 0 0 0 0 | (F | frame type 4 | Q | 0 0) ... | speech data ...

One AAC access unit goes into one payload and is never cut; those that others
have cut are refused.  Speech frames are given back in the form of RFC 4867's
file format (their table of contents octet before the data), which is what
decoders take.
"""

from anychat.errors import LocalError, PeerError

#: Most access units or speech frames in one payload.
MAX_UNITS = 32

_AU_HEADER_BITS = 16
#: Bytes of speech data by frame type (RFC 4867 table 1 and 3GPP TS 26.201);
#: 9 is comfort noise, 14 lost speech, 15 nothing.
_AMR_WB_SIZES = {
    0: 17,
    1: 23,
    2: 32,
    3: 36,
    4: 40,
    5: 46,
    6: 50,
    7: 58,
    8: 60,
    9: 5,
    14: 0,
    15: 0,
}


def pack_aac(unit: bytes, maximum: int) -> bytes:
    """The payload of one access unit.

    :raise LocalError: it does not fit.
    """
    if not unit or len(unit) + 4 > maximum or len(unit) >= 1 << 13:
        raise LocalError(f"AAC access unit of {len(unit)} bytes")
    return b"\0\x10" + (len(unit) << 3).to_bytes(2, "big") + unit


def unpack_aac(payload: bytes) -> list[bytes]:
    """The access units in a payload.

    :raise PeerError: malformed, interleaved, or only part of a unit.
    """
    bits = int.from_bytes(payload[:2], "big")
    count, rest = divmod(bits, _AU_HEADER_BITS)
    position = 2 + 2 * count
    if rest or not 0 < count <= MAX_UNITS or len(payload) <= position:
        raise PeerError("AAC headers malformed")
    units = []
    for start in range(2, position, 2):
        header = int.from_bytes(payload[start : start + 2], "big")
        if header & 0x7:
            raise PeerError("AAC access units interleaved")
        size = header >> 3
        unit = payload[position : position + size]
        if not size or len(unit) != size:
            raise PeerError("AAC access unit truncated")
        units.append(unit)
        position += size
    if position != len(payload):
        raise PeerError("AAC payload with bytes left over")
    return units


def unpack_amr_wb(payload: bytes) -> list[bytes]:
    """The speech frames in a payload, each 20 ms, in file form.

    :raise PeerError: malformed, or a frame type that does not exist.
    """
    contents: list[int] = []
    position = 1
    more = True
    while more:
        if position >= len(payload) or len(contents) >= MAX_UNITS:
            raise PeerError("AMR-WB table of contents malformed")
        entry = payload[position]
        contents.append(entry)
        more = bool(entry & 0x80)
        position += 1
    frames = []
    for entry in contents:
        size = _AMR_WB_SIZES.get(entry >> 3 & 0xF)
        if size is None:
            raise PeerError("AMR-WB frame type")
        data = payload[position : position + size]
        if len(data) != size:
            raise PeerError("AMR-WB frame truncated")
        frames.append(bytes((entry & 0x7C,)) + data)
        position += size
    if position != len(payload):
        raise PeerError("AMR-WB payload with bytes left over")
    return frames
