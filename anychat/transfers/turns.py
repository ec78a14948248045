"""Who waits, and who is next: one of each in turn."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Hashable)


class Turns(Generic[K, T]):
    """A waiting line in which nobody gains by standing in it a thousand times.

    Things wait under the key of whoever they belong to.  Keys come one after the
    other, and of each key its oldest thing.
    """

    __slots__ = ("_lines", "_size")

    def __init__(self) -> None:
        self._lines: OrderedDict[K, dict[T, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, key: K, thing: T) -> None:
        """It waits from now on."""
        line = self._lines.setdefault(key, {})
        self._size += thing not in line
        line[thing] = None

    def discard(self, key: K, thing: T) -> None:
        """It waits no more."""
        line = self._lines.get(key)
        if line is not None and thing in line:
            del line[thing]
            self._size -= 1
            if not line:
                del self._lines[key]

    def others(self, key: K) -> bool:
        """Whether something waits under another key."""
        return len(self._lines) > (key in self._lines)

    def next(self) -> T:
        """Take out whose turn it is.

        :raises KeyError: nothing waits.
        """
        if not self._size:
            raise KeyError("nothing waits")
        key, line = next(iter(self._lines.items()))
        thing = next(iter(line))
        self._lines.move_to_end(key)
        self.discard(key, thing)
        return thing
