"""Licences for the tests: one licence CA for the process, and what it signs."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

from anychat.licensing.authority import Authority, make_authority, write_certificates
from anychat.licensing.certificate import LICENCE_NAME, TRUSTED
from anychat.licensing.licence import Grant

#: In the directory of a licence, for ``LicenseCA=``.
CA_NAME = "licence-ca.pem"

DAY = timedelta(days=1)


@cache
def now() -> datetime:
    """When the process asked first; whole seconds, as certificates have them."""
    return datetime.now(UTC).replace(microsecond=0)


@cache
def authority() -> Authority:
    """The licence CA, the same for all tests of the process."""
    # It lasts, as may be asked, for licences that began long ago or end late.
    made = now() - 3650 * DAY
    return make_authority("Vendor", "ed25519", made, 7300 * DAY)


def authority_pem() -> bytes:
    """What is trusted."""
    return write_certificates(authority().certificate)


def licence_pem(
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    issuer: Authority | None = None,
    **grant: Any,
) -> bytes:
    """A licence, by default valid from a day ago for a year, bound to nothing.

    :param grant: members of `Grant`.
    """
    members = {"customer": "Customer", "max_users": 0} | grant
    return (issuer or authority()).issue(
        Grant(**members),
        not_before or now() - DAY,
        not_after or now() + 365 * DAY,
    )


def make_licence(directory: Path, **how: Any) -> Path:
    """Write ``AnyChat.cer`` and the CA into a directory; the path of the CA.

    :param how: as for `licence_pem`.
    :raises SkipTest: a vendor has put his CA into the package, so that servers take
        no licences of other CAs.
    """
    if any(TRUSTED.glob("*.pem")):
        raise SkipTest(f"there is a CA in {TRUSTED}")
    ca = directory / CA_NAME
    ca.write_bytes(authority_pem())
    (directory / LICENCE_NAME).write_bytes(licence_pem(**how))
    return ca
