"""What publishers are asked for and told, in RTCP under their legs' keys.

========================  ====================================================
a receiver that is gated  the publisher is asked for a key frame (`feedback`)
loss on the way up        the publisher is asked for the packets (`feedback`)
a publisher's video       it is told when the packets came (`uplink`), from
comes in                  which it knows what its uplink takes
========================  ====================================================
"""

from collections.abc import Iterator, Mapping

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media import rtcp
from anychat.media.feedback import KeyFrameRequests, UplinkRepair
from anychat.media.leg_outbox import Outbox
from anychat.media.leg_state import Leg, Publication, Routes
from anychat.media.ring import Filled, Missing
from anychat.media.uplink import UplinkReports, in_datagrams


class PublisherRequests:
    """Of all publishers.

    :param legs: all legs; like what they publish, `leg.Legs` alters it.
    """

    def __init__(
        self,
        routes: Routes,
        legs: Mapping[SessionId, Leg],
        publications: Mapping[Ssrc, Publication],
        outbox: Outbox,
    ):
        self._routes = routes
        self._legs = legs
        self._publications = publications
        self._outbox = outbox
        self._key_frames = KeyFrameRequests(routes)
        self._repair = UplinkRepair()
        self._reports = UplinkReports(routes, self._has_subscribers)
        self.key_frames_asked = 0
        """PLIs sent to publishers."""

    @property
    def packets_asked(self) -> int:
        """Packets asked for, each time counted."""
        return self._repair.asked

    def rate(self, ssrc: Ssrc) -> float:
        """Bits per second of a video lately; 0: it does not come in."""
        return self._reports.rate(ssrc)

    def open(self, ssrc: Ssrc, state: Leg, kind: StreamKind) -> None:
        """The leg publishes a stream."""
        self._repair.round_trip(ssrc, state.round_trip)
        if kind is StreamKind.VIDEO:
            self._reports.open(state.leg, ssrc)

    def close(self, ssrc: Ssrc, state: Leg, kind: StreamKind) -> None:
        """It does so no longer."""
        self._key_frames.forget(ssrc)
        self._repair.forget(ssrc)
        if kind is StreamKind.VIDEO:
            self._reports.close(state.leg, ssrc)

    def want(self, ssrc: Ssrc, now: float) -> None:
        """Somebody needs a key frame of it."""
        self._key_frames.want(ssrc, now)

    def want_if_gated(self, ssrc: Ssrc, now: float) -> None:
        """Whoever waits for a key frame of it can have it now."""
        if self._routes.gated(ssrc):
            self._key_frames.want(ssrc, now)

    def round_trip(self, ssrc: Ssrc, seconds: float) -> None:
        """How long its publisher's answer takes."""
        self._repair.round_trip(ssrc, seconds)

    def wake(self, state: Leg, now: float) -> None:
        """The leg may have to be told how its video arrives."""
        if any(
            self._publications[ssrc].kind is StreamKind.VIDEO
            and self._has_subscribers(ssrc)
            for ssrc in state.published
        ):
            self._reports.wake(state.leg, now)

    def note(self, arrival: Missing | Filled) -> None:
        """The forwarder saw a gap, or what fills one."""
        publication = self._publications.get(arrival.ssrc)
        if publication is None:
            return
        if isinstance(arrival, Missing):
            if publication.leg.leaves_out(arrival.now):
                return
            self._repair.missing(
                arrival.ssrc, arrival.sequence, arrival.number, arrival.now
            )
        else:
            self._repair.filled(arrival.ssrc, arrival.sequence)

    def next_timeout(self) -> float | None:
        """When `ask` or `report` has something to do."""
        times = (
            self._key_frames.next_timeout(),
            self._repair.next_timeout(),
            self._reports.next_timeout(),
        )
        return min((time for time in times if time is not None), default=None)

    def ask(self, now: float) -> None:
        """Send publishers the requests that are due."""
        for ssrc in self._key_frames.due(now):
            own = self._publications[ssrc].leg.credentials.server_ssrc
            if self._send(ssrc, rtcp.Pli(own, ssrc)):
                self.key_frames_asked += 1
                self._key_frames.asked(ssrc, now)
        for ssrc, sequences in self._repair.due(now):
            own = self._publications[ssrc].leg.credentials.server_ssrc
            self._send(ssrc, rtcp.Nack(own, ssrc, sequences))

    def report(self, now: float) -> Iterator[Leg]:
        """Tell publishers how their video arrives.

        :return: those of whom some video began or ceased to come in, each before
            the next one is told.
        """
        for leg, blocks, turned in self._reports.due(now):
            state = self._legs[leg]
            for some in in_datagrams(blocks):
                feedback = rtcp.CongestionFeedback(
                    state.credentials.server_ssrc, some, int(now * 65536) & 0xFFFFFFFF
                )
                self._outbox.send(state, feedback)
            if turned:
                yield state

    def _has_subscribers(self, ssrc: Ssrc) -> bool:
        """Whether somebody receives a video, in one layer or the other, and its
        publisher can be told how it arrives."""
        publication = self._publications[ssrc]
        if self._outbox.path(publication.leg) is None:
            return False
        if publication.stream is not None:
            publication = self._publications[publication.stream]
        return bool(publication.subscribers)

    def _send(self, ssrc: Ssrc, packet: rtcp.Nack | rtcp.Pli) -> bool:
        """Send one packet to a publisher; False if it has no address."""
        return self._outbox.send(self._publications[ssrc].leg, packet)
