"""What is published: a file, a device, or a test picture with a tone.

`open_source` takes a text:

====================  ====================================================
``test:``             a moving test picture and a tone of 440 Hz; options
                      follow: ``test:size=640x480,fps=25,tone=880``
                      (``tone=0``: no sound; ``size=0``: no picture)
``PATH``              a media file, played once in real time
``loop:PATH``         the same, over and over
``/dev/video0``       a camera (Video4Linux 2)
``alsa:NAME``         a microphone, as ALSA names it: ``alsa:default``
====================  ====================================================

A `Source` is read by one thread at a time; it gives raw frames in the order of
their times and knows nothing of real time, which is the feed's business.
"""

import heapq
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from anychat.codes import StreamKind

#: Seconds that opening may take, and each read of a device or file.
_TIMEOUTS = (10.0, 5.0)
#: Most frames of one kind that are read ahead to find one of the other, and
#: most bytes of pictures.
_READ_AHEAD = 64
_READ_AHEAD_BYTES = 64 << 20
#: Pictures larger than this are not taken, pixels each way.
_LARGEST = 7680

_ALSA_CONFIGURATION = "/usr/share/alsa/alsa.conf"
_TEST_OPTIONS = (
    f"size=640x480 (at most {_LARGEST}x{_LARGEST}; 0: no picture), "
    "fps=1 to fps=60, tone=1 to tone=19999 (0: no sound)"
)
_TEST_SIZE = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True, order=True)
class RawFrame:
    """A decoded picture or some samples."""

    time: float
    """Seconds from the source's zero."""
    number: int
    """Keeps the order of frames of one time."""
    kind: StreamKind = field(compare=False)
    frame: av.VideoFrame | av.AudioFrame = field(compare=False)


class Source:
    """Where raw frames come from.

    :param container: opened by `open_source`.
    :param loop: begin anew at the end.
    :param live: frames come when they are made; they are not waited for.
    :param fixed: parameters that the source brings along itself, by the names
        of `ServerParameters`.
    """

    def __init__(
        self,
        text: str,
        container: "av.container.InputContainer",
        loop: bool = False,
        live: bool = False,
        fixed: dict[str, int] | None = None,
    ):
        self.text = text
        self.live = live
        self.fixed = fixed or {}
        self.on_end: Callable[[], None] | None = None
        """Called in the reactor's thread when a source that does not loop is
        at its end."""
        self._container = container
        self._loop = loop
        streams = container.streams
        self._video = streams.video[0] if streams.video else None
        self._audio = streams.audio[0] if streams.audio else None
        self._base: float | None = None
        self._shift = 0.0
        self._end = 0.0
        self._number = 0
        self._ready: list[RawFrame] = []
        self._waiting = dict.fromkeys(self.kinds, 0)
        self._limits = dict.fromkeys(self.kinds, _READ_AHEAD)
        if self._video is not None:
            width, height, _ = self.picture
            affordable = _READ_AHEAD_BYTES // (width * height * 3 // 2 + 1)
            self._limits[StreamKind.VIDEO] = min(max(affordable, 2), _READ_AHEAD)
        self._frames = self._decode()

    @property
    def kinds(self) -> tuple[StreamKind, ...]:
        """What the source has: video, audio or both."""
        kinds = []
        if self._video is not None:
            kinds.append(StreamKind.VIDEO)
        if self._audio is not None:
            kinds.append(StreamKind.AUDIO)
        return tuple(kinds)

    @property
    def picture(self) -> tuple[int, int, Fraction]:
        """Width, height and frames per second of the video."""
        assert self._video is not None
        context = self._video.codec_context
        rate = self._video.average_rate or self._video.base_rate or Fraction(25)
        return context.width, context.height, Fraction(rate)

    def read(self) -> RawFrame | None:
        """The next frame, waiting for a device; None at the end.

        A frame or file that does not decode ends the source.
        """
        while not self._ready or not all(self._waiting.values()):
            if any(self._waiting[kind] >= self._limits[kind] for kind in self.kinds):
                break
            frame = next(self._frames, None)
            if frame is None:
                break
            heapq.heappush(self._ready, frame)
            self._waiting[frame.kind] += 1
            if self.live:
                break
        if not self._ready:
            return None
        frame = heapq.heappop(self._ready)
        self._waiting[frame.kind] -= 1
        return frame

    def put_back(self, raw: RawFrame) -> None:
        """Take a frame back that was read and not used."""
        heapq.heappush(self._ready, raw)
        self._waiting[raw.kind] += 1

    def close(self) -> None:
        """Let go of the file or device; must not run beside `read`."""
        self._ready.clear()
        self._frames = iter(())
        self._container.close()

    def _decode(self) -> Iterator[RawFrame]:
        while True:
            before = self._number
            try:
                yield from self._decode_once()
            except (av.FFmpegError, EOFError):
                return
            if not self._loop or self._number == before:
                return
            self._shift = self._end
            try:
                self._container.seek(0)
            except av.FFmpegError:
                return

    def _decode_once(self) -> Iterator[RawFrame]:
        streams = [stream for stream in (self._video, self._audio) if stream]
        for packet in self._container.demux(*streams):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                # Damaged in one place; what follows may be whole.
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    yield self._timed(StreamKind.VIDEO, frame, self._frame_length)
                elif isinstance(frame, av.AudioFrame):
                    length = frame.samples / frame.sample_rate
                    yield self._timed(StreamKind.AUDIO, frame, length)

    @property
    def _frame_length(self) -> float:
        return float(1 / self.picture[2])

    def _timed(
        self, kind: StreamKind, frame: av.VideoFrame | av.AudioFrame, length: float
    ) -> RawFrame:
        """Put a frame on the source's time line, which begins at 0."""
        time = frame.time
        if time is None:
            time = self._end - self._shift + (self._base or 0.0)
        if self._base is None:
            start = self._container.start_time
            known = start is not None and not self.live
            self._base = start / 1_000_000 if known else time
        placed = time - self._base + self._shift
        self._end = max(self._end, placed + length)
        self._number += 1
        return RawFrame(placed, self._number, kind, frame)


def open_source(text: str, loop: bool = False) -> Source:
    """Open what a text names; takes as long as the file or device takes.

    :raise ValueError: the text or its options cannot be understood.
    :raise OSError: the file or device cannot be opened, or is no media.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "test":
        return _open_test(text, rest)
    if colon and scheme == "alsa":
        # The ALSA library in PyAV's wheel looks for its configuration where it
        # was built.
        if Path(_ALSA_CONFIGURATION).is_file():
            os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA_CONFIGURATION)
        return Source(text, _open(rest, "alsa"), live=True)
    if colon and scheme == "loop":
        text, loop = rest, True
    if not text or "\0" in text:
        raise ValueError("a source is a file, a device, or test:")
    path = Path(text)
    if path.is_char_device():
        return Source(text, _open(text, "v4l2"), live=True)
    if path.is_dir():
        raise IsADirectoryError(f"a directory, not a media file: {text}")
    if not path.is_file():
        # FFmpeg would take anything else for an address to connect to.
        if "://" in text:
            raise ValueError(f"a file or device of this machine is needed: {text}")
        raise FileNotFoundError(f"no such media file or device: {text}")
    return Source(text, _open(f"file:{text}", None), loop=loop)


def _open(name: str, form: str | None) -> "av.container.InputContainer":
    try:
        container = av.open(name, format=form, timeout=_TIMEOUTS)
    except av.FFmpegError as error:
        raise OSError(f"{name}: {error.strerror}") from error
    for stream in container.streams.video[:1]:
        context = stream.codec_context
        if not 0 < context.width <= _LARGEST or not 0 < context.height <= _LARGEST:
            container.close()
            raise OSError(f"{name}: picture of unusable size")
    if not container.streams.video and not container.streams.audio:
        container.close()
        raise OSError(f"{name}: neither video nor audio in it")
    return container


def _is_size(text: str) -> bool:
    match = _TEST_SIZE.fullmatch(text)
    return match is not None and max(map(int, match.groups())) <= _LARGEST


def _open_test(text: str, options: str) -> Source:
    """The test picture of FFmpeg's lavfi device, with a sine wave."""
    size, fps, tone = "320x240", 15, 440
    fixed: dict[str, int] = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name == "size" and (value == "0" or _is_size(value)):
            size = value
        elif name == "fps" and value.isdecimal() and 1 <= int(value) <= 60:
            fps = fixed["video_fps"] = int(value)
        elif name == "tone" and value.isdecimal() and int(value) < 20000:
            tone = int(value)
        else:
            raise ValueError(f"test source: {option!r} is none of {_TEST_OPTIONS}")
    parts = []
    if size != "0":
        width, height = map(int, size.split("x"))
        if "size=" in options:
            fixed["video_width"], fixed["video_height"] = width, height
        parts.append(f"testsrc=size={size}:rate={fps}")
    if tone:
        parts.append(f"sine=frequency={tone}:sample_rate=48000")
    if not parts:
        raise ValueError("test source: neither picture nor sound")
    graph = ";".join(f"{part}[out{index}]" for index, part in enumerate(parts))
    return Source(text, _open(graph, "lavfi"), fixed=fixed)
