"""From what the core asks and tells to the program's callbacks, and back."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from anychat.business.callbacks import CALLBACKS
from anychat.business.program import Fault, Program
from anychat.business.turns import EVERYBODY, Entry, Turns
from anychat.business_messages import (
    BusinessMessage,
    Event,
    OnlineUsers,
    Presence,
    Question,
    Verdict,
)
from anychat.errors import PeerError
from anychat.verdicts import TOO_LATE, UNAVAILABLE, WrongValue, verdict_of

#: Events and questions that may be waiting or under way: a core has a window of
#: unanswered events, and as many questions open as its queue allows.
MAX_WAITING = 65536

#: Callbacks that may be under way side by side.
MAX_SIDE_BY_SIDE = 1000

#: Key of what nothing is called for.
_UNKNOWN = object()

_CALLBACKS = {callback.message: callback for callback in CALLBACKS}


@dataclass(slots=True, eq=False)
class _Task:
    """An event, or a question whose verdict somebody waits for."""

    message: BusinessMessage | None
    """None: nothing is to be called."""
    verdict: "Deferred[Verdict] | None" = None


class Dispatch:
    """Has the program's callbacks called, each in its turn."""

    #: Users in one `on_online_users`.
    MAX_ONLINE = 1_000_000

    def __init__(
        self,
        program: Program,
        progress: Callable[[], None],
        maximum: int = MAX_WAITING,
        side_by_side: int = MAX_SIDE_BY_SIDE,
    ):
        """
        :param progress: called when `through` may have grown.
        """
        self._program = program
        self._functions = program.functions()
        self._progress = progress
        self._turns: Turns[_Task] = Turns(maximum, side_by_side)
        self._online: list[Presence] = []
        self._connected = False
        self._held = False
        self._beginning = False
        # Events of eras before this one come again.
        self._again = 0

    @property
    def through(self) -> int:
        """The number up to which all events are done."""
        return self._turns.through

    @property
    def waiting(self) -> int:
        """Events and questions that are not done."""
        return len(self._turns)

    @property
    def unacknowledged(self) -> int:
        """Events that came after `through`: those that are not done, and later ones."""
        return self._turns.unacknowledged

    def hold(self) -> None:
        """Begin nothing: `through` is being told to the core."""
        self._held = True

    def release(self) -> None:
        """Go on as before, since the core did not hear it."""
        self._held = False
        self._begin()

    def connected(self, handled: int | None) -> None:
        """Go on with a new connection.

        :param handled: what the core was told: it tells again what came after
            it, so that what of this has not begun is dropped.  None: the core
            was restarted, and what it told before is not told again.
        """
        self._connected = True
        self._online.clear()
        self._turns.renumber(handled or 0)
        if handled is not None:
            self._again = self._turns.era
        self.release()

    def disconnected(self) -> None:
        """Go on without a connection: questions have been answered otherwise."""
        self._connected = False

    def tell(self, event: Event | None, number: int) -> None:
        """Something has happened; None: of a kind that is not known here.

        :raises PeerError: the core sends more than it may.
        """
        if isinstance(event, OnlineUsers):
            # Told with the last portion.
            self._turns.add(EVERYBODY, number, _Task(self._gather(event)))
        else:
            key = _UNKNOWN if event is None else self._key(event)
            self._turns.add(key, number, _Task(event))
        self._begin()

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Fires with the verdict.

        :raises PeerError: the core sends more than it may.
        """
        verdict: Deferred[Verdict] = Deferred()
        self._turns.add(self._key(question), 0, _Task(question, verdict))
        self._begin()
        return verdict

    def _key(self, message: BusinessMessage) -> Hashable:
        callback = _CALLBACKS.get(type(message))
        return callback.key(message) if callback is not None else _UNKNOWN

    def _begin(self) -> None:
        if self._beginning or self._held:
            # In the former case a callback was done at once: the loop goes on.
            return
        self._beginning = True
        try:
            while (entry := self._turns.begin()) is not None:
                self._start(entry)
        finally:
            self._beginning = False
        self._progress()

    def _start(self, entry: Entry[_Task]) -> None:
        message = entry.content.message
        function = self._functions.get(type(message)) if message is not None else None
        if message is None or function is None or self._is_stale(entry):
            self._done(entry, Fault.STOPPED)
            return

        def then(result: object) -> None:
            self._done(entry, result)

        callback = _CALLBACKS[type(message)]
        arguments = callback.arguments(message)
        self._program.execute(callback.method, function, arguments, then)

    def _is_stale(self, entry: Entry[_Task]) -> bool:
        if entry.number:
            return entry.era < self._again
        return not self._connected or entry.era < self._turns.era

    def _gather(self, portion: OnlineUsers) -> OnlineUsers | None:
        """All portions as one, with the last of them; None for the others."""
        if OnlineUsers not in self._functions:
            return None
        self._online += portion.users
        if len(self._online) > self.MAX_ONLINE:
            raise PeerError(f"told of more than {self.MAX_ONLINE} users")
        if not portion.final:
            return None
        users, self._online = tuple(self._online), []
        return OnlineUsers(users, True)

    def _done(self, entry: Entry[_Task], result: object) -> None:
        task = entry.content
        self._turns.done(entry)
        if task.verdict is not None:
            task.verdict.callback(self._verdict(task.message, result))
        self._begin()

    def _verdict(self, question: BusinessMessage | None, result: object) -> Verdict:
        if result is Fault.TOO_LATE:
            return TOO_LATE
        if isinstance(result, Fault) or not isinstance(question, Question):
            return UNAVAILABLE
        try:
            return verdict_of(question, result)
        except WrongValue as error:
            self._program.wrong += 1
            method = _CALLBACKS[type(question)].method
            self._program.complaints(method, f"failed: {error}")
            return error.verdict
