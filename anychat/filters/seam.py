"""Where the core meets its one SDK Filter Plus plug-in (manual 3.6, SDKFilterPlus).

The plug-in is the channel for business servers (``services.business``), a
Python module (`anychat.filters.python`) or a compiled one in a process of its
own (`anychat.filters.native`).  To the core all three are a `Filter`.
"""

from typing import Protocol

from twisted.internet.defer import Deferred

from anychat.business_messages import (
    Answer,
    Arbiter,
    Call,
    Event,
    Presence,
    Question,
    Verdict,
)
from anychat.codes import ResultCode


class FilterOwner(Protocol):
    """What a filter may ask of the core; only between its start and stop."""

    def arbiters(
        self,
        verifier: Arbiter,
        admitter: Arbiter,
        hears: bool = False,
        judges_calls: bool = False,
    ) -> None:
        """Say who decides about logins and about entering rooms from now on.

        :param hears: whether somebody takes events and data, be it without
            deciding anything: a business server is connected, or a plug-in is
            loaded.  Without anybody, clients that send data to it get 206.
        :param judges_calls: whether somebody decides about the steps of video
            calls.
        """

    def call(self, call: Call) -> Answer:
        """Have something done; a refusal is an answer."""

    def online(self) -> tuple[Presence, ...]:
        """All who are signed in, in the order of signing in.

        From inside `Filter.ask` and `Filter.tell` it may be ahead of events
        that are still to be told; at any other time it is where they are.
        """


class Filter(Protocol):
    """What the core asks of its plug-in."""

    def ask(self, question: Question) -> "Deferred[Verdict]":
        """Fires with the verdict, and never fails.

        With 206 SERVERSDK_FAIL where nobody is there or whoever was asked has
        gone, 207 SERVERSDK_TIMEOUT after AnswerTimeout.
        """

    def withdraw(self, question: Question) -> None:
        """Nobody waits for this verdict any more.

        A question that has not been put yet need not be; its Deferred fires all
        the same, then or later.

        :param question: the very object that was given to `ask`.
        """

    def tell(self, event: Event) -> ResultCode:
        """Something has happened.  Never blocks and never raises.

        :return: 0: it is told, or owned to as lost.  Otherwise it is not, and
            where a client sent it on purpose that is the client's answer: 206
            SERVERSDK_FAIL, nobody is there who takes such events; 23
            NOENOUGHRESOURCE, too much of that user's waits already.
        """
