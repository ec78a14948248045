"""When the state file is written."""

from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.judge import Memory
from anychat.licensing.keeping import KEEPING, StateKeeper
from anychat.licensing.state_file import STATE_NAME
from test.licensing.cases import HOUR, LICENCE, NOW

MEMORY = Memory(LICENCE.digest, clock=NOW, good=NOW, granted=LICENCE)
LATER = replace(MEMORY, clock=NOW + HOUR, good=NOW + HOUR)


class KeepingTests(SynchronousTestCase):
    """`StateKeeper`."""

    def setUp(self):
        self.path = Path(self.mktemp()) / STATE_NAME
        self.path.parent.mkdir()
        self.lines = []
        self.in_thread = maybeDeferred
        self.keeper = StateKeeper(
            self.path, lambda *work: self.in_thread(*work), self.lines.append
        )

    def keep(self, memory, now, **how):
        """Whether it was written."""
        return self.successResultOf(self.keeper.keep(memory, "machine", now, **how))

    def test_times(self):
        """What happens is kept at once, time that goes on now and then."""
        self.assertTrue(self.keep(MEMORY, 0.0))
        self.assertFalse(self.keep(LATER, KEEPING - 1.0))
        self.assertTrue(self.keep(LATER, KEEPING))
        self.assertTrue(self.keep(replace(LATER, failing=NOW), KEEPING + 1.0))

    def test_forced(self):
        """At the end it is written in any case."""
        self.keep(MEMORY, 0.0)
        self.assertTrue(self.keep(LATER, 1.0, force=True))

    def test_fault(self):
        """What cannot be written is said once, and once more after it could be."""
        self.path.mkdir()
        for now in 0.0, KEEPING, 2 * KEEPING:
            self.assertFalse(self.keep(MEMORY, now))
        self.assertEqual(len(self.lines), 1)
        self.assertIn(f"{STATE_NAME} not written", self.lines[0])
        self.path.rmdir()
        self.assertTrue(self.keep(MEMORY, 3 * KEEPING))
        self.path.unlink()
        self.path.mkdir()
        self.assertFalse(self.keep(MEMORY, 4 * KEEPING))
        self.assertEqual(len(self.lines), 2)

    def test_slow(self):
        """One that does not come back has no others wait behind it."""
        waiting = Deferred()
        self.in_thread = lambda *work: waiting
        first = self.keeper.keep(MEMORY, "machine", 0.0)
        self.assertFalse(self.keep(replace(MEMORY, failing=NOW), KEEPING))
        waiting.callback(None)
        self.assertTrue(self.successResultOf(first))
