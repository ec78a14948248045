"""Threads that callbacks of a program without Twisted run in."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from anychat.business.callbacks import NOTICES
from anychat.business.reactor_thread import DaemonThread


class _Work:
    """One call of a function, in a thread of its own."""

    __slots__ = ("begun", "given_up", "name")

    def __init__(self, name: str):
        self.name = name
        self.begun = False
        self.given_up = False


class Workers:
    """So many threads, and which of them are held by callbacks that were given up.

    A thread cannot be stopped.  One whose callback was given up is held until the
    callback returns after all, and takes the place of another one meanwhile: so
    no callback is begun that no thread is free for.
    """

    def __init__(
        self,
        reactor: Any,
        threads: int,
        log: Callable[[str], None],
        occupy: Callable[[int], None],
    ):
        """
        :param occupy: told how many threads are held, in the reactor's thread.
        """
        self._reactor = reactor
        self._threads = threads
        self._log = log
        self._occupy = occupy
        self._lock = threading.Lock()
        self._holding: Counter[str] = Counter()
        # What is told about the connection comes at any time: not at the expense
        # of the others.
        self._pool = ThreadPool(0, threads + len(NOTICES), "anychat.business")
        self._pool.threadFactory = DaemonThread

    @property
    def held(self) -> int:
        """Threads whose callback was given up and has not returned."""
        return self._holding.total()

    def start(self) -> None:
        """Begin."""
        self._pool.start()

    def stop(self) -> None:
        """End, without waiting for the program's code."""
        DaemonThread(target=self._pool.stop, name="anychat.business stop").start()

    def callback(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function as a callback of that name, done by a thread."""

        @wraps(function)
        def callback(*arguments: Any) -> "Deferred[Any]":
            work = _Work(name)

            def do() -> None:
                with self._lock:
                    if work.given_up:
                        return  # It waited for a thread until it was too late.
                    work.begun = True
                value: Any
                try:
                    value = function(*arguments)
                except BaseException:
                    # Even SystemExit: nobody is there whom it would end.
                    value = Failure()
                self._reactor.callFromThread(done, value)

            def done(value: Any) -> None:
                if work.given_up:
                    self._free(name)
                else:
                    # A Failure makes it fail.
                    result.callback(value)

            def give_up(_: object) -> None:
                with self._lock:
                    work.given_up = True
                if work.begun:
                    self._hold(name)

            result: Deferred[Any] = Deferred(give_up)
            self._pool.callInThread(do)
            return result

        return callback

    def _hold(self, name: str) -> None:
        if name in NOTICES:
            return
        self._holding[name] += 1
        self._occupy(self.held)
        if self.held == self._threads:
            names = ", ".join(f"{name}: {n}" for name, n in self._holding.items() if n)
            self._log(
                f"Warning:All {self._threads} threads are held by callbacks that were "
                f"given up ({names}), and nothing is called before one of them returns:"
                " give what they wait for a time-out"
            )

    def _free(self, name: str) -> None:
        if name in NOTICES:
            return
        if self.held == self._threads:
            self._log("A thread is free again, callbacks go on")
        self._holding[name] -= 1
        self._occupy(self.held)
