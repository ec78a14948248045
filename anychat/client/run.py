"""One run of ``anychat-client``, in the reactor."""

import signal
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TextIO

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from anychat.client.call import Answer, Call
from anychat.client.info import Info
from anychat.client.join import FINE, Join
from anychat.client.nettest import NetTest
from anychat.client.options import parse
from anychat.client.output import Output
from anychat.client.send_file import SendFile
from anychat.client.send_text import SendText
from anychat.client.udpcheck import UdpCheck


class Job(Protocol):
    """The run of one command."""

    done: Deferred[int]
    """Fires with the exit code."""

    def start(self) -> None:
        """Begin."""

    def finish(self, code: int) -> "Deferred[int]":
        """End it early."""


#: What each command runs.
_JOBS: dict[str, Callable[..., Job]] = {
    "join": Join,
    "call": Call,
    "answer": Answer,
    "info": Info,
    "nettest": NetTest,
    "udpcheck": UdpCheck,
    "send-text": SendText,
    "send-file": SendFile,
}


def make_job(reactor: Any, options: Namespace, stdout: TextIO, stderr: TextIO) -> Job:
    """What the command line asks for."""
    job: Job

    def complain(text: str) -> None:
        print(f"anychat-client: {text}", file=stderr, flush=True)

    output = Output(
        stdout,
        options.json,
        reactor.seconds,
        lambda: reactor.callLater(0, job.finish, FINE),
    )
    job = _JOBS[options.command](reactor, options, output, complain)
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
