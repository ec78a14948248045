"""The native relay's threads, with real sockets on the loopback.

The traffic goes in windows: what was sent is received before the next is sent,
so that no buffer overflows and nothing waits for a time to pass.
"""

import errno
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from statistics import median
from unittest import skipIf

from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.ids import SessionId, Ssrc
from anychat.media.demux import Kind
from anychat.media.path import UPWARD, Path
from anychat.media.port import PortSettings
from anychat.media.relay import (
    NativeRelay,
    PortableRelay,
    RelaySettings,
    maker,
)
from anychat.media.ring import Filled, Missing
from anychat.media.source_limit import SourceLimit
from test.media.test_port import Readers, has_ipv6
from test.media.test_routes import ALICE, AUDIO, BOB, SSRC, VIDEO, rtcp, rtp

try:
    from anychat.media import native
except ImportError:
    native = None

#: Seconds that a datagram may take before a test gives up.
PATIENCE = 20.0
WINDOW = 32
SOL_UDP = 17
UDP_SEGMENT, UDP_GRO = 103, 104
SO_NO_CHECK = 11
#: Exit code of a script that could not prepare its network.
NOT_HERE = 77


def peer(host="127.0.0.1"):
    """A socket that waits for what is sent to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((host, 0))
    made.settimeout(PATIENCE)
    return made


class Reactor(Readers):
    """What of a reactor the relay uses."""

    def __init__(self):
        self.clock = Clock()
        self.callLater = self.clock.callLater


class ThreadTestsMixin:
    """A relay whose threads run."""

    threads = 1
    coalesce = 0

    def setUp(self):
        """One publisher."""
        self.reactor = Reactor()
        self.looks = 0
        self.relay = self.make("127.0.0.1")
        self.addCleanup(self.relay.stop)
        self.lines = self.relay.start()
        self.forwarder = self.relay.forwarder
        self.publisher = self.peer()

    def make(self, *interfaces, number=0, short_slice=False):
        """A relay that is not started."""
        settings = PortSettings(
            number, interfaces, receive_buffer=1 << 20, send_buffer=1 << 20
        )
        return NativeRelay(
            self.reactor,
            settings,
            self.look,
            self.reactor.clock.seconds,
            threads=self.threads,
            coalesce=self.coalesce,
            short_slice=short_slice,
            limit=SourceLimit(0, 0),
        )

    def look(self):
        """Something was put aside."""
        self.looks += 1

    def peer(self, host="127.0.0.1"):
        """Closed after the test."""
        made = peer(host)
        self.addCleanup(made.close)
        return made

    def open(self, *receivers, kind=AUDIO, ssrc=SSRC):
        """Open a stream of the publisher's."""
        self.forwarder.open_stream(ssrc, kind, self.publisher.getsockname())
        for leg, receiver in enumerate(receivers, 1):
            path = Path(receiver.getsockname())
            self.forwarder.add_destination(ssrc, SessionId(leg), path, False)

    def send(self, data, publisher=None):
        """From the publisher."""
        address = "127.0.0.1", self.relay.number
        (publisher or self.publisher).sendto(data, address)

    def send_run(self, datagrams):
        """Datagrams of one length, which arrive at once."""
        size = struct.pack("=H", len(datagrams[0]))
        try:
            self.publisher.sendmsg(
                [b"".join(datagrams)],
                [(SOL_UDP, UDP_SEGMENT, size)],
                0,
                ("127.0.0.1", self.relay.number),
            )
        except OSError as error:
            raise SkipTest(f"no UDP_SEGMENT here: {error}") from error

    def settled(self, question):
        """Wait until something of the threads' can be seen."""
        end = time.monotonic() + PATIENCE
        while not question():
            self.assertLess(time.monotonic(), end, "gave up waiting")
            os.sched_yield()


class TrafficTestsMixin(ThreadTestsMixin):
    """Whatever the number of threads."""

    def test_forwards(self):
        """Every copy arrives, byte for byte and in order."""
        receivers = [self.peer() for _ in range(3)]
        self.open(*receivers)
        for start in range(0, 20 * WINDOW, WINDOW):
            window = [
                rtp(number, payload=bytes((number * 37) % 900))
                for number in range(start, start + WINDOW)
            ]
            for data in window:
                self.send(data)
            for receiver in receivers:
                self.assertEqual([receiver.recv(2048) for _ in window], window)
        counters = self.forwarder.counters()
        self.assertEqual(counters.drops, {})
        self.settled(lambda: self.forwarder.counters().forwarded == 3 * 20 * WINDOW)

    def test_runs(self):
        """Packets that come together arrive one by one, in order."""
        receivers = [self.peer() for _ in range(3)]
        self.open(*receivers)
        for start in range(0, 10 * 50, 50):
            run = [
                rtp(number, payload=bytes(300)) for number in range(start, start + 50)
            ]
            self.send_run(run)
            for receiver in receivers:
                self.assertEqual([receiver.recv(2048) for _ in run], run)

    def test_kernelThatRefusesRuns(self):
        """Copies arrive all the same, and the refusal is remembered."""
        for group in self.relay._sockets.groups:
            for bound in group:
                # UDP_SEGMENT needs the checksums that this turns off.
                bound.socket.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        receiver = self.peer()
        self.open(receiver)
        for start in range(0, 200, 50):
            run = [rtp(number) for number in range(start, start + 50)]
            self.send_run(run)
            self.assertEqual([receiver.recv(2048) for _ in run], run)
        counters = self.forwarder.counters()
        self.assertLessEqual(counters.unsegmented, 1)
        self.assertEqual(counters.drops, {})

    def listen(self, passed=1.0):
        """Wait for the bell, as the reactor does."""
        (bell,) = self.reactor
        self.reactor.clock.advance(passed)
        self.assertEqual(select.select([bell], [], [], PATIENCE)[0], [bell])
        bell.doRead()

    def test_goesUp(self):
        """The bell rings for what is put aside: STUN, RTCP, losses."""
        self.open()
        stun = bytes((0, 1, 0, 0)) + bytes(16)
        self.send(stun)
        self.listen()
        (datagram,) = self.forwarder.take(Kind.STUN, 9)
        local = socket.inet_aton("127.0.0.1")
        self.assertEqual(datagram.data, stun)
        self.assertEqual(datagram.path, Path(self.publisher.getsockname(), local))
        self.assertLess(abs(datagram.now - time.monotonic()), PATIENCE)
        self.send(rtcp(201, 7))
        self.listen()
        self.assertEqual(len(self.forwarder.take(Kind.RTCP, 9)), 1)
        self.send(rtp(1))
        self.send(rtp(5))
        self.listen()
        (missing,) = self.forwarder.take_arrivals(9)
        self.assertEqual(missing, Missing(SSRC, 2, 3, missing.now))
        self.send(rtp(3))
        self.listen()
        (filled,) = self.forwarder.take_arrivals(9)
        self.assertEqual(filled, Filled(SSRC, 3, filled.now))
        self.assertFalse(self.forwarder.waiting())

    def test_ringsOften(self):
        """A bell that rings often is left silent, and Python looks by a timer,
        until there is nothing."""
        (bell,) = self.reactor
        clock = self.reactor.clock
        stun = bytes((0, 1, 0, 0)) + bytes(16)
        for passed in (1.0, native.PAUSE / 2):
            self.send(stun)
            self.listen(passed)
            self.assertEqual(len(self.forwarder.take(Kind.STUN, 9)), 1)
        for _ in range(3):
            self.assertEqual(len(clock.getDelayedCalls()), 1)
            looks = self.looks
            self.send(stun)
            self.settled(self.forwarder.waiting)
            self.assertEqual(select.select([bell], [], [], 0)[0], [])
            self.assertEqual(self.looks, looks)
            clock.advance(native.PAUSE)
            self.assertEqual(self.looks, looks + 1)
            self.assertEqual(len(self.forwarder.take(Kind.STUN, 9)), 1)
        clock.advance(native.PAUSE)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.send(stun)
        self.listen()
        self.assertEqual(len(self.forwarder.take(Kind.STUN, 9)), 1)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_stopsWhileTheBellIsSilent(self):
        """No timer is left."""
        for _ in range(2):
            self.send(bytes((0, 1, 0, 0)) + bytes(16))
            self.listen(0)
        self.assertEqual(len(self.reactor.clock.getDelayedCalls()), 1)
        self.relay.stop()
        self.assertEqual(self.reactor.clock.getDelayedCalls(), [])

    def test_copiesGoUp(self):
        """A destination in Python hears the bell too."""
        self.open()
        self.forwarder.add_destination(SSRC, BOB, UPWARD, False)
        self.send(rtp(1))
        self.listen()
        (copy,) = self.forwarder.take_copies(9)
        self.assertEqual((copy.ssrc, copy.leg, copy.data), (SSRC, BOB, rtp(1)))

    def test_retransmits(self):
        """What Python orders a thread does."""
        receiver = self.peer()
        self.open(receiver)
        for number in range(5):
            self.send(rtp(number))
            receiver.recv(2048)
        asked = self.forwarder.retransmit(SSRC, ALICE, [3, 1, 99], time.monotonic())
        self.assertEqual(asked, 3)
        self.relay.settle()
        self.assertEqual([receiver.recv(2048) for _ in range(2)], [rtp(3), rtp(1)])
        self.settled(lambda: self.forwarder.counters().retransmitted == 2)

    def test_routesChangeUnderLoad(self):
        """While others come and go, one who stays gets everything once; one
        who comes and goes gets nothing twice."""
        stays, goes = self.peer(), self.peer()
        goes.setblocking(False)
        self.open(stays)
        done = threading.Event()
        trouble = []

        def change():
            forwarder = self.forwarder
            path = Path(goes.getsockname())
            try:
                while not done.is_set():
                    forwarder.add_destination(SSRC, BOB, path, False)
                    for ssrc in range(900, 920):
                        forwarder.open_stream(Ssrc(ssrc), VIDEO, None)
                    forwarder.move_destination(SSRC, ALICE, Path(*alice))
                    forwarder.move_source(SSRC, self.publisher.getsockname())
                    forwarder.counters()
                    for ssrc in range(900, 920):
                        forwarder.close_stream(Ssrc(ssrc))
                    forwarder.remove_destination(SSRC, BOB)
                    # The interpreter's lock is not fair: a thread that drops
                    # it often and never waits starves one that waits for it.
                    time.sleep(1e-5)
            except Exception as problem:
                trouble.append(problem)

        alice = (stays.getsockname(), b"")
        changes = threading.Thread(target=change)
        changes.start()
        try:
            got = []
            for start in range(0, 100 * WINDOW, WINDOW):
                window = [rtp(number) for number in range(start, start + WINDOW)]
                self.send_run(window)
                self.assertEqual([stays.recv(2048) for _ in window], window)
                try:
                    while True:
                        got.append(goes.recv(2048))
                except BlockingIOError:
                    pass
        finally:
            done.set()
            changes.join()
        self.assertEqual(trouble, [])
        self.assertEqual(len(got), len(set(got)))
        self.assertEqual(got, sorted(got, key=lambda data: data[2:4]))
        self.assertEqual(self.forwarder.counters().drops, {})

    def test_changesAreQuick(self):
        """One of 1,000 destinations comes and goes without the others being
        touched one by one, while the stream runs; the bench has the figure."""
        sink = self.peer()
        self.open()
        path = Path(sink.getsockname())
        for leg in range(1000):
            self.forwarder.add_destination(SSRC, SessionId(leg), path, False)
        took = []
        for number in range(100):
            self.send(rtp(number))
            start = time.thread_time()
            self.forwarder.remove_destination(SSRC, SessionId(500))
            self.forwarder.add_destination(SSRC, SessionId(500), path, False)
            took.append((time.thread_time() - start) / 2)
        self.assertLess(median(took), 5e-3)

    def test_stopsUnderLoad(self):
        """Stopping and starting while datagrams pour in; nothing is left open."""
        sink = self.peer()
        self.open(sink, kind=VIDEO)
        done = threading.Event()

        def pour():
            stun, number = bytes(20), 0
            while not done.is_set():
                for data in (rtp(number), rtp(number), rtcp(201, 7), stun):
                    self.send(data)
                number += 1

        flood = threading.Thread(target=pour)
        flood.start()
        files = len(os.listdir("/proc/self/fd"))
        try:
            for _ in range(20):
                self.forwarder.retransmit(SSRC, ALICE, [1, 2], time.monotonic())
                self.relay.stop()
                self.assertEqual(self.reactor, [])
                self.relay.start()
        finally:
            done.set()
            flood.join()
        self.assertEqual(len(os.listdir("/proc/self/fd")), files)
        self.relay.stop()
        self.relay.stop()
        self.assertEqual(
            [each.name for each in threading.enumerate() if "media" in each.name], []
        )

    def test_secondServer(self):
        """The port is refused to another, though threads share it."""
        other = self.make("127.0.0.1", number=self.relay.number)
        error = self.assertRaises(CannotListenError, other.start)
        self.assertEqual(error.socketError.errno, errno.EADDRINUSE)
        portable = PortableRelay(
            Readers(),
            PortSettings(self.relay.number, ("127.0.0.1",)),
            lambda: None,
            time.monotonic,
        )
        self.assertRaises(CannotListenError, portable.start)

    def test_forkBeforeStart(self):
        """A server that goes into the background forks after it was made."""
        relay = self.make("127.0.0.1")
        receiver = self.peer()
        relay.forwarder.open_stream(SSRC, AUDIO, self.publisher.getsockname())
        self.relay.stop()
        child = os.fork()
        if not child:
            code = 1
            try:
                relay.start()
                path = Path(receiver.getsockname())
                relay.forwarder.add_destination(SSRC, ALICE, path, False)
                self.publisher.sendto(rtp(1), ("127.0.0.1", relay.number))
                code = receiver.recv(2048) != rtp(1)
                relay.stop()
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_destinationThatIsGone(self):
        """What the network refuses costs the others nothing."""
        receiver = self.peer()
        self.open(receiver)
        with peer() as gone:
            closed = gone.getsockname()
        for leg, address in ((7, closed), (8, ("255.255.255.255", 9))):
            self.forwarder.add_destination(SSRC, SessionId(leg), Path(address), False)
        for number in range(WINDOW):
            self.send(rtp(number))
            self.assertEqual(receiver.recv(2048), rtp(number))

    def test_families(self):
        """A host with all its addresses: each is answered from the one asked,
        IPv4 and IPv6 in one stream."""
        if not has_ipv6():
            raise SkipTest("no IPv6 on this machine")
        self.relay.stop()
        self.relay = self.make("0.0.0.0", "::")
        self.addCleanup(self.relay.stop)
        self.relay.start()
        forwarder = self.forwarder = self.relay.forwarder
        four, six = self.peer(), self.peer("::1")
        self.open(four)
        stun = bytes(20)
        for leg, host, client in ((5, "127.0.0.7", self.peer()), (6, "::1", six)):
            client.sendto(stun, (host, self.relay.number))
            self.settled(forwarder.waiting)
            (datagram,) = forwarder.take(Kind.STUN, 9)
            forwarder.add_destination(SSRC, SessionId(leg), datagram.path, False)
            self.send_run([rtp(leg * 10), rtp(leg * 10 + 1)])
            for number in range(2):
                data, source = client.recvfrom(2048)
                self.assertEqual(data, rtp(leg * 10 + number))
                self.assertEqual(source[:2], (host, self.relay.number))


@skipIf(NativeRelay is None, "the native relay is not built")
class OneThreadTests(TrafficTestsMixin, SynchronousTestCase):
    """The default on two cores."""

    def test_lines(self):
        """The log is told what forwards."""
        self.assertEqual(
            self.lines, ["Media is forwarded by the native relay (1 thread)"]
        )

    def test_shortSlice(self):
        """The log is told whether the kernel grants it."""
        relay = self.make("127.0.0.1", short_slice=True)
        self.addCleanup(relay.stop)
        _, line = relay.start()
        self.assertRegex(line, r"^(Warning:)?MediaScheduling=slice was (not )?granted")

    def test_inOnePiece(self):
        """A run leaves as one UDP_SEGMENT send: a receiver that joins what
        arrives (UDP_GRO) sees it whole."""
        receiver = self.peer()
        try:
            receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
        except OSError as error:
            raise SkipTest(f"no UDP_GRO here: {error}") from error
        self.open(receiver)
        run = [rtp(number) for number in range(40)]
        self.send_run(run)
        data = b""
        sends = 0
        while len(data) < len(b"".join(run)):
            data += receiver.recv(65536)
            sends += 1
        self.assertEqual(data, b"".join(run))
        self.assertLess(sends, 20)


@skipIf(NativeRelay is None, "the native relay is not built")
class CoalescingTests(TrafficTestsMixin, SynchronousTestCase):
    """With a wait after each batch."""

    coalesce = 300

    def test_fillsSegments(self):
        """What comes one by one within the wait leaves in one piece."""
        receiver = self.peer()
        try:
            receiver.setsockopt(SOL_UDP, UDP_GRO, 1)
        except OSError as error:
            raise SkipTest(f"no UDP_GRO here: {error}") from error
        self.open(receiver)
        number, end = 0, time.monotonic() + PATIENCE
        joined = False
        while not joined:
            # If this thread is held up for long, they come one by one after all.
            self.assertLess(time.monotonic(), end, "never joined")
            window = [rtp(number + each) for each in range(WINDOW)]
            number += WINDOW
            for data in window:
                self.send(data)
            expected, data = b"".join(window), b""
            while len(data) < len(expected):
                piece = receiver.recv(65536)
                joined = joined or len(piece) >= 4 * len(window[0])
                data += piece
            self.assertEqual(data, expected)


@skipIf(NativeRelay is None, "the native relay is not built")
class ThreeThreadsTests(TrafficTestsMixin, SynchronousTestCase):
    """They share the port."""

    threads = 3

    def test_lines(self):
        """The log is told how many there are."""
        self.assertEqual(
            self.lines, ["Media is forwarded by the native relay (3 threads)"]
        )

    def test_manyPublishers(self):
        """Whichever thread a flow comes to, every stream is forwarded."""
        receiver = self.peer()
        publishers = [self.peer() for _ in range(32)]
        for number, publisher in enumerate(publishers):
            ssrc = Ssrc(1000 + number)
            self.forwarder.open_stream(ssrc, AUDIO, publisher.getsockname())
            path = Path(receiver.getsockname())
            self.forwarder.add_destination(ssrc, ALICE, path, False)
        for turn in range(20):
            sent = set()
            for number, publisher in enumerate(publishers):
                data = rtp(turn, ssrc=1000 + number)
                self.send(data, publisher)
                sent.add(data)
            self.assertEqual({receiver.recv(2048) for _ in publishers}, sent)
        self.settled(lambda: self.forwarder.counters().forwarded == 20 * 32)

    def test_flowMovesBetweenThreads(self):
        """A publisher that is bound anew goes on where it was: window, cache
        and position are the stream's, not a thread's."""
        receiver = self.peer()
        self.open(receiver)
        number = 0
        for turn in range(60):
            moved = self.peer()
            self.forwarder.move_source(SSRC, moved.getsockname())
            for _ in range(8):
                for _ in range(2):
                    self.send(rtp(number), moved)
                self.assertEqual(receiver.recv(2048), rtp(number))
                number += 1
            if turn % 10 == 9:
                asked = [number - 1, number - 15]
                self.forwarder.retransmit(SSRC, ALICE, asked, time.monotonic())
                self.relay.settle()
                self.assertEqual(
                    [receiver.recv(2048) for _ in asked], [rtp(each) for each in asked]
                )
        self.assertEqual(self.forwarder.position(SSRC), (0, number - 1))
        # The second of two may come when the source has moved on.
        self.settled(lambda: sum(self.forwarder.counters().drops.values()) == number)
        self.assertEqual((self.stream().packets, self.stream().missing), (number, 0))

    def test_flowAtTwoThreads(self):
        """Packets of one stream at two threads at once are forwarded once."""
        receiver = self.peer()
        self.open(receiver)
        publishers = [self.peer() for _ in range(8)]
        for number in range(100):
            publisher = publishers[number % len(publishers)]
            self.forwarder.move_source(SSRC, publisher.getsockname())
            for each in publishers:
                self.send(rtp(number), each)
            self.assertEqual(receiver.recv(2048), rtp(number))
        receiver.setblocking(False)
        self.assertRaises(BlockingIOError, receiver.recv, 2048)

    def stream(self):
        """The counters of the only stream."""
        (stream,) = self.forwarder.counters().streams
        return stream


@skipIf(NativeRelay is None, "the native relay is not built")
class OwnNetworkTests(SynchronousTestCase):
    """A network of its own."""

    def run_alone(self, program, *preparation):
        """What a program prints there."""
        alone = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
        script = (
            f"{{ {' && '.join(preparation)}; }} || exit {NOT_HERE}; "
            f"exec {sys.executable} -m test.media.{program}"
        )
        try:
            subprocess.run([*alone, "ip", "link"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SkipTest(f"no network of its own: {error}") from error
        done = subprocess.run(
            [*alone, "sh", "-c", script],
            cwd=pathlib.Path(__file__).resolve().parent.parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == NOT_HERE:
            raise SkipTest(f"no such network: {done.stderr}")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_narrowPath(self):
        """Where segments do not fit, whole datagrams go in fragments; where
        there is no way, that is counted, and the others get theirs."""
        printed = self.run_alone("narrow_path", "ip link set lo mtu 576 up")
        # Tried once, and remembered.
        self.assertEqual(printed, "unsegmented 1\n")

    def test_fullBuffer(self):
        """Where the kernel has no room, a frame is lost to its end, and that is
        counted; when it has room again the next frame arrives."""
        printed = self.run_alone(
            "full_buffer",
            "ip link set lo up",
            "ip link add wire type veth peer name end",
            "echo 100 > /proc/sys/net/ipv4/neigh/wire/retrans_time_ms",
            "ip address add 192.0.2.1/24 dev wire",
            "ip link set wire up",
            "ip link set end up",
        )
        self.assertEqual(printed, "congested\n")


@skipIf(NativeRelay is None, "the native relay is not built")
class BeginningTests(ThreadTestsMixin, SynchronousTestCase):
    """Threads that cannot be had."""

    def setUp(self):
        """Nothing runs yet."""
        self.reactor = Reactor()
        self.relay = self.make("127.0.0.1", short_slice=True)
        self.addCleanup(self.relay.stop)

    def fail_to_start(self, error):
        """It leaves no descriptor behind; returns what it says."""
        files = sorted(os.listdir("/proc/self/fd"))
        raised = self.assertRaises(error, self.relay.start)
        self.assertEqual(sorted(os.listdir("/proc/self/fd")), files)
        self.assertEqual(self.reactor, [])
        return str(raised)

    def test_noDescriptors(self):
        """What a thread has got is closed when it does not get the rest."""

        def none(*arguments):
            raise OSError(errno.EMFILE, "none left")

        thread = native._Thread
        for module, name in ((select, "epoll"), (os, "eventfd")):
            refused = []

            def begin(*arguments, module=module, name=name, refused=refused):
                # The bell has got its own by now.
                refused.append(self.patch(module, name, none))
                return thread(*arguments)

            self.patch(native, "_Thread", begin)
            self.assertIn("none left", self.fail_to_start(OSError))
            refused[0].restore()
        self.patch(native, "_Thread", lambda *two: thread(*two[:2], [-1]))
        self.fail_to_start(ValueError)
        self.patch(native, "_Thread", thread)
        self.assertEqual(len(self.relay.start()), 2)

    def test_doesNotBegin(self):
        """The start fails and says so; the thread touches nothing any more."""
        held = threading.Event()
        self.addCleanup(held.set)

        def hold(slice):
            held.wait(PATIENCE)
            return False

        self.patch(native, "BEGINNING", 0.01)
        slow = self.patch(native, "short_slice", hold)
        text = self.fail_to_start(TimeoutError)
        self.assertEqual(text, "media thread 0 did not begin in 0.01 seconds")
        (late,) = [each for each in threading.enumerate() if "media" in each.name]
        slow.restore()
        self.patch(native, "BEGINNING", PATIENCE)
        self.relay.start()
        held.set()
        late.join(PATIENCE)
        self.assertFalse(late.is_alive())


class ChoiceTests(SynchronousTestCase):
    """`relay.maker`."""

    def relay(self, settings=None, **environment):
        """What it makes, stopped after the test, and its lines."""
        make = maker(settings or RelaySettings(), environment)
        port = PortSettings(0, ("127.0.0.1",))
        relay = make(Readers(), port, lambda: None, time.monotonic)
        self.addCleanup(relay.stop)
        return relay, relay.start()

    def test_pure(self):
        """The environment may ask for the one in Python."""
        relay, lines = self.relay(ANYCHAT_PURE="1")
        self.assertIsInstance(relay, PortableRelay)
        self.assertEqual(
            lines, ["Media is forwarded by the portable relay (ANYCHAT_PURE=1)"]
        )
        relay.settle()
        self.assertEqual(relay.counters().failures, 0)

    def test_whatThereIs(self):
        """The native one if it was built, else the other, and why."""
        _, (line, *_) = self.relay()
        if NativeRelay is None:
            self.assertIn("portable relay (", line)
        else:
            self.assertIn("native relay (", line)

    def test_defaultThreads(self):
        """They leave one CPU to Python, and are no more than 8 of themselves."""
        if NativeRelay is None:
            raise SkipTest("the native relay is not built")
        for cpus, threads in ((1, 1), (2, 1), (3, 2), (9, 8), (10, 8), (128, 8)):
            self.patch(os, "sched_getaffinity", lambda _, cpus=cpus: range(cpus))
            made = maker(RelaySettings(), {})
            self.assertEqual(made.keywords["threads"], threads)
            made = maker(RelaySettings(threads=12), {})
            self.assertEqual(made.keywords["threads"], 12)

    def test_settings(self):
        """Threads as configured."""
        if NativeRelay is None:
            raise SkipTest("the native relay is not built")
        _, (line, *_) = self.relay(RelaySettings(threads=2))
        self.assertIn("(2 threads)", line)
        _, (line, *_) = self.relay(RelaySettings(short_slice=True, threads=1))
        self.assertIn("(1 thread)", line)
