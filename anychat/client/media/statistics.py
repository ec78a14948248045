"""What streams measure.  Pure.

Rates are taken over the last seconds that were closed, so that a live display
reads steady figures; counts are from the beginning.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds that a rate looks back on.
SPAN = 2.0


class RateMeter:
    """Events and their sizes per second, over the last `SPAN`."""

    def __init__(self) -> None:
        self._events: deque[tuple[float, int]] = deque()
        self._total = 0
        self._first: float | None = None

    def add(self, now: float, size: int = 1) -> None:
        """Count an event of that size."""
        if self._first is None:
            self._first = now
        self._events.append((now, size))
        self._total += size
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Size per second."""
        self._forget(now)
        if self._first is None:
            return 0.0
        # Not yet a whole span: what there is, but no less than half a second,
        # or the first event would be a rate without bounds.
        return self._total / min(SPAN, max(now - self._first, 0.5))

    def _forget(self, now: float) -> None:
        while self._events and self._events[0][0] <= now - SPAN:
            self._total -= self._events.popleft()[1]


@dataclass(frozen=True, slots=True)
class PublicationStatistics:
    """One stream that is sent."""

    frames: int
    """Access units sent."""
    key_frames: int
    packets: int
    """Without those sent again."""
    octets: int
    """Payload bytes, without headers, tags and what was sent again."""
    resent: int
    """Packets sent again because the server asked."""
    not_kept: int
    """Packets asked for that were no longer there."""
    key_frame_requests: int
    dropped: int
    """Pictures left out because encoding did not keep up."""
    send_errors: int
    """Datagrams the system did not take."""
    fps: float
    """Access units per second at present."""
    bitrate: float
    """Bits of payload per second at present."""
    loss: float
    """Share of packets at present that the server asked for again, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ReceptionStatistics:
    """One stream that is received."""

    frames_decoded: int
    """Pictures, or packets of audio, that were decoded."""
    decode_errors: int
    """Access units that were malformed or that the decoder refused."""
    frames_dropped: int
    """Access units left out because decoding did not keep up."""
    packets: int
    """Packets that came, each counted once."""
    octets: int
    """Their payload bytes."""
    lost: int
    """Packets that never came."""
    repaired: int
    """Packets that came after they were asked for."""
    late: int
    """Packets that came when the frame had been passed over."""
    duplicates: int
    """Packets that came again."""
    refused: int
    """Datagrams that were forged, malformed or of another codec."""
    nacked: int
    """Sequence numbers asked for, repetitions included."""
    key_frame_requests: int
    first_frame_ms: float | None
    """From the subscription's grant to the first decoded frame."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550 section 6.4.1)."""
    buffer_ms: float
    """What the jitter buffer holds frames back at present."""
    latency_ms: float | None
    """From capture to presentation, by the sender's and the own wall clock;
    means something where the two agree, as on one host."""
    fps: float
    """Frames decoded per second at present."""
    bitrate: float
    """Bits of payload per second at present."""
    loss: float
    """Share of packets at present that did not come at first, 0 to 1."""


def together(parts: Sequence[ReceptionStatistics]) -> ReceptionStatistics:
    """The figures of one video that came as several streams, oldest first."""
    main = max(parts, key=lambda part: part.bitrate)
    return ReceptionStatistics(
        first_frame_ms=next(
            (part.first_frame_ms for part in parts if part.first_frame_ms is not None),
            None,
        ),
        jitter_ms=main.jitter_ms,
        buffer_ms=main.buffer_ms,
        latency_ms=main.latency_ms,
        loss=main.loss,
        fps=sum(part.fps for part in parts),
        bitrate=sum(part.bitrate for part in parts),
        **{name: sum(getattr(part, name) for part in parts) for name in _COUNTS},
    )


_COUNTS = (
    "frames_decoded",
    "decode_errors",
    "frames_dropped",
    "packets",
    "octets",
    "lost",
    "repaired",
    "late",
    "duplicates",
    "refused",
    "nacked",
    "key_frame_requests",
)
