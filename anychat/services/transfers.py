"""Carries the content of transfers from link to link; the core says which.

For each task it knows three offsets: what the receiver has said to have, what
came of the sender, and up to where that one may send.  It never looks into a
chunk: the body that came is the body that goes.

What bounds it: a window for each task, and so many tasks at a time for each
receiver, for each sender and in all.  The others wait without a grant, and nobody
waits for ever: who has had a window for `TURN` gives it to another user's task that
waits, and goes on later where it was.  A chunk is written while nothing else
waits on a link; what comes meanwhile queues here, at most a window for each of
the link's tasks.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from anychat.business_messages import Answer
from anychat.codes import ResultCode, TransferKind
from anychat.core.commands import BufferPortion, Command, TransferFinished
from anychat.core.state import Transfer
from anychat.errors import PeerError, Refused
from anychat.ids import SessionId
from anychat.messages import (
    TransferData,
    TransferGrant,
    TransferPortion,
    TransferTaken,
)
from anychat.protocols.formats import number_of
from anychat.protocols.framing import encode_frame
from anychat.protocols.signalling import ServerLink
from anychat.services.store import FileStore
from anychat.services.transfer_ends import FedSource, HandOver, LocalSink
from anychat.transfers.chunks import (
    WINDOW,
    Grant,
    decode_chunk,
    decode_taken,
    encode_grant,
    place_of,
)
from anychat.transfers.pace import SMALLEST, Window
from anychat.transfers.turns import Turns

_DATA, _PORTION = number_of(TransferData), number_of(TransferPortion)
_TAKEN, _GRANT = number_of(TransferTaken), number_of(TransferGrant)

#: Tasks that have a window at a time: to one receiver, of one sender, in all.
PER_RECEIVER = 4
PER_SENDER = 16
OVERALL = 256

#: Statistics that go up and down.
GAUGES = frozenset({"tasks", "tasks_active", "queued_bytes", "stored_bytes"})

#: Seconds without progress after which a task is given up, and between looks.
PATIENCE = 60.0
_LOOK = 10.0

#: Seconds for which a window is kept while others wait for it.
TURN = 30.0

#: Bytes that must come of a file for the server in `PATIENCE`, while others wait.
#: Such a task never yields its window: the file would have to be read again.
LEAST_PROGRESS = 65_536

#: Seconds between two looks at what is stored.
_STORE_LOOK = 60.0

#: Times that a receiver may begin again on one link.
_RESTARTS = 8

#: A sender hears of room for so many bytes more.
_STEP = WINDOW // 4


class Links(Protocol):
    """The clients' links."""

    carried: "dict[int, Callable[[Any, bytes], bool]]"
    """Who takes the session messages that carry no number, by type."""
    eased: "list[Callable[[SessionId], None]]"
    """Who is told that a link has caught up."""

    def link_of(self, session: SessionId) -> ServerLink | None:
        """The link that a session has."""


class Task:
    """A transfer under way."""

    __slots__ = (
        "active",
        "hand_over",
        "length",
        "limit",
        "mark",
        "passed",
        "quiet",
        "ready",
        "restart",
        "restarts",
        "sink",
        "source",
        "stored",
        "taken",
        "told",
        "transfer",
        "turn",
        "waits",
    )

    def __init__(self, transfer: Transfer):
        self.transfer = transfer
        self.length = transfer.length
        self.source: FedSource | None = None
        """The server's own end that sends, if it is the server."""
        self.sink: LocalSink | None = None
        """The server's own end that receives."""
        self.hand_over: HandOver | None = None
        """What has become of a buffer that was received."""
        self.ready = False
        """The receiver has said where to go on, and its link stands."""
        self.active = False
        """It has a window."""
        self.restart = True
        """The sender has not been told where to go on."""
        self.taken = self.passed = self.limit = self.told = 0
        self.restarts = 0
        self.waits: Turns[SessionId | None, Task] | None = None
        """Where it waits for a window."""
        self.turn = 0.0
        """Seconds that it has had its window."""
        self.mark = -LEAST_PROGRESS
        self.quiet = 0.0
        """Seconds that nothing came of it."""


class Lane:
    """What there is of one receiver or sender, and waits for a receiver's link."""

    __slots__ = ("active", "queue", "tasks", "turns")

    def __init__(self) -> None:
        self.turns: Turns[SessionId | None, Task] = Turns()
        """Tasks that wait for windows, by who is at their other end."""
        self.tasks: dict[int, Task] = {}
        self.queue: deque[tuple[int, bytes]] = deque()
        self.active = 0


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
        self._reactor = reactor
        self._links = links
        self._submit = submit
        self._answer = answer
        self._store = store
        self._in_thread = in_thread
        self._make_window = make_window
        self._tasks: dict[int, Task] = {}
        self._lanes: dict[SessionId, Lane] = {}
        """Of receivers that have tasks."""
        self._senders: dict[SessionId, Lane] = {}
        """Of senders that have tasks; nothing queues there."""
        self._active = 0
        self._turns: Turns[SessionId | None, Task] = Turns()
        """Tasks that wait for others everywhere, by their senders."""
        self._counters: Counter[str] = Counter()
        self._sweep = LoopingCall(self.sweep)
        self._sweep.clock = reactor
        self._store_sweep = LoopingCall(self._look)
        self._store_sweep.clock = reactor
        links.carried[_DATA] = self._data
        links.carried[_TAKEN] = self._taken
        links.eased.append(self._drain)

    # Service.

    def startService(self) -> None:
        """Begin to look after tasks that stand still."""
        super().startService()
        self._sweep.start(_LOOK, now=False)
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
            "tasks_active": self._active,
            "stored_bytes": self._store.used,
            "queued_bytes": sum(
                len(body) for lane in self._lanes.values() for _, body in lane.queue
            ),
        }

    # What effects ask.

    def start(self, transfer: Transfer) -> None:
        """Content may go from one end to the other."""
        task = Task(transfer)
        self._tasks[transfer.id] = task
        self._counters["begun"] += 1
        if transfer.source is not None:
            self._enter(self._senders, transfer.source, task)
        else:
            self._open_source(task)
        if transfer.sink is not None:
            self._enter(self._lanes, transfer.sink, task)
        else:
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
        transfer = task.transfer
        self._counters["done" if code == ResultCode.SUCCESS else "failed"] += 1
        if task.source is not None:
            task.source.stop()
        if task.hand_over is not None:
            task.hand_over.stop()
        if task.sink is not None:
            task.sink.stop(keep=code not in (ResultCode.CANCEL, ResultCode.SUCCESS))
        self._deactivate(task)
        self._wait(task, None)
        if transfer.sink is not None:
            self._forget_queued(task)
            self._leave(self._lanes, transfer.sink, task)
        if transfer.source is not None:
            self._leave(self._senders, transfer.source, task)
        self._wake(task)

    def suspend(self, session: SessionId) -> None:
        """A session's link is gone: its tasks wait, and their windows are free."""
        for task in self._of(session):
            transfer = task.transfer
            task.restarts = 0
            task.restart = True
            if transfer.sink == session:
                task.ready = False
                self._forget_queued(task)
                if task.source is not None:
                    task.source.suspend()
            self._deactivate(task)
            self._wait(task, None)
            self._wake(task)

    def resume(self, session: SessionId) -> None:
        """A session has a link again; as receiver it speaks first."""
        for task in self._of(session):
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
        self._pass_on(task, body)
        return True

    def _pass_on(self, task: Task, body: bytes) -> None:
        size = place_of(body)[2]
        task.passed += size
        self._counters["bytes"] += size
        sink = task.transfer.sink
        if sink is None:
            return
        lane, link = self._lanes[sink], self._links.link_of(sink)
        if link is None:
            return
        if lane.queue or link.behind:
            lane.queue.append((task.transfer.id, body))
        else:
            _write(link, _PORTION, body)

    def _drain(self, session: SessionId) -> None:
        lane = self._lanes.get(session)
        if lane is None:
            return
        link = self._links.link_of(session)
        while lane.queue and link is not None and not link.behind and not link.closed:
            _, body = lane.queue.popleft()
            _write(link, _PORTION, body)

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
            self._forget_queued(task)
        elif not task.ready or taken.offset <= task.taken:
            return False
        elif taken.offset > task.passed:
            raise PeerError("takes more of a transfer than was sent")
        # Who has hardly more says it at the cost of a message.
        step = min(SMALLEST, task.passed - task.taken)
        news = not taken.restart and taken.offset - task.taken >= step
        self._take(task, taken.offset, restart=taken.restart)
        return news

    def _take(self, task: Task, offset: int, *, restart: bool) -> None:
        """The receiver has everything before the offset."""
        task.taken = offset
        if restart:
            task.ready = task.restart = True
            task.passed = offset
        self._grant(task)

    # Windows.

    def _grant(self, task: Task) -> None:
        """Tell the sender what it may send, if that is news."""
        if not task.ready or not (task.active or self._activate(task)):
            return
        if task.sink is None and task.transfer.sink is None:
            self._open_sink(task)
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
        link = self._links.link_of(source) if source is not None else None
        if link is None:
            task.restart = True
            self._deactivate(task)
            return
        _write(
            link,
            _GRANT,
            encode_grant(Grant(task.transfer.id, offset, limit, restart)),
        )

    def _activate(self, task: Task) -> bool:
        """Give a task a window if there is one, else have it wait for one."""
        sender, lane = self._sender_of(task), self._lane_of(task)
        source = task.transfer.source
        if task.waits is not None or (
            source is not None and self._links.link_of(source) is None
        ):
            return False
        if sender is not None and sender.active >= PER_SENDER:
            self._wait(task, sender.turns)
        elif lane is not None and lane.active >= PER_RECEIVER:
            self._wait(task, lane.turns)
        elif self._active >= OVERALL:
            self._wait(task, self._turns)
        else:
            task.active = task.restart = True
            task.turn = 0.0
            self._active += 1
            for side in sender, lane:
                if side is not None:
                    side.active += 1
        return task.active

    def _deactivate(self, task: Task) -> None:
        if task.active:
            task.active = False
            self._active -= 1
            for side in self._sender_of(task), self._lane_of(task):
                if side is not None:
                    side.active -= 1

    def _wait(self, task: Task, turns: "Turns[SessionId | None, Task] | None") -> None:
        """Have a task wait there, and nowhere else."""
        if task.waits is not None:
            task.waits.discard(self._key(task, task.waits), task)
        task.waits = turns
        if turns is not None:
            turns.add(self._key(task, turns), task)

    def _key(
        self, task: Task, turns: "Turns[SessionId | None, Task]"
    ) -> SessionId | None:
        sender = self._sender_of(task)
        if sender is not None and turns is sender.turns:
            return task.transfer.sink
        return task.transfer.source

    def _wake(self, task: Task) -> None:
        """A window may be free: give it to whoever waits at either end, or else."""
        lane, sender = self._lane_of(task), self._sender_of(task)
        if lane is not None:
            self._wake_among(lane.turns, lambda: lane.active < PER_RECEIVER)
        if sender is not None:
            self._wake_among(sender.turns, lambda: sender.active < PER_SENDER)
        self._wake_among(self._turns, lambda: self._active < OVERALL)

    def _wake_among(
        self, turns: "Turns[SessionId | None, Task]", free: Callable[[], bool]
    ) -> None:
        for _ in range(len(turns)):
            if not turns or not free():
                return
            task = turns.next()
            task.waits = None
            self._grant(task)

    def _yield(self) -> None:
        """Take windows of long standing away, as many as others wait for."""
        active = [task for task in self._tasks.values() if task.active]
        yielded = []
        for task in sorted(active, key=lambda task: -task.turn):
            task.turn += _LOOK
            # A file for the server would have to be read again.
            if task.turn < TURN or task.sink is not None or not self._is_wanted(task):
                continue
            self._deactivate(task)
            if task.source is not None:
                task.source.suspend()
            self._take_back(task)
            self._wake(task)
            yielded.append(task)
        for task in yielded:
            self._grant(task)

    def _is_wanted(self, task: Task) -> bool:
        """Whether somebody else waits for its window."""
        lines = [self._turns]
        lines += [
            side.turns
            for side in (self._lane_of(task), self._sender_of(task))
            if side is not None
        ]
        return any(turns.others(self._key(task, turns)) for turns in lines)

    def _sender_of(self, task: Task) -> Lane | None:
        source = task.transfer.source
        return self._senders.get(source) if source is not None else None

    def _lane_of(self, task: Task) -> Lane | None:
        sink = task.transfer.sink
        return self._lanes.get(sink) if sink is not None else None

    # The server's own ends.

    def _open_source(self, task: Task) -> None:
        transfer = task.transfer
        try:
            staging = self._store.staging(transfer.kind, transfer.length)
        except Refused as refused:
            self._finish(task, refused.code)
            return
        task.source = FedSource(
            transfer.id,
            staging,
            self._reactor,
            self._in_thread,
            lambda body: self._pass_on(task, body),
            lambda code: self._finish(task, code),
            self._make_window(),
        )

    def _open_sink(self, task: Task) -> None:
        transfer = task.transfer
        try:
            target = self._store.open(transfer)
        except Refused as refused:
            self._finish(task, refused.code)
            return
        task.sink = LocalSink(
            target,
            transfer.length,
            self._in_thread,
            lambda offset, restart: self._take(task, offset, restart=restart),
            lambda result: self._received(task, result),
            lambda code: self._finish(task, code),
        )
        task.sink.start()

    def _received(self, task: Task, result: Any) -> None:
        transfer = task.transfer
        if transfer.kind is TransferKind.BUFFER:
            task.hand_over = HandOver(
                self._reactor,
                result,
                lambda offset, data: self._submit(
                    BufferPortion(transfer.id, offset, data)
                ),
                lambda code: self._finish(task, code),
            )
            task.hand_over.next()
        else:
            self._store.keep(transfer, result)
            self._submit(
                TransferFinished(transfer.id, ResultCode.SUCCESS, path=str(result))
            )

    def _finish(self, task: Task, code: ResultCode) -> None:
        if task.transfer.id in self._tasks:
            self._submit(TransferFinished(task.transfer.id, code))

    # Time.

    def sweep(self) -> None:
        """Give up what stands still though it could go on."""
        for task in list(self._tasks.values()):
            transfer = task.transfer
            mark = task.taken + task.passed
            if task.hand_over is not None:
                mark += task.hand_over.offset
            ends = (transfer.source, transfer.sink)
            if self._has_to_wait(task):
                continue
            least = LEAST_PROGRESS if task.sink is not None and self._turns else 1
            if mark - task.mark not in range(least) or any(
                end and self._links.link_of(end) is None for end in ends
            ):
                task.mark, task.quiet = mark, 0.0
                continue
            task.quiet += _LOOK
            if task.quiet >= PATIENCE:
                code = gone(transfer.kind)
                if task.hand_over is not None:
                    code = ResultCode.NOENOUGHRESOURCE
                self._finish(task, code)
        self._yield()

    def _look(self) -> "Deferred[None]":
        return self._in_thread(self._store.look()).addCallback(self._store.looked)

    def _has_to_wait(self, task: Task) -> bool:
        """Whether others go first."""
        if task.ready:
            return not task.active
        lane = self._lane_of(task)
        return lane is not None and lane.active > 0

    # The rest.

    def _of(self, session: SessionId) -> list[Task]:
        found: dict[int, Task] = {}
        for sides in self._senders, self._lanes:
            side = sides.get(session)
            if side is not None:
                found.update(side.tasks)
        return list(found.values())

    def _enter(
        self, sides: dict[SessionId, Lane], session: SessionId, task: Task
    ) -> None:
        sides.setdefault(session, Lane()).tasks[task.transfer.id] = task

    def _leave(
        self, sides: dict[SessionId, Lane], session: SessionId, task: Task
    ) -> None:
        side = sides[session]
        del side.tasks[task.transfer.id]
        if not side.tasks:
            del sides[session]

    def _take_back(self, task: Task) -> None:
        """Throw away what waits for the receiver's link; it is sent again later."""
        lane = self._lane_of(task)
        if lane is not None:
            for task_id, body in lane.queue:
                if task_id == task.transfer.id:
                    task.passed = place_of(body)[1]
                    self._forget_queued(task)
                    break

    def _forget_queued(self, task: Task) -> None:
        lane = self._lane_of(task)
        if lane is not None and lane.queue:
            number = task.transfer.id
            lane.queue = deque([item for item in lane.queue if item[0] != number])


def gone(kind: TransferKind) -> ResultCode:
    """What becomes of a task of that kind whose other end is of no use."""
    if kind is TransferKind.BUFFER:
        return ResultCode.TRANSBUF_NOTASK
    return ResultCode.TRANSFILE_FAILED


def _write(link: ServerLink, type: int, body: bytes) -> None:
    session = link.session
    if session is not None:
        link.write(encode_frame(type, body, ack=session.last_taken()))
