"""The state file on a disk."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.judge import Memory
from anychat.licensing.memory import MAX_STATE
from anychat.licensing.state_file import load_memory, machine_id, save_memory
from test.licensing.cases import LICENCE, NOW

MEMORY = Memory(LICENCE.digest, NOW, NOW)


class StateFileTests(SynchronousTestCase):
    """`save_memory`, `load_memory` and `machine_id`."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "AnyChat.licence-state"

    def test_thereAndBack(self):
        """What was saved is loaded, by the same machine and licence alone."""
        save_memory(self.path, MEMORY, "m")
        self.assertEqual(load_memory(self.path, LICENCE.digest, "m"), MEMORY)
        self.assertEqual(load_memory(self.path, "22" * 32, "m"), Memory())
        self.assertEqual(load_memory(self.path, LICENCE.digest, "n"), Memory())

    def test_missing(self):
        """No file is no memory, and no crime."""
        self.assertEqual(load_memory(self.path, LICENCE.digest, "m"), Memory())

    def test_forged(self):
        """What we have not written is told from what is not there."""
        for data in b"", b"{}", b"\xff" * 100, b" " * (MAX_STATE + 1):
            self.path.write_bytes(data)
            memory = load_memory(self.path, LICENCE.digest, "m")
            self.assertTrue(memory.forged)
            self.assertEqual(memory.digest, LICENCE.digest)

    def test_mode(self):
        """Nobody else may read it, whatever the old one's mode and our umask were."""
        self.path.write_bytes(b"")
        self.path.chmod(0o666)
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        save_memory(self.path, MEMORY, "m")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_failed(self):
        """A file that cannot be written leaves nothing behind."""
        self.path.mkdir()
        self.assertRaises(OSError, save_memory, self.path, MEMORY, "m")
        self.assertEqual(os.listdir(self.directory), [self.path.name])
        self.assertRaises(
            OSError, save_memory, self.directory / "no" / "state", MEMORY, "m"
        )
        before = os.listdir("/proc/self/fd")
        self.assertRaises(OSError, load_memory, self.path, LICENCE.digest, "m")
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_pipe(self):
        """A pipe in its place holds nobody up."""
        os.mkfifo(self.path)
        self.assertTrue(load_memory(self.path, LICENCE.digest, "m").forged)

    def test_machineId(self):
        """The system's own, or D-Bus', or nothing."""
        self.assertEqual(machine_id(self.directory), "")
        for name, text in (("var/lib/dbus", "older"), ("etc", "newer")):
            (self.directory / name).mkdir(parents=True)
            (self.directory / name / "machine-id").write_text(f"{text}\n")
            self.assertEqual(machine_id(self.directory), text)
