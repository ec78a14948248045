"""Video calls: one user rings another, they talk in a room, one of them ends it.

::

    REQUEST                          REPLY 0 of the callee
    ------->  (asked)  ---> RINGING -----------------------> TALKING
                 |             |                                |
                 | refused     | any other REPLY, nobody        | FINISH, or the
                 | by verdict, | answers, a session ends        | session of one
                 | target gone |                                | of them ends
                 v             v                                v
                           what is over is forgotten

A user is in one call at a time, and who waits for the verdict on a REQUEST of
his own is as good as in one.  A REQUEST is told to the callee, and the caller
gets REPLY 0 then: it rings.  START gives both the number of a room that nobody
has; they enter it by themselves.

Where somebody judges calls every step that a client takes is put to him first,
and goes no further if he refuses.  That he does not answer (206, 207, 212) keeps
nobody from ending a call.  What happens by itself, START included, he is asked
too, though nothing depends on what he says: so he hears of everything.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anychat import business_messages
from anychat.business_messages import Answer, Call, OnVideoCallEvent
from anychat.codes import (
    BUSINESS_SERVER,
    SELF,
    ResultCode,
    VideoCallEvent,
    VideoCallStage,
)
from anychat.core.changes import (
    CallEnded,
    CallOverdue,
    CallRang,
    CallRoomsUsed,
    CallStarted,
    CallStepAsked,
    CallStepSettled,
    CallWithdrawn,
    Change,
)
from anychat.core.commands import CallJudged, SessionMessage
from anychat.core.effects import AskVideoCall
from anychat.core.names import MAX_ROOM_ID, numbered_name
from anychat.core.rooms import DEMO_ROOMS, release, reserve
from anychat.core.state import Session, State, VideoCall
from anychat.core.subscriptions import end_forbidden
from anychat.core.turn import ChangeTable, CommandTable, MessageTable, Turn
from anychat.core.words import signed
from anychat.errors import LocalError, Refused
from anychat.ids import RoomId, SessionId
from anychat.messages import (
    Result,
    VideoCallControl,
    VideoCallNotice,
    VideoCallStatus,
)

#: Steps of one session that may wait for their verdicts.
MAX_STEPS = 8

#: What says that nobody has judged.
_UNJUDGED = (
    ResultCode.SERVERSDK_FAIL,
    ResultCode.SERVERSDK_TIMEOUT,
    ResultCode.SERVER_RESTART,
)


# What clients do.


def control(
    turn: Turn, asker: Session, command: SessionMessage, message: VideoCallControl
) -> None:
    """Take a step of a call, or put it to whoever judges."""
    step = OnVideoCallEvent(
        message.event,
        asker.user_id,
        message.user_id,
        message.error,
        message.flags,
        message.param,
        message.text,
    )
    target = 0
    if message.event == VideoCallEvent.REQUEST:
        if message.user_id in (asker.user_id, SELF, BUSINESS_SERVER):
            raise Refused(ResultCode.FUNCOPTERROR)
        code = _engagement(turn.state, asker, message.user_id)
        if code != ResultCode.SUCCESS:
            _not_called(turn, asker, command.request, step, code)
            return
        target = message.user_id
    elif _withdraw(turn, asker, command.request, step):
        return
    else:
        _check(turn.state, asker, step)
    if not turn.state.judges_calls:
        _take(turn, asker, command.request, step)
        return
    if not command.request:
        # The verdict finds its way back by the request's number.
        return
    if len(asker.call_steps) >= MAX_STEPS:
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    turn.changes.append(CallStepAsked(asker.id, command.request, target))
    turn.effects.append(AskVideoCall(asker.id, command.request, step))


def judged(turn: Turn, command: CallJudged) -> None:
    """Take the verdict on a step, if somebody still waits for it."""
    asker = turn.state.sessions.get(command.session)
    if asker is None or command.request not in asker.call_steps:
        return
    turn.changes.append(CallStepSettled(asker.id, command.request))
    _settle(turn, asker, command)
    # What was said in time counts, but nothing else delays the end.
    call = None if asker.call is None else turn.state.calls[asker.call]
    if (
        call is not None
        and call.overdue
        and len(asker.call_steps) == 1
        and not any(isinstance(c, CallStarted | CallEnded) for c in turn.changes)
    ):
        _time_out(turn, call)


def _settle(turn: Turn, asker: Session, command: CallJudged) -> None:
    step, code = command.question, command.verdict.code
    if step.event == VideoCallEvent.REQUEST:
        if not asker.call_steps[command.request]:
            # No notice: whom it would name may be calling by now.
            code = ResultCode.VIDEOCALL_CANCEL
            turn.reply(asker.id, command.request, Result(code))
        elif code != ResultCode.SUCCESS:
            _not_called(turn, asker, command.request, step, code)
        else:
            _call(turn, asker, command.request, step)
        return
    try:
        _check(turn.state, asker, step)
        ends = step.event == VideoCallEvent.FINISH or step.error != ResultCode.SUCCESS
        if code != ResultCode.SUCCESS and not (ends and code in _UNJUDGED):
            raise Refused(code)
    except Refused as refused:
        turn.reply(asker.id, command.request, Result(refused.code))
    else:
        _take(turn, asker, command.request, step)


def _withdraw(turn: Turn, asker: Session, request: int, step: OnVideoCallEvent) -> bool:
    """Give up a REQUEST that waits for its verdict, if that is what is meant."""
    if step.event == VideoCallEvent.START or (
        step.event == VideoCallEvent.REPLY and step.error == ResultCode.SUCCESS
    ):
        return False
    for asked, target in asker.call_steps.items():
        if target and target == step.target_id:
            turn.changes.append(CallWithdrawn(asker.id, asked))
            turn.reply(asker.id, request, Result(ResultCode.SUCCESS))
            return True
    return False


def _engagement(state: State, user: Session, target_id: int) -> ResultCode:
    """Why a user cannot call that one, as far as it does not lie with that one."""
    engaged = list(filter(None, user.call_steps.values()))
    if user.call is not None:
        call = state.calls[user.call]
        engaged.append(state.sessions[call.other(user.id)].user_id)
    if not engaged:
        return state.terms.entry_refusal
    if target_id in engaged:
        return ResultCode.VIDEOCALL_INCHAT
    return ResultCode.VIDEOCALL_BUSY


def _check(state: State, asker: Session, step: OnVideoCallEvent) -> None:
    """Whether the call that the asker is in is one for this step.

    :raises Refused: 20, 100107, 440, 21.
    """
    if step.event not in (VideoCallEvent.REPLY, VideoCallEvent.FINISH):
        raise Refused(ResultCode.FUNCNOTALLOW)
    call = None if asker.call is None else state.calls[asker.call]
    if call is None or state.sessions[call.other(asker.id)].user_id != step.target_id:
        raise Refused(ResultCode.VIDEOCALL_NOTINCALL)
    if step.error == ResultCode.VIDEOCALL_INCHAT:
        # It is told of calls that go on.
        raise Refused(ResultCode.FUNCOPTERROR)
    if step.event == VideoCallEvent.REPLY:
        if call.room_id is not None:
            raise Refused(ResultCode.VIDEOCALL_INCHAT)
        if step.error == ResultCode.SUCCESS and asker.id == call.caller:
            # It is not the caller's to answer.
            raise Refused(ResultCode.FUNCOPTERROR)


def _take(turn: Turn, asker: Session, request: int, step: OnVideoCallEvent) -> None:
    """Carry out a step that was checked and may be taken."""
    if step.event == VideoCallEvent.REQUEST:
        _call(turn, asker, request, step)
        return
    assert asker.call is not None
    call = turn.state.calls[asker.call]
    if step.event == VideoCallEvent.REPLY and step.error == ResultCode.SUCCESS:
        room_id = _free_room(turn)
        turn.reply(asker.id, request, Result(_roomed(room_id)))
        _start(turn, call, step, room_id)
        return
    turn.reply(asker.id, request, Result(ResultCode.SUCCESS))
    if call.room_id is not None:
        _end(turn, call, step, (call.caller, call.callee))
    else:
        _end(turn, call, _no_answer(call, asker, step), (call.other(asker.id),))


def _call(turn: Turn, asker: Session, request: int, step: OnVideoCallEvent) -> None:
    """Let it ring at the target."""
    target = turn.state.session_of(step.target_id)
    if turn.state.terms.entry_refusal != ResultCode.SUCCESS:
        code = turn.state.terms.entry_refusal
    elif target is None:
        code = ResultCode.VIDEOCALL_OFFLINE
    elif target.call is not None or any(target.call_steps.values()):
        code = ResultCode.VIDEOCALL_BUSY
    else:
        until = turn.now + turn.settings.ring_time
        turn.changes.append(CallRang(asker.id, target.id, step.flags, until))
        turn.reply(asker.id, request, Result(ResultCode.SUCCESS))
        ringing = replace(step, error=ResultCode.SUCCESS)
        reply = replace(ringing, event=VideoCallEvent.REPLY, text="")
        _tell(turn, target.id, asker, ringing)
        _tell(turn, asker.id, target, reply)
        return
    _not_called(turn, asker, request, step, code)


def _not_called(
    turn: Turn, asker: Session, request: int, step: OnVideoCallEvent, code: ResultCode
) -> None:
    """Tell the caller why it does not ring."""
    turn.reply(asker.id, request, Result(code))
    turn.send(
        (asker.id,),
        VideoCallNotice(
            VideoCallEvent.REPLY, step.target_id, code, step.flags, step.param, ""
        ),
    )


def _roomed(room_id: RoomId | None) -> ResultCode:
    return ResultCode.NOENOUGHRESOURCE if room_id is None else ResultCode.SUCCESS


def _start(
    turn: Turn, call: VideoCall, step: OnVideoCallEvent, room_id: RoomId | None
) -> None:
    """The callee has answered: the parties talk, or there is no room for that."""
    caller, callee = _parties(turn.state, call)
    if room_id is None:
        given_up = _by_itself(turn, call, _roomed(room_id))
        _end(turn, call, given_up, (call.caller, call.callee))
        _show(turn, call, given_up)
        return
    turn.changes.append(
        CallStarted(call.caller, room_id, not turn.settings.first_call_room)
    )
    started = OnVideoCallEvent(
        VideoCallEvent.START,
        caller.user_id,
        callee.user_id,
        ResultCode.SUCCESS,
        call.flags,
        room_id,
        step.text,
    )
    end_forbidden(turn, call)
    _tell(turn, caller.id, callee, started)
    _tell(turn, callee.id, caller, started)
    _show(turn, call, started)


def _free_room(turn: Turn) -> RoomId | None:
    """A room number that nobody has, and nobody was given before if it is to be so."""
    state = turn.state
    if turn.settings.first_call_room:
        number = state.free_call_rooms.lowest
    else:
        number = state.next_call_room
        while number in state.rooms or number in state.reserved or number in DEMO_ROOMS:
            number += 1
    return RoomId(number) if number <= MAX_ROOM_ID else None


def _no_answer(
    call: VideoCall, ender: Session, step: OnVideoCallEvent
) -> OnVideoCallEvent:
    """The step that ends the ringing: a FINISH means the REPLY of that party."""
    if step.error != ResultCode.SUCCESS:
        code = step.error
    elif ender.id == call.caller:
        code = ResultCode.VIDEOCALL_CANCEL
    else:
        code = ResultCode.VIDEOCALL_REJECT
    return replace(step, event=VideoCallEvent.REPLY, error=code)


def _end(
    turn: Turn, call: VideoCall, step: OnVideoCallEvent, told: tuple[SessionId, ...]
) -> None:
    """Forget the call, and tell these parties."""
    turn.changes.append(CallEnded(call.caller))
    for session in told:
        _tell(turn, session, turn.state.sessions[call.other(session)], step)


def _tell(
    turn: Turn, session: SessionId, other: Session, step: OnVideoCallEvent
) -> None:
    """Tell a party what happens to its call with the other one."""
    turn.send(
        (session,),
        VideoCallNotice(
            VideoCallEvent(step.event),
            other.user_id,
            step.error,
            step.flags,
            step.param,
            step.text,
        ),
    )


def _parties(state: State, call: VideoCall) -> tuple[Session, Session]:
    return state.sessions[call.caller], state.sessions[call.callee]


def _by_itself(turn: Turn, call: VideoCall, code: ResultCode) -> OnVideoCallEvent:
    """The end of a call that neither party wanted."""
    caller, callee = _parties(turn.state, call)
    talking = call.room_id is not None
    return OnVideoCallEvent(
        VideoCallEvent.FINISH if talking else VideoCallEvent.REPLY,
        caller.user_id,
        callee.user_id,
        code,
        call.flags,
        call.room_id or 0,
        "",
    )


def _show(turn: Turn, call: VideoCall, step: OnVideoCallEvent) -> None:
    """Tell whoever judges what has happened without being asked for."""
    if turn.state.judges_calls:
        turn.effects.append(AskVideoCall(call.caller, 0, step))


# What happens by itself.


def give_up(turn: Turn, session: Session, why: ResultCode) -> None:
    """End the call of a session that ends; its steps end with it."""
    if session.call is None:
        return
    call = turn.state.calls[session.call]
    code = ResultCode.VIDEOCALL_DISCONNECT
    if why == ResultCode.SUCCESS:  # a logout
        if call.room_id is not None:
            code = ResultCode.SUCCESS
        elif session.id == call.caller:
            code = ResultCode.VIDEOCALL_CANCEL
        else:
            code = ResultCode.VIDEOCALL_OFFLINE
    step = _by_itself(turn, call, code)
    _end(turn, call, step, (call.other(session.id),))
    _show(turn, call, step)


def next_timeout(state: State) -> float | None:
    """When the first call has rung for long enough."""
    for until in state.ringing.values():
        return until
    return None


def tick(turn: Turn) -> None:
    """Nobody has answered the call that has rung longest.

    An answer that waits for its verdict was given in time.
    """
    call = turn.state.calls[next(iter(turn.state.ringing))]
    if turn.state.sessions[call.callee].call_steps and not call.overdue:
        until = turn.now + turn.settings.ring_time
        turn.changes.append(CallOverdue(call.caller, until))
    else:
        _time_out(turn, call)


def _time_out(turn: Turn, call: VideoCall) -> None:
    step = _by_itself(turn, call, ResultCode.VIDEOCALL_TIMEOUT)
    _end(turn, call, step, (call.caller, call.callee))
    _show(turn, call, step)


def tell_status(turn: Turn, session: Session) -> None:
    """Tell a client that missed something which call it is in."""
    status = VideoCallStatus(VideoCallStage.NONE, 0, 0, 0, False)
    if session.call is not None:
        call = turn.state.calls[session.call]
        is_caller = session.id == call.caller
        if call.room_id is not None:
            stage = VideoCallStage.TALKING
        else:
            stage = VideoCallStage.CALLING if is_caller else VideoCallStage.CALLED
        other = turn.state.sessions[call.other(session.id)]
        status = VideoCallStatus(
            stage, other.user_id, call.flags, call.room_id or 0, is_caller
        )
    turn.send((session.id,), status)


# What business servers do.


def control_call(turn: Turn, call: business_messages.VideoCallControl) -> Answer:
    """VideoCallControl: a REPLY in the user's place, or the end of his call."""
    if call.event not in (VideoCallEvent.REPLY, VideoCallEvent.FINISH):
        raise Refused(ResultCode.FUNCNOTALLOW)
    user = turn.state.session_of(call.user_id)
    if user is None:
        raise Refused(ResultCode.INVALID_USERID)
    if user.call is None:
        raise Refused(ResultCode.VIDEOCALL_NOTINCALL)
    his = turn.state.calls[user.call]
    step = OnVideoCallEvent(
        call.event,
        user.user_id,
        turn.state.sessions[his.other(user.id)].user_id,
        call.error,
        call.flags,
        signed(call.param),
        call.text,
    )
    _check(turn.state, user, step)
    if call.event == VideoCallEvent.REPLY and call.error == ResultCode.SUCCESS:
        room_id = _free_room(turn)
        _start(turn, his, step, room_id)
        return Answer(_roomed(room_id))
    if his.room_id is None:
        step = _no_answer(his, user, step)
    _end(turn, his, step, (his.caller, his.callee))
    _show(turn, his, step)
    return Answer(ResultCode.SUCCESS)


# Folding.


def _apply_asked(state: State, change: CallStepAsked) -> None:
    steps = state.sessions[change.session].call_steps
    if change.request in steps:
        raise LocalError(f"request {change.request} waits for a verdict already")
    steps[change.request] = change.target


def _apply_settled(state: State, change: CallStepSettled) -> None:
    del state.sessions[change.session].call_steps[change.request]


def _apply_withdrawn(state: State, change: CallWithdrawn) -> None:
    steps = state.sessions[change.session].call_steps
    if not steps[change.request]:
        raise LocalError(f"request {change.request} calls nobody")
    steps[change.request] = 0


def _apply_rang(state: State, change: CallRang) -> None:
    parties = state.sessions[change.caller], state.sessions[change.callee]
    for party in parties:
        if party.call is not None:
            raise LocalError(f"session {party.id} is in a call already")
        party.call = change.caller
    state.calls[change.caller] = VideoCall(change.caller, change.callee, change.flags)
    state.ringing[change.caller] = change.until


def _apply_overdue(state: State, change: CallOverdue) -> None:
    state.calls[change.caller] = replace(state.calls[change.caller], overdue=True)
    state.ringing[change.caller] = change.until
    state.ringing.move_to_end(change.caller)


def _apply_started(state: State, change: CallStarted) -> None:
    if change.room_id in state.rooms or change.room_id in state.reserved:
        raise LocalError(f"room {change.room_id} is not a call's")
    del state.ringing[change.caller]
    state.calls[change.caller] = replace(
        state.calls[change.caller], room_id=change.room_id, overdue=False
    )
    state.call_rooms[change.room_id] = change.caller
    reserve(state, change.room_id, numbered_name(change.room_id))
    if change.counted:
        state.next_call_room = RoomId(change.room_id + 1)


def _apply_ended(state: State, change: CallEnded) -> None:
    call = state.calls.pop(change.caller)
    for party in _parties(state, call):
        party.call = None
    if call.room_id is None:
        del state.ringing[call.caller]
    else:
        del state.call_rooms[call.room_id]
        release(state, call.room_id)


def _apply_used(state: State, change: CallRoomsUsed) -> None:
    state.next_call_room = change.next_call_room


def snapshot(state: State) -> list[Change]:
    """The changes that bring calls back, those that ring in the order of their end.

    They come before the rooms, which may be theirs.
    """
    changes: list[Change] = []
    for call in state.calls.values():
        if call.room_id is not None:
            changes.append(CallRang(call.caller, call.callee, call.flags, 0.0))
            changes.append(CallStarted(call.caller, call.room_id, False))
    for caller, until in state.ringing.items():
        call = state.calls[caller]
        changes.append(CallRang(caller, call.callee, call.flags, until))
        if call.overdue:
            changes.append(CallOverdue(caller, until))
    changes.append(CallRoomsUsed(state.next_call_room))
    changes.extend(
        CallStepAsked(session.id, request, target)
        for session in state.sessions.values()
        for request, target in session.call_steps.items()
    )
    return changes


#: Who carries out a call of a business server, by its type.
CALLS: dict[type[Call], Callable[[Turn, Any], Answer]] = {
    business_messages.VideoCallControl: control_call
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {VideoCallControl: control}

#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {CallJudged: judged}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    CallStepAsked: _apply_asked,
    CallStepSettled: _apply_settled,
    CallWithdrawn: _apply_withdrawn,
    CallRang: _apply_rang,
    CallOverdue: _apply_overdue,
    CallStarted: _apply_started,
    CallEnded: _apply_ended,
    CallRoomsUsed: _apply_used,
}
