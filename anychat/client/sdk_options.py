"""SetSDKOption: what a program chooses about its client.

Three kinds, by their numbers (`anychat.codes.SDKOption`): the client's own media
parameters, which take effect when the program says so; what the server feels,
which is told again to a server that holds the session no longer; and the
client's own affairs.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.python.failure import Failure

from anychat.codes import ResultCode, SDKOption, VideoCodec
from anychat.errors import Refused
from anychat.messages import (
    Message,
    OptionValue,
    QuerySDKOption,
    ServerParameters,
    SetSDKOption,
)

#: The media parameter that an option is about, and what it may be: nothing that
#: would end what is being published.
_PARAMETERS = {
    SDKOption.VIDEO_BITRATE: ("video_bitrate", range(100_000_001)),
    SDKOption.VIDEO_QUALITY: ("video_quality", range(1, 6)),
    SDKOption.VIDEO_GOP: ("video_gop", range(1, 1001)),
    SDKOption.VIDEO_FPS: ("video_fps", range(1, 121)),
    SDKOption.VIDEO_PRESET: ("video_preset", range(1, 6)),
    SDKOption.VIDEO_WIDTH: ("video_width", range(16, 7681)),
    SDKOption.VIDEO_HEIGHT: ("video_height", range(16, 4321)),
    # The one that this client encodes.
    SDKOption.VIDEO_CODEC: ("video_codec", range(VideoCodec.H264, VideoCodec.H264 + 1)),
}

#: What the server keeps, and its value at first.
_KEPT = {SDKOption.P2P_POLICY: 1, SDKOption.ADAPTIVE_STREAM: 1}

#: Milliseconds that a query waits for its answer, at first and at most.
QUERY_TIMEOUT, LONGEST = 1000, 60_000


class SDKOptions:
    """The options of one client.

    :param apply: is given the media parameters that replace the server's, and
        opens what is published anew.
    :param parameters: the server's default media parameters.
    :param adapt: told whether media follows what the way to the server takes.
    """

    def __init__(
        self,
        command: "Callable[[Message], Deferred[None]]",
        query: "Callable[[Message, type[Message]], Deferred[Any]]",
        apply: Callable[[dict[str, int]], None],
        parameters: Callable[[], ServerParameters | None],
        adapt: Callable[[bool], None],
    ):
        self._command = command
        self._query = query
        self._apply = apply
        self._parameters = parameters
        self._adapt = adapt
        self._chosen: dict[str, int] = {}
        self._applied = False
        self._kept: dict[SDKOption, int] = {}
        self.own: dict[SDKOption, tuple[Callable[[], int], Callable[[int], None]]] = {}
        """Options of other parts of the client: how to get and to set each.  To
        set one may raise `Refused`."""
        self.query_timeout = QUERY_TIMEOUT
        """Milliseconds; option 213."""

    def set(self, option: SDKOption | int, number: int) -> "Deferred[None]":
        """Set an option; fails with 20 for one that there is not, 21 for a number.

        Media parameters (30 to 34, 38, 39, 93) wait for option 35: 1 puts them
        in the place of the server's and opens the published videos anew, 0 goes
        back to the server's.
        """
        try:
            known = SDKOption(option)
        except ValueError:
            return fail(Refused(ResultCode.FUNCNOTALLOW, f"option {option!r}"))
        if known in _PARAMETERS:
            name, allowed = _PARAMETERS[known]
            if number not in allowed:
                reason = f"{name}={number!r}: {allowed.start} to {allowed.stop - 1}"
                return fail(Refused(ResultCode.FUNCOPTERROR, reason))
            self._chosen[name] = number
            return succeed(None)
        if known in self.own:
            return maybeDeferred(self.own[known][1], number)
        if known is SDKOption.APPLY_PARAMETERS:
            return self._set_applied(number)
        if known is SDKOption.QUERY_TIMEOUT:
            if number not in range(1, LONGEST + 1):
                return fail(Refused(ResultCode.FUNCOPTERROR, f"number {number!r}"))
            self.query_timeout = number
            return succeed(None)
        if known is SDKOption.SERVER_TIME:
            return fail(Refused(ResultCode.FUNCNOTALLOW, "it can only be asked for"))
        done = self._command(SetSDKOption(known, number))
        if known is SDKOption.ADAPTIVE_STREAM:
            done.addCallback(lambda _: self._adapt(bool(number)))
        if known in _KEPT:
            done.addCallback(lambda _: self._kept.__setitem__(known, number))
        return done

    def get(self, option: SDKOption | int) -> "Deferred[int]":
        """The value of an option; 230 asks the server what time it is there.

        Of a media parameter: what the program has chosen, else the server's.
        """
        try:
            known = SDKOption(option)
        except ValueError:
            return fail(Refused(ResultCode.FUNCNOTALLOW, f"option {option!r}"))
        if known in _PARAMETERS:
            return self._parameter(_PARAMETERS[known][0])
        if known in self.own:
            return succeed(self.own[known][0]())
        if known is SDKOption.APPLY_PARAMETERS:
            return succeed(int(self._applied))
        if known is SDKOption.QUERY_TIMEOUT:
            return succeed(self.query_timeout)
        if known in _KEPT:
            return succeed(self._kept.get(known, _KEPT[known]))
        if known is SDKOption.SERVER_TIME:
            asked = self._query(QuerySDKOption(known), OptionValue)
            return asked.addCallback(lambda value: value.number)
        return fail(Refused(ResultCode.FUNCNOTALLOW, "it can only be set"))

    def server_time(self) -> "Deferred[int]":
        """The server's clock: milliseconds since 1970, UTC."""
        return self.get(SDKOption.SERVER_TIME)

    def began_anew(self) -> None:
        """The server knows nothing of this client: tell it what it is to keep."""
        for option, number in self._kept.items():
            # Whoever loses the session once more comes here again.
            self._command(SetSDKOption(option, number)).addErrback(_ignore)

    def _set_applied(self, number: int) -> "Deferred[None]":
        if number not in (0, 1):
            return fail(Refused(ResultCode.FUNCOPTERROR, f"number {number!r}"))
        self._applied = bool(number)
        if not number:
            self._chosen.clear()
        self._apply(dict(self._chosen))
        return succeed(None)

    def _parameter(self, name: str) -> "Deferred[int]":
        if name in self._chosen:
            return succeed(self._chosen[name])
        parameters = self._parameters()
        if parameters is None:
            return fail(Refused(ResultCode.NOTLOGIN))
        return succeed(int(getattr(parameters, name)))


def _ignore(failure: Failure) -> Failure | None:
    return None if failure.check(Refused) else failure
