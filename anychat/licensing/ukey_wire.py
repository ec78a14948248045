"""What a UKey is asked and what it answers; ``docs/wire/ukey.md`` has it in full.

All requests are vendor control transfers to the device.  The key proves that it
holds the private key of a P-256 pair by a signature over a fresh nonce.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from anychat.codes import ResultCode
from anychat.errors import PeerError

#: bmRequestType (USB 2.0, table 9-2): of vendors, to the device.
FROM_KEY, TO_KEY = 0xC0, 0x40
#: bmRequestType and bRequest that read a descriptor (USB 2.0, table 9-4).
FROM_ANY_DEVICE, GET_DESCRIPTOR = 0x80, 6
#: bDescriptorType of strings (USB 2.0, table 9-5), and the longest one.
STRING, LONGEST_STRING = 3, 254

#: Version of what is said here.
VERSION = 1
NONCE_SIZE = 32
#: What the nonce stands behind when it is signed, so that nothing else that
#: somebody may want signed can pass for a challenge.
PREFIX = b"AnyChat UKey 1\0\0"

_MAGIC = b"ACUK"
_INFO = struct.Struct("<4sBBH")
INFO_SIZE = _INFO.size
#: An uncompressed point (SEC 1, 2.3.3), and the two numbers of a signature.
POINT_SIZE, SIGNATURE_SIZE = 65, 64
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Request(IntEnum):
    """bRequest of what a key is asked."""

    INFO = 1
    """IN, 8 bytes: what it is."""
    PUBLIC_KEY = 2
    """IN, 65 bytes."""
    CHALLENGE = 3
    """OUT, 32 bytes: the nonce; wValue is its number, as in the next two."""
    STATE = 4
    """IN, 1 byte: how far the signature is."""
    SIGNATURE = 5
    """IN, 64 bytes: r and s."""


class State(IntEnum):
    """What has become of a challenge."""

    UNKNOWN = 0
    """It is not the last one, or there was none since the key was plugged in."""
    WORKING = 1
    READY = 2
    FAILED = 3
    """The key could not sign."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a key says of itself."""

    version: int
    has_pair: bool
    """Whether it has made its pair of keys yet."""


def _garbage(what: str) -> PeerError:
    return PeerError(what, ResultCode.CERTFILE_UKEYSIGFAIL)


def parse_info(data: bytes) -> Info:
    """The answer to INFO.

    :raises PeerError: it is not that of a UKey.
    """
    if len(data) != INFO_SIZE:
        raise _garbage(f"it says in {len(data)} bytes what it is, not in {INFO_SIZE}")
    magic, version, flags, _ = _INFO.unpack(data)
    if magic != _MAGIC:
        raise _garbage("it does not say that it is a UKey")
    return Info(version, bool(flags & 1))


def build_info(info: Info) -> bytes:
    """What a key answers to INFO."""
    return _INFO.pack(_MAGIC, info.version, int(info.has_pair), 0)


def parse_state(data: bytes) -> State:
    """The answer to STATE.

    :raises PeerError: there is no such state.
    """
    if len(data) != 1 or data[0] > max(State):
        raise _garbage("it is in a state that there is not")
    return State(data[0])


def parse_string(data: bytes) -> str:
    """The text of a string descriptor (USB 2.0, 9.6.7).

    :raises PeerError: it is none.
    """
    if len(data) < 2 or data[1] != STRING or data[0] != len(data) or data[0] % 2:
        raise _garbage("its serial number is not a string descriptor")
    try:
        return data[2:].decode("utf-16-le")
    except UnicodeDecodeError:
        raise _garbage("its serial number is not UTF-16") from None


def parse_languages(data: bytes) -> int:
    """The first language that a device has strings in (USB 2.0, 9.6.7).

    :raises PeerError: it says none.
    """
    if len(data) < 4 or data[1] != STRING or data[0] != len(data) or data[0] % 2:
        raise _garbage("it does not say the language of its strings")
    return int.from_bytes(data[2:4], "little")


def read_point(data: bytes) -> ec.EllipticCurvePublicKey:
    """A public key.

    :raises ValueError: it is not an uncompressed point of P-256.
    """
    if len(data) != POINT_SIZE:
        raise ValueError(f"{len(data)} bytes, not {POINT_SIZE}")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def verifies(key: ec.EllipticCurvePublicKey, nonce: bytes, signature: bytes) -> bool:
    """Whether the signature is that of this key over this nonce.

    :raises PeerError: it cannot be a signature of any key.
    """
    if len(signature) != SIGNATURE_SIZE:
        raise _garbage(f"its signature has {len(signature)} bytes")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        raise _garbage("its signature is none of P-256")
    try:
        key.verify(encode_dss_signature(r, s), PREFIX + nonce, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
