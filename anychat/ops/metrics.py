"""What the server counts, for ``/health`` and ``/metrics``.

Nothing is counted here: each scrape reads the counters that the parts keep for
themselves.  Metric names begin with ``anychat_``.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import anychat
from anychat.core.hall import Hall
from anychat.filters.plug_in import GAUGES as FILTER_GAUGES
from anychat.licensing.status import UNSEEN_STATUS, Standing, Status
from anychat.media.counters import MediaCounters
from anychat.services.business import GAUGES as BUSINESS_GAUGES
from anychat.services.transfers import GAUGES as TRANSFER_GAUGES

#: Statistics of the links that go up and down; the others only grow.
LINK_GAUGES = frozenset(
    {
        "connections",
        "unauthenticated",
        "sessions",
        "sessions_held",
        "replay_bytes",
        "unsent_bytes",
    }
)


class Metrics:
    """Reads the counters of the core, the links and the media plane.

    :param links: statistics of the links.
    :param media: counters of the media plane.
    :param business: statistics of the channel for business servers, if it is open.
    :param plug_in: statistics of the plug-in, if there is another one.
    :param seconds: monotonic clock.
    :param transfers: statistics of buffers and files under way.
    :param licence: how the server stands as to its licence.
    """

    def __init__(
        self,
        hall: Hall,
        links: Callable[[], Mapping[str, int]],
        media: Callable[[], MediaCounters],
        business: Callable[[], Mapping[str, int]],
        plug_in: Callable[[], Mapping[str, int]],
        seconds: Callable[[], float],
        transfers: Callable[[], Mapping[str, int]] = dict,
        licence: Callable[[], Status] = lambda: UNSEEN_STATUS,
    ) -> None:
        self._licence = licence
        self._hall = hall
        self._links = links
        self._media = media
        self._business = business
        self._plug_in = plug_in
        self._seconds = seconds
        self._transfers = transfers
        self._started = seconds()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def health(self) -> dict[str, object]:
        """The facts of ``/health``."""
        state = self._hall.state
        return {
            "status": "ok",
            "version": anychat.__version__,
            "uptime": round(self._seconds() - self._started),
            "users": len(state.users),
            "rooms": self._occupied_rooms(),
            "streams": len(self._media().forwarder.streams),
            "licence": self._licence().facts,
        }

    def blocked(self) -> list[str]:
        """The list of ``/blocked``: addresses and patterns, oldest first."""
        return list(self._hall.state.blocked)

    def _occupied_rooms(self) -> int:
        return sum(bool(room.members) for room in self._hall.state.rooms.values())

    def exposition(self) -> bytes:
        """The body of ``/metrics``, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every metric (a collector's call, see prometheus_client)."""
        state = self._hall.state
        yield GaugeMetricFamily("anychat_users", "Signed-in users", len(state.users))
        yield GaugeMetricFamily(
            "anychat_blocked_addresses",
            "Addresses and patterns that may not connect",
            len(state.blocked),
        )
        yield GaugeMetricFamily(
            "anychat_user_data_bytes",
            "What business servers have said about users",
            state.profile_bytes,
        )
        yield GaugeMetricFamily(
            "anychat_rooms",
            "Rooms with members",
            self._occupied_rooms(),
        )
        ringing = len(state.ringing)
        yield GaugeMetricFamily("anychat_calls_ringing", "Calls that ring", ringing)
        yield GaugeMetricFamily(
            "anychat_calls_talking",
            "Calls that were answered",
            len(state.calls) - ringing,
        )
        for subject, text, values, gauges in (
            ("links", "Client links", self._links(), LINK_GAUGES),
            ("business", "Business servers", self._business(), BUSINESS_GAUGES),
            ("transfers", "Transfers", self._transfers(), TRANSFER_GAUGES),
            ("filter", "Plug-in", self._plug_in(), FILTER_GAUGES),
        ):
            for name, value in sorted(values.items()):
                family = GaugeMetricFamily if name in gauges else CounterMetricFamily
                yield family(
                    f"anychat_{subject}_{name}",
                    f"{text}: {name.replace('_', ' ')}",
                    value,
                )
        yield from self._collect_licence(self._licence())
        yield from self._collect_media(self._media())

    def _collect_licence(self, status: Status) -> Iterator[Metric]:
        standings = GaugeMetricFamily(
            "anychat_licence_standing",
            "How the server stands as to its licence: 1 at the one that is so",
            labels=["standing"],
        )
        for standing in Standing:
            standings.add_metric([standing.value], standing is status.standing)
        yield standings
        yield GaugeMetricFamily(
            "anychat_licence_code",
            "What is wrong with the licence, 0 if nothing is",
            status.code,
        )
        yield GaugeMetricFamily(
            "anychat_licence_max_users",
            "Users at most, 0 for any number",
            status.terms.max_users,
        )
        for name, text, when in (
            ("end", "When the licence ends", status.not_after),
            ("grace_end", "When what is tolerated now ends", status.grace_ends),
        ):
            if when is not None:
                yield GaugeMetricFamily(
                    f"anychat_licence_{name}_timestamp_seconds", text, when.timestamp()
                )

    def _collect_media(self, media: MediaCounters) -> Iterator[Metric]:
        forwarder = media.forwarder
        for name, text, value in (
            ("legs", "Sessions with media", media.legs),
            ("legs_bound", "Sessions whose UDP address is known", media.bound),
            ("legs_over_links", "Sessions with media over TCP", media.over_links),
            ("traces", "Clients that send UDP traces", media.traces),
            ("links_waiting", "Bytes of media that wait for TCP", media.links_waiting),
            ("streams", "Open publications", len(forwarder.streams)),
            (
                "routes",
                "Copies that each round of packets makes",
                sum(len(stream.destinations) for stream in forwarder.streams),
            ),
        ):
            yield GaugeMetricFamily(f"anychat_media_{name}", text, value)
        for name, text, value in (
            ("received", "Datagrams received", forwarder.received),
            ("received_bytes", "Bytes received", forwarder.received_bytes),
            ("forwarded", "Copies sent", forwarder.forwarded),
            ("forwarded_bytes", "Bytes of copies sent", forwarder.forwarded_bytes),
            ("retransmitted", "Packets sent again", forwarder.retransmitted),
            ("unsegmented", "Runs not taken in one piece", forwarder.unsegmented),
            ("key_frames_asked", "Key-frame requests", media.key_frames_asked),
            ("packets_asked", "Packets asked of publishers", media.packets_asked),
            ("stun_answered", "Plain Binding requests answered", media.answered),
            ("trace_probes", "Probes of UDP traces taken", media.probes),
            ("trace_copies", "Probes passed on", media.probes_relayed),
            ("layers_switched", "Receivers switched over", media.layers_switched),
            ("receive_errors", "Failed receives", media.port.receive_errors),
            ("send_errors", "Failed sends, media left out", media.port.send_errors),
            ("failures", "Bugs met, see the log", media.port.failures),
        ):
            yield CounterMetricFamily(f"anychat_media_{name}", text, value)
        drops = CounterMetricFamily(
            "anychat_media_dropped", "Datagrams dropped", labels=["reason"]
        )
        for reason, count in media.drops.items():
            drops.add_metric([reason.value], count)
        yield drops
