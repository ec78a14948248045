"""A thin link costs nobody else: two layers over real sockets."""

from twisted.trial.unittest import TestCase

from test.live.server import CoreServer
from test.live.thin_link import BITRATE, DOWN, FPS, FULL, UP, measure


class LayerTests(TestCase):
    """One publisher with two layers, three receivers, one of them limited."""

    timeout = 120

    async def test_thinLink(self):
        """Within 5 s the low layer, fluently; the others do not notice; the high
        one again within 10 s of the limit's end."""
        server = CoreServer(self.mktemp())
        self.addCleanup(server.stop)
        await server.start()
        told = await measure(self, server)
        self.assertGreater(told["sent"], 0.8 * BITRATE)
        self.assertIsNotNone(told["down"], told)
        self.assertLess(told["down"], DOWN)
        self.assertIsNotNone(told["up"], told)
        self.assertLess(told["up"], UP)
        self.assertLess(told["longest_gap"], 1.0)
        self.assertGreaterEqual(told["fps_small"], 10)
        self.assertGreaterEqual(min(told["fps_others"]), 0.9 * FPS)
        self.assertGreaterEqual(min(told["packets_others"]), 0.9)
        self.assertEqual(told["widths_others"], [FULL])
