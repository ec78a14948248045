"""A call where UDP is blocked, for a while: run in a network namespace of its own.

Prints what happened as one JSON object.  Two clients and the server share the
namespace; a filter drops all UDP that arrives, is taken away after a while, and
comes back.
"""

import json
import shutil
import subprocess
import sys
from itertools import pairwise

from twisted.internet import defer, reactor
from twisted.python.failure import Failure

from anychat.client.events import ClientEvents
from test.live.call import Witness, pause, sign_in, until
from test.live.server import CoreServer

#: Seconds to look at each of the ways.
LOOK = 4.0


class Case:
    """What `sign_in` wants of a test."""

    def __init__(self):
        self.cleanups = []

    def addCleanup(self, function):
        """Call it at the end."""
        self.cleanups.append(function)


class Events(ClientEvents):
    """Notes what a user would notice."""

    def __init__(self):
        self.warnings = []
        self.streams = []

    def on_sdk_warning(self, code):
        """A warning."""
        self.warnings.append(int(code))

    def on_camera_state(self, *arguments):
        """A camera."""
        self.streams.append(arguments)


def block(blocked):
    """Drop all UDP, or none."""
    action = ["-A", "INPUT", "-p", "udp", "-j", "DROP"] if blocked else ["-F", "INPUT"]
    subprocess.run([shutil.which("iptables"), "-w", *action], check=True)


def longest_gap(witness, since=0):
    """Seconds between two pictures."""
    times = [when for _, _, when in witness.pictures[since:]]
    return max((b - a for a, b in pairwise(times)), default=99.0)


class Blocked:
    """Two clients that watch each other."""

    def __init__(self, case, server):
        self.case, self.server = case, server
        self.events = Events(), Events()
        self.witnesses = Witness(), Witness()

    async def join(self, place):
        """Enter, publish, and watch whoever is there."""
        name = ("ann", "bob")[place]
        return await sign_in(self.case, self.server, name, events=self.events[place])

    async def run(self):
        """The whole story."""
        block(True)
        began = reactor.seconds()
        ann, bob = await defer.gatherResults(
            [defer.ensureDeferred(self.join(place)) for place in (0, 1)]
        )
        clients = ann, bob
        await until(lambda: ann.members and bob.members)
        joined = reactor.seconds()
        watchings = []
        for me, other, witness in zip(
            clients, reversed(clients), self.witnesses, strict=True
        ):
            watchings.append(await me.watch(other.user_id, sink=witness))
            await me.publish("test:size=320x240,fps=15")
        await until(lambda: all(w.pictures and w.sounds for w in self.witnesses))
        in_call = reactor.seconds() - joined
        planes = [client._plane.session() for client in clients]
        told = {
            "sign_in": joined - began,
            "in_call": in_call,
            "over_link": [plane.over_link for plane in planes],
            "warnings": [list(events.warnings) for events in self.events],
        }
        marks = [len(witness.pictures) for witness in self.witnesses]
        await pause(LOOK)
        told["gap_over_link"] = self.gaps(marks)
        told["fps_over_link"] = self.rates(marks)

        streams = [len(events.streams) for events in self.events]
        marks = [len(witness.pictures) for witness in self.witnesses]
        block(False)
        freed = reactor.seconds()
        await until(lambda: not any(plane.over_link for plane in planes))
        told["back_on_udp"] = reactor.seconds() - freed
        await pause(LOOK)
        told["gap_to_udp"] = self.gaps(marks)
        told["fps_by_udp"] = self.rates(marks)

        block(True)
        again = reactor.seconds()
        await until(lambda: all(plane.over_link for plane in planes))
        told["back_over_link"] = reactor.seconds() - again
        marks = [len(witness.pictures) for witness in self.witnesses]
        await until(
            lambda: all(
                len(witness.pictures) > mark + 5
                for witness, mark in zip(self.witnesses, marks, strict=True)
            )
        )
        told["pictures_again"] = reactor.seconds() - again
        told["streams_changed"] = [
            len(events.streams) - before
            for events, before in zip(self.events, streams, strict=True)
        ]
        told["users"] = [list(client.members) for client in clients]
        return told

    def gaps(self, marks):
        """The longest of each."""
        return [
            round(longest_gap(witness, mark - 1), 3)
            for witness, mark in zip(self.witnesses, marks, strict=True)
        ]

    def rates(self, marks):
        """Pictures a second since the marks."""
        return [
            round((len(witness.pictures) - mark) / LOOK, 1)
            for witness, mark in zip(self.witnesses, marks, strict=True)
        ]


async def main(directory):
    """Run it; the result is printed."""
    subprocess.run([shutil.which("ip"), "link", "set", "lo", "up"], check=True)
    case = Case()
    server = CoreServer(
        directory,
        Function={"StreamTransMode": 2},
        Video={"VideoBitrate": 300000, "VideoGOPSize": 30},
    )
    await server.start()
    try:
        print(json.dumps(await Blocked(case, server).run()))
    finally:
        for cleanup in reversed(case.cleanups):
            await cleanup()
        await server.stop()


if __name__ == "__main__":
    failures = []

    def finish(result):
        """Say what went wrong, and end."""
        if isinstance(result, Failure):
            result.printTraceback(sys.stderr)
            failures.append(result)
        reactor.stop()

    reactor.callWhenRunning(
        lambda: defer.ensureDeferred(main(sys.argv[1])).addBoth(finish)
    )
    reactor.run()
    sys.exit(bool(failures))
