"""Whatever comes in a datagram, parsers raise `PeerError` or nothing.

Inputs that once broke a parser are kept in ``test/corpus`` and tried first.
"""

from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.media import demux, rtcp, rtp, srtp, stun
from test.media.samples import (
    KEY,
    LEG_SSRC,
    MEDIA_SSRC,
    SALT,
    STUN_KEY,
    USERNAME,
    VALID,
    datagrams,
    mutations,
)

CORPUS = Path(__file__).resolve().parent.parent / "corpus"


def authenticate(data: bytes) -> None:
    """Parse a STUN message, authenticate it and answer it."""
    message = stun.parse(data)
    stun.success(message, ("192.0.2.1", 1), STUN_KEY)
    stun.failure(message, stun.ErrorCode.UNKNOWN_ATTRIBUTE, STUN_KEY)
    message.check(STUN_KEY, USERNAME)


def rebuild(data: bytes) -> None:
    """Parse a compound, write what was read, and read the same again."""
    packets = rtcp.parse(data)
    for packet in packets:
        (again,) = rtcp.parse(rtcp.build([packet]))
        assert comparable(again) == comparable(packet), (again, packet)


def comparable(packet: rtcp.RtcpPacket) -> rtcp.RtcpPacket:
    """A packet, if it is a NACK with its sequence numbers in order."""
    if isinstance(packet, rtcp.Nack):
        return replace(packet, sequences=tuple(sorted(packet.sequences)))
    return packet


#: Everything that takes bytes from a peer.
READERS = {
    "demux": demux.classify,
    "rtp": rtp.parse,
    "rtp header": rtp.fixed_header,
    "rtp length": rtp.header_length,
    "rtp marking": rtp.marking_of,
    "rtcp": rebuild,
    "stun": authenticate,
    "srtp": lambda data: srtp.SrtpReceiver(KEY, SALT, MEDIA_SSRC).unprotect(data),
    "srtcp": lambda data: srtp.SrtcpReceiver(KEY, SALT).unprotect(data),
    "srtcp of one": lambda data: srtp.SrtcpReceiver(KEY, SALT, LEG_SSRC).unprotect(
        data
    ),
}


def read_all(data: bytes) -> None:
    """Give a datagram to every reader; anything but `PeerError` gets out."""
    for read in READERS.values():
        try:
            read(data)
        except PeerError as error:
            # Reasons are for counters and the log: short, without any input.
            assert len(error.reason) < 60, error.reason
            assert error.reason.isprintable(), error.reason


class FuzzTests(SynchronousTestCase):
    """Every reader of the media formats."""

    @settings(deadline=None, max_examples=1000)
    @given(datagrams)
    def test_anything(self, data):
        """Noise and nearly valid packets end in `PeerError` at most."""
        read_all(data)

    def test_everyCut(self):
        """Valid packets cut anywhere, or with a byte on top."""
        for data in VALID.values():
            for length in range(len(data) + 1):
                read_all(data[:length])
            read_all(data + b"\0")
            read_all(data + b"\xff")

    def test_everyByte(self):
        """Valid packets with any one byte at either extreme."""
        for data in VALID.values():
            for position in range(len(data)):
                for byte in (0x00, 0x7F, 0x80, 0xFF):
                    changed = bytearray(data)
                    changed[position] = byte
                    read_all(bytes(changed))

    def test_corpus(self):
        """What once broke a parser does not any more."""
        paths = sorted(CORPUS.glob("*.bin"))
        self.assertTrue(paths)
        for path in paths:
            read_all(path.read_bytes())

    @settings(deadline=None, max_examples=300)
    @given(mutations(kinds=("srtp", "srtcp")))
    def test_nothingForgedPasses(self, data):
        """Only what a sender protected is ever opened."""
        for name in ("srtp", "srtcp"):
            try:
                READERS[name](data)
            except PeerError:
                continue
            self.assertIn(data, VALID.values())

    @settings(deadline=None, max_examples=300)
    @given(mutations(kinds=("stun",)))
    def test_nothingForgedBinds(self, data):
        """Only what was signed, up to its signature, is authentic."""
        try:
            message = stun.parse(data)
            message.check(STUN_KEY)
        except PeerError:
            return
        signed = {stun.parse(valid) for name, valid in VALID.items() if "stun" in name}
        self.assertIn(message, signed)
