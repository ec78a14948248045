"""A file from one client to another through the real server, over loopback.

Starts `anychatcoreserver` on one CPU, with TLS, and two clients in processes of
their own on the other ones; the call may use all of them:

* rate: a file is sent while a call of two, with video, goes on beside it
  (`anychat-load`).  Measured are bytes per second, the server's CPU time per
  MB, how much memory each of the three processes needs more than before, and
  how late the call's packets came.
* cuts: the same, while the link of one client after the other is cut, 50 times
  in all.  Measured is what was sent more than once.

The receiver checks every byte by the digests that come with them, and this
script compares the two files in the end.

    python benchmarks/transfers.py [--size MiB] [--cuts N] [--cut-size MiB] [--json]
"""

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.logins import server_in

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that a file may take.
PATIENCE = 600.0

CONFIGURATION = """\
[Base Settings]
TCPListenPort={tcp}
UDPServicePort={udp}
DemoMode=1
[Network Settings]
ListenAddress=127.0.0.1
[Http Settings]
ListenPort=0
"""


def cpu_of(pid):
    """CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid, what="VmRSS"):
    """Resident memory in MiB; VmHWM: the most it was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {what}")


class Worker:
    """A client in a process of its own."""

    def __init__(self, cpus, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )

    def hear(self):
        """The next thing that it says."""
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a client has ended")
        return json.loads(line)

    def say(self, word):
        """Have it do something."""
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def end(self):
        """End it."""
        self._process.stdin.close()
        self._process.wait(30)


def send(port, cpus, server, directory, file, cuts=0):
    """Send a file from one client to the other; what was measured."""
    receiver = Worker(cpus, "receive", port, directory, 0)
    user_id = receiver.hear()["user_id"]
    sender = Worker(cpus, "send", port, user_id, file)
    sender.hear()
    # The first transfer is a small one: code is loaded and caches are warm.
    sender.say("warm")
    sender.hear()
    receiver.hear()
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # VmHWM begins anew
    memory, cpu = memory_of(server.pid), cpu_of(server.pid)
    began = time.monotonic()
    sender.say("go")
    length = Path(file).stat().st_size
    for cut in range(1, cuts + 1):
        # Whoever's turn it is says when it has come so far.
        side = sender if cut % 2 else receiver
        side.say(f"cut {length * cut // (cuts + 1)}")
        side.hear()
    sent, received = sender.hear(), receiver.hear()
    seconds = received["ended"] - began
    measured = {
        "mib": length >> 20,
        "cuts": cuts,
        "seconds": round(seconds, 2),
        "mb_per_second": round(length / seconds / 1e6, 1),
        "server_cpu_ms_per_mb": round(
            (cpu_of(server.pid) - cpu) * 1000 / (length / 1e6), 3
        ),
        "server_memory_mib": round(memory_of(server.pid, "VmHWM") - memory, 1),
        "sender_memory_mib": sent["memory_mib"],
        "receiver_memory_mib": received["memory_mib"],
        "sender_cpu_s": sent["cpu"],
        "receiver_cpu_s": received["cpu"],
        "sent_again_kib": sent["sent_again"] >> 10,
        "same": filecmp.cmp(file, received["path"], shallow=False),
    }
    if cuts:
        measured["sent_again_kib_per_cut"] = round(sent["sent_again"] / 1024 / cuts)
    os.unlink(received["path"])
    sender.end()
    receiver.end()
    return measured


def measure(options):
    """All runs; yields what each has measured."""
    everywhere = sorted(os.sched_getaffinity(0))
    others = set(everywhere[1:]) or set(everywhere)
    with tempfile.TemporaryDirectory(prefix="anychat-transfers-") as directory:
        file = Path(directory, "file.bin")
        with (
            server_in(directory, CONFIGURATION, {everywhere[0]}) as (server, port),
            file.open("wb") as content,
        ):
            for _ in range(options.size):
                content.write(os.urandom(1 << 20))
            content.flush()
            load = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from anychat.load.command import main; raise SystemExit(main())",
                    f"127.0.0.1:{port}",
                    *("--insecure", "--users", "2", "--publishers", "2"),
                    *("--video", "720p", "--seconds", str(options.call), "--json"),
                ],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            time.sleep(2.0)
            result = send(port, others, server, directory, file)
            result["what"] = "a file beside a call"
            summary = json.loads(load.communicate(timeout=PATIENCE)[0])
            result["call"] = summary
            yield result
            if options.cuts:
                os.truncate(file, min(options.cut_size, options.size) << 20)
                cut = send(port, others, server, directory, file, options.cuts)
                cut["what"] = "over links that are cut"
                yield cut


# The clients.


def work(role, port, *arguments):
    """Be a client."""
    from twisted.internet import reactor, stdio
    from twisted.internet.defer import inlineCallbacks
    from twisted.internet.task import LoopingCall
    from twisted.protocols.basic import LineReceiver

    from anychat.client.client import Client
    from anychat.client.trust import AnyCertificate

    client = Client(
        reactor,
        trust=AnyCertificate(),
        log_path=None,
        # The pauses before a client comes back are not what is measured here.
        uniform=lambda low, high: 0.02,
    )

    def tell(**values):
        print(json.dumps(values), flush=True)

    def usage():
        """CPU seconds, and the most memory in MiB."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime, memory_of("self", "VmHWM")

    before = [usage()]

    def begin():
        Path("/proc/self/clear_refs").write_text("5")
        cpu, _ = usage()
        before[0] = cpu, memory_of("self")

    def end(**values):
        cpu, memory = usage()
        tell(
            cpu=round(cpu - before[0][0], 2),
            memory_mib=round(memory - before[0][1], 1),
            ended=time.monotonic(),
            **values,
        )

    @inlineCallbacks
    def send_file(path):
        begin()
        task = client.transfers.trans_file(int(arguments[0]), path)
        yield task.done()
        end(sent_again=task.sent_again)

    def arrived(source, name, path, *_):
        end(path=path)

    def cut(at):
        def look():
            tasks = client.transfers.tasks
            if not tasks or tasks[0].offset < at:
                return
            looking.stop()
            client._session.connection.link.transport.abortConnection()
            tell(cut=tasks[0].offset)

        looking = LoopingCall(look)
        looking.start(0.001)

    class Orders(LineReceiver):
        delimiter = b"\n"

        def lineReceived(self, line):
            word, _, rest = line.decode().partition(" ")
            if word == "cut":
                cut(int(rest))
            elif word == "warm":
                # A TransFile too, of this very script.
                send_file(__file__)
            else:
                send_file(arguments[1])

        def connectionLost(self, reason=None):
            client.close()
            if reactor.running:
                reactor.stop()

    @inlineCallbacks
    def start():
        client.connect("127.0.0.1", int(port))
        yield client.login(role, "x")
        if role == "receive":
            client.transfers.directory = Path(arguments[0])
            client.events.on_trans_file = arrived
            client.transfers.accept = lambda task: begin() or True
        tell(user_id=client.user_id)
        stdio.StandardIO(Orders())

    reactor.callWhenRunning(start)
    reactor.run()


def table(result):
    """A result for people."""
    print(f"{result['what']}: {result['mib']} MiB in {result['seconds']} s")
    for name, value in result.items():
        if name not in ("what", "mib", "seconds", "call"):
            print(f"  {name:26} {value}")
    if "call" in result:
        print(f"  the call: {json.dumps(result['call'])}")


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=1024, metavar="MiB")
    parser.add_argument("--cuts", type=int, default=50, metavar="N")
    parser.add_argument("--cut-size", type=int, default=1024, metavar="MiB")
    parser.add_argument("--call", type=int, default=12, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for result in measure(options):
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            table(result)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        main()
