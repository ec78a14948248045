"""Notifications reach the program."""

from anychat.codes import ResultCode, SelfStatus
from anychat.messages import (
    CameraState,
    MicStateChange,
    OnlineUser,
    OpenStreamInfo,
    RoomMembers,
    SDKFilterData,
    StreamOpened,
    TextMessage,
    TransBufferData,
    UserAtRoom,
)
from test.client.client_case import ANN, AUDIO, BOB, VIDEO, ClientTestCase
from test.client.server import PARAMETERS


class NotificationsTests(ClientTestCase):
    """`Notifications`."""

    def test_notifications(self):
        """What happens in the room is told and known."""
        self.enter(ANN)
        for message, event in (
            (UserAtRoom(True, BOB), ("on_user_at_room", BOB, True)),
            (CameraState(6, 0, True), ("on_camera_state", 6, 0, True)),
            (MicStateChange(6, 1, True), ("on_mic_state_change", 6, 1, True)),
            (TextMessage(6, -1, False, "hi"), ("on_text_message", 6, -1, False, "hi")),
            (TransBufferData(6, b"x"), ("on_trans_buffer", 6, b"x")),
            (SDKFilterData(b"x"), ("on_sdk_filter_data", b"x")),
            (UserAtRoom(False, ANN), ("on_user_at_room", ANN, False)),
            (PARAMETERS, ("on_server_config_update", PARAMETERS)),
        ):
            self.tell(message)
            self.assertEqual(self.events.take(), [event])
        self.assertEqual(
            self.client.members[6].streams,
            (OpenStreamInfo(VIDEO, 0), OpenStreamInfo(AUDIO, 1)),
        )
        self.assertEqual(list(self.client.members), [6])

    def test_strangers(self):
        """News of users who are not in the room are not passed on."""
        self.enter(ANN)
        self.tell(CameraState(99, 0, True))
        self.tell(UserAtRoom(False, BOB))
        self.tell(RoomMembers(1, (BOB,)))
        self.tell(OnlineUser(2, 1))
        self.assertEqual(self.events.take(), [])
        self.assertEqual(list(self.client.members), [5])

    def test_eventRaises(self):
        """A fault in the program's event is logged and changes nothing."""
        self.enter(ANN)
        self.events.on_text_message = lambda *_: 1 / 0
        self.tell(TextMessage(5, -1, False, "hi"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_notForClients(self):
        """An answer that answers nothing ends the link."""
        self.enter(ANN)
        self.tell(StreamOpened(ResultCode.SUCCESS, 1, b"k" * 16, b"s" * 12))
        self.assertTrue(self.server.side.lost)
