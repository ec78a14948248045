"""docs/client.md tells everything that there is."""

import inspect
import re

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.client import Client
from anychat.client.events import ClientEvents
from anychat.client.parser import parser
from test.test_layering import ROOT


class GuideTests(SynchronousTestCase):
    """Nothing is left out, and nothing is told that is not so."""

    def setUp(self):
        """The guide."""
        self.text = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")

    def rows(self, heading):
        """First cells of the tables under a heading, without their quotes."""
        section = self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        return re.findall(r"^\| `([^`]+)` \|", section, re.M)

    def test_events(self):
        """The table of events has each event with its arguments."""
        section = self.text.partition("\n## Events\n")[2].partition("\n## ")[0]
        told = dict(re.findall(r"^\| `(on_\w+)` \| `([^`]+)` \|", section, re.M))
        real = {
            name: ", ".join(
                list(inspect.signature(getattr(ClientEvents, name)).parameters)[1:]
            )
            for name in dir(ClientEvents)
            if name.startswith("on_")
        }
        self.assertEqual(told, real)

    def test_calls(self):
        """The table of calls has each call with its arguments and defaults."""
        told = {row for row in self.rows("Calls") if "(" in row}
        real = set()
        for name, method in inspect.getmembers(Client, inspect.isfunction):
            if name.startswith(("_", "session_")):
                continue
            parameters = []
            for parameter in list(inspect.signature(method).parameters.values())[1:]:
                text = parameter.name
                if parameter.default is not inspect.Parameter.empty:
                    value = parameter.default
                    shown = int(value) if type(value) is int else repr(value)
                    text += f"={shown}".replace("'", '"')
                parameters.append(text)
            real.add(f"{name}({', '.join(parameters)})")
        self.assertEqual(told, real)

    def test_properties(self):
        """Everything that there is to see is named."""
        for name, _ in inspect.getmembers(
            Client, lambda member: isinstance(member, property)
        ):
            self.assertIn(f"`{name}`", self.text)

    def test_clientOptions(self):
        """Every option of a client, those for tests left out, is told."""
        told = [row for row in self.rows("Calls") if "(" not in row]
        signature = inspect.signature(Client.__init__).parameters
        inner = {"self", "reactor", "events"}
        inner |= {"random_bytes", "uniform", "endpoint", "derive", "media", "in_thread"}
        self.assertEqual(told, [name for name in signature if name not in inner])

    def test_commandLine(self):
        """Every option of the tool is in its synopsis, and no other one."""
        section = self.text.partition("\n## The console tool\n")[2]
        synopsis = section.partition("```\n")[2].partition("```")[0]
        told = set(re.findall(r"--[\w-]+", synopsis))
        real = set(re.findall(r"--[\w-]+", parser().format_usage()))
        commands = parser()._subparsers._group_actions[0].choices.values()
        for command in commands:
            real |= set(re.findall(r"--[\w-]+", command.format_usage()))
        self.assertEqual(told, real)
