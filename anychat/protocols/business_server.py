"""The core's end of a channel to a business server.

The dialogue (``docs/business.md`` has the bytes)::

    business server                         core
      (TLS)                       ->
      Hello                       ->
                                  <-          its answer
      Begin                       ->
                                  <-          its answer
                                  <-          events, numbered; questions
      Acknowledge, verdicts       ->
      calls                       ->
                                  <-          their answers
      ... Heartbeat, both ways ...
                                  <-          LinkClose, then the end

A `BusinessChannel` knows its bytes, its stage in that dialogue and what it
costs; which events it carries and who decides is its owner's business.  It
does not outlive its TCP connection.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anychat.business_messages import Answer, Call, Question, Verdict
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError, Refused
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import MAX_BOX, Box
from anychat.protocols.business_boxes import (
    CALLS,
    carries,
    command_of,
    decode_arguments,
    decode_verdict,
    encode_message,
    encode_refusal,
    encode_telling,
    make_message,
)
from anychat.protocols.business_commands import VERSION, Command, Refusal
from anychat.protocols.business_end import BusinessEnd, Outcome
from anychat.protocols.business_types import MAX_IDS
from anychat.protocols.proof import NONCE_SIZE, check_proof
from anychat.protocols.signalling_server import HelloFacts
from anychat.protocols.tls import SecureTransports, channel_binding

_log = Logger()

#: First byte of a TLS ClientHello (RFC 8446 section 5.1), and of an AMP box.
_TLS_HANDSHAKE, _AMP = 22, 0

#: Bytes that are taken before `Begin` is answered.
EARLY = 4096

#: In the list of events a business server wants: all of them.
ALL = "*"


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """What all channels of a core have in common."""

    facts: HelloFacts
    seconds: Callable[[], float]
    """Monotonic clock."""
    call_later: Callable[..., IDelayedCall]
    """Calls a function after so many seconds of that clock."""
    random_bytes: Callable[[int], bytes]
    epoch: bytes
    """8 bytes that no other run of the core has."""
    salt: bytes
    """Of the SDKAuthPass proof, made at the start."""
    key: bytes = field(repr=False)
    """What `proof.derive_key` made of SDKAuthPass; empty: no proof is asked."""
    secure_transports: SecureTransports | None
    """None: TLS is not offered."""
    heartbeat: float = 5.0
    """Seconds between heartbeats."""
    timeout: float = 20.0
    """Seconds of silence that end a channel."""
    answer_timeout: float = 5.0
    """Seconds that a question waits for its verdict."""
    begin_time: float = 10.0
    """Seconds for everything up to `Begin`, TLS included."""
    send_budget: int = 16 << 20
    """Bytes that may be written while the peer has not caught up once."""
    call_rate: float = 10_000.0
    """Commands a second that are read in the long run."""
    call_burst: float = 5_000.0
    """Commands that are read at once."""


class Stage(Enum):
    """How far the dialogue of a channel has come."""

    OPEN = "open"
    """Nothing came; TLS or AMP may begin."""
    HELLO = "hello"
    BEGIN = "begin"
    """`Hello` was answered."""
    READY = "ready"
    """`Begin` was answered."""


class ChannelOwner(Protocol):
    """What a `BusinessChannel` reports, and to whom.

    ``channel_over``, and ``channel_lost`` as the last call, come once for every
    channel; ``channel_begun`` comes at most once.
    """

    def channel_begun(self, channel: "BusinessChannel") -> int:
        """A business server has shown that it may be here.

        Nothing may be sent yet.

        :return: how many events after ``channel.handled`` are gone.
        :raises Refused: it is turned away with that code.
        """

    def channel_ready(self, channel: "BusinessChannel") -> None:
        """Events and questions may go out."""

    def channel_acknowledged(self, channel: "BusinessChannel", number: int) -> None:
        """All events up to this number are done with.

        :raises PeerError: no such event was sent; the channel is closed.
        """

    def channel_call(self, channel: "BusinessChannel", call: Call) -> Answer:
        """Have something done; a refusal is an answer."""

    def channel_fault(self, channel: "BusinessChannel", error: AnyChatError) -> None:
        """The peer is turned away, or has answered a question with nonsense.

        In the latter case it is `Refused`, and ``channel.closed`` is False.
        """

    def channel_over(self, channel: "BusinessChannel") -> None:
        """It tells, asks and answers nothing any more, and has closed itself.

        Questions that are open get their verdict, 206, right after this.  Until
        the connection is gone, `channel_lost`, some seconds may pass.
        """

    def channel_lost(self, channel: "BusinessChannel", reason: Failure) -> None:
        """The connection is gone."""


@implementer(IProtocol)
class BusinessChannel(BusinessEnd):
    """The core's end of one channel, from the first byte on.

    :param address: the business server's IP address, without IPv6 clothes.
    :param loopback: whether that is this host.
    """

    GONE = ResultCode.SERVERSDK_FAIL

    def __init__(
        self,
        owner: ChannelOwner,
        terms: ChannelTerms,
        *,
        address: str,
        port: int,
        loopback: bool,
    ):
        super().__init__(terms.seconds, terms.call_later, EARLY)
        self._owner = owner
        self._terms = terms
        self.address = address
        self.port = port
        self.loopback = loopback
        self.secure = False
        """Whether TLS is under this."""
        self.stage = Stage.OPEN
        self.version = 0
        """Of the protocol, as both ends speak it."""
        self.name = ""
        """The same after each reconnection; empty before the hello."""
        self.agent = ""
        """Program and version, for the log."""
        self.verdicts: frozenset[str] = frozenset()
        """Names of the questions that it asks for."""
        self.events: frozenset[str] = frozenset()
        """Names of the events that it asks for."""
        self.epoch = b""
        """The run of the core that it knew before, or empty."""
        self.handled = 0
        """The last event of that run that it is done with."""
        self.calls = 0
        """Calls that came."""
        self._early = 0
        self._client_nonce = self._server_nonce = b""
        self._allowance = terms.call_burst
        self._allowance_at = self.last_heard
        self._taken = 0
        self._resting: IDelayedCall | None = None

    @property
    def own_address(self) -> str:
        """This end's IP address."""
        return str(getattr(self.transport.getHost(), "host", ""))

    @property
    def begun(self) -> bool:
        """Whether events and questions may go out."""
        return self.stage is Stage.READY and not self.closed

    def wants(self, event: str) -> bool:
        """Whether it asks for the events of that name."""
        return event in self.events or ALL in self.events

    # What Twisted calls.

    def makeConnection(self, transport: Any) -> None:
        """Called once by the TCP transport and once more by TLS."""
        if self.transport is None:
            self._timer = self._call_later(self._terms.begin_time, self._too_slow)
        self.transport = transport

    def connectionMade(self) -> None:
        """Nothing to do: the business server speaks first."""

    def dataReceived(self, data: bytes) -> None:
        """Take what came; the first byte says what it is."""
        if not self.closed and self.stage is Stage.OPEN and not self._open_with(data):
            return
        if self.stage is not Stage.READY:
            self._early += len(data)
        self._taken = 0
        super().dataReceived(data)
        if self.closed:
            return
        if self.stage is Stage.READY:
            self._charge()
        elif self._early > EARLY:
            self._fail(PeerError(f"sent more than {EARLY} bytes before Begin"))

    # What the owner calls.

    def send(self, data: bytes) -> None:
        """Send whole boxes of events."""
        self._write(data)

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Put a question, after everything that was sent before.

        The result fires with the verdict and never fails: with 206 if the
        channel ends, with 21 if the question fits no box.  To cancel it gives
        the question up: it fires with 207, and the answer is ignored when it
        comes.  How many may be open is the owner's to say.
        """
        if not self.begun:
            return succeed(Verdict(ResultCode.SERVERSDK_FAIL))
        tag = self._next_tag()
        try:
            box = encode_message(question, tag)
        except Refused as error:
            return succeed(Verdict(error.code))

        def give_up(deferred: "Deferred[Verdict]") -> None:
            self._open.pop(tag, None)
            deferred.callback(Verdict(ResultCode.SERVERSDK_TIMEOUT))

        verdict: Deferred[Verdict] = Deferred(give_up)

        def judge(command: type[Command], answer: Outcome) -> None:
            verdict.callback(self._verdict(command, answer))

        self._open[tag] = command_of(question), judge
        self._write(box)
        return verdict

    def verdicts_taken(self, verdicts: frozenset[str], name: str) -> None:
        """Tell who answers these questions from now on."""
        values = {"verdicts": verdicts, "name": name}
        self._write(encode_telling(commands.VerdictsTaken, values))

    def close(self, code: ResultCode) -> None:
        """End the channel after what was written has gone out, and say why."""
        if self.begun:
            self._write(encode_telling(commands.LinkClose, {"code": code}))
        self._lose()

    # The dialogue.

    def _open_with(self, data: bytes) -> bool:
        """Judge the first byte; whether boxes begin with it."""
        if not data:
            return False
        transports = self._terms.secure_transports
        if data[0] == _TLS_HANDSHAKE and transports is not None and not self.secure:
            self.secure = True
            connection = self.transport
            connection.protocol = transports.wrap(self)
            connection.protocol.makeConnection(connection)
            connection.protocol.dataReceived(data)
            return False
        if data[0] != _AMP:
            self._fail(PeerError("speaks neither TLS nor AMP"))
            return False
        self.stage = Stage.HELLO
        self._produce()
        return True

    def _command(self, name: bytes, tag: bytes | None, box: Box) -> None:
        if self.stage is not Stage.READY:
            self._greeted(name, tag, box)
            return
        self._taken += 1
        step = _STEPS.get(name)
        if step is not None:
            step(self, tag, box)
            return
        command = CALLS.get(name)
        if command is None or not carries(command):
            raise Refused(ResultCode.FUNCNOTALLOW, name[:64].decode("utf-8", "replace"))
        self._call(command, tag, box)

    def _greeted(self, name: bytes, tag: bytes | None, box: Box) -> None:
        """A command before `Begin` was answered: the right one, or the end."""
        step = _GREETINGS.get((self.stage, name))
        if step is None or tag is None:
            raise PeerError("sent something else than Hello and Begin")
        try:
            step(self, tag, box)
        except Refused as error:
            self._turn_away(tag, error)

    def _turn_away(self, tag: bytes, error: Refused) -> None:
        self._write(encode_refusal(tag, error))
        self._lose()
        self._owner.channel_fault(self, error)

    def _hello(self, tag: bytes, box: Box) -> None:
        terms = self._terms
        if not (self.loopback or self.secure):
            raise Refused(
                ResultCode.CERTHIGHSECURITY, "beyond loopback the link must be TLS"
            )
        if not (self.loopback or terms.key):
            raise Refused(
                ResultCode.CONNECT_AUTHFAIL,
                "beyond loopback SDKAuthPass must be set, at the core too",
            )
        hello = decode_arguments(commands.Hello, box)
        if hello["version"] < 1:
            raise Refused(ResultCode.CONNECT_OLDVERSION)
        self.version = min(hello["version"], VERSION)
        self.name, self.agent = hello["name"], hello["agent"]
        self.verdicts, self.events = hello["verdicts"], hello["events"]
        self.epoch, self.handled = hello["epoch"], hello["handled"]
        self._client_nonce = hello["nonce"]
        self._server_nonce = terms.random_bytes(NONCE_SIZE)
        self._answer(
            commands.Hello,
            tag,
            version=self.version,
            nonce=self._server_nonce,
            salt=terms.salt,
            proof_required=bool(terms.key),
            server_version=terms.facts.version,
            build_time=terms.facts.build,
            heartbeat=int(terms.heartbeat * 1000),
            timeout=int(terms.timeout * 1000),
            answer_timeout=int(terms.answer_timeout * 1000),
            epoch=terms.epoch,
        )
        self.stage = Stage.BEGIN

    def _begin(self, tag: bytes, box: Box) -> None:
        proof = decode_arguments(commands.Begin, box)["proof"]
        if self._terms.key and not check_proof(
            self._terms.key,
            proof,
            self._client_nonce,
            self._server_nonce,
            channel_binding(self.transport) if self.secure else b"",
        ):
            raise Refused(ResultCode.CONNECT_AUTHFAIL, "wrong SDKAuthPass")
        self._client_nonce = self._server_nonce = b""
        lost = self._owner.channel_begun(self)
        if self.closed:
            return
        self._answer(commands.Begin, tag, lost=lost)
        self.stage = Stage.READY
        self._reader.maximum = MAX_BOX
        self._start_heartbeats(self._terms.heartbeat, self._terms.timeout)
        self._owner.channel_ready(self)

    def _acknowledge(self, tag: bytes | None, box: Box) -> None:
        try:
            number = decode_arguments(commands.Acknowledge, box)["number"]
        except Refused as error:
            # Ignored, it would stop the events for good.
            raise PeerError(f"sent an Acknowledge whose {error.reason}") from error
        self._owner.channel_acknowledged(self, number)
        self._answer(commands.Acknowledge, tag)

    def _live(self, tag: bytes | None, box: Box) -> None:
        self._answer(commands.Heartbeat, tag)

    def _call(self, command: type[Command], tag: bytes | None, box: Box) -> None:
        self.calls += 1
        values = decode_arguments(command, box)
        after = values.pop("after", None)
        call = make_message(command, values)
        assert isinstance(call, Call)
        try:
            answer = self._owner.channel_call(self, call)
        except Exception:
            _log.failure("A call of a business server met a fault")
            raise Refused(ResultCode.EXCEPTION) from None
        if answer.code != ResultCode.SUCCESS:
            raise Refused(answer.code)
        ids = sorted(answer.ids)
        if after is not None:
            ids = ids[bisect_right(ids, after) :]
        self._answer(
            command,
            tag,
            ids=ids[:MAX_IDS],
            more=len(ids) > MAX_IDS,
            text=answer.text,
            task_id=answer.task_id,
            length=answer.length,
            data=answer.data,
        )

    def _verdict(self, command: type[Command], answer: Outcome) -> Verdict:
        """What a question's answer, or the lack of one, comes to."""
        if isinstance(answer, dict):
            try:
                return decode_verdict(command, answer)
            except Refused as error:
                answer = error
        elif not isinstance(answer, Refused) or (
            isinstance(answer, Refusal)
            and answer.numbered
            # Refused with 206 it is a fault there, and says which.
            and answer.code != ResultCode.SERVERSDK_FAIL
        ):
            return Verdict(answer.code)
        what = answer.reason or answer.code.text
        reason = f"answered {command.__name__}: {what}"
        self._owner.channel_fault(self, Refused(answer.code, reason))
        return Verdict(ResultCode.SERVERSDK_FAIL)

    # Limits.

    def _write(self, data: bytes) -> None:
        super()._write(data)
        if self.unsent > self._terms.send_budget and not self.closed:
            self.abort()
            self._owner.channel_fault(
                self, PeerError("does not read", ResultCode.NOENOUGHRESOURCE)
            )

    def _charge(self) -> None:
        """Hold the business server to its rate (a token bucket).

        It is not closed: for a while nothing more is read of it.
        """
        terms, now = self._terms, self._seconds()
        allowance = self._allowance + (now - self._allowance_at) * terms.call_rate
        self._allowance_at = now
        self._allowance = min(allowance, terms.call_burst) - self._taken
        if self._allowance < 0:
            delay = -self._allowance / terms.call_rate
            self.last_heard += delay  # the silence of that time is none of its own
            if self._resting is not None:
                self._resting.reset(delay)  # TLS had read more already
                return
            self._resting = self._call_later(delay, self._read_on)
            self.transport.pauseProducing()

    def _read_on(self) -> None:
        self._resting = None
        self.transport.resumeProducing()

    # The end.

    def _too_slow(self) -> None:
        self._timer = None
        self._fail(
            PeerError(
                f"said no Hello and Begin within {self._terms.begin_time:g} s",
                ResultCode.CONNECT_TIMEOUT,
            )
        )

    def _fail(self, error: PeerError) -> None:
        if not self.closed:
            self.close(error.code)
            self._owner.channel_fault(self, error)

    def _end(self) -> None:
        if self._resting is not None:
            # TLS has ended only when the peer's last word was read.
            self._resting.cancel()
            self._read_on()
        super()._end()

    def _over(self) -> None:
        self._owner.channel_over(self)

    def _gone(self, reason: Failure) -> None:
        self._owner.channel_lost(self, reason)


_GREETINGS: dict[tuple[Stage, bytes], Callable[[BusinessChannel, bytes, Box], None]] = {
    (Stage.HELLO, b"Hello"): BusinessChannel._hello,
    (Stage.BEGIN, b"Begin"): BusinessChannel._begin,
}

#: What a business server may say besides calls, once it has begun.
_STEPS: dict[bytes, Callable[[BusinessChannel, bytes | None, Box], None]] = {
    b"Acknowledge": BusinessChannel._acknowledge,
    b"Heartbeat": BusinessChannel._live,
}
