"""What a business server logs, on standard output."""

import sys
from typing import TextIO

from twisted.logger import FileLogObserver, LogEvent, globalLogBeginner

from anychat.log import console_line, shown, traceback_lines


def begin_logging(output: TextIO) -> None:
    """Print what the business server logs, and faults of whatever else there is.

    Tracebacks follow their lines.
    """

    def lines(event: LogEvent) -> str | None:
        return console_line(event) + traceback_lines(event) if shown(event) else None

    globalLogBeginner.beginLoggingTo(
        [FileLogObserver(output, lines)], redirectStandardIO=False
    )


def begin_default_logging() -> None:
    """The same on standard output, in a program that has not begun to log."""
    # Until then Twisted keeps its events there; it has no other way to say so.
    if getattr(globalLogBeginner, "_temporaryObserver", None) is not None:
        begin_logging(sys.stdout)
