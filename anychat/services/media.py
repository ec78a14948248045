"""The media service: the relay and the legs, put together.

What signalling asks (a leg for a session, a route for a publication, its keys
for a watcher) is done here; what arrives on the port goes straight to the
relay's forwarder, and only what it puts aside comes back to the legs.

The keys of publications live here and in the messages that carry them to their
clients, nowhere else: not in the core, not in its journal, not in a log.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from anychat import banner
from anychat.codes import StreamKind, UserState
from anychat.errors import LocalError
from anychat.ids import SessionId, Ssrc
from anychat.media.counters import Drop, MediaCounters
from anychat.media.leg import Legs
from anychat.media.leg_state import Credentials, Reception
from anychat.media.port import PortSettings, Reactor
from anychat.media.relay import Make, PortableRelay
from anychat.media.ring import Datagram
from anychat.media.srtp import KEY_LENGTH, SALT_LENGTH
from anychat.media.ssrc import SsrcSource
from anychat.messages import MediaSetup
from anychat.services.media_links import MediaLink, MediaLinks
from anychat.services.traces import Traces

#: Bytes of the key that signs a leg's STUN messages.
STUN_KEY_LENGTH = 20
#: Copies for links that are seen to in one go.
COPIES_ROUND = 256


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """What a watcher needs to decrypt a publication from now on."""

    roc: int
    """Roll-over counter at ``sequence``."""
    sequence: int
    """Latest sequence number forwarded; with ``roc`` 0 before the first."""
    key: bytes = field(repr=False)
    salt_key: bytes = field(repr=False)


class MediaService(Service):
    """The media plane of the server.

    :param public_addresses: IP literals that clients are told to send to, for
        a server behind a NAT; empty: the address they reach by TCP.
    :param random_bytes: source of keys, SSRCs and transaction ids; must be fit
        for cryptography (``os.urandom``).
    :param log: writes a line of the server's log.
    :param seconds: monotonic clock.
    :param make_relay: see `relay.maker`.
    :param over_links: whether media may go over clients' TCP links.
    """

    def __init__(
        self,
        reactor: Reactor,
        settings: PortSettings,
        public_addresses: tuple[str, ...],
        random_bytes: Callable[[int], bytes],
        log: Callable[[str], None],
        seconds: Callable[[], float] = time.monotonic,
        make_relay: Make = PortableRelay,
        over_links: bool = False,
    ) -> None:
        self._reactor = reactor
        self._public_addresses = public_addresses
        self._random_bytes = random_bytes
        self._log = log
        self._seconds = seconds
        self._relay = make_relay(reactor, settings, self._received, seconds)
        self._forwarder = self._relay.forwarder
        self._legs = Legs(self._forwarder, random_bytes)
        self._links = MediaLinks(over_links, self._legs.drops, seconds)
        self._ssrcs = SsrcSource(random_bytes)
        self._keys: dict[Ssrc, tuple[bytes, bytes]] = {}
        self._credentials: dict[SessionId, Credentials] = {}
        self._traces = Traces(self._credentials, self._legs.drops)
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0
        self._again: IDelayedCall | None = None

    def startService(self) -> None:
        """Open the port.

        :raise CannotListenError: it is in use, or an address is not ours.
        """
        lines = self._relay.start()
        super().startService()
        for line in (banner.started("UDP", self.port), *lines):
            self._log(line)

    def stopService(self) -> None:
        """Close the port and every leg."""
        super().stopService()
        for session in tuple(self._credentials):
            self.close_leg(session)
        for call in (self._timer, self._again):
            if call is not None:
                call.cancel()
        self._timer = self._again = None
        self._relay.stop()

    @property
    def port(self) -> int:
        """The UDP port listened on."""
        return self._relay.number

    # What signalling asks.

    def new_ssrc(self) -> Ssrc:
        """An SSRC for a publication to come."""
        return self._ssrcs.new()

    def open_leg(self, session: SessionId) -> MediaSetup:
        """Begin a session's media; returns what its client needs for it.

        :raise LocalError: the session has a leg.
        """
        random_bytes = self._random_bytes
        credentials = Credentials(
            username=random_bytes(8).hex(),
            client_ssrc=self._ssrcs.new(),
            server_ssrc=self._ssrcs.new(),
            stun_key=random_bytes(STUN_KEY_LENGTH),
            rtcp_key=random_bytes(KEY_LENGTH),
            rtcp_salt=random_bytes(SALT_LENGTH),
        )
        self._legs.open(session, credentials)
        self._credentials[session] = credentials
        self._ssrcs.hold(credentials.client_ssrc)
        self._ssrcs.hold(credentials.server_ssrc)
        return MediaSetup(
            addresses=self._public_addresses,
            port=self.port,
            username=credentials.username,
            client_ssrc=credentials.client_ssrc,
            server_ssrc=credentials.server_ssrc,
            stun_key=credentials.stun_key,
            rtcp_key=credentials.rtcp_key,
            rtcp_salt_key=credentials.rtcp_salt,
        )

    def close_leg(self, session: SessionId) -> None:
        """End a session's media, what it publishes included, if it has any."""
        credentials = self._credentials.pop(session, None)
        if credentials is None:
            return
        for ssrc in self._legs.published(session):
            self._forget_keys(ssrc)
        self._links.end(session)
        self._traces.close(session)
        self._legs.close(session)
        self._ssrcs.release(credentials.client_ssrc)
        self._ssrcs.release(credentials.server_ssrc)
        self._settle()

    def publish(
        self, session: SessionId, ssrc: Ssrc, kind: StreamKind
    ) -> tuple[bytes, bytes]:
        """Begin a publication; returns its fresh master key and salt.

        :raise LocalError: the session has no leg, or the SSRC is in use.
        """
        self._legs.publish(session, ssrc, kind)
        self._ssrcs.hold(ssrc)
        keys = self._random_bytes(KEY_LENGTH), self._random_bytes(SALT_LENGTH)
        self._keys[ssrc] = keys
        return keys

    def publish_layer(
        self, session: SessionId, ssrc: Ssrc, stream: Ssrc
    ) -> tuple[bytes, bytes]:
        """Begin the smaller layer of a publication; as `publish`.

        :raise LocalError: there is no such publication, or it has one.
        """
        keys = self.publish(session, ssrc, StreamKind.VIDEO)
        self._legs.add_layer(stream, ssrc)
        return keys

    def unpublish(self, ssrc: Ssrc) -> None:
        """End a publication for all its receivers, if it is open."""
        self._forget_keys(ssrc)
        self._legs.unpublish(ssrc)
        self._settle()

    def subscribe(self, session: SessionId, ssrc: Ssrc) -> StreamKeys:
        """Forward a publication to a session, which may have it already.

        :raise LocalError: the session has no leg, or there is no such stream.
        """
        self._legs.subscribe(session, ssrc, self._seconds())
        keys = self.keys(ssrc)
        self._settle()
        return keys

    def keys(self, ssrc: Ssrc) -> StreamKeys:
        """What decrypts a publication that is open."""
        roc, sequence = self._forwarder.position(ssrc)
        key, salt_key = self._keys[ssrc]
        return StreamKeys(roc, sequence, key, salt_key)

    def unsubscribe(self, session: SessionId, ssrc: Ssrc) -> None:
        """Forward a publication to a session no longer, if it is."""
        self._legs.unsubscribe(session, ssrc)
        self._settle()

    def route_trace(
        self, session: SessionId, user_id: int, receivers: tuple[SessionId, ...] | None
    ) -> None:
        """Pass a session's trace probes on to these; None: it sends none any more."""
        self._traces.route(session, user_id, receivers)

    # What clients' links report.

    def link_path(self, session: SessionId, link: MediaLink | None) -> None:
        """A session wants its media over that link; None: by UDP, or the link is
        gone."""
        if session not in self._credentials:
            return
        if link is None:
            self._links.end(session)
        elif not self._links.begin(session, link):
            return
        self._legs.over_link(session, link is not None, self._seconds())
        self._settle()

    def link_media(self, session: SessionId, data: bytes) -> None:
        """A packet came over a session's link."""
        if session not in self._credentials or not self._links.offered:
            self._legs.drops.add(Drop.NOT_OFFERED)
            return
        self._legs.receive_from_link(session, data, self._seconds())
        self._lift()
        self._settle()

    def link_eased(self, session: SessionId) -> None:
        """A session's link has room again."""
        self._links.eased(session)

    def adapt(self, session: SessionId, adaptive: bool) -> None:
        """Send a session what its way takes, or what it asked for in any case."""
        if session in self._credentials:
            self._legs.switching.adapt(session, adaptive, self._seconds())
            self._settle()

    # What operators ask.

    def receptions(self, session: SessionId) -> dict[Ssrc, Reception]:
        """How a session receives its streams, by its latest reports.

        :raise LocalError: the session has no leg.
        """
        return self._legs.receptions(session)

    def figure(self, session: SessionId, state: UserState) -> int:
        """A network figure of a session, as AnyChat's user states have it; 0 of
        one that may have no media."""
        if session not in self._credentials:
            return 0
        figures = self._legs.figures(session, self._seconds())
        match state:
            case UserState.VIDEO_BITRATE:
                return figures.video_bitrate
            case UserState.AUDIO_BITRATE:
                return figures.audio_bitrate
            case UserState.NETWORK_QUALITY:
                return figures.quality
            case UserState.PACKET_LOSS:
                return round(100 * figures.losses.loss)
            case UserState.LOSS_AFTER_REPAIR:
                return round(100 * figures.losses.after_repair)
        raise LocalError(f"{state.name} is not measured")

    def counters(self) -> MediaCounters:
        """A snapshot of everything counted."""
        forwarder = self._forwarder.counters()
        return MediaCounters(
            forwarder=forwarder,
            port=self._relay.counters(),
            legs=len(self._legs),
            bound=self._legs.bindings.bound,
            over_links=len(self._links),
            links_waiting=self._links.waiting,
            traces=len(self._traces),
            probes=self._traces.probes,
            probes_relayed=self._traces.relayed,
            layers_switched=self._legs.switching.switched,
            answered=self._legs.bindings.answered,
            key_frames_asked=self._legs.requests.key_frames_asked,
            packets_asked=self._legs.requests.packets_asked,
            drops={
                reason: forwarder.drops.get(reason, 0) + self._legs.drops[reason]
                for reason in forwarder.drops | self._legs.drops.snapshot()
            },
        )

    # Inside.

    def _forget_keys(self, ssrc: Ssrc) -> None:
        if self._keys.pop(ssrc, None) is not None:
            self._ssrcs.release(ssrc)

    def _received(self) -> None:
        """A batch was read: see to what the forwarder has put aside."""
        # Media alone leaves nothing to see to, and then costs only this.
        if len(self._links):
            self._lift()
        if self._legs.waiting():
            self._read_waiting()

    def _lift(self) -> None:
        """Give links what the forwarder has for them."""
        copies = self._forwarder.take_copies(COPIES_ROUND)
        for copy in copies:
            self._links.send(copy.leg, copy.data)
        if len(copies) == COPIES_ROUND:
            self._come_again()

    def _read_waiting(self) -> None:
        now = self._seconds()
        self._legs.receive_waiting(now)
        for leg, datagram in self._legs.control():
            self._trace(leg, datagram, now)
        self._settle()
        if self._legs.waiting():
            self._come_again()

    def _trace(self, leg: SessionId, datagram: Datagram, now: float) -> None:
        for receiver, data in self._traces.receive(
            leg, datagram.data, datagram.now, now
        ):
            path = self._legs.path(receiver)
            if path is not None:
                self._relay.send(data, path)

    def _come_again(self) -> None:
        """Go on when other descriptors have had their turn."""
        if self._again is None:
            self._again = self._reactor.callLater(0, self._read_again)

    def _read_again(self) -> None:
        self._again = None
        self._lift()
        self._read_waiting()

    def _settle(self) -> None:
        """After every input: send what is to be sent, and set the timer."""
        for data, path in self._legs.to_send():
            self._relay.send(data, path)
        for data, leg in self._legs.to_links():
            self._links.send(leg, data)
        self._relay.settle()
        when = self._legs.next_timeout()
        timer = self._timer
        if timer is not None:
            # A timer that is early costs less than one that is always moved.
            if when is not None and self._timer_at <= when:
                return
            timer.cancel()
            self._timer = None
        if when is not None:
            self._timer_at = when
            delay = max(0.0, when - self._seconds())
            self._timer = self._reactor.callLater(delay, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        self._legs.handle_timeout(self._seconds())
        self._settle()
