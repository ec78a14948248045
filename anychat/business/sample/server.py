"""What the sample answers when the core server asks, and prints of what it tells."""

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool

from anychat.business.sample.users import Users, UsersError
from anychat.business.server import BusinessServer, UserVerdict
from anychat.business.settings import Settings
from anychat.business_messages import Presence
from anychat.codes import ResultCode
from anychat.errors import Refused

#: Passwords that are checked at the same time.  Each keeps a processor core busy
#: and one of the reactor's ten threads, of which some are to be left.
CHECKS = min(os.cpu_count() or 1, 4)

#: Calls a function in a thread that may wait.
InThread = Callable[..., "Deferred[Any]"]


class SampleServer(BusinessServer):
    """Lets in who is among the users, and prints what happens."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        users: Users,
        *,
        in_thread: InThread | None = None,
        **others: Any,
    ) -> None:
        """
        :param in_thread: default: uses the reactor's threads.
        :param others: see `BusinessServer`.
        """
        super().__init__(reactor, settings, **others)
        self._users = users
        self._in_thread = in_thread or self._in_reactor_thread
        self._turns = DeferredSemaphore(CHECKS)
        self._online: dict[int, str] = {}
        """Names of all who are signed in, by id."""

    def _in_reactor_thread(
        self, function: Callable[..., Any], *values: Any
    ) -> "Deferred[Any]":
        pool = self.reactor.getThreadPool()
        return deferToThreadPool(self.reactor, pool, function, *values)

    def startService(self) -> None:
        """Begin to connect; print how many users there are."""
        super().startService()
        counted: Deferred[int] = self._in_thread(self._users.count)
        counted.addCallback(self._print_count)
        counted.addErrback(lambda failure: self.log(failure.getErrorMessage()))

    def _print_count(self, count: int) -> None:
        advice = "" if count else "; 'anychat-business adduser NAME' adds one"
        self.log(f"Users in {self._users.path}: {count}{advice}")

    # What the core server asks.

    async def verify_user(self, name: str, password: str) -> UserVerdict | int:
        """Let in who is among the users, under the id that is kept there."""
        try:
            # A check takes a moment: here it would hold up everything else.
            user = await self._turns.run(
                self._in_thread, self._users.verify, name, password
            )
        except UsersError as error:
            self.log(f"VerifyUser({name}) failed: {error}")
            return ResultCode.SERVERSDK_FAIL
        if user is None:
            self.log(f"VerifyUser({name}): {described(ResultCode.CERTIFY_FAIL)}")
            return ResultCode.CERTIFY_FAIL
        self.log(f"VerifyUser({name}): is user {user.user_id}")
        return UserVerdict(user.user_id)

    def prepare_enter_room(
        self, user_id: int, room_id: int, room_name: str, password: str
    ) -> int:
        """Let everybody into every room, whatever its password.

        A program of your own would look up who belongs there.
        """
        self.log(f"PrepareEnterRoom: {self._name(user_id)} may enter room {room_id}")
        return ResultCode.SUCCESS

    # What it tells.

    def on_user_login_action(
        self, user_id: int, name: str, level: int, ip: str
    ) -> None:
        """Print and remember who is there."""
        self._online[user_id] = name
        self.log(f"OnUserLoginAction: {self._name(user_id)} from {ip}")

    def on_user_logout_action_ex(self, user_id: int, code: ResultCode) -> None:
        """Print and forget who is gone."""
        why = f": {described(code)}" if code else ""
        self.log(f"OnUserLogoutActionEx: {self._name(user_id)}{why}")
        self._online.pop(user_id, None)

    def on_user_enter_room_action(self, user_id: int, room_id: int) -> None:
        """Print who is in a room."""
        self.log(f"OnUserEnterRoomAction: {self._name(user_id)} in room {room_id}")

    def on_user_leave_room_action(self, user_id: int, room_id: int) -> None:
        """Print who is in a room no more."""
        self.log(f"OnUserLeaveRoomAction: {self._name(user_id)} from room {room_id}")

    def on_recv_user_text_msg(
        self, room_id: int, source_id: int, target_id: int, secret: bool, text: str
    ) -> None:
        """Print texts, but not those that are meant for one user's eyes."""
        target = f"room {room_id}" if target_id == -1 else self._name(target_id)
        shown = f"{len(text)} characters in secret" if secret else text
        self.log(f"OnRecvUserTextMsg: {self._name(source_id)} to {target}: {shown}")

    async def on_recv_user_filter_data(self, user_id: int, data: bytes) -> None:
        """Send back what a client has sent, to show how that is done."""
        self.log(f"OnRecvUserFilterData: {self._name(user_id)}, {len(data)} bytes")
        try:
            await self.send_buf_to_user(user_id, data)
        except Refused as refused:
            self.log(f"SendBufToUser({user_id}) failed: {refused}")

    def on_trans_buffer(self, user_id: int, data: bytes) -> None:
        """Print that a buffer has come."""
        self.log(f"OnTransBuffer: {self._name(user_id)}, {len(data)} bytes")

    # About the connection.

    def on_connected(self) -> None:
        """Print the manual's words."""
        self.log("connect core server successed")

    def on_app_message_ex(
        self, message: int, error: ResultCode, server_id: int
    ) -> None:
        """Print what has failed."""
        if error:
            self.log(f"AppMessageEx({message}): {described(error)}")

    def on_online_users(self, users: tuple[Presence, ...]) -> None:
        """Begin anew: who is not among these has gone meanwhile."""
        self._online = {user.user_id: user.name for user in users}
        self.log(f"Online users: {', '.join(map(self._name, self._online)) or 'none'}")

    def _name(self, user_id: int) -> str:
        return f"{self._online.get(user_id, 'user')} ({user_id})"


def described(code: ResultCode) -> str:
    """Number and meaning of a code."""
    return f"{int(code)} {code.text}"
