"""Switches receivers between the layers of a video, as their ways allow.

Ties each leg's `Adaptation` to the routes.  A switch begins with a route for the
layer that is to come, held back until its next key frame, which is asked for.
Up, the old route goes when that has come; down it goes at once, since what it
still brings only stands in the queue before the key frame.  Where the layer
stands in its sequence numbers the receiver is told just before: one that was not
sent for a while may have gone round.

A pure machine with time: `LayerSwitching` is fed by `legs`, and acts through
the `Ways` it was given.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from anychat.ids import SessionId, Ssrc
from anychat.media.adaptation import Adaptation, Spare, Switch
from anychat.media.deadlines import Deadlines
from anychat.media.estimate import Sample
from anychat.media.rtcp import CongestionFeedback, StreamArrivals
from anychat.media.sequence import extend
from anychat.media.signals import LayerPlace, ProbeResult, Signal
from anychat.media.stream import PacketArrival

#: Seconds between two looks whether the key frame has come.
LOOK = 0.02
#: Seconds after which the receiver is told of the layer once more.
TELL_AGAIN = 0.2
#: Seconds after which a switch is given up.
GIVE_UP = 5.0
#: Packets of a stream that a feedback may lag behind.
_FARTHEST = 1 << 14


class Ways(Protocol):
    """How to reach the routes and the legs; `leg.Legs`."""

    def forward(self, leg: SessionId, ssrc: Ssrc, now: float) -> None:
        """Send the leg a video from its next key frame on."""

    def stop_forwarding(self, leg: SessionId, ssrc: Ssrc) -> None:
        """Send it no longer."""

    def spare(self, leg: SessionId, ssrc: Ssrc, sparing: bool) -> None:
        """Leave discardable frames of it out, or no longer."""

    def gated(self, leg: SessionId, ssrc: Ssrc) -> bool:
        """Whether it still waits for its key frame."""

    def position(self, ssrc: Ssrc) -> tuple[int, int]:
        """ROC and sequence number of its latest packet."""

    def arrivals(
        self, ssrc: Ssrc, start: int, now: float, end: int | None = None
    ) -> list[PacketArrival]:
        """When its latest packets came, and were sent on."""

    def signal(self, leg: SessionId, signal: Signal) -> None:
        """Tell the leg something."""


class _Switch:
    """One that is under way."""

    __slots__ = ("begun", "coming", "going", "told")

    def __init__(self, coming: Ssrc, going: Ssrc, now: float):
        self.coming = coming
        self.going = going
        self.begun = self.told = now


class _Receiver:
    """A leg that receives video."""

    __slots__ = ("adaptation", "clock", "layers", "switches")

    def __init__(self) -> None:
        self.adaptation = Adaptation()
        self.layers: dict[Ssrc, Ssrc] = {}
        self.switches: dict[Ssrc, _Switch] = {}
        self.clock: tuple[int, float] | None = None
        """The latest feedback's time, as it came and in seconds."""


class LayerSwitching:
    """Of all legs.

    :param rate: bits per second at which a video comes in.
    """

    def __init__(self, ways: Ways, rate: Callable[[Ssrc], float]):
        self._ways = ways
        self._rate = rate
        self._receivers: dict[SessionId, _Receiver] = {}
        self._fixed: set[SessionId] = set()
        """Legs that get what they asked for."""
        self._deadlines: Deadlines[SessionId] = Deadlines()
        self.switched = 0
        """Switches that were made, either way."""

    def __len__(self) -> int:
        return len(self._receivers)

    # What legs receive.

    def add(self, leg: SessionId, stream: Ssrc, layer: Ssrc | None) -> None:
        """The leg receives a video; again when it has a layer."""
        receiver = self._receivers.get(leg)
        if receiver is None:
            receiver = self._receivers[leg] = _Receiver()
            receiver.adaptation.enabled = leg not in self._fixed
        receiver.adaptation.add(stream, layer)
        if layer is not None:
            receiver.layers[stream] = layer

    def remove(self, leg: SessionId, stream: Ssrc) -> None:
        """It does so no longer."""
        receiver = self._receivers.get(leg)
        if receiver is None:
            return
        receiver.adaptation.remove(stream)
        receiver.layers.pop(stream, None)
        receiver.switches.pop(stream, None)
        if not len(receiver.adaptation):
            del self._receivers[leg]
            self._deadlines.clear(leg)

    def spares(self, leg: SessionId, stream: Ssrc) -> bool:
        """Whether the leg gets a video without its discardable frames."""
        receiver = self._receivers.get(leg)
        return receiver is not None and receiver.adaptation.spares(stream)

    def without_layer(self, leg: SessionId, stream: Ssrc) -> None:
        """What the leg receives has no layer any more."""
        receiver = self._receivers[leg]
        del receiver.layers[stream]
        receiver.switches.pop(stream, None)
        receiver.adaptation.without_layer(stream)

    def adapt(self, leg: SessionId, adaptive: bool, now: float) -> None:
        """Whether the leg is sent less where its way takes no more."""
        if adaptive:
            self._fixed.discard(leg)
        else:
            self._fixed.add(leg)
        receiver = self._receivers.get(leg)
        if receiver is not None:
            receiver.adaptation.enabled = adaptive
            self.consider(leg, now)

    def close(self, leg: SessionId) -> None:
        """The leg is over; it receives nothing any more."""
        self._fixed.discard(leg)

    def moved(self, leg: SessionId) -> None:
        """The leg has another address."""
        receiver = self._receivers.get(leg)
        if receiver is not None:
            receiver.adaptation.moved()
            receiver.clock = None

    def condition(self, leg: SessionId) -> tuple[float, float]:
        """Seconds that packets to the leg stand in queues, and the share of them
        that is lost at first, by its latest feedback; zeros without."""
        receiver = self._receivers.get(leg)
        if receiver is None:
            return 0.0, 0.0
        estimate = receiver.adaptation.estimate
        return estimate.queue, estimate.loss

    # What comes back.

    def feedback(
        self,
        leg: SessionId,
        feedback: CongestionFeedback,
        round_trip: float,
        now: float,
    ) -> None:
        """A receiver has said when packets arrived."""
        receiver = self._receivers.get(leg)
        if receiver is None:
            return
        when = _unwrap(receiver, feedback.timestamp)
        samples: list[Sample] = []
        for block in feedback.blocks:
            spared = receiver.adaptation.spares(Ssrc(block.ssrc))
            samples += self._samples(block, when, spared, now)
        receiver.adaptation.report(samples, now, round_trip, self._rate)
        self._act(leg, receiver, now)

    def _samples(
        self, block: StreamArrivals, when: float, spared: bool, now: float
    ) -> Iterable[Sample]:
        ssrc = Ssrc(block.ssrc)
        roc, sequence = self._ways.position(ssrc)
        highest = roc << 16 | sequence
        first = extend(block.first, highest)
        if not highest - _FARTHEST < first <= highest:
            return
        told = first + len(block.offsets)
        for came in self._ways.arrivals(ssrc, first, now, told):
            # What did not come here could not be sent on: no loss of his; nor is
            # what was left out.
            offset = block.offsets[came.position - first]
            if offset is None and spared and came.discardable:
                continue
            yield Sample(
                came.when, None if offset is None else when - offset / 1024, came.size
            )

    def probe_result(self, leg: SessionId, result: ProbeResult, now: float) -> None:
        """A receiver has said how a probe arrived."""
        receiver = self._receivers.get(leg)
        if receiver is not None:
            receiver.adaptation.probe_result(result, now, self._rate)
            self._act(leg, receiver, now)

    def consider(self, leg: SessionId, now: float) -> None:
        """A layer that the leg may be sent began or ceased to come in."""
        receiver = self._receivers.get(leg)
        if receiver is not None:
            receiver.adaptation.consider(now, self._rate)
            self._act(leg, receiver, now)

    # Time.

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return self._deadlines.next()

    def handle_timeout(self, now: float) -> None:
        """Send what is due of probes, and look after switches."""
        for leg in self._deadlines.due(now):
            receiver = self._receivers[leg]
            for stream in tuple(receiver.switches):
                self._look(leg, receiver, stream, now)
            receiver.adaptation.handle_timeout(now)
            self._act(leg, receiver, now)

    # Inside.

    def _act(self, leg: SessionId, receiver: _Receiver, now: float) -> None:
        for action in receiver.adaptation.actions():
            if isinstance(action, Switch):
                self._switch(leg, receiver, action, now)
            elif isinstance(action, Spare):
                self._ways.spare(leg, action.stream, action.sparing)
            else:
                self._ways.signal(leg, action)
        timeout = receiver.adaptation.next_timeout()
        if receiver.switches:
            look = now + LOOK
            timeout = look if timeout is None else min(timeout, look)
        if timeout is None:
            self._deadlines.clear(leg)
        else:
            self._deadlines.set(leg, timeout)

    def _switch(
        self, leg: SessionId, receiver: _Receiver, action: Switch, now: float
    ) -> None:
        stream, layer = action.stream, receiver.layers[action.stream]
        under_way = receiver.switches.pop(stream, None)
        coming, going = (layer, stream) if action.small else (stream, layer)
        if under_way is not None:
            # It has been thought better of.
            self._ways.stop_forwarding(leg, under_way.coming)
        receiver.switches[stream] = _Switch(coming, going, now)
        if action.small:
            self._ways.stop_forwarding(leg, going)
        self._ways.forward(leg, coming, now)
        self._tell(leg, stream, coming)

    def _tell(self, leg: SessionId, stream: Ssrc, coming: Ssrc) -> None:
        self._ways.signal(leg, LayerPlace(stream, coming, *self._ways.position(coming)))

    def _look(
        self, leg: SessionId, receiver: _Receiver, stream: Ssrc, now: float
    ) -> None:
        switch = receiver.switches[stream]
        if not self._ways.gated(leg, switch.coming):
            del receiver.switches[stream]
            self._ways.stop_forwarding(leg, switch.going)
            self.switched += 1
        elif now >= switch.begun + GIVE_UP:
            del receiver.switches[stream]
            self._ways.stop_forwarding(leg, switch.coming)
            self._ways.forward(leg, switch.going, now)
            receiver.adaptation.stays(stream)
        elif now >= switch.told + TELL_AGAIN:
            switch.told = now
            self._tell(leg, stream, switch.coming)


def _unwrap(receiver: _Receiver, timestamp: int) -> float:
    """A feedback's time in seconds that do not wrap."""
    if receiver.clock is None:
        when = timestamp / 65536
    else:
        before, seconds = receiver.clock
        # The short way round is meant.
        step = (timestamp - before + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        when = seconds + step / 65536
    receiver.clock = timestamp, when
    return when
