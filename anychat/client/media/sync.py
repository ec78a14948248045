"""Audio and video of one user on one time line.  Pure.

RTP timestamps of two streams have nothing in common; a sender report (RFC 3550
section 6.4) says which wall-clock time of the sender one of them stands for.
`SenderClock` follows the reports of one stream; `extra_delays` says how much
longer each of a user's streams must wait so that what was captured together is
shown together.
"""

from collections.abc import Iterable

from anychat.media.rtcp import SenderReport, unix_from_ntp

#: A report that moves a stream's time line by more than this begins it anew.
_JUMP = 1.0
#: Share of a smaller difference that one report corrects.
_GAIN = 0.25
#: Longest a stream waits for another, seconds.
MAXIMUM_EXTRA = 0.5


class SenderClock:
    """When the frames of one stream were captured, by its sender's clock."""

    def __init__(self, clock_rate: int):
        self._clock_rate = clock_rate
        self._origin: float | None = None

    @property
    def known(self) -> bool:
        """Whether a sender report has come."""
        return self._origin is not None

    def report(self, report: SenderReport, timestamp: int) -> None:
        """Take a sender report.

        :param timestamp: the report's RTP timestamp, counted on endlessly.
        """
        origin = unix_from_ntp(report.ntp) - timestamp / self._clock_rate
        if self._origin is None or abs(origin - self._origin) > _JUMP:
            self._origin = origin
        else:
            # Senders that read two clocks one after the other report with a
            # little noise; it is not to be heard.
            self._origin += _GAIN * (origin - self._origin)

    def captured(self, timestamp: int) -> float | None:
        """Seconds since 1970 of an endless RTP timestamp; None if unknown."""
        if self._origin is None:
            return None
        return self._origin + timestamp / self._clock_rate

    def transit(self, delay: float) -> float | None:
        """Seconds from capture to release.

        :param delay: receiver's clock less media time at release.
        :return: receiver's clock less sender's clock; None if unknown.  Only
            differences between two streams of one sender mean anything.
        """
        return None if self._origin is None else delay - self._origin


def extra_delays(transits: Iterable[float]) -> list[float]:
    """How much longer each stream waits for the slowest one, seconds.

    A stream that is very far behind (its sender's clocks are wrong, or it is
    not live) is not waited for.
    """
    waiting = list(transits)
    slowest = max(waiting, default=0.0)
    extras = [slowest - transit for transit in waiting]
    if any(extra > MAXIMUM_EXTRA for extra in extras):
        return [0.0] * len(extras)
    return extras
