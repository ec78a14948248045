"""Which plug-in SDKFilterPlus names."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.filters.choice import FilterChoice, FilterKind, chosen

HERE = Path("/srv/anychat")


class ChoiceTests(SynchronousTestCase):
    """Values of SDKFilterPlus."""

    def test_kinds(self):
        """Each form of the value stands for one kind of plug-in."""
        for value, kind, target in (
            ("", FilterKind.NONE, ""),
            ("ipc", FilterKind.CHANNEL, ""),
            ("libipcfilterplus.so", FilterKind.CHANNEL, ""),
            ("shop.filter", FilterKind.PYTHON, "shop.filter"),
            ("filter.py", FilterKind.PYTHON, "/srv/anychat/filter.py"),
            ("/opt/f.py", FilterKind.PYTHON, "/opt/f.py"),
            ("sub/filter.so", FilterKind.COMPILED, "/srv/anychat/sub/filter.so"),
            ("/opt/libf.so", FilterKind.COMPILED, "/opt/libf.so"),
        ):
            self.assertEqual(chosen(value, HERE), FilterChoice(kind, value, target))
