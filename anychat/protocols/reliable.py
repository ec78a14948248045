"""What lets a session outlive its TCP links: numbers, replay, reply cache.

Both sides hold one `ReliableChannel` for each session.

* Session frames are numbered from 1 in each direction (modulo 2^32; 0 is
  "none").  Every frame, link frames included, acknowledges in ``ack`` the last
  session frame taken from the other side.
* A frame is kept until it is acknowledged.  What is kept is bounded: beyond
  ``maximum`` bytes the oldest is dropped, whether the peer is slow to
  acknowledge or away.
* On a new link each side says the last number it took, and the other replays
  what came after (`ReliableChannel.resume`).  Where the kept frames do not
  reach back that far, both sides `ReliableChannel.restart`: numbers begin at 1
  again in both directions and the server sends the whole state (RESYNC).
* After a restart a client asks again what was not answered, under the old
  request numbers.  `ReplyCache` knows these: a request that was carried out is
  answered from it and not carried out again.

Pure: bytes and numbers in, bytes and numbers out.
"""

from enum import Enum

from anychat.errors import PeerError
from anychat.protocols.framing import encode_frame

_MODULUS = 1 << 32
_HALF = 1 << 31

#: Bytes of frames kept for replay.
REPLAY_MAXIMUM = 1 << 20
#: What keeping a frame costs beyond its body, so that small ones count too.
KEEPING = 160


class Account:
    """What many sessions and links have in memory together.

    Whoever keeps or frees something books it, so the sums cost nothing to have.
    """

    __slots__ = ("kept", "unsent")

    def __init__(self) -> None:
        self.kept = 0
        """Bytes of frames and replies that may be needed again."""
        self.unsent = 0
        """Bytes that were written and have not gone out."""


class ReliableChannel:
    """One side's end of a session's two numbered directions.

    :param maximum: bytes of sent frames to keep at most.
    :param account: where they are booked.
    """

    __slots__ = (
        "_account",
        "_acked",
        "_held",
        "_kept",
        "_maximum",
        "dropped",
        "sent",
        "taken",
    )

    def __init__(
        self, maximum: int = REPLAY_MAXIMUM, account: Account | None = None
    ) -> None:
        self._maximum = maximum
        self._account = account if account is not None else Account()
        self._kept: list[tuple[int, int, bytes]] = []
        self._held = 0
        self._acked = 0
        self.sent = 0
        """Number of the last session frame sent."""
        self.taken = 0
        """Number of the last session frame taken from the peer."""
        self.dropped = 0
        """Frames that were dropped before they were acknowledged."""

    def number(self, type: int, body: bytes, request: int = 0) -> bytes:
        """Give a session message the next number, keep it, return its frame."""
        frame = encode_frame(
            type,
            body,
            request=request,
            seq=(self.sent + 1) % _MODULUS,
            ack=self.taken,
        )
        self.sent = (self.sent + 1) % _MODULUS
        self._kept.append((type, request, body))
        size = len(body) + KEEPING
        self._held += size
        self._account.kept += size
        if self._held > self._maximum:
            self._drop_oldest()
        return frame

    def acknowledge(self, ack: int) -> bool:
        """Take the ``ack`` of a frame that arrived; True if it is news.

        :raises PeerError: it acknowledges what was never sent.
        """
        if ack == self._acked:
            return False
        waiting = (self.sent - ack) % _MODULUS
        if waiting >= (self.sent - self._acked) % _MODULUS:
            if (self._acked - ack) % _MODULUS < _HALF:
                return False  # older than the last one: no news
            raise PeerError(f"acknowledges frame {ack} of {self.sent}")
        self._acked = ack
        self._forget(len(self._kept) - waiting)
        return True

    def take(self, seq: int) -> bool:
        """Take the number of a session frame; False if it was taken before.

        :raises PeerError: frames are missing before it.
        """
        ahead = (seq - self.taken) % _MODULUS
        if ahead == 1:
            self.taken = seq
            return True
        if ahead == 0 or ahead > _HALF:
            return False
        raise PeerError(f"frame {seq} after frame {self.taken}")

    def resume(self, peer_taken: int) -> list[bytes] | None:
        """The frames that the peer missed, or None: `restart` both sides.

        :param peer_taken: the last number that the peer says it took.
        :raises PeerError: that frame was never sent.
        """
        self.acknowledge(peer_taken)
        missed = (self.sent - peer_taken) % _MODULUS
        if missed > len(self._kept):
            return None
        first = self.sent - missed + 1
        return [
            encode_frame(
                type,
                body,
                request=request,
                seq=(first + index) % _MODULUS,
                ack=self.taken,
            )
            for index, (type, request, body) in enumerate(
                self._kept[len(self._kept) - missed :]
            )
        ]

    def missing(self, number: int, peer_taken: int) -> bool:
        """Whether a peer that took frames up to that one lacks this one."""
        return (peer_taken - number) % _MODULUS >= _HALF

    def restart(self) -> None:
        """Begin again at number 1 in both directions, with nothing kept."""
        self._kept = []
        self._account.kept -= self._held
        self._held = 0
        self._acked = self.sent = self.taken = 0

    def keep(self, maximum: int) -> None:
        """Keep so many bytes at most from here on; the oldest beyond it go."""
        self._maximum = maximum
        self._drop_oldest()

    @property
    def held(self) -> int:
        """Bytes that the kept frames account for."""
        return self._held

    def _drop_oldest(self) -> None:
        count, held = 0, self._held
        while held > self._maximum and count < len(self._kept):
            held -= len(self._kept[count][2]) + KEEPING
            count += 1
        self._forget(count)
        self.dropped += count

    def _forget(self, count: int) -> None:
        if count > 0:
            size = sum(len(kept[2]) + KEEPING for kept in self._kept[:count])
            self._held -= size
            self._account.kept -= size
            del self._kept[:count]


class Repeat(Enum):
    """What is known of a request number."""

    NEW = "new"
    """Never seen: carry it out."""
    PENDING = "pending"
    """Being carried out; its reply is to come."""
    ANSWERED = "answered"
    """Carried out: `ReplyCache.reply` has the reply."""
    FORGOTTEN = "forgotten"
    """Older than the cache reaches; it may have been carried out."""


class ReplyCache:
    """The requests of a session whose replies may not have arrived.

    An entry goes when the client acknowledges the reply, or as the oldest when
    there are too many.  Request numbers only count upwards, so that a number
    at or below one that is gone is known not to be new.

    :param entries: requests to remember at most.
    :param maximum: bytes of replies to remember at most.
    :param account: where they are booked.
    """

    __slots__ = ("_account", "_bytes", "_entries", "_forgotten", "_maximum", "_most")

    def __init__(
        self,
        entries: int = 256,
        maximum: int = 1 << 18,
        account: Account | None = None,
    ) -> None:
        self._account = account if account is not None else Account()
        self._most = entries
        self._maximum = maximum
        self._bytes = 0
        self._forgotten = 0
        # request -> None while pending, else (seq of the reply, type, body);
        # seq is -1 when the numbers have begun anew since.
        self._entries: dict[int, tuple[int, int, bytes] | None] = {}

    def admit(self, request: int) -> Repeat:
        """Look at the number of a request that arrived; a new one is pending."""
        if request in self._entries:
            pending = self._entries[request] is None
            return Repeat.PENDING if pending else Repeat.ANSWERED
        if request <= self._forgotten:
            return Repeat.FORGOTTEN
        self._entries[request] = None
        self._account.kept += KEEPING
        self._evict()
        return Repeat.NEW

    def answer(self, request: int, seq: int, type: int, body: bytes) -> None:
        """Remember the reply to a pending or answered request."""
        if request in self._entries:
            before = self._entries[request]
            change = len(body) - (len(before[2]) if before is not None else 0)
            self._entries[request] = (seq, type, body)
            self._bytes += change
            self._account.kept += change
            self._evict()

    def reply(self, request: int) -> tuple[int, bytes]:
        """Type and body of the reply to an answered request."""
        entry = self._entries[request]
        assert entry is not None
        return entry[1], entry[2]

    def acknowledge(self, ack: int) -> None:
        """The client took every frame up to ``ack``: forget these replies."""
        for request, entry in list(self._entries.items()):
            if entry is not None and entry[0] >= 0:
                if (ack - entry[0]) % _MODULUS >= _HALF:
                    continue
                self._remove(request)

    def let_go(self) -> None:
        """Forget all replies; their requests are known to be answered."""
        if self._bytes:
            for request, entry in list(self._entries.items()):
                if entry is not None:
                    self._remove(request)

    def clear(self) -> None:
        """Forget everything: the session is over."""
        self._account.kept -= self.held
        self._entries.clear()
        self._bytes = 0

    def restart(self) -> None:
        """The numbers begin anew: replies are kept until they are asked for."""
        for request, entry in self._entries.items():
            if entry is not None:
                self._entries[request] = (-1, entry[1], entry[2])

    @property
    def held(self) -> int:
        """Bytes that requests and replies account for."""
        return self._bytes + KEEPING * len(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _evict(self) -> None:
        while len(self._entries) > self._most or (
            self._bytes > self._maximum and len(self._entries) > 1
        ):
            self._remove(next(iter(self._entries)))

    def _remove(self, request: int) -> None:
        entry = self._entries.pop(request)
        self._account.kept -= KEEPING
        if entry is not None:
            self._bytes -= len(entry[2])
            self._account.kept -= len(entry[2])
        self._forgotten = max(self._forgotten, request)
