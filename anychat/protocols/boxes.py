"""AMP boxes: bytes to pairs of key and value, and back.

A box is what the Asynchronous Messaging Protocol sends at once::

    00 key-length key  value-length(2) value   ... 00 00

Keys have 1 to 255 bytes, values 0 to 65535.  The protocol knows no limit to
the number of pairs, and takes a key twice; here both are faults of the peer,
since they cost memory and have no meaning.

Nothing of Twisted is needed to read or write boxes, and events go out by the
thousand: this is faster than ``twisted.protocols.amp`` and understands it.
"""

from collections.abc import Iterable, Iterator

from anychat.errors import LocalError, PeerError

#: Key of a box that asks or tells something: the command's name.
COMMAND = b"_command"
#: Key of a box that wants an answer: a tag that the answer carries again.
ASK = b"_ask"
#: Key of an answer: the tag of what it answers.
ANSWER = b"_answer"
#: Key of a refusal: the tag of what it answers.
ERROR = b"_error"
#: With `ERROR`: a name for the kind of refusal.
ERROR_CODE = b"_error_code"
#: With `ERROR`: a text for people.
ERROR_DESCRIPTION = b"_error_description"

#: Bytes of a key.
MAX_KEY = 255
#: Bytes of a value.
MAX_VALUE = 65535
#: Pairs of a box.
MAX_PAIRS = 32
#: Bytes of a box.
MAX_BOX = 131072

#: What ends a box: the length of a key that is not there.
END = b"\0\0"

Box = dict[bytes, bytes]


class BoxReader:
    """Cuts what comes into boxes.

    :param maximum: bytes of a box; may be changed between two boxes.
    """

    __slots__ = ("_chunks", "_held", "_wanted", "maximum")

    def __init__(self, maximum: int = MAX_BOX):
        self.maximum = maximum
        self._chunks: list[bytes] = []
        self._held = 0
        self._wanted = 0

    @property
    def waiting(self) -> int:
        """Bytes held of a box that is not complete yet."""
        return self._held

    def receive(self, data: bytes) -> Iterator[Box]:
        """The boxes that these bytes complete.

        :raises PeerError: this is no box, or too long a one.  Nothing can be
            read after it.
        """
        if self._held:
            self._chunks.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return  # without looking again at what is there already
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._held = 0
        start, end = 0, len(data)
        while start < end:
            box: Box = {}
            at = start
            while True:
                here = at + 2
                if here > end:
                    break
                size = data[at] << 8 | data[at + 1]
                if not size:
                    break
                if size > MAX_KEY:
                    raise PeerError(f"a key of {size} bytes: this is not AMP")
                colon = here + size
                at = colon + 2
                if at > end:
                    here = at
                    break
                key = data[here:colon]
                at += data[colon] << 8 | data[colon + 1]
                here = at + 2
                if here - start > self.maximum:
                    raise PeerError(f"a box of more than {self.maximum} bytes")
                if here > end:
                    break
                if key in box:
                    raise PeerError(f"the key {key!r} twice in a box")
                if len(box) == MAX_PAIRS:
                    raise PeerError(f"a box of more than {MAX_PAIRS} pairs")
                box[key] = data[colon + 2 : at]
            if here > end:
                self._chunks.append(data[start:] if start else data)
                self._held = end - start
                self._wanted = here - start
                return
            if not box:
                raise PeerError("an empty box")
            start = here
            yield box


def encode_pair(key: bytes, value: bytes) -> bytes:
    """One pair of a box.

    :raises LocalError: key or value is too long, or the key empty.
    """
    if not 0 < len(key) <= MAX_KEY or len(value) > MAX_VALUE:
        raise LocalError(f"{key!r} with {len(value)} bytes fits no box")
    return b"".join(
        (len(key).to_bytes(2, "big"), key, len(value).to_bytes(2, "big"), value)
    )


def encode_box(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole box.

    :raises LocalError: a key or value is too long, or a key empty.
    """
    return b"".join([encode_pair(key, value) for key, value in pairs]) + END
