"""The licence while the server runs."""

import os
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import LicenceMode, ResultCode
from anychat.licensing import service
from anychat.licensing.addresses import ResolveTimeout
from anychat.licensing.check import Host
from anychat.licensing.licence import AddressBinding, DomainBinding
from anychat.licensing.log_lines import news
from anychat.licensing.service import LicenceService, LicenceSettings
from anychat.licensing.state_file import STATE_NAME, save_memory
from anychat.licensing.status import Standing
from anychat.licensing.ukey_wire import Request
from anychat.terms import DEMO_TERMS
from test import licences
from test.licensing.simulated_key import SimulatedBus, SimulatedKey, gone

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
#: The host's address, and another one.
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
DOMAIN = (DomainBinding("video.example"),)

AUTHORIZED = "Authorized certification success!"


def failed(code):
    """The product's line."""
    return f"Read certification file failed.(errorcode={code})"


class Server:
    """A directory, clocks, a name service, and the service on them."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir()
        self.clock = Clock()
        self.set_wall(licences.now())
        self.answer = lambda: succeed([HERE])
        self.asked = 0
        self.terms = []
        self.lines = []
        self.service = None
        self.key = SimulatedKey(self.clock)
        self.key.signing_time = 0.0
        self.bus = SimulatedBus(self.clock, self.key)

    def set_wall(self, when):
        """Set the host's clock."""
        self._wall = when - timedelta(seconds=self.clock.seconds())

    def wall(self):
        """What the host's clock shows."""
        return self._wall + timedelta(seconds=self.clock.seconds())

    def resolve(self, name):
        """The name service."""
        self.asked += 1
        return self.answer()

    def licence(self, **how):
        """Put a licence there, with the CA."""
        licences.make_licence(self.directory, **how)

    @property
    def cer(self):
        """The licence's file."""
        return self.directory / "AnyChat.cer"

    @property
    def state(self):
        """The state file."""
        return self.directory / STATE_NAME

    def start(self, *, demo=False, show_content=False, in_thread=maybeDeferred):
        """Start the service, as the server does; its status."""
        self.terms, self.lines = [], []
        self.service = LicenceService(
            LicenceSettings(
                self.directory,
                self.directory / licences.CA_NAME,
                "6.0.1",
                demo,
                show_content,
            ),
            self.clock,
            Host(
                self.resolve,
                in_thread,
                own_addresses=lambda: frozenset((ip_address(HERE),)),
                root=self.directory,
                ukey_backend=self.bus,
            ),
            self.terms.append,
            self.lines.append,
            self.wall,
        )
        self.service.startService()
        return self.service.status

    def stop(self):
        """Stop it; the deferred must have fired."""
        done = []
        self.service.stopService().addCallback(done.append)
        assert done == [None]
        assert not self.clock.getDelayedCalls()

    def wait(self, duration):
        """Let time pass, with a hundred looks; the status then."""
        left = duration.total_seconds()
        step = max(service.LOOK, left / 100)
        while left > 0:
            self.clock.advance(min(step, left))
            left -= step
        return self.service.status

    def news(self):
        """The lines since the last call."""
        lines, self.lines[:] = self.lines[:], []
        return lines


class Threads:
    """Threads that may hang."""

    def __init__(self):
        self.hangs = False
        self.hung = []

    def __call__(self, work, *args):
        """Run it in one: at once, or not before it may."""
        if self.hangs not in (True, work):
            return maybeDeferred(work, *args)
        waiting = Deferred()
        self.hung.append((waiting, work, args))
        return waiting

    def come_back(self):
        """All that hung is done."""
        self.hangs = False
        for waiting, work, args in self.hung:
            maybeDeferred(work, *args).chainDeferred(waiting)


class ServiceTests(SynchronousTestCase):
    """`LicenceService`."""

    def setUp(self):
        self.server = Server(self.mktemp())
        self.addCleanup(self.stop)

    def stop(self):
        """End what still runs."""
        if self.server.service is not None and self.server.service.running:
            self.server.stop()

    def test_demo(self):
        """Demo mode looks at no licence, be it there or not."""
        self.server.licence(max_users=7)
        status = self.server.start(demo=True)
        self.assertEqual(status.standing, Standing.DEMO)
        self.assertEqual(self.server.terms, [DEMO_TERMS])
        self.assertEqual(self.server.lines, ["Start Server At Demo Mode!"])
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_valid(self):
        """A licence in order is known before any port is opened."""
        self.server.licence(max_users=7, features=("distributed",))
        status = self.server.start()
        self.assertEqual(status.standing, Standing.VALID)
        (terms,) = self.server.terms
        self.assertEqual((terms.mode, terms.max_users), (LicenceMode.LICENSED, 7))
        self.assertEqual(self.server.lines[0], AUTHORIZED)
        self.assertEqual(len(self.server.lines), 2)
        self.wait_quietly(DAY / 24)

    def wait_quietly(self, duration):
        """Nothing is said or told meanwhile."""
        self.server.news()
        told = len(self.server.terms)
        self.server.wait(duration)
        self.assertEqual(self.server.news(), [])
        self.assertEqual(len(self.server.terms), told)

    def test_content(self):
        """ExternFlags=64 shows what the licence says."""
        self.server.licence(customer="Example Bank")
        self.server.start(show_content=True)
        self.assertIn("Licence content, Customer: Example Bank", self.server.lines)

    def test_missing(self):
        """The product's line with 711, and it is taken up when it comes."""
        self.assertEqual(self.server.start().code, ResultCode.TRANSFILE_ZEROLEN)
        self.assertEqual(self.server.lines[0], failed(711))
        self.assertIn("put the licence into", self.server.lines[1])
        self.assertEqual(self.server.terms[-1].login_refusal, 28)
        self.wait_quietly(HOUR)
        self.server.licence()
        self.server.wait(timedelta(seconds=3 * service.LOOK))
        self.assertEqual(self.server.service.status.standing, Standing.VALID)
        self.assertEqual(self.server.news()[0], AUTHORIZED)
        self.assertEqual(self.server.terms[-1].login_refusal, 0)

    def test_unusable(self):
        """Whatever is wrong with the file has its code and costs nothing else."""
        good = licences.licence_pem()
        other = licences.make_authority("Other", "ed25519", licences.now(), 999 * DAY)
        for code, content in (
            (711, b""),
            (800, bytes(10 << 20)),
            (802, good[: len(good) // 2]),
            (802, b"nonsense"),
            (28, licences.licence_pem(issuer=other)),
            (28, licences.licence_pem(versions="5")),
            (801, licences.licence_pem(not_after=licences.now() - HOUR)),
            (801, licences.licence_pem(not_before=licences.now() + HOUR)),
        ):
            self.server.licence()
            self.server.cer.write_bytes(content)
            self.assertEqual(self.server.start().code, code)
            self.assertEqual(self.server.lines[0], failed(code))
            self.assertEqual(self.server.terms[-1].login_refusal, 28)
            self.server.stop()

    def test_directory(self):
        """A directory in its place is 800."""
        self.server.licence()
        self.server.cer.unlink()
        self.server.cer.mkdir()
        self.assertEqual(self.server.start().code, 800)

    def test_noAuthority(self):
        """Without a CA there is no licence, and the text says so."""
        self.server.licence()
        (self.server.directory / licences.CA_NAME).unlink()
        self.assertEqual(self.server.start().code, ResultCode.CERTVERIFYFAILED)
        self.assertIn("LicenseCA", self.server.lines[1])

    def test_halfWritten(self):
        """A file that is being written is left alone until it is done."""
        self.server.licence(max_users=7)
        self.server.start()
        self.server.news()
        data = licences.licence_pem(max_users=8)
        for length in range(100, len(data), len(data) // 5):
            self.server.cer.write_bytes(data[:length])
            self.server.wait(timedelta(seconds=service.LOOK))
        self.server.cer.write_bytes(data)
        self.server.wait(timedelta(seconds=3 * service.LOOK))
        self.assertEqual([terms.max_users for terms in self.server.terms], [7, 8])
        self.assertEqual(len(self.server.news()), 2)

    def test_renewed(self):
        """That a licence was taken up in place of another is said, though both are
        good.
        """
        self.server.licence(max_users=7)
        self.server.start()
        self.server.news()
        self.server.licence(max_users=8)
        self.server.wait(timedelta(seconds=3 * service.LOOK))
        authorized, licence = self.server.news()
        self.assertEqual(authorized, AUTHORIZED)
        self.assertIn("8 users", licence)

    def test_neverDone(self):
        """A file that is written all the time does not keep the end from coming."""
        self.server.licence(bindings=DOMAIN, not_after=licences.now() + HOUR)
        self.server.start()
        asked = self.server.asked
        for _ in range(2 * 3600 // int(service.LOOK)):
            self.server.cer.write_bytes(self.server.cer.read_bytes())
            self.server.wait(timedelta(seconds=service.LOOK))
        self.assertGreater(self.server.asked, asked + 5)
        self.assertEqual(self.server.service.status.standing, Standing.EXPIRED)

    def test_hungFiles(self):
        """A file system that hangs holds up two threads at most, and no judgement."""
        self.server.licence(not_after=licences.now() + 3 * DAY)
        threads = Threads()
        self.server.start(in_thread=threads)
        threads.hangs = True
        self.server.wait(2 * DAY)
        self.assertEqual(self.server.service.status.warning, 1)
        self.server.wait(DAY)
        self.assertEqual(self.server.service.status.standing, Standing.EXPIRED)
        self.assertEqual(len(threads.hung), 2)
        threads.come_back()
        self.server.licence()
        self.assertEqual(self.server.wait(HOUR / 60).standing, Standing.VALID)

    def test_hungCheck(self):
        """A check that does not come back has failed, and so has what cannot begin."""
        self.server.licence(bindings=(*DOMAIN, AddressBinding((HERE,))))
        threads = Threads()
        self.server.start(in_thread=threads)
        self.server.news()
        threads.hangs = True
        status = self.server.wait(HOUR)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 860))
        self.assertIn("has not come back", self.server.news()[0])
        self.assertEqual(len(threads.hung), 2)
        threads.come_back()
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)

    def test_hungStart(self):
        """What hangs at a start with a licence that was good is no refusal."""
        self.server.licence(bindings=(self.server.key.binding,))
        self.server.start()
        self.server.stop()
        threads = Threads()
        threads.hangs = True
        self.server.start(in_thread=threads)
        status = self.server.wait(HOUR)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 861))
        status = self.server.wait(DAY)
        self.assertEqual(self.server.terms[-1].login_refusal, 33)
        threads.come_back()
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)

    def test_slowSave(self):
        """A state file that cannot be written for long waits for itself alone."""
        self.server.licence()
        threads = Threads()
        self.server.start(in_thread=threads)
        threads.hangs = save_memory
        self.server.wait(9 * HOUR)
        self.assertEqual(len(threads.hung), 1)
        stopped = []
        self.server.service.stopService().addCallback(stopped.append)
        self.assertEqual(stopped, [])
        threads.come_back()
        self.assertEqual(stopped, [None])

    def test_broken(self):
        """A good licence that is overwritten by nonsense is worth 24 hours yet."""
        self.server.licence(max_users=7)
        self.server.start()
        self.server.news()
        self.server.cer.write_bytes(b"nonsense")
        status = self.server.wait(HOUR)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 802))
        (line,) = self.server.news()
        self.assertTrue(line.endswith("(errorcode=802)"), line)
        self.assertEqual(len(self.server.terms), 1)
        status = self.server.wait(DAY)
        self.assertEqual(status.standing, Standing.REFUSED)
        self.assertEqual(self.server.terms[-1].login_refusal, 33)
        self.assertEqual(self.server.news()[0], failed(802))
        self.server.licence(max_users=7)
        self.assertEqual(self.server.wait(HOUR / 60).standing, Standing.VALID)

    def test_expiry(self):
        """Warned three times, then no new logins, then no new entries; no restart."""
        self.server.licence(not_after=licences.now() + 31 * DAY)
        self.server.start()
        self.wait_quietly(23 * HOUR)
        for days, text in ((2, "30 days"), (22, "7 days"), (6, "1 day")):
            self.server.wait(days * DAY)
            (line,) = self.server.news()
            self.assertIn(f"expires in {text}, on ", line)
        self.assertEqual(len(self.server.terms), 1)
        self.server.wait(DAY)
        first, _ = self.server.news()
        self.assertEqual(first, failed(801))
        last = self.server.terms[-1]
        self.assertEqual((last.login_refusal, last.entry_refusal), (28, 0))
        self.server.wait(DAY)
        (line,) = self.server.news()
        self.assertIn("No new entries and calls", line)
        self.assertEqual(self.server.terms[-1].entry_refusal, 28)

    def test_domain(self):
        """A name is asked for at the start and every ten minutes."""
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.assertEqual(self.server.service.status.standing, Standing.VALID)
        self.assertEqual(self.server.asked, 1)
        self.server.wait(HOUR * 0.99)
        self.assertEqual(self.server.asked, 6)

    def test_nameServiceLies(self):
        """One wrong answer does not count; it is asked again soon."""
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.server.news()
        self.server.answer = lambda: succeed([ELSEWHERE])
        self.server.wait(timedelta(seconds=600 + service.LOOK))
        (line,) = self.server.news()
        self.assertIn("Licence check of domain failed once", line)
        self.assertIn("(errorcode=840)", line)
        self.server.answer = lambda: succeed([HERE])
        self.wait_quietly(HOUR)
        self.assertEqual(self.server.service.status.standing, Standing.VALID)

    def test_nameServiceFails(self):
        """Two failures in a row begin the 24 hours; an answer ends them."""
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.server.news()

        def fail():
            failing = Deferred()
            failing.errback(ResolveTimeout("no answer in 10 seconds"))
            return failing

        self.server.answer = fail
        status = self.server.wait(HOUR)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 842))
        self.assertEqual(len(self.server.news()), 2)
        self.assertEqual(len(self.server.terms), 1)
        self.server.answer = lambda: succeed([HERE])
        status = self.server.wait(HOUR / 30)
        self.assertEqual(status.standing, Standing.VALID)
        self.assertEqual(self.server.news()[0], AUTHORIZED)

    def test_slowNameService(self):
        """Until the first answer nobody is let in, and the start does not wait."""
        self.server.licence(bindings=DOMAIN)
        answer = Deferred()
        self.server.answer = lambda: answer
        status = self.server.start()
        self.assertEqual(status.terms.login_refusal, 28)
        self.assertEqual(self.server.lines, [])
        answer.callback([HERE])
        self.assertEqual(self.server.service.status.standing, Standing.VALID)
        self.assertEqual(self.server.lines[0], AUTHORIZED)

    def test_knownFromBefore(self):
        """Where the last run found all well, they are let in meanwhile."""
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.server.stop()
        answer = Deferred()
        self.server.answer = lambda: answer
        status = self.server.start()
        self.assertEqual(status.terms.login_refusal, 0)
        self.assertEqual(self.server.lines, [])
        answer.callback([])
        status = self.server.service.status
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 842))

    def test_failingFromBefore(self):
        """A restart opens no gap: until the name service has answered it counts that
        the run before has found it failing, and since when.
        """
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.server.answer = lambda: succeed([])
        self.server.wait(HOUR)
        for later, refusal in (HOUR, 0), (2 * DAY, 33):
            self.server.wait(later)
            self.server.stop()
            self.server.answer = Deferred
            self.server.start()
            self.assertEqual(self.server.terms[-1].login_refusal, refusal)
            self.server.stop()
            self.server.answer = lambda: succeed([])
            self.server.start()
        self.assertEqual(self.server.terms[-1].login_refusal, 33)

    def test_startingMachine(self):
        """A name service that comes up late is asked again soon."""
        self.server.licence(bindings=DOMAIN)
        self.server.answer = lambda: succeed([])
        self.server.start()
        self.assertEqual(self.server.news()[0], failed(842))
        self.server.answer = lambda: succeed([HERE])
        status = self.server.wait(timedelta(seconds=2 * service.FIRST_RETRY))
        self.assertEqual(status.standing, Standing.VALID)

    def test_address(self):
        """An address that this host does not have is 850."""
        self.server.licence(bindings=(AddressBinding((ELSEWHERE,)),))
        self.assertEqual(self.server.start().code, ResultCode.CERTFILE_BINDIPFAIL)

    def test_ukey(self):
        """A key is asked every minute; pulled out, it has 24 hours to come back."""
        self.server.licence(bindings=(self.server.key.binding,))
        self.assertEqual(self.server.start().standing, Standing.VALID)
        asked = len(self.server.key.asked)
        self.wait_quietly(HOUR)
        each = (len(self.server.key.asked) - asked) / asked
        self.assertTrue(45 <= each <= 60, each)
        self.server.bus.keys.clear()
        status = self.server.wait(HOUR / 30)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 831))
        self.server.bus.keys.append(self.server.key)
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)

    def test_ukeyPulledOut(self):
        """In the midst of a challenge, too; at a start without it nobody gets in."""
        self.server.licence(bindings=(self.server.key.binding,))
        self.server.start()
        self.server.key.faults[Request.STATE] = gone
        status = self.server.wait(HOUR / 30)
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertIn(status.code, range(830, 835))
        self.server.stop()
        fresh = Server(self.mktemp())
        fresh.bus.keys.clear()
        fresh.licence(bindings=(fresh.key.binding,))
        self.server = fresh
        self.assertEqual(fresh.start().code, ResultCode.CERTFILE_UKEYNOTFOUND)
        self.assertEqual(fresh.terms[-1].login_refusal, 28)
        fresh.bus.keys.append(fresh.key)
        self.assertEqual(fresh.wait(HOUR / 60).standing, Standing.VALID)

    def test_clockSetBack(self):
        """Noticed, said, and forgiven when it is right again."""
        self.server.licence()
        self.server.start()
        self.server.news()
        now = self.server.wall()
        self.server.set_wall(now - 9 * DAY)
        status = self.server.wait(HOUR / 30)
        self.assertEqual((status.standing, status.code), (Standing.CLOCK_WRONG, 801))
        first, second = self.server.news()
        self.assertEqual(first, failed(801))
        self.assertIn("the clock was set back", second)
        self.server.set_wall(now + HOUR)
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)

    def test_hardwareClock(self):
        """A clock that is far ahead at a start, and then put right, keeps none out."""
        self.server.licence()
        self.server.start()
        now = self.server.wall()
        self.server.stop()
        self.server.set_wall(now + 9000 * DAY)
        status = self.server.start()
        self.assertEqual((status.standing, status.code), (Standing.EXPIRED, 801))
        self.assertNotIn("expires in", "".join(self.server.news()))
        self.server.wait(HOUR)
        for _ in range(2):
            self.server.set_wall(now + HOUR)
            status = self.server.wait(HOUR / 60)
            self.assertEqual(status.standing, Standing.VALID)
            self.server.stop()
            self.server.start()
        # And from then on it is watched as ever.
        self.server.set_wall(now - DAY)
        self.assertEqual(self.server.wait(HOUR / 60).standing, Standing.CLOCK_WRONG)

    def test_setBackBetweenRuns(self):
        """The state file knows what the clock showed, even after a crash."""
        self.server.licence()
        self.server.start()
        self.server.wait(HOUR)
        self.server.service.running = 0
        for call in self.server.clock.getDelayedCalls():
            call.cancel()
        self.server.set_wall(self.server.wall() - 2 * DAY)
        self.assertEqual(self.server.start().standing, Standing.CLOCK_WRONG)

    def test_stateDeleted(self):
        """The text says how a clock that was wrong is forgiven; so it works."""
        self.server.licence()
        self.server.start()
        self.server.set_wall(self.server.wall() - 9 * HOUR * 24)
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.CLOCK_WRONG)
        self.server.news()
        self.server.licence(not_before=licences.now() - 99 * DAY)
        self.assertEqual(self.server.wait(25 * HOUR).standing, Standing.VALID)
        self.server.set_wall(self.server.wall() - 9 * DAY)
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.CLOCK_WRONG)
        self.server.news()
        self.server.state.unlink()
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)
        self.assertIn("was deleted", self.server.news()[0])

    def test_ranAhead(self):
        """A licence that is over by a clock that was ahead alone: said, and mended by
        deleting the state file, as the text says.
        """
        self.server.licence(not_after=licences.now() + 10 * HOUR)
        self.server.start()
        self.server.set_wall(self.server.wall() + 20 * HOUR)
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.EXPIRED)
        self.server.set_wall(self.server.wall() - 20 * HOUR)
        status = self.server.wait(HOUR / 30)
        self.assertEqual((status.standing, status.code), (Standing.CLOCK_WRONG, 801))
        self.assertIn("delete AnyChat.licence-state", self.server.news()[-1])
        self.server.stop()
        self.assertEqual(self.server.start().standing, Standing.CLOCK_WRONG)
        self.server.news()
        self.server.state.unlink()
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)
        self.assertIn("was deleted", self.server.news()[0])
        status = self.server.wait(11 * HOUR)
        self.assertEqual(status.standing, Standing.EXPIRED)
        self.assertIn("put a renewed AnyChat.cer there", status.text)

    def test_stateForged(self):
        """A state file that was tampered with is left there, and said."""
        self.server.licence()
        self.server.start()
        self.server.stop()
        forged = self.server.state.read_bytes().replace(b'"clock": 1', b'"clock": 2')
        self.server.state.write_bytes(forged)
        status = self.server.start()
        self.assertEqual((status.standing, status.code), (Standing.CLOCK_WRONG, 801))
        self.assertIn("was altered", self.server.lines[1])
        self.server.wait(HOUR)
        self.assertEqual(self.server.state.read_bytes(), forged)
        self.server.state.unlink()
        self.assertEqual(self.server.wait(HOUR / 30).standing, Standing.VALID)

    def test_stateFile(self):
        """It is readable by the service's user alone, and kept now and then."""
        self.server.licence()
        self.server.start()
        self.assertEqual(self.server.state.stat().st_mode & 0o777, 0o600)
        before = self.server.state.read_bytes()
        self.server.wait(HOUR)
        self.assertNotEqual(self.server.state.read_bytes(), before)
        self.assertEqual(
            sorted(os.listdir(self.server.directory)),
            sorted(["AnyChat.cer", STATE_NAME, licences.CA_NAME]),
        )

    def test_stateNotWritten(self):
        """A server that cannot keep its state says so once and runs."""
        self.server.licence()
        self.server.state.mkdir()
        self.assertEqual(self.server.start().standing, Standing.VALID)
        warnings = [line for line in self.server.lines if line.startswith("Warning:")]
        self.assertEqual(len(warnings), 2)
        self.assertIn("cannot be read", warnings[0])
        self.assertIn("not written", warnings[1])
        self.wait_quietly(HOUR)

    def test_movedMachine(self):
        """What another machine has left is no matter for this one."""
        self.server.licence()
        (self.server.directory / "etc").mkdir()
        identity = self.server.directory / "etc/machine-id"
        identity.write_text("1" * 32)
        self.server.start()
        self.server.stop()
        identity.write_text("2" * 32)
        self.server.set_wall(self.server.wall() - DAY / 2)
        self.assertEqual(self.server.start().standing, Standing.VALID)

    def test_graceSurvives(self):
        """A restart neither ends nor prolongs the time of grace."""
        self.server.licence(bindings=DOMAIN)
        self.server.start()
        self.server.answer = lambda: succeed([])
        self.server.wait(HOUR)
        ends = self.server.service.status.grace_ends
        self.server.stop()
        status = self.server.start()
        self.assertEqual(status.standing, Standing.GRACE)
        self.assertLess(abs(status.grace_ends - ends), timedelta(seconds=1))

    def test_replacedByStranger(self):
        """A new licence that does not fit leaves the old one its 24 hours."""
        self.server.licence(max_users=7)
        self.server.start()
        self.server.licence(max_users=9, bindings=(AddressBinding((ELSEWHERE,)),))
        status = self.server.wait(HOUR)
        self.assertEqual((status.standing, status.code), (Standing.GRACE, 850))
        self.assertEqual(status.terms.max_users, 7)

    def test_stoppedWhileAsked(self):
        """What comes after the end is nobody's business."""
        self.server.licence(bindings=DOMAIN)
        answer = Deferred()
        self.server.answer = lambda: answer
        self.server.start()
        self.server.stop()
        answer.callback([HERE])
        self.assertEqual(self.server.lines, [])
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_fault(self):
        """A check that breaks is a finding, not the end of all checks."""
        self.server.licence(bindings=DOMAIN)

        def broken():
            raise RuntimeError("cannot be")

        self.server.answer = broken
        status = self.server.start()
        self.assertEqual(status.code, ResultCode.CERTFILE_DOMAINFAIL)
        self.assertIn("RuntimeError", status.text)
        self.server.answer = lambda: succeed([HERE])
        self.assertEqual(self.server.wait(HOUR / 60).standing, Standing.VALID)

    def test_nextCheck(self):
        """The status says when the next look is due."""
        self.server.licence()
        status = self.server.start()
        self.assertEqual(
            status.next_check - status.checked, timedelta(seconds=service.JUDGING)
        )

    def test_quiet(self):
        """The same status is no news."""
        self.server.licence()
        status = self.server.start()
        self.assertEqual(list(news(status, status)), [])
