"""The CPU time of the server under load, read from /proc.

``schedstat`` has nanoseconds where ``stat`` has ticks of 10 ms, and the kernel
lets everybody read it.
"""

from pathlib import Path

from anychat.errors import ConfigError

PROC = Path("/proc")


def family(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all that descend from it.

    :raise ConfigError: there is no such process.
    """
    if not (proc / str(pid) / "task").is_dir():
        raise ConfigError(f"there is no process {pid}")
    found = [pid]
    for parent in found:
        for path in (proc / str(parent) / "task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue  # it has just ended
    return found


def cpu_seconds(pid: int, proc: Path = PROC) -> float:
    """CPU time of all threads of a process and its descendants that still run.

    :raise ConfigError: there is no such process.
    """
    nanoseconds = 0
    for member in family(pid, proc):
        for path in (proc / str(member) / "task").glob("*/schedstat"):
            try:
                nanoseconds += int(path.read_text().split()[0])
            except OSError:
                continue  # that thread has just ended
    return nanoseconds / 1e9
