"""The shell's end of a session: its numbers, its replies, its token.

The core knows who a session is and where; this knows what was sent to it and
how a new link proves to be its owner's.  It lives as long as the core's
session does, over any number of links.
"""

import hashlib
from typing import Protocol

from anychat.codes import ResultCode
from anychat.errors import LocalError
from anychat.ids import SessionId
from anychat.messages import (
    MediaSetup,
    Message,
    Result,
    StreamGranted,
    StreamOpened,
)
from anychat.protocols.formats import Sender, decode, encode, known, number_of
from anychat.protocols.framing import UNNUMBERED, Frame
from anychat.protocols.reliable import (
    REPLAY_MAXIMUM,
    ReliableChannel,
    Repeat,
    ReplyCache,
)
from anychat.protocols.signalling import ServerLink
from anychat.services.holding import Holding

#: Messages with media keys: only for sessions that began over TLS.
_KEYED = {number_of(kind) for kind in (MediaSetup, StreamGranted, StreamOpened)}
_RESULT = number_of(Result)


class SessionOwner(Protocol):
    """Who takes what a session's client asks."""

    def session_confirmed(self, session: "Session") -> None:
        """The client was heard on its new link, so it has its new token."""

    def session_message(
        self, session: "Session", request: int, message: Message
    ) -> None:
        """A message that is to be carried out, once."""

    def session_carried(self, session: "Session", type: int, body: bytes) -> None:
        """A session message came that carries no number."""

    def session_unknown(self, session: "Session", number: int) -> None:
        """A message came whose number means nothing here."""

    def session_repeated(self, session: "Session") -> None:
        """A request came again and was not carried out again."""


class Session:
    """One session.

    :param holding: the bound over what all sessions keep.
    :param secure: whether it began over TLS; then every link of it is.
    """

    __slots__ = (
        "_anew",
        "_holding",
        "_opened",
        "_opening",
        "_owner",
        "_replies",
        "channel",
        "id",
        "link",
        "secure",
        "unconfirmed",
    )

    def __init__(
        self, owner: SessionOwner, holding: Holding, id: SessionId, *, secure: bool
    ):
        self._owner = owner
        self._holding = holding
        self._replies = ReplyCache(account=holding)
        self._anew = False
        self._opening: tuple[tuple[int, bytes], ...] = ()
        self._opened = 0
        self.id = id
        self.secure = secure
        self.channel = ReliableChannel(account=holding)
        self.link: ServerLink | None = None
        """The link it has; None while it is held."""
        self.unconfirmed = False
        """A new token was sent on this link, and nothing was heard since."""

    # What the link calls.

    def last_taken(self) -> int:
        """Number of the last frame taken from the client."""
        return self.channel.taken

    def acknowledge(self, ack: int) -> None:
        """A frame came from the client, which took ours up to this one."""
        if self.unconfirmed:
            self.unconfirmed = False
            self._owner.session_confirmed(self)
        if self.channel.acknowledge(ack) and len(self._replies):
            self._replies.acknowledge(ack)

    def receive(self, frame: Frame) -> None:
        """Take a session frame of the client, once.

        :raises PeerError: it is out of order, or no message.
        """
        if frame.type in UNNUMBERED:
            self._owner.session_carried(self, frame.type, frame.body)
            return
        if not self.channel.take(frame.seq):
            return
        request = frame.request
        if request and not self._is_new(request):
            return
        if not known(frame.type, Sender.CLIENT):
            self._owner.session_unknown(self, frame.type)
            self.reply(request, Result(ResultCode.FUNCNOTALLOW))
            return
        self._owner.session_message(self, request, decode(frame.type, frame.body))

    def _is_new(self, request: int) -> bool:
        repeat = self._replies.admit(request)
        if repeat is Repeat.NEW:
            return True
        self._owner.session_repeated(self)
        if repeat is Repeat.ANSWERED:
            self._reply(request, *self._replies.reply(request))
        elif repeat is Repeat.FORGOTTEN:
            _, body = encode(Result(ResultCode.RESOURCERECOVER))
            self._write(self.channel.number(_RESULT, body, request))
        return False

    # What the owner calls.

    def reply(self, request: int, message: Message) -> None:
        """Answer a request; one with number 0 wants no answer."""
        if request:
            type, body = encode(message)
            self._guard(type, body)
            self._reply(request, type, body)

    def notify(self, type: int, body: bytes) -> None:
        """Send a notification that is encoded already."""
        self._guard(type, body)
        self._write(self.channel.number(type, body))

    def open(self, *opening: tuple[int, bytes]) -> list[bytes]:
        """Frames of what the client must have, whatever else it misses.

        :param opening: types and bodies of messages.
        """
        self._opening = opening
        frames = [self.channel.number(type, body) for type, body in opening]
        self._opened = self.channel.sent
        return frames

    def replace(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        """Notify of what the client must have in the place of something else."""
        self._opening = (*(one for one in self._opening if one != old), new)
        self.notify(*new)
        self._opened = self.channel.sent

    def resume(self, taken: int, *, again: bool) -> tuple[list[bytes], bool]:
        """Go on for a client that comes back.

        :return: the frames that it missed, and False.  Where they are not to
            be had the numbers have begun anew (RESYNC): True, and what is left
            of the frames of `open`.
        :param taken: number of the last frame that it took.
        :param again: it never got the answer to its last resumption.  If the
            numbers began anew with that, the client counts by the old ones.
        :raises PeerError: that frame was never sent.
        """
        missed = None
        if not (again and self._anew):
            missed = self.channel.resume(taken)
            if not self.channel.missing(self._opened, taken):
                self._opening = ()
        self._anew = missed is None
        self.channel.keep(REPLAY_MAXIMUM)
        self.unconfirmed = True
        if missed is not None:
            self._replies.acknowledge(taken)
            return missed, False
        self.channel.restart()
        self._replies.restart()
        return self.open(*self._opening), True

    @property
    def kept(self) -> int:
        """Bytes kept until the client acknowledges them.

        A reply counts twice, as a frame to be replayed and as one that may be
        asked for again.
        """
        return self.channel.held + self._replies.held

    def let_go(self) -> None:
        """Keep nothing of what was sent so far; without a link, until `resume`.

        A client that missed some of it is told the whole state (RESYNC) when
        it resumes, and a request that it asks again is not carried out again.
        """
        self.channel.keep(0)
        self._replies.let_go()
        if self.link is not None:
            self.channel.keep(REPLAY_MAXIMUM)

    def end(self) -> None:
        """The session is over: free what it keeps."""
        self.channel.restart()
        self._replies.clear()

    def _reply(self, request: int, type: int, body: bytes) -> None:
        frame = self.channel.number(type, body, request)
        self._replies.answer(request, self.channel.sent, type, body)
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        if self.link is not None:
            self.link.write(frame)
        else:
            self._holding.sent(self)
        holding = self._holding
        if holding.kept + holding.unsent > holding.mark:
            holding.relieve()

    def _guard(self, type: int, body: bytes) -> None:
        if not self.secure and type in _KEYED and _has_key(type, body):
            raise LocalError(f"message {type} with a key for a plain session")


def _has_key(type: int, body: bytes) -> bool:
    """Whether a message that may carry a key does: a refusal does not."""
    message = decode(type, body)
    return not isinstance(message, StreamOpened) or bool(message.key)


class Tokens:
    """Which token takes which session over.

    Only digests are kept.  A token is replaced each time it is used; the old
    one holds until the client is heard on its new link, since the reply that
    brought the new one may have been lost with that link.
    """

    __slots__ = ("_current", "_previous", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[bytes, Session] = {}
        self._current: dict[SessionId, bytes] = {}
        self._previous: dict[SessionId, bytes] = {}

    def find(self, token: bytes) -> Session | None:
        """The session that the token is good for."""
        return self._sessions.get(_digest(token))

    def is_used(self, session: Session, token: bytes) -> bool:
        """Whether it is the session's old token, used before."""
        return self._previous.get(session.id) == _digest(token)

    def issue(self, session: Session, token: bytes, *, used: bytes = b"") -> None:
        """Give a session a new token.

        :param used: the token that brought the client here; it holds on until
            `confirm`.  Any other one is void at once.
        """
        kept = _digest(used) if used else None
        for table in (self._current, self._previous):
            old = table.pop(session.id, None)
            if old is not None and old != kept:
                del self._sessions[old]
        if kept is not None:
            self._previous[session.id] = kept
        digest = _digest(token)
        self._current[session.id] = digest
        self._sessions[digest] = session

    def confirm(self, session: Session) -> None:
        """The client has its new token: the used one is void."""
        old = self._previous.pop(session.id, None)
        if old is not None:
            del self._sessions[old]

    def revoke(self, session: Session) -> None:
        """The session is over."""
        for table in (self._current, self._previous):
            old = table.pop(session.id, None)
            if old is not None:
                del self._sessions[old]


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
