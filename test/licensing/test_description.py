"""A licence in words."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.licensing.description import describe
from anychat.licensing.licence import Grant
from test.licensing.cases import LICENCE
from test.licensing.test_extension import GRANT, HARDWARE


class DescriptionTests(SynchronousTestCase):
    """What a reader sees."""

    def describe(self, grant):
        """The lines without those of the certificate."""
        return list(describe(replace(LICENCE, grant=grant)))

    def test_certificate(self):
        """Whom it is for and of, and when."""
        lines = list(describe(LICENCE))
        self.assertEqual(
            lines[:4],
            [
                "Customer: Example Bank",
                "Serial: beef",
                "Issuer: CN=Vendor",
                "Valid: 2026-01-01 00:00:00 UTC to 2027-01-01 00:00:00 UTC",
            ],
        )

    def test_everything(self):
        """A licence that has some of all."""
        self.assertEqual(
            self.describe(GRANT)[4:],
            [
                "Users: 200",
                "Features: distributed, of-a-later-version",
                "Versions: 6.0",
                "Bound to: any of these",
                "  hardware: 27 of 45 must match (product-uuid 25, disk-serial 20)",
                "  domain: video.xn--fiqs8s.example",
                "  address: 192.0.2.0/24 or 2001:db8::1",
                "  ukey: 1209:0001, serial number K-42",
            ],
        )

    def test_nothing(self):
        """A licence that has nothing, and one with a single binding."""
        self.assertEqual(
            self.describe(Grant("C", 0))[4:],
            [
                "Users: any number",
                "Features: none",
                "Versions: all",
                "Bound to: nothing",
            ],
        )
        [*_, last] = self.describe(Grant("C", 0, bindings=(HARDWARE,)))
        self.assertTrue(last.startswith("Bound to: hardware: 27 of 45"))

    def test_noHashes(self):
        """Hashes and keys are not shown."""
        text = "\n".join(self.describe(GRANT))
        self.assertNotIn("ab" * 16, text)
        self.assertNotIn("5a" * 16, text)
