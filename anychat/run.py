"""One run of ``anychatcoreserver``: the server at a terminal, as the product runs.

In the foreground ``q`` and Enter end it, and so do Ctrl-C, SIGTERM and closing
the terminal.  ``-d`` runs it in the background, which is ``twistd anychat``.

Exit codes: 0 ended as asked, 1 could not start, 2 wrong command line or
configuration.
"""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

import anychat
from anychat import banner
from anychat.config import FILE_NAME, Config, load
from anychat.errors import ConfigError
from anychat.log import ConsoleObserver, FileObserver, Log, LogFile
from anychat.tap import (
    Build,
    CoreServer,
    StartFailed,
    end_with_terminal,
    global_reactor,
    leave_interrupt_to_reactor,
    refuse,
    whole_server,
)

#: Bytes of a typed line that are looked at.
MAX_LINE = 1024


@implementer(IReadDescriptor)
class QuitKey:
    """Waits for ``q`` and Enter on standard input.

    The end of the input is no wish to quit: a service has none from the start.
    """

    def __init__(
        self, reactor: Any, quit: Callable[[], object], descriptor: int = 0
    ) -> None:
        """
        :param quit: called once.
        """
        self._reactor = reactor
        self._quit = quit
        self._descriptor = descriptor
        self._line = b""

    def start(self) -> None:
        """Begin to wait."""
        # A server that was put in the background reads no terminal: with the
        # signal ignored, reading fails instead of stopping the process.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self._reactor.addReader(self)

    def fileno(self) -> int:
        """The file descriptor to watch."""
        return self._descriptor

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "terminal"

    def doRead(self) -> None:
        """Take what was typed."""
        # The descriptor stays in blocking mode, which it shares with the
        # shell; there is something to read, so this does not wait.
        try:
            data = os.read(self._descriptor, MAX_LINE)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""
        if not data:
            self._reactor.removeReader(self)
            return
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:MAX_LINE]
        if any(line.strip().lower() == b"q" for line in lines):
            self._reactor.removeReader(self)
            self._quit()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody can type any more; the server goes on."""


def run(config: Config, reactor: Any, build: Build) -> int:
    """Run the server in the foreground until it is told to end.

    :returns: the exit code.
    :raises ConfigError: the server cannot be made of that configuration.
    """
    console = ConsoleObserver()
    console.write(banner.NORMAL_MODE + "\n")
    globalLogBeginner.beginLoggingTo(
        [FileObserver(LogFile(config.log_path)), console], redirectStandardIO=False
    )
    server = CoreServer(config, reactor, Log(), build, config.pid_path)
    server.privilegedStartService()
    try:
        server.startService()
    except StartFailed as failed:
        return failed.code
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    QuitKey(reactor, reactor.stop).start()
    end_with_terminal(reactor)
    leave_interrupt_to_reactor()
    # From then on a signal ends the server in good order.
    reactor.callWhenRunning(console.write, banner.RUNNING + "\n")
    reactor.run()
    return 0


def run_daemon(path: str) -> None:
    """Run the server in the background; the process ends or becomes it."""
    from twisted.scripts.twistd import ServerOptions, runApp

    options = ServerOptions()
    options.parseOptions(["anychat", f"--config={path}"])
    runApp(options)


def check(path: str) -> None:
    """Say whether a configuration can be used.

    :raises ConfigError: it cannot, or there is none: who checks a file means one.
    """
    config = load(path)
    if not config.path.exists():
        raise ConfigError(f"{config.path}: no such file")
    if config.tls.enable and config.tls.certificate_file is not None:
        from anychat.wiring import server_context

        # Files that are given are only read.
        server_context(config)
    for warning in config.warnings:
        print(f"Warning:{warning}")
    print(f"{config.path}: can be used")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="anychatcoreserver", description="The AnyChat core server."
    )
    parser.add_argument(
        "-d", dest="daemon", action="store_true", help="run in the background"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=FILE_NAME,
        help="the configuration (default: %(default)s; missing: all defaults)",
    )
    parser.add_argument(
        "--check-config", action="store_true", help="only check the configuration"
    )
    parser.add_argument("--version", action="version", version=anychat.__version__)
    return parser


def run_command(argv: Sequence[str] | None, reactor: Any, build: Build | None) -> None:
    """Do what a command line asks for, as `anychat.coreserver.main` has it."""
    options = arguments().parse_args(argv)
    try:
        if options.check_config:
            check(options.config)
            return
        if options.daemon:
            run_daemon(options.config)
            return
        config = load(options.config)
        sys.exit(run(config, reactor or global_reactor(), build or whole_server()))
    except ConfigError as error:
        refuse(error)
