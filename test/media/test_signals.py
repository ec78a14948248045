"""Tests for `anychat.media.signals`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.media import rtcp
from anychat.media.rtp import MAX_DATAGRAM
from anychat.media.signals import (
    MAX_LEFT_OUT,
    MAX_TRAIN,
    NAME,
    PROBE_SIZE,
    LayerPlace,
    LeftOut,
    Probe,
    ProbeResult,
    unwrap,
    wrap,
)
from anychat.media.srtp import SrtcpSender
from test.media.samples import SIGNALS

SSRC = 0x55667788


def over_the_wire(signal):
    """What is read of a signal that was sent."""
    (packet,) = rtcp.parse(rtcp.build([wrap(SSRC, signal)]))
    assert packet.ssrc == SSRC
    return unwrap(packet)


class SignalTests(SynchronousTestCase):
    """Signals in RTCP packets."""

    def test_roundTrip(self):
        """Every signal comes out as it went in."""
        for signal in (*SIGNALS, Probe(65535, 3, MAX_TRAIN)):
            self.assertEqual(over_the_wire(signal), signal)

    def test_probesAreAsLongAsMedia(self):
        """A probe's datagram is nearly the longest there may be."""
        data = rtcp.build([wrap(SSRC, Probe(1, 0, 6))])
        datagram = SrtcpSender(bytes(16), bytes(12), SSRC).protect(data)
        self.assertLessEqual(len(datagram), MAX_DATAGRAM)
        self.assertGreater(len(datagram), PROBE_SIZE)

    def test_manyLeftOut(self):
        """More than fit are cut off: they are asked for again anyway."""
        signal = LeftOut(7, tuple(range(MAX_LEFT_OUT + 9)))
        self.assertEqual(over_the_wire(signal).sequences, tuple(range(MAX_LEFT_OUT)))
        self.assertEqual(over_the_wire(LeftOut(7, (3,))), LeftOut(7, (3,)))

    def test_others(self):
        """What is not ours, or of another length or sense, is no signal."""
        good = wrap(SSRC, LayerPlace(1, 2, 3, 4))
        for packet in (
            rtcp.Pli(1, 2),
            rtcp.Application(SSRC, good.subtype, b"XXXX", good.data),
            rtcp.Application(SSRC, good.subtype, NAME, good.data + bytes(4)),
            rtcp.Application(SSRC, 2, NAME, bytes(8)),
            rtcp.Application(SSRC, 1, NAME, bytes(4)),
            rtcp.Application(SSRC, 4, NAME, bytes(4)),
            rtcp.Application(SSRC, 9, NAME, bytes(12)),
            rtcp.Application(SSRC, 1, NAME, bytes.fromhex("0001 0006 0006 0000")),
            rtcp.Application(SSRC, 1, NAME, bytes.fromhex("0001 0000 ffff 0000")),
        ):
            self.assertIsNone(unwrap(packet))

    @settings(deadline=None, max_examples=300)
    @given(st.integers(0, 31), st.binary(max_size=64).map(lambda data: data * 4))
    def test_anything(self, subtype, data):
        """Whatever is in a packet of our name, it is a signal or none."""
        signal = unwrap(rtcp.Application(SSRC, subtype, NAME, data))
        if isinstance(signal, Probe | ProbeResult | LayerPlace | LeftOut):
            over_the_wire(signal)

    def test_cut(self):
        """A packet without its name is refused as a whole."""
        data = bytes.fromhex("82cc0001 55667788")
        error = self.assertRaises(PeerError, rtcp.parse, data)
        self.assertEqual(error.reason, "RTCP application packet truncated")
