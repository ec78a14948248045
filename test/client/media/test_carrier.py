"""The way of media: UDP, the link, and from one to the other."""

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.carrier import FALLBACK, SETTLING, MediaCarrier
from anychat.codes import StreamTransMode
from anychat.media import stun
from anychat.media.counters import Drop
from anychat.media.demux import Kind
from anychat.messages import MediaPath
from test.media.test_outlet import MIDDLE, START
from test.media.test_routes import rtp

SERVER = ("10.0.0.1", 8907)
KEY = b"a key of the leg"


class FakePort:
    """A UDP port: keeps what is sent."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.sent = []
        protocol.makeConnection(self)

    def write(self, data, address):
        """See `IUDPTransport`."""
        self.sent.append(data)

    def stopListening(self):
        """See `IListeningPort`."""


class FakeNetwork:
    """Opens `FakePort`s, or none."""

    def __init__(self):
        self.ports = []
        self.broken = False

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        """See `IReactorUDP`."""
        if self.broken:
            raise OSError("no port")
        self.ports.append(FakePort(protocol))
        return self.ports[-1]


class FakeLink:
    """A signalling link with as much room as the test says."""

    def __init__(self):
        self.behind = False
        self.on_media = None
        self.on_eased = []
        self.messages = []
        self.packets = []
        self.short = False

    def send(self, message, request=0):
        """A message."""
        self.messages.append(message)

    def send_media(self, data):
        """A packet."""
        if not self.behind:
            self.packets.append(data)
        return not self.behind

    def keep_short(self):
        """It carries media."""
        self.short = True

    def ease(self):
        """There is room again."""
        self.behind = False
        for eased in self.on_eased:
            eased()


class CarrierTests(SynchronousTestCase):
    """`MediaCarrier` on a clock."""

    def setUp(self):
        self.clock = Clock()
        self.network = FakeNetwork()
        self.link = FakeLink()
        self.received, self.udp, self.paths = [], [], []
        self.carrier = MediaCarrier(
            self.clock,
            self.network,
            Random(1).randbytes,
            lambda kind, data: self.received.append((kind, data)),
            lambda: self.paths.append(self.clock.seconds()),
            lambda *event: self.udp.append(event),
        )

    def tearDown(self):
        self.carrier.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def begin(self, mode=StreamTransMode.UDP_THEN_TCP, link=True):
        """The server's set-up has come."""
        self.carrier.mode = mode
        if link:
            self.carrier.link_up(self.link)
        self.carrier.begin([SERVER], "user", KEY)

    def advance(self, seconds):
        """Let time pass in small steps."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    def answer(self):
        """The server answers the last request, and checks the address."""
        port = self.network.ports[0]
        requests = [stun.parse(data) for data in port.sent if data[0] == 0]
        last = [r for r in requests if r.kind is stun.MessageClass.REQUEST][-1]
        source = ("192.0.2.1", 4000)
        receive = port.protocol.datagramReceived
        receive(stun.success(last, source, KEY, bound=True), SERVER)
        receive(stun.request(bytes(12), "user", KEY), SERVER)

    def media(self):
        """Media that went out by UDP."""
        return [data for data in self.network.ports[0].sent if data[0] >> 6 == 2]

    def test_fallsBack(self):
        """Within 3 s over the link, with one warning; it goes on looking."""
        self.begin()
        self.advance(FALLBACK - 0.1)
        self.assertEqual((self.link.messages, self.udp), ([], []))
        self.advance(0.2)
        self.assertEqual(self.link.messages, [MediaPath(True)])
        self.assertEqual(self.udp, [(False, None)])
        self.assertTrue(self.carrier.bound and self.link.short)
        self.assertEqual(len(self.paths), 1)
        self.assertTrue(self.carrier.send(rtp(1)))
        self.assertEqual((self.link.packets, self.media()), ([rtp(1)], []))
        self.advance(10)
        self.assertEqual(self.udp, [(False, None)])
        self.assertGreater(len(self.network.ports[0].sent), 20)

    def test_goesBack(self):
        """When UDP is bound; the server is told, and what waits goes out there."""
        self.begin()
        self.advance(FALLBACK + 0.1)
        self.link.behind = True
        self.carrier.send(rtp(1))
        self.answer()
        self.assertTrue(self.udp[-1][0])
        self.carrier.send(rtp(2))
        self.assertEqual(self.media(), [])
        self.advance(SETTLING + 0.05)
        self.assertEqual(self.link.messages, [MediaPath(True), MediaPath(False)])
        self.carrier.send(rtp(3))
        self.assertEqual(self.media(), [rtp(1), rtp(2), rtp(3)])
        self.assertFalse(self.carrier.over_link)

    def test_udpFails(self):
        """A path that was bound and answers no more is left for the link."""
        self.begin()
        self.advance(0.2)
        self.answer()
        self.carrier.set_active(True)
        self.advance(SETTLING + FALLBACK)
        self.assertEqual(self.link.messages, [])
        # Three seconds after the last word, which was the answer; and what this
        # clock's steps add.
        self.advance(3.25 - SETTLING - FALLBACK)
        self.assertEqual(self.link.messages, [MediaPath(True)])
        self.assertEqual([bound for bound, _ in self.udp], [True, False])

    def test_udpFailsOneWay(self):
        """As long as media comes, an answer may take its three seconds."""
        self.begin()
        self.advance(0.2)
        self.answer()
        self.carrier.set_active(True)
        receive = self.network.ports[0].protocol.datagramReceived
        for _ in range(8):
            self.advance(0.5)
            receive(b"\x80" + bytes(30), SERVER)
        self.assertEqual(self.link.messages, [])
        self.advance(1.5)
        self.assertEqual(self.link.messages, [MediaPath(True)])

    def test_udpOnly(self):
        """Where the server offers nothing else, there is the warning alone."""
        self.begin(StreamTransMode.UDP)
        self.advance(3.5)
        self.assertEqual((self.udp, self.link.messages), ([(False, None)], []))
        self.assertFalse(self.carrier.bound)
        self.network.broken = True
        other = MediaCarrier(
            self.clock, self.network, bytes, print, self.paths.append, print
        )
        self.assertRaises(OSError, other.begin, [SERVER], "user", KEY)

    def test_tcpOnly(self):
        """Then no port is opened, and nobody is warned."""
        self.begin(StreamTransMode.TCP)
        self.assertEqual(self.link.messages, [MediaPath(True)])
        self.assertEqual((self.network.ports, self.udp), ([], []))

    def test_noPort(self):
        """A system that has no port to give costs no time."""
        self.network.broken = True
        self.begin()
        self.assertEqual(self.link.messages, [MediaPath(True)])
        self.assertEqual(self.udp, [(False, None)])

    def test_linkLost(self):
        """What is over the link goes with it; the next one is asked anew."""
        self.begin()
        self.advance(FALLBACK + 0.1)
        self.carrier.link_down()
        self.assertFalse(self.carrier.bound)
        self.assertFalse(self.carrier.send(rtp(1)))
        self.assertEqual((self.link.on_media, self.link.on_eased), (None, []))
        again = FakeLink()
        self.carrier.link_up(again)
        self.assertEqual(again.messages, [MediaPath(True)])
        self.assertTrue(self.carrier.send(rtp(2)))
        self.assertEqual(again.packets, [rtp(2)])

    def test_linkLater(self):
        """It may fall back before there is a link."""
        self.begin(link=False)
        self.advance(FALLBACK + 0.1)
        self.assertFalse(self.carrier.bound)
        self.carrier.link_up(self.link)
        self.assertEqual(self.link.messages, [MediaPath(True)])

    def test_slowLink(self):
        """Packets wait, then frames are left out; pictures are not even coded."""
        self.begin()
        self.advance(FALLBACK + 0.1)
        self.link.behind = True
        self.carrier.send(rtp(1, START))
        self.assertFalse(self.carrier.congested)
        self.advance(0.3)
        self.assertTrue(self.carrier.congested)
        self.advance(0.5)
        self.carrier.send(rtp(2, MIDDLE))
        self.carrier.send(rtp(3, START))
        self.link.ease()
        self.assertEqual(self.link.packets, [rtp(3, START)])
        self.assertEqual(self.carrier.drops[Drop.LINK_LATE], 2)

    def test_receives(self):
        """Media is taken from both ways at all times; nothing else is."""
        self.begin()
        self.link.on_media(rtp(1))
        self.link.on_media(b"\x04control")
        self.network.ports[0].protocol.datagramReceived(rtp(2), SERVER)
        self.assertEqual(self.received, [(Kind.RTP, rtp(1)), (Kind.RTP, rtp(2))])

    def test_falseDawn(self):
        """A path that fails while media moves to it costs nothing."""
        self.begin()
        self.advance(FALLBACK + 0.1)
        self.answer()
        self.carrier._udp_changed(False, None)
        self.advance(1.0)
        self.assertEqual(self.link.messages, [MediaPath(True)])
