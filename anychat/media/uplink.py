"""What publishers are told of how their video arrives, and at which rate it does.

The forwarder writes down when each packet came (`routes.Forwarder.arrivals`).
While anybody receives a publisher's video, he is told every `INTERVAL` (RFC
8888), and what comes in is added up, so that it is known which layers are being
sent, and at which rate.  A pure machine with time; `leg_requests` puts it into
RTCP.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from anychat.ids import SessionId, Ssrc
from anychat.media.deadlines import Deadlines
from anychat.media.rtcp import LONGEST_OFFSET, StreamArrivals
from anychat.media.stream import PacketArrival

#: Seconds between two feedbacks; while nothing comes in, between two looks.
INTERVAL = 0.2
IDLE_INTERVAL = 1.0
#: Seconds that a rate looks back on.
RATE_SPAN = 1.0
#: Seconds after which a video does not come in any more, while another one of the
#: same publisher does.
SILENCE = 0.5
#: Seconds that a packet may be overtaken by and is not told of as lost.
OVERTAKEN = 0.05
#: Most packets that one feedback tells of: what fits into a datagram.
MOST_TOLD = 400


class Arrivals(Protocol):
    """What of a forwarder is asked here."""

    def arrivals(
        self, ssrc: Ssrc, start: int, now: float, end: int | None = None
    ) -> list[PacketArrival]:
        """When the latest packets came, in the order of their indexes."""


class _Incoming:
    """One video that is published."""

    __slots__ = ("last", "octets", "seen", "since", "told")

    def __init__(self) -> None:
        self.last = float("-inf")
        """When its latest packet came."""
        self.seen: int | None = None
        """Index of the latest packet that is part of the rate."""
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
            for ssrc in videos:
                videos[ssrc] = _Incoming()
                self._rates.pop(ssrc, None)
            return [], False
        blocks = []
        busy = False
        for ssrc, video in videos.items():
            start = 0 if video.told is None else video.told + 1
            arrivals = self._routes.arrivals(ssrc, start, now)
            if _take_in(video, arrivals, now):
                busy = True
            # What is not there yet may only have been overtaken.
            settled = [came for came in arrivals if came.when <= now - OVERTAKEN]
            if settled:
                last = settled[-1].position
                if video.told is None:
                    start = settled[0].position
                start = max(start, last + 1 - MOST_TOLD)
                video.told = last
                blocks.append(_block(ssrc, start, settled, now))
        latest = max(video.last for video in videos.values())
        turned = False
        for ssrc, video in videos.items():
            before = self._rates.get(ssrc, 0.0)
            silent = video.last < latest - SILENCE
            rate = self._rates[ssrc] = 0.0 if silent else _rate(video, now)
            turned = turned or (before > 0) != (rate > 0)
        self._deadlines.set(leg, now + (INTERVAL if busy else IDLE_INTERVAL))
        return blocks, turned


def _take_in(video: _Incoming, arrivals: list[PacketArrival], now: float) -> bool:
    """Add up what came since the last look; whether anything did."""
    if video.since is None:
        video.since = now - INTERVAL
    came = [
        came
        for came in arrivals
        if came.when >= video.since
        and (video.seen is None or came.position > video.seen)
    ]
    video.octets.append((now, sum(each.size for each in came)))
    while video.octets[0][0] <= now - RATE_SPAN:
        video.octets.popleft()
    if came:
        video.seen = came[-1].position
        video.last = max(video.last, came[-1].when)
    return bool(came)


def _rate(video: _Incoming, now: float) -> float:
    """Bits per second lately."""
    assert video.since is not None
    span = min(RATE_SPAN, max(INTERVAL, now - video.since))
    return sum(size for _, size in video.octets) * 8 / span


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
