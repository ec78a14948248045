"""Who may sign in: names, ids and hashed passwords, in an SQLite file.

The file is opened anew for each task.  So every thread may ask, a user whom
another process adds is known at once, and a file that was away or locked for a
while is no reason to start anew.
"""

import os
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anychat.business.sample import passwords
from anychat.business_messages import MAX_NAME, MAX_PASSWORD

#: Seconds to wait for another process that writes to the file.
PATIENCE = 3.0

_VERSION = 1
# With AUTOINCREMENT the id of somebody who was removed is never given again.
_SCHEMA = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL
)
"""

_TROUBLES = {
    sqlite3.SQLITE_BUSY: "another program keeps it locked; try again",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; do this as the user who owns it, "
    "who must be allowed to write to its directory too",
    sqlite3.SQLITE_CORRUPT: "is damaged; take it from a backup",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_NOTADB: "is no SQLite database; move it away to begin anew",
    sqlite3.SQLITE_READONLY: "cannot be written; do this as the user who owns it",
}


class UsersError(Exception):
    """What could not be done and why, for a person to read."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in."""

    user_id: int
    name: str


class Users:
    """The users in a file, which is made for the first of them.

    Every method raises `UsersError` when the file cannot be used.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        """
        :param patience: seconds to wait for another process that writes.
        """
        self.path = path
        self._patience = patience

    def add(self, name: str, password: str) -> User:
        """Add a user.

        :raises UsersError: also: there already, or no fit name or password.
        """
        name, line = fit_name(name), passwords.stored(fit_password(password))
        self._create()
        with self._transaction() as database:
            if not self._has_users(database):
                database.execute(_SCHEMA)
                database.execute(f"PRAGMA user_version = {_VERSION}")
            try:
                row = database.execute(
                    "INSERT INTO users (name, password) VALUES (?, ?)", (name, line)
                )
            except sqlite3.IntegrityError:
                raise self._taken(name) from None
        assert row.lastrowid is not None
        return User(row.lastrowid, name)

    def change_password(self, name: str, password: str) -> User:
        """Give a user another password.

        :raises UsersError: also: no such user, or no fit password.
        """
        user = self.find(name)
        line = passwords.stored(fit_password(password))
        with self._transaction() as database:
            database.execute(
                "UPDATE users SET password = ? WHERE id = ?", (line, user.user_id)
            )
        return user

    def remove(self, name: str) -> User:
        """Remove a user; whoever has the name next gets another id.

        :raises UsersError: also: no such user.
        """
        user = self.find(name)
        with self._transaction() as database:
            database.execute("DELETE FROM users WHERE id = ?", (user.user_id,))
        return user

    def verify(self, name: str, password: str) -> User | None:
        """The user, if name and password are right.

        Takes a moment, and as long for a name that nobody has: call it from a
        thread that may wait.
        """
        name, password = _normal(name), _normal(password)
        rows = self._read("SELECT id, password FROM users WHERE name = ?", name)
        user_id, line = rows[0] if rows else (0, passwords.NOBODY)
        try:
            right = passwords.matches(password, line)
        except ValueError:
            raise UsersError(
                f"{self.path}: the password of user {name} is damaged; "
                "'anychat-business passwd' sets it anew"
            ) from None
        return User(user_id, name) if right else None

    def find(self, name: str) -> User:
        """The user of that name.

        :raises UsersError: also: no such user.
        """
        name = fit_name(name)
        rows = self._read("SELECT id, name FROM users WHERE name = ?", name)
        if not rows:
            raise UsersError(f"{self.path}: there is no user {name}")
        return User(*rows[0])

    def expect_nobody(self, name: str) -> None:
        """Find out, before a password is asked for, whether a name is free.

        :raises UsersError: it is not, or is no fit name.
        """
        name = fit_name(name)
        if self._read("SELECT id, name FROM users WHERE name = ?", name):
            raise self._taken(name)

    def count(self) -> int:
        """How many there are."""
        rows = self._read("SELECT count(*), '' FROM users")
        return rows[0][0] if rows else 0

    def all(self) -> list[User]:
        """All users, by name."""
        rows = self._read("SELECT id, name FROM users ORDER BY name")
        return [User(*row) for row in rows]

    def _taken(self, name: str) -> UsersError:
        return UsersError(f"{self.path}: user {name} is there already")

    def _read(self, query: str, *values: str) -> list[tuple[int, str]]:
        with self._database() as database:
            if database is None or not self._has_users(database):
                return []
            return database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._database() as database:
            if database is None:
                raise UsersError(f"{self.path}: there is no such file")
            # At once: to begin by reading would fail where two write together.
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        """The open database; None if there is no file."""
        try:
            if not self.path.exists():
                yield None
                return
            if not self.path.is_file():
                raise UsersError(f"{self.path}: is no file; move it away to begin anew")
            # Without "mode" SQLite would make the file, for everybody to read.
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            with closing(
                sqlite3.connect(
                    uri, uri=True, timeout=self._patience, isolation_level=None
                )
            ) as database:
                yield database
        except OSError as error:
            raise UsersError(f"{self.path}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise UsersError(f"{self.path}: {_trouble(error)}") from None

    def _create(self) -> None:
        """Make the file, for its owner alone to read, if it is not there."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        except PermissionError as error:
            raise UsersError(
                f"{self.path}: {error.strerror}; do this as the user who owns it"
            ) from None
        except OSError as error:
            raise UsersError(f"{self.path}: {error.strerror}") from None

    def _has_users(self, database: sqlite3.Connection) -> bool:
        """Whether the table is there; not in a file that is still empty."""
        [version] = database.execute("PRAGMA user_version").fetchone()
        if (
            version == 0
            and not database.execute("SELECT 1 FROM sqlite_master").fetchone()
        ):
            return False
        if version != _VERSION:
            raise UsersError(
                f"{self.path}: holds something else, or users of a later version; "
                "move it away to begin anew"
            )
        return True


def users_beside(config: Path) -> Path:
    """Where the users of a configuration are: beside it, under its name."""
    return config.with_suffix(".db")


def _trouble(error: sqlite3.Error) -> str:
    # The low byte is the kind; some errors of Python's own have no code.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _TROUBLES.get(kind, str(error))


def _normal(text: str) -> str:
    """The text in the one form of Unicode that is stored.

    Else an "é" that one keyboard sends in two parts would be another name than
    that of a keyboard which sends it whole.
    """
    return unicodedata.normalize("NFC", text)


def fit_name(name: str) -> str:
    """The name as it is stored.

    :raises UsersError: nobody can sign in by it.
    """
    name = _normal(name)
    if not name or name != name.strip():
        raise UsersError(f"{name!r}: a name neither is empty nor has spaces around it")
    if not name.isprintable():
        raise UsersError(f"{name!a}: the name has characters that cannot be printed")
    if len(name) > MAX_NAME:
        raise UsersError(
            f"{name[:20]}...: the name is longer than {MAX_NAME} characters"
        )
    return name


def fit_password(password: str) -> str:
    """The password as it is hashed.

    :raises UsersError: nobody can sign in with it.
    """
    password = _normal(password)
    if not password:
        raise UsersError("the password is empty, which is for guests")
    if len(password.encode(errors="surrogatepass")) > MAX_PASSWORD:
        raise UsersError(f"the password is longer than {MAX_PASSWORD} bytes")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise UsersError("the password is no text in UTF-8") from None
    return password
