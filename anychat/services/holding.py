"""A bound over what all held sessions keep for their clients.

A session without a link goes on keeping what is sent to it.  Each one's share
is bounded, but there may be thousands at a time, as after a network failed.
"""

from collections import OrderedDict
from typing import Protocol


class Keeper(Protocol):
    """A session, as far as its memory goes."""

    @property
    def kept(self) -> int:
        """Bytes that it keeps."""

    def let_go(self) -> None:
        """Keep nothing, until a link takes the session over."""


class Holding:
    """Counts what held sessions keep; beyond the bound the oldest lets go.

    Oldest is the one held longest: its client is the least likely to come
    back.  One that has let go keeps nothing more while it is held, since its
    client needs the whole state anyway.

    :param maximum: bytes that they may keep all together.
    """

    __slots__ = ("_kept", "_maximum", "dropped", "total")

    def __init__(self, maximum: int):
        self._maximum = maximum
        # In the order in which their links were lost.
        self._kept: OrderedDict[Keeper, int] = OrderedDict()
        self.total = 0
        """Bytes that they keep."""
        self.dropped = 0
        """Sessions that had to let go, since the start."""

    def hold(self, session: Keeper) -> None:
        """The session has lost its link."""
        self._kept[session] = 0
        self.changed(session)

    def changed(self, session: Keeper) -> None:
        """Something was sent to a held session."""
        before = self._kept.get(session)
        if before is None:
            session.let_go()
            return
        kept = self._kept[session] = session.kept
        self.total += kept - before
        while self.total > self._maximum:
            oldest, kept = self._kept.popitem(last=False)
            self.total -= kept
            self.dropped += 1
            oldest.let_go()

    def release(self, session: Keeper) -> None:
        """The session has a link again, or is over."""
        self.total -= self._kept.pop(session, 0)
