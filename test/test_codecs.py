"""The codec table: fixed numbers, unique, and found from either side."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codecs import CODECS, by_number, by_payload_type
from anychat.codes import AudioCodec, StreamKind, VideoCodec


class CodecTests(SynchronousTestCase):
    """`anychat.codecs`."""

    def test_payloadTypesNeverChange(self):
        """The numbers that travel are those of docs/wire, one by one."""
        self.assertEqual(
            {codec.payload_type: (codec.number, codec.clock_rate) for codec in CODECS},
            {
                0: (AudioCodec.PCMU, 8000),
                8: (AudioCodec.PCMA, 8000),
                96: (VideoCodec.H264, 90000),
                97: (VideoCodec.VP8, 90000),
                111: (AudioCodec.OPUS, 48000),
                112: (AudioCodec.AAC, 48000),
                113: (AudioCodec.AMR_WB, 16000),
            },
        )

    def test_foundFromEitherSide(self):
        """Every codec is found by its payload type and by kind and number."""
        for codec in CODECS:
            self.assertIs(by_payload_type(codec.payload_type), codec)
            self.assertIs(by_number(codec.kind, codec.number), codec)

    def test_numbersOfKindsAreApart(self):
        """Video 101 is VP8 and audio 101 is PCMU."""
        self.assertEqual(by_number(StreamKind.VIDEO, 101).encoding, "VP8")
        self.assertEqual(by_number(StreamKind.AUDIO, 101).encoding, "PCMU")

    def test_unknown(self):
        """What is not in the table is None, not an error."""
        self.assertIsNone(by_payload_type(127))
        self.assertIsNone(by_number(StreamKind.AUDIO, AudioCodec.SPEEX))

    def test_payloadTypesStayClearOfRtcp(self):
        """No payload type looks like RTCP with the marker set (RFC 5761)."""
        for codec in CODECS:
            self.assertFalse(64 <= codec.payload_type <= 95)
