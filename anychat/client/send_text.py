"""``anychat-client send-text``: say something to a user or a room, and go."""

from argparse import Namespace
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.python.failure import Failure

from anychat.client.client import Client
from anychat.client.join import (
    CANNOT_CONNECT,
    FINE,
    REFUSED,
    failure_code,
    log_out,
)
from anychat.client.output import Output
from anychat.client.transfers import no_files
from anychat.codes import WHOLE_ROOM


class SendText:
    """The run of the command."""

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        make_client: Callable[..., Client] = Client,
    ):
        self._options = options
        self._output = output
        self._complain = complain
        self._clock = reactor
        self._client = make_client(
            reactor,
            trust=options.trust,
            auth_pass=options.auth_pass,
            plain=options.plain,
            log_path=None,
            auto_reconnect=False,
        )
        self._client.transfers.accept = no_files
        self._sent = 0
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        self._run().addCallbacks(lambda _: FINE, self._failed).addCallback(self._end)

    def finish(self, code: int) -> "Deferred[int]":
        """End it early: what has not been sent is not."""
        if self._sent < len(self._options.text):
            code = REFUSED if self._client.user_id else CANNOT_CONNECT
        self._end(code)
        return self.done

    @inlineCallbacks
    def _run(self) -> Generator["Deferred[Any]", Any, None]:
        options, client = self._options, self._client
        host, port = options.address
        yield client.connect(host, port)
        yield client.login(options.user, options.password)
        if options.room is not None:
            yield client.enter_room(options.room, options.room_password)
        target = WHOLE_ROOM if options.to is None else options.to
        for text in options.text:
            yield client.send_text(text, target, options.secret)
            self._sent += 1
            self._tell(target, text)
        yield log_out(client, self._clock)

    def _tell(self, target: int, text: str) -> None:
        if self._options.json:
            values = {
                "user_id": self._client.user_id,
                "room_id": self._client.room_id,
                "target": target,
                "secret": self._options.secret,
                "text": text,
            }
            self._output.object("text_sent", values)

    def _failed(self, failure: Failure) -> int:
        return failure_code(failure, self._options.address, self._complain)

    def _end(self, code: int) -> None:
        if self.done.called:
            return
        if self._options.json:
            self._output.object("summary", {"code": code, "sent": self._sent})
        # Calls that wait fail by this, and come here again.
        self.done.callback(code)
        self._client.close()
