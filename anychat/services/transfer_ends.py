"""The server's own ends of a transfer: what it stores, and what it was fed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

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


#: Bytes of a buffer that the business server gets at a time.
PORTION = 57_344

#: Seconds between two of them, and until one that was not taken is offered again.
_PAUSE, _AGAIN = 0.01, 0.25


class HandOver:
    """Gives a buffer to the business server, as fast as that one takes it.

    :param offer: offers a portion; `answered` is called with what came of it.
    :param ended: called once, when all of it was taken or none there takes it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        content: bytes,
        offer: Callable[[int, bytes], None],
        ended: Callable[[ResultCode], None],
    ):
        self.offset = 0
        """Bytes that were taken."""
        self._clock = clock
        self._content = content
        self._offer = offer
        self._ended = ended
        self._later: IDelayedCall | None = None
        self._size = 0

    def next(self) -> None:
        """Offer what comes next."""
        self._later = None
        data = self._content[self.offset : self.offset + PORTION]
        self._size = len(data)
        self._offer(self.offset, data)

    def answered(self, code: ResultCode) -> None:
        """What came of the last offer."""
        if code == ResultCode.NOENOUGHRESOURCE:
            # Too much of its user waits there: it has to wait its turn.
            self._later = self._clock.callLater(_AGAIN, self.next)
            return
        if code == ResultCode.SUCCESS:
            self.offset += self._size
            if self.offset < len(self._content):
                self._later = self._clock.callLater(_PAUSE, self.next)
                return
        self._ended(code)

    def stop(self) -> None:
        """Offer no more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None


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
