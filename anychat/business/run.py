"""A whole program around a `BusinessServer`.

::

    if __name__ == "__main__":
        sys.exit(run(Shop))
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from twisted.logger import FileLogObserver, LogEvent, globalLogBeginner

from anychat.business.server import BusinessServer
from anychat.business.settings import FILE_NAME, Settings, load
from anychat.errors import ConfigError
from anychat.log import console_line, file_line, shown


def run(
    make: Callable[[Any, Settings], BusinessServer], path: Path | str = FILE_NAME
) -> int:
    """Read the settings, run the business server until ctrl-C or SIGTERM.

    What happens is printed on standard output, faults of the program's code with
    their tracebacks.

    :param make: a subclass of `BusinessServer`, or whatever makes one of the
        reactor and the settings.
    :return: an exit code: 0, or 2 where the settings cannot be used, which is
        told on standard error.
    """
    from twisted.internet import reactor

    begin_logging(sys.stdout)
    try:
        server = make(reactor, load(path))
        server.startService()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    reactor.run()
    return 0


def begin_logging(output: TextIO) -> None:
    """Print what the business server logs, and faults of whatever else there is."""

    def line(event: LogEvent) -> str | None:
        if not shown(event):
            return None
        return file_line(event) if "log_failure" in event else console_line(event)

    globalLogBeginner.beginLoggingTo(
        [FileLogObserver(output, line)], redirectStandardIO=False
    )
