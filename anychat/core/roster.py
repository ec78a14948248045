"""Signing in: who gets which id.

Guests, who give no password, get -2, -3, ... and never an id again that was
given before.  About named users an arbiter decides, who gives them their ids
(``logins``), or a signature brings an id (``signed``).  Without either, in demo
mode, they get positive ids from 1; a name keeps its id while the server runs,
unless more names come than are remembered: then the name that has been offline
longest is forgotten, and its id with it.  String ids of signed logins stand
among the names.
"""

from itertools import islice

from anychat.business_messages import Arbiter, OnUserLoginAction
from anychat.codes import ResultCode
from anychat.core.changes import (
    Change,
    IdsGiven,
    NameForgotten,
    SessionStarted,
    UserNamed,
)
from anychat.core.effects import StartSession, Tell
from anychat.core.licence import refuse_beyond_seats
from anychat.core.profiles import tell_friends
from anychat.core.sessions import end
from anychat.core.state import PendingLogin, State
from anychat.core.turn import ChangeTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import UserId

#: Level of a user whom no arbiter gave another one.
DEFAULT_LEVEL = 0


def start_guest(turn: Turn, login: PendingLogin) -> None:
    """Let a guest in.

    :raises Refused: 104, 105: there is no seat.
    """
    refuse_beyond_seats(turn)
    start(turn, login, turn.state.next_guest_id, DEFAULT_LEVEL, login.name)


def start_named(turn: Turn, login: PendingLogin, key: str = "") -> None:
    """Let a named user in without asking anybody.

    :param key: what the id is remembered by, if not by the name.
    :raises Refused: 201, 104, 105, see `make_way`.
    """
    key = key or login.name
    user_id = _known_id(turn.state, key)
    if user_id is None:
        refuse_beyond_seats(turn)
        user_id = _name(turn, key)
    else:
        make_way(turn, user_id)
    start(turn, login, user_id, DEFAULT_LEVEL, login.name)


def make_way(turn: Turn, user_id: UserId) -> None:
    """End the session that the user has (CloseFrontLink), or find a seat.

    A session without a link never stands in its own user's way.

    :raises Refused: 201, the old session stays; 104, 105: there is no seat.
    """
    old = turn.state.session_of(user_id)
    if old is None:
        refuse_beyond_seats(turn)
    elif turn.settings.close_front_link or old.id in turn.state.held:
        end(turn, old, ResultCode.LOGIN_NEWLOGIN)
    else:
        raise Refused(ResultCode.ALREADY_LOGIN)


def start(
    turn: Turn, login: PendingLogin, user_id: UserId, level: int, nickname: str
) -> None:
    """Begin the session; nobody has that id."""
    if login.session in turn.state.sessions:
        raise LocalError(f"session id {login.session} is not fresh")
    turn.changes.append(
        SessionStarted(
            login.session,
            login.link,
            user_id,
            login.name,
            nickname,
            level,
            login.address,
            login.local_address,
            login.device,
            login.secure,
            turn.state.admitter is not Arbiter.AWAY,
            login.signed,
            login.string_id,
        )
    )
    turn.effects.append(
        StartSession(
            login.session,
            login.link,
            login.request,
            user_id,
            level,
            nickname,
            login.address,
            login.secure,
        )
    )
    turn.effects.append(
        Tell(OnUserLoginAction(user_id, login.name, level, login.address))
    )
    tell_friends(turn, user_id, online=True)


def _known_id(state: State, name: str) -> UserId | None:
    """The id of a name, unless an arbiter gave it to somebody else meanwhile."""
    user_id = state.names.get(name)
    if user_id is None:
        return None
    owner = state.session_of(user_id)
    return user_id if owner is None or owner.remembered_by == name else None


def _name(turn: Turn, name: str) -> UserId:
    """Give a name an id that nobody has."""
    state = turn.state
    if name in state.names:
        turn.changes.append(NameForgotten(name))
    else:
        excess = len(state.names) + 1 - turn.settings.max_names
        if excess > 0:
            # One gives up its place.  After a rush, in which more users were
            # online than names are remembered, a second one goes with it.
            for forgotten in islice(state.offline, min(excess, 2)):
                turn.changes.append(NameForgotten(forgotten))
    user_id = state.next_user_id
    while user_id in state.users:  # given by an arbiter
        user_id = UserId(user_id + 1)
    turn.changes.append(UserNamed(name, user_id))
    return user_id


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


#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    UserNamed: _apply_named,
    NameForgotten: _apply_forgotten,
    IdsGiven: _apply_ids_given,
}
