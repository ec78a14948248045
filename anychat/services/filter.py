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
from typing import TypeAlias

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
    CallJudged,
    Command,
    ControlJudged,
    FilterCall,
    RoomEntryPrepared,
    UserVerified,
)
from anychat.core.effects import (
    AskPrepareEnterRoom,
    AskUserInfoControl,
    AskVerifyUser,
    AskVideoCall,
    Offer,
    OfferPortion,
    Tell,
    WithdrawQuestion,
)
from anychat.core.state import State
from anychat.filters.seam import Filter
from anychat.ids import SessionId

#: What asks the plug-in.
Asking: TypeAlias = (
    AskVerifyUser | AskPrepareEnterRoom | AskUserInfoControl | AskVideoCall
)

#: Effects for the plug-in; an offered event comes with who wants to know its outcome.
_ForPlugIn: TypeAlias = (
    Asking | WithdrawQuestion | Tell | tuple[Event, Callable[[ResultCode], None]]
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
        """Logins and entries by whom they are about, who has one at a time."""
        self._delivering = False
        self._numbers = itertools.count(1)
        self._answers: dict[int, Answer] = {}

    def fill(self, plug_in: Filter) -> None:
        """Put the plug-in in; plug-in and slot need each other."""
        self._filter = plug_in

    # What the plug-in calls (`FilterOwner`).

    def arbiters(
        self,
        verifier: Arbiter,
        admitter: Arbiter,
        hears: bool = False,
        judges_calls: bool = False,
    ) -> None:
        """Say who decides from now on."""
        self._submit(ArbitersChanged(verifier, admitter, hears, judges_calls))

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

    def put(self, effect: Asking | WithdrawQuestion | Tell) -> None:
        """Something for the plug-in; it gets it at the next `deliver`."""
        if self._filter is not None or not isinstance(effect, Tell):
            self._waiting.append(effect)

    def offer(
        self, effect: Offer | OfferPortion, answer: Callable[[ResultCode], None]
    ) -> None:
        """The same, of an event that may be refused; told how that ends."""
        self._waiting.append((effect.event, answer))

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
            event, answer = effect
            answer(self._tell(event))
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
        elif isinstance(effect, AskVideoCall):
            step = effect
            self._ask(
                None,
                step.question,
                lambda verdict: self._submit(
                    CallJudged(step.session, step.request, step.question, verdict)
                ),
            )
        elif isinstance(effect, AskUserInfoControl):
            control = effect
            self._ask(
                None,
                control.question,
                lambda verdict: self._submit(
                    ControlJudged(
                        control.session, control.request, control.question, verdict
                    )
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
        session: SessionId | None,
        question: Question,
        settle: Callable[[Verdict], None],
    ) -> None:
        """Settle with the verdict.

        :param session: who may withdraw the question; None: nobody.
        """
        if self._filter is None:
            settle(_UNAVAILABLE)
            return
        if session is not None:
            self._open[session] = question

        def close(verdict: Verdict) -> None:
            if session is not None:
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
