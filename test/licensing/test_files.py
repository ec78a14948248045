"""Files that are there whole or not at all."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.files import replace_file


class ReplaceTests(SynchronousTestCase):
    """What `replace_file` leaves behind."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "file"

    def test_replaced(self):
        """The new content takes the old one's place, and nothing else is left."""
        replace_file(self.path, b"old, and longer")
        replace_file(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"new")
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_permissions(self):
        """They are what is asked for, though the file had others."""
        self.addCleanup(os.umask, os.umask(0o022))
        replace_file(self.path, b"open")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o644)
        replace_file(self.path, b"secret", 0o600)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_fails(self):
        """Where it cannot be written, what was there stays, and nothing is added."""
        self.path.mkdir()
        error = self.assertRaises(OSError, replace_file, self.path, b"new")
        self.assertEqual(error.filename, str(self.path))
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_noFile(self):
        """What is no file is not replaced by one: devices, pipes, and "."."""
        os.mkfifo(self.path)
        os.symlink("/dev/null", self.directory / "null")
        for path in (self.path, self.directory / "null", Path("."), Path("/")):
            error = self.assertRaises(OSError, replace_file, path, b"new")
            self.assertEqual(error.filename, str(path))
            self.assertIn("no file", error.strerror)
        self.assertTrue(self.path.is_fifo())

    def test_noDirectory(self):
        """The error names the file, not the one that would have become it."""
        path = self.directory / "none" / "file"
        error = self.assertRaises(FileNotFoundError, replace_file, path, b"new")
        self.assertEqual(error.filename, str(path))
