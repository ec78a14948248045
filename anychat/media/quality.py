"""Counting packets of a trace: how many came, how evenly.

Pure; the server counts a sender's probes with it, a receiver what reaches it.
"""

#: Numbers behind the highest that are told new from double.
WINDOW = 2048
_SIXTEENTH = 1 / 16


class ArrivalCount:
    """Numbered packets as they come."""

    __slots__ = ("_seen", "_transit", "highest", "jitter", "received")

    def __init__(self) -> None:
        self.received = 0
        """Each counted once."""
        self.highest = 0
        self.jitter = 0.0
        """Interarrival jitter (RFC 3550 section 6.4.1), seconds."""
        self._seen = 0
        """Bit n: ``highest`` - n came."""
        self._transit: float | None = None

    def add(self, number: int) -> bool:
        """Count one; False: it came before, or nobody can tell."""
        ahead = number - self.highest
        if ahead > 0:
            # A jump beyond the window forgets all that was seen.
            self._seen = (self._seen << ahead if ahead < WINDOW else 0) | 1
            self._seen &= (1 << WINDOW) - 1
            self.highest = number
        elif -ahead >= WINDOW or self._seen >> -ahead & 1 or number <= 0:
            return False
        else:
            self._seen |= 1 << -ahead
        self.received += 1
        return True

    def arrived(self, transit: float) -> None:
        """How long the last one took, by two clocks that need not agree."""
        if self._transit is not None:
            difference = abs(transit - self._transit)
            self.jitter += (difference - self.jitter) * _SIXTEENTH
        self._transit = transit
