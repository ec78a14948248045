"""The tables of docs/licensing.md say what the code does."""

from datetime import timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode
from anychat.licensing.check import SUBJECTS
from anychat.licensing.fingerprint import COMPONENTS, DEFAULT_PERCENT
from anychat.licensing.licence import DomainBinding
from anychat.licensing.service import INTERVALS, LicenceService, LicenceSettings
from anychat.licensing.state_file import STATE_NAME
from anychat.licensing.status import Standing
from test.licences import make_licence, now
from test.licensing.verdict_table import COMMAND, DOCUMENT, look, placed
from test.licensing.worlds import CHANGES, HERE, KINDS, NAME, server


class DocumentTests(SynchronousTestCase):
    """docs/licensing.md."""

    def setUp(self):
        self.text = DOCUMENT.read_text("utf-8")

    def test_verdicts(self):
        """The verdict tables are those that the code makes."""
        if placed(self.text) != self.text:
            self.fail(
                f"what follows of a licence has changed; {COMMAND} writes the tables "
                "of docs/licensing.md anew, see with git diff whether it is meant"
            )

    def test_components(self):
        """The table of the hardware's components has their weights and codes."""
        for name, component in COMPONENTS.items():
            (row,) = (
                line
                for line in self.text.splitlines()
                if line.startswith(f"| `{name}`")
            )
            self.assertTrue(
                row.endswith(f"| {component.weight} | {component.code:d} |"), row
            )
        self.assertIn(f"{DEFAULT_PERCENT} of 100 must match", self.text)

    def test_intervals(self):
        """How often the bindings are checked."""
        words = {3600.0: "hour", 600.0: "10 minutes", 60.0: "minute"}
        for kind, seconds in INTERVALS.items():
            subject = SUBJECTS[kind][0].replace("ukey", "UKey")
            self.assertRegex(
                self.text, rf"(?m)^\| {subject} \| .* \| every {words[seconds]} \|$"
            )

    def test_codes(self):
        """Every code of the product's licences is explained."""
        for code in ResultCode:
            if code.name.startswith("CERTFILE_"):
                self.assertIn(str(int(code)), self.text, code.name)


class ServiceTests(SynchronousTestCase):
    """The tables follow the rules alone; the whole service comes to the same."""

    def prepare(self, world, bind):
        """A world and a licence for it."""
        self.clock = Clock()
        self.world = world(Path(self.mktemp()))
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.ca = make_licence(self.directory, bindings=(bind(self.world),))

    def start(self):
        """Start the server; its licence service."""
        served = LicenceService(
            LicenceSettings(self.directory, self.ca, "6.0"),
            self.clock,
            self.world.host(),
            lambda terms: None,
            lambda line: None,
            lambda: now() + timedelta(seconds=self.clock.seconds()),
        )
        served.startService()
        self.clock.pump([60.0] * 2)
        return served

    def served(self, kind, change):
        """Refusals of a first start, a later one, and a running server.

        Soon after the change, an hour before a day is over and well after.
        """
        self.prepare(kind.world, kind.bind)
        running = self.start()
        self.assertEqual(running.status.standing, Standing.VALID)
        before = (self.directory / STATE_NAME).read_bytes()
        change.happen(self.world)
        told = [self.refusals(running)]
        self.successResultOf(running.stopService())
        (self.directory / STATE_NAME).write_bytes(before)
        again = self.start()
        told.insert(0, self.refusals(again))
        self.successResultOf(again.stopService())
        (self.directory / STATE_NAME).unlink()
        first = self.start()
        told.insert(0, self.refusals(first))
        self.successResultOf(first.stopService())
        return told

    def refusals(self, served):
        """What clients would hear now, most of a day later, and then."""
        heard = []
        for half_hours in (0, 46, 6):
            self.clock.pump([1800.0] * half_hours)
            terms = served.status.terms
            heard.append((terms.login_refusal, terms.entry_refusal))
        return heard

    def test_mended(self):
        """A server that was refused is in order when a check finds it so."""
        self.prepare(server, lambda world: DomainBinding(NAME))
        self.world.names.clear()
        served = self.start()
        self.assertEqual(served.status.standing, Standing.REFUSED)
        self.world.names[NAME] = [HERE]
        self.clock.pump([60.0] * 2)
        self.assertEqual(served.status.standing, Standing.VALID)
        self.successResultOf(served.stopService())

    def test_alike(self):
        """Of each kind of binding, one trouble."""
        for title, happens in (
            ("hardware, all of it", "the main board is replaced"),
            ("domain", "the name leads elsewhere"),
            ("address", "the server goes behind a NAT"),
            ("UKey", "the UKey is pulled out"),
            ("UKey", "nothing"),
        ):
            (kind,) = (one for one in KINDS if one.title == title)
            (change,) = (one for one in CHANGES if one.title.startswith(happens))
            case = look(kind, change)
            expected = [
                [(one.terms.login_refusal, one.terms.entry_refusal) for one in stands]
                for stands in (case.first(), case.at_start(), case.running())
            ]
            self.assertEqual(self.served(kind, change), expected, (title, happens))
