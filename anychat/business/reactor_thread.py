"""Twisted's reactor in a thread of its own, beside a program without Twisted."""

import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import STDLibLogObserver, globalLogBeginner

from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused

#: Seconds for what the reactor's thread does at once.
GRACE = 5.0

T = TypeVar("T")


class DaemonThread(threading.Thread):
    """A thread that does not keep the process from ending."""

    def __init__(self, *arguments: Any, **others: Any):
        super().__init__(*arguments, **others, daemon=True)


class ReactorThread:
    """The thread, from its start to the end of the process.

    It cannot be stopped before, since a reactor runs only once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0
        self.reactor: Any = None

    @property
    def is_here(self) -> bool:
        """Whether it runs in this process, and not in one that this is a fork of."""
        return self._process == os.getpid()

    def start(self) -> None:
        """Let it run, if it does not yet.

        :raises LocalError: it cannot, in this process.
        """
        with self._lock:
            if self._thread is not None:
                self.check()
                return
            from twisted.internet import reactor

            if reactor.running:
                raise LocalError(
                    "Twisted's reactor runs in this process already: use "
                    "anychat.business.server.BusinessServer with it"
                )
            self.reactor = reactor
            # Or what twisted.logger keeps for a log to come would grow and grow.
            globalLogBeginner.beginLoggingTo(
                [STDLibLogObserver("twisted")],
                redirectStandardIO=False,
                discardBuffer=True,
            )
            # Names are resolved in its threads.
            self.reactor.getThreadPool().threadFactory = DaemonThread
            running = threading.Event()
            reactor.callWhenRunning(running.set)
            self._thread = DaemonThread(
                target=reactor.run,
                kwargs={"installSignalHandlers": False},
                name="anychat.business",
            )
            self._process = os.getpid()
            self._thread.start()
            running.wait(GRACE)
            atexit.register(self._end)

    def check(self) -> None:
        """See that a call can be made, here and now.

        :raises LocalError: it cannot.
        """
        if not self.is_here:
            raise LocalError(
                "the business server was started before this process was forked: "
                "start it in each process, after the fork"
            )
        if threading.current_thread() is self._thread:
            raise LocalError("this call would wait in the reactor's own thread")

    def call(self, function: Callable[[], "Deferred[T]"], timeout: float) -> T:
        """Call it in the reactor's thread; its result, when that is there.

        :raises Refused: 100, it takes longer than ``timeout`` seconds.
        :raises LocalError: see `check`.
        """
        self.check()
        future: Future[T] = Future()
        begun: list[Deferred[None]] = []

        async def run() -> None:
            try:
                future.set_result(await function())
            except Exception as error:
                future.set_exception(error)

        def begin() -> None:
            begun.append(Deferred.fromCoroutine(run()))

        def give_up() -> None:
            for deferred in begun:
                deferred.cancel()

        self.reactor.callFromThread(begin)
        try:
            return future.result(timeout)
        except TimeoutError:
            self.reactor.callFromThread(give_up)
            raise Refused(
                ResultCode.CONNECT_TIMEOUT, f"nothing came of it in {timeout:g} s"
            ) from None

    def _end(self) -> None:
        """The process ends: so does the reactor, before its thread is cut off."""
        if self.is_here and self._thread is not None:
            self.reactor.callFromThread(self.reactor.stop)
            self._thread.join(GRACE)
