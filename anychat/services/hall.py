"""Runs the core: commands in, changes to the journal, effects out.

This is the one module that carries out effects.  A command that comes while
another one is being worked on waits for it: all effects of a command are done
before the next one is decided.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import singledispatchmethod

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from anychat.business_messages import Answer, Verdict
from anychat.codes import ResultCode
from anychat.core import effects
from anychat.core.commands import (
    CallJudged,
    Command,
    ControlJudged,
    FilterCall,
    LinkLogin,
    LinkSignedLogin,
    RoomEntryPrepared,
    SessionMessage,
    Tick,
    UserVerified,
)
from anychat.core.effects import Effect
from anychat.core.hall import Hall
from anychat.core.journal import Journal
from anychat.errors import LocalError
from anychat.ids import SessionId, UserId
from anychat.messages import (
    LayerGranted,
    LogWanted,
    Result,
    StateValue,
    StreamGranted,
    StreamOpened,
)
from anychat.services.client_logs import MAX_LOG, ClientLogs
from anychat.services.filter import FilterSlot
from anychat.services.links import ClientLinks
from anychat.services.media import MediaService
from anychat.services.transfers import TransferService

#: What becomes of a verdict that the core could not work on.
_FAILED = Verdict(ResultCode.EXCEPTION)


class Effects:
    """Carries out effects on the links, the media plane and the plug-in."""

    def __init__(
        self,
        links: ClientLinks,
        media: MediaService,
        plug_in: FilterSlot,
        log: Callable[[str], None],
        transfers: TransferService,
        *,
        client_logs: ClientLogs | None = None,
    ) -> None:
        self._client_logs = client_logs
        self._transfers = transfers
        self._links = links
        self._media = media
        self._plug_in = plug_in
        self._log = log
        self._users: dict[SessionId, UserId] = {}

    @singledispatchmethod
    def execute(self, effect: Effect) -> None:
        """Do what the effect says."""
        raise TypeError(f"no such effect: {type(effect).__name__}")

    def finish(self) -> None:
        """All effects are done: now may be done what can cause commands."""
        self._plug_in.deliver()

    @execute.register
    def _(self, effect: effects.Send) -> None:
        self._links.send(effect.sessions, effect.message)

    @execute.register
    def _(self, effect: effects.Reply) -> None:
        self._links.reply(effect.session, effect.request, effect.message)

    @execute.register
    def _(self, effect: effects.RefuseLogin) -> None:
        self._links.refuse_login(effect.link, effect.request, effect.code)
        if effect.reason:
            self._log(f"Refuse login, {effect.reason}.(errorcode={effect.code:d})")

    @execute.register
    def _(self, effect: effects.StartSession) -> None:
        setup = self._media.open_leg(effect.session) if effect.secure else None
        self._links.start_session(effect, setup)
        self._users[effect.session] = effect.user_id
        if self._client_logs is not None:
            self._client_logs.begin(effect.session, effect.user_id, effect.address)
            if self._client_logs.ask:
                self._links.send((effect.session,), LogWanted(MAX_LOG))
        self._log(
            f"User login, userid:{effect.user_id}, username:{effect.nickname}, "
            f"ip:{effect.address}"
        )

    @execute.register
    def _(self, effect: effects.EndSession) -> None:
        self._links.end_session(effect.session, effect.code)
        self._media.close_leg(effect.session)
        if self._client_logs is not None:
            self._client_logs.end(effect.session)
        user_id = self._users.pop(effect.session)
        self._log(f"User logout, userid:{user_id}, errorcode:{effect.code:d}")

    @execute.register
    def _(self, effect: effects.OpenRoute) -> None:
        if effect.layer_of:
            key, salt_key = self._media.publish_layer(
                effect.session, effect.ssrc, effect.layer_of
            )
        else:
            key, salt_key = self._media.publish(
                effect.session, effect.ssrc, effect.kind
            )
        self._links.reply(
            effect.session,
            effect.request,
            StreamOpened(ResultCode.SUCCESS, effect.ssrc, key, salt_key),
        )

    @execute.register
    def _(self, effect: effects.CloseRoute) -> None:
        self._media.unpublish(effect.ssrc)

    @execute.register
    def _(self, effect: effects.JoinRoute) -> None:
        keys = self._media.subscribe(effect.session, effect.ssrc)
        self._links.send(
            (effect.session,),
            StreamGranted(
                user_id=effect.user_id,
                kind=effect.kind,
                stream_index=effect.stream_index,
                ssrc=effect.ssrc,
                format=effect.format,
                roc=keys.roc,
                sequence=keys.sequence,
                key=keys.key,
                salt_key=keys.salt_key,
            ),
        )
        layer = effect.layer
        if layer is None:
            return
        keys = self._media.keys(layer.ssrc)
        self._links.send(
            (effect.session,),
            LayerGranted(
                user_id=effect.user_id,
                stream_index=effect.stream_index,
                stream_ssrc=effect.ssrc,
                ssrc=layer.ssrc,
                format=layer.format,
                roc=keys.roc,
                sequence=keys.sequence,
                key=keys.key,
                salt_key=keys.salt_key,
            ),
        )

    @execute.register
    def _(self, effect: effects.AdaptStreams) -> None:
        self._media.adapt(effect.session, effect.adaptive)

    @execute.register
    def _(self, effect: effects.ReplyFigure) -> None:
        number = self._media.figure(effect.target, effect.state)
        self._links.reply(
            effect.session, effect.request, StateValue(ResultCode.SUCCESS, number)
        )

    @execute.register
    def _(self, effect: effects.LeaveRoute) -> None:
        self._media.unsubscribe(effect.session, effect.ssrc)

    @execute.register
    def _(self, effect: effects.ShowBlocked) -> None:
        verb = "Block" if effect.blocked else "Unblock"
        self._log(f"{verb} IP address {effect.pattern}")

    @execute.register
    def _(self, effect: effects.AnnounceParameters) -> None:
        self._links.announce(effect.parameters)
        self._log("Server parameters changed by a business server")

    @execute.register
    def _(self, effect: effects.WithdrawQuestion) -> None:
        self._links.keep_place(effect.session, effect.address)
        self._plug_in.put(effect)

    @execute.register
    def _(self, effect: effects.QuestionClosed) -> None:
        self._links.give_place(effect.session)

    @execute.register
    def _(self, effect: effects.Offer) -> None:
        self._plug_in.offer(
            effect,
            lambda code: self._links.reply(
                effect.session, effect.request, Result(code)
            ),
        )

    @execute.register(effects.AskVerifyUser)
    @execute.register(effects.AskUserInfoControl)
    @execute.register(effects.AskPrepareEnterRoom)
    @execute.register(effects.AskVideoCall)
    @execute.register(effects.Tell)
    def _(
        self,
        effect: effects.AskVerifyUser
        | effects.AskPrepareEnterRoom
        | effects.AskUserInfoControl
        | effects.AskVideoCall
        | effects.Tell,
    ) -> None:
        self._plug_in.put(effect)

    @execute.register
    def _(self, effect: effects.StartTransfer) -> None:
        self._transfers.start(effect.transfer)

    @execute.register
    def _(self, effect: effects.FeedTransfer) -> None:
        self._transfers.feed(effect.task_id, effect.offset, effect.data)

    @execute.register
    def _(self, effect: effects.StopTransfer) -> None:
        self._transfers.stop(effect.task_id, effect.code)

    @execute.register
    def _(self, effect: effects.SuspendTransfers) -> None:
        self._transfers.suspend(effect.session)

    @execute.register
    def _(self, effect: effects.ResumeTransfers) -> None:
        self._transfers.resume(effect.session)

    @execute.register
    def _(self, effect: effects.OfferPortion) -> None:
        self._plug_in.offer(
            effect, lambda code: self._transfers.portion_offered(effect.task_id, code)
        )

    @execute.register
    def _(self, effect: effects.ReadStored) -> None:
        self._transfers.read(effect.number, effect.task_id, effect.offset, effect.size)

    @execute.register
    def _(self, effect: effects.RouteTrace) -> None:
        self._media.route_trace(effect.session, effect.user_id, effect.receivers)

    @execute.register
    def _(self, effect: effects.KeepLog) -> None:
        code = ResultCode.FUNCNOTALLOW
        if self._client_logs is not None:
            code = self._client_logs.take(effect.session, effect.part)
        self._links.reply(effect.session, effect.request, Result(code))

    @execute.register
    def _(self, effect: effects.AnswerCall) -> None:
        self._plug_in.answer(effect.number, effect.answer)


class HallService(Service):
    """Owns the core, its journal and its timer."""

    _failures = Logger()

    def __init__(self, hall: Hall, clock: IReactorTime) -> None:
        self.hall = hall
        self.journal = Journal()
        self._clock = clock
        self._effects: Effects | None = None
        self._waiting: deque[Command] = deque()
        self._busy = False
        self._timer: IDelayedCall | None = None

    def connect(self, executor: Effects) -> None:
        """Say who carries out the effects; links and core need each other."""
        self._effects = executor

    def stopService(self) -> None:
        """Let go of the timer; commands that still come are ignored."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def submit(self, command: Command) -> None:
        """Decide a command and carry out what comes of it."""
        if not self.running:
            return
        self._waiting.append(command)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                self._work(self._waiting.popleft())
        finally:
            self._busy = False
        self._arm()
        assert self._effects is not None
        self._effects.finish()

    def _work(self, command: Command) -> None:
        try:
            decision = self.hall.decide(command, self._clock.seconds())
            for change in decision.changes:
                self.hall.apply(change)
                self.journal.append(change)
        except Exception:
            # decide() alters nothing, so a bug in it costs this command only.
            self._failures.failure(
                "Command {kind} failed in the core", kind=type(command).__name__
            )
            self._answer_failure(command)
            return
        for effect in decision.effects:
            self._execute(effect)

    def _execute(self, effect: Effect) -> None:
        assert self._effects is not None
        try:
            self._effects.execute(effect)
        except Exception:
            self._failures.failure(
                "Effect {kind} could not be carried out", kind=type(effect).__name__
            )

    def _answer_failure(self, command: Command) -> None:
        """The peer learns that its request failed, and nothing more."""
        if isinstance(command, SessionMessage) and command.request:
            reply = Result(ResultCode.EXCEPTION)
            self._execute(effects.Reply(command.session, command.request, reply))
        elif isinstance(command, LinkLogin | LinkSignedLogin):
            self._execute(
                effects.RefuseLogin(command.link, command.request, ResultCode.EXCEPTION)
            )
        elif isinstance(command, FilterCall):
            answer = Answer(ResultCode.EXCEPTION)
            self._execute(effects.AnswerCall(command.number, answer))
        elif (
            isinstance(
                command, UserVerified | RoomEntryPrepared | ControlJudged | CallJudged
            )
            and command.verdict != _FAILED
        ):
            # Somebody waits for this verdict; one that says no is simpler.
            self._waiting.append(replace(command, verdict=_FAILED))

    def _arm(self) -> None:
        """Keep exactly one timer, at the time the core asks for."""
        due = self.hall.next_timeout()
        if self._timer is not None:
            if due is not None and self._timer.getTime() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        while (due := self.hall.next_timeout()) is not None:
            number = self.journal.number
            if due > self._clock.seconds():
                break
            self.submit(Tick())
            if self.journal.number == number:
                raise LocalError(f"a tick at {due} changed nothing in the core")
        self._arm()
