"""Media over clients' TCP links: what goes which way, and what waits.

A leg whose client cannot be reached by UDP has its packets lifted out of the
relay and written to its link, between the frames of signalling.  What the link
does not take waits in a `MediaOutlet`, which leaves out what is late; so signalling
is behind little media, and media never goes into a session's replay buffer.
"""

from collections.abc import Callable
from typing import Protocol

from anychat.ids import SessionId
from anychat.media.counters import Drop, Drops
from anychat.media.outlet import MediaOutlet


class MediaLink(Protocol):
    """A client's link, as far as media goes; see `signalling.ServerLink`."""

    @property
    def behind(self) -> bool:
        """Whether something waits to be read."""

    def write_media(self, data: bytes) -> bool:
        """Send a packet, unless something waits already."""


class _Linked:
    __slots__ = ("link", "outlet")

    def __init__(self, link: MediaLink, drops: Drops):
        self.link = link
        self.outlet = MediaOutlet(drops)


class MediaLinks:
    """The links that carry media.

    :param offered: whether the configuration lets media go over links.
    :param drops: where packets that are left out are counted.
    :param seconds: monotonic clock.
    """

    def __init__(self, offered: bool, drops: Drops, seconds: Callable[[], float]):
        self.offered = offered
        self._drops = drops
        self._seconds = seconds
        self._linked: dict[SessionId, _Linked] = {}

    def __len__(self) -> int:
        return len(self._linked)

    @property
    def waiting(self) -> int:
        """Bytes that wait for all links."""
        return sum(linked.outlet.size for linked in self._linked.values())

    def begin(self, session: SessionId, link: MediaLink) -> bool:
        """Send a session's media over that link; False: that is not offered."""
        if not self.offered:
            self._drops.add(Drop.NOT_OFFERED)
            return False
        linked = self._linked.get(session)
        if linked is None or linked.link is not link:
            self.end(session)
            self._linked[session] = _Linked(link, self._drops)
        return True

    def end(self, session: SessionId) -> None:
        """Send it so no longer, if it is; what waits is left out."""
        linked = self._linked.pop(session, None)
        if linked is not None:
            linked.outlet.clear()

    def send(self, session: SessionId, data: bytes) -> None:
        """Send a packet, now or when the link has room."""
        linked = self._linked.get(session)
        if linked is None:
            self._drops.add(Drop.UNREACHABLE)
        elif len(linked.outlet) or not linked.link.write_media(data):
            linked.outlet.put(data, self._seconds())
            self._drain(linked)

    def eased(self, session: SessionId) -> None:
        """The link has room again."""
        linked = self._linked.get(session)
        if linked is not None:
            self._drain(linked)

    def _drain(self, linked: _Linked) -> None:
        now = self._seconds()
        while not linked.link.behind:
            data = linked.outlet.take(now)
            if data is None or not linked.link.write_media(data):
                return
