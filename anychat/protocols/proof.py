"""Proof that a side knows SDKAuthPass, which never goes over the wire.

The key is ``scrypt(password, salt)`` with N=2^14, r=8, p=1 (RFC 7914), 32
bytes, the salt being the server's: about 50 ms of work, so that a recorded
proof is costly to guess from.  The proof is HMAC-SHA256 under that key over
client nonce (16 bytes), server nonce (16 bytes) and the channel binding
``tls-exporter`` of RFC 9266 (32 bytes; nothing on a plain link), which ties the
proof to this very TLS connection: a man in the middle cannot pass it on.
"""

import hashlib
import hmac

#: Length of each side's nonce in bytes.
NONCE_SIZE = 16
#: Length of the server's salt in bytes.
SALT_SIZE = 16
#: Length of a proof in bytes.
PROOF_SIZE = 32
#: Length of the channel binding on an encrypted link.
BINDING_SIZE = 32


def derive_key(password: str, salt: bytes) -> bytes:
    """The key of all proofs with that password and salt.

    Takes about 50 ms and 16 MiB: once at the server's start, once per
    connection at the client.
    """
    return hashlib.scrypt(
        password.encode("utf-8"), salt=salt, n=2**14, r=8, p=1, dklen=32
    )


def make_proof(
    key: bytes, client_nonce: bytes, server_nonce: bytes, binding: bytes
) -> bytes:
    """The proof for one link.

    :param binding: the TLS exporter value, empty on a plain link.
    """
    return hmac.digest(key, client_nonce + server_nonce + binding, "sha256")


def check_proof(
    key: bytes,
    proof: bytes,
    client_nonce: bytes,
    server_nonce: bytes,
    binding: bytes,
) -> bool:
    """Whether the proof holds; takes the same time either way."""
    expected = make_proof(key, client_nonce, server_nonce, binding)
    return hmac.compare_digest(expected, proof)
