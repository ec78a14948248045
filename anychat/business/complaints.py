"""Lines of the log about faults of the program's code."""

import re
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

import anychat
import twisted
from anychat.errors import Refused
from anychat.log import Log

#: Seconds between two lines of the log about the same fault of a callback.
PAUSE = 1.0

#: Different faults that are remembered.
MAX_KINDS = 100

#: Where what raises is not the program's own code.
_LIBRARIES = tuple(
    f"{Path(str(package.__file__)).parent}/" for package in (anychat, twisted)
)


_NUMBER = re.compile("[0-9]+")


class _Fault:
    """One that comes again and again."""

    __slots__ = ("at", "line", "timer", "unsaid")

    def __init__(self, line: str, at: float):
        self.line = line
        self.at = at
        self.unsaid = 0
        self.timer: IDelayedCall | None = None


class Complaints:
    """Says each fault at once, and then not more than once a second.

    What came meanwhile is owned to by its number.
    """

    def __init__(self, clock: IReactorTime, log: Log):
        self._clock = clock
        self._log = log
        self._faults: dict[tuple[str, str], _Fault] = {}

    def __call__(self, method: str, text: str) -> None:
        """Log that about a callback; texts that differ in numbers only are one."""
        kind = _NUMBER.sub("", text)
        if self._is_new(method, kind, f"{method} {text}"):
            self._log(f"Warning:{method} {text}")

    def failed(
        self, method: str, error: BaseException | None, failure: Failure | None
    ) -> None:
        """Log an exception; with its traceback, unless it is a call's refusal.

        :param failure: None: the exception is being handled.
        """
        where = _where(error)
        if isinstance(error, Refused):
            place = f" ({where})" if where else ""
            self(method, f"failed{place}: {error}")
            return
        kind = f"{type(error).__name__} {where}"
        if self._is_new(method, kind, f"{method} failed: {type(error).__name__}"):
            self._log.failure(f"{method} failed", failure)

    def stop(self) -> None:
        """Own to what was not said yet."""
        faults, self._faults = self._faults, {}
        for fault in faults.values():
            if fault.timer is not None:
                fault.timer.cancel()
                self._own(fault)

    def _is_new(self, method: str, kind: str, line: str) -> bool:
        now, fault = self._clock.seconds(), self._faults.get((method, kind))
        if fault is None:
            if len(self._faults) >= MAX_KINDS:
                self._forget()
            self._faults[method, kind] = _Fault(line, now)
            return True
        if now - fault.at >= PAUSE:
            fault.line, fault.at = line, now
            return True
        fault.unsaid += 1
        if fault.timer is None:
            pause = fault.at + PAUSE - now
            fault.timer = self._clock.callLater(pause, self._own, fault)
        return False

    def _own(self, fault: _Fault) -> None:
        more = "once more" if fault.unsaid == 1 else f"{fault.unsaid} times more"
        self._log(f"Warning:{fault.line} ({more})")
        fault.at, fault.unsaid, fault.timer = self._clock.seconds(), 0, None

    def _forget(self) -> None:
        """Make room: of those that nothing is to be said about, the oldest."""
        for key, fault in self._faults.items():
            if fault.timer is None:
                del self._faults[key]
                return


def _where(error: BaseException | None) -> str:
    """File and line of the program's code that an exception has come through."""
    if error is None:
        return ""
    place, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(_LIBRARIES):
            place = f"{Path(file).name}, line {step.tb_lineno}"
        step = step.tb_next
    return place
