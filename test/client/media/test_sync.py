"""Tests for `anychat.client.media.sync` and `anychat.client.media.playout`."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.decode import Decoded
from anychat.client.media.playout import Line, Playout
from anychat.client.media.sync import MAXIMUM_EXTRA, SenderClock, extra_delays
from anychat.codes import StreamKind
from anychat.media.rtcp import SenderReport, ntp_from_unix
from anychat.messages import StreamFormat

START = 1_800_000_000.0


def report(when, timestamp):
    """A report that an RTP timestamp is that wall-clock time."""
    return SenderReport(1, ntp_from_unix(when), timestamp & 0xFFFFFFFF, 0, 0)


class SenderClockTests(SynchronousTestCase):
    """From RTP timestamps to the sender's clock."""

    def setUp(self):
        self.clock = SenderClock(90_000)

    def test_unknown(self):
        """Without a report nothing is known."""
        self.assertFalse(self.clock.known)
        self.assertIsNone(self.clock.captured(0))
        self.assertIsNone(self.clock.transit(1.0))

    def test_captured(self):
        """Times lie as far from the report's as their timestamps."""
        self.clock.report(report(START, 900_000), 900_000)
        self.assertAlmostEqual(self.clock.captured(990_000), START + 1, 5)
        self.assertAlmostEqual(self.clock.captured(0), START - 10, 5)

    def test_noise(self):
        """A report that is a little off moves things a little."""
        self.clock.report(report(START, 0), 0)
        self.clock.report(report(START + 1.02, 90_000), 90_000)
        self.assertAlmostEqual(self.clock.captured(90_000), START + 1.005, 5)

    def test_jump(self):
        """A report that is far off is believed."""
        self.clock.report(report(START, 0), 0)
        self.clock.report(report(START + 100, 90_000), 90_000)
        self.assertAlmostEqual(self.clock.captured(90_000), START + 100, 5)


class ExtraDelayTests(SynchronousTestCase):
    """Who waits for whom."""

    def test_slowestDecides(self):
        """The faster stream waits."""
        self.assertEqual(extra_delays([1.0, 1.25]), [0.25, 0.0])
        self.assertEqual(extra_delays([1.0]), [0.0])
        self.assertEqual(extra_delays([]), [])

    def test_tooFarApart(self):
        """Nobody waits for a stream that is not of this world."""
        self.assertEqual(extra_delays([1.0, 1.1 + MAXIMUM_EXTRA]), [0.0, 0.0])


class Picture:
    """As much of a frame as a playout looks at."""

    def __init__(self, pts):
        self.pts = pts


class RecordingSink:
    """A recording that remembers."""

    def __init__(self):
        self.got = []

    def begin(self, kind, form, strand):
        """See `Recording`."""
        self.got.append(("begin", kind))

    def video_unit(self, unit, key, picture, when):
        """See `Recording`."""
        self.got.append((unit, round(when, 3)))

    def audio_frame(self, frame, when):
        """See `Recording`."""
        self.got.append((frame.pts, round(when, 3)))

    def ended(self, kind):
        """See `Recording`."""
        self.got.append(("ended", kind))

    def close(self):
        """See `Recording`."""


class ShowingSink:
    """A plain sink that remembers."""

    def __init__(self):
        self.got = []

    def video_frame(self, frame, when):
        """See `Sink`."""
        self.got.append(round(when, 3))

    audio_frame = video_frame


class PlayoutTests(SynchronousTestCase):
    """Onto one time line."""

    def setUp(self):
        self.now = 50.0
        self.baseline = {StreamKind.VIDEO: 45.0, StreamKind.AUDIO: -27.0}
        self.playout = Playout(lambda: self.now, lambda: START + self.now)

    def line(self, sink, kind, delay=0.1):
        """A stream with 1000 ticks a second."""
        self.delays = getattr(self, "delays", {})
        line = Line(
            sink,
            kind,
            1000,
            lambda: self.baseline[kind],
            lambda: delay,
            lambda extra: self.delays.__setitem__(kind, round(extra, 3)),
        )
        self.playout.add(line, StreamFormat(0, 1000, 0), lambda: None)
        return line

    def deliver(self, line, timestamp):
        """Give out a frame."""
        decoded = Decoded(timestamp, [Picture(timestamp)], b"%d" % timestamp, True)
        return self.playout.deliver(line, decoded)

    def test_latency(self):
        """From capture to now, once it is known."""
        line = self.line(ShowingSink(), StreamKind.VIDEO)
        self.assertIsNone(self.deliver(line, 0))
        line.clock.report(report(START + 49.9, 100), 100)
        self.assertAlmostEqual(self.deliver(line, 100), 0.1, 5)

    def test_showingDoesNotWait(self):
        """Without a report a place is guessed; frames are not kept back."""
        sink = ShowingSink()
        line = self.line(sink, StreamKind.VIDEO)
        self.deliver(line, 5000)
        self.deliver(line, 5066)
        self.assertEqual(sink.got, [0.0, 0.066])

    def test_guessWithoutAny(self):
        """Without any report, what came at the same time is of the same time,
        whatever the jitter buffers do."""
        sink = ShowingSink()
        video = self.line(sink, StreamKind.VIDEO)
        audio = self.line(sink, StreamKind.AUDIO)
        self.deliver(video, 5000)
        self.now += 0.25
        self.deliver(audio, 77_000)
        self.assertEqual(sink.got, [0.0, 0.0])

    def test_guessByTheOtherStream(self):
        """Once the way of one stream is known, the other's is taken to be the
        same."""
        sink = ShowingSink()
        video = self.line(sink, StreamKind.VIDEO)
        audio = self.line(sink, StreamKind.AUDIO)
        self.deliver(audio, 77_000)
        # Captured at START - 500, it came at 50.0: a clock that is far out.
        video.clock.report(report(START - 500, 5000), 5000)
        self.playout.reported(video)
        self.deliver(video, 5000)
        self.deliver(audio, 77_100)
        self.assertEqual(sink.got[2], round(sink.got[1] + 0.1, 3))

    def test_recordingWaits(self):
        """A recording gets frames when their place is known."""
        sink = RecordingSink()
        line = self.line(sink, StreamKind.VIDEO)
        self.deliver(line, 5000)
        self.deliver(line, 5100)
        self.assertEqual(sink.got, [("begin", StreamKind.VIDEO)])
        line.clock.report(report(START, 5000), 5000)
        self.playout.reported(line)
        self.assertEqual(sink.got[1:], [(b"5000", 0.0), (b"5100", 0.1)])

    def test_recordingDoesNotWaitForever(self):
        """After two seconds without a report guesses must do."""
        sink = RecordingSink()
        line = self.line(sink, StreamKind.VIDEO)
        self.deliver(line, 0)
        self.now += 2.1
        self.deliver(line, 2100)
        self.assertEqual(sink.got[1:], [(b"0", 0.0), (b"2100", 2.1)])

    def test_recordingEnds(self):
        """What waits goes out when the stream ends, then its end is told."""
        sink = RecordingSink()
        line = self.line(sink, StreamKind.VIDEO)
        self.deliver(line, 0)
        self.playout.remove(line)
        self.playout.remove(line)
        self.assertEqual(sink.got[1:], [(b"0", 0.0), ("ended", StreamKind.VIDEO)])

    def test_align(self):
        """The stream that would be shown earlier is told to wait."""
        sink = ShowingSink()
        video = self.line(sink, StreamKind.VIDEO, 0.3)
        audio = self.line(sink, StreamKind.AUDIO, 0.1)
        video.clock.report(report(START, 0), 0)
        self.playout.reported(video)
        self.assertEqual(self.delays, {})
        audio.clock.report(report(START, 0), 0)
        self.playout.reported(audio)
        self.assertEqual(self.delays, {StreamKind.VIDEO: 0.0, StreamKind.AUDIO: 0.2})
