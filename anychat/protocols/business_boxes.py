"""Boxes of the commands between the core and its business servers.

What the core tells goes to every business server that wants to hear it, so an
event is encoded once, all but its number, which each server counts for itself
and which therefore comes last in the box::

    body = encode_event(event)
    for stream in streams:
        stream.append(number_event(body, stream.next_number()))

Values that do not fit are `Refused` with 21 (FUNCOPTERROR), either way; the
reason names the value.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anychat import business_messages as messages
from anychat.business_messages import BusinessMessage, Event, Verdict
from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused
from anychat.protocols import business_commands as commands
from anychat.protocols.boxes import (
    ANSWER,
    ASK,
    COMMAND,
    END,
    ERROR,
    ERROR_CODE,
    ERROR_DESCRIPTION,
    MAX_VALUE,
    Box,
    encode_box,
    encode_pair,
)
from anychat.protocols.business_commands import REFUSED, Command, Refusal

#: Characters of a refusal's text.
MAX_DESCRIPTION = 1000

#: Name on the wire -> command.
EVENTS = {command.commandName: command for command in commands.EVENTS}
QUESTIONS = {command.commandName: command for command in commands.QUESTIONS}
CALLS = {command.commandName: command for command in commands.CALLS}

#: Commands whose message goes by another name.
_OTHER_NAMES: dict[type[Command], type[BusinessMessage]] = {
    commands.TransBuffer: messages.TransBufferToUser
}


class Layout:
    """What a box holds besides the keys of AMP itself.

    :param fields: as an AMP command declares them.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, Any]]):
        self._fields = tuple(
            (key.decode("ascii"), key, encode_pair(key, b"")[:-2], kind)
            for key, kind in fields
        )

    def encode(self, value_of: Callable[[str], Any]) -> bytes:
        """The pairs.

        :param value_of: gives a value by name; None is left out.
        :raises Refused: a value is missing or does not fit.
        """
        parts: list[bytes] = []
        for name, _, head, kind in self._fields:
            value = value_of(name)
            if value is None and kind.optional:
                continue
            try:
                data = kind.toStringProto(value, None)
            except (ValueError, TypeError, AttributeError) as error:
                raise _unfit(name, error) from error
            if len(data) > MAX_VALUE:
                raise _unfit(name, ValueError(f"has more than {MAX_VALUE} bytes"))
            parts += head, len(data).to_bytes(2, "big"), data
        return b"".join(parts)

    def decode(self, box: Box) -> dict[str, Any]:
        """The values by name; None for one that was left out.

        :raises Refused: a value is missing or does not fit.
        """
        values: dict[str, Any] = {}
        for name, key, _, kind in self._fields:
            data = box.get(key)
            if data is not None:
                try:
                    values[name] = kind.fromStringProto(data, None)
                except ValueError as error:
                    raise _unfit(name, error) from error
            elif kind.optional:
                values[name] = None
            else:
                raise _unfit(name, ValueError("is missing"))
        return values


def _unfit(name: str, error: Exception) -> Refused:
    text = "is not UTF-8" if isinstance(error, UnicodeError) else error
    return Refused(ResultCode.FUNCOPTERROR, f"{name} {text}")


def _all_commands() -> Iterable[type[Command]]:
    yield from (*EVENTS.values(), *QUESTIONS.values(), *CALLS.values())
    yield from (commands.Hello, commands.Begin, commands.Acknowledge)
    yield from (commands.Heartbeat, commands.VerdictsTaken, commands.LinkClose)


_HEADS = {
    command: encode_pair(COMMAND, command.commandName) for command in _all_commands()
}
_RESPONSES = {command: Layout(command.response) for command in _all_commands()}
_ARGUMENTS = {
    # The number of an event is none of the message.
    command: Layout(command.arguments[: -1 if command in commands.EVENTS else None])
    for command in _all_commands()
}
_NUMBER = Layout([(b"number", commands.EventsLost.arguments[-1][1])])
_NUMBER_HEAD = encode_pair(b"number", b"")[:-2]

#: A call without a message is one of a feature that is to come.
_MESSAGES: dict[type[Command], type[BusinessMessage]] = {
    command: _OTHER_NAMES.get(command) or getattr(messages, command.__name__)
    for command in _all_commands()
    if command in _OTHER_NAMES or hasattr(messages, command.__name__)
}
_COMMANDS = {kind: command for command, kind in _MESSAGES.items()}


def command_of(message: BusinessMessage) -> type[Command]:
    """The command that carries an event, a question or a call."""
    return _COMMANDS[type(message)]


def carries(command: type[Command]) -> bool:
    """Whether there is a message for a command; else its feature is to come."""
    return command in _MESSAGES


# Whole boxes, by name.


def encode_asking(
    command: type[Command], tag: bytes, values: Mapping[str, Any]
) -> bytes:
    """A command that wants an answer.

    :raises Refused: a value is missing or does not fit.
    """
    return b"".join(
        (
            _HEADS[command],
            encode_pair(ASK, tag),
            _ARGUMENTS[command].encode(values.get),
            END,
        )
    )


def encode_telling(command: type[Command], values: Mapping[str, Any]) -> bytes:
    """A command that wants none.

    :raises Refused: a value is missing or does not fit.
    """
    return _HEADS[command] + _ARGUMENTS[command].encode(values.get) + END


def encode_answer(
    command: type[Command], tag: bytes, values: Mapping[str, Any]
) -> bytes:
    """What came of a command.

    :raises Refused: a value is missing or does not fit.
    """
    return encode_pair(ANSWER, tag) + _RESPONSES[command].encode(values.get) + END


def encode_refusal(tag: bytes, error: Refused) -> bytes:
    """That a command is not carried out."""
    text = str(error)[:MAX_DESCRIPTION].encode("utf-8", "replace")
    return encode_box([(ERROR, tag), (ERROR_CODE, REFUSED), (ERROR_DESCRIPTION, text)])


def decode_arguments(command: type[Command], box: Box) -> dict[str, Any]:
    """The arguments by name; None for one that was left out.

    :raises Refused: a value is missing or does not fit.
    """
    return _ARGUMENTS[command].decode(box)


def decode_answer(command: type[Command], box: Box) -> dict[str, Any]:
    """What was answered, by name; None for what was left out.

    :raises Refused: a value is missing or does not fit.
    """
    return _RESPONSES[command].decode(box)


def decode_refusal(box: Box) -> Refused:
    """Why a command is not carried out.

    A peer with an AMP of its own may also send the two kinds of error that
    the protocol itself has: UNHANDLED and UNKNOWN.
    """
    code = box.get(ERROR_CODE)
    text = box.get(ERROR_DESCRIPTION, b"").decode("utf-8", "replace")[:MAX_DESCRIPTION]
    if code == REFUSED:
        return Refusal(text)
    if code == b"UNHANDLED":
        return Refused(ResultCode.FUNCNOTALLOW, text)
    return Refused(ResultCode.EXCEPTION, text)


# Messages.


def encode_message(message: BusinessMessage, tag: bytes) -> bytes:
    """A question or a call.

    :raises Refused: a value does not fit.
    """
    command = _COMMANDS[type(message)]
    return b"".join(
        (
            _HEADS[command],
            encode_pair(ASK, tag),
            _ARGUMENTS[command].encode(lambda name: getattr(message, name)),
            END,
        )
    )


def encode_event(event: Event) -> bytes:
    """An event without its number, to be completed by `number_event`.

    :raises LocalError: a value does not fit; the core lets none of these in.
    """
    command = _COMMANDS[type(event)]
    try:
        return _HEADS[command] + _ARGUMENTS[command].encode(
            lambda name: getattr(event, name)
        )
    except Refused as error:
        raise LocalError(f"{command.__name__}: {error.reason}") from error


def number_event(body: bytes, number: int) -> bytes:
    """The whole box of an event."""
    digits = b"%d" % number
    return b"".join((body, _NUMBER_HEAD, len(digits).to_bytes(2, "big"), digits, END))


def make_message(command: type[Command], values: Mapping[str, Any]) -> BusinessMessage:
    """The event, question or call of these arguments."""
    return _MESSAGES[command](**values)


def decode_message(command: type[Command], box: Box) -> BusinessMessage:
    """The event, question or call in a box.

    :raises Refused: a value is missing or does not fit.
    """
    return _MESSAGES[command](**_ARGUMENTS[command].decode(box))


def decode_number(box: Box) -> int:
    """The number of an event.

    :raises Refused: there is none.
    """
    number: int = _NUMBER.decode(box)["number"]
    return number


def encode_verdict(command: type[Command], tag: bytes, verdict: Verdict) -> bytes:
    """The answer to a question.

    :raises Refused: a value does not fit.
    """
    response = _RESPONSES[command]
    return (
        encode_pair(ANSWER, tag)
        + response.encode(lambda name: getattr(verdict, name))
        + END
    )


def decode_verdict(command: type[Command], box: Box) -> Verdict:
    """The verdict in an answer.

    :raises Refused: a value is missing or does not fit.
    """
    values = _RESPONSES[command].decode(box)
    return Verdict(
        **{name: value for name, value in values.items() if value is not None}
    )
