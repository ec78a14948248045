"""``anychat-client``: a console client, see ``anychat-client --help``.

What it is made of takes most of a second to import, so that `main` imports it.
"""

import os
import signal
import sys


def fill_standard_streams() -> None:
    """Put /dev/null where standard input, output or error is closed.

    Else the next file or socket would take the place; and Python has no
    stream for what was closed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # In this order each gets the number that is its own.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def main() -> None:
    """The console script."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the reactor runs ctrl-C ends the program without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    fill_standard_streams()
    from twisted.internet import reactor

    from anychat.client.run import run

    sys.exit(run(sys.argv[1:], os.environ, reactor, sys.stdout, sys.stderr))


if __name__ == "__main__":
    main()
