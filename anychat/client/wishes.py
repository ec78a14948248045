"""What a program wants of its client's media, and what came of it.

A wish is kept apart from what the server and the media plane hold of it, so
that it outlives both; ``streams`` carries it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from anychat.client.events import ClientEvents
from anychat.codes import ResultCode, StreamKind
from anychat.errors import AnyChatError, Refused
from anychat.messages import (
    LayerGranted,
    Member,
    ServerParameters,
    StreamFormat,
    StreamGranted,
    StreamOpened,
)


class SessionLost(AnyChatError):
    """The session of a request is gone; whether it was carried out is unknown."""


class Sink(Protocol):
    """Where decoded frames go; called in the reactor's thread."""

    def video_frame(self, frame: Any, when: float) -> None:
        """A picture, an ``av.VideoFrame``."""

    def audio_frame(self, frame: Any, when: float) -> None:
        """Sound, an ``av.AudioFrame``."""


class MediaPlane(Protocol):
    """What carries the media: ``anychat.client.media.session.MediaSession``."""

    def formats(
        self, source: Any, parameters: ServerParameters | None, overrides: Any
    ) -> Iterable[tuple[StreamKind, StreamFormat]]:
        """The streams that a source has."""

    def publish(
        self, opened: StreamOpened, kind: StreamKind, format: StreamFormat, source: Any
    ) -> Any:
        """Begin to send."""

    def layer(self, source: Any) -> StreamFormat | None:
        """The smaller layer of the source's video, if there is to be one."""

    def publish_layer(
        self, opened: StreamOpened, format: StreamFormat, source: Any, full: Any
    ) -> Any:
        """Begin to send it; it ends with the full picture."""

    def receive(self, granted: StreamGranted, sink: Any) -> Any:
        """Begin to receive."""

    def receive_layer(self, granted: LayerGranted) -> None:
        """What is received may come in a smaller layer too."""

    def end(self, ssrc: int) -> "Deferred[None] | None":
        """Receive that stream no longer; fires when its last frames are out."""


@dataclass(slots=True)
class Totals:
    """What was received of one watched stream, all its publications together."""

    frames_decoded: int = 0
    packets: int = 0
    lost: int = 0
    """Packets that never came."""
    repaired: int = 0
    """Packets that came after being asked for again."""
    first_frame_ms: float | None = None
    """From the grant of the stream to its first decoded frame."""

    def add(self, statistics: Any) -> None:
        """Take in the statistics of a reception."""
        self.frames_decoded += statistics.frames_decoded
        self.packets += statistics.packets
        self.lost += statistics.lost
        self.repaired += statistics.repaired
        if self.first_frame_ms is None:
            self.first_frame_ms = statistics.first_frame_ms


@dataclass(slots=True)
class SentTotals:
    """What was sent of one published stream, all its publications together."""

    frames: int = 0
    packets: int = 0
    """Without those sent again."""
    resent: int = 0
    """Packets sent again because they were asked for."""

    def add(self, statistics: Any) -> None:
        """Take in the statistics of a publication."""
        self.frames += statistics.frames
        self.packets += statistics.packets
        self.resent += statistics.resent


class EventSink:
    """Hands decoded frames to `ClientEvents`."""

    def __init__(self, events: ClientEvents, watching: "Watching"):
        self._events = events
        self._watching = watching

    def video_frame(self, frame: Any, when: float) -> None:
        """See `Sink`."""
        watching = self._watching
        self._events.on_video_frame(
            watching.user_id, watching.stream_index, frame, when
        )

    def audio_frame(self, frame: Any, when: float) -> None:
        """See `Sink`."""
        watching = self._watching
        self._events.on_audio_frame(
            watching.user_id, watching.stream_index, frame, when
        )


class _Wish:
    """Something the program wants, for as long as it stays in the room."""

    def __init__(self) -> None:
        self.withdrawn = False
        """Whether it is wanted no longer."""
        self.ready: Deferred[Any] = Deferred()
        """Fires with the wish when it has been carried out for the first time."""

    def withdraw(self, code: ResultCode = ResultCode.CANCEL) -> None:
        """It is wanted no longer; who still waits for it is told."""
        self.withdrawn = True
        self.settle(Failure(Refused(code)))

    def settle(self, result: Any) -> bool:
        """Tell who waits for it; False: nobody did."""
        if self.ready.called:
            return False
        self.ready.callback(result)
        return True


class Publishing(_Wish):
    """A source that is being published under one stream index."""

    def __init__(self, source: Any, stream_index: int, overrides: Any):
        super().__init__()
        self.source = source
        self.stream_index = stream_index
        self.overrides = overrides
        self.opened: dict[StreamKind, int] = {}
        """SSRCs that the server gave, of the streams that are open."""
        self.sending: dict[StreamKind, Any] = {}
        """What sends each open stream (``anychat.client.media``'s `Publication`)."""
        self._past: dict[StreamKind, SentTotals] = {}

    @property
    def kinds(self) -> tuple[StreamKind, ...]:
        """What was sent so far: video, audio or both."""
        return tuple(sorted({*self._past, *self.sending}))

    def statistics(self, kind: StreamKind) -> SentTotals:
        """What was sent of that kind, all publications together."""
        totals = replace(self._past.get(kind, SentTotals()))
        if kind in self.sending:
            totals.add(self.sending[kind].statistics())
        return totals

    def halt(self) -> None:
        """Send nothing more; what was opened is forgotten."""
        for kind in tuple(self.opened):
            self.close(kind)

    def close(self, kind: StreamKind) -> None:
        """Stop sending one stream, and keep what it counted."""
        del self.opened[kind]
        sending = self.sending.pop(kind)
        sending.stop()
        self._past.setdefault(kind, SentTotals()).add(sending.statistics())


class Watching(_Wish):
    """A user's stream index that is being watched."""

    def __init__(self, member: Member, stream_index: int, kinds: set[StreamKind]):
        super().__init__()
        self.user_id = member.user_id
        self.nickname = member.nickname
        self.stream_index = stream_index
        self.kinds = kinds
        self.sink: Any = None
        self.receiving: dict[StreamKind, tuple[StreamGranted, Any]] = {}
        """Granted streams and what receives them (``anychat.client.media``)."""
        self._past = {kind: Totals() for kind in StreamKind}
        self._ending: list[tuple[StreamKind, Any]] = []

    def statistics(self, kind: StreamKind) -> Totals:
        """What was received of that kind, all publications together."""
        totals = replace(self._past[kind])
        for ending_kind, reception in self._ending:
            if ending_kind == kind:
                totals.add(reception.statistics())
        if kind in self.receiving:
            totals.add(self.receiving[kind][1].statistics())
        return totals

    def retire(self, kind: StreamKind, media: MediaPlane) -> bool:
        """Receive that stream no longer, and keep what it counted."""
        if kind not in self.receiving:
            return False
        granted, reception = self.receiving.pop(kind)
        ending = kind, reception
        self._ending.append(ending)

        def ended(_: object) -> None:
            self._ending.remove(ending)
            self._past[kind].add(reception.statistics())

        maybeDeferred(media.end, granted.ssrc).addBoth(ended)
        return True
