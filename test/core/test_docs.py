"""docs/core.md speaks of everything that the core knows."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.core import changes, commands, effects
from anychat.core.hall import _MESSAGES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "core.md"


class DocumentTests(SynchronousTestCase):
    """`docs/core.md`."""

    def test_complete(self):
        """Every message, command, change and effect is named in it."""
        text = DOCUMENT.read_text(encoding="utf-8")
        kinds = [
            *_MESSAGES,
            *commands.Command.__subclasses__(),
            *changes.Change.__subclasses__(),
        ]
        self.assertEqual(
            [kind.__name__ for kind in kinds if f"`{kind.__name__}`" not in text], []
        )
        for kind in effects.Effect.__subclasses__():
            self.assertRegex(text, rf"`?{kind.__name__}\b")
