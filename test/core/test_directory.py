"""Queries."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import (
    AudioCodec,
    DeviceState,
    DeviceType,
    ResultCode,
    RoomState,
    SelfStatus,
    StreamInfo,
    StreamKind,
    UserState,
    VideoCodec,
)
from anychat.core.effects import ReplyFigure
from anychat.messages import (
    OpenStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryStreamInfo,
    QueryUserState,
    StateValue,
    UserList,
)
from test.core.driver import DEMO, H264, Driver


class ListTests(SynchronousTestCase):
    """QueryOnlineUsers and QueryRoomUsers."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob = self.core.together("alice", "bob")
        self.guest = self.core.guest()

    def test_onlineUsers(self):
        """All who are signed in, self included."""
        self.assertEqual(
            self.core.answer(self.alice, QueryOnlineUsers()),
            UserList(ResultCode.SUCCESS, 3, (1, 2, -2)),
        )

    def test_roomUsers(self):
        """The members of a room, self left out; also seen from outside."""
        self.assertEqual(
            self.core.answer(self.alice, QueryRoomUsers(1)),
            UserList(ResultCode.SUCCESS, 1, (2,)),
        )
        self.assertEqual(
            self.core.answer(self.guest, QueryRoomUsers(1)),
            UserList(ResultCode.SUCCESS, 2, (1, 2)),
        )
        self.assertEqual(
            self.core.answer(self.guest, QueryRoomUsers(2)),
            UserList(ResultCode.SUCCESS),
        )

    def test_unknownRoom(self):
        """A room that there is not gets 303."""
        self.assertEqual(
            self.core.answer(self.alice, QueryRoomUsers(3)),
            UserList(ResultCode.ROOM_INVALID),
        )

    def test_bounded(self):
        """A list names a bounded number of ids and says how many there are."""
        core = Driver(replace(DEMO, max_users_per_room=20_000))
        guests = [core.guest() for _ in range(10_002)]
        for guest in guests:
            core.enter(guest, request=0)
        online = core.answer(guests[0], QueryOnlineUsers())
        self.assertEqual(online.total, 10_002)
        self.assertEqual(online.user_ids, tuple(range(-2, -10_002, -1)))
        members = core.answer(guests[0], QueryRoomUsers(1))
        self.assertEqual(members.total, 10_001)
        self.assertEqual(members.user_ids, tuple(range(-3, -10_003, -1)))


class RoomStateTests(SynchronousTestCase):
    """QueryRoomState."""

    def test_states(self):
        """Name, and number of users with self left out."""
        core = Driver(replace(DEMO, max_users_per_room=3))
        alice, _ = core.together("alice", "bob")
        guest = core.guest()
        cases = [
            (alice, RoomState.NAME, StateValue(ResultCode.SUCCESS, 0, "Room 1")),
            (alice, RoomState.ONLINE_USERS, StateValue(ResultCode.SUCCESS, 1)),
            (guest, RoomState.ONLINE_USERS, StateValue(ResultCode.SUCCESS, 2)),
        ]
        for session, state, value in cases:
            self.assertEqual(core.answer(session, QueryRoomState(1, state)), value)
        self.assertEqual(
            core.answer(alice, QueryRoomState(9, RoomState.NAME)),
            StateValue(ResultCode.ROOM_INVALID),
        )


class UserStateTests(SynchronousTestCase):
    """QueryUserState."""

    def setUp(self):
        self.core = Driver()
        self.alice = self.core.login("alice", local_address="10.0.0.1")
        self.bob = self.core.login("bob")

    def state(self, kind, user_id=1):
        """What bob gets to know of a user."""
        answer = self.core.answer(self.bob, QueryUserState(user_id, kind))
        if answer.code:
            return answer.code
        return answer.text or answer.number

    def test_person(self):
        """What the login said."""
        self.assertEqual(self.state(UserState.NICKNAME), "alice")
        self.assertEqual(self.state(UserState.LEVEL), 0)
        self.assertEqual(self.state(UserState.LOCAL_IP), "10.0.0.1")
        self.assertEqual(self.state(UserState.INTERNET_IP), "192.0.2.7")
        self.assertEqual(self.state(UserState.DEVICE), DeviceType.LINUX)
        self.assertEqual(self.state(UserState.SELF_ID), 1)
        self.assertEqual(self.state(UserState.P2P), 0)

    def test_self(self):
        """-1 asks for oneself."""
        self.assertEqual(self.state(UserState.NICKNAME, -1), "bob")
        self.assertEqual(self.state(UserState.SELF_ID, -1), 2)

    def test_unknown(self):
        """Users who are not signed in, and states the server does not know."""
        self.assertEqual(self.state(UserState.LEVEL, 99), ResultCode.INVALID_USERID)
        self.assertEqual(self.state(UserState.VOLUME), ResultCode.DATANOTEXIST)
        self.assertEqual(self.state(UserState.LOCAL_IP, 2), ResultCode.DATANOTEXIST)

    def test_status(self):
        """Logged in, then in a room."""
        self.assertEqual(self.state(UserState.SELF_STATUS), SelfStatus.LOGGED_IN)
        self.core.enter(self.alice)
        self.assertEqual(self.state(UserState.SELF_STATUS), SelfStatus.IN_ROOM)

    def test_devices(self):
        """Open while a stream is, closed otherwise, none where none may be."""
        self.core.enter(self.alice)
        self.assertEqual(self.state(UserState.CAMERA), DeviceState.CLOSED)
        self.core.publish(self.alice, StreamKind.VIDEO, 4)
        self.assertEqual(self.state(UserState.CAMERA), DeviceState.OPEN)
        self.assertEqual(self.state(UserState.MICROPHONE), DeviceState.CLOSED)
        self.core.publish(self.alice, StreamKind.AUDIO)
        self.assertEqual(self.state(UserState.MICROPHONE), DeviceState.OPEN)
        self.core.login("carol", secure=False)
        self.assertEqual(self.state(UserState.CAMERA, 3), DeviceState.NONE)

    def test_video(self):
        """Size and codec are those of the stream of lowest index."""
        self.core.enter(self.alice)
        for kind in (UserState.VIDEO_SIZE, UserState.VIDEO_CODEC):
            self.assertEqual(self.state(kind), 0)
        small = replace(H264, payload_type=97, width=160, height=120, bitrate=5000)
        self.core.ask(self.alice, OpenStream(StreamKind.VIDEO, 2, small))
        self.assertEqual(self.state(UserState.VIDEO_SIZE), 160 | 120 << 16)
        self.assertEqual(self.state(UserState.VIDEO_CODEC), VideoCodec.VP8)
        self.core.publish(self.alice)
        self.assertEqual(self.state(UserState.VIDEO_SIZE), 320 | 240 << 16)
        self.assertEqual(self.state(UserState.VIDEO_CODEC), VideoCodec.H264)

    def test_audio(self):
        """The codec of the microphone."""
        self.core.enter(self.alice)
        self.assertEqual(self.state(UserState.AUDIO_CODEC), AudioCodec.NONE)
        self.core.publish(self.alice, StreamKind.AUDIO)
        self.assertEqual(self.state(UserState.AUDIO_CODEC), AudioCodec.OPUS)

    def test_measured(self):
        """What only the media plane knows it is asked for, of whoever is meant."""
        for kind in (
            UserState.VIDEO_BITRATE,
            UserState.AUDIO_BITRATE,
            UserState.NETWORK_QUALITY,
            UserState.PACKET_LOSS,
            UserState.LOSS_AFTER_REPAIR,
        ):
            for user_id, target in ((1, self.alice), (-1, self.bob)):
                query = QueryUserState(user_id, kind)
                self.assertEqual(
                    self.core.ask(self.bob, query, request=5),
                    [ReplyFigure(self.bob, 5, target, kind)],
                )
                self.assertEqual(self.core.ask(self.bob, query, request=0), [])
            self.assertEqual(self.state(kind, 99), ResultCode.INVALID_USERID)


class StreamInfoTests(SynchronousTestCase):
    """QueryStreamInfo."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob = self.core.together("alice", "bob")

    def info(self, info, user_id=1, index=0):
        """What Bob is told, or the code."""
        answer = self.core.answer(self.bob, QueryStreamInfo(user_id, index, info))
        self.assertIsInstance(answer, StateValue)
        return answer.code or answer.number

    def test_formats(self):
        """What the owner said of its streams."""
        self.core.publish(self.alice, StreamKind.VIDEO)
        self.core.publish(self.alice, StreamKind.AUDIO)
        for kind, value in (
            (StreamInfo.VIDEO_WIDTH, 320),
            (StreamInfo.VIDEO_HEIGHT, 240),
            (StreamInfo.VIDEO_FPS, 15),
            (StreamInfo.VIDEO_BITRATE, 90000),
            (StreamInfo.VIDEO_CODEC, 1),
            (StreamInfo.AUDIO_SAMPLE_RATE, 48000),
            (StreamInfo.AUDIO_CHANNELS, 1),
            (StreamInfo.AUDIO_SAMPLE_BITS, 16),
            (StreamInfo.AUDIO_BITRATE, 16000),
            (StreamInfo.AUDIO_CODEC, 100),
        ):
            self.assertEqual(self.info(kind), value)

    def test_loss(self):
        """Loss is the media plane's to tell."""
        self.core.publish(self.alice, StreamKind.VIDEO)
        message = QueryStreamInfo(1, 0, StreamInfo.VIDEO_LOSS)
        self.assertEqual(
            self.core.ask(self.bob, message),
            [ReplyFigure(self.bob, 7, self.alice, UserState.PACKET_LOSS)],
        )
        self.assertEqual(self.core.ask(self.bob, message, request=0), [])

    def test_refused(self):
        """205, 9 and 21; 309 outside a room."""
        cat = self.core.login("cat")
        width = StreamInfo.VIDEO_WIDTH
        self.assertEqual(self.info(width, 99), ResultCode.INVALID_USERID)
        self.assertEqual(self.info(width, 3), ResultCode.DATANOTEXIST)
        self.assertEqual(self.info(width), ResultCode.DATANOTEXIST)
        self.assertEqual(self.info(width, -1), ResultCode.DATANOTEXIST)
        self.assertEqual(self.info(width, 1, 16), ResultCode.FUNCOPTERROR)
        self.core.publish(self.alice)
        self.assertEqual(self.info(width, 1, 1), ResultCode.DATANOTEXIST)
        self.assertEqual(self.info(StreamInfo.VIDEO_DEVICE), ResultCode.DATANOTEXIST)
        self.assertEqual(
            self.core.code(cat, QueryStreamInfo(1, 0, width)), ResultCode.ROOM_NOTIN
        )
