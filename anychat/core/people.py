"""What is done to users, and asked about them.

Control codes (UserInfoControl): of business servers, who end sessions, block
addresses, look after user data and speak to applications; and of clients,
whose codes a business server decides about.  Such a code's text is not kept
while it waits: the question goes out and comes back with the verdict.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from anychat import business_messages as calls
from anychat import messages
from anychat.business_messages import Answer, Call, OnUserInfoControl
from anychat.codes import (
    BUSINESS_SERVER,
    FIRST_OWN_CONTROL,
    SELF,
    ResultCode,
    UserControl,
)
from anychat.core import profiles
from anychat.core.blocking import block, unblock
from anychat.core.changes import (
    Change,
    ControlAsked,
    ControlSettled,
    PictureTurned,
)
from anychat.core.commands import ControlJudged, SessionMessage
from anychat.core.effects import AskUserInfoControl
from anychat.core.sessions import end
from anychat.core.state import Session, State
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
from anychat.core.words import signed
from anychat.errors import LocalError, Refused
from anychat.messages import RenewStreams, Result, UserInfoCommand

#: Control codes of one session that may wait for their verdicts.
MAX_CONTROLS = 16

_ROTATIONS = (0, 90, 180, 270)

_DONE = Answer(ResultCode.SUCCESS)

Control: TypeAlias = calls.UserInfoControl


# Control codes of clients.


def control(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    message: messages.UserInfoControl,
) -> None:
    """Turn one's picture, or ask the arbiter about anything else."""
    code = message.control_code
    if code == UserControl.ROTATION:
        _turn_picture(turn, asker, command, message)
    elif code == UserControl.KICKOUT or code >= FIRST_OWN_CONTROL:
        ask(turn, asker, command, message)
    else:
        raise Refused(ResultCode.FUNCNOTALLOW)


def ask(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    message: messages.UserInfoControl,
) -> None:
    """Put a control code to the arbiter.

    :raises Refused: 205, 21 to end one's own session so, 23.
    """
    user_id = asker.user_id if message.user_id == SELF else message.user_id
    if user_id != BUSINESS_SERVER and turn.state.session_of(user_id) is None:
        raise Refused(ResultCode.INVALID_USERID)
    if message.control_code == UserControl.KICKOUT and user_id in (
        asker.user_id,
        BUSINESS_SERVER,
    ):
        raise Refused(ResultCode.FUNCOPTERROR)
    if not command.request:
        # The verdict finds its way back by the request's number.
        return
    if len(asker.controls) >= MAX_CONTROLS:
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    turn.changes.append(ControlAsked(asker.id, command.request))
    turn.effects.append(
        AskUserInfoControl(
            asker.id,
            command.request,
            OnUserInfoControl(
                asker.user_id,
                user_id,
                message.control_code,
                message.wparam,
                message.lparam,
                message.text,
            ),
        )
    )


def judged(turn: Turn, command: ControlJudged) -> None:
    """Take the verdict on a control code, if somebody still waits for it."""
    asker = turn.state.sessions.get(command.session)
    if asker is None or command.request not in asker.controls:
        return
    turn.changes.append(ControlSettled(asker.id, command.request))
    code, question = command.verdict.code, command.question
    target = None
    if code == ResultCode.SUCCESS and question.user_id not in (
        BUSINESS_SERVER,
        asker.user_id,
    ):
        target = turn.state.session_of(question.user_id)
        if target is None:  # gone meanwhile
            code = ResultCode.INVALID_USERID
    turn.reply(asker.id, command.request, Result(code))
    if target is None:
        return
    if question.control_code == UserControl.KICKOUT:
        _kick_out(turn, target)
    else:
        turn.send((target.id,), _command(asker.user_id, question))


def _kick_out(turn: Turn, user: Session) -> None:
    """End a session, and the keys that its client has of its room.

    It is sent nothing more, but might listen in on the way of the others.
    """
    members = {} if user.room_id is None else turn.state.rooms[user.room_id].members
    owners = [
        session
        for session, membership in members.items()
        if membership.published and session != user.id
    ]
    end(turn, user, ResultCode.KICKOUT)
    turn.send(tuple(owners), RenewStreams())


def _turn_picture(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    message: messages.UserInfoControl,
) -> None:
    if message.user_id not in (SELF, asker.user_id):
        raise Refused(ResultCode.FORBIDDEN)
    if message.wparam not in _ROTATIONS or message.lparam not in (0, 1):
        raise Refused(ResultCode.FUNCOPTERROR)
    mirrored = message.lparam == 1
    if (asker.rotation, asker.mirrored) != (message.wparam, mirrored):
        turn.changes.append(PictureTurned(asker.id, message.wparam, mirrored))
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def _command(source: int, control: OnUserInfoControl | Control) -> UserInfoCommand:
    return UserInfoCommand(
        source,
        control.control_code,
        signed(control.wparam),
        signed(control.lparam),
        control.text,
    )


# Calls of business servers.


def set_user_info(turn: Turn, call: calls.SetUserInfo) -> Answer:
    """SetUserInfo; nobody is told before SYNCDATA."""
    profiles.set_info(turn, call.user_id, signed(call.info_id), call.text)
    return _DONE


def get_user_info(turn: Turn, call: calls.GetUserInfo) -> Answer:
    """GetUserInfo, told or not."""
    if not profiles.is_known(turn.state, call.user_id):
        raise Refused(ResultCode.INVALID_USERID)
    infos = profiles.profile_of(turn.state, call.user_id).infos
    text = infos.get(signed(call.info_id))
    if text is None:
        raise Refused(ResultCode.DATANOTEXIST)
    return Answer(ResultCode.SUCCESS, text=text)


def control_user(turn: Turn, call: Control) -> Answer:
    """UserInfoControl of a business server, who may do everything."""
    if call.control_code in (UserControl.BLOCK_IP, UserControl.UNBLOCK_IP):
        change = block if call.control_code == UserControl.BLOCK_IP else unblock
        # The address of a user who is there need not be known.
        change(turn, call.text or _user(turn.state, call.user_id).address)
        return _DONE
    user = _user(turn.state, call.user_id)
    if call.control_code >= FIRST_OWN_CONTROL:
        turn.send((user.id,), _command(BUSINESS_SERVER, call))
        return _DONE
    do = _CONTROLS.get(call.control_code)
    if do is None:
        raise Refused(ResultCode.FUNCNOTALLOW)
    do(turn, user, call)
    return _DONE


def _user(state: State, user_id: int) -> Session:
    user = state.session_of(user_id)
    if user is None:
        raise Refused(ResultCode.INVALID_USERID)
    return user


#: What business servers do to users who are there.
_CONTROLS: dict[int, Callable[[Turn, Session, Control], None]] = {
    UserControl.KICKOUT: lambda turn, user, call: _kick_out(turn, user),
    UserControl.SYNCDATA: lambda turn, user, call: profiles.synchronise(turn, user),
    UserControl.ADDGROUP: lambda turn, user, call: profiles.add_group(
        turn, user, signed(call.wparam), call.text
    ),
    UserControl.DELGROUP: lambda turn, user, call: profiles.delete_group(
        turn, user, signed(call.wparam)
    ),
    UserControl.ADDFRIEND: lambda turn, user, call: profiles.add_friend(
        turn, user, signed(call.wparam)
    ),
    UserControl.DELFRIEND: lambda turn, user, call: profiles.delete_friend(
        turn, user, signed(call.wparam)
    ),
    UserControl.SETGROUPRELATION: lambda turn, user, call: profiles.group_friend(
        turn, user, signed(call.wparam), signed(call.lparam)
    ),
}


# Folding.


def _apply_asked(state: State, change: ControlAsked) -> None:
    controls = state.sessions[change.session].controls
    if change.request in controls:
        raise LocalError(f"request {change.request} waits for a verdict already")
    controls[change.request] = None


def _apply_settled(state: State, change: ControlSettled) -> None:
    del state.sessions[change.session].controls[change.request]


def _apply_turned(state: State, change: PictureTurned) -> None:
    session = state.sessions[change.session]
    session.rotation, session.mirrored = change.rotation, change.mirrored


def snapshot(session: Session) -> list[Change]:
    """The changes that bring back what a session has asked and told."""
    changes: list[Change] = [
        ControlAsked(session.id, request) for request in session.controls
    ]
    if session.rotation or session.mirrored:
        changes.append(PictureTurned(session.id, session.rotation, session.mirrored))
    return changes


#: Who carries out a call, by its type.
CALLS: dict[type[Call], Callable[[Turn, Any], Answer]] = {
    calls.SetUserInfo: set_user_info,
    calls.GetUserInfo: get_user_info,
    calls.UserInfoControl: control_user,
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {messages.UserInfoControl: control}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {ControlJudged: judged}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    ControlAsked: _apply_asked,
    ControlSettled: _apply_settled,
    PictureTurned: _apply_turned,
}
