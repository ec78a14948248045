"""The hooks of SDK Filter Plus: what the core asks its plug-in, and tells it.

One table for both kinds of plug-in: a Python module has functions of these
names, a compiled one exports ``BRFP_VerifyUser`` and so on.  A hook that a
plug-in does not have is not used.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from operator import attrgetter
from typing import Any

from anychat.business_messages import (
    BusinessMessage,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Question,
    VerifyUser,
)

#: What the names of a compiled plug-in's functions begin with.
EXPORT_PREFIX = "BRFP_"

#: The argument that no message has: the number of the user's session.
HANDLE = "handle"


class Kind(Enum):
    """How an argument reaches a compiled plug-in."""

    NUMBER = "uint32"
    FLAG = "int32"
    STRING = "const char *, NUL-ended"
    BUFFER = "const char *, uint32"


#: Every argument of the hooks.
KINDS = {
    "user_id": Kind.NUMBER,
    "room_id": Kind.NUMBER,
    "source_id": Kind.NUMBER,
    "target_id": Kind.NUMBER,
    "level": Kind.NUMBER,
    HANDLE: Kind.NUMBER,
    "secret": Kind.FLAG,
    "name": Kind.STRING,
    "password": Kind.STRING,
    "room_name": Kind.STRING,
    "ip": Kind.STRING,
    "data": Kind.BUFFER,
    "text": Kind.BUFFER,
}


@dataclass(frozen=True)
class Hook:
    """A function that a plug-in may have."""

    name: str
    message: type[BusinessMessage]
    arguments: tuple[str, ...]
    """Fields of the message, in the order of the function's parameters; one may
    be `HANDLE`, which is last."""

    @cached_property
    def camel(self) -> str:
        """The name as the product spells it."""
        return "".join(map(str.capitalize, self.name.split("_")))

    @cached_property
    def export(self) -> str:
        """The name of a compiled plug-in's function."""
        return EXPORT_PREFIX + self.camel

    @cached_property
    def asks(self) -> bool:
        """Whether a verdict is wanted."""
        return issubclass(self.message, Question)

    @cached_property
    def wants_handle(self) -> bool:
        """Whether `HANDLE` is among the arguments."""
        return HANDLE in self.arguments

    @cached_property
    def _fields(self) -> "attrgetter[Any]":
        # The one that is added makes the result of one field a tuple, too.
        names = [name for name in self.arguments if name != HANDLE]
        return attrgetter(*names, "__class__")

    def values(self, message: BusinessMessage, handle: int = 0) -> tuple[Any, ...]:
        """The arguments for a message."""
        values: tuple[Any, ...] = self._fields(message)[:-1]
        return (*values, handle) if self.wants_handle else values


#: All of them; those that ask come first.
HOOKS = (
    Hook("verify_user", VerifyUser, ("name", "password")),
    Hook(
        "prepare_enter_room",
        PrepareEnterRoom,
        ("user_id", "room_id", "room_name", "password"),
    ),
    Hook(
        "on_user_login_action",
        OnUserLoginAction,
        ("user_id", "name", "level", "ip", HANDLE),
    ),
    Hook("on_user_logout_action", OnUserLogoutActionEx, ("user_id",)),
    Hook("on_user_enter_room_action", OnUserEnterRoomAction, ("user_id", "room_id")),
    Hook("on_user_leave_room_action", OnUserLeaveRoomAction, ("user_id", "room_id")),
    Hook("on_recv_user_filter_data", OnRecvUserFilterData, ("user_id", "data")),
    Hook(
        "on_recv_user_text_msg",
        OnRecvUserTextMsg,
        ("room_id", "source_id", "target_id", "secret", "text"),
    ),
)

#: By the message that they are called for.
HOOK_OF = {hook.message: hook for hook in HOOKS}

#: By the product's name.
HOOK_NAMED = {hook.camel: hook for hook in HOOKS}

#: Functions that a plug-in may have besides: before and after all hooks.
GET_VERSION, INIT_FILTER, RELEASE_FILTER = (
    "get_version",
    "init_filter",
    "release_filter",
)
