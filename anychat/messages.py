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
    StreamKind,
    UserState,
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
