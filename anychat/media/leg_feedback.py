"""What legs say in their RTCP of what they receive, and what follows from it.

========================  ====================================================
NACK                      the packets are sent again from the forwarder's cache
PLI                       the publisher is asked for a key frame
RR                        kept: loss and jitter as the receiver sees them
when packets came         what its way takes, and so which layer of a video it
(RFC 8888)                gets (`switching`); what a probe found, likewise
========================  ====================================================

A leg has a say in what it receives, and in its own name alone; how much it may
say is limited (`leg_state`).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from anychat.codes import StreamKind
from anychat.errors import PeerError
from anychat.ids import Ssrc
from anychat.media import rtcp
from anychat.media.counters import Drop, Drops
from anychat.media.leg_outbox import Outbox
from anychat.media.leg_requests import PublisherRequests
from anychat.media.leg_state import (
    REPORTS_KEPT,
    TOLD_BLOCK,
    TOLD_ONCE,
    Incoming,
    Leg,
    Publication,
    Reception,
    Routes,
)
from anychat.media.sequence import extend
from anychat.media.signals import LeftOut, ProbeResult, unwrap
from anychat.media.switching import LayerSwitching


class ReceiverFeedback:
    """Of all legs.

    :param publications: what is published; `leg.Legs` alters it.
    """

    def __init__(
        self,
        routes: Routes,
        publications: Mapping[Ssrc, Publication],
        requests: PublisherRequests,
        switching: LayerSwitching,
        outbox: Outbox,
        drops: Drops,
    ):
        self._routes = routes
        self._publications = publications
        self._requests = requests
        self._switching = switching
        self._outbox = outbox
        self._drops = drops

    def read(self, state: Leg, data: bytes, now: float) -> bool:
        """Take a compound of the leg's own; whether it was."""
        incoming = state.incoming
        if incoming is None:
            incoming = state.incoming = Incoming(state.credentials)
        try:
            compound = incoming.receiver.unprotect(data)
        except PeerError:
            self._drops.add(Drop.FORGED_RTCP)
            return False
        # Only what the leg itself sent counts against it.
        if not incoming.feedback.take(now):
            self._drops.add(Drop.RTCP_RATE)
            return False
        try:
            packets = rtcp.parse(compound)
        except PeerError:
            self._drops.add(Drop.MALFORMED_RTCP)
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
                self._drops.add(Drop.FORGED_RTCP)
            case rtcp.Nack():
                self._receive_nack(state, incoming, packet, now)
            case rtcp.Pli():
                self._receive_pli(state, packet, now)
            case rtcp.CongestionFeedback():
                self._receive_feedback(state, incoming, packet, now)
            case rtcp.Application():
                signal = unwrap(packet)
                if isinstance(signal, ProbeResult):
                    self._switching.probe_result(state.leg, signal, now)
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
            self._drops.add(Drop.NOT_SUBSCRIBED, len(feedback.blocks) - len(blocks))
        if not blocks:
            return
        told = sum(len(block.offsets) for block in blocks)
        cost = TOLD_ONCE + TOLD_BLOCK * len(blocks) + told
        if incoming.told.take(now, cost) < cost:
            self._drops.add(Drop.RTCP_RATE)
            return
        feedback = replace(feedback, blocks=blocks)
        self._switching.feedback(state.leg, feedback, state.round_trip, now)

    def _receive_pli(self, state: Leg, pli: rtcp.Pli, now: float) -> None:
        ssrc = Ssrc(pli.media_ssrc)
        if ssrc not in state.received:
            self._drops.add(Drop.NOT_SUBSCRIBED)
        elif self._publications[ssrc].kind is StreamKind.VIDEO:
            self._requests.want(ssrc, now)

    def _receive_nack(
        self, state: Leg, incoming: Incoming, nack: rtcp.Nack, now: float
    ) -> None:
        ssrc = Ssrc(nack.media_ssrc)
        if ssrc not in state.received:
            self._drops.add(Drop.NOT_SUBSCRIBED)
            return
        if state.leaves_out(now):
            self._drops.add(Drop.LEFT_OUT, len(nack.sequences))
            return
        wanted = len(nack.sequences)
        granted = incoming.retransmissions.take(now, wanted)
        if granted < wanted:
            self._drops.add(Drop.RETRANSMIT_RATE, wanted - granted)
        sequences = nack.sequences[:granted]
        if self._switching.spares(state.leg, ssrc):
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
            self._outbox.signal(state, LeftOut(ssrc, told))
        return tuple(each for each in sequences if each not in left_out)
