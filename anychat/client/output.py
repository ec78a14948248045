"""What ``anychat-client`` prints: JSON for programs, lines for people.

With ``--json`` every event of `ClientEvents` is an object on a line of its
own: ``event`` is the event's name without ``on_``, ``at`` seconds since the
start, and the rest are the event's arguments by their names.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from enum import IntEnum
from typing import Any, TextIO

from anychat.client.events import ClientEvents
from anychat.client.log import printable
from anychat.client.summary import user_line
from anychat.client.trust import address_text
from anychat.codes import BUSINESS_SERVER, ResultCode, StreamKind, VideoCallEvent
from anychat.errors import Refused
from anychat.messages import Member

#: Events and the names of their arguments; decoded frames are not printed.
EVENTS = {
    name: tuple(inspect.signature(getattr(ClientEvents, name)).parameters)[1:]
    for name in dir(ClientEvents)
    if name.startswith("on_") and not name.endswith("_frame")
}


def code_text(code: ResultCode) -> str:
    """Number, name and meaning of a code."""
    return f"{code.value} {code.name} ({code.text})"


def explained(error: Refused, address: tuple[str, int]) -> str:
    """Number, name and meaning of a failure, with what more is known of it."""
    text = f"{address_text(*address)}: {code_text(error.code)}"
    return f"{text}: {error.reason}" if error.reason else text


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, StreamKind):
        return value.name.lower()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(item) for name, item in asdict(value).items()}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class Output:
    """Where everything is printed.

    :param failed: called once when nothing can be printed any more.
    """

    def __init__(
        self,
        stream: TextIO,
        as_json: bool,
        seconds: Callable[[], float],
        failed: Callable[[], None] = lambda: None,
    ):
        self._stream = stream
        self._as_json = as_json
        self._seconds = seconds
        self._start = seconds()
        self._failed = failed
        self._names: dict[int, str] = {}
        self.broken = False
        """Whether nothing can be printed any more."""
        self.error = ""
        """Why not; empty where the reader of a pipe has gone, which is his right."""

    def event(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Print an event of `ClientEvents`."""
        if self._as_json:
            named = zip(EVENTS[name], arguments, strict=True)
            values = {key: _plain(value) for key, value in named}
            for value in arguments:
                if isinstance(value, ResultCode):
                    values["name"] = value.name
            self.object(name.removeprefix("on_"), values)
            return
        text = self._text(name, arguments)
        if text is not None:
            self.line(text)

    def object(self, event: str, values: dict[str, Any]) -> None:
        """Print a JSON object."""
        at = round(self._seconds() - self._start, 3)
        self._write(json.dumps({"event": event, "at": at, **_plain(values)}))

    def line(self, text: str) -> None:
        """Print a line for people."""
        self._write(printable(text))

    def file_refused(self, source: int, file_name: str, length: int) -> None:
        """Print that a file was not taken, as nobody has asked for files."""
        if self._as_json:
            values = {"source": source, "file_name": file_name, "length": length}
            self.object("file_refused", values)
        else:
            self.line(
                f"{self._user(source)}: file {file_name} of {length} bytes refused; "
                "--accept-files DIR takes files"
            )

    def summary(self, values: dict[str, Any]) -> None:
        """Print what was received."""
        if self._as_json:
            self.object("summary", values)
            return
        for user in values["watched"]:
            self.line(user_line(user))

    def _write(self, text: str) -> None:
        if self.broken:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            # The reader of the pipe has gone, or the disk is full.
            self.broken = True
            if not isinstance(error, BrokenPipeError):
                self.error = getattr(error, "strerror", None) or str(error)
            self._failed()

    # For people.

    def know(self, members: dict[int, Member]) -> None:
        """Remember names of users."""
        for member in members.values():
            self._names[member.user_id] = member.nickname

    def _user(self, user_id: int) -> str:
        if user_id == BUSINESS_SERVER:
            return "business server"
        name = self._names.get(user_id)
        return f"user {user_id}" if name is None else f"{name} ({user_id})"

    def _text(self, name: str, values: tuple[Any, ...]) -> str | None:
        texts: dict[str, Callable[..., str | None]] = {
            "on_connect": lambda code: None if code else "connected",
            "on_login_system": lambda user_id, code: (
                None if code else f"logged in, own id {user_id}"
            ),
            "on_enter_room": lambda room_id, code: None,
            "on_leave_room": lambda room_id: f"left room {room_id}",
            "on_online_user": lambda count, room_id: (
                f"entered room {room_id}, {count} online"
            ),
            "on_user_at_room": self._user_at_room,
            "on_camera_state": lambda user_id, index, open: (
                f"{self._user(user_id)}: camera {index} {_open(open)}"
            ),
            "on_mic_state_change": lambda user_id, index, open: (
                f"{self._user(user_id)}: microphone {index} {_open(open)}"
            ),
            "on_text_message": lambda source, target, secret, text: (
                f"{self._user(source)}{' (secretly)' if secret else ''}: {text}"
            ),
            "on_trans_buffer": lambda source, data: (
                f"{self._user(source)}: buffer of {len(data)} bytes"
            ),
            "on_trans_buffer_ex": lambda source, data, *_: (
                f"{self._user(source)}: big buffer of {len(data)} bytes"
            ),
            "on_trans_file": lambda source, name, path, length, *_: (
                f"{self._user(source)}: file {name} of {length} bytes is {path}"
            ),
            "on_trans_file_ex": lambda source, code, name, path, length, *_: (
                f"{self._user(source)}: file {name}: {code_text(code)}"
                if code
                else f"{self._user(source)}: file {name} of {length} bytes is {path}"
            ),
            "on_user_info_update": lambda user_id, kind: (
                f"information about {self._user(user_id)} has changed"
                if user_id
                else "information, groups and friends are there"
            ),
            "on_friend_status": lambda user_id, online: (
                f"friend {self._user(user_id)} {'signed in' if online else 'is gone'}"
            ),
            "on_user_info_control": lambda source, code, wparam, lparam, text: (
                f"{self._user(source)}: control code {code}, {wparam}, {lparam}: {text}"
            ),
            "on_sdk_filter_data": lambda data: f"filter data of {len(data)} bytes",
            "on_video_call_event": self._video_call,
            "on_stream_granted": lambda user_id, kind, index: (
                f"watching {kind.name.lower()} {index} of {self._user(user_id)}"
            ),
            "on_stream_ended": lambda user_id, kind, index: (
                f"end of {kind.name.lower()} {index} of {self._user(user_id)}"
            ),
            "on_publish_end": lambda index: f"source {index} is at its end",
            "on_server_config_update": lambda parameters: "server parameters changed",
            "on_sdk_warning": lambda code: f"warning: {code_text(code)}",
            "on_session_keep": _session_keep,
            "on_link_close": lambda code: f"connection closed: {code_text(code)}",
        }
        return texts[name](*values)

    def _video_call(
        self,
        event: VideoCallEvent,
        user_id: int,
        error: ResultCode,
        flags: int,
        param: int,
        text: str,
    ) -> str:
        user = self._user(user_id)
        said = f": {text}" if text else ""
        why = f" ({code_text(error)})" if error else ""
        if event is VideoCallEvent.REQUEST:
            return f"{user} calls{said}"
        if event is VideoCallEvent.START:
            return f"call with {user} starts in room {param}{said}"
        if event is VideoCallEvent.FINISH:
            return f"call with {user} is over{why}{said}"
        return f"no call with {user}{why}{said}" if error else f"it rings at {user}"

    def _user_at_room(self, member: Member, entered: bool) -> str:
        self._names[member.user_id] = member.nickname
        return f"{self._user(member.user_id)} {'entered' if entered else 'left'}"


def _open(open: bool) -> str:
    return "open" if open else "closed"


def _session_keep(ended: bool, code: ResultCode) -> str:
    if not ended:
        return f"connection lost ({code_text(code)}), reconnecting"
    if code == ResultCode.SESSIONNOTEXIST:
        return "reconnected, logging in anew"
    return f"reconnecting failed: {code_text(code)}" if code else "reconnected"
