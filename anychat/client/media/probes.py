"""Answers the server's probes: how a train of packets arrived."""

from collections.abc import Callable
from typing import Any

from anychat.media.signals import Probe, ProbeResult

#: Seconds without another packet after which a train is over.
PATIENCE = 0.25


class Probes:
    """Counts one train at a time.

    :param answer: sends the result.
    """

    def __init__(self, reactor: Any, answer: Callable[[ProbeResult], None]):
        self._reactor = reactor
        self._answer = answer
        self._train: int | None = None
        self._timer: Any = None
        self._packets = self._octets = 0
        self._first = self._last = 0.0

    def receive(self, probe: Probe, size: int) -> None:
        """A packet of a train has come; ``size`` is that of its datagram."""
        now = self._reactor.seconds()
        if probe.train != self._train:
            self._train = probe.train
            self._packets = self._octets = 0
            self._first = now
        else:
            self._octets += size
        self._packets += 1
        self._last = now
        self.stop()
        if probe.number == probe.packets - 1:
            self._over()
        else:
            self._timer = self._reactor.callLater(PATIENCE, self._over)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        assert self._train is not None
        span = self._last - self._first
        self._answer(ProbeResult(self._train, self._packets, self._octets, span))
