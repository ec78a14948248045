"""Clients' links: who may log in, and which session is whose.

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
from twisted.internet.defer import Deferred
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
from anychat.protocols.formats import encode, number_of
from anychat.protocols.formats_link import TOKEN_SIZE
from anychat.protocols.framing import encode_frame
from anychat.protocols.signalling import HelloFacts, ServerLink, Stage
from anychat.services.admission import Admission, is_loopback
from anychat.services.connections import Connections, peer
from anychat.services.holding import Holding
from anychat.services.sessions import Session, Tokens
from anychat.services.settings import LinkSettings
from anychat.services.signatures import SignatureCheck, SignatureSettings, digest

_LOGIN_RESULT, _RESUMED = number_of(LoginResult), number_of(Resumed)


class LinkMedia(Protocol):
    """Takes media that goes over links; see `media.MediaService`."""

    def link_path(self, session: SessionId, link: ServerLink | None) -> None:
        """The session wants its media over that link; None: not over any."""

    def link_media(self, session: SessionId, data: bytes) -> None:
        """A packet came over the session's link."""

    def link_eased(self, session: SessionId) -> None:
        """The session's link has room again."""


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
        self._counters: Counter[str] = Counter()
        self._admission = Admission(settings.links_per_address, settings.links_overall)
        self.connections = Connections(
            reactor,
            settings,
            hello,
            random_bytes,
            self,
            self._admission,
            self._notices,
            self._counters,
        )
        self._logins: dict[LinkId, SessionId] = {}
        """Logins that the core has not granted or refused yet."""
        self._withdrawn: dict[SessionId, str] = {}
        """Addresses of those whose question is open though nobody waits for it."""
        self._sessions: dict[SessionId, Session] = {}
        self._tokens = Tokens()
        self._holding = Holding(settings.memory_overall, self._sessions.values())
        self._session_ids = itertools.count(1)
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
        self.connections.listen()
        super().startService()

    def stopService(self) -> "Deferred[Any]":
        """Close the port and all links; fires when they are gone.

        What does not go by itself within a second is cut off.
        """
        super().stopService()
        return self.connections.close()

    def addresses(self) -> list[Any]:
        """Where it listens."""
        return self.connections.addresses()

    def statistics(self) -> dict[str, int]:
        """Counters since the start, and how many there are of what now."""
        held = sum(session.link is None for session in self._sessions.values())
        return {
            **self._counters,
            "connections": len(self.connections),
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
        asking = self.connections.get(link)
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
        link = self.connections.get(effect.link)
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
            f"Close link of {peer(link)}, {error.reason}.(errorcode={error.code:d})",
        )

    def link_lost(self, link: ServerLink, reason: Failure) -> None:
        """A connection is gone; its session, if it still has it, is held."""
        if link.session is None:
            login = self._logins.pop(link.id, None)
            if login is not None:
                self._submit(LoginDropped(login))
            self.connections.drop(link)
            return
        self.connections.remove(link)
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
                "failures", f"Close link of {peer(link)}, too many failed logins."
            )
            link.close(code)
