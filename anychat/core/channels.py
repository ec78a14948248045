"""Texts and transparent buffers: passed on, and never part of the state."""

from anychat.codes import BUSINESS_SERVER, WHOLE_ROOM, ResultCode
from anychat.core.commands import SessionMessage
from anychat.core.state import Session
from anychat.core.turn import MessageTable, Turn
from anychat.errors import Refused
from anychat.ids import SessionId
from anychat.messages import (
    Result,
    SendText,
    TextMessage,
    TransBuffer,
    TransBufferData,
)

#: Bytes of one transparent buffer.
MAX_BUFFER = 1000


def send_text(
    turn: Turn, asker: Session, command: SessionMessage, message: SendText
) -> None:
    """A text to one user, wherever that is, or to the others in the room."""
    if message.secret and message.target == WHOLE_ROOM:
        raise Refused(ResultCode.FUNCOPTERROR)
    turn.send(
        _receivers(turn, asker, message.target),
        TextMessage(asker.user_id, message.target, message.secret, message.text),
    )
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def trans_buffer(
    turn: Turn, asker: Session, command: SessionMessage, message: TransBuffer
) -> None:
    """A few bytes to one user, wherever that is, or to the others in the room."""
    if not 1 <= len(message.data) <= MAX_BUFFER:
        raise Refused(ResultCode.FUNCOPTERROR)
    if message.target == BUSINESS_SERVER:
        raise Refused(ResultCode.SERVERSDK_FAIL)
    turn.send(
        _receivers(turn, asker, message.target),
        TransBufferData(asker.user_id, message.data),
    )
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def _receivers(turn: Turn, asker: Session, target: int) -> tuple[SessionId, ...]:
    if target == WHOLE_ROOM:
        return turn.state.room_of(asker).others(asker.id)
    receiver = turn.state.session_of(target)
    if receiver is None:
        raise Refused(ResultCode.INVALID_USERID)
    return (receiver.id,)


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {SendText: send_text, TransBuffer: trans_buffer}
