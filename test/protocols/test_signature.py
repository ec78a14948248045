"""Signatures of logins: the product's, and better ones."""

import hashlib
from dataclasses import replace
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, SignatureScheme
from anychat.errors import ConfigError, Refused
from anychat.messages import LoginEx
from anychat.protocols.signature import SignatureKey, sign, signed_text

APP = "fbe957d1-c25a-4992-9e75-d993294a5d56"
MD5, PSS, ED = SignatureScheme


@cache
def rsa_key(bits=2048):
    """An RSA key; made once for all tests."""
    return rsa.generate_private_key(65537, bits)


@cache
def ed_key():
    """An Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def private(key):
    """PEM of a key."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public(key):
    """PEM of its public half."""
    return key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def block(key, content):
    """What RSA_private_encrypt with PKCS#1 padding makes of a content."""
    numbers = key.private_numbers()
    size = key.key_size // 8
    padded = b"\0\1" + b"\xff" * (size - 3 - len(content)) + b"\0" + content
    number = pow(int.from_bytes(padded, "big"), numbers.d, numbers.public_numbers.n)
    return number.to_bytes(size, "big")


def message(scheme, signature=b"", user_id=7, string_id="u7"):
    """A login."""
    return LoginEx("Ann", user_id, string_id, APP, 1795000000, scheme, signature, "")


def signed(key, scheme):
    """A login that is signed as `sign` does it."""
    return message(scheme, sign(private(key), scheme, 7, "u7", APP, 1795000000))


class TextTests(SynchronousTestCase):
    """What is signed."""

    def test_text(self):
        """Spelt as the product's tools spell it, or without blanks."""
        self.assertEqual(
            signed_text(-1, "小明", APP, 1795000000).decode(),
            '{"id":-1, "strid":"小明", "appid":"FBE957D1-C25A-4992-9E75-D993294A5D56", '
            '"timestamp":1795000000}',
        )
        self.assertEqual(
            signed_text(7, "a, b", "A", 5, blanks=False),
            b'{"id":7,"strid":"a, b","appid":"A","timestamp":5}',
        )

    def test_unfit(self):
        """219 for what would make two meanings of one text."""
        for string_id, app_id in (
            ('a"', "A"),
            ("a\\", "A"),
            ("a\n", "A"),
            ("a", 'A"'),
            ("a", "A\0"),
        ):
            error = self.assertRaises(Refused, signed_text, 1, string_id, app_id, 1)
            self.assertEqual(error.code, ResultCode.SIGPARAMFAIL)


class ProductTests(SynchronousTestCase):
    """Scheme 0, as the product's tools sign."""

    def setUp(self):
        self.key = SignatureKey(public(rsa_key()))

    def digits(self, blanks=True):
        """The MD5 of the text, as the tools have it."""
        text = signed_text(7, "u7", APP, 1795000000, blanks=blanks)
        return hashlib.md5(text).hexdigest().encode()

    def test_digitsAlone(self):
        """RSA_private_encrypt of the digits, with blanks in the text or without."""
        for blanks in (True, False):
            signature = block(rsa_key(), self.digits(blanks))
            self.assertTrue(self.key.verifies(message(MD5, signature)))

    def test_digitsAsDigest(self):
        """RSA_sign with the digits in the digest's place, as older tools do."""
        prefix = bytes.fromhex("3030300c06082a864886f70d020505000420")
        signature = block(rsa_key(), prefix + self.digits())
        self.assertTrue(self.key.verifies(message(MD5, signature)))

    def test_proper(self):
        """A signature that any library makes."""
        self.assertTrue(self.key.verifies(signed(rsa_key(), MD5)))

    def test_smallKey(self):
        """The product's keys have 1024 bits, and sign nothing else."""
        key = SignatureKey(public(rsa_key(1024)))
        self.assertEqual(key.schemes, {MD5})
        self.assertTrue(key.verifies(signed(rsa_key(1024), MD5)))

    def test_otherContents(self):
        """Nothing but these is taken."""
        digits = self.digits()
        for content in (
            b"",
            digits[:-1],
            digits + b"x",
            b"x" + digits,
            digits.upper(),
            bytes.fromhex(digits.decode()),
            hashlib.sha256(b"x").digest(),
        ):
            if content == digits:
                continue  # no letters in it
            signature = block(rsa_key(), content)
            self.assertFalse(self.key.verifies(message(MD5, signature)), content)

    def test_switchedOff(self):
        """Without MD5 the other scheme stays, and small keys are refused."""
        key = SignatureKey(public(rsa_key()), md5=False)
        self.assertEqual(key.schemes, {PSS})
        self.assertFalse(key.verifies(signed(rsa_key(), MD5)))
        self.assertTrue(key.verifies(signed(rsa_key(), PSS)))
        self.assertRaises(ConfigError, SignatureKey, public(rsa_key(1024)), md5=False)


class SchemeTests(SynchronousTestCase):
    """All schemes."""

    def pairs(self):
        """Key and login of each scheme."""
        for key, scheme in ((rsa_key(), MD5), (rsa_key(), PSS), (ed_key(), ED)):
            yield SignatureKey(public(key)), signed(key, scheme)

    def test_right(self):
        """What was signed is verified; the app id's case does not matter."""
        for key, login in self.pairs():
            self.assertTrue(key.verifies(login))
            self.assertTrue(key.verifies(replace(login, app_id=APP.upper())))

    def test_changed(self):
        """Whatever is another than what was signed spoils it."""
        for key, login in self.pairs():
            for more in (
                {"user_id": 8},
                {"user_id": -1},
                {"string_id": "u8"},
                {"string_id": ""},
                {"app_id": "other"},
                {"timestamp": 1795000001},
                {"signature": b""},
                {"signature": login.signature[:-1]},
                {"signature": login.signature + b"\0"},
                {"signature": bytes(len(login.signature))},
                {"signature": b"\xff" * len(login.signature)},
                {"signature": b"x" * 1024},
            ):
                self.assertFalse(key.verifies(replace(login, **more)), more)

    def test_otherScheme(self):
        """A signature is good for the scheme that it was made by."""
        for key, login in self.pairs():
            for scheme in SignatureScheme:
                right = scheme is login.scheme
                self.assertIs(key.verifies(replace(login, scheme=scheme)), right)

    def test_otherKey(self):
        """Who has another key lets nobody in."""
        other = ed25519.Ed25519PrivateKey.generate()
        self.assertFalse(SignatureKey(public(ed_key())).verifies(signed(other, ED)))

    @settings(deadline=None, max_examples=100)
    @given(st.sampled_from(SignatureScheme), st.binary(max_size=300))
    def test_garbage(self, scheme, signature):
        """No bytes are taken for a signature, and none break anything."""
        for key in (rsa_key(), ed_key()):
            verifier = SignatureKey(public(key))
            self.assertFalse(verifier.verifies(message(scheme, signature)))


class KeyTests(SynchronousTestCase):
    """Keys that can and cannot be used."""

    def test_publicKeys(self):
        """RSA of a decent size and Ed25519, nothing else."""
        for pem in (
            b"",
            b"nonsense",
            private(ed_key()),
            public(ec.generate_private_key(ec.SECP256R1())),
        ):
            self.assertRaises(ConfigError, SignatureKey, pem)

    def test_privateKeys(self):
        """217 without a key of that kind."""
        for pem, scheme in (
            (b"", PSS),
            (public(ed_key()), ED),
            (private(ed_key()), PSS),
            (private(rsa_key()), ED),
        ):
            error = self.assertRaises(Refused, sign, pem, scheme, 1, "", APP, 1)
            self.assertEqual(error.code, ResultCode.SIGPRIVATEKEYEMPTY)
