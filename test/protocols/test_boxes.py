"""Tests of `anychat.protocols.boxes`."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.protocols.boxes import (
    END,
    MAX_BOX,
    MAX_PAIRS,
    BoxReader,
    encode_box,
    encode_pair,
)

CORPUS = Path(__file__).resolve().parent.parent / "corpus" / "boxes"

BOXES = st.dictionaries(
    st.binary(min_size=1, max_size=20), st.binary(max_size=300), min_size=1, max_size=8
)


def read(data, maximum=MAX_BOX):
    """The boxes in these bytes."""
    return list(BoxReader(maximum).receive(data))


class BoxTests(SynchronousTestCase):
    """Bytes to pairs and back."""

    def test_layout(self):
        """A box is what AMP says it is."""
        self.assertEqual(
            encode_box([(b"a", b"1"), (b"bc", b"")]),
            b"\0\x01a\0\x011\0\x02bc\0\0\0\0",
        )

    @settings(deadline=None, max_examples=50)
    @given(st.lists(BOXES, max_size=5))
    def test_asTwistedHasIt(self, boxes):
        """Twisted's AMP reads what is written here, and the other way round."""
        ours = b"".join(encode_box(box.items()) for box in boxes)
        self.assertEqual(amp.parseString(ours), boxes)
        theirs = b"".join(amp.Box(box).serialize() for box in boxes)
        self.assertEqual(read(theirs), boxes)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(BOXES, min_size=1, max_size=4), st.data())
    def test_anyPortions(self, boxes, data):
        """Boxes come out whole however their bytes come in."""
        rest = b"".join(encode_box(box.items()) for box in boxes)
        reader, found = BoxReader(), []
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            found += reader.receive(rest[:size])
            rest = rest[size:]
        self.assertEqual(found, boxes)
        self.assertEqual(reader.waiting, 0)

    def test_byteByByte(self):
        """A long value that comes in single bytes costs no more than its length."""
        whole = encode_box([(b"k", b"v" * 65535)])
        reader, found = BoxReader(), []
        for at in range(len(whole)):
            found += reader.receive(whole[at : at + 1])
        self.assertEqual([len(box[b"k"]) for box in found], [65535])

    def test_longestValue(self):
        """65,535 bytes are a value, one more is none."""
        self.assertEqual(len(read(encode_box([(b"k", bytes(65535))]))[0][b"k"]), 65535)
        self.assertRaises(LocalError, encode_pair, b"k", bytes(65536))

    def test_keysThatFitNoBox(self):
        """A key has 1 to 255 bytes."""
        encode_pair(b"k" * 255, b"")
        self.assertRaises(LocalError, encode_pair, b"k" * 256, b"")
        self.assertRaises(LocalError, encode_pair, b"", b"")

    def test_keyTooLong(self):
        """A key of 256 bytes is not AMP; so is anything that is text."""
        for data in (b"\x01\0", b"GET / HTTP/1.1\r\n"):
            self.assertRaises(PeerError, read, data)

    def test_keyTwice(self):
        """A key comes once in a box."""
        self.assertRaises(PeerError, read, encode_box([(b"a", b"1"), (b"a", b"2")]))

    def test_empty(self):
        """A box without pairs is none."""
        self.assertRaises(PeerError, read, END)

    def test_tooManyPairs(self):
        """A box has so many pairs and no more."""
        pairs = [(b"%d" % n, b"") for n in range(MAX_PAIRS + 1)]
        self.assertEqual(len(read(encode_box(pairs[:-1]))[0]), MAX_PAIRS)
        self.assertRaises(PeerError, read, encode_box(pairs))

    def test_boxTooLong(self):
        """A box has so many bytes, and is refused before the rest has come."""
        whole = encode_box([(b"a", bytes(50)), (b"b", bytes(38))])
        self.assertEqual(len(read(whole, len(whole))), 1)
        self.assertRaises(PeerError, read, whole, len(whole) - 1)
        self.assertRaises(PeerError, read, b"\0\x01a\xff\xff", 1000)

    def test_boundsWhatWaits(self):
        """A box that never ends is held no longer than the maximum."""
        reader = BoxReader(1000)
        portion = encode_pair(b"k", bytes(90))
        with self.assertRaises(PeerError):
            for number in range(100):
                list(reader.receive(portion.replace(b"k", b"%c" % (number + 33))))
                self.assertLess(reader.waiting, 1000)

    def test_truncated(self):
        """A box that is cut off comes to nothing, at whatever byte."""
        whole = encode_box([(b"key", b"value"), (b"other", b"")])
        for size in range(len(whole)):
            reader = BoxReader()
            self.assertEqual(list(reader.receive(whole[:size])), [])
            self.assertEqual(reader.waiting, size)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=400))
    def test_garbage(self, data):
        """Whatever comes, it is boxes, not enough, or a fault of the peer."""
        try:
            for box in read(data, 300):
                self.assertTrue(box)
        except PeerError:
            pass

    def test_corpus(self):
        """What once was trouble is none."""
        for path in sorted(CORPUS.glob("*.bin")):
            self.assertRaises(PeerError, read, path.read_bytes())
