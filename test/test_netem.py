"""Tests for `test.netem`: the emulator does what it says."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from test.netem import ROUGH, Conditions, MemoryNetwork, Netem, UdpProxy, run


class NetemTests(SynchronousTestCase):
    """The model."""

    def fates(self, conditions, seed=1, count=20_000):
        """What becomes of datagrams sent every 10 ms."""
        path = Netem(conditions, seed)
        return [(n / 100, path.arrivals(n / 100)) for n in range(count)]

    def test_nothing(self):
        """Without conditions everything arrives at once."""
        self.assertTrue(all(times == [now] for now, times in self.fates(Conditions())))

    def test_seeded(self):
        """The same seed, the same fate."""
        self.assertEqual(self.fates(ROUGH, 5), self.fates(ROUGH, 5))
        self.assertNotEqual(self.fates(ROUGH, 5), self.fates(ROUGH, 6))

    def test_loss(self):
        """The share lost is right, in bursts that are no longer than said."""
        fates = self.fates(Conditions(loss=0.03, burst=3))
        lost = [not times for _, times in fates]
        self.assertLess(abs(sum(lost) / len(lost) - 0.03), 0.005)
        runs = "".join("x" if gone else " " for gone in lost).split()
        lengths = {length: sum(len(r) == length for r in runs) for length in (1, 2, 3)}
        self.assertGreater(min(lengths.values()), 50)

    def test_everything(self):
        """All can be lost."""
        self.assertFalse(any(times for _, times in self.fates(Conditions(loss=1.0))))

    def test_delay(self):
        """Delay and jitter keep to their bounds, and to the order."""
        fates = self.fates(Conditions(delay=0.05, jitter=0.04))
        arrivals = [times[0] for _, times in fates]
        self.assertEqual(arrivals, sorted(arrivals))
        taken = [times[0] - now for now, times in fates]
        self.assertGreaterEqual(min(taken), 0.05 - 1e-9)
        self.assertLessEqual(max(taken), 0.09 + 1e-9)

    def test_reorder(self):
        """Some overtake those before."""
        fates = self.fates(Conditions(jitter=0.04, reorder=0.05))
        arrivals = [times[0] for _, times in fates]
        self.assertNotEqual(arrivals, sorted(arrivals))

    def test_duplicate(self):
        """Some arrive twice."""
        fates = self.fates(Conditions(duplicate=0.02))
        twice = sum(len(times) == 2 for _, times in fates)
        self.assertLess(abs(twice / len(fates) - 0.02), 0.005)


class Collector(DatagramProtocol):
    """Keeps what comes, and answers if told to."""

    noisy = False

    def __init__(self, answer=False):
        self.got = []
        self.answer = answer
        self.enough = Deferred()

    def datagramReceived(self, datagram, addr):
        """See `DatagramProtocol`."""
        self.got.append((datagram, addr))
        if self.answer:
            self.transport.write(datagram.upper(), addr)
        if len(self.got) == 20 and not self.enough.called:
            self.enough.callback(None)


class MemoryNetworkTests(SynchronousTestCase):
    """UDP on a clock."""

    def test_delivery(self):
        """Datagrams reach the port they are for, when their time has come."""
        clock = Clock()
        network = MemoryNetwork(clock)
        server, client = Collector(True), Collector()
        network.host("10.0.0.1").listenUDP(1, server)
        port = network.host("10.0.0.2").listenUDP(0, client)
        network.impair("10.0.0.2", "10.0.0.1", Conditions(delay=0.1))
        port.write(b"a", ("10.0.0.1", 1))
        port.write(b"b", ("10.0.0.1", 2))
        run(clock, 0.09)
        self.assertEqual(server.got, [])
        run(clock, 0.02)
        self.assertEqual(server.got, [(b"a", port.address)])
        self.assertEqual(client.got, [(b"A", ("10.0.0.1", 1))])
        port.stopListening()
        server.transport.write(b"late", port.address)
        run(clock, 0.1)
        self.assertEqual(len(client.got), 1)


class UdpProxyTests(TestCase):
    """The proxy before a real socket."""

    def test_bothWays(self):
        """What is sent comes back through the proxy."""
        server, client = Collector(True), Collector()
        listening = reactor.listenUDP(0, server, interface="127.0.0.1")
        sending = reactor.listenUDP(0, client, interface="127.0.0.1")
        proxy = UdpProxy(
            reactor,
            ("127.0.0.1", listening.getHost().port),
            up=Conditions(delay=0.01),
            down=Conditions(jitter=0.01),
        )
        self.addCleanup(proxy.stop)
        self.addCleanup(sending.stopListening)
        self.addCleanup(listening.stopListening)
        for number in range(20):
            client.transport.write(b"x%d" % number, ("127.0.0.1", proxy.port))

        def check(_):
            self.assertEqual([data for data, _ in client.got][:2], [b"X0", b"X1"])
            sources = {address for _, address in client.got}
            self.assertEqual(sources, {("127.0.0.1", proxy.port)})

        return client.enough.addCallback(check)
