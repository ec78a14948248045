"""Holds a licence's bindings against this host, for the server and for
``anychat-license check``.

Whatever may take its time is done in a thread, or asked of the reactor's resolver.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from anychat.codes import ResultCode
from anychat.licensing.addresses import (
    Address,
    Resolve,
    check_address,
    check_domain,
    host_addresses,
)
from anychat.licensing.findings import Finding
from anychat.licensing.hardware import check_hardware, read_machine
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    HardwareBinding,
    UKeyBinding,
)
from anychat.licensing.ukey import check_ukey

#: The subject of a binding's finding, and the code if its check met a fault.
SUBJECTS: dict[type[Binding], tuple[str, ResultCode]] = {
    HardwareBinding: ("hardware", ResultCode.CERTFILE_HDSIGFAIL),
    DomainBinding: ("domain", ResultCode.CERTFILE_DOMAINFAIL),
    AddressBinding: ("address", ResultCode.CERTFILE_IPADDRFAIL),
    UKeyBinding: ("ukey", ResultCode.CERTFILE_UKEYFAIL),
}

#: Runs a function in a thread.
InThread = Callable[..., "Deferred[Any]"]


@dataclass(frozen=True, slots=True)
class Host:
    """What the checks need of this host."""

    resolve: Resolve
    """See `anychat.licensing.addresses.resolver`."""
    in_thread: InThread
    public_addresses: tuple[Address, ...] = ()
    """[Media Settings] PublicAddress: a domain may lead there, too."""
    random_bytes: Callable[[int], bytes] = os.urandom
    """For the nonces of a UKey; must be fit for cryptography."""
    own_addresses: Callable[[], frozenset[Address]] = host_addresses
    """The addresses of this host; blocking, but briefly."""
    root: Path = Path("/")
    """Another directory for tests."""
    ukey_backend: Any = None
    """Of pyusb; None: the system's."""


def check_binding(binding: Binding, host: Host) -> "Deferred[Finding]":
    """Hold one binding against this host; fires with a finding in any case."""
    if isinstance(binding, HardwareBinding):
        found = host.in_thread(lambda: check_hardware(binding, read_machine(host.root)))
    elif isinstance(binding, DomainBinding):
        found = host.in_thread(host.own_addresses).addCallback(
            lambda own: check_domain(
                binding, host.resolve, own | set(host.public_addresses)
            )
        )
    elif isinstance(binding, AddressBinding):
        found = host.in_thread(lambda: check_address(binding, host.own_addresses()))
    else:
        found = host.in_thread(
            lambda: check_ukey(
                binding, host.ukey_backend, random_bytes=host.random_bytes
            )
        )
    return found.addErrback(_faulty, binding)


def check_all(bindings: Sequence[Binding], host: Host) -> "Deferred[list[Finding]]":
    """Hold all bindings against this host, at the same time.

    :returns: fires with the findings in the order of the bindings.
    """
    return gatherResults([check_binding(binding, host) for binding in bindings])


def _faulty(failure: Failure, binding: Binding) -> Finding:
    """A check itself has failed: it counts if it does so again."""
    subject, code = SUBJECTS[type(binding)]
    return Finding(
        code,
        subject,
        f"the check itself failed: {type(failure.value).__name__}: "
        f"{failure.getErrorMessage()[:200]}",
        passing=True,
    )
