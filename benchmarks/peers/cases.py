"""What the loads of the table do not show: delay, capacity, crowds, changes.

Each case gives a `Row` for each of our relay's variants it makes sense for.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.peers import own
from benchmarks.peers.measure import Load, find_highest
from benchmarks.peers.own import Own, Variant
from benchmarks.peers.running import Skipped, generate

NATIVE = Variant()
PORTABLE = Variant(native=False)

#: Packets a second of a 720p stream: 30 frames of 5.
_VIDEO_RATE, _VIDEO_BURST = 150.0, 5


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was to be shown."""

    what: str
    relay: str
    aim: str
    measured: str
    met: bool | None
    """None: nothing was aimed at."""


def all_cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every case, by name."""
    for name, variant, aim in (
        ("native", NATIVE, 3000.0),
        ("native, short slice", Variant(scheduling="slice"), 200.0),
        ("portable", PORTABLE, None),
    ):
        yield f"latency {name}", lambda a=(name, variant, aim): busy(*a)
    for name, variant, aim in (
        ("native", NATIVE, 1_200_000.0),
        ("portable", PORTABLE, 100_000.0),
    ):
        yield f"capacity {name}", lambda a=(name, variant, aim): capacity(*a)
    for name, variant in (("native", NATIVE), ("portable", PORTABLE)):
        yield f"watchers {name}", lambda a=(name, variant): watchers(*a)
        yield f"changes {name}", lambda a=(name, variant): changes(*a)
        yield f"idle {name}", lambda a=(name, variant): idle(*a)


def busy(name: str, variant: Variant, aim: float | None) -> Row:
    """Added delay while the Python thread holds the GIL for 50 ms at a time."""
    variant = Variant(variant.native, scheduling=variant.scheduling, busy=True)
    running = own.run(Load("1:1", 8, 1, 1), variant)
    try:
        reading = generate(running, 10_000, 3.0, drain=True)
    finally:
        running.close()
    assert reading.p50 is not None and reading.p99 is not None
    assert reading.p999 is not None
    text = (
        f"p50 {reading.p50 / 1000:.2f}, p99 {reading.p99 / 1000:.2f}, "
        f"p99.9 {reading.p999 / 1000:.2f} ms; {100 * max(0, reading.loss):.2f} % lost"
    )
    return Row(
        "delay at 10,000 packets/s 1:1, Python busy for 50 ms at a time",
        name,
        "" if aim is None else f"p99 {aim / 1000:g} ms",
        text,
        None if aim is None else reading.p99 <= aim,
    )


def capacity(name: str, variant: Variant, aim: float) -> Row:
    """Copies a second of one thread, 1:50 in bursts of 8."""
    load = Load("1:50", 4, 50, 8)
    running = own.run(load, variant)
    ceiling = 2 * aim / load.copies
    try:
        best = find_highest(
            lambda rate: generate(running, rate, 0.6, burst=load.burst), ceiling, 6
        )
    finally:
        running.close()
    reached = best.forwarded if best is not None else 0.0
    return Row(
        "copies/s from one thread, 1:50 in bursts of 8, without loss",
        name,
        f"{aim:,.0f}",
        f"{reached:,.0f}",
        reached >= aim,
    )


def watchers(name: str, variant: Variant) -> Row:
    """A room of 1,000 watchers of one 720p stream."""
    variant = Variant(variant.native, video=True)
    running = own.run(Load("1:1000", 1, 1000, _VIDEO_BURST), variant)
    try:
        reading = generate(
            running, _VIDEO_RATE, 4.0, burst=_VIDEO_BURST, size=1100, marking=True
        )
    finally:
        running.close()
    every = reading.least == reading.most == reading.sent
    return Row(
        "1,000 watchers of one 720p stream, 150 packets/s",
        name,
        "every packet to every watcher, under one core",
        f"{reading.least} to {reading.most} of {reading.sent} packets each, "
        f"{100 * reading.utilisation:.0f} % of a core",
        every and reading.utilisation < 1,
    )


def changes(name: str, variant: Variant) -> Row:
    """One of 1,000 receivers goes and comes while the stream runs."""
    running = own.run(Load("1:1000", 1, 1000, 1), variant)
    took: list[float] = []
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            took.extend(running.ask("change 1")["took"])
            time.sleep(0.05)

    other = threading.Thread(target=change)
    # The receiver that changes is the last one; what it gets is not counted.
    running.sinks, last = running.sinks[:-1], running.sinks[-1]
    try:
        other.start()
        reading = generate(running, 50, 3.0, burst=1)
    finally:
        over.set()
        other.join(10)
        last.close()
        running.close()
    median = statistics.median(took)
    every = reading.least == reading.most == reading.sent
    return Row(
        "a receiver of 1,000 leaves or joins while the stream runs",
        name,
        "nothing lost or doubled, 200 us of the Python thread",
        f"{reading.least} to {reading.most} of {reading.sent} packets each; "
        f"median {median:.0f}, longest {max(took):.0f} us of {len(took)}",
        every and median < 200,
    )


def idle(name: str, variant: Variant, legs: int = 10_000) -> Row:
    """Bound sessions without media: memory, and CPU of their keep-alives."""
    # Two legs to measure with, which are not counted.
    running = own.run(Load("idle", 1, 1, 1), variant, idle=legs)
    try:
        after = running.ask("memory")
        each = (after["memory"] - running.opened["memory"]) / legs
        share = _keep_alive_share(running, legs)
    finally:
        running.sinks = running.room.sockets[1:]
        running.close()
    return Row(
        "10,000 bound sessions without media",
        name,
        "2 KiB each, 3 % of a core",
        f"{each / 1024:.2f} KiB each, {100 * share:.1f} % of a core for keep-alives",
        each < 2048 and share <= 0.03 and after["bound"] >= legs,
    )


def _keep_alive_share(running: Own, legs: int, seconds: float = 6.0) -> float:
    """CPU share of the server while every leg sends a request every 15 s."""
    from anychat.load.usage import cpu_seconds

    room = running.room
    interval = 15.0 / legs
    begin = time.monotonic()
    before = cpu_seconds(running.pid)
    for turn in range(int(seconds / interval)):
        wait = begin + turn * interval - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        room.keep_alive(2 + turn % legs)
    used = cpu_seconds(running.pid) - before
    return used / (time.monotonic() - begin)


def run_case(case: Callable[[], Row], name: str) -> Row:
    """The case's row, or one that says why there is none."""
    try:
        return case()
    except Skipped as reason:
        return Row(name, "", "", f"skipped: {reason}", None)
