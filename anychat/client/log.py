"""The client's own log, ``BRAnyChatCore.log``, with the product's lines.

A line is ``[YYYY-MM-DD HH:MM:SS(ms)]``, a tab, and the text, in UTF-8.  When
the file would pass its bound it becomes ``NAME.1`` (replacing the last one)
and a new one begins, so that the two never take more than twice the bound.
A disk that is full or a directory that may not be written to costs lines,
never the call.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime

from anychat.codes import ResultCode
from anychat.messages import ServerHello, VideoCallNotice

#: Name of the log in the client's working directory.
LOG_NAME = "BRAnyChatCore.log"

#: Characters of one line; what a peer sent must not fill the log.
MAX_LINE = 1000


def printable(text: str) -> str:
    """The text in one line: what would end a line or hide one is escaped."""
    return "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}"
        for character in text[:MAX_LINE]
    )


class ClientLog:
    """A bounded file of dated lines."""

    def __init__(
        self,
        path: str | None = LOG_NAME,
        maximum: int = 1 << 20,
        wall_clock: Callable[[], float] = time.time,
    ):
        """``path`` None writes nothing; ``maximum`` is bytes a file."""
        self._path = path
        self._maximum = maximum
        self._wall_clock = wall_clock
        self.dropped = 0
        """Lines that could not be written."""
        self.on_failure: Callable[[OSError], None] | None = None
        """Called with what kept the first of them from being written."""

    @property
    def path(self) -> str | None:
        """Where it is; None for none."""
        return self._path

    def __call__(self, text: str) -> None:
        """Write one line."""
        if self._path is None:
            return
        now = datetime.fromtimestamp(self._wall_clock())
        stamp = f"{now:%Y-%m-%d %H:%M:%S}({now.microsecond // 1000})"
        data = f"[{stamp}]\t{printable(text)}\n".encode(errors="backslashreplace")
        try:
            self._append(self._path, data)
        except OSError as error:
            self.dropped += 1
            if self.dropped == 1 and self.on_failure is not None:
                self.on_failure(error)

    def _append(self, path: str, data: bytes) -> None:
        # Opened anew for each line: a dozen lines a session are no load, and
        # several clients of one program may share the file.
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            size = 0
        if size and size + len(data) > self._maximum:
            os.replace(path, path + ".1")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


# The product's lines, word for word (facts 6.2).


def server_version_line(hello: ServerHello) -> str:
    """Version, build and system of the server."""
    return (
        f"Server version: V{hello.server_version}(Build Time:{hello.build_time}, "
        f"Server OS:{hello.operating_system})"
    )


def server_running_line(hello: ServerHello) -> str:
    """How long the server has been up, and under which licence mode."""
    minutes = hello.uptime // 60
    return (
        f"Server running time: {minutes // 1440} days, {minutes // 60 % 24} hours, "
        f"{minutes % 60} minutes, license mode:{hello.licence_mode}"
    )


def connect_line(code: ResultCode) -> str:
    """The end of a connect."""
    return f"Message OnConnect({int(code == 0)}, {code.value})"


def login_line(user_id: int, code: ResultCode, name: str) -> str:
    """The end of a login."""
    return f"Message OnLoginSystem({user_id}, {code.value}, {name})"


def enter_room_line(room_id: int, code: ResultCode) -> str:
    """The end of an entry; the site index is 0 without a cluster."""
    return f"Message OnEnterRoom({room_id}, {code.value}, 0)"


def online_user_line(count: int, room_id: int) -> str:
    """The number of people in the room."""
    return f"Message OnReceiveOnlineUser({count}, {room_id})"


def video_call_line(notice: VideoCallNotice) -> str:
    """What happens to a call; without the text, which is the application's."""
    return (
        f"Message OnVideoCallEvent({notice.event.value}, {notice.user_id}, "
        f"{notice.error.value}, {notice.flags:#x}, {notice.param})"
    )


def udp_line(delay: float | None) -> str:
    """UDP works, with its round trip in seconds."""
    return (
        "Connection to streaming media server successfully!"
        f"(udp delay:{round((delay or 0.0) * 1000)}ms)"
    )


#: UDP does not work.
UDP_ABNORMAL = "Warning: The UDP communication with the server abnormal!"
#: And media goes another way until it does.
MEDIA_OVER_TCP = "Media goes over TCP until UDP reaches the server."
