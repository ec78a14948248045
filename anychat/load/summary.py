"""What a run came to: the figures, and the table that people read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anychat.load.histogram import percentile
from anychat.load.layout import Layout
from anychat.load.pattern import Pattern
from anychat.load.tally import Arrivals, Flow

#: Which parts of all copies were no later than what is told.
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted while the media flowed."""

    seconds: float
    """That the senders took."""
    flows: Sequence[Flow]
    """Of each stream."""
    received: Sequence[Sequence[int]]
    """Packets of each stream at each member of its room."""
    arrivals: Arrivals
    slipped: float = 0.0
    """Seconds by which the senders fell behind their schedule."""
    server_cpu: float | None = None
    """CPU seconds of the server's process."""
    key_frames_asked: int = 0
    packets_asked: int = 0
    """That the server missed and asked for again."""
    links_lost: int = 0
    paths_lost: int = 0
    """Times that the server stopped answering a user over UDP."""
    native: bool = True


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures, under the names that ``--json`` gives them."""

    users: int
    rooms: int
    room_size: int
    publishers: int
    streams: int
    packet_size: int
    seconds: float
    packets_sent: int
    packets_per_second: float
    """Sent, by all streams together."""
    copies_expected: int
    copies_received: int
    copies_per_second: float
    megabits_per_second: float
    """Received, UDP payload."""
    lost: int
    lost_percent: float
    receivers_without_media: int
    """Pairs of a stream and a watcher to whom nothing of it came."""
    duplicates: int
    late: int
    misrouted: int
    """Copies at users who were not to have them."""
    malformed: int
    feedback_dropped: int
    """STUN and RTCP of the server that the load generator itself dropped."""
    send_errors: int
    schedule_slipped: float
    """Seconds that the load generator itself fell behind."""
    latency_us: dict[str, float] | None
    server_cpu_seconds: float | None
    server_cpu_share: float | None
    """Of one CPU."""
    server_cpu_seconds_per_million: float | None
    """CPU seconds for a million copies received."""
    key_frames_asked: int
    packets_asked: int
    links_lost: int
    paths_lost: int
    native: bool
    """False: the load generator ran in Python, which is slow."""


def expected_copies(
    layout: Layout, flows: Sequence[Flow], received: Sequence[Sequence[int]]
) -> tuple[int, int, int]:
    """Copies expected, copies lost, and watchers to whom nothing came.

    A stream's packets are due at every member of its room but the publisher.
    """
    expected = lost = deaf = 0
    for publication in layout.publications():
        sent = flows[publication.stream].sent
        own = publication.user - layout.members(publication.room).start
        for slot, packets in enumerate(received[publication.stream]):
            if slot != own:
                expected += sent
                lost += max(0, sent - packets)
                deaf += sent > 0 and packets == 0
    return expected, lost, deaf


def summarize(layout: Layout, pattern: Pattern, measured: Measured) -> Summary:
    """Work the figures out."""
    arrivals = measured.arrivals
    sent = sum(flow.sent for flow in measured.flows)
    expected, lost, deaf = expected_copies(layout, measured.flows, measured.received)
    seconds = measured.seconds or 1e-9
    latency = {
        name: percentile(arrivals.latency, fraction)
        for name, fraction in PERCENTILES.items()
    }
    cpu = measured.server_cpu
    return Summary(
        users=layout.users,
        rooms=layout.rooms,
        room_size=layout.room_size,
        publishers=layout.publishers,
        streams=layout.streams,
        packet_size=pattern.size,
        seconds=round(measured.seconds, 3),
        packets_sent=sent,
        packets_per_second=round(sent / seconds, 1),
        copies_expected=expected,
        copies_received=arrivals.packets,
        copies_per_second=round(arrivals.packets / seconds, 1),
        megabits_per_second=round(arrivals.bytes * 8 / seconds / 1e6, 3),
        lost=lost,
        lost_percent=round(100 * lost / expected, 4) if expected else 0.0,
        receivers_without_media=deaf,
        duplicates=arrivals.doubles,
        late=arrivals.late,
        misrouted=arrivals.strangers + arrivals.unknown,
        malformed=arrivals.malformed,
        feedback_dropped=arrivals.ring_full,
        send_errors=sum(flow.failed for flow in measured.flows),
        schedule_slipped=round(measured.slipped, 3),
        latency_us={
            name: round(value * 1e6, 1)
            for name, value in latency.items()
            if value is not None
        }
        or None,
        server_cpu_seconds=None if cpu is None else round(cpu, 3),
        server_cpu_share=None if cpu is None else round(cpu / seconds, 3),
        server_cpu_seconds_per_million=(
            None
            if cpu is None or not arrivals.packets
            else round(cpu / arrivals.packets * 1e6, 3)
        ),
        key_frames_asked=measured.key_frames_asked,
        packets_asked=measured.packets_asked,
        links_lost=measured.links_lost,
        paths_lost=measured.paths_lost,
        native=measured.native,
    )


def table(summary: Summary) -> str:
    """The figures for people: what was asked, what came of it, what went wrong."""
    return "\n".join(f"{name:<16} {text}" for name, text in _rows(summary))


def _rows(summary: Summary) -> Iterable[tuple[str, str]]:
    s = summary
    yield (
        "load",
        f"{s.users} users, {s.rooms} rooms of {s.room_size}, "
        f"{s.publishers} of each publish",
    )
    yield (
        "sent",
        f"{s.packets_per_second:,.0f} packets/s of {s.packet_size} bytes "
        f"on {s.streams} streams for {s.seconds:.1f} s",
    )
    yield (
        "forwarded",
        f"{s.copies_per_second:,.0f} copies/s, {s.copies_received:,} in all, "
        f"{s.megabits_per_second:,.1f} Mbit/s",
    )
    yield "lost", f"{s.lost:,} of {s.copies_expected:,} ({s.lost_percent:.3f} %)"
    if s.latency_us is not None:
        names = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
        yield (
            "added latency",
            ", ".join(
                f"{names[name]} {value / 1000:.3f} ms"
                for name, value in s.latency_us.items()
            ),
        )
    if s.server_cpu_share is not None:
        text = f"{100 * s.server_cpu_share:.1f} % of one CPU"
        if s.server_cpu_seconds_per_million is not None:
            text += f", {s.server_cpu_seconds_per_million:.2f} s per million copies"
        yield "server", text
    asked = f"{s.key_frames_asked} key frames, {s.packets_asked} packets again"
    yield "server asked for", asked
    troubles = {
        "watchers without media": s.receivers_without_media,
        "duplicates": s.duplicates,
        "too late": s.late,
        "misrouted": s.misrouted,
        "malformed": s.malformed,
        "feedback dropped": s.feedback_dropped,
        "not sent": s.send_errors,
        "links lost": s.links_lost,
        "UDP paths lost": s.paths_lost,
    }
    found = [f"{count:,} {name}" for name, count in troubles.items() if count]
    if s.schedule_slipped:
        found.append(
            f"{s.schedule_slipped:.1f} s behind the schedule: this machine is too slow "
            "for that rate"
        )
    if not s.native:
        found.append(
            "the native sender and receiver are not installed: slow, and the "
            "latencies are partly its own"
        )
    for text in found:
        yield "note", text
