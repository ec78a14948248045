"""Tests of `anychat.protocols.proof`."""

import functools
import hashlib
import hmac

from twisted.trial.unittest import SynchronousTestCase

from anychat.protocols.proof import check_proof, derive_key, make_proof

#: The proof in the document's example: the values below, no binding.
GOLDEN = "f51c4c7200d0dd6ce810ad79b8ecc7273ccd0d3e4678b1468069742bdeabb739"

_SALT, _CLIENT, _SERVER, _BINDING = b"s" * 16, b"c" * 16, b"n" * 16, b"b" * 32


@functools.cache
def _key():
    """Derive one key for all tests: it is meant to take long."""
    return derive_key("password", _SALT)


class ProofTests(SynchronousTestCase):
    """A proof holds for exactly the link it was made on."""

    @property
    def key(self):
        """The key of the tests."""
        return _key()

    def test_inputs(self):
        """Key and proof are what docs/wire/signalling.md says."""
        key = hashlib.scrypt(b"password", salt=_SALT, n=16384, r=8, p=1, dklen=32)
        self.assertEqual(self.key, key)
        expected = hmac.new(key, _CLIENT + _SERVER + _BINDING, hashlib.sha256)
        proof = make_proof(key, _CLIENT, _SERVER, _BINDING)
        self.assertEqual(proof, expected.digest())

    def test_golden(self):
        """The value in the document's example stays what it is."""
        self.assertEqual(
            make_proof(self.key, _CLIENT, _SERVER, b"").hex(),
            GOLDEN,
        )

    def test_right(self):
        """The right proof holds."""
        proof = make_proof(self.key, _CLIENT, _SERVER, _BINDING)
        self.assertTrue(check_proof(self.key, proof, _CLIENT, _SERVER, _BINDING))

    def test_wrong(self):
        """A proof of another password, link, server or binding does not."""
        proof = make_proof(self.key, _CLIENT, _SERVER, _BINDING)
        other = bytes(16)
        for key, client, server, binding in (
            (bytes(32), _CLIENT, _SERVER, _BINDING),
            (self.key, other, _SERVER, _BINDING),
            (self.key, _CLIENT, other, _BINDING),
            (self.key, _CLIENT, _SERVER, bytes(32)),
            (self.key, _CLIENT, _SERVER, b""),
        ):
            self.assertFalse(check_proof(key, proof, client, server, binding))

    def test_missing(self):
        """No proof, or a part of one, is not a proof."""
        proof = make_proof(self.key, _CLIENT, _SERVER, _BINDING)
        for given in (b"", proof[:-1], proof + b"\0"):
            self.assertFalse(check_proof(self.key, given, _CLIENT, _SERVER, _BINDING))
