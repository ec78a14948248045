"""The programs of docs/client.md run as they stand there."""

import os
import re
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from test.live.server import CoreServer
from test.live.test_command import Run
from test.test_layering import ROOT


class GuideTests(TestCase):
    """A newcomer copies a program and starts it."""

    timeout = 60

    async def test_programs(self):
        """Both programs meet in room 1 and do what the guide says."""
        text = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
        programs = re.findall(r'^```python\n("""(\w+\.py):.*?)^```', text, re.M | re.S)
        self.assertEqual([name for _, name in programs], ["hello.py", "camera.py"])
        server = CoreServer(self.mktemp())
        self.addCleanup(server.stop)
        await server.start()
        home = Path(self.mktemp())
        home.mkdir()
        environment = {**os.environ, "XDG_CONFIG_HOME": str(home.resolve())}
        runs = {}
        for program, name in reversed([*programs, programs[1]]):
            path = home / name
            path.write_text(program, encoding="utf-8")
            run = Run()
            reactor.spawnProcess(
                run,
                sys.executable,
                [sys.executable, name, "localhost", str(server.tcp_port)],
                env=environment,
                path=str(home),
            )
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
