"""One user of the load: a link, a seat in a room, a UDP path.

A member signs in and asks as any client does; what it publishes and receives
is the business of `wire`, to which its socket is lent.  STUN and RTCP that
come to that socket come back here.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import Deferred, fail

from anychat.client.link import Connection, Dialler
from anychat.client.media.binding import Abnormal, Binding, Bound
from anychat.codes import ResultCode, StreamKind
from anychat.errors import PeerError, Refused
from anychat.load.layout import Seat
from anychat.media import rtcp
from anychat.media.demux import Kind, classify
from anychat.media.srtp import SrtcpReceiver
from anychat.messages import (
    EnterRoomByName,
    Login,
    LoginResult,
    Logout,
    MediaSetup,
    Message,
    OpenStream,
    StreamFormat,
    StreamGranted,
    StreamOpened,
    UserCameraControl,
    UserSpeakControl,
)

_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
#: Bytes asked of the system for each socket; a fan-out comes in a flood.
_RECEIVE_BUFFER = 1 << 20


class Member:
    """One user.

    :param lost: told once when the link is lost after the login.
    """

    def __init__(
        self,
        dialler: Dialler,
        seat: Seat,
        name: str,
        lost: "Callable[[Member, Refused | PeerError], None]",
    ):
        self.seat = seat
        self.user_id = 0
        self.key_frames_asked = 0
        self.packets_asked = 0
        self.paths_lost = 0
        """Times that the server stopped answering over UDP."""
        self.binding: Binding | None = None
        self.socket: socket.socket | None = None
        self.on_key_frame: Callable[[], None] = lambda: None
        """Called when the server asks for a key frame."""
        self._dialler = dialler
        self._name = name
        self._lost = lost
        self._connection: Connection | None = None
        self._waiting: dict[object, Deferred[Any]] = {}
        """By what is waited for: the number of a request, a class of message,
        whose grant; None for the end of the hello."""
        self._last_request = 0
        self._bound: Deferred[float] | None = None
        self._active = True
        self._addresses: list[tuple[str, int]] = []
        self._setup: MediaSetup | None = None
        self._srtcp: SrtcpReceiver | None = None
        self._error: Refused | PeerError | None = None

    # What the crowd asks.

    async def sign_in(self, host: str, port: int, password: str) -> None:
        """Connect and log in.

        :raise Refused: the server said no, or cannot be reached.
        """
        ready = self._await(None)
        self._connection = connection = self._dialler.dial(host, port, self)
        await ready
        connection.link.send(Login(self._name, password, connection.local_address))
        result: LoginResult = await self._await(LoginResult)
        if result.code != ResultCode.SUCCESS:
            raise Refused(result.code)
        self.user_id = result.user_id
        self._setup = await self._await(MediaSetup)

    async def enter(self, room: str) -> None:
        """Enter a room.

        :raise Refused: he may not.
        """
        await self._request(EnterRoomByName(room))

    def open_socket(self) -> socket.socket:
        """The member's UDP socket, towards the server's media port.

        :raise OSError: there are too many.
        """
        assert self._setup is not None and self._connection is not None
        setup = self._setup
        hosts = setup.addresses or (self._connection.address,)
        self._addresses = [(host, setup.port) for host in hosts]
        family = socket.AF_INET6 if ":" in hosts[0] else socket.AF_INET
        self._addresses = [
            address
            for address in self._addresses
            if (":" in address[0]) == (family == socket.AF_INET6)
        ]
        self._srtcp = SrtcpReceiver(
            setup.rtcp_key, setup.rtcp_salt_key, setup.server_ssrc
        )
        self.socket = opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        return opened

    def bind(
        self, random_bytes: Callable[[int], bytes], now: float, active: bool
    ) -> "Deferred[float]":
        """Bind the socket's address at the server; fires with the round trip.

        :param active: there will be media, so keep it warm.
        """
        self._bound = Deferred()
        self._active = active
        self._bind_next(random_bytes, now)
        return self._bound

    async def publish(self, kind: StreamKind, form: StreamFormat) -> int:
        """Open a stream; its SSRC.

        :raise Refused: he may not.
        """
        reply = await self._request(OpenStream(kind, 0, form))
        return cast(StreamOpened, reply).ssrc

    async def watch(self, user_ids: Sequence[int], kind: StreamKind) -> None:
        """Subscribe to these users' streams, and wait until all are granted.

        :raise Refused: he may not.
        """
        control = UserCameraControl if kind is StreamKind.VIDEO else UserSpeakControl
        for user_id in user_ids:
            await self._request(control(user_id, True))
            await self._await((user_id, kind))
            del self._waiting[user_id, kind]

    def leave(self) -> None:
        """Log out and close everything; the owner hears no more of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._error is None and self.user_id:
                with suppress(Refused):
                    self._last_request += 1
                    connection.link.send(Logout(), self._last_request)
            connection.close()
        if self.socket is not None:
            self.socket.close()

    # UDP.

    def received(self, data: bytes, now: float) -> None:
        """STUN or RTCP came to the socket."""
        if classify(data) is Kind.RTCP:
            self._feedback(data)
        elif self.binding is not None:
            self.binding.receive(data, self.binding.peer, now)

    def drain(self, random_bytes: Callable[[int], bytes], now: float) -> None:
        """Send what the binding has to say, and see what it noticed."""
        assert self.binding is not None
        for event in self.binding.events():
            if isinstance(event, Bound):
                if self._bound is not None:
                    bound, self._bound = self._bound, None
                    bound.callback(event.delay)
            elif isinstance(event, Abnormal):
                if self._bound is None:
                    self.paths_lost += 1
                elif self._addresses:
                    self._bind_next(random_bytes, now)
                else:
                    bound, self._bound = self._bound, None
                    bound.errback(
                        Refused(
                            ResultCode.CONNECT_TIMEOUT,
                            "the server's UDP port does not answer",
                        )
                    )
        assert self.socket is not None
        for data, _ in self.binding.to_send():
            # A lost request is repeated.
            with suppress(OSError):
                self.socket.send(data)

    def _bind_next(self, random_bytes: Callable[[int], bytes], now: float) -> None:
        """Try the next one of the server's addresses."""
        assert self._setup is not None and self.socket is not None
        address = self._addresses.pop(0)
        self.socket.connect(address)
        self.binding = Binding(
            [address], self._setup.username, self._setup.stun_key, random_bytes, now
        )
        self.binding.set_active(self._active, now)
        self.binding.handle_timeout(now)

    def _feedback(self, data: bytes) -> None:
        """The server asks the publisher for something."""
        assert self._srtcp is not None
        with suppress(PeerError):
            for packet in rtcp.parse(self._srtcp.unprotect(data)):
                if isinstance(packet, rtcp.Pli):
                    self.key_frames_asked += 1
                    self.on_key_frame()
                elif isinstance(packet, rtcp.Nack):
                    self.packets_asked += len(packet.sequences)

    # What the connection reports.

    def connection_ready(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        self._resolve(None, connection)

    def connection_message(
        self, connection: Connection, request: int, message: Message
    ) -> None:
        """See `ConnectionOwner`; only what is waited for is looked at."""
        if request:
            self._resolve(request, message)
        elif isinstance(message, LoginResult | MediaSetup):
            self._resolve(type(message), message)
        elif isinstance(message, StreamGranted):
            self._resolve((message.user_id, message.kind), message)

    def connection_lost(
        self, connection: Connection, error: Refused | PeerError
    ) -> None:
        """See `ConnectionOwner`."""
        self._error = error
        waiting, self._waiting = list(self._waiting.values()), {}
        for deferred in waiting:
            if not deferred.called:
                deferred.errback(error)
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.errback(error)
        self._lost(self, error)

    # Inside.

    def _await(self, what: object) -> "Deferred[Any]":
        """For something that the link brings, which may have come already."""
        if self._error is not None:
            return fail(self._error)
        return self._waiting.setdefault(what, Deferred())

    def _resolve(self, what: object, value: object) -> None:
        waiting = self._waiting.setdefault(what, Deferred())
        # Set-up and grants may come again.
        if not waiting.called:
            waiting.callback(value)

    async def _request(self, message: Message) -> Message:
        """Ask, and wait for the answer; each waits for the one before."""
        if self._connection is None:
            raise Refused(ResultCode.NOTLOGIN)
        self._last_request += 1
        number = self._last_request
        answer = self._await(number)
        if self._error is None:
            self._connection.link.send(message, number)
        reply: Message = await answer
        del self._waiting[number]
        code = getattr(reply, "code", ResultCode.SUCCESS)
        if code != ResultCode.SUCCESS:
            raise Refused(code)
        return reply
