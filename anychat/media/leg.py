"""The legs: what each client's end of the media plane publishes and receives.

A leg is a signed-in client as the media plane knows it: credentials for its
address (`binding`), keys for its RTCP, the streams it publishes and those it
receives.  `Legs` ties the forwarder's routes to where the legs are: when one is
bound or moved, its publications are taken from there, and what it receives goes
there, in one go.  What its RTCP says is read by `leg_feedback`; what it is asked
for and told as a publisher is in `leg_requests`; both goes out by `leg_outbox`.

**Over the link.**  Where UDP does not pass, a leg's packets go over its TCP
link: what it receives is lifted out of the relay (`UPWARD`), what it sends is let
in (`Routes.admit`), and its RTCP goes beside them; `to_links` has what is for
links.  A leg may go from one to the other at any time, and what it sends is taken
both ways while it does.  TCP loses nothing, so what does not come was left out on
purpose: nobody asks for it again, but for what UDP had lost just before.

`Legs` is pure: feed it `receive_waiting` after each round of the socket, wake
it at `next_timeout`, and send what `to_send` returns after each.
"""

from collections.abc import Callable

from anychat.codes import StreamKind
from anychat.errors import LocalError
from anychat.ids import SessionId, Ssrc
from anychat.media import figures
from anychat.media.binding import Bindings, Bound
from anychat.media.counters import Drop, Drops
from anychat.media.demux import Kind, classify
from anychat.media.figures import Losses, NetworkFigures
from anychat.media.leg_feedback import ReceiverFeedback
from anychat.media.leg_outbox import Outbox
from anychat.media.leg_requests import PublisherRequests
from anychat.media.leg_state import (
    NO_STREAMS,
    Credentials,
    Leg,
    Publication,
    Reception,
    Routes,
    reported_losses,
)
from anychat.media.path import Path
from anychat.media.ring import Datagram
from anychat.media.signals import Signal
from anychat.media.stream import PacketArrival
from anychat.media.switching import LayerSwitching

#: Datagrams of each kind read in one go, so that a flood of one kind keeps
#: the rest of the server waiting no longer than this takes.
ROUND = 32

#: Where the SSRC of RTP is, and that of RTCP and of our control datagrams.
_RTP_SSRC, _RTCP_SSRC = slice(8, 12), slice(4, 8)


class Legs:
    """All legs, over one forwarder.

    :param routes: the forwarder; nobody else changes its routes.
    :param random_bytes: source of STUN transaction ids.
    """

    def __init__(self, routes: Routes, random_bytes: Callable[[int], bytes]):
        self._routes = routes
        self.drops = Drops()
        self.bindings = Bindings(random_bytes, self.drops)
        self._legs: dict[SessionId, Leg] = {}
        self._by_ssrc: dict[int, Leg] = {}
        self._publications: dict[Ssrc, Publication] = {}
        self._control: list[tuple[SessionId, Datagram]] = []
        self._outbox = Outbox(self.bindings)
        self.requests = PublisherRequests(
            routes, self._legs, self._publications, self._outbox
        )
        self.switching = LayerSwitching(self, self.requests.rate)
        self._feedback = ReceiverFeedback(
            routes,
            self._publications,
            self.requests,
            self.switching,
            self._outbox,
            self.drops,
        )

    def __len__(self) -> int:
        return len(self._legs)

    # What signalling does.

    def open(self, leg: SessionId, credentials: Credentials) -> None:
        """Begin a leg; it has no address until the client binds one.

        :raise LocalError: it is open, or its SSRC is another leg's.
        """
        if leg in self._legs or credentials.client_ssrc in self._by_ssrc:
            raise LocalError(f"leg {leg} opened twice")
        state = Leg(leg, credentials)
        self._legs[leg] = self._by_ssrc[credentials.client_ssrc] = state
        self.bindings.add(leg, credentials.username, credentials.stun_key)

    def close(self, leg: SessionId) -> None:
        """End a leg, what it publishes and what it receives, if it is open."""
        state = self._legs.get(leg)
        if state is None:
            return
        for ssrc in self.published(leg):
            self.unpublish(ssrc)
        for ssrc in tuple(state.subscribed):
            self.unsubscribe(leg, ssrc)
        self.switching.close(leg)
        self.bindings.remove(leg)
        del self._legs[leg]
        del self._by_ssrc[state.credentials.client_ssrc]

    def publish(self, leg: SessionId, ssrc: Ssrc, kind: StreamKind) -> None:
        """Begin a stream that comes from the leg.

        :raise LocalError: no such leg, or the SSRC is in use.
        """
        state = self._leg(leg)
        # Where it comes from by UDP; over the link it is taken in any case.
        path = self.bindings.path(leg)
        self._routes.open_stream(ssrc, kind, path.remote if path else None, leg)
        self._publications[ssrc] = Publication(state, kind)
        state.published |= {ssrc}
        self.requests.open(ssrc, state, kind)

    def add_layer(self, stream: Ssrc, layer: Ssrc) -> None:
        """Make one published video the smaller layer of another one.

        :raise LocalError: one of them is not there, or is in use that way.
        """
        publication = self._publications.get(stream)
        smaller = self._publications.get(layer)
        if (
            publication is None
            or smaller is None
            or smaller.subscribers
            or publication.layer is not None
        ):
            raise LocalError(f"{layer:#010x} cannot be a layer of {stream:#010x}")
        publication.layer = layer
        smaller.stream = stream
        for leg in publication.subscribers:
            self.switching.add(leg, stream, layer)

    def unpublish(self, ssrc: Ssrc) -> None:
        """End a stream for all who receive it, if it is open."""
        publication = self._publications.pop(ssrc, None)
        if publication is None:
            return
        self._routes.close_stream(ssrc)
        owner = publication.leg
        self.requests.close(ssrc, owner, publication.kind)
        owner.published = owner.published - {ssrc} or NO_STREAMS
        for leg in publication.receivers:
            self._drop_reception(self._legs[leg], ssrc)
        for leg in publication.subscribers:
            state = self._legs[leg]
            state.subscribed = state.subscribed - {ssrc} or NO_STREAMS
            self.switching.remove(leg, ssrc)
            if publication.layer is not None:
                self.stop_forwarding(leg, publication.layer)
        if publication.layer in self._publications:
            self._publications[publication.layer].stream = None
        if publication.stream is not None:
            self._publications[publication.stream].layer = None
            for leg in self._publications[publication.stream].subscribers:
                self.switching.without_layer(leg, publication.stream)

    def subscribe(self, leg: SessionId, ssrc: Ssrc, now: float) -> None:
        """Forward a stream to the leg; once more does nothing.

        :raise LocalError: no such leg or stream.
        """
        state = self._leg(leg)
        publication = self._publications.get(ssrc)
        if publication is None:
            raise LocalError(f"no stream {ssrc:#010x} to subscribe to")
        if ssrc in state.subscribed:
            return
        state.subscribed |= {ssrc}
        publication.subscribers.add(leg)
        self.forward(leg, ssrc, now)
        if publication.kind is StreamKind.VIDEO:
            self.requests.wake(publication.leg, now)
            self.switching.add(leg, ssrc, publication.layer)
            self.requests.ask(now)

    def unsubscribe(self, leg: SessionId, ssrc: Ssrc) -> None:
        """Forward a stream to the leg no longer, if it is."""
        publication = self._publications.get(ssrc)
        if publication is None or leg not in publication.subscribers:
            return
        publication.subscribers.discard(leg)
        state = self._legs[leg]
        state.subscribed = state.subscribed - {ssrc} or NO_STREAMS
        self.switching.remove(leg, ssrc)
        self.stop_forwarding(leg, ssrc)
        if publication.layer is not None:
            self.stop_forwarding(leg, publication.layer)

    def published(self, leg: SessionId) -> tuple[Ssrc, ...]:
        """The streams that come from a leg."""
        return tuple(self._leg(leg).published)

    def receptions(self, leg: SessionId) -> dict[Ssrc, Reception]:
        """How a leg receives its streams, by its latest reports."""
        incoming = self._leg(leg).incoming
        if incoming is None:
            return {}
        return {ssrc: reports[-1] for ssrc, reports in incoming.receptions.items()}

    def figures(self, leg: SessionId, now: float) -> NetworkFigures:
        """How the network is doing for a leg, or did a moment ago.

        :raise LocalError: no such leg.
        """
        state = self._leg(leg)
        if state.figures is None or now - state.figures[0] >= figures.FRESH:
            state.figures = now, self._figures(state, now)
        return state.figures[1]

    def _figures(self, state: Leg, now: float) -> NetworkFigures:
        bitrates = dict.fromkeys(StreamKind, 0)
        losses = []
        for ssrc in state.published:
            arrivals = self._routes.arrivals(ssrc, 0, now)
            kind = self._publications[ssrc].kind
            bitrates[kind] += figures.bitrate(arrivals, now)
            if not state.leaves_out(now):
                losses.append(figures.uplink_losses(arrivals, now))
        if state.incoming is not None:
            losses += [
                reported_losses(reports, now)
                for reports in state.incoming.receptions.values()
            ]
        queue, loss = self.switching.condition(state.leg)
        return NetworkFigures(
            bitrates[StreamKind.VIDEO],
            bitrates[StreamKind.AUDIO],
            figures.worse([*losses, Losses(loss)]),
            state.round_trip + queue,
        )

    def over_link(self, leg: SessionId, on: bool, now: float) -> None:
        """Send what the leg receives over its TCP link from now on, or by UDP.

        :raise LocalError: no such leg.
        """
        state = self._leg(leg)
        if state.over_link == on:
            return
        state.link_since = now if on else None
        for ssrc in state.received:
            self._follow_destination(state, ssrc, now)
        if on:
            # It sends there, too: whoever waits for a key frame can have it now.
            for ssrc in state.published:
                self.requests.want_if_gated(ssrc, now)
        self.requests.wake(state, now)
        self.requests.ask(now)

    @property
    def over_links(self) -> int:
        """How many legs get their media over their links."""
        return sum(state.over_link for state in self._legs.values())

    def path(self, leg: SessionId) -> Path | None:
        """The UDP path that a leg is bound to."""
        return self.bindings.path(leg)

    # What `switching` does.

    def forward(self, leg: SessionId, ssrc: Ssrc, now: float) -> None:
        """Send the leg a stream, of video from the next key frame on."""
        state, publication = self._legs[leg], self._publications[ssrc]
        if leg in publication.receivers:
            return
        video = publication.kind is StreamKind.VIDEO
        path = self._outbox.path(state)
        self._routes.add_destination(ssrc, leg, path, gated=video)
        state.received |= {ssrc}
        publication.receivers.add(leg)
        if video and path is not None:
            self.requests.want(ssrc, now)

    def stop_forwarding(self, leg: SessionId, ssrc: Ssrc) -> None:
        """Send it no longer, if it is."""
        publication = self._publications.get(ssrc)
        if publication is None or leg not in publication.receivers:
            return
        self._routes.remove_destination(ssrc, leg)
        publication.receivers.discard(leg)
        self._drop_reception(self._legs[leg], ssrc)

    def spare(self, leg: SessionId, ssrc: Ssrc, sparing: bool) -> None:
        """Leave the discardable frames of a video out for the leg, or not."""
        publication = self._publications.get(ssrc)
        if publication is not None and leg in publication.receivers:
            self._routes.spare_destination(ssrc, leg, sparing)

    def gated(self, leg: SessionId, ssrc: Ssrc) -> bool:
        """Whether the leg, or its address, is still waited for."""
        unbound = self._outbox.path(self._legs[leg]) is None
        return unbound or self._routes.is_gated(ssrc, leg)

    def position(self, ssrc: Ssrc) -> tuple[int, int]:
        """ROC and sequence number of a stream's latest packet."""
        return self._routes.position(ssrc)

    def arrivals(
        self, ssrc: Ssrc, start: int, now: float, end: int | None = None
    ) -> list[PacketArrival]:
        """When the latest packets of a stream came."""
        return self._routes.arrivals(ssrc, start, now, end)

    def signal(self, leg: SessionId, signal: Signal) -> None:
        """Tell the leg's client something."""
        self._outbox.signal(self._legs[leg], signal)

    # The machine.

    def receive_from_link(self, leg: SessionId, data: bytes, now: float) -> None:
        """Take a packet that came over the leg's own TCP link.

        :raise LocalError: no such leg.
        """
        state = self._leg(leg)
        kind = classify(data)
        if kind is Kind.RTP and len(data) >= 12:
            if int.from_bytes(data[_RTP_SSRC], "big") in state.published:
                self._routes.admit(data, now)
            else:
                self.drops.add(Drop.WRONG_SOURCE)
        elif kind is Kind.RTCP and len(data) >= 8:
            ssrc = int.from_bytes(data[_RTCP_SSRC], "big")
            if ssrc in state.published:
                self._routes.admit(data, now)
            elif ssrc == state.credentials.client_ssrc:
                self._feedback.read(state, data, now)
            else:
                self.drops.add(Drop.RTCP_WRONG_SOURCE)
        else:
            self.drops.add(Drop.UNWANTED)
        while arrivals := self._routes.take_arrivals(4 * ROUND):
            for arrival in arrivals:
                self.requests.note(arrival)
        self.requests.ask(now)

    def receive_waiting(self, now: float) -> None:
        """Read what the forwarder has put aside, `ROUND` of each kind at most;
        call again while it is still `waiting`."""
        for datagram in self._routes.take(Kind.STUN, ROUND):
            self.bindings.receive(datagram.data, datagram.path, datagram.now)
        self._follow_bindings(now)
        for datagram in self._routes.take(Kind.RTCP, ROUND):
            self._receive_rtcp(datagram, now)
        for datagram in self._routes.take(Kind.CONTROL, ROUND):
            self._receive_control(datagram)
        for arrival in self._routes.take_arrivals(4 * ROUND):
            self.requests.note(arrival)
        self.requests.ask(now)

    def waiting(self) -> bool:
        """Whether `receive_waiting` has left something."""
        return self._routes.waiting()

    def to_send(self) -> list[tuple[bytes, Path]]:
        """Remove and return what is to be sent, and where."""
        return self._outbox.to_send()

    def to_links(self) -> list[tuple[bytes, SessionId]]:
        """Remove and return what is to go over legs' links."""
        return self._outbox.to_links()

    def control(self) -> list[tuple[SessionId, Datagram]]:
        """Remove and return the control datagrams that say they come from a leg,
        and come from where it is bound; whether they do, their keys tell."""
        control, self._control = self._control, []
        return control

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do; None: nothing is open."""
        times = (
            self.bindings.next_timeout(),
            self.requests.next_timeout(),
            self.switching.next_timeout(),
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what time has brought."""
        self.bindings.handle_timeout(now)
        self._follow_bindings(now)
        for state in self.requests.report(now):
            self._turned(state, now)
        self.switching.handle_timeout(now)
        self.requests.ask(now)

    # Inside.

    def _leg(self, leg: SessionId) -> Leg:
        state = self._legs.get(leg)
        if state is None:
            raise LocalError(f"no leg {leg}")
        return state

    def _turned(self, state: Leg, now: float) -> None:
        """Some video of the leg's began or ceased to come in."""
        for ssrc in state.published:
            publication = self._publications[ssrc]
            if publication.layer is not None:
                for subscriber in publication.subscribers:
                    self.switching.consider(subscriber, now)

    def _drop_reception(self, state: Leg, ssrc: Ssrc) -> None:
        state.received = state.received - {ssrc} or NO_STREAMS
        if state.incoming is not None:
            state.incoming.receptions.pop(ssrc, None)

    def _follow_bindings(self, now: float) -> None:
        for event in self.bindings.events():
            state = self._legs[event.leg]
            path = None
            if isinstance(event, Bound):
                path = event.path
                state.round_trip = event.round_trip
                self.switching.moved(state.leg)
            self._move(state, path, now)

    def _move(self, state: Leg, path: Path | None, now: float) -> None:
        """The leg is elsewhere: what it sends and receives goes with it."""
        for ssrc in state.published:
            self._routes.move_source(ssrc, path.remote if path else None)
            self.requests.round_trip(ssrc, state.round_trip)
            if path is not None:
                self.requests.want_if_gated(ssrc, now)
        for ssrc in state.received:
            self._follow_destination(state, ssrc, now)
        self.requests.wake(state, now)

    def _follow_destination(self, state: Leg, ssrc: Ssrc, now: float) -> None:
        path = self._outbox.path(state)
        self._routes.move_destination(ssrc, state.leg, path)
        if path is not None:
            self.requests.want_if_gated(ssrc, now)

    def _receive_rtcp(self, datagram: Datagram, now: float) -> None:
        """A datagram that says it comes from a leg."""
        state = self._by_ssrc.get(int.from_bytes(datagram.data[_RTCP_SSRC], "big"))
        if state is None:
            self.drops.add(Drop.UNKNOWN_RTCP_SSRC)
            return
        path = self.bindings.path(state.leg)
        if path is None or path.remote != datagram.path.remote:
            self.drops.add(Drop.RTCP_WRONG_SOURCE)
            return
        if self._feedback.read(state, datagram.data, now):
            self.bindings.heard(state.leg, now)

    def _receive_control(self, datagram: Datagram) -> None:
        state = self._by_ssrc.get(int.from_bytes(datagram.data[_RTCP_SSRC], "big"))
        path = None if state is None else self.bindings.path(state.leg)
        if state is None or path is None or path.remote != datagram.path.remote:
            self.drops.add(Drop.CONTROL_UNKNOWN)
        else:
            self._control.append((state.leg, datagram))
