"""Compiled plug-ins as the server sees them, with hosts in memory."""

import math
from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Presence,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.filters.abi import LoadError
from anychat.filters.call_queue import Limits
from anychat.filters.choice import FilterChoice, FilterKind
from anychat.filters.hooks import HOOK_NAMED, HOOKS
from anychat.filters.host import Host
from anychat.filters.native import NativeFilter
from test.filters.owner import Owner, Reactor

LOGIN = OnUserLoginAction(7, "ann", 2, "10.0.0.1")
LOGOUT = OnUserLogoutActionEx(7, ResultCode.SUCCESS)
FAIL = Verdict(ResultCode.SERVERSDK_FAIL)
TIMEOUT = Verdict(ResultCode.SERVERSDK_TIMEOUT)
LOADED = "Load SDK Filter Plus:x.so Success, ver:fake 1"


def ann():
    """A question; each is an object of its own."""
    return VerifyUser("ann", "secret")


class Crash(BaseException):
    """The plug-in takes its process down, by this signal."""


class Library:
    """A plug-in without C.

    :ivar on: what a hook does, by its product's name; it gives the answer.
    """

    def __init__(self, hooks=HOOKS):
        self.hooks = hooks
        self.calls = []
        self.on = {}
        self.send = self.refuse = None
        self.released = False
        self.ready = True
        self.fault = None

    def load(self, send, refuse):
        """As `anychat.filters.abi.Library` begins."""
        self.send, self.refuse = send, refuse
        if self.fault is not None:
            raise self.fault
        return self

    def version(self):
        """What the log says."""
        return "fake 1"

    def init(self):
        """Whether it wants to."""
        return self.ready

    def call(self, hook, values):
        """A hook is called."""
        self.calls.append((hook.camel, *values))
        answer = self.on.get(hook.camel)
        if callable(answer):
            answer = answer(*values)
        return answer or ({"code": 0, "user_id": 7} if hook.asks else {})

    def release(self):
        """The end."""
        self.released = True


class Process:
    """A host in this process, in place of its transport.

    Nothing moves until the test says so; a paused one hangs.
    """

    def __init__(self, protocol, arguments, library):
        self.protocol, self.arguments, self.library = protocol, arguments, library
        self.pid = 1
        self.outgoing = deque()
        self.incoming = deque()
        self.closing = False
        self.paused = False
        self.stuck = False
        self.loose = False
        self.host = Host(library.load, self.outgoing.append)
        self.begun = False

    # What the server does with it.

    def write(self, data):
        """To the host's standard input."""
        self.incoming.append(data)

    def closeStdin(self):
        """No more."""
        self.closing = True

    def signalProcess(self, name):
        """Only one signal is ever sent."""
        assert name == "KILL"
        if not self.stuck:
            self.end(9)

    def loseConnection(self):
        """The streams are given up."""
        self.finish()

    # What it does.

    def step(self):
        """Work on what has come; whether there was something to do."""
        if self.pid is None or self.paused:
            return False
        if not self.begun:
            self.begun = True
            if not self.host.start():
                self.say()
                self.end(code=1)
                return True
        elif self.incoming:
            try:
                self.host.receive(self.incoming.popleft())
            except Crash as crash:
                self.say()
                self.end(*crash.args)
                return True
        elif self.closing:
            self.host.end()
            self.say()
            self.end(code=0)
            return True
        elif not self.outgoing:
            return False
        self.say()
        return True

    def say(self):
        """What the host wrote arrives."""
        while self.outgoing:
            self.protocol.outReceived(self.outgoing.popleft())

    def end(self, signal=None, code=None):
        """The process is gone."""
        if self.pid is None:
            return
        self.pid = None
        done = code == 0
        self.reason = Failure(
            ProcessDone(0) if done else ProcessTerminated(code, signal, 0)
        )
        self.protocol.processExited(self.reason)
        if not self.loose:
            self.finish()

    def finish(self):
        """Its streams are closed, too."""
        self.protocol.processEnded(self.reason)


class NativeTestCase(SynchronousTestCase):
    """A filter whose processes are of the test."""

    def setUp(self):
        self.reactor, self.owner, self.log = Reactor(), Owner(), []
        self.reactor.start = self.spawn
        self.library = Library()
        self.processes = []
        self.failing = None
        self.make()

    def make(self, require=True, **limits):
        """The filter."""
        self.filter = NativeFilter(
            self.reactor,
            FilterChoice(FilterKind.COMPILED, "x.so", "/srv/x.so"),
            self.owner,
            answer_timeout=5.0,
            require=require,
            log=self.log.append,
            limits=Limits(answer_time=5.0, **limits),
        )

    def spawn(self, protocol, arguments):
        """A process is started."""
        if self.failing is not None:
            raise self.failing
        self.processes.append(Process(protocol, arguments, self.library))
        protocol.makeConnection(self.processes[-1])

    @property
    def process(self):
        """The last one."""
        return self.processes[-1]

    def start(self, **limits):
        """A filter that works."""
        if limits:
            self.make(**limits)
        self.filter.startService()
        self.addCleanup(self.stop)
        self.flush()

    def stop(self):
        """Stop it; nothing is left running."""
        if self.filter.running:
            self.filter.stopService()
            self.flush()
            self.reactor.advance(10)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def flush(self):
        """Let everything happen that happens by itself."""
        while sum([process.step() for process in self.processes]):
            pass

    def advance(self, seconds):
        """Time goes by, in small steps."""
        for _ in range(math.ceil(seconds * 8)):
            self.reactor.advance(0.125)  # which adds up exactly
            self.flush()

    def ask(self, question=None):
        """A list that the verdict comes into."""
        verdicts = []
        self.filter.ask(question or ann()).addBoth(verdicts.append)
        return verdicts

    def tell(self, *events):
        """Things happen."""
        for event in events:
            self.filter.tell(event)
        self.flush()

    def crash_on(self, name, signal=11):
        """The plug-in crashes in a hook."""

        def crash(*values):
            raise Crash(signal)

        self.library.on[name] = crash

    def count(self, name):
        """A counter."""
        return self.filter.statistics().get(name, 0)

    def lines(self):
        """What was logged since the last time."""
        lines = list(self.log)
        self.log.clear()
        return lines


class LoadTests(NativeTestCase):
    """How it begins."""

    def test_success(self):
        """Until the plug-in works it is away; then it decides."""
        self.filter.startService()
        self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))
        self.assertEqual(self.ask(), [FAIL])
        self.flush()
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))
        self.assertEqual(self.lines(), [LOADED])
        self.assertEqual(self.filter.version, "fake 1")
        self.assertEqual(
            self.process.arguments[1:5],
            ["-P", "-m", "anychat.filters.host", "/srv/x.so"],
        )
        self.stop()

    def test_missingExports(self):
        """A function that is not there is not used."""
        self.library.hooks = (HOOK_NAMED["OnUserLoginAction"],)
        self.start()
        self.assertEqual(self.owner.told, ("NOBODY", "NOBODY", True))
        self.assertEqual(self.ask(), [FAIL])
        self.tell(LOGIN, LOGOUT)
        self.assertEqual([name for name, *_ in self.library.calls], [
            "OnUserLoginAction"
        ])  # fmt: skip

    def test_initFails(self):
        """InitFilter gave 0: the plug-in is not used, and not tried again."""
        self.library.ready = False
        self.start()
        self.assertEqual(
            self.lines(),
            ["Load SDK Filter Plus:x.so Failed, BRFP_InitFilter returned 0"],
        )
        self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))
        self.assertEqual(self.ask(), [FAIL])
        self.advance(100)
        self.assertEqual(len(self.processes), 1)
        self.assertEqual(self.count("loads_failed"), 1)

    def test_cannotBeLoaded(self):
        """What the system says of the file is in the line."""
        self.library.fault = LoadError("/srv/x.so: No such file or directory")
        self.start()
        self.assertEqual(
            self.lines(),
            ["Load SDK Filter Plus:x.so Failed, /srv/x.so: No such file or directory"],
        )
        self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))

    def test_requireBusiness(self):
        """Without RequireBusiness rooms decide alone while it is away."""
        self.make(require=False)
        self.filter.startService()
        self.assertEqual(self.owner.told, ("AWAY", "NOBODY", False))
        self.flush()
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))
        self.stop()

    def test_crashWhileLoading(self):
        """A crash before it works is a crash: it is tried again."""
        self.filter.startService()
        self.process.end(6)
        self.assertEqual(
            self.lines(),
            [
                "SDK Filter Plus:x.so crashed (SIGABRT) while it was loaded: 0 "
                "questions are answered with 207, it is started again in 0.5 s"
            ],
        )
        self.advance(0.5)
        self.assertEqual(self.lines(), [LOADED])
        self.stop()

    def test_loadHangs(self):
        """It has 30 s to load."""
        self.filter.startService()
        self.process.paused = True
        self.advance(29.875)
        self.assertEqual(self.lines(), [])
        self.advance(0.125)
        self.assertIn("did not begin to work in 30 s", *self.lines())
        self.assertIsNone(self.process.pid)
        self.advance(0.5)
        self.assertEqual(self.lines(), [LOADED])
        self.stop()

    def test_noProcess(self):
        """Where the system has no room for a process, one is tried for later."""
        self.failing = OSError(11, "Resource temporarily unavailable")
        self.start()
        self.assertEqual(
            self.lines(),
            [
                "Load SDK Filter Plus:x.so Failed, no process can be started: "
                "Resource temporarily unavailable"
            ],
        )
        self.failing = None
        self.advance(0.5)
        self.assertEqual(self.lines(), [LOADED])


class CallTests(NativeTestCase):
    """Questions and events."""

    def test_verdicts(self):
        """What the plug-in says is what the core gets."""
        self.start()
        self.library.on["VerifyUser"] = lambda name, password: {
            "code": 0, "user_id": len(name), "level": 5, "nickname": "李"
        }  # fmt: skip
        verdicts = self.ask()
        self.assertEqual(self.count("questions_open"), 1)
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 3, 5, "李")])
        self.library.on["PrepareEnterRoom"] = {"code": 4_000_000_000}
        verdicts = self.ask(PrepareEnterRoom(-2, 9, "r", "p"))
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode(4_000_000_000))])
        self.assertEqual(
            self.library.calls,
            [
                ("VerifyUser", b"ann", b"secret"),
                ("PrepareEnterRoom", 2**32 - 2, 9, b"r", b"p"),
            ],
        )
        self.assertEqual(self.count("questions_answered"), 2)

    def test_order(self):
        """Everything arrives in the order in which it happened."""
        self.start(under_way=2)
        self.filter.tell(LOGIN)
        verdicts = self.ask()
        self.tell(
            OnUserEnterRoomAction(7, 3),
            OnRecvUserTextMsg(3, 7, -1, False, "hi"),
            OnRecvUserFilterData(7, b"\0"),
            OnUserLeaveRoomAction(7, 3),
            LOGOUT,
        )
        self.assertEqual(len(verdicts), 1)
        self.assertEqual(
            self.library.calls,
            [
                ("OnUserLoginAction", 7, b"ann", 2, b"10.0.0.1", 1),
                ("VerifyUser", b"ann", b"secret"),
                ("OnUserEnterRoomAction", 7, 3),
                ("OnRecvUserTextMsg", 3, 7, 2**32 - 1, 0, b"hi"),
                ("OnRecvUserFilterData", 7, b"\0"),
                ("OnUserLeaveRoomAction", 7, 3),
                ("OnUserLogoutAction", 7),
            ],
        )

    def test_nulInPassword(self):
        """What C would see a part of is not even asked."""
        self.start()
        self.assertEqual(
            self.ask(VerifyUser("ann", "secret\0more")),
            [Verdict(ResultCode.FUNCOPTERROR)],
        )
        self.flush()
        self.assertEqual(self.library.calls, [])

    def test_tooLate(self):
        """One that waits too long behind others gets 207, and is not asked any
        more; a plug-in that goes on answering is not taken for hung."""
        self.start(under_way=1)
        self.process.paused = True
        self.library.on["VerifyUser"] = lambda name, password: self.reactor.advance(4)
        verdicts = [self.ask() for _ in range(4)]
        self.flush()
        self.process.paused = False
        self.flush()
        self.assertEqual(
            [v.code for [v] in verdicts],
            [0, ResultCode.SERVERSDK_TIMEOUT, 207, 207],
        )
        self.assertEqual(len(self.library.calls), 2)
        self.assertIn("gave no verdict on VerifyUser in 5 s", "".join(self.log))
        self.assertEqual(len(self.processes), 1)
        self.assertEqual(self.count("questions_timeout"), 3)

    def test_withdrawn(self):
        """A login that nobody waits for any more is not put, if it can be."""
        self.start(under_way=1)
        self.process.paused = True
        questions = [ann() for _ in range(4)]
        verdicts = [self.ask(question) for question in questions]
        self.filter.withdraw(questions[0])  # is under way: too late
        self.filter.withdraw(questions[2])
        self.filter.withdraw(questions[2])
        self.filter.withdraw(ann())
        self.assertEqual(verdicts, [[], [], [FAIL], []])
        self.assertEqual(self.count("questions_open"), 3)
        self.process.paused = False
        self.flush()
        self.assertEqual([v.code for [v] in verdicts], [0, 0, 206, 0])
        self.assertEqual(len(self.library.calls), 3)
        self.assertEqual(self.count("questions_withdrawn"), 1)
        self.filter.withdraw(questions[3])

    def test_answers(self):
        """Clients are told whether somebody takes what they send."""
        self.library.hooks = [hook for hook in HOOKS if "text" not in hook.name]
        self.start(under_way=1, of_one=1)
        self.process.paused = True
        data = OnRecvUserFilterData(7, b"x")
        self.assertEqual([self.filter.tell(data) for _ in range(3)], [0, 0, 23])
        self.assertEqual(self.filter.tell(OnRecvUserFilterData(8, b"x")), 0)
        self.assertEqual(self.filter.tell(OnTransBuffer(7, b"x")), 206)
        self.process.end(11)
        self.assertEqual(self.filter.tell(data), 206)

    def test_dropped(self):
        """Texts that pile up are left out; who comes and goes is not."""
        self.start(under_way=1, passing=2)
        self.process.paused = True
        text = OnRecvUserTextMsg(3, 7, -1, False, "hi")
        self.tell(text, text, text, text, LOGIN)
        self.assertIn("too slowly, 1 are left out so far", self.log[-1])
        self.assertEqual(self.count("events_dropped"), 1)
        self.assertEqual(self.count("waiting"), 3)
        self.process.paused = False
        self.flush()
        self.assertEqual(
            [name for name, *_ in self.library.calls],
            ["OnRecvUserTextMsg"] * 3 + ["OnUserLoginAction"],
        )

    def test_overrun(self):
        """Where too much of that piles up, the plug-in is started anew."""
        self.start(under_way=1, lasting=2)
        self.process.paused = True
        verdicts = self.ask()
        self.owner.present = (Presence(7, "ann", 2, "10.0.0.1", 0),)
        self.tell(LOGIN, LOGOUT, LOGIN)
        self.assertEqual(verdicts, [TIMEOUT])
        self.assertIn("does not keep up with what happens", self.log[-1])
        self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))
        self.advance(0.5)
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))
        self.assertEqual([name for name, *_ in self.library.calls], [
            "OnUserLoginAction"
        ])  # fmt: skip


class SendTests(NativeTestCase):
    """What the plug-in sends."""

    def setUp(self):
        super().setUp()
        self.start()
        self.tell(LOGIN)

    @property
    def handle(self):
        """The last one that it was given."""
        return self.library.calls[-1][-1]

    def test_inHook(self):
        """From inside the login, and from a thread whenever it likes."""
        self.library.on["OnUserLoginAction"] = lambda *values: self.library.send(
            values[0], values[-1], b"welcome"
        )
        self.tell(OnUserLoginAction(-2, "guest", 0, "::1"))
        self.assertEqual(self.owner.sent(), [(-2, b"welcome")])
        self.library.send(2**32 - 2, self.handle, b"later")
        self.flush()
        self.assertEqual(self.owner.sent(), [(-2, b"later")])

    def test_stale(self):
        """A handle of a session that is over sends nothing."""
        handle = self.handle
        self.tell(LOGOUT, LOGIN)
        self.library.send(7, handle, b"x")
        self.library.send(8, self.handle, b"x")
        self.flush()
        self.assertEqual(self.owner.sent(), [])
        self.assertEqual(self.count("sends_stale"), 2)

    def test_refused(self):
        """Impossible lengths are said, now and then."""
        self.library.refuse(2**32 - 1)
        self.library.refuse(0)
        self.flush()
        [line] = [line for line in self.log if "cannot send" in line]
        self.assertIn("a length of 4294967295 bytes", line)
        self.assertEqual(self.count("sends_refused"), 2)


class TroubleTests(NativeTestCase):
    """Crashes, hangs and nonsense."""

    def test_crash(self):
        """207 for all who wait; away until it runs again, then asked again."""
        self.start()
        self.lines()
        self.crash_on("VerifyUser")
        verdicts = [self.ask() for _ in range(3)]
        states = []
        self.filter.ask(ann()).addCallback(lambda _: states.append(self.owner.told))
        self.flush()
        self.assertEqual(verdicts, [[TIMEOUT]] * 3)
        # Nobody asks again before the core knows.
        self.assertEqual(states, [("AWAY", "AWAY", False)])
        self.assertEqual(
            self.lines(),
            [
                "SDK Filter Plus:x.so crashed (SIGSEGV) in VerifyUser: 4 questions "
                "are answered with 207, it is started again in 0.5 s"
            ],
        )
        self.assertEqual(self.ask(), [FAIL])
        del self.library.on["VerifyUser"]
        self.advance(0.5)
        self.assertEqual(self.lines(), [LOADED])
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))
        verdicts = self.ask()
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 7)])
        self.assertEqual(self.count("loads"), 2)
        self.assertEqual(self.count("failures"), 1)

    def test_answersBeforeTheCrash(self):
        """What was answered before it counts."""
        self.start()
        first = self.ask()
        self.crash_on("PrepareEnterRoom")
        second = self.ask(PrepareEnterRoom(7, 1, "r", ""))
        third = self.ask()
        self.flush()
        self.assertEqual(first, [Verdict(ResultCode.SUCCESS, 7)])
        self.assertEqual((second, third), ([TIMEOUT], [TIMEOUT]))

    def test_online(self):
        """After a restart it is told who is where, with handles that work."""
        self.start()
        self.tell(LOGIN)
        self.crash_on("OnUserLogoutAction")
        self.library.calls.clear()
        self.owner.present = (
            Presence(7, "ann", 2, "10.0.0.1", 3),
            Presence(-2, "guest", 0, "::1", 0),
        )
        self.tell(OnUserLogoutActionEx(9, ResultCode.SUCCESS))
        self.tell(OnUserLoginAction(-2, "guest", 0, "::1"))  # nobody hears of it
        self.advance(0.5)
        calls = self.library.calls
        self.assertEqual(
            calls,
            [
                ("OnUserLogoutAction", 9),
                ("OnUserLoginAction", 7, b"ann", 2, b"10.0.0.1", calls[1][-1]),
                ("OnUserEnterRoomAction", 7, 3),
                ("OnUserLoginAction", 2**32 - 2, b"guest", 0, b"::1", calls[3][-1]),
            ],
        )
        self.library.send(7, calls[1][-1], b"x")
        self.library.send(2**32 - 2, calls[3][-1], b"y")
        self.library.send(7, 1, b"stale")
        self.flush()
        self.assertEqual(self.owner.sent(), [(7, b"x"), (-2, b"y")])

    def test_hang(self):
        """A hook that does not return in AnswerTimeout is the process's end."""
        self.start()
        self.lines()
        self.process.paused = True
        self.filter.tell(LOGIN)
        self.advance(1)
        verdicts = self.ask()
        self.advance(3.875)
        self.assertEqual(self.lines(), [])
        self.advance(0.25)
        self.assertEqual(verdicts, [TIMEOUT])
        self.assertEqual(
            self.lines(),
            [
                "SDK Filter Plus:x.so has hung for 5 s in OnUserLoginAction: 1 "
                "questions are answered with 207, it is started again in 0.5 s"
            ],
        )
        self.assertIsNone(self.process.pid)
        self.advance(0.5)
        self.assertEqual(self.lines(), [LOADED])

    def test_serverWasHeldUp(self):
        """Who was not read in time is read before anybody is blamed."""
        self.start()
        verdicts = self.ask()
        self.reactor.advance(60)
        self.flush()
        self.advance(1)
        self.assertEqual(verdicts, [TIMEOUT])
        self.assertEqual(len(self.processes), 1)
        self.assertIsNotNone(self.process.pid)
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))

    def test_backOff(self):
        """The pauses grow to 30 s, and begin anew after a minute of health."""
        self.start()
        pauses = []
        self.crash_on("VerifyUser")
        for _ in range(9):
            self.ask()
            self.flush()
            pauses.append(self.log[-1].split()[-2])
            self.advance(float(pauses[-1]))
        self.assertEqual(pauses, ["0.5", "1", "2", "4", "8", "16", "30", "30", "30"])
        self.advance(60)
        self.ask()
        self.flush()
        self.assertIn("again in 0.5 s", self.log[-1])
        self.advance(0.5)

    def test_garbage(self):
        """A plug-in that writes into the conversation is ended."""
        self.start()
        for number, garbage in enumerate(
            (
                b"GET / HTTP/1.1\r\n\r\n",
                b"\0\x08_command\0\x04Send\0\0",
                b"\0\x07_answer\0\x0299\0\0",
                b"\0\0",
            )
        ):
            with self.subTest(garbage):
                verdicts = self.ask()
                self.process.protocol.outReceived(garbage)
                self.process.protocol.outReceived(garbage)
                self.assertEqual(verdicts, [TIMEOUT])
                self.assertIn("has broken its process (", self.log[-1])
                self.assertIsNone(self.process.pid)
                self.advance(100)
                self.assertEqual(len(self.processes), number + 2)

    def test_outOfPlace(self):
        """So is one that is loaded twice."""
        self.start()
        self.process.host.start()
        self.flush()
        self.assertIn("it is loaded twice", self.log[-1])

    def test_endsItself(self):
        """A plug-in that calls exit() is treated as one that crashed."""
        self.start()
        self.process.end(code=3)
        self.assertIn("ended by itself (exit code 3): 0 questions", self.log[-1])
        self.advance(0.5)
        self.process.end(code=0)
        self.assertIn("ended by itself (exit code 0)", self.log[-1])
        self.advance(1)
        self.assertEqual(self.log[-1], LOADED)

    def test_streamsHeldOpen(self):
        """A program that the plug-in left behind does not hide its end."""
        self.start()
        self.process.loose = True
        verdicts = self.ask()
        self.process.end(11)
        self.assertEqual(verdicts, [])
        self.reactor.advance(0.5)
        self.assertEqual(verdicts, [TIMEOUT])
        self.advance(0.5)
        self.assertEqual(self.log[-1], LOADED)

    def test_laterFailureToLoad(self):
        """One that worked before is tried again, should it not load any more."""
        self.start()
        self.process.end(11)
        self.library.ready = False
        self.advance(0.5)
        self.assertIn("Failed, BRFP_InitFilter returned 0", self.log[-1])
        self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))
        self.library.ready = True
        self.advance(1)
        self.assertEqual(self.log[-1], LOADED)

    def test_oldProcessSaysNothing(self):
        """What a process says after it was given up is not heard."""
        self.start()
        self.tell(LOGIN)
        old = self.process
        old.stuck = True
        old.paused = True
        self.ask()
        self.advance(6)
        self.assertIsNot(self.process, old)
        old.paused = False
        old.library.send(7, 2, b"ghost")
        self.flush()
        self.assertEqual(self.owner.sent(), [])
        old.end(9)
        self.assertIsNotNone(self.process.pid)

    def test_reentrance(self):
        """An answer may cause the next question, and a crash an answer."""
        self.start()
        verdicts = []

        def again(verdict):
            verdicts.append(verdict)
            if len(verdicts) < 3:
                self.filter.ask(ann()).addCallback(again)

        self.filter.ask(ann()).addCallback(again)
        self.flush()
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 7)] * 3)
        verdicts.clear()
        self.crash_on("VerifyUser")
        self.filter.ask(ann()).addCallback(again)
        self.flush()
        self.assertEqual(verdicts, [TIMEOUT, FAIL, FAIL])


class SpeechTests(NativeTestCase):
    """What a plug-in prints."""

    def says(self, *parts):
        """Some bytes on standard error; the lines in the log."""
        self.lines()
        for part in parts:
            self.process.protocol.errReceived(part)
        return [
            line.removeprefix("SDK Filter Plus:x.so says: ") for line in self.lines()
        ]

    def test_lines(self):
        """It is logged by lines, in whatever pieces and code it comes."""
        self.start()
        self.assertEqual(self.says(b"one\ntw", b"o\r\n\n"), ["one", "two"])
        self.assertEqual(self.says("李\n".encode("gbk")), ["李"])
        self.assertEqual(self.says(bytes([65] * 501) + b"\n"), ["A" * 500 + "..."])
        self.says(b"last words")
        self.process.end(11)
        self.assertIn("SDK Filter Plus:x.so says: last words", self.log)

    def test_flood(self):
        """So many lines in 10 s; the others are counted."""
        self.start()
        said = self.says(b"line\n" * 1000)
        self.assertEqual(said, ["line"] * 50)
        self.reactor.advance(10)
        self.assertEqual(self.says(b"more\n"), ["(950 more lines)", "more"])

    def test_endlessLine(self):
        """A line without an end costs no memory."""
        self.start()
        for _ in range(100):
            self.process.protocol.errReceived(bytes([66]) * 65536)
        self.assertEqual(len(self.process.protocol._speech._begun), 500)


class StopTests(NativeTestCase):
    """The end of the server."""

    def stopping(self):
        """Stop; a list that says when that is through."""
        stopped = []
        self.filter.stopService().addCallback(stopped.append)
        return stopped

    def test_release(self):
        """It is done with what it was told, and released."""
        self.start()
        self.filter.tell(LOGIN)
        verdicts = self.ask()
        stopped = self.stopping()
        self.assertEqual(verdicts, [FAIL])
        self.assertEqual(stopped, [])
        self.flush()
        self.assertEqual(stopped, [None])
        self.assertTrue(self.library.released)
        self.assertEqual(self.library.calls[0][0], "OnUserLoginAction")
        self.assertEqual(self.ask(), [FAIL])
        self.tell(LOGOUT)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_killed(self):
        """One that hangs has 2 s, and is killed."""
        self.start()
        self.process.paused = True
        stopped = self.stopping()
        self.advance(1.875)
        self.assertEqual(stopped, [])
        self.advance(0.125)
        self.assertEqual(stopped, [None])
        self.assertIsNone(self.process.pid)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_notEvenThat(self):
        """One that cannot be killed does not keep the server."""
        self.start()
        self.process.stuck = self.process.paused = True
        stopped = self.stopping()
        self.advance(4)
        self.assertEqual(stopped, [None])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_whileLoading(self):
        """One that has only just begun ends, too."""
        self.filter.startService()
        stopped = self.stopping()
        self.flush()
        self.assertEqual(stopped, [None])
        self.assertEqual(self.lines(), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_whileDown(self):
        """While there is no process there is nothing to wait for."""
        self.start()
        self.process.end(11)
        self.assertEqual(self.stopping(), [None])
        self.advance(60)
        self.assertEqual(len(self.processes), 1)

    def test_neverLoaded(self):
        """Nor for one that could not be used."""
        self.library.ready = False
        self.start()
        self.assertEqual(self.stopping(), [None])

    def test_waitingDeferredsDoNotLeak(self):
        """Who asks from inside the last answers is answered, too."""
        self.start()
        verdicts = []
        self.filter.ask(ann()).addCallback(
            lambda _: self.filter.ask(ann()).addCallback(verdicts.append)
        )
        self.assertIsInstance(self.filter.stopService(), Deferred)
        self.flush()
        self.assertEqual(verdicts, [FAIL])
