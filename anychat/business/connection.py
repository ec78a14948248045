"""The connection to the core server: made, lost, and made again.

What happens, and in which phase it leaves the connection::

    STOPPED     start                                  -> DIALLING
    DIALLING    connected, and let in by the core      -> CONNECTED
                it failed, or took too long            -> WAITING
    CONNECTED   the link is lost                       -> WAITING
    WAITING     the pause is over                      -> DRAINING
    DRAINING    all events are done, or time is up     -> DIALLING
    any         stop                                   -> STOPPED

Pauses grow from about one second to 30; after a no that will not change by
itself (a wrong password, the wrong certificate, ...) they are 30 seconds from
the first.  What is wrong is told once, with what to do about it, and again only
when something else is wrong.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.business.settings import FILE_NAME, Settings
from anychat.business_messages import Event, Question, Verdict
from anychat.client.link import Backoff, connect_error, is_loopback
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    Trust,
    address_text,
    fingerprint_of,
)
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError, Refused, Unavailable
from anychat.protocols.business_client import BusinessLink, CoreHello, Introduction
from anychat.protocols.proof import derive_key

#: Seconds for name and TCP together; TLS and hello have as many again.
CONNECT_TIMEOUT = 10.0

#: Seconds that a connection must last before the pauses begin short again.
PROVEN = 10.0

#: Seconds that callbacks may take to get done before the core is dialled again:
#: what is not done then is told again.
DRAIN_TIME = 10.0

#: A no that only an operator can change.
LASTING = frozenset(
    {
        ResultCode.VERSIONNOTMATCH,
        ResultCode.CERTVERIFYFAIL,
        ResultCode.CERTHIGHSECURITY,
        ResultCode.CONNECT_AUTHFAIL,
        ResultCode.CONNECT_OLDVERSION,
        ResultCode.SERVER_RESTART,
    }
)


class Pauses(Backoff):
    """How long to wait before the next attempt."""

    SHORTEST, LONGEST = 1.0, 30.0


class Phase(Enum):
    """Where the connection stands; see the module's table."""

    STOPPED = "stopped"
    DIALLING = "dialling"
    CONNECTED = "connected"
    WAITING = "waiting"
    DRAINING = "draining"


class CoreOwner(Protocol):
    """What a `CoreConnection` reports, and needs to know."""

    def introduction(self) -> Introduction:
        """What the core is told; it is being dialled."""

    def is_drained(self) -> bool:
        """Whether all that the core told is done."""

    def core_connected(self, hello: CoreHello) -> None:
        """The core is there; events and questions follow."""

    def core_refused(self) -> None:
        """It did not come about; dialled again later."""

    def core_disconnected(self, code: ResultCode, reason: str) -> None:
        """It is not there any more; follows on each `core_connected`."""

    def core_event(self, number: int, event: Event | None) -> None:
        """Something has happened; None: not known in this version."""

    def core_question(self, question: Question) -> "Deferred[Verdict]":
        """The verdict."""

    def core_verdicts(self, verdicts: frozenset[str], name: str) -> None:
        """Who answers these questions from now on."""


class _LinkFactory(Factory):
    """Makes the link of one connection."""

    noisy = False

    def __init__(self, make: Callable[[str], BusinessLink]):
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The link to that address."""
        return self._make(getattr(addr, "host", ""))


def trust_of(settings: Settings) -> Trust:
    """How the core is known to be the right one.

    :raises ConfigError: the settings do not say so where they must, or what they
        say cannot be used.
    """
    settings.check()
    if settings.ca_file is not None:
        return Authority(str(settings.ca_file))
    if settings.fingerprint:
        return Fingerprint(settings.fingerprint)
    # On this machine, as `Settings.check` has seen to.
    return AnyCertificate()


class CoreConnection:
    """Keeps up a link to the core."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        owner: CoreOwner,
        log: Callable[[str], None],
        *,
        random_bytes: Callable[[int], bytes],
        uniform: Callable[[float, float], float],
        endpoint: Callable[[str, int], IStreamClientEndpoint] | None = None,
        derive: Callable[[str, bytes], Any] | None = None,
        answer_time: float = CONNECT_TIMEOUT,
    ):
        """
        :param answer_time: seconds that the core has for TLS and hello together,
            and for each answer.
        :raises ConfigError: see `trust_of`.
        """
        self._reactor = reactor
        self._settings = settings
        self._owner = owner
        self._log = log
        self._trust = trust_of(settings)
        self._random_bytes = random_bytes
        self._endpoint = endpoint or self._hostname_endpoint
        self._derive = derive or self._derive_in_thread
        self._answer_time = answer_time
        self._pauses = Pauses(uniform)
        self.phase = Phase.STOPPED
        self.fingerprint = ""
        """SHA-256 of the core's certificate, empty without TLS."""
        self._dialling: Deferred[Any] | None = None
        self._link: BusinessLink | None = None
        self._timer: IDelayedCall | None = None
        self._connected_at = 0.0
        # The link that is being closed, and who waits for that.
        self._stopping: tuple[BusinessLink, Deferred[None]] | None = None
        self._said = ""

    @property
    def _where(self) -> str:
        settings = self._settings
        return address_text(settings.server_ip_addr, settings.server_port)

    @property
    def link(self) -> BusinessLink | None:
        """The link, while it is connected."""
        return self._link if self.phase is Phase.CONNECTED else None

    # Start and stop.

    def start(self) -> None:
        """Begin to connect."""
        self._log(f"Ready to connect anychatcoreserver {self._where}....")
        self._dial()

    def stop(self) -> "Deferred[None]":
        """End it; fires when it is gone."""
        if self.phase is Phase.STOPPED:
            return succeed(None)
        connected = self.phase is Phase.CONNECTED
        self.phase = Phase.STOPPED
        self._stop_timer()
        if self._dialling is not None:
            self._dialling.cancel()
        elif self._link is not None:
            link, self._link = self._link, None
            stopping: Deferred[None] = Deferred()
            self._stopping = link, stopping
            link.close()
            if connected:
                code = ResultCode.CONNECT_SELFCLOSE
                self._owner.core_disconnected(code, code.text)
            return stopping
        return succeed(None)

    # Dialling.

    def _hostname_endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        return HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_TIMEOUT)

    def _derive_in_thread(self, password: str, salt: bytes) -> "Deferred[bytes]":
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, derive_key, password, salt)

    def _dial(self) -> None:
        self.phase = Phase.DIALLING
        self.fingerprint = ""
        self._timer = self._reactor.callLater(CONNECT_TIMEOUT, self._too_slow)
        settings = self._settings
        try:
            endpoint = self._endpoint(settings.server_ip_addr, settings.server_port)
            dialling = endpoint.connect(_LinkFactory(self._make_link))
        except Exception:
            # A host that is no name at all.
            self._failed(connect_error(Failure()))  # type: ignore[no-untyped-call]
            return
        self._dialling = dialling
        dialling.addCallbacks(self._dialled, self._not_dialled)

    def _make_link(self, address: str) -> BusinessLink:
        """The protocol, now that the address is known.

        :raises Refused: a plain connection would leave this machine.
        """
        settings = self._settings
        if not settings.secure and not is_loopback(address):
            raise Refused(
                ResultCode.CERTHIGHSECURITY,
                f"{address} is another machine, and a plain connection is for this "
                "one only",
            )
        self._link = BusinessLink(
            self,
            self._owner.introduction(),
            password=settings.sdk_auth_pass,
            tls=(
                self._trust.options(settings.server_ip_addr)
                if settings.secure
                else None
            ),
            seconds=self._reactor.seconds,
            call_later=self._reactor.callLater,
            random_bytes=self._random_bytes,
            derive=self._derive,
            answer_time=self._answer_time,
        )
        return self._link

    def _dialled(self, link: BusinessLink) -> None:
        self._dialling = None
        if self.phase is Phase.DIALLING:
            self._stop_timer()

    def _not_dialled(self, failure: Failure) -> None:
        self._dialling = self._link = None
        if self.phase is Phase.DIALLING:
            self._failed(connect_error(failure))

    def _too_slow(self) -> None:
        self._timer = None
        if self._dialling is not None:
            self._dialling.cancel()

    # What the link reports.

    def link_secured(self, link: BusinessLink, certificate: Any) -> None:
        """TLS stands: is this the right core?"""
        self.fingerprint = fingerprint_of(certificate)
        settings = self._settings
        self._trust.check(
            settings.server_ip_addr, settings.server_port, self.fingerprint
        )

    def link_begun(self, link: BusinessLink, hello: CoreHello, lost: int) -> None:
        """The core lets us in; `EventsLost` tells of those that are gone."""
        self._stop_timer()
        self.phase = Phase.CONNECTED
        self._connected_at = self._reactor.seconds()
        self._said = ""
        self._log("Success connected to anychatcoreserver")
        self._owner.core_connected(hello)

    def link_event(self, link: BusinessLink, number: int, event: Event | None) -> None:
        """Something has happened."""
        if self.phase is Phase.CONNECTED:
            self._owner.core_event(number, event)

    def link_question(
        self, link: BusinessLink, question: Question
    ) -> "Deferred[Verdict]":
        """The verdict."""
        return self._owner.core_question(question)

    def link_verdicts(
        self, link: BusinessLink, verdicts: frozenset[str], name: str
    ) -> None:
        """Who answers these questions from now on."""
        if self.phase is Phase.CONNECTED:
            self._owner.core_verdicts(verdicts, name)

    def link_lost(self, link: BusinessLink, reason: Failure) -> None:
        """The link is gone, or was no link at all."""
        if self._stopping is not None and link is self._stopping[0]:
            (_, stopping), self._stopping = self._stopping, None
            stopping.callback(None)
            return
        self._link = None
        self._stop_timer()
        error = reason.value
        if not isinstance(error, Refused | PeerError | Unavailable):
            error = connect_error(reason)
        if self.phase is Phase.CONNECTED:
            self._lost(error)
        else:
            self._failed(error)

    # The end of one, and the next.

    def _lost(self, error: AnyChatError) -> None:
        now = self._reactor.seconds()
        if now - self._connected_at >= PROVEN:
            self._pauses.reset()
        text = self._explain(error)
        self._log(
            f"Disconnected from anychatcoreserver {self._where}, connecting again: "
            f"{text}"
        )
        self._wait(error)
        self._owner.core_disconnected(_code(error), text)

    def _failed(self, error: AnyChatError) -> None:
        self._stop_timer()
        text = self._explain(error)
        if text != self._said:
            self._said = text
            pace = " every 30 s" if self._is_lasting(error) else ""
            self._log(
                f"Cannot connect to anychatcoreserver {self._where}, trying again"
                f"{pace}: {text}"
            )
        self._wait(error)
        self._owner.core_refused()

    def _wait(self, error: AnyChatError) -> None:
        self.phase = Phase.WAITING
        pause = self._pauses.next()
        if self._is_lasting(error):
            pause = Pauses.LONGEST
        self._timer = self._reactor.callLater(pause, self._drain)

    def _drain(self) -> None:
        self.phase = Phase.DRAINING
        self._timer = self._reactor.callLater(DRAIN_TIME, self._dial)
        self.drained()

    def drained(self) -> None:
        """All events that the core told may be done."""
        if self.phase is Phase.DRAINING and self._owner.is_drained():
            self._stop_timer()
            self._dial()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _is_lasting(error: AnyChatError) -> bool:
        return isinstance(error, Refused) and error.code in LASTING

    def _explain(self, error: AnyChatError) -> str:
        """What happened, and what to do."""
        if isinstance(error, PeerError):
            if self.phase is Phase.CONNECTED:
                # It hears nothing while it works for too long, either.
                silent = error.code == ResultCode.CONNECT_TIMEOUT
                hint = ", or this program stood still" if silent else ""
                return f"the core server {error}{hint}"
            return f"what is there is no core server of this version: it {error}"
        code, text, settings = _code(error), str(error), self._settings
        if isinstance(error, Unavailable):
            text = f"{code.value} {code.name}: {text}"
        advice = _ADVICE.get(code, "")
        if settings.secure and not self.fingerprint and not advice:
            advice = "before TLS stood: is [TLS Settings] Enable=1 at the core?"
        elif code == ResultCode.CONNECT_ABORT and self.phase is not Phase.CONNECTED:
            advice = "is {port} the core server's [Business Settings] ListenPort?"
        if not advice:
            return text
        facts = {
            "file": settings.path or FILE_NAME,
            "name": settings.name,
            "port": settings.server_port,
        }
        return f"{text}; {advice.format(**facts)}"


def _code(error: AnyChatError) -> ResultCode:
    code: ResultCode = getattr(error, "code", ResultCode.EXCEPTION)
    return code


#: What to do about it.
_ADVICE = {
    ResultCode.CONNECT_AUTHFAIL: (
        "[Base Settings] SDKAuthPass of {file} must be that of the core server's "
        "AnyChatCoreServer.ini"
    ),
    ResultCode.CONNECT_DNSERROR: (
        "[Base Settings] ServerIpAddr of {file} must name the core server's machine"
    ),
    ResultCode.CONNECT_SOCKETERR: (
        "is the core server running, with SDKFilterPlus=libipcfilterplus.so and "
        "[Business Settings] ListenPort={port}?"
    ),
    ResultCode.CONNECT_TIMEOUT: (
        "does a firewall stand between, or another program listen there?"
    ),
    ResultCode.CERTVERIFYFAIL: (
        "[Base Settings] Fingerprint of {file} must be the SHA-256 that the core "
        "server's log names, or CAFile hold the authority of its certificate"
    ),
    ResultCode.CERTHIGHSECURITY: (
        "[Base Settings] TLS of {file} must be on, and the core server have TLS"
    ),
    ResultCode.SECURITYBREAK: (
        "[Base Settings] TLS of {file} must be as the core server has it"
    ),
    ResultCode.CONNECT_FUNCLIMIT: (
        "run this program on the core server's machine, or put such a licence there"
    ),
    ResultCode.CONNECT_OLDVERSION: "install the version that the core server has",
    ResultCode.SERVER_RESTART: (
        "another business server says that it is {name!r}, too: give each its own "
        "[Base Settings] Name"
    ),
}
