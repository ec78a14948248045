"""Rooms: entered by number or by name, and left.

A user is in one room at a time.  Rooms 1 and 2 are always there in demo mode;
with AutoAddRoom any other one is made by whoever enters it first, takes that
one's password, and disappears with the last who leaves.
"""

from collections.abc import Iterable
from hmac import compare_digest

from anychat.codes import ResultCode
from anychat.core.changes import Change, RoomAdded, RoomEntered, RoomLeft, RoomRemoved
from anychat.core.commands import SessionMessage
from anychat.core.names import (
    MAX_ROOM_ID,
    is_blank,
    is_fit,
    numbered_name,
    room_number,
)
from anychat.core.state import Membership, Room, Session, State
from anychat.core.streams import close_routes
from anychat.core.subscriptions import forget_member, leave_routes
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import RoomId, SessionId
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Member,
    OnlineUser,
    Result,
    RoomMembers,
    UserAtRoom,
)

#: The rooms of demo mode.
DEMO_ROOMS = (RoomId(1), RoomId(2))

#: Members told in one message.  A member takes at most 555 bytes on the wire
#: (a nickname of 128 characters of 4 bytes, 16 streams), a frame 64 KiB.
MEMBERS_PER_MESSAGE = 100


def enter(
    turn: Turn, asker: Session, command: SessionMessage, message: EnterRoom
) -> None:
    """Enter the room of that number."""
    _refuse_second_room(asker)
    if not 1 <= message.room_id <= MAX_ROOM_ID:
        raise Refused(ResultCode.ROOM_INVALID)
    _enter_number(turn, asker, command, RoomId(message.room_id))


def enter_by_name(
    turn: Turn, asker: Session, command: SessionMessage, message: EnterRoomByName
) -> None:
    """Enter the room of that name; a new one gets the lowest free number."""
    _refuse_second_room(asker)
    if is_blank(message.name) or not is_fit(message.name):
        raise Refused(ResultCode.ROOM_INVALID)
    room_id = turn.state.room_names.get(message.name) or room_number(message.name)
    if room_id is not None:
        _enter_number(turn, asker, command, room_id)
    else:
        _found(turn, asker, command, RoomId(turn.state.free_rooms.lowest), message.name)


def leave(
    turn: Turn, asker: Session, command: SessionMessage, message: LeaveRoom
) -> None:
    """Leave the room that one is in."""
    if asker.room_id is None or asker.room_id != message.room_id:
        raise Refused(ResultCode.ROOM_NOTIN)
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))
    depart(turn, asker)


def depart(turn: Turn, asker: Session) -> None:
    """Take a session out of its room, if it is in one, and tell the others."""
    if asker.room_id is None:
        return
    room = turn.state.rooms[asker.room_id]
    close_routes(turn, asker, room)
    leave_routes(turn, asker, room)
    turn.changes.append(RoomLeft(room.id, asker.id))
    turn.send(room.others(asker.id), UserAtRoom(False, _bare_member(asker)))
    if room.automatic and len(room.members) == 1:
        turn.changes.append(RoomRemoved(room.id))


def tell_members(
    turn: Turn,
    session: SessionId,
    room_id: RoomId,
    others: Iterable[Membership],
) -> None:
    """Tell a member who the others are: ROOMMEMBERS, then one ONLINEUSER."""
    members = tuple([other.member for other in others])
    for start in range(0, len(members), MEMBERS_PER_MESSAGE):
        turn.send(
            (session,),
            RoomMembers(room_id, members[start : start + MEMBERS_PER_MESSAGE]),
        )
    turn.send((session,), OnlineUser(len(members) + 1, room_id))


def _refuse_second_room(asker: Session) -> None:
    if asker.room_id is not None:
        raise Refused(ResultCode.ROOM_ALREADIN)


def _enter_number(
    turn: Turn, asker: Session, command: SessionMessage, room_id: RoomId
) -> None:
    room = turn.state.rooms.get(room_id)
    if room is None:
        _found(turn, asker, command, room_id, numbered_name(room_id))
        return
    if room.password is not None and not compare_digest(
        room.password, command.password
    ):
        raise Refused(ResultCode.ROOM_PASSERR)
    if len(room.members) >= turn.settings.max_users_per_room:
        raise Refused(ResultCode.ROOM_FULLUSER)
    _admit(turn, asker, command, room_id, room.name, room.members)


def _found(
    turn: Turn, asker: Session, command: SessionMessage, room_id: RoomId, name: str
) -> None:
    """Make the room and enter it."""
    if not turn.settings.auto_add_room:
        raise Refused(ResultCode.ROOM_INVALID)
    turn.changes.append(RoomAdded(room_id, name, True, command.password))
    _admit(turn, asker, command, room_id, name, {})


def _admit(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    room_id: RoomId,
    name: str,
    others: dict[SessionId, Membership],
) -> None:
    turn.changes.append(RoomEntered(room_id, asker.id))
    turn.reply(
        asker.id, command.request, EnterRoomResult(ResultCode.SUCCESS, room_id, name)
    )
    tell_members(turn, asker.id, room_id, others.values())
    turn.send(tuple(others), UserAtRoom(True, _bare_member(asker)))


def _bare_member(session: Session) -> Member:
    """A member on the threshold: without streams."""
    return Member(session.user_id, session.level, session.nickname)


def _apply_added(state: State, change: RoomAdded) -> None:
    if change.room_id in state.rooms or change.name in state.room_names:
        raise LocalError(f"room {change.room_id} or its name is there already")
    state.rooms[change.room_id] = Room(
        change.room_id, change.name, change.automatic, change.password
    )
    state.room_names[change.name] = change.room_id
    state.free_rooms.take(change.room_id)


def _apply_removed(state: State, change: RoomRemoved) -> None:
    room = state.rooms.pop(change.room_id)
    if room.members:
        raise LocalError(f"room {room.id} was removed with members in it")
    del state.room_names[room.name]
    state.free_rooms.release(room.id)


def _apply_entered(state: State, change: RoomEntered) -> None:
    session = state.sessions[change.session]
    if session.room_id is not None:
        raise LocalError(f"session {session.id} entered a second room")
    session.room_id = change.room_id
    state.rooms[change.room_id].members[change.session] = Membership(
        _bare_member(session)
    )


def _apply_left(state: State, change: RoomLeft) -> None:
    session = state.sessions[change.session]
    room = state.room_of(session)
    forget_member(state, room, session)
    del room.members[session.id]
    session.room_id = None


def snapshot(state: State) -> list[Change]:
    """The changes that bring rooms and members back, streams left out.

    Rooms that are always there are not among them: a new hall has them.
    """
    changes: list[Change] = []
    for room in state.rooms.values():
        if room.automatic:
            changes.append(RoomAdded(room.id, room.name, True, room.password))
        changes.extend(RoomEntered(room.id, session) for session in room.members)
    return changes


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {
    EnterRoom: enter,
    EnterRoomByName: enter_by_name,
    LeaveRoom: leave,
}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    RoomAdded: _apply_added,
    RoomRemoved: _apply_removed,
    RoomEntered: _apply_entered,
    RoomLeft: _apply_left,
}
