"""SSRCs: random, and never two streams under one (RFC 3550 section 8).

The server gives them all, so there are no collisions to resolve; a watcher
that is slow to hear of a closed stream must not take a new one for it either.
"""

from collections import deque
from collections.abc import Callable

from anychat.ids import Ssrc

#: SSRCs given out that are not given again so soon.
REMEMBERED = 16384


class SsrcSource:
    """Gives out SSRCs.

    :param random_bytes: where they come from.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]):
        self._random_bytes = random_bytes
        self._recent: deque[Ssrc] = deque()
        self._remembered: set[Ssrc] = set()
        self._held: set[Ssrc] = set()

    def new(self) -> Ssrc:
        """An SSRC that is neither held nor was given out lately."""
        while True:
            ssrc = Ssrc(int.from_bytes(self._random_bytes(4), "big"))
            if ssrc and ssrc not in self._held and ssrc not in self._remembered:
                break
        if len(self._recent) >= REMEMBERED:
            self._remembered.discard(self._recent.popleft())
        self._recent.append(ssrc)
        self._remembered.add(ssrc)
        return ssrc

    def hold(self, ssrc: Ssrc) -> None:
        """The SSRC is in use until it is released."""
        self._held.add(ssrc)

    def release(self, ssrc: Ssrc) -> None:
        """The SSRC is in use no longer."""
        self._held.discard(ssrc)
