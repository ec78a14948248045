"""Which transfers may go on at a time, and who is next.

So many tasks have a window at a time for each receiver, for each sender and in all.
The others wait without a grant, and nobody waits for ever: who has had a window for
`TURN` gives it to another user's task that waits, and goes on later where it was.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from anychat.ids import SessionId
from anychat.services.transfer_task import Task
from anychat.transfers.turns import Turns

#: Tasks that have a window at a time: to one receiver, of one sender, in all.
PER_RECEIVER = 4
PER_SENDER = 16
OVERALL = 256

#: Seconds for which a window is kept while others wait for it.
TURN = 30.0

Line: TypeAlias = Turns[SessionId | None, Task]


class Side:
    """What there is of one receiver or sender."""

    __slots__ = ("active", "tasks", "turns")

    def __init__(self) -> None:
        self.turns: Line = Turns()
        """Tasks that wait for windows, by who is at their other end."""
        self.tasks: dict[int, Task] = {}
        self.active = 0


class Windows:
    """The windows of all tasks.

    :param has_link: whether a session has a link.
    :param go_on: called with a task whose turn it may be; asks for its window.
    :param interrupt: called with a task that has lost its window to another.
    """

    def __init__(
        self,
        has_link: Callable[[SessionId], bool],
        go_on: Callable[[Task], None],
        interrupt: Callable[[Task], None],
    ):
        self.active = 0
        """How many there are."""
        self._has_link = has_link
        self._go_on = go_on
        self._interrupt = interrupt
        self._receivers: dict[SessionId, Side] = {}
        self._senders: dict[SessionId, Side] = {}
        self._turns: Line = Turns()
        """Tasks that wait for others everywhere, by their senders."""

    @property
    def scarce(self) -> bool:
        """Whether somebody waits because there are no more in all."""
        return bool(self._turns)

    def enter(self, task: Task) -> None:
        """There is a task."""
        transfer = task.transfer
        for sides, session in (
            (self._senders, transfer.source),
            (self._receivers, transfer.sink),
        ):
            if session is not None:
                sides.setdefault(session, Side()).tasks[transfer.id] = task

    def leave(self, task: Task) -> None:
        """It is over: somebody else may have its window."""
        self.close(task)
        self._wait(task, None)
        transfer = task.transfer
        for sides, session in (
            (self._receivers, transfer.sink),
            (self._senders, transfer.source),
        ):
            if session is not None:
                side = sides[session]
                del side.tasks[transfer.id]
                if not side.tasks:
                    del sides[session]
        self._wake(task)

    def tasks_of(self, session: SessionId) -> list[Task]:
        """A session's tasks, those that it sends first."""
        found: dict[int, Task] = {}
        for sides in self._senders, self._receivers:
            side = sides.get(session)
            if side is not None:
                found.update(side.tasks)
        return list(found.values())

    def open(self, task: Task) -> bool:
        """Give a task a window if there is one, else have it wait for one."""
        sender, receiver = self._sender_of(task), self._receiver_of(task)
        source = task.transfer.source
        if task.waits is not None or (
            source is not None and not self._has_link(source)
        ):
            return False
        if sender is not None and sender.active >= PER_SENDER:
            self._wait(task, sender.turns)
        elif receiver is not None and receiver.active >= PER_RECEIVER:
            self._wait(task, receiver.turns)
        elif self.active >= OVERALL:
            self._wait(task, self._turns)
        else:
            task.active = task.restart = True
            task.turn = 0.0
            self.active += 1
            for side in sender, receiver:
                if side is not None:
                    side.active += 1
        return task.active

    def close(self, task: Task) -> None:
        """It has no window any more."""
        if task.active:
            task.active = False
            self.active -= 1
            for side in self._sender_of(task), self._receiver_of(task):
                if side is not None:
                    side.active -= 1

    def release(self, task: Task) -> None:
        """It cannot go on for now: somebody else may have its window."""
        self.close(task)
        self._wait(task, None)
        self._wake(task)

    def pass_on(self, tasks: Iterable[Task], seconds: float) -> None:
        """Take windows of long standing away, as many as others wait for.

        :param seconds: since the last time.
        """
        active = [task for task in tasks if task.active]
        yielded = []
        for task in sorted(active, key=lambda task: -task.turn):
            task.turn += seconds
            # A file for the server would have to be read again.
            if task.turn < TURN or task.sink is not None or not self._is_wanted(task):
                continue
            self.close(task)
            self._interrupt(task)
            self._wake(task)
            yielded.append(task)
        for task in yielded:
            self._go_on(task)

    def has_to_wait(self, task: Task) -> bool:
        """Whether others go first."""
        if task.ready:
            return not task.active
        receiver = self._receiver_of(task)
        return receiver is not None and receiver.active > 0

    def _is_wanted(self, task: Task) -> bool:
        """Whether somebody else waits for its window."""
        lines = [self._turns]
        lines += [
            side.turns
            for side in (self._receiver_of(task), self._sender_of(task))
            if side is not None
        ]
        return any(line.others(self._key(task, line)) for line in lines)

    def _wait(self, task: Task, line: Line | None) -> None:
        """Have a task wait there, and nowhere else."""
        if task.waits is not None:
            task.waits.discard(self._key(task, task.waits), task)
        task.waits = line
        if line is not None:
            line.add(self._key(task, line), task)

    def _key(self, task: Task, line: Line) -> SessionId | None:
        sender = self._sender_of(task)
        if sender is not None and line is sender.turns:
            return task.transfer.sink
        return task.transfer.source

    def _wake(self, task: Task) -> None:
        """A window may be free: give it to whoever waits at either end, or else."""
        receiver, sender = self._receiver_of(task), self._sender_of(task)
        if receiver is not None:
            self._wake_among(receiver.turns, lambda: receiver.active < PER_RECEIVER)
        if sender is not None:
            self._wake_among(sender.turns, lambda: sender.active < PER_SENDER)
        self._wake_among(self._turns, lambda: self.active < OVERALL)

    def _wake_among(self, line: Line, free: Callable[[], bool]) -> None:
        for _ in range(len(line)):
            if not line or not free():
                return
            task = line.next()
            task.waits = None
            self._go_on(task)

    def _sender_of(self, task: Task) -> Side | None:
        source = task.transfer.source
        return self._senders.get(source) if source is not None else None

    def _receiver_of(self, task: Task) -> Side | None:
        sink = task.transfer.sink
        return self._receivers.get(sink) if sink is not None else None
