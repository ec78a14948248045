"""What the server says when it starts and ends: the product's lines.

An operator, and the manual's questions and answers, look for exactly these
texts in AnyChatCoreServer.log ("Successed" is the product's).  In the order in
which they come:

1. `opening`: separator, version, warnings about the configuration; then the licence:
   `AUTHORIZED`, `DEMO_MODE` or `unauthorized`, see `anychat.licensing.log_lines`;
2. `started` for TCP and UDP, `channel_opened`, or `listen_failed`;
3. `filter_loaded`, or `filter_failed`;
4. `missing`: what the configuration asks for and this version does not have;
5. at the terminal alone: `RUNNING`;
6. `exited`.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from twisted.internet.error import CannotListenError

import anychat
from anychat.config import Config

#: What comes of the licence; see also `unauthorized`.
AUTHORIZED = "Authorized certification success!"
DEMO_MODE = "Start Server At Demo Mode!"
#: Printed first, at the terminal alone.
NORMAL_MODE = (
    "Run anychat platform service in normal mode. add '-d' parameter for daemon mode."
)
#: Printed last, at the terminal alone.
RUNNING = "AnyChat Platform Service Running...(Press 'q' exit)"


def build_time() -> str:
    """When this copy of the program was made or installed."""
    made = datetime.fromtimestamp(Path(anychat.__file__).stat().st_mtime)
    return f"{made:%b %d %Y %H:%M:%S}"


def opening(config: Config) -> Iterator[str]:
    """The lines before any port is opened."""
    yield "-----Init Service----"
    yield f"Current File Version[{anychat.__version__}],Build time:{build_time()}"
    for warning in config.warnings:
        yield f"Warning:{warning}"


def unauthorized(code: int) -> str:
    """There is no licence that holds; the ports are opened all the same."""
    return f"Read certification file failed.(errorcode={code:d})"


def started(protocol: str, port: int) -> str:
    """The port is open.

    :param protocol: "TCP" or "UDP".
    """
    return f"Start {protocol} Server Successed(port={port})!"


def failed(protocol: str, port: int) -> str:
    """The port could not be opened."""
    return f"Start {protocol} Server Failed, Maybe port({port}) in use?"


def channel_opened() -> str:
    """Business servers can connect."""
    return f"AnyChat IPC Filter Plus Init, Build Time:{build_time()}"


def filter_loaded(name: str, version: str) -> str:
    """The plug-in works.

    :param name: as SDKFilterPlus has it.
    :param version: what the plug-in says of itself.
    """
    return f"Load SDK Filter Plus:{name} Success, ver:{version}"


def filter_failed(name: str, reason: str) -> str:
    """The plug-in cannot be used."""
    return f"Load SDK Filter Plus:{name} Failed, {reason}"


def listen_failed(error: CannotListenError, config: Config) -> Iterator[str]:
    """The lines for a port that could not be opened, and the system's reason."""
    protocols = [
        protocol
        for protocol, port in (
            ("TCP", config.base.tcp_listen_port),
            ("UDP", config.base.udp_service_port),
            ("IPC", config.business.listen_port),
        )
        if port == error.port
    ]
    yield failed("/".join(protocols) or "TCP", error.port)
    where = f"[{error.interface}]" if ":" in error.interface else error.interface
    yield f"{where or 'any address'}:{error.port}: {error.socketError}"


def missing(config: Config) -> Iterator[str]:
    """What the configuration asks for that this version does not have."""
    function = config.function
    for key, value in (
        # 64 is the licence's.
        ("ExternFlags", function.extern_flags & ~64),
        ("OutputThreadStatus", config.debug.output_thread_status),
        ("OutputRecordTask", config.debug.output_record_task),
    ):
        if value:
            yield f"Warning:{key}={value:d} has no effect in this version"


def exited(code: int) -> str:
    """The server ends."""
    return f"AnyChatCoreServer has exited with error code:{code}"
