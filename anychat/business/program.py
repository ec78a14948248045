"""The program's code: which callbacks it has, and how they are called.

Whatever a callback does, it comes to an end here: it returns, or a Deferred or
coroutine that it returned fires, or it raises, or it is given up because it
took too long.  None of this disturbs anything else.
"""

import difflib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from anychat.business.callbacks import CALLBACKS, NAMES, Callbacks
from anychat.business_messages import BusinessMessage, Event, Question
from anychat.errors import Refused
from anychat.log import Log

#: Seconds between two lines of the log about the same callback's faults.
COMPLAINT_PAUSE = 1.0


class Fault(Enum):
    """What came of a callback that gave no value."""

    FAILED = "it raised"
    TOO_LATE = "it took too long"
    STOPPED = "the business server stops"


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def deferred_of(value: object) -> "Deferred[Any] | None":
    """What a callback returned as a Deferred; None for a plain value."""
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, Deferred):
        return value
    if isinstance(value, Coroutine):
        return Deferred.fromCoroutine(value)
    if isinstance(value, Awaitable):
        return Deferred.fromCoroutine(_result_of(value))
    return None


class Complaints:
    """Lines about the program's faults, not more than one a second for each."""

    def __init__(self, clock: IReactorTime, log: Log):
        self._clock = clock
        self._log = log
        self._last: dict[str, tuple[float, int]] = {}

    def __call__(self, method: str, text: str) -> None:
        """Log that about a callback."""
        line = self._line(method, text)
        if line:
            self._log(f"Warning:{line}")

    def failed(
        self, method: str, error: BaseException | None, failure: Failure | None
    ) -> None:
        """Log an exception; with its traceback, unless it is a call's refusal.

        :param failure: None: the exception is being handled.
        """
        if isinstance(error, Refused):
            self(method, f"failed: {error}")
            return
        line = self._line(method, "failed")
        if line:
            self._log.failure(line, failure)

    def _line(self, method: str, text: str) -> str:
        now = self._clock.seconds()
        last, unsaid = self._last.get(method, (now - COMPLAINT_PAUSE, 0))
        if now - last < COMPLAINT_PAUSE:
            self._last[method] = last, unsaid + 1
            return ""
        self._last[method] = now, 0
        more = f" ({unsaid} more faults of it were not logged)" if unsaid else ""
        return f"{method} {text}{more}"


class Execution:
    """One callback that returned a Deferred, until it fires or is given up."""

    __slots__ = ("_method", "_over", "_program", "_then", "_timer", "_waited")

    def __init__(
        self,
        program: "Program",
        method: str,
        waited: "Deferred[Any]",
        then: Callable[[object], None],
    ):
        self._program = program
        self._method = method
        self._waited = waited
        self._then = then
        self._timer: IDelayedCall | None = None
        self._over = False
        waited.addBoth(self._fired)
        if not self._over:
            self._timer = program.clock.callLater(program.timeout, self._too_slow)
            program.executions.add(self)

    def _fired(self, result: object) -> None:
        if self._over:
            return  # Given up: nobody waits for it.
        if isinstance(result, Failure):
            self._program.failed += 1
            self._program.complaints.failed(self._method, result.value, result)
            result = Fault.FAILED
        self._end(result)

    def _too_slow(self) -> None:
        self._timer = None
        program = self._program
        program.given_up += 1
        program.complaints(
            self._method, f"was not done in {program.timeout:g} s and is given up"
        )
        self.give_up(Fault.TOO_LATE)

    def give_up(self, why: Fault) -> None:
        """Wait no longer; the callback's Deferred or coroutine is cancelled."""
        self._end(why)
        try:
            self._waited.cancel()
        except Exception as error:
            self._program.complaints.failed(self._method, error, None)

    def _end(self, result: object) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._program.executions.discard(self)
        self._then(result)


def check_callback(name: str, function: Callable[..., Any]) -> None:
    """See whether a function can be that callback.

    :raises ValueError: there is no callback of that name.
    :raises TypeError: it cannot take the callback's arguments.
    """
    if name not in NAMES:
        raise ValueError(f"there is no callback {name}{_meant(name, 0.6)}")
    wanted = list(inspect.signature(getattr(Callbacks, name)).parameters)[1:]
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # Something built in that does not tell its arguments.
    try:
        signature.bind(*wanted)
    except TypeError:
        raise TypeError(
            f"the callback {name} is called with ({', '.join(wanted)})"
        ) from None


def misspelt(program: Callbacks) -> list[str]:
    """What there is to say of methods that look like a callback and are none."""
    return [
        f"{name} is no callback and is never called{hint}"
        for name in dir(type(program))
        if name.startswith(("on_", "verify_", "prepare_"))
        and name not in NAMES
        and (hint := _meant(name, 0.85))
    ]


def _meant(name: str, likeness: float) -> str:
    close = difflib.get_close_matches(name, NAMES, 1, likeness)
    return f" (is {close[0]} meant?)" if close else ""


class Program:
    """The callbacks of one program."""

    def __init__(
        self, program: Callbacks, clock: IReactorTime, log: Log, timeout: float
    ):
        """
        :param program: those of its methods that are not `Callbacks`' own count.
        :param timeout: seconds that a callback may take.
        :raises TypeError: a method cannot take the arguments of its callback.
        """
        self.clock = clock
        self.timeout = timeout
        self.complaints = Complaints(clock, log)
        self.executions: set[Execution] = set()
        """Callbacks that are not done."""
        self.failed = 0
        """Callbacks that raised."""
        self.wrong = 0
        """Callbacks that gave what is no answer."""
        self.given_up = 0
        """Callbacks that took too long."""
        self._functions: dict[str, Callable[..., Any]] = {}
        for name in NAMES:
            method = getattr(program, name)
            if getattr(method, "__func__", None) is not getattr(Callbacks, name):
                check_callback(name, method)
                self._functions[name] = method

    def wanted(self, base: type[Question] | type[Event]) -> frozenset[str]:
        """Names of the questions or events that there is a callback for."""
        return frozenset(
            callback.message.__name__
            for callback in CALLBACKS
            if issubclass(callback.message, base) and callback.method in self._functions
        )

    def functions(self) -> dict[type[BusinessMessage], Callable[..., Any]]:
        """The callbacks by what the core asks or tells."""
        return {
            callback.message: self._functions[callback.method]
            for callback in CALLBACKS
            if callback.method in self._functions
        }

    def notice(self, name: str, *arguments: Any) -> None:
        """Call one of `callbacks.NOTICES`, in no order with others."""
        function = self._functions.get(name)
        if function is not None:
            self.execute(name, function, arguments, lambda result: None)

    def execute(
        self,
        method: str,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        then: Callable[[object], None],
    ) -> None:
        """Call it; ``then`` gets its value or a `Fault`, at once or later."""
        try:
            value = function(*arguments)
            waited = deferred_of(value)
        except Exception as error:
            self.failed += 1
            self.complaints.failed(method, error, None)
            then(Fault.FAILED)
            return
        if waited is None:
            then(value)
        else:
            Execution(self, method, waited, then)

    def stop(self) -> None:
        """Give up whatever is not done."""
        for execution in list(self.executions):
            execution.give_up(Fault.STOPPED)
