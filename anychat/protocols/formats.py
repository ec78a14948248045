"""Every signalling message: its number, its sender and its bytes.

The registry is append-only: a number is never given to another message and
``test/golden/messages.txt`` pins it.  ``docs/wire/signalling.md`` has the byte
tables.
"""

from enum import Enum
from io import BytesIO
from typing import Any, NamedTuple

from construct import ConstructError

from anychat import messages
from anychat.errors import LocalError, PeerError
from anychat.messages import Message
from anychat.protocols import formats_calls as calls
from anychat.protocols import formats_layers as layers
from anychat.protocols import formats_link as link
from anychat.protocols import formats_people as people
from anychat.protocols import formats_quality as quality
from anychat.protocols import formats_session as session
from anychat.protocols import formats_transfers as transfers

#: The protocol version that these formats are.  A change that an older peer
#: could not read makes a new one; each side speaks the lower of the two.
VERSION = 1


class Sender(Enum):
    """Which side may send a message."""

    CLIENT = "client"
    SERVER = "server"
    EITHER = "client or the server"


class Format(NamedTuple):
    """A row of the registry."""

    number: int
    kind: type[Message]
    sender: Sender
    layout: Any


_CLIENT, _SERVER = Sender.CLIENT, Sender.SERVER

#: Only append.  Numbers below 32 are link messages.
REGISTRY: tuple[Format, ...] = (
    Format(1, messages.ClientHello, _CLIENT, link.CLIENT_HELLO),
    Format(2, messages.ServerHello, _SERVER, link.SERVER_HELLO),
    Format(3, messages.ClientProof, _CLIENT, link.CLIENT_PROOF),
    Format(4, messages.Connect, _SERVER, link.CONNECT),
    Format(5, messages.Heartbeat, _CLIENT, link.HEARTBEAT),
    Format(6, messages.HeartbeatReply, _SERVER, link.HEARTBEAT_REPLY),
    Format(7, messages.Login, _CLIENT, link.LOGIN),
    Format(8, messages.LoginResult, _SERVER, link.LOGIN_RESULT),
    Format(9, messages.Resume, _CLIENT, link.RESUME),
    Format(10, messages.Resumed, _SERVER, link.RESUMED),
    Format(11, messages.LinkClose, _SERVER, link.LINK_CLOSE),
    Format(12, messages.MediaPacket, Sender.EITHER, link.MEDIA_PACKET),
    Format(13, messages.MediaPath, _CLIENT, link.MEDIA_PATH),
    Format(14, messages.LoginEx, _CLIENT, people.LOGIN_EX),
    Format(32, messages.Result, _SERVER, session.RESULT),
    Format(33, messages.Logout, _CLIENT, session.LOGOUT),
    Format(34, messages.ServerParameters, _SERVER, session.SERVER_PARAMETERS),
    Format(35, messages.MediaSetup, _SERVER, session.MEDIA_SETUP),
    Format(36, messages.EnterRoom, _CLIENT, session.ENTER_ROOM),
    Format(37, messages.EnterRoomByName, _CLIENT, session.ENTER_ROOM_BY_NAME),
    Format(38, messages.EnterRoomResult, _SERVER, session.ENTER_ROOM_RESULT),
    Format(39, messages.LeaveRoom, _CLIENT, session.LEAVE_ROOM),
    Format(40, messages.RoomMembers, _SERVER, session.ROOM_MEMBERS),
    Format(41, messages.OnlineUser, _SERVER, session.ONLINE_USER),
    Format(42, messages.UserAtRoom, _SERVER, session.USER_AT_ROOM),
    Format(43, messages.SendText, _CLIENT, session.SEND_TEXT),
    Format(44, messages.TextMessage, _SERVER, session.TEXT_MESSAGE),
    Format(45, messages.TransBuffer, _CLIENT, session.TRANS_BUFFER),
    Format(46, messages.TransBufferData, _SERVER, session.TRANS_BUFFER_DATA),
    Format(47, messages.OpenStream, _CLIENT, session.OPEN_STREAM),
    Format(48, messages.StreamOpened, _SERVER, session.STREAM_OPENED),
    Format(49, messages.CloseStream, _CLIENT, session.CLOSE_STREAM),
    Format(50, messages.CameraState, _SERVER, session.CAMERA_STATE),
    Format(51, messages.MicStateChange, _SERVER, session.MIC_STATE_CHANGE),
    Format(52, messages.UserCameraControl, _CLIENT, session.USER_CAMERA_CONTROL),
    Format(53, messages.UserSpeakControl, _CLIENT, session.USER_SPEAK_CONTROL),
    Format(54, messages.StreamGranted, _SERVER, session.STREAM_GRANTED),
    Format(55, messages.StreamEnded, _SERVER, session.STREAM_ENDED),
    Format(56, messages.QueryOnlineUsers, _CLIENT, session.QUERY_ONLINE_USERS),
    Format(57, messages.QueryRoomUsers, _CLIENT, session.QUERY_ROOM_USERS),
    Format(58, messages.UserList, _SERVER, session.USER_LIST),
    Format(59, messages.QueryRoomState, _CLIENT, session.QUERY_ROOM_STATE),
    Format(60, messages.QueryUserState, _CLIENT, session.QUERY_USER_STATE),
    Format(61, messages.StateValue, _SERVER, session.STATE_VALUE),
    Format(62, messages.Resync, _SERVER, session.RESYNC),
    Format(63, messages.SendSDKFilterData, _CLIENT, session.SEND_SDK_FILTER_DATA),
    Format(64, messages.SDKFilterData, _SERVER, session.SDK_FILTER_DATA),
    Format(70, messages.TransferData, _CLIENT, transfers.TRANSFER_DATA),
    Format(71, messages.TransferPortion, _SERVER, transfers.TRANSFER_PORTION),
    Format(72, messages.TransferTaken, _CLIENT, transfers.TRANSFER_TAKEN),
    Format(73, messages.TransferGrant, _SERVER, transfers.TRANSFER_GRANT),
    Format(74, messages.BeginTransfer, _CLIENT, transfers.BEGIN_TRANSFER),
    Format(75, messages.TransferBegun, _SERVER, transfers.TRANSFER_BEGUN),
    Format(76, messages.TransferOffered, _SERVER, transfers.TRANSFER_OFFERED),
    Format(77, messages.EndTransfer, _CLIENT, transfers.END_TRANSFER),
    Format(78, messages.TransferEnded, _SERVER, transfers.TRANSFER_ENDED),
    Format(79, messages.TransferTasks, _SERVER, transfers.TRANSFER_TASKS),
    Format(85, messages.VideoCallControl, _CLIENT, calls.VIDEO_CALL_CONTROL),
    Format(86, messages.VideoCallNotice, _SERVER, calls.VIDEO_CALL_NOTICE),
    Format(87, messages.VideoCallStatus, _SERVER, calls.VIDEO_CALL_STATUS),
    Format(90, messages.SyncData, _SERVER, people.SYNC_DATA),
    Format(91, messages.UserGroups, _SERVER, people.USER_GROUPS),
    Format(92, messages.UserFriends, _SERVER, people.USER_FRIENDS),
    Format(93, messages.UserInfos, _SERVER, people.USER_INFOS),
    Format(94, messages.UserInfoUpdate, _SERVER, people.USER_INFO_UPDATE),
    Format(95, messages.FriendStatus, _SERVER, people.FRIEND_STATUS),
    Format(96, messages.UserInfoControl, _CLIENT, people.USER_INFO_CONTROL),
    Format(97, messages.UserInfoCommand, _SERVER, people.USER_INFO_COMMAND),
    Format(98, messages.QueryInfoFromServer, _CLIENT, people.QUERY_INFO_FROM_SERVER),
    Format(99, messages.InfoValue, _SERVER, people.INFO_VALUE),
    Format(100, messages.SetSDKOption, _CLIENT, people.SET_SDK_OPTION),
    Format(101, messages.QuerySDKOption, _CLIENT, people.QUERY_SDK_OPTION),
    Format(102, messages.OptionValue, _SERVER, people.OPTION_VALUE),
    Format(103, messages.QueryStreamInfo, _CLIENT, people.QUERY_STREAM_INFO),
    Format(104, messages.RenewStreams, _SERVER, people.RENEW_STREAMS),
    Format(110, messages.SetUdpTrace, _CLIENT, quality.SET_UDP_TRACE),
    Format(111, messages.MediaTransport, _SERVER, quality.MEDIA_TRANSPORT),
    Format(112, messages.LogWanted, _SERVER, quality.LOG_WANTED),
    Format(113, messages.LogPart, _CLIENT, quality.LOG_PART),
    Format(125, messages.OpenLayer, _CLIENT, layers.OPEN_LAYER),
    Format(126, messages.LayerGranted, _SERVER, layers.LAYER_GRANTED),
)

_BY_NUMBER = {row.number: row for row in REGISTRY}
_BY_KIND = {row.kind: row for row in REGISTRY}


def number_of(kind: type[Message]) -> int:
    """The number of a kind of message."""
    return _BY_KIND[kind].number


def known(number: int, sender: Sender) -> bool:
    """Whether that side may send a message of that number."""
    row = _BY_NUMBER.get(number)
    return row is not None and row.sender in (sender, Sender.EITHER)


def encode(message: Message) -> tuple[int, bytes]:
    """Number and body of a message.

    :raises LocalError: a value that the format has no room for.
    """
    row = _BY_KIND.get(type(message))
    if row is None:
        raise LocalError(f"{type(message).__name__} has no format")
    try:
        body: bytes = row.layout.build(message)
    except (ConstructError, ValueError, TypeError, AttributeError) as error:
        # "from None": the values under the error may be secrets.
        raise LocalError(
            f"{row.kind.__name__} cannot be built: {_one_line(error)}"
        ) from None
    return row.number, body


def decode(number: int, body: bytes) -> Message:
    """The message that a frame carries.

    :raises PeerError: unknown number, or a body that is not exactly one
        message within all its limits.
    """
    row = _BY_NUMBER.get(number)
    if row is None:
        raise PeerError(f"message number {number} is unknown")
    stream = BytesIO(body)
    try:
        message: Message = row.layout.parse_stream(stream)
    except (ConstructError, ValueError) as error:
        raise PeerError(f"{row.kind.__name__}: {_one_line(error)}") from None
    left = len(body) - stream.tell()
    if left:
        raise PeerError(f"{row.kind.__name__}: {left} bytes too many")
    return message


def _one_line(error: Exception) -> str:
    """The text of an error; construct puts the path on a line of its own."""
    return ": ".join(str(error).splitlines())
