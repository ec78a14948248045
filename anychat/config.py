"""AnyChatCoreServer.ini: read, checked, and turned into frozen settings.

The file is the product's (manual, chapter 3).  How it is read says
`anychat.config_file`; ``coreserver.spec`` knows every key, range and default.

`load` finds all that is wrong before it gives up, so that an operator mends a
file in one go.  What stops the start is a `ConfigError`; what does not is in
`Config.warnings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from anychat.config_file import Reading, file_text
from anychat.config_keys import attribute, specification

#: Name of the file where no other is given; it stands in the working directory.
FILE_NAME = "AnyChatCoreServer.ini"


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """[Base Settings], manual 3.2."""

    server_id: int
    """Number of the server, for the operator's own use."""
    tcp_listen_port: int
    udp_service_port: int
    sdk_auth_pass: str = field(repr=False)
    """Password that clients must prove to know; empty: none is asked."""
    demo_mode: bool
    """Any name and password gets in, rooms 1 and 2 always exist, no licence is
    asked for."""
    license_ca: Path | None
    """Our own: certificates of the CAs whose licences are trusted, PEM or DER."""
    show_tray_icon: bool
    """Of the Windows edition; has no effect."""


@dataclass(frozen=True, slots=True)
class P2PSettings:
    """[P2P Settings], manual 3.3."""

    routing_policy: int
    """1 relay everything, 2 direct where possible, 3 mesh."""
    routing_ttl: int
    """Hops through other users, with policy 3."""
    routing_mtn: int
    """Users that one user forwards to at most, with policy 3."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """[Video Settings], manual 3.4: what clients get as their defaults."""

    video_width: int
    """Pixels, even."""
    video_height: int
    """Pixels, even."""
    video_fps: int
    video_gop_size: int
    """Frames from one key frame to the next."""
    video_bitrate: int
    """Bits per second; 0: by quality alone."""
    video_codec: int
    """A `codes.VideoCodec`."""
    video_quality: int
    """1 (poor) to 5 (best)."""
    video_preset: int
    """1 (least work) to 5 (finest picture)."""


@dataclass(frozen=True, slots=True)
class AudioSettings:
    """[Audio Settings], manual 3.5: what clients get as their defaults."""

    audio_samples_per_sec: int
    audio_channels: int
    audio_bits_per_sample: int
    audio_codec: int
    """A `codes.AudioCodec`."""
    audio_bitrate: int
    """Bits per second."""


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """[Function Settings], manual 3.6."""

    close_front_link: bool
    """Of two logins of one user the later wins; otherwise the earlier."""
    auto_add_room: bool
    """A room that does not exist is made when it is entered."""
    sdk_filter_plus: str
    """The plug-in, see `anychat.filters.choice`; empty: none."""
    allow_guest_login: bool
    """Users with an empty password may log in; not asked in demo mode."""
    max_users_per_room: int
    video_call_start_room_id: int
    """First room number of video calls; 0: never use a number again."""
    ring_timeout: int
    """Seconds in which a video call must be answered."""
    net_check_time: int
    """Milliseconds between heartbeats."""
    net_timeout_time: int
    """Milliseconds of silence that end a link."""
    temp_file_path: Path
    """Directory of uploaded files."""
    stream_trans_mode: int
    """0 UDP, 1 TCP, 2 UDP and then TCP."""
    extern_flags: int
    """Bit mask of the product's debug functions."""


@dataclass(frozen=True, slots=True)
class StandbySettings:
    """[Standby Server Settings], manual 3.7."""

    slave_mode: bool
    """Always false: a file that asks for it is refused in this version."""
    master_server_ip: str
    master_server_udp_port: int


@dataclass(frozen=True, slots=True)
class DebugSettings:
    """[Debug Settings], manual 3.8."""

    auto_upload_log_info: bool
    save_log_root_dir: Path
    """Directory of the clients' logs."""
    output_thread_status: bool
    output_record_task: bool


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """[Network Settings], our own."""

    listen_address: tuple[str, ...]
    """IP addresses of the TCP and the UDP port; empty: all, IPv4 and IPv6."""


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """[TLS Settings], our own."""

    enable: bool
    """TLS is offered."""
    certificate_file: Path | None
    """PEM certificate chain; None: `Config.own_certificate_path`."""
    private_key_file: Path | None
    """PEM private key; None: `Config.own_private_key_path`."""
    allow_plain: bool
    """Plain TCP is taken from everywhere, not from loopback only."""


@dataclass(frozen=True, slots=True)
class BusinessSettings:
    """[Business Settings], our own: the channel for business servers."""

    listen_address: str
    listen_port: int
    require_business: bool
    """Rooms wait for a business server's word; otherwise they decide alone
    while there is none."""
    answer_timeout: int
    """Seconds that a business server or plug-in has for a verdict."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[Http Settings], our own: /health and /metrics."""

    listen_address: str
    listen_port: int
    """0: off."""


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """[Media Settings], our own."""

    public_address: tuple[str, ...]
    """IP addresses that clients send media to; empty: the one they reach by TCP."""
    hold_time: int
    """Seconds that a session outlives its link."""
    receive_buffer: int
    """Bytes asked of the system for the UDP socket's receive buffer."""
    send_buffer: int
    """Bytes asked of the system for the UDP socket's send buffer."""
    threads: int
    """Of the native relay; 0: one fewer than there are CPUs, 1 to 8."""
    coalesce_microseconds: int
    """How long the native relay waits for more packets after each batch."""
    media_scheduling: str
    """"default", or "slice" to let its threads run soon."""
    source_packets: int
    """What a publisher may bring in a second; 0: any number."""
    source_bytes: int
    """The same in bytes."""


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """[Signature Settings], our own: logins with a signature (LoginEx)."""

    public_key_file: Path | None
    """PEM; None: no such logins."""
    app_id: str
    """What signatures must name; empty: anything."""
    window: int
    """Seconds that a signature may be old."""
    allow_md5: bool
    """Signatures with MD5 are taken, as the product's tools make them."""
    require: bool
    """Nobody gets in without a signature."""


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """[Transfer Settings], our own."""

    max_file_size: int
    """MiB of a file that is transferred."""
    user_quota: int
    """MiB of one user's files in TempFilePath."""
    total_quota: int
    """MiB of all files there."""
    part_hours: int
    """Hours that an unfinished file is kept for another attempt."""
    file_hours: int
    """Hours that a file is kept; 0: for ever."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration."""

    base: BaseSettings
    p2p: P2PSettings
    video: VideoSettings
    audio: AudioSettings
    function: FunctionSettings
    standby: StandbySettings
    debug: DebugSettings
    network: NetworkSettings
    tls: TLSSettings
    business: BusinessSettings
    http: HttpSettings
    media: MediaSettings
    signature: SignatureSettings
    transfer: TransferSettings
    path: Path
    """The file, absolute."""
    warnings: tuple[str, ...]
    """What the operator should know though it does not stop the start."""

    @property
    def directory(self) -> Path:
        """Where the file is: relative paths start here."""
        return self.path.parent

    @property
    def own_certificate_path(self) -> Path:
        """The certificate that is made where none is given."""
        return self.directory / "AnyChatCoreServer.crt"

    @property
    def own_private_key_path(self) -> Path:
        """Its private key."""
        return self.directory / "AnyChatCoreServer.key"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.directory / "AnyChatCoreServer.log"

    @property
    def pid_path(self) -> Path:
        """The file with the server's process id."""
        return self.directory / "AnyChatCoreServer.pid"


#: Section of the file -> field of `Config` and its class.
SECTIONS: dict[str, tuple[str, type[Any]]] = {
    "Base Settings": ("base", BaseSettings),
    "P2P Settings": ("p2p", P2PSettings),
    "Video Settings": ("video", VideoSettings),
    "Audio Settings": ("audio", AudioSettings),
    "Function Settings": ("function", FunctionSettings),
    "Standby Server Settings": ("standby", StandbySettings),
    "Debug Settings": ("debug", DebugSettings),
    "Network Settings": ("network", NetworkSettings),
    "TLS Settings": ("tls", TLSSettings),
    "Business Settings": ("business", BusinessSettings),
    "Http Settings": ("http", HttpSettings),
    "Media Settings": ("media", MediaSettings),
    "Signature Settings": ("signature", SignatureSettings),
    "Transfer Settings": ("transfer", TransferSettings),
}


def _check_together(reading: Reading, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks of values that each are fine for themselves."""
    base, function, tls, http, standby = (
        values[f"{name} Settings"]
        for name in ("Base", "Function", "TLS", "Http", "Standby Server")
    )
    if function["NetTimeoutTime"] <= function["NetCheckTime"]:
        reading.refuse(
            "Function Settings",
            "NetTimeoutTime",
            f"more than NetCheckTime ({function['NetCheckTime']})",
        )
    if http["ListenPort"] == base["TCPListenPort"]:
        reading.refuse("Http Settings", "ListenPort", "a port other than TCPListenPort")
    if bool(tls["CertificateFile"]) != bool(tls["PrivateKeyFile"]):
        given, missing = "CertificateFile", "PrivateKeyFile"
        if tls[missing]:
            given, missing = missing, given
        reading.fault("TLS Settings", missing, f"must name a file, as {given} does")
    if standby["SlaveMode"]:
        reading.refuse(
            "Standby Server Settings",
            "SlaveMode",
            "0, since the standby server is not in this version",
        )
    if not tls["Enable"]:
        reading.note(
            "TLS Settings",
            "Enable",
            "without TLS no client gets media, nor logs in with a password"
            + ("" if tls["AllowPlain"] else ", nor connects from another machine"),
        )


def _path_fields(
    reading: Reading, values: Mapping[str, dict[str, Any]], directory: Path
) -> None:
    """Turn file names into paths that start at the configuration's directory."""
    for section, key, default in (
        ("Function Settings", "TempFilePath", "temp"),
        ("Debug Settings", "SaveLogRootDir", "clientlog"),
    ):
        values[section][key] = directory / (values[section][key] or default)
    base = values["Base Settings"]
    # That it is there is the licence's business: the ports are opened without it.
    base["LicenseCA"] = directory / base["LicenseCA"] if base["LicenseCA"] else None
    tls = values["TLS Settings"]
    for key in ("CertificateFile", "PrivateKeyFile"):
        path = directory / tls[key] if tls[key] else None
        if path is not None and not path.is_file():
            reading.fault("TLS Settings", key, f"there is no file {path}")
        tls[key] = path
    signature = values["Signature Settings"]
    name = signature["PublicKeyFile"]
    path = directory / name if name else None
    if path is not None and not path.is_file():
        reading.fault("Signature Settings", "PublicKeyFile", f"there is no file {path}")
    if path is None and signature["Require"]:
        reading.fault("Signature Settings", "Require", "PublicKeyFile, since it is 1")
    signature["PublicKeyFile"] = path


_T = TypeVar("_T")


def settings_of(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """A dataclass with the values of a section's keys."""
    return kind(**{attribute(key): value for key, value in values.items()})


def load(path: Path | str) -> Config:
    """Read a configuration; a file that is missing means all defaults.

    :raises ConfigError: the file cannot be read or holds something wrong.
    """
    path = Path(path).absolute()
    text = file_text(path)
    reading = Reading(path, specification())
    if text is not None:
        reading.read(text)
    values = reading.validated()
    _check_together(reading, values)
    _path_fields(reading, values, path.parent)
    warnings = reading.finish()
    if text is None:
        warnings = (
            f"load config file({path.name}) failed, use default settings!",
            *warnings,
        )
    return Config(
        path=path,
        warnings=warnings,
        **{
            name: settings_of(kind, values[section])
            for section, (name, kind) in SECTIONS.items()
        },
    )
