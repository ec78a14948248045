"""Whom a certificate or a revocation list is from, and faults of either."""

from typing import NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from anychat.codes import ResultCode
from anychat.licensing.findings import LicenceError

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

Signed = x509.Certificate | x509.CertificateRevocationList
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: Of the signatures: none with Ed25519, SHA-2 with ECDSA.
HASHES = (type(None), hashes.SHA256, hashes.SHA384, hashes.SHA512)

#: What `cryptography` raises for a certificate that is none.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def same_key(child: Signed, parent: x509.Certificate) -> bool:
    """Whether the key identifiers, if both have them, are the same (RFC 5280 4.2.1.1).

    Two CAs of one name are told apart by it: a licence of the other one is not a
    licence that was changed.
    """
    wanted = find_extension(child, x509.AuthorityKeyIdentifier)
    found = find_extension(parent, x509.SubjectKeyIdentifier)
    if wanted is None or found is None or wanted.key_identifier is None:
        return True
    return wanted.key_identifier == found.digest


def find_extension(signed: Signed, kind: type[_Extension]) -> _Extension | None:
    """The extension of this type, or None."""
    try:
        return signed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def public_key(issuer: x509.Certificate) -> PublicKey:
    """The key of a CA, if it is of a kind that is accepted."""
    key = issuer.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    ):
        return key
    untrusted("a licence CA's key is neither Ed25519 nor ECDSA P-256")


def invalid(text: str) -> NoReturn:
    """Refuse what cannot be read, was changed, or is not understood."""
    raise LicenceError(
        ResultCode.CERTFILE_DECODEFAIL, f"the licence is invalid: {text}"
    )


def untrusted(text: str) -> NoReturn:
    """Refuse what is of somebody else."""
    raise LicenceError(ResultCode.CERTVERIFYFAILED, text)
