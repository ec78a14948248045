"""Tests for `anychat.client.media.session`: two ends and a relay between."""

import dataclasses
from itertools import pairwise

import av
import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.session import DEFAULT_PARAMETERS
from anychat.client.media.sinks import CallbackSink, Mp4Sink, NullSink
from anychat.client.media.source import open_source
from anychat.codes import AudioCodec, ResultCode, StreamKind
from anychat.errors import LocalError, Refused
from test.client.media.bench import Bench
from test.client.media.signals import (
    decode_all,
    flash_and_beep,
    frequency,
    is_white,
    onsets,
    psnr,
)
from test.netem import ROUGH, Conditions

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO


class CallTestCase(SynchronousTestCase):
    """One end publishes, another watches."""

    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.finish)
        self.sender, self.receiver = self.bench.end(), self.bench.end()
        self.sources = []
        self.sent = {VIDEO: [], AUDIO: []}
        self.received = {VIDEO: [], AUDIO: []}

    def finish(self):
        """End everything; nothing is left over."""
        self.bench.stop()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
        for end in self.bench.ends:
            self.assertEqual(end.log, [])

    def source(self, text, **arguments):
        """A source that is closed after the test."""
        source = open_source(text, **arguments)
        self.sources.append(source)
        self.addCleanup(source.close)
        return source

    def call(self, text="test:", parameters=None, overrides=None, sink=None):
        """Publish and watch; remembers what is sent, and what comes out."""
        self.bench.run(0.5)
        source = self.source(text)
        self.publications = self.sender.publish(source, parameters, overrides)
        for kind, publication in self.publications.items():
            publication.tap = lambda unit, timestamp, kind=kind: self.sent[kind].append(
                (timestamp, unit)
            )
        if sink is None:
            sink = CallbackSink(self.keep(VIDEO), self.keep(AUDIO))
        self.receptions = self.receiver.watch(self.publications, sink)

    def keep(self, kind):
        """Keeps frames with their place and the time they were given out."""

        def keep(frame, when):
            now = self.bench.clock.seconds()
            self.received[kind].append((frame, when, now))

        return keep

    def hang_up(self):
        """Stop sending, let what is under way arrive, stop receiving."""
        for publication in self.publications.values():
            publication.stop()
        self.bench.run(1.0)
        for publication in self.publications.values():
            self.receiver.media.end(publication.ssrc)

    def assertIdentical(self):
        """Every picture is, bit for bit, the sender's own of that timestamp."""
        units = self.sent[VIDEO]
        own = dict(
            zip(
                (timestamp for timestamp, _ in units),
                decode_all(unit for _, unit in units),
                strict=True,
            )
        )
        for frame, _, _ in self.received[VIDEO]:
            mine = own.get(frame.pts & 0xFFFFFFFF)
            if mine is not None:
                self.assertTrue((mine.to_ndarray() == frame.to_ndarray()).all())


class GoodNetworkTests(CallTestCase):
    """Nothing is lost."""

    def test_everythingArrivesAsItWasSent(self):
        """Every frame is decoded, once, in order, bit-identical, near to the
        source; the tone is the tone; sound and picture are in step."""
        self.call()
        self.bench.run(15.0)
        self.hang_up()
        pictures = [frame for frame, _, _ in self.received[VIDEO]]
        stamps = [frame.pts for frame in pictures]
        self.assertEqual(len(pictures), self.publications[VIDEO].statistics().frames)
        self.assertTrue(225 <= len(pictures) <= 227)
        self.assertEqual({b - a for a, b in pairwise(stamps)}, {6000})
        self.assertEqual(stamps[-1] & 0xFFFFFFFF, self.sent[VIDEO][-1][0])
        self.assertIdentical()
        source = self.source("test:tone=0")
        ratios = [psnr(source.read().frame, picture) for picture in pictures]
        self.assertGreater(np.mean(ratios), 30)
        sound = np.concatenate(
            [frame.to_ndarray()[0] for frame, _, _ in self.received[AUDIO]]
        )
        self.assertLess(abs(frequency(sound[4800:], 48_000) - 440), 1)
        statistics = self.receptions[VIDEO].statistics()
        self.assertEqual(statistics.lost, 0)
        self.assertEqual(statistics.refused, 0)
        self.assertEqual(statistics.decode_errors, 0)
        self.assertLess(statistics.buffer_ms, 100)
        self.assertLess(statistics.latency_ms, 100)

    def test_firstFrame(self):
        """Somebody who joins late sees a picture at once, not at the next
        regular key frame, and gets both streams on one time line at once."""
        self.call(overrides={"video_gop": 1000})
        self.bench.run(5.0)
        late = self.bench.end()
        self.bench.run(0.2)
        shown = []
        sink = CallbackSink(
            lambda frame, when: shown.append(("video", when)),
            lambda frame, when: shown.append(("audio", when)),
        )
        receptions = late.watch(self.publications, sink)
        self.bench.run(0.5)
        self.assertLess(receptions[VIDEO].statistics().first_frame_ms, 200)
        self.assertLess(receptions[AUDIO].statistics().first_frame_ms, 200)
        self.assertIsNotNone(receptions[VIDEO].statistics().latency_ms)
        self.assertIsNotNone(receptions[AUDIO].statistics().latency_ms)
        self.assertEqual(self.publications[VIDEO].statistics().key_frames, 2)

    def test_parameters(self):
        """Server's parameters, the source's own and the program's, in order."""
        parameters = dataclasses.replace(
            DEFAULT_PARAMETERS,
            video_width=160,
            video_height=120,
            video_fps=10,
            audio_codec=AudioCodec.AAC,
            audio_sample_rate=16000,
            audio_channels=2,
            audio_bitrate=32000,
        )
        formats = dict(
            self.sender.media.formats(self.source("test:"), parameters, None)
        )
        self.assertEqual((formats[VIDEO].width, formats[VIDEO].height), (160, 120))
        self.assertEqual(formats[VIDEO].fps, 10)
        self.assertEqual(formats[AUDIO].payload_type, 112)
        self.assertEqual(formats[AUDIO].clock_rate, 16000)
        self.assertEqual(formats[AUDIO].channels, 2)
        self.assertEqual(formats[AUDIO].config[:2], b"\x14\x10")
        source = self.source("test:size=640x480,fps=20")
        formats = dict(self.sender.media.formats(source, parameters, {"video_fps": 5}))
        self.assertEqual((formats[VIDEO].width, formats[VIDEO].height), (640, 480))
        self.assertEqual(formats[VIDEO].fps, 5)

    def test_wrongParameters(self):
        """Codecs that cannot be published, and names that there are not."""
        source = self.source("test:")
        formats = self.sender.media.formats
        for overrides in ({"video_codec": 2}, {"audio_codec": 16}):
            self.assertRaises(Refused, formats, source, None, overrides)
        for wrong in (
            {"video_depth": 2},
            {"video_fps": 0},
            {"video_width": -1},
            {"video_quality": 6},
            {"video_preset": 6},
            {"video_bitrate": "much"},
            {"audio_bitrate": 1 << 32},
        ):
            refused = self.assertRaises(Refused, formats, source, None, wrong)
            self.assertEqual(refused.code, ResultCode.FUNCOPTERROR)

    def assertToneComesThrough(self, overrides, rate, frequency_hz=440):
        """The tone is found in what was decoded at that rate."""
        self.call("test:size=0", overrides=overrides)
        self.bench.run(3.0)
        self.hang_up()
        self.assertGreater(len(self.received[AUDIO]), 20)
        sound = np.concatenate(
            [frame.to_ndarray()[0] for frame, _, _ in self.received[AUDIO]]
        ).astype(float)
        self.assertEqual(self.received[AUDIO][0][0].sample_rate, rate)
        found = frequency(sound[rate // 10 :], rate)
        self.assertLess(abs(found - frequency_hz), 1)

    def test_aac(self):
        """AAC, where the server's parameters say so."""
        self.assertToneComesThrough({"audio_codec": 13, "audio_bitrate": 32000}, 16_000)

    def test_pcmu(self):
        """G.711, for gateways."""
        self.assertToneComesThrough({"audio_codec": 101}, 8_000)

    def test_qualityMode(self):
        """A bit rate of 0 means constant quality."""
        self.call("test:tone=0", overrides={"video_bitrate": 0, "video_quality": 5})
        self.bench.run(2.0)
        self.hang_up()
        source = self.source("test:tone=0")
        ratios = [
            psnr(source.read().frame, frame) for frame, _, _ in self.received[VIDEO]
        ]
        self.assertGreater(min(ratios), 40)

    def test_fewerFramesThanTheSource(self):
        """A source that is faster than wanted is thinned out evenly."""
        self.call("test:fps=30,tone=0", overrides={"video_fps": 10})
        self.bench.run(3.0)
        self.hang_up()
        stamps = [frame.pts for frame, _, _ in self.received[VIDEO]]
        self.assertEqual({b - a for a, b in pairwise(stamps)}, {9000})

    def test_endOfSource(self):
        """A film ends, and says so; its last frame is shown."""
        path = self.mktemp()
        flash_and_beep(path, 2)
        ended = []
        self.bench.run(0.5)
        source = self.source(path)
        source.on_end = lambda: ended.append(self.bench.clock.seconds())
        publications = self.sender.publish(source)
        sink = NullSink()
        self.receiver.watch(publications, sink)
        self.bench.run(5.0)
        self.assertEqual(sink.pictures, 30)
        self.assertEqual(len(ended), 1)
        self.assertTrue(2.3 < ended[0] < 2.7)

    def test_loop(self):
        """A looped film goes on, and its time with it."""
        path = self.mktemp()
        flash_and_beep(path, 2)
        self.call(f"loop:{path}")
        self.bench.run(7.0)
        self.hang_up()
        stamps = [frame.pts for frame, _, _ in self.received[VIDEO]]
        self.assertGreater(len(stamps), 100)
        self.assertLess(max(b - a for a, b in pairwise(stamps)), 9000)

    def test_publishAnew(self):
        """A source that was stopped goes on under a new publication, and the
        watcher's time line goes on with it."""
        sink = CallbackSink(self.keep(VIDEO), self.keep(AUDIO))
        self.call(sink=sink)
        source = self.sources[0]
        self.bench.run(2.0)
        self.hang_up()
        before = len(self.received[VIDEO])
        publications = self.sender.publish(source)
        self.receiver.watch(publications, sink)
        self.bench.run(2.0)
        self.assertGreater(len(self.received[VIDEO]), before + 25)
        times = [when for _, when, _ in self.received[VIDEO]]
        self.assertEqual(times, sorted(times))
        self.assertTrue(0.9 < times[before] - times[before - 1] < 1.3)

    def test_grantLaterThanThePackets(self):
        """UDP may be faster than the grant: what came before is used."""
        self.bench.run(0.5)
        publications = self.sender.publish(self.source("test:tone=0"))
        publication = publications[VIDEO]
        granted = self.bench.relay.subscribe(
            self.receiver.id, publication.ssrc, VIDEO, publication.format
        )
        self.bench.run(1.0)
        sink = NullSink()
        self.receiver.media.receive(granted, sink)
        self.bench.run(0.3)
        self.assertGreater(sink.pictures, 10)

    def test_unknownCodec(self):
        """A stream that cannot be decoded is refused and leaves nothing."""
        self.bench.run(0.5)
        publications = self.sender.publish(self.source("test:tone=0"))
        form = dataclasses.replace(publications[VIDEO].format, payload_type=97)
        granted = self.bench.relay.subscribe(
            self.receiver.id, publications[VIDEO].ssrc, VIDEO, form
        )
        self.assertRaises(Refused, self.receiver.media.receive, granted, NullSink())

    def test_addressThatIsNone(self):
        """A host name is the caller's to resolve."""
        self.assertRaises(
            LocalError, self.sender.media.configure, self.sender.setup, "example.org"
        )


class BadNetworkTests(CallTestCase):
    """3 % loss in bursts of up to 3, 40 ms jitter, reordering, duplication."""

    def assertCarries(self, share):
        """That share of the frames sent is decoded, and all are right."""
        self.call()
        self.bench.run(15.0)
        self.hang_up()
        for kind in (VIDEO, AUDIO):
            sent = self.publications[kind].statistics().frames
            decoded = self.receptions[kind].statistics().frames_decoded
            self.assertGreaterEqual(decoded, share * sent, kind)
            self.assertEqual(self.receptions[kind].statistics().decode_errors, 0)
        self.assertIdentical()
        times = [when for _, when, _ in self.received[VIDEO]]
        self.assertEqual(times, sorted(times))

    def test_uplink(self):
        """The sender's network is bad."""
        self.bench.impair(self.sender, up=ROUGH, down=ROUGH)
        self.assertCarries(0.97)
        self.assertGreater(self.publications[VIDEO].statistics().resent, 0)
        self.assertGreater(self.publications[AUDIO].statistics().loss, 0)

    def test_downlink(self):
        """The receiver's network is bad."""
        self.bench.impair(self.receiver, up=ROUGH, down=ROUGH)
        self.assertCarries(0.97)
        self.assertGreater(self.receptions[VIDEO].statistics().repaired, 0)

    def test_both(self):
        """Both are."""
        self.bench.impair(self.sender, up=ROUGH, down=ROUGH)
        self.bench.impair(self.receiver, up=ROUGH, down=ROUGH)
        self.assertCarries(0.97)

    def test_blackout(self):
        """After a second in which nothing comes, the picture comes back fast,
        by a key frame that was asked for."""
        self.call(overrides={"video_gop": 1000})
        self.bench.run(3.0)
        self.bench.impair(self.receiver, down=Conditions(loss=0.999, burst=100))
        self.bench.run(1.2)
        self.bench.impair(self.receiver, down=Conditions())
        before = len(self.received[VIDEO])
        self.bench.run(1.5)
        self.assertGreater(len(self.received[VIDEO]), before + 8)
        self.assertGreater(self.receptions[VIDEO].statistics().key_frame_requests, 0)
        self.assertIdentical()


class SynchronisationTests(CallTestCase):
    """A flash and a beep that were made together are shown together."""

    def setUp(self):
        super().setUp()
        self.film = self.mktemp()
        flash_and_beep(self.film, 8)

    def delay_sound(self, seconds):
        """Let everything of the sound take that much longer."""
        ssrc = self.publications[AUDIO].ssrc

        def extra(data):
            found = data[8:12] if data[0] >> 6 == 2 and data[1] < 192 else b""
            return seconds if int.from_bytes(found, "big") == ssrc else 0.0

        self.bench.network.extra = extra

    def flashes(self, place):
        """Times of the white frames: their places, or when they were shown."""
        return [item[place] for item in self.received[VIDEO] if is_white(item[0])]

    def beeps(self, place):
        """Times at which the beeps begin."""
        return onsets((item[place], item[0]) for item in self.received[AUDIO])

    def assertTogether(self, first, second, least, tolerance):
        """Times are equal in pairs.

        One may be 60 ms out: where the beginning of a beep was lost.
        """
        self.assertGreaterEqual(min(len(first), len(second)), least)
        apart = [min(abs(time - other) for other in first) for time in second[-least:]]
        self.assertLess(max(apart), 0.060)
        self.assertLess(np.median(apart), tolerance)

    def test_byTheSendersClock(self):
        """Sound that takes 150 ms longer is in its place, and the picture
        waits for it."""
        self.call(self.film)
        self.delay_sound(0.150)
        self.bench.run(8.5)
        self.assertTogether(self.flashes(1), self.beeps(1), 6, 0.010)
        # When they were given out, once the second report has come.
        self.assertTogether(self.flashes(2), self.beeps(2), 5, 0.040)

    def test_withLosses(self):
        """Losses move nothing."""
        self.bench.impair(self.receiver, up=ROUGH, down=ROUGH)
        self.call(self.film)
        self.bench.run(8.5)
        self.assertTogether(self.flashes(1), self.beeps(1), 5, 0.010)

    def test_recording(self):
        """In the file too, however bad the network and late the sound."""
        self.bench.impair(self.sender, up=ROUGH, down=ROUGH)
        self.bench.impair(self.receiver, up=ROUGH, down=ROUGH)
        path = self.mktemp() + ".mp4"
        sink = Mp4Sink(path)
        self.call(self.film, sink=sink)
        self.delay_sound(0.150)
        self.bench.run(8.5)
        self.hang_up()
        self.assertEqual([str(p) for p in self.successResultOf(sink.close())], [path])
        with av.open(path) as container:
            flashes = [f.time for f in container.decode(video=0) if is_white(f)]
        with av.open(path) as container:
            beeps = onsets((f.time, f) for f in container.decode(audio=0))
        self.assertTogether(flashes, beeps, 5, 0.010)
