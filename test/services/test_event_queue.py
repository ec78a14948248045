"""Tests of `anychat.services.event_queue`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.services.event_queue import (
    LASTING,
    OVERHEAD,
    SHARE_OF_BYTES,
    SHARE_OF_EVENTS,
    Entry,
    EventQueue,
    Gap,
    Window,
)


def event(number, size=10, kind="OnX", user=None, passing=True):
    """An event whose body says which one it is; each of another user by itself."""
    body = b"%d " % number
    body += b"." * (size - len(body))
    return Entry(kind, body, 1000 + number if user is None else user, passing=passing)


def lasting(number, user=None):
    """One that tells who is where."""
    return event(number, user=user, passing=False)


def which(entry):
    """Which event an entry is."""
    return int(entry.body.split()[0])


def everything(kind):
    """Wants all."""
    return True


def shown(parts):
    """What goes out, short: events and gaps with their numbers, questions."""
    return [
        f"{number}-{part.count}"
        if isinstance(part, Gap)
        else (number, which(part))
        if isinstance(part, Entry)
        else part
        for number, part in parts
    ]


class EventQueueTests(SynchronousTestCase):
    """One line, numbered, bounded twice."""

    def make(self, events=100, bytes=1000, room=50):
        """A queue with room for that many events of ten bytes."""
        return EventQueue(room * (10 + OVERHEAD), Window(events, bytes))

    def test_numbers(self):
        """Events are numbered from 1 as they go out."""
        queue = self.make()
        for number in (7, 8):
            queue.tell(event(number))
        self.assertEqual(shown(queue.take()), [(1, 7), (2, 8)])
        queue.tell(event(9))
        self.assertEqual(shown(queue.take()), [(3, 9)])
        self.assertEqual(queue.take(), [])

    def test_window(self):
        """So many go out, and more when some are acknowledged."""
        queue = self.make(events=2)
        for number in range(5):
            queue.tell(event(number))
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 1)])
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(3, 2)])
        queue.acknowledge(3)
        self.assertEqual(shown(queue.take()), [(4, 3), (5, 4)])
        queue.acknowledge(5)
        self.assertEqual((queue.bytes, queue.under_way, queue.waiting), (0, 0, 0))

    def test_windowOfBytes(self):
        """The window has bytes too, but one event always fits."""
        queue = self.make(bytes=25)
        for number, size in enumerate((10, 10, 10, 600, 10)):
            queue.tell(event(number, size))
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 1)])
        queue.acknowledge(2)
        self.assertEqual(shown(queue.take()), [(3, 2)])
        queue.acknowledge(3)
        self.assertEqual(shown(queue.take()), [(4, 3)])
        queue.acknowledge(4)
        self.assertEqual(shown(queue.take()), [(5, 4)])

    def test_windowOverMaximum(self):
        """Half of what is kept is under way at most."""
        queue = EventQueue(1000, Window(100, 5000))
        for number in range(3):
            queue.tell(event(number, 200))
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 1)])

    def test_acknowledgeOld(self):
        """What was acknowledged may be again."""
        queue = self.make()
        queue.tell(event(0))
        queue.take()
        for number in (1, 1, 0):
            queue.acknowledge(number)
        self.assertEqual(queue.under_way, 0)

    def test_acknowledgeUnsent(self):
        """What has not gone out cannot be acknowledged."""
        queue = self.make(events=1)
        for number in range(2):
            queue.tell(event(number))
        queue.take()
        error = self.assertRaises(PeerError, queue.acknowledge, 2)
        self.assertEqual(error.code, ResultCode.PROTOCOLFAIL)
        self.assertEqual(queue.under_way, 1)

    def test_questions(self):
        """A question waits for what its user did before it, and for nothing else."""
        queue = self.make(events=1)
        queue.ask("first", 7)
        queue.tell(event(0, user=7))
        queue.ask("second", 7)
        queue.tell(event(1, user=8))
        queue.ask("third", 8)
        queue.ask("fourth", 7)
        queue.tell(lasting(2, user=8))
        self.assertEqual(shown(queue.take()), ["first", (1, 0), "second", "fourth"])
        self.assertEqual((queue.questions, queue.waiting), (1, 2))
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(2, 1), "third", (3, 2)])
        self.assertEqual((queue.questions, queue.waiting), (0, 0))

    def test_questionsOfNobody(self):
        """What is asked about one who is not signed in waits for nothing at all."""
        queue = self.make(events=1, room=3)
        for number in range(6):
            queue.tell(event(number))
            queue.take()
        queue.ask("q")
        self.assertEqual(shown(queue.take()), ["q"])
        self.assertEqual(queue.dropped, 3)

    def test_lastingPass(self):
        """Who is where is told past what waits for the window, a user's own apart."""
        queue = self.make(events=1)
        for number in range(3):
            queue.tell(event(number, user=number))
        for number, user in ((3, 1), (4, 8), (5, 1)):
            queue.tell(lasting(number, user))
            queue.ask(f"q{number}", user)
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 4), "q4"])
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(3, 1), (4, 3), "q3", (5, 5), "q5"])
        queue.acknowledge(3)
        self.assertEqual(shown(queue.take()), [(6, 2)])

    def test_windowOfLasting(self):
        """They have a window of their own, of events and of bytes."""
        for bytes, most in ((1000, 2 * LASTING), (10, LASTING)):
            queue = self.make(events=2, bytes=bytes)
            for number in range(20):
                queue.tell(lasting(number))
            queue.tell(event(20))
            gone = shown(queue.take())
            self.assertEqual(gone[:-1], [(n + 1, n) for n in range(most)])
            self.assertEqual(gone[-1], (most + 1, 20))
            queue.acknowledge(1)
            self.assertEqual(shown(queue.take()), [(most + 2, most)])

    def test_lastingInOrder(self):
        """While nothing waits for the window all goes out as it came."""
        queue = self.make()
        for number in range(6):
            queue.tell(event(number, passing=number % 2 == 0))
        self.assertEqual(shown(queue.take()), [(n + 1, n) for n in range(6)])

    def test_share(self):
        """One user has a part of the window, waiting or under way."""
        queue = self.make(events=2 * SHARE_OF_EVENTS)
        for number in range(5):
            self.assertEqual(queue.takes(event(9, user=7)), number < 2)
            queue.tell(event(number, user=7))
        self.assertTrue(queue.takes(event(9, user=8)))
        self.assertTrue(queue.takes(lasting(9, user=7)))
        self.assertEqual((queue.left_out, queue.dropped), (3, 0))
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 1)])
        queue.acknowledge(1)
        self.assertFalse(queue.takes(event(9, user=7)))
        queue.acknowledge(2)
        self.assertTrue(queue.takes(event(9, user=7)))
        queue.tell(event(5, user=7))
        self.assertEqual(shown(queue.take()), ["5-3", (6, 5)])
        self.assertEqual(queue.bytes, 10 + OVERHEAD)

    def test_shareOfBytes(self):
        """The same of its bytes; one event always may be."""
        queue = self.make(bytes=100)
        for number, size in enumerate((90, 10)):
            queue.tell(event(number, size, user=7))
        for number in range(2, 8):
            queue.tell(event(number, 100 // SHARE_OF_BYTES // 5, user=8))
        self.assertEqual(queue.left_out, 2)
        self.assertEqual(queue.waiting, 6)

    def test_shareWaitsForNothing(self):
        """What was left out is owned to though the window is shut."""
        queue = self.make(events=2)
        queue.tell(event(0, user=7))
        queue.take()
        for number in range(1, 4):
            queue.tell(event(number, user=7))
            queue.tell(event(number + 10))
        queue.take()
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(3, 12), "6-3"])

    def test_shareOverConnections(self):
        """What was left out is owned to at the latest after a reconnect."""
        queue = self.make(events=SHARE_OF_EVENTS)
        for number in range(3):
            queue.tell(event(number, user=7))
        queue.take()
        queue.rewind()
        queue.tell(event(3, user=7))
        self.assertFalse(queue.takes(event(9, user=7)))
        self.assertEqual(queue.resume(0, everything), 3)
        self.assertEqual(shown(queue.take()), [(1, 0), "4-3"])
        queue.acknowledge(4)
        self.assertTrue(queue.takes(event(9, user=7)))

    def test_shareUnwanted(self):
        """What is not wanted any more, handled or dropped takes no share."""
        for how in ("unwanted", "handled", "dropped"):
            queue = self.make(events=SHARE_OF_EVENTS, room=3)
            queue.tell(event(0, user=7))
            queue.take()
            queue.rewind()
            if how == "dropped":
                for number in range(3):
                    queue.tell(lasting(number))
            queue.resume(how == "handled", lambda kind, how=how: how != "unwanted")
            self.assertTrue(queue.takes(event(1, user=7)), how)
            self.assertEqual(queue.bytes, 3 * (10 + OVERHEAD) * (how == "dropped"))

    def test_overflow(self):
        """The oldest that are not under way go; their numbers say so."""
        queue = self.make(events=1, room=3)
        for number in range(6):
            queue.tell(event(number))
            if number == 0:
                queue.take()
        self.assertEqual(queue.dropped, 3)
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), ["4-3"])
        queue.acknowledge(4)
        self.assertEqual(shown(queue.take()), [(5, 4)])
        queue.acknowledge(5)
        self.assertEqual(shown(queue.take()), [(6, 5)])

    def test_overflowBeforeQuestion(self):
        """A question comes after the gap that its events fell into."""
        queue = self.make(events=1, room=3)
        queue.tell(event(0))
        queue.take()
        queue.tell(event(1, user=7))
        queue.ask("q", 7)
        for number in range(2, 5):
            queue.tell(event(number))
        self.assertEqual(queue.take(), [])
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), ["3-2", "q"])

    def test_overflowOfHeld(self):
        """Those that were passed by are the oldest."""
        queue = self.make(events=1, room=4)
        for number in range(3):
            queue.tell(event(number, user=number))
        queue.tell(lasting(3, 2))
        queue.ask("q", 2)
        queue.take()
        for number in range(4, 7):
            queue.tell(lasting(number, number))
        self.assertEqual((queue.dropped, queue.waiting), (3, 4))
        self.assertEqual(queue.take(), [])
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), ["4-3", "q", (5, 4), (6, 5), (7, 6)])

    def test_tooLong(self):
        """An event that is longer than everything is a gap at once."""
        queue = self.make(room=3)
        queue.tell(event(0, 5000))
        self.assertEqual(shown(queue.take()), ["1-1"])
        self.assertEqual((queue.bytes, queue.dropped), (0, 1))

    def test_free(self):
        """What counts for nothing drives nothing out, and is dropped whole."""
        queue = self.make(events=1, room=3)
        for number in range(3):
            queue.tell(event(number))
        queue.take()
        for number in range(3, 6):
            queue.tell(Entry("Free", b"%d " % number, free=True))
        self.assertEqual((queue.dropped, queue.bytes), (0, 3 * (10 + OVERHEAD)))
        queue.tell(event(6))
        self.assertEqual(queue.dropped, 1)
        queue.tell(event(7))
        self.assertEqual(queue.dropped, 5)
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), ["6-5"])

    def test_freeOfWindow(self):
        """What counts for nothing goes out whole, past the window."""
        queue = self.make(events=2)
        for number in (0, 1, 2):
            queue.tell(event(number))
        for number in range(3, 6):
            queue.tell(Entry("Free", b"%d " % number, free=True))
        queue.tell(event(6))
        parts = [(1, 0), (2, 1), (3, 3), (4, 4), (5, 5)]
        self.assertEqual(shown(queue.take()), parts)
        queue.acknowledge(3)
        self.assertEqual(shown(queue.take()), [(6, 2), (7, 6)])

    def test_resume(self):
        """It goes on after what was handled, acknowledged or not."""
        queue = self.make()
        for number in range(5):
            queue.tell(event(number))
        queue.take()
        queue.acknowledge(1)
        queue.ask("gone", 5)
        self.assertEqual(shown(queue.take()), ["gone"])
        self.assertEqual(queue.rewind(), [])
        queue.tell(event(5))
        self.assertEqual(queue.resume(3, everything), 0)
        self.assertEqual(shown(queue.take()), [(4, 3), (5, 4), (6, 5)])

    def test_rewindGivesQuestionsBack(self):
        """Questions that did not go out die with the connection."""
        queue = self.make(events=1)
        for number in range(2):
            queue.tell(event(number))
        queue.ask("a", 1001)
        queue.ask("b", 1001)
        queue.take()
        queue.ask("c", 1001)
        queue.ask("d")
        self.assertEqual(sorted(queue.rewind()), ["a", "b", "c", "d"])
        self.assertEqual(queue.questions, 0)
        queue.resume(0, everything)
        self.assertEqual(shown(queue.take()), [(1, 0)])
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(2, 1)])

    def test_resumeAnew(self):
        """One that was started again counts from 1, and gets the same."""
        queue = self.make()
        for number in range(4):
            queue.tell(event(number))
        queue.take()
        queue.acknowledge(2)
        queue.rewind()
        self.assertEqual(queue.resume(0, everything, anew=True), 0)
        self.assertEqual(shown(queue.take()), [(1, 2), (2, 3)])

    def test_resumeTooEarly(self):
        """What was acknowledged is gone, and said to be."""
        queue = self.make()
        for number in range(4):
            queue.tell(event(number))
        queue.take()
        queue.acknowledge(3)
        queue.rewind()
        self.assertEqual(queue.resume(1, everything), 2)
        self.assertEqual(shown(queue.take()), ["3-2", (4, 3)])

    def test_resumeTooLate(self):
        """Nothing that never went out passes for handled."""
        queue = self.make(events=1)
        for number in range(3):
            queue.tell(event(number))
        queue.take()
        queue.rewind()
        self.assertEqual(queue.resume(20, everything), 0)
        self.assertEqual(shown(queue.take()), [(21, 1)])

    def test_resumeInsideGap(self):
        """A loss that was handled in part is only the rest of it."""
        queue = self.make(room=3)
        for number in range(3):
            queue.tell(event(number))
        queue.take()
        queue.rewind()
        for number in range(3, 6):
            queue.tell(event(number))
        self.assertEqual(queue.resume(2, everything), 1)
        self.assertEqual(shown(queue.take()), ["3-1", (4, 3), (5, 4), (6, 5)])

    def test_wishes(self):
        """What is not wanted any more goes without a trace."""
        queue = self.make()
        for number, kind in enumerate("ABAB"):
            queue.tell(event(number, kind=kind))
        queue.take()
        queue.rewind()
        self.assertEqual(queue.resume(1, "B".__eq__), 0)
        self.assertEqual(shown(queue.take()), [(2, 1), (3, 3)])
        self.assertEqual(queue.bytes, 2 * (10 + OVERHEAD))


class Model:
    """Both ends: a queue, and a business server that believes its numbers.

    Of every event it is known whose it is; what the business server has is the
    set of those, and how many it was told are gone.
    """

    def __init__(self, test, queue, maximum, window):
        self.test = test
        self.queue = queue
        self.maximum = maximum
        self.window = window
        self.connected = True
        self.told = []
        """Whose, of each event."""
        self.asked = []
        """(whose, how many events were told before)"""
        self.number = 0
        self.handled = 0
        self.seen = set()
        self.lost = 0
        self.last = {}
        """The newest event of each user that came over this connection."""
        self.owned = {0: (set(), 0)}

    def tell(self, value, *, passing, free=False):
        """A user does something, or what concerns nobody is told."""
        user = 0 if free else 1 + value % 3
        body = event(len(self.told), 6 + value).body
        self.told.append(user)
        self.queue.tell(Entry("OnX", body, user, passing=passing, free=free))

    def ask(self, value):
        """A question of a user, or of nobody."""
        if self.connected:
            user = value % 4 or None
            self.asked.append((user, len(self.told)))
            self.queue.ask(self.asked[-1], user)

    def deliver(self):
        """All that goes out arrives."""
        if not self.connected:
            return
        for number, part in self.queue.take():
            if isinstance(part, tuple):
                self.judge_question(part)
                continue
            self.number += part.count if isinstance(part, Gap) else 1
            self.test.assertEqual(number, self.number)
            if isinstance(part, Gap):
                self.lost += part.count
            else:
                self.judge_event(part)
            self.owned[number] = set(self.seen), self.lost
        self.judge_waiting()

    def judge_event(self, entry):
        """It is new, its user's earlier ones came before it, questions too."""
        place = which(entry)
        user = self.told[place]
        self.test.assertNotIn(place, self.seen)
        self.test.assertGreater(place, self.last.get(user, -1))
        for asker, before in self.asked:
            self.test.assertFalse(asker == user and before <= place)
        self.last[user] = place
        self.seen.add(place)

    def judge_question(self, asked):
        """What its user did before it is told, or gone."""
        self.asked.remove(asked)
        user, before = asked
        for place in self.unsent():
            self.test.assertFalse(self.told[place] == user and place < before)

    def judge_waiting(self):
        """Nobody waits for others, but for his share of the window."""
        queue = self.queue
        self.test.assertNotIn(None, [user for user, _ in self.asked])
        if queue._gap is not None:
            return
        waiting = [part for part in queue._waiting if not isinstance(part, Gap)]
        if any(isinstance(part, Gap) for part in queue._waiting):
            return
        self.test.assertEqual(waiting, [])
        first = {user: lane[0][1] for user, lane in queue._lanes.items()}
        for entry in first.values():
            under_way = queue._passing if entry.passing else queue._lasting
            if not under_way.takes(len(entry.body)):
                break
        else:
            self.test.assertEqual(first, {})
        passing = [e for e in queue._held if first[e.user] is e]
        for user, entry in first.items():
            self.test.assertIsInstance(entry, Entry)
            self.test.assertEqual(user in queue._ready, not entry.passing)
            if not entry.passing and user == next(iter(queue._ready)):
                self.test.assertFalse(queue._lasting.takes(len(entry.body)))
        if passing and queue._held[0] is passing[0]:
            self.test.assertFalse(queue._passing.takes(len(passing[0].body)))
        for user, _ in self.asked:
            self.test.assertIn(user, first)

    def aside(self):
        """Events that were passed by."""
        lanes = self.queue._lanes.values()
        parts = [part for lane in lanes for _, part in lane]
        return [part for part in parts if isinstance(part, Entry)]

    def unsent(self):
        """Events that are kept and have not gone out."""
        kept = (*self.aside(), *self.queue._waiting)
        return [which(part) for part in kept if isinstance(part, Entry)]

    def handle(self, share):
        """Some of what arrived is dealt with."""
        fresh = [n for n in self.owned if n >= self.handled]
        self.handled = fresh[share % len(fresh)]

    def acknowledge(self):
        """The queue is told how far it is."""
        if self.connected:
            self.queue.acknowledge(self.handled)

    def cut(self):
        """The connection goes."""
        if self.connected:
            self.connected = False
            self.test.assertEqual(
                sorted(self.queue.rewind(), key=str), sorted(self.asked, key=str)
            )
            self.asked = []

    def connect(self, anew):
        """It comes back, at once a new process that has only what it owned up to."""
        if self.connected:
            return
        self.connected = True
        self.last = {}
        if anew:
            seen, self.lost = self.owned[self.queue._acknowledged]
            self.handled = 0
        else:
            seen, self.lost = self.owned[self.handled]
        self.number = self.handled
        self.seen = set(seen)
        lost = self.queue.resume(self.handled, everything, anew=anew)
        kept = len(self.unsent())
        self.test.assertEqual(len(self.seen) + self.lost + lost + kept, len(self.told))
        self.owned = {self.number: (seen, self.lost)}

    def check(self):
        """The bounds hold."""
        queue = self.queue
        self.test.assertLessEqual(queue.bytes, self.maximum)
        sent = [e for _, e in queue._sent if isinstance(e, Entry)]
        kept = [*sent, *self.aside()]
        kept += [e for e in queue._waiting if isinstance(e, Entry)]
        self.test.assertEqual(queue.bytes, sum(entry.cost for entry in kept))
        for passing, under_way, wide in (
            (True, queue._passing, 1),
            (False, queue._lasting, LASTING),
        ):
            sizes = [
                len(entry.body)
                for entry in sent
                if entry.passing == passing and entry.cost
            ]
            self.test.assertEqual(under_way.bytes, sum(sizes))
            self.test.assertLessEqual(len(sizes), wide * self.window.events)
            if len(sizes) > 1:
                self.test.assertLessEqual(sum(sizes), wide * self.window.bytes)
        shares = {}
        for entry in kept:
            if entry.passing:
                shares.setdefault(entry.user, []).append(len(entry.body))
        self.test.assertEqual(
            {user: (s.count, s.bytes) for user, s in queue._shares.items()},
            {user: (len(sizes), sum(sizes)) for user, sizes in shares.items()},
        )
        for sizes in shares.values():
            most = max(1, self.window.events // SHARE_OF_EVENTS)
            self.test.assertLessEqual(len(sizes), most)


class EventQueueProperties(SynchronousTestCase):
    """Whatever happens, no user's things change places and nothing is lost unsaid."""

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(st.sampled_from("ppppplllfqqddhhackn"), st.integers(0, 200)),
            max_size=70,
        ),
        st.sampled_from([1, 2, 3, 2 * SHARE_OF_EVENTS, 4 * SHARE_OF_EVENTS]),
        st.integers(600, 3500),
    )
    def test_order(self, steps, events, maximum):
        """Numbers follow each other, gaps stand for all that is missing."""
        window = Window(events, 300)
        model = Model(self, EventQueue(maximum, window), maximum, window)
        actions = {
            "p": lambda value: model.tell(value, passing=True),
            "l": lambda value: model.tell(value, passing=False),
            "f": lambda value: model.tell(value, passing=False, free=True),
            "q": model.ask,
            "d": lambda _: model.deliver(),
            "h": model.handle,
            "a": lambda _: model.acknowledge(),
            "c": lambda _: model.cut(),
            "k": lambda _: model.connect(False),
            "n": lambda _: model.connect(True),
        }
        for kind, value in steps:
            actions[kind](value)
            model.check()
        model.connect(False)
        model.deliver()
        while model.queue.under_way or model.queue.waiting:
            before = model.number
            model.handled = model.number
            model.acknowledge()
            model.deliver()
            if model.queue.under_way:
                self.assertGreater(model.number, before)
        self.assertEqual(len(model.seen) + model.lost, len(model.told))
        self.assertEqual((model.asked, model.queue.bytes), ([], 0))
