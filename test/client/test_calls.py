"""Calls that wait their turn."""

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.calls import Calls, Need
from anychat.codes import ResultCode
from anychat.errors import Refused


class CallsTests(SynchronousTestCase):
    """`Calls`."""

    def setUp(self):
        """A queue whose needs the test meets."""
        self.clock = Clock()
        self.met = set()
        self.refused = set()
        self.started = []
        self.calls = Calls(self.clock, self.ready, timeout=30.0, maximum=3)

    def ready(self, need):
        """What the test says."""
        if need in self.refused:
            raise Refused(ResultCode.NOTLOGIN)
        return need in self.met

    def submit(self, name, need, result=None, abandon=None):
        """A call that notes its start."""

        def start():
            self.started.append(name)
            return succeed(name) if result is None else result

        return self.calls.submit(need, start, abandon)

    def assertCode(self, outcome, code):
        """The call failed with that code."""
        self.assertEqual(self.failureResultOf(outcome, Refused).value.code, code)

    def test_order(self):
        """Calls start in the order they were issued, when their need is met."""
        first = self.submit("login", Need.LINK)
        second = self.submit("enter", Need.SESSION)
        self.assertEqual(self.started, [])
        self.met.add(Need.SESSION)
        self.calls.drain()
        self.assertEqual(self.started, [])
        self.met.add(Need.LINK)
        self.calls.drain()
        self.assertEqual(self.successResultOf(first), "login")
        self.assertEqual(self.successResultOf(second), "enter")
        self.assertEqual(self.started, ["login", "enter"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self):
        """A need that will not be met fails its calls, and the next go on."""
        self.met.add(Need.LINK)
        self.refused.add(Need.SESSION)
        self.assertCode(self.submit("a", Need.SESSION), ResultCode.NOTLOGIN)
        self.successResultOf(self.submit("b", Need.LINK))

    def test_timeout(self):
        """A call that waits too long fails and never starts."""
        outcome = self.submit("a", Need.LINK)
        self.clock.advance(30)
        self.assertCode(outcome, ResultCode.CONNECT_TIMEOUT)
        self.met.add(Need.LINK)
        self.calls.drain()
        self.assertEqual(self.started, [])

    def test_noAnswer(self):
        """A call that starts and is not answered fails, is undone, stays quiet."""
        self.met.add(Need.LINK)
        answer, undone = Deferred(), []
        outcome = self.submit("a", Need.LINK, answer, lambda: undone.append(1))
        self.clock.advance(30)
        self.assertCode(outcome, ResultCode.CONNECT_TIMEOUT)
        self.assertEqual(undone, [1])
        answer.callback("late")

    def test_cancelled(self):
        """A waiting call can be cancelled; a started one is undone, too."""
        waiting = self.submit("a", Need.LINK)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.met.add(Need.LINK)
        undone = []
        started = self.submit("b", Need.LINK, Deferred(), lambda: undone.append(1))
        started.cancel()
        self.failureResultOf(started, CancelledError)
        self.assertEqual((self.started, undone), (["b"], [1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bounded(self):
        """More calls than may wait are refused; cancelled ones do not count."""
        waiting = [self.submit(n, Need.LINK) for n in range(3)]
        self.assertCode(self.submit("x", Need.LINK), ResultCode.NOENOUGHRESOURCE)
        waiting[1].cancel()
        self.failureResultOf(waiting[1], CancelledError)
        self.assertNoResult(self.submit("y", Need.LINK))

    def test_callFromCall(self):
        """A call that is issued while another starts waits behind the queue."""
        self.met.add(Need.LINK)
        inner = []

        def start():
            inner.append(self.submit("inner", Need.LINK))
            self.assertEqual(self.started, [])
            return succeed(None)

        self.successResultOf(self.calls.submit(Need.LINK, start))
        self.successResultOf(inner[0])

    def test_startFails(self):
        """An error while starting reaches the caller and nobody else."""
        self.met.add(Need.LINK)

        def start():
            raise Refused(ResultCode.FUNCOPTERROR)

        self.assertCode(self.calls.submit(Need.LINK, start), ResultCode.FUNCOPTERROR)
        self.successResultOf(self.submit("next", Need.LINK))
