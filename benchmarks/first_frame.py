"""How long a new watcher waits for the first decoded picture.

One client publishes the test picture, 320x240 at 15 frames per second, into a
room of a real server on loopback.  Then

* one after the other, watchers subscribe, see one frame and leave;
* a crowd subscribes within a tenth of a second.

The time is from the call of `Client.watch` to the frame's decoding, so it
holds the way of the request, the key frame that is asked of the publisher, the
wait for its next picture (up to 67 ms), and the jitter buffer.  All clients
live in this one process.

    python benchmarks/first_frame.py [--single N] [--crowd N] [--json]
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from logins import running_server
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from anychat.client.client import Client
from anychat.client.trust import AnyCertificate
from anychat.codes import StreamKind

#: Seconds that one watcher may wait.
PATIENCE = 10.0
#: Seconds for the UDP addresses to be bound.
BINDING = 1.0
#: Seconds between two measurements: longer than the pace of key frames.
PAUSE = 0.7
#: Seconds in which the crowd comes.
CROWD_TIME = 0.1


class FirstFrame:
    """A sink that fires with the first picture."""

    def __init__(self):
        self.seen = Deferred()

    def video_frame(self, frame, when):
        """See `Sink`."""
        if not self.seen.called:
            self.seen.callback(reactor.seconds())

    def audio_frame(self, frame, when):
        """See `Sink`."""


async def sign_in(port, name):
    """A client in room 1."""
    client = Client(reactor, trust=AnyCertificate(), log_path=None, media_at_login=True)
    await client.connect("127.0.0.1", port)
    await client.login(name)
    await client.enter_room(1)
    return client


async def first_frame(client, user_id):
    """Milliseconds until a client sees somebody."""
    sink = FirstFrame()
    asked = reactor.seconds()
    client.watch(user_id, audio=False, sink=sink)
    seen = await sink.seen.addTimeout(PATIENCE, reactor)
    return (seen - asked) * 1000


async def measure(port, single, crowd):
    """The waits of those who come one by one, and of the crowd."""
    publisher = await sign_in(port, "publisher")
    publishing = await publisher.publish("test:")
    video = publishing.sending[StreamKind.VIDEO]
    watchers = [await sign_in(port, f"watcher{n}") for n in range(max(single, crowd))]
    await deferLater(reactor, BINDING)
    waits = []
    for watcher in watchers[:single]:
        waits.append(await first_frame(watcher, publisher.user_id))
        watcher.unwatch(publisher.user_id)
        await deferLater(reactor, PAUSE)
    before = video.statistics().key_frame_requests
    calls = []
    for watcher in watchers[:crowd]:
        calls.append(ensureDeferred(first_frame(watcher, publisher.user_id)))
        await deferLater(reactor, CROWD_TIME / crowd)
    together = [await call for call in calls]
    await deferLater(reactor, PAUSE)
    asked = video.statistics().key_frame_requests - before
    for client in (publisher, *watchers):
        await client.close()
    return {
        "single_ms": sorted(round(wait, 1) for wait in waits),
        "single_median_ms": round(statistics.median(waits), 1),
        "crowd_ms": sorted(round(wait, 1) for wait in together),
        "crowd_last_ms": round(max(together), 1),
        "crowd_key_frame_requests": asked,
    }


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--crowd", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcome = []

    def ended(result):
        outcome.append(result)
        reactor.stop()

    with running_server() as server:
        reactor.callWhenRunning(
            lambda: ensureDeferred(
                measure(server.port, options.single, options.crowd)
            ).addBoth(ended)
        )
        reactor.run()
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    if options.json:
        print(json.dumps(result))
        return
    print("first decoded picture after subscribing, ms")
    print(f"  one by one: median {result['single_median_ms']}: {result['single_ms']}")
    print(
        f"  {options.crowd} within {CROWD_TIME * 1000:.0f} ms: last "
        f"{result['crowd_last_ms']}: {result['crowd_ms']}; "
        f"{result['crowd_key_frame_requests']} key frames asked of the publisher"
    )


if __name__ == "__main__":
    main()
