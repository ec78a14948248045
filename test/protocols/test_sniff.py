"""Tests of `anychat.protocols.sniff`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.protocols.framing import MAGIC
from anychat.protocols.sniff import Wire, sniff


class SniffTests(SynchronousTestCase):
    """The first bytes decide, as soon as they can."""

    def test_nothingDecidesNothing(self):
        """An empty start is undecided."""
        self.assertIs(sniff(b"", tls=True), Wire.UNDECIDED)

    def test_tls(self):
        """A TLS record of a handshake is known by its first byte."""
        self.assertIs(sniff(b"\x16", tls=True), Wire.TLS)
        self.assertIs(sniff(b"\x16\x03\x01", tls=True), Wire.TLS)

    def test_noTlsInsideTls(self):
        """Inside TLS, or without a certificate, TLS is as foreign as anything."""
        self.assertIs(sniff(b"\x16\x03\x01", tls=False), Wire.FOREIGN)

    def test_magic(self):
        """Our magic is undecided until it is whole."""
        for length in range(1, len(MAGIC)):
            self.assertIs(sniff(MAGIC[:length], tls=True), Wire.UNDECIDED)
        self.assertIs(sniff(MAGIC, tls=True), Wire.NATIVE)
        self.assertIs(sniff(MAGIC + b"more", tls=True), Wire.NATIVE)

    def test_foreign(self):
        """Other protocols, and a magic that goes wrong, are foreign."""
        for start in (b"GET / HTTP/1.1\r\n", b"SSH-2.0-x", b"\x00", MAGIC[:7] + b"u"):
            self.assertIs(sniff(start, tls=True), Wire.FOREIGN)

    @settings(deadline=None)
    @given(st.binary(max_size=30), st.booleans())
    def test_decidesInTime(self, data, tls):
        """No more bytes than the magic has are ever waited for, and no mind changed."""
        verdict = sniff(data, tls=tls)
        if len(data) >= len(MAGIC):
            self.assertIsNot(verdict, Wire.UNDECIDED)
        if verdict is not Wire.UNDECIDED:
            self.assertIs(sniff(data + b"x", tls=tls), verdict)
