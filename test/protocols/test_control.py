"""Control datagrams: bytes, tags, limits."""

import hmac
import random
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.media.demux import Kind, classify
from anychat.protocols import control
from anychat.protocols.control import (
    MAXIMUM,
    MINIMUM,
    Probe,
    RelayedProbe,
    Report,
    ReportRequest,
    build,
    control_key,
    elapsed,
    parse,
    stamp_of,
)

KEY = control_key(b"a key of the session")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "wire" / "media.md"
SAMPLES = (
    Probe(0x11223344, 1, 2, 3, 4),
    RelayedProbe(0x55667788, 1, -2, 2, 2, 2, 9, 3, 4),
    Report(0x55667788, 1, 2, 2, 150, 3),
    ReportRequest(0x11223344, 1, 3),
)
_U32 = st.integers(0, 2**32 - 1)
CONTROLS = st.one_of(
    st.builds(Probe, _U32, _U32, _U32, _U32, _U32),
    st.builds(
        RelayedProbe,
        _U32,
        _U32,
        st.integers(-(2**31), 2**31 - 1),
        _U32,
        _U32,
        _U32,
        _U32,
        _U32,
        _U32,
    ),
    st.builds(Report, _U32, _U32, _U32, _U32, _U32, _U32),
    st.builds(ReportRequest, _U32, _U32, _U32),
)


class ControlTests(SynchronousTestCase):
    """`build` and `parse`."""

    @settings(deadline=None, max_examples=200)
    @given(CONTROLS, st.integers(0, 2000))
    def test_roundTrip(self, message, size):
        """Whatever is built is read again, at the size that was asked for."""
        data = build(message, KEY, size)
        self.assertIs(classify(data), Kind.CONTROL)
        self.assertLessEqual(len(data), MAXIMUM)
        if isinstance(message, Probe | RelayedProbe) and size >= MINIMUM:
            self.assertEqual(len(data), min(size, MAXIMUM))
        read = parse(data, KEY)
        self.assertEqual(type(read), type(message))
        for name in message.__slots__:
            if name != "padding":
                self.assertEqual(getattr(read, name), getattr(message, name))

    def test_smallestHoldsAll(self):
        """What is passed on is never longer than the probe it stands for."""
        self.assertLessEqual(len(build(SAMPLES[1], KEY)), MINIMUM)

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(SAMPLES), st.data())
    def test_everyByteIsCovered(self, message, data):
        """A datagram with any bit changed, or bytes more or less, is refused."""
        good = build(message, KEY, 100)
        place = data.draw(st.integers(0, len(good) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        changed = bytearray(good)
        changed[place] ^= bit
        for wrong in (bytes(changed), good[:place], good + bytes(place + 1)):
            self.assertRaises(PeerError, parse, wrong, KEY)

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=1300))
    def test_garbage(self, data):
        """Any bytes are refused, and nothing else happens."""
        self.assertRaises(PeerError, parse, data, KEY)

    def test_signedGarbage(self):
        """So is what has the right tag and no sense."""
        rng = random.Random(3)
        for kind in range(4, 16):
            for length in (1, 3, 4, 8, 20, 40, 1183):
                body = bytes((kind, 0, 0, 0)) + rng.randbytes(length)
                data = body + hmac.digest(KEY, body, "sha256")[: control.TAG]
                try:
                    parse(data, KEY)
                except PeerError:
                    continue
                self.assertLessEqual(kind, 7)

    def test_wrongKey(self):
        """Another leg's key is no good, and neither is the STUN key itself."""
        data = build(SAMPLES[0], KEY)
        for key in (control_key(b"another"), b"a key of the session", b""):
            self.assertRaises(PeerError, parse, data, key)

    def test_golden(self):
        """The bytes are those that docs/wire/media.md shows."""
        text = PAGE.read_text(encoding="utf-8")
        block = text.partition("```hex control-report\n")[2].partition("```")[0]
        self.assertEqual(
            build(SAMPLES[2], KEY), bytes.fromhex(re.sub(r";.*", "", block))
        )

    def test_stamps(self):
        """Differences hold across the turn of the clock."""
        self.assertEqual(stamp_of(1.5), 1_500_000)
        self.assertAlmostEqual(elapsed(5, 2**32 - 5), 10e-6)
        self.assertAlmostEqual(elapsed(2**32 - 5, 5), -10e-6)
