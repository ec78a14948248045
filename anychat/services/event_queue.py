"""What one business server is to be told, in order, until it says it has it.

Events stand in one line.  They get their numbers when they go out, one after
the other without a gap, and stay until the other side acknowledges them
(cumulatively), so that they can go out again over a new connection.  Questions
stand in the same line, so that none overtakes an event that came before it;
they have no numbers and die with the connection.

Two bounds hold.  The window says how much may be under way, sent and not
acknowledged: AMP has no back-pressure of its own.  The maximum says how much is
kept at all; beyond it the oldest events that are not under way are dropped, and
a `Gap` stands in their place, which takes their numbers.

Encoded events are shared by the queues of all servers: an `Entry` is made once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anychat.codes import ResultCode
from anychat.errors import PeerError

#: Bytes that an entry costs beyond its body, about.
OVERHEAD = 128

Q = TypeVar("Q")


class Entry:
    """An event as it stands on the wire, but for its number.

    :ivar kind: its command.
    :ivar cost: what keeping it counts for.

    :param free: it is bounded elsewhere, counts for nothing, and waits for no
        window.  Such ones that stand side by side go out together, or are
        dropped together.
    """

    __slots__ = ("body", "cost", "kind")

    def __init__(self, kind: str, body: bytes, *, free: bool = False) -> None:
        self.kind = kind
        self.body = body
        self.cost = 0 if free else len(body) + OVERHEAD


class Gap:
    """Events that are gone.

    :ivar since: where in the line the first of them was; a question that came
        after it goes out after the gap.
    """

    __slots__ = ("count", "since")

    def __init__(self, count: int, since: int) -> None:
        self.count = count
        self.since = since


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be sent and not acknowledged; one event always may."""

    events: int
    bytes: int
    """Of bodies."""


class EventQueue(Generic[Q]):
    """The line of one business server.

    :param maximum: bytes kept, `OVERHEAD` for each entry included; the window
        takes half of it at most.
    """

    __slots__ = (
        "_acknowledged",
        "_maximum",
        "_number",
        "_passed",
        "_questions",
        "_sent",
        "_sent_bytes",
        "_waiting",
        "_window_bytes",
        "_window_events",
        "bytes",
        "dropped",
    )

    def __init__(self, maximum: int, window: Window) -> None:
        self._maximum = maximum
        self._window_events = window.events
        self._window_bytes = min(window.bytes, maximum // 2)
        self._sent: deque[tuple[int, Entry | Gap]] = deque()
        self._sent_bytes = 0
        self._waiting: deque[Entry | Gap] = deque()
        # Each with how many entries must have gone out before it, counted as
        # `_passed` counts them.
        self._questions: deque[tuple[int, Q]] = deque()
        self._passed = 0
        self._number = 0
        self._acknowledged = 0
        self.bytes = 0
        """What is kept counts for, sent or waiting."""
        self.dropped = 0
        """Events dropped since the beginning."""

    @property
    def waiting(self) -> int:
        """Entries that have not gone out."""
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """Entries that have gone out and are not acknowledged."""
        return len(self._sent)

    @property
    def questions(self) -> int:
        """Questions that have not gone out."""
        return len(self._questions)

    def tell(self, entry: Entry) -> None:
        """Put an event at the end of the line."""
        self._waiting.append(entry)
        self.bytes += entry.cost
        if self.bytes > self._maximum:
            self._drop()

    def lose(self) -> None:
        """An event for the end of the line cannot be told."""
        place = self._passed + len(self._waiting)
        self._waiting.append(Gap(1, place))
        self.dropped += 1

    def ask(self, question: Q) -> None:
        """Put a question at the end of the line."""
        self._questions.append((self._passed + len(self._waiting), question))

    def take(self) -> list[tuple[int, Entry | Gap | Q]]:
        """What may go out now, in its order.

        An event comes with its number, a gap with the number of the last event
        that it stands for, a question with 0.
        """
        parts: list[tuple[int, Entry | Gap | Q]] = []
        waiting, questions, sent = self._waiting, self._questions, self._sent
        while True:
            if questions and questions[0][0] <= self._reached():
                parts.append((0, questions.popleft()[1]))
                continue
            if not waiting:
                return parts
            entry = waiting[0]
            full = len(sent) >= self._window_events
            if isinstance(entry, Gap):
                if full:
                    return parts
                self._number += entry.count
            else:
                size = self._sent_bytes + len(entry.body)
                if (full or (sent and size > self._window_bytes)) and entry.cost:
                    return parts
                self._sent_bytes = size
                self._number += 1
            self._passed += 1
            part = (self._number, waiting.popleft())
            sent.append(part)
            parts.append(part)

    def acknowledge(self, number: int) -> None:
        """The other side has everything up to this number.

        :raises PeerError: that number has not gone out.
        """
        if number > self._number:
            raise PeerError(
                f"event {number} acknowledged, {self._number} is the last",
                ResultCode.PROTOCOLFAIL,
            )
        sent = self._sent
        while sent and sent[0][0] <= number:
            self._acknowledged, entry = sent.popleft()
            if isinstance(entry, Entry):
                self._sent_bytes -= len(entry.body)
                self.bytes -= entry.cost

    def rewind(self) -> list[Q]:
        """The connection is gone: what was under way has to go out again.

        :return: the questions that had not gone out; they are forgotten.
        """
        questions = [question for _, question in self._questions]
        self._questions.clear()
        self._waiting.extendleft(entry for _, entry in reversed(self._sent))
        self._sent.clear()
        self._sent_bytes = 0
        return questions

    def resume(
        self, handled: int, wanted: Callable[[str], bool], *, anew: bool = False
    ) -> int:
        """Begin over a new connection; only after `rewind` or at first.

        :param handled: the number after which the other side wants to go on.
        :param wanted: tells by its kind whether an event is still wanted; what
            is not goes without a trace.
        :param anew: the other side counts from 0 (and ``handled`` is that); it
            has handled what it acknowledged.
        :return: how many events that it has not handled are gone.
        """
        if not anew:
            self._skip(handled)
        self._number = self._acknowledged = handled
        kept: deque[Entry | Gap] = deque()
        self.bytes = lost = 0
        for entry in self._waiting:
            if isinstance(entry, Gap):
                kept.append(entry)
                lost += entry.count
            elif wanted(entry.kind):
                kept.append(entry)
                self.bytes += entry.cost
        self._waiting = kept
        return lost

    def _reached(self) -> int:
        """How far in the line everything has gone out."""
        if self._waiting:
            first = self._waiting[0]
            if isinstance(first, Gap):
                return first.since
        return self._passed

    def _skip(self, handled: int) -> None:
        """Let go of what was handled and not acknowledged, or own a loss."""
        # Nobody has handled what never went out.
        skip = min(handled, self._number) - self._acknowledged
        waiting = self._waiting
        if skip < 0:
            waiting.appendleft(Gap(-skip, self._passed))
        while skip > 0 and waiting:
            entry = waiting[0]
            if isinstance(entry, Gap) and entry.count > skip:
                entry.count -= skip
                return
            skip -= entry.count if isinstance(entry, Gap) else 1
            waiting.popleft()

    def _drop(self) -> None:
        """Let the oldest go that are not under way."""
        waiting = self._waiting
        gap = Gap(0, self._reached())
        while waiting:
            entry = waiting[0]
            if isinstance(entry, Gap):
                gap.count += entry.count
            elif self.bytes > self._maximum or (gap.count and not entry.cost):
                gap.count += 1
                self.dropped += 1
                self.bytes -= entry.cost
            else:
                break
            waiting.popleft()
            self._passed += 1
        waiting.appendleft(gap)
        self._passed -= 1
