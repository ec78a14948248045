"""UDP traces: which members take part, and who gets whose probes.

Whoever takes part listens; who sends says to whom: one member, all that take part,
or himself, by way of the server.  The probes themselves are the media plane's.  A
part in traces hangs on the membership and ends with it.
"""

from collections.abc import Mapping

from anychat.codes import WHOLE_ROOM, ResultCode, TraceMode
from anychat.core.changes import Change, TraceSet
from anychat.core.commands import SessionMessage
from anychat.core.effects import RouteTrace
from anychat.core.state import Room, Session, State, TracePart
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import Refused
from anychat.ids import SessionId
from anychat.messages import Result, SetUdpTrace


def set_trace(
    turn: Turn, asker: Session, command: SessionMessage, message: SetUdpTrace
) -> None:
    """Take part in traces, or no longer."""
    room = turn.state.room_of(asker)
    part = None
    if message.mode is not TraceMode.OFF:
        if not asker.secure:
            raise Refused(ResultCode.FUNCNOTALLOW)
        part = TracePart(message.mode, _target(turn.state, room, asker, message))
    before = _parts(room)
    if before.get(asker.id) != part:
        turn.changes.append(TraceSet(asker.id, part))
        after = dict(before)
        after.pop(asker.id, None)
        if part is not None:
            after[asker.id] = part
        _reroute(turn, before, after)
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def _target(state: State, room: Room, asker: Session, message: SetUdpTrace) -> int:
    if message.mode is not TraceMode.SEND or message.target in (0, WHOLE_ROOM):
        return message.target if message.mode is TraceMode.SEND else 0
    target = state.session_of(message.target)
    if target is None or target.id not in room.members:
        raise Refused(ResultCode.INVALID_USERID)
    return 0 if target is asker else message.target


def leave_traces(turn: Turn, asker: Session, room: Room) -> None:
    """A member is about to leave the room."""
    before = _parts(room)
    if asker.id in before:
        after = dict(before)
        del after[asker.id]
        _reroute(turn, before, after)


def _parts(room: Room) -> dict[SessionId, TracePart]:
    return {
        session: membership.trace
        for session, membership in room.members.items()
        if membership.trace is not None
    }


def _reroute(
    turn: Turn,
    before: Mapping[SessionId, TracePart],
    after: Mapping[SessionId, TracePart],
) -> None:
    """Say where probes go now, where that has changed."""
    sessions = turn.state.sessions
    for session in {**before, **after}:
        receivers = _receivers(turn.state, session, after)
        if receivers != _receivers(turn.state, session, before):
            user_id = sessions[session].user_id
            turn.effects.append(RouteTrace(session, user_id, receivers))


def _receivers(
    state: State, session: SessionId, parts: Mapping[SessionId, TracePart]
) -> tuple[SessionId, ...] | None:
    """Who gets a member's probes; None: it sends none."""
    part = parts.get(session)
    if part is None or part.mode is not TraceMode.SEND:
        return None
    if part.target == 0:
        return (session,)
    if part.target == WHOLE_ROOM:
        return tuple([other for other in parts if other != session])
    target = state.session_of(part.target)
    return (target.id,) if target is not None and target.id in parts else ()


def _apply_trace(state: State, change: TraceSet) -> None:
    session = state.sessions[change.session]
    state.room_of(session).members[session.id].trace = change.part


def snapshot(room: Room, session: Session) -> list[Change]:
    """The change that brings a member's part back."""
    part = room.members[session.id].trace
    return [] if part is None else [TraceSet(session.id, part)]


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {SetUdpTrace: set_trace}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {TraceSet: _apply_trace}
