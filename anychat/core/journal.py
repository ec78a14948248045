"""The ordered changes, numbered from 1: what happened to the state.

The journal keeps the newest changes only.  Folding all changes from the start,
or a snapshot and the changes after it, gives the state (``docs/core.md``).
"""

from collections import deque
from dataclasses import dataclass

from anychat.core.changes import Change


@dataclass(frozen=True, slots=True)
class Entry:
    """One change with its number."""

    number: int
    change: Change


class Journal:
    """The newest changes, at most ``maximum`` of them."""

    def __init__(self, maximum: int = 10_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=maximum)
        self.number = 0
        """Number of the newest change; 0: nothing happened yet."""

    def append(self, change: Change) -> None:
        """Number the change and keep it."""
        self.number += 1
        self._entries.append(Entry(self.number, change))

    def since(self, number: int) -> tuple[Entry, ...] | None:
        """The changes after that number, or None where they are kept no more.

        A reader that is told None takes a snapshot instead.
        """
        missing = self.number - number
        if missing > len(self._entries) or missing < 0:
            return None
        return tuple(self._entries)[len(self._entries) - missing :]
