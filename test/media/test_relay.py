"""The native forwarder: the compliance suite, and what only it does.

Datagrams are injected into a lane and what it sends is taken from it, in the
calling thread; it is the code that the threads run.
"""

import errno
import pathlib
import threading
from unittest import skipIf

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import SessionId, Ssrc
from anychat.media.counters import Drop
from anychat.media.demux import Kind
from anychat.media.path import UPWARD, Address, Path
from anychat.media.ring import ARRIVALS, COPIES, RING_SIZES
from anychat.media.rtp import MAX_PAYLOAD, FrameMarking
from anychat.media.source_limit import SourceLimit
from test.media.test_routes import (
    ALICE,
    AUDIO,
    BOB,
    CAROL,
    KEY_MIDDLE,
    KEY_START,
    MIDDLE,
    NO_LIMIT,
    OTHER,
    SSRC,
    START,
    VIDEO,
    ForwarderTestsMixin,
    PortableRig,
    Rig,
    rtcp,
    rtp,
)

try:
    from anychat.media import _relay
except ImportError:
    _relay = None

LOCAL = bytes((10, 0, 0, 1))
#: Seconds that a thread may take before a test gives up.
PATIENCE = 10.0
TESTS = pathlib.Path(__file__).resolve().parent.parent
CORPUS, GOLDEN = TESTS / "corpus", TESTS / "golden"
#: What a kernel says that does not cut a datagram into segments.
NO_SEGMENTS = (errno.EIO, errno.EINVAL, errno.EMSGSIZE)


class Network:
    """Where a lane sends to."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.sends: list[tuple[list[bytes], Address, bytes]] = []
        self.problems: list[BaseException] = []
        self.refused: dict[Address, int] = {}
        self.whole: dict[Address, int] = {}
        """Addresses that take no segments, and how they say so."""
        self.room: dict[Address, int] = {}
        """Sends that an address takes before its buffer is full."""

    def __call__(self, datagrams: list[bytes], address: Address, local: bytes) -> int:
        error = self.refused.get(address, 0)
        if not error and len(datagrams) > 1:
            error = self.whole.get(address, 0)
        if not error and address in self.room:
            self.room[address] -= 1
            if self.room[address] < 0:
                error = errno.EAGAIN
        if not error:
            self.sends.append((datagrams, address, local))
            self.sent += [(data, address) for data in datagrams]
        return error


class NativeRig(PortableRig):
    """The native forwarder, without threads and sockets.

    :param lanes: datagrams come to one after the other.
    """

    def __init__(self, limit: SourceLimit = NO_LIMIT, lanes: int = 1) -> None:
        super().__init__()
        self.lanes = lanes
        self.next = 0
        self.network = Network()
        self.forwarder = _relay.Forwarder(self.locate, limit=limit, lanes=lanes)
        for lane in range(lanes):
            self.forwarder.attach(lane, [(-1, b""), (-1, b"")])
            self.forwarder.connect(lane, self.network)

    def locate(self, path: Path) -> tuple[int, bytes]:
        """The second interface is for IPv6; every third address is pinned."""
        v6 = len(path.remote) == 4
        return int(v6), path.local if path.remote[1] % 2 and not v6 else b""

    def deliver(self, data: bytes, source: Address) -> None:
        """A batch of one."""
        self.deliver_batch([(data, source)])

    def deliver_batch(self, datagrams: list[tuple[bytes, Address]]) -> None:
        """As they would come from one ``recvmmsg``."""
        batch = [(data, source, LOCAL) for data, source in datagrams]
        self.next = (self.next + 1) % self.lanes
        self.forwarder.inject(self.next, batch, self._now)
        self.raise_problems()

    def raise_problems(self) -> None:
        """What went wrong behind the C code."""
        for problem in self.network.problems:
            raise problem

    def sent(self) -> list[tuple[bytes, Address]]:
        """Copy by copy."""
        sent, self.network.sent = self.network.sent, []
        return sent

    def sends(self) -> list[tuple[list[bytes], Address, bytes]]:
        """Send by send."""
        sends, self.network.sends = self.network.sends, []
        return sends

    def refuse(self, address: Address, error: OSError | None) -> None:
        """What ``sendmmsg`` would say."""
        self.network.refused.pop(address, None)
        if isinstance(error, BlockingIOError):
            self.network.refused[address] = errno.EAGAIN
        elif error is not None:
            self.network.refused[address] = error.errno


@skipIf(_relay is None, "the native relay is not built")
class NativeForwarderTests(ForwarderTestsMixin, SynchronousTestCase):
    """`_relay.Forwarder`."""

    def makeForwarder(self, limit: SourceLimit = NO_LIMIT) -> Rig:
        """With one lane."""
        return NativeRig(limit)

    def batch(self, *datagrams):
        """From the publisher, all at once."""
        self.rig.deliver_batch([(data, self.source) for data in datagrams])

    def runs(self, leg):
        """The sends to a receiver since the last call, as datagrams; throws
        the others' away."""
        address = self.rig.address(leg + 1)
        return [data for data, to, _ in self.rig.sends() if to == address]

    # Runs.

    def test_equalSizesAreJoined(self):
        """One send to each destination; the last may be shorter."""
        self.open(receivers=(ALICE, BOB))
        packets = [rtp(1), rtp(2), rtp(3), rtp(4, payload=b"short"), rtp(5)]
        self.batch(*packets)
        alice, bob = self.rig.address(2), self.rig.address(3)
        self.assertEqual(
            [send[:2] for send in self.rig.sends()],
            [(run, to) for to in (alice, bob) for run in (packets[:4], packets[4:])],
        )
        self.assertEqual(self.forwarder.counters().forwarded, 10)

    def test_sourceIsNamed(self):
        """Where the kernel would choose another address of ours, runs and
        single datagrams name it."""
        self.open()
        for number in (5, 7):
            path = self.rig.path(number)
            self.forwarder.add_destination(SSRC, SessionId(number), path, False)
        self.batch(rtp(1), rtp(2))
        self.deliver(rtp(3), rtcp(200, SSRC))
        self.forwarder.retransmit(SSRC, SessionId(5), [1], self.rig.now())
        sends = self.rig.sends()
        self.assertEqual(len(sends), 7)
        self.assertEqual({local for _, _, local in sends}, {LOCAL})

    def test_longerEndsARun(self):
        """Segments are as long as the first one."""
        self.open(receivers=(ALICE,))
        packets = [rtp(1), rtp(2, payload=b"longer payload"), rtp(3)]
        self.batch(*packets)
        self.assertEqual(self.runs(ALICE), [packets[:1], packets[1:]])

    def test_streamsAreGathered(self):
        """Packets of two streams that alternate leave in two runs."""
        self.open(receivers=(ALICE,))
        self.forwarder.open_stream(OTHER, AUDIO, self.source)
        self.forwarder.add_destination(OTHER, ALICE, self.rig.path(2), False)
        first = [rtp(number) for number in range(4)]
        second = [rtp(number, ssrc=OTHER) for number in range(4)]
        self.batch(*(each for pair in zip(first, second, strict=True) for each in pair))
        self.assertEqual(self.runs(ALICE), [first, second])

    def test_mostOfARun(self):
        """64 segments and 64 KB are the most that the kernel takes."""
        self.open(receivers=(ALICE,))
        packets = [rtp(number, payload=bytes(MAX_PAYLOAD)) for number in range(64)]
        self.batch(*packets)
        runs = self.runs(ALICE)
        self.assertEqual([data for run in runs for data in run], packets)
        self.assertEqual(len(runs), 2)
        self.assertLess(max(sum(map(len, run)) for run in runs), 65000)
        small = [rtp(number) for number in range(64, 128)]
        self.batch(*small)
        self.assertEqual(self.runs(ALICE), [small])

    def test_moreThanARun(self):
        """A batch may have more packets of a stream than one send joins."""
        self.open(receivers=(ALICE,))
        packets = [rtp(number) for number in range(150)]
        self.batch(*packets)
        self.assertEqual(
            self.runs(ALICE), [packets[:64], packets[64:128], packets[128:]]
        )

    def test_manyStreamsInABatch(self):
        """Each of many streams in a batch leaves in a run of its own, and batches
        know nothing of each other."""
        streams = [0x10000 + 64 * number for number in range(300)]
        self.open(receivers=(ALICE,))
        for ssrc in streams:
            self.forwarder.open_stream(ssrc, AUDIO, self.source)
            self.forwarder.add_destination(ssrc, ALICE, self.rig.path(2), False)
        for first in (1, 4):
            numbers = range(first, first + 3)
            self.batch(*(rtp(each, ssrc=ssrc) for each in numbers for ssrc in streams))
            self.assertEqual(
                self.runs(ALICE),
                [[rtp(each, ssrc=ssrc) for each in numbers] for ssrc in streams],
            )

    def test_gateCutsARun(self):
        """Who waited for the key frame gets it from its start."""
        self.open(VIDEO, receivers=(ALICE,))
        self.batch(rtp(1, KEY_START))
        self.forwarder.add_destination(SSRC, BOB, self.rig.path(3), True)
        packets = [
            rtp(2, START),
            rtp(3, MIDDLE),
            rtp(4, KEY_START),
            rtp(5, KEY_MIDDLE),
        ]
        self.rig.sent()
        self.batch(*packets)
        sent = self.rig.sent()
        to = self.rig.address
        self.assertEqual([data for data, where in sent if where == to(2)], packets)
        self.assertEqual([data for data, where in sent if where == to(3)], packets[2:])

    def test_reportCutsARun(self):
        """A sender report goes out in its place."""
        self.open(receivers=(ALICE,))
        self.batch(rtp(1), rtp(2), rtcp(200, SSRC), rtp(3))
        self.assertEqual(
            self.runs(ALICE), [[rtp(1), rtp(2)], [rtcp(200, SSRC)], [rtp(3)]]
        )

    def test_moreThanAnOutbox(self):
        """A thousand destinations get every run."""
        self.open()
        for leg in range(1000):
            path = Path((f"10.1.{leg >> 8}.{leg & 255}", 4000))
            self.forwarder.add_destination(SSRC, SessionId(leg), path, False)
        self.batch(rtp(1), rtp(2), rtp(3, payload=b"longer payload"))
        sent = {}
        for data, address in self.rig.sent():
            sent.setdefault(address, []).append(data)
        self.assertEqual(len(sent), 1000)
        expected = [rtp(1), rtp(2), rtp(3, payload=b"longer payload")]
        for copies in sent.values():
            self.assertEqual(copies, expected)

    # Where runs are not taken.

    def test_noSegments(self):
        """One by one to a destination whose way refuses a run, from then on;
        in runs again when it has another way."""
        for number, error in enumerate(NO_SEGMENTS):
            self.limit()
            self.open(receivers=(ALICE, BOB))
            self.rig.network.whole[self.rig.address(2)] = error
            self.batch(rtp(1), rtp(2))
            self.batch(rtp(3), rtp(4))
            self.assertEqual(
                self.runs(ALICE), [[rtp(each)] for each in range(1, 5)], number
            )
            counters = self.forwarder.counters()
            self.assertEqual((counters.unsegmented, counters.forwarded), (1, 8))
            self.assertEqual(counters.drops, {})
            self.forwarder.move_destination(SSRC, ALICE, self.rig.path(7))
            self.batch(rtp(5), rtp(6))
            sends = [data for data, to, _ in self.rig.sends()]
            self.assertEqual(sends, [[rtp(5), rtp(6)]] * 2)

    def test_tooLongAltogether(self):
        """Datagrams that do not go singly either are unreachable."""
        self.open(receivers=(ALICE,))
        self.rig.refuse(self.rig.address(2), OSError(errno.EMSGSIZE, "too long"))
        self.batch(rtp(1), rtp(2))
        self.assertEqual(self.drops(), {Drop.UNREACHABLE: 2})
        self.assertEqual(self.destination().drops, {Drop.UNREACHABLE: 2})

    def test_congestedRun(self):
        """A run that finds the buffer full is lost to the end of the frame; the
        frame that begins in it is tried."""
        self.open(VIDEO, receivers=(ALICE, BOB))
        self.batch(rtp(1, KEY_START))
        self.rig.sent()
        self.rig.network.room[self.rig.address(2)] = 0
        self.batch(rtp(2, MIDDLE), rtp(3, MIDDLE), rtp(4, START), rtp(5, MIDDLE))
        self.assertEqual(self.drops(), {Drop.CONGESTED: 2, Drop.SKIPPED: 2})
        del self.rig.network.room[self.rig.address(2)]
        self.batch(rtp(6, MIDDLE), rtp(7, START), rtp(8, MIDDLE))
        alice = [data for data, to in self.rig.sent() if to == self.rig.address(2)]
        self.assertEqual(alice, [rtp(7, START), rtp(8, MIDDLE)])
        alice, bob = self.stream().destinations
        self.assertEqual(alice.packets, 3)
        self.assertEqual(alice.drops, {Drop.CONGESTED: 2, Drop.SKIPPED: 3})
        self.assertEqual((bob.packets, bob.drops), (8, {}))

    # Memory.

    def test_manyStreams(self):
        """The table grows and shrinks under its streams."""
        opened = [Ssrc(number * 977) for number in range(1, 500)]
        for ssrc in opened:
            self.forwarder.open_stream(ssrc, AUDIO, self.source)
            self.forwarder.add_destination(ssrc, ALICE, self.rig.path(2), False)
        for turn in range(5):
            for ssrc in opened[turn::5]:
                self.forwarder.close_stream(ssrc)
            for ssrc in opened[turn + 1 :: 5] if turn < 4 else ():
                self.deliver(rtp(turn, ssrc=ssrc))
        self.deliver(*(rtp(1, ssrc=ssrc) for ssrc in opened))
        self.assertEqual(self.drops(), {Drop.UNKNOWN_SSRC: len(opened)})

    def test_whatIsNoNumber(self):
        """Is refused before anything is made or altered; what was there stays."""
        self.open(receivers=(ALICE,))
        forwarder = self.forwarder
        for wrong, error in (("7", TypeError), (1 << 32, OverflowError)):
            self.assertRaises(error, forwarder.open_stream, wrong, VIDEO, self.source)
            self.assertRaises(
                error, forwarder.retransmit, SSRC, ALICE, [1, wrong], self.rig.now()
            )
        for wrong, error in (("7", TypeError), (1 << 64, OverflowError)):
            path = self.rig.path(3)
            self.assertRaises(
                error, forwarder.add_destination, SSRC, wrong, path, False
            )
        self.assertEqual(len(forwarder.counters().streams), 1)
        self.assertEqual(self.destination().leg, ALICE)
        self.deliver(rtp(1))
        self.assertEqual(self.rig.sent(), [(rtp(1), self.rig.address(2))])

    def test_whatIsNoAddressOfOurs(self):
        """It would not fit beside a datagram: the batch is refused as a whole."""
        for local in (bytes(3), bytes(17), bytes(1 << 20)):
            batch = [(bytes(20), self.source, LOCAL), (bytes(20), self.source, local)]
            self.assertRaises(ValueError, self.forwarder.inject, 0, batch, 0.0)
        self.assertFalse(self.forwarder.waiting())
        self.assertEqual(self.forwarder.counters().received, 0)

    def test_countsOutliveAddresses(self):
        """What was sent to a destination before it lost its address counts."""
        self.open(AUDIO, receivers=(ALICE,))
        for number in range(20):
            self.deliver(rtp(number))
            self.forwarder.move_destination(SSRC, ALICE, None)
            self.forwarder.move_destination(SSRC, ALICE, self.rig.path(2))
        self.assertEqual(self.destination().packets, 20)


@skipIf(_relay is None, "the native relay is not built")
class RefusalTests(SynchronousTestCase):
    """What is refused in the middle of a batch, with many destinations."""

    def test_startAfterRefusal(self):
        """A frame's start that comes after a refusal in its own batch begins
        the flow anew, and everything left out is counted."""
        packets = [
            rtp(1, MIDDLE),
            rtp(2, START, payload=b"longer payload"),
            rtp(3, MIDDLE, payload=b"longer payload than that"),
        ]
        victim = ("10.1.0.7", 4000)

        class Full(Network):
            """Has no room for the first packet to one destination."""

            def __call__(self, datagrams, address, local):
                if address == victim and datagrams[0] == packets[0]:
                    return errno.EAGAIN
                return super().__call__(datagrams, address, local)

        rig = NativeRig()
        rig.network = Full()
        rig.forwarder.connect(0, rig.network)
        rig.forwarder.open_stream(SSRC, VIDEO, rig.address(1), ALICE)
        for leg in range(200):
            path = Path((f"10.1.0.{leg}", 4000))
            rig.forwarder.add_destination(SSRC, SessionId(leg), path, False)
        rig.deliver_batch([(packet, rig.address(1)) for packet in packets])
        got = [data for data, address in rig.sent() if address == victim]
        self.assertEqual(got, packets[1:])
        self.assertEqual(rig.forwarder.counters().drops, {Drop.CONGESTED: 1})


@skipIf(_relay is None, "the native relay is not built")
class TwoLanesTests(ForwarderTestsMixin, SynchronousTestCase):
    """The same, each batch in another lane than the one before."""

    def makeForwarder(self, limit: SourceLimit = NO_LIMIT) -> Rig:
        """A flow that moves with every datagram."""
        return NativeRig(limit, lanes=2)

    def test_floodsKeepApart(self):
        """Each lane has its rings."""
        maximum = 2 * RING_SIZES[Kind.STUN]
        for _ in range(maximum + 6):
            self.deliver(bytes(20))
        self.assertEqual(len(self.forwarder.take(Kind.STUN, 1 << 20)), maximum)
        self.assertEqual(self.drops(), {Drop.STUN_FULL: 6})

    def test_lanesTakeTurns(self):
        """A flood in one lane does not keep Python from what another one has."""
        rare, flood = bytes((0, 1)) + bytes(18), bytes(20)
        self.forwarder.inject(1, [(rare, ("10.0.0.1", 1), LOCAL)], 0.0)
        taken = []
        for _ in range(2):
            for _ in range(5):
                batch = [(flood, ("10.0.0.2", 2), LOCAL)] * 64
                self.forwarder.inject(0, batch, 0.0)
            taken += [each.data for each in self.forwarder.take(Kind.STUN, 32)]
        self.assertIn(rare, taken)

    def test_stunGoesUp(self):
        """In order within a lane only."""
        datagrams = [bytes((0, 1, 0, number)) + bytes(16) for number in range(4)]
        self.deliver(*datagrams)
        taken = [each.data for each in self.forwarder.take(Kind.STUN, 9)]
        self.assertEqual(sorted(taken), datagrams)

    def test_arrivals(self):
        """In order within a lane only."""
        self.open()
        self.deliver(rtp(1), rtp(5), rtp(3), rtp(2))
        self.assertEqual(len(self.forwarder.take_arrivals(9)), 3)
        self.assertEqual(self.stream().missing, 1)

    def test_arrivalsAreBounded(self):
        """Each lane's ring."""
        self.open()
        for step in range(2 * ARRIVALS + 10):
            self.deliver(rtp(2 * step))
        self.assertEqual(len(self.forwarder.take_arrivals(1 << 20)), 2 * ARRIVALS)
        self.assertEqual(self.drops(), {Drop.ARRIVAL_FULL: 9})

    def test_upward(self):
        """In order within a lane only."""
        self.open()
        self.forwarder.add_destination(SSRC, BOB, UPWARD, False)
        packets = [rtp(number) for number in range(4)]
        self.deliver(*packets)
        taken = [each.data for each in self.forwarder.take_copies(9)]
        self.assertEqual(sorted(taken), packets)

    def test_upwardIsBounded(self):
        """Each lane's ring; one that is full ends the flow for both."""
        self.open(VIDEO)
        self.forwarder.add_destination(SSRC, BOB, UPWARD, False)
        self.deliver(*(rtp(number) for number in range(2 * COPIES + 3)))
        self.assertEqual(self.drops(), {Drop.CONGESTED: 1, Drop.SKIPPED: 2})
        self.assertEqual(len(self.forwarder.take_copies(1 << 20)), 2 * COPIES)


@skipIf(_relay is None, "the native relay is not built")
class StrangerTests(SynchronousTestCase):
    """What comes under a stream's SSRC from elsewhere, to another lane."""

    def setUp(self):
        """The stream's own lane is the first; each lane has a network."""
        self.rig = NativeRig(lanes=2)
        self.forwarder = self.rig.forwarder
        self.networks = Network(), Network()
        for lane, network in enumerate(self.networks):
            self.forwarder.connect(lane, network)
        for ssrc in (SSRC, OTHER):
            self.forwarder.open_stream(ssrc, AUDIO, self.rig.address(1))
            self.forwarder.add_destination(ssrc, ALICE, self.rig.path(2), False)

    def inject(self, lane, *datagrams, source=1):
        """A batch for a lane."""
        address = self.rig.address(source)
        batch = [(data, address, LOCAL) for data in datagrams]
        self.forwarder.inject(lane, batch, self.rig.now())

    def sent(self):
        """What each lane has sent since the last call."""
        sent = []
        for network in self.networks:
            self.assertEqual(network.problems, [])
            sent.append([data for data, _ in network.sent])
            network.sent = []
        return sent

    def again(self):
        """Order a packet again; the lane that knows it does that."""
        asked = self.forwarder.retransmit(SSRC, ALICE, [1], self.rig.now())
        self.assertEqual(asked, 1)
        return self.sent()

    def test_doesNotMoveTheStream(self):
        """The stream stays with the lane where its publisher is heard."""
        self.inject(0, rtp(1))
        self.assertEqual(self.sent(), [[rtp(1)], []])
        self.inject(1, rtp(2), rtcp(200, SSRC), source=4)
        self.assertEqual(self.again(), [[rtp(1)], []])
        self.forwarder.move_source(SSRC, None)
        self.inject(1, rtp(2), rtcp(200, SSRC))
        self.assertEqual(self.again(), [[rtp(1)], []])
        drops = {Drop.WRONG_SOURCE: 2, Drop.UNBOUND: 2}
        self.assertEqual(self.forwarder.counters().drops, drops)
        # As the publisher himself does it.
        self.forwarder.move_source(SSRC, self.rig.address(1))
        self.inject(1, rtp(2))
        self.assertEqual(self.sent(), [[], [rtp(2)]])
        self.assertEqual(self.again(), [[], [rtp(1)]])

    def while_sending(self, lane, action):
        """Let another thread do that while a lane sends, which it does before it
        lets go of its streams."""
        done = []

        class Busy(Network):
            """Takes its time."""

            def __call__(self, *arguments):
                other = threading.Thread(target=action)
                other.start()
                other.join(PATIENCE)
                done.append(not other.is_alive())
                return super().__call__(*arguments)

        busy = Busy()
        self.networks = tuple(
            busy if each == lane else network
            for each, network in enumerate(self.networks)
        )
        self.forwarder.connect(lane, busy)
        return done

    def test_doesNotWait(self):
        """It is dropped though the stream's lane is in the middle of sending."""
        done = self.while_sending(0, lambda: self.inject(1, rtp(2), source=4))
        self.inject(0, rtp(1))
        self.assertEqual(done, [True])
        self.assertEqual(self.forwarder.counters().drops, {Drop.WRONG_SOURCE: 1})

    def test_keepsNobodyWaiting(self):
        """A lane that got it sends something else; the stream goes on meanwhile."""
        done = self.while_sending(1, lambda: self.inject(0, rtp(1)))
        stranger = (rtp(7), self.rig.address(4), LOCAL)
        other = (rtp(1, ssrc=OTHER), self.rig.address(1), LOCAL)
        self.forwarder.inject(1, [stranger, other], self.rig.now())
        self.assertEqual(done, [True])
        self.assertEqual(self.sent(), [[rtp(1)], [rtp(1, ssrc=OTHER)]])


# The two forwarders side by side.

SPARE_START = FrameMarking(start=True, discardable=True)
SPARE_MIDDLE = FrameMarking(discardable=True)

markings = st.sampled_from(
    (None, START, MIDDLE, KEY_START, KEY_MIDDLE, SPARE_START, SPARE_MIDDLE)
)
ssrcs = st.sampled_from((SSRC, OTHER, Ssrc(7)))
legs = st.sampled_from((ALICE, BOB, CAROL))
numbers = st.integers(1, 9)
sequences = st.one_of(
    st.integers(0, 40), st.integers(65500, 65535), st.integers(0, 65535)
)
packets = st.builds(
    lambda sequence, marking, ssrc, size: rtp(sequence, marking, ssrc, bytes(size)),
    sequences,
    markings,
    ssrcs,
    st.sampled_from((4, 4, 4, 30, 200)),
)
datagrams = st.one_of(
    packets,
    packets,
    packets,
    st.builds(rtcp, st.integers(192, 223), ssrcs, st.integers(20, 60)),
    st.builds(rtcp, st.just(200), ssrcs),
    st.binary(max_size=40),
    st.builds(
        lambda data, place, byte: data[:place] + bytes((byte,)) + data[place + 1 :],
        packets,
        st.integers(0, 30),
        st.integers(0, 255),
    ),
    st.builds(lambda data, end: data[:end], packets, st.integers(0, 45)),
)
#: In one batch mostly from the publisher's address.
batches = st.lists(
    st.tuples(datagrams, st.sampled_from((1, 1, 1, 1, 1, 4))), min_size=1, max_size=12
)
paths = st.one_of(st.none(), numbers, st.just("up"))
commands = st.one_of(
    st.tuples(st.just("batch"), batches),
    st.tuples(st.just("batch"), batches),
    st.tuples(st.just("batch"), batches),
    st.tuples(
        st.just("open"),
        ssrcs,
        st.sampled_from((AUDIO, VIDEO)),
        st.sampled_from((None, ALICE, BOB)),
    ),
    st.tuples(st.just("close"), ssrcs),
    st.tuples(st.just("source"), ssrcs, st.sampled_from((None, 1, 1, 4))),
    st.tuples(st.just("add"), ssrcs, legs, paths, st.booleans()),
    st.tuples(st.just("move"), ssrcs, legs, paths),
    st.tuples(st.just("remove"), ssrcs, legs),
    st.tuples(st.just("spare"), ssrcs, legs, st.booleans()),
    st.tuples(st.just("admit"), datagrams),
    st.tuples(st.just("refuse"), numbers, st.sampled_from((None, 11, 101, 111, 22))),
    st.tuples(st.just("whole"), numbers, st.sampled_from((0, *NO_SEGMENTS))),
    st.tuples(st.just("again"), ssrcs, legs, st.lists(sequences, max_size=8)),
    st.tuples(st.just("wait"), st.sampled_from((0.01, 0.3, 0.8))),
    st.tuples(st.just("take"), st.integers(0, 40)),
)
#: Reasons that a stream counts, and a destination.
STREAM_DROPS = {
    Drop.MALFORMED_RTP,
    Drop.UNBOUND,
    Drop.WRONG_SOURCE,
    Drop.DUPLICATE,
    Drop.LATE,
    Drop.LIMITED,
    Drop.NOT_A_REPORT,
}
COPY_DROPS = {Drop.CONGESTED, Drop.SKIPPED, Drop.UNREACHABLE}
#: So that most runs have something to forward.
BEGINNING = [
    ("open", SSRC, VIDEO, ALICE),
    ("open", OTHER, AUDIO, ALICE),
    ("add", SSRC, ALICE, 2, True),
    ("add", SSRC, BOB, 3, False),
    ("add", OTHER, ALICE, 2, False),
    ("add", OTHER, CAROL, 5, False),
]
#: Limits that are met soon.
SMALL = SourceLimit(12, 1200)


def publish_apart(command: tuple) -> tuple:
    """The command, but a stream that it opens is the only one of its publisher."""
    name, *arguments = command
    if name != "open" or arguments[2] is None:
        return command
    ssrc, kind, _ = arguments
    return name, ssrc, kind, SessionId(int(ssrc))


class Twin:
    """One of the two, driven by the commands above."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.forwarder = rig.forwarder
        self.placed: dict[object, set[SessionId]] = {}
        """Which legs have had a stream at an address."""

    def place(self, ssrc, leg, number):
        """Note it, and return the path."""
        if isinstance(number, int):
            key = ssrc.to_bytes(4, "big"), self.rig.address(number)
            self.placed.setdefault(key, set()).add(leg)
        return self.path(number)

    def path(self, number: object) -> Path | None:
        """From a command."""
        if number is None:
            return None
        return UPWARD if number == "up" else self.rig.path(number)

    def do(self, command: tuple) -> object:
        """Carry it out; what it returns or raises."""
        name, *arguments = command
        try:
            return getattr(self, name)(*arguments)
        except Exception as error:
            return repr(error)

    def batch(self, batch):
        """Datagrams at once, or one after the other."""
        batch = [(data, self.rig.address(source)) for data, source in batch]
        if isinstance(self.rig, NativeRig):
            self.rig.deliver_batch(batch)
        else:
            for data, source in batch:
                self.rig.deliver(data, source)

    def open(self, ssrc, kind, publisher=None):
        """Of the first peer's address."""
        self.forwarder.open_stream(ssrc, kind, self.rig.address(1), publisher)

    def close(self, ssrc):
        """Any."""
        self.forwarder.close_stream(ssrc)

    def source(self, ssrc, number):
        """Another or none."""
        address = None if number is None else self.rig.address(number)
        self.forwarder.move_source(ssrc, address)

    def add(self, ssrc, leg, number, gated):
        """At an address, at none, or in Python."""
        self.forwarder.add_destination(ssrc, leg, self.place(ssrc, leg, number), gated)

    def move(self, ssrc, leg, number):
        """The same."""
        self.forwarder.move_destination(ssrc, leg, self.place(ssrc, leg, number))

    def remove(self, ssrc, leg):
        """Any."""
        self.forwarder.remove_destination(ssrc, leg)

    def spare(self, ssrc, leg, sparing):
        """Any."""
        self.forwarder.spare_destination(ssrc, leg, sparing)

    def admit(self, data):
        """By another way than a socket."""
        self.forwarder.admit(data, self.rig.now())

    def refuse(self, number, error):
        """As the kernel might."""
        refusal = error and OSError(error, "refused")
        self.rig.refuse(self.rig.address(number), refusal)

    def whole(self, number, error):
        """As a kernel might that cuts nothing; it must make no difference."""
        if isinstance(self.rig, NativeRig):
            self.rig.network.whole[self.rig.address(number)] = error

    def again(self, ssrc, leg, asked):
        """As a NACK would."""
        return self.forwarder.retransmit(ssrc, leg, asked, self.rig.now())

    def wait(self, seconds):
        """Time passes."""
        self.rig.advance(seconds)

    def take(self, most):
        """Everything that goes up, in each ring's own order."""
        return (
            [self.forwarder.take(kind, most) for kind in RING_SIZES],
            self.copies(),
        )

    def copies(self):
        """For each destination in Python, in order."""
        taken = {}
        for copy in self.forwarder.take_copies(1 << 20):
            taken.setdefault((copy.ssrc, copy.leg), []).append(copy)
        return taken

    def arrivals(self):
        """For each stream, in order."""
        taken = {}
        for arrival in self.forwarder.take_arrivals(1 << 20):
            taken.setdefault(arrival.ssrc, []).append(arrival)
        return taken

    def sent(self):
        """For each stream and address, in order; where two legs share an address
        theirs may be mixed in any way."""
        sent = {}
        for data, address in self.rig.sent():
            report = 192 <= data[1] <= 223
            ssrc = data[4:8] if report else data[8:12]
            sent.setdefault((ssrc, address), []).append(data)
        for key, datagrams in sent.items():
            if len(self.placed.get(key, ())) > 1:
                datagrams.sort()
        return sent

    def state(self):
        """All that can be asked."""
        counters = self.forwarder.counters()
        return (
            self.sent(),
            self.arrivals(),
            counters.__class__(
                **{
                    name: 0 if name == "unsegmented" else getattr(counters, name)
                    for name in counters.__slots__
                }
            ),
            self.forwarder.waiting(),
            [
                (
                    self.forwarder.gated(ssrc),
                    self.forwarder.key_frames(ssrc),
                    [self.forwarder.is_gated(ssrc, leg) for leg in (ALICE, BOB, CAROL)],
                    self.came(ssrc),
                )
                for ssrc in (SSRC, OTHER, Ssrc(7))
            ],
            self.do(("position_of", SSRC)),
        )

    def came(self, ssrc):
        """What is known of a stream's arrivals; times as precise as they are."""
        return [
            (came.position, round(came.when, 3), came.size, came.late, came.discardable)
            for came in self.forwarder.arrivals(ssrc, 0, self.rig.now())
        ]

    def position_of(self, ssrc):
        """Where a stream is."""
        return self.forwarder.position(ssrc)


@skipIf(_relay is None, "the native relay is not built")
class DifferentialTests(SynchronousTestCase):
    """The same datagrams and commands in, the same datagrams and counts out."""

    def check_sums(self, counters, all_there):
        """What the streams and destinations dropped is in the forwarder's drops.

        :param all_there: no stream and no destination is gone with its counts.
        """
        streams = counters.streams
        for reasons, counts in (
            (STREAM_DROPS, [stream.drops for stream in streams]),
            (COPY_DROPS, [each.drops for s in streams for each in s.destinations]),
        ):
            self.assertLessEqual({name for each in counts for name in each}, reasons)
            for reason in reasons:
                apart = sum(each.get(reason, 0) for each in counts)
                whole = counters.drops.get(reason, 0)
                # Of an RTP packet that is too short no SSRC is read.
                if all_there and reason is not Drop.MALFORMED_RTP:
                    self.assertEqual(apart, whole, reason)
                self.assertLessEqual(apart, whole, reason)

    def compare(self, given_commands, limit):
        """Drive both and hold them against each other after each command."""
        twins = Twin(PortableRig(limit)), Twin(NativeRig(limit))
        all_there = True
        for command in given_commands:
            all_there = all_there and command[0] not in ("close", "remove")
            portable, native = (twin.do(command) for twin in twins)
            self.assertEqual(portable, native, command)
            portable, native = (twin.state() for twin in twins)
            self.assertEqual(portable, native, command)
            self.check_sums(native[2], all_there)

    def test_corpus(self):
        """What once broke a parser, what is right and what is wrong, at every
        length, under the SSRC of a stream."""
        for file in sorted([*CORPUS.glob("*.bin"), *GOLDEN.glob("*.bin")]):
            data = file.read_bytes()
            batch = [(data[:end], 1) for end in range(min(len(data), 300) + 1)]
            for kind in (AUDIO, VIDEO):
                opened = [
                    ("open", Ssrc(int.from_bytes(ssrc, "big")), kind)
                    for ssrc in {data[4:8], data[8:12]}
                ]
                given_commands = [
                    ("batch", batch[start : start + 60])
                    for start in range(0, len(batch), 60)
                ]
                self.compare(
                    [*BEGINNING, *opened, *given_commands, ("take", 1000)], NO_LIMIT
                )

    @settings(deadline=None, max_examples=100)
    @given(st.lists(commands, max_size=25))
    def test_sameInSameOut(self, given_commands):
        """Whatever comes, in whatever order."""
        self.compare(BEGINNING + given_commands, NO_LIMIT)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(commands, max_size=25))
    def test_withLimits(self, given_commands):
        """With limits that are met soon; each stream has its own publisher, since
        those of one may be served in another order within a batch."""
        self.compare([*map(publish_apart, BEGINNING + given_commands)], SMALL)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(commands, max_size=25))
    def test_sharedLimits(self, given_commands):
        """Streams of one publisher share its limit; datagrams come one by one,
        which leaves no choice of order."""
        singly = []
        for name, *arguments in BEGINNING + given_commands:
            if name == "batch":
                singly += [("batch", [each]) for each in arguments[0]]
            else:
                singly.append((name, *arguments))
        self.compare(singly, SMALL)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.just("batch"), batches), max_size=12))
    def test_bytesOfAllKinds(self, given_commands):
        """Datagrams alone, more of them."""
        self.compare(BEGINNING + given_commands, NO_LIMIT)
