"""Scripts with a core's service for business servers beside a `BlockingServer`.

Each runs in a process of its own, since Twisted's reactor runs in one thread
only, and once.  A script gets ``core``, a `Core`, and ends the process itself.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from twisted.internet.defer import maybeDeferred

from anychat.business import blocking
from anychat.business_messages import Answer, Presence
from anychat.codes import ResultCode
from anychat.services.business import BusinessService
from anychat.services.settings import BusinessChannelSettings
from test.protocols.dialogue import FACTS
from test.test_layering import ROOT


def print(*values):
    """A line, whole: several threads print."""
    sys.stdout.write(" ".join(map(str, values)) + "\n")


#: Seconds that a script has.
TIMEOUT = 60

_INTERRUPTS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
_PROLOGUE = """
import logging, threading
logging.getLogger("anychat.business").addHandler(logging.NullHandler())
from anychat.business.blocking import BlockingServer, UserVerdict
from anychat.business.settings import Settings
from anychat.business_messages import *
from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused
from test.business.with_core import Core, print
core = Core()
"""


def run_script(script, prologue=_PROLOGUE):
    """Run it in a directory of its own; its lines of output.

    Ctrl-C is what Python makes of it, wherever the tests run.

    :raises AssertionError: it failed, or wrote to standard error.
    """
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-c", _INTERRUPTS + prologue + textwrap.dedent(script)],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert not done.returncode and not done.stderr, done.stdout + done.stderr
    return done.stdout.splitlines()


class Core:
    """A core's service for business servers, on the thread of the reactor."""

    def __init__(self):
        self.log = []
        self.calls = []
        self.answer = Answer(ResultCode.SUCCESS, (7, 8))
        self.thread = blocking._thread
        self.thread.start()
        self.do(self._make)

    def _make(self):
        self.service = BusinessService(
            self.thread.reactor,
            BusinessChannelSettings(port=0, answer_timeout=1),
            self,
            FACTS,
            os.urandom,
            self.log.append,
            None,
            lambda: False,
        )
        self.service.startService()
        (address,) = self.service.addresses()
        self.port = address.port

    def do(self, function, *arguments):
        """Have something done in the reactor's thread; what it gives."""
        return self.thread.call(lambda: maybeDeferred(function, *arguments), TIMEOUT)

    def ask(self, question):
        """Put a question; its verdict."""
        return self.do(self.service.ask, question)

    def tell(self, *events):
        """Let things happen."""
        for event in events:
            self.do(self.service.tell, event)

    def settings_file(self):
        """A file that leads here."""
        path = Path("AnyChatServerSDK.ini")
        path.write_text(f"[Base Settings]\nServerPort={self.port}\n")
        return path

    # What the service asks of a core.

    def arbiters(self, verifier, admitter, hears=False, judges_calls=False):
        """Nobody is interested."""

    def call(self, call):
        """Have something done."""
        self.calls.append(call)
        return self.answer

    def online(self):
        """Who is signed in."""
        return (Presence(7, "ann", 0, "::1", 1),)
