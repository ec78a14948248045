"""What a client's transfers say to the server: chunks, and how tasks end."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from anychat.client.calls import Calls, Need
from anychat.client.trans_task import TransTask
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import EndTransfer, Message
from anychat.protocols.signalling import ClientLink


class TransferLink:
    """The link, while there is one.

    :param request: sends a request.
    :param calls: has what cannot be asked now wait for a session.
    """

    def __init__(self, request: Callable[[Message], "Deferred[Message]"], calls: Calls):
        self.link: ClientLink | None = None
        self._request = request
        self._calls = calls
        self._ending: set[int] = set()
        """Tasks of which the server has not answered yet that they are over."""

    def may_send(self) -> bool:
        """Whether nothing waits on the link."""
        return self.link is not None and not self.link.behind

    def carry(self, type: int, body: bytes) -> None:
        """Send what carries no number."""
        if self.link is not None:
            self.link.carry(type, body)

    def ask(self, message: Callable[[], Message]) -> "Deferred[Message]":
        """Ask the server, when there is a session; see `Calls.submit`."""
        return self._calls.submit(Need.SESSION, lambda: self._request(message()))

    def end(self, task: TransTask, code: ResultCode) -> None:
        """Tell the server how a task has ended; nothing hangs on its answer."""
        message = EndTransfer(task.task_id, task.kind, code)
        self._ending.add(message.task_id)
        call = self.ask(lambda: message)
        call.addBoth(self._ended, message.task_id)
        call.addErrback(lambda failure: failure.trap(Refused, SessionLost))

    def is_ending(self, task_id: int) -> bool:
        """Whether the server is about to hear that a task is over."""
        return task_id in self._ending

    def _ended(self, result: Any, task_id: int) -> Any:
        self._ending.discard(task_id)
        return result
