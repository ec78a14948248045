"""Two transports joined in memory, that behave as Twisted's TCP ones do.

What one side writes is delivered to the other by `Pipe.flush`, to whatever the
transport's ``protocol`` is by then: the server puts TLS in place by changing
that, and so does ``startTLS``.
"""

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITCPTransport)
class PipeTransport:
    """One end.

    :ivar reads: whether this end takes what the other one writes.
    """

    #: Bytes that wait before a producer is paused, as Twisted has it.
    HIGH_WATER = 65536

    def __init__(self, host, peer):
        self._host = host
        self._peer = peer
        self.protocol = None
        self.other = None
        self.producer = None
        self.reads = True
        self.waiting = b""
        self.disconnecting = False
        self.aborted = False
        self.gone = False
        self._paused = False

    def write(self, data):
        """Queue bytes for the other end."""
        if self.gone or self.aborted:
            return
        self.waiting += data
        if self.producer is not None and len(self.waiting) > self.HIGH_WATER:
            self._paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data):
        """Queue bytes for the other end."""
        self.write(b"".join(data))

    def loseConnection(self):
        """Close once everything was delivered."""
        self.disconnecting = True

    def abortConnection(self):
        """Close without delivering anything more."""
        self.aborted = self.disconnecting = True
        self.waiting = b""

    def pauseProducing(self):
        """Take nothing more of what the other end writes."""
        self.reads = False

    def resumeProducing(self):
        """Take it again, unless this end closes."""
        self.reads = not self.disconnecting

    def getPeer(self):
        """Address of the other end."""
        return self._peer

    def getHost(self):
        """Address of this end."""
        return self._host

    def registerProducer(self, producer, streaming):
        """Tell this producer when too much waits."""
        assert self.producer is None and streaming
        self.producer = producer

    def unregisterProducer(self):
        """Forget the producer."""
        self.producer = None

    def startTLS(self, options):
        """Put TLS under the protocol, as the client's side."""
        factory = TLSMemoryBIOFactory(options, True, None)
        protocol = self.protocol
        self.protocol = TLSMemoryBIOProtocol(factory, protocol, False)
        protocol.transport = self.protocol
        self.protocol.makeConnection(self)

    def drained(self):
        """Everything written has gone out."""
        if self.producer is not None and self._paused:
            self._paused = False
            self.producer.resumeProducing()

    def lost(self, reason):
        """The connection is gone: tell the protocol, once."""
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(reason))


def _host(address, port):
    kind = IPv6Address if ":" in address else IPv4Address
    return kind("TCP", address, port)


class Pipe:
    """A connection of two protocols.

    :param address: the client's address as the server sees it.
    """

    #: Bytes that a transport reads at a time, as Twisted has it.
    PORTION = 65536

    def __init__(self, client, server, address="127.0.0.1", port=40000, own=None):
        here, there = _host(address, port), _host(own or address, 8906)
        self.client = PipeTransport(here, there)
        self.server = PipeTransport(there, here)
        self.client.other, self.server.other = self.server, self.client
        self.client.protocol, self.server.protocol = client, server
        for transport in (self.server, self.client):
            transport.protocol.makeConnection(transport)

    def flush(self):
        """Deliver until nothing moves."""
        while any([self._step(self.client), self._step(self.server)]):
            pass

    def cut(self):
        """The network fails: what is under way is lost, both sides see it."""
        for transport in (self.client, self.server):
            transport.waiting = b""
            transport.lost(ConnectionLost())

    def _step(self, source):
        target = source.other
        moved = False
        if source.waiting and target.reads and not target.gone:
            data = source.waiting[: self.PORTION]
            source.waiting = source.waiting[self.PORTION :]
            if not source.waiting:
                source.drained()
            if not target.disconnecting:
                target.protocol.dataReceived(data)
            moved = True
        if source.aborted and not source.gone:
            source.lost(ConnectionAborted())
            target.waiting = b""
            target.lost(ConnectionLost())
            moved = True
        elif source.disconnecting and not source.waiting and not source.gone:
            source.lost(ConnectionDone())
            target.lost(ConnectionDone())
            moved = True
        return moved


class Peer:
    """Somebody who connects, and says what a test makes it say."""

    def __init__(self):
        self.transport = None
        self.data = b""
        self.lost = False

    def makeConnection(self, transport):
        """Connected."""
        self.transport = transport

    def dataReceived(self, data):
        """Keep what comes."""
        self.data += data

    def connectionLost(self, reason):
        """Over."""
        self.lost = True
