"""The UDP port, with real sockets on the loopback and no reactor.

A datagram that is sent over the loopback has arrived when the call returns, so
these tests read at once and wait for nothing.
"""

import errno
import socket

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.media.path import Path
from anychat.media.port import BATCH, BATCH_TIME, PortSettings, UdpPort


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class Readers(list):
    """What of a reactor the port uses."""

    addReader = list.append
    removeReader = list.remove


class UdpPortTests(SynchronousTestCase):
    """`UdpPort`."""

    def setUp(self):
        """Nothing is open."""
        self.reactor = Readers()
        self.datagrams = []
        self.rounds = 0
        self.now = 50.0
        self.fault = None

    def open(self, *interfaces, number=0):
        """Open a port that is closed after the test."""
        settings = PortSettings(
            number, interfaces, receive_buffer=1 << 20, send_buffer=1 << 20
        )
        port = UdpPort(
            self.reactor, settings, self.receive, self.received, lambda: self.now
        )
        port.start()
        self.addCleanup(port.close)
        return port

    def receive(self, data, source, now, local=b""):
        """Takes what the port reads."""
        self.datagrams.append((data, Path(source, local), now))
        if self.fault is not None:
            raise self.fault

    def received(self):
        """Called after each batch."""
        self.rounds += 1

    def client(self, host="127.0.0.1"):
        """A socket to send from."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.bind((host, 0))
        client.setblocking(False)
        return client

    def read(self):
        """Every socket of the port is readable."""
        for reader in self.reactor:
            reader.doRead()

    def test_receives(self):
        """Datagrams come with their source and time; a batch ends with one call."""
        port = self.open("127.0.0.1")
        client = self.client()
        for data in (b"one", b"", b"three"):
            client.sendto(data, ("127.0.0.1", port.number))
        self.read()
        self.assertEqual(
            [data for data, _, _ in self.datagrams], [b"one", b"", b"three"]
        )
        _, path, now = self.datagrams[0]
        self.assertEqual((path.remote, now), (client.getsockname(), 50.0))
        self.assertEqual(self.rounds, 1)

    def test_answersFromTheAddressAsked(self):
        """On a host with several addresses the answer leaves from the one that
        the client knows, by either way of sending."""
        port = self.open("0.0.0.0")
        client = self.client()
        for host in ("127.0.0.1", "127.0.0.7"):
            client.sendto(b"question", (host, port.number))
            self.read()
            _, path, _ = self.datagrams.pop()
            self.assertEqual(path.local, socket.inet_aton(host))
            port.send(b"answer", path)
            self.assertEqual(client.recvfrom(99), (b"answer", (host, port.number)))
            port.sender(path)(b"media", path.remote)
            self.assertEqual(client.recvfrom(99), (b"media", (host, port.number)))

    def test_plainCaseIsPlain(self):
        """Where the kernel chooses that source by itself, or there is only one,
        a copy is a bare ``sendto``."""
        port = self.open("0.0.0.0")
        bare = self.reactor[0].socket.sendto
        remote = ("127.0.0.1", 4000)
        local = socket.inet_aton("127.0.0.1")
        self.assertEqual(port.sender(Path(remote, local)), bare)
        self.assertEqual(port.sender(Path(remote)), bare)
        other = socket.inet_aton("127.0.0.7")
        self.assertNotEqual(port.sender(Path(remote, other)), bare)

    def test_severalInterfaces(self):
        """Each address has its socket, all on one port; the path tells which."""
        port = self.open("127.0.0.1", "127.0.0.7")
        self.assertEqual({reader.number for reader in self.reactor}, {port.number})
        client = self.client()
        for host in ("127.0.0.1", "127.0.0.7"):
            client.sendto(b"question", (host, port.number))
            self.read()
            _, path, _ = self.datagrams.pop()
            port.sender(path)(b"media", path.remote)
            self.assertEqual(client.recvfrom(99)[1], (host, port.number))

    def test_bothFamilies(self):
        """IPv4 and IPv6 share the number and the forwarder."""
        if not has_ipv6():
            raise SkipTest("no IPv6 on this machine")
        port = self.open("0.0.0.0", "::")
        self.assertEqual(len(self.reactor), 2)
        for host in ("127.0.0.1", "::1"):
            client = self.client(host)
            client.sendto(b"question", (host, port.number))
            self.read()
            _, path, _ = self.datagrams.pop()
            port.send(b"answer", path)
            port.sender(path)(b"media", path.remote)
            for data in (b"answer", b"media"):
                answer, source = client.recvfrom(99)
                self.assertEqual((answer, source[:2]), (data, (host, port.number)))

    def test_hostWithoutIpv6(self):
        """The IPv6 wildcard is left out where there is no IPv6; an address
        that is not ours is an error."""
        port = self.open("127.0.0.1", "::")
        self.assertIn(len(self.reactor), (1, 2))
        port.stop()
        error = self.assertRaises(CannotListenError, self.open, "192.0.2.1")
        self.assertEqual(error.socketError.errno, errno.EADDRNOTAVAIL)
        self.assertEqual(self.reactor, [])

    def test_portInUse(self):
        """A port that another has is refused, whatever that one allows."""
        for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(other.close)
            if option is not None:
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            other.bind(("127.0.0.1", 0))
            number = other.getsockname()[1]
            error = self.assertRaises(
                CannotListenError, self.open, "0.0.0.0", number=number
            )
            self.assertEqual(error.port, number)
            self.assertEqual(error.socketError.errno, errno.EADDRINUSE)
        self.assertEqual(self.reactor, [])

    def test_stopAndStart(self):
        """A port that is closed is free, for itself too."""
        port = self.open("127.0.0.1")
        settings = PortSettings(port.number, ("127.0.0.1",))
        port.stop()
        self.assertEqual(self.reactor, [])
        again = UdpPort(
            self.reactor, settings, self.receive, self.received, lambda: self.now
        )
        for _ in range(2):
            again.start()
            again.stop()

    def test_batchIsBounded(self):
        """A flood leaves others their turn: by number, and by time."""
        port = self.open("127.0.0.1")
        client = self.client()
        for _ in range(BATCH + 10):
            client.sendto(b"flood", ("127.0.0.1", port.number))
        self.read()
        self.assertEqual(len(self.datagrams), BATCH)
        self.read()
        self.assertEqual(len(self.datagrams), BATCH + 10)
        clock = iter(range(1000))
        port.seconds = lambda: next(clock) * BATCH_TIME * 0.4
        for _ in range(10):
            client.sendto(b"flood", ("127.0.0.1", port.number))
        self.datagrams.clear()
        self.read()
        self.assertEqual(len(self.datagrams), 3)

    def test_tooLongIsCut(self):
        """A datagram of 64 KiB is no more than a too long one."""
        port = self.open("127.0.0.1")
        self.client().sendto(bytes(60000), ("127.0.0.1", port.number))
        self.read()
        self.assertEqual(len(self.datagrams[0][0]), 2048)

    def test_bugCostsADatagram(self):
        """Whatever is raised on the way, the port stays open, and it is logged."""
        port = self.open("127.0.0.1")
        client = self.client()
        self.fault = ZeroDivisionError()
        client.sendto(b"unlucky", ("127.0.0.1", port.number))
        self.read()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.fault = None
        client.sendto(b"fine", ("127.0.0.1", port.number))
        self.read()
        self.assertEqual(self.datagrams[-1][0], b"fine")
        self.assertEqual(port.counters().failures, 1)

    def test_unreachable(self):
        """What the kernel refuses is counted, not raised."""
        port = self.open("127.0.0.1")
        port.send(b"answer", Path(("255.255.255.255", 9)))
        self.assertEqual(port.counters().send_errors, 1)

    def test_readErrors(self):
        """An error of the socket is counted, not raised."""
        port = self.open("127.0.0.1")
        (reader,) = self.reactor
        reader.socket.close()
        reader.doRead()
        self.assertEqual(port.counters().receive_errors, 1)
        self.assertEqual(reader.logPrefix(), "media")
