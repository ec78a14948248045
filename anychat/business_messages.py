"""What the core and a business server say to each other.

Frozen dataclasses named after the calls and callbacks of the server SDK (facts
of the product: ``BRAS_...``), one for each.  The core takes and returns them;
``anychat.protocols.business_commands`` gives each its AMP command, a plug-in
gets them as arguments of its hooks.  There are three kinds:

- a `Question` is put to whoever decides, who answers with a `Verdict`;
- an `Event` tells what has happened and is not answered;
- a `Call` is what a business server or plug-in wants done.

Fields whose name is ``password`` are secrets: they are left out of ``repr`` and
never reach a log.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from anychat.codes import ResultCode


class Arbiter(IntEnum):
    """Who decides about logins, or about entering rooms."""

    NOBODY = 0
    """Nobody is meant to: the core decides alone as far as it can."""
    THERE = 1
    """Somebody answers questions."""
    AWAY = 2
    """Somebody is meant to, and is not there."""


@dataclass(frozen=True, slots=True)
class BusinessMessage:
    """Base of all."""


@dataclass(frozen=True, slots=True)
class Question(BusinessMessage):
    """Something is waiting for a `Verdict`."""


@dataclass(frozen=True, slots=True)
class Event(BusinessMessage):
    """Something has happened."""


@dataclass(frozen=True, slots=True)
class Call(BusinessMessage):
    """Something is to be done; answered by an `Answer`."""


@dataclass(frozen=True, slots=True)
class Verdict(BusinessMessage):
    """The answer to a question."""

    code: ResultCode
    """0 lets in or passes on; anything else reaches the client unchanged."""
    user_id: int = 0
    """After `VerifyUser`: the user's id, positive and unique."""
    level: int = 0
    """After `VerifyUser`: 0 to `MAX_LEVEL`."""
    nickname: str = ""
    """After `VerifyUser`; empty: the name that was given."""


@dataclass(frozen=True, slots=True)
class Answer(BusinessMessage):
    """What came of a call."""

    code: ResultCode
    ids: tuple[int, ...] = ()
    """Users after `GetOnlineUsers`, rooms after `GetRoomIdList`."""
    text: str = ""
    """After `GetUserInfo` and `QueryInfoFromServer`."""
    task_id: int = 0
    """Of the transfer after `TransBufferEx` and `TransFile`."""
    length: int = 0
    """Bytes of the whole file after `FetchFile`."""
    data: bytes = field(default=b"", repr=False)
    """What `FetchFile` gets."""


# Questions.


@dataclass(frozen=True, slots=True)
class VerifyUser(Question):
    """A named user wants to sign in."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrepareEnterRoom(Question):
    """A signed-in user wants to enter a room."""

    user_id: int
    room_id: int
    """Of a room that is entered by name too: the number that it has or gets."""
    room_name: str
    password: str = field(repr=False)


# Events.


@dataclass(frozen=True, slots=True)
class OnUserLoginAction(Event):
    """A user has signed in."""

    user_id: int
    name: str
    level: int
    ip: str


@dataclass(frozen=True, slots=True)
class OnUserLogoutActionEx(Event):
    """A user is gone."""

    user_id: int
    code: ResultCode
    """0 after a logout, else why the session ended."""


@dataclass(frozen=True, slots=True)
class OnUserEnterRoomAction(Event):
    """A user is in a room."""

    user_id: int
    room_id: int


@dataclass(frozen=True, slots=True)
class OnUserLeaveRoomAction(Event):
    """A user has left a room, or is gone from it."""

    user_id: int
    room_id: int


@dataclass(frozen=True, slots=True)
class OnRecvUserFilterData(Event):
    """A client sent data to the plug-in or business server (SendSDKFilterData)."""

    user_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class OnRecvUserTextMsg(Event):
    """A copy of a text that was passed on."""

    room_id: int
    """The room of the sender, 0: in none."""
    source_id: int
    target_id: int
    """-1: the whole room."""
    secret: bool
    text: str


@dataclass(frozen=True, slots=True)
class OnTransBuffer(Event):
    """A client sent a transparent buffer to the business server (user 0)."""

    user_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AppMessageEx(Event):
    """A link of the core has come up or gone."""

    message: int
    """10 core, 11 record server, 12 login, 13 room, 14 media server."""
    error: ResultCode
    """0: it is up; 212: what was under way before is given up."""
    server_id: int


@dataclass(frozen=True, slots=True)
class OnlineUsers(Event):
    """Who is signed in at this point of the events; comes in portions."""

    users: tuple["Presence", ...]
    """At most `MAX_PRESENCES`."""
    final: bool
    """This is the last portion."""


@dataclass(frozen=True, slots=True)
class EventsLost(Event):
    """So many events are gone at this point, for too many were waiting."""

    count: int


# Events and questions of features that the core does not have yet.


@dataclass(frozen=True, slots=True)
class OnTransBufferEx(Event):
    """A client sent a big buffer to the business server; comes in portions."""

    user_id: int
    wparam: int
    lparam: int
    task_id: int
    length: int
    """Bytes of the whole buffer."""
    offset: int
    """Where in it this portion belongs."""
    data: bytes


@dataclass(frozen=True, slots=True)
class OnTransFile(Event):
    """A client sent a file to the server, from where it can be fetched."""

    user_id: int
    file_name: str
    temp_path: str
    """Where it lies on the core's machine."""
    length: int
    """Bytes."""
    wparam: int
    lparam: int
    task_id: int


@dataclass(frozen=True, slots=True)
class OnServerRecordEx(Event):
    """A recording or snapshot is done."""

    user_id: int
    file_name: str
    elapse: int
    """Seconds."""
    flags: int
    param: int
    text: str
    server_id: int


@dataclass(frozen=True, slots=True)
class OnVideoCallEvent(Question):
    """A user calls, answers or ends a call; verdict 0 passes it on."""

    event: int
    """1 request, 2 reply, 3 start, 4 finish."""
    source_id: int
    target_id: int
    error: ResultCode
    flags: int
    param: int
    text: str


@dataclass(frozen=True, slots=True)
class OnUserInfoControl(Question):
    """A user wants something done to a user; verdict 0 passes it on."""

    sender_id: int
    user_id: int
    control_code: int
    wparam: int
    lparam: int
    text: str


@dataclass(frozen=True, slots=True)
class OnObjectEvent(Event):
    """Something has happened to a business object."""

    object_type: int
    object_id: int
    event: int
    param1: int
    param2: int
    param3: int
    param4: int
    text: str


# Calls.


@dataclass(frozen=True, slots=True)
class SendBufToUser(Call):
    """Data for a client's SDKFilterData callback."""

    user_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendBufToRoom(Call):
    """Data for the SDKFilterData callback of all in a room."""

    room_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TransBufferToUser(Call):
    """A transparent buffer to a user (the SDK's TransBuffer), from user 0."""

    user_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class GetOnlineUsers(Call):
    """Ids of who is in a room, or of all who are signed in."""

    room_id: int
    """-1: everybody."""


@dataclass(frozen=True, slots=True)
class GetRoomIdList(Call):
    """Numbers of all rooms."""


@dataclass(frozen=True, slots=True)
class TransBufferEx(Call):
    """A portion of a big buffer to a user, who gets it from user 0."""

    user_id: int
    wparam: int
    lparam: int
    flags: int
    task_id: int
    """0: the first portion, which begins the task."""
    length: int
    """Bytes of the whole buffer."""
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TransFile(Call):
    """A portion of a file to a user, who gets it from user 0."""

    user_id: int
    file_name: str
    wparam: int
    lparam: int
    flags: int
    task_id: int
    """0: the first portion, which begins the task."""
    length: int
    """Bytes of the whole file."""
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FetchFile(Call):
    """A portion of a file that `OnTransFile` told of."""

    task_id: int
    offset: int
    size: int
    """Bytes that are wanted at most."""


@dataclass(frozen=True, slots=True)
class SetUserInfo(Call):
    """Give a piece of a user's information a value; an empty one removes it."""

    user_id: int
    info_id: int
    text: str


@dataclass(frozen=True, slots=True)
class GetUserInfo(Call):
    """A piece of a user's information."""

    user_id: int
    info_id: int


@dataclass(frozen=True, slots=True)
class UserInfoControl(Call):
    """Have something done to a user; see `codes.UserControl`."""

    user_id: int
    control_code: int
    wparam: int
    lparam: int
    text: str


@dataclass(frozen=True, slots=True)
class VideoCallControl(Call):
    """Reply to a user's video call in the user's place, or end it."""

    event: int
    """A `codes.VideoCallEvent`: 2 reply or 4 finish."""
    user_id: int
    error: ResultCode
    flags: int
    param: int
    text: str


@dataclass(frozen=True, slots=True)
class QueryInfoFromServer(Call):
    """One of the things the core knows; see `codes.ServerQuery`."""

    query: int
    text: str


@dataclass(frozen=True, slots=True)
class SetSDKOption(Call):
    """Set an option of the server; see `codes.SDKOption`."""

    option: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Presence:
    """One who is signed in, as a business server is told after it connects."""

    user_id: int
    name: str
    level: int
    ip: str
    room_id: int
    """0: in none."""


#: The highest id that a verdict may give a user, and the highest level.
MAX_USER_ID = MAX_LEVEL = 2**31 - 1
#: Characters of a name or nickname, and bytes of a password, as clients have them.
MAX_NAME = 128
MAX_PASSWORD = 1024
#: Bytes of what a plug-in or business server sends to a client, or a client to it.
MAX_BUFFER = 60_000
#: Bytes of UTF-8 of the text of a `UserInfoControl`.
MAX_CONTROL_TEXT = 60_000
#: Presences in one `OnlineUsers`: with the longest names they fit one AMP value.
MAX_PRESENCES = 100
