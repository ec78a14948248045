"""The licence CA: its key, what it signs and what it takes back."""

import base64
import subprocess
from shutil import which

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from anychat.licensing.authority import (
    ALGORITHMS,
    ROUNDS,
    Authority,
    AuthorityError,
    encrypt_key,
    make_authority,
    read_authority,
    write_certificates,
)
from anychat.licensing.certificate import read_licence
from anychat.licensing.der import encode_integer
from anychat.licensing.licence import Grant
from test.licences import DAY, authority, authority_pem, licence_pem, now

PASSPHRASE = "correct horse 马 battery"


def as_der(pem):
    """The DER of a PEM."""
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


class AuthorityCase(SynchronousTestCase):
    """With what is refused."""

    def assertRefused(self, text, function, *arguments):
        """It is refused with this text, which does not have the pass phrase."""
        with self.assertRaises(AuthorityError) as caught:
            function(*arguments)
        self.assertIn(text, str(caught.exception))
        self.assertNotIn(PASSPHRASE, str(caught.exception))


class KeyTests(AuthorityCase):
    """The key's file."""

    def test_thereAndBack(self):
        """A CA of either kind is read again, with its pass phrase."""
        for algorithm in ALGORITHMS:
            made = make_authority("V", algorithm, now(), DAY)
            key = encrypt_key(made.key, PASSPHRASE)
            read = read_authority(write_certificates(made.certificate), key, PASSPHRASE)
            self.assertEqual(read.certificate, made.certificate)
            self.assertEqual(read.chain, ())
            self.assertTrue(
                read.has_signed(
                    x509.load_pem_x509_certificate(
                        read.issue(Grant("C", 0), now(), now() + DAY)
                    )
                )
            )

    def test_envelope(self):
        """It is encrypted, with as many rounds as are said."""
        key = encrypt_key(authority().key, PASSPHRASE)
        self.assertTrue(key.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
        self.assertLessEqual(max(map(len, key.splitlines())), 64)
        self.assertIn(encode_integer(ROUNDS), as_der(key))
        self.assertNotEqual(key, encrypt_key(authority().key, PASSPHRASE))

    def test_openssl(self):
        """Other programs can read it."""
        if which("openssl") is None:
            raise SkipTest("no openssl")
        done = subprocess.run(
            ["openssl", "pkey", "-noout", "-passin", "pass:twelve letters"],
            input=encrypt_key(authority().key, "twelve letters"),
            capture_output=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_shortPassphrase(self):
        """Fewer than 12 characters are refused."""
        self.assertRefused("12 characters", encrypt_key, authority().key, "elevenchars")

    def test_notInRepr(self):
        """The key is not shown."""
        self.assertNotIn("key", repr(authority()))

    def test_unusable(self):
        """A wrong pass phrase, another CA's key, a bare key, and what is no key."""
        certificates = authority_pem()
        key = encrypt_key(authority().key, PASSPHRASE)
        other = encrypt_key(ec.generate_private_key(ec.SECP256R1()), PASSPHRASE)
        curve = encrypt_key(ec.generate_private_key(ec.SECP384R1()), PASSPHRASE)
        bare = authority().key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        alien = rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM,
            PrivateFormat.PKCS8,
            BestAvailableEncryption(PASSPHRASE.encode()),
        )
        for data, phrase, text in (
            (key, "another one entirely", "is the pass phrase right?"),
            (key, "", "has a pass phrase"),
            (key[:200], PASSPHRASE, "cannot be read"),
            (b"", PASSPHRASE, "cannot be read"),
            (other, PASSPHRASE, "not of the CA's certificate"),
            (bare, PASSPHRASE, "not encrypted"),
            (alien, PASSPHRASE, "neither Ed25519 nor"),
            (curve, PASSPHRASE, "neither Ed25519 nor"),
        ):
            self.assertRefused(text, read_authority, certificates, data, phrase)
        for data in (b"", b"x", certificates[:100]):
            self.assertRefused(
                "certificate cannot be read", read_authority, data, key, PASSPHRASE
            )


class IssueTests(AuthorityCase):
    """Making CAs and licences."""

    def test_authority(self):
        """A CA says that it is one."""
        certificate = authority().certificate
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertTrue(basic.critical and basic.value.ca)
        self.assertTrue(usage.critical and usage.value.key_cert_sign)
        self.assertTrue(usage.value.crl_sign)
        self.assertFalse(usage.value.digital_signature)

    def test_names(self):
        """A CA has a name, and one that a certificate may hold."""
        for name in ("", "  ", "x" * 65, "two\nlines"):
            self.assertRefused(
                "1 to 64 characters", make_authority, name, "ed25519", now(), DAY
            )

    def test_below(self):
        """A CA below another brings along what leads to the root."""
        middle = make_authority("M", "p256", now(), 9 * DAY, authority())
        below = make_authority("B", "ed25519", now(), 8 * DAY, middle)
        self.assertEqual(below.chain, (below.certificate, middle.certificate))
        read = read_authority(
            write_certificates(*below.chain),
            encrypt_key(below.key, PASSPHRASE),
            PASSPHRASE,
        )
        self.assertEqual(read.chain, below.chain)
        pem = read.issue(Grant("C", 0), now(), now() + DAY)
        self.assertEqual(x509.load_pem_x509_certificates(pem)[1:], list(below.chain))

    def test_belowThatCannotBe(self):
        """It ends before the one above, and has another name."""
        middle = make_authority("M", "ed25519", now(), 9 * DAY, authority())
        self.assertRefused(
            "ends on", make_authority, "B", "ed25519", now(), 10 * DAY, middle
        )
        self.assertRefused(
            "same name", make_authority, "M", "ed25519", now(), DAY, middle
        )

    def test_tooDeep(self):
        """As far below the root as servers go, and no further."""
        ca = authority()
        for depth in range(3):
            ca = make_authority(f"S{depth}", "ed25519", now(), 9 * DAY, ca)
        pem = ca.issue(Grant("C", 0), now(), now() + DAY)
        self.assertEqual(
            read_licence(pem, [authority_pem()], None, "6").grant.customer, "C"
        )
        self.assertRefused("no more", make_authority, "B", "ed25519", now(), DAY, ca)

    def test_ofAnotherProgram(self):
        """A CA without an identifier of its key, and its list without a number."""
        key = ed25519.Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other")])
        extensions = [
            found
            for found in authority().certificate.extensions
            if found.oid != x509.SubjectKeyIdentifier.oid
        ]
        made = x509.CertificateBuilder(
            name, name, key.public_key(), 1, now(), now() + 9 * DAY, extensions
        ).sign(key, None)
        ca = Authority(made, key)
        pem = ca.issue(Grant("C", 0), now(), now() + DAY)
        former = (
            x509.CertificateRevocationListBuilder(name, now(), now() + DAY)
            .sign(key, None)
            .public_bytes(Encoding.PEM)
        )
        crl = ca.revoke({}, now(), x509.load_pem_x509_crl(former))
        read_licence(pem, [write_certificates(made)], crl, "6")

    def test_dates(self):
        """A licence ends after it begins, and before its CA and those above."""
        grant = Grant("C", 0)
        self.assertRefused("before it begins", authority().issue, grant, now(), now())
        self.assertRefused(
            "the licence CA ends on",
            authority().issue,
            grant,
            now(),
            now() + 9999 * DAY,
        )

    def test_serials(self):
        """Serial numbers differ, are above 0 and short enough to be typed."""
        serials = {
            x509.load_pem_x509_certificate(licence_pem()).serial_number
            for _ in range(50)
        }
        self.assertEqual(len(serials), 50)
        self.assertTrue(all(0 < serial < 2**64 for serial in serials))


class RevokeTests(AuthorityCase):
    """Revocation lists."""

    def revoke(self, serials, former=None, day=0):
        """A list."""
        reasons = dict.fromkeys(serials, x509.ReasonFlags.superseded)
        pem = authority().revoke(reasons, now() + day * DAY, former)
        return x509.load_pem_x509_crl(pem)

    def test_grows(self):
        """A new list has what the former has, with its first day, and a new number."""
        first = self.revoke([5, 6])
        second = self.revoke([6, 7], first, day=1)
        days = {entry.serial_number: entry.revocation_date_utc for entry in second}
        self.assertEqual(days, {5: now(), 6: now(), 7: now() + DAY})
        for crl, number in ((first, 1), (second, 2)):
            found = crl.extensions.get_extension_for_class(x509.CRLNumber)
            self.assertEqual(found.value.crl_number, number)

    def test_reason(self):
        """Each entry has its reason."""
        [entry] = self.revoke([5])
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value
        self.assertEqual(reason.reason, x509.ReasonFlags.superseded)

    def test_strangersList(self):
        """Another CA's list is not gone on with."""
        other = make_authority("Vendor", "ed25519", now(), 9 * DAY)
        former = x509.load_pem_x509_crl(other.revoke({}, now()))
        self.assertRefused("not of this CA", self.revoke, [5], former)

    def test_hasSigned(self):
        """It knows its own."""
        other = make_authority("Vendor", "p256", now(), 9 * DAY)
        own = x509.load_pem_x509_certificate(licence_pem())
        alien = x509.load_pem_x509_certificate(
            licence_pem(issuer=other, not_after=now() + DAY)
        )
        self.assertTrue(authority().has_signed(own))
        self.assertFalse(authority().has_signed(alien))
        self.assertFalse(authority().has_signed(other.certificate))
