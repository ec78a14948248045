"""The relay: a forwarder with the sockets it reads and sends by.

There are two, which do the same (`routes` says what).  `PortableRelay` is all
Python and runs in the reactor's thread; `native.NativeRelay` is compiled and
has threads of its own.  `maker` chooses.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from anychat.ids import Ssrc
from anychat.media.counters import ForwarderCounters, PortCounters
from anychat.media.leg_state import Routes
from anychat.media.path import Path
from anychat.media.port import PortSettings, Reactor, Readers, UdpPort
from anychat.media.ring import Copy
from anychat.media.routes import Forwarder
from anychat.media.source_limit import LIMIT, SourceLimit

try:
    from anychat.media.native import NativeRelay
except ImportError as error:
    NativeRelay = None  # type: ignore[assignment, misc]
    _MISSING = str(error)

#: Set to 1, when the package is installed or when it runs, it does without what
#: is compiled.
PURE = "ANYCHAT_PURE"
#: Unless more are asked for: each has buffers and rings of its own, whether or not
#: there is media for so many.
MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How media is forwarded."""

    threads: int = 0
    """Of the native relay; 0: one fewer than there are CPUs, 1 to `MOST_THREADS`."""
    coalesce: int = 0
    """Microseconds that it waits for more packets after each batch."""
    short_slice: bool = False
    """Ask the kernel to let its threads run soon (Linux 6.12)."""
    limit: SourceLimit = LIMIT


class RelayRoutes(Routes, Protocol):
    """What the service uses of a forwarder besides the legs."""

    def position(self, ssrc: Ssrc) -> tuple[int, int]: ...

    def counters(self) -> ForwarderCounters: ...

    def take_copies(self, most: int) -> list[Copy]: ...


class Relay(Protocol):
    """What the service uses."""

    @property
    def forwarder(self) -> RelayRoutes:
        """Its routes, and what it puts aside."""

    @property
    def number(self) -> int:
        """The port listened on, once it is."""

    def start(self) -> list[str]:
        """Open the port; returns what the log should say.

        :raise CannotListenError: it is in use, or an address is not ours.
        """

    def stop(self) -> None:
        """Close the port."""

    def send(self, data: bytes, path: Path) -> None:
        """Send one datagram, or count that it could not be sent."""

    def settle(self) -> None:
        """Called after the routes were used: what they owe is done now."""

    def counters(self) -> PortCounters:
        """What went wrong at the sockets."""


#: Makes a relay that opens nothing yet.
#: Reactor, port, what to call when something was put aside, monotonic clock.
Make = Callable[[Reactor, PortSettings, Callable[[], None], Callable[[], float]], Relay]


class PortableRelay:
    """The forwarder in Python, read by the reactor.

    :param why: why it is not the native one, for the log.
    """

    def __init__(
        self,
        reactor: Readers,
        port: PortSettings,
        received: Callable[[], None],
        seconds: Callable[[], float],
        limit: SourceLimit = LIMIT,
        why: str = "",
    ) -> None:
        self.forwarder = Forwarder(lambda path: self._port.sender(path), limit=limit)
        self._port = UdpPort(reactor, port, self.forwarder.receive, received, seconds)
        self._why = why

    @property
    def number(self) -> int:
        """The port listened on, once it is."""
        return self._port.number

    def start(self) -> list[str]:
        """Open the port; returns what the log should say."""
        self._port.start()
        return [f"Media is forwarded by the portable relay{self._why}"]

    def stop(self) -> None:
        """Close the port."""
        self._port.stop()

    def send(self, data: bytes, path: Path) -> None:
        """Send one datagram, or count that it could not be sent."""
        self._port.send(data, path)

    def settle(self) -> None:
        """Everything is done at once."""

    def counters(self) -> PortCounters:
        """What went wrong at the sockets."""
        return self._port.counters()


def maker(settings: RelaySettings, environment: Mapping[str, str] = os.environ) -> Make:
    """What makes the relay of these settings: the native one where there is one."""
    if environment.get(PURE) == "1":
        return partial(PortableRelay, limit=settings.limit, why=f" ({PURE}=1)")
    if NativeRelay is None:
        return partial(PortableRelay, limit=settings.limit, why=f" ({_MISSING})")
    free = len(os.sched_getaffinity(0)) - 1
    return partial(
        NativeRelay,
        threads=settings.threads or min(max(1, free), MOST_THREADS),
        coalesce=settings.coalesce,
        short_slice=settings.short_slice,
        limit=settings.limit,
    )
