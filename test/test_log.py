"""The server's log: its lines, its files, and what happens when they fail."""

import os
import re
import resource
import select
import signal
from datetime import datetime
from pathlib import Path
from time import monotonic

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from anychat import log
from anychat.log import (
    ConsoleObserver,
    FileObserver,
    Log,
    LogFile,
    console_line,
    file_line,
)

#: A moment with two digits of milliseconds.
WHEN = datetime(2026, 1, 2, 3, 4, 5, 67_000).timestamp()


def failure(text: str) -> Failure:
    """A failure with a traceback."""
    try:
        raise ValueError(text)
    except ValueError:
        return Failure()


class LineTests(SynchronousTestCase):
    """How events become lines."""

    def setUp(self):
        self.events = []
        self.log = Log(self.events.append)

    def lines(self) -> list[str]:
        """The file's lines of what was logged, all at `WHEN`."""
        lines = []
        for event in self.events:
            lines.append(file_line({**event, "log_time": WHEN}))
        return lines

    def test_fileLine(self):
        """A line of the file has date, time and milliseconds as the product's."""
        self.log("Start TCP Server Successed(port=8906)!")
        self.assertEqual(
            self.lines(),
            ["[2026-01-02 03:04:05(67)]\tStart TCP Server Successed(port=8906)!\n"],
        )

    def test_consoleLine(self):
        """A line at the terminal has the time alone."""
        self.log("text")
        event = {**self.events[0], "log_time": WHEN}
        self.assertEqual(console_line(event), "03:04:05(67)\ttext\n")

    def test_textIsNoFormat(self):
        """Braces and per cent signs in a text mean nothing."""
        self.log("{log_time} %s {")
        self.assertTrue(self.lines()[0].endswith("\t{log_time} %s {\n"))

    def test_failureInTheFile(self):
        """The file has the traceback of a failure, indented."""
        self.log.failure("It broke", failure("why"))
        first, *rest = self.lines()[0].splitlines()
        self.assertEqual(first, "[2026-01-02 03:04:05(67)]\tIt broke: ValueError: why")
        self.assertIn("Traceback", rest[0])
        self.assertTrue(all(line.startswith("\t") for line in rest))

    def test_failureOfTheMoment(self):
        """Without a failure given, the exception being handled is logged."""
        try:
            raise KeyError("this one")
        except KeyError:
            self.log.failure("It broke")
        self.assertIn("KeyError", self.lines()[0])

    def test_failureOfTheOlderLog(self):
        """What Twisted logs in its older way has its traceback in lines, too."""
        older = legacy.LogPublisher(publishPublisher=LogPublisher(self.events.append))
        for why, text in ((None, "Unhandled Error"), ("At work", "At work")):
            older.msg(failure=failure("cause"), why=why, isError=1)
            first, *rest = self.lines()[-1].splitlines()
            self.assertTrue(first.endswith(f"\t{text}: ValueError: cause"), first)
            self.assertIn("Traceback", rest[0])
            self.assertTrue(all(line.startswith("\t") for line in rest))
            self.assertEqual(console_line(self.events[-1]).count("\n"), 1)

    def test_failureAtTheConsole(self):
        """The terminal has one line of a failure."""
        self.log.failure("It broke", failure("why"))
        line = console_line(self.events[0])
        self.assertEqual(line.count("\n"), 1)
        self.assertIn("It broke: ValueError: why", line)

    def test_noForgedLines(self):
        """Text of peers can neither begin a line nor command a terminal."""
        self.log("name:a\n[2026-01-01 00:00:00(0)]\tforged\r\x1b[2J\x9b\u2028\u202e")
        [line] = self.lines()
        self.assertEqual(len(line.splitlines()), 1)
        self.assertTrue(
            line.endswith(
                "name:a\\x0a[2026-01-01 00:00:00(0)]\\x09forged\\x0d\\x1b[2J\\x9b"
                "\\u2028\\u202e\n"
            )
        )

    def test_chineseStays(self):
        """Names in Chinese are written as they are."""
        self.log("username:张三")
        self.assertTrue(self.lines()[0].endswith("username:张三\n"))

    def test_longTextIsCut(self):
        """A line has a limit, and so has a traceback."""
        self.log("x" * 100_000)
        self.assertLess(len(self.lines()[0]), log.MAX_TEXT + 100)
        self.log.failure("y", failure("z" * 100_000))
        self.assertLess(len(self.lines()[1]), log.MAX_TEXT * 2 + log.MAX_TRACEBACK)

    def test_whatIsShown(self):
        """Of others' events only warnings and worse are the server's business."""
        for namespace, level, expected in (
            ("anychat", LogLevel.info, True),
            ("anychat.media", LogLevel.info, True),
            ("anychat", LogLevel.debug, False),
            ("anychatter", LogLevel.info, False),
            ("twisted.internet", LogLevel.info, False),
            ("twisted.internet", LogLevel.warn, True),
            ("twisted.internet", LogLevel.critical, True),
        ):
            Logger(namespace, observer=self.events.append).emit(level, "x")
            self.assertEqual(log.shown(self.events[-1]), expected, namespace)


class FileTests(SynchronousTestCase):
    """The file, its successors, and a disk that does not take it."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "AnyChatCoreServer.log"
        self.clock = Clock()

    def open(self, maximum: int = 1000, kept: int = 3) -> LogFile:
        """A log file that is closed when the test ends."""
        file = LogFile(self.path, maximum, kept, self.clock.seconds)
        self.addCleanup(file.close)
        return file

    def test_appends(self):
        """What is in the file stays, and nothing is touched before the first line."""
        self.path.write_text("old\n")
        before = self.path.stat()
        file = self.open()
        self.assertEqual(self.path.stat(), before)
        file.write("new\n")
        self.assertEqual(self.path.read_text(), "old\nnew\n")

    def test_modeKeepsOthersOut(self):
        """Only owner and group may read the log."""
        self.open().write("line\n")
        self.assertEqual(self.path.stat().st_mode & 0o027, 0)

    def test_rotates(self):
        """A full file is set aside, and the oldest goes."""
        file = self.open(maximum=20, kept=2)
        for number in range(8):
            file.write(f"line {number:4}\n")
        contents = {
            path.name.removeprefix("AnyChatCoreServer"): path.read_text()
            for path in self.directory.iterdir()
        }
        self.assertEqual(
            contents,
            {
                ".log": "line    6\nline    7\n",
                ".log.1": "line    4\nline    5\n",
                ".log.2": "line    2\nline    3\n",
            },
        )

    def test_lineLongerThanAFile(self):
        """A line that no file has room for is written all the same."""
        file = self.open(maximum=20)
        file.write("x" * 50 + "\n")
        file.write("y\n")
        self.assertEqual(self.path.read_text(), "y\n")
        self.assertEqual(file.dropped, 0)

    def test_rotatingIsRefused(self):
        """Where a file cannot be set aside, it grows on."""
        target = self.directory / "AnyChatCoreServer.log.1"
        (target / "not empty").mkdir(parents=True)
        file = self.open(maximum=20, kept=1)
        for _ in range(4):
            file.write("123456789\n")
        self.assertEqual(self.path.read_text(), "123456789\n" * 4)
        self.assertEqual(file.dropped, 0)

    def test_removedFileIsMadeAnew(self):
        """When somebody moves the file away, a new one is begun."""
        file = self.open()
        file.write("one\n")
        self.path.rename(self.directory / "elsewhere")
        self.clock.advance(log.RETRY_PAUSE)
        file.write("two\n")
        self.assertEqual(self.path.read_text(), "two\n")

    def test_unwritable(self):
        """Lines that cannot be written are counted, and told when it works again."""
        self.path.mkdir()
        file = self.open()
        for _ in range(3):
            file.write("lost\n")
        self.assertEqual(file.dropped, 3)
        self.path.rmdir()
        file.write("lost, since it is too early to try again\n")
        self.clock.advance(log.RETRY_PAUSE)
        file.write("kept\n", "stamp\t")
        self.assertEqual(
            self.path.read_text(),
            "stamp\tLines that could not be written: 4\nkept\n",
        )
        file.write("next\n", "stamp\t")
        self.assertEqual(file.dropped, 4)
        self.assertTrue(self.path.read_text().endswith("kept\nnext\n"))

    def test_diskFull(self):
        """A full disk costs lines and nothing else."""
        file = LogFile(Path("/dev/full"), seconds=self.clock.seconds)
        self.addCleanup(file.close)
        for _ in range(3):
            file.write("lost\n")
            self.clock.advance(log.RETRY_PAUSE)
        self.assertEqual(file.dropped, 3)

    def test_tornLine(self):
        """After a line that was written in part the next one begins anew."""
        # What a full disk does to a line, a limit on the size of files does too.
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGXFSZ, handler)
        file = self.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            file.write("whole\n")
            file.write("torn apart\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        self.assertEqual(self.path.read_text(), "whole\ntorn")
        self.clock.advance(log.RETRY_PAUSE)
        file.write("next\n")
        self.assertEqual(
            self.path.read_text(),
            "whole\ntorn\nLines that could not be written: 1\nnext\n",
        )


class ObserverTests(SynchronousTestCase):
    """The observers together with twisted.logger."""

    def setUp(self):
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.file = LogFile(self.path, seconds=self.clock.seconds)
        self.addCleanup(self.file.close)
        self.read, self.write = os.pipe()
        self.addCleanup(os.close, self.read)
        self.addCleanup(os.close, self.write)
        self.console = ConsoleObserver(self.write)

    def test_interfaces(self):
        """Both are observers of twisted.logger."""
        verifyObject(ILogObserver, FileObserver(self.file))
        verifyObject(ILogObserver, self.console)

    def test_bothAtOnce(self):
        """A line goes to the file and to the terminal, each in its format."""
        publisher = LogPublisher(FileObserver(self.file), self.console)
        Log(publisher)("text")
        Logger("twisted.web", observer=publisher).info("noise")
        stamp = r"\d\d:\d\d:\d\d\(\d{1,3}\)"
        self.assertRegex(
            self.path.read_text(), rf"\A\[\d{{4}}-\d\d-\d\d {stamp}\]\ttext\n\Z"
        )
        self.assertRegex(os.read(self.read, 100).decode(), rf"\A{stamp}\ttext\n\Z")

    def test_gapHasAStamp(self):
        """The line about lost lines has the time of the line after it."""
        self.path.mkdir()
        publisher = LogPublisher(FileObserver(self.file))
        Log(publisher)("lost")
        self.path.rmdir()
        self.clock.advance(log.RETRY_PAUSE)
        Log(publisher)("kept")
        first, second = self.path.read_text().splitlines()
        self.assertRegex(first, r"^\[.*\)\]\tLines that could not be written: 1$")
        self.assertTrue(second.endswith("\tkept"))

    def test_consoleThatIsNotRead(self):
        """A terminal that takes no more makes nobody wait."""
        started = monotonic()
        for _ in range(5000):
            self.console.write("x" * 99 + "\n")
        self.assertLess(monotonic() - started, 5)
        self.assertEqual(len(os.read(self.read, 1 << 20)) % 100, 0)

    def test_consoleLineFitsAPipe(self):
        """A line is never longer than what a pipe takes without waiting."""
        self.console.write("张" * 5000 + "\n")
        shown = os.read(self.read, 1 << 20)
        self.assertEqual(len(shown), select.PIPE_BUF)
        self.assertTrue(shown.endswith(b"\n"))

    def test_consoleThatIsGone(self):
        """A terminal that was closed is no error."""
        read, write = os.pipe()
        console = ConsoleObserver(write)
        os.close(read)
        console.write("line\n")
        os.close(write)
        console.write("line\n")

    def test_noSecretsByAccident(self):
        """An event's other values do not get into the line."""
        publisher = LogPublisher(FileObserver(self.file))
        Logger("anychat", observer=publisher).info("{text}", text="a", password="hush")
        self.assertNotIn("hush", self.path.read_text())
        self.assertTrue(re.search(r"\ta\n$", self.path.read_text()))
