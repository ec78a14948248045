"""What the outside makes of the core's effects, for the property test.

`Audience` carries out effects on a little model of the world: the routes of
the media plane, of every client its own picture of the room it is in, made of
nothing but what it was sent, and the arbiter with its open questions and its
own picture of who is where.  Each effect must fit the world as the effects
before it left it, and the pictures must agree with the core's state.
"""

from dataclasses import dataclass, field

from anychat.business_messages import PrepareEnterRoom
from anychat.codes import StreamKind
from anychat.core import changes
from anychat.messages import (
    CameraState,
    MicStateChange,
    OnlineUser,
    Resync,
    RoomMembers,
    SDKFilterData,
    StreamEnded,
    TextMessage,
    TransBufferData,
    UserAtRoom,
)


@dataclass
class Client:
    """What a client knows."""

    room_id: int | None = None
    members: dict = field(default_factory=dict)
    """Of each other member, by user id, the streams it has open."""
    granted: dict = field(default_factory=dict)
    """SSRC of what it receives, by user id, kind and index."""

    def leave(self):
        """It is in no room."""
        self.room_id = None
        self.members = {}
        self.granted = {}

    def receive(self, message):
        """Take a notification."""
        getattr(self, f"receive_{type(message).__name__}")(message)

    def receive_RoomMembers(self, message):
        for member in message.members:
            assert member.user_id not in self.members
            self.members[member.user_id] = streams_of(member)

    def receive_OnlineUser(self, message):
        assert message.count == len(self.members) + 1
        self.room_id = message.room_id

    def receive_UserAtRoom(self, message):
        user_id = message.member.user_id
        if message.entered:
            assert user_id not in self.members
            self.members[user_id] = streams_of(message.member)
        else:
            del self.members[user_id]
            assert all(stream[0] != user_id for stream in self.granted)

    def receive_CameraState(self, message):
        self.device(message, StreamKind.VIDEO)

    def receive_MicStateChange(self, message):
        self.device(message, StreamKind.AUDIO)

    def device(self, message, kind):
        streams = self.members[message.user_id]
        assert ((kind, message.stream_index) in streams) is not message.open
        streams ^= {(kind, message.stream_index)}

    def receive_StreamEnded(self, message):
        stream = (message.user_id, message.kind, message.stream_index)
        assert self.granted.pop(stream) == message.ssrc

    def receive_Resync(self, message):
        self.leave()
        assert isinstance(message, Resync)

    def receive_TextMessage(self, message):
        assert isinstance(message, TextMessage)

    def receive_TransBufferData(self, message):
        assert isinstance(message, TransBufferData)

    def receive_SDKFilterData(self, message):
        assert isinstance(message, SDKFilterData)


#: Everything that may be sent as a notification.
NOTIFICATIONS = {
    RoomMembers,
    OnlineUser,
    UserAtRoom,
    CameraState,
    MicStateChange,
    StreamEnded,
    Resync,
    TextMessage,
    TransBufferData,
    SDKFilterData,
}


def streams_of(member):
    """The streams that a member is said to have open."""
    return {(stream.kind, stream.stream_index) for stream in member.streams}


class Arbiter:
    """A business server that believes what it is asked and told."""

    def __init__(self):
        self.questions = []
        """Effects whose verdict it still owes."""
        self.withdrawn = set()
        """Sessions for whose question it need not."""
        self.users = {}
        """The room of every user, 0 for none."""

    def ask(self, effect):
        """A question comes at its place among the events."""
        question = effect.question
        if isinstance(question, PrepareEnterRoom):
            assert self.users[question.user_id] == 0
        self.questions.append(effect)

    def tell(self, event):
        """Take an event."""
        getattr(self, f"hear_{type(event).__name__}")(event)

    def hear_OnUserLoginAction(self, event):
        assert event.user_id not in self.users
        self.users[event.user_id] = 0

    def hear_OnUserEnterRoomAction(self, event):
        assert self.users[event.user_id] == 0
        self.users[event.user_id] = event.room_id

    def hear_OnUserLeaveRoomAction(self, event):
        assert self.users[event.user_id] == event.room_id != 0
        self.users[event.user_id] = 0

    def hear_OnUserLogoutActionEx(self, event):
        assert self.users.pop(event.user_id) == 0

    def hear_OnRecvUserTextMsg(self, event):
        assert self.users[event.source_id] == event.room_id

    def hear_OnRecvUserFilterData(self, event):
        assert event.user_id in self.users

    def hear_OnTransBuffer(self, event):
        assert event.user_id in self.users


class Audience:
    """The world outside the core."""

    def __init__(self):
        self.clients = {}
        """Those whose session has not ended, by session."""
        self.routes = {}
        """Owner and set of receivers, by SSRC."""
        self.arbiter = Arbiter()

    def witness(self, decision):
        """Carry out a decision."""
        for change in decision.changes:
            # A client that leaves knows so by itself.
            if isinstance(change, changes.RoomLeft):
                self.clients[change.session].leave()
        for effect in decision.effects:
            getattr(self, type(effect).__name__)(effect)

    def Send(self, effect):
        assert effect.sessions
        assert len(set(effect.sessions)) == len(effect.sessions)
        assert type(effect.message) in NOTIFICATIONS
        for session in effect.sessions:
            self.clients[session].receive(effect.message)

    def Reply(self, effect):
        assert effect.request
        assert effect.session in self.clients or effect.message.code == 8

    def RefuseLogin(self, effect):
        assert effect.code != 0

    def StartSession(self, effect):
        assert effect.session not in self.clients
        self.clients[effect.session] = Client()

    def EndSession(self, effect):
        del self.clients[effect.session]
        for owner, receivers in self.routes.values():
            assert effect.session != owner
            assert effect.session not in receivers

    def OpenRoute(self, effect):
        assert effect.session in self.clients
        assert effect.ssrc not in self.routes
        self.routes[effect.ssrc] = (effect.session, set())

    def CloseRoute(self, effect):
        del self.routes[effect.ssrc]

    def JoinRoute(self, effect):
        owner, receivers = self.routes[effect.ssrc]
        assert owner != effect.session
        receivers.add(effect.session)
        stream = (effect.user_id, effect.kind, effect.stream_index)
        self.clients[effect.session].granted[stream] = effect.ssrc

    def LeaveRoute(self, effect):
        self.routes[effect.ssrc][1].remove(effect.session)

    def AskVerifyUser(self, effect):
        assert effect.session not in self.clients
        self.arbiter.ask(effect)

    def AskPrepareEnterRoom(self, effect):
        assert effect.session in self.clients
        self.arbiter.ask(effect)

    def WithdrawQuestion(self, effect):
        asked = [one.session for one in self.arbiter.questions]
        assert effect.session in asked and effect.address
        assert effect.session not in self.arbiter.withdrawn
        self.arbiter.withdrawn.add(effect.session)

    def QuestionClosed(self, effect):
        self.arbiter.withdrawn.discard(effect.session)

    def Tell(self, effect):
        self.arbiter.tell(effect.event)

    def Offer(self, effect):
        assert effect.session in self.clients
        self.arbiter.tell(effect.event)

    def AnswerCall(self, effect):
        assert effect.answer.code == 0 or effect.answer.ids == ()

    def agree(self, state):
        """Fail where the world is not what the core takes it for."""
        assert set(self.clients) == set(state.sessions)
        waiting = {*state.verifying, *state.entering}
        asked = {effect.session for effect in self.arbiter.questions}
        assert not waiting & self.arbiter.withdrawn
        assert asked <= waiting | self.arbiter.withdrawn
        assert self.arbiter.users == {
            session.user_id: session.room_id or 0 for session in state.sessions.values()
        }
        routes = {}
        for room in state.rooms.values():
            for session, membership in room.members.items():
                client = self.clients[session]
                assert client.room_id == room.id == state.sessions[session].room_id
                assert client.members == {
                    other.member.user_id: set(other.published)
                    for key, other in room.members.items()
                    if key != session
                }
                for publication in membership.published.values():
                    stream = (publication.kind, publication.stream_index)
                    watchers = set(membership.watchers.get(stream, ()))
                    routes[publication.ssrc] = (session, watchers)
                granted = {}
                for wanted in membership.watching:
                    target = room.members[state.users[wanted.user_id]]
                    stream = (wanted.kind, wanted.stream_index)
                    assert session in target.watchers[stream]
                    if stream in target.published:
                        granted[wanted.user_id, *stream] = target.published[stream].ssrc
                assert client.granted == granted
        assert self.routes == routes
        for session, client in self.clients.items():
            if state.sessions[session].room_id is None:
                assert client == Client()
