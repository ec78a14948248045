"""Tests; run as ``python -m twisted.trial test``."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in its background, and the programs that are
    # tested would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
