"""The sending end of a transfer.

Content is read ahead and hashed in a thread, a few chunks at a time.  Chunks
that the receiver has not said to have are kept, so that a lost link costs no
second reading: some 1.5 MB for a transfer, however long the content.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.transfers.chunks import CHUNK, Chunk
from anychat.transfers.files import Content
from anychat.transfers.pace import Cap, Window

#: Chunks that are read at a time, and that wait to be sent at most.
AHEAD = 8

#: Runs a function in a thread; the Deferred has what it gives.
InThread = Callable[..., "Deferred[Any]"]


class Outlet(Protocol):
    """Where chunks go."""

    def may_send(self) -> bool:
        """Whether nothing else waits; if not, `Sending.pump` is called later."""

    def send_chunk(self, chunk: Chunk) -> None:
        """Send it."""

    def sending_failed(self, code: ResultCode) -> None:
        """The content cannot be read: give the task up."""


class Sending:
    """Sends one content.

    :param cap: the bit rate that all of its user is held to.
    :param window: what may be under way; None: whatever is granted.
    """

    def __init__(
        self,
        content: Content,
        outlet: Outlet,
        clock: IReactorTime,
        in_thread: InThread,
        cap: Cap | None = None,
        window: Window | None = None,
    ):
        self.content = content
        self.taken = 0
        """Bytes that the receiver has."""
        self.sent_again = 0
        """Bytes that went out more than once."""
        self._outlet = outlet
        self._clock = clock
        self._in_thread = in_thread
        self._cap = cap if cap is not None else Cap()
        self._window = window
        self._chunks: deque[Chunk] = deque()
        self._cursor = 0
        self._head = 0
        self._most = 0
        self._limit = 0
        self._hash: Any = hashlib.sha256()
        self._reading = self._stopped = self._pumping = False
        self._attempt = 0
        self._timer: IDelayedCall | None = None

    def grant(self, offset: int, limit: int, *, restart: bool) -> None:
        """The receiver has so much, and so much may be sent."""
        if self._stopped or max(offset, limit) > self.content.length:
            return
        chunks = self._chunks
        while chunks and chunks[0].end <= offset and (self._cursor or restart):
            chunks.popleft()
            self._cursor = max(0, self._cursor - 1)
        if restart:
            self._go_on_at(offset)
            self._limit = limit
            if self._window is not None:
                self._window.restart()
        else:
            self._limit = max(limit, self._limit)
            if self._window is not None:
                self._window.taken(offset, self._clock.seconds())
        self.taken = offset
        self.pump()

    def suspend(self) -> None:
        """The link is gone, and every grant with it."""
        self._limit = 0

    def stop(self) -> None:
        """Send no more."""
        if self._stopped:
            return
        self._stopped = True
        self._chunks.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._reading:
            self.content.close()

    def pump(self) -> None:
        """Send what may be sent, and read on."""
        if self._pumping or self._stopped:
            return
        self._pumping = True
        try:
            while self._cursor < len(self._chunks) and self._send():
                pass
        finally:
            self._pumping = False
        self._read_ahead()

    def _send(self) -> bool:
        chunk = self._chunks[self._cursor]
        if chunk.end > self._limit or not self._outlet.may_send():
            return False
        now, window = self._clock.seconds(), self._window
        if (
            window is not None
            and chunk.end - self.taken > window.size
            and chunk.offset > self.taken
        ):
            return False
        wait = self._cap.wait(now)
        if wait > 0:
            if self._timer is None:
                self._timer = self._clock.callLater(wait, self._timed)
            return False
        self._cap.sent(len(chunk.data), now)
        if window is not None:
            window.sent(chunk.end, now)
        self._cursor += 1
        if chunk.end > self._most:
            self._most = chunk.end
        else:
            self.sent_again += len(chunk.data)
        self._outlet.send_chunk(chunk)
        return not self._stopped

    def _timed(self) -> None:
        self._timer = None
        self.pump()

    def _go_on_at(self, offset: int) -> None:
        first = self._chunks[0].offset if self._chunks else self._head
        self._cursor = 0
        if first == offset:
            return
        # Beyond what is kept: the receiver has begun again, or goes on with
        # what it kept of an earlier attempt.
        self._chunks.clear()
        self._head = offset
        self._hash = None
        self._attempt += 1

    def _read_ahead(self) -> None:
        content, head = self.content, self._head
        waiting = len(self._chunks) - self._cursor
        size = self._cap.chunk
        if self._window is not None:
            size = min(size, self._window.chunk)
        end = min(content.available, head + size * AHEAD)
        if (
            self._reading
            or self._stopped
            or waiting > AHEAD // 2
            or not self._limit
            or head >= end
            # Portions that are fed come as they like: not a chunk for each.
            or (end < content.length and end - head < size)
        ):
            return
        if end < content.length:
            end -= (end - head) % size
        self._reading = True
        reading = self._in_thread(self._read, self._hash, head, end, size)
        reading.addCallbacks(
            self._read_on, self._failed, callbackArgs=(self._attempt, end)
        )

    def _read(
        self, digest: Any, head: int, end: int, size: int
    ) -> tuple[Any, list[Chunk]]:
        """In a thread: read, hash, cut."""
        content = self.content
        if digest is None:
            digest = hashlib.sha256()
            for offset in range(0, head, CHUNK):
                digest.update(content.read(offset, min(CHUNK, head - offset)))
        chunks = []
        for offset in range(head, end, size):
            data = content.read(offset, min(size, end - offset))
            digest.update(data)
            chunks.append(Chunk(offset, digest.digest(), data))
        return digest, chunks

    def _read_on(self, done: tuple[Any, list[Chunk]], attempt: int, end: int) -> None:
        self._reading = False
        if self._stopped:
            self.content.close()
            return
        if attempt == self._attempt:
            self._hash, chunks = done
            self._head = end
            self._chunks.extend(chunks)
        self.pump()

    def _failed(self, failure: Failure) -> None:
        failure.trap(OSError, ValueError)
        self._reading = False
        if self._stopped:
            self.content.close()
        else:
            self.stop()
            self._outlet.sending_failed(ResultCode.TRANSFILE_READFAIL)
