"""``anychat-license``: make, read and check licences, see ``--help``.

The customer needs ``fingerprint`` and ``check``; the vendor the rest.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from getpass import GetPassWarning, getpass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from anychat.client.command import fill_standard_streams
from anychat.errors import AnyChatError
from anychat.licensing.commands import (
    authority,
    checking,
    fingerprinting,
    inspecting,
    issuing,
)
from anychat.licensing.commands.console import (
    FAILED,
    FINE,
    WRONG_USAGE,
    Console,
    UsageError,
)
from anychat.licensing.findings import LicenceError

_DESCRIPTION = """\
Licences of AnyChat core servers (AnyChat.cer).

  the customer:  fingerprint, check
  the vendor:    ca, issue, renew, revoke, inspect

exit codes: 0 done, or the licence is good; 1 not done, or it is not good (the
number of the reason is printed); 2 wrong usage.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="anychat-license",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(
        metavar="COMMAND", title="commands", required=True, dest="command"
    )
    for module in (fingerprinting, checking, authority, issuing, inspecting):
        module.add(commands)
    return whole


def run(arguments: Sequence[str], console: Console) -> int:
    """Run a command; its exit code."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen, console))
    except UsageError as error:
        console.warn(str(error))
        return WRONG_USAGE
    except LicenceError as error:
        console.warn(f"{error.text} ({error.code:d})")
        return FAILED
    except AnyChatError as error:
        console.warn(str(error))
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.warn(f"{where}{error.strerror}")
        return FAILED


def wait(start: Callable[[Any], "Deferred[Any]"]) -> Any:
    """Run the reactor, which can be done once, until there is a result."""
    from twisted.internet import reactor

    results: list[Any] = []

    def finish(result: Any) -> None:
        results.append(result)
        reactor.stop()

    reactor.callWhenRunning(lambda: maybeDeferred(start, reactor).addBoth(finish))
    reactor.run()
    if not results:
        # It was stopped from outside.
        raise KeyboardInterrupt
    [result] = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def ask(prompt: str) -> str:
    """Ask for a pass phrase, which is not echoed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            return getpass(prompt)
    except GetPassWarning:
        if sys.stdin.isatty():
            raise UsageError(
                "this terminal would show the pass phrase; see --passphrase-file"
            ) from None
    # Nothing is echoed of what a program writes.
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def main() -> None:
    """The console script."""
    fill_standard_streams()
    # A name that the terminal's encoding does not have is no reason to fail.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    console = Console(sys.stdout, sys.stderr, ask, datetime.now(UTC), wait)
    try:
        code = run(sys.argv[1:], console)
        sys.exit(_flush(console) or code)
    except KeyboardInterrupt:
        sys.exit(130)


def _flush(console: Console) -> int:
    """Write what is left of the output; the exit code if that fails."""
    try:
        console.output.flush()
    except OSError as error:
        console.warn(f"standard output: {error.strerror}")
        console.silence()
        return FAILED
    return FINE


if __name__ == "__main__":
    main()
