"""UDP traces in the core: who takes part, and who gets whose probes."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, TraceMode
from anychat.core.effects import KeepLog, Reply, RouteTrace
from anychat.core.hall import Hall
from anychat.messages import LeaveRoom, Logout, LogPart, Result, SetUdpTrace
from test.core.driver import DEMO, Driver

OFF, LISTEN, SEND = TraceMode.OFF, TraceMode.LISTEN, TraceMode.SEND


class TracesTests(SynchronousTestCase):
    """`anychat.core.traces`."""

    def setUp(self):
        """Three members of a room."""
        self.driver = Driver()
        self.ann, self.bob, self.cat = self.driver.together("ann", "bob", "cat")

    def trace(self, session, mode, target=0):
        """The routes that follow, by session; the answer must be 0."""
        *effects, answer = self.driver.ask(session, SetUdpTrace(mode, target))
        self.assertEqual(answer, Reply(session, 7, Result(ResultCode.SUCCESS)))
        return {effect.session: effect.receivers for effect in effects}

    def test_toOneself(self):
        """By way of the server."""
        self.assertEqual(self.trace(self.ann, SEND), {self.ann: (self.ann,)})
        own = self.driver.user(self.ann)
        self.assertEqual(self.trace(self.ann, SEND, own), {})
        self.assertEqual(self.trace(self.ann, OFF), {self.ann: None})
        self.assertEqual(self.trace(self.ann, OFF), {})

    def test_toAMember(self):
        """Only when he takes part, and as long as he does."""
        bob = self.driver.user(self.bob)
        self.assertEqual(self.trace(self.ann, SEND, bob), {self.ann: ()})
        self.assertEqual(self.trace(self.bob, LISTEN), {self.ann: (self.bob,)})
        self.assertEqual(self.trace(self.cat, LISTEN), {})
        self.assertEqual(self.trace(self.bob, OFF), {self.ann: ()})

    def test_toTheRoom(self):
        """All who take part, oneself left out."""
        self.assertEqual(self.trace(self.ann, SEND, -1), {self.ann: ()})
        self.trace(self.bob, LISTEN)
        self.assertEqual(
            self.trace(self.cat, SEND, -1),
            {self.ann: (self.bob, self.cat), self.cat: (self.ann, self.bob)},
        )

    def test_leaving(self):
        """It ends with the membership, for both sides."""
        self.trace(self.ann, SEND, -1)
        self.trace(self.bob, SEND, -1)
        for message in (LeaveRoom(1), Logout()):
            self.trace(self.bob, SEND, -1)
            effects = self.driver.ask(self.bob, message)
            routes = [each for each in effects if isinstance(each, RouteTrace)]
            bob = [each.user_id for each in routes if each.session == self.bob]
            self.assertEqual(
                {each.session: each.receivers for each in routes},
                {self.ann: (), self.bob: None},
            )
            self.assertEqual(len(bob), 1)
            if isinstance(message, LeaveRoom):
                self.driver.enter(self.bob)

    def test_refused(self):
        """Not in a room, nobody of that id here, no media."""
        out = self.driver.login("dan")
        plain = self.driver.guest(secure=False)
        self.driver.enter(plain)
        for session, target, code in (
            (out, 0, ResultCode.ROOM_NOTIN),
            (self.ann, 99, ResultCode.INVALID_USERID),
            (self.ann, self.driver.user(out), ResultCode.INVALID_USERID),
            (plain, 0, ResultCode.FUNCNOTALLOW),
        ):
            self.assertEqual(self.driver.code(session, SetUdpTrace(SEND, target)), code)
        self.assertEqual(self.trace(self.ann, LISTEN, 99), {})

    def test_snapshot(self):
        """A snapshot has the parts in it."""
        self.trace(self.ann, SEND, -1)
        self.trace(self.bob, LISTEN)
        copy = Hall(DEMO)
        for change in self.driver.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.driver.state)


class LogTests(SynchronousTestCase):
    """`anychat.core.logs`."""

    def test_part(self):
        """Whoever keeps logs gets it, and answers; nothing of it is kept here."""
        driver = Driver()
        ann = driver.login("ann")
        number = len(driver.journal)
        part = LogPart(0, 3, b"log")
        self.assertEqual(driver.ask(ann, part), [KeepLog(ann, 7, part)])
        self.assertEqual(len(driver.journal), number)

    def test_senseless(self):
        """Empty, or beyond its own length."""
        driver = Driver()
        ann = driver.login("ann")
        for part in (LogPart(0, 3, b""), LogPart(1, 3, b"log")):
            self.assertEqual(driver.code(ann, part), ResultCode.FUNCOPTERROR)
