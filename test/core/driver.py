"""Drives a hall as the server does, for the tests of the core."""

from anychat.business_messages import Arbiter, Verdict
from anychat.codes import DeviceType, ResultCode, StreamKind
from anychat.core.commands import (
    ArbitersChanged,
    FilterCall,
    LinkLogin,
    LinkLost,
    LinkResumed,
    LoginDropped,
    RoomEntryPrepared,
    SessionMessage,
    TermsChanged,
    Tick,
    UserVerified,
)
from anychat.core.effects import (
    AnswerCall,
    AskVerifyUser,
    Offer,
    OfferPortion,
    QuestionClosed,
    RefuseLogin,
    Reply,
    Send,
    StartSession,
    Tell,
    WithdrawQuestion,
)
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.ids import LinkId, SessionId, Ssrc
from anychat.messages import (
    EnterRoom,
    Login,
    OpenLayer,
    OpenStream,
    StreamFormat,
    UserCameraControl,
)

DEMO = HallSettings(
    demo_mode=True,
    allow_guest_login=True,
    close_front_link=True,
    auto_add_room=True,
    max_users_per_room=100,
)

H264 = StreamFormat(
    payload_type=96, clock_rate=90000, bitrate=90000, width=320, height=240, fps=15
)
OPUS = StreamFormat(payload_type=111, clock_rate=48000, bitrate=16000, channels=1)

FORMATS = {StreamKind.VIDEO: H264, StreamKind.AUDIO: OPUS}

#: What the plug-in hears.
_TOLD = Tell | Offer | OfferPortion


class Driver:
    """A hall, its journal, and a supply of fresh ids."""

    def __init__(self, settings=DEMO):
        self.hall = Hall(settings)
        self.journal = []
        self.told = []
        """The events that were told the plug-in."""
        self.now = 100.0
        self._ids = 0

    @property
    def state(self):
        return self.hall.state

    def fresh(self):
        """An id that was not used before."""
        self._ids += 1
        return self._ids

    def run(self, command):
        """Decide a command and fold what comes of it; the effects.

        What the plug-in is told stands in ``told`` instead; what it is offered
        stands there too.
        """
        decision = self.hall.decide(command, self.now)
        for change in decision.changes:
            self.journal.append(change)
            self.hall.apply(change)
        effects = list(decision.effects)
        told = [effect for effect in effects if isinstance(effect, _TOLD)]
        self.told += [effect.event for effect in told]
        return [effect for effect in effects if not isinstance(effect, Tell)]

    def try_login(self, name, password="x", *, secure=True, request=1, **login):
        """The effects of a login attempt."""
        return self.run(
            LinkLogin(
                link=LinkId(self.fresh()),
                request=request,
                message=Login(name, password, **login),
                session=SessionId(self.fresh()),
                address="192.0.2.7",
                device=DeviceType.LINUX,
                secure=secure,
            )
        )

    def login(self, name, password="x", **more):
        """Sign in; the new session's id."""
        started = self.try_login(name, password, **more)[-1]
        assert isinstance(started, StartSession), started
        return started.session

    def guest(self, name="guest", **more):
        """Sign in without a password; the new session's id."""
        return self.login(name, "", **more)

    def refused(self, name, password="x", **more):
        """The code that refuses a login, which must have no other effect."""
        (effect,) = self.try_login(name, password, **more)
        assert isinstance(effect, RefuseLogin), effect
        return effect.code

    def arbiters(
        self,
        verifier=Arbiter.NOBODY,
        admitter=Arbiter.NOBODY,
        hears=False,
        judges_calls=False,
    ):
        """Others decide from now on; there are never effects of that."""
        change = ArbitersChanged(verifier, admitter, hears, judges_calls)
        assert self.run(change) == []

    def terms(self, terms):
        """The licence allows something else from now on; never an effect of that."""
        assert self.run(TermsChanged(terms)) == []

    def asked(self, name, password="x", **more):
        """Sign in where an arbiter is asked; the id that the login brought."""
        (effect,) = self.try_login(name, password, **more)
        assert isinstance(effect, AskVerifyUser), effect
        return effect.session

    def verify(self, session, user_id=0, code=ResultCode.SUCCESS, **more):
        """The arbiter's verdict on a login; the effects."""
        return self.run(UserVerified(session, Verdict(code, user_id, **more)))

    def verified(self, name, user_id, **more):
        """Sign in with a verdict; the new session's id."""
        session = self.asked(name)
        assert isinstance(self.verify(session, user_id, **more)[-1], StartSession)
        return session

    def drop(self, session):
        """The link of a login that is being looked at is gone; the effects."""
        return self.run(LoginDropped(session))

    def withdrawn(self, session):
        """What comes of it when nobody waits for a verdict any more."""
        return [WithdrawQuestion(session, "192.0.2.7")]

    def closed(self, session):
        """What comes of a verdict that nobody waits for."""
        return [QuestionClosed(session)]

    def prepare(self, session, code=ResultCode.SUCCESS, *, request=7):
        """The arbiter's verdict on an entry; the effects."""
        return self.run(RoomEntryPrepared(session, request, Verdict(code)))

    def call(self, call):
        """What the plug-in wants done; the effects before the answer, and that."""
        number = self.fresh()
        *effects, answer = self.run(FilterCall(number, call))
        assert isinstance(answer, AnswerCall)
        assert answer.number == number
        return effects, answer.answer

    def user(self, session):
        """The user id of a session."""
        return self.state.sessions[session].user_id

    def ask(self, session, message, *, password=b"", request=7):
        """The effects of a message."""
        wants = isinstance(message, OpenStream | OpenLayer)
        ssrc = Ssrc(self.fresh() if wants else 0)
        return self.run(SessionMessage(session, request, message, ssrc, password))

    def answer(self, session, message, **more):
        """The answer to a message that has no other effect."""
        (effect,) = self.ask(session, message, **more)
        assert isinstance(effect, Reply), effect
        return effect.message

    def code(self, session, message, **more):
        """The code of the answer to a message that has no other effect."""
        return self.answer(session, message, **more).code

    def enter(self, session, room_id=1, **more):
        """Enter a room; the effects."""
        return self.ask(session, EnterRoom(room_id), **more)

    def together(self, *names, room_id=1):
        """Sign these users in and bring them into a room; their sessions."""
        sessions = [self.login(name) for name in names]
        for session in sessions:
            self.enter(session, room_id)
        return sessions

    def publish(self, session, kind=StreamKind.VIDEO, stream_index=0):
        """Open a stream; the effects."""
        return self.ask(session, OpenStream(kind, stream_index, FORMATS[kind]))

    def watch(self, session, target, *, open=True, stream_index=0):
        """Subscribe to the video of another session's user; the effects."""
        return self.ask(
            session, UserCameraControl(self.user(target), open, stream_index)
        )

    def lose(self, session):
        """The session's link is gone; the effects."""
        return self.run(LinkLost(session))

    def resume(self, session, *, resync=False):
        """A new link takes the session over; the effects."""
        return self.run(
            LinkResumed(session, LinkId(self.fresh()), "198.51.100.9", resync)
        )

    def wait(self, seconds):
        """Let time pass, with the ticks that fall due; their effects."""
        self.now += seconds
        effects = []
        while (due := self.hall.next_timeout()) is not None and due <= self.now:
            effects += self.run(Tick())
        return effects


def sent(effects, session):
    """The notifications among the effects that go to a session."""
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Send) and session in effect.sessions
    ]
