"""The files that clients send to the server: TempFilePath, and what it may hold.

::

    temp/<user id>/<hash>.part      unfinished; may be gone on with for a while
    temp/<user id>/<name>           whole; a business server fetches it

Names come from clients and are made safe; user ids are numbers.  Each user may
fill so much of the directory and all together so much, files of earlier runs
and those that are just coming included.  What is old is removed.
"""

import errno
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anychat.codes import ResultCode, TransferKind
from anychat.core.state import Transfer
from anychat.errors import Refused
from anychat.transfers.files import PART, BufferTarget, FileTarget, Target

#: Bytes of a file that a business server gets at a time.
PORTION = 60_000

#: Files that were told of and can be fetched by their task's number.
_KNOWN = 100_000


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where files are, and how much of them."""

    directory: Path
    """TempFilePath; made when the first file comes."""
    user_quota: int
    """Bytes of one user's files."""
    total_quota: int
    """Bytes of all files, and of those that business servers are sending."""
    part_time: float
    """Seconds that an unfinished file is kept for another attempt."""
    file_time: float
    """Seconds that a whole file is kept; 0: for ever."""


class Staging(Protocol):
    """Content that comes in portions and is read meanwhile."""

    length: int

    @property
    def available(self) -> int:
        """Bytes that have come."""

    def append(self, data: bytes) -> None:
        """The next portion.

        :raises OSError: there is no room for it.
        """

    def read(self, offset: int, size: int) -> bytes:
        """These bytes."""

    def close(self) -> None:
        """It is needed no more."""


class MemoryStaging:
    """A buffer of a business server."""

    def __init__(self, length: int):
        self.length = length
        self._data = bytearray()

    @property
    def available(self) -> int:
        """See `Staging`."""
        return len(self._data)

    def append(self, data: bytes) -> None:
        """See `Staging`."""
        self._data += data

    def read(self, offset: int, size: int) -> bytes:
        """See `Staging`."""
        return bytes(self._data[offset : offset + size])

    def close(self) -> None:
        """See `Staging`."""
        self._data = bytearray()


class DiskStaging:
    """A file of a business server, in one without a name.

    :param freed: called once when it is closed.
    """

    def __init__(self, directory: Path, length: int, freed: Callable[[], None]):
        self.length = length
        self._directory = directory
        self._freed: Callable[[], None] | None = freed
        self._descriptor = -1
        self._available = 0

    @property
    def available(self) -> int:
        """See `Staging`."""
        return self._available

    def append(self, data: bytes) -> None:
        """See `Staging`."""
        if self._freed is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._descriptor < 0:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
            self._descriptor = os.open(self._directory, flags, 0o600)
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, self._available)
            self._available += written
            rest = rest[written:]

    def read(self, offset: int, size: int) -> bytes:
        """See `Staging`."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """See `Staging`."""
        freed, self._freed = self._freed, None
        if freed is not None:
            freed()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Reserved:
    """A target that gives its place back when it is over, whatever comes of it."""

    def __init__(self, target: Target, release: Callable[[], None]):
        self._target = target
        self._release = release
        self.open = target.open
        self.write = target.write
        self.clear = target.clear

    def finish(self) -> "Path | bytes":
        """See `Target`."""
        result = self._target.finish()
        self._release()
        return result

    def close(self) -> None:
        """See `Target`."""
        self._target.close()
        self._release()

    def discard(self) -> None:
        """See `Target`."""
        self._target.discard()
        self._release()


class FileStore:
    """What the server holds of clients.

    :param now: seconds since the epoch, as files have them.
    """

    def __init__(self, settings: StoreSettings, now: Callable[[], float]):
        self._settings = settings
        self._now = now
        self._coming: dict[int, tuple[int, int]] = {}
        """User and bytes of what is on its way, by task."""
        self._parts: dict[int, str] = {}
        """Names of their files."""
        self._staged = 0
        self._known: OrderedDict[int, Path] = OrderedDict()
        self._used: dict[int, int] = {}
        """Bytes of the files that are there, by user, as the last look found."""
        self._since: dict[int, int] = {}
        """The same of those that have come since that look began."""

    # Files and buffers of clients.

    def open(self, transfer: Transfer) -> Target:
        """Where a client's content goes.

        :raises Refused: 43, a quota would be passed.
        """
        if transfer.kind is TransferKind.BUFFER:
            return BufferTarget()
        user_id, length = int(transfer.source_id), transfer.length
        task = hashlib.sha256(transfer.guid.encode()).hexdigest()[:32]
        place = self._settings.directory / str(user_id)
        tables = self._used, self._since
        mine = sum(table.get(user_id, 0) for table in tables)
        mine += sum(size for user, size in self._coming.values() if user == user_id)
        if mine + length > self._settings.user_quota:
            raise Refused(ResultCode.DISKSPACELIMITED)
        if self.used + length > self._settings.total_quota:
            raise Refused(ResultCode.DISKSPACELIMITED)
        self._coming[transfer.id] = user_id, length
        self._parts[transfer.id] = task + PART
        target = FileTarget(place, task, transfer.file_name, length)
        return _Reserved(target, lambda: self._release(transfer.id))

    def _release(self, task_id: int) -> None:
        self._coming.pop(task_id, None)
        self._parts.pop(task_id, None)

    @property
    def used(self) -> int:
        """Bytes that count against the quota of all."""
        here = sum(self._used.values()) + sum(self._since.values())
        return here + sum(size for _, size in self._coming.values()) + self._staged

    def keep(self, transfer: Transfer, path: Path) -> None:
        """A file is whole: it can be fetched from now on."""
        user_id = int(transfer.source_id)
        self._since[user_id] = self._since.get(user_id, 0) + transfer.length
        self._known[transfer.id] = path
        self._known.move_to_end(transfer.id)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def read(self, task_id: int, offset: int, size: int) -> tuple[int, bytes]:
        """Length of a whole file, and a portion of it.

        :raises Refused: 716 there is none of that task; 713 it cannot be read.
        """
        path = self._known.get(task_id)
        if path is None:
            raise Refused(ResultCode.TRANSFILE_NOTASK)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            del self._known[task_id]
            raise Refused(ResultCode.TRANSFILE_NOTASK) from None
        except OSError:
            raise Refused(ResultCode.TRANSFILE_READFAIL) from None
        try:
            length = os.fstat(descriptor).st_size
            offset = min(offset, length)
            return length, os.pread(descriptor, min(size, PORTION), offset)
        except OSError:
            raise Refused(ResultCode.TRANSFILE_READFAIL) from None
        finally:
            os.close(descriptor)

    # Files and buffers of business servers.

    def staging(self, kind: TransferKind, length: int) -> Staging:
        """Where a business server's content waits until it is sent."""
        if kind is TransferKind.BUFFER:
            return MemoryStaging(length)
        self._staged += length

        def freed() -> None:
            self._staged -= length

        return DiskStaging(self._settings.directory, length, freed)

    # Time.

    def look(self) -> "Callable[[], dict[int, int]]":
        """What is to be done once a minute, in a thread: `looked` gets the result."""
        now, coming = self._now(), set(self._parts.values())
        self._since = {}
        return lambda: self._look(now, coming)

    def looked(self, used: dict[int, int]) -> None:
        """Bytes of each user, as `look` found them."""
        self._used = used

    def _look(self, now: float, coming: set[str]) -> dict[int, int]:
        """Remove what is old, and say how much is left."""
        used = {}
        for place in _directories(self._settings.directory):
            left = self._expire(place, now, coming)
            if left:
                used[int(place.name)] = left
        return used

    def _expire(self, place: Path, now: float, coming: set[str]) -> int:
        """Bytes of what is left in a user's directory."""
        part_time, file_time = self._settings.part_time, self._settings.file_time
        size = 0
        with suppress(OSError):
            entries = list(os.scandir(place))
            left = len(entries)
            for entry in entries:
                if entry.name in coming or not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                keep = part_time if entry.name.endswith(PART) else file_time
                if keep and now - status.st_mtime > keep:
                    os.unlink(entry.path)
                    left -= 1
                else:
                    size += status.st_size
            if not left:
                os.rmdir(place)
        return size


def _directories(root: Path) -> list[Path]:
    """The directories of users."""
    try:
        with os.scandir(root) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and _is_number(entry.name)
            ]
    except OSError:
        return []


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
