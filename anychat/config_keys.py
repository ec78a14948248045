"""Keys of a configuration file: what their fields are called, and what they take.

A specification (``coreserver.spec`` is one) knows every key of a kind of file, its
range and its default.  configobj's validator holds values against it.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from configobj import ConfigObj
from configobj.validate import Validator, VdtValueError

_SPEC = Path(__file__).with_name("coreserver.spec")


def attribute(key: str) -> str:
    """The field of a key: ``TCPListenPort`` is ``tcp_listen_port``."""
    words = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z\d])(?=[A-Z][a-z])", "_", key)
    return words.lower()


# The checks of specifications.  They get and give what the validator hands
# them: strings in, typed values out, arguments as strings.


class Disallowed(VdtValueError):
    """A value that its key does not take."""

    def __init__(self, allowed: str) -> None:
        Exception.__init__(self, allowed)
        self.allowed = allowed


def _number(value: str, minimum: str, maximum: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", value):
        number = int(value)
        if int(minimum) <= number <= int(maximum):
            return number
    raise Disallowed(f"a whole number from {minimum} to {maximum}")


def _even(value: str, minimum: str, maximum: str) -> int:
    try:
        number = _number(value, minimum, maximum)
    except Disallowed:
        number = 1
    if number % 2:
        raise Disallowed(f"an even number from {minimum} to {maximum}")
    return number


def _choice(value: str, *choices: str) -> int:
    if value not in choices:
        raise Disallowed("one of " + ", ".join(choices))
    return int(value)


def _word(value: str, *words: str) -> str:
    if value not in words:
        raise Disallowed("one of " + ", ".join(words))
    return value


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise Disallowed("0 or 1")
    return value == "1"


def _text(value: str, maximum: str) -> str:
    if not value.isprintable() or len(value.encode()) > int(maximum):
        raise Disallowed(f"printable text of at most {maximum} bytes")
    return value


def _label(value: str, maximum: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > int(maximum):
        raise Disallowed(f"1 to {maximum} printable characters")
    return value


def _address(value: str) -> str:
    try:
        # Zone ids (fe80::1%eth0) mean something on one machine only.
        if "%" not in value:
            return str(ipaddress.ip_address(value))
    except ValueError:
        pass
    raise Disallowed("an IP address")


def _optional_address(value: str) -> str:
    try:
        return value and _address(value)
    except Disallowed:
        raise Disallowed("an IP address or nothing") from None


def _addresses(value: str) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",")] if value else []
    try:
        return tuple(dict.fromkeys(map(_address, items)))
    except Disallowed:
        raise Disallowed("IP addresses separated by commas, or nothing") from None


def _host(value: str) -> str:
    try:
        return _address(value)
    except Disallowed:
        pass
    labels = value.removesuffix(".").split(".")
    # All of digits it would be a mistyped address.
    if len(value) <= 253 and not labels[-1].isdigit():
        plain = all(re.fullmatch(r"(?!-)[A-Za-z\d_-]{1,63}(?<!-)", x) for x in labels)
        if plain:
            return value
    raise Disallowed("an IP address or a host name")


def _fingerprint(value: str) -> str:
    digits = re.sub(r"(?i)^sha-?256[:=]|[:\s]", "", value).lower()
    if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise Disallowed("a SHA-256 of 64 hex digits, or nothing")
    return digits


def _reachable_addresses(value: str) -> tuple[str, ...]:
    try:
        addresses = _addresses(value)
    except Disallowed:
        addresses = ("::",)
    for address in map(ipaddress.ip_address, addresses):
        if address.is_unspecified or address.is_multicast:
            raise Disallowed(
                "IP addresses that clients can send to, separated by commas, or nothing"
            )
    return addresses


#: The checks by the names that specifications have for them.
CHECKS: dict[str, Callable[..., object]] = {
    "number": _number,
    "even": _even,
    "choice": _choice,
    "word": _word,
    "switch": _switch,
    "text": _text,
    "secret": _text,
    "label": _label,
    "address": _address,
    "optional_address": _optional_address,
    "addresses": _addresses,
    "reachable_addresses": _reachable_addresses,
    "host": _host,
    "fingerprint": _fingerprint,
}


def specification(path: Path = _SPEC) -> Mapping[str, Mapping[str, str]]:
    """The checks by section and key, as coreserver.spec or another one has them."""
    spec: Mapping[str, Mapping[str, str]] = ConfigObj(
        str(path),
        encoding="utf-8",
        interpolation=False,
        list_values=False,
        file_error=True,
        _inspec=True,
    )
    return spec


def check(rule: str, value: str) -> object:
    """Hold a value against a rule of the specification.

    :raises Disallowed: the rule does not take it.
    """
    result: object = Validator(CHECKS).check(rule, value)
    return result


def is_secret(rule: str) -> bool:
    """Whether what a rule is for may not be shown."""
    return rule.startswith("secret(")
