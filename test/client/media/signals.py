"""Pictures and sounds that a test can tell apart again."""

from fractions import Fraction

import av
import numpy as np

from anychat.client.media.source import open_source
from anychat.codes import StreamKind

RATE = 48_000


def flash_and_beep(path, seconds, fps=15):
    """Write a film that is black and silent, but for a white frame and a beep
    of 50 ms at every full second."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.options = {"tune": "zerolatency", "crf": "20"}
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(seconds * fps):
            level = 255 if number and number % fps == 0 else 0
            picture = np.full((120, 160, 3), level, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
            samples = np.arange(RATE // fps) + number * (RATE // fps)
            wave = 20_000 * np.sin(samples * 2 * np.pi * 1000 / RATE)
            wave *= (samples >= RATE) & (samples % RATE < RATE // 20)
            sound = av.AudioFrame.from_ndarray(
                wave.astype(np.int16).reshape(1, -1), "s16", "mono"
            )
            sound.sample_rate = RATE
            sound.pts, sound.time_base = int(samples[0]), Fraction(1, RATE)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def is_white(frame):
    """Whether a picture is a flash."""
    return frame.to_ndarray(format="gray").mean() > 128


def onsets(sounds):
    """Times at which beeps begin.

    :param sounds: pairs of a time and the samples from it on.
    """
    found = []
    for when, frame in sounds:
        samples = np.abs(frame.to_ndarray().astype(np.float64).ravel())
        if frame.format.name.startswith("s16"):
            samples /= 32768
        loud = np.nonzero(samples > 0.2)[0]
        if len(loud):
            time = when + loud[0] / frame.sample_rate
            if not found or time - found[-1] > 0.5:
                found.append(time)
    return found


def frequency(samples, rate):
    """The strongest frequency in samples, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def psnr(first, second):
    """Peak signal to noise ratio of two pictures, dB, over all planes."""
    planes = [frame.to_ndarray(format="yuv420p") for frame in (first, second)]
    error = np.mean((planes[0].astype(float) - planes[1].astype(float)) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def decode_all(units):
    """Decode access units by themselves; a picture of each."""
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    pictures = []
    for unit in units:
        pictures += context.decode(av.Packet(unit))
    return pictures + context.decode(None)


class GrainySource:
    """The test picture with grain, which takes all the bits that there are."""

    def __init__(self, text):
        self._source = open_source(text)
        self._random = np.random.default_rng(1)

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read(self):
        """The next frame."""
        raw = self._source.read()
        if raw is None or raw.kind is not StreamKind.VIDEO:
            return raw
        plane = raw.frame.to_ndarray(format="gray").astype(np.int16)
        grain = self._random.integers(-20, 20, (plane.shape[0] // 4, 1))
        grain = grain + self._random.integers(-20, 20, (1, plane.shape[1] // 4))
        plane += np.kron(grain, np.ones((4, 4), np.int16))
        frame = av.VideoFrame.from_ndarray(
            np.clip(plane, 0, 255).astype(np.uint8), format="gray"
        ).reformat(format="yuv420p")
        frame.pts, frame.time_base = raw.frame.pts, raw.frame.time_base
        return type(raw)(raw.time, raw.number, raw.kind, frame)
