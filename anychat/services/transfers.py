"""Carries the content of transfers from link to link; the core says which.

For each task it knows three offsets: what the receiver has said to have, what
came of the sender, and up to where that one may send.  It never looks into a
chunk: the body that came is the body that goes.

What bounds it: a window for each task, and as many tasks with a window at a time
as `transfer_windows` lets go on.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from anychat.business_messages import Answer
from anychat.codes import ResultCode
from anychat.core.commands import Command, TransferFinished
from anychat.core.state import Transfer
from anychat.errors import PeerError, Refused
from anychat.ids import SessionId
from anychat.messages import TransferData, TransferTaken
from anychat.protocols.formats import number_of
from anychat.services.server_ends import ServerEnds
from anychat.services.store import FileStore
from anychat.services.transfer_links import Links, TransferLinks
from anychat.services.transfer_patience import LOOK, Patience
from anychat.services.transfer_task import Task
from anychat.services.transfer_windows import Windows
from anychat.transfers.chunks import (
    WINDOW,
    Grant,
    decode_chunk,
    decode_taken,
    place_of,
)
from anychat.transfers.pace import SMALLEST, Window

_DATA, _TAKEN = number_of(TransferData), number_of(TransferTaken)

#: Statistics that go up and down.
GAUGES = frozenset({"tasks", "tasks_active", "queued_bytes", "stored_bytes"})

#: Seconds between two looks at what is stored.
_STORE_LOOK = 60.0

#: Times that a receiver may begin again on one link.
_RESTARTS = 8

#: A sender hears of room for so many bytes more.
_STEP = WINDOW // 4


class TransferService(Service):
    """All transfers, as far as their content goes.

    :param submit: where commands for the core go.
    :param answer: where answers to calls of business servers go.
    :param in_thread: runs a function in a thread.
    :param make_window: what keeps a task of a business server from standing in the
        way of media.
    """

    def __init__(
        self,
        reactor: Any,
        links: Links,
        submit: Callable[[Command], None],
        answer: Callable[[int, Answer], None],
        store: FileStore,
        in_thread: "Callable[..., Deferred[Any]]",
        make_window: Callable[[], Window | None] = Window,
    ):
        self._submit = submit
        self._answer = answer
        self._store = store
        self._in_thread = in_thread
        self._tasks: dict[int, Task] = {}
        self._links = TransferLinks(links)
        has_link = self._links.has_link
        self._windows = Windows(has_link, self._grant, self._interrupt)
        self._patience = Patience(self._windows, has_link)
        self._ends = ServerEnds(reactor, self, submit, store, in_thread, make_window)
        self._counters: Counter[str] = Counter()
        self._sweep = LoopingCall(self.sweep)
        self._sweep.clock = reactor
        self._store_sweep = LoopingCall(self._look)
        self._store_sweep.clock = reactor
        links.carried[_DATA] = self._data
        links.carried[_TAKEN] = self._taken
        links.eased.append(self._links.drain)

    # Service.

    def startService(self) -> None:
        """Begin to look after tasks that stand still."""
        super().startService()
        self._sweep.start(LOOK, now=False)
        self._store_sweep.start(_STORE_LOOK)

    def stopService(self) -> "Deferred[Any] | None":
        """Let go of everything; what is unfinished is kept."""
        for sweep in self._sweep, self._store_sweep:
            if sweep.running:
                sweep.stop()
        for task_id in list(self._tasks):
            self.stop(task_id, ResultCode.CONNECT_OFFLINE)
        result: Deferred[Any] | None = super().stopService()
        return result

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        return {
            "begun": self._counters["begun"],
            "done": self._counters["done"],
            "failed": self._counters["failed"],
            "bytes": self._counters["bytes"],
            "chunks_dropped": self._counters["chunks_dropped"],
            "tasks": len(self._tasks),
            "tasks_active": self._windows.active,
            "stored_bytes": self._store.used,
            "queued_bytes": self._links.queued,
        }

    # What effects ask.

    def start(self, transfer: Transfer) -> None:
        """Content may go from one end to the other."""
        task = Task(transfer)
        self._tasks[transfer.id] = task
        self._counters["begun"] += 1
        self._windows.enter(task)
        if transfer.source is None:
            self._ends.open_source(task)
        if transfer.sink is None:
            task.ready = True
            self._grant(task)

    def feed(self, task_id: int, offset: int, data: bytes) -> None:
        """A portion of what a business server sends."""
        task = self._tasks.get(task_id)
        if task is not None and task.source is not None:
            task.source.feed(offset, data)

    def stop(self, task_id: int, code: ResultCode) -> None:
        """The transfer is over."""
        task = self._tasks.pop(task_id, None)
        if task is None:
            return
        self._counters["done" if code == ResultCode.SUCCESS else "failed"] += 1
        self._ends.close(task, code)
        if task.transfer.sink is not None:
            self._links.forget(task.transfer.sink, task_id)
        self._windows.leave(task)

    def suspend(self, session: SessionId) -> None:
        """A session's link is gone: its tasks wait, and their windows are free."""
        for task in self._windows.tasks_of(session):
            task.restarts = 0
            task.restart = True
            if task.transfer.sink == session:
                task.ready = False
                self._links.forget(session, task.transfer.id)
                if task.source is not None:
                    task.source.suspend()
            self._windows.release(task)

    def resume(self, session: SessionId) -> None:
        """A session has a link again; as receiver it speaks first."""
        for task in self._windows.tasks_of(session):
            if task.transfer.source == session:
                task.restart = True
                self._grant(task)

    def read(self, number: int, task_id: int, offset: int, size: int) -> None:
        """Answer a business server that wants a portion of a file."""
        try:
            length, data = self._store.read(task_id, offset, size)
        except Refused as refused:
            self._answer(number, Answer(refused.code))
        else:
            self._answer(number, Answer(ResultCode.SUCCESS, length=length, data=data))

    def portion_offered(self, task_id: int, code: ResultCode) -> None:
        """What came of a portion for the business server."""
        task = self._tasks.get(task_id)
        if task is not None and task.hand_over is not None:
            task.hand_over.answered(code)

    # What comes over links.

    def _data(self, session: Any, body: bytes) -> bool:
        task_id, offset, size = place_of(body)
        task = self._tasks.get(task_id)
        if task is None:
            return False
        if task.transfer.source != session.id:
            raise PeerError("sends chunks of another's transfer")
        if offset != task.passed or not task.active:
            self._counters["chunks_dropped"] += 1
            return False
        if offset + size > task.limit:
            raise PeerError("sends more of a transfer than was granted")
        if size < SMALLEST and offset + size < task.length:
            # A window of them would take many times its bytes in memory.
            raise PeerError(f"sends a chunk of {size} bytes in mid-transfer")
        if task.sink is not None and not task.sink.take(decode_chunk(body)[1]):
            return False
        self.pass_on(task, body)
        return True

    def _taken(self, session: Any, body: bytes) -> bool:
        taken = decode_taken(body)
        task = self._tasks.get(taken.task_id)
        if task is None:
            return False
        if task.transfer.sink != session.id:
            raise PeerError("takes chunks of another's transfer")
        if taken.offset > task.length:
            raise PeerError("takes more of a transfer than there is")
        if taken.restart:
            task.restarts += 1
            if task.restarts > _RESTARTS:
                raise PeerError("begins a transfer again and again")
            self._links.forget(session.id, taken.task_id)
        elif not task.ready or taken.offset <= task.taken:
            return False
        elif taken.offset > task.passed:
            raise PeerError("takes more of a transfer than was sent")
        # Who has hardly more says it at the cost of a message.
        step = min(SMALLEST, task.passed - task.taken)
        news = not taken.restart and taken.offset - task.taken >= step
        self.take(task, taken.offset, restart=taken.restart)
        return news

    # Grants.

    def _grant(self, task: Task) -> None:
        """Tell the sender what it may send, if that is news."""
        if not task.ready or not (task.active or self._windows.open(task)):
            return
        if task.sink is None and task.transfer.sink is None:
            self._ends.open_sink(task)
        if task.transfer.sink is None and not (task.sink and task.sink.open):
            return  # it says itself where to begin, or there is no room for it
        limit = min(task.length, task.taken + WINDOW)
        if not task.restart and not (
            limit - task.limit >= _STEP
            or task.limit < limit == task.length
            # A sender that has little under way must not wait for the word.
            or task.taken - task.told >= max(1, task.passed - task.taken)
        ):
            return
        restart, task.restart = task.restart, False
        offset = task.passed if restart else task.taken
        task.limit, task.told = limit, task.taken
        if task.source is not None:
            task.source.grant(offset, limit, restart=restart)
            return
        source = task.transfer.source
        grant = Grant(task.transfer.id, offset, limit, restart)
        if source is None or not self._links.grant(source, grant):
            task.restart = True
            self._windows.close(task)

    def _interrupt(self, task: Task) -> None:
        """Its window is another's: what has not gone out is sent again later."""
        if task.source is not None:
            task.source.suspend()
        sink = task.transfer.sink
        if sink is not None:
            back = self._links.take_back(sink, task.transfer.id)
            task.passed = task.passed if back is None else back

    # What the server's own ends ask; see `Relay`.

    def pass_on(self, task: Task, body: bytes) -> None:
        """A chunk of the sender's goes to the receiver."""
        size = place_of(body)[2]
        task.passed += size
        self._counters["bytes"] += size
        if task.transfer.sink is not None:
            self._links.pass_on(task.transfer.sink, task.transfer.id, body)

    def take(self, task: Task, offset: int, *, restart: bool) -> None:
        """The receiver has everything before the offset."""
        task.taken = offset
        if restart:
            task.ready = task.restart = True
            task.passed = offset
        self._grant(task)

    def finish(self, task: Task, code: ResultCode) -> None:
        """A task has ended here: the core is to know."""
        if task.transfer.id in self._tasks:
            self._submit(TransferFinished(task.transfer.id, code))

    # Time.

    def sweep(self) -> None:
        """Give up what stands still, and pass windows on."""
        for task, code in self._patience.look(list(self._tasks.values())):
            self.finish(task, code)
        self._windows.pass_on(self._tasks.values(), LOOK)

    def _look(self) -> "Deferred[None]":
        return self._in_thread(self._store.look()).addCallback(self._store.looked)
