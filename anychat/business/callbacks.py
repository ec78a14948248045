"""What a business server may be asked and told: one method for each callback.

Names are those of the product's server SDK in snake_case (facts of the
product, 2.2).  A program overrides in a subclass of `BusinessServer` what it
wants to decide or hear; the core is asked for exactly that.  Every method may
return its value, a Deferred or a coroutine of it, and

- is called in the reactor's thread;
- for one user after the other: a user's next callback comes when what the
  last one returned is done.  Different users' run side by side, and so do all
  `Callbacks.verify_user`, whose user is nobody yet;
- may raise, SystemExit and the like included: it is logged with the name of the
  method, and a question is answered with 206 SERVERSDK_FAIL.  Nothing else is
  disturbed;
- is given up after ``callback_timeout`` seconds, one that is asked something also
  when the core waits for the answer no longer: what it returned is cancelled, a
  question is answered with 207 SERVERSDK_TIMEOUT.

The core goes on telling only while events get done: see docs/business.md.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from anychat import business_messages as messages
from anychat.business.turns import EVERYBODY
from anychat.business_messages import BusinessMessage, Presence
from anychat.codes import ResultCode
from anychat.verdicts import UserVerdict

#: What `Callbacks.verify_user` gives: who it is, or the code of the refusal.
VerifyResult = UserVerdict | int | Awaitable[UserVerdict | int]

#: What a question that is answered with a code gives: 0 is yes.
CodeResult = int | Awaitable[int]

#: What the methods that are told something give; the value is of no interest.
EventResult = Awaitable[object] | None


class Callbacks:
    """Every callback; each method does nothing here and is not asked for."""

    # Questions.

    def verify_user(self, name: str, password: str) -> VerifyResult:
        """VerifyUser: may this user sign in?  Guests are not asked about.

        :return: a `UserVerdict`, or a code that the client gets as it is: 200
            CERTIFY_FAIL for a wrong name or password, 202, 203, one of your own.
        """
        raise NotImplementedError

    def prepare_enter_room(
        self, user_id: int, room_id: int, room_name: str, password: str
    ) -> CodeResult:
        """PrepareEnterRoom: may this user enter that room?

        :param user_id: negative for a guest.
        :param room_id: of a room that is entered by name too: the number that it
            has or gets.
        :param room_name: empty where the room is entered by number.
        :return: 0, or a code that the client gets as it is: 300 to 307, or one
            of your own.
        """
        raise NotImplementedError

    def on_video_call_event(
        self,
        event: int,
        source_id: int,
        target_id: int,
        error: ResultCode,
        flags: int,
        param: int,
        text: str,
    ) -> CodeResult:
        """OnVideoCallEvent: may this step of a call be passed on?

        :param event: 1 request, 2 reply, 3 start, 4 finish.  START, time-outs
            and lost links have happened already when this is called.
        :return: 0, or a code that the requester gets.
        """
        raise NotImplementedError

    def on_user_info_control(
        self,
        sender_id: int,
        user_id: int,
        control_code: int,
        wparam: int,
        lparam: int,
        text: str,
    ) -> CodeResult:
        """OnUserInfoControl: may this command to a user be passed on?

        :param user_id: whom it is meant for; 0: this business server, and the
            sender's own id: himself.  Then the answer is all that comes of it.
        :param control_code: 1 to end that user's session, or from 100 up.
        :return: 0, or a code that the sender gets.
        """
        raise NotImplementedError

    # Events.

    def on_user_login_action(
        self, user_id: int, name: str, level: int, ip: str
    ) -> EventResult:
        """OnUserLoginAction: a user, or a guest (negative id), has signed in."""

    def on_user_logout_action_ex(self, user_id: int, code: ResultCode) -> EventResult:
        """OnUserLogoutActionEx: a user is gone; 0 after a logout, else why."""

    def on_user_enter_room_action(self, user_id: int, room_id: int) -> EventResult:
        """OnUserEnterRoomAction: a user is in a room."""

    def on_user_leave_room_action(self, user_id: int, room_id: int) -> EventResult:
        """OnUserLeaveRoomAction: a user has left a room, or is gone from it."""

    def on_recv_user_filter_data(self, user_id: int, data: bytes) -> EventResult:
        """OnRecvUserFilterData: a client sent data with SendSDKFilterData."""

    def on_recv_user_text_msg(
        self, room_id: int, source_id: int, target_id: int, secret: bool, text: str
    ) -> EventResult:
        """OnRecvUserTextMsg: a copy of a text that was passed on.

        :param room_id: the sender's room, 0: in none.
        :param target_id: -1: the whole room.
        """

    def on_trans_buffer(self, user_id: int, data: bytes) -> EventResult:
        """OnTransBuffer: a client sent a buffer to user 0, the business server."""

    def on_trans_buffer_ex(
        self,
        user_id: int,
        wparam: int,
        lparam: int,
        task_id: int,
        length: int,
        offset: int,
        data: bytes,
    ) -> EventResult:
        """OnTransBufferEx: a portion of a big buffer to the business server.

        :param length: bytes of the whole buffer.
        :param offset: where in it this portion belongs.
        """

    def on_trans_file(
        self,
        user_id: int,
        file_name: str,
        temp_path: str,
        length: int,
        wparam: int,
        lparam: int,
        task_id: int,
    ) -> EventResult:
        """OnTransFile: a client sent a file, to be fetched with `Calls.fetch_file`.

        :param temp_path: where it lies on the core's machine.
        :param length: bytes.
        """

    def on_server_record_ex(
        self,
        user_id: int,
        file_name: str,
        elapse: int,
        flags: int,
        param: int,
        text: str,
        server_id: int,
    ) -> EventResult:
        """OnServerRecordEx: a recording or snapshot is done.

        The core of this version does not tell it.

        :param elapse: seconds.
        """

    def on_object_event(
        self,
        object_type: int,
        object_id: int,
        event: int,
        param1: int,
        param2: int,
        param3: int,
        param4: int,
        text: str,
    ) -> EventResult:
        """OnObjectEvent: something has happened to a business object.

        The core of this version does not tell it.
        """

    # What concerns all users: nothing else is under way meanwhile.

    def on_app_message_ex(
        self, message: int, error: ResultCode, server_id: int
    ) -> EventResult:
        """AppMessageEx: a server (10 core, 11 record, ...) is up (0), or what failed.

        (10, 212): another connection of this name had taken this one's place, so
        what was under way was answered with 212 SERVER_RESTART.
        """

    def on_online_users(self, users: tuple[Presence, ...]) -> EventResult:
        """Who is signed in, at this point of what is told.

        Comes when the core knows nothing of this business server (any more):
        whoever is not among them is gone.
        """

    def on_events_lost(self, count: int) -> EventResult:
        """So many events are gone for good at this point of what is told.

        The core kept 64 MiB of them while nobody took them, or was restarted.
        """

    # About the connection: called at once, whatever is under way.

    def on_connected(self) -> EventResult:
        """AppMessage 1: the core server is there."""

    def on_disconnected(self, code: ResultCode, reason: str) -> EventResult:
        """AppMessage 2: it is not any more; being reconnected to.

        Comes once for each `on_connected`.
        """

    def on_verdicts_taken(self, verdicts: tuple[str, ...], name: str) -> EventResult:
        """Who answers these questions from now on.

        :param verdicts: out of ``VerifyUser``, ``PrepareEnterRoom``.
        :param name: of a business server that connected later, or this one's own
            again after that has gone.
        """


@dataclass(frozen=True, slots=True)
class Callback:
    """A method of `Callbacks`, and when it is called."""

    method: str
    message: type[BusinessMessage]
    """What the core asks or tells."""
    key: Callable[[Any], Hashable]
    """Callbacks for messages with the same key do not overlap."""
    arguments: Callable[[Any], tuple[Any, ...]]
    """The method's arguments, out of the message."""


def _fields(message: type[BusinessMessage]) -> Callable[[Any], tuple[Any, ...]]:
    names = [item.name for item in fields(message)]
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _callback(
    method: str, message: type[BusinessMessage], key: Callable[[Any], Hashable]
) -> Callback:
    return Callback(method, message, key, _fields(message))


def _everybody(message: BusinessMessage) -> Hashable:
    return EVERYBODY


def _of_its_own(message: BusinessMessage) -> Hashable:
    return object()


_user = attrgetter("user_id")
_source = attrgetter("source_id")

#: Every callback that answers to something the core says.
CALLBACKS = (
    # A name is no user yet: whoever it turns out to be signs in afterwards.  Did
    # one login wait for the last of that name, anybody could keep a user out.
    _callback("verify_user", messages.VerifyUser, _of_its_own),
    _callback("prepare_enter_room", messages.PrepareEnterRoom, _user),
    _callback("on_video_call_event", messages.OnVideoCallEvent, _source),
    _callback(
        "on_user_info_control", messages.OnUserInfoControl, attrgetter("sender_id")
    ),
    _callback("on_user_login_action", messages.OnUserLoginAction, _user),
    _callback("on_user_logout_action_ex", messages.OnUserLogoutActionEx, _user),
    _callback("on_user_enter_room_action", messages.OnUserEnterRoomAction, _user),
    _callback("on_user_leave_room_action", messages.OnUserLeaveRoomAction, _user),
    _callback("on_recv_user_filter_data", messages.OnRecvUserFilterData, _user),
    _callback("on_recv_user_text_msg", messages.OnRecvUserTextMsg, _source),
    _callback("on_trans_buffer", messages.OnTransBuffer, _user),
    _callback("on_trans_buffer_ex", messages.OnTransBufferEx, _user),
    _callback("on_trans_file", messages.OnTransFile, _user),
    _callback("on_server_record_ex", messages.OnServerRecordEx, _user),
    _callback(
        "on_object_event",
        messages.OnObjectEvent,
        attrgetter("object_type", "object_id"),
    ),
    _callback("on_app_message_ex", messages.AppMessageEx, _everybody),
    Callback(
        "on_online_users",
        messages.OnlineUsers,
        _everybody,
        # Portions have been put together by then.
        lambda message: (message.users,),
    ),
    _callback("on_events_lost", messages.EventsLost, _everybody),
)

#: Callbacks about the connection itself.
NOTICES = ("on_connected", "on_disconnected", "on_verdicts_taken")

#: Names of all callbacks.
NAMES = (*(callback.method for callback in CALLBACKS), *NOTICES)
