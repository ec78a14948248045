"""Where content comes from and goes to; what blocks is called in threads.

A file that arrives is ``NAME.part`` in its directory until it is whole.  Then it
gets a name that nothing else has there.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from anychat.transfers.chunks import CHUNK
from anychat.transfers.names import numbered, safe_name

#: What unfinished files end with.
PART = ".part"

#: Names that are tried for a file that is whole.
_TRIES = 10_000

#: Unfinished files that attempts at the same content may have at a time, and one.
_ATTEMPTS = 5

#: Bytes that are read at a time of what was kept.
_BLOCK = 16 * CHUNK


class Hash(Protocol):
    """A digest under way, as `hashlib` makes them."""

    def update(self, data: bytes, /) -> None:
        """Take these bytes too."""


class Content(Protocol):
    """What is sent; only `available` and `length` are asked outside threads."""

    length: int

    @property
    def available(self) -> int:
        """Bytes that can be read by now."""

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes.

        :raises OSError: they are not to be had.
        """

    def close(self) -> None:
        """Nothing more is read."""


class Target(Protocol):
    """Where content goes; all of it in threads, one call at a time."""

    def open(self, digest: Hash) -> int:
        """Bytes that are there from an earlier attempt; ``digest`` takes them."""

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append."""

    def clear(self) -> None:
        """Throw away what is there, to begin again."""

    def finish(self) -> "Path | bytes":
        """It is whole: where it is, or what."""

    def close(self) -> None:
        """Keep what is there for a later attempt."""

    def discard(self) -> None:
        """Keep nothing."""


class BufferContent:
    """Bytes in memory."""

    def __init__(self, data: bytes):
        self._data = data
        self.length = len(data)

    @property
    def available(self) -> int:
        """See `Content`."""
        return self.length

    def read(self, offset: int, size: int) -> bytes:
        """See `Content`."""
        return self._data[offset : offset + size]

    def close(self) -> None:
        """See `Content`."""


class FileContent:
    """A file, which is opened when it is read first."""

    def __init__(self, path: Path, length: int):
        self._path = path
        self._descriptor = -1
        self.length = length

    @property
    def available(self) -> int:
        """See `Content`."""
        return self.length

    def read(self, offset: int, size: int) -> bytes:
        """See `Content`."""
        if self._descriptor < 0:
            # O_NONBLOCK: what was a file may be a named pipe by now.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            self._descriptor = os.open(self._path, flags)
        data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise OSError(errno.EIO, "the file has become shorter")
        return data

    def close(self) -> None:
        """See `Content`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class BufferTarget:
    """A buffer in memory, of which nothing is kept."""

    def __init__(self) -> None:
        self._data = bytearray()

    def open(self, digest: Hash) -> int:
        """See `Target`."""
        return 0

    def write(self, pieces: Sequence[bytes]) -> None:
        """See `Target`."""
        for piece in pieces:
            self._data += piece

    def clear(self) -> None:
        """See `Target`."""
        self._data.clear()

    def finish(self) -> bytes:
        """See `Target`."""
        return bytes(self._data)

    def close(self) -> None:
        """See `Target`."""
        self._data = bytearray()

    discard = close


class FileTarget:
    """A file that arrives in a directory, which is made if it is not there.

    :param task: names the unfinished file: the same for another attempt.
    :param name: as the sender says it.
    :param path: the whole file's path if the receiver has chosen one; what is
        there is replaced.
    """

    def __init__(
        self,
        directory: Path,
        task: str,
        name: str,
        length: int,
        path: Path | None = None,
    ):
        self._directory = directory
        self._part = directory / f"{task}{PART}"
        self._name = safe_name(name)
        self._length = length
        self._path = path
        self._whole: Path | None = None
        self._descriptor = -1

    def open(self, digest: Hash) -> int:
        """See `Target`.

        :raises OSError: it cannot be had, or there is not enough room on the disk.
        """
        self._take_part()
        kept = min(os.fstat(self._descriptor).st_size, self._length - 1)
        kept -= kept % CHUNK
        os.ftruncate(self._descriptor, kept)
        disk = os.fstatvfs(self._descriptor)
        if disk.f_bavail * disk.f_frsize < self._length - kept:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for offset in range(0, kept, _BLOCK):
            size = min(_BLOCK, kept - offset)
            digest.update(os.pread(self._descriptor, size, offset))
        return kept

    def _take_part(self) -> None:
        """Open an unfinished file that no other attempt has."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND
        first = self._part
        for number in range(1, _ATTEMPTS):
            # Whoever tidies up may have removed the directory since, as it was empty.
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            try:
                descriptor = os.open(self._part, flags, 0o600)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.lstat(self._part)):
                    self._descriptor = descriptor
                    return
            except FileNotFoundError:
                pass  # the other attempt was discarded meanwhile
            except BlockingIOError:
                # Another attempt at the same has not ended yet: leave it alone.
                self._part = first.with_stem(f"{first.stem}-{number + 1}")
            os.close(descriptor)
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def write(self, pieces: Sequence[bytes]) -> None:
        """See `Target`."""
        left = sum(map(len, pieces))
        written = os.writev(self._descriptor, pieces)
        if written < left:
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def clear(self) -> None:
        """See `Target`."""
        os.ftruncate(self._descriptor, 0)

    def finish(self) -> Path:
        """See `Target`."""
        path = self._path if self._path is not None else self._place()
        os.replace(self._part, path)
        self._whole = path
        self._close()
        return path

    def _place(self) -> Path:
        """A name that is taken from here on, by an empty file."""
        for number in range(1, _TRIES):
            name = self._name if number == 1 else numbered(self._name, number)
            path = self._directory / name
            try:
                descriptor = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
                )
            except FileExistsError:
                continue
            os.close(descriptor)
            return path
        raise OSError(errno.EEXIST, "too many files of that name", self._name)

    def kept(self) -> int:
        """Bytes that are there."""
        if self._whole is not None:
            return self._length
        return os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0

    def close(self) -> None:
        """See `Target`; if it is whole, nobody has heard of it: unfinished again."""
        if self._whole is not None:
            os.replace(self._whole, self._part)
            self._whole = None
        elif self._descriptor >= 0 and not os.fstat(self._descriptor).st_size:
            self._part.unlink(missing_ok=True)
        self._close()

    def discard(self) -> None:
        """See `Target`."""
        if self._whole is not None:
            self._whole.unlink(missing_ok=True)
            self._whole = None
        elif self._descriptor >= 0:
            # Before the lock is gone: then the name may be another attempt's.
            self._part.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
