"""Reads licences: files and the chain of certificates.

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

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtensionOID

from anychat.codes import ResultCode
from anychat.licensing import extension
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import Licence
from anychat.licensing.revocation import CRL_NAME, LONGEST_CRL, check_revocation
from anychat.licensing.signature import (
    HASHES,
    UNREADABLE,
    find_extension,
    invalid,
    public_key,
    same_key,
    untrusted,
)

#: The licence's name, which the product has fixed.
LICENCE_NAME = "AnyChat.cer"
#: CAs that a vendor packages with the server.
TRUSTED = Path(__file__).with_name("trusted")

#: Bytes of a licence with its chain, and of a file of CAs.
LONGEST = 64 * 1024
#: Certificates between a licence and the CA.
MOST_INTERMEDIATES = 3
#: CAs that are trusted at most.
MOST_TRUSTED = 32

_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

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
                untrusted(f"LicenseCA={licence_ca} is missing or empty")
            trusted.append(certificate)
    except LicenceError as error:
        untrusted(error.text)
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
            cause += "; let the user who runs this program read it"
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
            untrusted(error.text)
    if not anchors:
        untrusted("no licence CA is trusted: set LicenseCA= to the vendor's")
    # Of two certificates of one CA the one that lasts longer.
    anchors.sort(key=lambda anchor: anchor.not_valid_after_utc, reverse=True)
    chain = _chain(leaf, certificates[1:], anchors)
    _check_constraints(chain)
    if crl is not None:
        check_revocation(chain, anchors, crl)
    licence = _licence(chain)
    versions = licence.grant.versions
    if not fits_version(versions, version):
        untrusted(f"the licence is for version {versions}, and this is {version}")
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
        invalid(f"{what} is larger than {LONGEST // 1024} KiB")
    count = data.count(_PEM_CERTIFICATE)
    if count > most:
        invalid(f"{what} holds more than {most} certificates")
    try:
        if count:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
        if len(found) > most:
            # There are other labels for the same in PEM.
            invalid(f"{what} holds more than {most} certificates")
        for certificate in found:
            _decode(certificate)
    except UNREADABLE:
        invalid(f"{what} is no certificate, or is cut off or damaged")
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
    if child.issuer != parent.subject or not same_key(child, parent):
        return False
    public_key(parent)
    if not isinstance(child.signature_hash_algorithm, HASHES):
        invalid("it is signed in a way that is not accepted")
    child.verify_directly_issued_by(parent)
    return True


def _chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """From the licence to a CA that is trusted, both included."""
    if leaf in anchors:
        untrusted(
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
            except UNREADABLE:
                invalid("its signature cannot be read")
        else:
            if changed:
                invalid("its signature is wrong: it was changed after it was made")
            untrusted(_stranger(chain[-1]))
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
        basic = find_extension(certificate, x509.BasicConstraints)
        usage = find_extension(certificate, x509.KeyUsage)
        known = _KNOWN
        if depth == 0:
            known |= {_LICENCE}
            if basic is not None and basic.ca:
                untrusted("this is the certificate of a CA, not a licence")
        elif basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
            untrusted("the licence is signed by a certificate that is not a CA's")
        elif basic.path_length is not None and depth - 1 > basic.path_length:
            untrusted("the licence's chain is longer than its CA allows")
        for found in certificate.extensions:
            if found.critical and found.oid not in known:
                oid = found.oid.dotted_string
                invalid(f"its critical extension {oid} is not known here")


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
                invalid("its extension is not marked critical")
            return found.value.public_bytes()
    invalid("it is a certificate without a licence in it")


def fits_version(versions: str, version: str) -> bool:
    """Whether 6.0 is what a licence of 6 is for: a number at a time."""
    wanted, ours = versions.split("."), version.split(".")
    return not versions or ours[: len(wanted)] == wanted
