"""Stored passwords."""

from twisted.trial.unittest import SynchronousTestCase

from anychat.business.sample.passwords import NOBODY, matches, stored

#: "apple" as it was stored once, with costs that are no longer ours.
OLD = (
    "scrypt$2$8$1$AAAAAAAAAAAAAAAAAAAAAA==$6wS9ztfgOqA0weJp+BTycxFMDBPS/h3EmUfxTwH7In0="
)


class PasswordTests(SynchronousTestCase):
    """What scrypt makes of them."""

    def test_matches(self):
        """A stored password matches itself and nothing else."""
        line = stored("apfel ü")
        self.assertTrue(matches("apfel ü", line))
        for other in ("", "apfel u", "Apfel ü", "apfel ü "):
            self.assertFalse(matches(other, line), other)

    def test_stored(self):
        """The line does not show the password, nor that two have the same."""
        one, two = stored("apple"), stored("apple")
        self.assertNotEqual(one, two)
        self.assertRegex(one, r"^scrypt\$16384\$8\$5\$[\w+/=]{24}\$[\w+/=]{44}$")

    def test_nobody(self):
        """What stands for an unknown user has the same costs, and matches nothing."""
        self.assertEqual(NOBODY.split("$")[:4], stored("apple").split("$")[:4])
        self.assertFalse(matches("", NOBODY))

    def test_otherCosts(self):
        """A line with other costs is understood."""
        self.assertTrue(matches("apple", OLD))
        self.assertFalse(matches("pear", OLD))

    def test_damaged(self):
        """What is no stored password says so, and costs no memory."""
        salt, digest = OLD.split("$")[4:]
        for line in (
            "",
            "apple",
            f"md5$2$8$1${salt}${digest}",
            f"scrypt$3$8$1${salt}${digest}",
            f"scrypt$-2$8$1${salt}${digest}",
            f"scrypt$x$8$1${salt}${digest}",
            f"scrypt$1048576$8$1${salt}${digest}",
            f"scrypt$2$8$1$A${digest}",
            f"scrypt$2$8$1${salt}$ü",
            f"{OLD}$",
        ):
            with self.assertRaises(ValueError, msg=line):
                matches("apple", line)
