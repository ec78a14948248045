"""TLS of the server's TCP ports: the context, its files, the channel binding.

TLS 1.2 and 1.3, no compression, no renegotiation, session tickets on.
SSL_MODE_RELEASE_BUFFERS gives OpenSSL's 34 KiB of record buffers back while a
connection is idle, which most are.
"""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from anychat.errors import ConfigError, PeerError
from anychat.protocols.certificate import fingerprint, read_private_key, self_signed
from anychat.protocols.proof import BINDING_SIZE

#: RFC 9266 section 2.
_BINDING_LABEL = b"EXPORTER-Channel-Binding"

#: AEAD with forward secrecy only, for TLS 1.2 (1.3 has nothing else).
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"


@implementer(IOpenSSLServerConnectionCreator)
class ServerContext:
    """What all TLS connections to a server share.

    :raises ConfigError: the files are no certificate chain and its key.
    """

    def __init__(self, certificate: Path, private_key: Path):
        try:
            self.fingerprint = fingerprint(certificate.read_bytes())
            """SHA-256 of the certificate, 64 hex digits."""
        except (OSError, ValueError) as error:
            raise ConfigError(f"{certificate}: no certificate: {error}") from error
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(
            SSL.OP_NO_COMPRESSION
            | SSL.OP_NO_RENEGOTIATION
            | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(_CIPHERS)
        # Tickets carry the state; nothing is cached here.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"anychat")
        try:
            context.use_certificate_chain_file(str(certificate))
            # Not by its name: OpenSSL would ask the terminal for a pass phrase.
            context.use_privatekey(read_private_key(private_key.read_bytes()))
            context.check_privatekey()
        # TypeError: the key is of a kind that TLS has no use for.
        except (OSError, TypeError, ValueError, SSL.Error) as error:
            raise ConfigError(
                f"{certificate} and {private_key} are no certificate chain and "
                f"its private key: {error}"
            ) from error
        self._context = context

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The OpenSSL state of one connection."""
        return SSL.Connection(self._context, None)


class SecureTransports:
    """Puts TLS under protocols, as the server's side.

    Unlike Twisted's own factory it does not gather small writes: every writer
    here writes whole, and a timer per write would cost more.
    """

    def __init__(self, context: ServerContext, clock: IReactorTime):
        # The factory wraps no other one: protocols are given singly.
        self._factory = TLSMemoryBIOFactory(
            context,
            False,
            None,  # type: ignore[arg-type]
            clock,
        )

    def wrap(self, protocol: Any) -> TLSMemoryBIOProtocol:
        """A protocol that decrypts for ``protocol`` and is its transport."""
        return TLSMemoryBIOProtocol(self._factory, protocol)


def channel_binding(transport: Any) -> bytes:
    """The ``tls-exporter`` value of a connection whose handshake is done.

    :param transport: as a protocol over TLS has it.
    :raises PeerError: the connection is gone, so there is none.
    """
    connection = transport.getHandle()
    if connection is None:
        raise PeerError("TLS has ended")
    value: bytes = connection.export_keying_material(_BINDING_LABEL, BINDING_SIZE, b"")
    return value


def make_certificate(certificate: Path, private_key: Path, names: list[str]) -> bool:
    """Make a self-signed certificate unless both files are there.

    The key is mode 0600 from the first byte on.  Each file appears whole or
    not at all.

    :param names: host names and addresses beyond ``localhost`` and this host's.
    :return: whether one was made.
    :raises ConfigError: the files cannot be written, or only one is there.
    """
    present = [path for path in (certificate, private_key) if path.exists()]
    if len(present) == 2:
        return False
    if present:
        raise ConfigError(
            f"{present[0]} is there without its counterpart "
            f"({certificate.name}, {private_key.name}): restore it, or remove "
            "this one and a new pair is made"
        )
    everything = dict.fromkeys(
        ["localhost", socket.gethostname(), "127.0.0.1", "::1", *names]
    )
    chain, key = self_signed(
        [name for name in everything if name and name.isascii()], datetime.now(UTC)
    )
    try:
        _write_new(private_key, key, 0o600)
        _write_new(certificate, chain, 0o644)
    except OSError as error:
        raise ConfigError(f"the certificate cannot be written: {error}") from error
    return True


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet, whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A hard link, unlike a rename, never replaces what is there.
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
