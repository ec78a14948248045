"""A whole program around a business server, from its start to its end."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.business.with_core import run_script

_PROLOGUE = """
import os, signal, sys, time
from anychat.business.run import run
from anychat.business.server import BusinessServer
from anychat.business.settings import Settings
"""

_CORE = """
from anychat.services.business import BusinessService
from anychat.services.settings import BusinessChannelSettings
from test.protocols.dialogue import FACTS

class Core:
    def __init__(self, reactor):
        self.service = BusinessService(reactor, BusinessChannelSettings(port=0), self,
                                       FACTS, os.urandom, str, None, bool)
        self.service.startService()
        (address,) = self.service.addresses()
        self.port = address.port
        self.stop = self.service.stopService
    def arbiters(self, *values, **others): pass
    def online(self): return ()
"""


class RunTests(SynchronousTestCase):
    """Each in a process of its own."""

    def test_signal(self):
        """SIGTERM ends it in order; without a file it says so, and goes on."""
        lines = run_script(
            """
            def make(reactor, settings):
                reactor.callLater(0.2, os.kill, os.getpid(), signal.SIGTERM)
                return BusinessServer(reactor, settings)
            print("code", run(make))
            """,
            _PROLOGUE,
        )
        texts = [line.partition("\t")[2] or line for line in lines]
        self.assertEqual(
            texts[1:4],
            [
                "Warning:load config file(AnyChatServerSDK.ini) failed, use default "
                "settings!",
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

    def test_exits(self):
        """A callback that exits is logged in one piece; ctrl-C ends the program."""
        lines = run_script(
            """
            class Shop(BusinessServer):
                def on_connected(self):
                    sys.exit("configuration missing")

                def on_disconnected(self, code, reason):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.1)
                    print("slept")

            def make(reactor, settings):
                core = Core(reactor)
                shop = Shop(reactor, Settings(server_port=core.port))
                reactor.callLater(0.5, core.stop)
                return shop

            print("code", run(make))
            """,
            _PROLOGUE + _CORE,
        )
        at = next(n for n, line in enumerate(lines) if "on_connected failed" in line)
        self.assertRegex(
            lines[at],
            r"^[0-9:]+\(\d+\)\ton_connected failed: SystemExit: configuration missing$",
        )
        self.assertEqual(lines[at + 1], "\tTraceback (most recent call last):")
        self.assertIn("\tbuiltins.SystemExit: configuration missing", lines)
        self.assertEqual(lines[-1], "code 0")
        self.assertIn("slept", lines)

    def test_defaultLog(self):
        """A program that has begun no log prints lines; one that has does not."""
        for begin, count in (("", 1), ("startLogging(open(os.devnull, 'w'))", 0)):
            lines = run_script(
                f"""
                from twisted.internet import reactor
                from twisted.python.log import startLogging
                {begin}
                server = BusinessServer(reactor, Settings(server_port=1))
                server.startService()
                reactor.callLater(0.1, reactor.stop)
                reactor.run()
                """,
                _PROLOGUE,
            )
            said = [line for line in lines if "Invoke InitSDK" in line]
            self.assertEqual(len(said), count)

    def test_unhandledError(self):
        """What somebody else's code raises can be read, too."""
        lines = run_script(
            """
            from twisted.python import log
            from twisted.python.failure import Failure
            def make(reactor, settings):
                try:
                    1 / 0
                except ZeroDivisionError:
                    reactor.callLater(0, log.err, Failure())  # as a reactor does
                reactor.callLater(0.1, reactor.stop)
                return BusinessServer(reactor, settings)
            run(make)
            """,
            _PROLOGUE,
        )
        text = "\n".join(lines)
        self.assertNotIn("\\x0a", text)
        self.assertIn("\tUnhandled Error: ZeroDivisionError: division by zero\n", text)
        self.assertIn("\tTraceback (most recent call last):", lines)
