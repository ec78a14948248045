"""What a leg consists of: credentials, streams, what it has reported.

The data behind `leg.Legs` and its parts, which alone alter it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc
from anychat.media import figures
from anychat.media.buckets import Limit, TokenBucket
from anychat.media.demux import Kind
from anychat.media.feedback import KeyFrames
from anychat.media.figures import Losses, NetworkFigures
from anychat.media.path import Address, Path
from anychat.media.ring import Datagram, Filled, Missing
from anychat.media.srtp import SrtcpReceiver, SrtcpSender
from anychat.media.stream import CACHE_TIME
from anychat.media.uplink import Arrivals

#: RTCP datagrams of one leg that are read.
FEEDBACK = Limit(rate=250, burst=500)
#: Packets sent again to one leg.
RETRANSMISSIONS = Limit(rate=2000, burst=1000)
#: Packets whose arrival one leg may tell of, beyond what any receives; a feedback
#: counts for so many more, and each of its blocks, since they are work as well.
TOLD = Limit(rate=10_000, burst=10_000)
TOLD_ONCE = 100
TOLD_BLOCK = 8
#: Receiver reports that are kept of each stream: some seconds' worth.
REPORTS_KEPT = 6

#: What idle legs share: two sets of its own would be a fifth of a leg.
NO_STREAMS: frozenset[Ssrc] = frozenset()


class Routes(KeyFrames, Arrivals, Protocol):
    """What of a forwarder the legs use; see `routes.Forwarder`."""

    def open_stream(
        self,
        ssrc: Ssrc,
        kind: StreamKind,
        source: Address | None = None,
        publisher: SessionId | None = None,
    ) -> None: ...

    def move_source(self, ssrc: Ssrc, source: Address | None) -> None: ...

    def close_stream(self, ssrc: Ssrc) -> None: ...

    def add_destination(
        self, ssrc: Ssrc, leg: SessionId, path: Path | None, gated: bool
    ) -> None: ...

    def move_destination(
        self, ssrc: Ssrc, leg: SessionId, path: Path | None
    ) -> None: ...

    def remove_destination(self, ssrc: Ssrc, leg: SessionId) -> None: ...

    def spare_destination(self, ssrc: Ssrc, leg: SessionId, sparing: bool) -> None: ...

    def is_gated(self, ssrc: Ssrc, leg: SessionId) -> bool: ...

    def position(self, ssrc: Ssrc) -> tuple[int, int]: ...

    def retransmit(
        self, ssrc: Ssrc, leg: SessionId, sequences: list[int], now: float
    ) -> int: ...

    def admit(self, data: bytes, now: float) -> None: ...

    def take(self, kind: Kind, most: int) -> list[Datagram]: ...

    def take_arrivals(self, most: int) -> list[Missing | Filled]: ...

    def waiting(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs to use its leg; told it over TLS."""

    username: str
    client_ssrc: Ssrc
    """SSRC of the RTCP that comes from the client."""
    server_ssrc: Ssrc
    """SSRC of the RTCP that goes to it."""
    stun_key: bytes = field(repr=False)
    rtcp_key: bytes = field(repr=False)
    rtcp_salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reception:
    """A receiver's last word on a stream (RFC 3550 section 6.4.1)."""

    fraction_lost: float
    """Of the packets since the report before, 0 to 1."""
    lost: int
    """In all; negative where there were duplicates."""
    jitter: int
    """In units of the stream's clock."""
    when: float
    highest: int = 0
    """The highest sequence number that came, extended to 32 bits."""


class Incoming:
    """The RTCP of a leg that has sent some."""

    __slots__ = ("feedback", "receiver", "receptions", "retransmissions", "told")

    def __init__(self, credentials: Credentials):
        self.receiver = SrtcpReceiver(
            credentials.rtcp_key, credentials.rtcp_salt, credentials.client_ssrc
        )
        self.feedback = TokenBucket(FEEDBACK)
        self.retransmissions = TokenBucket(RETRANSMISSIONS)
        self.told = TokenBucket(TOLD)
        self.receptions: dict[Ssrc, deque[Reception]] = {}
        """The latest reports on each stream, oldest first."""


class Leg:
    """A client as the media plane knows it."""

    __slots__ = (
        "credentials",
        "figures",
        "incoming",
        "leg",
        "link_since",
        "published",
        "received",
        "round_trip",
        "sender",
        "subscribed",
    )

    def __init__(self, leg: SessionId, credentials: Credentials):
        self.leg = leg
        self.credentials = credentials
        self.published = NO_STREAMS
        self.subscribed = NO_STREAMS
        self.received = NO_STREAMS
        """What it is sent: of a video with two layers the one or the other, and
        both while it is switched over."""
        self.round_trip = 0.0
        self.link_since: float | None = None
        """When it went over to its TCP link; None: it gets its media by UDP."""
        # Made when first needed: most legs of a big server are idle.
        self.incoming: Incoming | None = None
        self.sender: SrtcpSender | None = None
        self.figures: tuple[float, NetworkFigures] | None = None
        """When they were last asked for, and what was found."""

    @property
    def over_link(self) -> bool:
        """Whether it gets its media over its TCP link."""
        return self.link_since is not None

    def leaves_out(self, now: float) -> bool:
        """Whether what is missing between it and us was left out on purpose."""
        return self.link_since is not None and now - self.link_since > CACHE_TIME


class Publication:
    """A stream that comes from a leg."""

    __slots__ = ("kind", "layer", "leg", "receivers", "stream", "subscribers")

    def __init__(self, leg: Leg, kind: StreamKind):
        self.leg = leg
        self.kind = kind
        self.stream: Ssrc | None = None
        """Of a layer: what it is a layer of."""
        self.layer: Ssrc | None = None
        self.subscribers: set[SessionId] = set()
        self.receivers: set[SessionId] = set()


def reported_losses(reports: Sequence[Reception], now: float) -> Losses:
    """What a receiver's latest reports on a stream say."""
    recent = [report for report in reports if report.when > now - figures.SPAN]
    if not recent:
        return Losses()
    expected = recent[-1].highest - recent[0].highest
    lost = max(0, recent[-1].lost - recent[0].lost)
    after_repair = min(1.0, lost / expected) if expected > 0 else 0.0
    at_first = sum(report.fraction_lost for report in recent) / len(recent)
    return Losses(max(at_first, after_repair), after_repair)
