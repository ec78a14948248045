"""RTP packets are read and written, and every malformed one is refused."""

from dataclasses import replace

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media.rtp import (
    MARKINGS,
    MAX_DATAGRAM,
    MAX_PAYLOAD,
    SRTP_TAG,
    FrameMarking,
    RtpPacket,
    fixed_header,
    header_length,
    marking_of,
    parse,
)
from test.media.samples import AUDIO, VALID, VIDEO, rtp_with_extension

packets = strategies.builds(
    RtpPacket,
    payload_type=strategies.integers(0, 127).filter(lambda t: not 64 <= t < 96),
    sequence=strategies.integers(0, 0xFFFF),
    timestamp=strategies.integers(0, 0xFFFFFFFF),
    ssrc=strategies.integers(0, 0xFFFFFFFF),
    marker=strategies.booleans(),
    payload=strategies.binary(max_size=64),
    marking=strategies.sampled_from((None, *MARKINGS)),
)


class PacketTests(SynchronousTestCase):
    """Whole packets, as the ends see them."""

    def refused(self, data, reason):
        """Assert that a packet is refused for that reason."""
        error = self.assertRaises(PeerError, parse, data)
        self.assertEqual(error.reason, reason)

    @settings(deadline=None)
    @given(packets)
    def test_roundTrip(self, packet):
        """What was built is parsed to the same packet, and its header read."""
        data = packet.build()
        self.assertEqual(parse(data), packet)
        self.assertEqual(len(data) - header_length(data), len(packet.payload))
        self.assertEqual(marking_of(data), packet.marking)

    def test_layout(self):
        """The bytes of both forms are those of the documentation."""
        self.assertEqual(AUDIO.build().hex(), "806f0007000003c011223344f8fffe")
        self.assertEqual(
            VIDEO.build().hex(),
            "90e0010200015f9011223344" + "bede000110e00000" + "65b80004",
        )

    def test_largestPayload(self):
        """A packet of the largest payload fits in a datagram with its tag."""
        data = replace(VIDEO, payload=bytes(MAX_PAYLOAD)).build()
        self.assertEqual(len(data) + SRTP_TAG, MAX_DATAGRAM)

    def test_outOfRange(self):
        """A field that does not fit is our own mistake."""
        for wrong in (
            {"payload_type": 128},
            {"payload_type": -1},
            {"payload_type": 72},
            {"sequence": 65536},
            {"timestamp": -1},
            {"ssrc": 1 << 32},
            {"payload": bytes(MAX_PAYLOAD + 1)},
        ):
            self.assertRaises(LocalError, replace(VIDEO, **wrong).build)

    def test_sourcesAndPadding(self):
        """CSRCs, foreign elements and padding are skipped."""
        packet = parse(VALID["rtp-everything"])
        self.assertEqual(packet.payload, b"payload")
        self.assertEqual(packet.sequence, 0x7FFE)
        self.assertEqual(packet.marking, FrameMarking(start=True, independent=True))

    def test_paddingOnly(self):
        """A packet of padding alone has an empty payload."""
        data = bytes((0xA0,)) + AUDIO.build()[1:12] + b"\0\0\x03"
        self.assertEqual(parse(data).payload, b"")

    def test_truncated(self):
        """Every cut through the header is refused."""
        whole = VALID["rtp-everything"]
        for length in range(12):
            self.refused(whole[:length], "RTP header truncated")
            self.assertRaises(PeerError, fixed_header, whole[:length])
            self.assertRaises(PeerError, marking_of, whole[:length])
        for length in range(12, 24):
            self.refused(whole[:length], "RTP extension truncated")
        for length in range(24, 32):
            self.refused(whole[:length], "RTP header truncated")

    def test_tooLong(self):
        """More than a datagram is refused."""
        self.refused(AUDIO.build() + bytes(MAX_DATAGRAM), "RTP packet too long")

    def test_version(self):
        """Another version than 2 is refused by every reader."""
        for first in (0x00, 0x40, 0xC0):
            data = bytes((first,)) + AUDIO.build()[1:]
            self.refused(data, "RTP version")
            self.assertRaises(PeerError, fixed_header, data)
            self.assertRaises(PeerError, header_length, data)
            self.assertRaises(PeerError, marking_of, data)

    def test_sourcesBeyondTheEnd(self):
        """The count of CSRCs may not reach beyond the packet."""
        self.refused(b"\x8f" + AUDIO.build()[1:], "RTP header truncated")

    def test_extensionBeyondTheEnd(self):
        """The length of the extension may not reach beyond the packet."""
        data = AUDIO.build()
        self.refused(b"\x90" + data[1:], "RTP extension truncated")
        self.refused(b"\x90" + data[1:12] + b"\xbe\xde\xff\xff", "RTP header truncated")

    def test_padding(self):
        """Padding of zero, or of more than there is, is refused."""
        head = b"\xa0" + AUDIO.build()[1:12]
        self.refused(head, "RTP padding")
        self.refused(head + b"ab\0", "RTP padding")
        self.refused(head + b"ab\4", "RTP padding")

    def test_paddingNeverReachesTheHeader(self):
        """Without a payload, the header's last byte is not taken for padding."""
        data = bytearray(VIDEO.build()[:20])
        data[0] |= 0x20
        data[19] = 4
        self.refused(bytes(data), "RTP padding")

    def test_payloadTypeOfRtcp(self):
        """Payload types that look like RTCP are refused (RFC 5761)."""
        self.refused(
            b"\x80\x48" + AUDIO.build()[2:], "RTP payload type reserved for RTCP"
        )


class MarkingTests(SynchronousTestCase):
    """The frame marking, as the relay reads it."""

    def test_fixedHeader(self):
        """The fixed fields come as they stand."""
        self.assertEqual(
            fixed_header(VIDEO.build()), (0x90, 0xE0, 0x0102, 90000, 0x11223344)
        )

    def test_everyMarking(self):
        """Each of the sixteen markings is told from the others."""
        seen = {marking_of(replace(VIDEO, marking=m).build()) for m in MARKINGS}
        self.assertEqual(seen, set(MARKINGS))

    def test_none(self):
        """No extension, no marking."""
        self.assertIsNone(marking_of(AUDIO.build()))

    def test_payloadIsNotRead(self):
        """What looks like our extension behind a plain header is payload."""
        data = replace(AUDIO, payload=VIDEO.build()[12:]).build()
        self.assertIsNone(marking_of(data))

    def test_afterOtherElements(self):
        """The marking is found behind padding and other elements."""
        data = rtp_with_extension(0xBEDE, bytes.fromhex("00 22aabbcc 00 1040"))
        self.assertEqual(marking_of(data), FrameMarking(end=True))

    def test_longForm(self):
        """The long form of RFC 9626 has the same first bits."""
        data = rtp_with_extension(0xBEDE, bytes.fromhex("12 a00001"))
        self.assertEqual(marking_of(data), FrameMarking(start=True, independent=True))

    def test_firstOneCounts(self):
        """Of two markings the first is taken."""
        data = rtp_with_extension(0xBEDE, bytes.fromhex("1080 1040"))
        self.assertEqual(marking_of(data), FrameMarking(start=True))

    def test_endOfElements(self):
        """Behind an element 15, or 0 with a length, nothing is read."""
        for stop in ("f0", "03"):
            data = rtp_with_extension(0xBEDE, bytes.fromhex(stop + "00 1080"))
            self.assertIsNone(marking_of(data))

    def test_otherProfiles(self):
        """Extensions of another form are skipped whole."""
        for profile in (0x1000, 0x0000, 0xFFFF):
            data = rtp_with_extension(profile, bytes.fromhex("10800000"))
            self.assertIsNone(marking_of(data))
            self.assertEqual(parse(data).payload, b"x")

    def test_emptyExtension(self):
        """An extension of no words is valid."""
        self.assertIsNone(marking_of(rtp_with_extension(0xBEDE, b"")))

    def test_elementTruncated(self):
        """An element may not reach beyond its extension into the payload."""
        data = rtp_with_extension(0xBEDE, bytes.fromhex("0000001f"), b"x" * 32)
        for read in (parse, marking_of):
            error = self.assertRaises(PeerError, read, data)
            self.assertEqual(error.reason, "RTP extension element truncated")
