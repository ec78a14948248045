"""Work off the reactor, in order.

Decoding and encoding take milliseconds and release the GIL, so they run in
threads; but the packets of one stream must be worked on one after the other.
A `Strand` is a queue of jobs of which one is under way at a time, in whichever
thread of the pool is free.  Everything but the jobs happens in the reactor's
thread: submitting, and taking the results.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")

#: Runs a job elsewhere, then calls back in the reactor's thread with its
#: success and its result or `Failure`.
Run = Callable[[Callable[[], Any], Callable[[bool, Any], None]], None]


class Workers(Protocol):
    """Where strands come from."""

    def strand(self) -> "Strand":
        """A new strand."""

    def stop(self) -> None:
        """End the threads; all strands must have been closed."""


class Strand:
    """Jobs that run one after the other.

    :param run: how one job is run.
    :param log: told of a job that raised what it should not have.
    """

    def __init__(self, run: Run, log: Callable[[str], None]):
        self._run = run
        self._log = log
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None] | None]]
        self._jobs = deque()
        self._busy = False
        self._draining = False
        self._closing: list[Deferred[None]] = []

    @property
    def pending(self) -> int:
        """Jobs that are not finished."""
        return len(self._jobs) + self._busy

    def submit(
        self, job: Callable[[], T], done: Callable[[T], None] | None = None
    ) -> None:
        """Run a job after those before it.

        :param done: called with its result; not called if the job raises, nor
            is the job run at all once the strand is closed.
        """
        if not self._closing:
            self._jobs.append((job, done))
            self._drain()

    def close(self) -> "Deferred[None]":
        """Forget the jobs that wait; fires when the one under way is done."""
        self._jobs.clear()
        return self.finish()

    def finish(self) -> "Deferred[None]":
        """Take no more jobs; fires when all that wait are done."""
        waiting: Deferred[None] = Deferred()
        self._closing.append(waiting)
        self._drain()
        return waiting

    def _drain(self) -> None:
        # A job may be run at once (in tests), so this loops where it would
        # otherwise recur.
        if self._draining:
            return
        self._draining = True
        try:
            while self._jobs and not self._busy:
                job, done = self._jobs.popleft()
                self._busy = True
                self._run(job, partial(self._end, done))
        finally:
            self._draining = False
        if not self._busy:
            for waiting in self._closing:
                if not waiting.called:
                    waiting.callback(None)

    def _end(self, done: Callable[[Any], None] | None, ok: bool, result: Any) -> None:
        self._busy = False
        if not ok:
            failure: Failure = result
            self._log(f"Media work failed: {failure.getTraceback()}")
        elif done is not None:
            done(result)
        self._drain()


class ThreadWorkers:
    """Strands over a pool of threads.

    :param reactor: takes the results (``callFromThread``).
    :param size: most threads, without those of devices that block.
    """

    def __init__(self, reactor: Any, log: Callable[[str], None], size: int = 4):
        self._reactor = reactor
        self._log = log
        self._pool = ThreadPool(0, size, name="anychat-media")
        self._pool.start()

    def strand(self) -> Strand:
        """A new strand."""
        return Strand(self._run, self._log)

    def _run(self, job: Callable[[], Any], report: Callable[[bool, Any], None]) -> None:
        def finished(ok: bool, result: Any) -> None:
            self._reactor.callFromThread(report, ok, result)

        self._pool.callInThreadWithCallback(finished, job)

    def stop(self) -> None:
        """End the threads."""
        self._pool.stop()
