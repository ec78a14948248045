"""The core as the tests of plug-ins have it: it writes down what it is told."""

from twisted.internet.task import Clock

from anychat.business_messages import Answer
from anychat.codes import ResultCode


class Owner:
    """A `FilterOwner`.

    :ivar told: who decides and whether somebody hears, as last told.
    """

    def __init__(self):
        self.told = None
        self.calls = []
        self.present = ()
        self.answer = Answer(ResultCode.SUCCESS)

    def arbiters(self, verifier, admitter, hears=False):
        """Who decides."""
        self.told = (verifier.name, admitter.name, hears)

    def call(self, call):
        """Something is to be done."""
        self.calls.append(call)
        return self.answer

    def online(self):
        """Who is signed in."""
        return self.present

    def sent(self):
        """(user id, data) of what was sent since the last time."""
        calls, self.calls = self.calls, []
        return [(call.user_id, call.data) for call in calls]


class Reactor(Clock):
    """A clock that takes what other threads want done, and starts processes.

    :ivar start: what `spawnProcess` does.
    """

    def __init__(self):
        super().__init__()
        self.from_threads = []
        self.start = None

    def callFromThread(self, function, *arguments):
        """As IReactorFromThreads has it."""
        self.from_threads.append((function, arguments))

    def take_from_threads(self):
        """Do what was wanted until then; how much that was."""
        wanted, self.from_threads = self.from_threads, []
        for function, arguments in wanted:
            function(*arguments)
        return len(wanted)

    def spawnProcess(self, protocol, executable, arguments, env, childFDs):
        """As IReactorProcess has it."""
        return self.start(protocol, arguments)
