"""The kinds of id that cross module borders.

They are plain integers at run time; the names keep one kind from being
passed for another.
"""

from typing import NewType

#: A TCP connection, given by the shell; never reused while the process lives.
LinkId = NewType("LinkId", int)
#: A signed-in client; outlives its links.  The media plane calls it a leg.
SessionId = NewType("SessionId", int)
#: A user: positive when named, -2, -3, ... for guests.
UserId = NewType("UserId", int)
#: A room as operators number them, from 1.
RoomId = NewType("RoomId", int)
#: The SSRC of a publication, given by the server (RFC 3550 section 8).
Ssrc = NewType("Ssrc", int)
