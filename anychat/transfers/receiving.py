"""The receiving end of a transfer.

Chunks are checked and written in a thread, as many at a time as have come
meanwhile.  No more than a window of them can be on their way.
"""

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.transfers.chunks import Chunk
from anychat.transfers.files import Target
from anychat.transfers.sending import InThread


class Inlet(Protocol):
    """Who wants the content."""

    def taken(self, offset: int, *, restart: bool) -> None:
        """Everything before the offset is there."""

    def received(self, result: "Path | bytes") -> None:
        """It is whole, and where it belongs."""

    def receiving_failed(self, code: ResultCode) -> None:
        """It cannot be had: give the task up.  Nothing of it is kept."""


class _Altered(Exception):
    """A chunk is not the continuation of what came before."""


class Receiving:
    """Receives one content."""

    def __init__(self, target: Target, length: int, inlet: Inlet, in_thread: InThread):
        self.length = length
        self.offset = 0
        """Bytes that are there."""
        self._target = target
        self._inlet = inlet
        self._in_thread = in_thread
        self._next = 0
        self._pending: list[Chunk] = []
        self._hash: Any = hashlib.sha256()
        self._unproven = False
        self._opened = False
        self._busy = False
        self._ending: Callable[[], None] | None = None
        self._over = False

    def start(self) -> None:
        """Open the target, and ask for the first chunk."""
        self._run(self._begin, self._began, ResultCode.TRANSFILE_OPENFAIL)

    def again(self) -> None:
        """The link is back: say where to go on."""
        if self._opened and not self._over:
            self._inlet.taken(self._next, restart=True)

    def take(self, chunk: Chunk) -> bool:
        """A chunk came; False if it is none that is waited for."""
        if (
            self._over
            or not self._opened
            or chunk.offset != self._next
            or chunk.end > self.length
        ):
            return False
        self._next = chunk.end
        self._pending.append(chunk)
        self._work()
        return True

    def stop(self, *, keep: bool) -> None:
        """Receive no more; keep what came for another attempt, or do not."""
        if not self._over:
            self._end(self._target.close if keep else self._target.discard)

    def _end(self, ending: Callable[[], None]) -> None:
        self._over = True
        self._pending.clear()
        if self._busy:
            self._ending = ending
        else:
            self._in_thread(ending).addErrback(_ignore)

    def _run(
        self,
        work: Callable[..., Any],
        then: Callable[[Any], None],
        code: ResultCode,
        *arguments: Any,
    ) -> None:
        self._busy = True
        running = self._in_thread(work, *arguments)
        running.addCallbacks(
            self._ran, self._failed, callbackArgs=(then,), errbackArgs=(code,)
        )

    def _ran(self, result: Any, then: Callable[[Any], None]) -> None:
        self._busy = False
        if self._over:
            self._wind_up()
        else:
            then(result)

    def _failed(self, failure: Failure, code: ResultCode) -> None:
        self._busy = False
        if self._over:
            self._wind_up()
            return
        if failure.check(_Altered) is not None and self._unproven:
            # What was kept is another file.
            self._pending.clear()
            self._unproven = False
            self._run(self._target.clear, self._cleared, ResultCode.TRANSFILE_FAILED)
            return
        if failure.check(_Altered, OSError) is None:
            self._end(self._target.discard)
            failure.raiseException()
        if (
            code is ResultCode.TRANSFILE_OPENFAIL
            and getattr(failure.value, "errno", 0) in _FULL
        ):
            code = ResultCode.TRANSFILE_FAILED
        self._end(self._target.discard)
        self._inlet.receiving_failed(code)

    def _wind_up(self) -> None:
        ending, self._ending = self._ending, None
        if ending is not None:
            self._in_thread(ending).addErrback(_ignore)

    # The work, and what follows from it.

    def _begin(self) -> int:
        return self._target.open(self._hash)

    def _began(self, kept: int) -> None:
        self._opened = True
        self._unproven = kept > 0
        self.offset = self._next = kept
        self._inlet.taken(kept, restart=True)

    def _cleared(self, _: Any) -> None:
        self._hash = hashlib.sha256()
        self.offset = self._next = 0
        self._pending.clear()
        self._inlet.taken(0, restart=True)

    def _work(self) -> None:
        if not self._busy and self._pending and not self._over:
            batch, self._pending = self._pending, []
            self._run(self._write, self._wrote, ResultCode.TRANSFILE_FAILED, batch)

    def _write(self, batch: list[Chunk]) -> int:
        for chunk in batch:
            self._hash.update(chunk.data)
            if self._hash.digest() != chunk.digest:
                raise _Altered
        self._target.write([chunk.data for chunk in batch])
        return batch[-1].end

    def _wrote(self, end: int) -> None:
        self._unproven = False
        self.offset = end
        if end == self.length:
            self._run(self._finish, self._done, ResultCode.TRANSFILE_FAILED)
            return
        self._inlet.taken(end, restart=False)
        self._work()

    def _finish(self) -> "Path | bytes":
        return self._target.finish()

    def _done(self, result: "Path | bytes") -> None:
        self._over = True
        self._inlet.received(result)


def _ignore(failure: Failure) -> None:
    """Closing or removing failed: there is nothing more to be done about it."""
    failure.trap(OSError)


#: No room on the disk, or no more for this user.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
