"""The channel for business servers: the plug-in that ``ipc`` stands for.

Business servers connect here, say which verdicts they give and which events
they want, and are known by their name from then on.  To the core this is its
one `Filter`: a question goes to whoever holds the role, an event into the queue
of everybody who wants it, connected or not.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

import anychat
from anychat.business_messages import (
    Answer,
    Arbiter,
    Call,
    Event,
    OnVideoCallEvent,
    PrepareEnterRoom,
    Question,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, LocalError, PeerError, Refused
from anychat.filters.seam import FilterOwner
from anychat.notices import Notices
from anychat.protocols.business_server import BusinessChannel, ChannelTerms
from anychat.protocols.proof import SALT_SIZE, derive_key
from anychat.protocols.signalling import HelloFacts
from anychat.protocols.tls import SecureTransports, ServerContext
from anychat.services.admission import Admission, is_loopback, plain_address
from anychat.services.event_queue import EventQueue, Window
from anychat.services.listening import Drain, listen_tcp
from anychat.services.recipient import DATA, Recipient, entry_of
from anychat.services.settings import BusinessChannelSettings
from anychat.services.verdict_roles import Taken, VerdictRoles
from anychat.terms import Feature

__all__ = [
    "COUNTERS",
    "GAUGES",
    "BusinessChannelSettings",
    "BusinessService",
    "resting",
]

#: Statistics that go up and down.
GAUGES = frozenset(
    {
        "connected",
        "names",
        "unauthenticated",
        "queue_bytes",
        "events_waiting",
        "events_under_way",
        "questions_open",
        "unsent_bytes",
    }
)

#: Those that only grow.
COUNTERS = (
    "accepted",
    "refused_crowd",
    "refused_names",
    "faults",
    "begun",
    "replaced",
    "names_forgotten",
    "events",
    "events_dropped",
    "events_left_out",
    "data_refused",
    "questions",
    "questions_answered",
    "questions_timeout",
    "questions_late",
    "questions_refused",
    "questions_withdrawn",
    "questions_unavailable",
    "questions_without",
    "calls",
    "calls_refused",
)

_EPOCH_SIZE = 8

_VERIFIER, _ADMITTER = VerifyUser.__name__, PrepareEnterRoom.__name__
_CALL_JUDGE = OnVideoCallEvent.__name__


def resting(require: bool) -> tuple[Arbiter, Arbiter]:
    """Who decides about logins and rooms while no business server is there.

    :param require: RequireBusiness.
    """
    return Arbiter.AWAY, Arbiter.AWAY if require else Arbiter.NOBODY


class BusinessService(Service):
    """All channels, who answers what, and what everybody is still to be told.

    :param owner: the core, as its plug-ins see it.
    :param facts: what the core says of itself.
    :param random_bytes: must be fit for cryptography (``os.urandom``).
    :param log: the server's log, a line at a time.
    :param context: TLS; None: it is not offered.
    :param distributed: whether business servers on other machines are licensed.
    """

    version = f"SDK Filter Plus (IPC), for Linux V{anychat.__version__}"

    _failures = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: BusinessChannelSettings,
        owner: FilterOwner,
        facts: HelloFacts,
        random_bytes: Callable[[int], bytes],
        log: Callable[[str], None],
        context: ServerContext | None,
        distributed: Callable[[], bool],
    ) -> None:
        self._reactor = reactor
        self._distributed = distributed
        self._settings = settings
        self._owner = owner
        self._log = log
        self._notices = Notices(log, reactor.seconds)
        salt = random_bytes(SALT_SIZE)
        self._terms = ChannelTerms(
            facts=facts,
            seconds=reactor.seconds,
            call_later=reactor.callLater,
            random_bytes=random_bytes,
            epoch=random_bytes(_EPOCH_SIZE),
            salt=salt,
            key=derive_key(settings.password, salt) if settings.password else b"",
            secure_transports=SecureTransports(context, reactor) if context else None,
            heartbeat=settings.heartbeat,
            timeout=settings.timeout,
            answer_timeout=settings.answer_timeout,
            begin_time=settings.begin_time,
        )
        self._window = Window(settings.window_events, settings.window_bytes)
        self._admission = Admission(
            settings.channels_per_address, settings.channels_overall
        )
        self._channels: set[BusinessChannel] = set()
        self._strangers: set[BusinessChannel] = set()  # those that have not begun
        self._recipients: dict[str, Recipient] = {}
        self._roles: VerdictRoles[Recipient] = VerdictRoles()
        self._said: tuple[Arbiter, Arbiter, bool, bool] | None = None
        self._answering: dict[str, Recipient | None] = {}
        self._counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self._ports: list[Any] = []
        self._drain = Drain(reactor, self._channels, self._cut_off)

    # Service.

    def startService(self) -> None:
        """Listen.

        :raises CannotListenError: an address or the port cannot be had.
        """
        self._ports = listen_tcp(
            self._reactor, self.accept, self._settings.addresses, self._settings.port
        )
        super().startService()
        self._arbitrate()

    def stopService(self) -> "Deferred[Any]":
        """Close the port and all channels; fires when they are gone.

        What does not go by itself within a second is cut off.
        """
        super().stopService()
        for channel in list(self._channels):
            channel.close(ResultCode.CONNECT_OFFLINE)
        ports, self._ports = self._ports, []
        return self._drain.begin(ports)

    def addresses(self) -> list[Any]:
        """Where it listens."""
        return [port.getHost() for port in self._ports]

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        recipients = list(self._recipients.values())
        queues = [recipient.queue for recipient in recipients]
        return {
            **self._counters,
            "connected": len(self._roles),
            "names": len(recipients),
            "unauthenticated": len(self._admission),
            "queue_bytes": sum(queue.bytes for queue in queues),
            "events_waiting": sum(queue.waiting for queue in queues),
            "events_under_way": sum(queue.under_way for queue in queues),
            "questions_open": sum(one.open_questions for one in recipients),
            "questions_late": self._counters["questions_late"]
            + sum(channel.late for channel in self._channels),
            "unsent_bytes": sum(channel.unsent for channel in self._channels),
        }

    # What the core asks (`Filter`).

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Fires with the verdict of whoever holds the role; see `Filter`."""
        holder = self._roles.holder(type(question).__name__) if self.running else None
        if holder is None:
            self._counters["questions_without"] += 1
            return succeed(Verdict(ResultCode.SERVERSDK_FAIL))
        return holder.ask(question)

    def withdraw(self, question: Question) -> None:
        """Do not put this question, if that has not been done yet."""
        for recipient in self._recipients.values():
            if recipient.withdraw(question):
                return

    def tell(self, event: Event) -> ResultCode:
        """Put an event into the queues of all who want it; see `Filter`."""
        if not self.running:
            return ResultCode.SERVERSDK_FAIL
        self._counters["events"] += 1
        kind = type(event).__name__
        wanting = [one for one in self._recipients.values() if one.wants(kind)]
        present = [one for one in wanting if one.channel is not None]
        if not (present if isinstance(event, DATA) else wanting):
            return ResultCode.SERVERSDK_FAIL
        try:
            entry = entry_of(event)
        except LocalError:
            self._failures.failure("{kind} cannot be told", kind=kind)
            for recipient in wanting:
                recipient.lose()
            return ResultCode.SUCCESS
        if isinstance(event, DATA) and not any(one.takes(entry) for one in present):
            self._counters["data_refused"] += 1
            present[0].complain(entry)
            return ResultCode.NOENOUGHRESOURCE
        for recipient in wanting:
            recipient.tell(entry)
        return ResultCode.SUCCESS

    # What the port reports.

    def accept(self, addr: Any) -> BusinessChannel | None:
        """A connection came; None closes it at once."""
        address = plain_address(addr.host)
        if not self._admission.enter(address):
            self._counters["refused_crowd"] += 1
            self._notices.say(
                "crowd",
                f"Refuse business connection from {address}, too many connections "
                "that have not begun.",
            )
            return None
        self._counters["accepted"] += 1
        channel = BusinessChannel(
            self,
            self._terms,
            address=address,
            port=addr.port,
            loopback=is_loopback(address),
        )
        self._channels.add(channel)
        self._strangers.add(channel)
        return channel

    # What channels report.

    def channel_begun(self, channel: BusinessChannel) -> int:
        """A business server is let in, unless there are too many."""
        if not (_is_here(channel) or self._distributed()):
            raise Refused(
                ResultCode.CONNECT_FUNCLIMIT,
                "a business server on another machine needs a licence of the core "
                f"with the feature {Feature.DISTRIBUTED.value!r}",
            )
        recipient = self._recipients.get(channel.name)
        resumes = channel.epoch == self._terms.epoch
        if recipient is None:
            recipient = self._remember(channel.name)
            if resumes and channel.handled:
                # It is known no more what came after that: say so.
                recipient.queue.lose()
        former = recipient.channel
        if former is not None:
            self._counters["replaced"] += 1
            self._log(
                f"Business server({_peer(former)}) gives way to a new connection of "
                f"that name from {_address(channel)}."
                f"(errorcode={ResultCode.SERVER_RESTART:d})"
            )
            recipient.detach()
            former.close(ResultCode.SERVER_RESTART)
        self._stranger_no_more(channel)
        return recipient.attach(channel, anew=not resumes)

    def channel_ready(self, channel: BusinessChannel) -> None:
        """A business server can be told and asked."""
        recipient = self._recipients[channel.name]
        self._counters["begun"] += 1
        self._log(f"Business server({_peer(channel)}) connect success!")
        recipient.greet(self._owner.online())
        recipient.give_up(ResultCode.SERVER_RESTART)
        self._spread(self._roles.join(recipient, channel.verdicts, instead=recipient))
        self._arbitrate()

    def channel_acknowledged(self, channel: BusinessChannel, number: int) -> None:
        """A business server has handled all events up to this number."""
        recipient = self._recipients[channel.name]
        if recipient.channel is channel and recipient.acknowledge(number):
            recipient.show(self._owner.online())

    def channel_call(self, channel: BusinessChannel, call: Call) -> Answer:
        """Have the core do something."""
        self._counters["calls"] += 1
        answer = self._owner.call(call)
        self._counters["calls_refused"] += answer.code != ResultCode.SUCCESS
        return answer

    def channel_fault(self, channel: BusinessChannel, error: AnyChatError) -> None:
        """A business server is turned away, or answers with nonsense."""
        assert isinstance(error, PeerError | Refused)
        self._counters["faults"] += 1
        verb = "Close" if channel.closed else "Take no verdict of"
        self._notices.say(
            f"fault {error.code:d}",
            f"{verb} business server({_peer(channel)}), "
            f"{error.reason or error.code.text}.(errorcode={error.code:d})",
        )

    def channel_over(self, channel: BusinessChannel) -> None:
        """A business server is there no more: others have its roles at once."""
        recipient = self._recipients.get(channel.name)
        if recipient is None or recipient.channel is not channel:
            return
        recipient.detach()
        self._log(f"Business server({_peer(channel)}) disconnect")
        news = self._roles.leave(recipient)
        if self.running:
            self._spread(news)
        self._arbitrate()
        recipient.give_up(ResultCode.SERVERSDK_FAIL)

    def channel_lost(self, channel: BusinessChannel, reason: Failure) -> None:
        """A connection is gone."""
        self._channels.remove(channel)
        if channel in self._strangers:
            self._stranger_no_more(channel)
        self._counters["questions_late"] += channel.late
        self._drain.notice()

    # The rest.

    def arbiters(self) -> tuple[Arbiter, Arbiter]:
        """Who decides about logins, and about entering rooms."""
        verifier, admitter = resting(self._settings.require)
        if self._roles.holder(_VERIFIER) is not None:
            verifier = Arbiter.THERE
        if self._roles.holder(_ADMITTER) is not None:
            admitter = Arbiter.THERE
        return verifier, admitter

    def _arbitrate(self) -> None:
        """Tell the core who decides from now on, and the operator."""
        if not self.running:
            return
        verifier, admitter = self.arbiters()
        hears = bool(self._roles)
        judges_calls = self._roles.holder(_CALL_JUDGE) is not None
        now = verifier, admitter, hears, judges_calls
        if now != self._said:
            self._said = now
            self._owner.arbiters(
                verifier, admitter, hears=hears, judges_calls=judges_calls
            )
        for verdict in _VERIFIER, _ADMITTER, _CALL_JUDGE:
            holder = self._roles.holder(verdict)
            if holder is not self._answering.get(verdict):
                self._answering[verdict] = holder
                if holder is not None:
                    self._log(f"{verdict} is answered by business server {holder.name}")
        if self._roles and admitter is Arbiter.AWAY:
            self._notices.say(
                "admitter",
                "Warning:No business server answers PrepareEnterRoom: those who "
                "log in now are let into no room(206), demo mode apart.  Override "
                "it, or set RequireBusiness=0.",
            )

    def _spread(self, news: list[Taken[Recipient]]) -> None:
        """Tell business servers who answers in their place, or that they do."""
        for taken in news:
            channel = taken.member.channel
            if channel is not None:
                channel.verdicts_taken(frozenset(taken.verdicts), taken.holder.name)

    def _remember(self, name: str) -> Recipient:
        """A business server that is new, or was forgotten.

        :raises Refused: there are too many, and all are connected.
        """
        recipients, most = self._recipients, self._settings.names
        if len(recipients) >= most:
            absent = [one for one in recipients.values() if one.channel is None]
            if not absent:
                self._counters["refused_names"] += 1
                raise Refused(
                    ResultCode.NOENOUGHRESOURCE,
                    f"{most} business servers are connected already",
                )
            oldest = min(absent, key=lambda one: one.absent_since)
            del recipients[oldest.name]
            lost = oldest.queue.waiting
            self._counters["names_forgotten"] += 1
            self._counters["events_dropped"] += lost
            self._log(
                f"Warning:Business server({oldest.name}) is forgotten with {lost} "
                f"events that wait for it, for there are more than {most} names."
            )
        recipient = recipients[name] = Recipient(
            name,
            self._reactor,
            EventQueue(self._settings.queue_bytes, self._window),
            self._settings.answer_timeout,
            self._settings.questions,
            self._counters,
            self._notices,
        )
        return recipient

    def _stranger_no_more(self, channel: BusinessChannel) -> None:
        self._strangers.remove(channel)
        self._admission.leave(channel.address)

    def _cut_off(self) -> None:
        for channel in list(self._channels):
            channel.abort()


def _is_here(channel: BusinessChannel) -> bool:
    """Whether a business server is on this host, by whatever address."""
    return channel.loopback or plain_address(channel.own_address) == channel.address


def _address(channel: BusinessChannel) -> str:
    host = channel.address
    return f"[{host}]:{channel.port}" if ":" in host else f"{host}:{channel.port}"


def _peer(channel: BusinessChannel) -> str:
    return f"{channel.name or 'unnamed'}, {_address(channel)}"
