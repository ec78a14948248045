"""One run of ``anychat-client``, in the reactor."""

import signal
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
from anychat.client.join import FINE, REFUSED, Join
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
        # With the terminal gone there is nobody to tell, and all else goes on.
        with suppress(OSError, ValueError):
            print(f"anychat-client: {text}", file=stderr, flush=True)

    def failed() -> None:
        if output.error:
            complain(f"standard output cannot be written: {output.error}")
        reactor.callLater(0, job.finish, REFUSED if output.error else FINE)

    output = Output(stdout, options.json, reactor.seconds, failed)
    job = _JOBS[options.command](reactor, options, output, complain)
    # Whoever reads a file that lacks something is not to take it for all.
    job.done.addCallback(lambda code: code or (REFUSED if output.error else FINE))
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
    ending: list[bool] = []

    def interrupted() -> None:
        if not ending:
            ending.append(True)
            # A second ctrl-C does not wait for the files.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            job.finish(FINE)

    def done(code: int) -> None:
        codes.append(code)
        # Not before the connection has returned from what it reports, and has
        # sent it: the reactor closes what is still open at once.
        reactor.callLater(0, reactor.stop)

    job.done.addCallback(done)
    reactor.callWhenRunning(_take_signals, reactor, interrupted)
    reactor.callWhenRunning(job.start)
    reactor.run()
    return codes[0] if codes else FINE


def _take_signals(reactor: Any, end: Callable[[], None]) -> None:
    """Have what ends the program call `end`; what is ignored stays so.

    The reactor's own answer is to stop, and the media session's to that to close
    its ports, while the job still measures, or writes a file.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: reactor.callFromThread(end))


def _log_faults(stderr: TextIO) -> None:
    """Print faults of this program and of the caller's terminal only.

    What happens is printed as events.
    """
    observer = FilteringLogObserver(
        textFileLogObserver(stderr),
        [LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)],
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
