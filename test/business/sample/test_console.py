"""``anychat-business``: its command line, and the users it adds and lists."""

import io
import os
import pty
import signal
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import anychat
from anychat.business.sample import passwords
from anychat.business.sample.command import main
from anychat.business.sample.console import read_password
from anychat.business.sample.users import User, Users, UsersError

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "from anychat.business.sample.command import main; main()"


class ConsoleTestCase(SynchronousTestCase):
    """A directory with a configuration."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.config = self.directory / "my.ini"
        self.config.write_text("[Base Settings]\n")
        self.path = self.directory / "my.db"
        self.users = Users(self.path)


class CommandLineTests(ConsoleTestCase):
    """In this process, with cheap passwords."""

    def setUp(self):
        super().setUp()
        self.patch(passwords, "N", 2)
        self.patch(passwords, "P", 1)
        handler = signal.getsignal(signal.SIGINT)
        self.addCleanup(signal.signal, signal.SIGINT, handler)

    def call(self, *arguments):
        """Run the command; its exit code, output and complaints."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
            except SystemExit as ended:
                code = ended.code
        return code, out.getvalue(), err.getvalue()

    def with_config(self, *arguments):
        """The same with the configuration."""
        return self.call(*arguments, "--config", str(self.config))

    def assertRefused(self, result, code, text):
        """The command ended with that code and that complaint of one line."""
        self.assertEqual(result, (code, "", f"anychat-business: {text}\n"))

    def test_adduser(self):
        """A user is added, and the command says where and as whom."""
        self.assertEqual(
            self.with_config("adduser", "ann", "--password", "apple"),
            (0, f"{self.path}: user ann added with id 1\n", ""),
        )
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))

    def test_configFirst(self):
        """The configuration may be named before the command as well."""
        code, _, _ = self.call(
            "--config", str(self.config), "adduser", "ann", "--password", "apple"
        )
        self.assertEqual(code, 0)
        self.assertEqual(self.users.count(), 1)

    def test_duplicate(self):
        """A name that is taken is refused before a password is asked for."""
        self.users.add("ann", "apple")
        for more in ((), ("--password", "pear")):
            self.assertRefused(
                self.with_config("adduser", "ann", *more),
                1,
                f"{self.path}: user ann is there already",
            )
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))

    def test_passwd(self):
        """The password is changed, and the command says whose."""
        self.users.add("ann", "apple")
        self.assertEqual(
            self.with_config("passwd", "ann", "--password", "pear"),
            (0, f"{self.path}: password of user ann changed\n", ""),
        )
        self.assertEqual(self.users.verify("ann", "pear"), User(1, "ann"))

    def test_unknown(self):
        """A name that nobody has is refused before a password is asked for."""
        for more in ((), ("--password", "pear")):
            self.assertRefused(
                self.with_config("passwd", "ann", *more),
                1,
                f"{self.path}: there is no user ann",
            )
        self.assertFalse(self.path.exists())

    def test_deluser(self):
        """A user is removed, and the command says who."""
        self.users.add("ann", "apple")
        self.assertEqual(
            self.with_config("deluser", "ann"),
            (0, f"{self.path}: user ann (id 1) removed\n", ""),
        )
        self.assertEqual(self.users.all(), [])
        code, _, text = self.with_config("deluser", "ann")
        self.assertEqual(code, 1)
        self.assertIn("there is no user ann", text)

    def test_list(self):
        """Ids and names, one user a line; nothing where there is nobody."""
        self.assertEqual(self.with_config("list"), (0, "", ""))
        self.users.add("王 bob", "apple")
        self.users.add("ann", "apple")
        self.assertEqual(
            self.with_config("list"), (0, "     2  ann\n     1  王 bob\n", "")
        )

    def test_unfit(self):
        """Names and passwords that cannot be, and none of them is shown raw."""
        for name, password, text in (
            ("", "apple", "'': a name neither is empty nor has spaces around it"),
            ("ann", "", "the password is empty, which is for guests"),
            ("ann", "a" * 1025, "the password is longer than 1024 bytes"),
            (
                "a" * 129,
                "apple",
                f"{'a' * 20}...: the name is longer than 128 characters",
            ),
            (
                "a\x1b\udcff",
                "apple",
                r"'a\x1b\udcff': the name has characters that cannot be printed",
            ),
        ):
            self.assertRefused(
                self.with_config("adduser", name, "--password", password), 1, text
            )
        self.assertFalse(self.path.exists())

    def test_noDatabase(self):
        """A file that is no database is told, and left as it is."""
        self.path.write_text("shopping list\n")
        for command in (("adduser", "ann", "--password", "p"), ("list",)):
            self.assertRefused(
                self.with_config(*command),
                1,
                f"{self.path}: is no SQLite database; move it away to begin anew",
            )
        self.assertEqual(self.path.read_text(), "shopping list\n")

    def test_noConfig(self):
        """Without a configuration nothing is made; the wrong directory is noticed."""
        self.config.unlink()
        text = (
            f"{self.config}: no such file; copy etc/AnyChatServerSDK.ini there, or "
            "name another one with --config"
        )
        for command in ((), ("list",), ("adduser", "ann", "--password", "apple")):
            self.assertRefused(self.with_config(*command), 2, text)
        self.config.mkdir()
        text = f"{self.config}: is a directory; name the file in it with --config"
        self.assertRefused(self.with_config("list"), 2, text)
        self.assertEqual(list(self.directory.iterdir()), [self.config])

    def test_wrongConfig(self):
        """A wrong key is told with its line before anything is started."""
        self.config.write_text("[Base Settings]\nServerPort=x\n")
        code, out, err = self.with_config()
        self.assertEqual((code, out), (2, ""))
        self.assertIn(f"{self.config}, line 2: [Base Settings] ServerPort='x'", err)
        self.assertEqual(list(self.directory.iterdir()), [self.config])

    def test_usage(self):
        """A wrong command line ends with 2."""
        for arguments in (
            ("--no-such-option",),
            ("surplus",),
            ("adduser",),
            ("adduser", "ann", "bob"),
            ("passwd",),
            ("list", "ann"),
            ("list", "--password", "apple"),
        ):
            self.assertEqual(self.call(*arguments)[0], 2, arguments)

    def test_version(self):
        """The version is that of the package."""
        self.assertEqual(self.call("--version"), (0, f"{anychat.__version__}\n", ""))

    def test_help(self):
        """The help names the commands."""
        code, out, _ = self.call("--help")
        self.assertEqual(code, 0)
        for word in ("adduser", "passwd", "deluser", "list", "--config"):
            self.assertIn(word, out)


class StandardInputTests(SynchronousTestCase):
    """A password that comes by a pipe or from a file."""

    def read(self, data):
        """What is taken of that input."""
        read, write = os.pipe()
        with open(write, "wb") as stream:
            stream.write(data)
        self.addCleanup(os.close, read)
        return read_password(read)

    def test_line(self):
        """It is the first line without its end, whatever system wrote it."""
        for data in (
            b"apple pie",
            b"apple pie\n",
            b"apple pie\r\n",
            b"apple pie\npear",
        ):
            self.assertEqual(self.read(data), "apple pie")
        self.assertEqual(self.read(" café \n".encode()), " café ")
        self.assertEqual(self.read(b"\n"), "")

    def test_nothing(self):
        """No line at all is no password."""
        error = self.assertRaises(UsersError, self.read, b"")
        self.assertEqual(str(error), "no password was given on standard input")

    def test_endless(self):
        """No more is read than a password can have, one byte apart to tell."""
        self.assertEqual(len(self.read(b"a" * 50_000)), 1027)

    def test_notUtf8(self):
        """Other bytes are kept for whoever refuses them."""
        self.assertEqual(self.read(b"caf\xe9\n"), "caf\udce9")

    def test_unreadable(self):
        """Standard input that cannot be read is told."""
        for name, mode in (("/", os.O_RDONLY), (os.devnull, os.O_WRONLY)):
            descriptor = os.open(name, mode)
            self.addCleanup(os.close, descriptor)
            error = self.assertRaises(UsersError, read_password, descriptor)
            self.assertTrue(str(error).startswith("standard input: "), error)


class TerminalTests(ConsoleTestCase):
    """A password that is typed, in a process with a terminal."""

    def type(self, *lines, command="adduser"):
        """Answer each question; the exit code and all that the terminal showed."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            arguments = [sys.executable, "-c", PROGRAM, command, "ann", "--config"]
            os.execv(sys.executable, [*arguments, str(self.config)])
        shown = b""
        with closing(open(terminal, "r+b", buffering=0)) as screen:
            try:
                while data := screen.read(1000):
                    shown += data
                    if shown.endswith(b": ") and lines:
                        screen.write(lines[0])
                        lines = lines[1:]
            except OSError:
                # The terminal of a process that has ended.
                pass
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown.decode()

    def test_twice(self):
        """It is asked for twice, and not shown."""
        code, shown = self.type(b"caf\xc3\xa9\n", b"caf\xc3\xa9\n")
        said = f"{self.path}: user ann added with id 1"
        self.assertEqual(
            shown.split("\r\n"), ["Password: ", "Password again: ", said, ""]
        )
        self.assertEqual(code, 0)
        self.assertEqual(self.users.verify("ann", "café"), User(1, "ann"))

    def test_differ(self):
        """Two that differ change nothing."""
        code, shown = self.type(b"apple\n", b"apples\n")
        self.assertIn("anychat-business: the two passwords differ\r\n", shown)
        self.assertEqual((code, self.users.all()), (1, []))

    def test_giveUp(self):
        """Ctrl-C and Ctrl-D change nothing, and leave no traceback."""
        for keys in ((b"\x03",), (b"\x04",), (b"apple\n", b"\x03")):
            code, shown = self.type(*keys)
            self.assertTrue(
                shown.endswith("anychat-business: no password was given\r\n"), shown
            )
            self.assertNotIn("Traceback", shown)
            self.assertEqual((code, self.users.all()), (1, []))

    def test_notUtf8(self):
        """Keys that are no text."""
        code, shown = self.type(b"caf\xe9\n", b"caf\xe9\n")
        self.assertNotIn("Traceback", shown)
        self.assertEqual((code, self.users.all()), (1, []))


class ProcessTests(ConsoleTestCase):
    """A real process, whose surroundings may be odd."""

    def call(self, script, *arguments, **environment):
        """Run the command by a line of sh, in which it is ``"$@"``."""
        return subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, "-c", PROGRAM, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_pipe(self):
        """A script passes the password by a pipe."""
        arguments = ("adduser", "ann", "--config", str(self.config))
        done = self.call('echo apple | "$@"', *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, f"{self.path}: user ann added with id 1\n")
        self.assertEqual(self.users.verify("ann", "apple"), User(1, "ann"))

    def test_closedInput(self):
        """Closed standard input is no password."""
        done = self.call('"$@" <&-', "adduser", "ann", "--config", str(self.config))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr, "anychat-business: no password was given on standard input\n"
        )

    def test_output(self):
        """Output that goes nowhere costs the output."""
        for number, (redirection, code, err) in enumerate(
            (
                (">&-", 0, ""),
                (">&- 2>&-", 0, ""),
                (
                    ">/dev/full",
                    1,
                    "anychat-business: standard output: No space left on device\n",
                ),
            ),
            1,
        ):
            done = self.call(
                f'"$@" {redirection}',
                *("adduser", f"user {number}", "--password", "apple"),
                *("--config", str(self.config)),
            )
            self.assertEqual((done.returncode, done.stderr), (code, err), redirection)
            self.assertEqual(self.users.count(), number)

    def test_poorTerminal(self):
        """Letters that the terminal does not have are written as numbers."""
        done = self.call(
            '"$@"',
            *("adduser", "王", "--password", "apple", "--config", str(self.config)),
            PYTHONIOENCODING="ascii",
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(r"user \u738b added", done.stdout)
