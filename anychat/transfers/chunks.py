"""Chunks on the wire: the one kind of message that the server does not decode.

A chunk is the body of a `TransferData` or `TransferPortion` frame::

    offset  size  field
    0       4     task_id
    4       8     offset   of the first byte in the content
    12      32    digest   SHA-256 of the content up to the end of this chunk
    44      2     length   of data
    46      ...   data     1 to 57,344 bytes

Since the digest covers everything before it too, content is hashed once on
each side and the digest of the last chunk vouches for the whole.  The server
looks at the first 12 bytes and the length of the body, and passes the body on
as it is.

The frames of chunks, of what was taken and of what may come carry no number of
the session and are never replayed: a transfer goes on by its own offsets.
"""

from struct import Struct
from typing import NamedTuple

from anychat.errors import PeerError

#: Most bytes of content in one chunk: a whole number of memory pages that fits
#: a frame as well as one value of the channel for business servers.
CHUNK = 57_344

#: Bytes that may be under way from one end to the other, and so the most that
#: is sent a second time after a lost link.
WINDOW = 18 * CHUNK

_HEAD = Struct("!IQ32sH")
_TAKEN = Struct("!IQB")
_GRANT = Struct("!IQQB")

#: Bytes of a chunk's body before its content.
HEAD_SIZE = _HEAD.size

_PLACE = Struct("!IQ")


class Chunk(NamedTuple):
    """A piece of the content."""

    offset: int
    digest: bytes
    data: bytes

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + len(self.data)


class Taken(NamedTuple):
    """What the receiver says it has."""

    task_id: int
    offset: int
    restart: bool
    """Go on there, whatever was sent."""


class Grant(NamedTuple):
    """What the sender may send."""

    task_id: int
    offset: int
    """The receiver has everything before; with ``restart`` go on there."""
    limit: int
    restart: bool


def place_of(body: bytes) -> tuple[int, int, int]:
    """Task, offset and number of content bytes of a chunk's body.

    :raises PeerError: it is none.
    """
    size = len(body) - HEAD_SIZE
    if not 1 <= size <= CHUNK:
        raise PeerError(f"chunk of {size} bytes")
    task_id, offset = _PLACE.unpack_from(body)
    return task_id, offset, size


def encode_chunk(task_id: int, chunk: Chunk) -> bytes:
    """The body of a chunk."""
    head = _HEAD.pack(task_id, chunk.offset, chunk.digest, len(chunk.data))
    return head + chunk.data


def decode_chunk(body: bytes) -> tuple[int, Chunk]:
    """Task and chunk of a body.

    :raises PeerError: it is none.
    """
    size = place_of(body)[2]
    task_id, offset, digest, length = _HEAD.unpack_from(body)
    if length != size:
        raise PeerError(f"chunk of {size} bytes that says {length}")
    return task_id, Chunk(offset, digest, body[HEAD_SIZE:])


def encode_taken(taken: Taken) -> bytes:
    """The body of a `TransferTaken`."""
    return _TAKEN.pack(*taken)


def decode_taken(body: bytes) -> Taken:
    """What the receiver says.

    :raises PeerError: it says nothing that can be.
    """
    if len(body) != _TAKEN.size or body[-1] > 1:
        raise PeerError("malformed TransferTaken")
    task_id, offset, restart = _TAKEN.unpack(body)
    return Taken(task_id, offset, bool(restart))


def encode_grant(grant: Grant) -> bytes:
    """The body of a `TransferGrant`."""
    return _GRANT.pack(*grant)


def decode_grant(body: bytes) -> Grant:
    """What the sender may do.

    :raises PeerError: nothing that can be.
    """
    if len(body) != _GRANT.size or body[-1] > 1:
        raise PeerError("malformed TransferGrant")
    task_id, offset, limit, restart = _GRANT.unpack(body)
    if limit < offset:
        raise PeerError("TransferGrant whose limit is behind")
    return Grant(task_id, offset, limit, bool(restart))
