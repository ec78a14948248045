"""Fingerprint of a machine: salted hashes of its parts, and how many still match.

What a machine has of a component is text (`Parts`).  A licence holds hashes of it,
so that neither the request file nor the licence tells serial numbers.  A component
counts what the licence says; of several disks or interfaces each counts its share.
Enough weight has to match, not everything: a new disk does not stop a server.

The hash is scrypt with the licence's salt.  The cost is for those who would try all
MAC addresses of a maker; whoever has months to spend will find one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anychat.codes import ResultCode
from anychat.licensing.findings import Finding
from anychat.licensing.licence import HardwareBinding, Hashes

#: A component -> what the machine has of it, as raw text.
Parts = Mapping[str, tuple[str, ...]]

#: Values of one component that a request holds at most.
MAX_VALUES = 16
#: Those of a licence or of a machine that are compared.
MAX_COMPARED = 64
#: Of the sum of the weights, in percent; what `bind` asks for.
DEFAULT_PERCENT = 60

SALT_BYTES = 16
_HASH_BYTES = 32
#: scrypt's cost: 1.5 ms and 1 MiB for each value.
_COST = 1024

_ADVICE = (
    "if parts were replaced, send a new request (anychat-license fingerprint) to "
    "whoever gave the licence"
)


@dataclass(frozen=True, slots=True)
class Component:
    """A kind of part that a fingerprint is made of."""

    title: str
    code: ResultCode
    """The product's code when it differs; 810 for what the product does not know."""
    weight: int
    """What it counts where the vendor says nothing else."""
    telling: bool
    """Two machines of one make differ in it, and so does the copy of a machine."""


#: By name, as `Hashes` has them.  The product's 812 is not there: the clock of a CPU
#: changes by itself.  The machine-id goes with every copy of a disk, so it counts
#: little.
COMPONENTS: dict[str, Component] = {
    "product-uuid": Component(
        "product UUID", ResultCode.CERTFILE_HDSIGFAIL, 25, telling=True
    ),
    "board-serial": Component(
        "board serial number", ResultCode.CERTFILE_HDSIGFAIL, 10, telling=True
    ),
    "disk-serial": Component(
        "disk id", ResultCode.CERTFILE_DRIVERIDFAIL, 20, telling=True
    ),
    "mac-address": Component(
        "MAC address", ResultCode.CERTFILE_MACADDRFAIL, 20, telling=True
    ),
    "machine-id": Component(
        "machine-id", ResultCode.CERTFILE_HDSIGFAIL, 10, telling=False
    ),
    "cpu-model": Component(
        "CPU model", ResultCode.CERTFILE_CPUMODELFAIL, 5, telling=False
    ),
    "cpu-count": Component(
        "CPU count", ResultCode.CERTFILE_CPUNUMFAIL, 5, telling=False
    ),
    "ram-class": Component(
        "RAM size", ResultCode.CERTFILE_RAMSIZEFAIL, 5, telling=False
    ),
}


def digest(component: str, value: str, salt: bytes) -> str:
    """The salted hash of one value, in hexadecimal."""
    return hashlib.scrypt(
        value.encode(),
        salt=component.encode() + b"\0" + salt,
        n=_COST,
        r=8,
        p=1,
        dklen=_HASH_BYTES,
    ).hex()


def hash_parts(parts: Parts, salt: bytes) -> Hashes:
    """What a licence is to hold of a machine; components that it lacks are left out."""
    return {
        name: tuple(sorted(digest(name, value, salt) for value in chosen))
        for name in COMPONENTS
        if (chosen := sorted(set(parts.get(name, ())))[:MAX_VALUES])
    }


def bind(
    hashes: Hashes,
    salt: str,
    weights: Mapping[str, int] | None = None,
    percent: int = DEFAULT_PERCENT,
) -> HardwareBinding:
    """Bind a licence to the machine that a request describes.

    :param salt: in hexadecimal, the request's.
    :param weights: of components that are to count something else than by default.
    :param percent: how much of the weight must match, 1 to 100.
    """
    counting = {
        name: (weights or {}).get(name, COMPONENTS[name].weight) for name in hashes
    }
    counting = {name: weight for name, weight in counting.items() if weight}
    total = sum(counting.values())
    return HardwareBinding(
        salt,
        {name: hashes[name] for name in counting},
        counting,
        max(1, -(-total * percent // 100)),
    )


def shortcoming(binding: HardwareBinding) -> str:
    """Why a binding fits machines that it is not meant for; empty: it does not.

    Equal machines share CPU and RAM, and a copied disk has the machine-id: where that
    is enough, the licence runs anywhere.
    """
    shared = sum(
        weight
        for name, weight in binding.weights.items()
        if name not in COMPONENTS or not COMPONENTS[name].telling
    )
    if shared < binding.threshold:
        return ""
    names = [name for name, component in COMPONENTS.items() if component.telling]
    lacking = ", ".join(
        COMPONENTS[name].title for name in names if name not in binding.weights
    )
    return (
        "machines of the same make, and copies of this one, match as well"
        + (f", since it has no {lacking}" if lacking else "")
        + ": bind to a domain, an address or a UKey too"
    )


def fault(binding: HardwareBinding) -> str:
    """What is wrong with a binding itself; empty: nothing."""
    try:
        salt = bytes.fromhex(binding.salt)
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        return "the salt is not 16 bytes"
    if unknown := sorted(binding.weights.keys() - COMPONENTS.keys()):
        return f"this version does not know the component {unknown[0]}"
    if missing := sorted(binding.weights.keys() ^ binding.hashes.keys()):
        return f"{missing[0]} has no hash or no weight"
    if any(weight < 0 for weight in binding.weights.values()):
        return "a weight is below 0"
    if any(not 1 <= len(held) <= MAX_COMPARED for held in binding.hashes.values()):
        return f"a component has none or more than {MAX_COMPARED} values"
    if not all(_is_hash(value) for held in binding.hashes.values() for value in held):
        return "a hash is not 64 hexadecimal digits"
    if not 1 <= binding.threshold <= sum(binding.weights.values()):
        return "the weight that must match is none, or more than there is"
    return ""


def _is_hash(value: str) -> bool:
    return len(value) == 2 * _HASH_BYTES and not value.strip("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a machine is the one of a licence."""

    findings: tuple[Finding, ...]
    """One for each component of the licence."""
    matching: int
    """The weight that matches."""
    needed: int
    total: int

    @property
    def verdict(self) -> Finding:
        """All of it as one finding; its code is that of the heaviest difference."""
        text = (
            f"{self.matching} of {self.total} match, {self.needed} are needed"
            if self.total
            else ""
        )
        notes = [finding.text for finding in self.findings if not finding.ok]
        text = ": ".join(filter(None, (text, ", ".join(notes))))
        if self.total and self.matching >= self.needed:
            return Finding(ResultCode.SUCCESS, "hardware", text)
        code = next(finding.code for finding in self.findings if not finding.ok)
        return Finding(code, "hardware", f"{text}; {_ADVICE}")


def compare(
    binding: HardwareBinding, parts: Parts, absent: Mapping[str, str]
) -> Comparison:
    """Hold a machine against a licence.

    :param absent: why the machine shows nothing of a component.
    """
    if wrong := fault(binding):
        finding = Finding(
            ResultCode.CERTFILE_HDSIGFAIL,
            "hardware",
            f"the fingerprint in the licence cannot be used: {wrong}",
        )
        return Comparison((finding,), 0, 0, 0)
    salt = bytes.fromhex(binding.salt)
    matching = 0
    lost: list[tuple[int, Finding]] = []
    for name in COMPONENTS:
        if name not in binding.hashes:
            continue
        held, weight = binding.hashes[name], binding.weights[name]
        found = {digest(name, value, salt) for value in _compared(parts.get(name, ()))}
        hits = sum(value in found for value in held)
        share = weight * hits // len(held)
        matching += share
        lost.append((share - weight, _finding(name, held, found, hits, absent)))
    lost.sort(key=lambda item: item[0])
    return Comparison(
        tuple(finding for _, finding in lost),
        matching,
        binding.threshold,
        sum(binding.weights.values()),
    )


def _compared(values: Iterable[str]) -> list[str]:
    return sorted(set(values))[:MAX_COMPARED]


def _finding(
    name: str,
    held: tuple[str, ...],
    found: set[str],
    hits: int,
    absent: Mapping[str, str],
) -> Finding:
    component = COMPONENTS[name]
    if hits == len(held):
        return Finding(ResultCode.SUCCESS, "hardware", f"{component.title} matches")
    if not found:
        text = f"has no value ({absent.get(name, 'there is none')})"
    elif len(held) > 1:
        text = f"differs, {hits} of {len(held)} are there"
    else:
        text = "differs"
    return Finding(
        component.code, "hardware", f"{component.title} {text} ({component.code:d})"
    )
