"""What a business server can have the core do: one method for each call.

Names are those of the product's server SDK in snake_case (facts of the
product, 2.1).  Every call gives a Deferred, which fails with
`anychat.errors.Refused`; its ``code`` is AnyChat's:

====  ======================================================================
 20   FUNCNOTALLOW: this version of the core has not got that function
 21   FUNCOPTERROR: an argument that cannot be; nothing was sent
 23   NOENOUGHRESOURCE: too many calls are waiting for their answers
100   CONNECT_TIMEOUT: no answer in time
101   CONNECT_ABORT: the core server is not connected, or went away meanwhile
205   INVALID_USERID: that user is not there
303   ROOM_INVALID: that room is not there
====  ======================================================================
"""

from typing import Any

from twisted.internet.defer import Deferred


class Calls:
    """Every call; a subclass says how one is carried out."""

    def _call(self, command: str, **arguments: Any) -> "Deferred[dict[str, Any]]":
        """Carry out a command of `anychat.protocols.business_commands`."""
        raise NotImplementedError

    def send_buf_to_user(self, user_id: int, data: bytes) -> "Deferred[None]":
        """SendBufToUser: data for a client's SDKFilterData callback."""
        raise NotImplementedError

    def send_buf_to_room(self, room_id: int, data: bytes) -> "Deferred[None]":
        """SendBufToRoom: data for the SDKFilterData callback of all in a room."""
        raise NotImplementedError

    def trans_buffer(self, user_id: int, data: bytes) -> "Deferred[None]":
        """TransBuffer: up to 1000 bytes to a user, who gets them from user 0."""
        raise NotImplementedError

    def get_online_users(self, room_id: int = -1) -> "Deferred[list[int]]":
        """GetOnlineUsers: ids of who is in a room; -1: of all who are signed in."""
        raise NotImplementedError

    def get_room_id_list(self) -> "Deferred[list[int]]":
        """GetRoomIdList: numbers of all rooms."""
        raise NotImplementedError
