"""What the two ends of the load count: the same, native or not."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flow:
    """One stream at its sender."""

    sent: int
    """Packets."""
    failed: int
    """Packets that could not be sent."""
    key_frames: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All that came, at all receivers."""

    packets: int
    """Copies, each packet counted once for each receiver."""
    bytes: int
    doubles: int
    """Copies that had come already."""
    late: int
    """Copies so late (1,024 packets) that nobody could tell."""
    unknown: int
    """Copies of streams that were not opened here."""
    strangers: int
    """Copies at users of another room."""
    malformed: int
    ring_full: int
    """STUN and RTCP that this program dropped: nobody had read the earlier ones."""
    latency: list[int] = field(repr=False)
    """Copies by `histogram.bucket_of` of their delay."""
