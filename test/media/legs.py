"""Clients that a test plays, on legs over a portable forwarder."""

import random

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media import rtcp, stun
from anychat.media.leg import Legs
from anychat.media.leg_state import Credentials
from anychat.media.path import Path
from anychat.media.routes import Forwarder
from anychat.media.srtp import SrtcpReceiver, SrtcpSender
from test.media.test_routes import SSRC

ALICE, BOB, CAROL = SessionId(1), SessionId(2), SessionId(3)
AUDIO, VIDEO = StreamKind.AUDIO, StreamKind.VIDEO
OTHER = Ssrc(0x0BAD)


class Peer:
    """A client's end of its leg."""

    def __init__(self, world: "World", leg: SessionId):
        self.world = world
        self.leg = leg
        self.credentials = Credentials(
            username=f"user {leg}",
            client_ssrc=Ssrc(0xC0 + leg),
            server_ssrc=Ssrc(0x50 + leg),
            stun_key=b"stun key %d" % leg,
            rtcp_key=bytes((leg,)) * 16,
            rtcp_salt=bytes((leg,)) * 12,
        )
        self.path = Path((f"192.0.2.{leg}", 4000 + leg))
        keys = self.credentials.rtcp_key, self.credentials.rtcp_salt
        self.sender = SrtcpSender(*keys, self.credentials.client_ssrc)
        self.receiver = SrtcpReceiver(*keys, self.credentials.server_ssrc)
        self.media: list[bytes] = []
        self.feedback: list[rtcp.RtcpPacket] = []
        self.answers = True

    def take(self, data: bytes) -> None:
        """Something was sent to its address."""
        if data[0] >> 6 == 2 and 192 <= data[1] <= 223 and data[1] != 200:
            self.feedback += rtcp.parse(self.receiver.unprotect(data))
        elif data[0] >> 6 == 2:
            self.media.append(data)
        else:
            message = stun.parse(data)
            if message.kind is stun.MessageClass.REQUEST and self.answers:
                key = self.credentials.stun_key
                self.send(stun.success(message, self.path.remote, key))

    def send(self, *datagrams: bytes) -> None:
        """Send from its address."""
        for data in datagrams:
            self.world.deliver(data, self.path)

    def bind(self) -> None:
        """Send a Binding request; the rest follows."""
        transaction = self.world.random(12)
        credentials = self.credentials
        self.send(stun.request(transaction, credentials.username, credentials.stun_key))

    def report(self, *packets: rtcp.RtcpPacket) -> None:
        """Send RTCP under the leg's keys; the first packet's SSRC is its own."""
        self.send(self.sender.protect(rtcp.build(packets)))

    def nack(self, *sequences: int, ssrc: int = SSRC) -> None:
        """Ask for packets again."""
        self.report(rtcp.Nack(self.credentials.client_ssrc, ssrc, sequences))

    def pli(self, ssrc: int = SSRC) -> None:
        """Ask for a key frame."""
        self.report(rtcp.Pli(self.credentials.client_ssrc, ssrc))


class World:
    """Legs over a portable forwarder, and a network without loss or delay."""

    def __init__(self) -> None:
        self.random = random.Random(11).randbytes
        self.forwarder = Forwarder(lambda path: self._sent)
        self.legs = Legs(self.forwarder, self.random)
        self.peers: dict[SessionId, Peer] = {}
        self.now = 100.0
        self.sent: list[tuple[bytes, tuple]] = []

    def peer(self, leg: SessionId, bound: bool = True) -> Peer:
        """Open a leg."""
        peer = self.peers[leg] = Peer(self, leg)
        self.legs.open(leg, peer.credentials)
        if bound:
            peer.bind()
        return peer

    def deliver(self, data: bytes, path: Path) -> None:
        """The server gets a datagram, and everybody what follows."""
        self.forwarder.receive(data, path.remote, self.now, path.local)
        while self.legs.waiting():
            self.legs.receive_waiting(self.now)
        self.settle()

    def settle(self) -> None:
        """Carry what the server sends to the peers."""
        for data, path in self.legs.to_send():
            self._sent(data, path.remote)
        sent, self.sent = self.sent, []
        for data, address in sent:
            for peer in self.peers.values():
                if peer.path.remote == address:
                    peer.take(data)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while (when := self.legs.next_timeout()) is not None and when <= end:
            self.now = max(self.now, when)
            self.legs.handle_timeout(self.now)
            self.settle()
        self.now = end

    def _sent(self, data: bytes, address: tuple) -> None:
        self.sent.append((data, address))


class LegsTestsMixin:
    """What is done with `Legs` in many tests."""

    def setUp(self):
        """Two clients that are bound; no streams."""
        self.world = World()
        self.legs = self.world.legs
        self.alice = self.world.peer(ALICE)
        self.bob = self.world.peer(BOB)

    def publish(self, kind=VIDEO, ssrc=SSRC):
        """Alice opens a stream that Bob watches."""
        self.legs.publish(ALICE, ssrc, kind)
        self.subscribe(BOB, ssrc)

    def subscribe(self, leg, ssrc=SSRC):
        """Somebody watches."""
        self.legs.subscribe(leg, ssrc, self.world.now)
        self.world.settle()

    def drops(self):
        """Counts by reason, the forwarder's left out."""
        return self.legs.drops.snapshot()

    def plis(self):
        """How often Alice was asked for a key frame."""
        return sum(isinstance(packet, rtcp.Pli) for packet in self.alice.feedback)
