"""Two ends and a relay on a `Clock`: what the tests of client media stand on.

The relay is the server's own: its forwarder and its legs, with the port left
out.  Encoding and decoding run inline, so a test is deterministic to the bit.
"""

from random import Random

from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from anychat.client.media.session import MediaSession
from anychat.client.media.strand import Strand
from anychat.codes import ResultCode, StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media.leg import Legs
from anychat.media.leg_state import Credentials
from anychat.media.routes import Forwarder
from anychat.messages import LayerGranted, MediaSetup, StreamGranted, StreamOpened
from test.netem import MemoryNetwork, run

SERVER = "10.0.0.1"
PORT = 8907
#: Wall-clock time when a test's clock is 0.
EPOCH = 1_800_000_000.25


class InlineWorkers:
    """Strands whose jobs run at once."""

    def __init__(self, log):
        self._log = log

    def strand(self):
        """See `Workers`."""
        return Strand(self._run, self._log)

    @staticmethod
    def _run(job, report):
        try:
            result = job()
        except Exception:
            report(False, Failure())
        else:
            report(True, result)

    def stop(self):
        """See `Workers`."""


class Relay(DatagramProtocol):
    """The server's media plane without its port."""

    def __init__(self, clock, network, random_bytes):
        self._clock = clock
        self._random_bytes = random_bytes
        self.forwarder = Forwarder(lambda path: self._write)
        self.legs = Legs(self.forwarder, random_bytes)
        self._keys = {}
        self._next = 1
        self._timer = None
        network.host(SERVER).listenUDP(PORT, self)

    def _write(self, data, address):
        self.transport.write(data, address)

    def number(self):
        """A fresh number for a session or an SSRC."""
        self._next += 1
        return self._next

    def open(self):
        """Begin a session's media: its id and set-up."""
        session = SessionId(self.number())
        setup = MediaSetup(
            addresses=(),
            port=PORT,
            username=f"user{session}",
            client_ssrc=self.number(),
            server_ssrc=self.number(),
            stun_key=self._random_bytes(20),
            rtcp_key=self._random_bytes(16),
            rtcp_salt_key=self._random_bytes(12),
        )
        self.legs.open(
            session,
            Credentials(
                username=setup.username,
                client_ssrc=Ssrc(setup.client_ssrc),
                server_ssrc=Ssrc(setup.server_ssrc),
                stun_key=setup.stun_key,
                rtcp_key=setup.rtcp_key,
                rtcp_salt=setup.rtcp_salt_key,
            ),
        )
        return session, setup

    def publish(self, session, kind):
        """OpenStream."""
        ssrc = Ssrc(self.number())
        self.legs.publish(session, ssrc, kind)
        keys = self._keys[ssrc] = self._random_bytes(16), self._random_bytes(12)
        return StreamOpened(ResultCode.SUCCESS, ssrc, *keys)

    def publish_layer(self, session, stream):
        """OpenLayer."""
        opened = self.publish(session, StreamKind.VIDEO)
        self.legs.add_layer(Ssrc(stream), Ssrc(opened.ssrc))
        return opened

    def grant_layer(self, stream, ssrc, form, user_id=7):
        """Grant the layer of a stream."""
        roc, sequence = self.forwarder.position(ssrc)
        return LayerGranted(
            user_id, 0, stream, ssrc, form, roc, sequence, *self._keys[ssrc]
        )

    def subscribe(self, session, ssrc, kind, form, user_id=7):
        """Subscribe, and be granted the stream."""
        self.legs.subscribe(session, ssrc, self._clock.seconds())
        roc, sequence = self.forwarder.position(ssrc)
        self.settle()
        return StreamGranted(
            user_id, kind, 0, ssrc, form, roc, sequence, *self._keys[ssrc]
        )

    def datagramReceived(self, data, addr):
        """See `DatagramProtocol`."""
        now = self._clock.seconds()
        self.forwarder.receive(data, addr, now)
        while self.legs.waiting():
            self.legs.receive_waiting(now)
        self.settle()

    def settle(self):
        """Send what is to be sent, and set the timer."""
        for data, path in self.legs.to_send():
            self.transport.write(data, path.remote)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        when = self.legs.next_timeout()
        if when is not None:
            wait = max(0.0, when - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._due)

    def _due(self):
        self.legs.handle_timeout(self._clock.seconds())
        self.settle()

    def stop(self):
        """Leave no delayed call behind."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


class End:
    """One client's media session and what happened to it."""

    def __init__(self, bench, address):
        self.bench = bench
        self.address = address
        self.log = []
        self.udp = []
        self.id, self.setup = bench.relay.open()
        self.media = MediaSession(
            bench.clock,
            self.log.append,
            lambda bound, delay: self.udp.append((bound, delay)),
            bench.random.randbytes,
            bench.network.host(address),
            InlineWorkers(self.log.append),
            bench.wall_clock,
        )
        self.media.configure(self.setup, SERVER)

    def publish(self, source, parameters=None, overrides=None):
        """Publish all of a source; its publications by kind, with formats."""
        publications = {}
        for kind, form in self.media.formats(source, parameters, overrides):
            opened = self.bench.relay.publish(self.id, kind)
            publications[kind] = self.media.publish(opened, kind, form, source)
            small = self.media.layer(source)
            if kind is StreamKind.VIDEO and small is not None:
                opened = self.bench.relay.publish_layer(self.id, opened.ssrc)
                self.media.publish_layer(opened, small, source, publications[kind])
        return publications

    def watch(self, publications, sink):
        """Receive all of that; the receptions by kind."""
        receptions = {}
        for kind, publication in publications.items():
            granted = self.bench.relay.subscribe(
                self.id, publication.ssrc, kind, publication.format
            )
            receptions[kind] = self.media.receive(granted, sink)
            layer = publication.layer
            if layer is not None:
                self.media.receive_layer(
                    self.bench.relay.grant_layer(
                        publication.ssrc, layer.ssrc, layer.format
                    )
                )
        return receptions


class Bench:
    """A clock, a network, a relay, and as many ends as asked for."""

    def __init__(self, seed=1):
        self.clock = Clock()
        self.random = Random(seed)
        self.network = MemoryNetwork(self.clock, seed)
        self.relay = Relay(self.clock, self.network, self.random.randbytes)
        self.ends = []

    def wall_clock(self):
        """Seconds since 1970; everybody's clock is right."""
        return EPOCH + self.clock.seconds()

    def end(self):
        """A client that is connected."""
        end = End(self, f"10.0.1.{len(self.ends) + 1}")
        self.ends.append(end)
        return end

    def impair(self, end, up=None, down=None):
        """Make the path to and from one end worse."""
        if up is not None:
            self.network.impair(end.address, SERVER, up)
        if down is not None:
            self.network.impair(SERVER, end.address, down)

    def run(self, seconds):
        """Let time pass."""
        run(self.clock, seconds)

    def stop(self):
        """End everything."""
        for end in self.ends:
            end.media.stop()
        self.run(0.1)
        self.relay.stop()
        # What is still on its way arrives.
        self.run(0.1)
