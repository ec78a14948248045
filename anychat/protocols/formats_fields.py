"""Field types of the message formats, declared with construct.

Integers are big-endian.  Everything of variable length carries its length
first and has a maximum that holds when building as well as when parsing, so
that neither side can make a message the other refuses.  Every refusal is a
`ValueError` or a construct error; ``formats`` turns both into ours.
"""

import re
from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from typing import Any

from construct import (
    Bytes,
    ExprAdapter,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int32sb,
    Int32ub,
    Prefixed,
    PrefixedArray,
    Struct,
)

U8 = Int8ub
U16 = Int16ub
U32 = Int32ub
#: User and room ids and targets, which may be negative.
I32 = Int32sb

#: Longest user name, nickname and room name, in bytes of UTF-8: the core lets
#: 128 characters in.
NAME_MAXIMUM = 512
#: Longest password, in bytes of UTF-8.
PASSWORD_MAXIMUM = 1024
#: Longest text message and longest text of a state, in bytes of UTF-8.
TEXT_MAXIMUM = 16384

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def checked(
    subcon: Any, decode: Callable[[Any], Any], encode: Callable[[Any], Any]
) -> Any:
    """A field whose value passes through a function in either direction."""
    return ExprAdapter(
        subcon, lambda value, _: decode(value), lambda value, _: encode(value)
    )


def octets(maximum: int, length: Any = U16) -> Any:
    """Up to ``maximum`` bytes after their length."""

    def check(value: bytes) -> bytes:
        if len(value) > maximum:
            raise ValueError(f"{len(value)} bytes where {maximum} are allowed")
        return value

    return checked(Prefixed(length, GreedyBytes), check, check)


def text(maximum: int) -> Any:
    """UTF-8 of up to ``maximum`` bytes after its 16-bit length."""

    def decode(value: bytes) -> str:
        if len(value) > maximum:
            raise ValueError(f"text of {len(value)} bytes, {maximum} are allowed")
        return value.decode("utf-8")

    def encode(value: str) -> bytes:
        data = value.encode("utf-8")
        if len(data) > maximum:
            raise ValueError(f"text of {len(data)} bytes, {maximum} are allowed")
        return data

    return checked(Prefixed(U16, GreedyBytes), decode, encode)


def line(maximum: int) -> Any:
    """Text without control characters, fit for a log line or a list.

    For what a side says of itself and for names that the server has let in.
    In requests a name is any `text`: whether it will do is the core's to say,
    with an answer.

    Refused are U+0000 to U+001F, U+007F to U+009F, U+2028 and U+2029.
    """

    def check(value: str) -> str:
        if _CONTROL.search(value):
            raise ValueError("control character in a name")
        return value

    return checked(text(maximum), check, check)


def secret(size: int) -> Any:
    """Exactly ``size`` bytes or none at all, after an 8-bit length."""

    def check(value: bytes) -> bytes:
        if len(value) not in (0, size):
            raise ValueError(f"{len(value)} bytes where {size} are due")
        return value

    return checked(Prefixed(U8, GreedyBytes), check, check)


def fixed(size: int) -> Any:
    """Exactly ``size`` bytes, without a length."""

    def check(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{len(value)} bytes where {size} are due")
        return value

    return checked(Bytes(size), check, check)


def enumerated(subcon: Any, kind: type[IntEnum]) -> Any:
    """A number that must be a member of ``kind``."""
    return checked(subcon, kind, lambda value: int(kind(value)))


def with_unknown(subcon: Any, kind: type[IntEnum], unknown: IntEnum) -> Any:
    """A number of an open list: one that is not in ``kind`` is ``unknown``."""
    known = {int(member): member for member in kind}
    return checked(subcon, lambda value: known.get(value, unknown), int)


def _boolean(value: int) -> bool:
    if value > 1:
        raise ValueError(f"{value} is neither 0 nor 1")
    return value == 1


#: One byte, 0 or 1.
FLAG = checked(U8, _boolean, lambda value: int(_boolean(value)))


def sequence(subcon: Any, maximum: int, count: Any = U16) -> Any:
    """Up to ``maximum`` items after their count, as a tuple.

    The count is checked before the first item is read.
    """

    def check(value: int) -> int:
        if value > maximum:
            raise ValueError(f"{value} items where {maximum} are allowed")
        return value

    return checked(PrefixedArray(checked(count, check, check), subcon), tuple, list)


def record(kind: type[Any], *subcons: Any) -> Any:
    """The fields of a dataclass, in the order in which they go over the wire."""
    names = tuple(field.name for field in fields(kind))
    declared = {subcon.name for subcon in subcons}
    assert declared == set(names), f"{kind.__name__}: {declared ^ set(names)}"

    def decode(value: Any) -> Any:
        return kind(**{name: value[name] for name in names})

    def encode(value: Any) -> dict[str, Any]:
        return {name: getattr(value, name) for name in names}

    return checked(Struct(*subcons), decode, encode)
