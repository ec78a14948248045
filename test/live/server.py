"""A core server in a process of its own, for the live tests."""

import os
import random
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from twisted.internet import defer, error, protocol, reactor

from anychat.terms import Feature
from test.licences import make_licence

#: Seconds after which a server that did not come up fails the test.
START_TIMEOUT = 60
#: What the server writes when both ports are open.
READY = b"AnyChat Platform Service Running"


def free_ports() -> tuple[int, int]:
    """A TCP and a UDP port that nothing uses.

    Below those that the system hands out by itself, so that no outgoing
    connection takes one before the server does.
    """
    return _free(socket.SOCK_STREAM), _free(socket.SOCK_DGRAM)


def _free(kind: socket.SocketKind) -> int:
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket(socket.AF_INET6, kind) as probe, suppress(OSError):
            probe.bind(("::", port))
            return port


class _Output(protocol.ProcessProtocol):
    def __init__(self) -> None:
        self.text = b""
        self.ready = defer.Deferred()
        self.ended = defer.Deferred()

    def outReceived(self, data: bytes) -> None:
        self.text += data
        if READY in self.text and not self.ready.called:
            self.ready.callback(None)

    errReceived = outReceived

    def processEnded(self, reason) -> None:
        if not self.ready.called:
            self.ready.errback(RuntimeError(f"server ended: {self.text.decode()}"))
        code = 0 if reason.check(error.ProcessDone) else reason.value.exitCode
        self.ended.callback(code)


class CoreServer:
    """Start with `start`, end with `stop`; `text` is all that it printed.

    Outside demo mode it gets a licence for any number of users and all functions,
    unless ``LicenseCA`` is given.
    """

    def __init__(self, directory: str, **sections: dict[str, object]) -> None:
        self.tcp_port, self.udp_port = free_ports()
        base = {"TCPListenPort": self.tcp_port, "UDPServicePort": self.udp_port}
        base |= sections.pop("Base", {})
        settings = {
            "Base Settings": base,
            "Http Settings": {"ListenPort": 0} | sections.pop("Http", {}),
        }
        settings |= {f"{name} Settings": keys for name, keys in sections.items()}
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        if base.get("DemoMode") == 0 and "LicenseCA" not in base:
            licence = make_licence(self.directory, features=tuple(Feature))
            base["LicenseCA"] = licence.name
        self.config = self.directory / "AnyChatCoreServer.ini"
        with self.config.open("w") as file:
            for section, keys in settings.items():
                file.write(f"[{section}]\n")
                file.writelines(f"{key}={value}\n" for key, value in keys.items())
        self._output = _Output()
        self._process = None

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return self._output.text.decode()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def start(self) -> defer.Deferred:
        """Fires when both ports are open."""
        program = str(Path(sys.executable).with_name("anychatcoreserver"))
        self._process = reactor.spawnProcess(
            self._output,
            program,
            [program, "--config", str(self.config)],
            env=os.environ,
        )
        return self._output.ready.addTimeout(START_TIMEOUT, reactor)

    def stop(self) -> defer.Deferred:
        """Fires with the exit code."""
        if self._process is not None and self._process.pid:
            self._process.signalProcess(signal.SIGTERM)
        return self._output.ended
