"""A relay that runs under the generator, and the generator."""

import ctypes
import errno
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.measure import Reading, read

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
_CPUS = sorted(os.sched_getaffinity(0))
#: Those that may be used: the server has the first one, the generator the last.
SERVER_CPU, GENERATOR_CPU = _CPUS[0], _CPUS[-1]
#: Seconds that anything started here may live, however it goes.
LIFE = 300
#: Seconds for a server to come up.
START = 10.0
#: How often a server is looked at until it is idle, the seconds between, and the
#: share of a CPU that it may use then.
IDLE_LOOKS, IDLE_LOOK, IDLE_SHARE = 30, 0.05, 0.02


class Skipped(Exception):
    """This cannot be measured here; the text says why."""


@dataclass(slots=True)
class Flow:
    """A socket, and where its packets go."""

    socket: socket.socket
    port: int
    ssrc: int
    channel: int = 0


@dataclass
class Running:
    """A relay that is set up for a load."""

    process: subprocess.Popen[str]
    pid: int
    """Of the process that forwards, whose CPU time counts."""
    flows: list[Flow] = field(default_factory=list)
    sinks: list[socket.socket] = field(default_factory=list)
    channels: bool = False
    """Packets go in as ChannelData."""
    sequence: int = 1
    """Of the next packets; a relay that follows sequence numbers wants them on."""
    fragile: bool = False
    """Once overloaded it does not recover, and must be set up anew."""
    refresh: Callable[[], None] = lambda: None
    """Called before each run: keep-alives."""

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        for each in [flow.socket for flow in self.flows] + self.sinks:
            each.close()


def udp(port: int = 0) -> socket.socket:
    """A bound loopback socket."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HOST, port))
    return made


def start(
    command: Sequence[str], ready: Callable[[], bool] | None = None
) -> subprocess.Popen[str]:
    """Start a server on its CPU, bounded in time; wait until it is ready."""
    bounded = ["timeout", str(LIFE), "taskset", "-c", str(SERVER_CPU), *command]
    process = subprocess.Popen(
        bounded,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    end = time.monotonic() + START
    while ready is not None and not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            raise Skipped(f"{command[0]} does not come up")
        time.sleep(0.05)
    return process


def leaf(pid: int) -> int:
    """The process at the end of a chain of ``timeout`` and the like."""
    while True:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if name not in ("timeout", "taskset") or not children:
            return pid
        pid = int(children[0])


def build(name: str) -> Path:
    """Compile a program of this directory; once, unless its source is newer.

    :raise Skipped: there is no compiler, or it refuses.
    """
    if shutil.which("gcc") is None:
        raise Skipped("gcc is not installed")
    source = HERE / f"{name}.c"
    directory = HERE.parent.parent / "build" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        done = subprocess.run(
            ["gcc", "-O2", "-Wall", "-o", str(program), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Skipped(f"gcc: {done.stderr}")
    return program


def generate(
    running: Running,
    rate: float,
    seconds: float,
    *,
    burst: int = 1,
    size: int = 200,
    drain: bool = False,
    marking: bool = False,
) -> Reading:
    """One run of the generator."""
    running.refresh()
    wait_idle(running.pid)
    lines = [
        f"flow {flow.socket.fileno()} {HOST} {flow.port} {flow.ssrc} {flow.channel}"
        for flow in running.flows
    ]
    lines += [f"sink {sink.fileno()}" for sink in running.sinks]
    descriptors = {flow.socket.fileno() for flow in running.flows}
    descriptors |= {sink.fileno() for sink in running.sinks}
    with tempfile.NamedTemporaryFile("w", prefix="anychat-bench-") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        command = [
            str(build("gen")),
            *("-F", file.name, "-r", f"{rate:.3f}", "-t", f"{seconds:.3f}"),
            *("-b", str(burst), "-s", str(size), "-P", str(running.pid)),
            *("-c", str(GENERATOR_CPU), "-q", str(running.sequence % 65536)),
            *("-k", "drain" if drain else "count"),
        ]
        if marking:
            command.append("-m")
        if running.channels:
            command.append("-C")
        done = subprocess.run(
            command,
            pass_fds=tuple(descriptors),
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    running.sequence = json.loads(done.stdout)["next_sequence"]
    return read(done.stdout, rate)


def cpu_time(pid: int) -> float:
    """Seconds that a process has used, all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def wait_idle(pid: int) -> None:
    """Wait a little until a server has done what it was left to do.

    Keep-alives, or repairs of what an overload lost: they are not of the run
    that comes.
    """
    before = cpu_time(pid)
    for _ in range(IDLE_LOOKS):
        time.sleep(IDLE_LOOK)
        after = cpu_time(pid)
        if after - before < IDLE_SHARE * IDLE_LOOK:
            return
        before = after


def wait_readable(each: socket.socket, seconds: float = 2.0) -> bytes:
    """A datagram that must come."""
    if not select.select([each], [], [], seconds)[0]:
        raise Skipped("the server does not answer")
    return each.recv(2048)


def raise_file_limit(needed: int = 65536) -> None:
    """Room for many sockets, as far as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (max(hard, needed), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return
        except (ValueError, OSError):
            continue


def own_namespace() -> bool:
    """Move this process into a network namespace of its own, with loopback only.

    So that neither the load nor the servers' ports meet anything else of this
    machine.  False: it may not, and stays on the machine's loopback.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    if libc.unshare(clone_newnet) != 0:
        if ctypes.get_errno() == errno.EPERM:
            return False
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return True
