"""What a program's code may answer to a question, and what goes to the core."""

from collections.abc import Awaitable
from dataclasses import dataclass

from anychat.business_messages import Question, Verdict, VerifyUser
from anychat.codes import MAX_CODE, ResultCode
from anychat.protocols.business_types import as_code

#: The greatest user id and the greatest level.
MAX_ID = 2**31 - 1

#: Characters of a nickname.
MAX_NICKNAME = 128


@dataclass(frozen=True, slots=True)
class UserVerdict:
    """The user may sign in, under this id."""

    user_id: int
    """Positive and of this user alone, the same at every login; up to `MAX_ID`."""
    level: int = 0
    """The application's own; 0 to `MAX_ID`."""
    nickname: str = ""
    """What the others see, up to 128 characters; empty: the name that was given."""


#: What `BusinessServer.verify_user` gives: who it is, or the code of the refusal.
VerifyResult = UserVerdict | int | Awaitable[UserVerdict | int]

#: What a question that is answered with a code gives: 0 is yes.
CodeResult = int | Awaitable[int]

#: What the methods that are told something give; the value is of no interest.
EventResult = Awaitable[object] | None

#: The answer where the program's code fails.
UNAVAILABLE = Verdict(ResultCode.SERVERSDK_FAIL)

#: The answer where it takes too long.
TOO_LATE = Verdict(ResultCode.SERVERSDK_TIMEOUT)


class WrongValue(Exception):
    """What a program's code gave is no answer; the text says why."""

    def __init__(self, reason: str, verdict: Verdict = UNAVAILABLE):
        super().__init__(reason)
        self.verdict = verdict
        """What the core is told instead."""


def verdict_of(question: Question, value: object) -> Verdict:
    """The verdict that a program's value stands for.

    Nothing lets a user in by accident: no None of a forgotten ``return``, and no
    False, which Python takes for 0.

    :raises WrongValue: it is no answer to that question.
    """
    wanted = "0 or a code"
    if isinstance(question, VerifyUser):
        if isinstance(value, UserVerdict):
            return _of_user(value)
        wanted = "a UserVerdict or a code that is not 0"
        if value == 0:
            raise WrongValue(f"{value!r} was returned where {wanted} is wanted")
    if not isinstance(value, int) or isinstance(value, bool):
        kind = type(value).__name__
        raise WrongValue(f"a {kind} was returned where {wanted} is wanted")
    if not 0 <= value <= MAX_CODE:
        raise WrongValue(f"{int(value)} was returned, codes are 0 to {MAX_CODE}")
    return Verdict(as_code(value))


def _of_user(user: UserVerdict) -> Verdict:
    for name, number in (("user_id", user.user_id), ("level", user.level)):
        if not isinstance(number, int) or isinstance(number, bool):
            raise WrongValue(f"{name} of the UserVerdict is a {type(number).__name__}")
    if not isinstance(user.nickname, str):
        kind = type(user.nickname).__name__
        raise WrongValue(f"nickname of the UserVerdict is a {kind}")
    if not 1 <= user.user_id <= MAX_ID:
        raise WrongValue(
            f"user_id of the UserVerdict is {user.user_id}, allowed is 1 to {MAX_ID}",
            Verdict(ResultCode.INVALID_USERID),
        )
    if not 0 <= user.level <= MAX_ID:
        raise WrongValue(
            f"level of the UserVerdict is {user.level}, allowed is 0 to {MAX_ID}"
        )
    return Verdict(
        ResultCode.SUCCESS, user.user_id, user.level, _sendable(user.nickname)
    )


def _sendable(nickname: str) -> str:
    """The nickname; where it cannot be one nothing, as the core has it, too."""
    try:
        nickname.encode("utf-8")
    except UnicodeEncodeError:
        return ""
    return nickname if len(nickname) <= MAX_NICKNAME else ""
