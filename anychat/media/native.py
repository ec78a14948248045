"""The native relay: the compiled forwarder with its sockets and threads.

Importing this fails where the extension was not built.  Each thread has a socket
of every interface (SO_REUSEPORT shares the port out among them, flow by flow), an
epoll that watches them, and an eventfd by which Python wakes it.  What the
threads put aside for Python they tell by one more eventfd, the bell, which the
reactor reads.

**The bell under load.**  To wake the reactor costs several times what a
keep-alive takes.  So a bell that rings often is left silent, and Python looks by
a timer, every `PAUSE` seconds, until it finds nothing.  What comes alone is
seen to at once; of many, each waits half a pause on average.  When a datagram
came is noted before it waits.
"""

import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.media._relay import Forwarder, short_slice
from anychat.media.counters import PortCounters
from anychat.media.path import Path
from anychat.media.port import MediaSockets, PortSettings, Reactor
from anychat.media.source_limit import LIMIT, SourceLimit

#: A short scheduler slice, nanoseconds: who has one runs soon when he wakes.
SLICE = 100_000
#: Seconds between two looks while the bell rings more often than that.
PAUSE = 0.01
#: Seconds that the threads may take to begin.
BEGINNING = 10.0
#: What the system sends a thread for its own fault.
CRASHES = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
}


class _Thread:
    """One lane's thread, and what wakes it.

    :param lane: its number.
    :param sockets: file descriptors.
    """

    def __init__(self, forwarder: Forwarder, lane: int, sockets: list[int]) -> None:
        self._forwarder = forwarder
        self._lane = lane
        self._begun = threading.Event()
        # Whoever has it first decides: the thread, to run, or who waits for
        # it, to give it up.
        self._decision = threading.Lock()
        self._thread: threading.Thread | None = None
        self.has_slice = False
        self._epoll = select.epoll()
        try:
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            self._epoll.close()
            raise
        try:
            for fd in (self._wake, *sockets):
                self._epoll.register(fd, select.EPOLLIN)
        except BaseException:
            self._close()
            raise

    def start(self, coalesce: int, wants_slice: bool) -> None:
        """Begin to forward.

        :raise TimeoutError: it does not begin; it never will then.
        """
        self._forwarder.start(self._lane)
        # A daemon, so that a process that ends without `stop` does end.
        thread = threading.Thread(
            target=self._run,
            args=(coalesce, wants_slice),
            name=f"media {self._lane}",
            daemon=True,
        )
        thread.start()
        self._thread = thread
        if not self._begun.wait(BEGINNING) and self._decision.acquire(blocking=False):
            self._thread = None
            raise TimeoutError(
                f"media thread {self._lane} did not begin in {BEGINNING:g} seconds"
            )

    def _run(self, coalesce: int, wants_slice: bool) -> None:
        # Signals are the reactor's.
        # A crash of this very thread is not: it must be seen.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - CRASHES)
        self.has_slice = wants_slice and short_slice(SLICE)
        if not self._decision.acquire(blocking=False):
            return
        self._begun.set()
        self._forwarder.run(self._lane, self._epoll.fileno(), self._wake, coalesce)

    def wake(self) -> None:
        """There is something to do."""
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """End, and wait for it: no longer than a batch takes."""
        if self._thread is not None:
            self._forwarder.stop(self._lane)
            self.wake()
            self._thread.join()
        self._forwarder.stopped(self._lane)
        self._close()

    def _close(self) -> None:
        self._epoll.close()
        os.close(self._wake)


@implementer(IReadDescriptor)
class _Bell:
    """The eventfd that tells of what was put aside."""

    def __init__(self, rung: Callable[[], None]) -> None:
        self._rung = rung
        self.number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return self.number

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "media"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops the descriptor; the relay closes it itself."""

    def doRead(self) -> None:
        """It rang."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.number)
        self._rung()


@implementer(IReadDescriptor)
class _Turn:
    """A socket that is read in the reactor's thread."""

    def __init__(self, fd: int, read: Callable[[], None]) -> None:
        self._fd = fd
        self.doRead = read

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return self._fd

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "media"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops the descriptor; the relay closes it itself."""


class NativeRelay:
    """See `relay.Relay`.

    :param received: called when something was put aside.
    :param threads: how many; 0: the reactor's own (for tests).
    :param coalesce: microseconds to wait for more packets after each batch.
    :param short_slice: ask for a short scheduler slice for the threads.
    """

    _failures = Logger()

    def __init__(
        self,
        reactor: Reactor,
        port: PortSettings,
        received: Callable[[], None],
        seconds: Callable[[], float],
        threads: int = 1,
        coalesce: int = 0,
        short_slice: bool = False,
        limit: SourceLimit = LIMIT,
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._seconds = seconds
        self._coalesce = coalesce
        self._wants_slice = short_slice
        self._lanes = max(1, threads)
        self._threaded = threads > 0
        self._sockets = MediaSockets(port)
        # One lane more than threads: the last is Python's own, for what comes by
        # another way than a socket.
        self.forwarder = Forwarder(
            self._sockets.locate, limit=limit, lanes=self._lanes + self._threaded
        )
        self._threads: list[_Thread] = []
        self._readers: list[_Bell | _Turn] = []
        self._bell: _Bell | None = None
        self._looked = float("-inf")
        self._look: IDelayedCall | None = None
        self._broken = 0

    @property
    def number(self) -> int:
        """The port listened on, once it is."""
        return self._sockets.number

    def start(self) -> list[str]:
        """Open the port and start the threads; returns what the log should say.

        :raise CannotListenError: it is in use, or an address is not ours.
        :raise TimeoutError: a thread does not begin.
        """
        self._sockets.open(self._lanes)
        try:
            lines = self._start_lanes()
        except BaseException:
            # The reactor has none of them yet.
            self._readers = []
            self.stop()
            raise
        for reader in self._readers:
            self._reactor.addReader(reader)
        return lines

    def _start_lanes(self) -> list[str]:
        for lane, group in enumerate(self._sockets.groups):
            self.forwarder.attach(
                lane,
                [(bound.socket.fileno(), bound.only_address()) for bound in group],
            )
        if self._threaded:
            # It sends by the first lane's sockets, and reads none.
            self.forwarder.attach(
                self._lanes,
                [
                    (bound.socket.fileno(), bound.only_address())
                    for bound in self._sockets.groups[0]
                ],
            )
        else:
            for place, bound in enumerate(self._sockets.groups[0]):
                self._readers.append(
                    _Turn(bound.socket.fileno(), lambda place=place: self._read(place))
                )
            return ["Media is forwarded by the native relay"]
        self._bell = _Bell(self._rung)
        self._readers.append(self._bell)
        self.forwarder.signal(self._bell.number)
        for lane, group in enumerate(self._sockets.groups):
            thread = _Thread(
                self.forwarder, lane, [bound.socket.fileno() for bound in group]
            )
            self._threads.append(thread)
            thread.start(self._coalesce, self._wants_slice)
        threads = "1 thread" if self._lanes == 1 else f"{self._lanes} threads"
        lines = [f"Media is forwarded by the native relay ({threads})"]
        if self._wants_slice:
            if all(thread.has_slice for thread in self._threads):
                lines.append("MediaScheduling=slice was granted")
            else:
                lines.append(
                    "Warning:MediaScheduling=slice was not granted "
                    "(it takes Linux 6.12 or newer)"
                )
        return lines

    def stop(self) -> None:
        """End the threads and close the port."""
        for reader in self._readers:
            self._reactor.removeReader(reader)
        self._readers = []
        if self._look is not None:
            self._look.cancel()
            self._look = None
        for thread in self._threads:
            thread.stop()
        self._threads = []
        self.forwarder.detach()
        if self._bell is not None:
            self.forwarder.signal(-1)
            os.close(self._bell.number)
            self._bell = None
        self._sockets.close()

    def send(self, data: bytes, path: Path) -> None:
        """Send one datagram, or count that it could not be sent."""
        self._sockets.send(data, path)

    def settle(self) -> None:
        """Wake the threads that were given something to do."""
        for lane in self.forwarder.ordered():
            self._threads[lane].wake()

    def counters(self) -> PortCounters:
        """What went wrong at the sockets."""
        return PortCounters(
            self.forwarder.receive_errors(), self._sockets.send_errors, self._broken
        )

    def _read(self, place: int) -> None:
        """A socket is readable, and there is no thread to see to it."""
        self.forwarder.read(0, place, self._seconds())
        self._tell()

    def _rung(self) -> None:
        now = self._seconds()
        if now - self._looked < PAUSE:
            self._look = self._reactor.callLater(PAUSE, self._look_again)
        else:
            # Before the rings are looked at: what is put aside after that rings.
            self.forwarder.heard()
        self._looked = now
        self._tell()

    def _look_again(self) -> None:
        """The bell is silent, since it rang often."""
        if self.forwarder.waiting():
            self._look = self._reactor.callLater(PAUSE, self._look_again)
        else:
            self._look = None
            self.forwarder.heard()
        self._looked = self._seconds()
        self._tell()

    def _tell(self) -> None:
        try:
            self._received()
        except Exception:
            # A bug of ours costs a datagram, never the port.
            self._broken += 1
            self._failures.failure("media datagram")
