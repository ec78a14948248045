"""The state of the hall: plain data, altered by `Hall.apply` alone.

Four things are linked by ids and never by reference: the wire connection (a
`LinkId`), the `Session`, the `Membership` in a room, and the media leg (known
to the media plane under the session's id).  Two states are equal with ``==``
when they are the same to every later command.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from anychat.business_messages import Arbiter
from anychat.codes import (
    FIRST_GUEST_ID,
    DeviceType,
    ResultCode,
    StreamKind,
    TraceMode,
    TransferKind,
)
from anychat.core.numbers import FreeNumbers
from anychat.errors import Refused
from anychat.ids import LinkId, RoomId, SessionId, Ssrc, UserId
from anychat.messages import Member, StreamFormat, Subscription
from anychat.terms import Terms

#: A stream of a user: its kind and its index.
StreamId: TypeAlias = tuple[StreamKind, int]

#: Rooms that are made by name get the lowest free number from here up.
FIRST_NAMED_ROOM = 10001


def string_key(string_id: str) -> str:
    """What a string id is called among the names; no name looks like it."""
    return f"\0{string_id}"


@dataclass(slots=True)
class Session:
    """A signed-in client; outlives its links."""

    id: SessionId
    link: LinkId
    """The link it has, or had last while it is held."""
    user_id: UserId
    name: str
    nickname: str
    level: int
    address: str
    local_address: str
    device: DeviceType
    secure: bool
    """Whether it may have media."""
    vouched: bool
    """It began while whoever decides about entering rooms was not away."""
    signed: bool = False
    """A signature spoke for the user."""
    string_id: str = ""
    """The application's own id of the user, with a signature."""
    room_id: RoomId | None = None
    rotation: int = 0
    """Degrees by which its picture is to be turned."""
    mirrored: bool = False
    options: dict[int, int] = field(default_factory=dict)
    """Those that it has set."""
    controls: dict[int, None] = field(default_factory=dict)
    """Requests with control codes whose verdict is awaited."""
    call: SessionId | None = None
    """Who made the video call that it is in: maybe itself."""
    call_steps: dict[int, int] = field(default_factory=dict)
    """Requests with steps of calls whose verdict is awaited: whom each is to
    call, 0 if it is another step or given up."""
    sending: dict[str, int] = field(default_factory=dict)
    """Its transfers as sender, by their GUIDs, oldest first."""
    receiving: dict[int, None] = field(default_factory=dict)
    """Its transfers as receiver, oldest first."""

    @property
    def remembered_by(self) -> str:
        """What its id is remembered by, if it is one that the core gave."""
        return string_key(self.string_id) if self.signed else self.name


@dataclass(slots=True)
class Profile:
    """User data; of a user who is signed in, or a friend of one who is."""

    infos: dict[int, str] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    friends: dict[UserId, dict[int, None]] = field(default_factory=dict)
    """And the groups that each is in."""
    friend_of: dict[UserId, None] = field(default_factory=dict)
    """Who is signed in and has this one among his friends."""
    synchronised: bool = False
    """The user was told his data, and is told of his friends."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A buffer or a file under way; as told by `TransferAdded`."""

    id: int
    kind: TransferKind
    guid: str
    source: SessionId | None
    """None: the server sends it, for a business server."""
    source_id: UserId
    sink: SessionId | None
    """None: the server takes it."""
    target_id: UserId
    file_name: str
    length: int
    wparam: int
    lparam: int
    flags: int
    text: str = field(repr=False)
    """The user string of TransFileEx."""


@dataclass(frozen=True, slots=True)
class VideoCall:
    """A video call, from its ringing on."""

    caller: SessionId
    callee: SessionId
    flags: int
    room_id: RoomId | None = None
    """Of a call that was answered."""
    overdue: bool = False
    """It rings on only because the callee waits for a verdict."""

    def other(self, session: SessionId) -> SessionId:
        """The other party."""
        return self.callee if session == self.caller else self.caller


@dataclass(frozen=True, slots=True)
class Layer:
    """The same picture once more, smaller, under an SSRC of its own."""

    ssrc: Ssrc
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class Publication:
    """A stream that a member has open."""

    kind: StreamKind
    stream_index: int
    ssrc: Ssrc
    format: StreamFormat
    layer: Layer | None = None
    """What a receiver with a thin link gets in its place."""


@dataclass(frozen=True, slots=True)
class TracePart:
    """What a member does in UDP traces."""

    mode: TraceMode
    target: int
    """Who gets its probes: a user, -1 all who take part, 0 itself."""


@dataclass(slots=True)
class Membership:
    """A session's being in a room, with the streams that hang on it."""

    member: Member
    """What the others are told; kept ready, since every entrant gets it."""
    published: dict[StreamId, Publication] = field(default_factory=dict)
    watching: dict[Subscription, None] = field(default_factory=dict)
    """Its subscriptions, oldest first."""
    watchers: dict[StreamId, dict[SessionId, None]] = field(default_factory=dict)
    """Who subscribed to its streams: ``watching`` seen from the other end."""
    trace: TracePart | None = None
    """Its part in UDP traces."""


@dataclass(slots=True)
class Room:
    """A room."""

    id: RoomId
    name: str
    automatic: bool
    password: bytes | None = field(repr=False)
    members: dict[SessionId, Membership] = field(default_factory=dict)
    """In the order of entering."""

    def others(self, session: SessionId) -> tuple[SessionId, ...]:
        """All members but one."""
        return tuple([member for member in self.members if member != session])


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login whose verdict is awaited."""

    session: SessionId
    """The id that it gets if it is granted."""
    link: LinkId
    request: int
    name: str
    address: str
    local_address: str
    device: DeviceType
    secure: bool
    signed: bool = False
    """A signature speaks for the user."""
    string_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A session's wish to enter a room."""

    session: SessionId
    request: int
    room_id: RoomId
    """Of a room that is not there: the number that it gets."""
    name: str
    password: bytes = field(repr=False)
    """Keyed digest, empty for an empty password."""
    named: int
    """The number that the request itself named, 0 if it gave a name."""


@dataclass(slots=True)
class Reservation:
    """A room that is waited for: it keeps its number and name."""

    name: str
    entries: int
    """That wait for their verdicts; one more for a call whose room it is."""


@dataclass(slots=True)
class State:
    """All that the core knows."""

    verifier: Arbiter = Arbiter.NOBODY
    """Who decides about named logins."""
    admitter: Arbiter = Arbiter.NOBODY
    """Who decides about entering rooms."""
    terms: Terms = Terms()
    """What the licence allows."""
    hears: bool = False
    """Whether somebody takes events without deciding anything."""
    judges_calls: bool = False
    """Whether somebody decides about the steps of video calls."""
    verifying: dict[SessionId, PendingLogin] = field(default_factory=dict)
    """Logins whose verdict is awaited."""
    entering: dict[SessionId, Entry] = field(default_factory=dict)
    """Entries whose verdict is awaited; these sessions are in no room."""

    sessions: dict[SessionId, Session] = field(default_factory=dict)
    users: dict[UserId, SessionId] = field(default_factory=dict)
    """Who is signed in, in the order of signing in."""
    # Ordered dictionaries where the oldest goes first: a plain one takes ever
    # longer to find its first entry while entries are removed from the front.
    held: OrderedDict[SessionId, float] = field(default_factory=OrderedDict)
    """Sessions without a link and when they end, soonest first."""
    names: dict[str, UserId] = field(default_factory=dict)
    """Ids of named users, signed in or not."""
    offline: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Those of them who are not, longest offline first."""
    next_user_id: UserId = UserId(1)
    next_guest_id: UserId = UserId(FIRST_GUEST_ID)
    rooms: dict[RoomId, Room] = field(default_factory=dict)
    reserved: dict[RoomId, Reservation] = field(default_factory=dict)
    """The rooms of ``entering``, be they there or not."""
    room_names: dict[str, RoomId] = field(default_factory=dict)
    """Of the rooms that are there and of the reserved ones."""
    free_rooms: FreeNumbers = field(
        default_factory=lambda: FreeNumbers(FIRST_NAMED_ROOM), compare=False
    )
    """Derived from ``room_names``."""

    calls: dict[SessionId, VideoCall] = field(default_factory=dict)
    """Video calls by who made them."""
    ringing: OrderedDict[SessionId, float] = field(default_factory=OrderedDict)
    """Those that were not answered yet, and until when, soonest first."""
    call_rooms: dict[RoomId, SessionId] = field(default_factory=dict)
    """The rooms of answered calls; each is reserved as long as its call."""
    next_call_room: RoomId = RoomId(1)
    """Where room numbers of calls are counted up."""
    free_call_rooms: FreeNumbers = field(
        default_factory=lambda: FreeNumbers(1), compare=False
    )
    """Derived from ``room_names``, above VideoCallStartRoomId."""

    transfers: dict[int, Transfer] = field(default_factory=dict)
    """Buffers and files under way, oldest first."""
    next_transfer: int = 1
    fed_transfers: int = 0
    """Those of business servers among them."""
    profiles: dict[UserId, Profile] = field(default_factory=dict)
    """Of all of whom there is something to keep."""
    profile_bytes: int = 0
    """What ``profiles`` hold, each item with `profiles.ITEM` more."""
    by_name: dict[str, dict[UserId, None]] = field(default_factory=dict)
    """Who is signed in under a name, the longest first."""
    by_string_id: dict[str, dict[UserId, None]] = field(default_factory=dict)
    """Who is signed in with a string id; as a rule one."""
    blocked: dict[str, None] = field(default_factory=dict)
    """Addresses and patterns of those who may not connect, oldest first."""
    blocked_patterns: dict[str, None] = field(default_factory=dict)
    """The patterns among them."""
    signatures: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    """Digests of used signatures and when they are too old, soonest first."""
    chosen: dict[int, int] = field(default_factory=dict)
    """Default media parameters that a business server has chosen, by option."""
    applied: dict[int, int] = field(default_factory=dict)
    """Those that are in force."""

    @property
    def attended(self) -> bool:
        """Whether anybody is there who takes what is meant for user 0."""
        return self.hears or Arbiter.THERE in (self.verifier, self.admitter)

    def session_of(self, user_id: int) -> Session | None:
        """The session of a signed-in user."""
        session = self.users.get(UserId(user_id))
        return None if session is None else self.sessions[session]

    def room_of(self, session: Session) -> Room:
        """The room that a session is in.

        :raises Refused: it is in none.
        """
        if session.room_id is None:
            raise Refused(ResultCode.ROOM_NOTIN)
        return self.rooms[session.room_id]
