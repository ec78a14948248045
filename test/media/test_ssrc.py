"""SSRCs are never zero, in use or lately used."""

from itertools import chain

from twisted.trial.unittest import SynchronousTestCase

from anychat.media.ssrc import REMEMBERED, SsrcSource


def scripted(*numbers):
    """Random bytes that are not random."""
    script = iter(numbers)
    return lambda count: next(script).to_bytes(count, "big")


class SsrcSourceTests(SynchronousTestCase):
    """`SsrcSource`."""

    def test_notZero(self):
        """Zero means "none" in messages."""
        self.assertEqual(SsrcSource(scripted(0, 7)).new(), 7)

    def test_notLatelyUsed(self):
        """One that was given out is not given again soon, but later it is."""
        many = range(100, 100 + REMEMBERED)
        source = SsrcSource(scripted(7, 7, 8, *many, 7))
        self.assertEqual([source.new(), source.new()], [7, 8])
        for _ in many:
            source.new()
        self.assertEqual(source.new(), 7)
        self.assertEqual(len(source._remembered), REMEMBERED)

    def test_notInUse(self):
        """One that is held is not given however long ago that was."""
        many = range(100, 100 + REMEMBERED)
        source = SsrcSource(scripted(*chain((7,), many, (7, 5, 7))))
        source.hold(source.new())
        for _ in many:
            source.new()
        self.assertEqual(source.new(), 5)
        source.release(7)
        self.assertEqual(source.new(), 7)
