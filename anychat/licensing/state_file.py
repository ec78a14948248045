"""``AnyChat.licence-state``: what is kept of the checks, beside the configuration.

All functions are blocking.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from anychat.licensing.judge import Memory
from anychat.licensing.memory import (
    MAX_STATE,
    Forged,
    decode_memory,
    encode_memory,
)

#: Beside the configuration; the name is fixed.
STATE_NAME = "AnyChat.licence-state"


def machine_id(root: Path) -> str:
    """What this installation of the system is known by; empty: it has nothing.

    :param root: another directory than / for tests.
    """
    for name in "etc/machine-id", "var/lib/dbus/machine-id":
        with suppress(OSError), (root / name).open("rb") as file:
            text = file.read(100).decode("ascii", "replace").strip()
            if text:
                return text
    return ""


def load_memory(path: Path, digest: str, machine: str) -> Memory:
    """What earlier runs left about a licence; nothing: the memory of a new one.

    :raises OSError: the file is there, and cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Memory()
    with open(descriptor, "rb") as file:
        data = file.read(MAX_STATE + 1)
    try:
        return decode_memory(data, digest, machine) or Memory()
    except Forged:
        return Memory(digest, forged=True)


def save_memory(path: Path, memory: Memory, machine: str) -> None:
    """Keep it, readable by this user alone; the old file stays until it is whole.

    :raises OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(encode_memory(memory, machine))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
