"""Numbers and names are AnyChat's, and stay what they are."""

from enum import Enum
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat import codes

GOLDEN = Path(__file__).parent / "golden" / "codes.txt"


def lines():
    """Every member of every enumeration, a line each."""
    for kind in vars(codes).values():
        if isinstance(kind, type) and issubclass(kind, Enum) and list(kind):
            for member in kind:
                yield f"{kind.__name__}.{member.name} = {member.value}"


class CodesTests(SynchronousTestCase):
    """`anychat.codes` against the golden list."""

    def test_golden(self):
        """No number or name has changed, and new ones have been written down."""
        self.assertEqual(list(lines()), GOLDEN.read_text().splitlines())

    def test_noAliases(self):
        """No two names of one enumeration share a number."""
        for kind in vars(codes).values():
            if isinstance(kind, type) and issubclass(kind, Enum):
                self.assertEqual(len(list(kind)), len(kind.__members__), kind)

    def test_texts(self):
        """Every result code says what it means."""
        for code in codes.ResultCode:
            self.assertTrue(code.text, code)
