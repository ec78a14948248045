"""The room as its member sees it; pure.

`Room` follows the server's notifications.  `differences` says which
notifications lead from one picture of a room to another: that is how a
client that missed some (RESYNC) tells its program, in the words it would
have heard anyway.
"""

from collections.abc import Iterator
from dataclasses import replace

from anychat.codes import StreamKind
from anychat.messages import (
    CameraState,
    Member,
    Message,
    MicStateChange,
    OpenStreamInfo,
    RoomMembers,
    UserAtRoom,
)


def stream_state(
    user_id: int, kind: StreamKind, stream_index: int, open: bool
) -> CameraState | MicStateChange:
    """The notification that tells a member's stream state."""
    if kind == StreamKind.VIDEO:
        return CameraState(user_id, stream_index, open)
    return MicStateChange(user_id, stream_index, open)


class Room:
    """A room that was entered: its number, its name and the other members."""

    def __init__(self, room_id: int, name: str):
        self.room_id = room_id
        self.name = name
        self.members: dict[int, Member] = {}
        """The others, by user id."""
        self.complete = False
        """Whether ONLINEUSER has come, so that ``members`` names everybody."""

    def add(self, chunk: RoomMembers) -> None:
        """Take a part of the list that comes with an entry."""
        for member in chunk.members:
            self.members[member.user_id] = member

    def follow(self, message: Message) -> bool:
        """Take a notification; False: it changes nothing that is known here."""
        if isinstance(message, UserAtRoom):
            user_id = message.member.user_id
            if message.entered:
                self.members[user_id] = message.member
                return True
            return self.members.pop(user_id, None) is not None
        if isinstance(message, CameraState):
            return self._set_stream(message, StreamKind.VIDEO)
        if isinstance(message, MicStateChange):
            return self._set_stream(message, StreamKind.AUDIO)
        return False

    def _set_stream(
        self, message: CameraState | MicStateChange, kind: StreamKind
    ) -> bool:
        member = self.members.get(message.user_id)
        if member is None:
            return False
        stream = OpenStreamInfo(kind, message.stream_index)
        others = tuple(known for known in member.streams if known != stream)
        streams = (*others, stream) if message.open else others
        self.members[message.user_id] = replace(member, streams=streams)
        return True


def differences(old: Room, new: Room) -> Iterator[Message]:
    """The notifications after which ``old`` has the members of ``new``.

    A user id that now has another name is somebody else: he left, and
    another one entered.
    """
    for user_id, member in old.members.items():
        present = new.members.get(user_id)
        if present is None or present.nickname != member.nickname:
            yield UserAtRoom(False, member)
    for user_id, member in new.members.items():
        known = old.members.get(user_id)
        if known is None or known.nickname != member.nickname:
            yield UserAtRoom(True, member)
            continue
        for stream in known.streams:
            if stream not in member.streams:
                yield stream_state(user_id, stream.kind, stream.stream_index, False)
        for stream in member.streams:
            if stream not in known.streams:
                yield stream_state(user_id, stream.kind, stream.stream_index, True)
