"""Events and questions reach their callbacks in turn, and answers go back."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.callbacks import Callbacks
from anychat.business.dispatch import Dispatch
from anychat.business.program import Program
from anychat.business_messages import (
    AppMessageEx,
    EventsLost,
    OnlineUsers,
    OnRecvUserTextMsg,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    PrepareEnterRoom,
    Presence,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.verdicts import UserVerdict
from test.business.bench import Lines


class Recording(Callbacks):
    """Notes what it is called for; what it gives is set by the test."""

    def __init__(self):
        self.seen = []
        self.waiting = []
        self.slow = False

    def note(self, *what):
        """Called for that."""
        self.seen.append(what)
        if self.slow:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return None

    def take(self):
        """What was noted since the last call."""
        seen, self.seen[:] = list(self.seen), []
        return seen

    def verify_user(self, name, password):
        """A question."""
        return self.note("verify", name) or UserVerdict(7)

    def prepare_enter_room(self, user_id, room_id, room_name, password):
        """A question."""
        return self.note("prepare", user_id, room_id) or 0

    def on_user_login_action(self, user_id, name, level, ip):
        """An event."""
        return self.note("login", user_id)

    def on_user_enter_room_action(self, user_id, room_id):
        """An event."""
        return self.note("enter", user_id, room_id)

    def on_recv_user_text_msg(self, room_id, source_id, target_id, secret, text):
        """An event."""
        return self.note("text", source_id, text)

    def on_app_message_ex(self, message, error, server_id):
        """Of all users."""
        return self.note("app", message, int(error))

    def on_online_users(self, users):
        """Of all users."""
        return self.note("online", [user.user_id for user in users])

    def on_events_lost(self, count):
        """Of all users."""
        return self.note("lost", count)


def presences(*ids):
    """Users who are there."""
    return tuple(Presence(user_id, "", 0, "", 0) for user_id in ids)


class DispatchTests(SynchronousTestCase):
    """A program between a core's events and its acknowledgements."""

    def setUp(self):
        """A program that is connected."""
        self.clock, self.lines, self.number = Clock(), Lines(), 0
        self.callbacks = Recording()
        self.program = Program(self.callbacks, self.clock, self.lines, 10)
        self.progress = []
        self.dispatch = Dispatch(
            self.program,
            lambda: self.progress.append(self.dispatch.through),
            maximum=20,
            side_by_side=5,
        )
        self.dispatch.connected(None, 5)

    def tell(self, *events):
        """Tell, with the next numbers."""
        for event in events:
            self.number += 1
            self.dispatch.tell(event, self.number)

    def ask(self, question):
        """Ask; a list that the verdict comes into."""
        verdicts = []
        asking = self.dispatch.ask(question)
        asking.addErrback(lambda failure: str(failure.value))
        asking.addCallback(verdicts.append)
        return verdicts

    def fire(self, value=None):
        """The oldest callback under way is done."""
        self.callbacks.waiting.pop(0).callback(value)

    def test_atOnce(self):
        """Callbacks that return at once are called in the order of events."""
        self.tell(
            OnUserLoginAction(7, "ann", 0, "::1"),
            OnUserEnterRoomAction(7, 1),
            OnRecvUserTextMsg(1, 7, -1, False, "hello"),
        )
        self.assertEqual(
            self.callbacks.take(), [("login", 7), ("enter", 7, 1), ("text", 7, "hello")]
        )
        self.assertEqual((self.dispatch.through, self.dispatch.waiting), (3, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_inTurn(self):
        """One user's callbacks do not overlap, another's do not wait."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"), OnUserEnterRoomAction(7, 1))
        self.tell(OnUserLoginAction(8, "bob", 0, "::1"))
        self.assertEqual(self.callbacks.take(), [("login", 7), ("login", 8)])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])
        self.assertEqual(self.dispatch.through, 1)
        self.fire()
        self.fire()
        self.assertEqual(self.dispatch.through, 3)

    def test_questionAmongEvents(self):
        """A question of a user waits for what he did before, and the next for it."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        verdicts = self.ask(PrepareEnterRoom(7, 1, "", "secret"))
        self.tell(OnUserEnterRoomAction(7, 1))
        self.assertEqual(self.callbacks.take(), [("login", 7)])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("prepare", 7, 1)])
        self.fire(305)
        self.assertEqual(verdicts, [Verdict(ResultCode.ROOM_REJECT)])
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])

    def test_verdicts(self):
        """What a callback gives is what the core is told."""
        self.assertEqual(
            self.ask(VerifyUser("ann", "x")), [Verdict(ResultCode.SUCCESS, 7)]
        )
        self.assertEqual(
            self.ask(PrepareEnterRoom(7, 1, "", "")), [Verdict(ResultCode.SUCCESS)]
        )

    def test_fault(self):
        """A callback that raises means "unavailable", and the next goes on."""
        self.callbacks.slow = True
        verdicts = self.ask(VerifyUser("ann", "x"))
        self.callbacks.waiting.pop().errback(OSError("secret"))
        (verdict,) = verdicts
        self.assertTrue(verdict.startswith("206 SERVERSDK_FAIL: "))
        self.assertTrue(verdict.endswith(": verify_user raised OSError"))
        self.assertEqual(self.lines.take(), ["verify_user failed (OSError)"])

    def test_wrongValue(self):
        """A value that is no answer means "unavailable", with a line that says why."""
        self.callbacks.slow = True
        verdicts = self.ask(VerifyUser("ann", "x"))
        self.fire(None)
        (verdict,) = verdicts
        self.assertTrue(verdict.startswith("206 SERVERSDK_FAIL: "))
        self.assertIn(": verify_user: a NoneType was returned", verdict)
        (line,) = self.lines.take()
        self.assertEqual(
            line,
            "Warning:verify_user failed: a NoneType was returned where a UserVerdict "
            "or a code that is not 0 is wanted",
        )
        self.assertEqual(self.program.wrong, 1)

    def test_tooLate(self):
        """A question whose callback is never done is answered with 207."""
        self.callbacks.slow = True
        verdicts = self.ask(VerifyUser("ann", "x"))
        self.clock.advance(10)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])

    def test_loginsSideBySide(self):
        """Logins of one name do not wait for each other."""
        self.callbacks.slow = True
        for _ in range(3):
            self.ask(VerifyUser("ann", "x"))
        self.assertEqual(self.callbacks.take(), [("verify", "ann")] * 3)

    def test_expired(self):
        """A question that has not begun when the core waits no longer is dropped."""
        self.callbacks.slow = True
        first = [self.ask(VerifyUser(f"eve{n}", "x")) for n in range(5)]
        self.clock.advance(1)
        waiting = [self.ask(VerifyUser("ann", "x")) for _ in range(10)]
        self.assertEqual(len(self.callbacks.take()), 5)
        self.clock.advance(4)  # the first five are given up, others have begun
        late = Verdict(ResultCode.SERVERSDK_TIMEOUT)
        self.assertEqual(first, [[late]] * 5)
        self.assertEqual(len(self.callbacks.take()), 5)
        self.clock.advance(1)
        self.assertEqual(waiting, [[late]] * 10)
        self.assertEqual(self.callbacks.take(), [])
        self.assertEqual((self.program.given_up, self.program.expired), (10, 5))
        self.callbacks.slow = False
        self.assertEqual(
            self.ask(VerifyUser("bob", "x")), [Verdict(ResultCode.SUCCESS, 7)]
        )
        self.assertEqual(self.dispatch.waiting, 0)
        self.program.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn(
            "Warning:verify_user was not called: for 5 s others were under way, and "
            "the core waits no longer",
            self.lines.take(),
        )

    def test_expiredInALane(self):
        """What comes after a dropped question in its lane has its turn."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        verdicts = self.ask(PrepareEnterRoom(7, 1, "", ""))
        self.clock.advance(5)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        self.tell(OnUserEnterRoomAction(7, 2))
        self.assertEqual(self.callbacks.take(), [("login", 7)])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("enter", 7, 2)])
        self.fire()
        self.assertEqual((self.dispatch.through, self.dispatch.waiting), (2, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_expiredBehindABlockedReactor(self):
        """The same where the reactor was kept, and no timer could tell it."""
        asked = []

        def verify_user(name, password):
            asked.append(name)
            if name == "slow":
                late.extend((self.ask(VerifyUser("ann", "x")),))
                self.clock.rightNow += 5
            return 200

        late = []
        self.callbacks.verify_user = verify_user
        program = Program(self.callbacks, self.clock, self.lines, 10)
        self.dispatch = Dispatch(program, lambda: None)
        self.dispatch.connected(None, 5)
        self.ask(VerifyUser("slow", "x"))
        self.assertEqual(asked, ["slow"])
        self.assertEqual(late, [[Verdict(ResultCode.SERVERSDK_TIMEOUT)]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_questionsWithoutEnd(self):
        """However many are dropped while nothing moves, room is left for more."""
        self.callbacks.slow = True
        for n in range(5):
            self.tell(OnUserLoginAction(n + 1, "ann", 0, "::1"))
        for _ in range(5):
            for _ in range(15):
                self.ask(VerifyUser("ann", "x"))
            self.clock.advance(1.9)
            self.clock.advance(3.1)
        self.assertEqual(self.program.expired, 75 - 3 * 5)

    def test_restOfTheTime(self):
        """A question that waited for its turn has only the rest of its time."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        verdicts = self.ask(PrepareEnterRoom(7, 1, "", ""))
        self.clock.advance(3)
        self.fire()
        self.assertEqual(len(self.callbacks.waiting), 1)
        self.clock.advance(1.9)
        self.assertEqual(verdicts, [])
        self.clock.advance(0.1)
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_TIMEOUT)])
        self.assertEqual(
            self.lines.take(),
            ["Warning:prepare_enter_room was not done in 2 s and is given up"],
        )

    def test_hangingUser(self):
        """A user whose callbacks all hang holds up the acknowledgement for a while."""
        self.callbacks.slow = True
        self.tell(*[OnUserEnterRoomAction(7, room) for room in range(19)])
        called = []
        for seconds in (10, 5, 2.5, 1.25, 0.625):
            self.clock.advance(seconds)
            called += self.callbacks.take()
        self.assertEqual((self.dispatch.through, len(called)), (5, 6))
        for _ in range(14):
            self.clock.advance(0.4)
        self.assertEqual((self.dispatch.through, self.program.given_up), (19, 19))
        # Whoever had nothing more to say has the whole time again.
        self.tell(OnUserEnterRoomAction(7, 1), OnUserEnterRoomAction(7, 2))
        self.clock.advance(9)
        self.assertEqual(self.dispatch.through, 19)
        self.callbacks.waiting[-1].callback(None)
        self.clock.advance(9)
        self.assertEqual(self.dispatch.through, 20)
        self.program.stop()

    def test_lostWhileQuestionsWait(self):
        """With the connection all that waits for its turn is dropped."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        verdicts = self.ask(PrepareEnterRoom(7, 1, "", ""))
        self.dispatch.disconnected()
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])
        self.assertEqual(self.dispatch.waiting, 1)

    def test_occupied(self):
        """Places that something else takes up are not begun in."""
        self.callbacks.slow = True
        self.dispatch.occupy(5)
        self.tell(*[OnUserEnterRoomAction(user, 1) for user in range(1, 7)])
        self.assertEqual(self.callbacks.take(), [])
        self.dispatch.occupy(3)
        self.assertEqual(len(self.callbacks.take()), 2)
        self.dispatch.occupy(0)
        self.assertEqual(len(self.callbacks.take()), 3)

    def test_exit(self):
        """A callback that would end the program: its event is done, all goes on."""

        def exit(user_id, name, level, ip):
            raise SystemExit("configuration missing")

        self.callbacks.on_user_login_action = exit
        program = Program(self.callbacks, self.clock, self.lines, 10)
        self.dispatch = Dispatch(program, lambda: None)
        self.dispatch.connected(None, 5)
        self.tell(OnUserLoginAction(7, "bad", 0, "::1"), OnUserEnterRoomAction(7, 1))
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])
        self.assertEqual(self.dispatch.through, 2)

    def test_wrongNickname(self):
        """A nickname that cannot be is told, and the user let in."""
        self.callbacks.slow = True
        verdicts = self.ask(VerifyUser("ann", "x"))
        self.fire(UserVerdict(7, 0, "x" * 5000))
        self.assertEqual(verdicts, [Verdict(ResultCode.SUCCESS, 7)])
        self.assertIn("the nickname has 5000 characters", self.lines.take()[0])

    def test_notOverridden(self):
        """What has no callback is done at once, a question "unavailable"."""
        dispatch = Dispatch(
            Program(Callbacks(), self.clock, self.lines, 10), lambda: None
        )
        dispatch.connected(None, 5)
        dispatch.tell(OnUserLeaveRoomAction(7, 1), 1)
        dispatch.tell(OnlineUsers(presences(7), True), 2)
        verdicts = []
        dispatch.ask(VerifyUser("ann", "x")).addCallback(verdicts.append)
        self.assertEqual((dispatch.through, dispatch.waiting), (2, 0))
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])

    def test_unknownEvent(self):
        """An event of a later version is acknowledged."""
        self.tell(None, OnUserEnterRoomAction(7, 1))
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])
        self.assertEqual(self.dispatch.through, 2)

    def test_onlineUsers(self):
        """Portions are one list, after all that came before."""
        self.callbacks.slow = True
        self.tell(
            OnUserLoginAction(7, "ann", 0, "::1"),
            AppMessageEx(10, ResultCode.SUCCESS, 0),
            OnlineUsers(presences(7, 8), False),
            OnlineUsers(presences(9), True),
            OnUserEnterRoomAction(8, 1),
        )
        self.assertEqual(self.callbacks.take(), [("login", 7)])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("app", 10, 0)])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("online", [7, 8, 9])])
        self.fire()
        self.assertEqual(self.callbacks.take(), [("enter", 8, 1)])

    def test_halfAList(self):
        """Portions of a connection that is gone are not mixed with the next one's."""
        self.tell(OnlineUsers(presences(7, 8), False))
        self.dispatch.disconnected()
        self.dispatch.connected(1, 5)
        self.tell(OnlineUsers(presences(9), True))
        self.assertEqual(self.callbacks.take(), [("online", [9])])

    def test_endlessList(self):
        """A list without end is the core's fault."""
        self.patch(Dispatch, "MAX_ONLINE", 3)
        self.tell(OnlineUsers(presences(1, 2, 3), False))
        self.assertRaises(
            PeerError, self.dispatch.tell, OnlineUsers(presences(4), False), 2
        )

    def test_lost(self):
        """That events are gone is told at their place."""
        self.tell(OnUserEnterRoomAction(7, 1), EventsLost(40))
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1), ("lost", 40)])

    def test_backPressure(self):
        """Slow callbacks hold back the acknowledgement; too many are a fault."""
        self.callbacks.slow = True
        self.tell(*[OnUserEnterRoomAction(7, room) for room in range(20)])
        self.assertEqual((self.dispatch.through, self.dispatch.waiting), (0, 20))
        self.assertEqual(len(self.callbacks.take()), 1)
        self.assertRaises(
            PeerError, self.dispatch.tell, OnUserEnterRoomAction(7, 1), 21
        )
        self.assertRaises(PeerError, self.dispatch.ask, VerifyUser("ann", "x"))

    def test_sideBySide(self):
        """No more callbacks are under way than may be."""
        self.callbacks.slow = True
        self.tell(*[OnUserEnterRoomAction(user, 1) for user in range(9)])
        self.assertEqual(len(self.callbacks.waiting), 5)
        self.fire()
        self.assertEqual(len(self.callbacks.waiting), 5)

    def test_questionsOfALostConnection(self):
        """What nobody waits for any more is not asked of the program."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        verdicts = self.ask(PrepareEnterRoom(7, 1, "", ""))
        self.dispatch.disconnected()
        self.fire()
        self.assertEqual(self.callbacks.take(), [("login", 7)])
        self.assertEqual(verdicts, [Verdict(ResultCode.SERVERSDK_FAIL)])

    def test_questionsOfAnEarlierConnection(self):
        """The same where the next connection stands already."""
        self.callbacks.slow = True
        self.tell(OnUserLoginAction(7, "ann", 0, "::1"))
        self.ask(PrepareEnterRoom(7, 1, "", ""))
        self.dispatch.disconnected()
        self.dispatch.connected(0, 5)
        self.fire()
        self.assertEqual(self.callbacks.take(), [("login", 7)])
        self.assertEqual(self.dispatch.waiting, 0)

    def test_toldAgain(self):
        """What had not begun when the core was told `through` comes again, once."""
        self.callbacks.slow = True
        self.tell(OnUserEnterRoomAction(7, 1), OnUserEnterRoomAction(7, 2))
        self.dispatch.disconnected()
        self.dispatch.hold()
        self.fire()
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])
        self.dispatch.connected(0, 5)
        self.dispatch.tell(OnUserEnterRoomAction(7, 1), 1)
        self.dispatch.tell(OnUserEnterRoomAction(7, 2), 2)
        self.fire()
        self.fire()
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1), ("enter", 7, 2)])
        self.assertEqual(self.dispatch.through, 2)

    def test_coreRestarted(self):
        """What a core told that was restarted meanwhile does not come again."""
        self.callbacks.slow = True
        self.tell(OnUserEnterRoomAction(7, 1), OnUserEnterRoomAction(7, 2))
        self.dispatch.disconnected()
        self.dispatch.hold()
        self.fire()
        self.dispatch.connected(None, 5)
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1), ("enter", 7, 2)])
        self.fire()
        self.assertEqual(self.dispatch.through, 0)

    def test_release(self):
        """Where the core was not reached after all, all goes on."""
        self.dispatch.hold()
        self.tell(OnUserEnterRoomAction(7, 1))
        self.assertEqual(self.callbacks.take(), [])
        self.dispatch.release()
        self.assertEqual(self.callbacks.take(), [("enter", 7, 1)])
