"""Subscriptions: who wants to get which stream.

A subscription hangs on two memberships of one room, the watcher's and the
target's, and ends with either.  It names a stream by kind and index, not a
publication: it waits while the stream is closed, and is granted again each
time it is opened.  What the flags of a video call forbid its parties to get of
one another is not granted while the call lasts.
"""

from anychat.codes import ResultCode, StreamKind
from anychat.core.changes import Change, Subscribed, Unsubscribed
from anychat.core.commands import SessionMessage
from anychat.core.directions import forbids, is_forbidden
from anychat.core.effects import JoinRoute, LeaveRoute
from anychat.core.state import (
    Membership,
    Publication,
    Room,
    Session,
    State,
    VideoCall,
)
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import SessionId, UserId
from anychat.messages import (
    Result,
    StreamEnded,
    Subscription,
    UserCameraControl,
    UserSpeakControl,
)

#: Stream indexes of a user run from 0 to 15.
STREAM_INDEXES = range(16)
#: Subscriptions of one session: both kinds of every member of a room of 2,000.
MAX_SUBSCRIPTIONS = 4096


def control_camera(
    turn: Turn, asker: Session, command: SessionMessage, message: UserCameraControl
) -> None:
    """Subscribe to a member's video, or end that."""
    stream = Subscription(message.user_id, StreamKind.VIDEO, message.stream_index)
    if message.open:
        _subscribe(turn, asker, command.request, stream)
    else:
        _unsubscribe(turn, asker, command.request, stream)


def control_speech(
    turn: Turn, asker: Session, command: SessionMessage, message: UserSpeakControl
) -> None:
    """Subscribe to a member's audio, or end that."""
    stream = Subscription(message.user_id, StreamKind.AUDIO, message.stream_index)
    if message.open:
        _subscribe(turn, asker, command.request, stream)
    else:
        _unsubscribe(turn, asker, command.request, stream)


def join(watcher: SessionId, owner: UserId, publication: Publication) -> JoinRoute:
    """The effect that grants a publication to a watcher."""
    return JoinRoute(
        watcher,
        publication.ssrc,
        owner,
        publication.kind,
        publication.stream_index,
        publication.format,
        publication.layer,
    )


def ended(owner: UserId, publication: Publication) -> StreamEnded:
    """What a watcher is told when it gets the publication no longer."""
    return StreamEnded(
        owner, publication.kind, publication.stream_index, publication.ssrc
    )


def grant_again(turn: Turn, asker: Session, room: Room) -> None:
    """Join every open stream that a member is subscribed to once more."""
    for stream in room.members[asker.id].watching:
        publication = _published(_target(turn.state, room, stream), stream)
        if publication is not None:
            turn.effects.append(join(asker.id, UserId(stream.user_id), publication))


def leave_routes(turn: Turn, asker: Session, room: Room) -> None:
    """Leave every open stream that a member is subscribed to."""
    for stream in room.members[asker.id].watching:
        publication = _published(_target(turn.state, room, stream), stream)
        if publication is not None:
            turn.effects.append(LeaveRoute(asker.id, publication.ssrc))


def _subscribe(turn: Turn, asker: Session, request: int, stream: Subscription) -> None:
    room = turn.state.room_of(asker)
    if stream.stream_index not in STREAM_INDEXES:
        raise Refused(ResultCode.FUNCOPTERROR)
    if not asker.secure:
        raise Refused(ResultCode.FUNCNOTALLOW)
    target = turn.state.session_of(stream.user_id)
    if target is None:
        raise Refused(ResultCode.INVALID_USERID)
    if target is asker:
        raise Refused(ResultCode.FUNCOPTERROR)
    if target.id not in room.members:
        raise Refused(ResultCode.DATANOTEXIST)
    if is_forbidden(turn.state, target, asker, stream.kind):
        raise Refused(ResultCode.FUNCNOTALLOW)
    watching = room.members[asker.id].watching
    if stream not in watching:
        if len(watching) >= MAX_SUBSCRIPTIONS:
            raise Refused(ResultCode.NOENOUGHRESOURCE)
        turn.changes.append(
            Subscribed(asker.id, target.user_id, stream.kind, stream.stream_index)
        )
    turn.reply(asker.id, request, Result(ResultCode.SUCCESS))
    publication = _published(room.members[target.id], stream)
    if publication is not None:
        # Also to one who has it already: it asks because it lost the key.
        turn.effects.append(join(asker.id, target.user_id, publication))


def _unsubscribe(
    turn: Turn, asker: Session, request: int, stream: Subscription
) -> None:
    room = turn.state.room_of(asker)
    if stream.stream_index not in STREAM_INDEXES:
        raise Refused(ResultCode.FUNCOPTERROR)
    # To end what is over, since the member left perhaps, is not an error.
    if stream in room.members[asker.id].watching:
        _end(turn, asker, room, stream)
    turn.reply(asker.id, request, Result(ResultCode.SUCCESS))


def end_forbidden(turn: Turn, call: VideoCall) -> None:
    """End what the parties watch of one another against the flags of their call.

    The call is about to start.
    """
    for watcher, owner in (call.caller, call.callee), (call.callee, call.caller):
        asker, target = turn.state.sessions[watcher], turn.state.sessions[owner]
        if asker.room_id is None or asker.room_id != target.room_id:
            continue
        room = turn.state.rooms[asker.room_id]
        for stream in room.members[watcher].watching:
            if stream.user_id == target.user_id and forbids(call, owner, stream.kind):
                _end(turn, asker, room, stream)


def _end(turn: Turn, asker: Session, room: Room, stream: Subscription) -> None:
    user_id = UserId(stream.user_id)
    turn.changes.append(
        Unsubscribed(asker.id, user_id, stream.kind, stream.stream_index)
    )
    publication = _published(_target(turn.state, room, stream), stream)
    if publication is not None:
        turn.effects.append(LeaveRoute(asker.id, publication.ssrc))
        turn.send((asker.id,), ended(user_id, publication))


def _target(state: State, room: Room, stream: Subscription) -> Membership:
    """The membership that a subscription looks at."""
    target = state.session_of(stream.user_id)
    if target is None or target.id not in room.members:
        raise LocalError("a subscription outlived the membership it looks at")
    return room.members[target.id]


def _published(membership: Membership, stream: Subscription) -> Publication | None:
    return membership.published.get((stream.kind, stream.stream_index))


def forget_member(state: State, room: Room, session: Session) -> None:
    """Part of applying `RoomLeft`: it watches nobody and nobody watches it."""
    membership = room.members[session.id]
    for stream in membership.watching:
        _forget_watcher(_target(state, room, stream), stream, session.id)
    for (kind, stream_index), watchers in membership.watchers.items():
        stream = Subscription(session.user_id, kind, stream_index)
        for watcher in watchers:
            del room.members[watcher].watching[stream]


def _forget_watcher(
    target: Membership, stream: Subscription, session: SessionId
) -> None:
    watchers = target.watchers[stream.kind, stream.stream_index]
    del watchers[session]
    if not watchers:
        del target.watchers[stream.kind, stream.stream_index]


def _apply_subscribed(state: State, change: Subscribed) -> None:
    room = state.room_of(state.sessions[change.session])
    stream = Subscription(change.user_id, change.kind, change.stream_index)
    target = _target(state, room, stream)
    room.members[change.session].watching[stream] = None
    target.watchers.setdefault((stream.kind, stream.stream_index), {})[
        change.session
    ] = None


def _apply_unsubscribed(state: State, change: Unsubscribed) -> None:
    room = state.room_of(state.sessions[change.session])
    stream = Subscription(change.user_id, change.kind, change.stream_index)
    del room.members[change.session].watching[stream]
    _forget_watcher(_target(state, room, stream), stream, change.session)


def snapshot(room: Room, session: Session) -> list[Change]:
    """The changes that bring a member's subscriptions back."""
    return [
        Subscribed(session.id, UserId(stream.user_id), stream.kind, stream.stream_index)
        for stream in room.members[session.id].watching
    ]


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {
    UserCameraControl: control_camera,
    UserSpeakControl: control_speech,
}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    Subscribed: _apply_subscribed,
    Unsubscribed: _apply_unsubscribed,
}
