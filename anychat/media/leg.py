"""The legs: what each client's end of the media plane publishes and receives.

A leg is a signed-in client as the media plane knows it: credentials for its
address (`binding`), keys for its RTCP, the streams it publishes and those it
receives.  `Legs` ties the forwarder's routes to where the legs are, and reads
and writes their feedback:

========================  ====================================================
leg bound or moved        its publications are taken from there, and what it
                          receives goes there, in one go
NACK from a receiver      the packets are sent again from the forwarder's cache
PLI from a receiver, a    the publisher is asked for a key frame (`feedback`)
receiver that is gated
RR from a receiver        kept: loss and jitter as the receiver sees them
when packets came to a    what its way takes, and so which layer of a video
receiver (RFC 8888)       it gets (`switching`)
a publisher's video       it is told when the packets came (`uplink`), from
comes in                  which it knows what its uplink takes
loss on the way up        the publisher is asked for the packets (`feedback`)
========================  ====================================================

**Over the link.**  Where UDP does not pass, a leg's packets go over its TCP
link: what it receives is lifted out of the relay (`UPWARD`), what it sends is let
in (`Routes.admit`), and its RTCP goes beside them; `to_links` has what is for
links.  A leg may go from one to the other at any time, and what it sends is taken
both ways while it does.  TCP loses nothing, so what does not come was left out on
purpose: nobody asks for it again, but for what UDP had lost just before.

RTCP between a client and the server goes under the leg's own keys (SRTCP,
`srtp`), each way with its own SSRC, so that no nonce is used twice.  The
server's packets are reduced in size (RFC 5506): a NACK or PLI stands alone.

`Legs` is pure: feed it `receive_waiting` after each round of the socket, wake
it at `next_timeout`, and send what `to_send` returns after each.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from anychat.codes import StreamKind
from anychat.errors import LocalError, PeerError
from anychat.ids import SessionId, Ssrc
from anychat.media import figures, rtcp
from anychat.media.binding import Bindings, Bound
from anychat.media.counters import Drop, Drops
from anychat.media.demux import Kind, classify
from anychat.media.feedback import KeyFrameRequests, UplinkRepair
from anychat.media.figures import Losses, NetworkFigures
from anychat.media.leg_state import (
    NO_STREAMS,
    REPORTS_KEPT,
    TOLD_BLOCK,
    TOLD_ONCE,
    Credentials,
    Incoming,
    Leg,
    Publication,
    Reception,
    Routes,
    reported_losses,
)
from anychat.media.path import UPWARD, Path
from anychat.media.ring import Datagram, Filled, Missing
from anychat.media.sequence import extend
from anychat.media.signals import LeftOut, ProbeResult, Signal, unwrap, wrap
from anychat.media.srtp import SrtcpSender
from anychat.media.stream import CACHE_TIME, PacketArrival
from anychat.media.switching import LayerSwitching
from anychat.media.uplink import UplinkReports, in_datagrams

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
        self._key_frames = KeyFrameRequests(routes)
        self.uplink = UplinkRepair()
        self._legs: dict[SessionId, Leg] = {}
        self._by_ssrc: dict[int, Leg] = {}
        self._publications: dict[Ssrc, Publication] = {}
        self._out: list[tuple[bytes, Path]] = []
        self._to_links: list[tuple[bytes, SessionId]] = []
        self._control: list[tuple[SessionId, Datagram]] = []
        self.key_frames_asked = 0
        """PLIs sent to publishers."""
        self._reports = UplinkReports(routes, self._has_subscribers)
        self.switching = LayerSwitching(self, self._reports.rate)

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
        self.uplink.round_trip(ssrc, state.round_trip)
        if kind is StreamKind.VIDEO:
            self._reports.open(leg, ssrc)

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
        self._key_frames.forget(ssrc)
        self.uplink.forget(ssrc)
        owner = publication.leg
        owner.published = owner.published - {ssrc} or NO_STREAMS
        if publication.kind is StreamKind.VIDEO:
            self._reports.close(owner.leg, ssrc)
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
            self._wake_reports(publication.leg, now)
            self.switching.add(leg, ssrc, publication.layer)
            self._ask(now)

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
        if state.figures is None or now - state.figured >= figures.FRESH:
            state.figures = self._figures(state, now)
            state.figured = now
        return state.figures

    def _figures(self, state: Leg, now: float) -> NetworkFigures:
        bitrates = dict.fromkeys(StreamKind, 0)
        losses = []
        for ssrc in state.published:
            arrivals = self._routes.arrivals(ssrc, 0, now)
            kind = self._publications[ssrc].kind
            bitrates[kind] += figures.bitrate(arrivals, now)
            if not self._leaves_out(state, now):
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
        state.over_link = on
        state.link_since = now
        for ssrc in state.received:
            self._follow_destination(state, ssrc, now)
        if on:
            # It sends there, too: whoever waits for a key frame can have it now.
            for ssrc in state.published:
                if self._routes.gated(ssrc):
                    self._key_frames.want(ssrc, now)
        self._wake_reports(state, now)
        self._ask(now)

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
        path = self._path(state)
        self._routes.add_destination(ssrc, leg, path, gated=video)
        state.received |= {ssrc}
        publication.receivers.add(leg)
        if video and path is not None:
            self._key_frames.want(ssrc, now)

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
        unbound = self._path(self._legs[leg]) is None
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
        state = self._legs[leg]
        self._send_to(state, wrap(state.credentials.server_ssrc, signal))

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
                self._read_rtcp(state, data, now)
            else:
                self.drops.add(Drop.RTCP_WRONG_SOURCE)
        else:
            self.drops.add(Drop.UNWANTED)
        while arrivals := self._routes.take_arrivals(4 * ROUND):
            for arrival in arrivals:
                self._note_arrival(arrival)
        self._ask(now)

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
            self._note_arrival(arrival)
        self._ask(now)

    def waiting(self) -> bool:
        """Whether `receive_waiting` has left something."""
        return self._routes.waiting()

    def to_send(self) -> list[tuple[bytes, Path]]:
        """Remove and return what is to be sent, and where."""
        out = self.bindings.to_send()
        out += self._out
        self._out = []
        return out

    def to_links(self) -> list[tuple[bytes, SessionId]]:
        """Remove and return what is to go over legs' links."""
        out, self._to_links = self._to_links, []
        return out

    def control(self) -> list[tuple[SessionId, Datagram]]:
        """Remove and return the control datagrams that say they come from a leg,
        and come from where it is bound; whether they do, their keys tell."""
        control, self._control = self._control, []
        return control

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do; None: nothing is open."""
        times = (
            self.bindings.next_timeout(),
            self._key_frames.next_timeout(),
            self.uplink.next_timeout(),
            self._reports.next_timeout(),
            self.switching.next_timeout(),
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what time has brought."""
        self.bindings.handle_timeout(now)
        self._follow_bindings(now)
        self._report_arrivals(now)
        self.switching.handle_timeout(now)
        self._ask(now)

    # Inside.

    def _leg(self, leg: SessionId) -> Leg:
        state = self._legs.get(leg)
        if state is None:
            raise LocalError(f"no leg {leg}")
        return state

    def _has_subscribers(self, ssrc: Ssrc) -> bool:
        """Whether somebody receives a video, in one layer or the other, and its
        publisher can be told how it arrives."""
        publication = self._publications[ssrc]
        if self._path(publication.leg) is None:
            return False
        if publication.stream is not None:
            publication = self._publications[publication.stream]
        return bool(publication.subscribers)

    def _wake_reports(self, state: Leg, now: float) -> None:
        """The leg may have to be told how its video arrives."""
        if any(
            self._publications[ssrc].kind is StreamKind.VIDEO
            and self._has_subscribers(ssrc)
            for ssrc in state.published
        ):
            self._reports.wake(state.leg, now)

    def _report_arrivals(self, now: float) -> None:
        """Tell publishers how their video arrives; see what comes in at all."""
        for leg, blocks, turned in self._reports.due(now):
            state = self._legs[leg]
            for some in in_datagrams(blocks):
                feedback = rtcp.CongestionFeedback(
                    state.credentials.server_ssrc, some, int(now * 65536) & 0xFFFFFFFF
                )
                self._send_to(state, feedback)
            if turned:
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
            self.uplink.round_trip(ssrc, state.round_trip)
            if path is not None and self._routes.gated(ssrc):
                self._key_frames.want(ssrc, now)
        for ssrc in state.received:
            self._follow_destination(state, ssrc, now)
        self._wake_reports(state, now)

    def _path(self, state: Leg) -> Path | None:
        """Where what the leg receives goes."""
        return UPWARD if state.over_link else self.bindings.path(state.leg)

    def _follow_destination(self, state: Leg, ssrc: Ssrc, now: float) -> None:
        path = self._path(state)
        self._routes.move_destination(ssrc, state.leg, path)
        if path is not None and self._routes.gated(ssrc):
            self._key_frames.want(ssrc, now)

    def _note_arrival(self, arrival: Missing | Filled) -> None:
        publication = self._publications.get(arrival.ssrc)
        if publication is None:
            return
        if isinstance(arrival, Missing):
            if self._leaves_out(publication.leg, arrival.now):
                return
            self.uplink.missing(
                arrival.ssrc, arrival.sequence, arrival.number, arrival.now
            )
        else:
            self.uplink.filled(arrival.ssrc, arrival.sequence)

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
        if self._read_rtcp(state, datagram.data, now):
            self.bindings.heard(state.leg, now)

    def _receive_control(self, datagram: Datagram) -> None:
        state = self._by_ssrc.get(int.from_bytes(datagram.data[_RTCP_SSRC], "big"))
        path = None if state is None else self.bindings.path(state.leg)
        if state is None or path is None or path.remote != datagram.path.remote:
            self.drops.add(Drop.CONTROL_UNKNOWN)
        else:
            self._control.append((state.leg, datagram))

    def _leaves_out(self, state: Leg, now: float) -> bool:
        """Whether what is missing between the leg and us was left out on purpose."""
        return state.over_link and now - state.link_since > CACHE_TIME

    def _read_rtcp(self, state: Leg, data: bytes, now: float) -> bool:
        """Take a compound of the leg's own; whether it was."""
        incoming = state.incoming
        if incoming is None:
            incoming = state.incoming = Incoming(state.credentials)
        try:
            compound = incoming.receiver.unprotect(data)
        except PeerError:
            self.drops.add(Drop.FORGED_RTCP)
            return False
        # Only what the leg itself sent counts against it.
        if not incoming.feedback.take(now):
            self.drops.add(Drop.RTCP_RATE)
            return False
        try:
            packets = rtcp.parse(compound)
        except PeerError:
            self.drops.add(Drop.MALFORMED_RTCP)
            return False
        for packet in packets:
            self._receive_packet(state, incoming, packet, now)
        return True

    def _receive_packet(
        self, state: Leg, incoming: Incoming, packet: rtcp.RtcpPacket, now: float
    ) -> None:
        own = state.credentials.client_ssrc
        match packet:
            case (
                rtcp.Nack(ssrc=ssrc)
                | rtcp.Pli(ssrc=ssrc)
                | rtcp.ReceiverReport(ssrc=ssrc)
                | rtcp.CongestionFeedback(ssrc=ssrc)
                | rtcp.Application(ssrc=ssrc)
            ) if ssrc != own:
                self.drops.add(Drop.FORGED_RTCP)
            case rtcp.Nack():
                self._receive_nack(state, incoming, packet, now)
            case rtcp.Pli():
                self._receive_pli(state, packet, now)
            case rtcp.CongestionFeedback():
                self._receive_feedback(state, incoming, packet, now)
            case rtcp.Application():
                signal = unwrap(packet)
                if isinstance(signal, ProbeResult):
                    self.switching.probe_result(state.leg, signal, now)
            case rtcp.ReceiverReport():
                for block in packet.reports:
                    if block.ssrc in state.received:
                        reports = incoming.receptions.setdefault(
                            Ssrc(block.ssrc), deque(maxlen=REPORTS_KEPT)
                        )
                        reports.append(
                            Reception(
                                block.fraction_lost / 256,
                                block.lost,
                                block.jitter,
                                now,
                                block.highest,
                            )
                        )

    def _receive_feedback(
        self,
        state: Leg,
        incoming: Incoming,
        feedback: rtcp.CongestionFeedback,
        now: float,
    ) -> None:
        blocks = tuple(
            block
            for block in feedback.blocks
            if block.ssrc in state.received
            and self._publications[Ssrc(block.ssrc)].kind is StreamKind.VIDEO
        )
        if len(blocks) < len(feedback.blocks):
            # Of a layer that it was switched from, mostly.
            self.drops.add(Drop.NOT_SUBSCRIBED, len(feedback.blocks) - len(blocks))
        if not blocks:
            return
        told = sum(len(block.offsets) for block in blocks)
        cost = TOLD_ONCE + TOLD_BLOCK * len(blocks) + told
        if incoming.told.take(now, cost) < cost:
            self.drops.add(Drop.RTCP_RATE)
            return
        feedback = replace(feedback, blocks=blocks)
        self.switching.feedback(state.leg, feedback, state.round_trip, now)

    def _receive_pli(self, state: Leg, pli: rtcp.Pli, now: float) -> None:
        ssrc = Ssrc(pli.media_ssrc)
        if ssrc not in state.received:
            self.drops.add(Drop.NOT_SUBSCRIBED)
        elif self._publications[ssrc].kind is StreamKind.VIDEO:
            self._key_frames.want(ssrc, now)

    def _receive_nack(
        self, state: Leg, incoming: Incoming, nack: rtcp.Nack, now: float
    ) -> None:
        ssrc = Ssrc(nack.media_ssrc)
        if ssrc not in state.received:
            self.drops.add(Drop.NOT_SUBSCRIBED)
            return
        if self._leaves_out(state, now):
            self.drops.add(Drop.LEFT_OUT, len(nack.sequences))
            return
        wanted = len(nack.sequences)
        granted = incoming.retransmissions.take(now, wanted)
        if granted < wanted:
            self.drops.add(Drop.RETRANSMIT_RATE, wanted - granted)
        sequences = nack.sequences[:granted]
        if self.switching.spares(state.leg, ssrc):
            sequences = self._without_spared(state, ssrc, sequences, now)
        # What is not kept is not asked of the publisher on the receiver's
        # word: if it was lost on the way up, the server saw the gap itself,
        # and what comes then goes to all.
        self._routes.retransmit(ssrc, state.leg, list(sequences), now)

    def _without_spared(
        self, state: Leg, ssrc: Ssrc, sequences: tuple[int, ...], now: float
    ) -> tuple[int, ...]:
        """Those packets that were not left out; the leg is told of the others."""
        roc, sequence = self._routes.position(ssrc)
        highest = roc << 16 | sequence
        left_out = set()
        for each in sequences:
            index = extend(each, highest)
            for came in self._routes.arrivals(ssrc, index, now, index + 1):
                if came.discardable:
                    left_out.add(each)
        told = tuple(each for each in sequences if each in left_out)
        if told:
            self.signal(state.leg, LeftOut(ssrc, told))
        return tuple(each for each in sequences if each not in left_out)

    def _ask(self, now: float) -> None:
        """Send publishers the requests that are due."""
        for ssrc in self._key_frames.due(now):
            own = self._publications[ssrc].leg.credentials.server_ssrc
            if self._send_rtcp(ssrc, rtcp.Pli(own, ssrc)):
                self.key_frames_asked += 1
                self._key_frames.asked(ssrc, now)
        for ssrc, sequences in self.uplink.due(now):
            own = self._publications[ssrc].leg.credentials.server_ssrc
            self._send_rtcp(ssrc, rtcp.Nack(own, ssrc, sequences))

    def _send_rtcp(self, ssrc: Ssrc, packet: rtcp.Nack | rtcp.Pli) -> bool:
        """Send one packet to a publisher; False if it has no address."""
        return self._send_to(self._publications[ssrc].leg, packet)

    def _send_to(self, state: Leg, packet: rtcp.RtcpPacket) -> bool:
        """Send one packet to a leg; False if it has no address."""
        path = self._path(state)
        if path is None:
            return False
        credentials = state.credentials
        if state.sender is None:
            state.sender = SrtcpSender(
                credentials.rtcp_key, credentials.rtcp_salt, credentials.server_ssrc
            )
        data = state.sender.protect(rtcp.build([packet]))
        if path is UPWARD:
            self._to_links.append((data, state.leg))
        else:
            self._out.append((data, path))
        return True
