"""What a way through the network takes, as far as its traffic shows.

The sender of each leg estimates: a publisher for its uplink, by the server's
congestion control feedback (RFC 8888); the server for each receiver, by that
receiver's.  A pure machine: feed it `BandwidthEstimate.report` with what became
of the packets sent, ask it `rate`.

**Delay.**  How long a packet was under way, less the least of the last 30 to 60
seconds, is what it stood in queues.  The clocks of both ends need not agree,
only run alike.  Of the packets of one report the least counts (`queue`): it is
the queue that stands, and not the one that a frame makes for itself.

A full queue that stays just as long for `STEADY_SPAN`, without loss, while not even
half as much gets through as before, is none of ours: a clock was set, or the way has
become a longer one.  What it takes is then the least, and what got through before is
the estimate.

**Loss.**  The share of the latest packets, at least `LOSS_PACKETS` of them over
`LOSS_SPAN`, that did not arrive when first sent.  A repair is a loss too.

**The rate that got through** (`delivered`): octets that arrived in the latest
`DELIVERY_SPAN`, by the receiver's clock.

=============  =====================================  =======================
the way is     when                                   the estimate
=============  =====================================  =======================
overused       the queue is over `QUEUE_FULL`; over   at most `DECREASE` times
               `QUEUE_GROWING` and still growing; or  what got through, or
               loss is over `LOSS_HIGH`               `DECREASE_FULL` with a
                                                      full queue; not again
                                                      before what was sent
                                                      until now has been told
                                                      of
calm           the queue is under `QUEUE_CALM` and    grows, `GROWTH_FAST` a
               loss under `LOSS_LOW`                  second where nothing
                                                      was wrong for long, else
                                                      `GROWTH_SLOW`; at most
                                                      to `HEADROOM` times what
                                                      got through
neither        otherwise                              stays
=============  =====================================  =======================

Before the way was overused for the first time nothing is known (`rate` is
None): whatever is sent fits.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

#: Standing queues, seconds.
QUEUE_CALM = 0.040
QUEUE_GROWING = 0.080
QUEUE_FULL = 0.250
#: How much more than before is growing, seconds.
_STEP = 0.010
#: Shares of packets lost.
LOSS_LOW = 0.03
LOSS_HIGH = 0.10
#: Packets and seconds that loss is reckoned over; more packets where they come
#: quickly.
LOSS_PACKETS = 40
LOSS_SPAN = 1.0
#: Seconds of arrivals that what got through is reckoned over.
DELIVERY_SPAN = 0.6
_LEAST_DELIVERY_SPAN = 0.3
DECREASE = 0.85
#: The same while a long queue stands, which has to go.
DECREASE_FULL = 0.70
GROWTH_SLOW = 0.08
GROWTH_FAST = 0.30
HEADROOM = 1.5
#: Seconds after which what was wrong is long ago.
LONG_AGO = 10.0
#: The least estimate, bits per second: a voice needs no less.
LEAST = 20_000.0
#: Seconds after which the least time under way may be forgotten.
_BASE_SPAN = 30.0
#: Seconds after which a queue that does not shrink is none, and by how much it may
#: differ meanwhile.
STEADY_SPAN = 3.0
_STEADY = 0.020
#: Seconds that a report needs at least to tell of what was changed.
_REACTION = 0.2
#: Most packets whose fate is remembered.
_REMEMBERED = 2048


class Sample(NamedTuple):
    """What became of a packet."""

    sent: float
    """By the sender's clock, seconds."""
    came: float | None
    """By the receiver's; None: it did not."""
    size: int
    """Bytes."""


class Condition(Enum):
    """How the way looks by the latest report."""

    CALM = "calm"
    BUSY = "busy"
    OVERUSED = "overused"


class _Steady(NamedTuple):
    """A full queue that has not changed since."""

    since: float
    queue: float
    delivered: float
    """What got through then, bits per second."""


class BandwidthEstimate:
    """Of one direction of one leg."""

    __slots__ = (
        "_arrivals",
        "_base",
        "_base_before",
        "_base_since",
        "_fates",
        "_growing",
        "_held_until",
        "_reported",
        "_steady",
        "_troubled",
        "condition",
        "delivered",
        "loss",
        "queue",
        "rate",
    )

    def __init__(self) -> None:
        self.rate: float | None = None
        """Bits per second; None: it was never short."""
        self.condition = Condition.CALM
        self.queue = 0.0
        """Seconds that packets stand in queues."""
        self.loss = 0.0
        """Share of the latest packets lost when first sent."""
        self.delivered = 0.0
        """Bits per second that got through lately."""
        self._base: float | None = None
        self._base_before: float | None = None
        self._base_since = 0.0
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        self._fates: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._growing = 0
        self._reported = 0.0
        self._held_until = float("-inf")
        self._troubled = float("-inf")
        self._steady: _Steady | None = None

    @property
    def least_transit(self) -> float | None:
        """Receiver's clock less sender's, of the fastest packet lately, seconds."""
        if self._base is None or self._base_before is None:
            return self._base
        return min(self._base, self._base_before)

    def report(self, samples: Iterable[Sample], now: float, round_trip: float) -> bool:
        """Take in what became of some packets.

        :param round_trip: of the way without queues, seconds.
        :return: whether the way was found overused, and the estimate cut down.
        """
        transits = []
        for sample in samples:
            self._fates.append((now, sample.came is None))
            if sample.came is not None:
                transits.append(sample.came - sample.sent)
                self._arrivals.append((sample.came, sample.size))
        if not transits and not self._fates:
            return False
        if transits:
            self._measure_queue(min(transits), now)
        self._measure_loss(now)
        self._measure_delivery()
        if transits:
            self._measure_steadiness(min(transits), now)
        elapsed = min(1.0, max(0.0, now - self._reported))
        self._reported = now
        self.condition = self._judge()
        if self.condition is Condition.OVERUSED:
            return self._decrease(now, round_trip)
        if self.condition is Condition.CALM and now >= self._held_until:
            self._increase(now, elapsed)
        return False

    def proved(self, rate: float) -> None:
        """A probe got through at that rate."""
        if self.rate is not None:
            self.rate = max(self.rate, rate)

    def _measure_queue(self, transit: float, now: float) -> None:
        if self._base is None:
            self._base, self._base_since = transit, now
        elif now - self._base_since >= _BASE_SPAN:
            # Two spans take turns, so that the clocks may drift apart.
            self._base_before, self._base = self._base, transit
            self._base_since = now
        else:
            self._base = min(self._base, transit)
        least = self.least_transit
        assert least is not None
        queue = transit - least
        self._growing = self._growing + 1 if queue > self.queue + _STEP else 0
        self.queue = queue

    def _measure_loss(self, now: float) -> None:
        fates = self._fates
        while len(fates) > LOSS_PACKETS and fates[0][0] < now - LOSS_SPAN:
            fates.popleft()
        if len(fates) >= LOSS_PACKETS:
            self.loss = sum(lost for _, lost in fates) / len(fates)

    def _measure_delivery(self) -> None:
        arrivals = self._arrivals
        if not arrivals:
            return
        last = max(came for came, _ in arrivals)
        while arrivals and arrivals[0][0] < last - DELIVERY_SPAN:
            arrivals.popleft()
        span = max(_LEAST_DELIVERY_SPAN, last - min(came for came, _ in arrivals))
        self.delivered = sum(size for _, size in arrivals) * 8 / span

    def _measure_steadiness(self, transit: float, now: float) -> None:
        """See whether what looks like a queue is one."""
        steady = self._steady
        if self.queue <= QUEUE_FULL or self.loss >= LOSS_LOW:
            self._steady = None
        elif steady is None or abs(self.queue - steady.queue) > _STEADY:
            self._steady = _Steady(now, self.queue, self.delivered)
        elif (
            now - steady.since >= STEADY_SPAN
            and self.delivered <= steady.delivered / 2
            and self.rate is not None
        ):
            # With so much less it would be shorter by now.
            self._steady = self._base_before = None
            self._base, self._base_since = transit, now
            self.queue = 0.0
            self._growing = 0
            self.rate = max(self.rate, steady.delivered)
            self._troubled = self._held_until = float("-inf")

    def _judge(self) -> Condition:
        if (
            self.queue > QUEUE_FULL
            or (self.queue > QUEUE_GROWING and self._growing)
            or self.loss > LOSS_HIGH
        ):
            return Condition.OVERUSED
        if self.queue < QUEUE_CALM and self.loss < LOSS_LOW:
            return Condition.CALM
        return Condition.BUSY

    def _decrease(self, now: float, round_trip: float) -> bool:
        self._troubled = now
        if now < self._held_until:
            return False
        # What was cut before and has not been followed yet is not cut again.
        factor = DECREASE_FULL if self.queue > QUEUE_FULL else DECREASE
        cut = factor * self.delivered
        self.rate = max(LEAST, cut if self.rate is None else min(self.rate, cut))
        # What is on its way still stands in the queue that is there.
        self._held_until = now + round_trip + self.queue + _REACTION
        # It is judged by what was sent since.
        self._fates.clear()
        self.loss = 0.0
        return True

    def _increase(self, now: float, elapsed: float) -> None:
        if self.rate is None:
            return
        long_ago = now - self._troubled > LONG_AGO
        growth = GROWTH_FAST if long_ago else GROWTH_SLOW
        grown = self.rate * (1 + growth * elapsed)
        self.rate = max(self.rate, min(grown, HEADROOM * self.delivered))
