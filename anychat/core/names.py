"""What users and rooms may be called."""

import re
import unicodedata

from anychat.business_messages import MAX_NAME
from anychat.ids import RoomId

#: Highest number of a room: AnyChat's room numbers are positive signed ints.
MAX_ROOM_ID = 2**31 - 1

#: Control characters, the two that break lines, and lone surrogates: what
#: would garble a log or a console, or cannot be sent as UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NUMBERED = re.compile(r"Room ([1-9][0-9]{0,9})")


def is_fit(name: str) -> bool:
    """Whether a text that is not blank may be a name."""
    return len(name) <= MAX_NAME and not _UNFIT.search(name)


def is_blank(name: str) -> bool:
    """Whether a name is empty to the eye."""
    return not name or name.isspace()


def folded(name: str) -> str:
    """What the spellings of a name have in common (case, composed letters)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def numbered_name(room_id: RoomId) -> str:
    """The name of a room that is known by its number alone."""
    return f"Room {room_id}"


def room_number(name: str) -> RoomId | None:
    """The number that a name of that form stands for.

    "Room 7" is always room 7, so that a room made by its number never finds
    its name taken by another one.
    """
    match = _NUMBERED.fullmatch(name)
    if match is None or int(match[1]) > MAX_ROOM_ID:
        return None
    return RoomId(int(match[1]))
