"""What the server is told of how things arrive: receiver reports, and feedback.

Receiver reports (RFC 3550) go every second.  When which packets of a video came
(RFC 8888) goes every second too, and as soon as `SOON` after the last time where
packets were lost or held up, or many came: the server needs it for what this
client's way takes.
"""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.task import LoopingCall

from anychat.client.media.layers import VideoReception
from anychat.client.media.reception import Reception
from anychat.media.rtcp import (
    MAX_ARRIVAL_BLOCKS,
    MAX_REPORTS,
    CongestionFeedback,
    ReceiverReport,
    RtcpPacket,
    SourceDescription,
    StreamArrivals,
)

#: Seconds between receiver reports.
INTERVAL = 1.0
#: Seconds between two feedbacks when there is something to tell.
SOON = 0.2
#: Most packets that one feedback tells of: what fits into a datagram.
_MOST_TOLD = 400


class Reports:
    """Of one media session.

    :param receptions: what is received.
    :param send: sends RTCP under the leg's keys.
    :param cname: of the session.
    """

    def __init__(
        self,
        reactor: Any,
        receptions: Callable[[], Iterable[Reception | VideoReception]],
        send: Callable[..., None],
        cname: str,
    ):
        self.ssrc = 0
        """Of the client's own RTCP."""
        self.round_trip: Callable[[], float] = lambda: 0.0
        self.adaptive = True
        """Whether the server is told when packets came; if not it sends what is
        asked for, whatever becomes of it."""
        self._seconds = reactor.seconds
        self._receptions = receptions
        self._send = send
        self._cname = cname
        self._told = float("-inf")
        self._calls = [LoopingCall(self._report), LoopingCall(self._look)]
        for call in self._calls:
            call.clock = reactor

    def start(self) -> None:
        """Begin, if it has not begun."""
        for call, interval in zip(self._calls, (INTERVAL, SOON), strict=True):
            if not call.running:
                call.start(interval, now=False)

    def stop(self) -> None:
        """Send nothing any more."""
        for call in self._calls:
            if call.running:
                call.stop()

    def _report(self) -> None:
        blocks = []
        for reception in self._receptions():
            reception.align()
            reception.round_trip = self.round_trip()
            blocks += reception.reports()
        for start in range(0, len(blocks), MAX_REPORTS):
            self._send(
                ReceiverReport(self.ssrc, tuple(blocks[start : start + MAX_REPORTS])),
                SourceDescription(self.ssrc, self._cname),
            )

    def _look(self) -> None:
        """Tell when packets came, if it is time."""
        now = self._seconds()
        videos = [
            reception
            for reception in self._receptions()
            if isinstance(reception, VideoReception)
        ]
        due = now - self._told >= INTERVAL - SOON / 2
        if not self.adaptive or not videos:
            return
        if due or any(video.troubled for video in videos):
            self._told = now
            blocks = [block for video in videos for block in video.arrivals(now)]
            for packet in self._feedback(blocks, now):
                self._send(packet)

    def _feedback(
        self, blocks: Iterable[StreamArrivals], now: float
    ) -> Iterable[RtcpPacket]:
        some: list[StreamArrivals] = []
        room = _MOST_TOLD
        timestamp = int(now * 65536) & 0xFFFFFFFF
        for block in blocks:
            size = len(block.offsets) + 5
            if some and (size > room or len(some) == MAX_ARRIVAL_BLOCKS):
                yield CongestionFeedback(self.ssrc, tuple(some), timestamp)
                some, room = [], _MOST_TOLD
            some.append(block)
            room -= size
        if some:
            yield CongestionFeedback(self.ssrc, tuple(some), timestamp)
