"""Whatever the program's code does, it comes to an end and disturbs nothing."""

import functools

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.callbacks import CALLBACKS, NAMES, NOTICES, Callbacks
from anychat.business.program import Fault, Program, check_callback, misspelt
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
        self.assertEqual(self.take(), [Fault.FAILED] * 3)
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
        self.assertEqual(self.take(), [Fault.FAILED])
        self.assertEqual(
            self.lines.take(),
            ["Warning:verify_user failed: 205 INVALID_USERID: user id unknown"],
        )

    def test_floodOfFaults(self):
        """The same callback's faults are one line a second, and are counted."""
        for _ in range(100):
            self.run_callback(lambda: 1 / 0)
        self.assertEqual(len(self.lines.take()), 1)
        self.clock.advance(1)
        self.run_callback(lambda: 1 / 0)
        (line,) = self.lines.take()
        self.assertIn("(99 more faults of it were not logged)", line)
        self.assertEqual(self.program.failed, 101)

    def test_neverDone(self):
        """What is not done in time is cancelled, logged and counted."""
        cancelled = []
        self.run_callback(lambda: Deferred(cancelled.append))
        self.clock.advance(9.9)
        self.assertEqual(self.take(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.take(), [Fault.TOO_LATE])
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
        self.assertEqual((self.take(), tidied), ([Fault.TOO_LATE], [True]))

    def test_firesAfterAll(self):
        """The value of one that was given up is of no interest any more."""
        waited = Deferred(lambda deferred: None)
        self.run_callback(lambda: waited)
        self.clock.advance(10)
        waited.addErrback(lambda failure: None)
        self.assertEqual(self.take(), [Fault.TOO_LATE])

    def test_cancellerRaises(self):
        """A canceller that raises is logged."""

        def canceller(deferred):
            raise OSError

        self.run_callback(lambda: Deferred(canceller))
        self.clock.advance(10)
        self.clock.advance(1)
        self.assertEqual(self.take(), [Fault.TOO_LATE])

    def test_stop(self):
        """At the end whatever is not done is given up."""
        self.run_callback(Deferred)
        self.run_callback(Deferred)
        self.program.stop()
        self.assertEqual(self.take(), [Fault.STOPPED] * 2)
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
