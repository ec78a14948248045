"""The server's end of a signalling link; see `anychat.protocols.signalling`."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.codes import Capability, DeviceType, ResultCode
from anychat.errors import PeerError
from anychat.ids import LinkId
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    Heartbeat,
    HeartbeatReply,
    LinkClose,
    Login,
    LoginEx,
    LoginResult,
    MediaPacket,
    MediaPath,
    Message,
    Resume,
    ServerHello,
)
from anychat.protocols.formats import VERSION, decode, encode, number_of
from anychat.protocols.framing import (
    FIRST_SESSION_TYPE,
    Frame,
    FrameReader,
    encode_frame,
)
from anychat.protocols.proof import NONCE_SIZE, check_proof
from anychat.protocols.short_buffer import keep_short, send_at_once
from anychat.protocols.tls import channel_binding

_log = Logger()

_HELLO, _PROOF = number_of(ClientHello), number_of(ClientProof)
_HEARTBEAT, _HEARTBEAT_REPLY = number_of(Heartbeat), number_of(HeartbeatReply)
_LOGIN, _RESUME = number_of(Login), number_of(Resume)
_LOGIN_EX = number_of(LoginEx)
_MEDIA_PACKET, _MEDIA_PATH = number_of(MediaPacket), number_of(MediaPath)
#: What a packet of media counts against a client's messages.
_MEDIA_COST = 0.1

#: What a write that waits costs beyond its bytes, so that small ones count too.
WAITING = 64


@dataclass(frozen=True, slots=True)
class HelloFacts:
    """What the server's hello tells about it."""

    version: str
    build: str
    os: str
    licence_mode: int
    """0 demo, 1 licensed."""


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """What all links of a server have in common."""

    facts: HelloFacts
    seconds: Callable[[], float]
    """Monotonic clock."""
    call_later: Callable[..., IDelayedCall]
    """Calls a function after so many seconds of that clock."""
    random_bytes: Callable[[int], bytes]
    started: float
    """When the server started, by that clock."""
    salt: bytes
    """Of the SDKAuthPass proof, made at the start."""
    key: bytes
    """What `proof.derive_key` made of SDKAuthPass; empty: no proof is asked."""
    check_time: float
    """Seconds between heartbeats."""
    timeout: float
    """Seconds of silence that end a link."""
    send_budget: int = 4 << 20
    """Bytes that may be written while the peer has not caught up once."""
    message_rate: float = 500.0
    """Messages a second that are read from a client in the long run."""
    message_burst: float = 1000.0
    """Messages that are read at once."""


class Stage(Enum):
    """How far the dialogue of a link has come."""

    HELLO = "hello"
    """Nothing was said; `ClientHello` must come."""
    PROOF = "proof"
    """`ServerHello` was sent; `ClientProof` must come."""
    READY = "ready"
    """`Connect` 0 was sent; the client may log in or resume."""
    LOGIN = "login"
    """A login is being looked at."""
    SESSION = "session"
    """Session messages flow."""
    CLOSED = "closed"
    """Nothing is read or written any more."""


class SessionEnd(Protocol):
    """The server's end of a session, as its link sees it."""

    def acknowledge(self, ack: int) -> None:
        """The client took the session's frames up to this one."""

    def receive(self, frame: Frame) -> None:
        """A session frame came.  PeerError closes the link."""

    def last_taken(self) -> int:
        """Number of the last frame taken from the client."""


class LinkOwner(Protocol):
    """What a `ServerLink` reports, and to whom.

    ``link_lost`` is the last call, comes once, and never from inside a call
    of the owner into the link; of the others only ``link_unsent`` may, and
    ``link_fault`` when a write finds that the peer does not read.
    """

    def link_hello(self, link: "ServerLink", hello: ClientHello) -> None:
        """A client says who it is; a PeerError turns it away with its code."""

    def link_login(self, link: "ServerLink", request: int, message: Login) -> None:
        """Answer by `ServerLink.begin` or `ServerLink.refuse`, later if need be."""

    def link_login_ex(self, link: "ServerLink", request: int, message: LoginEx) -> None:
        """The same with a signature in place of a password."""

    def link_resume(self, link: "ServerLink", request: int, message: Resume) -> None:
        """Answer by `ServerLink.begin` or by a `Resumed` that says no."""

    def link_paused(self, link: "ServerLink") -> None:
        """The client sends too fast: for a while nothing more is read of it."""

    def link_eased(self, link: "ServerLink") -> None:
        """The client has caught up: there is room for what may wait elsewhere."""

    def link_media(self, link: "ServerLink", data: bytes) -> None:
        """A packet of media came."""

    def link_media_path(self, link: "ServerLink", over_link: bool) -> None:
        """The client wants its media over this link, or by UDP."""

    def link_unsent(self, link: "ServerLink", change: int) -> None:
        """`ServerLink.unsent` has changed by so much; may call `ServerLink.cut`."""

    def link_fault(self, link: "ServerLink", error: PeerError) -> None:
        """The client broke the protocol; the link is being closed."""

    def link_lost(self, link: "ServerLink", reason: Failure) -> None:
        """The connection is gone."""


@implementer(IProtocol, IPushProducer)
class ServerLink:
    """The server's end of one link.

    Slotted and without the base class, since there are thousands of them.

    A client that sends more than its rate is not closed: what was read of it
    is taken, and nothing more is read until the debt is repaid.  TCP makes it
    wait meanwhile.  Only a link that waits so has a delayed call.

    :param secure: whether the connection is encrypted.
    :param address: the client's IP address.
    :param opened: when the connection was accepted.
    """

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_client_nonce",
        "_owner",
        "_paused",
        "_reader",
        "_resting",
        "_server_nonce",
        "_terms",
        "address",
        "closed_at",
        "device",
        "failures",
        "id",
        "last_heard",
        "opened",
        "port",
        "secure",
        "session",
        "stage",
        "transport",
        "unsent",
    )

    def __init__(
        self,
        owner: LinkOwner,
        terms: LinkTerms,
        id: LinkId,
        *,
        secure: bool,
        address: str,
        port: int,
        opened: float,
    ):
        self._owner = owner
        self._terms = terms
        self.id = id
        self.secure = secure
        self.address = address
        self.port = port
        self.opened = opened
        self.last_heard = opened
        self.closed_at = 0.0
        self.stage = Stage.HELLO
        self.session: SessionEnd | None = None
        self.device = DeviceType.UNKNOWN
        self.failures = 0
        """Logins refused on this link."""
        self.transport: Any = None
        self._reader = FrameReader()
        self._client_nonce = b""
        self._server_nonce = b""
        self._paused = False
        self.unsent = 0
        """Bytes that were written since the client fell behind, and `WAITING` for each
        write; what waited before (64 KiB at most) is not known."""
        self._allowance = terms.message_burst
        self._allowance_at = opened
        self._resting: IDelayedCall | None = None

    # What Twisted calls.

    def makeConnection(self, transport: Any) -> None:
        """Start; as a push producer, to be told when the peer does not read."""
        self.transport = transport
        send_at_once(transport)
        transport.registerProducer(self, True)

    def connectionMade(self) -> None:
        """Nothing to do: the client speaks first."""

    def dataReceived(self, data: bytes) -> None:
        """Take the frames in these bytes one after the other."""
        if self.stage is Stage.CLOSED:
            return  # TLS delivers what comes before it has ended
        now = self._terms.seconds()
        count = 0.0
        try:
            for frame in self._reader.receive(data):
                if self.stage is Stage.CLOSED:
                    return
                count += _MEDIA_COST if frame.type == _MEDIA_PACKET else 1.0
                self._take(frame)
        except PeerError as error:
            self.fail(error)
        except Exception:
            _log.failure("A message on link {link} met a fault", link=self.id)
            self.close(ResultCode.EXCEPTION)
        if count and self.stage is not Stage.CLOSED:
            self.last_heard = now
            self._charge(count, now)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, whoever ended it."""
        self.stage = Stage.CLOSED
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._forget_unsent()
        self._owner.link_lost(self, reason)

    def pauseProducing(self) -> None:
        """The peer reads more slowly than we write: count from here."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Everything written has gone out."""
        self._paused = False
        self._forget_unsent()
        if self.stage is Stage.SESSION:
            self._owner.link_eased(self)

    def stopProducing(self) -> None:
        """The connection is ending; `connectionLost` follows."""

    # What the owner calls.

    @property
    def closed(self) -> bool:
        """Whether the link is over, or only waits for its bytes to go out."""
        return self.stage is Stage.CLOSED

    @property
    def behind(self) -> bool:
        """Whether the peer reads more slowly than was written."""
        return self._paused

    def write(self, data: bytes) -> None:
        """Send whole frames; closes the link if its peer does not read."""
        if self.stage is Stage.CLOSED:
            return
        if self._paused and self.unsent + len(data) > self._terms.send_budget:
            self.cut("does not read")
            return
        self.transport.write(data)
        if self._paused:  # by this write, or one before
            size = len(data) + WAITING
            self.unsent += size
            self._owner.link_unsent(self, size)

    def write_media(self, data: bytes) -> bool:
        """Send a packet of media, unless something waits already."""
        if self._paused or self.stage is not Stage.SESSION or self.session is None:
            return False
        body = len(data).to_bytes(2, "big") + data
        self.write(encode_frame(_MEDIA_PACKET, body, ack=self.session.last_taken()))
        return True

    def send(self, message: Message, request: int = 0) -> None:
        """Send a link message."""
        type, body = encode(message)
        taken = self.session.last_taken() if self.session is not None else 0
        self.write(encode_frame(type, body, request=request, ack=taken))

    def begin(self, session: SessionEnd) -> None:
        """From here on the link carries this session."""
        self.session = session
        self.stage = Stage.SESSION

    def refund(self) -> None:
        """The frame that is being taken does not count against the client's rate."""
        self._allowance += 1

    def refuse(self, request: int, code: ResultCode) -> None:
        """The login that is being looked at is not granted."""
        self.failures += 1
        self.stage = Stage.READY
        self.send(LoginResult(code), request)

    def fail(self, error: PeerError) -> None:
        """The client broke the protocol: say so and close.

        Where a proof must come, whatever is not the right one is a failed one.
        """
        if self.stage is Stage.PROOF:
            error = PeerError(error.reason, ResultCode.CONNECT_AUTHFAIL)
        if self.stage is not Stage.CLOSED:
            self._owner.link_fault(self, error)
            self.close(error.code)

    def close(self, code: ResultCode | None) -> None:
        """End the link after what was written has gone out.

        :param code: what the client is told, None for nothing.
        """
        if self.stage is Stage.CLOSED:
            return
        if code is not None:
            greeted = self.stage not in (Stage.HELLO, Stage.PROOF)
            self.send(LinkClose(code) if greeted else Connect(code))
        if not self.closed:  # the last write may have found it out of budget
            self._end()
            self.transport.loseConnection()

    def cut(self, reason: str) -> None:
        """End the link at once, for too much waits for its client."""
        if not self.closed:
            self._owner.link_fault(self, PeerError(reason, ResultCode.NOENOUGHRESOURCE))
        self.abort()

    def abort(self) -> None:
        """End the link at once."""
        if not self.closed:
            self._end()
        self.transport.abortConnection()
        self._forget_unsent()

    def _forget_unsent(self) -> None:
        if self.unsent:
            size, self.unsent = self.unsent, 0
            self._owner.link_unsent(self, -size)

    def _end(self) -> None:
        self.stage = Stage.CLOSED
        self.closed_at = self._terms.seconds()
        if self._resting is not None:
            # TLS has ended when the peer's last word was read.
            self._resting.cancel()
            self._read_on()
        # With a producer, loseConnection would wait for it.
        self.transport.unregisterProducer()

    # The dialogue.

    def _charge(self, count: float, now: float) -> None:
        """Hold the client to its rate (a token bucket)."""
        terms = self._terms
        allowance = self._allowance + (now - self._allowance_at) * terms.message_rate
        self._allowance_at = now
        self._allowance = min(allowance, terms.message_burst) - count
        if self._allowance < 0:
            self._rest(-self._allowance / terms.message_rate)

    def _rest(self, delay: float) -> None:
        """Read no further for so many seconds."""
        # The silence of that time is none of the client's.
        self.last_heard += delay
        if self._resting is not None:
            self._resting.reset(delay)  # TLS had read more already
            return
        self._resting = self._terms.call_later(delay, self._read_on)
        self.transport.pauseProducing()
        self._owner.link_paused(self)

    def _read_on(self) -> None:
        self._resting = None
        self.transport.resumeProducing()

    def _take(self, frame: Frame) -> None:
        session = self.session
        if session is not None:
            session.acknowledge(frame.ack)
            if frame.type >= FIRST_SESSION_TYPE:
                session.receive(frame)
                return
        step = _STEPS.get((self.stage, frame.type))
        if step is None:
            raise PeerError(f"message {frame.type} at stage {self.stage.value}")
        step(self, frame)

    def _hello(self, frame: Frame) -> None:
        hello = decode(frame.type, frame.body)
        assert isinstance(hello, ClientHello)
        if hello.version < 1:
            raise PeerError("speaks version 0", ResultCode.CONNECT_OLDVERSION)
        self.device = hello.device
        self._owner.link_hello(self, hello)
        terms, facts = self._terms, self._terms.facts
        self._client_nonce = hello.nonce
        self._server_nonce = terms.random_bytes(NONCE_SIZE)
        self.send(
            ServerHello(
                version=min(hello.version, VERSION),
                capabilities=Capability.RESUME
                | (Capability.MEDIA if self.secure else Capability(0)),
                nonce=self._server_nonce,
                salt=terms.salt,
                proof_required=bool(terms.key),
                server_version=facts.version,
                build_time=facts.build,
                operating_system=facts.os,
                uptime=int(terms.seconds() - terms.started),
                licence_mode=facts.licence_mode,
                check_time=int(terms.check_time * 1000),
                timeout=int(terms.timeout * 1000),
            ),
            frame.request,
        )
        if terms.key:
            self.stage = Stage.PROOF
        else:
            self._connect()

    def _proof(self, frame: Frame) -> None:
        message = decode(frame.type, frame.body)
        assert isinstance(message, ClientProof)
        binding = channel_binding(self.transport) if self.secure else b""
        if not check_proof(
            self._terms.key,
            message.proof,
            self._client_nonce,
            self._server_nonce,
            binding,
        ):
            raise PeerError("wrong SDKAuthPass")
        self._connect()

    def _connect(self) -> None:
        self._client_nonce = self._server_nonce = b""
        self.send(Connect(ResultCode.SUCCESS))
        self.stage = Stage.READY

    def _heartbeat(self, frame: Frame) -> None:
        decode(frame.type, frame.body)
        taken = self.session.last_taken() if self.session is not None else 0
        # The reply has the same body.
        self.write(
            encode_frame(_HEARTBEAT_REPLY, frame.body, request=frame.request, ack=taken)
        )

    def _media_packet(self, frame: Frame) -> None:
        body = frame.body
        if int.from_bytes(body[:2], "big") != len(body) - 2:
            raise PeerError("packet of media with a wrong length")
        self._owner.link_media(self, body[2:])

    def _media_path(self, frame: Frame) -> None:
        message = decode(frame.type, frame.body)
        assert isinstance(message, MediaPath)
        if message.over_link:
            keep_short(self.transport)
        self._owner.link_media_path(self, message.over_link)

    def _login(self, frame: Frame) -> None:
        message = decode(frame.type, frame.body)
        assert isinstance(message, Login)
        if message.password and not self.secure:
            raise PeerError("password on a plain link")
        self.stage = Stage.LOGIN
        self._owner.link_login(self, frame.request, message)

    def _login_ex(self, frame: Frame) -> None:
        message = decode(frame.type, frame.body)
        assert isinstance(message, LoginEx)
        if not self.secure:
            raise PeerError("signature on a plain link")
        self.stage = Stage.LOGIN
        self._owner.link_login_ex(self, frame.request, message)

    def _resume(self, frame: Frame) -> None:
        message = decode(frame.type, frame.body)
        assert isinstance(message, Resume)
        self._owner.link_resume(self, frame.request, message)


#: What a client may say at each stage; anything else closes the link.  Session
#: messages are none of these: they go to the session, once there is one.
_STEPS: dict[tuple[Stage, int], Callable[[ServerLink, Frame], None]] = {
    (Stage.HELLO, _HELLO): ServerLink._hello,
    (Stage.PROOF, _PROOF): ServerLink._proof,
    (Stage.READY, _LOGIN): ServerLink._login,
    (Stage.READY, _LOGIN_EX): ServerLink._login_ex,
    (Stage.READY, _RESUME): ServerLink._resume,
    (Stage.READY, _HEARTBEAT): ServerLink._heartbeat,
    (Stage.LOGIN, _HEARTBEAT): ServerLink._heartbeat,
    (Stage.SESSION, _HEARTBEAT): ServerLink._heartbeat,
    (Stage.SESSION, _MEDIA_PACKET): ServerLink._media_packet,
    (Stage.SESSION, _MEDIA_PATH): ServerLink._media_path,
}
