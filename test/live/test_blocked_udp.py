"""Where UDP is blocked: a call over TCP, and back to UDP when that passes again."""

import json
import os
import shutil
import sys
from pathlib import Path

from twisted.internet import defer
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

ROOT = Path(__file__).resolve().parents[2]


class BlockedUdpTests(TestCase):
    """Whole programs in a network namespace of their own, which takes root."""

    timeout = 150

    async def run_blocked(self):
        """What `test.live.blocked` tells."""
        tools = ("unshare", "ip", "iptables")
        if os.geteuid() != 0 or not all(map(shutil.which, tools)):
            raise SkipTest("takes root, unshare, ip and iptables")
        probe = await getProcessOutputAndValue(
            shutil.which("unshare"),
            ["--net", shutil.which("iptables"), "-w", "-L", "INPUT"],
            env=os.environ,
        )
        if probe[2]:
            raise SkipTest("no filter in network namespaces here")
        # The programs run elsewhere.
        place = os.path.abspath(self.mktemp())
        out, err, code = await getProcessOutputAndValue(
            shutil.which("unshare"),
            ["--net", sys.executable, "-m", "test.live.blocked", place],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            path=str(ROOT),
        )
        self.assertEqual(code, 0, err.decode())
        return json.loads(out.decode().splitlines()[-1])

    @defer.inlineCallbacks
    def test_blocked(self):
        """In a call within 4 s of joining, with the warning; back and forth later,
        without a stream that ends or a freeze that UDP itself did not cause."""
        told = yield defer.ensureDeferred(self.run_blocked())
        self.assertLess(told["in_call"], 4.0, told)
        self.assertEqual(told["over_link"], [True, True])
        self.assertEqual(told["warnings"], [[780], [780]])
        self.assertGreater(min(told["fps_over_link"]), 10, told)
        self.assertLess(told["back_on_udp"], 3.0, told)
        self.assertLess(max(told["gap_to_udp"]), 1.0, told)
        self.assertGreater(min(told["fps_by_udp"]), 10, told)
        self.assertLess(told["back_over_link"], 4.0, told)
        self.assertEqual(told["streams_changed"], [0, 0])
