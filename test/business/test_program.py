"""Whatever the program's code does, it comes to an end and disturbs nothing."""

import asyncio
import functools
from asyncio import CancelledError

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.callbacks import CALLBACKS, NAMES, NOTICES, Callbacks
from anychat.business.complaints import MAX_KINDS
from anychat.business.program import (
    LATE,
    STOPPED,
    Fault,
    Program,
    check_callback,
    check_options,
    misspelt,
    unanswered,
)
from anychat.business_messages import BusinessMessage, Event, OnlineUsers, Question
from anychat.codes import ResultCode
from anychat.errors import Refused
from test.business.bench import Lines


class CallbacksTests(SynchronousTestCase):
    """The list of callbacks."""

    def test_everyMessage(self):
        """Every question and event has a callback, with its fields as arguments."""
        # By their names: a dataclass with slots replaces the class that it was.
        messages = (*Question.__subclasses__(), *Event.__subclasses__())
        self.assertEqual(
            {callback.message.__name__ for callback in CALLBACKS},
            {message.__name__ for message in messages},
        )
        for callback in CALLBACKS:
            if callback.message is OnlineUsers:
                continue  # put together of portions
            method = getattr(Callbacks, callback.method)
            fields = tuple(callback.message.__dataclass_fields__)
            arguments = method.__code__.co_varnames[1 : method.__code__.co_argcount]
            self.assertEqual(arguments, fields, callback.method)
            values = callback.message(*range(len(fields)))
            self.assertEqual(callback.arguments(values), tuple(range(len(fields))))

    def test_names(self):
        """Every method of `Callbacks` is in the list."""
        methods = {name for name in vars(Callbacks) if not name.startswith("_")}
        self.assertEqual(set(NAMES), methods)
        self.assertEqual(len(NAMES), len(set(NAMES)))

    def test_unused(self):
        """A program without callbacks wants nothing."""
        program = Program(Callbacks(), Clock(), Lines(), 10)
        self.assertEqual(program.wanted(Question) | program.wanted(Event), frozenset())

    def test_wanted(self):
        """What a program overrides is what it wants; the connection is nobody's."""

        class Shop(Callbacks):
            def verify_user(self, name, password):
                pass

            def on_user_login_action(self, *everything):
                pass

            on_connected = staticmethod(print)

        shop = Shop()
        shop.on_online_users = lambda users: None
        program = Program(shop, Clock(), Lines(), 10)
        self.assertEqual(program.wanted(Question), {"VerifyUser"})
        self.assertEqual(program.wanted(Event), {"OnUserLoginAction", "OnlineUsers"})
        self.assertTrue(
            all(issubclass(kind, BusinessMessage) for kind in program.functions())
        )
        self.assertIn("on_connected", NOTICES)

    def test_arguments(self):
        """A callback that cannot take its arguments is told at the start."""

        class Shop(Callbacks):
            def verify_user(self, name):
                pass

        error = self.assertRaises(TypeError, Program, Shop(), Clock(), Lines(), 10)
        self.assertEqual(
            str(error), "the callback verify_user is called with (name, password)"
        )

    def test_check(self):
        """Functions of all kinds, and a name that is none."""
        check_callback("verify_user", lambda *values: 200)
        check_callback("verify_user", functools.partial(lambda a, b, c: 200, 1))
        check_callback("on_connected", dict)
        error = self.assertRaises(TypeError, check_callback, "verify_user", 5)
        self.assertEqual(str(error), "the callback verify_user is 5, and no function")
        error = self.assertRaises(ValueError, check_callback, "verifyuser", print)
        self.assertEqual(
            str(error), "there is no callback verifyuser (is verify_user meant?)"
        )

    def test_misspelt(self):
        """A method that is nearly a callback is told; others are the program's."""

        class Shop(Callbacks):
            def on_user_login_acton(self):
                pass

            def on_timer(self):
                pass

            def connected(self):
                pass

        self.assertEqual(
            misspelt(Shop()),
            [
                "on_user_login_acton is no callback and is never called"
                " (is on_user_login_action meant?)"
            ],
        )

    def test_unanswered(self):
        """Who answers logins and not rooms is told what comes of it."""

        class Shop(Callbacks):
            def verify_user(self, name, password):
                pass

        shop = Shop()
        (line,) = unanswered(Program(shop, Clock(), Lines(), 10))
        self.assertIn("no prepare_enter_room", line)
        shop.prepare_enter_room = lambda *values: 0
        self.assertEqual(unanswered(Program(shop, Clock(), Lines(), 10)), [])
        self.assertEqual(unanswered(Program(Callbacks(), Clock(), Lines(), 10)), [])

    def test_options(self):
        """Times and numbers that can be used, and others."""
        check_options(threads=1, side_by_side=10_000, call_timeout=0.1)
        for name, value in (
            ("threads", 0),
            ("threads", -1),
            ("threads", "x"),
            ("threads", 1.5),
            ("threads", True),
            ("side_by_side", 10_001),
            ("call_timeout", 0),
            ("call_timeout", -1),
            ("call_timeout", "x"),
            ("call_timeout", None),
            ("call_timeout", float("nan")),
            ("callback_timeout", float("inf")),
        ):
            error = self.assertRaises(ValueError, check_options, **{name: value})
            self.assertIn(f"{name} is {value!r}, allowed is ", str(error))


class ExecutionTests(SynchronousTestCase):
    """One callback after the other."""

    def setUp(self):
        """A program with callbacks that have 10 seconds."""
        self.clock, self.lines, self.results = Clock(), Lines(), []
        self.program = Program(Callbacks(), self.clock, self.lines, 10)

    def run_callback(self, function, *arguments):
        """Have it called."""
        self.program.execute("verify_user", function, arguments, self.results.append)

    def take(self):
        """What came of callbacks since the last call."""
        results, self.results[:] = list(self.results), []
        return results

    def test_values(self):
        """Plain values, Deferreds, coroutines and other awaitables."""

        async def coroutine():
            return await succeed(3)

        class Awaitable:
            def __await__(self):
                return (yield from succeed(4).__await__())

        for function in (
            lambda: 1,
            lambda: succeed(2),
            coroutine,
            Awaitable,
            lambda: None,
            lambda: "text",
        ):
            self.run_callback(function)
        self.assertEqual(self.take(), [1, 2, 3, 4, None, "text"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_later(self):
        """A Deferred that fires later."""
        waited = Deferred()
        self.run_callback(lambda: waited)
        self.assertEqual((self.take(), len(self.program.executions)), ([], 1))
        waited.callback(5)
        self.assertEqual((self.take(), len(self.program.executions)), ([5], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_raises(self):
        """An exception, at once or later, is logged with the callback's name."""

        async def coroutine():
            raise KeyError("k")

        for function in (lambda: 1 / 0, lambda: fail(OSError("x")), coroutine):
            self.run_callback(function)
            self.clock.advance(1)
        self.assertEqual(
            self.take(),
            [
                Fault(f"verify_user raised {kind}")
                for kind in ("ZeroDivisionError", "OSError", "KeyError")
            ],
        )
        self.assertEqual(
            self.lines.take(),
            [
                "verify_user failed (ZeroDivisionError)",
                "verify_user failed (OSError)",
                "verify_user failed (KeyError)",
            ],
        )
        self.assertEqual(self.program.failed, 3)

    def test_refused(self):
        """A call's refusal that the program does not catch is a line, no traceback."""
        self.run_callback(lambda: fail(Refused(ResultCode.INVALID_USERID)))
        self.assertEqual(self.take(), [Fault("verify_user raised Refused")])
        self.assertEqual(
            self.lines.take(),
            ["Warning:verify_user failed: 205 INVALID_USERID: user id unknown"],
        )

    def test_floodOfFaults(self):
        """The same fault is a line a second, and what came meanwhile is owned to."""

        def divide():
            return 1 / 0

        for _ in range(100):
            self.run_callback(divide)
        self.assertEqual(len(self.lines.take()), 1)
        self.clock.advance(1)
        line = "Warning:verify_user failed: ZeroDivisionError"
        self.assertEqual(self.lines.take(), [f"{line} (99 times more)"])
        self.run_callback(divide)
        self.assertEqual(self.lines.take(), [])
        self.program.stop()
        self.assertEqual(self.lines.take(), [f"{line} (once more)"])
        self.assertEqual(self.program.failed, 101)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_differentFaults(self):
        """One fault does not hide another one; numbers alone are no difference."""
        for code in (ResultCode.FUNCOPTERROR, ResultCode.INVALID_USERID):
            for number in (1, 2):
                error = Refused(code, f"user {number}")
                self.run_callback(fail, error)
        self.program.complaints("verify_user", "failed: 7 was returned")
        self.program.complaints("prepare_enter_room", "failed: 7 was returned")
        self.assertEqual(
            self.lines.take(),
            [
                "Warning:verify_user failed: 21 FUNCOPTERROR: bad parameters: user 1",
                "Warning:verify_user failed: 205 INVALID_USERID: user id unknown: "
                "user 1",
                "Warning:verify_user failed: 7 was returned",
                "Warning:prepare_enter_room failed: 7 was returned",
            ],
        )
        self.program.stop()

    def test_manyFaults(self):
        """No more than so many different faults are remembered."""
        for letter in range(1000):
            self.program.complaints("verify_user", f"failed: {chr(0x4E00 + letter)}")
        self.assertEqual(len(self.program.complaints._faults), MAX_KINDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_place(self):
        """A call's refusal is told with the line of the program that it came to."""

        async def callback():
            await fail(Refused(ResultCode.INVALID_USERID, "send_buf_to_user"))

        self.run_callback(callback)
        (line,) = self.lines.take()
        self.assertRegex(
            line,
            r"^Warning:verify_user failed \(test_program.py, line \d+\): 205 "
            "INVALID_USERID: user id unknown: send_buf_to_user$",
        )

    def test_exits(self):
        """What would end a program is a fault of the callback, like any other."""
        for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError):

            def plain(kind=kind):
                raise kind("x")

            async def coroutine(kind=kind):
                raise kind("x")

            def later(kind=kind):
                return succeed(None).addCallback(lambda _: plain(kind))

            for function in (plain, coroutine, later):
                self.run_callback(function)
                self.assertEqual(
                    self.take(), [Fault(f"verify_user raised {kind.__name__}")]
                )
        self.program.stop()

    def test_exitOfACanceller(self):
        """The same where a callback that is given up does so."""

        def canceller(deferred):
            raise SystemExit

        self.run_callback(lambda: Deferred(canceller))
        self.clock.advance(10)
        self.assertEqual(self.take(), [LATE])
        self.program.stop()

    def test_blocking(self):
        """A callback that keeps the reactor's thread is told so."""
        self.run_callback(lambda: self.clock.advance(0.9))
        self.assertEqual(self.lines.take(), [])
        self.run_callback(lambda: self.clock.advance(8))
        self.assertEqual(
            self.lines.take(),
            [
                "Warning:verify_user kept everything else waiting for 8 s: what takes "
                "long must not be done in the reactor's thread"
            ],
        )

    def test_lessTime(self):
        """A callback may have less time than all have, and never has more."""
        for time, limit in ((3, 3), (30, 10)):
            self.program.execute("verify_user", Deferred, (), self.results.append, time)
            self.clock.advance(limit - 0.1)
            self.assertEqual(self.take(), [])
            self.clock.advance(0.1)
            self.assertEqual(self.take(), [LATE])
        self.program.stop()

    def test_future(self):
        """A Future of asyncio is waited for, too."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        future = loop.create_future()
        self.run_callback(lambda: future)
        future.set_result(5)
        loop.run_until_complete(asyncio.sleep(0))
        self.assertEqual(self.take(), [5])

    def test_neverDone(self):
        """What is not done in time is cancelled, logged and counted."""
        cancelled = []
        self.run_callback(lambda: Deferred(cancelled.append))
        self.clock.advance(9.9)
        self.assertEqual(self.take(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.take(), [LATE])
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(
            self.lines.take(),
            ["Warning:verify_user was not done in 10 s and is given up"],
        )
        self.assertEqual(self.program.given_up, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_coroutineCancelled(self):
        """A coroutine that is given up can tidy up."""
        tidied = []

        async def coroutine():
            try:
                await Deferred()
            finally:
                tidied.append(True)

        self.run_callback(coroutine)
        self.clock.advance(10)
        self.assertEqual((self.take(), tidied), ([LATE], [True]))

    def test_firesAfterAll(self):
        """The value of one that was given up is of no interest any more."""
        waited = Deferred(lambda deferred: None)
        self.run_callback(lambda: waited)
        self.clock.advance(10)
        waited.addErrback(lambda failure: None)
        self.assertEqual(self.take(), [LATE])

    def test_cancellerRaises(self):
        """A canceller that raises is logged."""

        def canceller(deferred):
            raise OSError

        self.run_callback(lambda: Deferred(canceller))
        self.clock.advance(10)
        self.clock.advance(1)
        self.assertEqual(self.take(), [LATE])

    def test_stop(self):
        """At the end whatever is not done is given up."""
        self.run_callback(Deferred)
        self.run_callback(Deferred)
        self.program.stop()
        self.assertEqual(self.take(), [STOPPED] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_notice(self):
        """About the connection: called if it is there, and never in the way."""
        seen = []

        class Shop(Callbacks):
            def on_disconnected(self, code, reason):
                seen.append((code, reason))
                raise OSError

        program = Program(Shop(), self.clock, self.lines, 10)
        program.notice("on_connected")
        program.notice("on_disconnected", 101, "gone")
        self.assertEqual(seen, [(101, "gone")])
        self.assertEqual(self.lines.take(), ["on_disconnected failed (OSError)"])
