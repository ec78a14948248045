"""Where received audio and video go.

One sink serves one user: it is given to `MediaSession.receive` for both of his
streams, and everything it gets carries its place on one time line, in seconds,
made from the sender's clock.  All methods are called in the reactor's thread.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import av
from twisted.internet.defer import Deferred

from anychat.client.media.mp4 import Mp4Sink
from anychat.client.media.strand import Strand
from anychat.codes import StreamKind
from anychat.messages import StreamFormat

__all__ = ["CallbackSink", "Mp4Sink", "NullSink", "Recording", "Sink"]


class Sink(Protocol):
    """Takes decoded frames when they are to be shown.

    ``frame.pts`` is the RTP timestamp, counted on endlessly.  Until the
    sender's first report has come, ``when`` is an estimate by arrival; it may
    make one small step then.
    """

    def video_frame(self, frame: av.VideoFrame, when: float) -> None:
        """A picture."""

    def audio_frame(self, frame: av.AudioFrame, when: float) -> None:
        """Samples."""


@runtime_checkable
class Recording(Protocol):
    """A sink that keeps video as it was coded, and needs exact times.

    It is given frames only when their place on the time line is settled.
    """

    def begin(
        self, kind: StreamKind, form: StreamFormat, strand: Callable[[], Strand]
    ) -> None:
        """A stream begins.

        :param strand: makes the strand that the work is to be done on.
        """

    def video_unit(self, unit: bytes, key: bool, picture: Any, when: float) -> None:
        """An access unit in Annex B form, and the picture it decoded to."""

    def audio_frame(self, frame: av.AudioFrame, when: float) -> None:
        """Samples."""

    def ended(self, kind: StreamKind) -> None:
        """That stream is over; another of its kind may begin."""

    def close(self) -> "Deferred[Any]":
        """Nothing more begins; fires when all streams have ended and
        everything is on disk."""


class CallbackSink:
    """Calls functions with what it gets.

    :param video: and ``audio``: called with a frame and its time; None for
        what is not wanted.
    """

    def __init__(
        self,
        video: Callable[[av.VideoFrame, float], object] | None = None,
        audio: Callable[[av.AudioFrame, float], object] | None = None,
    ):
        self._video = video
        self._audio = audio

    def video_frame(self, frame: av.VideoFrame, when: float) -> None:
        """See `Sink`."""
        if self._video is not None:
            self._video(frame, when)

    def audio_frame(self, frame: av.AudioFrame, when: float) -> None:
        """See `Sink`."""
        if self._audio is not None:
            self._audio(frame, when)


class NullSink:
    """Counts what it gets."""

    def __init__(self) -> None:
        self.pictures = 0
        self.samples = 0

    def video_frame(self, frame: av.VideoFrame, when: float) -> None:
        """See `Sink`."""
        self.pictures += 1

    def audio_frame(self, frame: av.AudioFrame, when: float) -> None:
        """See `Sink`."""
        self.samples += frame.samples
