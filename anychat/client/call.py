"""``anychat-client call`` and ``answer``: one video call, from the first ring on."""

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.python.failure import Failure

from anychat.client.join import (
    FINE,
    LOGOUT_TIME,
    REFUSED,
    USAGE,
    Join,
    at_most,
)
from anychat.client.output import code_text
from anychat.client.video_calls import VideoCall
from anychat.codes import ResultCode, ServerQuery, StreamKind, VideoCallEvent
from anychat.errors import Refused
from anychat.messages import Member


class _InCall(Join):
    """What both parties do: enter the room of the call, publish, and watch."""

    _call: VideoCall | None = None
    """As it was last; stays when the call is over."""
    _error = ResultCode.SUCCESS
    """With which it ended."""

    @inlineCallbacks
    def _run(self) -> Generator["Deferred[Any]", Any, None]:
        options = self._options
        if not (yield self._prepare()):
            self.finish(USAGE)
            return
        host, port = options.address
        yield self.client.connect(host, port)
        yield self.client.login(options.user, options.password)
        if self._ending is None:
            yield self._ring()

    def _ring(self) -> "Deferred[Any]":
        """Call somebody, or wait to be called."""
        raise NotImplementedError

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        super()._event(name, arguments)
        if name == "on_video_call_event" and self._ending is None:
            event, user_id, error = arguments[:3]
            self._call = self.client.video_calls.current or self._call
            self._happened(event, user_id, error)

    def _happened(self, event: VideoCallEvent, user_id: int, error: ResultCode) -> None:
        if event is VideoCallEvent.START and self._call is not None:
            self._enter(self._call)
        elif event is VideoCallEvent.FINISH or (
            event is VideoCallEvent.REPLY and error
        ):
            self._over_with(error)

    def _enter(self, call: VideoCall) -> None:
        self._options.room = call.room_id
        self._options.watch = frozenset([call.user_id])
        if not any(map(call.may_send, StreamKind)):
            self._let_go()
        self.client.enter_room(call.room_id).addCallback(
            lambda _: self._begin() if self._ending is None else None
        ).addErrback(self._failed)

    def _over_with(self, error: ResultCode) -> None:
        self._error = error
        if error:
            self._complain(f"call: {code_text(error)}")
        self.finish(REFUSED if error else FINE)

    def _watch(self, member: Member) -> None:
        if self._call is not None and any(map(self._call.may_receive, StreamKind)):
            super()._watch(member)

    def _kinds(self) -> dict[str, bool]:
        call = self._call
        if call is None:
            return {}
        return {
            "video": call.may_receive(StreamKind.VIDEO),
            "audio": call.may_receive(StreamKind.AUDIO),
        }

    @inlineCallbacks
    def _end(self, code: int) -> Generator["Deferred[Any]", Any, None]:
        calls = self.client.video_calls
        if calls.current is not None and self._lost is None:
            hung_up = calls.finish().addErrback(lambda _: None)
            yield at_most(LOGOUT_TIME, hung_up, self._reactor)
        yield super()._end(code)

    def _facts(self) -> dict[str, Any]:
        call = self._call
        if call is None:
            return {"call": None}
        return {
            "call": {
                "user_id": call.user_id,
                "is_caller": call.is_caller,
                "flags": call.flags,
                "room_id": call.room_id,
                "error": self._error,
            }
        }


class Call(_InCall):
    """Calls a user."""

    @inlineCallbacks
    def _ring(self) -> Generator["Deferred[Any]", Any, None]:
        options = self._options
        user_id = yield self._find(options.callee)
        if user_id == self.client.user_id:
            raise Refused(ResultCode.FUNCOPTERROR, "nobody can call himself")
        yield self.client.video_calls.request(
            user_id, options.flags, options.param, options.text
        )

    def _find(self, callee: int | str) -> "Deferred[int]":
        """The id of whoever is to be called."""
        if isinstance(callee, int):
            return succeed(callee)
        found = self.client.people.query(ServerQuery.ID_BY_NAME, callee)
        return found.addCallbacks(int, self._nobody)

    @staticmethod
    def _nobody(failure: Failure) -> None:
        failure.trap(Refused)
        code: ResultCode = failure.value.code
        if code == ResultCode.INVALID_USERID:
            code = ResultCode.VIDEOCALL_OFFLINE
        raise Refused(code)


class Answer(_InCall):
    """Waits for a call, and answers or refuses it."""

    def _ring(self) -> "Deferred[Any]":
        if self._options.wait is not None:
            self._timer = self._reactor.callLater(
                self._options.wait, self._over_with, ResultCode.VIDEOCALL_TIMEOUT
            )
        return succeed(None)

    def _happened(self, event: VideoCallEvent, user_id: int, error: ResultCode) -> None:
        if event is not VideoCallEvent.REQUEST:
            super()._happened(event, user_id, error)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, options = self.client.video_calls, self._options
        if options.reject is None:
            said = calls.accept(options.param, options.text)
        else:
            said = calls.reject(options.reject, options.param, options.text)
            said.addCallback(lambda _: self.finish(FINE))
        said.addErrback(self._failed)
