"""What the log says about the licence."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.findings import LicenceError
from anychat.licensing.judge import Memory, judge, remember
from anychat.licensing.log_lines import content, doubt, news
from anychat.licensing.status import DEMO_STATUS, Standing
from test.licensing.cases import BAD, DAY, DOUBTFUL, GOOD, HOUR, LICENCE, NOW

VALID = judge(LICENCE, GOOD, NOW, remember(Memory(), LICENCE, GOOD, NOW))


class LogLinesTests(SynchronousTestCase):
    """`news`, `doubt` and `content`."""

    def lines(self, status, before=None):
        """What is logged of a status after another one."""
        return list(news(before, status))

    def test_demo(self):
        """The product's line of demo mode."""
        self.assertEqual(self.lines(DEMO_STATUS), ["Start Server At Demo Mode!"])

    def test_valid(self):
        """The product's line, whose it is and for how many."""
        self.assertEqual(
            self.lines(VALID),
            [
                "Authorized certification success!",
                "Licence of Example Bank, 20 users, until 2027-01-01",
            ],
        )
        unlimited = replace(LICENCE, grant=replace(LICENCE.grant, max_users=0))
        memory = remember(Memory(), unlimited, GOOD, NOW)
        status = judge(unlimited, GOOD, NOW, memory)
        self.assertIn("any number of users", self.lines(status)[1])

    def test_replaced(self):
        """Another licence is news, though the one before was good as well."""
        other = replace(VALID, serial=VALID.serial + 1)
        self.assertEqual(self.lines(VALID, VALID), [])
        self.assertEqual(self.lines(other, VALID), self.lines(other))

    def test_missing(self):
        """The product's line, and what to do."""
        read = LicenceError(ResultCode.TRANSFILE_ZEROLEN, "put it there")
        status = judge(read, (), NOW, remember(Memory(), read, (), NOW))
        self.assertEqual(
            self.lines(status),
            [
                "Read certification file failed.(errorcode=711)",
                "Warning:No new logins: put it there.(errorcode=711)",
            ],
        )

    def test_grace(self):
        """A failure that is tolerated says until when, once; its end is said."""
        memory = remember(Memory(), LICENCE, GOOD, NOW)
        memory = remember(memory, LICENCE, BAD, NOW + HOUR)
        grace = judge(LICENCE, BAD, NOW + HOUR, memory)
        (line,) = self.lines(grace, VALID)
        self.assertEqual(
            line,
            "Warning:Licence check failed, this host has 192.0.2.2; new logins are "
            "taken until 2026-06-02 13:00 UTC.(errorcode=850)",
        )
        later = judge(LICENCE, BAD, NOW + 2 * HOUR, memory)
        self.assertEqual(self.lines(later, grace), [])
        over = judge(LICENCE, BAD, NOW + 3 * DAY, memory)
        self.assertEqual(len(self.lines(over, grace)), 2)
        self.assertEqual(
            self.lines(VALID, over)[0], "Authorized certification success!"
        )

    def test_entries(self):
        """Half a day later nothing is said, a day later that entries end."""
        memory = remember(Memory(), LICENCE, GOOD, NOW)

        def at(now):
            return judge(LICENCE, GOOD, now, remember(memory, LICENCE, GOOD, now))

        expired = at(LICENCE.not_after)
        self.assertEqual(expired.standing, Standing.EXPIRED)
        self.assertEqual(self.lines(at(LICENCE.not_after + DAY / 2), expired), [])
        (line,) = self.lines(at(LICENCE.not_after + DAY), expired)
        self.assertIn("No new entries and calls any more", line)

    def test_warning(self):
        """The end is announced when a stage is reached, and at a start."""
        memory = remember(Memory(), LICENCE, GOOD, NOW)
        over = LICENCE, GOOD, LICENCE.not_after
        soon = judge(LICENCE, GOOD, LICENCE.not_after - 7 * DAY, memory)
        (line,) = self.lines(soon, VALID)
        self.assertEqual(
            line,
            "Warning:The licence of Example Bank expires in 7 days, on "
            "2027-01-01 00:00 UTC: put a renewed AnyChat.cer there",
        )
        self.assertEqual(self.lines(soon, soon), [])
        self.assertEqual(self.lines(soon)[-1], line)
        self.assertNotIn("expires in", str(self.lines(judge(*over, memory))))
        last = judge(LICENCE, GOOD, LICENCE.not_after - HOUR, memory)
        self.assertIn("expires in 1 day, on", self.lines(last, soon)[0])

    def test_slaveIsWarned(self):
        """A slave needs its master, and no file."""
        licence = replace(LICENCE, contact=LICENCE.not_after - 30 * DAY)
        soon = licence.not_after - 7 * DAY
        memory = remember(Memory(), licence, GOOD, soon)
        line = self.lines(judge(licence, GOOD, soon, memory))[-1]
        self.assertIn("expires in 7 days, on", line)
        self.assertIn("contact with the master was on 2026-12-02 00:00 UTC", line)
        self.assertNotIn("AnyChat.cer", line)

    def test_doubt(self):
        """A failure that may pass is named with its code."""
        self.assertEqual(
            doubt(DOUBTFUL[0]),
            "Warning:Licence check of domain failed once, video.example: no answer."
            "(errorcode=842)",
        )

    def test_content(self):
        """ExternFlags=64 shows all of it."""
        lines = list(content(LICENCE))
        self.assertIn("Licence content, Customer: Example Bank", lines)
        self.assertIn("Licence content, Users: 20", lines)
