"""The verbs of ``anychat-client`` and the options of each."""

import contextlib
import io

from twisted.trial.unittest import SynchronousTestCase

import anychat
from anychat.client.parser import parser

JOIN = ["join", "host", "--user", "me", "--room", "1"]


class ParserTests(SynchronousTestCase):
    """`parser`."""

    def refused(self, *arguments):
        """What is printed about a bad command line."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            ended = self.assertRaises(SystemExit, parser().parse_args, arguments)
        self.assertEqual(ended.code, 2)
        return errors.getvalue()

    def test_version(self):
        """The version is printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            ended = self.assertRaises(SystemExit, parser().parse_args, ["--version"])
        self.assertEqual(ended.code, 0)
        self.assertEqual(printed.getvalue(), f"{anychat.__version__}\n")

    def test_usage(self):
        """Wrong usage exits with 2 and says what is wrong."""
        for arguments, text in (
            ([], "command"),
            (["dance"], "dance"),
            (["join", "host", "--room", "1"], "--user"),
            (["join", "host", "--user", "me"], "--room"),
            ([*JOIN, "--insecure", "--plain"], "not allowed with"),
        ):
            self.assertIn(text, self.refused(*arguments))

    def test_badArguments(self):
        """Each argument is looked at by what it may be."""
        for arguments, text in (
            (["info", "host:x"], "host:x"),
            ([*JOIN[:-1], "0"], "no room number"),
            ([*JOIN, "--watch", "some"], "some"),
            ([*JOIN, "--seconds", "0"], "no number of seconds"),
            ([*JOIN, "--video-size", "640"], "640x480"),
            ([*JOIN, "--fps", "0"], "1 to 60"),
            ([*JOIN, "--video-bitrate", "x"], "0 to 100M"),
            ([*JOIN, "--text", "\udcff"], "'\\udcff' is not UTF-8"),
            (["join", "h", "--room", "1", "--user", "\udcff"], "not UTF-8"),
            (["join", "h", "--room", "\udcff", "--user", "u"], "not UTF-8"),
            (["call", "h", "\udcff", "--user", "u"], "not UTF-8"),
            (["send-text", "h", "\udcff", "--user", "u", "--to", "5"], "not UTF-8"),
            (
                ["send-file", "h", "f", "--user", "u", "--to", "5", "--guid", "\udcff"],
                "not UTF-8",
            ),
        ):
            self.assertIn(text, self.refused(*arguments))
