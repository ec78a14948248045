"""The sample in the foreground, as ``anychat-business`` runs it.

A program that needs neither the ``q`` of the product nor a log file is a line:
``anychat.business.run.run(Shop)``.
"""

from pathlib import Path
from typing import Any

from twisted.logger import globalLogBeginner

from anychat.business.sample.server import SampleServer
from anychat.business.sample.users import Users, users_beside
from anychat.business.settings import load
from anychat.log import ConsoleObserver, FileObserver, LogFile
from anychat.terminal import QuitKey, end_with_terminal, leave_interrupt_to_reactor

RUNNING = "AnyChat Business Server Running...(Press 'q' exit)"


def run(config: Path, reactor: Any) -> int:
    """Run until somebody ends it; the exit code.

    :raises ConfigError: the configuration cannot be used; nothing was begun.
    """
    server = SampleServer(reactor, load(config), Users(users_beside(config)))
    console = ConsoleObserver()
    log = LogFile(config.with_suffix(".log"))
    globalLogBeginner.beginLoggingTo(
        [FileObserver(log), console], redirectStandardIO=False
    )
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    QuitKey(reactor, reactor.stop).start()
    end_with_terminal(reactor)
    leave_interrupt_to_reactor()
    # From then on a signal ends it in good order.
    reactor.callWhenRunning(console.write, RUNNING + "\n")
    reactor.run()
    return 0
