"""What is kept of a licence's checks across restarts: the state file's content.

JSON, signed with a key that is made of the machine's id and the licence::

    {"version": 1, "licence": "<hex>", "machine": "<hex>", "clock": 1763649120,
     "leap": null, "good": 1763649120, "failing": null, "back": null,
     "mac": "<hex>"}

Whoever knows the machine's id can make such a file; it keeps honest people
honest, and says when somebody was not.
"""

import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256

from anychat.licensing.judge import Memory

#: Bytes of a state file that is worth reading; ours have about 300.
MAX_STATE = 4096

_VERSION = 1
_TIMES = ("clock", "leap", "good", "failing", "back")
#: Seconds since 1970 of the last time that datetime knows, and some to spare.
_LAST = 253_000_000_000


class Forged(Exception):
    """A state file of this licence on this machine was not written by us."""


def encode_memory(memory: Memory, machine_id: str) -> bytes:
    """The content of the state file."""
    content: dict[str, object] = {
        "version": _VERSION,
        "licence": memory.digest,
        "machine": _machine(machine_id),
    }
    for name in _TIMES:
        when: datetime | None = getattr(memory, name)
        content[name] = None if when is None else int(when.timestamp())
    content["mac"] = _mac(content, machine_id)
    return json.dumps(content).encode() + b"\n"


def decode_memory(data: bytes, digest: str, machine_id: str) -> Memory | None:
    """What a state file says; None: it is about another licence or machine,
    or of a later version of this program.

    :param digest: of the licence.
    :raises Forged: it says what we have not written.
    """
    try:
        if len(data) > MAX_STATE:
            raise ValueError
        content = json.loads(data)
        version = content["version"]
        if type(version) is int and version > _VERSION:
            # A later server's; nothing is gained that deleting it would not give.
            return None
        mac = content.pop("mac")
        licence, machine = content["licence"], content["machine"]
        if version != _VERSION or not isinstance(mac, str):
            raise ValueError
        if licence != digest or machine != _machine(machine_id):
            return None
        if not hmac.compare_digest(mac.encode(), _mac(content, machine_id).encode()):
            raise ValueError
        clock, leap, good, failing, back = (_time(content[name]) for name in _TIMES)
        return Memory(digest, clock, leap, good, failing, back)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Forged from None


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _LAST:
        raise ValueError
    return datetime.fromtimestamp(value, UTC)


def _machine(machine_id: str) -> str:
    """What tells machines apart and says nothing about them."""
    return sha256(b"anychat machine\0" + machine_id.encode()).hexdigest()[:16]


def _mac(content: dict[str, object], machine_id: str) -> str:
    key = hmac.digest(
        b"anychat licence state", f"{content['licence']}\0{machine_id}".encode(), sha256
    )
    text = json.dumps(content, sort_keys=True).encode()
    return hmac.digest(key, text, sha256).hex()
