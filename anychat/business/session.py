"""What stands between a business server's code and its connection to the core."""

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from anychat.business.callbacks import Callbacks
from anychat.business.connection import CoreConnection, Phase
from anychat.business.dispatch import Dispatch
from anychat.business.program import Program, unanswered
from anychat.business.settings import Settings
from anychat.business_messages import Event, EventsLost, Question, Verdict
from anychat.codes import ResultCode
from anychat.errors import Refused, Unavailable
from anychat.log import Log
from anychat.protocols.business_client import CoreHello, Introduction
from anychat.protocols.business_commands import Command

#: Events that are done before the core is told so at the latest.
ACKNOWLEDGE_EVERY = 64


#: Where a new word begins in a name such as SetSDKOption.
_WORD = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: Arguments that say which one it was, besides ids.
_TELLING = ("control_code", "option", "query")


def _shown(command: type[Command], arguments: dict[str, Any]) -> str:
    """A call as the program has made it, with what of its arguments is no secret."""
    name = _WORD.sub("_", command.__name__).lower()
    shown = [
        f"{key}={value}"
        for key, value in arguments.items()
        if key.endswith("_id") or key in _TELLING
    ]
    return f"{name}({', '.join(shown)})"


class CoreSession:
    """A business server's relation to its core, over all connections.

    Each start begins a new one: what an earlier one was told and had not done
    is told again, as far as the core has kept it.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        log: Log,
        *,
        callback_timeout: float,
        call_timeout: float,
        side_by_side: int,
        agent: str,
        random_bytes: Callable[[int], bytes],
        uniform: Callable[[float, float], float],
        endpoint: Callable[[str, int], IStreamClientEndpoint] | None,
        derive: Callable[[str, bytes], Any] | None,
    ):
        """See `anychat.business.server.BusinessServer`."""
        self._reactor = reactor
        self._settings = settings
        self._log = log
        self._callback_timeout = callback_timeout
        self._side_by_side = side_by_side
        self._agent = agent
        self.connection = CoreConnection(
            reactor,
            settings,
            self,
            log,
            random_bytes=random_bytes,
            uniform=uniform,
            endpoint=endpoint,
            derive=derive,
            answer_time=call_timeout,
        )
        self.core: CoreHello | None = None
        """What the core said about itself when it was there last."""
        self._program: Program | None = None
        self._dispatch: Dispatch | None = None
        self._epoch = b""
        self._introduced = 0
        self._acknowledged = 0
        self._acknowledging: IDelayedCall | None = None

    @property
    def connected(self) -> bool:
        """Whether the core server is there."""
        return self.connection.phase is Phase.CONNECTED

    def statistics(self) -> dict[str, int]:
        """See `anychat.business.server.BusinessServer.statistics`."""
        program, dispatch = self._program, self._dispatch
        if program is None or dispatch is None:
            return {}
        return {
            "waiting": dispatch.waiting,
            "under_way": len(program.executions),
            "failed": program.failed,
            "given_up": program.given_up,
            "wrong": program.wrong,
            "expired": program.expired,
        }

    # What the business server calls.

    def start(self, callbacks: Callbacks) -> None:
        """Begin to connect.

        :raises TypeError: one of the callbacks takes other arguments.
        """
        self._program = Program(
            callbacks, self._reactor, self._log, self._callback_timeout
        )
        self._dispatch = Dispatch(
            self._program, self._progress, side_by_side=self._side_by_side
        )
        self._epoch, self._acknowledged = b"", 0
        for warning in unanswered(self._program):
            self._log(f"Warning:{warning}")
        self.connection.start()

    def stop(self) -> "Deferred[None]":
        """Disconnect; fires when the connection is closed."""
        if self._dispatch is None or self._program is None:
            return succeed(None)
        # What is given up is not done: it is not acknowledged any more.
        self._dispatch.hold()
        self._acknowledge()
        self._program.stop()
        stopped = self.connection.stop()
        # `Callbacks.on_disconnected` was called, too.
        self._program.stop()
        return stopped

    def occupy(self, places: int) -> None:
        """Have so many callbacks fewer under way than may be side by side."""
        if self._dispatch is not None:
            self._dispatch.occupy(places)

    def call(
        self, command: type[Command], **arguments: Any
    ) -> "Deferred[dict[str, Any]]":
        """Have the core do something; fails with `Refused` alone."""

        async def call() -> dict[str, Any]:
            link = self.connection.link
            try:
                if link is None:
                    raise Unavailable(
                        ResultCode.CONNECT_ABORT, "the core server is not connected"
                    )
                return await link.call(command, **arguments)
            except Unavailable as error:
                # One kind of error is enough for programs.
                code, reason = error.code, str(error)
            except Refused as error:
                code, reason = error.code, error.reason
            what = _shown(command, arguments)
            raise Refused(code, f"{what}: {reason}" if reason else what)

        return Deferred.fromCoroutine(call())

    # What the connection asks and reports.

    def introduction(self) -> Introduction:
        """See `CoreOwner`."""
        assert self._program is not None and self._dispatch is not None
        self._dispatch.hold()
        self._introduced = self._dispatch.through
        return Introduction(
            self._settings.name,
            self._agent,
            self._program.wanted(Question),
            self._program.wanted(Event),
            self._epoch,
            self._introduced,
        )

    def is_drained(self) -> bool:
        """See `CoreOwner`."""
        return self._dispatch is None or not self._dispatch.unacknowledged

    def core_connected(self, hello: CoreHello) -> None:
        """See `CoreOwner`."""
        assert self._program is not None and self._dispatch is not None
        self.core = hello
        resumed = hello.epoch == self._epoch
        self._epoch = hello.epoch
        again = self._dispatch.unacknowledged
        if resumed and again:
            self._log(
                f"Warning:{again} events were not done when the connection was lost, "
                "and are told again"
            )
        self._acknowledged = self._introduced if resumed else 0
        self._program.notice("on_connected")
        if self.connected:  # or that has stopped it
            self._dispatch.connected(
                self._introduced if resumed else None, hello.answer_timeout
            )

    def core_refused(self) -> None:
        """See `CoreOwner`."""
        if self._dispatch is not None:
            self._dispatch.release()

    def core_disconnected(self, code: ResultCode, reason: str) -> None:
        """See `CoreOwner`."""
        assert self._program is not None and self._dispatch is not None
        self._stop_acknowledging()
        self._dispatch.disconnected()
        self._program.notice("on_disconnected", code, reason)

    def core_event(self, number: int, event: Event | None) -> None:
        """See `CoreOwner`."""
        assert self._dispatch is not None
        if isinstance(event, EventsLost):
            self._log(f"Warning:{event.count} events of the core server are gone")
        self._dispatch.tell(event, number)

    def core_question(self, question: Question) -> "Deferred[Verdict]":
        """See `CoreOwner`."""
        assert self._dispatch is not None
        return self._dispatch.ask(question)

    def core_verdicts(self, verdicts: frozenset[str], name: str) -> None:
        """See `CoreOwner`."""
        assert self._program is not None
        names = tuple(sorted(verdicts))
        self._log(f"Business server({name}) answers {', '.join(names)} from now on")
        self._program.notice("on_verdicts_taken", names, name)

    # Acknowledging.

    def _progress(self) -> None:
        """Some events may be done: tell the core, once for many."""
        assert self._dispatch is not None
        done = self._dispatch.through - self._acknowledged
        if not self.connected:
            self.connection.drained()
        elif done >= ACKNOWLEDGE_EVERY:
            self._acknowledge()
        elif done > 0 and self._acknowledging is None:
            self._acknowledging = self._reactor.callLater(0, self._acknowledge)

    def _acknowledge(self) -> None:
        self._stop_acknowledging()
        link, dispatch = self.connection.link, self._dispatch
        if link is None or dispatch is None or not self.connected:
            return
        if dispatch.through > self._acknowledged:
            self._acknowledged = dispatch.through
            link.acknowledge(self._acknowledged)

    def _stop_acknowledging(self) -> None:
        if self._acknowledging is not None:
            if self._acknowledging.active():
                self._acknowledging.cancel()
            self._acknowledging = None
