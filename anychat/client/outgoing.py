"""What a client sends: tasks of its own, from the request to their end."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.python.failure import Failure

from anychat.client.calls import checked
from anychat.client.trans_task import BUFFER_EX_MAXIMUM, Outgoing, TransTask
from anychat.client.transfer_link import TransferLink
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode, TransferKind
from anychat.errors import PeerError, Refused
from anychat.messages import Message, TransferBegun
from anychat.transfers.chunks import Grant
from anychat.transfers.files import BufferContent, Content, FileContent
from anychat.transfers.pace import Cap, Window
from anychat.transfers.sending import InThread, Sending


class SendingRules(Protocol):
    """What the program wants of them."""

    maximum: int
    """Bytes of a file at most."""
    make_window: Callable[[], Window | None]
    """What keeps a task from standing in the way of media."""


class OutgoingTasks:
    """Tasks of ours that are not over.

    :param over: called with each that is.
    """

    def __init__(
        self,
        clock: Any,
        rules: SendingRules,
        link: TransferLink,
        in_thread: InThread,
        over: Callable[[TransTask], None],
    ):
        self.tasks: list[Outgoing] = []
        self.seconds: Callable[[], float] = clock.seconds
        self._clock = clock
        self._rules = rules
        self._link = link
        self._in_thread = in_thread
        self._over = over
        self._cap = Cap()
        self._numbered: dict[int, Outgoing] = {}
        """Those that the server has given numbers; who sent last comes last."""

    # What the program wants.

    @property
    def bitrate_cap(self) -> int:
        """Bits per second that all of it is held to; 0: none."""
        return self._cap.bitrate

    @bitrate_cap.setter
    def bitrate_cap(self, bitrate: int) -> None:
        if not isinstance(bitrate, int) or not 0 <= bitrate < 1 << 40:
            raise Refused(ResultCode.FUNCOPTERROR, "no bit rate")
        self._cap.change(bitrate)
        for task in list(self._numbered.values()):
            task.sender.pump()

    def send_buffer(self, data: bytes, **named: Any) -> TransTask:
        """A TransBufferEx.

        :param named: what else a `TransTask` has.
        """
        task = Outgoing(
            self,
            BufferContent(data),
            kind=TransferKind.BUFFER,
            file_name="",
            length=len(data),
            text="",
            **named,
        )
        if not 1 <= len(data) <= BUFFER_EX_MAXIMUM:
            task.end(ResultCode.FUNCOPTERROR, "a buffer has 1 byte to 1 MiB")
        else:
            self._begin(task)
        return task

    def send_file(self, path: Path, guid: str, **named: Any) -> TransTask:
        """A TransFile or TransFileEx.

        :param named: what else a `TransTask` has.
        """
        code, reason, length = examine(path)
        if code == ResultCode.SUCCESS:
            if length > self._rules.maximum:
                code, reason = ResultCode.TRANSFILE_TOOLARGE, str(path)
            elif any(task.guid == guid for task in self.tasks):
                code, reason = ResultCode.DATAEXIST, f"task {guid}"
        task = Outgoing(
            self,
            FileContent(path, length),
            guid=guid,
            # A name on the disk need not be UTF-8.
            file_name=path.name.encode("utf-8", "replace").decode("utf-8"),
            length=length,
            **named,
        )
        task.path = path
        if code != ResultCode.SUCCESS:
            task.end(code, reason)
        else:
            self._begin(task)
        return task

    # From the request to the number.

    def _begin(self, task: Outgoing) -> None:
        if task not in self.tasks:
            self.tasks.append(task)
        call = self._link.ask(task.begin)
        call.addCallbacks(
            self._begun, self._not_begun, callbackArgs=(task,), errbackArgs=(task,)
        )

    def _begun(self, reply: Message, task: Outgoing) -> None:
        try:
            begun = checked(reply, TransferBegun)
        except Refused as refused:
            self._forget(task)
            task.end(refused.code, refused.reason)
            return
        task.task_id = begun.task_id
        if task.over:
            # Cancelled before it had a number.
            self._link.end(task, task.code)
            return
        self._numbered[task.task_id] = task

    def _not_begun(self, failure: Failure, task: Outgoing) -> None:
        failure.trap(Refused, SessionLost)
        if task.over:
            return
        if failure.check(SessionLost):
            self._begin(task)  # when there is a session again
            return
        self._forget(task)
        task.end(failure.value.code, failure.value.reason)

    # What happens to them.

    def get(self, task_id: int) -> Outgoing | None:
        """The one that has this number."""
        return self._numbered.get(task_id)

    def granted(self, grant: Grant) -> None:
        """The server lets one go on."""
        task = self._numbered.get(grant.task_id)
        if task is not None:
            if grant.limit > task.length:
                raise PeerError("grants more of a transfer than there is")
            task.granted(grant.offset, grant.limit, grant.restart)

    def eased(self) -> None:
        """The link has room: each task in turn is the first to use it."""
        for task in list(self._numbered.values()):
            if not self._link.may_send():
                break
            task.sender.pump()
            # Next time it comes last.
            if task.task_id in self._numbered:
                self._numbered[task.task_id] = self._numbered.pop(task.task_id)

    def suspend(self) -> None:
        """The link is lost."""
        for task in self._numbered.values():
            task.sender.suspend()

    def begin_again(self) -> None:
        """The server has forgotten them."""
        numbered, self._numbered = self._numbered, {}
        for task in numbered.values():
            task.sender.suspend()
            task.task_id = 0  # the next session may use the number for another
            self._begin(task)

    def end(self, task: TransTask, code: ResultCode) -> None:
        """It is over, as the server knows."""
        if not task.over:
            self._forget(task)
            task.end(code)

    def _forget(self, task: TransTask) -> None:
        """Free what it holds."""
        if isinstance(task, Outgoing):
            if task in self.tasks:
                self.tasks.remove(task)
            self._numbered.pop(task.task_id, None)
            task.stop()
            self._over(task)

    # What tasks ask; see `SendingOwner`.

    def make_sending(self, content: Content, task: Outgoing) -> Sending:
        """The sending end of a task."""
        return Sending(
            content,
            task,
            self._clock,
            self._in_thread,
            self._cap,
            self._rules.make_window(),
        )

    def may_send(self) -> bool:
        """Whether nothing waits on the link."""
        return self._link.may_send()

    def carry(self, type: int, body: bytes) -> None:
        """Send what carries no number."""
        self._link.carry(type, body)

    def give_up(self, task: TransTask, code: ResultCode) -> None:
        """This end does not go on with it."""
        if task.task_id and not task.over:
            self._link.end(task, code)
        self.end(task, code)


def examine(path: Path) -> tuple[ResultCode, str, int]:
    """Whether a file can be sent, else why not, and its length."""
    code, reason, length = ResultCode.SUCCESS, "", 0
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            code, reason = ResultCode.TRANSFILE_OPENFAIL, f"{path}: not a file"
        length = status.st_size
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except FileNotFoundError:
        code, reason = ResultCode.TRANSFILE_ZEROLEN, f"{path}: no such file"
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        code, reason = ResultCode.TRANSFILE_OPENFAIL, f"{path}: {text}"
    if code == ResultCode.SUCCESS and not length:
        code, reason = ResultCode.TRANSFILE_ZEROLEN, f"{path}: empty"
    return code, reason, length
