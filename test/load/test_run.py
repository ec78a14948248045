"""What the program says when it cannot measure."""

import resource

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.errors import ConfigError, PeerError, Refused
from anychat.load.crowd import SetUpFailed
from anychat.load.run import explain, raise_file_limit


class ExplainTests(SynchronousTestCase):
    """Texts and exit codes."""

    def explain(self, cause: Exception, step: str = "signing in") -> tuple[str, int]:
        """What is said of a cause."""
        return explain(SetUpFailed(step, cause))

    def test_refused(self):
        """Number and name of the code, and at which step."""
        text, code = self.explain(Refused(ResultCode.ROOM_LOCK), "entering rooms")
        self.assertEqual(code, 1)
        number = ResultCode.ROOM_LOCK.value
        self.assertTrue(
            text.startswith(f"refused while entering rooms: {number} ROOM_LOCK"),
            text,
        )

    def test_noServer(self):
        """Where no server answers the exit code is another one."""
        text, code = self.explain(Refused(ResultCode.CONNECT_SOCKETERR, "nobody"))
        self.assertTrue(text.endswith(": nobody"), text)
        self.assertEqual(code, 3)

    def test_interrupted(self):
        """Ctrl-C is no fault of the server's."""
        text, _ = self.explain(Refused(ResultCode.CANCEL, "interrupted"))
        self.assertEqual(text, "interrupted while signing in")

    def test_others(self):
        """A server that talks nonsense, and trouble of our own."""
        self.assertIn("broke the protocol", self.explain(PeerError("frame"))[0])
        self.assertIn("too many files", self.explain(OSError("too many files"))[0])


class FileLimitTests(SynchronousTestCase):
    """Descriptors."""

    def test_raised(self):
        """The limit is raised as far as is needed, or the number is told."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        soft, hard = before
        lower = min(256, soft)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lower, hard))
        raise_file_limit(200)
        self.assertGreaterEqual(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 464)
        error = self.assertRaises(ConfigError, raise_file_limit, 1 << 40)
        self.assertIn("descriptors", str(error))
