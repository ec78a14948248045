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
from anychat.codes import FIRST_GUEST_ID, DeviceType, ResultCode, StreamKind
from anychat.core.numbers import FreeNumbers
from anychat.errors import Refused
from anychat.ids import LinkId, RoomId, SessionId, Ssrc, UserId
from anychat.messages import Member, StreamFormat, Subscription

#: A stream of a user: its kind and its index.
StreamId: TypeAlias = tuple[StreamKind, int]

#: Rooms that are made by name get the lowest free number from here up.
FIRST_NAMED_ROOM = 10001


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
    room_id: RoomId | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A stream that a member has open."""

    kind: StreamKind
    stream_index: int
    ssrc: Ssrc
    format: StreamFormat


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
    """A login whose verdict is awaited; as told by `LoginAsked`."""

    session: SessionId
    """The id that it gets if it is granted."""
    link: LinkId
    request: int
    name: str
    address: str
    local_address: str
    device: DeviceType
    secure: bool


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
    """A room that entries wait to get into: it keeps its number and name."""

    name: str
    entries: int


@dataclass(slots=True)
class State:
    """All that the core knows."""

    verifier: Arbiter = Arbiter.NOBODY
    """Who decides about named logins."""
    admitter: Arbiter = Arbiter.NOBODY
    """Who decides about entering rooms."""
    hears: bool = False
    """Whether somebody takes events without deciding anything."""
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
