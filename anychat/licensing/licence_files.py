"""The files of a licence beside the configuration: what they give, and whether they
are others than before.

All methods of `LicenceFiles` are blocking.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.licensing.certificate import LICENCE_NAME, load_files, read_licence
from anychat.licensing.findings import LicenceError
from anychat.licensing.judge import Memory
from anychat.licensing.licence import Licence
from anychat.licensing.revocation import CRL_NAME
from anychat.licensing.state_file import STATE_NAME, load_memory

#: What identifies the content of files without reading them.
Stamp = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the files gave."""

    stamp: Stamp
    read: Licence | LicenceError
    note: str = ""
    """What the operator should know of the files."""
    kept: Memory = Memory()
    """What the run before has left about this licence."""
    fault: Failure | None = None
    """A bug that was met."""


class LicenceFiles:
    """AnyChat.cer, AnyChat.crl, the CA's file and the state file.

    :param directory: where they are.
    :param licence_ca: LicenseCA; None: what came with the package is trusted alone.
    :param version: of this server.
    """

    def __init__(self, directory: Path, licence_ca: Path | None, version: str) -> None:
        self._directory = directory
        self._licence_ca = licence_ca
        self._version = version
        self.state_path = directory / STATE_NAME

    def look(self) -> tuple[Stamp, bool]:
        """What the licence's files are, and whether the state file is there."""
        return self._stamp(), self.state_path.exists()

    def _stamp(self) -> Stamp:
        paths = [self._directory / LICENCE_NAME, self._directory / CRL_NAME]
        if self._licence_ca is not None:
            paths.append(self._licence_ca)
        stamp: list[object] = []
        for path in paths:
            try:
                found = os.stat(path)
            except OSError as error:
                stamp.append(error.errno)
            else:
                stamp += (found.st_mtime_ns, found.st_ctime_ns, found.st_size)
                stamp += (found.st_ino, found.st_mode)
        return tuple(stamp)

    def load(self, machine: str) -> Loaded:
        """Read the licence, and what the run before has left.

        :param machine: see `anychat.licensing.state_file.machine_id`.
        """
        stamp = self._stamp()
        try:
            files = load_files(self._directory, self._licence_ca)
            licence = read_licence(files.data, files.trusted, files.crl, self._version)
        except LicenceError as error:
            return Loaded(stamp, error)
        except Exception:
            unread = LicenceError(
                ResultCode.CERTFILE_DECODEFAIL,
                f"{LICENCE_NAME} met a fault of this program, which the log shows",
            )
            return Loaded(stamp, unread, fault=Failure())
        note, kept = files.note, Memory()
        try:
            kept = load_memory(self.state_path, licence.digest, machine)
        except OSError as error:
            note = (
                f"{STATE_NAME} cannot be read: {error.strerror}; let the service's "
                "user read and write it"
            )
        return Loaded(stamp, licence, note, kept)
