"""User data: pieces of information, groups and friends.

Business servers own it, and say it anew when the server has restarted.  What
is kept of a user ends with the user's session, but for information about one
who is the friend of somebody signed in: that can be set and told while he is
away.  No client is told anything of it before its business server says so
(SYNCDATA); from then on it is told when friends come and go.  But information
is no secret: whoever is signed in may ask for it (``queries``).

All of it is bounded, for each user and for all together.
"""

from collections.abc import Iterator

from anychat.codes import ResultCode
from anychat.core.changes import (
    Change,
    FriendAdded,
    FriendDeleted,
    FriendGrouped,
    GroupAdded,
    GroupDeleted,
    UserDataForgotten,
    UserDataSynchronised,
    UserInfoSet,
)
from anychat.core.names import is_blank, is_fit
from anychat.core.state import Profile, Session, State
from anychat.core.turn import ChangeTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import SessionId, UserId
from anychat.messages import (
    Friend,
    FriendStatus,
    SyncData,
    UserFriends,
    UserGroup,
    UserGroups,
    UserInfoItem,
    UserInfos,
    UserInfoUpdate,
)

#: Pieces of information about one user, bytes of UTF-8 of one, and of all his.
MAX_INFOS, MAX_INFO, MAX_INFO_BYTES = 64, 4096, 16384
#: Groups of one user, friends of one user, groups that one friend is in.
MAX_GROUPS, MAX_FRIENDS, MAX_FRIEND_GROUPS = 100, 1000, 16
#: What each item counts beyond its bytes.
ITEM = 64
#: Bytes of one set that is told: information of more friends is left out.
MAX_SET = 512 << 10
#: Groups and friends in one message.
GROUPS_PER_MESSAGE, FRIENDS_PER_MESSAGE = 100, 500

_NONE = Profile()


def profile_of(state: State, user_id: int) -> Profile:
    """What is kept of a user; an empty one, not to be altered, if nothing is."""
    return state.profiles.get(UserId(user_id), _NONE)


def is_known(state: State, user_id: int) -> bool:
    """Whether something may be said of a user: signed in, or a friend."""
    return UserId(user_id) in state.users or bool(profile_of(state, user_id).friend_of)


# What business servers say.


def set_info(turn: Turn, user_id: int, info_id: int, text: str) -> None:
    """Give a piece of information a value; an empty text removes it.

    :raises Refused: 205, 21 text too long, 23 too many or too much.
    """
    state = turn.state
    if not is_known(state, user_id):
        raise Refused(ResultCode.INVALID_USERID)
    infos = profile_of(state, user_id).infos
    old = infos.get(info_id)
    if (old or "") == text:
        return
    size = _size(text)
    if size > MAX_INFO:
        raise Refused(ResultCode.FUNCOPTERROR)
    if text:
        others = sum(map(_size, infos.values())) - _size(old or "")
        if (old is None and len(infos) >= MAX_INFOS) or others + size > MAX_INFO_BYTES:
            raise Refused(ResultCode.NOENOUGHRESOURCE)
        _refuse_excess(turn, size if old is None else size - _size(old) - ITEM)
    turn.changes.append(UserInfoSet(UserId(user_id), info_id, text))


def add_group(turn: Turn, session: Session, group_id: int, name: str) -> None:
    """Give a user a group, or a group another name.

    :raises Refused: 21 no name, 23 too many.
    """
    if is_blank(name) or not is_fit(name):
        raise Refused(ResultCode.FUNCOPTERROR)
    groups = profile_of(turn.state, session.user_id).groups
    old = groups.get(group_id)
    if old == name:
        return
    if old is None:
        if len(groups) >= MAX_GROUPS:
            raise Refused(ResultCode.NOENOUGHRESOURCE)
        _refuse_excess(turn, _size(name))
    turn.changes.append(GroupAdded(session.user_id, group_id, name))


def delete_group(turn: Turn, session: Session, group_id: int) -> None:
    """Take a group from a user; its friends stay friends.

    :raises Refused: 9 no such group.
    """
    if group_id not in profile_of(turn.state, session.user_id).groups:
        raise Refused(ResultCode.DATANOTEXIST)
    turn.changes.append(GroupDeleted(session.user_id, group_id))


def add_friend(turn: Turn, session: Session, friend_id: int) -> None:
    """Give a user a friend, signed in or not.

    :raises Refused: 21 himself, or no id of a user; 23 too many.
    """
    # -1 means oneself, and 0 the business server.
    if friend_id in (session.user_id, 0, -1):
        raise Refused(ResultCode.FUNCOPTERROR)
    friends = profile_of(turn.state, session.user_id).friends
    if friend_id in friends:
        return
    if len(friends) >= MAX_FRIENDS:
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    _refuse_excess(turn, 0)
    turn.changes.append(FriendAdded(session.user_id, UserId(friend_id)))


def delete_friend(turn: Turn, session: Session, friend_id: int) -> None:
    """Take a friend from a user.

    :raises Refused: 9 they are no friends.
    """
    if friend_id not in profile_of(turn.state, session.user_id).friends:
        raise Refused(ResultCode.DATANOTEXIST)
    turn.changes.append(FriendDeleted(session.user_id, UserId(friend_id)))


def group_friend(turn: Turn, session: Session, group_id: int, friend_id: int) -> None:
    """Put a friend into a group, besides those that it is in.

    :raises Refused: 9 no such group or friend, 23 in too many.
    """
    profile = profile_of(turn.state, session.user_id)
    grouped = profile.friends.get(UserId(friend_id))
    if grouped is None or group_id not in profile.groups:
        raise Refused(ResultCode.DATANOTEXIST)
    if group_id in grouped:
        return
    if len(grouped) >= MAX_FRIEND_GROUPS:
        raise Refused(ResultCode.NOENOUGHRESOURCE)
    _refuse_excess(turn, 0)
    turn.changes.append(FriendGrouped(session.user_id, UserId(friend_id), group_id))


def synchronise(turn: Turn, session: Session) -> None:
    """SYNCDATA: tell a user his whole set, and his friends what he is like."""
    profile = profile_of(turn.state, session.user_id)
    if not profile.synchronised:
        turn.changes.append(UserDataSynchronised(session.user_id))
    tell_set(turn, session)
    watchers = _watchers(turn.state, session.user_id)
    if watchers:
        turn.send(watchers, _infos(session.user_id, profile))
        turn.send(watchers, UserInfoUpdate(session.user_id, 0))


# What clients are told.


def tell_set(turn: Turn, session: Session) -> None:
    """Tell a user everything of his."""
    to, state = (session.id,), turn.state
    profile = profile_of(state, session.user_id)
    turn.send(to, SyncData())
    turn.send(to, _infos(session.user_id, profile))
    groups = [UserGroup(*group) for group in profile.groups.items()]
    for start in range(0, len(groups), GROUPS_PER_MESSAGE):
        portion = groups[start : start + GROUPS_PER_MESSAGE]
        turn.send(to, UserGroups(tuple(portion)))
    friends = [
        Friend(friend, friend in state.users, tuple(grouped))
        for friend, grouped in profile.friends.items()
    ]
    for start in range(0, len(friends), FRIENDS_PER_MESSAGE):
        portion_of_friends = friends[start : start + FRIENDS_PER_MESSAGE]
        turn.send(to, UserFriends(tuple(portion_of_friends)))
    left = MAX_SET
    for friend_id in profile.friends:
        friend = profile_of(state, friend_id)
        left -= sum(_size(text) + ITEM for text in friend.infos.values())
        if left < 0:
            break
        if friend.infos:
            turn.send(to, _infos(friend_id, friend))
    turn.send(to, UserInfoUpdate(0, 0))


def tell_set_again(turn: Turn, session: Session) -> None:
    """Tell a user who missed something, if he was told before."""
    if profile_of(turn.state, session.user_id).synchronised:
        tell_set(turn, session)


def tell_friends(turn: Turn, user_id: UserId, *, online: bool) -> None:
    """FRIENDSTATUS to whoever has this one as a friend."""
    turn.send(_watchers(turn.state, user_id), FriendStatus(user_id, online))


def forget(turn: Turn, session: Session) -> None:
    """A user is about to be gone: his friends are told, his data goes."""
    tell_friends(turn, session.user_id, online=False)
    if session.user_id in turn.state.profiles:
        turn.changes.append(UserDataForgotten(session.user_id))


def _watchers(state: State, user_id: UserId) -> tuple[SessionId, ...]:
    """Sessions that have been told of this one as their friend."""
    return tuple(
        [
            state.users[owner]
            for owner in profile_of(state, user_id).friend_of
            if state.profiles[owner].synchronised
        ]
    )


def _infos(user_id: UserId, profile: Profile) -> UserInfos:
    return UserInfos(
        user_id, tuple([UserInfoItem(*info) for info in profile.infos.items()])
    )


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _refuse_excess(turn: Turn, size: int) -> None:
    if turn.state.profile_bytes + size + ITEM > turn.settings.max_profile_bytes:
        raise Refused(ResultCode.NOENOUGHRESOURCE)


# Folding.


def _apply_info(state: State, change: UserInfoSet) -> None:
    profile = _own(state, change.user_id)
    old = profile.infos.pop(change.info_id, None)
    if old is not None:
        state.profile_bytes -= _size(old) + ITEM
    if change.text:
        profile.infos[change.info_id] = change.text
        state.profile_bytes += _size(change.text) + ITEM
    _tidy(state, change.user_id)


def _apply_group(state: State, change: GroupAdded) -> None:
    groups = _own(state, change.user_id).groups
    old = groups.get(change.group_id)
    if old is not None:
        state.profile_bytes -= _size(old) + ITEM
    groups[change.group_id] = change.name
    state.profile_bytes += _size(change.name) + ITEM


def _apply_group_deleted(state: State, change: GroupDeleted) -> None:
    profile = state.profiles[change.user_id]
    state.profile_bytes -= _size(profile.groups.pop(change.group_id)) + ITEM
    for grouped in profile.friends.values():
        if change.group_id in grouped:
            del grouped[change.group_id]
            state.profile_bytes -= ITEM
    _tidy(state, change.user_id)


def _apply_friend(state: State, change: FriendAdded) -> None:
    if change.user_id not in state.users:
        raise LocalError(f"user {change.user_id} gets a friend and is not there")
    friends = _own(state, change.user_id).friends
    if change.friend_id in friends:
        raise LocalError(f"user {change.friend_id} became a friend a second time")
    friends[change.friend_id] = {}
    _own(state, change.friend_id).friend_of[change.user_id] = None
    state.profile_bytes += ITEM


def _apply_friend_deleted(state: State, change: FriendDeleted) -> None:
    _unfriend(state, change.user_id, change.friend_id)
    _tidy(state, change.user_id)


def _unfriend(state: State, user_id: UserId, friend_id: UserId) -> None:
    grouped = state.profiles[user_id].friends.pop(friend_id)
    state.profile_bytes -= ITEM * (1 + len(grouped))
    del state.profiles[friend_id].friend_of[user_id]
    if not is_known(state, friend_id):
        _drop_infos(state, state.profiles[friend_id])
    _tidy(state, friend_id)


def _apply_grouped(state: State, change: FriendGrouped) -> None:
    profile = state.profiles[change.user_id]
    if change.group_id not in profile.groups:
        raise LocalError(f"group {change.group_id} is not there")
    profile.friends[change.friend_id][change.group_id] = None
    state.profile_bytes += ITEM


def _apply_synchronised(state: State, change: UserDataSynchronised) -> None:
    _own(state, change.user_id).synchronised = True


def _apply_forgotten(state: State, change: UserDataForgotten) -> None:
    user_id = change.user_id
    profile = state.profiles[user_id]
    for friend_id in tuple(profile.friends):
        _unfriend(state, user_id, friend_id)
    for name in profile.groups.values():
        state.profile_bytes -= _size(name) + ITEM
    profile.groups.clear()
    profile.synchronised = False
    if not profile.friend_of:
        _drop_infos(state, profile)
    _tidy(state, user_id)


def _own(state: State, user_id: UserId) -> Profile:
    """A user's profile, made if there is none."""
    return state.profiles.setdefault(user_id, Profile())


def _drop_infos(state: State, profile: Profile) -> None:
    for text in profile.infos.values():
        state.profile_bytes -= _size(text) + ITEM
    profile.infos.clear()


def _tidy(state: State, user_id: UserId) -> None:
    """Nothing is kept of a user of whom there is nothing."""
    if state.profiles[user_id] == _NONE:
        del state.profiles[user_id]


def snapshot(state: State) -> list[Change]:
    """The changes that bring all of it back, after the sessions."""
    changes: list[Change] = []
    for user_id, profile in state.profiles.items():
        changes.extend(_own_part(user_id, profile))
    # Only now: of one who is not signed in it depends on the friendships.
    changes.extend(
        UserInfoSet(user_id, info_id, text)
        for user_id, profile in state.profiles.items()
        for info_id, text in profile.infos.items()
    )
    return changes


def _own_part(user_id: UserId, profile: Profile) -> Iterator[Change]:
    for group_id, name in profile.groups.items():
        yield GroupAdded(user_id, group_id, name)
    for friend_id, grouped in profile.friends.items():
        yield FriendAdded(user_id, friend_id)
        for group_id in grouped:
            yield FriendGrouped(user_id, friend_id, group_id)
    if profile.synchronised:
        yield UserDataSynchronised(user_id)


#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {
    UserInfoSet: _apply_info,
    GroupAdded: _apply_group,
    GroupDeleted: _apply_group_deleted,
    FriendAdded: _apply_friend,
    FriendDeleted: _apply_friend_deleted,
    FriendGrouped: _apply_grouped,
    UserDataSynchronised: _apply_synchronised,
    UserDataForgotten: _apply_forgotten,
}
