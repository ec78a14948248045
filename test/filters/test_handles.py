"""Numbers for sessions."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.filters.handles import Handles


class HandlesTests(SynchronousTestCase):
    """`Handles` alone."""

    def test_ofOneSession(self):
        """A handle is good for one session of one user."""
        handles = Handles()
        ann, bob = handles.begin(1), handles.begin(-2)
        self.assertTrue(handles.matches(1, ann))
        self.assertFalse(handles.matches(1, bob))
        self.assertFalse(handles.matches(3, ann))
        handles.end(1)
        self.assertFalse(handles.matches(1, ann))
        again = handles.begin(1)
        self.assertNotEqual(again, ann)
        self.assertFalse(handles.matches(1, ann))
        self.assertTrue(handles.matches(1, again))

    def test_newSessionReplaces(self):
        """Two logins of a user without a logout leave the second's handle."""
        handles = Handles()
        first, second = handles.begin(1), handles.begin(1)
        self.assertFalse(handles.matches(1, first))
        self.assertTrue(handles.matches(1, second))
        self.assertEqual(len(handles), 1)

    def test_unknownEnd(self):
        """The end of a session that nobody knew of is nothing."""
        handles = Handles()
        handles.end(5)
        self.assertEqual(len(handles), 0)

    def test_wrapsAround(self):
        """After 2**32 - 1 come those that are free, and never 0."""
        handles = Handles()
        self.assertEqual([handles.begin(1), handles.begin(2)], [1, 2])
        handles._last = Handles.MAXIMUM - 1
        self.assertEqual(handles.begin(3), Handles.MAXIMUM)
        handles.end(2)
        self.assertEqual(handles.begin(4), 2)
        self.assertEqual(handles.begin(5), 3)
