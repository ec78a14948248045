"""One stream that is received: from datagrams to decoded frames.

datagram -> SRTP -> gaps (NACK) -> jitter buffer (key-frame requests) -> decoder
on a strand -> playout.  All of it in the reactor's thread but for decoding.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from anychat.client.media.decode import Decoded, Decoder, make_decoder
from anychat.client.media.jitter import MAXIMUM, Frame, JitterBuffer
from anychat.client.media.playout import Line, Playout
from anychat.client.media.statistics import RateMeter, ReceptionStatistics
from anychat.client.media.strand import Strand
from anychat.codes import StreamKind
from anychat.errors import PeerError
from anychat.media import reception, rtcp, rtp
from anychat.media.gaps import Arrival, GapTracker
from anychat.media.rtcp import (
    LONGEST_OFFSET,
    Nack,
    Pli,
    ReportBlock,
    SenderReport,
    StreamArrivals,
)
from anychat.media.sequence import extend
from anychat.media.srtp import REPLAYED, SrtcpReceiver, SrtpReceiver
from anychat.messages import StreamGranted

#: Packets before the first one that came that are asked for if it is not the
#: beginning of a key frame, how often, and seconds between.
_LEAD_IN = 64
_LEAD_IN_TRIES = 4
_LEAD_IN_INTERVAL = 0.040
#: Most frames that wait for the decoder.
_BACKLOG = 64
#: Most packets of which the server is told at once when they came.
MOST_TOLD = 300
#: Packets after which it is told in any case.
_MANY = 128
#: Seconds beyond the least transit at which it is told soon.
_SLOW = 0.040
#: Seconds that a packet may be overtaken by and is not told of as lost.
_OVERTAKEN = 0.05
#: How a packet comes that nobody had to ask for.
_FIRST_TIME = (Arrival.NEW, Arrival.REORDERED)


class Reception:
    """Receives one granted stream.

    :param send: sends RTCP packets about the stream to the server.
    :param client_ssrc: the session's own, who asks.
    """

    def __init__(
        self,
        granted: StreamGranted,
        sink: Any,
        playout: Playout,
        make_strand: Callable[[], Strand],
        reactor: Any,
        send: Callable[[Nack | Pli], None],
        client_ssrc: int,
    ):
        form = granted.format
        self.granted = granted
        self.on_decoded: Callable[[Decoded], None] | None = None
        """Given everything that was decoded, at once."""
        self._decoder: Decoder = make_decoder(granted.kind, form)
        self._reactor = reactor
        self._strand = make_strand()
        self._playout = playout
        self._send = send
        self._client_ssrc = client_ssrc
        self._srtp = SrtpReceiver(
            granted.key, granted.salt_key, granted.ssrc, granted.roc, granted.sequence
        )
        self._srtcp = SrtcpReceiver(granted.key, granted.salt_key, granted.ssrc)
        self._begun = now = reactor.seconds()
        # What comes later than the buffer waits is of no use.
        self._gaps = GapTracker(give_up=2 * MAXIMUM)
        self._arrivals = reception.ReceptionStatistics(
            granted.ssrc, form.clock_rate, self._gaps
        )
        self._index = granted.roc << 16 | granted.sequence
        self._came_at: dict[int, float] = {}
        self._told: int | None = None
        self._slow = False
        self._buffer = JitterBuffer(
            form.clock_rate, granted.kind is StreamKind.VIDEO, now
        )
        self._line = Line(
            sink,
            granted.kind,
            form.clock_rate,
            self._buffer.baseline,
            self._buffer.own_delay,
            self._delay,
        )
        playout.add(self._line, form, make_strand)
        self._lead_in_tries = 0
        self._lead_in_due = float("inf")
        self._timer: Any = None
        self._stopped = False
        self._broken = False
        self._decoded_count = self._errors = self._dropped = 0
        self._octets = self._refused = self._replayed = self._key_requests = 0
        self._first_frame: float | None = None
        self._latency: float | None = None
        self._frame_meter, self._bit_meter = RateMeter(), RateMeter()
        self._came, self._missed = RateMeter(), RateMeter()
        self._given_up = 0
        self._arm()

    # The network's side.

    def receive(self, data: bytes) -> None:
        """Take a datagram with this stream's SSRC."""
        try:
            packet = rtp.parse(self._srtp.unprotect(data))
        except PeerError as error:
            self._refuse(error)
            return
        video = self.granted.kind is StreamKind.VIDEO
        if packet.payload_type != self.granted.format.payload_type or (
            video and packet.marking is None
        ):
            self._refused += 1
            return
        now = self._reactor.seconds()
        arrival = self._gaps.received(packet.sequence, now)
        if arrival is Arrival.REPAIRED:
            # It had been asked for: lost at first, and no measure of the path.
            self._missed.add(now)
        else:
            self._arrivals.arrived(packet.timestamp, now)
            self._came.add(now)
        index = extend(packet.sequence, self._index)
        if video and (arrival in _FIRST_TIME or self._only_overtaken(arrival)):
            self._note_arrival(index, now)
        self._index = max(self._index, index)
        self._octets += len(packet.payload)
        self._bit_meter.add(now, len(packet.payload) * 8)
        self._buffer.insert(packet, index, now)
        self._slow = self._slow or self._buffer.delay > _SLOW
        self._advance()

    def _only_overtaken(self, arrival: Arrival) -> bool:
        """Whether a packet that was asked for came too soon to be the answer."""
        return (
            arrival is Arrival.REPAIRED
            and self._gaps.repair_time < self._gaps.round_trip
        )

    def _note_arrival(self, index: int, now: float) -> None:
        if self._told is None:
            self._told = index - 1
        if index > self._told:
            self._came_at[index] = now

    def left_out(self, sequences: Iterable[int]) -> None:
        """The server says that these are not to come."""
        for sequence in sequences:
            index = self._gaps.leave_out(sequence)
            if index is not None:
                self._buffer.leave_out(index)
        self._advance()

    def receive_report(self, data: bytes) -> None:
        """Take an SRTCP datagram with this stream's SSRC: its sender's."""
        try:
            packets = rtcp.parse(self._srtcp.unprotect(data))
        except PeerError as error:
            self._refuse(error)
            return
        for packet in packets:
            if isinstance(packet, SenderReport) and packet.ssrc == self.granted.ssrc:
                timestamp = self._buffer.extend(packet.timestamp)
                self._line.clock.report(packet, timestamp)
                self._arrivals.sender_reported(packet, self._reactor.seconds())
                self._playout.reported(self._line)

    def _refuse(self, error: PeerError) -> None:
        if error.reason == REPLAYED:
            self._replayed += 1
        else:
            self._refused += 1

    def report(self) -> ReportBlock:
        """The block for the next receiver report."""
        return self._arrivals.report(self._reactor.seconds())

    def reports(self) -> list[ReportBlock]:
        """The same, if there is anything to report on."""
        return [self.report()] if self.heard else []

    @property
    def troubled(self) -> bool:
        """Whether packets were lost or held up since the server was told when
        they came, or many came."""
        return (
            self._slow
            or len(self._came_at) >= _MANY
            or len(self._came_at) < self._index - (self._told or self._index)
        )

    def arrivals(self, now: float) -> list[StreamArrivals]:
        """What to tell the server of when packets came; each packet once.

        A packet that had to be asked for again counts as one that did not come.

        :param now: the time of the feedback, on the reactor's clock.
        """
        told = self._told
        settled = [
            index for index, came in self._came_at.items() if came <= now - _OVERTAKEN
        ]
        if told is None or not settled:
            return []
        last = max(settled)
        first = max(told + 1, last + 1 - MOST_TOLD)
        offsets: list[int | None] = []
        for index in range(first, last + 1):
            came = self._came_at.pop(index, None)
            offsets.append(
                None
                if came is None
                else min(max(0, round((now - came) * 1024)), LONGEST_OFFSET)
            )
        self._told = last
        self._came_at = {
            index: came for index, came in self._came_at.items() if index > last
        }
        self._slow = False
        return [StreamArrivals(self.granted.ssrc, first & 0xFFFF, tuple(offsets))]

    @property
    def position(self) -> tuple[int, int]:
        """ROC and sequence number of the latest packet."""
        return self._srtp.position

    @property
    def heard(self) -> bool:
        """Whether there is anything to report on."""
        return self._gaps.highest is not None

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back; how often a NACK is repeated."""
        return self._gaps.round_trip

    @round_trip.setter
    def round_trip(self, seconds: float) -> None:
        self._gaps.round_trip = seconds

    # Time.

    def _advance(self) -> None:
        """Do everything that is due, then sleep until something is."""
        if self._stopped:
            return
        now = self._reactor.seconds()
        for frame in self._buffer.take(now):
            self._decode(frame)
        missing = self._gaps.due(now)
        if missing:
            ssrc = self.granted.ssrc
            self._send(Nack(self._client_ssrc, ssrc, tuple(missing)))
        self._ask_for_lead_in(now)
        if self._gaps.lost > self._given_up:
            self._missed.add(now, self._gaps.lost - self._given_up)
            self._given_up = self._gaps.lost
        if self._buffer.key_frame_wanted(now):
            self._key_requests += 1
            self._send(Pli(self._client_ssrc, self.granted.ssrc))
        self._arm()

    def _ask_for_lead_in(self, now: float) -> None:
        """Ask for the beginning of the first key frame, if it is missing.

        Gaps are seen between packets; this one has nothing before it.
        """
        first = self._buffer.beheaded
        if first is None or self._lead_in_tries == _LEAD_IN_TRIES:
            self._lead_in_due = float("inf")
            return
        if self._lead_in_due == float("inf"):
            # It may only be late.
            self._lead_in_due = now + self._gaps.reorder
        if now < self._lead_in_due:
            return
        granted = self.granted.roc << 16 | self.granted.sequence
        before = range(max(granted + 1, first - _LEAD_IN), first)
        self._lead_in_tries += 1
        self._lead_in_due = now + max(_LEAD_IN_INTERVAL, self._gaps.round_trip)
        if before:
            sequences = tuple(index & 0xFFFF for index in before)
            self._send(Nack(self._client_ssrc, self.granted.ssrc, sequences))

    def _arm(self) -> None:
        due = [
            self._buffer.next_timeout(),
            self._gaps.next_timeout(),
            None if self._lead_in_due == float("inf") else self._lead_in_due,
        ]
        times = [time for time in due if time is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if times:
            wait = max(0.0, min(times) - self._reactor.seconds())
            self._timer = self._reactor.callLater(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self._advance()

    def _delay(self, extra: float) -> None:
        self._buffer.extra = extra

    # Decoding.

    def _decode(self, frame: Frame) -> None:
        if self._broken and not frame.independent:
            return
        if self._strand.pending >= _BACKLOG:
            self._dropped += 1
            if self.granted.kind is StreamKind.VIDEO:
                self._break()
            return
        self._broken = False
        self._strand.submit(partial(self._try, frame), self._decoded)

    def _try(self, frame: Frame) -> Decoded | PeerError:
        """Runs on the strand."""
        try:
            return self._decoder.decode(frame)
        except PeerError as error:
            return error

    def _decoded(self, result: Decoded | PeerError) -> None:
        if isinstance(result, PeerError):
            self._errors += 1
            if self.granted.kind is StreamKind.VIDEO:
                self._break()
                self._advance()
            return
        now = self._reactor.seconds()
        if result.frames:
            self._decoded_count += 1
            self._frame_meter.add(now)
            if self._first_frame is None:
                self._first_frame = now - self._begun
        latency = self._playout.deliver(self._line, result)
        if latency is not None:
            # A little smoothing, so that a display can be read.
            known = latency if self._latency is None else self._latency
            self._latency = known + (latency - known) / 8
        if self.on_decoded is not None:
            self.on_decoded(result)

    def _break(self) -> None:
        """The chain is broken at the decoder: only a key frame mends it."""
        self._broken = True
        self._buffer.restart(self._reactor.seconds())

    # The owner's side.

    def align(self) -> None:
        """Let audio and video wait for one another; now and then is enough."""
        self._playout.align()

    def stop(self, discard: bool = False) -> "Deferred[None]":
        """Receive nothing any more.

        What has come whole still goes to the sink; fires when it is there.

        :param discard: it does not, since another stream has taken over.
        """
        if not self._stopped:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._line.muted = discard
            for frame in () if discard else self._buffer.take(float("inf")):
                self._decode(frame)
        return self._strand.finish().addCallback(
            lambda _: self._playout.remove(self._line)
        )

    def statistics(self) -> ReceptionStatistics:
        """Figures up to now."""
        now = self._reactor.seconds()
        came, missed = self._came.per_second(now), self._missed.per_second(now)
        first, latency = self._first_frame, self._latency
        gaps = self._gaps
        return ReceptionStatistics(
            frames_decoded=self._decoded_count,
            decode_errors=self._errors,
            frames_dropped=self._dropped,
            packets=gaps.received_count,
            octets=self._octets,
            lost=gaps.lost,
            repaired=gaps.repaired,
            late=self._buffer.late,
            duplicates=gaps.duplicates + self._replayed,
            refused=self._refused,
            nacked=gaps.asked,
            key_frame_requests=self._key_requests,
            first_frame_ms=None if first is None else first * 1000,
            jitter_ms=self._arrivals.jitter * 1000,
            buffer_ms=self._buffer.target * 1000,
            latency_ms=None if latency is None else latency * 1000,
            fps=self._frame_meter.per_second(now),
            bitrate=self._bit_meter.per_second(now),
            loss=missed / (came + missed) if came + missed else 0.0,
        )
