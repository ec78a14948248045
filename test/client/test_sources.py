"""Sources are opened, and followed to their ends."""

from pathlib import Path

from anychat.codes import ResultCode
from anychat.messages import (
    CloseStream,
    StreamOpened,
)
from test.client.client_case import ANN, AUDIO, VIDEO, ClientTestCase
from test.client.server import PARAMETERS
from test.client.test_join import InlinePool


class Source:
    """Something to publish that ends."""

    on_end = None


class SourcesTests(ClientTestCase):
    """`Sources`."""

    def test_noSource(self):
        """What cannot be published is refused, as everything else is."""
        self.clock.getThreadPool = InlinePool
        self.clock.callFromThread = lambda call, *arguments: call(*arguments)
        self.enter()
        for source, code in (
            ("nofile", ResultCode.DEVICEOPENFAIL),
            (Path("nofile"), ResultCode.DEVICEOPENFAIL),
            ("/tmp", ResultCode.DEVICEOPENFAIL),
            ("", ResultCode.FUNCOPTERROR),
            ("test:size=big", ResultCode.FUNCOPTERROR),
        ):
            self.assertEqual(self.code(self.client.publish(source)), code)

    def test_publish(self):
        """A publication opens the UDP path and says which codec it is."""
        self.enter(ANN)
        self.client.publish(object())
        self.assertEqual(self.plane.setup.port, 8907)
        self.assertEqual(self.plane.host, "127.0.0.1")
        self.assertEqual(self.plane.parameters, PARAMETERS)
        self.assertIn(
            "The server's audio codec is AMR-WB(11), which cannot be encoded here: "
            "publishing Opus at 15850 bps",
            self.lines(),
        )
        self.client.unpublish()

    def test_sourceEnds(self):
        """A source at its end is closed and told."""
        self.enter(ANN)
        source = Source()
        published = self.client.publish(source)
        for ssrc in (100, 101):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))
        self.successResultOf(published)
        source.on_end()
        self.assertEqual(self.events.take(), [("on_publish_end", 0)])
        self.assertEqual(
            self.requests(), [CloseStream(VIDEO, 0), CloseStream(AUDIO, 0)]
        )
