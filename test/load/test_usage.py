"""CPU time from /proc."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import ConfigError
from anychat.load.usage import cpu_seconds, family


class UsageTests(SynchronousTestCase):
    """A process, its threads and its children."""

    def setUp(self):
        """A /proc of our own."""
        self.proc = Path(self.mktemp())

    def task(self, pid: int, tid: int, nanoseconds: int, children: str = "") -> None:
        """A thread."""
        directory = self.proc / str(pid) / "task" / str(tid)
        directory.mkdir(parents=True)
        (directory / "schedstat").write_text(f"{nanoseconds} 7 9\n")
        (directory / "children").write_text(children)

    def test_sum(self):
        """All threads of the process and of its descendants count."""
        self.task(10, 10, 1_000_000_000, "11 ")
        self.task(10, 12, 500_000_000)
        self.task(11, 11, 250_000_000, "13")
        self.task(13, 13, 125_000_000)
        self.task(99, 99, 7_000_000_000)
        self.assertEqual(family(10, self.proc), [10, 11, 13])
        self.assertEqual(cpu_seconds(10, self.proc), 1.875)

    def test_ended(self):
        """A thread that ends while it is looked at is left out."""
        self.task(10, 10, 1_000_000_000, "11")
        (self.proc / "10" / "task" / "12").mkdir()
        self.assertEqual(cpu_seconds(10, self.proc), 1.0)

    def test_noProcess(self):
        """A process that is not there is told from one that idles."""
        self.assertRaises(ConfigError, cpu_seconds, 10, self.proc)

    def test_own(self):
        """The real /proc is understood."""
        self.assertGreater(cpu_seconds(os.getpid()), 0)
