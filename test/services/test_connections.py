"""Tests of `anychat.services.connections`, under `ClientLinks`."""

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import TestCase

from anychat.codes import ResultCode
from anychat.core.commands import LinkLost
from anychat.messages import LinkClose, Login
from anychat.protocols.framing import MAGIC
from anychat.services.links import ClientLinks
from anychat.services.settings import LinkSettings
from test.protocols.dialogue import FACTS, counting_bytes, hello, messages_in
from test.protocols.pipe import Peer, Pipe
from test.services.links_case import PARAMETERS, LinksTestCase


class TroubleTests(LinksTestCase):
    """Strangers and those who say nothing cost little and end."""

    def test_foreign(self):
        """Another protocol is closed without a word, with one line."""
        for _ in range(50):
            peer = Peer()
            pipe = self.connect(peer, "192.0.2.1")
            peer.transport.write(b"GET / HTTP/1.1\r\n\r\n")
            pipe.flush()
            self.assertEqual((peer.data, peer.lost), (b"", True))
        self.assertEqual(len(self.log), 1)
        self.assertIn("192.0.2.1:40000", self.log[0])
        self.assertEqual(self.count("foreign"), 50)
        self.assertEqual(self.count("connections"), 0)

    def test_garbageInsideTls(self):
        """TLS hides nothing: what is inside is judged the same way."""
        client = self.client()
        other = self.client()
        other.link.transport.write(b"\0\0\0\0")
        other.pipe.flush()
        self.assertEqual(other.owner.reason.code, ResultCode.PROTOCOLFAIL)
        self.assertNotIn("lost", client.owner.events)

    def test_brokenTls(self):
        """A handshake that is none ends the connection and is counted."""
        peer = Peer()
        pipe = self.connect(peer)
        peer.transport.write(b"\x16\x03\x01\x00\x05hello")
        pipe.flush()
        self.assertTrue(peer.lost)
        self.assertEqual(self.count("tls_incomplete"), 1)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_magicInPieces(self):
        """The first bytes may come one at a time."""
        peer = Peer()
        pipe = self.connect(peer)
        for byte in MAGIC + hello():
            peer.transport.write(bytes([byte]))
            pipe.flush()
        self.assertEqual(len(messages_in(peer.data)), 2)

    def test_tooManyFromOneAddress(self):
        """The hundredth connection without a session is the last."""
        self.serve(links_per_address=100)
        pipes = [self.connect(Peer(), "192.0.2.1") for _ in range(150)]
        self.assertEqual(sum(pipe is not None for pipe in pipes), 100)
        self.assertIsNotNone(self.connect(Peer(), "192.0.2.2"))
        self.assertEqual(self.count("refused_address"), 50)
        self.assertEqual(len(self.log), 1)
        pipes[0].cut()
        self.assertIsNotNone(self.connect(Peer(), "192.0.2.1"))

    def test_ipv6CountsByNetwork(self):
        """One customer's /64 is one place."""
        self.serve(links_per_address=2)
        self.assertIsNotNone(self.connect(Peer(), "2001:db8::1"))
        self.assertIsNotNone(self.connect(Peer(), "2001:db8::2"))
        self.assertIsNone(self.connect(Peer(), "2001:db8::3"))
        self.assertIsNotNone(self.connect(Peer(), "2001:db8:0:1::1"))

    def test_sessionsDoNotCount(self):
        """Those who have signed in leave room for others, however they go."""
        self.serve(links_per_address=1)
        clients = [self.user() for _ in range(3)]
        self.assertIsNotNone(self.connect(Peer()))
        self.assertIsNone(self.connect(Peer()))
        for client in clients:
            client.pipe.cut()
        self.assertEqual(self.count("unauthenticated"), 1)

    def test_halfOpen(self):
        """Ten thousand connections that say nothing are gone after 10 s."""
        for number in range(10_000):
            address = f"10.0.{number // 100}.1"
            self.assertIsNotNone(
                self.links.connections.accept(IPv4Address("TCP", address, 1))
            )
        entrances = list(self.links.connections)
        for entrance in entrances:
            Pipe(Peer(), entrance)
        self.clock.advance(10)
        self.links.connections.sweep()
        self.assertEqual(self.count("connections"), 10_000)
        self.clock.advance(0.1)
        self.links.connections.sweep()
        for entrance in entrances:
            entrance.connectionLost()
        self.assertEqual(self.count("connections"), 0)
        self.assertEqual(self.count("unauthenticated"), 0)
        self.assertEqual(len(self.log), 1)

    def test_overall(self):
        """There is a bound for all addresses together."""
        self.serve(links_overall=5)
        pipes = [self.connect(Peer(), f"192.0.2.{n}") for n in range(9)]
        self.assertEqual(sum(pipe is not None for pipe in pipes), 5)

    def test_dribble(self):
        """A client that goes on with its hello for ever is ended too."""
        peer = Peer()
        pipe = self.connect(peer)
        peer.transport.write(MAGIC + b"\0\0\0\x40")
        for _ in range(11):
            pipe.flush()
            self.clock.advance(1)
            peer.transport.write(b"\0")
            self.links.connections.sweep()
        pipe.flush()
        self.assertTrue(peer.lost)
        self.assertIn(
            ResultCode.CONNECT_TIMEOUT, [m.code for m in messages_in(peer.data)]
        )

    def test_neverLogsIn(self):
        """A client that only beats is ended after five minutes."""
        client = self.client()
        for _ in range(61):
            self.clock.advance(5)
            client.link.heartbeat()
            client.pipe.flush()
            self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(client.owner.reason.code, ResultCode.NOTLOGIN)

    def test_loginNeverDecided(self):
        """So is one whose login nobody answers."""
        self.grant = False
        client = self.client()
        client.ask(Login("guest", ""))
        for _ in range(61):
            self.clock.advance(5)
            client.link.heartbeat()
            client.pipe.flush()
            self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(client.owner.reason.code, ResultCode.NOTLOGIN)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_silence(self):
        """A client that falls silent loses its link and keeps its session."""
        client = self.user()
        for _ in range(4):
            self.clock.advance(5)
            client.link.heartbeat()
            client.pipe.flush()
            self.links.connections.sweep()
        self.clock.advance(20)
        self.links.connections.sweep()
        self.assertEqual(self.commands, [])
        self.clock.advance(1)
        self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(self.commands, [LinkLost(1)])
        self.assertEqual(self.count("closed_silent"), 1)
        self.assertEqual(self.count("sessions_held"), 1)

    def test_incompleteFramesAreSilence(self):
        """Bytes that never make a frame keep no link alive."""
        client = self.user()
        client.link.transport.write(b"\0\0\xff\xff")
        for _ in range(21):
            client.link.transport.write(b"\0")
            client.pipe.flush()
            self.clock.advance(1)
            self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(self.commands, [LinkLost(1)])

    def test_closesThoughThePeerDoesNotRead(self):
        """A link that is being closed is cut off after five seconds."""
        client = self.user(tls=False)
        client.pipe.client.reads = False
        self.links.end_session(1, ResultCode.KICKOUT)
        client.pipe.flush()
        self.assertEqual(self.count("connections"), 1)
        self.clock.advance(6)
        self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(self.count("connections"), 0)


class ServiceTests(LinksTestCase):
    """Stopping, without sockets."""

    def test_stop(self):
        """All links are told and closed before the service is gone."""
        client = self.user()
        idle = Peer()
        pipe = self.connect(idle)
        stopping = self.links.stopService()
        self.assertNoResult(stopping)
        client.pipe.flush()
        pipe.flush()
        self.successResultOf(stopping)
        self.assertEqual(client.heard(), [LinkClose(ResultCode.CONNECT_OFFLINE)])
        self.assertTrue(idle.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopWithADeafPeer(self):
        """A client that does not read cannot hold the stop up."""
        client = self.user()
        client.pipe.client.reads = False
        stopping = self.links.stopService()
        client.pipe.flush()
        self.assertNoResult(stopping)
        self.clock.advance(1)
        client.pipe.flush()
        self.successResultOf(stopping)

    def test_stopIdle(self):
        """With no links it is gone at once."""
        self.successResultOf(self.links.stopService())


class ListeningTests(TestCase):
    """The few tests with real sockets."""

    def make(self, port=0, addresses=()):
        """A server that listens."""
        return ClientLinks(
            reactor,
            LinkSettings(port=port, addresses=addresses),
            lambda command: None,
            PARAMETERS,
            FACTS,
            counting_bytes(),
            lambda line: None,
            lambda: 1,
        )

    @inlineCallbacks
    def test_everywhere(self):
        """Without addresses one dual-stack socket takes IPv4 and IPv6."""
        links = self.make()
        links.startService()
        self.assertEqual([a.host for a in links.addresses()], ["::"])
        yield links.stopService()

    @inlineCallbacks
    def test_listed(self):
        """Listed addresses are listened on, each once."""
        links = self.make(addresses=("127.0.0.1", "::1", "127.0.0.1"))
        links.startService()
        hosts = [a.host for a in links.addresses()]
        self.assertEqual(hosts, ["127.0.0.1", "::1"])
        yield links.stopService()

    @inlineCallbacks
    def test_portInUse(self):
        """A taken port fails the start, and nothing is left listening."""
        first = self.make(addresses=("127.0.0.1",))
        first.startService()
        port = first.addresses()[0].port
        for addresses in ((), ("127.0.0.1",), ("::1", "127.0.0.1")):
            second = self.make(port, addresses)
            self.assertRaises(CannotListenError, second.startService)
            self.assertFalse(second.running)
            self.assertEqual(second.addresses(), [])
        yield first.stopService()
