"""The core's dealings with business servers and plug-ins.

Who decides about logins and entries, what a client says to whoever is there
(filter data), and what that one wants done (`FilterCall`).  What is told of
sessions, rooms and texts stands where it happens, as a `Tell`.
"""

from collections.abc import Callable
from typing import Any

from anychat.business_messages import (
    MAX_BUFFER,
    Answer,
    Call,
    FetchFile,
    GetOnlineUsers,
    GetRoomIdList,
    OnRecvUserFilterData,
    SendBufToRoom,
    SendBufToUser,
    TransBufferEx,
    TransBufferToUser,
    TransFile,
)
from anychat.codes import BUSINESS_SERVER, ResultCode
from anychat.core import calls, options, people, queries, transfers
from anychat.core.changes import ArbitersSet, Change
from anychat.core.channels import check_buffer
from anychat.core.commands import ArbitersChanged, FilterCall, SessionMessage
from anychat.core.effects import AnswerCall, Offer
from anychat.core.state import Room, Session, State
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
from anychat.errors import Refused
from anychat.ids import RoomId
from anychat.messages import (
    SDKFilterData,
    SendSDKFilterData,
    TransBufferData,
)

#: What `GetOnlineUsers` gives for a room to mean everybody.
EVERYBODY = -1


def arbiters_changed(turn: Turn, command: ArbitersChanged) -> None:
    """Remember who decides; questions that are open get their answers yet."""
    state = turn.state
    change = ArbitersSet(
        command.verifier, command.admitter, command.hears, command.judges_calls
    )
    if change != _arbiters(state):
        turn.changes.append(change)


def send_filter_data(
    turn: Turn, asker: Session, command: SessionMessage, message: SendSDKFilterData
) -> None:
    """A client's data for the plug-in or the business servers."""
    check_buffer(message.data, MAX_BUFFER)
    if not turn.state.attended:
        raise Refused(ResultCode.SERVERSDK_FAIL)
    event = OnRecvUserFilterData(asker.user_id, message.data)
    turn.effects.append(Offer(asker.id, command.request, event))


def call(turn: Turn, command: FilterCall) -> None:
    """Do what a business server or plug-in wants; a refusal is an answer."""
    if isinstance(command.call, FetchFile):
        transfers.fetch_file(turn, command, command.call)
        return
    try:
        given = _CALLS[type(command.call)](turn, command.call)
        answer = (
            given if isinstance(given, Answer) else Answer(ResultCode.SUCCESS, given)
        )
    except Refused as refused:
        answer = Answer(refused.code)
    turn.effects.append(AnswerCall(command.number, answer))


def _send_to_user(turn: Turn, call: SendBufToUser) -> tuple[int, ...]:
    check_buffer(call.data, MAX_BUFFER)
    turn.send((_user(turn.state, call.user_id).id,), SDKFilterData(call.data))
    return ()


def _send_to_room(turn: Turn, call: SendBufToRoom) -> tuple[int, ...]:
    check_buffer(call.data, MAX_BUFFER)
    turn.send(tuple(_room(turn.state, call.room_id).members), SDKFilterData(call.data))
    return ()


def _trans_buffer(turn: Turn, call: TransBufferToUser) -> tuple[int, ...]:
    check_buffer(call.data)
    turn.send(
        (_user(turn.state, call.user_id).id,),
        TransBufferData(BUSINESS_SERVER, call.data),
    )
    return ()


def _online_users(turn: Turn, call: GetOnlineUsers) -> tuple[int, ...]:
    if call.room_id == EVERYBODY:
        return tuple(turn.state.users)
    members = _room(turn.state, call.room_id).members.values()
    return tuple([membership.member.user_id for membership in members])


def _rooms(turn: Turn, call: GetRoomIdList) -> tuple[int, ...]:
    return tuple(turn.state.rooms)


def _user(state: State, user_id: int) -> Session:
    session = state.session_of(user_id)
    if session is None:
        raise Refused(ResultCode.INVALID_USERID)
    return session


def _room(state: State, room_id: int) -> Room:
    room = state.rooms.get(RoomId(room_id))
    if room is None:
        raise Refused(ResultCode.ROOM_INVALID)
    return room


def _apply_set(state: State, change: ArbitersSet) -> None:
    state.verifier = change.verifier
    state.admitter = change.admitter
    state.hears = change.hears
    state.judges_calls = change.judges_calls


def _arbiters(state: State) -> ArbitersSet:
    return ArbitersSet(state.verifier, state.admitter, state.hears, state.judges_calls)


def snapshot(state: State) -> list[Change]:
    """The change that brings back who decides."""
    return [_arbiters(state)]


#: Who carries out a call, by its type; gives the answer, or the ids of one.
_CALLS: dict[type[Call], Callable[[Turn, Any], tuple[int, ...] | Answer]] = {
    SendBufToUser: _send_to_user,
    SendBufToRoom: _send_to_room,
    TransBufferToUser: _trans_buffer,
    GetOnlineUsers: _online_users,
    GetRoomIdList: _rooms,
    **calls.CALLS,
    **people.CALLS,
    **options.CALLS,
    **queries.CALLS,
    TransBufferEx: transfers.trans_buffer_ex,
    TransFile: transfers.trans_file,
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {SendSDKFilterData: send_filter_data}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {ArbitersChanged: arbiters_changed, FilterCall: call}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {ArbitersSet: _apply_set}
