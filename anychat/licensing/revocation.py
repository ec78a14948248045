"""Reads revocation lists: what a licence CA has taken back.

A list that is past its date is heeded still: an installation without a network
cannot fetch a newer one, and whoever would go back to an older list could as well
remove it.
"""

from collections.abc import Sequence
from typing import NoReturn

from cryptography import x509

from anychat.codes import ResultCode
from anychat.licensing.findings import LicenceError
from anychat.licensing.signature import (
    HASHES,
    UNREADABLE,
    find_extension,
    public_key,
    same_key,
    untrusted,
)

#: The list's name, beside the licence.
CRL_NAME = "AnyChat.crl"
#: Bytes of the revocation lists, which hold about 20,000 entries.
LONGEST_CRL = 1024 * 1024
#: Revocation lists in one file.
MOST_CRLS = 8

_PEM_CRL = b"-----BEGIN X509 CRL-----"


def check_revocation(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    data: bytes,
) -> None:
    """Whether a list revokes a certificate of the chain.

    Of several lists those of other CAs say nothing of it; a file with none else is
    refused, for somebody meant it to say something.
    """
    heeded = False
    for crl in read_crls(data):
        named = [
            each
            for each in (*chain[1:], *anchors)
            if crl.issuer == each.subject and same_key(crl, each)
        ]
        if not named:
            # A vendor with several CAs gives all of his customers all of the lists.
            continue
        issuer = next((each for each in named if _crl_issued_by(crl, each)), None)
        if issuer is None:
            untrusted(
                f"{CRL_NAME} was changed after it was made, or its CA may sign none: "
                "get it from the vendor once more"
            )
        heeded = True
        for depth, certificate in enumerate(chain):
            if certificate.issuer == issuer.subject and same_key(certificate, issuer):
                what = "a CA that the licence comes from" if depth else "the licence"
                _check_listed(crl, certificate.serial_number, what)
    if not heeded:
        untrusted(
            f"{CRL_NAME} is not of a CA that is trusted here: get the list of this "
            "licence's CA from the vendor"
        )


def _check_listed(crl: x509.CertificateRevocationList, serial: int, what: str) -> None:
    try:
        entry = crl.get_revoked_certificate_by_serial_number(serial)
        if entry is None:
            return
        day = entry.revocation_date_utc.date()
    except UNREADABLE:
        _unusable(f"{CRL_NAME} cannot be read")
    untrusted(f"{what} was revoked on {day} (serial {serial:x})")


def read_crls(
    data: bytes, what: str = CRL_NAME
) -> list[x509.CertificateRevocationList]:
    """The revocation lists of a PEM, or the one of a DER.

    :param what: for the text of the error.
    :raises LicenceError: 802.
    """
    count = data.count(_PEM_CRL)
    if len(data) > LONGEST_CRL or count > MOST_CRLS:
        _unusable(f"{what} is too large, or holds more than {MOST_CRLS} lists")
    try:
        if count:
            parts = data.split(_PEM_CRL)[1:]
            found = [x509.load_pem_x509_crl(_PEM_CRL + part) for part in parts]
        else:
            found = [x509.load_der_x509_crl(data)]
        for crl in found:
            # As with certificates; the entries are looked at when they are needed.
            _ = crl.issuer, crl.extensions, crl.signature_hash_algorithm
    except UNREADABLE:
        _unusable(f"{what} is no revocation list, or is cut off or damaged")
    return found


def _crl_issued_by(
    crl: x509.CertificateRevocationList, issuer: x509.Certificate
) -> bool:
    """Whether a list of this CA's name is signed by it."""
    # Such as of lists with the changes alone, or with other CAs' certificates.
    if any(found.critical for found in crl.extensions):
        _unusable(f"{CRL_NAME} has an extension that is not known here")
    usage = find_extension(issuer, x509.KeyUsage)
    return (
        usage is not None
        and usage.crl_sign
        and isinstance(crl.signature_hash_algorithm, HASHES)
        and crl.is_signature_valid(public_key(issuer))
    )


def _unusable(text: str) -> NoReturn:
    raise LicenceError(ResultCode.CERTFILE_DECODEFAIL, text)
