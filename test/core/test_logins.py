"""Logins that an arbiter decides about: questions, verdicts, and nobody to ask."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Arbiter,
    OnUserLoginAction,
    OnUserLogoutActionEx,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.core.changes import LoginAsked, LoginSettled
from anychat.core.commands import LinkLogin
from anychat.core.effects import (
    AskVerifyUser,
    EndSession,
    RefuseLogin,
    StartSession,
)
from anychat.core.hall import Hall
from anychat.errors import LocalError
from anychat.messages import Login, Logout
from test.core.driver import DEMO, Driver

ASKING = replace(DEMO, demo_mode=False, verifier=Arbiter.THERE, admitter=Arbiter.THERE)


class QuestionTests(SynchronousTestCase):
    """Who is asked about whom."""

    def test_asked(self):
        """A named login is put to the arbiter, and nobody is in meanwhile."""
        core = Driver(ASKING)
        self.assertEqual(
            core.try_login("alice", "hush"),
            [AskVerifyUser(2, VerifyUser("alice", "hush"))],
        )
        self.assertEqual(core.state.sessions, {})
        self.assertEqual(core.state.names, {})
        self.assertEqual(list(core.state.verifying), [2])
        self.assertEqual(core.told, [])

    def test_passwordStaysOut(self):
        """Neither a change nor the question as printed holds the password."""
        core = Driver(ASKING)
        (question,) = core.try_login("alice", "hush")
        self.assertNotIn("hush", repr(question))
        (change,) = core.journal
        self.assertIsInstance(change, LoginAsked)
        fields = [getattr(change, name) for name in change.__slots__]
        self.assertNotIn("hush", fields)

    def test_demoModeAsksToo(self):
        """Demo mode lets nobody past an arbiter who is there."""
        core = Driver(replace(ASKING, demo_mode=True))
        core.asked("alice")

    def test_guestsAreNotAsked(self):
        """Nobody is asked about guests; AllowGuestLogin holds."""
        core = Driver(ASKING)
        self.assertEqual(core.user(core.guest()), -2)
        core = Driver(replace(ASKING, allow_guest_login=False))
        self.assertEqual(core.refused("g", ""), ResultCode.VISITOR_DENY)
        core = Driver(replace(ASKING, allow_guest_login=False, demo_mode=True))
        core.guest()

    def test_nobodyToAsk(self):
        """Without an arbiter it is 206, in demo mode the core decides."""
        for verifier in (Arbiter.NOBODY, Arbiter.AWAY):
            core = Driver(replace(ASKING, verifier=verifier))
            self.assertEqual(core.refused("alice"), ResultCode.SERVERSDK_FAIL)
            core = Driver(replace(ASKING, verifier=verifier, demo_mode=True))
            self.assertEqual(core.user(core.login("alice")), 1)

    def test_namesAreCheckedFirst(self):
        """A name that cannot be is refused without a question."""
        core = Driver(ASKING)
        self.assertEqual(core.refused(" "), ResultCode.LOGIN_EMPTYNAME)
        self.assertEqual(core.refused("a\nb"), ResultCode.FUNCOPTERROR)

    def test_arbiterComesAndGoes(self):
        """Who is there at the time of a login decides about it."""
        core = Driver(replace(ASKING, verifier=Arbiter.AWAY))
        self.assertEqual(core.refused("alice"), ResultCode.SERVERSDK_FAIL)
        core.arbiters(Arbiter.THERE)
        session = core.asked("alice")
        core.arbiters(Arbiter.AWAY)
        self.assertEqual(core.refused("alice"), ResultCode.SERVERSDK_FAIL)
        self.assertIsInstance(core.verify(session, 5)[0], StartSession)

    def test_sessionIdMustBeFresh(self):
        """An id that a login under way has is the shell's bug."""
        core = Driver(ASKING)
        session = core.asked("alice")
        command = LinkLogin(50, 1, Login("bob", "x"), session, "", 0, True)
        self.assertRaises(LocalError, core.run, command)


class VerdictTests(SynchronousTestCase):
    """What becomes of a login when its verdict comes."""

    def setUp(self):
        self.core = Driver(ASKING)

    def test_granted(self):
        """The user gets id, level and nickname from the arbiter."""
        session = self.core.asked("alice", request=9)
        self.assertEqual(
            self.core.verify(session, 77, level=3, nickname="Alice L."),
            [
                StartSession(
                    session=session,
                    link=1,
                    request=9,
                    user_id=77,
                    level=3,
                    nickname="Alice L.",
                    address="192.0.2.7",
                    secure=True,
                )
            ],
        )
        self.assertEqual(
            self.core.told, [OnUserLoginAction(77, "alice", 3, "192.0.2.7")]
        )
        self.assertEqual(self.core.state.sessions[session].name, "alice")
        self.assertEqual(self.core.state.verifying, {})

    def test_refused(self):
        """Any other code reaches the client as it is, be it known or not."""
        for code in (1, 200, 202, 206, 207, 212, 600, 4711, 2**32 - 1):
            session = self.core.asked("alice", request=9)
            (effect,) = self.core.verify(session, code=ResultCode(code))
            self.assertEqual(effect, RefuseLogin(session - 1, 9, ResultCode(code), ""))
            self.assertEqual(effect.code, code)
        self.assertEqual(self.core.state.sessions, {})
        self.assertEqual(self.core.state.verifying, {})
        self.assertEqual(self.core.told, [])

    def test_notTakenTwice(self):
        """A second verdict, and one that nobody asked for, does nothing."""
        session = self.core.asked("alice")
        self.core.verify(session, code=ResultCode.CERTIFY_FAIL)
        before = len(self.core.journal)
        self.assertEqual(self.core.verify(session, 77), self.core.closed(session))
        self.assertEqual(self.core.verify(1234, 78), self.core.closed(1234))
        self.assertEqual(len(self.core.journal), before)

    def test_dropped(self):
        """A login whose link is gone is withdrawn, and its verdict ignored."""
        session = self.core.asked("alice")
        withdrawn, closed = self.core.withdrawn(session), self.core.closed(session)
        self.assertEqual(self.core.drop(session), withdrawn)
        self.assertEqual(self.core.journal[-1], LoginSettled(session))
        self.assertEqual(self.core.drop(session), [])
        self.assertEqual(self.core.verify(session, 77), closed)
        self.assertEqual(self.core.drop(session), [])
        self.assertEqual(self.core.state.sessions, {})
        self.assertEqual(len(self.core.journal), 2)

    def test_impossibleIds(self):
        """An id that no named user can have is 205, and the operator hears why."""
        for user_id in (0, -1, -2, 2**31, 2**40):
            session = self.core.asked("alice")
            (effect,) = self.core.verify(session, user_id)
            self.assertEqual(effect.code, ResultCode.INVALID_USERID)
            self.assertEqual(
                effect.reason,
                f"VerifyUser gave user alice the id {user_id}, ids are 1 to 2147483647",
            )
        self.core.verified("alice", 2**31 - 1)

    def test_impossibleLevels(self):
        """So is a level out of range."""
        for level in (-1, 2**31):
            session = self.core.asked("alice")
            (effect,) = self.core.verify(session, 5, level=level)
            self.assertEqual(effect.code, ResultCode.INVALID_USERID)
            self.assertIn(f"alice the level {level}, levels are", effect.reason)
        self.core.verified("alice", 5, level=2**31 - 1)

    def test_idOfAnother(self):
        """The id of somebody else who is online is 205 with a reason."""
        self.core.verified("alice", 5)
        session = self.core.asked("bob")
        (effect,) = self.core.verify(session, 5)
        self.assertEqual(effect.code, ResultCode.INVALID_USERID)
        self.assertEqual(
            effect.reason,
            "VerifyUser gave user bob the id 5, which is that of alice who is online",
        )
        self.assertEqual(len(self.core.state.sessions), 1)

    def test_spellings(self):
        """Another spelling of the name is the same user again."""
        old = self.core.verified("Ren\u00e9", 5)
        session = self.core.asked("RENE\u0301")
        ended, started = self.core.verify(session, 5)
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(started.session, session)

    def test_heldGivesWay(self):
        """A session without a link keeps its id from no login, whatever the name:
        applications let a user sign in by telephone number and by address."""
        old = self.core.verified("ann@example.org", 5)
        self.core.lose(old)
        session = self.core.asked("5550100")
        ended, started = self.core.verify(session, 5)
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(started.session, session)

    def test_unfitNickname(self):
        """A nickname that cannot be shown is replaced by the name."""
        for number, nickname in enumerate(("", " ", "a\nb", "x" * 129, "\ud800"), 1):
            session = self.core.asked("alice")
            effects = self.core.verify(session, number, nickname=nickname)
            self.assertEqual(effects[-1].nickname, "alice")

    def test_sameUserAgain(self):
        """CloseFrontLink=1: the old session goes with 209, in the right order."""
        old = self.core.verified("alice", 5)
        session = self.core.asked("alice")
        ended, started = self.core.verify(session, 5)
        self.assertEqual(ended, EndSession(old, ResultCode.LOGIN_NEWLOGIN))
        self.assertEqual(started.session, session)
        self.assertEqual(
            self.core.told,
            [
                OnUserLoginAction(5, "alice", 0, "192.0.2.7"),
                OnUserLogoutActionEx(5, ResultCode.LOGIN_NEWLOGIN),
                OnUserLoginAction(5, "alice", 0, "192.0.2.7"),
            ],
        )

    def test_sameUserStays(self):
        """CloseFrontLink=0: 201 without a reason, unless the old one is held."""
        core = Driver(replace(ASKING, close_front_link=False))
        old = core.verified("alice", 5)
        session = core.asked("alice")
        self.assertEqual(
            core.verify(session, 5),
            [RefuseLogin(session - 1, 1, ResultCode.ALREADY_LOGIN)],
        )
        core.lose(old)
        session = core.asked("alice")
        self.assertEqual(core.verify(session, 5)[0].session, old)
        self.assertEqual(list(core.state.sessions), [session])

    def test_oldSessionStaysUntilTheVerdict(self):
        """A login that is refused does the session of that name no harm."""
        old = self.core.verified("alice", 5)
        session = self.core.asked("alice", "guess")
        self.core.verify(session, code=ResultCode.CERTIFY_FAIL)
        self.assertEqual(list(self.core.state.sessions), [old])

    def test_twoAtOnce(self):
        """Of two logins of one user under way the later verdict stays."""
        first, second = (self.core.asked("alice") for _ in range(2))
        self.core.verify(second, 5)
        ended, started = self.core.verify(first, 5)
        self.assertEqual((ended.session, started.session), (second, first))

    def test_snapshot(self):
        """A hall made of a snapshot knows which logins wait."""
        session = self.core.asked("alice")
        hall = Hall(ASKING)
        for change in self.core.hall.snapshot():
            hall.apply(change)
        self.assertEqual(hall.state, self.core.state)
        self.assertEqual(hall.state.verifying[session].name, "alice")

    def test_changesThatDoNotFit(self):
        """A login that is there already, or is not there, is a bug."""
        self.core.asked("alice")
        (asked,) = self.core.journal
        self.assertRaises(LocalError, self.core.hall.apply, asked)
        self.assertRaises(LocalError, self.core.hall.apply, LoginSettled(99))


class MixedIdsTests(SynchronousTestCase):
    """Demo mode, where ids come from the core and from arbiters in turn."""

    def setUp(self):
        self.core = Driver(replace(DEMO, max_names=3))

    def test_coreLeavesIdsOfOthersAlone(self):
        """A new name gets no id that an arbiter's user has."""
        self.core.arbiters(Arbiter.THERE)
        for user_id in (1, 2, 4):
            self.core.verified(f"user {user_id}", user_id)
        self.core.arbiters(Arbiter.AWAY)
        users = [self.core.user(self.core.login(name)) for name in ("a", "b")]
        self.assertEqual(users, [3, 5])

    def test_idOfANameIsTaken(self):
        """A name whose id an arbiter gave to another one gets a new id."""
        self.core.ask(self.core.login("ann"), Logout())
        self.core.arbiters(Arbiter.THERE)
        self.core.verified("bob", 1)
        self.core.arbiters(Arbiter.AWAY)
        self.assertEqual(self.core.user(self.core.login("ann")), 2)
        self.assertEqual(self.core.state.names, {"ann": 2})

    def test_namesOfArbitersAreNotRemembered(self):
        """The table of names holds those that the core itself gave ids to."""
        ann = self.core.login("ann")
        self.core.ask(ann, Logout())
        self.core.arbiters(Arbiter.THERE)
        for session in (
            self.core.verified("ann", 77),
            self.core.verified("bob", 78),
        ):
            self.core.ask(session, Logout())
        self.assertEqual(self.core.state.names, {"ann": 1})
        self.assertEqual(list(self.core.state.offline), ["ann"])

    def test_sameNameSameId(self):
        """An arbiter who gives a name the id that it had is of one mind with us."""
        self.core.ask(self.core.login("ann"), Logout())
        self.core.arbiters(Arbiter.THERE)
        session = self.core.verified("ann", 1)
        self.assertEqual(list(self.core.state.offline), [])
        self.core.ask(session, Logout())
        self.assertEqual(list(self.core.state.offline), ["ann"])
