"""The business server's end of a channel to the core; see `business_server`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.business_messages import Event, Question, Verdict
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError, Refused, Unavailable
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import MAX_BOX, Box
from anychat.protocols.business_boxes import (
    EVENTS,
    QUESTIONS,
    decode_answer,
    decode_arguments,
    decode_message,
    decode_number,
    encode_refusal,
    encode_telling,
    encode_verdict,
)
from anychat.protocols.business_commands import VERSION, Command
from anychat.protocols.business_end import BusinessEnd, Outcome
from anychat.protocols.proof import NONCE_SIZE, derive_key, make_proof
from anychat.protocols.tls import channel_binding

_log = Logger()


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a business server says about itself."""

    name: str
    """1 to 64 characters; the same after each reconnection."""
    agent: str
    """Program and version, for the core's log."""
    verdicts: frozenset[str] = frozenset()
    """Names of the questions that it answers."""
    events: frozenset[str] = frozenset()
    """Names of the events that it wants to hear; ``*`` for all."""
    epoch: bytes = b""
    """The run of the core that it knew before, or empty."""
    handled: int = 0
    """The last event of that run that it is done with."""


@dataclass(frozen=True, slots=True)
class CoreHello:
    """What the core says about itself."""

    version: int
    """Of the protocol, as both ends speak it."""
    server_version: str
    build_time: str
    heartbeat: float
    """Seconds between heartbeats."""
    timeout: float
    """Seconds of silence that end the channel."""
    answer_timeout: float
    """Seconds that the core waits for a verdict."""
    epoch: bytes
    """Of this run of the core."""


class BusinessLinkOwner(Protocol):
    """What a `BusinessLink` reports.  ``link_lost`` is the last, and comes once."""

    def link_secured(self, link: "BusinessLink", certificate: Any) -> None:
        """TLS stands; the core showed this certificate (an OpenSSL ``X509``).

        Nothing has been said yet: raise `Refused` if it will not do.
        """

    def link_begun(self, link: "BusinessLink", hello: CoreHello, lost: int) -> None:
        """The core lets us in; events and questions follow.

        :param lost: how many events after ``introduction.handled`` are gone.
        """

    def link_event(
        self, link: "BusinessLink", number: int, event: Event | None
    ) -> None:
        """Something has happened; `BusinessLink.acknowledge` when done with it.

        :param event: None for one that this version does not know; it is to
            be acknowledged all the same.
        """

    def link_question(
        self, link: "BusinessLink", question: Question
    ) -> "Deferred[Verdict] | Verdict":
        """The verdict; a failure is logged and answered with 206.

        `Refused` is answered as it is, and not logged: its text is for the core's
        log.
        """

    def link_verdicts(
        self, link: "BusinessLink", verdicts: frozenset[str], name: str
    ) -> None:
        """The business server of that name answers these questions from now on."""

    def link_lost(self, link: "BusinessLink", reason: Failure) -> None:
        """The link is gone.

        The failure holds `Refused` where the core said no (with its code) or
        the owner did, `PeerError` where the core broke the protocol,
        `Unavailable` where it was too slow, otherwise what the connection met.
        """


@implementer(IProtocol, IHandshakeListener)
class BusinessLink(BusinessEnd):
    """The business server's end of one channel.

    :param password: SDKAuthPass, empty if there is none.
    :param tls: options for ``startTLS``; None for a plain link.
    :param random_bytes: for the nonce.
    :param derive: makes the proof's key of password and salt, 50 ms of work;
        may return a Deferred.
    :param answer_time: seconds that the core has for an answer, and for
        everything up to the beginning.
    """

    #: Calls that wait for their answers at once.
    OPEN_CALLS = 10_000
    #: Bytes that may be written while the core has not caught up once.
    SEND_BUDGET = 16 << 20

    def __init__(
        self,
        owner: BusinessLinkOwner,
        introduction: Introduction,
        *,
        password: str = "",
        tls: Any = None,
        seconds: Callable[[], float],
        call_later: Callable[..., IDelayedCall],
        random_bytes: Callable[[int], bytes],
        derive: Callable[[str, bytes], Any] = derive_key,
        answer_time: float = 10.0,
    ):
        super().__init__(seconds, call_later, MAX_BOX)
        self._owner = owner
        self.introduction = introduction
        self._password = password
        self._tls = tls
        self._derive = derive
        self._answer_time = answer_time
        self._nonce = random_bytes(NONCE_SIZE)
        self._core_nonce = b""
        self._last = 0
        self._reason: Failure | None = None
        self.hello: CoreHello | None = None
        """What the core said about itself, once it did."""
        self.begun = False
        """Whether the core has let us in."""

    @property
    def secure(self) -> bool:
        """Whether the link is encrypted."""
        return self._tls is not None

    # What Twisted calls.

    def makeConnection(self, transport: Any) -> None:
        """The connection stands."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        """Begin TLS, or the dialogue at once."""
        self.last_heard = self._seconds()
        self._timer = self._call_later(self._answer_time, self._too_slow)
        if self._tls is None:
            self._greet()
        else:
            self.transport.startTLS(self._tls)

    def handshakeCompleted(self) -> None:
        """TLS stands: let the owner look at the certificate, then begin."""
        if self.closed:
            return
        try:
            self._owner.link_secured(self, self.transport.getPeerCertificate())
        except AnyChatError:
            self._give_up(Failure())
        else:
            self._greet()

    # What the owner calls.

    def acknowledge(self, number: int) -> None:
        """All events up to this number are done with."""
        self._write(encode_telling(commands.Acknowledge, {"number": number}))

    def call(self, command: type[Command], **values: Any) -> "Deferred[dict[str, Any]]":
        """Have the core do something.

        :param command: one of `business_commands.CALLS`.
        :param values: its arguments by name.
        :return: fires with what was answered, by name.  Fails with `Refused`:
            the core's code, 21 for a value that does not fit, 23 where too
            much is under way; or with `Unavailable`: 100 where the core did
            not answer in time, 101 where the link is gone or has not begun.
        """
        if not self.begun or self.closed:
            return fail(Unavailable(ResultCode.CONNECT_ABORT, "no link to the core"))
        if len(self._open) >= self.OPEN_CALLS or self.unsent > self.SEND_BUDGET:
            return fail(
                Refused(ResultCode.NOENOUGHRESOURCE, "too many calls are under way")
            )

        def forget(_: Any = None) -> None:
            self._open.pop(tag, None)
            if timing.active():
                timing.cancel()

        def too_slow() -> None:
            forget()
            result.errback(self._no_answer(command))

        def settle(command: type[Command], answer: Outcome) -> None:
            timing.cancel()
            try:
                if not isinstance(answer, dict):
                    raise answer
                result.callback(decode_answer(command, answer))
            except AnyChatError:
                result.errback()

        try:
            tag = self._ask(command, settle, **values)
        except Refused:
            return fail()
        result: Deferred[dict[str, Any]] = Deferred(forget)
        timing = self._call_later(self._answer_time, too_slow)
        return result

    def close(self) -> None:
        """End the link after what was written has gone out."""
        self._lose()

    # The dialogue.

    def _greet(self) -> None:
        self._produce()
        about = self.introduction
        try:
            self._ask(
                commands.Hello,
                self._greeted,
                version=VERSION,
                name=about.name,
                agent=about.agent,
                nonce=self._nonce,
                verdicts=about.verdicts,
                events=about.events,
                epoch=about.epoch,
                handled=about.handled,
            )
        except Refused:
            self._give_up(Failure())

    def _greeted(self, command: type[Command], answer: Outcome) -> None:
        """The core answered the hello."""
        values = self._read(command, answer)
        if values is None:
            return
        if values["version"] > VERSION:
            self._fail(
                PeerError(
                    f"answered with version {values['version']} of the protocol",
                    ResultCode.VERSIONNOTMATCH,
                )
            )
            return
        self._core_nonce = values["nonce"]
        self.hello = CoreHello(
            values["version"],
            values["server_version"],
            values["build_time"],
            values["heartbeat"] / 1000,
            values["timeout"] / 1000,
            values["answer_timeout"] / 1000,
            values["epoch"],
        )
        if not values["proof_required"]:
            self._ask(commands.Begin, self._let_in, proof=b"")
        elif not self._password:
            self._give_up(
                Failure(
                    Refused(
                        ResultCode.CONNECT_AUTHFAIL,
                        "the core has a SDKAuthPass, and none is given here",
                    )
                )
            )
        else:
            deriving = maybeDeferred(self._derive, self._password, values["salt"])
            deriving.addCallback(self._prove).addErrback(self._give_up)

    def _prove(self, key: bytes) -> None:
        if self.closed:
            return
        binding = channel_binding(self.transport) if self.secure else b""
        proof = make_proof(key, self._nonce, self._core_nonce, binding)
        self._ask(commands.Begin, self._let_in, proof=proof)

    def _let_in(self, command: type[Command], answer: Outcome) -> None:
        """The core answered the proof."""
        values = self._read(command, answer)
        if values is not None:
            assert self.hello is not None
            self.begun = True
            self._start_heartbeats(self.hello.heartbeat, self.hello.timeout)
            self._owner.link_begun(self, self.hello, values["lost"])

    def _read(self, command: type[Command], answer: Outcome) -> dict[str, Any] | None:
        """An answer that must be there, or the link ends."""
        if isinstance(answer, dict):
            try:
                return decode_answer(command, answer)
            except Refused as error:
                self._fail(PeerError(f"answered {command.__name__}: {error.reason}"))
        elif not self.closed:
            self._give_up(Failure(answer))
        return None

    def _command(self, name: bytes, tag: bytes | None, box: Box) -> None:
        event = EVENTS.get(name)
        if event is not None and self.begun:
            self._event(event, box)
        elif name in QUESTIONS and tag is not None and self.begun:
            self._question(QUESTIONS[name], tag, box)
        elif name == b"Heartbeat":
            self._answer(commands.Heartbeat, tag)
        elif name == b"VerdictsTaken":
            values = decode_arguments(commands.VerdictsTaken, box)
            self._owner.link_verdicts(self, values["verdicts"], values["name"])
        elif name == b"LinkClose":
            code = decode_arguments(commands.LinkClose, box)["code"]
            self._give_up(Failure(Refused(code)))
        elif b"number" in box and self.begun:
            self._told(box, None)  # an event of a later version
        else:
            raise Refused(ResultCode.FUNCNOTALLOW)

    def _event(self, command: type[Command], box: Box) -> None:
        try:
            event = decode_message(command, box)
        except Refused as error:
            raise PeerError(f"sent {command.__name__} whose {error.reason}") from error
        assert isinstance(event, Event)
        self._told(box, event)

    def _told(self, box: Box, event: Event | None) -> None:
        try:
            number = decode_number(box)
        except Refused as error:
            raise PeerError(f"sent an event whose {error.reason}") from error
        if number <= self._last:
            raise PeerError(f"sent event {number} after {self._last}")
        self._last = number
        self._owner.link_event(self, number, event)

    def _question(self, command: type[Command], tag: bytes, box: Box) -> None:
        question = decode_message(command, box)
        assert isinstance(question, Question)

        def answer(verdict: Verdict) -> None:
            self._write(encode_verdict(command, tag, verdict))

        def refuse(failure: Failure) -> None:
            failure.trap(Refused)
            self._write(encode_refusal(tag, failure.value))

        def unavailable(failure: Failure) -> None:
            _log.failure("No verdict on {name}", failure, name=command.__name__)
            answer(Verdict(ResultCode.SERVERSDK_FAIL))

        asking: Deferred[Any] = maybeDeferred(self._owner.link_question, self, question)
        asking.addCallbacks(answer, refuse).addErrback(unavailable)

    # The end.

    def _no_answer(self, command: type[Command]) -> Unavailable:
        return Unavailable(
            ResultCode.CONNECT_TIMEOUT,
            f"the core did not answer {command.__name__} in {self._answer_time:g} s",
        )

    def _too_slow(self) -> None:
        self._timer = None
        step = commands.Hello if self.hello is None else commands.Begin
        self._give_up(Failure(self._no_answer(step)))

    def _fail(self, error: PeerError) -> None:
        self._give_up(Failure(error))

    def _give_up(self, failure: Failure) -> None:
        """End the link for a reason that the owner is told."""
        if not self.closed:
            self._reason = failure
            self.abort()

    def _gone(self, reason: Failure) -> None:
        self._owner.link_lost(self, self._reason or reason)
