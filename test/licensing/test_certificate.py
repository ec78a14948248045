"""Reading licences: files, chains, revocation lists."""

import os
import subprocess
from pathlib import Path
from shutil import which

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest

from anychat.codes import ResultCode
from anychat.licensing import extension
from anychat.licensing.authority import Authority, make_authority, write_certificates
from anychat.licensing.certificate import (
    LONGEST,
    inspect_licence,
    load_files,
)
from anychat.licensing.der import SEQUENCE, decode_der, encode_der
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import AddressBinding, DomainBinding, Grant
from anychat.licensing.revocation import LONGEST_CRL
from test.licences import (
    CA_NAME,
    DAY,
    authority,
    authority_pem,
    licence_pem,
    make_licence,
    now,
)
from test.licensing.certificates import (
    INVALID,
    UNREADABLE,
    UNTRUSTED,
    LicenceCase,
    as_der,
    as_der_list,
    revocation_list,
    serial_of,
)
from test.test_layering import ROOT

BIT_STRING = 0x03


class FileTests(LicenceCase):
    """What stands beside the configuration."""

    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.ca = make_licence(self.directory)
        self.licence = self.directory / "AnyChat.cer"
        self.crl = self.directory / "AnyChat.crl"

    def test_files(self):
        """The licence, its CA, and the list if there is one."""
        files = load_files(self.directory, self.ca)
        self.assertEqual(files.data, self.licence.read_bytes())
        self.assertEqual(files.trusted, (self.ca.read_bytes(),))
        self.assertIsNone(files.crl)
        self.crl.write_bytes(b"x")
        self.assertEqual(load_files(self.directory, self.ca).crl, b"x")

    def test_missing(self):
        """711, as the product has it."""
        self.licence.unlink()
        with self.assertRaises(LicenceError) as caught:
            load_files(self.directory, self.ca)
        self.assertEqual(caught.exception.code, ResultCode.TRANSFILE_ZEROLEN)
        self.assertIn("AnyChat.cer is not there", str(caught.exception))
        self.assertTrue(str(caught.exception).endswith(".(errorcode=711)"))

    def test_empty(self):
        """711 as well: nothing was written yet."""
        self.licence.write_bytes(b"")
        self.assertRefused(
            ResultCode.TRANSFILE_ZEROLEN,
            "AnyChat.cer is empty",
            load_files,
            self.directory,
            self.ca,
        )

    def test_deadLink(self):
        """A symbolic link to nowhere is a file that is not there."""
        self.licence.unlink()
        self.licence.symlink_to("nowhere")
        self.assertRefused(
            ResultCode.TRANSFILE_ZEROLEN,
            "is not there",
            load_files,
            self.directory,
            self.ca,
        )

    def test_directory(self):
        """A directory in the place of a file."""
        for path in (self.licence, self.crl):
            path.unlink(missing_ok=True)
            path.mkdir()
            self.assertRefused(
                UNREADABLE,
                f"{path.name} is a directory",
                load_files,
                self.directory,
                self.ca,
            )
            path.rmdir()
            make_licence(self.directory)

    def test_pipe(self):
        """A FIFO is refused and not waited for."""
        self.licence.unlink()
        os.mkfifo(self.licence)
        self.assertRefused(
            UNREADABLE, "no regular file", load_files, self.directory, self.ca
        )

    def test_unreadable(self):
        """Without permission the text says who needs it."""
        self.licence.chmod(0)
        if os.geteuid() == 0:
            # Root may read everything.
            self.addCleanup(os.seteuid, 0)
            os.seteuid(65534)
        self.assertRefused(
            UNREADABLE, "who runs this program", load_files, self.directory, self.ca
        )

    def test_tooLarge(self):
        """10 MB are not read, and neither is a list of more than 1 MiB."""
        with self.licence.open("wb") as file:
            file.truncate(10_000_000)
        self.assertRefused(
            UNREADABLE, "larger than 64 KiB", load_files, self.directory, self.ca
        )
        make_licence(self.directory)
        with self.crl.open("wb") as file:
            file.truncate(LONGEST_CRL + 1)
        self.assertRefused(
            UNREADABLE, "larger than 1024 KiB", load_files, self.directory, self.ca
        )

    def test_authorityUnreadable(self):
        """LicenseCA= names what is no file: no licence, and the text says why."""
        self.ca.unlink()
        for make in (lambda: None, self.ca.touch, self.replace_by_directory):
            make()
            self.assertRefused(UNTRUSTED, CA_NAME, load_files, self.directory, self.ca)

    def replace_by_directory(self):
        """A directory where the CA was."""
        self.ca.unlink()
        self.ca.mkdir()

    def test_noAuthority(self):
        """Neither a package's CA nor LicenseCA=: nothing is trusted."""
        files = load_files(self.directory, None, packaged=self.directory / "none")
        self.assertEqual(files.trusted, ())
        self.assertRefused(
            UNTRUSTED,
            "no licence CA is trusted: set LicenseCA=",
            self.read,
            files.data,
            trusted=files.trusted,
        )

    def test_packagedAuthority(self):
        """The vendor's own CA shuts out those that the configuration names."""
        packaged = self.directory / "trusted"
        packaged.mkdir()
        (packaged / "README.md").write_text("no CA")
        self.assertEqual(
            load_files(self.directory, self.ca, packaged).trusted,
            (self.ca.read_bytes(),),
        )
        (packaged / "vendor.pem").write_bytes(b"vendor")
        files = load_files(self.directory, self.ca, packaged)
        self.assertEqual(files.trusted, (b"vendor",))
        self.assertIn("LicenseCA= is not used", files.note)
        self.assertEqual(load_files(self.directory, None, packaged).note, "")

    def test_packaged(self):
        """The project itself trusts nobody."""
        trusted = ROOT / "anychat" / "licensing" / "trusted"
        self.assertEqual([path.name for path in trusted.iterdir()], ["README.md"])


class ReadTests(LicenceCase):
    """Licences that are good, and their dates."""

    def test_licence(self):
        """What it says."""
        pem = licence_pem(
            customer="示例",
            max_users=20,
            features=("distributed",),
            bindings=(DomainBinding("a.example"),),
        )
        licence = self.read(pem)
        self.assertEqual(
            licence.grant,
            Grant("示例", 20, ("distributed",), (DomainBinding("a.example"),)),
        )
        self.assertEqual(licence.serial, serial_of(pem))
        self.assertEqual(licence.issuer, "CN=AnyChat licence CA,O=Vendor")
        self.assertEqual(licence.subject, "CN=AnyChat licence,O=示例")
        self.assertEqual(licence.not_before, now() - DAY)
        self.assertEqual(licence.not_after, now() + 365 * DAY)
        self.assertEqual(len(licence.digest), 64)

    def test_der(self):
        """DER does as well as PEM, for all three files."""
        pem = licence_pem()
        crl = as_der_list(revocation_list(1))
        licence = self.read(as_der(pem), crl, [as_der(authority_pem())])
        self.assertEqual(licence, self.read(pem))

    def test_datesAreNotJudged(self):
        """One that has expired, and one that begins later, are read."""
        for begin, end in ((-20, -10), (10, 20)):
            licence = self.read(licence_pem(now() + begin * DAY, now() + end * DAY))
            self.assertEqual(licence.not_before, now() + begin * DAY)

    def test_ecdsa(self):
        """A CA with a P-256 key, and its list."""
        issuer = make_authority("P", "p256", now(), 100 * DAY)
        ca = write_certificates(issuer.certificate)
        pem = licence_pem(issuer=issuer, not_after=now() + DAY)
        self.assertEqual(self.read(pem, trusted=[ca]).grant.customer, "Customer")
        self.assertRefused(
            UNTRUSTED,
            "revoked",
            self.read,
            pem,
            revocation_list(serial_of(pem), issuer),
            [ca],
        )

    def test_severalAuthorities(self):
        """Any of those that are trusted, in one file or in several."""
        other = make_authority("Other", "ed25519", now(), 9 * DAY)
        other_pem = write_certificates(other.certificate)
        pem = licence_pem()
        for trusted in (
            [other_pem, authority_pem()],
            [authority_pem() + other_pem],
            [other_pem + authority_pem()],
        ):
            self.assertEqual(self.read(pem, trusted=trusted).grant.customer, "Customer")

    def test_shortestOfTheChain(self):
        """A licence holds as long as its CA; of two with one key the longer counts."""
        issuer = authority()
        builder = x509.CertificateBuilder(
            issuer.certificate.issuer,
            issuer.certificate.subject,
            issuer.key.public_key(),
            7,
            now() - DAY,
            now() + DAY,
            list(issuer.certificate.extensions),
        )
        short = write_certificates(builder.sign(issuer.key, None))
        for trusted in ([short, authority_pem()], [authority_pem(), short]):
            licence = self.read(licence_pem(), trusted=trusted)
            self.assertEqual(licence.not_after, now() + 365 * DAY)
        licence = self.read(licence_pem(), trusted=[short])
        self.assertEqual(licence.not_after, now() + DAY)
        self.assertEqual(licence.not_before, now() - DAY)

    def test_versions(self):
        """A number at a time, from the front."""
        for versions in ("", "6", "6.0", "6.0.1"):
            self.read(licence_pem(versions=versions))
        for versions in ("5", "60", "6.1", "6.0.10", "6.0.1.2"):
            self.assertRefused(
                UNTRUSTED,
                f"is for version {versions}, and this is 6.0.1",
                self.read,
                licence_pem(versions=versions),
            )

    def test_digest(self):
        """The digest is of what is signed, so that nobody else can change it."""
        issuer = make_authority("P", "p256", now(), 100 * DAY)
        trusted = [write_certificates(issuer.certificate)]
        der = as_der(licence_pem(issuer=issuer, not_after=now() + DAY))
        certificate = x509.load_der_x509_certificate(der)
        # (r, s) and (r, order - s) are both signatures of the same.
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        first, second = decode_dss_signature(certificate.signature)
        other = encode_dss_signature(first, order - second)
        signed, content = certificate.tbs_certificate_bytes, decode_der(SEQUENCE, der)
        former = encode_der(BIT_STRING, b"\0", certificate.signature)
        algorithm = content.removeprefix(signed).removesuffix(former)
        changed = encode_der(
            SEQUENCE, signed, algorithm, encode_der(BIT_STRING, b"\0", other)
        )
        self.assertNotEqual(changed, der)
        licence = self.read(der, trusted=trusted)
        self.assertEqual(self.read(changed, trusted=trusted), licence)


class ChainTests(LicenceCase):
    """Who has signed it."""

    def intermediate(self, parent=None, name="Sub", **how):
        """A CA below another."""
        return make_authority(
            name, "ed25519", now(), 100 * DAY, parent or authority(), **how
        )

    def test_intermediates(self):
        """The licence brings along what leads to the root, in any order."""
        middle = self.intermediate()
        issuer = self.intermediate(middle, "Below")
        pem = licence_pem(issuer=issuer, not_after=now() + DAY)
        self.assertEqual(self.read(pem).issuer, "CN=AnyChat licence CA,O=Below")
        leaf, first, second = x509.load_pem_x509_certificates(pem)
        self.read(write_certificates(leaf, second, first))
        for missing in ((leaf,), (leaf, first), (leaf, second)):
            self.assertRefused(
                UNTRUSTED, "not trusted here", self.read, write_certificates(*missing)
            )

    def test_intermediateTrusted(self):
        """Trusting the CA below is enough."""
        issuer = self.intermediate()
        ca = write_certificates(issuer.certificate)
        self.read(licence_pem(issuer=issuer, not_after=now() + DAY), trusted=[ca])

    def test_tooManyCertificates(self):
        """Four are the most in a licence."""
        certificates = [authority().certificate] * 4
        self.assertRefused(
            INVALID,
            "more than 4 certificates",
            self.read,
            licence_pem() + write_certificates(*certificates),
        )

    def test_tooManyOfAnotherLabel(self):
        """OpenSSL's old label counts as well."""
        other = licence_pem().replace(b" CERTIFICATE", b" X509 CERTIFICATE")
        self.assertRefused(
            INVALID, "more than 4 certificates", self.read, licence_pem() + other * 4
        )

    def test_licenceAsItsOwnAuthority(self):
        """LicenseCA= that names the licence: nobody would vouch for it."""
        pem = licence_pem()
        self.assertRefused(
            UNTRUSTED, "LicenseCA= is for", self.read, pem, trusted=[pem]
        )
        self.assertRefused(
            UNTRUSTED,
            "LicenseCA= is for",
            self.read,
            pem,
            trusted=[pem, authority_pem()],
        )

    def test_circle(self):
        """Two that vouch for each other lead nowhere."""
        first = make_authority("A", "ed25519", now(), 100 * DAY)
        second = make_authority("B", "ed25519", now(), 100 * DAY)
        crossed = [
            self.sign(below.certificate, above, above.certificate.subject)
            for below, above in ((first, second), (second, first))
        ]
        pem = licence_pem(issuer=first, not_after=now() + DAY)
        self.assertRefused(
            UNTRUSTED, "not trusted", self.read, pem + write_certificates(*crossed)
        )

    def sign(self, certificate, issuer, name, *more, without=()):
        """A certificate made anew by another CA."""
        builder = x509.CertificateBuilder(
            name,
            certificate.subject,
            certificate.public_key(),
            certificate.serial_number,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            [
                found
                for found in certificate.extensions
                if found.oid not in without
                and not isinstance(found.value, x509.AuthorityKeyIdentifier)
            ],
        )
        for value, critical in more:
            builder = builder.add_extension(value, critical)
        return builder.sign(issuer.key, None)

    def resign(self, *more, without=()):
        """A licence of `authority` with other extensions."""
        leaf = x509.load_pem_x509_certificate(licence_pem())
        name = authority().certificate.subject
        made = self.sign(leaf, authority(), name, *more, without=without)
        return write_certificates(made)

    def test_withoutKeyIdentifier(self):
        """What other programs sign may lack the key's identifier."""
        self.read(self.resign())

    def test_wrongAuthority(self):
        """Another CA, which the text names."""
        other = make_authority("Other", "ed25519", now(), 500 * DAY)
        self.assertRefused(
            UNTRUSTED,
            "not trusted here (CN=AnyChat licence CA,O=Other)",
            self.read,
            licence_pem(issuer=other),
        )

    def test_sameNameOtherKey(self):
        """A CA that took the vendor's name is a wrong CA, not a damaged licence."""
        other = make_authority("Vendor", "ed25519", now(), 500 * DAY)
        pem = licence_pem(issuer=other)
        self.assertRefused(UNTRUSTED, "not trusted", self.read, pem)
        # As a man in the middle would try it.
        self.assertRefused(
            UNTRUSTED,
            "not trusted",
            self.read,
            pem + write_certificates(authority().certificate),
        )

    def test_bringsItsOwnRoot(self):
        """A root that comes with the licence is not trusted for that."""
        other = make_authority("Other", "ed25519", now(), 500 * DAY)
        pem = licence_pem(issuer=other) + write_certificates(other.certificate)
        self.assertRefused(UNTRUSTED, "signed by itself", self.read, pem)

    def test_selfSigned(self):
        """A licence that vouches for itself."""
        leaf = x509.load_pem_x509_certificate(licence_pem())
        key = ed25519.Ed25519PrivateKey.generate()
        made = x509.CertificateBuilder(
            leaf.subject,
            leaf.subject,
            key.public_key(),
            1,
            now(),
            now() + DAY,
            list(leaf.extensions),
        ).sign(key, None)
        self.assertRefused(
            UNTRUSTED, "signed by itself", self.read, write_certificates(made)
        )

    def test_licenceAsAuthority(self):
        """A licence cannot sign another one."""
        key = ed25519.Ed25519PrivateKey.generate()
        leaf = x509.load_pem_x509_certificate(licence_pem())
        made = x509.CertificateBuilder(
            authority().certificate.subject,
            leaf.subject,
            key.public_key(),
            1,
            now(),
            now() + DAY,
            list(leaf.extensions),
        ).sign(authority().key, None)
        self.read(write_certificates(made))
        forger = Authority(made, key)
        below = self.sign(leaf, forger, made.subject)
        self.assertRefused(
            UNTRUSTED, "not a CA's", self.read, write_certificates(below, made)
        )

    def test_authorityAsLicence(self):
        """A CA's certificate is no licence."""
        self.assertRefused(
            UNTRUSTED,
            "signed by itself",
            self.read,
            authority_pem(),
            trusted=[write_certificates(self.intermediate().certificate)],
        )
        issuer = self.intermediate()
        pem = write_certificates(issuer.certificate)
        self.assertRefused(UNTRUSTED, "certificate of a CA", self.read, pem)

    def test_withoutKeyUsage(self):
        """A CA must be allowed to sign certificates."""
        root = authority().certificate
        for without, more in (
            (x509.KeyUsage.oid, ()),
            (x509.BasicConstraints.oid, ()),
        ):
            weak = self.sign(root, authority(), root.subject, *more, without=[without])
            self.assertRefused(
                UNTRUSTED,
                "not a CA's",
                self.read,
                licence_pem(),
                trusted=[write_certificates(weak)],
            )

    def test_pathLength(self):
        """A CA that allows none below itself has none."""
        root = authority().certificate
        strict = self.sign(
            root,
            authority(),
            root.subject,
            (x509.BasicConstraints(True, 0), True),
            without=[x509.BasicConstraints.oid],
        )
        trusted = [write_certificates(strict)]
        self.read(licence_pem(), trusted=trusted)
        pem = licence_pem(issuer=self.intermediate(), not_after=now() + DAY)
        self.assertRefused(UNTRUSTED, "longer than", self.read, pem, trusted=trusted)

    def test_otherKeys(self):
        """RSA and other curves are not accepted of a CA."""
        for key in (
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
        ):
            root = authority().certificate
            made = x509.CertificateBuilder(
                root.subject,
                root.subject,
                key.public_key(),
                1,
                now() - DAY,
                now() + DAY,
                [
                    found
                    for found in root.extensions
                    if found.oid != x509.SubjectKeyIdentifier.oid
                ],
            ).sign(key, hashes.SHA256())
            self.assertRefused(
                UNTRUSTED,
                "neither Ed25519 nor",
                self.read,
                licence_pem(),
                trusted=[write_certificates(made)],
            )

    def test_unknownCriticalExtension(self):
        """Of the licence or of its CA: what is not understood is not passed over."""
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")
        unknown = x509.UnrecognizedExtension(oid, b"\x05\x00")
        self.read(self.resign((unknown, False)))
        self.assertRefused(
            INVALID, "1.3.6.1.4.1.55555.1", self.read, self.resign((unknown, True))
        )
        root = authority().certificate
        ca = self.sign(root, authority(), root.subject, (unknown, True))
        self.assertRefused(
            INVALID,
            "1.3.6.1.4.1.55555.1",
            self.read,
            licence_pem(),
            trusted=[write_certificates(ca)],
        )

    def test_withoutLicence(self):
        """An ordinary certificate of the CA, and an extension that is not critical."""
        oid = x509.ObjectIdentifier(extension.OID)
        self.assertRefused(
            INVALID, "without a licence in it", self.read, self.resign(without=[oid])
        )
        content = extension.encode_grant(Grant("C", 0))
        for critical, text in ((False, "not marked critical"), (True, "")):
            value = x509.UnrecognizedExtension(oid, content)
            pem = self.resign((value, critical), without=[oid])
            if critical:
                self.read(pem)
            else:
                self.assertRefused(INVALID, text, self.read, pem)

    def test_bindingThatCannotBe(self):
        """Signed nonsense has the code of its binding."""
        oid = x509.ObjectIdentifier(extension.OID)
        good = extension.encode_grant(
            Grant("C", 0, bindings=(AddressBinding(("192.0.2.1",)),))
        )
        value = x509.UnrecognizedExtension(
            oid, good.replace(b"192.0.2.1", b"192.0.2.x")
        )
        self.assertRefused(
            ResultCode.CERTFILE_IPADDRFAIL,
            "address binding",
            self.read,
            self.resign((value, True), without=[oid]),
        )


class DamageTests(LicenceCase):
    """Licences that are cut off, changed or something else."""

    def test_truncated(self):
        """Wherever it is cut off."""
        pem = licence_pem()
        der = as_der(pem)
        for size in range(1, len(der), 7):
            self.assertRefused(INVALID, "cut off", self.read, der[:size])
        self.assertRefused(INVALID, "cut off", self.read, pem[: len(pem) // 2])

    def test_tampered(self):
        """Another number of users is noticed, in any case before it is looked at."""
        der = as_der(licence_pem(max_users=20, customer="Customer"))
        for old, new in (
            (b'"users": 20', b'"users": 99'),
            (b'"users": 20', b"not JSON..."),
            (b'"customer": "C', b'"customer": "D'),
        ):
            self.assertIn(old, der)
            self.assertRefused(
                INVALID, "changed after it was made", self.read, der.replace(old, new)
            )

    def test_tooLarge(self):
        """More than a licence may be, though its beginning is one."""
        data = licence_pem() + b"\n" * LONGEST
        self.assertRefused(INVALID, "64 KiB", self.read, data)

    def test_somethingElse(self):
        """Texts, keys, lists, and what is no CA."""
        for data in (b"", b"\n", b"[Base Settings]\n", revocation_list(5), b"\x30\x00"):
            self.assertRefused(INVALID, "AnyChat.cer is no", self.read, data)
            self.assertRefused(
                UNTRUSTED, "licence CA is no", self.read, licence_pem(), trusted=[data]
            )

    def test_damagedInside(self):
        """What is decoded late, such as names: here a text of no known kind."""
        der, crl = as_der(licence_pem()), as_der_list(revocation_list(5))
        text = "cut off or damaged"
        name, strange = b"\x0c\x08Customer", b"\x0d\x08Customer"
        self.assertRefused(INVALID, text, self.read, der.replace(name, strange))
        name, strange = b"\x0c\x06Vendor", b"\x0d\x06Vendor"
        self.assertRefused(INVALID, text, self.read, der.replace(name, strange))
        self.assertRefused(INVALID, text, self.read, der, crl.replace(name, strange))
        ca = as_der(authority_pem()).replace(name, strange)
        self.assertRefused(UNTRUSTED, text, self.read, der, trusted=[ca])

    def test_inspect(self):
        """Whoever signed it, its content is shown; if there is any."""
        other = make_authority("Other", "ed25519", now(), 500 * DAY)
        licence = inspect_licence(licence_pem(issuer=other, max_users=7))
        self.assertEqual(licence.grant.max_users, 7)
        with self.assertRaises(LicenceError):
            inspect_licence(authority_pem())


def mutations(data):
    """Strategy: the data with some bytes changed, left out or put in."""

    def change(changes):
        mutable = bytearray(data)
        for place, length, new in changes:
            start = int(place * len(mutable))
            mutable[start : start + length] = new
        return bytes(mutable)

    place = st.floats(0, 1, exclude_max=True)
    one = st.tuples(place, st.just(1), st.binary(min_size=1, max_size=1))
    any_ = st.tuples(place, st.integers(0, 9), st.binary(max_size=9))
    return st.lists(one | any_, min_size=1, max_size=3).map(change)


_PEM = licence_pem(max_users=20, bindings=(DomainBinding("a.example"),))
_DER = as_der(_PEM)
_CRL = as_der_list(revocation_list(5))
_CA = as_der(authority_pem())


class FuzzTests(LicenceCase):
    """Files that were changed by chance."""

    @settings(deadline=None)
    @given(mutations(_DER))
    def test_licence(self, data):
        """It is refused, or nothing that matters was changed."""
        try:
            licence = self.read(data)
        except LicenceError as error:
            self.assertIn(error.code, (INVALID, UNTRUSTED))
        else:
            self.assertEqual(licence, self.read(_DER))

    @settings(deadline=None)
    @given(mutations(_DER))
    def test_inspection(self, data):
        """Without its signature it may say anything, and does no harm."""
        try:
            inspect_licence(data)
        except LicenceError as error:
            self.assertIn(error.code, (802, 810, 860, 861, 862))

    @settings(deadline=None)
    @given(mutations(_CRL), mutations(_CA))
    def test_listAndAuthority(self, crl, ca):
        """The other files."""
        for trusted, revoked in (([_CA], crl), ([ca], _CRL)):
            try:
                self.read(_DER, revoked, trusted)
            except LicenceError as error:
                self.assertIn(error.code, (INVALID, UNTRUSTED))

    @settings(deadline=None)
    @given(mutations(_PEM), st.binary(max_size=200))
    def test_pem(self, data, anything):
        """PEM, and anything at all."""
        for each in (data, anything):
            try:
                licence = self.read(each)
            except LicenceError as error:
                self.assertIn(error.code, (INVALID, UNTRUSTED))
            else:
                self.assertEqual(licence, self.read(_DER))


class OpensslTests(LicenceCase):
    """What `openssl` makes of it."""

    def run_openssl(self, *arguments, stdin=b""):
        """Its output."""
        if which("openssl") is None:
            raise SkipTest("no openssl")
        done = subprocess.run(
            ["openssl", *arguments], input=stdin, capture_output=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_text(self):
        """It shows the licence."""
        shown = self.run_openssl("x509", "-text", "-noout", stdin=_PEM)
        self.assertIn(f"{extension.OID}: critical", shown)
        self.assertIn('\n "users": 20,\n', shown)
        self.assertRegex(shown, "Issuer: O ?= ?Vendor, CN ?= ?AnyChat licence CA")

    def test_verify(self):
        """It follows the chain, intermediates as well."""
        directory = Path(self.mktemp())
        directory.mkdir()
        ca, licence = directory / "ca.pem", directory / "licence.pem"
        ca.write_bytes(authority_pem())
        issuer = make_authority("Sub", "p256", now(), 100 * DAY, authority())
        for pem in (_PEM, licence_pem(issuer=issuer, not_after=now() + DAY)):
            licence.write_bytes(pem)
            self.run_openssl(
                "verify",
                "-ignore_critical",
                "-CAfile",
                str(ca),
                "-untrusted",
                str(licence),
                str(licence),
            )
