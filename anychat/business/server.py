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
"""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from anychat.business.callbacks import Callbacks
from anychat.business.calls import Calls
from anychat.business.settings import Settings
from anychat.business.verdict import UserVerdict
from anychat.log import Log

__all__ = ["BusinessServer", "UserVerdict"]


class BusinessServer(Callbacks, Calls, Service):
    """One business server."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings | None = None,
        *,
        log: Log | None = None,
        callback_timeout: float = 10.0,
        call_timeout: float = 30.0,
    ) -> None:
        """
        :param settings: default: a core on this machine, see `Settings`.
        :param log: takes the lines and failures; default: Twisted's log.
        :param callback_timeout: seconds that a callback may take.
        :param call_timeout: seconds from a call to its answer.
        """
        self.reactor = reactor
        self.settings = settings or Settings()
        self.log = log or Log()
        self.callback_timeout = callback_timeout
        self.call_timeout = call_timeout

    @property
    def connected(self) -> bool:
        """Whether the core server is there."""
        raise NotImplementedError

    def callback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Use a function as the callback of its name; for use as a decorator::

            @server.callback
            def on_user_enter_room_action(user_id, room_id): ...

        :raises ValueError: there is no callback of that name, or it takes other
            arguments.
        """
        raise NotImplementedError

    def startService(self) -> None:
        """Begin to connect, and go on with it until `stopService`."""
        raise NotImplementedError

    def stopService(self) -> "Deferred[None]":
        """Disconnect; fires when the connection is closed."""
        raise NotImplementedError
