"""The server's log: AnyChatCoreServer.log and the console, in the product's format.

========  ================================================
file      ``[YYYY-MM-DD HH:MM:SS(ms)]<tab>text``
console   ``HH:MM:SS(ms)<tab>text``
========  ================================================

The server writes through a `Log`, which emits events of twisted.logger; the
observers here turn them into lines.  What comes from elsewhere (Twisted's own
events, warnings of libraries) is shown from level "warn" on.  Tracebacks go to
the file only.

Nothing here looks for secrets to take out: whoever calls the log passes none.
Text of peers (names, agents) is made harmless, so that nobody can forge a line
or send the operator's terminal an escape sequence.

Logging never fails the server: a disk that is full or a console that does not
take its lines costs lines, which are counted.
"""

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes after which a file is set aside.
MAX_FILE_SIZE = 10 << 20
#: How many files that were set aside are kept: ``.log.1`` (newest) to ``.log.5``.
KEPT_FILES = 5
#: Characters of one line's text; what is longer is cut.
MAX_TEXT = 2000
#: Characters of one traceback; the end, which says most, is kept.
MAX_TRACEBACK = 20_000
#: Seconds between attempts to open a file that could not be written.
RETRY_PAUSE = 1.0

#: Namespace of the server's own events.
NAMESPACE = "anychat"

_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x2028, 0x2029),
    # These reorder what stands around them.
    *(0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
)
_ESCAPES = {
    code: f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}" for code in _CONTROLS
}


class Log:
    """What the server writes its log through.

    Called with a text it logs a line; so it can be handed to whoever wants a
    ``Callable[[str], None]``.
    """

    def __init__(self, observer: ILogObserver = globalLogPublisher) -> None:
        self._logger = Logger(namespace=NAMESPACE, observer=observer)

    def __call__(self, text: str) -> None:
        """Log a line."""
        self._logger.info("{text}", text=text)

    def failure(self, text: str, failure: Failure | None = None) -> None:
        """Log a line that a traceback follows, in the file.

        :param failure: default: the exception that is being handled.
        """
        self._logger.failure("{text}", failure, text=text)


def harmless(text: str) -> str:
    """One line that does nothing but be read, of at most `MAX_TEXT` characters."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "..."
    return text.translate(_ESCAPES)


def shown(event: LogEvent) -> bool:
    """Whether an event belongs into this server's log."""
    namespace = event.get("log_namespace") or ""
    if namespace.partition(".")[0] == NAMESPACE:
        lowest = LogLevel.info
    else:
        lowest = LogLevel.warn
    level: LogLevel = event.get("log_level") or LogLevel.info
    return bool(level >= lowest)


def _failure(event: LogEvent) -> Failure | None:
    # Events of the older twisted.python.log have it at another place.
    failure = event.get("log_failure") or event.get("failure")
    return failure if isinstance(failure, Failure) else None


def _text(event: LogEvent) -> str:
    failure = _failure(event)
    if "log_failure" in event or failure is None:
        text = formatEvent(event)
    else:
        # The text of such an event is the whole traceback.
        text = event.get("why") or "Unhandled Error"
    if failure is not None:
        text = f"{text}: {failure.type.__name__}: {failure.getErrorMessage()}"
    return harmless(text)


def traceback_lines(event: LogEvent) -> str:
    """The indented lines of an event's traceback, if it has one."""
    failure = _failure(event)
    if failure is None:
        return ""
    traceback = failure.getTraceback()[-MAX_TRACEBACK:]
    return "".join(f"\t{harmless(line)}\n" for line in traceback.splitlines())


def file_line(event: LogEvent) -> str:
    """The line of an event, and the indented lines of its traceback."""
    when = datetime.fromtimestamp(event["log_time"])
    stamp = f"{when:%Y-%m-%d %H:%M:%S}({when.microsecond // 1000})"
    return f"[{stamp}]\t{_text(event)}\n{traceback_lines(event)}"


def console_line(event: LogEvent) -> str:
    """The line of an event at the terminal."""
    when = datetime.fromtimestamp(event["log_time"])
    return f"{when:%H:%M:%S}({when.microsecond // 1000})\t{_text(event)}\n"


class LogFile:
    """A file that lines are appended to and that is set aside when it is full.

    Made without touching the disk.  Lines that cannot be written are counted
    in `dropped`; when writing works again, a line tells how many they were.
    A file that somebody removed or renamed is made anew.
    """

    def __init__(
        self,
        path: Path,
        maximum: int = MAX_FILE_SIZE,
        kept: int = KEPT_FILES,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.dropped = 0
        """Lines that were lost since the start."""
        self._maximum = maximum
        self._kept = kept
        self._seconds = seconds
        self._file: int | None = None
        self._size = 0
        self._checked = float("-inf")
        """When the path was last looked at, by `seconds`."""
        self._gap = 0
        """Lines lost since the last one that was written."""
        self._torn = False
        """The last line was written in part only."""

    def write(self, line: str, stamp: str = "") -> None:
        """Append a line, which ends in a newline; never raises.

        :param stamp: how a line about lost lines begins.
        """
        try:
            self._ensure_open()
            if self._gap:
                self._append(f"{stamp}Lines that could not be written: {self._gap}\n")
                self._gap = 0
            self._append(line)
        except OSError:
            self.dropped += 1
            self._gap += 1
            self.close()

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _ensure_open(self) -> None:
        now = self._seconds()
        if now - self._checked < RETRY_PAUSE:
            if self._file is None:
                raise OSError("not yet tried again")
            return
        self._checked = now
        if self._file is not None and not self._in_place():
            self.close()
        if self._file is None:
            self._open()

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file or 0))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self._file = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640
        )
        self._size = os.fstat(self._file).st_size

    def _append(self, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace")
        if self._size + len(data) > self._maximum and self._size:
            self._rotate()
        if self._torn:
            data = b"\n" + data
        assert self._file is not None
        written = os.write(self._file, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError("no room for the whole line")

    def _rotate(self) -> None:
        """Set the file aside; go on with it where that is not allowed."""
        try:
            for number in range(self._kept - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            os.replace(self.path, f"{self.path}.1")
        except OSError:
            self._size = 0
            return
        self.close()
        self._torn = False
        self._open()


@implementer(ILogObserver)
class FileObserver:
    """Writes events to a `LogFile`."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        """Write the event if it belongs into the log."""
        if shown(event):
            line = file_line(event)
            self._file.write(line, line[: line.index("\t") + 1])


@implementer(ILogObserver)
class ConsoleObserver:
    """Writes events to a terminal, or to whatever standard output is.

    A terminal that is stopped (Ctrl-S) and a pipe that nobody reads would make
    a write wait, and the whole server with it: there the line is left out.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def __call__(self, event: LogEvent) -> None:
        """Show the event if it belongs into the log."""
        if shown(event):
            self.write(console_line(event))

    def write(self, line: str) -> None:
        """Show a line, which ends in a newline; never raises."""
        data = line.encode("utf-8", "backslashreplace")
        if len(data) > select.PIPE_BUF:
            # A pipe that is ready for writing has room for so many bytes.
            data = data[: select.PIPE_BUF - 1] + b"\n"
        with suppress(OSError):
            if any(events & select.POLLOUT for _, events in self._poll.poll(0)):
                os.write(self._descriptor, data)
