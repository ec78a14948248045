"""Revocation lists: whose they are, and what they take back."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from anychat.licensing.authority import make_authority
from anychat.licensing.findings import LicenceError
from test.licences import DAY, authority, licence_pem, now
from test.licensing.certificates import (
    INVALID,
    UNTRUSTED,
    LicenceCase,
    as_der_list,
    revocation_list,
    serial_of,
)


class RevocationTests(LicenceCase):
    """AnyChat.crl."""

    def test_revoked(self):
        """A licence on the list is refused, others are not."""
        pem, other = licence_pem(), licence_pem()
        crl = revocation_list(serial_of(pem))
        self.assertRefused(UNTRUSTED, "was revoked on", self.read, pem, crl)
        self.read(other, crl)

    def test_oldList(self):
        """A list past its date is heeded still."""
        pem = licence_pem()
        issuer = authority()
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(now() - 900 * DAY)
            .next_update(now() - 800 * DAY)
            .add_revoked_certificate(
                x509.RevokedCertificateBuilder(
                    serial_of(pem), now() - 900 * DAY
                ).build()
            )
            .sign(issuer.key, None)
            .public_bytes(Encoding.PEM)
        )
        self.assertRefused(UNTRUSTED, "was revoked on", self.read, pem, crl)
        self.read(licence_pem(), crl)

    def test_revokedAuthority(self):
        """The root's list revokes a CA below it; several lists stand in one file."""
        issuer = make_authority("Sub", "ed25519", now(), 100 * DAY, authority())
        pem = licence_pem(issuer=issuer, not_after=now() + DAY)
        own, root = revocation_list(5, issuer), revocation_list(5)
        self.read(pem, own + root)
        bad = revocation_list(issuer.certificate.serial_number)
        for crl in (bad, own + bad, bad + own):
            # The serial number that follows is the CA's.
            self.assertRefused(
                UNTRUSTED,
                "a CA that the licence comes from was revoked on",
                self.read,
                pem,
                crl,
            )

    def test_sameSerialOfAnother(self):
        """A serial number counts for its own CA's certificates alone."""
        issuer = make_authority("Sub", "ed25519", now(), 100 * DAY, authority())
        pem = licence_pem(issuer=issuer, not_after=now() + DAY)
        self.read(pem, revocation_list(serial_of(pem)))

    def test_strangersList(self):
        """A list that no trusted CA has signed is not passed over."""
        other = make_authority("Other", "ed25519", now(), 100 * DAY)
        same = make_authority("Vendor", "ed25519", now(), 100 * DAY)
        for issuer in (other, same):
            self.assertRefused(
                UNTRUSTED,
                "AnyChat.crl is not of a CA",
                self.read,
                licence_pem(),
                revocation_list(5, issuer),
            )

    def test_otherLists(self):
        """Lists of the vendor's other CAs may stand in the same file."""
        former = make_authority("Vendor", "ed25519", now(), 100 * DAY)
        sales = make_authority("Sales", "ed25519", now(), 100 * DAY, authority())
        pem = licence_pem()
        others = revocation_list(serial_of(pem), former) + revocation_list(5, sales)
        self.assertRefused(UNTRUSTED, "of this licence's CA", self.read, pem, others)
        own, bad = revocation_list(5), revocation_list(serial_of(pem))
        self.read(pem, others + own)
        self.read(pem, own + others)
        for crl in (others + bad, bad + others):
            self.assertRefused(UNTRUSTED, "was revoked on", self.read, pem, crl)

    def test_tampered(self):
        """A list that was changed is not taken for another CA's."""
        pem, own = licence_pem(), revocation_list(5)
        der = bytearray(as_der_list(own))
        der[-1] ^= 1
        changed = x509.load_der_x509_crl(bytes(der)).public_bytes(Encoding.PEM)
        for crl in (changed, own + changed, changed + own):
            self.assertRefused(UNTRUSTED, "was changed", self.read, pem, crl)

    def test_malformed(self):
        """What is no list, or has in it what is not known."""
        good = revocation_list(5)
        lists = (b"", b"x", good[: len(good) // 2], good * 9, licence_pem())
        for crl in lists:
            # It is not the licence that is invalid.
            with self.assertRaisesRegex(LicenceError, "^AnyChat.crl is") as caught:
                self.read(licence_pem(), crl)
            self.assertEqual(caught.exception.code, INVALID)
        former = x509.load_pem_x509_crl(good)
        partial = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(former.issuer)
            .last_update(now())
            .next_update(now() + DAY)
            .add_extension(x509.DeltaCRLIndicator(1), critical=True)
            .sign(authority().key, None)
            .public_bytes(Encoding.PEM)
        )
        self.assertRefused(INVALID, "not known here", self.read, licence_pem(), partial)
