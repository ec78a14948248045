"""A licence in words, for the log (``ExternFlags=64``) and the command line."""

from collections.abc import Iterator
from datetime import datetime

from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    HardwareBinding,
    Licence,
)


def describe(licence: Licence) -> Iterator[str]:
    """What a licence says, line by line; no hashes, which tell nobody anything."""
    grant = licence.grant
    yield f"Customer: {grant.customer}"
    yield f"Serial: {licence.serial:x}"
    yield f"Issuer: {licence.issuer}"
    yield f"Valid: {_time(licence.not_before)} to {_time(licence.not_after)}"
    yield f"Users: {grant.max_users or 'any number'}"
    yield f"Features: {', '.join(grant.features) or 'none'}"
    yield f"Versions: {grant.versions or 'all'}"
    if not grant.bindings:
        yield "Bound to: nothing"
    elif len(grant.bindings) == 1:
        yield f"Bound to: {_binding(grant.bindings[0])}"
    else:
        yield f"Bound to: {'all' if grant.match_all else 'any'} of these"
        for binding in grant.bindings:
            yield f"  {_binding(binding)}"


def _binding(binding: Binding) -> str:
    if isinstance(binding, HardwareBinding):
        parts = ", ".join(
            f"{name} {weight}" for name, weight in binding.weights.items()
        )
        whole = sum(binding.weights.values())
        return f"hardware: {binding.threshold} of {whole} must match ({parts})"
    if isinstance(binding, DomainBinding):
        return f"domain: {binding.name}"
    if isinstance(binding, AddressBinding):
        return f"address: {' or '.join(binding.addresses)}"
    key = f"{binding.vendor:04x}:{binding.product:04x}"
    return f"ukey: {key}, serial number {binding.serial}"


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
