"""docs/wire/signalling.md says what the code does."""

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.protocols import (
    formats_calls,
    formats_fields,
    formats_layers,
    formats_link,
    formats_people,
    formats_quality,
    formats_session,
    formats_transfers,
    proof,
)
from anychat.protocols.formats import REGISTRY, Sender, decode, known
from anychat.protocols.framing import MAGIC, MAXIMUM, FrameReader
from anychat.protocols.reliable import KEEPING, ReliableChannel
from anychat.protocols.signalling import LinkTerms
from anychat.protocols.signalling_server import WAITING
from anychat.services.settings import LinkSettings
from test.protocols.test_proof import GOLDEN

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "wire" / "signalling.md").read_text(encoding="utf-8")

_NAMES = {
    "U8": "u8",
    "U16": "u16",
    "U32": "u32",
    "U64": "u64",
    "TASK_KIND": "u8",
    "CHUNK_DATA": "octets(57344)",
    "I32": "i32",
    "I64": "i64",
    "FLAG": "flag",
    "CODE": "code",
    "KIND": "kind",
    "CAPABILITIES": "u32",
    "DEVICE": "u8",
    "STREAM_FORMAT": "`StreamFormat`",
    "MEMBER": "`Member`",
}


class Declarations:
    """The formats as their modules declare them, in the document's words."""

    def __init__(self):
        self.records = {}
        self._numbers = {
            name: value
            for module in (
                formats_calls,
                formats_fields,
                formats_link,
                formats_people,
                formats_session,
                formats_transfers,
                formats_quality,
                proof,
            )
            for name, value in vars(module).items()
            if isinstance(value, int)
        }
        for module in (
            formats_calls,
            formats_link,
            formats_people,
            formats_session,
            formats_transfers,
            formats_layers,
            formats_quality,
        ):
            for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "record"
                ):
                    self.records[node.args[0].id] = [
                        (item.left.value, self._type(item.right))
                        for item in node.args[1:]
                    ]

    def _type(self, node):
        if isinstance(node, ast.Name):
            return _NAMES[node.id]
        kind, arguments = node.func.id, node.args
        if kind == "record":
            return f"`{arguments[0].id}`"
        if kind == "enumerated":
            return self._type(arguments[0])
        if kind == "sequence":
            short = "8" if len(arguments) > 2 else ""
            most = self._number(arguments[1])
            return f"list{short}({most}) of {self._type(arguments[0])}"
        short = "8" if kind == "octets" and len(arguments) > 1 else ""
        return f"{kind}{short}({self._number(arguments[0])})"

    def _number(self, node):
        if isinstance(node, ast.Constant):
            return node.value
        return self._numbers[node.id]


def sections():
    """Heading -> text of every third-level section."""
    found = {}
    for part in re.split(r"^### ", DOCUMENT, flags=re.M)[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = re.split(r"^## ", text, flags=re.M)[0]
    return found


class DocumentTests(SynchronousTestCase):
    """A stranger can write a client from the page."""

    def test_everyMessageHasItsTable(self):
        """Number, sender, and fields in order with their types and limits."""
        declared, written = Declarations().records, sections()
        for row in REGISTRY:
            text = written.pop(f"{row.number} {row.kind.__name__}")
            self.assertIn(f"From the {row.sender.value}.", text)
            self.assertTable(text, declared.pop(row.kind.__name__))
        for name, fields in declared.items():
            self.assertTable(written.pop(name), fields)
        self.assertEqual(written, {})

    def assertTable(self, text, fields):
        """The section's table has these fields, or there is none."""
        rows = re.findall(r"^\| (\w+) \| ([^|]+?) \|", text, flags=re.M)
        self.assertEqual([row for row in rows if row[0] != "field"], fields)
        if not fields:
            self.assertIn("Empty body.", text)

    def test_everyTypeIsExplained(self):
        """No table uses a type that the page does not define."""
        types = DOCUMENT.partition("## Types")[2].partition("## Link")[0]
        for fields in Declarations().records.values():
            for _, kind in fields:
                for word in re.findall(r"[a-z]+\d*", re.sub("`.*`", "", kind)):
                    if word != "of":
                        self.assertRegex(types, rf"\b{word}\b")

    def test_example(self):
        """Every byte of the example is a frame of a dialogue that works."""
        example = DOCUMENT.partition("## Example")[2].partition("## Types")[0]
        entries = re.findall(
            r"^([CS]): (.+)\n((?:   [0-9a-f ]+\n)+)", example, flags=re.M
        )
        sides = {"C": Sender.CLIENT, "S": Sender.SERVER}
        channels = {"C": ReliableChannel(), "S": ReliableChannel()}
        self.assertEqual(bytes.fromhex(entries[0][2]), MAGIC)
        for who, words, digits in entries[1:]:
            (frame,) = FrameReader().receive(bytes.fromhex(digits))
            message = decode(frame.type, frame.body)
            self.assertTrue(words.startswith(type(message).__name__), words)
            self.assertTrue(known(frame.type, sides[who]))
            here, there = channels[who], channels["S" if who == "C" else "C"]
            if frame.type >= 32:
                here.number(frame.type, frame.body, frame.request)
                self.assertTrue(there.take(frame.seq))
            there.acknowledge(frame.ack)
        self.assertEqual(len(entries), 14)

    def test_limits(self):
        """The limits named are the ones that hold."""
        settings, terms = LinkSettings(port=0), LinkTerms
        fields = terms.__dataclass_fields__
        for said in (
            f"| {MAXIMUM} bytes, header included |",
            f"from one address (IPv6: one /64) | {settings.links_per_address} |",
            f"without a session, all | {settings.links_overall} |",
            f"proof together | {settings.hello_time:.0f} s |",
            f"without a session | {settings.login_time:.0f} s |",
            f"on one link | {settings.login_failures} |",
            f"being closed | {settings.closing_time:.0f} s |",
            f"in the long run | {fields['message_rate'].default:.0f} a second |",
            f"at once | {fields['message_burst'].default:.0f} |",
            f"caught up once, each write counted with {WAITING} bytes more "
            f"| {fields['send_budget'].default >> 20} MiB |",
            f"counted with {KEEPING} bytes",
            f"all together | {settings.memory_overall >> 20} MiB |",
            MAGIC.hex(" "),
        ):
            self.assertIn(said, DOCUMENT)

    def test_proof(self):
        """The example proof is the one that the code makes."""
        self.assertIn(GOLDEN, DOCUMENT)
