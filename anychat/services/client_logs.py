"""Clients' logs: asked for, taken in parts, kept in dated directories.

With AutoUploadLogInfo every client is asked for its log after its login; a client
may also send it of itself (option 134).  It ends up as

    SaveLogRootDir/2026-11-20/14-03-59-u17-192.0.2.33.log

written to a ``.part`` beside it until it is complete.  What a client sends never
decides where that is.  The logs of all take `MOST_BYTES`: beyond that the oldest
days go, and if today alone is as much, nothing more is taken (43).  One address
sends an eighth of that in a day, so that nobody drives the others' logs away.

Everything is done in the reactor's thread: a part is 32 KiB at most, and goes to the
system's cache.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from twisted.application.service import Service

from anychat.codes import ResultCode
from anychat.ids import SessionId, UserId
from anychat.messages import LogPart
from anychat.notices import Notices

#: Bytes of one log, and of all that are kept.
MAX_LOG = 2 << 20
MOST_BYTES = 1 << 30
#: Logs of one session.
MOST_LOGS = 8
#: Uploads under way, and seconds after which one that stands still makes room.
MOST_OPEN = 1024
PATIENCE = 30.0
#: Bytes that a file costs at least.
BLOCK = 4096
#: This part of all is one address's in a day.
SHARE = 8
#: Seconds between two looks at what there is, when it seems to be too much.
_LOOK = 60.0

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(slots=True)
class _Upload:
    """A log that is coming."""

    part: Path
    path: Path
    length: int
    heard: datetime
    """When its last part came."""
    taken: int = 0


@dataclass(slots=True, eq=False)
class _Client:
    user_id: UserId
    address: str
    logs: int = 0
    upload: _Upload | None = None


class ClientLogs(Service):
    """Where clients' logs go.

    :param root: the directory of all of them; made when the first one comes.
    :param ask: whether clients are asked for them.
    :param wall_clock: the time of day.
    :param notices: the server's log, which nobody can fill.
    """

    def __init__(
        self,
        root: Path,
        ask: bool,
        wall_clock: Callable[[], datetime],
        notices: Notices,
        most: int = MOST_BYTES,
        share: int = SHARE,
    ):
        self.ask = ask
        self._root = root
        self._now = wall_clock
        self._notices = notices
        self._most = most
        self._clients: dict[SessionId, _Client] = {}
        self._share = most // share
        self._uploading: dict[_Client, None] = {}
        """Clients whose logs are coming, the quietest first."""
        self._coming = 0
        """Bytes of these logs."""
        self._kept = 0
        """Bytes in the directory, as far as is known."""
        self._counted: datetime | None = None
        """When they were counted last."""
        self._today = ""
        self._of_address: Counter[str] = Counter()
        """Bytes that came today from where."""
        self.complete = 0
        """Logs that came whole, since the start."""
        self.refused = 0

    def stopService(self) -> None:
        """Give up what is not complete."""
        super().stopService()
        for session in tuple(self._clients):
            self.end(session)

    def begin(self, session: SessionId, user_id: UserId, address: str) -> None:
        """A user is there, who may send its log."""
        self._clients[session] = _Client(user_id, address)

    def end(self, session: SessionId) -> None:
        """The user is gone; a log that is not complete goes with him."""
        client = self._clients.pop(session, None)
        if client is not None:
            self._give_up(client)

    def take(self, session: SessionId, part: LogPart) -> ResultCode:
        """Keep a part of a user's log; what he is told."""
        client = self._clients.get(session)
        if client is None:
            return ResultCode.SESSIONNOTEXIST
        try:
            code = self._take(client, part)
        except OSError as error:
            self._notices.say(
                "client log", f"Warning:A client's log cannot be kept: {error}"
            )
            code = ResultCode.DISKSPACELIMITED
        if code != ResultCode.SUCCESS:
            self.refused += 1
            self._give_up(client)
        return code

    def _take(self, client: _Client, part: LogPart) -> ResultCode:
        if part.offset == 0:
            self._give_up(client)
            code = self._start(client, part)
            if code != ResultCode.SUCCESS:
                return code
        upload = client.upload
        if upload is None or (part.offset, part.length) != (
            upload.taken,
            upload.length,
        ):
            return ResultCode.FUNCOPTERROR
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(upload.part, flags)
        with os.fdopen(descriptor, "wb") as file:
            file.write(part.data)
        upload.taken += len(part.data)
        upload.heard = self._now()
        self._uploading[client] = self._uploading.pop(client)
        if upload.taken == upload.length:
            os.rename(upload.part, upload.path)
            self._forget(client)
            self._kept += _cost(upload.length)
            self.complete += 1
        return ResultCode.SUCCESS

    def _start(self, client: _Client, part: LogPart) -> ResultCode:
        if part.length > MAX_LOG:
            return ResultCode.OVERFLOW
        now = self._now()
        if client.logs >= MOST_LOGS or not self._may_open(now):
            return ResultCode.NOENOUGHRESOURCE
        if f"{now:%Y-%m-%d}" != self._today:
            self._today = f"{now:%Y-%m-%d}"
            self._of_address.clear()
        cost = _cost(part.length)
        if self._of_address[client.address] + cost > self._share:
            return ResultCode.DISKSPACELIMITED
        if not self._make_room(cost, now):
            return ResultCode.DISKSPACELIMITED
        self._of_address[client.address] += cost
        directory = self._root / f"{now:%Y-%m-%d}"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An address is no name: it may have a scope, and has colons.
        address = re.sub(r"[^0-9a-fA-F.]", "-", client.address)
        stem = f"{now:%H-%M-%S}-u{client.user_id}-{address}"
        path, number = directory / f"{stem}.log", 1
        while path.exists() or path.with_suffix(".part").exists():
            number += 1
            path = directory / f"{stem}-{number}.log"
        part_path = path.with_suffix(".part")
        os.close(os.open(part_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        client.upload = _Upload(part_path, path, part.length, now)
        client.logs += 1
        self._uploading[client] = None
        self._coming += cost
        return ResultCode.SUCCESS

    def _may_open(self, now: datetime) -> bool:
        """Whether one more may come; one that stands still gives way."""
        if len(self._uploading) < MOST_OPEN:
            return True
        quietest = next(iter(self._uploading))
        assert quietest.upload is not None
        if (now - quietest.upload.heard).total_seconds() < PATIENCE:
            return False
        self._give_up(quietest)
        return True

    def _give_up(self, client: _Client) -> None:
        upload = client.upload
        if upload is not None:
            self._forget(client)
            with suppress(OSError):
                upload.part.unlink()

    def _forget(self, client: _Client) -> None:
        """Nothing more comes of its log."""
        assert client.upload is not None
        self._coming -= _cost(client.upload.length)
        client.upload = None
        del self._uploading[client]

    # Room.

    def _make_room(self, cost: int, now: datetime) -> bool:
        """Whether so many bytes more may be kept, once older days have gone."""
        most = self._most - self._coming - cost
        # Somebody may have tidied up since they were counted.
        if self._counted is None or (
            self._kept > most and (now - self._counted).total_seconds() >= _LOOK
        ):
            self._kept = sum(_size(day) for day in self._days())
            self._counted = now
        if self._kept > most:
            for day in self._days():
                if self._kept <= most or day.name >= f"{now:%Y-%m-%d}":
                    break
                freed = _size(day)
                shutil.rmtree(day)
                self._kept -= freed
        return self._kept <= most

    def _days(self) -> list[Path]:
        """The directories of days, oldest first; nothing else is touched."""
        try:
            found = [
                entry
                for entry in self._root.iterdir()
                if _DAY.fullmatch(entry.name)
                and entry.is_dir()
                and not entry.is_symlink()
            ]
        except FileNotFoundError:
            return []
        return sorted(found)


def _size(directory: Path) -> int:
    """What the logs of a day cost."""
    size = 0
    for entry in os.scandir(directory):
        with suppress(FileNotFoundError):
            size += _cost(entry.stat(follow_symlinks=False).st_size)
    return size


def _cost(length: int) -> int:
    """What a file of that length counts for."""
    return max(length, BLOCK)
