"""Plays a source in real time into its publications.

The source is read and its frames are encoded on one strand; the reactor waits
for each frame's moment.  All publications of a source share its time line: a
source time is a moment of the wall clock, and that is what sender reports say,
so watchers can put audio and video back together.

If encoding does not keep up, pictures are left out; if the whole program was
held up, the time line is moved on rather than run after.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from anychat.client.media.encode import (
    AudioEncoder,
    AudioSettings,
    Unit,
    VideoEncoder,
    VideoSettings,
)
from anychat.client.media.publication import Publication
from anychat.client.media.source import RawFrame, Source
from anychat.client.media.strand import Strand
from anychat.codes import StreamKind

#: Seconds a picture may be late before it is left out.
_LATE = 0.25
#: Seconds after which the time line is moved on.
_HELD_UP = 1.0

Encoder = VideoEncoder | AudioEncoder


class Feed:
    """One source that is being published.

    :param reactor: its clock.
    :param wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        reactor: Any,
        wall_clock: Callable[[], float],
        strand: Strand,
        source: Source,
    ):
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._strand = strand
        self._source = source
        self._outlets: dict[int, tuple[Publication, Encoder]] = {}
        self._zero: float | None = None
        self._wall_zero = 0.0
        self._timer: Any = None
        self._held: RawFrame | None = None
        self._reading = False
        self._stopped = False

    @property
    def idle(self) -> bool:
        """Whether nothing is published from the source."""
        return not self._outlets

    def attach(
        self, publication: Publication, settings: VideoSettings | AudioSettings
    ) -> None:
        """Publish the source's stream of that kind, or a layer of it."""
        if isinstance(settings, VideoSettings):
            encoder: Encoder = VideoEncoder(settings)
        else:
            encoder = AudioEncoder(settings)
        self._outlets[publication.ssrc] = publication, encoder
        if self._zero is not None:
            publication.begin(self._line)
        self._go_on()

    def detach(self, publication: Publication) -> "Deferred[None] | None":
        """That publication is over; with the last one the source rests.

        :return: then, fires when nothing reads the source any more.
        """
        if self._outlets.pop(publication.ssrc, None) is None or self._outlets:
            return None
        self._rest()
        resting: Deferred[None] = Deferred()
        self._strand.submit(lambda: None, resting.callback)
        return resting

    def stop(self) -> "Deferred[None]":
        """Read the source no more; fires when nothing of the feed runs."""
        self._stopped = True
        self._outlets.clear()
        self._rest()
        held, self._held = self._held, None
        if held is not None:
            self._source.put_back(held)
        return self._strand.close()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # The next publication begins where the source stands, at its own time.
        self._zero = None

    def _line(self) -> tuple[float, float]:
        """Now, as seconds since 1970 and as source time."""
        assert self._zero is not None
        place = self._reactor.seconds() - self._zero
        return self._wall_zero + place, place

    def _go_on(self) -> None:
        """Get or await the next frame, whatever is missing."""
        if self._stopped or self.idle or self._reading or self._timer is not None:
            return
        if self._held is None:
            self._reading = True
            self._strand.submit(self._source.read, self._read)
        else:
            self._await(self._held)

    def _read(self, raw: RawFrame | None) -> None:
        self._reading = False
        if self._stopped:
            return
        if raw is None:
            self._stopped = True
            if self._source.on_end is not None:
                self._source.on_end()
            return
        self._held = raw
        self._go_on()

    def _await(self, raw: RawFrame) -> None:
        now = self._reactor.seconds()
        if self._zero is None:
            self._begin(now - raw.time)
        assert self._zero is not None
        wait = raw.time - (now - self._zero)
        if wait < -_HELD_UP or (self._source.live and wait > _HELD_UP):
            self._begin(now - raw.time)
            wait = 0.0
        if self._source.live:
            wait = min(wait, 0.0)
        if wait > 0:
            self._timer = self._reactor.callLater(wait, self._due)
        else:
            self._encode(-wait)

    def _begin(self, zero: float) -> None:
        """Source time 0 was then; the wall clock's part of it follows."""
        self._zero = zero
        self._wall_zero = self._wall_clock() - (self._reactor.seconds() - zero)
        for publication, _ in self._outlets.values():
            publication.begin(self._line)

    def _due(self) -> None:
        self._timer = None
        if self._held is not None:
            self._encode(0.0)

    def _encode(self, lateness: float) -> None:
        raw, self._held = self._held, None
        assert raw is not None
        for publication, encoder in tuple(self._outlets.values()):
            if publication.kind is not raw.kind or publication.paused:
                continue
            video = raw.kind is StreamKind.VIDEO
            if video and (lateness > _LATE or publication.congested):
                publication.drop()
            else:
                self._submit(publication, encoder, raw)
        self._go_on()

    def _submit(
        self, publication: Publication, encoder: Encoder, raw: RawFrame
    ) -> None:
        if isinstance(encoder, AudioEncoder):
            sound: Any = raw.frame

            def encode() -> list[Unit]:
                return encoder.encode(sound, raw.time)

        else:
            if not encoder.wants(raw.time):
                return
            key = publication.take_key_request()
            picture: Any = raw.frame
            bitrate = publication.bitrate

            def encode() -> list[Unit]:
                encoder.keep_to(bitrate)
                return encoder.encode(picture, raw.time, key)

        self._strand.submit(encode, partial(self._send, publication))

    def _send(self, publication: Publication, units: list[Unit]) -> None:
        publication.send_units(units)
        if publication.kind is StreamKind.VIDEO and any(unit.key for unit in units):
            # Who waits for the key frame waits for the sound's place too.
            for other, _ in self._outlets.values():
                if other is not publication:
                    other.announce()
