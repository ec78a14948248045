"""What waits for a compiled plug-in."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import PeerError
from anychat.filters.call_queue import CallQueue, Limits, Overrun

PAIRS = [(b"key", b"value")]


class QueueCase(SynchronousTestCase):
    """A queue with small limits."""

    def setUp(self):
        self.limit()

    def limit(self, **limits):
        """Make the queue anew."""
        limits = {"answer_time": 5.0, "under_way": 2} | limits
        self.queue = CallQueue(Limits(**limits))

    def tell(self, *names, sender=None):
        """Events; their codes."""
        return [self.queue.tell(name, [*PAIRS], sender) for name in names]

    def taken(self, now=0.0):
        """Tags of what goes out."""
        return [tag for tag, _ in self.queue.take(now)]


class OrderTests(QueueCase):
    """One thing after the other."""

    def test_window(self):
        """So many are under way; each that is done lets one follow."""
        self.tell("a", "b", "c")
        self.assertEqual(self.taken(), [1, 2])
        self.assertEqual(self.queue.turn, "a")
        self.assertEqual(len(self.queue), 1)
        self.queue.done(1, 0.0)
        self.assertEqual(self.queue.turn, "b")
        self.assertEqual(self.taken(), [3])
        self.assertEqual(len(self.queue), 0)

    def test_bytesUnderWay(self):
        """So many bytes are; what is bigger alone goes alone."""
        self.limit(under_way=10, under_way_bytes=100)
        self.queue.tell("big", [(b"data", bytes(1000))], 7)
        self.tell("a", "b", "c")
        self.assertEqual(self.taken(), [1])
        self.queue.done(1, 0.0)
        self.assertEqual(self.taken(), [2, 3])

    def test_answersInOrder(self):
        """An answer out of turn, or to nothing, is a fault."""
        self.assertRaises(PeerError, self.queue.done, 1, 0.0)
        self.tell("a", "b")
        self.taken()
        self.assertRaises(PeerError, self.queue.done, 2, 0.0)
        self.queue.done(1, 0.0)
        self.assertRaises(PeerError, self.queue.done, 1, 0.0)

    def test_questions(self):
        """Who waits for a verdict is told who it is for."""
        self.queue.ask("q", [*PAIRS], "ann", 0.0)
        self.tell("a")
        self.assertEqual(self.queue.open_questions, 1)
        self.taken()
        self.assertEqual(self.queue.done(1, 0.0), "ann")
        self.assertIsNone(self.queue.done(2, 0.0))
        self.assertEqual(self.queue.open_questions, 0)
        self.assertIsNone(self.queue.next_timeout())

    def test_withdrawn(self):
        """Who waits no more is not asked for, if it can be helped."""
        calls = [self.queue.ask("q", [*PAIRS], name, 0.0) for name in "abc"]
        self.taken()
        for call, withdrawn in zip(calls, (False, False, True), strict=True):
            self.assertEqual(self.queue.withdraw(call), withdrawn)
        self.assertFalse(self.queue.withdraw(calls[2]))
        self.assertEqual(self.queue.open_questions, 2)
        self.assertEqual(self.queue.done(1, 0.0), "a")
        self.assertEqual(self.queue.done(2, 0.0), "b")
        self.assertEqual(self.taken(), [])
        self.assertEqual(len(self.queue), 0)
        self.assertIsNone(self.queue.next_timeout())

    def test_clear(self):
        """In the end all who wait are known, in the order of asking."""
        for name in ("ann", "bob", "cid"):
            self.queue.ask("q", [*PAIRS], name, 0.0)
        self.tell("a")
        self.taken()
        self.queue.done(1, 0.0)
        self.assertEqual(self.queue.clear(), ["bob", "cid"])
        self.assertEqual((len(self.queue), self.queue.waiting_bytes), (0, 0))
        self.assertEqual(self.queue.open_questions, 0)
        self.assertEqual(self.queue.turn, "")
        self.assertIsNone(self.queue.next_timeout())
        self.assertRaises(PeerError, self.queue.done, 2, 0.0)
        self.assertEqual(self.taken(), [])


class TimeTests(QueueCase):
    """Nothing takes for ever."""

    def test_late(self):
        """A question that waits too long is late, sent or not."""
        self.tell("a", "b")
        self.queue.ask("q", [*PAIRS], "ann", 1.0)
        self.taken(1.0)
        self.assertEqual(self.queue.late(5.9), [])
        self.assertEqual(self.queue.late(6.0), [("q", "ann")])
        self.assertEqual(self.queue.late(6.0), [])
        self.assertEqual(self.queue.open_questions, 0)
        self.queue.done(1, 6.0)
        self.assertEqual(self.taken(6.0), [])  # nobody wants it any more
        self.assertEqual(len(self.queue), 0)

    def test_lateUnderWay(self):
        """One that is under way keeps its place; its answer is for nobody."""
        self.queue.ask("q", [*PAIRS], "ann", 0.0)
        self.taken(0.0)
        self.assertEqual(self.queue.late(5.0), [("q", "ann")])
        self.assertIsNone(self.queue.done(1, 5.5))

    def test_hangs(self):
        """Each has its own time, which begins when the one before it is done."""
        self.tell("a", "b")
        self.assertFalse(self.queue.hangs(100.0))
        self.taken(1.0)
        self.assertEqual(self.queue.next_timeout(), 6.0)
        self.assertFalse(self.queue.hangs(5.9))
        self.queue.done(1, 5.9)
        self.assertFalse(self.queue.hangs(10.8))
        self.assertEqual(self.queue.next_timeout(), 10.9)
        self.assertTrue(self.queue.hangs(10.9))
        self.queue.done(2, 11.0)
        self.assertFalse(self.queue.hangs(100.0))
        self.assertIsNone(self.queue.next_timeout())

    def test_idleTimeIsNobodys(self):
        """After a pause the next one has its whole time."""
        self.tell("a")
        self.taken(0.0)
        self.queue.done(1, 0.0)
        self.tell("b")
        self.taken(50.0)
        self.assertFalse(self.queue.hangs(54.9))

    def test_nextTimeout(self):
        """The earliest of deadlines and turns."""
        self.limit(under_way=1)
        self.queue.ask("q", [*PAIRS], "ann", 0.0)
        self.queue.ask("q", [*PAIRS], "bob", 1.0)
        self.taken(2.0)
        self.assertEqual(self.queue.next_timeout(), 5.0)
        self.queue.done(1, 3.0)
        self.assertEqual(self.queue.next_timeout(), 6.0)


class LimitTests(QueueCase):
    """Nothing grows for ever."""

    def test_passingByCount(self):
        """Texts beyond the limit are left out and counted."""
        self.limit(under_way=1, passing=2)
        self.assertEqual(self.tell("a", "b", "c", sender=7), [0, 0, 23])
        self.assertEqual((len(self.queue), self.queue.dropped), (2, 1))
        self.taken()
        self.assertEqual(self.tell("d", "e", sender=8), [0, 23])
        self.assertEqual((len(self.queue), self.queue.dropped), (2, 2))

    def test_passingByBytes(self):
        """So is what is too big all together."""
        self.limit(passing_bytes=150)
        data = [(b"data", bytes(60))]
        codes = [self.queue.tell("a", data, sender) for sender in (7, 8, 9)]
        self.assertEqual(codes, [0, 23, 23])
        self.assertEqual((len(self.queue), self.queue.dropped), (1, 2))

    def test_ofOneClient(self):
        """One client cannot take the room of the others."""
        self.limit(under_way=1, of_one=2)
        self.assertEqual(self.tell("a", "b", "c", sender=7), [0, 0, 23])
        self.assertEqual(self.tell("d", sender=8), [0])
        self.taken()
        self.assertEqual(self.tell("e", "f", sender=7), [0, 23])
        self.queue.clear()
        self.assertEqual(self.queue._senders, {})

    def test_bytesOfOneClient(self):
        """Nor by sending much at once."""
        self.limit(of_one_bytes=150)
        data = [(b"data", bytes(60))]
        codes = [self.queue.tell("a", data, sender) for sender in (7, 7, 8)]
        self.assertEqual(codes, [0, 23, 0])
        self.taken()
        self.assertEqual(self.queue._senders, {})

    def test_lastingIsNotLeftOut(self):
        """Too much of what says who is where is a plug-in that is overrun."""
        self.limit(lasting=2, passing=0)
        self.tell("a", "b")
        self.assertRaises(Overrun, self.tell, "c")
        self.queue.ask("q", [*PAIRS], "ann", 0.0)  # these have a limit elsewhere
        self.taken()
        self.tell("d", "e")
        self.assertRaises(Overrun, self.tell, "f")

    def test_secretsAreNotKept(self):
        """What has been sent, or is late, is not held any longer."""
        self.limit(under_way=1)
        self.queue.ask("q", [(b"password", b"1")], "ann", 0.0)
        self.queue.ask("q", [(b"password", b"2")], "bob", 0.0)
        calls = list(self.queue._questions)
        self.assertEqual(self.queue.take(0.0)[0][1], [(b"password", b"1")])
        self.queue.late(9.0)
        self.assertEqual([call.pairs for call in calls], [[], []])

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.sampled_from("tpqd.c"), max_size=60))
    def test_everyQuestionOnce(self, steps):
        """Whatever happens, each question is answered, late or given up once."""
        self.limit(under_way=3, passing=4, lasting=1000)
        asked, settled, tags, now = 0, [], [], 0.0
        for step in steps:
            now += 1.0
            if step == "q":
                self.queue.ask("q", [*PAIRS], asked, now)
                asked += 1
            elif step in "tp":
                self.tell("t", sender=7 if step == "p" else None)
            elif step == "d" and tags:
                who = self.queue.done(tags.pop(0), now)
                settled += [] if who is None else [who]
            elif step == ".":
                now += 3.0
            elif step == "c":
                settled += self.queue.clear()
                tags.clear()
            settled += [who for _, who in self.queue.late(now)]
            tags += self.taken(now)
            self.assertEqual(self.queue.open_questions, asked - len(settled))
            self.assertLessEqual(len(tags), 3)
        settled += self.queue.clear()
        self.assertEqual(sorted(settled), list(range(asked)))
        self.assertEqual(self.queue.waiting_bytes, 0)
