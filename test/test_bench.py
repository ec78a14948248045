"""What `benchmarks/relay.py` works out of its readings, and how it shows it."""

import json
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.peers import coturn, rtpengine
from benchmarks.peers.measure import (
    PRECISION,
    Aim,
    Reading,
    find_highest,
    ratios,
    read,
    result,
)
from benchmarks.peers.report import (
    between_markers,
    chart,
    markdown,
    ratios_table,
    results_table,
)
from test.test_layering import ROOT

READING = Reading(
    rate=1000.0,
    sent=1000,
    copies=10_000,
    expected=10_000,
    seconds=1.0,
    cpu=0.5,
    least=1000,
    most=1000,
)


class ReadingTests(SynchronousTestCase):
    """One run."""

    def test_read(self):
        """What the generator prints is understood."""
        text = json.dumps(
            {
                "sent": 1000,
                "failed": 3,
                "copies": 4990,
                "seconds": 0.5,
                "cpu": 0.25,
                "own_cpu": 0.4,
                "flows": 4,
                "sinks": 20,
                "least": 240,
                "most": 250,
                "slips": 0,
                "odd": 0,
                "next_sequence": 251,
                "p50": 20.0,
                "p99": 30.0,
                "p999": 40.0,
                "max": 50.0,
            }
        )
        reading = read(text, 2000)
        self.assertEqual(reading.expected, 5000)
        self.assertAlmostEqual(reading.loss, 0.002)
        self.assertEqual(reading.utilisation, 0.5)
        self.assertEqual(reading.forwarded, 9980)
        self.assertAlmostEqual(reading.per_million, 50.1002, 4)
        self.assertFalse(reading.good)
        self.assertTrue(reading.reached)
        self.assertEqual(reading.p99, 30.0)

    def test_good(self):
        """Loss, doubles, and a queue that was still there spoil a reading."""
        self.assertTrue(READING.good)
        self.assertFalse(replace(READING, copies=9980).good)
        self.assertFalse(replace(READING, copies=10_020).good)
        self.assertFalse(replace(READING, cpu=1.1).good)
        self.assertFalse(replace(READING, sent=800).reached)


class SearchTests(SynchronousTestCase):
    """The highest rate without loss."""

    @settings(deadline=None)
    @given(st.floats(10, 1000))
    def test_found(self, limit):
        """The answer is below the limit, by no more than the last interval."""

        def probe(rate: float) -> Reading:
            sent = round(rate)
            expected = sent if rate <= limit else 2 * sent
            return replace(
                READING, rate=rate, sent=sent, copies=sent, expected=expected
            )

        best = find_highest(probe, 1000, 10)
        assert best is not None
        self.assertLessEqual(best.rate, limit)
        narrow = PRECISION * limit / (1 - PRECISION)
        self.assertLessEqual(limit - best.rate, max(4, narrow))

    def test_sameFromAnywhere(self):
        """How near the answer is does not depend on where the search began."""

        def probe(rate: float) -> Reading:
            sent = round(rate)
            cpu = 0.9 if rate <= 777 else 1.1
            return replace(
                READING, rate=rate, sent=sent, copies=sent, expected=sent, cpu=cpu
            )

        for ceiling in (1000, 5000, 20_000):
            best = find_highest(probe, ceiling, 20)
            assert best is not None
            self.assertLessEqual(best.rate, 777)
            self.assertGreater(best.rate, 777 * (1 - 2 * PRECISION))

    def test_never(self):
        """A relay that always loses has no such rate."""
        bad = replace(READING, copies=0)
        self.assertIsNone(find_highest(lambda rate: bad, 1000, 4))

    def test_disturbed(self):
        """A loss without need is tried again, and one for lack of CPU is not."""
        lost = replace(READING, copies=0)
        answers = [lost, READING, replace(lost, cpu=0.9), READING]
        rates = []

        def probe(rate: float) -> Reading:
            rates.append(rate)
            return answers[len(rates) - 1]

        find_highest(probe, 1000, 3)
        self.assertEqual(rates, [750, 750, 875, 812.5])

    def test_generatorTooSlow(self):
        """What the generator reached stands, and nothing higher is tried."""
        tried = []

        def probe(rate: float) -> Reading:
            tried.append(rate)
            return replace(READING, rate=rate, sent=100)

        best = find_highest(probe, 100_000, 6)
        assert best is not None
        self.assertEqual(tried, [75_000])


class ResultTests(SynchronousTestCase):
    """Medians and ratios."""

    def setUp(self):
        """Two relays, three rounds."""
        cpus = (0.5, 0.9, 0.6)
        ours = [replace(READING, cpu=cpu) for cpu in cpus]
        theirs = [replace(READING, cpu=2 * cpu) for cpu in cpus]
        self.results = [
            result("1:10", 200, "ours", ours),
            result("1:10", 200, "theirs", theirs),
        ]

    def test_median(self):
        """One bad round does not count."""
        ours, _ = self.results
        self.assertAlmostEqual(ours.per_million, 60)
        self.assertEqual(ours.rounds, 3)
        self.assertEqual([round(each) for each in ours.per_million_range], [50, 90])

    def test_ratios(self):
        """A ratio is there for both that were measured, and says if it is met."""
        aims = (
            Aim("1:10", "ours", "theirs", 0.5),
            Aim("1:10", "ours", "theirs", 0.4),
            Aim("1:10", "ours", "absent", 0.5),
        )
        rows = ratios(aims, self.results)
        self.assertEqual([each.met for each in rows], [True, False, False])
        self.assertEqual([each.value for each in rows], [0.5, 0.5, None])
        table = ratios_table(rows)
        self.assertIn("| 0.50 | 0.50 | reached |", table)
        self.assertIn("| 0.40 | 0.50 | **missed** |", table)
        self.assertIn("not measured", table)

    def test_table(self):
        """Every relay has a row."""
        table = results_table(self.results)
        self.assertEqual(len(table.splitlines()), 4)
        self.assertIn("60.00 (50.00 to 90.00)", table)


class ReportTests(SynchronousTestCase):
    """Markdown and SVG."""

    def test_markdown(self):
        """A table has its head, a rule, and its rows."""
        self.assertEqual(
            markdown(("a", "b"), [(1, 2)]), "| a | b |\n|---|---|\n| 1 | 2 |"
        )

    def test_chart(self):
        """A chart is XML, with a bar for each value, the longest for the greatest."""
        svg = chart("t <i>", "s", {"a & b": {"x": 1.0, "y": 4.0}, "c": {"x": 2.0}})
        root = ElementTree.fromstring(svg)
        space = "{http://www.w3.org/2000/svg}"
        bars = [each for each in root.iter(f"{space}rect") if len(each)]
        widths = [float(bar.get("width", "0")) for bar in bars]
        self.assertEqual(len(widths), 3)
        self.assertAlmostEqual(widths[1], 4 * widths[0], 0)

    def test_emptyChart(self):
        """Nothing to show is no error."""
        ElementTree.fromstring(chart("t", "s", {}))

    def test_markers(self):
        """What stands between the markers is replaced, and nothing else."""
        text = "one\n<!-- x: begin -->\nold\n<!-- x: end -->\ntwo\n"
        new = between_markers(text, "x", r"a \1 b")
        self.assertEqual(new, "one\n<!-- x: begin -->\na \\1 b\n<!-- x: end -->\ntwo\n")
        self.assertEqual(between_markers(new, "x", "old"), text)
        self.assertRaises(ValueError, between_markers, text, "y", "")

    def test_document(self):
        """The document has the markers that the bench looks for."""
        between_markers((ROOT / "docs" / "performance.md").read_text(), "relay", "")


class PeerTests(SynchronousTestCase):
    """What is said to the peers."""

    bencoded = st.recursive(
        st.integers(-(1 << 40), 1 << 40) | st.binary(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text("abc-", max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )

    @settings(deadline=None)
    @given(bencoded)
    def test_bencoding(self, value):
        """What is bencoded comes back, and nothing is left."""
        data = rtpengine.bencode(value)
        self.assertEqual(rtpengine.bdecode(data), (value, len(data)))

    def test_port(self):
        """The port is read from the answer's SDP."""
        sdp = rtpengine.description(1234).encode()
        self.assertEqual(rtpengine.port_of({"sdp": sdp}), 1234)

    def test_stun(self):
        """A TURN request has its length, the cookie and padded attributes."""
        data = coturn.message(0x003, coturn.attribute(0x19, b"\x11\0\0"))
        self.assertEqual(data[:8], bytes.fromhex("0003 0008 2112a442"))
        self.assertEqual(data[20:], bytes.fromhex("0019 0003 11000000"))
        self.assertEqual(
            coturn.peer("127.0.0.1", 0x2112),
            bytes.fromhex("0012 0008 0001 0000 5e12a443"),
        )
