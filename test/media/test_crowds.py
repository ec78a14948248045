"""The two forwarders side by side, where many receive and some refuse.

The differential tests of `test_relay` try what a few datagrams and commands can
do.  Here there are more destinations than an outbox takes, batches as long as
they may be, streams that go on, and a network that refuses one datagram and takes
the next.
"""

import errno
import random
import zlib
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from anychat.ids import SessionId, Ssrc
from anychat.media.path import Address, Path, Send
from anychat.media.routes import Forwarder
from anychat.media.source_limit import SourceLimit
from test.media.test_relay import NativeRig, Network, Twin, _relay
from test.media.test_routes import (
    AUDIO,
    KEY_MIDDLE,
    KEY_START,
    MIDDLE,
    NO_LIMIT,
    OTHER,
    SSRC,
    START,
    VIDEO,
    PortableRig,
    rtcp,
    rtp,
)

STREAMS = (SSRC, OTHER, Ssrc(7))
MARKINGS = (None, START, MIDDLE, MIDDLE, MIDDLE, KEY_START, KEY_MIDDLE)
#: Destinations of each round: few, many, more than an outbox takes.
FEW, MANY, TOO_MANY = 3, 40, 300
BATCHES = 8


class Weather:
    """What the network thinks of a datagram: the same, whoever asks.

    :param share: thousandths of the datagrams for which there is no room.
    :param whole: how runs are refused; 0: they are not.
    """

    def __init__(self, seed: int, share: int, whole: int) -> None:
        self.seed = seed
        self.share = share
        self.whole = whole

    def error(self, data: bytes, address: Address) -> int:
        """Of one datagram; 0 for none."""
        text = data + repr((self.seed, address)).encode()
        number = zlib.crc32(text) % 1000
        if number < self.share:
            return errno.EAGAIN
        return errno.ENETUNREACH if number < self.share * 1.2 else 0


def path_to(rig: PortableRig, number: int) -> Path:
    """There are more than a rig has."""
    if number < 200:
        return PortableRig.path(rig, number)
    return Path((f"10.1.{number >> 8}.{number & 255}", 4000))


class PortableCrowd(PortableRig):
    """The portable forwarder in that weather."""

    def __init__(self, weather: Weather, limit: SourceLimit) -> None:
        super().__init__(limit)
        self.weather = weather
        self.forwarder = Forwarder(self._sender, limit=limit)

    path = path_to

    def _sender(self, path: Path) -> Send:
        def send(data: bytes, address: Address) -> None:
            error = self.weather.error(data, address)
            if error:
                raise OSError(error, "refused")
            self._sent.append((data, address))

        return send


class StormyNetwork(Network):
    """Takes runs whole, or names the error of the first datagram refused."""

    def __init__(self, weather: Weather) -> None:
        super().__init__()
        self.weather = weather
        self.videos: set[bytes] = set()

    def __call__(self, datagrams: list[bytes], address: Address, local: bytes) -> int:
        errors = [self.weather.error(data, address) for data in datagrams]
        if len(datagrams) > 1:
            if self.weather.whole:
                return self.weather.whole
            full = errors[0] == errno.EAGAIN and datagrams[0][8:12] in self.videos
            if any(errors) and not full:
                # One by one, then, as each has an answer of its own.
                return errno.EIO
        if not errors[0]:
            self.sent += [(data, address) for data in datagrams]
        return errors[0]


class NativeCrowd(NativeRig):
    """The native forwarder in that weather."""

    def __init__(self, weather: Weather, limit: SourceLimit, lanes: int) -> None:
        super().__init__(limit, lanes)
        self.network = StormyNetwork(weather)
        for lane in range(lanes):
            self.forwarder.connect(lane, self.network)

    path = path_to


class Round:
    """One run of both.

    :param seed: decides everything but the size of the crowd.
    """

    def __init__(self, seed: int, crowd: int) -> None:
        self.random = chance = random.Random(seed)
        self.crowd = crowd
        weather = Weather(
            seed,
            chance.choice((0, 5, 100, 400)),
            chance.choice((0, 0, errno.EINVAL, errno.EIO)),
        )
        limit = chance.choice((NO_LIMIT, NO_LIMIT, SourceLimit(60, 20000)))
        self.native = NativeCrowd(weather, limit, chance.choice((1, 2)))
        self.twins = Twin(PortableCrowd(weather, limit)), Twin(self.native)
        self.next = {ssrc: chance.randrange(65536) for ssrc in STREAMS}
        for ssrc in STREAMS:
            kind = chance.choice((AUDIO, VIDEO, VIDEO))
            if kind is VIDEO:
                self.native.network.videos.add(ssrc.to_bytes(4, "big"))
            self.both("open", ssrc, kind)
            for leg in range(crowd):
                if chance.random() < 0.7:
                    gated = chance.random() < 0.3
                    self.both("add", ssrc, SessionId(leg), leg + 2, gated)

    def both(self, *command: object) -> list[object]:
        """Carry it out; what each returned."""
        return [twin.do(command) for twin in self.twins]

    def datagram(self) -> bytes:
        """The next one of some stream, with doubles, gaps and reports."""
        chance = self.random
        ssrc = chance.choice(STREAMS)
        if chance.random() < 0.05:
            return rtcp(200, ssrc)
        sequence = self.next[ssrc]
        self.next[ssrc] = (sequence + 1) & 0xFFFF
        if chance.random() < 0.05:
            sequence = (sequence - chance.randrange(70)) & 0xFFFF
        if chance.random() < 0.05:
            self.next[ssrc] = (self.next[ssrc] + chance.randrange(1100)) & 0xFFFF
        size = chance.choice((4, 4, 4, 30, 800))
        return rtp(sequence, chance.choice(MARKINGS), ssrc, bytes(size))

    def batch(self) -> list[tuple[bytes, int]]:
        """From the publisher."""
        return [(self.datagram(), 1) for _ in range(self.random.choice((1, 5, 20, 64)))]

    def change(self) -> list[object]:
        """A destination comes, goes or asks again, or time passes."""
        chance = self.random
        ssrc, leg = chance.choice(STREAMS), SessionId(chance.randrange(self.crowd))
        what = chance.randrange(4)
        if what == 0:
            return self.both("remove", ssrc, leg)
        if what == 1:
            where = chance.choice((None, "up", int(leg) + 2))
            return self.both("add", ssrc, leg, where, chance.random() < 0.5)
        if what == 2:
            latest = self.next[ssrc]
            asked = [(latest - back) & 0xFFFF for back in range(0, 600, 7)]
            return self.both("again", ssrc, leg, asked)
        return self.both("wait", chance.choice((0.01, 0.6)))


@skipIf(_relay is None, "the native relay is not built")
class CrowdTests(SynchronousTestCase):
    """The same datagrams in, the same datagrams and counts out."""

    def check(self, crowd, seeds):
        """Rounds of so many destinations."""
        for seed in seeds:
            tried = Round(seed, crowd)
            for number in range(BATCHES):
                tried.both("batch", tried.batch())
                for _ in range(tried.random.randrange(4)):
                    portable, native = tried.change()
                    self.assertEqual(portable, native, (seed, number))
                portable, native = (twin.state() for twin in tried.twins)
                # What differs may be a megabyte: look at it round by round.
                self.assertTrue(portable == native, f"seed {seed}, batch {number}")

    def test_few(self):
        """Long batches for a few."""
        self.check(FEW, range(30))

    def test_many(self):
        """One outbox takes what a run makes."""
        self.check(MANY, range(100, 115))

    def test_moreThanAnOutbox(self):
        """What a run makes is sent in pieces."""
        self.check(TOO_MANY, range(200, 206))
