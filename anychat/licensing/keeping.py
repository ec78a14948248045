"""Keeps the state file while the server runs: at news, and now and then."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.python.failure import Failure

from anychat.licensing.check import InThread
from anychat.licensing.judge import Memory
from anychat.licensing.state_file import STATE_NAME, save_memory

#: Seconds between two times that the state is kept, if nothing happens.
KEEPING = 600.0


class StateKeeper:
    """Writes the state file, one time after the other.

    :param log: the server's log, a line at a time.
    """

    def __init__(
        self, path: Path, in_thread: InThread, log: Callable[[str], None]
    ) -> None:
        self._path = path
        self._in_thread = in_thread
        self._log = log
        self._saved = -inf
        """When it was written last."""
        self._outcome: Memory | None = None
        """What was written last, times that only go on left out."""
        self._fault = ""
        self._writing = DeferredLock()

    def keep(
        self, memory: Memory, machine: str, now: float, *, force: bool = False
    ) -> "Deferred[bool]":
        """Write it if it is time to; fires with whether it was written.

        :param now: monotonic clock.
        """
        outcome = replace(memory, clock=None, good=None)
        if not force and (
            self._writing.locked
            or (outcome == self._outcome and now < self._saved + KEEPING)
        ):
            return succeed(False)
        self._saved, self._outcome = now, outcome
        return self._writing.run(
            self._in_thread, save_memory, self._path, memory, machine
        ).addCallbacks(self._was_written, self._not_written)

    def _was_written(self, _: object) -> bool:
        self._fault = ""
        return True

    def _not_written(self, failure: Failure) -> bool:
        """Without it the server runs as well; say so once."""
        fault = getattr(failure.value, "strerror", None) or failure.getErrorMessage()
        if fault != self._fault:
            self._fault = fault
            self._log(f"Warning:{STATE_NAME} not written: {fault}")
        return False
