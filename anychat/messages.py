"""The one vocabulary of client, server and core.

Frozen dataclasses, one for each message.  ``anychat.protocols.formats`` gives
each its number and its bytes; the core takes and returns the very same
objects.  Values are checked where bytes become messages, so that code behind
the formats can rely on ranges and lengths.

Fields whose name is ``password``, ``proof``, ``token`` or ``key`` are secrets:
they are left out of ``repr`` and never reach a log.
"""

from dataclasses import dataclass, field

from anychat.codes import (
    Capability,
    DeviceType,
    ResultCode,
    RoomState,
    SignatureScheme,
    StreamInfo,
    StreamKind,
    StreamTransMode,
    TraceMode,
    TransferKind,
    UserState,
    VideoCallEvent,
    VideoCallStage,
)


@dataclass(frozen=True, slots=True)
class Message:
    """Base of everything that goes over a signalling link."""


# Link messages: about the TCP link itself; not numbered, not replayed.


@dataclass(frozen=True, slots=True)
class ClientHello(Message):
    """First message of a client."""

    version: int
    """Highest protocol version the client speaks."""
    capabilities: Capability
    nonce: bytes
    """16 random bytes."""
    device: DeviceType
    agent: str
    """Program and version, for the server's log."""


@dataclass(frozen=True, slots=True)
class ServerHello(Message):
    """Answer to `ClientHello`."""

    version: int
    capabilities: Capability
    nonce: bytes
    """16 random bytes."""
    salt: bytes
    """16 bytes, the scrypt salt of the SDKAuthPass proof."""
    proof_required: bool
    """Whether a `ClientProof` must come next."""
    server_version: str
    build_time: str
    operating_system: str
    uptime: int
    """Seconds since the server started."""
    licence_mode: int
    """0 demo, 1 licensed."""
    check_time: int
    """Milliseconds between heartbeats (NetCheckTime)."""
    timeout: int
    """Milliseconds of silence that end a link (NetTimeoutTime)."""


@dataclass(frozen=True, slots=True)
class ClientProof(Message):
    """Proof that the client knows SDKAuthPass; see ``protocols.proof``."""

    proof: bytes = field(repr=False)
    """HMAC-SHA256, 32 bytes."""


@dataclass(frozen=True, slots=True)
class Connect(Message):
    """CONNECT: whether the link may be used.  Closed at once if not."""

    code: ResultCode


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Sent by the client every ``check_time``."""

    stamp: int
    """The sender's clock in milliseconds, modulo 2**32."""


@dataclass(frozen=True, slots=True)
class HeartbeatReply(Message):
    """The server's answer; carries the stamp back."""

    stamp: int


@dataclass(frozen=True, slots=True)
class Login(Message):
    """LOGINSYSTEM request; an empty password asks for a guest's id."""

    name: str
    password: str = field(repr=False)
    local_address: str = ""
    """The client's own address, for user-state kind 7."""


@dataclass(frozen=True, slots=True)
class LoginEx(Message):
    """LOGINSYSTEM request of a user for whom a signature speaks.

    See ``protocols.signature`` for what is signed.
    """

    nickname: str
    user_id: int
    """Positive, or -1: the server gives ``string_id`` a number."""
    string_id: str
    """The application's own id of the user, empty for none."""
    app_id: str
    timestamp: int
    """When it was signed: seconds since 1970, UTC."""
    scheme: SignatureScheme
    signature: bytes = field(repr=False)
    """The bytes, without base64."""
    parameters: str
    """JSON for business objects, or empty."""
    local_address: str = ""
    """The client's own address, for user-state kind 7."""


@dataclass(frozen=True, slots=True)
class LoginResult(Message):
    """LOGINSYSTEM: the session begins when ``code`` is 0."""

    code: ResultCode
    user_id: int = 0
    level: int = 0
    nickname: str = ""
    token: bytes = field(default=b"", repr=False)
    """16 bytes; lets a new link take the session over, once."""
    hold_time: int = 0
    """Seconds that the session is kept after its link is lost."""


@dataclass(frozen=True, slots=True)
class Resume(Message):
    """Take over a held session on a new link, instead of `Login`."""

    taken: int
    """Number of the last session frame taken from the server."""
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resumed(Message):
    """Answer to `Resume`."""

    code: ResultCode
    """0, or 8 SESSIONNOTEXIST: log in anew."""
    taken: int = 0
    """Number of the last session frame the server took from the client."""
    resync: bool = False
    """The replay buffer did not reach back: a `Resync` follows."""
    token: bytes = field(default=b"", repr=False)
    """The next token."""


@dataclass(frozen=True, slots=True)
class MediaPacket(Message):
    """A packet of the media plane, either way, where UDP does not pass."""

    data: bytes
    """SRTP or SRTCP, as it would be a datagram."""


@dataclass(frozen=True, slots=True)
class MediaPath(Message):
    """Whether the client wants its media over this link; not until it says so."""

    over_link: bool


@dataclass(frozen=True, slots=True)
class LinkClose(Message):
    """LINKCLOSE: the server is about to close the link, and why."""

    code: ResultCode


# Session messages: numbered, acknowledged and replayed after a lost link.


@dataclass(frozen=True, slots=True)
class Result(Message):
    """Plain answer to a request that returns nothing but its code."""

    code: ResultCode


@dataclass(frozen=True, slots=True)
class Logout(Message):
    """End the session; answered by `Result`, then the link is closed."""


@dataclass(frozen=True, slots=True)
class ServerParameters(Message):
    """The server's default media parameters (manual 3.4 and 3.5).

    Sent after login, and again (SERVERCFGUPDATE) when they change.
    """

    video_width: int
    video_height: int
    video_fps: int
    video_gop: int
    video_bitrate: int
    """Bits per second."""
    video_codec: int
    video_quality: int
    video_preset: int
    audio_sample_rate: int
    audio_channels: int
    audio_sample_bits: int
    audio_codec: int
    audio_bitrate: int
    """Bits per second."""


@dataclass(frozen=True, slots=True)
class MediaSetup(Message):
    """How the session's media reaches the server; only over TLS."""

    addresses: tuple[str, ...]
    """IP literals to try in order; empty: the address of the TCP link."""
    port: int
    """UDP port."""
    username: str
    """USERNAME of STUN requests in both directions (RFC 8489 section 9.1)."""
    client_ssrc: int
    """SSRC of the client's own RTCP packets."""
    server_ssrc: int
    """SSRC of the server's RTCP packets on this leg."""
    stun_key: bytes = field(repr=False)
    """MESSAGE-INTEGRITY key, both directions."""
    rtcp_key: bytes = field(repr=False)
    """AEAD_AES_128_GCM master key of the leg's SRTCP, both directions."""
    rtcp_salt_key: bytes = field(repr=False)
    """Its master salt, 12 bytes."""


@dataclass(frozen=True, slots=True)
class EnterRoom(Message):
    """Enter a room by number."""

    room_id: int
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class EnterRoomByName(Message):
    """Enter a room by name; the server picks the number of a new one."""

    name: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class EnterRoomResult(Message):
    """ENTERROOM: answer to both kinds of entry."""

    code: ResultCode
    room_id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class LeaveRoom(Message):
    """Leave the room; answered by `Result`."""

    room_id: int


@dataclass(frozen=True, slots=True)
class OpenStreamInfo:
    """A stream that a room member has open."""

    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class Member:
    """A room member as others see it."""

    user_id: int
    level: int
    nickname: str
    streams: tuple[OpenStreamInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class RoomMembers(Message):
    """Members of a room just entered, self left out.

    Any number of these stand between `EnterRoomResult` and `OnlineUser`.
    """

    room_id: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class OnlineUser(Message):
    """ONLINEUSER: exactly one after a successful entry."""

    count: int
    """Members, self included."""
    room_id: int


@dataclass(frozen=True, slots=True)
class UserAtRoom(Message):
    """USERATROOM: somebody entered or left the room."""

    entered: bool
    member: Member


@dataclass(frozen=True, slots=True)
class SendText(Message):
    """Text to a user or, with -1, to the room; answered by `Result`."""

    target: int
    secret: bool
    text: str


@dataclass(frozen=True, slots=True)
class TextMessage(Message):
    """A text that arrived."""

    source: int
    target: int
    secret: bool
    text: str


@dataclass(frozen=True, slots=True)
class TransBuffer(Message):
    """At most 1000 bytes to a user, the room (-1) or the business server (0)."""

    target: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TransBufferData(Message):
    """A buffer that arrived."""

    source: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendSDKFilterData(Message):
    """Data for the plug-in or business server; answered by `Result`."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SDKFilterData(Message):
    """Data of the plug-in or business server."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What a publication carries; the receiver sets up its decoder from it."""

    payload_type: int
    """RTP payload type; see ``media.payloads``."""
    clock_rate: int
    """RTP clock, Hz."""
    bitrate: int
    """Target, bits per second."""
    width: int = 0
    height: int = 0
    fps: int = 0
    channels: int = 0
    config: bytes = b""
    """Codec configuration where the codec needs one (AudioSpecificConfig)."""


@dataclass(frozen=True, slots=True)
class OpenStream(Message):
    """Open the camera (video) or the microphone (audio) of that index."""

    kind: StreamKind
    stream_index: int
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class StreamOpened(Message):
    """Answer to `OpenStream`: what to publish under."""

    code: ResultCode
    ssrc: int = 0
    key: bytes = field(default=b"", repr=False)
    """AEAD_AES_128_GCM master key, 16 bytes."""
    salt_key: bytes = field(default=b"", repr=False)
    """Master salt, 12 bytes."""


@dataclass(frozen=True, slots=True)
class CloseStream(Message):
    """Close the camera or the microphone; answered by `Result`."""

    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class CameraState(Message):
    """CAMERASTATE: a member's camera was opened (2) or closed (1)."""

    user_id: int
    stream_index: int
    open: bool


@dataclass(frozen=True, slots=True)
class MicStateChange(Message):
    """MICSTATECHANGE: a member's microphone was opened or closed."""

    user_id: int
    stream_index: int
    open: bool


@dataclass(frozen=True, slots=True)
class UserCameraControl(Message):
    """Subscribe to a member's video, or end that; answered by `Result`.

    A subscription to a stream that is not open waits for it, and survives
    its being closed and opened again.
    """

    user_id: int
    open: bool
    stream_index: int = 0


@dataclass(frozen=True, slots=True)
class UserSpeakControl(Message):
    """The same for a member's audio."""

    user_id: int
    open: bool
    stream_index: int = 0


@dataclass(frozen=True, slots=True)
class StreamGranted(Message):
    """A subscribed stream is open: here is how to receive it."""

    user_id: int
    kind: StreamKind
    stream_index: int
    ssrc: int
    format: StreamFormat
    roc: int
    """Roll-over counter at ``sequence`` (RFC 3711 section 3.3.1)."""
    sequence: int
    """Highest sequence number forwarded so far."""
    key: bytes = field(repr=False)
    salt_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded(Message):
    """A granted stream was closed; its SSRC and key are of no use any more."""

    user_id: int
    kind: StreamKind
    stream_index: int
    ssrc: int


@dataclass(frozen=True, slots=True)
class QueryOnlineUsers(Message):
    """Ids of all users signed in; answered by `UserList`."""


@dataclass(frozen=True, slots=True)
class QueryRoomUsers(Message):
    """Ids of a room's members, self left out; answered by `UserList`."""

    room_id: int


@dataclass(frozen=True, slots=True)
class UserList(Message):
    """Answer to the two queries above; at most 10,000 ids."""

    code: ResultCode
    total: int = 0
    """How many there are, of whom ``user_ids`` names the first."""
    user_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryRoomState(Message):
    """Ask for a room's name or number of users; answered by `StateValue`."""

    room_id: int
    state: RoomState


@dataclass(frozen=True, slots=True)
class QueryUserState(Message):
    """Ask one state of a user (-1: of oneself); answered by `StateValue`."""

    user_id: int
    state: UserState


@dataclass(frozen=True, slots=True)
class StateValue(Message):
    """Answer to the state queries: a number, a text, or both."""

    code: ResultCode
    number: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class PublishedStream:
    """A stream of one's own that the server still holds open."""

    kind: StreamKind
    stream_index: int
    ssrc: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription that the server still holds."""

    user_id: int
    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class Resync(Message):
    """RESYNC: notifications were lost; this is the whole state instead.

    In a room, `RoomMembers`, `OnlineUser` and a `StreamGranted` for every
    open subscription follow; requests that were not answered may be sent
    again under their old numbers.
    """

    user_id: int
    room_id: int
    """0: in no room."""
    room_name: str = ""
    published: tuple[PublishedStream, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()


# Transfers: buffers and files in chunks, between users or to and from the server.


@dataclass(frozen=True, slots=True)
class TransferData(Message):
    """A chunk on its way from the sender; not numbered, never replayed."""

    task_id: int
    offset: int
    """Of the first byte in the content."""
    digest: bytes
    """SHA-256 of the content up to the end of this chunk."""
    data: bytes


@dataclass(frozen=True, slots=True)
class TransferPortion(Message):
    """The same chunk on its way to the receiver; not numbered either."""

    task_id: int
    offset: int
    digest: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class TransferTaken(Message):
    """The receiver has everything before that offset; not numbered."""

    task_id: int
    offset: int
    restart: bool
    """Go on there: at the beginning, after a lost link, after a bad chunk."""


@dataclass(frozen=True, slots=True)
class TransferGrant(Message):
    """What the sender may send; not numbered."""

    task_id: int
    offset: int
    """The receiver has everything before it."""
    limit: int
    """The sender sends nothing at or beyond this offset."""
    restart: bool
    """Go on at ``offset``, whatever was sent before."""


@dataclass(frozen=True, slots=True)
class BeginTransfer(Message):
    """Send a buffer or a file to a user, or (0) to the server."""

    target: int
    kind: TransferKind
    guid: str
    """Names the task for its sender: what it begins again goes on under it."""
    file_name: str
    """Without the sender's directories; empty for a buffer."""
    length: int
    """Bytes of the content."""
    wparam: int
    lparam: int
    flags: int
    text: str
    """The user string of TransFileEx."""


@dataclass(frozen=True, slots=True)
class TransferBegun(Message):
    """Answer to `BeginTransfer`; a `TransferGrant` says when to start."""

    code: ResultCode
    task_id: int = 0


@dataclass(frozen=True, slots=True)
class TransferOffered(Message):
    """Somebody sends a buffer or a file; `TransferTaken` asks for its chunks."""

    task_id: int
    source: int
    """Who sends it; 0: the business server."""
    kind: TransferKind
    guid: str
    file_name: str
    """As the sender says it: not to be used as it is."""
    length: int
    wparam: int
    lparam: int
    flags: int
    text: str


@dataclass(frozen=True, slots=True)
class EndTransfer(Message):
    """A task is over, as one of its ends says; answered by `Result`.

    The receiver says 0 when it has everything; any other code, of either
    side, gives the task up.
    """

    task_id: int
    kind: TransferKind
    code: ResultCode


@dataclass(frozen=True, slots=True)
class TransferEnded(Message):
    """A task is over, as its other end or the server says."""

    task_id: int
    code: ResultCode


@dataclass(frozen=True, slots=True)
class TransferTasks(Message):
    """After a `Resync`: these tasks of the session go on, and no other."""

    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenLayer(Message):
    """Publish an open camera once more, smaller; answered by `StreamOpened`.

    The layer ends with the camera.
    """

    stream_index: int
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class LayerGranted(Message):
    """A granted stream has a smaller layer, which the server may send instead."""

    user_id: int
    stream_index: int
    stream_ssrc: int
    """The granted stream that it stands in for."""
    ssrc: int
    format: StreamFormat
    roc: int
    """Roll-over counter at ``sequence``."""
    sequence: int
    """Highest sequence number of the layer so far."""
    key: bytes = field(repr=False)
    salt_key: bytes = field(repr=False)


# Network quality and logs.


@dataclass(frozen=True, slots=True)
class SetUdpTrace(Message):
    """Take part in UDP traces in the room, or no longer; answered by `Result`."""

    mode: TraceMode
    target: int
    """Who gets one's own probes: a user, -1 the room, 0 oneself, by the server."""


@dataclass(frozen=True, slots=True)
class MediaTransport(Message):
    """How media goes to and from the server (StreamTransMode); comes before
    `MediaSetup`."""

    mode: StreamTransMode


@dataclass(frozen=True, slots=True)
class LogWanted(Message):
    """The server asks for the client's log; `LogPart` answers."""

    maximum: int
    """Bytes: the end of a longer log is wanted."""


@dataclass(frozen=True, slots=True)
class LogPart(Message):
    """The next part of the client's log; answered by `Result`.

    A part at offset 0 begins a new log.
    """

    offset: int
    length: int
    """Bytes of the whole log."""
    data: bytes


# User data: information, groups and friends, which business servers look after.


@dataclass(frozen=True, slots=True)
class SyncData(Message):
    """SYNCDATA: a whole set of user data follows, and replaces the last one.

    Up to `UserInfoUpdate` with 0 and 0.
    """


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group of a user's friends."""

    group_id: int
    name: str


@dataclass(frozen=True, slots=True)
class UserGroups(Message):
    """Some of one's groups; any number of these make the whole."""

    groups: tuple[UserGroup, ...]


@dataclass(frozen=True, slots=True)
class Friend:
    """A friend, and the groups that it is in."""

    user_id: int
    online: bool
    group_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UserFriends(Message):
    """Some of one's friends; any number of these make the whole."""

    friends: tuple[Friend, ...]


@dataclass(frozen=True, slots=True)
class UserInfoItem:
    """One piece of information about a user; the application gives it a meaning."""

    info_id: int
    text: str


@dataclass(frozen=True, slots=True)
class UserInfos(Message):
    """All information about oneself or a friend."""

    user_id: int
    infos: tuple[UserInfoItem, ...]


@dataclass(frozen=True, slots=True)
class UserInfoUpdate(Message):
    """USERINFOUPDATE: that user's information has changed; 0, 0: the set is whole."""

    user_id: int
    kind: int
    """0: whatever differs from what was told before."""


@dataclass(frozen=True, slots=True)
class FriendStatus(Message):
    """FRIENDSTATUS: a friend has signed in or is gone."""

    user_id: int
    online: bool


@dataclass(frozen=True, slots=True)
class UserInfoControl(Message):
    """Have something done to a user, or to oneself (-1); answered by `Result`."""

    user_id: int
    control_code: int
    wparam: int
    lparam: int
    text: str


@dataclass(frozen=True, slots=True)
class UserInfoCommand(Message):
    """A control code from 100 up that was meant for this client."""

    source: int
    """Who sent it; 0: a business server."""
    control_code: int
    wparam: int
    lparam: int
    text: str


@dataclass(frozen=True, slots=True)
class QueryInfoFromServer(Message):
    """Ask for one of the things the server knows; answered by `InfoValue`."""

    query: int
    """A `codes.ServerQuery`."""
    text: str


@dataclass(frozen=True, slots=True)
class InfoValue(Message):
    """Answer to `QueryInfoFromServer`."""

    code: ResultCode
    text: str = ""


@dataclass(frozen=True, slots=True)
class SetSDKOption(Message):
    """Set an option that the server feels; answered by `Result`."""

    option: int
    """A `codes.SDKOption`."""
    number: int


@dataclass(frozen=True, slots=True)
class QuerySDKOption(Message):
    """Ask for the value of such an option; answered by `OptionValue`."""

    option: int


@dataclass(frozen=True, slots=True)
class OptionValue(Message):
    """Answer to `QuerySDKOption`."""

    code: ResultCode
    number: int = 0


@dataclass(frozen=True, slots=True)
class QueryStreamInfo(Message):
    """Ask about a stream of a user in the room (-1: of one's own); `StateValue`."""

    user_id: int
    stream_index: int
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class RenewStreams(Message):
    """Open all that one publishes anew: somebody was kicked out who has its keys."""


# Video calls.


@dataclass(frozen=True, slots=True)
class VideoCallControl(Message):
    """Call a user, or go on with the call with that user; answered by `Result`."""

    event: VideoCallEvent
    user_id: int
    """The other party."""
    error: ResultCode
    flags: int
    """`codes.VideoCallFlag` and whatever the application adds."""
    param: int
    text: str


@dataclass(frozen=True, slots=True)
class VideoCallNotice(Message):
    """What happens to one's call (the VideoCallEvent callback)."""

    event: VideoCallEvent
    user_id: int
    """The other party."""
    error: ResultCode
    flags: int
    param: int
    """With START the room of the call."""
    text: str


@dataclass(frozen=True, slots=True)
class VideoCallStatus(Message):
    """After a `Resync`: the call that one is in."""

    stage: VideoCallStage
    user_id: int
    """The other party; 0 without a call."""
    flags: int
    room_id: int
    """0 while it rings."""
    is_caller: bool
