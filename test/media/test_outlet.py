"""What waits for a TCP link, and what is left out."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.counters import Drop, Drops
from anychat.media.outlet import (
    MAX_AGE,
    MAX_BYTES,
    MAX_FRAME,
    MAX_SOUND,
    MAX_STREAMS,
    MediaOutlet,
)
from anychat.media.rtp import FrameMarking
from test.media.test_routes import rtcp, rtp

START = FrameMarking(start=True)
MIDDLE = FrameMarking()
END = FrameMarking(end=True)
KEY = FrameMarking(start=True, independent=True)


class OutletTests(SynchronousTestCase):
    """`MediaOutlet` on a clock of the test's."""

    def setUp(self):
        """An empty one."""
        self.drops = Drops()
        self.outlet = MediaOutlet(self.drops)

    def put(self, *packets, now=0.0):
        """Let them wait."""
        for packet in packets:
            self.outlet.put(packet, now)

    def all(self, now=0.0):
        """Everything that still goes out."""
        packets = []
        while (packet := self.outlet.take(now)) is not None:
            packets.append(packet)
        return packets

    def test_order(self):
        """Sound and RTCP go before pictures, each in order."""
        video = [rtp(1, START), rtp(2, MIDDLE)]
        sound = [rtp(7, ssrc=9), rtcp(200, 9), rtp(8, ssrc=9)]
        self.put(video[0], sound[0], video[1], sound[1], sound[2])
        self.assertEqual(len(self.outlet), 5)
        self.assertEqual(self.all(), sound + video)
        self.assertEqual((len(self.outlet), self.outlet.size), (0, 0))

    def test_age(self):
        """The oldest packet's age is known."""
        self.assertEqual(self.outlet.age(5.0), 0.0)
        self.put(rtp(1, START), now=1.0)
        self.put(rtp(7, ssrc=9), now=1.5)
        self.assertEqual(self.outlet.age(2.0), 1.0)

    def test_full(self):
        """Too much video: to the end of the frame, then the start of a later one."""
        size = len(rtp(1, START, payload=bytes(1100)))
        fits = MAX_BYTES // size
        self.put(rtp(0, START, payload=bytes(1100)))
        self.put(*(rtp(n, MIDDLE, payload=bytes(1100)) for n in range(1, fits + 3)))
        self.assertEqual(len(self.outlet), fits)
        self.assertEqual(self.drops[Drop.LINK_FULL], 3)
        self.all()
        # There is room, but not in the middle of a frame.
        self.put(rtp(500, MIDDLE), rtp(501, START), rtp(502, MIDDLE))
        self.assertEqual(self.all(), [rtp(501, START), rtp(502, MIDDLE)])
        self.assertEqual(self.drops[Drop.LINK_FULL], 4)

    def test_streamsSkipAlone(self):
        """One stream that skips keeps no other from going on."""
        self.put(rtp(1, START))
        self.outlet.clear()
        self.put(rtp(2, MIDDLE), rtp(3, MIDDLE, ssrc=5))
        self.assertEqual(self.all(), [rtp(3, MIDDLE, ssrc=5)])

    def test_muchSound(self):
        """Of too much sound the oldest goes."""
        size = len(rtp(1, ssrc=9, payload=bytes(1000)))
        count = MAX_SOUND // size + 2
        self.put(*(rtp(n, ssrc=9, payload=bytes(1000)) for n in range(count)))
        left = self.all()
        self.assertEqual(left[-1], rtp(count - 1, ssrc=9, payload=bytes(1000)))
        self.assertEqual(self.drops[Drop.LINK_FULL], count - len(left))

    def test_lateSound(self):
        """Sound that waited too long is left out, packet by packet."""
        self.put(rtp(1, ssrc=9), now=0.0)
        self.put(rtp(2, ssrc=9), now=0.2)
        self.assertEqual(self.all(now=MAX_AGE + 0.1), [rtp(2, ssrc=9)])
        self.assertEqual(self.drops[Drop.LINK_LATE], 1)

    def test_lateVideo(self):
        """Late video goes up to the start of a frame that is not late."""
        self.put(rtp(1, START), rtp(2, MIDDLE), now=0.0)
        self.put(rtp(3, MIDDLE), rtp(4, KEY), rtp(5, MIDDLE), now=0.3)
        left = self.all(now=MAX_AGE + 0.1)
        self.assertEqual(left, [rtp(4, KEY), rtp(5, MIDDLE)])
        self.assertEqual(self.drops[Drop.LINK_LATE], 3)

    def test_allLate(self):
        """Where no frame starts in time, the next one that comes goes on."""
        self.put(rtp(1, START), rtp(2, MIDDLE), now=0.0)
        self.assertEqual(self.all(now=1.0), [])
        self.put(rtp(3, MIDDLE), rtp(4, START), now=1.0)
        self.assertEqual(self.all(now=1.0), [rtp(4, START)])

    def test_frameGoesOn(self):
        """A frame whose beginning has gone goes on to its end, if it is late; the
        ones behind it do not."""
        self.put(rtp(1, START), rtp(2, MIDDLE), rtp(3, END), rtp(4, START))
        self.assertEqual(self.outlet.take(0.0), rtp(1, START))
        self.assertEqual(self.all(now=1.0), [rtp(2, MIDDLE), rtp(3, END)])
        self.assertEqual(self.drops[Drop.LINK_LATE], 1)

    def test_frameGoesOnToArrive(self):
        """Also where its end has not come yet."""
        self.put(rtp(1, START), rtp(2, MIDDLE))
        self.outlet.take(0.0)
        self.assertEqual(self.all(now=1.0), [rtp(2, MIDDLE)])
        self.put(rtp(3, END), now=1.0)
        self.assertEqual(self.all(now=1.0), [rtp(3, END)])

    def test_manyStreams(self):
        """However many streams begin and end, little is remembered of them."""
        for ssrc in range(1, 3 * MAX_STREAMS):
            self.put(rtp(1, START, ssrc), now=float(ssrc))
            if ssrc % 2:
                self.outlet.take(float(ssrc))
            else:
                self.put(rtp(2, START, ssrc), now=float(ssrc))
                self.outlet.clear()
        remembered = self.outlet._skipping, self.outlet._begun
        self.assertLessEqual(max(map(len, remembered)), MAX_STREAMS)
        self.assertEqual(len(self.outlet), 0)

    def test_manySmallPackets(self):
        """A long frame of small packets is not gone through for each of them."""

        class Looks(MediaOutlet):
            looks = 0

            def _leave_late(self, *arguments):
                Looks.looks += 1
                super()._leave_late(*arguments)

        self.outlet = Looks(self.drops)
        self.put(rtp(0, START), *[rtp(n, MIDDLE) for n in range(1, 2000)])
        self.assertEqual(self.outlet.take(0.0), rtp(0, START))
        self.assertEqual(len(self.all(1.0)), 1999)
        self.assertEqual(Looks.looks, 1)

    def test_frameForEver(self):
        """But not for ever."""
        self.put(rtp(1, START), rtp(2, MIDDLE), rtp(3, END))
        self.outlet.take(0.0)
        self.assertEqual(self.all(now=MAX_FRAME + 0.1), [])

    def test_malformed(self):
        """A packet whose header does not hold is left out."""
        self.put(b"\x90\x60")
        self.assertEqual(self.all(), [])
        self.assertEqual(self.drops[Drop.MALFORMED_RTP], 1)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["start", "middle", "sound", "take", "wait"]),
                st.integers(1, 3),
                st.integers(0, 1100),
            ),
            max_size=120,
        )
    )
    def test_always(self, steps):
        """Bounds hold, sizes add up, and no frame goes on after a gap in it."""
        outlet, now = MediaOutlet(Drops()), 0.0
        made, sequence = {1: 0, 2: 0, 3: 0}, {1: 0, 2: 0, 3: 0}
        broken = set()
        for what, ssrc, size in steps:
            if what == "wait":
                now += size / 1000
            elif what == "take":
                data = outlet.take(now)
                if data is not None and data[0] == 0x90:
                    number, who = data[2] << 8 | data[3], data[11]
                    starts = data[17] & 0x80
                    if number != sequence[who] + 1:
                        broken.add(who)
                    if starts:
                        broken.discard(who)
                    self.assertNotIn(who, broken)
                    sequence[who] = number
            elif what == "sound":
                outlet.put(rtp(1, ssrc=9, payload=bytes(size)), now)
            else:
                made[ssrc] += 1
                first = made[ssrc] == 1
                marking = START if what == "start" or first else MIDDLE
                packet = rtp(made[ssrc], marking, ssrc=ssrc, payload=bytes(size))
                outlet.put(packet, now)
            self.assertLessEqual(outlet.size, MAX_BYTES + MAX_SOUND)
            if not len(outlet):
                self.assertEqual(outlet.size, 0)
