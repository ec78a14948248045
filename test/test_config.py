"""AnyChatCoreServer.ini: what is read, what is refused, and the documentation."""

import dataclasses
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat import config
from anychat.config import Config, load
from anychat.config_keys import Disallowed, attribute, check, specification
from anychat.errors import ConfigError
from test.config_files import MANUAL, FileCase

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "etc" / "AnyChatCoreServer.ini"


#: Keys of the product that are not in its sample file.
LATER = {"ShowTrayIcon", "VideoPreset", "StreamTransMode", "ExternFlags"}
#: Keys of our own in the product's sections.
OURS = {"LicenseCA", "RingTimeout"}
#: Our own sections.
OWN = {"Network", "TLS", "Business", "Http", "Media", "Signature", "Transfer"}


def entries(text: str) -> dict[str, dict[str, str]]:
    """What a plain file says, by section and key, read in the plainest way."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section[key] = value
    return found


def default(rule: str) -> str:
    """The default that a rule of the specification names."""
    named = re.search(r"default=(.*)\)$", rule)
    assert named, rule
    return named[1].strip("'")


class ReadingTests(FileCase):
    """Files that are taken."""

    def test_manualsFile(self):
        """The manual's sample file loads unchanged and without a warning."""
        loaded = self.load(MANUAL)
        self.assertEqual(loaded.warnings, ())
        for section, keys in entries(MANUAL).items():
            values = getattr(loaded, config.SECTIONS[section][0])
            for key, text in keys.items():
                value = check(specification()[section][key], text)
                if key not in ("TempFilePath", "SaveLogRootDir"):
                    self.assertEqual(getattr(values, attribute(key)), value, key)

    def test_missingFile(self):
        """Without a file the defaults hold, and the product's warning is given."""
        loaded = load(self.path)
        self.assertEqual(
            loaded.warnings,
            ("load config file(AnyChatCoreServer.ini) failed, use default settings!",),
        )
        empty = dataclasses.replace(self.load(""), warnings=loaded.warnings)
        self.assertEqual(loaded, empty)

    def test_defaultsAreTheTexts(self):
        """Where the manual contradicts itself, an absent key has the text's value."""
        loaded = self.load("")
        self.assertEqual(loaded.video.video_gop_size, 40)
        self.assertEqual(loaded.video.video_bitrate, 60000)
        self.assertFalse(loaded.function.close_front_link)
        self.assertEqual(loaded.function.sdk_filter_plus, "")

    def test_passwordIsNotShown(self):
        """No representation of the settings holds the password."""
        loaded = self.load("[Base Settings]\nSDKAuthPass=hush\n")
        self.assertNotIn("hush", repr(loaded))
        self.assertNotIn("hush", str(loaded.base))

    def test_relativePaths(self):
        """File names start at the configuration's directory, not at ours."""
        (self.directory / "own.pem").write_text("")
        loaded = self.load(
            "[Base Settings]\nLicenseCA=vendor.pem\n"
            "[Function Settings]\nTempFilePath=up\n"
            "[Debug Settings]\nSaveLogRootDir=/var/log/clients\n"
            "[TLS Settings]\nCertificateFile=own.pem\nPrivateKeyFile=own.pem\n"
        )
        self.assertEqual(loaded.function.temp_file_path, self.directory / "up")
        # It need not be there: the ports are opened without a licence.
        self.assertEqual(loaded.base.license_ca, self.directory / "vendor.pem")
        self.assertEqual(loaded.debug.save_log_root_dir, Path("/var/log/clients"))
        self.assertEqual(loaded.tls.certificate_file, self.directory / "own.pem")
        self.assertEqual(loaded.tls.private_key_file, self.directory / "own.pem")

    def test_defaultPaths(self):
        """What no file name is given for stands beside the configuration."""
        loaded = self.load("")
        self.assertEqual(loaded.function.temp_file_path, self.directory / "temp")
        self.assertIsNone(loaded.base.license_ca)
        self.assertEqual(loaded.debug.save_log_root_dir, self.directory / "clientlog")
        self.assertEqual(loaded.tls.certificate_file, None)
        self.assertEqual(loaded.log_path, self.directory / "AnyChatCoreServer.log")
        self.assertEqual(loaded.pid_path, self.directory / "AnyChatCoreServer.pid")
        self.assertEqual(loaded.own_certificate_path.parent, self.directory)
        self.assertEqual(loaded.own_private_key_path.parent, self.directory)

    def test_addresses(self):
        """Address lists take both families, once each."""
        loaded = self.load(
            "[Media Settings]\nPublicAddress=203.0.113.1, 2001:DB8::1,203.0.113.1\n"
            "[Network Settings]\nListenAddress=0.0.0.0,::\n"
        )
        self.assertEqual(loaded.media.public_address, ("203.0.113.1", "2001:db8::1"))
        self.assertEqual(loaded.network.listen_address, ("0.0.0.0", "::"))

    def test_noTLSWarns(self):
        """Without TLS nobody beyond this machine gets in, which is told."""
        [warning] = self.warnings("[TLS Settings]\nEnable=0\n")
        self.assertIn("line 2: [TLS Settings] Enable: without TLS", warning)
        self.assertIn("another machine", warning)
        [warning] = self.warnings("[TLS Settings]\nEnable=0\nAllowPlain=1\n")
        self.assertNotIn("another machine", warning)


class RefusingTests(FileCase):
    """Files that are refused."""

    def test_allAtOnce(self):
        """Everything that is wrong is told at once, in the file's order."""
        self.assertEqual(
            self.errors(
                "[Base Settings]\nTCPListenPort=99999\nnonsense\nDemoMode=yes\n"
                "[Video Settings]\nVideoFPS=26\nVideoWidth=321\nVideoCodec=7\n"
                "[Media Settings]\nPublicAddress=host.example\n"
            ),
            [
                ", line 2: [Base Settings] TCPListenPort='99999': allowed is a whole "
                "number from 1 to 65535",
                ", line 3: neither [Section] nor Key=value nor a comment (# or ;)",
                ", line 4: [Base Settings] DemoMode='yes': allowed is 0 or 1",
                ", line 6: [Video Settings] VideoFPS='26': allowed is a whole number "
                "from 1 to 25",
                ", line 7: [Video Settings] VideoWidth='321': allowed is an even "
                "number from 16 to 7680",
                ", line 8: [Video Settings] VideoCodec='7': allowed is one of 1, 2, "
                "101",
                ", line 10: [Media Settings] PublicAddress='host.example': allowed is "
                "IP addresses that clients can send to, separated by commas, or "
                "nothing",
            ],
        )

    def test_passwordTooLong(self):
        """More than 64 bytes of UTF-8 are refused, and not shown."""
        self.load("[Base Settings]\nSDKAuthPass=" + "x" * 64)
        self.load("[Base Settings]\nSDKAuthPass=" + "密" * 21)
        for password in ("x" * 65, "密" * 22):
            self.assertEqual(
                self.errors(f"[Base Settings]\nSDKAuthPass={password}"),
                [
                    ", line 2: [Base Settings] SDKAuthPass (not shown): allowed is "
                    "printable text of at most 64 bytes"
                ],
            )

    def test_numbers(self):
        """A number is digits alone: no sign, no point, no letters, not nothing."""
        for value in ("", "-1", "+1", "1.0", "0x1", "1_0", "１", "1 2", "9" * 30):
            self.errors(f"[Base Settings]\nServerID={value}")

    def test_standbyIsRefused(self):
        """A standby that this version cannot be does not start as a master."""
        [error] = self.errors("[Standby Server Settings]\nSlaveMode=1\n")
        self.assertIn(", line 2: [Standby Server Settings] SlaveMode='1'", error)
        self.assertIn("not in this version", error)

    def test_timeoutMustExceedCheckTime(self):
        """Links that would end between two heartbeats are refused."""
        [error] = self.errors("[Function Settings]\nNetCheckTime=20000\n")
        self.assertIn("NetTimeoutTime (not given): allowed is more than", error)

    def test_portsMustDiffer(self):
        """Two listeners on one TCP port are refused before they clash."""
        [error] = self.errors("[Http Settings]\nListenPort=8906\n")
        self.assertIn("a port other than TCPListenPort", error)

    def test_certificateNeedsKey(self):
        """A certificate without its key, or a file that is not there, is refused."""
        (self.directory / "own.pem").write_text("")
        [error] = self.errors("[TLS Settings]\nCertificateFile=own.pem\n")
        self.assertEqual(
            error,
            ": [TLS Settings] PrivateKeyFile (not given): must name a file, as "
            "CertificateFile does",
        )
        [error] = self.errors(
            "[TLS Settings]\nCertificateFile=\nPrivateKeyFile=own.pem"
        )
        self.assertEqual(
            error,
            ", line 2: [TLS Settings] CertificateFile='': must name a file, as "
            "PrivateKeyFile does",
        )
        errors = self.errors(
            "[TLS Settings]\nCertificateFile=own.pem\nPrivateKeyFile=gone.pem\n"
        )
        self.assertEqual(
            errors,
            [
                ", line 3: [TLS Settings] PrivateKeyFile='gone.pem': there is no "
                f"file {self.directory}/gone.pem"
            ],
        )

    def test_unusableAddresses(self):
        """Clients are not told addresses that nobody can send to."""
        for value in ("0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "1.2.3.4,"):
            self.errors(f"[Media Settings]\nPublicAddress={value}\n")
        self.errors("[Http Settings]\nListenAddress=\n")
        self.errors("[Standby Server Settings]\nMasterServerIP=master\n")

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=200), st.sampled_from(["", "[Base Settings]\n", MANUAL]))
    def test_anyBytes(self, data, start):
        """Whatever a file holds, it is loaded or refused, and nothing else."""
        self.path.write_bytes(start.encode() + data)
        try:
            loaded = load(self.path)
        except ConfigError as error:
            self.assertTrue(str(error).startswith(str(self.path)))
        else:
            self.assertIsInstance(loaded, Config)


class SpecificationTests(SynchronousTestCase):
    """coreserver.spec, the dataclasses, etc/ and docs/ say the same."""

    def test_dataclasses(self):
        """Every key has a field of its type, and every field has a key."""
        self.assertEqual(set(config.SECTIONS), set(specification()))
        for section, rules in specification().items():
            kind = config.SECTIONS[section][1]
            self.assertEqual(
                [attribute(key) for key in rules],
                [field.name for field in dataclasses.fields(kind)],
            )

    def test_manualKeys(self):
        """The product's sections hold the manual's keys and the known later ones."""
        sample = entries(MANUAL)
        for section, rules in specification().items():
            if section.removesuffix(" Settings") in OWN:
                self.assertNotIn(section, sample)
            else:
                known = set(rules) - LATER - OURS
                self.assertEqual(known, set(sample[section]), section)

    def test_shippedFile(self):
        """etc/ has every key; its values are the manual's, else the defaults."""
        self.assertEqual(load(SHIPPED).warnings, ())
        shipped = entries(SHIPPED.read_text(encoding="utf-8"))
        sample = entries(MANUAL)
        self.assertEqual(list(shipped), list(specification()))
        for section, rules in specification().items():
            self.assertEqual(list(shipped[section]), list(rules))
            for key, value in shipped[section].items():
                expected = sample.get(section, {}).get(key, default(rules[key]))
                self.assertEqual(value, expected, key)

    def test_shippedFileSaysWhereItDiffers(self):
        """A comment names the default where the shipped value is another."""
        text = SHIPPED.read_text(encoding="utf-8")
        for section, keys in entries(MANUAL).items():
            for key, value in keys.items():
                rule = specification()[section][key]
                if value != default(rule):
                    comment = text[: text.index(f"\n{key}=")].rpartition("\n\n")[2]
                    self.assertIn("default without this line is", comment, key)

    def documented(self) -> dict[str, dict[str, list[str]]]:
        """The rows of docs/configuration.md: cells by section and key."""
        found: dict[str, dict[str, list[str]]] = {}
        rows: dict[str, list[str]] = {}
        text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        for line in text.splitlines():
            if heading := re.fullmatch(r"## \[(.+)\]", line):
                rows = found.setdefault(heading[1], {})
            elif row := re.fullmatch(r"\| `(\w+)` \|(.*)\|", line):
                rows[row[1]] = [cell.strip(" `") for cell in row[2].split("|")]
        return found

    def test_documentation(self):
        """docs/configuration.md has every key with default, shipped value, range."""
        documented = self.documented()
        shipped = entries(SHIPPED.read_text(encoding="utf-8"))
        self.assertEqual(list(documented), list(specification()))
        for section, rules in specification().items():
            self.assertEqual(list(documented[section]), list(rules))
            for key, rule in rules.items():
                default_cell, shipped_cell, allowed, meaning = documented[section][key]
                self.assertEqual(default_cell or "", default(rule), key)
                self.assertEqual(shipped_cell, shipped[section][key], key)
                refused = self.assertRaises(Disallowed, check, rule, "\0")
                self.assertEqual(allowed, refused.allowed, key)
                self.assertGreater(len(meaning), 10, key)
