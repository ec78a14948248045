"""What happens, told to the program: one method for each of AnyChat's notifications.

Subclass `ClientEvents` and override what you want to hear of, or set the
methods of an instance::

    client = Client(reactor)
    client.events.on_text_message = lambda source, target, secret, text: ...

Names are AnyChat's notifications (manual of the product, ``WM_GV_...``) in
snake_case.  By the time of a call the client's own state (`Client.user_id`,
`Client.room_id`, `Client.members`) is up to date, and every call of the
client may be made from inside an event.  An exception that an event raises
goes to Twisted's log and disturbs nothing else.
"""

from collections.abc import Callable
from typing import Any, cast

from twisted.logger import Logger

from anychat.codes import ResultCode, StreamKind, VideoCallEvent
from anychat.messages import Member, ServerParameters


class ClientEvents:
    """Everything a client may be told; each method does nothing here."""

    def on_connect(self, code: ResultCode) -> None:
        """CONNECT: the first connection stands (0) or failed, and why."""

    def on_login_system(self, user_id: int, code: ResultCode) -> None:
        """LOGINSYSTEM: signed in with that id, or refused.

        Comes again, with an id that may be another one, after the client
        had to log in anew because the server no longer held its session.
        """

    def on_enter_room(self, room_id: int, code: ResultCode) -> None:
        """ENTERROOM: entered, or refused; `on_online_user` comes next."""

    def on_leave_room(self, room_id: int) -> None:
        """Out of the room: left, or found outside it after a lost link."""

    def on_online_user(self, count: int, room_id: int) -> None:
        """ONLINEUSER: exactly one after each entry; ``count`` includes oneself.

        From now on `Client.members` is complete and `Client.watch` works.
        """

    def on_user_at_room(self, member: Member, entered: bool) -> None:
        """USERATROOM: somebody entered or left the room."""

    def on_camera_state(self, user_id: int, stream_index: int, open: bool) -> None:
        """CAMERASTATE: a member's camera was opened or closed."""

    def on_mic_state_change(self, user_id: int, stream_index: int, open: bool) -> None:
        """MICSTATECHANGE: a member's microphone was opened or closed."""

    def on_text_message(
        self, source: int, target: int, secret: bool, text: str
    ) -> None:
        """A text arrived; ``target`` is -1 where the whole room was meant."""

    def on_trans_buffer(self, source: int, data: bytes) -> None:
        """A buffer arrived; ``source`` 0 is the business server."""

    def on_trans_buffer_ex(
        self, source: int, data: bytes, wparam: int, lparam: int, task_id: int
    ) -> None:
        """A big buffer arrived; ``source`` 0 is the business server."""

    def on_trans_file(
        self,
        source: int,
        file_name: str,
        path: str,
        length: int,
        wparam: int,
        lparam: int,
        task_id: int,
    ) -> None:
        """A file arrived and is at ``path``; ``file_name`` is the sender's."""

    def on_trans_file_ex(
        self,
        source: int,
        code: ResultCode,
        file_name: str,
        path: str,
        length: int,
        flags: int,
        guid: str,
        text: str,
    ) -> None:
        """A file of TransFileEx arrived (0), or does not (any other code)."""

    def on_user_info_update(self, user_id: int, kind: int) -> None:
        """USERINFOUPDATE: that user's information has changed; 0, 0: all is there.

        See `Client.people`.
        """

    def on_friend_status(self, user_id: int, online: bool) -> None:
        """FRIENDSTATUS: a friend has signed in or is gone."""

    def on_user_info_control(
        self, source: int, control_code: int, wparam: int, lparam: int, text: str
    ) -> None:
        """A control code of the application's (100 and up); ``source`` 0 is the
        business server."""

    def on_sdk_filter_data(self, data: bytes) -> None:
        """Data of the server's plug-in or business server arrived."""

    def on_video_call_event(
        self,
        call_event: VideoCallEvent,
        user_id: int,
        error: ResultCode,
        flags: int,
        param: int,
        text: str,
    ) -> None:
        """VideoCallEvent: something happens to a video call with that user.

        REQUEST: the user calls.  REPLY: it rings there (0), or the call came to
        nothing, and why.  START: both are to enter room ``param``.  FINISH: the
        call is over.
        """

    def on_stream_granted(
        self, user_id: int, kind: StreamKind, stream_index: int
    ) -> None:
        """A watched stream is open and its packets are on their way."""

    def on_stream_ended(
        self, user_id: int, kind: StreamKind, stream_index: int
    ) -> None:
        """A watched stream was closed; it comes back by itself if reopened."""

    def on_video_frame(
        self, user_id: int, stream_index: int, frame: Any, when: float
    ) -> None:
        """A decoded picture (``av.VideoFrame``) of a stream watched without a sink.

        ``when``: its time in seconds on the sender's clock, shared with audio.
        """

    def on_audio_frame(
        self, user_id: int, stream_index: int, frame: Any, when: float
    ) -> None:
        """Decoded sound (``av.AudioFrame``) of a stream watched without a sink."""

    def on_publish_end(self, stream_index: int) -> None:
        """A source that was published is at its end; its streams are closed."""

    def on_server_config_update(self, parameters: ServerParameters) -> None:
        """SERVERCFGUPDATE: the server's default media parameters changed."""

    def on_sdk_warning(self, code: ResultCode) -> None:
        """SDKWARNING: something works less well; 780: no UDP to the server."""

    def on_session_keep(self, ended: bool, code: ResultCode) -> None:
        """SESSIONKEEP: the link is lost and being restored (False), or that is over.

        ``code`` of the beginning says why the link was lost.  Of the end: 0,
        the session goes on; 8, the server did not hold it any more and the
        client is logging in anew; anything else, it was given up, and
        `on_link_close` follows.
        """

    def on_link_close(self, code: ResultCode) -> None:
        """LINKCLOSE: the connection is over and will not be restored.

        209: the same user logged in elsewhere; 211: kicked out.
        """


class _Guarded:
    """Calls the program's events; what they raise stays here."""

    _log = Logger()

    def __init__(self, events: Callable[[], ClientEvents]):
        self._events = events

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                getattr(self._events(), name)(*arguments)
            except Exception:
                self._log.failure("event {name} of the program", name=name)

        return call


def guarded(events: Callable[[], ClientEvents]) -> ClientEvents:
    """The events that the program has at the time of each; none of them raises."""
    return cast(ClientEvents, _Guarded(events))
