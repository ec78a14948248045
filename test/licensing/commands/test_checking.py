"""``anychat-license check``."""

import argparse
import os
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from anychat.config import load
from anychat.errors import ConfigError
from anychat.licensing.certificate import LICENCE_NAME, read_licence
from anychat.licensing.commands.checking import add, check_licence, this_host
from anychat.licensing.commands.console import FAILED, FINE, Console
from anychat.licensing.fingerprint import bind, hash_parts
from anychat.licensing.hardware import read_machine
from anychat.licensing.judge import Memory
from anychat.licensing.licence import AddressBinding, DomainBinding
from anychat.licensing.state_file import STATE_NAME, machine_id, save_memory
from test.licences import authority_pem, licence_pem, make_licence, now
from test.licensing.worlds import ELSEWHERE, HERE, NAME, server

ROOT = Path(__file__).resolve().parents[3]
HOUR = timedelta(hours=1)


class CheckCase(SynchronousTestCase):
    """A configuration, a licence, and a world around them."""

    def setUp(self):
        self.world = server(Path(self.mktemp()))
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.output, self.errors = StringIO(), StringIO()
        self.patch(os, "geteuid", lambda: 1000)
        self.configure()

    def configure(self, demo=0, more=""):
        """Write the configuration."""
        (self.directory / "AnyChatCoreServer.ini").write_text(
            f"[Base Settings]\nDemoMode={demo}\nLicenseCA=licence-ca.pem\n{more}"
        )

    def check(self):
        """Run it; its exit code."""
        parser = argparse.ArgumentParser()
        add(parser.add_subparsers())
        path = self.directory / "AnyChatCoreServer.ini"
        chosen = parser.parse_args(["check", "--config", str(path)])
        console = Console(
            self.output,
            self.errors,
            input,
            now(),
            lambda start: self.successResultOf(start(None)),
        )
        return check_licence(chosen, console, lambda reactor, config: self.world.host())

    def assertSaid(self, *texts):
        """Texts that the result has in this order."""
        said, start = self.output.getvalue(), 0
        for text in texts:
            self.assertIn(text, said[start:])
            start = said.index(text, start) + len(text)


class CheckTests(CheckCase):
    """What it says, and its exit code."""

    def test_good(self):
        """All is well, binding by binding."""
        bindings = (
            self.world.bind_hardware(),
            DomainBinding(NAME),
            AddressBinding((HERE,)),
            self.world.key.binding,
        )
        make_licence(self.directory, bindings=bindings, max_users=20)
        self.assertEqual(self.check(), FINE)
        self.assertSaid(
            "certificate: ok: signed by",
            "hardware: ok: 100 of 100 match, 60 are needed",
            f"domain: ok: {NAME} leads to {HERE}",
            f"address: ok: this host has {HERE}",
            "ukey: ok: ",
            "all of the 4 bindings must match",
            "VALID: licence of Customer, 20 users",
        )
        self.assertEqual(self.errors.getvalue(), "")

    def test_failing(self):
        """A binding that fails is told with its code, and what clients would hear."""
        make_licence(
            self.directory, bindings=(DomainBinding(NAME), AddressBinding((HERE,)))
        )
        self.world.names[NAME] = [ELSEWHERE]
        self.assertEqual(self.check(), FAILED)
        self.assertSaid(
            f"domain: FAILED (840): {NAME} leads to {ELSEWHERE}",
            "address: ok",
            "REFUSED",
            "(840)",
            "Nobody new could sign in: 28",
        )

    def test_oneIsEnough(self):
        """Of a licence for any of its bindings one may fail."""
        make_licence(
            self.directory,
            bindings=(DomainBinding(NAME), AddressBinding((HERE,))),
            match_all=False,
        )
        self.world.names.clear()
        self.assertEqual(self.check(), FINE)
        self.assertSaid("FAILED (842)", "one of the 2 bindings must match", "VALID")

    def test_unbound(self):
        """A licence that is bound to nothing."""
        make_licence(self.directory)
        self.assertEqual(self.check(), FINE)
        self.assertSaid("certificate: ok", "VALID")

    def test_missing(self):
        """711, and where the licence belongs."""
        self.assertEqual(self.check(), FAILED)
        self.assertSaid(
            "certificate: FAILED (711)",
            str(self.directory),
            "REFUSED: ",
            "(711)",
            "Nobody new could sign in: 28",
        )

    def test_damaged(self):
        """A licence that cannot be read."""
        make_licence(self.directory)
        path = self.directory / LICENCE_NAME
        path.write_bytes(path.read_bytes()[:200])
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("certificate: FAILED (802)")

    def test_expired(self):
        """801 for a licence whose time is over."""
        make_licence(
            self.directory, not_before=now() - 48 * HOUR, not_after=now() - HOUR
        )
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("EXPIRED", "(801)", "Nobody new could sign in")
        self.assertNotIn("It ends in", self.output.getvalue())

    def test_soonOver(self):
        """A licence that ends soon is good, and said to end."""
        make_licence(self.directory, not_after=now() + 36 * HOUR)
        self.assertEqual(self.check(), FINE)
        self.assertSaid("VALID", "It ends in 2 days")
        make_licence(self.directory, not_after=now() + HOUR)
        self.check()
        self.assertSaid("It ends in 1 day:")

    def test_demoMode(self):
        """In demo mode it says what would be without."""
        self.configure(demo=1)
        make_licence(self.directory)
        self.assertEqual(self.check(), FINE)
        self.assertSaid("DemoMode=1", "certificate: ok", "VALID")

    def test_earlierRuns(self):
        """A server that was in order before has its time of grace."""
        make_licence(self.directory, bindings=(DomainBinding(NAME),))
        self.world.names.clear()
        self.keep_memory(good=now() - HOUR)
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("GRACE", "(842)")
        self.assertNotIn("Nobody new", self.output.getvalue())

    def test_clockSetBack(self):
        """The time that the server has seen counts here as well."""
        make_licence(self.directory)
        self.keep_memory(good=now() + 72 * HOUR)
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("CLOCK-WRONG: the clock was set back", "(801)")

    def test_stateAltered(self):
        """What was altered is said, and is not called an end."""
        make_licence(self.directory)
        (self.directory / STATE_NAME).write_text("{}")
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("CLOCK-WRONG: ", "was altered", "(801)")

    def keep_memory(self, good):
        """Write what a run has left."""
        data = (self.directory / LICENCE_NAME).read_bytes()
        licence = read_licence(data, [authority_pem()], None, "6.0")
        memory = Memory(licence.digest, clock=good, good=good)
        machine = machine_id(self.world.machine.root)
        save_memory(self.directory / STATE_NAME, memory, machine)

    def test_changesNothing(self):
        """The check leaves no files behind, the state file neither."""
        make_licence(self.directory)
        before = sorted(self.directory.iterdir())
        self.check()
        self.assertEqual(sorted(self.directory.iterdir()), before)

    def test_stateUnreadable(self):
        """A state that cannot be read is said, and the rest goes on."""
        make_licence(self.directory)
        (self.directory / STATE_NAME).mkdir()
        self.assertEqual(self.check(), FINE)
        self.assertIn(STATE_NAME, self.errors.getvalue())

    def test_asRoot(self):
        """Root is told that the server sees less of the machine."""
        self.patch(os, "geteuid", lambda: 0)
        make_licence(self.directory, bindings=(self.world.bind_hardware(),))
        self.check()
        self.assertIn("root may see more", self.errors.getvalue())

    def test_noConfiguration(self):
        """Without a configuration there is no server to speak for."""
        (self.directory / "AnyChatCoreServer.ini").unlink()
        self.assertRaises(ConfigError, self.check)

    def test_otherVendor(self):
        """28 for a licence of somebody who is not trusted."""
        make_licence(self.directory)
        (self.directory / "licence-ca.pem").write_bytes(licence_pem())
        self.assertEqual(self.check(), FAILED)
        self.assertSaid("certificate: FAILED (28)")


class ProgramTests(CheckCase):
    """The whole program, in a process of its own, at this machine."""

    def test_thisMachine(self):
        """It runs its reactor, finds this machine, and ends."""
        salt = bytes(16)
        hashes = hash_parts(read_machine().parts, salt)
        make_licence(self.directory, bindings=(bind(hashes, salt.hex()),))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "anychat.licensing.command", "check"),
                *("--config", str(self.directory / "AnyChatCoreServer.ini")),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=ROOT,
        )
        self.assertEqual(done.returncode, FINE, done.stderr)
        self.assertRegex(done.stdout, r"hardware: ok: (\d+) of \1 match")
        self.assertIn("VALID", done.stdout)


class HostTests(CheckCase):
    """`this_host`."""

    def test_thisHost(self):
        """It asks the reactor's resolver, and takes PublicAddress for this host."""
        self.configure(more="[Media Settings]\nPublicAddress=192.0.2.44\n")
        make_licence(self.directory)
        host = this_host(reactor, load(self.directory / "AnyChatCoreServer.ini"))
        self.assertEqual([str(one) for one in host.public_addresses], ["192.0.2.44"])
