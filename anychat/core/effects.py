"""What the core wants done outside; ``services.hall`` carries it out in order."""

from dataclasses import dataclass, field

from anychat.business_messages import (
    Answer,
    Event,
    OnUserInfoControl,
    OnVideoCallEvent,
    PrepareEnterRoom,
    VerifyUser,
)
from anychat.codes import ResultCode, StreamKind, UserState
from anychat.core.state import Layer, Transfer
from anychat.ids import LinkId, SessionId, Ssrc, UserId
from anychat.messages import LogPart, Message, ServerParameters, StreamFormat


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
    layer_of: Ssrc = Ssrc(0)
    """Of a smaller layer: the publication that it belongs to."""


@dataclass(frozen=True, slots=True)
class CloseRoute(Effect):
    """The publication is over, for all its receivers."""

    ssrc: Ssrc


@dataclass(frozen=True, slots=True)
class JoinRoute(Effect):
    """Forward the publication to that session and send it `StreamGranted`, and
    `LayerGranted` where there is a layer."""

    session: SessionId
    ssrc: Ssrc
    user_id: UserId
    kind: StreamKind
    stream_index: int
    format: StreamFormat
    layer: Layer | None = None


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


@dataclass(frozen=True, slots=True)
class AdaptStreams(Effect):
    """Whether the session may be sent less than it asked for, where its way takes
    no more."""

    session: SessionId
    adaptive: bool


@dataclass(frozen=True, slots=True)
class ReplyFigure(Effect):
    """Answer a query with what the media plane measures of a session."""

    session: SessionId
    request: int
    target: SessionId
    state: UserState


@dataclass(frozen=True, slots=True)
class StartTransfer(Effect):
    """Content may go from the transfer's one end to the other."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class FeedTransfer(Effect):
    """A portion of what a business server sends; it comes in order, or ends it."""

    task_id: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StopTransfer(Effect):
    """The transfer is over: nothing more goes anywhere."""

    task_id: int
    code: ResultCode
    """0: the receiver has it whole."""


@dataclass(frozen=True, slots=True)
class SuspendTransfers(Effect):
    """The session's link is gone; its transfers wait."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class ResumeTransfers(Effect):
    """The session has a link again: say where its transfers go on."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class OfferPortion(Effect):
    """The same as `Offer` of a `BufferPortion`; its transfer hears what came of it."""

    task_id: int
    event: Event


@dataclass(frozen=True, slots=True)
class ReadStored(Effect):
    """Answer a `FilterCall` with a portion of a file that was stored."""

    number: int
    task_id: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class RouteTrace(Effect):
    """Pass the session's trace probes on to these; None: it sends none any more."""

    session: SessionId
    user_id: UserId
    receivers: tuple[SessionId, ...] | None


@dataclass(frozen=True, slots=True)
class KeepLog(Effect):
    """Keep a part of a client's log, and answer."""

    session: SessionId
    request: int
    part: LogPart


@dataclass(frozen=True, slots=True)
class ShowBlocked(Effect):
    """Tell the operator who may not connect any more, or may again."""

    pattern: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class AskUserInfoControl(Effect):
    """Put a control code to the arbiter; its verdict comes as `ControlJudged`."""

    session: SessionId
    request: int
    question: OnUserInfoControl


@dataclass(frozen=True, slots=True)
class AnnounceParameters(Effect):
    """These are the default media parameters from now on: tell everybody."""

    parameters: ServerParameters


@dataclass(frozen=True, slots=True)
class AskVideoCall(Effect):
    """Put a step of a call to the arbiter; its verdict comes as `CallJudged`."""

    session: SessionId
    request: int
    """0: it has happened, and no verdict is waited for."""
    question: OnVideoCallEvent
