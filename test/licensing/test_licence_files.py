"""The files of a licence, and whether they have changed."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.findings import LicenceError
from anychat.licensing.judge import Memory
from anychat.licensing.licence_files import LicenceFiles
from anychat.licensing.state_file import save_memory
from test import licences
from test.licensing.cases import NOW


class LicenceFilesTests(SynchronousTestCase):
    """`LicenceFiles`."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.files = LicenceFiles(
            self.directory, self.directory / licences.CA_NAME, "6.0.1"
        )

    def test_look(self):
        """Every file counts that the licence is made of; the state is told apart."""
        seen = {self.files.look()}
        licences.make_licence(self.directory)
        seen.add(self.files.look())
        (self.directory / "AnyChat.crl").write_bytes(b"-")
        seen.add(self.files.look())
        (self.directory / licences.CA_NAME).unlink()
        seen.add(self.files.look())
        self.assertEqual(len(seen), 4)
        self.assertEqual({there for _, there in seen}, {False})
        before = self.files.look()
        self.files.state_path.write_bytes(b"-")
        self.assertEqual(self.files.look(), (before[0], True))

    def test_load(self):
        """The licence, and what an earlier run has left about it."""
        licences.make_licence(self.directory, max_users=7)
        loaded = self.files.load("machine")
        self.assertEqual(loaded.read.grant.max_users, 7)
        self.assertEqual((loaded.kept, loaded.note), (Memory(), ""))
        self.assertEqual(loaded.stamp, self.files.look()[0])
        memory = Memory(loaded.read.digest, clock=NOW, good=NOW)
        save_memory(self.files.state_path, memory, "machine")
        self.assertEqual(self.files.load("machine").kept, memory)
        self.assertEqual(self.files.load("another machine").kept, Memory())

    def test_unreadable(self):
        """What cannot be read is a finding, not an exception."""
        read = self.files.load("machine").read
        self.assertIsInstance(read, LicenceError)
        self.assertEqual(read.code, ResultCode.TRANSFILE_ZEROLEN)
        licences.make_licence(self.directory)
        self.files.state_path.mkdir()
        self.assertIn("cannot be read", self.files.load("machine").note)
