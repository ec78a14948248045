"""``anychat-client info``."""

import io
import json
from dataclasses import replace

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.info import Info
from anychat.client.options import parse
from anychat.client.output import Output
from anychat.codes import ResultCode
from test.client.server import FakeServer


class InfoTests(SynchronousTestCase):
    """`Info`, over a plain connection; TLS is in the live tests."""

    def setUp(self):
        """A server and a place to print to."""
        self.clock = Clock()
        self.server = FakeServer(self.clock)
        self.stdout = io.StringIO()
        self.complaints = []

    def run_info(self, *arguments):
        """The exit code."""
        options = parse(["info", "[::1]:99", "--plain", *arguments], {})
        output = Output(self.stdout, options.json, self.clock.seconds)
        info = Info(
            self.clock, options, output, self.complaints.append, self.server.endpoint
        )
        info.start()
        self.server.flush()
        self.clock.advance(10)
        self.server.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return self.successResultOf(info.done)

    def test_people(self):
        """Everything that the hello says, one thing a line."""
        self.assertEqual(self.run_info(), 0)
        self.assertEqual(self.server.dialled, ("::1", 99))
        self.assertEqual(
            self.stdout.getvalue().splitlines(),
            [
                "server        127.0.0.1:99",
                "version       V5.2 (build time today)",
                "system        Linux",
                "up for        0 days, 0 hours, 1 minutes",
                "licence mode  0 (demo)",
                "protocol      1",
                "SDKAuthPass   not asked for",
                "heartbeats    every 5 s, silence ends a link after 20 s",
                "certificate   no certificate, SHA-256 none",
            ],
        )

    def test_licence(self):
        """The mode of the licence, also one that is not known yet."""
        for mode, text in ((1, "licensed"), (2, "not checked"), (9, "unknown")):
            self.server.hello = replace(self.server.hello, licence_mode=mode)
            self.assertEqual(self.run_info(), 0)
            self.assertIn(f"licence mode  {mode} ({text})\n", self.stdout.getvalue())

    def test_json(self):
        """The same for programs."""
        self.assertEqual(self.run_info("--json"), 0)
        values = json.loads(self.stdout.getvalue())
        self.assertEqual(values["event"], "info")
        self.assertEqual(values["server_version"], "5.2")
        self.assertEqual(values["check_time"], 5.0)
        self.assertFalse(values["proof_required"])

    def test_proof(self):
        """A server that asks for SDKAuthPass tells as much without it."""
        self.server.hello = replace(self.server.hello, proof_required=True)
        self.assertEqual(self.run_info(), 0)
        self.assertIn("SDKAuthPass   asked for", self.stdout.getvalue())

    def test_cannotConnect(self):
        """No server is 3."""
        self.server.refusal = error.ConnectionRefusedError()
        self.assertEqual(self.run_info(), 3)
        self.assertIn("[::1]:99: 108 CONNECT_SOCKETERR", self.complaints[0])
        self.assertEqual(self.stdout.getvalue(), "")

    def test_cannotConnectJson(self):
        """A program that reads what is printed hears of that, too."""
        self.server.refusal = error.ConnectionRefusedError()
        self.assertEqual(self.run_info("--json"), 3)
        values = json.loads(self.stdout.getvalue())
        self.assertEqual(
            (values["event"], values["code"], values["name"]),
            ("connect", 108, "CONNECT_SOCKETERR"),
        )

    def test_noTls(self):
        """A server that ends the connection before TLS stands: what may be behind."""
        options = parse(["info", "host"], {})
        output = Output(self.stdout, False, self.clock.seconds)
        info = Info(
            self.clock, options, output, self.complaints.append, self.server.endpoint
        )
        info.start()
        pump = self.server.pumps.pop()
        pump.client.connectionLost(Failure(error.ConnectionLost()))
        self.assertEqual(self.successResultOf(info.done), 3)
        self.assertIn("101 CONNECT_ABORT", self.complaints[0])
        self.assertIn("--plain", self.complaints[0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self):
        """A silent server is 3."""
        self.server.answers = False
        self.assertEqual(self.run_info(), 3)

    def test_refused(self):
        """A server that says no is 1."""
        self.server.connect_code = ResultCode.CONNECT_IPFORBID
        self.assertEqual(self.run_info(), 1)
        self.assertIn("113 CONNECT_IPFORBID", self.complaints[0])

    def test_noServer(self):
        """Something else at that port is 3."""
        self.server.answers = False
        options = parse(["info", "host", "--plain"], {})
        output = Output(self.stdout, False, self.clock.seconds)
        info = Info(
            self.clock, options, output, self.complaints.append, self.server.endpoint
        )
        info.start()
        self.server.side.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.server.flush()
        self.assertEqual(self.successResultOf(info.done), 3)
        self.assertIn("no AnyChat server", self.complaints[0])

    def test_interrupted(self):
        """An early end closes the connection."""
        self.server.answers = False
        options = parse(["info", "host", "--plain"], {})
        output = Output(self.stdout, False, self.clock.seconds)
        info = Info(
            self.clock, options, output, self.complaints.append, self.server.endpoint
        )
        info.start()
        self.assertEqual(self.successResultOf(info.finish(0)), 0)
        self.server.flush()
        self.assertTrue(self.server.side.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])
