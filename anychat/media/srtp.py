"""SRTP and SRTCP with AEAD_AES_128_GCM (RFC 7714, RFC 3711).

One master key and salt belong to one publication, or to one leg for RTCP; the
session keys come from them as RFC 3711 section 4.3 says (derivation rate 0).

::

    SRTP    header (clear, authenticated) | ciphertext of the payload | tag 16
    SRTCP   8 bytes (clear, authenticated) | ciphertext | tag 16 | E=1, index 31

The nonce is the session salt XOR (SSRC << 48 | index), so it is used once as
long as an index is: a sender refuses to go back, and stops before the index
would wrap.  The counter of turns (ROC) is never sent; a receiver that joins
late is told it, which is why this is not libsrtp.

A sender or receiver is for one thread at a time.  Everything that is wrong
with a received packet is a `PeerError` whose reason is one of the constants
below or a short text; a packet that is refused changes nothing.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anychat.errors import LocalError, PeerError
from anychat.media.rtcp import MAX_COMPOUND
from anychat.media.rtp import MAX_DATAGRAM, SRTP_TAG, header_length
from anychat.media.sequence import INDEX_LIMIT, distance, extend

#: Bytes of a master key.
KEY_LENGTH = 16
#: Bytes of a master salt.
SALT_LENGTH = 12
#: SRTCP indexes end here (RFC 3711 section 9.2).
SRTCP_INDEX_LIMIT = 1 << 31
#: Most SSRCs whose replay windows an `SrtcpReceiver` keeps.
MAX_SSRCS = 32

FORGED = "SRTP authentication failed"
REPLAYED = "SRTP packet replayed"
TOO_OLD = "SRTP packet older than the replay window"

_RTP_KEY, _RTP_SALT = 0, 2
_RTCP_KEY, _RTCP_SALT = 3, 5
_ENCRYPTED = 1 << 31


def _derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """RFC 3711 section 4.3.1 and 4.3.3, for a packet index of 0.

    The salt of 96 bits stands at the upper end of the 112 that the function
    takes (RFC 7714 section 11); the label comes just above the 48-bit index.
    """
    block = bytearray(salt + bytes(4))
    block[7] ^= label
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(block))).encryptor()
    return stream.update(bytes(length))


def _session(
    key: bytes, salt: bytes, key_label: int, salt_label: int
) -> tuple[AESGCM, int]:
    """Cipher and salt (as a number) of one of the two protocols."""
    if len(key) != KEY_LENGTH or len(salt) != SALT_LENGTH:
        raise LocalError("SRTP master key or salt of the wrong length")
    session_key = _derive(key, salt, key_label, KEY_LENGTH)
    session_salt = _derive(key, salt, salt_label, SALT_LENGTH)
    return AESGCM(session_key), int.from_bytes(session_salt, "big")


class ReplayWindow:
    """Which of the latest indexes were seen (RFC 3711 section 3.3.2)."""

    __slots__ = ("_mask", "_seen", "highest", "size")

    def __init__(self, highest: int, size: int):
        self.highest = highest
        """Highest index seen, or where to start from."""
        self.size = size
        """How far behind it an index may still be new."""
        self._mask = (1 << size) - 1
        self._seen = 0

    def check(self, index: int) -> None:
        """Refuse an index that was seen or is too old.

        :raise PeerError: `REPLAYED` or `TOO_OLD`.
        """
        behind = self.highest - index
        if behind >= self.size:
            raise PeerError(TOO_OLD)
        if behind >= 0 and self._seen >> behind & 1:
            raise PeerError(REPLAYED)

    def add(self, index: int) -> None:
        """Mark a checked and authenticated index as seen."""
        ahead = index - self.highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
        else:
            # Far ahead, the shift would build a huge number to throw away.
            shifted = self._seen << ahead if ahead < self.size else 0
            self._seen = (shifted | 1) & self._mask
            self.highest = index


class SrtpSender:
    """Protects the RTP packets of one publication.

    A publication begins with a sequence number below 2**15, so that the first
    packet cannot be taken for one before the first turn.

    :param roc: and ``sequence``: the first index that may be used.
    """

    __slots__ = ("_encrypt", "_next", "_nonce", "_ssrc")

    def __init__(
        self, key: bytes, salt: bytes, ssrc: int, roc: int = 0, sequence: int = 0
    ):
        cipher, session_salt = _session(key, salt, _RTP_KEY, _RTP_SALT)
        self._encrypt = cipher.encrypt
        self._ssrc = ssrc.to_bytes(4, "big")
        self._nonce = session_salt ^ ssrc << 48
        self._next = roc << 16 | sequence

    @property
    def position(self) -> tuple[int, int]:
        """ROC and sequence number of the first index not used so far."""
        return self._next >> 16, self._next & 0xFFFF

    def protect(self, packet: bytes) -> bytes:
        """Encrypt one RTP packet; sequence numbers go up, by less than half a turn.

        :raise LocalError: the nonce was used or passed over, the key is used
            up, or this is not an RTP packet of ours.
        """
        if len(packet) > MAX_DATAGRAM - SRTP_TAG:
            raise LocalError(f"RTP packet of {len(packet)} bytes")
        try:
            start = header_length(packet)
        except PeerError as error:
            raise LocalError(f"own packet: {error.reason}") from error
        if packet[8:12] != self._ssrc:
            raise LocalError("RTP packet with another stream's SSRC")
        ahead = distance(self._next & 0xFFFF, packet[2] << 8 | packet[3])
        if ahead < 0:
            # Used before, or too far ahead for a receiver to count the turn.
            raise LocalError("SRTP sequence number goes back")
        index = self._next + ahead
        if index >= INDEX_LIMIT:
            raise LocalError("SRTP key used up")
        nonce = (self._nonce ^ index).to_bytes(12, "big")
        header = packet[:start]
        protected = header + self._encrypt(nonce, packet[start:], header)
        self._next = index + 1
        return protected


class SrtpReceiver:
    """Opens the SRTP packets of one publication.

    :param roc: and ``sequence``: where the stream stands, as told with the
        subscription; packets up to a window before it are taken too.
    :param window: how many packets late one may be.
    """

    __slots__ = ("_decrypt", "_nonce", "_ssrc", "_window")

    def __init__(
        self,
        key: bytes,
        salt: bytes,
        ssrc: int,
        roc: int = 0,
        sequence: int = 0,
        window: int = 1024,
    ):
        cipher, session_salt = _session(key, salt, _RTP_KEY, _RTP_SALT)
        self._decrypt = cipher.decrypt
        self._ssrc = ssrc.to_bytes(4, "big")
        self._nonce = session_salt ^ ssrc << 48
        self._window = ReplayWindow(roc << 16 | sequence, window)

    @property
    def position(self) -> tuple[int, int]:
        """ROC and sequence number of the highest packet so far."""
        return self._window.highest >> 16, self._window.highest & 0xFFFF

    def unprotect(self, data: bytes) -> bytes:
        """Authenticate and decrypt one packet.

        :return: the RTP packet, header and payload.
        :raise PeerError: malformed, another SSRC, `REPLAYED`, `TOO_OLD` or
            `FORGED`.
        """
        size = len(data)
        if size > MAX_DATAGRAM:
            raise PeerError("SRTP packet too long")
        start = header_length(data)
        if size < start + SRTP_TAG:
            raise PeerError("SRTP packet truncated")
        if data[8:12] != self._ssrc:
            raise PeerError("SRTP packet with another SSRC")
        window = self._window
        index = extend(data[2] << 8 | data[3], window.highest)
        if index >= INDEX_LIMIT:
            raise PeerError("SRTP key used up")
        if index <= window.highest:
            window.check(index)
        nonce = (self._nonce ^ index).to_bytes(12, "big")
        header = data[:start]
        try:
            payload = self._decrypt(nonce, data[start:], header)
        except InvalidTag:
            raise PeerError(FORGED) from None
        window.add(index)
        return header + payload


class SrtcpSender:
    """Protects the RTCP of one sender.

    :param index: the first index that may be used.
    """

    __slots__ = ("_encrypt", "_next", "_nonce", "_ssrc")

    def __init__(self, key: bytes, salt: bytes, ssrc: int, index: int = 0):
        cipher, session_salt = _session(key, salt, _RTCP_KEY, _RTCP_SALT)
        self._encrypt = cipher.encrypt
        self._ssrc = ssrc.to_bytes(4, "big")
        self._nonce = session_salt ^ ssrc << 48
        self._next = index

    @property
    def index(self) -> int:
        """The first index not used so far."""
        return self._next

    def protect(self, compound: bytes) -> bytes:
        """Encrypt one compound packet whose first SSRC is the sender's.

        :raise LocalError: too long or short, another SSRC, or the key is used
            up.
        """
        if not 8 <= len(compound) <= MAX_COMPOUND:
            raise LocalError(f"RTCP packet of {len(compound)} bytes")
        if compound[4:8] != self._ssrc:
            raise LocalError("RTCP packet with another SSRC")
        index = self._next
        if index >= SRTCP_INDEX_LIMIT:
            raise LocalError("SRTCP key used up")
        self._next = index + 1
        header = compound[:8]
        word = (_ENCRYPTED | index).to_bytes(4, "big")
        nonce = (self._nonce ^ index).to_bytes(12, "big")
        return header + self._encrypt(nonce, compound[8:], header + word) + word


class SrtcpReceiver:
    """Opens SRTCP packets under one key.

    :param ssrc: the only sender to take packets from; None takes any that has
        the key, up to `MAX_SSRCS` of them.
    :param window: how many packets late one may be.
    """

    __slots__ = ("_decrypt", "_only", "_salt", "_size", "_windows")

    def __init__(
        self, key: bytes, salt: bytes, ssrc: int | None = None, window: int = 128
    ):
        cipher, self._salt = _session(key, salt, _RTCP_KEY, _RTCP_SALT)
        self._decrypt = cipher.decrypt
        self._only = ssrc
        self._size = window
        self._windows: dict[int, ReplayWindow] = {}

    def unprotect(self, data: bytes) -> bytes:
        """Authenticate and decrypt one packet.

        :return: the compound RTCP packet.
        :raise PeerError: malformed, not encrypted, an SSRC that is not
            expected, `REPLAYED`, `TOO_OLD` or `FORGED`.
        """
        size = len(data)
        if size > MAX_DATAGRAM:
            raise PeerError("SRTCP packet too long")
        if size < 8 + SRTP_TAG + 4:
            raise PeerError("SRTCP packet truncated")
        if data[0] >> 6 != 2:
            raise PeerError("RTCP version")
        word = data[-4:]
        index = int.from_bytes(word, "big")
        if not index & _ENCRYPTED:
            raise PeerError("SRTCP packet not encrypted")
        index ^= _ENCRYPTED
        header = data[:8]
        ssrc = int.from_bytes(header[4:], "big")
        if self._only is not None and ssrc != self._only:
            raise PeerError("SRTCP packet with another SSRC")
        window = self._windows.get(ssrc)
        if window is not None:
            window.check(index)
        nonce = (self._salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        try:
            body = self._decrypt(nonce, data[8:-4], header + word)
        except InvalidTag:
            raise PeerError(FORGED) from None
        if window is None:
            # Only who has the key gets here; it still may not fill the memory.
            if len(self._windows) >= MAX_SSRCS:
                raise PeerError("too many SRTCP senders")
            window = self._windows[ssrc] = ReplayWindow(index, self._size)
        window.add(index)
        return header + body
