"""docs/filters.md says what the code does."""

import re

from twisted.trial.unittest import SynchronousTestCase

from anychat.filters.hooks import (
    GET_VERSION,
    HOOKS,
    INIT_FILTER,
    KINDS,
    RELEASE_FILTER,
    Kind,
)
from test.filters.compiled import SAMPLES
from test.test_layering import ROOT

PAGE = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")


def block(language):
    """The page's one block of code in that language."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    return text


class DocumentTests(SynchronousTestCase):
    """The page against the table of hooks."""

    def test_pythonHooks(self):
        """Every function is there, with its parameters in their order."""
        found = {
            name: tuple(filter(None, re.split(r",\s*", parameters)))
            for name, parameters in re.findall(r"def (\w+)\((.*?)\)", block("python"))
        }
        own = {GET_VERSION: (), INIT_FILTER: ("send",), RELEASE_FILTER: ()}
        hooks = {hook.name: hook.arguments for hook in HOOKS}
        self.assertEqual(found, own | hooks)

    def declarations(self, text):
        """Function -> names of its parameters."""
        return {
            name: [
                words[-1]
                for words in map(re.compile(r"\w+").findall, parameters.split(","))
            ]
            for name, parameters in re.findall(r"^\w+ (BRFP_\w+)\((.*?)\)", text,
                                               re.M | re.S)
        }  # fmt: skip

    def test_compiledHooks(self):
        """Every export is declared with the parameters that it is called with."""
        found = self.declarations(block("c"))
        for hook in HOOKS:
            wanted = []
            for name in hook.arguments:
                if KINDS[name] is Kind.BUFFER:
                    wanted += ["buf" if name == "data" else name, "len"]
                else:
                    wanted.append(name)
            if hook.name == "verify_user":
                wanted += ["user_id", "level", "nickname", "nickname_capacity"]
            self.assertEqual(found[hook.export], wanted)
        self.assertEqual(len(found), len(HOOKS) + 3)

    def test_sampleHasThemAll(self):
        """The samples show every function."""
        source = (SAMPLES / "welcome_filter.c").read_text()
        self.assertEqual(
            self.declarations(source).keys(), self.declarations(block("c")).keys()
        )
        source = (SAMPLES / "welcome_filter.py").read_text()
        for name in re.findall(r"def (\w+)\(", block("python")):
            self.assertIn(f"\ndef {name}(", source)

    def test_tableOfHooks(self):
        """The table has a row for each."""
        rows = set(re.findall(r"^\| (\w+) \|", PAGE, re.M))
        names = {hook.camel for hook in HOOKS}
        self.assertLessEqual(
            names | {"GetVersion", "InitFilter", "ReleaseFilter"}, rows
        )
