"""Tests for `anychat.media.figures`."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.media.figures import (
    GRADES,
    WORST,
    Losses,
    NetworkFigures,
    bitrate,
    quality,
    uplink_losses,
    worse,
)
from anychat.media.stream import PacketArrival

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "wire" / "media.md"


def came(position, when, late=False, size=1000):
    """A packet that came."""
    return PacketArrival(position, when, size, late, False)


class FigureTests(SynchronousTestCase):
    """What is made of arrivals."""

    def test_bitrate(self):
        """What came in the last second counts."""
        arrivals = [came(each, each / 100) for each in range(300)]
        self.assertEqual(bitrate(arrivals, 2.995), 100 * 8000)
        self.assertEqual(bitrate(arrivals, 9.0), 0)
        self.assertEqual(bitrate([], 1.0), 0)

    def test_losses(self):
        """What is missing was lost; what came long after later ones was lost at
        first; what was only overtaken was not."""
        arrivals = [came(each, each / 100) for each in range(100) if each != 50]
        arrivals[20] = came(20, 0.30, late=True)
        arrivals[30] = came(30, 0.32, late=True)
        self.assertEqual(uplink_losses(arrivals, 1.0), Losses(0.02, 0.01))

    def test_noLosses(self):
        """Nothing is lost of what did not come, or came long ago."""
        self.assertEqual(uplink_losses([], 1.0), Losses())
        self.assertEqual(uplink_losses([came(1, 0.0), came(9, 0.1)], 60.0), Losses())

    def test_worse(self):
        """Each figure by itself."""
        self.assertEqual(
            worse([Losses(0.1, 0.0), Losses(0.05, 0.02)]), Losses(0.1, 0.02)
        )
        self.assertEqual(worse([]), Losses())

    def test_quality(self):
        """One bad figure is enough, and nothing is worse than the worst."""
        self.assertEqual(quality(Losses(), 0.0), 0)
        for grade, (loss, after_repair, delay) in enumerate(GRADES):
            for losses, round_trip in (
                (Losses(loss, 0.0), 0.0),
                (Losses(after_repair, after_repair), 0.0),
                (Losses(), delay),
            ):
                self.assertEqual(quality(losses, round_trip), grade)
        self.assertEqual(quality(Losses(1.0, 1.0), 9.0), WORST)
        self.assertEqual(NetworkFigures(0, 0, Losses(0.02), 0.0).quality, 1)

    def test_documented(self):
        """The page has the same table."""
        text = PAGE.read_text(encoding="utf-8")
        rows = re.findall(
            r"^\| (\d) \| ([\d.]+) % \| ([\d.]+) % \| (\d+) ms \|$", text, re.MULTILINE
        )
        said = [
            (float(loss) / 100, float(after) / 100, int(delay) / 1000)
            for _, loss, after, delay in rows
        ]
        self.assertEqual(said, list(GRADES))

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.integers(0, 200), st.tuples(st.floats(0, 6), st.booleans()), max_size=60
        )
    )
    def test_anything(self, packets):
        """Shares stay shares, and repair never makes it worse."""
        arrivals = [came(each, *packets[each]) for each in sorted(packets)]
        losses = uplink_losses(arrivals, 6.0)
        self.assertTrue(0 <= losses.after_repair <= losses.loss <= 1)
