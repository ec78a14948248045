"""The service that runs the core: order of work, time, and bugs survived."""

from dataclasses import dataclass, replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    GetRoomIdList,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
    Verdict,
    VerifyUser,
)
from anychat.codes import DeviceType, ResultCode, StreamKind
from anychat.core import effects
from anychat.core.commands import (
    Command,
    FilterCall,
    LinkLogin,
    LinkLost,
    RoomEntryPrepared,
    SessionMessage,
    Tick,
    UserVerified,
)
from anychat.core.turn import Decision
from anychat.errors import LocalError
from anychat.messages import (
    LeaveRoom,
    Login,
    Result,
    StreamFormat,
    StreamGranted,
    StreamOpened,
)
from anychat.services.hall import Effects, HallService
from anychat.services.media import StreamKeys


@dataclass(frozen=True)
class Mark:
    """A change, or an effect, that only has a name."""

    name: str


class FakeHall:
    """Decides what the test says, and keeps what it is given."""

    def __init__(self):
        self.decisions = {}
        self.applied = []
        self.commands = []
        self.due = []

    def decide(self, command, now):
        self.commands.append((command, now))
        decision = self.decisions.get(type(command), Decision())
        if isinstance(decision, Exception):
            raise decision
        return decision

    def apply(self, change):
        if change == Mark("does not fit"):
            raise ZeroDivisionError("bug")
        self.applied.append(change)
        if change == Mark("due item done"):
            self.due.pop(0)

    def next_timeout(self):
        return self.due[0] if self.due else None


class Recorder:
    """An executor that keeps the effects, and may do something on one."""

    def __init__(self):
        self.effects = []
        self.finished = []
        """How many effects had been done at each end."""
        self.on = {}

    def execute(self, effect):
        self.effects.append(effect)
        self.on.get(effect, lambda: None)()

    def finish(self):
        """All effects are done."""
        self.finished.append(len(self.effects))


class HallServiceTests(SynchronousTestCase):
    """`HallService` with a core that does as it is told."""

    def setUp(self):
        self.clock = Clock()
        self.hall = FakeHall()
        self.service = HallService(self.hall, self.clock)
        self.executor = Recorder()
        self.service.connect(self.executor)
        self.service.startService()

    def tearDown(self):
        self.service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changesThenEffects(self):
        """Changes are applied and journalled before the effects are done."""
        self.hall.decisions[LinkLost] = Decision((Mark("change"),), (Mark("effect"),))
        seen = []
        self.executor.on[Mark("effect")] = lambda: seen.extend(self.hall.applied)
        self.service.submit(LinkLost(1))
        self.assertEqual(seen, [Mark("change")])
        self.assertEqual(self.service.journal.number, 1)
        self.assertEqual(self.service.journal.since(0)[0].change, Mark("change"))

    def test_commandsOfEffectsWait(self):
        """A command that an effect causes comes after all of its siblings."""
        self.hall.decisions[LinkLost] = Decision((), (Mark("first"), Mark("second")))
        self.hall.decisions[Tick] = Decision((), (Mark("third"),))
        self.executor.on[Mark("first")] = lambda: self.service.submit(Tick())
        self.service.submit(LinkLost(1))
        self.assertEqual(
            self.executor.effects, [Mark("first"), Mark("second"), Mark("third")]
        )

    def test_finish(self):
        """When no command waits any more the executor may cause others."""
        self.hall.decisions[LinkLost] = Decision((), (Mark("first"), Mark("second")))
        self.hall.decisions[Tick] = Decision((), (Mark("third"),))
        self.executor.on[Mark("first")] = lambda: self.service.submit(Tick())
        self.executor.on[Mark("third")] = lambda: self.executor.on.clear()
        self.service.submit(LinkLost(1))
        self.assertEqual(self.executor.finished, [3])
        self.service.submit(Tick())
        self.assertEqual(self.executor.finished, [3, 4])

    def test_bugAtAVerdict(self):
        """Who waits for a verdict that the core cannot work on gets a no instead."""
        failed = Verdict(ResultCode.EXCEPTION)
        for command in (
            UserVerified(1, Verdict(ResultCode.SUCCESS, 7)),
            RoomEntryPrepared(1, 7, Verdict(ResultCode.SUCCESS)),
        ):
            self.hall.commands.clear()
            self.hall.decisions[type(command)] = ZeroDivisionError("bug")
            self.service.submit(command)
            self.assertEqual(
                [command for command, _ in self.hall.commands],
                [command, replace(command, verdict=failed)],
            )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_bugAtACall(self):
        """A call of the plug-in that fails is answered with 5."""
        self.hall.decisions[FilterCall] = ZeroDivisionError("bug")
        self.service.submit(FilterCall(3, GetRoomIdList()))
        self.assertEqual(
            self.executor.effects,
            [effects.AnswerCall(3, Answer(ResultCode.EXCEPTION))],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_bugInTheCore(self):
        """A failing decision answers its request with 5 and costs nothing else."""
        self.hall.decisions[SessionMessage] = ZeroDivisionError("bug")
        self.hall.decisions[LinkLogin] = ZeroDivisionError("bug")
        self.service.submit(SessionMessage(1, 7, LeaveRoom(1)))
        self.service.submit(SessionMessage(1, 0, LeaveRoom(1)))
        self.service.submit(
            LinkLogin(3, 8, Login("a", ""), 2, "127.0.0.1", DeviceType.LINUX, True)
        )
        self.assertEqual(
            self.executor.effects,
            [
                effects.Reply(1, 7, Result(ResultCode.EXCEPTION)),
                effects.RefuseLogin(3, 8, ResultCode.EXCEPTION),
            ],
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(self.hall.applied, [])

    def test_bugInAChange(self):
        """What was folded before a change that fails is in the journal."""
        self.hall.decisions[SessionMessage] = Decision(
            (Mark("change"), Mark("does not fit")), (Mark("effect"),)
        )
        self.service.submit(SessionMessage(1, 7, LeaveRoom(1)))
        self.assertEqual(
            self.executor.effects, [effects.Reply(1, 7, Result(ResultCode.EXCEPTION))]
        )
        entries = self.service.journal.since(0)
        self.assertEqual([entry.change for entry in entries], self.hall.applied)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_bugInAnEffect(self):
        """An effect that fails does not keep the next one from being done."""

        def fail():
            raise ZeroDivisionError("bug")

        self.hall.decisions[LinkLost] = Decision((), (Mark("bad"), Mark("good")))
        self.executor.on[Mark("bad")] = fail
        self.service.submit(LinkLost(1))
        self.assertEqual(self.executor.effects[-1], Mark("good"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_ticks(self):
        """Every item that is due gets a tick of its own, at its time."""
        self.hall.decisions[Tick] = Decision((Mark("due item done"),), ())
        self.hall.due = [10.0, 10.0, 12.0]
        self.service.submit(LinkLost(1))
        self.clock.advance(9)
        self.assertEqual(len(self.hall.commands), 1)
        self.clock.advance(1)
        self.assertEqual(self.hall.commands[1:], [(Tick(), 10.0), (Tick(), 10.0)])
        self.clock.advance(2)
        self.assertEqual(self.hall.commands[3:], [(Tick(), 12.0)])

    def test_timerFollows(self):
        """An earlier time moves the one timer; no time takes it away."""
        self.hall.due = [10.0]
        self.service.submit(LinkLost(1))
        self.hall.due = [4.0]
        self.service.submit(LinkLost(1))
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 4.0)
        self.hall.due = []
        self.service.submit(LinkLost(1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_idleTickIsABug(self):
        """A tick that changes nothing is an error, not repeated forever."""
        self.hall.due = [1.0]
        self.service.submit(LinkLost(1))
        self.assertRaises(LocalError, self.clock.advance, 1)
        self.assertEqual(len(self.hall.commands), 2)

    def test_stopped(self):
        """A stopped service decides nothing."""
        self.service.stopService()
        self.service.submit(Tick())
        self.assertEqual(self.hall.commands, [])


class FakeLinks:
    """Keeps the calls."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


class FakeMedia(FakeLinks):
    """Keeps the calls, and has keys."""

    def open_leg(self, session):
        return f"set-up of {session}"

    def publish(self, session, ssrc, kind):
        self.calls.append(("publish", session, ssrc, kind))
        return b"K" * 16, b"S" * 12

    def subscribe(self, session, ssrc):
        self.calls.append(("subscribe", session, ssrc))
        return StreamKeys(2, 9, b"K" * 16, b"S" * 12)


FORMAT = StreamFormat(96, 90000, 100_000, 320, 240, 15)


class EffectsTests(SynchronousTestCase):
    """What each effect does to links and media."""

    def setUp(self):
        self.links = FakeLinks()
        self.media = FakeMedia()
        self.lines = []
        self.slot = FakeLinks()
        self.effects = Effects(self.links, self.media, self.slot, self.lines.append)

    def test_session(self):
        """A session gets its leg only where the link is encrypted, and loses both."""
        start = effects.StartSession(1, 5, 9, 77, 0, "ann", "192.0.2.1", True)
        plain = effects.StartSession(2, 6, 9, -2, 0, "bob", "::1", False)
        self.effects.execute(start)
        self.effects.execute(plain)
        self.effects.execute(effects.EndSession(1, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(
            self.links.calls,
            [
                ("start_session", start, "set-up of 1"),
                ("start_session", plain, None),
                ("end_session", 1, ResultCode.LOGIN_NEWLOGIN),
            ],
        )
        self.assertEqual(self.media.calls, [("close_leg", 1)])
        self.assertEqual(
            self.lines,
            [
                "User login, userid:77, username:ann, ip:192.0.2.1",
                "User login, userid:-2, username:bob, ip:::1",
                "User logout, userid:77, errorcode:209",
            ],
        )

    def test_publication(self):
        """A publication's key is made by the media plane and told its owner."""
        self.effects.execute(effects.OpenRoute(1, 4, 99, StreamKind.VIDEO, FORMAT))
        self.effects.execute(effects.CloseRoute(99))
        self.assertEqual(
            self.media.calls,
            [("publish", 1, 99, StreamKind.VIDEO), ("unpublish", 99)],
        )
        self.assertEqual(
            self.links.calls,
            [("reply", 1, 4, StreamOpened(0, 99, b"K" * 16, b"S" * 12))],
        )

    def test_subscription(self):
        """A receiver is told key and position of the stream."""
        join = effects.JoinRoute(1, 99, 77, StreamKind.VIDEO, 0, FORMAT)
        self.effects.execute(join)
        self.effects.execute(effects.LeaveRoute(1, 99))
        self.assertEqual(
            self.media.calls, [("subscribe", 1, 99), ("unsubscribe", 1, 99)]
        )
        granted = StreamGranted(
            77, StreamKind.VIDEO, 0, 99, FORMAT, 2, 9, b"K" * 16, b"S" * 12
        )
        self.assertEqual(self.links.calls, [("send", (1,), granted)])

    def test_messages(self):
        """Notifications, answers and refusals go to the links as they are."""
        text = Result(ResultCode.SUCCESS)
        self.effects.execute(effects.Send((1, 2), text))
        self.effects.execute(effects.Reply(1, 3, text))
        self.effects.execute(effects.RefuseLogin(4, 5, ResultCode.VISITOR_DENY))
        self.assertEqual(
            self.links.calls,
            [
                ("send", (1, 2), text),
                ("reply", 1, 3, text),
                ("refuse_login", 4, 5, ResultCode.VISITOR_DENY),
            ],
        )

    def test_plugIn(self):
        """Questions, events and answers go to the plug-in's place as they are."""
        asked = (
            effects.AskVerifyUser(1, VerifyUser("ann", "x")),
            effects.AskPrepareEnterRoom(1, 2, PrepareEnterRoom(5, 1, "Room 1", "")),
            effects.Tell(OnUserLogoutActionEx(5, ResultCode.SUCCESS)),
        )
        for effect in asked:
            self.effects.execute(effect)
        self.effects.execute(effects.AnswerCall(3, Answer(ResultCode.SUCCESS)))
        self.effects.finish()
        self.assertEqual(
            self.slot.calls,
            [
                *[("put", effect) for effect in asked],
                ("answer", 3, Answer(ResultCode.SUCCESS)),
                ("deliver",),
            ],
        )

    def test_reasons(self):
        """A refusal with a reason is a line of the log; the client gets the code."""
        refused = effects.RefuseLogin(4, 5, ResultCode.INVALID_USERID, "so it is")
        self.effects.execute(refused)
        self.assertEqual(
            self.links.calls, [("refuse_login", 4, 5, ResultCode.INVALID_USERID)]
        )
        self.assertEqual(self.lines, ["Refuse login, so it is.(errorcode=205)"])

    def test_everyEffectIsKnown(self):
        """No kind of effect is left without a way to carry it out."""
        dispatch = vars(Effects)["execute"].dispatcher.dispatch
        kinds = [
            kind
            for kind in vars(effects).values()
            if isinstance(kind, type) and kind.__base__ is effects.Effect
        ]
        self.assertGreater(len(kinds), 5)
        for kind in kinds:
            self.assertIsNot(dispatch(kind), dispatch(object), kind)

    def test_unknownEffect(self):
        """What is no effect is refused."""
        self.assertRaises(TypeError, self.effects.execute, Command())
