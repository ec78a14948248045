"""A whole program around a `BusinessServer`.

::

    if __name__ == "__main__":
        sys.exit(run(Shop))
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anychat.business.output import begin_logging
from anychat.business.server import BusinessServer
from anychat.business.settings import Settings, load
from anychat.errors import ConfigError


def run(
    make: Callable[[Any, Settings], BusinessServer], path: Path | str | None = None
) -> int:
    """Read the settings, run the business server until ctrl-C or SIGTERM.

    What happens is printed on standard output, faults of the program's code with
    their tracebacks.

    :param make: a subclass of `BusinessServer`, or whatever makes one of the
        reactor and the settings.
    :param path: the settings; default: AnyChatServerSDK.ini in the working
        directory, which may be missing.
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
