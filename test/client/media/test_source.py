"""Tests for `anychat.client.media.source` and `anychat.client.media.encode`."""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.encode import (
    AudioEncoder,
    VideoEncoder,
    VideoSettings,
    audio_settings,
    layer_settings,
    video_settings,
)
from anychat.client.media.session import DEFAULT_PARAMETERS
from anychat.client.media.source import open_source
from anychat.codes import AudioCodec, StreamKind
from anychat.errors import Refused
from anychat.media.packetize import h264
from test.client.media.signals import GrainySource, flash_and_beep, frequency

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO


class SourceTests(SynchronousTestCase):
    """Raw frames in the order of their times."""

    def open(self, text, **arguments):
        """A source that is closed after the test."""
        source = open_source(text, **arguments)
        self.addCleanup(source.close)
        return source

    def read(self, source, count):
        """So many frames, or those up to the end."""
        frames = []
        while len(frames) < count and (raw := source.read()) is not None:
            frames.append(raw)
        return frames

    def test_test(self):
        """The test picture and its tone, by default and by options."""
        source = self.open("test:")
        self.assertEqual(source.kinds, (VIDEO, AUDIO))
        self.assertEqual(source.picture, (320, 240, 15))
        source = self.open("test:size=64x48,fps=5,tone=880")
        self.assertEqual(source.picture, (64, 48, 5))
        frames = self.read(source, 100)
        sound = [raw.frame.to_ndarray()[0] for raw in frames if raw.kind is AUDIO]
        self.assertLess(abs(frequency(np.concatenate(sound), 48_000) - 880), 2)
        pictures = [raw.time for raw in frames if raw.kind is VIDEO]
        self.assertEqual({round(b - a, 6) for a, b in pairwise(pictures)}, {0.2})

    def test_moving(self):
        """The test picture moves."""
        first, *_, last = self.read(self.open("test:tone=0"), 20)
        self.assertFalse((first.frame.to_ndarray() == last.frame.to_ndarray()).all())

    def test_oneKind(self):
        """Without picture, or without sound."""
        self.assertEqual(self.open("test:tone=0").kinds, (VIDEO,))
        self.assertEqual(self.open("test:size=0").kinds, (AUDIO,))

    def test_wrongOptions(self):
        """Options that cannot be understood are told."""
        for options in (
            "size=big",
            "size=0x0",
            "size=99999x9",
            "size=7681x9",
            "fps=0",
            "fps=1000",
            "tone=-1",
            "tone=99999",
            "size=0,tone=0",
            "depth=3",
            "size",
        ):
            error = self.assertRaises(ValueError, open_source, f"test:{options}")
            self.assertIn("test source: ", str(error))
        for option in ("size=big", "fps=1000", "foo=1"):
            error = self.assertRaises(ValueError, open_source, f"test:{option}")
            for allowed in (repr(option), "640x480", "fps=60", "tone=19999"):
                self.assertIn(allowed, str(error))

    def test_notThere(self):
        """What is no file is not taken for something to connect to."""
        for text, kind, said in (
            ("nowhere.mp4", FileNotFoundError, "no such media file"),
            ("loop:nowhere.mp4", FileNotFoundError, "no such media file"),
            ("http://192.0.2.1/x", ValueError, "of this machine"),
            ("/tmp", IsADirectoryError, "a directory"),
        ):
            error = self.assertRaises(kind, open_source, text)
            self.assertIn(said, str(error))

    def test_noMedia(self):
        """A file that is no media."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"text, not media " * 100)
        self.assertRaises(OSError, open_source, path)

    def test_noDevice(self):
        """A device that is no camera."""
        self.assertRaises(OSError, open_source, "/dev/null")

    def film(self, seconds=2):
        """The name of a film."""
        path = self.mktemp()
        flash_and_beep(path, seconds)
        return path

    def test_file(self):
        """A film from beginning to end, both streams in the order of time."""
        source = self.open(self.film())
        frames = self.read(source, 10_000)
        times = [raw.time for raw in frames]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len([raw for raw in frames if raw.kind is VIDEO]), 30)
        self.assertEqual(times[0], 0.0)
        self.assertLess(abs(times[-1] - 2.0), 0.1)
        self.assertIsNone(source.read())

    def test_loop(self):
        """A looped film goes on where it ended."""
        frames = self.read(self.open(self.film(1), loop=True), 200)
        pictures = [raw.time for raw in frames if raw.kind is VIDEO]
        self.assertGreater(len(pictures), 40)
        for first, second in pairwise(pictures):
            self.assertLess(abs(second - first - 1 / 15), 0.003)

    def test_damaged(self):
        """A film with garbage in the middle is played as far as it goes."""
        path = self.film(4)
        with open(path, "r+b") as file:
            size = file.seek(0, 2)
            file.seek(size // 2)
            file.write(bytes(500))
        frames = self.read(self.open(path), 10_000)
        self.assertGreater(len(frames), 20)

    def test_putBack(self):
        """A frame that was read too many comes again."""
        source = self.open("test:tone=0")
        first = source.read()
        source.put_back(first)
        self.assertIs(source.read(), first)

    def test_closed(self):
        """A closed source is at its end."""
        source = open_source("test:")
        source.read()
        source.close()
        self.assertIsNone(source.read())


class VideoEncoderTests(SynchronousTestCase):
    """H.264 as wire.md wants it."""

    def setUp(self):
        self.source = open_source("test:tone=0")
        self.addCleanup(self.source.close)

    def encode(self, settings, count, keys=()):
        """Units of so many pictures; those numbered are asked to be key."""
        encoder = VideoEncoder(settings)
        units = []
        for number in range(count):
            raw = self.source.read()
            units += encoder.encode(raw.frame, raw.time, number in keys)
        return units

    def settings(self, **changes):
        """320x240 at 15 fps and 90 kbit/s, but for what is changed."""
        settings = VideoSettings(320, 240, Fraction(15), 10, 90_000, 3, 3)
        return dataclasses.replace(settings, **changes)

    def test_stream(self):
        """Constrained baseline, one slice a picture, no delay, every key frame
        with its parameter sets, where the GOP says and where asked for."""
        units = self.encode(self.settings(), 40, keys=(15,))
        stamps = [unit.timestamp for unit in units]
        self.assertEqual(stamps, list(range(0, 240_000, 6000)))
        keys = [number for number, unit in enumerate(units) if unit.key]
        self.assertEqual(keys, [0, 10, 15, 25, 35])
        for unit in units:
            nals = h264.split(unit.data)
            slices = [nal[0] & 0x1F for nal in nals if nal[0] & 0x1F in (1, 5)]
            self.assertEqual(slices, [5 if unit.key else 1])
            self.assertEqual(h264.is_key(nals), unit.key)
            if unit.key:
                sps, _ = h264.parameter_sets(nals)
                # profile_idc 66 with constraint_set0 and 1.
                self.assertEqual(sps[1], 66)
                self.assertEqual(sps[2] & 0xC0, 0xC0)

    def test_bitrate(self):
        """The bit rate is about what was asked for, or less."""
        units = self.encode(self.settings(gop=40), 300)
        rate = sum(len(unit.data) for unit in units) * 8 / 20
        self.assertTrue(30_000 < rate < 110_000, rate)

    def test_keepsTo(self):
        """The bit rate follows within a second or so, down and up, without a key
        frame; with very little of it every second frame is left out."""
        encoder = VideoEncoder(self.settings(gop=1000, bitrate=120_000, quality=1))
        source = GrainySource("test:tone=0,size=320x240,fps=15")
        self.addCleanup(source.close)
        rates, keys = [], 0
        for rate in (None, 60_000, 20_000, None):
            encoder.keep_to(rate)
            sizes = []
            for _ in range(60):
                raw = source.read()
                if encoder.wants(raw.time):
                    units = encoder.encode(raw.frame, raw.time, False)
                    keys += units[0].key
                    sizes.append(len(units[0].data))
            rates.append((len(sizes), sum(sizes[len(sizes) // 2 :]) * 8 / 2))
        self.assertEqual(keys, 1)
        frames, figures = zip(*rates, strict=True)
        self.assertEqual(frames[:2], (60, 60))
        self.assertIn(frames[2], (30, 31))
        self.assertGreater(figures[0], 1.4 * figures[1])
        self.assertGreater(figures[1], 1.4 * figures[2])
        self.assertGreater(figures[3], 1.4 * figures[1])

    def test_keepsConstantQuality(self):
        """Constant quality is given up for a bit rate, and taken up again."""
        encoder = VideoEncoder(self.settings(bitrate=0, gop=1000))
        keys = []
        for rate in (None, 50_000, 40_000, None):
            encoder.keep_to(rate)
            raw = self.source.read()
            (unit,) = encoder.encode(raw.frame, raw.time, False)
            keys.append(unit.key)
        self.assertEqual(keys, [True, True, False, True])

    def test_quality(self):
        """Without a bit rate, better quality costs more bits."""
        sizes = []
        for quality in (1, 3, 5):
            settings = self.settings(bitrate=0, quality=quality)
            sizes.append(sum(len(unit.data) for unit in self.encode(settings, 30)))
        self.assertLess(sizes[0], sizes[1])
        self.assertLess(sizes[1], sizes[2])

    def test_presets(self):
        """All presets work."""
        for preset in range(1, 6):
            self.assertEqual(len(self.encode(self.settings(preset=preset), 5)), 5)

    def test_leastBitrate(self):
        """A bit rate that x264 has no encoder for ends nothing; nor by halves."""
        for settings in (
            self.settings(bitrate=1),
            *layer_settings(self.settings(bitrate=4)),
            *layer_settings(self.settings(bitrate=1)),
        ):
            self.assertGreater(settings.bitrate, 0)
            self.assertEqual(len(self.encode(settings, 3)), 3)

    def test_timesThatDoNotGrow(self):
        """Two pictures of one time still have two timestamps."""
        encoder = VideoEncoder(self.settings())
        raw = self.source.read()
        units = encoder.encode(raw.frame, 1.0, False) + encoder.encode(
            self.source.read().frame, 1.0, False
        )
        self.assertEqual([unit.timestamp for unit in units], [90_000, 90_001])

    def test_wants(self):
        """As many frames as wanted, evenly, however the source jitters."""
        encoder = VideoEncoder(self.settings(fps=Fraction(10)))
        taken = [
            number / 30
            for number in range(90)
            if encoder.wants(number / 30 + (number % 3) * 0.002)
        ]
        self.assertEqual(len(taken), 30)

    def test_size(self):
        """Made to fit, in its shape, never enlarged, sides even."""
        for source, wanted, size in (
            ((640, 480), (320, 240), (320, 240)),
            ((1920, 1080), (320, 240), (320, 180)),
            ((160, 120), (320, 240), (160, 120)),
            ((1080, 1920), (320, 240), (136, 240)),
            ((101, 99), (320, 240), (100, 100)),
        ):
            parameters = dataclasses.replace(
                DEFAULT_PARAMETERS, video_width=wanted[0], video_height=wanted[1]
            )
            settings = video_settings(parameters, *source, Fraction(15))
            self.assertEqual((settings.width, settings.height), size)

    def test_otherCodec(self):
        """Only H.264 is encoded."""
        parameters = dataclasses.replace(DEFAULT_PARAMETERS, video_codec=2)
        self.assertRaises(Refused, video_settings, parameters, 1, 1, Fraction(15))


class AudioEncoderTests(SynchronousTestCase):
    """Opus, AAC and G.711."""

    def settings(self, codec, rate=16_000, channels=1, **changes):
        """Settings as the server's parameters give them."""
        return audio_settings(
            dataclasses.replace(
                DEFAULT_PARAMETERS,
                **changes,
                audio_codec=codec,
                audio_sample_rate=rate,
                audio_channels=channels,
            )
        )

    def encode(self, settings, seconds=1):
        """Units of a tone."""
        source = open_source("test:size=0")
        self.addCleanup(source.close)
        encoder = AudioEncoder(settings)
        units = []
        while (raw := source.read()).time < seconds:
            units += encoder.encode(raw.frame, raw.time)
        return units

    def test_amrBecomesOpus(self):
        """AMR-WB is published as Opus, at its bit rate."""
        settings = self.settings(AudioCodec.AMR_WB)
        self.assertEqual(settings.codec.number, AudioCodec.OPUS)
        self.assertEqual((settings.sample_rate, settings.bitrate), (16_000, 15_850))
        units = self.encode(settings, 5)
        rate = sum(len(unit.data) for unit in units) * 8 / 5
        self.assertTrue(12_000 < rate < 20_000, rate)

    def test_strangeBitrates(self):
        """A bit rate that no encoder takes becomes one that it does."""
        for codec in AudioCodec.OPUS, AudioCodec.AAC, AudioCodec.PCMU:
            for bitrate in 0, 1, (1 << 31) - 1:
                settings = self.settings(codec, audio_bitrate=bitrate)
                self.assertTrue(self.encode(settings, 0.2))

    def test_opus(self):
        """20 ms a packet in a clock of 48 kHz, whatever the sample rate; the
        codec's run-in lies before the beginning."""
        for rate, taken in ((8000, 8000), (22_050, 24_000), (44_100, 48_000)):
            settings = self.settings(AudioCodec.OPUS, rate)
            self.assertEqual(settings.sample_rate, taken)
            stamps = [unit.timestamp for unit in self.encode(settings)]
            self.assertEqual(stamps[0], -312)
            self.assertEqual({b - a for a, b in pairwise(stamps)}, {960})

    def test_aac(self):
        """1024 samples a packet in a clock of the sample rate."""
        for rate, channels in ((16_000, 1), (44_100, 2)):
            settings = self.settings(AudioCodec.AAC, rate, channels)
            stamps = [unit.timestamp for unit in self.encode(settings)]
            self.assertEqual({b - a for a, b in pairwise(stamps)}, {1024})
            form = settings.stream_format()
            self.assertEqual((form.clock_rate, form.channels), (rate, channels))
            self.assertTrue(form.config)

    def test_g711(self):
        """8 kHz, one channel, 160 bytes a packet."""
        settings = self.settings(AudioCodec.PCMA, 44_100, 2)
        self.assertEqual((settings.sample_rate, settings.channels), (8000, 1))
        self.assertEqual({len(unit.data) for unit in self.encode(settings)}, {160})

    def test_otherCodec(self):
        """What cannot be encoded is refused."""
        for codec in (10, 12, 14, 15, 16, 999):
            self.assertRaises(Refused, self.settings, codec)

    def test_sourceChanges(self):
        """A film whose sound changes its form half-way is still encoded."""
        encoder = AudioEncoder(self.settings(AudioCodec.OPUS))
        units = []
        for number in range(20):
            layout, rate = ("mono", 48_000) if number < 10 else ("stereo", 44_100)
            frame = av.AudioFrame(format="s16", layout=layout, samples=rate // 50)
            frame.sample_rate = rate
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            units += encoder.encode(frame, number / 50)
        self.assertGreater(len(units), 15)
        self.assertGreater(units[-1].timestamp, 16 * 960)
