"""What tests of the signalling link share: owners that write down, terms, TLS."""

import functools
import tempfile
from pathlib import Path

from twisted.internet.ssl import CertificateOptions

from anychat.codes import Capability, DeviceType
from anychat.messages import ClientHello
from anychat.protocols.formats import decode, encode
from anychat.protocols.framing import FrameReader, encode_frame
from anychat.protocols.proof import derive_key
from anychat.protocols.signalling import HelloFacts, LinkTerms, ServerLink
from anychat.protocols.tls import ServerContext, make_certificate

SALT = b"s" * 16
FACTS = HelloFacts("6.0.0.1", "2026-11-20 08:00:00", "Linux 6.1", 0)


def counting_bytes():
    """Random bytes that are not: 16 times 1, then 16 times 2, ..."""
    calls = iter(range(1, 10_000_000))
    return lambda size: (next(calls) % 251).to_bytes(1, "big") * size


@functools.cache
def key_of(password):
    """The proof key; derived once, for it takes 50 ms."""
    return derive_key(password, SALT)


@functools.cache
def server_context():
    """TLS of a server, made once for all tests."""
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory, "crt"), Path(directory, "key")
        make_certificate(certificate, key, [])
        return ServerContext(certificate, key)


def client_options():
    """TLS of a client that checks nothing."""
    return CertificateOptions(verify=False)


def make_terms(clock, password="", **others):
    """Terms of a server."""
    return LinkTerms(
        facts=FACTS,
        seconds=clock.seconds,
        call_later=clock.callLater,
        random_bytes=counting_bytes(),
        started=0.0,
        salt=SALT,
        key=key_of(password) if password else b"",
        check_time=5.0,
        timeout=20.0,
        **others,
    )


class RecordingOwner:
    """Owner of server links: writes down what they report."""

    def __init__(self):
        self.events = []
        self.turn_away = None
        self.unsent = 0

    def link_hello(self, link, hello):
        """A client says who it is."""
        self.events.append(("hello", hello))
        if self.turn_away is not None:
            raise self.turn_away

    def link_login(self, link, request, message):
        """A client logs in."""
        self.events.append(("login", request, message))

    def link_resume(self, link, request, message):
        """A client resumes."""
        self.events.append(("resume", request, message))

    def link_paused(self, link):
        """A client sends too fast."""
        self.events.append(("paused",))

    def link_eased(self, link):
        """A client has caught up."""
        self.events.append(("eased",))

    def link_media(self, link, data):
        """A packet of media came."""
        self.events.append(("media", data))

    def link_media_path(self, link, over_link):
        """A client says where it wants its media."""
        self.events.append(("media path", over_link))

    def link_unsent(self, link, change):
        """More or less waits for the client."""
        self.unsent += change

    def link_fault(self, link, error):
        """A client broke the protocol."""
        self.events.append(("fault", error.code))

    def link_lost(self, link, reason):
        """A connection is gone."""
        self.events.append(("lost",))

    def kinds(self):
        """What was reported, by name alone."""
        return [event[0] for event in self.events]


class RecordingClient:
    """Owner of client links: writes down what they report."""

    def __init__(self):
        self.events = []
        self.reason = None
        self.refuse = None

    def link_secured(self, link, certificate):
        """TLS stands."""
        self.events.append("secured")

    def link_hello(self, link, hello):
        """The server's hello."""
        self.events.append("hello")
        if self.refuse is not None:
            raise self.refuse

    def link_ready(self, link):
        """Connect 0."""
        self.events.append("ready")

    def link_message(self, link, request, message):
        """A message."""
        self.events.append((request, message))

    def link_lost(self, link, reason):
        """The end."""
        self.events.append("lost")
        self.reason = reason.value


class RecordingSession:
    """A session's end that writes down what comes."""

    def __init__(self):
        self.frames = []
        self.acks = []

    def acknowledge(self, ack):
        """A frame came."""
        self.acks.append(ack)

    def receive(self, frame):
        """A session frame came."""
        self.frames.append(frame)

    def last_taken(self):
        """As many as came."""
        return len(self.frames)


def make_link(owner, terms, *, secure=False, address="127.0.0.1"):
    """A server link with id 1."""
    return ServerLink(
        owner, terms, 1, secure=secure, address=address, port=40000, opened=0.0
    )


def hello(version=1):
    """Bytes of a client's hello, without the magic."""
    return frame(
        ClientHello(
            version,
            Capability.MEDIA | Capability.RESUME,
            b"c" * 16,
            DeviceType.LINUX,
            "test",
        )
    )


def frame(message, request=0, seq=0, ack=0):
    """Bytes of a message."""
    type, body = encode(message)
    return encode_frame(type, body, request=request, seq=seq, ack=ack)


def parse(data):
    """The messages in these bytes, with what their frames say."""
    return [
        (f.request, f.seq, f.ack, decode(f.type, f.body))
        for f in FrameReader().receive(data)
    ]


def messages_in(data):
    """The messages in these bytes."""
    return [message for *_, message in parse(data)]
