"""docs/features.md names tests that exist."""

import re

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from test.test_layering import ROOT


class FeaturesTests(SynchronousTestCase):
    """Every row of the table can be held against something."""

    def rows(self):
        """The cells of each row."""
        text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith("|") and not line.startswith(("|---", "| feature ")):
                # A cell may have a bar in code.
                plain = re.sub(r"`[^`]*`", lambda m: m[0].replace("|", " "), line)
                yield [cell.strip() for cell in plain.strip("|").split("|")]

    def test_complete(self):
        """Feature, call, behaviour, codes, test."""
        rows = list(self.rows())
        self.assertEqual([row for row in rows if len(row) != 5 or not row[0]], [])
        names = [row[0] for row in rows]
        self.assertEqual(len(names), len(set(names)))

    def test_testsExist(self):
        """Each row names a test that there is."""
        missing = []
        for feature, *_, tests in self.rows():
            names = re.findall(r"`(test\.[\w.]+)`", tests)
            if not names:
                missing.append(feature)
            for name in names:
                try:
                    namedAny(name)
                except Exception:
                    missing.append(name)
        self.assertEqual(missing, [])
