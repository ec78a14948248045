"""Log lines about what strangers do, so few that they cannot fill a disk."""

from collections.abc import Callable


class Notices:
    """A log that lets one line through for each cause and interval.

    The lines that were held back are counted, and the next one says so.

    :param interval: seconds.
    """

    __slots__ = ("_held", "_interval", "_log", "_seconds", "_since")

    def __init__(
        self,
        log: Callable[[str], None],
        seconds: Callable[[], float],
        interval: float = 10.0,
    ):
        self._log = log
        self._seconds = seconds
        self._interval = interval
        self._since: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def say(self, cause: str, text: str) -> None:
        """Write a line, unless this cause had one lately.

        :param cause: one of few: a counter is kept for each.
        """
        now = self._seconds()
        since = self._since.get(cause)
        if since is not None and now - since < self._interval:
            self._held[cause] = self._held.get(cause, 0) + 1
            return
        self._since[cause] = now
        held = self._held.pop(cause, 0)
        self._log(f"{text} ({held} more before)" if held else text)
