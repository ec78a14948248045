"""What a datagram on the media port is, by its first byte (RFC 7983).

==========  =======================================================
first byte  kind
==========  =======================================================
0-3         STUN
4-15        our own control datagrams
20-63       DTLS
128-191     RTP, or RTCP where the second byte is 192-223 (RFC 5761)
others      nothing of ours (ZRTP, TURN channels, noise)
==========  =======================================================

SRTP and SRTCP leave these two bytes clear, so they classify the same way.
"""

from enum import Enum


class Kind(Enum):
    """What a datagram claims to be; its parser decides whether it is."""

    STUN = "stun"
    CONTROL = "control"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


def _by_first_byte(first: int) -> Kind:
    if first <= 3:
        return Kind.STUN
    if first <= 15:
        return Kind.CONTROL
    if 20 <= first <= 63:
        return Kind.DTLS
    if 128 <= first <= 191:
        return Kind.RTP
    return Kind.OTHER


_KINDS = tuple(_by_first_byte(first) for first in range(256))
_RTP = Kind.RTP
_RTCP = Kind.RTCP


def classify(data: bytes) -> Kind:
    """Tell the kind of a datagram; never fails.

    A datagram too short to have the byte that decides is `Kind.OTHER`.
    """
    if not data:
        return Kind.OTHER
    kind = _KINDS[data[0]]
    if kind is _RTP:
        if len(data) < 2:
            return Kind.OTHER
        if 192 <= data[1] <= 223:
            return _RTCP
    return kind
