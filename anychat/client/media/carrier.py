"""The way of a session's media: UDP, or the signalling link where UDP fails.

The server says what it offers (StreamTransMode).  With `UDP_THEN_TCP` both ends
of this class work at once: the search for a UDP path goes on for as long as media
is on the link, and the link is there for when UDP fails.

::

    SEARCHING --bound--> UDP --no answer (`binding`)--> LINK
        \\--`FALLBACK` s without a path--> LINK --bound, `SETTLING` s--> UDP

Media comes both ways for a moment at each change, and is taken both ways always,
so nobody who watches sees one: packets keep their numbers, and what the link has
not taken when UDP is back goes out by UDP.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from anychat.client.media.binding import Address
from anychat.client.media.transport import MediaTransport
from anychat.codes import StreamTransMode
from anychat.media.counters import Drops
from anychat.media.demux import Kind, classify
from anychat.media.outlet import MediaOutlet
from anychat.messages import MediaPath, Message

#: Seconds that UDP has to find a path before media goes over the link.
FALLBACK = 2.0
#: Seconds after a path was found until media leaves the link for it: the server's
#: relay takes packets from there once its own check was answered.
SETTLING = 0.2
#: Seconds that a packet may wait for the link before pictures are left out
#: rather than coded.
CONGESTED = 0.2


class MediaLink(Protocol):
    """A session's link, as far as media goes; see `ClientLink`."""

    behind: bool
    on_media: Callable[[bytes], None] | None
    on_eased: list[Callable[[], None]]

    def send(self, message: Message, request: int = 0) -> None:
        """Send a message."""

    def send_media(self, data: bytes) -> bool:
        """Send a packet, unless something waits already."""

    def keep_short(self) -> None:
        """Let little wait in the connection."""


class MediaCarrier:
    """Sends to, and receives from, the server's media plane.

    :param network: opens ports as a reactor does (``listenUDP``).
    :param received: given each RTP or RTCP packet and its kind.
    :param on_path: told when there is a way for media.
    :param on_udp: told when UDP reaches the server, with the round trip in
        seconds, and when it does not.
    """

    def __init__(
        self,
        reactor: Any,
        network: Any,
        random_bytes: Callable[[int], bytes],
        received: Callable[[Kind, bytes], None],
        on_path: Callable[[], None],
        on_udp: Callable[[bool, float | None], None],
    ):
        self.mode = StreamTransMode.UDP
        self.over_link = False
        """Whether media goes over the link."""
        self.drops = Drops()
        """Packets that the link had no room for."""
        self._reactor = reactor
        self._received = received
        self._on_path = on_path
        self._on_udp = on_udp
        self._told: bool | None = None
        self._begun = False
        self._link: MediaLink | None = None
        self._outlet = MediaOutlet(self.drops)
        self._timer: Any = None
        self._leaving: Any = None
        self.udp = MediaTransport(
            reactor, network, random_bytes, received, self._udp_changed
        )

    @property
    def bound(self) -> bool:
        """Whether there is a way for media."""
        return self.udp.bound or (self.over_link and self._link is not None)

    @property
    def round_trip(self) -> float:
        """Seconds to the server and back by UDP; 0 where that is not known."""
        return self.udp.round_trip

    @property
    def way(self) -> float:
        """Least of these seconds; 0 where that is not known."""
        return self.udp.way

    @property
    def congested(self) -> bool:
        """Whether media waits so long for the link that less of it were more."""
        return self._outlet.age(self._reactor.seconds()) > CONGESTED

    def begin(self, addresses: Sequence[Address], username: str, key: bytes) -> None:
        """Look for a way; again for a new session.

        :raise OSError: no port could be opened, and there is no other way.
        """
        self._begun = True
        if self.mode is StreamTransMode.TCP:
            self._go_over_link()
            return
        try:
            hasty = self.mode is StreamTransMode.UDP_THEN_TCP
            self.udp.begin(addresses, username, key, hasty)
        except OSError:
            if self.mode is StreamTransMode.UDP:
                raise
            self._fall_back()
            return
        if self.mode is StreamTransMode.UDP_THEN_TCP and self._timer is None:
            self._timer = self._reactor.callLater(FALLBACK, self._too_long)

    def set_active(self, active: bool) -> None:
        """Whether media is under way."""
        self.udp.set_active(active)

    def send(self, data: bytes) -> bool:
        """Send a packet to the server; false if it did not go out."""
        if not self.over_link:
            return self.udp.send(data)
        if self._link is None:
            return False
        if len(self._outlet) or not self._link.send_media(data):
            self._outlet.put(data, self._reactor.seconds())
            self._drain()
        return True

    def close(self) -> "Deferred[Any]":
        """End both ways; fires when the ports are closed."""
        self._stop_timer()
        self._stay()
        self.link_down()
        self._begun = self.over_link = False
        return self.udp.close()

    # The link.

    def link_up(self, link: MediaLink) -> None:
        """The session has a link, or a new one."""
        self.link_down()
        self._link = link
        link.on_media = self._from_link
        link.on_eased.insert(0, self._drain)
        if self.over_link:
            self._choose_link()

    def link_down(self) -> None:
        """The session's link is gone, and what was to go over it."""
        link, self._link = self._link, None
        if link is not None:
            link.on_media = None
            link.on_eased.remove(self._drain)
            self._outlet.clear()

    def _choose_link(self) -> None:
        assert self._link is not None
        self._link.keep_short()
        self._link.send(MediaPath(True))
        self._on_path()

    def _go_over_link(self) -> None:
        if not self.over_link:
            self.over_link = True
            if self._link is not None:
                self._choose_link()

    def _from_link(self, data: bytes) -> None:
        kind = classify(data)
        if kind is Kind.RTP or kind is Kind.RTCP:
            self._received(kind, data)

    def _drain(self) -> None:
        now = self._reactor.seconds()
        while self._link is not None and not self._link.behind:
            data = self._outlet.take(now)
            if data is None or not self._link.send_media(data):
                return

    # UDP.

    def _too_long(self) -> None:
        self._timer = None
        if not self.udp.bound:
            self._fall_back()

    def _fall_back(self) -> None:
        self._tell(False, None)
        self._go_over_link()

    def _udp_changed(self, bound: bool, delay: float | None) -> None:
        if not bound:
            self._stay()
            if self.mode is StreamTransMode.UDP_THEN_TCP and self._begun:
                self._fall_back()
            else:
                self._tell(False, None)
            return
        self._stop_timer()
        if self.over_link and self._leaving is None:
            self._leaving = self._reactor.callLater(SETTLING, self._leave_link)
        self._tell(True, delay)
        self._on_path()

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _leave_link(self) -> None:
        self._leaving = None
        self.over_link = False
        if self._link is not None:
            self._link.send(MediaPath(False))
        now = self._reactor.seconds()
        while (data := self._outlet.take(now)) is not None:
            self.udp.send(data)

    def _tell(self, bound: bool, delay: float | None) -> None:
        """Say once that UDP fails, and each time that it is bound."""
        if bound or self._told is not False:
            self._told = bound
            self._on_udp(bound, delay)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
