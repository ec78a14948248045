"""Who of several answers which question: the newest that asks to.

Each that joins names the verdicts it would give.  For each verdict exactly one
holds the role, whoever of those that named it came last; when that one leaves,
the newest of the rest has it again.  The others are told whenever what they
know of it changes.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Taken(Generic[M]):
    """To be told to one: these verdicts are given by that one from now on."""

    member: M
    holder: M
    """May be the member itself: they are its own again."""
    verdicts: tuple[str, ...]


class VerdictRoles(Generic[M]):
    """The roles, and what each member was told of them."""

    def __init__(self) -> None:
        # The newest last; what each believes, by verdict.
        self._members: dict[M, dict[str, M]] = {}

    def __len__(self) -> int:
        """Members."""
        return len(self._members)

    def holder(self, verdict: str) -> M | None:
        """Who gives this verdict, if anybody does."""
        for member in reversed(self._members):
            if verdict in self._members[member]:
                return member
        return None

    def join(
        self, member: M, verdicts: Iterable[str], instead: M | None = None
    ) -> list[Taken[M]]:
        """Somebody has come, who knows by its coming that it has these roles.

        :param instead: leaves in the same moment, and is not told.
        """
        if instead is not None:
            self._members.pop(instead, None)
        self._members[member] = dict.fromkeys(verdicts, member)
        return self._settle()

    def leave(self, member: M) -> list[Taken[M]]:
        """Somebody has gone, if it was there."""
        self._members.pop(member, None)
        return self._settle()

    def _settle(self) -> list[Taken[M]]:
        """What has to be told, so that everybody believes what is."""
        news: list[Taken[M]] = []
        for member, beliefs in self._members.items():
            changed: dict[M, list[str]] = {}
            for verdict, believed in beliefs.items():
                holder = self.holder(verdict)
                assert holder is not None, "a member names this verdict"
                if holder != believed:
                    beliefs[verdict] = holder
                    changed.setdefault(holder, []).append(verdict)
            news += [
                Taken(member, holder, tuple(verdicts))
                for holder, verdicts in changed.items()
            ]
        return news
