"""Which layer of a video each receiver gets, by what its way takes.

`Adaptation` is a pure machine for one receiver's leg.  It is told what the leg
receives (`add`), what became of the packets (`report`), and at which rates the
streams come in from their publishers; it says what to do (`actions`).

**Down.**  When the leg's `BandwidthEstimate` finds the way overused, the videos
that have a smaller layer are switched to it, the biggest first, until the rest
fits the estimate.  If that is not enough, discardable frames of the others are
left out (`Spare`).

**Up.**  A small layer shows that the way takes that much, not how much more.  So
while the way is not overused, a probe goes out every `PROBE_INTERVAL`: first a
short train of packets at once, whose spread at the receiver shows the rate of
the narrowest place; and if that is enough, a longer one at just the rate that
would be added, for `PACED_TIME`, since the first one might have gone through
somebody's spare tokens.  When both get through the video is switched back.
Whoever had to go down again soon after waits longer before he tries once more.

**Silence.**  A layer that its publisher does not send at present is left for the
other one, whatever the estimate says.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from anychat.ids import Ssrc
from anychat.media.estimate import BandwidthEstimate, Condition, Sample
from anychat.media.signals import MAX_TRAIN, PROBE_SIZE, Probe, ProbeResult

#: Bits per second at which a stream comes in at present; 0: it does not.
Rates: TypeAlias = Callable[[Ssrc], float]

#: How much more than what is to be sent must have got through.
MARGIN = 1.10
#: Seconds from a switch to the next one up.
SETTLING = 2.0
#: Seconds that a full picture that was not sent by its publisher must have come
#: in before it is tried: he may have to give it up again.
RETURNING = 3.0
#: Seconds between two probes.
PROBE_INTERVAL = 4.0
#: A switch down this soon after one up means that it was a mistake; how long to
#: wait then, doubled each time, and forgotten after a while without.
TOO_SOON = 10.0
FIRST_PENALTY = 8.0
LONGEST_PENALTY = 32.0
FORGIVEN = 60.0
#: Seconds after a train for which what goes wrong is its doing.
ECHO = 1.0
#: Packets of the first train, and how many of them must come.
BURST = 6
_BURST_LEAST = 5
#: Seconds that the second train lasts, and what of it must come in what time.
PACED_TIME = 0.6
_PACED_SHARE = 0.9
_PACED_DELAY = 0.060
#: The least rate of the second train, bits per second.
_LEAST_EXTRA = 100_000.0
#: Seconds that an answer to a train may take.
_ANSWER_TIME = 2.0
#: Seconds that a way without trouble must have lasted before nobody is spared
#: any more.
UNSPARED_AFTER = 8.0
#: Bytes of a probe's datagram.
_DATAGRAM = PROBE_SIZE + 32


@dataclass(frozen=True, slots=True)
class Switch:
    """Send the other layer of a stream, from its next key frame on."""

    stream: Ssrc
    small: bool


@dataclass(frozen=True, slots=True)
class Spare:
    """Leave discardable frames of a stream out, or no longer."""

    stream: Ssrc
    sparing: bool


Action: TypeAlias = Switch | Spare | Probe


class _Video:
    """One that the leg is subscribed to."""

    __slots__ = ("layer", "silent", "small", "spared", "stream")

    def __init__(self, stream: Ssrc, layer: Ssrc | None):
        self.stream = stream
        self.layer = layer
        self.small = False
        self.spared = False
        self.silent = float("-inf")
        """When the full picture was last seen not to come in."""

    def current(self) -> Ssrc:
        """What is sent of it."""
        return self.layer if self.small and self.layer is not None else self.stream


class _Train:
    """A probe that is under way."""

    __slots__ = ("expires", "interval", "needed", "next", "number", "packets", "sent")

    def __init__(self, number: int, packets: int, interval: float, needed: float):
        self.number = number
        self.packets = packets
        self.interval = interval
        """Seconds between its packets; 0: all at once."""
        self.needed = needed
        """Bits per second that it is to prove."""
        self.sent = 0
        self.next = 0.0
        self.expires = 0.0


class Adaptation:
    """Of one receiver's leg."""

    def __init__(self) -> None:
        self.estimate = BandwidthEstimate()
        self.enabled = True
        """Whether less is sent where the way takes no more."""
        self._videos: dict[Ssrc, _Video] = {}
        self._actions: list[Action] = []
        self._train: _Train | None = None
        self._trains = 0
        self._next_probe = 0.0
        self._probed = float("-inf")
        self._up_from = 0.0
        self._upped = float("-inf")
        self._troubled = float("-inf")
        self._penalty = 0.0

    def __len__(self) -> int:
        return len(self._videos)

    # What the leg receives.

    def add(self, stream: Ssrc, layer: Ssrc | None) -> None:
        """The leg gets a video; again when it has a layer."""
        video = self._videos.get(stream)
        if video is None:
            self._videos[stream] = _Video(stream, layer)
            return
        video.layer = layer
        if layer is not None and video.spared:
            # There is a better way to send less of it.
            video.spared = False
            self._actions.append(Spare(stream, False))

    def remove(self, stream: Ssrc) -> None:
        """The leg gets that video no longer."""
        self._videos.pop(stream, None)

    def spares(self, stream: Ssrc) -> bool:
        """Whether the leg gets a video without its discardable frames."""
        video = self._videos.get(stream)
        return video is not None and video.spared

    def without_layer(self, stream: Ssrc) -> None:
        """That video has no smaller layer any more."""
        video = self._videos[stream]
        video.layer = None
        video.small = False

    def stays(self, stream: Ssrc) -> None:
        """A switch could not be made: what was sent before still is."""
        video = self._videos.get(stream)
        if video is not None:
            video.small = not video.small

    def moved(self) -> None:
        """The leg is elsewhere: nothing is known of the way there."""
        self.estimate = BandwidthEstimate()
        self._train = None
        self._penalty = 0.0

    # What comes back.

    def report(
        self, samples: Iterable[Sample], now: float, round_trip: float, rates: Rates
    ) -> None:
        """What became of packets that were sent to the leg."""
        if self.estimate.report(samples, now, round_trip):
            self._troubled = now
            if self._train is not None:
                self._end_train(now)
            elif now >= self._probed + ECHO and self.enabled:
                # Else it was the probe that was too much.
                self._shrink(now, rates)
        self.consider(now, rates)

    def probe_result(self, result: ProbeResult, now: float, rates: Rates) -> None:
        """How a train arrived."""
        train = self._train
        if train is None or result.train != train.number or train.sent < train.packets:
            return
        self._end_train(now)
        rate = result.octets * 8 / max(result.span, 1e-4)
        if not train.interval:
            if result.packets >= _BURST_LEAST and rate >= train.needed:
                self._begin_paced(now, train.needed, rates)
        elif (
            result.packets >= _PACED_SHARE * train.packets
            and result.span <= train.interval * (train.packets - 1) + _PACED_DELAY
            and self.estimate.condition is not Condition.OVERUSED
        ):
            # What comes in varies a little until it is compared.
            self.estimate.proved(MARGIN * train.needed)
            self.consider(now, rates)

    # Time.

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do."""
        train = self._train
        if train is None:
            return None
        return train.next if train.sent < train.packets else train.expires

    def handle_timeout(self, now: float) -> None:
        """Send what is due of a train, or wait for it no longer."""
        train = self._train
        if train is None:
            return
        if train.sent == train.packets:
            if now >= train.expires:
                self._end_train(now)
            return
        while train.sent < train.packets and train.next <= now:
            self._actions.append(Probe(train.number, train.sent, train.packets))
            train.sent += 1
            train.next += train.interval
        train.expires = now + _ANSWER_TIME

    def actions(self) -> list[Action]:
        """Remove and return what is to be done."""
        actions, self._actions = self._actions, []
        return actions

    # Deciding.

    def consider(self, now: float, rates: Rates) -> None:
        """Whether something is to be switched, after a report or when a stream
        began or ceased to come in."""
        if self._leave_silence(now, rates):
            return
        if not self.enabled:
            self._give_all(rates)
            return
        if (
            self.estimate.condition is Condition.OVERUSED
            or now < self._up_from
            or self._train is not None
        ):
            return
        if now - self._troubled > FORGIVEN:
            self._penalty = 0.0
        video = self._next_up(now, rates)
        if video is None:
            if now - self._troubled > UNSPARED_AFTER:
                self._spare(False)
            return
        assert video.layer is not None
        needed = MARGIN * (self._sent(rates) + rates(video.stream) - rates(video.layer))
        rate = self.estimate.rate
        if rate is None or rate >= needed:
            self._switch(video, False)
            self._upped = now
            self._up_from = now + SETTLING
        elif now >= self._next_probe:
            self._begin_burst(now, needed)

    def _give_all(self, rates: Rates) -> None:
        """Send everything in full."""
        self._spare(False)
        for video in self._videos.values():
            if video.small and video.layer is not None and rates(video.stream) > 0:
                self._switch(video, False)

    def _leave_silence(self, now: float, rates: Rates) -> bool:
        """Leave layers that do not come in; whether there were any."""
        left = False
        for video in self._videos.values():
            if rates(video.stream) <= 0:
                video.silent = now
            if video.layer is None or rates(video.current()) > 0:
                continue
            other = video.stream if video.small else video.layer
            if rates(other) > 0:
                self._switch(video, not video.small)
                self._up_from = now + SETTLING
                left = True
        return left

    def _sent(self, rates: Rates) -> float:
        """Bits per second that the leg is sent."""
        return sum(rates(video.current()) for video in self._videos.values())

    def _shrink(self, now: float, rates: Rates) -> None:
        """The way was overused: send less."""
        budget = self.estimate.rate
        assert budget is not None
        sent = self._sent(rates)
        bigger = [
            video
            for video in self._videos.values()
            if not video.small and video.layer is not None and rates(video.layer) > 0
        ]
        bigger.sort(key=lambda video: rates(video.stream), reverse=True)
        switched = False
        for video in bigger:
            if sent <= budget:
                break
            assert video.layer is not None
            sent -= rates(video.stream) - rates(video.layer)
            self._switch(video, True)
            switched = True
        if sent > budget:
            self._spare(True)
        self._next_probe = now + PROBE_INTERVAL
        if switched and now - self._upped < TOO_SOON:
            self._penalty = min(max(FIRST_PENALTY, 2 * self._penalty), LONGEST_PENALTY)
        self._up_from = max(self._up_from, now + max(SETTLING, self._penalty))

    def _next_up(self, now: float, rates: Rates) -> _Video | None:
        """The video that it takes least to send in full."""
        candidates = [
            video
            for video in self._videos.values()
            if video.small
            and video.layer is not None
            and rates(video.stream) > 0
            and now - video.silent >= RETURNING
        ]
        return min(
            candidates,
            key=lambda video: rates(video.stream),
            default=None,
        )

    def _switch(self, video: _Video, small: bool) -> None:
        video.small = small
        self._actions.append(Switch(video.stream, small))

    def _spare(self, sparing: bool) -> None:
        for video in self._videos.values():
            if video.layer is None and video.spared != sparing:
                video.spared = sparing
                self._actions.append(Spare(video.stream, sparing))

    # Probing.

    def _begin_burst(self, now: float, needed: float) -> None:
        self._begin(now, BURST, 0.0, needed)

    def _begin_paced(self, now: float, needed: float, rates: Rates) -> None:
        extra = needed - self._sent(rates)
        interval = _DATAGRAM * 8 / max(extra, _LEAST_EXTRA)
        packets = min(ceil(PACED_TIME / interval) + 1, MAX_TRAIN)
        self._begin(now, packets, interval, needed)

    def _begin(self, now: float, packets: int, interval: float, needed: float) -> None:
        self._trains = self._trains + 1 & 0xFFFF
        self._train = train = _Train(self._trains, packets, interval, needed)
        train.next = now
        self.handle_timeout(now)

    def _end_train(self, now: float) -> None:
        self._train = None
        self._probed = now
        self._next_probe = now + PROBE_INTERVAL
