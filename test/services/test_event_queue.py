"""Tests of `anychat.services.event_queue`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.errors import PeerError
from anychat.services.event_queue import OVERHEAD, Entry, EventQueue, Gap, Window


def event(number, size=10, kind="OnX"):
    """An event whose body says which one it is."""
    return Entry(kind, b"%d " % number + b"." * (size - len(b"%d " % number)))


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
        """A question waits for what came before it, and for nothing else."""
        queue = self.make(events=1)
        queue.ask("first")
        queue.tell(event(0))
        queue.ask("second")
        queue.tell(event(1))
        queue.ask("third")
        self.assertEqual(shown(queue.take()), ["first", (1, 0), "second"])
        self.assertEqual(queue.questions, 1)
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), [(2, 1), "third"])
        self.assertEqual(queue.questions, 0)

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
        queue.tell(event(1))
        queue.ask("q")
        for number in range(2, 5):
            queue.tell(event(number))
        queue.acknowledge(1)
        self.assertEqual(shown(queue.take()), ["3-2", "q"])

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
        """What counts for nothing goes out whole, in its turn."""
        queue = self.make(events=2)
        queue.tell(event(0))
        for number in range(1, 4):
            queue.tell(Entry("Free", b"%d " % number, free=True))
        queue.ask("q")
        queue.tell(event(4))
        self.assertEqual(shown(queue.take()), [(1, 0), (2, 1), (3, 2), (4, 3), "q"])
        queue.acknowledge(3)
        self.assertEqual(shown(queue.take()), [(5, 4)])

    def test_resume(self):
        """It goes on after what was handled, acknowledged or not."""
        queue = self.make()
        for number in range(5):
            queue.tell(event(number))
        queue.take()
        queue.acknowledge(1)
        queue.ask("gone")
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
        queue.ask("a")
        queue.ask("b")
        queue.take()
        self.assertEqual(queue.rewind(), ["a", "b"])
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
    """Both ends: a queue, and a business server that believes its numbers."""

    def __init__(self, test, queue, maximum, window):
        self.test = test
        self.queue = queue
        self.maximum = maximum
        self.window = window
        self.connected = True
        self.told = 0
        self.asked = []
        self.outstanding = {}
        self.number = 0
        self.handled = 0
        self.seen = 0
        self.owned = {0: 0}

    def tell(self, size):
        """Something happens."""
        self.told += 1
        free = size % 7 == 0
        self.queue.tell(Entry("OnX", event(self.told, size).body, free=free))

    def ask(self):
        """A question after everything told so far."""
        if self.connected:
            self.asked.append(self.told)
            self.queue.ask(self.told)

    def deliver(self):
        """All that goes out arrives: in order, and nothing left out."""
        if not self.connected:
            return
        for number, part in self.queue.take():
            if isinstance(part, int):
                self.test.assertEqual(part, self.asked.pop(0))
                self.test.assertGreaterEqual(self.seen, part)
                continue
            self.number += part.count if isinstance(part, Gap) else 1
            self.seen += part.count if isinstance(part, Gap) else 1
            self.test.assertEqual(number, self.number)
            if isinstance(part, Entry):
                self.test.assertEqual(which(part), self.seen)
                self.test.assertLessEqual(self.seen, min([*self.asked, self.seen]))
            self.owned[number] = self.seen

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
            self.test.assertEqual(self.queue.rewind(), self.asked)
            self.asked = []

    def connect(self, anew):
        """It comes back, at once a new process that has only what it owned up to."""
        if self.connected:
            return
        self.connected = True
        if anew:
            acknowledged = self.queue._acknowledged
            self.seen = self.owned[acknowledged]
            self.handled = self.number = 0
            self.queue.resume(0, everything, anew=True)
        else:
            self.seen = self.owned[self.handled]
            self.number = self.handled
            self.queue.resume(self.handled, everything)
        self.owned = {self.number: self.seen}

    def check(self):
        """The bounds hold."""
        queue = self.queue
        self.test.assertLessEqual(queue.bytes, self.maximum)
        sent = [e for _, e in queue._sent if isinstance(e, Entry)]
        size = sum(len(entry.body) for entry in sent)
        self.test.assertEqual(queue._sent_bytes, size)
        counting = [len(entry.body) for entry in sent if entry.cost]
        self.test.assertLessEqual(len(counting), self.window.events)
        if len(counting) > 1:
            self.test.assertLessEqual(sum(counting), self.window.bytes)
        kept = sent + [e for e in queue._waiting if isinstance(e, Entry)]
        self.test.assertEqual(queue.bytes, sum(entry.cost for entry in kept))


class EventQueueProperties(SynchronousTestCase):
    """Whatever happens, nothing is out of order and nothing is lost unsaid."""

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(st.sampled_from("ttttqddhhackn"), st.integers(6, 200)),
            max_size=60,
        ),
        st.integers(1, 6),
        st.integers(600, 2500),
    )
    def test_order(self, steps, events, maximum):
        """Numbers follow each other, gaps stand for all that is missing."""
        window = Window(events, 300)
        model = Model(self, EventQueue(maximum, window), maximum, window)
        actions = {
            "t": model.tell,
            "q": lambda _: model.ask(),
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
        while model.queue.under_way or model.queue.waiting:
            model.handled = model.number
            model.acknowledge()
            before = model.seen
            model.deliver()
            self.assertGreaterEqual(model.seen, min(before + 1, model.told))
        self.assertEqual((model.seen, model.queue.bytes), (model.told, 0))
