"""A client's session with its server, which outlives its connections.

What happens, and in which phase it leaves the session::

    IDLE        connect                              -> CONNECTING
    CONNECTING  the hello is over                    -> CONNECTED
                it failed                            -> IDLE
    CONNECTED   login                                -> LOGGING_IN
    LOGGING_IN  granted                              -> LIVE
                refused                              -> CONNECTED
    LIVE        the connection is lost               -> HELD
    HELD        connected again, resumed             -> LIVE
                not held any more, logged in anew    -> LIVE
                for good: kicked out, refused, ...   -> IDLE
    any         logout, close                        -> IDLE
    CONNECTED, LOGGING_IN  the connection is lost    -> IDLE

In HELD the session dials again and again, with growing pauses.  The first
thing it says on a new connection is `Resume` while the server should still
hold it, after that `Login` with the name and password of the first one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from anychat.client.link import Backoff, Connection, Dialler
from anychat.client.outstanding import Outstanding
from anychat.client.refusals import FINAL, PASSING
from anychat.codes import ResultCode, SignatureScheme
from anychat.errors import LocalError, PeerError, Refused
from anychat.messages import (
    LinkClose,
    Login,
    LoginEx,
    LoginResult,
    Logout,
    Message,
    Resumed,
    ServerHello,
)
from anychat.protocols.formats import encode
from anychat.protocols.reliable import ReliableChannel

#: Seconds that a server may take to answer a login or a resumption.
ANSWER_TIMEOUT = 30.0

#: Bytes that may wait to be acknowledged: half of what a channel can replay.
UNACKNOWLEDGED_MAXIMUM = 512 << 10

#: What more there is to say of 21 FUNCOPTERROR at a login.
LOGIN_LIMITS = (
    "a user name has up to 128 characters and no control characters, "
    "a password up to 1024 bytes"
)

#: Seconds that a connection must last before the pauses begin short again.
_PROVEN = 10.0


class Phase(Enum):
    """Where a session stands; see the module's table."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOGGING_IN = "logging in"
    LIVE = "live"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class SignedUser:
    """Whom a signature lets in; ``anychat.protocols.signature`` says what it signs."""

    signature: bytes = field(repr=False)
    """The bytes, without base64."""
    timestamp: int
    """When it was signed: seconds since 1970, UTC."""
    app_id: str
    user_id: int = -1
    """-1: the string id says who it is."""
    string_id: str = ""
    scheme: SignatureScheme = SignatureScheme.RSA_MD5
    """As the product's tools sign."""
    parameters: str = ""
    """JSON for business objects, or empty."""


#: Makes the login of one's own address; for later logins, too.
Credentials: TypeAlias = Callable[[str], "Login | Deferred[LoginEx]"]


class SessionOwner(Protocol):
    """What a `Session` reports, besides the outcome of calls."""

    def session_began(self, result: LoginResult, anew: bool) -> None:
        """Logged in: for the first time, or anew after `session_lost`."""

    def session_message(self, message: Message) -> None:
        """A notification."""

    def session_held(self, code: ResultCode) -> None:
        """The connection is lost; it is being restored."""

    def session_resumed(self) -> None:
        """The session goes on; if notifications were lost, RESYNC comes next."""

    def session_lost(self) -> None:
        """The server does not hold it any more; logging in anew."""

    def session_ending(self, reason: Refused) -> None:
        """It is about to be over, for that reason; calls that wait fail next."""

    def session_closed(self, code: ResultCode, was_held: bool) -> None:
        """It is over, and not by a call of ours."""

    def session_eased(self) -> None:
        """Calls that waited may be able to start."""


class Session:
    """One client's session."""

    def __init__(
        self,
        dialler: Dialler,
        owner: SessionOwner,
        backoff: Backoff,
        auto_reconnect: bool = True,
    ):
        self._dialler = dialler
        self._clock = dialler.reactor
        self._owner = owner
        self._backoff = backoff
        self._auto_reconnect = auto_reconnect
        self.phase = Phase.IDLE
        self.connection: Connection | None = None
        self._host, self._port = "", 0
        self._connecting: Deferred[ServerHello] | None = None
        self._logging_in: Deferred[LoginResult] | None = None
        self._credentials: Credentials | None = None
        self._channel: ReliableChannel | None = None
        self._token = b""
        self._hold_time = 0.0
        self._lost_at = 0.0
        self._live_at = 0.0
        self._timer: IDelayedCall | None = None
        self._outstanding = Outstanding(self._clock, owner.session_eased)

    # Calls.

    def connect(self, host: str, port: int) -> "Deferred[ServerHello]":
        """Connect, once; fails with `Refused` or `PeerError`."""
        if self.phase is not Phase.IDLE:
            raise Refused(ResultCode.SESSIONEXIST)
        if port not in range(1, 65536):
            raise Refused(ResultCode.FUNCOPTERROR, f"port {port!r}")
        self._host, self._port = host, port
        self.phase = Phase.CONNECTING
        connecting: Deferred[ServerHello] = Deferred()
        self._connecting = connecting
        self._dial()
        return connecting

    def login(self, name: str, password: str) -> "Deferred[LoginResult]":
        """Log in; fails with `Refused`."""
        return self._log_in(lambda address: Login(name, password, address))

    def login_ex(
        self, nickname: str, sign: "Callable[[], SignedUser | Deferred[SignedUser]]"
    ) -> "Deferred[LoginResult]":
        """Log in with a signature; fails with `Refused`."""

        def credentials(address: str) -> "Deferred[LoginEx]":
            signing: Deferred[Any] = maybeDeferred(sign)
            return signing.addCallback(message, address)

        def message(user: SignedUser, address: str) -> LoginEx:
            return LoginEx(
                nickname,
                user.user_id,
                user.string_id,
                user.app_id,
                user.timestamp,
                user.scheme,
                user.signature,
                user.parameters,
                address,
            )

        return self._log_in(credentials)

    def _log_in(self, credentials: Credentials) -> "Deferred[LoginResult]":
        if self.phase is not Phase.CONNECTED:
            raise Refused(ResultCode.SESSIONEXIST)
        self._credentials = credentials
        logging_in: Deferred[LoginResult] = Deferred()
        self._logging_in = logging_in
        self.phase = Phase.LOGGING_IN
        try:
            self._send_login()
        except Refused:
            self._logging_in = self._credentials = None
            self.phase = Phase.CONNECTED
            raise
        return logging_in

    def request(self, message: Message) -> "Deferred[Message]":
        """Send a request; fires with the reply, fails with `SessionLost`.

        While the connection is lost the request waits for the session to be
        resumed.

        :raises Refused: 208 without a session, 21 for a value that does not
            fit the message.
        """
        channel, connection = self._channel, self.connection
        if channel is None:
            raise Refused(ResultCode.NOTLOGIN)
        number = self._outstanding.next_number
        try:
            if self.phase is Phase.LIVE and connection is not None:
                connection.link.send(message, number)
            else:
                type, body = encode(message)
                channel.number(type, body, number)
        except LocalError as error:
            raise Refused(ResultCode.FUNCOPTERROR, str(error)) from None
        return self._outstanding.add(message)

    def logout(self) -> "Deferred[Message]":
        """End the session; fires when the server has said yes, too."""
        if self.phase is not Phase.LIVE:
            self.close()
            raise Refused(ResultCode.NOTLOGIN)

        def done(reply: Message) -> Message:
            self.close()
            return reply

        return self.request(Logout()).addCallback(done)

    def close(self, code: ResultCode = ResultCode.CANCEL) -> None:
        """End everything at once; calls that wait fail with that code."""
        self._reset(Refused(code))

    @property
    def ready(self) -> bool:
        """Whether a request may be sent now; False: `session_eased` follows."""
        channel = self._channel
        if self.phase is not Phase.LIVE or channel is None:
            return False
        return channel.held <= UNACKNOWLEDGED_MAXIMUM and self._outstanding.ready

    # What the connection reports.

    def connection_ready(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        if self.phase is Phase.CONNECTING:
            self.phase = Phase.CONNECTED
            connecting, self._connecting = self._connecting, None
            assert connecting is not None and connection.hello is not None
            connecting.callback(connection.hello)
            self._owner.session_eased()
            return
        gone = self._clock.seconds() - self._lost_at
        if self._channel is not None and gone <= self._hold_time:
            connection.link.resume(self._channel, self._token)
        else:
            self._log_in_anew()
        self._await_answer(connection)

    def connection_message(
        self, connection: Connection, request: int, message: Message
    ) -> None:
        """See `ConnectionOwner`."""
        if isinstance(message, LoginResult):
            self._logged_in(connection, message)
        elif isinstance(message, Resumed):
            self._resumed(connection, message)
        elif isinstance(message, LinkClose):
            pass  # The link remembers it as the reason of its end.
        elif self.phase is not Phase.LIVE:
            raise PeerError(f"{type(message).__name__} in phase {self.phase.value}")
        elif request:
            if self._outstanding.answer(request, message):
                self._owner.session_eased()
        else:
            self._owner.session_message(message)

    def connection_lost(
        self, connection: Connection, error: Refused | PeerError
    ) -> None:
        """See `ConnectionOwner`."""
        self._stop_timer()
        self.connection = None
        code = error.code
        if self.phase is Phase.CONNECTING:
            self.phase = Phase.IDLE
            connecting, self._connecting = self._connecting, None
            assert connecting is not None
            if isinstance(error, PeerError):
                error = Refused(code, f"no AnyChat server answers: {error.reason}")
            connecting.errback(Failure(error))
            self._owner.session_eased()
        elif self.phase in (Phase.CONNECTED, Phase.LOGGING_IN):
            self._give_up(code)
        elif self.phase is Phase.LIVE:
            if not self._auto_reconnect or self._is_final(error):
                self._give_up(code)
                return
            if isinstance(error, PeerError):
                # The same would come again after a resumption.
                self._hold_time = 0.0
            self._hold(code)
        elif self.phase is Phase.HELD:
            if self._is_final(error):
                self._give_up(code)
                return
            if code == ResultCode.SESSIONNOTEXIST:
                self._hold_time = 0.0
            self._dial_later()

    @staticmethod
    def _is_final(error: Refused | PeerError) -> bool:
        # A PeerError says that the server spoke nonsense: it may be another
        # program at its port for a while.
        return isinstance(error, Refused) and error.code in FINAL

    # Logging in and resuming.

    def _send_login(self) -> None:
        """Say who it is, which a signature may take a while for."""
        assert self._credentials is not None and self.connection is not None
        connection = self.connection
        login = self._credentials(connection.local_address)
        if isinstance(login, Deferred):
            login.addCallback(self._say_login, connection)
            login.addErrback(self._no_signature, connection)
        else:
            self._say_login(login, connection)

    def _say_login(self, login: Login | LoginEx, connection: Connection) -> None:
        if self.connection is not connection:
            return  # lost meanwhile
        try:
            connection.link.send(login)
        except LocalError:
            # A name or password that is too long or no Unicode; the text of
            # the error might quote it.
            raise Refused(ResultCode.FUNCOPTERROR, LOGIN_LIMITS) from None

    def _no_signature(self, failure: Failure, connection: Connection) -> None:
        """The program has none, now at least."""
        error = failure.value
        if not isinstance(error, Refused):
            error = Refused(ResultCode.REQUESTFAILED, failure.getErrorMessage())
        if self.connection is connection:
            connection.abort(error)

    def _log_in_anew(self) -> None:
        if self._channel is not None:
            self._drop_session()
            self._owner.session_lost()
        if self.phase is Phase.HELD:
            self._send_login()

    def _logged_in(self, connection: Connection, result: LoginResult) -> None:
        if self.phase is Phase.LOGGING_IN:
            logging_in, self._logging_in = self._logging_in, None
            assert logging_in is not None
            if result.code != ResultCode.SUCCESS:
                self.phase = Phase.CONNECTED
                self._credentials = None
                wrong = result.code == ResultCode.FUNCOPTERROR
                reason = LOGIN_LIMITS if wrong else ""
                logging_in.errback(Failure(Refused(result.code, reason)))
            else:
                self._begin(connection, result, anew=False)
                logging_in.callback(result)
        elif self.phase is Phase.HELD and self._channel is None:
            if result.code == ResultCode.SUCCESS:
                self._begin(connection, result, anew=True)
            elif result.code in PASSING:
                connection.abort(Refused(result.code))
            else:
                self._give_up(result.code)
                return
        else:
            raise PeerError(f"LoginResult in phase {self.phase.value}")
        self._owner.session_eased()

    def _begin(self, connection: Connection, result: LoginResult, anew: bool) -> None:
        self._stop_timer()
        self._channel = connection.link.channel
        self._token, self._hold_time = result.token, float(result.hold_time)
        self._live_at = self._clock.seconds()
        self.phase = Phase.LIVE
        self._owner.session_began(result, anew)

    def _resumed(self, connection: Connection, resumed: Resumed) -> None:
        if self.phase is not Phase.HELD or self._channel is None:
            raise PeerError(f"Resumed in phase {self.phase.value}")
        self._stop_timer()
        if resumed.code != ResultCode.SUCCESS:
            self._log_in_anew()
            self._await_answer(connection)
            return
        self._token = resumed.token
        self._live_at = self._clock.seconds()
        self.phase = Phase.LIVE
        if resumed.resync:
            # The numbers have begun anew, so nothing is replayed: ask again
            # what was not answered, under its old number.
            for number, message in self._outstanding:
                connection.link.send(message, number)
        self._owner.session_resumed()
        self._owner.session_eased()

    def _await_answer(self, connection: Connection) -> None:
        """The server must answer, or the connection is of no use."""
        self._stop_timer()
        if self.phase is Phase.HELD:
            self._timer = self._clock.callLater(
                ANSWER_TIMEOUT, self._no_answer, connection
            )

    def _no_answer(self, connection: Connection) -> None:
        self._timer = None
        connection.abort(Refused(ResultCode.CONNECT_TIMEOUT))

    # Losing and restoring the connection.

    def _dial(self) -> None:
        self._timer = None
        self.connection = Connection(self._dialler, self._host, self._port, self)
        self.connection.dial()

    def _dial_later(self) -> None:
        self._timer = self._clock.callLater(self._backoff.next(), self._dial)

    def _hold(self, code: ResultCode) -> None:
        self.phase = Phase.HELD
        self._lost_at = self._clock.seconds()
        if self._lost_at - self._live_at >= _PROVEN:
            self._backoff.reset()
        self._dial_later()
        self._owner.session_held(code)

    def _give_up(self, code: ResultCode) -> None:
        was_held = self.phase is Phase.HELD
        self._owner.session_ending(Refused(code))
        self._reset(Refused(code))
        self._owner.session_closed(code, was_held)
        self._owner.session_eased()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop_session(self) -> None:
        """The server's side of it is gone; nothing that waits is answered."""
        self._channel, self._token = None, b""
        self._outstanding.lose()

    def _reset(self, error: Refused) -> None:
        self._stop_timer()
        self._outstanding.stop()
        self.phase = Phase.IDLE
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
        self._credentials = None
        connecting, self._connecting = self._connecting, None
        logging_in, self._logging_in = self._logging_in, None
        self._drop_session()
        for call in (connecting, logging_in):
            if call is not None:
                call.errback(Failure(error))
