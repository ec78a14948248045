"""Many points in time, of which the shell's one timer needs the nearest."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class Deadlines(Generic[_Key]):
    """At most one deadline for each key, seconds on the owner's clock."""

    __slots__ = ("_count", "_heap", "_when")

    def __init__(self) -> None:
        self._when: dict[_Key, float] = {}
        # Entries whose deadline was moved or cleared stay until they surface;
        # the count keeps keys from being compared.
        self._heap: list[tuple[float, int, _Key]] = []
        self._count = 0

    def set(self, key: _Key, when: float) -> None:
        """Set or move a deadline."""
        if self._when.get(key) == when:
            return
        self._when[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))
        if len(self._heap) > 64 + 4 * len(self._when):
            self._heap = [
                entry for entry in self._heap if self._when.get(entry[2]) == entry[0]
            ]
            heapq.heapify(self._heap)

    def hasten(self, key: _Key, when: float) -> None:
        """Set a deadline unless there is an earlier one."""
        known = self._when.get(key)
        if known is None or when < known:
            self.set(key, when)

    def clear(self, key: _Key) -> None:
        """Forget a deadline, if there is one."""
        self._when.pop(key, None)

    def next(self) -> float | None:
        """The nearest deadline."""
        heap = self._heap
        while heap:
            when, _, key = heap[0]
            if self._when.get(key) == when:
                return when
            heapq.heappop(heap)
        return None

    def due(self, now: float) -> list[_Key]:
        """Remove the deadlines that have come, and return their keys in order."""
        keys = []
        while (when := self.next()) is not None and when <= now:
            key = heapq.heappop(self._heap)[2]
            del self._when[key]
            keys.append(key)
        return keys

    def __len__(self) -> int:
        return len(self._when)
