"""Tests of `anychat.transfers.chunks`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat import messages
from anychat.core import transfers as core
from anychat.errors import PeerError
from anychat.protocols import formats_transfers
from anychat.protocols.formats import decode, encode
from anychat.protocols.framing import HEADER_SIZE, MAXIMUM, UNNUMBERED
from anychat.services import store, transfer_ends
from anychat.transfers.chunks import (
    CHUNK,
    HEAD_SIZE,
    WINDOW,
    Chunk,
    Grant,
    Taken,
    decode_chunk,
    decode_grant,
    decode_taken,
    encode_chunk,
    encode_grant,
    encode_taken,
    place_of,
)

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
DATA = st.binary(min_size=1, max_size=300)


class SameBytesTests(SynchronousTestCase):
    """The fast way and the declared formats are the same."""

    @settings(deadline=None, max_examples=50)
    @given(U32, U64, DIGESTS, DATA)
    def test_chunks(self, task_id, offset, digest, data):
        """A chunk, from either side."""
        body = encode_chunk(task_id, Chunk(offset, digest, data))
        for kind in (messages.TransferData, messages.TransferPortion):
            self.assertEqual(encode(kind(task_id, offset, digest, data))[1], body)
        self.assertEqual(decode_chunk(body), (task_id, Chunk(offset, digest, data)))
        self.assertEqual(place_of(body), (task_id, offset, len(data)))

    @settings(deadline=None, max_examples=50)
    @given(U32, U64, st.booleans())
    def test_taken(self, task_id, offset, restart):
        """What the receiver says."""
        taken = Taken(task_id, offset, restart)
        body = encode_taken(taken)
        self.assertEqual(encode(messages.TransferTaken(*taken))[1], body)
        self.assertEqual(decode_taken(body), taken)

    @settings(deadline=None, max_examples=50)
    @given(U32, U64, U64, st.booleans())
    def test_grants(self, task_id, first, second, restart):
        """What the sender is told."""
        grant = Grant(task_id, min(first, second), max(first, second), restart)
        body = encode_grant(grant)
        self.assertEqual(encode(messages.TransferGrant(*grant))[1], body)
        self.assertEqual(decode_grant(body), grant)

    def test_unnumbered(self):
        """The frames that are read here are those that carry no number."""
        kinds = (
            messages.TransferData,
            messages.TransferPortion,
            messages.TransferTaken,
            messages.TransferGrant,
        )
        self.assertEqual(
            {row.number for row in formats_transfers_rows(kinds)}, UNNUMBERED
        )


def formats_transfers_rows(kinds):
    """Rows of the registry."""
    from anychat.protocols.formats import REGISTRY

    return [row for row in REGISTRY if row.kind in kinds]


class LimitTests(SynchronousTestCase):
    """What is too long, too short or does not fit."""

    def test_sizes(self):
        """A chunk fits a frame and an AMP value, and limits agree everywhere."""
        self.assertLessEqual(HEADER_SIZE + HEAD_SIZE + CHUNK, MAXIMUM)
        self.assertLessEqual(CHUNK, store.PORTION)
        self.assertEqual(CHUNK % 4096, 0)
        self.assertLessEqual(WINDOW, 1 << 20)
        self.assertEqual(CHUNK, formats_transfers.CHUNK_MAXIMUM)
        self.assertEqual(CHUNK, transfer_ends.PORTION)
        self.assertEqual(core.MAX_FILE_NAME, formats_transfers.FILE_NAME_MAXIMUM)
        self.assertLessEqual(
            core.MAX_SENDING + core.MAX_RECEIVING, formats_transfers.TASKS_MAXIMUM
        )

    def test_chunkTooLong(self):
        """A byte over the limit is refused, either way."""
        body = encode_chunk(1, Chunk(0, bytes(32), bytes(CHUNK)))
        self.assertEqual(decode_chunk(body)[1].end, CHUNK)
        self.assertRaises(PeerError, place_of, body + b"x")
        self.assertRaises(PeerError, decode_chunk, body + b"x")
        self.assertRaises(PeerError, decode, 70, body + b"x")

    def test_truncated(self):
        """No part of a body passes."""
        body = encode_chunk(1, Chunk(0, bytes(32), b"x"))
        for length in range(len(body)):
            self.assertRaises(PeerError, decode_chunk, body[:length])
        for body, parse in (
            (encode_taken(Taken(1, 2, True)), decode_taken),
            (encode_grant(Grant(1, 2, 3, True)), decode_grant),
        ):
            for length in range(len(body)):
                self.assertRaises(PeerError, parse, body[:length])
            self.assertRaises(PeerError, parse, body + b"\0")
            self.assertRaises(PeerError, parse, body[:-1] + b"\2")

    def test_wrongLength(self):
        """A chunk says how long it is, and is not any longer."""
        body = encode_chunk(1, Chunk(0, bytes(32), b"xyz"))
        for length in (0, 2, 4, 65535):
            changed = body[:44] + length.to_bytes(2, "big") + body[46:]
            self.assertRaises(PeerError, decode_chunk, changed)

    def test_limitBehind(self):
        """A grant whose limit is behind its offset is none."""
        self.assertRaises(PeerError, decode_grant, encode_grant(Grant(1, 3, 2, False)))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=100))
    def test_garbage(self, body):
        """Any bytes are something or a PeerError."""
        for parse in (decode_chunk, decode_taken, decode_grant, place_of):
            try:
                parse(body)
            except PeerError as error:
                self.assertNotIn("\n", error.reason)
