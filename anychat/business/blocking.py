"""A business server for programs without Twisted: Flask, Django, plain threads.

::

    anychat = BlockingServer("AnyChatServerSDK.ini")

    @anychat.callback
    def verify_user(name, password): ...

    anychat.start()

Twisted's reactor runs in a thread of its own, one for the whole process, from
the first `BlockingServer.start` to the end of the process.  Callbacks are plain
functions and run in worker threads, those of one user one after the other.
Calls are plain functions, too: they wait for the answer, give it, and raise
`anychat.errors.Refused` where a Deferred would fail.

**Forks.**  Threads do not survive a fork.  In a server that forks its workers
(gunicorn, uWSGI with several processes) call `BlockingServer.start` in each
worker, after the fork, and give each a name of its own; a server that was
started before says so at every call.
"""

import atexit
import dataclasses
import inspect
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from anychat.business.callbacks import NAMES, Callbacks
from anychat.business.calls import ALL, FilePortion
from anychat.business.program import check_callback, check_options
from anychat.business.reactor_thread import GRACE, ReactorThread
from anychat.business.server import BusinessServer, UserVerdict
from anychat.business.settings import Settings, load
from anychat.business.workers import Workers
from anychat.business_messages import MAX_BUFFER
from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused
from anychat.log import Log

__all__ = ["BlockingServer", "UserVerdict"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class StandardLog(Log):
    """Lines and failures, to the logger "anychat.business" of `logging`."""

    def __init__(self) -> None:
        self._standard = logging.getLogger("anychat.business")

    def __call__(self, text: str) -> None:
        """Log a line; what somebody should see to is a warning."""
        troubles = ("Warning:", "Cannot connect", "Disconnected")
        level = logging.WARNING if text.startswith(troubles) else logging.INFO
        self._standard.log(level, "%s", text)

    def failure(self, text: str, failure: Failure | None = None) -> None:
        """Log an error with its traceback."""
        if failure is None:
            self._standard.exception("%s", text)
        else:
            self._standard.error("%s\n%s", text, failure.getTraceback())


#: The reactor's thread of this process.
_thread = ReactorThread()


class BlockingServer(Callbacks):
    """One business server.

    Callbacks are the methods that a subclass overrides, or functions that
    `callback` is given.
    """

    def __init__(
        self,
        settings: Settings | Path | str | None = None,
        *,
        name: str | None = None,
        threads: int = 10,
        callback_timeout: float = 10.0,
        call_timeout: float = 10.0,
        log: Log | None = None,
    ) -> None:
        """
        :param settings: or the file that they are in; default: as with `load`.
        :param name: replaces the settings' own, for one of several processes.
        :param threads: callbacks that may run side by side.
        :param callback_timeout: seconds that a callback may take.  Its thread is
            not stopped, only waited for no longer; no other callback gets it
            before this one has returned.
        :param call_timeout: seconds from a call to its answer.
        :param log: default: the logger "anychat.business" of `logging`.
        :raises anychat.errors.ConfigError: the settings, or the name, cannot be used.
        :raises ValueError: an option cannot.
        """
        check_options(
            threads=threads,
            callback_timeout=callback_timeout,
            call_timeout=call_timeout,
        )
        if not isinstance(settings, Settings):
            settings = load(settings)
        if name is not None:
            settings = dataclasses.replace(settings, name=name)
        settings.check()
        self.settings = settings
        self.log = log or StandardLog()
        self._threads = threads
        self._callback_timeout = callback_timeout
        self._call_timeout = call_timeout
        self._server: BusinessServer | None = None
        self._workers: Workers | None = None
        self._connected = threading.Event()
        self._lock = threading.Lock()

    def callback(self, function: F) -> F:
        """Use a function as the callback of its name; for use as a decorator.

        :raises ValueError: there is no callback of that name.
        :raises TypeError: it cannot take the callback's arguments, or is no plain
            function.
        :raises LocalError: the business server has been started.
        """
        name = getattr(function, "__name__", repr(function))
        if self._server is not None:
            raise LocalError(f"the callback {name} comes after the start")
        _check_plain(name, function)
        setattr(self, name, function)
        return function

    # Start and stop.

    def start(self) -> None:
        """Begin to connect, and go on with it until `stop`.

        Returns at once; `wait_connected` waits for the core server.

        :raises LocalError: this process cannot: it has been started already, or
            has a running reactor of its own.
        :raises TypeError: a callback takes other arguments, or is no plain function.
        """
        with self._lock:
            if self._server is not None:
                raise LocalError("the business server has been started already")
            for name in NAMES:
                if self._has(name):
                    _check_plain(name, getattr(self, name))
            _thread.start()
            self._server = _thread.call(lambda: maybeDeferred(self._make), GRACE)
        atexit.register(self.stop)

    def stop(self, timeout: float = GRACE) -> None:
        """Disconnect; done within ``timeout`` seconds.  It may be started again."""
        with self._lock:
            server, self._server = self._server, None
            workers, self._workers = self._workers, None
        atexit.unregister(self.stop)
        if server is None or workers is None or not _thread.is_here:
            return
        self._connected.clear()
        try:
            _thread.call(server.stopService, timeout)
        finally:
            workers.stop()

    def __enter__(self) -> "BlockingServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connected(self) -> bool:
        """Whether the core server is there; never in a fork of the process."""
        return self._connected.is_set() and _thread.is_here

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait until the core server is there; False: it was not in that time.

        :param timeout: seconds; None: for ever.
        :raises LocalError: this process was forked after the start, or this is a
            thread in which nothing can be waited for.
        """
        if self._server is not None:
            _thread.check()
        return self._connected.wait(timeout)

    def statistics(self) -> dict[str, int]:
        """Figures of the callbacks since the start.

        As `BusinessServer.statistics` has them; ``held`` are threads whose callback
        was given up and has not returned.
        """
        workers = self._workers
        held = 0 if workers is None else workers.held
        return self._wait(lambda server: succeed({**server.statistics(), "held": held}))

    def _has(self, name: str) -> bool:
        method = getattr(self, name)
        return getattr(method, "__func__", None) is not getattr(Callbacks, name)

    def _make(self) -> BusinessServer:
        """The business server; in the reactor's thread, as all that follows."""
        server = BusinessServer(
            _thread.reactor,
            self.settings,
            log=self.log,
            callback_timeout=self._callback_timeout,
            call_timeout=self._call_timeout,
            side_by_side=self._threads,
        )
        self._workers = workers = Workers(
            _thread.reactor, self._threads, self.log, server._core_session.occupy
        )
        workers.start()
        for name in NAMES:
            if self._has(name):
                setattr(server, name, workers.callback(name, getattr(self, name)))
        self._follow(server)
        server.startService()
        return server

    def _follow(self, server: BusinessServer) -> None:
        """Know whether the core is there."""
        connected, disconnected = server.on_connected, server.on_disconnected

        def on_connected() -> Any:
            self._connected.set()
            return connected()

        def on_disconnected(code: ResultCode, reason: str) -> Any:
            self._connected.clear()
            return disconnected(code, reason)

        server.callback(on_connected)
        server.callback(on_disconnected)

    # Calls, as `anychat.business.calls.Calls` has them.

    def _wait(self, call: Callable[[BusinessServer], "Deferred[T]"]) -> T:
        server = self._server
        if server is None:
            raise Refused(ResultCode.NOTINIT, "the business server is not started")
        return _thread.call(lambda: call(server), self._call_timeout + GRACE)

    def send_buf_to_user(self, user_id: int, data: bytes) -> None:
        """SendBufToUser: up to 60,000 bytes for a client's SDKFilterData callback."""
        self._wait(lambda server: server.send_buf_to_user(user_id, data))

    def send_buf_to_room(self, room_id: int, data: bytes) -> None:
        """SendBufToRoom: the same for all who are in a room."""
        self._wait(lambda server: server.send_buf_to_room(room_id, data))

    def trans_buffer(self, user_id: int, data: bytes) -> None:
        """TransBuffer: up to 1000 bytes to a user, who gets them from user 0."""
        self._wait(lambda server: server.trans_buffer(user_id, data))

    def trans_buffer_ex(
        self,
        user_id: int,
        data: bytes,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> int:
        """TransBufferEx: up to 1 MiB to a user; the task's number."""
        return self._wait(
            lambda server: server.trans_buffer_ex(user_id, data, wparam, lparam, flags)
        )

    def trans_file(
        self,
        user_id: int,
        path: Path | str,
        wparam: int = 0,
        lparam: int = 0,
        flags: int = 0,
    ) -> int:
        """TransFile: a file of this machine to a user; the task's number."""
        return self._wait(
            lambda server: server.trans_file(user_id, path, wparam, lparam, flags)
        )

    def fetch_file(
        self, task_id: int, offset: int = 0, size: int = MAX_BUFFER
    ) -> FilePortion:
        """A portion of the file that `Callbacks.on_trans_file` told of."""
        return self._wait(lambda server: server.fetch_file(task_id, offset, size))

    def get_online_users(self, room_id: int = ALL) -> list[int]:
        """GetOnlineUsers: ids of who is in a room, or of all who are signed in."""
        return self._wait(lambda server: server.get_online_users(room_id))

    def get_room_id_list(self) -> list[int]:
        """GetRoomIdList: numbers of all rooms."""
        return self._wait(lambda server: server.get_room_id_list())

    def set_user_info(self, user_id: int, info_id: int, text: str) -> None:
        """SetUserInfo: give a user's information a value."""
        self._wait(lambda server: server.set_user_info(user_id, info_id, text))

    def get_user_info(self, user_id: int, info_id: int) -> str:
        """GetUserInfo: the value of a user's information."""
        return self._wait(lambda server: server.get_user_info(user_id, info_id))

    def user_info_control(
        self,
        user_id: int,
        control_code: int,
        wparam: int = 0,
        lparam: int = 0,
        text: str = "",
    ) -> None:
        """UserInfoControl: 1 kick, 4 block an IP address, ..., from 100 on your own."""
        self._wait(
            lambda server: server.user_info_control(
                user_id, control_code, wparam, lparam, text
            )
        )

    def query_info_from_server(self, query: int, text: str = "") -> str:
        """QueryInfoFromServer: one of the things the core knows."""
        return self._wait(lambda server: server.query_info_from_server(query, text))

    def set_sdk_option(self, option: int, value: int | bytes) -> None:
        """SetSDKOption: set an option of the server SDK."""
        self._wait(lambda server: server.set_sdk_option(option, value))

    def video_call_control(
        self,
        event: int,
        user_id: int,
        error: int = 0,
        flags: int = 0,
        param: int = 0,
        text: str = "",
    ) -> None:
        """VideoCallControl: end a user's call, or reply in the user's place."""
        self._wait(
            lambda server: server.video_call_control(
                event, user_id, error, flags, param, text
            )
        )

    def stream_record_ctrl_ex(
        self,
        user_id: int,
        start: bool,
        flags: int = 0,
        param: int = 0,
        text: str = "",
        server_id: int = ALL,
    ) -> None:
        """StreamRecordCtrlEx: begin or end a recording, or take a snapshot."""
        self._wait(
            lambda server: server.stream_record_ctrl_ex(
                user_id, start, flags, param, text, server_id
            )
        )

    def object_get_id_list(self, object_type: int) -> list[int]:
        """ObjectGetIdList: ids of the business objects of a type."""
        return self._wait(lambda server: server.object_get_id_list(object_type))

    def object_get_value(
        self, object_type: int, object_id: int, attribute: int
    ) -> bytes:
        """ObjectGetValue: an attribute of a business object."""
        return self._wait(
            lambda server: server.object_get_value(object_type, object_id, attribute)
        )

    def object_set_value(
        self, object_type: int, object_id: int, attribute: int, value: bytes
    ) -> None:
        """ObjectSetValue: give an attribute of a business object a value."""
        self._wait(
            lambda server: server.object_set_value(
                object_type, object_id, attribute, value
            )
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
    ) -> None:
        """ObjectControl: have a business object do something."""
        self._wait(
            lambda server: server.object_control(
                object_type, object_id, control, param1, param2, param3, param4, text
            )
        )


def _check_plain(name: str, function: Callable[..., Any]) -> None:
    """:raises TypeError: the function would give a coroutine, which nobody awaits."""
    check_callback(name, function)
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"the callback {name} must be a plain function, not async")
