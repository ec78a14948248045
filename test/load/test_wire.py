"""The ends of the load: native ones and their twins give and count the same."""

import os
import select
import socket
import struct
import threading
import time
from contextlib import contextmanager
from importlib import import_module

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.load import portable
from anychat.load.histogram import bucket_of, percentile
from anychat.load.pattern import LONGEST, SHORTEST, VIDEO, Pattern, steady
from anychat.media import rtp

try:
    native = import_module("anychat.load._wire")
except ImportError:
    native = None

#: What ends the packets of a test: it goes up, and says that all others came.
END = b"\x00\x01" + bytes(18)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two UDP sockets that send to each other."""
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for each in (one, other):
        each.bind(("127.0.0.1", 0))
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other


def packet(ssrc: int, sequence: int, delay: float = 0.0) -> bytes:
    """A packet that was sent that many seconds ago."""
    stamp = struct.pack("=Q", time.time_ns() - round(delay * 1e9))
    return rtp.RtpPacket(111, sequence, 0, ssrc, False, stamp + bytes(16)).build()


class WireTests:
    """What both must do; ``wire`` is the module."""

    wire = portable

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """A pair that is closed after the test."""
        sockets = pair()
        for each in sockets:
            self.addCleanup(each.close)
        return sockets

    # The sender.

    def send(
        self, pattern: Pattern, seconds: float, segment: bool = False, ask: bool = False
    ) -> tuple[list[rtp.RtpPacket], object]:
        """What one flow sends in that time."""
        source, sink = self.sockets()
        sender = self.wire.Sender(
            [(source, 0xABCD, 65530)], pattern, seconds, b"payload", segment
        )
        if ask:
            sender.ask_key_frame(0)
        sender.run()
        packets = []
        while select.select([sink], [], [], 0)[0]:
            data = sink.recv(2048)
            self.assertEqual(len(data), pattern.size)
            packets.append(rtp.parse(data))
        return packets, sender

    def test_bursts(self):
        """The packets of a burst are alike but for their numbers."""
        packets, sender = self.send(steady(100, 2000, 4), 0.02)
        self.assertEqual(len(packets), 40)
        self.assertEqual(
            [each.sequence for each in packets],
            [(65530 + number) % 65536 for number in range(40)],
        )
        self.assertEqual(
            [each.timestamp for each in packets], [n // 4 * 96 for n in range(40)]
        )
        self.assertEqual({each.ssrc for each in packets}, {0xABCD})
        self.assertEqual({each.payload_type for each in packets}, {111})
        self.assertEqual([each.marking for each in packets], [None] * 40)
        self.assertEqual(sender.flows()[0].sent, 40)
        # The time of the last burst counts, so that the rate is the one asked for.
        self.assertGreaterEqual(sender.took, 0.02)

    def test_segments(self):
        """In one send or one by one, the packets are the same."""
        for size in (SHORTEST, LONGEST):
            packets, _ = self.send(steady(size, 64000, 64), 0.0005, segment=True)
            numbers = [each.sequence for each in packets]
            self.assertEqual(numbers, [(65530 + n) % 65536 for n in range(64)])

    def test_frames(self):
        """Frames are marked, the first one is independent and the longest."""
        packets, sender = self.send(VIDEO["720p"], 0.05)
        self.assertEqual(len(packets), 25)
        frames = [packets[:20], packets[20:]]
        for frame, independent in zip(frames, (True, False), strict=True):
            self.assertEqual(len({each.timestamp for each in frame}), 1)
            for number, each in enumerate(frame):
                last = number == len(frame) - 1
                self.assertEqual(
                    each.marking, rtp.FrameMarking(number == 0, last, independent)
                )
                self.assertEqual(each.marker, last)
        self.assertEqual(sender.flows()[0].key_frames, 1)

    def test_keyFrameAsked(self):
        """A key frame that is asked for comes at once, the next one later."""
        _, sender = self.send(VIDEO["720p"], 0.001, ask=True)
        self.assertEqual(sender.flows()[0].key_frames, 1)

    def test_turns(self):
        """All flows send as much, and in turn."""
        sockets = [self.sockets() for _ in range(3)]
        flows = [(source, ssrc + 1, 0) for ssrc, (source, _) in enumerate(sockets)]
        sender = self.wire.Sender(flows, steady(50, 200), 0.02, b"x", False)
        sender.run()
        self.assertEqual([flow.sent for flow in sender.flows()], [4, 4, 4])

    def test_stopped(self):
        """A sender that was told to stop sends nothing more."""
        source, _ = self.sockets()
        sender = self.wire.Sender([(source, 1, 0)], steady(50, 1), 1e3, b"x", False)
        sender.stop()
        sender.run()
        self.assertEqual(sender.flows()[0].sent, 0)

    def test_nobodyListens(self):
        """What cannot be sent is counted."""
        source, sink = self.sockets()
        sink.close()
        sender = self.wire.Sender([(source, 1, 0)], steady(50, 1000), 0.01, b"x", False)
        sender.run()
        (flow,) = sender.flows()
        self.assertGreater(flow.failed, 0)
        self.assertEqual(flow.sent + flow.failed, 10)

    def test_noFlows(self):
        """There must be something to send."""
        with self.assertRaises(ValueError):
            self.wire.Sender([], steady(50, 1), 1.0, b"x", False)

    # The receiver.

    @contextmanager
    def receiving(self, users: int = 1, streams: int = 1, places: int = 1):
        """A receiver at work; afterwards all that was sent has been counted."""
        receiver = self.wire.Receiver(users, streams, places)
        thread = threading.Thread(target=receiver.run)
        sockets = [self.sockets() for _ in range(users)]
        for user, (_, sink) in enumerate(sockets):
            sink.setsockopt(socket.SOL_SOCKET, 35, 1)
            receiver.add(sink, user, 0, user)
        thread.start()
        try:
            yield receiver, [source for source, _ in sockets]
            for source, _ in sockets:
                source.send(END)
            self.taken = []
            while sum(data == END for _, data in self.taken) < users:
                if not select.select([receiver.fileno()], [], [], 10)[0]:
                    raise AssertionError("the packets do not come")
                os.eventfd_read(receiver.fileno())
                self.taken += receiver.take()
        finally:
            receiver.stop()
            thread.join(10)

    def test_counts(self):
        """Every packet counts once, at its place, with its delay."""
        with self.receiving(2, 2, 4) as (receiver, (one, two)):
            receiver.open(7, 0, 0)
            receiver.open(8, 0, 2)
            for number in range(3):
                one.send(packet(8, number, 0.25))
            two.send(packet(7, 9, 0.25))
        self.assertEqual(receiver.received(0, 2), [0, 1])
        self.assertEqual(receiver.received(2, 2), [3, 0])
        arrivals = receiver.arrivals()
        self.assertEqual((arrivals.packets, arrivals.bytes), (4, 4 * 36))
        delay = percentile(arrivals.latency, 0.5)
        assert delay is not None
        self.assertTrue(0.24 < delay < 1.0, delay)

    def test_order(self):
        """Late ones count, doubles do not, and far too late ones neither."""
        with self.receiving() as (receiver, (source,)):
            receiver.open(7, 0, 0)
            for number in (65534, 65535, 1, 0, 65533, 1, 65534, 2000, 1999, 1, 1999):
                source.send(packet(7, number))
        arrivals = receiver.arrivals()
        self.assertEqual(arrivals.packets, 7)
        self.assertEqual((arrivals.doubles, arrivals.late), (3, 1))

    def test_turnOfNumbers(self):
        """Two turns of the sequence number lose nothing and double nothing."""
        with self.receiving() as (receiver, (source,)):
            receiver.open(7, 0, 0)
            for number in range(0, 2 << 16, 997):
                source.send(packet(7, number & 0xFFFF))
        count = len(range(0, 2 << 16, 997))
        self.assertEqual(receiver.received(0, 1), [count])

    def test_misrouted(self):
        """Other streams, other rooms and garbage are told apart."""
        with self.receiving() as (receiver, (source,)):
            receiver.open(7, 1, 0)
            source.send(packet(7, 1))
            source.send(packet(8, 1))
            source.send(packet(0, 1))
            source.send(bytes(4 * [0x80]))
            source.send(packet(7, 1)[:19])
            source.send(b"\x90" + packet(7, 1)[1:14])
            source.send(b"\x90" + packet(7, 1)[1:12] + b"\xbe\xde\xff\xff" + bytes(20))
            source.send(b"\x40" + bytes(30))
        arrivals = receiver.arrivals()
        self.assertEqual(arrivals.packets, 0)
        self.assertEqual((arrivals.strangers, arrivals.unknown), (1, 2))
        self.assertEqual(arrivals.malformed, 5)

    def test_passedUp(self):
        """STUN and RTCP go up as they came, with their user."""
        report, request = b"\x80\xc8" + bytes(50), b"\0\x01" + bytes(30)
        with self.receiving(2) as (_, (one, two)):
            two.send(report)
            one.send(request)
        self.assertEqual(
            set(self.taken) - {(0, END), (1, END)}, {(1, report), (0, request)}
        )

    def test_openedTwice(self):
        """One SSRC is one stream."""
        receiver = self.wire.Receiver(1, 2, 2)
        receiver.open(7, 0, 0)
        self.assertRaises(ValueError, receiver.open, 7, 0, 1)


class PortableWireTests(WireTests, SynchronousTestCase):
    """The twins."""


class NativeWireTests(WireTests, SynchronousTestCase):
    """The native ends."""

    wire = native

    def setUp(self):
        """They are optional."""
        if native is None:
            raise SkipTest("the extension is not built")

    @settings(deadline=None)
    @given(st.integers(-(1 << 62), 1 << 62))
    def test_buckets(self, nanoseconds):
        """The buckets are those of `histogram`."""
        self.assertEqual(native.bucket_of(nanoseconds), bucket_of(nanoseconds))

    def test_bounds(self):
        """Arguments that would reach beyond the buffers are refused."""
        source, sink = self.sockets()
        for pattern in (steady(43, 1), steady(1201, 1), steady(99, 1, 65)):
            with self.assertRaises(ValueError):
                native.Sender([(source, 1, 0)], pattern, 1.0, b"x", False)
        with self.assertRaises(ValueError):
            native.Sender([(source, 1, 0)], steady(99, 1), 1.0, b"", False)
        sender = native.Sender([(source, 1, 0)], steady(99, 1), 1.0, b"x", False)
        self.assertRaises(IndexError, sender.ask_key_frame, 1)
        receiver = native.Receiver(1, 1, 1)
        self.assertRaises(OSError, receiver.add, sink, 1, 0, 0)
        self.assertRaises(OSError, receiver.add, sink, 0, 0, -1)
        self.assertRaises(IndexError, receiver.received, 0, 2)
        self.assertRaises(IndexError, receiver.received, -1, 1)
        # Never found at a place that there is not.
        receiver.open(7, 0, 5)
