"""The server's own ends of a transfer: what it stores, and what it was fed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime

from anychat.codes import ResultCode
from anychat.services.store import Staging
from anychat.transfers.chunks import Chunk, encode_chunk
from anychat.transfers.files import Target
from anychat.transfers.pace import Window
from anychat.transfers.receiving import Receiving
from anychat.transfers.sending import InThread, Sending


class FedSource:
    """Sends what a business server brings in portions."""

    def __init__(
        self,
        task_id: int,
        staging: Staging,
        clock: IReactorTime,
        in_thread: InThread,
        pass_on: Callable[[bytes], None],
        failed: Callable[[ResultCode], None],
        window: Window | None,
    ):
        self._task_id = task_id
        self._staging = staging
        self._pass_on = pass_on
        self._failed = failed
        self._sending = Sending(staging, self, clock, in_thread, window=window)

    def feed(self, offset: int, data: bytes) -> None:
        """The next portion; any other one ends the transfer."""
        if offset != self._staging.available:
            self._failed(ResultCode.TRANSFILE_READFAIL)
            return
        try:
            self._staging.append(data)
        except OSError:
            self._failed(ResultCode.TRANSFILE_FAILED)
        else:
            self._sending.pump()

    def grant(self, offset: int, limit: int, *, restart: bool) -> None:
        """So much may be sent."""
        self._sending.grant(offset, limit, restart=restart)

    def suspend(self) -> None:
        """The receiver's link is gone."""
        self._sending.suspend()

    def stop(self) -> None:
        """Send no more."""
        self._sending.stop()

    def may_send(self) -> bool:
        """See `Outlet`: what must wait queues for the link."""
        return True

    def send_chunk(self, chunk: Chunk) -> None:
        """See `Outlet`."""
        self._pass_on(encode_chunk(self._task_id, chunk))

    def sending_failed(self, code: ResultCode) -> None:
        """See `Outlet`."""
        self._failed(code)


class LocalSink:
    """Receives what is for the server."""

    def __init__(
        self,
        target: Target,
        length: int,
        in_thread: InThread,
        taken: Callable[[int, bool], None],
        received: Callable[[Any], None],
        failed: Callable[[ResultCode], None],
    ):
        self._receiving = Receiving(target, length, self, in_thread)
        self.open = False
        """Whether it can take chunks."""
        self._taken = taken
        self._received = received
        self._failed = failed

    def start(self) -> None:
        """Open the target."""
        self._receiving.start()

    def take(self, chunk: Chunk) -> bool:
        """A chunk came."""
        return self._receiving.take(chunk)

    def stop(self, *, keep: bool) -> None:
        """Receive no more."""
        self._receiving.stop(keep=keep)

    def taken(self, offset: int, *, restart: bool) -> None:
        """See `Inlet`."""
        self.open = True
        self._taken(offset, restart)

    def received(self, result: "Path | bytes") -> None:
        """See `Inlet`."""
        self._received(result)

    def receiving_failed(self, code: ResultCode) -> None:
        """See `Inlet`."""
        self._failed(code)
