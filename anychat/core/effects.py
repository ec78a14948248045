"""What the core wants done outside; ``services.hall`` carries it out in order."""

from dataclasses import dataclass

from anychat.business_messages import (
    Answer,
    Event,
    PrepareEnterRoom,
    VerifyUser,
)
from anychat.codes import ResultCode, StreamKind
from anychat.ids import LinkId, SessionId, Ssrc, UserId
from anychat.messages import Message, StreamFormat


@dataclass(frozen=True, slots=True)
class Effect:
    """Base of all effects."""


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """A notification to each of these sessions."""

    sessions: tuple[SessionId, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Reply(Effect):
    """The answer to a session's request."""

    session: SessionId
    request: int
    message: Message


@dataclass(frozen=True, slots=True)
class RefuseLogin(Effect):
    """The login on that link is not granted."""

    link: LinkId
    request: int
    code: ResultCode
    reason: str = ""
    """What the operator is to know of it, and never the client; may be empty."""


@dataclass(frozen=True, slots=True)
class StartSession(Effect):
    """The login is granted: bind link and session, send token and set-up."""

    session: SessionId
    link: LinkId
    request: int
    user_id: UserId
    level: int
    nickname: str
    address: str
    """The client's address as the server sees it."""
    secure: bool


@dataclass(frozen=True, slots=True)
class EndSession(Effect):
    """The session is over: forget its token and leg, close its link if any."""

    session: SessionId
    code: ResultCode
    """Told the client by `LinkClose`; 0 after a logout: no `LinkClose`."""


@dataclass(frozen=True, slots=True)
class OpenRoute(Effect):
    """A publication begins: make its key and route, answer `StreamOpened`."""

    session: SessionId
    request: int
    ssrc: Ssrc
    kind: StreamKind
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class CloseRoute(Effect):
    """The publication is over, for all its receivers."""

    ssrc: Ssrc


@dataclass(frozen=True, slots=True)
class JoinRoute(Effect):
    """Forward the publication to that session and send it `StreamGranted`."""

    session: SessionId
    ssrc: Ssrc
    user_id: UserId
    kind: StreamKind
    stream_index: int
    format: StreamFormat


@dataclass(frozen=True, slots=True)
class LeaveRoute(Effect):
    """Forward the publication to that session no longer."""

    session: SessionId
    ssrc: Ssrc


@dataclass(frozen=True, slots=True)
class AskVerifyUser(Effect):
    """Put a login to the arbiter; its verdict comes back as `UserVerified`."""

    session: SessionId
    question: VerifyUser


@dataclass(frozen=True, slots=True)
class AskPrepareEnterRoom(Effect):
    """Put an entry to the arbiter; its verdict comes as `RoomEntryPrepared`."""

    session: SessionId
    request: int
    question: PrepareEnterRoom


@dataclass(frozen=True, slots=True)
class WithdrawQuestion(Effect):
    """Nobody waits for the verdict on that login or entry any more.

    Its verdict still comes, as `UserVerified` or `RoomEntryPrepared`; until then
    the question costs what a login costs.
    """

    session: SessionId
    address: str
    """The client's, as the server sees it."""


@dataclass(frozen=True, slots=True)
class QuestionClosed(Effect):
    """The verdict that nobody waited for has come."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class Tell(Effect):
    """Tell the plug-in or business servers what has happened."""

    event: Event


@dataclass(frozen=True, slots=True)
class Offer(Effect):
    """Tell what a client sent to whoever is there, and answer what came of it.

    With `Result`: 0, 206 if nobody there takes such events, 23 if too much of
    that user's waits already.
    """

    session: SessionId
    request: int
    event: Event


@dataclass(frozen=True, slots=True)
class AnswerCall(Effect):
    """What came of a `FilterCall`."""

    number: int
    answer: Answer
