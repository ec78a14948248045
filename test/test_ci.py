"""``.ci/run`` closes with what the tests came to."""

import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.test_layering import ROOT


class SummaryTests(SynchronousTestCase):
    """The last line and the exit code, for every way in which Trial ends."""

    def test_summaries(self):
        """Nothing that went wrong counts as passed, and nothing at all neither."""
        programs = Path(self.mktemp()).absolute()
        programs.mkdir()
        make = programs / "make"
        for printed, status, line, code in (
            ("PASSED (successes=5)", 0, "5 passed, 0 failed", 0),
            ("PASSED (skips=2, successes=4)", 0, "4 passed, 0 failed, 2 skipped", 0),
            ("FAILED (failures=1, errors=2, successes=3)", 2, "3 passed, 3 failed", 1),
            (
                "FAILED (expectedFailures=1, unexpectedSuccesses=2, successes=3)",
                2,
                "4 passed, 2 failed",
                1,
            ),
            # The tests passed, and something after them failed.
            ("PASSED (successes=5)", 2, "5 passed, 1 failed", 1),
            # Nothing ran.
            ("PASSED", 0, "0 passed, 1 failed", 1),
            ("make: *** [.venv/installed] Error 1", 2, "0 passed, 1 failed", 1),
        ):
            make.write_text(f"#!/bin/sh\necho '{printed}'\nexit {status}\n")
            make.chmod(0o755)
            done = subprocess.run(
                [ROOT / ".ci" / "run"],
                env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(done.stdout.splitlines()[-1], line, printed)
            self.assertEqual(done.returncode, code, printed)
