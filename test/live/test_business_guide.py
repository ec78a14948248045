"""The programs of docs/business.md run as they stand there."""

import json
import re
import signal
import sys

from twisted.trial.unittest import TestCase

from anychat.errors import Refused
from test.live.call import until
from test.live.test_business import BusinessCase
from test.test_layering import ROOT

#: In the place of Flask, which this project does not need: what the example uses.
FLASK = """
class Flask:
    def __init__(self, name):
        self.views = {}

    def get(self, path):
        return lambda view: self.views.setdefault(path, view)
"""

#: Serves one view after the other, as they are named on standard input.
SERVE = """
import json, os, runpy, sys
os.chdir({directory!r})
sys.path.insert(0, {directory!r})
module = runpy.run_path("web.py")
for line in sys.stdin:
    print(json.dumps(module["app"].views[line.strip()]()), flush=True)
"""

#: Runs a program where its settings are.
RUN = """
import os, runpy
os.chdir({directory!r})
runpy.run_path({name!r}, run_name="__main__")
"""


class GuideTests(BusinessCase, TestCase):
    """A newcomer copies a program and starts it."""

    async def setUp(self):
        """A core, and the programs beside the settings."""
        await super().setUp()
        text = (ROOT / "docs" / "business.md").read_text(encoding="utf-8")
        programs = re.findall(r'^```python\n("""(\w+\.py):.*?)^```', text, re.M | re.S)
        self.assertEqual(
            [name for _, name in programs],
            ["shop.py", "functions.py", "aio.py", "web.py"],
        )
        self.directory = self.settings.parent
        for program, name in programs:
            (self.directory / name).write_text(program, encoding="utf-8")
        (self.directory / "flask.py").write_text(FLASK, encoding="utf-8")

    async def test_shop(self):
        """It lets in who it knows, into the rooms that it says, and greets."""
        shop = await self.business(
            sys.executable,
            "-c",
            RUN.format(directory=str(self.directory), name="shop.py"),
        )
        await until(lambda: "Success connected to anychatcoreserver" in shop.text)
        self.assertEqual(await self.refused("ann", "pear"), 200)
        self.assertEqual(await self.refused("eve", "pear"), 200)
        bob, ann, greetings = await self.client(), await self.client(), []
        bob.events.on_sdk_filter_data = greetings.append
        await bob.login("bob", "pear")
        self.assertEqual((bob.user_id, bob.nickname, bob.level), (2, "Bob", 1))
        refusal = await self.assertFailure(bob.enter_room(7), Refused)
        self.assertEqual(refusal.code, 305)
        await bob.enter_room(1)
        await until(lambda: greetings == [b"welcome"])
        await ann.login("ann", "apple")
        await ann.enter_room(7)
        await shop.end(signal.SIGINT)
        self.assertIn("Invoke Release", shop.text)
        self.assertNotIn("Traceback", shop.text)
        self.assertEqual(await self.refused("ann", "apple"), 206)

    async def test_functions(self):
        """Functions in a program with a reactor of its own; it logs what happens."""
        await self.program_lets_in_ann("functions.py")

    async def test_asyncio(self):
        """Callbacks that wait for what is asyncio's, and that for a call."""
        await self.program_lets_in_ann("aio.py")

    async def program_lets_in_ann(self, name):
        """Who ann is it knows, and ends in order."""
        program = await self.business(
            sys.executable, "-c", RUN.format(directory=str(self.directory), name=name)
        )
        await until(lambda: "Success connected to anychatcoreserver" in program.text)
        self.assertEqual(await self.refused("ann", "pear"), 200)
        ann = await self.client()
        await ann.login("ann", "apple")
        await ann.enter_room(1)
        await program.end(signal.SIGINT)
        self.assertIn("Invoke Release", program.text)
        self.assertNotIn("Traceback", program.text)

    async def test_web(self):
        """A program without Twisted lets in, and asks from its own threads."""
        web = await self.business(
            sys.executable, "-c", SERVE.format(directory=str(self.directory))
        )
        ann = await self.client()
        self.assertEqual(await self.refused("ann", "pear"), 200)
        await ann.login("ann", "apple")
        await ann.enter_room(1)
        web.transport.write(b"/online\n")
        await until(lambda: "\n" in web.text)
        self.assertEqual(json.loads(web.text), {"online": [1]})
        web.transport.closeStdin()
        await web.ended
        self.assertEqual(web.text.count("\n"), 1)
