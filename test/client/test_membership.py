"""A place in a room, when notifications were lost."""

from anychat.codes import ResultCode
from anychat.messages import (
    EnterRoomResult,
    Member,
    OnlineUser,
    OpenStreamInfo,
    PublishedStream,
    Resync,
    RoomMembers,
    SendText,
    StreamOpened,
    Subscription,
    UserCameraControl,
)
from test.client.client_case import ANN, AUDIO, BOB, OK, VIDEO, ClientTestCase


class ResyncTests(ClientTestCase):
    """Notifications were lost; the server sends its whole state."""

    def resync(self, *messages):
        """Come back, and be told this."""
        self.server.resync = True
        self.lose()
        self.events.take()
        self.come_back()
        self.events.take()
        for message in messages:
            self.server.side.send(message)
        self.server.flush()

    def test_differences(self):
        """What was missed is told in the words of the notifications."""
        self.enter(ANN)
        cindy = Member(8, 0, "cindy", (OpenStreamInfo(VIDEO, 0),))
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (cindy,)), OnlineUser(2, 1))
        self.assertEqual(
            self.events.take(),
            [("on_user_at_room", ANN, False), ("on_user_at_room", cindy, True)],
        )
        self.assertEqual(self.client.members, {8: cindy})

    def test_callsWait(self):
        """Calls wait until the picture is whole."""
        self.enter(ANN)
        self.resync(Resync(7, 1, "one"))
        self.client.send_text("hello")
        self.assertNotIn(SendText(-1, False, "hello"), self.requests())
        self.server.side.send(RoomMembers(1, (ANN,)))
        self.tell(OnlineUser(2, 1))
        self.assertIn(SendText(-1, False, "hello"), self.requests())

    def test_requestsAgain(self):
        """Requests without an answer are sent again under their numbers."""
        self.enter(ANN)
        outcome = self.client.send_text("hello")
        self.server.flush()
        ((number, _),) = self.server.side.take()
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (ANN,)), OnlineUser(2, 1))
        self.assertIn((number, SendText(-1, False, "hello")), self.server.side.received)
        self.server.side.send(OK, number)
        self.server.flush()
        self.successResultOf(outcome)

    def test_streamsRepaired(self):
        """What the server lost is opened and asked for again."""
        self.enter(ANN)
        published = self.client.publish(object())
        for ssrc in (100, 101):
            self.serve(StreamOpened(ResultCode.SUCCESS, ssrc, b"k" * 16, b"s" * 12))
        self.successResultOf(published)
        watched = self.client.watch(5)
        self.serve(OK)
        self.serve(OK)
        self.successResultOf(watched)
        self.resync(
            Resync(
                7,
                1,
                "one",
                (PublishedStream(VIDEO, 0, 100),),
                (Subscription(5, AUDIO, 0),),
            ),
            RoomMembers(1, (ANN,)),
            OnlineUser(2, 1),
        )
        asked = self.requests()[2:]
        self.assertEqual(len(asked), 2)
        self.assertEqual((asked[0].kind, asked[0].stream_index), (AUDIO, 0))
        self.assertEqual(asked[1], UserCameraControl(5, True, 0))
        self.assertEqual(self.plane.sending, [(VIDEO, 100)])

    def test_outOfTheRoom(self):
        """A server that has the client in no room lets it in again."""
        self.enter(ANN)
        self.resync(Resync(7, 0))
        self.assertEqual(self.events.take(), [("on_leave_room", 1)])
        self.server.side.received[:] = self.server.side.received[-1:]
        self.server.let_in(ANN)
        self.assertEqual(
            self.events.take(),
            [("on_enter_room", 1, ResultCode.SUCCESS), ("on_online_user", 2, 1)],
        )

    def test_enteredMeanwhile(self):
        """An entry that was granted while notifications were lost."""
        self.log_in()
        outcome = self.client.enter_room(1)
        self.server.flush()
        ((number, _),) = self.server.side.take()
        self.resync(Resync(7, 1, "one"), RoomMembers(1, (ANN,)), OnlineUser(2, 1))
        self.assertEqual(
            self.events.take(),
            [("on_enter_room", 1, ResultCode.SUCCESS), ("on_online_user", 2, 1)],
        )
        self.successResultOf(outcome)
        self.server.side.send(EnterRoomResult(ResultCode.SUCCESS, 1, "one"), number)
        self.server.flush()
        self.assertEqual(self.events.take(), [])
        self.assertEqual(self.client.members, {5: ANN})

    def test_otherRoom(self):
        """A server that has the client in another room is believed."""
        self.enter(ANN)
        self.resync(Resync(7, 2, "two"), RoomMembers(2, (BOB,)), OnlineUser(2, 2))
        self.assertEqual(
            self.events.take(),
            [
                ("on_leave_room", 1),
                ("on_enter_room", 2, ResultCode.SUCCESS),
                ("on_online_user", 2, 2),
            ],
        )
        self.assertEqual(self.client.members, {6: BOB})

    def test_twoRooms(self):
        """A server that mixes rooms up breaks the protocol."""
        self.enter(ANN)
        self.resync(Resync(7, 1, "one"), OnlineUser(2, 2))
        self.assertTrue(self.server.side.lost)
