"""The DER of a licence's string and a key's envelope."""

from hypothesis import given, settings
from hypothesis.strategies import binary, integers
from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.der import (
    INTEGER,
    OCTET_STRING,
    UTF8_STRING,
    decode_der,
    encode_der,
    encode_integer,
)


class DerTests(SynchronousTestCase):
    """Values there and back."""

    def test_lengths(self):
        """A length takes one byte up to 127, and as few as it needs above."""
        for size, head in (
            (0, "0c00"),
            (127, "0c7f"),
            (128, "0c8180"),
            (255, "0c81ff"),
            (256, "0c820100"),
            (65536, "0c83010000"),
        ):
            data = encode_der(UTF8_STRING, b"a" * size)
            self.assertEqual(data[: -size or None].hex(), head)
            self.assertEqual(decode_der(UTF8_STRING, data), b"a" * size)

    def test_malformed(self):
        """Other values, lengths that are too long or too short, and rests."""
        for text in (
            "",
            "0c",
            "0401aa",
            "0c02aa",
            "0c01aabb",
            "0c8101aa",
            "0c820001aa",
            "0c80aa0000",
            "0c84ffffffffaa",
            "0cff",
        ):
            with self.assertRaises(ValueError):
                decode_der(UTF8_STRING, bytes.fromhex(text))

    def test_integers(self):
        """A number whose highest bit is set has a zero before it, or it is below 0."""
        for number, text in (
            (0, "020100"),
            (127, "02017f"),
            (128, "02020080"),
            (600_000, "02030927c0"),
        ):
            self.assertEqual(encode_integer(number).hex(), text)

    @settings(deadline=None)
    @given(integers(0, 2**128))
    def test_anyInteger(self, number):
        """Any number comes back."""
        content = decode_der(INTEGER, encode_integer(number))
        self.assertEqual(int.from_bytes(content, "big", signed=True), number)

    @settings(deadline=None)
    @given(binary(max_size=300))
    def test_anyBytes(self, data):
        """Of any bytes either a value is read that they are the DER of, or none."""
        try:
            content = decode_der(OCTET_STRING, data)
        except ValueError:
            return
        self.assertEqual(encode_der(OCTET_STRING, content), data)
