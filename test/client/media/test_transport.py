"""Tests for `anychat.client.media.transport`."""

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.transport import MediaTransport
from anychat.media.demux import Kind
from test.client.media.bench import Bench
from test.netem import Conditions, MemoryNetwork, run


class FullPort:
    """A port whose buffer is full."""

    def __init__(self, protocol):
        protocol.makeConnection(self)

    def write(self, data, address):
        """See `IUDPTransport`."""
        raise BlockingIOError

    def stopListening(self):
        """See `IListeningPort`."""


class FullNetwork:
    """A network that takes nothing."""

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        """See `IReactorUDP`."""
        return FullPort(protocol)


class Interfaces:
    """Notes which interfaces are listened on."""

    def __init__(self, clock):
        self.asked = []
        self._host = MemoryNetwork(clock).host("10.0.0.9")

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        """See `IReactorUDP`."""
        self.asked.append((port, interface))
        return self._host.listenUDP(port, protocol)


class TransportTests(SynchronousTestCase):
    """The shell around the binding machine."""

    def setUp(self):
        self.clock = Clock()
        self.udp, self.received = [], []

    def transport(self, network):
        """A transport on that network."""
        transport = MediaTransport(
            self.clock,
            network,
            Random(1).randbytes,
            lambda kind, data: self.received.append((kind, data)),
            lambda *event: self.udp.append(event),
        )
        self.addCleanup(transport.close)
        return transport

    def test_families(self):
        """A port of each family that the server's addresses are of."""
        network = Interfaces(self.clock)
        transport = self.transport(network)
        transport.begin([("192.0.2.1", 1), ("192.0.2.2", 1)], "u", b"key")
        self.assertEqual(network.asked, [(0, "0.0.0.0")])
        transport.begin([("192.0.2.1", 1), ("2001:db8::1", 1)], "u", b"key")
        self.assertEqual(network.asked, [(0, "0.0.0.0"), (0, "::")])

    def test_fullBuffer(self):
        """What the system does not take is lost, like any packet."""
        transport = self.transport(FullNetwork())
        self.assertFalse(transport.send(b"data"))
        transport.begin([("192.0.2.1", 1)], "u", b"key")
        self.assertFalse(transport.send(b"data"))

    def test_datagrams(self):
        """RTP and RTCP go up, anything else does not."""
        network = MemoryNetwork(self.clock)
        transport = self.transport(network.host("10.0.0.2"))
        transport.begin([("10.0.0.1", 1)], "u", b"key")
        for data in (b"\x80\x60rtp", b"\x80\xc8rtcp", b"\x14dtls", b"", b"\xff"):
            transport._datagram(data, ("10.0.0.1", 1))
        self.assertEqual(
            self.received, [(Kind.RTP, b"\x80\x60rtp"), (Kind.RTCP, b"\x80\xc8rtcp")]
        )

    def test_nobodyThere(self):
        """A server that does not answer is told after three seconds."""
        network = MemoryNetwork(self.clock)
        transport = self.transport(network.host("10.0.0.2"))
        transport.begin([("10.0.0.1", 1)], "u", b"key")
        run(self.clock, 2.9)
        self.assertEqual(self.udp, [])
        run(self.clock, 10)
        self.assertEqual(self.udp, [(False, None)])


class ServerTests(SynchronousTestCase):
    """Against the server's own bindings."""

    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.bench.stop)

    def test_bound(self):
        """The client is bound, and the server knows where it is."""
        end = self.bench.end()
        self.bench.run(0.1)
        self.assertEqual([bound for bound, _ in end.udp], [True])
        self.assertEqual(self.bench.relay.legs.bindings.bound, 1)

    def test_configuredAgain(self):
        """A set-up that comes again, after a resume, is bound again with the
        first answer: the server makes no check."""
        end = self.bench.end()
        self.bench.run(0.1)
        end.media.configure(end.setup, "10.0.0.1")
        self.bench.run(0.05)
        self.assertEqual([bound for bound, _ in end.udp], [True, True])

    def test_serverGone(self):
        """With media under way it is noticed within six seconds, and the way
        back too."""
        end = self.bench.end()
        self.bench.run(0.1)
        end.media._transport.set_active(True)
        self.bench.impair(end, down=Conditions(loss=1.0))
        self.bench.run(6.0)
        self.assertEqual([bound for bound, _ in end.udp], [True, False])
        self.bench.impair(end, down=Conditions())
        self.bench.run(1.0)
        self.assertEqual([bound for bound, _ in end.udp], [True, False, True])
