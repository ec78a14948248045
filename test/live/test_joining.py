"""Watchers that come late, and watchers that come all at once."""

from twisted.trial.unittest import TestCase

from anychat.client.media.encode import Unit
from anychat.client.media.sinks import NullSink
from anychat.codes import StreamKind
from test.live.call import pause, sign_in, until
from test.live.server import CoreServer

#: A frame of nothing (NAL unit type 12, ITU-T H.264 section 7.3.2.7), of so
#: many packets.
FILLER_PACKETS = 50
FILLER = b"\0\0\0\1\x0c" + b"\xff" * (1100 * FILLER_PACKETS)


class JoiningTests(TestCase):
    """A publisher who is there before anybody watches."""

    timeout = 240

    async def setUp(self):
        self.server = CoreServer(self.mktemp(), Video={"VideoGOPSize": 300})
        self.addCleanup(self.server.stop)
        await self.server.start()
        self.ann = await sign_in(self, self.server, "ann")
        publishing = await self.ann.publish("test:")
        self.video = publishing.sending[StreamKind.VIDEO]
        await until(lambda: self.video.statistics().frames > 3)

    async def send_until(self, packets):
        """Fill the stream up to that many packets, faster than real time."""
        while self.video.statistics().packets < packets:
            self.video.send_units([Unit(FILLER, 0, False)])
            # Other things have their turn: acknowledgements, repair, the feed.
            await pause(0)

    async def join(self, name):
        """Somebody comes and watches; returns the client and its reception."""
        client = await sign_in(self, self.server, name)
        watching = await client.watch(self.ann.user_id, sink=NullSink())
        return client, watching

    async def decodes(self, watching, frames=10):
        """Wait until pictures are decoded."""
        await until(
            lambda: watching.statistics(StreamKind.VIDEO).frames_decoded >= frames, 15
        )

    async def test_lateJoiners(self):
        """One joins after 70,000 packets, another after five turns of the ROC."""
        await self.send_until(70_000)
        bob, watching = await self.join("bob")
        await self.decodes(watching)
        granted, _ = watching.receiving[StreamKind.VIDEO]
        self.assertGreaterEqual(granted.roc, 1)
        await bob.logout()

        await self.send_until(5 * 65536 + 32768)
        _, watching = await self.join("carol")
        await self.decodes(watching)
        granted, _ = watching.receiving[StreamKind.VIDEO]
        self.assertGreaterEqual(granted.roc, 5)

    async def test_crowd(self):
        """Ten who join at once share two key-frame requests at most."""
        clients = [
            await sign_in(self, self.server, f"guest{number}") for number in range(10)
        ]
        before = self.video.statistics()
        calls = [client.watch(self.ann.user_id, sink=NullSink()) for client in clients]
        watchings = [await call for call in calls]
        for watching in watchings:
            await self.decodes(watching, 1)
        await pause(1.0)
        after = self.video.statistics()
        asked = after.key_frame_requests - before.key_frame_requests
        self.assertLessEqual(asked, 2)
        self.assertLessEqual(after.key_frames - before.key_frames, 2)
