"""Loads, readings and what is worked out of them.  No sockets, no clocks."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

#: Copies lost of all, below which a rate counts as without loss.
LOSSLESS = 0.001
#: CPU time of the server over that of the run, beyond which it was still busy
#: with a queue when the run was over.
DRAINED = 1.03
#: CPU share below which a relay that lost was disturbed rather than too slow.
IDLE_ENOUGH = 0.8
#: Times that a rate is tried at which a relay seems to have been disturbed.
TRIES = 3
#: Share of the rate asked for that the generator must have reached.
REACHED = 0.9
#: Interval, as a share of its upper end, below which the highest rate is found.
#: It must not depend on where the search began: a relay that is caught farther
#: from its limit has smaller batches, which cost more.
PRECISION = 0.04


@dataclass(frozen=True, slots=True)
class Load:
    """What goes in, and how often it goes out."""

    name: str
    sources: int
    copies: int
    """Of each packet."""
    burst: int
    rate: float | None = None
    """Packets a second of all sources together; None: find the highest."""
    coalesce: int = 0
    """Microseconds that our relay may wait."""
    subjects: tuple[str, ...] = ()
    """Who is put under it."""

    @property
    def receivers(self) -> int:
        """How many sockets the copies go to."""
        return self.sources * self.copies


@dataclass(frozen=True, slots=True)
class Reading:
    """One run of the generator."""

    rate: float
    """Packets a second that were asked for."""
    sent: int
    copies: int
    """That arrived."""
    expected: int
    seconds: float
    cpu: float
    """Seconds, of the server's process."""
    least: int
    """Copies at the receiver that got fewest."""
    most: int
    failed: int = 0
    p50: float | None = None
    """Microseconds, and so on."""
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @property
    def loss(self) -> float:
        """Part of the copies that did not arrive; negative if some came twice."""
        return 1 - self.copies / self.expected if self.expected else 0.0

    @property
    def utilisation(self) -> float:
        """Of one CPU."""
        return self.cpu / self.seconds

    @property
    def forwarded(self) -> float:
        """Copies a second."""
        return self.copies / self.seconds

    @property
    def per_million(self) -> float:
        """CPU seconds for a million copies."""
        return self.cpu / self.copies * 1e6 if self.copies else float("inf")

    @property
    def good(self) -> bool:
        """Nothing was lost, and nothing was still waiting at the end."""
        return abs(self.loss) < LOSSLESS and self.utilisation <= DRAINED

    @property
    def disturbed(self) -> bool:
        """It lost with CPU to spare: something else may have run, try again."""
        return not self.good and self.utilisation < IDLE_ENOUGH

    @property
    def reached(self) -> bool:
        """Whether the generator kept up."""
        return self.sent >= REACHED * self.rate * self.seconds


def read(text: str, rate: float) -> Reading:
    """What the generator printed."""
    fields = json.loads(text)
    per_flow = fields["sinks"] / fields["flows"]
    return Reading(
        rate=rate,
        sent=fields["sent"],
        copies=fields["copies"],
        expected=round(fields["sent"] * per_flow),
        seconds=fields["seconds"],
        cpu=fields["cpu"],
        least=fields["least"],
        most=fields["most"],
        failed=fields["failed"],
        p50=fields.get("p50"),
        p99=fields.get("p99"),
        p999=fields.get("p999"),
        max=fields.get("max"),
    )


def find_highest(
    probe: Callable[[float], Reading],
    ceiling: float,
    steps: int,
    precision: float = PRECISION,
) -> Reading | None:
    """The reading at the highest rate that was good; None if none was.

    Halves the interval below ``ceiling``, beginning at three quarters of it,
    until it is narrow enough, or ``steps`` times.
    What the generator could not send cannot be judged: the best of what it
    reached stands then.
    """
    low, high = 0.0, ceiling
    best: Reading | None = None
    for step in range(steps):
        rate = (low + high) / 2 if step else 0.75 * ceiling
        reading = settled(probe, rate)
        if reading.good:
            if best is None or reading.forwarded > best.forwarded:
                best = reading
            if not reading.reached:
                break
            low = rate
        else:
            high = rate
        if high - low <= precision * high:
            break
    return best


def settled(probe: Callable[[float], Reading], rate: float) -> Reading:
    """A reading at a rate, not of a disturbance if that can be helped."""
    for _ in range(TRIES):
        reading = probe(rate)
        if not reading.disturbed:
            break
    return reading


@dataclass(frozen=True, slots=True)
class Result:
    """A subject under a load and a packet size, over all rounds."""

    load: str
    size: int
    subject: str
    rounds: int
    per_million: float
    """Median, CPU seconds for a million copies."""
    per_million_range: tuple[float, float]
    forwarded: float
    """Median, copies a second."""
    utilisation: float


def result(load: str, size: int, subject: str, readings: Sequence[Reading]) -> Result:
    """The medians of some readings."""
    costs = [reading.per_million for reading in readings]
    return Result(
        load,
        size,
        subject,
        len(readings),
        statistics.median(costs),
        (min(costs), max(costs)),
        statistics.median(reading.forwarded for reading in readings),
        statistics.median(reading.utilisation for reading in readings),
    )


@dataclass(frozen=True, slots=True)
class Aim:
    """A ratio of CPU per copy that is to be reached."""

    load: str
    subject: str
    against: str
    at_most: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Such a ratio, as measured."""

    aim: Aim
    size: int
    value: float | None
    """None: one of the two was not measured."""

    @property
    def met(self) -> bool:
        """Whether it is as low as it must be."""
        return self.value is not None and self.value <= self.aim.at_most


def ratios(aims: Iterable[Aim], results: Iterable[Result]) -> list[Ratio]:
    """The ratios of all aims, for every packet size there is."""
    found = {(each.load, each.size, each.subject): each.per_million for each in results}
    sizes = sorted({size for _, size, _ in found})
    rows = []
    for aim in aims:
        for size in sizes:
            own = found.get((aim.load, size, aim.subject))
            other = found.get((aim.load, size, aim.against))
            value = own / other if own is not None and other else None
            rows.append(Ratio(aim, size, value))
    return rows
