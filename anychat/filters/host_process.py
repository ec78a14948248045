"""The server's end of the host of a compiled plug-in (`anychat.filters.host`)."""

import os
import sys
from collections.abc import Callable
from signal import Signals
from typing import Any, Protocol

from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from anychat.errors import PeerError
from anychat.filters.host_wire import Report, decode_report
from anychat.filters.texts import text_of
from anychat.protocols.boxes import BoxReader

#: Bytes of a line that a plug-in prints.
MAX_LINE = 500
#: Lines of a plug-in that are logged in each interval of so many seconds.
LINES, INTERVAL = 50, 10.0
#: Seconds between the end of the process and that of its streams.  A program
#: that the plug-in has started may hold these open for as long as it likes.
STREAMS_TIME = 0.5

_CHILD_DESCRIPTORS = {0: "w", 1: "r", 2: "r"}


class HostOwner(Protocol):
    """Who is told about a host."""

    def host_reports(self, host: "HostProcess", report: Report) -> None:
        """It says something.

        :raises PeerError: something that cannot be.
        """

    def host_fails(self, host: "HostProcess", reason: str) -> None:
        """It is not understood; nothing that it says comes any more."""

    def host_gone(self, host: "HostProcess", how: str) -> None:
        """The process has ended."""


class HostProcess(ProcessProtocol):
    """One process with the plug-in.

    :param says: takes what the plug-in prints, line by line.
    """

    transport: Any

    def __init__(self, owner: HostOwner, reactor: Any, says: Callable[[str], None]):
        self._owner = owner
        self._reactor = reactor
        self._reader = BoxReader()
        self._speech = Speech(says, reactor.seconds)
        self._failed = False
        self._late: Any = None

    def start(self, library: str) -> None:
        """Start the process.

        :raises OSError: the system has no room for it.
        """
        # The same modules as here, wherever they are, and none of those that
        # happen to lie in the directory of the server.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [
                *(sys.executable, "-P", "-m", "anychat.filters.host"),
                *(library, str(os.getpid())),
            ],
            env={**os.environ, "PYTHONPATH": path},
            childFDs=_CHILD_DESCRIPTORS,
        )

    def write(self, data: bytes) -> None:
        """Send it something."""
        self.transport.write(data)

    def end(self) -> None:
        """Have it end when it is done with what it was sent."""
        self.transport.closeStdin()

    def kill(self) -> None:
        """End it now."""
        if self.transport.pid is not None:
            self.transport.signalProcess("KILL")

    # What the reactor calls.

    def outReceived(self, data: bytes) -> None:
        """The host says something."""
        if self._failed:
            return
        try:
            for box in self._reader.receive(data):
                self._owner.host_reports(self, decode_report(box))
        except PeerError as error:
            self._failed = True
            self._owner.host_fails(self, error.reason)

    def errReceived(self, data: bytes) -> None:
        """The plug-in prints something."""
        self._speech.receive(data)

    def processExited(self, reason: Failure) -> None:
        """The process is gone; what it said may be on its way yet."""
        self._late = self._reactor.callLater(
            STREAMS_TIME, self.transport.loseConnection
        )

    def processEnded(self, reason: Failure) -> None:
        """Everything is over."""
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._speech.end()
        error: Any = reason.value
        if error.signal is not None:
            how = f"crashed ({signal_name(error.signal)})"
        else:
            how = f"ended by itself (exit code {error.exitCode})"
        self._owner.host_gone(self, how)


def signal_name(number: int) -> str:
    """What a signal is called."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


class Speech:
    """Lines that a plug-in prints, so few that they cannot fill a disk.

    :param says: takes the lines.
    """

    def __init__(self, says: Callable[[str], None], seconds: Callable[[], float]):
        self._says = says
        self._seconds = seconds
        self._begun = b""
        self._overlong = False
        self._since = float("-inf")
        self._count = self._held = 0

    def receive(self, data: bytes) -> None:
        """Some bytes."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self._finish()
        self._add(rest)

    def end(self) -> None:
        """There is no more."""
        if self._begun:
            self._finish()
        self._tell_held()

    def _add(self, part: bytes) -> None:
        room = MAX_LINE - len(self._begun)
        self._begun += part[:room]
        self._overlong |= len(part) > room

    def _finish(self) -> None:
        line, self._begun = self._begun.rstrip(b"\r"), b""
        overlong, self._overlong = self._overlong, False
        if not line:
            return
        now = self._seconds()
        if now - self._since >= INTERVAL:
            self._tell_held()
            self._since, self._count = now, 0
        if self._count >= LINES:
            self._held += 1
            return
        self._count += 1
        self._says(text_of(line) + ("..." if overlong else ""))

    def _tell_held(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._says(f"({held} more lines)")
