"""The client over real sockets: TLS and trust, lost links, a server that restarts."""

from pathlib import Path

from twisted.internet import endpoints, protocol, reactor
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import TestCase

from anychat.client.client import Client
from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
)
from anychat.codes import ResultCode, RoomState, SelfStatus, StreamKind, UserState
from anychat.errors import Refused
from test.client.fakes import RecordingEvents
from test.live.call import until
from test.live.server import CoreServer, free_ports


class LiveClientCase(TestCase):
    """Starts servers and makes clients."""

    timeout = 120

    async def start(self, directory=None, **sections):
        """A server that is up."""
        server = CoreServer(directory or self.mktemp(), **sections)
        self.addCleanup(server.stop)
        await server.start()
        return server

    def client(self, trust=None, **options):
        """A client, closed at the end."""
        client = Client(
            reactor,
            RecordingEvents(),
            trust=trust or AnyCertificate(),
            log_path=None,
            **options,
        )
        self.addCleanup(client.close)
        return client

    async def code(self, outcome):
        """The code that a call fails with."""
        error = await self.assertFailure(outcome, Refused)
        return error.code


class TrustTests(LiveClientCase):
    """Whom a client talks to."""

    async def test_everyWay(self):
        """Each way of trusting takes the right certificate and no other one."""
        server = await self.start()
        port = server.tcp_port
        client = self.client()
        await client.connect("127.0.0.1", port)
        fingerprint = client.fingerprint
        self.assertIn(fingerprint, server.text)

        known = Path(self.mktemp()) / "known_servers"
        own = server.directory / "AnyChatCoreServer.crt"
        other = await self.start()
        other_certificate = other.directory / "AnyChatCoreServer.crt"
        for trust, host in (
            (KnownServers(known), "127.0.0.1"),
            (KnownServers(known), "127.0.0.1"),
            (Fingerprint(fingerprint), "localhost"),
            (Authority(str(own)), "localhost"),
            (Authority(str(own)), "127.0.0.1"),
        ):
            await self.client(trust).connect(host, port)
        self.assertEqual(known.read_text(), f"127.0.0.1:{port} sha256:{fingerprint}\n")
        known.write_text(f"127.0.0.1:{port} sha256:{'00' * 32}\n")
        for trust, host in (
            (KnownServers(known), "127.0.0.1"),
            (Fingerprint("00" * 32), "127.0.0.1"),
            (Authority(str(other_certificate)), "127.0.0.1"),
            # A name of this machine that the certificate does not have.
            (Authority(str(own)), "127.0.0.2"),
        ):
            refused = self.client(trust).connect(host, port)
            self.assertEqual(await self.code(refused), ResultCode.CERTVERIFYFAIL)

    async def test_noTls(self):
        """A port that does not speak TLS, and one that says nothing at all."""

        class Chatty(protocol.Protocol):
            def connectionMade(self):
                self.transport.write(b"220 mail.example.org ESMTP\r\n")

        endpoint = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        for speaker, code in (
            (Chatty, ResultCode.SECURITYBREAK),
            (protocol.Protocol, ResultCode.CONNECT_TIMEOUT),
        ):
            port = await endpoint.listen(protocol.Factory.forProtocol(speaker))
            self.addCleanup(port.stopListening)
            client = self.client(connect_timeout=0.5)
            refused = client.connect("127.0.0.1", port.getHost().port)
            self.assertEqual(await self.code(refused), code)

    async def test_nobody(self):
        """A closed port, and a name that is none."""
        port, _ = free_ports()
        client = self.client()
        refused = client.connect("127.0.0.1", port)
        self.assertEqual(await self.code(refused), ResultCode.CONNECT_SOCKETERR)
        refused = client.connect("nobody.invalid", port)
        self.assertEqual(await self.code(refused), ResultCode.CONNECT_DNSERROR)

    async def test_authPass(self):
        """SDKAuthPass is proved over TLS; a wrong one is 102."""
        server = await self.start(Base={"SDKAuthPass": "secret"})
        await self.client(auth_pass="secret").connect("::1", server.tcp_port)
        for wrong in ("", "Secret"):
            refused = self.client(auth_pass=wrong).connect("::1", server.tcp_port)
            self.assertEqual(await self.code(refused), ResultCode.CONNECT_AUTHFAIL)


class SessionTests(LiveClientCase):
    """Sessions on a real server."""

    async def test_signalling(self):
        """Rooms, texts, buffers and queries between two users."""
        server = await self.start()
        ann, bob = self.client(), self.client(plain=True)
        ann.connect("localhost", server.tcp_port)
        ann.login("ann", "pw")
        room = await ann.enter_room("lounge")
        self.assertGreater(ann.user_id, 0)
        bob.connect("127.0.0.1", server.tcp_port)
        bob.login("bob")
        await bob.enter_room(room.room_id)
        self.assertLess(bob.user_id, 0)
        self.assertEqual(list(bob.members), [ann.user_id])
        await bob.send_text("hello")
        await ann.send_text("psst", bob.user_id, secret=True)
        await ann.trans_buffer(bytes(1000), bob.user_id)
        await until(lambda: len(bob.events.seen) >= 6)
        self.assertEqual(
            bob.events.seen[-2:],
            [
                ("on_text_message", ann.user_id, bob.user_id, True, "psst"),
                ("on_trans_buffer", ann.user_id, bytes(1000)),
            ],
        )
        self.assertIn(
            ("on_text_message", bob.user_id, -1, False, "hello"), ann.events.seen
        )
        users = await ann.online_users()
        self.assertEqual(set(users.user_ids), {ann.user_id, bob.user_id})
        self.assertEqual((await ann.room_users(room.room_id)).user_ids, (bob.user_id,))
        name = await bob.room_state(room.room_id, RoomState.NAME)
        self.assertEqual(name.text, "lounge")
        state = await bob.user_state(UserState.NICKNAME, ann.user_id)
        self.assertEqual(state.text, "ann")
        # A plain session has no media.
        self.assertEqual(
            await self.code(bob.watch(ann.user_id)), ResultCode.FUNCNOTALLOW
        )
        await bob.logout()
        await until(lambda: not ann.members)
        self.assertEqual(bob.status, SelfStatus.LOGGED_OUT)

    async def test_flood(self):
        """Thousands of calls in one breath are paced, ordered and answered."""
        server = await self.start()
        ann, bob = self.client(), self.client()
        for client, name in ((ann, "ann"), (bob, "bob")):
            client.connect("127.0.0.1", server.tcp_port)
            client.login(name)
            await client.enter_room(1)
        waiting = [ann.send_text(str(number)) for number in range(1000)]
        for outcome in waiting:
            await outcome
        expected = [str(number) for number in range(1000)]
        await until(
            lambda: (
                [e[4] for e in bob.events.seen if e[0] == "on_text_message"] == expected
            )
        )

    async def test_loggedInElsewhere(self):
        """The same user elsewhere ends this one, which stays away."""
        server = await self.start(Function={"CloseFrontLink": 1})
        first, second = self.client(), self.client()
        for client in (first, second):
            client.connect("127.0.0.1", server.tcp_port)
            await client.login("ann", "pw")
        await until(lambda: first.status == SelfStatus.LINK_CLOSED)
        self.assertEqual(
            first.events.seen[-1], ("on_link_close", ResultCode.LOGIN_NEWLOGIN)
        )


class LostLinkTests(LiveClientCase):
    """Links that break."""

    async def test_resume(self):
        """A broken link is resumed: texts of meanwhile arrive, once and in order."""
        server = await self.start()
        forwarder = Forwarder("127.0.0.1", server.tcp_port)
        proxy = reactor.listenTCP(0, forwarder, interface="127.0.0.1")
        self.addCleanup(proxy.stopListening)
        ann, bob = self.client(), self.client()
        self.addCleanup(forwarder.cut)
        for client, name, port in (
            (ann, "ann", proxy.getHost().port),
            (bob, "bob", server.tcp_port),
        ):
            client.connect("127.0.0.1", port)
            client.login(name)
            await client.enter_room(1)
        user_id = ann.user_id
        sent = []
        for number in range(5):
            sent.append(ann.send_text(f"a{number}"))
            forwarder.cut()
            await until(lambda: ann.events.seen[-1][0] == "on_session_keep")
            sent.append(bob.send_text(f"b{number}"))
            sent.append(ann.send_text(f"c{number}"))
            await until(
                lambda: (
                    [e for e in ann.events.seen if e[0] == "on_session_keep"][-1]
                    == ("on_session_keep", True, ResultCode.SUCCESS)
                )
            )
        for outcome in sent:
            await outcome
        self.assertEqual(ann.user_id, user_id)
        for hearer, expected in (
            (ann, [f"b{n}" for n in range(5)]),
            (bob, [f"{letter}{n}" for n in range(5) for letter in "ac"]),
        ):
            await until(
                lambda hearer=hearer, expected=expected: (
                    [
                        event[4]
                        for event in hearer.events.seen
                        if event[0] == "on_text_message"
                    ]
                    == expected
                )
            )

    async def test_restart(self):
        """A server that is gone and comes back finds everybody as they were."""
        tcp, udp = free_ports()
        ports = {"TCPListenPort": tcp, "UDPServicePort": udp}
        server = await self.start(Base=ports)
        ann, bob = self.client(), self.client()
        for client, name in ((ann, "ann"), (bob, "bob")):
            client.connect("127.0.0.1", tcp)
            client.login(name, "pw")
            await client.enter_room(1)
        publishing = await ann.publish("test:")
        first_key = dict(publishing.opened)
        watching = await bob.watch(ann.user_id)
        await until(lambda: watching.statistics(StreamKind.VIDEO).frames_decoded > 5)
        await server.stop()
        await until(lambda: not ann.hello or ann.status != SelfStatus.IN_ROOM)
        await self.start(Base=ports)
        await until(lambda: ann.status == bob.status == SelfStatus.IN_ROOM, 30)
        before = watching.statistics(StreamKind.VIDEO).frames_decoded
        await until(
            lambda: watching.statistics(StreamKind.VIDEO).frames_decoded > before + 5,
            20,
        )
        self.assertNotEqual(publishing.opened, first_key)
        await until(lambda: watching.statistics(StreamKind.AUDIO).frames_decoded > 0)


class Forwarder(ProxyFactory):
    """Forwards connections, and cuts them."""

    noisy = False

    def __init__(self, host, port):
        super().__init__(host, port)
        self.connections = []

    def buildProtocol(self, addr):
        """A connection."""
        connection = super().buildProtocol(addr)
        self.connections.append(connection)
        return connection

    def cut(self):
        """Break all of them, both ways."""
        for connection in self.connections:
            connection.transport.abortConnection()
            if connection.peer is not None and connection.peer.transport is not None:
                connection.peer.transport.abortConnection()
        self.connections.clear()
