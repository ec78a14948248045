"""A whole program around a business server, from its start to its end."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.business.with_core import run_script

_PROLOGUE = """
import os, signal, sys
from anychat.business.run import run
from anychat.business.server import BusinessServer
"""


class RunTests(SynchronousTestCase):
    """Each in a process of its own."""

    def test_signal(self):
        """SIGTERM ends it in order; without a file it says so, and goes on."""
        path = Path(self.mktemp()).absolute()
        lines = run_script(
            f"""
            def make(reactor, settings):
                reactor.callLater(0.2, os.kill, os.getpid(), signal.SIGTERM)
                return BusinessServer(reactor, settings)
            print("code", run(make, {str(path)!r}))
            """,
            _PROLOGUE,
        )
        texts = [line.partition("\t")[2] or line for line in lines]
        self.assertEqual(
            texts[1:4],
            [
                f"Warning:load config file({path.name}) failed, use default settings!",
                "Invoke InitSDK(business-server)",
                "Ready to connect anychatcoreserver 127.0.0.1:8909....",
            ],
        )
        self.assertEqual(texts[-2:], ["Invoke Release", "code 0"])

    def test_wrongSettings(self):
        """A wrong file is told on standard error; nothing is started."""
        path = Path(self.mktemp()).absolute()
        path.write_text("[Base Settings]\nServerPort=x\n")
        lines = run_script(
            f"""
            sys.stderr = sys.stdout
            print("code", run(BusinessServer, {str(path)!r}))
            """,
            _PROLOGUE,
        )
        self.assertEqual(
            lines,
            [
                f"{path}, line 2: [Base Settings] ServerPort='x': allowed is a whole "
                "number from 1 to 65535",
                "code 2",
            ],
        )
