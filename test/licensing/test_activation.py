"""A slave's copy of its master's licence."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import LicenceMode, ResultCode
from anychat.errors import ConfigError, PeerError, Refused
from anychat.licensing.activation import (
    MAX_LICENCE,
    MAX_SIZE,
    SKEW,
    VALIDITY,
    Activation,
    Request,
    activate,
    activated,
    check_master,
    read_activation,
    slave_id,
)
from anychat.licensing.activation_file import ActivationFile
from anychat.licensing.findings import LicenceError
from anychat.licensing.judge import GRACE, Memory, judge, remember
from anychat.licensing.licence import AddressBinding, Grant, Licence
from anychat.terms import DEMO_TERMS, Feature, Terms

NOW = datetime(2026, 11, 20, 14, 0, 7, tzinfo=UTC)
PASSWORD = "Passw0rd"
SLAVE = slave_id("0123456789abcdef0123456789abcdef")
REQUEST = Request(bytes(range(32)), SLAVE)
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n..."
#: Made once: each takes 50 ms.
ANSWER = activate(REQUEST, PASSWORD, CERTIFICATE, NOW)

LICENCE = Licence(
    Grant("Example", 500, (Feature.STANDBY,), (AddressBinding(("192.0.2.1",)),)),
    7,
    "CN=Example",
    "CN=Vendor",
    NOW - timedelta(days=100),
    NOW + timedelta(days=265),
    "ab" * 32,
)


class MasterTests(SynchronousTestCase):
    """Who may be a master."""

    def assertRefuses(self, code, slave_mode, terms):
        """The server refuses its slaves with this code."""
        error = self.assertRaises(Refused, check_master, slave_mode, terms)
        self.assertEqual(error.code, code)
        return error.reason

    def test_licensed(self):
        """A licence with standby in it makes a master."""
        check_master(False, Terms(features=frozenset({Feature.STANDBY, "later"})))

    def test_overButTolerated(self):
        """So does one whose users may still go on, as long as new ones may come."""
        check_master(
            False, Terms(LicenceMode.LICENSED, 5, features=frozenset({"standby"}))
        )

    def test_slave(self):
        """30: a slave has no slaves, whatever its licence says."""
        for terms in (Terms(features=frozenset({Feature.STANDBY})), DEMO_TERMS):
            self.assertRefuses(ResultCode.MASTERISSLAVE, True, terms)

    def test_unlicensed(self):
        """31 in demo mode, with a licence that is refused, and without standby."""
        for terms, words in (
            (DEMO_TERMS, "demo"),
            (
                Terms(
                    login_refusal=ResultCode.CERTVERIFYFAILED,
                    features=frozenset({Feature.STANDBY}),
                ),
                "not good now",
            ),
            (Terms(features=frozenset({Feature.CLUSTER})), "no standby"),
        ):
            reason = self.assertRefuses(ResultCode.MASTERNOTCREDIT, False, terms)
            self.assertIn(words, reason)


class ExchangeTests(SynchronousTestCase):
    """What the master answers, and the slave reads."""

    def assertUnusable(self, code, data=ANSWER, password=PASSWORD, **expected):
        """It is refused with this code."""
        slave = expected.pop("slave", SLAVE)
        error = self.assertRaises(
            LicenceError, read_activation, data, password, slave, **expected
        )
        self.assertEqual(error.code, code, error.text)
        return error.text

    def test_answer(self):
        """The slave gets the licence and the master's time, to the second."""
        activation = read_activation(ANSWER, PASSWORD, SLAVE, REQUEST.nonce)
        self.assertEqual(activation, Activation(NOW, CERTIFICATE))
        self.assertEqual(activation.ends, NOW + VALIDITY)

    def test_kept(self):
        """What was kept is read without its nonce, and by this slave alone."""
        self.assertEqual(
            read_activation(ANSWER, PASSWORD, SLAVE), Activation(NOW, CERTIFICATE)
        )
        text = self.assertUnusable(ResultCode.CERTVERIFYFAILED, slave=slave_id(""))
        self.assertIn("another machine", text)

    def test_replay(self):
        """An answer to an earlier request is none to this one."""
        self.assertUnusable(ResultCode.CERTVERIFYFAILED, nonce=bytes(32))

    def test_otherPassword(self):
        """Who has another SDKAuthPass is told so."""
        text = self.assertUnusable(
            ResultCode.CERTFILE_DECODEFAIL, password=PASSWORD + "!"
        )
        self.assertIn("SDKAuthPass", text)

    def test_noPassword(self):
        """Without a SDKAuthPass there is no activation, on either side."""
        self.assertRaises(ConfigError, activate, REQUEST, "", CERTIFICATE, NOW)
        self.assertRaises(ConfigError, read_activation, ANSWER, "", SLAVE)

    def test_badRequest(self):
        """A request that is none breaks the protocol."""
        for request in (Request(bytes(31), SLAVE), Request(bytes(32), bytes(33))):
            self.assertRaises(PeerError, activate, request, PASSWORD, CERTIFICATE, NOW)

    def test_tooLong(self):
        """A licence beyond what a licence may have is not passed on."""
        for licence in (b"", bytes(MAX_LICENCE + 1)):
            self.assertRaises(ValueError, activate, REQUEST, PASSWORD, licence, NOW)
        self.assertUnusable(ResultCode.CERTFILE_DECODEFAIL, bytes(MAX_SIZE + 1))

    def test_longest(self):
        """The longest licence goes through."""
        licence = bytes(MAX_LICENCE)
        data = activate(REQUEST, PASSWORD, licence, NOW)
        self.assertEqual(len(data), MAX_SIZE)
        self.assertEqual(read_activation(data, PASSWORD, SLAVE).licence, licence)

    def test_altered(self):
        """A changed bit is noticed, wherever it is."""
        for place in (0, 8, 40, 72, 79, 83, 84, len(ANSWER) - 33, len(ANSWER) - 1):
            data = bytearray(ANSWER)
            data[place] ^= 1
            error = self.assertRaises(
                LicenceError, read_activation, bytes(data), PASSWORD, SLAVE
            )
            self.assertIn(
                error.code,
                (ResultCode.CERTFILE_DECODEFAIL, ResultCode.CERTVERIFYFAILED),
            )

    def test_farFuture(self):
        """A date that no calendar has is refused, though whoever has signed it."""
        far = datetime(9999, 12, 31, tzinfo=UTC)
        data = activate(REQUEST, PASSWORD, CERTIFICATE, far)
        self.assertUnusable(ResultCode.CERTFILE_DECODEFAIL, data)

    def test_truncated(self):
        """What breaks off anywhere is refused, at no cost."""
        for size in range(len(ANSWER)):
            self.assertUnusable(ResultCode.CERTFILE_DECODEFAIL, ANSWER[:size])
        self.assertUnusable(ResultCode.CERTFILE_DECODEFAIL, ANSWER + b"\0")

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_anything(self, data):
        """Nothing but `LicenceError` comes of what is no activation."""
        self.assertUnusable(ResultCode.CERTFILE_DECODEFAIL, data)

    def test_saysNothing(self):
        """Neither the password nor the licence is shown in a log."""
        shown = repr(read_activation(ANSWER, PASSWORD, SLAVE))
        self.assertNotIn("CERTIFICATE", shown)
        self.assertNotIn(PASSWORD.encode(), ANSWER)

    def test_slaveId(self):
        """A slave's name tells machines apart, and does not say which one it is."""
        self.assertNotEqual(slave_id("a"), slave_id("b"))
        self.assertEqual(len(SLAVE), 32)
        self.assertNotIn(b"0123456789abcdef", SLAVE)


class ValidityTests(SynchronousTestCase):
    """For how long an activation is good."""

    activation = Activation(NOW, CERTIFICATE)

    def check(self, memory, now, licence=LICENCE):
        """A slave's check at this time, as any server's."""
        read = activated(self.activation, licence)
        memory = remember(memory, read, (), now)
        return memory, judge(read, (), now, memory)

    def assertOver(self, now, words, licence=LICENCE):
        """A slave that starts at this time lets nobody in, and says why."""
        _, status = self.check(Memory(), now, licence)
        self.assertEqual(status.code, ResultCode.CERTFILE_EXPIRED)
        self.assertEqual(status.terms.login_refusal, ResultCode.CERTVERIFYFAILED)
        self.assertIn(words, status.text)

    def test_thirtyDays(self):
        """30 days from the last contact, to the second, and across restarts."""
        last = NOW + timedelta(days=30) - timedelta(seconds=1)
        for now in (NOW, NOW + timedelta(days=29), last):
            _, status = self.check(Memory(), now)
            self.assertEqual(status.code, ResultCode.SUCCESS, status.text)
            self.assertEqual(status.terms.max_users, 500)
        self.assertOver(NOW + timedelta(days=30), "last contact with the master")

    def test_running(self):
        """Who is signed in when they are over goes on for 24 hours, as ever."""
        memory, _ = self.check(Memory(), NOW)
        memory, status = self.check(memory, NOW + VALIDITY)
        self.assertEqual(status.terms.login_refusal, ResultCode.CERTVERIFYFAILED)
        self.assertEqual(status.terms.entry_refusal, ResultCode.SUCCESS)
        memory, status = self.check(memory, NOW + VALIDITY + GRACE)
        self.assertEqual(status.terms.entry_refusal, ResultCode.CERTVERIFYFAILED)

    def test_renewed(self):
        """The next contact begins them anew, also where they were over."""
        memory, _ = self.check(Memory(), NOW)
        later = NOW + VALIDITY + GRACE
        memory, _ = self.check(memory, later)
        self.activation = Activation(later, CERTIFICATE)
        memory, status = self.check(memory, later)
        self.assertEqual(status.code, ResultCode.SUCCESS, status.text)
        self.assertEqual(status.not_after, later + VALIDITY)

    def test_mastersEnd(self):
        """The master's licence ends at the slave as well, if it does so before."""
        end = NOW + timedelta(days=3)
        self.assertOver(end, "expired itself", replace(LICENCE, not_after=end))

    def test_warnings(self):
        """A slave in contact is not warned; one without is, from the last week on."""
        for days, warning in ((0, 0), (22, 0), (23, 7), (28, 7), (29, 1)):
            _, status = self.check(Memory(), NOW + timedelta(days=days))
            self.assertEqual(status.warning, warning, days)

    def test_clockBehind(self):
        """A clock a little behind the master's is no harm; one far behind is."""
        _, status = self.check(Memory(), NOW - SKEW)
        self.assertEqual(status.code, ResultCode.SUCCESS)
        self.assertOver(NOW - SKEW - timedelta(seconds=1), "set the clock right")

    def test_bindings(self):
        """The master's bindings are the master's; all else is the slave's too."""
        licence = activated(self.activation, LICENCE)
        self.assertEqual(licence.grant, replace(LICENCE.grant, bindings=()))
        self.assertEqual(licence.digest, LICENCE.digest)


class FileTests(SynchronousTestCase):
    """What a slave keeps."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = ActivationFile(self.directory)

    def assertUnreadable(self, code):
        """There is nothing to be had, for this reason."""
        error = self.assertRaises(LicenceError, self.file.read)
        self.assertEqual(error.code, code)
        return error.text

    def test_restart(self):
        """Another process finds what this one has kept."""
        self.file.write(ANSWER)
        kept = ActivationFile(self.directory).read()
        self.assertEqual(
            read_activation(kept, PASSWORD, SLAVE), Activation(NOW, CERTIFICATE)
        )

    def test_private(self):
        """Nobody else may read it, whatever the umask; nothing else stays behind."""
        self.addCleanup(os.umask, os.umask(0))
        self.file.write(ANSWER)
        self.assertEqual(self.file.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.directory.iterdir()), [self.file.path])

    def test_renewed(self):
        """The next contact's takes its place."""
        self.file.write(ANSWER)
        self.file.write(b"next")
        self.assertEqual(self.file.read(), b"next")

    def test_neverActivated(self):
        """711 where there is nothing, or nothing in it, and what to do."""
        self.assertIn("master", self.assertUnreadable(ResultCode.TRANSFILE_ZEROLEN))
        self.file.path.touch()
        self.assertUnreadable(ResultCode.TRANSFILE_ZEROLEN)

    def test_directory(self):
        """800 for a directory in its place."""
        self.file.path.mkdir()
        self.assertUnreadable(ResultCode.CERTFILE_GETINFOFAILED)

    def test_tooLong(self):
        """800 for a file that cannot be one, which is not read whole."""
        self.file.path.write_bytes(bytes(MAX_SIZE + 1))
        self.assertUnreadable(ResultCode.CERTFILE_GETINFOFAILED)
