"""What a Python program may answer to a question of the core.

Business servers and Python plug-ins are judged alike.  Nothing lets a user in
by accident: no None of a forgotten ``return``, and no False, which Python takes
for 0.
"""

from dataclasses import dataclass

from anychat.business_messages import (
    MAX_LEVEL,
    MAX_NAME,
    MAX_USER_ID,
    Question,
    Verdict,
    VerifyUser,
)
from anychat.codes import MAX_CODE, ResultCode
from anychat.core.names import is_blank, is_fit


@dataclass(frozen=True, slots=True)
class UserVerdict:
    """The user may sign in, under this id."""

    user_id: int
    """Positive and of this user alone, the same at every login; up to 2**31 - 1."""
    level: int = 0
    """The application's own; 0 to 2**31 - 1."""
    nickname: str = ""
    """What the others see, up to 128 characters; empty: the name that was given."""


#: The answer where the program's code fails.
UNAVAILABLE = Verdict(ResultCode.SERVERSDK_FAIL)

#: The answer where it takes too long.
TOO_LATE = Verdict(ResultCode.SERVERSDK_TIMEOUT)


class WrongValue(Exception):
    """What a program's code gave is no answer, or not quite; the text says why."""

    def __init__(self, reason: str, verdict: Verdict = UNAVAILABLE):
        super().__init__(reason)
        self.verdict = verdict
        """What the core is told instead."""


def verdict_of(question: Question, value: object, *, tuples: bool = False) -> Verdict:
    """The verdict that a program's value stands for.

    :param tuples: whether the verdict on a login is spelt ``(code, user_id, level,
        nickname)`` or a part of that, as in plug-ins, and no `UserVerdict`.
    :raises WrongValue: it is no answer to that question.
    """
    wanted, lowest = "0 or a code", 0
    if isinstance(question, VerifyUser):
        if isinstance(value, UserVerdict) and not tuples:
            return _of_user(value)
        spelling = "(0, user_id, level, nickname)" if tuples else "a UserVerdict"
        wanted, lowest = f"{spelling} or a code that is not 0", 1
        if tuples and isinstance(value, tuple) and 1 <= len(value) <= 4:
            code, *user = value
            if not user or not _is_number(code) or code:
                # Who it is means nothing where nobody is let in.
                value = code
            else:
                return _of_user(UserVerdict(*user))
    if not isinstance(value, int) or isinstance(value, bool):
        kind = type(value).__name__
        raise WrongValue(f"a {kind} was returned where {wanted} is wanted")
    if value == 0 < lowest:
        raise WrongValue(f"0 was returned where {wanted} is wanted")
    if not lowest <= value <= MAX_CODE:
        raise WrongValue(f"{int(value)} was returned, codes are {lowest} to {MAX_CODE}")
    return Verdict(ResultCode(value))  # type: ignore[call-arg]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _of_user(user: UserVerdict) -> Verdict:
    for name, number in (("user_id", user.user_id), ("level", user.level)):
        if not _is_number(number):
            raise WrongValue(f"the {name} is a {type(number).__name__}, not a number")
    if not isinstance(user.nickname, str):
        raise WrongValue(f"the nickname is a {type(user.nickname).__name__}, no text")
    if not 1 <= user.user_id <= MAX_USER_ID:
        raise WrongValue(
            f"the user_id is {user.user_id}, allowed is 1 to {MAX_USER_ID}",
            Verdict(ResultCode.INVALID_USERID),
        )
    if not 0 <= user.level <= MAX_LEVEL:
        raise WrongValue(f"the level is {user.level}, allowed is 0 to {MAX_LEVEL}")
    code, nickname = ResultCode.SUCCESS, user.nickname
    if is_blank(nickname):
        return Verdict(code, user.user_id, user.level)
    if not is_fit(nickname):
        fault = (
            f"has {len(nickname)} characters, allowed are {MAX_NAME}"
            if len(nickname) > MAX_NAME
            else "has control characters, or is no text that can be sent"
        )
        raise WrongValue(
            f"the nickname {fault}; the name of the login is used instead",
            Verdict(code, user.user_id, user.level),
        )
    return Verdict(code, user.user_id, user.level, nickname)
