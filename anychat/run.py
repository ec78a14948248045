"""One run of ``anychatcoreserver``: the server at a terminal, as the product runs.

In the foreground ``q`` and Enter end it, and so do Ctrl-C, SIGTERM and closing
the terminal.  ``-d`` runs it in the background, which is ``twistd anychat``.

Exit codes: 0 ended as asked, 1 could not start, 2 wrong command line or
configuration.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from twisted.logger import globalLogBeginner

import anychat
from anychat import banner
from anychat.config import FILE_NAME, Config, load
from anychat.errors import ConfigError
from anychat.log import ConsoleObserver, FileObserver, Log, LogFile
from anychat.tap import (
    Build,
    CoreServer,
    StartFailed,
    global_reactor,
    refuse,
    whole_server,
)
from anychat.terminal import QuitKey, end_with_terminal, leave_interrupt_to_reactor


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
