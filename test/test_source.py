"""The source is under test: its style, its types, and the links of its documents."""

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from test.test_layering import ROOT, layer, modules


class StyleTests(SynchronousTestCase):
    """ruff and mypy as test cases."""

    def assertAccepts(self, *command: str) -> None:
        """The tool, run in the project's directory, finds nothing."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_lint(self):
        """ruff finds nothing to mend."""
        self.assertAccepts("ruff", "check", "--quiet", ".")

    def test_format(self):
        """Every file is formatted as ruff does it."""
        self.assertAccepts("ruff", "format", "--check", "--quiet", ".")

    def test_strictTypes(self):
        """The pure modules, layers 0 and 1, tell all their types."""
        pure = [str(path) for name, path in modules() if layer(name) <= 1]
        self.assertAccepts("mypy", "--no-error-summary", "--strict", *pure)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"[`*]", "", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


class DocumentTests(SynchronousTestCase):
    """The documents hang together."""

    def documents(self):
        """Yield (path, text without code) of every Markdown file."""
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
            text = path.read_text(encoding="utf-8")
            yield path, re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)

    def test_linksResolve(self):
        """A link to a file or a heading of the project leads there."""
        broken = []
        for path, text in self.documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                aim = (path.parent / name).resolve() if name else path
                if not aim.exists():
                    broken.append(f"{path.relative_to(ROOT)}: {target}")
                elif anchor and anchor not in anchors(aim.read_text(encoding="utf-8")):
                    broken.append(f"{path.relative_to(ROOT)}: {target}, no heading")
        self.assertEqual(broken, [])

    def test_namedFilesExist(self):
        """A file of the project that a document names in code type exists."""
        broken = []
        pattern = r"`((?:anychat|benchmarks|docs|etc|test|twisted)/[\w./-]+\.\w+)`"
        for path, text in self.documents():
            for name in re.findall(pattern, text):
                if not (ROOT / name).exists():
                    broken.append(f"{path.relative_to(ROOT)}: {name}")
        self.assertEqual(broken, [])
