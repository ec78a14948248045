"""The command line of ``anychat-client``, read and checked."""

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.options import parse
from anychat.client.trust import AnyCertificate, Fingerprint, KnownServers

JOIN = ["join", "host", "--user", "me", "--room", "1"]


class ParseTests(SynchronousTestCase):
    """`parse`."""

    def parse(self, *arguments, **environment):
        """Options of a good command line."""
        return parse(arguments, environment)

    def refused(self, *arguments):
        """What is printed about a bad one."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            ended = self.assertRaises(SystemExit, parse, arguments, {})
        self.assertEqual(ended.code, 2)
        return errors.getvalue()

    def test_join(self):
        """All options of the tool's own description."""
        options = self.parse(
            *("join", "[::1]:99", "--user", "me", "--password", "p"),
            *("--auth-pass", "s", "--room", "lounge", "--room-password", "r"),
            *("--publish", "test:", "--watch", "5,6", "--save", "d"),
            *("--text", "hi", "--seconds", "1.5", "--json", "--insecure"),
        )
        self.assertEqual(options.address, ("::1", 99))
        self.assertEqual((options.password, options.auth_pass), ("p", "s"))
        self.assertEqual((options.room, options.room_password), ("lounge", "r"))
        self.assertEqual(options.watch, {5, 6})
        self.assertEqual(options.seconds, 1.5)
        self.assertIsInstance(options.trust, AnyCertificate)
        self.assertTrue(options.json)
        self.assertTrue(options.media)

    def test_defaults(self):
        """A guest, trust on first use, no media, no end."""
        options = self.parse(*JOIN)
        self.assertEqual((options.password, options.auth_pass), ("", ""))
        self.assertEqual(options.room, 1)
        self.assertIsInstance(options.trust, KnownServers)
        self.assertIsNone(options.seconds)
        self.assertEqual(options.watch, frozenset())
        self.assertFalse(options.media)
        self.assertEqual(options.log, "BRAnyChatCore.log")

    def test_environment(self):
        """Passwords may come from the environment; the command line wins."""
        environment = {"ANYCHAT_PASSWORD": "p", "ANYCHAT_AUTH_PASS": "s"}
        options = self.parse(*JOIN, **environment)
        self.assertEqual((options.password, options.auth_pass), ("p", "s"))
        options = self.parse(*JOIN, "--password", "", **environment)
        self.assertEqual(options.password, "")

    def test_watch(self):
        """All, ids, ids of guests; to save is to watch all."""
        self.assertIsNone(self.parse(*JOIN, "--watch", "all").watch)
        self.assertEqual(self.parse(*JOIN, "--watch=-2,5").watch, {-2, 5})
        self.assertIsNone(self.parse(*JOIN, "--save", "d").watch)
        options = self.parse(*JOIN, "--save", "d", "--watch", "5")
        self.assertEqual(options.watch, {5})

    def test_overrides(self):
        """What a published picture is to be, where the server's default is not."""
        publish = (*JOIN, "--publish", "test:")
        self.assertEqual(self.parse(*publish).overrides, {})
        options = self.parse(
            *(*publish, "--video-size", "640x480"),
            *("--fps", "25", "--video-bitrate", "5.5k", "--layers", "2"),
        )
        self.assertEqual(
            options.overrides,
            {
                "video_width": 640,
                "video_height": 480,
                "video_fps": 25,
                "video_bitrate": 5500,
                "video_layers": 2,
            },
        )

    def test_fingerprint(self):
        """A pinned certificate."""
        options = self.parse("info", "host", "--fingerprint", "ab" * 32)
        self.assertIsInstance(options.trust, Fingerprint)

    def test_usage(self):
        """What does not go together exits with 2 and says what is wrong."""
        for arguments, text in (
            ([*JOIN, "--fps", "5"], "go with --publish"),
            ([*JOIN, "--fingerprint", "12"], "64 hex digits"),
            ([*JOIN, "--ca", "/nowhere"], "/nowhere"),
            ([*JOIN, "--plain", "--password", "p"], "--plain carries neither"),
            ([*JOIN, "--plain", "--watch", "all"], "--plain carries neither"),
            ([*JOIN, "--plain", "--publish", "test:"], "--plain carries neither"),
        ):
            self.assertIn(text, self.refused(*arguments))
