"""Publishers are asked in time, not too often, and not for nothing."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import Ssrc
from anychat.media.feedback import (
    GIVE_UP,
    LONGEST_PAUSE,
    MAX_GAPS,
    MAX_MISSING,
    PAUSE,
    REORDER,
    REPEAT,
    KeyFrameRequests,
    UplinkRepair,
)

SSRC = Ssrc(7)
OTHER = Ssrc(8)


class Streams:
    """What a forwarder would say."""

    def __init__(self):
        self.waiting = 0
        self.started = 0

    def gated(self, ssrc):
        """The same for all streams."""
        return self.waiting

    def key_frames(self, ssrc):
        """The same for all streams."""
        return self.started

    def key_frame(self):
        """One starts: nobody waits any more."""
        self.started += 1
        self.waiting = 0


class KeyFrameRequestsTests(SynchronousTestCase):
    """`KeyFrameRequests`."""

    def setUp(self):
        """Nobody wants anything."""
        self.streams = Streams()
        self.requests = KeyFrameRequests(self.streams)

    def until(self, end):
        """The times until then at which the publisher is asked."""
        times = []
        while (when := self.requests.next_timeout()) is not None and when <= end:
            times += [round(when, 3) for _ in self.ask(when)]
        return times

    def ask(self, now):
        """Ask what is due."""
        due = self.requests.due(now)
        for ssrc in due:
            self.requests.asked(ssrc, now)
        return due

    def join(self, now):
        """A destination begins to wait."""
        self.streams.waiting += 1
        self.requests.want(SSRC, now)

    def test_atOnce(self):
        """The first request goes through immediately."""
        self.join(10.0)
        self.assertEqual(self.ask(10.0), [SSRC])

    def test_burstSharesOne(self):
        """Ten who join within 100 ms cost two key frames at most."""
        asked = []
        for step in range(10):
            self.join(10 + step / 100)
            asked += self.until(10 + step / 100)
            if step == 5:
                self.streams.key_frame()
        asked += self.until(10.51)
        self.streams.key_frame()
        asked += self.until(60.0)
        self.assertEqual(asked, [10.0, 10.5])
        self.assertIsNone(self.requests.next_timeout())

    def test_answeredWithinThePause(self):
        """What a key frame has answered meanwhile is not asked again."""
        self.join(10.0)
        self.assertEqual(self.until(10.0), [10.0])
        self.join(10.1)
        self.streams.key_frame()
        self.assertEqual(self.until(60.0), [])

    def test_lostPictureWithinThePause(self):
        """A receiver that lost its picture after the key frame needs one more,
        though nobody is gated."""
        self.join(10.0)
        self.until(10.0)
        self.streams.key_frame()
        self.requests.want(SSRC, 10.2)
        self.assertEqual(self.until(10.6), [10.5])
        self.streams.key_frame()
        self.assertEqual(self.until(60.0), [])

    def test_unansweredIsRepeated(self):
        """A request that may have been lost is sent again, less and less often."""
        self.join(10.0)
        self.assertEqual(
            self.until(30.0), [10.0, 10.5, 11.5, 13.5, 17.5, 21.5, 25.5, 29.5]
        )
        self.assertEqual(self.requests.next_timeout(), 29.5 + LONGEST_PAUSE)

    def test_newcomerHastensIt(self):
        """Who joins during a long wait does not wait that long."""
        self.join(10.0)
        self.until(18.0)
        self.join(18.2)
        self.assertEqual(self.until(18.6), [18.2])

    def test_neverTooOften(self):
        """However many ask, two requests are a pause apart."""
        asked = []
        for step in range(1000):
            self.join(10 + step / 100)
            asked += self.until(10 + step / 100)
        gaps = [after - before for before, after in pairwise(asked)]
        self.assertGreaterEqual(round(min(gaps), 3), PAUSE)

    def test_streamsKeepApart(self):
        """One publication's pause is not another's."""
        self.join(10.0)
        self.until(10.0)
        self.requests.want(OTHER, 10.1)
        self.assertEqual(self.ask(10.1), [OTHER])

    def test_couldNotBeAsked(self):
        """A publisher without an address is asked when it is wanted again, at
        once if it was not asked lately."""
        self.join(10.0)
        self.assertEqual(self.requests.due(10.0), [SSRC])
        self.assertIsNone(self.requests.next_timeout())
        self.requests.want(SSRC, 10.1)
        self.assertEqual(self.until(10.4), [10.1])
        self.requests.want(SSRC, 10.2)
        self.assertEqual(self.until(10.7), [10.6])

    def test_forgotten(self):
        """A publication that is over is asked nothing."""
        self.join(10.0)
        self.requests.forget(SSRC)
        self.requests.forget(SSRC)
        self.assertIsNone(self.requests.next_timeout())


class UplinkRepairTests(SynchronousTestCase):
    """`UplinkRepair`."""

    def setUp(self):
        """Nothing is missing."""
        self.repair = UplinkRepair()

    def until(self, end):
        """What is asked for until then, as (time, sequence numbers)."""
        asked = []
        while (when := self.repair.next_timeout()) is not None and when <= end:
            for _, sequences in self.repair.due(when):
                asked.append((round(when, 3), sequences))
        return asked

    def test_waitsForReordering(self):
        """A packet that comes a little late is not asked for."""
        self.repair.missing(SSRC, 5, 1, 10.0)
        self.assertEqual(self.repair.next_timeout(), 10.0 + REORDER)
        self.repair.filled(SSRC, 5)
        self.assertEqual(self.until(60.0), [])
        self.assertEqual(self.repair.asked, 0)

    def test_asksUntilItComes(self):
        """The missing ones of a gap are asked for, those that came are not."""
        self.repair.missing(SSRC, 65534, 4, 10.0)
        self.repair.filled(SSRC, 65535)
        self.assertEqual(self.until(10.03), [(10.02, (65534, 0, 1))])
        self.repair.filled(SSRC, 0)
        self.assertEqual(self.until(10.07), [(10.06, (65534, 1))])
        self.repair.filled(SSRC, 65534)
        self.repair.filled(SSRC, 1)
        self.assertEqual(self.until(60.0), [])
        self.assertEqual(self.repair.asked, 5)

    def test_roundTripSetsThePace(self):
        """A far publisher is not asked again before it can have answered."""
        self.repair.round_trip(SSRC, 0.25)
        self.repair.missing(SSRC, 5, 1, 10.0)
        times = [when for when, _ in self.until(60.0)]
        self.assertEqual(times, [10.02, 10.27, 10.52, 10.77])

    def test_givesUp(self):
        """After a second nobody waits for it."""
        self.repair.missing(SSRC, 5, 1, 10.0)
        times = [when for when, _ in self.until(60.0)]
        self.assertLess(times[-1], 10.0 + GIVE_UP)
        self.assertEqual(len(times), 1 + int((GIVE_UP - REORDER) / REPEAT))
        self.assertIsNone(self.repair.next_timeout())

    def test_beyondRepair(self):
        """A hole of hundreds is not asked for."""
        self.repair.missing(SSRC, 5, MAX_MISSING + 1, 10.0)
        self.assertIsNone(self.repair.next_timeout())

    def test_bounded(self):
        """A stream that is all holes is asked for a bounded number at a time,
        the latest ones."""
        for step in range(10 * MAX_GAPS):
            self.repair.missing(SSRC, 300 * step & 0xFFFF, MAX_MISSING, 10.0)
        ((_, sequences),) = self.repair.due(10.0 + REORDER)
        self.assertEqual(len(sequences), MAX_MISSING)
        self.assertEqual(sequences[0], 300 * 9 * MAX_GAPS & 0xFFFF)

    def test_streamsKeepApart(self):
        """Each stream's packets are asked of its own publisher."""
        self.repair.missing(SSRC, 5, 1, 10.0)
        self.repair.missing(OTHER, 5, 2, 10.0)
        self.repair.filled(OTHER, 5)
        self.assertEqual(self.repair.due(10.0 + REORDER), [(SSRC, (5,)), (OTHER, (6,))])

    def test_filledWithoutGap(self):
        """What was never missed here is ignored."""
        self.repair.filled(SSRC, 5)
        self.repair.missing(SSRC, 5, 1, 10.0)
        self.repair.filled(SSRC, 4)
        self.assertEqual(self.until(10.03), [(10.02, (5,))])

    def test_forgotten(self):
        """A publication that is over is asked nothing."""
        self.repair.round_trip(SSRC, 1.0)
        self.repair.missing(SSRC, 5, 1, 10.0)
        self.repair.forget(SSRC)
        self.repair.forget(SSRC)
        self.assertIsNone(self.repair.next_timeout())

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(st.booleans(), st.integers(0, 0xFFFF), st.integers(1, 0x7FFF)),
            max_size=60,
        )
    )
    def test_comesToRest(self, arrivals):
        """Whatever is missing, the machine ends, and asks for nothing that was
        not missing or came."""
        repair = UplinkRepair()
        missing = set()
        for late, sequence, number in arrivals:
            if late:
                repair.filled(SSRC, sequence)
                continue
            repair.missing(SSRC, sequence, number, 10.0)
            missing |= {(sequence + step) & 0xFFFF for step in range(number)}
        turns = 0
        while (when := repair.next_timeout()) is not None:
            for _, sequences in repair.due(when):
                self.assertLessEqual(set(sequences), missing)
                self.assertLessEqual(len(sequences), MAX_MISSING)
            turns += 1
        self.assertLess(turns, 2 + GIVE_UP / REPEAT)
