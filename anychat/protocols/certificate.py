"""The certificate that a server makes itself where none is configured.

Clients pin it by its SHA-256 at the first use, so what it says about names
matters little and that it lasts matters more: ten years.
"""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: How long a certificate holds.
LIFETIME = timedelta(days=3653)


def self_signed(names: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """A fresh P-256 key and a certificate for it, both PEM: (certificate, key).

    :param names: host names and IP addresses for subjectAltName (RFC 5280
        section 4.2.1.6).
    :param now: aware; the certificate holds from a day before, since clocks
        differ.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AnyChatCoreServer")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]),
            critical=False,
        )
        # It is its own authority, so that clients may be given it as --ca.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the first certificate in a PEM, 64 lower-case hex digits.

    :raises ValueError: there is none.
    """
    return (
        x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    )


def read_private_key(pem: bytes) -> Any:
    """The private key of a PEM, which may hold certificates as well.

    :raises ValueError: there is none, or it is behind a pass phrase.
    """
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
