"""The graph of the server: the one place where its parts meet.

`build` makes everything and opens nothing: files of the TLS certificate apart,
sockets and timers come with the service's start.
"""

import os
import platform
from collections.abc import Iterator
from typing import Any

from twisted.application.service import IService, MultiService, Service

import anychat
from anychat import banner
from anychat.business_messages import Arbiter
from anychat.codes import LicenceMode
from anychat.config import Config
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.filters.choice import FilterKind, chosen
from anychat.filters.native import NativeFilter
from anychat.filters.plug_in import PlugIn
from anychat.filters.python import PythonFilter
from anychat.log import Log
from anychat.media.port import PortSettings
from anychat.media.relay import RelaySettings, maker
from anychat.media.routes import SourceLimit
from anychat.messages import ServerParameters
from anychat.ops.http import HttpService, site
from anychat.ops.metrics import Metrics
from anychat.protocols.signalling import HelloFacts
from anychat.protocols.tls import ServerContext, make_certificate
from anychat.services.business import (
    BusinessChannelSettings,
    BusinessService,
    resting,
)
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from anychat.services.links import ClientLinks, LinkSettings
from anychat.services.media import MediaService

#: What runs plug-ins that are not the channel for business servers.
PLUG_INS: dict[FilterKind, type[PlugIn]] = {
    FilterKind.PYTHON: PythonFilter,
    FilterKind.COMPILED: NativeFilter,
}


class Line(Service):
    """Writes lines into the log when its turn to start comes."""

    def __init__(self, log: Log, *lines: str) -> None:
        self._log = log
        self._lines = lines

    def startService(self) -> None:
        """Write them."""
        super().startService()
        for line in self._lines:
            self._log(line)


def build(config: Config, reactor: Any, log: Log) -> IService:
    """The whole server as one service.

    :param reactor: its ``seconds`` must be monotonic, see ``tap``.
    :raises ConfigError: certificate and key cannot be used or made.
    """
    context = server_context(config) if config.tls.enable else None
    hall = HallService(Hall(hall_settings(config)), reactor)
    media = MediaService(
        reactor,
        port_settings(config),
        config.media.public_address,
        os.urandom,
        log,
        reactor.seconds,
        maker(relay_settings(config)),
    )
    links = ClientLinks(
        reactor,
        link_settings(config, context),
        hall.submit,
        server_parameters(config),
        hello_facts(config),
        os.urandom,
        log,
        media.new_ssrc,
    )
    slot = FilterSlot(hall.submit, hall.hall.state)
    hall.connect(Effects(links, media, slot, log))
    business = plug_in = None
    choice = chosen(config.function.sdk_filter_plus, config.directory)
    if choice.kind is FilterKind.CHANNEL:
        business = BusinessService(
            reactor,
            channel_settings(config),
            slot,
            hello_facts(config),
            os.urandom,
            log,
            context,
        )
        slot.fill(business)
    elif choice.kind in PLUG_INS:
        plug_in = PLUG_INS[choice.kind](
            reactor,
            choice,
            slot,
            answer_timeout=float(config.business.answer_timeout),
            require=config.business.require_business,
            log=log,
        )
        slot.fill(plug_in)
    metrics = Metrics(
        hall.hall,
        links.statistics,
        media.counters,
        business.statistics if business is not None else dict,
        plug_in.statistics if plug_in is not None else dict,
        reactor.seconds,
    )

    server = MultiService()
    parts: list[Service] = [
        Line(log, *banner.opening(config), *certificate_lines(config, context)),
        hall,
        links,
        Line(log, banner.started("TCP", config.base.tcp_listen_port)),
        media,
    ]
    if business is not None:
        parts += [
            business,
            Line(
                log,
                banner.channel_opened(),
                banner.filter_loaded(config.function.sdk_filter_plus, business.version),
            ),
        ]
    if plug_in is not None:
        parts.append(plug_in)
    parts.append(Line(log, *banner.missing(config)))
    if config.http.listen_port:
        parts.append(
            HttpService(
                reactor,
                config.http.listen_address,
                config.http.listen_port,
                site(metrics.health, metrics.exposition),
                log,
            )
        )
    for part in parts:
        part.setServiceParent(server)
    return server


def server_context(config: Config) -> ServerContext:
    """TLS with the configured certificate, or with one of our own making."""
    certificate, key = config.tls.certificate_file, config.tls.private_key_file
    if certificate is None or key is None:
        certificate, key = config.own_certificate_path, config.own_private_key_path
        make_certificate(certificate, key, list(config.media.public_address))
    return ServerContext(certificate, key)


def certificate_lines(config: Config, context: ServerContext | None) -> Iterator[str]:
    """What the operator passes on to those who want to check the server."""
    if context is None:
        yield "Warning:TLS is off: no passwords and no media over these links"
    else:
        path = config.tls.certificate_file or config.own_certificate_path
        yield f"TLS certificate {path.name}, SHA-256 {context.fingerprint}"


def hall_settings(config: Config) -> HallSettings:
    """What the core obeys."""
    function = config.function
    verifier = admitter = Arbiter.NOBODY
    if function.sdk_filter_plus:
        # Until the plug-in says that somebody is there.
        verifier, admitter = resting(config.business.require_business)
    return HallSettings(
        demo_mode=config.base.demo_mode,
        allow_guest_login=function.allow_guest_login,
        close_front_link=function.close_front_link,
        auto_add_room=function.auto_add_room,
        max_users_per_room=function.max_users_per_room,
        hold_time=float(config.media.hold_time),
        verifier=verifier,
        admitter=admitter,
    )


def link_settings(config: Config, context: ServerContext | None) -> LinkSettings:
    """How clients' links are served."""
    return LinkSettings(
        port=config.base.tcp_listen_port,
        addresses=config.network.listen_address,
        password=config.base.sdk_auth_pass,
        check_time=config.function.net_check_time / 1000,
        timeout=config.function.net_timeout_time / 1000,
        secure=context,
        allow_plain=config.tls.allow_plain,
        hold_time=config.media.hold_time,
    )


def channel_settings(config: Config) -> BusinessChannelSettings:
    """How business servers are served."""
    return BusinessChannelSettings(
        port=config.business.listen_port,
        addresses=(config.business.listen_address,),
        password=config.base.sdk_auth_pass,
        answer_timeout=float(config.business.answer_timeout),
        require=config.business.require_business,
        heartbeat=config.function.net_check_time / 1000,
        timeout=config.function.net_timeout_time / 1000,
    )


def port_settings(config: Config) -> PortSettings:
    """Where media arrives."""
    everywhere = PortSettings().interfaces
    return PortSettings(
        number=config.base.udp_service_port,
        interfaces=config.network.listen_address or everywhere,
        receive_buffer=config.media.receive_buffer,
        send_buffer=config.media.send_buffer,
    )


def relay_settings(config: Config) -> RelaySettings:
    """How media is forwarded."""
    media = config.media
    return RelaySettings(
        threads=media.threads,
        coalesce=media.coalesce_microseconds,
        short_slice=media.media_scheduling == "slice",
        limit=SourceLimit(media.source_packets, media.source_bytes),
    )


def server_parameters(config: Config) -> ServerParameters:
    """The default media parameters that clients are given."""
    video, audio = config.video, config.audio
    return ServerParameters(
        video_width=video.video_width,
        video_height=video.video_height,
        video_fps=video.video_fps,
        video_gop=video.video_gop_size,
        video_bitrate=video.video_bitrate,
        video_codec=video.video_codec,
        video_quality=video.video_quality,
        video_preset=video.video_preset,
        audio_sample_rate=audio.audio_samples_per_sec,
        audio_channels=audio.audio_channels,
        audio_sample_bits=audio.audio_bits_per_sample,
        audio_codec=audio.audio_codec,
        audio_bitrate=audio.audio_bitrate,
    )


def hello_facts(config: Config) -> HelloFacts:
    """What the server says of itself to anybody who asks."""
    demo = config.base.demo_mode
    return HelloFacts(
        version=anychat.__version__,
        build=banner.build_time(),
        os=f"{platform.system()} {platform.machine()}",
        licence_mode=LicenceMode.DEMO if demo else LicenceMode.NOT_CHECKED,
    )
