"""What a trace means, in words: what users would notice in a call.

The quality is the product's: 0 best to 4 worst (user state 12).
"""

from dataclasses import dataclass

from anychat.client.trace import TraceFigures

#: Quality by the worse of both losses, in per cent, up to which it goes.
LOSSES = ((1.0, 0), (3.0, 1), (8.0, 2), (20.0, 3))
#: By the round trip, milliseconds, and by the worse jitter.
ROUND_TRIPS = ((150.0, 0), (300.0, 1), (500.0, 2), (1000.0, 3))
JITTERS = ((20.0, 0), (40.0, 1), (80.0, 2), (160.0, 3))
WORST = 4
#: Probes that a verdict should have at least.
FEW = 50

_WORDS = (
    "very good: calls run as on a cable",
    "good: what is lost is repaired before anybody notices",
    "fair: pictures stutter now and then, speech is fine",
    "poor: pictures freeze and speech drops out now and then",
    "bad: calls are hardly possible",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a network."""

    quality: int
    """0 best to 4 worst."""
    text: str
    notes: tuple[str, ...] = ()


def _grade(value: float, steps: tuple[tuple[float, int], ...]) -> int:
    return next((quality for most, quality in steps if value <= most), WORST)


def judge(figures: TraceFigures, size: int, seconds: float, rate: int) -> Verdict:
    """The verdict on a trace that was sent for so long, at that rate."""
    if not figures.sent:
        return Verdict(WORST, "nothing was sent")
    if not figures.reports and not figures.received:
        return Verdict(
            WORST,
            "UDP does not get through: media goes over TCP, if the server offers it",
        )
    up, down = figures.loss_up * 100, figures.loss_down * 100
    trip = (figures.round_trip or 0.0) * 1000
    jitter = max(figures.jitter_up, figures.jitter_down) * 1000
    grades = {
        "loss": _grade(max(up, down), LOSSES),
        "delay": _grade(trip, ROUND_TRIPS),
        "jitter": _grade(jitter, JITTERS),
    }
    quality = max(grades.values())
    return Verdict(
        quality,
        _WORDS[quality],
        tuple(_notes(figures, grades, quality, size, seconds, rate)),
    )


def _notes(
    figures: TraceFigures,
    grades: dict[str, int],
    quality: int,
    size: int,
    seconds: float,
    rate: int,
) -> list[str]:
    up, down = figures.loss_up * 100, figures.loss_down * 100
    notes = []
    if quality and grades["loss"] == quality:
        if up > 2 * down:
            notes.append(f"the loss is on the way up ({up:.1f} %)")
        elif down > 2 * up:
            notes.append(f"the loss is on the way down ({down:.1f} %)")
        else:
            notes.append(f"both ways lose packets ({up:.1f} % up, {down:.1f} % down)")
    if quality and grades["delay"] == quality:
        trip = (figures.round_trip or 0.0) * 1000
        notes.append(f"answers take long ({trip:.0f} ms there and back)")
    if quality and grades["jitter"] == quality:
        notes.append("packets come unevenly: receivers wait longer for them")
    if up >= 10 and seconds > 0:
        through = figures.server_received * size * 8 / seconds
        notes.append(
            f"about {through / 1000:.0f} of {rate / 1000:.0f} kbit/s get through up: "
            "try a lower --rate"
        )
    if figures.sent < FEW:
        notes.append(f"{figures.sent} probes say little: take more --seconds")
    if not figures.received:
        notes.append("nothing came back: no word on the way down")
    return notes
