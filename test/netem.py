"""A network that misbehaves, the same way every time.

`Netem` is the pure model of one direction of a path: seeded, it says of each
datagram when its copies arrive, if at all.  Two shells use it: `MemoryNetwork`,
which stands in for a reactor's UDP on a `Clock`, and `UdpProxy`, which sits
between a real client and a real server.
"""

from dataclasses import dataclass
from random import Random

from twisted.internet.address import IPv4Address
from twisted.internet.defer import DeferredList, maybeDeferred, succeed
from twisted.internet.protocol import DatagramProtocol


@dataclass(frozen=True)
class Conditions:
    """How one direction of a path treats datagrams."""

    delay: float = 0.0
    """Seconds that every one takes."""
    jitter: float = 0.0
    """Seconds added, from none to all of it."""
    loss: float = 0.0
    """Share that is lost."""
    burst: int = 1
    """Most that are lost in a row."""
    reorder: float = 0.0
    """Share that overtakes what was sent before; the others stay in order."""
    duplicate: float = 0.0
    """Share that arrives twice."""
    rate: float = 0.0
    """Bits per second that get through; 0: any number."""
    queue: int = 50_000
    """Bytes that may wait for that; what is more is lost."""


#: What issue 2 asks the media to survive.
ROUGH = Conditions(
    delay=0.010, jitter=0.040, loss=0.03, burst=3, reorder=0.05, duplicate=0.02
)


class Netem:
    """One direction of a path."""

    def __init__(self, conditions, seed):
        self.lost = self.passed = 0
        self._conditions = conditions
        self._random = Random(seed)
        self._losing = 0
        self._last = -1.0
        self._free = -1.0

    def change(self, conditions):
        """Let it be like that from now on."""
        self._conditions = conditions

    def arrivals(self, now, size=0):
        """When the copies of a datagram sent now arrive; none if it is lost."""
        if self._is_lost() or not self._has_room(now, size):
            self.lost += 1
            return []
        self.passed += 1
        times = [self._arrival(now)]
        if self._random.random() < self._conditions.duplicate:
            times.append(self._arrival(now))
        return times

    def _is_lost(self):
        conditions = self._conditions
        if self._losing:
            self._losing -= 1
            return True
        if not conditions.loss:
            return False
        # Bursts of 1 to ``burst``, as often as makes the share right.
        mean = (1 + conditions.burst) / 2
        if self._random.random() >= 1 / (mean / conditions.loss + 1 - mean):
            return False
        self._losing = self._random.randint(1, conditions.burst) - 1
        return True

    def _has_room(self, now, size):
        """Whether a datagram gets into the queue before the narrowest place."""
        rate = self._conditions.rate
        if not rate:
            self._free = now
            return True
        self._free = max(self._free, now)
        # IP and UDP take their share.
        taken = (size + 28) * 8 / rate
        if (self._free - now) * rate / 8 + size > self._conditions.queue:
            return False
        self._free += taken
        return True

    def _arrival(self, now):
        conditions = self._conditions
        now = max(now, self._free)
        arrival = now + conditions.delay + self._random.random() * conditions.jitter
        if self._random.random() < conditions.reorder:
            return now + conditions.delay
        # Never at the very same time, which timers would not keep in order.
        self._last = max(self._last + 1e-6, arrival)
        return self._last


class MemoryNetwork:
    """UDP between hosts that exist on a `Clock` only."""

    def __init__(self, clock, seed=0):
        self._clock = clock
        self._seed = seed
        self._ports = {}
        self._next_port = 40000
        self._paths = {}
        self.extra = lambda data: 0.0
        """Seconds that a datagram takes longer because of what is in it."""

    def host(self, address):
        """What a host sees of the network: `listenUDP` as reactors have it."""
        return MemoryHost(self, address)

    def impair(self, source, target, conditions):
        """Let datagrams from one host to another meet these conditions."""
        self._seed += 1
        path = self._paths[source, target] = Netem(conditions, self._seed)
        return path

    def listen(self, address, number, protocol):
        """Open a port; 0 picks a number."""
        if not number:
            self._next_port += 1
            number = self._next_port
        port = MemoryPort(self, (address, number), protocol)
        self._ports[address, number] = port
        protocol.makeConnection(port)
        return port

    def forget(self, address):
        """The port of that address is closed."""
        del self._ports[address]

    def send(self, data, source, target):
        """A datagram is on its way."""
        now = self._clock.seconds()
        path = self._paths.get((source[0], target[0]))
        for arrival in [now] if path is None else path.arrivals(now, len(data)):
            wait = arrival - now + self.extra(data)
            self._clock.callLater(wait, self._arrive, data, source, target)

    def _arrive(self, data, source, target):
        port = self._ports.get(target)
        if port is not None:
            port.protocol.datagramReceived(data, source)


class MemoryHost:
    """One host of a `MemoryNetwork`."""

    def __init__(self, network, address):
        self._network = network
        self._address = address

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        """See `IReactorUDP`."""
        return self._network.listen(self._address, port, protocol)


class MemoryPort:
    """A UDP port of a `MemoryNetwork`; transport and listening port in one."""

    def __init__(self, network, address, protocol):
        self.protocol = protocol
        self.address = address
        self._network = network

    def write(self, data, target):
        """See `IUDPTransport`."""
        self._network.send(bytes(data), self.address, target)

    def getHost(self):
        """See `IListeningPort`."""
        return IPv4Address("UDP", *self.address)

    def stopListening(self):
        """See `IListeningPort`."""
        self._network.forget(self.address)
        return succeed(None)


def run(clock, seconds):
    """Let a `Clock` go on, stopping at the very time of each call."""
    end = clock.seconds() + seconds
    while True:
        due = min((call.getTime() for call in clock.getDelayedCalls()), default=end)
        if due >= end:
            clock.advance(max(0.0, end - clock.seconds()))
            return
        clock.advance(max(0.0, due - clock.seconds()))


class _Side(DatagramProtocol):
    """One socket of a `UdpProxy`."""

    noisy = False

    def __init__(self, received):
        self._received = received

    def datagramReceived(self, datagram, addr):
        self._received(datagram, addr)


class UdpProxy:
    """Sits before a real server and treats what passes as `Netem` says.

    Each client that sends to it gets a socket of its own towards the server,
    so that the server tells them apart.  ``port`` is where clients send.
    """

    def __init__(self, reactor, server, up=None, down=None, seed=0):
        self._reactor = reactor
        self._server = server
        self._up, self._down = up or Conditions(), down or Conditions()
        self._seed = seed
        self._clients = {}
        self._calls = set()
        self.paths = []
        self._front = reactor.listenUDP(
            0, _Side(self._from_client), interface="127.0.0.1"
        )
        self.port = self._front.getHost().port

    def _from_client(self, data, client):
        if client not in self._clients:
            back = self._reactor.listenUDP(
                0,
                _Side(lambda data, _: self._pass(down, data, self._front, client)),
                interface="127.0.0.1",
            )
            self._seed += 2
            up = Netem(self._up, self._seed)
            down = Netem(self._down, self._seed + 1)
            self.paths += [up, down]
            self._clients[client] = back, up
        back, up = self._clients[client]
        self._pass(up, data, back, self._server)

    def _pass(self, path, data, port, target):
        now = self._reactor.seconds()
        for arrival in path.arrivals(now, len(data)):
            call = self._reactor.callLater(arrival - now, lambda: None)
            call.func = lambda call=call: self._write(call, port, data, target)
            self._calls.add(call)

    def _write(self, call, port, data, target):
        self._calls.discard(call)
        port.write(data, target)

    def rebind(self):
        """Forget all mappings, as a NAT does: the server sees new addresses."""
        ports = [back for back, _ in self._clients.values()]
        self._clients.clear()
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def stop(self):
        """Close every socket; fires when that is done."""
        for call in self._calls:
            call.cancel()
        self._calls.clear()
        ports = [self._front, *(back for back, _ in self._clients.values())]
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])
