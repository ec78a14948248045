"""What the core can be asked: the commands of `Hall.decide`.

Commands carry everything that the core may not make up itself: ids, SSRCs,
and digests in place of passwords.
"""

from dataclasses import dataclass, field

from anychat.business_messages import (
    Arbiter,
    Call,
    OnUserInfoControl,
    OnVideoCallEvent,
    Verdict,
)
from anychat.codes import DeviceType, ResultCode
from anychat.ids import LinkId, SessionId, Ssrc
from anychat.messages import Login, LoginEx, Message
from anychat.terms import Terms


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


@dataclass(frozen=True, slots=True)
class LinkLogin(Command):
    """A link without a session asks to sign in."""

    link: LinkId
    request: int
    message: Login
    session: SessionId
    """A fresh id, taken if the login is granted."""
    address: str
    """The client's address as the server sees it."""
    device: DeviceType
    secure: bool
    """Whether the link is encrypted: only then may the session have media."""


@dataclass(frozen=True, slots=True)
class SessionMessage(Command):
    """A signed-in client sent a message."""

    session: SessionId
    request: int
    """The frame's request number, 0 for a message that wants no answer."""
    message: Message
    ssrc: Ssrc = Ssrc(0)
    """A fresh SSRC, with `OpenStream`."""
    password: bytes = b""
    """Keyed digest of the message's room password, empty for an empty one."""
    clock: int = 0
    """Milliseconds since 1970, with `QuerySDKOption`."""


@dataclass(frozen=True, slots=True)
class LinkLost(Command):
    """The session's link is gone; the session is held for a while."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class LinkResumed(Command):
    """A new link took the session over."""

    session: SessionId
    link: LinkId
    address: str
    resync: bool
    """The client missed notifications and wants the whole state."""


@dataclass(frozen=True, slots=True)
class Tick(Command):
    """Time has reached `Hall.next_timeout`: one item that is due is done."""


@dataclass(frozen=True, slots=True)
class ArbitersChanged(Command):
    """Others decide about logins and about entering rooms from now on."""

    verifier: Arbiter
    admitter: Arbiter
    hears: bool = False
    """Somebody takes events and data, though he may decide nothing."""
    judges_calls: bool = False
    """Somebody decides about the steps of video calls."""


@dataclass(frozen=True, slots=True)
class TermsChanged(Command):
    """The licence allows something else from now on."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class LoginDropped(Command):
    """The link of a login whose verdict is awaited is gone."""

    session: SessionId
    """The id that the login brought."""


@dataclass(frozen=True, slots=True)
class UserVerified(Command):
    """The answer to `AskVerifyUser`."""

    session: SessionId
    """The id that the login brought."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RoomEntryPrepared(Command):
    """The answer to `AskPrepareEnterRoom`."""

    session: SessionId
    request: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class FilterCall(Command):
    """The business server or plug-in wants something done."""

    number: int
    """Given back with the answer."""
    call: Call


@dataclass(frozen=True, slots=True)
class TransferFinished(Command):
    """The server's own end of a transfer has done with it, or it must end."""

    task_id: int
    code: ResultCode
    path: str = ""
    """Where a file for the server is stored."""


@dataclass(frozen=True, slots=True)
class BufferPortion(Command):
    """A portion of a buffer, which has come whole, for the business server."""

    task_id: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkSignedLogin(Command):
    """A link without a session asks to sign in with a signature."""

    link: LinkId
    request: int
    message: LoginEx
    session: SessionId
    """A fresh id, taken if the login is granted."""
    address: str
    """The client's address as the server sees it."""
    device: DeviceType
    secure: bool
    """Whether the link is encrypted."""
    checked: ResultCode
    """What came of the signature and its time: 0, or why it is refused."""
    digest: bytes
    """Of the signature."""
    remaining: float
    """Seconds for which the signature would be taken again."""


@dataclass(frozen=True, slots=True)
class ControlJudged(Command):
    """The answer to `AskUserInfoControl`."""

    session: SessionId
    request: int
    question: OnUserInfoControl
    """As it was asked: the core does not keep it."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CallJudged(Command):
    """The answer to `AskVideoCall`."""

    session: SessionId
    request: int
    question: OnVideoCallEvent
    """As it was asked: the core does not keep its text."""
    verdict: Verdict
