"""``make demo``, as its command runs it."""

import os
import signal
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from test.live.call import until


def demo(**environment):
    """Run it; fires with (output, exit code)."""
    outcome = getProcessOutputAndValue(
        sys.executable,
        ["-m", "anychat.demo"],
        env={**os.environ, "COLUMNS": "100", **environment},
    )
    return outcome.addCallback(
        lambda result: ((result[0] + result[1]).decode(), result[2])
    )


class DemoTests(TestCase):
    """What it shows, and how it ends."""

    timeout = 120

    async def test_twoAtOnce(self):
        """Two demonstrations, each with its own server, see all they sent."""
        for text, code in await gatherResults(
            [demo(DEMO_SECONDS="4"), demo(DEMO_SECONDS="4")]
        ):
            self.assertEqual(code, 0, text)
            for part in ("Join by hand", "ann → bob", "bob → ann", "first frame after"):
                self.assertIn(part, text)
            self.assertNotIn("not enough", text)

    async def test_interrupted(self):
        """Ctrl-C before there is anything to see ends it at once, and its server."""
        text = b""

        class Output(ProcessProtocol):
            """Interrupts the demonstration as soon as its server is made."""

            ended = Deferred()

            def outReceived(self, data):
                nonlocal text
                text += data

            def processEnded(self, reason):
                self.ended.callback(None)

        process = reactor.spawnProcess(
            Output(),
            sys.executable,
            [sys.executable, "-m", "anychat.demo"],
            env=os.environ,
        )
        await until(lambda: _children(process.pid), 30)
        (server,) = _children(process.pid)
        process.signalProcess(signal.SIGINT)
        await Output.ended
        self.assertIn(b"Ended before there was anything to see.", text)
        self.assertFalse(os.path.exists(f"/proc/{server}"))

    async def test_wrongSeconds(self):
        """What is no number of seconds is told, with exit code 2."""
        text, code = await demo(DEMO_SECONDS="soon")
        self.assertEqual(code, 2)
        self.assertIn("DEMO_SECONDS='soon'", text)


def _children(pid):
    """Process ids of the children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()
