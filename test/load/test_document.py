"""docs/load.md against the program."""

import re

from twisted.trial.unittest import SynchronousTestCase

from anychat.load.options import parser
from anychat.load.pattern import VIDEO
from anychat.load.summary import Summary
from test.test_layering import ROOT


class DocumentTests(SynchronousTestCase):
    """What the page names is there, and the other way round."""

    def setUp(self):
        """The page."""
        self.text = (ROOT / "docs" / "load.md").read_text()

    def test_options(self):
        """Every option is on the page, and no other."""
        named = set(re.findall(r"--[a-z][a-z-]+", self.text))
        known = {
            option
            for action in parser()._actions
            for option in action.option_strings
            if option.startswith("--") and option != "--help"
        }
        self.assertEqual(named, known)

    def test_pictures(self):
        """The pictures have the rates that the page tells."""
        for name, pattern in VIDEO.items():
            self.assertIn(f"`--video {name}`", self.text)
            rate = pattern.rate * pattern.size * 8 / 1e6
            self.assertRegex(self.text, rf"`--video {name}`.*{rate:.1f} Mbit/s")

    def test_figures(self):
        """The figures that it explains are those of the JSON."""
        told = set(re.findall(r"`([a-z]+_[a-z_]+)`", self.text))
        self.assertEqual(told - set(Summary.__annotations__), set())
