"""Plug-ins that are Python modules."""

import sys
import threading
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.filters import python
from anychat.filters.choice import chosen
from anychat.filters.plug_in import GAUGES
from anychat.filters.python import FILE_MODULE, PythonFilter
from test.filters.compiled import SAMPLES
from test.filters.owner import Owner, Reactor

LOGIN = OnUserLoginAction(7, "ann", 2, "10.0.0.1")
LOGOUT = OnUserLogoutActionEx(7, ResultCode.SUCCESS)
OK, FAIL = ResultCode.SUCCESS, ResultCode.SERVERSDK_FAIL
TIMEOUT = ResultCode.SERVERSDK_TIMEOUT

#: Writes down what it is called with, and answers as the test says.
RECORDER = """
calls = []
answers = {}

def _hook(name):
    def hook(*values):
        calls.append((name, *values))
        answer = answers.get(name, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer(*values) if callable(answer) else answer
    return hook

for _name in ("verify_user", "prepare_enter_room", "on_user_login_action",
              "on_user_logout_action", "on_user_enter_room_action",
              "on_user_leave_room_action", "on_recv_user_filter_data",
              "on_recv_user_text_msg", "release_filter"):
    globals()[_name] = _hook(_name)

def get_version():
    return "recorder 1"

def init_filter(send_callback):
    global send
    send = send_callback
    return True
"""


def ann():
    """A question; each is an object of its own."""
    return VerifyUser("ann", "secret")


def entry():
    """Another one."""
    return PrepareEnterRoom(7, 3, "Room 3", "")


class PythonFilterTestCase(SynchronousTestCase):
    """A plug-in written by the test."""

    def setUp(self):
        self.reactor, self.owner, self.log = Reactor(), Owner(), []
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.patch(sys, "path", list(sys.path))
        self.addCleanup(sys.modules.pop, FILE_MODULE, None)

    def load(self, source=RECORDER, name="plug_in.py", **settings):
        """Start the filter with this module; the module."""
        (self.directory / name).write_text(source)
        return self.start(name, **settings)

    def start(self, value, **settings):
        """Start the filter as SDKFilterPlus names it."""
        self.filter = PythonFilter(
            self.reactor,
            chosen(value, self.directory),
            self.owner,
            log=self.log.append,
            **{"answer_timeout": 5.0, "require": True} | settings,
        )
        self.filter.startService()
        self.addCleanup(self.stop)
        return self.filter._module

    def stop(self):
        """Stop the filter; nothing is left running."""
        stopped = []
        if self.filter.running:
            self.filter.stopService().addCallback(stopped.append)
            self.reactor.advance(10)
            self.assertEqual(len(stopped), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def ask(self, question=None):
        """A list that the verdict comes into."""
        verdicts = []
        self.filter.ask(question or ann()).addBoth(verdicts.append)
        return verdicts

    def count(self, name):
        """A counter."""
        return self.filter.statistics().get(name, 0)

    def failures(self):
        """What was logged with a traceback."""
        return [str(failure.value) for failure in self.flushLoggedErrors()]


class LoadTests(PythonFilterTestCase):
    """From SDKFilterPlus to a module that works."""

    def test_success(self):
        """The log has the product's line, and the core knows who decides."""
        self.load()
        self.assertEqual(
            self.log, ["Load SDK Filter Plus:plug_in.py Success, ver:recorder 1"]
        )
        self.assertEqual(self.owner.told, ("THERE", "THERE", True))
        self.assertEqual(self.filter.version, "recorder 1")
        self.assertEqual(self.count("loaded"), 1)
        self.assertLessEqual(GAUGES & self.filter.statistics().keys(), GAUGES)

    def test_dottedName(self):
        """A module that Python finds by itself."""
        sys.path.insert(0, str(self.directory))
        package = self.directory / "anychat_test_shop"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name in ("anychat_test_shop", "anychat_test_shop.filter"):
            self.addCleanup(sys.modules.pop, name, None)
        (package / "filter.py").write_text("def verify_user(name, password): ...")
        self.start("anychat_test_shop.filter")
        self.assertEqual(
            self.log,
            ["Load SDK Filter Plus:anychat_test_shop.filter Success, ver:unknown"],
        )

    def test_neighbours(self):
        """A file can import what lies beside it."""
        (self.directory / "anychat_test_neighbour.py").write_text("code = 777")
        self.addCleanup(sys.modules.pop, "anychat_test_neighbour", None)
        self.load(
            "from anychat_test_neighbour import code\n"
            "def verify_user(name, password): return code"
        )
        self.assertEqual(self.ask(), [Verdict(ResultCode(777))])

    def test_missingHooks(self):
        """What a plug-in does not have is not used, and nobody is missed."""
        for source, told in (
            ("def verify_user(*_): ...", ("THERE", "NOBODY", True)),
            ("def prepare_enter_room(*_): ...", ("NOBODY", "THERE", True)),
            ("def on_user_login_action(*_): ...", ("NOBODY", "NOBODY", True)),
        ):
            self.load(source)
            self.assertEqual(self.owner.told, told)
            self.assertIn("Success", self.log.pop())
            self.filter.tell(LOGIN)
            self.filter.tell(LOGOUT)
        self.assertEqual(self.ask(ann()), [Verdict(FAIL)])

    def test_failures(self):
        """A plug-in that cannot be used says why, in one line; nobody gets in."""
        for source, reason in (
            ("", "it has none of the hooks verify_user, "),
            ("verify_user = 5", "verify_user is no function"),
            (
                "def verify_user(*_): ...\ninit_filter = 5",
                "init_filter is no function",
            ),
            (
                "def verify_user(*_): ...\ndef init_filter(send): return False",
                "init_filter returned False, not True",
            ),
            (
                "def verify_user(*_): ...\ndef init_filter(send): pass",
                "init_filter returned None, not True",
            ),
        ):
            self.load(source)
            [line] = self.log
            self.log.clear()
            self.assertTrue(
                line.startswith(f"Load SDK Filter Plus:plug_in.py Failed, {reason}"),
                line,
            )
            self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))
            self.assertEqual(self.ask(), [Verdict(FAIL)])
            self.filter.tell(LOGIN)
            self.assertEqual(self.count("loads_failed"), 1)

    def test_exceptions(self):
        """One that raises is shown with a traceback besides; the server runs."""
        for source, reason in (
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("def f(:", "SyntaxError: "),
            ("import sys; sys.exit(4)", "SystemExit: 4"),
            ("import anychat_test_nothing", "ModuleNotFoundError: "),
            (
                "def verify_user(*_): ...\ndef init_filter(send): raise OSError('db')",
                "OSError: db",
            ),
            (
                "def verify_user(*_): ...\ndef get_version(): raise KeyError(1)",
                "KeyError: 1",
            ),
        ):
            self.load(source)
            self.assertEqual(len(self.failures()), 1)
            [line] = self.log
            self.log.clear()
            self.assertIn(f"Failed, {reason}", line)
            self.assertEqual(self.owner.told, ("AWAY", "AWAY", False))

    def test_noSuchModule(self):
        """Neither a file nor a module of that name."""
        self.start("nothing.py")
        self.start("anychat_test_nothing.filter")
        self.assertEqual(
            self.log,
            [
                "Load SDK Filter Plus:nothing.py Failed, there is no file "
                f"{self.directory}/nothing.py",
                "Load SDK Filter Plus:anychat_test_nothing.filter Failed, Python "
                "finds no module anychat_test_nothing: install it, or name the file "
                "with its path",
            ],
        )

    def test_requireBusiness(self):
        """Without RequireBusiness rooms decide alone where the plug-in fails."""
        self.load("1 / 0", require=False)
        self.assertEqual(self.owner.told, ("AWAY", "NOBODY", False))
        self.failures()


class QuestionTests(PythonFilterTestCase):
    """Verdicts."""

    def test_verdicts(self):
        """Codes and users reach the core as they are."""
        module = self.load()
        for value, verdict in (
            (200, Verdict(ResultCode.CERTIFY_FAIL)),
            (2**32 - 1, Verdict(ResultCode(2**32 - 1))),
            ((0, 7), Verdict(OK, 7)),
            ((0, 7, 3), Verdict(OK, 7, 3)),
            ((0, 7, 3, "Ann"), Verdict(OK, 7, 3, "Ann")),
            ((200,), Verdict(ResultCode.CERTIFY_FAIL)),
        ):
            module.answers["verify_user"] = value
            self.assertEqual(self.ask(), [verdict])
        self.assertEqual(module.calls[0], ("verify_user", "ann", "secret"))
        module.answers["prepare_enter_room"] = 301
        self.assertEqual(self.ask(entry()), [Verdict(ResultCode.ROOM_PASSERR)])
        module.answers["prepare_enter_room"] = 0
        self.assertEqual(self.ask(entry()), [Verdict(OK)])
        self.assertEqual(module.calls[-1], ("prepare_enter_room", 7, 3, "Room 3", ""))

    def test_wrongVerdicts(self):
        """What is no verdict is answered with 206, and lets nobody in."""
        module = self.load()
        for question, name, values in (
            (
                ann,
                "verify_user",
                [
                    *(None, False, True, 0, "0", -1, 2**32, 0.0, [0, 7], object()),
                    *((), (0, "7"), (0, 7, 0, 5), (0, 7, 0, "n", 1)),
                    *((False, 7), (0.0, 7)),
                ],
            ),
            (entry, "prepare_enter_room", [None, False, True, "", -1, (0, 7), 0.0]),
        ):
            for value in values:
                module.answers[name] = value
                self.assertEqual(self.ask(question()), [Verdict(FAIL)], repr(value))
                # A line for each of them would be too many.
                self.reactor.advance(20)
                self.assertIn(f"{name}: ", self.log.pop())
        self.assertEqual(self.count("failures"), 23)

    def test_impossibleId(self):
        """An id that nobody can have is 205, as the core has it."""
        module = self.load()
        module.answers["verify_user"] = (0, 0)
        self.assertEqual(self.ask(), [Verdict(ResultCode.INVALID_USERID)])
        self.assertIn("verify_user: the user_id is 0, allowed is 1 to", self.log[-1])

    def test_exceptions(self):
        """A hook that raises costs its question alone."""
        module = self.load()
        module.answers["verify_user"] = ZeroDivisionError("bug")
        self.assertEqual(self.ask(), [Verdict(FAIL)])
        self.assertEqual(self.failures(), ["bug"])
        module.answers["verify_user"] = (0, 7)
        self.assertEqual(self.ask(), [Verdict(OK, 7)])

    def test_exit(self):
        """Nor does one that wants to end the server."""
        module = self.load()

        def leave(*values):
            raise SystemExit(3)

        module.answers["verify_user"] = leave
        self.assertEqual(self.ask(), [Verdict(FAIL)])
        self.assertEqual(self.failures(), ["3"])

    def test_later(self):
        """A Deferred and a coroutine are waited for."""
        module = self.load()
        asked = Deferred()

        async def verify(name, password):
            return await asked

        module.answers["verify_user"] = verify
        first = self.ask()
        module.answers["verify_user"] = later = Deferred()
        second = self.ask()
        self.assertEqual((first, second), ([], []))
        self.assertEqual(self.count("questions_open"), 2)
        later.callback(200)
        asked.callback((0, 9))
        self.assertEqual(first, [Verdict(OK, 9)])
        self.assertEqual(second, [Verdict(ResultCode.CERTIFY_FAIL)])
        self.assertEqual(self.count("questions_open"), 0)
        self.assertEqual(self.count("questions_answered"), 2)

    def test_tooLate(self):
        """No verdict within AnswerTimeout: 207, and a late one is for nobody."""
        module = self.load()
        cancelled = []
        module.answers["verify_user"] = later = Deferred(cancelled.append)
        verdicts = self.ask()
        self.reactor.advance(4.9)
        self.assertEqual(verdicts, [])
        self.reactor.advance(0.1)
        self.assertEqual(verdicts, [Verdict(TIMEOUT)])
        self.assertEqual(cancelled, [later])
        self.assertIn("gave no verdict on verify_user in 5 s", self.log[-1])
        self.assertEqual(self.count("questions_timeout"), 1)
        self.assertEqual(self.count("questions_answered"), 0)

    def test_lateFailure(self):
        """A failure that comes too late is logged, and that is all."""
        module = self.load()
        module.answers["verify_user"] = later = Deferred()
        verdicts = self.ask()
        self.reactor.advance(5)
        later.errback(ZeroDivisionError("late"))
        self.assertEqual(verdicts, [Verdict(TIMEOUT)])

    def test_withdrawn(self):
        """What a hook has begun goes on, and is answered."""
        module = self.load()
        module.answers["verify_user"] = later = Deferred()
        question = ann()
        verdicts = self.ask(question)
        self.filter.withdraw(question)
        self.assertEqual(verdicts, [])
        later.callback((0, 9))
        self.assertEqual(verdicts, [Verdict(OK, 9)])

    def test_tooMany(self):
        """So many may wait; those beyond are answered at once."""
        module = self.load()
        self.patch(sys.modules["anychat.filters.plug_in"], "MAX_QUESTIONS", 2)
        module.answers["verify_user"] = lambda *_: Deferred()
        open_ones = [self.ask(), self.ask()]
        self.assertEqual(self.ask(), [Verdict(TIMEOUT)])
        self.assertEqual(self.count("questions_refused"), 1)
        self.assertEqual(open_ones, [[], []])

    def test_stop(self):
        """At the end all who wait get 206, and so does who asks then."""
        module = self.load()
        module.answers["verify_user"] = lambda *_: Deferred()
        verdicts = self.ask()
        self.stop()
        self.assertEqual(verdicts, [Verdict(FAIL)])
        self.assertEqual(self.ask(), [Verdict(FAIL)])
        self.filter.tell(LOGIN)
        self.assertEqual(
            [name for name, *_ in module.calls], ["verify_user", "release_filter"]
        )


class EventTests(PythonFilterTestCase):
    """What a plug-in is told."""

    def test_arguments(self):
        """Each event comes with the arguments of its hook."""
        module = self.load()
        for event in (
            LOGIN,
            OnUserEnterRoomAction(7, 3),
            OnRecvUserTextMsg(3, 7, -1, True, "hi"),
            OnRecvUserFilterData(7, b"\0data"),
            OnUserLeaveRoomAction(7, 3),
            LOGOUT,
        ):
            self.filter.tell(event)
        self.assertEqual(
            module.calls,
            [
                ("on_user_login_action", 7, "ann", 2, "10.0.0.1", 1),
                ("on_user_enter_room_action", 7, 3),
                ("on_recv_user_text_msg", 3, 7, -1, True, "hi"),
                ("on_recv_user_filter_data", 7, b"\0data"),
                ("on_user_leave_room_action", 7, 3),
                ("on_user_logout_action", 7),
            ],
        )
        self.assertEqual(self.count("events"), 6)

    def test_otherEvents(self):
        """What SDK Filter Plus has no hook for is nothing to it."""
        module = self.load()
        self.assertEqual(self.filter.tell(OnTransBuffer(7, b"x")), FAIL)
        self.assertEqual(module.calls, [])
        self.assertEqual(self.filter.tell(OnRecvUserFilterData(7, b"x")), OK)

    def test_exceptions(self):
        """A hook that raises, at once or later, costs a traceback in the log."""
        module = self.load()
        module.answers["on_user_login_action"] = KeyError("now")
        self.filter.tell(LOGIN)

        async def fail(*values):
            raise KeyError("later")

        module.answers["on_user_logout_action"] = fail
        self.filter.tell(LOGOUT)
        self.assertEqual(self.failures(), ["'now'", "'later'"])
        self.assertEqual(self.count("failures"), 2)


class SendTests(PythonFilterTestCase):
    """What a plug-in sends."""

    def setUp(self):
        super().setUp()
        self.module = self.load()

    def login(self, user_id=7):
        """A user signs in; the handle."""
        self.filter.tell(OnUserLoginAction(user_id, "name", 0, "::1"))
        return self.module.calls[-1][-1]

    def test_inHook(self):
        """From inside the hook that brings the handle, and at any time later."""
        self.module.answers["on_user_login_action"] = lambda *values: self.module.send(
            values[0], values[-1], b"welcome"
        )
        handle = self.login()
        self.module.send(7, handle, bytearray(b"later"))
        self.assertEqual(self.owner.sent(), [(7, b"welcome"), (7, b"later")])
        self.assertEqual(self.count("sends"), 2)

    def test_stale(self):
        """A handle of a session that is over, or of somebody else, sends nothing."""
        handle = self.login()
        other = self.login(-2)
        self.module.send(7, other, b"x")
        self.module.send(8, handle, b"x")
        self.module.send(7, 0, b"x")
        self.filter.tell(LOGOUT)
        self.module.send(7, handle, b"x")
        again = self.login()
        self.module.send(7, handle, b"x")
        self.assertEqual(self.owner.sent(), [])
        self.assertEqual(self.count("sends_stale"), 5)
        self.module.send(7, again, b"x")
        self.assertEqual(self.owner.sent(), [(7, b"x")])

    def test_loginAgain(self):
        """Handles are told anew with every login."""
        first = self.login()
        self.filter.tell(LOGOUT)
        self.assertNotEqual(self.login(), first)

    def test_lengths(self):
        """1 to 60,000 bytes; anything else is a line in the log."""
        handle = self.login()
        for size in (0, 60_001):
            self.reactor.advance(20)
            self.module.send(7, handle, bytes(size))
            self.assertIn(f"{size} bytes, allowed is 1 to 60000", self.log[-1])
        self.assertEqual(self.owner.sent(), [])
        self.module.send(7, handle, bytes(60_000))
        self.assertEqual(self.owner.sent(), [(7, bytes(60_000))])

    def test_wrongTypes(self):
        """A mistake in the plug-in is an exception in the plug-in."""
        handle = self.login()
        for arguments in ((7, handle, "text"), (7, handle, 5), ("7", handle, b""),
                          (7, [], b"x"), (7, handle, None)):  # fmt: skip
            self.assertRaises(TypeError, self.module.send, *arguments)

    def test_refused(self):
        """What the core refuses is counted, and said."""
        handle = self.login()
        self.owner.answer = Answer(ResultCode.INVALID_USERID)
        self.module.send(7, handle, b"x")
        self.assertEqual(self.count("sends_refused"), 1)
        self.assertIn("cannot send to a user: 205", self.log[-1])

    def test_threads(self):
        """From other threads it arrives in the server's own, in order."""
        handle = self.login()

        def send_often(number):
            for at in range(100):
                self.module.send(7, handle, b"%d %d" % (number, at))

        threads = [threading.Thread(target=send_often, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.owner.sent(), [])
        rounds = 0
        while self.reactor.take_from_threads():
            rounds += 1
        self.assertEqual(rounds, 2)  # 256 of them at once
        sent = [data.decode().split() for _, data in self.owner.sent()]
        self.assertEqual(len(sent), 400)
        for number in range(4):
            own = [int(at) for sender, at in sent if int(sender) == number]
            self.assertEqual(own, list(range(100)))

    def test_threadsAreBounded(self):
        """What the server does not come to is lost, counted and said."""
        handle = self.login()
        for name, limit in (("MAX_WAITING_SENDS", 2), ("MAX_WAITING_BYTES", 20)):
            self.patch(python, name, limit)
            with self.subTest(name):
                thread = threading.Thread(
                    target=lambda: [
                        self.module.send(7, handle, bytes(9)) for _ in range(5)
                    ]
                )
                thread.start()
                thread.join()
                self.reactor.advance(20)
                self.reactor.take_from_threads()
                self.assertEqual(self.owner.sent(), [(7, bytes(9))] * 2)
                self.assertIn("3 messages of its threads are lost", self.log[-1])
        self.assertEqual(self.count("sends_lost"), 6)

    def test_threadAfterTheEnd(self):
        """A thread that goes on when the server ends reaches nobody."""
        handle = self.login()
        self.stop()
        thread = threading.Thread(target=self.module.send, args=(7, handle, b"x"))
        thread.start()
        thread.join()
        self.reactor.take_from_threads()
        self.assertEqual(self.owner.sent(), [])


class ReleaseTests(PythonFilterTestCase):
    """The end."""

    def stopping(self):
        """Stop; a list that says when that is through."""
        stopped = []
        self.filter.stopService().addCallback(stopped.append)
        return stopped

    def test_release(self):
        """The plug-in is told at the end, once."""
        module = self.load()
        self.assertEqual(len(self.stopping()), 1)
        self.assertEqual(module.calls, [("release_filter",)])

    def test_patience(self):
        """It may take its time for it, but not too much."""
        module = self.load()
        module.answers["release_filter"] = Deferred()
        stopped = self.stopping()
        self.reactor.advance(1.9)
        self.assertEqual(stopped, [])
        self.reactor.advance(0.1)
        self.assertEqual(len(stopped), 1)
        self.failures()

    def test_exception(self):
        """One that raises then holds nobody up."""
        module = self.load()
        module.answers["release_filter"] = KeyError("end")
        self.assertEqual(len(self.stopping()), 1)
        self.assertEqual(self.failures(), ["'end'"])

    def test_neverLoaded(self):
        """One that was never in use is not released."""
        self.load("def verify_user(*_): ...\n"
                  "def init_filter(send): return 0\n"
                  "def release_filter(): 1 / 0")  # fmt: skip
        self.assertEqual(len(self.stopping()), 1)


class SampleTests(PythonFilterTestCase):
    """etc/samples/welcome_filter.py."""

    def test_sample(self):
        """It does what it says."""
        module = self.start(str(SAMPLES / "welcome_filter.py"))
        self.assertIn("ver:welcome_filter.py 1.0", self.log[0])
        self.patch(module, "deferToThread", maybeDeferred)
        for name, password, verdict in (
            ("alice", "wonderland", Verdict(OK, 1001, 5, "Alice")),
            ("alice", "builder", Verdict(ResultCode.CERTIFY_FAIL)),
            ("bob", "builder", Verdict(OK, 1002, 0, "Bob")),
            ("nobody", "", Verdict(ResultCode.CERTIFY_FAIL)),
        ):
            self.assertEqual(self.ask(VerifyUser(name, password)), [verdict])
        for room, password, code in (
            (1, "", OK),
            (1000, "", ResultCode.ROOM_PASSERR),
            (1000, "open sesame", OK),
        ):
            question = PrepareEnterRoom(7, room, "r", password)
            self.assertEqual(self.ask(question), [Verdict(code)])
        for event in (
            LOGIN,
            OnUserEnterRoomAction(7, 3),
            OnRecvUserTextMsg(3, 7, -1, True, "hi"),
            OnRecvUserFilterData(7, b"echo"),
            OnUserLeaveRoomAction(7, 3),
            LOGOUT,
            LOGOUT,
        ):
            self.filter.tell(event)
        self.assertEqual(self.owner.sent(), [(7, b"Welcome, ann!"), (7, b"echo")])
        self.assertEqual(module.handles, {})
        self.stop()
