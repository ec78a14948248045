"""Signed logins: a signature of the application's own server lets a user in.

The shell has looked at signature and time; here it is seen to that none is
used twice, and who the user is.  Nobody else is asked, whatever arbiter there
is, and neither demo mode nor AllowGuestLogin matters.
"""

import json

from anychat.codes import ResultCode
from anychat.core.changes import Change, SignatureForgotten, SignatureUsed
from anychat.core.commands import LinkSignedLogin
from anychat.core.effects import RefuseLogin
from anychat.core.licence import refuse_login
from anychat.core.names import is_blank, is_fit
from anychat.core.roster import (
    DEFAULT_LEVEL,
    make_way,
    start,
    start_named,
)
from anychat.core.state import PendingLogin, State, string_key
from anychat.core.turn import ChangeTable, CommandTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import UserId

#: Used signatures that are remembered: those of five minutes at 600 a second.
#: Only who signs can fill it.
MAX_SIGNATURES = 200_000
#: Signatures that one tick forgets at most.
_FORGOTTEN_AT_ONCE = 1000


def login(turn: Turn, command: LinkSignedLogin) -> None:
    """Let the user in for whom a signature speaks, or not."""
    message = command.message
    asked = PendingLogin(
        command.session,
        command.link,
        command.request,
        message.nickname,
        command.address,
        message.local_address,
        command.device,
        command.secure,
        True,
        message.string_id,
    )
    try:
        _check(turn, command)
        used = SignatureUsed(command.digest, turn.now + command.remaining)
        if message.user_id > 0:
            owner = turn.state.session_of(message.user_id)
            if owner is not None and (
                not owner.signed or owner.string_id != message.string_id
            ):
                raise Refused(
                    ResultCode.INVALID_USERID,
                    f"the signature gives user {message.nickname} the id "
                    f"{message.user_id}, which is that of {owner.name} who is online",
                )
            make_way(turn, UserId(message.user_id))
            start(turn, asked, UserId(message.user_id), DEFAULT_LEVEL, message.nickname)
        else:
            start_named(turn, asked, string_key(message.string_id))
        turn.changes.insert(0, used)
    except Refused as refused:
        turn.effects.append(
            RefuseLogin(command.link, command.request, refused.code, refused.reason)
        )


def _check(turn: Turn, command: LinkSignedLogin) -> None:
    refuse_login(turn)
    if command.checked != ResultCode.SUCCESS:
        raise Refused(command.checked)
    message = command.message
    if (
        is_blank(message.nickname)
        or not is_fit(message.nickname)
        or not is_fit(message.local_address)
        or not _is_object(message.parameters)
    ):
        raise Refused(ResultCode.SIGPARAMFAIL)
    if command.digest in turn.state.signatures:
        raise Refused(ResultCode.SIGALREADYUSED)
    if len(turn.state.signatures) >= MAX_SIGNATURES:
        raise Refused(ResultCode.NOENOUGHRESOURCE)


def _is_object(text: str) -> bool:
    """Whether parameters are empty, or the JSON object that they should be."""
    if not text:
        return True
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def next_timeout(state: State) -> float | None:
    """When the first used signature may be forgotten."""
    for until in state.signatures.values():
        return until
    return None


def tick(turn: Turn) -> None:
    """Forget the signatures that are too old, or the first of very many."""
    for digest, until in turn.state.signatures.items():
        if until > turn.now or len(turn.changes) >= _FORGOTTEN_AT_ONCE:
            break
        turn.changes.append(SignatureForgotten(digest))


def _apply_used(state: State, change: SignatureUsed) -> None:
    if change.digest in state.signatures:
        raise LocalError("a signature was used twice")
    state.signatures[change.digest] = change.until


def _apply_forgotten(state: State, change: SignatureForgotten) -> None:
    del state.signatures[change.digest]


def snapshot(state: State) -> list[Change]:
    """The changes that bring the used signatures back."""
    return [SignatureUsed(*item) for item in state.signatures.items()]


#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {LinkSignedLogin: login}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    SignatureUsed: _apply_used,
    SignatureForgotten: _apply_forgotten,
}
