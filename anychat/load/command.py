"""``anychat-load``: load a server and measure it, see ``anychat-load --help``.

What it is made of takes most of a second to import, so that `main` imports it.
"""

import os
import signal
import sys

from anychat.client.command import fill_standard_streams


def main() -> None:
    """The console script."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the reactor runs ctrl-C ends the program without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    fill_standard_streams()
    from twisted.internet import reactor

    from anychat.load.run import run

    sys.exit(run(sys.argv[1:], os.environ, reactor, sys.stdout, sys.stderr))


if __name__ == "__main__":
    main()
