"""A call over real sockets, with real threads and the server's media service.

A few seconds in all; everything that can be tested on a clock is tested there.
"""

import os
from pathlib import Path

import av
from twisted.internet import reactor
from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from anychat.client.media.session import MediaSession
from anychat.client.media.sinks import Mp4Sink, NullSink
from anychat.client.media.source import open_source
from anychat.codes import ResultCode, StreamKind
from anychat.ids import SessionId
from anychat.media.port import PortSettings
from anychat.messages import StreamGranted, StreamOpened
from anychat.services.media import MediaService
from test.netem import ROUGH, UdpProxy

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO


class LiveTests(TestCase):
    """Sessions 1, 2, ... of one media service."""

    @inlineCallbacks
    def setUp(self):
        self.lines, self.udp = [], []
        self.service = MediaService(
            reactor, PortSettings(0, ("127.0.0.1",)), (), os.urandom, self.lines.append
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.medias = []
        yield None

    def media(self, port=None):
        """A client's media session; its address is bound at the server."""
        number = SessionId(len(self.medias) + 1)
        media = MediaSession(
            reactor,
            self.lines.append,
            lambda bound, delay: self.udp.append((number, bound)),
        )
        self.medias.append(media)
        self.addCleanup(media.stop)
        setup = self.service.open_leg(number)
        if port is not None:
            object.__setattr__(setup, "port", port)
        media.configure(setup, "127.0.0.1")
        return number, media

    def publish(self, number, media, source):
        """Publish all of a source; its publications by kind."""
        publications = {}
        for kind, form in media.formats(source, None):
            ssrc = self.service.new_ssrc()
            keys = self.service.publish(number, ssrc, kind)
            opened = StreamOpened(ResultCode.SUCCESS, ssrc, *keys)
            publications[kind] = media.publish(opened, kind, form, source)
        return publications

    def watch(self, number, media, publications, sink):
        """Receive all of that; the receptions by kind."""
        receptions = {}
        for kind, publication in publications.items():
            keys = self.service.subscribe(number, publication.ssrc)
            granted = StreamGranted(
                9,
                kind,
                0,
                publication.ssrc,
                publication.format,
                keys.roc,
                keys.sequence,
                keys.key,
                keys.salt_key,
            )
            receptions[kind] = media.receive(granted, sink)
        return receptions

    def source(self, text="test:"):
        """A source that is closed after the test."""
        source = open_source(text)
        self.addCleanup(source.close)
        return source

    @inlineCallbacks
    def test_call(self):
        """Every frame is decoded and recorded; the first one comes fast."""
        path = Path(self.mktemp() + ".mp4")
        sender, receiver = self.media(), self.media()
        publications = self.publish(*sender, self.source())
        yield deferLater(reactor, 0.5)
        sink = Mp4Sink(path)
        receptions = self.watch(*receiver, publications, sink)
        yield deferLater(reactor, 2.0)
        for publication in publications.values():
            publication.stop()
        yield deferLater(reactor, 0.3)
        _, media = receiver
        yield gatherResults([media.end(p.ssrc) for p in publications.values()])
        video = receptions[VIDEO].statistics()
        self.assertEqual(video.lost, 0)
        self.assertLess(video.first_frame_ms, 500)
        self.assertGreaterEqual(video.frames_decoded, 26)
        self.assertLess(video.latency_ms, 500)
        files = yield sink.close()
        self.assertEqual(files, [path])
        with av.open(str(path)) as container:
            pictures = sum(1 for _ in container.decode(video=0))
        self.assertEqual(pictures, video.frames_decoded)
        self.assertEqual(sorted(self.udp), [(1, True), (2, True)])

    @inlineCallbacks
    def test_badNetwork(self):
        """Through a bad network, both ways, at least 97 % of the frames."""
        sender = self.media()
        proxy = UdpProxy(
            reactor, ("127.0.0.1", self.service.port), up=ROUGH, down=ROUGH, seed=7
        )
        self.addCleanup(proxy.stop)
        receiver = self.media(proxy.port)
        while self.service.counters().bound < 2:
            yield deferLater(reactor, 0.05)
        publications = self.publish(*sender, self.source())
        sink = NullSink()
        receptions = self.watch(*receiver, publications, sink)
        yield deferLater(reactor, 3.0)
        sent = {kind: publications[kind].statistics().frames for kind in publications}
        # What was lost last is only missed when something comes after it.
        yield deferLater(reactor, 0.8)
        self.assertGreater(sum(path.lost for path in proxy.paths), 3)
        for kind in (VIDEO, AUDIO):
            decoded = receptions[kind].statistics().frames_decoded
            self.assertGreaterEqual(decoded, 0.97 * sent[kind], kind)

    @inlineCallbacks
    def test_stopInTheMiddle(self):
        """A session that is stopped while everything runs leaves nothing."""
        first, second = self.media(), self.media()
        publications = self.publish(*first, self.source())
        path = Path(self.mktemp() + ".mp4")
        self.watch(*second, publications, Mp4Sink(path))
        yield deferLater(reactor, 0.5)
        yield gatherResults([first[1].stop(), second[1].stop()])
        self.assertTrue(path.exists())
        self.assertFalse(Path(f"{path}.part").exists())
