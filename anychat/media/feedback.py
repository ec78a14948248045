"""What publishers are asked for: key frames, and packets lost on the way up.

Two pure machines with time, for all publications.  They decide when;
`leg_requests` puts it into RTCP under the publisher's leg keys.
"""

from collections import deque
from typing import Protocol

from anychat.ids import Ssrc
from anychat.media.deadlines import Deadlines

#: Least seconds between two key-frame requests to one publication.
PAUSE = 0.5
#: Longest wait before an unanswered one is sent again.
LONGEST_PAUSE = 4.0

#: Seconds that a packet may come late before it is asked for.
REORDER = 0.020
#: Least seconds between two requests for a packet.
REPEAT = 0.040
#: Seconds after which nobody waits for a packet any more.
GIVE_UP = 1.0
#: A stream that lacks more at once is beyond repair; a key frame must help.
MAX_MISSING = 256
#: Most gaps of a stream to be followed; the oldest is given up for another.
MAX_GAPS = 64


class KeyFrames(Protocol):
    """What of a forwarder is asked here."""

    def gated(self, ssrc: Ssrc) -> int:
        """How many destinations wait for a key frame."""

    def key_frames(self, ssrc: Ssrc) -> int:
        """How many key frames have started."""


class _Request:
    """How the key-frame requests to one publication stand."""

    __slots__ = ("pause", "seen", "sent")

    def __init__(self) -> None:
        self.sent: float | None = None
        self.pause = PAUSE
        self.seen: int | None = None
        """Key frames that had started when somebody last asked for one."""


class KeyFrameRequests:
    """Paces the requests of all who want a key frame of a publication.

    The first one goes through at once, those of the next `PAUSE` seconds share
    one at its end, and that only if it is still needed: a destination waits,
    or no key frame has started since it was asked for.  One that brings
    nothing is sent again, at growing intervals.
    """

    def __init__(self, streams: KeyFrames):
        self._streams = streams
        self._requests: dict[Ssrc, _Request] = {}
        self._deadlines: Deadlines[Ssrc] = Deadlines()

    def want(self, ssrc: Ssrc, now: float) -> None:
        """Somebody needs a key frame of this publication."""
        request = self._requests.get(ssrc)
        if request is None:
            request = self._requests[ssrc] = _Request()
        request.seen = self._streams.key_frames(ssrc)
        request.pause = PAUSE
        earliest = now if request.sent is None else max(now, request.sent + PAUSE)
        self._deadlines.hasten(ssrc, earliest)

    def forget(self, ssrc: Ssrc) -> None:
        """The publication is over."""
        self._requests.pop(ssrc, None)
        self._deadlines.clear(ssrc)

    def next_timeout(self) -> float | None:
        """When `due` has something to do."""
        return self._deadlines.next()

    def due(self, now: float) -> list[Ssrc]:
        """The publications to ask now; say of each that was `asked`.

        Of one whose publisher could not be asked nothing more is heard until
        somebody wants it again.
        """
        due = []
        for ssrc in self._deadlines.due(now):
            request = self._requests[ssrc]
            if self._needed(ssrc, request):
                due.append(ssrc)
            else:
                request.seen = None
        return due

    def asked(self, ssrc: Ssrc, now: float) -> None:
        """The publisher was sent a request."""
        request = self._requests[ssrc]
        request.sent = now
        self._deadlines.set(ssrc, now + request.pause)
        request.pause = min(2 * request.pause, LONGEST_PAUSE)

    def _needed(self, ssrc: Ssrc, request: _Request) -> bool:
        if self._streams.gated(ssrc):
            return True
        return request.seen == self._streams.key_frames(ssrc)


class _Gap:
    """Consecutive packets that did not come."""

    __slots__ = ("expires", "filled", "next_ask", "number", "sequence")

    def __init__(self, sequence: int, number: int, now: float):
        self.sequence = sequence
        self.number = number
        self.next_ask = now + REORDER
        self.expires = now + GIVE_UP
        self.filled: set[int] = set()
        """Those that came after all, as steps from the first."""


class UplinkRepair:
    """Which packets to ask the publishers for again, and when.

    The forwarder follows the sequence numbers and tells what is missing; the
    client's side of the same thing is `gaps.GapTracker`.
    """

    def __init__(self) -> None:
        self._gaps: dict[Ssrc, deque[_Gap]] = {}
        self._round_trips: dict[Ssrc, float] = {}
        self._deadlines: Deadlines[Ssrc] = Deadlines()
        self.asked = 0
        """Packets asked for, each time counted."""

    def round_trip(self, ssrc: Ssrc, seconds: float) -> None:
        """How long the publisher's answer takes."""
        self._round_trips[ssrc] = seconds

    def missing(self, ssrc: Ssrc, sequence: int, number: int, now: float) -> None:
        """That many packets from this one on were jumped over."""
        if number > MAX_MISSING:
            return
        gaps = self._gaps.setdefault(ssrc, deque(maxlen=MAX_GAPS))
        gap = _Gap(sequence, number, now)
        gaps.append(gap)
        self._deadlines.hasten(ssrc, gap.next_ask)

    def filled(self, ssrc: Ssrc, sequence: int) -> None:
        """One of them came."""
        gaps = self._gaps.get(ssrc, ())
        for gap in gaps:
            step = (sequence - gap.sequence) & 0xFFFF
            if step < gap.number:
                gap.filled.add(step)
                return

    def forget(self, ssrc: Ssrc) -> None:
        """The publication is over."""
        self._gaps.pop(ssrc, None)
        self._round_trips.pop(ssrc, None)
        self._deadlines.clear(ssrc)

    def next_timeout(self) -> float | None:
        """When `due` has something to do."""
        return self._deadlines.next()

    def due(self, now: float) -> list[tuple[Ssrc, tuple[int, ...]]]:
        """The packets to ask for now, at most `MAX_MISSING` of a stream."""
        asks = []
        for ssrc in self._deadlines.due(now):
            sequences = self._due(ssrc, now)
            if sequences:
                self.asked += len(sequences)
                asks.append((ssrc, tuple(sequences)))
        return asks

    def _due(self, ssrc: Ssrc, now: float) -> list[int]:
        gaps = self._gaps[ssrc]
        wait = max(REPEAT, self._round_trips.get(ssrc, 0.0))
        sequences: list[int] = []
        left: deque[_Gap] = deque(maxlen=MAX_GAPS)
        for gap in gaps:
            if now >= gap.expires or len(gap.filled) == gap.number:
                continue
            left.append(gap)
            if now >= gap.next_ask:
                gap.next_ask = now + wait
                sequences += [
                    (gap.sequence + step) & 0xFFFF
                    for step in range(gap.number)
                    if step not in gap.filled
                ]
        if left:
            self._gaps[ssrc] = left
            # A gap that expires is dropped when the next one is due.
            self._deadlines.set(ssrc, min(gap.next_ask for gap in left))
        else:
            del self._gaps[ssrc]
        return sequences[:MAX_MISSING]
