"""What can happen to the state: the changes that `Hall.apply` folds.

A change is a fact and plain data.  Folding the changes of a run, in order, on
a new hall gives the state of that run; so the ordered changes are what a
standby replays, what an audit reads and what a test replays.  Texts, buffers,
passwords and keys are never part of one: a room's password is a keyed digest.
"""

from dataclasses import dataclass, field

from anychat.business_messages import Arbiter
from anychat.codes import DeviceType, ResultCode, StreamKind
from anychat.core.state import Entry, PendingLogin, TracePart, Transfer
from anychat.ids import LinkId, RoomId, SessionId, Ssrc, UserId
from anychat.messages import StreamFormat
from anychat.terms import Terms


@dataclass(frozen=True, slots=True)
class Change:
    """Base of all changes."""


@dataclass(frozen=True, slots=True)
class ArbitersSet(Change):
    """Who decides, and whether somebody else takes events, from now on."""

    verifier: Arbiter
    admitter: Arbiter
    hears: bool
    judges_calls: bool = False


@dataclass(frozen=True, slots=True)
class TermsSet(Change):
    """What the licence allows from now on."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class UserNamed(Change):
    """A name got its id, which stays the name's until `NameForgotten`."""

    name: str
    user_id: UserId


@dataclass(frozen=True, slots=True)
class NameForgotten(Change):
    """A name that nobody is signed in under gave up its place, and its id."""

    name: str


@dataclass(frozen=True, slots=True)
class IdsGiven(Change):
    """Ids up to these are used up; only snapshots need to say so."""

    next_user_id: UserId
    next_guest_id: UserId


@dataclass(frozen=True, slots=True)
class LoginAsked(Change):
    """A login waits for its verdict."""

    login: PendingLogin


@dataclass(frozen=True, slots=True)
class LoginSettled(Change):
    """A login waits no longer: its verdict has come, or its link is gone."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class SessionStarted(Change):
    """A login was granted."""

    session: SessionId
    link: LinkId
    user_id: UserId
    name: str
    nickname: str
    level: int
    address: str
    """The client's address as the server sees it."""
    local_address: str
    """The client's address as the client sees it, empty if it does not say."""
    device: DeviceType
    secure: bool
    """Whether it may have media."""
    vouched: bool
    """Whoever decides about entering rooms was not away."""
    signed: bool = False
    """A signature spoke for the user."""
    string_id: str = ""
    """The application's own id of the user."""


@dataclass(frozen=True, slots=True)
class SessionHeld(Change):
    """The session has no link and is kept for a while."""

    session: SessionId
    until: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class SessionResumed(Change):
    """The session has a link again, or a new one."""

    session: SessionId
    link: LinkId
    address: str


@dataclass(frozen=True, slots=True)
class SessionEnded(Change):
    """The session is over; it was in no room any more."""

    session: SessionId
    code: ResultCode
    """Why: 0 logout, 101 link lost for too long, 209 replaced by a new login."""


@dataclass(frozen=True, slots=True)
class RoomAdded(Change):
    """A room came to be."""

    room_id: RoomId
    name: str
    automatic: bool
    """Made by entering it; such a room disappears when it is empty."""
    password: bytes | None = field(repr=False)
    """Keyed digest of the password, empty for an empty one; None: not asked for."""


@dataclass(frozen=True, slots=True)
class RoomRemoved(Change):
    """An empty room is gone."""

    room_id: RoomId


@dataclass(frozen=True, slots=True)
class EntryAsked(Change):
    """An entry waits for its verdict, and the room keeps number and name."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class EntrySettled(Change):
    """An entry waits no longer: its verdict has come, or its session ends."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class RoomEntered(Change):
    """The session became a member of the room."""

    room_id: RoomId
    session: SessionId
    vouched: bool = False
    """By an arbiter's word, which counts while there is none later."""


@dataclass(frozen=True, slots=True)
class RoomLeft(Change):
    """The membership ended, and with it all that hung on it.

    That is the member's publications, its subscriptions, and the other
    members' subscriptions to it.
    """

    room_id: RoomId
    session: SessionId


@dataclass(frozen=True, slots=True)
class PublicationOpened(Change):
    """A member opened a camera or a microphone, or opened it anew."""

    session: SessionId
    kind: StreamKind
    stream_index: int
    ssrc: Ssrc
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class LayerOpened(Change):
    """An open camera of a member has a smaller layer too."""

    session: SessionId
    stream_index: int
    ssrc: Ssrc
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class PublicationClosed(Change):
    """A member closed a camera or a microphone."""

    session: SessionId
    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class Subscribed(Change):
    """A member asked for a stream of another one, be it open or not."""

    session: SessionId
    user_id: UserId
    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class Unsubscribed(Change):
    """A member wants that stream no longer."""

    session: SessionId
    user_id: UserId
    kind: StreamKind
    stream_index: int


@dataclass(frozen=True, slots=True)
class TransferAdded(Change):
    """A buffer or a file is on its way; what is in it is never told."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class TransferRemoved(Change):
    """A transfer is over."""

    task_id: int


@dataclass(frozen=True, slots=True)
class TransferIdsGiven(Change):
    """Numbers of transfers up to this are used up; only snapshots say so."""

    next_transfer: int


@dataclass(frozen=True, slots=True)
class TraceSet(Change):
    """What a member does in UDP traces from now on; None: nothing."""

    session: SessionId
    part: TracePart | None


# User data, see `anychat.core.profiles`.


@dataclass(frozen=True, slots=True)
class UserInfoSet(Change):
    """A piece of a user's information has that value; empty: it is gone."""

    user_id: UserId
    info_id: int
    text: str


@dataclass(frozen=True, slots=True)
class GroupAdded(Change):
    """A user has a group, or it has another name now."""

    user_id: UserId
    group_id: int
    name: str


@dataclass(frozen=True, slots=True)
class GroupDeleted(Change):
    """A group is gone; no friend is in it any more."""

    user_id: UserId
    group_id: int


@dataclass(frozen=True, slots=True)
class FriendAdded(Change):
    """A user has a friend."""

    user_id: UserId
    friend_id: UserId


@dataclass(frozen=True, slots=True)
class FriendDeleted(Change):
    """A user has that friend no more."""

    user_id: UserId
    friend_id: UserId


@dataclass(frozen=True, slots=True)
class FriendGrouped(Change):
    """A friend is in that group, too."""

    user_id: UserId
    friend_id: UserId
    group_id: int


@dataclass(frozen=True, slots=True)
class UserDataSynchronised(Change):
    """A user is told of his friends from now on."""

    user_id: UserId


@dataclass(frozen=True, slots=True)
class UserDataForgotten(Change):
    """A user is gone, and with him what was kept of him.

    Information stays while he is somebody's friend.
    """

    user_id: UserId


@dataclass(frozen=True, slots=True)
class AddressBlocked(Change):
    """Who comes from there may not connect."""

    pattern: str


@dataclass(frozen=True, slots=True)
class AddressUnblocked(Change):
    """Who comes from there may connect again."""

    pattern: str


@dataclass(frozen=True, slots=True)
class ControlAsked(Change):
    """A user's control code waits for its verdict."""

    session: SessionId
    request: int


@dataclass(frozen=True, slots=True)
class ControlSettled(Change):
    """It waits no longer."""

    session: SessionId
    request: int


@dataclass(frozen=True, slots=True)
class PictureTurned(Change):
    """A user's picture is to be shown turned, or mirrored."""

    session: SessionId
    rotation: int
    """Degrees."""
    mirrored: bool


@dataclass(frozen=True, slots=True)
class OptionSet(Change):
    """A session's option has that value."""

    session: SessionId
    option: int
    number: int


@dataclass(frozen=True, slots=True)
class ParameterChosen(Change):
    """A default media parameter is to have that value once they are applied."""

    option: int
    number: int


@dataclass(frozen=True, slots=True)
class ParametersApplied(Change):
    """The chosen media parameters are the server's; or its own are again."""

    chosen: bool


@dataclass(frozen=True, slots=True)
class SignatureUsed(Change):
    """A signature has let somebody in, and lets nobody in any more."""

    digest: bytes
    until: float
    """Monotonic seconds; from then on it is too old anyway."""


@dataclass(frozen=True, slots=True)
class SignatureForgotten(Change):
    """The oldest used signature is too old to be used again."""

    digest: bytes


# Video calls, see `anychat.core.calls`; their texts are never told.


@dataclass(frozen=True, slots=True)
class CallStepAsked(Change):
    """A step of a call waits for its verdict."""

    session: SessionId
    request: int
    target: int
    """Who is to be called; 0 for any other step."""


@dataclass(frozen=True, slots=True)
class CallStepSettled(Change):
    """It waits no longer."""

    session: SessionId
    request: int


@dataclass(frozen=True, slots=True)
class CallWithdrawn(Change):
    """Whoever wanted to call gave it up before the verdict came."""

    session: SessionId
    request: int


@dataclass(frozen=True, slots=True)
class CallRang(Change):
    """A user is called."""

    caller: SessionId
    callee: SessionId
    flags: int
    until: float
    """Monotonic seconds; then nobody has answered."""


@dataclass(frozen=True, slots=True)
class CallOverdue(Change):
    """The time to answer is up, but the callee waits for a verdict."""

    caller: SessionId
    until: float
    """Monotonic seconds; then the call is over whatever he waits for."""


@dataclass(frozen=True, slots=True)
class CallStarted(Change):
    """A call was answered, and has a room."""

    caller: SessionId
    room_id: RoomId
    counted: bool
    """No later call gets that number or one below it."""


@dataclass(frozen=True, slots=True)
class CallEnded(Change):
    """A call is over, answered or not."""

    caller: SessionId


@dataclass(frozen=True, slots=True)
class CallRoomsUsed(Change):
    """Room numbers below this one are used up; only snapshots say so."""

    next_call_room: RoomId
