"""TransBufferEx, TransFile and TransFileEx: what a client sends and receives.

`Client.transfers` is one `Transfers`::

    task = client.transfers.trans_file(user_id, "picture.jpg")
    task.done().addCallback(lambda task: print("arrived"))
    ...
    print(task.progress, task.bitrate)

What others send comes by itself; files go into `Transfers.directory`.
"""

import errno
import os
import stat
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from inspect import isawaitable
from pathlib import Path
from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.client.calls import Calls, Need, checked
from anychat.client.events import ClientEvents
from anychat.client.sdk_options import SDKOptions
from anychat.client.trans_task import Incoming, Outgoing, TransTask
from anychat.client.wishes import SessionLost
from anychat.codes import (
    ResultCode,
    SDKOption,
    TransferKind,
    TransTaskInfo,
)
from anychat.errors import LocalError, PeerError, Refused
from anychat.messages import (
    EndTransfer,
    Message,
    TransferBegun,
    TransferEnded,
    TransferGrant,
    TransferOffered,
    TransferPortion,
    TransferTasks,
)
from anychat.protocols.formats import number_of
from anychat.protocols.signalling import ClientLink
from anychat.transfers.chunks import (
    decode_chunk,
    decode_grant,
)
from anychat.transfers.files import (
    BufferContent,
    BufferTarget,
    Content,
    FileContent,
    FileTarget,
    Target,
)
from anychat.transfers.names import safe_name
from anychat.transfers.pace import Cap, Window
from anychat.transfers.sending import InThread, Sending

_PORTION, _GRANT = number_of(TransferPortion), number_of(TransferGrant)

#: Bytes of a TransBufferEx at most.
BUFFER_EX_MAXIMUM = 1 << 20
#: Where files of others go, in the working directory.
DIRECTORY = "temp"
#: Tasks of one sender, and of all, that are received at a time; the others wait.
RECEIVED_AT_ONCE = 4
RECEIVED_OF_ALL = 64
#: Tasks that are over and can still be asked about.
REMEMBERED = 1000


class Transfers:
    """All transfers of one client."""

    _log = Logger()

    def __init__(
        self,
        clock: Any,
        request: Callable[[Message], "Deferred[Message]"],
        calls: Calls,
        tell: ClientEvents,
        in_thread: InThread,
    ):
        self._directory = Path(DIRECTORY)
        self.maximum = 4 << 30
        """Bytes of a file that is sent or received at most (option 229)."""
        self.accept: Callable[[TransTask], bool] = lambda task: True
        """Asked about each task of somebody else's, for True or False; may set its
        ``path`` to where a file is to be saved, name included.  As it is, whoever
        is logged in can fill this disk: see `no_files`."""
        self.seconds: Callable[[], float] = clock.seconds
        self.make_window: Callable[[], Window | None] = Window
        """What keeps a task from standing in the way of media; None: nothing."""
        self._clock = clock
        self._request = request
        self._calls = calls
        self._tell = tell
        self._in_thread = in_thread
        self._cap = Cap()
        self._link: ClientLink | None = None
        self._ours: list[Outgoing] = []
        """Those of ours that are not over."""
        self._outgoing: dict[int, Outgoing] = {}
        self._incoming: dict[int, Incoming] = {}
        self._waiting: dict[int, deque[Incoming]] = {}
        """Of others, by who sends them; whoever came first is first."""
        self._receiving: Counter[int] = Counter()
        """How many of whose are being received."""
        self._ending: set[int] = set()
        """Tasks of which the server has not answered yet that they are over."""
        self._over: OrderedDict[int, TransTask] = OrderedDict()

    # Calls.

    @property
    def directory(self) -> Path:
        """Where files of others go; made when the first one comes."""
        return self._directory

    @directory.setter
    def directory(self, directory: Path | str) -> None:
        self._directory = _path(directory)

    @property
    def bitrate_cap(self) -> int:
        """Bits per second that all of it is held to (option 46); 0: none."""
        return self._cap.bitrate

    @bitrate_cap.setter
    def bitrate_cap(self, bitrate: int) -> None:
        if not 0 <= bitrate < 1 << 40:
            raise Refused(ResultCode.FUNCOPTERROR, "no bit rate")
        self._cap.change(bitrate)
        for task in list(self._outgoing.values()):
            task.sender.pump()

    def add_options(self, options: SDKOptions) -> None:
        """Have options 46 and 229 set what they are about here."""

        def set_cap(bitrate: int) -> None:
            self.bitrate_cap = bitrate

        def set_maximum(megabytes: int) -> None:
            if not 1 <= megabytes < 1 << 24:
                raise Refused(ResultCode.FUNCOPTERROR, f"number {megabytes!r}")
            self.maximum = megabytes << 20

        options.own[SDKOption.TRANSFER_BITRATE] = lambda: self.bitrate_cap, set_cap
        options.own[SDKOption.MAX_FILE_SIZE] = lambda: self.maximum >> 20, set_maximum

    @property
    def tasks(self) -> tuple[TransTask, ...]:
        """Those that are not over."""
        return (*self._ours, *self._incoming.values())

    def trans_buffer_ex(
        self,
        target: int,
        data: bytes,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> TransTask:
        """TransBufferEx: up to 1 MiB to a user or the business server (0).

        `TransTask.done` fails with 21 for a length that cannot be.
        """
        data = bytes(data)
        task = self._task(
            BufferContent(data),
            kind=TransferKind.BUFFER,
            guid=str(uuid.uuid4()),
            user_id=target,
            file_name="",
            length=len(data),
            wparam=wparam,
            lparam=lparam,
            flags=flags,
            text="",
        )
        if not 1 <= len(data) <= BUFFER_EX_MAXIMUM:
            task.end(ResultCode.FUNCOPTERROR, "a buffer has 1 byte to 1 MiB")
        else:
            self._begin(task)
        return task

    def trans_file(
        self,
        target: int,
        path: Path | str,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> TransTask:
        """TransFile: a file to a user or the server (0).

        `TransTask.done` fails with 710 for a file that cannot be opened, 711 for one
        that is empty or not there, 712 for one that is too large.
        """
        return self._file(
            path, TransferKind.FILE, str(uuid.uuid4()), target, wparam, lparam, flags
        )

    def trans_file_ex(
        self,
        guid: str,
        target: int,
        path: Path | str,
        flags: int = 0,
        text: str = "",
    ) -> TransTask:
        """TransFileEx: the same for a task with a GUID and a string of one's own.

        A task that failed may be sent again under its GUID: what the receiver
        has kept of it is not sent a second time.
        """
        return self._file(path, TransferKind.FILE_EX, guid, target, 0, 0, flags, text)

    def query(self, task: int | str, info: TransTaskInfo) -> int | str:
        """QueryTransTaskInfo (a number) and QueryTransTaskInfoEx (a GUID).

        :raises Refused: 701 or 716, there is no such task.
        """
        return self._find(task).query(info)

    def cancel(
        self, task: TransTask | int | str, code: ResultCode = ResultCode.CANCEL
    ) -> None:
        """CancelTransTask and CancelTransTaskEx, of either end.

        :raises Refused: 701 or 716, it is over or was never there.
        """
        if not isinstance(task, TransTask):
            task = self._find(task)
        if task.over:
            raise Refused(_no_task(task.kind))
        self.give_up(task, code or ResultCode.CANCEL)

    def _find(self, name: int | str) -> TransTask:
        if isinstance(name, int):
            found = (
                self._outgoing.get(name)
                or self._incoming.get(name)
                or self._over.get(name)
            )
            if found is None:
                raise Refused(ResultCode.TRANSBUF_NOTASK)
            return found
        for task in (*self.tasks, *reversed(self._over.values())):
            if task.guid == name:
                return task
        raise Refused(ResultCode.TRANSFILE_NOTASK)

    # Tasks of ours.

    def _file(
        self,
        path: Path | str,
        kind: TransferKind,
        guid: str,
        target: int,
        wparam: int,
        lparam: int,
        flags: int,
        text: str = "",
    ) -> TransTask:
        path = Path(path)
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
            text_of = getattr(error, "strerror", None) or str(error)
            code, reason = ResultCode.TRANSFILE_OPENFAIL, f"{path}: {text_of}"
        if code == ResultCode.SUCCESS:
            if not length:
                code, reason = ResultCode.TRANSFILE_ZEROLEN, f"{path}: empty"
            elif length > self.maximum:
                code, reason = ResultCode.TRANSFILE_TOOLARGE, str(path)
            elif any(task.guid == guid for task in self._ours):
                code, reason = ResultCode.DATAEXIST, f"task {guid}"
        task = self._task(
            FileContent(path, length),
            kind=kind,
            guid=guid,
            user_id=target,
            # A name on the disk need not be UTF-8.
            file_name=path.name.encode("utf-8", "replace").decode("utf-8"),
            length=length,
            wparam=wparam,
            lparam=lparam,
            flags=flags,
            text=text,
        )
        task.path = path
        if code != ResultCode.SUCCESS:
            task.end(code, reason)
        else:
            self._begin(task)
        return task

    def _task(self, content: Content, **named: Any) -> Outgoing:
        return Outgoing(self, content, **named)

    def make_sending(self, content: Content, task: Outgoing) -> Sending:
        """The sending end of a task."""
        return Sending(
            content,
            task,
            self._clock,
            self._in_thread,
            self._cap,
            self.make_window(),
        )

    def _begin(self, task: Outgoing) -> None:
        if task not in self._ours:
            self._ours.append(task)
        call = self._calls.submit(
            Need.SESSION, lambda: self._request(task.begin()), lambda: None
        )
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
            self._say(EndTransfer(task.task_id, task.kind, task.code))
            return
        self._outgoing[task.task_id] = task

    def _not_begun(self, failure: Failure, task: Outgoing) -> None:
        failure.trap(Refused, SessionLost)
        if task.over:
            return
        if failure.check(SessionLost):
            self._begin(task)  # when there is a session again
            return
        self._forget(task)
        task.end(failure.value.code, failure.value.reason)

    def may_send(self) -> bool:
        """Whether nothing waits on the link."""
        link = self._link
        return link is not None and not link.behind

    def carry(self, type: int, body: bytes) -> None:
        """Send what carries no number."""
        if self._link is not None:
            self._link.carry(type, body)

    def _say(self, message: EndTransfer) -> None:
        """Tell the server how a task has ended; nothing hangs on its answer."""
        self._ending.add(message.task_id)
        call = self._calls.submit(Need.SESSION, lambda: self._request(message))
        call.addBoth(self._said, message.task_id)
        call.addErrback(lambda failure: failure.trap(Refused, SessionLost))

    def _said(self, result: Any, task_id: int) -> Any:
        self._ending.discard(task_id)
        return result

    # Tasks of others.

    def _offered(self, offer: TransferOffered) -> None:
        known = self._incoming.get(offer.task_id)
        if known is not None or offer.task_id in self._ending:
            # Offered again after a resync: `resumed` has spoken, or the server is
            # about to hear that it is over.
            return
        task = Incoming(self, offer)
        code = ResultCode.SUCCESS
        if offer.kind is TransferKind.BUFFER:
            if not 1 <= offer.length <= BUFFER_EX_MAXIMUM:
                code = ResultCode.FUNCOPTERROR
        elif not 1 <= offer.length <= self.maximum:
            code = ResultCode.TRANSFILE_TOOLARGE
        if code == ResultCode.SUCCESS and not self._accepts(task):
            code = ResultCode.CANCEL
        if code != ResultCode.SUCCESS:
            self._say(EndTransfer(task.task_id, task.kind, code))
            return
        self._incoming[task.task_id] = task
        self._waiting.setdefault(task.user_id, deque()).append(task)
        self._receive_next()

    def _accepts(self, task: TransTask) -> bool:
        try:
            accepted = self.accept(task)
            if isawaitable(accepted):
                # Which would be true, whatever comes of it.
                if isinstance(accepted, CoroutineType):
                    accepted.close()
                raise LocalError("it has to answer at once, with True or False")
            if accepted and task.path is not None:
                task.path = _path(task.path)
        except Exception:
            self._log.failure("Transfers.accept of the program")
            return False
        return bool(accepted)

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
        return FileTarget(self.directory, name, task.file_name, task.length, task.path)

    def received(self, task: Incoming, result: "Path | bytes") -> None:
        """Everything is there: tell the server and the program."""
        self._forget(task)
        self._say(EndTransfer(task.task_id, task.kind, ResultCode.SUCCESS))
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

    # Ends.

    def give_up(self, task: TransTask, code: ResultCode) -> None:
        """This end does not go on with a task."""
        if task.task_id and not task.over:
            self._say(EndTransfer(task.task_id, task.kind, code))
        self._ended(task, code)

    def _ended(self, task: TransTask, code: ResultCode) -> None:
        if task.over:
            return
        self._forget(task)
        if isinstance(task, Incoming):
            task.stop(keep=code != ResultCode.CANCEL)
        task.end(code)
        if isinstance(task, Incoming) and task.kind is TransferKind.FILE_EX:
            self._tell_ex(task)

    def _forget(self, task: TransTask) -> None:
        """It is over: free what it holds."""
        if isinstance(task, Outgoing):
            if task in self._ours:
                self._ours.remove(task)
            self._outgoing.pop(task.task_id, None)
            task.stop()
        elif isinstance(task, Incoming):
            self._incoming.pop(task.task_id, None)
            if task.receiving is not None:
                self._receiving[task.user_id] -= 1
                self._receiving += Counter()  # keeps those above 0
                self._receive_next()
            elif task in self._waiting.get(task.user_id, ()):
                self._waiting[task.user_id].remove(task)
                self._receive_of(task.user_id)
        if task.task_id:
            self._over[task.task_id] = task
            self._over.move_to_end(task.task_id)
            if len(self._over) > REMEMBERED:
                self._over.popitem(last=False)

    # What the session reports.

    def began(self, link: ClientLink) -> None:
        """There is a session, be it a new one after the first was lost."""
        self._attach(link)

    def held(self) -> None:
        """The link is lost."""
        self._link = None
        for task in self._outgoing.values():
            task.sender.suspend()

    def resumed(self, link: ClientLink) -> None:
        """The session goes on on this link."""
        self._attach(link)
        for task in list(self._incoming.values()):
            task.again()

    def lost(self) -> None:
        """The server has forgotten the session, and the tasks with it."""
        self._link = None
        for incoming in list(self._incoming.values()):
            self._ended(incoming, _gone(incoming.kind))
        outgoing, self._outgoing = self._outgoing, {}
        for task in outgoing.values():
            task.sender.suspend()
            task.task_id = 0  # the next session may use the number for another
            self._begin(task)

    def closed(self, code: ResultCode) -> None:
        """There is no session, and will be none by itself."""
        self._link = None
        for task in self.tasks:
            self._ended(task, code)

    def _attach(self, link: ClientLink) -> None:
        self._link = link
        link.on_carried = self._carried
        link.on_eased.append(self._eased)

    # What the server says.

    def take(self, message: Message) -> None:
        """A notification about a task."""
        if isinstance(message, TransferOffered):
            self._offered(message)
        elif isinstance(message, TransferEnded):
            task = self._outgoing.get(message.task_id) or self._incoming.get(
                message.task_id
            )
            if task is not None:
                self._over_there(task, message.code)
        elif isinstance(message, TransferTasks):
            kept = set(message.task_ids)
            for task in self.tasks:
                if task.task_id and task.task_id not in kept:
                    self._ended(task, _gone(task.kind))

    def _over_there(self, task: TransTask, code: ResultCode) -> None:
        if code != ResultCode.SUCCESS or isinstance(task, Incoming):
            self._ended(task, code or ResultCode.CANCEL)
            return
        self._forget(task)
        task.end(ResultCode.SUCCESS)

    def _carried(self, type: int, body: bytes) -> None:
        if type == _PORTION:
            task_id, chunk = decode_chunk(body)
            incoming = self._incoming.get(task_id)
            if incoming is not None and incoming.receiving is not None:
                incoming.receiving.take(chunk)
        elif type == _GRANT:
            grant = decode_grant(body)
            outgoing = self._outgoing.get(grant.task_id)
            if outgoing is not None:
                if grant.limit > outgoing.length:
                    raise PeerError("grants more of a transfer than there is")
                outgoing.granted(grant.offset, grant.limit, grant.restart)
        else:
            raise PeerError(f"message {type} from a server")

    def _eased(self) -> None:
        """The link has room: each task in turn is the first to use it."""
        tasks = list(self._outgoing.values())
        for task in tasks:
            if not self.may_send():
                break
            task.sender.pump()
            # Next time it comes last.
            if task.task_id in self._outgoing:
                self._outgoing[task.task_id] = self._outgoing.pop(task.task_id)


def no_files(task: TransTask) -> bool:
    """A `Transfers.accept` that takes big buffers, and no files of anybody."""
    return task.kind is TransferKind.BUFFER


def _path(path: Path | str) -> Path:
    """A path, whichever way the program says it."""
    if not isinstance(path, Path | str) or "\0" in str(path):
        raise Refused(ResultCode.FUNCOPTERROR, f"no path: {path!r}")
    return Path(path)


def _no_task(kind: TransferKind) -> ResultCode:
    if kind is TransferKind.BUFFER:
        return ResultCode.TRANSBUF_NOTASK
    return ResultCode.TRANSFILE_NOTASK


def _gone(kind: TransferKind) -> ResultCode:
    if kind is TransferKind.BUFFER:
        return ResultCode.TRANSBUF_NOTASK
    return ResultCode.TRANSFILE_FAILED
