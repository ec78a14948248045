"""Requests that wait for their answers."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.outstanding import (
    MESSAGE_BURST,
    MESSAGE_RATE,
    OUTSTANDING_MAXIMUM,
    Outstanding,
)
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode
from anychat.messages import QueryOnlineUsers, Result

ASKED = QueryOnlineUsers()
REPLY = Result(ResultCode.SUCCESS)


class OutstandingTests(SynchronousTestCase):
    """`Outstanding`."""

    def setUp(self):
        """Nothing was asked yet."""
        self.clock = Clock()
        self.eased = []
        self.outstanding = Outstanding(self.clock, lambda: self.eased.append(True))

    def test_answers(self):
        """Each reply goes to the request of its number, once."""
        first = self.outstanding.add(ASKED)
        second = self.outstanding.add(ASKED)
        self.assertTrue(self.outstanding.answer(2, REPLY))
        self.assertFalse(self.outstanding.answer(2, REPLY))
        self.assertFalse(self.outstanding.answer(3, REPLY))
        self.assertEqual(self.successResultOf(second), REPLY)
        self.assertNoResult(first)
        self.assertEqual(list(self.outstanding), [(1, ASKED)])

    def test_lost(self):
        """All that wait are told, and numbers go on."""
        answer = self.outstanding.add(ASKED)
        self.outstanding.lose()
        self.failureResultOf(answer, SessionLost)
        self.assertEqual(list(self.outstanding), [])
        self.assertEqual(self.outstanding.next_number, 2)

    def test_maximum(self):
        """No more than the server remembers replies of wait; an answer makes room."""
        for _ in range(OUTSTANDING_MAXIMUM):
            self.assertTrue(self.outstanding.ready)
            self.outstanding.add(ASKED)
        self.assertFalse(self.outstanding.ready)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.outstanding.answer(1, REPLY)
        self.assertTrue(self.outstanding.ready)

    def spend(self):
        """Ask and be answered as often as goes at once."""
        for number in range(1, int(MESSAGE_BURST) + 1):
            self.outstanding.add(ASKED)
            self.outstanding.answer(number, REPLY)

    def test_paced(self):
        """After a burst there is a word when the next one may be sent."""
        self.spend()
        self.assertFalse(self.outstanding.ready)
        self.assertFalse(self.outstanding.ready)
        self.clock.advance(1.001 / MESSAGE_RATE)
        self.assertEqual(self.eased, [True])
        self.assertTrue(self.outstanding.ready)

    def test_stop(self):
        """Nothing is left running."""
        self.spend()
        self.assertFalse(self.outstanding.ready)
        self.outstanding.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
