"""What a client receives: tasks of others, from the offer to their end."""

from collections import Counter, deque
from collections.abc import Callable
from inspect import isawaitable
from pathlib import Path
from types import CoroutineType
from typing import Protocol

from twisted.logger import Logger

from anychat.client.events import ClientEvents
from anychat.client.trans_task import BUFFER_EX_MAXIMUM, Incoming, TransTask
from anychat.client.transfer_link import TransferLink
from anychat.codes import ResultCode, TransferKind
from anychat.errors import LocalError, Refused
from anychat.messages import TransferOffered
from anychat.transfers.chunks import Chunk
from anychat.transfers.files import BufferTarget, FileTarget, Target
from anychat.transfers.names import safe_name
from anychat.transfers.sending import InThread

#: Tasks of one sender, and of all, that are received at a time; the others wait.
RECEIVED_AT_ONCE = 4
RECEIVED_OF_ALL = 64


class ReceivingRules(Protocol):
    """What the program wants of them."""

    maximum: int
    """Bytes of a file at most."""
    accept: Callable[[TransTask], bool]
    """Whether it wants a task."""

    @property
    def directory(self) -> Path:
        """Where files go."""


class IncomingTasks:
    """Tasks of others that are not over.

    :param over: called with each that is.
    """

    _log = Logger()

    def __init__(
        self,
        seconds: Callable[[], float],
        rules: ReceivingRules,
        link: TransferLink,
        tell: ClientEvents,
        in_thread: InThread,
        over: Callable[[TransTask], None],
    ):
        self.seconds = seconds
        self._rules = rules
        self._link = link
        self._tell = tell
        self._in_thread = in_thread
        self._over = over
        self._tasks: dict[int, Incoming] = {}
        self._waiting: dict[int, deque[Incoming]] = {}
        """By who sends them; whoever came first is first."""
        self._receiving: Counter[int] = Counter()
        """How many of whose are being received."""

    @property
    def tasks(self) -> tuple[Incoming, ...]:
        """All of them."""
        return tuple(self._tasks.values())

    def get(self, task_id: int) -> Incoming | None:
        """The one that has this number."""
        return self._tasks.get(task_id)

    # Offers.

    def offered(self, offer: TransferOffered) -> None:
        """Somebody sends something."""
        if offer.task_id in self._tasks or self._link.is_ending(offer.task_id):
            # Offered again after a resync: `again` has spoken, or the server is
            # about to hear that it is over.
            return
        task = Incoming(self, offer)
        code = ResultCode.SUCCESS
        if offer.kind is TransferKind.BUFFER:
            if not 1 <= offer.length <= BUFFER_EX_MAXIMUM:
                code = ResultCode.FUNCOPTERROR
        elif not 1 <= offer.length <= self._rules.maximum:
            code = ResultCode.TRANSFILE_TOOLARGE
        if code == ResultCode.SUCCESS and not self._accepts(task):
            code = ResultCode.CANCEL
        if code != ResultCode.SUCCESS:
            self._link.end(task, code)
            return
        self._tasks[task.task_id] = task
        self._waiting.setdefault(task.user_id, deque()).append(task)
        self._receive_next()

    def _accepts(self, task: TransTask) -> bool:
        try:
            accepted = self._rules.accept(task)
            if isawaitable(accepted):
                # Which would be true, whatever comes of it.
                if isinstance(accepted, CoroutineType):
                    accepted.close()
                raise LocalError("it has to answer at once, with True or False")
            if accepted and task.path is not None:
                task.path = path_of(task.path)
        except Exception:
            self._log.failure("Transfers.accept of the program")
            return False
        return bool(accepted)

    # Whose turn it is.

    def _receive_next(self) -> None:
        for user_id in list(self._waiting):
            self._receive_of(user_id)

    def _receive_of(self, user_id: int) -> None:
        waiting = self._waiting.get(user_id)
        while (
            waiting
            and self._receiving[user_id] < RECEIVED_AT_ONCE
            and self._receiving.total() < RECEIVED_OF_ALL
        ):
            task = waiting.popleft()
            self._receiving[user_id] += 1
            task.receive(self._target(task), self._in_thread)
        if not waiting:
            self._waiting.pop(user_id, None)

    def _target(self, task: Incoming) -> Target:
        if task.kind is TransferKind.BUFFER:
            return BufferTarget()
        name = f"{task.user_id}-{safe_name(task.guid)}"
        directory = self._rules.directory
        return FileTarget(directory, name, task.file_name, task.length, task.path)

    # What happens to them.

    def came(self, task_id: int, chunk: Chunk) -> None:
        """A chunk of one."""
        task = self._tasks.get(task_id)
        if task is not None and task.receiving is not None:
            task.receiving.take(chunk)

    def again(self) -> None:
        """The link is back: say where each goes on."""
        for task in self.tasks:
            task.again()

    def end(self, task: TransTask, code: ResultCode) -> None:
        """It has failed, as the server knows."""
        if task.over or not isinstance(task, Incoming):
            return
        self._forget(task)
        task.stop(keep=code != ResultCode.CANCEL)
        task.end(code)
        if task.kind is TransferKind.FILE_EX:
            self._tell_ex(task)

    def _forget(self, task: Incoming) -> None:
        """Free what it holds."""
        self._tasks.pop(task.task_id, None)
        if task.receiving is not None:
            self._receiving[task.user_id] -= 1
            self._receiving += Counter()  # keeps those above 0
            self._receive_next()
        elif task in self._waiting.get(task.user_id, ()):
            self._waiting[task.user_id].remove(task)
            self._receive_of(task.user_id)
        self._over(task)

    def _tell_ex(self, task: Incoming) -> None:
        self._tell.on_trans_file_ex(
            task.user_id,
            task.code,
            task.file_name,
            str(task.path) if task.path is not None else "",
            task.length,
            task.flags,
            task.guid,
            task.text,
        )

    # What tasks ask; see `ReceivingOwner`.

    def carry(self, type: int, body: bytes) -> None:
        """Send what carries no number."""
        self._link.carry(type, body)

    def received(self, task: Incoming, result: "Path | bytes") -> None:
        """Everything is there: tell the server and the program."""
        self._forget(task)
        self._link.end(task, ResultCode.SUCCESS)
        if isinstance(result, bytes):
            task.end(ResultCode.SUCCESS)
            self._tell.on_trans_buffer_ex(
                task.user_id, result, task.wparam, task.lparam, task.task_id
            )
            return
        task.path = result
        task.end(ResultCode.SUCCESS)
        if task.kind is TransferKind.FILE:
            self._tell.on_trans_file(
                task.user_id,
                task.file_name,
                str(result),
                task.length,
                task.wparam,
                task.lparam,
                task.task_id,
            )
        else:
            self._tell_ex(task)

    def give_up(self, task: TransTask, code: ResultCode) -> None:
        """This end does not go on with it."""
        if task.task_id and not task.over:
            self._link.end(task, code)
        self.end(task, code)


def path_of(path: Path | str) -> Path:
    """A path, whichever way the program says it.

    :raises Refused: 21, it is none.
    """
    if not isinstance(path, Path | str) or "\0" in str(path):
        raise Refused(ResultCode.FUNCOPTERROR, f"no path: {path!r}")
    return Path(path)
