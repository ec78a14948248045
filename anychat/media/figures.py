"""Network figures of a user, as AnyChat's user states have them (9, 10, 12, 14, 22).

They are computed when somebody asks, at most every `FRESH` seconds, from what the
server has anyway: when the latest packets of the user's streams came
(`routes.Forwarder.arrivals`), his receiver reports, and his congestion control
feedback.

=====================  ========================================================
bit rate               of all his streams of that kind, the last second
loss, loss after       the worse of both directions: on the way up, of what he
repair                 sent in the last `SPAN` seconds; on the way down, of what
                       he received, by his latest reports
quality                0 best to 4 worst, the worst that one of loss, loss after
                       repair and round trip deserves (`quality`)
=====================  ========================================================
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anychat.media.feedback import REORDER
from anychat.media.stream import PacketArrival

#: Seconds that losses look back on, as far as arrivals are kept.
SPAN = 5.0
#: Seconds for which figures are not computed again, whoever asks for them.
FRESH = 0.2
#: Seconds that bit rates look back on.
RATE_SPAN = 1.0
#: What is just good enough for each quality from 0 to 3: loss, loss after
#: repair, round trip in seconds.
GRADES = (
    (0.01, 0.002, 0.100),
    (0.03, 0.010, 0.200),
    (0.08, 0.030, 0.400),
    (0.20, 0.100, 0.800),
)
WORST = len(GRADES)


@dataclass(frozen=True, slots=True)
class Losses:
    """Of one direction."""

    loss: float = 0.0
    """Share of packets that did not come at first."""
    after_repair: float = 0.0
    """Share that did not come at all."""


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """Of one user."""

    video_bitrate: int
    """Bits per second."""
    audio_bitrate: int
    losses: Losses
    round_trip: float
    """Seconds, with what packets stand in queues."""

    @property
    def quality(self) -> int:
        """0 best to 4 worst."""
        return quality(self.losses, self.round_trip)


def quality(losses: Losses, round_trip: float) -> int:
    """What a network that does that is worth, 0 best to 4 worst."""
    for grade, (loss, after_repair, delay) in enumerate(GRADES):
        if (
            losses.loss <= loss
            and losses.after_repair <= after_repair
            and round_trip <= delay
        ):
            return grade
    return WORST


def bitrate(arrivals: Iterable[PacketArrival], now: float) -> int:
    """Bits per second of a stream lately."""
    octets = sum(came.size for came in arrivals if came.when > now - RATE_SPAN)
    return round(octets * 8 / RATE_SPAN)


def uplink_losses(arrivals: Sequence[PacketArrival], now: float) -> Losses:
    """Of a stream on its way up, from what is known of its latest arrivals.

    What came long after a later packet did was repaired; what is only a little
    late was overtaken.
    """
    recent = [came for came in arrivals if came.when > now - SPAN]
    if not recent:
        return Losses()
    expected = recent[-1].position - recent[0].position + 1
    repaired = 0
    earliest = recent[-1].when
    for came in reversed(recent):
        if came.late and came.when > earliest + REORDER:
            repaired += 1
        earliest = min(earliest, came.when)
    missing = expected - len(recent)
    return Losses((missing + repaired) / expected, missing / expected)


def worse(losses: Iterable[Losses]) -> Losses:
    """The worst of several, each figure by itself."""
    known = list(losses)
    return Losses(
        max((each.loss for each in known), default=0.0),
        max((each.after_repair for each in known), default=0.0),
    )
