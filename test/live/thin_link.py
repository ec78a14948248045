"""One publisher with two layers, three receivers, one of them behind a thin link.

Prints what happened as one JSON object:

    python -m test.live.thin_link DIRECTORY
"""

import json
import sys
from itertools import pairwise

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from anychat.codes import StreamKind
from test.client.media.signals import GrainySource
from test.live.blocked import Case
from test.live.call import Witness, pause, sign_in
from test.live.server import CoreServer
from test.netem import Conditions, UdpProxy

#: Links, as they are at first and while one of them is limited.
WIDE = Conditions(delay=0.020, rate=4_000_000, queue=100_000)
THIN = Conditions(delay=0.020, rate=300_000, queue=50_000)
#: Seconds before the limit, with it, and after it.
BEFORE, LIMITED, AFTER = 6.0, 14.0, 12.0
#: Seconds until the low layer must be there, and the high one again.
DOWN, UP = 5.0, 10.0
#: Pixels of the layers' width, and pictures a second of both.
FULL, SMALL, FPS = 480, 240, 15
#: Bits a second that the publisher is set to.
BITRATE = 1_000_000


class Receiver:
    """Somebody behind a link of his own."""

    def __init__(self, case, server):
        self._case, self._server = case, server
        self._proxy = UdpProxy(reactor, ("127.0.0.1", server.udp_port), down=WIDE)
        case.addCleanup(self._proxy.stop)
        self.witness = Witness()

    async def watch(self, name, user_id):
        """Sign in and watch a user."""
        port = self._proxy.port
        client = await sign_in(self._case, self._server, name, udp_port=port)
        self._watching = await client.watch(user_id, sink=self.witness)

    def limit(self, conditions):
        """Let the way down to him be like that."""
        for path in self._proxy.paths[1::2]:
            path.change(conditions)

    def statistics(self):
        """Of the video."""
        return self._watching.statistics(StreamKind.VIDEO)


async def measure(case, server):
    """What the limited receiver and the others saw, by name."""
    ann = await sign_in(case, server, "ann")
    receivers = []
    for name in ("bob", "carol", "dave"):
        receivers.append(Receiver(case, server))
        await receivers[-1].watch(name, ann.user_id)
    limited, *others = receivers
    source = GrainySource(f"test:size={FULL}x{FULL * 3 // 4},fps={FPS}")
    parameters = {"video_bitrate": BITRATE, "video_layers": 2}
    publishing = await ann.publish(source, overrides=parameters)
    await pause(BEFORE)
    video = publishing.sending[StreamKind.VIDEO]
    sent = video.statistics().bitrate + video.layer.statistics().bitrate
    before = [receiver.statistics() for receiver in others]
    begun = reactor.seconds()
    limited.limit(THIN)
    await pause(LIMITED)
    during = [receiver.statistics() for receiver in others]
    ended = reactor.seconds()
    limited.limit(WIDE)
    await pause(AFTER)

    seen = [(now, frame.width) for frame, _, now in limited.witness.pictures]
    small = [now for now, width in seen if width == SMALL and now > begun]
    full = [now for now, width in seen if width == FULL and now > ended]
    settled = [now for now, _ in seen if now > begun + DOWN]
    fluent = sum(begun + DOWN < now < ended for now in small)
    return {
        "sent": sent,
        "down": small[0] - begun if small else None,
        "up": full[0] - ended if full else None,
        "longest_gap": max(later - earlier for earlier, later in pairwise(settled)),
        "fps_small": fluent / (LIMITED - DOWN),
        "fps_others": [
            (last.frames_decoded - first.frames_decoded) / LIMITED
            for first, last in zip(before, during, strict=True)
        ],
        "packets_others": [
            (last.packets - first.packets) / LIMITED / (first.packets / BEFORE)
            for first, last in zip(before, during, strict=True)
        ],
        "widths_others": sorted(
            {
                frame.width
                for receiver in others
                for frame, *_ in receiver.witness.pictures
            }
        ),
    }


async def main(reactor, directory):
    """Run it; the result is printed."""
    case = Case()
    server = CoreServer(directory)
    await server.start()
    try:
        print(json.dumps(await measure(case, server)))
    finally:
        for cleanup in reversed(case.cleanups):
            await cleanup()
        await server.stop()


if __name__ == "__main__":
    react(lambda reactor: ensureDeferred(main(reactor, sys.argv[1])))
