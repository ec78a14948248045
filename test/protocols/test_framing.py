"""Tests of `anychat.protocols.framing`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.protocols.framing import (
    HEADER_SIZE,
    MAGIC,
    MAXIMUM,
    Frame,
    FrameReader,
    encode_frame,
)

_U32 = st.integers(0, 2**32 - 1)


class FramingTests(SynchronousTestCase):
    """Frames are cut out of the stream wherever the network cut it."""

    def test_layout(self):
        """The header is the one of docs/wire/signalling.md, byte for byte."""
        self.assertEqual(
            encode_frame(0x1234, b"body", request=5, seq=6, ack=7).hex(),
            "0000001812340000000000050000000600000007626f6479",
        )

    def test_magicIsEightBytesThatNothingElseBeginsWith(self):
        """The magic cannot be taken for TLS, HTTP or text."""
        self.assertEqual(len(MAGIC), 8)
        self.assertNotIn(MAGIC[0], range(0x80))
        self.assertRaises(UnicodeDecodeError, MAGIC.decode)

    def test_everyCutGivesTheSameFrames(self):
        """One byte at a time or all at once, the frames are the same."""
        data = b"".join(
            encode_frame(n, bytes(n), request=n, seq=n, ack=n) for n in range(4)
        )
        whole = list(FrameReader().receive(data))
        reader = FrameReader()
        single = [f for byte in data for f in reader.receive(bytes([byte]))]
        self.assertEqual(whole, single)
        self.assertEqual(whole[3], Frame(3, 0, 3, 3, 3, bytes(3)))
        self.assertEqual(reader.pending, 0)

    def test_flagsAreHandedOn(self):
        """A frame with flags that nobody knows yet is a frame."""
        data = bytearray(encode_frame(40, b""))
        data[6:8] = b"\xff\xff"
        (frame,) = FrameReader().receive(bytes(data))
        self.assertEqual(frame.flags, 0xFFFF)

    def test_frameTooLong(self):
        """A length over the maximum is refused before its body comes."""
        reader = FrameReader(maximum=100)
        self.assertRaises(PeerError, list, reader.receive((101).to_bytes(4, "big")))

    def test_longestFrame(self):
        """A frame of exactly the maximum passes."""
        data = encode_frame(32, bytes(MAXIMUM - HEADER_SIZE))
        (frame,) = FrameReader().receive(data)
        self.assertEqual(len(frame.body), MAXIMUM - HEADER_SIZE)

    def test_frameTooShort(self):
        """A length that leaves no room for the header is refused."""
        for length in range(HEADER_SIZE):
            reader = FrameReader()
            self.assertRaises(
                PeerError, list, reader.receive(length.to_bytes(4, "big"))
            )

    def test_frameTruncated(self):
        """What is missing a byte is no frame, and stays held."""
        data = encode_frame(32, b"body")
        reader = FrameReader()
        self.assertEqual(list(reader.receive(data[:-1])), [])
        self.assertEqual(reader.pending, len(data) - 1)

    def test_framesBeforeAFaultAreTaken(self):
        """However the bytes are cut, good frames before a bad one come out."""
        taken = []
        receiving = FrameReader().receive(encode_frame(32, b"ok") + bytes(4))

        def receive():
            for frame in receiving:
                taken.append(frame.body)

        self.assertRaises(PeerError, receive)
        self.assertEqual(taken, [b"ok"])

    def test_encodeTooLong(self):
        """A frame that the peer would refuse is never built."""
        body = bytes(MAXIMUM - HEADER_SIZE + 1)
        self.assertRaises(LocalError, encode_frame, 32, body)

    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(
            st.builds(
                Frame,
                st.integers(0, 0xFFFF),
                st.just(0),
                _U32,
                _U32,
                _U32,
                st.binary(max_size=300),
            ),
            max_size=8,
        ),
        st.lists(st.integers(1, 400), max_size=40),
    )
    def test_roundTrip(self, frames, cuts):
        """Frames survive the wire whatever they are and however they are cut."""
        data = b"".join(
            encode_frame(f.type, f.body, request=f.request, seq=f.seq, ack=f.ack)
            for f in frames
        )
        reader, received = FrameReader(), []
        for cut in cuts:
            received += reader.receive(data[:cut])
            data = data[cut:]
        received += reader.receive(data)
        self.assertEqual(received, frames)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary(max_size=100), max_size=20))
    def test_garbage(self, pieces):
        """Any bytes give frames or a PeerError, and are not hoarded."""
        reader = FrameReader(maximum=64)
        for piece in pieces:
            try:
                list(reader.receive(piece))
            except PeerError:
                return
            self.assertLess(reader.pending, 64)
