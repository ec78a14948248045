"""The client's side of address binding: a pure machine with time.

The client asks the server's addresses in turn with authenticated STUN Binding
requests (RFC 8489) until one answers; the server sends a check of its own to
the address it saw, and the answer to that binds it (wire.md).  That answer may be
lost, or be overtaken by media; so the client asks once more at once, and is bound
when the server says in an answer that the address is (ANYCHAT-BOUND).  From then
on requests keep the binding alive: every 15 s, with media under way every 2 s, so
that a NAT that changes its mapping is noticed: the server answers without
ANYCHAT-BOUND, and its check is answered as before.  Three seconds in which the
server does not say that the address is bound are abnormal, which is told once; the
search begins anew.  Where media has another way, and none has come by this one for as
long, one second is enough while media is under way.

::

    SEARCHING --ANYCHAT-BOUND--> BOUND
    BOUND --an answer without it, or 3 s (1 s) with none--> SEARCHING

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
#: Seconds without an answer that says "bound" that are abnormal.
ABNORMAL = 3.0
#: The same for who has another way, with media under way but none that comes; a
#: little less than four requests take.
HASTY = 0.9

#: Seconds between the requests of a search, and between unanswered ones later.
_SEARCH_INTERVALS = (0.1, 0.2, 0.3, 0.4)
_RETRY_INTERVAL = 0.5
_HASTY_INTERVAL = 0.25
#: Most requests whose answers are awaited.
_OUTSTANDING = 32


@dataclass(frozen=True, slots=True)
class Bound:
    """The server says that the address is bound: it takes media from there, and
    knows where to send."""

    delay: float
    """Round trip of the request, seconds."""


@dataclass(frozen=True, slots=True)
class Abnormal:
    """The server does not say any more that the address is bound."""


Event = Bound | Abnormal


class Binding:
    """Keeps one session's address bound.

    :param addresses: of the server, in the order they are tried.
    :param username: and ``key``: of the session, for both directions.
    :param random_bytes: makes transaction ids.
    :param hasty: whether media has another way, so that this one is given up early.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        username: str,
        key: bytes,
        random_bytes: Callable[[int], bytes],
        now: float,
        hasty: bool = False,
    ):
        self.refused = 0
        """Messages that were malformed, not authenticated, from elsewhere or out of
        date."""
        self.bound = False
        self.round_trip = 0.0
        """Of the last request that was answered, seconds."""
        self.way = 0.0
        """The shortest of them, seconds: the way there and back, without what
        either side was busy with."""
        self._addresses = list(addresses)
        self._username = username
        self._key = key
        self._random_bytes = random_bytes
        self._candidate = 0
        self._attempt = 0
        self._hasty = hasty
        self._active = False
        self._heard = now
        """When media came last."""
        self._next_request = now
        self._unanswered: float | None = None
        """When the first request was made since the server said "bound"."""
        self._hurried = False
        """A check has had its request, which no timer asked for."""
        self._abnormal = False
        self._sent: dict[bytes, tuple[Address, float]] = {}
        self._outbox: list[tuple[bytes, Address]] = []
        self._events: list[Event] = []

    @property
    def peer(self) -> Address:
        """The server's address at present: answering, or being tried."""
        return self._addresses[self._candidate]

    def set_active(self, active: bool, now: float) -> None:
        """Whether media is under way."""
        self._active = active
        if active and self.bound:
            self._next_request = min(self._next_request, now + MEDIA_INTERVAL)

    def heard(self, now: float) -> None:
        """Media has come this way."""
        self._heard = now

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a STUN message."""
        try:
            message = stun.parse(data)
            if message.kind is MessageClass.REQUEST:
                message.check(self._key, self._username)
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
        address = self._ours(source)
        if address is None or (self.bound and address != self.peer):
            # To answer would bind another way than the one that is used.
            self.refused += 1
            return
        self._outbox.append((stun.success(message, source, self._key), source))
        if self._unanswered is None:
            return
        # What another address is asked may be answered before this moves us.
        self._sent = {
            transaction: (target, sent)
            for transaction, (target, sent) in self._sent.items()
            if target == address
        }
        self._candidate = self._addresses.index(address)
        # Once between two timed requests: a check that somebody sends again and
        # again must not use up what the server takes of us.
        if not self._hurried:
            self._hurried = True
            self._attempt = 0
            self._ask(now)

    def _answered(self, message: StunMessage, source: Address, now: float) -> None:
        address, sent = self._sent.get(message.transaction, (None, 0.0))
        if address is None or source_key(address) != source_key(source):
            self.refused += 1
            return
        # What was asked before is out of date now.
        for transaction in list(self._sent):
            del self._sent[transaction]
            if transaction == message.transaction:
                break
        self.round_trip = now - sent
        self.way = min(self.way or self.round_trip, self.round_trip)
        if message.bound:
            self._candidate = self._addresses.index(address)
            self._confirmed(now)
        elif self.bound:
            # A NAT has given us another address; the check comes.
            self.bound = False
            self._attempt = 0
            self._next_request = min(self._next_request, now + _SEARCH_INTERVALS[0])
        else:
            self._candidate = self._addresses.index(address)

    def _confirmed(self, now: float) -> None:
        """The server says that the address is bound."""
        self._unanswered = None
        self._next_request = now + (MEDIA_INTERVAL if self._active else IDLE_INTERVAL)
        if not self.bound:
            self.bound = True
            self._abnormal = False
            # What was asked in the search, other addresses perhaps, may have been
            # answered before this.
            self._sent.clear()
            self._events.append(Bound(self.round_trip))

    def _ours(self, source: Address) -> Address | None:
        """That one of the server's addresses, as it was given."""
        key = source_key(source)
        for address in self._addresses:
            if source_key(address) == key:
                return address
        return None

    def next_timeout(self) -> float:
        """When to call `handle_timeout`."""
        if self._unanswered is not None and not self._abnormal:
            return min(self._next_request, self._unanswered + ABNORMAL)
        return self._next_request

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        since = self._unanswered
        if since is not None and not self._abnormal and self._is_over(since, now):
            if self.bound:
                self._search(now)
            self._abnormal = True
            self._events.append(Abnormal())
        if now >= self._next_request:
            self._hurried = False
            self._ask(now)

    def _is_over(self, since: float, now: float) -> bool:
        """Whether nothing has been said for too long."""
        if now >= since + ABNORMAL:
            return True
        quiet = now >= max(since, self._heard) + HASTY
        return self._hasty and self._active and self.bound and quiet

    def _search(self, now: float) -> None:
        self.bound = False
        self.way = 0.0
        self._sent.clear()
        self._candidate = self._attempt = 0
        self._next_request = now

    def _ask(self, now: float) -> None:
        if self.bound:
            hurry = self._hasty and self._active
            wait = _HASTY_INTERVAL if hurry else _RETRY_INTERVAL
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
        data = stun.request(transaction, self._username, self._key)
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
