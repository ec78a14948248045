"""Control codes: of business servers, and of clients with a verdict."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    Answer,
    OnUserInfoControl,
    OnUserLogoutActionEx,
    UserInfoControl,
    Verdict,
)
from anychat.codes import ResultCode, UserState
from anychat.core.commands import ControlJudged
from anychat.core.effects import (
    AskUserInfoControl,
    EndSession,
    Reply,
    Send,
    ShowBlocked,
)
from anychat.core.hall import Hall
from anychat.core.people import MAX_CONTROLS
from anychat.core.turn import Decision
from anychat.messages import (
    Logout,
    QueryUserState,
    RenewStreams,
    Result,
    SetSDKOption,
    UserInfoCommand,
)
from anychat.messages import UserInfoControl as ClientControl
from test.core.driver import DEMO, Driver

OK = ResultCode.SUCCESS


class PeopleTestCase(SynchronousTestCase):
    """Ann (1) and Ben (2) are signed in."""

    def setUp(self):
        self.core = Driver()
        self.ann, self.ben = self.core.login("ann"), self.core.login("ben")

    def control(self, user_id, code, wparam=0, lparam=0, text=""):
        """A business server's control code; effects and answer's code."""
        call = UserInfoControl(user_id, code, wparam, lparam, text)
        effects, answer = self.core.call(call)
        return effects, answer.code

    def judge(self, asked, code=OK):
        """The verdict on a question; the effects."""
        return self.core.run(
            ControlJudged(asked.session, asked.request, asked.question, Verdict(code))
        )


class BusinessControlTests(PeopleTestCase):
    """UserInfoControl of a business server."""

    def test_kickOut(self):
        """The session ends with 211, and everybody is told so."""
        self.core.told.clear()
        effects, code = self.control(1, 1)
        self.assertEqual(code, OK)
        self.assertIn(EndSession(self.ann, ResultCode.KICKOUT), effects)
        self.assertEqual(self.core.told, [OnUserLogoutActionEx(1, ResultCode.KICKOUT)])
        self.assertNotIn(1, self.core.state.users)
        self.assertEqual(self.control(1, 1), ([], ResultCode.INVALID_USERID))

    def test_kickOutOfRoom(self):
        """The others in the room see a user go who is kicked out."""
        self.core.enter(self.ann)
        self.core.enter(self.ben)
        effects, _ = self.control(1, 1)
        (left,) = [
            effect
            for effect in effects
            if isinstance(effect, Send) and self.ben in effect.sessions
        ]
        self.assertEqual(
            (left.message.entered, left.message.member.user_id), (False, 1)
        )

    def test_keysOfTheRoom(self):
        """Who publishes where one is kicked out is to take new keys; nobody else."""
        cat, dan = self.core.login("cat"), self.core.login("dan")
        for session, room in ((self.ann, 1), (self.ben, 1), (cat, 1), (dan, 2)):
            self.core.enter(session, room)
        for session in (self.ann, self.ben, dan):
            self.core.publish(session)
        effects, _ = self.control(1, 1)
        renewed = Send((self.ben,), RenewStreams())
        self.assertIn(renewed, effects)
        self.assertGreater(
            effects.index(renewed),
            effects.index(EndSession(self.ann, ResultCode.KICKOUT)),
        )
        effects, _ = self.control(4, 1)
        self.assertFalse(
            [e for e in effects if getattr(e, "message", 0) == RenewStreams()]
        )
        self.assertNotIn(
            RenewStreams(),
            [getattr(e, "message", None) for e in self.core.ask(cat, Logout())],
        )

    def test_ofTheApplication(self):
        """From 100 up it reaches the client, with its words as AnyChat's ints."""
        self.assertEqual(
            self.control(2, 100, 2**32 - 1, 2**31, "hey"),
            (
                [Send((self.ben,), UserInfoCommand(0, 100, -1, -(2**31), "hey"))],
                OK,
            ),
        )
        self.assertEqual(self.control(99, 100), ([], ResultCode.INVALID_USERID))

    def test_blocking(self):
        """Addresses by text, or that of a user who is there."""
        for code, text, user_id, pattern, blocked in (
            (4, "192.0.2.*", 99, "192.0.2.*", True),
            (4, "", 1, "192.0.2.7", True),
            (5, "192.0.2.7", 0, "192.0.2.7", False),
        ):
            self.assertEqual(
                self.control(user_id, code, text=text),
                ([ShowBlocked(pattern, blocked)], OK),
            )
        self.assertEqual(self.control(99, 4), ([], ResultCode.INVALID_USERID))
        self.assertEqual(list(self.core.state.blocked), ["192.0.2.*"])
        self.assertEqual(list(self.core.state.users), [1, 2])

    def test_unknown(self):
        """20 for codes that mean nothing."""
        for code in (0, 3, 8, 19, 25, 99, -1):
            self.assertEqual(self.control(1, code), ([], ResultCode.FUNCNOTALLOW))


class ClientControlTests(PeopleTestCase):
    """UserInfoControl of a client."""

    def ask(self, user_id, code, *values, request=7):
        """A control code that is put to the arbiter; the effect."""
        wparam, lparam, text = (*values, *(0, 0, "")[len(values) :])
        message = ClientControl(user_id, code, wparam, lparam, text)
        (asked,) = self.core.ask(self.ann, message, request=request)
        self.assertIsInstance(asked, AskUserInfoControl)
        return asked

    def test_passedOn(self):
        """With 0 it reaches the other user, and then only."""
        asked = self.ask(2, 100, 1, -2, "hey")
        self.assertEqual(asked.question, OnUserInfoControl(1, 2, 100, 1, -2, "hey"))
        self.assertEqual(
            self.judge(asked),
            [
                Reply(self.ann, 7, Result(OK)),
                Send((self.ben,), UserInfoCommand(1, 100, 1, -2, "hey")),
            ],
        )
        self.assertEqual(self.judge(asked), [])

    def test_refused(self):
        """Any other code is the answer, and nothing is passed on."""
        for number in (206, 207, 213, 4711):
            asked = self.ask(2, 100)
            self.assertEqual(
                self.judge(asked, ResultCode(number)),
                [Reply(self.ann, 7, Result(ResultCode(number)))],
            )

    def test_toOneself(self):
        """To the business server or to oneself the verdict is all that comes."""
        for user_id, meant in ((0, 0), (-1, 1), (1, 1)):
            asked = self.ask(user_id, 100)
            self.assertEqual(asked.question.user_id, meant)
            self.assertEqual(self.judge(asked), [Reply(self.ann, 7, Result(OK))])

    def test_kickOut(self):
        """Both ways to have somebody kicked out need the arbiter's word."""
        for message in (ClientControl(2, 1, 0, 0, ""), SetSDKOption(110, 2)):
            (asked,) = self.core.ask(self.ann, message)
            self.assertEqual(asked.question, OnUserInfoControl(1, 2, 1, 0, 0, ""))
            effects = self.judge(asked, ResultCode.FORBIDDEN)
            self.assertEqual(len(effects), 1)
            (asked,) = self.core.ask(self.ann, message)
            effects = self.judge(asked)
            self.assertIn(EndSession(self.ben, ResultCode.KICKOUT), effects)
            self.ben = self.core.login("ben")

    def test_wrong(self):
        """205 users who are not there, 21 oneself, 20 codes that are none."""
        for code, values in (
            (205, (99, 100)),
            (205, (99, 1)),
            (21, (1, 1)),
            (21, (-1, 1)),
            (21, (0, 1)),
            (20, (2, 0)),
            (20, (2, 2)),
            (20, (2, 4)),
            (20, (2, 9)),
            (20, (2, 99)),
            (213, (2, 8)),
        ):
            message = ClientControl(*values, 0, 0, "")
            self.assertEqual(self.core.code(self.ann, message), code, values)

    def test_goneMeanwhile(self):
        """205 if the other user is gone by then; nothing if the sender is."""
        asked = self.ask(2, 100)
        self.core.ask(self.ben, Logout())
        self.assertEqual(
            self.judge(asked),
            [Reply(self.ann, 7, Result(ResultCode.INVALID_USERID))],
        )
        asked = self.ask(0, 100)
        self.core.ask(self.ann, Logout())
        self.assertEqual(self.judge(asked), [])

    def test_tooMany(self):
        """23 when so many wait; a verdict makes room."""
        asked = [self.ask(2, 100, request=n) for n in range(1, MAX_CONTROLS + 1)]
        message = ClientControl(2, 100, 0, 0, "")
        self.assertEqual(self.core.code(self.ann, message, request=99), 23)
        self.judge(asked[0])
        self.ask(2, 100, request=99)

    def test_withoutAnswer(self):
        """Without a request's number there is no way back: nothing is asked."""
        message = ClientControl(2, 100, 0, 0, "")
        self.assertEqual(self.core.ask(self.ann, message, request=0), [])
        self.assertEqual(self.core.state.sessions[self.ann].controls, {})

    def test_snapshot(self):
        """What waits is in a snapshot, without its text."""
        asked = self.ask(2, 100, 0, 0, "secret words")
        self.ask(2, 100, request=8)
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            self.assertNotIn("secret words", repr(change))
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)
        command = ControlJudged(self.ann, 7, asked.question, Verdict(OK))
        self.assertNotEqual(copy.decide(command, 0.0), Decision())


class PictureTests(PeopleTestCase):
    """One's own picture, turned."""

    def state(self, kind):
        """A state of Ann's, as Ben sees it."""
        return self.core.answer(self.ben, QueryUserState(1, kind)).number

    def test_turned(self):
        """Others learn by how much, and whether it is mirrored."""
        self.assertEqual(self.state(UserState.VIDEO_ROTATION), 0)
        for user_id, degrees, mirrored in ((-1, 90, 1), (1, 270, 0)):
            message = ClientControl(user_id, 8, degrees, mirrored, "")
            self.assertEqual(self.core.code(self.ann, message), OK)
            self.assertEqual(self.state(UserState.VIDEO_ROTATION), degrees)
            self.assertEqual(self.state(UserState.VIDEO_MIRROR), mirrored)

    def test_wrong(self):
        """Only by right angles."""
        for degrees, mirrored in ((45, 0), (-90, 0), (360, 0), (90, 2)):
            message = ClientControl(-1, 8, degrees, mirrored, "")
            self.assertEqual(self.core.code(self.ann, message), 21)

    def test_answer(self):
        """Business servers are answered with plain codes."""
        self.assertEqual(
            self.core.call(UserInfoControl(1, 20, 1, 0, "g"))[1], Answer(OK)
        )
