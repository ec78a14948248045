"""Whose turn it is: callbacks of one user one after the other, of others beside.

Everything that a core asks or tells is an `Entry` with a key: entries of one
key begin in the order in which they came, each when the one before it is
done.  An entry of `EVERYBODY` begins when all before it are done, and all
after it wait for it.

Events are numbered.  `Turns.through` is the number up to which all are done,
which is what is acknowledged: so a core that must not send more than a window
beyond that waits when callbacks are slow.

Pure: it starts nothing itself.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from anychat.errors import PeerError

T = TypeVar("T")

#: Key of what concerns all users.
EVERYBODY: Final = None


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One thing that waits for its turn, has it, or had it."""

    key: Hashable
    """Entries of one key do not overlap; `EVERYBODY` overlaps with none."""
    number: int
    """Of an event; 0: a question, which is answered instead."""
    content: T
    era: int = 0
    """How often numbers had begun anew when it came."""
    dropped: bool = False
    """It is not to begin any more."""


class Turns(Generic[T]):
    """The order of what was asked and told and is not done yet."""

    def __init__(self, maximum: int, side_by_side: int):
        """
        :param maximum: entries that are not done; a core sends no more.
        :param side_by_side: entries that may have begun and not be done.
        """
        self._maximum = maximum
        self._side_by_side = side_by_side
        self.occupied = 0
        """Places of those side by side that something else takes up."""
        self.era = 0
        """How often numbers have begun anew."""
        self._count = 0
        self._begun = 0
        # By key: what came and is not done, the first of them ready or begun.
        self._lanes: dict[Hashable, deque[Entry[T]]] = {}
        # Their turn has come.
        self._ready: deque[Entry[T]] = deque()
        # From the first entry of EVERYBODY on that has not begun.
        self._behind: deque[Entry[T]] = deque()
        # Numbers of this era that are not done, with done ones between them.
        self._open: deque[int] = deque()
        self._done_early: set[int] = set()
        self.through = 0
        """The number up to which all are done."""

    def __len__(self) -> int:
        """Entries that are not done."""
        return self._count

    @property
    def unacknowledged(self) -> int:
        """Events that came after `through`, whether they are done or not."""
        return len(self._open)

    def is_waiting(self, key: Hashable) -> bool:
        """Whether something of that key waits for its turn, or has it."""
        return key in self._lanes

    def renumber(self, through: int) -> None:
        """A new connection: the core's numbers go on after that one.

        What is waiting keeps its turn and is not acknowledged any more.
        """
        self.era += 1
        self._open.clear()
        self._done_early.clear()
        self.through = through

    def add(self, key: Hashable, number: int, content: T) -> Entry[T]:
        """Take what came.

        :param number: of an event, greater than those before; 0 for a question.
        :return: what `begin` gives when its turn has come.
        :raises PeerError: more are waiting than a core may send.
        """
        if self._count >= self._maximum:
            raise PeerError(
                f"sent more than {self._maximum} events and questions at once"
            )
        if number:
            self._open.append(number)
        self._count += 1
        entry = Entry(key, number, content, self.era)
        if self._behind or not self._may_enter(key):
            self._behind.append(entry)
        else:
            self._let_in(entry)
        return entry

    def begin(self) -> Entry[T] | None:
        """The next one whose turn it is; `done` must follow for it."""
        while self._ready and self._begun + self.occupied < self._side_by_side:
            entry = self._ready.popleft()
            if not entry.dropped:
                self._begun += 1
                return entry
            self._leave(entry)
        return None

    def drop(self, entry: Entry[T]) -> None:
        """A question that has not begun is not to: it counts no more."""
        entry.dropped = True
        self._count -= 1

    def done(self, entry: Entry[T]) -> None:
        """What began is done: the next of its key has its turn."""
        self._count -= 1
        self._begun -= 1
        self._leave(entry)
        if entry.number and entry.era == self.era:
            self._advance(entry.number)

    def _leave(self, entry: Entry[T]) -> None:
        """The first of a lane has gone."""
        lane = self._lanes[entry.key]
        lane.popleft()
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[entry.key]
            self._let_in_those_behind()

    def _may_enter(self, key: Hashable) -> bool:
        if key is EVERYBODY:
            return not self._lanes
        return EVERYBODY not in self._lanes

    def _let_in(self, entry: Entry[T]) -> None:
        lane = self._lanes.get(entry.key)
        if lane is None:
            self._lanes[entry.key] = deque((entry,))
            self._ready.append(entry)
        else:
            lane.append(entry)

    def _let_in_those_behind(self) -> None:
        behind = self._behind
        while behind and self._may_enter(behind[0].key):
            self._let_in(behind.popleft())

    def _advance(self, number: int) -> None:
        numbers, early = self._open, self._done_early
        if number != numbers[0]:
            early.add(number)
            return
        self.through = numbers.popleft()
        while numbers and numbers[0] in early:
            self.through = numbers.popleft()
            early.remove(self.through)
