"""How many connections may be there that have not signed in.

Anybody can open connections; what they cost before they sign in is bounded,
for each address and for all of them.
"""

import ipaddress


class Admission:
    """Counts the connections that have not signed in.

    :param per_address: how many may come from one address (IPv4), or from one
        /64 (IPv6: what a single customer has).
    :param overall: how many there may be.
    """

    __slots__ = ("_count", "_counts", "_overall", "_per_address")

    def __init__(self, per_address: int, overall: int):
        self._per_address = per_address
        self._overall = overall
        self._counts: dict[str, int] = {}
        self._count = 0

    def enter(self, address: str) -> bool:
        """Count one more connection in; False: it is one too many."""
        place = origin(address)
        here = self._counts.get(place, 0)
        if here >= self._per_address or self._count >= self._overall:
            return False
        self._add(place)
        return True

    def keep(self, address: str) -> None:
        """Count one in that is gone and still costs; also where it is too many."""
        self._add(origin(address))

    def leave(self, address: str) -> None:
        """One that was counted in has signed in, or is gone and costs no more."""
        place = origin(address)
        here = self._counts[place] - 1
        if here:
            self._counts[place] = here
        else:
            del self._counts[place]
        self._count -= 1

    def __len__(self) -> int:
        """Connections that have not signed in, and those that are kept."""
        return self._count

    def _add(self, place: str) -> None:
        self._counts[place] = self._counts.get(place, 0) + 1
        self._count += 1


def origin(address: str) -> str:
    """What addresses are counted by: IPv4 as it is, IPv6 by its /64."""
    if ":" not in address:
        return address
    number = int(ipaddress.IPv6Address(address.partition("%")[0]))
    return str(ipaddress.IPv6Address(number >> 64 << 64))


def plain_address(address: str) -> str:
    """An address without the IPv6 clothes that a dual-stack socket gives IPv4."""
    if address.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(address).ipv4_mapped
        if mapped is not None:
            return str(mapped)
    return address


def is_loopback(address: str) -> bool:
    """Whether an address is this host talking to itself."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
