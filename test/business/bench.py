"""What tests of the SDK share: a business server beside a real service of the core."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import fail, succeed

from anychat.business.server import BusinessServer
from anychat.business.settings import Settings
from anychat.business_messages import OnUserEnterRoomAction
from anychat.log import Log
from test.protocols.dialogue import counting_bytes
from test.services.business_servers import BusinessTestCase, cached_key


class Lines(Log):
    """Keeps what is logged; a failure with the name of its exception."""

    def __init__(self):
        self.lines = []

    def __call__(self, text):
        """A line."""
        self.lines.append(text)

    def failure(self, text, failure=None):
        """A failure."""
        if failure is None:
            import sys

            kind = sys.exc_info()[0]
        else:
            kind = failure.type
        self.lines.append(f"{text} ({kind.__name__})")

    def take(self):
        """What was logged since the last call."""
        lines, self.lines[:] = list(self.lines), []
        return lines


class Endpoint:
    """Leads to the service of a test.

    :ivar failures: what the next attempts meet instead.
    """

    def __init__(self, bench):
        self.bench = bench
        self.address = "127.0.0.1"
        self.failures = []
        self.dialled = []
        self.waiting = []

    def __call__(self, host, port):
        """The endpoint of an address."""
        self.dialled.append((host, port))
        return self

    def connect(self, factory):
        """Connect at once."""
        if self.failures:
            failure = self.failures.pop(0)
            return failure if hasattr(failure, "addCallback") else fail(failure)
        try:
            link = factory.buildProtocol(IPv4Address("TCP", self.address, 8909))
        except Exception:
            return fail()
        self.bench.plug(link, self.address)
        return succeed(link)


class ServerTestCase(BusinessTestCase):
    """A `BusinessServer` on the clock of a `BusinessService`."""

    def make_sdk(self, kind=BusinessServer, settings=None, **others):
        """A business server that is not started; ``lines`` is its log."""
        self.lines = Lines()
        self.endpoint = Endpoint(self)
        server = kind(
            self.reactor,
            settings or Settings(),
            log=self.lines,
            random_bytes=counting_bytes(),
            uniform=lambda low, high: high,
            endpoint=self.endpoint,
            derive=cached_key,
            **others,
        )
        self.addCleanup(self.stop_sdk, server)
        return server

    def start_sdk(self, kind=BusinessServer, settings=None, **others):
        """A business server that is connected."""
        server = self.make_sdk(kind, settings, **others)
        server.startService()
        self.flush()
        return server

    def stop_sdk(self, server):
        """Stop it and the core, so that no timer is left."""
        if server.running:
            server.stopService()
        self.flush()

    def tell(self, *users):
        """Let these users enter room 1."""
        for user in users:
            self.service.tell(OnUserEnterRoomAction(user, 1))
        self.flush()

    def pass_time(self, seconds):
        """Let time pass, and what is sent arrive."""
        self.reactor.advance(seconds)
        self.flush()

    def cut_sdk(self):
        """The network fails."""
        self.pipes[-1].cut()
        self.flush()
