"""What business servers say about users, and what can be done to users.

`Client.people` keeps the user's own set (information, groups, friends) as the
server last told it, so that looking at it asks nobody.  The set is there after
``on_user_info_update(0, 0)`` and is up to date by the time of each event; it
ends with the session.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail

from anychat.client.events import ClientEvents
from anychat.codes import SELF, ResultCode, ServerQuery, StreamInfo, UserControl
from anychat.errors import Refused
from anychat.messages import (
    FriendStatus,
    InfoValue,
    Message,
    QueryInfoFromServer,
    QueryStreamInfo,
    StateValue,
    SyncData,
    UserFriends,
    UserGroups,
    UserInfoCommand,
    UserInfoControl,
    UserInfos,
    UserInfoUpdate,
)

T = TypeVar("T")


@dataclass(slots=True)
class UserData:
    """One set of user data."""

    infos: dict[int, dict[int, str]] = field(default_factory=dict)
    """Pieces of information by user id and info id."""
    groups: dict[int, str] = field(default_factory=dict)
    """Names by group id."""
    friends: dict[int, bool] = field(default_factory=dict)
    """Whether each is signed in, by user id."""
    grouped: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The groups that each friend is in."""


class People:
    """User data, control codes and queries of one client.

    :param command: sends a request that is answered by `Result`.
    :param query: sends one that is answered by another message, and may be
        asked twice.
    :param timeout: makes a query fail with 100 when its time (option 213) is up.
    """

    def __init__(
        self,
        command: "Callable[[Message], Deferred[None]]",
        query: "Callable[[Message, type[Message]], Deferred[Any]]",
        timeout: "Callable[[Deferred[Any]], Deferred[Any]]",
        events: ClientEvents,
    ):
        self._command = command
        self._query = query
        self._timeout = timeout
        self._events = events
        self._data = UserData()
        self._coming: UserData | None = None

    # What business servers have said.

    @property
    def friends(self) -> tuple[int, ...]:
        """GetUserFriends: ids of one's friends."""
        return tuple(self._data.friends)

    @property
    def groups(self) -> tuple[int, ...]:
        """GetUserGroups: ids of one's groups."""
        return tuple(self._data.groups)

    def friend_status(self, user_id: int) -> bool:
        """GetFriendStatus: whether a friend is signed in.

        :raises Refused: 9, no such friend.
        """
        return _known(self._data.friends, user_id)

    def group_name(self, group_id: int) -> str:
        """GetGroupName.

        :raises Refused: 9, no such group.
        """
        return _known(self._data.groups, group_id)

    def group_friends(self, group_id: int) -> tuple[int, ...]:
        """GetGroupFriends: ids of the friends who are in a group.

        :raises Refused: 9, no such group.
        """
        self.group_name(group_id)
        return tuple(
            friend for friend, ids in self._data.grouped.items() if group_id in ids
        )

    def user_info(self, user_id: int, info_id: int) -> str:
        """GetUserInfo: a piece of information about oneself or a friend.

        :raises Refused: 9, there is none.
        """
        return _known(self._data.infos.get(user_id, {}), info_id)

    # Doing something to users.

    def control(
        self,
        user_id: int,
        control_code: int,
        wparam: int = 0,
        lparam: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """UserInfoControl: have something done to a user, or to oneself (-1).

        From 100 up it is the application's: a business server is asked, and what
        it lets pass reaches the user's `on_user_info_control`.  0 as the user is
        the business server.  Fails with the business server's code, 206 where
        none answers, 205 for a user who is not signed in.
        """
        return self._command(
            UserInfoControl(user_id, control_code, wparam, lparam, text)
        )

    def kick_out(self, user_id: int) -> "Deferred[None]":
        """End a user's session, if a business server lets one (option 110)."""
        return self.control(user_id, UserControl.KICKOUT)

    def turn_picture(self, degrees: int, mirrored: bool = False) -> "Deferred[None]":
        """Have the others show one's picture turned (0, 90, 180, 270) or mirrored.

        They ask for it by user states 18 and 19.
        """
        return self.control(SELF, UserControl.ROTATION, degrees, int(mirrored))

    # Asking the server.

    def query(self, kind: ServerQuery | int, text: str = "") -> "Deferred[str]":
        """QueryInfoFromServer: one of the things the server knows.

        :param text: a name, a string id, or an id in digits.
        """
        if not isinstance(kind, int):
            return fail(Refused(ResultCode.FUNCOPTERROR, f"query {kind!r}"))
        asked = self._query(QueryInfoFromServer(int(kind), text), InfoValue)
        return self._timeout(asked.addCallback(lambda value: value.text))

    def stream_info(
        self, info: StreamInfo, user_id: int = SELF, stream_index: int = 0
    ) -> "Deferred[int]":
        """GetUserStreamInfo: what an open stream in the room is like."""
        asked = self._query(QueryStreamInfo(user_id, stream_index, info), StateValue)
        return self._timeout(asked.addCallback(lambda value: value.number))

    # What the server says.

    def take(self, message: Message) -> None:
        """Take a notification about users."""
        if isinstance(message, SyncData):
            self._coming = UserData()
        elif isinstance(message, UserInfos):
            data = self._coming or self._data
            data.infos[message.user_id] = {
                item.info_id: item.text for item in message.infos
            }
        elif isinstance(message, UserGroups):
            if self._coming is not None:
                for group in message.groups:
                    self._coming.groups[group.group_id] = group.name
        elif isinstance(message, UserFriends):
            if self._coming is not None:
                for friend in message.friends:
                    self._coming.friends[friend.user_id] = friend.online
                    self._coming.grouped[friend.user_id] = friend.group_ids
        elif isinstance(message, UserInfoUpdate):
            if not message.user_id:
                self._data, self._coming = self._coming or self._data, None
            self._events.on_user_info_update(message.user_id, message.kind)
        elif isinstance(message, FriendStatus):
            self._data.friends[message.user_id] = message.online
            self._events.on_friend_status(message.user_id, message.online)
        elif isinstance(message, UserInfoCommand):
            self._events.on_user_info_control(
                message.source,
                message.control_code,
                message.wparam,
                message.lparam,
                message.text,
            )

    def forget(self) -> None:
        """The session is over."""
        self._data, self._coming = UserData(), None

    def missed(self) -> None:
        """Something was lost on the way; a set that was coming comes anew."""
        self._coming = None


def _known(values: dict[int, T], key: int) -> T:
    try:
        return values[key]
    except KeyError:
        raise Refused(ResultCode.DATANOTEXIST) from None
