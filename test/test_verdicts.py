"""What a Python program may answer."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import PrepareEnterRoom, Verdict, VerifyUser
from anychat.codes import ResultCode
from anychat.verdicts import (
    TOO_LATE,
    UNAVAILABLE,
    UserVerdict,
    WrongValue,
    verdict_of,
)

LOGIN = VerifyUser("ann", "secret")
ENTRY = PrepareEnterRoom(7, 1, "", "")


class Odd:
    """Can be compared with nothing, as an array of numbers cannot."""

    def __eq__(self, other):
        """Not so."""
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None


#: Question, value -> what is complained about.
WRONG = [
    (LOGIN, None, "a NoneType was returned where a UserVerdict or a code"),
    (LOGIN, 0, "0 was returned where a UserVerdict"),
    (LOGIN, False, "a bool was returned where a UserVerdict"),
    (LOGIN, True, "a bool was returned"),
    (LOGIN, "ann", "a str was returned"),
    (LOGIN, Odd(), "a Odd was returned"),
    (LOGIN, (0, 7, 1, "Ann"), "a tuple was returned"),
    (LOGIN, -1, "-1 was returned, codes are 1 to 4294967295"),
    (LOGIN, 2**32, "4294967296 was returned"),
    (LOGIN, UserVerdict("7"), "the user_id is a str"),
    (LOGIN, UserVerdict(True), "the user_id is a bool"),
    (LOGIN, UserVerdict(7, None), "the level is a NoneType"),
    (LOGIN, UserVerdict(7, -1), "the level is -1, allowed is 0"),
    (LOGIN, UserVerdict(7, 2**31), "the level is 2147483648"),
    (LOGIN, UserVerdict(7, 0, b"Ann"), "the nickname is a bytes"),
    (ENTRY, None, "a NoneType was returned where 0 or a code is wanted"),
    (ENTRY, False, "a bool was returned"),
    (ENTRY, True, "a bool was returned"),
    (ENTRY, UserVerdict(7), "a UserVerdict was returned"),
    (ENTRY, 0.0, "a float was returned"),
    (ENTRY, -1, "-1 was returned, codes are 0 to 4294967295"),
]

#: The same in the spelling of plug-ins.
WRONG_TUPLES = [
    (LOGIN, UserVerdict(7), "a UserVerdict was returned where (0, user_id, level"),
    (LOGIN, 0, "0 was returned where (0, user_id, level, nickname) or a code"),
    (LOGIN, (), "a tuple was returned"),
    (LOGIN, (0,), "0 was returned"),
    (LOGIN, (False, 7), "a bool was returned"),
    (LOGIN, (None, 7), "a NoneType was returned"),
    (LOGIN, (0, 7, 1, "Ann", 5), "a tuple was returned"),
    (LOGIN, (0, "7"), "the user_id is a str"),
    (LOGIN, (0, 7, -1), "the level is -1"),
    (ENTRY, (0,), "a tuple was returned where 0 or a code"),
]


class VerdictTests(SynchronousTestCase):
    """Nobody gets in by accident."""

    def test_user(self):
        """A user with all there is to say."""
        verdict = verdict_of(LOGIN, UserVerdict(7, 3, "Ann"))
        self.assertEqual(verdict, Verdict(ResultCode.SUCCESS, 7, 3, "Ann"))

    def test_tuples(self):
        """A user as plug-ins spell it, and refusals that say too much."""
        for value, verdict in (
            ((0, 7, 3, "Ann"), Verdict(ResultCode.SUCCESS, 7, 3, "Ann")),
            ((0, 7), Verdict(ResultCode.SUCCESS, 7)),
            ((200, 7, 3, "Ann"), Verdict(ResultCode.CERTIFY_FAIL)),
            ((200, None), Verdict(ResultCode.CERTIFY_FAIL)),
            (200, Verdict(ResultCode.CERTIFY_FAIL)),
        ):
            self.assertEqual(verdict_of(LOGIN, value, tuples=True), verdict)

    def test_codes(self):
        """Codes, of AnyChat and of the application, are passed on."""
        for code in (200, ResultCode.ACCOUNT_LOCK, 777, 2**32 - 1):
            self.assertEqual(verdict_of(LOGIN, code).code, code)
            self.assertEqual(verdict_of(ENTRY, code).code, code)
        self.assertEqual(verdict_of(ENTRY, 0), Verdict(ResultCode.SUCCESS))

    def test_wrong(self):
        """What is no answer is told as such, and the user is not let in."""
        for rows, tuples in ((WRONG, False), (WRONG_TUPLES, True)):
            for question, value, text in rows:
                error = self.assertRaises(
                    WrongValue, verdict_of, question, value, tuples=tuples
                )
                self.assertIn(text, str(error))
                self.assertEqual(error.verdict, UNAVAILABLE)

    def test_userId(self):
        """An id that cannot be is answered with 205, as the core would."""
        for user_id in (0, -1, 2**31, 2**70):
            error = self.assertRaises(
                WrongValue, verdict_of, LOGIN, UserVerdict(user_id)
            )
            self.assertEqual(error.verdict.code, ResultCode.INVALID_USERID)
            self.assertIn(f"the user_id is {user_id}", str(error))

    def test_nickname(self):
        """A nickname that cannot be is told, and the login's name stands for it."""
        for nickname in ("x" * 129, "\ud800", "a\nb\x00"):
            error = self.assertRaises(
                WrongValue, verdict_of, LOGIN, UserVerdict(7, 2, nickname)
            )
            self.assertIn("the nickname has ", str(error))
            self.assertNotIn("\n", str(error))
            self.assertEqual(error.verdict, Verdict(ResultCode.SUCCESS, 7, 2))
        for nickname in ("", "  "):
            self.assertEqual(
                verdict_of(LOGIN, UserVerdict(7, 0, nickname)).nickname, ""
            )

    def test_faults(self):
        """A fault is "unavailable", never "wrong password"."""
        self.assertEqual((UNAVAILABLE.code, TOO_LATE.code), (206, 207))

    @settings(deadline=None, max_examples=200)
    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
            lambda inner: st.lists(inner, max_size=5).map(tuple),
            max_leaves=6,
        ),
        st.booleans(),
    )
    def test_anything(self, value, tuples):
        """Whatever comes is a verdict or a `WrongValue`, and 0 needs an id."""
        for question in (LOGIN, ENTRY):
            try:
                verdict = verdict_of(question, value, tuples=tuples)
            except WrongValue as error:
                verdict = error.verdict
            if verdict.code == 0:
                self.assertEqual(bool(verdict.user_id), question is LOGIN)
