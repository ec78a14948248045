"""The file in which a slave keeps its activation, across restarts."""

from pathlib import Path

from anychat.codes import ResultCode
from anychat.licensing.activation import MAX_SIZE
from anychat.licensing.certificate import read_file
from anychat.licensing.files import replace_file
from anychat.licensing.findings import LicenceError

#: Beside the configuration.
ACTIVATION_NAME = "AnyChat.activation"


class ActivationFile:
    """A slave's activation on disk; blocking.

    :param directory: the configuration's.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / ACTIVATION_NAME

    def write(self, data: bytes) -> None:
        """Keep what the master has answered, once it has been read.

        Whole or not at all: a slave that loses its power meanwhile keeps what it had.
        """
        replace_file(self.path, data, 0o600)

    def read(self) -> bytes:
        """What was kept, for `activation.read_activation`.

        :raises LicenceError: 711 nothing was, 800 it cannot be read.
        """
        data = read_file(self.path, MAX_SIZE)
        if not data:
            raise LicenceError(
                ResultCode.TRANSFILE_ZEROLEN,
                "this slave has not got its master's licence yet; it needs to reach "
                "the master once",
            )
        return data
