"""Tests for `anychat.media.packetize.audio`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media.packetize.audio import pack_aac, unpack_aac, unpack_amr_wb


class AacTests(SynchronousTestCase):
    """mpeg4-generic, AAC-hbr."""

    def test_bytes(self):
        """RFC 3640 section 3.3.6: 16 bits of headers, size 3, index 0."""
        self.assertEqual(pack_aac(b"abc", 100), b"\0\x10\0\x18abc")

    def test_comesBack(self):
        """One unit there and back."""
        self.assertEqual(unpack_aac(pack_aac(b"x" * 700, 1164)), [b"x" * 700])

    def test_severalUnits(self):
        """Others may put several units into one payload."""
        self.assertEqual(unpack_aac(b"\0\x20\0\x10\0\x18ababc"), [b"ab", b"abc"])

    def test_tooLong(self):
        """A unit is never cut."""
        self.assertRaises(LocalError, pack_aac, b"x" * 1161, 1164)
        self.assertRaises(LocalError, pack_aac, b"", 1164)

    def test_refused(self):
        """Truncated, fragmented, interleaved and padded payloads."""
        for payload in (
            b"",
            b"\0",
            b"\0\0",
            b"\0\x10",
            b"\0\x10\0\x18",
            b"\0\x10\0\x18ab",
            b"\0\x10\0\x18abcd",
            b"\0\x10\0\x19abc",
            b"\0\x0f\0\x18abc",
            b"\0\x10\0\0abc",
            b"\xff\xf0\0\x18abc",
        ):
            self.assertRaises(PeerError, unpack_aac, payload)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=60))
    def test_garbage(self, payload):
        """Anything is either units or refused."""
        try:
            units = unpack_aac(payload)
        except PeerError:
            return
        self.assertTrue(all(units))


class AmrWbTests(SynchronousTestCase):
    """RFC 4867, octet-aligned."""

    def test_oneFrame(self):
        """Mode 2 (12.65 kbit/s): 32 bytes, in file form with its octet."""
        data = bytes(range(32))
        self.assertEqual(unpack_amr_wb(b"\xf0\x14" + data), [b"\x14" + data])

    def test_severalFrames(self):
        """The F bit is the payload's, not the frame's."""
        payload = b"\xf0\x84\x7c" + bytes(17)
        self.assertEqual(unpack_amr_wb(payload), [b"\x04" + bytes(17), b"\x7c"])

    def test_refused(self):
        """Truncated payloads, unknown types, bytes left over."""
        for payload in (
            b"",
            b"\xf0",
            b"\xf0\x84",
            b"\xf0\x04" + bytes(16),
            b"\xf0\x04" + bytes(18),
            b"\xf0\x54" + bytes(17),
            b"\xf0" + b"\xfc" * 40 + b"\x7c",
        ):
            self.assertRaises(PeerError, unpack_amr_wb, payload)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=60))
    def test_garbage(self, payload):
        """Anything is either frames or refused."""
        try:
            frames = unpack_amr_wb(payload)
        except PeerError:
            return
        self.assertTrue(all(frames))
