"""The command line."""

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.trust import AnyCertificate, KnownServers
from anychat.load.layout import Layout
from anychat.load.options import parse
from anychat.load.pattern import VIDEO


class OptionsTests(SynchronousTestCase):
    """What is asked for, and what is refused."""

    def test_defaults(self):
        """Ten users in one room, of whom one publishes."""
        options = parse(["example.org"], {})
        self.assertEqual(options.address, ("example.org", 8906))
        self.assertEqual(options.layout, Layout(10, 10, 1))
        self.assertEqual((options.pattern.size, options.pattern.rate), (1100, 50.0))
        self.assertIsInstance(options.trust, KnownServers)

    def test_all(self):
        """Users, rooms, publishers, packets and secrets."""
        text = (
            "127.0.0.1:99 --users 50 --rooms-of 10 --publishers 3 --size 200 "
            "--rate 40 --burst 4 --seconds 2 --insecure --pid 7 --json"
        )
        secrets = {"ANYCHAT_PASSWORD": "p", "ANYCHAT_AUTH_PASS": "s"}
        options = parse(text.split(), secrets)
        self.assertEqual(options.layout, Layout(50, 10, 3))
        self.assertEqual(options.pattern.fragments, 4)
        self.assertAlmostEqual(options.pattern.rate, 40)
        self.assertEqual((options.password, options.auth_pass), ("p", "s"))
        self.assertIsInstance(options.trust, AnyCertificate)
        self.assertEqual((options.pid, options.json, options.seconds), (7, True, 2.0))

    def test_video(self):
        """A picture comes with its own pattern."""
        options = parse(["h", "--video", "720p"], {})
        self.assertIs(options.pattern, VIDEO["720p"])

    def test_wrong(self):
        """What makes no sense is told, with exit code 2."""
        for arguments in (
            "",
            "h:0",
            "h --users 0",
            "h --users 5 --publishers 6",
            "h --users 50 --rooms-of 5 --publishers 6",
            "h --size 43",
            "h --size 1201",
            "h --rate 0",
            "h --burst 65",
            "h --video 720p --rate 50",
            "h --video 721p",
            "h --seconds -1",
            "h --seconds nan",
            "h --fingerprint 12",
            "h --ca /nonexistent",
            "h --insecure --fingerprint 12",
        ):
            complaint = io.StringIO()
            with contextlib.redirect_stderr(complaint):
                error = self.assertRaises(SystemExit, parse, arguments.split(), {})
            self.assertEqual(error.code, 2, arguments)
            self.assertIn("anychat-load", complaint.getvalue())
