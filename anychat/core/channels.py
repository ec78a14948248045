"""Texts and transparent buffers: passed on, and never part of the state."""

from anychat.business_messages import OnRecvUserTextMsg, OnTransBuffer
from anychat.codes import BUSINESS_SERVER, WHOLE_ROOM, ResultCode
from anychat.core.commands import SessionMessage
from anychat.core.effects import Offer, Tell
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
    turn.effects.append(
        Tell(
            OnRecvUserTextMsg(
                asker.room_id or 0,
                asker.user_id,
                message.target,
                message.secret,
                message.text,
            )
        )
    )


def trans_buffer(
    turn: Turn, asker: Session, command: SessionMessage, message: TransBuffer
) -> None:
    """A few bytes to one user, to the others in the room, or to user 0."""
    check_buffer(message.data)
    if message.target == BUSINESS_SERVER:
        _to_business_server(turn, asker, command, message.data)
        return
    turn.send(
        _receivers(turn, asker, message.target),
        TransBufferData(asker.user_id, message.data),
    )
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def check_buffer(data: bytes, maximum: int = MAX_BUFFER) -> None:
    """Refuse data that is empty or too long.

    :raises Refused: 21.
    """
    if not 1 <= len(data) <= maximum:
        raise Refused(ResultCode.FUNCOPTERROR)


def _to_business_server(
    turn: Turn, asker: Session, command: SessionMessage, data: bytes
) -> None:
    if not turn.state.attended:
        raise Refused(ResultCode.SERVERSDK_FAIL)
    turn.effects.append(
        Offer(asker.id, command.request, OnTransBuffer(asker.user_id, data))
    )


def _receivers(turn: Turn, asker: Session, target: int) -> tuple[SessionId, ...]:
    if target == WHOLE_ROOM:
        return turn.state.room_of(asker).others(asker.id)
    receiver = turn.state.session_of(target)
    if receiver is None:
        raise Refused(ResultCode.INVALID_USERID)
    return (receiver.id,)


#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {SendText: send_text, TransBuffer: trans_buffer}
