"""``anychat-license`` as a program."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.command import parser
from test.licences import licence_pem
from test.test_layering import ROOT

_WAITING = """\
import sys
from twisted.internet.defer import succeed
from anychat.licensing.command import wait

def later(reactor):
    from twisted.internet.task import deferLater
    return deferLater(reactor, 0, lambda: 5)

def broken(reactor):
    raise ValueError("broken")

try:
    print(wait({"later": later, "broken": broken}[sys.argv[1]]))
except ValueError as error:
    print(error)
"""

_ASKING = """\
from anychat.licensing.command import ask
from anychat.licensing.commands.console import Console, UsageError
try:
    print(repr(Console(None, None, ask, None, None).passphrase(None)))
except UsageError as error:
    print(error)
"""


class CommandTests(SynchronousTestCase):
    """The console script."""

    def run_python(self, *arguments, output=subprocess.PIPE, **environment):
        """Run it in a process of its own, which a reactor needs; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def test_commands(self):
        """Each command has a line of help, and a page."""
        text = parser().format_help()
        for name in ("fingerprint", "check", "ca", "issue", "renew", "revoke"):
            self.assertRegex(text, rf"(?m)^    {name}\s+\w")
        code, output, _ = self.run_python(
            "-m", "anychat.licensing.command", "issue", "--help"
        )
        self.assertEqual(code, 0)
        self.assertIn("--unbound", output)

    def test_wrongUsage(self):
        """Exit code 2 and no traceback."""
        code, _, errors = self.run_python("-m", "anychat.licensing.command", "make")
        self.assertEqual(code, 2)
        self.assertNotIn("Traceback", errors)

    def inspect(self, **how):
        """Inspect a licence of somebody with an umlaut."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(licence_pem(customer="B\u00e4nk"))
        return self.run_python(
            "-m", "anychat.licensing.command", "inspect", str(path), **how
        )

    def test_encoding(self):
        """What the terminal cannot show is escaped."""
        code, output, errors = self.inspect(PYTHONIOENCODING="ascii")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("Customer: B\\xe4nk\n", output)

    def test_outputFull(self):
        """Where nothing can be written, that is said, once and in one line."""
        # Buffered until the end, or written at once.
        for unbuffered in ("", "1"):
            with open("/dev/full", "wb") as full:
                code, _, errors = self.inspect(output=full, PYTHONUNBUFFERED=unbuffered)
            self.assertEqual(code, 1)
            self.assertRegex(errors, "^anychat-license: .*No space left.*\n$")

    def test_noTerminal(self):
        """A pass phrase is read from what a program writes, and the end is said."""
        for data, text in (("horse\n", "'horse'"), ("", "no pass phrase")):
            done = subprocess.run(
                [sys.executable, "-c", _ASKING],
                cwd=ROOT,
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
                timeout=60,
                # Or it would ask whoever runs the tests.
                start_new_session=True,
            )
            self.assertRegex(done.stdout, f"^{text}.*\n$")

    def test_wait(self):
        """A result that comes later, and a function that fails at once."""
        for name, text in (("later", "5\n"), ("broken", "broken\n")):
            code, output, errors = self.run_python("-c", _WAITING, name)
            self.assertEqual((code, output), (0, text), errors)

    def test_document(self):
        """docs/licensing.md names every command and option of the vendor's."""
        text = (ROOT / "docs" / "licensing.md").read_text(encoding="utf-8")
        for name in ("fingerprint", "check", "ca", "issue", "renew", "revoke"):
            self.assertIn(f"anychat-license {name}", text)
        [commands] = parser()._subparsers._group_actions
        for action in commands.choices["issue"]._actions:
            if action.dest not in ("help", "force"):
                [option] = action.option_strings
                self.assertRegex(text, rf"[ `]{option}[ `]", option)
