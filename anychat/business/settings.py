"""AnyChatServerSDK.ini: where the core server is, and how to be let in."""

from dataclasses import dataclass, field
from pathlib import Path

#: Name of the file where no other is given; it stands in the working directory.
FILE_NAME = "AnyChatServerSDK.ini"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a business server has to know; the defaults are the file's."""

    server_ip_addr: str = "127.0.0.1"
    """IP address or host name of the core server."""
    server_port: int = 8909
    """The core's [Business Settings] ListenPort."""
    sdk_auth_pass: str = field(default="", repr=False)
    """The core's password; must be set beyond loopback."""
    name: str = "business-server"
    """What the core knows this business server by, stable over restarts."""
    tls: str = "auto"
    """"on", "off", or "auto": to other machines."""
    fingerprint: str = ""
    """SHA-256 of the core's certificate, 64 lower-case hex digits."""
    ca_file: Path | None = None
    """PEM certificates of authorities, one of which signed the core's."""
    path: Path | None = None
    """The file that this comes from, absolute."""
    warnings: tuple[str, ...] = ()
    """What the operator should know though it does not stop the start."""


def load(path: Path | str = FILE_NAME) -> Settings:
    """Read the settings; a file that is missing means all defaults.

    :raises anychat.errors.ConfigError: the file cannot be read or holds
        something wrong; the text names file, line, key, value and what is allowed.
    """
    raise NotImplementedError
