"""What a program's code may answer to a question, and what goes to the core."""

from collections.abc import Awaitable
from dataclasses import dataclass

#: The greatest user id and the greatest level.
MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class UserVerdict:
    """The user may sign in, under this id."""

    user_id: int
    """Positive and of this user alone, the same at every login; up to `MAX_ID`."""
    level: int = 0
    """The application's own; 0 to `MAX_ID`."""
    nickname: str = ""
    """What the others see; empty: the name that was given."""


#: What `BusinessServer.verify_user` gives: who it is, or the code of the refusal.
VerifyResult = UserVerdict | int | Awaitable[UserVerdict | int]

#: What a question that is answered with a code gives: 0 is yes.
CodeResult = int | Awaitable[int]

#: What the methods that are told something give; the value is of no interest.
EventResult = Awaitable[object] | None
