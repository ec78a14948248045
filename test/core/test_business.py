"""Calls of business servers and plug-ins, and what clients send to them."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    MAX_BUFFER,
    Answer,
    Arbiter,
    GetOnlineUsers,
    GetRoomIdList,
    OnRecvUserFilterData,
    OnRecvUserTextMsg,
    OnTransBuffer,
    SendBufToRoom,
    SendBufToUser,
    TransBufferToUser,
)
from anychat.codes import ResultCode
from anychat.core.changes import ArbitersSet
from anychat.core.effects import Offer, Send
from anychat.core.hall import Hall
from anychat.messages import (
    SDKFilterData,
    SendSDKFilterData,
    SendText,
    TransBuffer,
    TransBufferData,
)
from test.core.driver import DEMO, Driver

OK = ResultCode.SUCCESS


class BusinessTestCase(SynchronousTestCase):
    """Two in room 1, and a third in none."""

    def setUp(self):
        self.core = Driver()
        self.ann, self.ben = self.core.together("ann", "ben")
        self.cat = self.core.login("cat")
        self.core.told.clear()
        self.before = len(self.core.journal)

    def tearDown(self):
        """Data is never part of the state."""
        kinds = {type(change) for change in self.core.journal[self.before :]}
        self.assertLessEqual(kinds, {ArbitersSet})


class CallTests(BusinessTestCase):
    """`FilterCall`."""

    def test_toUser(self):
        """Filter data reaches a user wherever that is."""
        for user_id, session in ((1, self.ann), (3, self.cat)):
            self.assertEqual(
                self.core.call(SendBufToUser(user_id, b"x")),
                ([Send((session,), SDKFilterData(b"x"))], Answer(OK)),
            )

    def test_toRoom(self):
        """Filter data reaches all in a room; an empty room is fine."""
        self.assertEqual(
            self.core.call(SendBufToRoom(1, b"x")),
            ([Send((self.ann, self.ben), SDKFilterData(b"x"))], Answer(OK)),
        )
        self.assertEqual(self.core.call(SendBufToRoom(2, b"x")), ([], Answer(OK)))

    def test_transBuffer(self):
        """A transparent buffer comes from user 0."""
        self.assertEqual(
            self.core.call(TransBufferToUser(2, bytes(1000))),
            ([Send((self.ben,), TransBufferData(0, bytes(1000)))], Answer(OK)),
        )

    def test_refused(self):
        """205 no such user, 303 no such room, 21 no data or too much."""
        for call, code in (
            (SendBufToUser(9, b"x"), 205),
            (SendBufToUser(0, b"x"), 205),
            (SendBufToUser(-1, b"x"), 205),
            (SendBufToUser(2**40, b"x"), 205),
            (SendBufToUser(1, b""), 21),
            (SendBufToUser(9, bytes(MAX_BUFFER + 1)), 21),
            (SendBufToRoom(9, b"x"), 303),
            (SendBufToRoom(-1, b"x"), 303),
            (SendBufToRoom(1, b""), 21),
            (SendBufToRoom(1, bytes(MAX_BUFFER + 1)), 21),
            (TransBufferToUser(9, b"x"), 205),
            (TransBufferToUser(-1, b"x"), 205),
            (TransBufferToUser(1, b""), 21),
            (TransBufferToUser(1, bytes(1001)), 21),
            (GetOnlineUsers(9), 303),
            (GetOnlineUsers(0), 303),
        ):
            self.assertEqual(self.core.call(call), ([], Answer(ResultCode(code))))
        self.core.call(SendBufToUser(1, bytes(MAX_BUFFER)))

    def test_lists(self):
        """Who is online, who is in a room, which rooms there are."""
        self.core.guest()
        for call, ids in (
            (GetOnlineUsers(-1), (1, 2, 3, -2)),
            (GetOnlineUsers(1), (1, 2)),
            (GetOnlineUsers(2), ()),
            (GetRoomIdList(), (1, 2)),
        ):
            self.assertEqual(self.core.call(call), ([], Answer(OK, ids)))
        self.before = len(self.core.journal)

    def test_roomThatIsOnlyAskedAbout(self):
        """A room that somebody waits to make is not there yet."""
        self.core.arbiters(admitter=Arbiter.THERE)
        self.core.enter(self.cat, 7)
        self.assertEqual(self.core.call(GetRoomIdList()), ([], Answer(OK, (1, 2))))
        self.assertEqual(
            self.core.call(GetOnlineUsers(7)), ([], Answer(ResultCode.ROOM_INVALID))
        )
        self.before = len(self.core.journal)


class DataTests(BusinessTestCase):
    """What clients send to whoever is there."""

    def test_nobodyThere(self):
        """206 for filter data and for buffers to user 0, and nothing is told."""
        for verifier, admitter in (
            (Arbiter.NOBODY, Arbiter.NOBODY),
            (Arbiter.AWAY, Arbiter.AWAY),
        ):
            self.core.arbiters(verifier, admitter)
            for message in (SendSDKFilterData(b"x"), TransBuffer(0, b"x")):
                self.assertEqual(
                    self.core.code(self.ann, message), ResultCode.SERVERSDK_FAIL
                )
        self.assertEqual(self.core.told, [])

    def test_somebodyThere(self):
        """One who decides, or who only hears, is offered it, and answers for it."""
        for arbiters in (
            (Arbiter.THERE, Arbiter.AWAY),
            (Arbiter.NOBODY, Arbiter.THERE),
            (Arbiter.AWAY, Arbiter.AWAY, True),
            (Arbiter.NOBODY, Arbiter.NOBODY, True),
        ):
            self.core.arbiters(*arbiters)
            for message, event in (
                (SendSDKFilterData(b"x"), OnRecvUserFilterData(1, b"x")),
                (TransBuffer(0, b"y"), OnTransBuffer(1, b"y")),
            ):
                for request in (7, 0):
                    self.assertEqual(
                        self.core.ask(self.ann, message, request=request),
                        [Offer(self.ann, request, event)],
                    )

    def test_sizes(self):
        """Empty and too long is 21, whoever is there."""
        for hears in (False, True):
            self.core.arbiters(hears=hears)
            for message in (
                SendSDKFilterData(b""),
                SendSDKFilterData(bytes(MAX_BUFFER + 1)),
                TransBuffer(0, b""),
                TransBuffer(0, bytes(1001)),
            ):
                self.assertEqual(
                    self.core.code(self.ann, message), ResultCode.FUNCOPTERROR
                )
        self.core.ask(self.ann, SendSDKFilterData(bytes(MAX_BUFFER)))
        self.assertEqual(len(self.core.told), 1)

    def test_texts(self):
        """Every text that is passed on is told, with the sender's room."""
        self.core.ask(self.ann, SendText(-1, False, "all"))
        self.core.ask(self.ann, SendText(3, True, "psst"))
        self.core.ask(self.cat, SendText(1, False, "hi"), request=0)
        self.core.ask(self.cat, SendText(-1, False, "refused"))
        self.core.ask(self.ann, SendText(99, False, "refused"))
        self.assertEqual(
            self.core.told,
            [
                OnRecvUserTextMsg(1, 1, -1, False, "all"),
                OnRecvUserTextMsg(1, 1, 3, True, "psst"),
                OnRecvUserTextMsg(0, 3, 1, False, "hi"),
            ],
        )

    def test_buffersBetweenUsers(self):
        """Those are nobody else's business."""
        self.core.arbiters(hears=True)
        self.core.ask(self.ann, TransBuffer(2, b"x"))
        self.core.ask(self.ann, TransBuffer(-1, b"x"))
        self.assertEqual(self.core.told, [])


class ArbitersTests(SynchronousTestCase):
    """`ArbitersChanged`."""

    def test_settings(self):
        """A new hall has the arbiters of its settings."""
        settings = replace(DEMO, verifier=Arbiter.AWAY, admitter=Arbiter.THERE)
        state = Hall(settings).state
        self.assertEqual(
            (state.verifier, state.admitter, state.hears),
            (Arbiter.AWAY, Arbiter.THERE, False),
        )

    def test_onlyNewsIsAChange(self):
        """Saying the same again leaves no trace."""
        core = Driver()
        core.arbiters()
        self.assertEqual(core.journal, [])
        for _ in range(2):
            core.arbiters(Arbiter.THERE, Arbiter.AWAY, True)
        self.assertEqual(core.journal, [ArbitersSet(Arbiter.THERE, Arbiter.AWAY, True)])

    def test_snapshot(self):
        """A hall made of a snapshot knows who decides."""
        core = Driver()
        core.arbiters(Arbiter.THERE, Arbiter.AWAY, True)
        hall = Hall(DEMO)
        for change in core.hall.snapshot():
            hall.apply(change)
        self.assertEqual(hall.state, core.state)
