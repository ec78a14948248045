"""Gaps are seen, asked for, repaired or given up, and always counted."""

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.gaps import MAX_JUMP, WINDOW, Arrival, GapTracker

#: Arrivals that carry something new.
FRESH = set(Arrival) - {Arrival.DUPLICATE, Arrival.OLD, Arrival.STRAY}


def feed(tracker, *sequences, now=0.0):
    """Give packets to a tracker and return what they turned out to be."""
    return [tracker.received(sequence, now) for sequence in sequences]


class ArrivalTests(SynchronousTestCase):
    """What a packet is."""

    def setUp(self):
        """A tracker with the usual times."""
        self.gaps = GapTracker()

    def test_nothingYet(self):
        """Before the first packet there is nothing to expect."""
        self.assertIsNone(self.gaps.highest)
        self.assertEqual(self.gaps.expected, 0)
        self.assertIsNone(self.gaps.next_timeout())
        self.assertEqual(self.gaps.due(9.0), [])

    def test_inOrder(self):
        """A stream without gaps asks for nothing, across the wrap too."""
        arrivals = feed(self.gaps, 65534, 65535, 0, 1)
        self.assertEqual(set(arrivals), {Arrival.NEW})
        self.assertEqual(self.gaps.highest, 65537)
        self.assertEqual(self.gaps.expected, 4)
        self.assertIsNone(self.gaps.next_timeout())

    def test_joinedLate(self):
        """The first packet's turn is that nearest to the given index."""
        for first, highest in ((3, 5 << 16 | 3), (65530, 4 << 16 | 65530)):
            gaps = GapTracker(reference=5 << 16)
            feed(gaps, first)
            self.assertEqual(gaps.highest, highest)

    def test_reordered(self):
        """What comes before it is asked for was only late."""
        self.assertEqual(
            feed(self.gaps, 1, 3, 2), [Arrival.NEW, Arrival.NEW, Arrival.REORDERED]
        )
        self.assertEqual(self.gaps.missing, 0)
        self.assertEqual(self.gaps.due(1.0), [])

    def test_repaired(self):
        """What comes after it was asked for is a repair."""
        feed(self.gaps, 1, 4)
        self.assertEqual(self.gaps.due(0.02), [2, 3])
        self.assertEqual(feed(self.gaps, 3, now=0.05), [Arrival.REPAIRED])
        self.assertEqual(self.gaps.repaired, 1)
        self.assertEqual(self.gaps.missing, 1)

    def test_leftOut(self):
        """What is not to come is neither missing nor lost, nor expected."""
        feed(self.gaps, 1, 5)
        self.assertEqual(self.gaps.leave_out(2), 2)
        self.assertIsNone(self.gaps.leave_out(2))
        self.assertIsNone(self.gaps.leave_out(1))
        self.assertEqual(self.gaps.due(0.02), [3, 4])
        self.assertEqual((self.gaps.expected, self.gaps.missing), (4, 2))
        self.assertEqual(feed(self.gaps, 2, now=0.05), [Arrival.DUPLICATE])

    def test_repairTime(self):
        """How long a repair took is known: less than a round trip is none."""
        feed(self.gaps, 1, 3)
        self.gaps.due(0.02)
        self.gaps.due(0.08)
        feed(self.gaps, 2, now=0.09)
        self.assertAlmostEqual(self.gaps.repair_time, 0.07)

    def test_late(self):
        """What comes after it was given up is not lost after all."""
        feed(self.gaps, 1, 3)
        self.gaps.due(1.0)
        self.assertEqual(self.gaps.lost, 1)
        self.assertEqual(feed(self.gaps, 2, now=1.1), [Arrival.LATE])
        self.assertEqual((self.gaps.lost, self.gaps.late), (0, 1))

    def test_duplicates(self):
        """What came before is told, wherever in the window."""
        feed(self.gaps, *range(WINDOW))
        self.assertEqual(feed(self.gaps, 0, 500, WINDOW - 1), [Arrival.DUPLICATE] * 3)
        self.assertEqual(self.gaps.received_count, WINDOW)
        self.assertEqual(self.gaps.duplicates, 3)

    def test_old(self):
        """What lies before the window is never taken for a restart."""
        feed(self.gaps, *range(WINDOW + 2))
        self.assertEqual(
            feed(self.gaps, 0, 1, 2), [Arrival.OLD] * 2 + [Arrival.DUPLICATE]
        )
        self.assertEqual(self.gaps.highest, WINDOW + 1)

    def test_beforeTheFirstTurn(self):
        """No packet comes before index 0."""
        feed(self.gaps, 3)
        self.assertEqual(feed(self.gaps, 65530), [Arrival.OLD])

    def test_reorderedAtTheStart(self):
        """A stream whose first packets changed places starts at the earlier one."""
        self.assertEqual(feed(self.gaps, 5, 2), [Arrival.NEW, Arrival.REORDERED])
        self.assertEqual(self.gaps.expected, 4)
        self.assertEqual(self.gaps.due(0.02), [3, 4])

    def test_stray(self):
        """One packet very far ahead is not believed, its successor is."""
        feed(self.gaps, 1)
        far = 1 + MAX_JUMP + 1
        self.assertEqual(feed(self.gaps, far), [Arrival.STRAY])
        self.assertEqual(self.gaps.highest, 1)
        self.assertEqual(feed(self.gaps, far + 1), [Arrival.NEW])
        self.assertEqual(self.gaps.highest, far + 1)
        self.assertEqual(self.gaps.received_count, 3)

    def test_straysApart(self):
        """Strays with ordinary packets between them are never believed."""
        feed(self.gaps, 1, 20000, 2, 20001, 3, 30000, 20000)
        self.assertEqual(self.gaps.highest, 3)


class AskTests(SynchronousTestCase):
    """When packets are asked for."""

    def test_reorderAllowance(self):
        """Nothing is asked for before the allowance has passed."""
        gaps = GapTracker(reorder=0.05)
        feed(gaps, 1, 3, now=10.0)
        self.assertEqual(gaps.next_timeout(), 10.05)
        self.assertEqual(gaps.due(10.049), [])
        self.assertEqual(gaps.due(10.05), [2])

    def test_repeats(self):
        """A packet is asked for again each 40 ms, or each round trip if longer."""
        gaps = GapTracker()
        feed(gaps, 1, 3)
        gaps.due(0.02)
        self.assertEqual(gaps.next_timeout(), 0.02 + 0.04)
        gaps.round_trip = 0.1
        self.assertEqual(gaps.due(0.06), [2])
        self.assertEqual(gaps.next_timeout(), 0.06 + 0.1)

    def test_givesUp(self):
        """After a second a packet is lost and nothing is left to do."""
        gaps = GapTracker()
        gaps.round_trip = 0.7
        feed(gaps, 1, 3)
        self.assertEqual(gaps.due(0.02), [2])
        self.assertEqual(gaps.due(0.72), [2])
        self.assertEqual(gaps.next_timeout(), 1.0)
        self.assertEqual(gaps.due(1.0), [])
        self.assertEqual((gaps.lost, gaps.missing, gaps.asked), (1, 0, 2))
        self.assertIsNone(gaps.next_timeout())

    def test_stopsWhenRepaired(self):
        """A packet that came is not asked for again."""
        gaps = GapTracker()
        feed(gaps, 1, 4)
        gaps.due(0.02)
        feed(gaps, 2, now=0.03)
        self.assertEqual(gaps.due(0.06), [3])
        feed(gaps, 3, now=0.07)
        self.assertIsNone(gaps.next_timeout())

    def test_newGapAfterAnOldOne(self):
        """A gap that was repaired leaves no timer behind for the next one."""
        gaps = GapTracker()
        feed(gaps, 1, 3, 2)
        feed(gaps, 5, now=7.0)
        self.assertEqual(gaps.next_timeout(), 7.02)

    def test_acrossTheWrap(self):
        """Sequence numbers are asked for, oldest first."""
        gaps = GapTracker()
        feed(gaps, 65533, 2)
        self.assertEqual(gaps.due(0.02), [65534, 65535, 0, 1])

    def test_tooMany(self):
        """No more than the maximum is missing; the oldest is given up."""
        gaps = GapTracker(maximum=4)
        feed(gaps, 0, 3, 8)
        self.assertEqual(gaps.missing, 4)
        self.assertEqual(gaps.lost, 2)
        self.assertEqual(gaps.due(0.02), [4, 5, 6, 7])

    def test_hugeGap(self):
        """A gap of a whole stream costs no more than a small one."""
        gaps = GapTracker()
        feed(gaps, 0, 2, 30000, 30001)
        self.assertEqual(gaps.missing, 256)
        self.assertEqual(gaps.expected, 30002)
        self.assertEqual(gaps.lost, 30002 - 4 - 256)
        self.assertEqual(len(gaps.due(1.0 - 0.001)), 256)


class CountTests(SynchronousTestCase):
    """Every index is in exactly one place."""

    @settings(deadline=None, max_examples=300)
    @given(
        strategies.lists(
            strategies.tuples(
                strategies.one_of(
                    strategies.integers(-20, 20),
                    strategies.integers(-4000, 4000),
                    strategies.integers(-32768, 32767),
                ),
                strategies.floats(0, 0.3),
            ),
            min_size=1,
            max_size=80,
        ),
        strategies.integers(0, 65535),
    )
    def test_countsAddUp(self, steps, first):
        """Whatever comes, expected is received and missing and lost, what is
        missing is bounded, and no index is fresh twice."""
        gaps = GapTracker(maximum=32)
        now, sequence = 0.0, first
        fresh = set()
        for step, wait in steps:
            sequence = sequence + step & 0xFFFF
            now += wait
            arrival = gaps.received(sequence, now)
            if arrival in FRESH:
                highest = gaps.highest
                index = highest - (highest - sequence & 0xFFFF)
                self.assertNotIn(index, fresh)
                fresh.add(index)
            asked = gaps.due(now)
            self.assertLessEqual(len(asked), 32)
            self.assertEqual(len(asked), len(set(asked)))
            self.assertLessEqual(gaps.missing, 32)
            self.assertGreaterEqual(gaps.lost, 0)
            self.assertEqual(
                gaps.expected, gaps.received_count + gaps.missing + gaps.lost
            )
            timeout = gaps.next_timeout()
            self.assertEqual(timeout is None, gaps.missing == 0)
            if timeout is not None:
                self.assertGreater(timeout, now)
        # Nothing new: in the end all is received or lost, and time stops.
        gaps.due(now + 10.0)
        self.assertIsNone(gaps.next_timeout())
        self.assertEqual(gaps.expected, gaps.received_count + gaps.lost)
