"""Datagrams are told apart as RFC 7983 says."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.demux import Kind, classify
from test.media import samples


class ClassifyTests(SynchronousTestCase):
    """`classify` knows every first byte."""

    def test_ranges(self):
        """Each range of first bytes, at both ends, has its kind."""
        ranges = {
            (0, 3): Kind.STUN,
            (4, 15): Kind.CONTROL,
            (16, 19): Kind.OTHER,
            (20, 63): Kind.DTLS,
            (64, 127): Kind.OTHER,
            (128, 191): Kind.RTP,
            (192, 255): Kind.OTHER,
        }
        for (first, last), kind in ranges.items():
            for byte in range(first, last + 1):
                self.assertIs(classify(bytes((byte, 0))), kind, byte)

    def test_rtcpByTheSecondByte(self):
        """RTCP packet types lie where RTP payload types may not (RFC 5761)."""
        for second in range(256):
            expected = Kind.RTCP if 192 <= second <= 223 else Kind.RTP
            self.assertIs(classify(bytes((0x80, second))), expected, second)

    def test_tooShortToTell(self):
        """What lacks the byte that decides is nothing."""
        self.assertIs(classify(b""), Kind.OTHER)
        self.assertIs(classify(b"\x80"), Kind.OTHER)

    def test_samples(self):
        """Every kind of packet we make goes to its own parser."""
        kinds = {
            "rtp": Kind.RTP,
            "srtp": Kind.RTP,
            "rtcp": Kind.RTCP,
            "srtcp": Kind.RTCP,
            "stun": Kind.STUN,
        }
        for name, data in samples.VALID.items():
            self.assertIs(classify(data), kinds[name.partition("-")[0]], name)
