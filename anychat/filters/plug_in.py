"""What Python and compiled plug-ins have in common, seen from the core."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from anychat.banner import filter_failed, filter_loaded
from anychat.business_messages import (
    MAX_BUFFER,
    Arbiter,
    Event,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Question,
    SendBufToUser,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.filters.choice import FilterChoice
from anychat.filters.handles import Handles
from anychat.filters.hooks import HOOK_OF, Hook
from anychat.filters.seam import FilterOwner
from anychat.notices import Notices
from anychat.verdicts import TOO_LATE, UNAVAILABLE

#: Statistics that go up and down; the others only grow.
GAUGES = frozenset({"loaded", "questions_open", "waiting", "waiting_bytes"})

#: Questions that may wait for a verdict.
MAX_QUESTIONS = 10_000

#: Seconds that a plug-in has to end.
RELEASE_TIME = 2.0


class PlugIn(Service, ABC):
    """A plug-in of either kind, a `Filter`; loaded when the service starts.

    :param choice: what SDKFilterPlus names.
    :param owner: the core, as its plug-ins see it.
    :param answer_timeout: seconds for a verdict (AnswerTimeout).
    :param require: rooms wait for the verdict of a plug-in that decides about
        them and is not there (RequireBusiness).
    :param log: the server's log, a line at a time.
    """

    version = ""
    """What the plug-in says of itself; empty until it is loaded."""

    def __init__(
        self,
        reactor: Any,
        choice: FilterChoice,
        owner: FilterOwner,
        *,
        answer_timeout: float,
        require: bool,
        log: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._choice = choice
        self._owner = owner
        self._answer_timeout = answer_timeout
        self._require = require
        self._log = log
        self._notices = Notices(log, reactor.seconds)
        self._handles = Handles()
        self._counters: Counter[str] = Counter()
        self._hooks: Collection[Hook] | None = None
        """What the plug-in has; None: it has never been loaded."""
        self._working = False
        """It is loaded and can be asked."""

    # What the core asks (`Filter`).

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Fires with the plug-in's verdict; see `Filter`."""
        hook = self._usable(type(question))
        if hook is None:
            self._counters["questions_without"] += 1
            return succeed(UNAVAILABLE)
        self._counters["questions"] += 1
        if self._open_questions() >= MAX_QUESTIONS:
            self._counters["questions_refused"] += 1
            self._notices.say(
                "questions",
                f"Warning:{self._title} has {MAX_QUESTIONS} questions open, the "
                f"next are answered with {TOO_LATE.code:d}.",
            )
            return succeed(TOO_LATE)
        return self._ask(hook, question)

    @abstractmethod
    def withdraw(self, question: Question) -> None:
        """Nobody waits for this verdict any more; see `Filter`."""

    def tell(self, event: Event) -> ResultCode:
        """Call the hook of an event, if the plug-in has it; see `Filter`."""
        handle = 0
        if isinstance(event, OnUserLoginAction):
            handle = self._handles.begin(event.user_id)
        elif isinstance(event, OnUserLogoutActionEx):
            self._handles.end(event.user_id)
        hook = self._usable(type(event))
        if hook is None:
            return UNAVAILABLE.code
        self._counters["events"] += 1
        return self._tell(hook, event, handle)

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        return {
            **self._counters,
            "loaded": int(self._working),
            "questions_open": self._open_questions(),
        }

    # What each kind does in its way.

    @abstractmethod
    def _open_questions(self) -> int:
        """How many wait for a verdict."""

    @abstractmethod
    def _ask(self, hook: Hook, question: Question) -> "Deferred[Verdict]":
        """Call a hook that gives a verdict; as `ask`."""

    @abstractmethod
    def _tell(self, hook: Hook, event: Event, handle: int) -> ResultCode:
        """Call a hook that is told something; as `tell`.

        :param handle: of a user who has signed in.
        """

    # What they share.

    @property
    def _title(self) -> str:
        """How log lines begin."""
        return f"SDK Filter Plus:{self._choice.name}"

    def _usable(self, message: type[Question] | type[Event]) -> Hook | None:
        """The hook for a message, where the plug-in has it and can be called."""
        hook = HOOK_OF.get(message)
        usable = self.running and self._working and hook in (self._hooks or ())
        return hook if usable else None

    def _loaded(self, version: str, hooks: Collection[Hook]) -> None:
        """The plug-in works; the log is told, the core with `_arbitrate`."""
        self.version = version or "unknown"
        self._hooks = hooks
        self._working = True
        self._counters["loads"] += 1
        self._log(filter_loaded(self._choice.name, self.version))

    def _not_loaded(self, reason: str) -> None:
        """It does not, and says why."""
        self._counters["loads_failed"] += 1
        self._log(filter_failed(self._choice.name, reason))

    def _arbitrate(self) -> None:
        """Tell the core who decides from now on."""
        if self.running:
            self._owner.arbiters(
                self._arbiter(VerifyUser, Arbiter.AWAY),
                self._arbiter(
                    PrepareEnterRoom,
                    Arbiter.AWAY if self._require else Arbiter.NOBODY,
                ),
                hears=self._working,
            )

    def _arbiter(self, question: type[Question], away: Arbiter) -> Arbiter:
        if self._hooks is not None and HOOK_OF[question] not in self._hooks:
            return Arbiter.NOBODY
        return Arbiter.THERE if self._working else away

    def _send(self, user_id: int, handle: int, data: bytes) -> None:
        """What the plug-in sends to a user; only to the session it means."""
        self._counters["sends"] += 1
        if not self.running or not self._handles.matches(user_id, handle):
            self._counters["sends_stale"] += 1
        elif not 0 < len(data) <= MAX_BUFFER:
            self._refuse_send(f"{len(data)} bytes, allowed is 1 to {MAX_BUFFER}")
        else:
            code = self._owner.call(SendBufToUser(user_id, data)).code
            if code != ResultCode.SUCCESS:
                self._refuse_send(f"{code:d} {code.text}")

    def _refuse_send(self, reason: str) -> None:
        self._counters["sends_refused"] += 1
        self._notices.say("send", f"{self._title} cannot send to a user: {reason}")
