"""Video calls, as a client makes and takes them.

`Client.video_calls` is one `VideoCalls`::

    client.events.on_video_call_event = lambda event, user_id, error, *more: ...
    client.video_calls.request(user_id)         # somebody else is rung
    client.video_calls.accept()                 # whoever rings is answered
    client.video_calls.finish()                 # either ends the call

START names a room (``param``), which both enter by themselves with
`Client.enter_room`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from anychat.client.events import ClientEvents
from anychat.codes import (
    ResultCode,
    StreamKind,
    VideoCallEvent,
    VideoCallFlag,
    VideoCallStage,
)
from anychat.errors import Refused
from anychat.messages import (
    Message,
    VideoCallControl,
    VideoCallNotice,
    VideoCallStatus,
)

#: What a call is if its caller does not say.
BOTH = int(VideoCallFlag.AUDIO | VideoCallFlag.VIDEO)

_FORBIDS = {
    (True, StreamKind.AUDIO): VideoCallFlag.FORBID_SOURCE_AUDIO,
    (True, StreamKind.VIDEO): VideoCallFlag.FORBID_SOURCE_VIDEO,
    (False, StreamKind.AUDIO): VideoCallFlag.FORBID_TARGET_AUDIO,
    (False, StreamKind.VIDEO): VideoCallFlag.FORBID_TARGET_VIDEO,
}


@dataclass(frozen=True, slots=True)
class VideoCall:
    """The call that one is in."""

    user_id: int
    """The other party."""
    stage: VideoCallStage
    is_caller: bool
    flags: int
    """`VideoCallFlag` and whatever the applications add."""
    room_id: int = 0
    """0 while it rings."""

    def may_send(self, kind: StreamKind) -> bool:
        """Whether the other party may get that kind of stream of one's own."""
        return not self.flags & _FORBIDS[self.is_caller, kind]

    def may_receive(self, kind: StreamKind) -> bool:
        """Whether one may get that kind of stream of the other party."""
        return not self.flags & _FORBIDS[not self.is_caller, kind]


class VideoCalls:
    """Calls somebody, answers, and knows what call there is.

    :param command: sends a message that a `Result` answers.
    """

    def __init__(
        self, command: Callable[[Message], "Deferred[None]"], tell: ClientEvents
    ) -> None:
        self._command = command
        self._tell = tell
        self.current: VideoCall | None = None
        """The call one is in, from its ringing on."""
        self._wanted = 0
        """Whom one is about to call; 0 for nobody."""

    def control(
        self,
        event: VideoCallEvent,
        user_id: int,
        error: int = 0,
        flags: int = 0,
        param: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """VideoCallControl, with everything that AnyChat's has.

        Fails with 100107 (no such call), 100102 (offline), 100103 (busy), 440
        (in a call with that user already), 21, 206 and 207 (no verdict), ...
        """
        try:
            code = ResultCode(error)  # type: ignore[call-arg]
            message = VideoCallControl(
                VideoCallEvent(event), user_id, code, flags, param, text
            )
        except ValueError:
            return fail(Refused(ResultCode.FUNCOPTERROR))
        sent = self._command(message)
        if event == VideoCallEvent.FINISH or code:
            sent.addCallback(self._left, user_id)
        return sent

    def request(
        self, user_id: int, flags: int = BOTH, param: int = 0, text: str = ""
    ) -> "Deferred[None]":
        """Call a user; fires when it rings there."""
        self._wanted = user_id
        sent = self.control(VideoCallEvent.REQUEST, user_id, 0, int(flags), param, text)
        return sent.addCallbacks(
            self._rings, self._not_wanted, (user_id, int(flags)), {}, (user_id,)
        )

    def accept(self, param: int = 0, text: str = "") -> "Deferred[None]":
        """Answer whoever rings."""
        return self._reply(ResultCode.SUCCESS, param, text)

    def reject(
        self,
        error: int = ResultCode.VIDEOCALL_REJECT,
        param: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """Refuse whoever rings."""
        return self._reply(error, param, text)

    def cancel(self, param: int = 0, text: str = "") -> "Deferred[None]":
        """Give up calling."""
        return self._reply(ResultCode.VIDEOCALL_CANCEL, param, text)

    def finish(
        self, error: int = 0, param: int = 0, text: str = ""
    ) -> "Deferred[None]":
        """End the call, or the ringing."""
        return self._go_on(VideoCallEvent.FINISH, error, param, text)

    def _reply(self, error: int, param: int, text: str) -> "Deferred[None]":
        return self._go_on(VideoCallEvent.REPLY, error, param, text)

    def _go_on(
        self, event: VideoCallEvent, error: int, param: int, text: str
    ) -> "Deferred[None]":
        call = self.current
        if call is not None:
            return self.control(event, call.user_id, error, call.flags, param, text)
        if self._wanted and (event is VideoCallEvent.FINISH or error):
            # A business server may still be thinking about it.
            return self.control(event, self._wanted, error, 0, param, text)
        return fail(Refused(ResultCode.VIDEOCALL_NOTINCALL))

    def _rings(self, result: None, user_id: int, flags: int) -> None:
        """The server says so once more, by a notice that comes next."""
        if self._wanted == user_id:
            self._wanted = 0
        if self.current is None:
            self.current = VideoCall(user_id, VideoCallStage.CALLING, True, flags)

    def _not_wanted(self, failure: Failure, user_id: int) -> Failure:
        if self._wanted == user_id:
            self._wanted = 0
        return failure

    def _left(self, result: None, user_id: int) -> None:
        call = self.current
        if (
            call is not None
            and call.user_id == user_id
            and call.stage is not VideoCallStage.TALKING
        ):
            # Who ends the ringing is told nothing more.
            self.current = None

    # What the session and the server say.

    def lost(self) -> None:
        """The session is gone, and its call with it."""
        call, self.current = self.current, None
        if call is None:
            return
        talking = call.stage is VideoCallStage.TALKING
        self._tell.on_video_call_event(
            VideoCallEvent.FINISH if talking else VideoCallEvent.REPLY,
            call.user_id,
            ResultCode.VIDEOCALL_DISCONNECT,
            call.flags,
            call.room_id,
            "",
        )

    def forget(self) -> None:
        """The session is over at one's own wish."""
        self.current, self._wanted = None, 0

    def noticed(self, notice: VideoCallNotice) -> None:
        """Something happens to the call, or to one that was not to be had."""
        self._follow(notice)
        self._tell.on_video_call_event(
            notice.event,
            notice.user_id,
            notice.error,
            notice.flags,
            notice.param,
            notice.text,
        )

    def _follow(self, notice: VideoCallNotice) -> None:
        call, event = self.current, notice.event
        if event is VideoCallEvent.REQUEST:
            self.current = VideoCall(
                notice.user_id, VideoCallStage.CALLED, False, notice.flags
            )
        elif event is VideoCallEvent.REPLY and notice.error == ResultCode.SUCCESS:
            self.current = VideoCall(
                notice.user_id, VideoCallStage.CALLING, True, notice.flags
            )
        elif call is None or call.user_id != notice.user_id:
            return
        elif event is VideoCallEvent.START:
            self.current = VideoCall(
                *(call.user_id, VideoCallStage.TALKING, call.is_caller),
                *(notice.flags, notice.param),
            )
        elif event is VideoCallEvent.FINISH or (
            # 440: another REQUEST, while this call goes on.
            call.stage is not VideoCallStage.TALKING
            and notice.error != ResultCode.VIDEOCALL_INCHAT
        ):
            self.current = None

    def resynchronized(self, status: VideoCallStatus) -> None:
        """Catch up with what was missed, as far as it can be told."""
        old, new = self.current, None
        if status.stage is not VideoCallStage.NONE:
            new = VideoCall(
                *(status.user_id, status.stage, status.is_caller),
                *(status.flags, status.room_id),
            )
        if old == new:
            return
        goes_on = (
            old is not None
            and new is not None
            and old.stage is not VideoCallStage.TALKING
            and (old.user_id, old.is_caller) == (new.user_id, new.is_caller)
        )
        if not goes_on:
            self.lost()
        if new is None:
            return
        if not goes_on:
            event = VideoCallEvent.REPLY if new.is_caller else VideoCallEvent.REQUEST
            self.noticed(
                VideoCallNotice(
                    event, new.user_id, ResultCode.SUCCESS, new.flags, 0, ""
                )
            )
        if new.stage is VideoCallStage.TALKING:
            self.noticed(
                VideoCallNotice(
                    VideoCallEvent.START,
                    *(new.user_id, ResultCode.SUCCESS, new.flags, new.room_id, ""),
                )
            )
