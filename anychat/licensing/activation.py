"""Activation: a slave runs on a copy of its master's licence.

A slave has no licence of its own.  It asks its master over the standby link, with
a nonce, and gets the master's licence signed for it; that is good for 30 days, and
each further contact begins them anew.  What the slave gets is what it keeps::

    +----------+-------+-------+--------+--------+---------+-----+
    | ACACTIV1 | nonce | slave | issued | length | licence | mac |
    +----------+-------+-------+--------+--------+---------+-----+
         8        32      32       8        4      length    32

``issued`` is the master's time in seconds since 1970 (UTC), numbers are in network
byte order, and the licence is the master's AnyChat.cer as it is.  ``mac`` is
HMAC-SHA256 over all before it, with a key that only those have who know SDKAuthPass.

That keeps an activation from being forged on the wire, passed to another machine or
replayed later.  It does not bind whoever knows SDKAuthPass; the licence in it is the
vendor's and is verified as on the master, its dates and revocation too, and only
its bindings are left to the master.
"""

import hmac
import struct
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from anychat.codes import LicenceMode, ResultCode
from anychat.errors import ConfigError, PeerError, Refused
from anychat.licensing.findings import LicenceError
from anychat.licensing.licence import Licence
from anychat.protocols.proof import SALT_SIZE, derive_key
from anychat.terms import Feature, Terms

#: How long a slave goes on without its master.
VALIDITY = timedelta(days=30)
#: What the slave's clock may be behind the master's.
SKEW = timedelta(days=1)

NONCE_SIZE = SLAVE_SIZE = 32
#: Bytes of the licence in it, and of all.
MAX_LICENCE = 1 << 16
_MAC_SIZE = 32
_MAGIC = b"ACACTIV1"
_HEAD = struct.Struct(f"!8s{NONCE_SIZE}s{SLAVE_SIZE}sQI")
MAX_SIZE = _HEAD.size + MAX_LICENCE + _MAC_SIZE

#: Seconds since 1970 of the last time that datetime knows, and some to spare.
_LAST = 253_000_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What a slave asks its master."""

    nonce: bytes
    """32 random bytes, new each time."""
    slave: bytes
    """See `slave_id`."""


@dataclass(frozen=True, slots=True)
class Activation:
    """What a slave has of its master."""

    issued: datetime
    """The last contact, by the master's clock; UTC, with time zone."""
    licence: bytes = field(repr=False)
    """The master's AnyChat.cer."""

    @property
    def ends(self) -> datetime:
        """When it is good no longer without another contact."""
        return self.issued + VALIDITY


def slave_id(machine_id: str) -> bytes:
    """What a slave is called in activations: tells machines apart, and nothing else.

    :param machine_id: the content of ``/etc/machine-id``.
    """
    return sha256(b"anychat slave\0" + machine_id.encode()).digest()


def check_master(slave_mode: bool, terms: Terms) -> None:
    """Whether a server may activate slaves.

    :param slave_mode: the server is itself configured as a slave.
    :param terms: what its licence lets it do now.
    :raises Refused: 30 it is a slave, 31 it has no licence for that.
    """
    if slave_mode:
        raise Refused(
            ResultCode.MASTERISSLAVE, "MasterServerIP must be that of the master"
        )
    if terms.mode is not LicenceMode.LICENSED:
        raise Refused(ResultCode.MASTERNOTCREDIT, "it runs in demo mode")
    if terms.login_refusal is not ResultCode.SUCCESS:
        raise Refused(ResultCode.MASTERNOTCREDIT, "its licence is not good now")
    if Feature.STANDBY not in terms.features:
        raise Refused(ResultCode.MASTERNOTCREDIT, "its licence has no standby in it")


def activate(request: Request, password: str, licence: bytes, now: datetime) -> bytes:
    """The master's answer, after `check_master`; about 50 ms of work.

    :param password: SDKAuthPass.
    :param licence: the master's AnyChat.cer.
    :raises PeerError: the request is none.
    :raises ConfigError: SDKAuthPass is empty.
    """
    if len(request.nonce) != NONCE_SIZE or len(request.slave) != SLAVE_SIZE:
        raise PeerError("a slave's request has a nonce or a name of a wrong size")
    if not 0 < len(licence) <= MAX_LICENCE:
        raise ValueError(f"a licence of {len(licence)} bytes")
    signed = (
        _HEAD.pack(
            _MAGIC, request.nonce, request.slave, int(now.timestamp()), len(licence)
        )
        + licence
    )
    return signed + _mac(password, request.nonce, signed)


def read_activation(
    data: bytes, password: str, slave: bytes, nonce: bytes | None = None
) -> Activation:
    """What the master has answered, or the slave has kept; about 50 ms of work.

    :param password: SDKAuthPass.
    :param slave: the reading slave's own.
    :param nonce: of its request; None: this was kept, and the nonce checked then.
    :raises LicenceError: 802 it is none, was altered, or is of another SDKAuthPass;
        28 it is for another slave or answers another request.
    :raises ConfigError: SDKAuthPass is empty.
    """
    if not _HEAD.size + _MAC_SIZE < len(data) <= MAX_SIZE:
        raise _altered("its size is wrong")
    magic, its_nonce, its_slave, issued, length = _HEAD.unpack_from(data)
    if magic != _MAGIC or len(data) != _HEAD.size + length + _MAC_SIZE:
        raise _altered("it is cut off, or none at all")
    if its_slave != slave:
        raise LicenceError(
            ResultCode.CERTVERIFYFAILED,
            "the activation is another machine's; this one has to get its own from "
            "the master",
        )
    if nonce is not None and its_nonce != nonce:
        raise LicenceError(
            ResultCode.CERTVERIFYFAILED,
            "the activation is the answer to another request",
        )
    signed, mac = data[:-_MAC_SIZE], data[-_MAC_SIZE:]
    if not hmac.compare_digest(mac, _mac(password, its_nonce, signed)):
        raise _altered("SDKAuthPass must be that of the master")
    if issued > _LAST:
        raise _altered("its date cannot be")
    return Activation(datetime.fromtimestamp(issued, UTC), signed[_HEAD.size :])


def activated(activation: Activation, licence: Licence) -> Licence:
    """The licence as the slave has it: for 30 days, and not bound to the master.

    :param licence: what stands in the activation, verified as any licence.
    """
    return replace(
        licence,
        grant=replace(licence.grant, bindings=()),
        not_before=max(licence.not_before, activation.issued - SKEW),
        not_after=min(licence.not_after, activation.ends),
        contact=activation.issued,
    )


def _mac(password: str, nonce: bytes, signed: bytes) -> bytes:
    if not password:
        raise ConfigError(
            "SDKAuthPass is empty: master and slave know each other by it, so that "
            "both need the same one"
        )
    # Of its own, so that no proof of the signalling protocol can be a mac.
    key = hmac.digest(
        derive_key(password, nonce[:SALT_SIZE]), b"anychat activation", sha256
    )
    return hmac.digest(key, signed, sha256)


def _altered(hint: str) -> LicenceError:
    return LicenceError(
        ResultCode.CERTFILE_DECODEFAIL, f"the activation cannot be used: {hint}"
    )
