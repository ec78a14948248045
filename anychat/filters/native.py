"""Compiled plug-ins, each in a process of its own; docs/filters.md tells more.

A plug-in that crashes or hangs ends its process, which is started again, with
growing pauses; the server goes on.  While there is none, questions are
answered at once, and when it is there again it is told who is online.
"""

from collections.abc import Callable
from functools import singledispatchmethod
from operator import attrgetter
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from anychat.business_messages import (
    Event,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnUserEnterRoomAction,
    OnUserLoginAction,
    Question,
    Verdict,
)
from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.filters.call_queue import CallQueue, Limits, Overrun, QueuedCall
from anychat.filters.hooks import KINDS, Hook, Kind
from anychat.filters.host_process import HostProcess
from anychat.filters.host_wire import (
    Done,
    Loaded,
    NotLoaded,
    Report,
    Send,
    SendRefused,
    encode_arguments,
    encode_call,
)
from anychat.filters.plug_in import RELEASE_TIME, PlugIn
from anychat.verdicts import TOO_LATE, UNAVAILABLE

#: Seconds that a plug-in has to load and initialise.
LOAD_TIME = 30.0
#: Seconds until it is started again: the first time, and at most.
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
#: Seconds of work after which the pauses begin anew.
HEALTHY_TIME = 60.0
#: Seconds in which what has come in time is read before somebody is blamed: the
#: server itself may have been held up.
GRACE = 0.1

#: Events that may be left out where too many wait, and whose they are.
_SENDERS: dict[type[Event], Callable[[Any], int]] = {
    OnRecvUserTextMsg: attrgetter("source_id"),
    OnRecvUserFilterData: attrgetter("user_id"),
}

#: A name or password that no C program can be told.
_UNTELLABLE = Verdict(ResultCode.FUNCOPTERROR)


class _Asked:
    """A question that waits for its verdict."""

    __slots__ = ("call", "question", "verdict")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.verdict: Deferred[Verdict] = Deferred()
        self.call: QueuedCall[_Asked] | None = None


class NativeFilter(PlugIn):
    """A plug-in that is a shared library with the interface of SDK Filter Plus.

    See `PlugIn` for the parameters.  The reactor must have ``spawnProcess``.

    :param limits: by default those of `Limits`, with the answer_timeout.
    """

    def __init__(
        self, *arguments: Any, limits: Limits | None = None, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._queue: CallQueue[_Asked] = CallQueue(
            limits or Limits(answer_time=self._answer_timeout)
        )
        # By the identity of the question: two may be equal.
        self._asked: dict[int, _Asked] = {}
        self._host: HostProcess | None = None
        """The one that counts."""
        self._hosts: set[HostProcess] = set()
        """All that have not ended."""
        self._pause = FIRST_PAUSE
        self._since = 0.0
        """When it was loaded."""
        self._timer: IDelayedCall | None = None
        self._loading: IDelayedCall | None = None
        self._restart: IDelayedCall | None = None
        self._suspected = False
        """A hook seems to hang; it is looked at once more."""
        self._ended: Deferred[None] | None = None
        self._patience: IDelayedCall | None = None

    # Service.

    def startService(self) -> None:
        """Begin to load the plug-in; the log tells how that ends."""
        super().startService()
        self._arbitrate()
        self._start()

    def stopService(self) -> "Deferred[Any]":
        """Have the plug-in release what it holds; it has `RELEASE_TIME`."""
        super().stopService()
        self._working = False
        for timer in (self._timer, self._loading, self._restart):
            if timer is not None and timer.active():
                timer.cancel()
        self._answer_all(UNAVAILABLE, "unavailable")
        if not self._hosts:
            return succeed(None)
        if self._host is not None:
            self._host.end()
        self._ended = Deferred()
        self._patience = self._reactor.callLater(RELEASE_TIME, self._kill_all)
        return self._ended

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        return {
            **super().statistics(),
            "waiting": len(self._queue),
            "waiting_bytes": self._queue.waiting_bytes,
            "events_dropped": self._queue.dropped,
        }

    # The process.

    def _start(self) -> None:
        self._restart = None
        host = HostProcess(self, self._reactor, self._say)
        try:
            host.start(self._choice.target)
        except OSError as error:
            self._not_loaded(f"no process can be started: {error.strerror}")
            self._start_again()
            return
        self._host = host
        self._hosts.add(host)
        self._loading = self._reactor.callLater(LOAD_TIME, self._load_late)

    def _start_again(self) -> float:
        """Begin anew after a pause; how long that is."""
        pause = self._pause
        self._pause = min(2 * pause, LAST_PAUSE)
        self._restart = self._reactor.callLater(pause, self._start)
        return pause

    def _say(self, line: str) -> None:
        self._log(f"{self._title} says: {line}")

    def _load_late(self) -> None:
        self._give_up(f"did not begin to work in {LOAD_TIME:g} s")

    def _give_up(self, reason: str) -> None:
        """The process that there is cannot be used any more; have another."""
        host, self._host = self._host, None
        assert host is not None
        if self._loading is not None and self._loading.active():
            self._loading.cancel()
        now = self._reactor.seconds()
        if self._working and now - self._since >= HEALTHY_TIME:
            self._pause = FIRST_PAUSE
        self._working = False
        self._counters["failures"] += 1
        turn = f" in {self._queue.turn}" if self._queue.turn else ""
        host.kill()
        pause = self._start_again()
        # First of all, so that nobody asks again who is being answered.
        self._arbitrate()
        answered = self._answer_all(TOO_LATE, "timeout")
        self._log(
            f"{self._title} {reason}{turn}: {answered} questions are answered with "
            f"{TOO_LATE.code:d}, it is started again in {pause:g} s"
        )

    def _answer_all(self, verdict: Verdict, outcome: str) -> int:
        waiters = self._queue.clear()
        for waiter in waiters:
            self._settle(waiter, verdict, outcome)
        return len(waiters)

    def _settle(self, asked: _Asked, verdict: Verdict, outcome: str) -> None:
        del self._asked[id(asked.question)]
        self._counters[f"questions_{outcome}"] += 1
        asked.verdict.callback(verdict)

    def _kill_all(self) -> None:
        # One that does not die even so must not hold up the server.
        self._patience = self._reactor.callLater(RELEASE_TIME, self._tell_ended)
        for host in list(self._hosts):
            host.kill()

    def _tell_ended(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    # What hosts report (`HostOwner`).

    def host_reports(self, host: HostProcess, report: Report) -> None:
        """A host says something; only of the present one that counts."""
        if host is self._host and self.running:
            self._take(report)

    def host_fails(self, host: HostProcess, reason: str) -> None:
        """What a host says is nonsense."""
        if host is self._host and self.running:
            self._give_up(f"has broken its process ({reason})")

    def host_gone(self, host: HostProcess, how: str) -> None:
        """A process has ended."""
        self._hosts.remove(host)
        if host is self._host and self.running:
            self._give_up(how if self._working else f"{how} while it was loaded")
        if not self._hosts:
            self._tell_ended()

    @singledispatchmethod
    def _take(self, report: Report) -> None:
        raise PeerError(f"a {type(report).__name__} out of place")

    @_take.register
    def _(self, report: Loaded) -> None:
        assert self._loading is not None
        if self._working:
            raise PeerError("it is loaded twice")
        self._loading.cancel()
        self._since = self._reactor.seconds()
        self._loaded(report.version, report.hooks)
        for user in self._owner.online():
            self.tell(OnUserLoginAction(user.user_id, user.name, user.level, user.ip))
            if user.room_id:
                self.tell(OnUserEnterRoomAction(user.user_id, user.room_id))
        self._arbitrate()

    @_take.register
    def _(self, report: NotLoaded) -> None:
        assert self._loading is not None
        if self._working:
            raise PeerError("it cannot be loaded after it was")
        self._loading.cancel()
        self._host = None
        self._not_loaded(report.reason)
        if self._hooks is not None:
            # It did work before: what it lacks now may come back.
            self._start_again()

    @_take.register
    def _(self, report: Send) -> None:
        self._send(report.user_id, report.handle, report.data)

    @_take.register
    def _(self, report: SendRefused) -> None:
        self._counters["sends"] += 1
        self._refuse_send(f"a length of {report.length} bytes")

    @_take.register
    def _(self, report: Done) -> None:
        waiter = self._queue.done(report.tag, self._reactor.seconds())
        self._pump()
        if waiter is not None:
            self._settle(waiter, report.verdict, "answered")

    # What `PlugIn` asks.

    def _open_questions(self) -> int:
        return self._queue.open_questions

    def withdraw(self, question: Question) -> None:
        """Nobody waits for this verdict any more: it is asked no more if it can be.

        What is under way costs the plug-in its time, and is answered with it.
        """
        asked = self._asked.get(id(question))
        call = asked.call if asked is not None else None
        if asked is not None and call is not None and self._queue.withdraw(call):
            self._settle(asked, UNAVAILABLE, "withdrawn")

    def _ask(self, hook: Hook, question: Question) -> "Deferred[Verdict]":
        values = hook.values(question)
        for name, value in zip(hook.arguments, values, strict=True):
            if KINDS[name] is Kind.STRING and "\0" in value:
                # It would be told of what is before the NUL alone.
                self._counters["questions_refused"] += 1
                return succeed(_UNTELLABLE)
        asked = _Asked(question)
        self._asked[id(question)] = asked
        pairs = encode_arguments(hook, values)
        now = self._reactor.seconds()
        asked.call = self._queue.ask(hook.camel, pairs, asked, now)
        self._pump()
        return asked.verdict

    def _tell(self, hook: Hook, event: Event, handle: int) -> ResultCode:
        pairs = encode_arguments(hook, hook.values(event, handle))
        sender_of = _SENDERS.get(type(event))
        sender = sender_of(event) if sender_of is not None else None
        try:
            code = self._queue.tell(hook.camel, pairs, sender)
        except Overrun:
            self._give_up("does not keep up with what happens")
            return UNAVAILABLE.code
        if code == ResultCode.SUCCESS:
            self._pump()
        else:
            self._notices.say(
                "dropped",
                f"Warning:{self._title} takes texts and data of clients too "
                f"slowly, {self._queue.dropped} are left out so far",
            )
        return code

    def _pump(self) -> None:
        """Send what may be sent."""
        taken = self._queue.take(self._reactor.seconds())
        if taken and self._host is not None:
            self._host.write(b"".join(encode_call(*call) for call in taken))
        self._arm()

    def _arm(self) -> None:
        """Have a timer at the time the queue asks for, or before it.

        One that comes early costs less than moving it with every call.
        """
        due = self._queue.next_timeout()
        if due is None or self._suspected or not self.running:
            return
        timer = self._timer
        if timer is not None and timer.active():
            if timer.getTime() <= due:
                return
            timer.cancel()
        delay = max(0.0, due - self._reactor.seconds())
        self._timer = self._reactor.callLater(delay, self._look)

    def _look(self) -> None:
        """See whose time is over."""
        now = self._reactor.seconds()
        for name, waiter in self._queue.late(now):
            self._notices.say(
                "timeout",
                f"Warning:{self._title} gave no verdict on {name} in "
                f"{self._answer_timeout:g} s.",
            )
            self._settle(waiter, TOO_LATE, "timeout")
        hangs, suspected = self._queue.hangs(now), self._suspected
        self._suspected = hangs and not suspected
        if self._suspected:
            self._timer = self._reactor.callLater(GRACE, self._look)
        elif hangs:
            self._give_up(f"has hung for {self._answer_timeout:g} s")
        else:
            self._arm()
