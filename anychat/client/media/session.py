"""The media of one client session: what is published and what is received.

`MediaSession` is the seam to the signalling client.  It owns the UDP transport,
the leg's RTCP (under keys that only this client and the server know), the feeds
of the sources, and the playouts of the users that are watched; it routes each
datagram to the stream it belongs to.  Every method is for the reactor's thread.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from ipaddress import ip_address
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.task import LoopingCall

from anychat.client.media.encode import (
    AudioSettings,
    VideoSettings,
    audio_settings,
    video_settings,
)
from anychat.client.media.feed import Feed
from anychat.client.media.playout import Playout
from anychat.client.media.publication import Publication
from anychat.client.media.reception import Reception
from anychat.client.media.sinks import Recording, Sink
from anychat.client.media.source import Source
from anychat.client.media.strand import Strand, ThreadWorkers, Workers
from anychat.client.media.transport import MediaTransport
from anychat.codes import AudioCodec, ResultCode, StreamKind, VideoCodec
from anychat.errors import LocalError, PeerError, Refused
from anychat.media import rtcp
from anychat.media.demux import Kind
from anychat.media.rtcp import (
    MAX_REPORTS,
    Nack,
    Pli,
    ReceiverReport,
    RtcpPacket,
    SourceDescription,
)
from anychat.media.rtp import FIXED_HEADER
from anychat.media.srtp import SrtcpReceiver, SrtcpSender
from anychat.messages import (
    MediaSetup,
    ServerParameters,
    StreamFormat,
    StreamGranted,
    StreamOpened,
)

#: Media parameters of a server that gave none: those the manual's text names
#: (3.4 and 3.5).
DEFAULT_PARAMETERS = ServerParameters(
    video_width=320,
    video_height=240,
    video_fps=15,
    video_gop=40,
    video_bitrate=60000,
    video_codec=VideoCodec.H264,
    video_quality=3,
    video_preset=3,
    audio_sample_rate=16000,
    audio_channels=1,
    audio_sample_bits=16,
    audio_codec=AudioCodec.AMR_WB,
    audio_bitrate=15850,
)

#: Seconds between receiver reports.
REPORT_INTERVAL = 1.0
#: Most SSRCs for which datagrams may come without being known, remembered so
#: that a grant that is a little late over TCP costs nothing.
_EARLY_STREAMS = 16
_EARLY_PACKETS = 64


Settings = VideoSettings | AudioSettings

_PARAMETERS = {field.name for field in fields(ServerParameters)}


def _check_overrides(overrides: Mapping[str, int]) -> None:
    for name, value in overrides.items():
        # 0 means something for this one only: constant quality.
        lowest = 0 if name == "video_bitrate" else 1
        known = name in _PARAMETERS and isinstance(value, int)
        if not known or not lowest <= value < 1 << 31:
            reason = f"media parameter {name}={value!r}"
            raise Refused(ResultCode.FUNCOPTERROR, reason)


class MediaSession:
    """Publishes and receives over one UDP transport.

    :param log: takes a line of text about what goes wrong.
    :param on_udp: told whether UDP reaches the server: with the round trip in
        seconds when it does, with None when it does not any more.
    :param network: opens UDP ports as a reactor does; the reactor by default.
    :param workers: where encoding and decoding run; threads by default.
    :param wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        reactor: Any,
        log: Callable[[str], None],
        on_udp: Callable[[bool, float | None], None],
        random_bytes: Callable[[int], bytes] = os.urandom,
        network: Any = None,
        workers: Workers | None = None,
        wall_clock: Callable[[], float] = time.time,
    ):
        self.refused = 0
        """Datagrams for no stream of ours, malformed or not authentic."""
        self._reactor = reactor
        self._log = log
        self._on_udp = on_udp
        self._random_bytes = random_bytes
        self._wall_clock = wall_clock
        self._workers = workers
        self._transport = MediaTransport(
            reactor, network or reactor, random_bytes, self._datagram, self._udp
        )
        self._setup: MediaSetup | None = None
        self._srtcp_out: SrtcpSender | None = None
        self._srtcp_in: SrtcpReceiver | None = None
        self._cname = random_bytes(12).hex()
        self._publications: dict[int, Publication] = {}
        self._receptions: dict[int, Reception] = {}
        self._feeds: dict[Source, Feed] = {}
        self._settings: WeakKeyDictionary[Source, dict[StreamKind, Settings]]
        self._settings = WeakKeyDictionary()
        # A time line lives as long as the program keeps the sink.
        self._playouts: WeakKeyDictionary[Any, Playout] = WeakKeyDictionary()
        self._unbound: list[Callable[[], None]] = []
        self._early: dict[int, list[tuple[Kind, bytes]]] = {}
        self._closing: list[Deferred[Any]] = []
        self._reports = LoopingCall(self._report)
        self._reports.clock = reactor
        self._shutdown: Any = None
        self._stopped = False

    # The path to the server.

    def configure(self, setup: MediaSetup, server_host: str) -> None:
        """Open UDP and bind it at the server; again when the set-up changes.

        :param server_host: IP literal of the server's end of the TCP link,
            used where the set-up names no address.
        :raise LocalError: no usable address.
        :raise OSError: no UDP port can be opened.
        """
        hosts = setup.addresses or (server_host,)
        addresses = []
        for host in hosts:
            try:
                ip_address(host.partition("%")[0])
            except ValueError:
                raise LocalError(f"not an IP address: {host!r}") from None
            addresses.append((host, setup.port))
        before, self._setup = self._setup, setup
        if before is None or (before.rtcp_key, before.client_ssrc) != (
            setup.rtcp_key,
            setup.client_ssrc,
        ):
            # Under the keys there were, the numbers must go on where they are.
            self._srtcp_out = SrtcpSender(
                setup.rtcp_key, setup.rtcp_salt_key, setup.client_ssrc
            )
            self._srtcp_in = SrtcpReceiver(
                setup.rtcp_key, setup.rtcp_salt_key, setup.server_ssrc
            )
        self._transport.begin(addresses, setup.username, setup.stun_key)
        if not self._reports.running:
            self._reports.start(REPORT_INTERVAL, now=False)
        if self._shutdown is None and hasattr(self._reactor, "addSystemEventTrigger"):
            # Threads would keep the program from ending.
            self._shutdown = self._reactor.addSystemEventTrigger(
                "before", "shutdown", self._end_with_reactor
            )

    @property
    def bound(self) -> bool:
        """Whether the server knows where to send."""
        return self._transport.bound

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back, by the last keep-alive."""
        return self._transport.round_trip

    def stop(self) -> "Deferred[Any]":
        """End everything; fires when files, threads and ports are closed.

        Sources stay open: they belong to who opened them.
        """
        if not self._stopped:
            self._stopped = True
            for publication in list(self._publications.values()):
                publication.stop()
            for ssrc in list(self._receptions):
                self.end(ssrc)
            self._closing += [feed.stop() for feed in self._feeds.values()]
            self._feeds.clear()
            for sink in list(self._playouts):
                if isinstance(sink, Recording):
                    self._closing.append(maybeDeferred(sink.close))
            if self._reports.running:
                self._reports.stop()
            self._closing.append(self._transport.close())
        return self._closed().addCallback(self._end_threads)

    def _closed(self) -> "Deferred[Any]":
        waiting = DeferredList(list(self._closing), consumeErrors=True)

        def again(_: Any) -> Any:
            self._closing = [item for item in self._closing if not item.called]
            return self._closed() if self._closing else None

        return waiting.addCallback(again)

    def _end_threads(self, result: Any) -> Any:
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.stop()
        shutdown, self._shutdown = self._shutdown, None
        if shutdown is not None:
            self._reactor.removeSystemEventTrigger(shutdown)
        return result

    def _end_with_reactor(self) -> "Deferred[Any]":
        self._shutdown = None
        return self.stop()

    def _strand(self) -> Strand:
        if self._workers is None:
            self._workers = ThreadWorkers(self._reactor, self._log)
        return self._workers.strand()

    # Publishing.

    def formats(
        self,
        source: Source,
        parameters: ServerParameters | None,
        overrides: Mapping[str, int] | None = None,
    ) -> list[tuple[StreamKind, StreamFormat]]:
        """The streams that a source has, and what they will carry.

        :param overrides: values that replace the server's and the source's, by
            the names of `ServerParameters`.
        :raise Refused: 80 UNSUPPORTCODEC; 21 FUNCOPTERROR, an override that there
            is not or a value that it cannot have.
        """
        _check_overrides(overrides or {})
        wanted = {**source.fixed, **(overrides or {})}
        settled = replace(parameters or DEFAULT_PARAMETERS, **wanted)
        formats = []
        for kind in source.kinds:
            settings: Settings
            if kind is StreamKind.VIDEO:
                settings = video_settings(settled, *source.picture)
            else:
                settings = audio_settings(settled)
            self._settings.setdefault(source, {})[kind] = settings
            formats.append((kind, settings.stream_format()))
        return formats

    def publish(
        self,
        opened: StreamOpened,
        kind: StreamKind,
        format: StreamFormat,
        source: Source,
    ) -> Publication:
        """Begin to encode and send a source's stream, after `formats`."""
        publication = Publication(
            opened,
            kind,
            format,
            self._transport.send,
            self._reactor.seconds,
            self._cname,
            self._random_bytes,
            lambda: self._transport.way,
        )
        publication.on_stop = lambda stopped: self._unpublish(stopped, source)
        self._publications[publication.ssrc] = publication
        self._activity()
        settings = self._settings[source][kind]
        attach = partial(self._attach, publication, settings, source)
        if self.bound:
            # Not at once: the caller may want to set the publication up first.
            self._reactor.callLater(0, attach)
        else:
            # The server drops what comes from an address it does not know.
            self._unbound.append(attach)
        return publication

    def _attach(
        self, publication: Publication, settings: Settings, source: Source
    ) -> None:
        if publication.ssrc not in self._publications:
            return
        feed = self._feeds.get(source)
        if feed is None:
            feed = self._feeds[source] = Feed(
                self._reactor, self._wall_clock, self._strand(), source
            )
        feed.attach(publication, settings)

    def _unpublish(self, publication: Publication, source: Source) -> None:
        self._publications.pop(publication.ssrc, None)
        self._activity()
        feed = self._feeds.get(source)
        resting = None if feed is None else feed.detach(publication)
        if resting is not None:
            resting.addCallback(lambda _: self._let_go(source))

    def _let_go(self, source: Source) -> None:
        """Forget the feed of a source that nobody publishes now."""
        feed = self._feeds.get(source)
        if feed is not None and feed.idle:
            del self._feeds[source]
            feed.stop()

    def _udp(self, bound: bool, delay: float | None) -> None:
        if bound:
            waiting, self._unbound = self._unbound, []
            for attach in waiting:
                attach()
        self._on_udp(bound, delay)

    # Receiving.

    def receive(self, granted: StreamGranted, sink: Sink | Recording) -> Reception:
        """Begin to receive a stream; one sink for both streams of a user.

        :raise Refused: 80 UNSUPPORTCODEC.
        """
        assert self._setup is not None
        self.end(granted.ssrc)
        playout = self._playouts.get(sink)
        if playout is None:
            playout = Playout(self._reactor.seconds, self._wall_clock)
        reception = Reception(
            granted,
            sink,
            playout,
            self._strand,
            self._reactor,
            self._send_rtcp,
            self._setup.client_ssrc,
        )
        self._playouts[sink] = playout
        reception.round_trip = self._transport.round_trip
        self._receptions[granted.ssrc] = reception
        self._activity()
        for kind, data in self._early.pop(granted.ssrc, ()):
            self._datagram(kind, data)
        return reception

    def end(self, ssrc: int) -> "Deferred[None] | None":
        """Receive that stream no longer; nothing if it is not received.

        What has come whole still goes to the sink; fires when it is there.
        """
        reception = self._receptions.pop(ssrc, None)
        if reception is None:
            return None
        stopped = reception.stop()
        self._closing = [item for item in self._closing if not item.called]
        self._closing.append(stopped)
        self._activity()
        return stopped

    def _activity(self) -> None:
        self._transport.set_active(bool(self._publications or self._receptions))

    # Datagrams.

    def _datagram(self, kind: Kind, data: bytes) -> None:
        if len(data) < FIXED_HEADER:
            self.refused += 1
            return
        if kind is Kind.RTP:
            ssrc = int.from_bytes(data[8:12], "big")
            reception = self._receptions.get(ssrc)
            if reception is not None:
                reception.receive(data)
                return
        else:
            ssrc = int.from_bytes(data[4:8], "big")
            if self._setup is not None and ssrc == self._setup.server_ssrc:
                self._feedback(data)
                return
            reception = self._receptions.get(ssrc)
            if reception is not None:
                reception.receive_report(data)
                return
        self._keep_early(ssrc, kind, data)

    def _keep_early(self, ssrc: int, kind: Kind, data: bytes) -> None:
        """UDP may be faster than the grant that explains it."""
        if ssrc not in self._early and len(self._early) >= _EARLY_STREAMS:
            self.refused += len(self._early.pop(next(iter(self._early))))
        kept = self._early.setdefault(ssrc, [])
        if len(kept) < _EARLY_PACKETS:
            kept.append((kind, data))
        else:
            self.refused += 1

    def _feedback(self, data: bytes) -> None:
        """RTCP of the server about what is published."""
        assert self._srtcp_in is not None
        try:
            packets = rtcp.parse(self._srtcp_in.unprotect(data))
        except PeerError:
            self.refused += 1
            return
        for packet in packets:
            if isinstance(packet, Nack):
                publication = self._publications.get(packet.media_ssrc)
                if publication is not None:
                    publication.nacked(packet.sequences)
            elif isinstance(packet, Pli):
                publication = self._publications.get(packet.media_ssrc)
                if publication is not None:
                    publication.asked_for_key_frame()

    def _send_rtcp(self, *packets: RtcpPacket) -> None:
        """Send RTCP to the server under the leg's keys."""
        if self._srtcp_out is not None:
            self._transport.send(self._srtcp_out.protect(rtcp.build(packets)))

    def _report(self) -> None:
        """Receiver reports of everything that is received, every second."""
        assert self._setup is not None
        ssrc = self._setup.client_ssrc
        blocks = []
        for reception in self._receptions.values():
            reception.align()
            reception.round_trip = self._transport.round_trip
            if reception.heard:
                blocks.append(reception.report())
        for start in range(0, len(blocks), MAX_REPORTS):
            self._send_rtcp(
                ReceiverReport(ssrc, tuple(blocks[start : start + MAX_REPORTS])),
                SourceDescription(ssrc, self._cname),
            )
