"""``anychat-license fingerprint``."""

import argparse
import os
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing import fingerprint, hardware
from anychat.licensing.commands.console import FAILED, FINE, Console, UsageError
from anychat.licensing.commands.fingerprinting import add, write_fingerprint
from anychat.licensing.request import read_request
from test.licensing.machines import BOARD, DISKS, MACHINE_ID, MACS, UUID, FakeMachine

NOW = datetime(2026, 11, 20, 14, 0, 7, tzinfo=UTC)


class FingerprintCase(SynchronousTestCase):
    """The command at a machine of its own, as any user."""

    def setUp(self):
        self.machine = FakeMachine(Path(self.mktemp()))
        self.out = Path(self.mktemp())
        self.output, self.errors = StringIO(), StringIO()
        self.patch(os, "geteuid", lambda: 1000)

    def run_command(self, *arguments):
        """Run it; its exit code."""
        parser = argparse.ArgumentParser()
        add(parser.add_subparsers())
        chosen = parser.parse_args(["fingerprint", "--out", str(self.out), *arguments])
        console = Console(self.output, self.errors, input, NOW, lambda start: None)
        return write_fingerprint(chosen, console, self.machine.root)


class FingerprintTests(FingerprintCase):
    """What it writes and says."""

    def test_request(self):
        """The request describes this machine, and a licence made of it matches."""
        self.assertEqual(self.run_command(), FINE)
        request = read_request(self.out.read_bytes())
        self.assertEqual(request.created, "2026-11-20T14:00:07Z")
        self.assertEqual(request.surroundings, "machine")
        self.assertEqual(set(request.hashes), set(fingerprint.COMPONENTS))
        found = hardware.check_hardware(
            fingerprint.bind(request.hashes, request.salt),
            hardware.read_machine(self.machine.root),
        )
        self.assertTrue(found.ok)
        self.assertIn(str(self.out), self.output.getvalue())

    def test_noSerialNumbers(self):
        """Neither the request nor the terminal shows what is written on a part."""
        self.run_command()
        text = self.out.read_text() + self.output.getvalue() + self.errors.getvalue()
        for secret in (UUID, BOARD, MACHINE_ID, *DISKS, *MACS):
            self.assertNotIn(secret, text)

    def test_ownSalt(self):
        """Two requests of one machine cannot be told to be that."""
        self.run_command()
        first = read_request(self.out.read_bytes())
        self.run_command("--force")
        second = read_request(self.out.read_bytes())
        self.assertNotEqual(first.salt, second.salt)
        self.assertNotEqual(first.hashes["machine-id"], second.hashes["machine-id"])

    def test_asRoot(self):
        """Root leaves out what the server's user cannot read, and says so."""
        self.patch(os, "geteuid", lambda: 0)
        self.run_command()
        request = read_request(self.out.read_bytes())
        self.assertNotIn("product-uuid", request.hashes)
        self.assertNotIn("board-serial", request.hashes)
        self.assertIn("only some users", request.absent["product-uuid"])
        self.assertIn("can be made readable", self.errors.getvalue())

    def test_serverOfRoot(self):
        """With --as-root everything is in it."""
        self.patch(os, "geteuid", lambda: 0)
        self.run_command("--as-root")
        request = read_request(self.out.read_bytes())
        self.assertIn("product-uuid", request.hashes)

    def test_keepsFiles(self):
        """A request that is there already is not replaced without a word."""
        self.out.write_text("mine")
        with self.assertRaises(UsageError):
            self.run_command()
        self.assertEqual(self.out.read_text(), "mine")

    def test_authoritysFiles(self):
        """Nor is a licence CA's key, whatever is said."""
        key = self.out.with_name("ca.key")
        key.write_text("mine")
        with self.assertRaisesRegex(UsageError, "licence CA's own file"):
            self.run_command("--out", str(key), "--force")
        self.assertEqual(key.read_text(), "mine")

    def test_standardOutput(self):
        """With ``--out -`` the request and nothing else is written there."""
        self.assertEqual(self.run_command("--out", "-"), FINE)
        self.assertTrue(read_request(self.output.getvalue().encode()).hashes)

    def test_container(self):
        """In a container it says what is missing, and what gives it."""
        self.machine.write(".dockerenv", "")
        for name in ("sys/class/dmi", "sys/class/net", "sys/block"):
            self.machine.remove(name)
        self.assertEqual(self.run_command(), FINE)
        said = self.errors.getvalue()
        self.assertIn("this is a container", said)
        self.assertIn("MAC address: none; /sys/class/net cannot be read", said)
        self.assertIn("would not be safe", said)
        self.assertIn("--network host", said)
        self.assertNotIn("/etc/machine-id:ro", said)
        self.assertEqual(read_request(self.out.read_bytes()).surroundings, "container")

    def test_soundMachine(self):
        """Where all is well nothing is warned of."""
        self.run_command()
        self.assertNotIn("would not be safe", self.errors.getvalue())

    def test_nothing(self):
        """Where nothing can be read there is no request, but other bindings."""
        self.machine.root = Path(self.mktemp())
        self.assertEqual(self.run_command(), FAILED)
        self.assertFalse(self.out.exists())
        self.assertIn("UKey instead", self.errors.getvalue())
