"""What a program may answer."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.business.verdict import (
    TOO_LATE,
    UNAVAILABLE,
    UserVerdict,
    WrongValue,
    verdict_of,
)
from anychat.business_messages import PrepareEnterRoom, Verdict, VerifyUser
from anychat.codes import ResultCode

LOGIN = VerifyUser("ann", "secret")
ENTRY = PrepareEnterRoom(7, 1, "", "")

#: Question, value -> what is complained about.
WRONG = [
    (LOGIN, None, "a NoneType was returned where a UserVerdict or a code"),
    (LOGIN, 0, "0 was returned where a UserVerdict"),
    (LOGIN, False, "False was returned where a UserVerdict"),
    (LOGIN, True, "a bool was returned"),
    (LOGIN, "ann", "a str was returned"),
    (LOGIN, (7, 1, "Ann"), "a tuple was returned"),
    (LOGIN, -1, "-1 was returned, codes are 0 to 4294967295"),
    (LOGIN, 2**32, "4294967296 was returned"),
    (LOGIN, UserVerdict("7"), "user_id of the UserVerdict is a str"),
    (LOGIN, UserVerdict(True), "user_id of the UserVerdict is a bool"),
    (LOGIN, UserVerdict(7, None), "level of the UserVerdict is a NoneType"),
    (LOGIN, UserVerdict(7, -1), "level of the UserVerdict is -1, allowed is 0"),
    (LOGIN, UserVerdict(7, 2**31), "level of the UserVerdict is 2147483648"),
    (LOGIN, UserVerdict(7, 0, b"Ann"), "nickname of the UserVerdict is a bytes"),
    (ENTRY, None, "a NoneType was returned where 0 or a code is wanted"),
    (ENTRY, False, "a bool was returned"),
    (ENTRY, True, "a bool was returned"),
    (ENTRY, UserVerdict(7), "a UserVerdict was returned"),
    (ENTRY, 0.0, "a float was returned"),
]


class VerdictTests(SynchronousTestCase):
    """Nobody gets in by accident."""

    def test_user(self):
        """A user with all there is to say."""
        verdict = verdict_of(LOGIN, UserVerdict(7, 3, "Ann"))
        self.assertEqual(verdict, Verdict(ResultCode.SUCCESS, 7, 3, "Ann"))

    def test_codes(self):
        """Codes, of AnyChat and of the application, are passed on."""
        for code in (200, ResultCode.ACCOUNT_LOCK, 777, 2**32 - 1):
            self.assertEqual(verdict_of(LOGIN, code).code, code)
            self.assertEqual(verdict_of(ENTRY, code).code, code)
        self.assertEqual(verdict_of(ENTRY, 0), Verdict(ResultCode.SUCCESS))

    def test_wrong(self):
        """What is no answer is told as such, and the user is not let in."""
        for question, value, text in WRONG:
            error = self.assertRaises(WrongValue, verdict_of, question, value)
            self.assertIn(text, str(error))
            self.assertEqual(error.verdict, UNAVAILABLE)

    def test_userId(self):
        """An id that cannot be is answered with 205, as the core would."""
        for user_id in (0, -1, 2**31, 2**70):
            error = self.assertRaises(
                WrongValue, verdict_of, LOGIN, UserVerdict(user_id)
            )
            self.assertEqual(error.verdict.code, ResultCode.INVALID_USERID)
            self.assertIn(f"user_id of the UserVerdict is {user_id}", str(error))

    def test_nickname(self):
        """A nickname that cannot be sent is left out."""
        for nickname in ("x" * 129, "\ud800"):
            self.assertEqual(
                verdict_of(LOGIN, UserVerdict(7, 0, nickname)).nickname, ""
            )

    def test_faults(self):
        """A fault is "unavailable", never "wrong password"."""
        self.assertEqual((UNAVAILABLE.code, TOO_LATE.code), (206, 207))
