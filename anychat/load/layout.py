"""Who is in which room, and who publishes.

Users are numbered from 0; room r has the users r * M to r * M + M - 1, the
last room what is left.  The first K of each room publish one stream each, and
everybody watches all streams of the room but the own one.

For every stream and every member of its room there is a *place*, where what
that member received of that stream is counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Seat(NamedTuple):
    """Where a user is."""

    user: int
    room: int
    slot: int
    """Which of its room's members he is, from 0."""
    publishes: bool


class Publication(NamedTuple):
    """Who publishes a stream, and where what comes of it is counted."""

    stream: int
    """From 0."""
    user: int
    room: int
    first_place: int
    """The place of the room's slot 0; the others follow."""


@dataclass(frozen=True, slots=True)
class Layout:
    """N users in rooms of M, of whom K in each room publish."""

    users: int
    room_size: int
    publishers: int
    """Of each room; a room that has fewer members has fewer."""

    @property
    def rooms(self) -> int:
        """How many rooms there are."""
        return -(-self.users // self.room_size)

    def members(self, room: int) -> range:
        """The users of a room."""
        start = room * self.room_size
        return range(start, min(start + self.room_size, self.users))

    def seats(self) -> Iterator[Seat]:
        """Every user, in order."""
        for user in range(self.users):
            room, slot = divmod(user, self.room_size)
            yield Seat(user, room, slot, slot < self.publishers)

    def publications(self) -> Iterator[Publication]:
        """Every stream, in order."""
        stream = place = 0
        for room in range(self.rooms):
            members = self.members(room)
            for user in members[: self.publishers]:
                yield Publication(stream, user, room, place)
                stream += 1
                place += len(members)

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return sum(
            min(self.publishers, len(self.members(room))) for room in range(self.rooms)
        )

    @property
    def places(self) -> int:
        """How many places there are."""
        return sum(
            min(self.publishers, size) * size
            for size in (len(self.members(room)) for room in range(self.rooms))
        )

    @property
    def copies(self) -> int:
        """Copies that one packet of every stream makes, all together."""
        return self.places - self.streams
