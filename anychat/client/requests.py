"""Requests of a client: each waits its turn, and its reply is checked."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from anychat.client.calls import Calls, Need, checked
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import Message, Result


class Requests:
    """What one client asks of its server."""

    def __init__(self, send: "Callable[[Message], Deferred[Message]]", calls: Calls):
        """
        :param send: sends a request; raises `Refused`, and fails with
            `SessionLost`.
        """
        self._send = send
        self._calls = calls

    def send(self, message: Message) -> "Deferred[Message]":
        """Ask at once; fires with the reply, whatever it says."""
        return maybeDeferred(self._send, message)

    def command(self, message: Message) -> "Deferred[None]":
        """Ask for what is answered by `Result`; 101 if the session is lost."""

        def start() -> "Deferred[None]":
            return self.send(message).addCallbacks(done, lost)

        def done(reply: Message) -> None:
            checked(reply, Result)

        def lost(failure: Failure) -> None:
            failure.trap(SessionLost)
            raise Refused(ResultCode.CONNECT_ABORT)

        return self._calls.submit(Need.SESSION, start)

    def query(self, message: Message, expected: type[Message]) -> "Deferred[Any]":
        """Ask for an answer of that type; again if the session is lost meanwhile."""

        def start() -> "Deferred[Any]":
            return self.send(message).addCallbacks(
                checked, again, callbackArgs=(expected,)
            )

        def again(failure: Failure) -> "Deferred[Any]":
            # A query may be asked twice.
            failure.trap(SessionLost)
            return self._calls.submit(Need.SESSION, start)

        return self._calls.submit(Need.SESSION, start)
