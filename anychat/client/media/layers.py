"""A video that is received in one of two layers, whichever the server sends.

The server grants both and sends one of them at a time; the other one comes with
a key frame (see `anychat.media.switching`).  `VideoReception` has a `Reception`
for the layer that is shown, makes one for the other when its first packets come,
and lets go of the first when the second has shown a picture: so there is no hole,
and nothing that the one missed is asked for under the other.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from anychat.client.media.decode import Decoded
from anychat.client.media.reception import Reception
from anychat.client.media.statistics import ReceptionStatistics, together
from anychat.codes import StreamKind
from anychat.errors import PeerError
from anychat.media.rtcp import ReportBlock, StreamArrivals
from anychat.media.rtp import marking_of
from anychat.media.sequence import extend
from anychat.messages import LayerGranted, StreamGranted


class _Layer:
    """One of the layers while nothing of it is received."""

    __slots__ = ("announced", "granted", "report")

    def __init__(self, granted: StreamGranted):
        self.granted = granted
        """With the place in it from which on packets are new."""
        self.announced = False
        """The server has said that it is about to come."""
        self.report: bytes | None = None
        """The latest sender report."""

    @property
    def index(self) -> int:
        """Sequence number, turns counted, of the last packet that is not new."""
        return self.granted.roc << 16 | self.granted.sequence

    def place(self, roc: int, sequence: int) -> None:
        """The packets after this one are new."""
        if roc << 16 | sequence >= self.index:
            self.granted = replace(self.granted, roc=roc, sequence=sequence)

    def begins(self, data: bytes) -> bool:
        """Whether a datagram belongs to what is about to come, and not to what was
        left behind."""
        index = extend(data[2] << 8 | data[3], self.index)
        if index <= self.index:
            return False
        if self.announced:
            return True
        try:
            marking = marking_of(data)
        except PeerError:
            return False
        return marking is not None and marking.start and marking.independent


class VideoReception:
    """Receives a video.

    :param make: makes the reception of one layer.
    """

    def __init__(
        self, granted: StreamGranted, make: Callable[[StreamGranted], Reception]
    ):
        self.granted = granted
        self.on_decoded: Callable[[Decoded], None] | None = None
        """Given everything that was decoded, at once."""
        self.switched = 0
        """How often the other layer took over."""
        self._make = make
        self._layers = {granted.ssrc: _Layer(granted)}
        self._parts: dict[int, Reception] = {}
        self._shown = granted.ssrc
        self._round_trip = 0.0
        self._ending: list[Reception] = []
        self._endings: list[Deferred[Any]] = []
        self._past: list[ReceptionStatistics] = []
        self._stopped = False
        self._wake(granted.ssrc)

    @property
    def ssrcs(self) -> tuple[int, ...]:
        """Of its layers."""
        return tuple(self._layers)

    @property
    def shown(self) -> int:
        """The SSRC of the layer that is shown, or was last."""
        return self._shown

    def add_layer(self, granted: LayerGranted) -> None:
        """The video has a smaller layer, or that stands elsewhere by now."""
        known = self._layers.get(granted.ssrc)
        if known is None:
            self._layers[granted.ssrc] = _Layer(
                StreamGranted(
                    granted.user_id,
                    StreamKind.VIDEO,
                    granted.stream_index,
                    granted.ssrc,
                    granted.format,
                    granted.roc,
                    granted.sequence,
                    granted.key,
                    granted.salt_key,
                )
            )
        else:
            known.place(granted.roc, granted.sequence)

    def announce(self, ssrc: int, roc: int, sequence: int) -> None:
        """The server is about to send this layer, from after that packet on."""
        layer = self._layers.get(ssrc)
        if layer is not None and ssrc not in self._parts:
            layer.place(roc, sequence)
            layer.announced = True

    # The network's side.

    def receive(self, data: bytes) -> None:
        """Take a datagram with the SSRC of one of the layers."""
        ssrc = int.from_bytes(data[8:12], "big")
        part = self._parts.get(ssrc)
        if part is None:
            if self._stopped or not self._layers[ssrc].begins(data):
                return
            part = self._wake(ssrc)
        part.receive(data)

    def receive_report(self, data: bytes) -> None:
        """Take an SRTCP datagram with the SSRC of one of the layers."""
        ssrc = int.from_bytes(data[4:8], "big")
        part = self._parts.get(ssrc)
        if part is not None:
            part.receive_report(data)
        else:
            # It comes before the key frame that it is about.
            self._layers[ssrc].report = data

    def left_out(self, ssrc: int, sequences: Iterable[int]) -> None:
        """The server says that these packets of a layer are not to come."""
        part = self._parts.get(ssrc)
        if part is not None:
            part.left_out(sequences)

    def reports(self) -> list[ReportBlock]:
        """The blocks for the next receiver report."""
        return [block for part in self._parts.values() for block in part.reports()]

    def arrivals(self, now: float) -> list[StreamArrivals]:
        """What to tell the server of what came; see `Reception.arrivals`."""
        return [block for part in self._parts.values() for block in part.arrivals(now)]

    @property
    def troubled(self) -> bool:
        """Whether the server should be told soon."""
        return any(part.troubled for part in self._parts.values())

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back."""
        return self._round_trip

    @round_trip.setter
    def round_trip(self, seconds: float) -> None:
        self._round_trip = seconds
        for part in self._parts.values():
            part.round_trip = seconds

    # The owner's side.

    def align(self) -> None:
        """Let audio and video wait for one another; now and then is enough."""
        self._parts[self._shown].align()

    def stop(self) -> "Deferred[Any]":
        """Receive nothing any more; fires when the last frames are at the sink."""
        if not self._stopped:
            self._stopped = True
            for ssrc in tuple(self._parts):
                self._end(ssrc, discard=ssrc != self._shown)
        return DeferredList(list(self._endings))

    def statistics(self) -> ReceptionStatistics:
        """Figures up to now, of both layers together."""
        live = (*self._parts.values(), *self._ending)
        return together([*self._past, *(part.statistics() for part in live)])

    # Inside.

    def _wake(self, ssrc: int) -> Reception:
        layer = self._layers[ssrc]
        part = self._parts[ssrc] = self._make(layer.granted)
        part.round_trip = self._round_trip
        part.on_decoded = partial(self._decoded, ssrc)
        layer.announced = False
        report, layer.report = layer.report, None
        if report is not None:
            part.receive_report(report)
        return part

    def _decoded(self, ssrc: int, decoded: Decoded) -> None:
        if ssrc != self._shown and decoded.frames and not self._stopped:
            left, self._shown = self._shown, ssrc
            self.switched += 1
            self._end(left, discard=True)
        if self.on_decoded is not None:
            self.on_decoded(decoded)

    def _end(self, ssrc: int, discard: bool) -> None:
        part = self._parts.pop(ssrc, None)
        if part is None:
            return
        self._layers[ssrc].place(*part.position)
        part.on_decoded = None if discard else self.on_decoded
        self._ending.append(part)

        def ended(_: Any) -> None:
            self._ending.remove(part)
            over = replace(part.statistics(), fps=0.0, bitrate=0.0, loss=0.0)
            self._past = [together([*self._past, over])]

        stopped = part.stop(discard)
        stopped.addCallback(ended)
        self._endings = [each for each in self._endings if not each.called]
        self._endings.append(stopped)
