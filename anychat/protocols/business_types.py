"""Types of the arguments of `business_commands`, which check what they carry.

They are AMP's own kinds, made strict: a value out of its range, too long, or
spelt in a way that only Python understands raises ValueError, whether it comes
or goes.  The text of the error completes a sentence that begins with the
argument's name.
"""

import re
from collections.abc import Iterable
from typing import Any

from twisted.protocols import amp

from anychat.business_messages import MAX_LEVEL, Presence
from anychat.codes import MAX_CODE, ResultCode
from anychat.errors import PeerError
from anychat.protocols.boxes import BoxReader, encode_box

#: Characters of a business server's name, and of what says which program it is.
MAX_SERVER_NAME = 64
MAX_AGENT = 128
#: Bytes of UTF-8, as in the signalling protocol.
MAX_NAME = 512
MAX_TEXT = 16384
#: Bytes of a transparent buffer, as AnyChat has it.
MAX_TRANS_BUFFER = 1000
#: Bytes of a text that means something to an application, not to the core.
MAX_STRING = 60_000
#: Bytes of a list of names.
MAX_NAMES = 4096
#: Ids in one answer: with the longest ones they fit one AMP value.
MAX_IDS = 5000
#: Length of the core's epoch in bytes.
EPOCH_SIZE = 8

#: As for the names of users and rooms.
_GARBLING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_INTEGER = re.compile(rb"-?[0-9]{1,20}")


class Number(amp.Argument):
    """A decimal number in a range."""

    def __init__(self, low: int, high: int, optional: bool = False):
        super().__init__(optional)
        self.low = low
        self.high = high

    def toString(self, value: int) -> bytes:
        """As AMP's ``Integer``."""
        return b"%d" % self._check(value)

    def fromString(self, data: bytes) -> int:
        """As AMP's ``Integer``, without what Python alone takes for one."""
        if not _INTEGER.fullmatch(data):
            raise ValueError("is not a decimal number")
        return self._check(int(data))

    def _check(self, value: int) -> int:
        if not isinstance(value, int):
            raise ValueError("is not a number")
        if not self.low <= value <= self.high:
            raise ValueError(f"is not from {self.low} to {self.high}")
        return value


def as_code(number: int) -> ResultCode:
    """The result code of that number; applications have codes of their own."""
    return ResultCode(number)  # type: ignore[call-arg]


class Code(Number):
    """A result code; those of applications are taken too."""

    def __init__(self, optional: bool = False):
        super().__init__(0, MAX_CODE, optional)

    def fromString(self, data: bytes) -> ResultCode:
        """A number that is none of AnyChat's becomes a code all the same."""
        return as_code(super().fromString(data))


class Octets(amp.Argument):
    """Bytes, at most so many."""

    def __init__(self, high: int, low: int = 0, optional: bool = False):
        super().__init__(optional)
        self.low = low
        self.high = high

    def toString(self, value: bytes) -> bytes:
        """As they are."""
        if not isinstance(value, bytes):
            raise ValueError("is not bytes")
        if not self.low <= len(value) <= self.high:
            exactly = f"{self.low} to " * (self.low != self.high)
            raise ValueError(f"has not {exactly}{self.high} bytes")
        return value

    fromString = toString


class Text(amp.Argument):
    """UTF-8, at most so many bytes of it."""

    def __init__(self, high: int, low: int = 0, optional: bool = False):
        super().__init__(optional)
        self._octets = Octets(high, low)

    def toString(self, value: str) -> bytes:
        """Text to bytes."""
        if not isinstance(value, str):
            raise ValueError("is not text")
        return self._octets.toString(value.encode("utf-8"))

    def fromString(self, data: bytes) -> str:
        """Bytes to text."""
        return self._octets.fromString(data).decode("utf-8")


class Line(Text):
    """Text for a log line or a list: nothing in it breaks or garbles one."""

    def __init__(self, characters: int, low: int = 0):
        super().__init__(4 * characters, low)
        self._characters = characters

    def toString(self, value: str) -> bytes:
        """Text to bytes."""
        data = super().toString(value)
        self._fit(value)
        return data

    def fromString(self, data: bytes) -> str:
        """Bytes to text."""
        return self._fit(super().fromString(data))

    def _fit(self, value: str) -> str:
        if len(value) > self._characters:
            raise ValueError(f"has more than {self._characters} characters")
        if _GARBLING.search(value) or value != value.strip():
            raise ValueError("has control characters, or blanks around it")
        return value


class Flag(amp.Boolean):
    """``True`` or ``False``, spelt like this."""

    def fromString(self, data: bytes) -> bool:
        """Nothing else is taken for one."""
        if data not in (b"True", b"False"):
            raise ValueError("is neither True nor False")
        return data == b"True"


class Names(amp.Argument):
    """Names of commands with commas between them, in any order."""

    def toString(self, value: Iterable[str]) -> bytes:
        """Names to bytes."""
        data = ",".join(sorted(value)).encode("utf-8")
        if len(data) > MAX_NAMES:
            raise ValueError(f"has more than {MAX_NAMES} bytes")
        return data

    def fromString(self, data: bytes) -> frozenset[str]:
        """Bytes to names; blanks around a name do not count."""
        if len(data) > MAX_NAMES:
            raise ValueError(f"has more than {MAX_NAMES} bytes")
        names = (name.strip() for name in data.decode("utf-8").split(","))
        return frozenset(name for name in names if name)


class Ids(amp.ListOf):
    """Numbers of users, rooms or objects; each with two bytes of length."""

    def __init__(self) -> None:
        super().__init__(Number(-(2**31), 2**31 - 1))

    def fromString(self, data: bytes) -> tuple[int, ...]:
        """Stricter than AMP's ``ListOf``, which ignores what is cut off."""
        ids: list[int] = []
        at = 0
        while at < len(data):
            start = at + 2
            at = start + int.from_bytes(data[at:start], "big")
            if at > len(data) or len(ids) == MAX_IDS:
                raise ValueError(f"is no list of at most {MAX_IDS} numbers")
            ids.append(self.elementType.fromString(data[start:at]))
        return tuple(ids)


class Presences(amp.AmpList):
    """Users who are signed in; an AMP list of boxes."""

    def __init__(self) -> None:
        super().__init__(
            [
                (b"user_id", Id()),
                (b"name", Text(MAX_NAME)),
                (b"level", Level()),
                (b"ip", Text(64)),
                (b"room_id", Id()),
            ]
        )

    def toStringProto(self, value: Iterable[Presence], proto: Any) -> bytes:
        """A box for each."""
        return b"".join(
            [
                encode_box(
                    [
                        (key, kind.toString(getattr(presence, key.decode())))
                        for key, kind in self.subargs
                    ]
                )
                for presence in value
            ]
        )

    def fromStringProto(self, data: bytes, proto: Any) -> tuple[Presence, ...]:
        """The boxes, each complete."""
        reader = BoxReader()
        try:
            found = tuple(
                Presence(
                    **{
                        key.decode(): kind.fromString(box[key])
                        for key, kind in self.subargs
                    }
                )
                for box in reader.receive(data)
            )
        except (PeerError, KeyError) as error:
            raise ValueError(f"is no list of presences: {error}") from error
        if reader.waiting:
            raise ValueError("ends inside a presence")
        return found


def Id(optional: bool = False) -> Number:
    """A user (guests are negative), a room, a task, an object: AnyChat's int."""
    return Number(-(2**31), 2**31 - 1, optional)


def Word(optional: bool = False) -> Number:
    """32 bits, with or without a sign: what applications pass to each other."""
    return Number(-(2**31), 2**32 - 1, optional)


def Level() -> Number:
    """A user's level."""
    return Number(0, MAX_LEVEL)


def Count(low: int = 0) -> Number:
    """A number of events, or of bytes."""
    return Number(low, 2**63 - 1)
