"""Whose turn it is."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.turns import EVERYBODY, Turns
from anychat.errors import PeerError


class TurnsTests(SynchronousTestCase):
    """One after the other for each key."""

    def setUp(self):
        """Turns with room for ten, three side by side."""
        self.turns = Turns(10, 3)

    def begun(self):
        """All that begins now."""
        return list(iter(self.turns.begin, None))

    def contents(self):
        """The contents of all that begins now."""
        return [entry.content for entry in self.begun()]

    def test_oneAfterTheOther(self):
        """The second of a key waits for the first."""
        self.turns.add(7, 1, "a")
        self.turns.add(7, 2, "b")
        (first,) = self.begun()
        self.assertEqual(first.content, "a")
        self.turns.done(first)
        self.assertEqual(self.contents(), ["b"])

    def test_sideBySide(self):
        """Different keys do not wait for each other."""
        for key in (7, 8, "ann"):
            self.turns.add(key, 0, key)
        self.assertEqual(self.contents(), [7, 8, "ann"])

    def test_noMoreThanSideBySide(self):
        """The fourth of four keys waits until one of three is done."""
        for key in range(4):
            self.turns.add(key, 0, key)
        begun = self.begun()
        self.assertEqual([entry.content for entry in begun], [0, 1, 2])
        self.turns.done(begun[1])
        self.assertEqual(self.contents(), [3])

    def test_everybodyWaitsForAll(self):
        """What concerns everybody begins alone, and what came later after it."""
        self.turns.add(7, 1, "a")
        self.turns.add(8, 2, "b")
        self.turns.add(EVERYBODY, 3, "all")
        self.turns.add(7, 4, "c")
        one, two = self.begun()
        self.turns.done(two)
        self.assertEqual(self.contents(), [])
        self.turns.done(one)
        (everybody,) = self.begun()
        self.assertEqual(everybody.content, "all")
        self.turns.done(everybody)
        self.assertEqual(self.contents(), ["c"])

    def test_everybodyTwice(self):
        """Two that concern everybody begin one after the other."""
        self.turns.add(EVERYBODY, 1, "x")
        self.turns.add(EVERYBODY, 2, "y")
        (first,) = self.begun()
        self.turns.done(first)
        self.assertEqual(self.contents(), ["y"])

    def test_throughIsCumulative(self):
        """An early one that is not done holds the acknowledgement back."""
        for number in (1, 2, 3):
            self.turns.add(number, number, number)
        one, two, three = self.begun()
        self.turns.done(three)
        self.turns.done(two)
        self.assertEqual(self.turns.through, 0)
        self.turns.done(one)
        self.assertEqual(self.turns.through, 3)

    def test_numbersWithGaps(self):
        """Numbers need not follow each other closely."""
        self.turns.add(1, 5, "a")
        self.turns.add(1, 900, "b")
        self.turns.done(self.turns.begin())
        self.assertEqual(self.turns.through, 5)
        self.turns.done(self.turns.begin())
        self.assertEqual(self.turns.through, 900)

    def test_renumber(self):
        """On a new connection old numbers acknowledge nothing, and keep their turn."""
        self.turns.add(1, 7, "done")
        self.turns.done(self.turns.begin())
        self.turns.add(1, 8, "old")
        self.turns.add(2, 9, "early")
        old, early = self.begun()
        self.turns.done(early)
        self.assertEqual(self.turns.unacknowledged, 2)
        self.turns.renumber(7)
        self.assertEqual(self.turns.unacknowledged, 0)
        self.turns.add(1, 8, "new")
        self.assertEqual(self.contents(), [])
        self.turns.done(old)
        self.assertEqual(self.turns.through, 7)
        (new,) = self.begun()
        self.assertEqual((old.era, new.era, self.turns.era), (0, 1, 1))
        self.turns.done(new)
        self.assertEqual(self.turns.through, 8)

    def test_tooMany(self):
        """More than a core may send is its fault."""
        for number in range(10):
            self.turns.add(7, number + 1, None)
        self.assertRaises(PeerError, self.turns.add, 7, 0, None)
        self.assertEqual(len(self.turns), 10)

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.one_of(
                st.tuples(
                    st.just("add"), st.sampled_from([EVERYBODY, 1, 2, 3]), st.booleans()
                ),
                st.tuples(st.just("begin")),
                st.tuples(st.just("done"), st.integers(0, 5)),
                st.tuples(st.just("renumber")),
            ),
            max_size=60,
        )
    )
    def test_anything(self, steps):
        """Whatever comes: order by key, nobody beside everybody, nothing lost."""
        turns = Turns(50, 3)
        number, came, running, began, era = 0, [], [], [], 0
        for step, *arguments in steps:
            if step == "add" and len(turns) < 50:
                key, is_event = arguments
                number += is_event
                content = (len(came), key, era, number if is_event else 0)
                turns.add(key, content[3], content)
                came.append(content)
            elif step == "begin":
                entry = turns.begin()
                if entry is not None:
                    self.check_beside(entry, running)
                    running.append(entry)
                    began.append(entry.content)
            elif step == "done" and running:
                turns.done(running.pop(arguments[0] % len(running)))
            elif step == "renumber":
                turns.renumber(0)
                number, era = 0, era + 1
            self.check_through(turns, came, running, began, era)
        while running or len(turns):
            entry = turns.begin()
            if entry is not None:
                self.check_beside(entry, running)
                running.append(entry)
                began.append(entry.content)
            else:
                turns.done(running.pop())
        self.assertEqual(sorted(began, key=lambda c: c[0]), came)
        for key in (EVERYBODY, 1, 2, 3):
            mine = [content for content in began if content[1] is key]
            self.assertEqual(mine, [content for content in came if content[1] is key])
        self.check_walls(came, began)
        self.assertEqual((turns.through, turns.unacknowledged), (number, 0))

    def check_beside(self, entry, running):
        """Nothing else of that key has begun, and nothing beside everybody."""
        keys = [other.key for other in running]
        self.assertNotIn(entry.key, keys)
        self.assertNotIn(EVERYBODY, keys)
        if entry.key is EVERYBODY:
            self.assertEqual(keys, [])
        self.assertLess(len(running), 3)

    def check_through(self, turns, came, running, began, era):
        """The acknowledgement is the last number before the first one open."""
        busy = {entry.content[0] for entry in running}
        has_begun = {content[0] for content in began}
        through = 0
        for place, _, whose, number in came:
            if whose == era and number:
                if place in busy or place not in has_begun:
                    break
                through = number
        self.assertEqual(turns.through, through)

    def check_walls(self, came, began):
        """Nobody passes one that concerns everybody."""
        where = {content[0]: at for at, content in enumerate(began)}
        for place, key, _, _ in came:
            if key is EVERYBODY:
                self.assertTrue(
                    all(
                        (other < place) == (where[other] < where[place])
                        for other in where
                        if other != place
                    )
                )
