"""Listening on TCP: which sockets, and how many connections they may bring."""

import errno
import resource
import socket
from collections.abc import Callable, Iterable, Sized
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

#: Connections that the system holds for us until they are accepted.
BACKLOG = 4096
#: Seconds that connections which are closed have to go by themselves.
DRAIN_TIME = 1.0

_ALL = ("0.0.0.0", "::")


class _Doors(Factory):
    """What the ports ask for a protocol."""

    noisy = False

    def __init__(self, accept: Callable[[IAddress | None], Any]):
        self._accept = accept

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A protocol, or None to close the connection at once."""
        return self._accept(addr)


def listen_tcp(
    reactor: Any,
    accept: Callable[[IAddress | None], Any],
    addresses: Iterable[str],
    port: int,
) -> list[Any]:
    """Listen on every address, or on none.

    :param accept: given who connects; a protocol for it, or None to close the
        connection at once.
    :param addresses: IP addresses; none, or both wildcards, means all of IPv4
        and IPv6.
    :return: the listening ports.
    :raises CannotListenError: an address or the port cannot be had.
    """
    wanted = list(dict.fromkeys(addresses))
    ports: list[Any] = []
    factory = _Doors(accept)

    def listen_on(address: str) -> Any:
        listening = reactor.listenTCP(port, factory, backlog=BACKLOG, interface=address)
        ports.append(listening)
        # Accepted sockets inherit it (Linux).  Frames are written whole:
        # waiting for more of them would only cost time.
        listening.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    def listen_everywhere() -> None:
        try:
            listening = listen_on("::")
        except CannotListenError as error:
            if not _lacks_ipv6(error):
                raise
            listen_on("0.0.0.0")
            return
        if listening.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            listen_on("0.0.0.0")

    try:
        if not wanted or set(_ALL) <= set(wanted):
            listen_everywhere()
            wanted = [address for address in wanted if address not in _ALL]
        for address in wanted:
            listen_on(address)
    except CannotListenError:
        for listening in ports:
            listening.stopListening()
        raise
    return ports


class Drain:
    """The end of ports and of the connections that they have brought.

    :param connections: those that there are.
    :param cut_off: ends those that are left at once.
    """

    def __init__(self, reactor: Any, connections: Sized, cut_off: Callable[[], object]):
        self._reactor = reactor
        self._connections = connections
        self._cut_off = cut_off
        self._empty: Deferred[None] | None = None

    def begin(self, ports: Iterable[Any]) -> "Deferred[Any]":
        """Close the ports; fires when they and the connections are gone.

        The connections have been told to go; what does not within `DRAIN_TIME` is
        cut off.
        """
        waiting = [port.stopListening() for port in ports]
        if self._connections:
            self._empty = Deferred()
            late = self._reactor.callLater(DRAIN_TIME, self._cut_off)
            self._empty.addBoth(lambda _: late.active() and late.cancel())
            waiting.append(self._empty)
        return DeferredList([d for d in waiting if d is not None])

    def notice(self) -> None:
        """A connection has gone, and is no longer among them."""
        if self._empty is not None and not self._connections:
            empty, self._empty = self._empty, None
            empty.callback(None)


def raise_file_limit() -> int:
    """Let this process have all the file descriptors it may; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def _lacks_ipv6(error: CannotListenError) -> bool:
    """Whether it is the host that has no IPv6, rather than the port taken."""
    number = getattr(error.socketError, "errno", None)
    return number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
