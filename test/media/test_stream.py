"""The state of one stream; what becomes of it in a forwarder is in `test_routes`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind
from anychat.ids import Ssrc
from anychat.media.counters import Drop
from anychat.media.ring import Filled, Missing
from anychat.media.source_limit import LIMIT, Allowance
from anychat.media.stream import (
    CACHE_BYTES,
    CACHE_PACKETS,
    CACHE_TIME,
    MAX_JUMP,
    WINDOW,
    Stream,
)

SSRC = Ssrc(7)


class StreamTests(SynchronousTestCase):
    """`Stream`."""

    def setUp(self):
        """A stream of audio that nobody has sent anything of."""
        self.stream = Stream(SSRC, StreamKind.AUDIO, None, None, Allowance(LIMIT))

    def place(self, sequence):
        """At a time of no importance."""
        return self.stream.place(sequence, 1.0)

    def test_gap(self):
        """What is jumped over is missing, until it comes, and then twice."""
        self.assertEqual(self.place(65_534), (65_534, None))
        self.assertEqual(self.place(1), (65_537, Missing(SSRC, 65_535, 2, 1.0)))
        self.assertEqual(self.place(0), (65_536, Filled(SSRC, 0, 1.0)))
        self.assertEqual(self.stream.missing, 1)
        self.assertIs(self.place(0), Drop.DUPLICATE)
        self.assertEqual(self.stream.highest, 65_537)

    def test_beforeTheFirst(self):
        """A packet from before the first one fills no gap."""
        self.place(WINDOW)
        self.assertEqual(self.place(WINDOW - 1), (WINDOW - 1, None))
        self.assertEqual(self.stream.missing, 0)

    def test_outside(self):
        """Behind the window, or too far ahead, there is no place."""
        self.place(2 * WINDOW)
        self.assertIs(self.place(WINDOW), Drop.LATE)
        self.assertIs(self.place(2 * WINDOW + MAX_JUMP), Drop.LATE)
        self.assertEqual(self.stream.highest, 2 * WINDOW)

    def keep(self, *sequences, size=10, now=1.0):
        """Packets that came in order."""
        for sequence in sequences:
            self.stream.highest = sequence
            self.stream.keep(sequence, bytes(size), now)

    def kept(self, *sequences, now=1.0):
        """Which of them are still there."""
        return [each for each in sequences if self.stream.kept(each, now) is not None]

    def test_keptInNumber(self):
        """The oldest goes for the one that is too many."""
        self.keep(*range(CACHE_PACKETS + 1))
        self.assertEqual(self.kept(0, 1, CACHE_PACKETS), [1, CACHE_PACKETS])

    def test_keptInBytes(self):
        """The same of bytes."""
        self.keep(0, 1, 2, size=CACHE_BYTES // 2)
        self.assertEqual(self.kept(0, 1, 2), [1, 2])

    def test_keptInTime(self):
        """What is too old is not there, whether or not it was put out."""
        self.keep(0)
        self.assertEqual(self.kept(0, now=1.0 + CACHE_TIME), [0])
        self.assertEqual(self.kept(0, now=1.5 + CACHE_TIME), [])
        self.keep(1, now=1.5 + CACHE_TIME)
        self.assertEqual(len(self.stream.order), 1)

    def test_forgetPackets(self):
        """Nothing is left, and there is room again."""
        self.keep(0, 1)
        self.stream.forget_packets()
        self.assertEqual(self.kept(0, 1), [])
        self.assertEqual(self.stream.kept_bytes, 0)
