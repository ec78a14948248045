"""``etc/installukey.sh``, with a directory of its own for the rules."""

import grp
import os
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from test.test_layering import ROOT

NAME = "60-anychat-ukey.rules"

#: A udevadm that writes down what it is asked.
UDEVADM = """#!/bin/sh
echo "$@" >>"$UDEVADM_LOG"
"""


class InstallTests(SynchronousTestCase):
    """What the script leaves behind."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.rules = self.directory / "rules.d"
        self.log = self.directory / "udevadm.log"
        udevadm = self.directory / "udevadm"
        udevadm.write_text(UDEVADM, encoding="ascii")
        udevadm.chmod(0o755)
        self.group = grp.getgrgid(os.getgid()).gr_name

    def run_script(self, *arguments, status=0):
        """Its output, all of it."""
        done = subprocess.run(
            [ROOT / "etc/installukey.sh", *arguments],
            env={
                "PATH": f"{self.directory.resolve()}:{os.environ['PATH']}",
                "UDEV_RULES_DIR": str(self.rules.resolve()),
                "UDEVADM_LOG": str(self.log.resolve()),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, output)
        return output

    def test_install(self):
        """The rule has the group, everybody may read it, and udev is told."""
        output = self.run_script("-g", self.group)
        rule = self.rules / NAME
        self.assertIn(NAME, output)
        self.assertIn(
            f'ATTR{{product}}=="AnyChat UKey", GROUP="{self.group}", MODE="0660"',
            rule.read_text(encoding="ascii"),
        )
        self.assertEqual(rule.stat().st_mode & 0o777, 0o644)
        self.assertEqual(list(self.rules.iterdir()), [rule])
        self.assertEqual(
            self.log.read_text(encoding="ascii").splitlines(),
            [
                "control --reload",
                "trigger --action=change --subsystem-match=usb",
            ],
        )

    def test_template(self):
        """With the template's own group the rule is the template."""
        self.run_script("-g", self.group)
        template = (ROOT / "etc" / NAME).read_text(encoding="ascii")
        installed = (self.rules / NAME).read_text(encoding="ascii")
        self.assertEqual(
            installed.replace(f'GROUP="{self.group}"', 'GROUP="anychat"'), template
        )

    def test_otherKeys(self):
        """Keys of other names come by vendor and product, before the label."""
        self.run_script("-g", self.group, "1209:00AB", "1209:0002")
        lines = (self.rules / NAME).read_text(encoding="ascii").splitlines()
        self.assertEqual(
            lines[-3:],
            [
                f'ATTR{{idVendor}}=="1209", ATTR{{idProduct}}=="{product}", '
                f'GROUP="{self.group}", MODE="0660"'
                for product in ("00ab", "0002")
            ]
            + ['LABEL="anychat_ukey_end"'],
        )

    def test_again(self):
        """A second time changes nothing but what is asked."""
        self.run_script("-g", self.group, "1209:0001")
        self.run_script("-g", self.group)
        self.assertNotIn("1209", (self.rules / NAME).read_text(encoding="ascii"))

    def test_remove(self):
        """It takes back what it did, and says so where there is nothing."""
        self.run_script("-g", self.group)
        self.run_script("-r")
        self.assertEqual(list(self.rules.iterdir()), [])
        self.assertIn("is not there", self.run_script("-r", status=1))

    def test_noGroup(self):
        """A group that there is not is refused, with what to do about it."""
        output = self.run_script("-g", "no-such-group-here", status=1)
        self.assertIn("-g GROUP", output)
        self.assertFalse(self.rules.exists())

    def test_wrongArguments(self):
        """Nothing that is not a group or a key's ids comes into a rule."""
        for arguments in (
            ("-g", 'a"b'),
            ("-g", ""),
            ("-x",),
            ("-g", self.group, "1209"),
            ("-g", self.group, "1209:00g1"),
            ("-g", self.group, "12:9:0001"),
            ("-g", self.group, '1209:000"'),
        ):
            self.run_script(*arguments, status=1)
        self.assertFalse(self.rules.exists())

    def test_unwritable(self):
        """Where the rule cannot be written it says so and leaves nothing."""
        self.rules.write_text("in the way", encoding="ascii")
        self.assertIn("root", self.run_script("-g", self.group, status=1))


class ServiceTests(SynchronousTestCase):
    """What else the server's user needs for UKeys."""

    def test_netlink(self):
        """libusb may open the socket by which it hears what is plugged in."""
        unit = (ROOT / "etc/anychat.service").read_text(encoding="ascii")
        families = re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.M)[1]
        self.assertIn("AF_NETLINK", families.split())
