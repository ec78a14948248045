"""The UDP socket of a media session, bound at the server by STUN.

A shell around `Binding`: one Twisted port for each address family that the
server's addresses need, one timer.  STUN is dealt with here; RTP and RTCP go up
as they came; anything else is counted.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from anychat.client.media.binding import Address, Binding, Bound
from anychat.media.demux import Kind, classify

#: What the system is asked to hold for us when the program is busy, bytes.
_RECEIVE_BUFFER = 2 << 20


class _Family(DatagramProtocol):
    """The port of one address family."""

    noisy = False

    def __init__(self, received: Callable[[bytes, Address], None]):
        self._received = received

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._received(datagram, addr[:2])

    def connectionRefused(self) -> None:
        """ICMP says nobody listens there; the binding machine notices itself."""


def _version(address: Address) -> int:
    """4 or 6."""
    return 6 if ":" in address[0] else 4


class MediaTransport:
    """Sends to, and receives from, the server's media port.

    :param network: opens ports as a reactor does (``listenUDP``).
    :param received: given each RTP or RTCP datagram and its kind.
    :param on_udp: told when the address is bound, with the round trip in
        seconds, and when the server does not answer any more.
    """

    def __init__(
        self,
        reactor: Any,
        network: Any,
        random_bytes: Callable[[int], bytes],
        received: Callable[[Kind, bytes], None],
        on_udp: Callable[[bool, float | None], None],
    ):
        self.on_control: Callable[[bytes], None] | None = None
        """Given each control datagram."""
        self._reactor = reactor
        self._network = network
        self._random_bytes = random_bytes
        self._received = received
        self._on_udp = on_udp
        self._ports: dict[int, Any] = {}
        self._binding: Binding | None = None
        self._active = False
        self._timer: Any = None

    @property
    def bound(self) -> bool:
        """Whether the server knows our address."""
        return self._binding is not None and self._binding.bound

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back, lately; 0 before it is known."""
        return 0.0 if self._binding is None else self._binding.round_trip

    @property
    def way(self) -> float:
        """Least seconds to the server and back; 0 before they are known."""
        return 0.0 if self._binding is None else self._binding.way

    def begin(
        self,
        addresses: Sequence[Address],
        username: str,
        key: bytes,
        hasty: bool = False,
    ) -> None:
        """Open the ports that are needed and bind; again for a new session.

        :param hasty: whether media has another way.
        :raise OSError: no port could be opened.
        """
        for address in addresses:
            self._open(_version(address))
        now = self._reactor.seconds()
        self._binding = Binding(
            addresses, username, key, self._random_bytes, now, hasty
        )
        self._binding.set_active(self._active, now)
        self._drain()

    def _open(self, version: int) -> None:
        if version in self._ports:
            return
        interface = "0.0.0.0" if version == 4 else "::"
        port = self._network.listenUDP(
            0, _Family(self._datagram), interface=interface, maxPacketSize=2048
        )
        self._ports[version] = port
        handle = getattr(port, "getHandle", lambda: None)()
        if handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)

    def set_active(self, active: bool) -> None:
        """Whether media is under way, so that the binding is kept warm."""
        self._active = active
        if self._binding is not None:
            self._binding.set_active(active, self._reactor.seconds())
            self._drain()

    def send(self, data: bytes) -> bool:
        """Send a datagram to the server; false if it did not go out."""
        return self._binding is not None and self._write(data, self._binding.peer)

    def close(self) -> "Deferred[Any]":
        """Close the ports; fires when they are closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._binding = None
        ports, self._ports = self._ports, {}
        return DeferredList(
            [maybeDeferred(port.stopListening) for port in ports.values()]
        )

    def _write(self, data: bytes, address: Address) -> bool:
        try:
            self._ports[_version(address)].write(data, address)
        except OSError:
            # Full buffers, no route, a filter: the packet is lost like any
            # other, and repaired or reported like any other.
            return False
        return True

    def _datagram(self, data: bytes, source: Address) -> None:
        kind = classify(data)
        if kind is Kind.RTP or kind is Kind.RTCP:
            if self._binding is not None:
                self._binding.heard(self._reactor.seconds())
            self._received(kind, data)
        elif kind is Kind.STUN and self._binding is not None:
            self._binding.receive(data, source, self._reactor.seconds())
            self._drain()
        elif kind is Kind.CONTROL and self.on_control is not None:
            self.on_control(data)

    def _due(self) -> None:
        self._timer = None
        assert self._binding is not None
        self._binding.handle_timeout(self._reactor.seconds())
        self._drain()

    def _drain(self) -> None:
        """Send what is to be sent, re-arm the timer, then tell what happened."""
        binding = self._binding
        assert binding is not None
        for data, address in binding.to_send():
            self._write(data, address)
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, binding.next_timeout() - self._reactor.seconds())
        self._timer = self._reactor.callLater(wait, self._due)
        for event in binding.events():
            if isinstance(event, Bound):
                self._on_udp(True, event.delay)
            else:
                self._on_udp(False, None)
