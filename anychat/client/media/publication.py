"""One stream that is sent: packets, repairs, key frames, sender reports.

`Publication` is given coded units by its feed and cuts, numbers, protects and
sends them.  What went out is kept as ciphertext for a second, since a packet
that is asked for again must be the same bytes: under one nonce nothing is ever
encrypted twice.  Where RFC 3550 wants random numbers to start from, they come
from ``random_bytes``; the sequence number starts below 2**15, so that the
turns that nobody is told (ROC) are the same for all.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from anychat.client.media.encode import Unit
from anychat.client.media.statistics import PublicationStatistics, RateMeter
from anychat.codecs import by_payload_type
from anychat.codes import AudioCodec, StreamKind
from anychat.errors import LocalError
from anychat.media.packetize import audio, h264
from anychat.media.rtcp import (
    SenderReport,
    SourceDescription,
    build,
    ntp_from_unix,
)
from anychat.media.rtp import MAX_PAYLOAD, FrameMarking, RtpPacket
from anychat.media.srtp import SrtcpSender, SrtpSender
from anychat.messages import StreamFormat, StreamOpened

#: What is kept to be sent again.
KEPT_SECONDS = 1.0
KEPT_PACKETS = 512
#: Seconds between key frames that are made because somebody asked.  The server
#: asks every 500 ms at most; whoever joins when one has just gone out waits so long.
KEY_FRAME_INTERVAL = 0.1
#: Seconds between sender reports; for a while after somebody has joined, they
#: come faster, since one of them may be lost.
REPORT_INTERVAL = 1.0
JOINING_INTERVAL = 0.2
JOINING_TIME = 0.7
#: Packets of which it is known when they were sent, for the server's feedback.
_DEPARTURES = 2048
#: Seconds in which a packet is not sent again once more.
_RESEND_INTERVAL = 0.010
#: Round trip to the server below which the path is taken for one without loss,
#: seconds: a cable or less.
_SHORT_PATH = 0.005


class _Kept:
    """A packet that may be asked for again."""

    __slots__ = ("data", "resent", "sent")

    def __init__(self, data: bytes, sent: float):
        self.data = data
        self.sent = sent
        self.resent = sent


@dataclass(slots=True)
class Departure:
    """When a packet went out."""

    sent: float
    size: int
    resent: float | None = None
    """When it went out again, since it was asked for."""


class Publication:
    """Sends the units of one stream.

    :param send: takes a datagram; true if it went out.
    :param cname: of the session (RFC 3550 section 6.5.1).
    :param round_trip: to the server, seconds.
    :param congested: whether what is sent waits to go out.
    :param seconds: the reactor's clock.
    """

    def __init__(
        self,
        opened: StreamOpened,
        kind: StreamKind,
        form: StreamFormat,
        send: Callable[[bytes], bool],
        seconds: Callable[[], float],
        cname: str,
        random_bytes: Callable[[int], bytes],
        round_trip: Callable[[], float] = lambda: 0.0,
        congested: Callable[[], bool] = lambda: False,
    ):
        codec = by_payload_type(form.payload_type)
        if codec is None or codec.kind is not kind:
            raise LocalError(f"payload type {form.payload_type} for {kind.name}")
        self.ssrc = opened.ssrc
        self.kind = kind
        self.format = form
        self.tap: Callable[[bytes, int], None] | None = None
        """Given every access unit and its RTP timestamp as it is sent."""
        self.on_stop: Callable[[Publication], None] | None = None
        """Tells the owner that the publication is over."""
        self.layer: Publication | None = None
        """The same picture, smaller; it ends with this one."""
        self.bitrate: int | None = None
        """What the encoder is to keep to; None: what the format says."""
        self._codec = codec
        self._send = send
        self._seconds = seconds
        self._cname = cname
        self._round_trip = round_trip
        self._congested = congested
        self._opening: list[bytes] = []
        start = int.from_bytes(random_bytes(6), "big")
        self._sequence = start & 0x7FFF
        self._offset = start >> 16 & 0xFFFFFFFF
        self._srtp = SrtpSender(
            opened.key, opened.salt_key, opened.ssrc, 0, self._sequence
        )
        self._srtcp = SrtcpSender(opened.key, opened.salt_key, opened.ssrc)
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._departures: OrderedDict[int, Departure] = OrderedDict()
        self._paused = False
        self._line: Callable[[], tuple[float, float]] | None = None
        self._next_report = float("-inf")
        self._joining_until = float("-inf")
        self._last_key = float("-inf")
        self._key_wanted = False
        self._stopped = False
        self._frames = self._key_frames = self._packets = self._octets = 0
        self._resent = self._not_kept = self._key_requests = 0
        self._dropped = self._errors = 0
        self._frame_meter, self._bit_meter = RateMeter(), RateMeter()
        self._sent_meter, self._missed_meter = RateMeter(), RateMeter()

    # The feed's side.

    def begin(self, line: Callable[[], tuple[float, float]]) -> None:
        """The feed has begun.

        :param line: gives one moment twice: as seconds since 1970, and as
            seconds on the source's time line.
        """
        self._line = line
        self._joining_until = self._seconds() + JOINING_TIME

    def take_key_request(self) -> bool:
        """Whether the next picture is to be a key frame; asked once for it."""
        now = self._seconds()
        if not self._key_wanted or now - self._last_key < KEY_FRAME_INTERVAL:
            return False
        self._key_wanted = False
        self._last_key = now
        self._joining_until = now + JOINING_TIME
        return True

    def send_units(self, units: Iterable[Unit]) -> None:
        """Send access units, each as one burst."""
        if self._stopped:
            return
        for unit in units:
            if self._line is not None and (
                (unit.key and self.kind is StreamKind.VIDEO) or self._report_due()
            ):
                # With a key frame somebody may just have joined: let him know
                # at once where on the time line this stream is.
                self.send_report()
            opening, self._opening = self._opening, []
            self._send_unit(unit)
            for data in opening:
                self._send(data)

    @property
    def congested(self) -> bool:
        """Whether a picture would only make those before it late."""
        return self._congested()

    def drop(self) -> None:
        """Note a picture that was left out."""
        self._dropped += 1

    def _send_unit(self, unit: Unit) -> None:
        timestamp = self._offset + unit.timestamp & 0xFFFFFFFF
        now = self._seconds()
        if self.kind is StreamKind.VIDEO:
            payloads = h264.packetize(unit.data, MAX_PAYLOAD)
        elif self._codec.number is AudioCodec.AAC:
            payloads = [audio.pack_aac(unit.data, MAX_PAYLOAD)]
        else:
            payloads = [unit.data]
        last = len(payloads) - 1
        discardable = self.kind is StreamKind.VIDEO and h264.is_discardable(unit.data)
        for position, payload in enumerate(payloads):
            marking = None
            if self.kind is StreamKind.VIDEO:
                marking = FrameMarking(
                    position == 0, position == last, unit.key, discardable
                )
            packet = RtpPacket(
                self._codec.payload_type,
                self._sequence,
                timestamp,
                self.ssrc,
                self._marker(position == last),
                payload,
                marking,
            )
            self._send_packet(self._srtp.protect(packet.build()), now)
            self._octets += len(payload)
            self._bit_meter.add(now, len(payload) * 8)
        if not self._frames and self._round_trip() > _SHORT_PATH:
            # Nobody can miss what comes before the first packet he has seen.
            # So the first frame goes out again after the second one.
            self._opening = [kept.data for kept in self._kept.values()]
        self._frames += 1
        self._frame_meter.add(now)
        if unit.key and self.kind is StreamKind.VIDEO:
            self._key_frames += 1
            self._last_key = now
            self._key_wanted = False
        if self.tap is not None:
            self.tap(unit.data, timestamp)

    def _marker(self, last: bool) -> bool:
        """The marker bit: a frame's end, or the start of a spurt of talk."""
        if self.kind is StreamKind.VIDEO or self._codec.number is AudioCodec.AAC:
            return last
        return self._frames == 0

    def _send_packet(self, data: bytes, now: float) -> None:
        kept = self._kept
        kept[self._sequence] = _Kept(data, now)
        while len(kept) > KEPT_PACKETS or (
            next(iter(kept.values())).sent < now - KEPT_SECONDS
        ):
            kept.popitem(last=False)
        departures = self._departures
        departures[self._sequence] = Departure(now, len(data))
        departures.move_to_end(self._sequence)
        if len(departures) > _DEPARTURES:
            departures.popitem(last=False)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._packets += 1
        self._sent_meter.add(now)
        if not self._send(data):
            self._errors += 1

    # The network's side.

    def nacked(self, sequences: Iterable[int]) -> None:
        """The server misses packets: send them again."""
        now = self._seconds()
        for sequence in sequences:
            kept = self._kept.get(sequence)
            if kept is None or kept.sent < now - KEPT_SECONDS:
                self._not_kept += 1
            elif now - kept.resent >= _RESEND_INTERVAL:
                if kept.resent == kept.sent:
                    self._missed_meter.add(now)
                kept.resent = now
                self._departures[sequence].resent = now
                self._resent += 1
                self._send(kept.data)

    def departure(self, sequence: int) -> Departure | None:
        """When that packet went out, if it was not too long ago."""
        return self._departures.get(sequence)

    @property
    def paused(self) -> bool:
        """Whether nothing is sent for now: the uplink takes no more."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        if self._paused and not paused:
            # Nobody has what came before.
            self._key_wanted = True
        self._paused = paused

    def request_key_frame(self) -> None:
        """Make the next picture a key frame, at most every 100 ms."""
        self._key_requests += 1
        self._key_wanted = True

    def asked_for_key_frame(self) -> None:
        """The server asks for a key frame.

        A request that must have been sent before the last key frame arrived
        there is met already.
        """
        if self._seconds() - self._last_key > self._round_trip():
            self.request_key_frame()
        else:
            self._key_requests += 1

    def _report_due(self) -> bool:
        return self._seconds() >= self._next_report

    def announce(self) -> None:
        """Somebody has joined: let him know this stream's place soon."""
        self._joining_until = self._seconds() + JOINING_TIME
        self.send_report()

    def send_report(self) -> None:
        """Send a sender report, if the feed has begun."""
        if self._line is None or self._stopped:
            return
        wall, place = self._line()
        report = SenderReport(
            self.ssrc,
            ntp_from_unix(wall),
            self._offset + round(place * self.format.clock_rate) & 0xFFFFFFFF,
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
        compound = build([report, SourceDescription(self.ssrc, self._cname)])
        now = self._seconds()
        joining = now < self._joining_until
        self._next_report = now + (JOINING_INTERVAL if joining else REPORT_INTERVAL)
        self._send(self._srtcp.protect(compound))

    # The owner's side.

    def stop(self) -> None:
        """Send nothing any more."""
        if not self._stopped:
            self._stopped = True
            self._kept.clear()
            if self.layer is not None:
                self.layer.stop()
            if self.on_stop is not None:
                self.on_stop(self)

    def statistics(self) -> PublicationStatistics:
        """Figures up to now."""
        now = self._seconds()
        sent, missed = self._sent_meter, self._missed_meter
        return PublicationStatistics(
            frames=self._frames,
            key_frames=self._key_frames,
            packets=self._packets,
            octets=self._octets,
            resent=self._resent,
            not_kept=self._not_kept,
            key_frame_requests=self._key_requests,
            dropped=self._dropped,
            send_errors=self._errors,
            fps=self._frame_meter.per_second(now),
            bitrate=self._bit_meter.per_second(now),
            loss=min(1.0, missed.per_second(now) / (sent.per_second(now) or 1.0)),
        )
