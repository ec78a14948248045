"""RTP sequence numbers: 16-bit serial arithmetic and the 48-bit index.

A sequence number wraps every 65,536 packets.  Both ends count the turns (the
roll-over counter, ROC) without sending it; ``index = roc << 16 | sequence`` is
what SRTP encrypts under (RFC 3711 section 3.3.1) and what everything here
counts in, since an index never wraps within a publication.
"""

#: How many sequence numbers there are.
MODULUS = 1 << 16
#: Indexes end here: 2**48 packets under one key (RFC 3711 section 9.2).
INDEX_LIMIT = 1 << 48


def distance(start: int, end: int) -> int:
    """Steps from one sequence number to another, the short way round.

    :return: -32768 to 32767; positive when ``end`` is the later one.
    """
    return ((end - start + 0x8000) & 0xFFFF) - 0x8000


def extend(sequence: int, reference: int) -> int:
    """The index with that sequence number which is nearest to a known index.

    RFC 3711 section 3.3.1 and appendix A.  There is no turn before the first
    one: where the nearest index would be negative, the one in turn 0 is meant.
    """
    index = reference + (((sequence - reference + 0x8000) & 0xFFFF) - 0x8000)
    return index if index >= 0 else index + MODULUS
