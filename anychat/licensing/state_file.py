"""``AnyChat.licence-state``: what is kept of the checks, beside the configuration.

All functions are blocking.
"""

import os
from contextlib import suppress
from pathlib import Path

from anychat.licensing.files import replace_file
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
        with open(path, "rb", opener=_opened) as file:
            data = file.read(MAX_STATE + 1)
    except FileNotFoundError:
        return Memory()
    try:
        return decode_memory(data, digest, machine) or Memory()
    except Forged:
        return Memory(digest, forged=True)


def _opened(path: str, flags: int) -> int:
    """Without waiting for whoever writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def save_memory(path: Path, memory: Memory, machine: str) -> None:
    """Keep it, readable by this user alone; the old file stays until it is whole.

    :raises OSError: it cannot be written.
    """
    replace_file(path, encode_memory(memory, machine), 0o600)
