"""Pairs of real clients on a real server, and what they saw and heard."""

from dataclasses import dataclass, field, replace

import numpy
from twisted.internet import reactor
from twisted.internet.task import deferLater

from anychat.client.client import Client
from anychat.client.media.session import MediaSession
from anychat.client.media.source import open_source
from anychat.client.trust import AnyCertificate
from anychat.codes import StreamKind


def media_through(port):
    """A maker of media sessions whose UDP goes to another port."""

    class Detour(MediaSession):
        def configure(self, setup, server_host):
            if port is not None:
                setup = replace(setup, port=port)
            super().configure(setup, server_host)

    return lambda reactor, log, on_udp, random_bytes: Detour(
        reactor, log, on_udp, random_bytes
    )


async def until(condition, seconds=10.0, step=0.02):
    """Wait for something to become true."""
    end = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > end:
            raise AssertionError(f"not within {seconds} s: {condition}")
        await deferLater(reactor, step)


async def pause(seconds):
    """Let real time pass, with the media that goes on in it."""
    await deferLater(reactor, seconds)


async def bound(client):
    """Wait until the server has said that it knows the client's UDP address."""
    await until(lambda: client._plane.session().bound)


async def sign_in(
    case, server, name, room=1, host="127.0.0.1", udp_port=None, **options
):
    """A client in a room; closed when the test ends."""
    client = Client(
        reactor,
        trust=AnyCertificate(),
        log_path=None,
        media=media_through(udp_port),
        media_at_login=True,
        **options,
    )
    case.addCleanup(client.close)
    await client.connect(host, server.tcp_port)
    await client.login(name, "secret")
    await client.enter_room(room)
    return client


class RecordingSource:
    """A source that remembers the pictures it gave, by their times."""

    def __init__(self, text):
        self._source = open_source(text)
        self.pictures = {}

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read(self):
        """The next frame."""
        raw = self._source.read()
        if raw is not None and raw.kind is StreamKind.VIDEO:
            self.pictures[round(raw.time * 1000)] = raw.frame
        return raw


@dataclass(eq=False)
class Witness:
    """A sink that keeps all it is given, and when that was."""

    pictures: list = field(default_factory=list)
    """(frame, time on the sender's line, when it was shown)"""
    sounds: list = field(default_factory=list)

    def video_frame(self, frame, when):
        """See `Sink`."""
        self.pictures.append((frame, when, reactor.seconds()))

    def audio_frame(self, frame, when):
        """See `Sink`."""
        self.sounds.append((frame, when, reactor.seconds()))


def psnr(one, other):
    """Peak signal-to-noise ratio of two pictures' planes, dB."""
    first = one.to_ndarray(format="yuv420p").astype(numpy.float64)
    second = other.to_ndarray(format="yuv420p").astype(numpy.float64)
    error = numpy.mean((first - second) ** 2)
    return 99.0 if error == 0 else 10 * numpy.log10(255.0**2 / error)


def samples(frame):
    """One channel of an audio frame, as floats."""
    data = frame.to_ndarray()
    if data.dtype.kind == "i":
        data = data / float(numpy.iinfo(data.dtype).max)
    channels = len(frame.layout.channels)
    if data.shape[0] == 1 and channels > 1:
        data = data.reshape(-1, channels).T
    return data[0]


def loudest_frequency(frames):
    """The frequency with most energy in these audio frames, Hz."""
    signal = numpy.concatenate([samples(frame) for frame in frames])
    spectrum = numpy.abs(numpy.fft.rfft(signal * numpy.hanning(len(signal))))
    return float(numpy.argmax(spectrum)) * frames[0].sample_rate / len(signal)
