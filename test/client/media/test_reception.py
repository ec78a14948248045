"""Tests for `anychat.client.media.reception`: what other people may send."""

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.encode import Unit, VideoEncoder, VideoSettings
from anychat.client.media.playout import Playout
from anychat.client.media.publication import Publication
from anychat.client.media.reception import Reception
from anychat.client.media.sinks import NullSink
from anychat.client.media.source import open_source
from anychat.client.media.strand import Strand
from anychat.codes import ResultCode, StreamKind
from anychat.media.demux import Kind, classify
from anychat.media.rtcp import Nack, Pli
from anychat.media.rtp import FrameMarking, RtpPacket
from anychat.media.srtp import SrtpSender
from anychat.messages import StreamFormat, StreamGranted, StreamOpened
from test.client.media.bench import InlineWorkers

KEY, SALT = b"k" * 16, b"s" * 12
VIDEO = StreamFormat(payload_type=96, clock_rate=90_000, bitrate=90_000)
PCMU = StreamFormat(payload_type=0, clock_rate=8_000, bitrate=64_000, channels=1)


class ReceptionTestCase(SynchronousTestCase):
    """A reception that is fed by hand."""

    kind, form = StreamKind.VIDEO, VIDEO

    def setUp(self):
        self.clock = Clock()
        self.asked, self.log = [], []
        self.begin()

    def tearDown(self):
        self.reception.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.log, [])

    def make_strand(self):
        """A strand that works at once."""
        return InlineWorkers(self.log.append).strand()

    def begin(self, roc=0, sequence=0):
        """A reception that was granted at that position."""
        self.sink = NullSink()
        self.reception = Reception(
            StreamGranted(5, self.kind, 0, 7, self.form, roc, sequence, KEY, SALT),
            self.sink,
            Playout(self.clock.seconds, lambda: 1_800_000_000 + self.clock.seconds()),
            self.make_strand,
            self.clock,
            self.asked.append,
            99,
        )

    @property
    def statistics(self):
        """Figures so far."""
        return self.reception.statistics()


class AudioTests(ReceptionTestCase):
    """G.711, of which any bytes are sound."""

    kind, form = StreamKind.AUDIO, PCMU

    def feed(self, roc, first, count):
        """Packets of 20 ms from that position on."""
        sender = SrtpSender(KEY, SALT, 7, roc, first)
        for number in range(count):
            sequence = first + number & 0xFFFF
            timestamp = (roc << 16 | first) + number
            packet = RtpPacket(
                0, sequence, timestamp * 160 & 0xFFFFFFFF, 7, False, b"\xff" * 160
            )
            self.reception.receive(sender.protect(packet.build()))
            self.clock.advance(0.02)

    def test_fiveTurns(self):
        """Who joins after five turns of the sequence numbers decodes, through
        the sixth one too."""
        self.reception.stop()
        self.begin(5, 65_500)
        self.feed(5, 65_501, 200)
        self.clock.advance(0.2)
        self.assertEqual(self.statistics.frames_decoded, 200)
        self.assertEqual(self.statistics.lost, 0)
        self.assertEqual(self.sink.samples, 200 * 160)

    def test_report(self):
        """The receiver report counts what is missing."""
        self.assertFalse(self.reception.heard)
        sender = SrtpSender(KEY, SALT, 7)
        for number in range(10):
            packet = RtpPacket(0, number, number * 160, 7, False, b"\xff" * 160)
            data = sender.protect(packet.build())
            if number not in (4, 5):
                self.reception.receive(data)
            self.clock.advance(0.02)
        block = self.reception.report()
        self.assertEqual((block.ssrc, block.lost, block.highest), (7, 2, 9))
        self.assertEqual(block.fraction_lost, 2 * 256 // 10)
        self.assertEqual(self.asked[0], Nack(99, 7, (4, 5)))

    def test_lossIsShown(self):
        """The share that did not come is told, of late."""
        self.feed(0, 0, 50)
        self.feed(0, 60, 50)
        self.clock.advance(0.5)
        self.assertGreater(self.statistics.nacked, 0)
        self.assertEqual(self.statistics.frames_decoded, 100)
        self.clock.advance(1.0)
        self.assertEqual(self.statistics.lost, 10)


class VideoTestCase(ReceptionTestCase):
    """A sender whose pictures are real."""

    def setUp(self):
        super().setUp()
        self.out = []
        self.publication = Publication(
            StreamOpened(ResultCode.SUCCESS, 7, KEY, SALT),
            StreamKind.VIDEO,
            VIDEO,
            lambda data: self.out.append(data) or True,
            self.clock.seconds,
            "cname",
            Random(1).randbytes,
        )
        source = open_source("test:tone=0")
        self.addCleanup(source.close)
        encoder = VideoEncoder(
            VideoSettings(160, 120, source.picture[2], 1000, 60_000, 3, 1)
        )

        def picture(key=False):
            raw = source.read()
            return encoder.encode(raw.frame, raw.time, key)

        self.picture = picture

    def send_apart(self, units):
        """RTP datagrams of units, which do not arrive by themselves."""
        self.publication.send_units(units)
        out, self.out[:] = list(self.out), []
        return [data for data in out if classify(data) is Kind.RTP]

    def send(self, units):
        """Send units and let them arrive."""
        self.publication.send_units(units)
        out, self.out[:] = list(self.out), []
        for data in out:
            self.reception.receive(data)
        self.clock.advance(1 / 15)


class VideoTests(VideoTestCase):
    """Good pictures, and others."""

    def test_pictures(self):
        """Good pictures are decoded."""
        for _ in range(10):
            self.send(self.picture())
        self.clock.advance(0.1)
        self.assertEqual(self.sink.pictures, 10)

    def test_garbageInside(self):
        """A member who sends bad H.264 does no harm: it is counted, a key frame
        is asked for, and the next one is shown."""
        for _ in range(5):
            self.send(self.picture())
        bad = b"\0\0\0\1\x41" + Random(3).randbytes(3000).replace(b"\0", b"\1")
        self.send([Unit(bad, 30_000, False)])
        for _ in range(5):
            self.send(self.picture())
        self.assertGreaterEqual(self.statistics.decode_errors, 1)
        self.assertIn(Pli(99, 7), self.asked)
        shown = self.sink.pictures
        self.send(self.picture(True))
        self.send(self.picture())
        self.clock.advance(0.2)
        self.assertEqual(self.sink.pictures, shown + 2)

    def test_malformedPayloads(self):
        """Payloads that are no H.264 at all."""
        sender = SrtpSender(KEY, SALT, 7)
        random = Random(1)
        for number in range(300):
            packet = RtpPacket(
                96,
                number,
                number * 6000,
                7,
                True,
                random.randbytes(random.randint(1, 60)),
                FrameMarking(True, True, True),
            )
            self.reception.receive(sender.protect(packet.build()))
            self.clock.advance(1 / 15)
        self.assertGreater(self.statistics.decode_errors, 100)
        self.assertLess(len([ask for ask in self.asked if ask == Pli(99, 7)]), 100)

    def test_refused(self):
        """Forged, truncated and foreign datagrams are counted, nothing more."""
        self.publication.send_units(self.picture())
        good = next(data for data in self.out if classify(data) is Kind.RTP)
        forged = good[:-1] + bytes((good[-1] ^ 1,))
        foreign = SrtpSender(KEY, SALT, 7).protect(
            RtpPacket(111, 0, 0, 7, False, b"opus").build()
        )
        unmarked = SrtpSender(KEY, SALT, 7, 0, 1).protect(
            RtpPacket(96, 1, 0, 7, False, b"\x65slice").build()
        )
        for data in (forged, good[:20], foreign, unmarked):
            self.reception.receive(data)
        self.reception.receive_report(b"\x80\xc8" + bytes(40))
        self.assertEqual(self.statistics.refused, 5)
        self.assertEqual(self.statistics.packets, 0)

    def test_replayed(self):
        """A datagram that comes twice is used once."""
        self.publication.send_units(self.picture())
        for data in self.out * 2:
            self.reception.receive(data)
        self.clock.advance(0.1)
        self.assertEqual(self.sink.pictures, 1)
        self.assertGreater(self.statistics.duplicates, 0)

    def test_noKeyFrame(self):
        """A stream without a key frame is asked for one, with patience."""
        self.picture()
        for _ in range(30):
            self.send(self.picture())
        self.assertEqual(self.sink.pictures, 0)
        plis = [packet for packet in self.asked if isinstance(packet, Pli)]
        self.assertEqual(plis, [Pli(99, 7)] * 4)
        self.assertEqual(len(self.asked), 8)

    def test_beginningLost(self):
        """If the first key frame's beginning is lost, it is asked for: no gap
        shows that it is missing."""
        first = [*self.send_apart(self.picture())]
        self.assertGreater(len(first), 1)
        sequence = int.from_bytes(first[-1][2:4], "big")
        self.reception.stop()
        self.begin(0, sequence - len(first))
        self.reception.receive(first[-1])
        self.clock.advance(0.01)
        self.assertEqual(self.asked, [])
        self.clock.advance(0.02)
        missing = tuple(range(sequence - len(first) + 1, sequence))
        self.assertEqual(self.asked, [Nack(99, 7, missing)])
        self.clock.advance(0.05)
        self.assertEqual(len(self.asked), 2)
        for data in first[:-1]:
            self.reception.receive(data)
        self.assertEqual(self.sink.pictures, 1)
        self.clock.advance(0.2)
        self.assertEqual(len(self.asked), 2)

    def test_nothingBefore(self):
        """What was sent before the grant is not asked for."""
        [*_, last] = self.send_apart(self.picture())
        sequence = int.from_bytes(last[2:4], "big")
        self.reception.stop()
        self.begin(0, sequence - 1)
        self.reception.receive(last)
        self.clock.advance(0.25)
        self.assertEqual(self.asked, [])

    def test_lastFramesAreShown(self):
        """What has come when the stream ends is not thrown away."""
        for _ in range(3):
            self.publication.send_units(self.picture())
        for data in self.out:
            self.reception.receive(data)
        self.assertLess(self.sink.pictures, 3)
        self.reception.stop()
        self.assertEqual(self.sink.pictures, 3)


class SlowDecoderTests(VideoTestCase):
    """Decoding does not keep up."""

    def make_strand(self):
        """A strand whose jobs wait until they are let go."""
        self.jobs = []

        def run(job, report):
            self.jobs.append(lambda: report(True, job()))

        return Strand(run, self.log.append)

    def work(self):
        """Do all that waits."""
        while self.jobs:
            self.jobs.pop(0)()

    def send(self, units):
        """The same, with the work done."""
        super().send(units)
        self.work()

    def test_lastFramesAreShown(self):
        """What has come when the stream ends is not thrown away."""
        for _ in range(3):
            self.publication.send_units(self.picture())
        for data in self.out:
            self.reception.receive(data)
        self.reception.stop()
        self.work()
        self.assertEqual(self.sink.pictures, 3)

    def test_backlog(self):
        """Frames are left out up to the next key frame, and that is told."""
        for _ in range(100):
            super().send(self.picture())
        self.assertGreater(self.statistics.frames_dropped, 0)
        self.assertIn(Pli(99, 7), self.asked)
        self.work()
        shown = self.sink.pictures
        self.assertLess(shown, 70)
        self.send(self.picture(True))
        self.send(self.picture())
        self.clock.advance(0.2)
        self.work()
        self.assertEqual(self.sink.pictures, shown + 2)
        self.assertEqual(self.statistics.decode_errors, 0)
