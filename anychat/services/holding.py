"""A bound over what the server keeps in memory for all clients together.

Two kinds of bytes grow with what others send to a client:

* *kept*: frames and replies that a session keeps until its client has
  acknowledged them, with a link or without;
* *unsent*: what was written to a link whose client does not read it.

Each session's and each link's share is bounded, but there may be thousands: as
after a network failed, or when somebody wants it so.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import Protocol

from anychat.protocols.reliable import Account


class Keeper(Protocol):
    """A session, as far as its memory goes."""

    @property
    def kept(self) -> int:
        """Bytes that it keeps; the account's ``kept`` is their sum."""

    def let_go(self) -> None:
        """Keep nothing of what was sent so far.

        Without a link it keeps nothing more, until one takes it over.
        """


class Backlog(Protocol):
    """A link, as far as its memory goes."""

    unsent: int
    """Bytes that wait for its client."""

    def cut(self, reason: str) -> None:
        """End at once and free them."""


class Holding(Account):
    """Counts what is kept and what is unsent; beyond the bound some must go.

    First the sessions without a link lose what they keep, the one held longest
    first: its client is the least likely to come back.  One that has let go
    keeps nothing more while it is held, since its client needs the whole state
    anyway.

    If that is not enough, those that have the memory give it back, the
    greatest first, until an eighth of the bound is free: so nothing is looked
    through again before that eighth is full.  Where more is unsent than kept,
    links with a backlog are cut; else sessions with a link lose what they
    keep, which costs a client a RESYNC only if its link breaks then.

    A frame costs two additions and a comparison: channels book into ``kept``
    themselves, and links report only while their client is behind.

    :param maximum: bytes that may be kept and unsent all together.
    :param sessions: all there are, as they come and go.
    """

    __slots__ = ("_behind", "_held", "_maximum", "_sessions", "cut", "dropped", "mark")

    def __init__(self, maximum: int, sessions: Collection[Keeper]):
        super().__init__()
        self._maximum = maximum
        self._sessions = sessions
        # In the order in which their links were lost.
        self._held: OrderedDict[Keeper, None] = OrderedDict()
        self._behind: set[Backlog] = set()
        self.mark = maximum
        """The total beyond which `relieve` is due."""
        self.dropped = 0
        """Sessions that had to let go, since the start."""
        self.cut = 0
        """Links that were cut, since the start."""

    @property
    def total(self) -> int:
        """Bytes that count against the bound."""
        return self.kept + self.unsent

    def hold(self, session: Keeper) -> None:
        """The session has lost its link."""
        self._held[session] = None

    def sent(self, session: Keeper) -> None:
        """Something was sent to a session without a link."""
        if session not in self._held:
            session.let_go()

    def release(self, session: Keeper) -> None:
        """The session has a link again, or is over."""
        self._held.pop(session, None)

    def waits(self, link: Backlog, change: int) -> None:
        """So many bytes more (less, if negative) wait for a link's client."""
        self.unsent += change
        if link.unsent:
            self._behind.add(link)
        else:
            self._behind.discard(link)
        if change > 0 and self.total > self.mark:
            self.relieve()

    def relieve(self) -> None:
        """Free memory: the total has passed the mark."""
        while self._held and self.total > self._maximum:
            oldest, _ = self._held.popitem(last=False)
            self._drop(oldest)
        room = self._maximum // 8
        if self.total > self._maximum:
            most = self._maximum - room
            if self.unsent > self.kept:
                self._cut_links(most)
                self._drop_replays(most)
            else:
                self._drop_replays(most)
                self._cut_links(most)
        # Where nothing was to be had, nothing is sought for a while either.
        much = self.total > self._maximum
        self.mark = self.total + room if much else self._maximum

    def _cut_links(self, most: int) -> None:
        if self.total > most:
            for link in sorted(self._behind, key=lambda link: -link.unsent):
                self.cut += 1
                link.cut("does not read, and memory is short")
                if self.total <= most:
                    return

    def _drop_replays(self, most: int) -> None:
        if self.total > most:
            for session in sorted(self._sessions, key=lambda session: -session.kept):
                if not session.kept:
                    return
                self._drop(session)
                if self.total <= most:
                    return

    def _drop(self, session: Keeper) -> None:
        self.dropped += 1
        session.let_go()
