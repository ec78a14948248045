"""RTCP compounds are read and written, and every malformed one is refused."""

from dataclasses import replace

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media.rtcp import (
    MAX_COMPOUND,
    MAX_NACKED,
    MAX_PACKETS,
    Bye,
    Nack,
    Pli,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    build,
    middle,
    ntp_from_unix,
    parse,
    round_trip,
    unix_from_ntp,
)
from test.media.samples import (
    BYE_COMPOUND,
    DESCRIPTIONS,
    LEG_SSRC,
    MEDIA_SSRC,
    RECEIVER_COMPOUND,
    REPORT,
    SENDER_COMPOUND,
    VALID,
    rtcp_packet,
)

PLI = build([Pli(LEG_SSRC, MEDIA_SSRC)])


class CompoundTests(SynchronousTestCase):
    """Compound packets and what is in them."""

    def refused(self, data, reason):
        """Assert that a compound is refused for that reason."""
        error = self.assertRaises(PeerError, parse, data)
        self.assertEqual(error.reason, reason)

    def test_roundTrip(self):
        """Every kind of packet comes back as it was built."""
        for compound in (SENDER_COMPOUND, RECEIVER_COMPOUND, BYE_COMPOUND):
            self.assertEqual(parse(build(compound)), compound)

    @settings(deadline=None)
    @given(
        strategies.lists(
            strategies.builds(
                replace,
                strategies.just(REPORT),
                ssrc=strategies.integers(0, 0xFFFFFFFF),
                fraction_lost=strategies.integers(0, 255),
                lost=strategies.integers(-0x800000, 0x7FFFFF),
                highest=strategies.integers(0, 0xFFFFFFFF),
            ),
            max_size=31,
        )
    )
    def test_reports(self, blocks):
        """Up to 31 report blocks fit in either report."""
        receiver = ReceiverReport(LEG_SSRC, tuple(blocks))
        sender = SenderReport(MEDIA_SSRC, 1 << 40, 2, 3, 4, tuple(blocks))
        self.assertEqual(parse(build([receiver])), [receiver])
        self.assertEqual(parse(build([sender])), [sender])

    def test_countsWrap(self):
        """The sender's counts wrap, its loss is kept to 24 bits."""
        report = SenderReport(1, 2, 3, (1 << 32) + 4, (1 << 33) + 5)
        self.assertEqual(
            parse(build([report]))[0], replace(report, packets=4, octets=5)
        )
        block = replace(REPORT, lost=1 << 30)
        read = parse(build([ReceiverReport(1, (block,))]))[0]
        self.assertEqual(read.reports[0].lost, 0x7FFFFF)

    @settings(deadline=None)
    @given(
        strategies.lists(
            strategies.integers(0, 0xFFFF), min_size=1, max_size=200, unique=True
        )
    )
    def test_nackAsksForEachOnce(self, sequences):
        """Whatever the order, exactly what was given is asked for."""
        nack = parse(build([Nack(1, 2, tuple(sequences))]))[0]
        self.assertEqual(sorted(nack.sequences), sorted(sequences))

    def test_nackIsDense(self):
        """Neighbours share one word, across the wrap too."""
        data = build([Nack(1, 2, (65530, 65535, 0, 10, 11))])
        # 65530 and 16 after it reach to 10; 11 needs another word.
        self.assertEqual(data[12:], bytes.fromhex("fffa 8030 000b 0000"))

    def test_sourceDescriptions(self):
        """Other items and chunks without a CNAME are skipped."""
        self.assertEqual(parse(DESCRIPTIONS), [SourceDescription(LEG_SSRC, "17")])

    def test_cnameOfEveryLength(self):
        """The chunk's padding is right for every length of name."""
        for length in (*range(9), 255):
            chunk = SourceDescription(7, "x" * length)
            self.assertEqual(parse(build([chunk, Pli(1, 2)])), [chunk, Pli(1, 2)])

    def test_unknownPacketsAreSkipped(self):
        """Other packet types and feedback formats go by their length."""
        for kind, form in ((207, 3), (205, 15), (206, 15), (206, 4)):
            data = rtcp_packet(kind, form, bytes(16))
            self.assertEqual(parse(data + PLI), [Pli(LEG_SSRC, MEDIA_SSRC)])

    def test_extensionsOfReports(self):
        """What follows the report blocks is a profile's own; it is skipped."""
        data = rtcp_packet(201, 0, bytes(4) + b"profile!")
        self.assertEqual(parse(data), [ReceiverReport(0)])

    def test_reducedSize(self):
        """A NACK or PLI may come alone (RFC 5506)."""
        self.assertEqual(parse(PLI), [Pli(LEG_SSRC, MEDIA_SSRC)])

    def test_padding(self):
        """The last packet may be padded by whole words."""
        padded = rtcp_packet(203, 1, bytes(4) + bytes.fromhex("00000004"), first=0xA0)
        self.assertEqual(parse(PLI + padded)[1], Bye((0,)))
        self.refused(padded + PLI, "RTCP padding")
        for last in (0, 3, 12):
            data = rtcp_packet(203, 1, bytes(7) + bytes((last,)), first=0xA0)
            self.refused(data, "RTCP padding")
        self.refused(rtcp_packet(203, 0, b"", first=0xA0), "RTCP padding")

    def test_truncated(self):
        """Every cut is refused."""
        for name in ("rtcp-sender", "rtcp-receiver", "rtcp-bye", "rtcp-descriptions"):
            data = VALID[name]
            whole = {sum(lengths) for lengths in self.prefixes(data)}
            for length in range(len(data)):
                if length not in whole or length == 0:
                    self.assertRaises(PeerError, parse, data[:length])

    def prefixes(self, data):
        """Lengths of the packets of a compound, for each number of them."""
        lengths, position = [], 0
        while position < len(data):
            lengths.append(4 + 4 * int.from_bytes(data[position + 2 : position + 4]))
            position += lengths[-1]
            yield tuple(lengths)

    def test_tooLong(self):
        """A compound that no datagram carries is refused."""
        self.refused(bytes(MAX_COMPOUND + 4), "RTCP compound too long")

    def test_tooManyPackets(self):
        """Packets are counted, also those that are skipped."""
        parse(rtcp_packet(207, 0, b"") * MAX_PACKETS)
        self.refused(
            rtcp_packet(207, 0, b"") * (MAX_PACKETS + 1), "RTCP packets too many"
        )

    def test_nackOfTooMuch(self):
        """A NACK may not have the whole cache sent again and again."""
        dense = b"".join(
            (17 * n).to_bytes(2, "big") + b"\xff\xff" for n in range(MAX_NACKED // 17)
        )
        self.assertEqual(len(parse(rtcp_packet(205, 1, bytes(8) + dense))), 1)
        more = dense + bytes.fromhex("f000ffff") * 1 + bytes.fromhex("f100ffff")
        self.refused(
            rtcp_packet(205, 1, bytes(8) + more), "RTCP NACK asks for too much"
        )

    def test_malformed(self):
        """Each packet type checks its own lengths."""
        ssrc = bytes(4)
        for data, reason in (
            (b"", "RTCP compound empty"),
            (b"\x80\xc9\x00", "RTCP header truncated"),
            (PLI + b"\x80", "RTCP header truncated"),
            (b"\x40" + PLI[1:], "RTCP version"),
            (b"\x80\xc9\x00\x02" + ssrc, "RTCP packet truncated"),
            (rtcp_packet(200, 0, bytes(20)), "RTCP sender report truncated"),
            (rtcp_packet(200, 1, bytes(44)), "RTCP report block truncated"),
            (rtcp_packet(201, 0, b""), "RTCP receiver report truncated"),
            (rtcp_packet(201, 2, bytes(28)), "RTCP report block truncated"),
            (rtcp_packet(202, 1, b""), "RTCP description truncated"),
            (rtcp_packet(202, 1, ssrc), "RTCP description truncated"),
            (rtcp_packet(202, 1, ssrc + b"\1\2ab"), "RTCP description truncated"),
            (
                rtcp_packet(202, 1, ssrc + b"\1\3ab"),
                "RTCP description item truncated",
            ),
            (
                rtcp_packet(202, 1, ssrc + b"\1\1a\1"),
                "RTCP description item truncated",
            ),
            (
                rtcp_packet(202, 2, ssrc + b"\1\2ab\0"),
                "RTCP description truncated",
            ),
            (rtcp_packet(202, 1, ssrc + b"\1\1\xff\0"), "RTCP text is not UTF-8"),
            (rtcp_packet(203, 2, ssrc), "RTCP bye truncated"),
            (rtcp_packet(203, 1, ssrc + b"\4abc"), "RTCP bye reason truncated"),
            (rtcp_packet(203, 1, ssrc + b"\1\xff"), "RTCP text is not UTF-8"),
            (rtcp_packet(205, 1, ssrc), "RTCP feedback truncated"),
            (rtcp_packet(205, 1, bytes(8)), "RTCP NACK truncated"),
            (rtcp_packet(206, 1, ssrc), "RTCP feedback truncated"),
        ):
            self.refused(data, reason)

    def test_outOfRange(self):
        """What does not fit in its field is our own mistake."""
        for packets in (
            [],
            [Pli(1 << 32, 1)],
            [Pli(-1, 1)],
            [Nack(1, 2, ())],
            [Nack(1, 2, (65536,))],
            [Nack(1, 2, tuple(range(MAX_NACKED + 1)))],
            [SourceDescription(1, "x" * 256)],
            [Bye((1,), "x" * 256)],
            [Bye(tuple(range(32)))],
            [ReceiverReport(1, (REPORT,) * 32)],
            [ReceiverReport(1, (REPORT,) * 31)] * 2,
            [ReceiverReport(1, (replace(REPORT, fraction_lost=256),))],
            [SenderReport(1, 1 << 64, 2, 3, 4)],
        ):
            self.assertRaises(LocalError, build, packets)


class TimeTests(SynchronousTestCase):
    """NTP times and what follows from them."""

    def test_epoch(self):
        """1970 is 2,208,988,800 seconds after 1900."""
        self.assertEqual(ntp_from_unix(0.5), 2_208_988_800 << 32 | 1 << 31)

    @settings(deadline=None)
    @given(strategies.floats(0, 4_000_000_000))
    def test_roundTrip(self, when):
        """Times come back to the microsecond, past 2036 too."""
        self.assertAlmostEqual(unix_from_ntp(ntp_from_unix(when)), when, places=6)

    def test_middle(self):
        """Sixteen bits of seconds, sixteen of fraction."""
        self.assertEqual(middle(0x0123456789ABCDEF), 0x456789AB)

    def test_roundTripTime(self):
        """Arrival less the report less the delay, as RFC 3550's example."""
        block = replace(REPORT, last_report=0xB705_2000, delay=0x0005_4000)
        self.assertEqual(round_trip(0xB710_8000, block), 6.125)

    def test_noRoundTripTime(self):
        """No SR yet, or a delay longer than the time that passed."""
        self.assertIsNone(round_trip(5, replace(REPORT, last_report=0)))
        block = replace(REPORT, last_report=0xB705_2000, delay=0x0015_4000)
        self.assertIsNone(round_trip(0xB710_8000, block))

    def test_roundTripAcrossTheWrap(self):
        """The middle bits wrap every 18 hours."""
        block = replace(REPORT, last_report=0xFFFF_8000, delay=0x8000)
        self.assertEqual(round_trip(0x0001_0000, block), 1.0)
