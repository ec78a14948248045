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
import stat
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

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
        self._file: IO[bytes] | None = None
        self._available = 0

    @property
    def available(self) -> int:
        """See `Staging`."""
        return self._available

    def append(self, data: bytes) -> None:
        """See `Staging`."""
        if self._freed is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._file is None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by close()
                buffering=0, dir=self._directory
            )
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file.fileno(), rest, self._available)
            self._available += written
            rest = rest[written:]

    def read(self, offset: int, size: int) -> bytes:
        """See `Staging`."""
        if self._file is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """See `Staging`."""
        freed, self._freed = self._freed, None
        if freed is not None:
            freed()
        if self._file is not None:
            self._file.close()
            self._file = None


class _Reserved:
    """A target that gives its place back when it is over, whatever comes of it.

    :param release: called, in a thread, with the bytes that it leaves behind.
    """

    def __init__(self, target: FileTarget, release: Callable[[int], None]):
        self._target = target
        self._release = release
        self.open = target.open
        self.write = target.write
        self.clear = target.clear

    def finish(self) -> "Path | bytes":
        """See `Target`."""
        return self._target.finish()

    def close(self) -> None:
        """See `Target`."""
        kept = self._target.kept()
        self._target.close()
        self._release(kept)

    def discard(self) -> None:
        """See `Target`."""
        self._target.discard()
        self._release(0)


class FileStore:
    """What the server holds of clients.

    :param now: seconds since the epoch, as files have them.
    """

    def __init__(self, settings: StoreSettings, now: Callable[[], float]):
        self._settings = settings
        self._now = now
        self._coming: dict[int, tuple[int, int]] = {}
        """User and bytes of what is on its way, by task."""
        self._released: deque[tuple[int, int]] = deque()
        """Tasks that are over, and the bytes they left; threads add to it."""
        self._parts: dict[int, str] = {}
        """Names of their files."""
        self._staged = 0
        self._known: OrderedDict[int, Path] = OrderedDict()
        self._used: dict[int, int] = {}
        """Bytes of the files that are there, by user, as the last look found."""
        self._since: dict[int, int] = {}
        """The same of those that have come since that look began."""
        self._meanwhile: dict[int, int] = {}
        """The same of those before that, while a look is under way."""

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
        self._settle()
        tables = self._used, self._since, self._meanwhile
        mine = sum(table.get(user_id, 0) for table in tables)
        mine += sum(size for user, size in self._coming.values() if user == user_id)
        # What is there of it is counted already.
        more = length - _kept(place / (task + PART), length)
        if mine + more > self._settings.user_quota:
            raise Refused(ResultCode.DISKSPACELIMITED)
        if self.used + more > self._settings.total_quota:
            raise Refused(ResultCode.DISKSPACELIMITED)
        self._coming[transfer.id] = user_id, length
        self._parts[transfer.id] = task + PART
        target = FileTarget(place, task, transfer.file_name, length)
        return _Reserved(
            target, lambda kept: self._released.append((transfer.id, kept))
        )

    def _settle(self) -> None:
        """Book what threads have said."""
        while self._released:
            self._release(*self._released.popleft())

    def _release(self, task_id: int, kept: int) -> None:
        """A file comes no more, but so much of it stays."""
        self._parts.pop(task_id, None)
        user_id, _ = self._coming.pop(task_id, (0, 0))
        if user_id and kept:
            self._since[user_id] = self._since.get(user_id, 0) + kept

    @property
    def used(self) -> int:
        """Bytes that count against the quota of all."""
        self._settle()
        tables = self._used, self._since, self._meanwhile
        here = sum(sum(table.values()) for table in tables)
        return here + sum(size for _, size in self._coming.values()) + self._staged

    def keep(self, transfer: Transfer, path: Path) -> None:
        """A file is whole: it can be fetched from now on."""
        self._release(transfer.id, transfer.length)
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
        """Where a business server's content waits until it is sent.

        :raises Refused: 43, the quota of all would be passed.
        """
        if kind is TransferKind.BUFFER:
            return MemoryStaging(length)
        if self.used + length > self._settings.total_quota:
            raise Refused(ResultCode.DISKSPACELIMITED)
        self._staged += length

        def freed() -> None:
            self._staged -= length

        return DiskStaging(self._settings.directory, length, freed)

    # Time.

    def look(self) -> "Callable[[], dict[int, int]]":
        """What is to be done once a minute, in a thread: `looked` gets the result."""
        self._settle()
        now, coming = self._now(), set(self._parts.values())
        # Those count until the look, which may take its time, has seen them.
        self._meanwhile, self._since = self._since, {}
        return lambda: self._look(now, coming)

    def looked(self, used: dict[int, int]) -> None:
        """Bytes of each user, as `look` found them."""
        self._used = used
        self._meanwhile = {}

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
        size, left = 0, False
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name in coming or not entry.is_file(follow_symlinks=False):
                    left = True
                    continue
                # Somebody may take it away at any moment.
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    keep = part_time if entry.name.endswith(PART) else file_time
                    if keep and now - status.st_mtime > keep:
                        os.unlink(entry.path)
                    else:
                        size += status.st_size
                        left = True
        if not left:
            with suppress(OSError):
                os.rmdir(place)
        return size


def _kept(part: Path, length: int) -> int:
    """Bytes of an unfinished file that another attempt goes on with."""
    try:
        status = os.lstat(part)
    except OSError:
        return 0
    return min(status.st_size, length) if stat.S_ISREG(status.st_mode) else 0


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
