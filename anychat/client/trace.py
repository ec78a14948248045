"""UDP traces: how well datagrams get through, to the server and to others.

::

    await client.enter_room(1)
    await client.trace.start()          # to the server and back
    ...
    figures = await client.trace.stop()
    print(figures.loss_up, figures.loss_down, figures.round_trip)

Probes of one size leave at an even rate.  The server counts them and tells how many
came; it sends them back, or on to the members that they are for, with numbers by
which those see what was lost on their side of the server.  `TraceCount` is the
arithmetic of it, pure; `UdpTrace` is what a client has.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from anychat.client.waiting import beside
from anychat.codes import ResultCode, StreamTransMode, TraceMode
from anychat.errors import PeerError, Refused
from anychat.media.quality import ArrivalCount
from anychat.messages import MediaSetup, Message, SetUdpTrace
from anychat.protocols import control
from anychat.protocols.control import Probe, RelayedProbe, Report, ReportRequest

#: Bytes of a datagram, and bits a second, unless more or less is asked for.
SIZE = 1000
RATE = 500_000
SMALLEST_RATE, LARGEST_RATE = 8_000, 10_000_000
#: Seconds between two looks at what is due: no timer is much finer.
_STEP = 0.002
#: Probes sent at once, after the program was held up.
_BURST = 8
#: When the report is asked for after the last probe, seconds.
_REQUESTS = (0.1, 0.2, 0.4, 0.8)
#: Others that are counted.
_MOST_PEERS = 64
#: The latest round trips, that the usual one is taken from.
_ROUND_TRIPS = 512
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """What came of another member's probes.  Losses are from 0 to 1."""

    user_id: int
    sent: int
    """Probes that he has sent."""
    server_received: int
    """Of them, those that reached the server."""
    forwarded: int
    """Probes that the server has sent on to us."""
    received: int
    """Of them, those that came."""
    jitter: float
    """Of their arrival here, seconds."""
    heard: int
    """Probes that he says he has received, of all others."""

    @property
    def loss_up(self) -> float:
        """On his way to the server."""
        return _loss(self.sent, self.server_received)

    @property
    def loss_down(self) -> float:
        """On our way from it."""
        return _loss(self.forwarded, self.received)


@dataclass(frozen=True, slots=True)
class TraceFigures:
    """What a trace has found so far.  Losses are from 0 to 1."""

    sent: int = 0
    server_received: int = 0
    """Of our probes, by its last report."""
    counted: int = 0
    """Probes that this report is about: the highest number it has seen."""
    jitter_up: float = 0.0
    """Of their arrival at the server, seconds."""
    round_trip: float | None = None
    """The usual one (median), seconds; None: no report has come."""
    shortest: float | None = None
    """The shortest round trip lately."""
    reports: int = 0
    peers: dict[int, PeerFigures] = field(default_factory=dict)
    """Whose probes have come, by user id; with a trace to oneself that is us."""
    own_id: int = 0
    final: bool = False
    """The trace is over, so that the last report is about all that was sent."""

    @property
    def loss_up(self) -> float:
        """On the way to the server."""
        counted = self.sent if self.final else self.counted
        return _loss(counted, self.server_received)

    @property
    def loss_down(self) -> float:
        """On the way from it, over all probes that it has sent us."""
        return _loss(
            sum(peer.forwarded for peer in self.peers.values()),
            sum(peer.received for peer in self.peers.values()),
        )

    @property
    def forwarded(self) -> int:
        """Probes that the server has sent us."""
        return sum(peer.forwarded for peer in self.peers.values())

    @property
    def received(self) -> int:
        """Of them, those that came."""
        return sum(peer.received for peer in self.peers.values())

    @property
    def jitter_down(self) -> float:
        """Of what came here: the worst of all senders', seconds."""
        return max((peer.jitter for peer in self.peers.values()), default=0.0)


def _loss(sent: int, received: int) -> float:
    return max(0.0, 1 - received / sent) if sent else 0.0


class _Peer:
    __slots__ = ("count", "last", "trace")

    def __init__(self, trace: int):
        self.trace = trace
        self.count = ArrivalCount()
        self.last: RelayedProbe | None = None


class TraceCount:
    """One trace: makes its probes, takes what comes.

    :param setup: keys and SSRCs of the leg.
    :param trace: a number above that of the session's trace before.
    """

    def __init__(self, setup: MediaSetup, trace: int):
        self.refused = 0
        """Datagrams that were malformed, not authentic, or not for us."""
        self._key = control.control_key(setup.stun_key)
        self._ssrc, self._server = setup.client_ssrc, setup.server_ssrc
        self._trace = trace
        self._sent = self._heard = self._reports = 0
        self._report: Report | None = None
        self._round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)
        self._peers: dict[int, _Peer] = {}

    def probe(self, size: int, now: float) -> bytes:
        """The next probe."""
        self._sent += 1
        probe = Probe(
            self._ssrc, self._trace, self._sent, control.stamp_of(now), self._heard
        )
        return control.build(probe, self._key, size)

    def request(self, now: float) -> bytes:
        """What asks for the report."""
        request = ReportRequest(self._ssrc, self._trace, control.stamp_of(now))
        return control.build(request, self._key)

    @property
    def reported(self) -> int:
        """Reports that have come."""
        return self._reports

    def receive(self, data: bytes, now: float) -> None:
        """Take a datagram."""
        try:
            message = control.parse(data, self._key)
        except PeerError:
            self.refused += 1
            return
        if message.ssrc != self._server:
            self.refused += 1
        elif isinstance(message, Report):
            self._take_report(message, now)
        elif isinstance(message, RelayedProbe):
            self._take_probe(message, now)
        else:
            self.refused += 1

    def _take_report(self, report: Report, now: float) -> None:
        last = self._report
        if report.trace != self._trace or (
            last is not None and report.received < last.received
        ):
            self.refused += 1
            return
        self._report = report
        self._reports += 1
        took = control.elapsed(control.stamp_of(now), report.echo)
        if took >= 0:
            self._round_trips.append(took)

    def _take_probe(self, probe: RelayedProbe, now: float) -> None:
        peer = self._peers.get(probe.source)
        if peer is not None and peer.trace != probe.trace:
            if control.elapsed(probe.trace, peer.trace) < 0:
                self.refused += 1
                return
            peer = None
        if peer is None:
            if probe.source not in self._peers and len(self._peers) >= _MOST_PEERS:
                self.refused += 1
                return
            peer = self._peers[probe.source] = _Peer(probe.trace)
        if not peer.count.add(probe.forwarded):
            self.refused += 1
            return
        self._heard += 1
        peer.count.arrived(control.elapsed(control.stamp_of(now), probe.stamp))
        if peer.last is None or probe.forwarded >= peer.last.forwarded:
            peer.last = probe

    def figures(self, own_id: int = 0, final: bool = False) -> TraceFigures:
        """What is known by now."""
        report, trips = self._report, sorted(self._round_trips)
        return TraceFigures(
            sent=self._sent,
            server_received=report.received if report else 0,
            counted=report.number if report else 0,
            jitter_up=report.jitter / _MICROSECONDS if report else 0.0,
            round_trip=trips[len(trips) // 2] if trips else None,
            shortest=trips[0] if trips else None,
            reports=self._reports,
            peers={
                user_id: PeerFigures(
                    user_id,
                    peer.last.number,
                    peer.last.received,
                    peer.count.highest,
                    peer.count.received,
                    peer.count.jitter,
                    peer.last.heard,
                )
                for user_id, peer in self._peers.items()
                if peer.last is not None
            },
            own_id=own_id,
            final=final,
        )


class UdpTrace:
    """A client's traces (options 160 to 168).

    :param ask: sends a message that is answered by `Result`.
    :param media: the media session, which has the way to the server.
    :param setup: the leg's, None where there is none.
    :param own_id: the user's.
    """

    def __init__(
        self,
        reactor: Any,
        ask: Callable[[Message], "Deferred[None]"],
        media: Callable[[], Any],
        setup: Callable[[], MediaSetup | None],
        own_id: Callable[[], int],
    ):
        self._reactor = reactor
        self._ask = ask
        self._media = media
        self._setup = setup
        self._own_id = own_id
        self._count: TraceCount | None = None
        self._starting: TraceCount | None = None
        """The latest that the server was asked for."""
        self._udp: Any = None
        self._last_trace = 0
        self._timer: IDelayedCall | None = None
        self._final = False
        self._interval = 0.0
        self._size = SIZE
        self._next = 0.0
        self._stopping: Deferred[TraceFigures] | None = None

    @property
    def sending(self) -> bool:
        """Whether probes leave."""
        return self._timer is not None and self._stopping is None

    @property
    def bound(self) -> bool:
        """Whether UDP reaches the server.

        :raises Refused: there is no media on this connection, or all of it goes
            over TCP as the server wants it.
        """
        return bool(self._way().udp.bound)

    def figures(self) -> TraceFigures:
        """What the trace has found, while it runs and after."""
        if self._count is None:
            return TraceFigures()
        return self._count.figures(self._own_id(), self._final)

    def listen(self) -> "Deferred[None]":
        """Take part without sending: get the probes of others in the room."""
        count = self._begin()
        return self._ask(SetUdpTrace(TraceMode.LISTEN, 0)).addCallback(
            lambda _: self._attach(count)
        )

    def start(
        self, target: int = 0, size: int = SIZE, rate: int = RATE
    ) -> "Deferred[None]":
        """Send probes to a member, to all that take part (-1), or to oneself (0).

        :param size: of a datagram, bytes: 64 to 1200.
        :param rate: bits a second: 8,000 to 10,000,000.

        Fails with 21, 205 (no such member here), 309 (in no room), 20 (no media on
        this connection, or none by UDP).
        """
        if not (
            control.MINIMUM <= size <= control.MAXIMUM
            and SMALLEST_RATE <= rate <= LARGEST_RATE
        ):
            raise Refused(ResultCode.FUNCOPTERROR, "size or rate of a trace")
        count = self._begin()

        def begun(_: None) -> None:
            if self._starting is not count:
                return
            self._attach(count)
            self._size, self._interval = size, size * 8 / rate
            self._next = self._reactor.seconds()
            self._send()

        return self._ask(SetUdpTrace(TraceMode.SEND, target)).addCallback(begun)

    def stop(self) -> "Deferred[TraceFigures]":
        """Send no more; fires with all that was found, a second later at most."""
        starting, self._starting = self._starting, None
        if self._udp is None:
            if starting is not None:
                self._ask_off()
            return succeed(self.figures())
        if self._stopping is None:
            self._cancel()
            self._stopping = Deferred()
            self._finish(0, self._count.reported)
        return beside(self._stopping)

    def forget(self) -> None:
        """The session is over."""
        self._starting = None
        self._give_up()

    # Inside.

    def _give_up(self) -> None:
        """End it as it stands; who waits for its figures gets those."""
        self._cancel()
        self._detach()
        if self._stopping is not None:
            stopping, self._stopping = self._stopping, None
            stopping.callback(self.figures())

    def _ask_off(self) -> None:
        self._ask(SetUdpTrace(TraceMode.OFF, 0)).addErrback(lambda _: None)

    def _way(self) -> Any:
        way = self._media().transport
        if way.mode is StreamTransMode.TCP:
            reason = "the server wants media over TCP (StreamTransMode=1), not UDP"
            raise Refused(ResultCode.FUNCNOTALLOW, reason)
        return way

    def _begin(self) -> TraceCount:
        setup = self._setup()
        if setup is None:
            raise Refused(ResultCode.FUNCNOTALLOW, "no media, so no trace")
        self._way()
        self._give_up()
        self._final = False
        now = int(self._reactor.seconds() * 1000) & 0x3FFFFFFF
        self._last_trace = max(self._last_trace + 1, now, 1)
        self._starting = TraceCount(setup, self._last_trace)
        return self._starting

    def _attach(self, count: TraceCount) -> None:
        """The server has said yes, unless something else was wanted meanwhile."""
        if self._starting is not count:
            return
        self._count = count
        self._udp = self._way().udp
        self._udp.on_control = self._received

    def _detach(self) -> None:
        udp, self._udp = self._udp, None
        if udp is not None:
            udp.on_control = None

    def _received(self, data: bytes) -> None:
        if self._count is not None:
            self._count.receive(data, self._reactor.seconds())

    def _send(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        assert self._count is not None
        for _ in range(_BURST):
            if self._next > now:
                break
            self._udp.send(self._count.probe(self._size, now))
            self._next += self._interval
        # What could not be sent in time is left out, not caught up with.
        self._next = max(self._next, now)
        self._timer = self._reactor.callLater(max(self._next - now, _STEP), self._send)

    def _finish(self, step: int, reported: int) -> None:
        """Ask for the report again, until it is there or was asked for enough."""
        self._timer = None
        count = self._count
        assert count is not None
        if step and count.reported > reported and step > 1:
            self._end()
        elif step < len(_REQUESTS):
            self._udp.send(count.request(self._reactor.seconds()))
            self._timer = self._reactor.callLater(
                _REQUESTS[step], self._finish, step + 1, reported
            )
        else:
            self._end()

    def _end(self) -> None:
        self._detach()
        self._final = True
        stopping, self._stopping = self._stopping, None
        figures = self.figures()
        self._ask_off()
        if stopping is not None:
            stopping.callback(figures)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
