"""The client's log on its way to the server."""

from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.log import ClientLog
from anychat.client.log_upload import PART, LogUpload, tail
from anychat.codes import ResultCode
from anychat.errors import Refused
from anychat.messages import LogPart
from anychat.protocols.formats_quality import LOG_PART_MAXIMUM


class LogUploadTests(SynchronousTestCase):
    """`LogUpload` with a log of the test's."""

    def setUp(self):
        self.path = Path(self.mktemp())
        self.log = ClientLog(str(self.path))
        self.parts = []
        self.answer = lambda: succeed(None)
        self.upload = LogUpload(self.log, self.ask)

    def ask(self, message):
        """A request."""
        self.parts.append(message)
        return self.answer()

    def test_whole(self):
        """Part after part, each as long as it may be."""
        content = bytes(range(256)) * 300
        self.path.write_bytes(content)
        self.assertEqual(self.successResultOf(self.upload.upload()), len(content))
        self.assertEqual(b"".join(part.data for part in self.parts), content)
        self.assertEqual([part.offset for part in self.parts], [0, PART, 2 * PART])
        self.assertEqual({part.length for part in self.parts}, {len(content)})
        self.assertLessEqual(PART, LOG_PART_MAXIMUM)

    def test_end(self):
        """Of a long log the end, from the start of a line."""
        self.path.write_bytes(b"first line\nsecond line\nthird line\n")
        self.upload.wanted(20)
        self.assertEqual(self.parts, [LogPart(0, 11, b"third line\n")])
        self.assertEqual(tail(str(self.path), 5), b"line\n")

    def test_oneAfterTheOther(self):
        """A part waits for the answer to the one before."""
        self.path.write_bytes(bytes(PART + 1))
        answers = [Deferred(), Deferred()]
        waiting = list(answers)
        self.answer = lambda: waiting.pop(0)
        done = self.upload.upload()
        self.assertEqual(len(self.parts), 1)
        self.upload.wanted(99)
        self.assertEqual(self.failureCode(self.upload.upload()), 13)
        answers[0].callback(None)
        self.assertEqual(len(self.parts), 2)
        self.assertNoResult(done)
        answers[1].callback(None)
        self.successResultOf(done)

    def failureCode(self, outcome):
        """The code that a call fails with."""
        return self.failureResultOf(outcome, Refused).value.code

    def test_refused(self):
        """The server's no ends it; the log says so where nobody asked."""
        self.path.write_bytes(bytes(PART + 1))
        self.answer = lambda: fail(Refused(ResultCode.DISKSPACELIMITED))
        self.assertEqual(self.failureCode(self.upload.upload()), 43)
        self.assertEqual(len(self.parts), 1)
        self.upload.wanted(1 << 20)
        self.assertIn("not sent", self.path.read_text(errors="replace"))

    def test_none(self):
        """No log, an empty one, one that is kept private."""
        self.assertEqual(self.failureCode(self.upload.upload()), 9)
        self.path.write_bytes(b"")
        self.assertEqual(self.failureCode(self.upload.upload()), 9)
        self.path.write_bytes(b"line\n")
        self.upload.automatic = False
        self.upload.wanted(99)
        LogUpload(ClientLog(None), self.ask).wanted(99)
        self.assertEqual(self.parts, [])
