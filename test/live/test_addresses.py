"""The ways to reach a server: IPv6, and an address that it is known by outside."""

from twisted.trial.unittest import TestCase

from anychat.client.media.sinks import NullSink
from anychat.codes import StreamKind
from test.live.call import sign_in, until
from test.live.server import CoreServer


class AddressTests(TestCase):
    """Media goes over the address that a client is told or has connected to."""

    timeout = 90

    async def start(self, **sections):
        """A server."""
        self.server = CoreServer(self.mktemp(), **sections)
        self.addCleanup(self.server.stop)
        await self.server.start()

    async def check_call(self, host):
        """Two clients who connect to that address see each other."""
        ann = await sign_in(self, self.server, "ann", host=host)
        bob = await sign_in(self, self.server, "bob", host=host)
        await ann.publish("test:")
        watching = await bob.watch(ann.user_id, sink=NullSink())
        for kind in StreamKind:
            await until(lambda kind=kind: watching.statistics(kind).frames_decoded > 10)

    async def test_ipv6(self):
        """Everything goes over IPv6 when the client connects so."""
        await self.start()
        await self.check_call("::1")

    async def test_publicAddress(self):
        """Clients send to PublicAddress, and are answered from there."""
        await self.start(Media={"PublicAddress": "127.0.0.2"})
        await self.check_call("127.0.0.1")

    async def test_otherAddress(self):
        """A host of several addresses answers from the one that was asked."""
        await self.start()
        await self.check_call("127.0.0.3")

    async def test_oneAddress(self):
        """A server that listens on one address serves there."""
        await self.start(Network={"ListenAddress": "127.0.0.4"})
        await self.check_call("127.0.0.4")
