"""The media plane is loaded when it is needed, and stopped in order."""

import inspect
import subprocess
import sys

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.plane import Plane
from anychat.codes import ResultCode
from anychat.errors import LocalError, Refused
from test.client.fakes import FakeMedia
from test.client.server import SETUP


class LazyTests(SynchronousTestCase):
    """Programs that only signal."""

    def run_python(self, program):
        """Run it in an interpreter of its own."""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_notLoaded(self):
        """The client and its tool load neither FFmpeg nor numpy."""
        self.run_python(
            "import sys, anychat.client.client, anychat.client.run\n"
            "assert not {'av', 'numpy'} & set(sys.modules)\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
        )

    def test_missing(self):
        """Where they are missing, media is refused with 783."""
        self.run_python(
            "import sys\n"
            "sys.modules['av'] = None\n"
            "from anychat.client import plane\n"
            "from anychat.errors import Refused\n"
            "for call in (lambda: plane.media_session(None, None, None, None),\n"
            "             lambda: plane.open_source('test:'),\n"
            "             lambda: plane.mp4_sink('x.mp4')):\n"
            "    try:\n"
            "        call()\n"
            "    except Refused as error:\n"
            "        assert error.code == 783\n"
            "    else:\n"
            "        raise AssertionError\n"
        )


class PlaneTests(SynchronousTestCase):
    """`Plane`."""

    def setUp(self):
        """A plane whose media session is a fake."""
        self.media = FakeMedia()
        self.lines, self.warnings = [], []
        self.plane = Plane(
            lambda *_: self.media, None, self.lines.append, self.warnings.append, bytes
        )

    def test_noSetup(self):
        """Without a set-up of the server there is no media."""
        error = self.assertRaises(Refused, self.plane.session)
        self.assertEqual(error.code, ResultCode.FUNCNOTALLOW)

    def test_later(self):
        """It is made when first asked for, and told of later set-ups."""
        self.plane.prepare(SETUP, "192.0.2.1", at_once=False)
        self.assertEqual(self.media.configured, 0)
        self.assertIs(self.plane.session(), self.media)
        self.plane.prepare(SETUP, "192.0.2.2", at_once=False)
        self.assertEqual((self.media.configured, self.media.host), (2, "192.0.2.2"))

    def test_adapts(self):
        """Whether media adapts holds for what is made later, too."""
        self.plane.prepare(SETUP, "192.0.2.1", at_once=False)
        self.plane.adapt(False)
        self.assertIs(self.plane.session().adaptive, False)
        self.plane.adapt(True)
        self.assertIs(self.media.adaptive, True)

    def test_noAddress(self):
        """A set-up without a usable address is refused, and warned of."""

        def configure(setup, host):
            raise LocalError("not an IP address")

        self.media.configure = configure
        self.plane.prepare(SETUP, "nowhere", at_once=False)
        error = self.assertRaises(Refused, self.plane.session)
        self.assertEqual(error.code, ResultCode.CONNECT_ERRORIP)
        self.assertEqual(self.warnings, [ResultCode.WARNING_UDPFAIL])
        self.assertTrue(self.media.stopped)

    def test_stopped(self):
        """What waits for the end of media waits for all that was stopped."""
        ends = []

        def stop():
            ends.append(Deferred())
            return ends[-1]

        for _ in range(2):
            self.media = FakeMedia()
            self.media.stop = stop
            self.plane.prepare(SETUP, "192.0.2.1", at_once=True)
            self.plane.stop()
        waiting = self.plane.stopped("result")
        ends[1].callback(None)
        self.assertNoResult(waiting)
        ends[0].callback(None)
        self.assertEqual(self.successResultOf(waiting), "result")

    def test_stopFails(self):
        """A media session that fails to stop is logged, and holds nothing up."""

        def stop():
            raise RuntimeError("stuck")

        self.media.stop = stop
        self.plane.prepare(SETUP, "192.0.2.1", at_once=True)
        self.plane.stop()
        self.successResultOf(self.plane.stopped())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_seam(self):
        """The real media session has what the fake one stands for."""
        from anychat.client.media.session import MediaSession

        for name in ("configure", "formats", "publish", "receive", "end", "stop"):
            real = inspect.signature(getattr(MediaSession, name)).parameters
            fake = inspect.signature(getattr(FakeMedia, name)).parameters
            self.assertEqual(list(real), list(fake), name)
