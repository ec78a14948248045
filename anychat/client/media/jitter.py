"""The jitter buffer: packets in as they come, frames out in order and in time.

Pure, with time as an argument.  Media time (the RTP timestamp in seconds) and
the receiver's clock differ by a transit time; the least one seen lately is the
*baseline*, and what packets need beyond it is their *delay*.  A frame is due at
``media time + baseline + target (+ extra)``, where the target follows the
delays of the latest packets, repaired ones included, between 20 and 500 ms.

Video is a chain: a frame that is missing makes the next ones worthless.  When a
gap lasts longer than the longest target would allow, a key frame is wanted; it
ends the wait as soon as it is due, and so does the repair, whichever comes
first.  Where neither comes, the buffer *seeks*: it lets everything go up to the
next whole key frame.  It begins that way too, and shows the first key frame as
soon as it is whole.

Audio has no chain: when the packet after a gap is due, the gap is passed over.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from anychat.media.rtp import RtpPacket

#: Bounds of the target, seconds.
MINIMUM = 0.020
MAXIMUM = 0.500
#: Most packets that wait.
CAPACITY = 2048

#: The target before there is anything to go by, seconds.
_INITIAL = 0.050
#: Added to what was needed lately, seconds.
_MARGIN = 0.005
#: How fast the target may shrink, seconds per second.
_SHRINK = 0.020
#: Packets that the target looks back on, and the share that must be in time.
_LOOK_BACK = 400
_IN_TIME = 0.99
#: Seconds over which the least transit is remembered, once to twice.
_BASELINE_SPAN = 5.0
#: Seconds until the first key frame is asked for, and between two requests.
_FIRST_REQUEST = 0.3
_NEXT_REQUEST = 0.5
#: Seconds after a key frame is wanted that repair may still come.
_LAST_HOPE = 0.7


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame: of video, or one packet of audio."""

    timestamp: int
    """RTP timestamp that goes on counting where the wire's wraps."""
    payloads: tuple[bytes, ...]
    independent: bool
    """Decodes without any frame before it."""


class ArrivalClock:
    """Baseline and target, from when packets of which media time came."""

    def __init__(self) -> None:
        self.target = _INITIAL
        """Seconds a frame waits beyond the least transit."""
        self.delay = 0.0
        """Of the latest packet, beyond the least transit, seconds."""
        self._least: float | None = None
        self._previous: float | None = None
        self._turn = 0.0
        self._delays: deque[float] = deque(maxlen=_LOOK_BACK)
        self._last = 0.0

    @property
    def baseline(self) -> float:
        """Least transit lately: receiver's clock less media time, seconds."""
        if self._least is None:
            return 0.0
        if self._previous is None:
            return self._least
        return min(self._least, self._previous)

    def observe(self, media_time: float, now: float) -> None:
        """A packet of that media time has come."""
        transit = now - media_time
        if self._least is None:
            self._least = transit
            self._turn = self._last = now
        elif now - self._turn >= _BASELINE_SPAN:
            # Two spans take turns, so that the clocks may drift apart.
            self._previous, self._least = self._least, transit
            self._turn = now
        else:
            self._least = min(self._least, transit)
        self.delay = transit - self.baseline
        self._delays.append(self.delay)
        self._follow(now)

    def _follow(self, now: float) -> None:
        needed = _INITIAL
        if len(self._delays) >= 20:
            ordered = sorted(self._delays)
            needed = ordered[int(_IN_TIME * (len(ordered) - 1))] + _MARGIN
        needed = min(max(needed, MINIMUM), MAXIMUM)
        # Grow at once, shrink slowly: late frames hurt more than early ones.
        shrunk = self.target - _SHRINK * max(0.0, now - self._last)
        self.target = max(needed, shrunk)
        self._last = now


class JitterBuffer:
    """Puts one stream's packets back in order and releases its frames.

    :param clock_rate: of the timestamps, Hz.
    :param video: whether packets carry frame markings and frames form a chain.
    :param now: when the stream was subscribed to; monotonic seconds, as
        everywhere here.
    """

    def __init__(self, clock_rate: int, video: bool, now: float):
        self.extra = 0.0
        """Seconds added to the target, to wait for the user's other stream."""
        self.late = 0
        """Packets that came after they had been passed over."""
        self._clock_rate = clock_rate
        self._video = video
        self._clock = ArrivalClock()
        self._packets: dict[int, RtpPacket] = {}
        self._expected: int | None = None
        self._scan = 0
        self._left_out: set[int] = set()
        self._starts: list[int] = []
        self._started = False
        self._reference: int | None = None
        self._floor = 0
        self._request_from = now + _FIRST_REQUEST
        self._last_request = float("-inf")

    @property
    def target(self) -> float:
        """Seconds that a frame waits at present beyond the least transit."""
        return self._clock.target + self.extra

    @property
    def delay(self) -> float:
        """Seconds beyond the least transit that the latest packet took."""
        return self._clock.delay

    @property
    def waiting(self) -> int:
        """Packets in the buffer."""
        return len(self._packets)

    @property
    def beheaded(self) -> int | None:
        """Index of the first packet there is, if the stream cannot begin since
        what came before it is missing: the relay begins with a key frame."""
        if not self._video or self._started or self._starts or not self._packets:
            return None
        return min(self._packets)

    @property
    def seeking(self) -> bool:
        """Whether nothing can be shown before a key frame has come."""
        return self._video and self._expected is None

    def extend(self, timestamp: int) -> int:
        """The timestamp on the stream's endless count (modulo 2**32 the same)."""
        if self._reference is None:
            # Room below, so that a stream reordered at its start stays positive.
            self._reference = timestamp + (1 << 32)
        step = (timestamp - self._reference + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
        return self._reference + step

    def baseline(self) -> float:
        """Receiver's clock less media time when a packet comes that was not
        held up: the least lately."""
        return self._clock.baseline

    def own_delay(self) -> float:
        """Receiver's clock less media time at release, without `extra`."""
        return self._clock.baseline + self._clock.target

    def insert(self, packet: RtpPacket, index: int, now: float) -> None:
        """Take a packet.

        :param index: its sequence number with the turns counted.
        """
        timestamp = self.extend(packet.timestamp)
        assert self._reference is not None
        self._reference = max(self._reference, timestamp)
        self._clock.observe(timestamp / self._clock_rate, now)
        if index < (self._floor if self._expected is None else self._expected):
            self.late += 1
            return
        if len(self._packets) >= CAPACITY:
            self._packets.clear()
            self._starts.clear()
            self._seek(now, index)
        self._packets[index] = packet
        marking = packet.marking
        if marking is not None and marking.start and marking.independent:
            self._starts.append(index)
            self._starts.sort()

    def leave_out(self, index: int) -> None:
        """That packet is not to come: with its neighbours it is a frame that no
        other one needs, and that was left out."""
        if len(self._left_out) < CAPACITY:
            self._left_out.add(index)
            self._pass_left_out()

    def _pass_left_out(self) -> None:
        """Go on behind what is left out, if that is next."""
        while self._expected is not None and self._expected in self._left_out:
            self._left_out.discard(self._expected)
            self._expected += 1
            self._scan = max(self._scan, self._expected)

    def take(self, now: float) -> list[Frame]:
        """The frames that are due."""
        frames: list[Frame] = []
        while True:
            step = self._next_step()
            if step is None or step[0] > now:
                return frames
            _, first, last = step
            if last is None:
                self._seek(now, first)
            else:
                frames.append(self._release(first, last))

    def next_timeout(self) -> float | None:
        """When `take` or `key_frame_wanted` has something to say."""
        step = self._next_step()
        times = [] if step is None else [step[0]]
        request = self._request_due()
        if request is not None:
            times.append(request)
        return min(times, default=None)

    def key_frame_wanted(self, now: float) -> bool:
        """Whether to ask for a key frame now; once per true answer."""
        due = self._request_due()
        if due is None or now < due:
            return False
        self._last_request = now
        return True

    def _request_due(self) -> float | None:
        """When to ask for a key frame, if at all."""
        again = self._last_request + _NEXT_REQUEST
        if self.seeking:
            return max(self._request_from, again)
        if not self._video or any(start != self._expected for start in self._starts):
            # A key frame that has begun to come need not be asked for.
            return None
        overdue = self._overdue()
        return None if overdue is None else max(overdue, again)

    def _overdue(self) -> float | None:
        """When the gap before the next frame has lasted too long, if there is
        one."""
        if self._expected is None or self._head_end() is not None:
            return None
        if self._scan == self._expected + len(self._packets):
            # Nothing, or the beginning of the next frame: no gap so far.
            return None
        after = min(index for index in self._packets if index > self._scan)
        return self._release_time(after) + max(0.0, MAXIMUM - self._clock.target)

    def restart(self, now: float) -> None:
        """The decoder lost its state: go on with the next key frame."""
        if self._video and self._expected is not None:
            self._seek(now, self._expected)

    def _seek(self, now: float, floor: int) -> None:
        """Let go of everything before the next key frame from ``floor`` on."""
        self._expected = None
        self._floor = floor
        self._starts = [index for index in self._starts if index >= floor]
        self._forget_before(self._starts[0] if self._starts else floor)
        self._request_from = now + _FIRST_REQUEST if self._starts else now

    def _forget_before(self, index: int) -> None:
        self._packets = {
            key: packet for key, packet in self._packets.items() if key >= index
        }

    def _next_step(self) -> tuple[float, int, int | None] | None:
        """What comes next: when, from which index, and to which last one the
        frame goes that is released then (None: give up and seek)."""
        if not self._packets:
            return None
        if self._video:
            return self._next_video_step()
        first = self._expected
        if first is None or first not in self._packets:
            first = min(self._packets)
        return self._release_time(first), first, first

    def _next_video_step(self) -> tuple[float, int, int | None] | None:
        if self._expected is None:
            key = self._first_whole_key()
            if key is None:
                return None
            when = self._release_time(key[0]) if self._started else float("-inf")
            return when, *key
        last = self._head_end()
        if last is not None:
            return self._release_time(self._expected), self._expected, last
        overdue = self._overdue()
        if overdue is None:
            return None
        key = self._first_whole_key()
        if key is not None:
            return self._release_time(key[0]), *key
        return overdue + _LAST_HOPE, min(self._packets), None

    def _release_time(self, index: int) -> float:
        timestamp = self.extend(self._packets[index].timestamp)
        return timestamp / self._clock_rate + self._clock.baseline + self.target

    def _head_end(self) -> int | None:
        """Index of the last packet of the next frame, if it is whole."""
        while (packet := self._packets.get(self._scan)) is not None:
            if packet.marking is not None and packet.marking.end:
                return self._scan
            self._scan += 1
        return None

    def _first_whole_key(self) -> tuple[int, int] | None:
        """First and last index of the first key frame that is whole."""
        for start in self._starts:
            index = start
            while (packet := self._packets.get(index)) is not None:
                if packet.marking is not None and packet.marking.end:
                    return start, index
                index += 1
        return None

    def _release(self, first: int, last: int) -> Frame:
        packets = [self._packets[index] for index in range(first, last + 1)]
        if first != self._expected:
            self._forget_before(first)
        for index in range(first, last + 1):
            del self._packets[index]
        self._starts = [index for index in self._starts if index > last]
        self._expected = self._scan = last + 1
        self._left_out = {index for index in self._left_out if index > last}
        self._pass_left_out()
        self._started = True
        return Frame(
            self.extend(packets[0].timestamp),
            tuple(packet.payload for packet in packets),
            _independent(packets),
        )


def _independent(packets: Iterable[RtpPacket]) -> bool:
    """Whether the packets' markings say that their frame stands alone."""
    return all(
        packet.marking is not None and packet.marking.independent for packet in packets
    )
