"""Tests for `anychat.client.media.jitter`."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.jitter import (
    CAPACITY,
    MAXIMUM,
    MINIMUM,
    ArrivalClock,
    JitterBuffer,
)
from anychat.media.rtp import FrameMarking, RtpPacket

RATE = 90_000
STEP = 6_000


def video(index, timestamp, start=True, end=True, key=False):
    """A packet of video."""
    return RtpPacket(
        96,
        index & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        1,
        end,
        b"%d" % index,
        FrameMarking(start, end, key),
    )


def audio(index):
    """A packet of audio, 20 ms after the one before."""
    return RtpPacket(111, index & 0xFFFF, index * 960 & 0xFFFFFFFF, 1, False, b"x")


class VideoTests(SynchronousTestCase):
    """Frames form a chain that begins with a key frame."""

    def setUp(self):
        self.buffer = JitterBuffer(RATE, True, 0.0)

    def put(self, index, now, **marking):
        """Insert a frame of one packet."""
        self.buffer.insert(video(index, index * STEP, **marking), index, now)

    def taken(self, now):
        """What comes out, by the number of its last packet."""
        return [int(frame.payloads[-1]) for frame in self.buffer.take(now)]

    def start(self):
        """Let the stream begin at index 0, time 0."""
        self.put(0, 0.0, key=True)
        self.assertEqual(self.taken(0.0), [0])

    def test_firstKeyFrameAtOnce(self):
        """The first key frame is shown as soon as it is whole."""
        self.buffer.insert(video(5, 0, end=False, key=True), 5, 0.0)
        self.assertEqual(self.taken(0.0), [])
        self.buffer.insert(video(6, 0, start=False, key=True), 6, 0.01)
        self.assertEqual(self.taken(0.01), [6])

    def test_nothingBeforeAKeyFrame(self):
        """What does not decode is not released."""
        self.put(1, 0.0)
        self.put(2, 0.066)
        self.assertEqual(self.taken(0.5), [])
        self.put(3, 0.2, key=True)
        self.assertEqual(self.taken(0.5), [3])
        self.assertEqual(self.buffer.waiting, 0)

    def test_framesAreSpacedByTheirTimestamps(self):
        """A frame that comes early waits for its time."""
        self.start()
        self.put(1, 0.01)
        due = self.buffer.next_timeout()
        # The second came 57 ms early, which is the new baseline.
        self.assertEqual(self.taken(due - 0.001), [])
        self.assertEqual(self.taken(due + 1e-9), [1])
        self.assertAlmostEqual(due, 0.010 + self.buffer.target)

    def test_reorderedWithinAFrame(self):
        """Packets come out in their order, not in the order they came in."""
        self.start()
        self.buffer.insert(video(2, STEP, start=False), 2, 0.07)
        self.buffer.insert(video(1, STEP, end=False), 1, 0.08)
        frames = self.buffer.take(0.5)
        self.assertEqual([frame.payloads for frame in frames], [(b"1", b"2")])

    def test_gapIsWaitedFor(self):
        """A frame that is repaired in time loses nothing."""
        self.start()
        for index in (1, 3, 4):
            self.put(index, index / 15)
        self.assertEqual(self.taken(0.4), [1])
        self.put(2, 0.4)
        self.assertEqual(self.taken(0.5), [2, 3, 4])

    def test_leftOut(self):
        """A frame that is not to come is not waited for, whenever that is said."""
        self.start()
        self.buffer.leave_out(1)
        for index in (2, 4, 5):
            self.put(index, index / 15)
        self.assertEqual(self.taken(0.2), [2])
        self.assertEqual(self.taken(0.5), [])
        self.buffer.leave_out(3)
        self.assertEqual(self.taken(0.5), [4, 5])
        self.assertFalse(self.buffer.key_frame_wanted(2.0))
        self.assertFalse(self.buffer.seeking)

    def lose(self):
        """Let frame 1 be lost; returns when that has lasted too long."""
        self.start()
        for index in range(2, 7):
            self.put(index, index / 15)
        overdue = 2 / 15 + MAXIMUM
        self.assertEqual(self.taken(overdue - 0.01), [])
        self.assertFalse(self.buffer.key_frame_wanted(overdue - 0.01))
        self.assertAlmostEqual(self.buffer.next_timeout(), overdue)
        self.assertTrue(self.buffer.key_frame_wanted(overdue + 0.01))
        self.assertFalse(self.buffer.key_frame_wanted(overdue + 0.02))
        return overdue

    def test_overdueKeyFrame(self):
        """When a gap lasts too long a key frame is asked for, and shown."""
        overdue = self.lose()
        self.put(12, overdue + 0.1, key=True)
        self.assertEqual(self.taken(overdue + 0.3), [12])

    def test_overdueRepair(self):
        """If repair comes before the key frame, nothing is lost at all."""
        overdue = self.lose()
        self.put(1, overdue + 0.1)
        self.assertEqual(self.taken(overdue + 0.1), [1, 2, 3, 4, 5, 6])

    def test_gapIsGivenUp(self):
        """If neither comes, the buffer lets go and goes on asking."""
        overdue = self.lose()
        self.assertEqual(self.taken(overdue + 0.69), [])
        self.assertFalse(self.buffer.seeking)
        self.assertEqual(self.taken(overdue + 0.71), [])
        self.assertTrue(self.buffer.seeking)
        self.assertTrue(self.buffer.key_frame_wanted(overdue + 0.71))
        self.put(22, overdue + 0.8, key=True)
        self.assertEqual(self.taken(overdue + 1.0), [22])
        self.assertFalse(self.buffer.seeking)

    def test_laterKeyFrameEndsTheWait(self):
        """A key frame that is due is not kept back by a gap before it."""
        self.start()
        self.put(2, 2 / 15)
        self.put(3, 3 / 15, key=True)
        self.put(4, 4 / 15)
        frames = self.buffer.take(0.4)
        self.assertEqual([frame.payloads for frame in frames], [(b"3",), (b"4",)])

    def test_keyFrameAskedForIfNoneComes(self):
        """After 300 ms without one, then every 500 ms."""
        asked = [
            step / 100
            for step in range(200)
            if self.buffer.key_frame_wanted(step / 100)
        ]
        self.assertEqual(asked, [0.3, 0.8, 1.3, 1.8])

    def test_timeoutCoversTheRequest(self):
        """Whoever sleeps until the timeout asks in time."""
        self.assertEqual(self.buffer.next_timeout(), 0.3)

    def test_keyFrameUnderWayIsNotAskedFor(self):
        """One that has begun to come gets time to be repaired."""
        self.start()
        self.put(2, 0.2)
        self.buffer.insert(video(3, 3 * STEP, end=False, key=True), 3, 0.3)
        self.buffer.take(0.8)
        self.assertFalse(self.buffer.key_frame_wanted(0.8))
        self.buffer.take(1.4)
        self.assertTrue(self.buffer.seeking)
        self.assertFalse(self.buffer.key_frame_wanted(1.4))
        self.assertTrue(self.buffer.key_frame_wanted(1.71))

    def test_damagedKeyFrameIsAskedForAgain(self):
        """One whose missing part does not come is asked for like any other."""
        self.start()
        self.buffer.insert(video(1, STEP, end=False, key=True), 1, 0.07)
        self.put(3, 0.14)
        self.buffer.take(0.8)
        self.assertTrue(self.buffer.key_frame_wanted(0.8))

    def test_restart(self):
        """A decoder that lost its state gets a key frame next."""
        self.start()
        self.buffer.restart(0.1)
        self.put(1, 0.2)
        self.assertTrue(self.buffer.key_frame_wanted(0.2))
        self.put(2, 0.3, key=True)
        self.assertEqual(self.taken(1.0), [2])

    def test_latePacket(self):
        """A packet that was passed over does not come out any more."""
        self.start()
        self.put(2, 0.2, key=True)
        self.assertEqual(self.taken(1.0), [2])
        self.put(1, 1.0)
        self.assertEqual(self.taken(2.0), [])
        self.assertEqual(self.buffer.late, 1)

    def test_wraps(self):
        """Timestamps and sequence numbers wrap without a seam."""
        buffer = JitterBuffer(RATE, True, 0.0)
        first = 0x1FFFE
        out = []
        for step in range(6):
            index, timestamp = first + step, 0xFFFFFFFF - 2 * STEP + step * STEP
            now = step / 15
            buffer.insert(video(index, timestamp, key=step == 0), index, now)
            out += buffer.take(now + 0.06)
        stamps = [frame.timestamp for frame in out]
        self.assertEqual(len(out), 6)
        self.assertEqual({b - a for a, b in pairwise(stamps)}, {STEP})

    def test_bounded(self):
        """A stream without a key frame does not fill the memory."""
        for index in range(3 * CAPACITY):
            self.put(index, index / 1000)
            self.assertLessEqual(self.buffer.waiting, CAPACITY)

    @settings(deadline=None, max_examples=60)
    @given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.2))
    def test_anyNetwork(self, seed, loss, jitter):
        """Frames come out once, in order, whole, each chain from a key frame;
        whatever is lost, late or twice; and never before they came."""
        random = Random(seed)
        arrivals = []
        index = 0
        for number in range(60):
            parts = random.randint(1, 3)
            for part in range(parts):
                packet = RtpPacket(
                    96,
                    index,
                    number * STEP,
                    1,
                    False,
                    b"%d/%d" % (number, parts),
                    FrameMarking(part == 0, part == parts - 1, number % 20 == 0),
                )
                for _ in range(random.choice((1, 1, 1, 2))):
                    if random.random() >= loss:
                        late = random.random() * jitter
                        arrivals.append((number / 15 + late, index, packet))
                index += 1
        arrivals.sort(key=lambda arrival: arrival[:2])
        buffer = JitterBuffer(RATE, True, 0.0)
        out = []
        seen = set()
        for now, index, packet in arrivals:
            if index not in seen:
                seen.add(index)
                buffer.insert(packet, index, now)
            out += [(now, frame) for frame in buffer.take(now)]
        out += [(10.0, frame) for frame in buffer.take(10.0)]
        numbers = []
        for now, frame in out:
            number, parts = map(int, frame.payloads[0].split(b"/"))
            self.assertEqual(len(frame.payloads), parts)
            self.assertEqual(frame.independent, number % 20 == 0)
            self.assertGreaterEqual(now, number / 15 - 1e-9)
            if (numbers and number != numbers[-1] + 1) or not numbers:
                self.assertTrue(frame.independent)
            numbers.append(number)
        self.assertEqual(numbers, sorted(set(numbers)))


class AudioTests(SynchronousTestCase):
    """Packets stand alone."""

    def test_gapIsPassedOver(self):
        """A lost packet holds up nothing."""
        buffer = JitterBuffer(48_000, False, 0.0)
        out = []
        for index in range(50):
            now = index * 0.02
            if index != 20:
                buffer.insert(audio(index), index, now)
            out += [(now, frame) for frame in buffer.take(now)]
        delays = [now - (frame.timestamp - 2**32) / 48_000 for now, frame in out]
        self.assertLess(max(delays), 0.1)
        stamps = [frame.timestamp for _, frame in out]
        steps = [after - before for before, after in pairwise(stamps)]
        self.assertEqual(steps.count(2 * 960), 1)
        self.assertEqual(steps.count(960), len(steps) - 1)

    def test_repairInTime(self):
        """A packet that comes before the next one is due is used."""
        buffer = JitterBuffer(48_000, False, 0.0)
        for index in (0, 1, 3):
            buffer.insert(audio(index), index, index * 0.02)
        buffer.insert(audio(2), 2, 0.075)
        self.assertEqual(len(buffer.take(1.0)), 4)

    def test_neverSeeks(self):
        """No key frame is asked for."""
        buffer = JitterBuffer(48_000, False, 0.0)
        self.assertFalse(buffer.key_frame_wanted(10.0))
        self.assertIsNone(buffer.next_timeout())


class ArrivalClockTests(SynchronousTestCase):
    """Baseline and target."""

    def test_smoothNetwork(self):
        """The target shrinks to the least there is."""
        clock = ArrivalClock()
        for step in range(500):
            clock.observe(step * 0.02, step * 0.02 + 0.1)
        self.assertAlmostEqual(clock.baseline, 0.1)
        self.assertEqual(clock.target, MINIMUM)

    def test_jitter(self):
        """The target grows to what nearly all packets need, at once."""
        clock = ArrivalClock()
        random = Random(1)
        for step in range(100):
            clock.observe(step * 0.02, step * 0.02 + 0.1 + random.random() * 0.04)
        self.assertTrue(0.035 < clock.target < 0.05, clock.target)

    def test_bounded(self):
        """However late packets are, the target has an end."""
        clock = ArrivalClock()
        for step in range(100):
            clock.observe(step * 0.02, step * 0.02 + (step % 2) * 3.0)
        self.assertEqual(clock.target, MAXIMUM)

    def test_drift(self):
        """Clocks that drift apart are followed, both ways."""
        for drift in (0.001, -0.001):
            clock = ArrivalClock()
            for step in range(3000):
                now = step * 0.02
                clock.observe(now * (1 + drift), now)
            self.assertLess(abs(clock.baseline + 60 * drift), 0.015)
            self.assertLess(clock.target, 0.05)

    def test_jumpAhead(self):
        """A sender whose timestamps jump ahead is followed at once."""
        clock = ArrivalClock()
        clock.observe(0.0, 0.0)
        clock.observe(100.0, 0.02)
        self.assertAlmostEqual(clock.baseline, -99.98)
