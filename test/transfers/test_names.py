"""Tests of `anychat.transfers.names`."""

from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.transfers.names import MAXIMUM, numbered, safe_name


class NameTests(SynchronousTestCase):
    """Names that others chose."""

    def test_paths(self):
        """Only the last part of a path is of interest."""
        for name, safe in (
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\x\\y.doc", "y.doc"),
            ("小明的照片.jpg", "小明的照片.jpg"),
            ("a b.txt", "a b.txt"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            ("dir/", "file"),
            (".bashrc", "bashrc"),
            ("...hidden", "hidden"),
            ("a\0b", "a_b"),
            ("a\nb\x1b[2J", "a_b_[2J"),
            ("con.txt", "_con.txt"),
            ("x.part", "x_part"),
            ("evil\u202egpj.exe", "evil_gpj.exe"),
            ("a:b", "a_b"),
            ("\ud800", "_"),
        ):
            self.assertEqual(safe_name(name), safe, repr(name))

    @settings(deadline=None, max_examples=300)
    @given(st.text(max_size=400))
    @example("a" * 1000 + ".txt")
    @example("." * 300 + "x" * 300)
    @example("中" * 300)
    def test_anything(self, name):
        """No name leads anywhere, is hidden, unprintable, or too long."""
        safe = safe_name(name)
        self.assertTrue(safe)
        self.assertNotIn(safe[0], ". ")
        self.assertLessEqual(len(safe.encode()), MAXIMUM)
        for kind in (PurePosixPath, PureWindowsPath):
            self.assertEqual(kind("base", safe).parent, kind("base"))
        self.assertTrue(all(character >= " " for character in safe))
        self.assertEqual(safe_name(safe), safe)

    def test_longNames(self):
        """A long name keeps its extension, if that is one."""
        self.assertTrue(safe_name("a" * 500 + ".jpeg").endswith("a.jpeg"))
        self.assertEqual(len(safe_name("a" * 500 + ".jpeg")), MAXIMUM)
        self.assertLessEqual(len(safe_name("a." + "b" * 500)), MAXIMUM)

    def test_numbered(self):
        """The number goes before the extension."""
        self.assertEqual(numbered("a.tar.gz", 2), "a.tar-2.gz")
        self.assertEqual(numbered("a", 3), "a-3")
