"""What is to be called in the host of a compiled plug-in, in its order.

A plug-in does one thing at a time.  Some calls are under way, so that it never
waits for the server; of these the first one has its turn, and the others wait
in the pipe.  The rest waits here, within limits:

- a question waits no longer than its time, then it is late;
- texts and data of clients, which come by the thousand, are left out where too
  many wait;
- of what says who is where nothing may be left out: where too much of that
  waits, the plug-in is overrun and has to be started anew.

Pure: the time is an argument.
"""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from anychat.errors import PeerError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be where."""

    answer_time: float = 5.0
    """Seconds for a verdict, and for every single hook to return."""
    under_way: int = 64
    """Calls in the pipe."""
    under_way_bytes: int = 256 << 10
    passing: int = 20_000
    """Texts and data that wait."""
    passing_bytes: int = 64 << 20
    lasting: int = 500_000
    """Other events that wait."""


@dataclass(slots=True, eq=False)
class QueuedCall(Generic[T]):
    """One call."""

    name: str
    """The hook's, for the log."""
    pairs: list[tuple[bytes, bytes]]
    size: int
    """Bytes, about."""
    passing: bool
    """It may be left out."""
    waiter: T | None
    """Who waits for the verdict; None: nobody, or nobody any more."""
    deadline: float = 0.0
    """Of a question."""


class CallQueue(Generic[T]):
    """Calls that wait, and those that are under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[QueuedCall[T]] = deque()
        self._under_way: deque[tuple[int, QueuedCall[T]]] = deque()
        self._questions: deque[QueuedCall[T]] = deque()
        self._waited_for = 0
        self._tag = 0
        self._passing = self._lasting = 0
        self._passing_bytes = self._under_way_bytes = self._bytes = 0
        self._turn_since = 0.0
        self.dropped = 0
        """Texts and data that were left out."""

    def __len__(self) -> int:
        """Calls that wait and are not under way."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of calls that wait."""
        return self._bytes

    @property
    def open_questions(self) -> int:
        """Questions that somebody waits for."""
        return self._waited_for

    @property
    def turn(self) -> str:
        """The hook whose turn it is; empty: none."""
        return self._under_way[0][1].name if self._under_way else ""

    def tell(
        self, name: str, pairs: list[tuple[bytes, bytes]], *, passing: bool
    ) -> bool:
        """Add an event; False: the plug-in is overrun."""
        call = QueuedCall[T](name, pairs, _size(pairs), passing, None)
        limits = self._limits
        if passing:
            if (
                self._passing >= limits.passing
                or self._passing_bytes + call.size > limits.passing_bytes
            ):
                self.dropped += 1
                return True
        elif self._lasting >= limits.lasting:
            return False
        self._add(call)
        return True

    def ask(
        self, name: str, pairs: list[tuple[bytes, bytes]], waiter: T, now: float
    ) -> None:
        """Add a question."""
        call = QueuedCall(name, pairs, _size(pairs), False, waiter)
        call.deadline = now + self._limits.answer_time
        self._questions.append(call)
        self._waited_for += 1
        self._add(call)

    def take(self, now: float) -> list[tuple[int, list[tuple[bytes, bytes]]]]:
        """What is to go out now: tags, and pairs of the calls."""
        taken = []
        limits = self._limits
        while (
            self._waiting
            and len(self._under_way) < limits.under_way
            and (
                not self._under_way
                or self._under_way_bytes + self._waiting[0].size
                <= limits.under_way_bytes
            )
        ):
            call = self._waiting.popleft()
            self._count(call, -1)
            if call.deadline and call.waiter is None:
                continue  # it is late already
            if not self._under_way:
                self._turn_since = now
            self._tag = self._tag % 0xFFFFFFFF + 1
            self._under_way.append((self._tag, call))
            self._under_way_bytes += call.size
            taken.append((self._tag, call.pairs))
            # Names and passwords are not kept for longer than they are needed.
            call.pairs = []
        return taken

    def done(self, tag: int, now: float) -> T | None:
        """The call whose turn it was is done.

        :return: who waits for its verdict, if somebody does.
        :raises PeerError: it was another one's turn.
        """
        if not self._under_way or self._under_way[0][0] != tag:
            raise PeerError("the answer to what was not asked")
        _, call = self._under_way.popleft()
        self._under_way_bytes -= call.size
        self._turn_since = now
        waiter = self._settle(call)
        while self._questions and self._questions[0].waiter is None:
            self._questions.popleft()
        return waiter

    def late(self, now: float) -> list[tuple[str, T]]:
        """Hooks and who waited for them, of questions whose time is over."""
        late = []
        while self._questions:
            call = self._questions[0]
            if call.waiter is not None:
                if call.deadline > now:
                    break
                late.append((call.name, call.waiter))
                self._settle(call)
                call.pairs = []
            self._questions.popleft()
        return late

    def hangs(self, now: float) -> bool:
        """Whether the hook whose turn it is has had it for too long."""
        return bool(
            self._under_way and now >= self._turn_since + self._limits.answer_time
        )

    def next_timeout(self) -> float | None:
        """When `late` and `hangs` are to be looked at again."""
        times = []
        if self._questions:
            times.append(self._questions[0].deadline)
        if self._under_way:
            times.append(self._turn_since + self._limits.answer_time)
        return min(times, default=None)

    def clear(self) -> list[T]:
        """Forget everything; who waited for verdicts, in their order."""
        waiters = [
            waiter
            for call in self._questions
            if (waiter := self._settle(call)) is not None
        ]
        self._waiting.clear()
        self._under_way.clear()
        self._questions.clear()
        self._passing = self._lasting = 0
        self._passing_bytes = self._under_way_bytes = self._bytes = 0
        return waiters

    def _add(self, call: QueuedCall[T]) -> None:
        self._waiting.append(call)
        self._count(call, 1)

    def _count(self, call: QueuedCall[T], sign: int) -> None:
        self._bytes += sign * call.size
        if call.passing:
            self._passing += sign
            self._passing_bytes += sign * call.size
        elif not call.deadline:
            self._lasting += sign

    def _settle(self, call: QueuedCall[T]) -> T | None:
        waiter, call.waiter = call.waiter, None
        if waiter is not None:
            self._waited_for -= 1
        return waiter


def _size(pairs: list[tuple[bytes, bytes]]) -> int:
    """Bytes on the wire, about."""
    return 32 + sum(4 + len(key) + len(value) for key, value in pairs)
