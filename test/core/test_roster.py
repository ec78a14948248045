"""Signing in: ids, refusals, and the same user twice."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.core.commands import LinkLogin
from anychat.core.effects import EndSession, Send, StartSession
from anychat.errors import LocalError
from anychat.messages import Login, Member, UserAtRoom
from test.core.driver import DEMO, Driver

LICENSED = replace(DEMO, demo_mode=False)


class GuestTests(SynchronousTestCase):
    """Users without a password."""

    def test_idsCountDown(self):
        """Guests get -2, -3, ..., also under the same name."""
        core = Driver()
        self.assertEqual([core.user(core.guest()) for _ in range(3)], [-2, -3, -4])

    def test_idsAreNotUsedAgain(self):
        """The id of a guest who left is not given to the next one."""
        core = Driver()
        core.lose(core.guest())
        core.wait(31)
        self.assertEqual(core.state.sessions, {})
        self.assertEqual(core.user(core.guest()), -3)

    def test_denied(self):
        """AllowGuestLogin=0 gives 204 outside demo mode only."""
        for demo_mode in (False, True):
            core = Driver(replace(DEMO, demo_mode=demo_mode, allow_guest_login=False))
            if demo_mode:
                core.guest()
            else:
                self.assertEqual(core.refused("g", ""), ResultCode.VISITOR_DENY)

    def test_allowedOutsideDemoMode(self):
        """AllowGuestLogin=1 lets guests in without a business server."""
        self.assertEqual(Driver(LICENSED).guest(), 2)

    def test_needAName(self):
        """A guest without a name gets 210."""
        self.assertEqual(Driver().refused("", ""), ResultCode.LOGIN_EMPTYNAME)


class NamedTests(SynchronousTestCase):
    """Users with a password, which nobody can check yet."""

    def test_demoModeLetsEverybodyIn(self):
        """Any name with any password is granted, with an id from 1 up."""
        core = Driver()
        (effect,) = core.try_login("alice", "whatever", request=9)
        self.assertEqual(
            effect,
            StartSession(
                session=2,
                link=1,
                request=9,
                user_id=1,
                level=0,
                nickname="alice",
                address="192.0.2.7",
                secure=True,
            ),
        )
        self.assertEqual(core.user(core.login("bob")), 2)

    def test_idIsStableForTheName(self):
        """Who comes back under a name gets the name's id again."""
        core = Driver()
        alice = core.login("alice")
        core.login("bob")
        core.lose(alice)
        core.wait(31)
        self.assertEqual(core.user(core.login("alice", "other password")), 1)

    def test_noBusinessServer(self):
        """Outside demo mode only a business server could tell: 206."""
        self.assertEqual(Driver(LICENSED).refused("alice"), ResultCode.SERVERSDK_FAIL)

    def test_emptyName(self):
        """An empty or blank name gets 210, whatever the mode."""
        for settings in (DEMO, LICENSED):
            for name in ("", " ", "\u3000"):
                self.assertEqual(
                    Driver(settings).refused(name), ResultCode.LOGIN_EMPTYNAME
                )

    def test_unfitName(self):
        """Names that are too long or hold control characters get 21."""
        core = Driver()
        core.login("é" * 128)
        core.login("小明 (1)")
        for name in ("a" * 129, "a\nb", "a\x00", "\x7f", "\x85b", "a\u2028b", "\ud800"):
            self.assertEqual(core.refused(name), ResultCode.FUNCOPTERROR)
            self.assertEqual(core.refused(name, ""), ResultCode.FUNCOPTERROR)

    def test_unfitLocalAddress(self):
        """What the client says of its address is held to the same rule."""
        self.assertEqual(
            Driver().refused("alice", local_address="10.0.0.1\n"),
            ResultCode.FUNCOPTERROR,
        )

    def test_longestOfflineNameIsForgotten(self):
        """With the table full the name offline longest gives up its id."""
        core = Driver(replace(DEMO, max_names=3))
        sessions = {name: core.login(name) for name in ("a", "b", "c")}
        for name in ("b", "a"):
            core.lose(sessions[name])
            core.wait(31)
        self.assertEqual(core.user(core.login("d")), 4)
        self.assertEqual(core.state.names, {"a": 1, "c": 3, "d": 4})
        self.assertEqual(core.user(core.login("b")), 5)
        self.assertEqual(core.state.names, {"b": 5, "c": 3, "d": 4})

    def test_namesInUseAreNeverForgotten(self):
        """With the table full of users who are online it grows."""
        core = Driver(replace(DEMO, max_names=2))
        users = [core.user(core.login(name)) for name in ("a", "b", "c")]
        self.assertEqual(users, [1, 2, 3])
        self.assertEqual(set(core.state.names), {"a", "b", "c"})

    def test_shrinksAfterARush(self):
        """A table that had to grow loses two names for each new one."""
        core = Driver(replace(DEMO, max_names=2))
        for session in [core.login(name) for name in "abcde"]:
            core.lose(session)
        core.wait(31)
        for name, remembered in (("f", "cdef"), ("g", "efg"), ("h", "fgh")):
            core.login(name)
            self.assertEqual("".join(core.state.names), remembered)

    def test_sessionIdMustBeFresh(self):
        """A session id that is in use is the shell's bug."""
        core = Driver()
        session = core.login("alice")
        command = LinkLogin(
            link=50,
            request=1,
            message=Login("bob", "x"),
            session=session,
            address="",
            device=0,
            secure=True,
        )
        self.assertRaises(LocalError, core.run, command)


class SameUserAgainTests(SynchronousTestCase):
    """CloseFrontLink."""

    def test_newLoginWins(self):
        """CloseFrontLink=1: the old session gets 209, then the new one starts."""
        core = Driver()
        old = core.login("alice")
        ended, started = core.try_login("alice")
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(started.user_id, 1)
        self.assertEqual(list(core.state.sessions), [started.session])

    def test_oldSessionLeavesItsRoom(self):
        """The others in the old session's room see the user go."""
        core = Driver()
        old, other = core.together("alice", "bob")
        told, ended, started = core.try_login("alice")
        self.assertEqual(told, Send((other,), UserAtRoom(False, Member(1, 0, "alice"))))
        self.assertEqual(ended.session, old)
        self.assertIsNone(core.state.sessions[started.session].room_id)
        self.assertEqual(list(core.state.rooms[1].members), [other])

    def test_oldLoginStays(self):
        """CloseFrontLink=0: the new login gets 201 and nothing else happens."""
        core = Driver(replace(DEMO, close_front_link=False))
        old = core.login("alice")
        self.assertEqual(core.refused("alice"), ResultCode.ALREADY_LOGIN)
        self.assertEqual(list(core.state.sessions), [old])

    def test_heldSessionNeverBlocks(self):
        """A session without a link gives way even with CloseFrontLink=0."""
        core = Driver(replace(DEMO, close_front_link=False))
        old = core.login("alice")
        core.lose(old)
        ended, started = core.try_login("alice")
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(started.user_id, 1)
        self.assertIsNone(core.hall.next_timeout())
