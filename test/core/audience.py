"""What the outside makes of the core's effects, for the property test.

`Audience` carries out effects on a little model of the world: the routes of
the media plane, of every client its own picture of the room it is in, made of
nothing but what it was sent, and the arbiter with its open questions and its
own picture of who is where.  Each effect must fit the world as the effects
before it left it, and the pictures must agree with the core's state.
"""

from dataclasses import dataclass, field, replace

from anychat.business_messages import PrepareEnterRoom
from anychat.codes import (
    ResultCode,
    StreamKind,
    TraceMode,
    VideoCallEvent,
    VideoCallStage,
)
from anychat.core import changes, effects
from anychat.messages import (
    CameraState,
    FriendStatus,
    MicStateChange,
    OnlineUser,
    RenewStreams,
    Resync,
    RoomMembers,
    SDKFilterData,
    StreamEnded,
    SyncData,
    TextMessage,
    TransBufferData,
    TransferEnded,
    TransferOffered,
    TransferTasks,
    UserAtRoom,
    UserFriends,
    UserGroups,
    UserInfoCommand,
    UserInfos,
    UserInfoUpdate,
    VideoCallNotice,
    VideoCallStatus,
)

NO_CALL = VideoCallStatus(VideoCallStage.NONE, 0, 0, 0, False)


@dataclass
class Client:
    """What a client knows."""

    room_id: int | None = None
    members: dict = field(default_factory=dict)
    """Of each other member, by user id, the streams it has open."""
    granted: dict = field(default_factory=dict)
    """SSRC of what it receives, by user id, kind and index."""
    offers: set = field(default_factory=set)
    """Transfers that it is receiving."""
    tasks: set = field(default_factory=set)
    """Transfers that it is sending."""
    friends: dict = field(default_factory=dict)
    """Whether each friend that it knows of is signed in."""
    friend_set: dict | None = None
    """The friends of a set that is being told."""
    infos: dict = field(default_factory=dict)
    """What it knows of itself and its friends."""
    call: VideoCallStatus = NO_CALL
    """The call that it is in, as far as it knows."""

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

    def receive_TransferOffered(self, message):
        self.offers.add(message.task_id)

    def receive_TransferEnded(self, message):
        assert message.task_id in self.offers | self.tasks
        self.offers.discard(message.task_id)
        self.tasks.discard(message.task_id)

    def receive_TransferTasks(self, message):
        assert set(message.task_ids) == self.offers | self.tasks

    def receive_SyncData(self, message):
        assert self.friend_set is None
        assert message == SyncData()
        self.friend_set, self.infos = {}, {}

    def receive_UserGroups(self, message):
        assert self.friend_set is not None
        assert isinstance(message, UserGroups)

    def receive_UserFriends(self, message):
        for friend in message.friends:
            assert friend.user_id not in self.friend_set
            self.friend_set[friend.user_id] = friend.online

    def receive_UserInfos(self, message):
        self.infos[message.user_id] = {i.info_id: i.text for i in message.infos}

    def receive_UserInfoUpdate(self, message):
        if message == UserInfoUpdate(0, 0):
            self.friends, self.friend_set = self.friend_set, None
        else:
            assert self.friend_set is None
            assert message.user_id in self.infos

    def receive_FriendStatus(self, message):
        assert self.friend_set is None
        assert self.friends.get(message.user_id) is not message.online
        self.friends[message.user_id] = message.online

    def receive_RenewStreams(self, message):
        assert self.room_id is not None

    def receive_UserInfoCommand(self, message):
        assert message.control_code >= 100

    def receive_VideoCallNotice(self, message):
        with_it = self.call.user_id == message.user_id
        rings = self.call.stage in (VideoCallStage.CALLING, VideoCallStage.CALLED)
        if message.event is VideoCallEvent.REQUEST:
            assert self.call == NO_CALL
            self.call = VideoCallStatus(
                VideoCallStage.CALLED, message.user_id, message.flags, 0, False
            )
        elif message.event is VideoCallEvent.START:
            assert with_it and rings
            assert message.flags == self.call.flags
            self.call = replace(
                self.call, stage=VideoCallStage.TALKING, room_id=message.param
            )
        elif message.event is VideoCallEvent.FINISH:
            assert with_it and self.call.stage is VideoCallStage.TALKING
            self.call = NO_CALL
        elif message.error == 0:
            assert self.call == NO_CALL
            self.call = VideoCallStatus(
                VideoCallStage.CALLING, message.user_id, message.flags, 0, True
            )
        elif with_it and message.error != ResultCode.VIDEOCALL_INCHAT:
            assert rings
            self.call = NO_CALL

    def receive_VideoCallStatus(self, message):
        assert message == self.call

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
    RenewStreams,
    Resync,
    TextMessage,
    TransBufferData,
    SDKFilterData,
    SyncData,
    UserGroups,
    UserFriends,
    UserInfos,
    UserInfoUpdate,
    UserInfoCommand,
    FriendStatus,
    TransferOffered,
    TransferEnded,
    TransferTasks,
    VideoCallNotice,
    VideoCallStatus,
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

    def hear_OnTransFile(self, event):
        assert event.user_id in self.users

    def hear_OnTransBufferEx(self, event):
        assert event.user_id in self.users
        assert event.offset + len(event.data) <= event.length


class Audience:
    """The world outside the core."""

    def __init__(self):
        self.clients = {}
        """Those whose session has not ended, by session."""
        self.routes = {}
        self.layers = {}
        """Owner and set of receivers, by SSRC."""
        self.transfers = {}
        """What is under way, by its number."""
        self.calls = {}
        """Who is called, by who calls."""
        self.traces = {}
        """Who gets whose probes, by the session that sends them."""
        self.blocked = set()
        """Addresses that the operator was shown."""
        self.parameters = None
        """What was announced last."""
        self.arbiter = Arbiter()

    def witness(self, decision):
        """Carry out a decision."""
        for change in decision.changes:
            # A client that leaves knows so by itself.
            if isinstance(change, changes.RoomLeft):
                self.clients[change.session].leave()
        for effect in decision.effects:
            getattr(self, type(effect).__name__)(effect)
        self.hang_up(decision)
        for client in self.clients.values():
            # The end that has ended a transfer is not told so.
            client.tasks &= set(self.transfers)
            client.offers &= set(self.transfers)

    def hang_up(self, decision):
        """Whoever ends the ringing knows so; everybody else was told."""
        for change in decision.changes:
            if isinstance(change, changes.CallRang):
                self.calls[change.caller] = change.callee
            elif isinstance(change, changes.CallEnded):
                parties = change.caller, self.calls.pop(change.caller)
                left = [self.clients[p] for p in parties if p in self.clients]
                unaware = [client for client in left if client.call != NO_CALL]
                assert len(unaware) <= 1
                for client in unaware:
                    assert len(left) == 2
                    assert client.call.stage is not VideoCallStage.TALKING
                    client.call = NO_CALL

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
        if effect.layer_of:
            assert self.routes[effect.layer_of][0] == effect.session
            self.layers[effect.ssrc] = effect.layer_of

    def CloseRoute(self, effect):
        del self.routes[effect.ssrc]
        self.layers.pop(effect.ssrc, None)

    def JoinRoute(self, effect):
        owner, receivers = self.routes[effect.ssrc]
        assert owner != effect.session
        receivers.add(effect.session)
        stream = (effect.user_id, effect.kind, effect.stream_index)
        self.clients[effect.session].granted[stream] = effect.ssrc
        if effect.layer is not None:
            assert self.layers[effect.layer.ssrc] == effect.ssrc

    def AdaptStreams(self, effect):
        assert effect.session in self.clients

    def ReplyFigure(self, effect):
        assert effect.session in self.clients
        assert effect.target in self.clients

    def StartTransfer(self, effect):
        transfer = effect.transfer
        assert transfer.id not in self.transfers
        self.transfers[transfer.id] = transfer
        if transfer.source is not None:
            self.clients[transfer.source].tasks.add(transfer.id)

    def FeedTransfer(self, effect):
        transfer = self.transfers[effect.task_id]
        assert transfer.source is None
        assert effect.offset + len(effect.data) <= transfer.length

    def StopTransfer(self, effect):
        del self.transfers[effect.task_id]

    def SuspendTransfers(self, effect):
        assert effect.session in self.clients

    def ResumeTransfers(self, effect):
        assert effect.session in self.clients

    def ReadStored(self, effect):
        assert effect.size >= 1

    def RouteTrace(self, effect):
        assert effect.session in self.clients
        if effect.receivers is None:
            del self.traces[effect.session]
        else:
            self.traces[effect.session] = effect.receivers

    def KeepLog(self, effect):
        assert effect.request
        assert effect.session in self.clients

    def LeaveRoute(self, effect):
        self.routes[effect.ssrc][1].remove(effect.session)

    def AskVerifyUser(self, effect):
        assert effect.session not in self.clients
        self.arbiter.ask(effect)

    def AskUserInfoControl(self, effect):
        assert effect.session in self.clients
        assert effect.question.sender_id in self.arbiter.users
        self.arbiter.questions.append(effect)

    def AskVideoCall(self, effect):
        assert effect.session in self.clients
        assert effect.question.source_id in self.arbiter.users
        self.arbiter.questions.append(effect)

    def ShowBlocked(self, effect):
        assert (effect.pattern in self.blocked) is not effect.blocked
        self.blocked ^= {effect.pattern}

    def AnnounceParameters(self, effect):
        assert effect.parameters != self.parameters
        self.parameters = effect.parameters

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

    def OfferPortion(self, effect):
        assert effect.event.offset + len(effect.event.data) <= effect.event.length
        self.arbiter.tell(effect.event)

    def AnswerCall(self, effect):
        assert effect.answer.code == 0 or effect.answer.ids == ()

    def agree(self, state):
        """Fail where the world is not what the core takes it for."""
        assert set(self.clients) == set(state.sessions)
        waiting = {*state.verifying, *state.entering}
        asked = {
            effect.session
            for effect in self.arbiter.questions
            if isinstance(effect, effects.AskPrepareEnterRoom | effects.AskVerifyUser)
        }
        assert not waiting & self.arbiter.withdrawn
        assert asked <= waiting | self.arbiter.withdrawn
        assert self.arbiter.users == {
            session.user_id: session.room_id or 0 for session in state.sessions.values()
        }
        routes, layers = {}, {}
        for session, receivers in self.traces.items():
            room = state.rooms[state.sessions[session].room_id]
            for receiver in receivers:
                assert room.members[receiver].trace is not None
        for room in state.rooms.values():
            for session, membership in room.members.items():
                client = self.clients[session]
                part = membership.trace
                sends = part is not None and part.mode is TraceMode.SEND
                assert sends == (session in self.traces)
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
                    if publication.layer is not None:
                        routes[publication.layer.ssrc] = (session, set())
                        layers[publication.layer.ssrc] = publication.ssrc
                granted = {}
                for wanted in membership.watching:
                    target = room.members[state.users[wanted.user_id]]
                    stream = (wanted.kind, wanted.stream_index)
                    assert session in target.watchers[stream]
                    if stream in target.published:
                        granted[wanted.user_id, *stream] = target.published[stream].ssrc
                assert client.granted == granted
        assert self.routes == routes
        assert self.layers == layers
        for session, client in self.clients.items():
            if state.sessions[session].room_id is None:
                assert (client.room_id, client.members, client.granted) == (
                    *(None, {}, {}),
                )
            self.agree_on_friends(state, state.sessions[session].user_id, client)
        assert self.blocked == set(state.blocked)
        assert self.transfers == state.transfers
        for session, client in self.clients.items():
            assert client.tasks == set(state.sessions[session].sending.values())
            assert client.offers == set(state.sessions[session].receiving)

        for session, client in self.clients.items():
            self.agree_on_call(state, state.sessions[session], client)

    @staticmethod
    def agree_on_call(state, session, client):
        """Every client knows which call it is in."""
        status = NO_CALL
        if session.call is not None:
            call = state.calls[session.call]
            is_caller = call.caller == session.id
            other = call.callee if is_caller else call.caller
            assert session.id in (call.caller, call.callee)
            stage = VideoCallStage.TALKING
            if call.room_id is None:
                stage = VideoCallStage.CALLING if is_caller else VideoCallStage.CALLED
            status = VideoCallStatus(
                stage,
                state.sessions[other].user_id,
                call.flags,
                call.room_id or 0,
                is_caller,
            )
        assert client.call == status

    @staticmethod
    def agree_on_friends(state, user_id, client):
        """Of the friends that it has and was told of it knows who is there."""
        assert client.friend_set is None
        profile = state.profiles.get(user_id)
        if profile is None or not profile.synchronised:
            assert not client.friends
            return
        for friend in set(profile.friends) & set(client.friends):
            assert client.friends[friend] == (friend in state.users)
