"""The figures of a run."""

import json
from dataclasses import asdict, replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.load.histogram import BUCKETS, bucket_of
from anychat.load.layout import Layout
from anychat.load.pattern import steady
from anychat.load.summary import Measured, summarize, table
from anychat.load.tally import Arrivals, Flow

LAYOUT = Layout(users=4, room_size=2, publishers=1)
PATTERN = steady(200, 50.0)


def arrivals(packets: int) -> Arrivals:
    """So many copies, a millisecond late each."""
    latency = [0] * BUCKETS
    latency[bucket_of(1_000_000)] = packets
    return Arrivals(packets, packets * 200, 0, 0, 0, 0, 0, 0, latency)


class SummaryTests(SynchronousTestCase):
    """What is made of the counts."""

    measured = Measured(
        seconds=2.0,
        flows=(Flow(100, 0, 0), Flow(100, 0, 0)),
        received=((0, 90), (0, 100)),
        arrivals=arrivals(190),
        server_cpu=0.5,
    )

    def test_figures(self):
        """Loss is what the watchers miss; the publisher himself is no watcher."""
        summary = summarize(LAYOUT, PATTERN, self.measured)
        self.assertEqual(summary.copies_expected, 200)
        self.assertEqual(summary.lost, 10)
        self.assertEqual(summary.lost_percent, 5.0)
        self.assertEqual(summary.packets_per_second, 100.0)
        self.assertEqual(summary.copies_per_second, 95.0)
        self.assertEqual(summary.server_cpu_share, 0.25)
        self.assertEqual(summary.server_cpu_seconds_per_million, 2631.579)
        self.assertEqual(summary.receivers_without_media, 0)
        assert summary.latency_us is not None
        self.assertLess(abs(summary.latency_us["p99"] - 1000), 16)

    def test_nothingCame(self):
        """A server that forwards nothing gives figures too."""
        measured = replace(
            self.measured, received=((0, 0), (0, 0)), arrivals=arrivals(0)
        )
        summary = summarize(LAYOUT, PATTERN, measured)
        self.assertEqual(summary.lost_percent, 100.0)
        self.assertEqual(summary.receivers_without_media, 2)
        self.assertIsNone(summary.latency_us)
        self.assertIsNone(summary.server_cpu_seconds_per_million)
        self.assertIn("2 watchers without media", table(summary))

    def test_idle(self):
        """Users who only stay have no copies to lose."""
        layout = Layout(4, 4, 0)
        measured = Measured(2.0, (), (), arrivals(0))
        summary = summarize(layout, PATTERN, measured)
        self.assertEqual((summary.streams, summary.lost_percent), (0, 0.0))

    def test_table(self):
        """The table has the main figures, and notes only where there are any."""
        text = table(summarize(LAYOUT, PATTERN, self.measured))
        self.assertIn("4 users, 2 rooms of 2, 1 of each publish", text)
        self.assertIn("10 of 200 (5.000 %)", text)
        self.assertIn("25.0 % of one CPU", text)
        self.assertNotIn("note", text)
        slow = replace(
            self.measured,
            arrivals=replace(self.measured.arrivals, ring_full=2),
            slipped=1.5,
            native=False,
            links_lost=1,
            paths_lost=3,
        )
        notes = table(summarize(LAYOUT, PATTERN, slow))
        self.assertIn("1 links lost", notes)
        self.assertIn("3 UDP paths lost", notes)
        self.assertIn("2 feedback dropped", notes)
        self.assertIn("1.5 s behind", notes)
        self.assertIn("not installed", notes)

    def test_json(self):
        """Everything goes into JSON."""
        text = json.dumps(asdict(summarize(LAYOUT, PATTERN, self.measured)))
        self.assertEqual(json.loads(text)["lost"], 10)
