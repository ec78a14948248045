"""A run from the first login to the last packet.

::

    signing in   ->  entering rooms  ->  binding UDP addresses
                 ->  opening streams ->  subscribing
                 ->  media for --seconds, then a moment for the last packets
                 ->  logging out

Every step waits for the one before, for all users.  A step in which nothing
moves for `PATIENCE` seconds fails, and so does one that the server refuses, so
a run always ends.
"""

import os
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredSemaphore,
    FirstError,
    gatherResults,
)
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from anychat.client.link import Dialler
from anychat.codes import ResultCode
from anychat.errors import AnyChatError, PeerError, Refused
from anychat.load.layout import Layout
from anychat.load.member import Member
from anychat.load.pattern import LONGEST, Pattern
from anychat.load.summary import Measured, Summary, summarize
from anychat.load.usage import cpu_seconds
from anychat.load.wire import NATIVE, Receiver, Sender
from anychat.media.deadlines import Deadlines

#: Users that sign in at a time; a server takes 100 links of one address that
#: have not signed in.
AT_ONCE = 32
#: Seconds in which something must move while the load is set up.
PATIENCE = 20.0
#: Seconds without a packet after which no more will come, and the most to wait.
SETTLE, SETTLE_AT_MOST = 0.25, 5.0


class SetUpFailed(AnyChatError):
    """The load could not be set up: at which step, and why."""

    def __init__(self, step: str, cause: Exception):
        super().__init__(f"{step}: {cause}")
        self.step = step
        self.cause = cause


class Crowd:
    """All users of one run.

    :param random_bytes: for transaction ids, payloads and room names.
    :param say: told what is being done.
    :param pid: the server's process, whose CPU time is to be read; or None.
    """

    def __init__(
        self,
        reactor: Any,
        dialler: Dialler,
        layout: Layout,
        pattern: Pattern,
        *,
        seconds: float,
        name: str,
        password: str,
        random_bytes: Callable[[int], bytes],
        say: Callable[[str], None],
        pid: int | None = None,
        segment: bool = False,
    ):
        self._reactor = reactor
        self._layout = layout
        self._pattern = pattern
        self._seconds = seconds
        self._password = password
        self._random_bytes = random_bytes
        self._say = say
        self._pid = pid
        self._segment = segment
        self._members = [
            Member(dialler, seat, f"{name}-{seat.user}", self._lost)
            for seat in layout.seats()
        ]
        self._rooms = f"{name}-{random_bytes(4).hex()}"
        self._ssrcs = [0] * layout.streams
        self._receiver = Receiver(layout.users, layout.streams, layout.places)
        self._sender: Sender | None = None
        self._receiving: Deferred[Any] | None = None
        self._deadlines: Deadlines[int] = Deadlines()
        self._timer: IDelayedCall | None = None
        self._step = "starting"
        self._moved = 0.0
        self._work: Deferred[Any] | None = None
        self._reason: Exception | None = None
        self._links_lost = 0
        self._watch = LoopingCall(self._check)
        self._watch.clock = reactor

    async def run(self, host: str, port: int) -> Summary:
        """Set the load up, measure, and leave.

        :raise SetUpFailed: at some step, for a reason.
        """
        pool = self._reactor.getThreadPool()
        self._reactor.addReader(self)
        self._receiving = deferToThreadPool(self._reactor, pool, self._receiver.run)
        self._moved = self._reactor.seconds()
        self._watch.start(1.0, now=False)
        try:
            await self._set_up(host, port)
            return await self._measure(pool)
        except (AnyChatError, OSError, CancelledError) as error:
            raise SetUpFailed(self._step, self._reason or error) from None
        finally:
            await self._leave()

    def stop(self) -> None:
        """End the media now, or the set-up; `run` ends soon."""
        if self._sender is not None:
            self._sender.stop()
        self._give_up(Refused(ResultCode.CANCEL, "interrupted"))

    # The steps.

    async def _set_up(self, host: str, port: int) -> None:
        layout, members = self._layout, self._members

        async def enter(member: Member) -> None:
            await member.enter(f"{self._rooms}-{member.seat.room}")

        async def watch(member: Member) -> None:
            room = layout.members(member.seat.room)
            users = [
                members[user].user_id
                for user in room[: layout.publishers]
                if user != member.seat.user
            ]
            await member.watch(users, self._pattern.kind)

        await self._all(
            "signing in",
            lambda member: member.sign_in(host, port, self._password),
            members,
        )
        await self._all("entering rooms", enter, members)
        await self._all("binding UDP addresses", self._bind, members)
        publishers = [member for member in members if member.seat.publishes]
        await self._all("opening streams", self._publish, enumerate(publishers))
        if publishers:
            await self._all("subscribing", watch, members)

    async def _bind(self, member: Member) -> None:
        seat = member.seat
        self._receiver.add(member.open_socket(), *seat[:3])
        active = self._layout.publishers > 0
        bound = member.bind(self._random_bytes, self._reactor.seconds(), active)
        self._drain(member)
        await bound

    async def _publish(self, which: tuple[int, Member]) -> None:
        stream, member = which
        pattern = self._pattern
        self._ssrcs[stream] = await member.publish(pattern.kind, pattern.format)

    async def _all(
        self,
        step: str,
        job: Callable[[Any], Coroutine[Any, Any, None]],
        whom: Iterable[Any],
    ) -> None:
        """One step, for all; the first failure ends it."""
        self._step = step
        self._say(step)
        semaphore = DeferredSemaphore(AT_ONCE)

        async def one(item: Any) -> None:
            # Whoever ends makes room for the next, also when all is over.
            if self._reason is not None:
                raise CancelledError
            try:
                await job(item)
            except Exception as error:
                self._reason = self._reason or error
                raise
            self._moved = self._reactor.seconds()

        def begin(item: Any) -> "Deferred[None]":
            return Deferred.fromCoroutine(one(item))

        jobs = [semaphore.run(begin, item) for item in whom]
        self._work = gatherResults(jobs, consumeErrors=True)
        try:
            await self._work
        except FirstError as first:
            for each in jobs:
                each.cancel()
            cause = first.subFailure.value
            assert cause is not None
            raise cause from None
        finally:
            self._work = None
        if self._reason is not None:
            raise self._reason

    async def _measure(self, pool: Any) -> Summary:
        self._step = "measuring"
        self._say(f"{self._pattern.kind.name.lower()} for {self._seconds:g} s")
        publications = list(self._layout.publications())
        for publication in publications:
            ssrc = self._ssrcs[publication.stream]
            self._receiver.open(ssrc, publication.room, publication.first_place)
        before = self._cpu()
        if publications:
            took, slipped = await self._send(pool)
        else:
            took, slipped = await self._idle(), 0.0
        await self._settle()
        after = self._cpu()
        return summarize(
            self._layout,
            self._pattern,
            Measured(
                seconds=took,
                flows=self._sender.flows() if self._sender is not None else (),
                received=[
                    self._receiver.received(
                        publication.first_place,
                        len(self._layout.members(publication.room)),
                    )
                    for publication in publications
                ],
                arrivals=self._receiver.arrivals(),
                slipped=slipped,
                server_cpu=None if before is None or after is None else after - before,
                key_frames_asked=sum(m.key_frames_asked for m in self._members),
                packets_asked=sum(m.packets_asked for m in self._members),
                links_lost=self._links_lost,
                paths_lost=sum(m.paths_lost for m in self._members),
                native=NATIVE,
            ),
        )

    async def _send(self, pool: Any) -> tuple[float, float]:
        """Let the media flow; seconds that took, and slipped."""
        publishers = [member for member in self._members if member.seat.publishes]
        flows = []
        for number, member in enumerate(publishers):
            assert member.socket is not None
            # Below 2**15, as SRTP senders begin.
            first = int.from_bytes(self._random_bytes(2), "big") >> 1
            flows.append((member.socket, self._ssrcs[number], first))
        payload = self._random_bytes(LONGEST)
        sender = self._sender = Sender(
            flows, self._pattern, self._seconds, payload, self._segment
        )
        for number, member in enumerate(publishers):
            member.on_key_frame = partial(sender.ask_key_frame, number)
        await deferToThreadPool(self._reactor, pool, sender.run)
        return sender.took, sender.slipped

    async def _settle(self) -> None:
        """Wait for the last packets."""
        before, waited = -1, 0.0
        while waited < SETTLE_AT_MOST:
            await deferLater(self._reactor, SETTLE)
            waited += SETTLE
            packets = self._receiver.arrivals().packets
            if packets == before:
                break
            before = packets

    async def _idle(self) -> float:
        """Nobody publishes: keep everybody bound for as long."""
        begin = self._reactor.seconds()
        self._work = deferLater(self._reactor, self._seconds)
        try:
            await self._work
        except CancelledError:
            pass
        finally:
            self._work = None
        return float(self._reactor.seconds() - begin)

    async def _leave(self) -> None:
        self._watch.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reactor.removeReader(self)
        self._receiver.stop()
        if self._receiving is not None:
            await self._receiving
        for member in self._members:
            member.leave()
        # For what was written to go out.
        await deferLater(self._reactor, 0.2 + len(self._members) / 5000)

    def _cpu(self) -> float | None:
        return None if self._pid is None else cpu_seconds(self._pid)

    # Keep-alives and feedback: a reader of the reactor, and one timer.

    def fileno(self) -> int:
        """The receiver's descriptor; readable when there is something."""
        return self._receiver.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls this in its log."""
        return "load"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor drops the descriptor; the receiver closes it itself."""

    def doRead(self) -> None:
        """STUN and RTCP have come."""
        os.eventfd_read(self._receiver.fileno())
        now = self._reactor.seconds()
        for user, data in self._receiver.take():
            member = self._members[user]
            member.received(data, now)
            self._drain(member)

    def _drain(self, member: Member) -> None:
        member.drain(self._random_bytes, self._reactor.seconds())
        assert member.binding is not None
        self._deadlines.set(member.seat.user, member.binding.next_timeout())
        self._arm()

    def _arm(self) -> None:
        when = self._deadlines.next()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            wait = max(0.0, when - self._reactor.seconds())
            self._timer = self._reactor.callLater(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for user in self._deadlines.due(now):
            member = self._members[user]
            assert member.binding is not None
            member.binding.handle_timeout(now)
            self._drain(member)
        self._arm()

    # What goes wrong.

    def _lost(self, member: Member, error: Refused | PeerError) -> None:
        self._links_lost += 1
        if self._links_lost == len(self._members) and self._sender is not None:
            self._sender.stop()

    def _check(self) -> None:
        if self._work is None or self._step == "measuring":
            return
        if self._reactor.seconds() - self._moved > PATIENCE:
            self._give_up(
                Refused(ResultCode.CONNECT_TIMEOUT, f"nothing moved for {PATIENCE:g} s")
            )

    def _give_up(self, reason: Exception) -> None:
        self._reason = self._reason or reason
        if self._work is not None:
            self._work.cancel()
