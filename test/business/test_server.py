"""A business server and the core's own service for it, joined in memory."""

import dataclasses
from pathlib import Path

from twisted.internet import error
from twisted.internet.defer import Deferred

from anychat.business.connection import DRAIN_TIME, Phase
from anychat.business.server import BusinessServer, UserVerdict
from anychat.business.settings import Settings
from anychat.business_messages import (
    Answer,
    GetOnlineUsers,
    OnUserEnterRoomAction,
    OnUserLoginAction,
    PrepareEnterRoom,
    Presence,
    SendBufToUser,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import ConfigError, LocalError, Refused
from anychat.protocols.tls import SecureTransports, ServerContext, make_certificate
from anychat.services.event_queue import LASTING
from test.business.bench import ServerTestCase
from test.protocols.dialogue import server_context


class Shop(BusinessServer):
    """Notes what it is called for."""

    def startService(self):
        """Begin."""
        self.seen = getattr(self, "seen", [])
        self.slow = []
        self.is_slow = False
        super().startService()

    def take(self):
        """What was noted since the last call."""
        seen, self.seen[:] = list(self.seen), []
        return seen

    def verify_user(self, name, password):
        """One user is known."""
        return UserVerdict(7, 3, "Ann") if (name, password) == ("ann", "x") else 200

    def on_user_enter_room_action(self, user_id, room_id):
        """Slow if told so."""
        self.seen.append((user_id, room_id))
        if self.is_slow:
            self.slow.append(Deferred())
            return self.slow[-1]

    def on_connected(self):
        """Noted."""
        self.seen.append("connected")

    def on_disconnected(self, code, reason):
        """Noted."""
        self.seen.append(("disconnected", int(code)))

    def on_app_message_ex(self, message, error, server_id):
        """Noted."""
        self.seen.append(("app", message, int(error)))

    def on_online_users(self, users):
        """Noted."""
        self.seen.append(("online", [user.user_id for user in users]))

    def on_verdicts_taken(self, verdicts, name):
        """Noted."""
        self.seen.append(("taken", verdicts, name))


GREETING = ["connected", ("app", 10, 0), ("online", [])]


class ConnectedTests(ServerTestCase):
    """While the connection stands."""

    def test_lines(self):
        """The product's lines, in their order."""
        server = self.start_sdk()
        lines = self.lines.take()
        self.assertTrue(lines[0].startswith("AnyChat Server SDK Init,V"))
        self.assertEqual(
            lines[1:],
            [
                "Invoke InitSDK(business-server)",
                "Ready to connect anychatcoreserver 127.0.0.1:8909....",
                "Success connected to anychatcoreserver",
            ],
        )
        self.stop_sdk(server)
        self.assertEqual(self.lines.take(), ["Invoke Release"])

    def test_greeting(self):
        """Connected, then the core's state and who is there."""
        self.core.present = tuple(Presence(n, "", 0, "", 0) for n in range(1, 251))
        server = self.start_sdk(Shop)
        self.assertTrue(server.connected)
        self.assertEqual(server.core.version, 1)
        self.assertEqual(
            server.take(), [*GREETING[:2], ("online", list(range(1, 251)))]
        )

    def test_roles(self):
        """The core is asked for what is overridden, and for nothing else."""
        self.start_sdk(Shop)
        channel = next(iter(self.service._channels))
        self.assertEqual(channel.verdicts, {"VerifyUser"})
        self.assertEqual(
            channel.events, {"OnUserEnterRoomAction", "AppMessageEx", "OnlineUsers"}
        )
        self.assertEqual(
            self.ask(PrepareEnterRoom(7, 1, "", "")),
            [Verdict(ResultCode.SERVERSDK_FAIL)],
        )

    def test_verdicts(self):
        """A user who is known, and one who is not."""
        self.start_sdk(Shop)
        self.assertEqual(
            self.ask(VerifyUser("ann", "x")),
            [Verdict(ResultCode.SUCCESS, 7, 3, "Ann")],
        )
        self.assertEqual(
            self.ask(VerifyUser("ann", "y")), [Verdict(ResultCode.CERTIFY_FAIL)]
        )

    def test_decorator(self):
        """Functions may be callbacks, until the start."""
        server = self.make_sdk()

        @server.callback
        async def verify_user(name, password):
            return 202

        self.assertRaises(ValueError, server.callback, self.flush)
        self.assertRaises(TypeError, server.callback, _one_argument())
        server.startService()
        self.flush()
        self.assertEqual(
            self.ask(VerifyUser("ann", "x")), [Verdict(ResultCode.ACCOUNT_LOCK)]
        )
        self.assertRaises(LocalError, server.callback, verify_user)

    def test_fault(self):
        """A callback that raises: 206, a line, and the channel goes on."""
        server = self.make_sdk()
        server.verify_user = lambda name, password: 1 / 0
        server.startService()
        self.flush()
        for _ in range(2):
            self.assertEqual(
                self.ask(VerifyUser("ann", "x")), [Verdict(ResultCode.SERVERSDK_FAIL)]
            )
        self.assertIn("verify_user failed (ZeroDivisionError)", self.lines.take())
        self.assertTrue(server.connected)
        self.assertEqual(server.statistics()["failed"], 2)

    def test_neverDone(self):
        """A callback that is never done: the core answers 207 in its own time."""
        server = self.make_sdk(callback_timeout=8)
        server.verify_user = lambda name, password: Deferred()
        server.startService()
        self.flush()
        verdicts = self.ask(VerifyUser("ann", "x"))
        self.pass_time(5)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        self.pass_time(3)
        self.assertEqual(server.statistics()["given_up"], 1)
        self.assertEqual(self.count("questions_late"), 1)
        self.assertTrue(server.connected)

    def test_faultIsTold(self):
        """The core's operator reads which callback it was, and what it raised."""
        server = self.make_sdk()
        server.verify_user = lambda name, password: {}[password]
        server.prepare_enter_room = lambda *values: None
        server.startService()
        self.flush()
        for question, text in (
            (VerifyUser("ann", "secret"), "verify_user raised KeyError"),
            (PrepareEnterRoom(7, 1, "", ""), "prepare_enter_room: a NoneType was"),
        ):
            self.assertEqual(self.ask(question), [Verdict(ResultCode.SERVERSDK_FAIL)])
            self.assertIn(text, self.log[-1])
            self.assertNotIn("secret", self.log[-1])
            self.pass_time(10)

    def test_burst(self):
        """After more logins than there is time for the next one is answered at once."""
        server = self.make_sdk(side_by_side=10)
        waiting = []

        def verify_user(name, password):
            waiting.append(Deferred())
            return waiting[-1]

        server.verify_user = verify_user
        server.startService()
        self.flush()
        verdicts = [self.ask(VerifyUser("ann", "wrong")) for _ in range(150)]
        self.pass_time(5)
        self.pass_time(0)
        self.assertEqual(verdicts, [[Verdict(ResultCode.SERVERSDK_TIMEOUT)]] * 150)
        asked = len(waiting)
        self.assertLess(asked, 21)
        verdict = self.ask(VerifyUser("ann", "right"))
        self.assertEqual(len(waiting), asked + 1)
        waiting[-1].callback(200)
        self.flush()
        self.assertEqual(verdict, [Verdict(ResultCode.CERTIFY_FAIL)])

    def test_floodOfOneUser(self):
        """A user whose callbacks are slow delays nobody else's login or event."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        server.take()
        server.is_slow = True
        self.tell(*[7] * 300)
        self.assertEqual(len(server.take()), 1)
        self.tell(8)
        self.assertEqual(server.take(), [(8, 1)])
        self.assertEqual(
            self.ask(VerifyUser("ann", "x")),
            [Verdict(ResultCode.SUCCESS, 7, 3, "Ann")],
        )

    def test_acknowledged(self):
        """Events are acknowledged when they are done, many at once."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        self.assertEqual(self.count("events_under_way"), 0)
        server.is_slow = True
        self.tell(7, 8)
        self.pass_time(0)
        self.assertEqual(self.count("events_under_way"), 2)
        server.slow[1].callback(None)
        self.pass_time(0)
        self.assertEqual(self.count("events_under_way"), 2)
        server.slow[0].callback(None)
        self.pass_time(0)
        self.assertEqual(self.count("events_under_way"), 0)

    def test_acknowledgedAtTheLatest(self):
        """After 64 events the core is told at once."""
        self.start_sdk(Shop)
        self.pass_time(0)
        self.tell(*range(1, 101))
        self.assertEqual(self.count("events_under_way"), 100 - 64)
        self.pass_time(0)
        self.assertEqual(self.count("events_under_way"), 0)

    def test_backPressure(self):
        """A slow callback stops the core's events at the window, and no further."""
        self.serve(window_events=10)
        server = self.start_sdk(Shop)
        self.pass_time(0)
        server.is_slow = True
        window = 10 * LASTING
        self.tell(*[7] * (window + 10))
        self.assertEqual(self.count("events_under_way"), window)
        self.assertEqual(server.statistics()["waiting"], window)
        server.is_slow = False
        server.slow[0].callback(None)
        for _ in range(10):
            self.pass_time(0)
        self.assertEqual(self.count("events_waiting"), 0)
        self.assertEqual(len(server.take()), window + 10 + len(GREETING))

    def test_calls(self):
        """A call is done by the core; a refusal fails it."""
        server = self.start_sdk()
        outcome = server.send_buf_to_user(7, b"x")
        self.flush()
        self.assertIsNone(self.successResultOf(outcome))
        self.core.answer = Answer(ResultCode.SUCCESS, tuple(range(1, 6001)))
        outcome = server.get_online_users()
        self.flush()
        self.assertEqual(self.successResultOf(outcome), list(range(1, 6001)))
        self.assertEqual(
            self.core.calls,
            [SendBufToUser(7, b"x"), GetOnlineUsers(-1), GetOnlineUsers(-1)],
        )
        self.core.answer = Answer(ResultCode.INVALID_USERID)
        outcome = server.send_buf_to_user(7, b"x")
        self.flush()
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 205)

    def test_callsThatCannotBe(self):
        """Too long, out of range, not in this version: refused, and all goes on."""
        server = self.start_sdk()
        for outcome, code in (
            (server.send_buf_to_user(7, bytes(60_001)), 21),
            (server.send_buf_to_user(2**31, b"x"), 21),
            (server.object_set_value(5, 7, 8, b"t"), 20),
            (server.object_get_id_list(5), 20),
        ):
            self.flush()
            self.assertEqual(self.failureResultOf(outcome, Refused).value.code, code)
        self.assertTrue(server.connected)

    def test_callInCallback(self):
        """A callback may wait for a call."""
        server = self.make_sdk()

        @server.callback
        async def prepare_enter_room(user_id, room_id, room_name, password):
            ids = await server.get_online_users(room_id)
            return 302 if len(ids) >= 2 else 0

        server.startService()
        self.flush()
        self.core.answer = Answer(ResultCode.SUCCESS, (1, 2))
        self.assertEqual(
            self.ask(PrepareEnterRoom(7, 1, "", "")),
            [Verdict(ResultCode.ROOM_FULLUSER)],
        )

    def test_callUnanswered(self):
        """A call that the core does not answer fails with 100."""
        server = self.start_sdk(call_timeout=3)
        outcome = server.get_room_id_list()  # never delivered
        self.reactor.advance(3)
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 100)

    def test_notConnected(self):
        """Without a connection a call fails with 101, and so it does with its end."""
        server = self.make_sdk()
        outcome = server.get_room_id_list()
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 101)
        server.startService()
        self.flush()
        outcome = server.get_room_id_list()
        self.pipes[-1].cut()
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, 101)

    def test_anotherServer(self):
        """Who connected later answers; the program hears of it, and of its end."""
        server = self.start_sdk(Shop)
        server.take()
        other = self.server("other")
        self.assertEqual(server.take(), [("taken", ("VerifyUser",), "other")])
        other.pipe.cut()
        self.flush()
        self.assertEqual(server.take(), [("taken", ("VerifyUser",), "business-server")])

    def test_warnings(self):
        """A name that is nearly a callback's, and warnings of the settings."""
        server = self.make_sdk(settings=Settings(warnings=("no file",)))
        type(server).on_conected = None
        self.addCleanup(delattr, type(server), "on_conected")
        server.startService()
        self.assertEqual(
            [line for line in self.lines.lines if line.startswith("Warning")],
            [
                "Warning:no file",
                "Warning:on_conected is no callback and is never called"
                " (is on_connected meant?)",
            ],
        )

    def test_stopWhileCallbacksRun(self):
        """At the end callbacks are cancelled, and what was not done is kept."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        server.is_slow = True
        self.tell(7, 8)
        self.tell(7)
        server.slow[0].callback(None)
        stopped = server.stopService()
        self.flush()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(server.take()[-1], ("disconnected", 116))
        self.assertEqual(
            (self.count("connected"), self.count("events_waiting")), (0, 2)
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopInCallback(self):
        """A callback may stop the business server."""
        stopped = []
        server = self.make_sdk()
        server.on_connected = lambda: stopped.append(server.stopService())
        server.on_online_users = stopped.append
        server.startService()
        self.flush()
        (outcome,) = stopped
        self.assertIsNone(self.successResultOf(outcome))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopWhileACallWaits(self):
        """A callback that waits for a call is cancelled before that fails."""
        server = self.make_sdk()

        @server.callback
        async def on_user_enter_room_action(user_id, room_id):
            await server.get_online_users()

        server.startService()
        self.flush()
        self.service.tell(OnUserEnterRoomAction(7, 1))
        for pipe in self.pipes:
            pipe._step(pipe.server)
        self.assertEqual(server.statistics()["under_way"], 1)
        self.lines.take()
        self.stop_sdk(server)
        self.assertEqual(self.lines.take(), ["Invoke Release"])
        self.assertEqual(self.count("events_waiting"), 1)


def _one_argument():
    def verify_user(name):
        """Wrong."""

    return verify_user


class ReconnectTests(ServerTestCase):
    """The connection is lost, and comes again."""

    def test_resumed(self):
        """After a second it is there again; what happened meanwhile is told."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        server.take()
        self.lines.take()
        self.cut_sdk()
        self.assertEqual(server.take(), [("disconnected", 101)])
        self.tell(7)
        self.pass_time(1.9)
        self.assertFalse(server.connected)
        self.pass_time(0.1)
        self.assertEqual(
            server.take(), ["connected", (7, 1), ("app", 10, 0), ("online", [])]
        )
        self.assertEqual(
            self.lines.take(),
            [
                "Disconnected from anychatcoreserver 127.0.0.1:8909, connecting "
                "again: 101 CONNECT_ABORT: connection to server broke",
                "Success connected to anychatcoreserver",
            ],
        )

    def test_notToldTwice(self):
        """An event whose callback takes long is not told again over the next one."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        server.take()
        server.is_slow = True
        self.tell(7, 8)
        self.cut_sdk()
        self.tell(9)
        self.pass_time(5)
        self.assertEqual(len(self.endpoint.dialled), 1)
        self.assertEqual(server.take(), [(7, 1), (8, 1), ("disconnected", 101)])
        server.is_slow = False
        server.slow[1].callback(None)
        server.slow[0].callback(None)
        self.flush()
        self.assertEqual(
            server.take(), ["connected", (9, 1), ("app", 10, 0), ("online", [])]
        )

    def test_toldAgain(self):
        """What is not done in ten seconds is told again, and a line says so."""
        server = self.start_sdk(Shop, callback_timeout=60)
        self.pass_time(0)
        server.is_slow = True
        self.tell(7, 8)
        server.slow[1].callback(None)
        self.cut_sdk()
        server.take()
        self.lines.take()
        server.is_slow = False
        self.pass_time(2)
        self.pass_time(DRAIN_TIME)
        self.assertTrue(server.connected)
        self.assertEqual(
            self.lines.take()[-1],
            "Warning:2 events were not done when the connection was lost, "
            "and are told again",
        )
        self.assertEqual(server.take(), ["connected", (8, 1)])
        server.slow[0].callback(None)
        self.pass_time(0)
        self.assertEqual(server.take(), [(7, 1), ("app", 10, 0), ("online", [])])
        self.assertEqual(self.count("events_under_way"), 0)

    def test_coreRestarted(self):
        """Another run of the core counts its events anew."""
        server = self.start_sdk(Shop)
        self.tell(7)
        self.pass_time(0)
        log, reactor = self.lines, self.reactor
        self.service.stopService()
        self.flush()
        self.serve_again(b"2")
        self.pass_time(2)
        server.take()
        self.tell(8)
        self.pass_time(0)
        self.assertEqual(server.take(), [(8, 1)])
        self.assertEqual(self.count("events_under_way"), 0)
        self.assertIs(reactor, self.reactor)
        self.assertIs(log, self.lines)

    def serve_again(self, epoch):
        """A service of another epoch, on the same clock."""
        reactor, lines, endpoint = self.reactor, self.lines, self.endpoint
        self.serve()
        self.reactor = self.service._reactor = reactor
        self.lines, self.endpoint = lines, endpoint
        object.__setattr__(self.service._terms, "seconds", reactor.seconds)
        object.__setattr__(self.service._terms, "call_later", reactor.callLater)
        object.__setattr__(self.service._terms, "epoch", epoch * 8)

    def test_backoff(self):
        """Pauses grow to half a minute, and what is wrong is told once."""
        server = self.make_sdk()
        self.endpoint.failures = [error.ConnectionRefusedError() for _ in range(8)]
        server.startService()
        times = []
        for _ in range(200):
            dialled = len(self.endpoint.dialled)
            self.pass_time(1)
            if len(self.endpoint.dialled) > dialled:
                times.append(self.reactor.seconds())
            if server.connected:
                break
        pauses = [b - a for a, b in zip([0, *times], times, strict=False)]
        self.assertEqual(pauses, [2, 4, 8, 16, 30, 30, 30, 30])
        lines = [line for line in self.lines.lines if line.startswith("Cannot")]
        self.assertEqual(len(lines), 1)
        self.assertIn("108 CONNECT_SOCKETERR", lines[0])
        self.assertIn("is the core server running, with SDKFilterPlus=libipc", lines[0])

    def test_quickAgain(self):
        """After a connection that was good the pauses begin short."""
        server = self.make_sdk()
        self.endpoint.failures = [error.ConnectionRefusedError() for _ in range(5)]
        server.startService()
        for _ in range(70):
            self.pass_time(1)
        self.assertTrue(server.connected)
        self.cut_sdk()
        self.pass_time(2)
        self.assertTrue(server.connected)

    def test_stopWhileWaiting(self):
        """No timer is left, nor an attempt."""
        server = self.make_sdk()
        self.endpoint.failures = [error.ConnectionRefusedError()]
        server.startService()
        self.successResultOf(server.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.successResultOf(server.stopService())

    def test_stopWhileDialling(self):
        """An attempt under way is given up."""
        server = self.make_sdk()
        cancelled = []
        self.endpoint.failures = [Deferred(cancelled.append)]
        server.startService()
        self.successResultOf(server.stopService())
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_startedAgain(self):
        """It can be started again, and is told what it had not done."""
        server = self.start_sdk(Shop)
        self.pass_time(0)
        self.stop_sdk(server)
        server.take()
        self.tell(7)
        server.startService()
        self.flush()
        self.assertEqual(
            server.take(), ["connected", (7, 1), ("app", 10, 0), ("online", [])]
        )

    def test_silence(self):
        """A core that falls silent is left."""
        server = self.start_sdk(Shop)
        server.take()
        for _ in range(25):
            self.reactor.advance(1)  # nothing is delivered
        self.flush()
        self.assertEqual(server.take(), [("disconnected", 100)])
        self.assertIn(
            "the core server was silent for 20 s, or this program stood still",
            self.lines.lines[-1],
        )

    def test_sameName(self):
        """Two of one name: the first is told so, and comes back slowly."""
        server = self.start_sdk(Shop)
        server.take()
        self.server("business-server")
        self.assertEqual(server.take(), [("disconnected", 212)])
        self.assertIn(
            "another business server says that it is 'business-server', too: give "
            "each its own [Base Settings] Name",
            self.lines.lines[-1],
        )
        self.pass_time(29)
        self.assertEqual(len(self.endpoint.dialled), 1)
        self.pass_time(1)
        self.assertEqual(len(self.endpoint.dialled), 2)


class RefusedTests(ServerTestCase):
    """The connection does not come about."""

    def refused(self, settings, *failures, **others):
        """Start; the line that says what is wrong."""
        server = self.make_sdk(settings=settings, **others)
        self.endpoint.failures = list(failures)
        server.startService()
        self.flush()
        self.assertFalse(server.connected)
        return self.lines.take()[-1]

    def test_password(self):
        """A wrong SDKAuthPass is told plainly, once, and retried slowly."""
        self.serve(password="right")
        for given in ("wrong", ""):
            line = self.refused(Settings(sdk_auth_pass=given))
            self.assertIn(", trying again every 30 s: 102 CONNECT_AUTHFAIL", line)
            self.assertIn(
                "[Base Settings] SDKAuthPass of AnyChatServerSDK.ini must be that of "
                "the core server's AnyChatCoreServer.ini",
                line,
            )
            self.pass_time(29)
            self.assertEqual(len(self.endpoint.dialled), 1)
            self.pass_time(1)
            self.pass_time(30)
            self.assertEqual(len(self.endpoint.dialled), 3)
            self.assertEqual(self.lines.take(), [])

    def test_rightPassword(self):
        """The right one lets in."""
        self.serve(password="right")
        self.assertTrue(
            self.start_sdk(settings=Settings(sdk_auth_pass="right")).connected
        )

    def test_noSuchName(self):
        """The resolver knows no such name."""
        settings = Settings(
            "core", sdk_auth_pass="p", fingerprint="ab" * 32, path="/x/Shop.ini"
        )
        line = self.refused(settings, error.DNSLookupError("no such host"))
        self.assertIn("103 CONNECT_DNSERROR", line)
        self.assertIn("[Base Settings] ServerIpAddr of /x/Shop.ini", line)

    def test_noAnswer(self):
        """Nobody answers, in ten seconds."""
        server = self.make_sdk()
        self.endpoint.failures = [Deferred()]
        server.startService()
        self.pass_time(10)
        self.assertIn("100 CONNECT_TIMEOUT", self.lines.take()[-1])
        self.pass_time(2)
        self.assertTrue(server.connected)

    def test_noHello(self):
        """Somebody answers, and says nothing."""
        server = self.make_sdk()
        transport = _Silent()

        def plug(link, host):
            transport.link = link
            link.makeConnection(transport)

        self.plug = plug
        server.startService()
        self.reactor.advance(10)
        self.assertIn("100 CONNECT_TIMEOUT", self.lines.take()[-1])

    def test_foreign(self):
        """What answers is no core server."""
        transport = _Silent()
        server = self.make_sdk()

        def plug(link, host):
            transport.link = link
            link.makeConnection(transport)
            link.dataReceived(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        self.plug = plug
        server.startService()
        self.assertIn("what is there is no core server", self.lines.take()[-1])

    def test_plainElsewhere(self):
        """A plain connection never leaves this machine, whatever the name says."""
        server = self.make_sdk(settings=Settings("localhost"))
        self.endpoint.address = "10.0.0.1"
        server.startService()
        self.assertIn(
            "10.0.0.1 is another machine, and a plain connection is for this one only",
            self.lines.take()[-1],
        )
        self.assertEqual(self.pipes, [])

    def test_settings(self):
        """Settings that do not go together are refused before anything is done."""
        self.assertRaises(ConfigError, BusinessServer, self.reactor, Settings("core"))

    def test_changingTroubles(self):
        """Another trouble is told again."""
        server = self.make_sdk()
        self.endpoint.failures = [
            error.ConnectionRefusedError(),
            error.ConnectionRefusedError(),
            error.DNSLookupError(),
        ]
        server.startService()
        for _ in range(20):
            self.pass_time(1)
        lines = [line for line in self.lines.lines if line.startswith("Cannot")]
        self.assertEqual(len(lines), 2)
        self.assertTrue(server.connected)


class _Silent:
    """A transport that takes everything and gives nothing."""

    link = None

    def write(self, data):
        """Gone."""

    def registerProducer(self, producer, streaming):
        """Never told anything."""

    def abortConnection(self):
        """The end."""
        if self.link is not None:
            self.link.connectionLost()


class SecureTests(ServerTestCase):
    """With TLS."""

    def settings(self, **others):
        """A core that TLS leads to."""
        return Settings(sdk_auth_pass="right", tls="on", **others)

    def setUp(self):
        """A core with TLS and a password."""
        self.serve(password="right")

    def test_pinned(self):
        """The right fingerprint."""
        pin = server_context().fingerprint
        server = self.start_sdk(Shop, self.settings(fingerprint=pin))
        self.assertTrue(server.connected)
        self.assertEqual(server.fingerprint, pin)
        self.assertEqual(
            self.ask(VerifyUser("ann", "y")), [Verdict(ResultCode.CERTIFY_FAIL)]
        )

    def test_wrongPin(self):
        """The wrong one: nothing is said, and what to do about it is told."""
        server = self.make_sdk(settings=self.settings(fingerprint="ab" * 32))
        server.startService()
        self.flush()
        self.assertFalse(server.connected)
        line = self.lines.take()[-1]
        self.assertIn("68 CERTVERIFYFAIL", line)
        self.assertIn(server_context().fingerprint, line)
        self.assertIn("[Base Settings] Fingerprint of AnyChatServerSDK.ini", line)
        self.assertEqual(self.count("begun"), 0)

    def test_anyOnThisMachine(self):
        """On this machine TLS needs no pin."""
        self.assertTrue(self.start_sdk(settings=self.settings()).connected)

    def test_authority(self):
        """A certificate of the authority, for that name; not one of another."""
        directory = Path(self.mktemp())
        directory.mkdir()
        files = []
        for name in ("core", "other"):
            files.append((directory / f"{name}.crt", directory / f"{name}.key"))
            make_certificate(*files[-1], [])
        self.service._terms = dataclasses.replace(
            self.service._terms,
            secure_transports=SecureTransports(ServerContext(*files[0]), self.reactor),
        )
        host = Settings("localhost", sdk_auth_pass="right", tls="on")
        for (certificate, _), right in zip(files, (True, False), strict=True):
            server = self.make_sdk(
                settings=dataclasses.replace(host, ca_file=certificate)
            )
            server.startService()
            self.flush()
            self.assertEqual(server.connected, right)
            self.stop_sdk(server)
        self.assertIn("68 CERTVERIFYFAIL", self.lines.lines[-2])

    def test_badAuthority(self):
        """A file without a certificate is told before anything is done."""
        path = Path(self.mktemp())
        path.write_text("no certificate")
        settings = self.settings(ca_file=path)
        error = self.assertRaises(ConfigError, self.make_sdk, settings=settings)
        self.assertIn(str(path), str(error))

    def test_elsewhere(self):
        """From another machine, with all that this needs."""
        pin = server_context().fingerprint
        server = self.make_sdk(
            settings=Settings("10.0.0.1", sdk_auth_pass="right", fingerprint=pin)
        )
        self.endpoint.address = "10.0.0.1"
        server.startService()
        self.flush()
        self.assertTrue(server.connected)
        self.assertEqual(self.endpoint.dialled, [("10.0.0.1", 8909)])

    def test_coreWithoutTls(self):
        """A core that has no TLS is told as such."""
        self.serve(tls=False, password="right")
        server = self.make_sdk(settings=self.settings())
        server.startService()
        self.flush()
        self.assertFalse(server.connected)
        self.assertIn("is [TLS Settings] Enable=1 at the core?", self.lines.take()[-1])


class PhaseTests(ServerTestCase):
    """Where the connection stands."""

    def test_phases(self):
        """From the start to the end."""
        server = self.make_sdk(Shop)
        connection = server._core_session.connection
        self.assertIs(connection.phase, Phase.STOPPED)
        server.startService()
        self.assertIs(connection.phase, Phase.CONNECTED)
        server.is_slow = True
        self.service.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        self.service.tell(OnUserEnterRoomAction(7, 1))
        self.flush()
        self.cut_sdk()
        self.assertIs(connection.phase, Phase.WAITING)
        self.pass_time(2)
        self.assertIs(connection.phase, Phase.DRAINING)
        server.slow[0].callback(None)
        self.assertIs(connection.phase, Phase.CONNECTED)
