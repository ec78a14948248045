"""Tests for `anychat.client.media.layers`: two layers, of which one comes."""

from itertools import pairwise

import av
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.layers import VideoReception
from anychat.client.media.sinks import CallbackSink, Mp4Sink
from anychat.codes import ResultCode, StreamKind
from anychat.errors import Refused
from anychat.media.counters import Drop
from anychat.media.rtp import FrameMarking, RtpPacket
from anychat.media.signals import LayerPlace
from anychat.media.srtp import SrtpSender
from anychat.messages import LayerGranted, StreamFormat, StreamGranted
from test.client.media.bench import SERVER, Bench
from test.client.media.signals import GrainySource
from test.netem import Conditions

VIDEO = StreamKind.VIDEO
FORM = StreamFormat(payload_type=96, clock_rate=90_000, bitrate=90_000)


class LayersTestCase(SynchronousTestCase):
    """One end publishes two layers, another watches."""

    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.finish)
        self.sender, self.receiver = self.bench.end(), self.bench.end()
        for end in self.bench.ends:
            self.bench.impair(end, Conditions(0.010), Conditions(0.010))
        self.shown = []

    def finish(self):
        """End everything; nothing is left over."""
        self.bench.stop()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
        for end in self.bench.ends:
            self.assertEqual(end.log, [])

    def call(self, sink=None, bitrate=400_000):
        """Publish and watch."""
        self.bench.run(0.3)
        source = GrainySource("test:size=160x120,fps=15,tone=0")
        self.addCleanup(source.close)
        overrides = {"video_layers": 2, "video_bitrate": bitrate}
        publications = self.sender.publish(source, None, overrides)
        self.full = publications[VIDEO]
        self.small = self.full.layer
        sink = sink or CallbackSink(
            lambda frame, when: self.shown.append(
                (self.bench.clock.seconds(), frame.width, when)
            )
        )
        self.reception = self.receiver.watch(publications, sink)[VIDEO]

    def widths(self, since=0.0):
        """The widths shown, each change once."""
        widths = [width for now, width, _ in self.shown if now >= since]
        return [
            width
            for place, width in enumerate(widths)
            if place == 0 or widths[place - 1] != width
        ]

    def longest_gap(self, since=0.0):
        """Seconds without a new picture."""
        times = [now for now, *_ in self.shown if now >= since]
        return max(later - earlier for earlier, later in pairwise(times))


class SwitchedTests(LayersTestCase):
    """The server sends the other layer."""

    def switch(self, coming, going, told=True):
        """As the server does."""
        legs, leg = self.bench.relay.legs, self.receiver.id
        now = self.bench.clock.seconds
        if told:
            place = LayerPlace(self.full.ssrc, coming.ssrc, *legs.position(coming.ssrc))
            legs.signal(leg, place)
        legs.forward(leg, coming.ssrc, now())
        legs.handle_timeout(now())
        self.bench.relay.settle()
        while legs.gated(leg, coming.ssrc):
            self.bench.run(0.01)
        legs.stop_forwarding(leg, going.ssrc)
        self.bench.run(2.0)

    def test_formats(self):
        """The small one is half as big each way, with a quarter of the bits."""
        self.call()
        full, small = self.full.format, self.small.format
        self.assertEqual((full.width, full.height), (160, 120))
        self.assertEqual((small.width, small.height), (80, 60))
        self.assertEqual((full.bitrate, small.bitrate), (320_000, 80_000))

    def test_thereAndBack(self):
        """The picture goes on without a hole, in step with its time line, and the
        figures are those of one video."""
        self.call()
        self.bench.run(2.0)
        for step, (coming, going) in enumerate(
            ((self.small, self.full), (self.full, self.small)) * 2
        ):
            self.switch(coming, going, told=step != 1)
            self.assertEqual(self.reception.shown, coming.ssrc)
        self.assertEqual(self.widths(), [160, 80, 160, 80, 160])
        self.assertLess(self.longest_gap(1.0), 0.25)
        whens = [when for *_, when in self.shown]
        self.assertEqual(whens, sorted(whens))
        self.assertEqual(self.reception.switched, 4)
        statistics = self.reception.statistics()
        self.assertEqual(statistics.frames_decoded, len(self.shown))
        self.assertEqual((statistics.lost, statistics.decode_errors), (0, 0))
        self.assertApproximates(statistics.fps, 15, 1)
        self.assertLess(statistics.first_frame_ms, 300)
        # Nothing was asked for of a layer that is not sent.
        self.assertEqual(self.bench.relay.legs.drops[Drop.NOT_SUBSCRIBED], 0)

    def test_recording(self):
        """A recording begins another file with each layer."""
        path = self.mktemp() + ".mp4"
        sink = Mp4Sink(path)
        self.call(sink)
        self.bench.run(2.0)
        self.switch(self.small, self.full)
        self.full.stop()
        self.bench.run(1.0)
        self.receiver.media.end(self.full.ssrc)
        files = self.successResultOf(sink.close())
        widths = []
        for file in files:
            with av.open(str(file)) as container:
                widths.append(container.streams.video[0].width)
        self.assertEqual(widths, [160, 80])

    def test_ends(self):
        """The layer ends with its camera, at both ends."""
        self.call()
        self.bench.run(1.0)
        self.full.stop()
        self.receiver.media.end(self.full.ssrc)
        packets = self.small.statistics().packets
        shown = len(self.shown)
        self.bench.run(1.0)
        self.assertEqual(self.small.statistics().packets, packets)
        self.assertLess(len(self.shown) - shown, 5)

    def test_wrongNumberOfLayers(self):
        """One or two layers, nothing else."""
        source = GrainySource("test:size=160x120,tone=0")
        self.addCleanup(source.close)
        for layers in (0, 3, "2"):
            error = self.assertRaises(
                Refused,
                self.sender.media.formats,
                source,
                None,
                {"video_layers": layers},
            )
            self.assertIs(error.code, ResultCode.FUNCOPTERROR)
        self.sender.media.formats(source, None, {"video_layers": 1})
        self.assertIsNone(self.sender.media.layer(source))


class ThinLinkTests(LayersTestCase):
    """The issue's figure on a small scale, with the server's own decisions."""

    def test_thinLink(self):
        """The small layer comes when the way narrows, without a freeze; the full
        one again when it is wide."""
        self.call()
        self.bench.run(3.0)
        path = self.bench.network.impair(
            SERVER, self.receiver.address, Conditions(0.010, rate=130_000, queue=20_000)
        )
        limited = self.bench.clock.seconds()
        self.bench.run(8.0)
        small = [now for now, width, _ in self.shown if width == 80]
        self.assertLess(small[0] - limited, 5.0)
        self.assertLess(self.longest_gap(small[0]), 1.0)
        self.assertEqual(self.widths(small[0]), [80])
        path.change(Conditions(0.010))
        ended = self.bench.clock.seconds()
        self.bench.run(9.0)
        full = [now for now, width, _ in self.shown if width == 160 and now > ended]
        self.assertLess(full[0] - ended, 10.0)
        self.assertLess(self.longest_gap(small[0]), 1.0)

    def test_notAdaptive(self):
        """Who wants no adaptation tells nothing, and is not switched."""
        self.receiver.media.adaptive = False
        self.assertFalse(self.receiver.media.adaptive)
        self.call()
        self.bench.run(2.0)
        path = self.bench.network.impair(
            SERVER, self.receiver.address, Conditions(0.010, rate=130_000, queue=20_000)
        )
        self.bench.run(5.0)
        self.assertEqual(self.widths(), [160])
        path.change(Conditions(0.010))
        self.bench.run(2.0)

    def test_thinUplink(self):
        """The encoder follows the uplink, and comes back."""
        self.call()
        self.bench.run(2.0)
        address = self.sender.address
        path = self.bench.network.impair(
            address, SERVER, Conditions(0.010, rate=300_000, queue=20_000)
        )
        self.bench.run(6.0)
        self.assertLess(self.full.bitrate, 200_000)
        sent = self.full.statistics().bitrate + self.small.statistics().bitrate
        self.assertLess(sent, 300_000)
        self.assertLess(self.sender.media._uplink.estimate.queue, 0.3)
        path.change(Conditions(0.010))
        self.bench.run(8.0)
        self.assertIsNone(self.full.bitrate)


class Part:
    """Notes what a reception would be given."""

    def __init__(self, granted):
        self.granted, self.data, self.reports_taken = granted, [], []
        self.receive = self.data.append
        self.receive_report = self.reports_taken.append


class FedTests(SynchronousTestCase):
    """A `VideoReception` that is fed by hand, with receptions that note it."""

    def setUp(self):
        self.made = []
        self.keys = bytes(16), bytes(12)
        granted = StreamGranted(5, VIDEO, 0, 1, FORM, 0, 10, *self.keys)
        self.video = VideoReception(granted, self.make)
        self.video.add_layer(LayerGranted(5, 0, 1, 2, FORM, 3, 65000, *self.keys))

    def make(self, granted):
        """Something in the place of a reception."""
        self.made.append(Part(granted))
        return self.made[-1]

    def packet(self, index, key=False, ssrc=2):
        """A packet of a layer."""
        marking = FrameMarking(start=key, independent=key)
        packet = RtpPacket(96, index & 0xFFFF, 0, ssrc, False, b"x", marking)
        sender = SrtpSender(*self.keys, ssrc, index >> 16, index & 0xFFFF)
        return sender.protect(packet.build())

    def test_wakesAtKeyFrame(self):
        """Unless it was said to come, a layer begins with a key frame."""
        at = 3 << 16 | 65000
        self.video.receive(self.packet(at + 1))
        self.assertEqual(len(self.made), 1)
        self.video.receive(self.packet(at + 2, key=True))
        self.assertEqual(self.made[1].granted.roc, 3)
        self.assertEqual(len(self.made[1].data), 1)

    def test_wakesWhereItIsSaid(self):
        """A layer that has gone round begins where the server says; what is left
        of before is not for it."""
        self.video.announce(2, 5, 7)
        self.video.receive(self.packet(5 << 16 | 7, key=True))
        self.assertEqual(len(self.made), 1)
        self.video.receive_report(b"\x80\xc8\0\6" + (2).to_bytes(4, "big"))
        self.video.receive(self.packet(5 << 16 | 9))
        granted = self.made[1].granted
        self.assertEqual((granted.roc, granted.sequence), (5, 7))
        self.assertEqual(len(self.made[1].reports_taken), 1)

    def test_neverBack(self):
        """An old word on its place does not move a layer back."""
        self.video.announce(2, 2, 7)
        self.video.add_layer(LayerGranted(5, 0, 1, 2, FORM, 1, 1, *self.keys))
        self.video.receive(self.packet(3 << 16 | 65001, key=True))
        self.assertEqual(self.made[1].granted.roc, 3)
        self.video.announce(77, 2, 7)
