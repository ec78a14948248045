"""What tests of the service for business servers share: the core, and the servers.

Both ends of each channel are the real ones, joined in memory; in place of the
core stands a list of what it was told.
"""

import functools

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    OnlineUsers,
    OnRecvUserTextMsg,
    OnUserEnterRoomAction,
    Verdict,
)
from anychat.codes import ResultCode
from anychat.protocols.business_client import BusinessLink, Introduction
from anychat.protocols.proof import derive_key
from anychat.services.business import BusinessChannelSettings, BusinessService
from test.protocols.dialogue import (
    FACTS,
    client_options,
    counting_bytes,
    server_context,
)
from test.protocols.pipe import Pipe

BOTH = ("VerifyUser", "PrepareEnterRoom")

cached_key = functools.cache(derive_key)


def happening(number):
    """An event that is told from all others by its number, and its user by that."""
    return OnRecvUserTextMsg(1, number, -1, False, "hi")


def entrance(number):
    """The same of those that tell who is where."""
    return OnUserEnterRoomAction(number, 1)


class Port:
    """A port that listens to nobody."""

    def __init__(self, host, reactor):
        self.socket = self
        self._host = host
        self._reactor = reactor

    def setsockopt(self, *options):
        """Nothing comes of it."""

    def getHost(self):
        """Where it would listen."""
        return self._host

    def stopListening(self):
        """It never did."""
        self._reactor.ports.remove(self)
        return succeed(None)


class Reactor(Clock):
    """A clock that has ports."""

    def __init__(self):
        super().__init__()
        self.ports = []
        self.failing = None

    def listenTCP(self, port, factory, backlog, interface):
        """As IReactorTCP has it."""
        if self.failing is not None:
            raise self.failing
        self.ports.append(Port(IPv4Address("TCP", interface, port), self))
        return self.ports[-1]


class Core:
    """The plug-in's owner: writes down, answers calls, knows who is there."""

    def __init__(self):
        self.arbiters_told = []
        self.judges_calls = False
        self.calls = []
        self.present = ()
        self.answer = Answer(ResultCode.SUCCESS)

    def arbiters(self, verifier, admitter, hears=False, judges_calls=False):
        """Who decides."""
        self.judges_calls = judges_calls
        self.arbiters_told.append((verifier.name, admitter.name, hears))

    def call(self, call):
        """Something is to be done."""
        self.calls.append(call)
        return self.answer

    def online(self):
        """Who is signed in."""
        return self.present


class Server:
    """A business server: its link, and what it got.

    :ivar eager: acknowledges every event as it comes.
    :ivar verdict: given to every question at once; None: later.
    """

    def __init__(self, bench, eager=True, verdict=None):
        self.bench = bench
        self.eager = eager
        self.verdict = verdict
        self.link = self.pipe = self.hello = self.lost = self.reason = None
        self.got = []
        self.asked = []
        self.stream = []
        self.roles = []

    def link_secured(self, link, certificate):
        """TLS stands."""

    def link_begun(self, link, hello, lost):
        """Let in."""
        self.hello, self.lost = hello, lost

    def link_event(self, link, number, event):
        """Something has happened."""
        self.got.append((number, event))
        self.stream.append(event)
        if self.eager:
            link.acknowledge(number)

    def link_question(self, link, question):
        """A verdict is wanted."""
        self.stream.append(question)
        if self.verdict is not None:
            return self.verdict
        deferred = Deferred()
        self.asked.append((question, deferred))
        return deferred

    def link_verdicts(self, link, verdicts, name):
        """Who answers from now on."""
        self.roles.append((sorted(verdicts), name))

    def link_lost(self, link, reason):
        """The end."""
        self.reason = reason.value

    def rule(self, code=0, user_id=0):
        """Answer the oldest open question."""
        self.asked.pop(0)[1].callback(Verdict(ResultCode(code), user_id))
        self.bench.flush()

    def acknowledge(self, number):
        """All up to this are done with."""
        self.link.acknowledge(number)
        self.bench.flush()

    def events(self):
        """(number, event) since the last call."""
        got, self.got = self.got, []
        return got

    def happened(self):
        """Numbers of the `happening` ones since the last call."""
        return [
            event.source_id
            for _, event in self.events()
            if isinstance(event, OnRecvUserTextMsg)
        ]

    def snapshots(self):
        """Who is online, as told since the last call; a list for each time."""
        found, users = [], []
        for _, event in self.events():
            if isinstance(event, OnlineUsers):
                users += [presence.name for presence in event.users]
                if event.final:
                    found.append(users)
                    users = []
        return found


class BusinessTestCase(SynchronousTestCase):
    """A service on a clock of the test's."""

    #: Whether the licence takes business servers on other machines.
    distributed = True
    #: What this host is called from other machines.
    own_address = "::ffff:192.0.2.1"

    def setUp(self):
        """A core without SDKAuthPass."""
        self.serve()

    def serve(self, tls=True, **settings):
        """Make the service anew, and start it."""
        self.reactor = Reactor()
        self.core = Core()
        self.log = []
        self.pipes = []
        self.service = self.make(self.core, tls, **settings)
        self.service.startService()

    def make(self, owner, tls=False, **settings):
        """A service of that core."""
        return BusinessService(
            self.reactor,
            BusinessChannelSettings(port=8909, **settings),
            owner,
            FACTS,
            counting_bytes(),
            self.log.append,
            server_context() if tls else None,
            lambda: self.distributed,
        )

    def address(self, host):
        """Where a connection comes from."""
        kind = IPv6Address if ":" in host else IPv4Address
        return kind("TCP", host, 40000)

    def plug(self, peer, host="127.0.0.1"):
        """A connection of any peer, or None where it is refused."""
        channel = self.service.accept(self.address(host))
        if channel is None:
            return None
        own = host if host == "127.0.0.1" else self.own_address
        pipe = Pipe(peer, channel, host, own=own)
        self.pipes.append(pipe)
        self.flush()
        return pipe

    def flush(self):
        """Let everything arrive."""
        moved = 1
        while moved:
            ends = [(p, e) for p in self.pipes for e in (p.client, p.server)]
            moved = sum(pipe._step(e) for pipe, e in ends)

    def server(
        self,
        name="shop",
        verdicts=BOTH,
        events=("*",),
        *,
        host="127.0.0.1",
        tls=False,
        password="",
        epoch=b"",
        handled=0,
        **behaviour,
    ):
        """A business server that has said what it has to say."""
        server = Server(self, **behaviour)
        server.link = BusinessLink(
            server,
            Introduction(
                name, "test", frozenset(verdicts), frozenset(events), epoch, handled
            ),
            password=password,
            tls=client_options() if tls else None,
            seconds=self.reactor.seconds,
            call_later=self.reactor.callLater,
            random_bytes=counting_bytes(),
            derive=cached_key,
        )
        server.pipe = self.plug(server.link, host)
        return server

    def again(self, server, handled, **others):
        """The same business server over a new connection."""
        about = server.link.introduction
        return self.server(
            about.name,
            about.verdicts,
            about.events,
            epoch=server.hello.epoch,
            handled=handled,
            **others,
        )

    def ask(self, question):
        """Put a question to the service; a list that its verdict comes into."""
        verdicts = []
        self.service.ask(question).addCallback(verdicts.append)
        self.flush()
        return verdicts

    def tell(self, *numbers):
        """Let things happen."""
        for number in numbers:
            self.service.tell(happening(number))
        self.flush()

    def count(self, name):
        """A counter."""
        return self.service.statistics().get(name, 0)
