"""What the server and the host of a compiled plug-in say to each other.

They speak AMP over the standard streams of the host, a child process of ours:

===============  =======  ====================================================
command          to       what it is
===============  =======  ====================================================
a hook's name    host     call the hook; always answered, with its verdict
                          (code, user_id, level, nickname) or with nothing
``Loaded``       server   the plug-in works: version, hooks
``NotLoaded``    server   it does not: reason
``Send``         server   the plug-in sends to a user: user_id, handle, data
``SendRefused``  server   it tried to, with a length that cannot be: length
===============  =======  ====================================================

Calls are answered in their order.  The end of its input has the host release
the plug-in and end.  Numbers are decimal, unsigned, of 32 bits: ids of guests
and "everybody", which are negative, are told as C has them.  Texts are UTF-8.

Pure.  The server believes nothing of what comes: what a plug-in has broken in
its process may write anything.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anychat.business_messages import MAX_BUFFER, Verdict
from anychat.codes import MAX_CODE, ResultCode
from anychat.errors import PeerError
from anychat.filters.hooks import HOOK_NAMED, KINDS, Hook, Kind
from anychat.protocols.boxes import ANSWER, ASK, COMMAND, Box, encode_box

#: Bytes of a plug-in's version text.
MAX_VERSION = 1024
#: Bytes of UTF-8 of a nickname, as of all names.
MAX_NICKNAME = 512
#: Bytes of the reason why a plug-in cannot be loaded.
MAX_REASON = 2048

_NUMBER = re.compile(rb"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The plug-in works."""

    version: str
    hooks: tuple[Hook, ...]


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The plug-in cannot be used."""

    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """The plug-in sends to a user."""

    user_id: int
    handle: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendRefused:
    """The plug-in tried to send what cannot be sent."""

    length: int


@dataclass(frozen=True, slots=True)
class Done:
    """A hook has returned."""

    tag: int
    verdict: Verdict
    """Of one that asks; else 0."""


Report = Loaded | NotLoaded | Send | SendRefused | Done


def unsigned(number: int) -> int:
    """A number as C's uint32."""
    return number & MAX_CODE


def signed(number: int) -> int:
    """An id that came as C's uint32."""
    return number - 2**32 if number >= 2**31 else number


# The server's part.


def encode_arguments(hook: Hook, values: Sequence[Any]) -> list[tuple[bytes, bytes]]:
    """The pairs of a call, without its tag.

    Never fails: a text that is no Unicode is told with question marks.
    """
    pairs = [(COMMAND, hook.camel.encode())]
    for name, value in zip(hook.arguments, values, strict=True):
        if isinstance(value, str):
            data = value.encode("utf-8", "replace")
        elif isinstance(value, bytes):
            data = value
        else:
            data = b"%d" % unsigned(value)
        pairs.append((name.encode(), data))
    return pairs


def encode_call(tag: int, pairs: list[tuple[bytes, bytes]]) -> bytes:
    """The box of a call."""
    return encode_box([(ASK, b"%d" % tag), *pairs])


def decode_report(box: Box) -> Report:
    """What the host says.

    :raises PeerError: nothing that it may say.
    """
    if ANSWER in box:
        nickname = _text(box, b"nickname", MAX_NICKNAME) if b"nickname" in box else ""
        return Done(
            _number(box, ANSWER),
            Verdict(
                ResultCode(_number(box, b"code", "0")),  # type: ignore[call-arg]
                _number(box, b"user_id", "0"),
                _number(box, b"level", "0"),
                nickname,
            ),
        )
    command = box.get(COMMAND)
    if command == b"Send":
        data = _bytes(box, b"data", MAX_BUFFER)
        user_id = signed(_number(box, b"user_id"))
        return Send(user_id, _number(box, b"handle"), data)
    if command == b"SendRefused":
        return SendRefused(_number(box, b"length"))
    if command == b"Loaded":
        names = _text(box, b"hooks", 1024).split(",")
        if not all(name in HOOK_NAMED for name in names):
            raise PeerError("there are no such hooks")
        hooks = tuple(HOOK_NAMED[name] for name in names)
        return Loaded(_text(box, b"version", MAX_VERSION), hooks)
    if command == b"NotLoaded":
        return NotLoaded(_text(box, b"reason", MAX_REASON))
    raise PeerError("there is no such command")


# The host's part.


def encode_report(command: str, **values: int | str | bytes) -> bytes:
    """The box of something that the host says by itself."""
    pairs = [(COMMAND, command.encode())]
    pairs += [(name.encode(), _encoded(value)) for name, value in values.items()]
    return encode_box(pairs)


def encode_done(tag: bytes, **values: int | str) -> bytes:
    """The box that says that a hook has returned."""
    pairs = [(name.encode(), _encoded(value)) for name, value in values.items()]
    return encode_box([(ANSWER, tag), *pairs])


def decode_call(box: Box) -> tuple[Hook, bytes, list[int | bytes]]:
    """The hook that is to be called, the tag, and the arguments.

    :raises PeerError: it is no call.
    """
    hook = HOOK_NAMED.get(box.get(COMMAND, b"").decode("ascii", "replace"))
    if hook is None or ASK not in box:
        raise PeerError("this is no call of a hook")
    values: list[int | bytes] = []
    for name in hook.arguments:
        if KINDS[name] in (Kind.NUMBER, Kind.FLAG):
            values.append(_number(box, name.encode()))
        else:
            values.append(_bytes(box, name.encode(), MAX_BUFFER))
    return hook, box[ASK], values


def _encoded(value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    return value.encode("utf-8", "replace") if isinstance(value, str) else value


def _bytes(box: Box, key: bytes, maximum: int) -> bytes:
    value = box.get(key)
    if value is None or len(value) > maximum:
        raise PeerError(f"{key.decode()} is missing or too long")
    return value


def _number(box: Box, key: bytes, default: str = "") -> int:
    value = box.get(key, default.encode())
    if not _NUMBER.fullmatch(value) or int(value) > MAX_CODE:
        raise PeerError(f"{key.decode()} is no number")
    return int(value)


def _text(box: Box, key: bytes, maximum: int) -> str:
    try:
        return _bytes(box, key, maximum).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PeerError(f"{key.decode()} is not UTF-8") from error
