"""The directory of a licence CA.

==============  ==============================================================
``ca.key``      its key, encrypted, mode 0600; never leaves
``ca.pem``      its certificate, which customers trust; below a root of another
                directory what leads there follows
``ca.crl``      what was revoked
``issued/``     every licence, and every CA below, as ``SERIAL.pem``
==============  ==============================================================
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from cryptography import x509

from anychat.licensing.authority import (
    Authority,
    AuthorityError,
    encrypt_key,
    read_authority,
    write_certificates,
)
from anychat.licensing.certificate import LICENCE_NAME, LONGEST, read_file
from anychat.licensing.files import replace_file
from anychat.licensing.revocation import LONGEST_CRL, read_crls

_KEY, _CERTIFICATE, _CRL, _ISSUED = "ca.key", "ca.pem", "ca.crl", "issued"

_SERIAL = re.compile(r"(?:0x)?([0-9a-f]{1,40})", re.IGNORECASE)


class CaDirectory:
    """A licence CA on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = path / _KEY
        self.certificate = path / _CERTIFICATE
        self.crl = path / _CRL
        self._issued = path / _ISSUED

    def make(self, authority: Authority, passphrase: str, crl: bytes) -> None:
        """Write a new CA.

        :raises AuthorityError: there is one already, or the pass phrase is too short.
        """
        # Before anything is written.
        key = encrypt_key(authority.key, passphrase)
        certificates = authority.chain or (authority.certificate,)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.locked():
            # Of two at once one comes too late, or the key might be the other's.
            self.check_free()
            try:
                self._issued.mkdir(mode=0o700, exist_ok=True)
                replace_file(self.certificate, write_certificates(*certificates))
                replace_file(self.crl, crl)
                replace_file(self.key, key, 0o600)
            except BaseException:
                # Half a CA would only be in the way of the next try.
                for path in (self.certificate, self.crl, self.key):
                    path.unlink(missing_ok=True)
                raise

    def check_free(self) -> None:
        """Whether a CA can be made here.

        :raises AuthorityError: there is one already.
        """
        for path in (self.key, self.certificate, self.crl):
            if path.exists():
                raise AuthorityError(f"{path} is there already; choose another --ca")

    def read(self, passphrase: str) -> Authority:
        """The CA with its key.

        :raises AuthorityError: it cannot be read.
        """
        return read_authority(
            self.read_certificate(), self._read(self.key, LONGEST), passphrase
        )

    def read_certificate(self) -> bytes:
        """The CA's certificate, and what follows it.

        :raises AuthorityError: there is none.
        """
        return self._read(self.certificate, LONGEST)

    def read_crl(self) -> bytes:
        """The revocation list.

        :raises AuthorityError: there is none, so that it is not known what to go on.
        """
        data = read_file(self.crl, LONGEST_CRL)
        if not data:
            raise AuthorityError(f"{self.crl} is missing or empty")
        return data

    def revoked_on(self, serial: int) -> date | None:
        """When this CA took a licence back, or None.

        :raises AuthorityError: there is no list.
        :raises LicenceError: the list cannot be read.
        """
        for crl in read_crls(self.read_crl(), str(self.crl)):
            entry = crl.get_revoked_certificate_by_serial_number(serial)
            if entry is not None:
                return entry.revocation_date_utc.date()
        return None

    def _read(self, path: Path, longest: int) -> bytes:
        data = read_file(path, longest)
        if not data:
            raise AuthorityError(
                f"{path} is missing or empty: is {self.path} the directory of a "
                "licence CA (anychat-license ca)?"
            )
        return data

    def keep(self, licence: bytes) -> int:
        """Keep a licence, or a CA's certificate, that was issued; its serial number."""
        serial = x509.load_pem_x509_certificates(licence)[0].serial_number
        self._issued.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._issued / f"{serial:x}.pem", licence, 0o600)
        return serial

    def find(self, name: str) -> bytes:
        """The licence in a file, or one that was issued, by its serial number.

        :raises LicenceError: the file cannot be read.
        :raises AuthorityError: there is neither.
        """
        data = read_file(Path(name), LONGEST)
        if data is None and (found := _SERIAL.fullmatch(name)):
            serial = int(found[1], 16)
            data = read_file(self._issued / f"{serial:x}.pem", LONGEST)
        if not data:
            raise AuthorityError(
                f"{name} is no file with a licence ({LICENCE_NAME}), nor the serial "
                f"number of one in {self._issued}"
            )
        return data

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others out, so that of two at once neither's work is lost."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def is_of_authority(path: Path) -> bool:
    """Whether this is a file of some licence CA's directory.

    The key above all, which nobody can make again.
    """
    directory = path.parent.resolve()
    if directory.name == _ISSUED:
        return any((directory.parent / name).exists() for name in (_KEY, _CERTIFICATE))
    # A customer has a ca.pem as well, beside other things.
    known = any((directory / name).exists() for name in (_KEY, _CRL, _ISSUED))
    return known and path.name in (_KEY, _CERTIFICATE, _CRL, _ISSUED)
