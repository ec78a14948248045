"""Our relay beside coturn, rtpengine and a plain C relay, under one generator.

    python benchmarks/relay.py [--rounds 3] [--sizes 200,1100] [--only TEXT]
                               [--quick] [--write]

For every load, packet size and relay: the highest rate without loss, found by
halving the interval, and the CPU time of the relay's process for a million
copies there.  Relays take turns within a round; figures are medians over the
rounds.  Then the cases of `benchmarks/peers/cases.py`.

The relay is pinned to one CPU, the generator to another, both in a network
namespace of their own where that is allowed.  Receivers cost nothing: the
kernel drops and counts at their doors.  What is not installed is left out, with
the reason.  Everything ends by itself.

``--write`` puts the tables into docs/performance.md and the charts beside it.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers import coturn, own, plain, rtpengine
from benchmarks.peers.cases import Row, all_cases, run_case
from benchmarks.peers.measure import (
    Aim,
    Load,
    Reading,
    Result,
    find_highest,
    ratios,
    result,
    settled,
)
from benchmarks.peers.own import Variant
from benchmarks.peers.report import (
    between_markers,
    chart,
    markdown,
    ratios_table,
    results_table,
    row,
)
from benchmarks.peers.running import (
    GENERATOR_CPU,
    SERVER_CPU,
    Running,
    Skipped,
    generate,
    own_namespace,
    raise_file_limit,
)

NATIVE, PLAIN, PORTABLE = "native", "native, no segments", "portable"
COTURN, RTPENGINE, C_RELAY = "coturn", "rtpengine", "plain C"
OURS = (NATIVE, PLAIN, PORTABLE)

LOADS = (
    Load("1:1", 8, 1, 4, subjects=(*OURS, COTURN, RTPENGINE, C_RELAY)),
    Load(
        "1:1 at 100,000/s, 500 us",
        8,
        1,
        4,
        rate=100_000,
        coalesce=500,
        subjects=(NATIVE, COTURN, C_RELAY),
    ),
    Load("1:10", 8, 10, 4, subjects=(*OURS, RTPENGINE, C_RELAY)),
    Load("1:50", 4, 50, 4, subjects=(*OURS, RTPENGINE, C_RELAY)),
    Load("1:10, 200 sources", 200, 10, 4, subjects=(*OURS, C_RELAY)),
    Load("1:10, 200 sources, single", 200, 10, 1, subjects=(*OURS, C_RELAY)),
)

AIMS = (
    Aim("1:1", NATIVE, COTURN, 0.85),
    Aim("1:1 at 100,000/s, 500 us", NATIVE, COTURN, 0.50),
    Aim("1:10", NATIVE, RTPENGINE, 0.28),
    Aim("1:50", NATIVE, RTPENGINE, 0.22),
    Aim("1:10, 200 sources", NATIVE, C_RELAY, 0.50),
    Aim("1:10, 200 sources, single", NATIVE, C_RELAY, 1.15),
)

#: Packets a second that the generator cannot exceed, and copies a second that
#: no relay does, by whether it joins packets.
GENERATOR_CEILING = 360_000
CEILING, SEGMENT_CEILING = 460_000, 2_600_000
#: Of the search, at most; it ends when the interval is narrow.
STEPS = 10

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "bench" / "relay.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def starter(subject: str) -> Callable[[Load], Running]:
    """How a relay is started for a load."""
    if subject == COTURN:
        return coturn.run
    if subject == RTPENGINE:
        return rtpengine.run
    if subject == C_RELAY:
        return plain.run
    return lambda load: own.run(
        load,
        Variant(
            native=subject != PORTABLE,
            segments=subject != PLAIN,
            coalesce=load.coalesce,
        ),
    )


def ceiling(load: Load, subject: str) -> float:
    """The rate below which the highest one is looked for."""
    copies = SEGMENT_CEILING if subject == NATIVE else CEILING
    return min(GENERATOR_CEILING, copies / load.copies)


def measure(load: Load, subject: str, size: int, seconds: float) -> Reading | None:
    """One relay under one load; None where even little is too much."""
    running = starter(subject)(load)
    try:

        def probe(rate: float) -> Reading:
            nonlocal running
            reading = generate(running, rate, seconds, burst=load.burst, size=size)
            if running.fragile and not reading.good:
                running.close()
                running = starter(subject)(load)
            return reading

        probe(2_000)  # what is made at first use is made now
        if load.rate is None:
            return find_highest(probe, ceiling(load, subject), STEPS)
        reading = settled(probe, load.rate)
        return reading if reading.good else None
    finally:
        running.close()


def busy_share(seconds: float = 0.15) -> float:
    """What others take of this machine just now."""

    def sample() -> tuple[int, int]:
        fields = list(
            map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
        )
        return sum(fields) - fields[3] - fields[4], sum(fields)

    busy, whole = sample()
    time.sleep(seconds)
    later_busy, later = sample()
    return (later_busy - busy) / max(1, later - whole)


def wait_for_quiet() -> bool:
    """Wait a little until nothing else runs; False: it does all the same."""
    for _ in range(4):
        if busy_share() < 0.12:
            return True
        time.sleep(0.3)
    return False


class Bench:
    """All rounds."""

    def __init__(self, rounds: int, sizes: list[int], only: str, seconds: float):
        self._rounds = rounds
        self._sizes = sizes
        self._only = only
        self._seconds = seconds
        self._readings: dict[tuple[str, int, str], list[Reading]] = {}
        self.skipped: dict[str, str] = {}
        self.cells = self.noisy = 0
        self.rows: list[Row] = []

    def run(self) -> None:
        """Measure everything."""
        for number in range(self._rounds):
            for load in LOADS:
                for size in self._sizes:
                    # Who begins changes from round to round.
                    turn = number % len(load.subjects)
                    order = load.subjects[turn:] + load.subjects[:turn]
                    for subject in order:
                        self._cell(number, load, size, subject)
        for name, case in all_cases():
            if self._only not in name:
                continue
            self.cells += 1
            self.noisy += not wait_for_quiet()
            found = run_case(case, name)
            self.rows.append(found)
            print(row((found.what, found.relay, found.measured)), flush=True)

    def _cell(self, number: int, load: Load, size: int, subject: str) -> None:
        name = f"{load.name} {size} {subject}"
        if self._only not in name or subject in self.skipped:
            return
        self.cells += 1
        self.noisy += not wait_for_quiet()
        try:
            reading = measure(load, subject, size, self._seconds)
        except Skipped as reason:
            self.skipped[subject] = str(reason)
            print(f"{subject}: {reason}", flush=True)
            return
        if reading is None:
            print(f"round {number + 1}  {name}: never without loss", flush=True)
            return
        key = load.name, size, subject
        self._readings.setdefault(key, []).append(reading)
        print(
            f"round {number + 1}  {name}: {reading.per_million:.2f} s per million, "
            f"{reading.forwarded:,.0f} copies/s at {100 * reading.utilisation:.0f} %",
            flush=True,
        )

    @property
    def results(self) -> list[Result]:
        """The medians, in the order of the loads."""
        return [
            result(load.name, size, subject, self._readings[load.name, size, subject])
            for load in LOADS
            for size in self._sizes
            for subject in load.subjects
            if (load.name, size, subject) in self._readings
        ]


def machine() -> str:
    """What this was measured on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{os.cpu_count()} CPUs ({model}), Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def text_of(bench: Bench) -> str:
    """Everything, as Markdown."""
    results = bench.results
    parts = [
        f"Measured on {machine()}, {time.strftime('%Y-%m-%d')}, with "
        f"`{' '.join(['python', 'benchmarks/relay.py', *sys.argv[1:]])}`; "
        f"relay on CPU {SERVER_CPU}, generator on CPU {GENERATOR_CPU}."
    ]
    if bench.noisy:
        parts.append(
            f"**Taken on a busy machine**: something else ran during {bench.noisy} of "
            f"{bench.cells} measurements. Ratios are of some use, rates are too low."
        )
    if results:
        parts.append(ratios_table(ratios(AIMS, results)))
        parts.append("![CPU for a million copies](relay-cost.svg)")
        parts.append("![Highest rate without loss](relay-rate.svg)")
        parts.append(results_table(results))
    if bench.rows:
        parts.append(
            markdown(
                ("what", "relay", "aim", "measured", ""),
                [
                    (
                        each.what,
                        each.relay,
                        each.aim,
                        each.measured,
                        {True: "reached", False: "**missed**", None: ""}[each.met],
                    )
                    for each in bench.rows
                ],
            )
        )
    if bench.skipped:
        parts.append(
            "Left out: "
            + "; ".join(f"{name} ({reason})" for name, reason in bench.skipped.items())
            + "."
        )
    return "\n\n".join(parts)


def charts_of(results: list[Result]) -> dict[str, str]:
    """The charts, by file name."""
    costs: dict[str, dict[str, float]] = {}
    rates: dict[str, dict[str, float]] = {}
    for each in results:
        group = f"{each.load}, {each.size} bytes"
        costs.setdefault(group, {})[each.subject] = each.per_million
        rates.setdefault(group, {})[each.subject] = each.forwarded / 1000
    return {
        "relay-cost.svg": chart(
            "CPU for a million copies", "seconds; less is better", costs
        ),
        "relay-rate.svg": chart(
            "Highest rate without loss", "thousand copies/s, one CPU", rates
        ),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Hold our relay against others.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="200,1100", help="bytes, with commas")
    parser.add_argument("--only", default="", help="what has this in its name")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each run")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--write", action="store_true", help="into docs/")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.3)
    if SERVER_CPU == GENERATOR_CPU:
        raise SystemExit("two CPUs are needed: one for the relay, one for the load")
    os.sched_setaffinity(0, {GENERATOR_CPU})
    raise_file_limit()
    if not own_namespace():
        print("no network namespace of its own: on this machine's loopback")
    sizes = [int(size) for size in options.sizes.split(",")]
    bench = Bench(options.rounds, sizes, options.only, options.seconds)
    bench.run()
    text = text_of(bench)
    print("\n" + text)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(
        json.dumps(
            {
                "results": [asdict(each) for each in bench.results],
                "cases": [asdict(each) for each in bench.rows],
                "skipped": bench.skipped,
                "noisy": bench.noisy,
                "cells": bench.cells,
            },
            indent=1,
        )
    )
    if options.write:
        document = between_markers(DOCUMENT.read_text(), "relay", text)
        DOCUMENT.write_text(document)
        for name, svg in charts_of(bench.results).items():
            (DOCUMENT.parent / name).write_text(svg)


if __name__ == "__main__":
    main()
