"""What a licence says: the content of the certificate's private extension."""

from dataclasses import dataclass, field
from datetime import datetime

#: A component of the hardware fingerprint -> salted hashes, in hexadecimal, of what
#: the machine has of it.
Hashes = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class HardwareBinding:
    """To a machine, by a fingerprint of its parts."""

    salt: str
    """In hexadecimal, 16 bytes."""
    hashes: Hashes
    """By component: ``product-uuid``, ``board-serial``, ``cpu-model``, ``cpu-count``,
    ``ram-class``, ``disk-serial``, ``mac-address``, ``machine-id``."""
    weights: dict[str, int]
    """What each component counts."""
    threshold: int
    """Weight that must match, of the sum of the components above."""


@dataclass(frozen=True, slots=True)
class DomainBinding:
    """To whatever host a name leads to."""

    name: str
    """A host name, in ASCII (IDNA) form."""


@dataclass(frozen=True, slots=True)
class AddressBinding:
    """To a host with one of these addresses."""

    addresses: tuple[str, ...]
    """IPv4 or IPv6 addresses, or networks in CIDR notation."""


@dataclass(frozen=True, slots=True)
class UKeyBinding:
    """To whatever machine a USB key is plugged into."""

    vendor: int
    """USB vendor id."""
    product: int
    """USB product id."""
    serial: str
    """USB serial number."""
    public_key: str
    """P-256, uncompressed point in hexadecimal (SEC 1, 2.3.3)."""


Binding = HardwareBinding | DomainBinding | AddressBinding | UKeyBinding


@dataclass(frozen=True, slots=True)
class Grant:
    """What the extension holds."""

    customer: str
    max_users: int
    """Concurrent users; 0: any number."""
    features: tuple[str, ...] = ()
    """Values of `anychat.terms.Feature`; unknown ones are for later versions."""
    bindings: tuple[Binding, ...] = ()
    """Empty: bound to nothing."""
    match_all: bool = True
    """Whether all bindings must match, or any one."""
    versions: str = ""
    """Product versions: ``""`` all, ``"6"`` all 6.x, ``"6.0"`` all 6.0.x."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence whose chain, signatures and revocation were in order."""

    grant: Grant
    serial: int
    """Of the certificate."""
    subject: str
    """The certificate's, as text of RFC 4514."""
    issuer: str
    not_before: datetime
    """UTC, with time zone."""
    not_after: datetime
    """UTC, with time zone; of the chain's shortest."""
    digest: str = field(default="")
    """SHA-256 of what is signed of the certificate, in hexadecimal; with the
    signature anybody could make it another one (ECDSA's s and -s are both valid)."""
    contact: datetime | None = None
    """Of a slave's copy: the last contact with its master, see `activation`."""
