"""The programs of docs/client.md run as they stand there."""

import os
import re
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from test.live.server import CoreServer, free_ports
from test.live.test_command import Run
from test.test_layering import ROOT


class GuideTests(TestCase):
    """A newcomer copies a program and starts it."""

    timeout = 60

    def setUp(self):
        """Take the programs from the guide, and a home for them."""
        text = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
        programs = re.findall(r'^```python\n("""(\w+\.py):.*?)^```', text, re.M | re.S)
        self.home = Path(self.mktemp())
        self.home.mkdir()
        for program, name in programs:
            (self.home / name).write_text(program, encoding="utf-8")
        self.names = [name for _, name in programs]
        self.assertEqual(self.names, ["hello.py", "camera.py"])

    def start(self, name, port):
        """Start a program."""
        run = Run()
        reactor.spawnProcess(
            run,
            sys.executable,
            [sys.executable, name, "localhost", str(port)],
            env={**os.environ, "XDG_CONFIG_HOME": str(self.home.resolve())},
            path=str(self.home),
        )
        return run

    async def test_noServer(self):
        """Where nobody listens, the first program says so and ends with 1."""
        port, _ = free_ports()
        run = self.start("hello.py", port)
        self.assertEqual(await run.ended, 1)
        self.assertTrue(run.err.startswith(b"localhost: 108 CONNECT_SOCKETERR"))
        self.assertEqual(run.err.count(b"\n"), 1, run.err.decode())

    async def test_programs(self):
        """Both programs meet in room 1 and do what the guide says."""
        server = CoreServer(self.mktemp())
        self.addCleanup(server.stop)
        await server.start()
        runs = {}
        for name in reversed([*self.names, "camera.py"]):
            run = self.start(name, server.tcp_port)
            runs.setdefault(name, []).append(run)
        for run in (*runs["hello.py"], *runs["camera.py"]):
            self.assertEqual(await run.ended, 0, run.err.decode())
            self.assertEqual(run.err, b"")
        (hello,) = runs["hello.py"]
        self.assertRegex(hello.out, rb"I am -\d, with [012] others")
        for camera in runs["camera.py"]:
            # Who is left alone at the end watches nobody any more.
            pictures = re.match(rb"(\d+) pictures\n", camera.out)
            self.assertGreater(int(pictures[1]), 20)
