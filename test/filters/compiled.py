"""Compiled plug-ins for the tests, and their host in a process of its own."""

import atexit
import functools
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest

from anychat.filters.hooks import HOOK_NAMED
from anychat.filters.host_wire import decode_report, encode_arguments, encode_call
from anychat.protocols.boxes import BoxReader
from test.test_layering import ROOT

#: A plug-in that does wrong what it is told to.
TROUBLE = ROOT / "test" / "filters" / "plug_in.c"
SAMPLES = ROOT / "etc" / "samples"
#: Seconds after which a host that says nothing fails the test.
PATIENCE = 30.0


@functools.cache
def _directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="anychat-plug-ins-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@functools.cache
def compiled(source: Path, *options: str) -> Path:
    """A plug-in made of a C file.

    :raises SkipTest: there is no compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise SkipTest("cc is not installed: compiled plug-ins are not tested")
    library = _directory() / f"{source.stem}{len(list(_directory().iterdir()))}.so"
    subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", "-pthread", "-O1"),
            *("-Wall", "-Wextra", "-Werror", "-Wno-stringop-overflow"),
            *(*options, "-o", str(library), str(source)),
        ],
        check=True,
    )
    return library


class HostProcess:
    """A host as the server starts it, over plain pipes.

    :param parent: process id of the server; None: this one's.
    :param faults: environment of the plug-in.
    """

    def __init__(self, library: Path, parent: int | None = None, **faults: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "anychat.filters.host",
                str(library),
                str(parent or os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": str(ROOT), **faults},
        )
        self._reader = BoxReader()
        self._reports: list[object] = []
        self._tag = 0

    def read(self) -> object:
        """What the host says next; None: it has closed the stream."""
        end = time.monotonic() + PATIENCE
        while not self._reports:
            wait = max(0.0, end - time.monotonic())
            if not select.select([self.process.stdout], [], [], wait)[0]:
                raise AssertionError("the host says nothing")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self._reports += map(decode_report, self._reader.receive(data))
        return self._reports.pop(0)

    def send(self, name: str, *values: object) -> None:
        """Have a hook called."""
        self._tag += 1
        pairs = encode_arguments(HOOK_NAMED[name], values)
        self.process.stdin.write(encode_call(self._tag, pairs))

    def call(self, name: str, *values: object) -> object:
        """Have a hook called; what the host says then."""
        self.send(name, *values)
        return self.read()

    def printed(self) -> str:
        """What it has printed, once it has ended."""
        return self.process.stderr.read().decode()

    def end(self) -> int:
        """Close its input; the exit code."""
        self.process.stdin.close()
        return self.wait()

    def wait(self) -> int:
        """The exit code, negative: of that signal."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
