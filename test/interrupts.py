"""Ctrl-C for programs under test."""

import signal


def take_interrupts(case):
    """Let child processes of a test end at SIGINT, wherever the tests run.

    In a shell's background it is ignored, which children would inherit.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        case.addCleanup(signal.signal, signal.SIGINT, handler)


def interrupted(module):
    """A program that runs ``main`` of a module, and presses Ctrl-C as soon as
    Twisted is imported."""
    return f"""
import os, signal, sys

class Finder:
    def find_spec(self, name, *rest):
        if name == "twisted":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from {module} import main
main()
"""
