"""``anychat-license issue`` and ``renew``: the vendor makes licences."""

from argparse import Namespace
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

import anychat
from anychat.licensing.authority import SKEW, AuthorityError
from anychat.licensing.certificate import (
    LICENCE_NAME,
    fits_version,
    inspect_licence,
    read_certificates,
    read_file,
)
from anychat.licensing.commands.authority import add_ca
from anychat.licensing.commands.ca_directory import CaDirectory
from anychat.licensing.commands.console import FINE, Console, UsageError
from anychat.licensing.commands.grant_options import DAYS, add_grant
from anychat.licensing.commands.output import check_output, is_standard_output
from anychat.licensing.description import describe
from anychat.licensing.extension import encode_grant
from anychat.licensing.files import replace_file
from anychat.licensing.findings import LicenceError
from anychat.licensing.fingerprint import DEFAULT_PERCENT, bind, shortcoming
from anychat.licensing.licence import (
    AddressBinding,
    Binding,
    DomainBinding,
    Grant,
    HardwareBinding,
    UKeyBinding,
)
from anychat.licensing.request import MAX_SIZE, read_request
from anychat.licensing.ukey import read_ukeys
from anychat.terms import Feature


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    issue = commands.add_parser(
        "issue",
        help="make a licence",
        description="Make a licence. Say what it is bound to, or --unbound.",
    )
    add_ca(issue)
    add_grant(issue, required=True)
    issue.set_defaults(run=_issue)

    renew = commands.add_parser(
        "renew",
        help="make a licence that follows another",
        description="Make a licence like another one, for longer. What is given here "
        "takes the place of what the other one says; new bindings replace all of its "
        "bindings. The other one stays valid: see `revoke`.",
    )
    add_ca(renew)
    renew.add_argument(
        "licence",
        metavar="LICENCE",
        help="a file, or the serial number of one that was issued here",
    )
    add_grant(renew, required=False)
    renew.set_defaults(run=_renew)


def _issue(arguments: Namespace, console: Console) -> int:
    bindings = _bindings(arguments, console)
    if not bindings and not arguments.unbound:
        raise UsageError(
            "say what it is bound to (--request, --domain, --address, --ukey), or "
            "--unbound"
        )
    grant = Grant(
        customer=arguments.customer,
        max_users=arguments.users,
        features=_features(arguments, console),
        bindings=bindings,
        match_all=arguments.match != "any",
        versions=arguments.product_version or "",
    )
    return _make(arguments, console, grant, arguments.start or console.now)


def _renew(arguments: Namespace, console: Console) -> int:
    data = CaDirectory(arguments.ca).find(arguments.licence)
    former = inspect_licence(data, arguments.licence)
    bindings = _bindings(arguments, console)
    _tell_of_revocation(CaDirectory(arguments.ca), former.serial, console)
    changes: dict[str, Any] = {}
    if arguments.customer is not None:
        changes["customer"] = arguments.customer
    if arguments.users is not None:
        changes["max_users"] = arguments.users
    if arguments.feature is not None:
        changes["features"] = _features(arguments, console)
    if arguments.without_feature is not None:
        changes["features"] = _left(former.grant.features, arguments.without_feature)
    if arguments.product_version is not None:
        changes["versions"] = arguments.product_version
    if bindings or arguments.unbound:
        changes["bindings"] = bindings
    if arguments.match is not None:
        changes["match_all"] = arguments.match == "all"
    grant = replace(former.grant, **changes)
    base = max(arguments.start or console.now, console.now, former.not_after)
    certificate = read_certificates(data)[0]
    return _make(arguments, console, grant, base, (arguments.licence, certificate))


def _make(
    arguments: Namespace,
    console: Console,
    grant: Grant,
    base: datetime,
    former: tuple[str, x509.Certificate] | None = None,
) -> int:
    """Sign a licence, keep it and write it.

    :param base: from when on the days are counted.
    :param former: the licence that this one follows, with its name; of the same CA.
    """
    if arguments.until is not None:
        end = arguments.until + timedelta(days=1, seconds=-1)
    else:
        try:
            end = base + timedelta(days=arguments.days or DAYS)
        except OverflowError:
            raise UsageError("it would end after the year 9999") from None
    if end <= console.now:
        console.warn(f"it has ended already, on {end:%Y-%m-%d}: no server takes it")
    if end <= (arguments.start or console.now - SKEW):
        raise UsageError("it would end before it begins")
    check_output(arguments.out, force=arguments.force)
    # All that can be known to be wrong is said before a pass phrase is asked for.
    encode_grant(grant)
    if not fits_version(grant.versions, anychat.__version__):
        console.warn(
            f"it will not be for version {anychat.__version__}, which this program is "
            f"of, but for {grant.versions}"
        )
    directory = CaDirectory(arguments.ca)
    authority = directory.read(console.passphrase(arguments.passphrase_file))
    if former is not None and not authority.has_signed(former[1]):
        raise AuthorityError(f"{former[0]} is not of this CA")
    with directory.locked():
        # Of several at once that write one file the first one does.
        check_output(arguments.out, force=arguments.force)
        licence = authority.issue(grant, arguments.start or console.now - SKEW, end)
        directory.keep(licence)
        if is_standard_output(arguments.out):
            console.output.write(licence.decode())
            return FINE
        replace_file(arguments.out, licence)
    console.report(
        *describe(inspect_licence(licence)),
        f"{arguments.out}: for the customer, as {LICENCE_NAME}",
    )
    return FINE


def _tell_of_revocation(directory: CaDirectory, serial: int, console: Console) -> None:
    """It may be meant, such as after a mistake; and it may be forgotten."""
    try:
        day = directory.revoked_on(serial)
    except (AuthorityError, LicenceError) as error:
        text = error.text if isinstance(error, LicenceError) else str(error)
        console.warn(f"whether it was revoked is not known: {text}")
        return
    if day is not None:
        console.warn(f"the licence {serial:x} was revoked on {day}; this one is not")


def _left(features: tuple[str, ...], without: list[str]) -> tuple[str, ...]:
    """Functions of a licence but some."""
    for name in without:
        if name not in features:
            has = ", ".join(features) or "none"
            raise UsageError(f"it has no function {name!r} to take off; it has {has}")
    return tuple(name for name in features if name not in without)


def _features(arguments: Namespace, console: Console) -> tuple[str, ...]:
    features = tuple(dict.fromkeys(arguments.feature or ()))
    for unknown in set(features) - set(Feature):
        console.warn(f"this version knows no function {unknown!r}")
    return features


def _bindings(arguments: Namespace, console: Console) -> tuple[Binding, ...]:
    if arguments.percent is not None and not arguments.request:
        raise UsageError("--percent is of a machine: it needs --request")
    if arguments.match is not None and arguments.unbound:
        raise UsageError(
            "--match is of bindings, and --unbound says that there are none"
        )
    percent = arguments.percent or DEFAULT_PERCENT
    bindings: list[Binding] = [
        _machine(path, percent, console) for path in arguments.request or ()
    ]
    bindings += [DomainBinding(name) for name in dict.fromkeys(arguments.domain or ())]
    if arguments.address:
        bindings.append(AddressBinding(tuple(dict.fromkeys(arguments.address))))
    bindings += [
        ukey if ukey.public_key else _plugged(ukey) for ukey in arguments.ukey or ()
    ]
    if bindings and arguments.unbound:
        raise UsageError("--unbound, and bindings as well")
    return tuple(bindings)


def _machine(path: Path, percent: int, console: Console) -> HardwareBinding:
    data = read_file(path, MAX_SIZE)
    if data is None:
        raise UsageError(f"{path} is not there")
    request = read_request(data)
    binding = bind(request.hashes, request.salt, percent=percent)
    for component, reason in request.absent.items():
        console.warn(f"{path}: no {component}: {reason}")
    if missing := shortcoming(binding):
        console.warn(f"{path}: {missing}")
    return binding


def _plugged(ukey: UKeyBinding) -> UKeyBinding:
    """The USB key of these numbers that is plugged in here."""
    found = read_ukeys(ukey.vendor, ukey.product)
    name = f"{ukey.vendor:04x}:{ukey.product:04x}"
    if not found:
        raise AuthorityError(f"no USB key {name} is plugged in here")
    if len(found) > 1:
        raise AuthorityError(f"several USB keys {name} are plugged in: leave one")
    return found[0]
