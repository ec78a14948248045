"""AnyChatServerSDK.ini: what is read, what is refused, and the documentation."""

import os
import re
from dataclasses import fields
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.business.settings import Settings, load
from anychat.config_keys import attribute
from anychat.errors import ConfigError
from test.test_layering import ROOT

#: The fields that are keys of the file.
KEYS = [item.name for item in fields(Settings) if item.name not in ("path", "warnings")]
SHIPPED = ROOT / "etc" / "AnyChatServerSDK.ini"
PIN = "ab" * 32

#: Lines of [Base Settings] -> what the error says of them.
REFUSED = {
    "ServerIpAddr=": "line 2: [Base Settings] ServerIpAddr='': allowed is an IP "
    "address or a host name",
    "ServerIpAddr=1.2.3": "allowed is an IP address or a host name",
    "ServerIpAddr=core server": "allowed is an IP address or a host name",
    "ServerIpAddr=-core": "allowed is an IP address or a host name",
    "ServerIpAddr=a..b": "allowed is an IP address or a host name",
    "ServerIpAddr=fe80::1%eth0": "allowed is an IP address or a host name",
    "ServerPort=0": "allowed is a whole number from 1 to 65535",
    "ServerPort=http": "allowed is a whole number from 1 to 65535",
    "Name=": "allowed is 1 to 64 printable characters",
    f"Name={'x' * 65}": "allowed is 1 to 64 printable characters",
    "TLS=yes": "[Base Settings] TLS='yes': allowed is one of auto, on, off",
    "Fingerprint=abc": "allowed is a SHA-256 of 64 hex digits, or nothing",
    "CAFile=none.pem": "[Base Settings] CAFile='none.pem': there is no file",
    f"SDKAuthPass={'x' * 65}": "SDKAuthPass (not shown): allowed is printable text",
    f"Fingerprint={PIN}\nCAFile=ca.pem": "CAFile='ca.pem': is one way to know the "
    "core server, Fingerprint another",
    "ServerIpAddr=10.0.0.1\nSDKAuthPass=p\nTLS=off": "TLS='off': allowed is auto or "
    "on, since ServerIpAddr (10.0.0.1) is another machine",
    f"ServerIpAddr=core\nFingerprint={PIN}": "SDKAuthPass (not given): must be that "
    "of AnyChatCoreServer.ini",
    "ServerIpAddr=core\nSDKAuthPass=p": "Fingerprint (not given): must be the SHA-256 "
    "that the core server's log names",
}


class SettingsTests(SynchronousTestCase):
    """One file after the other."""

    def setUp(self):
        """A directory for the file."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.path = self.directory / "AnyChatServerSDK.ini"
        (self.directory / "ca.pem").write_text("")

    def load(self, lines):
        """Read these lines of [Base Settings]."""
        self.path.write_text(f"[Base Settings]\n{lines}\n", encoding="utf-8")
        return load(self.path)

    def test_manual(self):
        """The manual's one line, on this machine, with the defaults of all others."""
        read = self.load("ServerIpAddr=127.0.0.1")
        self.assertEqual(read, Settings(path=self.path))
        self.assertFalse(read.secure)

    def test_all(self):
        """Every key."""
        shown = ":".join([PIN[:2]] * 32).upper()
        read = self.load(
            "ServerIpAddr=core.example.org\nServerPort=18909\nSDKAuthPass=a # b\n"
            f"Name=shop 2\nTLS=on\nFingerprint=sha256:{shown}"
        )
        self.assertEqual(
            (read.server_ip_addr, read.server_port, read.sdk_auth_pass, read.name),
            ("core.example.org", 18909, "a # b", "shop 2"),
        )
        self.assertEqual((read.tls, read.fingerprint), ("on", PIN))
        self.assertEqual(len(read.warnings), 1)
        self.assertNotIn("a # b", repr(read))

    def test_authority(self):
        """A CAFile stands beside the file."""
        read = self.load("ServerIpAddr=::ffff:10.0.0.1\nSDKAuthPass=p\nCAFile=ca.pem")
        self.assertEqual(read.ca_file, self.directory / "ca.pem")
        self.assertTrue(read.secure)

    def test_missing(self):
        """Without a file there is a warning, and a core on this machine."""
        before = Path.cwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.directory)
        read = load()
        self.assertEqual(
            read.warnings,
            ("load config file(AnyChatServerSDK.ini) failed, use default settings!",),
        )
        self.assertEqual(read.server_ip_addr, "127.0.0.1")

    def test_missingThoughNamed(self):
        """A file that somebody has named has to be there."""
        error = self.assertRaises(ConfigError, load, self.path)
        self.assertEqual(str(error), f"{self.path}: no such file")

    def test_notLookedAt(self):
        """A certificate that a plain connection does not show is a warning."""
        for line in ("Fingerprint=" + "ab" * 32, "CAFile=ca.pem"):
            read = self.load(line)
            key = line.partition("=")[0]
            self.assertEqual(
                read.warnings,
                (
                    f"{self.path.name}, line 2: [Base Settings] {key}: is not looked "
                    "at, for the connection is not TLS",
                ),
            )
            self.assertEqual(self.load(f"{line}\nTLS=on").warnings, ())

    def test_ofAProgram(self):
        """What a program gives itself is held against the same rules."""
        Settings(name="x" * 64).check()
        for wrong in (
            {"name": "x" * 65},
            {"name": "a\nb"},
            {"name": ""},
            {"server_port": 0},
            {"server_port": "x"},
            {"server_ip_addr": "a b"},
            {"tls": "maybe"},
        ):
            error = self.assertRaises(ConfigError, Settings(**wrong).check)
            self.assertIn(f"={str(*wrong.values())!r}: allowed is ", str(error))
            self.assertNotIn("\n", str(error))

    def test_noDirectory(self):
        """A directory that is not there is an error."""
        error = self.assertRaises(ConfigError, load, self.directory / "gone" / "x.ini")
        self.assertIn("no such directory", str(error))

    def test_refused(self):
        """Each wrong value is told with file, line, key, value and what is allowed."""
        for lines, text in REFUSED.items():
            error = self.assertRaises(ConfigError, self.load, lines)
            self.assertIn(text, str(error), lines)
            self.assertTrue(str(error).startswith(str(self.path)), lines)
            self.assertNotIn("x" * 65 if "Pass" in lines else "\0", str(error))

    def test_unknown(self):
        """A key that does not exist is a warning that names a likely one."""
        read = self.load("ServerIpAdr=10.0.0.1\nName=a")
        (warning,) = read.warnings
        self.assertIn("ServerIpAdr is not known, ignored (is ServerIpAddr", warning)

    def test_local(self):
        """Which hosts are this machine."""
        for host, local in {
            "127.0.0.1": True,
            "127.9.9.9": True,
            "::1": True,
            "localhost": True,
            "LocalHost.": True,
            "10.0.0.1": False,
            "core": False,
            "localhost.example.org": False,
        }.items():
            self.assertEqual(Settings(host).is_local, local, host)

    def test_checkedWithoutFile(self):
        """Settings that a program makes itself are held to the same rules."""
        error = self.assertRaises(ConfigError, Settings("10.0.0.1").check)
        self.assertEqual(
            re.findall(r"^\[Base Settings\] (\w+):", str(error), re.M),
            ["SDKAuthPass", "Fingerprint"],
        )

    @settings(deadline=None, max_examples=100)
    @given(
        st.dictionaries(
            st.sampled_from(
                ["ServerIpAddr", "ServerPort", "SDKAuthPass", "Name", "TLS", "CAFile"]
            ),
            st.text(max_size=40),
        )
    )
    def test_anything(self, keys):
        """Whatever stands there, it is read or refused as a whole."""
        text = "".join(f"{key}={value}\n" for key, value in keys.items())
        data = f"[Base Settings]\n{text}".encode(errors="replace")
        self.path.write_bytes(data)
        try:
            read = load(self.path)
        except ConfigError as error:
            self.assertIn(str(self.path), str(error))
        else:
            read.check()


class DocumentationTests(SynchronousTestCase):
    """The file that is shipped and docs/business.md have every key."""

    def test_shipped(self):
        """etc/ has every key, with the default."""
        text = SHIPPED.read_text(encoding="utf-8")
        found = re.findall(r"^#?(\w+)=(.*)$", text, re.M)
        self.assertEqual([attribute(key) for key, _ in found], KEYS)
        defaults = Settings()
        for key, value in found:
            default = getattr(defaults, attribute(key))
            self.assertEqual(value, "" if default is None else str(default), key)
        self.assertEqual(load(SHIPPED).warnings, ())

    def test_documented(self):
        """The table of settings has every key with its default."""
        text = (ROOT / "docs" / "business.md").read_text(encoding="utf-8")
        found = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? *\| \S", text, re.M)
        told = {attribute(key): default for key, default in found}
        defaults = {
            name: "" if (value := getattr(Settings(), name)) is None else str(value)
            for name in KEYS
        }
        self.assertEqual({key: told.get(key) for key in defaults}, defaults)
