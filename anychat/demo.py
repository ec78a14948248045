"""``make demo``: a server, and two clients that see and hear each other.

The server runs in a process of its own, in demo mode, from a temporary folder.
Two clients in this process publish a moving test picture with a tone into room
1 and watch each other; a table shows how that goes.  ``DEMO_SECONDS`` ends it
by itself, otherwise Ctrl-C does.  Exit code 0: both decoded what the other
sent.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from anychat import banner
from anychat.client.client import Client
from anychat.client.media.sinks import NullSink
from anychat.client.transfers import no_files
from anychat.client.trust import Fingerprint
from anychat.client.wishes import Publishing, Watching
from anychat.codes import StreamKind
from anychat.errors import Refused
from anychat.protocols.certificate import fingerprint

ROOM = 1
#: Ports that are tried first: the product's.
PORTS = (8906, 8907)
#: Seconds that the server has to come up.
START_TIME = 30.0
#: How often other ports are tried.
ATTEMPTS = 5
#: Seconds between two looks at the figures.
REFRESH = 0.5
#: Share of the frames sent that the other side must have decoded.
ENOUGH = 0.95
#: Seconds for the last frames to pass the jitter buffers.
DRAIN = 1.0


class DemoFailed(Exception):
    """The demonstration cannot go on; the text says why."""


def is_free(kind: socket.SocketKind, port: int) -> bool:
    """Whether nothing uses that port."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def choose_ports(attempt: int) -> tuple[int, int]:
    """A TCP and a UDP port that are free: the product's, if it can be.

    :param attempt: 0 at first, and one more each time somebody was faster.
    """
    tcp, udp = (port + 10 * attempt for port in PORTS)
    while not (is_free(socket.SOCK_STREAM, tcp) and is_free(socket.SOCK_DGRAM, udp)):
        tcp, udp = tcp + 10, udp + 10
        if udp > 65535:
            raise DemoFailed("no free ports were found from 8906 up")
    return tcp, udp


def program(name: str) -> str:
    """A console script of this installation."""
    return str(Path(sys.executable).with_name(name))


class Server:
    """The core server, as a child process with a folder of its own."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.tcp_port, self.udp_port = choose_ports(attempt)
        self._folder = folder
        self._output = folder / "server.txt"
        config = folder / "AnyChatCoreServer.ini"
        config.write_text(
            "[Base Settings]\n"
            f"TCPListenPort={self.tcp_port}\n"
            f"UDPServicePort={self.udp_port}\n"
            "DemoMode=1\n"
            "[Video Settings]\n"
            "VideoGOPSize=30\n"
            "VideoBitrate=300000\n"
            "[Http Settings]\n"
            "ListenPort=0\n"
        )
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [program("anychatcoreserver"), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the demonstration, which then ends the server.
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it printed."""
        return self._output.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        """Whether its ports are open.

        :raises DemoFailed: it has ended.
        """
        if self._process.poll() is not None:
            raise DemoFailed(f"the server ended:\n{self.text}")
        return banner.RUNNING in self.text

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate."""
        return fingerprint((self._folder / "AnyChatCoreServer.crt").read_bytes())

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Side:
    """One of the two clients: what it sends and how it gets the other's."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.publishing: Publishing
        self.watching: Watching

    def sent(self, kind: StreamKind) -> int:
        """Frames sent of a kind."""
        return self.publishing.sending[kind].statistics().frames

    def received(self, kind: StreamKind) -> Any:
        """Statistics of the other's stream of that kind, None before it came."""
        entry = self.watching.receiving.get(kind)
        return None if entry is None else entry[1].statistics()


def figures(sides: tuple[Side, Side]) -> Table:
    """How it goes, in each direction."""
    table = Table(title="AnyChat core server: two clients in room 1")
    table.add_column("from → to")
    for title in ("video fps", "kbit/s", "loss", "latency", "audio kbit/s", "loss"):
        table.add_column(title, justify="right")
    for sender, receiver in (sides, sides[::-1]):
        video = receiver.received(StreamKind.VIDEO)
        audio = receiver.received(StreamKind.AUDIO)
        cells = ["-"] * 6
        if video is not None:
            cells[:3] = [
                f"{video.fps:.1f}",
                f"{video.bitrate / 1000:.0f}",
                f"{video.loss:.1%}",
            ]
            if video.latency_ms is not None:
                cells[3] = f"{video.latency_ms:.0f} ms"
        if audio is not None:
            cells[4:] = [f"{audio.bitrate / 1000:.0f}", f"{audio.loss:.1%}"]
        table.add_row(f"{sender.name} → {receiver.name}", *cells)
    return table


class Demo:
    """The demonstration.

    :param seconds: how long it shows; None: until `interrupt`.
    """

    def __init__(self, reactor: Any, console: Console, seconds: float | None) -> None:
        self._reactor = reactor
        self._console = console
        self._seconds = seconds
        self._interrupted = False
        self._waiting: Deferred[Any] | None = None
        self.exit_code = 1

    def interrupt(self) -> None:
        """End it as soon as possible, with the summary if there is one."""
        self._interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _until_interrupted(self, waiting: "Deferred[Any]") -> Any:
        """Wait for something that `interrupt` may cancel."""
        self._waiting = waiting
        if self._interrupted:
            waiting.cancel()
        try:
            return await waiting
        finally:
            self._waiting = None

    async def run(self) -> None:
        """Run it all; `exit_code` says how it went."""
        folder = Path(tempfile.mkdtemp(prefix="anychat-demo-"))
        self._server: Server | None = None
        self._sides: list[Side] = []
        try:
            await self._until_interrupted(ensureDeferred(self._prepare(folder)))
            first, second = self._sides
            await self._show((first, second))
            await self._finish((first, second))
        except DemoFailed as failed:
            self._console.print(f"The demonstration failed: {failed}")
        except Refused as refused:
            self._console.print(f"The server refused: {refused}")
        except CancelledError:
            self._console.print("Ended before there was anything to see.")
        finally:
            for side in self._sides:
                await side.client.close()
            if self._server is not None:
                self._server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    async def _prepare(self, folder: Path) -> None:
        """Start the server and bring two clients into a room."""
        server = await self._start(folder)
        for name in ("ann", "bob"):
            client = Client(
                self._reactor,
                trust=Fingerprint(server.fingerprint),
                log_path=str(folder / f"{name}.log"),
                # Bound before anything is published: so the first frame is seen.
                media_at_login=True,
            )
            # Whoever joins may send one.
            client.transfers.accept = no_files
            self._sides.append(Side(name, client))
            await client.connect("127.0.0.1", server.tcp_port)
            await client.login(name, "any password will do")
            await client.enter_room(ROOM)
        first, second = self._sides
        await self._meet(first, second)
        self._tell_how_to_join(server)

    async def _start(self, folder: Path) -> Server:
        """A server that runs; on other ports if somebody was faster."""
        for attempt in range(ATTEMPTS):
            self._server = server = Server(folder, attempt)
            give_up = self._reactor.seconds() + START_TIME
            try:
                while not server.runs:
                    if self._reactor.seconds() > give_up:
                        raise DemoFailed(f"the server does not come up:\n{server.text}")
                    await deferLater(self._reactor, 0.05)
                return server
            except DemoFailed:
                if "in use?" not in server.text:
                    raise
        raise DemoFailed("no ports could be had")

    async def _meet(self, first: Side, second: Side) -> None:
        # Watched before they are opened: so the first frame is seen, too.
        for side, other in ((first, second), (second, first)):
            while other.client.user_id not in side.client.members:
                await deferLater(self._reactor, 0.02)
            side.watching = await side.client.watch(
                other.client.user_id, sink=NullSink()
            )
        first.publishing = await first.client.publish("test:tone=440")
        second.publishing = await second.client.publish("test:tone=660")

    def _tell_how_to_join(self, server: Server) -> None:
        self._console.print(
            f"Server: TCP {server.tcp_port}, UDP {server.udp_port}, demo mode. "
            "Join by hand from another terminal:\n",
            highlight=False,
        )
        command = [program("anychat-client"), "join", f"127.0.0.1:{server.tcp_port}"]
        command += ["--user", "me", "--room", str(ROOM), "--publish", "test:"]
        command += ["--watch", "all", "--seconds", "20"]
        command += ["--fingerprint", server.fingerprint]
        self._console.print(
            f"  {shlex.join(command)}\n", highlight=False, soft_wrap=True
        )
        if self._seconds is None:
            self._console.print("Ctrl-C ends the demonstration.\n")

    async def _show(self, sides: tuple[Side, Side]) -> None:
        start = self._reactor.seconds()
        with Live(figures(sides), console=self._console, auto_refresh=False) as live:
            while not self._interrupted:
                passed = self._reactor.seconds() - start
                if self._seconds is not None and passed >= self._seconds:
                    break
                left = REFRESH if self._seconds is None else self._seconds - passed
                pause: Deferred[None] = deferLater(self._reactor, min(REFRESH, left))
                with suppress(CancelledError):
                    await self._until_interrupted(pause)
                live.update(figures(sides), refresh=True)
        self._console.print()

    async def _finish(self, sides: tuple[Side, Side]) -> None:
        """Compare what was sent with what was decoded."""
        sent = []
        for side in sides:
            sent.append({kind: side.sent(kind) for kind in StreamKind})
            if not all(sent[-1].values()):
                raise CancelledError
            for kind in tuple(side.publishing.sending):
                side.publishing.sending[kind].stop()
        await deferLater(self._reactor, DRAIN)
        good = True
        for sender, frames, receiver in zip(sides, sent, sides[::-1], strict=True):
            self._console.print(f"{receiver.name} received from {sender.name}:")
            for kind in StreamKind:
                total = receiver.watching.statistics(kind)
                enough = total.frames_decoded >= max(1, ENOUGH * frames[kind])
                good = good and enough
                first = total.first_frame_ms
                self._console.print(
                    f"  {kind.name.lower()}: {total.frames_decoded} of "
                    f"{frames[kind]} frames decoded, {total.packets} packets, "
                    f"{total.lost} lost, {total.repaired} repaired, first frame "
                    + ("never" if first is None else f"after {first:.0f} ms")
                    + ("" if enough else "   <-- not enough"),
                    highlight=False,
                    soft_wrap=True,
                )
        self.exit_code = 0 if good else 1
        if not good:
            self._console.print("Something did not arrive.")


def demo_seconds(environment: Any) -> float | None:
    """DEMO_SECONDS; None where it is not set.

    :raises DemoFailed: it is no number of seconds.
    """
    text = environment.get("DEMO_SECONDS", "")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise DemoFailed(f"DEMO_SECONDS={text!r}: a number of seconds is wanted")
    return seconds


def main() -> None:
    """Run the demonstration and exit."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    console = Console()
    try:
        demo = Demo(reactor, console, demo_seconds(os.environ))
    except DemoFailed as failed:
        console.print(str(failed))
        sys.exit(2)

    def ended(outcome: Any) -> None:
        if isinstance(outcome, Failure):
            outcome.printTraceback(sys.stderr)
        reactor.stop()

    def start() -> None:
        def on_signal(number: int, frame: object) -> None:
            reactor.callFromThread(demo.interrupt)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        ensureDeferred(demo.run()).addBoth(ended)

    reactor.callWhenRunning(start)
    reactor.run()
    sys.exit(demo.exit_code)


if __name__ == "__main__":
    main()
