"""A server for one client, in memory, that says what the test tells it to."""

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect

from anychat.codes import Capability, ResultCode
from anychat.messages import (
    ClientHello,
    ClientProof,
    Connect,
    EnterRoom,
    EnterRoomResult,
    Heartbeat,
    HeartbeatReply,
    Login,
    LoginEx,
    LoginResult,
    MediaSetup,
    OnlineUser,
    Resume,
    Resumed,
    RoomMembers,
    ServerHello,
    ServerParameters,
)
from anychat.protocols.formats import decode, encode
from anychat.protocols.framing import (
    FIRST_SESSION_TYPE,
    MAGIC,
    UNNUMBERED,
    FrameReader,
    encode_frame,
)
from anychat.protocols.reliable import ReliableChannel

PARAMETERS = ServerParameters(
    video_width=320,
    video_height=240,
    video_fps=15,
    video_gop=30,
    video_bitrate=90000,
    video_codec=1,
    video_quality=3,
    video_preset=3,
    audio_sample_rate=16000,
    audio_channels=1,
    audio_sample_bits=16,
    audio_codec=11,
    audio_bitrate=15850,
)

SETUP = MediaSetup(
    (),
    8907,
    "user",
    1,
    2,
    stun_key=b"k" * 16,
    rtcp_key=b"r" * 16,
    rtcp_salt_key=b"s" * 12,
)


class Side(Protocol):
    """The server's end of one connection."""

    def __init__(self, server):
        self.server = server
        self.reader = FrameReader()
        self.greeted = b""
        self.received = []
        self.lost = False

    def dataReceived(self, data):
        """Cut frames, note messages, do what is always done."""
        if len(self.greeted) < len(MAGIC):
            missing = len(MAGIC) - len(self.greeted)
            self.greeted += data[:missing]
            data = data[missing:]
        if self.greeted == MAGIC:
            for frame in self.reader.receive(data):
                message = decode(frame.type, frame.body)
                if frame.type >= FIRST_SESSION_TYPE and frame.type not in UNNUMBERED:
                    channel = self.server.channel
                    channel.acknowledge(frame.ack)
                    if not channel.take(frame.seq):
                        continue
                self.received.append((frame.request, message))
                if self.server.answers:
                    self.answer(frame.request, message)

    def answer(self, request, message):
        """What any server says."""
        server = self.server
        if isinstance(message, ClientHello):
            self.send(server.hello)
            if not server.hello.proof_required:
                self.send(Connect(server.connect_code))
        elif isinstance(message, ClientProof):
            self.send(Connect(server.connect_code))
        elif isinstance(message, Heartbeat):
            self.send(HeartbeatReply(message.stamp))
        elif isinstance(message, Login | LoginEx) and server.login_code is not None:
            server.login(self, message)
        elif isinstance(message, Resume) and server.resume_code is not None:
            server.resume(self, message)

    def send(self, message, request=0):
        """Say something."""
        type, body = encode(message)
        if type >= FIRST_SESSION_TYPE and type not in UNNUMBERED:
            self.transport.write(self.server.channel.number(type, body, request))
        else:
            self.transport.write(
                encode_frame(type, body, ack=self.server.channel.taken)
            )

    def take(self):
        """Requests since the last call, as (number, message)."""
        received, self.received[:] = list(self.received), []
        return [item for item in received if not isinstance(item[1], Heartbeat)]

    def connectionLost(self, reason):
        """The client went away."""
        self.lost = True


class FakeServer:
    """Takes connections of one client."""

    def __init__(self, clock):
        self.clock = clock
        self.sides = []
        self.pumps = []
        self.waiting = []
        self.address = "127.0.0.1"
        self.refusal = None
        """What a connection attempt fails with."""
        self.reachable = True
        """False: attempts get no answer at all."""
        self.answers = True
        self.hello = ServerHello(
            version=1,
            capabilities=Capability.MEDIA | Capability.RESUME,
            nonce=bytes(16),
            salt=bytes(16),
            proof_required=False,
            server_version="5.2",
            build_time="today",
            operating_system="Linux",
            uptime=60,
            licence_mode=0,
            check_time=5000,
            timeout=20000,
        )
        self.connect_code = ResultCode.SUCCESS
        self.login_code = ResultCode.SUCCESS
        self.resume_code = ResultCode.SUCCESS
        self.resync = False
        self.user_id = 7
        self.tokens = 0
        self.channel = ReliableChannel()

    # The client's endpoint.

    def endpoint(self, host, port):
        """An endpoint for `Client`."""
        self.dialled = host, port
        return self

    def connect(self, factory):
        """An attempt to connect."""
        if self.refusal is not None:
            refused = Deferred()
            refused.errback(Failure(self.refusal))
            return refused
        attempt = Deferred()
        self.waiting.append(attempt)
        if not self.reachable:
            return attempt
        try:
            link = factory.buildProtocol(_Address(self.address))
        except Exception:
            attempt.errback(Failure())
            return attempt
        side = Side(self)
        self.sides.append(side)
        server_transport = FakeTransport(side, isServer=True)
        client_transport = FakeTransport(link, isServer=False)
        self.pumps.append(
            connect(side, server_transport, link, client_transport, greet=False)
        )
        attempt.callback(link)
        return attempt

    # What the test does.

    @property
    def side(self):
        """The latest connection."""
        return self.sides[-1]

    def flush(self):
        """Deliver everything that was written."""
        for pump in list(self.pumps):
            pump.flush()

    def cut(self):
        """The connection breaks, for both ends."""
        self.flush()
        pump = self.pumps.pop()
        for transport in (pump.serverIO, pump.clientIO):
            transport.disconnecting = transport.disconnected = True
        lost = Failure(error.ConnectionLost())
        pump.client.connectionLost(lost)
        pump.server.connectionLost(lost)

    def login(self, side, message):
        """Answer a login."""
        if self.login_code:
            side.send(LoginResult(self.login_code))
            return
        self.tokens += 1
        self.channel = ReliableChannel()
        name = message.name if isinstance(message, Login) else message.nickname
        side.send(
            LoginResult(ResultCode.SUCCESS, self.user_id, 0, name, self.token, 30)
        )
        side.send(PARAMETERS)
        side.send(SETUP)

    def resume(self, side, message):
        """Answer a resumption."""
        if self.resume_code or message.token != self.token:
            side.send(Resumed(ResultCode.SESSIONNOTEXIST))
            return
        self.tokens += 1
        taken, missed = self.channel.taken, self.channel.resume(message.taken)
        if self.resync:
            self.channel.restart()
            taken, missed = 0, []
        side.send(Resumed(ResultCode.SUCCESS, taken, self.resync, self.token))
        side.transport.write(b"".join(missed))

    @property
    def token(self):
        """The token that resumes the session."""
        return self.tokens.to_bytes(16, "big")

    def let_in(self, *members, room_id=1, name="one"):
        """Grant the entry that was asked for."""
        ((request, message),) = self.side.take()
        assert isinstance(message, EnterRoom), message
        self.side.send(EnterRoomResult(ResultCode.SUCCESS, room_id, name), request)
        self.tell_room(*members, room_id=room_id)

    def tell_room(self, *members, room_id=1):
        """The notifications that come with an entry."""
        self.side.send(RoomMembers(room_id, members))
        self.side.send(OnlineUser(len(members) + 1, room_id))
        self.flush()


class _Address:
    """Where a connection leads."""

    def __init__(self, host):
        self.host = host
