"""Clients' connections: the TCP port, who may connect, and how long without a session.

What a connection says once it speaks our protocol is its owner's business, see
`anychat.services.links`.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.ids import LinkId
from anychat.notices import Notices
from anychat.protocols.entrance import Entrance
from anychat.protocols.proof import SALT_SIZE, derive_key
from anychat.protocols.signalling import (
    HelloFacts,
    LinkOwner,
    LinkTerms,
    ServerLink,
    Stage,
)
from anychat.protocols.tls import SecureTransports
from anychat.services.admission import Admission, plain_address
from anychat.services.listening import Drain, listen_tcp, raise_file_limit
from anychat.services.settings import LinkSettings

#: File descriptors that are left for everything but client links.
SPARE_DESCRIPTORS = 256


class Connections:
    """All connections of the port: entrances, and the links that they become.

    :param hello: what clients are told before they log in.
    :param owner: gets what links report; it says by `drop` and `remove` when
        one is gone.
    :param admission: counts those without a session; the owner counts out those
        that get one.
    :param counters: what happens is counted there.
    """

    def __init__(
        self,
        reactor: Any,
        settings: LinkSettings,
        hello: HelloFacts,
        random_bytes: Callable[[int], bytes],
        owner: LinkOwner,
        admission: Admission,
        notices: Notices,
        counters: Counter[str],
    ):
        self._reactor = reactor
        self._settings = settings
        self._owner = owner
        self._admission = admission
        self._notices = notices
        self._counters = counters
        salt = random_bytes(SALT_SIZE)
        self.terms = LinkTerms(
            facts=hello,
            seconds=reactor.seconds,
            call_later=reactor.callLater,
            random_bytes=random_bytes,
            started=reactor.seconds(),
            salt=salt,
            key=derive_key(settings.password, salt) if settings.password else b"",
            check_time=settings.check_time,
            timeout=settings.timeout,
        )
        """What all links have in common."""
        self.secure_transports = (
            SecureTransports(settings.secure, reactor) if settings.secure else None
        )
        self._most = settings.links_overall
        self._connections: dict[LinkId, Entrance | ServerLink] = {}
        self._ids = itertools.count(1)
        self._ports: list[Any] = []
        self._sweep = LoopingCall(self.sweep)
        self._sweep.clock = reactor
        self._drain = Drain(reactor, self._connections, self._cut_off)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._connections)

    def __iter__(self) -> Iterator[Entrance | ServerLink]:
        """All there are, the oldest first."""
        return iter(self._connections.values())

    def listen(self) -> None:
        """Open the port.

        :raises CannotListenError: an address or the port cannot be had.
        """
        limit = raise_file_limit()
        self._most = max(limit - SPARE_DESCRIPTORS, limit // 2)
        self._ports = listen_tcp(
            self._reactor,
            self.accept,
            self._settings.addresses,
            self._settings.port,
        )
        self._sweep.start(1.0, now=False)

    def close(self) -> "Deferred[Any]":
        """Close the port and all connections; fires when they are gone.

        What does not go by itself within a second is cut off.
        """
        if self._sweep.running:
            self._sweep.stop()
        for connection in list(self._connections.values()):
            if isinstance(connection, ServerLink):
                connection.close(ResultCode.CONNECT_OFFLINE)
            else:
                connection.turn_away()
        ports, self._ports = self._ports, []
        return self._drain.begin(ports)

    def addresses(self) -> list[Any]:
        """Where it listens."""
        return [port.getHost() for port in self._ports]

    def get(self, id: LinkId) -> Entrance | ServerLink | None:
        """The connection of that number, if it is still there."""
        return self._connections.get(id)

    def drop(self, connection: Entrance | ServerLink) -> None:
        """Forget a connection that had no session."""
        del self._connections[connection.id]
        self._admission.leave(connection.address)
        self._drain.notice()

    def remove(self, link: ServerLink) -> None:
        """Forget a link that had one."""
        del self._connections[link.id]
        self._drain.notice()

    # What the port and its entrances report.

    def accept(self, addr: Any) -> Entrance | None:
        """A connection came; None closes it at once."""
        address = plain_address(addr.host)
        if len(self._connections) >= self._most:
            self._counters["refused_overall"] += 1
            self._notices.say(
                "full", f"Refuse connection from {address}, too many connections."
            )
            return None
        if not self._admission.enter(address):
            self._counters["refused_address"] += 1
            self._notices.say(
                "crowd",
                f"Refuse connection from {address}, too many connections that "
                "have not logged in.",
            )
            return None
        self._counters["accepted"] += 1
        entrance = Entrance(
            self,
            LinkId(next(self._ids)),
            address=address,
            port=addr.port,
            opened=self._reactor.seconds(),
        )
        self._connections[entrance.id] = entrance
        return entrance

    def native(self, entrance: Entrance) -> ServerLink:
        """A connection speaks our protocol."""
        link = ServerLink(
            self._owner,
            self.terms,
            entrance.id,
            secure=entrance.secure,
            address=entrance.address,
            port=entrance.port,
            opened=entrance.opened,
        )
        self._connections[link.id] = link
        return link

    def foreign(self, entrance: Entrance) -> None:
        """A connection speaks nothing of ours."""
        self._counters["foreign"] += 1
        self._notices.say(
            "foreign",
            f"Illegal connection from {peer(entrance)}, unknown protocol, closed.",
        )

    def left(self, entrance: Entrance, reason: Failure) -> None:
        """A connection ended before it said anything of ours."""
        if entrance.secure:
            self._counters["tls_incomplete"] += 1
        self.drop(entrance)

    # Time.

    def sweep(self) -> None:
        """Once a second: end what is silent, late, or does not go away."""
        now = self._reactor.seconds()
        for connection in list(self._connections.values()):
            if isinstance(connection, ServerLink):
                self._sweep_link(connection, now)
            elif now - connection.opened > self._settings.hello_time:
                self._late(connection)
                connection.turn_away()

    def _sweep_link(self, link: ServerLink, now: float) -> None:
        settings, stage = self._settings, link.stage
        if stage is Stage.CLOSED:
            if now - link.closed_at > settings.closing_time:
                link.abort()
        elif stage is Stage.HELLO or stage is Stage.PROOF:
            if now - link.opened > settings.hello_time:
                self._late(link)
                link.close(ResultCode.CONNECT_TIMEOUT)
        elif now - link.last_heard > settings.timeout:
            self._counters["closed_silent"] += 1
            link.abort()
        elif stage is not Stage.SESSION and now - link.opened > settings.login_time:
            self._late(link)
            link.close(ResultCode.NOTLOGIN)

    def _late(self, connection: Entrance | ServerLink) -> None:
        self._counters["closed_late"] += 1
        self._notices.say(
            "late", f"Close connection of {peer(connection)}, did not log in in time."
        )

    def _cut_off(self) -> None:
        for connection in list(self._connections.values()):
            if isinstance(connection, ServerLink):
                connection.abort()
            else:
                connection.turn_away()


def peer(connection: Entrance | ServerLink) -> str:
    """Address and port of a client, for the log."""
    host = connection.address
    return f"[{host}]:{connection.port}" if ":" in host else f"{host}:{connection.port}"
