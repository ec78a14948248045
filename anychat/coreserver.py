"""``anychatcoreserver``, see ``anychatcoreserver --help``.

What it is made of takes a moment to import, so that `main` imports it.
"""

import os
import signal
from collections.abc import Sequence
from typing import Any


def fill_standard_descriptors() -> None:
    """Put /dev/null where standard input, output or error is closed.

    Else the next file or socket would take the place, and be written to as if
    it were the terminal.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def main(
    argv: Sequence[str] | None = None, reactor: Any = None, build: Any = None
) -> None:
    """Entry point of the console script.

    :param argv: default: the process's own.
    :param reactor: default: the global one.
    :param build: an `anychat.tap.Build`; default: that of the whole server.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the server runs Ctrl-C ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    fill_standard_descriptors()
    from anychat.run import run_command

    run_command(argv, reactor, build)
