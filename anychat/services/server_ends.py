"""The server as an end of transfers: opens its ends, and ends what it received.

It sends what business servers feed it, stores files of clients, and hands their
buffers over to the business server.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from anychat.codes import ResultCode, TransferKind
from anychat.core.commands import BufferPortion, Command, TransferFinished
from anychat.errors import Refused
from anychat.services.store import FileStore
from anychat.services.transfer_ends import FedSource, HandOver, LocalSink
from anychat.services.transfer_task import Task
from anychat.transfers.pace import Window
from anychat.transfers.sending import InThread


class Relay(Protocol):
    """What the server's ends ask of `anychat.services.transfers.TransferService`."""

    def pass_on(self, task: Task, body: bytes) -> None:
        """A chunk for the receiver."""

    def take(self, task: Task, offset: int, *, restart: bool) -> None:
        """The receiver has everything before the offset."""

    def finish(self, task: Task, code: ResultCode) -> None:
        """A task has ended here."""


class ServerEnds:
    """Opens the server's own ends of tasks, and closes them.

    :param submit: where commands for the core go.
    :param make_window: what keeps a task of a business server from standing in the
        way of media.
    """

    def __init__(
        self,
        clock: IReactorTime,
        relay: Relay,
        submit: Callable[[Command], None],
        store: FileStore,
        in_thread: InThread,
        make_window: Callable[[], Window | None],
    ):
        self._clock = clock
        self._relay = relay
        self._submit = submit
        self._store = store
        self._in_thread = in_thread
        self._make_window = make_window

    def open_source(self, task: Task) -> None:
        """The server is to send, as soon as it is fed."""
        transfer = task.transfer
        try:
            staging = self._store.staging(transfer.kind, transfer.length)
        except Refused as refused:
            self._relay.finish(task, refused.code)
            return
        task.source = FedSource(
            transfer.id,
            staging,
            self._clock,
            self._in_thread,
            lambda body: self._relay.pass_on(task, body),
            lambda code: self._relay.finish(task, code),
            self._make_window(),
        )

    def open_sink(self, task: Task) -> None:
        """The server is to receive."""
        transfer = task.transfer
        try:
            target = self._store.open(transfer)
        except Refused as refused:
            self._relay.finish(task, refused.code)
            return
        task.sink = LocalSink(
            target,
            transfer.length,
            self._in_thread,
            lambda offset, restart: self._relay.take(task, offset, restart=restart),
            lambda result: self._received(task, result),
            lambda code: self._relay.finish(task, code),
        )
        task.sink.start()

    def close(self, task: Task, code: ResultCode) -> None:
        """The task is over; what is unfinished is kept unless it was cancelled."""
        if task.source is not None:
            task.source.stop()
        if task.hand_over is not None:
            task.hand_over.stop()
        if task.sink is not None:
            task.sink.stop(keep=code not in (ResultCode.CANCEL, ResultCode.SUCCESS))

    def _received(self, task: Task, result: Any) -> None:
        transfer = task.transfer
        if transfer.kind is TransferKind.BUFFER:
            task.hand_over = HandOver(
                self._clock,
                result,
                lambda offset, data: self._submit(
                    BufferPortion(transfer.id, offset, data)
                ),
                lambda code: self._relay.finish(task, code),
            )
            task.hand_over.next()
        else:
            self._store.keep(transfer, result)
            self._submit(
                TransferFinished(transfer.id, ResultCode.SUCCESS, path=str(result))
            )
