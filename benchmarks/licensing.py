"""What the licence costs: the check at the start, and the reactor's time later.

* start: `LicenceService.startService` with a licence that is bound to this
  machine's hardware and to its addresses, files and signatures included, as often
  as asked; its own process's imports are not in it.
* later: the service on a real reactor, with looks and checks a thousand times as
  frequent as they are.  What is measured is the CPU time of the reactor's thread
  for each look and each check, and from that its share of a server that runs as
  it should; and how late a timer of 5 ms was, with it and without.

No UKey: what that takes, it takes in a thread.

    python benchmarks/licensing.py [--starts N] [--seconds S] [--json]
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

import anychat
from anychat.licensing import service
from anychat.licensing.addresses import host_addresses
from anychat.licensing.check import Host
from anychat.licensing.fingerprint import bind, hash_parts
from anychat.licensing.hardware import read_machine
from anychat.licensing.licence import AddressBinding, DomainBinding
from anychat.licensing.service import LicenceService, LicenceSettings
from anychat.licensing.status import Standing
from test.licences import CA_NAME, make_licence

#: Seconds between two ticks of the timer that is watched.
TICK = 0.005


def bindings():
    """This machine, by its parts, its addresses and a name."""
    salt = secrets.token_bytes(16)
    hardware = bind(hash_parts(read_machine().parts, salt), salt.hex())
    own = sorted(map(str, host_addresses())) or ["127.0.0.1"]
    return hardware, AddressBinding(tuple(own)), DomainBinding("video.example.com")


def make_service(directory):
    """The service of a server in that directory."""
    own = min(map(str, host_addresses()), default="127.0.0.1")
    return LicenceService(
        LicenceSettings(directory, directory / CA_NAME, anychat.__version__),
        reactor,
        Host(lambda name: succeed([own]), deferToThread),
        lambda terms: None,
        lambda line: None,
    )


def measure_starts(directory, number):
    """Milliseconds of each start."""
    times = []
    for _ in range(number):
        licence = make_service(directory)
        began = time.perf_counter()
        licence.startService()
        times.append((time.perf_counter() - began) * 1000)
        assert licence.status.standing is Standing.VALID, licence.status
        licence._timer.cancel()
    return times


class Watch:
    """How late a timer is, and what the reactor's thread does."""

    def __init__(self):
        self._late = []
        self._due = time.perf_counter() + TICK
        self._loop = LoopingCall(self._tick)
        self._cpu = time.thread_time()
        self._loop.start(TICK, now=False)

    def _tick(self):
        now = time.perf_counter()
        self._late.append((now - self._due) * 1000)
        self._due = now + TICK

    def end(self):
        """CPU seconds of the thread, and the lateness in ms."""
        self._loop.stop()
        late = sorted(self._late)
        return time.thread_time() - self._cpu, {
            "late_p50_ms": round(median(late), 3),
            "late_p99_ms": round(late[int(len(late) * 0.99)], 3),
            "late_max_ms": round(late[-1], 3),
        }


async def measure_running(directory, seconds):
    """Reactor time without the service, with its looks, and with its checks."""
    results = {}
    watch = Watch()
    await deferLater(reactor, seconds)
    idle, results["without"] = watch.end()
    for name, intervals in (
        ("looks", service.INTERVALS),
        ("checks", dict.fromkeys(service.INTERVALS, 0.0)),
    ):
        usual = service.LOOK, service.INTERVALS
        service.LOOK, service.INTERVALS = 0.003, intervals
        licence = make_service(directory)
        licence.startService()
        counts = count_work(licence)
        watch = Watch()
        await deferLater(reactor, seconds)
        cpu, late = watch.end()
        await licence.stopService()
        service.LOOK, service.INTERVALS = usual
        results[name] = late | {
            "number": counts["looks"],
            "reactor_us_each": round((cpu - idle) / max(1, counts["looks"]) * 1e6),
        }
    looks, checks = (
        results[name]["reactor_us_each"] / 1e6 for name in ("looks", "checks")
    )
    # All checks every minute, which is more often than any but the UKey's.
    share = looks / service.LOOK + checks / 60
    results["reactor_share_percent"] = round(share * 100, 4)
    return results


def count_work(licence):
    """Count the looks of a service."""
    counts = {"looks": 0}
    looked = licence._looked

    def counted(seen):
        counts["looks"] += 1
        return looked(seen)

    licence._looked = counted
    return counts


async def measure(starts, seconds):
    """Everything."""
    with tempfile.TemporaryDirectory(prefix="anychat-licensing-") as name:
        directory = Path(name)
        make_licence(directory, bindings=bindings())
        times = measure_starts(directory, starts)
        results = {
            "start_first_ms": round(times[0], 2),
            "start_median_ms": round(median(times), 2),
            "start_max_ms": round(max(times), 2),
        }
        return results | await measure_running(directory, seconds)


def main():
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}

    async def run():
        results.update(await measure(options.starts, options.seconds))

    def begin():
        done = ensureDeferred(run())
        done.addErrback(lambda failure: failure.printTraceback())
        done.addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        if isinstance(value, dict):
            print(name)
            for key, number in value.items():
                print(f"  {key:18} {number:>10}")
        else:
            print(f"{name:20} {value:>10}")


if __name__ == "__main__":
    main()
