"""Waiting: pauses that somebody may cut short, and more than one who waits."""

from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Pause:
    """Sleeps, one at a time.

    :param clock: an ``IReactorTime``.
    """

    def __init__(self, clock: Any):
        self._clock = clock
        self._timer: Any = None
        self._waiting: Deferred[None] | None = None

    def sleep(self, seconds: float) -> "Deferred[None]":
        """Fires after so many seconds, or when it is woken."""
        self._waiting = Deferred()
        self._timer = self._clock.callLater(seconds, self.wake)
        return self._waiting

    def wake(self) -> None:
        """End the sleep, if there is one."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


def beside(other: "Deferred[T]") -> "Deferred[T]":
    """Fires with what the other one fires with, which goes on as it was."""
    waiting: Deferred[T] = Deferred()

    def fire(result: T) -> T:
        waiting.callback(result)
        return result

    other.addCallback(fire)
    return waiting
