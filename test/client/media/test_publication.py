"""Tests for `anychat.client.media.publication`."""

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.media.encode import Unit
from anychat.client.media.publication import KEPT_PACKETS, Publication
from anychat.codes import ResultCode, StreamKind
from anychat.errors import LocalError
from anychat.media import rtcp, rtp
from anychat.media.demux import Kind, classify
from anychat.media.packetize import h264
from anychat.media.rtp import MAX_DATAGRAM, FrameMarking
from anychat.media.srtp import SrtcpReceiver, SrtpReceiver
from anychat.messages import StreamFormat, StreamOpened

KEY, SALT = b"k" * 16, b"s" * 12
VIDEO = StreamFormat(payload_type=96, clock_rate=90_000, bitrate=90_000)
OPUS = StreamFormat(payload_type=111, clock_rate=48_000, bitrate=16_000)


def access_unit(size, key=True):
    """An access unit of about that size."""
    slice_ = bytes((0x65 if key else 0x41,)) + b"\x77" * size
    units = [b"\x67sps", b"\x68pps", slice_] if key else [slice_]
    return h264.join(units)


class PublicationTests(SynchronousTestCase):
    """What goes out is opened again with the publication's key."""

    def setUp(self):
        self.clock = Clock()
        self.round_trip = 0.0
        self.begin(StreamKind.VIDEO, VIDEO)

    def begin(self, kind, form):
        """A publication whose datagrams are kept."""
        self.out = []
        self.publication = Publication(
            StreamOpened(ResultCode.SUCCESS, 7, KEY, SALT),
            kind,
            form,
            lambda data: self.out.append(data) or True,
            self.clock.seconds,
            "cname",
            Random(1).randbytes,
            lambda: self.round_trip,
        )
        self.srtp = SrtpReceiver(KEY, SALT, 7)
        self.srtcp = SrtcpReceiver(KEY, SALT, 7)

    def send(self, size=100, timestamp=0, key=True):
        """Send one access unit of video."""
        self.publication.send_units([Unit(access_unit(size, key), timestamp, key)])

    def test_departures(self):
        """When each packet went out is known, and when again, for a while."""
        self.send(5000)
        packets = [rtp.fixed_header(data)[2] for data in self.media()]
        self.clock.advance(0.1)
        self.publication.nacked(packets[1:2])
        for sequence in packets:
            departure = self.publication.departure(sequence)
            self.assertEqual(departure.sent, 0.0)
            again = 0.1 if sequence == packets[1] else None
            self.assertEqual(departure.resent, again)
        self.assertIsNone(self.publication.departure(packets[0] - 1 & 0xFFFF))

    def media(self):
        """The RTP datagrams that went out so far."""
        return [data for data in self.out if classify(data) is Kind.RTP]

    def test_discardable(self):
        """A picture that no other one refers to is marked as such, key or not."""
        for header, discardable in ((0x01, True), (0x41, False), (0x21, False)):
            data = h264.join([bytes((header,)) + bytes(99)])
            self.publication.send_units([Unit(data, 0, False)])
            marking = rtp.marking_of(self.media()[-1])
            self.assertEqual(marking.discardable, discardable)
        self.assertFalse(h264.is_discardable(h264.join([b"\x67sps"])))

    def test_paused(self):
        """After a pause it begins with a key frame, since nobody has the rest."""
        self.send()
        self.clock.advance(1.0)
        self.publication.paused = False
        self.assertFalse(self.publication.take_key_request())
        self.publication.paused = True
        self.publication.paused = False
        self.assertTrue(self.publication.take_key_request())

    def packets(self):
        """The RTP packets that went out since the last call."""
        out, self.out[:] = list(self.out), []
        return [
            rtp.parse(self.srtp.unprotect(data))
            for data in out
            if classify(data) is Kind.RTP
        ]

    def reports(self):
        """The RTCP packets that went out since the last call."""
        out, self.out[:] = list(self.out), []
        return [
            packet
            for data in out
            if classify(data) is Kind.RTCP
            for packet in rtcp.parse(self.srtcp.unprotect(data))
        ]

    def test_packets(self):
        """Numbers, timestamps, marker and markings of a frame's packets."""
        self.send(5000, 90)
        self.send(10, 6090, key=False)
        packets = self.packets()
        first = packets[0].sequence
        self.assertLess(first, 1 << 15)
        self.assertEqual(
            [packet.sequence for packet in packets],
            list(range(first, first + len(packets))),
        )
        frame, following = packets[:-1], packets[-1]
        self.assertEqual(len({packet.timestamp for packet in frame}), 1)
        self.assertEqual(following.timestamp - frame[0].timestamp & 0xFFFFFFFF, 6000)
        self.assertEqual(
            [packet.marking for packet in frame],
            [FrameMarking(True, False, True)]
            + [FrameMarking(False, False, True)] * (len(frame) - 2)
            + [FrameMarking(False, True, True)],
        )
        self.assertEqual(following.marking, FrameMarking(True, True, False))
        self.assertEqual([packet.marker for packet in packets][-2:], [True, True])
        self.assertFalse(any(packet.marker for packet in frame[:-1]))
        self.assertEqual({packet.payload_type for packet in packets}, {96})

    def test_sizes(self):
        """A frame's fragments are of one size, only the last one shorter, and
        no datagram is too long."""
        self.send(20_000)
        sizes = [len(data) for data in self.out]
        self.assertLessEqual(max(sizes), MAX_DATAGRAM)
        fragments = sizes[1:]
        self.assertEqual(len(set(fragments[:-1])), 1)
        self.assertLessEqual(fragments[-1], fragments[0])

    def test_audio(self):
        """Opus packets go as they are; the first one is marked."""
        self.begin(StreamKind.AUDIO, OPUS)
        self.publication.send_units([Unit(b"one", -312, True), Unit(b"two", 648, True)])
        one, two = self.packets()
        self.assertEqual([one.payload, two.payload], [b"one", b"two"])
        self.assertEqual([one.marker, two.marker], [True, False])
        self.assertEqual(two.timestamp - one.timestamp & 0xFFFFFFFF, 960)
        self.assertIsNone(one.marking)

    def test_wrongFormat(self):
        """A format of another kind is our own mistake."""
        self.assertRaises(LocalError, self.begin, StreamKind.AUDIO, VIDEO)

    def test_resend(self):
        """What is asked for again is the same bytes."""
        self.send(3000)
        sent = list(self.out)
        numbers = [packet.sequence for packet in self.packets()]
        self.clock.advance(0.1)
        self.publication.nacked([numbers[1], numbers[2]])
        self.assertEqual(self.out, sent[1:3])
        self.assertEqual(self.publication.statistics().resent, 2)
        self.assertGreater(self.publication.statistics().loss, 0)

    def test_resendOnce(self):
        """Two requests close together bring one packet."""
        self.send()
        [packet] = self.packets()
        self.clock.advance(0.1)
        self.publication.nacked([packet.sequence, packet.sequence])
        self.assertEqual(len(self.out), 1)
        self.clock.advance(0.05)
        self.publication.nacked([packet.sequence])
        self.assertEqual(len(self.out), 2)

    def test_notKept(self):
        """What is too old, too far back, or never was, is counted."""
        self.send()
        [packet] = self.packets()
        self.clock.advance(1.1)
        self.publication.nacked([packet.sequence, 9])
        for number in range(KEPT_PACKETS + 1):
            self.send(10, 6000 * number, key=False)
        second = self.packets()[0]
        self.publication.nacked([second.sequence])
        self.assertEqual(self.out, [])
        self.assertEqual(self.publication.statistics().not_kept, 3)

    def test_keyFrameRequests(self):
        """One key frame for many requests, at most every 100 ms."""
        self.assertFalse(self.publication.take_key_request())
        self.publication.request_key_frame()
        self.publication.request_key_frame()
        self.assertTrue(self.publication.take_key_request())
        self.send()
        self.assertFalse(self.publication.take_key_request())
        self.publication.request_key_frame()
        self.clock.advance(0.09)
        self.assertFalse(self.publication.take_key_request())
        self.clock.advance(0.02)
        self.assertTrue(self.publication.take_key_request())

    def test_requestThatCrossesAKeyFrame(self):
        """A request that was on its way when a key frame went out is met."""
        self.round_trip = 0.05
        self.send()
        self.clock.advance(0.04)
        self.publication.asked_for_key_frame()
        self.clock.advance(1.0)
        self.assertFalse(self.publication.take_key_request())
        self.publication.asked_for_key_frame()
        self.assertTrue(self.publication.take_key_request())
        self.assertEqual(self.publication.statistics().key_frame_requests, 2)

    def test_openingGoesTwice(self):
        """Where packets may be lost, the first frame is sent again after the
        second: nobody could know that it is missing."""
        self.round_trip = 0.05
        self.send(3000)
        first = list(self.out)
        self.out.clear()
        self.send(10, 6000, key=False)
        self.assertEqual(self.out[1:], first)
        self.out.clear()
        self.send(10, 12_000, key=False)
        self.assertEqual(len(self.out), 1)

    def test_senderReports(self):
        """With the first packets and some more soon after, with key frames,
        else every second; they tie the timestamps to the wall clock."""
        self.publication.begin(
            lambda: (1_800_000_000.0 + self.clock.seconds(), self.clock.seconds())
        )
        self.send(10, 0)
        report, description = self.reports()
        self.assertEqual(description.cname, "cname")
        self.assertEqual((report.ssrc, report.packets), (7, 0))
        times = []
        for number in range(1, 31):
            self.clock.advance(0.125)
            self.send(10, 11_250 * number, key=number == 20)
            if self.reports():
                times.append(number / 8)
        # Faster at first, for who has just joined.
        self.assertEqual(times, [0.25, 0.5, 0.75, 1.75, 2.5, 3.5])
        self.clock.advance(1.0)
        self.send(10, 427_500, key=False)
        out = list(self.out)
        later = self.reports()[0]
        self.out[:] = out
        [packet] = self.packets()
        elapsed = rtcp.unix_from_ntp(later.ntp) - rtcp.unix_from_ntp(report.ntp)
        self.assertAlmostEqual(elapsed, 4.75, 6)
        self.assertEqual(packet.timestamp, later.timestamp)
        self.assertEqual(later.packets, 31)

    def test_stopped(self):
        """Nothing goes out any more, and the owner is told once."""
        told = []
        self.publication.on_stop = told.append
        self.send()
        [packet] = self.packets()
        self.publication.stop()
        self.publication.stop()
        self.send()
        self.publication.nacked([packet.sequence])
        self.publication.send_report()
        self.assertEqual(self.out, [])
        self.assertEqual(told, [self.publication])

    def test_longStream(self):
        """After 70,000 packets a joiner who is told the turn opens them."""
        self.begin(StreamKind.AUDIO, OPUS)
        for number in range(70_000):
            self.publication.send_units([Unit(b"x", 960 * number, True)])
            if len(self.out) > 10:
                self.out.clear()
        self.out.clear()
        self.publication.send_units([Unit(b"late", 0, True)])
        sequence = int.from_bytes(self.out[0][2:4], "big")
        joiner = SrtpReceiver(KEY, SALT, 7, 1, sequence - 1)
        self.assertEqual(rtp.parse(joiner.unprotect(self.out[0])).payload, b"late")
        self.assertEqual(self.publication.statistics().frames, 70_001)
