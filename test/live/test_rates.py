"""A thin link costs nobody else: two layers over real sockets."""

from itertools import pairwise

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from anychat.codes import StreamKind
from test.client.media.signals import GrainySource
from test.live.call import Witness, pause, sign_in
from test.live.server import CoreServer
from test.netem import Conditions, UdpProxy

#: Links, as they are at first and while one of them is limited.
WIDE = Conditions(delay=0.020, rate=4_000_000, queue=100_000)
THIN = Conditions(delay=0.020, rate=300_000, queue=50_000)
#: Seconds before the limit, with it, and after it.
BEFORE, LIMITED, AFTER = 6.0, 14.0, 12.0
#: Seconds until the low layer must be there, and the high one again.
DOWN, UP = 5.0, 10.0


class LayerTests(TestCase):
    """One publisher with two layers, three receivers, one of them limited."""

    timeout = 120

    async def setUp(self):
        self.server = CoreServer(self.mktemp())
        self.addCleanup(self.server.stop)
        await self.server.start()

    async def receiver(self, name):
        """Somebody behind a link; the way down to him, and what he saw."""
        proxy = UdpProxy(reactor, ("127.0.0.1", self.server.udp_port), down=WIDE)
        self.addCleanup(proxy.stop)
        client = await sign_in(self, self.server, name, udp_port=proxy.port)
        witness = Witness()
        watching = await client.watch(self.ann.user_id, sink=witness)
        return proxy, witness, watching

    async def test_thinLink(self):
        """Within 5 s the low layer, fluently; the others do not notice; the high
        one again within 10 s of the limit's end."""
        self.ann = await sign_in(self, self.server, "ann")
        receivers = [await self.receiver(name) for name in ("bob", "carol", "dave")]
        source = GrainySource("test:size=480x360,fps=15")
        parameters = {"video_bitrate": 1_000_000, "video_layers": 2}
        publishing = await self.ann.publish(source, overrides=parameters)
        await pause(BEFORE)
        video = publishing.sending[StreamKind.VIDEO]
        sent = video.statistics().bitrate + video.layer.statistics().bitrate
        self.assertGreater(sent, 0.8 * parameters["video_bitrate"])
        begun = reactor.seconds()
        proxy = receivers[0][0]
        for path in proxy.paths[1::2]:
            path.change(THIN)
        before = [watching.statistics(StreamKind.VIDEO) for *_, watching in receivers]
        await pause(LIMITED)
        during = [watching.statistics(StreamKind.VIDEO) for *_, watching in receivers]
        ended = reactor.seconds()
        for path in proxy.paths[1::2]:
            path.change(WIDE)
        await pause(AFTER)

        _, witness, _ = receivers[0]
        seen = [(now, frame.width) for frame, _, now in witness.pictures]
        small = [now for now, width in seen if width == 240]
        full_again = [now for now, width in seen if width == 480 and now > ended]
        self.assertLess(small[0] - begun, DOWN)
        self.assertLess(full_again[0] - ended, UP)
        gaps = [
            later - earlier
            for (earlier, _), (later, _) in pairwise(seen)
            if earlier > begun + DOWN
        ]
        self.assertLess(max(gaps), 1.0)
        fluent = sum(begun + DOWN < now < ended for now in small)
        self.assertGreaterEqual(fluent / (LIMITED - DOWN), 10)
        for first, last, (_, witness, _) in list(
            zip(before, during, receivers, strict=True)
        )[1:]:
            frames = last.frames_decoded - first.frames_decoded
            self.assertGreaterEqual(frames / LIMITED, 0.9 * 15)
            self.assertEqual({frame.width for frame, *_ in witness.pictures}, {480})
            packets = (last.packets - first.packets) / LIMITED
            self.assertGreaterEqual(packets, 0.9 * first.packets / BEFORE)
