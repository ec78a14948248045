"""Handles: numbers that stand for users' sessions at a plug-in.

A plug-in is given one with a user's login and shows it when it sends that user
something.  So what is meant for somebody who has gone never reaches a later
session of the same user.
"""


class Handles:
    """Who is signed in, as far as the plug-in was told, with their handles.

    :param last: the number before the first one.
    """

    #: The greatest; after it the numbers begin anew.
    MAXIMUM = 2**32 - 1

    __slots__ = ("_by_user", "_last", "_used")

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self._by_user: dict[int, int] = {}
        self._used: set[int] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_user)

    def begin(self, user_id: int) -> int:
        """A session begins: its handle, which no other one has."""
        self.end(user_id)
        number = self._next(self._last)
        while number in self._used:
            number = self._next(number)
        self._last = number
        self._by_user[user_id] = number
        self._used.add(number)
        return number

    def end(self, user_id: int) -> None:
        """A session has ended; of one that is not known nothing is left."""
        handle = self._by_user.pop(user_id, None)
        if handle is not None:
            self._used.discard(handle)

    def get(self, user_id: int) -> int | None:
        """The handle of a user's session, None: there is none."""
        return self._by_user.get(user_id)

    def matches(self, user_id: int, handle: int) -> bool:
        """Whether it is that of the session which the user has now."""
        return self._by_user.get(user_id) == handle

    def _next(self, number: int) -> int:
        # 0 stays free: a C program keeps it for "none".
        return number + 1 if number < self.MAXIMUM else 1
