"""AnyChatServerSDK.ini: where the core server is, and how to be let in.

The file is read as AnyChatCoreServer.ini is, by `anychat.config_file`, with the
checks of ``serversdk.spec``.
"""

import dataclasses
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anychat
from anychat.config_file import Reading, file_text
from anychat.config_keys import Disallowed, attribute, check, specification
from anychat.errors import ConfigError

#: Name of the file where no other is given; it stands in the working directory.
FILE_NAME = "AnyChatServerSDK.ini"

_SPEC = Path(anychat.__file__).with_name("serversdk.spec")
_SECTION = "Base Settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a business server has to know; the defaults are the file's."""

    server_ip_addr: str = "127.0.0.1"
    """IP address or host name of the core server."""
    server_port: int = 8909
    """The core's [Business Settings] ListenPort."""
    sdk_auth_pass: str = field(default="", repr=False)
    """The core's password; must be set where that is another machine."""
    name: str = "business-server"
    """What the core knows this business server by: its own, and always the same."""
    tls: str = "auto"
    """"on", "off", or "auto": on where the core is another machine."""
    fingerprint: str = ""
    """SHA-256 of the core's certificate, 64 lower-case hex digits."""
    ca_file: Path | None = None
    """PEM certificates of authorities, one of which signed the core's."""
    path: Path | None = None
    """The file that this comes from, absolute."""
    warnings: tuple[str, ...] = ()
    """What the operator should know though it does not stop the start."""

    @property
    def is_local(self) -> bool:
        """Whether the core server is on this machine."""
        host = self.server_ip_addr.partition("%")[0]
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host.lower().removesuffix(".") == "localhost"

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls == "on" or (self.tls == "auto" and not self.is_local)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Key and text of what is wrong with values that each are fine alone."""
        elsewhere = f"since ServerIpAddr ({self.server_ip_addr}) is another machine"
        if self.fingerprint and self.ca_file is not None:
            yield "CAFile", "is one way to know the core server, Fingerprint another"
        if self.is_local:
            return
        if not self.secure:
            yield "TLS", f"allowed is auto or on, {elsewhere}"
        if not self.sdk_auth_pass:
            yield "SDKAuthPass", f"must be that of AnyChatCoreServer.ini, {elsewhere}"
        if not self.fingerprint and self.ca_file is None:
            yield (
                "Fingerprint",
                "must be the SHA-256 that the core server's log names when it "
                f"starts (or CAFile given), {elsewhere}",
            )

    def _misfits(self) -> Iterator[tuple[str, str, str]]:
        """Key, value and what is allowed, where a program has given another one."""
        rules = specification(_SPEC)[_SECTION]
        for key in ("ServerIpAddr", "ServerPort", "Name", "TLS"):
            value = str(getattr(self, attribute(key)))
            try:
                check(rules[key], value)
            except Disallowed as error:
                yield key, value, error.allowed

    def check(self) -> None:
        """Hold the values against what is allowed, and against each other.

        :raises ConfigError: one cannot be, or they do not go together.
        """
        faults = [
            f"[{_SECTION}] {key}={value!r}: allowed is {allowed}"
            for key, value, allowed in self._misfits()
        ]
        if not faults:
            faults = [f"[{_SECTION}] {key}: {text}" for key, text in self.faults()]
        if faults:
            raise ConfigError("\n".join(faults))


def load(path: Path | str | None = None) -> Settings:
    """Read the settings.

    :param path: default: AnyChatServerSDK.ini in the working directory; if that is
        missing all keys have their defaults, and there is a warning.
    :raises ConfigError: the file is missing, cannot be read or holds something
        wrong; the text names file, line, key, value and what is allowed.
    """
    is_given = path is not None
    path = Path(FILE_NAME if path is None else path).absolute()
    text = file_text(path)
    if text is None and is_given:
        raise ConfigError(f"{path}: no such file")
    reading = Reading(path, specification(_SPEC))
    if text is not None:
        reading.read(text)
    values = reading.validated()[_SECTION]
    given = {attribute(key): value for key, value in values.items()}
    name = given["ca_file"]
    given["ca_file"] = path.parent / name if name else None
    if name and not given["ca_file"].is_file():
        reading.fault(_SECTION, "CAFile", f"there is no file {given['ca_file']}")
    for key, fault in Settings(**given).faults():
        reading.fault(_SECTION, key, fault)
    settings = Settings(**given)
    if not settings.secure and (settings.fingerprint or settings.ca_file is not None):
        key = "Fingerprint" if settings.fingerprint else "CAFile"
        reading.note(_SECTION, key, "is not looked at, for the connection is not TLS")
    warnings = reading.finish()
    if text is None:
        warnings = (
            f"load config file({path.name}) failed, use default settings!",
            *warnings,
        )
    return dataclasses.replace(settings, path=path, warnings=warnings)
