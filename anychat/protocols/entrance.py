"""What a TCP connection is until its first bytes say what it speaks."""

from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.ids import LinkId
from anychat.protocols.framing import MAGIC
from anychat.protocols.sniff import Wire, sniff
from anychat.protocols.tls import SecureTransports


class Doorkeeper(Protocol):
    """Who decides about the connections of a port."""

    secure_transports: SecureTransports | None
    """None: TLS is not offered."""

    def native(self, entrance: "Entrance") -> Any:
        """The protocol for a client that sent our magic."""

    def foreign(self, entrance: "Entrance") -> None:
        """What came is no protocol of ours; the connection is being closed."""

    def left(self, entrance: "Entrance", reason: Failure) -> None:
        """The connection ended before it said what it speaks."""


@implementer(IProtocol)
class Entrance:
    """Reads the first bytes, puts TLS under itself, makes room for a protocol.

    It stands in the connection's way for a few bytes only: then the transport
    delivers to the protocol directly and nothing refers to the entrance.
    """

    __slots__ = (
        "_doorkeeper",
        "_first",
        "_gone",
        "address",
        "id",
        "opened",
        "port",
        "secure",
        "transport",
    )

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        id: LinkId,
        *,
        address: str,
        port: int,
        opened: float,
    ):
        self._doorkeeper = doorkeeper
        self._first = b""
        self._gone = False
        self.id = id
        self.address = address
        self.port = port
        self.opened = opened
        self.secure = False
        """Whether TLS is under this by now."""
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Called once by the TCP transport and once more by TLS."""
        self.transport = transport

    def connectionMade(self) -> None:
        """Nothing to do: the client speaks first."""

    def dataReceived(self, data: bytes) -> None:
        """Judge what came so far."""
        if self._gone:
            return
        self._first += data
        may_be_tls = not self.secure and self._doorkeeper.secure_transports is not None
        wire = sniff(self._first, tls=may_be_tls)
        if wire is Wire.TLS:
            self._begin_tls()
        elif wire is Wire.NATIVE:
            self._make_room()
        elif wire is Wire.FOREIGN:
            self._doorkeeper.foreign(self)
            self.turn_away()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._gone = True
        self._doorkeeper.left(self, reason)

    def turn_away(self) -> None:
        """Close the connection without a word."""
        self._gone = True
        self.transport.abortConnection()

    def _begin_tls(self) -> None:
        transports = self._doorkeeper.secure_transports
        assert transports is not None
        first, self._first = self._first, b""
        self.secure = True
        connection = self.transport
        connection.protocol = transports.wrap(self)
        connection.protocol.makeConnection(connection)
        connection.protocol.dataReceived(first)

    def _make_room(self) -> None:
        protocol = self._doorkeeper.native(self)
        self._gone = True
        if self.secure:
            self.transport.wrappedProtocol = protocol
        else:
            self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        rest = self._first[len(MAGIC) :]
        if rest:
            protocol.dataReceived(rest)
