"""What a program in the foreground owes its terminal and its signals."""

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes of a typed line that are looked at.
MAX_LINE = 1024


@implementer(IReadDescriptor)
class QuitKey:
    """Waits for ``q`` and Enter on standard input.

    The end of the input is no wish to quit: a service has none from the start.
    """

    def __init__(
        self, reactor: Any, quit: Callable[[], object], descriptor: int = 0
    ) -> None:
        """
        :param quit: called once.
        """
        self._reactor = reactor
        self._quit = quit
        self._descriptor = descriptor
        self._line = b""

    def start(self) -> None:
        """Begin to wait."""
        # A server that was put in the background reads no terminal: with the
        # signal ignored, reading fails instead of stopping the process.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._reactor.addReader(self)

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return self._descriptor

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "terminal"

    def doRead(self) -> None:
        """Take what was typed."""
        # The descriptor stays in blocking mode, which it shares with the
        # shell; there is something to read, so this does not wait.
        try:
            data = os.read(self._descriptor, MAX_LINE)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""
        if not data:
            self._reactor.removeReader(self)
            return
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:MAX_LINE]
        if any(line.strip().lower() == b"q" for line in lines):
            self._reactor.removeReader(self)
            self._quit()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody can type any more; the server goes on."""


def end_with_terminal(reactor: Any) -> None:
    """Make a closed terminal an end in good order, unless nohup was asked for."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(
            signal.SIGHUP, lambda number, frame: reactor.callFromThread(reactor.stop)
        )


def leave_interrupt_to_reactor() -> None:
    """Let the reactor have Ctrl-C, which it takes over from Python only."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
