"""The UDP port: its own sockets, read in batches, without a protocol between.

`MediaSockets` are the sockets, whoever reads them.  `UdpPort` reads them in the
reactor's thread; not as a Twisted ``DatagramProtocol``, which costs a
microsecond more for each copy.  Each socket is a reader of the reactor; when it
is readable, up to `BATCH` datagrams go to the ``receive`` callable, then
``received`` is called once, so that other descriptors get their turn.

**Answering from the address that was asked.**  A socket bound to all of a
host's addresses would send from whichever the routing table prefers, and a
client behind a NAT or a firewall would never see it.  So such a socket is told
the address that each datagram was sent to (IP_PKTINFO), it goes into the
datagram's path, and what is sent over that path leaves from there.  Naming the
source costs 0.4 us a copy: where the kernel would choose it anyway, `sender`
leaves it out.

**Busy.**  The socket is bound without SO_REUSEADDR and SO_REUSEPORT, either of
which would let two servers share the port and each get half of the datagrams.
Where several threads of ours share it, SO_REUSEPORT is set on the socket that
was bound without it, and then on more of them: who comes later, without it, is
refused as before.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.media.counters import PortCounters
from anychat.media.path import Address, Path, Send

#: Datagrams read at a time, and how long that may take, since each of them may
#: be sent to hundreds.
BATCH = 64
BATCH_TIME = 0.010
#: Longer ones are cut off; they are too long for anything we take anyway.
RECEIVE_SIZE = 2048
#: How often a free port that both families share is looked for.
ATTEMPTS = 16

#: <linux/in.h>, <asm-generic/socket.h>: what ``socket`` does not name.
_IP_PKTINFO = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
#: Neither set DF nor believe ICMP about the path: both go for any PMTUDISC_OMIT.
_PMTUDISC_OMIT = 5
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
#: struct in_pktinfo: interface, our address, the header's destination.
_PKTINFO = struct.Struct("=I4s4s")
#: struct in6_pktinfo: our address, interface.
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY = socket.CMSG_SPACE(_PKTINFO6.size)


class Readers(Protocol):
    """What of the reactor is used (IReactorFDSet)."""

    def addReader(self, reader: IReadDescriptor) -> object:
        """Call its ``doRead`` when there is something to read."""

    def removeReader(self, reader: IReadDescriptor) -> object:
        """Do so no longer."""


class Reactor(Readers, Protocol):
    """The same with timers (IReactorTime)."""

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object
    ) -> IDelayedCall:
        """Call it after that many seconds."""


class Receive(Protocol):
    """Takes a datagram; see `routes.Forwarder.receive`."""

    def __call__(
        self, data: bytes, source: Address, now: float, local: bytes = b""
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Where to listen."""

    number: int = 8907
    """UDP port; 0 lets the system choose."""
    interfaces: tuple[str, ...] = ("0.0.0.0", "::")
    """IP literals; "::" is left out on a host without IPv6."""
    receive_buffer: int = 8 << 20
    """Bytes; the system may grant less."""
    send_buffer: int = 8 << 20


class BoundSocket:
    """One socket of the port.

    :param shares: there is one already, which allows it.
    """

    def __init__(
        self, settings: PortSettings, interface: str, number: int, shares: bool
    ) -> None:
        self.interface = interface
        v6 = ":" in interface
        self.family = socket.AF_INET6 if v6 else socket.AF_INET
        self.bound_to = socket.inet_pton(self.family, interface)
        self.wildcard = not any(self.bound_to)
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            self._set_up(v6, settings)
            if shares:
                self.share()
            self.socket.bind((interface, number))
        except OSError:
            self.socket.close()
            raise
        self.number: int = self.socket.getsockname()[1]

    def _set_up(self, v6: bool, settings: PortSettings) -> None:
        bound = self.socket
        bound.setblocking(False)
        if v6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
            if self.wildcard:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
            if self.wildcard:
                bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        _set_buffer(bound, _SO_RCVBUFFORCE, socket.SO_RCVBUF, settings.receive_buffer)
        _set_buffer(bound, _SO_SNDBUFFORCE, socket.SO_SNDBUF, settings.send_buffer)

    def share(self) -> None:
        """Let others of ours bind the same address."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def only_address(self) -> bytes:
        """Our end of all its paths; b"": they have to be told apart."""
        return b"" if self.wildcard else self.bound_to

    def named(self, path: Path) -> bytes:
        """Which of our addresses must be named to send over a path; b"": none."""
        if not self.wildcard or not path.local or self._is_default(path):
            return b""
        return path.local

    def sender(self, path: Path) -> Send:
        """How to send over a path of this socket."""
        local = self.named(path)
        return self.pinned(local) if local else self.socket.sendto

    def pinned(self, local: bytes) -> Send:
        """How to send from one of our addresses."""
        level, kind, info = (
            (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, local, bytes(4)))
            if self.family == socket.AF_INET
            else (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(local, 0))
        )
        ancillary = ((level, kind, info),)
        sendmsg = self.socket.sendmsg

        def send(data: bytes, address: Address) -> object:
            return sendmsg((data,), ancillary, 0, address)

        return send

    def _is_default(self, path: Path) -> bool:
        """Whether the kernel would send from there of itself."""
        try:
            with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
                probe.connect(path.remote)
                chosen = probe.getsockname()[0].partition("%")[0]
        except OSError:
            return False
        return socket.inet_pton(self.family, chosen) == path.local


class MediaSockets:
    """The sockets of the media port, on all its interfaces."""

    def __init__(self, settings: PortSettings) -> None:
        self.settings = settings
        self.number = 0
        """The port listened on, once it is."""
        self.send_errors = 0
        self.groups: list[list[BoundSocket]] = []
        """For each that reads: a socket of every interface."""

    def open(self, groups: int = 1) -> None:
        """Bind them.

        :param groups: how many are going to read.
        :raise CannotListenError: the port is in use, or an address is not ours.
        """
        attempts = 1 if self.settings.number else ATTEMPTS
        for attempt in range(attempts):
            try:
                self._bind(groups)
                break
            except CannotListenError as error:
                self.close()
                # The number that was free for one family may not be for another.
                busy = error.socketError.errno == errno.EADDRINUSE
                if not busy or attempt + 1 == attempts:
                    raise

    def close(self) -> None:
        """Close them."""
        for group in self.groups:
            for bound in group:
                bound.socket.close()
        self.groups = []

    def locate(self, path: Path) -> tuple[int, bytes]:
        """The place in its group of the socket that a path goes over, and which
        of our addresses must be named to send there."""
        bound = self._socket(path)
        return self.groups[0].index(bound), bound.named(path)

    def sender(self, path: Path) -> Send:
        """How to send over a path; asked once for each path, not each copy."""
        return self._socket(path).sender(path)

    def send(self, data: bytes, path: Path) -> None:
        """Send one datagram, or count that it could not be sent."""
        own = self._socket(path)
        send = (
            own.pinned(path.local) if own.wildcard and path.local else own.socket.sendto
        )
        try:
            send(data, path.remote)
        except OSError:
            self.send_errors += 1

    def _bind(self, groups: int) -> None:
        number = self.settings.number
        first: list[BoundSocket] = []
        self.groups = [first]
        for interface in self.settings.interfaces:
            try:
                bound = BoundSocket(self.settings, interface, number, False)
            except OSError as error:
                if interface == "::" and error.errno in (
                    errno.EAFNOSUPPORT,
                    errno.EADDRNOTAVAIL,
                ):
                    continue
                raise CannotListenError(interface, number, error) from error
            first.append(bound)
            number = self.number = bound.number
        if groups == 1:
            return
        try:
            for bound in first:
                bound.share()
            for _ in range(groups - 1):
                group: list[BoundSocket] = []
                self.groups.append(group)
                for bound in first:
                    group.append(
                        BoundSocket(self.settings, bound.interface, number, True)
                    )
        except OSError as error:
            raise CannotListenError(bound.interface, number, error) from error

    def _socket(self, path: Path) -> BoundSocket:
        """The socket that a path goes over."""
        family = socket.AF_INET if len(path.remote) == 2 else socket.AF_INET6
        fitting = None
        for bound in self.groups[0]:
            if bound.family == family:
                if bound.wildcard or bound.bound_to == path.local:
                    return bound
                fitting = fitting or bound
        assert fitting is not None
        return fitting


@implementer(IReadDescriptor)
class _Reader:
    """A socket that the reactor reads."""

    _failures = Logger()

    def __init__(self, port: "UdpPort", bound: BoundSocket) -> None:
        self._port = port
        self._bound = bound
        self.socket = bound.socket
        self.number = bound.number

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "media"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops the descriptor; the port closes it itself."""

    def doRead(self) -> None:
        """Read a batch."""
        try:
            self._read_batch()
        except Exception:
            # A bug of ours costs a datagram, never the port.
            self._port.failures += 1
            self._failures.failure("media datagram")

    def _read_batch(self) -> None:
        port = self._port
        recvmsg, receive, seconds = self.socket.recvmsg, port.receive, port.seconds
        # A socket with one address needs no telling.
        local = self._bound.only_address()
        size = 0 if local else _ANCILLARY
        v4 = self._bound.family == socket.AF_INET
        end = seconds() + BATCH_TIME
        try:
            for _ in range(BATCH):
                data, ancillary, _, source = recvmsg(RECEIVE_SIZE, size)
                if ancillary:
                    # It stands in every datagram of such a socket, or in none.
                    info = ancillary[0][2]
                    local = info[4:8] if v4 else info[:16]
                now = seconds()
                receive(data, source, now, local)
                if now > end:
                    break
        except BlockingIOError:
            pass
        except OSError:
            port.receive_errors += 1
        port.received()


class UdpPort(MediaSockets):
    """The media port, read by the reactor.

    :param receive: takes each datagram.
    :param received: called after each batch.
    :param seconds: monotonic clock.
    """

    def __init__(
        self,
        reactor: Readers,
        settings: PortSettings,
        receive: Receive,
        received: Callable[[], None],
        seconds: Callable[[], float],
    ) -> None:
        super().__init__(settings)
        self._reactor = reactor
        self._readers: list[_Reader] = []
        self.receive = receive
        self.received = received
        self.seconds = seconds
        self.receive_errors = 0
        self.failures = 0

    def start(self) -> None:
        """Open the port.

        :raise CannotListenError: it is in use, or an address is not ours.
        """
        self.open()
        self._readers = [_Reader(self, bound) for bound in self.groups[0]]
        for reader in self._readers:
            self._reactor.addReader(reader)

    def stop(self) -> None:
        """Close the port."""
        for reader in self._readers:
            self._reactor.removeReader(reader)
        self._readers = []
        self.close()

    def counters(self) -> PortCounters:
        """What went wrong at the sockets."""
        return PortCounters(self.receive_errors, self.send_errors, self.failures)


def _set_buffer(bound: socket.socket, force: int, plain: int, size: int) -> None:
    """Ask for a buffer: beyond the system's limit if we may, else up to it."""
    try:
        bound.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError:
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, plain, size)
