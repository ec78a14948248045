"""The life of a session: it is held while its link is lost, and it ends.

::

               LinkLost             LinkResumed
    ACTIVE  ------------>  HELD  ---------------->  ACTIVE
      |                      |
      | Logout, new login    | new login, or Tick after the hold time
      v                      v
    ENDED                  ENDED

The other members of its room are not told of a hold; what is sent meanwhile
waits in the session's replay buffer.
"""

from anychat.business_messages import OnUserLogoutActionEx
from anychat.codes import ResultCode
from anychat.core import calls, profiles, transfers
from anychat.core.changes import (
    Change,
    SessionEnded,
    SessionHeld,
    SessionResumed,
    SessionStarted,
)
from anychat.core.commands import LinkLost, LinkResumed, SessionMessage
from anychat.core.effects import EndSession, Tell
from anychat.core.rooms import depart, give_up, tell_members
from anychat.core.state import Room, Session, State
from anychat.core.subscriptions import grant_again
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
from anychat.errors import LocalError
from anychat.ids import UserId
from anychat.messages import Logout, PublishedStream, Result, Resync


def logout(
    turn: Turn, asker: Session, command: SessionMessage, message: Logout
) -> None:
    """End the session at its own wish."""
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))
    end(turn, asker, ResultCode.SUCCESS)


def end(turn: Turn, session: Session, code: ResultCode) -> None:
    """End a session: it leaves its room, with everything that hangs on it."""
    give_up(turn, session)
    calls.give_up(turn, session, code)
    transfers.give_up(turn, session)
    depart(turn, session)
    profiles.forget(turn, session)
    turn.changes.append(SessionEnded(session.id, code))
    turn.effects.append(EndSession(session.id, code))
    turn.effects.append(Tell(OnUserLogoutActionEx(session.user_id, code)))


def link_lost(turn: Turn, command: LinkLost) -> None:
    """Hold the session."""
    state = turn.state
    if command.session in state.sessions and command.session not in state.held:
        turn.changes.append(
            SessionHeld(command.session, turn.now + turn.settings.hold_time)
        )
        transfers.suspend(turn, state.sessions[command.session])


def link_resumed(turn: Turn, command: LinkResumed) -> None:
    """Give the session its new link, held or not: a client may notice first."""
    session = turn.state.sessions.get(command.session)
    if session is None:
        return
    if session.id not in turn.state.held:
        transfers.suspend(turn, session)  # what its last link carried is lost
    turn.changes.append(SessionResumed(session.id, command.link, command.address))
    if command.resync:
        _resync(turn, session)
    transfers.resume(turn, session, resync=command.resync)


def next_timeout(state: State) -> float | None:
    """When the first hold time is over."""
    for until in state.held.values():
        return until
    return None


def tick(turn: Turn) -> None:
    """End the session whose hold time was over first."""
    session = next(iter(turn.state.held))
    end(turn, turn.state.sessions[session], ResultCode.CONNECT_ABORT)


def _resync(turn: Turn, session: Session) -> None:
    """Tell a client that missed something the whole state."""
    if session.room_id is None:
        turn.send((session.id,), Resync(session.user_id, 0))
    else:
        room = turn.state.rooms[session.room_id]
        turn.send((session.id,), _whole_state(session, room))
        tell_members(
            turn,
            session.id,
            room.id,
            [room.members[other] for other in room.others(session.id)],
        )
        grant_again(turn, session, room)
    calls.tell_status(turn, session)
    profiles.tell_set_again(turn, session)


def _whole_state(session: Session, room: Room) -> Resync:
    membership = room.members[session.id]
    return Resync(
        session.user_id,
        room.id,
        room.name,
        tuple(
            PublishedStream(
                publication.kind, publication.stream_index, publication.ssrc
            )
            for publication in membership.published.values()
        ),
        tuple(membership.watching),
    )


def _apply_started(state: State, change: SessionStarted) -> None:
    if change.session in state.sessions or change.user_id in state.users:
        raise LocalError(f"session {change.session} or its user is there already")
    state.sessions[change.session] = Session(
        change.session,
        change.link,
        change.user_id,
        change.name,
        change.nickname,
        change.level,
        change.address,
        change.local_address,
        change.device,
        change.secure,
        change.vouched,
        change.signed,
        change.string_id,
    )
    session = state.sessions[change.session]
    state.users[change.user_id] = change.session
    _index(state.by_name, change.name, change.user_id)
    if change.string_id:
        _index(state.by_string_id, change.string_id, change.user_id)
    if change.user_id < 0:
        state.next_guest_id = min(state.next_guest_id, UserId(change.user_id - 1))
    elif state.names.get(session.remembered_by) == change.user_id:
        state.offline.pop(session.remembered_by, None)


def _index(index: dict[str, dict[UserId, None]], text: str, user_id: UserId) -> None:
    index.setdefault(text, {})[user_id] = None


def _unindex(index: dict[str, dict[UserId, None]], text: str, user_id: UserId) -> None:
    del index[text][user_id]
    if not index[text]:
        del index[text]


def _apply_held(state: State, change: SessionHeld) -> None:
    if change.session not in state.sessions:
        raise LocalError(f"session {change.session} cannot be held: it is over")
    state.held[change.session] = change.until


def _apply_resumed(state: State, change: SessionResumed) -> None:
    session = state.sessions[change.session]
    session.link = change.link
    session.address = change.address
    state.held.pop(session.id, None)


def _apply_ended(state: State, change: SessionEnded) -> None:
    session = state.sessions.pop(change.session)
    if session.room_id is not None:
        raise LocalError(f"session {session.id} ended in room {session.room_id}")
    if session.call is not None:
        raise LocalError(f"session {session.id} ended in a call")
    if session.sending or session.receiving:
        raise LocalError(f"session {session.id} ended with transfers under way")
    del state.users[session.user_id]
    state.held.pop(session.id, None)
    if session.id in state.entering:
        raise LocalError(f"session {session.id} ended while it waits to enter")
    if session.user_id in state.profiles and state.profiles[session.user_id].friends:
        raise LocalError(f"session {session.id} ended with friends")
    _unindex(state.by_name, session.name, session.user_id)
    if session.string_id:
        _unindex(state.by_string_id, session.string_id, session.user_id)
    if state.names.get(session.remembered_by) == session.user_id:
        state.offline[session.remembered_by] = None


def snapshot(state: State) -> list[Change]:
    """The changes that bring the sessions back, rooms left out."""
    changes: list[Change] = [
        SessionStarted(
            session.id,
            session.link,
            session.user_id,
            session.name,
            session.nickname,
            session.level,
            session.address,
            session.local_address,
            session.device,
            session.secure,
            session.vouched,
            session.signed,
            session.string_id,
        )
        for session in state.sessions.values()
    ]
    changes.extend(SessionHeld(session, until) for session, until in state.held.items())
    return changes


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {Logout: logout}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {LinkLost: link_lost, LinkResumed: link_resumed}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    SessionStarted: _apply_started,
    SessionHeld: _apply_held,
    SessionResumed: _apply_resumed,
    SessionEnded: _apply_ended,
}
