"""Whether the server at the other end is the right one.

A server makes itself a self-signed certificate at its first start, so the
usual chain of authorities says nothing about it.  Four ways to decide, one
for each command-line choice:

====================  =====================================================
`KnownServers`        trust on first use: what a server showed the first
                      time is written down, and anything else later refused
`Fingerprint`         exactly the certificate with that SHA-256
`Authority`           a chain to the given authorities, and the right name
`AnyCertificate`      no check at all: for tests; anybody may listen in
====================  =====================================================

Each gives the TLS options of a connection, and checks the certificate that
came before the client says a word.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from anychat.codes import ResultCode
from anychat.errors import ConfigError, Refused

_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL
)


def address_text(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fingerprint_of(certificate: Any) -> str:
    """SHA-256 of a certificate (an OpenSSL ``X509``), 64 lower-case hex digits."""
    return certificate.digest("sha256").decode("ascii").replace(":", "").lower()


def parse_fingerprint(text: str) -> str:
    """64 hex digits, from what people and tools write: colons, blanks, capitals.

    :raises ConfigError: it is not a SHA-256.
    """
    digits = re.sub(r"(?i)^sha-?256[:=]", "", text.strip())
    digits = re.sub(r"[:\s]", "", digits).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ConfigError(
            f"{text!r} is not a SHA-256 fingerprint: 64 hex digits are wanted"
        )
    return digits


class Trust(Protocol):
    """How a client decides whom it talks to."""

    def options(self, host: str) -> Any:
        """TLS options of a connection to ``host`` (for ``startTLS``)."""

    def check(self, host: str, port: int, fingerprint: str) -> None:
        """Raise `Refused` if the certificate that was shown will not do."""


def _unverified() -> CertificateOptions:
    return CertificateOptions(
        verify=False, raiseMinimumTo=TLSVersion.TLSv1_2, fixBrokenPeers=False
    )


class AnyCertificate:
    """No check at all."""

    def options(self, host: str) -> Any:
        """See `Trust`."""
        return _unverified()

    def check(self, host: str, port: int, fingerprint: str) -> None:
        """See `Trust`."""


class Fingerprint:
    """One certificate, by its SHA-256."""

    def __init__(self, fingerprint: str):
        """:raises ConfigError: the text is not a SHA-256."""
        self._fingerprint = parse_fingerprint(fingerprint)

    def options(self, host: str) -> Any:
        """See `Trust`."""
        return _unverified()

    def check(self, host: str, port: int, fingerprint: str) -> None:
        """See `Trust`."""
        if fingerprint != self._fingerprint:
            raise Refused(
                ResultCode.CERTVERIFYFAIL,
                f"the certificate of {address_text(host, port)} has the SHA-256 "
                f"fingerprint {fingerprint}, not the one that was asked for",
            )


class Authority:
    """A chain to one of the certificates of a PEM file, and the host's name."""

    def __init__(self, path: str):
        """:raises ConfigError: no certificate can be read from the file."""
        try:
            found = _PEM.findall(Path(path).read_bytes())
            certificates = [Certificate.loadPEM(pem) for pem in found]
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except Exception as error:  # OpenSSL's own, whose module is not ours
            raise ConfigError(f"{path}: not a PEM certificate") from error
        if not certificates:
            raise ConfigError(f"{path}: no PEM certificate in it")
        self._roots = trustRootFromCertificates(certificates)

    def options(self, host: str) -> Any:
        """See `Trust`."""
        return optionsForClientTLS(
            host,
            trustRoot=self._roots,
            extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2},
        )

    def check(self, host: str, port: int, fingerprint: str) -> None:
        """See `Trust`; the handshake has verified chain and name."""


def known_servers_path(environment: Mapping[str, str]) -> Path:
    """Where the known servers are kept: below XDG_CONFIG_HOME or ~/.config."""
    # The XDG specification: a relative path is invalid and is ignored.
    base = environment.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "anychat" / "known_servers"
    home = environment.get("HOME") or os.path.expanduser("~")
    return Path(home) / ".config" / "anychat" / "known_servers"


class KnownServers:
    """Trust on first use, with a file of what was seen.

    One server a line: ``host:port sha256:HEX``; ``#`` begins a comment.
    """

    def __init__(self, path: Path | None = None):
        self._path = path or known_servers_path(os.environ)

    def options(self, host: str) -> Any:
        """See `Trust`."""
        return _unverified()

    def check(self, host: str, port: int, fingerprint: str) -> None:
        """See `Trust`."""
        server = address_text(host.lower(), port)
        known = self.lookup(server)
        if known is None:
            self._remember(server, fingerprint)
            return
        line, expected = known
        if expected != fingerprint:
            raise Refused(
                ResultCode.CERTVERIFYFAIL,
                f"THE CERTIFICATE OF {server} HAS CHANGED.\n"
                f"  known: {expected}\n"
                f"  shown: {fingerprint}\n"
                "Somebody may be between you and the server.  If its operator "
                "says that the certificate is new, delete line "
                f"{line} of {self._path} and connect again.",
            )

    def lookup(self, server: str) -> tuple[int, str] | None:
        """Line and fingerprint of a known ``host:port``, None for a new one.

        :raises Refused: the list cannot be read.
        """
        try:
            data = self._path.read_bytes()
            text = data.decode()
        except FileNotFoundError:
            return None
        # Fail closed: an unreadable list must not make everybody new.
        except OSError as error:
            raise Refused(
                ResultCode.CERTVERIFYFAIL,
                f"{self._path} cannot be read: {error.strerror}",
            ) from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Refused(
                ResultCode.CERTVERIFYFAIL,
                f"line {line} of {self._path} is no text: mend it or delete it",
            ) from None
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if words[:1] == [server]:
                try:
                    return number, parse_fingerprint(" ".join(words[1:]))
                except ConfigError as error:
                    raise Refused(
                        ResultCode.CERTVERIFYFAIL,
                        f"line {number} of {self._path}: {error}",
                    ) from None
        return None

    def _remember(self, server: str, fingerprint: str) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600
            )
            try:
                line = f"{server} sha256:{fingerprint}\n"
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = "\n" + line
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            # Going on without having written it down would mean that any
            # certificate is taken every time.
            raise Refused(
                ResultCode.CERTVERIFYFAIL,
                f"{self._path} cannot be written ({error.strerror}), so the "
                "server's certificate cannot be remembered; use --fingerprint, "
                "--ca or --insecure",
            ) from None
