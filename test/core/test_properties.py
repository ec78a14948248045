"""The core under random commands: journal, purity, snapshot and the world.

Each example drives a hall the way the server does.  Beside it stands a twin
that never decides and only folds the journal: the two must always be equal,
which holds only if `decide` alters nothing and the changes say everything.
Arbiters come and go, verdicts come late, twice, or for what is over.
"""

from collections import Counter
from dataclasses import astuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Arbiter,
    GetOnlineUsers,
    GetRoomIdList,
    SendBufToRoom,
    SendBufToUser,
    TransBufferToUser,
    Verdict,
)
from anychat.codes import DeviceType, ResultCode, RoomState, StreamKind, UserState
from anychat.core.changes import RoomEntered
from anychat.core.commands import (
    ArbitersChanged,
    FilterCall,
    LinkLogin,
    LinkLost,
    LinkResumed,
    LoginDropped,
    RoomEntryPrepared,
    SessionMessage,
    Tick,
    UserVerified,
)
from anychat.core.effects import (
    AnswerCall,
    AskPrepareEnterRoom,
    AskVerifyUser,
    Offer,
    OpenRoute,
    QuestionClosed,
    RefuseLogin,
    Reply,
    StartSession,
)
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.core.turn import Decision
from anychat.messages import (
    CloseStream,
    EnterRoom,
    EnterRoomByName,
    Heartbeat,
    LeaveRoom,
    Login,
    Logout,
    OpenStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    SendSDKFilterData,
    SendText,
    TransBuffer,
    UserCameraControl,
    UserSpeakControl,
)
from test.core.audience import Audience
from test.core.driver import H264, OPUS


def weighted(*choices):
    """One of these strategies, each as often as the number before it says."""
    pool = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.sampled_from(pool).flatmap(lambda strategy: strategy)


# Small worlds, so that commands meet: few users, rooms and streams.
ROOMS = st.sampled_from([1, 1, 1, 2, 3, 4, 10001, 0])
NAMES = st.sampled_from(["a", "b", "Room 3", "Room 10001", ""])
PASSWORDS = st.sampled_from(["", "hush"])
BUFFERS = st.sampled_from([b"", b"x", bytes(1001)])
USERS = st.sampled_from([1, 2, 3, 4, -2, -3, -1, 0, 99])
KINDS = st.sampled_from(StreamKind)
INDEXES = st.sampled_from([0, 0, 0, 0, 1, 16])

MESSAGES = weighted(
    (6, st.builds(EnterRoom, ROOMS, PASSWORDS)),
    (2, st.builds(EnterRoomByName, NAMES, PASSWORDS)),
    (2, st.builds(LeaveRoom, ROOMS)),
    (1, st.builds(SendText, USERS, st.booleans(), st.just("hello"))),
    (1, st.builds(TransBuffer, USERS, BUFFERS)),
    (1, st.builds(SendSDKFilterData, BUFFERS)),
    (3, st.builds(OpenStream, st.just(StreamKind.VIDEO), INDEXES, st.just(H264))),
    (2, st.builds(OpenStream, st.just(StreamKind.AUDIO), INDEXES, st.just(OPUS))),
    (1, st.builds(OpenStream, KINDS, INDEXES, st.sampled_from([H264, OPUS]))),
    (2, st.builds(CloseStream, KINDS, INDEXES)),
    (4, st.builds(UserCameraControl, USERS, st.just(True), INDEXES)),
    (2, st.builds(UserCameraControl, USERS, st.just(False), INDEXES)),
    (2, st.builds(UserSpeakControl, USERS, st.booleans(), INDEXES)),
    (1, st.just(QueryOnlineUsers())),
    (1, st.builds(QueryRoomUsers, ROOMS)),
    (1, st.builds(QueryRoomState, ROOMS, st.sampled_from(RoomState))),
    (1, st.builds(QueryUserState, USERS, st.sampled_from(UserState))),
    (1, st.just(Logout())),
    (1, st.just(Heartbeat(0))),
)

CALLS = weighted(
    (1, st.builds(SendBufToUser, USERS, BUFFERS)),
    (1, st.builds(SendBufToRoom, ROOMS, BUFFERS)),
    (1, st.builds(TransBufferToUser, USERS, BUFFERS)),
    (1, st.builds(GetOnlineUsers, st.sampled_from([-1, 1, 5]))),
    (1, st.just(GetRoomIdList())),
)

ARBITERS = st.sampled_from([Arbiter.THERE, *Arbiter])

VERDICTS = st.builds(
    Verdict,
    st.sampled_from([0, 0, 0, 0, 200, 4711]).map(ResultCode),
    st.sampled_from([1, 2, 3, 4, 5, 0, -2, 2**31]),
    st.sampled_from([0, 0, 0, 3, -1]),
    st.sampled_from(["", "Ann", "a\nb"]),
)

#: Which session a step is about; see `Theatre.session`.
WHO = st.integers(0, 7)

STEPS = weighted(
    (
        3,
        st.tuples(
            st.just("login"),
            st.sampled_from(["ann", "ben", "cat", "dan", "eve", ""]),
            st.sampled_from(["secret", "secret", ""]),
            st.sampled_from([True, True, True, False]),
        ),
    ),
    (
        12,
        st.tuples(
            st.just("message"),
            WHO,
            MESSAGES,
            st.sampled_from([True, True, True, True, False]),
            st.sampled_from([b"", b"", b"", b"digest"]),
        ),
    ),
    (6, st.tuples(st.just("verdict"), WHO, VERDICTS)),
    (1, st.tuples(st.just("drop"), WHO)),
    (1, st.tuples(st.just("arbiters"), ARBITERS, ARBITERS, st.booleans())),
    (1, st.tuples(st.just("call"), CALLS)),
    (1, st.tuples(st.just("lose"), WHO)),
    (1, st.tuples(st.just("resume"), WHO, st.booleans())),
    (1, st.tuples(st.just("wait"), st.sampled_from([0.0, 3.0, 11.0]))),
)

#: Long lists find more, short ones are what a failure shrinks to.
SCRIPTS = weighted(
    (1, st.lists(STEPS, max_size=60)),
    (3, st.lists(STEPS, min_size=40, max_size=60)),
)

SETTINGS = st.builds(
    HallSettings,
    demo_mode=st.sampled_from([True, True, True, False]),
    allow_guest_login=st.booleans(),
    close_front_link=st.booleans(),
    auto_add_room=st.sampled_from([True, True, False]),
    max_users_per_room=st.integers(1, 5),
    hold_time=st.just(10.0),
    max_names=st.integers(1, 5),
    verifier=ARBITERS,
    admitter=ARBITERS,
)


class Theatre:
    """A hall, its twin and the audience."""

    def __init__(self, settings):
        self.hall = Hall(settings)
        self.twin = Hall(settings)
        self.audience = Audience()
        self.now = 0.0
        self.last = 0
        self.peak = 0
        """Most users with a remembered name that were online at once."""
        self.vouched = set()
        """Sessions that may enter rooms while the arbiter is away."""
        self.asked = {}
        """The question that an entry's verdict is about, by session."""

    def fresh(self):
        """An id that was not used before."""
        self.last += 1
        return self.last

    def session(self, who):
        """One of the sessions that are there, or one that is not."""
        sessions = list(self.hall.state.sessions)
        return sessions[who % len(sessions)] if sessions and who < 7 else 0

    def run(self, command):
        """Do what the server does, and check everything."""
        decision = self.hall.decide(command, self.now)
        assert self.hall.state == self.twin.state, "decide altered the state"
        assert decision == self.hall.decide(command, self.now)
        self.check_answers(command, decision)
        self.check_admission(command, decision)
        for change in decision.changes:
            self.hall.apply(change)
            self.twin.apply(change)
            self.check_secrets(change)
        self.audience.witness(decision)
        self.audience.agree(self.hall.state)
        self.check_state(self.hall.state)
        return decision

    def check_answers(self, command, decision):
        """Each request is answered exactly once, now or with its verdict."""
        waiting = self.awaited(command)
        asked = [
            effect.request if isinstance(effect, AskPrepareEnterRoom) else None
            for effect in decision.effects
            if isinstance(effect, (AskVerifyUser, AskPrepareEnterRoom))
        ]
        if waiting is not None:
            request = waiting.request
        elif asked or isinstance(command, RoomEntryPrepared):
            request = 0
        else:
            request = getattr(command, "request", 0)
        answers = [
            effect.request
            for effect in decision.effects
            if isinstance(effect, (Reply, Offer, OpenRoute, StartSession, RefuseLogin))
            if effect.request or not isinstance(effect, Offer)
        ]
        assert answers == ([request] if request else [])
        calls = [e.number for e in decision.effects if isinstance(e, AnswerCall)]
        assert calls == ([command.number] if isinstance(command, FilterCall) else [])

    def awaited(self, command):
        """What waits for a verdict, if the command is one."""
        state = self.hall.state
        if isinstance(command, UserVerified):
            return state.verifying.get(command.session)
        if isinstance(command, RoomEntryPrepared):
            return state.entering.get(command.session)
        return None

    def check_admission(self, command, decision):
        """Nobody is signed in, or in a room, without the verdict that it takes."""
        state, demo = self.hall.state, self.hall.settings.demo_mode
        if isinstance(command, (UserVerified, RoomEntryPrepared)):
            assert decision.changes or self.awaited(command) is None
        for effect in decision.effects:
            if not isinstance(effect, StartSession):
                continue
            if isinstance(command, UserVerified):
                assert effect.session in state.verifying
                assert command.verdict.code == 0
                assert command.verdict.user_id == effect.user_id
                assert command.verdict.level == effect.level
            else:
                named = bool(command.message.password)
                assert named == (effect.user_id > 0)
                assert not named or (demo and state.verifier is not Arbiter.THERE)
            if state.admitter is not Arbiter.AWAY:
                self.vouched.add(effect.session)
        for change in decision.changes:
            if not isinstance(change, RoomEntered):
                continue
            if isinstance(command, RoomEntryPrepared):
                assert command.verdict.code == 0
                assert self.asked[change.session].room_id == change.room_id
            else:
                vouched = demo or change.session in self.vouched
                assert state.admitter is Arbiter.NOBODY or (
                    state.admitter is Arbiter.AWAY and vouched
                )

    def check_secrets(self, change):
        """No password is part of a change."""
        for value in astuple(change):
            assert value not in ("secret", "hush"), change

    def check_state(self, state):
        """What must always hold of the state itself."""
        for room in state.rooms.values():
            assert room.members or not room.automatic, "an empty room stayed"
            assert len(room.members) <= self.hall.settings.max_users_per_room
            assert state.room_names[room.name] == room.id
        assert set(state.room_names.values()) == set(state.rooms) | set(state.reserved)
        assert len(state.room_names) == len(set(state.room_names.values()))
        waiting = Counter(entry.room_id for entry in state.entering.values())
        assert waiting == {id: room.entries for id, room in state.reserved.items()}
        for entry in state.entering.values():
            assert state.sessions[entry.session].room_id is None
            assert state.room_names[entry.name] == entry.room_id
        assert not set(state.verifying) & set(state.sessions)
        assert set(state.users.values()) == set(state.sessions)
        online = {
            session.name
            for session in state.sessions.values()
            if state.names.get(session.name) == session.user_id
        }
        assert set(state.names) == online | set(state.offline)
        assert not online & set(state.offline)
        self.peak = max(self.peak, len(online))
        assert len(state.names) <= max(self.hall.settings.max_names, self.peak)
        taken = set(state.room_names.values())
        lowest = next(n for n in range(10001, 20000) if n not in taken)
        assert state.free_rooms.lowest == lowest
        assert list(state.held.values()) == sorted(state.held.values())

    def login(self, name, password, secure):
        self.run(
            LinkLogin(
                self.fresh(),
                self.fresh(),
                Login(name, password),
                self.fresh(),
                "192.0.2.1",
                DeviceType.LINUX,
                secure,
            )
        )

    def message(self, who, message, answered, password):
        self.run(
            SessionMessage(
                self.session(who),
                self.fresh() if answered else 0,
                message,
                self.fresh(),
                password,
            )
        )

    def verdict(self, which, verdict):
        """The arbiter answers a question, which may not matter any more."""
        questions = self.audience.arbiter.questions
        if not questions:
            return
        asked = questions.pop(which % len(questions))
        if isinstance(asked, AskVerifyUser):
            command = UserVerified(asked.session, verdict)
        else:
            command = RoomEntryPrepared(asked.session, asked.request, verdict)
            self.asked[asked.session] = asked.question
        matters = self.awaited(command) is not None
        assert bool(self.run(command).changes) is matters
        closed = Decision(effects=(QuestionClosed(command.session),))
        assert self.run(command) == closed, "a verdict was taken twice"

    def drop(self, which):
        """The link of a login that waits is gone."""
        waiting = [*self.hall.state.verifying, 0]
        self.run(LoginDropped(waiting[which % len(waiting)]))

    def arbiters(self, verifier, admitter, hears):
        self.run(ArbitersChanged(verifier, admitter, hears))

    def call(self, call):
        self.run(FilterCall(self.fresh(), call))

    def lose(self, who):
        self.run(LinkLost(self.session(who)))

    def resume(self, who, resync):
        self.run(LinkResumed(self.session(who), self.fresh(), "192.0.2.2", resync))

    def wait(self, seconds):
        self.now += seconds
        self.run(Tick())
        while (due := self.hall.next_timeout()) is not None and due <= self.now:
            self.run(Tick())

    def snapshot(self):
        """A hall made of a snapshot equals the one it was taken of."""
        copy = Hall(self.hall.settings)
        for change in self.hall.snapshot():
            copy.apply(change)
        assert copy.state == self.hall.state
        assert copy.state.free_rooms.lowest == self.hall.state.free_rooms.lowest
        assert copy.next_timeout() == self.hall.next_timeout()

    def finish(self):
        """When all links are lost for long nothing is left over."""
        for session in list(self.hall.state.verifying):
            self.run(LoginDropped(session))
        for session in list(self.hall.state.sessions):
            self.run(LinkLost(session))
        self.wait(10.0)
        assert not self.hall.state.sessions
        assert not self.audience.routes
        for asked in self.audience.arbiter.questions:
            assert asked.session in self.audience.arbiter.withdrawn
        assert self.hall.next_timeout() is None
        while self.audience.arbiter.questions:
            self.verdict(0, Verdict(ResultCode.SUCCESS, 1))
        state = self.hall.state
        assert not (state.sessions or state.entering or state.reserved)
        demo = self.hall.settings.demo_mode
        assert list(self.hall.state.rooms) == ([1, 2] if demo else [])


class PropertyTests(SynchronousTestCase):
    """`Hall` under random commands."""

    @settings(deadline=None, max_examples=100)
    @given(SETTINGS, SCRIPTS)
    def test_anything(self, hall_settings, steps):
        """Whatever is asked, state, journal and the clients' pictures agree."""
        theatre = Theatre(hall_settings)
        for step, *arguments in steps:
            getattr(theatre, step)(*arguments)
        theatre.snapshot()
        theatre.finish()

    @settings(deadline=None, max_examples=100)
    @given(st.integers(2, 4), SCRIPTS)
    def test_fullRoom(self, users, steps):
        """The same from a room where all watch each other's open camera."""
        theatre = Theatre(HallSettings(True, True, True, True, 5, 10.0, 5))
        for name in ("ann", "ben", "cat", "dan")[:users]:
            theatre.login(name, "secret", True)
        for who in range(users):
            theatre.message(who, EnterRoom(1), True, b"")
            stream = OpenStream(StreamKind.VIDEO, 0, H264)
            theatre.message(who, stream, True, b"")
        for who in range(users):
            for user_id in range(1, users + 1):
                theatre.message(who, UserCameraControl(user_id, True), True, b"")
        self.assertEqual(
            [len(receivers) for _, receivers in theatre.audience.routes.values()],
            [users - 1] * users,
        )
        for step, *arguments in steps:
            getattr(theatre, step)(*arguments)
        theatre.snapshot()
        theatre.finish()

    @settings(deadline=None, max_examples=100)
    @given(st.booleans(), st.integers(1, 3), SCRIPTS)
    def test_everythingAsked(self, auto_add_room, room_size, steps):
        """The same where an arbiter is asked about everything from the start."""
        there = Arbiter.THERE
        theatre = Theatre(
            HallSettings(
                True,
                True,
                True,
                auto_add_room,
                room_size,
                10.0,
                5,
                verifier=there,
                admitter=there,
            )
        )
        for user_id, name in enumerate(("ann", "ben", "cat"), 1):
            theatre.login(name, "secret", True)
            theatre.verdict(0, Verdict(ResultCode.SUCCESS, user_id))
        for who in range(3):
            theatre.message(who, EnterRoom(1, "hush"), True, b"")
        self.assertEqual(list(theatre.audience.arbiter.users.values()), [0, 0, 0])
        self.assertEqual(len(theatre.audience.arbiter.questions), 3)
        for step, *arguments in steps:
            getattr(theatre, step)(*arguments)
        theatre.snapshot()
        theatre.finish()
