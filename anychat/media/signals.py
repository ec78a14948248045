"""What server and client tell each other beside the media, inside RTCP.

Application-defined packets (RFC 3550 section 6.7) under the leg's keys.  Their
name is ``ACRL``, after rate and layers; the subtype says which:

=======  ========  ============================================================
subtype  from      data, network byte order
=======  ========  ============================================================
1        server    `Probe`: train u16, number u16, packets u16, 0 u16, then
                   padding, which is what it is about
2        client    `ProbeResult`: train u16, packets u16, octets u32, span u32
                   (microseconds)
3        server    `LayerPlace`: SSRC of the stream u32, SSRC of the layer that
                   begins u32, roll-over counter u32, sequence u16, 0 u16
4        server    `LeftOut`: SSRC u32, sequence numbers u16 each, the last one
                   twice where their number is odd
=======  ========  ============================================================

Another subtype, or a length that does not fit, is nothing: a newer peer's.
"""

from dataclasses import dataclass
from struct import Struct, pack, unpack

from anychat.media.rtcp import Application, RtcpPacket

NAME = b"ACRL"
#: Bytes of a probe inside its datagram: with headers, SRTCP and UDP it is as
#: long as a full media packet.
PROBE_SIZE = 1132
#: Most packets of one train.
MAX_TRAIN = 128
#: Most sequence numbers that are said to be left out at a time.
MAX_LEFT_OUT = 512

_PROBE, _RESULT, _PLACE, _LEFT_OUT = 1, 2, 3, 4
_PROBE_FIELDS = Struct(">HHHH")
_RESULT_FIELDS = Struct(">HHII")
_PLACE_FIELDS = Struct(">IIIHH")


@dataclass(frozen=True, slots=True)
class Probe:
    """One of a train of packets whose arrival tells how much the way takes."""

    train: int
    number: int
    """From 0."""
    packets: int
    """Of the train."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a train arrived."""

    train: int
    packets: int
    """That came."""
    octets: int
    """Of the datagrams that came, the first one left out."""
    span: float
    """Seconds from the first one to the last."""


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """The other layer of a stream begins with the next key frame, and where it
    stands: it has not been sent for a while."""

    stream: int
    ssrc: int
    roc: int
    sequence: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Packets that were asked for, and are not to be waited for: their frames were
    left out, since the way takes no more and no other frame needs them."""

    ssrc: int
    sequences: tuple[int, ...]


Signal = Probe | ProbeResult | LayerPlace | LeftOut


def wrap(ssrc: int, signal: Signal) -> Application:
    """The RTCP packet of a signal; ``ssrc`` is the sender's own."""
    match signal:
        case Probe():
            data = _PROBE_FIELDS.pack(signal.train, signal.number, signal.packets, 0)
            return Application(ssrc, _PROBE, NAME, data.ljust(PROBE_SIZE, b"\0"))
        case ProbeResult():
            span = min(0xFFFFFFFF, max(0, round(signal.span * 1e6)))
            data = _RESULT_FIELDS.pack(
                signal.train, signal.packets, signal.octets, span
            )
            return Application(ssrc, _RESULT, NAME, data)
        case LayerPlace():
            data = _PLACE_FIELDS.pack(
                signal.stream, signal.ssrc, signal.roc, signal.sequence, 0
            )
            return Application(ssrc, _PLACE, NAME, data)
        case LeftOut():
            sequences = signal.sequences[:MAX_LEFT_OUT]
            if len(sequences) % 2:
                sequences += sequences[-1:]
            data = pack(f">I{len(sequences)}H", signal.ssrc, *sequences)
            return Application(ssrc, _LEFT_OUT, NAME, data)


def unwrap(packet: RtcpPacket) -> Signal | None:
    """The signal in an RTCP packet, if there is one."""
    if not isinstance(packet, Application) or packet.name != NAME:
        return None
    data = packet.data
    if packet.subtype == _PROBE and len(data) >= _PROBE_FIELDS.size:
        train, number, packets, _ = _PROBE_FIELDS.unpack_from(data)
        if number < packets <= MAX_TRAIN:
            return Probe(train, number, packets)
    elif packet.subtype == _RESULT and len(data) == _RESULT_FIELDS.size:
        train, packets, octets, span = _RESULT_FIELDS.unpack(data)
        return ProbeResult(train, packets, octets, span / 1e6)
    elif packet.subtype == _PLACE and len(data) == _PLACE_FIELDS.size:
        stream, ssrc, roc, sequence, _ = _PLACE_FIELDS.unpack(data)
        return LayerPlace(stream, ssrc, roc, sequence)
    elif packet.subtype == _LEFT_OUT and 8 <= len(data) <= 4 + 2 * MAX_LEFT_OUT:
        ssrc, *sequences = unpack(f">I{(len(data) - 4) // 2}H", data)
        return LeftOut(ssrc, tuple(dict.fromkeys(sequences)))
    return None
