"""Logins per second, and what an idle client costs, of the real server.

Starts `anychatcoreserver` with a configuration of its own on free loopback
ports, and drives it from other processes:

* plain guests and TLS guests: connect, hello, log in, log out, as fast as they
  go with a bounded number of links at a time (every TLS login is a full
  handshake);
* idle: TLS guests that log in and stay, sending their heartbeats; the growth of
  the server's resident memory, divided by their number, is what one costs.

Beside the rate stands the server's CPU time per login: one core's worth of
that is the rate that the load generator did not hold back.

    python benchmarks/logins.py [--plain N] [--tls N] [--idle N] [--json]
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.internet import reactor
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from anychat.messages import Login, LoginResult, Logout
from anychat.protocols.signalling import ClientLink
from test.licences import make_licence

ROOT = Path(__file__).resolve().parent.parent
#: Links at a time over all workers: the server takes 100 from one address.
CONCURRENCY = 64
#: Seconds between the heartbeats of idle clients.
HEARTBEAT = 5.0
#: Seconds that the whole run may take before it gives up.
PATIENCE = 120.0

CONFIGURATION = """\
[Base Settings]
TCPListenPort={tcp}
UDPServicePort={udp}
DemoMode=0
LicenseCA={licence_ca}
[Network Settings]
ListenAddress=127.0.0.1
[Http Settings]
ListenPort=0
"""


class Server:
    """The server's process."""

    def __init__(self, process, port):
        self._process = process
        self.port = port

    def pid(self):
        """The process's number."""
        return self._process.pid

    def cpu(self):
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident memory in KiB."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1024


@contextmanager
def running_server():
    """Start the server in a directory of its own; end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="anychat-logins-") as directory:
        settings = {"licence_ca": make_licence(Path(directory))}
        with server_in(directory, CONFIGURATION, **settings) as (process, port):
            yield Server(process, port)


@contextmanager
def server_in(directory, configuration, cpus=None, **settings):
    """Start the server in a directory: its process and its TCP port; end it
    afterwards.

    :param configuration: with ``{tcp}``, ``{udp}``, and names for the settings.
    :param cpus: which it may use; None: all of this process's.
    """
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    path = Path(directory, "AnyChatCoreServer.ini")
    path.write_text(configuration.format(tcp=tcp, udp=udp, **settings))
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from anychat.coreserver import main; raise SystemExit(main())",
            "--config",
            str(path),
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=cpus and (lambda: os.sched_setaffinity(0, cpus)),
    )
    try:
        wait_for(process, tcp)
        yield process, tcp
    finally:
        process.communicate(b"q\n", timeout=30)


def free_port(kind=socket.SOCK_STREAM):
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(process, port):
    """Wait until the server listens."""
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not listen")


def load(server, what, tls, count, workers):
    """Run workers; their results, and the server's cost before and after."""
    command = [sys.executable, __file__, "--worker", what, str(server.port)]
    shares = [count // workers + (n < count % workers) for n in range(workers)]
    processes = [
        subprocess.Popen(
            [*command, str(int(tls)), str(share), str(CONCURRENCY // workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for share in shares
    ]
    for process in processes:
        process.stdout.readline()  # it is ready
    before = server.cpu(), server.memory()
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    results = [json.loads(process.stdout.readline()) for process in processes]
    after = server.cpu(), server.memory()
    for process in processes:
        process.communicate(b"end\n", timeout=30)
    return results, before, after


def measure_logins(server, tls, count, workers):
    """Logins per second and CPU per login."""
    load(server, "logins", tls, 200, 1)  # imports and caches are warm after it
    results, (cpu, _), (cpu_after, _) = load(server, "logins", tls, count, workers)
    first = min(result["began"] for result in results)
    last = max(result["ended"] for result in results)
    done = sum(result["done"] for result in results)
    cost = (cpu_after - cpu) / done
    return {
        "what": "TLS logins" if tls else "plain logins",
        "count": done,
        "failed": sum(result["failed"] for result in results),
        "per_second": round(done / (last - first)),
        "cpu_ms": round(cost * 1000, 3),
        "per_core_second": round(1 / cost),
    }


def measure_idle(server, count, workers):
    """Memory of a signed-in TLS client that does nothing."""
    load(server, "logins", True, 200, 1)
    results, (_, memory), (_, memory_after) = load(server, "idle", True, count, workers)
    return {
        "what": "idle TLS clients",
        "count": sum(result["done"] for result in results),
        "failed": sum(result["failed"] for result in results),
        "kib_each": round((memory_after - memory) / count, 1),
        "kib_before": round(memory),
        "kib_after": round(memory_after),
    }


class Load:
    """A worker's load: so many logins, some of them at a time.

    :param stay: whether clients stay instead of logging out.
    """

    def __init__(self, port, tls, count, at_once, stay):
        self._port = port
        self._tls = CertificateOptions(verify=False) if tls else None
        self._count = self._left = count
        self._at_once = at_once
        self._stay = stay
        self._staying = []
        self._began = 0.0
        self._done = self._failed = 0
        self._links = _Links(self)

    def begin(self):
        """Start as many as may be at a time."""
        self._began = time.monotonic()
        if self._stay:
            LoopingCall(self._beat).start(HEARTBEAT, now=False)
        for _ in range(self._at_once):
            self._next()

    def make_link(self):
        """The protocol of a connection."""
        return ClientLink(
            self,
            agent="benchmark",
            random_bytes=os.urandom,
            seconds=time.monotonic,
            tls=self._tls,
        )

    def failed(self):
        """One did not even connect."""
        self._finish(False)

    # What links report.

    def link_secured(self, link, certificate):
        """Whose certificate it is does not matter here."""

    def link_hello(self, link, hello):
        """Nothing to do."""

    def link_ready(self, link):
        """Log in as a guest."""
        link.send(Login("guest", ""), 1)

    def link_message(self, link, request, message):
        """Log out as soon as in, or stay."""
        if isinstance(message, LoginResult):
            if message.code:
                link.abort()
            elif self._stay:
                self._staying.append(link)
                self._finish(True)
            else:
                link.send(Logout(), 2)

    def link_lost(self, link, reason):
        """The server closes after a logout; anything else is a failure."""
        if not self._stay or link not in self._staying:
            self._finish(link.channel is not None)

    def _next(self):
        if self._left:
            self._left -= 1
            reactor.connectTCP("127.0.0.1", self._port, self._links)

    def _beat(self):
        for link in self._staying:
            link.heartbeat()

    def _finish(self, good):
        self._done += good
        self._failed += not good
        self._next()
        if self._done + self._failed == self._count:
            ended = time.monotonic()
            # Those who stay are idle only once they have acknowledged.
            wait = HEARTBEAT + 1 if self._stay else 0
            reactor.callLater(wait, self._report, ended)

    def _report(self, ended):
        say(
            done=self._done,
            failed=self._failed,
            began=self._began,
            ended=ended,
        )
        deferToThread(sys.stdin.readline).addCallback(lambda _: reactor.stop())


class _Links(ClientFactory):
    """Makes the links of a load."""

    noisy = False

    def __init__(self, load):
        self._load = load

    def buildProtocol(self, addr):
        """One more."""
        return self._load.make_link()

    def clientConnectionFailed(self, connector, reason):
        """Count it."""
        self._load.failed()


def say(**values):
    """One line for the parent."""
    print(json.dumps(values), flush=True)


def work(arguments):
    """Be a worker: say ready, wait for the word, do the load, say how it was."""
    what, port, tls, count, at_once = arguments
    load = Load(int(port), tls == "1", int(count), int(at_once), what == "idle")
    say(ready=True)
    sys.stdin.readline()
    reactor.callWhenRunning(load.begin)
    reactor.callLater(PATIENCE, reactor.stop)
    reactor.run()


def show(rows):
    """Print a table."""
    for row in rows:
        print(row["what"])
        for name, value in row.items():
            if name != "what":
                print(f"  {name:16}{value:>12}")


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plain", type=int, default=5000, metavar="N")
    parser.add_argument("--tls", type=int, default=3000, metavar="N")
    parser.add_argument("--idle", type=int, default=2000, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    rows = []
    with running_server() as server:
        if options.plain:
            rows.append(measure_logins(server, False, options.plain, options.workers))
        if options.tls:
            rows.append(measure_logins(server, True, options.tls, options.workers))
    if options.idle:
        with running_server() as server:
            rows.append(measure_idle(server, options.idle, options.workers))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)
    if any(row["failed"] for row in rows):
        raise SystemExit("some logins failed")


if __name__ == "__main__":
    main()
