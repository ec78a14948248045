"""Numbers and names are AnyChat's, and stay what they are."""

import pickle
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

    def test_applicationCodes(self):
        """A number that is not AnyChat's is a code all the same, without a place."""
        for number in (600, 4711, 2**32 - 1):
            code = codes.ResultCode(number)
            self.assertIsInstance(code, codes.ResultCode)
            self.assertEqual(code, number)
            self.assertEqual(code.value, number)
            self.assertEqual(code.name, "APPLICATION")
            self.assertEqual(code.text, "code of the application")
            self.assertEqual({code: 1}[codes.ResultCode(number)], 1)
            self.assertEqual(pickle.loads(pickle.dumps(code)), code)
            self.assertEqual(f"{code:d}", str(number))
            self.assertNotIn(code, list(codes.ResultCode))
        self.assertIs(codes.ResultCode(206), codes.ResultCode.SERVERSDK_FAIL)

    def test_noCodes(self):
        """What is no unsigned 32-bit number is no code."""
        for value in (-1, 2**32, "206", None, 4711.5):
            self.assertRaises(ValueError, codes.ResultCode, value)

    def test_texts(self):
        """Every result code says what it means."""
        for code in codes.ResultCode:
            self.assertTrue(code.text, code)
