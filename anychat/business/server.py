"""A business server: subclass `BusinessServer`, override what you decide or hear.

::

    class Shop(BusinessServer):
        async def verify_user(self, name, password):
            customer = await self.database.find(name, password)
            return UserVerdict(customer.id) if customer else 200

        def on_user_enter_room_action(self, user_id, room_id):
            self.send_buf_to_user(user_id, b"welcome")

    Shop(reactor, load("AnyChatServerSDK.ini")).startService()

or, with `anychat.business.run.run`, ``run(Shop)``.  It is a Service, so it can
be put into a Twisted application, and connects from its start to its stop.

The core is told of the callbacks that there are at the start: a callback that a
program does not have is not asked for, and another business server may have it.
"""

import os
import random
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

import anychat
from anychat.banner import build_time
from anychat.business.callbacks import Callbacks
from anychat.business.calls import Calls
from anychat.business.output import begin_default_logging
from anychat.business.program import check_callback, check_options, misspelt
from anychat.business.session import CoreSession
from anychat.business.settings import Settings
from anychat.errors import LocalError
from anychat.log import Log
from anychat.protocols.business_client import CoreHello
from anychat.protocols.business_commands import Command
from anychat.verdicts import UserVerdict

__all__ = ["BusinessServer", "UserVerdict"]

F = TypeVar("F", bound=Callable[..., Any])


class BusinessServer(Callbacks, Calls, Service):
    """One business server.

    All of it belongs to the reactor's thread; `anychat.business.blocking` is
    for programs with others.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings | None = None,
        *,
        log: Log | None = None,
        callback_timeout: float = 10.0,
        call_timeout: float = 10.0,
        side_by_side: int = 1000,
        agent: str = f"anychat.business {anychat.__version__}",
        random_bytes: Callable[[int], bytes] = os.urandom,
        uniform: Callable[[float, float], float] = random.uniform,
        endpoint: Callable[[str, int], IStreamClientEndpoint] | None = None,
        derive: Callable[[str, bytes], Any] | None = None,
    ) -> None:
        """
        :param settings: default: a core on this machine, see `Settings`.
        :param log: takes the lines and failures; default: Twisted's log, which is
            printed from the start on if the program has not begun to log by then.
        :param callback_timeout: seconds that a callback may take.
        :param call_timeout: seconds from a call to its answer.
        :param side_by_side: callbacks that may be under way, of as many users.
        :param agent: what the core's log says about this program.
        :raises anychat.errors.ConfigError: the settings cannot be used.
        :raises ValueError: an option cannot.

        The others are the world outside, for tests.
        """
        check_options(
            callback_timeout=callback_timeout,
            call_timeout=call_timeout,
            side_by_side=side_by_side,
        )
        self.reactor = reactor
        self.settings = settings or Settings()
        self.log = log or Log()
        self._is_log_given = log is not None
        # One name only, since subclasses have attributes of their own.
        self._core_session = CoreSession(
            reactor,
            self.settings,
            self.log,
            callback_timeout=callback_timeout,
            call_timeout=call_timeout,
            side_by_side=side_by_side,
            agent=agent,
            random_bytes=random_bytes,
            uniform=uniform,
            endpoint=endpoint,
            derive=derive,
        )

    @property
    def connected(self) -> bool:
        """Whether the core server is there."""
        return self._core_session.connected

    @property
    def core(self) -> CoreHello | None:
        """What the core said about itself when it was there last."""
        return self._core_session.core

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the core's certificate, empty without TLS."""
        return self._core_session.connection.fingerprint

    def callback(self, function: F) -> F:
        """Use a function as the callback of its name; for use as a decorator::

            @server.callback
            def on_user_enter_room_action(user_id, room_id): ...

        :raises ValueError: there is no callback of that name.
        :raises TypeError: it cannot take the callback's arguments.
        :raises LocalError: the business server has been started: the core is
            told at the start which callbacks there are.
        """
        name = getattr(function, "__name__", repr(function))
        if self.running:
            raise LocalError(f"the callback {name} comes after the start")
        check_callback(name, function)
        setattr(self, name, function)
        return function

    def statistics(self) -> dict[str, int]:
        """Figures of the callbacks since the start.

        ``waiting`` for their turn or under way, ``under_way`` because they
        returned something to wait for, ``failed``, ``given_up`` because they
        took too long, ``wrong``, which gave what is no answer, and ``expired``:
        questions that the core waited for no longer when their turn came.
        """
        return self._core_session.statistics()

    # Service.

    def startService(self) -> None:
        """Begin to connect, and go on with it until `stopService`.

        :raises TypeError: a method cannot take the arguments of its callback.
        """
        if not self._is_log_given:
            begin_default_logging()
        self.log(
            f"AnyChat Server SDK Init,V{anychat.__version__}, Build Time:{build_time()}"
        )
        for warning in (*self.settings.warnings, *misspelt(self)):
            self.log(f"Warning:{warning}")
        self.log(f"Invoke InitSDK({self.settings.name})")
        self._core_session.start(self)
        Service.startService(self)  # type: ignore[no-untyped-call]

    def stopService(self) -> "Deferred[None]":
        """Disconnect; fires when the connection is closed.

        Callbacks under way are cancelled; the core answers what they were asked.
        """
        Service.stopService(self)  # type: ignore[no-untyped-call]
        self.log("Invoke Release")
        return self._core_session.stop()

    def _call_core(
        self, command: type[Command], **arguments: Any
    ) -> "Deferred[dict[str, Any]]":
        return self._core_session.call(command, **arguments)
