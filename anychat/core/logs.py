"""Clients' logs: passed on to where they are kept, and never part of the state."""

from anychat.codes import ResultCode
from anychat.core.commands import SessionMessage
from anychat.core.effects import KeepLog
from anychat.core.state import Session
from anychat.core.turn import MessageTable, Turn
from anychat.errors import Refused
from anychat.messages import LogPart


def take_part(
    turn: Turn, asker: Session, command: SessionMessage, message: LogPart
) -> None:
    """A part of a client's log; whoever keeps it answers."""
    beyond = message.offset + len(message.data) > message.length
    if not message.data or beyond or not command.request:
        raise Refused(ResultCode.FUNCOPTERROR)
    turn.effects.append(KeepLog(asker.id, command.request, message))


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {LogPart: take_part}
