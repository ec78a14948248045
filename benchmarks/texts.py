"""Texts to a whole room: how many a second, how late, and what they cost.

Starts `anychatcoreserver` on free loopback ports, pinned to one CPU, and workers
on the others whose clients all enter one room over TLS.  Each client says
something at its own moment of every second; every text reaches all the others.
How late is measured from before the sender's write to after the receiver's
decoding, on the one clock that they share; so it holds the clients' work too.

    python benchmarks/texts.py [--users N] [--rate N] [--seconds N] [--plain] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.internet import reactor
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from anychat.load.histogram import BUCKETS, bucket_of, percentile
from anychat.messages import (
    EnterRoom,
    Login,
    LoginResult,
    OnlineUser,
    SendText,
    TextMessage,
)
from anychat.protocols.formats import number_of
from anychat.protocols.signalling import ClientLink
from benchmarks.logins import running_server, say

_TEXT = number_of(TextMessage)

#: Seconds between heartbeats.
HEARTBEAT = 5.0
#: Seconds before what is measured.
WARM_UP = 3.0
#: Characters of a text: a usual line.
TEXT = 40


class Link(ClientLink):
    """A client's link that takes texts without ado.

    All clients have one CPU between them, and it is the server that is measured.
    """

    def _take(self, frame):
        channel = self.channel
        if channel is None or frame.type != _TEXT:
            super()._take(frame)
            return
        channel.acknowledge(frame.ack)
        channel.take(frame.seq)
        # Source, target, secret and the length come before the text.
        self._owner.heard(float(frame.body[11:].partition(b" ")[0]))


class Member:
    """One client in the room."""

    def __init__(self, crowd):
        self._crowd = crowd
        self.link = Link(
            self,
            agent="benchmark",
            random_bytes=os.urandom,
            seconds=time.monotonic,
            tls=crowd.tls,
        )
        self._request = 0

    def speak(self):
        """Say what time it is."""
        self._request += 1
        text = f"{time.monotonic():.6f} ".ljust(TEXT, ".")
        self.link.send(SendText(-1, False, text), self._request)

    def heard(self, when):
        """A text arrived."""
        self._crowd.heard(when)

    # What the link reports.

    def link_secured(self, link, certificate):
        """Whose certificate it is does not matter here."""

    def link_hello(self, link, hello):
        """Nothing to do."""

    def link_ready(self, link):
        """Log in as a guest."""
        link.send(Login("guest", ""), 0)

    def link_message(self, link, request, message):
        """Come in."""
        if isinstance(message, LoginResult):
            self._request += 1
            link.send(EnterRoom(1), self._request)
        elif isinstance(message, OnlineUser):
            self._crowd.entered()

    def link_lost(self, link, reason):
        """None may be lost."""
        self._crowd.lost()


class Crowd(ClientFactory):
    """A worker's clients.

    :param offset: number of its first client among all.
    """

    noisy = False

    def __init__(self, port, tls, count, offset, users, rate, seconds):
        self.tls = CertificateOptions(verify=False) if tls else None
        self._port, self._count, self._offset = port, count, offset
        self._users, self._rate, self._seconds = users, rate, seconds
        self._members = []
        self._in = self._lost = self._sent = 0
        self._delays = [0] * BUCKETS
        self._measuring = False

    def begin(self):
        """The first one connects, and each brings the next."""
        reactor.connectTCP("127.0.0.1", self._port, self)

    def buildProtocol(self, addr):
        """One more."""
        member = Member(self)
        self._members.append(member)
        return member.link

    def entered(self):
        """One is in the room."""
        self._in += 1
        if self._in < self._count:
            self.begin()
            return
        LoopingCall(self._beat).start(HEARTBEAT, now=False)
        say(ready=True)
        deferToThread(sys.stdin.readline).addCallback(self._talk)

    def heard(self, when):
        """A text arrived."""
        if self._measuring:
            self._delays[bucket_of(int((time.monotonic() - when) * 1e9))] += 1

    def lost(self):
        """A client's connection is gone."""
        self._lost += 1

    def _talk(self, line):
        """Everybody speaks at its own moment, from a time that all have."""
        began = float(line)
        interval = self._users / self._rate
        for number, member in enumerate(self._members, self._offset):
            first = began + interval * number / self._users - time.monotonic()
            reactor.callLater(max(0.0, first), self._speak, member, interval)
        reactor.callLater(began + WARM_UP - time.monotonic(), self._measure, True)
        end = began + WARM_UP + self._seconds
        reactor.callLater(end - time.monotonic(), self._finish)

    def _speak(self, member, interval):
        reactor.callLater(interval, self._speak, member, interval)
        self._sent += self._measuring
        member.speak()

    def _measure(self, on):
        self._measuring = on

    def _finish(self):
        self._measuring = False
        say(sent=self._sent, lost=self._lost, delays=self._delays)
        deferToThread(sys.stdin.readline).addCallback(lambda _: reactor.stop())

    def _beat(self):
        for member in self._members:
            member.link.heartbeat()


def measure(options):
    """One run."""
    cpus = sorted(os.sched_getaffinity(0))
    with running_server() as server:
        os.sched_setaffinity(server.pid(), cpus[:1])
        workers = min(2, options.users)
        processes, offset = [], 0
        for number in range(workers):
            share = options.users // workers + (number < options.users % workers)
            arguments = (
                *(server.port, int(not options.plain), share, offset),
                *(options.users, options.rate, options.seconds),
            )
            offset += share
            process = subprocess.Popen(
                [sys.executable, __file__, "--worker", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            os.sched_setaffinity(process.pid, cpus[1:] or cpus)
            process.stdout.readline()
            processes.append(process)
        began = time.monotonic() + 1.0
        for process in processes:
            process.stdin.write(f"{began}\n".encode())
            process.stdin.flush()
        time.sleep(1.0 + WARM_UP)
        cpu = server.cpu()
        time.sleep(options.seconds)
        cpu = server.cpu() - cpu
        results = [json.loads(process.stdout.readline()) for process in processes]
        for process in processes:
            process.communicate(b"end\n", timeout=30)
    delays = [
        sum(counts) for counts in zip(*(r["delays"] for r in results), strict=True)
    ]
    return {
        "users": options.users,
        "tls": not options.plain,
        "texts_per_second": round(sum(r["sent"] for r in results) / options.seconds),
        "copies_per_second": round(sum(delays) / options.seconds),
        "lost_links": sum(result["lost"] for result in results),
        **{
            f"ms_p{share * 100:g}": round(percentile(delays, share) * 1000, 2)
            for share in (0.5, 0.99, 0.999, 1.0)
        },
        "server_cpu": round(cpu / options.seconds, 3),
    }


def work(arguments):
    """Be a worker."""
    port, tls, count, offset, users = map(int, arguments[:5])
    rate, seconds = map(float, arguments[5:])
    crowd = Crowd(port, bool(tls), count, offset, users, rate, seconds)
    reactor.callWhenRunning(crowd.begin)
    reactor.callLater(WARM_UP + seconds + 120, reactor.stop)
    reactor.run()


def main():
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100, metavar="N")
    parser.add_argument("--rate", type=float, default=102.0, metavar="N")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="N")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=7, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    result = measure(options)
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        for name, value in result.items():
            print(f"{name:20}{value:>12}")


if __name__ == "__main__":
    main()
