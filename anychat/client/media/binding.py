"""The client's side of address binding: a pure machine with time.

The client asks the server's addresses in turn with authenticated STUN Binding
requests (RFC 8489) until one answers; the server sends a check of its own to
the address it saw, and the answer to that binds it (wire.md).  From then on
requests keep the binding alive: every 15 s, with media under way every 2 s, so
that a NAT that changes its mapping is noticed.  Three seconds without an answer
are abnormal, which is told once; the search begins anew.

::

    SEARCHING --answer and check--> BOUND --3 s without an answer--> SEARCHING

A message is taken seriously only with the right MESSAGE-INTEGRITY.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from anychat.errors import PeerError
from anychat.media import stun
from anychat.media.stun import MessageClass, StunMessage

Address = tuple[str, int]

#: Seconds between keep-alives.
IDLE_INTERVAL = 15.0
MEDIA_INTERVAL = 2.0
#: Seconds without an answer that are abnormal.
ABNORMAL = 3.0

#: Seconds between the requests of a search, and between unanswered ones later.
_SEARCH_INTERVALS = (0.1, 0.2, 0.3, 0.4)
_RETRY_INTERVAL = 0.5
#: Seconds to wait for the server's check once it has answered.  It makes none
#: where the address is bound already; for a new session it always does, and
#: repeats it if it is lost.
_CHECK_WAIT = 0.2
_FIRST_CHECK_WAIT = 2.0
#: Most requests whose answers are awaited.
_OUTSTANDING = 32


@dataclass(frozen=True, slots=True)
class Bound:
    """The server knows where to send."""

    delay: float
    """Round trip of the request, seconds."""


@dataclass(frozen=True, slots=True)
class Abnormal:
    """The server does not answer any more."""


Event = Bound | Abnormal


class Binding:
    """Keeps one session's address bound.

    :param addresses: of the server, in the order they are tried.
    :param username: and ``key``: of the session, for both directions.
    :param random_bytes: makes transaction ids.
    :param known: the session was bound before, perhaps from here.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        username: str,
        key: bytes,
        random_bytes: Callable[[int], bytes],
        now: float,
        known: bool = False,
    ):
        self.refused = 0
        """Messages that were malformed or not authenticated."""
        self.bound = False
        self.round_trip = 0.0
        """Of the last request that was answered, seconds."""
        self._addresses = list(addresses)
        self.username = username
        self._key = key
        self._random_bytes = random_bytes
        self._candidate = 0
        self._attempt = 0
        self._active = False
        self._next_request = now
        self._unanswered: float | None = None
        self._abnormal = False
        self._sent: dict[bytes, tuple[Address, float]] = {}
        self._answer: float | None = None
        self._checked = False
        self._check_wait = _CHECK_WAIT if known else _FIRST_CHECK_WAIT
        self._outbox: list[tuple[bytes, Address]] = []
        self._events: list[Event] = []

    @property
    def peer(self) -> Address:
        """The server's address at present: answering, or being tried."""
        return self._addresses[self._candidate]

    @property
    def waiting(self) -> bool:
        """Whether the server owes an answer."""
        return self._unanswered is not None

    def set_active(self, active: bool, now: float) -> None:
        """Whether media is under way."""
        self._active = active
        if active and self.bound:
            self._next_request = min(self._next_request, now + MEDIA_INTERVAL)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a STUN message."""
        try:
            message = stun.parse(data)
            if message.kind is MessageClass.REQUEST:
                message.check(self._key, self.username)
            elif message.kind is MessageClass.SUCCESS:
                message.check(self._key)
            else:
                # An error answer need not be authenticated, so it decides
                # nothing: a request without a good answer is asked again.
                return
        except PeerError:
            self.refused += 1
            return
        if message.kind is MessageClass.REQUEST:
            self._check(message, source, now)
        else:
            self._answered(message, source, now)

    def _check(self, message: StunMessage, source: Address, now: float) -> None:
        """The server wants to know whether this is where the session is."""
        self._outbox.append((stun.success(message, source, self._key), source))
        if source_key(source) == source_key(self.peer):
            self._checked = True
            self._conclude(now)

    def _answered(self, message: StunMessage, source: Address, now: float) -> None:
        address, sent = self._sent.pop(message.transaction, (None, 0.0))
        if address is None or source_key(address) != source_key(source):
            self.refused += 1
            return
        self._unanswered = None
        self.round_trip = now - sent
        if self.bound:
            self._sent.clear()
            interval = MEDIA_INTERVAL if self._active else IDLE_INTERVAL
            self._next_request = now + interval
        else:
            self._candidate = self._addresses.index(address)
            if self._answer is None:
                self._answer = now + self._check_wait
            self._conclude(now)

    def _conclude(self, now: float) -> None:
        """Bound, once the server has answered and has had its check answered."""
        if self.bound or self._answer is None:
            return
        if not self._checked and now < self._answer:
            return
        self.bound = True
        self._abnormal = False
        self._check_wait = _CHECK_WAIT
        self._answer = None
        self._sent.clear()
        self._next_request = now + (MEDIA_INTERVAL if self._active else IDLE_INTERVAL)
        self._events.append(Bound(self.round_trip))

    def next_timeout(self) -> float:
        """When to call `handle_timeout`."""
        due = [self._next_request]
        if self._answer is not None:
            due.append(self._answer)
        if self._unanswered is not None and not self._abnormal:
            due.append(self._unanswered + ABNORMAL)
        return min(due)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._conclude(now)
        since = self._unanswered
        if since is not None and not self._abnormal and now >= since + ABNORMAL:
            if self.bound:
                self._search(now)
            self._abnormal = True
            self._events.append(Abnormal())
        if now >= self._next_request:
            self._ask(now)

    def ask(self, now: float) -> None:
        """Make a request now, whatever is due; it is repeated until answered."""
        self._ask(now)

    def _search(self, now: float) -> None:
        self.bound = self._checked = False
        self._answer = None
        self._sent.clear()
        self._candidate = self._attempt = 0
        self._next_request = now

    def _ask(self, now: float) -> None:
        if self.bound:
            wait = _RETRY_INTERVAL
        else:
            if self._attempt == len(_SEARCH_INTERVALS):
                self._attempt = 0
                self._candidate = (self._candidate + 1) % len(self._addresses)
            wait = _SEARCH_INTERVALS[self._attempt]
            self._attempt += 1
        self._next_request = now + wait
        if self._unanswered is None:
            self._unanswered = now
        transaction = self._random_bytes(stun.TRANSACTION_LENGTH)
        while len(self._sent) >= _OUTSTANDING:
            del self._sent[next(iter(self._sent))]
        self._sent[transaction] = self.peer, now
        data = stun.request(transaction, self.username, self._key)
        self._outbox.append((data, self.peer))

    def to_send(self) -> list[tuple[bytes, Address]]:
        """Datagrams to be sent, and where."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def events(self) -> list[Event]:
        """What has happened since the last call."""
        events, self._events = self._events, []
        return events


def source_key(address: Address) -> tuple[bytes, int]:
    """An address in the one form that can be compared.

    A socket may show IPv6 addresses written differently, with a scope, or IPv4
    ones inside IPv6.
    """
    host, port = address
    parsed = ip_address(host.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).packed, port
