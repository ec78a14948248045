"""SRTP is what libsrtp says it is, and refuses what it must."""

import random

import pylibsrtp
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media import rtcp
from anychat.media.rtp import MARKINGS, MAX_DATAGRAM, RtpPacket
from anychat.media.srtp import (
    FORGED,
    MAX_SSRCS,
    REPLAYED,
    TOO_OLD,
    SrtcpReceiver,
    SrtcpSender,
    SrtpReceiver,
    SrtpSender,
)
from test.media.samples import (
    KEY,
    LEG_SSRC,
    MEDIA_SSRC,
    RECEIVER_COMPOUND,
    SALT,
    SENDER_COMPOUND,
    VALID,
)


def oracle(inbound, window=1024):
    """A libsrtp session with the samples' key."""
    policy = pylibsrtp.Policy(
        key=KEY + SALT,
        ssrc_type=(
            pylibsrtp.Policy.SSRC_ANY_INBOUND
            if inbound
            else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
        ),
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    )
    policy.window_size = window
    return pylibsrtp.Session(policy)


def packet(index, payload=b"payload", marking=None):
    """An RTP packet with the sequence number of an index."""
    return RtpPacket(
        96, index & 0xFFFF, 3000, MEDIA_SSRC, False, payload, marking
    ).build()


def sender(index=0):
    """A sender that goes on from an index."""
    return SrtpSender(KEY, SALT, MEDIA_SSRC, index >> 16, index & 0xFFFF)


def receiver(index=0, window=1024):
    """A receiver that joins at an index."""
    return SrtpReceiver(KEY, SALT, MEDIA_SSRC, index >> 16, index & 0xFFFF, window)


#: Indexes that walk through six turns in steps that RFC 3711 can follow.
WALK = tuple(range(9, 6 << 16, 30000))


class OracleTests(SynchronousTestCase):
    """Both directions against libsrtp."""

    def test_libsrtpOpensOurs(self):
        """libsrtp opens what we protect, from ROC 0 to 5."""
        theirs, ours = oracle(inbound=True), sender()
        for index in WALK:
            for size in (0, 1, 160, 1164):
                plain = packet(index, bytes(size), MARKINGS[size % 16])
                self.assertEqual(theirs.unprotect(ours.protect(plain)), plain)
                index += 1
        self.assertEqual(ours.position[0], 5)

    def test_weOpenLibsrtps(self):
        """We open what libsrtp protects, from ROC 0 to 5."""
        theirs, ours = oracle(inbound=False), receiver()
        for index in WALK:
            plain = packet(index, index.to_bytes(4, "big"))
            self.assertEqual(ours.unprotect(theirs.protect(plain)), plain)
        self.assertEqual(ours.position[0], 5)
        late = receiver(index)
        for plain in (packet(index + 1), packet(index + 2)):
            self.assertEqual(late.unprotect(theirs.protect(plain)), plain)

    def test_headersOfEveryForm(self):
        """CSRCs and any extension are authenticated and left clear."""
        plain = VALID["rtp-everything"]
        header = plain[:32]
        protected = SrtpSender(KEY, SALT, MEDIA_SSRC).protect(plain)
        self.assertEqual(protected[:32], header)
        self.assertEqual(oracle(inbound=True).unprotect(protected), plain)
        protected = oracle(inbound=False).protect(plain)
        ours = receiver(0x7FFE)
        self.assertEqual(ours.unprotect(protected), plain)

    def test_srtcp(self):
        """SRTCP goes both ways, and its index goes up."""
        theirs_in, theirs_out = oracle(inbound=True), oracle(inbound=False)
        ours_out = SrtcpSender(KEY, SALT, LEG_SSRC)
        ours_in = SrtcpReceiver(KEY, SALT)
        compounds = (
            rtcp.build(RECEIVER_COMPOUND),
            rtcp.build([rtcp.Pli(LEG_SSRC, 1)]),
            rtcp.build([rtcp.ReceiverReport(LEG_SSRC)]),
        )
        for plain in compounds:
            self.assertEqual(theirs_in.unprotect_rtcp(ours_out.protect(plain)), plain)
            self.assertEqual(ours_in.unprotect(theirs_out.protect_rtcp(plain)), plain)
        self.assertEqual(ours_out.index, 3)

    def test_sameWindow(self):
        """In a shuffled stream with doubles we accept just what libsrtp does."""
        dice = random.Random(3711)
        theirs_out = oracle(inbound=False)
        protected = [theirs_out.protect(packet(index)) for index in range(4000)]
        order = sorted(
            [index for index in range(4000) for _ in range(2)],
            key=lambda index: index + dice.uniform(0, 1600),
        )
        theirs, ours = oracle(inbound=True), receiver()
        outcomes = set()
        for index in order:
            try:
                expected = theirs.unprotect(protected[index])
            except pylibsrtp.Error:
                expected = None
            try:
                opened = ours.unprotect(protected[index])
            except PeerError as error:
                outcomes.add(error.reason)
                opened = None
            self.assertEqual(opened, expected, index)
        self.assertEqual(outcomes, {REPLAYED, TOO_OLD})


class SenderTests(SynchronousTestCase):
    """A nonce is never used twice."""

    def test_backwards(self):
        """A sequence number that was used or passed over is refused."""
        ours = sender(10)
        for index in (9, 8, 65535):
            self.assertRaises(LocalError, ours.protect, packet(index))
        ours.protect(packet(12))
        for index in (12, 11, 10):
            self.assertRaises(LocalError, ours.protect, packet(index))
        ours.protect(packet(13))
        self.assertEqual(ours.position, (0, 14))

    def test_firstPacketAnywhere(self):
        """The first sequence number may be any below 2**15."""
        self.assertRaises(LocalError, sender().protect, packet(32768))
        for first in (0, 1, 32767):
            ours = sender()
            protected = ours.protect(packet(first))
            self.assertEqual(receiver(first).unprotect(protected), packet(first))

    def test_nonceIsFreshInEachTurn(self):
        """The same packet a turn later has another ciphertext."""
        ours = sender()
        first = ours.protect(packet(5))
        ours.protect(packet(30005))
        ours.protect(packet(60005))
        second = ours.protect(packet(5))
        self.assertNotEqual(first, second)
        self.assertEqual(ours.position, (1, 6))

    def test_keyUsedUp(self):
        """After 2**48 packets the sender stops."""
        last = (1 << 48) - 1
        ours = sender(last)
        protected = ours.protect(packet(last))
        self.assertEqual(receiver(last).unprotect(protected), packet(last))
        self.assertRaises(LocalError, ours.protect, packet(last + 1))
        self.assertRaises(LocalError, ours.protect, packet(last))

    def test_srtcpKeyUsedUp(self):
        """After 2**31 compounds the sender stops."""
        compound = rtcp.build([rtcp.Pli(LEG_SSRC, 1)])
        ours = SrtcpSender(KEY, SALT, LEG_SSRC, (1 << 31) - 1)
        opened = SrtcpReceiver(KEY, SALT).unprotect(ours.protect(compound))
        self.assertEqual(opened, compound)
        self.assertRaises(LocalError, ours.protect, compound)

    def test_notOurs(self):
        """Only whole packets with the stream's own SSRC are protected."""
        ours = sender()
        for wrong in (
            b"",
            packet(0)[:11],
            b"\x00" + packet(0)[1:],
            b"\x9f" + packet(0)[1:],
            RtpPacket(96, 0, 0, LEG_SSRC, False, b"").build(),
            packet(0) + bytes(MAX_DATAGRAM),
        ):
            self.assertRaises(LocalError, ours.protect, wrong)
        self.assertEqual(ours.position, (0, 0))

    def test_notOursInSrtcp(self):
        """The same of RTCP; nothing is used up."""
        ours = SrtcpSender(KEY, SALT, LEG_SSRC)
        for wrong in (b"", bytes(7), rtcp.build(SENDER_COMPOUND), bytes(MAX_DATAGRAM)):
            self.assertRaises(LocalError, ours.protect, wrong)
        self.assertEqual(ours.index, 0)

    def test_keyLengths(self):
        """Keys and salts of another length are not used."""
        for key, salt in ((KEY[1:], SALT), (KEY, SALT[1:]), (KEY, SALT + b"12")):
            for kind in (SrtpSender, SrtpReceiver, SrtcpSender):
                self.assertRaises(LocalError, kind, key, salt, 1)
            self.assertRaises(LocalError, SrtcpReceiver, key, salt)


class ReceiverTests(SynchronousTestCase):
    """What is wrong is refused, and changes nothing."""

    def refused(self, unprotect, data, reason):
        """Assert that a packet is refused for that reason."""
        error = self.assertRaises(PeerError, unprotect, data)
        self.assertEqual(error.reason, reason)

    def test_joinLate(self):
        """A receiver that is told where the stream stands opens it, from a
        window before to half a turn after."""
        for turn in (1, 5, 70000):
            at = turn << 16 | 2
            for index in (at - 1023, at - 3, at, at + 1, at + 32767):
                protected = sender(index).protect(packet(index))
                self.assertEqual(receiver(at).unprotect(protected), packet(index))

    def test_joinWithoutTheTurn(self):
        """Without the right turn nothing opens: that is why it is told."""
        index = 1 << 16 | 2
        protected = sender(index).protect(packet(index))
        self.refused(receiver(2).unprotect, protected, FORGED)

    def test_replayed(self):
        """No packet opens twice, late ones and the one joined at included."""
        ours, out = receiver(100), sender(90)
        packets = [out.protect(packet(index)) for index in range(90, 120)]
        for data in (*packets[15:], *packets[:15]):
            ours.unprotect(data)
        for data in packets:
            self.refused(ours.unprotect, data, REPLAYED)

    def test_window(self):
        """The last packet of the window opens, the one behind it does not."""
        out = sender()
        packets = [out.protect(packet(index)) for index in range(2100)]
        for window in (64, 1024):
            ours = receiver(window=window)
            ours.unprotect(packets[2000])
            ours.unprotect(packets[2000 - window + 1])
            self.refused(ours.unprotect, packets[2000 - window], TOO_OLD)
            ours.unprotect(packets[2001])
            self.refused(ours.unprotect, packets[2001 - window], TOO_OLD)
            self.refused(ours.unprotect, packets[2000], REPLAYED)

    def test_windowAfterAJump(self):
        """After a jump of more than a window the old packets are too old."""
        out, ours = sender(), receiver()
        old = [out.protect(packet(index)) for index in range(10)]
        for data in old:
            ours.unprotect(data)
        ours.unprotect(out.protect(packet(5000)))
        for data in old:
            self.refused(ours.unprotect, data, TOO_OLD)
        self.assertEqual(ours.position, (0, 5000))

    def test_forged(self):
        """No bit of a packet may be changed, header and tag included."""
        protected = sender().protect(packet(0, b"four", MARKINGS[4]))
        for position in range(len(protected)):
            data = bytearray(protected)
            data[position] ^= 1
            self.assertRaises(PeerError, receiver().unprotect, bytes(data))

    def test_forgeryChangesNothing(self):
        """A forged packet, however far ahead, moves neither turn nor window."""
        out, ours = sender(100), receiver(100)
        first = out.protect(packet(100))
        for sequence in (100, 101, 20000, 32867, 40000, 65535):
            forged = packet(sequence, bytes(30))
            self.refused(ours.unprotect, forged, FORGED)
        self.assertEqual(ours.position, (0, 100))
        self.assertEqual(ours.unprotect(first), packet(100))
        self.assertEqual(ours.unprotect(out.protect(packet(101))), packet(101))

    def test_malformed(self):
        """What is no SRTP packet of the stream is refused by its form."""
        ours = receiver()
        protected = sender().protect(packet(0))
        self.refused(ours.unprotect, b"", "RTP header truncated")
        self.refused(ours.unprotect, protected[:27], "SRTP packet truncated")
        self.refused(ours.unprotect, b"\x40" + protected[1:], "RTP version")
        self.refused(ours.unprotect, b"\x90" + protected[1:], "RTP header truncated")
        self.refused(
            ours.unprotect, protected + bytes(MAX_DATAGRAM), "SRTP packet too long"
        )
        other = RtpPacket(96, 0, 0, LEG_SSRC, False, bytes(20)).build()
        self.refused(ours.unprotect, other, "SRTP packet with another SSRC")

    def test_emptyPayload(self):
        """A packet with no payload is authenticated all the same."""
        protected = sender().protect(packet(0, b""))
        self.assertEqual(receiver().unprotect(protected), packet(0, b""))

    def test_beyondTheLastIndex(self):
        """A receiver does not follow a stream past its key."""
        last = (1 << 48) - 1
        ours = receiver(last)
        self.refused(ours.unprotect, packet(5, bytes(20)), "SRTP key used up")

    def test_anotherKey(self):
        """Another publication's key opens nothing."""
        protected = SrtpSender(SALT + bytes(4), SALT, MEDIA_SSRC).protect(packet(0))
        self.refused(receiver().unprotect, protected, FORGED)


class SrtcpReceiverTests(SynchronousTestCase):
    """The same of SRTCP."""

    refused = ReceiverTests.refused

    def setUp(self):
        """A sender, a receiver and a compound."""
        self.out = SrtcpSender(KEY, SALT, LEG_SSRC)
        self.ours = SrtcpReceiver(KEY, SALT)
        self.compound = rtcp.build(RECEIVER_COMPOUND)

    def test_replayed(self):
        """No compound opens twice; late ones open once."""
        packets = [self.out.protect(self.compound) for _ in range(5)]
        for data in reversed(packets):
            self.assertEqual(self.ours.unprotect(data), self.compound)
        for data in packets:
            self.refused(self.ours.unprotect, data, REPLAYED)

    def test_tooOld(self):
        """What lies before the window is not opened."""
        packets = [self.out.protect(self.compound) for _ in range(130)]
        self.ours.unprotect(packets[129])
        self.ours.unprotect(packets[2])
        self.refused(self.ours.unprotect, packets[1], TOO_OLD)

    def test_forged(self):
        """No bit may be changed, the index included; nothing is remembered."""
        protected = self.out.protect(self.compound)
        for position in range(len(protected)):
            data = bytearray(protected)
            data[position] ^= 1
            self.assertRaises(PeerError, self.ours.unprotect, bytes(data))
        self.assertEqual(self.ours.unprotect(protected), self.compound)

    def test_rtpKeysAreOthers(self):
        """An RTP packet of the same key is no SRTCP packet (other labels)."""
        data = SrtpSender(KEY, SALT, MEDIA_SSRC).protect(packet(0, bytes(20)))
        self.assertRaises(PeerError, self.ours.unprotect, data)

    def test_notEncrypted(self):
        """Packets that are only authenticated are refused."""
        data = bytearray(self.out.protect(self.compound))
        data[-4] &= 0x7F
        self.refused(self.ours.unprotect, bytes(data), "SRTCP packet not encrypted")

    def test_malformed(self):
        """What is no SRTCP packet is refused by its form."""
        protected = self.out.protect(self.compound)
        self.refused(self.ours.unprotect, b"", "SRTCP packet truncated")
        self.refused(self.ours.unprotect, protected[:27], "SRTCP packet truncated")
        self.refused(self.ours.unprotect, b"\0" + protected[1:], "RTCP version")
        self.refused(
            self.ours.unprotect, bytes(MAX_DATAGRAM + 1), "SRTCP packet too long"
        )

    def test_onlyOneSource(self):
        """A receiver for one SSRC takes no other, though the key is right."""
        only = SrtcpReceiver(KEY, SALT, LEG_SSRC)
        self.assertEqual(only.unprotect(self.out.protect(self.compound)), self.compound)
        other = SrtcpSender(KEY, SALT, 5).protect(rtcp.build([rtcp.Pli(5, 6)]))
        self.refused(only.unprotect, other, "SRTCP packet with another SSRC")

    def test_sourcesAreBounded(self):
        """Who has the key still cannot fill the memory with windows."""
        for ssrc in range(MAX_SSRCS):
            compound = rtcp.build([rtcp.Pli(ssrc, 6)])
            self.ours.unprotect(SrtcpSender(KEY, SALT, ssrc).protect(compound))
        data = self.out.protect(self.compound)
        self.refused(self.ours.unprotect, data, "too many SRTCP senders")
        again = SrtcpSender(KEY, SALT, 3, 1).protect(rtcp.build([rtcp.Pli(3, 6)]))
        self.ours.unprotect(again)
