"""The plain C relay (``crelay.c``): what recvmmsg and sendto cost by themselves."""

import subprocess

from benchmarks.peers.measure import Load
from benchmarks.peers.running import (
    HOST,
    LIFE,
    SERVER_CPU,
    Flow,
    Running,
    build,
    udp,
)


def run(load: Load) -> Running:
    """Start it with the load's table."""
    program = build("crelay")
    sources = [udp() for _ in range(load.sources)]
    sinks = [udp() for _ in range(load.receivers)]
    table = [
        f"{1000 + number // load.copies} {HOST} {sink.getsockname()[1]}\n"
        for number, sink in enumerate(sinks)
    ]
    process = subprocess.Popen(
        [str(program), str(SERVER_CPU), str(LIFE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("".join(table) + "\n")
    process.stdin.flush()
    port = int(process.stdout.readline())
    flows = [Flow(each, port, 1000 + number) for number, each in enumerate(sources)]
    return Running(process, process.pid, flows, sinks)
