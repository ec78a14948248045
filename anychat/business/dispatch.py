"""From what the core asks and tells to the program's callbacks, and back."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from anychat.business.callbacks import CALLBACKS
from anychat.business.program import LATE, STOPPED, Fault, Program
from anychat.business.turns import EVERYBODY, Entry, Turns
from anychat.business_messages import (
    BusinessMessage,
    Event,
    OnlineUsers,
    Presence,
    Question,
    Verdict,
)
from anychat.errors import PeerError, Refused
from anychat.verdicts import TOO_LATE, UNAVAILABLE, WrongValue, verdict_of

#: Events and questions that may be waiting or under way: a core has a window of
#: unanswered events, and as many questions open as its queue allows.
MAX_WAITING = 65536

#: Callbacks that may be under way side by side.
MAX_SIDE_BY_SIDE = 1000

#: An event whose user's last callbacks were given up has less time, but this.
SHORTEST_TIME = 0.1

#: Key of what nothing is called for.
_UNKNOWN = object()

_CALLBACKS = {callback.message: callback for callback in CALLBACKS}


@dataclass(slots=True, eq=False)
class _Task:
    """An event, or a question whose verdict somebody waits for."""

    message: BusinessMessage | None
    """None: nothing is to be called."""
    verdict: "Deferred[Verdict] | None" = None
    deadline: float = 0.0
    """When the core stops waiting for the verdict."""
    begun: bool = False


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
        self._answer_timeout = 0.0
        # Questions whose turn has not come, in the order of their deadlines.
        self._questions: OrderedDict[Entry[_Task], None] = OrderedDict()
        self._timer: IDelayedCall | None = None
        # Seconds for the next event of users whose last callbacks were given up.
        self._patience: dict[Hashable, float] = {}
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

    def occupy(self, places: int) -> None:
        """Have so many callbacks fewer under way than may be side by side."""
        self._turns.occupied = places
        self._begin()

    def connected(self, handled: int | None, answer_timeout: float) -> None:
        """Go on with a new connection.

        :param handled: what the core was told: it tells again what came after
            it, so that what of this has not begun is dropped.  None: the core
            was restarted, and what it told before is not told again.
        :param answer_timeout: seconds that the core waits for a verdict.
        """
        self._connected = True
        self._answer_timeout = answer_timeout
        self._online.clear()
        self._turns.renumber(handled or 0)
        if handled is not None:
            self._again = self._turns.era
        self.release()

    def disconnected(self) -> None:
        """Go on without a connection: questions have been answered otherwise."""
        self._connected = False
        while self._questions:
            self._drop(next(iter(self._questions)), STOPPED)
        self._stop_timer()

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
        """Fires with the verdict; fails with `Refused`, whose text says what failed.

        A question that the core waits for no longer, and that has not begun, is
        dropped: its callback is not called.

        :raises PeerError: the core sends more than it may.
        """
        verdict: Deferred[Verdict] = Deferred()
        deadline = self._program.clock.seconds() + self._answer_timeout
        task = _Task(question, verdict, deadline)
        entry = self._turns.add(self._key(question), 0, task)
        self._begin()
        if not task.begun:
            self._questions[entry] = None
            if self._timer is None:
                self._await_deadline(deadline)
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

    def _await_deadline(self, deadline: float) -> None:
        clock = self._program.clock
        self._timer = clock.callLater(deadline - clock.seconds(), self._expire)

    def _expire(self) -> None:
        """Drop the questions that nobody waits for any more."""
        self._timer = None
        now = self._program.clock.seconds()
        while self._questions:
            entry = next(iter(self._questions))
            task = entry.content
            if task.deadline > now:
                self._await_deadline(task.deadline)
                break
            self._drop(entry, LATE)
            self._complain_of_wait(task)
        # What they stood before may have its turn.
        self._begin()

    def _complain_of_wait(self, task: _Task) -> None:
        assert task.message is not None
        self._program.expired += 1
        self._program.complaints(
            _CALLBACKS[type(task.message)].method,
            f"was not called: for {self._answer_timeout:g} s others were under way, "
            "and the core waits no longer",
        )

    def _drop(self, entry: Entry[_Task], why: Fault) -> None:
        del self._questions[entry]
        self._turns.drop(entry)
        self._answer(entry.content, why)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, entry: Entry[_Task]) -> None:
        task = entry.content
        message, time = task.message, self._patience.get(entry.key)
        task.begun = True
        if entry in self._questions:
            del self._questions[entry]
            if not self._questions:
                self._stop_timer()
        function = self._functions.get(type(message)) if message is not None else None
        if message is None or function is None or self._is_stale(entry):
            self._done(entry, STOPPED)
            return
        if task.verdict is not None:
            time = task.deadline - self._program.clock.seconds()
            if time <= 0:
                # The reactor was kept so long that its timer has not come yet.
                self._complain_of_wait(task)
                self._done(entry, LATE)
                return

        def then(result: object) -> None:
            self._done(entry, result)

        callback = _CALLBACKS[type(message)]
        arguments = callback.arguments(message)
        self._program.execute(callback.method, function, arguments, then, time)

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
        self._turns.done(entry)
        self._learn(entry, result)
        self._answer(entry.content, result)
        self._begin()

    def _learn(self, entry: Entry[_Task], result: object) -> None:
        """Have less patience with a user whose callbacks hang one after the other.

        What is acknowledged is all up to a number, so that they hold up everybody.
        """
        key, patience = entry.key, self._patience
        if result is not LATE or not self._turns.is_waiting(key):
            patience.pop(key, None)
        elif entry.number:
            time = patience.get(key, self._program.timeout)
            patience[key] = max(time / 2, SHORTEST_TIME)

    def _answer(self, task: _Task, result: object) -> None:
        """What a callback gave, or why it gave nothing, to whoever waits for it."""
        waiting, question = task.verdict, task.message
        if waiting is None or not isinstance(question, Question):
            return
        try:
            waiting.callback(self._verdict(question, result))
        except Refused:
            waiting.errback()

    def _verdict(self, question: Question, result: object) -> Verdict:
        if result is LATE:
            return TOO_LATE
        if result is STOPPED:
            return UNAVAILABLE
        if isinstance(result, Fault):
            raise Refused(UNAVAILABLE.code, result.reason)
        try:
            return verdict_of(question, result)
        except WrongValue as error:
            self._program.wrong += 1
            method = _CALLBACKS[type(question)].method
            self._program.complaints(method, f"failed: {error}")
            if error.verdict == UNAVAILABLE:
                raise Refused(UNAVAILABLE.code, f"{method}: {error}") from error
            return error.verdict
