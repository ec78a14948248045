"""The lowest number that is not taken, at the cost of a heap operation."""

from collections.abc import Iterable
from heapq import heappop, heappush


class FreeNumbers:
    """Numbers from ``start`` up, some of them taken.

    Anybody may take any number, not only the lowest free one.  Numbers below
    ``start`` are of no interest and ignored.  Memory is bounded by the
    numbers that are taken at the moment.
    """

    __slots__ = ("_gaps", "_queued", "_start", "_taken", "_top")

    def __init__(self, start: int, taken: Iterable[int] = ()) -> None:
        self._start = start
        self._taken: set[int] = set()
        # Every free number below the top stands in the heap of gaps; a gap
        # that was taken again stays there until it comes to the front.
        self._top = start
        self._gaps: list[int] = []
        self._queued: set[int] = set()
        for number in taken:
            self.take(number)

    @property
    def lowest(self) -> int:
        """The lowest free number."""
        return self._gaps[0] if self._gaps else self._top

    def take(self, number: int) -> None:
        """The number is not free any more."""
        if number < self._start:
            return
        self._taken.add(number)
        while self._gaps and self._gaps[0] in self._taken:
            self._queued.remove(heappop(self._gaps))
        while self._top in self._taken:
            self._top += 1

    def release(self, number: int) -> None:
        """The number is free again."""
        self._taken.discard(number)
        if self._start <= number < self._top and number not in self._queued:
            self._queued.add(number)
            heappush(self._gaps, number)
            # Taking and releasing one number after the other must not make
            # the heap grow for ever: start over when it is mostly air.
            if len(self._gaps) > 64 + 2 * len(self._taken):
                self._gaps.clear()
                self._queued.clear()
                self._top = self._start
                while self._top in self._taken:
                    self._top += 1
