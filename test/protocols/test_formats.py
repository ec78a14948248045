"""Tests of `anychat.protocols.formats` and the modules it is made of."""

import dataclasses
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat import messages
from anychat.codes import DeviceType, ResultCode, StreamKind
from anychat.core.names import MAX_NAME, is_fit
from anychat.errors import LocalError, PeerError
from anychat.protocols.formats import (
    REGISTRY,
    Sender,
    decode,
    encode,
    known,
    number_of,
)
from anychat.protocols.formats_fields import NAME_MAXIMUM, TEXT_MAXIMUM
from anychat.protocols.formats_session import (
    MEMBERS_MAXIMUM,
    STREAMS_MAXIMUM,
    SUBSCRIPTIONS_MAXIMUM,
    USERS_MAXIMUM,
)
from anychat.protocols.framing import (
    FIRST_SESSION_TYPE,
    HEADER_SIZE,
    MAXIMUM,
    FrameReader,
)
from test.protocols.samples import SAMPLES, records

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
CORPUS = Path(__file__).resolve().parent.parent / "corpus" / "signalling"


class RegistryTests(SynchronousTestCase):
    """Numbers are given once and for ever."""

    def test_golden(self):
        """Every number that was ever given still means what it meant."""
        pinned = (GOLDEN / "messages.txt").read_text().splitlines()
        rows = [f"{r.number} {r.kind.__name__} {r.sender.value}" for r in REGISTRY]
        self.assertEqual(rows, pinned)

    def test_everyMessageHasAFormat(self):
        """No message of the vocabulary was forgotten, none is there twice."""
        kinds = {
            kind
            for kind in vars(messages).values()
            if isinstance(kind, type)
            and issubclass(kind, messages.Message)
            and kind is not messages.Message
        }
        self.assertEqual(kinds, {row.kind for row in REGISTRY})
        self.assertEqual(len({row.number for row in REGISTRY}), len(REGISTRY))

    def test_linkMessagesAreBelow32(self):
        """What stands before the comment in ``messages`` is a link message."""
        last = list(vars(messages)).index("LinkClose")
        for row in REGISTRY:
            link = list(vars(messages)).index(row.kind.__name__) <= last
            self.assertEqual(link, row.number < FIRST_SESSION_TYPE, row.kind)

    def test_known(self):
        """A number is known only from the side that may send it."""
        login = number_of(messages.Login)
        self.assertTrue(known(login, Sender.CLIENT))
        self.assertFalse(known(login, Sender.SERVER))
        self.assertFalse(known(60000, Sender.CLIENT))


class GoldenFrameTests(SynchronousTestCase):
    """The bytes of the samples never change."""

    def test_samplesCoverTheRegistry(self):
        """There is a sample of every message, in the registry's order."""
        self.assertEqual([type(s) for s in SAMPLES], [r.kind for r in REGISTRY])

    def test_frames(self):
        """Every golden file decodes to its sample, and the sample to its bytes."""
        files = sorted((GOLDEN / "frames").glob("*.bin"))
        self.assertEqual(len(files), len(SAMPLES))
        for sample, path in zip(SAMPLES, files, strict=True):
            (frame,) = FrameReader().receive(path.read_bytes())
            self.assertEqual(decode(frame.type, frame.body), sample)
            self.assertEqual(encode(sample), (frame.type, frame.body))
            self.assertIn(type(sample).__name__, path.name)

    def test_secretsStayOutOfRepr(self):
        """No password, proof, token or key shows when a message is printed."""
        secret = {"password", "proof", "token"}
        for sample in SAMPLES:
            for field in dataclasses.fields(sample):
                if field.name in secret or field.name.endswith("key"):
                    self.assertNotIn(f"{field.name}=", repr(sample))


class CodingTests(SynchronousTestCase):
    """Messages become bytes and bytes messages, within limits."""

    @settings(deadline=None, max_examples=400)
    @given(st.sampled_from(REGISTRY).flatmap(lambda row: records(row.kind)))
    def test_roundTrip(self, message):
        """Whatever fits a message survives the wire."""
        number, body = encode(message)
        self.assertEqual(decode(number, body), message)
        self.assertLessEqual(len(body) + HEADER_SIZE, MAXIMUM)

    @settings(deadline=None, max_examples=400)
    @given(st.sampled_from(REGISTRY), st.binary(max_size=200))
    def test_garbage(self, row, body):
        """Any bytes are a message or a PeerError, and one has one spelling."""
        try:
            message = decode(row.number, body)
        except PeerError:
            return
        if getattr(message, "device", None) is not DeviceType.UNKNOWN:
            self.assertEqual(encode(message), (row.number, body))

    @settings(deadline=None, max_examples=400)
    @given(st.sampled_from(SAMPLES), st.data())
    def test_damaged(self, sample, data):
        """A sample with bytes changed, cut or added is a message or a PeerError."""
        number, body = encode(sample)
        damaged = bytearray(body)
        for _ in range(data.draw(st.integers(0, 3))):
            if damaged:
                damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(
                    st.integers(1, 255)
                )
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
        damaged += data.draw(st.binary(max_size=4))
        try:
            decode(number, bytes(damaged))
        except PeerError as error:
            self.assertNotIn("\n", error.reason)

    def test_corpus(self):
        """Inputs that once broke a parser are refused: NUMBER-name.bin."""
        for path in sorted(CORPUS.glob("*.bin")):
            number = int(path.name.partition("-")[0])
            self.assertRaises(PeerError, decode, number, path.read_bytes())

    def test_truncated(self):
        """Every proper part of every sample is refused."""
        for sample in SAMPLES:
            number, body = encode(sample)
            for length in range(len(body)):
                self.assertRaises(PeerError, decode, number, body[:length])

    def test_bytesLeftOver(self):
        """A byte after the message is refused."""
        for sample in SAMPLES:
            number, body = encode(sample)
            self.assertRaises(PeerError, decode, number, body + b"\0")

    def test_unknownNumber(self):
        """A number without a message is refused."""
        self.assertRaises(PeerError, decode, 31, b"")

    def test_noFormat(self):
        """A dataclass that is no message of ours has no bytes."""
        self.assertRaises(LocalError, encode, messages.Message())

    def assertRefused(self, message):
        """The message can be neither built nor, from raw bytes, parsed."""
        self.assertRaises(LocalError, encode, message)

    def test_nameTooLong(self):
        """Names are limited in bytes, not characters."""
        encode(messages.Login("é" * (NAME_MAXIMUM // 2), ""))
        self.assertRefused(messages.Login("é" * (NAME_MAXIMUM // 2) + "e", ""))
        body = (NAME_MAXIMUM + 1).to_bytes(2, "big") + b"e" * (NAME_MAXIMUM + 1)
        self.assertRaises(PeerError, decode, 7, body + bytes(4))

    def test_textTooLong(self):
        """Texts are limited too."""
        encode(messages.SendText(-1, False, "e" * TEXT_MAXIMUM))
        self.assertRefused(messages.SendText(-1, False, "e" * (TEXT_MAXIMUM + 1)))

    def test_bufferTooLong(self):
        """A TransBuffer carries 1000 bytes at most, as in the product."""
        encode(messages.TransBuffer(7, bytes(1000)))
        self.assertRefused(messages.TransBuffer(7, bytes(1001)))
        body = bytes(4) + (1001).to_bytes(2, "big") + bytes(1001)
        self.assertRaises(PeerError, decode, number_of(messages.TransBuffer), body)

    def test_filterDataTooLong(self):
        """Data for and of a plug-in has 60,000 bytes at most, and fits a frame."""
        for kind in (messages.SendSDKFilterData, messages.SDKFilterData):
            number, body = encode(kind(bytes(60_000)))
            self.assertLessEqual(len(body) + HEADER_SIZE, MAXIMUM)
            self.assertRefused(kind(bytes(60_001)))
            body = (60_001).to_bytes(2, "big") + bytes(60_001)
            self.assertRaises(PeerError, decode, number, body)

    def test_controlCharactersInNames(self):
        """No name that the server says can forge a line of a log."""
        for character in "\0\n\r\x7f\x85\u2028":
            name = f"a{character}b"
            for message in (
                messages.LoginResult(ResultCode.SUCCESS, nickname=name),
                messages.EnterRoomResult(ResultCode.SUCCESS, 1, name),
                messages.RoomMembers(1, (messages.Member(1, 0, name),)),
                messages.UserAtRoom(True, messages.Member(1, 0, name)),
                messages.Resync(1, 1, name),
            ):
                self.assertRefused(message)
            encoded = name.encode()
            body = bytes(8) + len(encoded).to_bytes(2, "big") + encoded
            number = number_of(messages.EnterRoomResult)
            self.assertRaises(PeerError, decode, number, body)

    def test_controlCharactersInRequests(self):
        """A name that is asked for gets through to the core, which answers."""
        for character in "\0\n\r\x7f\x85\u2028":
            for message in (
                messages.Login(f"a{character}b", "", f"1{character}2"),
                messages.EnterRoomByName(f"a{character}b"),
            ):
                self.assertEqual(decode(*encode(message)), message)

    @settings(deadline=None)
    @given(st.text(min_size=1, max_size=MAX_NAME).filter(is_fit))
    @example("\U0001f600" * MAX_NAME)
    @example("\u4e2d" * MAX_NAME)
    def test_namesOfTheCoreFit(self, name):
        """Whatever the core takes for a name can be asked for and told."""
        for message in (
            messages.Login(name, ""),
            messages.EnterRoomByName(name),
            messages.LoginResult(ResultCode.SUCCESS, nickname=name),
            messages.EnterRoomResult(ResultCode.SUCCESS, 1, name),
            messages.UserAtRoom(True, messages.Member(1, 0, name)),
            messages.Resync(1, 1, name),
            messages.StateValue(ResultCode.SUCCESS, 0, name),
        ):
            self.assertEqual(decode(*encode(message)), message)

    def test_notUtf8(self):
        """Bytes that are no UTF-8 are refused, surrogates included."""
        for name in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
            body = len(name).to_bytes(2, "big") + name + bytes(4)
            self.assertRaises(PeerError, decode, 7, body)
        self.assertRefused(messages.Login("\ud800", ""))

    def test_numbersOutOfRange(self):
        """Numbers that a field has no room for are never cut short."""
        self.assertRefused(messages.EnterRoom(2**31))
        self.assertRefused(messages.OnlineUser(-1, 1))
        self.assertRefused(messages.CloseStream(StreamKind.VIDEO, 256))

    def test_enumerations(self):
        """A stream of no kind is refused; an unknown device is just unknown."""
        self.assertRaises(PeerError, decode, number_of(messages.CloseStream), b"\3\0")
        number, body = encode(SAMPLES[0])
        strange = body[:22] + b"\xfe" + body[23:]
        self.assertIs(decode(number, strange).device, DeviceType.UNKNOWN)

    def test_applicationCodes(self):
        """The code of an application goes over the wire as it is."""
        for number in (1000, 99999, 2**32 - 1):
            message = messages.LoginResult(ResultCode(number))
            self.assertEqual(decode(*encode(message)), message)
            self.assertEqual(encode(message)[1][:4], number.to_bytes(4, "big"))

    def test_booleans(self):
        """True has one spelling."""
        number, body = encode(messages.CameraState(7, 0, True))
        self.assertRaises(PeerError, decode, number, body[:-1] + b"\x02")

    def test_secretsHaveTheirLength(self):
        """A token or key is whole or absent."""
        encode(messages.LoginResult(ResultCode.CERTIFY_FAIL))
        self.assertRefused(messages.LoginResult(ResultCode.SUCCESS, token=b"short"))
        self.assertRefused(messages.Resume(0, b""))
        body = bytes(14) + b"\x05short" + bytes(4)
        self.assertRaises(PeerError, decode, 8, body)

    def test_largestMessagesFitAFrame(self):
        """Whatever the limits allow goes into one frame."""
        streams = tuple(
            messages.OpenStreamInfo(StreamKind.VIDEO, index)
            for index in range(STREAMS_MAXIMUM)
        )
        member = messages.Member(1, 1, "n" * NAME_MAXIMUM, streams)
        published = tuple(
            messages.PublishedStream(StreamKind.VIDEO, index, 1)
            for index in range(STREAMS_MAXIMUM)
        )
        subscription = messages.Subscription(1, StreamKind.AUDIO, 0)
        for message in (
            messages.RoomMembers(1, (member,) * MEMBERS_MAXIMUM),
            messages.UserList(ResultCode.SUCCESS, 1, (1,) * USERS_MAXIMUM),
            messages.Resync(
                1,
                1,
                "n" * NAME_MAXIMUM,
                published,
                (subscription,) * SUBSCRIPTIONS_MAXIMUM,
            ),
        ):
            number, body = encode(message)
            self.assertLessEqual(len(body) + HEADER_SIZE, MAXIMUM)
            self.assertEqual(decode(number, body), message)

    def test_tooMany(self):
        """A list longer than its limit is refused by its count alone."""
        self.assertRefused(messages.UserList(ResultCode.SUCCESS, 1, (1,) * 10_001))
        body = bytes(8) + (10_001).to_bytes(2, "big")
        self.assertRaises(PeerError, decode, number_of(messages.UserList), body)

    def test_errorsTellNoSecrets(self):
        """What cannot be built or parsed does not appear in the error."""
        login = messages.Login("alice", "hunter2" * 1000)
        error = self.assertRaises(LocalError, encode, login)
        self.assertNotIn("hunter2", str(error))
        self.assertIsNone(error.__cause__)
        body = b"\x00\x05alice" + (5000).to_bytes(2, "big") + b"hunter2" * 100
        error = self.assertRaises(PeerError, decode, 7, body)
        self.assertNotIn("hunter2", str(error))
