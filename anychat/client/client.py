"""The client SDK: a program's own AnyChat client, on Twisted.

::

    client = Client(reactor)
    client.events.on_text_message = lambda source, target, secret, text: print(text)
    client.connect("chat.example.org")
    client.login("ann", "secret")
    client.enter_room(1)
    client.publish("test:")

Every call gives a Deferred, and no call needs to wait for another one: they
start in order as soon as what they need stands.  A Deferred fails with
`Refused`, whose ``code`` is AnyChat's; 100 where no answer came in time.
"""

import os
import random
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

import anychat
from anychat.business_messages import MAX_BUFFER
from anychat.client import log as lines
from anychat.client.address import DEFAULT_PORT
from anychat.client.calls import Calls, Need, checked
from anychat.client.events import ClientEvents, guarded
from anychat.client.link import CONNECT_TIMEOUT, Backoff, Dialler
from anychat.client.log import LOG_NAME, ClientLog
from anychat.client.log_upload import LogUpload
from anychat.client.membership import Entry, Membership
from anychat.client.notifications import Notifications
from anychat.client.people import People
from anychat.client.plane import Plane, media_session
from anychat.client.requests import Requests
from anychat.client.room import Room
from anychat.client.sdk_options import SDKOptions
from anychat.client.session import Phase, Session, SignedUser
from anychat.client.sources import Sources
from anychat.client.streams import Streams
from anychat.client.trace import UdpTrace
from anychat.client.transfers import Transfers
from anychat.client.trust import KnownServers, Trust
from anychat.client.video_calls import VideoCalls
from anychat.client.wishes import Publishing, Sink, Watching
from anychat.codes import (
    SELF,
    WHOLE_ROOM,
    ResultCode,
    RoomState,
    SelfStatus,
    StreamKind,
    UserState,
)
from anychat.errors import Refused
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    LoginResult,
    MediaSetup,
    Member,
    Message,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    Result,
    Resync,
    SendSDKFilterData,
    SendText,
    ServerHello,
    ServerParameters,
    StateValue,
    TransBuffer,
    UserList,
)

#: Bytes that a `TransBuffer` holds at most.
BUFFER_MAXIMUM = 1000


class Client:
    """One user's client."""

    def __init__(
        self,
        reactor: Any,
        events: ClientEvents | None = None,
        *,
        trust: Trust | None = None,
        auth_pass: str = "",
        plain: bool = False,
        log_path: str | None = LOG_NAME,
        auto_reconnect: bool = True,
        media_at_login: bool = False,
        connect_timeout: float = CONNECT_TIMEOUT,
        call_timeout: float = 30.0,
        agent: str = f"anychat-client {anychat.__version__}",
        random_bytes: Callable[[int], bytes] = os.urandom,
        uniform: Callable[[float, float], float] = random.uniform,
        endpoint: Callable[[str, int], IStreamClientEndpoint] | None = None,
        derive: Callable[[str, bytes], Any] | None = None,
        media: Callable[..., Any] = media_session,
        in_thread: "Callable[..., Deferred[Any]] | None" = None,
    ):
        """
        :param events: what is told of what happens.
        :param trust: which server is the right one; trust on first use.
        :param auth_pass: SDKAuthPass, where the server asks for it.
        :param plain: without TLS, to this machine only; such a connection
            carries neither passwords nor media.
        :param log_path: the client's log, None for none.
        :param auto_reconnect: restore a lost connection (option 47).
        :param media_at_login: open the UDP path as soon as the server names
            it, as AnyChat does; else with the first `publish` or `watch`.
        :param connect_timeout: seconds for name, TCP, TLS and hello together.
        :param call_timeout: seconds from any other call to its answer.
        :param agent: what the server's log says about this program.

        The others are the world outside, for tests.
        """
        self.reactor = reactor
        self.events = events or ClientEvents()
        self.log = ClientLog(log_path)
        self.user_id = 0
        """One's own id; 0 while not logged in."""
        self.nickname = ""
        self.level = 0
        self.hello: ServerHello | None = None
        """What the server said about itself."""
        self.parameters: ServerParameters | None = None
        """The server's default media parameters."""
        self._tell = tell = guarded(lambda: self.events)
        self._media_at_login = media_at_login
        self._over = Refused(ResultCode.NOTINIT)
        self._session = Session(
            Dialler(
                reactor,
                trust or KnownServers(),
                random_bytes,
                agent,
                plain,
                auth_pass,
                connect_timeout,
                endpoint,
                derive,
            ),
            self,
            Backoff(uniform),
            auto_reconnect,
        )
        self._calls = Calls(reactor, self._is_met, call_timeout)
        self._requests = Requests(self._session.request, self._calls)
        self._plane = Plane(
            media,
            reactor,
            self.log,
            lambda code: tell.on_sdk_warning(code),
            random_bytes,
        )
        self.trace = UdpTrace(
            reactor,
            self._requests.command,
            self._plane.session,
            lambda: self._plane.setup,
            lambda: self.user_id,
        )
        """Measures the network (options 160 to 168)."""
        self.logs = LogUpload(self.log, self._requests.command)
        """Sends the client's log (option 134)."""
        self._streams = Streams(
            self._requests.send,
            self._plane.session,
            lambda: self.parameters,
            tell,
            self.log,
        )
        self._sources = Sources(
            reactor, self._plane, self._streams, lambda: self.parameters, tell, self.log
        )
        self.transfers = Transfers(
            reactor,
            self._requests.send,
            self._calls,
            tell,
            in_thread or self._defer_to_thread,
        )
        """What is sent and received in chunks: TransBufferEx, TransFile."""
        self.options = SDKOptions(
            self._requests.command,
            self._requests.query,
            self._override,
            lambda: self.parameters,
            self._plane.adapt,
        )
        """SetSDKOption and GetSDKOption."""
        self.transfers.add_options(self.options)
        self.people = People(
            self._requests.command, self._requests.query, self._timely, tell
        )
        """User data and friends; control codes; QueryInfoFromServer."""
        self.video_calls = VideoCalls(self._requests.command, tell)
        """Calls users, and is called."""
        self._membership = Membership(
            self._session.request, self._streams, tell, self.log, self._calls.drain
        )
        self._notifications = Notifications(
            self._membership,
            self._streams,
            self._plane,
            self.people,
            self.video_calls,
            self.transfers,
            self.logs,
            tell,
            self.log,
        )

    # What there is to see.

    @property
    def status(self) -> SelfStatus:
        """Where the client stands (user-state kind 16)."""
        phase = self._session.phase
        if phase is Phase.LIVE:
            return SelfStatus.IN_ROOM if self.room else SelfStatus.LOGGED_IN
        if phase in (Phase.CONNECTED, Phase.LOGGING_IN):
            return SelfStatus.CONNECTED
        if phase is Phase.HELD:
            return SelfStatus.LINK_CLOSED
        if self._over.code == ResultCode.NOTINIT:
            return SelfStatus.UNKNOWN
        if self._over.code == ResultCode.NOTLOGIN:
            return SelfStatus.LOGGED_OUT
        return SelfStatus.LINK_CLOSED

    @property
    def room(self) -> Room | None:
        """The room one is in."""
        return self._membership.room

    @property
    def members(self) -> dict[int, Member]:
        """The others in the room, by user id."""
        return dict(self.room.members) if self.room is not None else {}

    @property
    def room_id(self) -> int:
        """The room one is in, 0 for none."""
        return self.room.room_id if self.room is not None else 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate, empty without a connection."""
        connection = self._session.connection
        return connection.fingerprint if connection is not None else ""

    @property
    def round_trip(self) -> float | None:
        """Seconds from the last heartbeat to its reply."""
        connection = self._session.connection
        return connection.round_trip if connection is not None else None

    @property
    def publications(self) -> tuple[Publishing, ...]:
        """What is being published."""
        return self._streams.publications

    @property
    def watched(self) -> tuple[Watching, ...]:
        """What is being watched."""
        return self._streams.watched

    # Connecting and logging in.

    def connect(self, host: str, port: int = DEFAULT_PORT) -> "Deferred[ServerHello]":
        """Connect to a server.

        Fails with 100 (no answer in 10 s), 101, 102 (SDKAuthPass), 103 (no
        such name), 108 (no such server), 68 (not the right one), ...
        """
        self._over = Refused(ResultCode.NOTINIT)
        outcome = maybeDeferred(self._session.connect, host, port)
        return outcome.addCallbacks(self._connected, self._not_connected)

    def _connected(self, hello: ServerHello) -> ServerHello:
        self.hello = hello
        self._over = Refused(ResultCode.NOTLOGIN)
        self.log(lines.connect_line(ResultCode.SUCCESS))
        self.log(lines.server_version_line(hello))
        self.log(lines.server_running_line(hello))
        self._tell.on_connect(ResultCode.SUCCESS)
        return hello

    def _not_connected(self, failure: Failure) -> Failure:
        failure.trap(Refused)
        if failure.value.code != ResultCode.SESSIONEXIST:
            self._over = failure.value
            self.log(lines.connect_line(failure.value.code))
            self._tell.on_connect(failure.value.code)
            self._calls.drain()
        return failure

    def login(self, name: str, password: str = "") -> "Deferred[LoginResult]":
        """Log in; an empty password asks for a guest's id.

        The name and the password are kept in memory for as long as the
        session lasts: a new login after a lost session needs them.
        """
        outcome = self._calls.submit(
            Need.LINK,
            lambda: maybeDeferred(self._session.login, name, password).addErrback(
                self._not_logged_in, name
            ),
            lambda: self._close_link(ResultCode.CONNECT_TIMEOUT),
        )
        return outcome

    def _not_logged_in(self, failure: Failure, name: str) -> Failure:
        failure.trap(Refused)
        self.log(lines.login_line(0, failure.value.code, name))
        self._tell.on_login_system(0, failure.value.code)
        return failure

    def login_ex(
        self, nickname: str, sign: "Callable[[], SignedUser | Deferred[SignedUser]]"
    ) -> "Deferred[LoginResult]":
        """LoginEx: log in with a signature of the application's own server.

        Fails with 214 to 220, 226 or 100305 where it is not taken.

        :param sign: gives a fresh signature, or a Deferred of one; called again for
            each new login after a lost session, since none works twice.  If it
            fails the login does, with 44 or the code of its `Refused`.
        """
        return self._calls.submit(
            Need.LINK,
            lambda: maybeDeferred(self._session.login_ex, nickname, sign).addErrback(
                self._not_logged_in, nickname
            ),
            lambda: self._close_link(ResultCode.CONNECT_TIMEOUT),
        )

    def logout(self) -> "Deferred[None]":
        """End the session; the connection is closed with it."""

        def start() -> "Deferred[None]":
            return self._session.logout().addCallback(done)

        def done(reply: Message) -> None:
            self._forget_session(Refused(ResultCode.NOTLOGIN))
            checked(reply, Result)

        return self._calls.submit(Need.SESSION, start)

    def close(self) -> "Deferred[Any]":
        """Stop at once, without a word; fires when all media has stopped.

        Calls that wait fail with 6.  The client may connect again.
        """
        self._forget_session(Refused(ResultCode.CANCEL))
        self._session.close()
        self._calls.drain()
        return self._plane.stopped()

    def _close_link(self, code: ResultCode) -> None:
        self.session_ending(Refused(code))
        self._session.close(code)
        self.session_closed(code, was_held=False)

    # Rooms.

    def enter_room(self, room: int | str, password: str = "") -> "Deferred[Room]":
        """Enter a room, by number or by name; fires after its ONLINEUSER.

        After a lost session the client enters it again by itself.
        """
        message: EnterRoom | EnterRoomByName
        if isinstance(room, str):
            message = EnterRoomByName(room, password)
        else:
            message = EnterRoom(room, password)
        entry = Entry(message)
        return self._calls.submit(
            Need.SESSION,
            lambda: self._membership.enter(entry),
            lambda: self._membership.abandon(entry),
        )

    def leave_room(self) -> "Deferred[None]":
        """Leave the room; what was published and watched there ends."""

        def start() -> "Deferred[None]":
            return self._membership.leave().addCallback(left)

        def left(reply: Message | None) -> None:
            if reply is not None:
                checked(reply, Result)

        return self._calls.submit(Need.SESSION, start)

    # Texts and buffers.

    def send_text(
        self, text: str, target: int = WHOLE_ROOM, secret: bool = False
    ) -> "Deferred[None]":
        """Send a text to the room or to a user, secretly if told so.

        Fails with 101 if the session is lost meanwhile: whether it arrived is
        then unknown.
        """
        return self._requests.command(SendText(target, secret, text))

    def trans_buffer(self, data: bytes, target: int = WHOLE_ROOM) -> "Deferred[None]":
        """Send up to 1000 bytes to the room, a user, or the business server (0)."""
        if len(data) > BUFFER_MAXIMUM:
            return fail(Refused(ResultCode.FUNCOPTERROR))
        return self._requests.command(TransBuffer(target, bytes(data)))

    def send_filter_data(self, data: bytes) -> "Deferred[None]":
        """Send up to 60,000 bytes to the server's plug-in or business servers.

        Fails with 206 where none is there.
        """
        if len(data) > MAX_BUFFER:
            return fail(Refused(ResultCode.FUNCOPTERROR))
        return self._requests.command(SendSDKFilterData(bytes(data)))

    # Queries.

    def online_users(self) -> "Deferred[UserList]":
        """Ids of all users that are logged in."""
        return self._requests.query(QueryOnlineUsers(), UserList)

    def room_users(self, room_id: int) -> "Deferred[UserList]":
        """Ids of a room's members, oneself left out."""
        return self._requests.query(QueryRoomUsers(room_id), UserList)

    def room_state(self, room_id: int, state: RoomState) -> "Deferred[StateValue]":
        """A room's name (text) or number of users without oneself (number)."""
        return self._requests.query(QueryRoomState(room_id, state), StateValue)

    def user_state(
        self, state: UserState, user_id: int = SELF
    ) -> "Deferred[StateValue]":
        """One state of a user, or of oneself."""
        return self._requests.query(QueryUserState(user_id, state), StateValue)

    # Streams.

    def publish(
        self, source: Any, stream_index: int = 0, overrides: Any = None
    ) -> "Deferred[Publishing]":
        """Publish a source: a text for ``open_source``, or what that gives.

        :param overrides: media parameters that replace the server's.

        Fails with 22 where the file or device cannot be opened, 21 where that is
        no source.
        """

        return self._calls.submit(
            Need.ROOM,
            lambda: self._sources.publish(source, stream_index, overrides),
            lambda: self._streams.unpublish(stream_index),
        )

    def unpublish(self, stream_index: int = 0) -> None:
        """Stop publishing what has that index."""
        self._streams.unpublish(stream_index)

    def watch(
        self,
        user_id: int,
        video: bool = True,
        audio: bool = True,
        stream_index: int = 0,
        sink: Sink | None = None,
    ) -> "Deferred[Watching]":
        """Watch a member of the room; his streams may be opened later.

        :param sink: where decoded frames go; by default to the events
            `on_video_frame` and `on_audio_frame`.
        """
        kinds = set()
        if video:
            kinds.add(StreamKind.VIDEO)
        if audio:
            kinds.add(StreamKind.AUDIO)

        def start() -> "Deferred[Watching]":
            member = self.members.get(user_id)
            if member is None:
                raise Refused(ResultCode.INVALID_USERID)
            return self._streams.watch(member, kinds, stream_index, sink)

        return self._calls.submit(
            Need.ROOM, start, lambda: self._streams.unwatch(user_id, stream_index)
        )

    def unwatch(self, user_id: int, stream_index: int = 0) -> None:
        """Watch that user's stream index no longer."""
        self._streams.unwatch(user_id, stream_index)

    def _override(self, parameters: dict[str, int]) -> None:
        """Media parameters that the program has chosen take effect."""
        self._streams.overrides = parameters
        self._streams.renew()

    def _timely(self, asked: "Deferred[Any]") -> "Deferred[Any]":
        """A query that fails with 100 when its time is up (option 213)."""

        def late(result: Any, seconds: float) -> Any:
            return Failure(Refused(ResultCode.CONNECT_TIMEOUT))

        seconds = self.options.query_timeout / 1000
        return asked.addTimeout(seconds, self.reactor, late)

    # What calls need.

    def _is_met(self, need: Need) -> bool:
        phase = self._session.phase
        if phase is Phase.IDLE:
            raise Refused(self._over.code, self._over.reason)
        if phase in (Phase.CONNECTING, Phase.LOGGING_IN):
            return False
        if phase is Phase.CONNECTED:
            if need is not Need.LINK:
                raise Refused(ResultCode.NOTLOGIN)
            return True
        if need is Need.LINK:
            raise Refused(ResultCode.ALREADY_LOGIN)
        if not self._session.ready or self._membership.busy:
            return False
        if need is Need.ROOM and self.room is None:
            raise Refused(ResultCode.ROOM_NOTIN)
        return True

    def _defer_to_thread(self, *work: Any) -> "Deferred[Any]":
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), *work)

    # What the session reports.

    def session_began(self, result: LoginResult, anew: bool) -> None:
        """See `SessionOwner`."""
        self.user_id = result.user_id
        self.nickname, self.level = result.nickname, result.level
        self._link_up()
        self.log(lines.login_line(result.user_id, result.code, result.nickname))
        if self._session.connection is not None:
            self.transfers.began(self._session.connection.link)
        self._tell.on_login_system(result.user_id, result.code)
        if anew:
            self._membership.return_home()
            self.options.began_anew()

    def _link_up(self) -> None:
        connection = self._session.connection
        if connection is not None:
            self._plane.link_up(connection.link)

    def session_held(self, code: ResultCode) -> None:
        """See `SessionOwner`."""
        self._plane.link_down()
        self.transfers.held()
        self.log(f"Message OnSessionKeep(0, {code.value})")
        self._tell.on_session_keep(False, code)

    def session_resumed(self) -> None:
        """See `SessionOwner`."""
        self._link_up()
        if self._session.connection is not None:
            self.transfers.resumed(self._session.connection.link)
        self.log(f"Message OnSessionKeep(1, {ResultCode.SUCCESS.value})")
        self._tell.on_session_keep(True, ResultCode.SUCCESS)

    def session_lost(self) -> None:
        """See `SessionOwner`."""
        code = ResultCode.SESSIONNOTEXIST
        self._membership.suspend()
        self.people.forget()
        self.transfers.lost()
        self.video_calls.lost()
        self.parameters = None
        self.log(f"Message OnSessionKeep(1, {code.value})")
        self._tell.on_session_keep(True, code)

    def session_ending(self, reason: Refused) -> None:
        """See `SessionOwner`."""
        self._over = reason

    def session_closed(self, code: ResultCode, was_held: bool) -> None:
        """See `SessionOwner`."""
        self.video_calls.lost()
        self._forget_session(Refused(code))
        if was_held:
            self.log(f"Message OnSessionKeep(1, {code.value})")
            self._tell.on_session_keep(True, code)
        self.log(f"Message OnLinkClose({code.value})")
        self._tell.on_link_close(code)

    def session_eased(self) -> None:
        """See `SessionOwner`."""
        self._calls.drain()

    def session_message(self, message: Message) -> None:
        """See `SessionOwner`."""
        self._take(message)
        self._calls.drain()

    def _forget_session(self, reason: Refused) -> None:
        self._over = reason
        self._membership.forget(reason)
        self.people.forget()
        self.transfers.closed(reason.code)
        self.video_calls.forget()
        self.user_id = self.level = 0
        self.nickname = ""
        self.hello = self.parameters = None
        self.trace.forget()
        self._plane.stop()

    # What the server says about the client itself.

    @singledispatchmethod
    def _take(self, message: Message) -> None:
        self._notifications.take(message)

    @_take.register
    def _(self, message: ServerParameters) -> None:
        first, self.parameters = self.parameters is None, message
        if not first:
            self._streams.renew()
            self._tell.on_server_config_update(message)

    @_take.register
    def _(self, message: MediaSetup) -> None:
        connection = self._session.connection
        host = connection.address if connection is not None else ""
        self._plane.prepare(message, host, self._media_at_login)

    @_take.register
    def _(self, message: Resync) -> None:
        self.user_id = message.user_id
        self._notifications.take(message)
