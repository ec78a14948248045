"""One business server as the core's service for them knows it: by its name.

It outlives its connections.  What happens while there is none waits in its
`EventQueue`; questions are for the connection that is there, and when that one
goes each of them is answered at once.
"""

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from anychat.business_messages import (
    MAX_PRESENCES,
    AppMessageEx,
    BusinessMessage,
    Event,
    EventsLost,
    OnlineUsers,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    OnTransBufferEx,
    OnUserInfoControl,
    OnVideoCallEvent,
    Presence,
    Question,
    Verdict,
)
from anychat.codes import ResultCode
from anychat.notices import Notices
from anychat.protocols.business_boxes import encode_event, number_event
from anychat.protocols.business_server import ALL, BusinessChannel
from anychat.services.event_queue import Entry, EventQueue, Gap

#: `AppMessageEx.message`: the link to the core.
CORE_LINK = 10

#: Events about the connection that is there, of no use to a later one.
OF_CONNECTION = frozenset({AppMessageEx.__name__, OnlineUsers.__name__})

#: What clients send to whoever is there: they can be told that it was not taken.
DATA = (OnRecvUserFilterData, OnTransBuffer, OnTransBufferEx)

#: What clients say, be it to others; all other events are few.
_PASSING = (*DATA, OnRecvUserTextMsg)

#: Questions of which one client may have several: half of the places is theirs,
#: so that logins and entries find one whatever those who are in ask.
_SEVERAL = (OnVideoCallEvent, OnUserInfoControl)

#: What tells whose an event or a question is, where that is not ``user_id``.
_USER = {
    OnRecvUserTextMsg: "source_id",
    OnVideoCallEvent: "source_id",
    OnUserInfoControl: "sender_id",
}


def user_of(message: BusinessMessage) -> int | None:
    """Whose it is; None: of nobody who is signed in."""
    name = _USER.get(type(message), "user_id")
    user: int | None = getattr(message, name, None)
    return user


def entry_of(event: Event) -> Entry:
    """An event encoded for all queues.

    :raises LocalError: a value does not fit.
    """
    kind = type(event).__name__
    return Entry(
        kind,
        encode_event(event),
        user_of(event) or 0,
        passing=isinstance(event, _PASSING),
        # Those are told once for each connection: they must not drive out others.
        free=kind in OF_CONNECTION,
    )


class Opened:
    """A question that waits for its verdict."""

    __slots__ = ("asked", "put", "question", "timer", "verdict")

    def __init__(self, question: Question) -> None:
        self.question: Question | None = question
        """None: it has been answered, in whatever way."""
        self.put = False
        """It has gone out."""
        self.asked: Deferred[Verdict] | None = None
        """What the channel has of it."""
        self.verdict: Deferred[Verdict] = Deferred()
        self.timer: IDelayedCall | None = None


class Recipient:
    """One business server, connected or not.

    :param answer_timeout: seconds that it has for a verdict.
    :param questions: how many may wait for theirs.
    :param counters: where all of them count.
    """

    def __init__(
        self,
        name: str,
        clock: IReactorTime,
        queue: EventQueue[Opened],
        answer_timeout: float,
        questions: int,
        counters: Counter[str],
        notices: Notices,
    ) -> None:
        self.name = name
        self.channel: BusinessChannel | None = None
        self.absent_since = clock.seconds()
        """While there is no connection."""
        self.queue = queue
        self._clock = clock
        self._answer_timeout = answer_timeout
        self._questions = questions
        self._counters = counters
        self._notices = notices
        self._events: frozenset[str] = frozenset()
        # In the order of asking, as a set that keeps it.
        self._opened: dict[Opened, None] = {}
        self._several = 0  # of them, see `_SEVERAL`
        self._left: dict[Opened, None] = {}
        # The same by the identity of their questions.
        self._by_question: dict[int, Opened] = {}
        self._greeted = False
        self._pumping = False
        self._shown = 0

    @property
    def open_questions(self) -> int:
        """Questions that wait for a verdict."""
        return len(self._opened)

    # Connections.

    def attach(self, channel: BusinessChannel, *, anew: bool) -> int:
        """A connection has begun; nothing goes out over it until `greet`.

        :param anew: it does not go on where an earlier one has ended.
        :return: how many events are gone that it has not handled.
        """
        self.channel = channel
        self._events = channel.events
        return self.queue.resume(
            0 if anew else channel.handled,
            lambda kind: kind not in OF_CONNECTION and self.wants(kind),
            anew=anew,
        )

    def greet(self, online: Sequence[Presence]) -> None:
        """Send what waits, and then who is signed in now."""
        self._greeted = True
        if self._left:
            self._report(ResultCode.SERVER_RESTART)
        self._report(ResultCode.SUCCESS)
        self.show(online)

    def show(self, online: Sequence[Presence]) -> None:
        """Tell who is signed in now."""
        for start in range(0, len(online) or 1, MAX_PRESENCES):
            end = start + MAX_PRESENCES
            part = OnlineUsers(tuple(online[start:end]), final=end >= len(online))
            self.queue.tell(entry_of(part))
        self._shown = self.queue.dropped
        self.pump()

    def _report(self, code: ResultCode) -> None:
        self.queue.tell(entry_of(AppMessageEx(CORE_LINK, code, 0)))

    def detach(self) -> None:
        """The connection is gone; the questions that it had are to be given up."""
        self.channel = None
        self._greeted = False
        self.absent_since = self._clock.seconds()
        self.queue.rewind()
        self._left, self._opened = self._opened, {}

    def give_up(self, code: ResultCode) -> None:
        """Answer the questions of a connection that is gone, in their order."""
        left, self._left = self._left, {}
        for opened in left:
            self._counters["questions_unavailable"] += 1
            self._settle(opened, Verdict(code))

    # Events.

    def wants(self, kind: str) -> bool:
        """Whether it is to be told such events."""
        return kind in self._events or ALL in self._events

    def takes(self, entry: Entry) -> bool:
        """Whether it is connected, and so much of that user may wait for it."""
        return self.channel is not None and self.queue.takes(entry)

    def tell(self, entry: Entry) -> None:
        """Something has happened."""
        queue = self.queue
        dropped, left_out = queue.dropped, queue.left_out
        queue.tell(entry)
        self._own_losses(dropped)
        if queue.left_out != left_out:
            self._counters["events_left_out"] += 1
            self.complain(entry)
        self.pump()

    def complain(self, entry: Entry) -> None:
        """One user says more than this one takes."""
        self._notices.say(
            "share",
            f"Warning:Business server({self.name}) has too much of user {entry.user} "
            f"waiting: further data is refused({ResultCode.NOENOUGHRESOURCE:d}), "
            "copies of further texts are left out.",
        )

    def lose(self) -> None:
        """Something has happened that cannot be told."""
        dropped = self.queue.dropped
        self.queue.lose()
        self._own_losses(dropped)
        self.pump()

    def _own_losses(self, before: int) -> None:
        lost = self.queue.dropped - before
        if lost:
            self._counters["events_dropped"] += lost
            self._notices.say(
                "dropped",
                f"Warning:Business server({self.name}) does not take its events "
                f"in time, {self.queue.dropped} dropped so far: it is too slow, "
                "or was away too long.",
            )

    def acknowledge(self, number: int) -> bool:
        """It has handled all events up to this number.

        :return: whether it has caught up after a loss, and `show` is due.
        :raises PeerError: that number has not gone out.
        """
        self.queue.acknowledge(number)
        self.pump()
        return self.queue.dropped != self._shown and not self.queue.waiting

    # Questions.

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Fires with the verdict, 207 if there is none in time."""
        self._counters["questions"] += 1
        several = isinstance(question, _SEVERAL)
        waiting = max(len(self._opened), self.queue.questions)
        if waiting >= self._questions or (
            several and self._several >= self._questions // 2
        ):
            self._counters["questions_refused"] += 1
            self._notices.say(
                "questions",
                f"Warning:Business server({self.name}) has {waiting} questions open, "
                f"the next {type(question).__name__} are answered with 207.",
            )
            return succeed(Verdict(ResultCode.SERVERSDK_TIMEOUT))
        self._several += several
        opened = Opened(question)
        opened.timer = self._clock.callLater(self._answer_timeout, self._expire, opened)
        self._opened[opened] = None
        self._by_question[id(question)] = opened
        self.queue.ask(opened, user_of(question))
        self.pump()
        return opened.verdict

    def withdraw(self, question: Question) -> bool:
        """Put this question no more, if it has not been put yet.

        :return: whether it was to be; its result fires with 101.
        """
        opened = self._by_question.get(id(question))
        if opened is None or opened.put:
            return False
        self._counters["questions_withdrawn"] += 1
        self._settle(opened, Verdict(ResultCode.CONNECT_ABORT))
        return True

    def _expire(self, opened: Opened) -> None:
        self._counters["questions_timeout"] += 1
        self._notices.say(
            "timeout",
            f"Warning:Business server({self.name}) gave no verdict on "
            f"{type(opened.question).__name__} in {self._answer_timeout:g} s.",
        )
        asked = opened.asked
        self._settle(opened, Verdict(ResultCode.SERVERSDK_TIMEOUT))
        if asked is not None:
            asked.cancel()  # the channel lets go of it too

    def _answered(
        self, verdict: Verdict, opened: Opened, channel: BusinessChannel
    ) -> None:
        if opened.question is None or channel is not self.channel:
            return
        self._counters["questions_answered"] += 1
        self._settle(opened, verdict)

    def _settle(self, opened: Opened, verdict: Verdict) -> None:
        if self._by_question.get(id(opened.question)) is opened:
            del self._by_question[id(opened.question)]
        self._several -= isinstance(opened.question, _SEVERAL)
        opened.question = opened.asked = None
        self._opened.pop(opened, None)
        timer, opened.timer = opened.timer, None
        if timer is not None and timer.active():
            timer.cancel()
        opened.verdict.callback(verdict)

    # What goes out.

    def pump(self) -> None:
        """Send what may be sent."""
        if self._pumping:
            return  # whoever does goes on until there is nothing more
        self._pumping = True
        try:
            while (
                self._greeted
                and (channel := self.channel) is not None
                and (parts := self.queue.take())
            ):
                self._write(channel, parts)
        finally:
            self._pumping = False

    def _write(
        self, channel: BusinessChannel, parts: list[tuple[int, Entry | Gap | Opened]]
    ) -> None:
        boxes: list[bytes] = []
        for number, part in parts:
            if isinstance(part, Entry):
                boxes.append(number_event(part.body, number))
            elif isinstance(part, Gap):
                boxes.append(number_event(encode_event(EventsLost(part.count)), number))
            elif part.question is not None:
                if boxes:
                    channel.send(b"".join(boxes))
                    boxes.clear()
                part.put = True
                part.asked = channel.ask(part.question)
                part.asked.addCallback(self._answered, part, channel)
        if boxes:
            channel.send(b"".join(boxes))
