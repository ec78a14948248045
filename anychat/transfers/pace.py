"""How fast: a cap, what else is on the way, and what a transfer reaches."""

from collections import deque

from anychat.transfers.chunks import CHUNK, WINDOW

#: Seconds over which a bit rate is measured.
SPAN = 3.0

#: Points of measurement kept.
_POINTS = 32


#: Seconds that chunks may stand in queues on their way.
QUEUE = 0.05

#: Bytes under way at first, and at least; and the smallest chunk.
FIRST, LEAST, SMALLEST = 16_384, 8192, 4096

#: Seconds for which the shortest way counts, twice over.
_MEMORY = 30.0


class Window:
    """How much may be under way, so that media does not stand behind it.

    A file fills whatever queue is on its way, be it in a modem or in a TCP
    connection that media shares.  So the time from a chunk to the word that it
    was taken is measured.  Where that is longer than the shortest one lately by more
    than `QUEUE`, less is sent; else more, up to what a transfer may have under
    way at all (the idea of LEDBAT, RFC 6817).  On a fast way nothing of it is felt; a
    thin one is filled, in small chunks, while media adds no more than that delay.
    """

    def __init__(self) -> None:
        self.size = FIRST
        """Bytes that may be under way."""
        self._starting = True
        self._sent: deque[tuple[int, float]] = deque()
        self._shortest = self._before = float("inf")
        self._since = 0.0
        self._judged = 0

    @property
    def chunk(self) -> int:
        """Bytes of a chunk."""
        return min(CHUNK, max(SMALLEST, self.size // 4 // SMALLEST * SMALLEST))

    def sent(self, end: int, now: float) -> None:
        """The content is on its way up to there."""
        self._sent.append((end, now))

    def taken(self, offset: int, now: float) -> None:
        """The receiver has everything before that."""
        sent, at = self._sent, -1.0
        while sent and sent[0][0] <= offset:
            at = sent.popleft()[1]
        if at < 0:
            return
        took = now - at
        if now - self._since > _MEMORY:
            self._before, self._shortest = self._shortest, took
            self._since = now
        self._shortest = min(self._shortest, took)
        # Once for each window: what follows was sent before it could be felt.
        if offset < self._judged:
            return
        self._judged = sent[-1][0] if sent else offset
        queue = took - min(self._shortest, self._before)
        if queue > QUEUE:
            self._starting = False
            self.size = max(LEAST, int(self.size * max(0.5, QUEUE / queue)))
        elif self._starting and queue < QUEUE / 2:
            self.size = min(WINDOW, self.size * 2)
        else:
            step = max(SMALLEST, self.size // 8)
            self.size = min(WINDOW, self.size + step)

    def restart(self) -> None:
        """The link is another one, and with it the way."""
        self._sent.clear()
        self._shortest = self._before = float("inf")
        self._judged = 0


class Cap:
    """A bit rate that is not passed (option 46).

    :param bitrate: bits per second; 0: none.
    """

    def __init__(self, bitrate: int = 0):
        self.bitrate = bitrate
        self._free_at = 0.0

    @property
    def chunk(self) -> int:
        """Bytes of a chunk: half a second's, so that a low rate has no long gaps."""
        if not self.bitrate:
            return CHUNK
        return min(CHUNK, max(SMALLEST, self.bitrate // 16 // SMALLEST * SMALLEST))

    def change(self, bitrate: int) -> None:
        """From now on it is another one, whatever has gone out."""
        self.bitrate = bitrate
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next chunk may go out."""
        return max(0.0, self._free_at - now) if self.bitrate else 0.0

    def sent(self, size: int, now: float) -> None:
        """So many bytes have gone out."""
        if self.bitrate:
            self._free_at = max(self._free_at, now) + size * 8 / self.bitrate


class Meter:
    """Bits per second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque(maxlen=_POINTS)

    def at(self, offset: int, now: float) -> None:
        """So much of the content is there."""
        points = self._points
        if points and now - points[-1][0] < SPAN / _POINTS:
            return
        points.append((now, offset))

    def bitrate(self, offset: int, now: float) -> int:
        """How fast it got to that offset."""
        points = self._points
        while len(points) > 1 and now - points[1][0] > SPAN:
            points.popleft()
        if not points or now <= points[0][0]:
            return 0
        first_at, first = points[0]
        return max(0, int((offset - first) * 8 / (now - first_at)))

    def clear(self) -> None:
        """Begin anew: what was sent is to be sent again."""
        self._points.clear()
