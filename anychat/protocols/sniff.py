"""Which protocol a TCP connection speaks, told by its first bytes.

One port serves several protocols.  A TLS ClientHello begins with the record
type 22 (RFC 8446 section 5.1); inside TLS the same question is asked again
about the first decrypted bytes, where TLS is no answer any more.
"""

from enum import Enum

from anychat.protocols.framing import MAGIC

_TLS_HANDSHAKE = 22


class Wire(Enum):
    """What the first bytes say."""

    UNDECIDED = "undecided"
    """Too few bytes, and none of them wrong."""
    TLS = "tls"
    NATIVE = "native"
    """`framing.MAGIC` came: frames follow."""
    FOREIGN = "foreign"
    """None of ours."""


def sniff(data: bytes, *, tls: bool) -> Wire:
    """Judge the first bytes of a connection.

    :param data: everything received so far.
    :param tls: whether TLS may begin here.
    """
    if not data:
        return Wire.UNDECIDED
    if tls and data[0] == _TLS_HANDSHAKE:
        return Wire.TLS
    if data.startswith(MAGIC):
        return Wire.NATIVE
    if MAGIC.startswith(data):
        return Wire.UNDECIDED
    return Wire.FOREIGN
