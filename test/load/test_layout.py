"""Who sits where, and where what they receive is counted."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.load.layout import Layout


class LayoutTests(SynchronousTestCase):
    """Users, rooms, publishers and places."""

    def test_lastRoomIsShort(self):
        """What does not fill a room has one of its own, with its publishers."""
        layout = Layout(users=7, room_size=3, publishers=2)
        self.assertEqual(layout.rooms, 3)
        self.assertEqual(list(layout.members(2)), [6])
        self.assertEqual(
            [seat.user for seat in layout.seats() if seat.publishes], [0, 1, 3, 4, 6]
        )
        self.assertEqual(
            [tuple(each) for each in layout.publications()],
            [(0, 0, 0, 0), (1, 1, 0, 3), (2, 3, 1, 6), (3, 4, 1, 9), (4, 6, 2, 12)],
        )
        self.assertEqual(layout.copies, 8)

    @settings(deadline=None)
    @given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60))
    def test_placesAreApart(self, users, room_size, publishers):
        """Every pair of a stream and a member has a place of its own, no more."""
        layout = Layout(users, room_size, publishers)
        taken = [
            publication.first_place + slot
            for publication in layout.publications()
            for slot in range(len(layout.members(publication.room)))
        ]
        self.assertEqual(taken, list(range(layout.places)))
        self.assertEqual(layout.streams, len(list(layout.publications())))
        self.assertEqual(layout.copies, layout.places - layout.streams)
