"""What transfers send over clients' links: grants at once, chunks in their turn.

A chunk is written while nothing else waits on a link; what comes meanwhile waits
here.  That is at most a window for each of the receiver's tasks that have
one.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from anychat.ids import SessionId
from anychat.messages import TransferGrant, TransferPortion
from anychat.protocols.formats import number_of
from anychat.protocols.framing import encode_frame
from anychat.protocols.signalling import ServerLink
from anychat.transfers.chunks import Grant, encode_grant, place_of

_PORTION, _GRANT = number_of(TransferPortion), number_of(TransferGrant)


class Links(Protocol):
    """The clients' links."""

    carried: "dict[int, Callable[[Any, bytes], bool]]"
    """Who takes the session messages that carry no number, by type."""
    eased: "list[Callable[[SessionId], None]]"
    """Who is told that a link has caught up."""

    def link_of(self, session: SessionId) -> ServerLink | None:
        """The link that a session has."""


class TransferLinks:
    """The links, and the chunks that wait for them."""

    def __init__(self, links: Links):
        self._links = links
        self._waiting: dict[SessionId, deque[tuple[int, bytes]]] = {}

    @property
    def queued(self) -> int:
        """Bytes that wait for all links."""
        return sum(len(body) for line in self._waiting.values() for _, body in line)

    def has_link(self, session: SessionId) -> bool:
        """Whether a session has a link."""
        return self._links.link_of(session) is not None

    def grant(self, session: SessionId, grant: Grant) -> bool:
        """Tell a sender what it may send; False: it has no link."""
        link = self._links.link_of(session)
        if link is None:
            return False
        _write(link, _GRANT, encode_grant(grant))
        return True

    def pass_on(self, session: SessionId, task_id: int, body: bytes) -> None:
        """Send a receiver a chunk, after those that wait already."""
        link = self._links.link_of(session)
        if link is None:
            return
        if session in self._waiting or link.behind:
            self._waiting.setdefault(session, deque()).append((task_id, body))
        else:
            _write(link, _PORTION, body)

    def drain(self, session: SessionId) -> None:
        """A link has caught up: send what waits, as far as it goes."""
        waiting = self._waiting.get(session)
        link = self._links.link_of(session)
        if waiting is None or link is None:
            return
        while waiting and not link.behind and not link.closed:
            _, body = waiting.popleft()
            _write(link, _PORTION, body)
        if not waiting:
            del self._waiting[session]

    def forget(self, session: SessionId, task_id: int) -> None:
        """Throw away what waits of a task."""
        waiting = self._waiting.get(session)
        if waiting is None:
            return
        rest = deque(item for item in waiting if item[0] != task_id)
        if rest:
            self._waiting[session] = rest
        else:
            del self._waiting[session]

    def take_back(self, session: SessionId, task_id: int) -> int | None:
        """Throw it away to have it sent again later; the offset where it begins."""
        for number, body in self._waiting.get(session, ()):
            if number == task_id:
                self.forget(session, task_id)
                return place_of(body)[1]
        return None


def _write(link: ServerLink, type: int, body: bytes) -> None:
    session = link.session
    if session is not None:
        link.write(encode_frame(type, body, ack=session.last_taken()))
