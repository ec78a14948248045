"""``anychat-client info``: what a server says about itself, and who it is.

Nothing is told to the server but a hello, so by default any certificate will
do here: its fingerprint is printed together with whether it is known.
"""

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

import anychat
from anychat.client.join import FINE, exit_code
from anychat.client.link import Connection, Dialler
from anychat.client.output import Output, explained
from anychat.client.trust import AnyCertificate, KnownServers, address_text
from anychat.codes import LicenceMode, ResultCode
from anychat.errors import PeerError, Refused
from anychat.messages import Message, ServerHello

_LICENCES: dict[int, str] = {
    LicenceMode.DEMO: "demo",
    LicenceMode.LICENSED: "licensed",
    LicenceMode.NOT_CHECKED: "not checked",
}


class Info:
    """The run of the command."""

    def __init__(
        self,
        reactor: Any,
        options: Namespace,
        output: Output,
        complain: Callable[[str], None],
        endpoint: Any = None,
    ):
        self._options = options
        self._output = output
        self._complain = complain
        self._known = options.trust if isinstance(options.trust, KnownServers) else None
        trust = options.trust if self._known is None else AnyCertificate()
        self._dialler = Dialler(
            reactor,
            trust,
            os.urandom,
            f"anychat-client {anychat.__version__}",
            options.plain,
            endpoint=endpoint,
        )
        self._connection: Connection | None = None
        self.done: Deferred[int] = Deferred()
        """Fires with the exit code."""

    def start(self) -> None:
        """Begin; `done` says when it is over."""
        host, port = self._options.address
        self._connection = self._dialler.dial(host, port, self)

    def finish(self, code: int) -> "Deferred[int]":
        """End it early."""
        if self._connection is not None:
            self._connection.close()
        return self._over(code)

    def _over(self, code: int) -> "Deferred[int]":
        if not self.done.called:
            self.done.callback(code)
        return self.done

    def connection_ready(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        assert connection.hello is not None
        self._print(connection, connection.hello)
        connection.close()
        self._over(FINE)

    def connection_message(
        self, connection: Connection, request: int, message: Message
    ) -> None:
        """See `ConnectionOwner`."""

    def connection_lost(
        self, connection: Connection, error: Refused | PeerError
    ) -> None:
        """See `ConnectionOwner`."""
        if connection.hello is not None and error.code == ResultCode.CONNECT_AUTHFAIL:
            # SDKAuthPass is asked for; what is wanted here has come before.
            self._print(connection, connection.hello)
            self._over(FINE)
            return
        if isinstance(error, PeerError):
            error = Refused(error.code, f"no AnyChat server answers: {error.reason}")
        self._output.event("on_connect", (error.code,))
        self._complain(explained(error, self._options.address))
        self._over(exit_code(error.code))

    def _trusted(self, connection: Connection) -> str:
        """What is known of the certificate."""
        if not connection.fingerprint:
            return "no certificate"
        if self._known is None:
            return "not checked" if self._options.insecure else "verified"
        try:
            known = self._known.lookup(
                address_text(connection.host.lower(), connection.port)
            )
        except Refused as error:
            return error.reason
        if known is None:
            return "new"
        return "known" if known[1] == connection.fingerprint else "CHANGED"

    def _print(self, connection: Connection, hello: ServerHello) -> None:
        minutes = hello.uptime // 60
        trusted = self._trusted(connection)
        if self._options.json:
            self._output.object(
                "info",
                {
                    "address": connection.address,
                    "port": connection.port,
                    "protocol_version": hello.version,
                    "server_version": hello.server_version,
                    "build_time": hello.build_time,
                    "operating_system": hello.operating_system,
                    "uptime": hello.uptime,
                    "licence_mode": hello.licence_mode,
                    "proof_required": hello.proof_required,
                    "check_time": hello.check_time / 1000,
                    "timeout": hello.timeout / 1000,
                    "fingerprint": connection.fingerprint,
                    "certificate": trusted,
                },
            )
            return
        licence = _LICENCES.get(hello.licence_mode, "unknown")
        asked = "asked for" if hello.proof_required else "not asked for"
        for name, value in (
            ("server", address_text(connection.address, connection.port)),
            ("version", f"V{hello.server_version} (build time {hello.build_time})"),
            ("system", hello.operating_system),
            (
                "up for",
                f"{minutes // 1440} days, {minutes // 60 % 24} hours, "
                f"{minutes % 60} minutes",
            ),
            ("licence mode", f"{hello.licence_mode} ({licence})"),
            ("protocol", str(hello.version)),
            ("SDKAuthPass", asked),
            (
                "heartbeats",
                f"every {hello.check_time / 1000:g} s, "
                f"silence ends a link after {hello.timeout / 1000:g} s",
            ),
            ("certificate", f"{trusted}, SHA-256 {connection.fingerprint or 'none'}"),
        ):
            self._output.line(f"{name:14}{value}")
