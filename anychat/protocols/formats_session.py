"""Session messages: rooms, texts, streams, queries.

They are numbered in each direction of a session, acknowledged, and replayed
after a lost link.  Types from 32 on.
"""

from anychat.business_messages import MAX_BUFFER
from anychat.codes import RoomState, StreamKind, UserState
from anychat.messages import (
    CameraState,
    CloseStream,
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Logout,
    MediaSetup,
    Member,
    MicStateChange,
    OnlineUser,
    OpenStream,
    OpenStreamInfo,
    PublishedStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    Result,
    Resync,
    RoomMembers,
    SDKFilterData,
    SendSDKFilterData,
    SendText,
    ServerParameters,
    StateValue,
    StreamEnded,
    StreamFormat,
    StreamGranted,
    StreamOpened,
    Subscription,
    TextMessage,
    TransBuffer,
    TransBufferData,
    UserAtRoom,
    UserCameraControl,
    UserList,
    UserSpeakControl,
)
from anychat.protocols.formats_fields import (
    FLAG,
    I32,
    NAME_MAXIMUM,
    PASSWORD_MAXIMUM,
    TEXT_MAXIMUM,
    U8,
    U16,
    U32,
    enumerated,
    fixed,
    line,
    octets,
    record,
    secret,
    sequence,
    text,
)
from anychat.protocols.formats_link import CODE

#: Most members that one `RoomMembers` names; with the longest names and
#: `STREAMS_MAXIMUM` streams each they fit one frame.
MEMBERS_MAXIMUM = 100
#: Most streams that a user may have open at a time.
STREAMS_MAXIMUM = 16
#: Most ids in a `UserList`.
USERS_MAXIMUM = 10_000
#: Most subscriptions of a session, so that `Resync` fits one frame.
SUBSCRIPTIONS_MAXIMUM = 8192
#: Most bytes of a `TransBuffer`.
BUFFER_MAXIMUM = 1000
#: AEAD_AES_128_GCM: master key and master salt (RFC 7714 section 12).
KEY_SIZE = 16
SALT_KEY_SIZE = 12

KIND = enumerated(U8, StreamKind)

STREAM_FORMAT = record(
    StreamFormat,
    "payload_type" / U8,
    "clock_rate" / U32,
    "bitrate" / U32,
    "width" / U16,
    "height" / U16,
    "fps" / U8,
    "channels" / U8,
    "config" / octets(1024),
)

MEMBER = record(
    Member,
    "user_id" / I32,
    "level" / I32,
    "nickname" / line(NAME_MAXIMUM),
    "streams"
    / sequence(
        record(OpenStreamInfo, "kind" / KIND, "stream_index" / U8),
        STREAMS_MAXIMUM,
        U8,
    ),
)

RESULT = record(Result, "code" / CODE)

LOGOUT = record(Logout)

SERVER_PARAMETERS = record(
    ServerParameters,
    "video_width" / U32,
    "video_height" / U32,
    "video_fps" / U32,
    "video_gop" / U32,
    "video_bitrate" / U32,
    "video_codec" / U32,
    "video_quality" / U32,
    "video_preset" / U32,
    "audio_sample_rate" / U32,
    "audio_channels" / U32,
    "audio_sample_bits" / U32,
    "audio_codec" / U32,
    "audio_bitrate" / U32,
)

MEDIA_SETUP = record(
    MediaSetup,
    "addresses" / sequence(line(64), 16, U8),
    "port" / U16,
    "username" / line(255),
    "client_ssrc" / U32,
    "server_ssrc" / U32,
    "stun_key" / octets(64, U8),
    "rtcp_key" / fixed(KEY_SIZE),
    "rtcp_salt_key" / fixed(SALT_KEY_SIZE),
)

ENTER_ROOM = record(EnterRoom, "room_id" / I32, "password" / text(PASSWORD_MAXIMUM))

ENTER_ROOM_BY_NAME = record(
    EnterRoomByName, "name" / text(NAME_MAXIMUM), "password" / text(PASSWORD_MAXIMUM)
)

ENTER_ROOM_RESULT = record(
    EnterRoomResult, "code" / CODE, "room_id" / I32, "name" / line(NAME_MAXIMUM)
)

LEAVE_ROOM = record(LeaveRoom, "room_id" / I32)

ROOM_MEMBERS = record(
    RoomMembers, "room_id" / I32, "members" / sequence(MEMBER, MEMBERS_MAXIMUM)
)

ONLINE_USER = record(OnlineUser, "count" / U32, "room_id" / I32)

USER_AT_ROOM = record(UserAtRoom, "entered" / FLAG, "member" / MEMBER)

SEND_TEXT = record(
    SendText, "target" / I32, "secret" / FLAG, "text" / text(TEXT_MAXIMUM)
)

TEXT_MESSAGE = record(
    TextMessage,
    "source" / I32,
    "target" / I32,
    "secret" / FLAG,
    "text" / text(TEXT_MAXIMUM),
)

TRANS_BUFFER = record(TransBuffer, "target" / I32, "data" / octets(BUFFER_MAXIMUM))

TRANS_BUFFER_DATA = record(
    TransBufferData, "source" / I32, "data" / octets(BUFFER_MAXIMUM)
)

SEND_SDK_FILTER_DATA = record(SendSDKFilterData, "data" / octets(MAX_BUFFER))

SDK_FILTER_DATA = record(SDKFilterData, "data" / octets(MAX_BUFFER))

OPEN_STREAM = record(
    OpenStream, "kind" / KIND, "stream_index" / U8, "format" / STREAM_FORMAT
)

STREAM_OPENED = record(
    StreamOpened,
    "code" / CODE,
    "ssrc" / U32,
    "key" / secret(KEY_SIZE),
    "salt_key" / secret(SALT_KEY_SIZE),
)

CLOSE_STREAM = record(CloseStream, "kind" / KIND, "stream_index" / U8)

CAMERA_STATE = record(CameraState, "user_id" / I32, "stream_index" / U8, "open" / FLAG)

MIC_STATE_CHANGE = record(
    MicStateChange, "user_id" / I32, "stream_index" / U8, "open" / FLAG
)

USER_CAMERA_CONTROL = record(
    UserCameraControl, "user_id" / I32, "open" / FLAG, "stream_index" / U8
)

USER_SPEAK_CONTROL = record(
    UserSpeakControl, "user_id" / I32, "open" / FLAG, "stream_index" / U8
)

STREAM_GRANTED = record(
    StreamGranted,
    "user_id" / I32,
    "kind" / KIND,
    "stream_index" / U8,
    "ssrc" / U32,
    "format" / STREAM_FORMAT,
    "roc" / U32,
    "sequence" / U16,
    "key" / fixed(KEY_SIZE),
    "salt_key" / fixed(SALT_KEY_SIZE),
)

STREAM_ENDED = record(
    StreamEnded, "user_id" / I32, "kind" / KIND, "stream_index" / U8, "ssrc" / U32
)

QUERY_ONLINE_USERS = record(QueryOnlineUsers)

QUERY_ROOM_USERS = record(QueryRoomUsers, "room_id" / I32)

USER_LIST = record(
    UserList, "code" / CODE, "total" / U32, "user_ids" / sequence(I32, USERS_MAXIMUM)
)

QUERY_ROOM_STATE = record(
    QueryRoomState, "room_id" / I32, "state" / enumerated(U8, RoomState)
)

QUERY_USER_STATE = record(
    QueryUserState, "user_id" / I32, "state" / enumerated(U8, UserState)
)

STATE_VALUE = record(
    StateValue, "code" / CODE, "number" / I32, "text" / text(TEXT_MAXIMUM)
)

RESYNC = record(
    Resync,
    "user_id" / I32,
    "room_id" / I32,
    "room_name" / line(NAME_MAXIMUM),
    "published"
    / sequence(
        record(PublishedStream, "kind" / KIND, "stream_index" / U8, "ssrc" / U32),
        STREAMS_MAXIMUM,
        U8,
    ),
    "subscriptions"
    / sequence(
        record(Subscription, "user_id" / I32, "kind" / KIND, "stream_index" / U8),
        SUBSCRIPTIONS_MAXIMUM,
    ),
)
