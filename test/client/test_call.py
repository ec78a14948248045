"""``anychat-client call`` and ``answer`` from the first ring to the summary."""

from contextlib import redirect_stderr

from anychat.client.call import Answer, Call
from anychat.client.client import Client
from anychat.client.options import parse
from anychat.client.output import Output
from anychat.codes import ResultCode, VideoCallEvent
from anychat.messages import (
    ClientHello,
    EnterRoom,
    EnterRoomResult,
    InfoValue,
    Login,
    Logout,
    Member,
    QueryInfoFromServer,
    Result,
    UserCameraControl,
    UserSpeakControl,
    VideoCallControl,
    VideoCallNotice,
)
from test.client.test_join import OK, JoinTestCase

REQUEST, REPLY, START, FINISH = VideoCallEvent
BEN = Member(5, 0, "ben")


class CallTestCase(JoinTestCase):
    """A run of one of the commands."""

    job, verb = Call, ("call", "host", "5")

    def begin(self, *arguments):
        """Start it; it logs in."""
        way = [*self.verb, "--user", "me", "--insecure", "--json"]
        options = parse([*way, "--log", self.mktemp(), *arguments], {})

        def make_client(reactor, events, **rest):
            # The fake server has no TLS.
            rest["plain"] = True
            return Client(
                reactor,
                events,
                endpoint=self.server.endpoint,
                media=lambda *_: self.media,
                uniform=lambda low, high: high,
                **rest,
            )

        self.join = self.job(
            self.reactor,
            options,
            Output(self.stdout, True, self.reactor.seconds),
            self.complaints.append,
            make_client,
            self.make_source,
            self.make_sink,
        )
        self.join.start()
        self.server.flush()
        # What it does to log in is answered already.
        received = self.server.side.received
        received[:] = [p for p in received if not isinstance(p[1], ClientHello | Login)]

    def asked(self):
        """What the client wants and has no answer to."""
        self.server.flush()
        return [message for _, message in self.server.side.received]

    def notice(self, event, error=0, flags=3, param=0):
        """Something happens to the call with user 5."""
        self.tell(VideoCallNotice(event, 5, ResultCode(error), flags, param, ""))

    def start(self, flags=3):
        """The call is answered, and its room entered."""
        self.notice(START, flags=flags, param=9)
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(BEN, room_id=9)

    def summary(self):
        """The last line."""
        return self.objects()[-1]


class CallTests(CallTestCase):
    """``call``."""

    def ring(self, *arguments, flags=3):
        """Begin, and let it ring."""
        self.begin(*arguments)
        self.serve(OK, VideoCallControl(REQUEST, 5, OK.code, flags, 0, ""))
        self.notice(REPLY, flags=flags)

    def test_talk(self):
        """It enters the room, watches the other, and hangs up when time is over."""
        self.ring("--seconds", "5")
        self.notice(START, param=9)
        self.assertEqual(self.asked(), [EnterRoom(9, "")])
        self.server.let_in(BEN, room_id=9)
        asked = self.asked()
        self.assertIn(UserCameraControl(5, True, 0), asked)
        self.assertIn(UserSpeakControl(5, True, 0), asked)
        self.serve_all()
        self.reactor.advance(5)
        self.serve(OK, VideoCallControl(FINISH, 5, OK.code, 3, 0, ""))
        self.notice(FINISH)
        self.assertEqual(self.end(), 0)
        call = self.summary()["call"]
        expected = {"user_id": 5, "is_caller": True, "flags": 3, "room_id": 9}
        self.assertEqual(call, {**expected, "error": 0})
        self.assertEqual(self.complaints, [])

    def test_byName(self):
        """A name is looked up first; nobody of that name is offline."""
        self.verb = ("call", "host", "ben")
        self.begin()
        self.serve(InfoValue(OK.code, "5"), QueryInfoFromServer(1, "ben"))
        self.assertEqual(self.asked()[0].user_id, 5)
        self.join.finish(0)
        self.end()
        self.begin()
        self.serve(InfoValue(ResultCode.INVALID_USERID))
        self.assertEqual(self.end(), 1)
        self.assertIn("100102 VIDEOCALL_OFFLINE", self.complaints[0])

    def test_oneself(self):
        """By id or by name: it says why, and asks for nothing."""
        self.verb = ("call", "host", "me")
        self.begin()
        self.serve(InfoValue(OK.code, str(self.join.client.user_id)))
        self.assertEqual(self.end(), 1)
        self.assertIn("21 FUNCOPTERROR", self.complaints[0])
        self.assertIn("nobody can call himself", self.complaints[0])

    def test_notToBeHad(self):
        """What the server refuses is said once: exit code 1."""
        self.begin()
        self.serve(Result(ResultCode.VIDEOCALL_BUSY))
        self.notice(REPLY, 100103)
        self.assertEqual(self.end(), 1)
        self.assertEqual(len(self.complaints), 1)
        self.assertIn("100103 VIDEOCALL_BUSY", self.complaints[0])
        self.assertIsNone(self.summary()["call"])

    def test_refused(self):
        """So is what the other party says."""
        self.ring()
        self.notice(REPLY, 100104)
        self.assertEqual(self.end(), 1)
        self.assertIn("100104 VIDEOCALL_REJECT", self.complaints[0])

    def test_interrupted(self):
        """Ctrl-C while it rings gives up before the logout."""
        self.ring()
        self.join.finish(0)
        self.serve(OK, VideoCallControl(FINISH, 5, OK.code, 3, 0, ""))
        self.serve(OK, Logout())
        self.assertEqual(self.end(), 0)

    def test_rudeServer(self):
        """A server that says nothing any more is waited for a little."""
        self.ring()
        self.join.finish(0)
        self.reactor.advance(2)
        self.reactor.advance(2)
        self.server.side.received.clear()
        self.assertEqual(self.end(), 0)

    def test_hungUp(self):
        """The other party's FINISH ends it; a code is a failure."""
        for error, code in (0, 0), (100106, 1):
            self.ring()
            self.start()
            self.notice(FINISH, error)
            self.assertEqual(self.end(), code)
            self.assertEqual(self.summary()["call"]["error"], error)

    def test_forbidden(self):
        """What the flags forbid is not even asked for, or sent."""
        self.ring("--forbid", "their-video", "--publish", "test:", flags=0x83)
        self.start(flags=0x83)
        asked = self.asked()
        self.assertIn(UserSpeakControl(5, True, 0), asked)
        self.assertNotIn(UserCameraControl(5, True, 0), asked)
        self.join.finish(0)
        self.end()
        self.ring("--flags", "0xf3", "--publish", "test:", flags=0xF3)
        self.start(flags=0xF3)
        self.assertEqual(self.asked(), [])
        self.assertTrue(self.sources[-1].closed)
        self.join.finish(0)
        self.end()

    def test_noRoom(self):
        """A room that cannot be entered ends it."""
        self.ring()
        self.notice(START, param=9)
        self.serve(EnterRoomResult(ResultCode.ROOM_FULLUSER, 9))
        self.assertEqual(self.end(), 1)
        self.assertIn("302 ROOM_FULLUSER", self.complaints[0])

    def test_usage(self):
        """Flags, codes and texts that are none are refused by the command line."""
        way = ["call", "host", "5", "--user", "me"]
        for wrong in (
            ["--flags", "x"],
            ["--flags", "0x100000000"],
            ["--forbid", "all"],
            ["--plain"],
            ["--text", "x" * 16385],
            ["--fps", "5"],
        ):
            error = self.assertRaises(SystemExit, self.quietly, [*way, *wrong])
            self.assertEqual(error.code, 2)

    def test_callee(self):
        """Neither is who cannot be called."""
        for callee in "0", "-1", "", " ", "x" * 129, "99999999999":
            arguments = ["call", "host", callee, "--user", "me"]
            error = self.assertRaises(SystemExit, self.quietly, arguments)
            self.assertEqual(error.code, 2)
        for callee in "x" * 128, "-2", "1":
            options = self.quietly(["call", "host", callee, "--user", "me"])
            self.assertEqual(str(options.callee), callee)

    def quietly(self, arguments):
        """Parse without a word."""
        with redirect_stderr(self.stdout):
            return parse(arguments, {})


class AnswerTests(CallTestCase):
    """``answer``."""

    job, verb = Answer, ("answer", "host")

    def test_talk(self):
        """It answers the first call, and ends with it."""
        self.begin("--text", "hi", "--wait", "9")
        self.notice(REQUEST)
        self.serve(OK, VideoCallControl(REPLY, 5, OK.code, 3, 0, "hi"))
        self.start()
        self.assertIn(UserCameraControl(5, True, 0), self.asked())
        self.reactor.advance(20)
        self.notice(FINISH)
        self.assertEqual(self.end(), 0)
        self.assertFalse(self.summary()["call"]["is_caller"])

    def test_reject(self):
        """Or it refuses it, with the code that is wanted: exit code 0."""
        for option, code in (["--reject"], 100104), (["--reject", "4711"], 4711):
            self.begin(*option)
            self.notice(REQUEST)
            self.serve(OK, VideoCallControl(REPLY, 5, ResultCode(code), 3, 0, ""))
            self.assertEqual(self.end(), 0)

    def test_nobodyCalls(self):
        """It waits so long: exit code 1."""
        self.begin("--wait", "9")
        self.reactor.advance(9)
        self.assertEqual(self.end(), 1)
        self.assertIn("100105 VIDEOCALL_TIMEOUT", self.complaints[0])

    def test_gaveUp(self):
        """A caller who gives up, before or after the answer."""
        self.begin()
        self.notice(REQUEST)
        self.serve(Result(ResultCode.VIDEOCALL_NOTINCALL))
        self.assertEqual(self.end(), 1)
        self.begin()
        self.notice(REQUEST)
        self.notice(REPLY, 100101)
        self.assertEqual(self.end(), 1)
        self.assertIn("100101 VIDEOCALL_CANCEL", self.complaints[-1])
