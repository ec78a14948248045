"""``anychat-client udpcheck``: whether UDP gets through, and what the NAT does.

Plain STUN Binding requests (RFC 8489) from two local ports, to every address of the
server's name (a few at most), again after a while; then a datagram to our own outer
address.  Nobody logs in, and any STUN server will do; `nat` says what it all means.
"""

import os
import socket
from argparse import Namespace
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.client.join import CANNOT_CONNECT, FINE
from anychat.client.nat import Address, Answer, Findings, conclude, in_words
from anychat.client.output import Output, explained
from anychat.client.trust import address_text
from anychat.client.waiting import Pause, beside
from anychat.codes import ResultCode
from anychat.errors import PeerError, Refused
from anychat.media import stun
from anychat.media.stun import MessageClass

#: Addresses of the name that are asked.
MOST_ADDRESSES = 3
#: When requests are sent, seconds; the gaps show lost ones and changed mappings.
ROUNDS = (0.0, 0.3, 0.8, 1.5)
#: Seconds for the last answers, and for the datagram to ourselves.
PATIENCE = 1.0
HAIRPIN = 0.5


class _Port(DatagramProtocol):
    """One local port."""

    noisy = False

    def __init__(self, received: Callable[["_Port", bytes, Address], None]):
        self._received = received
        self.host = ""
        """The local address that the system sends from."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._received(self, datagram, addr[:2])

    def connectionRefused(self) -> None:
        """Nobody listens there: no answer comes."""

    @property
    def local(self) -> Address:
        """Address and port."""
        return self.host, self.transport.getHost().port  # type: ignore[union-attr]


def local_host(server: Address) -> str:
    """The address that the system would send from."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(server)
        host: str = probe.getsockname()[0]
        return host


def lookup(host: str, port: int) -> list[Address]:
    """The addresses of a name, of one family.

    :raises OSError: there are none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family = found[0][0]
    unique = dict.fromkeys(
        (str(entry[4][0]), port) for entry in found if entry[0] == family
    )
    return list(unique)[:MOST_ADDRESSES]


class UdpCheck:
    """The run of the command.

    :param network: opens ports as a reactor does; the reactor by default.
    :param find: gives the addresses of a name, or a Deferred of them.
    :param local: the address that is sent from, towards another.
    """

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        network: Any = None,
        find: Callable[[str, int], Any] | None = None,
        local: Callable[[Address], str] = local_host,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ):
        self._reactor = reactor
        self._options = options
        self._output = output
        self._complain = complain
        self._network = network or reactor
        self._find = find or self._look_up
        self._local = local
        self._random_bytes = random_bytes
        self._sent: dict[bytes, tuple[_Port, Address, float]] = {}
        self._answers: list[Answer] = []
        self._asked = 0
        self._own: bytes | None = None
        self._came_back = False
        self._pause = Pause(reactor)
        self._over = False
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        running: Deferred[Any] = self._run()
        running.addErrback(self._failed).addCallback(self.done.callback)

    def finish(self, code: int) -> "Deferred[int]":
        """End it early: what is known is printed."""
        self._over = True
        self._pause.wake()
        return beside(self.done).addCallback(lambda result: code or result)

    def _look_up(self, host: str, port: int) -> Any:
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, lookup, host, port)

    @inlineCallbacks
    def _run(self) -> Generator["Deferred[Any]", Any, int]:
        host, port = self._options.address
        try:
            servers = yield self._find(host, port)
        except OSError as error:
            raise Refused(ResultCode.CONNECT_DNSERROR, str(error)) from error
        interface = "::" if ":" in servers[0][0] else "0.0.0.0"
        ports = [_Port(self._received) for _ in range(2)]
        listening = []
        try:
            for each in ports:
                listening.append(self._network.listenUDP(0, each, interface=interface))
                each.host = self._local(servers[0])
            yield self._ask_all(ports, servers)
            yield self._try_hairpin(ports)
        finally:
            for each in listening:
                yield each.stopListening()
        came_back = self._came_back if self._own is not None else None
        findings = conclude(self._answers, self._asked, came_back)
        self._print(findings, servers)
        return FINE if findings.reached else CANNOT_CONNECT

    @inlineCallbacks
    def _ask_all(
        self, ports: list[_Port], servers: list[Address]
    ) -> Generator["Deferred[Any]", Any, None]:
        began = self._reactor.seconds()
        for when in ROUNDS:
            wait = when - (self._reactor.seconds() - began)
            if wait > 0:
                yield self._pause.sleep(wait)
            for place, server in enumerate(servers):
                self._ask(ports[0], server)
                if place == 0:
                    self._ask(ports[1], server)
            if self._over:
                return
        if len(self._answers) < self._asked:
            yield self._pause.sleep(PATIENCE)

    def _ask(self, port: _Port, server: Address) -> None:
        transaction = self._random_bytes(stun.TRANSACTION_LENGTH)
        self._sent[transaction] = port, server, self._reactor.seconds()
        self._asked += 1
        self._write(port, stun.build(MessageClass.REQUEST, transaction), server)

    @staticmethod
    def _write(port: _Port, data: bytes, to: Address) -> None:
        # No route, or a filter of our own: no answer comes.
        with suppress(OSError):
            port.transport.write(data, to)  # type: ignore[union-attr]

    @inlineCallbacks
    def _try_hairpin(self, ports: list[_Port]) -> Generator["Deferred[Any]", Any, None]:
        mapped = [a.mapped for a in self._answers if a.local == ports[0].local]
        if not mapped or self._over or mapped[0] == ports[0].local:
            return
        self._own = self._random_bytes(stun.TRANSACTION_LENGTH)
        data = stun.build(MessageClass.REQUEST, self._own)
        self._write(ports[1], data, mapped[0])
        yield self._pause.sleep(HAIRPIN)

    def _received(self, port: _Port, data: bytes, source: Address) -> None:
        try:
            message = stun.parse(data)
        except PeerError:
            return
        if message.kind is MessageClass.REQUEST:
            if message.transaction == self._own:
                self._came_back = True
                self._pause.wake()
            return
        sent = self._sent.pop(message.transaction, None)
        if sent is None or sent[0] is not port or message.mapped is None:
            return
        took = self._reactor.seconds() - sent[2]
        self._answers.append(Answer(port.local, sent[1], message.mapped, took))

    def _print(self, findings: Findings, servers: list[Address]) -> None:
        if not self._options.json:
            for line in in_words(findings):
                self._output.line(line)
            return
        trip = findings.round_trip
        self._output.object(
            "udpcheck",
            {
                "servers": [address_text(*server) for server in servers],
                "reached": findings.reached,
                "round_trip": None if trip is None else round(trip * 1000, 2),
                "lost": round(findings.lost * 100, 1),
                "nat": findings.nat,
                "mapped": (address_text(*findings.mapped) if findings.mapped else None),
                "port_kept": findings.port_kept,
                "stable": findings.stable,
                "mapping": findings.mapping,
                "same_host": findings.same_host,
                "step": findings.step,
                "hairpin": findings.hairpin,
                "verdict": in_words(findings),
            },
        )

    def _failed(self, failure: Failure) -> int:
        error = failure.value
        if not isinstance(error, Refused):
            error = Refused(ResultCode.CONNECT_SOCKETERR, failure.getErrorMessage())
        self._complain(explained(error, self._options.address))
        return CANNOT_CONNECT
