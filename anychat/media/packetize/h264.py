"""H.264 in RTP payloads (RFC 6184, packetization-mode 1).

An access unit goes out as one of three kinds of payload::

    single NAL unit   |F|NRI|type 1-23|  body
    STAP-A            |F|NRI|  24     |  size u16 | NAL unit | size u16 | ...
    FU-A              |F|NRI|  28     |  S|E|0|type | part of a NAL unit's body

Units that fit a payload are kept whole, neighbours share a STAP-A; a longer one
is cut into FU-As of one size, only the last being shorter, so that a relay can
send them as one run (UDP_SEGMENT).  STAP-B, MTAP and FU-B belong to the
interleaved mode, which nobody negotiates here: they are refused.

An access unit is bytes in Annex B form (ITU-T H.264): units behind start codes.
"""

from collections.abc import Iterable, Sequence

from anychat.errors import LocalError, PeerError

#: Longest access unit that is put together again.
MAX_ACCESS_UNIT = 4 << 20
#: Most NAL units in one.
MAX_UNITS = 1024

#: NAL unit types (table 7-1) that matter here.
IDR = 5
SEQUENCE_PARAMETERS = 7
PICTURE_PARAMETERS = 8

_STAP_A = 24
_FU_A = 28
_START_CODE = b"\0\0\0\1"


def split(access_unit: bytes) -> list[bytes]:
    """The NAL units of an access unit, start codes and stuffing left out."""
    units = []
    position = access_unit.find(b"\0\0\1")
    while position >= 0:
        following = access_unit.find(b"\0\0\1", position + 3)
        end = len(access_unit) if following < 0 else following
        # A unit never ends in a zero byte (section 7.4.1): those belong to
        # the next start code.
        unit = access_unit[position + 3 : end].rstrip(b"\0")
        if unit:
            units.append(unit)
        position = following
    return units


def join(units: Iterable[bytes]) -> bytes:
    """The access unit that consists of these NAL units."""
    return b"".join(_START_CODE + unit for unit in units)


def is_discardable(access_unit: bytes) -> bool:
    """Whether no other access unit refers to this one: nal_ref_idc is 0 in all its
    slices (section 7.4.1)."""
    slices = [unit for unit in split(access_unit) if 1 <= unit[0] & 0x1F <= IDR]
    return bool(slices) and all(unit[0] & 0x60 == 0 for unit in slices)


def is_key(units: Iterable[bytes]) -> bool:
    """Whether an access unit decodes without any before it."""
    return any(unit[0] & 0x1F == IDR for unit in units)


def parameter_sets(units: Iterable[bytes]) -> tuple[bytes, ...]:
    """The sequence and picture parameter sets among NAL units."""
    return tuple(
        unit
        for unit in units
        if unit[0] & 0x1F in (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS)
    )


def packetize(access_unit: bytes, maximum: int) -> list[bytes]:
    """Cut an access unit into RTP payloads of at most that length.

    :raise LocalError: there is no NAL unit in it.
    """
    payloads: list[bytes] = []
    together: list[bytes] = []
    size = 1
    for unit in split(access_unit):
        if together and size + 2 + len(unit) > maximum:
            payloads.append(_aggregate(together))
            together, size = [], 1
        if len(unit) > maximum:
            payloads += _fragment(unit, maximum)
        else:
            together.append(unit)
            size += 2 + len(unit)
    if together:
        payloads.append(_aggregate(together))
    if not payloads:
        raise LocalError("access unit without a NAL unit")
    return payloads


def _aggregate(units: Sequence[bytes]) -> bytes:
    """One unit as it is, several as a STAP-A."""
    if len(units) == 1:
        return units[0]
    # Section 5.7.1: F is set if any has it, NRI is the greatest of all.
    forbidden = max(unit[0] & 0x80 for unit in units)
    reference = max(unit[0] & 0x60 for unit in units)
    parts = [bytes((forbidden | reference | _STAP_A,))]
    for unit in units:
        parts += (len(unit).to_bytes(2, "big"), unit)
    return b"".join(parts)


def _fragment(unit: bytes, maximum: int) -> list[bytes]:
    """FU-As of one size (the last may be shorter)."""
    indicator = unit[0] & 0xE0 | _FU_A
    kind = unit[0] & 0x1F
    body = unit[1:]
    count = -(-len(body) // (maximum - 2))
    size = -(-len(body) // count)
    payloads = []
    for position in range(0, len(body), size):
        header = kind
        if position == 0:
            header |= 0x80
        if position + size >= len(body):
            header |= 0x40
        payloads.append(bytes((indicator, header)) + body[position : position + size])
    return payloads


def depacketize(payloads: Iterable[bytes]) -> list[bytes]:
    """The NAL units of an access unit, from all its payloads in order.

    :raise PeerError: a payload is malformed, of a kind that is not taken, or
        one is missing in the middle of a unit.
    """
    units: list[bytes] = []
    parts: list[bytes] = []
    total = 0
    for payload in payloads:
        if not payload:
            raise PeerError("empty H.264 payload")
        total += len(payload)
        if total > MAX_ACCESS_UNIT or len(units) > MAX_UNITS:
            raise PeerError("H.264 access unit too long")
        kind = payload[0] & 0x1F
        if parts and kind != _FU_A:
            raise PeerError("H.264 fragment without its end")
        if 1 <= kind < _STAP_A:
            units.append(payload)
        elif kind == _STAP_A:
            units += _read_aggregate(payload)
        elif kind == _FU_A:
            _read_fragment(payload, parts)
            if payload[1] & 0x40:
                units.append(b"".join(parts))
                parts = []
        else:
            raise PeerError(f"H.264 payload of type {kind}")
    if parts:
        raise PeerError("H.264 fragment without its end")
    if not units:
        raise PeerError("H.264 access unit without a NAL unit")
    return units


def _read_aggregate(payload: bytes) -> list[bytes]:
    units = []
    position = 1
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 2], "big")
        position += 2
        unit = payload[position : position + size]
        if not size or len(unit) != size:
            raise PeerError("H.264 aggregate truncated")
        if not 1 <= unit[0] & 0x1F < _STAP_A:
            raise PeerError("H.264 aggregate of something else than NAL units")
        units.append(unit)
        position += size
    if not units:
        raise PeerError("H.264 aggregate empty")
    return units


def _read_fragment(payload: bytes, parts: list[bytes]) -> None:
    """Add a FU-A to the parts of its unit."""
    if len(payload) < 3:
        raise PeerError("H.264 fragment truncated")
    header = payload[1]
    first, last = bool(header & 0x80), bool(header & 0x40)
    if not 1 <= header & 0x1F < _STAP_A:
        raise PeerError("H.264 fragment of something else than a NAL unit")
    if first and last:
        # Section 5.8: a fragment is never the whole unit.
        raise PeerError("H.264 fragment with both start and end")
    if first != (not parts):
        raise PeerError("H.264 fragment out of place")
    unit_header = bytes((payload[0] & 0xE0 | header & 0x1F,))
    if first:
        parts.append(unit_header)
    elif parts[0] != unit_header:
        raise PeerError("H.264 fragment of another unit")
    parts.append(payload[2:])
