"""Tests of `anychat.services.links` and `anychat.services.sessions`.

What needs no session is in `test_connections`.
"""

from anychat.codes import DeviceType, ResultCode, StreamKind, StreamTransMode
from anychat.core.commands import (
    LinkLogin,
    LinkLost,
    LinkResumed,
    LoginDropped,
    SessionMessage,
)
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.errors import LocalError
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    Heartbeat,
    LinkClose,
    Login,
    LoginResult,
    Logout,
    MediaPath,
    MediaTransport,
    OnlineUser,
    OpenStream,
    QueryOnlineUsers,
    Result,
    Resume,
    Resumed,
    SendText,
    StreamFormat,
    StreamGranted,
    StreamOpened,
    UserList,
)
from anychat.protocols.formats import encode
from anychat.protocols.framing import MAGIC, encode_frame
from anychat.protocols.reliable import KEEPING, REPLAY_MAXIMUM, ReliableChannel
from anychat.services.filter import FilterSlot
from anychat.services.hall import Effects, HallService
from test.protocols.dialogue import frame, hello, key_of
from test.protocols.pipe import Peer
from test.services.links_case import PARAMETERS, SETUP, LinksTestCase

FORMAT = StreamFormat(96, 90000, 60000)


class LoginTests(LinksTestCase):
    """From a connection to a session."""

    def test_overTls(self):
        """A TLS client gets its session, parameters and media set-up."""
        client = self.client()
        self.assertEqual(client.owner.events, ["secured", "hello", "ready"])
        client.ask(Login("guest", "", "10.0.0.9"))
        (command,) = self.commands
        self.assertEqual(
            command,
            LinkLogin(
                link=1,
                request=1,
                message=Login("guest", "", "10.0.0.9"),
                session=1,
                address="127.0.0.1",
                device=DeviceType.LINUX,
                secure=True,
            ),
        )
        result, parameters, transport, setup = client.heard()
        self.assertEqual(transport, MediaTransport(StreamTransMode.UDP))
        self.assertEqual(result.code, ResultCode.SUCCESS)
        self.assertEqual((result.user_id, result.nickname), (-2, "guest"))
        self.assertEqual((len(result.token), result.hold_time), (16, 30))
        self.assertEqual((parameters, setup), (PARAMETERS, SETUP))
        self.assertEqual(self.count("sessions"), 1)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_plain(self):
        """A plain client has no media set-up, for it has keys in it."""
        client = self.client(tls=False)
        client.ask(Login("guest", ""))
        self.assertFalse(self.commands[0].secure)
        self.assertEqual(len(client.heard()), 2)

    def test_proofOverTls(self):
        """SDKAuthPass is proved with the binding of this very connection."""
        self.serve(password="pw")
        self.links.connections.terms = self.links.connections.terms.__class__(
            **{
                name: getattr(self.links.connections.terms, name)
                for name in self.links.connections.terms.__slots__
                if name not in ("salt", "key")
            },
            salt=b"s" * 16,
            key=key_of("pw"),
        )
        self.assertIn("ready", self.client(password="pw").owner.events)
        refused = self.client(password="other")
        self.assertEqual(refused.owner.reason.code, ResultCode.CONNECT_AUTHFAIL)
        self.assertEqual(self.count("closed_connect_authfail"), 1)
        self.assertNotIn("pw", "".join(self.log))

    def test_refused(self):
        """A refusal of the core reaches the client, which may try again."""
        self.grant = False
        client = self.client()
        client.ask(Login("alice", "a"))
        self.links.refuse_login(1, 1, ResultCode.CERTIFY_FAIL)
        client.pipe.flush()
        self.assertEqual(client.heard(), [LoginResult(ResultCode.CERTIFY_FAIL)])
        self.grant = True
        client.ask(Login("alice", "b"))
        self.assertEqual(client.heard()[0].code, ResultCode.SUCCESS)

    def test_tooManyRefusals(self):
        """The fifth refused login closes the link."""
        self.grant = False
        client = self.client()
        for request in range(1, 6):
            client.ask(Login("alice", "guess"))
            self.links.refuse_login(1, request, ResultCode.CERTIFY_FAIL)
            client.pipe.flush()
        self.assertEqual(client.heard()[-1], LinkClose(ResultCode.CERTIFY_FAIL))
        self.assertEqual(client.owner.reason.code, ResultCode.CERTIFY_FAIL)
        self.assertEqual(self.count("connections"), 0)

    def test_linkGoneAfterARefusal(self):
        """A login that was refused is not dropped once more."""
        self.grant = False
        client = self.client()
        client.ask(Login("alice", "guess"))
        self.links.refuse_login(1, 1, ResultCode.SERVERSDK_FAIL)
        client.pipe.flush()
        client.pipe.cut()
        self.assertEqual(len(self.commands), 1)

    def test_refusalForAnotherLink(self):
        """A refusal for a link that is gone, or asks nothing, does nothing."""
        self.links.refuse_login(77, 1, ResultCode.CERTIFY_FAIL)
        client = self.client()
        self.links.refuse_login(1, 1, ResultCode.CERTIFY_FAIL)
        client.pipe.flush()
        self.assertEqual(client.heard(), [])

    def test_linkGoneMeanwhile(self):
        """The core hears of it; a grant on its way leaves a held session."""
        self.grant = False
        client = self.client()
        client.ask(Login("guest", ""))
        client.pipe.cut()
        self.assertEqual(self.commands[1:], [LoginDropped(1)])
        self.start(self.commands[0])
        self.assertEqual(self.commands[2:], [LinkLost(1)])
        self.assertEqual(self.count("sessions_held"), 1)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_placeOfTheWithdrawn(self):
        """A question that nobody waits for takes its address's place meanwhile."""
        self.serve(links_per_address=2)
        self.grant = False
        for session in (1, 2):
            client = self.client(address="192.0.2.1")
            client.ask(Login("alice", "guess"))
            client.pipe.cut()
            self.links.keep_place(session, "192.0.2.1")
        self.assertEqual(self.count("unauthenticated"), 2)
        self.assertIsNone(self.connect(Peer(), "192.0.2.1"))
        self.assertIsNotNone(self.connect(Peer(), "192.0.2.2"))
        for _ in range(2):
            self.links.give_place(1)
        self.links.give_place(99)
        self.assertIsNotNone(self.connect(Peer(), "192.0.2.1"))
        self.assertIsNone(self.connect(Peer(), "192.0.2.1"))

    def test_linkClosingMeanwhile(self):
        """The same if the link is only being closed."""
        self.grant = False
        client = self.client()
        client.ask(Login("guest", ""))
        client.link.transport.write(b"\0\0\0\0")
        client.pipe.client.reads = False
        client.pipe.flush()
        self.start(self.commands[0])
        self.assertEqual(self.commands[1:], [LinkLost(1)])

    def test_plainFromElsewhere(self):
        """A plain link from beyond loopback is turned away with 74."""
        client = self.client(tls=False, address="192.0.2.1")
        self.assertEqual(client.owner.reason.code, ResultCode.CERTHIGHSECURITY)
        self.assertEqual(self.count("connections"), 0)

    def test_plainAllowed(self):
        """Unless the configuration allows it."""
        self.serve(allow_plain=True)
        client = self.client(tls=False, address="192.0.2.1")
        self.assertIn("ready", client.owner.events)

    def test_plainLoopback(self):
        """All of loopback counts, in IPv6 clothes too."""
        for address in ("127.3.2.1", "::1", "::ffff:127.0.0.1"):
            client = self.client(tls=False, address=address)
            self.assertIn("ready", client.owner.events, address)

    def test_noTlsConfigured(self):
        """Without a certificate TLS is a foreign protocol."""
        self.serve(secure=False)
        client = self.client()
        self.assertIn("lost", client.owner.events)
        self.assertEqual(self.count("foreign"), 1)


class MessageTests(LinksTestCase):
    """What a signed-in client asks, and what it is told."""

    def test_requestAndReply(self):
        """A message becomes a command, the reply goes to the request."""
        client = self.user()
        client.ask(EnterRoom(1))
        self.assertEqual(self.commands, [SessionMessage(self.session, 2, EnterRoom(1))])
        answer = EnterRoomResult(ResultCode.SUCCESS, 1, "lobby")
        self.links.reply(self.session, 2, answer)
        client.pipe.flush()
        self.assertEqual(client.owner.events, [(2, answer)])

    def test_replyNobodyWaitsFor(self):
        """A message without a request number wants no reply."""
        client = self.user()
        self.links.reply(self.session, 0, Result(ResultCode.SUCCESS))
        self.links.reply(99, 5, Result(ResultCode.SUCCESS))
        client.pipe.flush()
        self.assertEqual(client.heard(), [])

    def test_roomPasswords(self):
        """The core sees digests: equal for equal passwords, and no others."""
        client = self.user()
        for message in (
            EnterRoom(1, "door"),
            EnterRoomByName("lobby", "door"),
            EnterRoom(1, "other"),
            EnterRoom(1),
        ):
            client.ask(message)
        first, second, third, none = [c.password for c in self.commands]
        self.assertEqual(first, second)
        self.assertEqual((len(first), none), (32, b""))
        self.assertNotEqual(first, third)

    def test_roomPasswordOnAPlainLink(self):
        """A plain link carries no room password either."""
        client = self.user(tls=False)
        client.link.transport.write(frame(EnterRoom(1, "door"), 2, seq=1))
        client.pipe.flush()
        self.assertEqual(self.commands, [LinkLost(1)])
        self.assertEqual(client.owner.reason.code, ResultCode.PROTOCOLFAIL)

    def test_freshSsrcs(self):
        """Every OpenStream brings an SSRC of its own."""
        client = self.user()
        for index in (0, 1):
            client.ask(OpenStream(StreamKind.VIDEO, index, FORMAT))
        self.assertEqual([c.ssrc for c in self.commands], [1000, 1001])

    def test_notification(self):
        """A notification goes to all its receivers, in order, once."""
        first, second = self.user(), self.user()
        for number in (1, 2):
            self.links.send((1, 2, 99), OnlineUser(number, 1))
        for client in (first, second):
            client.pipe.flush()
            self.assertEqual(client.heard(), [OnlineUser(1, 1), OnlineUser(2, 1)])

    def test_unknownRequest(self):
        """A request that nobody knows is answered, and the link stays."""
        client = self.user()
        client.raw(60000, b"?", request=2)
        client.raw(60000, b"?")
        self.assertEqual(client.heard(), [Result(ResultCode.FUNCNOTALLOW)])
        self.assertEqual(self.count("unknown_messages"), 2)
        self.assertEqual(self.commands, [])

    def test_serversMessage(self):
        """What only the server may say is as unknown from a client."""
        client = self.user()
        client.raw(*encode(OnlineUser(1, 1)), request=2)
        self.assertEqual(client.heard(), [Result(ResultCode.FUNCNOTALLOW)])

    def test_malformed(self):
        """A message that is none closes the link; the session is held."""
        client = self.user()
        client.raw(36, b"?", request=2)
        self.assertEqual(client.heard(), [LinkClose(ResultCode.PROTOCOLFAIL)])
        self.assertEqual(self.commands, [LinkLost(1)])
        self.assertEqual(self.count("closed_protocolfail"), 1)

    def test_gap(self):
        """So does a frame out of order."""
        client = self.user()
        client.link.transport.write(frame(Logout(), 2, seq=2))
        client.pipe.flush()
        self.assertEqual(client.heard(), [LinkClose(ResultCode.PROTOCOLFAIL)])

    def test_repeatedFrame(self):
        """A frame that comes twice is carried out once."""
        client = self.user()
        client.link.transport.write(2 * frame(Logout(), 2, seq=1))
        client.pipe.flush()
        self.assertEqual(len(self.commands), 1)

    def test_repeatedRequest(self):
        """A request number that comes again gets the reply it got."""
        client = self.user()
        client.raw(*encode(Logout()), request=2)
        client.raw(*encode(Logout()), request=2)
        self.assertEqual(len(self.commands), 1)
        self.assertEqual(client.heard(), [])
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        client.raw(*encode(Logout()), request=2)
        self.assertEqual(client.heard(), [Result(ResultCode.SUCCESS)] * 2)
        self.assertEqual(self.count("repeated_requests"), 2)

    def test_forgottenRequest(self):
        """One whose reply was acknowledged is refused with 12, not done again."""
        client = self.user()
        client.raw(*encode(Logout()), request=2)
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        client.pipe.flush()
        client.link.heartbeat()
        client.raw(*encode(Logout()), request=2)
        self.assertEqual(len(self.commands), 1)
        self.assertEqual(client.heard()[-1], Result(ResultCode.RESOURCERECOVER))

    def test_keysStayOffPlainLinks(self):
        """Nothing with a media key goes to a session that began in plain."""
        client = self.user(tls=False)
        granted = StreamGranted(
            7, StreamKind.VIDEO, 0, 5, FORMAT, 0, 0, b"k" * 16, b"s" * 12
        )
        self.assertRaises(LocalError, self.links.send, (1,), granted)
        opened = StreamOpened(ResultCode.SUCCESS, 5, b"k" * 16, b"s" * 12)
        self.assertRaises(LocalError, self.links.reply, 1, 2, opened)
        self.links.reply(1, 2, StreamOpened(ResultCode.FUNCNOTALLOW))
        client.pipe.flush()
        self.assertEqual(client.heard(), [StreamOpened(ResultCode.FUNCNOTALLOW)])

    def test_logout(self):
        """After a logout the link is closed without a LinkClose."""
        client = self.user()
        client.ask(Logout())
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        self.links.end_session(1, ResultCode.SUCCESS)
        client.pipe.flush()
        self.assertEqual(client.heard(), [Result(ResultCode.SUCCESS)])
        self.assertEqual(self.count("connections"), 0)
        self.assertEqual(self.count("sessions"), 0)
        self.assertEqual(self.commands[1:], [])

    def test_ended(self):
        """A session that the core ends tells its client why."""
        client = self.user()
        self.links.end_session(1, ResultCode.LOGIN_NEWLOGIN)
        self.links.end_session(1, ResultCode.LOGIN_NEWLOGIN)
        client.pipe.flush()
        self.assertEqual(client.heard(), [LinkClose(ResultCode.LOGIN_NEWLOGIN)])
        self.assertEqual(self.commands, [])


class NameTests(LinksTestCase):
    """Names as the core of the server judges them, which answers bad ones."""

    def setUp(self):
        """A server with a real core; plain links, so without media."""
        super().setUp()
        self.hall = HallService(
            Hall(
                HallSettings(
                    demo_mode=True,
                    allow_guest_login=True,
                    close_front_link=True,
                    auto_add_room=True,
                    max_users_per_room=200,
                )
            ),
            self.clock,
        )
        slot = FilterSlot(self.hall.submit, self.hall.hall.state)
        self.hall.connect(Effects(self.links, None, slot, self.log.append, None))
        self.hall.startService()

    def tearDown(self):
        """No timer is left."""
        self.hall.stopService()

    def submit(self, command):
        """Let the core decide."""
        self.hall.submit(command)

    def named(self, name):
        """A client that has signed in under that name."""
        client = self.client(tls=False)
        client.ask(Login(name, ""))
        result = client.heard()[0]
        self.assertEqual((result.code, result.nickname), (ResultCode.SUCCESS, name))
        return client

    def test_longest(self):
        """128 characters are a name, of a user or a room, in any script."""
        for character in ("a", "\u4e2d", "\U0001f600"):
            name = 128 * character
            first, second = self.named(name), self.named(name)
            for client in (first, second):
                client.ask(EnterRoomByName(name))
                entered = client.heard()[0]
                self.assertEqual(
                    (entered.code, entered.name), (ResultCode.SUCCESS, name)
                )
            first.pipe.flush()
            (joined,) = first.heard()
            self.assertEqual(joined.member.nickname, name)

    def test_badUserNames(self):
        """One that is too long or has control characters gets 21, and no more."""
        for login in (
            Login("a" * 129, ""),
            Login("a" * 512, ""),
            Login("a\nUser login, userid:1, username:b", ""),
            Login("a\u2028b", ""),
            Login("a", "", "10.0.0.1\r\n"),
        ):
            client = self.client(tls=False)
            client.ask(login)
            self.assertEqual(client.heard(), [LoginResult(ResultCode.FUNCOPTERROR)])
            client.ask(Login("guest", ""))
            self.assertEqual(client.heard()[0].code, ResultCode.SUCCESS)
        self.assertEqual(len(self.log), 5)
        for line in self.log:
            self.assertRegex(
                line, r"^User login, userid:-\d+, username:guest, ip:127\.0\.0\.1$"
            )

    def test_badRoomNames(self):
        """A room's gets 303, and the session goes on."""
        client = self.named("guest")
        for name in ("a" * 129, "a" * 512, "a\nb", "\x7f"):
            client.ask(EnterRoomByName(name))
            self.assertEqual(
                client.heard(), [EnterRoomResult(ResultCode.ROOM_INVALID, 0)]
            )
        client.ask(EnterRoomByName("a b"))
        self.assertEqual(client.heard()[0].code, ResultCode.SUCCESS)
        self.assertEqual(len(self.log), 1)

    def test_overTheFormat(self):
        """More than 512 bytes are no name of this protocol."""
        client = self.client(tls=False)
        name = 513 * b"a"
        body = len(name).to_bytes(2, "big") + name + bytes(4)
        client.link.transport.write(encode_frame(7, body, request=1))
        client.pipe.flush()
        self.assertEqual(client.owner.reason.code, ResultCode.PROTOCOLFAIL)


class ResumeTests(LinksTestCase):
    """A session outlives its link."""

    def test_held(self):
        """A lost link is told the core; what is sent meanwhile waits."""
        client = self.user()
        client.pipe.cut()
        self.assertEqual(self.commands, [LinkLost(1)])
        self.assertEqual(self.count("sessions_held"), 1)
        self.links.send((1,), OnlineUser(5, 1))
        again = self.resume(client)
        resumed, missed = again.heard()
        self.assertEqual((resumed.code, resumed.resync), (ResultCode.SUCCESS, False))
        self.assertEqual(missed, OnlineUser(5, 1))
        self.assertEqual(self.commands[1:], [LinkResumed(1, 2, "127.0.0.1", False)])
        self.assertEqual(self.count("sessions_held"), 0)
        self.assertEqual(self.count("unauthenticated"), 0)

    def test_requestUnderWay(self):
        """A request that the break swallowed is carried out once, and answered."""
        client = self.user()
        client.link.send(EnterRoom(1), 2)
        client.pipe.cut()
        again = self.resume(client)
        self.assertEqual(
            [c for c in self.commands if isinstance(c, SessionMessage)],
            [SessionMessage(1, 2, EnterRoom(1))],
        )
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        again.pipe.flush()
        self.assertIn(Result(ResultCode.SUCCESS), again.heard())

    def test_replyUnderWay(self):
        """A reply that the break swallowed comes on the new link."""
        client = self.user()
        client.ask(EnterRoom(1))
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        client.pipe.cut()
        again = self.resume(client)
        self.assertEqual(again.heard()[-1], Result(ResultCode.SUCCESS))
        self.assertEqual(len(self.commands), 3)

    def test_oldLinkStillThere(self):
        """The client knows first that its link is dead: the new one wins."""
        client = self.user()
        self.resume(client)
        client.pipe.flush()
        self.assertEqual(client.heard(), [LinkClose(ResultCode.CONNECT_ABORT)])
        self.assertEqual(self.commands, [LinkResumed(1, 2, "127.0.0.1", False)])
        self.assertEqual(self.count("connections"), 1)
        self.assertEqual(self.count("sessions_held"), 0)

    def test_tokenChanges(self):
        """A token that was used is void once the client is heard again."""
        client = self.user()
        client.pipe.cut()
        old = self.token
        again = self.resume(client)
        self.token = again.heard()[0].token
        self.assertNotEqual(self.token, old)
        again.link.heartbeat()
        again.pipe.flush()
        again.pipe.cut()
        thief = self.resume(again, token=old)
        self.assertEqual(thief.heard(), [Resumed(ResultCode.SESSIONNOTEXIST)])
        self.assertEqual(self.count("resumes_refused"), 1)
        self.assertTrue(self.resume(again).heard()[0].token)

    def test_answerLost(self):
        """If the answer with the new token is lost, the old one still works."""
        client = self.user()
        client.pipe.cut()
        channel, old = client.link.channel, self.token
        for _ in range(3):
            peer = Peer()
            pipe = self.connect(peer)
            peer.transport.write(MAGIC + hello() + frame(Resume(channel.taken, old)))
            pipe.flush()
            pipe.cut()
        # That was plain, so all of it was refused; now over TLS.
        self.assertEqual(self.count("resumes_refused"), 3)
        lost = self.client()
        lost.link.resume(channel, old)
        lost.pipe.client.reads = False
        lost.pipe.flush()
        self.assertEqual(self.count("resumes"), 1)
        lost.pipe.cut()
        again = self.resume(client, token=old)
        self.assertEqual(again.heard()[0].code, ResultCode.SUCCESS)

    def test_wrongToken(self):
        """A token that never was takes nothing over, five times at most."""
        client = self.user()
        thief = self.client()
        for _ in range(5):
            thief.link.resume(client.link.channel, b"x" * 16)
            thief.pipe.flush()
        self.assertEqual(thief.owner.reason.code, ResultCode.SESSIONNOTEXIST)
        self.assertEqual(self.commands, [])

    def test_plainLinkForASecureSession(self):
        """A session that began over TLS goes on over TLS only."""
        client = self.user()
        client.pipe.cut()
        again = self.resume(client, tls=False)
        self.assertEqual(again.heard(), [Resumed(ResultCode.SESSIONNOTEXIST)])
        self.assertEqual(self.resume(client).heard()[0].code, ResultCode.SUCCESS)

    def test_endedSession(self):
        """A session that is over cannot be resumed."""
        client = self.user()
        client.pipe.cut()
        self.links.end_session(1, ResultCode.SUCCESS)
        again = self.resume(client)
        self.assertEqual(again.heard(), [Resumed(ResultCode.SESSIONNOTEXIST)])
        again.ask(Login("guest", ""))
        self.assertEqual(again.heard()[0].code, ResultCode.SUCCESS)

    def test_resync(self):
        """What the buffer has lost is said; numbers begin anew on both sides."""
        client = self.user()
        client.ask(EnterRoom(1))
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        client.pipe.cut()
        for _ in range(REPLAY_MAXIMUM // 16000 + 2):
            self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 4000))
        self.assertGreater(self.count("frames_dropped"), 0)
        again = self.resume(client)
        (resumed,) = again.heard()
        self.assertTrue(resumed.resync)
        self.assertEqual(self.commands[-1], LinkResumed(1, 2, "127.0.0.1", True))
        # The client asks again what was not answered, under its old number.
        again.link.send(EnterRoom(1), 2)
        self.links.send((1,), OnlineUser(1, 1))
        again.pipe.flush()
        self.assertEqual(
            sorted(map(repr, again.heard())),
            sorted(map(repr, [Result(ResultCode.SUCCESS), OnlineUser(1, 1)])),
        )
        requests = [c for c in self.commands if isinstance(c, SessionMessage)]
        self.assertEqual(len(requests), 1)
        self.assertEqual(self.count("resyncs"), 1)

    def test_resyncLost(self):
        """A client that never learns of a RESYNC is told again, whatever it took.

        It still counts by the old numbers, which may look like good new ones.
        """
        for beyond in (False, True):
            self.serve(memory_overall=50_000)
            client = self.user()
            client.ask(EnterRoom(1))
            self.links.reply(1, 2, Result(ResultCode.SUCCESS))
            client.pipe.cut()
            for _ in range(8):
                self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 2000))
            channel, token = client.link.channel, self.token
            lost = self.client()
            lost.link.resume(channel, token)
            lost.pipe.client.reads = False
            lost.pipe.flush()
            self.assertEqual(self.count("resyncs"), 1)
            lost.pipe.cut()
            for number in range(10 * (not beyond)):
                self.links.send((1,), OnlineUser(number, 1))
            again = self.resume(client, token=token)
            self.assertTrue(again.heard()[0].resync)
            self.assertEqual(self.commands[-1], LinkResumed(1, 3, "127.0.0.1", True))
            self.links.send((1,), OnlineUser(99, 1))
            again.pipe.flush()
            self.assertEqual(again.heard(), [OnlineUser(99, 1)])

    def test_resyncThenLost(self):
        """A client that did learn of it resumes by the new numbers."""
        self.serve(memory_overall=50_000)
        client = self.user()
        client.pipe.cut()
        for _ in range(8):
            self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 2000))
        again = self.resume(client)
        (resumed,) = again.heard()
        self.assertTrue(resumed.resync)
        again.pipe.cut()
        self.links.send((1,), OnlineUser(5, 1))
        last = self.resume(again, token=resumed.token)
        resumed, missed = last.heard()
        self.assertFalse(resumed.resync)
        self.assertEqual(missed, OnlineUser(5, 1))

    def test_resyncBeforeTheSetup(self):
        """What comes with the login is not lost in a RESYNC.

        It is sent again before the state, unless the client had taken it.
        """
        whole = [PARAMETERS, MediaTransport(StreamTransMode.UDP), SETUP]
        for tls, opening in ((True, whole), (False, [PARAMETERS])):
            self.serve(memory_overall=50_000)
            client = self.user(tls)
            client.pipe.cut()
            client.link.channel = ReliableChannel()  # it took nothing
            token = self.token
            for number in range(3):
                # First it does not even hear of the RESYNC.
                for _ in range(8):
                    self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 2000))
                again = self.client(tls)
                again.heard()
                again.link.resume(client.link.channel, token)
                again.pipe.client.reads = number > 0
                again.pipe.flush()
                if number == 0:
                    again.pipe.cut()
                    continue
                resumed, *messages = again.heard()
                self.assertTrue(resumed.resync)
                self.assertEqual(messages, opening if number == 1 else [])
                again.pipe.cut()
                client, token = again, resumed.token

    def test_resumeAcknowledges(self):
        """What a resumption says was taken frees the replies kept for it."""
        client = self.user()
        client.ask(EnterRoom(1))
        self.links.reply(1, 2, Result(ResultCode.SUCCESS))
        client.pipe.flush()
        client.pipe.cut()
        self.assertGreater(self.count("replay_bytes"), 0)
        self.resume(client).pipe.cut()
        self.assertEqual(self.count("replay_bytes"), 0)

    def test_impossibleNumber(self):
        """A client that took what was never sent is closed, its session kept."""
        client = self.user()
        client.pipe.cut()
        liar = self.client()
        client.link.channel.taken = 999
        liar.link.resume(client.link.channel, self.token)
        liar.pipe.flush()
        self.assertEqual(liar.owner.reason.code, ResultCode.PROTOCOLFAIL)
        client.link.channel.taken = 2
        self.assertEqual(self.resume(client).heard()[0].code, ResultCode.SUCCESS)


class HeldTests(LinksTestCase):
    """Held sessions are the first that keep less when the bound is reached."""

    MESSAGE = UserList(ResultCode.SUCCESS, 0, (1,) * 2000)

    def setUp(self):
        """A server that keeps 50 KB for all its clients together."""
        self.serve(memory_overall=50_000)

    def held(self):
        """A session without a link; its client and its token."""
        client = self.user()
        client.link.heartbeat()
        client.pipe.flush()
        client.pipe.cut()
        return client, self.token

    def send(self, session, count=1):
        """Send it 8 KB, so many times."""
        for _ in range(count):
            self.links.send((session,), self.MESSAGE)

    def test_longestHeldIsResynchronized(self):
        """Who was held longest loses its frames, and is told so."""
        (first, token), (second, other) = self.held(), self.held()
        self.send(1, 3)
        self.send(2, 3)
        self.assertEqual(self.count("replay_dropped"), 0)
        self.send(2)
        self.assertEqual(self.count("replay_dropped"), 1)
        self.assertEqual(self.count("frames_dropped"), 3)
        again = self.resume(first, token=token)
        self.assertTrue(again.heard()[0].resync)
        self.assertEqual(self.commands[-1], LinkResumed(1, 3, "127.0.0.1", True))
        other_again = self.resume(second, token=other)
        resumed, *missed = other_again.heard()
        self.assertFalse(resumed.resync)
        self.assertEqual(missed, [self.MESSAGE] * 4)

    def test_nothingIsKeptFromThenOn(self):
        """What is sent to it later is not kept either, until it is resumed."""
        (first, token), _ = self.held(), self.held()
        self.send(1, 3)
        self.send(2, 4)
        self.assertEqual(self.count("replay_dropped"), 1)
        held = self.count("replay_bytes")
        self.send(1, 10)
        self.assertEqual(self.count("replay_bytes"), held)
        self.assertEqual(self.count("replay_dropped"), 1)
        again = self.resume(first, token=token)
        self.token = again.heard()[0].token
        again.link.heartbeat()
        again.pipe.flush()
        again.pipe.cut()
        self.send(1)
        last = self.resume(again)
        resumed, *missed = last.heard()
        self.assertFalse(resumed.resync)
        self.assertEqual(missed, [self.MESSAGE])

    def test_nothingMissed(self):
        """A client that has everything goes on, though nothing is kept."""
        (first, token), _ = self.held(), self.held()
        self.send(2, 7)
        self.assertEqual(self.count("replay_dropped"), 2)
        self.assertFalse(self.resume(first, token=token).heard()[0].resync)

    def test_repliesGoToo(self):
        """A request that was answered is refused with 12, not done again."""
        client = self.user()
        client.ask(EnterRoom(1))
        self.links.reply(1, 2, self.MESSAGE)
        client.pipe.cut()
        token = self.token
        self.assertGreater(self.count("replay_bytes"), 16_000)
        self.held()
        self.send(2, 5)
        self.assertEqual(self.count("replay_dropped"), 1)
        again = self.resume(client, token=token)
        self.assertTrue(again.heard()[0].resync)
        self.commands.clear()
        again.link.send(EnterRoom(1), 2)
        again.pipe.flush()
        self.assertEqual(again.heard(), [Result(ResultCode.RESOURCERECOVER)])
        self.assertEqual(self.commands, [])

    def test_replyToALetGoSession(self):
        """Nor is a late reply kept for one that keeps nothing."""
        client = self.user()
        client.ask(EnterRoom(1))
        client.pipe.cut()
        self.held()
        self.send(2, 7)
        self.assertEqual(self.count("replay_dropped"), 2)
        self.links.reply(1, 2, self.MESSAGE)
        self.assertLess(self.links._sessions[1].kept, 1000)

    def test_counted(self):
        """Nothing is counted any more of what was taken, or of who is gone."""
        (first, token), _ = self.held(), self.held()
        self.send(1, 2)
        self.send(2, 2)
        self.assertGreater(self.count("replay_bytes"), 32_000)
        self.links.end_session(2, ResultCode.SUCCESS)
        self.assertLess(self.count("replay_bytes"), 17_000)
        again = self.resume(first, token=token)
        self.assertGreater(self.count("replay_bytes"), 16_000)
        again.link.heartbeat()
        again.pipe.flush()
        self.assertEqual(self.count("replay_bytes"), 0)

    def test_linkGoneMeanwhile(self):
        """A session that never had its link counts from its beginning."""
        self.grant = False
        client = self.client()
        client.ask(Login("guest", ""))
        client.pipe.cut()
        self.start(self.commands[0])
        self.send(1, 2)
        self.assertGreater(self.count("replay_bytes"), 16_000)
        self.send(1, 10)
        self.assertEqual(self.count("replay_dropped"), 1)

    def test_manyAtOnce(self):
        """However many sessions are held, the bound holds."""
        self.serve(memory_overall=200_000)
        for _ in range(30):
            self.held()
        for _ in range(40):
            self.links.send(range(1, 31), self.MESSAGE)
            self.assertLessEqual(self.count("replay_bytes"), 200_000)
        kept = sum(session.kept for session in self.links._sessions.values())
        self.assertEqual(kept, self.count("replay_bytes"))


class MemoryTests(LinksTestCase):
    """Live links and sessions keep so much together, and no more."""

    MESSAGE = HeldTests.MESSAGE

    def serve(self, memory_overall=2_000_000, **settings):
        """A server that keeps 2 MB for all its clients together."""
        super().serve(memory_overall=memory_overall, **settings)

    def total(self):
        """Bytes that count against the bound."""
        statistics = self.links.statistics()
        return statistics["replay_bytes"] + statistics["unsent_bytes"]

    def flood(self, clients, count=200):
        """So many messages of 8 KB to all; those who read do so at once."""
        for _ in range(count):
            self.links.send(range(1, len(clients) + 1), self.MESSAGE)
            self.assertLessEqual(self.total(), 2_000_000)
            for client in clients:
                if client.pipe.client.reads:
                    client.pipe.flush()

    def beat(self, clients):
        """These clients say that they are there, and what they took."""
        for client in clients:
            client.link.heartbeat()
            client.pipe.flush()

    def test_nobodyReads(self):
        """However many do not read, the bound holds; they are cut with 23."""
        for tls in (True, False):
            self.serve()
            clients = [self.user(tls) for _ in range(12)]
            for client in clients:
                client.pipe.client.reads = False
            self.flood(clients)
            backlogs = sum(len(client.pipe.server.waiting) for client in clients)
            self.assertLess(backlogs, 2_000_000 + 12 * 80_000)
            cut = self.count("closed_memory")
            self.assertGreater(cut, 0)
            self.assertEqual(self.count("closed_noenoughresource"), cut)
            self.assertIn("memory is short.(errorcode=23)", self.log[-1])
            for client in clients:
                client.pipe.flush()
            self.assertEqual(self.commands.count(LinkLost(1)), 1)

    def test_thoseWhoRead(self):
        """Who reads keeps the link, and misses nothing, whatever others do."""
        clients = [self.user() for _ in range(12)]
        good, bad = clients[:2], clients[2:]
        for client in bad:
            client.pipe.client.reads = False
        for _ in range(20):
            self.flood(clients, 10)
            self.beat(good)
        self.assertGreater(self.count("closed_memory"), 0)
        for client in good:
            self.assertEqual(client.heard().count(self.MESSAGE), 200)
            self.assertNotIn("lost", client.owner.events)
        self.assertIsNotNone(self.links._sessions[1].link)

    def test_nobodyAcknowledges(self):
        """Where all read, none is cut: what is kept of them goes instead."""
        clients = [self.user() for _ in range(12)]
        self.flood(clients)
        self.assertEqual(self.count("closed_memory"), 0)
        self.assertGreater(self.count("replay_dropped"), 0)
        for client in clients:
            self.assertEqual(client.heard().count(self.MESSAGE), 200)
        self.beat(clients)
        self.assertEqual(self.total(), 0)

    def test_resyncAfterwards(self):
        """Who lost what was kept needs the whole state if its link breaks then."""
        client = self.user()
        others = [self.user() for _ in range(11)]
        token = self.links._random_bytes(16)
        self.links._tokens.issue(self.links._sessions[1], token)
        client.pipe.client.reads = False
        self.flood([client, *others], 30)
        self.assertGreater(self.count("replay_dropped"), 0)
        client.pipe.cut()
        self.assertTrue(self.resume(client, token=token).heard()[0].resync)

    def test_keptAgainAfterwards(self):
        """What is sent after that is kept again."""
        clients = [self.user() for _ in range(12)]
        token = self.token
        self.flood(clients, 60)
        self.assertGreater(self.count("replay_dropped"), 0)
        self.beat(clients)
        client = clients[-1]
        client.heard()
        client.pipe.client.reads = False
        self.links.send((12,), self.MESSAGE)
        client.pipe.cut()
        resumed, *missed = self.resume(client, token=token).heard()
        self.assertFalse(resumed.resync)
        self.assertEqual(missed, [self.MESSAGE])

    def test_heldGoFirst(self):
        """Sessions without a link pay before those with one do."""
        held = self.user()
        held.pipe.cut()
        clients = [held, *(self.user() for _ in range(3))]
        self.commands.clear()
        held.pipe.client.reads = True
        clients[1].pipe.client.reads = False
        self.flood(clients, 60)
        self.assertEqual(self.count("replay_dropped"), 1)
        self.assertEqual(self.count("closed_memory"), 0)
        self.assertLess(self.links._sessions[1].kept, 1000)

    def test_replayCounts(self):
        """A replay that nobody reads is as good as any other backlog."""
        client = self.user()
        client.pipe.cut()
        self.links.send((1,) * 100, self.MESSAGE)
        again = self.client()
        again.link.resume(client.link.channel, self.token)
        again.pipe.client.reads = False
        again.pipe.flush()
        self.assertGreater(self.count("unsent_bytes"), 800_000)
        again.pipe.cut()
        self.assertEqual(self.count("unsent_bytes"), 0)

    def test_closingCounts(self):
        """So is that of a link that waits for its last bytes to go out."""
        client = self.user(tls=False)
        client.pipe.client.reads = False
        self.links.send((1,) * 50, self.MESSAGE)
        before = self.count("unsent_bytes")
        self.links.end_session(1, ResultCode.KICKOUT)
        self.assertEqual(self.count("replay_bytes"), 0)
        self.assertGreaterEqual(self.count("unsent_bytes"), before)
        self.clock.advance(6)
        self.links.connections.sweep()
        self.assertEqual(self.total(), 0)

    def test_beforeTheLogin(self):
        """Nor can those who never log in pile anything up beyond it."""
        self.serve(memory_overall=100_000)
        client = self.client(tls=False)
        client.pipe.server.other.reads = False
        for _ in range(40):
            client.link.transport.write(200 * frame(Heartbeat(1)))
            data, client.pipe.client.waiting = client.pipe.client.waiting, b""
            client.pipe.server.protocol.dataReceived(data)
        self.assertEqual(self.count("closed_memory"), 1)
        self.assertEqual(self.total(), 0)


class TroubleTests(LinksTestCase):
    """Broken clients cost little and end."""

    def test_frameBeforeTheHello(self):
        """A login without a hello is refused."""
        peer = Peer()
        pipe = self.connect(peer)
        peer.transport.write(MAGIC + frame(Login("guest", ""), 1))
        pipe.flush()
        self.assertTrue(peer.lost)
        self.assertEqual(self.commands, [])

    def test_neverReads(self):
        """A client that does not read is closed; its session is held."""
        client = self.user()
        client.pipe.client.reads = False
        message = UserList(ResultCode.SUCCESS, 0, (1,) * 10_000)
        sent = 0
        while not self.count("closed_noenoughresource"):
            self.links.send((1,), message)
            sent += 40_000
        self.assertGreater(sent, 4 << 20)
        self.assertLess(sent, 6 << 20)
        client.pipe.flush()
        self.assertEqual(self.commands, [LinkLost(1)])

    def test_neverAcknowledges(self):
        """A client that reads but never acknowledges costs 1 MiB at most."""
        self.user()
        channel = self.links._sessions[1].channel
        for _ in range(200):
            self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 10_000))
            self.links._sessions[1].link.resumeProducing()
        self.assertLessEqual(channel.held, REPLAY_MAXIMUM)
        self.assertLess(len(channel._kept) * KEEPING, REPLAY_MAXIMUM)

    def test_resumesWithoutReading(self):
        """Who resumes again and again reading nothing has one backlog, not many."""
        client = self.user()
        client.pipe.cut()
        for _ in range(15):
            self.links.send((1,), UserList(ResultCode.SUCCESS, 0, (1,) * 10_000))
        pipes = []
        for _ in range(5):
            again = self.client()
            again.link.resume(client.link.channel, self.token)
            again.pipe.client.reads = False
            again.pipe.flush()
            pipes.append(again.pipe)
        self.assertEqual(self.count("resumes"), 5)
        for pipe in pipes:
            pipe.flush()
        backlog = [len(pipe.server.waiting) for pipe in pipes]
        self.assertEqual(backlog[:-1], [0] * 4)
        self.assertGreater(backlog[-1], 500_000)
        self.assertEqual(self.count("connections"), 1)

    def test_noSecretsInTheLog(self):
        """Names and codes are logged; passwords, tokens and texts are not."""
        self.serve(secure=False)
        client = self.user(tls=False)
        client.link.transport.write(
            frame(SendText(-1, False, "hunter2"), 2, seq=1)
            + frame(Login("alice", "hunter2"), 3)
        )
        client.pipe.flush()
        self.assertTrue(self.log)
        self.assertNotIn("hunter2", "".join(self.log))
        self.assertNotIn(self.token.hex(), "".join(self.log))


class RateTests(LinksTestCase):
    """A client may send faster than 500 a second: it only has to wait."""

    def flood(self, tls=True, count=3000):
        """A signed-in client that has sent so many requests at once."""
        client = self.user(tls)
        type, body = encode(QueryOnlineUsers())
        client.link.transport.write(
            b"".join(
                client.link.channel.number(type, body, number + 2)
                for number in range(count)
            )
        )
        client.pipe.flush()
        return client

    def wait(self, client, seconds):
        """Let time pass, the client going on with its heartbeats."""
        for _ in range(seconds):
            self.clock.advance(1)
            client.link.heartbeat()
            client.pipe.flush()
            self.links.connections.sweep()

    def test_allAreTaken(self):
        """Everything sent is carried out, in order, at the rate; TLS or not."""
        for tls in (True, False):
            self.serve()
            client = self.flood(tls, count=10_000)
            self.assertGreater(len(self.commands), 1000)
            self.assertLess(len(self.commands), 10_000)
            self.wait(client, 9)
            self.assertLess(len(self.commands), 10_000)
            self.wait(client, 10)
            self.assertEqual(
                [command.request for command in self.commands],
                list(range(2, 10_002)),
            )
            self.assertNotIn("lost", client.owner.events)
            self.assertGreater(self.count("links_paused"), 1)
            self.assertEqual(self.count("connections"), 1)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_replay(self):
        """A client may replay all that its buffer holds after a resumption."""
        client = self.user()
        client.pipe.cut()
        for number in range(6000):
            client.link.channel.number(*encode(QueryOnlineUsers()), number + 2)
        again = self.resume(client)
        self.wait(again, 12)
        requests = [c.request for c in self.commands if isinstance(c, SessionMessage)]
        self.assertEqual(requests, list(range(2, 6002)))
        self.assertNotIn("lost", again.owner.events)

    def test_pausedLinkCloses(self):
        """A link that is ended during the wait is gone at once, TLS or not."""
        for tls in (True, False):
            self.serve()
            client = self.flood(tls)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.links.end_session(1, ResultCode.KICKOUT)
            client.pipe.flush()
            self.assertEqual(client.heard(), [LinkClose(ResultCode.KICKOUT)])
            self.assertEqual(self.count("connections"), 0)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pausedLinkIsLost(self):
        """A link that breaks during the wait leaves its session held."""
        client = self.flood()
        client.pipe.cut()
        self.assertEqual(self.commands[-1], LinkLost(1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pausedLinkIsNotSilent(self):
        """Silence is counted from the end of the wait."""
        self.serve(timeout=2.0, check_time=1.0)
        client = self.flood()
        client.pipe.client.reads = False
        (call,) = self.clock.getDelayedCalls()
        self.assertGreater(call.getTime(), 3.0)
        self.clock.advance(call.getTime())
        self.links.connections.sweep()
        self.assertEqual(self.count("closed_silent"), 0)
        self.clock.advance(2.1)
        self.links.connections.sweep()
        self.assertEqual(self.count("closed_silent"), 1)

    def test_loginTimeHolds(self):
        """A connection cannot put its login off by flooding."""
        self.serve(login_time=1.5)
        client = self.client()
        client.link.transport.write(4000 * frame(Heartbeat(1)))
        client.pipe.flush()
        self.clock.advance(1.6)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.links.connections.sweep()
        client.pipe.flush()
        self.assertEqual(client.owner.reason.code, ResultCode.NOTLOGIN)
        self.assertEqual(self.count("connections"), 0)


class MediaTests(LinksTestCase):
    """Media over links."""

    def test_packets(self):
        """Packets go to the media plane and come from it, without numbers."""
        client = self.user()
        client.link.send(MediaPath(True))
        client.link.send_media(b"up")
        client.pipe.flush()
        self.assertEqual(self.media.take(), [("path", 1, True), ("media", 1, b"up")])
        sent, taken = client.link.channel.sent, client.link.channel.taken
        packets = []
        client.link.on_media = packets.append
        self.assertTrue(self.media.link.write_media(b"down"))
        client.pipe.flush()
        self.assertEqual(packets, [b"down"])
        channel = client.link.channel
        self.assertEqual((channel.sent, channel.taken), (sent, taken))
        self.assertEqual(channel.held, 0)

    def test_byUdpAgain(self):
        """A client takes its media back to UDP."""
        client = self.user()
        client.link.send(MediaPath(True))
        client.link.send(MediaPath(False))
        client.pipe.flush()
        self.assertEqual(self.media.take(), [("path", 1, True), ("path", 1, False)])

    def test_goesWithTheLink(self):
        """What a link carried is over with it; a new one begins by UDP."""
        client = self.user()
        client.link.send(MediaPath(True))
        client.pipe.flush()
        link = self.media.link
        client.pipe.cut()
        self.assertEqual(self.media.take(), [("path", 1, True), ("path", 1, False)])
        self.assertFalse(link.write_media(b"late"))
        self.resume(client)
        self.assertEqual(self.media.take(), [])

    def test_takenOver(self):
        """So it is where a new link comes before the old one is seen to end."""
        client = self.user()
        client.link.send(MediaPath(True))
        client.pipe.flush()
        again = self.resume(client)
        self.assertEqual(self.media.take(), [("path", 1, True), ("path", 1, False)])
        again.link.send(MediaPath(True))
        again.pipe.flush()
        self.assertEqual(self.media.take(), [("path", 1, True)])

    def test_wrongLength(self):
        """A packet that is not as long as it says is a fault."""
        client = self.user()
        client.link.transport.write(encode_frame(12, b"\0\7short"))
        client.pipe.flush()
        self.assertEqual(self.media.take(), [("path", 1, False)])
        self.assertEqual(self.count("closed_protocolfail"), 1)

    def test_countsLess(self):
        """Five thousand packets a second make nobody wait."""
        client = self.user()
        for _ in range(9000):
            self.assertTrue(client.link.send_media(b"packet"))
            client.pipe.flush()
        self.assertEqual(len(self.media.take()), 9000)
        self.assertEqual(self.count("links_paused"), 0)
        for _ in range(2000):
            client.link.send_media(b"packet")
            client.pipe.flush()
        self.assertEqual(self.count("links_paused"), 1)

    def test_withoutAMediaPlane(self):
        """Nobody takes it: it is dropped."""
        self.serve()
        self.links._media = None
        client = self.user()
        client.link.send(MediaPath(True))
        client.link.send_media(b"up")
        client.pipe.flush()
        client.pipe.cut()
        self.assertEqual(self.media.take(), [])
