"""The requests of a session that wait for their answers, and how fast more may come.

They are numbered through all sessions of a client, and outlive connections.
"""

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from anychat.client.wishes import SessionLost
from anychat.messages import Message

#: Requests that may wait for their answers; the server remembers 256 replies.
OUTSTANDING_MAXIMUM = 128

#: Messages a second, and at once: below what makes a server wait (500, 1000).
MESSAGE_RATE, MESSAGE_BURST = 400.0, 800.0


class Outstanding:
    """What was asked and not answered yet."""

    def __init__(self, clock: IReactorTime, eased: Callable[[], None]):
        """
        :param eased: called when `ready`, which was False, may be True for the
            time that has passed.
        """
        self._clock = clock
        self._eased = eased
        self._last_number = 0
        self._pending: dict[int, tuple[Message, Deferred[Message]]] = {}
        self._allowance, self._allowance_at = MESSAGE_BURST, 0.0
        self._easing: IDelayedCall | None = None

    def __iter__(self) -> Iterator[tuple[int, Message]]:
        """Numbers and requests, oldest first."""
        for number, (message, _) in self._pending.items():
            yield number, message

    @property
    def next_number(self) -> int:
        """The number that the next request has."""
        return self._last_number + 1

    def add(self, message: Message) -> "Deferred[Message]":
        """A request was sent under `next_number`.

        :return: fires with the reply, fails with `SessionLost`.
        """
        number = self._last_number = self.next_number
        self._refill()
        self._allowance -= 1
        answer: Deferred[Message] = Deferred()
        self._pending[number] = message, answer
        return answer

    def answer(self, number: int, reply: Message) -> bool:
        """A reply came; False: nobody waited for it."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return False
        pending[1].callback(reply)
        return True

    def lose(self) -> None:
        """Nothing that waits is answered any more."""
        pending, self._pending = self._pending, {}
        for _, answer in pending.values():
            answer.errback(Failure(SessionLost()))

    @property
    def ready(self) -> bool:
        """Whether one more may be sent now."""
        if len(self._pending) >= OUTSTANDING_MAXIMUM:
            return False
        self._refill()
        if self._allowance >= 1:
            return True
        if self._easing is None:
            self._easing = self._clock.callLater(
                (1 - self._allowance) / MESSAGE_RATE, self._ease
            )
        return False

    def stop(self) -> None:
        """Stop the clock."""
        if self._easing is not None:
            self._easing.cancel()
            self._easing = None

    def _ease(self) -> None:
        self._easing = None
        self._eased()

    def _refill(self) -> None:
        now = self._clock.seconds()
        earned = (now - self._allowance_at) * MESSAGE_RATE
        self._allowance = min(self._allowance + earned, MESSAGE_BURST)
        self._allowance_at = now
