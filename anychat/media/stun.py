"""STUN Binding messages (RFC 8489) with short-term credentials.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |0 0|         type              |   length after the header     |
    |                  magic cookie 0x2112A442                      |
    |                  transaction id, 12 bytes                     |
    |        attribute type         |       attribute length        |
    |        value, padded to a multiple of 4 bytes  ...            |

`parse` checks the form and a FINGERPRINT; it trusts nobody.  `StunMessage.check`
then authenticates: what is missing is a bad request (400), what is wrong is
unauthorised (401), and neither is ever taken for the other.  Attributes after
the message integrity are not covered by it, so they are not read.

`parse_usual` and `usual_success` are a short way for the one exchange that a
server of many idle clients repeats all day; what is not of its layout goes the
full way, and both say the same of it.

Only what follows is understood; another attribute whose number is below 0x8000
is listed in ``unknown`` for an answer of 420: MAPPED-ADDRESS (skipped),
USERNAME, MESSAGE-INTEGRITY, ERROR-CODE, UNKNOWN-ATTRIBUTES,
MESSAGE-INTEGRITY-SHA256, XOR-MAPPED-ADDRESS, SOFTWARE, FINGERPRINT, and an
attribute of our own, ANYCHAT-BOUND: the address that a request came from is the
bound one.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from anychat.errors import LocalError, PeerError

#: An address as a socket gives it: host literal and port.
Address = tuple[str, int]

#: Longest message; a UDP payload that any IPv4 path carries whole
#: (RFC 8489 section 6.1: 576 less the IP and UDP headers).
MAX_MESSAGE = 548
#: Most attributes of a message.
MAX_ATTRIBUTES = 32
#: Most unknown attributes that an answer names.
MAX_UNKNOWN = 8
#: Longest USERNAME, bytes (RFC 8489 section 14.3).
MAX_USERNAME = 508
#: Longest SOFTWARE or reason phrase we send, characters.
MAX_TEXT = 127
#: Bytes of a transaction id.
TRANSACTION_LENGTH = 12

_MAGIC = 0x2112A442
_HEADER = Struct(">HHI12s")
_ATTRIBUTE = Struct(">HH")
_FINGERPRINT_MASK = 0x5354554E
_BINDING = 0x001
#: A header, and that of the attribute after it.
_BEGINNING = Struct(">HHI12sHH")
#: Kind, length and cookie, the transaction; XOR-MAPPED-ADDRESS of IPv4; the
#: header of ANYCHAT-BOUND.
_BOUND_IPV4 = Struct(">Q12sIHHII")
#: What stands at the end of a usual message: the headers of MESSAGE-INTEGRITY
#: and FINGERPRINT, whose values follow them.
_SIGNED = b"\x00\x08\x00\x14"
_CHECKED = b"\x80\x28\x00\x04"
#: Bytes of FINGERPRINT, and of it and MESSAGE-INTEGRITY.
_FINGERPRINT_SIZE = 8
_END_SIZE = 32

_MAPPED_ADDRESS = 0x0001
_USERNAME = 0x0006
_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_UNKNOWN = 0x000A
_INTEGRITY_SHA256 = 0x001C
_XOR_MAPPED_ADDRESS = 0x0020
_SOFTWARE = 0x8022
_FINGERPRINT = 0x8028
#: Ours; IANA has assigned it to nobody.
_BOUND = 0xEB0D

#: What the answers of `usual_success` have in common, as `_BOUND_IPV4` has it.
_BOUND_ANSWER = 0x0101 << 48 | 40 << 32 | _MAGIC
_MAPPED_IPV4 = _XOR_MAPPED_ADDRESS << 16 | 8
_EMPTY_BOUND = _BOUND << 16


class MessageClass(IntEnum):
    """What a message is (RFC 8489 section 5); the values are its type bits."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Integrity(IntEnum):
    """Which message integrity covers a message; the attribute's number."""

    SHA1 = _INTEGRITY
    SHA256 = _INTEGRITY_SHA256


class ErrorCode(IntEnum):
    """The error codes we answer with, and their phrases."""

    phrase: str

    def __new__(cls, value: int, phrase: str) -> "ErrorCode":
        member = int.__new__(cls, value)
        member._value_ = value
        member.phrase = phrase
        return member

    BAD_REQUEST = 400, "Bad Request"
    UNAUTHORIZED = 401, "Unauthorized"
    UNKNOWN_ATTRIBUTE = 420, "Unknown Attribute"


class NotAuthenticated(PeerError):
    """Credentials are missing (400) or wrong (401)."""

    def __init__(self, status: ErrorCode, reason: str):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A Binding message as received; not authenticated until `check`."""

    kind: MessageClass
    transaction: bytes
    username: str | None = None
    mapped: Address | None = None
    """XOR-MAPPED-ADDRESS."""
    error: int | None = None
    """ERROR-CODE, 300 to 699."""
    software: str = ""
    unknown: tuple[int, ...] = ()
    """Unknown attributes that must be understood, for an answer of 420."""
    bound: bool = False
    """ANYCHAT-BOUND is in it."""
    integrity: Integrity | None = None
    """The strongest message integrity in it; an answer uses the same."""
    _covered: tuple[tuple[Integrity, bytes, bytes], ...] = field(
        default=(), repr=False, compare=False
    )

    def check(self, key: bytes, username: str | None = None) -> None:
        """Authenticate the message (RFC 8489 section 9.1).

        Every message integrity in it must be right.

        :param username: what USERNAME must be in requests and indications,
            unless the key was looked up by it; responses carry none.
        :raise NotAuthenticated: 400 where something is missing, 401 where it
            is wrong.
        :raise LocalError: the key is empty, which would let anybody in.
        """
        if not key:
            raise LocalError("STUN key is empty")
        if not self._covered:
            raise NotAuthenticated(ErrorCode.BAD_REQUEST, "STUN integrity missing")
        if self.kind in (MessageClass.REQUEST, MessageClass.INDICATION):
            if self.username is None:
                raise NotAuthenticated(ErrorCode.BAD_REQUEST, "STUN username missing")
            if username is not None and not hmac.compare_digest(
                self.username.encode(), username.encode()
            ):
                raise NotAuthenticated(ErrorCode.UNAUTHORIZED, "STUN username wrong")
        for integrity, covered, digest in self._covered:
            # SHA-256 may be sent truncated (RFC 8489 section 14.6).
            right = _digest(integrity, key, covered)[: len(digest)]
            if not hmac.compare_digest(right, digest):
                raise NotAuthenticated(ErrorCode.UNAUTHORIZED, "STUN integrity wrong")


def _digest(integrity: Integrity, key: bytes, covered: bytes) -> bytes:
    return hmac.digest(key, covered, integrity.name.lower())


def _adjusted(data: bytes, end: int, attribute_length: int) -> bytes:
    """The first ``end`` bytes, the header's length as if the message ended
    after the attribute of that length which comes there (section 14.5)."""
    length = end - _HEADER.size + _ATTRIBUTE.size + attribute_length
    return data[:2] + length.to_bytes(2, "big") + data[4:end]


def parse(data: bytes) -> StunMessage:
    """Take a Binding message apart; says nothing about who sent it.

    :raise PeerError: malformed, too long, not a Binding message, or the
        FINGERPRINT is wrong.
    """
    kind, transaction = _parse_header(data)
    username: str | None = None
    mapped: Address | None = None
    error: int | None = None
    software = ""
    bound = False
    unknown: list[int] = []
    covered: list[tuple[Integrity, bytes, bytes]] = []
    position, end, count = _HEADER.size, len(data), 0
    while position < end:
        count += 1
        if count > MAX_ATTRIBUTES:
            raise PeerError("STUN attributes too many")
        attribute, length = _ATTRIBUTE.unpack_from(data, position)
        start = position + _ATTRIBUTE.size
        # The message's length is a multiple of 4, so a value that fits in it
        # fits with its padding.
        if start + length > end:
            raise PeerError("STUN attribute truncated")
        value = data[start : start + length]
        if attribute == _FINGERPRINT:
            _check_fingerprint(data, position, value)
        elif covered:
            # Section 14.5: only the stronger one may follow the weaker one.
            if attribute == _INTEGRITY_SHA256 and covered[-1][0] is Integrity.SHA1:
                covered.append(_integrity(data, position, attribute, value))
        elif attribute in (_INTEGRITY, _INTEGRITY_SHA256):
            covered.append(_integrity(data, position, attribute, value))
        elif attribute == _USERNAME:
            if username is None:
                if length > MAX_USERNAME:
                    raise PeerError("STUN username too long")
                username = _text(value, "STUN username")
        elif attribute == _XOR_MAPPED_ADDRESS:
            if mapped is None:
                mapped = _parse_address(value, transaction)
        elif attribute == _ERROR_CODE:
            if error is None:
                error = _parse_error(value)
        elif attribute == _SOFTWARE:
            software = software or _text(value, "STUN software")
        elif attribute == _BOUND:
            # Its being there is all it says.
            bound = True
        elif attribute < 0x8000 and attribute not in (_MAPPED_ADDRESS, _UNKNOWN):
            unknown.append(attribute)
        position = start + (length + 3 & ~3)
    if kind is MessageClass.ERROR and error is None:
        raise PeerError("STUN error without its code")
    return StunMessage(
        kind,
        transaction,
        username,
        mapped,
        error,
        software,
        tuple(dict.fromkeys(unknown)),
        bound,
        covered[-1][0] if covered else None,
        tuple(covered),
    )


def _parse_header(data: bytes) -> tuple[MessageClass, bytes]:
    if len(data) > MAX_MESSAGE:
        raise PeerError("STUN message too long")
    if len(data) < _HEADER.size:
        raise PeerError("STUN header truncated")
    kind, length, magic, transaction = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise PeerError("STUN magic cookie")
    if length % 4 or length != len(data) - _HEADER.size:
        raise PeerError("STUN length")
    # RFC 8489 section 5: the two class bits lie among those of the method.
    if kind & ~0x0110 != _BINDING:
        raise PeerError("STUN method")
    return MessageClass(kind & 0x0110), transaction


def _integrity(
    data: bytes, position: int, attribute: int, value: bytes
) -> tuple[Integrity, bytes, bytes]:
    integrity = Integrity(attribute)
    length = len(value)
    if integrity is Integrity.SHA1:
        valid = length == 20
    else:
        valid = 16 <= length <= 32 and length % 4 == 0
    if not valid:
        raise PeerError("STUN integrity length")
    return integrity, _adjusted(data, position, length), value


def _check_fingerprint(data: bytes, position: int, value: bytes) -> None:
    if len(value) != 4 or position + 8 != len(data):
        raise PeerError("STUN fingerprint misplaced")
    if crc32(data[:position]) ^ _FINGERPRINT_MASK != int.from_bytes(value, "big"):
        raise PeerError("STUN fingerprint wrong")


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise PeerError(f"{what} is not UTF-8") from None


def _mask(transaction: bytes) -> bytes:
    return _MAGIC.to_bytes(4, "big") + transaction


def _exclusive_or(value: bytes, mask: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(value, mask, strict=False))


def _parse_address(value: bytes, transaction: bytes) -> Address:
    if len(value) < 4:
        raise PeerError("STUN address truncated")
    mask = _mask(transaction)
    family, port = value[1], int.from_bytes(value[2:4], "big") ^ _MAGIC >> 16
    packed = _exclusive_or(value[4:], mask)
    if family == 1 and len(value) == 8:
        return str(IPv4Address(packed)), port
    if family == 2 and len(value) == 20:
        return str(IPv6Address(packed)), port
    raise PeerError("STUN address family")


def _parse_error(value: bytes) -> int:
    if len(value) < 4:
        raise PeerError("STUN error truncated")
    hundreds, rest = value[2] & 0x07, value[3]
    if not 3 <= hundreds <= 6 or rest > 99:
        raise PeerError("STUN error code")
    return hundreds * 100 + rest


def build(
    kind: MessageClass,
    transaction: bytes,
    *,
    username: str | None = None,
    mapped: Address | None = None,
    error: ErrorCode | None = None,
    unknown: Iterable[int] = (),
    software: str = "",
    bound: bool = False,
    key: bytes | None = None,
    integrity: Integrity = Integrity.SHA1,
) -> bytes:
    """Bytes of a Binding message, a FINGERPRINT always last.

    :param transaction: 12 bytes: fresh random ones in a request, the request's
        in its response.
    :param mapped: the address a request came from, as the socket gave it.
    :param unknown: goes with `ErrorCode.UNKNOWN_ATTRIBUTE`; the first
        `MAX_UNKNOWN` are named.
    :param bound: say that the address a request came from is the bound one.
    :param key: signs the message if given.
    :param integrity: how; a response uses the request's.
    :raise LocalError: an argument that does not fit in a message.
    """
    if len(transaction) != TRANSACTION_LENGTH:
        raise LocalError("STUN transaction id of the wrong length")
    if key is not None and not key:
        raise LocalError("STUN key is empty")
    attributes = bytearray()
    if error is not None:
        number = bytes((0, 0, error // 100, error % 100))
        _append(attributes, _ERROR_CODE, number + error.phrase.encode())
        named = list(unknown)[:MAX_UNKNOWN]
        if named:
            numbers = b"".join(attribute.to_bytes(2, "big") for attribute in named)
            _append(attributes, _UNKNOWN, numbers)
    if username is not None:
        encoded = username.encode()
        if len(encoded) > MAX_USERNAME:
            raise LocalError("STUN username too long")
        _append(attributes, _USERNAME, encoded)
    if mapped is not None:
        _append(attributes, _XOR_MAPPED_ADDRESS, _build_address(mapped, transaction))
    if software:
        _append(attributes, _SOFTWARE, software[:MAX_TEXT].encode())
    if bound:
        _append(attributes, _BOUND, b"")
    header = _HEADER.pack(_BINDING | kind, len(attributes), _MAGIC, transaction)
    message = bytearray(header) + attributes
    if key is not None:
        size = 20 if integrity is Integrity.SHA1 else 32
        covered = _adjusted(bytes(message), len(message), size)
        _append(message, integrity, _digest(integrity, key, covered))
    message[2:4] = (len(message) - _HEADER.size + 8).to_bytes(2, "big")
    checksum = crc32(message) ^ _FINGERPRINT_MASK
    _append(message, _FINGERPRINT, checksum.to_bytes(4, "big"))
    if len(message) > MAX_MESSAGE:
        raise LocalError(f"STUN message of {len(message)} bytes")
    return bytes(message)


def _append(buffer: bytearray, attribute: int, value: bytes) -> None:
    buffer += _ATTRIBUTE.pack(attribute, len(value))
    buffer += value
    buffer += bytes(-len(value) % 4)


def _build_address(address: Address, transaction: bytes) -> bytes:
    host, port = address
    try:
        parsed = ip_address(host)
        # A socket of both families shows IPv4 peers as ::ffff:a.b.c.d.
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        masked_port = (port ^ _MAGIC >> 16).to_bytes(2, "big")
    except (ValueError, OverflowError):
        raise LocalError(f"STUN address {address!r}") from None
    family = b"\0\x01" if parsed.version == 4 else b"\0\x02"
    return family + masked_port + _exclusive_or(parsed.packed, _mask(transaction))


class UsualRequest(NamedTuple):
    """A Binding request of the layout that `request` gives it without SOFTWARE:
    USERNAME, MESSAGE-INTEGRITY, FINGERPRINT; not authenticated until `proves`."""

    transaction: bytes
    username: str
    covered: bytes
    digest: bytes

    def proves(self, key: bytes) -> bool:
        """Whether the message integrity is that of the key; see
        `StunMessage.check`.

        :raise LocalError: the key is empty, which would let anybody in.
        """
        if not key:
            raise LocalError("STUN key is empty")
        right = hmac.digest(key, self.covered, "sha1")
        return hmac.compare_digest(right, self.digest)


def parse_usual(data: bytes) -> UsualRequest | None:
    """What `parse` says of a request of the usual layout; None of anything
    else, be it well-formed or not."""
    size = len(data)
    if not _BEGINNING.size + _END_SIZE <= size <= MAX_MESSAGE:
        return None
    kind, length, magic, transaction, attribute, name_length = _BEGINNING.unpack_from(
        data
    )
    end = size - _END_SIZE
    if (
        kind != _BINDING
        or length != size - _HEADER.size
        or magic != _MAGIC
        or attribute != _USERNAME
        or _BEGINNING.size + (name_length + 3 & ~3) != end
        or data[end : end + 4] != _SIGNED
        or data[-8:-4] != _CHECKED
        or crc32(data[:-8]) ^ _FINGERPRINT_MASK != int.from_bytes(data[-4:], "big")
    ):
        return None
    try:
        username = data[_BEGINNING.size : _BEGINNING.size + name_length].decode()
    except UnicodeDecodeError:
        return None
    signed_length = (length - _FINGERPRINT_SIZE).to_bytes(2, "big")
    return UsualRequest(
        transaction,
        username,
        data[:2] + signed_length + data[4:end],
        data[end + 4 : -8],
    )


def usual_success(transaction: bytes, source: Address, key: bytes) -> bytes:
    """What `success` answers to a usual request from the bound address.

    :param source: as the socket gave it.
    """
    host, port = source
    try:
        first, second, third, fourth = map(int, host.split("."))
    except ValueError:
        return build(
            MessageClass.SUCCESS, transaction, mapped=source, bound=True, key=key
        )
    address = first << 24 | second << 16 | third << 8 | fourth
    covered = _BOUND_IPV4.pack(
        _BOUND_ANSWER,
        transaction,
        _MAPPED_IPV4,
        1,
        port ^ _MAGIC >> 16,
        address ^ _MAGIC,
        _EMPTY_BOUND,
    )
    message = b"%b\x00\x30%b%b%b" % (
        covered[:2],
        covered[4:],
        _SIGNED,
        hmac.digest(key, covered, "sha1"),
    )
    checksum = crc32(message) ^ _FINGERPRINT_MASK
    return message + _CHECKED + checksum.to_bytes(4, "big")


def request(transaction: bytes, username: str, key: bytes, software: str = "") -> bytes:
    """An authenticated Binding request."""
    return build(
        MessageClass.REQUEST,
        transaction,
        username=username,
        software=software,
        key=key,
    )


def success(
    received: StunMessage,
    source: Address,
    key: bytes | None = None,
    software: str = "",
    bound: bool = False,
) -> bytes:
    """The answer to a Binding request; signed as the request was, if a key is
    given.

    :param bound: see `build`.
    """
    return build(
        MessageClass.SUCCESS,
        received.transaction,
        mapped=source,
        software=software,
        bound=bound,
        key=key,
        integrity=received.integrity or Integrity.SHA1,
    )


def failure(received: StunMessage, error: ErrorCode, key: bytes | None = None) -> bytes:
    """The error answer to a Binding request.

    400 and 401 carry no integrity (RFC 8489 section 9.1.3): leave the key out.
    """
    return build(
        MessageClass.ERROR,
        received.transaction,
        error=error,
        unknown=received.unknown if error is ErrorCode.UNKNOWN_ATTRIBUTE else (),
        key=key,
        integrity=received.integrity or Integrity.SHA1,
    )
