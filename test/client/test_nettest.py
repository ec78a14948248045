"""``anychat-client nettest``, with a client and a server that the test plays."""

from argparse import Namespace

from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.join import CANNOT_CONNECT, FINE, REFUSED
from anychat.client.nettest import BINDING, NetTest
from anychat.client.options import parse
from anychat.client.trace import UdpTrace
from anychat.codes import ResultCode, StreamTransMode
from anychat.errors import Refused
from anychat.messages import SetUdpTrace
from test.client.test_nat import Printed
from test.client.test_trace import SETUP, World


class FakeRoom:
    """A room."""

    room_id = 1


class FakeClient:
    """As much of a client as the command uses."""

    def __init__(self, reactor, **options):
        self.options = options
        self.transfers = Namespace()
        self.world = World(reactor)
        self.user_id = 7
        self.members = {}
        self.error = None
        self.closed = False
        self.asked = []
        self.trace = UdpTrace(
            reactor, self._ask, lambda: self.world, lambda: SETUP, lambda: 7
        )

    def _ask(self, message):
        self.asked.append(message)
        return succeed(None)

    def connect(self, host, port):
        """As the client's."""
        return succeed(None) if self.error is None else fail(Refused(self.error))

    def login(self, name, password):
        """As the client's."""
        return succeed(None)

    def enter_room(self, room, password):
        """As the client's."""
        return succeed(FakeRoom())

    def close(self):
        """As the client's."""
        self.closed = True
        self.trace.forget()


class NetTestTests(SynchronousTestCase):
    """The command."""

    def command(self, *arguments):
        """A run that has begun."""
        self.clock = Clock()
        self.clock.advance(500)
        self.printed, self.complaints = Printed(), []
        options = parse(
            ["nettest", "10.0.0.1", "--room", "1", "--insecure", *arguments], {}
        )
        job = NetTest(
            self.clock, options, self.printed, self.complaints.append, self.make
        )
        return job

    def make(self, reactor, **options):
        """The client of the run."""
        self.client = FakeClient(reactor, **options)
        self.prepare(self.client)
        return self.client

    def prepare(self, client):
        """What a test wants of the client."""

    def advance(self, seconds):
        """Let time pass in small steps."""
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)

    def finished(self, job):
        """The exit code; nothing is left of the run."""
        self.assertTrue(self.client.closed)
        return self.successResultOf(job.done)

    def test_echo(self):
        """Numbers and words, to the server and back."""
        job = self.command("--seconds", "2", "--size", "500", "--rate", "100k")
        job.start()
        self.advance(6)
        self.assertEqual(self.finished(job), FINE)
        text = "\n".join(self.printed.lines)
        self.assertIn("0.0% lost", text)
        self.assertIn("very good", text)
        self.assertIn("there and back", text)
        self.assertEqual(self.complaints, [])

    def test_json(self):
        """One object at the end has it all."""
        self.prepare = lambda client: setattr(
            client.world.udp, "up", lambda number: number % 4
        )
        job = self.command("--seconds", "2", "--json")
        job.start()
        self.advance(6)
        self.assertEqual(self.finished(job), FINE)
        event, found = self.printed.objects[-1]
        self.assertEqual(event, "nettest")
        self.assertGreater(found["loss_up"], 20)
        self.assertEqual(found["loss_down"], 0)
        self.assertGreaterEqual(found["quality"], 3)
        self.assertEqual((found["room"], found["user"], found["peer"]), (1, 7, None))

    def test_blocked(self):
        """Where UDP does not bind, that is the verdict."""
        self.prepare = lambda client: setattr(client.world.udp, "bound", False)
        job = self.command()
        job.start()
        self.advance(BINDING + 1)
        self.assertEqual(self.finished(job), FINE)
        self.assertIn("does not get through", "\n".join(self.printed.lines))
        self.assertEqual(self.client.asked, [])

    def test_peer(self):
        """The other is waited for."""
        job = self.command("--peer=-3", "--seconds", "1")
        job.start()
        self.advance(5)
        self.assertIn("waits for user -3", self.printed.lines[0])
        self.client.members[-3] = object()
        self.advance(5)
        self.assertEqual(self.finished(job), FINE)
        self.assertIn(SetUdpTrace(2, -3), self.client.asked)

    def test_peerDoesNotCome(self):
        """But not for ever, and it says for how long."""
        job = self.command("--peer=-3", "--wait", "3")
        job.start()
        self.advance(2)
        self.assertIn("up to 3 s", self.printed.lines[0])
        self.advance(2)
        self.assertEqual(self.finished(job), REFUSED)
        self.assertIn("205", self.complaints[0])

    def test_peerIsOneself(self):
        """Nobody waits for himself."""
        job = self.command("--peer", "7")
        job.start()
        self.assertEqual(self.finished(job), REFUSED)
        self.assertIn("21 FUNCOPTERROR", self.complaints[0])
        self.assertEqual(self.printed.lines, [])

    def test_overTCP(self):
        """A server that wants no UDP is not called a network that lets none pass."""
        self.prepare = lambda client: setattr(client.world, "mode", StreamTransMode.TCP)
        job = self.command()
        job.start()
        self.assertEqual(self.finished(job), REFUSED)
        self.assertIn("StreamTransMode=1", self.complaints[0])
        self.assertEqual(self.printed.lines, [])

    def test_fewProbes(self):
        """What a moment shows is not said without a word of caution."""
        job = self.command("--seconds", "0.1")
        job.start()
        self.advance(3)
        self.assertEqual(self.finished(job), FINE)
        self.assertIn("say little", self.printed.lines[-1])

    def test_noServer(self):
        """No connection: code 3."""
        self.prepare = lambda client: setattr(
            client, "error", ResultCode.CONNECT_TIMEOUT
        )
        job = self.command()
        job.start()
        self.assertEqual(self.finished(job), CANNOT_CONNECT)

    def test_interrupted(self):
        """ctrl-C prints what is known by then."""
        job = self.command("--seconds", "100")
        job.start()
        self.advance(2)
        ended = job.finish(FINE)
        self.advance(3)
        self.assertEqual(self.successResultOf(ended), FINE)
        self.assertIn("verdict", self.printed.lines[-1])

    def test_options(self):
        """Ranges and units of the command line."""
        base = ["nettest", "h", "--room", "1"]
        options = parse([*base, "--rate", "1.5M", "--size", "64"], {})
        self.assertEqual((options.rate, options.size), (1_500_000, 64))
        self.assertIsInstance(options, Namespace)
        self.assertEqual(parse(base, {"ANYCHAT_PASSWORD": "x"}).password, "x")
        for wrong in (
            ["--rate", "1"],
            ["--rate", "x"],
            ["--size", "63"],
            ["--peer", "ann"],
            ["--plain"],
        ):
            self.assertRaises(SystemExit, parse, [*base, *wrong], {})
        self.assertEqual(parse(["udpcheck", "h"], {}).address, ("h", 8907))
        self.assertEqual(parse(["udpcheck", "h:5"], {}).address, ("h", 5))
