"""Files that are there whole or not at all."""

import errno
import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file, with these permissions; what was there stays until it is whole.

    :raises OSError: it cannot be written; it names this file.
    """
    if path.exists() and not path.is_file():
        # As root /dev/null would be no device any more.
        raise OSError(errno.EEXIST, "this is there, and is no file", str(path))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
