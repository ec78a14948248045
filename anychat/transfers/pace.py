"""How fast: the bit-rate cap of a sender, and what a transfer reaches."""

from collections import deque

#: Seconds over which a bit rate is measured.
SPAN = 3.0

#: Points of measurement kept.
_POINTS = 32


class Cap:
    """A bit rate that is not passed (option 46).

    :param bitrate: bits per second; 0: none.
    """

    def __init__(self, bitrate: int = 0):
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
