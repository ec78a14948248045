"""The media of one client session: what is published and what is received.

`MediaSession` is the seam to the signalling client.  It owns the way to the server
(UDP, or the signalling link where UDP fails), the leg's RTCP (under keys that only
this client and the server know), the feeds of the sources, and the playouts of the
users that are watched; it routes each datagram to the stream it belongs to.  Every
method is for the reactor's thread.
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

from anychat.client.media.carrier import MediaCarrier, MediaLink
from anychat.client.media.encode import (
    AudioSettings,
    VideoSettings,
    audio_settings,
    layer_settings,
    video_settings,
)
from anychat.client.media.feed import Feed
from anychat.client.media.layers import VideoReception
from anychat.client.media.playout import Playout
from anychat.client.media.probes import Probes
from anychat.client.media.publication import Publication
from anychat.client.media.reception import Reception
from anychat.client.media.reports import Reports
from anychat.client.media.sinks import Recording, Sink
from anychat.client.media.source import Source
from anychat.client.media.strand import Strand, ThreadWorkers, Workers
from anychat.client.media.uplink import Uplink
from anychat.codes import (
    AudioCodec,
    ResultCode,
    StreamKind,
    StreamTransMode,
    VideoCodec,
)
from anychat.errors import LocalError, PeerError, Refused
from anychat.media import rtcp
from anychat.media.demux import Kind
from anychat.media.rtcp import CongestionFeedback, Nack, Pli, RtcpPacket
from anychat.media.rtp import FIXED_HEADER
from anychat.media.signals import LayerPlace, LeftOut, Probe, Signal, unwrap, wrap
from anychat.media.srtp import SrtcpReceiver, SrtcpSender
from anychat.messages import (
    LayerGranted,
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

#: Most SSRCs for which datagrams may come without being known, remembered so
#: that a grant that is a little late over TCP costs nothing.
_EARLY_STREAMS = 16
_EARLY_PACKETS = 64


Settings = VideoSettings | AudioSettings

_PARAMETERS = {field.name for field in fields(ServerParameters)}


#: The highest value of those that are steps from 1 up.
_STEPS = {"video_quality": 5, "video_preset": 5}


def _check_overrides(overrides: Mapping[str, int]) -> None:
    for name, value in overrides.items():
        # 0 means something for this one only: constant quality.
        lowest = 0 if name == "video_bitrate" else 1
        highest = _STEPS.get(name, (1 << 31) - 1)
        known = name in _PARAMETERS and isinstance(value, int)
        if not known or not lowest <= value <= highest:
            reason = f"media parameter {name}={value!r}"
            raise Refused(ResultCode.FUNCOPTERROR, reason)


class MediaSession:
    """Publishes and receives over one way to the server.

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
        self._random_bytes = random_bytes
        self._wall_clock = wall_clock
        self._workers = workers
        self._transport = MediaCarrier(
            reactor,
            network or reactor,
            random_bytes,
            self._datagram,
            self._path_found,
            on_udp,
        )
        self._setup: MediaSetup | None = None
        self._srtcp_out: SrtcpSender | None = None
        self._srtcp_in: SrtcpReceiver | None = None
        self._cname = random_bytes(12).hex()
        self._publications: dict[int, Publication] = {}
        self._receptions: dict[int, Reception | VideoReception] = {}
        self._feeds: dict[Source, Feed] = {}
        self._settings: WeakKeyDictionary[Source, dict[StreamKind, Settings]]
        self._settings = WeakKeyDictionary()
        self._layers: WeakKeyDictionary[Source, VideoSettings] = WeakKeyDictionary()
        # A time line lives as long as the program keeps the sink.
        self._playouts: WeakKeyDictionary[Any, Playout] = WeakKeyDictionary()
        self._unbound: list[Callable[[], None]] = []
        self._early: dict[int, list[tuple[Kind, bytes]]] = {}
        self._closing: list[Deferred[Any]] = []
        self._reports = Reports(
            reactor,
            # Both layers of a video are one reception.
            lambda: tuple(dict.fromkeys(self._receptions.values())),
            self._send_rtcp,
            self._cname,
        )
        self._reports.round_trip = lambda: self._transport.round_trip
        self._probes = Probes(reactor, self._signal)
        self._uplink = Uplink(self._publications.values, reactor.seconds)
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
        self._reports.ssrc = setup.client_ssrc
        self._reports.start()
        if self._shutdown is None and hasattr(self._reactor, "addSystemEventTrigger"):
            # Threads would keep the program from ending.
            self._shutdown = self._reactor.addSystemEventTrigger(
                "before", "shutdown", self._end_with_reactor
            )

    def offer(self, mode: StreamTransMode) -> None:
        """Take the server's word on how media goes; before `configure`."""
        self._transport.mode = mode

    def link_up(self, link: MediaLink) -> None:
        """The session has a link, or a new one."""
        self._transport.link_up(link)

    def link_down(self) -> None:
        """The session's link is gone."""
        self._transport.link_down()

    @property
    def over_link(self) -> bool:
        """Whether media goes over the signalling link."""
        return self._transport.over_link

    @property
    def transport(self) -> MediaCarrier:
        """The way to the server, for what else goes there."""
        return self._transport

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
            self._reports.stop()
            self._probes.stop()
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
            the names of `ServerParameters`; and ``video_layers``, 2 for a smaller
            layer beside the full picture (see `layer`).
        :raise Refused: 80 UNSUPPORTCODEC; 21 FUNCOPTERROR, an override that there
            is not or a value that it cannot have.
        """
        overrides = dict(overrides or {})
        layers = overrides.pop("video_layers", 1)
        if layers not in (1, 2):
            reason = f"media parameter video_layers={layers!r}"
            raise Refused(ResultCode.FUNCOPTERROR, reason)
        _check_overrides(overrides)
        self._layers.pop(source, None)
        wanted = {**source.fixed, **overrides}
        settled = replace(parameters or DEFAULT_PARAMETERS, **wanted)
        formats = []
        for kind in source.kinds:
            settings: Settings
            if kind is StreamKind.VIDEO:
                settings = video_settings(settled, *source.picture)
                if layers == 2:
                    settings, self._layers[source] = layer_settings(settings)
            else:
                settings = audio_settings(settled)
            self._settings.setdefault(source, {})[kind] = settings
            formats.append((kind, settings.stream_format()))
        return formats

    def layer(self, source: Source) -> StreamFormat | None:
        """What the smaller layer of a source's video will carry, after `formats`;
        None: there is to be none."""
        settings = self._layers.get(source)
        return None if settings is None else settings.stream_format()

    def publish(
        self,
        opened: StreamOpened,
        kind: StreamKind,
        format: StreamFormat,
        source: Source,
    ) -> Publication:
        """Begin to encode and send a source's stream, after `formats`."""
        return self._publish(opened, kind, format, self._settings[source][kind], source)

    def publish_layer(
        self,
        opened: StreamOpened,
        format: StreamFormat,
        source: Source,
        full: Publication,
    ) -> Publication:
        """Begin to send the smaller layer of a video; it ends with that."""
        kind = StreamKind.VIDEO
        full.layer = self._publish(opened, kind, format, self._layers[source], source)
        return full.layer

    def _publish(
        self,
        opened: StreamOpened,
        kind: StreamKind,
        format: StreamFormat,
        settings: Settings,
        source: Source,
    ) -> Publication:
        publication = Publication(
            opened,
            kind,
            format,
            self._transport.send,
            self._reactor.seconds,
            self._cname,
            self._random_bytes,
            lambda: self._transport.way,
            lambda: self._transport.congested,
        )
        publication.on_stop = lambda stopped: self._unpublish(stopped, source)
        self._publications[publication.ssrc] = publication
        self._activity()
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

    def _path_found(self) -> None:
        self._uplink.restart()
        waiting, self._unbound = self._unbound, []
        for attach in waiting:
            attach()

    # Receiving.

    def receive(
        self, granted: StreamGranted, sink: Sink | Recording
    ) -> Reception | VideoReception:
        """Begin to receive a stream; one sink for both streams of a user.

        :raise Refused: 80 UNSUPPORTCODEC.
        """
        assert self._setup is not None
        self.end(granted.ssrc)
        playout = self._playouts.get(sink)
        if playout is None:
            playout = Playout(self._reactor.seconds, self._wall_clock)
        make = partial(
            Reception,
            sink=sink,
            playout=playout,
            make_strand=self._strand,
            reactor=self._reactor,
            send=self._send_rtcp,
            client_ssrc=self._setup.client_ssrc,
        )
        reception: Reception | VideoReception
        if granted.kind is StreamKind.VIDEO:
            reception = VideoReception(granted, make)
        else:
            reception = make(granted)
        self._playouts[sink] = playout
        reception.round_trip = self._transport.round_trip
        self._receptions[granted.ssrc] = reception
        self._activity()
        self._catch_up(granted.ssrc)
        return reception

    def receive_layer(self, granted: LayerGranted) -> None:
        """A video that is received has a smaller layer, which may come instead."""
        reception = self._receptions.get(granted.stream_ssrc)
        if isinstance(reception, VideoReception):
            reception.add_layer(granted)
            self._receptions[granted.ssrc] = reception
            self._catch_up(granted.ssrc)

    def _catch_up(self, ssrc: int) -> None:
        for kind, data in self._early.pop(ssrc, ()):
            self._datagram(kind, data)

    def end(self, ssrc: int) -> "Deferred[None] | None":
        """Receive that stream no longer; nothing if it is not received.

        What has come whole still goes to the sink; fires when it is there.
        """
        reception = self._receptions.get(ssrc)
        if reception is None:
            return None
        for each in [
            each for each, held in self._receptions.items() if held is reception
        ]:
            del self._receptions[each]
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
            elif isinstance(packet, CongestionFeedback):
                self._uplink.feedback(packet, self._transport.round_trip)
            else:
                self._take_signal(unwrap(packet), len(data))

    def _take_signal(self, signal: Signal | None, size: int) -> None:
        if isinstance(signal, Probe):
            self._probes.receive(signal, size)
        elif isinstance(signal, LayerPlace):
            reception = self._receptions.get(signal.stream)
            if isinstance(reception, VideoReception):
                reception.announce(signal.ssrc, signal.roc, signal.sequence)
        elif isinstance(signal, LeftOut):
            reception = self._receptions.get(signal.ssrc)
            if isinstance(reception, VideoReception):
                reception.left_out(signal.ssrc, signal.sequences)

    def _signal(self, signal: Signal) -> None:
        assert self._setup is not None
        self._send_rtcp(wrap(self._setup.client_ssrc, signal))

    def _send_rtcp(self, *packets: RtcpPacket) -> None:
        """Send RTCP to the server under the leg's keys."""
        if self._srtcp_out is not None:
            self._transport.send(self._srtcp_out.protect(rtcp.build(packets)))

    # The way through the network.

    @property
    def adaptive(self) -> bool:
        """Whether encoders follow the uplink, and the server may send less where
        this client's way takes no more (option 228)."""
        return self._reports.adaptive

    @adaptive.setter
    def adaptive(self, adaptive: bool) -> None:
        self._reports.adaptive = self._uplink.adaptive = adaptive
