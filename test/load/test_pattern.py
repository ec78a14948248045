"""What the streams look like on the wire."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import StreamKind
from anychat.core.streams import is_sane
from anychat.load.pattern import LONGEST, SHORTEST, VIDEO, steady


class PatternTests(SynchronousTestCase):
    """Rates, sizes and formats."""

    def test_steady(self):
        """A burst takes the time of its packets."""
        pattern = steady(200, 100.0, 4)
        self.assertEqual(pattern.period, 0.04)
        self.assertEqual(pattern.rate, 100.0)
        self.assertEqual(pattern.ticks, 1920)
        self.assertIs(pattern.kind, StreamKind.AUDIO)

    def test_720p(self):
        """About 150 packets/s: 30 frames of 5 fragments, and 20 in a key frame."""
        pattern = VIDEO["720p"]
        self.assertAlmostEqual(pattern.rate, 157.5)
        self.assertEqual(pattern.key_every * pattern.period, 2.0)

    def test_serversTakeThem(self):
        """All formats are such as a server lets in, and all sizes fit."""
        patterns = [*VIDEO.values(), steady(SHORTEST, 1e6, 64), steady(LONGEST, 0.1)]
        for pattern in patterns:
            self.assertTrue(is_sane(pattern.kind, pattern.format), pattern)
            self.assertLessEqual(SHORTEST, pattern.size)
            self.assertLessEqual(pattern.size, LONGEST)
