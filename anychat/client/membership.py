"""A client's place in a room: entering, what happens there, leaving.

An entry is under way from its request to ONLINEUSER.  After a lost session the
room is entered again; after lost notifications (RESYNC) the room's new picture
is compared with the old one, and the differences are told as if they had just
happened.
"""

from collections.abc import Callable
from functools import singledispatchmethod

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anychat.client import log as lines
from anychat.client.events import ClientEvents
from anychat.client.room import Room, differences
from anychat.client.streams import Streams
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode, StreamKind
from anychat.errors import PeerError, Refused
from anychat.messages import (
    CameraState,
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Message,
    MicStateChange,
    OnlineUser,
    Resync,
    RoomMembers,
    UserAtRoom,
)

#: Codes that mean that one is out of the room, whatever one thought before.
_OUT = (ResultCode.SUCCESS, ResultCode.ROOM_NOTIN)


class Entry:
    """An entry into a room that is under way."""

    def __init__(self, message: EnterRoom | EnterRoomByName):
        self.message = message
        self.accepted = False
        """Whether the server let us in; ONLINEUSER is still to come."""
        self.outcome: Deferred[Room] = Deferred()


class Membership:
    """The room a client is in, if any."""

    _log = Logger()

    def __init__(
        self,
        request: "Callable[[Message], Deferred[Message]]",
        streams: Streams,
        events: ClientEvents,
        say: Callable[[str], None],
        settled: Callable[[], None],
    ):
        """
        :param request: sends a request; raises `Refused`, and fails with
            `SessionLost`.
        :param say: writes a line of the client's log.
        :param settled: called when `busy` may have ended.
        """
        self._request = request
        self._streams = streams
        self._events = events
        self._say = say
        self._settled = settled
        self.room: Room | None = None
        """The room one is in."""
        self._home: EnterRoom | EnterRoomByName | None = None
        self._entry: Entry | None = None
        self._leaving = False
        self._resync: tuple[Resync, Room] | None = None

    @property
    def busy(self) -> bool:
        """Whether an entry, a leave or a RESYNC is under way."""
        return self._entry is not None or self._leaving or self._resync is not None

    # Entering.

    def enter(self, entry: Entry) -> "Deferred[Room]":
        """Ask for an entry; fires after its ONLINEUSER."""
        self._send(entry)
        return entry.outcome

    def abandon(self, entry: Entry) -> None:
        """Wait for it no longer."""
        if self._entry is entry:
            self._entry = None
            self._settled()

    def _send(self, entry: Entry) -> None:
        sent = self._request(entry.message)
        self._entry = entry
        entry.accepted = False
        sent.addCallbacks(
            self._entered, self._not_answered, callbackArgs=(entry,)
        ).addErrback(self._fault)

    def _entered(self, reply: Message, entry: Entry) -> None:
        code = getattr(reply, "code", ResultCode.PROTOCOLFAIL)
        if code == ResultCode.SUCCESS and isinstance(reply, EnterRoomResult):
            if self.room is None or self.room.room_id != reply.room_id:
                self._set_room(Room(reply.room_id, reply.name), entry)
            return
        if code == ResultCode.SUCCESS:
            code = ResultCode.PROTOCOLFAIL
        wanted = entry.message
        room_id = wanted.room_id if isinstance(wanted, EnterRoom) else 0
        self._say(lines.enter_room_line(room_id, code))
        if self._entry is entry:
            self._entry = None
        if self.room is None:
            # The room of before a lost session is not to be had any more.
            self._home = None
            self._streams.forget(code)
        self._events.on_enter_room(room_id, code)
        if not entry.outcome.called:
            entry.outcome.errback(Failure(Refused(code)))
        self._settled()

    def _not_answered(self, failure: Failure) -> None:
        # The session is gone; the next one sends the entry again.
        failure.trap(SessionLost)

    def _fault(self, failure: Failure) -> None:
        self._log.failure("an entry met a fault", failure)

    def _set_room(self, room: Room, entry: Entry | None) -> None:
        self.room = room
        if entry is not None:
            self._home = entry.message
            entry.accepted = True
        self._say(lines.enter_room_line(room.room_id, ResultCode.SUCCESS))
        self._events.on_enter_room(room.room_id, ResultCode.SUCCESS)

    def _complete(self, room: Room, message: OnlineUser) -> None:
        room.complete = True
        self._say(lines.online_user_line(message.count, message.room_id))
        entry = self._entry
        if entry is None or not entry.accepted:
            self._events.on_online_user(message.count, message.room_id)
            return
        self._entry = None
        self._events.on_online_user(message.count, message.room_id)
        if not entry.outcome.called:
            entry.outcome.callback(room)

    # Leaving.

    def leave(self) -> "Deferred[Message | None]":
        """Leave the room; fires with the reply, None if the session is gone."""
        if self.room is None:
            raise Refused(ResultCode.ROOM_NOTIN)
        sent = self._request(LeaveRoom(self.room.room_id))
        self._leaving = True
        left: Deferred[Message | None] = Deferred()
        sent.addCallbacks(self._left, self._lost_leaving).chainDeferred(left)
        return left

    def _left(self, reply: Message) -> Message:
        self._leaving = False
        if getattr(reply, "code", ResultCode.PROTOCOLFAIL) in _OUT:
            self._drop()
        self._settled()
        return reply

    def _lost_leaving(self, failure: Failure) -> None:
        # With the session went its place in the room.
        failure.trap(SessionLost)
        self._leaving = False
        self._drop()

    def _drop(self) -> None:
        """Out of the room, and not coming back by ourselves."""
        room, self.room, self._home = self.room, None, None
        self._streams.forget()
        if room is not None:
            self._events.on_leave_room(room.room_id)

    # The session under all that.

    def suspend(self) -> None:
        """The session is lost; `return_home` follows in the next one."""
        self.room = self._resync = None
        self._streams.suspend()

    def return_home(self) -> None:
        """Enter again the room one was in, or was about to enter."""
        entry = self._entry
        if entry is None and self._home is not None:
            entry = Entry(self._home)
            # Its outcome is told by events alone.
            entry.outcome.addErrback(lambda failure: None)
        if entry is not None:
            self._send(entry)

    def forget(self, reason: Refused) -> None:
        """The session is over."""
        entry, self._entry = self._entry, None
        self.room = self._home = self._resync = None
        self._leaving = False
        self._streams.forget(reason.code)
        if entry is not None and not entry.outcome.called:
            entry.outcome.errback(Failure(reason))

    # What the server says.

    @singledispatchmethod
    def take(self, message: Message) -> None:
        """A notification about the room."""
        raise PeerError(f"{type(message).__name__} is not for a client")

    @take.register
    def _(self, message: RoomMembers) -> None:
        room = self._resync[1] if self._resync is not None else self.room
        if room is not None and room.room_id == message.room_id and not room.complete:
            room.add(message)

    @take.register
    def _(self, message: OnlineUser) -> None:
        if self._resync is not None:
            self._resynchronized(message)
            return
        room = self.room
        if room is None or room.room_id != message.room_id or room.complete:
            return
        # Before the program hears of it: what it still has need not be asked
        # for again.
        self._streams.restore(room.members)
        self._complete(room, message)

    @take.register(UserAtRoom)
    @take.register(CameraState)
    @take.register(MicStateChange)
    def _(self, message: UserAtRoom | CameraState | MicStateChange) -> None:
        if self.room is None or not self.room.follow(message):
            return
        if isinstance(message, CameraState):
            self._events.on_camera_state(
                message.user_id, message.stream_index, message.open
            )
        elif isinstance(message, MicStateChange):
            self._events.on_mic_state_change(
                message.user_id, message.stream_index, message.open
            )
        else:
            if message.entered:
                self._streams.follow(self.room.members)
            else:
                self._streams.user_left(message.member.user_id)
            self._events.on_user_at_room(message.member, message.entered)

    # RESYNC.

    @take.register
    def _(self, message: Resync) -> None:
        if message.room_id:
            # The members follow, up to ONLINEUSER.
            self._resync = message, Room(message.room_id, message.room_name)
            return
        self._resync = None
        if self.room is None:
            return
        room, self.room = self.room, None
        self._streams.suspend()
        self._events.on_leave_room(room.room_id)
        if not self._leaving:
            self.return_home()

    def _resynchronized(self, message: OnlineUser) -> None:
        assert self._resync is not None
        (resync, new), self._resync = self._resync, None
        if message.room_id != new.room_id:
            raise PeerError("RESYNC of two rooms")
        old = self.room
        same = old is not None and old.room_id == new.room_id
        if old is not None and same and old.complete:
            for missed in list(differences(old, new)):
                self.take(missed)
            new.complete = True
            self.room = new
        else:
            if old is not None and not same:
                self._streams.suspend()
                self._events.on_leave_room(old.room_id)
            if same:
                self.room = new
            else:
                self._set_room(new, self._entry)
            self._streams.restore(new.members)
            self._complete(new, message)

        def open_streams(user_id: int) -> list[tuple[StreamKind, int]]:
            member = new.members.get(user_id)
            streams = member.streams if member is not None else ()
            return [(stream.kind, stream.stream_index) for stream in streams]

        self._streams.repair(resync.published, resync.subscriptions, open_streams)
