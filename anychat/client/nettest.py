"""``anychat-client nettest``: how well UDP gets through, in numbers and words.

A guest enters the room and sends a trace: to the server and back, or to another
member that runs the same command, whose trace comes here meanwhile.
"""

from argparse import Namespace
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.python.failure import Failure

from anychat.client.client import Client
from anychat.client.join import FINE, exit_code
from anychat.client.output import Output, explained
from anychat.client.trace import PeerFigures, TraceFigures
from anychat.client.transfers import no_files
from anychat.client.verdict import Verdict, judge
from anychat.client.waiting import Pause, beside
from anychat.codes import ResultCode
from anychat.errors import Refused

#: Seconds that UDP has to reach the server.
BINDING = 5.0
#: Seconds until the other user listens.
LISTENING = 0.5
#: Seconds between two lines about how it goes.
PROGRESS = 1.0
_LOOK = 0.05


class NetTest:
    """The run of the command."""

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        make_client: Callable[..., Client] = Client,
    ):
        self._reactor = reactor
        self._options = options
        self._output = output
        self._complain = complain
        self._make_client = make_client
        self._client: Client | None = None
        self._pause = Pause(reactor)
        self._over = False
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        options = self._options
        self._client = self._make_client(
            self._reactor,
            trust=options.trust,
            auth_pass=options.auth_pass,
            log_path=None,
            media_at_login=True,
            auto_reconnect=False,
        )
        self._client.transfers.accept = no_files
        running: Deferred[Any] = self._run(self._client)
        running.addCallbacks(self._fine, self._failed)

    def finish(self, code: int) -> "Deferred[int]":
        """End it early: what is known is printed."""
        self._over = True
        self._pause.wake()
        return beside(self.done)

    @inlineCallbacks
    def _run(self, client: Client) -> Generator["Deferred[Any]", Any, None]:
        options = self._options
        host, port = options.address
        yield client.connect(host, port)
        yield client.login(options.user, options.password)
        if options.peer == client.user_id:
            reason = "that is oneself: another member has to run nettest, too"
            raise Refused(ResultCode.FUNCOPTERROR, reason)
        room = yield client.enter_room(options.room, options.room_password)
        until = self._reactor.seconds() + BINDING
        while not client.trace.bound and not self._over:
            if self._reactor.seconds() >= until:
                break
            yield self._pause.sleep(_LOOK)
        if not client.trace.bound:
            figures = TraceFigures(sent=1)
            self._print(room.room_id, client.user_id, figures, 0.0)
            return
        target = options.peer if options.peer is not None else 0
        if target and not (yield self._peer_comes(client, target)):
            raise Refused(ResultCode.INVALID_USERID, f"user {target} did not come")
        if not options.json:
            self._output.line(
                f"user {client.user_id} in room {room.room_id}: "
                f"{options.size} bytes at {options.rate / 1000:g} kbit/s for "
                f"{options.seconds:g} s, "
                + (f"to user {target}" if target else "to the server and back")
            )
        yield client.trace.start(target, options.size, options.rate)
        began = self._reactor.seconds()
        while not self._over:
            left = options.seconds - (self._reactor.seconds() - began)
            if left <= 0:
                break
            yield self._pause.sleep(min(PROGRESS, left))
            self._progress(client.trace.figures(), self._reactor.seconds() - began)
        sent_for = self._reactor.seconds() - began
        figures = yield client.trace.stop()
        self._print(room.room_id, client.user_id, figures, sent_for)

    @inlineCallbacks
    def _peer_comes(
        self, client: Client, peer: int
    ) -> Generator["Deferred[Any]", Any, bool]:
        """Whether the other one is in the room, and listens by now."""
        if peer not in client.members and not self._options.json:
            self._output.line(
                f"user {client.user_id} waits for user {peer}, "
                f"up to {self._options.wait:g} s"
            )
        until = self._reactor.seconds() + self._options.wait
        while peer not in client.members:
            if self._reactor.seconds() >= until or self._over:
                return False
            yield self._pause.sleep(_LOOK)
        yield client.trace.listen()
        yield self._pause.sleep(LISTENING)
        return True

    # What is printed.

    def _progress(self, figures: TraceFigures, elapsed: float) -> None:
        if self._options.json:
            self._output.object(
                "progress", {"seconds": round(elapsed, 3), **numbers(figures)}
            )
        else:
            self._output.line(
                f"{elapsed:5.1f} s  sent {figures.sent}, "
                f"lost {figures.loss_up:.1%} up, {figures.loss_down:.1%} down"
            )

    def _print(
        self, room_id: int, user_id: int, figures: TraceFigures, seconds: float
    ) -> None:
        options = self._options
        verdict = judge(figures, options.size, seconds, options.rate)
        if options.json:
            self._output.object(
                "nettest",
                {
                    "room": room_id,
                    "user": user_id,
                    "peer": options.peer,
                    "size": options.size,
                    "rate": options.rate,
                    "seconds": round(seconds, 3),
                    **numbers(figures),
                    "peers": [_peer(peer) for peer in figures.peers.values()],
                    "quality": verdict.quality,
                    "verdict": verdict.text,
                    "notes": list(verdict.notes),
                },
            )
            return
        for line in _report(figures, verdict, user_id):
            self._output.line(line)

    # The end.

    def _fine(self, _: object) -> None:
        self._close(FINE)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, Refused):
            error = Refused(ResultCode.EXCEPTION, failure.getErrorMessage())
        if not self._over:
            self._complain(explained(error, self._options.address))
        self._close(FINE if self._over else exit_code(error.code))

    def _close(self, code: int) -> None:
        assert self._client is not None
        ending = maybeDeferred(self._client.close)
        ending.addBoth(lambda _: self.done.callback(code))


def numbers(figures: TraceFigures) -> dict[str, Any]:
    """A trace as JSON has it: losses in per cent, times in milliseconds."""

    def milliseconds(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1000, 2)

    return {
        "sent": figures.sent,
        "server_received": figures.server_received,
        "forwarded": figures.forwarded,
        "received": figures.received,
        "loss_up": round(figures.loss_up * 100, 2),
        "loss_down": round(figures.loss_down * 100, 2),
        "round_trip": milliseconds(figures.round_trip),
        "shortest_round_trip": milliseconds(figures.shortest),
        "jitter_up": milliseconds(figures.jitter_up),
        "jitter_down": milliseconds(figures.jitter_down),
    }


def _peer(peer: PeerFigures) -> dict[str, Any]:
    return {
        "user": peer.user_id,
        "sent": peer.sent,
        "server_received": peer.server_received,
        "forwarded": peer.forwarded,
        "received": peer.received,
        "heard": peer.heard,
        "loss_up": round(peer.loss_up * 100, 2),
        "loss_down": round(peer.loss_down * 100, 2),
        "jitter": round(peer.jitter * 1000, 2),
    }


def _report(figures: TraceFigures, verdict: Verdict, own_id: int) -> list[str]:
    lines = []
    if figures.reports or figures.received:
        lines += [
            f"up           {figures.server_received} of {figures.sent} came, "
            f"{figures.loss_up:.1%} lost, jitter {figures.jitter_up * 1000:.1f} ms",
            f"down         {figures.received} of {figures.forwarded} came, "
            f"{figures.loss_down:.1%} lost, "
            f"jitter {figures.jitter_down * 1000:.1f} ms",
        ]
    if figures.round_trip is not None and figures.shortest is not None:
        lines.append(
            f"delay        {figures.round_trip * 1000:.1f} ms there and back, "
            f"{figures.shortest * 1000:.1f} ms at best"
        )
    for peer in figures.peers.values():
        if peer.user_id != own_id:
            lines.append(
                f"user {peer.user_id:<8}lost {peer.loss_up:.1%} on the way up; "
                f"has received {peer.heard}"
            )
    lines.append(f"verdict      {verdict.text} (quality {verdict.quality} of 0 to 4)")
    lines += [f"             {note}" for note in verdict.notes]
    return lines
