"""Reads licences: files, chain of certificates, revocation lists.

Everything is checked and nothing assumed: no CA that is trusted, no licence; what
is not understood is refused.  Signatures come first, so that nothing of a
licence's content is looked at before its vendor is known to have signed it.
Dates are left to `judge`, which knows the time.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtensionOID

from anychat.codes import ResultCode
from anychat.licensing import extension
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import Licence

#: The licence's name, which the product has fixed, and its revocation list's.
LICENCE_NAME = "AnyChat.cer"
CRL_NAME = "AnyChat.crl"
#: CAs that a vendor packages with the server.
TRUSTED = Path(__file__).with_name("trusted")

#: Bytes of a licence with its chain, and of a file of CAs.
LONGEST = 64 * 1024
#: Bytes of the revocation lists, which hold about 20,000 entries.
LONGEST_CRL = 1024 * 1024
#: Certificates between a licence and the CA.
MOST_INTERMEDIATES = 3
#: CAs that are trusted at most.
MOST_TRUSTED = 32
#: Revocation lists in one file.
MOST_CRLS = 8

_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PEM_CRL = b"-----BEGIN X509 CRL-----"

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

_Signed = x509.Certificate | x509.CertificateRevocationList
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: Of the signatures: none with Ed25519, SHA-2 with ECDSA.
_HASHES = (type(None), hashes.SHA256, hashes.SHA384, hashes.SHA512)

#: What `cryptography` raises for a certificate that is none.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

#: Critical extensions that are heeded, of any certificate.
_KNOWN = frozenset((ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE))
#: And of a licence.
_LICENCE = x509.ObjectIdentifier(extension.OID)


@dataclass(frozen=True, slots=True)
class Files:
    """What stands beside the configuration, unread."""

    data: bytes
    """``AnyChat.cer``."""
    trusted: tuple[bytes, ...]
    """CAs, a PEM or DER file each."""
    crl: bytes | None
    """``AnyChat.crl``; None: there is none."""
    note: str = ""
    """What the operator should know of these files, or empty."""


def load_files(
    directory: Path, licence_ca: Path | None, packaged: Path = TRUSTED
) -> Files:
    """Read the files of a licence; blocking.

    :param directory: where the configuration is.
    :param licence_ca: ``LicenseCA=``; not used if CAs came with the package, or
        whoever has the configuration could make his own licences.
    :raises LicenceError: 711 missing or empty, 800 cannot be read or too large, 28
        the CA's file cannot be read.
    """
    data = read_file(directory / LICENCE_NAME, LONGEST)
    if not data:
        missing = "is not there" if data is None else "is empty"
        raise LicenceError(
            ResultCode.TRANSFILE_ZEROLEN,
            f"{LICENCE_NAME} {missing}: put the licence into {directory}",
        )
    trusted, note = [], ""
    try:
        for path in sorted(packaged.glob("*.pem"))[:MOST_TRUSTED]:
            trusted.append(read_file(path, LONGEST) or b"")
        if trusted and licence_ca is not None:
            note = (
                "LicenseCA= is not used, for this package brings the CA of its vendor"
            )
        elif licence_ca is not None:
            certificate = read_file(licence_ca, LONGEST)
            if not certificate:
                _untrusted(f"LicenseCA={licence_ca} is missing or empty")
            trusted.append(certificate)
    except LicenceError as error:
        _untrusted(error.text)
    return Files(
        data, tuple(trusted), read_file(directory / CRL_NAME, LONGEST_CRL), note
    )


def read_file(path: Path, longest: int) -> bytes | None:
    """A file's bytes; None: there is no such file.

    :raises LicenceError: 800, it cannot be read or is larger.
    """
    name = path.name or str(path)
    try:
        # Opening a FIFO must not wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
                raise LicenceError(
                    ResultCode.CERTFILE_GETINFOFAILED, f"{name} is {what}"
                )
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(longest + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        cause = error.strerror or str(error)
        if error.errno in (errno.EACCES, errno.EPERM):
            cause += "; let the service's user read it"
        raise LicenceError(
            ResultCode.CERTFILE_GETINFOFAILED, f"{name} cannot be read: {cause}"
        ) from error
    if len(data) > longest:
        raise LicenceError(
            ResultCode.CERTFILE_GETINFOFAILED,
            f"{name} is larger than {longest // 1024} KiB",
        )
    return data


def read_licence(
    data: bytes, trusted: Sequence[bytes], crl: bytes | None, version: str
) -> Licence:
    """The licence in a certificate that a trusted CA has signed.

    Whether it holds now is not said: see its dates.

    :param trusted: certificates of the CAs, a PEM (of one or several) or DER each.
    :param crl: revocation lists, PEM (one or several) or DER.
    :param version: of this server.
    :raises LicenceError: 802 cannot be decoded, was changed, or has in it what is
        not understood; 810, 860 to 862 has a binding that cannot be; 28 anything
        else.
    """
    certificates = read_certificates(data)
    leaf = certificates[0]
    anchors: list[x509.Certificate] = []
    for authority in trusted:
        try:
            anchors += read_certificates(authority, MOST_TRUSTED, "the licence CA")
        except LicenceError as error:
            _untrusted(error.text)
    if not anchors:
        _untrusted("no licence CA is trusted: set LicenseCA= to the vendor's")
    # Of two certificates of one CA the one that lasts longer.
    anchors.sort(key=lambda anchor: anchor.not_valid_after_utc, reverse=True)
    chain = _chain(leaf, certificates[1:], anchors)
    _check_constraints(chain)
    if crl is not None:
        _check_revocation(chain, anchors, crl)
    licence = _licence(chain)
    versions = licence.grant.versions
    if not fits_version(versions, version):
        _untrusted(f"the licence is for version {versions}, and this is {version}")
    return licence


def inspect_licence(data: bytes, what: str = LICENCE_NAME) -> Licence:
    """What a licence says of itself, whoever made it; its signature is not checked.

    :param what: for the text of the error.
    :raises LicenceError: 802, 810, 860 to 862 as with `read_licence`.
    """
    return _licence(read_certificates(data, what=what)[:1])


def read_certificates(
    data: bytes, most: int = 1 + MOST_INTERMEDIATES, what: str = LICENCE_NAME
) -> list[x509.Certificate]:
    """The certificates of a PEM, or the one of a DER.

    :param what: for the text of the error.
    :raises LicenceError: 802.
    """
    if len(data) > LONGEST:
        _invalid(f"{what} is larger than {LONGEST // 1024} KiB")
    count = data.count(_PEM_CERTIFICATE)
    if count > most:
        _invalid(f"{what} holds more than {most} certificates")
    try:
        if count:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
        if len(found) > most:
            # There are other labels for the same in PEM.
            _invalid(f"{what} holds more than {most} certificates")
        for certificate in found:
            _decode(certificate)
    except _UNREADABLE:
        _invalid(f"{what} is no certificate, or is cut off or damaged")
    return found


def _decode(certificate: x509.Certificate) -> object:
    """Decode what `cryptography` decodes when it is first asked for.

    So that whatever is wrong with it shows here.
    """
    return (
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.extensions,
        certificate.public_key(),
        certificate.signature_hash_algorithm,
    )


def _issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    """Whether one certificate's key has signed the other.

    :raises InvalidSignature: the other says so, and it is not true.
    """
    if child.issuer != parent.subject or not _same_key(child, parent):
        return False
    _public_key(parent)
    if not isinstance(child.signature_hash_algorithm, _HASHES):
        _invalid("it is signed in a way that is not accepted")
    child.verify_directly_issued_by(parent)
    return True


def _same_key(child: _Signed, parent: x509.Certificate) -> bool:
    """Whether the key identifiers, if both have them, are the same (RFC 5280 4.2.1.1).

    Two CAs of one name are told apart by it: a licence of the other one is not a
    licence that was changed.
    """
    wanted = _find(child, x509.AuthorityKeyIdentifier)
    found = _find(parent, x509.SubjectKeyIdentifier)
    if wanted is None or found is None or wanted.key_identifier is None:
        return True
    return wanted.key_identifier == found.digest


def _find(signed: _Signed, kind: type[_Extension]) -> _Extension | None:
    """The extension of this type, or None."""
    try:
        return signed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _public_key(issuer: x509.Certificate) -> PublicKey:
    """The key of a CA, if it is of a kind that is accepted."""
    key = issuer.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1
    ):
        return key
    _untrusted("a licence CA's key is neither Ed25519 nor ECDSA P-256")


def _chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """From the licence to a CA that is trusted, both included."""
    if leaf in anchors:
        _untrusted(
            "the licence itself stands where the licence CA should: LicenseCA= is for "
            "the vendor's ca.pem"
        )
    chain, left = [leaf], list(intermediates)
    changed = False
    while chain[-1] not in anchors:
        for parent in (*anchors, *left):
            try:
                if _issued_by(chain[-1], parent):
                    break
            except InvalidSignature:
                changed = True
            except _UNREADABLE:
                _invalid("its signature cannot be read")
        else:
            if changed:
                _invalid("its signature is wrong: it was changed after it was made")
            _untrusted(_stranger(chain[-1]))
        chain.append(parent)
        if parent in left:
            left.remove(parent)
    return chain


def _stranger(certificate: x509.Certificate) -> str:
    """Why a certificate leads to no CA."""
    if certificate.issuer == certificate.subject:
        return "the licence is signed by itself, not by a CA that is trusted"
    issuer = certificate.issuer.rfc4514_string()[:200]
    return f"the licence is of a CA that is not trusted here ({issuer})"


def _check_constraints(chain: Sequence[x509.Certificate]) -> None:
    """What the certificates say about each other (RFC 5280 section 6.1.4)."""
    for depth, certificate in enumerate(chain):
        basic = _find(certificate, x509.BasicConstraints)
        usage = _find(certificate, x509.KeyUsage)
        known = _KNOWN
        if depth == 0:
            known |= {_LICENCE}
            if basic is not None and basic.ca:
                _untrusted("this is the certificate of a CA, not a licence")
        elif basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
            _untrusted("the licence is signed by a certificate that is not a CA's")
        elif basic.path_length is not None and depth - 1 > basic.path_length:
            _untrusted("the licence's chain is longer than its CA allows")
        for found in certificate.extensions:
            if found.critical and found.oid not in known:
                oid = found.oid.dotted_string
                _invalid(f"its critical extension {oid} is not known here")


def _check_revocation(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    data: bytes,
) -> None:
    """Whether a list revokes a certificate of the chain.

    Of several lists those of other CAs say nothing of it; a file with none else is
    refused, for somebody meant it to say something.

    A list that is past its date is heeded still: an installation without a network
    cannot fetch a newer one, and whoever would go back to an older list could as
    well remove it.
    """
    heeded = False
    for crl in read_crls(data):
        named = [
            each
            for each in (*chain[1:], *anchors)
            if crl.issuer == each.subject and _same_key(crl, each)
        ]
        if not named:
            # A vendor with several CAs gives all of his customers all of the lists.
            continue
        issuer = next((each for each in named if _crl_issued_by(crl, each)), None)
        if issuer is None:
            _untrusted(
                f"{CRL_NAME} was changed after it was made, or its CA may sign none: "
                "get it from the vendor once more"
            )
        heeded = True
        for certificate in chain:
            if certificate.issuer == issuer.subject and _same_key(certificate, issuer):
                _check_listed(crl, certificate.serial_number)
    if not heeded:
        _untrusted(
            f"{CRL_NAME} is not of a CA that is trusted here: get the list of this "
            "licence's CA from the vendor"
        )


def _check_listed(crl: x509.CertificateRevocationList, serial: int) -> None:
    try:
        entry = crl.get_revoked_certificate_by_serial_number(serial)
        if entry is None:
            return
        day = entry.revocation_date_utc.date()
    except _UNREADABLE:
        _invalid(f"{CRL_NAME} cannot be read")
    _untrusted(f"the licence was revoked on {day} (serial {serial:x})")


def read_crls(
    data: bytes, what: str = CRL_NAME
) -> list[x509.CertificateRevocationList]:
    """The revocation lists of a PEM, or the one of a DER.

    :param what: for the text of the error.
    :raises LicenceError: 802.
    """
    count = data.count(_PEM_CRL)
    if len(data) > LONGEST_CRL or count > MOST_CRLS:
        _invalid(f"{what} is too large, or holds more than {MOST_CRLS} lists")
    try:
        if count:
            parts = data.split(_PEM_CRL)[1:]
            found = [x509.load_pem_x509_crl(_PEM_CRL + part) for part in parts]
        else:
            found = [x509.load_der_x509_crl(data)]
        for crl in found:
            # As with certificates; the entries are looked at when they are needed.
            _ = crl.issuer, crl.extensions, crl.signature_hash_algorithm
    except _UNREADABLE:
        _invalid(f"{what} is no revocation list, or is cut off or damaged")
    return found


def _crl_issued_by(
    crl: x509.CertificateRevocationList, issuer: x509.Certificate
) -> bool:
    """Whether a list of this CA's name is signed by it."""
    # Such as of lists with the changes alone, or with other CAs' certificates.
    if any(found.critical for found in crl.extensions):
        _invalid(f"{CRL_NAME} has an extension that is not known here")
    usage = _find(issuer, x509.KeyUsage)
    return (
        usage is not None
        and usage.crl_sign
        and isinstance(crl.signature_hash_algorithm, _HASHES)
        and crl.is_signature_valid(_public_key(issuer))
    )


def _licence(chain: Sequence[x509.Certificate]) -> Licence:
    """What the first of the chain grants, for as long as all of it holds."""
    leaf = chain[0]
    return Licence(
        grant=extension.decode_grant(_private_extension(leaf)),
        serial=leaf.serial_number,
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        not_before=max(each.not_valid_before_utc for each in chain),
        not_after=min(each.not_valid_after_utc for each in chain),
        digest=sha256(leaf.tbs_certificate_bytes).hexdigest(),
    )


def _private_extension(leaf: x509.Certificate) -> bytes:
    for found in leaf.extensions:
        if found.oid == _LICENCE:
            if not found.critical:
                _invalid("its extension is not marked critical")
            return found.value.public_bytes()
    _invalid("it is a certificate without a licence in it")


def fits_version(versions: str, version: str) -> bool:
    """Whether 6.0 is what a licence of 6 is for: a number at a time."""
    wanted, ours = versions.split("."), version.split(".")
    return not versions or ours[: len(wanted)] == wanted


def _invalid(text: str) -> NoReturn:
    raise LicenceError(
        ResultCode.CERTFILE_DECODEFAIL, f"the licence is invalid: {text}"
    )


def _untrusted(text: str) -> NoReturn:
    raise LicenceError(ResultCode.CERTVERIFYFAILED, text)
