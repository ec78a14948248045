"""Queries: who is online, who is in a room, what state a user is in."""

from collections.abc import Callable
from itertools import islice

from anychat.codecs import by_payload_type
from anychat.codes import (
    SELF,
    DeviceState,
    ResultCode,
    RoomState,
    SelfStatus,
    StreamInfo,
    StreamKind,
    UserState,
)
from anychat.core.commands import SessionMessage
from anychat.core.effects import ReplyFigure
from anychat.core.state import Publication, Room, Session, State
from anychat.core.subscriptions import STREAM_INDEXES
from anychat.core.turn import MessageTable, Turn
from anychat.errors import Refused
from anychat.ids import RoomId
from anychat.messages import (
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryStreamInfo,
    QueryUserState,
    StateValue,
    UserList,
)

#: Ids told in one answer.
MAX_LISTED = 10_000


def online_users(
    turn: Turn, asker: Session, command: SessionMessage, message: QueryOnlineUsers
) -> None:
    """All who are signed in, the asker included."""
    users = turn.state.users
    turn.reply(
        asker.id,
        command.request,
        UserList(ResultCode.SUCCESS, len(users), tuple(islice(users, MAX_LISTED))),
    )


def room_users(
    turn: Turn, asker: Session, command: SessionMessage, message: QueryRoomUsers
) -> None:
    """The members of any room, the asker left out."""
    room = _room(turn.state, message.room_id)
    users = [
        membership.member.user_id
        for session, membership in room.members.items()
        if session != asker.id
    ]
    turn.reply(
        asker.id,
        command.request,
        UserList(ResultCode.SUCCESS, len(users), tuple(users[:MAX_LISTED])),
    )


def room_state(
    turn: Turn, asker: Session, command: SessionMessage, message: QueryRoomState
) -> None:
    """A room's name, or its number of users with the asker left out."""
    room = _room(turn.state, message.room_id)
    if message.state is RoomState.NAME:
        value = StateValue(ResultCode.SUCCESS, text=room.name)
    else:
        value = StateValue(
            ResultCode.SUCCESS, len(room.members) - (asker.id in room.members)
        )
    turn.reply(asker.id, command.request, value)


def user_state(
    turn: Turn, asker: Session, command: SessionMessage, message: QueryUserState
) -> None:
    """What the server knows of a user."""
    user = asker
    if message.user_id != SELF:
        other = turn.state.session_of(message.user_id)
        if other is None:
            raise Refused(ResultCode.INVALID_USERID)
        user = other
    if message.state in _MEASURED:
        if command.request:
            turn.effects.append(
                ReplyFigure(asker.id, command.request, user.id, message.state)
            )
        return
    known = _KNOWN.get(message.state)
    if known is None:
        raise Refused(ResultCode.DATANOTEXIST)
    value = known(turn.state, user)
    if isinstance(value, str):
        answer = StateValue(ResultCode.SUCCESS, text=value)
    else:
        answer = StateValue(ResultCode.SUCCESS, value)
    turn.reply(asker.id, command.request, answer)


def stream_info(
    turn: Turn, asker: Session, command: SessionMessage, message: QueryStreamInfo
) -> None:
    """What a stream of a member of one's room, or of one's own, is like."""
    room = turn.state.room_of(asker)
    if message.stream_index not in STREAM_INDEXES:
        raise Refused(ResultCode.FUNCOPTERROR)
    user = asker
    if message.user_id != SELF:
        other = turn.state.session_of(message.user_id)
        if other is None:
            raise Refused(ResultCode.INVALID_USERID)
        user = other
    membership = room.members.get(user.id)
    kind, value = _STREAM_INFO.get(message.info, (None, None))
    kind = kind or _STREAM_LOSS.get(message.info)
    if membership is None or kind is None:
        raise Refused(ResultCode.DATANOTEXIST)
    stream = membership.published.get((kind, message.stream_index))
    if stream is None:
        raise Refused(ResultCode.DATANOTEXIST)
    if value is not None:
        answer = StateValue(ResultCode.SUCCESS, value(stream))
        turn.reply(asker.id, command.request, answer)
    elif command.request:
        turn.effects.append(
            ReplyFigure(asker.id, command.request, user.id, UserState.PACKET_LOSS)
        )


def _room(state: State, room_id: int) -> Room:
    room = state.rooms.get(RoomId(room_id))
    if room is None:
        raise Refused(ResultCode.ROOM_INVALID)
    return room


def _stream(state: State, user: Session, kind: StreamKind) -> Publication | None:
    """The open stream of that kind with the lowest index."""
    if user.room_id is None:
        return None
    published = state.rooms[user.room_id].members[user.id].published
    streams = [stream for stream in published if stream[0] is kind]
    return published[min(streams)] if streams else None


def _camera(state: State, user: Session) -> int:
    return _device(state, user, StreamKind.VIDEO)


def _microphone(state: State, user: Session) -> int:
    return _device(state, user, StreamKind.AUDIO)


def _device(state: State, user: Session, kind: StreamKind) -> int:
    """Whether there is a device the server cannot know; only who may use none."""
    if not user.secure:
        return DeviceState.NONE
    if _stream(state, user, kind) is None:
        return DeviceState.CLOSED
    return DeviceState.OPEN


def _video_size(state: State, user: Session) -> int:
    stream = _stream(state, user, StreamKind.VIDEO)
    return 0 if stream is None else stream.format.width | stream.format.height << 16


def _video_codec(state: State, user: Session) -> int:
    return _codec(_stream(state, user, StreamKind.VIDEO))


def _audio_codec(state: State, user: Session) -> int:
    return _codec(_stream(state, user, StreamKind.AUDIO))


def _codec(stream: Publication | None) -> int:
    codec = None if stream is None else by_payload_type(stream.format.payload_type)
    return 0 if codec is None else codec.number


def _level(state: State, user: Session) -> int:
    return user.level


def _nickname(state: State, user: Session) -> str:
    return user.nickname


def _local_address(state: State, user: Session) -> str:
    if not user.local_address:
        raise Refused(ResultCode.DATANOTEXIST)
    return user.local_address


def _address(state: State, user: Session) -> str:
    return user.address


def _recording(state: State, user: Session) -> int:
    """Nothing is recorded by this server."""
    return 0


def _rotation(state: State, user: Session) -> int:
    return user.rotation


def _mirror(state: State, user: Session) -> int:
    return user.mirrored


def _p2p(state: State, user: Session) -> int:
    """All media goes through the server."""
    return 0


def _device_type(state: State, user: Session) -> int:
    return user.device


def _status(state: State, user: Session) -> int:
    return SelfStatus.LOGGED_IN if user.room_id is None else SelfStatus.IN_ROOM


def _id(state: State, user: Session) -> int:
    return user.user_id


#: The kinds of user state that the server knows.
_KNOWN: dict[UserState, Callable[[State, Session], int | str]] = {
    UserState.CAMERA: _camera,
    UserState.MICROPHONE: _microphone,
    UserState.LEVEL: _level,
    UserState.NICKNAME: _nickname,
    UserState.LOCAL_IP: _local_address,
    UserState.INTERNET_IP: _address,
    UserState.P2P: _p2p,
    UserState.VIDEO_SIZE: _video_size,
    UserState.DEVICE: _device_type,
    UserState.SELF_STATUS: _status,
    UserState.SELF_ID: _id,
    UserState.RECORDING: _recording,
    UserState.VIDEO_ROTATION: _rotation,
    UserState.VIDEO_MIRROR: _mirror,
    UserState.AUDIO_CODEC: _audio_codec,
    UserState.VIDEO_CODEC: _video_codec,
}

#: The kinds that the media plane measures.
_MEASURED = frozenset(
    {
        UserState.VIDEO_BITRATE,
        UserState.AUDIO_BITRATE,
        UserState.NETWORK_QUALITY,
        UserState.PACKET_LOSS,
        UserState.LOSS_AFTER_REPAIR,
    }
)

#: What is known of a stream by its format, for each kind of stream.
_STREAM_INFO: dict[StreamInfo, tuple[StreamKind, Callable[[Publication], int]]] = {
    StreamInfo.VIDEO_WIDTH: (StreamKind.VIDEO, lambda stream: stream.format.width),
    StreamInfo.VIDEO_HEIGHT: (StreamKind.VIDEO, lambda stream: stream.format.height),
    StreamInfo.VIDEO_FPS: (StreamKind.VIDEO, lambda stream: stream.format.fps),
    StreamInfo.VIDEO_BITRATE: (StreamKind.VIDEO, lambda stream: stream.format.bitrate),
    StreamInfo.VIDEO_CODEC: (StreamKind.VIDEO, _codec),
    StreamInfo.AUDIO_SAMPLE_RATE: (
        StreamKind.AUDIO,
        lambda stream: stream.format.clock_rate,
    ),
    StreamInfo.AUDIO_CHANNELS: (
        StreamKind.AUDIO,
        lambda stream: stream.format.channels,
    ),
    # What all of AnyChat's audio codecs are made from, and decoded to.
    StreamInfo.AUDIO_SAMPLE_BITS: (StreamKind.AUDIO, lambda stream: 16),
    StreamInfo.AUDIO_BITRATE: (StreamKind.AUDIO, lambda stream: stream.format.bitrate),
    StreamInfo.AUDIO_CODEC: (StreamKind.AUDIO, _codec),
}

#: What the media plane measures of a stream.
_STREAM_LOSS = {
    StreamInfo.VIDEO_LOSS: StreamKind.VIDEO,
    StreamInfo.AUDIO_LOSS: StreamKind.AUDIO,
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {
    QueryStreamInfo: stream_info,
    QueryOnlineUsers: online_users,
    QueryRoomUsers: room_users,
    QueryRoomState: room_state,
    QueryUserState: user_state,
}
