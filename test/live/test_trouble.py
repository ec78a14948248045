"""Strangers, floods and changing addresses, against a real server."""

import resource
import socket
from pathlib import Path
from random import Random

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.client import Agent, readBody

from anychat.client.media.sinks import NullSink
from anychat.codes import StreamKind
from anychat.media import stun
from test.live.call import pause, sign_in, until
from test.live.server import CoreServer, free_ports
from test.live.test_client import Forwarder
from test.netem import UdpProxy

#: Connections that say nothing.
HALF_OPEN = 10_000
#: Datagrams of each kind of flood.
FLOOD = 10_000
#: KiB by which a server under attack may grow.
GROWTH = 200_000


class TroubleCase(TestCase):
    """A server, and a call that must survive what is done to it."""

    timeout = 180

    async def setUp(self):
        self.http = free_ports()[0]
        self.server = CoreServer(self.mktemp(), Http={"ListenPort": self.http})
        self.addCleanup(self.server.stop)
        await self.server.start()

    async def call(self, tcp_port=None, udp_port=None):
        """Ann publishes and Bob watches; Ann's paths may be detours."""
        server = self.server
        if tcp_port is not None:
            server = _Elsewhere(tcp_port)
        self.ann = await sign_in(self, server, "ann", udp_port=udp_port)
        self.bob = await sign_in(self, self.server, "bob")
        publishing = await self.ann.publish("test:")
        self.video = publishing.sending[StreamKind.VIDEO]
        self.watching = await self.bob.watch(self.ann.user_id, sink=NullSink())
        await self.goes_on()

    @property
    def decoded(self):
        """Pictures that Bob has seen."""
        return self.watching.statistics(StreamKind.VIDEO).frames_decoded

    async def goes_on(self, seconds=15.0):
        """Wait until more pictures are seen."""
        before = self.decoded
        await until(lambda: self.decoded > before + 10, seconds)

    def memory(self):
        """The server's resident memory, KiB."""
        pages = Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize() // 1024

    async def metrics(self):
        """The server's counters."""
        url = f"http://127.0.0.1:{self.http}/metrics".encode()
        body = await readBody(await Agent(reactor).request(b"GET", url))
        lines = [line for line in body.decode().splitlines() if line[0] != "#"]
        pairs = (line.rpartition(" ") for line in lines)
        return {name: float(value) for name, _, value in pairs}

    def check_server(self, before):
        """It has not grown much, and met no bug."""
        self.assertLess(self.memory() - before, GROWTH)
        log = (self.server.directory / "AnyChatCoreServer.log").read_text()
        self.assertNotIn("Traceback", log)


class _Elsewhere:
    """A server at another TCP port."""

    def __init__(self, tcp_port):
        self.tcp_port = tcp_port


class StrangerTests(TroubleCase):
    """Whoever sends whatever."""

    async def test_garbage(self):
        """Garbage on TCP is closed; a call goes on beside it."""
        await self.call()
        before, random = self.memory(), Random(3)
        for _ in range(20):
            connections = []
            for _ in range(50):
                connection = socket.create_connection(
                    ("127.0.0.1", self.server.tcp_port), 5
                )
                connection.setblocking(False)
                connection.send(random.randbytes(random.randrange(1, 2000)))
                connections.append(connection)
            await pause(0.05)
            for connection in connections:
                connection.close()
        await self.goes_on()
        counters = await self.metrics()
        self.assertGreater(counters["anychat_links_foreign_total"], 500)
        self.check_server(before)

    async def test_datagrams(self):
        """Floods of all kinds of datagrams are counted and cost no memory."""
        await self.call()
        before, random = self.memory(), Random(4)
        ssrc = self.video.ssrc.to_bytes(4, "big")
        binding = stun.request(b"t" * 12, "nobody", b"k" * 20)
        plain = stun.build(stun.MessageClass.REQUEST, b"p" * 12)
        makers = (
            lambda: random.randbytes(random.randrange(0, 1500)),
            lambda: binding,
            lambda: plain,
            # Ann's SSRC from an address that is not hers.
            lambda: b"\x80\x60" + random.randbytes(6) + ssrc + bytes(100),
            lambda: b"\x81\xc8\0\x06" + ssrc + random.randbytes(60),
            lambda: b"\x90\x60" + random.randbytes(6) + ssrc + random.randbytes(30),
        )
        server = ("127.0.0.1", self.server.udp_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for make in makers:
                for number in range(FLOOD):
                    stranger.sendto(make(), server)
                    if number % 250 == 0:
                        await pause(0.005)
        await self.goes_on()
        counters = await self.metrics()
        dropped = sum(
            value for name, value in counters.items() if "media_dropped" in name
        )
        self.assertGreater(dropped, 3 * FLOOD)
        self.assertGreater(
            counters['anychat_media_dropped_total{reason="wrong_source"}'], 0
        )
        self.assertEqual(counters["anychat_media_failures_total"], 0)
        self.check_server(before)

    async def test_halfOpen(self):
        """10,000 connections that say nothing keep nobody out, and end."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < HALF_OPEN + 1000:
            raise SkipTest(f"only {hard} file descriptors are allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        before = self.memory()
        connections = []
        self.addCleanup(lambda: [each.close() for each in connections])
        for number in range(HALF_OPEN):
            connection = socket.socket()
            connection.setblocking(False)
            connection.bind((f"127.1.{number // 90}.1", 0))
            connection.connect_ex(("127.0.0.1", self.server.tcp_port))
            connections.append(connection)
            if number % 200 == 0:
                await pause(0.01)
        counters = await self.metrics()
        self.assertGreater(counters["anychat_links_unauthenticated"], HALF_OPEN * 0.9)
        await self.call()
        self.check_server(before)

        async def gone():
            return (await self.metrics())["anychat_links_unauthenticated"] == 0

        for _ in range(100):
            if await gone():
                break
            await pause(0.3)
        self.assertTrue(await gone())
        await self.goes_on()


class ChangingPathTests(TroubleCase):
    """Clients whose way to the server changes."""

    async def test_rebinding(self):
        """A NAT gives the publisher another address: media goes on from there."""
        proxy = UdpProxy(reactor, ("127.0.0.1", self.server.udp_port))
        self.addCleanup(proxy.stop)
        await self.call(udp_port=proxy.port)
        ssrc = self.video.ssrc
        await proxy.rebind()
        await self.goes_on()
        # The same publication, so nothing was signed in or opened anew.
        self.assertEqual(self.watching.receiving[StreamKind.VIDEO][0].ssrc, ssrc)

    async def test_lostLink(self):
        """Media does not notice that a signalling link breaks and is resumed."""
        forwarder = Forwarder("127.0.0.1", self.server.tcp_port)
        port = reactor.listenTCP(0, forwarder, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(forwarder.cut)
        await self.call(tcp_port=port.getHost().port)
        before = self.video.statistics()
        forwarder.cut()
        await self.goes_on()
        await until(lambda: len(forwarder.connections) > 0)
        await self.goes_on()
        reception = self.watching.statistics(StreamKind.VIDEO)
        self.assertEqual(reception.lost, 0)
        self.assertFalse(
            self.video.statistics().key_frame_requests - before.key_frame_requests
        )
