"""UDP traces: the server counts the probes, tells the sender, passes them on.

A client that measures its network sends probes as datagrams (``protocols.control``)
through its bound address.  Signalling says who takes part and who gets whose probes;
here they are counted, each new one is passed on to its receivers under their own
keys, and the sender is told the count with the stamp of the probe, so that it knows
loss and jitter of the way up and the round trip.  Passed on, a probe says how many
the server has received and has sent this receiver: the loss of the way down.

Pure: feed it `receive`, send what it returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anychat.errors import PeerError
from anychat.ids import SessionId
from anychat.media.buckets import Limit, TokenBucket
from anychat.media.counters import Drop, Drops
from anychat.media.leg_state import Credentials
from anychat.media.quality import ArrivalCount
from anychat.protocols import control
from anychat.protocols.control import Probe, RelayedProbe, Report, ReportRequest

#: Probes of one sender, and bytes of them.
PROBES = Limit(rate=1500, burst=1500)
BYTES = Limit(rate=1_250_000, burst=1_250_000)
#: Copies that one sender, and all senders together, may have made.
COPIES_EACH = Limit(rate=5_000, burst=2_500)
COPIES = Limit(rate=10_000, burst=5_000)
#: Reports to one sender: with the first probe after a while, then so many.
REPORTS = Limit(rate=20, burst=5)

_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class _Sender:
    """Who sends probes."""

    user_id: int
    receivers: tuple[SessionId, ...]
    trace: int = 0
    count: ArrivalCount = field(default_factory=ArrivalCount)
    forwarded: dict[SessionId, int] = field(default_factory=dict)
    probes: TokenBucket = field(default_factory=lambda: TokenBucket(PROBES))
    bytes: TokenBucket = field(default_factory=lambda: TokenBucket(BYTES))
    copies: TokenBucket = field(default_factory=lambda: TokenBucket(COPIES_EACH))
    reports: TokenBucket = field(default_factory=lambda: TokenBucket(REPORTS))

    def restart(self, trace: int) -> None:
        """Its client begins a new trace."""
        self.trace = trace
        self.count = ArrivalCount()
        self.forwarded = {}


@dataclass(frozen=True, slots=True)
class _Leg:
    """Who sends probes, or gets some."""

    client_ssrc: int
    server_ssrc: int
    key: bytes = field(repr=False)


class Traces:
    """All traces under way.

    :param credentials: of all legs that there are.
    :param drops: where what is not taken is counted.
    """

    def __init__(self, credentials: Mapping[SessionId, Credentials], drops: Drops):
        self._credentials = credentials
        self._drops = drops
        # Made when first needed: few legs ever take part.
        self._legs: dict[SessionId, _Leg] = {}
        self._senders: dict[SessionId, _Sender] = {}
        self._copies = TokenBucket(COPIES)
        self.probes = 0
        """Taken since the start."""
        self.relayed = 0
        """Passed on since the start."""

    def __len__(self) -> int:
        return len(self._senders)

    def close(self, leg: SessionId) -> None:
        """A leg is gone."""
        self._legs.pop(leg, None)
        self._senders.pop(leg, None)
        for sender in self._senders.values():
            sender.forwarded.pop(leg, None)

    def route(
        self, leg: SessionId, user_id: int, receivers: tuple[SessionId, ...] | None
    ) -> None:
        """Pass a leg's probes on to these; None: it sends none any more."""
        if receivers is None:
            self._senders.pop(leg, None)
        elif leg in self._senders:
            self._senders[leg].receivers = receivers
        elif leg in self._credentials:
            self._senders[leg] = _Sender(user_id, receivers)

    def _leg(self, leg: SessionId) -> _Leg | None:
        keys = self._legs.get(leg)
        if keys is None:
            credentials = self._credentials.get(leg)
            if credentials is None:
                return None
            keys = self._legs[leg] = _Leg(
                credentials.client_ssrc,
                credentials.server_ssrc,
                control.control_key(credentials.stun_key),
            )
        return keys

    def receive(
        self, leg: SessionId, data: bytes, arrived: float, now: float
    ) -> list[tuple[SessionId, bytes]]:
        """Take a datagram of a leg; what is to be sent, and to which legs."""
        sender = self._senders.get(leg)
        keys = None if sender is None else self._leg(leg)
        if keys is None or sender is None:
            self._drops.add(Drop.NO_TRACE)
            return []
        try:
            message = control.parse(data, keys.key)
        except PeerError:
            self._drops.add(Drop.CONTROL_FORGED)
            return []
        if message.ssrc != keys.client_ssrc:
            self._drops.add(Drop.CONTROL_FORGED)
            return []
        if isinstance(message, Probe):
            return self._probe(leg, keys, sender, message, len(data), arrived, now)
        if isinstance(message, ReportRequest):
            if message.trace == sender.trace and sender.reports.take(now):
                return [(leg, self._report(keys, sender, message.stamp))]
            self._drops.add(Drop.CONTROL_RATE)
            return []
        self._drops.add(Drop.CONTROL_FORGED)
        return []

    def _probe(
        self,
        leg: SessionId,
        keys: _Leg,
        sender: _Sender,
        probe: Probe,
        size: int,
        arrived: float,
        now: float,
    ) -> list[tuple[SessionId, bytes]]:
        if not sender.probes.take(now) or sender.bytes.take(now, size) < size:
            self._drops.add(Drop.CONTROL_RATE)
            return []
        if probe.trace != sender.trace:
            if sender.trace and control.elapsed(probe.trace, sender.trace) < 0:
                # Somebody plays an old trace again.
                self._drops.add(Drop.CONTROL_FORGED)
                return []
            sender.restart(probe.trace)
        if not sender.count.add(probe.number):
            self._drops.add(Drop.CONTROL_FORGED)
            return []
        self.probes += 1
        sender.count.arrived(control.elapsed(control.stamp_of(arrived), probe.stamp))
        out = []
        if sender.reports.take(now):
            out.append((leg, self._report(keys, sender, probe.stamp)))
        for receiver in self._granted(sender, probe.number, now):
            out += self._relay(receiver, sender, probe, size, now)
        return out

    def _granted(
        self, sender: _Sender, number: int, now: float
    ) -> tuple[SessionId, ...]:
        """Those receivers that there may be copies for, other ones each time; what
        is too much is never looked at one by one."""
        receivers = sender.receivers
        wanted = len(receivers)
        granted = self._copies.take(now, sender.copies.take(now, wanted))
        if granted == wanted:
            return receivers
        self._drops.add(Drop.CONTROL_RATE, wanted - granted)
        start = number * granted % wanted
        turned = receivers[start : start + granted]
        return turned + receivers[: granted - len(turned)]

    def _relay(
        self,
        receiver: SessionId,
        sender: _Sender,
        probe: Probe,
        size: int,
        now: float,
    ) -> list[tuple[SessionId, bytes]]:
        keys = self._leg(receiver)
        if keys is None:
            self._drops.add(Drop.CONTROL_UNKNOWN)
            return []
        forwarded = sender.forwarded.get(receiver, 0) + 1
        sender.forwarded[receiver] = forwarded
        self.relayed += 1
        relayed = RelayedProbe(
            ssrc=keys.server_ssrc,
            trace=probe.trace,
            source=sender.user_id,
            number=probe.number,
            received=sender.count.received,
            forwarded=forwarded,
            stamp=control.stamp_of(now),
            origin=probe.stamp,
            heard=probe.heard,
        )
        return [(receiver, control.build(relayed, keys.key, size))]

    def _report(self, keys: _Leg, sender: _Sender, echo: int) -> bytes:
        count = sender.count
        jitter = min(int(count.jitter * _MICROSECONDS), 0xFFFFFFFF)
        report = Report(
            keys.server_ssrc,
            sender.trace,
            count.highest,
            count.received,
            jitter,
            echo,
        )
        return control.build(report, keys.key)
