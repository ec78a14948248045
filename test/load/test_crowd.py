"""How a run ends that cannot begin."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.load.crowd import PATIENCE, Crowd, SetUpFailed
from anychat.load.layout import Layout
from anychat.load.pattern import steady


class Reactor(Clock):
    """Time, readers, and threads in which nothing happens."""

    def __init__(self):
        super().__init__()
        self.readers = []
        self.addReader = self.readers.append
        self.removeReader = self.readers.remove

    def getThreadPool(self):
        """Itself."""
        return self

    def callFromThread(self, call, *arguments):
        """At once."""
        call(*arguments)

    def callInThreadWithCallback(self, result, call, *arguments):
        """It is over at once, and was never begun."""
        result(True, None)


class Silent:
    """Dials servers that say nothing; keeps who did."""

    def __init__(self):
        self.owners = []
        self.closed = 0

    def dial(self, host, port, owner):
        """Never comes about."""
        self.owners.append(owner)
        return self

    def close(self):
        """It is not wanted any more."""
        self.closed += 1


class CrowdTests(SynchronousTestCase):
    """Bounds and failures of the set-up."""

    def setUp(self):
        """A crowd of 50 before a silent server."""
        self.reactor = Reactor()
        self.dialler = Silent()
        self.said = []
        self.crowd = Crowd(
            self.reactor,
            self.dialler,
            Layout(50, 50, 1),
            steady(200, 50),
            seconds=1.0,
            name="load",
            password="",
            random_bytes=bytes,
            say=self.said.append,
        )
        self.running = Deferred.fromCoroutine(self.crowd.run("h", 1))

    def ended(self) -> SetUpFailed:
        """Why the run has ended; nothing is left of it."""
        self.reactor.advance(1)
        error = self.failureResultOf(self.running, SetUpFailed).value
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, [])
        return error

    def test_fewAtATime(self):
        """No more dial at once than a server takes from one address."""
        self.assertEqual(len(self.dialler.owners), 32)
        self.assertEqual(self.said, ["signing in"])
        self.crowd.stop()
        self.ended()

    def test_stalled(self):
        """A server that says nothing is waited for so long and no longer."""
        for _ in range(int(PATIENCE)):
            self.reactor.advance(1)
        self.assertNoResult(self.running)
        self.reactor.advance(1)
        error = self.ended()
        self.assertEqual(error.step, "signing in")
        self.assertIn("nothing moved", str(error))
        self.assertEqual(self.dialler.closed, 32)

    def test_firstRefusal(self):
        """The first no ends it for all, with its code."""
        refusal = Refused(ResultCode.CONNECT_AUTHFAIL)
        self.dialler.owners[3].connection_lost(self.dialler, refusal)
        error = self.ended()
        self.assertIs(error.cause, refusal)
        self.assertEqual(len(self.dialler.owners), 32)

    def test_interrupted(self):
        """Ctrl-C ends it too."""
        self.crowd.stop()
        cause = self.ended().cause
        assert isinstance(cause, Refused)
        self.assertEqual(cause.code, ResultCode.CANCEL)
