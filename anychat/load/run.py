"""One run of ``anychat-load``, in the reactor."""

import dataclasses
import json
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

import anychat
from anychat.client.link import NO_CONNECTION, Dialler
from anychat.codes import ResultCode
from anychat.errors import ConfigError, PeerError, Refused
from anychat.load.crowd import Crowd, SetUpFailed
from anychat.load.options import parse
from anychat.load.summary import Summary, table
from anychat.load.usage import family

FINE, REFUSED, USAGE, CANNOT_CONNECT = 0, 1, 2, 3
#: Descriptors of each user: TCP and UDP; and those of the program itself.
_DESCRIPTORS, _SPARE = 2, 64


def raise_file_limit(users: int) -> None:
    """Make room for that many users' descriptors.

    :raise ConfigError: the system does not allow it.
    """
    needed = users * _DESCRIPTORS + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
        except (ValueError, OSError):
            raise ConfigError(
                f"{users} users need {needed} descriptors, and the limit is {hard}; "
                "see ulimit -n"
            ) from None


def explain(error: SetUpFailed) -> tuple[str, int]:
    """What to tell, and the exit code."""
    cause = error.cause
    if isinstance(cause, Refused):
        code = cause.code
        if code == ResultCode.CANCEL:
            return f"interrupted while {error.step}", REFUSED
        text = f"refused while {error.step}: {code.value} {code.name} ({code.text})"
        if cause.reason:
            text += f": {cause.reason}"
        return text, CANNOT_CONNECT if code in NO_CONNECTION else REFUSED
    if isinstance(cause, PeerError):
        return f"the server broke the protocol while {error.step}: {cause}", REFUSED
    return f"failed while {error.step}: {cause}", REFUSED


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    reactor: Any,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Run to the end; the exit code."""
    options = parse(arguments, environment)

    _log_faults(stderr)

    def say(text: str) -> None:
        # Nobody may be reading it, which is no reason to stop.
        try:
            print(f"anychat-load: {text}", file=stderr, flush=True)
        except OSError:
            _discard(stderr)

    try:
        raise_file_limit(options.users)
        if options.pid is not None:
            family(options.pid)
    except ConfigError as error:
        say(str(error))
        return USAGE
    crowd = Crowd(
        reactor,
        Dialler(
            reactor,
            options.trust,
            os.urandom,
            f"anychat-load {anychat.__version__}",
            auth_pass=options.auth_pass,
        ),
        options.layout,
        options.pattern,
        seconds=options.seconds,
        name=options.name,
        password=options.password,
        random_bytes=os.urandom,
        say=say if not options.json else lambda text: None,
        pid=options.pid,
        segment=options.segment,
    )
    codes: list[int] = []

    async def whole() -> None:
        try:
            summary = await crowd.run(*options.address)
        except SetUpFailed as error:
            text, code = explain(error)
            say(text)
            codes.append(code)
        else:
            try:
                _show(summary, options.json, stdout)
            except OSError as error:
                _discard(stdout)
                say(f"what was measured cannot be written: {error.strerror}")
                codes.append(REFUSED)
            else:
                codes.append(REFUSED if summary.links_lost else FINE)

    ended: list[Deferred[None]] = []

    def interrupted() -> "Deferred[None] | None":
        if codes:
            return None
        # A second ctrl-C does not wait.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        crowd.stop()
        return ended[0]

    def begin() -> None:
        ended.append(Deferred.fromCoroutine(whole()))
        ended[0].addErrback(crashed).addCallback(done)

    def crashed(failure: Any) -> None:
        codes.append(REFUSED)
        say(failure.getTraceback())

    def done(_: object) -> None:
        if not stopping:
            reactor.stop()

    stopping: list[bool] = []
    reactor.addSystemEventTrigger("before", "shutdown", stopping.append, True)
    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    reactor.callWhenRunning(begin)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # The reactor takes it over from Python only.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reactor.run()
    return codes[0] if codes else REFUSED


def _show(summary: Summary, as_json: bool, stdout: TextIO) -> None:
    text = json.dumps(dataclasses.asdict(summary)) if as_json else table(summary)
    print(text, file=stdout, flush=True)


def _discard(stream: TextIO) -> None:
    """What it could not write is not tried again when the program ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _log_faults(stderr: TextIO) -> None:
    """Print faults of this program only."""
    observer = FilteringLogObserver(
        textFileLogObserver(stderr),
        [LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)],
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
