"""The facade: what it does with commands that nobody else sees to."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, RoomState, StreamKind, UserState
from anychat.core.changes import (
    RoomAdded,
    RoomEntered,
    RoomRemoved,
    SessionEnded,
    SessionHeld,
    UserNamed,
)
from anychat.core.hall import Hall
from anychat.errors import LocalError
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    Heartbeat,
    Login,
    Logout,
    OpenStream,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    Result,
    StateValue,
    StreamOpened,
    TransBuffer,
    UserList,
)
from test.core.driver import DEMO, H264, Driver


class HallTests(SynchronousTestCase):
    """`Hall`."""

    def setUp(self):
        self.core = Driver()

    def test_unknownSession(self):
        """A session that is over gets 8, in an answer of the type it waits for."""
        code = ResultCode.SESSIONNOTEXIST
        cases = [
            (Logout(), Result(code)),
            (TransBuffer(-1, b"x"), Result(code)),
            (EnterRoom(3), EnterRoomResult(code, 3)),
            (EnterRoomByName("x"), EnterRoomResult(code, 0)),
            (OpenStream(StreamKind.VIDEO, 0, H264), StreamOpened(code)),
            (QueryOnlineUsers(), UserList(code)),
            (QueryRoomUsers(1), UserList(code)),
            (QueryRoomState(1, RoomState.NAME), StateValue(code)),
            (QueryUserState(-1, UserState.LEVEL), StateValue(code)),
        ]
        for message, answer in cases:
            self.assertEqual(self.core.answer(99, message), answer)
            self.assertEqual(self.core.ask(99, message, request=0), [])

    def test_unexpectedMessage(self):
        """A message that no client may send in a session gets 20."""
        alice = self.core.login("alice")
        for message in (Heartbeat(1), Login("bob", "x"), Result(ResultCode.SUCCESS)):
            self.assertEqual(
                self.core.answer(alice, message), Result(ResultCode.FUNCNOTALLOW)
            )
            self.assertEqual(self.core.ask(alice, message, request=0), [])

    def test_demoRooms(self):
        """A new hall in demo mode has rooms 1 and 2."""
        rooms = self.core.state.rooms
        self.assertEqual(
            [(room.id, room.name) for room in rooms.values()],
            [(1, "Room 1"), (2, "Room 2")],
        )

    def test_changesThatDoNotFit(self):
        """A change that contradicts the state is a bug, and is said to be one."""
        (alice,) = self.core.together("alice")
        for change in (
            RoomAdded(1, "other", True, b""),
            RoomAdded(9, "Room 1", True, b""),
            RoomRemoved(1),
            RoomEntered(2, alice),
            SessionEnded(alice, ResultCode.SUCCESS),
            SessionHeld(99, 1.0),
            SessionEnded(99, ResultCode.SUCCESS),
            RoomRemoved(99),
            RoomEntered(99, 1),
            UserNamed("alice", 5),
            self.core.journal[1],
        ):
            hall = Hall(DEMO)
            for old in self.core.journal:
                hall.apply(old)
            self.assertRaises(LocalError, hall.apply, change)

    def test_snapshotKeepsWhoIsForgottenNext(self):
        """A hall made from a snapshot forgets names in the same order."""
        sessions = [self.core.login(name) for name in "abc"]
        for session in reversed(sessions):
            self.core.ask(session, Logout())
        hall = Hall(DEMO)
        for change in self.core.hall.snapshot():
            hall.apply(change)
        self.assertEqual(list(hall.state.offline), ["c", "b", "a"])
        self.assertEqual(hall.state, self.core.state)
