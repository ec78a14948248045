"""Where each client is: addresses proposed, checked and bound by STUN.

::

    client                                          server
      | -- Binding request, the leg's credentials --> |   proposes its source
      | <------------ Binding success --------------- |
      | <-- Binding request, same credentials ------- |   the server's check
      | --------------- Binding success ------------> |   binds or moves
      | -- Binding request -------------------------> |
      | <--------- Binding success, ANYCHAT-BOUND --- |

Only the answer to the check binds: it comes from the very address, answers a random
transaction id that was sent there alone, and is signed.  So a request that was
captured and sent again from elsewhere moves nothing, and nobody who lacks the
leg's key can aim a stream at a third party.  What he can make the server send
there is an answer and a check for each request that he captured *and* the
server never saw (`Drop.REPLAYED_STUN`), no faster than `PROPOSALS`.

What is published from an address before that is dropped, so the client has to
know when it was: the answer to a request that came from the bound address says so
(ANYCHAT-BOUND), whatever was answered before, and no other does.

From the bound address the exchange is the keep-alive: it is only answered.  An
address that was silent for `SILENCE` is unbound.

A request without USERNAME and MESSAGE-INTEGRITY is answered too, without any
state, so that a client or a tool can see whether UDP passes: `ANSWERS_EACH`
network and `ANSWERS_ALL` bound that.  With one of the two it is dropped.

`Bindings` is a pure timed machine for all legs: feed it `receive`, wake it at
`next_timeout`, and after each take `to_send` and `events`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from anychat.errors import PeerError
from anychat.ids import SessionId
from anychat.media import stun
from anychat.media.buckets import Limit, PrefixBuckets, TokenBucket
from anychat.media.counters import Drop, Drops
from anychat.media.deadlines import Deadlines
from anychat.media.path import Address, Path

#: When a check is sent, seconds after the first time, and when it is given up.
CHECK_TIMES = (0.0, 0.1, 0.3, 0.7, 1.5)
CHECK_LIFETIME = 3.1
#: Checks of one leg under way at a time.
MAX_CHECKS = 2
#: Seconds without a keep-alive after which an address is unbound.
SILENCE = 60.0
#: Looks for silent addresses in a second: of many legs, each has another moment
#: to be looked at, and to wake up for each costs more than the look.
SWEEPS = 10
#: Authenticated requests of one leg.
REQUESTS = Limit(rate=20, burst=40)
#: New addresses of one leg.
PROPOSALS = Limit(rate=1, burst=4)
#: Plain requests answered, of one network and of all.
ANSWERS_EACH = Limit(rate=10, burst=20)
ANSWERS_ALL = Limit(rate=200, burst=400)
#: Transaction ids remembered for each leg.
REMEMBERED = 16
_RECENT_SIZE = REMEMBERED * stun.TRANSACTION_LENGTH


@dataclass(frozen=True, slots=True)
class Bound:
    """The leg is there now."""

    leg: SessionId
    path: Path
    round_trip: float
    """Seconds from the check to its answer; longer than the way takes if the
    check had to be sent again."""


@dataclass(frozen=True, slots=True)
class Unbound:
    """The leg was not heard for too long."""

    leg: SessionId


class _Check:
    """A request of ours that waits for its answer."""

    __slots__ = ("data", "leg", "path", "sent", "started", "transaction")

    def __init__(
        self, leg: "_Leg", transaction: bytes, data: bytes, path: Path, now: float
    ):
        self.leg = leg
        self.transaction = transaction
        self.data = data
        self.path = path
        self.started = now
        self.sent = 0


class _Leg:
    """One client's address."""

    __slots__ = (
        "checks",
        "heard",
        "key",
        "leg",
        "path",
        "proposals",
        "recent",
        "requests",
        "username",
    )

    def __init__(self, leg: SessionId, username: str, key: bytes):
        self.leg = leg
        self.username = username
        self.key = key
        self.path: Path | None = None
        self.heard = 0.0
        self.checks: list[_Check] = []
        self.requests = TokenBucket(REQUESTS)
        self.proposals = TokenBucket(PROPOSALS)
        self.recent = b""
        """The latest transaction ids, one after the other."""

    def remember(self, transaction: bytes) -> bool:
        """Whether a transaction id is new; it is not any more."""
        if transaction in self.recent:
            return False
        self.recent = (self.recent + transaction)[-_RECENT_SIZE:]
        return True


class Bindings:
    """The address of every leg.

    :param random_bytes: source of transaction ids.
    :param drops: where dropped datagrams are counted.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], drops: Drops):
        self._random_bytes = random_bytes
        self._drops = drops
        self._legs: dict[SessionId, _Leg] = {}
        self._by_username: dict[str, _Leg] = {}
        self._checks: dict[bytes, _Check] = {}
        self._plain = PrefixBuckets(ANSWERS_EACH, ANSWERS_ALL)
        # Keys: the transaction id of a check, or the leg whose silence ends.
        self._deadlines: Deadlines[bytes | SessionId] = Deadlines()
        self._out: list[tuple[bytes, Path]] = []
        self._events: list[Bound | Unbound] = []
        self.answered = 0
        """Plain Binding requests answered."""

    def add(self, leg: SessionId, username: str, key: bytes) -> None:
        """Let a leg be bound by whoever has these credentials."""
        state = _Leg(leg, username, key)
        self._legs[leg] = self._by_username[username] = state

    def remove(self, leg: SessionId) -> None:
        """Forget a leg, without an event."""
        state = self._legs.pop(leg, None)
        if state is None:
            return
        del self._by_username[state.username]
        for check in state.checks:
            self._forget(check)
        self._deadlines.clear(leg)

    def path(self, leg: SessionId) -> Path | None:
        """Where a leg is bound to."""
        state = self._legs.get(leg)
        return state.path if state else None

    def heard(self, leg: SessionId, now: float) -> None:
        """Something authentic came from the leg's bound address."""
        self._legs[leg].heard = now

    @property
    def bound(self) -> int:
        """How many legs have an address."""
        return sum(state.path is not None for state in self._legs.values())

    def receive(self, data: bytes, path: Path, now: float) -> None:
        """Take a STUN message."""
        usual = stun.parse_usual(data)
        if usual is not None:
            leg = self._by_username.get(usual.username)
            if leg is not None and leg.path == path:
                self._keep_alive(leg, usual, now)
                return
        try:
            message = stun.parse(data)
        except PeerError:
            self._drops.add(Drop.MALFORMED_STUN)
            return
        if message.kind is stun.MessageClass.REQUEST:
            self._receive_request(message, path, now)
        elif message.kind is stun.MessageClass.SUCCESS:
            self._receive_answer(message, path, now)
        else:
            self._drops.add(Drop.UNEXPECTED_STUN)

    def to_send(self) -> list[tuple[bytes, Path]]:
        """Remove and return what is to be sent, and where."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Bound | Unbound]:
        """Remove and return what has happened, in order."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return self._deadlines.next()

    def handle_timeout(self, now: float) -> None:
        """Send checks again, give them up, and unbind who is silent."""
        for key in self._deadlines.due(now):
            if isinstance(key, bytes):
                self._continue_check(self._checks[key], now)
            else:
                self._watch_silence(self._legs[key], now)

    def _keep_alive(self, leg: _Leg, request: stun.UsualRequest, now: float) -> None:
        """What `_receive_request` does with a request from the bound address."""
        if not request.proves(leg.key):
            self._drops.add(Drop.FORGED_STUN)
            return
        if not leg.requests.take(now):
            self._drops.add(Drop.STUN_RATE)
            return
        path = leg.path
        assert path is not None
        leg.remember(request.transaction)
        leg.heard = now
        source = _source(path.remote)
        answer = stun.usual_success(request.transaction, source, leg.key)
        self._out.append((answer, path))

    def _receive_request(
        self, message: stun.StunMessage, path: Path, now: float
    ) -> None:
        if message.username is None and message.integrity is None:
            self._answer_plain(message, path, now)
            return
        if message.username is None or message.integrity is None:
            self._drops.add(Drop.UNAUTHENTICATED)
            return
        leg = self._by_username.get(message.username)
        if leg is None:
            self._drops.add(Drop.UNKNOWN_USERNAME)
            return
        try:
            message.check(leg.key, leg.username)
        except PeerError:
            self._drops.add(Drop.FORGED_STUN)
            return
        # Only what the leg itself sent counts against it.
        if not leg.requests.take(now):
            self._drops.add(Drop.STUN_RATE)
            return
        known = path == leg.path or any(check.path == path for check in leg.checks)
        if not leg.remember(message.transaction) and not known:
            self._drops.add(Drop.REPLAYED_STUN)
            return
        self._answer(message, path, leg.key, path == leg.path)
        if path == leg.path:
            leg.heard = now
        elif not known:
            self._propose(leg, path, now)

    def _answer_plain(self, message: stun.StunMessage, path: Path, now: float) -> None:
        if not self._plain.take(path.remote[0], now):
            self._drops.add(Drop.ANSWER_RATE)
            return
        self.answered += 1
        self._answer(message, path)

    def _answer(
        self,
        message: stun.StunMessage,
        path: Path,
        key: bytes | None = None,
        bound: bool = False,
    ) -> None:
        if message.unknown:
            answer = stun.failure(message, stun.ErrorCode.UNKNOWN_ATTRIBUTE, key)
        else:
            source = _source(path.remote)
            answer = stun.success(message, source, key, bound=bound)
        self._out.append((answer, path))

    def _propose(self, leg: _Leg, path: Path, now: float) -> None:
        """Begin to check a new address."""
        if len(leg.checks) >= MAX_CHECKS or not leg.proposals.take(now):
            self._drops.add(Drop.CHECKS_FULL)
            return
        transaction = self._random_bytes(stun.TRANSACTION_LENGTH)
        data = stun.request(transaction, leg.username, leg.key)
        check = _Check(leg, transaction, data, path, now)
        leg.checks.append(check)
        self._checks[transaction] = check
        self._continue_check(check, now)

    def _continue_check(self, check: _Check, now: float) -> None:
        """Send a check once more, or give it up."""
        if check.sent == len(CHECK_TIMES):
            check.leg.checks.remove(check)
            self._forget(check)
            return
        check.sent += 1
        self._out.append((check.data, check.path))
        if check.sent < len(CHECK_TIMES):
            wait = CHECK_TIMES[check.sent]
        else:
            wait = CHECK_LIFETIME
        self._deadlines.set(check.transaction, check.started + wait)

    def _receive_answer(
        self, message: stun.StunMessage, path: Path, now: float
    ) -> None:
        check = self._checks.get(message.transaction)
        if check is None or check.path != path:
            self._drops.add(Drop.UNEXPECTED_STUN)
            return
        leg = check.leg
        try:
            message.check(leg.key)
        except PeerError:
            self._drops.add(Drop.FORGED_STUN)
            return
        # What was proposed before this address is out of date; what was
        # proposed after it is not.
        place = leg.checks.index(check)
        for older in leg.checks[: place + 1]:
            self._forget(older)
        del leg.checks[: place + 1]
        leg.path = path
        leg.heard = now
        self._set_silence(leg)
        self._events.append(Bound(leg.leg, path, now - check.started))

    def _forget(self, check: _Check) -> None:
        del self._checks[check.transaction]
        self._deadlines.clear(check.transaction)

    def _watch_silence(self, leg: _Leg, now: float) -> None:
        """The deadline is not moved at each keep-alive, only when it comes."""
        if leg.heard + SILENCE > now:
            self._set_silence(leg)
            return
        leg.path = None
        self._events.append(Unbound(leg.leg))

    def _set_silence(self, leg: _Leg) -> None:
        when = ceil((leg.heard + SILENCE) * SWEEPS) / SWEEPS
        self._deadlines.set(leg.leg, when)


def _source(address: Address) -> tuple[str, int]:
    """Host and port, without the scope of a link-local address."""
    return address[0].partition("%")[0], address[1]
