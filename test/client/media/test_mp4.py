"""Tests for `anychat.client.media.mp4`."""

import os
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.encode import VideoEncoder, VideoSettings
from anychat.client.media.mp4 import Mp4Sink
from anychat.client.media.strand import Strand
from anychat.codes import StreamKind
from anychat.messages import StreamFormat
from test.client.media.bench import InlineWorkers
from test.client.media.signals import frequency

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
FORMATS = {
    VIDEO: StreamFormat(96, 90_000, 60_000, 160, 120, 15),
    AUDIO: StreamFormat(111, 48_000, 16_000, channels=1),
}


class Camera:
    """Access units of a picture that gets brighter."""

    def __init__(self, width=160, height=120):
        self.size = width, height
        self.encoder = VideoEncoder(
            VideoSettings(width, height, Fraction(15), 1000, 60_000, 3, 1)
        )
        self.count = 0

    def shoot(self, key=False):
        """The next access unit, whether it is a key frame, and its picture."""
        width, height = self.size
        level = min(255, 50 + self.count)
        picture = av.VideoFrame.from_ndarray(
            np.full((height, width, 3), level, dtype=np.uint8), "rgb24"
        )
        [unit] = self.encoder.encode(picture, self.count / 15, key)
        self.count += 1
        return unit.data, unit.key, picture


def sound(seconds, offset=0.0):
    """A tone of 440 Hz."""
    times = offset + np.arange(round(seconds * 48_000)) / 48_000
    wave = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), "fltp", "mono")
    frame.sample_rate = 48_000
    return frame


class Mp4SinkTests(SynchronousTestCase):
    """What is put in is found in the file."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "user.mp4"
        self.log = []
        self.workers = InlineWorkers(self.log.append)
        self.camera = Camera()

    def tearDown(self):
        self.assertEqual(self.log, [])

    def sink(self, *kinds):
        """A sink for streams of these kinds."""
        sink = Mp4Sink(self.path)
        for kind in kinds:
            sink.begin(kind, FORMATS[kind], self.workers.strand)
        return sink

    def finish(self, sink, *kinds):
        """End the streams and close; the names of the files made."""
        closed = sink.close()
        for kind in kinds:
            self.assertNoResult(closed)
            sink.ended(kind)
        names = [path.name for path in self.successResultOf(closed)]
        self.assertEqual(sorted(os.listdir(self.directory)), sorted(names))
        return names

    def record(self, sink, seconds, start=0.0, skip=()):
        """Pictures and sound of that many seconds."""
        for number in range(round(seconds * 50)):
            place = number / 50
            if round(place * 50) not in skip:
                sink.audio_frame(sound(0.02, place), start + place)
            while self.camera.count / 15 <= place:
                when = start + self.camera.count / 15
                sink.video_unit(*self.camera.shoot(), when)

    def pictures(self, name="user.mp4"):
        """Times of the pictures in a file."""
        with av.open(str(self.directory / name)) as container:
            return [frame.time for frame in container.decode(video=0)]

    def samples(self, name="user.mp4"):
        """All samples of a file."""
        with av.open(str(self.directory / name)) as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(frames)

    def test_both(self):
        """Every picture at its time; the tone in full length."""
        sink = self.sink(VIDEO, AUDIO)
        self.record(sink, 4.0, 7.5)
        self.assertEqual(self.finish(sink, VIDEO, AUDIO), ["user.mp4"])
        times = self.pictures()
        self.assertEqual(len(times), 60)
        for number, time in enumerate(times):
            self.assertLess(abs(time - number / 15), 0.001)
        samples = self.samples()
        self.assertLess(abs(len(samples) / 48_000 - 4.0), 0.05)
        self.assertLess(abs(frequency(samples, 48_000) - 440), 1)

    def test_startsWithAKeyFrame(self):
        """Pictures before the first key frame, and sound before that, are left
        out; what follows is in step."""
        sink = self.sink(VIDEO, AUDIO)
        self.camera.shoot()
        sink.audio_frame(sound(0.5), 0.0)
        for number in range(3):
            sink.video_unit(*self.camera.shoot(), 0.5 + number / 15)
        sink.video_unit(*self.camera.shoot(True), 0.7)
        sink.audio_frame(sound(1.0), 0.6)
        sink.video_unit(*self.camera.shoot(), 0.8)
        self.finish(sink, VIDEO, AUDIO)
        self.assertEqual([round(time, 3) for time in self.pictures()], [0.0, 0.1])
        self.assertLess(abs(len(self.samples()) / 48_000 - 0.9), 0.05)

    def test_losses(self):
        """Silence where sound was lost; nothing moves."""
        sink = self.sink(VIDEO, AUDIO)
        self.record(sink, 4.0, skip=range(50, 75))
        self.finish(sink, VIDEO, AUDIO)
        samples = self.samples()
        self.assertLess(abs(len(samples) / 48_000 - 4.0), 0.05)
        lost = samples[round(1.05 * 48_000) : round(1.45 * 48_000)]
        self.assertLess(np.abs(lost).max(), 0.01)
        after = samples[round(1.55 * 48_000) : round(1.95 * 48_000)]
        self.assertGreater(np.abs(after).max(), 0.3)

    def test_overlap(self):
        """Sound that comes twice for one moment does not push the rest."""
        sink = self.sink(AUDIO)
        for number in range(100):
            sink.audio_frame(sound(0.03), number * 0.02)
        self.finish(sink, AUDIO)
        self.assertLess(abs(len(self.samples()) / 48_000 - 2.0), 0.06)

    def test_soundChanges(self):
        """A microphone that is opened anew with another form goes on."""
        sink = self.sink(AUDIO)
        for number in range(100):
            sink.audio_frame(sound(0.02, number / 50), number / 50)
        for number in range(100, 200):
            frame = av.AudioFrame(format="s16", layout="stereo", samples=160)
            frame.sample_rate = 8_000
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            sink.audio_frame(frame, number / 50)
        self.finish(sink, AUDIO)
        self.assertLess(abs(len(self.samples()) / 48_000 - 4.0), 0.05)

    def test_soundOnly(self):
        """A user without a camera."""
        sink = self.sink(AUDIO)
        for number in range(150):
            sink.audio_frame(sound(0.02, number / 50), number / 50)
        self.finish(sink, AUDIO)
        with av.open(str(self.path)) as container:
            self.assertEqual([stream.type for stream in container.streams], ["audio"])
        self.assertLess(abs(frequency(self.samples(), 48_000) - 440), 1)

    def test_pictureOnly(self):
        """A user without a microphone."""
        sink = self.sink(VIDEO)
        for number in range(30):
            sink.video_unit(*self.camera.shoot(), number / 15)
        self.finish(sink, VIDEO)
        self.assertEqual(len(self.pictures()), 30)

    def test_videoOpenedLater(self):
        """A camera that is opened in the middle goes into the same file, to
        where it belongs."""
        sink = self.sink(AUDIO)
        for number in range(250):
            sink.audio_frame(sound(0.02, number / 50), number / 50)
        sink.begin(VIDEO, FORMATS[VIDEO], self.workers.strand)
        large = Camera(320, 240)
        for number in range(15):
            sink.video_unit(*large.shoot(), 5.0 + number / 15)
        self.assertEqual(self.finish(sink, AUDIO, VIDEO), ["user.mp4"])
        times = self.pictures()
        self.assertEqual(len(times), 15)
        self.assertLess(abs(times[0] - 5.0), 0.01)

    def test_sizeChanges(self):
        """Another size of picture begins another file."""
        sink = self.sink(VIDEO, AUDIO)
        self.record(sink, 3.0)
        self.camera = Camera(320, 240)
        for number in range(15):
            sink.video_unit(*self.camera.shoot(), 3.0 + number / 15)
            sink.audio_frame(sound(1 / 15), 3.0 + number / 15)
        names = self.finish(sink, VIDEO, AUDIO)
        self.assertEqual(names, ["user.mp4", "user-2.mp4"])
        self.assertEqual(len(self.pictures()), 45)
        self.assertEqual(len(self.pictures("user-2.mp4")), 15)

    def test_timeLineBreaks(self):
        """A sender whose clock jumps does not make a file of a year."""
        sink = self.sink(AUDIO)
        for number in range(100):
            sink.audio_frame(sound(0.02), number / 50)
        for number in range(100):
            sink.audio_frame(sound(0.02), 3e7 + number / 50)
        for number in range(100):
            sink.audio_frame(sound(0.02), number / 50)
        names = self.finish(sink, AUDIO)
        self.assertEqual(names, ["user.mp4", "user-2.mp4", "user-3.mp4"])

    def test_nothing(self):
        """Without a frame there is no file."""
        self.assertEqual(self.finish(self.sink(VIDEO, AUDIO), VIDEO, AUDIO), [])
        self.assertEqual(self.successResultOf(Mp4Sink(self.path).close()), [])

    def test_neverOverwrites(self):
        """What is there stays, finished or not."""
        self.path.write_bytes(b"mine")
        part = self.directory / "user-2.mp4.part"
        part.write_bytes(b"also mine")
        sink = self.sink(VIDEO)
        for number in range(15):
            sink.video_unit(*self.camera.shoot(), number / 15)
        closed = sink.close()
        sink.ended(VIDEO)
        [made] = self.successResultOf(closed)
        self.assertEqual(made.name, "user-3.mp4")
        self.assertEqual(self.path.read_bytes(), b"mine")
        self.assertEqual(part.read_bytes(), b"also mine")

    def test_partUntilComplete(self):
        """While it is written it has another name."""
        sink = self.sink(VIDEO)
        for number in range(40):
            sink.video_unit(*self.camera.shoot(), number / 15)
        self.assertEqual(os.listdir(self.directory), ["user.mp4.part"])
        self.assertEqual(self.finish(sink, VIDEO), ["user.mp4"])

    def test_nameTakenMeanwhile(self):
        """Somebody else's file of the final name is not replaced."""
        sink = self.sink(VIDEO)
        for number in range(40):
            sink.video_unit(*self.camera.shoot(), number / 15)
        self.path.write_bytes(b"mine")
        closed = sink.close()
        sink.ended(VIDEO)
        [made] = self.successResultOf(closed)
        self.assertEqual(made.name, "user-2.mp4")
        self.assertEqual(self.path.read_bytes(), b"mine")

    def test_cannotWrite(self):
        """A directory that is not there is told; nothing else happens."""
        sink = Mp4Sink(self.directory / "missing" / "user.mp4")
        sink.begin(VIDEO, FORMATS[VIDEO], self.workers.strand)
        for number in range(40):
            sink.video_unit(*self.camera.shoot(), number / 15)
        closed = sink.close()
        sink.ended(VIDEO)
        self.assertEqual(self.successResultOf(closed), [])
        self.assertIn("missing", sink.error)

    def test_diskFull(self):
        """A disk without room ends the recording; what there is stays."""
        sink = self.sink(VIDEO)
        for number in range(40):
            sink.video_unit(*self.camera.shoot(True), number / 15)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Writing beyond this fails, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            for number in range(40, 400):
                sink.video_unit(*self.camera.shoot(True), number / 15)
            closed = sink.close()
            sink.ended(VIDEO)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(self.successResultOf(closed), [])
        self.assertIn("user.mp4", sink.error)
        self.assertEqual(os.listdir(self.directory), ["user.mp4.part"])

    def test_backlog(self):
        """Writing that does not keep up loses frames up to a key frame."""
        jobs = []
        sink = Mp4Sink(self.path)
        sink.begin(
            VIDEO,
            FORMATS[VIDEO],
            lambda: Strand(lambda job, report: jobs.append((job, report)), print),
        )
        unit = self.camera.shoot()
        for number in range(1100):
            sink.video_unit(*unit, number / 15)
        self.assertGreater(sink.dropped, 90)
        while jobs:
            job, report = jobs.pop(0)
            report(True, job())
        dropped = sink.dropped
        later = self.camera.shoot()
        sink.video_unit(*later, 80.0)
        self.assertEqual(sink.dropped, dropped + 1)
        sink.video_unit(*self.camera.shoot(True), 80.1)
        self.assertEqual(sink.dropped, dropped + 1)
        self.assertEqual(len(jobs), 1)
        job, report = jobs.pop(0)
        report(True, job())
        closed = sink.close()
        sink.ended(VIDEO)
        while jobs:
            job, report = jobs.pop(0)
            report(True, job())
        self.successResultOf(closed)
