"""One decision under way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from anychat.core.changes import Change
from anychat.core.commands import Command, SessionMessage
from anychat.core.effects import Effect, Reply, Send
from anychat.core.settings import HallSettings
from anychat.core.state import Session, State
from anychat.ids import SessionId
from anychat.messages import Message


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a command: fold the changes, then do the effects."""

    changes: tuple[Change, ...] = ()
    effects: tuple[Effect, ...] = ()
    """In the order in which they must be done."""


@dataclass(slots=True)
class Turn:
    """What is known when a command is decided, and the decision so far.

    The state is only to be read.
    """

    state: State
    settings: HallSettings
    now: float
    """Monotonic seconds."""
    changes: list[Change] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def reply(self, session: SessionId, request: int, message: Message) -> None:
        """Answer a request; number 0 wants no answer."""
        if request:
            self.effects.append(Reply(session, request, message))

    def send(self, sessions: tuple[SessionId, ...], message: Message) -> None:
        """Notify these sessions, if there are any."""
        if sessions:
            self.effects.append(Send(sessions, message))

    def decision(self) -> Decision:
        """The finished decision."""
        return Decision(tuple(self.changes), tuple(self.effects))


# Each subject's module says in tables of these types what it sees to.  Whoever
# refuses does so before deciding anything: a `Refused` leaves the turn empty.

#: Who decides a command, by its type.
CommandTable: TypeAlias = Mapping[type[Command], Callable[[Turn, Any], None]]

#: Who decides a message of a signed-in client, by its type.
MessageTable: TypeAlias = Mapping[
    type[Message], Callable[[Turn, Session, SessionMessage, Any], None]
]

#: Who folds a change, by its type.
ChangeTable: TypeAlias = Mapping[type[Change], Callable[[State, Any], None]]
