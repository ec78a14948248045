"""Stand-ins that obey the client's seams."""

from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed

from anychat.client.events import ClientEvents
from anychat.codes import StreamKind
from anychat.messages import StreamFormat, StreamGranted

VIDEO_FORMAT = StreamFormat(96, 90000, 60000, width=320, height=240, fps=15)
AUDIO_FORMAT = StreamFormat(111, 48000, 15850, channels=1)


class RecordingEvents(ClientEvents):
    """Notes every event as (name, arguments...)."""

    def __init__(self):
        self.seen = []
        for name in dir(ClientEvents):
            if name.startswith("on_"):
                setattr(self, name, self._noting(name))

    def _noting(self, name):
        return lambda *arguments: self.seen.append((name, *arguments))

    def take(self):
        """What was seen since the last call."""
        seen, self.seen[:] = list(self.seen), []
        return seen


@dataclass
class FakeStatistics:
    """What a reception counts."""

    frames_decoded: int = 0
    packets: int = 0
    lost: int = 0
    repaired: int = 0
    first_frame_ms: float | None = None


@dataclass
class FakeSent:
    """What a publication counts."""

    frames: int = 0
    packets: int = 0
    resent: int = 0


class FakePublication:
    """Something that sends."""

    def __init__(self, opened, kind, source):
        self.opened, self.kind, self.source = opened, kind, source
        self.stopped = False
        self.counts = FakeSent()

    def stop(self):
        """Send no more."""
        assert not self.stopped
        self.stopped = True

    def statistics(self):
        """What was sent."""
        return self.counts


class FakeReception:
    """Something that receives."""

    def __init__(self, granted, sink):
        self.granted, self.sink = granted, sink
        self.counts = FakeStatistics()

    def statistics(self):
        """The counts."""
        return self.counts


class FakeMedia:
    """A media plane that notes what it was asked."""

    def __init__(self, reactor=None, log=None, on_udp=None, random_bytes=None):
        self.on_udp = on_udp
        self.setup = None
        self.configured = 0
        self.publications = []
        self.receptions = []
        self.layers = []
        self.small = None
        """What the smaller layer of any video is to carry; None: there is none."""
        self.stopped = False
        self.streams = [
            (StreamKind.VIDEO, VIDEO_FORMAT),
            (StreamKind.AUDIO, AUDIO_FORMAT),
        ]

    def configure(self, setup, server_host):
        """Where the media goes."""
        self.setup, self.host = setup, server_host
        self.configured += 1

    def offer(self, mode):
        """How media goes."""
        self.mode = mode

    def link_up(self, link):
        """There is a link."""
        self.link = link

    def link_down(self):
        """There is none."""
        self.link = None

    def formats(self, source, parameters, overrides):
        """The streams of any source."""
        self.parameters = parameters
        self.overrides = overrides
        return list(self.streams)

    def publish(self, opened, kind, format, source):
        """Begin to send."""
        publication = FakePublication(opened, kind, source)
        self.publications.append(publication)
        return publication

    def receive(self, granted, sink):
        """Begin to receive."""
        reception = FakeReception(granted, sink)
        self.receptions.append(reception)
        return reception

    def layer(self, source):
        """The smaller layer of any source."""
        return self.small

    def publish_layer(self, opened, format, source, full):
        """Begin to send it."""
        self.layers.append((opened.ssrc, format, full))

    def receive_layer(self, granted):
        """What is received may come smaller."""
        self.layers.append(granted)

    def end(self, ssrc):
        """Receive no more."""
        found = [r for r in self.receptions if r.granted.ssrc == ssrc]
        assert found, ssrc
        self.receptions.remove(found[0])

    def stop(self):
        """Close everything."""
        self.stopped = True
        return succeed(None)

    @property
    def sending(self):
        """(kind, SSRC) of what is being sent."""
        return [(p.kind, p.opened.ssrc) for p in self.publications if not p.stopped]

    @property
    def receiving(self):
        """(user, kind, SSRC) of what is being received."""
        return [
            (r.granted.user_id, r.granted.kind, r.granted.ssrc) for r in self.receptions
        ]


class Requests:
    """Takes requests and lets the test answer them."""

    def __init__(self):
        self.waiting = []

    def __call__(self, message):
        """A request."""
        answer = Deferred()
        self.waiting.append((message, answer))
        return answer

    @property
    def messages(self):
        """The requests that are not answered."""
        return [message for message, _ in self.waiting]

    def answer(self, reply, expected=None):
        """Answer the oldest one."""
        message, answer = self.waiting.pop(0)
        assert expected is None or message == expected, message
        answer.callback(reply)
        return message

    def fail(self, error):
        """Fail all of them."""
        waiting, self.waiting = self.waiting, []
        for _, answer in waiting:
            answer.errback(error)


def granted(user_id, kind, ssrc, stream_index=0):
    """A grant with ordinary values."""
    video = kind == StreamKind.VIDEO
    return StreamGranted(
        user_id,
        kind,
        stream_index,
        ssrc,
        VIDEO_FORMAT if video else AUDIO_FORMAT,
        roc=0,
        sequence=7,
        key=b"k" * 16,
        salt_key=b"s" * 12,
    )
