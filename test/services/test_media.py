"""The media service, with real sockets on the loopback and a clock for a reactor."""

import os
import socket
from unittest import skipIf

from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind, UserState
from anychat.errors import LocalError, PeerError
from anychat.ids import SessionId, Ssrc
from anychat.media import rtcp, stun
from anychat.media.binding import CHECK_LIFETIME
from anychat.media.counters import Drop
from anychat.media.leg import ROUND
from anychat.media.port import PortSettings
from anychat.media.relay import Make, NativeRelay, PortableRelay
from anychat.media.rtp import FrameMarking, RtpPacket
from anychat.media.srtp import SrtcpReceiver, SrtcpSender, SrtpReceiver, SrtpSender
from anychat.protocols.control import Probe, build, control_key, parse
from anychat.services.media import MediaService, StreamKeys

ALICE, BOB = SessionId(1), SessionId(2)
AUDIO, VIDEO = StreamKind.AUDIO, StreamKind.VIDEO
KEY_START = FrameMarking(start=True, independent=True)


class Client:
    """The other end of a session's media, as a client has it."""

    def __init__(self, test, session, host="127.0.0.1"):
        self.test = test
        self.setup = test.media.open_leg(session)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.bind((host, 0))
        self.socket.connect((host, test.media.port))
        self.socket.setblocking(False)
        keys = self.setup.rtcp_key, self.setup.rtcp_salt_key
        self.rtcp_sender = SrtcpSender(*keys, self.setup.client_ssrc)
        self.rtcp_receiver = SrtcpReceiver(*keys, self.setup.server_ssrc)

    def send(self, data):
        """Send, and let the server read."""
        self.socket.send(data)
        self.test.read()

    def receive(self):
        """All that has come."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(2048))
            except BlockingIOError:
                return datagrams

    def feedback(self):
        """The RTCP of the server among it."""
        return [
            packet
            for data in self.receive()
            if data[0] >> 7
            for packet in rtcp.parse(self.rtcp_receiver.unprotect(data))
        ]

    def bind(self):
        """The whole exchange."""
        setup = self.setup
        self.send(stun.request(os.urandom(12), setup.username, setup.stun_key))
        answer, check = map(stun.parse, self.receive())
        answer.check(setup.stun_key)
        self.test.assertEqual(answer.mapped, self.socket.getsockname()[:2])
        check.check(setup.stun_key, setup.username)
        peer = self.socket.getpeername()[:2]
        self.send(stun.success(check, peer, setup.stun_key))


class Link:
    """A signalling link, as far as media goes."""

    def __init__(self):
        self.behind = False
        self.packets = []

    def write_media(self, data):
        """A packet, if there is room."""
        if not self.behind:
            self.packets.append(data)
        return not self.behind

    def take(self):
        """What was written since the last call."""
        packets, self.packets = self.packets, []
        return packets


class MediaServiceTestsMixin:
    """`MediaService`, with a relay that is read by the reactor."""

    make_relay: Make
    name: str

    def setUp(self):
        """A service on a port of its own."""
        self.reactor = MemoryReactorClock()
        self.lines = []
        self.media = self.service()
        self.media.startService()
        self.addCleanup(self.stop)

    def service(self, number=0, public=()):
        """A service that is not started."""
        settings = PortSettings(
            number, ("127.0.0.1",), receive_buffer=1 << 20, send_buffer=1 << 20
        )
        return MediaService(
            self.reactor,
            settings,
            public,
            os.urandom,
            self.lines.append,
            self.reactor.seconds,
            self.make_relay,
            over_links=True,
        )

    def stop(self):
        """Nothing is left after it."""
        if self.media.running:
            self.media.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getReaders(), [])

    def read(self):
        """The port is readable."""
        for reader in self.reactor.getReaders():
            reader.doRead()

    def pair(self):
        """Two clients that are bound."""
        alice, bob = Client(self, ALICE), Client(self, BOB)
        alice.bind()
        bob.bind()
        return alice, bob

    # The service.

    def test_startLine(self):
        """The product's line, with the port in it, and which relay it is."""
        self.assertEqual(len(self.lines), 2)
        self.assertIn(self.name, self.lines[1])
        self.assertEqual(
            self.lines[0], f"Start UDP Server Successed(port={self.media.port})!"
        )

    def test_portInUse(self):
        """The start fails, with no line and nothing left open."""
        other = self.service(self.media.port)
        self.assertRaises(CannotListenError, other.startService)
        self.assertEqual(len(self.lines), 2)
        self.assertFalse(other.running)

    def test_nothingBeforeTheStart(self):
        """A server that goes into the background forks after it is made."""
        reactor = MemoryReactorClock()
        MediaService(
            reactor,
            PortSettings(),
            (),
            os.urandom,
            self.lines.append,
            make_relay=self.make_relay,
        )
        self.assertEqual(reactor.getReaders(), [])

    def test_stopClosesEverything(self):
        """Legs, keys and timers go; it can be started again."""
        self.pair()
        ssrc = self.media.new_ssrc()
        self.media.publish(ALICE, ssrc, VIDEO)
        self.media.subscribe(BOB, ssrc)
        self.media.stopService()
        self.assertEqual(self.media.counters().legs, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getReaders(), [])
        self.assertEqual(self.media._keys, {})
        self.media.startService()
        Client(self, ALICE).bind()
        self.assertEqual(self.media.counters().bound, 1)

    def test_idleNeedsNoTimer(self):
        """A server with legs that are not bound sleeps."""
        self.media.open_leg(ALICE)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    # Legs.

    def test_setup(self):
        """Every leg has its own names, keys and SSRCs."""
        setups = [self.media.open_leg(SessionId(number)) for number in range(20)]
        for secret in (
            lambda setup: setup.username,
            lambda setup: setup.stun_key,
            lambda setup: setup.rtcp_key,
            lambda setup: setup.rtcp_salt_key,
        ):
            self.assertEqual(len(set(map(secret, setups))), 20)
        ssrcs = {setup.client_ssrc for setup in setups}
        ssrcs |= {setup.server_ssrc for setup in setups}
        self.assertEqual(len(ssrcs), 40)
        self.assertEqual(setups[0].port, self.media.port)
        self.assertEqual(setups[0].addresses, ())
        self.assertTrue(setups[0].username.isascii())

    def test_publicAddresses(self):
        """Clients of a server behind a NAT are told where to send."""
        media = self.service(public=("203.0.113.5", "2001:db8::5"))
        self.assertEqual(
            media.open_leg(ALICE).addresses, ("203.0.113.5", "2001:db8::5")
        )

    def test_wrongCalls(self):
        """What cannot be is an error of the caller; ending twice is none."""
        self.media.open_leg(ALICE)
        for call in (
            lambda: self.media.open_leg(ALICE),
            lambda: self.media.publish(BOB, Ssrc(1), AUDIO),
            lambda: self.media.subscribe(ALICE, Ssrc(1)),
            lambda: self.media.receptions(BOB),
        ):
            self.assertRaises(LocalError, call)
        for _ in range(2):
            self.media.close_leg(ALICE)
            self.media.unpublish(Ssrc(1))
            self.media.unsubscribe(ALICE, Ssrc(1))

    def test_checkIsRepeatedByTheTimer(self):
        """A client whose answer is lost is asked again, then no more."""
        alice = Client(self, ALICE)
        setup = alice.setup
        alice.send(stun.request(os.urandom(12), setup.username, setup.stun_key))
        self.assertEqual(len(alice.receive()), 2)
        self.reactor.pump([0.1] * int(CHECK_LIFETIME * 10 + 5))
        self.assertEqual(len(alice.receive()), 4)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    # Over links.

    def linked(self):
        """Alice by UDP; Bob over his link."""
        alice = Client(self, ALICE)
        alice.bind()
        bob, link = Client(self, BOB), Link()
        self.media.link_path(BOB, link)
        return alice, bob, link

    def protected(self, ssrc, key, salt, *numbers, marking=None):
        """Packets of a stream, whole frames if they are marked."""
        sender = SrtpSender(key, salt, ssrc)
        return [
            sender.protect(
                RtpPacket(96, number, 0, ssrc, False, b"part", marking).build()
            )
            for number in numbers
        ]

    def test_overLinks(self):
        """Media goes from UDP to a link and from a link to UDP, byte for byte."""
        alice, bob, link = self.linked()
        mine, his = self.media.new_ssrc(), self.media.new_ssrc()
        keys = self.media.publish(ALICE, mine, AUDIO)
        self.media.subscribe(BOB, mine)
        (data,) = self.protected(mine, *keys, 1)
        alice.send(data)
        self.read()
        self.assertEqual(link.take(), [data])
        keys = self.media.publish(BOB, his, AUDIO)
        self.media.subscribe(ALICE, his)
        (data,) = self.protected(his, *keys, 1)
        self.media.link_media(BOB, data)
        self.assertEqual(alice.receive(), [data])
        self.assertEqual(self.media.counters().over_links, 1)
        self.assertEqual(bob.receive(), [])

    def test_linkToLink(self):
        """From one link to another."""
        _, _, link = self.linked()
        other = Link()
        self.media.link_path(ALICE, other)
        ssrc = self.media.new_ssrc()
        keys = self.media.publish(BOB, ssrc, AUDIO)
        self.media.subscribe(ALICE, ssrc)
        (data,) = self.protected(ssrc, *keys, 1)
        self.media.link_media(BOB, data)
        self.assertEqual((other.take(), link.take()), ([data], []))

    def test_feedbackOverLinks(self):
        """A publisher on a link is asked for key frames there."""
        _, bob, link = self.linked()
        ssrc = self.media.new_ssrc()
        self.media.publish(BOB, ssrc, VIDEO)
        self.media.subscribe(ALICE, ssrc)
        packets = [
            packet
            for data in link.take()
            for packet in rtcp.parse(bob.rtcp_receiver.unprotect(data))
        ]
        self.assertIn(rtcp.Pli(bob.setup.server_ssrc, ssrc), packets)

    def test_slowLink(self):
        """What a link does not take waits, then goes frame by frame; signalling's
        link is never filled."""
        alice, _, link = self.linked()
        ssrc = self.media.new_ssrc()
        keys = self.media.publish(ALICE, ssrc, VIDEO)
        self.media.subscribe(BOB, ssrc)
        link.take()
        first, second = self.protected(ssrc, *keys, 1, 2, marking=KEY_START)
        link.behind = True
        alice.send(first)
        self.read()
        self.assertEqual(link.packets, [])
        self.assertGreater(self.media.counters().links_waiting, 0)
        self.reactor.advance(0.6)
        alice.send(second)
        self.read()
        link.behind = False
        self.media.link_eased(BOB)
        media = [data for data in link.take() if data[1] & 0x7F == 96]
        self.assertEqual(media, [second])
        self.assertGreaterEqual(self.media.counters().drops[Drop.LINK_LATE], 1)

    def test_linkGone(self):
        """What waits goes with the link, and media with it; both can come back."""
        alice, _, link = self.linked()
        ssrc = self.media.new_ssrc()
        keys = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        self.media.link_path(BOB, None)
        one, two = self.protected(ssrc, *keys, 1, 2)
        alice.send(one)
        self.assertEqual(link.take(), [])
        again = Link()
        self.media.link_path(BOB, again)
        alice.send(two)
        self.read()
        self.assertEqual(again.take(), [two])
        self.media.close_leg(BOB)
        self.assertEqual(self.media.counters().over_links, 0)
        self.media.link_path(BOB, again)
        self.media.link_media(BOB, two)
        self.assertEqual(self.media.counters().over_links, 0)

    def test_linkAskedForTwice(self):
        """Who asks for his link again keeps what waits; on another one he begins
        anew, and what waited is counted."""
        alice, _, link = self.linked()
        ssrc = self.media.new_ssrc()
        keys = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        link.behind = True
        alice.send(*self.protected(ssrc, *keys, 1))
        self.read()
        waiting = self.media.counters().links_waiting
        self.assertGreater(waiting, 0)
        self.media.link_path(BOB, link)
        self.assertEqual(self.media.counters().links_waiting, waiting)
        self.media.link_path(BOB, Link())
        self.assertEqual(self.media.counters().links_waiting, 0)
        self.assertEqual(self.media.counters().drops[Drop.LINK_LATE], 1)

    def test_notOffered(self):
        """Where the configuration says UDP, links carry nothing."""
        media = MediaService(
            self.reactor,
            PortSettings(0, ("127.0.0.1",)),
            (),
            os.urandom,
            self.lines.append,
            self.reactor.seconds,
            self.make_relay,
        )
        media.startService()
        self.addCleanup(media.stopService)
        media.open_leg(ALICE)
        media.link_path(ALICE, Link())
        media.link_media(ALICE, b"\x80")
        counters = media.counters()
        self.assertEqual(counters.over_links, 0)
        self.assertEqual(counters.drops[Drop.NOT_OFFERED], 2)

    # Traces.

    def test_trace(self):
        """A probe is told and sent back, from where the leg is bound."""
        alice, _ = self.pair()
        key = control_key(alice.setup.stun_key)
        probe = build(Probe(alice.setup.client_ssrc, 1, 1, 5, 0), key, 200)
        alice.send(probe)
        self.assertEqual(self.media.counters().drops[Drop.NO_TRACE], 1)
        self.media.route_trace(ALICE, 7, (ALICE,))
        alice.send(probe)
        report, relayed = (parse(data, key) for data in alice.receive())
        self.assertEqual((report.received, report.echo), (1, 5))
        self.assertEqual((relayed.source, relayed.forwarded), (7, 1))
        counters = self.media.counters()
        self.assertEqual((counters.traces, counters.probes_relayed), (1, 1))

    # Streams.

    def test_call(self):
        """Media goes from one to the other, whole, and can be decrypted with
        the keys that the watcher was given."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, VIDEO)
        keys = self.media.subscribe(BOB, ssrc)
        self.assertEqual((keys.key, keys.salt_key), (key, salt))
        self.assertEqual((keys.roc, keys.sequence), (0, 0))
        self.assertEqual(alice.feedback(), [rtcp.Pli(alice.setup.server_ssrc, ssrc)])
        sender = SrtpSender(key, salt, ssrc)
        receiver = SrtpReceiver(keys.key, keys.salt_key, ssrc)
        packet = RtpPacket(96, 0, 0, ssrc, True, b"a frame", KEY_START).build()
        bob.receive()
        alice.send(sender.protect(packet))
        (data,) = bob.receive()
        self.assertEqual(receiver.unprotect(data), packet)

    def test_lateJoiner(self):
        """Who joins after the numbers have turned decrypts all the same."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        for sequence in range(30000, 5 * 65536, 30000):
            packet = RtpPacket(111, sequence & 0xFFFF, 0, ssrc, False, b"x")
            roc = sequence >> 16
            sender = SrtpSender(key, salt, ssrc, roc, packet.sequence)
            alice.send(sender.protect(packet.build()))
        keys = self.media.subscribe(BOB, ssrc)
        self.assertEqual((keys.roc, keys.sequence), divmod(sequence, 65536))
        bob.receive()
        data = RtpPacket(111, packet.sequence + 1, 0, ssrc, False, b"now").build()
        alice.send(sender.protect(data))
        receiver = SrtpReceiver(key, salt, ssrc, keys.roc, keys.sequence)
        self.assertEqual(receiver.unprotect(bob.receive()[0]), data)
        blind = SrtpReceiver(key, salt, ssrc)
        alice.send(sender.protect(RtpPacket(111, 40000, 0, ssrc, False, b"").build()))
        self.assertRaises(PeerError, blind.unprotect, bob.receive()[0])

    def test_keysAreFresh(self):
        """No two publications share a key, not even of one session."""
        self.media.open_leg(ALICE)
        keys = {
            self.media.publish(ALICE, self.media.new_ssrc(), AUDIO) for _ in range(20)
        }
        self.assertEqual(len(keys), 20)
        self.assertEqual(len({key for key, _ in keys}), 20)

    def test_layers(self):
        """A layer has keys of its own, and a place; it belongs to one camera."""
        self.media.open_leg(ALICE)
        self.media.open_leg(BOB)
        full, small = self.media.new_ssrc(), self.media.new_ssrc()
        self.media.publish(ALICE, full, VIDEO)
        key, salt = self.media.publish_layer(ALICE, small, full)
        self.media.subscribe(BOB, full)
        self.assertEqual(self.media.keys(small), StreamKeys(0, 0, key, salt))
        other = self.media.new_ssrc()
        self.assertRaises(LocalError, self.media.publish_layer, ALICE, other, full)
        for ssrc in (full, small, other):
            self.media.unpublish(ssrc)
        self.assertEqual(self.media._keys, {})

    def test_figures(self):
        """What is measured of a session can be asked; 0 of one without media."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        sender = SrtpSender(key, salt, ssrc)
        for sequence in (0, 1, 3):
            packet = RtpPacket(111, sequence, 0, ssrc, False, bytes(72)).build()
            alice.send(sender.protect(packet))
            bob.receive()
        figures = {
            UserState.VIDEO_BITRATE: 0,
            UserState.AUDIO_BITRATE: 3 * 100 * 8,
            UserState.NETWORK_QUALITY: 4,
            UserState.PACKET_LOSS: 25,
            UserState.LOSS_AFTER_REPAIR: 25,
        }
        for state, figure in figures.items():
            self.assertEqual(self.media.figure(ALICE, state), figure, state)
            self.assertEqual(self.media.figure(SessionId(99), state), 0)
        self.assertRaises(LocalError, self.media.figure, ALICE, UserState.LEVEL)

    def test_adapt(self):
        """Whether a session adapts may be said at any time, and of anybody."""
        self.media.open_leg(ALICE)
        for session in (ALICE, SessionId(99)):
            for adaptive in (False, True):
                self.media.adapt(session, adaptive)

    def test_closedLegTakesItsStreams(self):
        """Their keys are forgotten, and their SSRCs may not be joined."""
        self.media.open_leg(ALICE)
        self.media.open_leg(BOB)
        ssrc = self.media.new_ssrc()
        self.media.publish(ALICE, ssrc, AUDIO)
        self.media.close_leg(ALICE)
        self.assertEqual(self.media._keys, {})
        self.assertRaises(LocalError, self.media.subscribe, BOB, ssrc)

    def test_unsubscribe(self):
        """Nothing more comes."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        self.media.unsubscribe(BOB, ssrc)
        packet = RtpPacket(111, 0, 0, ssrc, False, b"x").build()
        alice.send(SrtpSender(key, salt, ssrc).protect(packet))
        self.assertEqual(bob.receive(), [])

    def test_feedback(self):
        """A receiver's report is kept, its NACK answered, the loss on the way
        up asked for by the timer."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        sender = SrtpSender(key, salt, ssrc)
        packets = [
            sender.protect(RtpPacket(111, number, 0, ssrc, False, b"x").build())
            for number in range(3)
        ]
        alice.send(packets[0])
        alice.send(packets[2])
        self.reactor.advance(0.03)
        self.assertEqual(
            alice.feedback(), [rtcp.Nack(alice.setup.server_ssrc, ssrc, (1,))]
        )
        alice.send(packets[1])
        self.assertEqual(bob.receive(), [packets[0], packets[2], packets[1]])
        own = bob.setup.client_ssrc
        block = rtcp.ReportBlock(ssrc, 128, 1, 2, 3)
        compound = [rtcp.ReceiverReport(own, (block,)), rtcp.Nack(own, ssrc, (2,))]
        bob.send(bob.rtcp_sender.protect(rtcp.build(compound)))
        self.assertEqual(bob.receive(), [packets[2]])
        self.assertEqual(self.media.receptions(BOB)[ssrc].fraction_lost, 0.5)
        counters = self.media.counters()
        self.assertEqual(counters.packets_asked, 1)
        self.assertEqual(counters.forwarder.retransmitted, 1)

    # Trouble.

    def test_stunFlood(self):
        """A flood is read in rounds, so that media and timers get their turn;
        what does not fit is counted, and media still flows."""
        alice, bob = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        self.media.subscribe(BOB, ssrc)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(stranger.close)
        for _ in range(64):
            stranger.sendto(bytes(20), ("127.0.0.1", self.media.port))
        self.read()
        self.assertEqual(self.media.counters().drops[Drop.MALFORMED_STUN], ROUND)
        packet = RtpPacket(111, 0, 0, ssrc, False, b"x").build()
        alice.send(SrtpSender(key, salt, ssrc).protect(packet))
        self.assertEqual(len(bob.receive()), 1)
        self.reactor.advance(0)
        self.assertEqual(self.media.counters().drops[Drop.MALFORMED_STUN], 64)

    def test_plainBinding(self):
        """A tool without credentials sees that UDP passes, and its address."""
        tool = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(tool.close)
        tool.bind(("127.0.0.1", 0))
        request = stun.build(stun.MessageClass.REQUEST, os.urandom(12))
        tool.sendto(request, ("127.0.0.1", self.media.port))
        self.read()
        answer = stun.parse(tool.recv(2048))
        self.assertEqual(answer.mapped, tool.getsockname())
        self.assertEqual(self.media.counters().answered, 1)

    def test_dropsAreAddedUp(self):
        """The forwarder's and the legs' counts of one reason are one figure."""
        alice, _ = self.pair()
        own = alice.setup.client_ssrc
        nonsense = bytes((0x80, 205, 0, 9)) + own.to_bytes(4, "big") + bytes(4)
        alice.send(alice.rtcp_sender.protect(nonsense))
        alice.send(b"\x80\xc9")
        counters = self.media.counters()
        self.assertEqual(counters.drops, {Drop.MALFORMED_RTCP: 2})
        self.assertEqual((counters.legs, counters.bound), (2, 2))
        self.assertEqual(counters.port.send_errors, 0)

    def test_secretsStayOutOfTheLog(self):
        """Neither lines nor what might be printed hold a key."""
        alice, _ = self.pair()
        ssrc = self.media.new_ssrc()
        key, salt = self.media.publish(ALICE, ssrc, AUDIO)
        keys = self.media.subscribe(BOB, ssrc)
        text = repr((self.lines, keys, self.media.counters(), alice.setup))
        for secret in (key, salt, alice.setup.stun_key, alice.setup.rtcp_key):
            self.assertNotIn(repr(secret), text)
            self.assertNotIn(secret.hex(), text)


class PortableMediaServiceTests(MediaServiceTestsMixin, SynchronousTestCase):
    """With the forwarder in Python."""

    make_relay = staticmethod(PortableRelay)
    name = "portable relay"


@skipIf(NativeRelay is None, "the native relay is not built")
class NativeMediaServiceTests(MediaServiceTestsMixin, SynchronousTestCase):
    """With the compiled one, in the reactor's thread."""

    name = "native relay"

    @staticmethod
    def make_relay(*arguments):
        """Without threads of its own."""
        return NativeRelay(*arguments, threads=0)
