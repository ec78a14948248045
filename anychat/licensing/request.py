"""The request file: what a customer sends to have a licence made for a machine.

JSON, in UTF-8, so that whoever sends it can read what it says::

    {
      "format": "anychat-license-request",
      "version": 1,
      "product": "6.0.0",
      "created": "2026-11-20T14:00:00Z",
      "surroundings": "machine",
      "salt": "00112233445566778899aabbccddeeff",
      "hashes": {"disk-serial": ["<64 hexadecimal digits>"]},
      "absent": {"product-uuid": "this user may not read /sys/..."}
    }

There are hashes in it (`fingerprint`) and no serial numbers.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from anychat.codes import ResultCode
from anychat.licensing.findings import LicenceError
from anychat.licensing.fingerprint import COMPONENTS, MAX_VALUES
from anychat.licensing.licence import Hashes

FORMAT = "anychat-license-request"
VERSION = 1
#: Bytes of a request.
MAX_SIZE = 1 << 16
MAX_TEXT = 256

_KEYS = {"format", "version"}
_TEXTS = {
    "product": r"[ -~]{1,64}",
    "created": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "surroundings": r"machine|virtual machine|container",
    "salt": r"[0-9a-f]{32}",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A machine that wants a licence."""

    product: str
    """The version of this product there."""
    created: str
    """UTC, as of RFC 3339."""
    surroundings: str
    """As of `hardware.Machine`."""
    salt: str
    """In hexadecimal."""
    hashes: Hashes
    absent: Mapping[str, str]
    """Why there is nothing of a component."""


def write_request(request: Request) -> str:
    """The text of a request file."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(request, name) for name in _TEXTS},
        "hashes": {name: list(values) for name, values in request.hashes.items()},
        "absent": dict(request.absent),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def read_request(data: bytes) -> Request:
    """Read a request file.

    :raises LicenceError: it is none, or of a later version.
    """
    if len(data) > MAX_SIZE:
        _fail(f"it is larger than {MAX_SIZE} bytes")
    try:
        content = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        _fail("it is not JSON")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        _fail(f"its format is not {FORMAT}")
    if type(version := content.get("version")) is not int or version != VERSION:
        _fail(f"its version is {str(version)[:16]!a}, and this program knows {VERSION}")
    if content.keys() != {*_KEYS, *_TEXTS, "hashes", "absent"}:
        _fail("members are missing or unknown")
    for name, pattern in _TEXTS.items():
        value = content[name]
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            _fail(f"{name} is not what it should be")
    return Request(
        **{name: content[name] for name in _TEXTS},
        hashes=_hashes(content["hashes"]),
        absent=_absent(content["absent"]),
    )


def _fail(text: str) -> NoReturn:
    raise LicenceError(
        ResultCode.CERTFILE_HDSIGFAIL, f"the request cannot be used: {text}"
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a member twice")
    return content


def _components(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= COMPONENTS.keys():
        _fail(f"{name} is not by components that this version knows")
    return value


def _hashes(value: object) -> Hashes:
    hashes: Hashes = {}
    for name, held in _components(value, "hashes").items():
        if (
            not isinstance(held, list)
            or not 1 <= len(held) <= MAX_VALUES
            or not all(isinstance(text, str) for text in held)
            or not all(re.fullmatch("[0-9a-f]{64}", text) for text in held)
            or len(set(held)) < len(held)
        ):
            _fail(f"the hashes of {name} are not what they should be")
        hashes[name] = tuple(held)
    if not hashes:
        _fail("it has no hashes")
    return hashes


def _absent(value: object) -> dict[str, str]:
    absent = _components(value, "absent")
    for name, reason in absent.items():
        if (
            not isinstance(reason, str)
            or not reason.isprintable()
            or len(reason) > MAX_TEXT
        ):
            _fail(f"the reason why there is no {name} is not what it should be")
    return absent
