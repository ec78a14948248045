"""Control datagrams of the UDP trace: bytes, and who made them.

First byte 4 to 7 (RFC 7983 gives us 4 to 15).  All have the same head and end in a
tag, HMAC-SHA256 of all before it, cut to 16 bytes, under a key of the leg that the
STUN key is turned into (`control_key`); so nobody but a leg's client and the server
can make one of its datagrams, and each direction has its own SSRC::

    offset  size  field
    0       1     kind: 4 probe, 5 relayed, 6 report, 7 request
    1       3     0
    4       4     ssrc of the sender's end of the leg, as in its RTCP
    8       4     trace: a number the client made when it began
    12      ...   by kind
    -16     16    tag

Probes are as long as the trace is to try, so their rest is zeros.  Times are
microseconds of the sender's own clock, modulo 2**32: only differences count.

See ``docs/wire/media.md``.
"""

import hmac
from dataclasses import dataclass

from construct import ConstructError, GreedyBytes

from anychat.errors import PeerError
from anychat.protocols.formats_fields import I32, U32, record

PROBE, RELAYED, REPORT, REQUEST = 4, 5, 6, 7

TAG = 16
#: Longest datagram, as `rtp.MAX_DATAGRAM`.
MAXIMUM = 1200
#: Shortest probe; it must hold what is relayed in its place.
MINIMUM = 64

_MICROSECONDS = 1_000_000
_MODULUS = 1 << 32


@dataclass(frozen=True, slots=True)
class Probe:
    """From the sender to the server."""

    ssrc: int
    trace: int
    number: int
    """1 for the first of the trace."""
    stamp: int
    """When it was sent."""
    heard: int
    """Probes of others that the sender has received so far, in all."""
    padding: bytes = b""


@dataclass(frozen=True, slots=True)
class RelayedProbe:
    """From the server to whoever the probe is for."""

    ssrc: int
    trace: int
    source: int
    """User id of who sent it."""
    number: int
    """As the source gave it: how many it has sent."""
    received: int
    """Probes of the source that the server has received so far."""
    forwarded: int
    """Probes of the source that the server has sent this receiver, this included."""
    stamp: int
    """When the server sent it, by its clock."""
    origin: int
    """The probe's own stamp, by the source's clock."""
    heard: int
    """As the source gave it."""
    padding: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """From the server to the sender: what has come of its probes."""

    ssrc: int
    trace: int
    number: int
    """Highest number that came."""
    received: int
    """Probes that came, each counted once."""
    jitter: int
    """Of their arrival (RFC 3550 section 6.4.1), microseconds."""
    echo: int
    """Stamp of the probe or request that this answers."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """From the sender: where is the report?  After the last probe."""

    ssrc: int
    trace: int
    stamp: int


_PROBE = record(
    Probe,
    "ssrc" / U32,
    "trace" / U32,
    "number" / U32,
    "stamp" / U32,
    "heard" / U32,
    "padding" / GreedyBytes,
)
_RELAYED = record(
    RelayedProbe,
    "ssrc" / U32,
    "trace" / U32,
    "source" / I32,
    "number" / U32,
    "received" / U32,
    "forwarded" / U32,
    "stamp" / U32,
    "origin" / U32,
    "heard" / U32,
    "padding" / GreedyBytes,
)
_REPORT = record(
    Report,
    "ssrc" / U32,
    "trace" / U32,
    "number" / U32,
    "received" / U32,
    "jitter" / U32,
    "echo" / U32,
)
_REQUEST = record(ReportRequest, "ssrc" / U32, "trace" / U32, "stamp" / U32)

Control = Probe | RelayedProbe | Report | ReportRequest

_LAYOUTS = {PROBE: _PROBE, RELAYED: _RELAYED, REPORT: _REPORT, REQUEST: _REQUEST}
_KINDS: dict[type, int] = {
    Probe: PROBE,
    RelayedProbe: RELAYED,
    Report: REPORT,
    ReportRequest: REQUEST,
}
_HEAD = 4


def control_key(stun_key: bytes) -> bytes:
    """The key of a leg's control datagrams."""
    return hmac.digest(stun_key, b"AnyChat control datagrams", "sha256")


def build(control: Control, key: bytes, size: int = 0) -> bytes:
    """Bytes of a datagram.

    :param size: how long it is to be, if it can be padded.
    """
    body: bytes = _LAYOUTS[_KINDS[type(control)]].build(control)
    head = bytes((_KINDS[type(control)], 0, 0, 0))
    padding = max(0, min(size, MAXIMUM) - len(head) - len(body) - TAG)
    if isinstance(control, Report | ReportRequest):
        padding = 0
    data = head + body + bytes(padding)
    return data + hmac.digest(key, data, "sha256")[:TAG]


def parse(data: bytes, key: bytes) -> Control:
    """What a datagram says, once its tag is right.

    :raises PeerError: it is none, or not made with that key.
    """
    if not _HEAD + TAG < len(data) <= MAXIMUM:
        raise PeerError(f"control datagram of {len(data)} bytes")
    tag = hmac.digest(key, data[:-TAG], "sha256")[:TAG]
    if not hmac.compare_digest(tag, data[-TAG:]):
        raise PeerError("control datagram with a wrong tag")
    layout = _LAYOUTS.get(data[0])
    if layout is None or data[1:_HEAD] != bytes(3):
        raise PeerError(f"control datagram of kind {data[0]}")
    try:
        control: Control = layout.parse(data[_HEAD:-TAG])
    except (ConstructError, ValueError) as error:
        raise PeerError(f"control datagram: {error}") from None
    padded = isinstance(control, Probe | RelayedProbe)
    if not padded and layout.build(control) != data[_HEAD:-TAG]:
        raise PeerError("control datagram with bytes left over")
    return control


def stamp_of(seconds: float) -> int:
    """A time as it goes over the wire."""
    return int(seconds * _MICROSECONDS) % _MODULUS


def elapsed(later: int, earlier: int) -> float:
    """Seconds between two stamps of one clock; negative if they are not in order."""
    difference = (later - earlier) % _MODULUS
    if difference >= _MODULUS // 2:
        difference -= _MODULUS
    return difference / _MICROSECONDS
