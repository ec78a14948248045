"""docs/business.md, part "The SDK", tells everything that there is."""

import inspect
import re

from twisted.trial.unittest import SynchronousTestCase

from anychat.business.blocking import BlockingServer
from anychat.business.callbacks import NAMES, Callbacks
from anychat.business.calls import Calls
from anychat.business.server import BusinessServer
from test.test_layering import ROOT

#: Options of `BusinessServer` that are for tests.
INNER = {"random_bytes", "uniform", "endpoint", "derive"}


class GuideTests(SynchronousTestCase):
    """Nothing is left out, and nothing is told that is not so."""

    def setUp(self):
        """The part."""
        text = (ROOT / "docs" / "business.md").read_text(encoding="utf-8")
        self.text = text.partition("\n## The SDK\n")[2].partition("\n## ")[0]

    def section(self, heading):
        """What stands under a heading."""
        return self.text.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]

    def test_callbacks(self):
        """The tables of callbacks have each with its arguments."""
        told = dict(
            re.findall(
                r"^\| `(\w+)` \|(?: `([^`]+)`)? \|", self.section("Callbacks"), re.M
            )
        )
        real = {}
        for name in NAMES:
            parameters = inspect.signature(getattr(Callbacks, name)).parameters
            real[name] = ", ".join(list(parameters)[1:])
        self.assertEqual(told, real)

    def test_calls(self):
        """The tables of calls have each with its arguments and defaults."""
        rows = re.findall(
            r"^\| `(\w+\([^`]*\))` \|", self.section("What can be called"), re.M
        )
        real = set()
        for name, method in inspect.getmembers(Calls, inspect.isfunction):
            if name.startswith("_"):
                continue
            parameters = []
            for parameter in list(inspect.signature(method).parameters.values())[1:]:
                text = parameter.name
                if parameter.default is not inspect.Parameter.empty:
                    text += f"={parameter.default!r}".replace("'", '"')
                parameters.append(text)
            real.add(f"{name}({', '.join(parameters)})")
        self.assertEqual(set(rows), real)
        self.assertEqual(len(rows), len(real))

    def test_options(self):
        """Every option with its default."""
        rows = re.findall(
            r"^\| `(\w+)` \| ([^|]+) \| (.*) \|$",
            self.section("Options and figures"),
            re.M,
        )
        both = {}
        for kind in (BusinessServer, BlockingServer):
            for name, option in inspect.signature(kind).parameters.items():
                if option.kind is option.KEYWORD_ONLY and name not in INNER:
                    both.setdefault(name, {})[kind.__name__] = option.default
        self.assertEqual([name for name, _, _ in rows], [*_ordered(both)])
        for name, default, text in rows:
            kinds = both[name]
            if len(kinds) == 1:
                self.assertTrue(text.startswith(f"`{next(iter(kinds))}`: "), name)
            for value in kinds.values():
                if isinstance(value, int | float):
                    self.assertEqual(float(default), value, name)

    def test_figures(self):
        """What there is to see is named."""
        for name, _ in inspect.getmembers(
            BusinessServer, lambda member: isinstance(member, property)
        ):
            self.assertIn(f"`{name}`", self.section("Options and figures"))


def _ordered(options):
    """Options of both kinds first, then those of one."""
    return sorted(options, key=lambda name: (len(options[name]) < 2, _PLACE[name]))


_PLACE = {
    name: place
    for place, name in enumerate(
        (
            "log",
            "callback_timeout",
            "call_timeout",
            "side_by_side",
            "agent",
            "threads",
            "name",
        )
    )
}
