"""A business server's share of a core's time: verdicts and events a second.

Starts the whole core server in a process of its own on one CPU, and on another
one the business server (`anychat.business`) and clients:

* inside of the core, logins of named users and texts are put in at fixed rates
  where links would put them in, since no load of TLS logins comes near these
  rates.  Each login is a VerifyUser round trip over the channel; users leave
  as soon as they are in.  Login, logout and text are an event each;
* 20 clients over TLS ask for a room's state 10 times a second each, and note
  how long the answer takes.

What is told: verdicts and events a second as the business server counts them,
events lost or still waiting, the core's CPU, and the clients' answers.

    python benchmarks/business.py [--logins N] [--events N] [--seconds S] [--json]
"""

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.logins import free_port
from test.licences import make_licence

CONFIGURATION = """\
[Base Settings]
TCPListenPort={tcp}
UDPServicePort={udp}
DemoMode=0
LicenseCA={licence_ca}
[Function Settings]
SDKFilterPlus=ipc
AllowGuestLogin=1
AutoAddRoom=1
[Network Settings]
ListenAddress=127.0.0.1
[Business Settings]
ListenPort={business}
[Http Settings]
ListenPort=0
"""

CLIENTS = 20
#: Requests a second of each.
REQUESTS = 10
#: Seconds between two portions of the load.
BEAT = 0.01
#: Seconds before anything is counted.
WARM_UP = 2.0
#: Ids that links and sessions of the load begin with, above all real ones.
FAR = 1 << 40
#: Users who say the texts: one alone may not have that many on their way.
TALKERS = 100


def pin(number):
    """Stay on one CPU, if there are several."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[number % len(cpus)]})


def say(**values):
    """One line for the parent."""
    print(json.dumps(values), flush=True)


# The core.


def run_core(path, logins, events):
    """The whole server, with a load inside."""
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall

    from anychat import wiring
    from anychat.config import load
    from anychat.log import Log
    from anychat.services.business import BusinessService
    from anychat.services.hall import HallService

    pin(0)
    reactor.seconds = time.monotonic
    server = wiring.build(load(path), reactor, Log())
    hall = next(part for part in server if isinstance(part, HallService))
    channel = next(part for part in server if isinstance(part, BusinessService))
    load_ = Load(hall, logins, events)
    server.privilegedStartService()
    server.startService()
    # As the server's process does.
    gc.freeze()
    cpu = [0.0]

    def told(line):
        """The parent's word."""
        if line == "begin":
            load_.begin()
        elif line == "count":
            cpu[0] = time.process_time()
            load_.count()
        elif line == "end":
            used = time.process_time() - cpu[0]
            load_.end()
            say(cpu=used, put_in=load_.put_in, **channel.statistics())
        elif line == "stop":
            reactor.stop()

    _listen(reactor, told)
    beat = LoopingCall(load_.beat)
    beat.clock = reactor
    beat.start(BEAT, now=False)
    say(ready=True)
    reactor.run()


def _listen(reactor, told):
    """Call a function for each line of standard input."""
    from twisted.internet.stdio import StandardIO
    from twisted.protocols.basic import LineOnlyReceiver

    class Lines(LineOnlyReceiver):
        delimiter = b"\n"

        def lineReceived(self, line):
            told(line.decode())

    StandardIO(Lines(), reactor=reactor)


class Load:
    """Logins and texts, put into the core at fixed rates."""

    def __init__(self, hall, logins, events):
        from anychat.core import commands

        self._commands = commands
        self._hall = hall
        self._logins = logins
        # A login and a logout are two of the events.
        self._texts = max(0, events - 2 * logins)
        self._numbers = count(FAR)
        self._talkers = []
        self._began = None
        self._done = [0, 0]
        self.put_in = {}
        self._waiting = set()

    def begin(self):
        """Users who talk, and off."""
        self._talkers = [self._login("") for _ in range(TALKERS)]
        self._began = time.monotonic()

    def count(self):
        """Count from here."""
        self.put_in = {"logins": -self._done[0], "texts": -self._done[1]}

    def end(self):
        """No more."""
        self._began = None
        self.put_in["logins"] += self._done[0]
        self.put_in["texts"] += self._done[1]

    def beat(self):
        """As much as is due."""
        if self._began is None:
            return
        passed = time.monotonic() - self._began
        sessions = self._hall.hall.state.sessions
        for session in [one for one in self._waiting if one in sessions]:
            self._waiting.remove(session)
            self._message(session, self._logout())
        while self._done[0] < passed * self._logins:
            self._done[0] += 1
            self._waiting.add(self._login("secret"))
        while self._done[1] < passed * self._texts:
            self._done[1] += 1
            talker = self._talkers[self._done[1] % TALKERS]
            self._message(talker, self._text(talker))

    def _login(self, password):
        from anychat.codes import DeviceType
        from anychat.messages import Login

        number = next(self._numbers)
        self._hall.submit(
            self._commands.LinkLogin(
                link=number,
                request=1,
                message=Login(f"user{number - FAR}", password),
                session=number,
                address="192.0.2.1",
                device=DeviceType.LINUX,
                secure=False,
            )
        )
        return number

    def _logout(self):
        from anychat.messages import Logout

        return Logout()

    def _text(self, talker):
        from anychat.messages import SendText

        user_id = self._hall.hall.state.sessions[talker].user_id
        return SendText(user_id, False, "a text of some thirty characters")

    def _message(self, session, message):
        self._hall.submit(
            self._commands.SessionMessage(session=session, request=0, message=message)
        )


# The other side.


def run_others(business, tcp, seconds):
    """The business server and the clients."""
    from twisted.internet import reactor
    from twisted.internet.defer import ensureDeferred

    from anychat.business.server import BusinessServer, UserVerdict
    from anychat.business.settings import Settings
    from anychat.client.client import Client
    from anychat.client.trust import AnyCertificate
    from anychat.codes import RoomState
    from anychat.log import Log

    pin(1)
    answers = []

    class Counting(BusinessServer):
        verdicts = events = lost = 0

        def verify_user(self, name, password):
            self.verdicts += 1
            return UserVerdict(int(name[4:]) + 1)

        def prepare_enter_room(self, user_id, room_id, room_name, password):
            return 0

        def on_user_login_action(self, user_id, name, level, ip):
            self.events += 1

        def on_user_logout_action_ex(self, user_id, code):
            self.events += 1

        def on_recv_user_text_msg(self, *arguments):
            self.events += 1

        def on_events_lost(self, count):
            self.lost += count

    # Standard output is the parent's.
    server = Counting(
        reactor, Settings(server_port=business, name="counting"), log=Log()
    )

    async def client(number):
        one = Client(reactor, trust=AnyCertificate(), log_path=None)
        await one.connect("127.0.0.1", tcp)
        await one.login(f"guest{number}")
        await one.enter_room(1)
        reactor.callLater(number / CLIENTS / REQUESTS, ask, one)

    def ask(one):
        asked = time.perf_counter()
        reactor.callLater(1 / REQUESTS, ask, one)
        one.room_state(1, RoomState.ONLINE_USERS).addCallback(
            lambda _: answers.append(time.perf_counter() - asked)
        )

    async def begin():
        server.startService()
        while not server.connected:
            await wait(0.05)
        for number in range(CLIENTS):
            await client(number)
        say(ready=True)

    def wait(delay):
        from twisted.internet.task import deferLater

        return deferLater(reactor, delay)

    def told(line):
        if line == "count":
            answers.clear()
            server.verdicts = server.events = 0
            reactor.callLater(seconds, report, time.process_time())
        elif line == "stop":
            reactor.stop()

    def report(before):
        parts = quantiles(answers, n=100)
        say(
            verdicts=server.verdicts / seconds,
            events=server.events / seconds,
            lost=server.lost,
            cpu=time.process_time() - before,
            answers=len(answers),
            p50_ms=1000 * parts[49],
            p99_ms=1000 * parts[98],
        )

    _listen(reactor, told)
    reactor.callWhenRunning(lambda: ensureDeferred(begin()))
    reactor.run()


# The parent.


class Child:
    """A process that is told and tells, a line at a time."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hear()

    def tell(self, word):
        """A word for it."""
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def hear(self):
        """Its next word."""
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark has ended")
        return json.loads(line)

    def stop(self):
        """End it."""
        self.tell("stop")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def measure(logins, events, seconds):
    """One run."""
    with tempfile.TemporaryDirectory(prefix="anychat-business-") as directory:
        ports = {
            "tcp": free_port(),
            "udp": free_port(socket.SOCK_DGRAM),
            "business": free_port(),
        }
        path = Path(directory, "AnyChatCoreServer.ini")
        licence_ca = make_licence(path.parent)
        path.write_text(CONFIGURATION.format(**ports, licence_ca=licence_ca))
        core = Child("--core", path, logins, events)
        others = Child("--others", ports["business"], ports["tcp"], seconds)
        core.tell("begin")
        time.sleep(WARM_UP)
        core.tell("count")
        others.tell("count")
        seen = others.hear()
        core.tell("end")
        cost = core.hear()
        for child in (others, core):
            child.stop()
    return {
        "verdicts_per_second": round(seen["verdicts"]),
        "events_per_second": round(seen["events"]),
        "events_lost": seen["lost"]
        + cost.get("events_dropped", 0)
        + cost.get("events_left_out", 0),
        "events_waiting": cost["events_waiting"],
        "core_cpu_percent": round(100 * cost["cpu"] / seconds, 1),
        "business_cpu_percent": round(100 * seen["cpu"] / seconds, 1),
        "answers": seen["answers"],
        "answer_p50_ms": round(seen["p50_ms"], 2),
        "answer_p99_ms": round(seen["p99_ms"], 2),
    }


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logins", type=int, default=2000, metavar="N")
    parser.add_argument("--events", type=int, default=10000, metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--core", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--others", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core:
        path, logins, events = options.core
        run_core(path, int(logins), int(events))
    elif options.others:
        business, tcp, seconds = options.others
        run_others(int(business), int(tcp), float(seconds))
    else:
        result = measure(options.logins, options.events, options.seconds)
        if options.json:
            print(json.dumps(result))
        else:
            for name, value in result.items():
                print(f"{name.replace('_', ' '):24}{value:>12}")


if __name__ == "__main__":
    main()
