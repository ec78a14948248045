"""The facade of the core: decide what follows from a command, fold changes.

`Hall.decide` reads the state and never alters it; `Hall.apply` alters it and
decides nothing.  The driver of a hall does, for each command::

    decision = hall.decide(command, now)
    for change in decision.changes:
        hall.apply(change)           # and write it to the journal
    for effect in decision.effects:
        ...                          # in this order

and gives it a `Tick` while ``next_timeout()`` has come.
"""

from collections.abc import Callable
from typing import Any

from anychat.codes import ResultCode
from anychat.core import (
    blocking,
    business,
    calls,
    channels,
    directory,
    layers,
    licence,
    logins,
    logs,
    options,
    people,
    profiles,
    queries,
    rooms,
    roster,
    sessions,
    signed,
    streams,
    subscriptions,
    traces,
    transfers,
)
from anychat.core.changes import ArbitersSet, Change, RoomAdded, TermsSet
from anychat.core.commands import Command, SessionMessage, Tick
from anychat.core.names import numbered_name
from anychat.core.numbers import FreeNumbers
from anychat.core.settings import HallSettings
from anychat.core.state import State
from anychat.core.turn import (
    ChangeTable,
    CommandTable,
    Decision,
    MessageTable,
    Turn,
)
from anychat.errors import LocalError, Refused
from anychat.messages import (
    BeginTransfer,
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    InfoValue,
    Message,
    OpenLayer,
    OpenStream,
    OptionValue,
    QueryInfoFromServer,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QuerySDKOption,
    QueryStreamInfo,
    QueryUserState,
    Result,
    StateValue,
    StreamOpened,
    TransferBegun,
    UserList,
)


class Hall:
    """The whole core: users, rooms and streams of one server.

    ``now`` is in monotonic seconds and never goes back.
    """

    def __init__(self, settings: HallSettings) -> None:
        self.settings = settings
        self.state = State(
            free_call_rooms=FreeNumbers(
                max(1, settings.first_call_room), rooms.DEMO_ROOMS
            )
        )
        self.apply(ArbitersSet(settings.verifier, settings.admitter, False))
        self.apply(TermsSet(settings.terms))
        if settings.demo_mode:
            for room_id in rooms.DEMO_ROOMS:
                self.apply(RoomAdded(room_id, numbered_name(room_id), False, None))

    def decide(self, command: Command, now: float) -> Decision:
        """What follows from a command.  Does not alter anything.

        :raises LocalError: the shell gave an id that is not fresh, or none.
        """
        turn = Turn(self.state, self.settings, now)
        _COMMANDS[type(command)](turn, command)
        return turn.decision()

    def apply(self, change: Change) -> None:
        """Fold one change into the state.

        :raises LocalError: the change does not fit this state.
        """
        try:
            _CHANGES[type(change)](self.state, change)
        except KeyError as missing:
            kind = type(change).__name__
            raise LocalError(f"{kind} is about what is not there: {missing}") from None

    def next_timeout(self) -> float | None:
        """When the next `Tick` is due, None if there is nothing to wait for."""
        first = None
        for next_timeout, _ in _CLOCKS:
            when = next_timeout(self.state)
            if when is not None and (first is None or when < first):
                first = when
        return first

    def snapshot(self) -> tuple[Change, ...]:
        """Changes that, folded on a new hall, give a state equal to this one."""
        changes = business.snapshot(self.state)
        changes.extend(licence.snapshot(self.state))
        changes.extend(roster.snapshot(self.state))
        changes.extend(logins.snapshot(self.state))
        changes.extend(sessions.snapshot(self.state))
        for user in self.state.sessions.values():
            changes.extend(people.snapshot(user))
            changes.extend(options.session_snapshot(user))
        changes.extend(profiles.snapshot(self.state))
        changes.extend(options.snapshot(self.state))
        changes.extend(blocking.snapshot(self.state))
        changes.extend(signed.snapshot(self.state))
        changes.extend(calls.snapshot(self.state))
        changes.extend(rooms.snapshot(self.state))
        for room in self.state.rooms.values():
            for member in room.members:
                session = self.state.sessions[member]
                changes.extend(streams.snapshot(room, session))
                changes.extend(subscriptions.snapshot(room, session))
                changes.extend(traces.snapshot(room, session))
        changes.extend(transfers.snapshot(self.state))
        return tuple(changes)


def _decide_message(turn: Turn, command: SessionMessage) -> None:
    """Let the message's subject decide; a refusal is an answer too."""
    try:
        asker = turn.state.sessions.get(command.session)
        if asker is None:
            raise Refused(ResultCode.SESSIONNOTEXIST)
        decide = _MESSAGES.get(type(command.message))
        if decide is None:
            raise Refused(ResultCode.FUNCNOTALLOW)
        decide(turn, asker, command, command.message)
    except Refused as refused:
        turn.reply(
            command.session, command.request, _refusal(command.message, refused.code)
        )


def _tick(turn: Turn, command: Tick) -> None:
    """Do one item that is due."""
    for next_timeout, tick in _CLOCKS:
        due = next_timeout(turn.state)
        if due is not None and due <= turn.now:
            tick(turn)
            return


def _refusal(message: Message, code: ResultCode) -> Message:
    """The answer to a message that is not granted, of the type it waits for."""
    answer = _ANSWERS.get(type(message))
    return Result(code) if answer is None else answer(message, code)


#: Subjects that wait: when the first item is due, and who does it then.
_CLOCKS: tuple[tuple[Callable[[State], float | None], Callable[[Turn], None]], ...] = (
    (sessions.next_timeout, sessions.tick),
    (signed.next_timeout, signed.tick),
    (calls.next_timeout, calls.tick),
)

_COMMANDS: CommandTable = {
    SessionMessage: _decide_message,
    Tick: _tick,
    **people.COMMANDS,
    **signed.COMMANDS,
    **business.COMMANDS,
    **licence.COMMANDS,
    **logins.COMMANDS,
    **sessions.COMMANDS,
    **rooms.COMMANDS,
    **calls.COMMANDS,
    **transfers.COMMANDS,
}

_MESSAGES: MessageTable = {
    **people.MESSAGES,
    **options.MESSAGES,
    **queries.MESSAGES,
    **business.MESSAGES,
    **sessions.MESSAGES,
    **rooms.MESSAGES,
    **streams.MESSAGES,
    **subscriptions.MESSAGES,
    **channels.MESSAGES,
    **transfers.MESSAGES,
    **directory.MESSAGES,
    **traces.MESSAGES,
    **logs.MESSAGES,
    **layers.MESSAGES,
    **calls.MESSAGES,
}

_CHANGES: ChangeTable = {
    **profiles.CHANGES,
    **people.CHANGES,
    **options.CHANGES,
    **blocking.CHANGES,
    **signed.CHANGES,
    **business.CHANGES,
    **licence.CHANGES,
    **logins.CHANGES,
    **roster.CHANGES,
    **sessions.CHANGES,
    **rooms.CHANGES,
    **streams.CHANGES,
    **transfers.CHANGES,
    **subscriptions.CHANGES,
    **traces.CHANGES,
    **layers.CHANGES,
    **calls.CHANGES,
}

#: How a request is refused that is not answered by a plain `Result`.
_ANSWERS: dict[type[Message], Callable[[Any, ResultCode], Message]] = {
    EnterRoom: lambda message, code: EnterRoomResult(code, message.room_id),
    EnterRoomByName: lambda message, code: EnterRoomResult(code, 0),
    BeginTransfer: lambda message, code: TransferBegun(code),
    OpenStream: lambda message, code: StreamOpened(code),
    OpenLayer: lambda message, code: StreamOpened(code),
    QueryOnlineUsers: lambda message, code: UserList(code),
    QueryRoomUsers: lambda message, code: UserList(code),
    QueryRoomState: lambda message, code: StateValue(code),
    QueryUserState: lambda message, code: StateValue(code),
    QueryStreamInfo: lambda message, code: StateValue(code),
    QueryInfoFromServer: lambda message, code: InfoValue(code),
    QuerySDKOption: lambda message, code: OptionValue(code),
}
