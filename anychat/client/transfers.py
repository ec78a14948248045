"""TransBufferEx, TransFile and TransFileEx: what a client sends and receives.

`Client.transfers` is one `Transfers`::

    task = client.transfers.trans_file(user_id, "picture.jpg")
    task.done().addCallback(lambda task: print("arrived"))
    ...
    print(task.progress, task.bitrate)

What others send comes by itself; files go into `Transfers.directory`.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from anychat.client.calls import Calls
from anychat.client.events import ClientEvents
from anychat.client.incoming import IncomingTasks, path_of
from anychat.client.outgoing import OutgoingTasks
from anychat.client.sdk_options import SDKOptions
from anychat.client.trans_task import TransTask
from anychat.client.transfer_link import TransferLink
from anychat.codes import (
    ResultCode,
    SDKOption,
    TransferKind,
    TransTaskInfo,
)
from anychat.errors import PeerError, Refused
from anychat.messages import (
    Message,
    TransferEnded,
    TransferGrant,
    TransferOffered,
    TransferPortion,
    TransferTasks,
)
from anychat.protocols.formats import number_of
from anychat.protocols.signalling import ClientLink
from anychat.transfers.chunks import decode_chunk, decode_grant
from anychat.transfers.pace import Window
from anychat.transfers.sending import InThread

_PORTION, _GRANT = number_of(TransferPortion), number_of(TransferGrant)

#: Where files of others go, in the working directory.
DIRECTORY = "temp"
#: Tasks that are over and can still be asked about.
REMEMBERED = 1000


class Transfers:
    """All transfers of one client."""

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
        self.make_window: Callable[[], Window | None] = Window
        """What keeps a task from standing in the way of media; None: nothing."""
        self._link = TransferLink(request, calls)
        self._outgoing = OutgoingTasks(
            clock, self, self._link, in_thread, self._remember
        )
        self._incoming = IncomingTasks(
            clock.seconds, self, self._link, tell, in_thread, self._remember
        )
        self._over: OrderedDict[int, TransTask] = OrderedDict()

    # Calls.

    @property
    def directory(self) -> Path:
        """Where files of others go; made when the first one comes."""
        return self._directory

    @directory.setter
    def directory(self, directory: Path | str) -> None:
        self._directory = path_of(directory)

    @property
    def bitrate_cap(self) -> int:
        """Bits per second that all of it is held to (option 46); 0: none."""
        return self._outgoing.bitrate_cap

    @bitrate_cap.setter
    def bitrate_cap(self, bitrate: int) -> None:
        self._outgoing.bitrate_cap = bitrate

    def add_options(self, options: SDKOptions) -> None:
        """Have options 46 and 229 set what they are about here."""

        def set_cap(bitrate: int) -> None:
            self.bitrate_cap = bitrate

        def set_maximum(megabytes: int) -> None:
            if not isinstance(megabytes, int) or not 1 <= megabytes < 1 << 24:
                raise Refused(ResultCode.FUNCOPTERROR, f"number {megabytes!r}")
            self.maximum = megabytes << 20

        options.own[SDKOption.TRANSFER_BITRATE] = lambda: self.bitrate_cap, set_cap
        options.own[SDKOption.MAX_FILE_SIZE] = lambda: self.maximum >> 20, set_maximum

    @property
    def tasks(self) -> tuple[TransTask, ...]:
        """Those that are not over."""
        return (*self._outgoing.tasks, *self._incoming.tasks)

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

        :raises Refused: 21, what is no bytes, or no number of 32 bits.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise Refused(ResultCode.FUNCOPTERROR, "a buffer is of bytes")
        return self._outgoing.send_buffer(
            bytes(data),
            guid=str(uuid.uuid4()),
            user_id=target,
            wparam=wparam,
            lparam=lparam,
            flags=flags,
        )

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

        :raises Refused: 21, what is no path, or no number of 32 bits.
        """
        return self._outgoing.send_file(
            _file_of(path),
            str(uuid.uuid4()),
            kind=TransferKind.FILE,
            user_id=target,
            wparam=wparam,
            lparam=lparam,
            flags=flags,
            text="",
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
        return self._outgoing.send_file(
            _file_of(path),
            guid,
            kind=TransferKind.FILE_EX,
            user_id=target,
            wparam=0,
            lparam=0,
            flags=flags,
            text=text,
        )

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
        self._side_of(task).give_up(task, code or ResultCode.CANCEL)

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

    def _side_of(self, task: TransTask) -> OutgoingTasks | IncomingTasks:
        return self._outgoing if task.is_sending else self._incoming

    def _remember(self, task: TransTask) -> None:
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
        self._link.link = None
        self._outgoing.suspend()

    def resumed(self, link: ClientLink) -> None:
        """The session goes on on this link."""
        self._attach(link)
        self._incoming.again()

    def lost(self) -> None:
        """The server has forgotten the session, and the tasks with it."""
        self._link.link = None
        for task in self._incoming.tasks:
            self._incoming.end(task, _gone(task.kind))
        self._outgoing.begin_again()

    def closed(self, code: ResultCode) -> None:
        """There is no session, and will be none by itself."""
        self._link.link = None
        for task in self.tasks:
            self._side_of(task).end(task, code)

    def _attach(self, link: ClientLink) -> None:
        self._link.link = link
        link.on_carried = self._carried
        link.on_eased.append(self._outgoing.eased)

    # What the server says.

    def take(self, message: Message) -> None:
        """A notification about a task."""
        if isinstance(message, TransferOffered):
            self._incoming.offered(message)
        elif isinstance(message, TransferEnded):
            self._ended(message.task_id, message.code)
        elif isinstance(message, TransferTasks):
            kept = set(message.task_ids)
            for task in self.tasks:
                if task.task_id and task.task_id not in kept:
                    self._side_of(task).end(task, _gone(task.kind))

    def _ended(self, task_id: int, code: ResultCode) -> None:
        outgoing = self._outgoing.get(task_id)
        incoming = self._incoming.get(task_id)
        if outgoing is not None:
            self._outgoing.end(outgoing, code)
        elif incoming is not None:
            self._incoming.end(incoming, code or ResultCode.CANCEL)

    def _carried(self, type: int, body: bytes) -> None:
        if type == _PORTION:
            self._incoming.came(*decode_chunk(body))
        elif type == _GRANT:
            self._outgoing.granted(decode_grant(body))
        else:
            raise PeerError(f"message {type} from a server")


def no_files(task: TransTask) -> bool:
    """A `Transfers.accept` that takes big buffers, and no files of anybody."""
    return task.kind is TransferKind.BUFFER


def _file_of(path: Path | str) -> Path:
    if not isinstance(path, Path | str):
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
