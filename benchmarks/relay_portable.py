"""The portable forwarder under a full room: does it lose a packet, and at what cost?

    python benchmarks/relay_portable.py [--users 200] [--speakers 10] [--seconds 5]

One process runs the real media service on the real reactor, pinned to one CPU.
This one is the room: a socket for each user on another CPU, bound by STUN as a
client would, some of which speak 50 packets a second to all the others.  Every
copy is counted where it arrives.  Latency is from the speaker's stamp in the
packet to the kernel's stamp at the receiver, taken at some of the sockets, so
that this process's own slowness is not in it.

It stops by itself, with exit code 1 if a packet was lost.
"""

import argparse
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from anychat.codes import StreamKind
from anychat.ids import SessionId
from anychat.media import stun
from anychat.media.port import PortSettings
from anychat.services.media import MediaService

RATE = 50
"""Packets a second of each speaker."""
STAMP = struct.Struct("=d")
HEADER = struct.Struct("!BBHII")
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")
KEEP_ALIVE = 15.0
SETTLE = 0.5
"""Seconds for the last copies to arrive."""
SAMPLED = 10
"""Receivers at which latency is measured."""


def pin(cpu: int) -> None:
    """Stay on one CPU, where there are several."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {available[cpu % len(available)]})


# The server's side.


def serve(users: int, speakers: int, life: float) -> None:
    """Run the media service; answer each line on standard input with JSON."""
    pin(0)
    settings = PortSettings(number=0, interfaces=("127.0.0.1",))
    media = MediaService(reactor, settings, (), os.urandom, lambda line: None)
    media.startService()
    setups = [media.open_leg(SessionId(user)) for user in range(users)]
    streams = []
    for speaker in range(speakers):
        ssrc = media.new_ssrc()
        media.publish(SessionId(speaker), ssrc, StreamKind.AUDIO)
        streams.append(ssrc)
        for user in range(users):
            if user != speaker:
                media.subscribe(SessionId(user), ssrc)
    print(
        json.dumps(
            {
                "port": media.port,
                "streams": streams,
                "legs": [[setup.username, setup.stun_key.hex()] for setup in setups],
            }
        ),
        flush=True,
    )

    def stop() -> None:
        reactor.stop()

    def answer() -> None:
        """Look for a question; the reactor is busy with other descriptors."""
        if not select.select([0], [], [], 0)[0]:
            return
        if not sys.stdin.readline():
            stop()
            return
        counters = media.counters()
        print(
            json.dumps(
                {
                    "cpu": time.process_time(),
                    "bound": counters.bound,
                    "received": counters.forwarder.received,
                    "forwarded": counters.forwarder.forwarded,
                    "drops": {
                        reason.value: number
                        for reason, number in counters.drops.items()
                    },
                }
            ),
            flush=True,
        )

    LoopingCall(answer).start(0.05)
    reactor.callLater(life, stop)
    reactor.run()
    media.stopService()


# The room's side.


class User:
    """One client: a socket, and the credentials of its leg."""

    def __init__(self, server: tuple[str, int], username: str, key: bytes):
        self.username = username
        self.key = key
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(server)
        self.socket.settimeout(2)
        self.received = 0

    def keep_alive(self) -> None:
        """Send a Binding request."""
        transaction = os.urandom(stun.TRANSACTION_LENGTH)
        self.socket.send(stun.request(transaction, self.username, self.key))

    def bind(self) -> None:
        """Propose the address and answer the server's check of it."""
        self.keep_alive()
        for _ in range(2):
            message = stun.parse(self.socket.recv(2048))
            message.check(self.key)
            if message.kind is stun.MessageClass.REQUEST:
                source = self.socket.getpeername()
                self.socket.send(stun.success(message, source, self.key))
        self.socket.setblocking(False)


class Room:
    """The users, what they send and what they get."""

    def __init__(self, users: list[User], streams: list[int], size: int):
        self.users = users
        self.sent = 0
        self.latencies: list[float] = []
        self._speakers = [
            (user, ssrc, os.urandom(size - HEADER.size - STAMP.size))
            for user, ssrc in zip(users, streams, strict=False)
        ]
        self._epoll = select.epoll()
        self._by_descriptor = {}
        for user in users:
            self._epoll.register(user.socket.fileno(), select.EPOLLIN)
            self._by_descriptor[user.socket.fileno()] = user
        self._buffer = bytearray(2048)
        self._sampled = set(users[:: max(1, len(users) // SAMPLED)])
        for user in self._sampled:
            user.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def speak(self, seconds: float) -> None:
        """All speakers in turn, evenly, and everybody listens."""
        interval = 1 / (RATE * len(self._speakers))
        start = time.monotonic()
        alive = start
        for turn in range(int(seconds * RATE * len(self._speakers))):
            due = start + turn * interval
            while (wait := due - time.monotonic()) > 0:
                self._listen(wait)
            sequence, speaker = divmod(turn, len(self._speakers))
            user, ssrc, payload = self._speakers[speaker]
            header = HEADER.pack(0x80, 111, sequence & 0xFFFF, 0, ssrc)
            user.socket.send(header + STAMP.pack(time.time()) + payload)
            self.sent += 1
            if due - alive > KEEP_ALIVE:
                alive = due
                for each in self.users:
                    each.keep_alive()
        end = time.monotonic() + SETTLE
        while (wait := end - time.monotonic()) > 0:
            self._listen(wait)

    def _listen(self, wait: float) -> None:
        """Take one datagram of each socket that has some."""
        for descriptor, _ in self._epoll.poll(wait):
            user = self._by_descriptor[descriptor]
            if user in self._sampled:
                self._take_stamped(user)
            else:
                user.socket.recv_into(self._buffer)
                # STUN answers to the keep-alives are not copies.
                user.received += self._buffer[0] >> 7

    def _take_stamped(self, user: User) -> None:
        data, ancillary, _, _ = user.socket.recvmsg(2048, 64)
        if data[0] >> 7:
            user.received += 1
            seconds, nanoseconds = TIMESPEC.unpack_from(ancillary[0][2])
            (stamp,) = STAMP.unpack_from(data, HEADER.size)
            self.latencies.append(seconds + nanoseconds / 1e9 - stamp)


class Server:
    """The other process."""

    def __init__(self, users: int, speakers: int, seconds: float):
        arguments = {"serve": seconds + 60, "users": users, "speakers": speakers}
        self._process = subprocess.Popen(
            [sys.executable, __file__]
            + [f"--{name}={value}" for name, value in arguments.items()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question: str = "") -> dict[str, Any]:
        """Its next line; the first one says where it listens."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if question:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def measure(users: int, speakers: int, seconds: float, size: int) -> dict[str, Any]:
    """Run the room once."""
    pin(1)
    server = Server(users, speakers, seconds)
    try:
        facts = server.ask()
        address = ("127.0.0.1", facts["port"])
        people = [
            User(address, username, bytes.fromhex(key))
            for username, key in facts["legs"]
        ]
        for user in people:
            user.bind()
        room = Room(people, facts["streams"], size)
        before = server.ask("counters")
        start = time.monotonic()
        room.speak(seconds)
        wall = time.monotonic() - start - SETTLE
        after = server.ask("counters")
    finally:
        server.stop()
    expected = room.sent * (users - 1)
    received = sum(user.received for user in people)
    cpu = after["cpu"] - before["cpu"]
    latencies = sorted(room.latencies)
    return {
        "users": users,
        "speakers": speakers,
        "size": size,
        "seconds": round(wall, 3),
        "bound": before["bound"],
        "sent": room.sent,
        "copies_expected": expected,
        "copies_forwarded": after["forwarded"] - before["forwarded"],
        "copies_received": received,
        "lost": expected - received,
        "copies_per_second": round(received / wall),
        "server_cpu_share": round(cpu / wall, 3),
        "server_cpu_us_per_copy": round(cpu / received * 1e6, 3),
        "latency_p50_us": round(latencies[len(latencies) // 2] * 1e6),
        "latency_p99_us": round(latencies[len(latencies) * 99 // 100] * 1e6),
        "drops": after["drops"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Load the portable forwarder.")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--speakers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--size", type=int, default=200, help="bytes of a packet")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.users, options.speakers, options.serve)
        return
    result = measure(
        options.users, options.speakers, options.seconds, max(options.size, 36)
    )
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")
    raise SystemExit(1 if result["lost"] else 0)


if __name__ == "__main__":
    main()
