"""Makes licences: the vendor's licence CA, what it signs and what it revokes."""

import base64
import os
import secrets
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.x509.oid import NameOID

from anychat.errors import AnyChatError
from anychat.licensing import extension
from anychat.licensing.certificate import MOST_INTERMEDIATES
from anychat.licensing.der import (
    NULL,
    OCTET_STRING,
    SEQUENCE,
    encode_der,
    encode_integer,
)
from anychat.licensing.licence import Grant

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

#: Kinds of keys, by the names that the command line has for them.
ALGORITHMS = ("ed25519", "p256")

#: Of a CA's key.
SHORTEST_PASSPHRASE = 12

#: What PBKDF2 repeats, so that guessing a pass phrase takes long.  The library's
#: own envelope has OpenSSL's default of 2048, too few for a key like this one.
ROUNDS = 600_000

#: A licence is valid from a little before it was made, since clocks differ.
SKEW = timedelta(hours=1)

#: Of a CA; what RFC 5280 appendix A.1 allows an organizationName.
LONGEST_NAME = 64

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class AuthorityError(AnyChatError):
    """The licence CA cannot be used, or not for this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A licence CA with its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()
    """What licences bring along, this CA's own first; empty for a root, which who
    trusts it has."""

    def issue(self, grant: Grant, not_before: datetime, not_after: datetime) -> bytes:
        """A licence, PEM, with what leads to the root.

        Its own key is thrown away: a licence is shown, never used to sign.

        :raises LicenceError: it could not be read again.
        :raises AuthorityError: the CA does not last as long.
        """
        last = min(each.not_valid_after_utc for each in (self.certificate, *self.chain))
        if not_after > last:
            raise AuthorityError(
                f"the licence CA ends on {last.date()}: make the licence end before, "
                "or make a new CA"
            )
        if not_after <= not_before:
            raise AuthorityError("the licence would end before it begins")
        subject = _name(grant.customer, "AnyChat licence")
        public_key = ed25519.Ed25519PrivateKey.generate().public_key()
        certificate = (
            _builder(subject, self.certificate.subject, public_key)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(_authority_identifier(self.certificate), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(
                    x509.ObjectIdentifier(extension.OID), extension.encode_grant(grant)
                ),
                critical=True,
            )
            .sign(self.key, _digest(self.key))
        )
        return write_certificates(certificate, *self.chain)

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is of this CA."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (*_UNREADABLE, InvalidSignature):
            return False
        return True

    def revoke(
        self,
        serials: Mapping[int, x509.ReasonFlags],
        now: datetime,
        former: x509.CertificateRevocationList | None = None,
    ) -> bytes:
        """A revocation list, PEM, with these and what the former list has.

        It says that the next one comes when the CA ends: an installation without a
        network gets no other one, and this one is no less true for its age.

        :raises AuthorityError: the former list is another CA's, or was changed.
        """
        number, known = 1, {}
        if former is not None:
            if not former.is_signature_valid(self.key.public_key()):
                raise AuthorityError("the former revocation list is not of this CA")
            number += sum(
                found.value.crl_number
                for found in former.extensions
                if isinstance(found.value, x509.CRLNumber)
            )
            known = {entry.serial_number: entry for entry in former}
        for serial, reason in serials.items():
            # What is revoked stays revoked since the first day.
            known.setdefault(
                serial,
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(now)
                .add_extension(x509.CRLReason(reason), critical=False)
                .build(),
            )
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_authority_identifier(self.certificate), critical=False)
        )
        for entry in known.values():
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, _digest(self.key)).public_bytes(
            serialization.Encoding.PEM
        )


def make_authority(
    name: str,
    algorithm: str,
    now: datetime,
    lifetime: timedelta,
    parent: Authority | None = None,
) -> Authority:
    """A new licence CA.

    :param name: of the vendor.
    :param algorithm: one of `ALGORITHMS`.
    :param parent: the CA that vouches for this one; none: it is a root.
    :raises AuthorityError: the parent does not last as long, or is too far below its
        root.
    """
    if not name.isprintable() or not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise AuthorityError(
            f"a CA's name has 1 to {LONGEST_NAME} characters, all of them printable"
        )
    key: PrivateKey
    if algorithm == "p256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    subject = _name(name.strip(), "AnyChat licence CA")
    not_after = now + lifetime
    signer, issuer = key, subject
    if parent is not None:
        signer, issuer = parent.key, parent.certificate.subject
        last = parent.certificate.not_valid_after_utc
        if not_after > last:
            raise AuthorityError(f"the CA above ends on {last.date()}, before this one")
        if len(parent.chain) >= MOST_INTERMEDIATES:
            raise AuthorityError(
                f"servers follow {MOST_INTERMEDIATES} CAs below a root and no more"
            )
        if issuer == subject:
            raise AuthorityError(
                "the CA above has the same name: give this one another"
            )
    builder = (
        _builder(subject, issuer, key.public_key())
        .not_valid_before(now - SKEW)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
    )
    if parent is not None:
        builder = builder.add_extension(
            _authority_identifier(parent.certificate), critical=False
        )
    certificate = builder.sign(signer, _digest(signer))
    chain = () if parent is None else (certificate, *parent.chain)
    return Authority(certificate, key, chain)


def read_authority(certificates: bytes, key: bytes, passphrase: str) -> Authority:
    """A licence CA from its two files.

    :raises AuthorityError: a file is none of a licence CA, the pass phrase is wrong,
        or the key is another CA's.
    """
    try:
        certificate, *above = x509.load_pem_x509_certificates(certificates)
    except _UNREADABLE as error:
        raise AuthorityError("the CA's certificate cannot be read") from error
    if not passphrase:
        raise AuthorityError("the CA's key has a pass phrase")
    try:
        private_key = serialization.load_pem_private_key(key, passphrase.encode())
    except TypeError as error:
        raise AuthorityError("the CA's key is not encrypted") from error
    except _UNREADABLE as error:
        raise AuthorityError(
            "the CA's key cannot be read: is the pass phrase right?"
        ) from error
    if not isinstance(private_key, ed25519.Ed25519PrivateKey) and not (
        isinstance(private_key, ec.EllipticCurvePrivateKey)
        and isinstance(private_key.curve, ec.SECP256R1)
    ):
        raise AuthorityError("the CA's key is neither Ed25519 nor ECDSA P-256")
    if private_key.public_key() != certificate.public_key():
        raise AuthorityError("the key is not of the CA's certificate")
    root = certificate.issuer == certificate.subject
    return Authority(certificate, private_key, () if root else (certificate, *above))


def write_certificates(*certificates: x509.Certificate) -> bytes:
    """Certificates as PEM."""
    return b"".join(
        certificate.public_bytes(serialization.Encoding.PEM)
        for certificate in certificates
    )


def encrypt_key(key: PrivateKey, passphrase: str) -> bytes:
    """A CA's key as PEM: PKCS #8 in the envelope of PBES2 (RFC 8018 section 6.2).

    ``openssl pkey`` reads it.

    :raises AuthorityError: the pass phrase is too short.
    """
    if len(passphrase.strip()) < SHORTEST_PASSPHRASE:
        raise AuthorityError(
            f"the pass phrase has fewer than {SHORTEST_PASSPHRASE} characters (blanks "
            "at its ends are not counted)"
        )
    plain = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    salt, start = os.urandom(16), os.urandom(16)
    derive = PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS)
    cipher = Cipher(
        algorithms.AES(derive.derive(passphrase.encode())), modes.CBC(start)
    ).encryptor()
    padder = padding.PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    encrypted = cipher.update(padded) + cipher.finalize()
    function = encode_der(SEQUENCE, _HMAC_SHA256, encode_der(NULL))
    derivation = encode_der(
        SEQUENCE,
        _PBKDF2,
        encode_der(
            SEQUENCE,
            encode_der(OCTET_STRING, salt),
            encode_integer(ROUNDS),
            function,
        ),
    )
    scheme = encode_der(SEQUENCE, _AES_256_CBC, encode_der(OCTET_STRING, start))
    envelope = encode_der(
        SEQUENCE,
        encode_der(SEQUENCE, _PBES2, encode_der(SEQUENCE, derivation, scheme)),
        encode_der(OCTET_STRING, encrypted),
    )
    text = base64.b64encode(envelope).decode()
    # Lines of 64 characters, as RFC 7468 wants them.
    lines = "\n".join(textwrap.wrap(text, 64))
    label = "ENCRYPTED PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


#: Object identifiers of RFC 8018 appendix C and NIST, in DER.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


def _name(organization: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        # Short enough to be typed, and nobody can tell the next one.
        .serial_number(1 + secrets.randbits(63))
    )


def _usage(**bits: bool) -> x509.KeyUsage:
    every = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(every | bits))


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        # A CA that another program made.
        key: Any = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _digest(key: PrivateKey) -> hashes.SHA256 | None:
    """Ed25519 has a digest of its own."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
