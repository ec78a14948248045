"""QueryInfoFromServer: what anybody who is signed in may know of the others."""

import json
import re
from collections.abc import Callable
from typing import Any

from anychat import business_messages as calls
from anychat import messages
from anychat.business_messages import Answer, Call
from anychat.codes import ResultCode, ServerQuery
from anychat.core.commands import SessionMessage
from anychat.core.profiles import is_known, profile_of
from anychat.core.state import Session, State
from anychat.core.turn import MessageTable, Turn
from anychat.errors import Refused
from anychat.ids import UserId
from anychat.messages import InfoValue

#: Bytes of UTF-8 of an answer.
MAX_ANSWER = 60_000

_NUMBER = re.compile(r"-?[0-9]{1,10}")


def query(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    message: messages.QueryInfoFromServer,
) -> None:
    """Answer a client."""
    text = _answer(turn.state, message.query, message.text)
    turn.reply(asker.id, command.request, InfoValue(ResultCode.SUCCESS, text))


def call(turn: Turn, call: calls.QueryInfoFromServer) -> Answer:
    """Answer a business server."""
    text = _answer(turn.state, call.query, call.text)
    return Answer(ResultCode.SUCCESS, text=text)


def _answer(state: State, kind: int, text: str) -> str:
    answer = _ANSWERS.get(kind)
    if answer is None:
        raise Refused(ResultCode.FUNCNOTALLOW)
    return answer(state, text)


def _by_name(state: State, text: str) -> Session:
    return _first(state, state.by_name, text)


def _by_string_id(state: State, text: str) -> Session:
    return _first(state, state.by_string_id, text)


def _first(state: State, index: dict[str, dict[UserId, None]], text: str) -> Session:
    """Of those who go by that text the one who has been there longest."""
    for user_id in index.get(text, ()):
        return state.sessions[state.users[user_id]]
    raise Refused(ResultCode.INVALID_USERID)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused(ResultCode.FUNCOPTERROR)
    return int(text)


def _by_id(state: State, text: str) -> Session:
    user = state.session_of(_number(text))
    if user is None:
        raise Refused(ResultCode.INVALID_USERID)
    return user


def _string_id(state: State, text: str) -> str:
    string_id = _by_id(state, text).string_id
    if not string_id:
        raise Refused(ResultCode.DATANOTEXIST)
    return string_id


def _user_info(state: State, text: str) -> str:
    user_id = _number(text)
    if not is_known(state, user_id):
        raise Refused(ResultCode.INVALID_USERID)
    facts: dict[str, Any] = {"userid": user_id}
    user = state.session_of(user_id)
    if user is not None:
        facts |= {
            "username": user.name,
            "nickname": user.nickname,
            "struserid": user.string_id,
            "level": user.level,
            "roomid": user.room_id or 0,
        }
    facts["info"] = dict(profile_of(state, user_id).infos)
    answer = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    if len(answer.encode("utf-8")) > MAX_ANSWER:
        # Only control characters take that much: six bytes each.
        raise Refused(ResultCode.OVERFLOW)
    return answer


def _status(state: State, text: str) -> str:
    facts = {"status": "running", "users": len(state.users), "rooms": len(state.rooms)}
    return json.dumps(facts, separators=(",", ":"))


_ANSWERS: dict[int, Callable[[State, str], str]] = {
    ServerQuery.ID_BY_NAME: lambda state, text: str(_by_name(state, text).user_id),
    ServerQuery.ID_BY_STRING_ID: lambda state, text: str(
        _by_string_id(state, text).user_id
    ),
    ServerQuery.STRING_ID_BY_ID: _string_id,
    ServerQuery.NAME_BY_ID: lambda state, text: _by_id(state, text).name,
    ServerQuery.NAME_BY_STRING_ID: lambda state, text: _by_string_id(state, text).name,
    ServerQuery.USER_INFO_BY_ID: _user_info,
    ServerQuery.RUNNING_STATUS: _status,
    ServerQuery.ONLINE_USERS: lambda state, text: str(len(state.users)),
}

#: Who carries out a call, by its type.
CALLS: dict[type[Call], Callable[[Turn, Any], Answer]] = {
    calls.QueryInfoFromServer: call
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {messages.QueryInfoFromServer: query}
