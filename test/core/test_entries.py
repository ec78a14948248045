"""Entries into rooms that an arbiter decides about, and those while it is away."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Arbiter,
    OnUserEnterRoomAction,
    OnUserLeaveRoomAction,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    PrepareEnterRoom,
)
from anychat.codes import ResultCode
from anychat.core.changes import EntryAsked, EntrySettled, RoomAdded, RoomEntered
from anychat.core.effects import AskPrepareEnterRoom, EndSession, Reply, Send
from anychat.core.hall import Hall
from anychat.core.state import Entry
from anychat.errors import LocalError
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Logout,
    OnlineUser,
    Result,
    SendText,
)
from test.core.driver import DEMO, Driver

OK = ResultCode.SUCCESS
ASKING = replace(DEMO, demo_mode=False, admitter=Arbiter.THERE)


class EntryTestCase(SynchronousTestCase):
    """A hall that asks about entries, with three guests."""

    settings = ASKING

    def setUp(self):
        self.core = Driver(self.settings)
        self.ann, self.ben, self.cat = (self.core.guest(name) for name in "abc")
        self.core.told.clear()

    def question(self, session, message, **more):
        """What the arbiter is asked about an entry, and nothing else is done."""
        (effect,) = self.core.ask(session, message, **more)
        self.assertIsInstance(effect, AskPrepareEnterRoom)
        self.assertEqual(effect.session, session)
        return effect.question

    def room(self, session):
        """Where a session is."""
        return self.core.state.sessions[session].room_id

    def assertSameElsewhere(self):
        """A snapshot and the journal give the same state."""
        for changes in (self.core.hall.snapshot(), self.core.journal):
            hall = Hall(self.core.hall.settings)
            for change in changes:
                hall.apply(change)
            self.assertEqual(hall.state, self.core.state)
            self.assertEqual(
                hall.state.free_rooms.lowest, self.core.state.free_rooms.lowest
            )


class QuestionTests(EntryTestCase):
    """What the arbiter is asked, and when."""

    def test_byNumber(self):
        """Number, name and password of the room, and who wants in."""
        effects = self.core.ask(self.ann, EnterRoom(5, "hush"), request=4)
        self.assertEqual(
            effects,
            [
                AskPrepareEnterRoom(
                    self.ann, 4, PrepareEnterRoom(-2, 5, "Room 5", "hush")
                )
            ],
        )
        self.assertNotIn("hush", repr(effects))
        self.assertIsNone(self.room(self.ann))
        self.assertEqual(self.core.state.rooms, {})
        self.assertEqual(self.core.told, [])

    def test_byName(self):
        """A new room's number is the one that it gets."""
        self.assertEqual(
            self.question(self.ann, EnterRoomByName("club")),
            PrepareEnterRoom(-2, 10001, "club", ""),
        )

    def test_existing(self):
        """A room that is there is asked about under its number and name."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        self.core.prepare(self.ann)
        for message in (EnterRoom(10001), EnterRoomByName("club")):
            self.assertEqual(
                self.question(self.ben, message),
                PrepareEnterRoom(-3, 10001, "club", ""),
            )
            self.core.prepare(self.ben, ResultCode.ROOM_REJECT)

    def test_checkedAlone(self):
        """What the core can refuse alone it refuses without a question."""
        core = Driver(replace(ASKING, max_users_per_room=1))
        ann, ben = core.guest(), core.guest()
        core.enter(ann, 5)
        core.prepare(ann)
        for session, message, code in (
            (ann, EnterRoom(5), ResultCode.ROOM_ALREADIN),
            (ben, EnterRoom(0), ResultCode.ROOM_INVALID),
            (ben, EnterRoomByName(" "), ResultCode.ROOM_INVALID),
            (ben, EnterRoomByName("a\nb"), ResultCode.ROOM_INVALID),
            (ben, EnterRoom(5), ResultCode.ROOM_FULLUSER),
        ):
            self.assertEqual(core.code(session, message), code)
        core = Driver(replace(ASKING, auto_add_room=False))
        self.assertEqual(core.code(core.guest(), EnterRoom(5)), ResultCode.ROOM_INVALID)

    def test_demoModeAsksToo(self):
        """Rooms 1 and 2 of demo mode are asked about like any other."""
        core = Driver(replace(ASKING, demo_mode=True))
        ann = core.login("ann")
        (effect,) = core.enter(ann, 1)
        self.assertEqual(effect.question, PrepareEnterRoom(1, 1, "Room 1", ""))

    def test_passwordIsNotCompared(self):
        """The room's own password is the arbiter's business now."""
        self.core.ask(self.ann, EnterRoom(5), password=b"one")
        self.core.prepare(self.ann)
        self.core.ask(self.ben, EnterRoom(5), password=b"other")
        self.core.prepare(self.ben)
        self.assertEqual(self.room(self.ben), 5)

    def test_passwordIsKeptForOtherTimes(self):
        """A room made with a verdict asks for its password without an arbiter."""
        self.core.ask(self.ann, EnterRoom(5), password=b"one")
        self.core.prepare(self.ann)
        self.core.arbiters(admitter=Arbiter.AWAY)
        for digest, code in ((b"other", ResultCode.ROOM_PASSERR), (b"one", OK)):
            effects = self.core.ask(self.ben, EnterRoom(5), password=digest)
            self.assertEqual(effects[0].message.code, code)


class VerdictTests(EntryTestCase):
    """What becomes of an entry when its verdict comes."""

    def test_granted(self):
        """With verdict 0 it goes on as without an arbiter."""
        self.core.ask(self.ann, EnterRoom(5), request=4)
        self.assertEqual(
            self.core.prepare(self.ann, request=4),
            [
                Reply(self.ann, 4, EnterRoomResult(OK, 5, "Room 5")),
                Send((self.ann,), OnlineUser(1, 5)),
            ],
        )
        self.assertEqual(self.core.told, [OnUserEnterRoomAction(-2, 5)])
        self.assertEqual(self.core.state.entering, {})
        self.assertEqual(self.core.state.reserved, {})

    def test_refused(self):
        """Any other code reaches the client as it is, and nothing is left."""
        for message, named in ((EnterRoom(5), 5), (EnterRoomByName("club"), 0)):
            for code in (301, 303, 207, 4711, 2**32 - 1):
                self.core.ask(self.ann, message)
                self.assertEqual(
                    self.core.prepare(self.ann, ResultCode(code)),
                    [Reply(self.ann, 7, EnterRoomResult(ResultCode(code), named))],
                )
        self.assertEqual(self.core.told, [])
        self.assertEqual(self.core.state.rooms, {})
        self.assertEqual(self.core.state.room_names, {})
        self.assertEqual(self.core.state.free_rooms.lowest, 10001)

    def test_withoutRequestNumber(self):
        """Who wants no answer is asked about, and gets in, all the same."""
        self.core.ask(self.ann, EnterRoom(5), request=0)
        self.assertEqual(
            self.core.prepare(self.ann, request=0),
            [Send((self.ann,), OnlineUser(1, 5))],
        )

    def test_notTakenTwice(self):
        """A second verdict, or one on another request, does nothing."""
        self.core.ask(self.ann, EnterRoom(5))
        closed = self.core.closed(self.ann)
        self.assertEqual(self.core.prepare(self.ann, request=6), closed)
        self.core.prepare(self.ann, ResultCode.ROOM_REJECT)
        before = len(self.core.journal)
        self.assertEqual(self.core.prepare(self.ann), closed)
        self.assertEqual(self.core.prepare(99), self.core.closed(99))
        self.assertEqual(len(self.core.journal), before)
        self.assertIsNone(self.room(self.ann))

    def test_checkedAgain(self):
        """A room that filled up meanwhile is full."""
        core = Driver(replace(ASKING, max_users_per_room=1))
        ann, ben = core.guest(), core.guest()
        core.enter(ann, 5)
        core.enter(ben, 5)
        core.prepare(ben)
        self.assertEqual(
            core.prepare(ann),
            [Reply(ann, 7, EnterRoomResult(ResultCode.ROOM_FULLUSER, 5))],
        )

    def test_secondEntry(self):
        """Another entry meanwhile gets 308, and does not disturb the first."""
        self.core.ask(self.ann, EnterRoom(5))
        for message in (EnterRoom(5), EnterRoom(6), EnterRoomByName("x")):
            self.assertEqual(
                self.core.code(self.ann, message, request=8),
                ResultCode.ROOM_ALREADIN,
            )
        self.core.prepare(self.ann)
        self.assertEqual(self.room(self.ann), 5)

    def test_leaveMeanwhile(self):
        """There is nothing to leave yet: 309, and the entry goes on."""
        self.core.ask(self.ann, EnterRoom(5))
        self.assertEqual(
            self.core.code(self.ann, LeaveRoom(5), request=8), ResultCode.ROOM_NOTIN
        )
        self.assertEqual(
            self.core.code(self.ann, SendText(-1, False, "x"), request=9),
            ResultCode.ROOM_NOTIN,
        )
        self.core.prepare(self.ann)
        self.assertEqual(self.room(self.ann), 5)

    def test_goneMeanwhile(self):
        """With the session goes the entry: withdrawn, its verdict is ignored."""
        self.core.ask(self.ann, EnterRoom(5))
        effects = self.core.ask(self.ann, Logout(), request=8)
        self.assertIn(self.core.withdrawn(self.ann)[0], effects)
        self.core.ask(self.ben, EnterRoom(5))
        self.core.lose(self.ben)
        self.assertIn(self.core.withdrawn(self.ben)[0], self.core.wait(31))
        for session in (self.ann, self.ben):
            self.assertEqual(self.core.prepare(session), self.core.closed(session))
        self.assertEqual(
            self.core.told,
            [
                OnUserLogoutActionEx(-2, OK),
                OnUserLogoutActionEx(-3, ResultCode.CONNECT_ABORT),
            ],
        )
        self.assertEqual(self.core.state.entering, {})
        self.assertEqual(self.core.state.room_names, {})

    def test_newLoginMeanwhile(self):
        """A new login of the user forgets the entry of the old one."""
        core = Driver(replace(ASKING, verifier=Arbiter.THERE))
        old = core.verified("ann", 5)
        core.enter(old, 9)
        session = core.asked("ann")
        withdrawn, ended, _ = core.verify(session, 5)
        self.assertEqual([withdrawn], core.withdrawn(old))
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(core.prepare(old), core.closed(old))
        self.assertEqual(core.state.rooms, {})
        (effect,) = core.enter(session, 9)
        self.assertEqual(effect.session, session)

    def test_linkLostMeanwhile(self):
        """A session that is held gets in; the answer waits for its client."""
        self.core.ask(self.ann, EnterRoom(5))
        self.core.lose(self.ann)
        self.assertEqual(len(self.core.prepare(self.ann)), 2)
        self.assertEqual(self.room(self.ann), 5)


class ReservationTests(EntryTestCase):
    """The number that the arbiter hears is the one that the user gets."""

    def test_twoAtOnce(self):
        """Two who enter the same new name are asked about one room."""
        for session, user_id in ((self.ann, -2), (self.ben, -3)):
            self.assertEqual(
                self.question(session, EnterRoomByName("club")),
                PrepareEnterRoom(user_id, 10001, "club", ""),
            )
        self.core.prepare(self.ben)
        self.core.prepare(self.ann)
        self.assertEqual(
            list(self.core.state.rooms[10001].members), [self.ben, self.ann]
        )

    def test_oneIsRefused(self):
        """The room stays reserved while the other one waits."""
        for session in (self.ann, self.ben):
            self.core.ask(session, EnterRoomByName("club"))
        self.core.prepare(self.ann, ResultCode.ROOM_REJECT)
        self.assertEqual(self.question(self.ann, EnterRoomByName("pub")).room_id, 10002)
        self.core.prepare(self.ben)
        self.assertEqual(self.core.state.rooms[10001].name, "club")
        self.assertSameElsewhere()

    def test_otherName(self):
        """Another new name meanwhile gets another number."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        self.assertEqual(self.question(self.ben, EnterRoomByName("pub")).room_id, 10002)
        self.core.prepare(self.ann, ResultCode.ROOM_REJECT)
        self.assertEqual(self.question(self.cat, EnterRoomByName("inn")).room_id, 10001)
        self.assertSameElsewhere()

    def test_numberOfAReservedName(self):
        """By its number it is the same room, whoever gets in first."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        for session, message in (
            (self.ben, EnterRoom(10001)),
            (self.cat, EnterRoomByName("Room 10001")),
        ):
            self.assertEqual(self.question(session, message).room_name, "club")
        self.core.prepare(self.ben)
        self.core.prepare(self.cat)
        self.core.prepare(self.ann)
        self.assertEqual(len(self.core.state.rooms[10001].members), 3)
        self.assertEqual(self.core.state.room_names, {"club": 10001})

    def test_nameOfAReservedNumber(self):
        """A name does not get the number that somebody waits to enter."""
        self.core.ask(self.ann, EnterRoom(10001))
        self.assertEqual(
            self.question(self.ben, EnterRoomByName("club")).room_id, 10002
        )

    def test_roomEmptiesMeanwhile(self):
        """A room that was left by all keeps its number for who waits."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        self.core.prepare(self.ann)
        self.core.ask(self.ben, EnterRoom(10001), password=b"new")
        self.core.ask(self.ann, LeaveRoom(10001))
        self.assertEqual(self.core.state.rooms, {})
        self.assertEqual(self.question(self.ann, EnterRoomByName("pub")).room_id, 10002)
        self.assertSameElsewhere()
        self.core.prepare(self.ben)
        room = self.core.state.rooms[10001]
        self.assertEqual((room.name, room.password), ("club", b"new"))

    def test_arbiterGoesMeanwhile(self):
        """Who needs no verdict any more enters the very room that others wait for."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        self.core.arbiters(admitter=Arbiter.AWAY)
        self.core.ask(self.ben, EnterRoomByName("club"))
        self.assertEqual(self.room(self.ben), 10001)
        self.core.prepare(self.ann)
        self.assertEqual(self.room(self.ann), 10001)

    def test_changesThatDoNotFit(self):
        """Changes that contradict a reservation are bugs, and said to be."""
        self.core.ask(self.ann, EnterRoomByName("club"))
        asked = self.core.journal[-1]
        for change in (
            asked,
            RoomAdded(10001, "other", True, b""),
            RoomAdded(10002, "club", True, b""),
            RoomEntered(10001, self.ann),
            EntryAsked(Entry(self.ben, 1, 10001, "other", b"", 0)),
            EntryAsked(Entry(self.ben, 1, 10002, "club", b"", 0)),
            EntrySettled(self.ben),
        ):
            hall = Hall(self.settings)
            for old in self.core.journal:
                hall.apply(old)
            self.assertRaises(LocalError, hall.apply, change)

    def test_digestStaysOutOfSight(self):
        """The digest of a password does not show when a change is printed."""
        self.core.ask(self.ann, EnterRoom(5, "hush"), password=b"digest")
        self.assertNotIn("digest", repr(self.core.journal[-1]))
        self.assertNotIn("digest", repr(self.core.state))


class AwayTests(SynchronousTestCase):
    """No arbiter about entries, though there should be one."""

    AWAY = replace(DEMO, demo_mode=False, admitter=Arbiter.AWAY)

    def test_newcomers(self):
        """Who came while it was away is refused rooms: 206."""
        core = Driver(self.AWAY)
        ann = core.guest()
        for message, room_id in ((EnterRoom(5), 5), (EnterRoomByName("club"), 0)):
            self.assertEqual(
                core.answer(ann, message),
                EnterRoomResult(ResultCode.SERVERSDK_FAIL, room_id),
            )
        self.assertEqual(core.code(ann, EnterRoom(0)), ResultCode.ROOM_INVALID)

    def test_usersAlreadyIn(self):
        """Who came before may change rooms; the core decides alone."""
        core = Driver(replace(self.AWAY, admitter=Arbiter.THERE))
        ann, ben = core.guest(), core.guest()
        core.enter(ann, 5)
        core.prepare(ann)
        core.arbiters(admitter=Arbiter.AWAY)
        core.ask(ann, LeaveRoom(5))
        core.enter(ann, 6)
        self.assertEqual(core.state.sessions[ann].room_id, 6)
        core.enter(ben, 6)
        self.assertEqual(core.state.sessions[ben].room_id, 6)
        cat = core.guest()
        self.assertEqual(core.code(cat, EnterRoom(6)), ResultCode.SERVERSDK_FAIL)

    def test_backAgain(self):
        """When it is back everybody is asked about again, and whom it lets in
        goes on when it is away another time."""
        core = Driver(self.AWAY)
        ann = core.guest()
        core.arbiters(admitter=Arbiter.THERE)
        (effect,) = core.enter(ann, 5)
        self.assertIsInstance(effect, AskPrepareEnterRoom)
        core.prepare(ann)
        core.ask(ann, LeaveRoom(5))
        core.arbiters(admitter=Arbiter.AWAY)
        core.enter(ann, 6)
        self.assertEqual(core.state.sessions[ann].room_id, 6)

    def test_demoMode(self):
        """Demo mode needs nobody."""
        core = Driver(replace(self.AWAY, demo_mode=True))
        ann = core.login("ann")
        core.enter(ann, 1)
        self.assertEqual(core.state.sessions[ann].room_id, 1)

    def test_nobody(self):
        """Where nobody is meant to decide the core does, for all."""
        core = Driver(replace(self.AWAY, admitter=Arbiter.NOBODY))
        ann = core.guest()
        core.enter(ann, 5)
        core.arbiters(admitter=Arbiter.AWAY)
        core.ask(ann, LeaveRoom(5))
        core.enter(ann, 6)
        self.assertEqual(core.state.sessions[ann].room_id, 6)


class OrderTests(SynchronousTestCase):
    """What is told of one user, in order."""

    def test_wholeLife(self):
        """Login, entry, leaving, entry, and the end by a logout."""
        core = Driver()
        ann = core.login("ann")
        core.enter(ann, 1)
        core.ask(ann, LeaveRoom(1))
        core.enter(ann, 2)
        self.assertEqual(core.ask(ann, Logout())[0], Reply(ann, 7, Result(OK)))
        self.assertEqual(
            core.told,
            [
                OnUserLoginAction(1, "ann", 0, "192.0.2.7"),
                OnUserEnterRoomAction(1, 1),
                OnUserLeaveRoomAction(1, 1),
                OnUserEnterRoomAction(1, 2),
                OnUserLeaveRoomAction(1, 2),
                OnUserLogoutActionEx(1, OK),
            ],
        )
