"""Tests of `anychat.services.business`: what is told, in order and whole."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    AppMessageEx,
    EventsLost,
    OnlineUsers,
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
from anychat.errors import LocalError
from anychat.notices import Notices
from anychat.services.event_queue import OVERHEAD, EventQueue, Window
from anychat.services.recipient import Recipient, entry_of
from test.services.business_servers import BusinessTestCase, entrance, happening

UP = AppMessageEx(10, ResultCode.SUCCESS, 0)
NOBODY = OnlineUsers((), True)
LOGIN = VerifyUser("anna", "secret")


def presences(count):
    """So many that are signed in."""
    return tuple(
        Presence(n, f"user{n}", 0, "192.0.2.1", 1) for n in range(1, 1 + count)
    )


def cost(count):
    """Bytes that so many happenings take in a queue."""
    return count * (len(entry_of(happening(10)).body) + OVERHEAD)


class GreetingTests(BusinessTestCase):
    """What comes first."""

    def test_first(self):
        """That the core is there, who is signed in, then what happens."""
        self.core.present = presences(2)
        server = self.server()
        self.tell(5)
        self.assertEqual(
            server.events(),
            [(1, UP), (2, OnlineUsers(presences(2), True)), (3, happening(5))],
        )

    def test_portions(self):
        """Many that are signed in come in portions, the last one says so."""
        for count, sizes in (
            (0, [0]),
            (100, [100]),
            (101, [100, 1]),
            (250, [100, 100, 50]),
        ):
            self.core.present = presences(count)
            server = self.server(f"for {count}")
            portions = [event for _, event in server.events()[1:]]
            self.assertEqual([len(part.users) for part in portions], sizes)
            self.assertEqual(
                [part.final for part in portions], [False] * (len(sizes) - 1) + [True]
            )
            users = tuple(user for part in portions for user in part.users)
            self.assertEqual(users, presences(count))

    def test_longNames(self):
        """A portion fits even with the longest names."""
        self.core.present = tuple(
            Presence(
                -2 - n, "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 170, 2**31 - 1, "f" * 45, 9
            )
            for n in range(100)
        )
        server = self.server()
        self.assertEqual(server.events()[1][1].users, self.core.present)

    def test_noEventsWanted(self):
        """That much is told to everybody, and nothing else to one without wishes."""
        server = self.server(events=())
        self.tell(1)
        self.assertEqual(server.events(), [(1, UP), (2, NOBODY)])

    def test_wishes(self):
        """Each is told what it wants."""
        some = self.server("some", events=["OnTransBuffer"])
        every = self.server("every")
        buffer = OnTransBuffer(3, b"data")
        self.tell(1)
        self.service.tell(buffer)
        self.flush()
        self.assertEqual(some.events()[2:], [(3, buffer)])
        self.assertEqual(every.events()[2:], [(3, happening(1)), (4, buffer)])

    def test_nobodyThere(self):
        """What happens before anybody came is told to nobody."""
        self.tell(1, 2)
        self.assertEqual(self.server().events(), [(1, UP), (2, NOBODY)])
        self.assertEqual(self.count("events"), 2)

    def test_unfit(self):
        """What does not fit the wire is a bug: logged, and owned to as lost."""
        server = self.server()
        server.events()
        self.service.tell(OnRecvUserFilterData(1, b"x" * 70_000))
        self.tell(1)
        self.assertEqual(len(self.flushLoggedErrors(LocalError)), 1)
        self.assertEqual(
            server.events(), [(3, EventsLost(1)), (4, happening(1)), (5, NOBODY)]
        )
        self.assertEqual(self.count("events_dropped"), 1)


class WindowTests(BusinessTestCase):
    """Only so much is under way."""

    def test_window(self):
        """More goes out when some is acknowledged."""
        self.serve(window_events=2)
        server = self.server(eager=False)
        self.tell(1, 2, 3, 4)
        self.assertEqual(server.happened(), [1, 2])
        self.assertEqual(
            (self.count("events_waiting"), self.count("events_under_way")), (2, 4)
        )
        server.acknowledge(3)
        self.assertEqual(server.happened(), [3])
        server.acknowledge(5)
        self.assertEqual(server.happened(), [4])
        server.acknowledge(6)
        self.assertEqual(
            (self.count("queue_bytes"), self.count("events_under_way")), (0, 0)
        )

    def test_oneSlowOne(self):
        """One that is slow holds nobody up."""
        self.serve(window_events=2)
        slow, fast = self.server("slow", eager=False), self.server("fast")
        self.tell(1, 2, 3)
        self.assertEqual((slow.happened(), fast.happened()), ([1, 2], [1, 2, 3]))

    def test_unreadMemory(self):
        """What is written to one that reads nothing is bounded by the window."""
        self.serve(window_bytes=20_000)
        server = self.server(eager=False)
        server.pipe.client.reads = False
        for number in range(100):
            self.service.tell(OnRecvUserFilterData(number, b"x" * 2000))
        self.assertLess(len(server.pipe.server.waiting), 21_000)
        self.assertLess(self.count("unsent_bytes"), 21_000)

    def test_acknowledgeNonsense(self):
        """To acknowledge what was not sent ends the channel, with a line."""
        server = self.server(eager=False)
        server.acknowledge(9)
        self.assertEqual(server.reason.code, ResultCode.PROTOCOLFAIL)
        self.assertIn("event 9 acknowledged, 2 is the last", "".join(self.log))
        self.assertEqual(self.count("connected"), 0)

    def test_questionsPass(self):
        """The window is for events: a question in its turn goes out all the same."""
        self.serve(window_events=1)
        server = self.server(eager=False)
        self.tell(1)
        self.ask(PrepareEnterRoom(1, 5, "one", ""))
        self.assertEqual(len(server.asked), 1)


class ResumeTests(BusinessTestCase):
    """One that comes back misses nothing."""

    def test_away(self):
        """What happened meanwhile comes first, then who is there now."""
        server = self.server()
        self.tell(1)
        server.pipe.cut()
        self.tell(2, 3)
        self.core.present = presences(1)
        back = self.again(server, handled=3)
        self.tell(4)
        self.assertEqual(
            back.events(),
            [
                (4, happening(2)),
                (5, happening(3)),
                (6, UP),
                (7, OnlineUsers(presences(1), True)),
                (8, happening(4)),
            ],
        )
        self.assertEqual(back.lost, 0)

    def test_unacknowledged(self):
        """What was sent and not handled comes again, what was handled does not."""
        server = self.server(eager=False)
        self.tell(1, 2, 3)
        server.acknowledge(3)
        server.pipe.cut()
        self.assertEqual(self.again(server, handled=4).happened(), [3])

    def test_restarted(self):
        """A new process of the name gets what the old one has not acknowledged."""
        server = self.server(eager=False)
        self.tell(1, 2, 3)
        server.acknowledge(4)
        server.pipe.cut()
        new = self.server()
        self.assertEqual(new.events()[0], (1, happening(3)))
        self.assertEqual(new.lost, 0)

    def test_oldSnapshots(self):
        """Who was online then is told nobody: only who is now."""
        for _ in range(5):
            self.core.present = presences(150)
            self.server(eager=False).pipe.cut()
        self.core.present = presences(1)
        back = self.server()
        self.assertEqual(back.snapshots(), [["user1"]])

    def test_otherCore(self):
        """One that knew another run of the core begins anew."""
        server = self.server(epoch=b"another1", handled=77)
        self.assertEqual(server.events(), [(1, UP), (2, NOBODY)])
        self.assertNotEqual(server.hello.epoch, b"another1")

    def test_forgotten(self):
        """One that was forgotten is told that something may be gone."""
        self.serve(names=1)
        server = self.server("a")
        self.tell(1)
        server.pipe.cut()
        self.server("b").pipe.cut()
        back = self.again(server, handled=3)
        self.assertEqual(back.lost, 1)
        self.assertEqual(back.events(), [(4, EventsLost(1)), (5, UP), (6, NOBODY)])

    def test_replaced(self):
        """A connection that takes another one's place goes on where it was."""
        server = self.server(eager=False)
        self.tell(1, 2)
        server.acknowledge(3)
        self.assertEqual(self.again(server, handled=3).happened(), [2])

    def test_replacedSaysMore(self):
        """What a replaced connection still says counts for nothing."""
        former = self.server(eager=False).pipe.server.protocol
        back = self.server(eager=False)
        self.service.channel_acknowledged(former, 2)
        self.service.channel_acknowledged(former, 99)
        self.assertEqual(self.count("events_under_way"), len(back.got))

    def test_twoNames(self):
        """Each name has a queue of its own."""
        one, two = self.server("one"), self.server("two")
        one.pipe.cut()
        self.tell(1)
        self.assertEqual(two.happened(), [1])
        two.pipe.cut()
        self.tell(2)
        self.assertEqual(self.again(one, handled=2).happened(), [1, 2])
        self.assertEqual(self.again(two, handled=3).happened(), [2])

    def test_halfSent(self):
        """A connection that breaks in the middle of a burst costs nothing."""
        server = self.server(eager=False)
        for number in range(300):
            self.service.tell(happening(number))
        server.pipe.server.waiting = server.pipe.server.waiting[:5000]
        self.flush()
        server.pipe.cut()
        first = server.happened()
        self.assertEqual(first, list(range(len(first))))
        self.assertLess(len(first), 299)
        back = self.again(server, handled=2 + len(first))
        self.assertEqual(first + back.happened(), list(range(300)))


class FloodTests(BusinessTestCase):
    """One who says too much holds up nobody else."""

    def setUp(self):
        """A user may have four events on their way."""
        self.serve(window_events=64)

    def send(self, count, user=7):
        """That user sends data to whoever is there; the codes of the answers."""
        codes = [self.service.tell(OnTransBuffer(user, b"x")) for _ in range(count)]
        self.flush()
        return codes

    def test_data(self):
        """What a client sends beyond that is refused, and told to nobody."""
        server = self.server(eager=False)
        refused = ResultCode.NOENOUGHRESOURCE
        self.assertEqual(self.send(9), [ResultCode.SUCCESS] * 4 + [refused] * 5)
        self.assertEqual([number for number, _ in server.got], [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.send(1, user=8), [ResultCode.SUCCESS])
        server.acknowledge(4)
        self.assertEqual(self.send(3), [ResultCode.SUCCESS] * 2 + [refused])
        self.assertEqual(
            (self.count("data_refused"), self.count("events_dropped")), (6, 0)
        )
        self.assertIn("too much of user 7 waiting", self.log[-1])

    def test_texts(self):
        """Copies beyond that are left out, and owned to when it is done with."""
        self.core.present = presences(1)
        server = self.server(eager=False)
        text = OnRecvUserTextMsg(1, 7, -1, False, "hi")
        for _ in range(9):
            self.assertEqual(self.service.tell(text), ResultCode.SUCCESS)
        self.tell(1)
        server.acknowledge(5)
        self.service.tell(text)
        server.acknowledge(6)
        self.service.tell(text)
        self.flush()
        self.assertEqual(
            server.events()[6:],
            [(7, happening(1)), (13, EventsLost(6)), (14, text)],
        )
        self.assertEqual(
            (self.count("events_left_out"), self.count("events_dropped")), (6, 0)
        )
        server.acknowledge(14)
        self.assertEqual(server.events(), [], "who is online is known well enough")

    def test_questions(self):
        """Others log in and enter rooms; so does he, behind what he has said."""
        self.send(99)
        server = self.server(eager=False)
        self.send(99)
        server.stream.clear()
        self.service.tell(entrance(8))
        entries = [PrepareEnterRoom(user, 5, "five", "") for user in (8, 7)]
        for question in (VerifyUser("anna", "secret"), *entries):
            self.ask(question)
        self.assertEqual(
            server.stream, [entrance(8), VerifyUser("anna", "secret"), *entries]
        )

    def test_crowd(self):
        """Many together fill the window, and still hold up only themselves."""
        server = self.server(eager=False)
        for user in range(100, 120):
            self.send(4, user)
        self.assertEqual(self.count("events_waiting"), 16)
        server.stream.clear()
        told = [entrance(8), PrepareEnterRoom(8, 5, "five", "")]
        self.service.tell(told[0])
        self.ask(told[1])
        held = PrepareEnterRoom(119, 5, "five", "")
        self.service.tell(entrance(119))
        self.ask(held)
        self.assertEqual(server.stream, told)
        server.acknowledge(server.got[-1][0])
        self.assertEqual(server.stream[-2:], [entrance(119), held])

    def test_away(self):
        """What is sent to one who is away is not taken, what is said is copied."""
        server = self.server()
        server.pipe.cut()
        self.assertEqual(self.send(1), [ResultCode.SERVERSDK_FAIL])
        self.tell(1)
        self.assertEqual(self.again(server, 2).happened(), [1])

    def test_oneOfTwo(self):
        """What one of them takes is taken; the other one hears of its loss."""
        slow, fast = self.server("slow", eager=False), self.server("fast")
        away = self.server("away")
        away.pipe.cut()
        codes = []
        for _ in range(9):
            codes += self.send(1)
        self.assertEqual(codes, [ResultCode.SUCCESS] * 9)
        data = [event for _, event in fast.events() if isinstance(event, OnTransBuffer)]
        self.assertEqual(len(data), 9)
        slow.acknowledge(6)
        self.assertEqual(slow.events()[6:], [(11, EventsLost(5))])
        self.assertEqual(self.again(away, 2).lost, 5)

    def test_nobodyWants(self):
        """206 where nobody who is there wants it, whoever else is."""
        self.server(events=["OnUserLoginAction"])
        self.assertEqual(self.send(1), [ResultCode.SERVERSDK_FAIL])
        self.server("other", events=["OnTransBuffer"])
        self.assertEqual(self.send(1), [ResultCode.SUCCESS])


class OverflowTests(BusinessTestCase):
    """What is too much goes, and is owned to."""

    def test_away(self):
        """One that is away too long is told how much is gone, and where."""
        self.serve(queue_bytes=cost(10))
        server = self.server()
        server.pipe.cut()
        self.tell(*range(10, 40))
        self.assertEqual(self.count("events_dropped"), 20)
        self.assertEqual(
            self.log[-1],
            "Warning:Business server(shop) does not take its events in time, 1 dropped "
            "so far: it is too slow, or was away too long.",
        )
        back = self.again(server, handled=2)
        (number, lost), *rest = back.events()
        self.assertEqual((number, back.lost), (2 + lost.count, lost.count))
        kept = [event.source_id for _, event in rest[:-2]]
        self.assertEqual(kept, list(range(10 + lost.count, 40)))
        self.assertEqual(rest[-2:], [(33, UP), (34, NOBODY)])

    def test_slow(self):
        """One that is slow is told too, and who is online once it has caught up."""
        self.serve(queue_bytes=cost(20), window_events=4)
        self.core.present = presences(1)
        server = self.server(eager=False)
        self.tell(*range(60))
        lost, told, snapshots, rounds = 0, [], [], 0
        while events := server.events():
            rounds += 1
            self.core.present = presences(rounds)
            for _, event in events:
                if isinstance(event, EventsLost):
                    lost += event.count
                elif isinstance(event, OnlineUsers):
                    snapshots.append(len(event.users))
                elif isinstance(event, OnRecvUserTextMsg):
                    told.append(event.source_id)
            server.acknowledge(events[-1][0])
        self.assertEqual((len(told) + lost, told[-1]), (60, 59))
        # The last round is that of who is online, which the one before brought.
        self.assertEqual(snapshots, [1, rounds - 1])
        self.assertGreater(rounds, 3)
        self.assertEqual(self.count("events_dropped"), lost)

    def test_hugeCrowd(self):
        """Who is online comes whole, drives nothing out, and waits for no window."""
        self.serve(queue_bytes=cost(8), window_events=4)
        self.core.present = presences(1000)
        server = self.server()
        self.assertEqual([len(users) for users in server.snapshots()], [1000])
        server.pipe.cut()
        self.tell(11, 12, 13, 14)
        back = self.again(server, handled=11, eager=False)
        self.assertEqual((back.lost, self.count("events_dropped")), (0, 0))
        numbers = [number for number, _ in back.got]
        self.assertEqual(numbers, list(range(12, 12 + 4 + 1 + 10)))

    def test_fewLines(self):
        """Loss is counted, and said now and then."""
        self.serve(queue_bytes=cost(4))
        self.server().pipe.cut()
        lines = len(self.log)
        self.tell(*range(500))
        self.assertEqual(len(self.log), lines + 1)
        self.reactor.advance(10)
        self.tell(500)
        self.assertIn("more before)", self.log[-1])


class OrderTests(BusinessTestCase):
    """For one user everything comes in the order in which it happened."""

    def test_questionBetween(self):
        """A question comes after what came before it, and before what follows."""
        server = self.server(verdict=Verdict(ResultCode.SUCCESS))
        login = OnUserLoginAction(7, "anna", 0, "192.0.2.1")
        entry = PrepareEnterRoom(7, 1, "one", "")
        server.stream.clear()
        self.service.tell(login)
        self.service.ask(entry).addCallback(lambda _: self.service.tell(happening(7)))
        self.flush()
        self.assertEqual(server.stream, [login, entry, happening(7)])

    def test_questionBehindWindow(self):
        """It waits where its user's events wait, and only there."""
        self.serve(window_events=2)
        server = self.server(eager=False)
        self.tell(1, 2, 3)
        entries = [PrepareEnterRoom(user, 1, "one", "") for user in (2, 3)]
        verdicts = [self.ask(entry) for entry in entries]
        self.tell(4)
        self.ask(VerifyUser("anna", "secret"))
        self.assertEqual(server.stream[-2:], [entries[0], VerifyUser("anna", "secret")])
        server.acknowledge(4)
        self.assertEqual(server.stream[-3:], [happening(3), entries[1], happening(4)])
        for code in (200, 0, 303):
            server.rule(code)
        self.assertEqual(verdicts[1], [Verdict(ResultCode.ROOM_INVALID)])

    def test_answeredAtOnce(self):
        """What an answer that comes at once leads to does not jump the line."""
        self.serve(window_events=2)
        server = self.server(eager=False)
        self.tell(1, 2, 3)
        asked = self.service.ask(PrepareEnterRoom(3, 1, "n" * 600, "fits no box"))
        asked.addCallback(lambda verdict: self.tell(5))
        self.tell(4)
        server.happened()
        server.acknowledge(4)
        self.assertEqual(server.happened(), [3, 4])
        server.acknowledge(6)
        self.assertEqual(server.happened(), [5])

    def test_notBeforeGreeting(self):
        """Between the two halves of a beginning nothing goes out."""
        clock = self.reactor
        queue = EventQueue(cost(9), Window(9, 9000))
        notices = Notices(self.log.append, clock.seconds)
        recipient = Recipient("shop", clock, queue, 5.0, 9, Counter(), notices)
        channel = WritingChannel()
        recipient.attach(channel, anew=True)
        recipient.tell(entry_of(happening(1)))
        self.assertEqual(channel.written, b"")
        recipient.greet(())
        event = channel.written.index(b"OnRecvUserTextMsg")
        self.assertLess(event, channel.written.index(b"AppMessageEx"))


class WritingChannel:
    """A channel as far as it is only written to."""

    events = frozenset("*")

    def __init__(self):
        self.written = b""

    def send(self, data):
        """Keep it."""
        self.written += data


class User:
    """One user as the core has it: each step comes after the one before.

    Every step has a number of its own, which what is told of it carries.
    """

    def __init__(self, bench, id):
        self.bench = bench
        self.service = bench.service
        self.id = id
        self.events = []
        self.steps = 1000
        self.waiting = False

    def step(self):
        """Sign in, ask to enter, enter, leave, sign out; then once more."""
        if self.waiting:
            return
        self.steps += 1
        number, kind = self.steps, self.steps % 5
        if kind == 2:
            self.waiting = True
            question = PrepareEnterRoom(self.id, number, "one", "")
            self.service.ask(question).addCallback(self.answered)
            return
        event = {
            1: lambda: OnUserLoginAction(self.id, "anna", number, "192.0.2.1"),
            3: lambda: OnUserEnterRoomAction(self.id, number),
            4: lambda: OnUserLeaveRoomAction(self.id, number),
            0: lambda: OnUserLogoutActionEx(self.id, ResultCode(number)),
        }[kind]()
        self.events.append(number)
        self.service.tell(event)

    def answered(self, verdict):
        """Enter, or go on without."""
        self.waiting = False
        self.steps += 0 if verdict.code == ResultCode.SUCCESS else 2
        self.step()

    def chatter(self, count):
        """Say so much, which may be too much, or send it to whoever is there."""
        for number in range(count):
            self.steps += 5
            text = OnRecvUserTextMsg(1, self.id, -1, False, str(self.steps))
            data = OnTransBuffer(self.id, b"%d" % self.steps)
            left_out = self.bench.count("events_left_out")
            code = self.service.tell(data if number % 2 else text)
            if not code and self.bench.count("events_left_out") == left_out:
                self.events.append(self.steps)


def story(item):
    """Whose step it is and which one, or None: it is nobody's."""
    if isinstance(item, OnUserLoginAction):
        return item.user_id, item.level
    if isinstance(item, OnUserLogoutActionEx):
        return item.user_id, item.code
    if isinstance(item, OnRecvUserTextMsg):
        return item.source_id, int(item.text)
    if isinstance(item, OnTransBuffer):
        return item.user_id, int(item.data)
    if isinstance(item, AppMessageEx | OnlineUsers | EventsLost | VerifyUser):
        return None
    return item.user_id, item.room_id


class Reader:
    """A business server that comes back, and what it makes of it all."""

    def __init__(self, test, bench, users):
        self.test = test
        self.bench = bench
        self.users = {user.id: user for user in users}
        self.server = bench.server(eager=False)
        self.handled = 0
        self.lost = 0
        self.known = {user.id: [] for user in users}
        self.seen = {user.id: set() for user in users}

    def acknowledge(self, choice):
        """Be done with some of what came."""
        numbers = [n for n, _ in self.server.got if n > self.handled]
        if numbers:
            self.handled = numbers[choice % len(numbers)]
            if self.server.reason is None:
                self.server.link.acknowledge(self.handled)

    def rule(self, code):
        """Answer a question."""
        if self.server.asked and self.server.reason is None:
            self.server.asked.pop(0)[1].callback(Verdict(ResultCode(code)))

    def verify(self):
        """Somebody signs in: that waits for nothing that users do."""
        put = self.server.stream.count(LOGIN)
        self.bench.ask(LOGIN)
        if self.server.reason is None:
            self.test.assertEqual(self.server.stream.count(LOGIN), put + 1)

    def reconnect(self):
        """A new connection, with or without the end of the old one."""
        self.settle()
        self.server = self.bench.again(self.server, self.handled, eager=False)
        lost = self.bench.count("events_left_out") - self.lost
        self.test.assertEqual(self.server.lost, lost)

    def settle(self):
        """A connection is over: what was not handled will come again."""
        last = dict.fromkeys(self.users, 0)
        for item in self.server.stream:
            if (mark := story(item)) is None:
                continue
            user, step = mark
            self.test.assertGreater(step, last[user])
            last[user] = step
            if isinstance(item, PrepareEnterRoom):
                before = {one for one in self.users[user].events if one < step}
                self.test.assertLessEqual(before, self.seen[user])
            self.seen[user].add(step)
        for number, event in self.server.got:
            if number > self.handled:
                continue
            if isinstance(event, EventsLost):
                self.lost += event.count
            elif (mark := story(event)) is not None:
                self.known[mark[0]].append(mark[1])


class OrderProperties(SynchronousTestCase):
    """Whatever the network does, every user's story is told in order."""

    @settings(deadline=None, max_examples=80)
    @given(
        st.lists(
            st.tuples(st.sampled_from("uuuuuufffvddarrckt"), st.integers(0, 5)),
            max_size=60,
        ),
        st.sampled_from([1, 2, 5, 32, 64]),
    )
    def test_stories(self, steps, window):
        """Nothing is missing, nothing twice, nothing before its time."""
        bench = BusinessTestCase()
        bench.serve(window_events=window)
        users = [User(bench, id) for id in (1, 2, 3)]
        reader = Reader(self, bench, users)
        for kind, value in steps:
            {
                "u": lambda value: users[value % 3].step(),
                "f": lambda value: users[value % 3].chatter(value),
                "v": lambda value: reader.verify(),
                "d": lambda value: bench.flush(),
                "a": reader.acknowledge,
                "r": lambda value: reader.rule(0 if value % 2 else 303),
                "c": lambda value: reader.server.pipe.cut(),
                "k": lambda value: reader.reconnect(),
                "t": bench.reactor.advance,
            }[kind](value)
        reader.reconnect()
        while reader.server.got[-1][0] > reader.handled:
            reader.acknowledge(-1)
            bench.flush()
        reader.settle()
        for user in users:
            self.assertEqual(reader.known[user.id], user.events)
        self.assertEqual(reader.lost, bench.count("events_left_out"))
