"""What follows of a licence and of what was found about it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import LicenceMode, ResultCode
from anychat.errors import LocalError
from anychat.licensing.findings import LicenceError
from anychat.licensing.judge import (
    END_OF_TIME,
    GRACE,
    LEAP,
    LEAP_TRIAL,
    SET_BACK,
    Memory,
    counted,
    judge,
    remember,
    resumed,
)
from anychat.licensing.memory import encode_memory
from anychat.licensing.status import DEMO_STATUS, Standing
from test.licensing.cases import (
    BAD,
    DAY,
    DOUBTFUL,
    EITHER,
    GOOD,
    HOUR,
    LICENCE,
    NOW,
    OTHER,
)

MISSING = LicenceError(ResultCode.TRANSFILE_ZEROLEN, "AnyChat.cer is not there")
MINUTE = HOUR / 60


class Case:
    """A server's checks, one after the other."""

    def __init__(self, memory=None):
        self.memory = memory or Memory()

    def check(self, read, findings=(), now=NOW, reckoned=None):
        """The status after one more check."""
        self.memory = remember(self.memory, read, findings, now, reckoned)
        return judge(read, findings, now, self.memory)

    def live(self, until):
        """Let all be well until a time, for long enough to believe the clock."""
        self.check(LICENCE, GOOD, until - LEAP_TRIAL)
        return self.check(LICENCE, GOOD, until)

    def restart(self, read, findings=GOOD, now=NOW):
        """The status after the first check of the next run."""
        self.memory = resumed(replace(self.memory, granted=None), read, findings, now)
        return self.check(read, findings, now)


def refusals(status):
    """What new logins, and new entries and calls, hear."""
    return status.terms.login_refusal, status.terms.entry_refusal


class JudgeTests(SynchronousTestCase):
    """`judge`, with `remember` before it."""

    def setUp(self):
        self.case = Case()

    def test_valid(self):
        """A licence in order grants what it says."""
        status = self.case.check(LICENCE, GOOD)
        self.assertEqual(status.standing, Standing.VALID)
        self.assertEqual((status.code, status.warning), (0, 0))
        self.assertEqual(refusals(status), (0, 0))
        self.assertEqual(status.terms.mode, LicenceMode.LICENSED)
        self.assertEqual(status.terms.max_users, 20)
        self.assertEqual(status.terms.features, {"distributed"})
        self.assertEqual(status.customer, "Example Bank")
        self.assertEqual(status.days_left, 214)
        self.assertEqual(status.findings, GOOD)

    def test_missing(self):
        """Without a licence there are no logins, and the code says why."""
        status = self.case.check(MISSING)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.code, ResultCode.TRANSFILE_ZEROLEN)
        self.assertEqual(refusals(status), (28, 28))
        self.assertEqual(status.terms.features, set())

    def test_unbound(self):
        """A licence for another host is none, unless grace was given before."""
        status = self.case.check(LICENCE, BAD)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.code, ResultCode.CERTFILE_BINDIPFAIL)
        self.assertEqual(refusals(status), (28, 28))
        self.assertEqual(
            self.case.check(LICENCE, BAD, NOW + DAY).standing, Standing.REFUSED
        )

    def test_putRight(self):
        """A licence that is put there, or fits at last, is taken up."""
        self.case.check(MISSING)
        self.case.check(LICENCE, BAD, NOW + MINUTE)
        status = self.case.check(LICENCE, GOOD, NOW + 2 * MINUTE)
        self.assertEqual(status.standing, Standing.VALID)

    def test_anyBinding(self):
        """Where any binding will do, one that matches is enough, and none is not."""
        self.assertEqual(self.case.check(EITHER, BAD).standing, Standing.VALID)
        status = Case().check(EITHER, (DOUBTFUL[0], BAD[1]))
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.code, ResultCode.CERTFILE_DNSFAIL)

    def test_noBinding(self):
        """A licence that is bound to nothing holds anywhere."""
        for match_all in True, False:
            grant = replace(LICENCE.grant, bindings=(), match_all=match_all)
            status = Case().check(replace(LICENCE, grant=grant))
            self.assertEqual(status.standing, Standing.VALID)

    def test_everyBindingIsJudged(self):
        """Findings that are fewer than the bindings are never enough."""
        self.assertRaises(LocalError, self.case.check, LICENCE, GOOD[:1])

    def test_grace(self):
        """A check that fails after a good one is tolerated for 24 hours: then 33."""
        self.case.check(LICENCE, GOOD)
        began = NOW + HOUR
        for now in began, began + GRACE - MINUTE:
            status = self.case.check(LICENCE, BAD, now)
            self.assertEqual(status.standing, Standing.GRACE)
            self.assertEqual(status.code, ResultCode.CERTFILE_BINDIPFAIL)
            self.assertEqual(refusals(status), (0, 0))
            self.assertEqual(status.grace_ends, began + GRACE)
        status = self.case.check(LICENCE, BAD, began + GRACE)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(refusals(status), (33, 33))
        self.assertEqual(status.code, ResultCode.CERTFILE_BINDIPFAIL)

    def test_recovery(self):
        """Once all is well again, the next failure has its own 24 hours."""
        self.case.check(LICENCE, GOOD)
        self.case.check(LICENCE, BAD, NOW + HOUR)
        status = self.case.check(LICENCE, GOOD, NOW + 3 * DAY)
        self.assertEqual(status.standing, Standing.VALID)
        status = self.case.check(LICENCE, BAD, NOW + 4 * DAY)
        self.assertEqual(status.grace_ends, NOW + 4 * DAY + GRACE)

    def test_fileTakenAway(self):
        """That the file is gone or broken is a failed check as well."""
        self.case.check(LICENCE, GOOD)
        status = self.case.check(MISSING, (), NOW + HOUR)
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertEqual(status.code, ResultCode.TRANSFILE_ZEROLEN)
        self.assertEqual(status.terms.max_users, 20)
        status = self.case.check(MISSING, (), NOW + HOUR + GRACE)
        self.assertEqual(refusals(status), (33, 33))
        status = self.case.check(LICENCE, GOOD, NOW + 3 * DAY)
        self.assertEqual(status.standing, Standing.VALID)

    def test_replaced(self):
        """A new licence counts once it is good; until then the old one does."""
        self.case.check(LICENCE, GOOD)
        status = self.case.check(OTHER, BAD, NOW + HOUR)
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertEqual(status.terms.max_users, 20)
        status = self.case.check(OTHER, GOOD, NOW + 2 * HOUR)
        self.assertEqual(status.standing, Standing.VALID)
        self.assertEqual(status.terms.max_users, 30)

    def test_expiry(self):
        """After the end no new logins; entries and calls for another 24 hours."""
        self.case.check(LICENCE, GOOD)
        end = LICENCE.not_after
        self.assertEqual(
            self.case.check(LICENCE, GOOD, end - MINUTE).standing, Standing.VALID
        )
        for now in end, end + GRACE - MINUTE:
            status = self.case.check(LICENCE, GOOD, now)
            self.assertEqual(status.standing, Standing.EXPIRED)
            self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
            self.assertEqual(refusals(status), (28, 0))
            self.assertEqual((status.days_left, status.grace_ends), (0, end + GRACE))
            self.assertEqual(status.warning, 0)
        status = self.case.check(LICENCE, GOOD, end + GRACE)
        self.assertEqual(refusals(status), (28, 28))
        self.assertIsNone(status.grace_ends)

    def test_expiredAtStart(self):
        """It is the same for a server that starts with a licence that is over."""
        status = self.case.check(LICENCE, GOOD, LICENCE.not_after + HOUR)
        self.assertEqual(status.standing, Standing.EXPIRED)
        self.assertEqual(refusals(status), (28, 0))

    def test_expiryEndsGrace(self):
        """Grace for a failed check does not make the licence longer."""
        self.case.check(LICENCE, GOOD, LICENCE.not_after - 2 * HOUR)
        self.case.check(LICENCE, BAD, LICENCE.not_after - HOUR)
        status = self.case.check(LICENCE, BAD, LICENCE.not_after)
        self.assertEqual(status.standing, Standing.EXPIRED)
        self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
        self.assertEqual(refusals(status), (28, 0))

    def test_renewed(self):
        """A renewed licence ends the expiry at once."""
        self.case.check(LICENCE, GOOD)
        self.case.check(LICENCE, GOOD, LICENCE.not_after + HOUR)
        renewed = replace(OTHER, not_after=LICENCE.not_after + 365 * DAY)
        status = self.case.check(renewed, GOOD, LICENCE.not_after + 2 * HOUR)
        self.assertEqual(status.standing, Standing.VALID)

    def test_notYetValid(self):
        """A licence that has not begun is none, and the text names both times."""
        before = LICENCE.not_before - HOUR
        status = self.case.check(LICENCE, GOOD, before)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
        self.assertIn("begins on 2026-01-01 00:00 UTC", status.text)
        self.assertIn("the clock shows 2025-12-31 23:00 UTC", status.text)
        status = self.case.check(LICENCE, GOOD, LICENCE.not_before)
        self.assertEqual(status.standing, Standing.VALID)

    def test_warnings(self):
        """The end is announced 30, 7 and 1 days before."""
        for left, warning, days in (
            (31 * DAY, 0, 31),
            (30 * DAY, 30, 30),
            (7 * DAY + HOUR, 30, 8),
            (7 * DAY, 7, 7),
            (DAY, 1, 1),
            (HOUR, 1, 1),
        ):
            status = self.case.check(LICENCE, GOOD, LICENCE.not_after - left)
            self.assertEqual((status.warning, status.days_left), (warning, days))

    def test_facts(self):
        """A status can be shown as JSON."""
        facts = self.case.check(LICENCE, GOOD).facts
        self.assertEqual(facts["standing"], "valid")
        self.assertEqual(facts["not_after"], "2027-01-01T00:00:00+00:00")
        self.assertEqual(facts["serial"], "beef")
        self.assertEqual((facts["ok"], facts["login_refusal"]), (True, 0))
        facts = Case().check(LICENCE, BAD).facts
        self.assertEqual((facts["ok"], facts["login_refusal"]), (False, 28))
        self.assertEqual(facts["entry_refusal"], 28)
        self.assertEqual(DEMO_STATUS.facts["max_users"], 50)


class ClockTests(SynchronousTestCase):
    """The clock of a host is not always right, nor always honest."""

    def setUp(self):
        self.case = Case()
        self.case.live(NOW)

    def test_setBack(self):
        """A clock that was set back is as good as a licence that is over."""
        status = self.case.check(LICENCE, GOOD, NOW - SET_BACK - MINUTE)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)
        self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
        self.assertEqual(status.terms.login_refusal, 28)
        self.assertEqual(status.terms.entry_refusal, 0)
        for part in (
            "the clock was set back",
            "it shows 2026-05-31 11:59 UTC",
            "has shown 2026-06-01 12:00 UTC",
            "delete AnyChat.licence-state",
        ):
            self.assertIn(part, status.text)

    def test_setRight(self):
        """Once the clock is right again, so is the licence."""
        self.case.check(LICENCE, GOOD, NOW - 9 * DAY)
        status = self.case.check(LICENCE, GOOD, NOW + HOUR)
        self.assertEqual(status.standing, Standing.VALID)

    def test_slightlyBack(self):
        """A machine that begins in local time and is put right is not suspected."""
        status = self.case.check(LICENCE, GOOD, NOW - 14 * HOUR)
        self.assertEqual(status.standing, Standing.VALID)

    def test_slightStepsGainNothing(self):
        """What was once over stays over, however little the clock goes back."""
        self.case.live(LICENCE.not_after)
        status = self.case.check(LICENCE, GOOD, LICENCE.not_after - HOUR)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)
        self.assertEqual(refusals(status), (28, 0))
        for part in (
            "ends on 2027-01-01 00:00 UTC",
            "the clock shows 2026-12-31 23:00 UTC",
            "has shown 2027-01-01 00:00 UTC",
            "delete AnyChat.licence-state",
        ):
            self.assertIn(part, status.text)

    def test_correctionAtTheEnd(self):
        """A clock that is corrected by moments when the licence ends is not doubted."""
        self.case.live(LICENCE.not_after)
        status = self.case.check(LICENCE, GOOD, LICENCE.not_after - MINUTE)
        self.assertEqual(status.standing, Standing.EXPIRED)
        self.assertIn("put a renewed AnyChat.cer there", status.text)

    def test_endOfTime(self):
        """The last day that a clock can show is a day like any other."""
        last = datetime.max.replace(tzinfo=UTC)
        kept = Memory(LICENCE.digest, clock=END_OF_TIME, good=END_OF_TIME)
        for not_after in LICENCE.not_after, last:
            licence = replace(LICENCE, not_after=not_after)
            for findings in GOOD, BAD:
                for case in Case(), Case(kept):
                    case.check(licence, GOOD, NOW)
                    for _ in range(2):
                        status = case.check(licence, findings, last, last)
                        encode_memory(case.memory, "")
                        json.dumps(status.facts)
                        case.check(licence, findings, NOW)

    def test_stoppedClock(self):
        """While the server runs, time goes on whatever the clock shows."""
        self.case.check(LICENCE, GOOD, NOW, NOW + DAY)
        status = self.case.check(LICENCE, GOOD, NOW, NOW + DAY + MINUTE)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)
        self.assertIn("set back", status.text)

    def test_entriesEnd(self):
        """Entries and calls go on for 24 hours of the server's own time."""
        wrong = NOW - 9 * DAY
        self.case.check(LICENCE, GOOD, wrong, NOW)
        status = self.case.check(LICENCE, GOOD, wrong, NOW + GRACE - MINUTE)
        self.assertEqual(status.terms.entry_refusal, 0)
        status = self.case.check(LICENCE, GOOD, wrong, NOW + GRACE)
        self.assertEqual(status.terms.entry_refusal, 28)

    def test_leap(self):
        """A clock that was far ahead for a while leaves nothing behind."""
        far = LICENCE.not_after + 3650 * DAY
        for now in far, far + 9 * HOUR:
            status = self.case.check(LICENCE, GOOD, now, NOW + HOUR)
            self.assertEqual(status.standing, Standing.EXPIRED)
            self.assertIn("the clock shows 2036-12-29", status.text)
        status = self.case.check(LICENCE, GOOD, NOW + 10 * HOUR, NOW + 10 * HOUR)
        self.assertEqual(status.standing, Standing.VALID)
        self.assertEqual(self.case.memory.clock, NOW + 10 * HOUR)
        self.assertIsNone(self.case.memory.leap)

    def test_leapAtStart(self):
        """Nor does one of a hardware clock that is put right after the start."""
        self.case.restart(LICENCE, GOOD, LICENCE.not_after + 3650 * DAY)
        status = self.case.check(LICENCE, GOOD, NOW + HOUR)
        self.assertEqual(status.standing, Standing.VALID)
        case = Case()
        case.check(LICENCE, GOOD, LICENCE.not_after + 3650 * DAY)
        self.assertEqual(case.check(LICENCE, GOOD).standing, Standing.VALID)

    def test_leapLasts(self):
        """Time that has gone on for a day is true, and cannot be taken back."""
        later = NOW + LEAP + HOUR
        self.case.check(LICENCE, GOOD, later, NOW)
        self.assertEqual(self.case.memory.clock, NOW)
        self.case.restart(LICENCE, GOOD, later + 9 * HOUR)
        self.case.check(LICENCE, GOOD, later + LEAP_TRIAL)
        self.assertEqual(self.case.memory.clock, later + LEAP_TRIAL)
        status = self.case.check(LICENCE, GOOD, NOW)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)

    def test_leapIsNoDelay(self):
        """Steps back while it lasts do not make it begin anew."""
        later = NOW + 9 * DAY
        for hours in range(25):
            now = later + hours * HOUR - MINUTE * (hours % 2)
            self.case.check(LICENCE, GOOD, now, NOW)
        self.assertEqual(self.case.memory.clock, now)

    def test_graceInLeap(self):
        """Grace that began by a clock that was ahead ends by the right one."""
        status = self.case.check(LICENCE, BAD, NOW + 90 * DAY, NOW)
        self.assertEqual(status.standing, Standing.GRACE)
        status = self.case.check(LICENCE, BAD, NOW + HOUR, NOW + HOUR)
        self.assertEqual(status.grace_ends, NOW + HOUR + GRACE)

    def test_newLicence(self):
        """A clock that was wrong once is forgiven with a new licence."""
        self.case.check(LICENCE, GOOD, NOW - 9 * DAY)
        status = self.case.check(OTHER, GOOD, NOW - 9 * DAY)
        self.assertEqual(status.standing, Standing.VALID)
        self.assertIsNone(self.case.memory.back)

    def test_forged(self):
        """A memory that was tampered with counts as a clock that was set back."""
        case = Case(Memory(LICENCE.digest, forged=True))
        status = case.restart(LICENCE)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)
        self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
        self.assertIn("was altered", status.text)
        self.assertEqual(case.check(OTHER, GOOD).standing, Standing.VALID)


class RestartTests(SynchronousTestCase):
    """What one run of the server leaves to the next one."""

    def setUp(self):
        self.case = Case()
        self.case.live(NOW)

    def test_good(self):
        """What was good and is good stays so."""
        self.assertEqual(self.case.restart(LICENCE).standing, Standing.VALID)

    def test_fails(self):
        """What fails at a start fails: this may be another machine."""
        status = self.case.restart(LICENCE, BAD, NOW + HOUR)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.terms.login_refusal, 28)

    def test_mayPass(self):
        """A name service that is not there yet does not keep a server down."""
        status = self.case.restart(LICENCE, DOUBTFUL, NOW + HOUR)
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertEqual(status.grace_ends, NOW + HOUR + GRACE)

    def test_longAgo(self):
        """What was good long ago says little: a state file that is put back again
        and again has no grace without an end.
        """
        kept = self.case.memory
        for days, standing in (7, Standing.GRACE), (8, Standing.REFUSED):
            case = Case(kept)
            status = case.restart(LICENCE, DOUBTFUL, NOW + days * DAY)
            self.assertEqual(status.standing, standing)
            status = case.check(LICENCE, GOOD, NOW + days * DAY + MINUTE)
            self.assertEqual(status.standing, Standing.VALID)

    def test_strangersWait(self):
        """Where nothing was ever good, a failure that may pass counts as well."""
        status = Case().restart(LICENCE, DOUBTFUL)
        self.assertEqual(status.standing, Standing.REFUSED)

    def test_graceGoesOn(self):
        """A restart neither ends nor prolongs the time of grace."""
        self.case.check(LICENCE, BAD, NOW + HOUR)
        status = self.case.restart(LICENCE, BAD, NOW + 9 * HOUR)
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertEqual(status.grace_ends, NOW + HOUR + GRACE)
        status = self.case.restart(LICENCE, BAD, NOW + 2 * DAY)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(status.terms.login_refusal, 33)

    def test_otherLicence(self):
        """What is known of one licence says nothing about another."""
        status = self.case.restart(OTHER, DOUBTFUL)
        self.assertEqual(status.standing, Standing.REFUSED)

    def test_setBackMeanwhile(self):
        """That the clock was set back while the server was down is noticed."""
        status = self.case.restart(LICENCE, GOOD, NOW - 9 * DAY)
        self.assertEqual(status.standing, Standing.CLOCK_WRONG)


#: Steps of a server's life: (hours until then, what the clock is off, files, findings).
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 5, 23, 24, 25, 24 * 90]),
        st.sampled_from([0, 0, 0, -1, -23, -25, -24 * 200, 24 * 100]),
        st.sampled_from([LICENCE, LICENCE, LICENCE, OTHER, MISSING]),
        st.sampled_from([GOOD, GOOD, BAD, DOUBTFUL]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
)


class LifeTests(SynchronousTestCase):
    """What holds whatever happens to a server."""

    @settings(deadline=None, max_examples=300)
    @given(STEPS)
    def test_anything(self, steps):
        """All well is never refused, nothing wrong is taken for ever."""
        case, real, failing = Case(), NOW, None
        for hours, off, read, findings, restarts in steps:
            real += hours * HOUR
            now = real + off * HOUR
            findings = findings if read is not MISSING else ()
            check = case.restart if restarts else case.check
            status = check(read, findings, now)
            terms = status.terms
            self.assertIn(terms.login_refusal, (0, 28, 33))
            if terms.entry_refusal:
                self.assertEqual(terms.entry_refusal, terms.login_refusal)
            valid = status.standing is Standing.VALID
            self.assertEqual(valid, status.code == 0)
            self.assertEqual(
                terms.login_refusal == 0,
                status.standing in (Standing.VALID, Standing.GRACE),
            )
            if valid:
                self.assertTrue(all(one.ok for one in findings))
                self.assertLess(now, read.not_after)
                self.assertGreaterEqual(now, read.not_before)
            # What fails has failed since it did so first, until all is well.
            began = case.memory.failing
            if valid:
                self.assertIsNone(began)
            else:
                # Sooner, if that was by a clock that leapt and is right again.
                self.assertTrue(failing is None or began <= failing)
            failing = began
            if status.standing is Standing.GRACE:
                self.assertEqual(status.grace_ends, began + GRACE)
                self.assertLess(case.memory.clock, began + GRACE)
            json.dumps(status.facts)


class CountedTests(SynchronousTestCase):
    """`counted`: what may pass needs to come twice."""

    def test_first(self):
        """The first failure that may pass does not count, and says so."""
        (domain, address) = counted(DOUBTFUL, GOOD)
        self.assertTrue(domain.ok)
        self.assertIn("no answer.(errorcode=842)", domain.text)
        self.assertEqual(address, GOOD[1])

    def test_second(self):
        """The second in a row does, whatever was made of the first."""
        self.assertEqual(counted(DOUBTFUL, DOUBTFUL), DOUBTFUL)

    def test_lasting(self):
        """A failure that will not pass counts at once."""
        self.assertEqual(counted(BAD, GOOD), BAD)

    def test_start(self):
        """Without a check before there is nothing to hope for."""
        self.assertEqual(counted(DOUBTFUL, None), DOUBTFUL)
