"""Tests for `anychat.media.packetize.h264`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media.packetize.h264 import (
    MAX_ACCESS_UNIT,
    depacketize,
    is_key,
    join,
    packetize,
    parameter_sets,
    split,
)

SPS, PPS = b"\x67sps", b"\x68pps"

#: A NAL unit: a header of a type that payloads may carry, and a body without
#: start codes that does not end in zero.
nal_units = st.builds(
    lambda kind, body: bytes((0x60 | kind,)) + body + b"\x80",
    st.integers(1, 23),
    st.binary(max_size=4000).map(lambda body: body.replace(b"\0", b"\1")),
)


def idr(size):
    """An IDR slice of that many bytes."""
    return b"\x65" + bytes(1 + index % 255 for index in range(size - 1))


class PacketizeTests(SynchronousTestCase):
    """Access units become payloads."""

    def test_smallUnitStaysWhole(self):
        """One unit that fits is its own payload."""
        self.assertEqual(packetize(join([b"\x41abc"]), 100), [b"\x41abc"])

    def test_smallUnitsShareOne(self):
        """Parameter sets and a small slice travel as one STAP-A."""
        payloads = packetize(join([SPS, PPS, b"\x65slice"]), 100)
        self.assertEqual(payloads, [b"\x78\0\x04\x67sps\0\x04\x68pps\0\x06\x65slice"])

    def test_fragmentsOfOneSize(self):
        """A long slice is cut into equal parts, only the last being shorter."""
        payloads = packetize(join([SPS, PPS, idr(5000)]), 1164)
        fragments = payloads[1:]
        sizes = [len(payload) for payload in fragments]
        self.assertEqual(len(set(sizes[:-1])), 1)
        self.assertLessEqual(sizes[-1], sizes[0])
        self.assertLessEqual(max(sizes), 1164)
        # Evenly: the last one is not a crumb.
        self.assertGreater(sizes[-1], sizes[0] - len(sizes))
        self.assertEqual((fragments[0][1], fragments[-1][1]), (0x85, 0x45))
        self.assertEqual({payload[0] for payload in fragments}, {0x7C})

    def test_nothingInIt(self):
        """An access unit without a unit is our own mistake."""
        self.assertRaises(LocalError, packetize, b"\0\0\0\1", 100)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(nal_units, min_size=1, max_size=6), st.integers(60, 1164))
    def test_comesBackAsItWas(self, units, maximum):
        """What is packetized is put together to the same units, in bounds."""
        payloads = packetize(join(units), maximum)
        self.assertLessEqual(max(map(len, payloads)), maximum)
        self.assertEqual(depacketize(payloads), units)


class DepacketizeTests(SynchronousTestCase):
    """Payloads become access units, or are refused."""

    def assertRefused(self, *payloads):
        """These payloads are no access unit."""
        self.assertRaises(PeerError, depacketize, payloads)

    def test_empty(self):
        """Nothing, or an empty payload, is refused."""
        self.assertRefused()
        self.assertRefused(b"")

    def test_forbiddenKinds(self):
        """Types of the interleaved mode, and those without a meaning."""
        for kind in (0, 25, 26, 27, 29, 30, 31):
            self.assertRefused(bytes((kind,)) + b"data")

    def test_aggregateTruncated(self):
        """An aggregate whose sizes do not fit what is there."""
        self.assertRefused(b"\x78")
        self.assertRefused(b"\x78\0")
        self.assertRefused(b"\x78\0\x05\x67sps")
        self.assertRefused(b"\x78\0\0")
        self.assertRefused(b"\x78\0\x04\x67sps\0")

    def test_aggregateInAggregate(self):
        """An aggregate holds NAL units, nothing else."""
        self.assertRefused(b"\x78\0\x04\x78\0\x01\x41")

    def test_fragmentWithoutStart(self):
        """The first fragment is missing."""
        self.assertRefused(b"\x7c\x05abc", b"\x7c\x45def")

    def test_fragmentWithoutEnd(self):
        """The last fragment is missing, whatever comes instead."""
        self.assertRefused(b"\x7c\x85abc")
        self.assertRefused(b"\x7c\x85abc", b"\x41slice")
        self.assertRefused(b"\x7c\x85abc", b"\x7c\x85abc")

    def test_fragmentTruncated(self):
        """A fragment with nothing in it."""
        self.assertRefused(b"\x7c")
        self.assertRefused(b"\x7c\x85")

    def test_fragmentStartAndEnd(self):
        """A fragment that claims to be the whole unit."""
        self.assertRefused(b"\x7c\xc5abc")

    def test_fragmentOfAnotherUnit(self):
        """Two units' fragments do not mix."""
        self.assertRefused(b"\x7c\x85abc", b"\x7c\x41def")

    def test_fragmentOfAggregate(self):
        """A fragment of what cannot be fragmented."""
        self.assertRefused(b"\x7c\x98abc", b"\x7c\x58def")

    def test_accessUnitTooLong(self):
        """There is an end to what is put together."""
        part = b"\x7c\x05" + bytes(60_000)
        payloads = [b"\x7c\x85abc"] + [part] * (MAX_ACCESS_UNIT // 60_000 + 1)
        self.assertRefused(*payloads)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.binary(max_size=40), max_size=8))
    def test_garbage(self, payloads):
        """Anything is either units or refused."""
        try:
            units = depacketize(payloads)
        except PeerError:
            return
        self.assertTrue(all(units))


class AnnexBTests(SynchronousTestCase):
    """The byte stream form."""

    def test_split(self):
        """Start codes of three and four bytes, and stuffing, are left out."""
        stream = b"\0\0\0\1\x67sps\0\0\1\x68pps\0\0\0\0\0\1\x65slice\0\0"
        self.assertEqual(split(stream), [SPS, PPS, b"\x65slice"])

    def test_nothing(self):
        """Bytes without a start code hold no unit."""
        self.assertEqual(split(b"garbage"), [])

    def test_key(self):
        """An IDR slice makes a key frame."""
        self.assertTrue(is_key([SPS, PPS, b"\x65slice"]))
        self.assertFalse(is_key([b"\x41slice"]))

    def test_parameterSets(self):
        """Only the parameter sets are picked."""
        self.assertEqual(parameter_sets([SPS, PPS, b"\x06sei", b"\x65"]), (SPS, PPS))
