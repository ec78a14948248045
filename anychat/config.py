"""AnyChatCoreServer.ini: read, checked, and turned into frozen settings.

The file is the product's (manual, chapter 3), so it is read as such programs
read theirs: ``[Section]``, ``Key=value``, comments after ``#`` or ``;`` at the
start of a line or after white space, UTF-8 or GBK, with or without BOM.  A
value may stand in quotes.  SDKAuthPass is the rest of its line as it is, since
a password may hold anything.  configobj and its validator hold the values
against ``coreserver.spec``, which knows every key, range and default.

`load` finds all that is wrong before it gives up, so that an operator mends a
file in one go.  What stops the start is a `ConfigError`; what does not is in
`Config.warnings`.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from configobj import ConfigObj, flatten_errors
from configobj.validate import Validator, VdtValueError

from anychat.errors import ConfigError

#: Name of the file where no other is given; it stands in the working directory.
FILE_NAME = "AnyChatCoreServer.ini"
#: Bytes of a file that is worth reading; the shipped one has about 6,000.
MAX_FILE_SIZE = 1 << 20

_SPEC = Path(__file__).with_name("coreserver.spec")


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


def attribute(key: str) -> str:
    """The field of a key: ``TCPListenPort`` is ``tcp_listen_port``."""
    words = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z\d])(?=[A-Z][a-z])", "_", key)
    return words.lower()


# The checks of coreserver.spec.  They get and give what the validator hands
# them: strings in, typed values out, arguments as strings.


class Disallowed(VdtValueError):
    """A value that its key does not take."""

    def __init__(self, allowed: str) -> None:
        Exception.__init__(self, allowed)
        self.allowed = allowed


def _number(value: str, minimum: str, maximum: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", value):
        number = int(value)
        if int(minimum) <= number <= int(maximum):
            return number
    raise Disallowed(f"a whole number from {minimum} to {maximum}")


def _even(value: str, minimum: str, maximum: str) -> int:
    try:
        number = _number(value, minimum, maximum)
    except Disallowed:
        number = 1
    if number % 2:
        raise Disallowed(f"an even number from {minimum} to {maximum}")
    return number


def _choice(value: str, *choices: str) -> int:
    if value not in choices:
        raise Disallowed("one of " + ", ".join(choices))
    return int(value)


def _word(value: str, *words: str) -> str:
    if value not in words:
        raise Disallowed("one of " + ", ".join(words))
    return value


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise Disallowed("0 or 1")
    return value == "1"


def _text(value: str, maximum: str) -> str:
    if not value.isprintable() or len(value.encode()) > int(maximum):
        raise Disallowed(f"printable text of at most {maximum} bytes")
    return value


def _label(value: str, maximum: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > int(maximum):
        raise Disallowed(f"1 to {maximum} printable characters")
    return value


def _address(value: str) -> str:
    try:
        # Zone ids (fe80::1%eth0) mean something on one machine only.
        if "%" not in value:
            return str(ipaddress.ip_address(value))
    except ValueError:
        pass
    raise Disallowed("an IP address")


def _optional_address(value: str) -> str:
    try:
        return value and _address(value)
    except Disallowed:
        raise Disallowed("an IP address or nothing") from None


def _addresses(value: str) -> tuple[str, ...]:
    items = [item.strip() for item in value.split(",")] if value else []
    try:
        return tuple(dict.fromkeys(map(_address, items)))
    except Disallowed:
        raise Disallowed("IP addresses separated by commas, or nothing") from None


def _host(value: str) -> str:
    try:
        return _address(value)
    except Disallowed:
        pass
    labels = value.removesuffix(".").split(".")
    # All of digits it would be a mistyped address.
    if len(value) <= 253 and not labels[-1].isdigit():
        plain = all(re.fullmatch(r"(?!-)[A-Za-z\d_-]{1,63}(?<!-)", x) for x in labels)
        if plain:
            return value
    raise Disallowed("an IP address or a host name")


def _fingerprint(value: str) -> str:
    digits = re.sub(r"(?i)^sha-?256[:=]|[:\s]", "", value).lower()
    if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise Disallowed("a SHA-256 of 64 hex digits, or nothing")
    return digits


def _reachable_addresses(value: str) -> tuple[str, ...]:
    try:
        addresses = _addresses(value)
    except Disallowed:
        addresses = ("::",)
    for address in map(ipaddress.ip_address, addresses):
        if address.is_unspecified or address.is_multicast:
            raise Disallowed(
                "IP addresses that clients can send to, separated by commas, or nothing"
            )
    return addresses


_CHECKS: dict[str, Callable[..., object]] = {
    "number": _number,
    "even": _even,
    "choice": _choice,
    "word": _word,
    "switch": _switch,
    "text": _text,
    "secret": _text,
    "label": _label,
    "address": _address,
    "optional_address": _optional_address,
    "addresses": _addresses,
    "reachable_addresses": _reachable_addresses,
    "host": _host,
    "fingerprint": _fingerprint,
}


def specification(path: Path = _SPEC) -> Mapping[str, Mapping[str, str]]:
    """The checks by section and key, as coreserver.spec or another one has them."""
    spec: Mapping[str, Mapping[str, str]] = ConfigObj(
        str(path),
        encoding="utf-8",
        interpolation=False,
        list_values=False,
        file_error=True,
        _inspec=True,
    )
    return spec


def check(rule: str, value: str) -> object:
    """Hold a value against a rule of the specification.

    :raises Disallowed: the rule does not take it.
    """
    result: object = Validator(_CHECKS).check(rule, value)
    return result


def _is_secret(rule: str) -> bool:
    return rule.startswith("secret(")


@dataclass(frozen=True, slots=True)
class _Entry:
    """``Key=value`` of a file."""

    line: int
    section: str
    key: str
    value: str = field(repr=False)


class Reading:
    """One pass over a file: its entries, and all that is wrong with them.

    For `load`, and for other programs' files that are read the same way.
    """

    def __init__(self, path: Path, spec: Mapping[str, Mapping[str, str]]) -> None:
        self._path = path
        self._spec = spec
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._errors: list[tuple[int, str]] = []
        self._warnings: list[tuple[int, str]] = []

    def read(self, text: str) -> None:
        """Take the text of the file."""
        section: str | None = None
        sections: set[str] = set()
        for line, content in enumerate(re.split(r"\r\n|\r|\n", text), 1):
            stripped = content.strip()
            if not stripped or stripped[0] in "#;":
                continue
            header = re.fullmatch(r"\[([^\[\]]+)\]\s*([#;].*)?", stripped)
            if header:
                section = header[1].strip()
                if section in sections:
                    self._error(line, f"section [{section}] is there twice")
                elif section not in self._spec:
                    self._unknown(line, f"section [{section}]", section, self._spec)
                sections.add(section)
                continue
            key, equals, rest = map(str.strip, stripped.partition("="))
            if not (key and equals) or stripped.startswith("["):
                # Not shown: it may be a password that lost its key.
                self._error(
                    line, "neither [Section] nor Key=value nor a comment (# or ;)"
                )
            elif section is None:
                # Ignored, it could leave a server open that should ask for a password.
                self._error(line, f"{key} stands before any section")
            elif section in self._spec:
                self._entry(line, section, key, rest)
        if not self._entries:
            self._warning(0, "sets nothing, all defaults hold")

    def _entry(self, line: int, section: str, key: str, rest: str) -> None:
        rules = self._spec[section]
        if key not in rules:
            self._unknown(line, f"[{section}] {key}", key, rules)
        elif (section, key) in self._entries:
            first = self._entries[section, key].line
            self._error(
                line, f"[{section}] {key} is there twice, first in line {first}"
            )
        else:
            quoted = re.fullmatch(r"(['\"])(.*?)\1\s*([#;].*)?", rest)
            comment = re.search(r"(^|\s)[#;]", rest)
            if quoted:
                value = quoted[2]
            elif comment and _is_secret(rules[key]):
                value = rest
                self._warning(
                    line,
                    f"[{section}] {key}: the whole line belongs to the value, "
                    f"what looks like a comment too",
                )
            elif comment:
                value = rest[: comment.start()]
            else:
                value = rest
            self._entries[section, key] = _Entry(line, section, key, value)

    def validated(self) -> dict[str, dict[str, Any]]:
        """Typed values of all keys, by section; wrong ones are noted."""
        given: dict[str, dict[str, str]] = {section: {} for section in self._spec}
        for (section, key), entry in self._entries.items():
            given[section][key] = entry.value
        values, result = self._validate(given)
        for (section,), key, problem in flatten_errors(values, result):
            self.refuse(section, key, problem.allowed)
            del given[section][key]
        if result is not True:
            # Defaults in their place, for the checks of values together.
            values, _ = self._validate(given)
        typed: dict[str, dict[str, Any]] = values.dict()
        return typed

    def _validate(self, given: Mapping[str, Mapping[str, str]]) -> tuple[Any, Any]:
        values = ConfigObj(given, configspec=self._spec, interpolation=False)
        return values, values.validate(Validator(_CHECKS), preserve_errors=True)

    def refuse(self, section: str, key: str, allowed: str) -> None:
        """Note that a key's value cannot be used, and what could be."""
        self.fault(section, key, f"allowed is {allowed}")

    def fault(self, section: str, key: str, text: str) -> None:
        """Note what is wrong with a key's value."""
        entry = self._entries.get((section, key))
        if entry is None:
            # The default, which only another key's value makes unusable.
            self._error(0, f"[{section}] {key} (not given): {text}")
        elif _is_secret(self._spec[section][key]):
            self._error(entry.line, f"[{section}] {key} (not shown): {text}")
        else:
            shown = entry.value if len(entry.value) <= 80 else entry.value[:80] + "..."
            self._error(entry.line, f"[{section}] {key}={shown!r}: {text}")

    def note(self, section: str, key: str, text: str) -> None:
        """Note something about a key that does not stop the start."""
        entry = self._entries.get((section, key))
        self._warning(entry.line if entry else 0, f"[{section}] {key}: {text}")

    def _error(self, line: int, text: str) -> None:
        self._errors.append((line, text))

    def _warning(self, line: int, text: str) -> None:
        self._warnings.append((line, text))

    def _unknown(
        self, line: int, what: str, name: str, known: Mapping[str, object]
    ) -> None:
        lower = {other.lower(): other for other in known}
        close = difflib.get_close_matches(name.lower(), lower, 1)
        hint = f" (is {lower[close[0]]} meant?)" if close else ""
        self._warning(line, f"{what} is not known, ignored{hint}")

    def finish(self) -> tuple[str, ...]:
        """The warnings.

        :raises ConfigError: there were errors; its text has one line for each.
        """
        if self._errors:
            raise ConfigError("\n".join(self._placed(self._errors, str(self._path))))
        return tuple(self._placed(self._warnings, self._path.name))

    @staticmethod
    def _placed(notes: list[tuple[int, str]], file: str) -> Iterator[str]:
        for line, text in sorted(notes, key=lambda note: note[0]):
            yield f"{file}, line {line}: {text}" if line else f"{file}: {text}"


def _decoded(path: Path, data: bytes) -> str:
    """Text of the file: UTF-8 or GBK, and no byte order mark."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # UTF-16, or no text at all.
        if "\0" not in text:
            return text
    raise ConfigError(f"{path}: not a text in UTF-8 or GBK")


def file_text(path: Path) -> str | None:
    """Text of the file, None if there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: no such directory") from None
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_SIZE:
        raise ConfigError(f"{path}: larger than {MAX_FILE_SIZE} bytes")
    return _decoded(path, data)


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
