"""Plug-ins that are Python modules; docs/filters.md tells how one is written.

The module runs inside the server: whatever its hooks do holds up everybody
else meanwhile, so that what takes time belongs into a Deferred or a thread.
"""

import importlib
import importlib.util
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.business_messages import Event, Question, Verdict
from anychat.codes import ResultCode
from anychat.filters.hooks import (
    GET_VERSION,
    HOOKS,
    INIT_FILTER,
    RELEASE_FILTER,
    Hook,
)
from anychat.filters.plug_in import RELEASE_TIME, PlugIn
from anychat.verdicts import TOO_LATE, UNAVAILABLE, WrongValue, verdict_of

#: What threads of the plug-in have sent and the server has not come to.
MAX_WAITING_SENDS = 10_000
MAX_WAITING_BYTES = 64 << 20
#: How many of them the server takes at once.
SENDS_AT_ONCE = 256

#: Name under which a module that is given by its path is known to Python.
FILE_MODULE = "anychat_plug_in"


class LoadError(Exception):
    """The module cannot be used as a plug-in; the text says why."""


class _Asked:
    """A question that a hook has not answered yet.

    :ivar asked: what the hook gave.
    """

    __slots__ = ("asked", "timer", "verdict")

    def __init__(self, asked: "Deferred[Any]") -> None:
        self.asked = asked
        self.verdict: Deferred[Verdict] = Deferred()
        self.timer: IDelayedCall | None = None


class PythonFilter(PlugIn):
    """A plug-in that is a module, by its dotted name or its path.

    See `PlugIn` for the parameters.  The reactor must have ``callFromThread``.
    """

    _failures = Logger()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._module: ModuleType | None = None
        self._functions: dict[Hook, Callable[..., Any]] = {}
        self._asked: set[_Asked] = set()
        self._thread = 0
        # What other threads have sent; all four belong to the lock.
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        self._waiting_bytes = 0
        self._lost = 0

    # Service.

    def startService(self) -> None:
        """Load the module; what goes wrong is a line in the log."""
        super().startService()
        self._thread = threading.get_ident()
        try:
            version = self._load()
        except LoadError as error:
            self._not_loaded(str(error))
        except (Exception, SystemExit) as error:
            self._failures.failure("{title} cannot be loaded", title=self._title)
            self._not_loaded(f"{type(error).__name__}: {error}")
        else:
            self._loaded(version, self._functions)
        self._arbitrate()

    def stopService(self) -> "Deferred[Any]":
        """Have the plug-in release what it holds; it has `RELEASE_TIME`."""
        super().stopService()
        for asked in list(self._asked):
            self._settle(asked, UNAVAILABLE, "unavailable")
        release = getattr(self._module, RELEASE_FILTER, None)
        if not self._working or release is None:
            self._working = False
            return succeed(None)
        self._working = False
        released = maybeDeferred(release)
        released.addTimeout(RELEASE_TIME, self._reactor)
        return released.addErrback(self._failed, RELEASE_FILTER)

    def _load(self) -> str:
        """Import and initialise the module; its version.

        :raises LoadError: it is none, or does not want to.
        """
        self._module = module = load_module(self._choice.target)
        self._functions = {
            hook: function
            for hook in HOOKS
            if (function := getattr(module, hook.name, None)) is not None
        }
        if not self._functions:
            known = ", ".join(hook.name for hook in HOOKS)
            raise LoadError(f"it has none of the hooks {known}")
        names = [hook.name for hook in self._functions]
        for name in (*names, GET_VERSION, INIT_FILTER, RELEASE_FILTER):
            function = getattr(module, name, None)
            if function is not None and not callable(function):
                raise LoadError(f"{name} is no function")
        get_version = getattr(module, GET_VERSION, None)
        version = str(get_version()) if get_version is not None else ""
        init_filter = getattr(module, INIT_FILTER, None)
        if init_filter is not None and not (done := init_filter(self.send)):
            raise LoadError(f"{INIT_FILTER} returned {done!r}, not True")
        return version

    # What the plug-in calls.

    def send(self, user_id: int, handle: int, data: bytes) -> None:
        """Send a user data, which arrives as SDKFilterData; from any thread.

        :param handle: as `on_user_login_action` had it; when that session is
            over nothing is sent.
        :param data: 1 to 60,000 bytes.
        """
        if not isinstance(user_id, int) or not isinstance(handle, int):
            raise TypeError("user_id and handle are numbers")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is bytes, not {type(data).__name__}")
        data = bytes(data)
        if threading.get_ident() == self._thread:
            self._send(user_id, handle, data)
            return
        with self._lock:
            if (
                len(self._waiting) >= MAX_WAITING_SENDS
                or self._waiting_bytes + len(data) > MAX_WAITING_BYTES
            ):
                # To wait here could be to wait for a lock that a hook holds.
                self._lost += 1
                return
            self._waiting.append((user_id, handle, data))
            self._waiting_bytes += len(data)
            first = len(self._waiting) == 1
        if first:
            self._reactor.callFromThread(self._send_waiting)

    def _send_waiting(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
            count = min(len(self._waiting), SENDS_AT_ONCE)
            sends = [self._waiting.popleft() for _ in range(count)]
            self._waiting_bytes -= sum(len(data) for *_, data in sends)
            if self._waiting:
                self._reactor.callFromThread(self._send_waiting)
        for send in sends:
            self._send(*send)
        if lost:
            self._counters["sends_lost"] += lost
            self._notices.say(
                "sends lost",
                f"Warning:{self._title} sends more than the server takes, {lost} "
                "messages of its threads are lost",
            )

    # What `PlugIn` asks.

    def _open_questions(self) -> int:
        return len(self._asked)

    def withdraw(self, question: Question) -> None:
        """Nothing: what a hook has begun goes on, and the question costs till then."""

    def _ask(self, hook: Hook, question: Question) -> "Deferred[Verdict]":
        value = maybeDeferred(self._functions[hook], *hook.values(question))
        asked = _Asked(value)
        self._asked.add(asked)
        asked.timer = self._reactor.callLater(
            self._answer_timeout, self._expire, asked, hook
        )
        value.addCallback(lambda given: verdict_of(question, given, tuples=True))
        value.addErrback(self._failed, hook.name)
        value.addCallback(lambda verdict: self._settle(asked, verdict, "answered"))
        return asked.verdict

    def _expire(self, asked: _Asked, hook: Hook) -> None:
        self._notices.say(
            "timeout",
            f"Warning:{self._title} gave no verdict on {hook.name} in "
            f"{self._answer_timeout:g} s.",
        )
        self._settle(asked, TOO_LATE, "timeout")

    def _settle(self, asked: _Asked, verdict: Verdict, outcome: str) -> None:
        if asked not in self._asked:
            return
        self._asked.remove(asked)
        self._counters[f"questions_{outcome}"] += 1
        if asked.timer is not None and asked.timer.active():
            asked.timer.cancel()
        asked.verdict.callback(verdict)
        asked.asked.cancel()  # nobody waits for it any more

    def _tell(self, hook: Hook, event: Event, handle: int) -> ResultCode:
        told = maybeDeferred(self._functions[hook], *hook.values(event, handle))
        told.addErrback(self._failed, hook.name)
        return ResultCode.SUCCESS

    def _failed(self, failure: Failure, name: str) -> Verdict:
        """Log what a hook raised, where that says anything."""
        error = failure.value
        if isinstance(error, WrongValue):
            self._counters["failures"] += 1
            self._notices.say(f"value of {name}", f"{self._title}: {name}: {error}")
            return error.verdict
        if not failure.check(CancelledError):
            self._counters["failures"] += 1
            self._failures.failure(
                "{title} failed in {name}", failure, title=self._title, name=name
            )
        return UNAVAILABLE


def load_module(target: str) -> ModuleType:
    """Import a module.

    :param target: a dotted name, or the path of a file that ends in ".py".
    :raises LoadError: there is no such module; whatever the module itself
        raises comes through.
    """
    if not target.endswith(".py"):
        try:
            return importlib.import_module(target)
        except ModuleNotFoundError as error:
            wanted = str(error.name)
            if target != wanted and not target.startswith(f"{wanted}."):
                raise  # something that the module itself imports
            raise LoadError(
                f"Python finds no module {wanted}: install it, or name the file "
                "with its path"
            ) from error
    path = Path(target)
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(FILE_MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # For what it imports of its own; last, so that nothing else is hidden.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[FILE_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[FILE_MODULE]
        raise
    return module
