"""What one business server is to be told, in order, until it says it has it.

Events get their numbers when they go out, one after the other without a gap, and
stay until the other side acknowledges them (cumulatively), so that they can go
out again over a new connection.  Questions have no numbers and die with the
connection.

Events stand in one line, and go out in it while nothing holds them up.  AMP has
no back-pressure of its own: a window says how much may be under way, sent and not
acknowledged.  It is for *passing* events, what clients say, of which there may be
any number.  *Lasting* ones, the few that tell who is where, and questions pass
those that wait for the window; but never one of their own user, whose events and
questions keep their order whatever happens::

    tell, ask --> waiting --+---------------------------> sent --> acknowledged
                            |                              ^
                            +--> lanes: for a window,   ---+
                                 or behind one of its user

Three bounds hold besides the window.  A user has a share of it for the passing
events that are not acknowledged, so that nobody fills it alone; what is more is
left out.  Lasting events have a window of their own, several times as wide.  And
the maximum says how much is kept at all; beyond it the oldest events that are not
under way are dropped.  A `Gap` owns to all that is left out or dropped, and takes
its numbers.

Encoded events are shared by the queues of all servers: an `Entry` is made once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anychat.codes import ResultCode
from anychat.errors import PeerError

#: Bytes that an entry costs beyond its body, about.
OVERHEAD = 128

#: This part of the window's events, and of its bytes, is one user's.
SHARE_OF_EVENTS, SHARE_OF_BYTES = 16, 2

#: The window of lasting events is so many times as wide.
LASTING = 4

Q = TypeVar("Q")


class Entry:
    """An event as it stands on the wire, but for its number.

    :ivar kind: its command.
    :ivar user: whose it is, 0: nobody's.
    :ivar cost: what keeping it counts for.

    :param passing: clients say such things, as often as they like.
    :param free: it is bounded elsewhere, counts for nothing, and waits for
        nothing.  Such ones that stand side by side go out together, or are
        dropped together.
    """

    __slots__ = ("body", "cost", "kind", "passing", "user")

    def __init__(
        self,
        kind: str,
        body: bytes,
        user: int = 0,
        *,
        passing: bool = False,
        free: bool = False,
    ) -> None:
        self.kind = kind
        self.body = body
        self.user = user
        self.passing = passing
        self.cost = 0 if free else len(body) + OVERHEAD


class Gap:
    """Events that are gone.

    :param passing: they are what one user said too much; this waits for nothing.
    """

    __slots__ = ("count", "passing")

    def __init__(self, count: int, *, passing: bool = False) -> None:
        self.count = count
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be sent and not acknowledged; one event always may."""

    events: int
    bytes: int
    """Of bodies."""


class _Asked(Generic[Q]):
    """A question that must not overtake its user's events."""

    __slots__ = ("question", "user")

    def __init__(self, question: Q, user: int) -> None:
        self.question = question
        self.user = user


class _UnderWay:
    """What is sent and not acknowledged, of one sort."""

    __slots__ = ("_most", "_most_bytes", "bytes", "count")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.count = self.bytes = 0

    @property
    def full(self) -> bool:
        """Nothing more may go out, be it as small as it will."""
        return self.count >= self._most

    def takes(self, size: int) -> bool:
        """Whether one more of that size may go out."""
        return self.count < self._most and (
            not self.count or self.bytes + size <= self._most_bytes
        )

    def add(self, size: int) -> None:
        """One of that size has gone out."""
        self.count += 1
        self.bytes += size

    def remove(self, size: int) -> None:
        """One of that size is acknowledged."""
        self.count -= 1
        self.bytes -= size


class _Share:
    """The passing events of one user that are not acknowledged."""

    __slots__ = ("bytes", "count", "left_out")

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.left_out = 0
        """Those that were too many, and are to be owned to."""


class EventQueue(Generic[Q]):
    """The line of one business server.

    :param maximum: bytes kept, `OVERHEAD` for each entry included; the windows
        take no more than half of it each.
    """

    __slots__ = (
        "_acknowledged",
        "_at_once",
        "_behind_gap",
        "_gap",
        "_held",
        "_in_lanes",
        "_lanes",
        "_lasting",
        "_maximum",
        "_number",
        "_passing",
        "_questions",
        "_ready",
        "_sent",
        "_serial",
        "_share",
        "_share_bytes",
        "_shares",
        "_standing",
        "_waiting",
        "bytes",
        "dropped",
        "left_out",
    )

    def __init__(self, maximum: int, window: Window) -> None:
        self._maximum = maximum
        size = min(window.bytes, maximum // 2)
        self._passing = _UnderWay(window.events, size)
        self._lasting = _UnderWay(
            LASTING * window.events, min(LASTING * window.bytes, maximum // 2)
        )
        self._share = max(1, window.events // SHARE_OF_EVENTS)
        self._share_bytes = size // SHARE_OF_BYTES
        self._shares: dict[int, _Share] = {}
        self._sent: deque[tuple[int, Entry | Gap]] = deque()
        # The oldest that did not go out, dropped: it comes before all others.
        self._gap: Gap | None = None
        self._behind_gap: list[Q] = []
        # What was passed by: of each user, with a serial number, and of these
        # the passing events in their order, and whose lasting ones come next.
        self._lanes: dict[int, deque[tuple[int, Entry | _Asked[Q]]]] = {}
        self._held: deque[Entry] = deque()
        self._ready: dict[int, None] = {}
        self._serial = 0
        self._in_lanes = 0  # entries, questions apart
        # The line from there on, in the order of telling and asking.
        self._waiting: deque[Entry | Gap | _Asked[Q]] = deque()
        self._standing = 0  # questions in it
        self._at_once: deque[Q] = deque()
        self._questions = 0
        self._number = 0
        self._acknowledged = 0
        self.bytes = 0
        """What is kept counts for, sent or waiting."""
        self.dropped = 0
        """Events dropped since the beginning, the following apart."""
        self.left_out = 0
        """Events that were too many of their user."""

    @property
    def waiting(self) -> int:
        """Entries that have not gone out."""
        standing = len(self._waiting) - self._standing
        return self._in_lanes + standing + (self._gap is not None)

    @property
    def under_way(self) -> int:
        """Entries that have gone out and are not acknowledged."""
        return len(self._sent)

    @property
    def questions(self) -> int:
        """Questions that have not gone out."""
        return self._questions

    def takes(self, entry: Entry) -> bool:
        """Whether that much of its user may be here."""
        share = self._shares.get(entry.user)
        return (
            share is None
            or not entry.passing
            or (
                # Once too much was said, all of it is to be done with first.
                not share.left_out
                and share.count < self._share
                and share.bytes + len(entry.body) <= self._share_bytes
            )
        )

    def tell(self, entry: Entry) -> None:
        """Put an event at the end of the line, or leave it out."""
        if entry.passing:
            fits = self.takes(entry)
            share = self._shares.setdefault(entry.user, _Share())
            if not fits:
                share.left_out += 1
                self.left_out += 1
                return
            share.count += 1
            share.bytes += len(entry.body)
        self._waiting.append(entry)
        self.bytes += entry.cost
        if self.bytes > self._maximum:
            self._drop()

    def lose(self) -> None:
        """An event for the end of the line cannot be told."""
        self._waiting.append(Gap(1))
        self.dropped += 1

    def ask(self, question: Q, user: int | None = None) -> None:
        """Put a question.

        :param user: whose events it must not overtake; None: nobody's.
        """
        self._questions += 1
        if user is None:
            self._at_once.append(question)
        else:
            self._waiting.append(_Asked(question, user))
            self._standing += 1

    def take(self) -> list[tuple[int, Entry | Gap | Q]]:
        """What may go out now, in its order.

        An event comes with its number, a gap with the number of the last event
        that it stands for, a question with 0.
        """
        parts: list[tuple[int, Entry | Gap | Q]] = []
        while self._at_once:
            self._put(self._at_once.popleft(), parts)
        if self._gap is not None:
            if self._passing.full:
                return parts
            self._send(self._gap, parts)
            self._gap = None
            for question in self._behind_gap:
                self._put(question, parts)
            self._behind_gap.clear()
        self._take_held(parts)
        waiting = self._waiting
        while waiting:
            part = waiting[0]
            if isinstance(part, Entry):
                if self._is_held_up(part):
                    self._hold(part)
                else:
                    self._send(part, parts)
            elif isinstance(part, Gap):
                if not part.passing and (self._lanes or self._passing.full):
                    break
                self._send(part, parts)
            else:
                self._standing -= 1
                if part.user in self._lanes:
                    self._hold(part)
                else:
                    self._put(part.question, parts)
            waiting.popleft()
        return parts

    def acknowledge(self, number: int) -> None:
        """The other side has everything up to this number.

        :raises PeerError: that number has not gone out.
        """
        if number > self._number:
            raise PeerError(
                f"event {number} acknowledged, {self._number} is the last",
                ResultCode.PROTOCOLFAIL,
            )
        sent = self._sent
        while sent and sent[0][0] <= number:
            self._acknowledged, part = sent.popleft()
            if isinstance(part, Gap):
                if not part.passing:
                    self._passing.remove(0)
            else:
                self.bytes -= part.cost
                if part.passing:
                    self._passing.remove(len(part.body))
                    self._give_back(part)
                elif part.cost:
                    self._lasting.remove(len(part.body))

    def rewind(self) -> list[Q]:
        """The connection is gone: what was under way has to go out again.

        :return: the questions that had not gone out; they are forgotten.
        """
        line: deque[Entry | Gap | _Asked[Q]] = deque(part for _, part in self._sent)
        if self._gap is not None:
            line.append(self._gap)
        questions = [*self._at_once, *self._behind_gap]
        held = sorted(
            (item for lane in self._lanes.values() for item in lane),
            key=lambda item: item[0],
        )
        for part in (*(part for _, part in held), *self._waiting):
            if isinstance(part, _Asked):
                questions.append(part.question)
            else:
                line.append(part)
        self._waiting = line
        self._gap = None
        for emptied in (
            self._sent,
            self._lanes,
            self._held,
            self._ready,
            self._at_once,
            self._behind_gap,
        ):
            emptied.clear()
        self._questions = self._standing = self._in_lanes = 0
        for under_way in (self._passing, self._lasting):
            under_way.count = under_way.bytes = 0
        return questions

    def resume(
        self, handled: int, wanted: Callable[[str], bool], *, anew: bool = False
    ) -> int:
        """Begin over a new connection; only after `rewind` or at first.

        :param handled: the number after which the other side wants to go on.
        :param wanted: tells by its kind whether an event is still wanted; what
            is not goes without a trace.
        :param anew: the other side counts from 0 (and ``handled`` is that); it
            has handled what it acknowledged.
        :return: how many events that it has not handled are gone.
        """
        if self._gap is not None:  # of what happened meanwhile
            self._waiting.appendleft(self._gap)
            self._gap = None
        if not anew:
            self._skip(handled)
        self._number = self._acknowledged = handled
        line, self._waiting = self._waiting, deque()
        for part in line:
            if isinstance(part, Entry) and not wanted(part.kind):
                self._give_back(part)
                self.bytes -= part.cost
            else:
                self._waiting.append(part)
        for share in self._shares.values():
            self._own_to(share)
        return sum(part.count for part in self._waiting if isinstance(part, Gap))

    def _put(self, question: Q, parts: list[tuple[int, Entry | Gap | Q]]) -> None:
        self._questions -= 1
        parts.append((0, question))

    def _send(
        self, part: Entry | Gap, parts: list[tuple[int, Entry | Gap | Q]]
    ) -> None:
        """Give a number, and count as under way."""
        if isinstance(part, Gap):
            self._number += part.count
            if not part.passing:
                self._passing.add(0)
        else:
            self._number += 1
            if part.passing:
                self._passing.add(len(part.body))
            elif part.cost:
                self._lasting.add(len(part.body))
        self._sent.append((self._number, part))
        parts.append((self._number, part))

    def _may_go(self, entry: Entry) -> bool:
        """Whether the window is open for it."""
        under_way = self._passing if entry.passing else self._lasting
        return under_way.takes(len(entry.body))

    def _is_held_up(self, entry: Entry) -> bool:
        """Whether one that comes from the line has to stand aside."""
        if not entry.cost:
            return False
        return (
            entry.user in self._lanes
            or bool(self._held if entry.passing else self._ready)
            or not self._may_go(entry)
        )

    def _hold(self, part: Entry | _Asked[Q]) -> None:
        """Let what comes from the line stand aside."""
        lane = self._lanes.setdefault(part.user, deque())
        self._serial += 1
        lane.append((self._serial, part))
        if isinstance(part, Entry):
            self._in_lanes += 1
            if part.passing:
                self._held.append(part)
            elif len(lane) == 1:
                self._ready[part.user] = None

    def _take_held(self, parts: list[tuple[int, Entry | Gap | Q]]) -> None:
        """Send what stands aside and may go now."""
        while self._ready:
            user = next(iter(self._ready))
            if not self._take_lane(user, parts):
                break
        while self._held and self._may_go(self._held[0]):
            entry = self._held[0]
            lane = self._lanes[entry.user]
            if lane[0][1] is not entry:
                return  # behind a lasting one, for which there is no room
            self._held.popleft()
            lane.popleft()
            self._in_lanes -= 1
            self._send(entry, parts)
            self._take_lane(entry.user, parts)

    def _take_lane(self, user: int, parts: list[tuple[int, Entry | Gap | Q]]) -> bool:
        """Send questions and lasting events that are the next of their user.

        :return: whether any may go.
        """
        lane, taken = self._lanes[user], False
        while lane:
            part = lane[0][1]
            if isinstance(part, _Asked):
                self._put(part.question, parts)
            elif part.passing or not self._may_go(part):
                break
            else:
                self._in_lanes -= 1
                self._send(part, parts)
            lane.popleft()
            taken = True
        self._see_to_lane(user)
        return taken

    def _see_to_lane(self, user: int) -> None:
        """Another one is the next of this user, or none."""
        lane = self._lanes[user]
        if not lane:
            del self._lanes[user]
        part = lane[0][1] if lane else None
        if isinstance(part, Entry) and not part.passing:
            self._ready.setdefault(user)
        else:
            self._ready.pop(user, None)

    def _give_back(self, entry: Entry) -> None:
        """A user has that much less here."""
        if not entry.passing:
            return
        share = self._shares[entry.user]
        share.count -= 1
        share.bytes -= len(entry.body)
        if not share.count:
            del self._shares[entry.user]
            self._own_to(share)

    def _own_to(self, share: _Share) -> None:
        """Say at the end of the line what was left out."""
        if share.left_out:
            self._waiting.append(Gap(share.left_out, passing=True))
            share.left_out = 0

    def _skip(self, handled: int) -> None:
        """Let go of what was handled and not acknowledged, or own to a loss."""
        # Nobody has handled what never went out.
        skip = min(handled, self._number) - self._acknowledged
        waiting = self._waiting
        if skip < 0:
            waiting.appendleft(Gap(-skip))
        while skip > 0 and waiting:
            part = waiting[0]
            if isinstance(part, Gap):
                if part.count > skip:
                    part.count -= skip
                    return
                skip -= part.count
            elif isinstance(part, Entry):
                skip -= 1
                self.bytes -= part.cost
                self._give_back(part)
            waiting.popleft()

    def _drop(self) -> None:
        """Let the oldest go that are not under way."""
        gap = self._gap = self._gap or Gap(0)
        while self._lanes and self.bytes > self._maximum:
            self._drop_entry(self._leave_lane(), gap)
        while self._waiting and not self._lanes:
            part = self._waiting[0]
            if isinstance(part, Gap):
                gap.count += part.count
            elif isinstance(part, _Asked):
                if self.bytes <= self._maximum:
                    return
                self._standing -= 1
                self._behind_gap.append(part.question)
            elif self.bytes > self._maximum or (gap.count and not part.cost):
                self._drop_entry(part, gap)
            else:
                return
            self._waiting.popleft()

    def _drop_entry(self, entry: Entry, gap: Gap) -> None:
        gap.count += 1
        self.dropped += 1
        self.bytes -= entry.cost
        self._give_back(entry)

    def _leave_lane(self) -> Entry:
        """Take one of the oldest that stand aside; what was behind it may follow."""
        user = self._held[0].user if self._held else next(iter(self._ready))
        lane = self._lanes[user]
        entry = lane.popleft()[1]
        assert isinstance(entry, Entry)
        self._in_lanes -= 1
        if entry.passing:
            self._held.popleft()
        while lane and isinstance(part := lane[0][1], _Asked):
            self._behind_gap.append(part.question)
            lane.popleft()
        self._see_to_lane(user)
        return entry
