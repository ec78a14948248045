"""The program's code: which callbacks it has, and how they are called.

Whatever a callback does, it comes to an end here: it returns, or a Deferred or
coroutine that it returned fires, or it raises, or it is given up because it
took too long.  None of this disturbs anything else.
"""

import difflib
import inspect
from asyncio import isfuture
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from anychat.business.callbacks import CALLBACKS, NAMES, Callbacks
from anychat.business.complaints import Complaints
from anychat.business_messages import BusinessMessage, Event, Question
from anychat.log import Log

#: What the options of a business server may be: callbacks or threads, seconds.
MAX_PLACES = 10_000
MAX_TIME = 86_400

#: Seconds that a callback may keep the reactor's thread without a line about it.
BLOCKED = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What came of a callback that gave no value."""

    reason: str


#: It took too long.
LATE = Fault("was not done in time")

#: It was not called, or the end of the business server came before its own.
STOPPED = Fault("was not called")


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def deferred_of(value: object) -> "Deferred[Any] | None":
    """What a callback returned as a Deferred; None for a plain value."""
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, Deferred):
        return value
    if isfuture(value):
        return Deferred.fromFuture(value)
    if isinstance(value, Coroutine):
        return Deferred.fromCoroutine(value)
    if isinstance(value, Awaitable):
        return Deferred.fromCoroutine(_result_of(value))
    return None


class Execution:
    """One callback that returned a Deferred, until it fires or is given up."""

    __slots__ = ("_method", "_over", "_program", "_then", "_time", "_timer", "_waited")

    def __init__(
        self,
        program: "Program",
        method: str,
        waited: "Deferred[Any]",
        then: Callable[[object], None],
        time: float,
    ):
        """
        :param time: seconds that it has.
        """
        self._program = program
        self._method = method
        self._waited = waited
        self._then = then
        self._time = time
        self._timer: IDelayedCall | None = None
        self._over = False
        waited.addBoth(self._fired)
        if not self._over:
            self._timer = program.clock.callLater(time, self._too_slow)
            program.executions.add(self)

    def _fired(self, result: object) -> None:
        if self._over:
            return  # Given up: nobody waits for it.
        if isinstance(result, Failure):
            result = self._program.fault_of(self._method, result.value, result)
        self._end()
        self._then(result)

    def _too_slow(self) -> None:
        self._timer = None
        self._program.given_up += 1
        self._program.complaints(
            self._method, f"was not done in {self._time:.3g} s and is given up"
        )
        self.give_up(LATE)

    def give_up(self, why: Fault) -> None:
        """Wait no longer; the callback's Deferred or coroutine is cancelled."""
        self._end()
        try:
            self._waited.cancel()
        except BaseException as error:
            self._program.complaints.failed(self._method, error, None)
        self._then(why)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._program.executions.discard(self)


def check_callback(name: str, function: Callable[..., Any]) -> None:
    """See whether a function can be that callback.

    :raises ValueError: there is no callback of that name.
    :raises TypeError: it cannot take the callback's arguments.
    """
    if name not in NAMES:
        raise ValueError(f"there is no callback {name}{_meant(name, 0.6)}")
    if not callable(function):
        raise TypeError(f"the callback {name} is {function!r}, and no function")
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


def check_options(**options: float) -> None:
    """See whether times and numbers of an option can be used.

    :raises ValueError: one cannot; the text says which, and what is allowed.
    """
    for name, value in options.items():
        if name.endswith("timeout"):
            fits = isinstance(value, int | float) and 0 < value <= MAX_TIME
            allowed = f"a number of seconds above 0, up to {MAX_TIME}"
        else:
            fits = isinstance(value, int) and 1 <= value <= MAX_PLACES
            allowed = f"a whole number from 1 to {MAX_PLACES}"
        if isinstance(value, bool) or not fits:
            raise ValueError(f"{name} is {value!r}, allowed is {allowed}")


def unanswered(program: "Program") -> list[str]:
    """What there is to say of questions that a program leaves to nobody."""
    wanted = program.wanted(Question)
    if "VerifyUser" not in wanted or "PrepareEnterRoom" in wanted:
        return []
    return [
        "there is verify_user and no prepare_enter_room: unless another business "
        "server has it, or RequireBusiness=0 at the core server, whoever enters a "
        "room is refused with 206"
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
        self.expired = 0
        """Questions that were not begun with in time."""
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
        time: float | None = None,
    ) -> None:
        """Call it; ``then`` gets its value or a `Fault`, at once or later.

        :param time: seconds that it has, if less than all callbacks have.
        """
        began = self.clock.seconds()
        value: object
        waited: Deferred[Any] | None = None
        try:
            value = function(*arguments)
            waited = deferred_of(value)
        except BaseException as error:
            # Let through, SystemExit would end the connection and not the program:
            # the reactor catches it.  What ends that comes as a signal.
            value = self.fault_of(method, error, None)
        took = self.clock.seconds() - began
        if took >= BLOCKED:
            self.complaints(
                method,
                f"kept everything else waiting for {took:.3g} s: what takes long must "
                "not be done in the reactor's thread",
            )
        if waited is None:
            then(value)
        else:
            time = self.timeout if time is None else min(time, self.timeout)
            Execution(self, method, waited, then, time)

    def fault_of(
        self, method: str, error: BaseException, failure: Failure | None
    ) -> Fault:
        """Log and count an exception of a callback.

        :param failure: None: the exception is being handled.
        """
        self.failed += 1
        self.complaints.failed(method, error, failure)
        # Without its text, which may be about a password.
        return Fault(f"{method} raised {type(error).__name__}")

    def stop(self) -> None:
        """Give up whatever is not done."""
        for execution in list(self.executions):
            execution.give_up(STOPPED)
        self.complaints.stop()
