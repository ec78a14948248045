"""``anychat-client join``: one user in one room, until the time is over."""

import os
import re
from argparse import Namespace
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from twisted.internet.defer import (
    Deferred,
    DeferredList,
    inlineCallbacks,
    maybeDeferred,
)
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.client import plane
from anychat.client.client import Client
from anychat.client.events import ClientEvents
from anychat.client.link import NO_CONNECTION
from anychat.client.output import EVENTS, Output, code_text, explained
from anychat.client.summary import published_streams, watched_users
from anychat.client.trans_task import TransTask
from anychat.client.transfers import no_files
from anychat.client.wishes import Publishing, Watching
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import Member

#: Exit codes.
FINE, REFUSED, USAGE, CANNOT_CONNECT = 0, 1, 2, 3

#: Seconds for a polite end: the logout, and the files.
LOGOUT_TIME, FILES_TIME = 2.0, 20.0


def exit_code(code: ResultCode) -> int:
    """The exit code that tells of a failure."""
    return CANNOT_CONNECT if code in NO_CONNECTION else REFUSED


def failure_code(
    failure: Failure, address: tuple[str, int], complain: Callable[[str], None]
) -> int:
    """Say what failed, unless it was ended on purpose; the exit code."""
    if failure.check(Refused) is None:
        complain(f"internal error: {failure.getTraceback()}")
        return REFUSED
    error: Refused = failure.value
    if error.code != ResultCode.CANCEL:
        complain(explained(error, address))
    return exit_code(error.code)


def log_out(client: Client, reactor: Any) -> "Deferred[Any]":
    """Log out, or give it up after `LOGOUT_TIME`; never fails.

    Without it the server would hold the session for a while.
    """
    return at_most(LOGOUT_TIME, client.logout().addErrback(lambda _: None), reactor)


def file_name(member: Member) -> str:
    """A name for a user's recording; nothing in it can leave the directory."""
    name = re.sub(r"[^\w-]+", "_", member.nickname).strip("_")[:64] or "user"
    return f"{name}_{member.user_id}.mp4"


class _JoinEvents(ClientEvents):
    """Passes every event on."""

    def __init__(self, take: Callable[[str, tuple[Any, ...]], None]):
        for name in EVENTS:
            setattr(self, name, self._passing(name, take))

    @staticmethod
    def _passing(
        name: str, take: Callable[[str, tuple[Any, ...]], None]
    ) -> Callable[..., None]:
        return lambda *arguments: take(name, arguments)


class _QuietSink:
    """Lets decoded frames go; the statistics count them."""

    def video_frame(self, frame: Any, when: float) -> None:
        """See `Sink`."""

    def audio_frame(self, frame: Any, when: float) -> None:
        """See `Sink`."""


class Join:
    """The run of the command."""

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        make_client: Callable[..., Client] = Client,
        open_source: Callable[[str], Any] = plane.open_source,
        make_sink: Callable[[str], Any] = plane.mp4_sink,
    ):
        """
        :param output: where events and the summary go.
        :param complain: prints an error.
        """
        self._reactor = reactor
        self._options = options
        self._output = output
        self._complain = complain
        self._open_source = open_source
        self._make_sink = make_sink
        self.client = make_client(
            reactor,
            _JoinEvents(self._event),
            trust=options.trust,
            auth_pass=options.auth_pass,
            plain=options.plain,
            log_path=options.log,
            media_at_login=options.media,
        )
        self.client.log.on_failure = self._no_log
        self.client.transfers.accept = self._accepts
        self._source: Any = None
        self._lost: ResultCode | None = None
        """Why the connection was lost, while it is being restored."""
        self._user_id = self._room_id = 0
        self._joined = False
        self._joined_at = 0.0
        self._publishings: list[Publishing] = []
        self._watchings: list[Watching] = []
        self._sinks: dict[Any, str] = {}
        self._files: dict[Watching, list[str]] = {}
        self._timer: Any = None
        self._ending: Deferred[int] | None = None
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        self._run().addErrback(self._failed)

    @inlineCallbacks
    def _run(self) -> Generator["Deferred[Any]", Any, None]:
        options = self._options
        if not (yield self._prepare()):
            self.finish(USAGE)
            return
        host, port = options.address
        connected = self.client.connect(host, port)
        # The next calls wait for it, and fail as it does.
        login = self.client.login(options.user, options.password)
        login.addErrback(self._failed)
        entered = self.client.enter_room(options.room, options.room_password)
        entered.addErrback(self._failed)
        yield connected
        yield entered
        if self._ending is None:
            self._begin()

    def _begin(self) -> None:
        """In the room: do there what is asked for."""
        options = self._options
        self._joined, self._joined_at = True, self._reactor.seconds()
        if options.seconds is not None:
            self._timer = self._reactor.callLater(options.seconds, self.finish, FINE)
        calls: list[Deferred[Any]] = []
        if options.say is not None:
            calls.append(self.client.send_text(options.say))
        if self._source is not None:
            published = self.client.publish(self._source, overrides=options.overrides)
            calls.append(published.addCallback(self._publishings.append))
        for member in self.client.members.values():
            self._watch(member)
        for call in calls:
            call.addErrback(self._failed)

    @inlineCallbacks
    def _prepare(self) -> Generator["Deferred[Any]", Any, bool]:
        """What can be wrong before there is a connection."""
        options = self._options
        try:
            for directory in options.save, options.accept_files:
                if directory is not None:
                    _make_directory(directory)
            if options.accept_files is not None:
                self.client.transfers.directory = options.accept_files
            if options.publish is not None:
                self._source = yield deferToThreadPool(
                    self._reactor,
                    self._reactor.getThreadPool(),
                    self._open_source,
                    options.publish,
                )
        except (OSError, ValueError) as error:
            self._complain(str(error))
            return False
        return True

    def _accepts(self, task: TransTask) -> bool:
        accepted = self._options.accept_files is not None or no_files(task)
        if not accepted:
            self._output.file_refused(task.user_id, task.file_name, task.length)
        return accepted

    def _no_log(self, error: OSError) -> None:
        self._complain(f"warning: no log in {self._options.log}: {error.strerror}")

    def _failed(self, failure: Failure) -> None:
        """Say what stopped it; the first thing that did."""
        if self._ending is not None:
            return
        if failure.check(Refused) is None:
            self._complain(f"internal error: {failure.getTraceback()}")
            self.finish(REFUSED)
            return
        self._refused(failure.value)

    def _refused(self, error: Refused) -> None:
        self._complain(explained(error, self._options.address))
        self.finish(exit_code(error.code))

    # What happens.

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "on_online_user":
            self._room_id = self.client.room_id
            self._output.know(self.client.members)
        self._output.event(name, arguments)
        if name == "on_session_keep":
            ended, code = arguments
            if not ended:
                self._lost = code
            elif not code:
                self._lost = None
        elif name == "on_login_system":
            self._user_id, self._lost = arguments[0], None
        elif name == "on_enter_room" and arguments[1] and self._ending is None:
            code = arguments[1]
            self._complain(f"room {self._options.room}: {code_text(code)}")
            self.finish(exit_code(code))
        elif name == "on_user_at_room":
            member, entered = arguments
            if entered:
                self._watch(member)
            else:
                for watching in self._watchings:
                    if watching.user_id == member.user_id:
                        self._close_sink(watching.sink)
        elif name == "on_online_user" and self._joined:
            # Back in the room after a new login, with new people in it.
            for member in self.client.members.values():
                self._watch(member)
        elif name == "on_link_close" and self._ending is None:
            self._refused(Refused(arguments[0]))

    def _watch(self, member: Member) -> None:
        wanted = self._options.watch
        if not self._joined or self._ending is not None:
            return
        if wanted is not None and member.user_id not in wanted:
            return
        if any(
            watching.user_id == member.user_id
            and watching.nickname == member.nickname
            and not watching.withdrawn
            for watching in self.client.watched
        ):
            return
        sink: Any = _QuietSink()
        if self._options.save is not None:
            path = os.path.join(self._options.save, file_name(member))
            sink = self._make_sink(path)
            self._sinks[sink] = path
        self.client.watch(member.user_id, sink=sink, **self._kinds()).addCallbacks(
            self._watchings.append, self._not_watched, errbackArgs=(member,)
        )

    def _kinds(self) -> dict[str, bool]:
        """What of a member is watched: everything."""
        return {}

    def _facts(self) -> dict[str, Any]:
        """What else there is for the summary."""
        return {}

    def _not_watched(self, failure: Failure, member: Member) -> None:
        failure.trap(Refused)
        if self._ending is None:
            self._complain(
                f"cannot watch {member.nickname} ({member.user_id}): "
                f"{code_text(failure.value.code)}"
            )

    def _close_sink(self, sink: Any) -> "Deferred[Any] | None":
        """Complete a recording whose streams have ended; None: it is no more."""
        if sink not in self._sinks:
            return None
        path = self._sinks.pop(sink)
        watchings = [item for item in self._watchings if item.sink is sink]

        def closed(paths: list[Path]) -> None:
            if sink.error is not None:
                self._complain(sink.error)
            for watching in watchings:
                self._files[watching] = [str(path) for path in paths]

        def failed(failure: Failure) -> None:
            self._complain(f"{path}: {failure.getErrorMessage()}")

        return maybeDeferred(sink.close).addCallback(closed).addErrback(failed)

    # The end.

    def finish(self, code: int) -> "Deferred[int]":
        """Log out, complete the files, print the summary; `done` fires then."""
        if self._ending is None:
            if code == FINE and self._lost is not None:
                reason = Refused(self._lost, "lost, and not restored so far")
                self._complain(explained(reason, self._options.address))
                code = CANNOT_CONNECT
            self._ending = Deferred()
            self._end(code).addErrback(self._broken_end)
        return self._ending

    def _broken_end(self, failure: Failure) -> None:
        self._complain(f"internal error: {failure.getTraceback()}")
        self._over(REFUSED)

    @inlineCallbacks
    def _end(self, code: int) -> Generator["Deferred[Any]", Any, None]:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        client = self.client
        joined = self._joined
        summary = {
            "code": code,
            "user_id": self._user_id,
            "room_id": self._room_id,
            "seconds": round(self._reactor.seconds() - self._joined_at, 3)
            if joined
            else 0.0,
            "published": published_streams(self._publishings),
            **self._facts(),
        }
        for watching in client.watched:
            client.unwatch(watching.user_id, watching.stream_index)
        saving = [self._close_sink(sink) for sink in tuple(self._sinks)]
        saved = DeferredList([item for item in saving if item is not None])
        yield at_most(FILES_TIME, saved, self._reactor)
        if client.user_id and self._lost is None:
            yield log_out(client, self._reactor)
        stopped = client.close()
        yield at_most(FILES_TIME, stopped, self._reactor)
        if stopped.called:
            self._let_go()
        summary["watched"] = watched_users(self._watchings, self._files)
        self._output.summary(summary)
        self._over(code)

    def _let_go(self) -> None:
        """Publish nothing any more."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _over(self, code: int) -> None:
        ending = self._ending
        assert ending is not None
        ending.callback(code)
        self.done.callback(code)


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"not a directory: {path}") from None
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error


def at_most(seconds: float, waited: "Deferred[Any]", clock: Any) -> "Deferred[None]":
    """Fires after the other one, at the latest after so many seconds."""
    result: Deferred[None] = Deferred()
    late = clock.callLater(seconds, result.callback, None)

    def came(outcome: Any) -> Any:
        if not result.called:
            late.cancel()
            result.callback(None)
        return outcome

    waited.addBoth(came)
    return result
