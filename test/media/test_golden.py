"""The bytes on the wire stay what they were: ``test/golden/*.bin``.

A file that differs means that other clients no longer understand us.  The
invalid ones are refused for the reason given here, now and later.
"""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.media import rtcp, rtp, signals, srtp, stun
from test.media.samples import (
    AUDIO,
    BYE_COMPOUND,
    FEEDBACK_COMPOUND,
    KEY,
    LEG_SSRC,
    MEDIA_SSRC,
    RECEIVER_COMPOUND,
    SALT,
    SENDER_COMPOUND,
    SIGNALS,
    STUN_KEY,
    USERNAME,
    VALID,
    VIDEO,
)

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

#: Name of the file -> reader and the reason it refuses for.
INVALID = {
    "invalid-rtp-version": (rtp.parse, "RTP version"),
    "invalid-rtp-sources": (rtp.parse, "RTP header truncated"),
    "invalid-rtp-extension": (rtp.parse, "RTP header truncated"),
    "invalid-rtp-element": (rtp.parse, "RTP extension element truncated"),
    "invalid-rtp-padding": (rtp.parse, "RTP padding"),
    "invalid-rtp-type": (rtp.parse, "RTP payload type reserved for RTCP"),
    "invalid-rtcp-version": (rtcp.parse, "RTCP version"),
    "invalid-rtcp-length": (rtcp.parse, "RTCP packet truncated"),
    "invalid-rtcp-report": (rtcp.parse, "RTCP report block truncated"),
    "invalid-rtcp-description": (rtcp.parse, "RTCP description item truncated"),
    "invalid-rtcp-bye": (rtcp.parse, "RTCP bye reason truncated"),
    "invalid-rtcp-padding": (rtcp.parse, "RTCP padding"),
    "invalid-rtcp-nack": (rtcp.parse, "RTCP NACK asks for too much"),
    "invalid-rtcp-feedback": (
        rtcp.parse,
        "RTCP feedback tells of too many packets",
    ),
    "invalid-stun-cookie": (stun.parse, "STUN magic cookie"),
    "invalid-stun-length": (stun.parse, "STUN length"),
    "invalid-stun-attribute": (stun.parse, "STUN attribute truncated"),
    "invalid-stun-fingerprint": (stun.parse, "STUN fingerprint wrong"),
    "invalid-srtp-tag": (
        lambda data: srtp.SrtpReceiver(KEY, SALT, MEDIA_SSRC).unprotect(data),
        srtp.FORGED,
    ),
    "invalid-srtcp-clear": (
        lambda data: srtp.SrtcpReceiver(KEY, SALT).unprotect(data),
        "SRTCP packet not encrypted",
    ),
}


def golden(name):
    """Bytes of a golden file."""
    return (GOLDEN / f"{name}.bin").read_bytes()


class GoldenTests(SynchronousTestCase):
    """What we write, and what others may have written."""

    def test_valid(self):
        """Every sample is written with the same bytes as ever."""
        for name, data in VALID.items():
            self.assertEqual(data.hex(), golden(name).hex(), name)

    def test_rtp(self):
        """The RTP files are read as what they were made from."""
        self.assertEqual(rtp.parse(golden("rtp-video")), VIDEO)
        self.assertEqual(rtp.parse(golden("rtp-audio")), AUDIO)

    def test_rtcp(self):
        """The RTCP files are read as what they were made from."""
        self.assertEqual(rtcp.parse(golden("rtcp-sender")), SENDER_COMPOUND)
        self.assertEqual(rtcp.parse(golden("rtcp-receiver")), RECEIVER_COMPOUND)
        self.assertEqual(rtcp.parse(golden("rtcp-bye")), BYE_COMPOUND)
        self.assertEqual(rtcp.parse(golden("rtcp-feedback")), FEEDBACK_COMPOUND)
        read = rtcp.parse(golden("rtcp-signals"))
        self.assertEqual(tuple(map(signals.unwrap, read)), SIGNALS)

    def test_stun(self):
        """The signed STUN files are authentic."""
        for name in ("request", "sha256-request"):
            stun.parse(golden(f"stun-{name}")).check(STUN_KEY, USERNAME)
        for name in ("success-ipv4", "success-ipv6", "success-bound", "failure"):
            stun.parse(golden(f"stun-{name}")).check(STUN_KEY)

    def test_srtp(self):
        """The protected files open."""
        for name, plain, roc in (("video", VIDEO, 0), ("audio", AUDIO, 5)):
            receiver = srtp.SrtpReceiver(KEY, SALT, MEDIA_SSRC, roc)
            opened = receiver.unprotect(golden(f"srtp-{name}"))
            self.assertEqual(opened, plain.build())
        for name, ssrc in (("sender", MEDIA_SSRC), ("receiver", LEG_SSRC)):
            opened = srtp.SrtcpReceiver(KEY, SALT, ssrc).unprotect(
                golden(f"srtcp-{name}")
            )
            self.assertEqual(opened, golden(f"rtcp-{name}"))

    def test_invalid(self):
        """Each invalid file is refused for its own reason."""
        for name, (read, reason) in INVALID.items():
            error = self.assertRaises(PeerError, read, golden(name))
            self.assertEqual(error.reason, reason, name)

    def test_allAreKnown(self):
        """Every golden packet is tested."""
        names = {path.stem for path in GOLDEN.glob("*.bin")}
        media = ("rtp-", "rtcp-", "stun-", "srtp-", "srtcp-")
        ours = {
            name for name in names if name.removeprefix("invalid-").startswith(media)
        }
        self.assertEqual(ours, set(VALID) | set(INVALID))
