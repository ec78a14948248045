"""The place of the one SDK Filter Plus plug-in, between it and the core.

To the plug-in this is its `FilterOwner`; to ``services.hall`` it is where the
effects about it go.  A plug-in may call back from inside whatever it is told,
and a call is answered at once.  So nothing reaches the plug-in while effects
are being carried out: questions and events wait in order until the core has
done with its commands (`deliver`).
"""

import itertools
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.business_messages import (
    Answer,
    Arbiter,
    Call,
    Event,
    Presence,
    Question,
    Verdict,
)
from anychat.codes import ResultCode
from anychat.core.commands import (
    ArbitersChanged,
    Command,
    FilterCall,
    RoomEntryPrepared,
    UserVerified,
)
from anychat.core.effects import (
    AskPrepareEnterRoom,
    AskVerifyUser,
    Offer,
    Tell,
    WithdrawQuestion,
)
from anychat.core.state import State
from anychat.filters.seam import Filter
from anychat.ids import SessionId

#: Effects for the plug-in; an `Offer` comes with who wants to know its outcome.
_ForPlugIn = (
    AskVerifyUser
    | AskPrepareEnterRoom
    | WithdrawQuestion
    | Tell
    | tuple[Offer, Callable[[ResultCode], None]]
)

#: What is answered for a plug-in that is not there, or has failed.
_UNAVAILABLE = Verdict(ResultCode.SERVERSDK_FAIL)


class FilterSlot:
    """Holds the plug-in, or nothing: then questions get 206.

    :param submit: where commands go.  It returns when the command has been
        carried out, unless it is called from inside an effect.
    :param state: the core's, to be read.
    """

    _failures = Logger()

    def __init__(self, submit: Callable[[Command], None], state: State) -> None:
        self._submit = submit
        self._state = state
        self._filter: Filter | None = None
        self._waiting: deque[_ForPlugIn] = deque()
        self._open: dict[SessionId, Question] = {}
        """Questions by whom they are about, who never has more than one."""
        self._delivering = False
        self._numbers = itertools.count(1)
        self._answers: dict[int, Answer] = {}

    def fill(self, plug_in: Filter) -> None:
        """Put the plug-in in; plug-in and slot need each other."""
        self._filter = plug_in

    # What the plug-in calls (`FilterOwner`).

    def arbiters(
        self, verifier: Arbiter, admitter: Arbiter, hears: bool = False
    ) -> None:
        """Say who decides from now on."""
        self._submit(ArbitersChanged(verifier, admitter, hears))

    def call(self, call: Call) -> Answer:
        """Have something done; 2 NOTINIT while the server does not run."""
        number = next(self._numbers)
        self._submit(FilterCall(number, call))
        return self._answers.pop(number, Answer(ResultCode.NOTINIT))

    def online(self) -> tuple[Presence, ...]:
        """All who are signed in, in the order of signing in."""
        sessions = map(self._state.sessions.__getitem__, self._state.users.values())
        return tuple(
            [
                Presence(
                    session.user_id,
                    session.name,
                    session.level,
                    session.address,
                    session.room_id or 0,
                )
                for session in sessions
            ]
        )

    # What effects ask.

    def put(
        self, effect: AskVerifyUser | AskPrepareEnterRoom | WithdrawQuestion | Tell
    ) -> None:
        """Something for the plug-in; it gets it at the next `deliver`."""
        if self._filter is not None or not isinstance(effect, Tell):
            self._waiting.append(effect)

    def offer(self, effect: Offer, answer: Callable[[ResultCode], None]) -> None:
        """The same, of an event that may be refused; told how that ends."""
        self._waiting.append((effect, answer))

    def answer(self, number: int, answer: Answer) -> None:
        """What came of a call."""
        self._answers[number] = answer

    def deliver(self) -> None:
        """Hand over what waits, and what comes to wait meanwhile."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._waiting:
                self._hand_over(self._waiting.popleft())
        finally:
            self._delivering = False

    def _hand_over(self, effect: _ForPlugIn) -> None:
        if isinstance(effect, Tell):
            self._tell(effect.event)
        elif isinstance(effect, tuple):
            offer, answer = effect
            answer(self._tell(offer.event))
        elif isinstance(effect, AskVerifyUser):
            session = effect.session
            self._ask(
                session,
                effect.question,
                lambda verdict: self._submit(UserVerified(session, verdict)),
            )
        elif isinstance(effect, AskPrepareEnterRoom):
            session, request = effect.session, effect.request
            self._ask(
                session,
                effect.question,
                lambda verdict: self._submit(
                    RoomEntryPrepared(session, request, verdict)
                ),
            )
        else:
            self._withdraw(effect.session)

    def _tell(self, event: Event) -> ResultCode:
        if self._filter is None:
            return _UNAVAILABLE.code
        try:
            return self._filter.tell(event)
        except Exception:
            self._failures.failure(
                "The plug-in failed at {kind}", kind=type(event).__name__
            )
            return _UNAVAILABLE.code

    def _withdraw(self, session: SessionId) -> None:
        question = self._open.get(session)
        if question is None or self._filter is None:
            return
        try:
            self._filter.withdraw(question)
        except Exception:
            self._failures.failure(
                "The plug-in failed to withdraw {kind}", kind=type(question).__name__
            )

    def _ask(
        self,
        session: SessionId,
        question: Question,
        settle: Callable[[Verdict], None],
    ) -> None:
        if self._filter is None:
            settle(_UNAVAILABLE)
            return
        self._open[session] = question

        def close(verdict: Verdict) -> None:
            del self._open[session]
            settle(verdict)

        def fail(failure: Failure) -> Verdict:
            self._failures.failure(
                "The plug-in failed at {kind}",
                failure=failure,
                kind=type(question).__name__,
            )
            return _UNAVAILABLE

        asked = maybeDeferred(self._filter.ask, question)
        asked.addErrback(fail).addCallback(close)
