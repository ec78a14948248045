"""What waits for a TCP link: media of a leg that UDP does not reach.

TCP delivers what it takes, late if need be; media that comes late is of no use.
So little is given to the link at a time, and the rest waits here, where it can be
left out.  Within `MAX_AGE` and `MAX_BYTES` all waits.  Beyond that

* video goes to the end of its frame, and goes on with the start of a later one:
  whoever shows half a frame shows garbage, and half the bytes were for nothing;
* of audio the oldest goes;
* a frame that has begun to go out goes on to its end, for up to `MAX_FRAME`: a
  thin link would never get a whole key frame through else.

RTCP waits like audio.  Both go out before video: they are few, and a stutter is
heard before it is seen.  Packets of one stream keep their order.

`MediaOutlet` is pure and serves either end: put packets in, and take them out
while the link is not behind.
"""

from collections import deque
from typing import NamedTuple

from anychat.errors import PeerError
from anychat.media.counters import Drop, Drops
from anychat.media.demux import Kind, classify
from anychat.media.rtp import marking_of

#: Seconds that a packet may wait: a receiver's buffer waits no longer.
MAX_AGE = 0.5
#: Seconds that the rest of a frame may wait whose beginning has gone.
MAX_FRAME = 2.0
#: Bytes that wait in all: a key frame of the largest picture and more.
MAX_BYTES = 1 << 18
#: And of them, audio and RTCP.
MAX_SOUND = 1 << 16

#: Streams that it is known of how far a frame has come.
MAX_STREAMS = 256
#: Seconds between two looks at all that waits: who puts in thousands of small
#: packets makes none of the takes that follow slow.
LOOK = 0.02

_SSRC = slice(8, 12)


class _Waiting(NamedTuple):
    data: bytes
    since: float
    ssrc: int
    starts: bool
    ends: bool


class MediaOutlet:
    """Packets for one link.

    :param drops: where those that are left out are counted.
    """

    __slots__ = (
        "_begun",
        "_drops",
        "_looked",
        "_size",
        "_skipping",
        "_sound",
        "_sound_size",
        "_video",
    )

    def __init__(self, drops: Drops):
        self._drops = drops
        self._sound: deque[_Waiting] = deque()
        self._video: deque[_Waiting] = deque()
        self._size = self._sound_size = 0
        self._looked = float("-inf")
        self._skipping: dict[int, None] = {}
        """Streams that go on with the start of a frame."""
        self._begun: dict[int, None] = {}
        """Streams of whose frame a part has gone out."""

    def __len__(self) -> int:
        return len(self._sound) + len(self._video)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def age(self, now: float) -> float:
        """Seconds that the oldest packet waits; 0 when none does."""
        return max(
            (now - queue[0].since for queue in (self._sound, self._video) if queue),
            default=0.0,
        )

    def put(self, data: bytes, now: float) -> None:
        """Let a packet wait, or leave it out.

        RTP with a frame marking is video, all else is sound.
        """
        marking = None
        if classify(data) is Kind.RTP:
            try:
                marking = marking_of(data)
            except PeerError:
                self._drops.add(Drop.MALFORMED_RTP)
                return
        if marking is None:
            self._put_sound(data, now)
            return
        ssrc = int.from_bytes(data[_SSRC], "big")
        full = self._size + len(data) > MAX_BYTES
        if full or (ssrc in self._skipping and not marking.start):
            _remember(self._skipping, ssrc)
            self._drops.add(Drop.LINK_FULL)
            return
        self._skipping.pop(ssrc, None)
        self._video.append(_Waiting(data, now, ssrc, marking.start, marking.end))
        self._size += len(data)

    def _put_sound(self, data: bytes, now: float) -> None:
        self._sound.append(_Waiting(data, now, 0, True, True))
        self._size += len(data)
        self._sound_size += len(data)
        while self._sound_size > MAX_SOUND:
            self._take_sound()
            self._drops.add(Drop.LINK_FULL)

    def take(self, now: float) -> bytes | None:
        """Remove and return the next packet; None when there is none."""
        oldest = now - MAX_AGE
        while self._sound:
            item = self._take_sound()
            if item.since >= oldest:
                return item.data
            self._drops.add(Drop.LINK_LATE)
        late = self._video and self._video[0].since < oldest
        if late and now >= self._looked + LOOK:
            self._looked = now
            self._leave_late(oldest, now - MAX_FRAME)
        if not self._video:
            return None
        item = self._video.popleft()
        if item.ends:
            self._begun.pop(item.ssrc, None)
        else:
            _remember(self._begun, item.ssrc)
        self._size -= len(item.data)
        return item.data

    def clear(self) -> None:
        """Leave out all that waits; streams go on with a frame."""
        for item in self._video:
            _remember(self._skipping, item.ssrc)
        self._drops.add(Drop.LINK_LATE, len(self))
        self._sound.clear()
        self._video.clear()
        self._begun.clear()
        self._size = self._sound_size = 0

    def _take_sound(self) -> _Waiting:
        item = self._sound.popleft()
        self._size -= len(item.data)
        self._sound_size -= len(item.data)
        return item

    def _leave_late(self, oldest: float, begun_by: float) -> None:
        """Of streams with packets that are late, leave out all up to the start of
        a frame that is not; the rest of a frame that has begun stays."""
        late = {item.ssrc for item in self._video if item.since < oldest}
        going_on = set(self._begun)
        kept: deque[_Waiting] = deque()
        for item in self._video:
            if item.ssrc in going_on:
                if not item.starts and item.since >= begun_by:
                    kept.append(item)
                    if item.ends:
                        going_on.discard(item.ssrc)
                    continue
                going_on.discard(item.ssrc)
            if item.ssrc in late and item.starts and item.since >= oldest:
                late.discard(item.ssrc)
            if item.ssrc in late:
                self._size -= len(item.data)
                self._drops.add(Drop.LINK_LATE)
            else:
                kept.append(item)
        # Of a frame that goes on the rest may still come.
        for ssrc in late - going_on:
            _remember(self._skipping, ssrc)
        self._video = kept


def _remember(streams: dict[int, None], ssrc: int) -> None:
    """Note a stream; what is remembered of those that are over is bounded."""
    streams[ssrc] = None
    if len(streams) > MAX_STREAMS:
        del streams[next(iter(streams))]
