"""What plain STUN answers tell of the NAT on the way: pure.

The ideas are those of RFC 5780 as far as one server address allows: whether there
is a NAT, whether it keeps ports and mappings, and whether it lets a machine behind
it reach itself (hairpinning).  Whether a mapping depends on who is sent to takes a
second address of the server's; where a name has several, they are used.  How the
NAT filters takes a server that answers from elsewhere, which ours, with its one
port, is not: that stays unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """One request that was answered."""

    local: Address
    """Where it was sent from."""
    server: Address
    mapped: Address
    """Where the server saw it come from."""
    round_trip: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of the way."""

    reached: bool
    round_trip: float | None = None
    """The shortest, seconds."""
    lost: float = 0.0
    """Of the requests, 0 to 1."""
    nat: bool | None = None
    mapped: Address | None = None
    port_kept: bool | None = None
    """Whether the outer port is the inner one."""
    stable: bool | None = None
    """Whether one local port kept its mapping through the check."""
    mapping: str = "unknown"
    """``endpoint-independent``, ``address-dependent``, or ``unknown``."""
    same_host: bool | None = None
    """Whether all local ports are seen at one outer address."""
    step: int | None = None
    """Between the outer ports of two local ones opened one after the other."""
    hairpin: bool | None = None
    """Whether the outer address can be reached from inside."""


def same_address(one: Address, other: Address) -> bool:
    """Whether two are the same, however they are written."""
    return (_plain(one[0]), one[1]) == (_plain(other[0]), other[1])


def _plain(host: str) -> bytes:
    parsed = ip_address(host.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bytes((mapped or parsed).packed)


def conclude(
    answers: Sequence[Answer], asked: int, hairpin: bool | None = None
) -> Findings:
    """What the answers say.

    :param asked: how many requests were sent.
    :param hairpin: whether a datagram to a mapped address of ours came.
    """
    if not answers:
        return Findings(False, lost=1.0 if asked else 0.0)
    first = answers[0]
    nat = not same_address(first.local, first.mapped)
    by_port: dict[int, list[Answer]] = {}
    for answer in answers:
        by_port.setdefault(answer.local[1], []).append(answer)
    hosts = {_plain(answer.mapped[0]) for answer in answers}
    firsts = [group[0] for group in by_port.values()]
    return Findings(
        reached=True,
        round_trip=min(answer.round_trip for answer in answers),
        lost=max(0.0, 1 - len(answers) / asked) if asked else 0.0,
        nat=nat,
        mapped=first.mapped,
        port_kept=all(answer.local[1] == answer.mapped[1] for answer in answers),
        stable=all(
            same_address(answer.mapped, other.mapped)
            for group in by_port.values()
            for answer in group
            for other in group
            if same_address(answer.server, other.server)
        ),
        mapping=_mapping(by_port.values()),
        same_host=len(hosts) == 1 if len(firsts) > 1 else None,
        step=firsts[1].mapped[1] - firsts[0].mapped[1] if len(firsts) > 1 else None,
        hairpin=hairpin if nat else None,
    )


def _mapping(groups: Iterable[list[Answer]]) -> str:
    """RFC 4787 section 4.1, by what one local port looked like to two servers."""
    compared = False
    for group in groups:
        for answer in group:
            for other in group:
                if same_address(answer.server, other.server):
                    continue
                compared = True
                if not same_address(answer.mapped, other.mapped):
                    return "address-dependent"
    return "endpoint-independent" if compared else "unknown"


def in_words(findings: Findings) -> list[str]:
    """The findings, line by line."""
    if not findings.reached:
        return [
            "UDP does not get through: nothing was answered.",
            "A firewall drops it, or there is no AnyChat server at that UDP port (8907 "
            "is the usual one; 8906, of the other commands, is that of TCP).",
            "Media goes over TCP, if the server offers it (StreamTransMode).",
        ]
    trip = (findings.round_trip or 0.0) * 1000
    lost = f", {findings.lost:.0%} of the requests lost" if findings.lost else ""
    lines = [f"UDP gets through: {trip:.1f} ms there and back{lost}."]
    assert findings.mapped is not None
    host, port = findings.mapped
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not findings.nat:
        return [*lines, f"No NAT on the way: the server sees {where}, as it is here."]
    lines.append(f"A NAT is on the way: the server sees {where}.")
    if findings.port_kept:
        lines.append("It keeps ports: the outer port is the inner one.")
    elif findings.step is not None and 0 < findings.step <= 8:
        lines.append(
            "It gives ports of its own, one after the other: the next can be guessed."
        )
    else:
        lines.append("It gives ports of its own.")
    if not findings.stable:
        lines.append(
            "It changed the mapping during the check: direct paths will not last."
        )
    if findings.same_host is False:
        lines.append("It uses several outer addresses.")
    lines.append(
        {
            "endpoint-independent": "The mapping is the same whoever is sent to: "
            "direct paths between users are likely.",
            "address-dependent": "The mapping depends on who is sent to: direct "
            "paths between users are unlikely, media is relayed.",
            "unknown": "Whether the mapping depends on who is sent to cannot be told "
            "with one address of the server's.",
        }[findings.mapping]
    )
    if findings.hairpin is not None:
        lines.append(
            "It lets machines behind it reach each other by outer addresses."
            if findings.hairpin
            else "Machines behind it cannot reach each other by outer addresses."
        )
    return lines
