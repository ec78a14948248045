"""Logins with a signature: who gets in, once, and as whom."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import Arbiter, OnUserLoginAction, QueryInfoFromServer
from anychat.codes import DeviceType, ResultCode, SignatureScheme
from anychat.core.commands import LinkSignedLogin
from anychat.core.effects import EndSession, RefuseLogin, StartSession
from anychat.core.hall import Hall
from anychat.core.settings import HallSettings
from anychat.ids import LinkId, SessionId
from anychat.messages import LoginEx, Logout
from test.core.driver import DEMO, Driver

LICENSED = HallSettings(
    demo_mode=False,
    allow_guest_login=False,
    close_front_link=True,
    auto_add_room=True,
    max_users_per_room=10,
    verifier=Arbiter.AWAY,
    admitter=Arbiter.AWAY,
)


class SignedTestCase(SynchronousTestCase):
    """A licensed server without business server."""

    settings = LICENSED

    def setUp(self):
        self.core = Driver(self.settings)

    def tearDown(self):
        """A snapshot has everything."""
        copy = Hall(self.core.hall.settings)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)

    def attempt(self, user_id=-1, string_id="", name="Ann", *, digest=None, **more):
        """The effects of a login with a signature that is right."""
        checked = more.pop("checked", ResultCode.SUCCESS)
        fresh = self.core.fresh()
        return self.core.run(
            LinkSignedLogin(
                link=LinkId(fresh),
                request=1,
                message=replace(
                    LoginEx(
                        name,
                        user_id,
                        string_id,
                        "APP",
                        1,
                        SignatureScheme.ED25519,
                        b"s",
                        "",
                    ),
                    **more,
                ),
                session=SessionId(self.core.fresh()),
                address="192.0.2.7",
                device=DeviceType.LINUX,
                secure=True,
                checked=checked,
                digest=digest or b"%d" % fresh,
                remaining=600.0,
            )
        )

    def login(self, *values, **more):
        """The session of a login that is granted."""
        started = self.attempt(*values, **more)[-1]
        self.assertIsInstance(started, StartSession)
        return started.session

    def refused(self, *values, **more):
        """The code of a login that is refused, which has no other effect."""
        (effect,) = self.attempt(*values, **more)
        self.assertIsInstance(effect, RefuseLogin)
        return effect.code


class GrantedTests(SignedTestCase):
    """Who gets in, and as whom."""

    def test_withId(self):
        """The signature's id is the user's; nobody is asked."""
        self.core.arbiters(Arbiter.THERE, Arbiter.THERE)
        session = self.core.state.sessions[self.login(7, "u7", "Ann")]
        self.assertEqual(
            (session.user_id, session.string_id, session.name, session.nickname),
            (7, "u7", "Ann", "Ann"),
        )
        self.assertTrue(session.signed)
        self.assertEqual(self.core.told, [OnUserLoginAction(7, "Ann", 0, "192.0.2.7")])

    def test_withStringId(self):
        """A string id gets a number, and keeps it."""
        first = self.login(-1, "u7")
        user_id = self.core.user(first)
        self.assertGreater(user_id, 0)
        self.assertNotEqual(self.core.user(self.login(-1, "u8")), user_id)
        self.core.ask(first, Logout())
        self.assertEqual(self.core.user(self.login(-1, "u7", "Other")), user_id)

    def test_again(self):
        """The same user's new login ends the old session."""
        for values in ((7, "u7"), (-1, "u8")):
            first = self.login(*values)
            effects = self.attempt(*values)
            self.assertIn(EndSession(first, ResultCode.LOGIN_NEWLOGIN), effects)

    def test_earlierWins(self):
        """201 with CloseFrontLink=0, and the signature is not used up."""
        self.core = Driver(replace(LICENSED, close_front_link=False))
        first = self.login(7)
        self.assertEqual(self.refused(7, digest=b"d"), ResultCode.ALREADY_LOGIN)
        self.core.ask(first, Logout())
        self.login(7, digest=b"d")

    def test_queries(self):
        """Both ids lead to each other and to the name."""
        self.login(7, "u7", "Ann")
        for kind, text, answer in (
            (1, "Ann", "7"),
            (2, "u7", "7"),
            (3, "7", "u7"),
            (4, "7", "Ann"),
            (5, "u7", "Ann"),
        ):
            self.assertEqual(
                self.core.call(QueryInfoFromServer(kind, text))[1].text, answer
            )


class RefusedTests(SignedTestCase):
    """Who does not get in."""

    def test_checked(self):
        """What the shell found wrong is the answer."""
        for number in (214, 215, 216, 218, 219, 220, 100305):
            code = ResultCode(number)
            self.assertEqual(self.refused(7, checked=code), code)
        self.assertEqual(self.core.journal, [])

    def test_usedTwice(self):
        """226, for anybody, until it is too old anyway."""
        session = self.login(7, digest=b"d")
        self.assertEqual(self.refused(7, digest=b"d"), ResultCode.SIGALREADYUSED)
        self.core.ask(session, Logout())
        self.core.wait(599.0)
        self.assertEqual(self.refused(8, digest=b"d"), ResultCode.SIGALREADYUSED)
        self.core.wait(1.0)
        self.assertEqual(self.core.state.signatures, {})
        self.assertIsNone(self.core.hall.next_timeout())

    def test_parameters(self):
        """219 for names that are none and parameters that are no object."""
        for more in (
            {"nickname": ""},
            {"nickname": "a\nb"},
            {"nickname": "x" * 129},
            {"local_address": "a\nb"},
            {"parameters": "x"},
            {"parameters": "[]"},
            {"parameters": "[" * 4000},
            {"parameters": "1"},
        ):
            self.assertEqual(self.refused(7, **more), ResultCode.SIGPARAMFAIL, more)
        self.login(7, parameters='{"objectflags": 2}')

    def test_otherUser(self):
        """205 where the id is another one's who is there, and the operator is told."""
        self.login(7, "u7", "Ann")
        (effect,) = self.attempt(7, "u8", "Eve")
        self.assertEqual(effect.code, ResultCode.INVALID_USERID)
        self.assertEqual(
            effect.reason,
            "the signature gives user Eve the id 7, which is that of Ann who is online",
        )


class DemoTests(SignedTestCase):
    """Beside users who sign in without a signature."""

    settings = DEMO

    def test_namesAndStringIds(self):
        """A name is no string id: nobody gets a signed user's id by a password."""
        signed = self.core.user(self.login(-1, "ann", "ann"))
        named = self.core.user(self.core.login("ann"))
        self.assertNotEqual(named, signed)
        self.assertEqual(self.refused(named, "ann"), ResultCode.INVALID_USERID)

    def test_idOfAName(self):
        """An id that a signature brings is not given to a name."""
        self.login(1)
        self.assertEqual(self.core.user(self.core.login("ben")), 2)

    def test_forgotten(self):
        """String ids are forgotten like names, the longest offline first."""
        self.core = Driver(replace(DEMO, max_names=2))
        for string_id in ("a", "b", "c"):
            self.core.ask(self.login(-1, string_id), Logout())
        self.assertEqual(len(self.core.state.names), 2)
        self.assertEqual(self.core.user(self.login(-1, "c")), 3)
        self.assertEqual(self.core.user(self.login(-1, "a")), 4)
