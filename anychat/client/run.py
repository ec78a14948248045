"""One run of ``anychat-client``, in the reactor."""

import signal
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from anychat.client.info import Info
from anychat.client.join import FINE, Join
from anychat.client.options import parse
from anychat.client.output import Output


def make_job(
    reactor: Any, options: Namespace, stdout: TextIO, stderr: TextIO
) -> Join | Info:
    """What the command line asks for."""
    job: Join | Info

    def complain(text: str) -> None:
        print(f"anychat-client: {text}", file=stderr, flush=True)

    output = Output(
        stdout,
        options.json,
        reactor.seconds,
        lambda: reactor.callLater(0, job.finish, FINE),
    )
    kind = Join if options.command == "join" else Info
    job = kind(reactor, options, output, complain)
    return job


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    reactor: Any,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Run the command to its end; the exit code."""
    _log_faults(stderr)
    options = parse(arguments, environment)
    job = make_job(reactor, options, stdout, stderr)
    codes: list[int] = []

    def interrupted() -> "Deferred[int] | None":
        if codes:
            return None
        # A second ctrl-C does not wait for the files.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        ended: Deferred[int] = Deferred()
        # Not before the connection has returned from what it reports: the
        # reactor closes what is still open at once.
        job.finish(FINE).addCallback(
            lambda code: reactor.callLater(0, ended.callback, code)
        )
        return ended

    def done(code: int) -> None:
        codes.append(code)
        if reactor.running and not stopping:
            reactor.stop()

    stopping: list[bool] = []
    reactor.addSystemEventTrigger("before", "shutdown", stopping.append, True)
    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    job.done.addCallback(done)
    reactor.callWhenRunning(job.start)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # The reactor takes it over from Python only.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reactor.run()
    return codes[0] if codes else FINE


def _log_faults(stderr: TextIO) -> None:
    """Print faults of this program and of the caller's terminal only.

    What happens is printed as events.
    """
    observer = FilteringLogObserver(
        textFileLogObserver(stderr),
        [LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)],
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
