"""``anychat-load`` against a real server."""

import json
import os
import signal
import sys
from pathlib import Path

from twisted.internet import defer, protocol, reactor
from twisted.trial.unittest import TestCase

from test.live.server import CoreServer


class Run(protocol.ProcessProtocol):
    """One run of the program."""

    def __init__(self):
        self.out = self.err = b""
        self.ended = defer.Deferred()
        self.measuring = defer.Deferred()

    def outReceived(self, data):
        """It printed something."""
        self.out += data

    def errReceived(self, data):
        """It says what it is doing."""
        self.err += data
        if b" for " in self.err and not self.measuring.called:
            self.measuring.callback(None)

    def processEnded(self, reason):
        """It is over."""
        if not self.measuring.called:
            self.measuring.callback(None)
        self.ended.callback(reason.value.exitCode or 0)


class LoadTests(TestCase):
    """Runs of about a second."""

    timeout = 120

    async def start(self, **sections):
        """A server that is up."""
        server = CoreServer(self.mktemp(), **sections)
        self.addCleanup(server.stop)
        await server.start()
        return server

    def load(self, server, *arguments, **environment):
        """Start the program."""
        run = Run()
        program = str(Path(sys.executable).with_name("anychat-load"))
        run.process = reactor.spawnProcess(
            run,
            program,
            [program, f"127.0.0.1:{server.tcp_port}", "--insecure", *arguments],
            env={**os.environ, **environment},
        )
        return run

    async def measure(self, server, *arguments, **environment):
        """The figures of a run that went well."""
        run = self.load(server, "--json", *arguments, **environment)
        code = await run.ended
        self.assertEqual((code, run.err), (0, b""))
        return json.loads(run.out)

    async def test_measures(self):
        """Everything that is published arrives, in every room; nobody loses."""
        server = await self.start()
        arguments = "--users 6 --rooms-of 3 --publishers 2 --seconds 1 --rate 100"
        pid = ("--pid", str(server.pid))
        figures = await self.measure(server, *arguments.split(), *pid)
        self.assertEqual(figures["packets_sent"], 400)
        self.assertEqual(figures["copies_expected"], 800)
        self.assertEqual(figures["copies_received"], 800)
        for name in ("lost", "misrouted", "duplicates", "links_lost"):
            self.assertEqual(figures[name], 0, name)
        self.assertGreater(figures["latency_us"]["p50"], 0)
        self.assertGreater(figures["server_cpu_seconds"], 0)

    async def test_video(self):
        """The gate of every watcher opens at the first key frame, by the twin too."""
        server = await self.start()
        for environment in ({}, {"ANYCHAT_PURE": "1"}):
            arguments = "--users 4 --video 720p --seconds 1"
            figures = await self.measure(server, *arguments.split(), **environment)
            self.assertEqual(figures["lost"], 0, figures)
            self.assertEqual(figures["receivers_without_media"], 0, figures)
            self.assertGreater(figures["packets_sent"], 150)

    async def test_idle(self):
        """Users who only stay are kept for as long."""
        server = await self.start()
        arguments = "--users 3 --publishers 0 --seconds 0.5"
        figures = await self.measure(server, *arguments.split())
        self.assertEqual((figures["streams"], figures["copies_received"]), (0, 0))
        self.assertGreaterEqual(figures["seconds"], 0.5)

    async def test_refused(self):
        """A server that says no is quoted with number and name."""
        server = await self.start(Base={"SDKAuthPass": "secret"})
        run = self.load(server, "--auth-pass", "wrong")
        self.assertEqual(await run.ended, 1)
        self.assertIn(b"refused while signing in: 102 CONNECT_AUTHFAIL", run.err)

    async def test_interrupt(self):
        """Ctrl-C ends the media; what was measured until then is printed."""
        server = await self.start()
        run = self.load(server, "--users", "3", "--seconds", "600")
        await run.measuring
        run.process.signalProcess(signal.SIGINT)
        self.assertEqual(await run.ended, 0, run.err)
        self.assertIn(b"forwarded", run.out)
