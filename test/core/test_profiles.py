"""User data: information, groups, friends, and who is told what."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    GetUserInfo,
    SetUserInfo,
    UserInfoControl,
)
from anychat.codes import ResultCode
from anychat.core import profiles
from anychat.core.hall import Hall
from anychat.core.state import Profile
from anychat.messages import (
    Friend,
    FriendStatus,
    Logout,
    Resync,
    SyncData,
    UserFriends,
    UserGroup,
    UserGroups,
    UserInfoItem,
    UserInfos,
    UserInfoUpdate,
)
from test.core.driver import DEMO, Driver, sent

OK = Answer(ResultCode.SUCCESS)


class ProfilesTestCase(SynchronousTestCase):
    """Ann (1) and Ben (2) are signed in."""

    def setUp(self):
        self.core = Driver()
        self.ann, self.ben = self.core.login("ann"), self.core.login("ben")

    def tearDown(self):
        """A snapshot has everything."""
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)

    def control(self, user_id, code, wparam=0, lparam=0, text=""):
        """A control code that is carried out; the effects."""
        call = UserInfoControl(user_id, code, wparam, lparam, text)
        effects, answer = self.core.call(call)
        self.assertEqual(answer, OK, call)
        return effects

    def refused(self, *values):
        """The code that refuses a control code, which has no effect."""
        call = UserInfoControl(*values, *(0, 0, "")[len(values) - 2 :])
        before = len(self.core.journal)
        effects, answer = self.core.call(call)
        self.assertEqual((effects, len(self.core.journal)), ([], before))
        return answer.code

    def set_info(self, user_id, info_id, text):
        """The code that answers SetUserInfo."""
        effects, answer = self.core.call(SetUserInfo(user_id, info_id, text))
        self.assertEqual(effects, [])
        return answer.code

    def befriend(self, user_id, *friends):
        """Give a user friends."""
        for friend in friends:
            self.assertEqual(self.control(user_id, 22, friend), [])


class InfoTests(ProfilesTestCase):
    """SetUserInfo and GetUserInfo."""

    def test_value(self):
        """What was set is there, is replaced, and is gone with an empty text."""
        for text in ("Ann", "Anna"):
            self.assertEqual(self.set_info(1, 7, text), 0)
            self.assertEqual(
                self.core.call(GetUserInfo(1, 7)), ([], Answer(OK.code, text=text))
            )
        self.assertEqual(self.set_info(1, 7, ""), 0)
        self.assertEqual(self.core.call(GetUserInfo(1, 7))[1].code, 9)
        self.assertEqual(self.core.state.profiles, {})

    def test_onlyNewsIsAChange(self):
        """Saying the same again leaves no trace."""
        self.set_info(1, 7, "Ann")
        before = len(self.core.journal)
        self.set_info(1, 7, "Ann")
        self.set_info(1, 8, "")
        self.assertEqual(len(self.core.journal), before)

    def test_ids(self):
        """An id is 32 bits, whichever way it is written."""
        self.set_info(1, 2**32 - 1, "x")
        self.assertEqual(self.core.call(GetUserInfo(1, -1))[1].text, "x")

    def test_nobody(self):
        """205 of one who is neither signed in nor anybody's friend."""
        for user_id in (99, 0, -1, 2**40):
            self.assertEqual(self.set_info(user_id, 1, "x"), 205)
            self.assertEqual(self.core.call(GetUserInfo(user_id, 1))[1].code, 205)

    def test_friendWhoIsAway(self):
        """Of a friend there may be something while he is away, and no longer."""
        self.befriend(1, 99)
        self.assertEqual(self.set_info(99, 1, "Zoe"), 0)
        self.assertEqual(self.core.call(GetUserInfo(99, 1))[1].text, "Zoe")
        self.control(1, 23, 99)
        self.assertEqual(self.core.call(GetUserInfo(99, 1))[1].code, 205)
        self.assertEqual(self.core.state.profiles, {})

    def test_limits(self):
        """21 for a text that is too long, 23 for too much of one user."""
        self.assertEqual(self.set_info(1, 1, "é" * 2049), 21)
        for number in range(4):
            self.assertEqual(self.set_info(1, number, "é" * 2048), 0)
        self.assertEqual(self.set_info(1, 9, "x"), 23)
        self.assertEqual(self.set_info(1, 0, "x"), 0)
        for number in range(4, profiles.MAX_INFOS):
            self.assertEqual(self.set_info(1, number, "x"), 0)
        self.assertEqual(self.set_info(1, 99, "x"), 23)
        self.assertEqual(self.set_info(1, 5, "y"), 0)

    def test_limitOfAll(self):
        """23 when all users together have too much; what goes makes room."""
        self.core = Driver(replace(DEMO, max_profile_bytes=3 * 64 + 100))
        self.ann, self.ben = self.core.login("ann"), self.core.login("ben")
        self.assertEqual(self.set_info(1, 1, "x" * 100), 0)
        self.assertEqual(self.set_info(2, 1, "x" * 100), 23)
        self.assertEqual(self.set_info(1, 1, "x" * 101), 0)
        self.befriend(2, 3)
        self.assertEqual(self.refused(2, 22, 4), 23)
        self.assertEqual(self.refused(2, 20, 1, 0, "group"), 23)
        self.core.ask(self.ann, Logout())
        self.assertEqual(self.set_info(2, 1, "x" * 50), 0)


class GroupTests(ProfilesTestCase):
    """Groups, and friends in them."""

    def test_groups(self):
        """Added, renamed, and gone."""
        self.control(1, 20, 5, 0, "work")
        self.control(1, 20, 5, 0, "Work")
        self.control(1, 20, 6, 0, "family")
        self.control(1, 21, 6)
        self.assertEqual(self.core.state.profiles[1].groups, {5: "Work"})
        self.control(1, 21, 5)
        self.assertEqual(self.core.state.profiles, {})

    def test_grouped(self):
        """A friend may be in several, and leaves with the group."""
        self.befriend(1, 2)
        for group in (5, 6):
            self.control(1, 20, group, 0, "g")
            self.control(1, 24, group, 2)
        before = len(self.core.journal)
        self.control(1, 24, 5, 2)
        self.assertEqual(len(self.core.journal), before)
        self.assertEqual(self.core.state.profiles[1].friends, {2: {5: None, 6: None}})
        self.control(1, 21, 5)
        self.assertEqual(self.core.state.profiles[1].friends, {2: {6: None}})

    def test_refused(self):
        """Each wrong value has its code."""
        self.befriend(1, 2)
        self.control(1, 20, 5, 0, "g")
        for code, values in (
            (205, (99, 20, 1, 0, "g")),
            (205, (99, 22, 1)),
            (205, (-1, 2)),
            (21, (1, 20, 1, 0, "")),
            (21, (1, 20, 1, 0, "a\nb")),
            (21, (1, 20, 1, 0, "x" * 129)),
            (9, (1, 21, 6)),
            (21, (1, 22, 1)),
            (21, (1, 22, 0)),
            (21, (1, 22, -1)),
            (9, (1, 23, 3)),
            (9, (1, 24, 6, 2)),
            (9, (1, 24, 5, 3)),
            (20, (1, 3)),
            (20, (1, 25)),
            (20, (1, 99)),
        ):
            self.assertEqual(self.refused(*values), code, values)

    def test_limits(self):
        """23 for one too many of each."""
        for number in range(profiles.MAX_GROUPS):
            self.control(1, 20, number, 0, "g")
        self.assertEqual(self.refused(1, 20, -5, 0, "g"), 23)
        self.control(1, 20, 0, 0, "another name")
        self.befriend(1, *range(2, 2 + profiles.MAX_FRIENDS))
        self.assertEqual(self.refused(1, 22, 5000), 23)
        self.befriend(1, 2)
        for number in range(profiles.MAX_FRIEND_GROUPS):
            self.control(1, 24, number, 2)
        self.assertEqual(self.refused(1, 24, 99, 2), 23)


class SyncTests(ProfilesTestCase):
    """SYNCDATA, FRIENDSTATUS."""

    def told(self, effects, session):
        """What a session is told."""
        return sent(effects, session)

    def test_empty(self):
        """A user without anything has a set, too."""
        self.assertEqual(
            self.told(self.control(1, 2), self.ann),
            [SyncData(), UserInfos(1, ()), UserInfoUpdate(0, 0)],
        )

    def test_wholeSet(self):
        """Oneself, groups, friends, and what there is about friends."""
        self.set_info(1, 1, "Ann")
        self.befriend(1, 2, 99)
        self.set_info(99, 1, "Zoe")
        self.control(1, 20, 5, 0, "work")
        self.control(1, 24, 5, 99)
        self.assertEqual(
            self.told(self.control(1, 2), self.ann),
            [
                SyncData(),
                UserInfos(1, (UserInfoItem(1, "Ann"),)),
                UserGroups((UserGroup(5, "work"),)),
                UserFriends((Friend(2, True), Friend(99, False, (5,)))),
                UserInfos(99, (UserInfoItem(1, "Zoe"),)),
                UserInfoUpdate(0, 0),
            ],
        )

    def test_portions(self):
        """Many friends come in several messages, none of them too big."""
        self.befriend(1, *range(2, 1002))
        told = self.told(self.control(1, 2), self.ann)
        sizes = [len(m.friends) for m in told if isinstance(m, UserFriends)]
        self.assertEqual(sizes, [500, 500])

    def test_bigSet(self):
        """Information about friends ends where the set gets too big."""
        fit = profiles.MAX_SET // (4 * (4096 + profiles.ITEM))
        friends = range(10, 10 + fit + 2)
        self.befriend(1, *friends)
        for friend in friends:
            for number in range(4):
                self.set_info(friend, number, "x" * 4096)
        told = self.told(self.control(1, 2), self.ann)
        self.assertEqual(
            [m.user_id for m in told if isinstance(m, UserInfos)],
            [1, *friends[:fit]],
        )
        self.assertEqual(told[-1], UserInfoUpdate(0, 0))

    def test_notBefore(self):
        """Nobody is told anything before SYNCDATA."""
        self.befriend(1, 2)
        effects = self.core.ask(self.ben, Logout())
        self.assertEqual(self.told(effects, self.ann), [])

    def test_comingAndGoing(self):
        """Friends are seen to come and go, by whoever has them as friends."""
        self.befriend(1, 2)
        self.control(1, 2)
        self.control(2, 2)
        effects = self.core.ask(self.ben, Logout())
        self.assertEqual(self.told(effects, self.ann), [FriendStatus(2, False)])
        effects = self.core.try_login("ben")
        self.assertEqual(self.told(effects, self.ann), [FriendStatus(2, True)])

    def test_replaced(self):
        """A friend who signs in once more is gone and there again."""
        self.befriend(1, 2)
        self.control(1, 2)
        effects = self.core.try_login("ben")
        self.assertEqual(
            self.told(effects, self.ann),
            [FriendStatus(2, False), FriendStatus(2, True)],
        )

    def test_heldIsThere(self):
        """A friend whose link is lost is there until the hold time is over."""
        self.befriend(1, 2)
        self.control(1, 2)
        self.assertEqual(self.core.lose(self.ben), [])
        effects = self.core.wait(30.0)
        self.assertEqual(self.told(effects, self.ann), [FriendStatus(2, False)])

    def test_friendIsSynchronised(self):
        """What a friend is like is told when his data is synchronised."""
        self.befriend(1, 2)
        self.control(1, 2)
        self.set_info(2, 1, "Ben")
        self.assertEqual(
            self.told(self.control(2, 2), self.ann),
            [UserInfos(2, (UserInfoItem(1, "Ben"),)), UserInfoUpdate(2, 0)],
        )

    def test_resync(self):
        """Who missed something is told the set again, if he was told it before."""
        effects = self.core.resume(self.ann, resync=True)
        self.assertNotIn(SyncData(), self.told(effects, self.ann))
        self.control(1, 2)
        told = self.told(self.core.resume(self.ann, resync=True), self.ann)
        self.assertEqual(told[0], Resync(1, 0))
        start = told.index(SyncData())
        self.assertEqual(
            told[start : start + 3],
            [SyncData(), UserInfos(1, ()), UserInfoUpdate(0, 0)],
        )


class EndTests(ProfilesTestCase):
    """What goes when somebody goes."""

    def test_nothingStays(self):
        """With the last of them everything is gone, and the count is right."""
        self.set_info(1, 1, "Ann")
        self.befriend(1, 2, 99)
        self.befriend(2, 1, 99)
        self.set_info(99, 1, "Zoe")
        self.control(1, 20, 5, 0, "work")
        self.control(1, 24, 5, 99)
        self.control(1, 2)
        self.core.ask(self.ann, Logout())
        # Ben still has both as friends.
        self.assertEqual(self.core.state.profiles[1].infos, {1: "Ann"})
        self.assertEqual(self.core.state.profiles[99].infos, {1: "Zoe"})
        self.assertEqual(self.core.state.profiles[1].groups, {})
        self.core.ask(self.ben, Logout())
        self.assertEqual(self.core.state.profiles, {})
        self.assertEqual(self.core.state.profile_bytes, 0)

    def test_newSession(self):
        """A user who signs in anew has nothing of before, but for information."""
        self.befriend(1, 2)
        self.befriend(2, 1)
        self.set_info(1, 1, "Ann")
        self.control(1, 2)
        self.core.login("ann")
        self.assertEqual(
            self.core.state.profiles[1], Profile({1: "Ann"}, friend_of={2: None})
        )

    def test_freshStart(self):
        """After everybody left the state is that of a fresh start, names apart."""
        core = Driver()
        sessions = [core.guest(f"guest {number}") for number in range(3)]
        for number, session in enumerate(sessions):
            user_id = core.user(session)
            core.enter(session)
            core.call(SetUserInfo(user_id, 1, "x"))
            for friend in (-2, -3, -4, 77):
                core.call(UserInfoControl(user_id, 22, friend, 0, ""))
            core.call(UserInfoControl(user_id, 20, number, 0, "group"))
            core.call(UserInfoControl(user_id, 24, number, 77, ""))
            core.call(UserInfoControl(user_id, 2, 0, 0, ""))
        for session in sessions:
            core.ask(session, Logout())
        fresh = Hall(DEMO).state
        fresh.next_guest_id = core.state.next_guest_id
        self.assertEqual(core.state, fresh)
