"""Tests for `anychat.client.media.uplink`: encoders that follow the uplink."""

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.encode import Unit
from anychat.client.media.publication import Publication
from anychat.client.media.uplink import FIRST_WAIT, LEAST, TRIED_WITH, Uplink
from anychat.codes import ResultCode, StreamKind
from anychat.media.packetize import h264
from anychat.media.rtcp import CongestionFeedback, StreamArrivals
from anychat.messages import StreamFormat, StreamOpened
from test.media.links import Link

ROUND_TRIP = 0.040


class UplinkTests(SynchronousTestCase):
    """Publications that send as they are told, over a simulated link."""

    def setUp(self):
        self.clock = Clock()
        self.link = Link(10e6)
        self.publications = []
        self.arrivals = {}
        self.uplink = Uplink(lambda: self.publications, self.clock.seconds)

    def publish(self, ssrc, bitrate, kind=StreamKind.VIDEO):
        """A publication whose packets go over the link."""
        video = kind is StreamKind.VIDEO
        publication = Publication(
            StreamOpened(ResultCode.SUCCESS, ssrc, bytes(16), bytes(12)),
            kind,
            StreamFormat(96 if video else 111, 90_000 if video else 48_000, bitrate),
            self.send,
            self.clock.seconds,
            "cname",
            Random(ssrc).randbytes,
        )
        self.publications.append(publication)
        return publication

    def two_layers(self):
        """A full picture and its smaller layer."""
        full, small = self.publish(1, 800_000), self.publish(2, 200_000)
        full.layer = small
        return full, small

    def send(self, data):
        """A packet goes out."""
        now = self.clock.seconds()
        ssrc, sequence = int.from_bytes(data[8:12]), int.from_bytes(data[2:4])
        came = self.link.arrival(now, len(data))
        self.arrivals.setdefault(ssrc, []).append((sequence, came))
        return True

    def run_for(self, seconds):
        """Let the encoders send, and the server tell every 200 ms."""
        for step in range(round(seconds * 15)):
            for publication in self.publications:
                if publication.paused:
                    continue
                # In constant quality it is as much as it is.
                rate = publication.bitrate or publication.format.bitrate or 400_000
                data = h264.join([b"\x41" + b"\x77" * (rate // 8 // 15)])
                publication.send_units([Unit(data, step * 6000, False)])
            self.clock.advance(1 / 15)
            if step % 3 == 2:
                self.tell()

    def tell(self):
        """The server says what has come by now."""
        now = self.clock.seconds()
        blocks = []
        for ssrc, arrivals in self.arrivals.items():
            come = [
                place
                for place, (_, came) in enumerate(arrivals)
                if came is not None and came <= now
            ]
            if not come:
                continue
            told = arrivals[: come[-1] + 1]
            del arrivals[: come[-1] + 1]
            offsets = tuple(
                None if came is None or came > now else round((now - came) * 1024)
                for _, came in told
            )
            blocks.append(StreamArrivals(ssrc, told[0][0], offsets))
        if blocks:
            timestamp = int((now + 55_555) * 65536) & 0xFFFFFFFF
            self.uplink.feedback(
                CongestionFeedback(9, tuple(blocks), timestamp), ROUND_TRIP
            )

    def test_wide(self):
        """Where everything fits the encoders keep what was set."""
        full, small = self.two_layers()
        self.run_for(10)
        self.assertEqual((full.bitrate, small.bitrate), (None, None))

    def test_follows(self):
        """The full picture gives way, the small one keeps its bits; and back."""
        full, small = self.two_layers()
        self.run_for(3)
        self.link.rate = 600_000
        self.run_for(15)
        self.assertIsNone(small.bitrate)
        self.assertTrue(150_000 < full.bitrate < 500_000, full.bitrate)
        self.assertFalse(full.paused)
        self.link.rate = 10e6
        self.run_for(25)
        self.assertIsNone(full.bitrate)

    def test_leftOut(self):
        """A full picture that gets next to nothing is left out, tried again, and
        sent again when there is room."""
        full, small = self.two_layers()
        self.run_for(2)
        self.link.rate = 280_000
        self.run_for(6)
        self.assertTrue(full.paused)
        self.assertFalse(small.paused)
        self.link.rate = 10e6
        self.run_for(FIRST_WAIT + 1)
        self.assertFalse(full.paused)
        self.assertTrue(full.take_key_request())
        self.assertGreaterEqual(full.bitrate, round(TRIED_WITH * 800_000))
        self.run_for(30)
        self.assertIsNone(full.bitrate)

    def test_triedLessAndLess(self):
        """A link that stays too thin is tried ever more rarely."""
        full, _ = self.two_layers()
        self.link.rate = 260_000
        trials = []
        paused = False
        for _ in range(600):
            self.run_for(0.2)
            if paused and not full.paused:
                trials.append(self.clock.seconds())
            paused = full.paused
        self.assertIn(len(trials), range(1, 6))

    def test_withoutLayer(self):
        """A picture without a layer is never left out."""
        only = self.publish(1, 500_000)
        self.link.rate = 50_000
        self.run_for(20)
        self.assertFalse(only.paused)
        self.assertGreaterEqual(only.bitrate, LEAST)
        self.assertLess(only.bitrate, 100_000)

    def test_constantQuality(self):
        """A picture without a bit rate gets one while the uplink is too thin."""
        only = self.publish(1, 0)
        self.link.rate = 200_000
        self.run_for(5)
        self.assertLess(only.bitrate, 200_000)

    def test_soundIsLeftAlone(self):
        """Sound has no part in it."""
        self.publish(1, 500_000)
        sound = self.publish(3, 16_000, StreamKind.AUDIO)
        self.link.rate = 50_000
        self.run_for(5)
        self.assertIsNone(sound.bitrate)

    def test_switchedOff(self):
        """Option 228 at 0: everything as it was set, and again with 1."""
        full, _ = self.two_layers()
        self.link.rate = 280_000
        self.run_for(6)
        self.uplink.adaptive = False
        self.assertEqual((full.bitrate, full.paused), (None, False))
        self.run_for(2)
        self.assertEqual((full.bitrate, full.paused), (None, False))
        self.uplink.adaptive = True
        self.assertFalse(self.uplink.estimate.rate > 400_000)

    def test_restart(self):
        """Another way is another matter."""
        full, _ = self.two_layers()
        self.link.rate = 280_000
        self.run_for(6)
        self.uplink.restart()
        self.assertIsNone(self.uplink.estimate.rate)
        self.assertEqual((full.bitrate, full.paused), (None, False))

    def test_foreignFeedback(self):
        """Feedback on what was never sent says nothing."""
        self.two_layers()
        blocks = (StreamArrivals(77, 0, (1,) * 50), StreamArrivals(1, 0, (None,) * 50))
        for _ in range(5):
            self.uplink.feedback(CongestionFeedback(9, blocks, 1), ROUND_TRIP)
        self.assertIsNone(self.uplink.estimate.rate)
