"""One connection to a server: dialled, checked, kept alive, lost.

A `Dialler` knows what all connections of a client have in common.  What it
dials is a `Connection`, which tells its owner that it is ready, what the
server says, and that it is gone and why.  Every wait in it is bounded: name,
TCP, TLS and hello together by ``timeout``, later silence by what the server's
hello said.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.client.trust import Trust, fingerprint_of
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError, Refused
from anychat.messages import HeartbeatReply, Message, ServerHello
from anychat.protocols.proof import derive_key
from anychat.protocols.signalling import VERSION, ClientLink

#: Seconds for name, TCP, TLS and hello together.
CONNECT_TIMEOUT = 10.0

#: Codes that say that there is no connection to a server that can be trusted;
#: all others are a server's own no.
NO_CONNECTION = frozenset(
    {
        ResultCode.PROTOCOLFAIL,
        ResultCode.VERSIONNOTMATCH,
        ResultCode.CERTVERIFYFAIL,
        ResultCode.CERTHIGHSECURITY,
        ResultCode.SECURITYBREAK,
        ResultCode.CONNECT_TIMEOUT,
        ResultCode.CONNECT_ABORT,
        ResultCode.CONNECT_DNSERROR,
        ResultCode.CONNECT_SOCKETERR,
    }
)

#: Bounds for what a server may ask of its clients, in seconds.
_CHECK_TIMES = (1.0, 60.0)
_LONGEST_SILENCE = 300.0

#: What may be behind an end that comes before TLS stands.
_NO_TLS = (
    "before TLS stood; the server may have no TLS (then: --plain), or too many "
    "connections from this address that are not logged in yet"
)


class Backoff:
    """How long to wait before the next attempt to reconnect."""

    #: Shortest and longest wait in seconds.
    SHORTEST, LONGEST = 0.5, 10.0

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform):
        """``uniform`` picks a number between two others."""
        self._uniform = uniform
        self._attempts = 0

    def reset(self) -> None:
        """The connection has proved good."""
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait; the clients of a server that restarts spread out."""
        self._attempts = min(self._attempts + 1, 16)
        bound = min(self.SHORTEST * 2**self._attempts, self.LONGEST)
        return self._uniform(self.SHORTEST, bound)


def is_loopback(host: str) -> bool:
    """Whether that address is this very machine."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def connect_error(failure: Failure) -> Refused | PeerError:
    """What kept a connection from coming about, or ended it, as our kind."""
    cause = failure.value
    if isinstance(cause, Refused | PeerError):
        return cause
    text = str(cause) or type(cause).__name__
    if isinstance(cause, error.DNSLookupError | error.UnknownHostError | ValueError):
        # ValueError: what cannot be a name at all.
        return Refused(ResultCode.CONNECT_DNSERROR, text)
    if isinstance(cause, error.TimeoutError | error.TCPTimedOutError | CancelledError):
        return Refused(ResultCode.CONNECT_TIMEOUT)
    if isinstance(cause, error.ConnectError):
        return Refused(ResultCode.CONNECT_SOCKETERR, text)
    # OpenSSL's and service_identity's errors, whose modules are not ours.
    if type(cause).__name__ == "VerificationError":
        text = "the certificate is not for that name"
        return Refused(ResultCode.CERTVERIFYFAIL, text)
    if type(cause).__module__.startswith("OpenSSL"):
        if "certificate verify failed" in text:
            text = "the certificate is not from a known authority"
            return Refused(ResultCode.CERTVERIFYFAIL, text)
        return Refused(ResultCode.SECURITYBREAK, f"TLS failed: {text}")
    return Refused(ResultCode.CONNECT_ABORT)


class ConnectionOwner(Protocol):
    """What a `Connection` reports."""

    def connection_ready(self, connection: "Connection") -> None:
        """Hello and proof are over; log in or resume."""

    def connection_message(
        self, connection: "Connection", request: int, message: Message
    ) -> None:
        """The server said something; ``request`` is what it answers, or 0."""

    def connection_lost(
        self, connection: "Connection", error: Refused | PeerError
    ) -> None:
        """It is gone, or never came about; the last call, and only one."""


@dataclass
class Dialler:
    """What the connections of one client have in common."""

    reactor: Any
    trust: Trust
    random_bytes: Callable[[int], bytes]
    agent: str
    plain: bool = False
    """Without TLS: to this machine only."""
    auth_pass: str = field(default="", repr=False)
    """SDKAuthPass."""
    timeout: float = CONNECT_TIMEOUT
    endpoint: Callable[[str, int], IStreamClientEndpoint] | None = None
    """Makes the endpoint of a host and port; for tests."""
    derive: Callable[[str, bytes], Any] | None = None
    """Makes the proof's key; by default in a thread, for it takes 50 ms."""

    def endpoint_of(self, host: str, port: int) -> IStreamClientEndpoint:
        """Where to connect."""
        if self.endpoint is not None:
            return self.endpoint(host, port)
        return HostnameEndpoint(self.reactor, host, port, timeout=self.timeout)

    def derive_key(self, password: str, salt: bytes) -> Any:
        """The proof's key."""
        if self.derive is not None:
            return self.derive(password, salt)
        pool = self.reactor.getThreadPool()
        return deferToThreadPool(self.reactor, pool, derive_key, password, salt)

    def dial(self, host: str, port: int, owner: ConnectionOwner) -> "Connection":
        """Begin to connect."""
        connection = Connection(self, host, port, owner)
        connection.dial()
        return connection


class _LinkFactory(Factory):
    """Makes the link of one connection."""

    noisy = False

    def __init__(self, connection: "Connection"):
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> ClientLink:
        """The link to that address."""
        return self._connection.make_link(getattr(addr, "host", ""))


class Connection:
    """One connection, from the first attempt to its end."""

    def __init__(self, dialler: Dialler, host: str, port: int, owner: ConnectionOwner):
        self._dialler = dialler
        self._clock = dialler.reactor
        self._owner = owner
        self.host = host
        self.port = port
        self.address = ""
        """The server's IP address, once there is a connection."""
        self.fingerprint = ""
        """SHA-256 of the server's certificate, empty without TLS."""
        self.hello: ServerHello | None = None
        self.round_trip: float | None = None
        """Seconds from a heartbeat to its reply."""
        self._link: ClientLink | None = None
        self._dialling: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._reason: AnyChatError | None = None
        self._ready = False
        self._over = False

    @property
    def link(self) -> ClientLink:
        """The link itself; only once there is one."""
        assert self._link is not None
        return self._link

    @property
    def secure(self) -> bool:
        """Whether it is encrypted."""
        return not self._dialler.plain

    @property
    def local_address(self) -> str:
        """This machine's address on the connection."""
        return str(getattr(self.link.transport.getHost(), "host", ""))

    def dial(self) -> None:
        """Begin."""
        self._timer = self._clock.callLater(self._dialler.timeout, self._too_slow)
        try:
            endpoint = self._dialler.endpoint_of(self.host, self.port)
            self._dialling = endpoint.connect(_LinkFactory(self))
        except Exception:
            # A host that is no name at all.
            self._end(connect_error(Failure()))
            return
        self._dialling.addCallbacks(self._dialled, self._not_dialled)

    def make_link(self, address: str) -> ClientLink:
        """The protocol, now that the address is known.

        :raises Refused: a plain connection would leave this machine.
        """
        self.address = address
        dialler = self._dialler
        if dialler.plain and not is_loopback(address):
            raise Refused(
                ResultCode.CERTHIGHSECURITY,
                "a plain connection is for this machine only",
            )
        self._link = ClientLink(
            self,
            agent=dialler.agent,
            random_bytes=dialler.random_bytes,
            seconds=self._clock.seconds,
            password=dialler.auth_pass,
            tls=None if dialler.plain else dialler.trust.options(self.host),
            derive=dialler.derive_key,
        )
        return self._link

    def close(self) -> None:
        """End it after what was written; the owner hears no more of it."""
        self._finish()
        if self._link is not None and self._link.transport is not None:
            self._link.close()
        elif self._dialling is not None:
            self._dialling.cancel()

    def abort(self, reason: AnyChatError) -> None:
        """End it at once, for that reason."""
        self._reason = reason
        if self._link is not None and self._link.transport is not None:
            self._link.abort()
        elif self._dialling is not None:
            self._dialling.cancel()

    # How it begins.

    def _dialled(self, link: ClientLink) -> None:
        self._dialling = None

    def _not_dialled(self, failure: Failure) -> None:
        self._dialling = None
        self._end(connect_error(failure))

    def _too_slow(self) -> None:
        self._timer = None
        self.abort(Refused(ResultCode.CONNECT_TIMEOUT))

    # What the link reports.

    def link_secured(self, link: ClientLink, certificate: Any) -> None:
        """TLS stands: is this the right server?"""
        self.fingerprint = fingerprint_of(certificate)
        self._dialler.trust.check(self.host, self.port, self.fingerprint)

    def link_hello(self, link: ClientLink, hello: ServerHello) -> None:
        """The server's hello."""
        self.hello = hello
        if not 1 <= hello.version <= VERSION:
            raise Refused(ResultCode.VERSIONNOTMATCH)
        if hello.proof_required and not self._dialler.auth_pass:
            raise Refused(ResultCode.CONNECT_AUTHFAIL)

    def link_ready(self, link: ClientLink) -> None:
        """The dialogue may begin."""
        self._ready = True
        self._stop_timer()
        self._watch_silence()
        self._owner.connection_ready(self)

    def link_message(self, link: ClientLink, request: int, message: Message) -> None:
        """A message; heartbeats stay here."""
        if isinstance(message, HeartbeatReply):
            elapsed = (link.stamp() - message.stamp) % (1 << 32)
            if elapsed < _LONGEST_SILENCE * 1000:
                self.round_trip = elapsed / 1000
        elif not self._over:
            self._owner.connection_message(self, request, message)

    def link_lost(self, link: ClientLink, reason: Failure) -> None:
        """The end."""
        error = connect_error(reason)
        if (
            error.code == ResultCode.CONNECT_ABORT
            and self.secure
            and not self.fingerprint
        ):
            error = Refused(error.code, _NO_TLS)
        self._end(error)

    # While it lasts.

    def _watch_silence(self) -> None:
        assert self.hello is not None
        shortest, longest = _CHECK_TIMES
        self._check_time = min(max(self.hello.check_time / 1000, shortest), longest)
        self._silence = min(
            max(self.hello.timeout / 1000, 2 * self._check_time), _LONGEST_SILENCE
        )
        self._timer = self._clock.callLater(self._check_time, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._clock.seconds() - self.link.last_heard > self._silence:
            self.abort(Refused(ResultCode.CONNECT_TIMEOUT, "the server fell silent"))
            return
        self.link.heartbeat()
        self._timer = self._clock.callLater(self._check_time, self._check)

    # The end.

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self) -> bool:
        """Nothing is reported from now on; False: that was so already."""
        self._stop_timer()
        was_over, self._over = self._over, True
        return not was_over

    def _end(self, error: Refused | PeerError) -> None:
        if self._finish():
            if isinstance(self._reason, Refused | PeerError):
                error = self._reason
            self._owner.connection_lost(self, error)
