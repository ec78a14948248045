"""Signing in: who gets which id.

Guests, who give no password, get -2, -3, ... and never an id again that was
given before.  Named users get positive ids from 1; a name keeps its id while
the server runs, unless more names come than are remembered: then the name that
has been offline longest is forgotten, and its id with it.
"""

from itertools import islice

from anychat.codes import ResultCode
from anychat.core.changes import (
    Change,
    IdsGiven,
    NameForgotten,
    SessionStarted,
    UserNamed,
)
from anychat.core.commands import LinkLogin
from anychat.core.effects import RefuseLogin, StartSession
from anychat.core.names import is_blank, is_fit
from anychat.core.sessions import end
from anychat.core.settings import HallSettings
from anychat.core.state import State
from anychat.core.turn import ChangeTable, CommandTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import UserId
from anychat.messages import Login

#: Level of a user whom no business server gave another one.
DEFAULT_LEVEL = 0


def login(turn: Turn, command: LinkLogin) -> None:
    """Grant or refuse a login."""
    try:
        _check(turn.settings, command.message)
        if command.message.password:
            _login_named(turn, command)
        else:
            _start(turn, command, turn.state.next_guest_id)
    except Refused as refused:
        turn.effects.append(RefuseLogin(command.link, command.request, refused.code))


def _check(settings: HallSettings, message: Login) -> None:
    if is_blank(message.name):
        raise Refused(ResultCode.LOGIN_EMPTYNAME)
    if not is_fit(message.name) or not is_fit(message.local_address):
        raise Refused(ResultCode.FUNCOPTERROR)
    if settings.demo_mode:
        return
    if not message.password:
        if not settings.allow_guest_login:
            raise Refused(ResultCode.VISITOR_DENY)
    else:
        # Only a business server can tell whether the password is right.
        raise Refused(ResultCode.SERVERSDK_FAIL)


def _login_named(turn: Turn, command: LinkLogin) -> None:
    state = turn.state
    name = command.message.name
    user_id = state.names.get(name)
    if user_id is None:
        excess = len(state.names) + 1 - turn.settings.max_names
        if excess > 0:
            # One gives up its place.  After a rush, in which more users were
            # online than names are remembered, a second one goes with it.
            for forgotten in islice(state.offline, min(excess, 2)):
                turn.changes.append(NameForgotten(forgotten))
        user_id = state.next_user_id
        turn.changes.append(UserNamed(name, user_id))
    old = state.session_of(user_id)
    if old is not None:
        # A session without a link never stands in its own user's way.
        if not turn.settings.close_front_link and old.id not in state.held:
            raise Refused(ResultCode.ALREADY_LOGIN)
        end(turn, old, ResultCode.LOGIN_NEWLOGIN)
    _start(turn, command, user_id)


def _start(turn: Turn, command: LinkLogin, user_id: UserId) -> None:
    if command.session in turn.state.sessions:
        raise LocalError(f"session id {command.session} is not fresh")
    name = command.message.name
    turn.changes.append(
        SessionStarted(
            command.session,
            command.link,
            user_id,
            name,
            name,
            DEFAULT_LEVEL,
            command.address,
            command.message.local_address,
            command.device,
            command.secure,
        )
    )
    turn.effects.append(
        StartSession(
            command.session,
            command.link,
            command.request,
            user_id,
            DEFAULT_LEVEL,
            name,
            command.address,
            command.secure,
        )
    )


def _apply_named(state: State, change: UserNamed) -> None:
    if change.name in state.names:
        raise LocalError(f"user {state.names[change.name]} was named a second time")
    state.names[change.name] = change.user_id
    state.offline[change.name] = None
    state.next_user_id = max(state.next_user_id, UserId(change.user_id + 1))


def _apply_forgotten(state: State, change: NameForgotten) -> None:
    del state.offline[change.name]
    del state.names[change.name]


def _apply_ids_given(state: State, change: IdsGiven) -> None:
    state.next_user_id = change.next_user_id
    state.next_guest_id = change.next_guest_id


def snapshot(state: State) -> list[Change]:
    """The changes that bring names and counters back, sessions left out.

    All names are offline until a session starts; those that stay so come in
    the order in which they will be forgotten.
    """
    changes: list[Change] = [
        UserNamed(name, state.names[name]) for name in state.offline
    ]
    changes.extend(
        UserNamed(name, user_id)
        for name, user_id in state.names.items()
        if name not in state.offline
    )
    changes.append(IdsGiven(state.next_user_id, state.next_guest_id))
    return changes


#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {LinkLogin: login}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    UserNamed: _apply_named,
    NameForgotten: _apply_forgotten,
    IdsGiven: _apply_ids_given,
}
