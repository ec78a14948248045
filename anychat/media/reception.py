"""How a stream arrives, in the figures of RTCP reports (RFC 3550 section 6.4.1).

`ReceptionStatistics` adds to a `GapTracker` what a report block needs besides
counts: interarrival jitter (appendix A.8), the loss since the last report
(appendix A.3) and the last sender report.
"""

from anychat.media.gaps import GapTracker
from anychat.media.rtcp import ReportBlock, SenderReport, middle


class ReceptionStatistics:
    """Figures of one received stream.

    :param clock_rate: of its timestamps, Hz.
    :param gaps: follows its sequence numbers; the owner feeds it.
    """

    def __init__(self, ssrc: int, clock_rate: int, gaps: GapTracker):
        self.ssrc = ssrc
        self.gaps = gaps
        self._clock_rate = clock_rate
        self._last: tuple[int, float] | None = None
        self._jitter = 0.0
        self._reported_expected = 0
        self._reported_received = 0
        self._sender_report: tuple[int, float] | None = None

    @property
    def jitter(self) -> float:
        """Interarrival jitter, seconds."""
        return self._jitter / self._clock_rate

    def arrived(self, timestamp: int, now: float) -> None:
        """Note when a packet came; only for packets that nobody asked for
        again, since a repair says nothing of the path.

        :param timestamp: its RTP timestamp.
        :param now: monotonic seconds.
        """
        if self._last is not None:
            last_timestamp, last_now = self._last
            # Timestamps wrap; the short way round is meant.
            step = (timestamp - last_timestamp + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            difference = abs((now - last_now) * self._clock_rate - step)
            self._jitter += (difference - self._jitter) / 16
        self._last = timestamp, now

    def sender_reported(self, report: SenderReport, now: float) -> None:
        """Note a sender report of the stream, for LSR and DLSR."""
        self._sender_report = middle(report.ntp), now

    def fraction_lost(self) -> float:
        """Share of packets lost since the last `report`, 0 to 1."""
        expected, received = self._interval()
        return max(0, expected - received) / expected if expected > 0 else 0.0

    def _interval(self) -> tuple[int, int]:
        """Packets expected and received since the last report."""
        return (
            self.gaps.expected - self._reported_expected,
            self.gaps.received_count - self._reported_received,
        )

    def report(self, now: float) -> ReportBlock:
        """The block for the next RR or SR; begins a new reporting interval.

        Packets that may still be repaired count as lost until they come.
        Duplicates are left out, so that they do not hide losses.
        """
        expected, received = self._interval()
        lost = max(0, expected - received)
        fraction = min(255, (lost << 8) // expected) if expected > 0 else 0
        self._reported_expected = self.gaps.expected
        self._reported_received = self.gaps.received_count
        last_report = delay = 0
        if self._sender_report is not None:
            last_report, when = self._sender_report
            delay = min(0xFFFFFFFF, max(0, round((now - when) * 65536)))
        return ReportBlock(
            self.ssrc,
            fraction,
            self.gaps.expected - self.gaps.received_count,
            (self.gaps.highest or 0) & 0xFFFFFFFF,
            min(0xFFFFFFFF, int(self._jitter)),
            last_report,
            delay,
        )
