"""What the media plane counts, and why it drops a datagram.

The counting itself is in plain attributes beside the code it is about; the
frozen classes here are the snapshots that metrics and tests read.
"""

from dataclasses import dataclass
from enum import Enum

from anychat.codes import StreamKind
from anychat.ids import SessionId, Ssrc


class Drop(Enum):
    """Why a datagram went no further."""

    # Found by the forwarder.
    EMPTY = "empty"
    """Too short to tell what it is."""
    NOISE = "noise"
    """Its first byte is nothing of ours."""
    UNWANTED = "unwanted"
    """A kind that nobody here takes."""
    OVERSIZED = "oversized"
    """Longer than a media datagram may be."""
    MALFORMED_RTP = "malformed_rtp"
    """A header that does not fit its own lengths, or no room for the tag."""
    MALFORMED_RTCP = "malformed_rtcp"
    UNKNOWN_SSRC = "unknown_ssrc"
    """Of no open stream."""
    UNBOUND = "unbound"
    """The publisher has no bound address yet, or has lost it."""
    WRONG_SOURCE = "wrong_source"
    """From another address than the publisher's bound one."""
    DUPLICATE = "duplicate"
    LATE = "late"
    """Behind the window in which duplicates could be told."""
    LIMITED = "limited"
    """Of a publisher that sends more than it may; of video, the rest of the
    frame with it."""
    NOT_A_REPORT = "not_a_report"
    """RTCP under a publication's SSRC that is not a sender report."""
    STUN_FULL = "stun_full"
    """The STUN ring was full."""
    RTCP_FULL = "rtcp_full"
    """The RTCP ring was full."""
    CONTROL_FULL = "control_full"
    DTLS_FULL = "dtls_full"
    ARRIVAL_FULL = "arrival_full"
    """The ring of uplink losses was full: these are not asked for again."""

    RETRANSMIT_FULL = "retransmit_full"
    """More packets to be sent again than the relay's threads can be told."""

    # Found on the way of a copy to one destination.
    CONGESTED = "congested"
    """The send buffer was full; video goes on with the next frame."""
    SKIPPED = "skipped"
    """The rest of a frame that lost a packet to congestion."""
    UNREACHABLE = "unreachable"
    """The kernel refused to send to the address."""

    # Found by the address binding.
    MALFORMED_STUN = "malformed_stun"
    UNEXPECTED_STUN = "unexpected_stun"
    """A response that nobody waits for, an indication, another method."""
    UNAUTHENTICATED = "unauthenticated"
    """Of USERNAME and MESSAGE-INTEGRITY only one."""
    UNKNOWN_USERNAME = "unknown_username"
    FORGED_STUN = "forged_stun"
    """MESSAGE-INTEGRITY does not hold."""
    REPLAYED_STUN = "replayed_stun"
    """A transaction seen before, from an address that did not begin it."""
    STUN_RATE = "stun_rate"
    """More requests than a leg may make."""
    CHECKS_FULL = "checks_full"
    """More new addresses than a leg may propose."""
    ANSWER_RATE = "answer_rate"
    """More plain Binding requests than are answered."""

    # Found by the legs' RTCP.
    UNKNOWN_RTCP_SSRC = "unknown_rtcp_ssrc"
    RTCP_WRONG_SOURCE = "rtcp_wrong_source"
    FORGED_RTCP = "forged_rtcp"
    """Authentication failed, a replay, or somebody else's SSRC inside."""
    RTCP_RATE = "rtcp_rate"
    """More RTCP than a leg may send."""
    NOT_SUBSCRIBED = "not_subscribed"
    """Feedback about a stream that the leg does not receive."""
    RETRANSMIT_RATE = "retransmit_rate"
    """More packets asked for again than a leg may have."""
    LEFT_OUT = "left_out"
    """Packets asked for again that a TCP link had no room for."""

    # Found on the way over TCP links.
    LINK_FULL = "link_full"
    """A link's client does not read as fast; of video, the rest of the frame."""
    LINK_LATE = "link_late"
    """Waited for a link too long."""
    NOT_OFFERED = "not_offered"
    """Media over a link that the configuration does not offer."""

    # Found by the UDP trace.
    CONTROL_UNKNOWN = "control_unknown"
    """Of no leg, or not from where that leg is bound."""
    CONTROL_FORGED = "control_forged"
    """No probe, one that was altered, or one that came before."""
    CONTROL_RATE = "control_rate"
    """More of a trace than is taken or passed on."""
    NO_TRACE = "no_trace"
    """A probe of who has no trace under way."""


class Drops:
    """A count for each reason."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Drop, int] = {}

    def add(self, reason: Drop, number: int = 1) -> None:
        """Count that many datagrams dropped for the reason."""
        counts = self._counts
        counts[reason] = counts.get(reason, 0) + number

    def __getitem__(self, reason: Drop) -> int:
        return self._counts.get(reason, 0)

    def snapshot(self) -> dict[Drop, int]:
        """The reasons that occurred, with their counts."""
        return dict(self._counts)


@dataclass(frozen=True, slots=True)
class DestinationCounters:
    """What one receiver of a stream was sent."""

    leg: SessionId
    packets: int
    """Copies sent, retransmissions left out."""
    bytes: int
    last_sent: float | None
    """When the last of these copies went out."""
    retransmitted: int
    drops: dict[Drop, int]
    """Lost on the way out, by the reasons that occurred: congested, skipped or
    unreachable.  Sender reports and retransmissions are among them."""
    gated: bool
    """Still waiting for a key frame."""
    bound: bool
    """Whether it has an address."""


@dataclass(frozen=True, slots=True)
class StreamCounters:
    """What came in of one stream, and went out."""

    ssrc: Ssrc
    kind: StreamKind
    packets: int
    """Taken from the publisher, duplicates left out."""
    bytes: int
    missing: int
    """Sequence numbers jumped over and not arrived since."""
    drops: dict[Drop, int]
    """Datagrams under its SSRC that went no further, by the reasons that
    occurred."""
    key_frames: int
    reports: int
    """Sender reports forwarded."""
    last_seen: float | None
    """When its last packet came."""
    destinations: tuple[DestinationCounters, ...]


@dataclass(frozen=True, slots=True)
class ForwarderCounters:
    """All of a forwarder, streams that were closed included in the sums."""

    received: int
    """Datagrams of every kind."""
    received_bytes: int
    forwarded: int
    """Copies sent: packets, sender reports and retransmissions."""
    forwarded_bytes: int
    retransmitted: int
    unsegmented: int
    """Runs of packets that the kernel would not take in one piece; they went
    out one by one."""
    drops: dict[Drop, int]
    """Those of the streams and their destinations included."""
    streams: tuple[StreamCounters, ...]


@dataclass(frozen=True, slots=True)
class PortCounters:
    """What went wrong at the sockets."""

    receive_errors: int
    send_errors: int
    """Answers, checks and RTCP that the kernel refused; media is counted as
    `Drop.CONGESTED` or `Drop.UNREACHABLE`."""
    failures: int
    """Bugs of ours, each of which is in the log."""


@dataclass(frozen=True, slots=True)
class MediaCounters:
    """The whole media plane."""

    forwarder: ForwarderCounters
    port: PortCounters
    legs: int
    bound: int
    """Legs that have an address."""
    answered: int
    """Plain Binding requests answered."""
    key_frames_asked: int
    """PLIs sent to publishers."""
    packets_asked: int
    """Packets that publishers were asked to send again."""
    drops: dict[Drop, int]
    """Of the forwarder and the legs together."""
    over_links: int = 0
    """Legs that get their media over their TCP links."""
    links_waiting: int = 0
    """Bytes of media that wait for such links."""
    traces: int = 0
    """Clients that send UDP traces."""
    probes: int = 0
    """Probes of traces that were taken."""
    probes_relayed: int = 0
    """Copies of them that were passed on."""
    layers_switched: int = 0
    """Times that a receiver went over to the other layer of a video."""
