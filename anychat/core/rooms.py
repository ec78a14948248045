"""Rooms: entered by number or by name, and left.

A user is in one room at a time.  Rooms 1 and 2 are always there in demo mode;
with AutoAddRoom any other one is made by whoever enters it first, takes that
one's password, and disappears with the last who leaves.

Where an arbiter is there, it is asked about an entry after all that the core
can tell alone, which is looked at again when the verdict comes.  Meanwhile the
room, be it there or not, keeps the number and the name that the arbiter heard.

The room of a video call keeps its number as long as the call lasts.  The two
parties may make it, whatever AutoAddRoom says; about anybody else who wants to
enter the arbiter decides, and without one nobody else is let in.
"""

from collections.abc import Iterable
from hmac import compare_digest

from anychat.business_messages import (
    Arbiter,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    PrepareEnterRoom,
)
from anychat.codes import ResultCode
from anychat.core.changes import (
    Change,
    EntryAsked,
    EntrySettled,
    RoomAdded,
    RoomEntered,
    RoomLeft,
    RoomRemoved,
)
from anychat.core.commands import RoomEntryPrepared, SessionMessage
from anychat.core.effects import (
    AskPrepareEnterRoom,
    QuestionClosed,
    Tell,
    WithdrawQuestion,
)
from anychat.core.licence import refuse_entry
from anychat.core.names import (
    MAX_ROOM_ID,
    is_blank,
    is_fit,
    numbered_name,
    room_number,
)
from anychat.core.state import (
    Entry,
    Membership,
    Reservation,
    Room,
    Session,
    State,
)
from anychat.core.streams import close_routes
from anychat.core.subscriptions import forget_member, leave_routes
from anychat.core.traces import leave_traces
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
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

#: The rooms of demo mode.  People meet there in any mode: no call is put into one.
DEMO_ROOMS = (RoomId(1), RoomId(2))

#: Members told in one message.  A member takes at most 555 bytes on the wire
#: (a nickname of 128 characters of 4 bytes, 16 streams), a frame 64 KiB.
MEMBERS_PER_MESSAGE = 100


def enter(
    turn: Turn, asker: Session, command: SessionMessage, message: EnterRoom
) -> None:
    """Enter the room of that number."""
    _refuse_second_room(turn, asker)
    if not 1 <= message.room_id <= MAX_ROOM_ID:
        raise Refused(ResultCode.ROOM_INVALID)
    room_id = RoomId(message.room_id)
    name = _name_of(turn.state, room_id)
    _enter(
        turn,
        asker,
        Entry(asker.id, command.request, room_id, name, command.password, room_id),
        message.password,
    )


def enter_by_name(
    turn: Turn, asker: Session, command: SessionMessage, message: EnterRoomByName
) -> None:
    """Enter the room of that name; a new one gets the lowest free number."""
    _refuse_second_room(turn, asker)
    if is_blank(message.name) or not is_fit(message.name):
        raise Refused(ResultCode.ROOM_INVALID)
    name = message.name
    room_id = turn.state.room_names.get(name) or room_number(name)
    if room_id is not None:
        name = _name_of(turn.state, room_id)
    else:
        room_id = RoomId(turn.state.free_rooms.lowest)
    _enter(
        turn,
        asker,
        Entry(asker.id, command.request, room_id, name, command.password, 0),
        message.password,
    )


def prepared(turn: Turn, command: RoomEntryPrepared) -> None:
    """Take the verdict on an entry, if somebody still waits for it."""
    entry = turn.state.entering.get(command.session)
    if entry is None or entry.request != command.request:
        turn.effects.append(QuestionClosed(command.session))
        return
    turn.changes.append(EntrySettled(entry.session))
    asker = turn.state.sessions[entry.session]
    try:
        if command.verdict.code != ResultCode.SUCCESS:
            raise Refused(command.verdict.code)
        _refuse_no_space(turn, asker, entry)
    except Refused as refused:
        turn.reply(asker.id, entry.request, EnterRoomResult(refused.code, entry.named))
    else:
        _admit(turn, asker, entry)


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
    leave_traces(turn, asker, room)
    turn.changes.append(RoomLeft(room.id, asker.id))
    turn.send(room.others(asker.id), UserAtRoom(False, _bare_member(asker)))
    turn.effects.append(Tell(OnUserLeaveRoomAction(asker.user_id, room.id)))
    if room.automatic and len(room.members) == 1:
        turn.changes.append(RoomRemoved(room.id))


def give_up(turn: Turn, asker: Session) -> None:
    """Forget the entry that the session waits for, if there is one."""
    if asker.id in turn.state.entering:
        turn.changes.append(EntrySettled(asker.id))
        turn.effects.append(WithdrawQuestion(asker.id, asker.address))


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


def _refuse_second_room(turn: Turn, asker: Session) -> None:
    if asker.room_id is not None or asker.id in turn.state.entering:
        raise Refused(ResultCode.ROOM_ALREADIN)


def _refuse_no_space(turn: Turn, asker: Session, entry: Entry) -> None:
    """Refuse where the room may not be made, or is full, or nobody may enter any.

    The room of a call is a part of it, and calls that run go on.
    """
    call = turn.state.call_rooms.get(entry.room_id)
    if call is None or call != asker.call:
        refuse_entry(turn)
    room = turn.state.rooms.get(entry.room_id)
    if room is None:
        adds = turn.settings.auto_add_room or entry.room_id in turn.state.call_rooms
        if not adds:
            raise Refused(ResultCode.ROOM_INVALID)
    elif len(room.members) >= turn.settings.max_users_per_room:
        raise Refused(ResultCode.ROOM_FULLUSER)


def _name_of(state: State, room_id: RoomId) -> str:
    """The name of the room of that number, which need not be there."""
    known = state.rooms.get(room_id) or state.reserved.get(room_id)
    return numbered_name(room_id) if known is None else known.name


def _enter(turn: Turn, asker: Session, entry: Entry, password: str) -> None:
    """Enter the room, or ask the arbiter first."""
    asked = turn.state.admitter is Arbiter.THERE
    if not asked:
        _refuse_alone(turn, asker, entry)
    _refuse_no_space(turn, asker, entry)
    if asked:
        _ask(turn, asker, entry, password)
    else:
        _admit(turn, asker, entry)


def _refuse_alone(turn: Turn, asker: Session, entry: Entry) -> None:
    """Refuse what the core refuses where no arbiter decides."""
    away = turn.state.admitter is Arbiter.AWAY
    if away and not (turn.settings.demo_mode or asker.vouched):
        raise Refused(ResultCode.SERVERSDK_FAIL)
    call = turn.state.call_rooms.get(entry.room_id)
    if call is not None and call != asker.call:
        raise Refused(ResultCode.ROOM_REJECT)
    room = turn.state.rooms.get(entry.room_id)
    if room is None or room.password is None:
        return
    if not compare_digest(room.password, entry.password):
        raise Refused(ResultCode.ROOM_PASSERR)


def _ask(turn: Turn, asker: Session, entry: Entry, password: str) -> None:
    turn.changes.append(EntryAsked(entry))
    turn.effects.append(
        AskPrepareEnterRoom(
            asker.id,
            entry.request,
            PrepareEnterRoom(asker.user_id, entry.room_id, entry.name, password),
        )
    )


def _admit(turn: Turn, asker: Session, entry: Entry) -> None:
    """Let the session in; who enters a room that is not there makes it."""
    room_id, name = entry.room_id, entry.name
    room = turn.state.rooms.get(room_id)
    if room is None:
        # Both parties of a call know its room by the number alone.
        password = None if room_id in turn.state.call_rooms else entry.password
        turn.changes.append(RoomAdded(room_id, name, True, password))
    others = {} if room is None else room.members
    vouched = turn.state.admitter is Arbiter.THERE
    turn.changes.append(RoomEntered(room_id, asker.id, vouched))
    turn.reply(
        asker.id, entry.request, EnterRoomResult(ResultCode.SUCCESS, room_id, name)
    )
    tell_members(turn, asker.id, room_id, others.values())
    turn.send(tuple(others), UserAtRoom(True, _bare_member(asker)))
    turn.effects.append(Tell(OnUserEnterRoomAction(asker.user_id, room_id)))


def _bare_member(session: Session) -> Member:
    """A member on the threshold: without streams."""
    return Member(session.user_id, session.level, session.nickname)


def _apply_asked(state: State, change: EntryAsked) -> None:
    entry = change.entry
    session = state.sessions[entry.session]
    if session.room_id is not None or session.id in state.entering:
        raise LocalError(f"session {session.id} wants to enter a second room")
    reserve(state, entry.room_id, entry.name)
    state.entering[session.id] = entry


def _apply_settled(state: State, change: EntrySettled) -> None:
    release(state, state.entering.pop(change.session).room_id)


def reserve(state: State, room_id: RoomId, name: str) -> None:
    """Part of applying a change: the room keeps its number and name, made or not."""
    _name(state, room_id, name)
    state.reserved.setdefault(room_id, Reservation(name, 0)).entries += 1


def release(state: State, room_id: RoomId) -> None:
    """Part of applying a change: one reason less to keep them."""
    reservation = state.reserved[room_id]
    reservation.entries -= 1
    if not reservation.entries:
        del state.reserved[room_id]
        if room_id not in state.rooms:
            _free(state, room_id, reservation.name)


def _name(state: State, room_id: RoomId, name: str) -> None:
    """Number and name belong together from now on, if they did not yet."""
    known = state.rooms.get(room_id) or state.reserved.get(room_id)
    if (known is not None and known.name != name) or (
        state.room_names.setdefault(name, room_id) != room_id
    ):
        raise LocalError(f"room {room_id} or its name is another one's")
    state.free_rooms.take(room_id)
    state.free_call_rooms.take(room_id)


def _free(state: State, room_id: RoomId, name: str) -> None:
    del state.room_names[name]
    state.free_rooms.release(room_id)
    if room_id not in DEMO_ROOMS:
        state.free_call_rooms.release(room_id)


def _apply_added(state: State, change: RoomAdded) -> None:
    if change.room_id in state.rooms:
        raise LocalError(f"room {change.room_id} is there already")
    _name(state, change.room_id, change.name)
    state.rooms[change.room_id] = Room(
        change.room_id, change.name, change.automatic, change.password
    )


def _apply_removed(state: State, change: RoomRemoved) -> None:
    room = state.rooms.pop(change.room_id)
    if room.members:
        raise LocalError(f"room {room.id} was removed with members in it")
    if room.id not in state.reserved:
        _free(state, room.id, room.name)


def _apply_entered(state: State, change: RoomEntered) -> None:
    session = state.sessions[change.session]
    if session.room_id is not None or session.id in state.entering:
        raise LocalError(f"session {session.id} entered a second room")
    session.room_id = change.room_id
    session.vouched = session.vouched or change.vouched
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
    changes.extend(EntryAsked(entry) for entry in state.entering.values())
    return changes


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {
    EnterRoom: enter,
    EnterRoomByName: enter_by_name,
    LeaveRoom: leave,
}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {RoomEntryPrepared: prepared}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    EntryAsked: _apply_asked,
    EntrySettled: _apply_settled,
    RoomAdded: _apply_added,
    RoomRemoved: _apply_removed,
    RoomEntered: _apply_entered,
    RoomLeft: _apply_left,
}
