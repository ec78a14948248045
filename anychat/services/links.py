"""Clients' links: the TCP port, who may connect, and which session is whose.

Sits between the wire and the core.  From the wire it submits commands
(`LinkLogin`, `LoginDropped`, `SessionMessage`, `LinkLost`, `LinkResumed`); the
effects of the core come back as the calls under "What effects ask".
"""

import hmac
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from anychat.codes import ResultCode, StreamTransMode
from anychat.core.commands import (
    Command,
    LinkLogin,
    LinkLost,
    LinkResumed,
    LinkSignedLogin,
    LoginDropped,
    SessionMessage,
)
from anychat.core.effects import StartSession
from anychat.errors import PeerError
from anychat.ids import LinkId, SessionId, Ssrc
from anychat.messages import (
    ClientHello,
    EnterRoom,
    EnterRoomByName,
    Login,
    LoginEx,
    LoginResult,
    MediaSetup,
    MediaTransport,
    Message,
    OpenLayer,
    OpenStream,
    QuerySDKOption,
    Resume,
    Resumed,
    ServerParameters,
)
from anychat.notices import Notices
from anychat.protocols.entrance import Entrance
from anychat.protocols.formats import encode, number_of
from anychat.protocols.formats_link import TOKEN_SIZE
from anychat.protocols.framing import encode_frame
from anychat.protocols.proof import SALT_SIZE, derive_key
from anychat.protocols.signalling import (
    HelloFacts,
    LinkTerms,
    ServerLink,
    Stage,
)
from anychat.protocols.tls import SecureTransports
from anychat.services.admission import Admission, is_loopback, plain_address
from anychat.services.holding import Holding
from anychat.services.listening import listen_tcp, raise_file_limit
from anychat.services.sessions import Session, Tokens
from anychat.services.settings import LinkSettings
from anychat.services.signatures import SignatureCheck, SignatureSettings, digest

__all__ = ["ClientLinks", "LinkMedia", "LinkSettings"]

#: File descriptors that are left for everything but client links.
SPARE_DESCRIPTORS = 256

_LOGIN_RESULT, _RESUMED = number_of(LoginResult), number_of(Resumed)


class LinkMedia(Protocol):
    """Takes media that goes over links; see `media.MediaService`."""

    def link_path(self, session: SessionId, link: ServerLink | None) -> None:
        """The session wants its media over that link; None: not over any."""

    def link_media(self, session: SessionId, data: bytes) -> None:
        """A packet came over the session's link."""

    def link_eased(self, session: SessionId) -> None:
        """The session's link has room again."""


class _Doors(Factory):
    """What the ports ask for a protocol."""

    noisy = False

    def __init__(self, links: "ClientLinks"):
        self._links = links

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """An `Entrance`, or None to close the connection at once."""
        return self._links.accept(addr)


class ClientLinks(Service):
    """All links, and the sessions on them.

    :param submit: where commands go; may be called while an effect is being
        carried out, and then waits for its end.
    :param parameters: what every session is told after its login.
    :param new_ssrc: fresh SSRCs, of the media plane.
    :param log: the server's log, a line at a time.
    :param media: takes media that comes over links; None: nobody does.
    :param trans_mode: how clients are told to send media.
    :param is_blocked: whether who comes from an address may not connect.
    :param signatures: looks at signed logins; None: none is taken.
    :param clock: seconds since 1970, UTC, for clients who ask.
    """

    def __init__(
        self,
        reactor: Any,
        settings: LinkSettings,
        submit: Callable[[Command], None],
        parameters: ServerParameters,
        hello: HelloFacts,
        random_bytes: Callable[[int], bytes],
        log: Callable[[str], None],
        new_ssrc: Callable[[], int],
        media: LinkMedia | None = None,
        trans_mode: StreamTransMode = StreamTransMode.UDP,
        is_blocked: Callable[[str], bool] = lambda address: False,
        signatures: SignatureCheck | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._reactor = reactor
        self._settings = settings
        self._submit = submit
        self._random_bytes = random_bytes
        self._new_ssrc = new_ssrc
        self._media = media
        self._trans_mode = encode(MediaTransport(trans_mode))
        self._notices = Notices(log, reactor.seconds)
        self._parameters = encode(parameters)
        self._is_blocked = is_blocked
        self._signatures = signatures or SignatureCheck(SignatureSettings(), clock)
        self._clock = clock
        self._room_key = random_bytes(32)
        salt = random_bytes(SALT_SIZE)
        self._terms = LinkTerms(
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
        self.secure_transports = (
            SecureTransports(settings.secure, reactor) if settings.secure else None
        )
        self._admission = Admission(settings.links_per_address, settings.links_overall)
        self._most = settings.links_overall
        self._connections: dict[LinkId, Entrance | ServerLink] = {}
        self._logins: dict[LinkId, SessionId] = {}
        """Logins that the core has not granted or refused yet."""
        self._withdrawn: dict[SessionId, str] = {}
        """Addresses of those whose question is open though nobody waits for it."""
        self._sessions: dict[SessionId, Session] = {}
        self._tokens = Tokens()
        self._holding = Holding(settings.memory_overall, self._sessions.values())
        self._link_ids = itertools.count(1)
        self._session_ids = itertools.count(1)
        self._ports: list[Any] = []
        self._sweep = LoopingCall(self.sweep)
        self._sweep.clock = reactor
        self._empty: Deferred[None] | None = None
        self._counters: Counter[str] = Counter()
        self.carried: dict[int, Callable[[Session, bytes], bool]] = {}
        """Who takes the session messages that carry no number, by their type;
        he says whether one was news."""
        self.eased: list[Callable[[SessionId], None]] = []
        """Who is told that a session's link has caught up, after media."""

    # Service.

    def startService(self) -> None:
        """Listen.

        :raises CannotListenError: an address or the port cannot be had.
        """
        limit = raise_file_limit()
        self._most = max(limit - SPARE_DESCRIPTORS, limit // 2)
        self._ports = listen_tcp(
            self._reactor,
            _Doors(self),
            self._settings.addresses,
            self._settings.port,
        )
        self._sweep.start(1.0, now=False)
        super().startService()

    def stopService(self) -> "Deferred[Any]":
        """Close the port and all links; fires when they are gone.

        What does not go by itself within a second is cut off.
        """
        super().stopService()
        if self._sweep.running:
            self._sweep.stop()
        waiting = [port.stopListening() for port in self._ports]
        self._ports = []
        for connection in list(self._connections.values()):
            if isinstance(connection, ServerLink):
                connection.close(ResultCode.CONNECT_OFFLINE)
            else:
                connection.turn_away()
        if self._connections:
            self._empty = Deferred()
            late = self._reactor.callLater(1.0, self._cut_off)
            self._empty.addBoth(lambda _: late.active() and late.cancel())
            waiting.append(self._empty)
        return DeferredList([d for d in waiting if d is not None])

    def addresses(self) -> list[Any]:
        """Where it listens."""
        return [port.getHost() for port in self._ports]

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        held = sum(session.link is None for session in self._sessions.values())
        return {
            **self._counters,
            "connections": len(self._connections),
            "unauthenticated": len(self._admission),
            "sessions": len(self._sessions),
            "sessions_held": held,
            "frames_dropped": self._counters["frames_dropped"]
            + sum(session.channel.dropped for session in self._sessions.values()),
            "replay_bytes": self._holding.kept,
            "replay_dropped": self._holding.dropped,
            "unsent_bytes": self._holding.unsent,
            "closed_memory": self._holding.cut,
        }

    # What effects ask.

    def send(self, sessions: Iterable[SessionId], message: Message) -> None:
        """A notification to each of these sessions, encoded once.

        :raises LocalError: it carries a key and a session is a plain one.
        """
        type, body = encode(message)
        for id in sessions:
            session = self._sessions.get(id)
            if session is not None:
                session.notify(type, body)

    def reply(self, session: SessionId, request: int, message: Message) -> None:
        """The answer to a session's request; 0 wants none."""
        end = self._sessions.get(session)
        if end is not None:
            end.reply(request, message)

    def refuse_login(self, link: LinkId, request: int, code: ResultCode) -> None:
        """The login on that link is not granted."""
        self._logins.pop(link, None)
        asking = self._connections.get(link)
        if isinstance(asking, ServerLink) and asking.stage is Stage.LOGIN:
            self._counters["logins_refused"] += 1
            asking.refuse(request, code)
            self._count_failure(asking, code)

    def start_session(self, effect: StartSession, setup: MediaSetup | None) -> None:
        """The login is granted: bind link and session, tell the client.

        :param setup: None for a session without media.
        """
        self._logins.pop(effect.link, None)
        session = Session(self, self._holding, effect.session, secure=effect.secure)
        self._sessions[session.id] = session
        self._counters["logins"] += 1
        link = self._connections.get(effect.link)
        if not isinstance(link, ServerLink) or link.stage is not Stage.LOGIN:
            # Gone while the login was being looked at.
            self._holding.hold(session)
            self._submit(LinkLost(session.id))
            return
        token = self._random_bytes(TOKEN_SIZE)
        self._tokens.issue(session, token)
        self._bind(session, link)
        _, result = encode(
            LoginResult(
                ResultCode.SUCCESS,
                effect.user_id,
                effect.level,
                effect.nickname,
                token,
                self._settings.hold_time,
            )
        )
        opening = [self._parameters]
        if setup is not None and session.secure:
            opening += self._trans_mode, encode(setup)
        link.write(
            encode_frame(_LOGIN_RESULT, result, request=effect.request)
            + b"".join(session.open(*opening))
        )

    def link_of(self, session: SessionId) -> ServerLink | None:
        """The link that a session has, for what carries no number."""
        end = self._sessions.get(session)
        return end.link if end is not None else None

    def announce(self, parameters: ServerParameters) -> None:
        """These are the media parameters from now on (SERVERCFGUPDATE)."""
        old, self._parameters = self._parameters, encode(parameters)
        for session in self._sessions.values():
            session.replace(old, self._parameters)

    def end_session(self, session: SessionId, code: ResultCode) -> None:
        """The session is over; its link is told why unless the code is 0."""
        end = self._sessions.pop(session, None)
        if end is None:
            return
        self._tokens.revoke(end)
        self._holding.release(end)
        self._counters["frames_dropped"] += end.channel.dropped
        end.end()
        link, end.link = end.link, None
        if link is not None:
            link.close(code if code != ResultCode.SUCCESS else None)

    def keep_place(self, session: SessionId, address: str) -> None:
        """A question is open that nobody waits for any more: it costs a place.

        Otherwise whoever does not wait for answers could have any number of
        questions open.
        """
        self._admission.keep(address)
        self._withdrawn[session] = address

    def give_place(self, session: SessionId) -> None:
        """That question is open no more."""
        address = self._withdrawn.pop(session, None)
        if address is not None:
            self._admission.leave(address)

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
            LinkId(next(self._link_ids)),
            address=address,
            port=addr.port,
            opened=self._reactor.seconds(),
        )
        self._connections[entrance.id] = entrance
        return entrance

    def native(self, entrance: Entrance) -> ServerLink:
        """A connection speaks our protocol."""
        link = ServerLink(
            self,
            self._terms,
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
            f"Illegal connection from {_peer(entrance)}, unknown protocol, closed.",
        )

    def left(self, entrance: Entrance, reason: Failure) -> None:
        """A connection ended before it said anything of ours."""
        if entrance.secure:
            self._counters["tls_incomplete"] += 1
        self._drop(entrance)

    # What links report.

    def link_hello(self, link: ServerLink, hello: ClientHello) -> None:
        """Plain links are for loopback, unless the configuration says else."""
        self._refuse_blocked(link)
        if not (link.secure or self._settings.allow_plain or is_loopback(link.address)):
            raise PeerError(
                "plain link from beyond loopback", ResultCode.CERTHIGHSECURITY
            )

    def link_login(self, link: ServerLink, request: int, message: Login) -> None:
        """Let the core decide, which may take a while."""
        self._refuse_blocked(link)
        if self._signatures.require:
            self._counters["logins_refused"] += 1
            link.refuse(request, ResultCode.APPID_SIGNEED)
            self._count_failure(link, ResultCode.APPID_SIGNEED)
            return
        session = SessionId(next(self._session_ids))
        self._logins[link.id] = session
        self._submit(
            LinkLogin(
                link=link.id,
                request=request,
                message=message,
                session=session,
                address=link.address,
                device=link.device,
                secure=link.secure,
            )
        )

    def link_login_ex(self, link: ServerLink, request: int, message: LoginEx) -> None:
        """Look at the signature, and let the core decide."""
        self._refuse_blocked(link)
        session = SessionId(next(self._session_ids))
        self._logins[link.id] = session
        self._submit(
            LinkSignedLogin(
                link=link.id,
                request=request,
                message=message,
                session=session,
                address=link.address,
                device=link.device,
                secure=link.secure,
                checked=self._signatures.check(message),
                digest=digest(message),
                remaining=self._signatures.remaining,
            )
        )

    def link_resume(self, link: ServerLink, request: int, message: Resume) -> None:
        """A client wants its session back, on this link."""
        self._refuse_blocked(link)
        session = self._tokens.find(message.token)
        if session is None or (session.secure and not link.secure):
            self._counters["resumes_refused"] += 1
            link.failures += 1
            link.send(Resumed(ResultCode.SESSIONNOTEXIST), request)
            self._count_failure(link, ResultCode.SESSIONNOTEXIST)
            return
        frames, anew = session.resume(
            message.taken, again=self._tokens.is_used(session, message.token)
        )
        if session.link is not None:
            # The client knows that its link is dead before this side does.
            if session.link.behind:
                session.link.abort()  # what waits there is replayed here
            else:
                session.link.close(ResultCode.CONNECT_ABORT)
        token = self._random_bytes(TOKEN_SIZE)
        self._tokens.issue(session, token, used=message.token)
        self._bind(session, link)
        self._counters["resumes"] += 1
        self._counters["resyncs"] += anew
        taken = session.channel.taken
        _, body = encode(Resumed(ResultCode.SUCCESS, taken, anew, token))
        link.write(
            encode_frame(_RESUMED, body, request=request, ack=taken) + b"".join(frames)
        )
        self._submit(LinkResumed(session.id, link.id, link.address, anew))

    def link_paused(self, link: ServerLink) -> None:
        """A client sends too fast and has to wait."""
        self._counters["links_paused"] += 1

    def link_unsent(self, link: ServerLink, change: int) -> None:
        """A client does not read what is written, or has caught up."""
        self._holding.waits(link, change)

    def link_fault(self, link: ServerLink, error: PeerError) -> None:
        """A client broke the protocol."""
        self._counters[f"closed_{error.code.name.lower()}"] += 1
        self._notices.say(
            f"fault {error.code:d}",
            f"Close link of {_peer(link)}, {error.reason}.(errorcode={error.code:d})",
        )

    def link_lost(self, link: ServerLink, reason: Failure) -> None:
        """A connection is gone; its session, if it still has it, is held."""
        if link.session is None:
            self._drop(link)
            return
        del self._connections[link.id]
        self._tell_empty()
        session = link.session
        assert isinstance(session, Session)
        if session.link is link:
            session.link = None
            if self._media is not None:
                self._media.link_path(session.id, None)
            self._holding.hold(session)
            self._submit(LinkLost(session.id))

    # Media over links.

    def link_eased(self, link: ServerLink) -> None:
        """A client has caught up: media that waits goes first."""
        if self._media is not None and isinstance(link.session, Session):
            self._media.link_eased(link.session.id)
        if isinstance(link.session, Session) and not link.behind:
            for tell in self.eased:
                tell(link.session.id)

    def link_media(self, link: ServerLink, data: bytes) -> None:
        """A packet of media came."""
        if self._media is not None and isinstance(link.session, Session):
            self._media.link_media(link.session.id, data)

    def link_media_path(self, link: ServerLink, over_link: bool) -> None:
        """A client says where it wants its media."""
        session, media = link.session, self._media
        # What a link says that another one has replaced is over with it.
        if media is not None and isinstance(session, Session) and session.link is link:
            media.link_path(session.id, link if over_link else None)

    # What sessions report.

    def session_confirmed(self, session: Session) -> None:
        """The client has its new token."""
        self._tokens.confirm(session)

    def session_message(self, session: Session, request: int, message: Message) -> None:
        """Let the core carry it out."""
        ssrc, password = 0, b""
        if isinstance(message, OpenStream | OpenLayer):
            ssrc = self._new_ssrc()
        elif isinstance(message, EnterRoom | EnterRoomByName) and message.password:
            if session.link is not None and not session.link.secure:
                raise PeerError("password on a plain link")
            password = hmac.digest(
                self._room_key, message.password.encode("utf-8"), "sha256"
            )
        clock = 0
        if isinstance(message, QuerySDKOption):
            clock = int(self._clock() * 1000)
        self._submit(
            SessionMessage(session.id, request, message, Ssrc(ssrc), password, clock)
        )

    def session_carried(self, session: Session, type: int, body: bytes) -> None:
        """A message without a number; one that says something new costs nothing."""
        take = self.carried.get(type)
        if take is None:
            self.session_unknown(session, type)
        elif take(session, body) and session.link is not None:
            session.link.refund()

    def session_unknown(self, session: Session, number: int) -> None:
        """A later version's message, or nonsense."""
        self._counters["unknown_messages"] += 1

    def session_repeated(self, session: Session) -> None:
        """A request came again."""
        self._counters["repeated_requests"] += 1

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
            "late", f"Close connection of {_peer(connection)}, did not log in in time."
        )

    # The rest.

    def _refuse_blocked(self, link: ServerLink) -> None:
        """Also who was not blocked yet at his hello gets no session."""
        if self._is_blocked(link.address):
            raise PeerError("address is blocked", ResultCode.CONNECT_IPFORBID)

    def _bind(self, session: Session, link: ServerLink) -> None:
        if self._media is not None and session.link is not None:
            # What it chose on the link before is over with that.
            self._media.link_path(session.id, None)
        self._admission.leave(link.address)
        self._holding.release(session)
        session.link = link
        link.begin(session)

    def _count_failure(self, link: ServerLink, code: ResultCode) -> None:
        if link.failures >= self._settings.login_failures:
            self._counters["closed_failures"] += 1
            self._notices.say(
                "failures", f"Close link of {_peer(link)}, too many failed logins."
            )
            link.close(code)

    def _drop(self, connection: Entrance | ServerLink) -> None:
        """Forget a connection that had no session, and the login it waits for."""
        del self._connections[connection.id]
        login = self._logins.pop(connection.id, None)
        if login is not None:
            self._submit(LoginDropped(login))
        self._admission.leave(connection.address)
        self._tell_empty()

    def _tell_empty(self) -> None:
        if self._empty is not None and not self._connections:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def _cut_off(self) -> None:
        for connection in list(self._connections.values()):
            if isinstance(connection, ServerLink):
                connection.abort()
            else:
                connection.turn_away()


def _peer(connection: Entrance | ServerLink) -> str:
    host = connection.address
    return f"[{host}]:{connection.port}" if ":" in host else f"{host}:{connection.port}"
