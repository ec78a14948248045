"""A server's links for tests, with a list of commands in place of the core.

Clients and server speak to each other in memory.
"""

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.core.commands import LinkLogin
from anychat.core.effects import StartSession
from anychat.messages import Login, MediaSetup, ServerParameters
from anychat.protocols.signalling import ClientLink
from anychat.services.links import ClientLinks
from anychat.services.settings import LinkSettings
from test.protocols.dialogue import (
    FACTS,
    RecordingClient,
    client_options,
    counting_bytes,
    key_of,
    server_context,
)
from test.protocols.pipe import Pipe

PARAMETERS = ServerParameters(320, 240, 15, 30, 90000, 1, 3, 3, 16000, 1, 16, 11, 16000)
SETUP = MediaSetup((), 8907, "1", 1, 2, b"k" * 16, b"r" * 16, b"s" * 12)


class Client:
    """A client as the library makes it: a link and what it reported."""

    def __init__(self, pipe, link, owner):
        self.pipe = pipe
        self.link = link
        self.owner = owner
        self.requests = 0

    def ask(self, message):
        """Send a request and let everything happen."""
        self.requests += 1
        self.link.send(message, self.requests)
        self.pipe.flush()

    def raw(self, number, body, request=0):
        """Send a session frame of any kind, and let everything happen."""
        self.link.transport.write(self.link.channel.number(number, body, request))
        self.pipe.flush()

    def heard(self):
        """Messages since the last call."""
        events, self.owner.events = self.owner.events, []
        return [event[1] for event in events if isinstance(event, tuple)]


class RecordingMedia:
    """A media plane that notes what comes from links."""

    def __init__(self):
        self.events = []
        self.link = None

    def link_path(self, session, link):
        """Where a session wants its media."""
        self.link = link
        self.events.append(("path", session, link is not None))

    def link_media(self, session, data):
        """A packet."""
        self.events.append(("media", session, data))

    def link_eased(self, session):
        """Room."""
        self.events.append(("eased", session))

    def take(self):
        """What was noted since the last call, room left out."""
        events, self.events = self.events, []
        return [event for event in events if event[0] != "eased"]


class LinksTestCase(SynchronousTestCase):
    """Links on a clock of the test's, and a core that only writes down."""

    def setUp(self):
        """A server without SDKAuthPass, with TLS."""
        self.serve()

    def serve(self, password="", secure=True, **settings):
        """Make the server anew."""
        self.clock = Clock()
        self.log = []
        self.commands = []
        self.grant = True
        self.users = 0
        self.ssrcs = iter(range(1000, 2000))
        self.media = RecordingMedia()
        self.links = ClientLinks(
            self.clock,
            LinkSettings(
                port=0,
                password=password,
                secure=server_context() if secure else None,
                **settings,
            ),
            self.submit,
            PARAMETERS,
            FACTS,
            counting_bytes(),
            self.log.append,
            lambda: next(self.ssrcs),
            self.media,
        )

    def submit(self, command):
        """Stand in for the core."""
        self.commands.append(command)
        if isinstance(command, LinkLogin) and self.grant:
            self.start(command)

    def start(self, command):
        """Grant a login."""
        self.users += 1
        self.links.start_session(
            StartSession(
                command.session,
                command.link,
                command.request,
                -1 - self.users,
                0,
                command.message.name,
                command.address,
                command.secure,
            ),
            SETUP if command.secure else None,
        )

    def connect(self, peer, address="127.0.0.1"):
        """A connection of that peer, or None if it was refused."""
        kind = IPv6Address if ":" in address else IPv4Address
        entrance = self.links.connections.accept(kind("TCP", address, 40000))
        if entrance is None:
            return None
        pipe = Pipe(peer, entrance, address)
        pipe.flush()
        return pipe

    def client(self, tls=True, address="127.0.0.1", password=""):
        """A client up to where it may log in."""
        owner = RecordingClient()
        link = ClientLink(
            owner,
            agent="test",
            random_bytes=counting_bytes(),
            seconds=self.clock.seconds,
            password=password,
            tls=client_options() if tls else None,
            derive=lambda password, salt: key_of(password),
        )
        return Client(self.connect(link, address), link, owner)

    def user(self, tls=True):
        """A client that has logged in as a guest."""
        client = self.client(tls)
        client.ask(Login("guest", ""))
        self.token = client.heard()[0].token
        self.commands.clear()
        return client

    def resume(self, client, tls=True, token=None):
        """A new link of a client; it asks for its session."""
        channel = client.link.channel
        again = self.client(tls)
        again.requests = client.requests
        again.heard()
        again.link.resume(channel, token or self.token, 99)
        again.pipe.flush()
        return again

    def count(self, name):
        """A counter."""
        return self.links.statistics().get(name, 0)

    @property
    def session(self):
        """Id of the last session that began."""
        return self.links._sessions[max(self.links._sessions)].id
