"""The client's end of a signalling link; see `anychat.protocols.signalling`."""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.codes import Capability, DeviceType, ResultCode
from anychat.errors import AnyChatError, LocalError, PeerError, Refused
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    Heartbeat,
    LinkClose,
    LoginResult,
    MediaPacket,
    Message,
    Resume,
    Resumed,
    ServerHello,
)
from anychat.protocols.formats import (
    VERSION,
    Sender,
    decode,
    encode,
    known,
    number_of,
)
from anychat.protocols.framing import (
    FIRST_SESSION_TYPE,
    MAGIC,
    UNNUMBERED,
    Frame,
    FrameReader,
    encode_frame,
)
from anychat.protocols.proof import NONCE_SIZE, derive_key, make_proof
from anychat.protocols.reliable import ReliableChannel
from anychat.protocols.short_buffer import keep_short, send_at_once
from anychat.protocols.tls import channel_binding

_MEDIA_PACKET = number_of(MediaPacket)


class ClientLinkOwner(Protocol):
    """What a `ClientLink` reports.  ``link_lost`` is the last, and comes once."""

    def link_secured(self, link: "ClientLink", certificate: Any) -> None:
        """TLS stands; the server showed this certificate (an OpenSSL ``X509``).

        Nothing has been said yet: raise `Refused` if it will not do.
        """

    def link_hello(self, link: "ClientLink", hello: ServerHello) -> None:
        """The server's hello came."""

    def link_ready(self, link: "ClientLink") -> None:
        """Connect 0 came: log in or resume now."""

    def link_message(self, link: "ClientLink", request: int, message: Message) -> None:
        """Any other message.

        ``request`` is the number of the request that it answers, 0 for a
        notification.
        """

    def link_lost(self, link: "ClientLink", reason: Failure) -> None:
        """The link is gone.

        The failure holds `Refused` where the server said no (with its code),
        where the owner did, and where a session cannot be resumed (8
        SESSIONNOTEXIST: log in anew); `PeerError` where the server broke the
        protocol; otherwise what the connection met.
        """


@implementer(IHandshakeListener, IPushProducer)
class ClientLink(protocol.Protocol):
    """The client's end of one link.

    It keeps the session's numbers: a granted login makes a new ``channel``,
    `resume` brings the old one along, and both ends of the replay are done
    here.  The owner takes ``channel`` over to the next link.

    :param password: SDKAuthPass, empty if there is none.
    :param tls: options for ``startTLS``; None for a plain link.
    :param derive: makes the proof's key of password and salt, 50 ms of work;
        may give a Deferred.
    """

    def __init__(
        self,
        owner: ClientLinkOwner,
        *,
        agent: str,
        random_bytes: Callable[[int], bytes],
        seconds: Callable[[], float],
        password: str = "",
        device: DeviceType = DeviceType.LINUX,
        capabilities: Capability = Capability.MEDIA | Capability.RESUME,
        tls: Any = None,
        derive: Callable[[str, bytes], "bytes | Deferred[bytes]"] = derive_key,
    ):
        self._owner = owner
        self._agent = agent
        self._seconds = seconds
        self._password = password
        self._device = device
        self._capabilities = capabilities
        self._tls = tls
        self._derive = derive
        self._nonce = random_bytes(NONCE_SIZE)
        self.transport: Any = None
        self._reader = FrameReader()
        self._reason: Failure | None = None
        self._resuming: ReliableChannel | None = None
        self._ready = False
        self._lost = False
        self.secure = tls is not None
        self.hello: ServerHello | None = None
        """The server's hello, once it came."""
        self.channel: ReliableChannel | None = None
        """The session's numbers, once there is one."""
        self.last_heard = 0.0
        """When the server last sent a frame, by ``seconds``."""
        self.behind = False
        """Whether something that was written waits to go out."""
        self.on_media: Callable[[bytes], None] | None = None
        """Given the packets of media that come."""
        self.on_carried: Callable[[int, bytes], None] | None = None
        """Given type and body of session messages that carry no number."""
        self.on_eased: list[Callable[[], None]] = []
        """Called in this order when the link is not behind any more, until it
        is again: media first."""

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Begin TLS, or the dialogue at once."""
        self.last_heard = self._seconds()
        send_at_once(self.transport)
        if self._tls is None:
            self._greet()
        else:
            self.transport.startTLS(self._tls)

    def handshakeCompleted(self) -> None:
        """TLS stands: let the owner look at the certificate, then begin."""
        try:
            self._owner.link_secured(self, self.transport.getPeerCertificate())
        except AnyChatError:
            self._give_up(Failure())
        else:
            self._greet()

    def pauseProducing(self) -> None:
        """The server reads more slowly than we write."""
        self.behind = True

    def resumeProducing(self) -> None:
        """Everything written has gone out."""
        self.behind = False
        for eased in self.on_eased:
            if self.behind or self._lost:
                return
            eased()

    def stopProducing(self) -> None:
        """The connection is ending; `connectionLost` follows."""

    def dataReceived(self, data: bytes) -> None:
        """Take the frames in these bytes one after the other."""
        try:
            for frame in self._reader.receive(data):
                if self._lost:
                    return
                self.last_heard = self._seconds()
                self._take(frame)
        except (PeerError, Refused):
            self._give_up(Failure())

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """The connection is gone, whoever ended it."""
        self._lost = True
        self._owner.link_lost(self, self._reason or reason)

    # What the owner calls.

    def send(self, message: Message, request: int = 0) -> None:
        """Send a message; one of a session is numbered and kept for replay.

        :raises Refused: 74 for a password or a signature on a plain link, which
            never carries one.
        :raises LocalError: a session message without a session, or a value
            that does not fit its message.
        """
        for secret in ("password", "signature"):
            if not self.secure and getattr(message, secret, None):
                reason = f"{secret} on a plain link"
                raise Refused(ResultCode.CERTHIGHSECURITY, reason)
        type, body = encode(message)
        channel = self.channel
        if type >= FIRST_SESSION_TYPE:
            if channel is None:
                raise LocalError(f"{message.__class__.__name__} before the login")
            self._write(channel.number(type, body, request))
        else:
            ack = channel.taken if channel is not None else 0
            self._write(encode_frame(type, body, request=request, ack=ack))

    def resume(self, channel: ReliableChannel, token: bytes, request: int = 0) -> None:
        """Ask to go on with a session that another link carried.

        `Resumed` reaches the owner after what it asks for was done: with 0
        the channel goes on or, on resync, has begun anew.
        """
        self._resuming = channel
        self.send(Resume(channel.taken, token), request)

    def send_media(self, data: bytes) -> bool:
        """Send a packet of media, unless something waits already."""
        if self.behind or self._lost or self._resuming is not None:
            return False
        if self.channel is None:
            return False
        body = len(data).to_bytes(2, "big") + data
        self._write(encode_frame(_MEDIA_PACKET, body, ack=self.channel.taken))
        return True

    def carry(self, type: int, body: bytes) -> None:
        """Send a session message that carries no number."""
        if self.channel is not None and self._resuming is None:
            self._write(encode_frame(type, body, ack=self.channel.taken))

    def keep_short(self) -> None:
        """Let little wait in the connection: it carries media now."""
        keep_short(self.transport)

    def heartbeat(self) -> None:
        """Send a heartbeat; the reply's ``stamp`` gives the round trip.

        None goes out between `Resume` and `Resumed`: the next frame tells the
        server that the new token has arrived.
        """
        if self._resuming is None:
            self.send(Heartbeat(self.stamp()))

    def stamp(self) -> int:
        """The clock as heartbeats carry it: milliseconds modulo 2^32."""
        return int(self._seconds() * 1000) % (1 << 32)

    def close(self) -> None:
        """End the link after what was written has gone out."""
        if self._lost:
            # A transport that is gone has nothing to unregister from.
            return
        self._lost = True
        # With a producer it would wait for that.
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """End the link at once."""
        self._lost = True
        self.transport.abortConnection()

    # The dialogue.

    def _write(self, data: bytes) -> None:
        if not self._lost:
            self.transport.write(data)

    def _greet(self) -> None:
        # To be told when the server does not read.
        self.transport.registerProducer(self, True)
        type, body = encode(
            ClientHello(
                VERSION, self._capabilities, self._nonce, self._device, self._agent
            )
        )
        self._write(MAGIC + encode_frame(type, body))

    def _take(self, frame: Frame) -> None:
        channel = self.channel
        if channel is not None:
            channel.acknowledge(frame.ack)
            if frame.type == _MEDIA_PACKET:
                self._take_media(frame.body)
                return
        if frame.type >= FIRST_SESSION_TYPE:
            if channel is None:
                raise PeerError(f"message {frame.type} before the login")
            if frame.type in UNNUMBERED:
                if self.on_carried is not None:
                    self.on_carried(frame.type, frame.body)
                return
            if not channel.take(frame.seq):
                return
        if not known(frame.type, Sender.SERVER):
            if frame.type >= FIRST_SESSION_TYPE and not frame.request:
                return  # a notification of a later version
            raise PeerError(f"message {frame.type} from a server")
        message = decode(frame.type, frame.body)
        if not self._ready:
            self._prepare(message)
            return
        if isinstance(message, ServerHello | Connect):
            raise PeerError(f"{message.__class__.__name__} once more")
        if isinstance(message, LoginResult) and message.code == ResultCode.SUCCESS:
            self.channel = ReliableChannel()
        elif isinstance(message, Resumed) and message.code == ResultCode.SUCCESS:
            self._go_on(message)
        elif isinstance(message, Resumed):
            self._resuming = None
        elif isinstance(message, LinkClose):
            self._reason = Failure(Refused(message.code))
        self._owner.link_message(self, frame.request, message)

    def _take_media(self, body: bytes) -> None:
        if int.from_bytes(body[:2], "big") != len(body) - 2:
            raise PeerError("packet of media with a wrong length")
        if self.on_media is not None:
            self.on_media(body[2:])

    def _prepare(self, message: Message) -> None:
        """Messages up to the server's `Connect`."""
        if isinstance(message, ServerHello) and self.hello is None:
            self.hello = message
            self._owner.link_hello(self, message)
            if message.proof_required:
                deriving: Deferred[Any] = maybeDeferred(
                    self._derive, self._password, message.salt
                )
                deriving.addCallback(self._prove).addErrback(self._give_up)
        elif isinstance(message, Connect):
            if message.code != ResultCode.SUCCESS:
                raise Refused(message.code)
            if self.hello is None:
                raise PeerError("Connect before the hello")
            self._ready = True
            self._owner.link_ready(self)
        else:
            raise PeerError(f"{message.__class__.__name__} before Connect")

    def _prove(self, key: bytes) -> None:
        if self._lost or self.hello is None:
            return
        binding = channel_binding(self.transport) if self.secure else b""
        self.send(ClientProof(make_proof(key, self._nonce, self.hello.nonce, binding)))

    def _go_on(self, message: Resumed) -> None:
        """The server took the session up again: replay, or begin anew."""
        channel = self._resuming
        if channel is None:
            raise PeerError("Resumed without Resume")
        self._resuming = None
        if message.resync:
            channel.restart()
        else:
            frames = channel.resume(message.taken)
            if frames is None:
                raise Refused(
                    ResultCode.SESSIONNOTEXIST, "cannot replay what the server missed"
                )
            self._write(b"".join(frames))
        self.channel = channel

    def _give_up(self, failure: Failure) -> None:
        """End the link for a reason of our own."""
        if not self._lost:
            self._reason = failure
            self.abort()
