"""The vendor's commands: ``ca``, ``issue``, ``renew``, ``revoke``, ``inspect``."""

import os
import resource
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

import anychat
from anychat.licensing import authority as authority_module
from anychat.licensing.authority import (
    Authority,
    AuthorityError,
    make_authority,
)
from anychat.licensing.certificate import inspect_licence, read_licence
from anychat.licensing.command import run
from anychat.licensing.commands import authority as authority_commands
from anychat.licensing.commands import issuing
from anychat.licensing.commands.ca_directory import CaDirectory
from anychat.licensing.commands.console import FAILED, FINE, WRONG_USAGE, Console
from anychat.licensing.findings import LicenceError
from anychat.licensing.fingerprint import hash_parts
from anychat.licensing.licence import AddressBinding, DomainBinding, UKeyBinding
from anychat.licensing.request import Request, write_request
from test.licences import DAY, authority

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
PASSPHRASE = "correct horse battery"
#: The first number of this version.
OURS = anychat.__version__.partition(".")[0]
#: The generator of P-256 (FIPS 186-4 appendix D.1.2.3).
POINT = (
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)


class VendorCase(SynchronousTestCase):
    """A directory to work in, and somebody who types."""

    def setUp(self):
        # The envelope's rounds are another test's.
        self.patch(authority_module, "ROUNDS", 10)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.now = NOW
        self.typed = []
        self.output, self.errors = StringIO(), StringIO()

    def path(self, name):
        """A path in the directory."""
        return str(self.directory / name)

    def ask(self, prompt):
        """Type what comes next."""
        if not self.typed:
            raise EOFError
        return self.typed.pop(0)

    def run_command(self, *arguments, typed=(PASSPHRASE,)):
        """Run it, with what is typed; its exit code."""
        self.typed[:] = typed
        self.output, self.errors = StringIO(), StringIO()
        console = Console(self.output, self.errors, self.ask, self.now, None)
        try:
            # argparse writes there.
            with redirect_stderr(self.errors):
                return run(arguments, console)
        except SystemExit as done:
            return done.code

    def make_ca(self, *more):
        """A CA of the default name."""
        code = self.run_command(
            "ca",
            "--ca",
            self.path("ca"),
            "--name",
            "Vendor",
            *more,
            typed=[PASSPHRASE] * 2,
        )
        self.assertEqual(code, FINE, self.errors.getvalue())

    def issue(self, *more, out="AnyChat.cer", **how):
        """Issue a licence to the file; the exit code."""
        return self.run_command(
            "issue",
            *("--ca", self.path("ca"), "--customer", "Bank", "--users", "20"),
            *("--out", self.path(out), *more),
            **how,
        )

    def renew(self, *more, out="new.cer", licence=None):
        """Renew the licence of `issue`; the exit code."""
        return self.run_command(
            "renew",
            *("--ca", self.path("ca"), licence or self.path("AnyChat.cer")),
            *("--out", self.path(out), *more),
        )

    def read(self, name="AnyChat.cer", crl=None, version=anychat.__version__):
        """The licence in a file, as a server reads it that trusts the CA."""
        return read_licence(
            (self.directory / name).read_bytes(),
            [(self.directory / "ca" / "ca.pem").read_bytes()],
            None if crl is None else (self.directory / crl).read_bytes(),
            version,
        )

    def assertComplained(self, text):
        """A text of the errors, which do not have the pass phrase."""
        self.assertIn(text, self.errors.getvalue())
        self.assertNotIn(PASSPHRASE, self.errors.getvalue() + self.output.getvalue())


class CaTests(VendorCase):
    """``ca``."""

    def test_files(self):
        """The key is encrypted and the owner's alone, as is the directory."""
        self.addCleanup(os.umask, os.umask(0o022))
        self.make_ca()
        ca = self.directory / "ca"
        modes = {path.name: path.stat().st_mode & 0o777 for path in ca.iterdir()}
        self.assertEqual(
            modes, {"ca.key": 0o600, "ca.pem": 0o644, "ca.crl": 0o644, "issued": 0o700}
        )
        self.assertEqual(ca.stat().st_mode & 0o777, 0o700)
        self.assertIn(b"ENCRYPTED", (ca / "ca.key").read_bytes())
        self.assertIn("LicenseCA=", self.output.getvalue())

    def test_lifetime(self):
        """20 years, unless another number is asked for."""
        self.make_ca("--years", "3")
        made = CaDirectory(self.directory / "ca").read(PASSPHRASE)
        self.assertEqual(made.certificate.not_valid_after_utc.year, 2029)

    def test_notTwice(self):
        """A CA is never written over, nor is a pass phrase asked for."""
        self.make_ca()
        key = (self.directory / "ca" / "ca.key").read_bytes()
        code = self.run_command(
            "ca", "--ca", self.path("ca"), "--name", "Vendor", typed=()
        )
        self.assertEqual(code, FAILED)
        self.assertComplained("is there already")
        self.assertEqual((self.directory / "ca" / "ca.key").read_bytes(), key)

    def test_passphrases(self):
        """Typed twice the same, and long enough; else nothing is made."""
        for typed, code, text in (
            ((PASSPHRASE, "something else"), WRONG_USAGE, "not the same"),
            (("short", "short"), FAILED, "fewer than 12"),
            ((" " * 12,) * 2, FAILED, "fewer than 12"),
            ((), WRONG_USAGE, "--passphrase-file"),
            (("\udcff" * 12,) * 2, WRONG_USAGE, "is no text"),
        ):
            made = self.run_command(
                "ca", "--ca", self.path("ca"), "--name", "V", typed=typed
            )
            self.assertEqual(made, code)
            self.assertComplained(text)
            self.assertFalse((self.directory / "ca").exists())

    def test_parent(self):
        """A CA below another: the root alone is trusted, its list revokes the other."""
        self.make_ca()
        (self.directory / "ca").rename(self.directory / "root")
        code = self.run_command(
            *("ca", "--ca", self.path("ca"), "--name", "Sales", "--years", "5"),
            *("--parent", self.path("root")),
            typed=[PASSPHRASE] * 3,
        )
        self.assertEqual(code, FINE, self.errors.getvalue())
        self.assertIn("goes with every licence", self.output.getvalue())
        self.assertEqual(self.issue("--unbound"), FINE)
        data = (self.directory / "AnyChat.cer").read_bytes()
        root = (self.directory / "root" / "ca.pem").read_bytes()
        self.assertEqual(read_licence(data, [root], None, "6").grant.customer, "Bank")
        code = self.run_command(
            *("revoke", "--ca", self.path("root"), self.path("ca/ca.pem")),
            *("--reason", "compromised"),
        )
        self.assertEqual(code, FINE, self.errors.getvalue())
        crl = (self.directory / "root" / "ca.crl").read_bytes()
        with self.assertRaises(LicenceError):
            read_licence(data, [root], crl, "6")

    def test_parentKeeps(self):
        """The CA above can revoke one whose directory is lost."""
        self.make_ca()
        code = self.run_command(
            *("ca", "--ca", self.path("sales"), "--name", "Sales", "--years", "5"),
            *("--parent", self.path("ca")),
            typed=[PASSPHRASE] * 3,
        )
        self.assertEqual(code, FINE, self.errors.getvalue())
        made = CaDirectory(self.directory / "sales").read(PASSPHRASE)
        serial = f"{made.certificate.serial_number:x}"
        code = self.run_command("revoke", "--ca", self.path("ca"), serial)
        self.assertEqual(code, FINE, self.errors.getvalue())

    def test_half(self):
        """Where a file cannot be written, no half of a CA is left behind."""
        made = make_authority("V", "ed25519", NOW, DAY)
        ca = CaDirectory(self.directory / "ca")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        self.assertRaises(OSError, ca.make, made, PASSPHRASE, bytes(5000))
        self.assertEqual(os.listdir(self.directory / "ca"), ["issued"])
        ca.make(made, PASSPHRASE, b"list")
        self.assertEqual(ca.read(PASSPHRASE).certificate, made.certificate)

    def test_atOnce(self):
        """Of two who make a CA in one place the later one changes nothing."""
        made, other = (make_authority("V", "ed25519", NOW, DAY) for _ in range(2))
        rival = CaDirectory(self.directory / "ca")

        class Late(CaDirectory):
            """Somebody else is done before it has the lock."""

            @contextmanager
            def locked(self):
                """Wait for the other one."""
                rival.make(made, PASSPHRASE, b"list")
                with super().locked():
                    yield

        late = Late(self.directory / "ca")
        self.assertRaises(AuthorityError, late.make, other, PASSPHRASE, b"list")
        self.assertEqual(rival.read(PASSPHRASE).certificate, made.certificate)


class IssueTests(VendorCase):
    """``issue``."""

    def setUp(self):
        super().setUp()
        self.make_ca()

    def test_licence(self):
        """What was asked for is what a server reads."""
        code = self.issue(
            *("--feature", "distributed", "--feature", "standby", "--match", "any"),
            *("--domain", "Video.Bücher.example.", "--domain", "b.example"),
            *("--address", "192.0.2.0/24", "--address", "2001:DB8::1"),
            *("--ukey", f"1209:00FF:K:1:{POINT.upper()}"),
            *("--product-version", OURS),
        )
        self.assertEqual(code, FINE, self.errors.getvalue())
        licence = self.read()
        grant = licence.grant
        self.assertEqual((grant.customer, grant.max_users), ("Bank", 20))
        self.assertEqual(grant.features, ("distributed", "standby"))
        self.assertFalse(grant.match_all)
        self.assertEqual(grant.versions, OURS)
        self.assertEqual(
            grant.bindings,
            (
                DomainBinding("video.xn--bcher-kva.example"),
                DomainBinding("b.example"),
                AddressBinding(("192.0.2.0/24", "2001:db8::1")),
                UKeyBinding(0x1209, 0xFF, "K:1", POINT),
            ),
        )
        self.assertEqual(licence.not_before, NOW - timedelta(hours=1))
        self.assertEqual(licence.not_after, NOW + 365 * DAY)
        self.assertIn("Customer: Bank", self.output.getvalue())
        self.assertEqual(self.errors.getvalue(), "")

    def test_kept(self):
        """The CA keeps every licence by its serial number."""
        self.issue("--unbound")
        kept = self.directory / "ca" / "issued" / f"{self.read().serial:x}.pem"
        self.assertEqual(
            kept.read_bytes(), (self.directory / "AnyChat.cer").read_bytes()
        )

    def test_dates(self):
        """From a day, for a number of days, or until a day's end."""
        for more, begin, end in (
            (
                ("--from", "2027-01-01", "--days", "31"),
                datetime(2027, 1, 1, tzinfo=UTC),
                datetime(2027, 2, 1, tzinfo=UTC),
            ),
            (
                ("--until", "2027-01-31"),
                NOW - timedelta(hours=1),
                datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC),
            ),
        ):
            self.assertEqual(self.issue("--unbound", "--force", *more), FINE)
            licence = self.read()
            self.assertEqual((licence.not_before, licence.not_after), (begin, end))

    def test_bindingsMustBeSaid(self):
        """Neither bound to nothing by mistake, nor both; nothing is asked for."""
        for more, text in (
            ((), "--unbound"),
            (("--unbound", "--domain", "a.example"), "--unbound, and bindings"),
        ):
            self.assertEqual(self.issue(*more, typed=()), WRONG_USAGE)
            self.assertComplained(text)
        self.assertFalse((self.directory / "AnyChat.cer").exists())

    def test_notWrittenOver(self):
        """A licence that is there stays, unless --force says otherwise."""
        self.issue("--unbound")
        first = self.read().serial
        self.assertEqual(self.issue("--unbound", typed=()), WRONG_USAGE)
        self.assertComplained("is there already; --force")
        self.assertEqual(self.read().serial, first)
        self.assertEqual(self.issue("--unbound", "--force"), FINE)
        self.assertNotEqual(self.read().serial, first)

    def test_wrongArguments(self):
        """Each is refused by name, before a pass phrase is asked for."""
        for more, text in (
            (("--days", "0"), "'0' is no whole number from 1"),
            (("--days", "x"), "'x' is no whole number"),
            (("--until", "tomorrow"), "no day as in"),
            (("--unbound", "--from", "1949-12-31"), "is before 1950"),
            (("--unbound", "--from", "9999-12-31"), "after the year 9999"),
            (("--domain", "a..b"), "no host name"),
            (("--domain", "a.localhost"), "never matches"),
            (("--domain", "bank.invalid."), "never matches"),
            (("--address", "192.0.2.1/24"), "host bits set"),
            (("--address", "b.example"), "does not appear to be"),
            (("--ukey", "1209"), "neither VENDOR:PRODUCT"),
            (("--ukey", "1209:0001:K"), "neither VENDOR:PRODUCT"),
            (("--ukey", "1209:0001:K:04ff"), "neither VENDOR:PRODUCT"),
            (("--request", self.path("none")), "none is not there"),
            (("--percent", "101"), "from 1 to 100"),
            (("--unbound", "--percent", "50"), "needs --request"),
            (("--unbound", "--match", "any"), "--match is of bindings"),
            (("--unbound", "--until", "2026-11-01"), "end before it begins"),
            (("--ukey", f"1209:0001:K:{POINT[:-1]}4"), "none of P-256"),
            (("--unbound", "--out", ""), "no name of a file"),
        ):
            self.assertEqual(self.issue(*more, typed=()), WRONG_USAGE, more)
            self.assertComplained(text)

    def test_whatNoLicenceCanSay(self):
        """Values that the server would refuse are refused here, by option."""
        for more in (
            ("--domain", "localhost"),
            ("--domain", "192.0.2.1"),
            ("--domain", "a" * 300),
            ("--feature", "Upper Case"),
            ("--product-version", "6.x"),
            ("--customer", "x" * 65),
            ("--customer", " Bank"),
            ("--customer", ""),
        ):
            code = self.issue("--unbound", *more, typed=())
            self.assertEqual(code, WRONG_USAGE, more)
            self.assertComplained(f"error: argument {more[0]}: ")
        code = self.issue(
            *(part for n in range(17) for part in ("--domain", f"a{n}.example")),
            typed=(),
        )
        self.assertEqual(code, FAILED)
        self.assertComplained("bindings does not have 0 to 16")
        self.assertEqual(os.listdir(self.directory / "ca" / "issued"), [])

    def test_addressesThatMatchNothing(self):
        """No licence is bound to what no host has, or to what every one has."""
        for text, cause in (
            ("127.0.0.1", "every machine has"),
            ("127.0.0.0/8", "every machine has"),
            ("::1", "every machine has"),
            ("169.254.1.1", "every machine has"),
            ("fe80::/10", "every machine has"),
            ("224.0.0.1", "no machine has"),
            ("ff02::1", "no machine has"),
            ("0.0.0.0", "no machine has"),
            ("255.255.255.255", "no machine has"),
            ("::ffff:192.0.2.2", "as an IPv4 address"),
            ("0.0.0.0/0", "say --unbound"),
            ("::/0", "say --unbound"),
        ):
            self.assertEqual(self.issue("--address", text, typed=()), WRONG_USAGE)
            self.assertComplained(cause)
        for text in ("10.0.0.0/8", "fd00::/8", "192.0.2.1"):
            self.assertEqual(self.issue("--address", text, "--force"), FINE)

    def test_endedAlready(self):
        """A licence of the past is made, and said to be one."""
        self.assertEqual(self.issue("--unbound", "--from", "2020-01-01"), FINE)
        self.assertComplained("has ended already, on 2020-12-31")

    def test_standardOutput(self):
        """ "-" is not the name of a file, and nothing else is written there."""
        self.assertEqual(
            self.run_command(
                *("issue", "--ca", self.path("ca"), "--customer", "Bank"),
                *("--users", "1", "--unbound", "--out", "-"),
            ),
            FINE,
        )
        licence = inspect_licence(self.output.getvalue().encode())
        self.assertEqual(licence.grant.customer, "Bank")
        self.assertFalse(Path("-").exists())

    def test_authoritysFiles(self):
        """Not even --force replaces a file of any CA."""
        self.issue("--unbound")
        ca = self.directory / "ca"
        (self.directory / "link").symlink_to(ca.absolute())
        issued = f"issued/{self.read().serial:x}.pem"
        before = {path: path.read_bytes() for path in ca.rglob("*.*")}
        for name in ("ca.key", "ca.pem", "ca.crl", issued, "issued/new.cer"):
            for directory in ("ca", "link"):
                out = f"{directory}/{name}"
                code = self.issue("--unbound", "--force", out=out, typed=())
                self.assertEqual(code, WRONG_USAGE, out)
                self.assertComplained("licence CA's own file")
        self.assertEqual({path: path.read_bytes() for path in ca.rglob("*.*")}, before)
        # A customer's copy of it is none.
        (self.directory / "ca.pem").write_bytes(b"")
        self.assertEqual(self.issue("--unbound", "--force", out="ca.pem"), FINE)

    def test_atOnce(self):
        """Of two that write one file the later one makes no licence."""
        self.issue("--unbound", out="first.cer")
        out = self.directory / "AnyChat.cer"

        def ask(prompt):
            (self.directory / "first.cer").rename(out)
            return PASSPHRASE

        self.patch(self, "ask", ask)
        self.assertEqual(self.issue("--unbound"), WRONG_USAGE)
        self.assertComplained("is there already; --force")
        self.assertEqual(len(os.listdir(self.directory / "ca" / "issued")), 1)

    def test_reportLost(self):
        """Where the report cannot be written, it is said that the licence is there."""
        self.typed[:] = [PASSPHRASE]
        with open("/dev/full", "w", encoding="utf-8") as full:
            console = Console(full, self.errors, self.ask, NOW, None)
            code = run(
                [
                    *("issue", "--ca", self.path("ca"), "--customer", "Bank"),
                    *("--users", "1", "--unbound", "--out", self.path("AnyChat.cer")),
                ],
                console,
            )
        self.assertEqual(code, FINE)
        self.assertComplained("this was done, but standard output: No space left")
        self.read()

    def test_unknownFeature(self):
        """A function that this version does not know is granted, and said."""
        self.assertEqual(self.issue("--unbound", "--feature", "holograms"), FINE)
        self.assertComplained("knows no function 'holograms'")
        self.assertEqual(self.read().grant.features, ("holograms",))

    def test_otherVersion(self):
        """A licence for another version than this one's is made, and said."""
        for versions in ("77", f"{OURS}.77", f"0{OURS}"):
            code = self.issue("--unbound", "--force", "--product-version", versions)
            self.assertEqual(code, FINE)
            self.assertComplained(
                f"not be for version {anychat.__version__}, which this program is of, "
                f"but for {versions}"
            )

    def test_pastTheAuthority(self):
        """A licence that would outlive its CA."""
        self.assertEqual(self.issue("--unbound", "--until", "2090-01-01"), FAILED)
        self.assertComplained("the licence CA ends on 2046-11-20")

    def test_authorityUnusable(self):
        """Not there, wrong pass phrase, damaged."""
        ca = self.directory / "ca"
        self.assertEqual(self.issue("--unbound", typed=["wrong wrong wrong"]), FAILED)
        self.assertComplained("is the pass phrase right?")
        (ca / "ca.key").write_bytes(b"")
        self.assertEqual(self.issue("--unbound"), FAILED)
        self.assertComplained("ca.key is missing or empty")
        (ca / "ca.pem").unlink()
        self.assertEqual(self.issue("--unbound"), FAILED)
        self.assertComplained("anychat-license ca")

    def test_nowhereToWrite(self):
        """The error names the file; the licence is kept all the same."""
        self.assertEqual(self.issue("--unbound", out="none/AnyChat.cer"), FAILED)
        self.assertComplained("none/AnyChat.cer: No such file")
        self.assertEqual(len(os.listdir(self.directory / "ca" / "issued")), 1)
        for name in (".", "/", "/dev/null"):
            code = self.issue("--unbound", "--force", "--out", name, typed=())
            self.assertEqual(code, WRONG_USAGE)
            self.assertComplained("is there, and is no file")

    def write_request(self, parts):
        """A customer's request, with a part that could not be read."""
        salt = bytes(16)
        request = Request(
            *("6.0", "2026-11-20T14:00:00Z", "machine"),
            salt.hex(),
            hash_parts(parts, salt),
            {"board-serial": "this user may not read it"},
        )
        (self.directory / "AnyChat.request").write_text(write_request(request))

    def test_request(self):
        """Bound to the machine of a request, as much of it as is asked for."""
        self.write_request(
            {"product-uuid": ("u",), "disk-serial": ("d", "e"), "mac-address": ("m",)}
        )
        code = self.issue("--request", self.path("AnyChat.request"), "--percent", "50")
        self.assertEqual(code, FINE, self.errors.getvalue())
        self.assertComplained("no board-serial: this user may not read it")
        [binding] = self.read().grant.bindings
        self.assertEqual(
            set(binding.hashes), {"product-uuid", "disk-serial", "mac-address"}
        )
        self.assertEqual(binding.threshold, -(-sum(binding.weights.values()) // 2))

    def test_requestThatSaysLittle(self):
        """The vendor is told if other machines would match as well."""
        self.write_request({"cpu-model": ("c",), "cpu-count": ("2",)})
        self.issue("--request", self.path("AnyChat.request"))
        self.assertComplained("machines of the same make")

    def test_requestThatIsNone(self):
        """A file that is no request: 810."""
        (self.directory / "AnyChat.request").write_text("{}")
        code = self.issue("--request", self.path("AnyChat.request"))
        self.assertEqual(code, FAILED)
        self.assertComplained("(810)")

    def test_ukeyPluggedIn(self):
        """A key of these numbers is read, if there is just one."""
        found = [UKeyBinding(0x1209, 1, "K", POINT)]
        self.patch(issuing, "read_ukeys", lambda vendor, product: found)
        self.assertEqual(self.issue("--ukey", "1209:0001"), FINE)
        self.assertEqual(self.read().grant.bindings, tuple(found))
        for keys, text in (([], "no USB key 1209:0001"), (found * 2, "leave one")):
            found[:] = keys
            code = self.issue("--ukey", "1209:0001", out="other.cer")
            self.assertEqual(code, FAILED)
            self.assertComplained(text)


class PassphraseFileTests(VendorCase):
    """``--passphrase-file``."""

    def setUp(self):
        super().setUp()
        self.make_ca()
        self.file = self.directory / "passphrase"

    def issue_with(self, data, mode=0o600):
        """Issue with a file of these bytes."""
        self.file.write_bytes(data)
        self.file.chmod(mode)
        return self.issue(
            *("--unbound", "--force", "--passphrase-file", str(self.file)), typed=()
        )

    def test_firstLine(self):
        """The first line counts, whatever it ends with."""
        for end in (b"", b"\n", b"\r\n", b"\nmore\n"):
            self.assertEqual(self.issue_with(PASSPHRASE.encode() + end), FINE)
            self.assertEqual(self.errors.getvalue(), "")

    def test_othersMayRead(self):
        """A file that others may read is used, with a warning."""
        self.assertEqual(self.issue_with(PASSPHRASE.encode(), 0o644), FINE)
        self.assertComplained("chmod 600")

    def test_unusable(self):
        """Empty, too long, no text, not there."""
        for data in (b"", b"\nx", b" " * 20, b"x" * 2000, b"\xff\xfe"):
            self.assertEqual(self.issue_with(data), WRONG_USAGE)
            self.assertComplained(str(self.file))
        self.issue_with(b"x" * 2000)
        self.assertComplained("is longer than 1024 bytes")
        code = self.issue("--unbound", "--passphrase-file", self.path("none"))
        self.assertEqual(code, WRONG_USAGE)
        self.assertComplained("none cannot be read: No such file")


class RenewTests(VendorCase):
    """``renew``."""

    def setUp(self):
        super().setUp()
        self.make_ca()
        self.issue("--domain", "a.example", "--feature", "standby", "--days", "30")
        self.former = self.read()

    def test_longer(self):
        """The same for longer, counted from the former's end."""
        self.now = NOW + 10 * DAY
        self.assertEqual(self.renew("--days", "100"), FINE, self.errors.getvalue())
        licence = self.read("new.cer")
        self.assertEqual(licence.grant, self.former.grant)
        self.assertNotEqual(licence.serial, self.former.serial)
        self.assertEqual(licence.not_before, self.now - timedelta(hours=1))
        self.assertEqual(licence.not_after, self.former.not_after + 100 * DAY)

    def test_afterItsEnd(self):
        """One that has expired is renewed from now."""
        self.now = NOW + 50 * DAY
        self.renew()
        self.assertEqual(self.read("new.cer").not_after, self.now + 365 * DAY)

    def test_changes(self):
        """What is given takes the place of what it said, bindings all together."""
        code = self.renew(
            *("--users", "0", "--feature", "distributed", "--customer", "Bank 2"),
            *("--address", "192.0.2.1", "--match", "any", "--product-version", "6"),
        )
        self.assertEqual(code, FINE, self.errors.getvalue())
        grant = self.read("new.cer", version="6.0").grant
        self.assertEqual((grant.customer, grant.max_users), ("Bank 2", 0))
        self.assertEqual(grant.features, ("distributed",))
        self.assertEqual(grant.bindings, (AddressBinding(("192.0.2.1",)),))
        self.assertFalse(grant.match_all)
        self.assertEqual(grant.versions, "6")

    def test_unbound(self):
        """The bindings can be taken off."""
        self.renew("--unbound")
        self.assertEqual(self.read("new.cer").grant.bindings, ())

    def test_bySerial(self):
        """The serial number of one that was issued is enough, as `inspect` has it."""
        for name in (f"{self.former.serial:x}", f"0x{self.former.serial:X}"):
            code = self.renew("--force", licence=name)
            self.assertEqual(code, FINE, self.errors.getvalue())
            self.assertEqual(self.read("new.cer").grant, self.former.grant)

    def test_unknown(self):
        """Neither a file nor a serial number of this CA."""
        for name in ("abc", "no.cer", "../ca"):
            self.assertEqual(self.renew(licence=name), FAILED)
            self.assertComplained("is no file with a licence")

    def test_withoutFeature(self):
        """Functions can be taken off, one or all, that are there."""
        self.issue("--unbound", "--force", "--feature", "standby", "--feature", "x")
        self.assertEqual(self.renew("--without-feature", "x"), FINE)
        self.assertEqual(self.read("new.cer").grant.features, ("standby",))
        code = self.renew(
            *("--without-feature", "x", "--without-feature", "standby", "--force")
        )
        self.assertEqual(code, FINE)
        self.assertEqual(self.read("new.cer").grant.features, ())
        self.assertEqual(self.renew("--without-feature", "y"), WRONG_USAGE)
        self.assertComplained("has no function 'y' to take off; it has standby, x")

    def test_revoked(self):
        """Who renews what was revoked is told, and who cannot know is told so."""
        self.run_command("revoke", "--ca", self.path("ca"), self.path("AnyChat.cer"))
        self.assertEqual(self.renew(), FINE)
        self.assertComplained(f"{self.former.serial:x} was revoked on 2026-11-20")
        for data, text in ((b"x", "no revocation list"), (b"", "missing or empty")):
            (self.directory / "ca" / "ca.crl").write_bytes(data)
            self.assertEqual(self.renew("--force"), FINE)
            self.assertComplained(text)

    def test_strangers(self):
        """Another CA's licence is not made one's own."""
        pem = authority().issue(self.former.grant, NOW, NOW + DAY)
        (self.directory / "alien.cer").write_bytes(pem)
        self.assertEqual(self.renew(licence=self.path("alien.cer")), FAILED)
        self.assertComplained("is not of this CA")


class RevokeTests(VendorCase):
    """``revoke``."""

    def setUp(self):
        super().setUp()
        self.make_ca()
        self.issue("--unbound")

    def revoke(self, *arguments):
        """Revoke; the exit code."""
        return self.run_command("revoke", "--ca", self.path("ca"), *arguments)

    def test_revoked(self):
        """A server with the list refuses it, and no other one."""
        self.issue("--unbound", out="other.cer")
        code = self.revoke(self.path("AnyChat.cer"), "--out", self.path("AnyChat.crl"))
        self.assertEqual(code, FINE, self.errors.getvalue())
        self.assertIn(f"revoked: {self.read().serial:x}", self.output.getvalue())
        with self.assertRaises(LicenceError):
            self.read(crl="AnyChat.crl")
        self.read("other.cer", crl="AnyChat.crl")
        self.assertEqual(
            (self.directory / "AnyChat.crl").read_bytes(),
            (self.directory / "ca" / "ca.crl").read_bytes(),
        )

    def test_all(self):
        """The list grows; serial numbers do, and several at once."""
        first = self.read().serial
        self.issue("--unbound", "--force")
        second = self.read().serial
        self.issue("--unbound", "--force")
        self.assertEqual(self.revoke(f"{first:x}"), FINE)
        self.assertEqual(self.revoke(f"{second:x}", self.path("AnyChat.cer")), FINE)
        crl = x509.load_pem_x509_crl((self.directory / "ca" / "ca.crl").read_bytes())
        self.assertEqual(
            {entry.serial_number for entry in crl}, {first, second, self.read().serial}
        )

    def test_allOrNothing(self):
        """One that is not this CA's, and none is revoked."""
        pem = authority().issue(self.read().grant, NOW, NOW + DAY)
        (self.directory / "alien.cer").write_bytes(pem)
        before = (self.directory / "ca" / "ca.crl").read_bytes()
        code = self.revoke(self.path("AnyChat.cer"), self.path("alien.cer"))
        self.assertEqual(code, FAILED)
        self.assertComplained("is not of this CA")
        self.assertEqual((self.directory / "ca" / "ca.crl").read_bytes(), before)

    def test_listUnusable(self):
        """A list that is gone or damaged is not begun anew, for it would forget."""
        crl = self.directory / "ca" / "ca.crl"
        for break_it in (lambda: crl.write_bytes(b"x"), crl.unlink):
            break_it()
            self.assertEqual(self.revoke(self.path("AnyChat.cer")), FAILED)
        self.assertComplained("ca.crl is missing or empty")
        self.assertComplained("last copy of the list")
        self.assertEqual(self.revoke("--new-list", self.path("AnyChat.cer")), FINE)
        with self.assertRaises(LicenceError):
            self.read(crl="ca/ca.crl")
        code = self.revoke("--new-list", self.path("AnyChat.cer"))
        self.assertEqual(code, WRONG_USAGE)
        self.assertComplained("a new list would forget it")

    def test_output(self):
        """A copy of the list takes an older one's place, and nothing else's."""
        for _ in range(2):
            code = self.revoke(
                self.path("AnyChat.cer"), "--out", self.path("AnyChat.crl")
            )
            self.assertEqual(code, FINE, self.errors.getvalue())
        self.assertEqual(self.revoke(self.path("AnyChat.cer"), "--out", "-"), FINE)
        x509.load_pem_x509_crl(self.output.getvalue().encode())
        key = (self.directory / "ca" / "ca.key").read_bytes()
        for name in ("ca/ca.key", "ca/ca.pem", "AnyChat.cer", "."):
            code = self.revoke(self.path("AnyChat.cer"), "--out", self.path(name))
            self.assertEqual(code, WRONG_USAGE)
            self.assertComplained("is there and not replaced")
        self.assertEqual((self.directory / "ca" / "ca.key").read_bytes(), key)

    def test_listDamaged(self):
        """The text names the list that is damaged."""
        (self.directory / "ca" / "ca.crl").write_bytes(b"x")
        self.assertEqual(self.revoke(self.path("AnyChat.cer")), FAILED)
        self.assertComplained("ca/ca.crl is no revocation list")

    def test_noLicence(self):
        """The text names the file that is none."""
        (self.directory / "x.txt").write_bytes(b"x")
        self.assertEqual(self.revoke(self.path("x.txt")), FAILED)
        self.assertComplained("x.txt is no certificate")

    def test_itself(self):
        """A root does not revoke itself, for which there is no way back."""
        before = (self.directory / "ca" / "ca.crl").read_bytes()
        self.assertEqual(self.revoke(self.path("ca/ca.pem")), FAILED)
        self.assertComplained("is this CA itself")
        self.assertEqual((self.directory / "ca" / "ca.crl").read_bytes(), before)

    def test_listFull(self):
        """A list that servers would not read is not written."""
        self.patch(authority_commands, "LONGEST_CRL", 400)
        crl = self.directory / "ca" / "ca.crl"
        before = crl.read_bytes()
        self.assertEqual(self.revoke(self.path("AnyChat.cer")), FAILED)
        self.assertComplained("larger than servers read")
        self.assertEqual(crl.read_bytes(), before)


class InspectTests(VendorCase):
    """``inspect``."""

    def setUp(self):
        super().setUp()
        self.make_ca()
        self.issue("--domain", "a.example")

    def inspect(self, *more, name="AnyChat.cer"):
        """Inspect; the exit code."""
        return self.run_command("inspect", self.path(name), *more, typed=())

    def test_unchecked(self):
        """Without a CA it is shown, and said that nobody vouches for it."""
        self.assertEqual(self.inspect(), FINE)
        self.assertIn("Bound to: domain: a.example\n", self.output.getvalue())
        self.assertIn("Signature: not checked", self.output.getvalue())

    def test_checked(self):
        """With the CA its signature is checked."""
        self.assertEqual(self.inspect("--ca", self.path("ca/ca.pem")), FINE)
        self.assertIn("Signature: of a CA that is trusted", self.output.getvalue())

    def assertNotValid(self, text, *more, **how):
        """It is shown, with what is wrong."""
        self.assertEqual(self.inspect(*more, **how), FAILED)
        self.assertIn("Customer: Bank", self.output.getvalue())
        self.assertIn("Not valid: ", self.output.getvalue())
        self.assertIn(text, self.output.getvalue())

    def test_notValid(self):
        """Another CA's, revoked, or at another time."""
        (self.directory / "ca").rename(self.directory / "other")
        self.make_ca()
        self.assertNotValid("(28)", "--ca", self.path("ca/ca.pem"))
        self.run_command("revoke", "--ca", self.path("other"), self.path("AnyChat.cer"))
        self.assertNotValid(
            "revoked",
            *("--ca", self.path("other/ca.pem")),
            *("--crl", self.path("other/ca.crl")),
        )
        self.now = NOW + 400 * DAY
        self.assertNotValid("it has expired (801)")
        self.now = NOW - DAY
        self.assertNotValid("it begins later (801)")

    def test_harmless(self):
        """A name in what somebody sent does not drive the terminal."""
        evil = make_authority("Vendor", "ed25519", NOW, 100 * DAY)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\n\x1b[2Jb")])
        ca = x509.CertificateBuilder(
            name,
            name,
            evil.key.public_key(),
            1,
            NOW,
            NOW + 2 * DAY,
            list(evil.certificate.extensions),
        ).sign(evil.key, None)
        pem = Authority(ca, evil.key).issue(self.read().grant, NOW, NOW + DAY)
        (self.directory / "evil.cer").write_bytes(pem)
        self.inspect("--ca", self.path("ca/ca.pem"), name="evil.cer")
        self.assertIn("Issuer: CN=a\\n\\x1b[2Jb\n", self.output.getvalue())
        self.assertNotIn("\x1b", self.output.getvalue())

    def test_unreadable(self):
        """Not there, or no licence."""
        self.assertEqual(self.inspect(name="none"), WRONG_USAGE)
        self.assertComplained("none is not there")
        self.assertEqual(self.inspect(name="ca/ca.pem"), FAILED)
        self.assertComplained("(802)")
        self.assertEqual(self.inspect(name="ca"), FAILED)
        self.assertComplained("ca is a directory (800)")
        code = self.inspect("--crl", self.path("ca/ca.crl"))
        self.assertEqual(code, WRONG_USAGE)
        self.assertComplained("--crl needs --ca")


class SecretTests(VendorCase):
    """What nobody may see."""

    def test_output(self):
        """Neither key nor pass phrase is written anywhere but into ca.key."""
        self.make_ca()
        self.issue("--unbound")
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        for path in files:
            self.assertNotIn(PASSPHRASE.encode(), path.read_bytes())
            if path.name != "ca.key":
                self.assertNotIn(b"PRIVATE", path.read_bytes())
        self.assertEqual(
            inspect_licence(
                (self.directory / "AnyChat.cer").read_bytes()
            ).grant.customer,
            "Bank",
        )
