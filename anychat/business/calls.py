"""What a business server can have the core do: one method for each call.

Names are those of the product's server SDK in snake_case (facts of the
product, 2.1).  Every call gives a Deferred, which fails with
`anychat.errors.Refused`; its ``code`` is AnyChat's:

====  ======================================================================
 20   FUNCNOTALLOW: this version of the core has not got that function
 21   FUNCOPTERROR: an argument that cannot be; nothing was sent
 23   NOENOUGHRESOURCE: too many calls are waiting for their answers
100   CONNECT_TIMEOUT: no answer in time; whether it was done is unknown
101   CONNECT_ABORT: the core server is not connected, or went away meanwhile
205   INVALID_USERID: that user is not there
303   ROOM_INVALID: that room is not there
====  ======================================================================
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail

from anychat.business_messages import MAX_BUFFER
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.protocols import business_commands as commands

#: `Calls.get_online_users`: of all rooms, and of none.
ALL = -1


@dataclass(frozen=True, slots=True)
class FilePortion:
    """What `Calls.fetch_file` gives."""

    length: int
    """Bytes of the whole file."""
    data: bytes = field(repr=False)


class Calls:
    """Every call; a subclass says how one is carried out."""

    def _call_core(
        self, command: type[commands.Command], **arguments: Any
    ) -> "Deferred[dict[str, Any]]":
        """Send a command; fires with the answer's values by name."""
        raise NotImplementedError

    def _have_core(
        self, command: type[commands.Command], **arguments: Any
    ) -> "Deferred[None]":
        return self._call_core(command, **arguments).addCallback(lambda answer: None)

    # Data.

    def send_buf_to_user(self, user_id: int, data: bytes) -> "Deferred[None]":
        """SendBufToUser: up to 60,000 bytes for a client's SDKFilterData callback."""
        return self._have_core(commands.SendBufToUser, user_id=user_id, data=data)

    def send_buf_to_room(self, room_id: int, data: bytes) -> "Deferred[None]":
        """SendBufToRoom: the same for all who are in a room."""
        return self._have_core(commands.SendBufToRoom, room_id=room_id, data=data)

    def trans_buffer(self, user_id: int, data: bytes) -> "Deferred[None]":
        """TransBuffer: up to 1000 bytes to a user, who gets them from user 0."""
        return self._have_core(commands.TransBuffer, user_id=user_id, data=data)

    def trans_buffer_ex(
        self,
        user_id: int,
        data: bytes,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> "Deferred[int]":
        """TransBufferEx: up to 1 MiB to a user; fires with the task's number."""
        if not 0 < len(data) <= 1 << 20:
            return fail(
                Refused(ResultCode.FUNCOPTERROR, "data has not from 1 byte to 1 MiB")
            )

        async def send() -> int:
            task = 0
            for offset in range(0, len(data), MAX_BUFFER):
                answer = await self._call_core(
                    commands.TransBufferEx,
                    user_id=user_id,
                    wparam=wparam,
                    lparam=lparam,
                    flags=flags,
                    task_id=task,
                    length=len(data),
                    offset=offset,
                    data=data[offset : offset + MAX_BUFFER],
                )
                task = answer["task_id"]
            return task

        return Deferred.fromCoroutine(send())

    def trans_file(
        self,
        user_id: int,
        path: Path | str,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> "Deferred[int]":
        """TransFile: a file of this machine to a user; fires with the task's number.

        Fails with 710 if the file
        cannot be read, 711 if it is empty.
        """
        path = Path(path)

        async def send() -> int:
            task = 0
            try:
                with path.open("rb") as file:
                    length = file.seek(0, 2)
                    if not length:
                        raise Refused(ResultCode.TRANSFILE_ZEROLEN, str(path))
                    for offset in range(0, length, MAX_BUFFER):
                        file.seek(offset)
                        answer = await self._call_core(
                            commands.TransFile,
                            user_id=user_id,
                            file_name=path.name,
                            wparam=wparam,
                            lparam=lparam,
                            flags=flags,
                            task_id=task,
                            length=length,
                            offset=offset,
                            data=file.read(MAX_BUFFER),
                        )
                        task = answer["task_id"]
            except OSError as error:
                raise Refused(
                    ResultCode.TRANSFILE_OPENFAIL, f"{path}: {error.strerror}"
                ) from error
            return task

        return Deferred.fromCoroutine(send())

    def fetch_file(
        self, task_id: int, offset: int = 0, size: int = MAX_BUFFER
    ) -> "Deferred[FilePortion]":
        """A portion of the file that `Callbacks.on_trans_file` told of.

        :param size: bytes that are wanted at most.
        """
        return self._call_core(
            commands.FetchFile, task_id=task_id, offset=offset, size=size
        ).addCallback(lambda answer: FilePortion(answer["length"], answer["data"]))

    # Users and rooms.

    def get_online_users(self, room_id: int = ALL) -> "Deferred[list[int]]":
        """GetOnlineUsers: ids of who is in a room, or of all who are signed in."""
        return self._list_of_core(commands.GetOnlineUsers, room_id=room_id)

    def get_room_id_list(self) -> "Deferred[list[int]]":
        """GetRoomIdList: numbers of all rooms."""
        return self._list_of_core(commands.GetRoomIdList)

    def set_user_info(self, user_id: int, info_id: int, text: str) -> "Deferred[None]":
        """SetUserInfo: give a piece of a user's information a value.

        An empty text removes it.  Clients are told with SYNCDATA
        (`user_info_control`, 2).  Fails with 205 if the user is neither signed in
        nor a friend of somebody who is, with 21 over 4096 bytes of UTF-8, with 23
        for more than 64 pieces or 16 KiB.
        """
        return self._have_core(
            commands.SetUserInfo, user_id=user_id, info_id=info_id, text=text
        )

    def get_user_info(self, user_id: int, info_id: int) -> "Deferred[str]":
        """GetUserInfo: a piece of a user's information; 9 if there is none."""
        return self._call_core(
            commands.GetUserInfo, user_id=user_id, info_id=info_id
        ).addCallback(lambda answer: answer["text"])

    def user_info_control(
        self,
        user_id: int,
        control_code: int,
        wparam: int = 0,
        lparam: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """UserInfoControl: 1 kick, 4 block an IP address, ..., from 100 on your own.

        :param control_code: one of `anychat.codes.UserControl`, or from 100 up one
            that reaches the client's application; docs/business.md has them all.
        """
        return self._have_core(
            commands.UserInfoControl,
            user_id=user_id,
            control_code=control_code,
            wparam=wparam,
            lparam=lparam,
            text=text,
        )

    def query_info_from_server(self, query: int, text: str = "") -> "Deferred[str]":
        """QueryInfoFromServer: one of the things the core knows.

        :param query: one of `anychat.codes.ServerQuery`.
        :param text: a name, a string id, or an id in digits.
        """
        return self._call_core(
            commands.QueryInfoFromServer, query=query, text=text
        ).addCallback(lambda answer: answer["text"])

    def set_sdk_option(self, option: int, value: int | bytes) -> "Deferred[None]":
        """SetSDKOption: a default media parameter of clients (30 to 34, 38, 39, 93).

        35 with 1 has what was chosen so take effect, with 0 brings the
        configuration's back.

        :param value: a number, or its digits.
        """
        if not isinstance(value, int | bytes):
            reason = f"value {value!r} is no number"
            return fail(Refused(ResultCode.FUNCOPTERROR, reason))
        digits = value if isinstance(value, bytes) else b"%d" % value
        return self._have_core(commands.SetSDKOption, option=option, value=digits)

    # Calls and recordings.

    def video_call_control(
        self,
        event: int,
        user_id: int,
        error: int = 0,
        flags: int = 0,
        param: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """VideoCallControl: end a user's call, or reply in the user's place.

        Fails with 205 (not signed in), 100107 (in no call), ...

        :param event: 2 reply, with ``error`` 0 to answer; 4 finish.
        """
        return self._have_core(
            commands.VideoCallControl,
            event=event,
            user_id=user_id,
            error=error,
            flags=flags,
            param=param,
            text=text,
        )

    def stream_record_ctrl_ex(
        self,
        user_id: int,
        start: bool,
        flags: int = 0,
        param: int = 0,
        text: str = "",
        server_id: int = ALL,
    ) -> "Deferred[None]":
        """StreamRecordCtrlEx: begin or end a recording, or take a snapshot.

        The core of this version refuses it with 20.

        :param server_id: of the record server; -1: any.
        """
        return self._have_core(
            commands.StreamRecordCtrlEx,
            user_id=user_id,
            start=start,
            flags=flags,
            param=param,
            text=text,
            server_id=server_id,
        )

    # Business objects.

    def object_get_id_list(self, object_type: int) -> "Deferred[list[int]]":
        """ObjectGetIdList: ids of the business objects of a type.

        The core of this version refuses it with 20.
        """
        return self._list_of_core(commands.ObjectGetIdList, object_type=object_type)

    def object_get_value(
        self, object_type: int, object_id: int, attribute: int
    ) -> "Deferred[bytes]":
        """ObjectGetValue: an attribute of a business object.

        The core of this version refuses it with 20.
        """
        return self._call_core(
            commands.ObjectGetValue,
            object_type=object_type,
            object_id=object_id,
            attribute=attribute,
        ).addCallback(lambda answer: answer["value"])

    def object_set_value(
        self, object_type: int, object_id: int, attribute: int, value: bytes
    ) -> "Deferred[None]":
        """ObjectSetValue: give an attribute of a business object a value.

        The core of this version refuses it with 20.
        """
        return self._have_core(
            commands.ObjectSetValue,
            object_type=object_type,
            object_id=object_id,
            attribute=attribute,
            value=value,
        )

    def object_control(
        self,
        object_type: int,
        object_id: int,
        control: int,
        param1: int = 0,
        param2: int = 0,
        param3: int = 0,
        param4: int = 0,
        text: str = "",
    ) -> "Deferred[None]":
        """ObjectControl: have a business object do something.

        The core of this version refuses it with 20.
        """
        return self._have_core(
            commands.ObjectControl,
            object_type=object_type,
            object_id=object_id,
            control=control,
            param1=param1,
            param2=param2,
            param3=param3,
            param4=param4,
            text=text,
        )

    def _list_of_core(
        self, command: type[commands.Command], **arguments: Any
    ) -> "Deferred[list[int]]":
        """All ids of a list that comes in portions, ascending."""

        async def fetch() -> list[int]:
            ids: list[int] = []
            answer = await self._call_core(command, **arguments)
            while answer["more"]:
                portion = answer["ids"]
                if not portion or (ids and portion[0] <= ids[-1]):
                    raise Refused(ResultCode.PROTOCOLFAIL, "the list does not go on")
                ids += portion
                answer = await self._call_core(command, **arguments, after=ids[-1])
            return [*ids, *answer["ids"]]

        return Deferred.fromCoroutine(fetch())
