"""``anychat-business``, see ``anychat-business --help``.

What it is made of takes a moment to import, so that `main` imports it.
"""

import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from anychat.coreserver import fill_standard_descriptors


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script.

    :param argv: default: the process's own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the server runs Ctrl-C ends the process without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    fill_standard_descriptors()
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that the terminal has no letters for is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    from anychat.business.sample.console import run_command

    sys.exit(run_command(argv))
