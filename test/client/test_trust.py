"""Which servers a client takes for the right ones."""

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.trust import (
    AnyCertificate,
    Authority,
    Fingerprint,
    KnownServers,
    address_text,
    known_servers_path,
    parse_fingerprint,
)
from anychat.codes import ResultCode
from anychat.errors import ConfigError, Refused

ONE = "1a" * 32
OTHER = "2b" * 32


class FingerprintTests(SynchronousTestCase):
    """Pinned certificates."""

    def test_parse(self):
        """What tools print is understood."""
        colons = ":".join(["1A"] * 32)
        for text in (ONE, colons, f"sha256:{ONE}", f"SHA256={colons}", f" {ONE} "):
            self.assertEqual(parse_fingerprint(text), ONE)

    def test_parseRefuses(self):
        """Anything but 64 hex digits is refused, a SHA-1 too."""
        for text in ("", "1a" * 20, "1a" * 31 + "1", "zz" * 32, ONE + "00"):
            self.assertRaises(ConfigError, parse_fingerprint, text)

    def test_check(self):
        """Only the pinned certificate will do."""
        trust = Fingerprint(ONE.upper())
        trust.check("host", 8906, ONE)
        error = self.assertRaises(Refused, trust.check, "host", 8906, OTHER)
        self.assertEqual(error.code, ResultCode.CERTVERIFYFAIL)
        self.assertIn(OTHER, str(error))

    def test_any(self):
        """Without any check every certificate will do."""
        AnyCertificate().check("host", 8906, OTHER)


class AuthorityTests(SynchronousTestCase):
    """Certificates of authorities."""

    def test_unreadable(self):
        """A file that is missing or holds no certificate is a clear error."""
        path = self.mktemp()
        self.assertIn(path, str(self.assertRaises(ConfigError, Authority, path)))
        for content in (
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ):
            Path(path).write_text(content)
            self.assertIn(path, str(self.assertRaises(ConfigError, Authority, path)))


class KnownServersTests(SynchronousTestCase):
    """Trust on first use."""

    def setUp(self):
        """A list that does not exist yet, in a directory that does not either."""
        self.path = Path(self.mktemp()) / "anychat" / "known_servers"
        self.trust = KnownServers(self.path)

    def test_firstUse(self):
        """The first certificate is written down, readable by the owner alone."""
        self.trust.check("Host", 8906, ONE)
        self.assertEqual(self.path.read_text(), f"host:8906 sha256:{ONE}\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)

    def test_again(self):
        """The same certificate is taken again, and not written twice."""
        self.trust.check("host", 8906, ONE)
        self.trust.check("HOST", 8906, ONE)
        self.assertEqual(len(self.path.read_text().splitlines()), 1)

    def test_changed(self):
        """Another certificate is refused with what to do about it."""
        self.trust.check("::1", 8906, OTHER)
        self.trust.check("host", 8906, ONE)
        error = self.assertRaises(Refused, self.trust.check, "host", 8906, OTHER)
        self.assertEqual(error.code, ResultCode.CERTVERIFYFAIL)
        for part in (ONE, OTHER, "delete line 2", str(self.path)):
            self.assertIn(part, str(error))
        self.assertRaises(Refused, self.trust.check, "host", 8906, OTHER)

    def test_portsDiffer(self):
        """Two servers on one host are two servers."""
        self.trust.check("host", 8906, ONE)
        self.trust.check("host", 8907, OTHER)
        self.trust.check("host", 8906, ONE)

    def test_commentsAndMissingNewline(self):
        """An edited file works: comments, blank lines, no newline at the end."""
        self.path.parent.mkdir(parents=True)
        self.path.write_text(f"# mine\n\nhost:8906 sha256:{ONE}  # office")
        self.trust.check("host", 8906, ONE)
        self.trust.check("other", 8906, OTHER)
        self.trust.check("other", 8906, OTHER)
        self.assertRaises(Refused, self.trust.check, "host", 8906, OTHER)

    def test_brokenLine(self):
        """A line that cannot be read does not make its server a new one."""
        self.path.parent.mkdir(parents=True)
        self.path.write_text("host:8906 sha256:12\n")
        error = self.assertRaises(Refused, self.trust.check, "host", 8906, ONE)
        self.assertIn("line 1", str(error))

    def test_unreadable(self):
        """A list that cannot be read or written refuses."""
        self.path.mkdir(parents=True)
        self.assertRaises(Refused, self.trust.check, "host", 8906, ONE)
        below = self.path.parent / "file"
        below.write_text("")
        trust = KnownServers(below / "known_servers")
        self.assertRaises(Refused, trust.check, "host", 8906, ONE)

    def test_binary(self):
        """A list that is no text refuses."""
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"# mine\n\xff\xfe\x00")
        error = self.assertRaises(Refused, self.trust.check, "host", 8906, ONE)
        self.assertIn("line 2 of", str(error))

    def test_path(self):
        """XDG_CONFIG_HOME is honoured if absolute, as its specification says."""
        home = {"HOME": "/home/ann"}
        usual = Path("/home/ann/.config/anychat/known_servers")
        self.assertEqual(known_servers_path(home), usual)
        self.assertEqual(
            known_servers_path({**home, "XDG_CONFIG_HOME": "/etc/x"}),
            Path("/etc/x/anychat/known_servers"),
        )
        self.assertEqual(known_servers_path({**home, "XDG_CONFIG_HOME": "x"}), usual)
        self.assertTrue(os.path.isabs(known_servers_path({})))

    def test_addressText(self):
        """An IPv6 literal is written in brackets."""
        self.assertEqual(address_text("::1", 8906), "[::1]:8906")
        self.assertEqual(address_text("host", 8906), "host:8906")
