"""Rooms: entering, leaving, refusals and the order of notifications."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind
from anychat.core.effects import Reply, Send
from anychat.core.names import MAX_NAME
from anychat.core.rooms import MEMBERS_PER_MESSAGE
from anychat.messages import (
    EnterRoom,
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Member,
    OnlineUser,
    OpenStreamInfo,
    Result,
    RoomMembers,
    UserAtRoom,
)
from anychat.protocols.formats import encode
from test.core.driver import DEMO, Driver, sent


class EnterTests(SynchronousTestCase):
    """EnterRoom."""

    def setUp(self):
        self.core = Driver()

    def test_notifications(self):
        """ENTERROOM, members, one ONLINEUSER; USERATROOM to the others."""
        alice, bob = (self.core.login(name) for name in ("alice", "bob"))
        self.assertEqual(
            self.core.enter(alice, request=4),
            [
                Reply(alice, 4, EnterRoomResult(ResultCode.SUCCESS, 1, "Room 1")),
                Send((alice,), OnlineUser(1, 1)),
            ],
        )
        self.assertEqual(
            self.core.enter(bob, request=6),
            [
                Reply(bob, 6, EnterRoomResult(ResultCode.SUCCESS, 1, "Room 1")),
                Send((bob,), RoomMembers(1, (Member(1, 0, "alice"),))),
                Send((bob,), OnlineUser(2, 1)),
                Send((alice,), UserAtRoom(True, Member(2, 0, "bob"))),
            ],
        )

    def test_withoutRequestNumber(self):
        """Who wants no answer gets the notifications all the same."""
        alice = self.core.login("alice")
        self.assertEqual(
            self.core.enter(alice, request=0), [Send((alice,), OnlineUser(1, 1))]
        )

    def test_membersAreSplit(self):
        """The members of a big room come in messages that fit a frame."""
        core = Driver(replace(DEMO, max_users_per_room=1000))
        for number in range(250):
            core.enter(core.guest(f"{number}"))
        late = core.login("late")
        *chunks, online = sent(core.enter(late), late)
        self.assertEqual([len(chunk.members) for chunk in chunks], [100, 100, 50])
        names = [member.nickname for chunk in chunks for member in chunk.members]
        self.assertEqual(names, [f"{number}" for number in range(250)])
        self.assertEqual(online, OnlineUser(251, 1))

    def test_messagesFitAFrame(self):
        """The members of one message fit it, however long their names are."""
        streams = tuple(OpenStreamInfo(StreamKind.VIDEO, i) for i in range(16))
        member = Member(2**31 - 1, 2**31 - 1, "\U0001f600" * MAX_NAME, streams)
        body = encode(RoomMembers(1, (member,) * MEMBERS_PER_MESSAGE))[1]
        self.assertLess(len(body), 65536 - 64)

    def test_alreadyInARoom(self):
        """A second room, or the same once more, gets 308."""
        (alice,) = self.core.together("alice")
        for message in (EnterRoom(1), EnterRoom(2), EnterRoomByName("x")):
            self.assertEqual(self.core.code(alice, message), ResultCode.ROOM_ALREADIN)

    def test_full(self):
        """MaxUsersPerRoom gives 302; one who leaves makes place."""
        core = Driver(replace(DEMO, max_users_per_room=2))
        alice, _ = core.together("alice", "bob")
        carol = core.login("carol")
        self.assertEqual(
            core.answer(carol, EnterRoom(1)),
            EnterRoomResult(ResultCode.ROOM_FULLUSER, 1),
        )
        core.ask(alice, LeaveRoom(1))
        self.assertEqual(len(core.enter(carol)), 4)

    def test_impossibleNumbers(self):
        """Numbers that no room can have get 303."""
        alice = self.core.login("alice")
        for room_id in (0, -1, 2**31):
            self.assertEqual(
                self.core.code(alice, EnterRoom(room_id)), ResultCode.ROOM_INVALID
            )
        self.core.enter(alice, 2**31 - 1)
        self.assertEqual(self.core.state.sessions[alice].room_id, 2**31 - 1)

    def test_withoutAutoAddRoom(self):
        """AutoAddRoom=0: rooms 1 and 2 only, others get 303."""
        core = Driver(replace(DEMO, auto_add_room=False))
        alice = core.login("alice")
        self.assertEqual(core.code(alice, EnterRoom(3)), ResultCode.ROOM_INVALID)
        self.assertEqual(
            core.code(alice, EnterRoomByName("meeting")), ResultCode.ROOM_INVALID
        )
        core.enter(alice, 2)
        self.assertEqual(core.state.sessions[alice].room_id, 2)

    def test_outsideDemoMode(self):
        """Outside demo mode no room exists by itself."""
        settings = replace(DEMO, demo_mode=False, auto_add_room=False)
        core = Driver(settings)
        self.assertEqual(core.code(core.guest(), EnterRoom(1)), ResultCode.ROOM_INVALID)
        self.assertEqual(core.state.rooms, {})


class NameTests(SynchronousTestCase):
    """EnterRoomByName and how rooms are called and numbered."""

    def setUp(self):
        self.core = Driver()

    def enter(self, name, **more):
        """The number of the room of that name, entered by somebody new."""
        effects = self.core.ask(self.core.guest(), EnterRoomByName(name), **more)
        return effects[0].message.room_id

    def test_lowestFreeNumber(self):
        """New rooms are numbered from 10001, gaps first."""
        self.assertEqual([self.enter(name) for name in "abc"], [10001, 10002, 10003])
        self.assertEqual(self.enter("b"), 10002)
        leaver = next(iter(self.core.state.rooms[10001].members))
        self.core.ask(leaver, LeaveRoom(10001))
        self.assertEqual(self.enter("d"), 10001)
        self.assertEqual(self.enter("e"), 10004)

    def test_numberTakenByNumber(self):
        """A number that somebody entered by number is not free."""
        self.core.enter(self.core.guest(), 10001)
        self.assertEqual(self.enter("a"), 10002)

    def test_nameOfNumber(self):
        """ "Room 7" is room 7, whichever way it was made."""
        self.assertEqual(self.enter("Room 7"), 7)
        self.assertEqual(self.enter("Room 1"), 1)
        effects = self.core.enter(self.core.guest(), 7)
        self.assertEqual(effects[0].message.name, "Room 7")
        self.assertEqual(len(self.core.state.rooms[7].members), 2)

    def test_almostNumbered(self):
        """What only looks like that form is a name like any other."""
        names = ("Room 07", "Room 0", "room 7", "Room 2147483648", "Room ٧")
        self.assertEqual(
            [self.enter(name) for name in names], [10001 + i for i in range(5)]
        )

    def test_enteredByNumberToo(self):
        """A room made by name is entered by its number as well."""
        self.enter("meeting")
        effects = self.core.enter(self.core.guest(), 10001)
        self.assertEqual(effects[0].message.name, "meeting")

    def test_badNames(self):
        """Blank, overlong and unprintable names get 303."""
        guest = self.core.guest()
        for name in ("", "  ", "a" * 129, "a\tb", "\x9b"):
            self.assertEqual(
                self.core.answer(guest, EnterRoomByName(name)),
                EnterRoomResult(ResultCode.ROOM_INVALID, 0),
            )


class PasswordTests(SynchronousTestCase):
    """Passwords reach the core as keyed digests."""

    def setUp(self):
        self.core = Driver()

    def test_firstEntrantSetsIt(self):
        """The room's password is the one of who made it; others get 301."""
        owner, guest = self.core.guest(), self.core.guest()
        self.core.enter(owner, 5, password=b"digest")
        for password in (b"", b"other"):
            self.assertEqual(
                self.core.code(guest, EnterRoom(5), password=password),
                ResultCode.ROOM_PASSERR,
            )
        self.core.enter(guest, 5, password=b"digest")
        self.assertEqual(len(self.core.state.rooms[5].members), 2)

    def test_byName(self):
        """Entering by name is held to the password too."""
        owner, guest = self.core.guest(), self.core.guest()
        self.core.ask(owner, EnterRoomByName("m"), password=b"digest")
        self.assertEqual(
            self.core.code(guest, EnterRoomByName("m")), ResultCode.ROOM_PASSERR
        )

    def test_madeWithoutOne(self):
        """A room made without a password is not the one that is asked for."""
        owner, guest = self.core.guest(), self.core.guest()
        self.core.enter(owner, 5)
        self.assertEqual(
            self.core.code(guest, EnterRoom(5), password=b"digest"),
            ResultCode.ROOM_PASSERR,
        )

    def test_demoRoomsAskForNone(self):
        """In rooms 1 and 2 any password will do."""
        guest = self.core.guest()
        self.core.enter(guest, 1, password=b"digest")
        self.assertEqual(self.core.state.sessions[guest].room_id, 1)

    def test_passwordBeforeFullness(self):
        """Who does not know the password does not learn that the room is full."""
        core = Driver(replace(DEMO, max_users_per_room=1))
        core.enter(core.guest(), 5, password=b"digest")
        self.assertEqual(core.code(core.guest(), EnterRoom(5)), ResultCode.ROOM_PASSERR)

    def test_notShown(self):
        """A digest does not show up where changes are printed."""
        self.core.enter(self.core.guest(), 5, password=b"digest")
        self.assertNotIn("digest", repr(self.core.journal))


class LeaveTests(SynchronousTestCase):
    """LeaveRoom."""

    def setUp(self):
        self.core = Driver()

    def test_leave(self):
        """The leaver is answered, the others get USERATROOM."""
        alice, bob = self.core.together("alice", "bob")
        self.assertEqual(
            self.core.ask(alice, LeaveRoom(1), request=3),
            [
                Reply(alice, 3, Result(ResultCode.SUCCESS)),
                Send((bob,), UserAtRoom(False, Member(1, 0, "alice"))),
            ],
        )
        self.assertIsNone(self.core.state.sessions[alice].room_id)

    def test_notIn(self):
        """In no room, or in another one, the answer is 309."""
        alice = self.core.login("alice")
        self.assertEqual(self.core.code(alice, LeaveRoom(1)), ResultCode.ROOM_NOTIN)
        self.core.enter(alice, 1)
        self.assertEqual(self.core.code(alice, LeaveRoom(2)), ResultCode.ROOM_NOTIN)
        self.assertEqual(self.core.state.sessions[alice].room_id, 1)

    def test_emptyAutomaticRoomsDisappear(self):
        """With the last member a room that was made by entering is gone."""
        alice, bob = self.core.together("alice", "bob", room_id=5)
        self.core.ask(alice, LeaveRoom(5))
        self.assertIn(5, self.core.state.rooms)
        self.core.ask(bob, LeaveRoom(5))
        self.assertEqual(list(self.core.state.rooms), [1, 2])
        self.assertEqual(set(self.core.state.room_names), {"Room 1", "Room 2"})

    def test_demoRoomsStay(self):
        """Rooms 1 and 2 stay when they are empty."""
        (alice,) = self.core.together("alice")
        self.core.ask(alice, LeaveRoom(1))
        self.assertIn(1, self.core.state.rooms)

    def test_newRoomNewPassword(self):
        """A room that was gone takes the password of who makes it again."""
        guest = self.core.guest()
        self.core.enter(guest, 5, password=b"old")
        self.core.ask(guest, LeaveRoom(5))
        self.core.enter(guest, 5, password=b"new")
        self.assertEqual(self.core.state.rooms[5].password, b"new")
