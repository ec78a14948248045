"""The core under random commands: journal, purity, snapshot and the world.

Each example drives a hall the way the server does.  Beside it stands a twin
that never decides and only folds the journal: the two must always be equal,
which holds only if `decide` alters nothing and the changes say everything.
Arbiters come and go, verdicts come late, twice, or for what is over.
"""

from collections import Counter
from dataclasses import astuple, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat import messages
from anychat.business_messages import (
    Arbiter,
    FetchFile,
    GetOnlineUsers,
    GetRoomIdList,
    GetUserInfo,
    QueryInfoFromServer,
    SendBufToRoom,
    SendBufToUser,
    SetSDKOption,
    SetUserInfo,
    TransBufferEx,
    TransBufferToUser,
    TransFile,
    UserInfoControl,
    Verdict,
    VideoCallControl,
)
from anychat.codes import (
    DeviceType,
    ResultCode,
    RoomState,
    SignatureScheme,
    StreamInfo,
    StreamKind,
    TraceMode,
    TransferKind,
    UserState,
    VideoCallEvent,
)
from anychat.core.changes import CallRang, CallStarted, RoomEntered, TermsSet
from anychat.core.commands import (
    ArbitersChanged,
    BufferPortion,
    CallJudged,
    ControlJudged,
    FilterCall,
    LinkLogin,
    LinkLost,
    LinkResumed,
    LinkSignedLogin,
    LoginDropped,
    RoomEntryPrepared,
    SessionMessage,
    TermsChanged,
    Tick,
    TransferFinished,
    UserVerified,
)
from anychat.core.directions import is_forbidden
from anychat.core.effects import (
    AnswerCall,
    AskPrepareEnterRoom,
    AskUserInfoControl,
    AskVerifyUser,
    AskVideoCall,
    KeepLog,
    Offer,
    OpenRoute,
    QuestionClosed,
    ReadStored,
    RefuseLogin,
    Reply,
    ReplyFigure,
    StartSession,
)
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.core.turn import Decision
from anychat.messages import (
    BeginTransfer,
    CloseStream,
    EndTransfer,
    EnterRoom,
    EnterRoomByName,
    Heartbeat,
    LeaveRoom,
    Login,
    LoginEx,
    Logout,
    LogPart,
    OpenLayer,
    OpenStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QuerySDKOption,
    QueryStreamInfo,
    QueryUserState,
    SendSDKFilterData,
    SendText,
    SetUdpTrace,
    TransBuffer,
    UserCameraControl,
    UserSpeakControl,
)
from anychat.terms import Terms
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

CONTROLS = st.sampled_from(
    [1, 1, 2, 2, 2, 4, 5, 8, 20, 20, 21, 22, 22, 22, 22, 23, 24, 24, 100, 100, 3]
)
WORDS = st.sampled_from([1, 2, 3, 90, 0, -1, -2, 2**32 - 2])
INFO_TEXTS = st.sampled_from(["", "x", "y" * 5000, "group", "192.0.2.*", "*"])
OPTIONS = st.sampled_from([40, 40, 110, 228, 230, 35, 35, 30, 33, 7])

TRANSFERS = st.sampled_from(TransferKind)
TASKS = st.integers(0, 8)

CALL_EVENTS = st.sampled_from([1, 1, 1, 2, 2, 2, 4, 3]).map(VideoCallEvent)
CALL_ERRORS = st.sampled_from([0, 0, 0, 100101, 100104, 440, 4711]).map(ResultCode)
CALL_FLAGS = st.sampled_from([0, 3, 0x10, 0x20, 0x40, 0x80, 0xF3])

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
    (3, st.builds(OpenLayer, INDEXES, st.just(H264))),
    (4, st.builds(UserCameraControl, USERS, st.just(True), INDEXES)),
    (2, st.builds(UserCameraControl, USERS, st.just(False), INDEXES)),
    (2, st.builds(UserSpeakControl, USERS, st.booleans(), INDEXES)),
    (
        5,
        st.builds(
            messages.VideoCallControl,
            CALL_EVENTS,
            USERS,
            CALL_ERRORS,
            CALL_FLAGS,
            st.just(1),
            st.just("hello"),
        ),
    ),
    (2, st.builds(SetUdpTrace, st.sampled_from(TraceMode), USERS)),
    (1, st.builds(LogPart, st.sampled_from([0, 1]), st.just(2), BUFFERS)),
    (1, st.just(QueryOnlineUsers())),
    (1, st.builds(QueryRoomUsers, ROOMS)),
    (1, st.builds(QueryRoomState, ROOMS, st.sampled_from(RoomState))),
    (1, st.builds(QueryUserState, USERS, st.sampled_from(UserState))),
    (
        3,
        st.builds(
            BeginTransfer,
            USERS,
            TRANSFERS,
            st.sampled_from(["", "g", "h", "i"]),
            st.just("../name"),
            st.sampled_from([0, 1, 5000, 1 << 20, 1 << 40]),
            st.just(1),
            st.just(2),
            st.just(3),
            st.just("note"),
        ),
    ),
    (
        2,
        st.builds(
            EndTransfer,
            TASKS,
            TRANSFERS,
            st.sampled_from([0, 0, 6, 715]).map(ResultCode),
        ),
    ),
    (
        3,
        st.builds(messages.UserInfoControl, USERS, CONTROLS, WORDS, WORDS, INFO_TEXTS),
    ),
    (
        1,
        st.builds(
            messages.QueryInfoFromServer,
            st.sampled_from([*range(1, 7), 200, 201, 7]),
            st.sampled_from(["ann", "1", "2", "-2", "s", ""]),
        ),
    ),
    (1, st.builds(messages.SetSDKOption, OPTIONS, st.sampled_from([0, 1, 2, 9]))),
    (1, st.builds(QuerySDKOption, OPTIONS)),
    (1, st.builds(QueryStreamInfo, USERS, INDEXES, st.sampled_from(StreamInfo))),
    (1, st.just(Logout())),
    (1, st.just(Heartbeat(0))),
)

CALLS = weighted(
    (1, st.builds(SendBufToUser, USERS, BUFFERS)),
    (
        2,
        st.builds(
            VideoCallControl,
            CALL_EVENTS.map(int),
            USERS,
            CALL_ERRORS,
            CALL_FLAGS,
            st.just(2**32 - 1),
            st.just("over"),
        ),
    ),
    (1, st.builds(SendBufToRoom, ROOMS, BUFFERS)),
    (1, st.builds(TransBufferToUser, USERS, BUFFERS)),
    (1, st.builds(GetOnlineUsers, st.sampled_from([-1, 1, 5]))),
    (1, st.just(GetRoomIdList())),
    (
        1,
        st.builds(
            TransBufferEx,
            USERS,
            st.just(1),
            st.just(2),
            st.just(3),
            TASKS,
            st.sampled_from([1, 2, 0]),
            st.sampled_from([0, 1]),
            st.sampled_from([b"x", b"xy", b""]),
        ),
    ),
    (
        1,
        st.builds(
            TransFile,
            USERS,
            st.just("f"),
            st.just(1),
            st.just(2),
            st.just(3),
            st.sampled_from([0, 0, 1, 2, 3]),
            st.just(2),
            st.sampled_from([0, 0, 1]),
            st.just(b"x"),
        ),
    ),
    (1, st.builds(FetchFile, TASKS, st.just(0), st.just(9))),
    (2, st.builds(SetUserInfo, USERS, st.sampled_from([1, 2]), INFO_TEXTS)),
    (1, st.builds(GetUserInfo, USERS, st.sampled_from([1, 2]))),
    (12, st.builds(UserInfoControl, USERS, CONTROLS, WORDS, WORDS, INFO_TEXTS)),
    (1, st.builds(QueryInfoFromServer, st.integers(0, 7), st.sampled_from(["1", "s"]))),
    (1, st.builds(SetSDKOption, OPTIONS, st.sampled_from([b"1", b"0", b"20", b"x"]))),
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

TERMS = st.builds(
    Terms,
    max_users=st.sampled_from([0, 0, 0, 1, 2, 3]),
    login_refusal=st.sampled_from([0, 0, 0, 28]).map(ResultCode),
    entry_refusal=st.sampled_from([0, 0, 0, 33]).map(ResultCode),
)

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
    (
        1,
        st.tuples(
            *(st.just("arbiters"), ARBITERS, ARBITERS),
            *(st.booleans(), st.booleans()),
        ),
    ),
    (1, st.tuples(st.just("terms"), TERMS)),
    (4, st.tuples(st.just("call"), CALLS)),
    (
        1,
        st.tuples(
            st.just("sign_in"),
            st.sampled_from([1, 2, 5, -1, -1]),
            st.sampled_from(["", "s", "t"]),
            st.sampled_from([b"1", b"2", b"3", b"4"]),
            st.sampled_from([0, 0, 0, 215]).map(ResultCode),
        ),
    ),
    (
        1,
        st.tuples(
            st.just("finish_transfer"), TASKS, st.sampled_from([0, 715]).map(ResultCode)
        ),
    ),
    (1, st.tuples(st.just("lose"), WHO)),
    (1, st.tuples(st.just("resume"), WHO, st.booleans())),
    (1, st.tuples(st.just("wait"), st.sampled_from([0.0, 3.0, 11.0]))),
)

#: Long lists find more, short ones are what a failure shrinks to.
SCRIPTS = weighted(
    (1, st.lists(STEPS, max_size=60)),
    (3, st.lists(STEPS, min_size=40, max_size=60)),
)

#: Steps of calls between users 1 to 3, and the way into their rooms.
CALL_STEPS = weighted(
    (1, st.tuples(st.just("terms"), TERMS)),
    (
        12,
        st.tuples(
            st.just("message"),
            st.integers(0, 2),
            st.builds(
                messages.VideoCallControl,
                CALL_EVENTS,
                st.integers(1, 3),
                CALL_ERRORS,
                CALL_FLAGS,
                st.just(1),
                st.just("hello"),
            ),
            st.sampled_from([True, True, True, False]),
            st.just(b""),
        ),
    ),
    (
        4,
        st.tuples(
            st.just("message"),
            st.integers(0, 2),
            weighted(
                (2, st.builds(EnterRoom, st.sampled_from([1, 3, 4, 10000]))),
                (1, st.builds(LeaveRoom, st.sampled_from([1, 3, 4]))),
                (1, st.just(OpenStream(StreamKind.VIDEO, 0, H264))),
                (2, st.builds(UserCameraControl, st.integers(1, 3), st.just(True))),
                (1, st.builds(UserSpeakControl, st.integers(1, 3), st.just(True))),
            ),
            st.just(True),
            st.just(b""),
        ),
    ),
    (6, st.tuples(st.just("verdict"), WHO, VERDICTS)),
    (1, STEPS),
)
CALL_SCRIPTS = st.lists(CALL_STEPS, min_size=10, max_size=50)

SETTINGS = st.builds(
    HallSettings,
    demo_mode=st.sampled_from([True, True, True, False]),
    allow_guest_login=st.booleans(),
    close_front_link=st.booleans(),
    auto_add_room=st.sampled_from([True, True, False]),
    max_users_per_room=st.integers(1, 5),
    hold_time=st.just(10.0),
    max_names=st.integers(1, 5),
    ring_time=st.sampled_from([5.0, 30.0]),
    first_call_room=st.sampled_from([0, 0, 1, 3, 10000]),
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
        self.call_room = 0
        """The last room of a call, where they are counted up."""
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
            self.check_call_room(change)
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
            if isinstance(
                effect, (AskVerifyUser, AskPrepareEnterRoom, AskUserInfoControl)
            )
            or (isinstance(effect, AskVideoCall) and effect.request)
        ]
        if waiting is not None:
            request = waiting.request
        elif asked or isinstance(
            command, RoomEntryPrepared | ControlJudged | CallJudged
        ):
            request = 0
        else:
            request = getattr(command, "request", 0)
        answers = [
            effect.request
            for effect in decision.effects
            if isinstance(
                effect,
                (
                    Reply,
                    Offer,
                    OpenRoute,
                    StartSession,
                    RefuseLogin,
                    ReplyFigure,
                    KeepLog,
                ),
            )
            if effect.request or not isinstance(effect, Offer)
        ]
        assert answers == ([request] if request else [])
        calls = [
            e.number for e in decision.effects if isinstance(e, AnswerCall | ReadStored)
        ]
        assert calls == ([command.number] if isinstance(command, FilterCall) else [])

    def awaited(self, command):
        """What waits for a verdict, if the command is one."""
        state = self.hall.state
        if isinstance(command, UserVerified):
            return state.verifying.get(command.session)
        if isinstance(command, RoomEntryPrepared):
            return state.entering.get(command.session)
        if isinstance(command, CallJudged):
            session = state.sessions.get(command.session)
            waits = session is not None and command.request in session.call_steps
            return command if waits else None
        if isinstance(command, ControlJudged):
            session = state.sessions.get(command.session)
            waits = session is not None and command.request in session.controls
            return command if waits else None
        return None

    def check_admission(self, command, decision):
        """Nobody is signed in, or in a room, without the verdict that it takes."""
        state, demo = self.hall.state, self.hall.settings.demo_mode
        if isinstance(command, (UserVerified, RoomEntryPrepared)):
            assert decision.changes or self.awaited(command) is None
        for effect in decision.effects:
            if not isinstance(effect, StartSession):
                continue
            terms, users = state.terms, state.users
            assert terms.login_refusal == 0
            assert (
                not terms.max_users
                or len(users) < terms.max_users
                or effect.user_id in users
            )
            if isinstance(command, LinkSignedLogin):
                assert command.checked == 0
                assert command.digest not in state.signatures
                assert command.message.user_id in (effect.user_id, -1)
            elif isinstance(command, UserVerified):
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
            if isinstance(change, CallRang):
                assert state.terms.entry_refusal == 0
            if not isinstance(change, RoomEntered):
                continue
            assert state.terms.entry_refusal == 0 or (
                state.call_rooms[change.room_id] == state.sessions[change.session].call
            )
            if isinstance(command, RoomEntryPrepared):
                assert command.verdict.code == 0
                assert self.asked[change.session].room_id == change.room_id
            else:
                vouched = demo or change.session in self.vouched
                assert state.admitter is Arbiter.NOBODY or (
                    state.admitter is Arbiter.AWAY and vouched
                )

    def check_call_room(self, change):
        """No call gets a room that is another's, or that one may not count on."""
        if not isinstance(change, CallStarted):
            return
        first = self.hall.settings.first_call_room
        assert change.room_id not in (1, 2)
        assert change.room_id not in self.hall.state.rooms
        assert change.room_id >= first
        assert change.counted is (first == 0)
        if first == 0:
            assert change.room_id > self.call_room
            self.call_room = change.room_id

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
        waiting.update(list(state.call_rooms))
        assert waiting == {id: room.entries for id, room in state.reserved.items()}
        for entry in state.entering.values():
            assert state.sessions[entry.session].room_id is None
            assert state.room_names[entry.name] == entry.room_id
        assert not set(state.verifying) & set(state.sessions)
        assert set(state.users.values()) == set(state.sessions)
        online = {
            session.remembered_by
            for session in state.sessions.values()
            if state.names.get(session.remembered_by) == session.user_id
        }
        assert set(state.names) == online | set(state.offline)
        assert not online & set(state.offline)
        self.peak = max(self.peak, len(online))
        assert len(state.names) <= max(self.hall.settings.max_names, self.peak)
        taken = set(state.room_names.values())
        lowest = next(n for n in range(10001, 20000) if n not in taken)
        assert state.free_rooms.lowest == lowest
        taken |= {1, 2}
        first = max(1, self.hall.settings.first_call_room)
        lowest = next(n for n in range(first, 20000) if n not in taken)
        assert state.free_call_rooms.lowest == lowest
        assert list(state.held.values()) == sorted(state.held.values())
        self.check_calls(state)
        self.check_profiles(state)

    @staticmethod
    def check_calls(state):
        """A call has two parties, and rings or has a room."""
        parties = [s.id for s in state.sessions.values() if s.call is not None]
        expected = [p for c in state.calls.values() for p in (c.caller, c.callee)]
        assert sorted(parties) == sorted(expected)
        rings = {key for key, call in state.calls.items() if call.room_id is None}
        assert set(state.ringing) == rings
        assert list(state.ringing.values()) == sorted(state.ringing.values())
        assert state.call_rooms == {
            call.room_id: key for key, call in state.calls.items() if key not in rings
        }
        for room in state.rooms.values():
            for session, membership in room.members.items():
                watcher = state.sessions[session]
                for stream in membership.watching:
                    owner = state.session_of(stream.user_id)
                    assert not is_forbidden(state, owner, watcher, stream.kind)

    @staticmethod
    def check_profiles(state):
        """What is kept of users is of those who are there, and their friends."""
        size = 0
        for user_id, profile in state.profiles.items():
            size += sum(len(text) + 64 for text in profile.infos.values())
            size += sum(len(name) + 64 for name in profile.groups.values())
            size += sum(64 + 64 * len(g) for g in profile.friends.values())
            own = profile.friends or profile.groups or profile.synchronised
            assert user_id in state.users or (profile.friend_of and not own)
            assert own or profile.friend_of or profile.infos
            for friend, groups in profile.friends.items():
                assert set(groups) <= set(profile.groups)
                assert user_id in state.profiles[friend].friend_of
            for owner in profile.friend_of:
                assert user_id in state.profiles[owner].friends
        assert size == state.profile_bytes
        assert sum(map(len, state.by_name.values())) == len(state.users)

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

    def sign_in(self, user_id, string_id, digest, checked):
        """A signed login; the shell refuses one without any id."""
        if user_id < 0 and not string_id:
            return
        app_id, scheme = "A", SignatureScheme.ED25519
        self.run(
            LinkSignedLogin(
                self.fresh(),
                self.fresh(),
                LoginEx("ann", user_id, string_id, app_id, 1, scheme, b"s", ""),
                self.fresh(),
                "192.0.2.1",
                DeviceType.LINUX,
                True,
                checked,
                digest,
                12.0,
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
        elif isinstance(asked, AskVideoCall):
            command = CallJudged(asked.session, asked.request, asked.question, verdict)
        elif isinstance(asked, AskUserInfoControl):
            command = ControlJudged(
                asked.session, asked.request, asked.question, verdict
            )
        else:
            command = RoomEntryPrepared(asked.session, asked.request, verdict)
            self.asked[asked.session] = asked.question
        matters = self.awaited(command) is not None
        assert bool(self.run(command).changes) is matters
        closed = Decision()
        if isinstance(command, UserVerified | RoomEntryPrepared):
            closed = Decision(effects=(QuestionClosed(command.session),))
        assert self.run(command) == closed, "a verdict was taken twice"

    def drop(self, which):
        """The link of a login that waits is gone."""
        waiting = [*self.hall.state.verifying, 0]
        self.run(LoginDropped(waiting[which % len(waiting)]))

    def arbiters(self, verifier, admitter, hears, judges_calls):
        self.run(ArbitersChanged(verifier, admitter, hears, judges_calls))

    def terms(self, terms):
        """The licence allows something else; nobody there notices."""
        decision = self.run(TermsChanged(terms))
        assert not decision.effects
        assert {type(change) for change in decision.changes} <= {TermsSet}

    def call(self, call):
        self.run(FilterCall(self.fresh(), call))

    def finish_transfer(self, task_id, code):
        """The server's own end has done with a task, if it has one there."""
        transfer = self.hall.state.transfers.get(task_id)
        if transfer is not None and transfer.kind is TransferKind.BUFFER:
            size = min(transfer.length, 100)
            self.run(BufferPortion(task_id, transfer.length - size, bytes(size)))
        self.run(TransferFinished(task_id, code, "/temp/1/name"))

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
        self.wait(20.0)
        assert not self.hall.state.sessions
        assert not self.audience.routes
        for asked in self.audience.arbiter.questions:
            if isinstance(asked, AskVerifyUser | AskPrepareEnterRoom):
                assert asked.session in self.audience.arbiter.withdrawn
        assert self.hall.next_timeout() is None
        while self.audience.arbiter.questions:
            self.verdict(0, Verdict(ResultCode.SUCCESS, 1))
        state = self.hall.state
        assert not (state.sessions or state.entering or state.reserved)
        assert not (state.profiles or state.profile_bytes or state.signatures)
        assert not (state.by_name or state.by_string_id)
        assert not (state.calls or state.ringing or state.call_rooms)
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

    @settings(deadline=None, max_examples=100)
    @given(SETTINGS, st.booleans(), CALL_SCRIPTS)
    def test_calls(self, hall_settings, judged, steps):
        """The same of three users who do little but call one another."""
        theatre = Theatre(
            replace(
                hall_settings,
                demo_mode=True,
                max_users_per_room=5,
                verifier=Arbiter.NOBODY,
                admitter=Arbiter.NOBODY,
            )
        )
        for name in ("ann", "ben", "cat"):
            theatre.login(name, "secret", True)
        theatre.arbiters(Arbiter.NOBODY, Arbiter.NOBODY, True, judged)
        for step, *arguments in steps:
            getattr(theatre, step)(*arguments)
        theatre.snapshot()
        theatre.finish()
