"""Requests wait their turn, and their replies are checked."""

from twisted.internet.defer import CancelledError

from anychat.codes import ResultCode, RoomState, SelfStatus, UserState
from anychat.errors import Refused
from anychat.messages import (
    LinkClose,
    QueryOnlineUsers,
    QueryRoomState,
    QueryRoomUsers,
    QueryUserState,
    Result,
    SendSDKFilterData,
    SendText,
    StateValue,
    TransBuffer,
    UserList,
)
from test.client.client_case import ANN, OK, ClientTestCase


class RequestsTests(ClientTestCase):
    """`Requests`, and what they may carry."""

    def test_text(self):
        """Texts go to the room or a user; a refusal reaches the caller."""
        self.enter(ANN)
        outcome = self.client.send_text("psst", 5, secret=True)
        self.serve(Result(ResultCode.INVALID_USERID), SendText(5, True, "psst"))
        self.assertEqual(self.code(outcome), ResultCode.INVALID_USERID)

    def test_textTooLong(self):
        """A text that does not fit is refused here, the link goes on."""
        self.enter(ANN)
        outcome = self.client.send_text("x" * 100_000)
        refused = self.failureResultOf(outcome, Refused).value
        self.assertEqual(refused.code, ResultCode.FUNCOPTERROR)
        self.assertTrue(str(refused).startswith("21 FUNCOPTERROR: "), refused)
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_wrongArguments(self):
        """What the server could not read is refused here, the session goes on."""
        self.enter(ANN)
        self.requests()
        for outcome in (
            self.client.user_state(99),
            self.client.user_state(UserState.LEVEL, "me"),
            self.client.room_state(1, 0),
            self.client.room_users(1 << 31),
            self.client.send_text("hi", secret=2),
            self.client.send_text(b"hi"),
            self.client.trans_buffer(b"x", 1.5),
            self.client.watch(5, stream_index=16),
            self.client.watch(5, stream_index=0.5),
            self.client.watch(5, video=False, audio=False),
            self.client.publish(None),
            self.client.publish(object(), 16),
            self.client.publish(object(), 0.5),
        ):
            self.server.flush()
            self.assertEqual(self.code(outcome), ResultCode.FUNCOPTERROR)
        self.assertEqual(self.requests(), [])
        self.assertEqual(self.client.status, SelfStatus.IN_ROOM)

    def test_buffer(self):
        """Buffers of up to 1000 bytes."""
        self.enter(ANN)
        outcome = self.client.trans_buffer(b"x" * 1000, 5)
        self.serve(OK, TransBuffer(5, b"x" * 1000))
        self.successResultOf(outcome)
        self.assertEqual(
            self.code(self.client.trans_buffer(b"x" * 1001)), ResultCode.FUNCOPTERROR
        )

    def test_filterData(self):
        """Filter data of up to 60,000 bytes, which nobody may be there for."""
        self.log_in()
        outcome = self.client.send_filter_data(b"x" * 60_000)
        self.serve(OK, SendSDKFilterData(b"x" * 60_000))
        self.successResultOf(outcome)
        outcome = self.client.send_filter_data(b"x")
        self.serve(Result(ResultCode.SERVERSDK_FAIL), SendSDKFilterData(b"x"))
        self.assertEqual(self.code(outcome), ResultCode.SERVERSDK_FAIL)
        self.assertEqual(
            self.code(self.client.send_filter_data(b"x" * 60_001)),
            ResultCode.FUNCOPTERROR,
        )

    def test_queries(self):
        """Each query asks what it says."""
        self.log_in()
        users = UserList(ResultCode.SUCCESS, 2, (5, 7))
        state = StateValue(ResultCode.SUCCESS, 1, "one")
        for outcome, request, reply in (
            (self.client.online_users(), QueryOnlineUsers(), users),
            (self.client.room_users(1), QueryRoomUsers(1), users),
            (
                self.client.room_state(1, RoomState.NAME),
                QueryRoomState(1, RoomState.NAME),
                state,
            ),
            (
                self.client.user_state(UserState.LEVEL),
                QueryUserState(-1, UserState.LEVEL),
                state,
            ),
        ):
            self.serve(reply, request)
            self.assertEqual(self.successResultOf(outcome), reply)

    def test_queryRefused(self):
        """A query's refusal, and an answer of the wrong kind."""
        self.log_in()
        outcome = self.client.room_users(9)
        self.serve(UserList(ResultCode.ROOM_INVALID))
        self.assertEqual(self.code(outcome), ResultCode.ROOM_INVALID)
        outcome = self.client.room_users(9)
        self.serve(OK)
        self.assertEqual(self.code(outcome), ResultCode.PROTOCOLFAIL)

    def test_queryAtTheEnd(self):
        """A query that the end of the session cuts off says why it ended."""
        self.log_in()
        outcome = self.client.online_users()
        self.server.side.send(LinkClose(ResultCode.KICKOUT))
        self.server.side.transport.loseConnection()
        self.server.flush()
        self.assertEqual(self.code(outcome), ResultCode.KICKOUT)

    def test_noAnswer(self):
        """A call that the server ignores fails after half a minute."""
        self.log_in()
        outcome = self.client.online_users()
        for _ in range(6):
            self.server.flush()
            self.clock.advance(5)
        self.assertEqual(self.code(outcome), ResultCode.CONNECT_TIMEOUT)
        self.serve(UserList(ResultCode.SUCCESS))
        self.assertEqual(self.client.status, SelfStatus.LOGGED_IN)

    def test_cancel(self):
        """A call can be cancelled."""
        self.log_in()
        outcome = self.client.online_users()
        outcome.cancel()
        self.failureResultOf(outcome, CancelledError)
        self.serve(UserList(ResultCode.SUCCESS))

    def test_paced(self):
        """A flood of calls neither swamps the server's replies nor its rate."""
        self.enter(ANN)
        outcomes = [self.client.send_text(str(n)) for n in range(1000)]
        self.server.flush()
        self.assertEqual(len(self.server.side.received), 128)
        served, seconds = 0, 0.0
        while served < 1000:
            if self.server.side.received:
                self.serve(OK, SendText(-1, False, str(served)))
                served += 1
            else:
                self.clock.advance(0.1)
                self.server.flush()
                seconds += 0.1
        for outcome in outcomes:
            self.successResultOf(outcome)
        self.assertGreater(seconds, 0.3)
