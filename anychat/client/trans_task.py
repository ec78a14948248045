"""One TransBufferEx, TransFile or TransFileEx, as the client sees it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from anychat.codes import ResultCode, TransferKind, TransTaskInfo, TransTaskStatus
from anychat.errors import Refused
from anychat.messages import (
    BeginTransfer,
    TransferData,
    TransferOffered,
    TransferTaken,
)
from anychat.protocols.formats import number_of
from anychat.transfers.chunks import Chunk, Taken, encode_chunk, encode_taken
from anychat.transfers.files import Content, Target
from anychat.transfers.pace import Meter
from anychat.transfers.receiving import Receiving
from anychat.transfers.sending import InThread, Sending

_DATA, _TAKEN = number_of(TransferData), number_of(TransferTaken)


#: Bytes of a TransBufferEx at most.
BUFFER_EX_MAXIMUM = 1 << 20


class TaskOwner(Protocol):
    """What tasks ask of those whose they are."""

    seconds: Callable[[], float]
    """The clock."""

    def carry(self, type: int, body: bytes) -> None:
        """Send what carries no number."""

    def give_up(self, task: "TransTask", code: ResultCode) -> None:
        """This end does not go on with a task."""


class SendingOwner(TaskOwner, Protocol):
    """See `anychat.client.outgoing.OutgoingTasks`."""

    def make_sending(self, content: Content, task: "Outgoing") -> Sending:
        """The sending end of a task."""

    def may_send(self) -> bool:
        """Whether nothing waits on the link."""


class ReceivingOwner(TaskOwner, Protocol):
    """See `anychat.client.incoming.IncomingTasks`."""

    def received(self, task: "Incoming", result: "Path | bytes") -> None:
        """A task of somebody else's is there, whole."""


class TransTask:
    """One task, of ours or of somebody else's."""

    def __init__(
        self,
        kind: TransferKind,
        guid: str,
        user_id: int,
        file_name: str,
        length: int,
        wparam: int,
        lparam: int,
        flags: int,
        text: str,
        sending: bool,
        seconds: Callable[[], float],
    ):
        self.task_id = 0
        """The server's number; 0 until it has given one."""
        self.kind = kind
        self.guid = guid
        self.user_id = user_id
        """The other end; 0 is the business server."""
        self.file_name = file_name
        """As the sender says it."""
        self.length = length
        self.wparam = wparam
        self.lparam = lparam
        self.flags = flags
        self.text = text
        """The user string of TransFileEx."""
        self.is_sending = sending
        self.path: Path | None = None
        """Of a file: what is sent, or where it is received."""
        self.status = TransTaskStatus.PREPARE
        self.code = ResultCode.SUCCESS
        """Why it failed."""
        self.offset = 0
        """Bytes that the receiver has."""
        self._waiting: list[Deferred[TransTask]] = []
        self._reason = ""
        self._seconds = seconds
        self._meter = Meter()

    def done(self) -> "Deferred[TransTask]":
        """Fires with the task when the receiver has everything.

        Fails with `Refused` when the task has failed or was cancelled.
        """
        outcome: Deferred[TransTask] = Deferred(self._waiting.remove)
        self._waiting.append(outcome)
        if self.over:
            self._tell_waiting()
        return outcome

    @property
    def over(self) -> bool:
        """Whether it is done, or never will be."""
        return self.status in (TransTaskStatus.DONE, TransTaskStatus.CANCELLED)

    @property
    def progress(self) -> int:
        """0 to 100."""
        return self.offset * 100 // self.length if self.length else 0

    @property
    def bitrate(self) -> int:
        """Bits per second, over the last seconds."""
        if self.over:
            return 0
        return self._meter.bitrate(self.offset, self._seconds())

    @property
    def sent_again(self) -> int:
        """Bytes that had to be sent a second time."""
        return 0

    def query(self, info: TransTaskInfo) -> int | str:
        """QueryTransTaskInfo of this task.

        :raises Refused: 21, there is no such information.
        """
        try:
            info = TransTaskInfo(info)
        except ValueError:
            raise Refused(ResultCode.FUNCOPTERROR, f"no task info {info}") from None
        path = str(self.path) if self.path is not None else ""
        values: dict[TransTaskInfo, int | str] = {
            TransTaskInfo.PROGRESS: self.progress,
            TransTaskInfo.BITRATE: self.bitrate,
            TransTaskInfo.STATUS: int(self.status),
            TransTaskInfo.SAVE_AS_PATH: "" if self.is_sending else path,
            TransTaskInfo.SOURCE_FILE: path if self.is_sending else "",
        }
        if info is TransTaskInfo.JSON_STATUS:
            return json.dumps(
                {
                    "taskid": self.task_id,
                    "taskguid": self.guid,
                    "userid": self.user_id,
                    "filename": self.file_name,
                    "filelength": self.length,
                    "transferred": self.offset,
                    "progress": self.progress,
                    "bitrate": self.bitrate,
                    "status": int(self.status),
                    "errorcode": int(self.code),
                }
            )
        return values[info]

    def reach(self, offset: int) -> None:
        """So much is there."""
        if offset < self.offset:
            self._meter.clear()
        if self.status is TransTaskStatus.PREPARE:
            self.status = TransTaskStatus.RUNNING
        self.offset = offset
        self._meter.at(offset, self._seconds())

    def end(self, code: ResultCode, reason: str = "") -> None:
        if self.over:
            return
        self.code, self._reason = code, reason
        if code == ResultCode.SUCCESS:
            self.offset = self.length
            self.status = TransTaskStatus.DONE
        else:
            self.status = TransTaskStatus.CANCELLED
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for outcome in waiting:
            if self.status is TransTaskStatus.DONE:
                outcome.callback(self)
            else:
                outcome.errback(Failure(Refused(self.code, self._reason)))


def _check_bits(name: str, number: int) -> None:
    if not isinstance(number, int) or not -(1 << 31) <= number < 1 << 32:
        raise Refused(ResultCode.FUNCOPTERROR, f"{name}={number!r} is not of 32 bits")


class Outgoing(TransTask):
    """A task of ours."""

    def __init__(self, owner: SendingOwner, content: Content, **named: Any):
        for name in "wparam", "lparam":
            # 32 bits, with or without a sign.
            _check_bits(name, named[name])
            named[name] = (named[name] + (1 << 31)) % (1 << 32) - (1 << 31)
        _check_bits("flags", named["flags"])
        named["flags"] %= 1 << 32
        super().__init__(sending=True, seconds=owner.seconds, **named)
        self._owner = owner
        self._content = content
        self.sender = owner.make_sending(content, self)

    @property
    def sent_again(self) -> int:
        """See `TransTask`."""
        return self.sender.sent_again

    def begin(self) -> BeginTransfer:
        """What asks for it, the first time or again."""
        return BeginTransfer(
            self.user_id,
            self.kind,
            self.guid,
            self.file_name,
            self.length,
            self.wparam,
            self.lparam,
            self.flags,
            self.text,
        )

    def granted(self, offset: int, limit: int, restart: bool) -> None:
        """The server lets it go on."""
        self.reach(offset)
        self.sender.grant(offset, limit, restart=restart)

    def may_send(self) -> bool:
        """See `Outlet`."""
        return self._owner.may_send()

    def send_chunk(self, chunk: Chunk) -> None:
        """See `Outlet`."""
        self._owner.carry(_DATA, encode_chunk(self.task_id, chunk))

    def sending_failed(self, code: ResultCode) -> None:
        """See `Outlet`."""
        self._owner.give_up(self, code)

    def stop(self) -> None:
        """Send no more."""
        self.sender.stop()


class Incoming(TransTask):
    """A task of somebody else's."""

    def __init__(self, owner: ReceivingOwner, offer: TransferOffered):
        super().__init__(
            offer.kind,
            offer.guid,
            offer.source,
            offer.file_name,
            offer.length,
            offer.wparam,
            offer.lparam,
            offer.flags,
            offer.text,
            False,
            owner.seconds,
        )
        self.task_id = offer.task_id
        self._owner = owner
        self.receiving: Receiving | None = None

    def receive(self, target: Target, in_thread: InThread) -> None:
        """Begin: it is its turn."""
        self.receiving = Receiving(target, self.length, self, in_thread)
        self.receiving.start()

    def again(self) -> None:
        """The link is back."""
        if self.receiving is not None:
            self.receiving.again()

    def taken(self, offset: int, *, restart: bool) -> None:
        """See `Inlet`."""
        self.reach(offset)
        self._owner.carry(_TAKEN, encode_taken(Taken(self.task_id, offset, restart)))

    def received(self, result: "Path | bytes") -> None:
        """See `Inlet`."""
        self._owner.received(self, result)

    def receiving_failed(self, code: ResultCode) -> None:
        """See `Inlet`."""
        self._owner.give_up(self, code)

    def stop(self, *, keep: bool) -> None:
        """Receive no more."""
        if self.receiving is not None:
            self.receiving.stop(keep=keep)
