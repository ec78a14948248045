"""STUN messages are read, written and authenticated, or refused."""

import hashlib
import hmac
from ipaddress import ip_address
from zlib import crc32

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from anychat.errors import LocalError, PeerError
from anychat.media.stun import (
    MAX_ATTRIBUTES,
    MAX_MESSAGE,
    ErrorCode,
    Integrity,
    MessageClass,
    NotAuthenticated,
    build,
    failure,
    parse,
    parse_usual,
    request,
    success,
    usual_success,
)
from test.media.samples import (
    REQUEST,
    SHA256_REQUEST,
    STUN_KEY,
    SUCCESS_IPV4,
    TRANSACTION,
    USERNAME,
    stun_message,
)

#: RFC 5769: the password of its samples.
RFC_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
RFC_TRANSACTION = "b7e7a701bc34d686fa87dfae"
#: RFC 5769 section 2.1, with its ICE attributes.
RFC_REQUEST = bytes.fromhex(
    "000100582112a442" + RFC_TRANSACTION + "80220010"
    "5354554e207465737420636c69656e74 002400046e0001ff 80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf"
)
#: Section 2.2.
RFC_RESPONSE_IPV4 = bytes.fromhex(
    "0101003c2112a442" + RFC_TRANSACTION + "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96"
)
#: Section 2.3.
RFC_RESPONSE_IPV6 = bytes.fromhex(
    "010100482112a442" + RFC_TRANSACTION + "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c"
)


class ParseTests(SynchronousTestCase):
    """The form of messages."""

    def refused(self, data, reason):
        """Assert that a message is refused for that reason."""
        error = self.assertRaises(PeerError, parse, data)
        self.assertEqual(error.reason, reason)

    def test_request(self):
        """A request gives what it was built from."""
        message = parse(REQUEST)
        self.assertIs(message.kind, MessageClass.REQUEST)
        self.assertEqual(message.transaction, TRANSACTION)
        self.assertEqual(message.username, USERNAME)
        self.assertEqual(message.software, "client")
        self.assertIs(message.integrity, Integrity.SHA1)

    def test_rfcRequest(self):
        """RFC 5769's request is read, and its ICE attribute reported."""
        message = parse(RFC_REQUEST)
        message.check(RFC_KEY, "evtj:h6vY")
        self.assertEqual(message.software, "STUN test client")
        self.assertEqual(message.unknown, (0x0024,))

    def test_rfcResponses(self):
        """RFC 5769's responses are read and authentic."""
        for data, host in (
            (RFC_RESPONSE_IPV4, "192.0.2.1"),
            (RFC_RESPONSE_IPV6, "2001:db8:1234:5678:11:2233:4455:6677"),
        ):
            message = parse(data)
            message.check(RFC_KEY)
            self.assertIs(message.kind, MessageClass.SUCCESS)
            self.assertEqual(message.mapped, (host, 32853))

    @settings(deadline=None)
    @given(strategies.ip_addresses(), strategies.integers(0, 65535))
    def test_addresses(self, host, port):
        """Any address comes back; IPv4 inside IPv6 as IPv4."""
        message = parse(success(parse(REQUEST), (str(host), port)))
        mapped = getattr(host, "ipv4_mapped", None) or host
        self.assertEqual(message.mapped, (str(ip_address(str(mapped))), port))

    def test_mappedAddress(self):
        """What a socket of both families shows as IPv6 is told as IPv4."""
        message = parse(success(parse(REQUEST), ("::ffff:192.0.2.5", 9)))
        self.assertEqual(message.mapped, ("192.0.2.5", 9))

    def test_scopedAddress(self):
        """A link-local address loses its scope, which means nothing elsewhere."""
        message = parse(success(parse(REQUEST), ("fe80::1%eth0", 9)))
        self.assertEqual(message.mapped, ("fe80::1", 9))

    def test_failure(self):
        """An error answer carries its code and names what was not understood."""
        received = parse(stun_message((0x0024, b"abcd"), (0x0003, b""), (0x0024, b"")))
        self.assertEqual(received.unknown, (0x0024, 0x0003))
        answer = failure(received, ErrorCode.UNKNOWN_ATTRIBUTE)
        self.assertIn(bytes.fromhex("000a000400240003"), answer)
        message = parse(answer)
        self.assertIs(message.kind, MessageClass.ERROR)
        self.assertEqual(message.error, 420)
        self.assertEqual(message.transaction, TRANSACTION)

    def test_failureIsBounded(self):
        """An answer does not name every attribute that somebody makes up."""
        many = stun_message(*((number, b"") for number in range(0x4000, 0x4020)))
        answer = failure(parse(many), ErrorCode.UNKNOWN_ATTRIBUTE)
        self.assertLess(len(answer), len(many))

    def test_optionalAttributes(self):
        """Unknown attributes that may be ignored are, whatever they hold."""
        message = parse(stun_message((0x8029, bytes(8)), (0xFFFF, b"x")))
        self.assertEqual(message.unknown, ())

    def test_bound(self):
        """An answer says "bound" or does not; whatever the attribute holds."""
        for bound in (False, True):
            data = success(parse(REQUEST), ("192.0.2.1", 1), STUN_KEY, bound=bound)
            message = parse(data)
            message.check(STUN_KEY)
            self.assertIs(message.bound, bound)
            self.assertEqual(message.unknown, ())
        self.assertIs(parse(stun_message((0xEB0D, b"more"))).bound, True)

    def test_boundIsCovered(self):
        """What somebody appends to a signed answer makes it say nothing."""
        data = success(parse(REQUEST), ("192.0.2.1", 1), STUN_KEY)[:-8]
        data += bytes.fromhex("eb0d0000")
        message = parse(data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:])
        message.check(STUN_KEY)
        self.assertIs(message.bound, False)

    def test_indication(self):
        """An indication is told from a request."""
        data = build(MessageClass.INDICATION, TRANSACTION)
        self.assertIs(parse(data).kind, MessageClass.INDICATION)

    def test_firstOfTwo(self):
        """Of an attribute that comes twice, the first counts (section 14)."""
        self.assertEqual(parse(stun_message((6, b"one"), (6, b"two"))).username, "one")

    def test_truncated(self):
        """Every cut is refused."""
        for length in range(len(REQUEST)):
            self.assertRaises(PeerError, parse, REQUEST[:length])

    def test_tooLong(self):
        """What no path is sure to carry whole is refused."""
        filling = MAX_MESSAGE - 20 - 4
        parse(stun_message((0x8000, bytes(filling))))
        self.refused(
            stun_message((0x8000, bytes(filling + 4))), "STUN message too long"
        )

    def test_tooManyAttributes(self):
        """Attributes are counted."""
        parse(stun_message(*[(0x8000, b"")] * MAX_ATTRIBUTES))
        self.refused(
            stun_message(*[(0x8000, b"")] * (MAX_ATTRIBUTES + 1)),
            "STUN attributes too many",
        )

    def test_header(self):
        """Cookie, length and method must be right."""
        good = stun_message()
        self.refused(good[:4] + bytes(4) + good[8:], "STUN magic cookie")
        self.refused(good[:3] + b"\x04" + good[4:], "STUN length")
        self.refused(good[:3] + b"\x01" + good[4:] + b"x", "STUN length")
        self.refused(good + bytes(4), "STUN length")
        self.refused(stun_message(kind=0x0003), "STUN method")
        self.refused(stun_message(kind=0x0011 | 0x2000), "STUN method")

    def test_attributeTruncated(self):
        """An attribute may not reach beyond the message."""
        data = bytearray(stun_message((6, b"abcd")))
        data[23] = 5
        self.refused(bytes(data), "STUN attribute truncated")

    def test_wrongValues(self):
        """An attribute we read must be well-formed."""
        for attribute, value, reason in (
            (0x0006, b"\xff", "STUN username is not UTF-8"),
            (0x0006, bytes(509), "STUN username too long"),
            (0x8022, b"\xc3", "STUN software is not UTF-8"),
            (0x0020, b"\0\1", "STUN address truncated"),
            (0x0020, bytes(8), "STUN address family"),
            (0x0020, b"\0\1\0\0" + bytes(16), "STUN address family"),
            (0x0020, b"\0\2\0\0" + bytes(4), "STUN address family"),
            (0x0009, b"\0\0", "STUN error truncated"),
            (0x0009, b"\0\0\2\0", "STUN error code"),
            (0x0009, b"\0\0\4\x64", "STUN error code"),
            (0x0008, bytes(16), "STUN integrity length"),
            (0x001C, bytes(12), "STUN integrity length"),
            (0x001C, bytes(30), "STUN integrity length"),
            (0x001C, bytes(36), "STUN integrity length"),
            (0x8028, bytes(3), "STUN fingerprint misplaced"),
            (0x8028, bytes(4), "STUN fingerprint wrong"),
        ):
            self.refused(stun_message((attribute, value)), reason)

    def test_errorWithoutCode(self):
        """An error answer must say which."""
        self.refused(stun_message(kind=0x0111), "STUN error without its code")

    def test_fingerprintIsLast(self):
        """Nothing follows a FINGERPRINT."""
        self.refused(
            stun_message((0x8028, bytes(4)), (0x8022, b"")),
            "STUN fingerprint misplaced",
        )

    def test_fingerprintIsChecked(self):
        """A message that was damaged on its way is refused, though unsigned."""
        data = bytearray(build(MessageClass.REQUEST, TRANSACTION, software="tool"))
        data[25] ^= 1
        self.refused(bytes(data), "STUN fingerprint wrong")


class CheckTests(SynchronousTestCase):
    """Messages are authenticated, or refused with the right status."""

    def refused(self, data, status, key=STUN_KEY, username=USERNAME):
        """Assert that a message that parses is refused with that status."""
        error = self.assertRaises(NotAuthenticated, parse(data).check, key, username)
        self.assertIs(error.status, status)

    def test_right(self):
        """Messages signed with the key pass, by either integrity."""
        for data in (REQUEST, SHA256_REQUEST):
            parse(data).check(STUN_KEY, USERNAME)
            parse(data).check(STUN_KEY)
        parse(SUCCESS_IPV4).check(STUN_KEY)

    def test_missingIntegrity(self):
        """What is missing is a bad request, whatever else is there."""
        self.refused(
            build(MessageClass.REQUEST, TRANSACTION, username=USERNAME),
            ErrorCode.BAD_REQUEST,
        )
        self.refused(build(MessageClass.REQUEST, TRANSACTION), ErrorCode.BAD_REQUEST)
        self.refused(success(parse(REQUEST), ("::1", 1)), ErrorCode.BAD_REQUEST)

    def test_missingUsername(self):
        """Requests and indications name who they are from."""
        for kind in (MessageClass.REQUEST, MessageClass.INDICATION):
            data = build(kind, TRANSACTION, key=STUN_KEY)
            self.refused(data, ErrorCode.BAD_REQUEST)
            self.refused(data, ErrorCode.BAD_REQUEST, username=None)

    def test_wrongUsername(self):
        """Another user's name does not pass with this session's key."""
        self.refused(REQUEST, ErrorCode.UNAUTHORIZED, username="18:c3ab")

    def test_wrongKey(self):
        """Another key is unauthorised."""
        for data in (REQUEST, SHA256_REQUEST):
            self.refused(data, ErrorCode.UNAUTHORIZED, key=STUN_KEY[:-1])

    def test_emptyKey(self):
        """No key lets nobody in."""
        self.assertRaises(LocalError, parse(REQUEST).check, b"")
        self.assertRaises(LocalError, request, TRANSACTION, USERNAME, b"")

    def test_everyByteIsCovered(self):
        """No bit before the integrity may be changed, nor of it."""
        covered = len(REQUEST) - 8
        for position in range(covered):
            data = bytearray(REQUEST[:covered])
            data[3] -= 8
            data[position] ^= 0x01
            try:
                message = parse(bytes(data))
            except PeerError:
                continue
            self.assertRaises(NotAuthenticated, message.check, STUN_KEY, USERNAME)

    def test_afterTheIntegrity(self):
        """Attributes behind the integrity are not read."""
        length = len(REQUEST) - 8 - 20
        extra = bytes.fromhex("00200008 0001a147e112a643 00060001 78000000 7fff0000")
        data = REQUEST[:2] + (length + len(extra)).to_bytes(2, "big")
        data += REQUEST[4 : length + 20] + extra
        message = parse(data)
        message.check(STUN_KEY, USERNAME)
        self.assertIsNone(message.mapped)
        self.assertEqual(message.username, USERNAME)
        self.assertEqual(message.unknown, ())

    def with_integrities(self, *signatures):
        """A request signed several times, each (integrity, key, digest bytes)."""
        body = stun_message((6, USERNAME.encode()))
        for integrity, key, size in signatures:
            body = sign(body, integrity, key, size)
        return body

    def test_bothIntegrities(self):
        """Of two integrities both must be right, and the stronger one answers."""
        both = self.with_integrities(
            (Integrity.SHA1, STUN_KEY, 20), (Integrity.SHA256, STUN_KEY, 32)
        )
        message = parse(both)
        message.check(STUN_KEY, USERNAME)
        self.assertIs(message.integrity, Integrity.SHA256)
        answer = parse(success(message, ("192.0.2.1", 1), STUN_KEY))
        answer.check(STUN_KEY)
        self.assertIs(answer.integrity, Integrity.SHA256)
        for keys in ((STUN_KEY, b"x"), (b"x", STUN_KEY)):
            data = self.with_integrities(
                (Integrity.SHA1, keys[0], 20), (Integrity.SHA256, keys[1], 32)
            )
            self.refused(data, ErrorCode.UNAUTHORIZED)

    def test_truncatedSha256(self):
        """SHA-256 may be cut to 16 bytes, and is checked as far as it goes."""
        data = self.with_integrities((Integrity.SHA256, STUN_KEY, 16))
        parse(data).check(STUN_KEY, USERNAME)
        wrong = self.with_integrities((Integrity.SHA256, b"x", 16))
        self.refused(wrong, ErrorCode.UNAUTHORIZED)


def repaired(data):
    """With the length and FINGERPRINT that fit, so that what is damaged is met
    further on."""
    data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
    checksum = crc32(data[:-8]) ^ 0x5354554E
    return data[:-4] + checksum.to_bytes(4, "big")


class UsualTests(SynchronousTestCase):
    """The short way says what the full way says, or nothing."""

    def compare(self, data, key=STUN_KEY):
        """Both ways; whether the short one was taken."""
        usual = parse_usual(data)
        if usual is None:
            return False
        message = parse(data)
        self.assertEqual(message.kind, MessageClass.REQUEST)
        self.assertEqual(message.integrity, Integrity.SHA1)
        self.assertEqual(message.unknown, ())
        self.assertEqual(
            (usual.transaction, usual.username),
            (message.transaction, message.username),
        )
        for each in (key, b"another key"):
            try:
                message.check(each)
            except NotAuthenticated:
                self.assertFalse(usual.proves(each))
            else:
                self.assertTrue(usual.proves(each))
        return True

    @given(
        strategies.text(max_size=40),
        strategies.binary(min_size=12, max_size=12),
        strategies.binary(min_size=1, max_size=80),
    )
    def test_genuine(self, username, transaction, key):
        """Every request of our client goes the short way."""
        data = request(transaction, username, key)
        self.assertTrue(self.compare(data, key))
        usual = parse_usual(data)
        self.assertTrue(usual.proves(key))

    def test_longestName(self):
        """Up to what a message holds."""
        size = MAX_MESSAGE - 56
        self.assertTrue(self.compare(request(TRANSACTION, "x" * size, STUN_KEY)))
        longer = request(TRANSACTION, "x" * size, STUN_KEY)
        longer = repaired(longer[:24] + b"xxxx" + longer[24:])
        self.assertIsNone(parse_usual(longer))

    def test_others(self):
        """Everything else goes the full way."""
        usual = request(TRANSACTION, "17:c3ab", STUN_KEY)
        others = [
            b"",
            RFC_REQUEST,
            RFC_RESPONSE_IPV4,
            REQUEST,
            SHA256_REQUEST,
            SUCCESS_IPV4,
            build(MessageClass.REQUEST, TRANSACTION),
            build(MessageClass.REQUEST, TRANSACTION, username="17:c3ab"),
            build(MessageClass.REQUEST, TRANSACTION, key=STUN_KEY),
            build(
                MessageClass.INDICATION, TRANSACTION, username="17:c3ab", key=STUN_KEY
            ),
            repaired(usual[:24] + b"\xff" + usual[25:]),
            usual[:-8],
            *(usual[:size] for size in range(len(usual))),
        ]
        for data in others:
            self.assertIsNone(parse_usual(data), data.hex())

    @settings(max_examples=1000)
    @given(
        strategies.integers(0, 9),
        strategies.lists(
            strategies.tuples(
                strategies.integers(0, 75),
                strategies.one_of(
                    strategies.integers(0, 255),
                    strategies.sampled_from([0, 1, 4, 6, 8, 0x14, 0x1C, 0x80]),
                ),
            ),
            max_size=3,
        ),
        strategies.integers(-8, 8),
        strategies.booleans(),
    )
    def test_damaged(self, name_length, changes, longer, repair):
        """Whatever is changed in a request, both ways agree."""
        data = bytearray(request(TRANSACTION, "n" * name_length, STUN_KEY))
        for position, value in changes:
            data[position % len(data)] = value
        if longer > 0:
            data[24:24] = bytes(longer)
        elif longer < 0:
            del data[24 : 24 - longer]
        self.compare(repaired(bytes(data)) if repair else bytes(data))

    def test_everyByteIsCovered(self):
        """No byte before the message integrity can be changed, padding included."""
        data = request(TRANSACTION, "17:c3ab", STUN_KEY)
        for position in range(len(data) - 8):
            changed = bytearray(data)
            changed[position] ^= 0x20
            usual = parse_usual(repaired(bytes(changed)))
            if usual is not None and position not in (2, 3):
                self.assertFalse(usual.proves(STUN_KEY), position)

    def test_emptyKey(self):
        """An empty key lets nobody in."""
        usual = parse_usual(request(TRANSACTION, "17:c3ab", STUN_KEY))
        self.assertRaises(LocalError, usual.proves, b"")

    @given(
        strategies.one_of(
            strategies.ip_addresses(v=4).map(str),
            strategies.ip_addresses(v=6).map(str),
            strategies.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
        ),
        strategies.integers(0, 65535),
        strategies.binary(min_size=12, max_size=12),
    )
    def test_answer(self, host, port, transaction):
        """The answer is the same, byte for byte, and says "bound"."""
        received = parse(request(transaction, "17:c3ab", STUN_KEY))
        self.assertEqual(
            usual_success(transaction, (host, port), STUN_KEY),
            success(received, (host, port), STUN_KEY, bound=True),
        )
        answer = parse(usual_success(transaction, (host, port), STUN_KEY))
        answer.check(STUN_KEY)
        self.assertTrue(answer.bound)


class BuildTests(SynchronousTestCase):
    """Our own mistakes are found before they are sent."""

    def test_outOfRange(self):
        """Arguments that do not fit are refused."""
        kind = MessageClass.REQUEST
        self.assertRaises(LocalError, build, kind, bytes(11))
        self.assertRaises(LocalError, build, kind, TRANSACTION, username="x" * 509)
        self.assertRaises(
            LocalError, build, kind, TRANSACTION, username="x" * 508, key=STUN_KEY
        )
        self.assertRaises(LocalError, build, kind, TRANSACTION, mapped=("name", 1))
        self.assertRaises(LocalError, build, kind, TRANSACTION, mapped=("::1", 65536))
        self.assertRaises(LocalError, build, kind, TRANSACTION, mapped=("::1", -1))

    def test_secretsStayOut(self):
        """The text of a message shows nothing that it was signed with."""
        self.assertNotIn("_covered", repr(parse(REQUEST)))


def sign(message: bytes, integrity: Integrity, key: bytes, size: int) -> bytes:
    """Append a message integrity of that size, without our builder."""
    length = len(message) - 20 + 4 + size
    message = message[:2] + length.to_bytes(2, "big") + message[4:]
    function = hashlib.sha1 if integrity is Integrity.SHA1 else hashlib.sha256
    digest = hmac.new(key, message, function).digest()[:size]
    return message + integrity.to_bytes(2, "big") + size.to_bytes(2, "big") + digest
