"""docs/business.md, part "The wire", says what the code does."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    MAX_PRESENCES,
    AppMessageEx,
    OnlineUsers,
    OnUserLoginAction,
    Presence,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.protocols import boxes, business_end, business_types
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import encode_pair
from anychat.protocols.business_boxes import (
    carries,
    encode_answer,
    encode_asking,
    encode_event,
    encode_message,
    encode_refusal,
    encode_telling,
    encode_verdict,
    number_event,
)
from anychat.protocols.business_server import EARLY, ChannelTerms
from anychat.protocols.proof import derive_key, make_proof
from anychat.services.event_queue import LASTING, SHARE_OF_BYTES, SHARE_OF_EVENTS
from anychat.services.settings import BusinessChannelSettings
from test.protocols.test_proof import GOLDEN

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "business.md").read_text(encoding="utf-8")
WIRE = DOCUMENT.partition("\n## The wire\n")[2].partition("\n## ")[0]
PROSE = " ".join(WIRE.split())

#: The ranges of numbers that have names of their own.
NAMED = {
    (-(2**31), 2**31 - 1): "id",
    (-(2**31), 2**32 - 1): "word",
    (0, 2**31 - 1): "level",
    (0, 2**63 - 1): "count",
    (1, 2**63 - 1): "ordinal",
}


def described(kind):
    """A type in the document's words."""
    optional = "?" * kind.optional
    if isinstance(kind, business_types.Code):
        return "code" + optional
    if isinstance(kind, business_types.Number):
        limits = kind.low, kind.high
        return NAMED.get(limits, "number({}..{})".format(*limits)) + optional
    if isinstance(kind, business_types.Line):
        return f"line({kind._characters})"
    if isinstance(kind, business_types.Text):
        return f"text({kind._octets.high})" + optional
    if isinstance(kind, business_types.Octets):
        return f"octets({'=' * (kind.low == kind.high)}{kind.high})"
    return type(kind).__name__.lower()


def rows(text, first):
    """(name, type) of the rows of a section's table."""
    _, found, table = text.partition(f"| {first} | type | |\n|---|---|---|\n")
    table = table.partition("\n\n")[0] if found else ""
    return re.findall(r"^\| (\w+) \| ([^|]+?) \|", table, flags=re.M)


def sections():
    """Heading -> text of every fourth-level section."""
    parts = re.split(r"^#### ", WIRE, flags=re.M)[1:]
    return dict(part.split("\n", 1) for part in parts)


class DocumentTests(SynchronousTestCase):
    """A stranger can write a business server from the page."""

    def test_everyCommandHasItsTables(self):
        """Arguments and answers, with their types, in their order."""
        written = sections()
        channel = {
            commands.Hello: "From the business server, with `_ask`",
            commands.Begin: "From the business server, with `_ask`",
            commands.Acknowledge: "From the business server, without `_ask`",
            commands.Heartbeat: "From either side, with `_ask`",
            commands.VerdictsTaken: "From the core, without `_ask`",
            commands.LinkClose: "From the core, without `_ask`",
        }
        kinds = {
            **channel,
            **dict.fromkeys(commands.QUESTIONS, "A question."),
            **dict.fromkeys(commands.EVENTS, "An event."),
            **dict.fromkeys(commands.CALLS, "A call"),
        }
        for command, start in kinds.items():
            text = written.pop(command.__name__)
            self.assertTrue(text.strip().startswith(start), command)
            for first, declared in (
                ("argument", command.arguments),
                ("answer", command.response),
            ):
                self.assertEqual(
                    rows(text, first),
                    [(key.decode(), described(kind)) for key, kind in declared],
                    command,
                )
            if command in commands.CALLS:
                self.assertEqual("refused with 20" in text, not carries(command))
        fields = business_types.Presences().subargs
        self.assertEqual(
            rows(written.pop("presence"), "argument"),
            [(key.decode(), described(kind)) for key, kind in fields],
        )
        self.assertEqual(written, {})

    def test_everyTypeIsExplained(self):
        """No table uses a type that the page does not define."""
        types = WIRE.partition("### Types")[2].partition("### Commands")[0]
        defined = set(re.findall(r"^\| `(\w+)", types, flags=re.M))
        used = set()
        for text in sections().values():
            for first in ("argument", "answer"):
                used |= {re.match(r"\w+", kind)[0] for _, kind in rows(text, first)}
        self.assertEqual(used - defined, set())
        self.assertIn(f"at most {business_types.MAX_IDS}", types)
        self.assertIn(f"at most {MAX_PRESENCES}", types)
        self.assertIn(f"at most {business_types.MAX_NAMES} bytes", types)
        for (low, high), name in NAMED.items():
            self.assertIn(f"| `{name}` | number from {low} to {high}", types)

    def test_example(self):
        """Every byte of the example is one that the code writes."""
        text = WIRE.partition("### Example")[2].split("```")[1].strip("\n")
        said = []
        for line in text.split("\n"):
            if line.startswith("  "):
                said[-1][2] += bytes.fromhex(line)
            else:
                side, what = line.split(" ", 1)
                said.append([side, what, b""])
        self.assertEqual([tuple(row) for row in said], example())

    def test_box(self):
        """The layout's example is one."""
        data = encode_pair(b"name", b"bob") + encode_pair(b"level", b"3") + boxes.END
        written = WIRE.partition("### Boxes")[2].split("```")[1].split("\n")[1]
        self.assertEqual(bytes.fromhex(written), data)

    def test_limits(self):
        """The limits named are the ones that hold."""
        terms = {
            name: field.default
            for name, field in ChannelTerms.__dataclass_fields__.items()
        }
        service = BusinessChannelSettings(port=0)
        for said in (
            f"| a box | {boxes.MAX_BOX} bytes, {boxes.MAX_PAIRS} pairs |",
            f"more than {boxes.MAX_PAIRS} pairs, "
            f"a box of more than {boxes.MAX_BOX:,} bytes",
            f"| a tag | {business_end.MAX_TAG} bytes |",
            f"`Begin` is answered | {EARLY} |",
            f"to `Begin` | {service.begin_time:.0f} s |",
            f"in {EARLY} bytes",
            f"in the long run | {terms['call_rate']:.0f} a second |",
            f"read at once | {terms['call_burst']:.0f} |",
            f"| {service.questions}, the next are answered",
            f"caught up once | {terms['send_budget'] >> 20} MiB |",
            f"empty itself | {business_end.CLOSING_TIME:.0f} s |",
            f"{service.channels_per_address}, {service.channels_overall} |",
            f"| names | {service.names} |",
            f"up to {service.names} names",
            f"at most {service.window_events} events and "
            f"{service.window_bytes >> 20} MiB",
            f"{service.window_events // SHARE_OF_EVENTS} events and "
            f"{service.window_bytes // SHARE_OF_BYTES >> 10} KiB of one user",
            f"who is where, {LASTING * service.window_events} and "
            f"{LASTING * service.window_bytes >> 20} MiB",
            f"no more than {service.queue_bytes >> 20} MiB",
            f"at most {business_types.MAX_IDS} at a time",
            f"({service.answer_timeout:.0f} s unless configured)",
        ):
            self.assertIn(said, PROSE)

    def test_proof(self):
        """The example proof is the one that the code makes."""
        self.assertIn(GOLDEN, WIRE)

    def test_namesOfWhatIsToCome(self):
        """What is refused and what is not sent yet is listed."""
        for command in commands.CALLS:
            if not carries(command):
                self.assertIn(f" {command.__name__}", PROSE)
        for command in (*commands.EVENTS, *commands.QUESTIONS):
            later = command.__doc__.endswith("yet.")
            self.assertEqual("Not sent yet." in sections()[command.__name__], later)
            if later:
                self.assertIn(f" {command.__name__}", PROSE)


def example():
    """The example as the code has it."""
    success, proof = ResultCode.SUCCESS, bytes.fromhex(GOLDEN)
    assert proof == make_proof(
        derive_key("password", b"s" * 16), b"c" * 16, b"n" * 16, b""
    )
    hello = {
        "version": 1,
        "name": "main",
        "agent": "shop/1.0",
        "nonce": b"c" * 16,
        "verdicts": {"VerifyUser"},
        "events": {"*"},
        "epoch": b"",
        "handled": 0,
    }
    core = {
        "version": 1,
        "nonce": b"n" * 16,
        "salt": b"s" * 16,
        "proof_required": True,
        "server_version": "6.0.0.1",
        "build_time": "2026-11-20 08:00:00",
        "heartbeat": 5000,
        "timeout": 20000,
        "answer_timeout": 5000,
        "epoch": bytes(range(1, 9)),
    }
    guest = Presence(-2, "guest", 0, "192.0.2.7", 1)
    verdict = Verdict(success, 7, 3, "Bob")
    login = OnUserLoginAction(7, "bob", 3, "192.0.2.8")
    refused = Refused(ResultCode.INVALID_USERID)
    return [
        (">", "Hello", encode_asking(commands.Hello, b"1", hello)),
        ("<", "answer", encode_answer(commands.Hello, b"1", core)),
        (">", "Begin", encode_asking(commands.Begin, b"2", {"proof": proof})),
        ("<", "answer", encode_answer(commands.Begin, b"2", {"lost": 0})),
        ("<", "AppMessageEx", event(AppMessageEx(10, success, 0), 1)),
        ("<", "OnlineUsers", event(OnlineUsers((guest,), True), 2)),
        (">", "Acknowledge", encode_telling(commands.Acknowledge, {"number": 2})),
        ("<", "VerifyUser", encode_message(VerifyUser("bob", "secret"), b"1")),
        (">", "answer", encode_verdict(commands.VerifyUser, b"1", verdict)),
        ("<", "OnUserLoginAction", event(login, 3)),
        (">", "Acknowledge", encode_telling(commands.Acknowledge, {"number": 3})),
        (
            ">",
            "SendBufToUser",
            encode_asking(
                commands.SendBufToUser, b"3", {"user_id": 8, "data": b"hello"}
            ),
        ),
        ("<", "refusal", encode_refusal(b"3", refused)),
        (">", "Heartbeat", encode_asking(commands.Heartbeat, b"4", {})),
        ("<", "answer", encode_answer(commands.Heartbeat, b"4", {})),
        ("<", "LinkClose", encode_telling(commands.LinkClose, {"code": 212})),
    ]


def event(message, number):
    """The box of an event."""
    return number_event(encode_event(message), number)
