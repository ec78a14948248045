"""Where a peer is, and from which of our addresses it is answered."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

#: As the socket gives it: (host, port), with flow and scope added for IPv6.
Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

#: Sends one datagram to an address, as ``socket.sendto`` does: raises
#: BlockingIOError when the send buffer is full, another OSError when the
#: address cannot be reached.
Send: TypeAlias = Callable[[bytes, Address], object]


class Path(NamedTuple):
    """Both ends of the way to a peer.

    A host with several addresses must answer from the one that was asked, or
    the answer does not pass the peer's NAT.
    """

    remote: Address
    local: bytes = b""
    """Our end, opaque to all but the port; empty leaves it to the kernel."""


#: The way of a destination that is not on the network: its copies wait for
#: Python in the forwarder's ring of media.
UPWARD = Path(("", 0))
