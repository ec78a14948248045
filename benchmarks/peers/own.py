"""Our own relay: the media service in a process of its own, and its room.

    python benchmarks/peers/own.py '{"sources": 8, "copies": 10, ...}'

is the server: `MediaService` with the legs, streams and subscriptions of a load,
and nothing of signalling.  It prints one line of JSON, then answers each line on
standard input with one; it ends with its input.

`run` starts it and is the room: a socket for each leg, bound by STUN.
"""

import ctypes
import gc
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from anychat.codes import StreamKind
from anychat.ids import SessionId
from anychat.media import stun
from benchmarks.peers.measure import Load
from benchmarks.peers.running import HOST, Flow, Running, Skipped, leaf, start, udp

_SO_NO_CHECK = 11
#: Legs whose exchanges are under way at a time.
BINDING = 64
#: Seconds of silence after which a leg is refreshed; the server waits 60.
FRESH = 20.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run our relay."""

    native: bool = True
    segments: bool = True
    coalesce: int = 0
    """Microseconds."""
    scheduling: str = "default"
    busy: bool = False
    """Keep the Python thread busy for 50 ms of every 200 ms."""
    video: bool = False


# The server's side.


def serve(options: dict[str, Any]) -> None:
    """Run the media service; answer each line on standard input with JSON."""
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall

    variant = Variant(**options["variant"])
    media = media_service(reactor, variant)
    media.startService()
    if not variant.segments:
        refuse_segments()
    kind = StreamKind.VIDEO if variant.video else StreamKind.AUDIO
    sources, copies = options["sources"], options["copies"]
    before = memory()
    legs = sources * (1 + copies) + options.get("idle", 0)
    setups = [media.open_leg(SessionId(leg)) for leg in range(legs)]
    streams = []
    for source in range(sources):
        ssrc = media.new_ssrc()
        media.publish(SessionId(source), ssrc, kind)
        streams.append(ssrc)
        for copy in range(copies):
            media.subscribe(SessionId(sources + source * copies + copy), ssrc)
    opened = {
        "port": media.port,
        "streams": streams,
        "legs": [[setup.username, setup.stun_key.hex()] for setup in setups],
        "memory": before,
    }
    print(json.dumps(opened), flush=True)
    # What is measured later is the service's memory, not this.
    del setups, opened

    def change(count: int) -> list[float]:
        """Take one receiver out and put it in again, so often; microseconds."""
        took = []
        last = SessionId(sources + copies - 1)
        for _ in range(count):
            begin = time.perf_counter()
            media.unsubscribe(last, streams[0])
            between = time.perf_counter()
            media.subscribe(last, streams[0])
            took += [between - begin, time.perf_counter() - between]
        return [each * 1e6 for each in took]

    def answer() -> None:
        line = sys.stdin.readline()
        if not line:
            reactor.stop()
            return
        reply: dict[str, Any] = {}
        if line.startswith("change"):
            reply["took"] = change(int(line.split()[1]))
        counters = media.counters()
        if line.startswith("memory"):
            reply["memory"] = memory()
        reply |= {
            "bound": counters.bound,
            "answered": counters.answered,
            "received": counters.forwarder.received,
            "forwarded": counters.forwarder.forwarded,
            "unsegmented": counters.forwarder.unsegmented,
            "drops": {
                reason.value: number
                for reason, number in counters.drops.items()
                if number
            },
        }
        print(json.dumps(reply), flush=True)

    def be_busy() -> None:
        """Hold the GIL, but for what Python gives up by itself."""
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            sum(range(1000))

    reactor.addReader(Questions(answer))
    if variant.busy:
        LoopingCall(be_busy).start(0.2)
    reactor.run()
    media.stopService()


@implementer(IReadDescriptor)
class Questions:
    """Standard input, a line at a time; polling it would cost what is measured."""

    def __init__(self, answer: Callable[[], None]):
        self.doRead = answer

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return 0

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "bench"

    def connectionLost(self, reason: object) -> None:
        """The reactor ends."""


def media_service(reactor: Any, variant: Variant) -> Any:
    """The service as the variant asks.

    :raise Skipped: the native relay is not built.
    """
    from anychat.media.port import PortSettings
    from anychat.media.relay import PURE, NativeRelay, RelaySettings, maker
    from anychat.media.source_limit import SourceLimit
    from anychat.services.media import MediaService

    if variant.native and NativeRelay is None:
        raise Skipped("the native relay is not built")
    settings = RelaySettings(
        threads=1,
        coalesce=variant.coalesce,
        short_slice=variant.scheduling == "slice",
        # Checked as ever, but so that the generator's few sources may be many.
        limit=SourceLimit(packets=10_000_000, bytes=10_000_000_000),
    )
    return MediaService(
        reactor,
        PortSettings(number=0, interfaces=(HOST,)),
        (),
        os.urandom,
        lambda line: None,
        make_relay=maker(settings, {} if variant.native else {PURE: "1"}),
    )


def refuse_segments() -> None:
    """Make the kernel refuse UDP_SEGMENT on this process's UDP sockets.

    It does so for a socket that sends no checksums; what the relay does then is
    what it does on a kernel without it.
    """
    for name in os.listdir("/proc/self/fd"):
        try:
            each = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with each:
            if each.type == socket.SOCK_DGRAM:
                each.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)


def memory() -> int:
    """Resident bytes of this process, without what it would give back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# The room's side.


class Room:
    """The sockets of all legs, kept bound."""

    def __init__(self, port: int, legs: list[tuple[str, bytes]]):
        self._server = HOST, port
        self._legs = legs
        self.sockets = [udp() for _ in legs]
        for each in self.sockets:
            each.setblocking(False)
        self._refreshed = time.monotonic()

    def bind(self) -> None:
        """Bind all addresses, some at a time.

        :raise Skipped: the server does not answer.
        """
        for first in range(0, len(self.sockets), BINDING):
            waiting = dict.fromkeys(
                range(first, min(first + BINDING, len(self.sockets))), 2
            )
            for leg in waiting:
                self.keep_alive(leg)
            poll = select.epoll()
            by_descriptor = {self.sockets[leg].fileno(): leg for leg in waiting}
            for descriptor in by_descriptor:
                poll.register(descriptor, select.EPOLLIN)
            end = time.monotonic() + 5
            while waiting:
                if time.monotonic() > end:
                    raise Skipped("our relay does not bind the addresses")
                for descriptor, _ in poll.poll(0.5):
                    leg = by_descriptor[descriptor]
                    self._read(leg)
                    if leg in waiting:
                        waiting[leg] -= 1
                        if not waiting[leg]:
                            del waiting[leg]
            poll.close()

    def _read(self, leg: int) -> None:
        """The answer to the request, or the server's own check."""
        each = self.sockets[leg]
        data = each.recv(2048)
        if data[0] > 3:
            return
        message = stun.parse(data)
        message.check(self._legs[leg][1])
        if message.kind is stun.MessageClass.REQUEST:
            answer = stun.success(message, self._server, self._legs[leg][1])
            each.sendto(answer, self._server)

    def keep_alive(self, leg: int) -> None:
        """Send a Binding request."""
        username, key = self._legs[leg]
        request = stun.request(os.urandom(12), username, key)
        self.sockets[leg].sendto(request, self._server)

    def refresh(self) -> None:
        """Keep all alive, if it is time; answers are not waited for."""
        if time.monotonic() - self._refreshed < FRESH:
            return
        self._refreshed = time.monotonic()
        for leg in range(len(self.sockets)):
            self.keep_alive(leg)
            if leg % BINDING == 0:
                time.sleep(0.002)
        time.sleep(0.1)


class Own(Running):
    """Our relay, with a line to the process."""

    room: Room
    opened: dict[str, Any]

    def ask(self, question: str = "counters") -> dict[str, Any]:
        """Its counters, after it did what the line says."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def run(load: Load, variant: Variant, idle: int = 0) -> Own:
    """Start it with the load's legs, and bind them.

    :param idle: legs that neither publish nor receive.
    """
    options = {
        "sources": load.sources,
        "copies": load.copies,
        "variant": asdict(variant),
        "idle": idle,
    }
    process = start([sys.executable, __file__, json.dumps(options)])
    own = Own(process, leaf(process.pid))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Skipped("our relay does not come up")
        own.opened = json.loads(line)
        if "skipped" in own.opened:
            raise Skipped(own.opened["skipped"])
        own.pid = leaf(process.pid)
        legs = [(name, bytes.fromhex(key)) for name, key in own.opened["legs"]]
        own.room = Room(own.opened["port"], legs)
        sockets = own.room.sockets
        own.flows = [
            Flow(sockets[number], own.opened["port"], ssrc)
            for number, ssrc in enumerate(own.opened["streams"])
        ]
        own.sinks = sockets[load.sources :]
        own.room.bind()
        # The room does not ask whether its answers to the checks have come.
        end = time.monotonic() + 5
        while own.ask()["bound"] < len(legs):
            if time.monotonic() > end:
                raise Skipped("our relay does not bind all addresses")
        own.refresh = own.room.refresh
    except BaseException:
        own.close()
        raise
    return own


if __name__ == "__main__":
    try:
        serve(json.loads(sys.argv[1]))
    except Skipped as reason:
        print(json.dumps({"skipped": str(reason)}), flush=True)
