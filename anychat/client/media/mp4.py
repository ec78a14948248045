"""Writes what one user sends into an MP4 file.

Video goes in as it was coded.  Sound is decoded, put where it belongs on the
user's time line with silence where packets were lost, and coded as AAC, which
plays everywhere.  So a loss shortens nothing, and both stay in step.

A file is called ``NAME.mp4.part`` until it is whole.  No file is ever
overwritten: where the name is taken, ``NAME-2.mp4`` and so on are used, and so
it is when one recording needs several files, since the size of the picture (or
anything else in the parameter sets) changed or the time line broke.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from twisted.internet.defer import Deferred

from anychat.client.media.resample import Resampler
from anychat.client.media.strand import Strand
from anychat.codes import StreamKind
from anychat.media.packetize import h264
from anychat.messages import StreamFormat

#: Sound in the file.
AUDIO_RATE = 48_000
AUDIO_BITRATE = 64_000
#: Seconds that one stream waits for the other to begin with it in a file.
_TOGETHER = 2.0
#: Seconds by which sound may be out of place before it is moved.
_TOLERANCE = 0.010
#: Seconds that the time line may jump ahead, and back, within one file.
_JUMP_AHEAD = 60.0
_JUMP_BACK = 1.0
#: Most frames that wait to be written.
_BACKLOG = 1000
#: Most files of one name.
_MAX_FILES = 1000

_VIDEO_CLOCK = 90_000


@dataclass(frozen=True, slots=True)
class _Video:
    """An access unit and where it belongs."""

    when: float
    unit: bytes
    key: bool
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Audio:
    """Samples and where they belong."""

    when: float
    frame: av.AudioFrame


class Mp4Sink:
    """Records one user; a `Recording` sink.

    :param path: of the file; the directory must exist.
    """

    def __init__(self, path: str | Path):
        self.dropped = 0
        """Frames left out because writing did not keep up."""
        self._writer = Mp4Writer(Path(path))
        self._strand: Strand | None = None
        self._broken = False
        self._open_streams = 0
        self._finished: list[Deferred[list[Path]]] = []

    @property
    def error(self) -> str | None:
        """Why nothing is written any more, if so."""
        return self._writer.error

    def begin(
        self, kind: StreamKind, form: StreamFormat, strand: Callable[[], Strand]
    ) -> None:
        """See `Recording`."""
        self._open_streams += 1
        if self._strand is None:
            self._strand = strand()
        self._strand.submit(partial(self._writer.expect, kind, form))

    def video_unit(self, unit: bytes, key: bool, picture: Any, when: float) -> None:
        """See `Recording`."""
        if self._broken and not key:
            # A picture before it was left out: it would not decode.
            self.dropped += 1
            return
        video = _Video(when, unit, key, picture.width, picture.height)
        self._broken = not self._submit(video)

    def audio_frame(self, frame: av.AudioFrame, when: float) -> None:
        """See `Recording`."""
        self._submit(_Audio(when, frame))

    def _submit(self, item: _Video | _Audio) -> bool:
        if self._strand is None or self._strand.pending >= _BACKLOG:
            self.dropped += 1
            return False
        self._strand.submit(partial(self._writer.write, item))
        return True

    def ended(self, kind: StreamKind) -> None:
        """See `Recording`."""
        self._open_streams -= 1
        self._finish()

    def close(self) -> "Deferred[list[Path]]":
        """Finish the file once its streams have ended.

        :return: fires with the paths of the files that were made.
        """
        finished: Deferred[list[Path]] = Deferred()
        self._finished.append(finished)
        self._finish()
        return finished

    def _finish(self) -> None:
        if self._open_streams or not self._finished:
            return
        if self._strand is None:
            self._tell(None)
        else:
            self._strand.submit(self._writer.close)
            self._strand.finish().addCallback(self._tell)

    def _tell(self, result: None) -> None:
        finished, self._finished = self._finished, []
        for waiting in finished:
            waiting.callback(list(self._writer.files))


class Mp4Writer:
    """The work of `Mp4Sink`, for one thread at a time."""

    def __init__(self, path: Path):
        self.error: str | None = None
        """Why nothing is written any more."""
        self.files: list[Path] = []
        """What was made."""
        self._path = path
        self._expected: dict[StreamKind, StreamFormat] = {}
        self._waiting: list[_Video | _Audio] = []
        self._file: _File | None = None

    def expect(self, kind: StreamKind, form: StreamFormat) -> None:
        """A stream of that kind is about to come."""
        self._expected[kind] = form

    def write(self, item: _Video | _Audio) -> None:
        """Write a frame; in case of trouble, nothing any more."""
        if self.error is not None:
            return
        try:
            if self._file is not None and not self._file.takes(item):
                self._finish()
            if self._file is None:
                self._wait(item)
            else:
                self._file.write(item)
        except (OSError, av.FFmpegError) as error:
            self._fail(error)

    def close(self) -> None:
        """Finish the file, if there is one or enough for one."""
        if self.error is not None:
            return
        try:
            if self._file is None and self._waiting:
                self._open()
            self._finish()
        except (OSError, av.FFmpegError) as error:
            self._fail(error)

    def _wait(self, item: _Video | _Audio) -> None:
        """Begin a file when every stream that is expected has begun."""
        if isinstance(item, _Video) and not item.key and not self._has(_Video):
            return
        self._waiting.append(item)
        complete = all(
            self._has(_Video if kind is StreamKind.VIDEO else _Audio)
            for kind in self._expected
        )
        if complete or item.when - self._waiting[0].when >= _TOGETHER:
            self._open()

    def _has(self, kind: type) -> bool:
        return any(isinstance(item, kind) for item in self._waiting)

    def _open(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._file = file = _File(self._path, waiting, self._expected)
        for item in waiting:
            file.write(item)

    def _finish(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self.files.append(file.finish())

    def _fail(self, error: Exception) -> None:
        self.error = f"{self._path}: {error}"
        self._waiting.clear()
        file, self._file = self._file, None
        if file is not None:
            file.abandon()


class _File:
    """One MP4 file.

    :param first: its first frames; they say where its time begins.
    """

    def __init__(
        self,
        path: Path,
        first: list[_Video | _Audio],
        expected: dict[StreamKind, StreamFormat],
    ):
        videos = [item for item in first if isinstance(item, _Video)]
        # With video the file begins with its first picture, else with sound.
        self._zero = (videos or first)[0].when
        self._last = self._zero
        self._sets: tuple[bytes, ...] = ()
        form = expected.get(StreamKind.VIDEO)
        if videos:
            self._size = videos[0].width, videos[0].height
        elif form is not None and form.width and form.height:
            self._size = form.width, form.height
        else:
            self._size = 320, 240
        self._video_time = -1
        self._part, self._final = _reserve(path)
        try:
            self._container = av.open(f"file:{self._part}", "w", format="mp4")
            self._video = self._container.add_mux_stream(
                "h264",
                rate=form.fps if form is not None and form.fps else 25,
                width=self._size[0],
                height=self._size[1],
                time_base=Fraction(1, _VIDEO_CLOCK),
            )
            self._sound = _Sound(self._container, expected.get(StreamKind.AUDIO))
            self._container.start_encoding()
        except (OSError, av.FFmpegError):
            os.unlink(self._part)
            raise

    def takes(self, item: _Video | _Audio) -> bool:
        """Whether a frame can go into this file."""
        if not -_JUMP_BACK <= item.when - self._last <= _JUMP_AHEAD:
            return False
        if not isinstance(item, _Video) or not item.key:
            return True
        sets = h264.parameter_sets(h264.split(item.unit))
        if not self._sets:
            return (item.width, item.height) == self._size
        return sets == self._sets

    def write(self, item: _Video | _Audio) -> None:
        """Put a frame into its place."""
        self._last = max(self._last, item.when)
        place = item.when - self._zero
        if isinstance(item, _Audio):
            self._sound.write(item.frame, place)
            return
        if not self._sets:
            if not item.key:
                return
            self._sets = h264.parameter_sets(h264.split(item.unit))
        # Two pictures at one time, or going back, cannot be stored.
        self._video_time = max(round(place * _VIDEO_CLOCK), self._video_time + 1)
        packet = av.Packet(item.unit)
        packet.stream = self._video
        packet.pts = packet.dts = self._video_time
        packet.time_base = Fraction(1, _VIDEO_CLOCK)
        packet.is_keyframe = item.key
        self._container.mux(packet)

    def finish(self) -> Path:
        """Complete the file and give it its name."""
        self._sound.finish()
        self._container.close()
        return _publish(self._part, self._final)

    def abandon(self) -> None:
        """Leave the file as far as it came, under its temporary name."""
        try:
            self._container.close()
        except (OSError, av.FFmpegError):
            # The disk is full or gone: that is why it is abandoned.
            return


class _Sound:
    """The sound of a file: what came, where it belongs, silence between."""

    def __init__(self, container: Any, form: StreamFormat | None):
        channels = 2 if form is not None and form.channels == 2 else 1
        layout = "stereo" if channels == 2 else "mono"
        self._channels = channels
        self._container = container
        self._stream = container.add_stream("aac", rate=AUDIO_RATE, layout=layout)
        self._stream.bit_rate = AUDIO_BITRATE * channels
        self._layout = layout
        self._resampler = Resampler("fltp", layout, AUDIO_RATE)
        self._pieces = av.AudioFifo()
        self._position = 0

    def write(self, frame: av.AudioFrame, place: float) -> None:
        """Put samples where they belong."""
        frame.pts = None
        for piece in self._resampler.resample(frame):
            samples = piece.to_ndarray()
            gap = round(place * AUDIO_RATE) - self._position
            if gap > _TOLERANCE * AUDIO_RATE:
                self._silence(gap)
            elif gap < -_TOLERANCE * AUDIO_RATE:
                samples = samples[:, -gap:]
            place += piece.samples / AUDIO_RATE
            self._append(samples)

    def _silence(self, count: int) -> None:
        while count > 0:
            size = min(count, AUDIO_RATE)
            self._append(np.zeros((self._channels, size), dtype=np.float32))
            count -= size

    def _append(self, samples: Any) -> None:
        if not samples.shape[1]:
            return
        piece = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), "fltp", self._layout
        )
        piece.sample_rate = AUDIO_RATE
        piece.pts = self._position
        piece.time_base = Fraction(1, AUDIO_RATE)
        self._position += piece.samples
        self._pieces.write(piece)
        for whole in self._pieces.read_many(self._stream.codec_context.frame_size):
            self._container.mux(self._stream.encode(whole))

    def finish(self) -> None:
        """Encode what is left."""
        if not self._position:
            return
        rest = self._pieces.read(0, partial=True)
        if rest is not None:
            self._container.mux(self._stream.encode(rest))
        self._container.mux(self._stream.encode(None))


def _names(path: Path) -> Any:
    yield path
    for number in range(2, _MAX_FILES):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def _reserve(path: Path) -> tuple[Path, Path]:
    """Create a temporary file that nobody else has; also its later name."""
    for final in _names(path):
        part = final.with_name(f"{final.name}.part")
        if final.exists():
            continue
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        except FileExistsError:
            continue
        return part, final
    raise FileExistsError(f"{path}: too many files of that name")


def _publish(part: Path, final: Path) -> Path:
    """Give a finished file the first name from ``final`` on that is free."""
    for name in _names(final):
        try:
            # Unlike rename(), link() never replaces a file.
            os.link(part, name)
        except FileExistsError:
            continue
        except OSError:
            # A file system without hard links: as near as one can get.
            if name.exists():
                continue
            os.rename(part, name)
            return Path(name)
        os.unlink(part)
        return Path(name)
    raise FileExistsError(f"{final}: too many files of that name")
