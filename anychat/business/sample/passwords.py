"""Passwords as they are stored: never themselves, but what scrypt makes of them.

A stored password is one line, ``scrypt$N$r$p$salt$digest``, with the costs of
RFC 7914 as numbers and the rest in base64.  So the costs can be raised later,
and what was stored before is still understood.
"""

import hmac
import os
import re
from base64 import b64decode, b64encode
from hashlib import scrypt

#: The costs: 16 MiB and about 0.15 s of one core for each password.
N, R, P = 1 << 14, 8, 5
#: Bytes of memory that stored costs may ask for at most.
MAX_MEMORY = 64 << 20

_SALT_SIZE = 16
_DIGEST_SIZE = 32
_LINE = re.compile(r"scrypt\$(\d{1,9})\$(\d{1,9})\$(\d{1,9})\$([^$]+)\$([^$]+)")


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode()
    return scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=MAX_MEMORY, dklen=_DIGEST_SIZE)


def _line(salt: bytes, digest: bytes) -> str:
    return f"scrypt${N}${R}${P}${b64encode(salt).decode()}${b64encode(digest).decode()}"


#: What no password matches.  Checking one against it takes as long as any other
#: check, so that the time of a refusal does not tell which users there are.
NOBODY = _line(bytes(_SALT_SIZE), bytes(_DIGEST_SIZE))


def stored(password: str) -> str:
    """The line to store for a password."""
    salt = os.urandom(_SALT_SIZE)
    return _line(salt, _digest(password, salt, N, R, P))


def matches(password: str, line: str) -> bool:
    """Whether a password is the one that was stored.

    :raises ValueError: the line is no stored password.
    """
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError("not of scrypt")
    n, r, p, salt, digest = parts.groups()
    made = _digest(password, b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, b64decode(digest))
