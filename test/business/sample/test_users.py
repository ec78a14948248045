"""The users' file: what is kept in it, and what may be wrong with it."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.business.sample import passwords
from anychat.business.sample.users import User, Users, UsersError


class UsersTestCase(SynchronousTestCase):
    """A directory, and users in it."""

    def setUp(self):
        # Costs that make no test slow; `test_passwords` has the real ones.
        self.patch(passwords, "N", 2)
        self.patch(passwords, "P", 1)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "users ü?#%.db"
        self.users = Users(self.path, patience=0.01)

    def assertRefuses(self, text, call, *arguments):
        """The call is refused with a message in which that text stands."""
        message = str(self.assertRaises(UsersError, call, *arguments))
        self.assertIn(text, message)
        self.assertNotIn("\n", message)

    def execute(self, *statements):
        """Do something to the file behind the store's back."""
        with closing(sqlite3.connect(self.path)) as database, database:
            for statement in statements:
                database.execute(statement)


class UsersTests(UsersTestCase):
    """What is kept."""

    def test_nobody(self):
        """Where there is no file nobody is known, and asking makes none."""
        self.assertEqual(self.users.all(), [])
        self.assertIsNone(self.users.verify("ann", "apple"))
        self.assertFalse(self.path.exists())

    def test_add(self):
        """Who was added is let in with the right password, and only with it."""
        ann = self.users.add("ann", "apple")
        self.assertEqual(ann, User(1, "ann"))
        self.assertEqual(self.users.find("ann"), ann)
        self.assertEqual(self.users.verify("ann", "apple"), ann)
        for name, password in (("ann", "pear"), ("ann", ""), ("Ann", "apple")):
            self.assertIsNone(self.users.verify(name, password))

    def test_otherProcess(self):
        """What one adds another one knows at once."""
        other = Users(self.path)
        self.assertEqual(other.all(), [])
        self.users.add("ann", "apple")
        self.assertEqual(other.verify("ann", "apple"), User(1, "ann"))

    def test_all(self):
        """Users are listed by name; their ids are positive and never used again."""
        for name in ("cid", "ann", "bob"):
            self.users.add(name, "apple")
        self.assertEqual(
            self.users.all(), [User(2, "ann"), User(3, "bob"), User(1, "cid")]
        )
        self.execute("DELETE FROM users WHERE name = 'bob'")
        self.assertEqual(self.users.add("dan", "apple").user_id, 4)

    def test_duplicate(self):
        """A name is added once; the first password stays."""
        self.users.add("ann", "apple")
        self.assertRefuses("ann is there already", self.users.add, "ann", "pear")
        self.assertRefuses("ann is there already", self.users.expect_nobody, "ann")
        self.users.expect_nobody("bob")
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))

    def test_changePassword(self):
        """The new password counts, the old one does not any more."""
        self.users.add("ann", "apple")
        self.users.add("bob", "apple")
        self.assertEqual(self.users.change_password("ann", "pear"), User(1, "ann"))
        self.assertEqual(self.users.verify("ann", "pear"), User(1, "ann"))
        self.assertIsNone(self.users.verify("ann", "apple"))
        self.assertEqual(self.users.verify("bob", "apple"), User(2, "bob"))

    def test_remove(self):
        """A removed user is let in no more, and the id never given again."""
        self.users.add("ann", "apple")
        self.users.add("bob", "apple")
        self.assertEqual(self.users.remove("bob"), User(2, "bob"))
        self.assertIsNone(self.users.verify("bob", "apple"))
        self.assertEqual(self.users.add("bob", "apple"), User(3, "bob"))
        self.assertRefuses("no user eve", self.users.remove, "eve")

    def test_unknown(self):
        """Nobody is given a password without being there, nor made by it."""
        for _ in range(2):
            self.assertRefuses(
                "no user ann", self.users.change_password, "ann", "apple"
            )
            self.assertRefuses("no user ann", self.users.find, "ann")
            self.users.add("bob" + "b" * len(self.users.all()), "apple")

    def test_unknownTakesAsLong(self):
        """For a name that nobody has the same work is done as for another one."""
        self.users.add("ann", "apple")
        costs = []
        scrypt = passwords.scrypt

        def counted(data, **rest):
            costs.append([rest[name] for name in ("n", "r", "p", "dklen")])
            return scrypt(data, **rest)

        self.patch(passwords, "NOBODY", passwords._line(bytes(16), bytes(32)))
        self.patch(passwords, "scrypt", counted)
        self.users.verify("ann", "pear")
        self.users.verify("nobody", "pear")
        self.assertEqual(costs, [[2, 8, 1, 32]] * 2)

    def test_unicode(self):
        """Letters of every alphabet will do, in whatever form a keyboard sends them."""
        self.users.add("Zoe\u0308 王", "cafe\u0301")
        self.assertEqual(
            self.users.verify("Zo\u00eb 王", "caf\u00e9"), User(1, "Zo\u00eb 王")
        )
        self.assertEqual(
            self.users.verify("Zoe\u0308 王", "cafe\u0301"), User(1, "Zo\u00eb 王")
        )

    def test_secrets(self):
        """The file is the owner's alone, and no password stands in it."""
        mask = os.umask(0)
        self.addCleanup(os.umask, mask)
        self.users.add("ann", "apple of my eye")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertNotIn(b"apple", self.path.read_bytes())
        self.assertEqual(list(self.directory.iterdir()), [self.path])


class NameTests(UsersTestCase):
    """What cannot be a name or a password."""

    def test_names(self):
        """A name that no client could send, or that would garble a list."""
        for name, text in (
            ("", "neither is empty"),
            (" ann", "spaces around it"),
            ("ann\u3000", "spaces around it"),
            ("a\nb", r"'a\nb'"),
            ("a\x1b[2J", r"'a\x1b[2J'"),
            ("a\u202eb", r"'a\u202eb'"),
            ("a\udcffb", r"'a\udcffb'"),
            ("a" * 129, "longer than 128"),
        ):
            for call in (self.users.add, self.users.change_password):
                self.assertRefuses(text, call, name, "apple")
            self.assertRefuses(text, self.users.find, name)
            self.assertRefuses(text, self.users.expect_nobody, name)
        self.assertFalse(self.path.exists())

    def test_passwords(self):
        """A password that no client could send; it does not stand in the message."""
        self.users.add("ann", "apple")
        for password, text in (
            ("", "guests"),
            ("a\udcff", "UTF-8"),
            ("ü" * 513, "longer than 1024 bytes"),
        ):
            self.assertRefuses(text, self.users.add, "bob", password)
            self.assertRefuses(text, self.users.change_password, "ann", password)
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))
        self.assertEqual(len(self.users.all()), 1)

    def test_longest(self):
        """What is just not too long."""
        name, password = "a" * 128, "ü" * 512
        self.users.add(name, password)
        self.assertEqual(self.users.verify(name, password), User(1, name))


class FileTests(UsersTestCase):
    """What may be wrong with the file."""

    def assertUseless(self, text):
        """Whatever is asked, the message names the file and has that text."""
        self.assertReadsNothing(text)
        self.assertWritesNothing(text)

    def assertReadsNothing(self, text):
        """The same for what reads."""
        for call, arguments in (
            (self.users.all, ()),
            (self.users.find, ("ann",)),
            (self.users.expect_nobody, ("bob",)),
            (self.users.verify, ("ann", "apple")),
        ):
            self.assertRefuses(f"{self.path}: {text}", call, *arguments)

    def assertWritesNothing(self, text):
        """The same for what writes."""
        for call, name in (
            (self.users.add, "bob"),
            (self.users.change_password, "ann"),
        ):
            self.assertRefuses(f"{self.path}: {text}", call, name, "pear")

    def test_locked(self):
        """Another program that does not let go costs the patience and no more."""
        self.users.add("ann", "apple")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.assertWritesNothing("another program keeps it locked")
            self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))
            other.execute("COMMIT")
            other.execute("BEGIN EXCLUSIVE")
            self.assertUseless("another program keeps it locked")
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))

    def test_noDatabase(self):
        """A file of something else stays as it is."""
        self.path.write_text("not a database, for all to see\n" * 100)
        self.assertUseless("is no SQLite database")
        self.assertTrue(self.path.read_text().startswith("not a database"))

    def test_otherDatabase(self):
        """A database of something else stays as it is."""
        self.execute("CREATE TABLE shoes (size INTEGER)")
        self.assertUseless("holds something else")

    def test_laterVersion(self):
        """A file that a later version of this program wrote is left to it."""
        self.users.add("ann", "apple")
        self.execute("PRAGMA user_version = 2")
        self.assertUseless("holds something else, or users of a later version")

    def test_empty(self):
        """An empty file, as a crash may leave it, holds nobody, and is filled."""
        self.path.touch()
        self.assertEqual(self.users.all(), [])
        self.assertIsNone(self.users.verify("ann", "apple"))
        self.assertEqual(self.users.add("ann", "apple"), User(1, "ann"))

    def test_damagedTable(self):
        """A table that is not there is told as SQLite tells it."""
        self.users.add("ann", "apple")
        self.execute("DROP TABLE users")
        self.assertUseless("no such table: users")

    def test_damagedPassword(self):
        """A stored password that is none is told, and can be set anew."""
        self.users.add("ann", "apple")
        self.execute("UPDATE users SET password = 'apple'")
        self.assertRefuses(
            "the password of user ann is damaged", self.users.verify, "ann", "apple"
        )
        self.users.change_password("ann", "pear")
        self.assertEqual(self.users.verify("ann", "pear"), User(1, "ann"))

    def test_directory(self):
        """A directory where the file should be."""
        self.path.mkdir()
        self.assertReadsNothing("is no file; move it away")
        self.assertRefuses("Is a directory", self.users.add, "ann", "apple")

    def test_noDirectory(self):
        """No directory for the file."""
        self.directory.rmdir()
        self.assertEqual(self.users.all(), [])
        self.assertRefuses("No such file or directory", self.users.add, "ann", "apple")

    def test_readOnly(self):
        """What may only be read is read."""
        self.users.add("ann", "apple")
        self.path.chmod(0o400)
        if os.access(self.path, os.W_OK):
            raise SkipTest("root may write everywhere")
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))
        self.assertRefuses("Permission denied", self.users.add, "bob", "apple")
        self.assertRefuses(
            "cannot be written", self.users.change_password, "ann", "pear"
        )

    def test_unreadable(self):
        """What may not be read at all."""
        self.users.add("ann", "apple")
        self.path.chmod(0)
        if os.access(self.path, os.R_OK):
            raise SkipTest("root may read everything")
        self.assertReadsNothing("cannot be opened; do this as the user who owns it")
        self.assertRefuses(
            "Permission denied; do this as the user who owns it",
            self.users.add,
            "bob",
            "apple",
        )
