"""What the licence lets the core do."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import Arbiter, Verdict
from anychat.codes import DeviceType, ResultCode, SignatureScheme, VideoCallEvent
from anychat.core.changes import TermsSet
from anychat.core.commands import (
    CallJudged,
    LinkSignedLogin,
    RoomEntryPrepared,
    TermsChanged,
)
from anychat.core.effects import (
    AskVideoCall,
    EndSession,
    QuestionClosed,
    RefuseLogin,
    StartSession,
)
from anychat.messages import EnterRoom, LoginEx, VideoCallControl
from anychat.terms import DEMO_TERMS, DEMO_USERS, Terms
from test.core.driver import DEMO, Driver

FULL = Terms(max_users=2)
EXPIRED = Terms(login_refusal=ResultCode.CERTVERIFYFAILED)
OVER = Terms(
    login_refusal=ResultCode.CERTFAILSECOND, entry_refusal=ResultCode.CERTFAILSECOND
)
THERE = Arbiter.THERE


def sign_in(core, user_id, string_id=""):
    """The effects of a signed login, each with a signature of its own."""
    message = LoginEx(
        "ann", user_id, string_id, "", 1, SignatureScheme.ED25519, b"s", ""
    )
    number = core.fresh()
    return core.run(
        LinkSignedLogin(
            *(number, 1, message, core.fresh(), "192.0.2.7", DeviceType.LINUX),
            *(True, ResultCode.SUCCESS, b"%d" % number, 60.0),
        )
    )


class TermsTests(SynchronousTestCase):
    """`TermsChanged`."""

    def test_told(self):
        """Other terms are a change, the same ones are not."""
        core = Driver()
        core.terms(FULL)
        core.terms(FULL)
        self.assertEqual(core.journal, [TermsSet(FULL)])
        self.assertEqual(core.state.terms, FULL)

    def test_fromTheStart(self):
        """The settings say what holds until then."""
        core = Driver(replace(DEMO, terms=OVER))
        self.assertEqual(core.refused("ann"), ResultCode.CERTFAILSECOND)

    def test_nobodyIsCut(self):
        """Whatever the terms become, who is there stays: held, and in a call, too."""
        core = Driver()
        ann, ben, cat = core.together("ann", "ben", "cat")
        core.lose(cat)
        before = dict(core.state.sessions), dict(core.state.rooms)
        for terms in Terms(max_users=1), EXPIRED, OVER:
            decision = core.hall.decide(TermsChanged(terms), core.now)
            self.assertEqual(decision.effects, ())
            core.terms(terms)
            self.assertEqual(before, (core.state.sessions, core.state.rooms))
        self.assertEqual(core.resume(cat), [])
        self.assertNotIn(cat, core.state.held)
        self.assertEqual(core.state.sessions[ann].room_id, 1)
        self.assertEqual(core.state.sessions[ben].room_id, 1)


class SeatTests(SynchronousTestCase):
    """The number of users."""

    def test_beyond(self):
        """The login beyond the number gets 104, whoever it is; the others stay."""
        core = Driver()
        core.login("ann")
        core.guest()
        core.terms(FULL)
        self.assertEqual(core.refused("cat"), ResultCode.CONNECT_OVERFLOW)
        self.assertEqual(core.refused("guest", ""), ResultCode.CONNECT_OVERFLOW)
        self.assertEqual(len(core.state.sessions), 2)

    def test_seatIsFree(self):
        """A seat is free again when a session ends, not while it is held."""
        core = Driver()
        core.login("ann")
        ben = core.login("ben")
        core.terms(FULL)
        core.lose(ben)
        self.assertEqual(core.refused("cat"), ResultCode.CONNECT_OVERFLOW)
        core.wait(core.hall.settings.hold_time)
        core.login("cat")

    def test_inPlaceOfOnesOwn(self):
        """Who signs in again takes the seat of his own session."""
        core = Driver()
        core.login("ann")
        core.login("ben")
        core.terms(FULL)
        self.assertIsInstance(core.try_login("ann")[-1], StartSession)
        self.assertEqual(len(core.state.sessions), 2)
        strict = Driver(replace(DEMO, close_front_link=False, terms=FULL))
        strict.login("ann")
        strict.login("ben")
        self.assertEqual(strict.refused("ann"), ResultCode.ALREADY_LOGIN)

    def test_demo(self):
        """Demo mode has 50 seats and says so."""
        core = Driver(replace(DEMO, terms=DEMO_TERMS))
        for number in range(DEMO_USERS):
            core.login(f"user{number}")
        self.assertEqual(core.refused("one more"), ResultCode.CONNECT_FUNCLIMIT)

    def test_asking(self):
        """A full server has no password looked at, but for one who is there."""
        core = Driver(replace(DEMO, demo_mode=False, terms=FULL))
        core.arbiters(THERE)
        core.verified("ann", 1)
        core.verified("ben", 2)
        self.assertEqual(core.refused("cat"), ResultCode.CONNECT_OVERFLOW)
        again = core.asked("ann")
        self.assertIsInstance(core.verify(again, 1)[-1], StartSession)

    def test_granting(self):
        """The last seat goes to the first verdict."""
        core = Driver(replace(DEMO, demo_mode=False, terms=Terms(max_users=1)))
        core.arbiters(THERE)
        ann, ben = core.asked("ann"), core.asked("ben")
        self.assertIsInstance(core.verify(ben, 2)[-1], StartSession)
        (refusal,) = core.verify(ann, 1)
        assert isinstance(refusal, RefuseLogin)
        self.assertEqual(refusal.code, ResultCode.CONNECT_OVERFLOW)
        self.assertEqual(core.state.verifying, {})

    def test_otherSpelling(self):
        """With a seat to spare, the verdict says whose session is replaced."""
        core = Driver(replace(DEMO, demo_mode=False, terms=FULL))
        core.arbiters(THERE)
        core.verified("ann", 1)
        again = core.asked("ANN")
        core.verified("ben", 2)
        self.assertIsInstance(core.verify(again, 1)[-1], StartSession)

    def test_signed(self):
        """Signed logins need seats as well, by number and by string id."""
        core = Driver(replace(DEMO, terms=Terms(max_users=1)))
        self.assertIsInstance(sign_in(core, 7)[-1], StartSession)
        for user_id, string_id in ((8, ""), (-1, "eve")):
            (refusal,) = sign_in(core, user_id, string_id)
            self.assertEqual(refusal.code, ResultCode.CONNECT_OVERFLOW)
        self.assertEqual(len(core.state.signatures), 1)
        self.assertIsInstance(sign_in(core, 7)[-1], StartSession)


class RefusalTests(SynchronousTestCase):
    """A licence that is over."""

    def test_logins(self):
        """Nobody new signs in, not even in place of his own session, which stays."""
        core = Driver()
        ann = core.login("ann")
        core.terms(EXPIRED)
        for name, password in (("ben", "x"), ("guest", ""), ("ann", "x")):
            self.assertEqual(core.refused(name, password), ResultCode.CERTVERIFYFAILED)
        (refusal,) = sign_in(core, 7)
        self.assertEqual(refusal.code, ResultCode.CERTVERIFYFAILED)
        self.assertIn(ann, core.state.sessions)

    def test_whileAsked(self):
        """It counts when the verdict comes."""
        core = Driver(replace(DEMO, demo_mode=False))
        core.arbiters(THERE)
        ann = core.asked("ann")
        core.terms(EXPIRED)
        (refusal,) = core.verify(ann, 1)
        self.assertEqual(refusal.code, ResultCode.CERTVERIFYFAILED)
        ben = core.refused("ben")
        self.assertEqual(ben, ResultCode.CERTVERIFYFAILED)
        self.assertEqual(core.verify(ann, 1), [QuestionClosed(ann)])

    def test_goOn(self):
        """For a while who is signed in may do all things."""
        core = Driver()
        ann, ben = core.login("ann"), core.login("ben")
        core.terms(EXPIRED)
        core.enter(ann)
        self.assertEqual(core.state.sessions[ann].room_id, 1)
        self.assertEqual(self.ring(core, ann, ben), ResultCode.SUCCESS)

    def test_entries(self):
        """Later nobody enters a room; who is in one stays, and may leave."""
        core = Driver()
        ann, ben = core.login("ann"), core.login("ben")
        core.enter(ann)
        core.terms(OVER)
        code = core.code(ben, EnterRoom(1))
        self.assertEqual(code, ResultCode.CERTFAILSECOND)
        self.assertEqual(core.state.sessions[ann].room_id, 1)

    def test_entryWhileAsked(self):
        """It counts when the verdict on an entry comes."""
        core = Driver()
        ann = core.login("ann")
        core.arbiters(admitter=THERE)
        core.enter(ann)
        core.terms(OVER)
        (reply,) = core.run(RoomEntryPrepared(ann, 7, Verdict(ResultCode.SUCCESS)))
        self.assertEqual(reply.message.code, ResultCode.CERTFAILSECOND)

    def test_calls(self):
        """Nobody calls; a call that rings is answered, and has its room."""
        core = Driver()
        ann, ben, cat, dan = map(core.login, ("ann", "ben", "cat", "dan"))
        self.assertEqual(self.ring(core, ann, ben), ResultCode.SUCCESS)
        core.terms(OVER)
        self.assertEqual(self.ring(core, cat, dan), ResultCode.CERTFAILSECOND)
        core.ask(ben, self.step(core, VideoCallEvent.REPLY, ann))
        (room_id,) = core.state.call_rooms
        for party in ann, ben:
            core.enter(party, room_id)
            self.assertEqual(core.state.sessions[party].room_id, room_id)
        code = core.code(cat, EnterRoom(room_id))
        self.assertIn(code, (ResultCode.ROOM_REJECT, ResultCode.CERTFAILSECOND))

    def test_callWhileAsked(self):
        """It counts when the verdict on a call comes."""
        core = Driver()
        ann, ben = core.login("ann"), core.login("ben")
        core.arbiters(judges_calls=True)
        (asked,) = core.ask(ann, self.step(core, VideoCallEvent.REQUEST, ben))
        assert isinstance(asked, AskVideoCall)
        core.terms(OVER)
        reply, _ = core.run(
            CallJudged(ann, 7, asked.question, Verdict(ResultCode.SUCCESS))
        )
        self.assertEqual(reply.message.code, ResultCode.CERTFAILSECOND)
        self.assertEqual(core.state.calls, {})

    def step(self, core, event, target):
        """A step of a call."""
        return VideoCallControl(event, core.user(target), ResultCode.SUCCESS, 0, 0, "")

    def ring(self, core, caller, callee):
        """Call somebody; the code of the answer."""
        effects = core.ask(caller, self.step(core, VideoCallEvent.REQUEST, callee))
        self.assertFalse(any(isinstance(e, EndSession) for e in effects))
        return effects[0].message.code
