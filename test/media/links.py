"""A narrow link and a sender on it, for the tests of what a way takes."""

from anychat.media.estimate import Sample


class Link:
    """A queue before a narrow place.

    :param rate: bits per second.
    :param queue: bytes that may wait; what is more is lost.
    :param delay: seconds that everything takes.
    """

    def __init__(self, rate, queue=50_000, delay=0.020):
        self.rate = rate
        self.queue = queue
        self.delay = delay
        self._free = 0.0

    def arrival(self, now, size):
        """When a packet sent now arrives; None: it is lost."""
        self._free = max(self._free, now)
        if (self._free - now) * self.rate / 8 + size > self.queue:
            return None
        self._free += size * 8 / self.rate
        return self._free + self.delay


class Sender:
    """Sends frames over a link, and hears after a while what became of them.

    :param offset: the receiver's clock less the sender's, seconds.
    """

    SIZE = 1200

    def __init__(self, link, fps=15, offset=1234.5, interval=0.2):
        self.link = link
        self.now = 100.0
        self._fps = fps
        self._offset = offset
        self._interval = interval
        self._told = self.now
        self._waiting = []
        self._owed = 0.0

    def step(self, rate):
        """Let one frame's time pass, sending at that rate; what is told by then."""
        self.now += 1 / self._fps
        self._owed += rate / self._fps / 8
        while self._owed > 0:
            size = int(min(self.SIZE, max(100, self._owed)))
            self._owed -= size
            self._waiting.append((self.now, self.link.arrival(self.now, size), size))
        if self.now - self._told < self._interval:
            return []
        self._told = self.now
        # Nothing is told of what is still under way behind the latest arrival.
        arrived = [
            place
            for place, (_, came, _) in enumerate(self._waiting)
            if came is not None and came + self.link.delay <= self.now
        ]
        if not arrived:
            return []
        told, self._waiting = (
            self._waiting[: arrived[-1] + 1],
            self._waiting[arrived[-1] + 1 :],
        )
        return [
            Sample(sent, None if came is None else came + self._offset, size)
            for sent, came, size in told
        ]
