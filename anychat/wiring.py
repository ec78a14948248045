"""The graph of the server: the one place where its parts meet.

`build` makes everything and opens nothing: files of the TLS certificate apart,
sockets and timers come with the service's start.
"""

import os
import platform
import time
from collections.abc import Iterator
from datetime import datetime
from functools import cache, partial
from ipaddress import ip_address
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

import anychat
from anychat import banner
from anychat.business_messages import Arbiter
from anychat.codes import LicenceMode, StreamTransMode
from anychat.config import Config
from anychat.core.blocking import is_blocked
from anychat.core.commands import TermsChanged
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.errors import ConfigError
from anychat.filters.choice import FilterKind, chosen
from anychat.filters.native import NativeFilter
from anychat.filters.plug_in import PlugIn
from anychat.filters.python import PythonFilter
from anychat.licensing import log_lines
from anychat.licensing.addresses import resolver
from anychat.licensing.check import Host, InThread
from anychat.licensing.service import LicenceService, LicenceSettings
from anychat.log import Log
from anychat.media.port import PortSettings
from anychat.media.relay import RelaySettings, maker
from anychat.media.source_limit import SourceLimit
from anychat.messages import ServerParameters
from anychat.notices import Notices
from anychat.ops.http import HttpService, site
from anychat.ops.metrics import Metrics
from anychat.protocols.signalling import HelloFacts
from anychat.protocols.signature import SignatureKey
from anychat.protocols.tls import ServerContext, make_certificate
from anychat.services.business import (
    BusinessChannelSettings,
    BusinessService,
    resting,
)
from anychat.services.client_logs import ClientLogs
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from anychat.services.links import ClientLinks
from anychat.services.media import MediaService
from anychat.services.settings import LinkSettings
from anychat.services.signatures import SignatureCheck, SignatureSettings
from anychat.services.store import FileStore, StoreSettings
from anychat.services.transfers import TransferService
from anychat.terms import DEMO_TERMS, NO_TERMS, Feature

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

    def in_thread(*work: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), *work)

    licence = LicenceService(
        licence_settings(config),
        reactor,
        licence_host(config, reactor, in_thread),
        lambda terms: hall.submit(TermsChanged(terms)),
        log,
    )
    trans_mode = StreamTransMode(config.function.stream_trans_mode)
    media = MediaService(
        reactor,
        port_settings(config),
        config.media.public_address,
        os.urandom,
        log,
        reactor.seconds,
        maker(relay_settings(config)),
        trans_mode is not StreamTransMode.UDP,
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
        media,
        trans_mode,
        partial(is_blocked, hall.hall.state),
        SignatureCheck(signature_settings(config), time.time),
    )
    slot = FilterSlot(hall.submit, hall.hall.state)
    store = FileStore(store_settings(config), time.time)
    transfers = TransferService(
        reactor,
        links,
        hall.submit,
        slot.answer,
        store,
        in_thread,
    )
    client_logs = ClientLogs(
        config.debug.save_log_root_dir,
        config.debug.auto_upload_log_info,
        datetime.now,
        Notices(log, reactor.seconds),
    )
    hall.connect(Effects(links, media, slot, log, transfers, client_logs=client_logs))
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
            lambda: Feature.DISTRIBUTED in hall.hall.state.terms.features,
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
        transfers.statistics,
        lambda: licence.status,
    )

    server = MultiService()
    parts: list[Service] = [
        Line(log, *banner.opening(config), *certificate_lines(config, context)),
        hall,
        licence,
        transfers,
        links,
        Line(log, banner.started("TCP", config.base.tcp_listen_port)),
        media,
        client_logs,
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
                site(metrics.health, metrics.exposition, metrics.blocked),
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
        parameters=server_parameters(config),
        demo_mode=config.base.demo_mode,
        terms=DEMO_TERMS if config.base.demo_mode else NO_TERMS,
        allow_guest_login=function.allow_guest_login,
        close_front_link=function.close_front_link,
        auto_add_room=function.auto_add_room,
        max_users_per_room=function.max_users_per_room,
        hold_time=float(config.media.hold_time),
        ring_time=float(function.ring_timeout),
        first_call_room=function.video_call_start_room_id,
        max_file_size=config.transfer.max_file_size << 20,
        verifier=verifier,
        admitter=admitter,
    )


def licence_settings(config: Config) -> LicenceSettings:
    """Which licence is looked at."""
    return LicenceSettings(
        directory=config.directory,
        licence_ca=config.base.license_ca,
        version=anychat.__version__,
        demo=config.base.demo_mode,
        show_content=bool(config.function.extern_flags & log_lines.SHOW_CONTENT),
    )


def licence_host(config: Config, reactor: Any, in_thread: InThread) -> Host:
    """What licences are bound to."""
    # Not before it is wanted: a program may put another one there.
    resolve = cache(lambda: resolver(reactor.nameResolver, reactor))
    return Host(
        lambda name: resolve()(name),
        in_thread,
        tuple(map(ip_address, config.media.public_address)),
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


def signature_settings(config: Config) -> SignatureSettings:
    """Which signed logins are taken.

    :raises ConfigError: the public key cannot be used.
    """
    signature, key = config.signature, None
    path = signature.public_key_file
    if path is not None:
        try:
            key = SignatureKey(path.read_bytes(), md5=signature.allow_md5)
        except (OSError, ConfigError) as error:
            text = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"{config.path}: [Signature Settings] PublicKeyFile={path}: {text}"
            ) from error
    return SignatureSettings(
        key,
        signature.app_id,
        float(signature.window),
        signature.require,
    )


def store_settings(config: Config) -> StoreSettings:
    """Where the files of clients go, and how many."""
    transfer = config.transfer
    return StoreSettings(
        directory=config.function.temp_file_path,
        user_quota=transfer.user_quota << 20,
        total_quota=transfer.total_quota << 20,
        part_time=transfer.part_hours * 3600.0,
        file_time=transfer.file_hours * 3600.0,
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
        licence_mode=LicenceMode.DEMO if demo else LicenceMode.LICENSED,
    )
