"""Brings a user's audio and video onto one time line and to his sink.

Each stream's place comes from its sender reports.  Before the first report a
frame's place is estimated from when it came; a sink that records is not given
estimates: its frames wait up to two seconds for a report.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from anychat.client.media.decode import Decoded
from anychat.client.media.sinks import Recording
from anychat.client.media.strand import Strand
from anychat.client.media.sync import SenderClock, extra_delays
from anychat.codes import StreamKind
from anychat.messages import StreamFormat

#: Seconds a recording waits for a sender report, and most frames it keeps then.
_PATIENCE = 2.0
_WAITING = 256


class Line:
    """One stream of the user on his time line, and the sink it leads to.

    :param baseline: and ``own_delay``: see `JitterBuffer`.
    :param delay: told how much longer the stream must wait for the other one.
    """

    def __init__(
        self,
        sink: Any,
        kind: StreamKind,
        clock_rate: int,
        baseline: Callable[[], float],
        own_delay: Callable[[], float],
        delay: Callable[[float], None],
    ):
        self.sink = sink
        self.recording = isinstance(sink, Recording)
        self.kind = kind
        self.clock_rate = clock_rate
        self.clock = SenderClock(clock_rate)
        self.baseline = baseline
        self.own_delay = own_delay
        self.delay = delay
        self.muted = False
        """Another stream has taken over: nothing more goes to the sink."""
        self.estimate: float | None = None
        """Guessed capture time of RTP timestamp 0, without a report."""
        self.waiting: deque[Decoded] = deque()
        self.since = 0.0
        """When the first of them came."""

    def captured(self, timestamp: int) -> float | None:
        """Capture time, known or guessed; None for neither."""
        known = self.clock.captured(timestamp)
        if known is not None or self.estimate is None:
            return known
        return self.estimate + timestamp / self.clock_rate


class Playout:
    """One user's time line and the streams that are on it.

    It outlives them, so that a stream that is opened anew goes on where the
    time line is.

    :param seconds: the reactor's clock.
    :param wall_clock: seconds since 1970.
    """

    def __init__(self, seconds: Callable[[], float], wall_clock: Callable[[], float]):
        self._seconds = seconds
        self._wall_clock = wall_clock
        self._lines: list[Line] = []
        self._origin: float | None = None
        # Reactor's clock at arrival less the sender's at capture, as far as
        # some stream knew it: the way that all streams of a user share.
        self._transit: float | None = None

    def add(self, line: Line, form: StreamFormat, strand: Callable[[], Strand]) -> None:
        """A stream begins.

        :param strand: makes strands for sinks that record.
        """
        self._lines.append(line)
        if line.recording:
            line.sink.begin(line.kind, form, strand)

    def remove(self, line: Line) -> None:
        """A stream is over; what waits for a report of it goes out now."""
        if line in self._lines:
            self._flush(line, True)
            self._lines.remove(line)
            if line.recording:
                line.sink.ended(line.kind)

    def align(self) -> None:
        """Let every stream wait for the slowest of the user's."""
        transits = [line.clock.transit(line.own_delay()) for line in self._lines]
        known = [transit for transit in transits if transit is not None]
        if len(known) == len(transits):
            for line, extra in zip(self._lines, extra_delays(known), strict=True):
                line.delay(extra)

    def reported(self, line: Line) -> None:
        """A sender report of the stream has come."""
        if self._transit is None:
            # Now the other one can be guessed better.
            for other in self._lines:
                other.estimate = None
        self._transit = line.clock.transit(line.baseline())
        self._flush(line, False)
        self.align()

    def deliver(self, line: Line, decoded: Decoded) -> float | None:
        """Give the sink what was decoded.

        :return: latency from capture to now by the wall clocks, seconds; None
            if it is not known.
        """
        now = self._seconds()
        captured = line.clock.captured(decoded.timestamp)
        if captured is None and line.estimate is None:
            self._guess(line, now)
        if line.recording and captured is None:
            if not line.waiting:
                line.since = now
            line.waiting.append(decoded)
            self._flush(
                line, now - line.since >= _PATIENCE or len(line.waiting) >= _WAITING
            )
        else:
            self._pass_on(line, decoded)
        return None if captured is None else self._wall_clock() - captured

    def _guess(self, line: Line, now: float) -> None:
        """Without a report: its packets take as long as those of the other
        stream, or else no time at all."""
        transit = self._transit
        if transit is None:
            transit = now - self._wall_clock()
        line.estimate = line.baseline() - transit

    def _flush(self, line: Line, regardless: bool) -> None:
        if line.clock.known or regardless:
            if line.waiting and not line.clock.known and line.estimate is None:
                self._guess(line, self._seconds())
            while line.waiting:
                self._pass_on(line, line.waiting.popleft())

    def _pass_on(self, line: Line, decoded: Decoded) -> None:
        if line.muted:
            return
        for frame in decoded.frames:
            assert frame.pts is not None
            captured = line.captured(frame.pts)
            assert captured is not None
            if self._origin is None:
                self._origin = captured
            when = captured - self._origin
            if line.kind is StreamKind.AUDIO:
                line.sink.audio_frame(frame, when)
            elif line.recording:
                line.sink.video_unit(decoded.unit, decoded.key, frame, when)
            else:
                line.sink.video_frame(frame, when)
