"""The two pages for operators."""

import json

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from anychat.ops.http import HttpService, site

ADDRESS = IPv4Address("TCP", "127.0.0.1", 40000)


class BusyReactor(MemoryReactorClock):
    """A reactor on which every port is taken."""

    def listenTCP(self, port, factory, backlog=50, interface=""):
        raise CannotListenError(interface, port, OSError("in use"))


class HttpTests(SynchronousTestCase):
    """`/health` and `/metrics`."""

    def setUp(self):
        self.lines = []
        self.reactor = MemoryReactorClock()
        self.site = site(
            lambda: {"status": "ok", "users": 3},
            lambda: b"users 3\n",
            lambda: ["192.0.2.*"],
        )
        self.service = HttpService(
            self.reactor, "127.0.0.1", 8911, self.site, self.lines.append
        )

    def ask(self, path, method=b"GET"):
        """The response to one request, as (status line, body)."""
        protocol = self.site.buildProtocol(ADDRESS)
        protocol.callLater = self.reactor.callLater
        transport = StringTransport(peerAddress=ADDRESS)
        protocol.makeConnection(transport)
        protocol.dataReceived(
            method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0], body

    def test_health(self):
        """Health is a JSON object."""
        self.service.startService()
        status, body = self.ask(b"/health")
        self.assertEqual(status, b"HTTP/1.1 200 OK")
        self.assertEqual(json.loads(body), {"status": "ok", "users": 3})

    def test_metrics(self):
        """Metrics are passed through."""
        self.service.startService()
        self.assertEqual(self.ask(b"/metrics"), (b"HTTP/1.1 200 OK", b"users 3\n"))

    def test_blocked(self):
        """Blocked addresses are a JSON list."""
        self.service.startService()
        status, body = self.ask(b"/blocked")
        self.assertEqual(status, b"HTTP/1.1 200 OK")
        self.assertEqual(json.loads(body), ["192.0.2.*"])

    def test_nothingElse(self):
        """Other pages and other methods are refused."""
        self.service.startService()
        self.assertIn(b"404", self.ask(b"/")[0])
        self.assertIn(b"405", self.ask(b"/health", b"POST")[0])

    def test_listensWhereItIsTold(self):
        """The port is opened at the configured address, and closed again."""
        self.service.startService()
        self.assertEqual(self.reactor.tcpServers[0][0], 8911)
        self.assertEqual(self.reactor.tcpServers[0][3], "127.0.0.1")
        self.assertIn("Start HTTP Server Successed(port=", self.lines[0])
        self.successResultOf(self.service.stopService())

    def test_busyPort(self):
        """A busy port is told in the log, and the server goes on."""
        service = HttpService(
            BusyReactor(), "127.0.0.1", 8911, self.site, self.lines.append
        )
        service.startService()
        self.assertIn("Maybe port(8911) in use?", self.lines[0])
        self.successResultOf(service.stopService())
