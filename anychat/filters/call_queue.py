"""What is to be called in the host of a compiled plug-in, in its order.

A plug-in does one thing at a time.  Some calls are under way, so that it never
waits for the server; of these the first one has its turn, and the others wait
in the pipe.  The rest waits here, within limits:

- a question waits no longer than its time, then it is late;
- texts and data of clients, which come by the thousand, are left out where too
  many wait, of one client or of all;
- of what says who is where nothing may be left out: where too much of that
  waits, the plug-in is overrun and has to be started anew.

Pure: the time is an argument.
"""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from anychat.codes import ResultCode
from anychat.errors import PeerError

Pairs = list[tuple[bytes, bytes]]
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
    of_one: int = 1_000
    """Texts and data of one client that wait."""
    of_one_bytes: int = 4 << 20
    lasting: int = 500_000
    """Other events that wait."""


class Overrun(Exception):
    """So much waits that the plug-in has to be started anew."""


@dataclass(slots=True, eq=False)
class QueuedCall(Generic[T]):
    """One call."""

    name: str
    """The hook's, for the log."""
    pairs: Pairs
    size: int
    """Bytes, about."""
    sender: int | None
    """The client whose text or data it is; None: it may not be left out."""
    waiter: T | None
    """Who waits for the verdict; None: nobody, or nobody any more."""
    deadline: float = 0.0
    """Of a question."""
    taken: bool = False
    """It is under way, or was."""


class CallQueue(Generic[T]):
    """Calls that wait, and those that are under way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[QueuedCall[T]] = deque()
        self._under_way: deque[tuple[int, QueuedCall[T]]] = deque()
        self._questions: deque[QueuedCall[T]] = deque()
        self._waited_for = 0
        self._tag = 0
        self._forget()
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

    def tell(self, name: str, pairs: Pairs, sender: int | None = None) -> ResultCode:
        """Add an event.

        :param sender: the client whose text or data it is; None: nobody's.
        :return: 0, or 23 NOENOUGHRESOURCE: it is left out.
        :raises Overrun: it must not be left out, and there is no room.
        """
        call = QueuedCall[T](name, pairs, _size(pairs), sender, None)
        limits = self._limits
        if sender is None:
            if self._lasting >= limits.lasting:
                raise Overrun
        else:
            count, size = self._senders.get(sender, (0, 0))
            if (
                self._passing >= limits.passing
                or self._passing_bytes + call.size > limits.passing_bytes
                or count >= limits.of_one
                or size + call.size > limits.of_one_bytes
            ):
                self.dropped += 1
                return ResultCode.NOENOUGHRESOURCE
        self._add(call)
        return ResultCode.SUCCESS

    def ask(self, name: str, pairs: Pairs, waiter: T, now: float) -> QueuedCall[T]:
        """Add a question; what `withdraw` wants."""
        call = QueuedCall(name, pairs, _size(pairs), None, waiter)
        call.deadline = now + self._limits.answer_time
        self._questions.append(call)
        self._waited_for += 1
        self._add(call)
        return call

    def withdraw(self, call: QueuedCall[T]) -> bool:
        """Nobody waits for this verdict any more; whether it is asked no more."""
        if call.taken or call.waiter is None:
            return False
        self._settle(call)
        call.pairs = []
        return True

    def take(self, now: float) -> list[tuple[int, Pairs]]:
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
            call.taken = True
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
        self._forget()
        return waiters

    def _forget(self) -> None:
        self._passing = self._lasting = 0
        self._passing_bytes = self._under_way_bytes = self._bytes = 0
        # Client -> calls and bytes that wait.
        self._senders: dict[int, tuple[int, int]] = {}

    def _add(self, call: QueuedCall[T]) -> None:
        self._waiting.append(call)
        self._count(call, 1)

    def _count(self, call: QueuedCall[T], sign: int) -> None:
        size = sign * call.size
        self._bytes += size
        if call.sender is not None:
            self._passing += sign
            self._passing_bytes += size
            count, held = self._senders.pop(call.sender, (0, 0))
            if count + sign:
                self._senders[call.sender] = count + sign, held + size
        elif not call.deadline:
            self._lasting += sign

    def _settle(self, call: QueuedCall[T]) -> T | None:
        waiter, call.waiter = call.waiter, None
        if waiter is not None:
            self._waited_for -= 1
        return waiter


def _size(pairs: Pairs) -> int:
    """Bytes on the wire, about."""
    return 32 + sum(4 + len(key) + len(value) for key, value in pairs)
