"""The journal: numbers from 1, the newest kept."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.core.changes import RoomRemoved
from anychat.core.journal import Journal


class JournalTests(SynchronousTestCase):
    """`Journal` of at most five changes."""

    def setUp(self):
        self.journal = Journal(5)

    def write(self, number):
        """Append so many changes, each of which names its number."""
        for _ in range(number):
            self.journal.append(RoomRemoved(self.journal.number + 1))

    def numbers(self, since):
        """The numbers of the changes after that one."""
        return [entry.number for entry in self.journal.since(since)]

    def test_empty(self):
        """Nothing happened: there is nothing to read."""
        self.assertEqual(self.journal.number, 0)
        self.assertEqual(self.numbers(0), [])

    def test_since(self):
        """A reader gets what it has not seen, in order."""
        self.write(4)
        self.assertEqual(self.numbers(0), [1, 2, 3, 4])
        self.assertEqual(self.numbers(2), [3, 4])
        self.assertEqual(self.numbers(4), [])
        self.assertEqual(self.journal.since(3)[0].change, RoomRemoved(4))

    def test_forgotten(self):
        """A reader that is too far behind is told so."""
        self.write(8)
        self.assertEqual(self.numbers(3), [4, 5, 6, 7, 8])
        self.assertIsNone(self.journal.since(2))

    def test_future(self):
        """A number that was never given out is another journal's."""
        self.write(1)
        self.assertIsNone(self.journal.since(2))
