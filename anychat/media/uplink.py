"""What publishers are told of how their video arrives, and at which rate it does.

The forwarder writes down when each packet came (`routes.Forwarder.arrivals`).
While anybody receives a publisher's video, he is told every `INTERVAL` (RFC
8888), and what comes in is added up, so that it is known which layers are being
sent, and at which rate.  A pure machine with time; `legs` puts it into RTCP.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from anychat.ids import SessionId, Ssrc
from anychat.media.deadlines import Deadlines
from anychat.media.routes import PacketArrival
from anychat.media.rtcp import LONGEST_OFFSET, StreamArrivals

#: Seconds between two feedbacks; while nothing comes in, between two looks.
INTERVAL = 0.2
IDLE_INTERVAL = 1.0
#: Seconds that a rate looks back on.
RATE_SPAN = 1.0
#: Most packets that one feedback tells of: what fits into a datagram.
MOST_TOLD = 400


class Arrivals(Protocol):
    """What of a forwarder is asked here."""

    def arrivals(self, ssrc: Ssrc, start: int, now: float) -> list[PacketArrival]:
        """When the latest packets came, in the order of their indexes."""


class _Incoming:
    """One video that is published."""

    __slots__ = ("octets", "since", "told")

    def __init__(self) -> None:
        self.told: int | None = None
        """Index of the latest packet that the publisher was told of."""
        self.octets: deque[tuple[float, int]] = deque()
        self.since: float | None = None
        """When it was looked at for the first time."""


class UplinkReports:
    """Of all publishers.

    :param routes: asked for arrivals.
    :param wanted: whether somebody receives a video.
    """

    def __init__(self, routes: Arrivals, wanted: Callable[[Ssrc], bool]):
        self._routes = routes
        self._wanted = wanted
        self._videos: dict[SessionId, dict[Ssrc, _Incoming]] = {}
        self._rates: dict[Ssrc, float] = {}
        self._deadlines: Deadlines[SessionId] = Deadlines()

    def open(self, leg: SessionId, ssrc: Ssrc) -> None:
        """The leg publishes a video."""
        self._videos.setdefault(leg, {})[ssrc] = _Incoming()

    def close(self, leg: SessionId, ssrc: Ssrc) -> None:
        """It does so no longer."""
        videos = self._videos[leg]
        del videos[ssrc]
        self._rates.pop(ssrc, None)
        if not videos:
            del self._videos[leg]
            self._deadlines.clear(leg)

    def wake(self, leg: SessionId, now: float) -> None:
        """Somebody receives a video of that leg."""
        self._deadlines.hasten(leg, now + INTERVAL)

    def rate(self, ssrc: Ssrc) -> float:
        """Bits per second of a video lately; 0: it does not come in."""
        return self._rates.get(ssrc, 0.0)

    def next_timeout(self) -> float | None:
        """When `due` has something to say."""
        return self._deadlines.next()

    def due(self, now: float) -> list[tuple[SessionId, list[StreamArrivals], bool]]:
        """The publishers whose turn it is, what to tell each, and whether some
        video of his began or ceased to come in."""
        return [(leg, *self._look(leg, now)) for leg in self._deadlines.due(now)]

    def _look(self, leg: SessionId, now: float) -> tuple[list[StreamArrivals], bool]:
        videos = self._videos[leg]
        if not any(self._wanted(ssrc) for ssrc in videos):
            # The next receiver wakes it up.
            for ssrc, video in videos.items():
                video.__init__()  # type: ignore[misc]
                self._rates.pop(ssrc, None)
            return [], False
        blocks = []
        turned = False
        for ssrc, video in videos.items():
            start = 0 if video.told is None else video.told + 1
            arrivals = self._routes.arrivals(ssrc, start, now)
            before = self._rates.get(ssrc, 0.0)
            self._rates[ssrc] = rate = _rate(video, arrivals, now)
            turned = turned or (before > 0) != (rate > 0)
            if arrivals:
                if video.told is None:
                    start = arrivals[0].position
                start = max(start, arrivals[-1].position + 1 - MOST_TOLD)
                video.told = arrivals[-1].position
                blocks.append(_block(ssrc, start, arrivals, now))
        self._deadlines.set(leg, now + (INTERVAL if blocks else IDLE_INTERVAL))
        return blocks, turned


def _rate(video: _Incoming, arrivals: list[PacketArrival], now: float) -> float:
    """Take in what came; bits per second."""
    if video.since is None:
        video.since = now - INTERVAL
        arrivals = [came for came in arrivals if came.when >= video.since]
    octets = video.octets
    octets.append((now, sum(came.size for came in arrivals)))
    while octets[0][0] <= now - RATE_SPAN:
        octets.popleft()
    span = min(RATE_SPAN, max(INTERVAL, now - video.since))
    return sum(size for _, size in octets) * 8 / span


def _block(
    ssrc: Ssrc, start: int, arrivals: list[PacketArrival], now: float
) -> StreamArrivals:
    offsets: list[int | None] = [None] * (arrivals[-1].position + 1 - start)
    for came in arrivals:
        if came.position >= start:
            ago = round((now - came.when) * 1024)
            offsets[came.position - start] = min(max(0, ago), LONGEST_OFFSET)
    return StreamArrivals(ssrc, start & 0xFFFF, tuple(offsets))


def in_datagrams(blocks: list[StreamArrivals]) -> Iterator[tuple[StreamArrivals, ...]]:
    """The blocks, as many at a time as one feedback has room for."""
    some: list[StreamArrivals] = []
    room = MOST_TOLD
    for block in blocks:
        # Beside its packets each block takes the room of five.
        size = len(block.offsets) + 5
        if some and size > room:
            yield tuple(some)
            some, room = [], MOST_TOLD
        some.append(block)
        room -= size
    if some:
        yield tuple(some)
