"""A core server, a business server and clients, each in a process of its own."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from twisted.internet import defer, error, protocol, reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from anychat.client.client import Client
from anychat.client.media.sinks import NullSink
from anychat.client.trust import AnyCertificate
from anychat.codes import ResultCode, StreamKind
from anychat.errors import Refused
from anychat.messages import Login, LoginResult
from anychat.protocols.signalling import ClientLink
from test.live.call import pause, until
from test.live.server import CoreServer, free_ports

#: The program that comes with the package.
SAMPLE = str(Path(sys.executable).with_name("anychat-business"))
ROOT = Path(__file__).resolve().parent.parent.parent
#: Logins that are under way when the business server is killed.
UNDER_WAY = 1000
#: Links that the core takes from one address before they have signed in.
PER_ADDRESS = 80
#: What the core waits for a verdict, seconds.
ANSWER_TIMEOUT = 20


class Program(protocol.ProcessProtocol):
    """A child process and what it prints."""

    def __init__(self, program, *arguments):
        self.text = ""
        self.ended = defer.Deferred()
        reactor.spawnProcess(
            self,
            program,
            [program, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def outReceived(self, data):
        """It prints."""
        self.text += data.decode()

    errReceived = outReceived

    def processEnded(self, reason):
        """It is gone."""
        self.ended.callback(None)

    def end(self, number=signal.SIGTERM):
        """Send it a signal; fires when it is gone."""
        with contextlib.suppress(error.ProcessExitedAlready):
            self.transport.signalProcess(number)
        return self.ended


class BusinessCase(TestCase):
    """A server out of demo mode whose business server comes and goes."""

    timeout = 180

    async def setUp(self):
        self.channel_port = free_ports()[0]
        self.server = CoreServer(
            self.mktemp(),
            Base={"DemoMode": 0},
            Function={
                "SDKFilterPlus": "libipcfilterplus.so",
                "AllowGuestLogin": 1,
                "AutoAddRoom": 1,
            },
            Business={
                "ListenPort": self.channel_port,
                "AnswerTimeout": ANSWER_TIMEOUT,
            },
        )
        self.addCleanup(self.server.stop)
        await self.server.start()
        directory = Path(self.mktemp())
        directory.mkdir()
        self.settings = directory.resolve() / "AnyChatServerSDK.ini"
        self.settings.write_text(
            f"[Base Settings]\nServerPort={self.channel_port}\nName=shop\n"
        )

    async def business(self, *program):
        """Start a business server; it is connected."""
        before = self.server.text.count("connect success")
        child = Program(*program)
        self.addCleanup(child.end)
        await until(
            lambda: (
                child.ended.called or self.server.text.count("connect success") > before
            ),
            seconds=30,
        )
        self.assertFalse(child.ended.called, child.text)
        return child

    async def client(self, **options):
        """A client that is connected."""
        client = Client(
            reactor,
            trust=AnyCertificate(),
            log_path=None,
            media_at_login=True,
            **options,
        )
        self.addCleanup(client.close)
        await client.connect("127.0.0.1", self.server.tcp_port)
        return client

    async def refused(self, name, password):
        """The code with which a login is refused."""
        client = await self.client()
        raised = await self.assertFailure(client.login(name, password), Refused)
        return raised.code

    async def call(self, names, password):
        """Two users in a room, of whom the first is seen by the second."""
        ann, bob = await self.client(), await self.client()
        for client, name in zip((ann, bob), names, strict=True):
            await client.login(name, password)
            await client.enter_room(1)
        await ann.publish("test:")
        watching = await bob.watch(ann.user_id, sink=NullSink())
        self.figures = lambda: watching.statistics(StreamKind.VIDEO)
        await until(lambda: self.figures().frames_decoded > 10, seconds=20)
        return ann, bob

    async def goes_on(self):
        """More pictures are seen, and none is lost."""
        before = self.figures().frames_decoded
        await until(lambda: self.figures().frames_decoded > before + 10, seconds=20)
        self.assertEqual(self.figures().lost, 0)


class SampleTests(BusinessCase):
    """The sample business server, as the README shows it."""

    def sample(self):
        """Start it."""
        return self.business(SAMPLE, "--config", self.settings)

    async def add(self, *names):
        """Give the sample users, whose password is "secret"."""
        for name in names:
            out, err, code = await getProcessOutputAndValue(
                SAMPLE,
                [
                    *("adduser", name, "--password", "secret"),
                    *("--config", str(self.settings)),
                ],
                env=os.environ,
            )
            self.assertEqual(code, 0, err + out)

    async def test_story(self):
        """In with the right password only; without the business server the call
        goes on and nobody comes; when it is back all is as before."""
        await self.add("ann", "bob", "cid")
        self.assertEqual(await self.refused("ann", "secret"), ResultCode.SERVERSDK_FAIL)
        sample = await self.sample()
        await until(lambda: "connect core server successed" in sample.text)
        self.assertEqual(await self.refused("ann", "Secret"), ResultCode.CERTIFY_FAIL)
        ann, bob = await self.call(("ann", "bob"), "secret")
        await sample.end(signal.SIGKILL)
        await until(lambda: "disconnect" in self.server.text)

        await self.goes_on()
        self.assertEqual(await self.refused("cid", "secret"), ResultCode.SERVERSDK_FAIL)
        guest = await self.client()
        await guest.login("guest")
        raised = await self.assertFailure(guest.enter_room(1), Refused)
        self.assertEqual(raised.code, ResultCode.SERVERSDK_FAIL)
        # Who was there before may change rooms.
        await bob.leave_room()
        await bob.enter_room(2)
        await bob.leave_room()
        await bob.enter_room(1)

        again = await self.sample()
        await until(lambda: f"Online users: ann ({ann.user_id})" in again.text)
        cid = await self.client()
        await cid.login("cid", "secret")
        await cid.enter_room(1)
        await guest.enter_room(1)
        await until(lambda: "OnUserEnterRoomAction: cid" in again.text)


class KilledTests(BusinessCase):
    """A business server that dies with questions open."""

    async def test_killed(self):
        """Every login under way is answered once, and none is let in; media
        and rooms of the others go on."""
        shop = await self.business(
            sys.executable, "-m", "test.live.indecisive", self.settings
        )
        await self.call(("ann", "bob"), "secret")
        logins = [
            _Login(self.server.tcp_port, f"user{number}", number // PER_ADDRESS)
            for number in range(UNDER_WAY)
        ]
        for login in logins:
            self.addCleanup(login.link_aborted)
        await until(lambda: f"asked {UNDER_WAY}\n" in shop.text, seconds=15)
        await self.goes_on()

        killed = time.monotonic()
        await shop.end(signal.SIGKILL)
        await until(lambda: all(login.answers for login in logins), ANSWER_TIMEOUT)
        self.assertLess(time.monotonic() - killed, ANSWER_TIMEOUT)
        await pause(0.5)
        answers = [login.answers for login in logins]
        self.assertEqual(answers, [[ResultCode.SERVERSDK_FAIL]] * UNDER_WAY)
        await self.goes_on()
        self.assertNotIn("Traceback", self.server.text)


class _Login:
    """One login over TLS, down at the link.

    :param place: which of this host's addresses it comes from.
    """

    def __init__(self, port, name, place):
        self.answers = []
        self._login = Login(name, "secret")
        self._link = ClientLink(
            self,
            agent="test",
            random_bytes=os.urandom,
            seconds=reactor.seconds,
            tls=CertificateOptions(verify=False),
        )
        endpoint = TCP4ClientEndpoint(
            reactor, "127.0.0.1", port, bindAddress=(f"127.0.1.{place + 1}", 0)
        )
        endpoint.connect(Factory.forProtocol(lambda: self._link))

    def link_secured(self, link, certificate):
        """Whose it is does not matter here."""

    def link_hello(self, link, hello):
        """Nothing to do."""

    def link_ready(self, link):
        """Log in."""
        link.send(self._login, 1)

    def link_message(self, link, request, message):
        """The answer, or something that is none."""
        if isinstance(message, LoginResult):
            self.answers.append(message.code)

    def link_lost(self, link, reason):
        """The test is over."""

    def link_aborted(self):
        """End it."""
        self._link.abort()
