"""Calls wait their turn.

A program may issue its calls one after the other without waiting, as
AnyChat's allow: each says what it needs, and the queue starts them in order
as soon as that stands.  The queue is bounded and so is every wait in it, from
the moment of the call to its answer.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import Message

M = TypeVar("M", bound=Message)


def checked(reply: Message, expected: type[M]) -> M:
    """The reply, if it grants what was asked.

    :raises Refused: it does not; 7 for a reply that is none to the question.
    """
    code = getattr(reply, "code", ResultCode.SUCCESS)
    if code != ResultCode.SUCCESS:
        raise Refused(code)
    if not isinstance(reply, expected):
        raise Refused(ResultCode.PROTOCOLFAIL)
    return reply


class Need(Enum):
    """What must stand before a call can start."""

    LINK = auto()
    """A link whose hello is over."""
    SESSION = auto()
    """A session, and no entry into a room under way."""
    ROOM = auto()
    """A room that was entered."""


class _Call:
    """One call: waiting, started, or over."""

    def __init__(
        self,
        need: Need,
        start: Callable[[], "Deferred[Any]"],
        abandon: Callable[[], object] | None,
    ):
        self.need = need
        self.start = start
        self.abandon = abandon
        self.started = False
        self.outcome: Deferred[Any] = Deferred(self._cancelled)
        self.deadline: IDelayedCall | None = None

    def _cancelled(self, outcome: "Deferred[Any]") -> None:
        self.forget()
        if self.started and self.abandon is not None:
            self.abandon()

    def forget(self) -> None:
        """Stop the clock."""
        if self.deadline is not None and self.deadline.active():
            self.deadline.cancel()

    def finish(self, result: Any) -> None:
        """Tell the caller, unless he has been told or has gone away."""
        self.forget()
        if not self.outcome.called:
            if isinstance(result, Failure):
                self.outcome.errback(result)
            else:
                self.outcome.callback(result)

    def expire(self) -> None:
        """The time is up."""
        if self.started and self.abandon is not None:
            self.abandon()
        self.finish(Failure(Refused(ResultCode.CONNECT_TIMEOUT)))


class Calls:
    """The queue of one client."""

    def __init__(
        self,
        clock: IReactorTime,
        ready: Callable[[Need], bool],
        timeout: float,
        maximum: int = 1000,
    ):
        """
        :param ready: whether a need is met; False while it is about to be,
            and `Refused` where it will not be.
        :param timeout: seconds from call to answer.
        :param maximum: calls that may wait.
        """
        self._clock = clock
        self._ready = ready
        self._timeout = timeout
        self._maximum = maximum
        self._waiting: deque[_Call] = deque()
        self._draining = False

    def submit(
        self,
        need: Need,
        start: Callable[[], "Deferred[Any]"],
        abandon: Callable[[], object] | None = None,
    ) -> "Deferred[Any]":
        """Start it when its turn comes.

        :param abandon: undoes a started call that is cancelled or too late.
        :return: fires with what ``start`` gives; fails with `Refused` 23 if too
            many wait, and 100 if there is no answer in time.
        """
        call = _Call(need, start, abandon)
        if len(self._waiting) >= self._maximum:
            self._waiting = deque(c for c in self._waiting if not c.outcome.called)
        if len(self._waiting) >= self._maximum:
            call.finish(Failure(Refused(ResultCode.NOENOUGHRESOURCE)))
            return call.outcome
        call.deadline = self._clock.callLater(self._timeout, call.expire)
        self._waiting.append(call)
        self.drain()
        return call.outcome

    def drain(self) -> None:
        """Start what can start; to be called whenever a need may be met."""
        if self._draining:
            # A call that starts makes events, whose calls come here again:
            # they keep their turn.
            return
        self._draining = True
        try:
            while self._waiting:
                call = self._waiting[0]
                if call.outcome.called:
                    self._waiting.popleft()
                    continue
                try:
                    if not self._ready(call.need):
                        return
                except Refused:
                    self._waiting.popleft()
                    call.finish(Failure())
                    continue
                self._waiting.popleft()
                call.started = True
                try:
                    started = call.start()
                except Exception:
                    call.finish(Failure())
                else:
                    started.addBoth(call.finish)
        finally:
            self._draining = False
