"""What ``/health`` and ``/metrics`` say."""

import json

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import DeviceType
from anychat.core.commands import LinkLogin
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.licensing.judge import Memory, judge, remember
from anychat.licensing.status import DEMO_STATUS
from anychat.media.counters import (
    Drop,
    ForwarderCounters,
    MediaCounters,
    PortCounters,
)
from anychat.messages import Login
from anychat.ops.metrics import Metrics
from test.licensing.cases import BAD, LICENCE, NOW

COUNTERS = MediaCounters(
    forwarder=ForwarderCounters(5, 500, 20, 2000, 1, 0, {}, ()),
    port=PortCounters(1, 2, 0),
    legs=3,
    bound=2,
    answered=7,
    key_frames_asked=4,
    packets_asked=6,
    drops={Drop.NOISE: 9, Drop.EMPTY: 2},
    probes_relayed=6,
    layers_switched=3,
)


class MetricsTests(SynchronousTestCase):
    """`Metrics` reads and adds nothing."""

    def setUp(self):
        self.now = 100.0
        self.hall = Hall(HallSettings(True, True, False, True, 100))
        login = LinkLogin(
            1, 1, Login("ann", "x"), 1, "127.0.0.1", DeviceType.LINUX, False
        )
        for change in self.hall.decide(login, self.now).changes:
            self.hall.apply(change)
        self.metrics = Metrics(
            self.hall,
            lambda: {"sessions": 1, "logins": 12},
            lambda: COUNTERS,
            lambda: {"connected": 2, "events": 7},
            lambda: {"loaded": 1, "questions": 5},
            lambda: self.now,
            lambda: {"tasks": 3, "bytes": 1000},
            lambda: self.status,
        )
        self.status = DEMO_STATUS

    def test_health(self):
        """Health names how long the server runs and what goes on in it."""
        self.now = 142.4
        health = self.metrics.health()
        self.assertEqual(health["status"], "ok")
        self.assertEqual(health["uptime"], 42)
        self.assertEqual(
            (health["users"], health["rooms"], health["streams"]), (1, 0, 0)
        )

    def test_licence(self):
        """How the server stands as to its licence, in both."""
        self.status = judge(
            LICENCE, BAD, NOW, remember(Memory(LICENCE.digest), LICENCE, BAD, NOW)
        )
        health = self.metrics.health()["licence"]
        self.assertEqual((health["standing"], health["code"]), ("refused", 850))
        json.dumps(health)
        lines = self.metrics.exposition().decode().splitlines()
        for line in (
            'anychat_licence_standing{standing="refused"} 1.0',
            'anychat_licence_standing{standing="valid"} 0.0',
            "anychat_licence_code 850.0",
            "anychat_licence_max_users 20.0",
            "anychat_licence_end_timestamp_seconds 1.7987616e+09",
        ):
            self.assertIn(line, lines)

    def test_exposition(self):
        """Every counter is there, gauges without and counters with ``_total``."""
        lines = self.metrics.exposition().decode().splitlines()
        self.assertIn("anychat_business_connected 2.0", lines)
        self.assertIn("anychat_business_events_total 7.0", lines)
        self.assertIn("anychat_transfers_tasks 3.0", lines)
        self.assertIn("anychat_transfers_bytes_total 1000.0", lines)
        self.assertIn("anychat_filter_loaded 1.0", lines)
        self.assertIn("anychat_filter_questions_total 5.0", lines)
        for line in (
            "anychat_users 1.0",
            "anychat_calls_ringing 0.0",
            "anychat_calls_talking 0.0",
            "anychat_links_sessions 1.0",
            "anychat_links_logins_total 12.0",
            "anychat_media_forwarded_total 20.0",
            "anychat_media_legs_bound 2.0",
            "anychat_media_trace_copies_total 6.0",
            "anychat_media_layers_switched_total 3.0",
            'anychat_media_dropped_total{reason="noise"} 9.0',
            'anychat_media_dropped_total{reason="empty"} 2.0',
        ):
            self.assertIn(line, lines)
