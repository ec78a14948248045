"""Signatures of signed logins (LoginEx); ``docs/wire/signalling.md`` has the rules.

What is signed is a line of JSON, spelt as the product's tools spell it.  Those
tools make an MD5 of it and put its hexadecimal digits into an RSA block of
PKCS#1 v1.5 (RFC 8017 section 8.2) in one of two ways; both are taken besides a
proper signature with MD5.  What signs anew should use RSA-PSS or Ed25519.
"""

import hashlib
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from anychat.codes import ResultCode, SignatureScheme
from anychat.errors import ConfigError, Refused
from anychat.messages import LoginEx

#: Bits of an RSA key.
SMALLEST, SMALLEST_PRODUCT, LARGEST = 2048, 1024, 8192

#: What the JSON would need to escape, and the product's tools do not.
_UNFIT = re.compile('[\x00-\x1f\x7f"\\\\]')

# The DER before a digest (RFC 8017 section 9.2, note 1): MD5, and MD5 with the
# 32 digits in the place of its 16 bytes.
_MD5_PREFIX = bytes.fromhex("3020300c06082a864886f70d020505000410")
_MD5_DIGITS_PREFIX = bytes.fromhex("3030300c06082a864886f70d020505000420")


def signed_text(
    user_id: int, string_id: str, app_id: str, timestamp: int, *, blanks: bool = True
) -> bytes:
    """What is signed.

    :param blanks: with one after each comma, as the product's tools write it.
    :raises Refused: 219, a string id or app id has a character that may not be.
    """
    app_id = app_id.upper()
    if _UNFIT.search(string_id) or _UNFIT.search(app_id):
        raise Refused(ResultCode.SIGPARAMFAIL)
    parts = (
        f'"id":{user_id}',
        f'"strid":"{string_id}"',
        f'"appid":"{app_id}"',
        f'"timestamp":{timestamp}',
    )
    return f"{{{(', ' if blanks else ',').join(parts)}}}".encode()


class SignatureKey:
    """The public key that the signatures of logins are held against.

    :param pem: an RSA or Ed25519 public key.
    :param md5: whether signatures with MD5 are taken.
    :raises ConfigError: it is none, or not strong enough.
    """

    def __init__(self, pem: bytes, *, md5: bool = True) -> None:
        try:
            key = load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"no PEM public key: {error}") from None
        self._key: RSAPublicKey | Ed25519PublicKey
        if isinstance(key, Ed25519PublicKey):
            self._key = key
            self.schemes = frozenset({SignatureScheme.ED25519})
        elif isinstance(key, RSAPublicKey):
            self._key = key
            self.schemes = _schemes(key.key_size, md5)
        else:
            raise ConfigError("the key is neither RSA nor Ed25519")

    def verifies(self, message: LoginEx) -> bool:
        """Whether the signature is right.

        :raises Refused: 219, see `signed_text`.
        """
        scheme = message.scheme
        texts = [
            signed_text(
                message.user_id,
                message.string_id,
                message.app_id,
                message.timestamp,
                blanks=blanks,
            )
            for blanks in (True, False)
        ]
        if scheme not in self.schemes:
            return False
        if isinstance(self._key, Ed25519PublicKey):
            return any(_is_ed25519(self._key, message.signature, t) for t in texts)
        if scheme is SignatureScheme.RSA_MD5:
            return _is_product(self._key, message.signature, texts)
        return any(_is_pss(self._key, message.signature, text) for text in texts)


def _schemes(bits: int, md5: bool) -> frozenset[SignatureScheme]:
    smallest = SMALLEST_PRODUCT if md5 else SMALLEST
    if not smallest <= bits <= LARGEST:
        raise ConfigError(
            f"an RSA key of {bits} bits, allowed: {smallest} to {LARGEST}"
        )
    schemes = set()
    if bits >= SMALLEST:
        schemes.add(SignatureScheme.RSA_PSS_SHA256)
    if md5:
        schemes.add(SignatureScheme.RSA_MD5)
    return frozenset(schemes)


def _is_ed25519(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _is_pss(key: RSAPublicKey, signature: bytes, text: bytes) -> bool:
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
    try:
        key.verify(signature, text, scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _is_product(key: RSAPublicKey, signature: bytes, texts: Sequence[bytes]) -> bool:
    try:
        content = key.recover_data_from_signature(signature, padding.PKCS1v15(), None)
    except InvalidSignature:
        return False
    for text in texts:
        digest = hashlib.md5(text, usedforsecurity=False)
        digits = digest.hexdigest().encode("ascii")
        # Nothing here is secret, so that it need not take the same time.
        if content in (
            digits,
            _MD5_DIGITS_PREFIX + digits,
            _MD5_PREFIX + digest.digest(),
        ):
            return True
    return False


def sign(
    pem: bytes,
    scheme: SignatureScheme,
    user_id: int,
    string_id: str,
    app_id: str,
    timestamp: int,
) -> bytes:
    """A signature, as the application's server makes it.

    :param pem: its private key, RSA or Ed25519, without a password.
    :raises Refused: 217 no such key for that scheme, 219 see `signed_text`.
    """
    text = signed_text(user_id, string_id, app_id, timestamp)
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refused(ResultCode.SIGPRIVATEKEYEMPTY) from None
    if isinstance(key, Ed25519PrivateKey) and scheme is SignatureScheme.ED25519:
        return key.sign(text)
    if isinstance(key, RSAPrivateKey):
        if scheme is SignatureScheme.RSA_PSS_SHA256:
            mask = padding.MGF1(hashes.SHA256())
            pss = padding.PSS(mask, padding.PSS.DIGEST_LENGTH)
            return key.sign(text, pss, hashes.SHA256())
        if scheme is SignatureScheme.RSA_MD5:
            return key.sign(text, padding.PKCS1v15(), hashes.MD5())
    raise Refused(ResultCode.SIGPRIVATEKEYEMPTY)
