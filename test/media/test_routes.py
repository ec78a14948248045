"""What every forwarder does: the compliance suite, and the portable one in it.

Another forwarder runs the same tests: subclass `ForwarderTestsMixin` and give
it a `makeForwarder` that returns a `Rig` around it.
"""

import errno
from typing import Any, Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind
from anychat.errors import LocalError
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import Drop
from anychat.media.demux import Kind
from anychat.media.path import UPWARD, Address, Path, Send
from anychat.media.ring import ARRIVALS, COPIES, RING_SIZES, Copy, Filled, Missing
from anychat.media.routes import Forwarder
from anychat.media.rtp import MAX_DATAGRAM, MAX_PAYLOAD, FrameMarking, RtpPacket
from anychat.media.source_limit import SourceLimit
from anychat.media.stream import ARRIVALS_KEPT, CACHE_BYTES, CACHE_PACKETS, WINDOW

AUDIO, VIDEO = StreamKind.AUDIO, StreamKind.VIDEO
SSRC = Ssrc(0x11223344)
OTHER = Ssrc(0x55667788)
ALICE, BOB, CAROL = SessionId(1), SessionId(2), SessionId(3)
TAG = bytes(16)
NO_LIMIT = SourceLimit(0, 0)

START = FrameMarking(start=True)
MIDDLE = FrameMarking()
END = FrameMarking(end=True)
KEY_START = FrameMarking(start=True, independent=True)
KEY_MIDDLE = FrameMarking(independent=True)


def rtp(
    sequence: int,
    marking: FrameMarking | None = None,
    ssrc: int = SSRC,
    payload: bytes = b"payload",
) -> bytes:
    """An SRTP packet as far as a relay can tell."""
    packet = RtpPacket(96, sequence & 0xFFFF, 0, ssrc, False, payload, marking)
    return packet.build() + TAG


def rtcp(kind: int, ssrc: int, size: int = 40) -> bytes:
    """An SRTCP packet as far as a relay can tell."""
    return bytes((0x80, kind, 0, 1)) + ssrc.to_bytes(4, "big") + bytes(size - 8)


class Rig(Protocol):
    """A forwarder and the network around it; it has no limits by default."""

    forwarder: Any

    def address(self, number: int) -> Address:
        """The address of a peer."""

    def path(self, number: int) -> Path:
        """The path to that peer."""

    def deliver(self, data: bytes, source: Address) -> None:
        """The forwarder gets a datagram."""

    def sent(self) -> list[tuple[bytes, Address]]:
        """What it has sent since the last call."""

    def now(self) -> float:
        """The forwarder's clock."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""

    def refuse(self, address: Address, error: OSError | None) -> None:
        """Make sending there fail, or work again."""


class PortableRig:
    """The portable forwarder on a network that is a list."""

    def __init__(self, limit: SourceLimit = NO_LIMIT) -> None:
        self.forwarder = Forwarder(self._sender, limit=limit)
        self._sent: list[tuple[bytes, Address]] = []
        self._refused: dict[Address, OSError] = {}
        self._now = 1000.0

    def address(self, number: int) -> Address:
        """An IPv6 one for every third peer."""
        if number % 3 == 0:
            return (f"2001:db8::{number}", 5000 + number, 0, 0)
        return (f"192.0.2.{number}", 5000 + number)

    def path(self, number: int) -> Path:
        """With an end of our own, as a multi-homed host has."""
        return Path(self.address(number), bytes((10, 0, 0, 1)))

    def deliver(self, data: bytes, source: Address) -> None:
        """As the port does."""
        self.forwarder.receive(data, source, self._now, bytes((10, 0, 0, 1)))

    def sent(self) -> list[tuple[bytes, Address]]:
        """In order."""
        sent, self._sent = self._sent, []
        return sent

    def now(self) -> float:
        """Whatever it was advanced to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """No waiting."""
        self._now += seconds

    def refuse(self, address: Address, error: OSError | None) -> None:
        """What ``sendto`` would raise."""
        self._refused.pop(address, None)
        if error is not None:
            self._refused[address] = error

    def _sender(self, path: Path) -> Send:
        def send(data: bytes, address: Address) -> None:
            assert address == path.remote
            error = self._refused.get(address)
            if error is not None:
                raise error
            self._sent.append((data, address))

        return send


class ForwarderTestsMixin:
    """The compliance suite."""

    def makeForwarder(self, limit: SourceLimit = NO_LIMIT) -> Rig:
        """A fresh forwarder in its rig."""
        raise NotImplementedError

    def setUp(self) -> None:
        """A publisher at address 1; receivers at 2 and 3 where a test adds them."""
        self.limit()

    def limit(self, packets=0, size=0):
        """Begin with a forwarder that has these limits."""
        self.rig = self.makeForwarder(SourceLimit(packets, size))
        self.forwarder = self.rig.forwarder
        self.source = self.rig.address(1)

    def open(self, kind=AUDIO, receivers=()):
        """Open the stream, for receivers at their own addresses."""
        self.forwarder.open_stream(SSRC, kind, self.source)
        for leg in receivers:
            path = self.rig.path(leg + 1)
            self.forwarder.add_destination(SSRC, leg, path, kind is VIDEO)

    def deliver(self, *datagrams):
        """From the publisher."""
        for data in datagrams:
            self.rig.deliver(data, self.source)

    def received(self, leg):
        """What a receiver got since the last call; throws the others' away."""
        address = self.rig.address(leg + 1)
        return [data for data, to in self.rig.sent() if to == address]

    def drops(self):
        """Counts by reason."""
        return self.forwarder.counters().drops

    def stream(self):
        """The counters of the only stream."""
        (stream,) = self.forwarder.counters().streams
        return stream

    def destination(self):
        """The counters of the only destination."""
        (destination,) = self.stream().destinations
        return destination

    # Forwarding.

    def test_forwardsToAll(self):
        """Every destination gets the very bytes, the publisher nothing."""
        self.open(receivers=(ALICE, BOB))
        self.deliver(rtp(5))
        self.assertEqual(
            self.rig.sent(),
            [(rtp(5), self.rig.address(2)), (rtp(5), self.rig.address(3))],
        )

    def test_streamsKeepApart(self):
        """A destination gets the streams it was added to."""
        self.open(receivers=(ALICE,))
        self.forwarder.open_stream(OTHER, AUDIO, self.source)
        self.forwarder.add_destination(OTHER, BOB, self.rig.path(3), False)
        self.deliver(rtp(5), rtp(9, ssrc=OTHER))
        self.assertEqual(
            self.rig.sent(),
            [
                (rtp(5), self.rig.address(2)),
                (rtp(9, ssrc=OTHER), self.rig.address(3)),
            ],
        )

    def test_longestDatagram(self):
        """A datagram of the greatest length goes through, a longer one not."""
        self.open(receivers=(ALICE,))
        longest = rtp(1) + bytes(MAX_DATAGRAM - len(rtp(1)))
        self.deliver(longest, longest + b"x")
        self.assertEqual(self.received(ALICE), [longest])
        self.assertEqual(self.drops(), {Drop.OVERSIZED: 1})

    def test_headersOfAllKinds(self):
        """CSRCs and extensions of any sound length are no obstacle."""
        self.open(receivers=(ALICE,))
        header = rtp(1)[:12]
        contributors = bytes((header[0] | 3,)) + header[1:] + bytes(12) + TAG
        extended = bytes((header[0] | 0x10,)) + header[1:3] + b"\x02" + header[4:]
        extended += b"\x10\x00\x00\x02" + bytes(8) + TAG
        self.deliver(contributors, extended)
        self.assertEqual(self.received(ALICE), [contributors, extended])

    # Routes.

    def test_openTwice(self):
        """An SSRC is one stream's."""
        self.open()
        self.assertRaises(LocalError, self.forwarder.open_stream, SSRC, AUDIO)

    def test_unknownStream(self):
        """Routes of a stream that is not open are an error of the caller."""
        forwarder = self.forwarder
        for call in (
            lambda: forwarder.move_source(SSRC, self.source),
            lambda: forwarder.add_destination(SSRC, ALICE, None, False),
            lambda: forwarder.move_destination(SSRC, ALICE, None),
            lambda: forwarder.position(SSRC),
        ):
            self.assertRaises(LocalError, call)

    def test_unknownDestination(self):
        """One cannot move what is not there."""
        self.open()
        self.assertRaises(
            LocalError, self.forwarder.move_destination, SSRC, BOB, self.rig.path(3)
        )

    def test_goneAlready(self):
        """Taking away what is not there is no error: the last word won."""
        self.forwarder.close_stream(SSRC)
        self.forwarder.remove_destination(SSRC, ALICE)
        self.open()
        self.forwarder.remove_destination(SSRC, ALICE)
        self.assertEqual(self.forwarder.gated(OTHER), 0)
        self.assertEqual(self.forwarder.key_frames(OTHER), 0)
        self.assertEqual(
            self.forwarder.retransmit(OTHER, ALICE, [1], self.rig.now()), 0
        )

    def test_removedDestination(self):
        """It gets nothing more; the others do."""
        self.open(receivers=(ALICE, BOB))
        self.forwarder.remove_destination(SSRC, ALICE)
        self.deliver(rtp(5))
        self.assertEqual(self.rig.sent(), [(rtp(5), self.rig.address(3))])

    def test_addedTwice(self):
        """A destination added again is only moved."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.forwarder.add_destination(SSRC, ALICE, self.rig.path(5), True)
        self.deliver(rtp(2, START))
        self.assertEqual(
            self.rig.sent(),
            [
                (rtp(1, KEY_START), self.rig.address(2)),
                (rtp(2, START), self.rig.address(5)),
            ],
        )
        self.assertEqual(self.destination().packets, 2)

    def test_movedDestination(self):
        """The next packet goes to the new address; a moved one is not gated."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.forwarder.move_destination(SSRC, ALICE, self.rig.path(7))
        self.deliver(rtp(2, MIDDLE))
        self.assertEqual(
            [address for _, address in self.rig.sent()],
            [self.rig.address(2), self.rig.address(7)],
        )

    def test_destinationWithoutAddress(self):
        """Nothing is sent until it has one, and after it has lost it."""
        self.open()
        self.forwarder.add_destination(SSRC, ALICE, None, False)
        self.deliver(rtp(1))
        self.assertEqual(self.rig.sent(), [])
        self.assertFalse(self.destination().bound)
        self.forwarder.move_destination(SSRC, ALICE, self.rig.path(2))
        self.deliver(rtp(2))
        self.assertEqual(self.received(ALICE), [rtp(2)])
        self.forwarder.move_destination(SSRC, ALICE, None)
        self.deliver(rtp(3))
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.destination().packets, 1)

    def test_closedStream(self):
        """A closed stream's packets are nobody's."""
        self.open(receivers=(ALICE,))
        self.forwarder.close_stream(SSRC)
        self.deliver(rtp(1), rtcp(200, SSRC))
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.drops(), {Drop.UNKNOWN_SSRC: 1})
        # Its report is no longer told from other RTCP.
        self.assertEqual(len(self.forwarder.take(Kind.RTCP, 9)), 1)

    def test_openedAnew(self):
        """An SSRC that was closed begins anew: no old position or packets."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(40000))
        self.forwarder.close_stream(SSRC)
        self.open(receivers=(ALICE,))
        self.assertEqual(self.forwarder.position(SSRC), (0, 0))
        self.deliver(rtp(40000))
        self.assertEqual(len(self.rig.sent()), 2)

    # Who may send.

    def test_unboundSource(self):
        """Before the publisher is bound its packets are dropped."""
        self.forwarder.open_stream(SSRC, AUDIO, None)
        self.forwarder.add_destination(SSRC, ALICE, self.rig.path(2), False)
        self.deliver(rtp(1), rtcp(200, SSRC))
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.drops(), {Drop.UNBOUND: 2})

    def test_spoofedSource(self):
        """Another address, or another port of the same host, is refused, and
        does not move the stream's position."""
        self.open(receivers=(ALICE,))
        port = (self.source[0], self.source[1] + 1)
        for address in (self.rig.address(2), port):
            self.rig.deliver(rtp(9), address)
            self.rig.deliver(rtcp(200, SSRC), address)
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.drops(), {Drop.WRONG_SOURCE: 4})
        self.assertEqual(self.forwarder.position(SSRC), (0, 0))

    def test_movedSource(self):
        """From then on the new address counts, and the old one does not."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(1))
        moved = self.rig.address(4)
        self.forwarder.move_source(SSRC, moved)
        self.deliver(rtp(2))
        self.rig.deliver(rtp(3), moved)
        self.assertEqual(self.received(ALICE), [rtp(1), rtp(3)])
        self.assertEqual(self.drops(), {Drop.WRONG_SOURCE: 1})

    def test_unknownSsrc(self):
        """A stream that nobody opened goes nowhere."""
        self.deliver(rtp(1))
        self.assertEqual(self.drops(), {Drop.UNKNOWN_SSRC: 1})

    def test_malformedHeaders(self):
        """A header that lies about its length is dropped, not read past."""
        self.open(VIDEO, receivers=(ALICE,))
        good = rtp(1, KEY_START)
        header = good[:12]
        malformed = [
            header,
            header + TAG[:15],
            bytes((0x8F,)) + header[1:] + TAG,
            bytes((0x90,)) + header[1:] + TAG,
            bytes((0x90,)) + header[1:] + b"\xbe\xde\xff\xff" + TAG,
            bytes((0x90,)) + header[1:] + b"\xbe\xde\x00\x01" + TAG,
            # An element that runs past the extension.
            bytes((0x90,)) + header[1:] + b"\xbe\xde\x00\x01\x1f\x00\x00\x00" + TAG,
            # No room for the tag behind the header.
            good[:20] + TAG[:15],
        ]
        for data in malformed:
            self.deliver(data)
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.drops(), {Drop.MALFORMED_RTP: len(malformed)})
        self.assertEqual(self.stream().packets, 0)

    def test_noise(self):
        """What is nothing of ours is dropped by its kind."""
        self.deliver(b"", b"\x80", b"\x40\x00data", b"\xff" * 30)
        self.assertEqual(self.drops(), {Drop.EMPTY: 2, Drop.NOISE: 2})

    # Order.

    def test_lateAndDuplicate(self):
        """Late packets are forwarded once, doubled ones not at all."""
        self.open(receivers=(ALICE,))
        order = (10, 12, 11, 12, 10, 11, 13)
        self.deliver(*(rtp(sequence) for sequence in order))
        self.assertEqual(
            self.received(ALICE), [rtp(sequence) for sequence in (10, 12, 11, 13)]
        )
        self.assertEqual(self.drops(), {Drop.DUPLICATE: 3})
        self.assertEqual(self.stream().missing, 0)

    def test_edgeOfWindow(self):
        """The window is as wide as it says, across the turn of the number."""
        self.open(receivers=(ALICE,))
        start = 65000
        self.deliver(rtp(start), rtp(start + WINDOW))
        self.rig.sent()
        self.deliver(rtp(start), rtp(start + 1), rtp(start + 1))
        self.assertEqual(self.received(ALICE), [rtp(start + 1)])
        self.assertEqual(self.drops(), {Drop.LATE: 1, Drop.DUPLICATE: 1})

    def test_positionOverTurns(self):
        """The roll-over counter follows the clear numbers, both ways."""
        self.open()
        self.assertEqual(self.forwarder.position(SSRC), (0, 0))
        index = 32000
        while index < 5 * 65536 + 100:
            self.deliver(rtp(index))
            # An old one does not take the position back.
            self.deliver(rtp(index - 900))
            self.assertEqual(self.forwarder.position(SSRC), divmod(index, 65536))
            index += 1000

    def test_everyPacketOfATurn(self):
        """Nothing is taken for a duplicate over a whole turn and more."""
        self.open(receivers=(ALICE,))
        for sequence in range(65000, 65000 + 66000):
            self.deliver(rtp(sequence))
        self.assertEqual(len(self.rig.sent()), 66000)
        self.assertEqual(self.drops(), {})
        self.assertEqual(self.forwarder.position(SSRC), divmod(65000 + 65999, 65536))

    def test_beforeTheFirst(self):
        """What overtook the first packet is forwarded; nothing comes before
        index 0."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(2), rtp(1), rtp(65535))
        self.assertEqual(self.received(ALICE), [rtp(2), rtp(1)])
        self.assertEqual(self.drops(), {Drop.LATE: 1})
        self.assertEqual(self.stream().missing, 0)
        self.assertEqual(self.forwarder.take_arrivals(9), [])

    def test_implausibleJump(self):
        """Half the numbers ahead is behind (RFC 3711 section 3.3.1)."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(65536 + 100 & 0xFFFF))
        self.deliver(rtp(100 + 32768))
        self.assertEqual(self.forwarder.position(SSRC), (0, 100))
        self.deliver(rtp(100 + 32767))
        self.assertEqual(self.forwarder.position(SSRC), (0, 32867))
        self.assertEqual(self.drops(), {Drop.LATE: 1})

    # Losses on the way up.

    def test_arrivals(self):
        """Jumps go up as missing, what comes late as filled."""
        self.open()
        self.deliver(rtp(65534), rtp(65535), rtp(2), rtp(1), rtp(0), rtp(0))
        now = self.rig.now()
        self.assertEqual(
            self.forwarder.take_arrivals(9),
            [Missing(SSRC, 0, 2, now), Filled(SSRC, 1, now), Filled(SSRC, 0, now)],
        )
        self.assertEqual(self.stream().missing, 0)

    def test_missingForGood(self):
        """What does not come stays counted."""
        self.open()
        self.deliver(rtp(1), rtp(4), rtp(2000))
        self.assertEqual(self.stream().missing, 2 + 1995)

    def test_arrivalsAreBounded(self):
        """A stream full of holes does not fill the memory."""
        self.open()
        for step in range(ARRIVALS + 10):
            self.deliver(rtp(2 * step))
        self.assertEqual(len(self.forwarder.take_arrivals(1 << 20)), ARRIVALS)
        self.assertEqual(self.drops(), {Drop.ARRIVAL_FULL: 9})

    # Key frames.

    def test_gate(self):
        """A video destination starts with the start of a key frame."""
        self.open(VIDEO, receivers=(ALICE,))
        before = [rtp(1, START), rtp(2, END), rtp(3, KEY_MIDDLE)]
        after = [rtp(4, KEY_START), rtp(5, KEY_MIDDLE), rtp(6, START), rtp(7)]
        self.deliver(*before)
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.forwarder.gated(SSRC), 1)
        self.assertTrue(self.destination().gated)
        self.deliver(*after)
        self.assertEqual(self.received(ALICE), after)
        self.assertEqual(self.forwarder.gated(SSRC), 0)
        self.assertEqual(self.forwarder.key_frames(SSRC), 1)
        self.assertEqual(self.destination().packets, len(after))
        self.assertEqual(self.destination().bytes, sum(len(packet) for packet in after))

    def test_gateOfOne(self):
        """One that waits does not hold up one that flows."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.forwarder.add_destination(SSRC, BOB, self.rig.path(3), True)
        self.rig.sent()
        self.deliver(rtp(2, START))
        self.assertEqual(self.rig.sent(), [(rtp(2, START), self.rig.address(2))])
        self.deliver(rtp(3, KEY_START))
        self.assertEqual(len(self.rig.sent()), 2)

    def test_lateKeyFrameStart(self):
        """A key frame's start that comes late opens the gate all the same."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1), rtp(3, KEY_MIDDLE), rtp(2, KEY_START))
        self.assertEqual(self.received(ALICE), [rtp(2, KEY_START)])

    def test_gatedAgain(self):
        """A video destination that had lost its address waits again."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.rig.sent()
        self.forwarder.move_destination(SSRC, ALICE, None)
        self.assertEqual(self.forwarder.gated(SSRC), 0)
        self.forwarder.move_destination(SSRC, ALICE, self.rig.path(2))
        self.assertEqual(self.forwarder.gated(SSRC), 1)
        self.deliver(rtp(2, START))
        self.assertEqual(self.rig.sent(), [])

    def test_withoutAddressIsNotWaiting(self):
        """Nobody is asked for a key frame that could not be sent."""
        self.open(VIDEO)
        self.forwarder.add_destination(SSRC, ALICE, None, True)
        self.assertEqual(self.forwarder.gated(SSRC), 0)

    def test_audioIsNotGated(self):
        """Audio starts at once, marked or not."""
        self.open(AUDIO, receivers=(ALICE,))
        self.deliver(rtp(1), rtp(2, START))
        self.assertEqual(len(self.rig.sent()), 2)
        self.assertEqual(self.forwarder.key_frames(SSRC), 0)

    # RTCP and what else goes up.

    def test_senderReports(self):
        """They go to every destination with an address, gated ones too."""
        self.open(VIDEO, receivers=(ALICE, BOB))
        self.forwarder.add_destination(SSRC, CAROL, None, True)
        report = rtcp(200, SSRC)
        self.deliver(report)
        self.assertEqual(
            self.rig.sent(),
            [(report, self.rig.address(2)), (report, self.rig.address(3))],
        )
        self.assertEqual(self.stream().reports, 1)
        self.assertEqual(self.stream().packets, 0)

    def test_onlySenderReports(self):
        """Nothing else is forwarded under a publication's SSRC."""
        self.open(receivers=(ALICE,))
        for kind in (192, 201, 202, 203, 205, 206, 223):
            self.deliver(rtcp(kind, SSRC))
        self.assertEqual(self.rig.sent(), [])
        self.assertEqual(self.drops(), {Drop.NOT_A_REPORT: 7})
        self.assertEqual(self.forwarder.take(Kind.RTCP, 9), [])

    def test_otherRtcpGoesUp(self):
        """RTCP of no stream is for Python, with where it came from."""
        self.open()
        data = rtcp(201, 7)
        self.deliver(data)
        (datagram,) = self.forwarder.take(Kind.RTCP, 9)
        self.assertEqual(datagram.data, data)
        self.assertEqual(datagram.path.remote, self.source)
        self.assertEqual(datagram.now, self.rig.now())
        self.assertFalse(self.forwarder.waiting())

    def test_shortRtcp(self):
        """SRTCP has a header, a tag and an index, or it is nothing."""
        self.deliver(rtcp(201, 7, size=27), b"\x80\xc8")
        self.assertEqual(self.drops(), {Drop.MALFORMED_RTCP: 2})

    def test_stunGoesUp(self):
        """STUN is for Python, in order, as much of it as is asked for."""
        datagrams = [bytes((0, 1, 0, number)) + bytes(16) for number in range(3)]
        self.deliver(*datagrams)
        self.assertTrue(self.forwarder.waiting())
        first = self.forwarder.take(Kind.STUN, 2)
        second = self.forwarder.take(Kind.STUN, 2)
        self.assertEqual([each.data for each in first + second], datagrams)
        self.assertEqual(first[0].path, self.rig.path(1))

    def test_floodsKeepApart(self):
        """A flood of one kind fills its own ring alone, and is counted."""
        maximum = RING_SIZES[Kind.STUN]
        for _ in range(maximum + 5):
            self.deliver(bytes(20))
        self.deliver(rtcp(201, 7))
        self.assertEqual(len(self.forwarder.take(Kind.STUN, 1 << 20)), maximum)
        self.assertEqual(len(self.forwarder.take(Kind.RTCP, 1 << 20)), 1)
        self.assertEqual(self.drops(), {Drop.STUN_FULL: 5})

    def test_unwantedKinds(self):
        """Kinds that nobody reads are dropped; so is what is too long."""
        self.deliver(b"\x14dtls", bytes(MAX_DATAGRAM + 1))
        self.assertEqual(self.drops(), {Drop.UNWANTED: 1, Drop.OVERSIZED: 1})
        self.assertFalse(self.forwarder.waiting())

    # Sending again.

    def test_retransmit(self):
        """The stored bytes are sent to the one who asks, in the order asked."""
        self.open(receivers=(ALICE, BOB))
        self.deliver(*(rtp(sequence) for sequence in (65534, 65535, 0, 1)))
        self.rig.sent()
        asked = [1, 65534, 7, 65535]
        sent = self.forwarder.retransmit(SSRC, ALICE, asked, self.rig.now())
        self.assertEqual(sent, 3)
        address = self.rig.address(2)
        self.assertEqual(
            self.rig.sent(),
            [(rtp(1), address), (rtp(65534), address), (rtp(65535), address)],
        )
        alice, bob = self.stream().destinations
        self.assertEqual((alice.packets, alice.retransmitted), (4, 3))
        self.assertEqual((bob.packets, bob.retransmitted), (4, 0))

    def test_retransmitToStranger(self):
        """Only to those who have the stream, and not while they are gated."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, START))
        for leg in (ALICE, BOB):
            sent = self.forwarder.retransmit(SSRC, leg, [1], self.rig.now())
            self.assertEqual(sent, 0)
        self.assertEqual(self.rig.sent(), [])

    def test_retransmitAfterTime(self):
        """What is older than the cache's second is not sent again."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(1))
        self.rig.advance(0.9)
        self.deliver(rtp(2))
        self.rig.advance(0.2)
        self.rig.sent()
        self.forwarder.retransmit(SSRC, ALICE, [1, 2], self.rig.now())
        self.assertEqual(self.received(ALICE), [rtp(2)])

    def kept(self, sizes, first=0):
        """How many of packets with payloads of these sizes are sent again; they
        must be the last ones."""
        packets = [
            rtp(number, payload=bytes(size)) for number, size in enumerate(sizes, first)
        ]
        self.deliver(*packets)
        self.rig.sent()
        asked = list(range(first, first + len(packets)))
        self.forwarder.retransmit(SSRC, ALICE, asked, self.rig.now())
        again = self.received(ALICE)
        # What differs may be half a megabyte.
        self.assertTrue(again == packets[len(packets) - len(again) :], len(again))
        return len(again)

    def test_cacheIsBounded(self):
        """By a number of packets, if they are short."""
        self.open(receivers=(ALICE,))
        self.assertEqual(self.kept([0] * 1000), CACHE_PACKETS)

    def test_cacheIsBoundedInBytes(self):
        """Of longer packets fewer are kept, as many as have room, whatever was
        there before them."""
        longest = len(rtp(0, payload=bytes(MAX_PAYLOAD)))
        self.assertLess(CACHE_BYTES, CACHE_PACKETS * longest)
        for sizes in (
            [MAX_PAYLOAD] * 2000,
            [MAX_PAYLOAD] * 300 + [7] * 400,
            [7] * 400 + [MAX_PAYLOAD] * 450,
            [1000 + number * 613 % 165 for number in range(3000)],
        ):
            self.open(receivers=(ALICE,))
            number = room = 0
            for size in reversed(sizes):
                room += len(rtp(0, payload=bytes(size)))
                if room > CACHE_BYTES or number == CACHE_PACKETS:
                    break
                number += 1
            self.assertEqual(self.kept(sizes), number)
            self.forwarder.close_stream(SSRC)

    def test_cacheHasRoomAgain(self):
        """What has gone with the last destination takes no room any more."""
        self.open(receivers=(ALICE,))
        self.kept([MAX_PAYLOAD] * 500)
        self.forwarder.remove_destination(SSRC, ALICE)
        self.forwarder.add_destination(SSRC, ALICE, self.rig.path(2), False)
        number = CACHE_BYTES // len(rtp(0, payload=bytes(MAX_PAYLOAD)))
        self.assertEqual(self.kept([MAX_PAYLOAD] * number, 500), number)

    def test_nothingKeptForNobody(self):
        """A stream without destinations keeps nothing, only its position."""
        self.open(receivers=(ALICE,))
        self.deliver(rtp(1))
        self.forwarder.remove_destination(SSRC, ALICE)
        self.deliver(rtp(2))
        self.forwarder.add_destination(SSRC, BOB, self.rig.path(3), False)
        self.rig.sent()
        sent = self.forwarder.retransmit(SSRC, BOB, [1, 2], self.rig.now())
        self.assertEqual(sent, 0)
        self.assertEqual(self.forwarder.position(SSRC), (0, 2))

    # Trouble on the way out.

    def test_congestedVideo(self):
        """A full buffer drops the rest of the frame for that destination; the
        next frame flows again, and the others never stopped."""
        self.open(VIDEO, receivers=(ALICE, BOB))
        self.deliver(rtp(1, KEY_START))
        self.rig.sent()
        self.rig.refuse(self.rig.address(2), BlockingIOError())
        self.deliver(rtp(2, START))
        self.rig.refuse(self.rig.address(2), None)
        self.deliver(rtp(3), rtp(4, END), rtp(5, START))
        sent = self.rig.sent()
        alice = [data for data, to in sent if to == self.rig.address(2)]
        bob = [data for data, to in sent if to == self.rig.address(3)]
        self.assertEqual(alice, [rtp(5, START)])
        self.assertEqual(len(bob), 4)
        self.assertEqual(self.drops(), {Drop.CONGESTED: 1, Drop.SKIPPED: 2})
        first, second = self.stream().destinations
        self.assertEqual((first.packets, first.drops), (2, self.drops()))
        self.assertEqual((second.packets, second.drops), (5, {}))
        size = len(rtp(1, KEY_START)) + len(rtp(5, START))
        self.assertEqual(first.bytes, size)
        self.assertEqual(self.forwarder.counters().forwarded, 7)

    def test_congestedAudio(self):
        """Audio has no frames to respect: only the packet is lost."""
        self.open(AUDIO, receivers=(ALICE,))
        self.rig.refuse(self.rig.address(2), BlockingIOError())
        self.deliver(rtp(1))
        self.rig.refuse(self.rig.address(2), None)
        self.deliver(rtp(2))
        self.assertEqual(self.received(ALICE), [rtp(2)])
        self.assertEqual(self.drops(), {Drop.CONGESTED: 1})

    def test_howeverUnreachable(self):
        """No way there, nobody there, not allowed: all the same."""
        errors = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EPERM, errno.ENOBUFS)
        self.open(AUDIO, receivers=(ALICE, BOB))
        for number, error in enumerate(errors):
            self.rig.refuse(self.rig.address(2), OSError(error, "refused"))
            self.deliver(rtp(number))
        self.assertEqual(len(self.received(BOB)), len(errors))
        self.assertEqual(self.drops(), {Drop.UNREACHABLE: len(errors)})
        self.rig.refuse(self.rig.address(2), None)
        self.deliver(rtp(len(errors)))
        self.assertEqual(len(self.received(ALICE)), 1)

    def test_unreachable(self):
        """A destination that is gone costs the others nothing."""
        self.open(VIDEO, receivers=(ALICE, BOB))
        self.rig.refuse(self.rig.address(2), OSError(101, "unreachable"))
        self.deliver(rtp(1, KEY_START), rtcp(200, SSRC), rtp(2))
        now = self.rig.now()
        self.assertEqual(self.forwarder.retransmit(SSRC, ALICE, [1, 2], now), 0)
        self.assertEqual(len(self.received(BOB)), 3)
        self.assertEqual(self.drops(), {Drop.UNREACHABLE: 4})
        alice, bob = self.stream().destinations
        self.assertEqual((alice.packets, alice.bytes), (0, 0))
        # The report and the one that was to be sent again are among them.
        self.assertEqual(alice.drops, {Drop.UNREACHABLE: 4})
        self.assertEqual((bob.packets, bob.drops), (2, {}))

    # Upward.

    def test_upward(self):
        """A destination in Python gets what the others get, with its time."""
        self.open(VIDEO, receivers=(ALICE,))
        self.forwarder.add_destination(SSRC, BOB, UPWARD, True)
        report = rtcp(200, SSRC)
        self.deliver(rtp(1), report, rtp(2, KEY_START), rtp(3))
        now = self.rig.now()
        self.assertEqual(
            self.forwarder.take_copies(2),
            [
                Copy(SSRC, BOB, report, now),
                Copy(SSRC, BOB, rtp(2, KEY_START), now),
            ],
        )
        # Nobody but its owner is told that it waits.
        self.assertFalse(self.forwarder.waiting())
        self.assertEqual(self.forwarder.take_copies(9), [Copy(SSRC, BOB, rtp(3), now)])
        self.assertEqual(len(self.received(ALICE)), 3)
        _, bob = self.stream().destinations
        self.assertEqual((bob.packets, bob.drops, bob.bound), (2, {}, True))
        self.assertEqual(self.forwarder.retransmit(SSRC, BOB, [3], now), 1)
        self.assertEqual(self.forwarder.take_copies(9), [Copy(SSRC, BOB, rtp(3), now)])

    def test_upwardIsBounded(self):
        """A full ring is a full send buffer: video goes on with a frame."""
        self.open(VIDEO)
        self.forwarder.add_destination(SSRC, BOB, UPWARD, False)
        self.deliver(*(rtp(number) for number in range(COPIES + 3)))
        self.assertEqual(self.drops(), {Drop.CONGESTED: 1, Drop.SKIPPED: 2})
        self.deliver(rtcp(200, SSRC))
        self.assertEqual(self.drops(), {Drop.CONGESTED: 2, Drop.SKIPPED: 2})
        self.assertEqual(len(self.forwarder.take_copies(1 << 20)), COPIES)
        self.deliver(rtp(COPIES + 3), rtp(COPIES + 4, START))
        (copy,) = self.forwarder.take_copies(9)
        self.assertEqual(copy.data, rtp(COPIES + 4, START))
        self.assertEqual(self.destination().packets, COPIES + 1)
        self.assertEqual(self.destination().drops, {Drop.CONGESTED: 2, Drop.SKIPPED: 3})

    def test_upwardOrNot(self):
        """A destination may go from one to the other."""
        self.open(AUDIO, receivers=(ALICE,))
        for path in (UPWARD, self.rig.path(5)):
            self.forwarder.move_destination(SSRC, ALICE, path)
            self.deliver(rtp(1 if path is UPWARD else 2))
        self.assertEqual(len(self.forwarder.take_copies(9)), 1)
        self.assertEqual(self.rig.sent(), [(rtp(2), self.rig.address(5))])

    # By another way.

    def test_admit(self):
        """A packet that is known to be its publisher's needs no source."""
        self.open(AUDIO, receivers=(ALICE, BOB))
        self.forwarder.move_source(SSRC, None)
        self.deliver(rtp(1))
        self.assertEqual(self.drops(), {Drop.UNBOUND: 1})
        report = rtcp(200, SSRC)
        for data in (rtp(1), report, rtp(2)):
            self.forwarder.admit(data, self.rig.now())
        self.assertEqual(len(self.rig.sent()), 6)
        self.assertEqual(self.stream().packets, 2)

    def test_admitBesides(self):
        """Packets may come both ways; each is forwarded once."""
        self.open(AUDIO, receivers=(ALICE,))
        self.deliver(rtp(1), rtp(3))
        self.forwarder.admit(rtp(2), self.rig.now())
        self.forwarder.admit(rtp(3), self.rig.now())
        self.assertEqual(len(self.received(ALICE)), 3)
        self.assertEqual(self.drops(), {Drop.DUPLICATE: 1})

    def test_admitIsNoPort(self):
        """Only media is taken so, and only what a socket could have brought."""
        self.open(AUDIO, receivers=(ALICE,))
        for data in (b"", b"\x40", bytes(20), b"\x04control", rtcp(201, 7)):
            self.forwarder.admit(data, self.rig.now())
        self.forwarder.admit(rtp(1, ssrc=7), self.rig.now())
        self.forwarder.admit(rtcp(201, SSRC), self.rig.now())
        self.forwarder.admit(rtp(1)[:20], self.rig.now())
        self.forwarder.admit(rtp(1) + bytes(MAX_DATAGRAM), self.rig.now())
        self.assertEqual(self.rig.sent(), [])
        self.assertFalse(self.forwarder.waiting())
        self.assertEqual(sum(self.drops().values()), 9)

    # Limits.

    def test_limitOfPackets(self):
        """A second's worth at once, then as many as the time allows."""
        self.limit(packets=10)
        self.open(AUDIO, receivers=(ALICE,))
        self.deliver(*(rtp(number) for number in range(15)))
        self.assertEqual(len(self.received(ALICE)), 10)
        self.assertEqual(self.drops(), {Drop.LIMITED: 5})
        self.assertEqual(self.stream().packets, 10)
        # The position follows, and nothing of it is asked for again.
        self.assertEqual(self.forwarder.position(SSRC), (0, 14))
        self.assertEqual(self.forwarder.take_arrivals(9), [])
        self.rig.advance(0.25)
        self.deliver(*(rtp(number) for number in range(15, 20)))
        self.assertEqual(self.received(ALICE), [rtp(15), rtp(16)])
        self.rig.advance(100.0)
        self.deliver(*(rtp(number) for number in range(20, 40)))
        self.assertEqual(len(self.received(ALICE)), 10)

    def test_limitOfBytes(self):
        """The same for bytes, whatever the packets are like."""
        size = len(rtp(0))
        self.limit(size=3 * size)
        self.open(AUDIO, receivers=(ALICE,))
        self.deliver(rtp(0), rtp(1), rtp(2, payload=b"longer  "), rtp(3))
        self.assertEqual(self.received(ALICE), [rtp(0), rtp(1), rtp(3)])
        self.assertEqual(self.drops(), {Drop.LIMITED: 1})

    def test_limitOfVideo(self):
        """A frame of which a packet was too much goes no further."""
        self.limit(packets=4)
        self.open(VIDEO, receivers=(ALICE, BOB))
        frame = [rtp(0, KEY_START), *(rtp(number) for number in range(1, 6))]
        self.deliver(*frame)
        self.rig.advance(0.5)
        self.deliver(rtp(6), rtp(7, START), rtp(8), rtp(9), rtp(10, START))
        sent = [*frame[:4], rtp(7, START), rtp(8)]
        self.assertEqual(self.received(ALICE), sent)
        self.assertEqual(self.drops(), {Drop.LIMITED: 5})

    def test_limitOfAPublisher(self):
        """Streams of one publisher share its limit, others have their own; who
        has closed all begins anew."""
        self.limit(packets=6)
        for ssrc, publisher in ((SSRC, ALICE), (OTHER, ALICE), (Ssrc(7), BOB)):
            self.forwarder.open_stream(ssrc, AUDIO, self.source, publisher)
        self.forwarder.open_stream(Ssrc(8), AUDIO, self.source)
        for ssrc in (SSRC, OTHER, Ssrc(7), Ssrc(8)):
            self.deliver(*(rtp(number, ssrc=ssrc) for number in range(4)))
        counters = self.forwarder.counters()
        self.assertEqual([each.packets for each in counters.streams], [4, 2, 4, 4])
        self.forwarder.close_stream(SSRC)
        self.deliver(rtp(4, ssrc=OTHER))
        self.forwarder.close_stream(OTHER)
        self.assertEqual(self.drops(), {Drop.LIMITED: 3})
        self.forwarder.open_stream(OTHER, AUDIO, self.source, ALICE)
        self.deliver(*(rtp(number, ssrc=OTHER) for number in range(6)))
        self.assertEqual(self.drops(), {Drop.LIMITED: 3})

    # Counters.

    def test_counters(self):
        """Everything that came and went is there."""
        self.open(VIDEO, receivers=(ALICE,))
        packets = [rtp(1, KEY_START), rtp(3), rtp(3), rtp(1100 + 3, START), rtp(4)]
        for packet in packets:
            self.rig.advance(0.25)
            self.deliver(packet)
        report = rtcp(200, SSRC)
        self.deliver(report)
        self.forwarder.retransmit(SSRC, ALICE, [1103], self.rig.now())
        counters = self.forwarder.counters()
        self.assertEqual(counters.received, 6)
        self.assertEqual(counters.received_bytes, sum(map(len, packets)) + len(report))
        self.assertEqual(counters.forwarded, 5)
        forwarded = [packets[0], packets[1], packets[3], report, packets[3]]
        self.assertEqual(counters.forwarded_bytes, sum(map(len, forwarded)))
        self.assertEqual(counters.retransmitted, 1)
        stream = self.stream()
        self.assertEqual(stream.ssrc, SSRC)
        self.assertEqual(stream.kind, VIDEO)
        self.assertEqual(stream.packets, 3)
        self.assertEqual(stream.bytes, sum(map(len, forwarded[:3])))
        self.assertEqual(stream.missing, 1 + 1099)
        self.assertEqual(stream.drops, {Drop.DUPLICATE: 1, Drop.LATE: 1})
        self.assertEqual((stream.key_frames, stream.reports), (1, 1))
        self.assertEqual(stream.last_seen, self.rig.now() - 0.25)
        self.assertEqual(self.destination().leg, ALICE)
        self.assertTrue(self.destination().bound)

    def test_dropsOfAStream(self):
        """What was under its SSRC and went no further is its own; what had no
        SSRC of a stream is nobody's."""
        self.limit(packets=2)
        self.forwarder.open_stream(OTHER, AUDIO, None)
        self.open(VIDEO)
        self.deliver(rtp(1, ssrc=OTHER), rtcp(200, OTHER), rtp(1, ssrc=Ssrc(7)))
        self.rig.deliver(rtp(1), self.rig.address(4))
        good = rtp(5000)
        self.deliver(bytes((0x8F,)) + good[1:], good[:20], rtcp(201, SSRC))
        self.deliver(good, good, rtp(5000 - WINDOW), rtp(5001), rtp(5002))
        other, stream = self.forwarder.counters().streams
        self.assertEqual(other.drops, {Drop.UNBOUND: 2})
        mine = {
            Drop.WRONG_SOURCE: 1,
            Drop.MALFORMED_RTP: 1,
            Drop.NOT_A_REPORT: 1,
            Drop.DUPLICATE: 1,
            Drop.LATE: 1,
            Drop.LIMITED: 1,
        }
        self.assertEqual(stream.drops, mine)
        everything = {**mine, Drop.UNBOUND: 2, Drop.UNKNOWN_SSRC: 1}
        everything[Drop.MALFORMED_RTP] += 1
        self.assertEqual(self.drops(), everything)

    def test_lastSent(self):
        """Of a destination, the time of its last packet, of which reports, those
        sent again and those that did not get out are none."""
        self.open(receivers=(ALICE, BOB))

        def last():
            return [each.last_sent for each in self.stream().destinations]

        self.deliver(rtcp(200, SSRC))
        self.assertEqual(last(), [None, None])
        self.deliver(rtp(1))
        first = self.rig.now()
        self.rig.advance(0.25)
        for number, error in enumerate((BlockingIOError(), OSError(101, "no"))):
            self.rig.refuse(self.rig.address(2), error)
            self.deliver(rtp(2 * number + 2), rtp(2 * number + 3))
            self.assertEqual(last(), [first, self.rig.now()])
        self.rig.refuse(self.rig.address(2), None)
        self.forwarder.retransmit(SSRC, ALICE, [1], self.rig.now())
        self.assertEqual(last(), [first, self.rig.now()])
        self.deliver(rtp(6))
        second = self.rig.now()
        # It keeps it without an address and with another one.
        self.forwarder.move_destination(SSRC, ALICE, None)
        self.rig.advance(0.25)
        self.deliver(rtp(7))
        self.assertEqual(last(), [second, self.rig.now()])
        self.forwarder.move_destination(SSRC, ALICE, self.rig.path(5))
        self.assertEqual(last(), [second, self.rig.now()])
        self.deliver(rtp(8))
        self.assertEqual(last(), [self.rig.now()] * 2)

    def test_lastSentBeforeFailures(self):
        """A refused copy does not make an earlier one later or forgotten."""
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.rig.advance(0.25)
        self.deliver(rtp(2))
        sent = self.rig.now()
        self.rig.refuse(self.rig.address(2), BlockingIOError())
        for number in range(3, 6):
            self.rig.advance(0.25)
            self.deliver(rtp(number, START))
            destination = self.destination()
            self.assertEqual(destination.last_sent, sent)
            self.assertEqual(destination.drops, {Drop.CONGESTED: number - 2})
        self.assertEqual(destination.packets, 2)

    # It runs once for each forwarder, which is what that check is about.
    @settings(
        deadline=None,
        max_examples=200,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=64),
                st.builds(
                    lambda head, tail: bytes(head) + SSRC.to_bytes(4, "big") + tail,
                    st.tuples(
                        st.sampled_from((0x80, 0x90, 0x9F, 0xB0, 0xBF)),
                        *[st.integers(0, 255)] * 7,
                    ),
                    st.binary(max_size=48),
                ),
                st.builds(
                    lambda kind, tail: (
                        bytes((0x80, kind, 0, 1)) + SSRC.to_bytes(4, "big") + tail
                    ),
                    st.integers(192, 223),
                    st.binary(max_size=32),
                ),
            ),
            max_size=20,
        )
    )
    def test_anything(self, datagrams):
        """Whatever comes, nothing is raised, nothing is altered, and every
        datagram is either forwarded, put aside or counted as dropped."""
        self.setUp()
        self.open(VIDEO, receivers=(ALICE,))
        self.deliver(rtp(1, KEY_START))
        self.rig.sent()
        before = self.stream()
        self.deliver(*datagrams)
        self.assertLessEqual(set(self.received(ALICE)), set(datagrams))
        after = self.stream()
        taken = after.packets - before.packets + after.reports
        aside = sum(len(self.forwarder.take(kind, 99)) for kind in RING_SIZES)
        dropped = sum(self.drops().values())
        self.assertEqual(taken + aside + dropped, len(datagrams))

    # Arrivals.

    def arrivals(self, start=0, wait=1.0):
        """What is known of the stream's arrivals: index, milliseconds ago, size,
        whether it was late."""
        now = self.rig.now() + wait
        return [
            (came.position, round((now - came.when) * 1000), came.size, came.late)
            for came in self.forwarder.arrivals(SSRC, start, now)
        ]

    def test_whenPacketsCame(self):
        """When each packet came is known, in order, and which were late."""
        self.open(VIDEO)
        for sequence in (65534, 65535, 2, 1):
            self.deliver(rtp(sequence))
            self.rig.advance(0.01)
        size = len(rtp(0))
        self.assertEqual(
            self.arrivals(wait=0.96),
            [
                (65534, 1000, size, False),
                (65535, 990, size, False),
                (65537, 970, size, True),
                (65538, 980, size, False),
            ],
        )
        self.assertEqual([came[0] for came in self.arrivals(65537)], [65537, 65538])
        self.assertEqual(self.arrivals(70000), [])
        now = self.rig.now()
        for start, end, positions in (
            (0, 65536, [65534, 65535]),
            (65535, 65538, [65535, 65537]),
            (65537, 99999, [65537, 65538]),
            (65538, 65538, []),
            (-9, -8, []),
        ):
            came = self.forwarder.arrivals(SSRC, start, now, end)
            self.assertEqual([each.position for each in came], positions)
        self.assertEqual(self.forwarder.arrivals(OTHER, 0, self.rig.now()), [])

    def test_arrivalsKept(self):
        """Only the latest are known, and none that did not come."""
        self.open(AUDIO)
        kept = ARRIVALS_KEPT[AUDIO]
        for sequence in range(3 * kept):
            if sequence != 3 * kept - 5:
                self.deliver(rtp(sequence))
        known = [came[0] for came in self.arrivals()]
        self.assertEqual(
            known, [each for each in range(2 * kept, 3 * kept) if each != 3 * kept - 5]
        )

    def test_arrivalsAfterJumps(self):
        """What came a whole turn of sequence numbers ago is not taken for what has
        not come."""
        self.open(VIDEO)
        for sequence in (0, 3, 32770, 1):
            self.deliver(rtp(sequence))
        self.assertEqual([came[0] for came in self.arrivals()], [65537])

    def test_arrivalsAfterDays(self):
        """The times are right however long the machine has been running."""
        self.open(VIDEO)
        for sequence, days in enumerate((0.5, 48, 1, 500)):
            self.rig.advance(days * 86400.0)
            self.deliver(rtp(sequence))
            self.assertEqual(
                self.arrivals(sequence, 2.0), [(sequence, 2000, len(rtp(0)), False)]
            )

    # Spared.

    def test_spared(self):
        """A destination that is spared gets no discardable frame, another one
        does; what follows the frame goes to both."""
        self.open(VIDEO, (ALICE, BOB))
        self.forwarder.spare_destination(SSRC, ALICE, True)
        begins = FrameMarking(start=True, discardable=True)
        ends = FrameMarking(end=True, discardable=True)
        markings = (KEY_START, END, begins, ends, START, END, begins)
        packets = [rtp(*each) for each in enumerate(markings)]
        self.deliver(*packets)
        sent = self.rig.sent()
        self.assertEqual([d for d, to in sent if to == self.rig.address(3)], packets)
        self.assertEqual(
            [d for d, to in sent if to == self.rig.address(2)],
            packets[:2] + packets[4:6],
        )
        self.assertEqual(self.drops(), {Drop.SKIPPED: 3})
        self.forwarder.spare_destination(SSRC, ALICE, False)
        more = [rtp(7, ends), rtp(8, begins), rtp(9, ends)]
        self.deliver(*more)
        self.assertEqual(self.received(ALICE), more[1:])

    def test_sparedFromTheBeginning(self):
        """Who waits for a key frame gets it, spared or not, wherever he moves."""
        self.open(VIDEO, (ALICE,))
        self.forwarder.spare_destination(SSRC, ALICE, True)
        self.forwarder.move_destination(SSRC, ALICE, None)
        self.forwarder.move_destination(SSRC, ALICE, self.rig.path(2))
        key = FrameMarking(start=True, end=True, independent=True, discardable=True)
        spare = FrameMarking(start=True, end=True, discardable=True)
        self.deliver(rtp(0, spare), rtp(1, key), rtp(2, spare), rtp(3, START))
        self.assertEqual(self.received(ALICE), [rtp(1, key), rtp(3, START)])

    def test_sparedNobody(self):
        """Only who receives a stream can be spared of it."""
        self.open(VIDEO)
        for ssrc in (SSRC, OTHER):
            with self.assertRaises(LocalError):
                self.forwarder.spare_destination(ssrc, ALICE, True)

    def test_isGated(self):
        """Whether one of several waits for a key frame can be asked."""
        self.open(VIDEO, (ALICE,))
        self.forwarder.add_destination(SSRC, BOB, None, True)
        asked = [(SSRC, ALICE), (SSRC, BOB), (SSRC, CAROL), (OTHER, ALICE)]
        self.assertEqual(
            [self.forwarder.is_gated(*each) for each in asked],
            [True, False, False, False],
        )
        self.deliver(rtp(1, KEY_START))
        self.assertFalse(self.forwarder.is_gated(SSRC, ALICE))


class PortableForwarderTests(ForwarderTestsMixin, SynchronousTestCase):
    """`routes.Forwarder`, in memory."""

    def makeForwarder(self, limit: SourceLimit = NO_LIMIT) -> Rig:
        """On a network that is a list."""
        return PortableRig(limit)

    def test_pathDecidesTheSender(self):
        """The way to send is chosen when a path is set, not for each copy."""
        asked = []
        sent = []

        def sender(path):
            asked.append(path)
            return lambda data, address: sent.append((path.local, data))

        forwarder = Forwarder(sender)
        forwarder.open_stream(SSRC, AUDIO, self.source)
        path = Path(("192.0.2.9", 9), b"\x0a\x00\x00\x02")
        forwarder.add_destination(SSRC, ALICE, path, False)
        forwarder.move_destination(SSRC, ALICE, path)
        for sequence in range(3):
            forwarder.receive(rtp(sequence), self.source, 0.0)
        self.assertEqual(asked, [path])
        self.assertEqual(sent, [(path.local, rtp(n)) for n in range(3)])
