"""Two clients see and hear each other through a server: the real thing."""

import av
import numpy
from twisted.trial.unittest import TestCase

from anychat.codes import StreamKind
from test.live.call import (
    RecordingSource,
    Witness,
    bound,
    loudest_frequency,
    pause,
    psnr,
    samples,
    sign_in,
    until,
)
from test.live.server import CoreServer
from test.netem import ROUGH, UdpProxy

#: Seconds that a call lasts.
CALL = 15.0
#: Seconds for the last frames to pass the jitter buffer.
DRAIN = 1.5


class Call:
    """Ann publishes, Bob watches from the first frame on."""

    def __init__(self, case, server):
        self.case = case
        self.server = server
        self.units = []
        self.witness = Witness()

    async def begin(self, source="test:", up=None, down=None):
        """Sign both in; with the source comes the first frame."""
        self.ann = await sign_in(self.case, self.server, "ann", udp_port=up)
        self.bob = await sign_in(self.case, self.server, "bob", udp_port=down)
        self.watching = await self.bob.watch(self.ann.user_id, sink=self.witness)
        # Over the rough path the watcher may be bound later than the publisher,
        # and would miss the beginning.
        await bound(self.bob)
        self.source = RecordingSource(source)
        publishing = await self.ann.publish(self.source)
        self.video = publishing.sending[StreamKind.VIDEO]
        self.audio = publishing.sending[StreamKind.AUDIO]
        self.video.tap = lambda unit, timestamp: self.units.append((unit, timestamp))

    async def end(self):
        """Stop the publisher and let the rest arrive."""
        self.video.stop()
        self.audio.stop()
        await pause(DRAIN)
        self.sent = self.video.statistics()
        self.received = self.watching.statistics(StreamKind.VIDEO)

    def decoded_by_sender(self):
        """What the sender's own decoder makes of what it sent."""
        decoder = av.CodecContext.create("h264", "r")
        pictures = []
        for unit, _ in self.units:
            pictures += decoder.decode(av.Packet(unit))
        return pictures + decoder.decode(None)


class LiveCase(TestCase):
    """Has a server of its own."""

    timeout = 180

    async def setUp(self):
        self.server = CoreServer(
            self.mktemp(), Video={"VideoBitrate": 300000, "VideoGOPSize": 30}
        )
        self.addCleanup(self.server.stop)
        await self.server.start()


class CleanCallTests(LiveCase):
    """A call over loopback."""

    async def test_call(self):
        """Every frame arrives bit by bit, looks right, and the tone is heard."""
        call = Call(self, self.server)
        await call.begin("test:tone=880")
        await pause(CALL)
        await call.end()

        self.assertGreater(len(call.units), CALL * 15 * 0.8)
        shown = [frame for frame, _, _ in call.witness.pictures]
        expected = call.decoded_by_sender()
        self.assertEqual(len(shown), len(expected))
        for number, (one, other) in enumerate(zip(shown, expected, strict=True)):
            self.assertEqual(
                one.to_ndarray().tobytes(), other.to_ndarray().tobytes(), number
            )

        first = call.units[0][1]
        ratios = []
        start = min(call.source.pictures)
        for picture, (_, timestamp) in zip(shown, call.units, strict=True):
            time = ((timestamp - first) & 0xFFFFFFFF) / 90
            source = call.source.pictures[start + round(time)]
            ratios.append(psnr(picture, source))
        self.assertGreaterEqual(numpy.mean(ratios), 30.0)

        sounds = [frame for frame, _, _ in call.witness.sounds]
        self.assertLess(abs(loudest_frequency(sounds) - 880), 5)
        heard = sum(frame.samples for frame in sounds) / sounds[0].sample_rate
        spoken = call.audio.statistics().frames * 0.020
        self.assertLess(abs(heard - spoken), 0.1)
        self.assertEqual(call.received.lost, 0)


class RoughCallTests(LiveCase):
    """A call over a network with loss, jitter, reordering and duplication."""

    async def call(self, up, down):
        """A call; ``up`` and ``down``: whether that direction is rough."""
        udp = ("127.0.0.1", self.server.udp_port)
        paths = {}
        for leg, rough, seed in (("up", up, 1), ("down", down, 2)):
            if rough:
                proxy = UdpProxy(
                    _reactor(),
                    udp,
                    up=ROUGH if leg == "up" else None,
                    down=ROUGH if leg == "down" else None,
                    seed=seed,
                )
                self.addCleanup(proxy.stop)
                paths[leg] = proxy.port
        call = Call(self, self.server)
        await call.begin(up=paths.get("up"), down=paths.get("down"))
        await pause(CALL)
        await call.end()
        self.assertGreater(call.sent.frames, CALL * 15 * 0.8)
        share = call.received.frames_decoded / call.sent.frames
        self.assertGreaterEqual(share, 0.97, call.received)
        self.assertGreater(call.received.repaired + call.sent.resent, 0)

    def test_uplink(self):
        """The publisher's path is rough: the server has packets sent again."""
        return self.call(up=True, down=False)

    def test_downlink(self):
        """The watcher's path is rough: the server sends packets again."""
        return self.call(up=False, down=True)

    def test_both(self):
        """Both paths are rough."""
        return self.call(up=True, down=True)


def _reactor():
    from twisted.internet import reactor

    return reactor


class SynchronousTests(LiveCase):
    """Sound and picture belong together."""

    def flashes(self, path):
        """A film of 8 s that flashes and beeps at the beginning of each second."""
        with av.open(path, "w", format="matroska") as film:
            video = film.add_stream("libx264", rate=15)
            video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
            audio = film.add_stream("pcm_s16le", rate=15000, layout="mono")
            for number in range(120):
                level = 235 if number % 15 < 2 and number >= 15 else 16
                picture = numpy.full((180, 160), 128, numpy.uint8)
                picture[:120] = level
                frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
                frame.pts = number
                film.mux(video.encode(frame))
                time = (number * 1000 + numpy.arange(1000)) / 15000
                wave = numpy.sin(2 * numpy.pi * 1000 * time)
                loud = (time % 1 < 0.1) & (time >= 1)
                data = (wave * loud * 20000).astype(numpy.int16)
                sound = av.AudioFrame.from_ndarray(
                    data[numpy.newaxis], format="s16", layout="mono"
                )
                sound.sample_rate = 15000
                sound.pts = number * 1000
                film.mux(audio.encode(sound))
            film.mux(video.encode(None))
            film.mux(audio.encode(None))

    def onsets(self, events):
        """When something began, of (time, whether it is on) in order."""
        starts = []
        before = False
        for time, on in events:
            if on and not before:
                starts.append(time)
            before = on
        return starts

    async def watch_film(self, down):
        """Play the film; the onsets of flashes and of beeps on two clocks."""
        path = self.mktemp() + ".mkv"
        self.flashes(path)
        call = Call(self, self.server)
        await call.begin(path, down=down)
        ended = []
        call.source.on_end = lambda: ended.append(True)
        await until(lambda: ended, 30)
        await pause(DRAIN)
        flashes, beeps = {}, {}
        for clock in ("line", "shown"):
            flashes[clock] = self.onsets(
                (
                    when if clock == "line" else shown,
                    frame.to_ndarray()[:120].mean() > 120,
                )
                for frame, when, shown in call.witness.pictures
            )
            beeps[clock] = self.onsets(
                (
                    (when if clock == "line" else shown) + offset,
                    level > 0.1,
                )
                for frame, when, shown in call.witness.sounds
                for offset, level in self.levels(frame)
            )
        return flashes, beeps

    @staticmethod
    def levels(frame):
        """(seconds, loudness) of each 5 ms of an audio frame."""
        data = samples(frame)
        step = frame.sample_rate // 200
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            yield start / frame.sample_rate, float(numpy.abs(piece).max())

    def check(self, flashes, beeps):
        """Each flash has its beep, and both come within 80 ms."""
        for clock in ("line", "shown"):
            self.assertGreaterEqual(len(flashes[clock]), 6, flashes)
            self.assertEqual(len(flashes[clock]), len(beeps[clock]), (flashes, beeps))
        for flash, beep in zip(flashes["line"], beeps["line"], strict=True):
            self.assertLess(abs(flash - beep), 0.08)
        # When things are shown depends on the machine, too: hence the median.
        apart = [
            abs(flash - beep)
            for flash, beep in zip(flashes["shown"], beeps["shown"], strict=True)
        ]
        self.assertLessEqual(numpy.median(apart), 0.08, apart)

    async def test_clean(self):
        """Over loopback."""
        self.check(*await self.watch_film(None))

    async def test_jitter(self):
        """Over a rough path, where packets of both are late in their own ways."""
        proxy = UdpProxy(
            _reactor(), ("127.0.0.1", self.server.udp_port), down=ROUGH, seed=5
        )
        self.addCleanup(proxy.stop)
        self.check(*await self.watch_film(proxy.port))
