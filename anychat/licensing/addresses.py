"""Bindings to a name that leads here, and to an address of this host."""

import array
import fcntl
import ipaddress
import re
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorTime,
    IResolutionReceiver,
)
from zope.interface import implementer

from anychat.codes import ResultCode
from anychat.licensing.findings import Finding
from anychat.licensing.licence import AddressBinding, DomainBinding

#: Seconds that the name service has for an answer.
RESOLVE_TIMEOUT = 10.0
#: Addresses of a name, of a host and of a licence that are looked at.
MAX_ADDRESSES = 1024

#: IPv4 addresses as IPv6 ones (RFC 4291 section 2.5.5.2), and all of a link at once.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_BROADCAST = ipaddress.IPv4Network("255.255.255.255")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: The addresses of a name, as text; none: there are none, or nobody knows.
Resolve = Callable[[str], "Deferred[Sequence[str]]"]

#: <linux/sockios.h>
_SIOCGIFCONF = 0x8912
#: struct ifreq: the name, and a union whose largest member is struct ifmap.
_IFREQ = struct.calcsize("16sLLHBBB0L")
_IFA_F_DADFAILED = 0x08


class ResolveTimeout(Exception):
    """The name service gave no answer in time."""


def resolver(
    names: IHostnameResolver, clock: IReactorTime, timeout: float = RESOLVE_TIMEOUT
) -> Resolve:
    """Ask a name service, such as ``reactor.nameResolver``.

    :returns: a function whose result fails with `ResolveTimeout`.
    """
    late: set[str] = set()

    def resolve(name: str) -> "Deferred[Sequence[str]]":
        if name in late:
            # Each lookup takes one of the process' few threads until its end.
            return fail(ResolveTimeout("the lookup before has no answer yet"))

        def too_late(_: object, seconds: float) -> None:
            late.add(name)
            raise ResolveTimeout(f"no answer in {seconds:g} seconds")

        # An answer that comes later finds nobody.
        receiver = _Receiver(lambda: late.discard(name))
        names.resolveHostName(receiver, name)
        receiver.answer.addTimeout(timeout, clock, too_late)
        return receiver.answer

    return resolve


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects the addresses of a name.

    :param on_complete: is told when there are no more.
    """

    def __init__(self, on_complete: Callable[[], object]) -> None:
        self._on_complete = on_complete
        self.answer: Deferred[Sequence[str]] = Deferred()
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: object) -> None:
        """Nothing to keep: Twisted's own resolver cannot be cancelled."""

    def addressResolved(self, address: object) -> None:
        """One more, of IPv4 or IPv6."""
        if len(self._addresses) < MAX_ADDRESSES:
            self._addresses.append(str(getattr(address, "host", "")))

    def resolutionComplete(self) -> None:
        """There are no more."""
        self._on_complete()
        if not self.answer.called:
            self.answer.callback(self._addresses)


def check_domain(
    binding: DomainBinding, resolve: Resolve, own_addresses: Collection[Address]
) -> "Deferred[Finding]":
    """Whether the name leads to this host.

    :param own_addresses: `host_addresses` and those of PublicAddress.
    """
    name = binding.name
    if not _is_name(name):
        return succeed(
            Finding(
                ResultCode.CERTFILE_DOMAINFAIL,
                "domain",
                f"the licence is bound to {name[:64]!a}, which is no host name",
            )
        )

    def judge(answer: Sequence[str]) -> Finding:
        found = set(_parsed(answer))
        if not found:
            return unresolved("it has no address, or the name service does not answer")
        if found & set(own_addresses):
            here = min(map(str, found & set(own_addresses)))
            return Finding(ResultCode.SUCCESS, "domain", f"{name} leads to {here}")
        return Finding(
            ResultCode.CERTFILE_URLVERIFYFAIL,
            "domain",
            f"{name} leads to {_listed(found)}, and this host has "
            f"{_listed(own_addresses)}; correct the name's record, or behind a NAT "
            "set [Media Settings] PublicAddress",
            passing=True,
        )

    def unresolved(reason: str) -> Finding:
        return Finding(
            ResultCode.CERTFILE_DNSFAIL,
            "domain",
            f"{name} cannot be resolved: {reason}; see /etc/resolv.conf",
            passing=True,
        )

    return resolve(name).addCallbacks(
        judge, lambda failure: unresolved(failure.getErrorMessage())
    )


def check_address(
    binding: AddressBinding, own_addresses: Collection[Address]
) -> Finding:
    """Whether this host has one of the licence's addresses.

    :param own_addresses: `host_addresses`; what a configuration says proves nothing.
    """
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text in binding.addresses[:MAX_ADDRESSES]:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            return Finding(
                ResultCode.CERTFILE_IPADDRFAIL,
                "address",
                f"the licence is bound to {text[:64]!a}, which is no address",
            )
    if not networks:
        return Finding(
            ResultCode.CERTFILE_IPADDRFAIL,
            "address",
            "the licence is bound to addresses, and names none",
        )
    for address in sorted(own_addresses, key=str):
        if any(address in network for network in networks):
            return Finding(ResultCode.SUCCESS, "address", f"this host has {address}")
    return Finding(
        ResultCode.CERTFILE_BINDIPFAIL,
        "address",
        f"the licence is bound to {_listed(networks)}, and this host has "
        f"{_listed(own_addresses)}",
        # Addresses come late at a start, and move between machines.
        passing=True,
    )


def never_matches(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> str:
    """Why no licence should be bound to an address or a network, or empty."""
    if not network.prefixlen:
        return "is every address there is: for such a licence say --unbound"
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return "never matches: write it as an IPv4 address"
    if network.is_loopback or network.is_link_local:
        return "never matches: every machine has such an address, so it counts nowhere"
    if network.is_multicast or network.is_unspecified or network == _BROADCAST:
        return "never matches: no machine has such an address"
    return ""


def host_addresses(root: Path = Path("/")) -> frozenset[Address]:
    """The addresses of this host's interfaces by which others can reach it.

    Loopback and link-local ones are left out: every machine has those.
    """
    texts = [*_ipv4_addresses(), *_ipv6_addresses(root / "proc/net/if_inet6")]
    return frozenset(
        address
        for address in _parsed(texts)
        if not (address.is_loopback or address.is_link_local or address.is_unspecified)
    )


def _ipv4_addresses() -> list[str]:
    """netdevice(7): SIOCGIFCONF."""
    space = array.array("B", bytes(_IFREQ * MAX_ADDRESSES))
    address, _ = space.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(
            asking.fileno(), _SIOCGIFCONF, struct.pack("iL", len(space), address)
        )
    length, _ = struct.unpack("iL", answer)
    data = space.tobytes()[:length]
    # The name is followed by a sockaddr_in: family, port, address.
    return [
        socket.inet_ntoa(data[start + 20 : start + 24])
        for start in range(0, len(data) - _IFREQ + 1, _IFREQ)
    ]


def _ipv6_addresses(path: Path) -> Iterator[str]:
    """proc(5): address, interface, prefix length, scope, flags and name."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        # A system without IPv6.
        return
    for line in lines[:MAX_ADDRESSES]:
        match = re.match(r"([0-9a-f]{32}) \w+ \w+ \w+ ([0-9a-f]{1,8}) ", line)
        if match and not int(match[2], 16) & _IFA_F_DADFAILED:
            yield str(ipaddress.IPv6Address(bytes.fromhex(match[1])))


def _parsed(texts: Iterable[str]) -> Iterator[Address]:
    for text in texts:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            continue
        mapped = getattr(address, "ipv4_mapped", None)
        yield mapped or address


def _is_name(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    return (
        len(name) <= 253
        # All of digits it would be an address.
        and not labels[-1].isdigit()
        and all(re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", x) for x in labels)
    )


def _listed(items: Iterable[object], most: int = 5) -> str:
    texts = sorted(map(str, items))
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more if texts else "no address"
