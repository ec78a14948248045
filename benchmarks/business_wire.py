"""What the wire to a business server costs: one core of this machine, no sockets.

Run: ``python benchmarks/business_wire.py``.  Each figure is how many a second of
process time (user and system) does, the best of five runs.  Boxes go into a
transport in memory that throws them away; what the other end says was made
before.  The last lines have Twisted's AMP do the same, to compare.
"""

import platform
from collections.abc import Callable
from time import process_time
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogBeginner
from twisted.protocols import amp

from anychat.business_messages import (
    Answer,
    Call,
    OnRecvUserTextMsg,
    OnUserEnterRoomAction,
    OnUserLoginAction,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import ANSWER, encode_box
from anychat.protocols.business_boxes import (
    encode_answer,
    encode_asking,
    encode_event,
    encode_message,
    encode_telling,
    encode_verdict,
    number_event,
)
from anychat.protocols.business_client import BusinessLink, Introduction
from anychat.protocols.business_server import BusinessChannel, ChannelTerms
from anychat.protocols.signalling import HelloFacts

ROUNDS = 20_000
#: Boxes in one read of a busy socket.
TOGETHER = 50

LOGIN = OnUserLoginAction(4711, "somebody", 3, "192.0.2.1")
ENTER = OnUserEnterRoomAction(4711, 7)
TEXT = OnRecvUserTextMsg(7, 4711, -1, False, "x" * 60)
QUESTION = VerifyUser("somebody", "correct horse battery staple")
VERDICT = Verdict(ResultCode.SUCCESS, 4711, 3, "Somebody")

HELLO: dict[str, Any] = {
    "version": 1,
    "name": "main",
    "agent": "benchmark",
    "nonce": bytes(16),
    "verdicts": {"VerifyUser"},
    "events": {"*"},
    "epoch": b"",
    "handled": 0,
}
CORE: dict[str, Any] = {
    "version": 1,
    "nonce": bytes(16),
    "salt": bytes(16),
    "proof_required": False,
    "server_version": "6",
    "build_time": "now",
    "heartbeat": 5000,
    "timeout": 20000,
    "answer_timeout": 5000,
    "epoch": bytes(8),
}


class Sink(StringTransport):
    """Takes everything and keeps nothing."""

    def write(self, data: bytes) -> None:
        """Away with it."""


class Owner:
    """Owner of either end; does as little as can be done."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: None

    def channel_begun(self, channel: BusinessChannel) -> int:
        """Nothing is lost."""
        return 0

    def channel_call(self, channel: BusinessChannel, call: Call) -> Answer:
        """It is done."""
        return Answer(ResultCode.SUCCESS)

    def link_question(self, link: BusinessLink, question: Any) -> Verdict:
        """Everybody may."""
        return VERDICT


def make_channel() -> BusinessChannel:
    """A core's end that has begun."""
    clock = Clock()
    terms = ChannelTerms(
        facts=HelloFacts("6", "now", "Linux", 0),
        seconds=clock.seconds,
        call_later=clock.callLater,
        random_bytes=bytes,
        epoch=bytes(8),
        salt=bytes(16),
        key=b"",
        secure_transports=None,
        call_rate=1e9,
        call_burst=1e9,
    )
    channel = BusinessChannel(
        Owner(), terms, address="127.0.0.1", port=1, loopback=True
    )
    channel.makeConnection(Sink())
    channel.dataReceived(encode_asking(commands.Hello, b"1", HELLO))
    channel.dataReceived(encode_asking(commands.Begin, b"2", {"proof": b""}))
    assert channel.begun
    return channel


def make_link() -> BusinessLink:
    """A business server's end that has begun."""
    clock = Clock()
    link = BusinessLink(
        Owner(),
        Introduction("main", "benchmark"),
        seconds=clock.seconds,
        call_later=clock.callLater,
        random_bytes=bytes,
    )
    link.makeConnection(Sink())
    link.dataReceived(encode_answer(commands.Hello, b"1", CORE))
    link.dataReceived(encode_answer(commands.Begin, b"2", {"lost": 0}))
    assert link.begun
    return link


def measure(
    label: str, prepare: Callable[[], Callable[[], None]], rounds: int = ROUNDS
) -> None:
    """Time what ``prepare`` gives, which does so many rounds; print the rate."""
    best = float("inf")
    for _ in range(5):
        work = prepare()
        start = process_time()
        work()
        best = min(best, process_time() - start)
    print(f"{rounds / best:10,.0f} a second  {best / rounds * 1e6:6.1f} us  {label}")


def together(boxes: list[bytes]) -> list[bytes]:
    """The boxes as reads of a busy socket bring them."""
    return [
        b"".join(boxes[start : start + TOGETHER])
        for start in range(0, len(boxes), TOGETHER)
    ]


def tell(servers: int, *events: Any) -> Callable[[], Callable[[], None]]:
    """Encode events once and send them to so many business servers."""

    def prepare() -> Callable[[], None]:
        channels = [make_channel() for _ in range(servers)]

        def work() -> None:
            for number in range(1, ROUNDS + 1):
                body = encode_event(events[number % len(events)])
                for channel in channels:
                    channel.send(number_event(body, number))

        return work

    return prepare


def ask() -> Callable[[], None]:
    """Put questions and take verdicts."""
    channel = make_channel()
    answers = [
        encode_verdict(commands.VerifyUser, b"%x" % number, VERDICT)
        for number in range(1, ROUNDS + 1)
    ]
    reads = together(answers)
    verdicts: list[Verdict] = []

    def work() -> None:
        for read in reads:
            for _ in range(TOGETHER):
                channel.ask(QUESTION).addCallback(verdicts.append)
            channel.dataReceived(read)
        assert len(verdicts) == ROUNDS

    return work


def take(boxes: Callable[[int], bytes], end: Callable[[], Any]) -> Any:
    """Read and carry out what the other end says."""

    def prepare() -> Callable[[], None]:
        here = end()
        reads = together([boxes(number) for number in range(1, ROUNDS + 1)])

        def work() -> None:
            for read in reads:
                here.dataReceived(read)

        return work

    return prepare


class Declared(amp.AMP):
    """Twisted's AMP with our declarations."""


def twisted_tells() -> Callable[[], None]:
    """Events by ``callRemote``."""
    protocol = Declared()
    protocol.makeConnection(Sink())

    def work() -> None:
        for number in range(1, ROUNDS + 1):
            protocol.callRemote(
                commands.OnUserLoginAction,
                user_id=LOGIN.user_id,
                name=LOGIN.name,
                level=LOGIN.level,
                ip=LOGIN.ip,
                number=number,
            )

    return work


def twisted_asks() -> Callable[[], None]:
    """Questions by ``callRemote``."""
    protocol = Declared()
    protocol.makeConnection(Sink())
    values = [(b"code", b"0"), (b"user_id", b"4711"), (b"level", b"3")]
    values.append((b"nickname", b"Somebody"))
    answers = [
        encode_box([(ANSWER, b"%x" % number), *values])
        for number in range(1, ROUNDS + 1)
    ]
    reads = together(answers)
    verdicts: list[Any] = []

    def work() -> None:
        for read in reads:
            for _ in range(TOGETHER):
                asking = protocol.callRemote(
                    commands.VerifyUser, name=QUESTION.name, password=QUESTION.password
                )
                asking.addCallback(verdicts.append)
            protocol.dataReceived(read)
        assert len(verdicts) == ROUNDS

    return work


def main() -> None:
    """Print one line for each kind of work."""
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    print(f"Python {platform.python_version()}, one core")
    print("core:")
    measure("events told to one business server", tell(1, LOGIN, ENTER, TEXT))
    measure("events told to four", tell(4, LOGIN, ENTER, TEXT))
    measure("questions asked and answered", ask)
    calling = {"user_id": 4711, "data": bytes(100)}
    measure(
        "calls carried out",
        take(
            lambda number: encode_asking(
                commands.SendBufToUser, b"%x" % number, calling
            ),
            make_channel,
        ),
    )
    measure(
        "acknowledgements taken",
        take(
            lambda number: encode_telling(commands.Acknowledge, {"number": number}),
            make_channel,
        ),
    )
    print("business server:")
    body = encode_event(LOGIN)
    measure("events taken", take(lambda number: number_event(body, number), make_link))
    measure(
        "questions answered",
        take(lambda number: encode_message(QUESTION, b"%x" % number), make_link),
    )
    print("Twisted's AMP:")
    measure("events told to one business server", twisted_tells)
    measure("questions asked and answered", twisted_asks)


if __name__ == "__main__":
    main()
