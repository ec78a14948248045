"""Which packets of a stream are missing, and when to ask for them.

A receiver's side of repair; what the server does for publishers, whose packets
it forwards as they come, is in `feedback`.  A pure machine with time: feed it
`GapTracker.received`, wake it at `next_timeout`, send a NACK for what `due`
returns.

Every index from the first packet to the highest one is exactly one of
*received*, *missing* (still asked for) or *lost* (given up), so
``expected == received + missing + lost`` always holds.

A missing packet is asked for when the reorder allowance has passed, again every
round trip, and given up after a second, or at once where more are missing than
would be worth repairing: then the frame is lost and a key frame must help.
"""

from enum import Enum

from anychat.media.sequence import distance, extend

#: Farthest a stream may jump ahead in one step and be believed at once
#: (RFC 3550 appendix A.1, MAX_DROPOUT).
MAX_JUMP = 3000
#: How far behind the highest packet one is still told new from double.
WINDOW = 1024


class Arrival(Enum):
    """What a packet turned out to be."""

    NEW = "new"
    """The next one, or one farther ahead."""
    REORDERED = "reordered"
    """Came late, before it was asked for."""
    REPAIRED = "repaired"
    """Came after it was asked for."""
    LATE = "late"
    """Came after it was given up."""
    DUPLICATE = "duplicate"
    """Came before."""
    OLD = "old"
    """Too far behind to tell."""
    STRAY = "stray"
    """Very far ahead; believed if the packet after it follows."""


class _Missing:
    """One packet that has not come."""

    __slots__ = ("asked", "expires", "next_ask")

    def __init__(self, next_ask: float, expires: float):
        self.next_ask = next_ask
        self.expires = expires
        self.asked: float | None = None
        """When it was asked for the first time."""


class GapTracker:
    """Follows the sequence numbers of one stream.

    :param reorder: seconds to wait before the first NACK.
    :param repeat: least seconds between two NACKs for one packet.
    :param give_up: seconds after which a packet is lost.
    :param maximum: most packets to be missing at a time.
    :param reference: an index near the first packet's, for a stream joined late.
    """

    def __init__(
        self,
        reorder: float = 0.020,
        repeat: float = 0.040,
        give_up: float = 1.0,
        maximum: int = 256,
        reference: int = 0,
    ):
        self.reorder = reorder
        self.round_trip = 0.0
        """Seconds to the other side and back; kept up to date by the owner."""
        self.received_count = 0
        """Packets that came, each counted once."""
        self.repaired = 0
        """Those that came after they were asked for."""
        self.repair_time = 0.0
        """Seconds from asking for the latest of them to its coming; less than a
        round trip: what came had only been overtaken."""
        self.late = 0
        """Those that came after they were given up; they are not lost."""
        self.duplicates = 0
        """Packets that came again."""
        self.old = 0
        """Packets too far behind to tell."""
        self.lost = 0
        """Packets that were given up and did not come."""
        self.left_out = 0
        """Packets that were not to come."""
        self.asked = 0
        """Sequence numbers given out by `due`."""
        self._repeat = repeat
        self._give_up = give_up
        self._maximum = maximum
        self._reference = reference
        self._first: int | None = None
        self._highest = 0
        self._seen = 0
        self._missing: dict[int, _Missing] = {}
        self._timeout: float | None = None
        self._stray: int | None = None

    @property
    def highest(self) -> int | None:
        """Highest index so far (roll-over count << 16 | sequence number);
        None before the first packet."""
        return None if self._first is None else self._highest

    @property
    def expected(self) -> int:
        """Packets from the first to the highest (RFC 3550 appendix A.3), but for
        those that are left out."""
        if self._first is None:
            return 0
        return self._highest - self._first + 1 - self.left_out

    @property
    def missing(self) -> int:
        """Packets that are still hoped for."""
        return len(self._missing)

    def received(self, sequence: int, now: float) -> Arrival:
        """Note a packet.

        :param sequence: its 16-bit sequence number.
        :param now: monotonic seconds.
        """
        if self._first is None:
            self._first = self._highest = extend(sequence, self._reference)
            self._seen = 1
            self.received_count = 1
            return Arrival.NEW
        ahead = distance(self._highest & 0xFFFF, sequence)
        if ahead == 1:
            self._stray = None
            self._advance(1)
            return Arrival.NEW
        if ahead <= -WINDOW or self._highest + ahead < 0:
            # Indexes only grow within a publication, so this is not a restart.
            self.old += 1
            return Arrival.OLD
        if ahead > MAX_JUMP:
            if self._stray is None or sequence != self._stray + 1 & 0xFFFF:
                self._stray = sequence
                return Arrival.STRAY
            # The stray one was the first after a long gap.
            self._note_missing(self._highest + 1, self._highest + ahead - 1, now)
            self._advance(ahead - 1)
            ahead = 1
        self._stray = None
        if ahead > 0:
            self._note_missing(self._highest + 1, self._highest + ahead, now)
            self._advance(ahead)
            return Arrival.NEW
        return self._behind(self._highest + ahead, now)

    def _advance(self, ahead: int) -> None:
        """The packet that many ahead of the highest has come."""
        shifted = self._seen << ahead if ahead < WINDOW else 0
        self._seen = (shifted | 1) & _WINDOW_MASK
        self._highest += ahead
        self.received_count += 1

    def _note_missing(self, start: int, end: int, now: float) -> None:
        """The packets from ``start`` to before ``end`` have not come."""
        excess = len(self._missing) + end - start - self._maximum
        if excess > 0:
            # Too much to repair: the oldest are given up, which keeps the
            # state bounded whatever the other side does.
            for index in list(self._missing)[:excess]:
                del self._missing[index]
                self.lost += 1
                excess -= 1
            self.lost += excess
            start += excess
        ask, expires = now + self.reorder, now + self._give_up
        if not self._missing or self._timeout is None or ask < self._timeout:
            self._timeout = ask
        for index in range(start, end):
            self._missing[index] = _Missing(ask, expires)

    def _behind(self, index: int, now: float) -> Arrival:
        """A packet of the window that is not ahead."""
        bit = 1 << self._highest - index
        if self._seen & bit:
            self.duplicates += 1
            return Arrival.DUPLICATE
        assert self._first is not None
        if index < self._first:
            # Reordered at the very beginning: the stream starts earlier.
            first, self._first = self._first, index
            self._note_missing(index + 1, first, now)
            arrival = Arrival.REORDERED
        else:
            missing = self._missing.pop(index, None)
            if missing is None:
                self.lost -= 1
                self.late += 1
                arrival = Arrival.LATE
            elif missing.asked is not None:
                self.repaired += 1
                self.repair_time = now - missing.asked
                arrival = Arrival.REPAIRED
            else:
                arrival = Arrival.REORDERED
        self._seen |= bit
        self.received_count += 1
        return arrival

    def leave_out(self, sequence: int) -> int | None:
        """A missing packet is not to come; its index, None if it is not missing."""
        index = extend(sequence, self._highest)
        if self._missing.pop(index, None) is None:
            return None
        self._seen |= (1 << self._highest - index) & _WINDOW_MASK
        self.left_out += 1
        return index

    def next_timeout(self) -> float | None:
        """When `due` has something to do; None while nothing is missing."""
        return self._timeout if self._missing else None

    def due(self, now: float) -> list[int]:
        """Give up what is too old and return what to ask for now.

        :return: sequence numbers, oldest first, for one NACK; never more than
            the maximum that may be missing.
        """
        if self._timeout is None or now < self._timeout:
            return []
        wait = max(self.round_trip, self._repeat)
        timeout: float | None = None
        ask: list[int] = []
        for index, missing in list(self._missing.items()):
            if now >= missing.expires:
                del self._missing[index]
                self.lost += 1
                continue
            if now >= missing.next_ask:
                if missing.asked is None:
                    missing.asked = now
                missing.next_ask = now + wait
                ask.append(index)
            turn = min(missing.next_ask, missing.expires)
            if timeout is None or turn < timeout:
                timeout = turn
        self._timeout = timeout
        self.asked += len(ask)
        ask.sort()
        return [index & 0xFFFF for index in ask]


_WINDOW_MASK = (1 << WINDOW) - 1
