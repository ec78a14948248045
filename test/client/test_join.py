"""``anychat-client join`` from its first line to its summary."""

import io
import json
import os
from pathlib import Path

from twisted.internet import error
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.client.join import Join, file_name
from anychat.client.options import parse
from anychat.client.output import Output
from anychat.codes import ResultCode, StreamKind, TransferKind
from anychat.messages import (
    CloseStream,
    EndTransfer,
    EnterRoomResult,
    LinkClose,
    Logout,
    Member,
    OpenStream,
    Result,
    SendText,
    StreamOpened,
    TextMessage,
    TransferOffered,
    TransferTaken,
    UserAtRoom,
    UserCameraControl,
    UserSpeakControl,
)
from test.client.fakes import FakeMedia, FakeSent, FakeStatistics, granted
from test.client.server import FakeServer

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
OK, CANCEL = Result(ResultCode.SUCCESS), ResultCode.CANCEL
ANN = Member(5, 0, "ann")
BOB = Member(6, 0, "bob/..")


class InlinePool(ThreadPool):
    """Runs everything at once, in the test's thread."""

    def callInThreadWithCallback(self, onResult, func, *args, **kw):
        """Run it."""
        try:
            result = func(*args, **kw)
        except Exception:
            onResult(False, Failure())
        else:
            onResult(True, result)


class Reactor(Clock):
    """A clock that has threads that are none."""

    def getThreadPool(self):
        """The pool."""
        return InlinePool()

    def callFromThread(self, call, *args, **kw):
        """We are in the right thread already."""
        call(*args, **kw)


class FakeSink:
    """A recording."""

    error = None

    def __init__(self, path):
        self.path = path
        self.closed = 0

    def close(self):
        """Complete the file."""
        self.closed += 1
        return succeed([Path(self.path)])


class FakeSource:
    """Something to publish."""

    on_end = None

    def __init__(self, text):
        if text == "missing":
            raise FileNotFoundError("no such media file or device: missing")
        self.text = text
        self.closed = False

    def close(self):
        """Let go of it."""
        self.closed = True


class JoinTestCase(SynchronousTestCase):
    """A run of the command against a server in memory."""

    def setUp(self):
        """Make the world."""
        self.reactor = Reactor()
        self.server = FakeServer(self.reactor)
        self.media = FakeMedia()
        self.stdout = io.StringIO()
        self.complaints = []
        self.sinks = []
        self.sources = []
        self.directory = self.mktemp()

    def begin(self, *arguments, stdout=None):
        """Start the command."""
        way = ["join", "host", "--user", "me", "--room", "1", "--insecure"]
        options = parse([*way, "--log", self.mktemp(), *arguments], {})

        def make_client(reactor, events, **rest):
            # The fake server has no TLS.
            self.assertFalse(rest.pop("plain"))
            return Client(
                reactor,
                events,
                plain=True,
                endpoint=self.server.endpoint,
                media=lambda *_: self.media,
                uniform=lambda low, high: high,
                **rest,
            )

        output = Output(
            stdout or self.stdout,
            options.json,
            self.reactor.seconds,
            lambda: self.reactor.callLater(0, self.join.finish, 0),
        )
        self.join = Join(
            self.reactor,
            options,
            output,
            self.complaints.append,
            make_client,
            self.make_source,
            self.make_sink,
        )
        self.join.start()
        self.server.flush()

    def make_sink(self, path):
        """A recording."""
        self.sinks.append(FakeSink(path))
        return self.sinks[-1]

    def make_source(self, text):
        """Something to publish."""
        self.sources.append(FakeSource(text))
        return self.sources[-1]

    def enter(self, *members):
        """Let the client in."""
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(*members)

    def serve(self, reply, expected=None):
        """Answer the oldest request."""
        self.server.flush()
        request, message = self.server.side.take()[0]
        if expected is not None:
            self.assertEqual(message, expected)
        self.server.side.send(reply, request)
        self.server.flush()

    def serve_all(self):
        """Answer everything that is asked, until nothing more is."""
        while True:
            self.server.flush()
            asked = self.server.side.take()
            if not asked:
                return
            for request, message in asked:
                reply = OK
                if isinstance(message, OpenStream):
                    reply = StreamOpened(ResultCode.SUCCESS, 99, bytes(16), bytes(12))
                self.server.side.send(reply, request)

    def tell(self, message):
        """A notification."""
        self.server.side.send(message)
        self.server.flush()

    def end(self):
        """Let it end; the exit code."""
        self.serve_all()
        self.reactor.advance(0)
        code = self.successResultOf(self.join.done)
        self.server.flush()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return code

    def lines(self):
        """What was printed."""
        return self.stdout.getvalue().splitlines()

    def objects(self):
        """What was printed, as JSON."""
        return [json.loads(line) for line in self.lines()]


class JoinTests(JoinTestCase):
    """The ordinary run."""

    def test_seconds(self):
        """It ends when its time in the room is over, politely."""
        self.begin("--seconds", "5")
        self.enter(ANN)
        self.assertNoResult(self.join.done)
        self.reactor.advance(5)
        self.serve(OK, Logout())
        self.assertEqual(self.end(), 0)
        self.assertEqual(
            self.lines(),
            ["connected", "logged in, own id 7", "entered room 1, 2 online"],
        )
        self.assertEqual(self.complaints, [])

    def test_interrupted(self):
        """An early end is as polite."""
        self.begin()
        self.enter()
        self.join.finish(0)
        self.assertEqual(self.end(), 0)

    def test_rudeServer(self):
        """A server that does not answer the logout is waited for two seconds."""
        self.begin()
        self.enter()
        self.join.finish(0)
        self.reactor.advance(2)
        self.assertEqual(self.end(), 0)

    def test_text(self):
        """A text is said once, and what others say is printed safely."""
        self.begin("--text", "hello", "--seconds", "5")
        self.enter(ANN)
        self.serve(OK, SendText(-1, False, "hello"))
        self.tell(TextMessage(5, -1, False, "hi\x1b[2J\nthere"))
        self.assertEqual(self.lines()[-1], "ann (5): hi\\x1b[2J\\x0athere")
        self.reactor.advance(5)
        self.end()

    def offer(self, kind=TransferKind.FILE, task_id=4):
        """User 5 sends a file; what the client says to it."""
        self.server.side.take()
        offered = TransferOffered(task_id, 5, kind, "g", "a.txt", 3, 0, 0, 0, "")
        self.tell(offered)
        return [message for _, message in self.server.side.take()]

    def test_refusedFile(self):
        """Files are not taken unless asked for; their senders and people hear it."""
        self.begin()
        self.enter(ANN)
        for task_id, kind in enumerate((TransferKind.FILE, TransferKind.FILE_EX)):
            refused = EndTransfer(task_id, kind, CANCEL)
            self.assertEqual(self.offer(kind, task_id), [refused])
            line = "ann (5): file a.txt of 3 bytes refused; --accept-files DIR takes "
            self.assertEqual(self.lines()[-1], line + "files")
        self.join.finish(0)
        self.assertEqual(self.end(), 0)

    def test_refusedFileJSON(self):
        """The same as an object."""
        self.begin("--json")
        self.enter(ANN)
        self.offer()
        refused = self.objects()[-1]
        self.assertEqual(
            (refused["event"], refused["source"], refused["length"]),
            ("file_refused", 5, 3),
        )
        self.join.finish(0)
        self.end()

    def test_acceptFiles(self):
        """With a directory they are taken, and go there."""
        self.begin("--accept-files", self.directory)
        self.enter(ANN)
        self.assertEqual(self.offer(), [TransferTaken(4, 0, True)])
        transfers = self.join.client.transfers
        self.assertEqual(transfers.directory, Path(self.directory))
        self.assertEqual(len(transfers.tasks), 1)
        self.assertTrue(os.path.isdir(self.directory))
        self.join.finish(0)
        self.assertEqual(self.end(), 0)

    def test_watchAll(self):
        """Who is in the room and who comes later is watched; the end has sums."""
        self.begin("--watch", "all", "--json")
        self.enter(ANN)
        self.assertEqual(
            [message for _, message in self.server.side.take()],
            [UserCameraControl(5, True, 0), UserSpeakControl(5, True, 0)],
        )
        for number in (2, 3):
            self.server.side.send(OK, number)
        self.tell(UserAtRoom(True, BOB))
        self.serve_all()
        self.tell(granted(5, VIDEO, 9))
        self.tell(granted(5, AUDIO, 10))
        self.media.receptions[0].counts = FakeStatistics(100, 200, 3, 2, 45.6123)
        self.media.receptions[1].counts = FakeStatistics(300, 300, 0, 0, 22.0)
        self.join.finish(0)
        self.assertEqual(self.end(), 0)
        objects = self.objects()
        self.assertEqual(
            [item["event"] for item in objects],
            [
                "connect",
                "login_system",
                "enter_room",
                "online_user",
                "user_at_room",
                "stream_granted",
                "stream_granted",
                "stream_ended",
                "stream_ended",
                "summary",
            ],
        )
        self.assertEqual(objects[0]["name"], "SUCCESS")
        self.assertEqual(objects[4]["member"]["user_id"], 6)
        self.assertEqual(objects[5]["kind"], "video")
        ann = objects[-1]["watched"][0]
        self.assertEqual(
            ann,
            {
                "user_id": 5,
                "nickname": "ann",
                "stream_index": 0,
                "frames_decoded": 100,
                "packets": 200,
                "lost": 3,
                "repaired": 2,
                "first_frame_ms": 45.6,
                "audio": {
                    "frames_decoded": 300,
                    "packets": 300,
                    "lost": 0,
                    "repaired": 0,
                    "first_frame_ms": 22.0,
                },
                "files": [],
            },
        )
        self.assertTrue(self.media.stopped)

    def test_watchSome(self):
        """Only the named users are watched."""
        self.begin("--watch", "6")
        self.enter(ANN)
        self.tell(UserAtRoom(True, BOB))
        asked = [message for _, message in self.server.side.take()]
        self.assertEqual([message.user_id for message in asked], [6, 6])
        self.join.finish(0)
        self.reactor.advance(2)
        self.end()

    def test_save(self):
        """Each watched user gets a file of a safe name; its path is told."""
        self.begin("--save", self.directory)
        self.enter(ANN, BOB)
        self.serve_all()
        self.assertEqual(
            [os.path.basename(sink.path) for sink in self.sinks],
            ["ann_5.mp4", "bob_6.mp4"],
        )
        self.assertTrue(os.path.isdir(self.directory))
        self.tell(UserAtRoom(False, BOB))
        self.assertEqual([sink.closed for sink in self.sinks], [0, 1])
        self.tell(UserAtRoom(True, BOB))
        self.serve_all()
        self.join.finish(0)
        self.end()
        self.assertEqual([sink.closed for sink in self.sinks], [1, 1, 1])
        self.assertTrue(self.lines()[-2].startswith("ann (5): video 0 frames"))
        self.assertTrue(self.lines()[-2].endswith("saved as " + self.sinks[0].path))

    def test_saveFails(self):
        """A recording that could not be written is complained about."""
        self.begin("--save", self.directory)
        self.enter(ANN)
        self.serve_all()
        self.sinks[0].error = "x.mp4: disk full"
        self.join.finish(0)
        self.assertEqual(self.end(), 0)
        self.assertEqual(self.complaints, ["x.mp4: disk full"])

    def test_publish(self):
        """A source is opened before anything else, and published."""
        self.begin("--publish", "test:", "--json")
        self.enter()
        self.serve_all()
        self.assertEqual(len(self.media.sending), 2)
        self.join.finish(0)
        self.assertEqual(self.end(), 0)
        published = self.objects()[-1]["published"]
        self.assertEqual([item["kind"] for item in published], ["video", "audio"])
        self.assertTrue(self.sources[0].closed)

    def test_publishedAgain(self):
        """What was sent before a new login, and before the end, counts, too."""
        self.begin("--publish", "test:", "--json")
        self.enter()
        self.serve_all()
        self.media.publications[0].counts = FakeSent(100, 120, 3)
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.reactor.advance(1)
        self.server.flush()
        self.enter()
        self.serve_all()
        self.media.publications[2].counts = FakeSent(10, 12, 1)
        self.server.side.send(LinkClose(ResultCode.KICKOUT))
        self.server.side.transport.loseConnection()
        self.assertEqual(self.end(), 1)
        video, audio = self.objects()[-1]["published"]
        self.assertEqual(
            video,
            {
                "stream_index": 0,
                "kind": "video",
                "frames": 110,
                "packets": 132,
                "resent": 4,
            },
        )
        self.assertEqual(audio["frames"], 0)

    def test_publishOverrides(self):
        """The picture's size, rate and bit rate may be chosen."""
        self.begin("--publish", "test:", "--video-size", "64x48", "--fps", "5")
        self.enter()
        self.serve_all()
        self.assertEqual(
            self.media.overrides,
            {"video_width": 64, "video_height": 48, "video_fps": 5},
        )
        self.join.finish(0)
        self.end()

    def test_sourceEnds(self):
        """A file that is at its end is closed; the client stays."""
        self.begin("--publish", "film.mp4")
        self.enter()
        self.serve_all()
        self.sources[0].on_end()
        self.server.flush()
        kinds = [type(message) for _, message in self.server.side.take()]
        self.assertEqual(kinds, [CloseStream, CloseStream])
        self.assertEqual(self.lines()[-1], "source 0 is at its end")
        self.assertNoResult(self.join.done)
        self.join.finish(0)
        self.reactor.advance(2)
        self.end()

    def test_afterNewLogin(self):
        """After a new login those who are new in the room are watched, too."""
        self.begin("--watch", "all")
        self.enter(ANN)
        self.serve_all()
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.reactor.advance(1)
        self.server.flush()
        self.enter(ANN, BOB)
        asked = [message for _, message in self.server.side.take()]
        self.assertEqual(sorted(m.user_id for m in asked), [5, 5, 6, 6])
        self.assertIn("reconnected, logging in anew", self.lines())
        self.join.finish(0)
        self.reactor.advance(2)
        self.end()

    def test_otherIds(self):
        """A server that gives ids anew: the recording of a user goes on."""
        self.begin("--save", self.directory, "--json")
        self.enter(ANN)
        self.serve_all()
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.reactor.advance(1)
        self.server.flush()
        self.enter(Member(9, 0, "ann"))
        self.serve_all()
        self.assertEqual(len(self.sinks), 1)
        self.tell(UserAtRoom(False, Member(9, 0, "ann")))
        self.assertEqual(self.sinks[0].closed, 1)
        self.join.finish(0)
        self.end()
        (user,) = self.objects()[-1]["watched"]
        self.assertEqual((user["user_id"], len(user["files"])), (9, 1))

    def test_brokenPipe(self):
        """Nobody reads what is printed: the end, quietly."""

        class Pipe(io.StringIO):
            def write(self, text):
                raise BrokenPipeError

        self.begin(stdout=Pipe())
        self.reactor.advance(0)
        self.enter()
        self.serve(OK, Logout())
        self.assertEqual(self.end(), 0)


class TroubleTests(JoinTestCase):
    """Exit codes 1, 2 and 3."""

    def test_cannotConnect(self):
        """No server is 3, with number and name of the code."""
        self.server.refusal = error.ConnectionRefusedError()
        self.begin("--json")
        self.assertEqual(self.end_alone(), 3)
        self.assertIn("host:8906: 108 CONNECT_SOCKETERR", self.complaints[0])
        connect, summary = self.objects()
        self.assertEqual((connect["code"], connect["name"]), (108, "CONNECT_SOCKETERR"))
        self.assertEqual((summary["event"], summary["code"]), ("summary", 3))
        self.assertEqual((summary["published"], summary["watched"]), ([], []))

    def end_alone(self):
        """The exit code of a run that did not get anywhere."""
        self.server.flush()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.complaints), 1)
        return self.successResultOf(self.join.done)

    def test_noSuchHost(self):
        """A name that does not resolve is 3."""
        self.server.refusal = error.DNSLookupError("no such host")
        self.begin()
        self.assertEqual(self.end_alone(), 3)
        self.assertIn("103 CONNECT_DNSERROR", self.complaints[0])

    def test_silent(self):
        """A server that says nothing is 3."""
        self.server.answers = False
        self.begin()
        self.reactor.advance(10)
        self.assertEqual(self.end_alone(), 3)
        self.assertIn("100 CONNECT_TIMEOUT", self.complaints[0])

    def test_turnedAway(self):
        """A server that says no at once is 1."""
        self.server.connect_code = ResultCode.CONNECT_HOTSERVER
        self.begin()
        self.assertEqual(self.end_alone(), 1)
        self.assertIn("111 CONNECT_HOTSERVER", self.complaints[0])

    def test_loginRefused(self):
        """A refused login is 1."""
        self.server.login_code = ResultCode.CERTIFY_FAIL
        self.begin("--json")
        self.assertEqual(self.end_alone(), 1)
        self.assertIn("200 CERTIFY_FAIL", self.complaints[0])
        self.assertEqual(self.objects()[-2]["code"], 200)

    def test_roomRefused(self):
        """A refused entry is 1, and leaves no session behind on the server."""
        self.begin()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.serve(EnterRoomResult(ResultCode.ROOM_PASSERR, 1))
        self.serve(OK, Logout())
        self.assertEqual(self.end_alone(), 1)
        self.assertEqual(
            self.complaints, ["room 1: 301 ROOM_PASSERR (room password wrong)"]
        )
        self.assertEqual(self.lines(), ["connected", "logged in, own id 7"])

    def test_roomGone(self):
        """A room that cannot be entered again after a new login is 1, too."""
        self.begin("--seconds", "60")
        self.enter(ANN)
        self.server.resume_code = ResultCode.SESSIONNOTEXIST
        self.server.cut()
        self.reactor.advance(1)
        self.server.flush()
        self.server.side.received[:] = self.server.side.received[-1:]
        self.serve(EnterRoomResult(ResultCode.ROOM_FULLUSER, 1))
        self.assertEqual(self.end(), 1)
        self.assertEqual(self.complaints, ["room 1: 302 ROOM_FULLUSER (room full)"])

    def test_badName(self):
        """A name that cannot be sent, or is refused, is told what it may be."""
        self.begin("--user", "x" * 600)
        self.assertEqual(self.end_alone(), 1)
        self.assertIn("21 FUNCOPTERROR", self.complaints[0])
        self.assertIn("128 characters and no control", self.complaints.pop())
        self.server.login_code = ResultCode.FUNCOPTERROR
        self.begin("--user", "x" * 129)
        self.assertEqual(self.end_alone(), 1)
        self.assertIn("128 characters and no control", self.complaints[0])

    def test_kickedOut(self):
        """Being thrown out is 1, with a summary."""
        self.begin("--json")
        self.enter()
        self.server.side.send(LinkClose(ResultCode.KICKOUT))
        self.server.side.transport.loseConnection()
        self.server.flush()
        self.assertEqual(self.end(), 1)
        self.assertIn("211 KICKOUT", self.complaints[0])
        self.assertEqual(self.objects()[-1]["event"], "summary")
        summary = self.objects()[-1]
        self.assertEqual(summary["code"], 1)
        self.assertEqual((summary["user_id"], summary["room_id"]), (7, 1))

    def test_endsWhileLost(self):
        """Time that is over while the connection is lost is 3, at once."""
        self.begin("--seconds", "5", "--json")
        self.enter()
        self.server.reachable = False
        self.server.cut()
        self.reactor.advance(5)
        self.assertEqual(self.end_alone(), 3)
        self.assertIn("101 CONNECT_ABORT", self.complaints[0])
        self.assertIn("not restored", self.complaints[0])
        self.assertEqual(self.objects()[-1]["code"], 3)

    def test_endsAfterLoss(self):
        """A connection that is restored in time, one way or the other, is fine."""
        for code in (ResultCode.SUCCESS, ResultCode.SESSIONNOTEXIST):
            self.server.resume_code = code
            self.begin()
            self.enter()
            self.server.cut()
            self.reactor.advance(1)
            self.server.flush()
            self.join.finish(0)
            self.reactor.advance(2)
            self.assertEqual(self.end(), 0)
            self.assertEqual(self.complaints, [])

    def test_publishRefused(self):
        """A refused publication is 1."""
        self.begin("--publish", "test:")
        self.enter()
        self.serve(StreamOpened(ResultCode.FUNCNOTALLOW))
        self.assertEqual(self.end(), 1)
        self.assertIn("20 FUNCNOTALLOW", self.complaints[0])

    def test_badSource(self):
        """A source that cannot be opened is 2, before any connection."""
        self.begin("--publish", "missing", "--json")
        self.assertEqual(self.end_alone(), 2)
        (summary,) = self.objects()
        self.assertEqual((summary["event"], summary["code"]), ("summary", 2))
        self.assertIn("no such media file", self.complaints[0])
        self.assertEqual(self.server.sides, [])

    def test_badDirectory(self):
        """A directory that cannot be made is 2."""
        Path(self.directory).write_text("")
        self.begin("--save", self.directory)
        self.assertEqual(self.end_alone(), 2)
        self.assertEqual(self.complaints, [f"not a directory: {self.directory}"])

    def test_noLog(self):
        """A log that cannot be written is told once, and nothing else."""
        path = f"{self.directory}/x.log"
        self.begin("--log", path)
        self.enter()
        self.join.finish(0)
        self.assertEqual(self.end(), 0)
        self.assertEqual(
            self.complaints, [f"warning: no log in {path}: No such file or directory"]
        )

    def test_noDirectory(self):
        """Nor is there one below a file."""
        Path(self.directory).write_text("")
        path = f"{self.directory}/films"
        self.begin("--save", path)
        self.assertEqual(self.end_alone(), 2)
        self.assertEqual(self.complaints, [f"{path}: Not a directory"])


class FileNameTests(SynchronousTestCase):
    """`file_name`."""

    def test_safe(self):
        """No name leaves its directory, hides, or is empty."""
        for nickname, expected in (
            ("ann", "ann_5.mp4"),
            ("../../etc/passwd", "etc_passwd_5.mp4"),
            (".hidden", "hidden_5.mp4"),
            ("", "user_5.mp4"),
            ("///", "user_5.mp4"),
            ("张 三", "张_三_5.mp4"),
            ("x" * 200, "x" * 64 + "_5.mp4"),
            ("a\x00b\n", "a_b_5.mp4"),
        ):
            self.assertEqual(file_name(Member(5, 0, nickname)), expected)
