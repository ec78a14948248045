"""Options: those of clients that the server feels, and media parameters.

A client's options are its session's and end with it.  The default media
parameters are the server's own until a business server chooses others; what it
has chosen comes into force when it says so, and all clients are told
(SERVERCFGUPDATE).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anychat import business_messages as calls
from anychat import messages
from anychat.business_messages import Answer, Call
from anychat.codes import ResultCode, SDKOption, UserControl, VideoCodec
from anychat.core.changes import (
    Change,
    OptionSet,
    ParameterChosen,
    ParametersApplied,
)
from anychat.core.commands import SessionMessage
from anychat.core.effects import AdaptStreams, AnnounceParameters
from anychat.core.people import ask
from anychat.core.state import Session, State
from anychat.core.turn import ChangeTable, MessageTable, Turn
from anychat.errors import Refused
from anychat.messages import OptionValue, Result, ServerParameters

#: Of a session's options what each may be, and is at first.
_OPTIONS: dict[int, tuple[range, int]] = {
    SDKOption.P2P_POLICY: (range(4), 1),
    SDKOption.ADAPTIVE_STREAM: (range(2), 1),
}

#: The media parameter that an option is about, and what it may be.
_PARAMETERS: dict[int, tuple[str, frozenset[int] | range]] = {
    SDKOption.VIDEO_BITRATE: ("video_bitrate", range(100_000_001)),
    SDKOption.VIDEO_QUALITY: ("video_quality", range(1, 6)),
    SDKOption.VIDEO_GOP: ("video_gop", range(1, 1001)),
    SDKOption.VIDEO_FPS: ("video_fps", range(1, 26)),
    SDKOption.VIDEO_PRESET: ("video_preset", range(1, 6)),
    SDKOption.VIDEO_WIDTH: ("video_width", range(16, 7681, 2)),
    SDKOption.VIDEO_HEIGHT: ("video_height", range(16, 4321, 2)),
    SDKOption.VIDEO_CODEC: (
        "video_codec",
        frozenset(codec for codec in VideoCodec if codec is not VideoCodec.NONE),
    ),
}


def option(session: Session, number: SDKOption) -> int:
    """The value of a session's option."""
    return session.options.get(number, _OPTIONS[number][1])


def set_option(
    turn: Turn, asker: Session, command: SessionMessage, message: messages.SetSDKOption
) -> None:
    """Set one's option, or (110) ask for a user's end."""
    if message.option == SDKOption.KICK_USER:
        ask(
            turn,
            asker,
            command,
            messages.UserInfoControl(message.number, UserControl.KICKOUT, 0, 0, ""),
        )
        return
    known = _OPTIONS.get(message.option)
    if known is None:
        raise Refused(ResultCode.FUNCNOTALLOW)
    allowed, first = known
    if message.number not in allowed:
        raise Refused(ResultCode.FUNCOPTERROR)
    if asker.options.get(message.option, first) != message.number:
        turn.changes.append(OptionSet(asker.id, message.option, message.number))
        if message.option == SDKOption.ADAPTIVE_STREAM:
            turn.effects.append(AdaptStreams(asker.id, bool(message.number)))
    turn.reply(asker.id, command.request, Result(ResultCode.SUCCESS))


def query_option(
    turn: Turn,
    asker: Session,
    command: SessionMessage,
    message: messages.QuerySDKOption,
) -> None:
    """Tell one's option, or (230) the server's clock."""
    if message.option == SDKOption.SERVER_TIME:
        number = command.clock
    elif message.option in _OPTIONS:
        number = option(asker, SDKOption(message.option))
    else:
        raise Refused(ResultCode.FUNCNOTALLOW)
    turn.reply(asker.id, command.request, OptionValue(ResultCode.SUCCESS, number))


def set_parameter(turn: Turn, call: calls.SetSDKOption) -> Answer:
    """Choose a default media parameter, or (35) have the chosen ones take effect.

    :raises Refused: 20 no such option, 21 no number that it may be.
    """
    state = turn.state
    try:
        number = int(call.value.decode("ascii"))
    except ValueError:
        number = -1
    if call.option == SDKOption.APPLY_PARAMETERS:
        if number not in (0, 1):
            raise Refused(ResultCode.FUNCOPTERROR)
        chosen = state.chosen if number else {}
        if chosen != state.applied or (not number and state.chosen):
            turn.changes.append(ParametersApplied(bool(number)))
        if chosen != state.applied:
            turn.effects.append(
                AnnounceParameters(parameters(turn.settings.parameters, chosen))
            )
        return Answer(ResultCode.SUCCESS)
    known = _PARAMETERS.get(call.option)
    if known is None:
        raise Refused(ResultCode.FUNCNOTALLOW)
    if number not in known[1]:
        raise Refused(ResultCode.FUNCOPTERROR)
    if state.chosen.get(call.option) != number:
        turn.changes.append(ParameterChosen(call.option, number))
    return Answer(ResultCode.SUCCESS)


def parameters(own: ServerParameters, chosen: dict[int, int]) -> ServerParameters:
    """The server's parameters with others in their places."""
    values = {_PARAMETERS[number][0]: value for number, value in chosen.items()}
    return replace(own, **values)


def _apply_set(state: State, change: OptionSet) -> None:
    state.sessions[change.session].options[change.option] = change.number


def _apply_chosen(state: State, change: ParameterChosen) -> None:
    state.chosen[change.option] = change.number


def _apply_applied(state: State, change: ParametersApplied) -> None:
    if not change.chosen:
        state.chosen.clear()
    state.applied = dict(state.chosen)


def snapshot(state: State) -> list[Change]:
    """The changes that bring the media parameters back."""
    changes: list[Change] = []
    if state.applied:
        changes.extend(ParameterChosen(*item) for item in state.applied.items())
        changes.append(ParametersApplied(True))
    if state.chosen != state.applied:
        changes.extend(ParameterChosen(*item) for item in state.chosen.items())
    return changes


def session_snapshot(session: Session) -> list[Change]:
    """The changes that bring a session's options back."""
    return [OptionSet(session.id, *item) for item in session.options.items()]


#: Who carries out a call, by its type.
CALLS: dict[type[Call], Callable[[Turn, Any], Answer]] = {
    calls.SetSDKOption: set_parameter
}

#: What is decided here, by the type of the message.
MESSAGES: MessageTable = {
    messages.SetSDKOption: set_option,
    messages.QuerySDKOption: query_option,
}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    OptionSet: _apply_set,
    ParameterChosen: _apply_chosen,
    ParametersApplied: _apply_applied,
}
